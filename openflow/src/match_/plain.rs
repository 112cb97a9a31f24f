//! Reads the fields about which there is nothing special: almost all that a switch sends.
//!
//! [Short] fields, in order, each canonical as it comes. Whatever is not so, or is wrong, is left to the general way.

use super::canonical::is_number_valid;
use super::short::Short;
use super::{Entry, Facts};
use crate::field::Field;
use crate::value::Value;

/// Every prerequisite.
pub(super) const ALL: u32 = u32::MAX;

/// Reads fields as long as they are plain.
pub(super) struct PlainFields<'a> {
    /// From the first field on that was not read. What comes after the fields may be there too: a number is read
    /// with the bytes after it, all at once.
    pub(super) bytes: &'a [u8],
    /// How many bytes of fields are left.
    pub(super) left: usize,
    /// What the fields so far say.
    pub(super) facts: Facts,
    /// The [bits](crate::field::Prerequisite::bit) of the prerequisites that hold; all of them if none is asked for.
    pub(super) satisfied: u32,
    /// The least [`Field::index`](crate::Field::index) that is after all entries.
    pub(super) end: u8,
}

impl PlainFields<'_> {
    /// The next field, if it is plain and nothing is wrong with it.
    #[inline(always)]
    pub(super) fn read(&mut self) -> Option<Entry> {
        let [w0, w1, w2, w3, number @ ..] = *self.bytes.first_chunk::<12>()?;
        let word = u32::from_be_bytes([w0, w1, w2, w3]);
        let short = Short::of(word);
        let len = short.len;
        let masked = word != short.word;
        if !short.is_plain() || (masked && word != short.masked_word) {
            return None;
        }
        let size = 4 + (word & 0xff) as usize;
        self.left.checked_sub(size)?;
        let field = short.field;
        let shift = (64 - 8 * u32::from(len)) & 63;
        let value = u64::from_be_bytes(number) >> shift;
        let ones = u64::MAX >> shift;
        let mut mask = ones;
        if masked {
            let number = self.bytes.get(4 + usize::from(len)..)?.first_chunk::<8>()?;
            mask = u64::from_be_bytes(*number) >> shift;
            if value & !mask != 0 || mask == 0 || (mask != ones && !short.is_maskable()) {
                return None;
            }
        }
        if field.index() < self.end
            || (short.is_limited() && !is_number_valid(field, value))
            || short.needs & !self.satisfied != 0
        {
            return None;
        }
        self.bytes = self.bytes.get(size..)?;
        self.left -= size;
        if short.is_fact() {
            self.satisfied = note(&mut self.facts, self.satisfied, field, value, mask);
        }
        self.end = field.index() + 1;
        Some(Entry::Short {
            value,
            mask,
            field,
            len,
        })
    }

    /// Takes note of a field that was read in the general way.
    pub(super) fn note(&mut self, field: Field, value: &Value, mask: &Value) {
        if Facts::concern(field) {
            let (value, mask) = (value.to_u64(), mask.to_u64());
            self.satisfied = note(&mut self.facts, self.satisfied, field, value, mask);
        }
    }
}

/// Takes note of a field that prerequisites look at, and says which hold then. No more than the facts is passed by
/// reference, so that the rest stays in registers.
#[inline(never)]
fn note(facts: &mut Facts, satisfied: u32, field: Field, value: u64, mask: u64) -> u32 {
    facts.add_number(field, value, mask);
    if satisfied == ALL {
        ALL
    } else {
        facts.satisfied()
    }
}
