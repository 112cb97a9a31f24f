//! Pods. There are many of them, so that every byte counts.

use std::{net::IpAddr, sync::Arc};

use sluice_flows::model::{Labels, NamedPort};

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its UID; empty in a manifest that no server has seen.
    pub uid: Arc<str>,
    /// The node it runs on; empty before it is scheduled.
    pub node: Arc<str>,
    /// Its labels.
    pub labels: Arc<Labels>,
    /// Its addresses (`status.podIPs`, or else `status.podIP`).
    pub ips: Arc<[IpAddr]>,
    /// The ports of its containers that have a name.
    pub ports: Arc<[NamedPort]>,
    /// Whether it shares its node's network; such a pod has the node's addresses and none of ours.
    pub host_network: bool,
    /// Whether its containers have ended for good, so that its addresses may be another's.
    pub finished: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it is ready: its `Ready` condition, or true where nobody has noted any condition.
    pub ready: bool,
}
