//! How an endpoint is chosen.
//!
//! | endpoints | by | megaflows |
//! |---|---|---|
//! | up to 64 | some bits of the client's port, the same way in all Services with as many | one per value of the bits |
//! | more | a hash of the client's address and six bits of its port | 64 per client |
//! | any, with affinity | what was learned of the client, else a hash of its address | one per client |
//!
//! The lowest bit of the port is left out: Linux picks even ports for clients. No choice looks at the whole port: each
//! connection would cost the switch an upcall.
//!
//! What a Service has once looked at of its clients, a [`Look`], it goes on looking at while it lives, whether its choice
//! needs it or not. Otherwise a switch would have flows cached that look at more than those it caches now: they overlap,
//! and before 2.17.8, 3.0.5 and 3.1.3 the userspace datapath of Open vSwitch, told to change one of two that overlap,
//! may change the other. A look that only grows has it forget what looks at too little.

/// The most endpoints that are chosen among by source-port bits alone.
pub(crate) const SMALL: usize = 64;

/// How many bits of a client's port go into the hash.
pub(crate) const HASHED_BITS: u8 = 6;

/// What is looked at of a client, to choose an endpoint of a Service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// So many bits of its port, from the second one on.
    pub(crate) bits: u8,
    /// Its address, or the last 32 bits of it, as soon as the packet comes.
    pub(crate) address: bool,
    /// Its address, once conntrack has been asked.
    pub(crate) address_of_new: bool,
}

impl Look {
    /// All that either looks at.
    pub(crate) fn with(self, other: Self) -> Self {
        Self {
            bits: self.bits.max(other.bits),
            address: self.address || other.address,
            address_of_new: self.address_of_new || other.address_of_new,
        }
    }
}

/// How an endpoint is chosen among a number of indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// There is none.
    Nothing,
    /// By so many bits of the source port, of which `index_of` makes an index.
    Bits {
        /// How many bits.
        bits: u8,
        /// How many indices.
        shape: u16,
    },
    /// By a hash of the client's address and of bits of its port.
    Hash {
        /// How many indices.
        shape: u32,
    },
    /// By what was learned of the client, else by a hash of its address.
    Client {
        /// How many indices.
        shape: u32,
    },
}

impl Choice {
    /// The choice among so many indices.
    pub fn of(shape: usize, affinity: bool) -> Self {
        match (u16::try_from(shape), u32::try_from(shape)) {
            (Ok(0), _) => Self::Nothing,
            (_, Ok(shape)) if affinity => Self::Client { shape },
            (Ok(small), _) if shape <= SMALL => Self::Bits {
                bits: bits_for(small),
                shape: small,
            },
            (_, Ok(shape)) => Self::Hash { shape },
            (_, Err(_)) => Self::Nothing,
        }
    }

    /// What it looks at.
    pub(crate) fn looks_at(self) -> Look {
        match self {
            Self::Nothing => Look::default(),
            Self::Bits { bits, .. } => Look {
                bits,
                ..Look::default()
            },
            Self::Hash { .. } => Look {
                bits: HASHED_BITS,
                address: true,
                ..Look::default()
            },
            Self::Client { .. } => Look {
                address_of_new: true,
                ..Look::default()
            },
        }
    }

    /// The source-port bits that lead to an index, or `None` once if no bits tell.
    pub(crate) fn parts(self, index: u16) -> Vec<Option<u8>> {
        match self {
            Self::Bits { bits, shape } => values(bits)
                .filter(|value| index_of(*value, bits, shape) == index)
                .map(Some)
                .collect(),
            _ => vec![None],
        }
    }
}

/// As many bits as spread evenly over `shape` indices: exactly, or so that an index has hardly more than its share.
fn bits_for(shape: u16) -> u8 {
    let wanted = if shape.is_power_of_two() {
        shape
    } else {
        (8 * shape).next_power_of_two().min(256)
    };
    u8::try_from(wanted.trailing_zeros()).unwrap_or(8)
}

/// Every value of so many bits.
pub(crate) fn values(bits: u8) -> impl Iterator<Item = u8> {
    let last = (1u16 << bits.min(8)) - 1;
    (0..=u8::MAX).take(usize::from(last) + 1)
}

/// The index that a value of the source-port bits stands for.
pub(crate) fn index_of(value: u8, bits: u8, shape: u16) -> u16 {
    let product = u32::from(value) * u32::from(shape);
    u16::try_from(product >> bits).unwrap_or_default()
}

/// SplitMix64: the same on every node and in every version.
pub(crate) fn stable_mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_spread_evenly() {
        for shape in 1..=64u16 {
            let Choice::Bits { bits, .. } = Choice::of(shape.into(), false) else {
                panic!("{shape}")
            };
            let mut count = vec![0u32; shape.into()];
            for value in values(bits) {
                count[usize::from(index_of(value, bits, shape))] += 1;
            }
            let (least, most) = (count.iter().min(), count.iter().max());
            assert!(least >= Some(&1), "{shape}: {count:?}");
            let differ = least != most;
            assert!(
                !differ || least.map(|n| n + 1).as_ref() == most,
                "{shape}: {count:?}"
            );
            assert!(!differ || least >= Some(&4), "{shape}: {count:?}");
            let parts: usize = (0..shape)
                .map(|i| Choice::of(shape.into(), false).parts(i).len())
                .sum();
            assert_eq!(parts, 1 << bits);
        }
    }
}
