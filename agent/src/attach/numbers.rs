//! OpenFlow port numbers for pods.
//!
//! The agent chooses them (`ofport_request`), so that a pod's flows can be installed while the
//! switch still makes its port. They go round, so that a number is not given to another pod soon:
//! flows of the old one may still be on their way out.

use std::collections::HashSet;

/// First number for pods; below are the bridge's own ports.
pub const FIRST: u32 = 1024;
/// Last number for pods.
pub const LAST: u32 = 65_000;

/// The numbers in use, and where the search for the next begins.
#[derive(Debug)]
pub struct Numbers {
    used: HashSet<u32>,
    next: u32,
}

impl Numbers {
    /// Starts with numbers in use; the first search begins at a place that differs from start to
    /// start (`seed`), because what was given out before is not known.
    pub fn new(used: impl IntoIterator<Item = u32>, seed: u32) -> Self {
        Self {
            used: used.into_iter().collect(),
            next: FIRST + seed % (LAST - FIRST + 1),
        }
    }

    /// A number that nobody has; `None` if all are taken.
    pub fn take(&mut self) -> Option<u32> {
        for _ in FIRST..=LAST {
            let number = self.next;
            self.next = if number == LAST { FIRST } else { number + 1 };
            if self.used.insert(number) {
                return Some(number);
            }
        }
        None
    }

    /// The number is used, whoever chose it.
    pub fn mark(&mut self, number: u32) {
        self.used.insert(number);
    }

    /// The number is free again.
    pub fn release(&mut self, number: u32) {
        self.used.remove(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_round_and_skip_what_is_used() {
        let mut numbers = Numbers::new([LAST, FIRST], LAST - FIRST - 1);
        assert_eq!(numbers.take(), Some(LAST - 1));
        assert_eq!(numbers.take(), Some(FIRST + 1));
        numbers.release(LAST - 1);
        assert_eq!(
            numbers.take(),
            Some(FIRST + 2),
            "a released number waits its turn"
        );
    }

    #[test]
    fn run_out() {
        let mut numbers = Numbers::new(FIRST..LAST, 7);
        assert_eq!(numbers.take(), Some(LAST));
        assert_eq!(numbers.take(), None);
    }
}
