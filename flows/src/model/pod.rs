//! Pods of the cluster. There are many, so that every byte counts, and each is one allocation for all who know it.

use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use super::{Labels, Protocol, Uid};

/// A pod of the cluster, as far as policies look at it. Pods on their node's network are no peers and no subjects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterPod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its UID, if it has one: a pod of the same name that came before is another one.
    pub uid: Uid,
    /// Its labels, which many pods have in common.
    pub labels: Arc<Labels>,
    /// Its addresses.
    pub ips: Ips,
    /// The ports of its containers that have a name, which many have in common, too.
    pub ports: Arc<Vec<NamedPort>>,
}

// Of 100,000 pods each takes one allocation of this size and two counters, and one for its name.
const _: () = assert!(size_of::<ClusterPod>() <= 88);

/// A container's port that has a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    /// The name.
    pub name: Arc<str>,
    /// The protocol.
    pub protocol: Protocol,
    /// The number.
    pub port: u16,
}

/// The addresses of a pod: most have one, which takes no allocation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ips(Few);

#[derive(Clone, Default, PartialEq, Eq)]
enum Few {
    #[default]
    None,
    One(IpAddr),
    More(Arc<[IpAddr]>),
}

impl From<&[IpAddr]> for Ips {
    fn from(ips: &[IpAddr]) -> Self {
        Self(match ips {
            [] => Few::None,
            [one] => Few::One(*one),
            more => Few::More(more.into()),
        })
    }
}

impl From<Vec<IpAddr>> for Ips {
    fn from(ips: Vec<IpAddr>) -> Self {
        Self::from(&*ips)
    }
}

impl Deref for Ips {
    type Target = [IpAddr];

    fn deref(&self) -> &[IpAddr] {
        match &self.0 {
            Few::None => &[],
            Few::One(one) => std::slice::from_ref(one),
            Few::More(more) => more,
        }
    }
}

impl fmt::Debug for Ips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_list() {
        let ips: Vec<IpAddr> = ["10.1.0.1", "fd00::1", "10.1.0.2"]
            .map(|text| text.parse().expect("an address"))
            .into();
        for count in 0..=3 {
            let some = ips.get(..count).expect("so many");
            assert_eq!(*Ips::from(some), *some);
        }
        assert_ne!(Ips::default(), Ips::from(&*ips));
    }
}
