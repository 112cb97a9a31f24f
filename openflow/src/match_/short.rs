//! What there is to know of a short field, in eight bytes: decoders look here first.
//!
//! Short are fields of at most eight bytes in the two classes that almost all fields are in. The table is made at
//! compile time from the table of fields.

use super::Facts;
use super::canonical::IS_PLAIN;
use crate::field::Field;

/// What there is to know of a short field.
#[derive(Clone, Copy)]
#[repr(align(8))]
pub(crate) struct Short {
    pub(crate) field: Field,
    /// How many bytes it has, 1 to 8; 0 if it is not short.
    pub(crate) len: u8,
    pub(crate) bits: u8,
    flags: u8,
    /// The [bit](crate::field::Prerequisite::bit) of its prerequisite.
    pub(crate) needs: u32,
}

const PLAIN: u8 = 1;
const MASKABLE: u8 = 2;
const LIMITED: u8 = 4;
const FACT: u8 = 8;
const WRITABLE: u8 = 16;

impl Short {
    /// The field of the OXM header `word`, whose length is not looked at. There is none if its `len` is 0.
    #[inline(always)]
    pub(crate) fn of(word: u32) -> &'static Short {
        let table = match word >> 16 {
            0x8000 => &BASIC,
            0x0001 => &NXM1,
            _ => return &NONE,
        };
        table.get((word >> 9 & 0x7f) as usize).unwrap_or(&NONE)
    }

    /// Whether it is canonical as it comes.
    #[inline(always)]
    pub(crate) const fn is_plain(&self) -> bool {
        self.flags & PLAIN != 0
    }

    #[inline(always)]
    pub(crate) const fn is_maskable(&self) -> bool {
        self.flags & MASKABLE != 0
    }

    /// Whether there are values that it cannot have.
    #[inline(always)]
    pub(crate) const fn is_limited(&self) -> bool {
        self.flags & LIMITED != 0
    }

    /// Whether prerequisites of other fields look at it.
    #[inline(always)]
    pub(crate) const fn is_fact(&self) -> bool {
        self.flags & FACT != 0
    }

    /// Whether actions may write it.
    #[inline(always)]
    pub(crate) const fn is_writable(&self) -> bool {
        self.flags & WRITABLE != 0
    }
}

static BASIC: [Short; 128] = short_fields(0x8000);
static NXM1: [Short; 128] = short_fields(0x0001);

static NONE: Short = Short {
    field: Field::PACKET_TYPE,
    len: 0,
    bits: 0,
    flags: 0,
    needs: 0,
};

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time only, and these fields are short"
)]
const fn short_fields(class: u16) -> [Short; 128] {
    let mut out = [NONE; 128];
    let mut i = 0;
    while let Some(field) = Field::at(i) {
        if let Some(number) = field.number_in(class)
            && field.bytes() <= 8
        {
            let limited = field.bits() as usize != field.bytes() * 8
                || field.index() == Field::IN_PORT.index()
                || field.index() == Field::ACTSET_OUTPUT.index()
                || field.index() == Field::ARP_OP.index()
                || field.index() == Field::NSH_MDTYPE.index();
            out[number as usize] = Short {
                field,
                len: field.bytes() as u8,
                bits: field.bits() as u8,
                flags: flag(PLAIN, IS_PLAIN[i])
                    | flag(MASKABLE, field.is_maskable())
                    | flag(LIMITED, limited)
                    | flag(FACT, Facts::concern(field))
                    | flag(WRITABLE, field.is_writable()),
                needs: field.prerequisite().bit(),
            };
        }
        i += 1;
    }
    out
}

const fn flag(bit: u8, set: bool) -> u8 {
    if set { bit } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::canonical::is_number_valid;
    use super::*;

    #[test]
    fn an_unlimited_field_can_have_any_value() {
        let fields = BASIC.iter().chain(&NXM1).filter(|s| s.len != 0);
        assert!(fields.clone().count() > 60);
        for short in fields.filter(|s| s.is_plain() && !s.is_limited()) {
            let ones = u64::MAX >> (64 - 8 * u32::from(short.len));
            for value in [0, 1, ones / 2, ones - 1, ones] {
                assert!(is_number_valid(short.field, value), "{:?}", short.field);
            }
        }
    }
}
