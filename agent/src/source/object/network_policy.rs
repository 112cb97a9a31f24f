//! NetworkPolicies.

use std::sync::Arc;

use sluice_flows::model::Policy;

use super::Refusal;

/// A NetworkPolicy. What is wrong with it allows nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Its name.
    pub name: Arc<str>,
    /// What it asks for.
    pub policy: Arc<Policy>,
    /// What of it is not in force.
    pub refusals: Vec<Refusal>,
}

impl NetworkPolicy {
    /// Its namespace.
    pub fn namespace(&self) -> &Arc<str> {
        &self.policy.namespace
    }
}
