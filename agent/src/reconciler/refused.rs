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

    pub(super) fn len(&self) -> usize {
        self.flows.len()
    }
}
