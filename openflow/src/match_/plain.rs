//! Reads the fields about which there is nothing special: almost all that a switch sends.
//!
//! Short fields, in order, each canonical as it comes. What is needed to know of them is in a small
//! table, made at compile time from the table of fields. Whatever is not plain, or is wrong, is
//! left to the general way.

use super::canonical::{IS_PLAIN, is_number_valid};
use super::{Entry, Facts};
use crate::field::{Field, Prerequisite};

/// Reads fields as long as they are plain.
pub(super) struct PlainFields<'a> {
    /// What is left, from the first field on that was not read.
    pub(super) rest: &'a [u8],
    /// What the fields so far say.
    pub(super) facts: Facts,
    /// Whether prerequisites are asked for.
    pub(super) strict: bool,
    /// The least [`Field::index`] that is after all entries.
    pub(super) end: u8,
}

impl PlainFields<'_> {
    /// The next field, if it is plain and nothing is wrong with it.
    #[inline(always)]
    pub(super) fn read(&mut self) -> Option<Entry> {
        let (word, rest) = self.rest.split_first_chunk::<4>()?;
        let word = u32::from_be_bytes(*word);
        let table = match word >> 16 {
            0x8000 => &BASIC,
            0x0001 => &NXM1,
            _ => return None,
        };
        let known = table.get((word >> 9 & 0x7f) as usize)?;
        let masked = word & 0x100 != 0;
        let len = known.len;
        if len == 0 || word & 0xff != u32::from(len) << u8::from(masked) {
            return None;
        }
        let field = known.field;
        let ones = u64::MAX >> (64 - 8 * u32::from(len));
        let (value, mut rest) = number(rest, len)?;
        let mut mask = ones;
        if masked {
            (mask, rest) = number(rest, len)?;
            if value & !mask != 0 || mask == 0 || (mask != ones && !known.maskable) {
                return None;
            }
        }
        if field.index() < self.end || (known.limited && !is_number_valid(field, value)) {
            return None;
        }
        if self.strict
            && known.prerequisite != Prerequisite::Nothing
            && !self.facts.has(known.prerequisite)
        {
            return None;
        }
        if known.is_fact {
            self.facts.add_number(field, value, mask);
        }
        self.end = field.index() + 1;
        self.rest = rest;
        Some(Entry::Short {
            value,
            mask,
            field,
            len,
        })
    }
}

/// Reads a number of `len` bytes, 1 to 8.
#[inline(always)]
fn number(bytes: &[u8], len: u8) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_at_checked(usize::from(len))?;
    // More bytes than the number has are read at once wherever there are more.
    let number = match bytes.first_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes) >> (64 - 8 * u32::from(len)),
        None => number.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)),
    };
    Some((number, rest))
}

/// What there is to know of a plain field.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Known {
    field: Field,
    /// How many bytes it has; 0 if it is not plain.
    len: u8,
    prerequisite: Prerequisite,
    maskable: bool,
    /// Whether there are values that it cannot have.
    limited: bool,
    /// Whether prerequisites of other fields look at it.
    is_fact: bool,
}

static BASIC: [Known; 128] = known(0x8000);
static NXM1: [Known; 128] = known(0x0001);

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time only, and plain fields are short"
)]
const fn known(class: u16) -> [Known; 128] {
    let mut out = [Known {
        field: Field::PACKET_TYPE,
        len: 0,
        prerequisite: Prerequisite::Nothing,
        maskable: false,
        limited: true,
        is_fact: false,
    }; 128];
    let mut i = 0;
    while let Some(field) = Field::at(i) {
        if let Some(number) = field.number_in(class)
            && IS_PLAIN[i]
            && field.bytes() <= 8
        {
            out[number as usize] = Known {
                field,
                len: field.bytes() as u8,
                prerequisite: field.prerequisite(),
                maskable: field.is_maskable(),
                limited: field.bits() as usize != field.bytes() * 8
                    || field.index() == Field::IN_PORT.index()
                    || field.index() == Field::ACTSET_OUTPUT.index()
                    || field.index() == Field::ARP_OP.index()
                    || field.index() == Field::NSH_MDTYPE.index(),
                is_fact: Facts::concern(field),
            };
        }
        i += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlimited_field_can_have_any_value() {
        let fields = BASIC.iter().chain(&NXM1).filter(|known| known.len != 0);
        assert!(fields.clone().count() > 60);
        for known in fields.filter(|known| !known.limited) {
            let ones = u64::MAX >> (64 - 8 * u32::from(known.len));
            for value in [0, 1, ones / 2, ones - 1, ones] {
                assert!(is_number_valid(known.field, value), "{:?}", known.field);
            }
        }
    }
}
