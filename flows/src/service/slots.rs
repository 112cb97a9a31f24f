//! The slots of a Service: its endpoints by index.
//!
//! An endpoint that goes leaves a hole, which the next one to come fills: nobody else moves. What would go to a hole
//! goes to a live endpoint, chosen by a hash of the hole, so that a change moves little of that too. Once most slots
//! are holes the endpoints close ranks, except where clients keep their endpoint: the switch knows those by index.

use std::collections::HashSet;

use crate::model::Backend;
use crate::service::choice::{Choice, stable_mix};

/// The most slots that a Service can have: an index has 16 bits.
const MAX: usize = 1 << 16;

/// Endpoints by index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slots {
    slots: Vec<Option<Backend>>,
    live: usize,
}

/// What a packet finds at an index, or at a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    /// The index.
    pub(crate) index: u16,
    /// The source-port bits, where an index without an endpoint is shared out by them.
    pub(crate) bits: Option<u8>,
    /// Whether the index has no endpoint of its own.
    pub(crate) hole: bool,
}

impl Slots {
    /// No indices.
    pub(crate) const fn none() -> Self {
        Self {
            slots: Vec::new(),
            live: 0,
        }
    }

    /// These endpoints in their order, without holes.
    pub fn fresh(backends: &[Backend]) -> Self {
        let slots: Vec<_> = backends.iter().take(MAX).copied().map(Some).collect();
        let live = slots.len();
        Self { slots, live }
    }

    /// Endpoints where they were found, with holes up to the number of slots that was found.
    pub(crate) fn found(shape: usize, at: impl IntoIterator<Item = (u16, Backend)>) -> Self {
        let mut slots = vec![None; shape.min(MAX)];
        let mut seen = HashSet::new();
        for (index, backend) in at {
            if let Some(slot) = slots.get_mut(usize::from(index))
                && slot.is_none()
                && seen.insert(backend)
            {
                *slot = Some(backend);
            }
        }
        let live = seen.len();
        Self { slots, live }
    }

    /// How many indices there are.
    pub fn shape(&self) -> usize {
        self.slots.len()
    }

    /// How many of them have an endpoint.
    pub fn live(&self) -> usize {
        self.live
    }

    /// The endpoint at an index.
    pub fn get(&self, index: usize) -> Option<Backend> {
        self.slots.get(index).copied().flatten()
    }

    /// Every endpoint with its index.
    pub fn iter(&self) -> impl Iterator<Item = (u16, Backend)> {
        let indices = 0..=u16::MAX;
        indices
            .zip(&self.slots)
            .filter_map(|(index, slot)| slot.map(|backend| (index, backend)))
    }

    /// Takes endpoints out, and puts others in where there is room. `firm` slots never move.
    pub(crate) fn change(&mut self, gone: &[Backend], come: &[Backend], firm: bool) {
        if !gone.is_empty() {
            let gone: HashSet<&Backend> = gone.iter().collect();
            for slot in &mut self.slots {
                if slot.is_some_and(|backend| gone.contains(&backend)) {
                    *slot = None;
                    self.live -= 1;
                }
            }
        }
        let mut come = come.iter().copied();
        let holes = self.slots.len() - self.live;
        if holes > 0 {
            let free = self.slots.iter_mut().filter(|slot| slot.is_none());
            for (slot, backend) in free.zip(&mut come) {
                *slot = Some(backend);
                self.live += 1;
            }
        }
        for backend in come.take(MAX - self.slots.len()) {
            self.slots.push(Some(backend));
            self.live += 1;
        }
        self.tidy(firm);
    }

    /// Closes ranks if most slots are holes.
    pub(crate) fn tidy(&mut self, firm: bool) {
        if self.live == 0 {
            self.slots.clear();
        } else if firm {
            let end = self.slots.iter().rposition(Option::is_some);
            self.slots.truncate(end.map_or(0, |last| last + 1));
        } else if (self.slots.len() - self.live) * 2 > self.slots.len() {
            self.slots.retain(Option::is_some);
        }
    }

    /// What a packet finds at each index, in order.
    pub(crate) fn entries(&self, choice: Choice) -> Vec<(Slot, Backend)> {
        let mut entries = Vec::with_capacity(self.slots.len());
        for (index, slot) in (0..=u16::MAX).zip(&self.slots) {
            match slot {
                Some(backend) => {
                    let slot = Slot {
                        index,
                        bits: None,
                        hole: false,
                    };
                    entries.push((slot, *backend));
                }
                None => {
                    for bits in choice.parts(index) {
                        let seed = u64::from(index) << 8 | u64::from(bits.unwrap_or_default());
                        if let Some(backend) = self.stand_in(seed) {
                            let slot = Slot {
                                index,
                                bits,
                                hole: true,
                            };
                            entries.push((slot, backend));
                        }
                    }
                }
            }
        }
        entries
    }

    /// The endpoint that stands in for a hole: the first live one of an endless sequence that the seed starts.
    fn stand_in(&self, seed: u64) -> Option<Backend> {
        if self.live == 0 {
            return None;
        }
        let shape = u64::try_from(self.slots.len()).ok()?;
        let mut tries = (0u64..).map(|n| stable_mix(seed << 20 | n) % shape);
        tries.find_map(|index| self.get(usize::try_from(index).ok()?))
    }
}

/// What is in the first sorted list only, and what in the second only.
pub(crate) fn changes(before: &[Backend], after: &[Backend]) -> (Vec<Backend>, Vec<Backend>) {
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    loop {
        match (before.peek(), after.peek()) {
            (Some(b), Some(a)) if b == a => {
                before.next();
                after.next();
            }
            (Some(b), Some(a)) if b < a => gone.extend(before.next()),
            (Some(_), None) => gone.extend(before.next()),
            (_, Some(_)) => come.extend(after.next()),
            (None, None) => return (gone, come),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(n: u8) -> Backend {
        Backend {
            ip: [10, 0, 0, n].into(),
            port: 80,
        }
    }

    fn backends(range: std::ops::Range<u8>) -> Vec<Backend> {
        range.map(backend).collect()
    }

    #[test]
    fn an_endpoint_that_goes_moves_nobody() {
        let mut slots = Slots::fresh(&backends(0..4));
        slots.change(&[backend(1)], &[], false);
        assert_eq!((slots.shape(), slots.live()), (4, 3));
        assert_eq!(slots.get(2), Some(backend(2)));
        slots.change(&[], &[backend(9)], false);
        assert_eq!(slots.get(1), Some(backend(9)), "fills the hole");
        slots.change(&[], &[backend(10)], false);
        assert_eq!(slots.shape(), 5);
    }

    #[test]
    fn ranks_close_when_most_are_gone_unless_clients_know_the_index() {
        let mut slots = Slots::fresh(&backends(0..4));
        slots.change(&backends(0..3), &[], false);
        assert_eq!(slots, Slots::fresh(&[backend(3)]));
        let mut firm = Slots::fresh(&backends(0..4));
        firm.change(&[backend(0), backend(1), backend(3)], &[], true);
        assert_eq!((firm.shape(), firm.get(2)), (3, Some(backend(2))));
        firm.change(&[backend(2)], &[], true);
        assert_eq!(firm.shape(), 0);
    }

    #[test]
    fn holes_are_shared_out_and_change_little() {
        let mut slots = Slots::fresh(&backends(0..63));
        let choice = Choice::of(63, false);
        slots.change(&[backend(7)], &[], false);
        let before = slots.entries(choice);
        assert_eq!(before.iter().filter(|(slot, _)| !slot.hole).count(), 62);
        let shared: HashSet<_> = before.iter().filter(|(slot, _)| slot.hole).collect();
        assert!(shared.len() >= 4, "{shared:?}");
        slots.change(&[backend(40)], &[], false);
        let after = slots.entries(choice);
        for (slot, backend_) in before.iter().filter(|(slot, _)| slot.hole) {
            if *backend_ != backend(40) {
                assert!(after.contains(&(*slot, *backend_)));
            }
        }
    }

    #[test]
    fn lists_are_compared() {
        let (a, b) = (backends(0..5), backends(3..8));
        assert_eq!(changes(&a, &b), (backends(0..3), backends(5..8)));
        assert_eq!(changes(&a, &a), (vec![], vec![]));
    }
}
