//! `why`: a packet's way through the flows that are in the switch now.

use serde::{Deserialize, Serialize};

/// The packet in question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WhyRequest {
    /// Who sends: a pod of this node (`namespace/name`, or `name` in `default`) or an address.
    pub from: String,
    /// For whom: a pod, a Service, or an address.
    pub to: String,
    /// `tcp`, `udp`, `sctp` or `icmp`.
    pub protocol: String,
    /// The destination port, where the protocol has ports; a Service's only port may be left out.
    pub port: Option<u16>,
    /// The source port; one is made up if it is not given.
    pub source_port: Option<u16>,
}

/// What becomes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WhyReport {
    /// The packet, in the words of `ofproto/trace`.
    pub packet: String,
    /// The tables it goes through.
    pub steps: Vec<WhyStep>,
    /// `delivered`, `dropped`, `refused`, `lost` or `unknown`.
    pub verdict: String,
    /// The verdict in a sentence: to which pod, node or endpoint; by which rule or for which reason not.
    pub explanation: String,
    /// The endpoint that the Service's choice fell on.
    pub endpoint: Option<String>,
    /// Times that the packet goes through the datapath again.
    pub recirculations: u32,
}

/// One table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WhyStep {
    /// Its id.
    pub table: u8,
    /// Its name.
    pub table_name: String,
    /// The flow that matches.
    pub flow: String,
    /// The object that asked for it.
    pub object: String,
    /// What it changed: `reg0=0x1`.
    pub changed: Vec<String>,
    /// Whether the packet came here by recirculation.
    pub recirculated: bool,
}
