//! Connections that conntrack must forget, once the flows that made it so are in the switch.
//!
//! A switch goes on using what it has cached for a moment after it took a bundle, and may make the entry anew by the
//! old flows meanwhile. So each connection is forgotten several times. Must not know why connections are to go.

use std::collections::VecDeque;
use std::time::Duration;

use openflow::message::CtFlush;
use tokio::time::Instant;

/// How long after the barrier each is asked for.
const TIMES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(2),
];

/// How many may wait for one of [`TIMES`]; the oldest give way.
const MOST: usize = 16_384;

/// What is to be asked of the switch, and when.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    /// By [`TIMES`], each in order.
    waiting: [VecDeque<(Instant, CtFlush)>; TIMES.len()],
}

impl Flushes {
    /// Has these forgotten from now on.
    pub(super) fn add(&mut self, now: Instant, flushes: &[CtFlush]) {
        for (queue, after) in self.waiting.iter_mut().zip(TIMES) {
            queue.extend(flushes.iter().map(|flush| (now + after, *flush)));
            let excess = queue.len().saturating_sub(MOST);
            if excess > 0 {
                tracing::warn!(excess, "too many connections to forget at once");
                queue.drain(..excess);
            }
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = |queue: &VecDeque<(Instant, CtFlush)>| queue.front().map(|(at, _)| *at);
        self.waiting.iter().filter_map(first).min()
    }

    /// Takes out what is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<CtFlush> {
        let mut due = Vec::new();
        for queue in &mut self.waiting {
            let count = queue.partition_point(|(at, _)| *at <= now);
            due.extend(queue.drain(..count).map(|(_, flush)| flush));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_asked_for_several_times() {
        let now = Instant::now();
        let mut flushes = Flushes::default();
        assert_eq!(flushes.next(), None);
        flushes.add(now, &[CtFlush::default(); 2]);
        let mut asked = Vec::new();
        while let Some(at) = flushes.next() {
            asked.push((at - now, flushes.due(at).len()));
        }
        assert_eq!(asked, TIMES.map(|after| (after, 2)));
    }

    #[test]
    fn the_queue_is_bounded() {
        let now = Instant::now();
        let mut flushes = Flushes::default();
        flushes.add(now, &vec![CtFlush::default(); MOST + 5]);
        assert_eq!(flushes.due(now).len(), MOST);
    }
}
