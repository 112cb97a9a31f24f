//! `services`: the Services that this node serves, and why some are not.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Which Services to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicesRequest {
    /// Only Services whose `namespace/name` has this in it.
    pub name: Option<String>,
}

/// The Services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicesReport {
    /// Ordered by namespace and name.
    pub services: Vec<ServiceReport>,
    /// Objects that are not in force, and why.
    pub refused: Vec<RefusedReport>,
}

/// An object, or a part of one, that is not in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RefusedReport {
    /// The object: `Service default/web`.
    pub object: String,
    /// The path of the field, if one is to blame.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// One Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `ClusterIP`, `NodePort` or `LoadBalancer`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Its clusterIPs.
    pub cluster_ips: Vec<IpAddr>,
    /// Addresses of load balancers, and externalIPs.
    pub external_ips: Vec<IpAddr>,
    /// `internalTrafficPolicy`.
    pub internal_policy: String,
    /// `externalTrafficPolicy`.
    pub external_policy: String,
    /// Seconds that a client keeps its endpoint (`sessionAffinity: ClientIP`).
    pub affinity_seconds: Option<u32>,
    /// Its ports, one per address family.
    pub ports: Vec<ServicePortReport>,
}

/// One port of a Service in one address family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicePortReport {
    /// Its name; empty if it has none.
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// Where it listens: `10.96.0.10:80`, `node:30080`.
    pub frontends: Vec<String>,
    /// The number in the switch of its set of endpoints of the whole cluster.
    pub id: u64,
    /// The number of its set of endpoints of this node, if any frontend asks for it.
    pub local_id: Option<u64>,
    /// Packets counted at its frontends.
    pub packets: u64,
    /// Its endpoints, ready or not.
    pub endpoints: Vec<EndpointReport>,
}

/// An endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointReport {
    /// Its address and port.
    pub address: String,
    /// The node it is on, if known.
    pub node: String,
    /// The zone it is in, if known.
    pub zone: String,
    /// The EndpointSlice's conditions.
    pub ready: bool,
    /// Likewise.
    pub serving: bool,
    /// Likewise.
    pub terminating: bool,
    /// Whether it is on this node.
    pub local: bool,
    /// Whether new connections may go to it: from anywhere, from outside under `Local`.
    pub used: bool,
    /// Its index in the switch among those of the whole cluster.
    pub index: Option<u32>,
    /// Packets counted on their way to it.
    pub packets: u64,
}
