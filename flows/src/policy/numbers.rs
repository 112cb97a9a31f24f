//! The numbers that stand for content in flows: the same for the same state, whatever happened before.
//!
//! A number is a hash of the content, and the content's rank among those that share the hash. A content that comes
//! or goes may move others of its hash: then everything is written anew, which happens about never. Where more
//! contents share a hash than there are ranks (someone is at work on it), those too many get no number, and what
//! has none is allowed nothing.

use std::cmp::Ordering;
use std::collections::HashMap;

const RANK_BITS: u32 = 4;
const RANKS: usize = 1 << RANK_BITS;
/// How many bits of a number are hash.
pub(super) const HASH_BITS: u32 = 32 - RANK_BITS;

/// The numbers of one kind of content.
#[derive(Debug, Clone)]
pub(super) struct Numbers {
    bits: u32,
    groups: HashMap<u32, Vec<u32>>,
    /// How many have no number.
    excess: usize,
}

impl Numbers {
    /// `bits` of the hash are used: all of them, but for tests.
    pub(super) fn new(bits: u32) -> Self {
        Self {
            bits: bits.clamp(1, HASH_BITS),
            groups: HashMap::new(),
            excess: 0,
        }
    }

    /// Never zero, which is an empty register.
    fn hash(&self, digest: u64) -> u32 {
        u32::try_from(digest >> (64 - self.bits))
            .unwrap_or(u32::MAX)
            .max(1)
    }

    /// Adds a content; says whether others have another number now. `order` compares two contents.
    pub(super) fn insert(
        &mut self,
        digest: u64,
        id: u32,
        order: impl Fn(u32, u32) -> Ordering,
    ) -> bool {
        let group = self.groups.entry(self.hash(digest)).or_default();
        let at = group.partition_point(|other| order(*other, id) == Ordering::Less);
        group.insert(at, id);
        self.excess += usize::from(group.len() > RANKS);
        at + 1 < group.len()
    }

    /// Takes a content out; says whether others have another number now.
    pub(super) fn remove(&mut self, digest: u64, id: u32) -> bool {
        let hash = self.hash(digest);
        let Some(group) = self.groups.get_mut(&hash) else {
            return false;
        };
        self.excess -= usize::from(group.len() > RANKS);
        let Some(at) = group.iter().position(|other| *other == id) else {
            return false;
        };
        group.remove(at);
        let moved = at < group.len();
        if group.is_empty() {
            self.groups.remove(&hash);
        }
        moved
    }

    /// The number of a content that was added, unless there is none left for it.
    pub(super) fn get(&self, digest: u64, id: u32) -> Option<u32> {
        let hash = self.hash(digest);
        let rank = self
            .groups
            .get(&hash)?
            .iter()
            .position(|other| *other == id)?;
        let rank = u32::try_from(rank).ok()?;
        (rank < 1 << RANK_BITS).then_some((hash << RANK_BITS) | rank)
    }

    /// How many contents have no number.
    pub(super) fn excess(&self) -> usize {
        self.excess
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_follow_the_content() {
        let mut numbers = Numbers::new(1);
        let content = |id: u32| 100 - id;
        let order = |a: u32, b: u32| content(a).cmp(&content(b));
        assert!(!numbers.insert(0, 7, order));
        assert!(!numbers.insert(0, 3, order), "goes behind");
        assert!(numbers.insert(0, 9, order), "goes before");
        let ranks = [9, 7, 3].map(|id| numbers.get(0, id));
        assert_eq!(ranks, [Some(0x10), Some(0x11), Some(0x12)]);
        assert!(numbers.remove(0, 9));
        assert_eq!(numbers.get(0, 7), Some(0x10));
        assert!(!numbers.remove(0, 3));
    }

    #[test]
    fn those_too_many_have_none() {
        let mut numbers = Numbers::new(1);
        for id in 0..20 {
            numbers.insert(0, id, |a, b| a.cmp(&b));
        }
        assert_eq!(numbers.excess(), 4);
        assert_eq!(numbers.get(0, 15), Some(0x1f));
        assert_eq!(numbers.get(0, 16), None);
        for id in 0..20 {
            numbers.remove(0, id);
        }
        assert_eq!(numbers.excess(), 0);
    }
}
