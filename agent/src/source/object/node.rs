//! Nodes and namespaces.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use sluice_flows::model::Labels;

/// A node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// The CIDRs its pods' addresses come from (`spec.podCIDRs`, or else `spec.podCIDR`).
    pub pod_cidrs: Vec<IpNet>,
    /// Its addresses of type `InternalIP`, in the order listed.
    pub internal_ips: Vec<IpAddr>,
    /// Its addresses of type `ExternalIP`, in the order listed.
    pub external_ips: Vec<IpAddr>,
    /// Its zone (label `topology.kubernetes.io/zone`).
    pub zone: Option<Arc<str>>,
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
}
