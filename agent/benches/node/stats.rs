//! Medians and percentiles of durations.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::time::Duration;

/// Durations, sorted.
#[derive(Debug, Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    pub(crate) fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Sample(durations)
    }

    /// The smallest duration that `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    /// Milliseconds of p50 and p99, for a table.
    pub(crate) fn line(&self) -> String {
        let ms = |percent| self.percentile(percent).as_secs_f64() * 1e3;
        format!(
            "p50 {:8.2} ms   p99 {:8.2} ms   n {}",
            ms(50),
            ms(99),
            self.0.len()
        )
    }
}
