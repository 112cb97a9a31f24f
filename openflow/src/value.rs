//! [`Value`]: the bits of a field, whatever its width.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::types::MacAddr;

/// The value or the mask of a field, in network byte order.
///
/// Up to 16 bytes are stored in place; only tunnel metadata can be longer. Two values are equal
/// when they have the same length and the same bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Repr);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Repr {
    /// A number of `len` bytes, 1 to 16; the bits above are zero.
    Short { len: u8, hi: u64, lo: u64 },
    /// More than 16 bytes.
    Long(Box<[u8]>),
}

/// A value of at most 16 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) len: u8,
    pub(crate) hi: u64,
    pub(crate) lo: u64,
}

impl Value {
    /// The number `bits` in `len` bytes (at most 16); higher bits are cut off.
    #[must_use]
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "what is cut off is meant to be"
    )]
    pub const fn new(bits: u128, len: usize) -> Self {
        let len = if len > 16 { 16 } else { len };
        let bits = if len == 16 {
            bits
        } else {
            bits & ((1u128 << (len * 8)) - 1)
        };
        Value(Repr::Short {
            len: len as u8,
            hi: (bits >> 64) as u64,
            lo: bits as u64,
        })
    }

    /// A value of up to eight bytes. The caller has cut off higher bits.
    #[inline]
    pub(crate) const fn from_u64(bits: u64, len: u8) -> Self {
        Value(Repr::Short {
            len,
            hi: 0,
            lo: bits,
        })
    }

    /// A value of up to 16 bytes, the high half first. The caller has cut off higher bits.
    #[inline]
    pub(crate) const fn from_halves([hi, lo]: [u64; 2], len: u8) -> Self {
        Value(Repr::Short { len, hi, lo })
    }

    /// Its number and length, if it has at most 16 bytes.
    #[inline]
    pub(crate) const fn parts(&self) -> Option<Parts> {
        match self.0 {
            Repr::Short { len, hi, lo } => Some(Parts { len, hi, lo }),
            Repr::Long(_) => None,
        }
    }

    /// All ones, `len` bytes.
    #[must_use]
    #[inline]
    pub fn ones(len: usize) -> Self {
        match len {
            1..=8 => Value::from_u64(u64::MAX >> (64 - 8 * len), u8::try_from(len).unwrap_or(8)),
            0..=16 => Value::new(u128::MAX, len),
            _ => Value(Repr::Long(vec![0xff; len].into())),
        }
    }

    /// All zeros, `len` bytes.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        if len <= 16 {
            Value::new(0, len)
        } else {
            Value(Repr::Long(vec![0; len].into()))
        }
    }

    /// The value with these bytes.
    #[must_use]
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // The widths that fields have, each as one load.
        match *bytes {
            [a] => Value::from_u64(a.into(), 1),
            [a, b] => Value::from_u64(u16::from_be_bytes([a, b]).into(), 2),
            [a, b, c, d] => Value::from_u64(u32::from_be_bytes([a, b, c, d]).into(), 4),
            [a, b, c, d, e, f] => Value::from_u64(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), 6),
            _ => Value::from_other_bytes(bytes),
        }
    }

    fn from_other_bytes(bytes: &[u8]) -> Self {
        if let Ok(b) = <[u8; 16]>::try_from(bytes) {
            return Value::new(u128::from_be_bytes(b), 16);
        }
        if bytes.len() > 16 {
            return Value(Repr::Long(bytes.into()));
        }
        let bits = bytes.iter().fold(0u128, |acc, b| acc << 8 | u128::from(*b));
        Value::new(bits, bytes.len())
    }

    /// How many bytes it has.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        match &self.0 {
            Repr::Short { len, .. } => *len as usize,
            Repr::Long(bytes) => bytes.len(),
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The low 128 bits as a number.
    #[must_use]
    #[inline]
    pub fn to_u128(&self) -> u128 {
        match &self.0 {
            Repr::Short { hi, lo, .. } => (*hi as u128) << 64 | *lo as u128,
            Repr::Long(bytes) => bytes
                .last_chunk::<16>()
                .map_or(0, |b| u128::from_be_bytes(*b)),
        }
    }

    /// The low 64 bits as a number.
    #[must_use]
    #[inline]
    pub fn to_u64(&self) -> u64 {
        match &self.0 {
            Repr::Short { lo, .. } => *lo,
            Repr::Long(bytes) => bytes
                .last_chunk::<8>()
                .map_or(0, |b| u64::from_be_bytes(*b)),
        }
    }

    /// The low 32 bits as a number.
    #[must_use]
    #[inline]
    pub fn to_u32(&self) -> u32 {
        (self.to_u64() & 0xffff_ffff) as u32
    }

    /// The low 16 bits as a number.
    #[must_use]
    #[inline]
    pub fn to_u16(&self) -> u16 {
        (self.to_u64() & 0xffff) as u16
    }

    /// The low 8 bits as a number.
    #[must_use]
    #[inline]
    pub fn to_u8(&self) -> u8 {
        (self.to_u64() & 0xff) as u8
    }

    /// The low 48 bits as an Ethernet address.
    #[must_use]
    pub fn to_mac(&self) -> MacAddr {
        let [_, _, a, b, c, d, e, f] = self.to_u64().to_be_bytes();
        MacAddr([a, b, c, d, e, f])
    }

    /// The low 32 bits as an IPv4 address.
    #[must_use]
    pub fn to_ipv4(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.to_u32())
    }

    /// The low 128 bits as an IPv6 address.
    #[must_use]
    pub fn to_ipv6(&self) -> Ipv6Addr {
        Ipv6Addr::from(self.to_u128())
    }

    /// How many bytes it has without leading zeros.
    #[must_use]
    pub(crate) fn significant_len(&self) -> usize {
        let bytes = self.to_bytes();
        bytes.len() - bytes.iter().take_while(|b| **b == 0).count()
    }

    /// Its bytes in network order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Repr::Short { len, .. } => {
                let be = self.to_u128().to_be_bytes();
                be.get(16 - usize::from(*len)..)
                    .unwrap_or_default()
                    .to_vec()
            }
            Repr::Long(bytes) => bytes.to_vec(),
        }
    }

    /// Writes its bytes.
    #[inline(always)]
    pub(crate) fn put(&self, w: &mut crate::wire::Writer<'_>) {
        match &self.0 {
            Repr::Short { len: 4, lo, .. } => w.u32((*lo & 0xffff_ffff) as u32),
            Repr::Short { len: 2, lo, .. } => w.u16((*lo & 0xffff) as u16),
            Repr::Short { len: 1, lo, .. } => w.u8((*lo & 0xff) as u8),
            Repr::Short { len: 6, lo, .. } => {
                let [_, _, rest @ ..] = lo.to_be_bytes();
                w.array::<6>(&rest);
            }
            Repr::Short { len: 8, lo, .. } => w.u64(*lo),
            Repr::Short { len: 16, hi, lo } => {
                w.u64(*hi);
                w.u64(*lo);
            }
            Repr::Short { len, .. } => {
                let be = self.to_u128().to_be_bytes();
                w.bytes(be.get(16 - usize::from(*len)..).unwrap_or_default());
            }
            Repr::Long(bytes) => w.bytes(bytes),
        }
    }

    /// Whether every bit is zero.
    #[must_use]
    #[inline]
    pub fn is_zero(&self) -> bool {
        match &self.0 {
            Repr::Short { hi, lo, .. } => hi | lo == 0,
            Repr::Long(bytes) => bytes.iter().all(|b| *b == 0),
        }
    }

    /// Whether every bit is one.
    #[must_use]
    #[inline]
    pub fn is_ones(&self) -> bool {
        match &self.0 {
            Repr::Short { len, hi, lo } => {
                let n = u32::from(*len) * 8;
                if n <= 64 {
                    n != 0 && *lo == u64::MAX >> (64 - n)
                } else {
                    *lo == u64::MAX && *hi == u64::MAX >> (128 - n)
                }
            }
            Repr::Long(bytes) => bytes.iter().all(|b| *b == 0xff),
        }
    }

    /// The bits that both have; as long as `self`.
    #[must_use]
    pub fn and(&self, other: &Value) -> Value {
        match (&self.0, &other.0) {
            (Repr::Short { len, hi, lo }, Repr::Short { hi: h, lo: l, .. }) => Value(Repr::Short {
                len: *len,
                hi: hi & h,
                lo: lo & l,
            }),
            _ => self.zip(other, |a, b| a & b),
        }
    }

    /// The bits that either has; as long as `self`.
    #[must_use]
    pub fn or(&self, other: &Value) -> Value {
        let other = other.resized(self.len());
        match (&self.0, &other.0) {
            (Repr::Short { len, hi, lo }, Repr::Short { hi: h, lo: l, .. }) => Value(Repr::Short {
                len: *len,
                hi: hi | h,
                lo: lo | l,
            }),
            _ => self.zip(&other, |a, b| a | b),
        }
    }

    fn zip(&self, other: &Value, f: fn(u8, u8) -> u8) -> Value {
        let other = other.resized(self.len()).to_bytes();
        let bytes: Vec<u8> = self
            .to_bytes()
            .iter()
            .zip(&other)
            .map(|(a, b)| f(*a, *b))
            .collect();
        Value::from_bytes(&bytes)
    }

    /// Whether it has a one where `mask` has a zero.
    #[must_use]
    #[inline]
    pub fn exceeds(&self, mask: &Value) -> bool {
        match (&self.0, &mask.0) {
            (Repr::Short { hi, lo, .. }, Repr::Short { hi: h, lo: l, .. }) => {
                (hi & !h) | (lo & !l) != 0
            }
            _ => self.and(mask) != *self,
        }
    }

    /// The same number in `len` bytes: zeros are added, or high bytes cut off, at the left.
    #[must_use]
    #[inline]
    pub fn resized(&self, len: usize) -> Value {
        match &self.0 {
            Repr::Short { len: n, .. } if usize::from(*n) == len => self.clone(),
            Repr::Short { .. } if len <= 16 => Value::new(self.to_u128(), len),
            _ => {
                let bytes = self.to_bytes();
                let mut out = vec![0; len];
                for (to, from) in out.iter_mut().rev().zip(bytes.iter().rev()) {
                    *to = *from;
                }
                Value::from_bytes(&out)
            }
        }
    }

    /// The bits `start..start + n`, as a number (`n` at most 128).
    #[must_use]
    pub fn bits(&self, start: u32, n: u32) -> u128 {
        let bytes = self.to_bytes();
        (0..n.min(128)).fold(0, |acc, i| acc | u128::from(bit(&bytes, start + i)) << i)
    }

    /// Sets the bits `start..start + n` to the low bits of `bits`.
    #[must_use]
    pub fn with_bits(&self, start: u32, n: u32, bits: u128) -> Value {
        if self.len() <= 16 {
            let mask = if n >= 128 {
                u128::MAX
            } else {
                (1u128 << n) - 1
            };
            let shifted = |v: u128| v.checked_shl(start).unwrap_or(0);
            let old = self.to_u128() & !shifted(mask);
            return Value::new(old | shifted(bits & mask), self.len());
        }
        let mut bytes = self.to_bytes();
        for i in 0..n {
            let on = i < 128 && bits >> i & 1 == 1;
            let at = (start + i) as usize;
            let byte = bytes.len().checked_sub(1 + at / 8);
            if let Some(byte) = byte.and_then(|i| bytes.get_mut(i)) {
                *byte = *byte & !(1 << (at % 8)) | u8::from(on) << (at % 8);
            }
        }
        Value::from_bytes(&bytes)
    }

    /// The first bit from `from` on, below `end`, that is `target`; `end` when there is none.
    #[must_use]
    pub fn scan(&self, target: bool, from: u32, end: u32) -> u32 {
        let bytes = self.to_bytes();
        (from..end)
            .find(|i| bit(&bytes, *i) == target)
            .unwrap_or(end)
    }
}

fn bit(bytes: &[u8], i: u32) -> bool {
    let at = i as usize;
    let byte = bytes
        .len()
        .checked_sub(1 + at / 8)
        .and_then(|k| bytes.get(k));
    byte.is_some_and(|b| b >> (at % 8) & 1 == 1)
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.to_bytes()
            .iter()
            .try_for_each(|b| write!(f, "{b:02x}"))
    }
}

macro_rules! from_int {
    ($($ty:ty)*) => {$(
        impl From<$ty> for Value {
            #[inline]
            fn from(v: $ty) -> Self { Value::new(v.into(), size_of::<$ty>()) }
        }
    )*};
}
from_int!(u8 u16 u32 u64 u128);

impl From<[u8; 6]> for Value {
    fn from(mac: [u8; 6]) -> Self {
        Value::from_bytes(&mac)
    }
}

impl From<MacAddr> for Value {
    fn from(mac: MacAddr) -> Self {
        Value::from_bytes(&mac.0)
    }
}

impl From<Ipv4Addr> for Value {
    fn from(ip: Ipv4Addr) -> Self {
        Value::from(u32::from(ip))
    }
}

impl From<Ipv6Addr> for Value {
    fn from(ip: Ipv6Addr) -> Self {
        Value::from(u128::from(ip))
    }
}

impl From<crate::types::PortNo> for Value {
    fn from(port: crate::types::PortNo) -> Self {
        Value::from(port.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_and_bits() {
        for len in [1, 2, 4, 6, 8, 16, 20] {
            assert!(Value::ones(len).is_ones());
            assert!(!Value::zeros(len).is_ones());
            assert!(Value::zeros(len).is_zero());
            let v = Value::zeros(len).with_bits(3, 4, 0xf);
            assert_eq!(v.bits(3, 4), 0xf);
            assert_eq!(v.scan(true, 0, 8), 3);
            assert_eq!(v.scan(false, 3, 8), 7);
        }
        assert_eq!(Value::from(0x1234u16).resized(4), Value::from(0x1234u32));
        assert_eq!(size_of::<Option<Value>>(), 24);
    }
}
