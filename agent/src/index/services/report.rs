//! Everything about each Service, for people.

use std::{net::IpAddr, sync::Arc};

use sluice_flows::model::{Backend, Frontend, Protocol, ServiceId, TrafficPolicy};

use super::{
    Around, Key, Nodes, Pods, Refused, Services,
    endpoints::{Candidate, gather},
    frontends::unserved,
};
use crate::source::{
    Refusal, Service,
    object::{Port, ServiceType, State, TrafficDistribution},
};

/// Why a Service is not served here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// It has no clusterIP on purpose.
    Headless,
    /// It is a name for something outside.
    ExternalName,
    /// This proxy serves it.
    OtherProxy(Arc<str>),
    /// It has no clusterIP (yet): a cluster's API server assigns one, in a folder of manifests nobody does.
    NoClusterIp,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReport {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub kind: ServiceType,
    /// Why it is not served, if it is not.
    pub unserved: Option<Unserved>,
    /// Its clusterIPs.
    pub cluster_ips: Vec<IpAddr>,
    /// Its externalIPs, served or not.
    pub external_ips: Vec<IpAddr>,
    /// The addresses of its load balancer.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `externalTrafficPolicy`.
    pub external_policy: TrafficPolicy,
    /// `trafficDistribution`.
    pub distribution: Option<TrafficDistribution>,
    /// For how many seconds a client keeps its endpoint.
    pub affinity: Option<u32>,
    /// The port on which load balancers ask.
    pub health_check_port: Option<u16>,
    /// Whether its endpoints are derived from pods, for want of EndpointSlices.
    pub derived: bool,
    /// Its ports, one for each port and family.
    pub ports: Vec<PortReport>,
    /// What of it is not in force.
    pub refusals: Vec<Refusal>,
}

/// A port of a Service in one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortReport {
    /// Its id, if it is served.
    pub id: Option<ServiceId>,
    /// Its name; empty if it has none.
    pub name: Arc<str>,
    /// True for IPv6.
    pub v6: bool,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// Its port on every node.
    pub node_port: Option<u16>,
    /// Where it is served.
    pub frontends: Vec<Frontend>,
    /// Its endpoints, used or not.
    pub endpoints: Vec<EndpointReport>,
}

/// An endpoint of a port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointReport {
    /// Its address and port.
    pub backend: Backend,
    /// How it fares.
    pub state: State,
    /// Whether it is on this node.
    pub local: bool,
    /// The node it is on.
    pub node: Option<Arc<str>>,
    /// The zone it is in.
    pub zone: Option<Arc<str>>,
    /// Whether traffic that may go anywhere uses it.
    pub in_cluster: bool,
    /// Whether traffic that must stay on this node uses it.
    pub in_local: bool,
}

impl Services {
    pub(in crate::index) fn reports(
        &self,
        nodes: &Nodes,
        pods: &Pods,
        refused: &Refused,
    ) -> impl Iterator<Item = ServiceReport> {
        let known = self.entries.iter();
        known.filter_map(move |(key, entry)| {
            let service = entry.service.as_deref()?;
            Some(self.report(key, service, &Around { nodes, pods }, refused))
        })
    }

    fn report(
        &self,
        key: &Key,
        service: &Service,
        around: &Around<'_>,
        refused: &Refused,
    ) -> ServiceReport {
        let slices = self.slices_of(key, service, around);
        let own = around.nodes.own_name();
        let unserved = unserved(service);
        let families = match unserved {
            None => service.cluster_ips.iter().map(IpAddr::is_ipv6).collect(),
            Some(_) => Vec::new(),
        };
        let ports = families.into_iter().flat_map(|v6| {
            let slices = &slices;
            service.ports.iter().map(move |port| {
                let slices = slices.iter().map(|slice| &**slice);
                let all = gather(slices, &port.name, port.protocol, v6, own);
                self.port_report(key, port, v6, &all, around)
            })
        });
        let has_slices = |key| {
            let entry = self.entries.get(key);
            entry.is_some_and(|entry| !entry.slices.is_empty())
        };
        ServiceReport {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            kind: service.kind,
            cluster_ips: service.cluster_ips.clone(),
            external_ips: service.external_ips.clone(),
            load_balancer_ips: service.load_balancer_ips.clone(),
            internal_policy: service.internal_policy,
            external_policy: service.external_policy,
            distribution: service.distribution,
            affinity: service.affinity,
            health_check_port: service.health_check_port,
            derived: !slices.is_empty() && !has_slices(key),
            ports: ports.collect(),
            refusals: refused.of_service(key).cloned().collect(),
            unserved,
        }
    }

    fn port_report(
        &self,
        key: &Key,
        port: &Port,
        v6: bool,
        all: &[Candidate<'_>],
        around: &Around<'_>,
    ) -> PortReport {
        let built = self.entries.get(key).and_then(|entry| {
            let mut ports = entry.ports.iter();
            ports.find(|it| {
                it.v6 == v6 && it.protocol == port.protocol && it.port_name == *port.name
            })
        });
        let uses = |backends: Option<&Vec<Backend>>, backend: &Backend| {
            backends.is_some_and(|backends| backends.binary_search(backend).is_ok())
        };
        let endpoint = |it: &Candidate<'_>| EndpointReport {
            backend: it.backend,
            state: it.endpoint.state,
            local: it.local,
            node: it.endpoint.node.clone(),
            zone: it.endpoint.zone.clone().or_else(|| {
                let node = it.endpoint.node.as_deref()?;
                around.nodes.zone(node).cloned()
            }),
            in_cluster: uses(built.map(|it| &it.cluster), &it.backend),
            in_local: uses(built.map(|it| &it.local), &it.backend),
        };
        PortReport {
            id: built.map(|it| it.id.clone()),
            name: port.name.clone(),
            v6,
            protocol: port.protocol,
            port: port.port,
            node_port: port.node_port,
            frontends: built.map(|it| it.frontends.clone()).unwrap_or_default(),
            endpoints: all.iter().map(endpoint).collect(),
        }
    }
}
