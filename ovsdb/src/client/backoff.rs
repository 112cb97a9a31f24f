//! Pauses between attempts to connect: doubling, jittered, over a list of remotes.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Connections that lasted so long were good ones: the next failure starts from the shortest pause.
const STABLE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    /// Failures in a row, over all remotes.
    failures: u32,
    remotes: u32,
    random: RandomState,
    drawn: u64,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, remotes: usize) -> Self {
        let min = min.max(Duration::from_millis(1));
        let remotes = u32::try_from(remotes).unwrap_or(u32::MAX).max(1);
        Self {
            min,
            max: max.max(min),
            failures: 0,
            remotes,
            random: RandomState::new(),
            drawn: 0,
        }
    }

    /// A connection ended that had lasted so long.
    pub(crate) fn lasted(&mut self, time: Duration) {
        if time >= STABLE {
            self.failures = 0;
        }
    }

    /// The pause before the next attempt. Doubles once per round over the remotes.
    pub(crate) fn next(&mut self) -> Duration {
        let round = self.failures / self.remotes;
        self.failures = self.failures.saturating_add(1);
        let full = self
            .min
            .saturating_mul(1_u32.checked_shl(round.min(16)).unwrap_or(u32::MAX))
            .min(self.max);
        // Half of it for sure, half by lot, so that clients of one server do not come all at once.
        self.drawn += 1;
        let lot = self.random.hash_one(self.drawn) % 1024;
        full / 2 + full / 2 * u32::try_from(lot).unwrap_or(0) / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_per_round_up_to_the_limit() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(1000), 2);
        for full in [100, 100, 200, 200, 400, 400, 800, 800, 1000, 1000, 1000] {
            let pause = backoff.next();
            assert!(
                pause >= ms(full / 2) && pause <= ms(full),
                "{pause:?} of {full}"
            );
        }
        backoff.lasted(ms(10));
        assert!(backoff.next() >= ms(500));
        backoff.lasted(STABLE);
        assert!(backoff.next() <= ms(100));
    }
}
