//! Reads the fields about which there is nothing special: almost all that a switch sends.
//!
//! [Short] fields, in order, each canonical as it comes. Whatever is not so, or is wrong, is left to the general way.

use smallvec::SmallVec;

use super::canonical::is_number_valid;
use super::short::Short;
use super::{Entry, Facts};
use crate::field::{Field, Prerequisite};
use crate::value::Value;

/// Every prerequisite.
const ALL: u32 = u32::MAX;

/// Reads fields as long as they are plain.
pub(super) struct PlainFields<'a> {
    /// The fields. What comes after them may be there too: a number is read with the bytes after it, all at once.
    bytes: &'a [u8],
    /// Where in `bytes` the next field begins.
    pub(super) at: usize,
    /// Where the last field ends.
    pub(super) end: usize,
    /// What the fields so far say.
    pub(super) facts: Facts,
    /// The [bits](crate::field::Prerequisite::bit) of the prerequisites that hold; all of them if none is asked for.
    satisfied: u32,
    /// The least [`Field::index`](crate::Field::index) that is after all entries.
    pub(super) next: u8,
}

impl<'a> PlainFields<'a> {
    /// The fields in `bytes` up to `end`; `strict` if it is asked for prerequisites.
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8], end: usize, next: u8, strict: bool) -> Self {
        PlainFields {
            bytes,
            at: 0,
            end,
            facts: Facts::default(),
            satisfied: if strict {
                Prerequisite::Ethernet.bit()
            } else {
                ALL
            },
            next,
        }
    }

    /// What was not read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// Appends the next fields to `entries`, as long as they are plain and nothing is wrong with them.
    #[inline(always)]
    pub(super) fn read_to<const N: usize>(&mut self, entries: &mut SmallVec<[Entry; N]>)
    where
        [Entry; N]: smallvec::Array<Item = Entry>,
    {
        // Apart, so that they stay in registers.
        let (mut at, mut next, mut satisfied) = (self.at, self.next, self.satisfied);
        let mut facts = self.facts;
        let (bytes, end) = (self.bytes, self.end);
        while at != end {
            let Some((short, value, mask, after)) = read(bytes, at, end) else {
                break;
            };
            let (field, len) = (short.field, short.len);
            if field.index() < next || short.needs & !satisfied != 0 {
                break;
            }
            at = after;
            next = field.index() + 1;
            if short.is_fact() {
                satisfied = note(&mut facts, satisfied, field, value, mask);
            }
            entries.push(Entry::Short {
                value,
                mask,
                field,
                len,
            });
        }
        (self.at, self.next, self.satisfied, self.facts) = (at, next, satisfied, facts);
    }

    /// Takes note of a field that was read in the general way.
    pub(super) fn note(&mut self, field: Field, value: &Value, mask: &Value) {
        if Facts::concern(field) {
            let (value, mask) = (value.to_u64(), mask.to_u64());
            self.satisfied = note(&mut self.facts, self.satisfied, field, value, mask);
        }
    }
}

/// The field at `at`, if it is plain and nothing is wrong with it by itself: its value, its mask, and where the next one
/// begins.
#[inline(always)]
fn read(bytes: &[u8], at: usize, end: usize) -> Option<(&'static Short, u64, u64, usize)> {
    let [w0, w1, w2, w3, number @ ..] = *bytes.get(at..)?.first_chunk::<12>()?;
    let word = u32::from_be_bytes([w0, w1, w2, w3]);
    let short = Short::of(word);
    let after = at + 4 + (word & 0xff) as usize;
    if !short.is_plain() || after > end {
        return None;
    }
    let shift = short.shift();
    let value = u64::from_be_bytes(number) >> shift;
    let ones = u64::MAX >> shift;
    let mut mask = ones;
    if word != short.word {
        let mask_at = at + 4 + usize::from(short.len);
        let number = bytes.get(mask_at..)?.first_chunk::<8>()?;
        mask = u64::from_be_bytes(*number) >> shift;
        if word != short.masked_word()
            || value & !mask != 0
            || mask == 0
            || (mask != ones && !short.is_maskable())
        {
            return None;
        }
    }
    if short.is_limited() && !is_number_valid(short.field, value) {
        return None;
    }
    Some((short, value, mask, after))
}

/// Takes note of a field that prerequisites look at, and says which hold then. No more than the facts is passed by
/// reference, so that the rest stays in registers.
#[inline(never)]
fn note(facts: &mut Facts, satisfied: u32, field: Field, value: u64, mask: u64) -> u32 {
    match field {
        // Of these two, most flows have both.
        Field::ETH_TYPE => facts.dl_type = (value & 0xffff) as u16,
        Field::IP_PROTO => facts.nw_proto = (value & 0xff) as u8,
        _ => facts.add_number(field, value, mask),
    }
    if satisfied == ALL {
        ALL
    } else {
        facts.satisfied()
    }
}
