//! How long to wait before the next attempt to connect.
//!
//! Exponential with full jitter; only a session that stayed up for a while resets it, so that a switch which
//! accepts and hangs up is not hammered. Must not know what is being connected.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The bounds of the waiting time between attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffOptions {
    /// The first wait is at most this long.
    pub min: Duration,
    /// No wait is longer than this.
    pub max: Duration,
    /// A session must have been up for this long to reset the backoff.
    pub stable_after: Duration,
}

impl Default for BackoffOptions {
    fn default() -> Self {
        BackoffOptions {
            min: Duration::from_millis(50),
            max: Duration::from_secs(8),
            stable_after: Duration::from_secs(5),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Backoff {
    options: BackoffOptions,
    failures: u32,
    random: RandomState,
}

impl Backoff {
    pub(crate) fn new(options: BackoffOptions) -> Backoff {
        Backoff {
            options,
            failures: 0,
            random: RandomState::new(),
        }
    }

    /// Records a session that was up for `uptime` and ended.
    pub(crate) fn session_ended(&mut self, uptime: Duration) {
        if uptime >= self.options.stable_after {
            self.failures = 0;
        }
    }

    /// The wait before the next attempt: between half and all of `min * 2^failures`, at most `max`.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let ceiling = self
            .options
            .min
            .saturating_mul(1 << self.failures.min(20))
            .min(self.options.max);
        self.failures = self.failures.saturating_add(1);
        let fraction = self.random.hash_one(self.failures) % 1024;
        self.random = RandomState::new();
        ceiling / 2 + (ceiling / 2 / 1024).saturating_mul(u32::try_from(fraction).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_only_a_stable_session_resets_them() {
        let options = BackoffOptions {
            min: Duration::from_millis(100),
            max: Duration::from_secs(3),
            stable_after: Duration::from_secs(5),
        };
        let mut backoff = Backoff::new(options);
        for failures in 0..40_u32 {
            let ceiling = (options.min * (1 << failures.min(20))).min(options.max);
            let wait = backoff.next_wait();
            assert!(
                wait >= ceiling / 2 && wait <= ceiling,
                "{wait:?} is not within {ceiling:?}"
            );
        }
        backoff.session_ended(Duration::from_secs(1));
        assert!(backoff.next_wait() >= options.max / 2);
        backoff.session_ended(Duration::from_secs(6));
        assert!(backoff.next_wait() <= options.min);
    }
}
