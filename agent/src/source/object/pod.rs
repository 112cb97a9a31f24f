//! Pods. There are many of them, so that every byte counts.

use std::{fmt, net::IpAddr, ops::Deref, sync::Arc};

use sluice_flows::model::{Labels, NamedPort};

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

/// A UID, good for telling whether two are the same.
///
/// Those that servers give are UUIDs, which are kept as they are; of anything else a hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uid([u8; 16]);

impl Uid {
    /// The UID that this text is.
    pub fn new(text: &str) -> Uid {
        Uid(uuid(text).unwrap_or_else(|| hash(text)))
    }
}

impl Default for Uid {
    fn default() -> Uid {
        Uid::new("")
    }
}

/// The bytes of a UUID in its usual form.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let dashes = [8, 13, 18, 23];
    let bytes = text.as_bytes();
    if bytes.len() != 36 || dashes.iter().any(|at| bytes.get(*at) != Some(&b'-')) {
        return None;
    }
    let mut digits = bytes
        .iter()
        .filter(|byte| **byte != b'-')
        .map(|byte| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        });
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = (digits.next()?? << 4) | digits.next()??;
    }
    digits.next().is_none().then_some(uuid)
}

/// 128 bits of FNV-1a.
fn hash(text: &str) -> [u8; 16] {
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in text.bytes() {
        hash = (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }
    hash.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_told_apart() {
        let all = [
            "",
            "1",
            "2",
            "web",
            "0c9f1d4e-c3a5-4f6e-9d2b-6f3b1a2c4d5e",
            "0c9f1d4e-c3a5-4f6e-9d2b-6f3b1a2c4d5f",
            "0C9F1D4E-c3a5-4f6e-9d2b-6f3b1a2c4d5e",
            "0c9f1d4ec3a54f6e9d2b6f3b1a2c4d5e",
            "0c9f1d4e-c3a5-4f6e-9d2b-6f3b1a2c-d5e",
        ];
        for (at, text) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate() {
                assert_eq!(
                    Uid::new(text) == Uid::new(other),
                    at == other_at,
                    "{text} {other}"
                );
            }
        }
        let kept = Uid::new("00010203-0405-0607-0809-0a0b0c0d0e0f");
        assert_eq!(
            kept.0,
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]
        );
        assert_eq!(Uid::default(), Uid::new(""));
    }

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
