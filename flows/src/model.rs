//! The domain model: the objects a node's flows are compiled from, and how they change.
//!
//! Plain values. This module knows nothing of flows, of Kubernetes, or of where the objects come from; it
//! accepts any combination of them, contradictory ones included (see [`crate::claims`]).

mod labels;
mod pod;
mod pod_set;
mod policy;
mod service;
mod uid;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use openflow::MacAddr;

pub use labels::Labels;
pub use pod::{ClusterPod, Ips, NamedPort};
pub use pod_set::{OfPod, PodSet};
pub use policy::{
    NamespaceLabels, Policy, PolicyId, PolicyPeer, PolicyPort, Ports, Requirement, Rule, Selector,
};
pub use service::{Backend, Frontend, Protocol, ServiceId, ServicePort, TrafficPolicy};
pub use uid::Uid;

use crate::service::{Delta, Memory};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Makes the name; cloning it later is cheap.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                Self::new(name)
            }
        }

        impl From<String> for $type {
            fn from(name: String) -> Self {
                Self::new(name)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name! {
    /// The name of a node, unique in the cluster.
    NodeName
}

name! {
    /// What identifies a pod attachment on this node: the id of its sandbox, never reused.
    PodId
}

/// The node whose switch is programmed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalNode {
    /// Its name.
    pub name: NodeName,
    /// The prefixes its pods' addresses come from.
    pub pod_cidrs: Vec<IpNet>,
    /// The port that leads to the host's own network stack.
    pub gateway: Gateway,
    /// The port that leads to other nodes; without one, peers are reached by way of the host.
    pub tunnel: Option<Tunnel>,
    /// The host's own addresses outside the pod network: what comes from them comes from the node itself.
    pub addresses: Vec<IpAddr>,
    /// Those of them on which node ports are served.
    pub node_port_addresses: Vec<IpAddr>,
    /// What the switch's datapath can do.
    pub caps: Capabilities,
}

/// The gateway port: an internal port of the bridge that the host itself uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// OpenFlow port number.
    pub ofport: u32,
    /// MAC address of the host's end.
    pub mac: MacAddr,
    /// Addresses of the host's end.
    pub ips: Vec<IpAddr>,
}

/// The tunnel port, whose destination is set by flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// OpenFlow port number.
    pub ofport: u32,
    /// Encapsulation.
    pub kind: TunnelKind,
}

/// An encapsulation, by its name in the `type` column of `Interface`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// `vxlan`, RFC 7348.
    Vxlan,
    /// `geneve`, RFC 8926.
    Geneve,
    /// `gre`, RFC 2890.
    Gre,
    /// `stt`, in Open vSwitch up to 3.5.
    Stt,
}

impl TunnelKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Vxlan, Self::Geneve, Self::Gre, Self::Stt];

    /// The name Open vSwitch has for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Geneve => "geneve",
            Self::Gre => "gre",
            Self::Stt => "stt",
        }
    }
}

impl fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for TunnelKind {
    type Err = UnknownTunnelKind;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|k| k.as_str() == s)
            .ok_or_else(|| UnknownTunnelKind(s.to_owned()))
    }
}

/// A name that is no encapsulation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown tunnel type {0:?}, expected vxlan, geneve, gre or stt")]
pub struct UnknownTunnelKind(pub String);

/// What flows may ask of the switch's datapath.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// The datapath can rewrite neighbour discovery options, so solicitations are answered in the switch.
    /// The kernel's cannot, and refuses such flows.
    pub nd_reply: bool,
}

/// Another node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: NodeName,
    /// The prefixes its pods' addresses come from.
    pub pod_cidrs: Vec<IpNet>,
    /// The address that tunnelled packets are sent to, and that they come from.
    pub underlay: IpAddr,
}

/// A pod attached to this node's switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPod {
    /// Sandbox id.
    pub id: PodId,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub name: String,
    /// Pod UID; that of the empty text when the attachment has none.
    pub uid: Uid,
    /// OpenFlow port number.
    pub ofport: u32,
    /// MAC address of the pod's interface.
    pub mac: MacAddr,
    /// The pod's addresses.
    pub ips: Vec<IpAddr>,
}

/// One change of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The local node is now this.
    Node(LocalNode),
    /// A peer came, or is now this.
    PeerSet(Peer),
    /// A peer went.
    PeerGone(NodeName),
    /// A pod came, or is now this.
    PodSet(LocalPod),
    /// A pod went.
    PodGone(PodId),
    /// Whether samples of dropped packets are wanted.
    SampleDrops(bool),
    /// A port of a Service came, or is now this.
    ServiceSet(Arc<ServicePort>),
    /// A port of a Service went.
    ServiceGone(ServiceId),
    /// An address that no Service has as endpoint any more has no connections left either.
    ForgetEndpoint(IpAddr),
    /// A namespace came, or is now this.
    NamespaceSet(NamespaceLabels),
    /// A namespace went.
    NamespaceGone(Arc<str>),
    /// A pod of the cluster, of this node or another, came, or is now this.
    ClusterPodSet(Arc<ClusterPod>),
    /// The pod of this namespace and name went.
    ClusterPodGone(Arc<str>, Arc<str>),
    /// A policy came, or is now this.
    PolicySet(Arc<Policy>),
    /// A policy went.
    PolicyGone(PolicyId),
}

/// Everything the flows of one node are compiled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The node itself.
    pub local: LocalNode,
    /// The other nodes.
    pub peers: BTreeMap<NodeName, Peer>,
    /// The pods attached here.
    pub pods: BTreeMap<PodId, LocalPod>,
    /// Whether samples of dropped packets are wanted.
    pub sample_drops: bool,
    /// The ports of Services. [`State::apply`] changes them, so that the memory follows.
    pub services: BTreeMap<ServiceId, Arc<ServicePort>>,
    /// Who is at which index of a Service, and which addresses are endpoints.
    pub memory: Memory,
    /// The namespaces, by name.
    pub namespaces: BTreeMap<Arc<str>, NamespaceLabels>,
    /// All pods of the cluster that have a network of their own.
    pub cluster_pods: PodSet,
    /// The policies.
    pub policies: BTreeMap<PolicyId, Arc<Policy>>,
}

impl State {
    /// A node without peers and pods.
    pub fn new(local: LocalNode) -> Self {
        Self {
            local,
            peers: BTreeMap::new(),
            pods: BTreeMap::new(),
            sample_drops: false,
            services: BTreeMap::new(),
            memory: Memory::default(),
            namespaces: BTreeMap::new(),
            cluster_pods: PodSet::default(),
            policies: BTreeMap::new(),
        }
    }

    /// A pod of the cluster.
    pub fn cluster_pod(&self, namespace: &str, name: &str) -> Option<&Arc<ClusterPod>> {
        self.cluster_pods.get(namespace, name)
    }

    /// The policies of a namespace.
    pub fn policies_of(&self, namespace: &str) -> impl Iterator<Item = &Arc<Policy>> {
        let start = PolicyId::new(namespace, "");
        let length = start.as_str().len();
        let prefix: Box<str> = start.as_str().into();
        let from_there = self.policies.range(start..);
        from_there
            .take_while(move |(id, _)| id.as_str().get(..length) == Some(&*prefix))
            .map(|(_, policy)| policy)
    }

    /// Applies a change; returns whether anything is different now.
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Node(node) => {
                let changed = self.local != node;
                self.local = node;
                changed
            }
            Change::PeerSet(peer) => {
                self.peers.get(&peer.name) != Some(&peer) && {
                    self.peers.insert(peer.name.clone(), peer);
                    true
                }
            }
            Change::PeerGone(name) => self.peers.remove(&name).is_some(),
            Change::PodSet(pod) => {
                self.pods.get(&pod.id) != Some(&pod) && {
                    self.pods.insert(pod.id.clone(), pod);
                    true
                }
            }
            Change::PodGone(id) => self.pods.remove(&id).is_some(),
            Change::SampleDrops(wanted) => {
                std::mem::replace(&mut self.sample_drops, wanted) != wanted
            }
            Change::ServiceSet(port) => self.set_service(port).is_some(),
            Change::ServiceGone(id) => self.remove_service(&id).is_some(),
            Change::ForgetEndpoint(ip) => self.memory.forget(ip) != Delta::default(),
            Change::NamespaceSet(namespace) => {
                self.namespaces.get(&namespace.name) != Some(&namespace) && {
                    self.namespaces.insert(namespace.name.clone(), namespace);
                    true
                }
            }
            Change::NamespaceGone(name) => self.namespaces.remove(&name).is_some(),
            Change::ClusterPodSet(pod) => {
                let before = self.cluster_pods.put(pod.clone());
                before != Some(pod)
            }
            Change::ClusterPodGone(namespace, name) => {
                self.cluster_pods.remove(&namespace, &name).is_some()
            }
            Change::PolicySet(policy) => {
                self.policies.get(&policy.id) != Some(&policy) && {
                    self.policies.insert(policy.id.clone(), policy);
                    true
                }
            }
            Change::PolicyGone(id) => self.policies.remove(&id).is_some(),
        }
    }

    /// `None` if the Service is that already.
    pub(crate) fn set_service(&mut self, port: Arc<ServicePort>) -> Option<Delta> {
        let port = port.normalised();
        let before = self.services.get(&port.id);
        if before == Some(&port) {
            return None;
        }
        let delta = self.memory.set(before.map(|before| &**before), &port);
        self.services.insert(port.id.clone(), port);
        Some(delta)
    }

    /// `None` if there is no such Service.
    pub(crate) fn remove_service(&mut self, id: &ServiceId) -> Option<Delta> {
        let port = self.services.remove(id)?;
        Some(self.memory.remove(&port))
    }
}
