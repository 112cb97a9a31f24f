//! Pods. There are many of them, so that every byte counts.

use std::{fmt, net::IpAddr, ops::Deref, sync::Arc};

use sluice_flows::model::{Labels, NamedPort, Uid};

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The node it runs on; empty before it is scheduled.
    pub node: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// The ports of its containers that have a name.
    pub ports: Arc<Vec<NamedPort>>,
    /// Its addresses (`status.podIPs`, or else `status.podIP`).
    pub ips: Ips,
    /// Its UID; that of the empty text in a manifest that no server has seen.
    pub uid: Uid,
    /// Whether it shares its node's network; such a pod has the node's addresses and none of ours.
    pub host_network: bool,
    /// Whether its containers have ended for good, so that its addresses may be another's.
    pub finished: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it is ready: its `Ready` condition, or true where nobody has noted any condition.
    pub ready: bool,
}

// Of 100,000 pods each takes one allocation of this size, and one for its name.
const _: () = assert!(size_of::<Pod>() <= 112);

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
    fn from(ips: &[IpAddr]) -> Ips {
        Ips(match ips {
            [] => Few::None,
            [one] => Few::One(*one),
            more => Few::More(more.into()),
        })
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
