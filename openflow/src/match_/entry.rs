//! [`Entry`]: one field of a match with its value and mask, in as little room as it takes.
//!
//! Almost all fields have at most eight bytes; those are two numbers. Must not know what is canonical.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::error::EncodeError;
use crate::field::Field;
use crate::types::PortNo;
use crate::value::Value;
use crate::wire::Writer;

/// A field, its value and its mask. There is one way to hold each, but for leading zeros of tunnel metadata.
#[derive(Clone)]
pub(super) enum Entry {
    /// Value and mask have `len` bytes, at most eight.
    Short {
        value: u64,
        mask: u64,
        field: Field,
        len: u8,
    },
    /// They have `len` bytes, nine to sixteen; the high half comes first.
    Wide {
        value: [u64; 2],
        mask: [u64; 2],
        field: Field,
        len: u8,
    },
    /// They are longer, or differ in length, as tunnel metadata may.
    Long(Box<(Field, Value, Value)>),
}

impl Entry {
    #[inline]
    pub(super) fn new(field: Field, value: Value, mask: Value) -> Self {
        match (value.parts(), mask.parts()) {
            (Some(v), Some(m)) if v.len == m.len => {
                let len = v.len;
                if len <= 8 {
                    let (value, mask) = (v.lo, m.lo);
                    Entry::Short {
                        value,
                        mask,
                        field,
                        len,
                    }
                } else {
                    let (value, mask) = ([v.hi, v.lo], [m.hi, m.lo]);
                    Entry::Wide {
                        value,
                        mask,
                        field,
                        len,
                    }
                }
            }
            _ => Entry::Long(Box::new((field, value, mask))),
        }
    }

    #[inline]
    pub(super) fn field(&self) -> Field {
        match self {
            Entry::Short { field, .. } | Entry::Wide { field, .. } => *field,
            Entry::Long(long) => long.0,
        }
    }

    #[inline]
    pub(super) fn value(&self) -> Value {
        match self {
            Entry::Short { value, len, .. } => Value::from_u64(*value, *len),
            Entry::Wide { value, len, .. } => Value::from_halves(*value, *len),
            Entry::Long(long) => long.1.clone(),
        }
    }

    #[inline]
    pub(super) fn mask(&self) -> Value {
        match self {
            Entry::Short { mask, len, .. } => Value::from_u64(*mask, *len),
            Entry::Wide { mask, len, .. } => Value::from_halves(*mask, *len),
            Entry::Long(long) => long.2.clone(),
        }
    }

    /// By what entries are told apart: leading zeros do not count where lengths vary.
    fn key(&self) -> (Field, Value, Value) {
        let (field, mut value, mut mask) = (self.field(), self.value(), self.mask());
        if field.is_variable() {
            value = value.resized(value.significant_len());
            if !self.is_exact() {
                mask = mask.resized(mask.significant_len());
            }
        }
        (field, value, mask)
    }

    /// Whether the field goes out without a mask. Where lengths vary, a mask as long as a shorter
    /// value is still a mask.
    fn is_exact(&self) -> bool {
        let (field, mask) = (self.field(), self.mask());
        mask.is_ones() && (!field.is_variable() || mask.len() == field.bytes())
    }

    /// Writes it with its OpenFlow 1.3 header.
    #[inline]
    pub(super) fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        if let Entry::Short {
            value,
            mask,
            field,
            len,
        } = self
            && !field.is_variable()
        {
            let exact = *mask == u64::MAX >> (64 - 8 * u32::from(*len));
            field.put_oxm(w, !exact, usize::from(*len))?;
            Value::from_u64(*value, *len).put(w);
            if !exact {
                Value::from_u64(*mask, *len).put(w);
            }
            return Ok(());
        }
        let (field, value) = (self.field(), self.value());
        let exact = self.is_exact();
        field.put_oxm(w, !exact, value.len())?;
        value.put(w);
        if !exact {
            self.mask().put(w);
        }
        Ok(())
    }

    /// Writes it with the header that messages from before OpenFlow 1.2 use, if there is one.
    pub(super) fn encode_nxm(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        if let Some(port) = self.in_port().and_then(PortNo::to_u16) {
            Field::IN_PORT_NXM.put_nxm(w, false, 2)?;
            w.u16(port);
            return Ok(());
        }
        let (field, value) = (self.field(), self.value());
        if field == Field::IP_DSCP {
            Field::NW_TOS.put_nxm(w, false, 1)?;
            w.u8(value.to_u8() << 2);
            return Ok(());
        }
        let exact = self.is_exact();
        field.put_nxm(w, !exact, value.len())?;
        value.put(w);
        if !exact {
            self.mask().put(w);
        }
        Ok(())
    }

    /// The port, if it is a whole one that is matched on.
    fn in_port(&self) -> Option<PortNo> {
        let whole = self.field() == Field::IN_PORT && self.mask().is_ones();
        whole.then(|| PortNo(self.value().to_u32()))
    }
}

impl PartialEq for Entry {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Entry::Short {
                    value, mask, field, ..
                },
                Entry::Short {
                    value: v,
                    mask: m,
                    field: f,
                    ..
                },
            ) => (field, value, mask) == (f, v, m),
            _ => self.key() == other.key(),
        }
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Entry::Short {
                value, mask, field, ..
            } if !field.is_variable() => (field, value, mask).hash(state),
            _ => self.key().hash(state),
        }
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By field, then by value, then by mask, however they are held.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={:?}/{:?}", self.field(), self.value(), self.mask())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        assert_eq!(size_of::<Entry>(), 40);
        for len in [1, 8, 9, 16, 17, 124] {
            let (value, mask) = (Value::ones(len).with_bits(0, 4, 5), Value::ones(len));
            let entry = Entry::new(Field::METADATA, value.clone(), mask.clone());
            assert_eq!(
                (entry.field(), entry.value(), entry.mask()),
                (Field::METADATA, value, mask)
            );
        }
    }
}
