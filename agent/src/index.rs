//! Joins the cluster's objects into what this node's network is made of: its peers, and its own part.
//!
//! Fed with the events of any [`Source`](crate::source::Source), it answers with the changes of the domain model
//! that follow, and with none if nothing follows: a relist of what was known, a label, a heartbeat. Nothing is
//! answered before every kind was listed once, so that a half-known cluster is never programmed.
//!
//! A node is a peer once it has a podCIDR and an InternalIP. Its tunnel address is its first InternalIP of the
//! family of this node's first, so that both ends agree without being told.
//!
//! Must not know OpenFlow, nor where events come from, nor what is done with the changes.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use ipnet::IpNet;
use sluice_flows::model::{Change, NodeName, Peer};

use crate::source::{Event, Kind, Namespace, Node, Object, ObjectRef, Pod};

/// What the cluster says about the node we run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnNode {
    /// The CIDRs its pods' addresses come from.
    pub pod_cidrs: Vec<IpNet>,
    /// Its InternalIPs, in the order listed.
    pub internal_ips: Vec<IpAddr>,
}

/// What follows from some events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Our own node, if what is said about it changed (or became known).
    pub own: Option<OwnNode>,
    /// The peers that changed: only `PeerSet` and `PeerGone`, ordered by name.
    pub changes: Vec<Change>,
}

impl Update {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.own.is_none() && self.changes.is_empty()
    }
}

/// The joined state of the cluster, as far as this node is concerned.
#[derive(Debug)]
pub struct Index {
    own_name: String,
    listed: BTreeSet<Kind>,
    nodes: BTreeMap<String, Node>,
    namespaces: BTreeMap<String, Namespace>,
    pods: HashMap<(String, String), Pod>,
    /// What was last answered.
    own: Option<OwnNode>,
    peers: BTreeMap<NodeName, Peer>,
}

impl Index {
    /// An index for the node called `own_name`, which knows nothing yet.
    pub fn new(own_name: impl Into<String>) -> Index {
        Index {
            own_name: own_name.into(),
            listed: BTreeSet::new(),
            nodes: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            pods: HashMap::new(),
            own: None,
            peers: BTreeMap::new(),
        }
    }

    /// Takes events in and says what follows from all of them together.
    pub fn apply(&mut self, events: Vec<Event>) -> Update {
        let was_complete = self.is_complete();
        // The nodes that the events speak of; what else they speak of changes no peer.
        let mut touched = BTreeSet::new();
        for event in events {
            self.take(event, &mut touched);
        }
        if !self.is_complete() {
            return Update::default();
        }
        let family = self.underlay_is_v4();
        let own = self.update_own();
        if !was_complete || self.underlay_is_v4() != family {
            touched.extend(self.nodes.keys().cloned());
        }
        let changes = touched
            .into_iter()
            .filter_map(|name| self.update_peer(name))
            .collect();
        Update { own, changes }
    }

    /// Whether every kind was listed once.
    pub fn is_complete(&self) -> bool {
        self.listed.len() == Kind::ALL.len()
    }

    /// What the cluster says about our own node; the last that was said, if it no longer says anything.
    pub fn own(&self) -> Option<&OwnNode> {
        self.own.as_ref()
    }

    /// The peers, by name.
    pub fn peers(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.peers.values()
    }

    /// A namespace, if the cluster has it.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// A pod, if the cluster has it.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Node => self.nodes.len(),
            Kind::Namespace => self.namespaces.len(),
            Kind::Pod => self.pods.len(),
        }
    }

    fn take(&mut self, event: Event, touched: &mut BTreeSet<String>) {
        match event {
            Event::Set(object) => self.set(object, touched),
            Event::Gone(reference) => self.remove(&reference, touched),
            Event::Listed(kind, objects) => {
                self.listed.insert(kind);
                match kind {
                    Kind::Node => touched.extend(std::mem::take(&mut self.nodes).into_keys()),
                    Kind::Namespace => self.namespaces.clear(),
                    Kind::Pod => self.pods.clear(),
                }
                for object in objects {
                    self.set(object, touched);
                }
            }
        }
    }

    fn set(&mut self, object: Object, touched: &mut BTreeSet<String>) {
        match object {
            Object::Node(node) => {
                touched.insert(node.name.clone());
                self.nodes.insert(node.name.clone(), node);
            }
            Object::Namespace(namespace) => {
                self.namespaces.insert(namespace.name.clone(), namespace);
            }
            Object::Pod(pod) => {
                self.pods
                    .insert((pod.namespace.clone(), pod.name.clone()), pod);
            }
        }
    }

    fn remove(&mut self, reference: &ObjectRef, touched: &mut BTreeSet<String>) {
        match reference.kind {
            Kind::Node => {
                self.nodes.remove(&reference.name);
                touched.insert(reference.name.clone());
            }
            Kind::Namespace => {
                self.namespaces.remove(&reference.name);
            }
            Kind::Pod => {
                self.pods
                    .remove(&(reference.namespace.clone(), reference.name.clone()));
            }
        }
    }

    /// Our own node, if it changed. A Node object that is gone changes nothing: the pods that are here still are.
    fn update_own(&mut self) -> Option<OwnNode> {
        let node = self.nodes.get(&self.own_name)?;
        let own = OwnNode {
            pod_cidrs: node.pod_cidrs.clone(),
            internal_ips: node.internal_ips.clone(),
        };
        if self.own.as_ref() == Some(&own) {
            return None;
        }
        self.own = Some(own.clone());
        Some(own)
    }

    fn underlay_is_v4(&self) -> Option<bool> {
        self.own.as_ref()?.internal_ips.first().map(IpAddr::is_ipv4)
    }

    fn update_peer(&mut self, name: String) -> Option<Change> {
        let now = self.nodes.get(&name).and_then(|node| self.peer(node));
        let name = NodeName::from(name);
        match now {
            Some(now) if self.peers.get(&name) == Some(&now) => None,
            Some(now) => {
                self.peers.insert(name, now.clone());
                Some(Change::PeerSet(now))
            }
            None => self.peers.remove(&name).map(|_| Change::PeerGone(name)),
        }
    }

    /// The peer that a node is, if it is one.
    fn peer(&self, node: &Node) -> Option<Peer> {
        if node.name == self.own_name || node.pod_cidrs.is_empty() {
            return None;
        }
        let preferred = self.underlay_is_v4();
        let fits = |ip: &&IpAddr| preferred.is_none_or(|v4| ip.is_ipv4() == v4);
        let underlay = node
            .internal_ips
            .iter()
            .find(fits)
            .or(node.internal_ips.first())?;
        Some(Peer {
            name: NodeName::from(node.name.as_str()),
            pod_cidrs: node.pod_cidrs.clone(),
            underlay: *underlay,
        })
    }
}

#[cfg(test)]
mod tests;
