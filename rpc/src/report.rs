//! What `sluicectl` asks for. Every field may be added to; readers ignore what they do not know.

mod drops;
mod policy;
mod service;
mod why;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use drops::{DropReasonReport, DropSample, DropsReport, DropsRequest};
pub use policy::{IsolatedPodReport, PoliciesReport, PoliciesRequest, PolicyReport, RuleReport};
pub use service::{
    EndpointReport, RefusedReport, ServicePortReport, ServiceReport, ServicesReport,
    ServicesRequest,
};
pub use why::{WhyReport, WhyRequest, WhyStep};

/// No parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// `status`: the agent, its switch and its counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusReport {
    /// The agent's version.
    pub version: String,
    /// The newest protocol it serves.
    pub protocol: u32,
    /// This node's name.
    pub node: String,
    /// Whole seconds since the agent started.
    pub uptime_seconds: u64,
    /// Whether ADD can be served.
    pub ready: bool,
    /// What is wrong or unfinished, one sentence each; empty when all is well.
    pub problems: Vec<String>,
    /// The switch.
    pub switch: SwitchReport,
    /// The tunnel, in overlay modes.
    pub tunnel: Option<TunnelReport>,
    /// The node's pod address ranges.
    pub ranges: Vec<RangeReport>,
    /// The reconciler.
    pub reconciler: ReconcilerReport,
    /// Counts by name: `pods`, `peers`, `flows`, `groups`.
    pub counts: BTreeMap<String, u64>,
    /// What is watched at the API server, where the cluster's state comes from there.
    pub watches: Vec<WatchReport>,
}

/// A watch at the API server in a [`StatusReport`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchReport {
    /// What is watched: a kind, and of pods only some (`Pod on this node`, `Pod in shop`).
    pub what: String,
    /// Objects known by it.
    pub objects: u64,
    /// Bytes received since the agent started, or since it has been wanted.
    pub bytes: u64,
    /// Changes received.
    pub changes: u64,
    /// Times it was listed.
    pub lists: u64,
    /// Whether it has been listed, and is being watched now.
    pub live: bool,
}

/// The switch in a [`StatusReport`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwitchReport {
    /// `ovs_version` of the database.
    pub ovs_version: String,
    /// `db_version` of the database.
    pub db_version: String,
    /// The bridge.
    pub bridge: String,
    /// `system` or `netdev`.
    pub datapath_type: String,
    /// Whether the OVSDB session is up.
    pub ovsdb_connected: bool,
    /// Whether the OpenFlow session is up.
    pub openflow_connected: bool,
    /// How many OpenFlow sessions there have been.
    pub generation: u64,
}

/// The tunnel in a [`StatusReport`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TunnelReport {
    /// `vxlan`, `geneve`, `gre`, `stt`.
    pub kind: String,
    /// OVS port name.
    pub ifname: String,
    /// OpenFlow port number.
    pub ofport: u32,
    /// MTU for pods behind it, bytes.
    pub pod_mtu: u16,
}

/// One address range in a [`StatusReport`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RangeReport {
    /// The range.
    pub cidr: String,
    /// Addresses given out.
    pub used: u64,
    /// Addresses left; saturates at 2^64-1.
    pub free: u64,
}

/// The reconciler in a [`StatusReport`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReconcilerReport {
    /// Whether desired and installed were equal when last compared.
    pub in_sync: bool,
    /// Bundles committed.
    pub bundles: u64,
    /// Bundles refused by the switch.
    pub failures: u64,
    /// Flows that an audit had to repair.
    pub repaired: u64,
    /// Seconds since the last comparison with the switch; absent before the first.
    pub last_audit_seconds: Option<f64>,
    /// The last failure, if the last bundle failed.
    pub last_error: Option<String>,
}

/// `pods`: the pods attached to this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodsReport {
    /// Ordered by namespace, name, container id.
    pub pods: Vec<PodReport>,
}

/// One attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodReport {
    /// Pod namespace; empty outside Kubernetes.
    pub namespace: String,
    /// Pod name; empty outside Kubernetes.
    pub name: String,
    /// Pod uid.
    pub uid: Option<String>,
    /// Sandbox id.
    pub container_id: String,
    /// Name inside the container.
    pub ifname: String,
    /// OVS port name.
    pub host_ifname: String,
    /// OpenFlow port number; absent until the switch has given one.
    pub ofport: Option<u32>,
    /// MAC inside the container.
    pub mac: String,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Network namespace path.
    pub netns: String,
    /// `internal` or `veth`.
    pub attach: String,
    /// How far it is.
    pub state: PodState,
    /// What is wrong with it, if anything.
    pub problem: Option<String>,
}

/// How far an attachment is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PodState {
    /// Being made, or its flows are not yet behind a barrier.
    #[default]
    Pending,
    /// Port and flows are in place.
    Ready,
    /// Something is missing; `problem` says what.
    Broken,
    /// A state newer than this build knows.
    #[serde(other)]
    Unknown,
}

/// `flows`: which flows to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowsRequest {
    /// Only this table, by id.
    pub table: Option<u8>,
    /// Only flows of objects whose description has this in it.
    pub object: Option<String>,
}

/// The switch's flows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowsReport {
    /// In order of table, then falling priority.
    pub flows: Vec<FlowReport>,
}

/// One flow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FlowReport {
    /// Table id.
    pub table: u8,
    /// Table name.
    pub table_name: String,
    /// Priority.
    pub priority: u16,
    /// Cookie as a number.
    pub cookie: u64,
    /// The object that asked for the flow (`pod default/web`); absent for somebody else's flow.
    pub object: Option<String>,
    /// Packets counted.
    pub packets: u64,
    /// Bytes counted.
    pub bytes: u64,
    /// The flow as `ovs-ofctl dump-flows` prints it.
    pub text: String,
}

/// `verify`: desired against installed, read from the switch for this answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VerifyReport {
    /// No difference.
    pub in_sync: bool,
    /// Flows that should be there.
    pub desired_flows: u64,
    /// Flows of ours that are there, apart from those that go by themselves.
    pub installed_flows: u64,
    /// Flows of ours that go by themselves, and that nothing has to ask for: what the switch learned of clients of
    /// Services, and what lets the connections of a pod pass for a moment that has just been isolated.
    #[serde(default)]
    pub temporary_flows: u64,
    /// Groups that should be there.
    pub desired_groups: u64,
    /// Groups of ours that are there.
    pub installed_groups: u64,
    /// Flows with somebody else's cookie, left alone.
    pub foreign_flows: u64,
    /// Every difference.
    pub differences: Vec<VerifyDifference>,
}

/// One difference between desired and installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyDifference {
    /// `missing`, `extra` or `changed`.
    pub kind: String,
    /// What differs: `flow`, `group`, `port`.
    pub what: String,
    /// The object behind it, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// As it should be, in ovs-ofctl's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<String>,
    /// As it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<String>,
}
