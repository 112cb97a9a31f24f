//! Flows that the switch does not take: left out of bundles so that the rest goes on, and tried
//! again with growing pauses.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_flows::{Cookie, Flow, FlowKey};
use tokio::time::Instant;

use super::ApplyError;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// The flows that are left out, and when to try them again.
#[derive(Debug, Default)]
pub(super) struct Refused {
    flows: BTreeMap<FlowKey, Entry>,
    retry: Option<Instant>,
    pause: Option<Duration>,
}

#[derive(Debug)]
struct Entry {
    flow: Flow,
    error: ApplyError,
}

impl Refused {
    /// The switch refused `flow`.
    pub(super) fn add(&mut self, flow: Flow, error: ApplyError) {
        self.flows.insert(flow.key.clone(), Entry { flow, error });
        if self.retry.is_none() {
            let pause = self
                .pause
                .map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
            self.pause = Some(pause);
            self.retry = Some(Instant::now() + pause);
        }
    }

    /// True if the switch refused this very flow.
    pub(super) fn contains(&self, flow: &Flow) -> bool {
        self.flows
            .get(&flow.key)
            .is_some_and(|entry| entry.flow == *flow)
    }

    /// Nobody wants a flow with this key any more.
    pub(super) fn forget(&mut self, key: &FlowKey) {
        self.flows.remove(key);
        if self.flows.is_empty() {
            *self = Self::default();
        }
    }

    /// Why a flow of one of these objects is left out.
    pub(super) fn error_of(&self, cookies: &[Cookie]) -> Option<ApplyError> {
        let entry = self
            .flows
            .values()
            .find(|entry| cookies.contains(&entry.flow.cookie))?;
        Some(entry.error.clone())
    }

    /// When to try again.
    pub(super) fn retry(&self) -> Option<Instant> {
        self.retry
    }

    /// Lets everything through once more; the next refusal waits longer.
    pub(super) fn try_again(&mut self) {
        self.flows.clear();
        self.retry = None;
    }

    /// How long until the next attempt goes back to the shortest, once all is taken.
    pub(super) fn settled(&mut self) {
        if self.flows.is_empty() {
            self.pause = None;
        }
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.flows
            .values()
            .map(|entry| entry.error.to_string())
            .collect()
    }

    /// What to say of each, by the object that it is of.
    pub(super) fn causes(&self) -> Vec<(Cookie, String)> {
        let entries = self.flows.values();
        entries
            .map(|entry| (entry.flow.cookie, entry.error.to_string()))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openflow::{Instruction, Match, TableId};
    use sluice_flows::pipeline::Table;

    fn flow(priority: u16, instructions: Vec<Instruction>) -> Flow {
        let key = FlowKey {
            table: TableId(0),
            priority,
            match_: Match::new(),
        };
        Flow {
            key,
            cookie: Cookie::base(Table::Classify),
            instructions,
        }
    }

    fn error() -> ApplyError {
        ApplyError::Refused {
            object: "base Classify".to_owned(),
            flow: "f".to_owned(),
            reason: "r".to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_until_all_is_taken() {
        let mut refused = Refused::default();
        let mut pauses = Vec::new();
        for _ in 0..3 {
            refused.add(flow(1, Vec::new()), error());
            let at = refused.retry().expect("a time");
            pauses.push(at.duration_since(Instant::now()));
            tokio::time::sleep_until(at).await;
            refused.try_again();
        }
        assert_eq!(pauses, [1, 2, 4].map(Duration::from_secs));
        refused.settled();
        refused.add(flow(1, Vec::new()), error());
        let pause = refused
            .retry()
            .expect("a time")
            .duration_since(Instant::now());
        assert_eq!(pause, FIRST_PAUSE);
    }

    #[test]
    fn another_flow_under_the_same_key_is_not_the_refused_one() {
        let mut refused = Refused::default();
        refused.add(flow(1, Vec::new()), error());
        assert!(refused.contains(&flow(1, Vec::new())));
        assert!(!refused.contains(&flow(1, vec![Instruction::GotoTable(TableId(4))])));
        assert!(!refused.contains(&flow(2, Vec::new())));
        assert!(refused.error_of(&[Cookie::base(Table::Classify)]).is_some());
        assert!(refused.error_of(&[Cookie::base(Table::Guard)]).is_none());
        refused.forget(&flow(1, Vec::new()).key);
        assert_eq!(refused.len(), 0);
        assert_eq!(refused.retry(), None);
    }
}
