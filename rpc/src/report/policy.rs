//! `policies`: the NetworkPolicies that matter to pods of this node, with their counters.

use serde::{Deserialize, Serialize};

use super::RefusedReport;

/// Which policies to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoliciesRequest {
    /// Only policies whose `namespace/name` has this in it.
    pub name: Option<String>,
}

/// The policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoliciesReport {
    /// Ordered by namespace and name.
    pub policies: Vec<PolicyReport>,
    /// The isolated pods of this node, and what their isolation dropped.
    pub isolated: Vec<IsolatedPodReport>,
    /// Policies, or parts of them, that are not in force, and why.
    pub refused: Vec<RefusedReport>,
}

/// One policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The pods of this node that it selects: `namespace/name`.
    pub pods: Vec<String>,
    /// Its rules.
    pub rules: Vec<RuleReport>,
    /// Packets that its rules allowed.
    pub packets_allowed: u64,
    /// Packets that the isolation of the pods it selects dropped, in its directions. A packet that several policies
    /// isolate is counted at each.
    pub packets_denied: u64,
}

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleReport {
    /// `ingress` or `egress`.
    pub direction: String,
    /// Its place in the policy, from 0.
    pub index: u32,
    /// What it allows, in words.
    pub text: String,
    /// Packets that it allowed. A packet that several rules allow is counted at one of them.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// An isolated pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IsolatedPodReport {
    /// The pod: `namespace/name`.
    pub pod: String,
    /// Whether it is isolated for what comes in, and the packets dropped for it.
    pub ingress: Option<u64>,
    /// The same for what goes out.
    pub egress: Option<u64>,
}
