//! Whether the agent can serve, and if not, what it waits for.
//!
//! A fixed list of conditions; each is set by the part that knows. `/readyz`, CNI STATUS, the
//! writing of the conflist and `sluicectl status` all ask here.

use std::sync::Arc;

use tokio::sync::watch;

/// Something that must hold before pods can be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// The OVSDB replica is in sync.
    Ovsdb,
    /// The switch can do what the configuration asks for, and the bridge is built.
    Switch,
    /// Every source has been listed, and says which addresses this node's pods have.
    Sources,
    /// Devices, routes and masquerading of the host are in place.
    Host,
    /// The flows are in the switch, confirmed by a barrier.
    Flows,
}

const ALL: [Condition; 5] = [
    Condition::Ovsdb,
    Condition::Switch,
    Condition::Sources,
    Condition::Host,
    Condition::Flows,
];

impl Condition {
    /// The name, as printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Ovsdb => "ovsdb",
            Condition::Switch => "switch",
            Condition::Sources => "sources",
            Condition::Host => "host",
            Condition::Flows => "flows",
        }
    }

    fn index(self) -> usize {
        ALL.iter().position(|&c| c == self).unwrap_or_default()
    }
}

/// Shared view of all conditions; clones are views of the same.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Per condition: why it does not hold.
    state: Arc<watch::Sender<[Option<String>; ALL.len()]>>,
}

impl Default for Readiness {
    fn default() -> Self {
        let initial = ALL.map(|_| Some("not yet".to_owned()));
        Self {
            state: Arc::new(watch::Sender::new(initial)),
        }
    }
}

impl Readiness {
    /// The condition holds.
    pub fn holds(&self, condition: Condition) {
        self.set(condition, None);
    }

    /// The condition does not hold, for this reason.
    pub fn fails(&self, condition: Condition, why: impl Into<String>) {
        self.set(condition, Some(why.into()));
    }

    /// What does not hold, with reasons; empty when the agent is ready.
    pub fn missing(&self) -> Vec<(Condition, String)> {
        missing(&self.state.borrow())
    }

    /// True if everything holds.
    pub fn is_ready(&self) -> bool {
        self.state.borrow().iter().all(Option::is_none)
    }

    /// What does not hold as one line; `None` when ready.
    pub fn explain(&self) -> Option<String> {
        let missing = self.missing();
        if missing.is_empty() {
            return None;
        }
        let parts: Vec<_> = missing
            .iter()
            .map(|(c, why)| format!("{}: {why}", c.as_str()))
            .collect();
        Some(parts.join("; "))
    }

    /// Completes once everything holds.
    pub async fn ready(&self) {
        let mut watched = self.state.subscribe();
        // Cannot fail: `self` keeps the sender.
        let _held = watched
            .wait_for(|state| state.iter().all(Option::is_none))
            .await;
    }

    fn set(&self, condition: Condition, why: Option<String>) {
        self.state
            .send_if_modified(|state| match state.get_mut(condition.index()) {
                Some(slot) if *slot != why => {
                    match &why {
                        None => tracing::info!(condition = condition.as_str(), "holds"),
                        Some(why) => {
                            tracing::warn!(condition = condition.as_str(), why, "does not hold")
                        }
                    }
                    *slot = why;
                    true
                }
                _ => false,
            });
    }
}

fn missing(state: &[Option<String>; ALL.len()]) -> Vec<(Condition, String)> {
    ALL.iter()
        .zip(state)
        .filter_map(|(&c, why)| why.clone().map(|why| (c, why)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_when_all_hold() {
        let readiness = Readiness::default();
        assert_eq!(readiness.missing().len(), ALL.len());
        for condition in ALL {
            readiness.holds(condition);
        }
        readiness.ready().await;
        readiness.fails(Condition::Flows, "the switch is gone");
        assert_eq!(
            readiness.explain().as_deref(),
            Some("flows: the switch is gone")
        );
    }
}
