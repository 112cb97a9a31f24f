//! What there is to know of a short field, in sixteen bytes: decoders look here first.
//!
//! Short are fields of at most eight bytes in the two classes that almost all fields are in. The table is made at
//! compile time from the table of fields.

use super::Facts;
use super::canonical::IS_PLAIN;
use crate::field::Field;

/// What there is to know of a short field.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(crate) struct Short {
    /// Its OXM header without mask. Looked up with that and equal to it, it is there and has the length it should.
    pub(crate) word: u32,
    /// The [bit](crate::field::Prerequisite::bit) of its prerequisite.
    pub(crate) needs: u32,
    pub(crate) field: Field,
    /// How many bytes it has, 1 to 8.
    pub(crate) len: u8,
    pub(crate) bits: u8,
    flags: u8,
    /// How many bits eight bytes have more than it.
    shift: u8,
}

const PLAIN: u8 = 1;
const MASKABLE: u8 = 2;
const LIMITED: u8 = 4;
const FACT: u8 = 8;
const WRITABLE: u8 = 16;

impl Short {
    /// The only one that the OXM header `word` may be of.
    #[inline(always)]
    #[allow(clippy::indexing_slicing, reason = "eight bits index all of the table")]
    pub(crate) fn of(word: u32) -> &'static Short {
        &SHORT[(word >> 9 & 0xff) as usize]
    }

    /// Its OXM header with a mask.
    #[inline(always)]
    pub(crate) const fn masked_word(&self) -> u32 {
        self.word + 0x100 + self.len as u32
    }

    /// By how many bits to shift eight bytes that begin with it.
    #[inline(always)]
    pub(crate) const fn shift(&self) -> u32 {
        self.shift as u32 & 63
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

/// By number and the last bit of the class: the ones of the class 0x8000 come first, then those of 0x0001.
static SHORT: [Short; 256] = short_fields();

const NONE: Short = Short {
    word: 0,
    field: Field::PACKET_TYPE,
    len: 0,
    bits: 0,
    flags: 0,
    shift: 0,
    needs: 0,
};

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time only, and these fields are short"
)]
const fn short_fields() -> [Short; 256] {
    let mut out = [NONE; 256];
    let mut place = 0;
    while place < 256 {
        // A header of another place.
        out[place].word = (place as u32 ^ 1) << 9;
        place += 1;
    }
    let mut i = 0;
    while let Some(field) = Field::at(i) {
        i += 1;
        if field.bytes() > 8 {
            continue;
        }
        let short = short(field);
        if let Some(number) = field.number_in(0x0001) {
            out[0x80 | number as usize] = short.with_header(0x0001, number);
        }
        if let Some(number) = field.number_in(0x8000) {
            out[number as usize] = short.with_header(0x8000, number);
        }
    }
    out
}

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time only, and these fields are short"
)]
const fn short(field: Field) -> Short {
    let limited = field.bits() as usize != field.bytes() * 8
        || field.index() == Field::IN_PORT.index()
        || field.index() == Field::ACTSET_OUTPUT.index()
        || field.index() == Field::ARP_OP.index()
        || field.index() == Field::NSH_MDTYPE.index();
    Short {
        field,
        len: field.bytes() as u8,
        bits: field.bits() as u8,
        shift: 64 - 8 * field.bytes() as u8,
        flags: flag(PLAIN, IS_PLAIN[field.index() as usize])
            | flag(MASKABLE, field.is_maskable())
            | flag(LIMITED, limited)
            | flag(FACT, Facts::concern(field))
            | flag(WRITABLE, field.is_writable()),
        needs: field.prerequisite().bit(),
        ..NONE
    }
}

impl Short {
    const fn with_header(self, class: u32, number: u8) -> Short {
        let word = class << 16 | (number as u32) << 9;
        Short {
            word: word | self.len as u32,
            ..self
        }
    }
}

const fn flag(bit: u8, set: bool) -> u8 {
    if set { bit } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::canonical::is_number_valid;
    use super::*;

    #[test]
    fn each_is_found_by_its_headers_alone() {
        for (place, short) in SHORT.iter().enumerate() {
            for word in [short.word, short.masked_word()] {
                let found = std::ptr::eq(Short::of(word), short);
                assert_eq!(found, short.len != 0, "{place}: {word:#x}");
                let header = crate::field::OxmHeader {
                    word,
                    experimenter: 0,
                };
                assert!(!found || header.field() == Some(short.field));
            }
        }
    }

    #[test]
    fn an_unlimited_field_can_have_any_value() {
        let fields = SHORT.iter().filter(|s| s.len != 0);
        assert!(fields.clone().count() > 60);
        for short in fields.filter(|s| s.is_plain() && !s.is_limited()) {
            let ones = u64::MAX >> (64 - 8 * u32::from(short.len));
            for value in [0, 1, ones / 2, ones - 1, ones] {
                assert!(is_number_valid(short.field, value), "{:?}", short.field);
            }
        }
    }
}
