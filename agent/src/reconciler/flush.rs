//! Connections that conntrack must forget, once the flows that made it so are in the switch.
//!
//! A switch goes on using what it has cached for a moment after it took a bundle, and may make the entry anew by the
//! old flows meanwhile. So each connection is forgotten several times, unless its endpoint is back by then. Must not
//! know why connections are to go.

use std::collections::VecDeque;
use std::time::Duration;

use openflow::message::{CtFlush, CtTuple};
use sluice_flows::Released;
use sluice_flows::pipeline::ZONE_SERVICE;
use tokio::time::Instant;

/// How long after the barrier each is asked for.
const TIMES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(2),
];

/// How many may wait for one of [`TIMES`]; the oldest give way.
const MOST: usize = 16_384;

/// The connections of an endpoint, by each address and port that they may have been made to: another Service with the
/// same endpoint keeps its own.
pub(super) fn forget(released: &Released) -> impl Iterator<Item = CtFlush> {
    let Released {
        protocol,
        listeners,
        backend,
    } = released;
    listeners.iter().map(|(ip, port)| CtFlush {
        ip_proto: protocol.number(),
        orig: Some(CtTuple {
            dst: Some(*ip),
            dst_port: Some(*port),
            ..CtTuple::default()
        }),
        reply: Some(CtTuple {
            src: Some(backend.ip),
            src_port: Some(backend.port),
            ..CtTuple::default()
        }),
        zone: Some(ZONE_SERVICE),
    })
}

/// What is to be asked of the switch, and when.
#[derive(Debug)]
pub(super) struct Flushes<T> {
    /// By [`TIMES`], each in order.
    waiting: [VecDeque<(Instant, T)>; TIMES.len()],
}

impl<T> Default for Flushes<T> {
    fn default() -> Self {
        Self {
            waiting: TIMES.map(|_| VecDeque::new()),
        }
    }
}

impl<T: Clone> Flushes<T> {
    /// Has the connections of these forgotten from now on.
    pub(super) fn add(&mut self, now: Instant, of: Vec<T>) {
        for (queue, after) in self.waiting.iter_mut().zip(TIMES) {
            queue.extend(of.iter().map(|it| (now + after, it.clone())));
            let excess = queue.len().saturating_sub(MOST);
            if excess > 0 {
                tracing::warn!(excess, "too many connections to forget at once");
                queue.drain(..excess);
            }
        }
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        let first = |queue: &VecDeque<(Instant, T)>| queue.front().map(|(at, _)| *at);
        self.waiting.iter().filter_map(first).min()
    }

    /// Takes out what is due.
    pub(super) fn due(&mut self, now: Instant) -> Vec<T> {
        let mut due = Vec::new();
        for queue in &mut self.waiting {
            let count = queue.partition_point(|(at, _)| *at <= now);
            due.extend(queue.drain(..count).map(|(_, it)| it));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use sluice_flows::model::{Backend, Protocol};

    use super::*;

    fn released() -> Released {
        Released {
            protocol: Protocol::Udp,
            listeners: vec![
                ([10, 96, 0, 10].into(), 53),
                ([192, 0, 2, 1].into(), 30_053),
            ],
            backend: Backend {
                ip: [10, 244, 1, 2].into(),
                port: 5353,
            },
        }
    }

    #[test]
    fn each_is_asked_for_several_times() {
        let now = Instant::now();
        let mut flushes = Flushes::default();
        assert_eq!(flushes.next(), None);
        flushes.add(now, vec![released(); 2]);
        let mut asked = Vec::new();
        while let Some(at) = flushes.next() {
            asked.push((at - now, flushes.due(at).len()));
        }
        assert_eq!(asked, TIMES.map(|after| (after, 2)));
    }

    #[test]
    fn only_connections_to_the_service_itself_are_forgotten() {
        let released = released();
        let flushes: Vec<CtFlush> = forget(&released).collect();
        assert_eq!(flushes.len(), 2);
        for (flush, (ip, port)) in flushes.iter().zip(&released.listeners) {
            let to = flush.orig.expect("addressed to the Service");
            assert_eq!((to.dst, to.dst_port), (Some(*ip), Some(*port)));
            let from = flush.reply.expect("answered by the endpoint");
            assert_eq!(from.src, Some(released.backend.ip));
        }
    }

    #[test]
    fn the_queue_is_bounded() {
        let now = Instant::now();
        let mut flushes = Flushes::default();
        flushes.add(now, vec![released(); MOST + 5]);
        assert_eq!(flushes.due(now).len(), MOST);
    }
}
