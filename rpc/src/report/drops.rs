//! `drops`: how much was dropped for which reason, and samples of it while somebody watches.

use serde::{Deserialize, Serialize};

/// What to say of drops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropsRequest {
    /// Sample dropped packets, and wait some seconds for samples newer than [`after`](Self::after). Sampling goes on
    /// for a while after the last such request, then ends by itself.
    pub follow: bool,
    /// The number of the last sample seen ([`DropsReport::last`]); without it only what comes from now on counts.
    pub after: Option<u64>,
}

/// What was dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropsReport {
    /// Every reason, with its counter.
    pub reasons: Vec<DropReasonReport>,
    /// Samples, oldest first.
    pub samples: Vec<DropSample>,
    /// The number to ask after next.
    pub last: u64,
    /// Samples that went by between two questions and are not kept any more.
    pub lost: u64,
}

/// One reason.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropReasonReport {
    /// Its name.
    pub reason: String,
    /// What it means.
    pub explanation: String,
    /// Packets dropped for it.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// One dropped packet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DropSample {
    /// Its number; they ascend.
    pub number: u64,
    /// When the agent heard of it: milliseconds since 1970.
    pub time_ms: u64,
    /// Why it was dropped.
    pub reason: String,
    /// Who sent it: a pod's name where it is known, and the address.
    pub from: String,
    /// For whom it was, likewise.
    pub to: String,
    /// `tcp`, `udp`, `sctp`, `icmp`, … or the number of the protocol or Ethernet type.
    pub protocol: String,
    /// The destination port, if it has one.
    pub port: Option<u16>,
    /// The port of the switch that it came in by.
    pub in_port: u32,
}
