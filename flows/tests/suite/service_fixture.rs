//! Services on the fixture's node, for tests that spell their cases out.

use std::sync::Arc;

use sluice_flows::model::{
    Backend, Change, Frontend, LocalNode, Protocol, ServiceId, ServicePort, State, TrafficPolicy,
};

use crate::fixture::{self, ip};

pub(crate) const VIP: &str = "10.96.0.10";
pub(crate) const NODE: &str = "192.0.2.1";

/// The fixture's node, which serves node ports at 192.0.2.1.
pub(crate) fn node() -> LocalNode {
    LocalNode {
        addresses: vec![ip(NODE)],
        node_port_addresses: vec![ip(NODE)],
        ..fixture::node()
    }
}

pub(crate) fn state() -> State {
    let mut state = fixture::state();
    state.apply(Change::Node(node()));
    state
}

pub(crate) fn backend(address: &str) -> Backend {
    Backend {
        ip: ip(address),
        port: 8080,
    }
}

pub(crate) fn cluster_ip(address: &str) -> Frontend {
    Frontend::Cluster {
        ip: ip(address),
        port: 80,
        policy: TrafficPolicy::Cluster,
    }
}

/// `default/NAME:http`, with these endpoints at port 8080; those of the node's own pods are local.
pub(crate) fn service(
    name: &str,
    protocol: Protocol,
    frontends: Vec<Frontend>,
    endpoints: &[&str],
) -> ServicePort {
    let v6 = frontends.iter().any(|f| match f {
        Frontend::Cluster { ip, .. } | Frontend::External { ip, .. } => ip.is_ipv6(),
        Frontend::NodePort { .. } => false,
    });
    let mut cluster: Vec<Backend> = endpoints.iter().map(|e| backend(e)).collect();
    cluster.sort_unstable();
    let here = |b: &&Backend| node().pod_cidrs.iter().any(|net| net.contains(&b.ip));
    ServicePort {
        id: ServiceId::new("default", name, "http", protocol, v6),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        port_name: "http".to_owned(),
        v6,
        protocol,
        frontends,
        local: cluster.iter().filter(here).copied().collect(),
        cluster,
        affinity: None,
    }
}

pub(crate) fn set(port: ServicePort) -> Change {
    Change::ServiceSet(Arc::new(port))
}

/// The state with these Services.
pub(crate) fn with(services: impl IntoIterator<Item = ServicePort>) -> State {
    let mut state = state();
    for port in services {
        assert!(state.apply(set(port)));
    }
    state
}
