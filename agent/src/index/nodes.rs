//! Nodes: the peers that pods are reached by, our own part, and who is in which zone.
//!
//! A node is a peer once it has a podCIDR and an InternalIP. Its tunnel address is its first InternalIP of the
//! family of this node's first, so that both ends agree without being told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use sluice_flows::model::{Change, NodeName, Peer};

use super::Update;
use crate::source::Node;

/// What the cluster says about the node we run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnNode {
    /// The CIDRs its pods' addresses come from.
    pub pod_cidrs: Vec<IpNet>,
    /// Its InternalIPs, in the order listed.
    pub internal_ips: Vec<IpAddr>,
    /// Its ExternalIPs, in the order listed.
    pub external_ips: Vec<IpAddr>,
    /// Its zone.
    pub zone: Option<Arc<str>>,
}

/// Which zones are others than before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    /// That of our own node.
    pub own: bool,
    /// That of any node.
    pub any: bool,
}

#[derive(Debug)]
pub(super) struct Nodes {
    own_name: Arc<str>,
    nodes: BTreeMap<Arc<str>, Arc<Node>>,
    /// The nodes that were spoken of since the last answer.
    touched: BTreeSet<Arc<str>>,
    moved: bool,
    /// What was last answered.
    own: Option<OwnNode>,
    peers: BTreeMap<NodeName, Peer>,
}

impl Nodes {
    pub(super) fn new(own_name: Arc<str>) -> Nodes {
        Nodes {
            own_name,
            nodes: BTreeMap::new(),
            touched: BTreeSet::new(),
            moved: false,
            own: None,
            peers: BTreeMap::new(),
        }
    }

    pub(super) fn own_name(&self) -> &str {
        &self.own_name
    }

    pub(super) fn own(&self) -> Option<&OwnNode> {
        self.own.as_ref()
    }

    pub(super) fn own_zone(&self) -> Option<&Arc<str>> {
        self.own.as_ref()?.zone.as_ref()
    }

    pub(super) fn peers(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.peers.values()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.nodes.keys()
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().map(|node| &**node)
    }

    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The zone of a node, where it is known.
    pub(super) fn zone(&self, name: &str) -> Option<&Arc<str>> {
        self.nodes.get(name)?.zone.as_ref()
    }

    pub(super) fn set(&mut self, node: Arc<Node>) {
        self.touched.insert(node.name.clone());
        let zone = node.zone.clone();
        let before = self.nodes.insert(node.name.clone(), node);
        self.moved |= before.and_then(|node| node.zone.clone()) != zone;
    }

    pub(super) fn remove(&mut self, name: &Arc<str>) {
        if let Some(before) = self.nodes.remove(name) {
            self.moved |= before.zone.is_some();
            self.touched.insert(name.clone());
        }
    }

    pub(super) fn answer(&mut self, update: &mut Update) -> Moved {
        let before = (
            self.underlay_is_v4(),
            self.own.as_ref().and_then(|own| own.zone.clone()),
        );
        update.own = self.update_own();
        let own_moved = self.own_zone() != before.1.as_ref();
        let mut touched = std::mem::take(&mut self.touched);
        if self.underlay_is_v4() != before.0 {
            touched.extend(self.nodes.keys().cloned());
        }
        update.changes = touched
            .into_iter()
            .filter_map(|name| self.update_peer(&name))
            .collect();
        Moved {
            own: own_moved,
            any: std::mem::take(&mut self.moved),
        }
    }

    /// Our own node, if it changed. A Node object that is gone changes nothing: the pods that are here still are.
    fn update_own(&mut self) -> Option<OwnNode> {
        if !self.touched.contains(&self.own_name) {
            return None;
        }
        let node = self.nodes.get(&self.own_name)?;
        let own = OwnNode {
            pod_cidrs: node.pod_cidrs.clone(),
            internal_ips: node.internal_ips.clone(),
            external_ips: node.external_ips.clone(),
            zone: node.zone.clone(),
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

    fn update_peer(&mut self, name: &str) -> Option<Change> {
        let now = self.nodes.get(name).and_then(|node| self.peer(node));
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
            name: NodeName::new(node.name.clone()),
            pod_cidrs: node.pod_cidrs.clone(),
            underlay: *underlay,
        })
    }
}
