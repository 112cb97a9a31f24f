//! Services.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use ipnet::IpNet;
use sluice_flows::model::{Labels, Protocol, TrafficPolicy};

use super::Refusal;

/// A Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// When it was made; unknown in a manifest that no server has seen.
    pub created: Option<SystemTime>,
    /// Its type.
    pub kind: ServiceType,
    /// The proxy that serves it instead of us (label `service.kubernetes.io/service-proxy-name`).
    pub other_proxy: Option<Arc<str>>,
    /// Whether it has no clusterIP on purpose (`None`), or is labelled `service.kubernetes.io/headless`.
    pub headless: bool,
    /// Its clusterIPs: at most one of a family.
    pub cluster_ips: Vec<IpAddr>,
    /// Its externalIPs.
    pub external_ips: Vec<IpAddr>,
    /// The addresses of its load balancer that packets arrive with (`ipMode: VIP`).
    pub load_balancer_ips: Vec<IpAddr>,
    /// Who may use the load balancer; `None` is everyone. A family of which it does not speak is open.
    pub source_ranges: Option<Vec<IpNet>>,
    /// Whether some of the ranges are not understood, so that it may speak of any family.
    pub source_ranges_broken: bool,
    /// Its ports.
    pub ports: Vec<Port>,
    /// The pods it selects; empty if it selects none by itself.
    pub selector: Labels,
    /// Whether pods are used that are not ready.
    pub publish_not_ready: bool,
    /// `internalTrafficPolicy`.
    pub internal_policy: TrafficPolicy,
    /// `externalTrafficPolicy`, as far as the type has one.
    pub external_policy: TrafficPolicy,
    /// For how many seconds a client keeps its endpoint (`sessionAffinity: ClientIP`).
    pub affinity: Option<u32>,
    /// Which endpoints are preferred.
    pub distribution: Option<TrafficDistribution>,
    /// The port on which load balancers ask for local endpoints, where they do.
    pub health_check_port: Option<u16>,
    /// What of it is not in force.
    pub refusals: Vec<Refusal>,
}

impl Service {
    /// A Service of type ClusterIP without addresses and ports.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Service {
        Service {
            namespace: namespace.into(),
            name: name.into(),
            created: None,
            kind: ServiceType::ClusterIp,
            other_proxy: None,
            headless: false,
            cluster_ips: Vec::new(),
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            source_ranges: None,
            source_ranges_broken: false,
            ports: Vec::new(),
            selector: Labels::default(),
            publish_not_ready: false,
            internal_policy: TrafficPolicy::Cluster,
            external_policy: TrafficPolicy::Cluster,
            affinity: None,
            distribution: None,
            health_check_port: None,
            refusals: Vec::new(),
        }
    }
}

/// The type of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceType {
    /// `ClusterIP`.
    ClusterIp,
    /// `NodePort`.
    NodePort,
    /// `LoadBalancer`.
    LoadBalancer,
    /// `ExternalName`.
    ExternalName,
}

impl ServiceType {
    /// Its name in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceType::ClusterIp => "ClusterIP",
            ServiceType::NodePort => "NodePort",
            ServiceType::LoadBalancer => "LoadBalancer",
            ServiceType::ExternalName => "ExternalName",
        }
    }
}

/// Which endpoints are preferred (`trafficDistribution`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrafficDistribution {
    /// `PreferSameZone`, formerly `PreferClose`.
    SameZone,
    /// `PreferSameNode`.
    SameNode,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name; empty if it has none.
    pub name: Arc<str>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
    /// The port of each pod behind it.
    pub target: TargetPort,
    /// The port of each node that leads to it.
    pub node_port: Option<u16>,
}

/// A port of the pods behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// This one.
    Number(u16),
    /// The one that has this name in the pod.
    Name(Arc<str>),
}
