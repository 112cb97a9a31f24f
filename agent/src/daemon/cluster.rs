//! From the state of the cluster to what the other parts need of it.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use sluice_flows::model::{Change, Gateway, LocalNode, NodeName, Peer, Tunnel};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::attach::Service;
use crate::config::{Config, DatapathType};
use crate::host::gateway::GatewayNic;
use crate::host::pod::Datapath;
use crate::node::{self, NodeNet};
use crate::readiness::{Condition, Readiness};
use crate::reconciler;
use crate::source::{DirectorySource, Event, Kind, Node, Object, Source as _};
use crate::switch::Built;

pub(super) struct Cluster {
    pub(super) node: String,
    pub(super) config: Config,
    pub(super) built: Built,
    pub(super) pod_mtu: u16,
    pub(super) service: Service,
    pub(super) reconciler: reconciler::Handle,
    pub(super) readiness: Readiness,
    pub(super) nets: watch::Sender<Option<NodeNet>>,
}

/// What is known of the cluster.
#[derive(Default)]
struct Known {
    /// Kinds that the source has listed.
    listed: BTreeSet<Kind>,
    nodes: BTreeMap<String, Node>,
    /// This node's ranges, as last handed on.
    ranges: Vec<IpNet>,
    /// Whether the reconciler knows that all has been listed.
    complete: bool,
}

impl Cluster {
    /// Follows the source until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut known = Known {
            ranges: Vec::new(),
            ..Known::default()
        };
        let Some(path) = self.config.manifests.0.clone() else {
            known.listed.extend(Kind::ALL);
            self.hand_on(&mut known, Vec::new()).await;
            return stop.cancelled().await;
        };
        let mut source = loop {
            match DirectorySource::open(&path) {
                Ok(source) => break source,
                Err(error) => {
                    let why = format!("manifests in {}: {error}", path.display());
                    self.readiness.fails(Condition::Sources, why);
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(super::PAUSE) => {}
            }
        };
        let mut status = source.status();
        loop {
            let events = tokio::select! {
                () = stop.cancelled() => return,
                events = source.next() => events,
            };
            if status.has_changed().unwrap_or(false) {
                for fault in &status.borrow_and_update().faults {
                    tracing::error!(%fault, "manifest not in force; the last good state of it is");
                }
            }
            let changes = events
                .into_iter()
                .flat_map(|event| self.join(&mut known, event))
                .collect();
            self.hand_on(&mut known, changes).await;
        }
    }

    /// Takes an event in; returns what it changes for the flows.
    fn join(&self, known: &mut Known, event: Event) -> Vec<Change> {
        match event {
            Event::Set(Object::Node(node)) => self.node_set(known, node).into_iter().collect(),
            Event::Gone(gone) if gone.kind == Kind::Node => {
                known.nodes.remove(&gone.name);
                vec![Change::PeerGone(NodeName::new(gone.name))]
            }
            Event::Listed(kind, objects) => {
                known.listed.insert(kind);
                if kind != Kind::Node {
                    return Vec::new();
                }
                let nodes: Vec<Node> = objects
                    .into_iter()
                    .filter_map(|object| match object {
                        Object::Node(node) => Some(node),
                        _ => None,
                    })
                    .collect();
                let names: BTreeSet<&String> = nodes.iter().map(|node| &node.name).collect();
                let gone: Vec<String> = known
                    .nodes
                    .keys()
                    .filter(|name| !names.contains(name))
                    .cloned()
                    .collect();
                let mut changes: Vec<Change> = Vec::new();
                for name in gone {
                    known.nodes.remove(&name);
                    changes.push(Change::PeerGone(NodeName::new(name)));
                }
                changes.extend(
                    nodes
                        .into_iter()
                        .filter_map(|node| self.node_set(known, node)),
                );
                changes
            }
            Event::Set(_) | Event::Gone(_) => Vec::new(),
        }
    }

    fn node_set(&self, known: &mut Known, node: Node) -> Option<Change> {
        let old = known.nodes.insert(node.name.clone(), node.clone());
        if node.name == self.node || old.as_ref() == Some(&node) {
            return None;
        }
        let name = NodeName::new(node.name);
        let v6 = self.config.underlay_ipv6;
        let underlay = node
            .internal_ips
            .iter()
            .copied()
            .find(|ip| ip.is_ipv6() == v6);
        Some(match underlay.or(node.internal_ips.first().copied()) {
            Some(underlay) if !node.pod_cidrs.is_empty() => Change::PeerSet(Peer {
                name,
                pod_cidrs: node.pod_cidrs,
                underlay,
            }),
            _ => Change::PeerGone(name),
        })
    }

    /// Hands on what changed: to the flows, the addresses, the host.
    async fn hand_on(&self, known: &mut Known, mut changes: Vec<Change>) {
        let ranges = if self.config.pod_cidrs.0.is_empty() {
            known
                .nodes
                .get(&self.node)
                .map(|node| node.pod_cidrs.clone())
                .unwrap_or_default()
        } else {
            self.config.pod_cidrs.0.clone()
        };
        let listed = known.listed.len() == Kind::ALL.len();
        if !listed {
            self.readiness
                .fails(Condition::Sources, "not every kind has been listed");
        } else if ranges.is_empty() {
            let why = format!("node {} has no podCIDRs", self.node);
            self.readiness.fails(Condition::Sources, why);
        } else {
            self.readiness.holds(Condition::Sources);
        }
        if ranges != known.ranges && !ranges.is_empty() {
            tracing::info!(?ranges, "address ranges of this node's pods");
            self.service.set_ranges(&ranges);
            changes.push(Change::Node(self.local_node(&ranges)));
            known.ranges = ranges;
        }
        if !changes.is_empty() && self.reconciler.submit(changes).await.is_err() {
            return;
        }
        if listed && !known.ranges.is_empty() {
            self.nets.send_replace(Some(self.net(known)));
            if !known.complete {
                known.complete = true;
                self.reconciler.listed().await;
            }
        }
    }

    fn local_node(&self, ranges: &[IpNet]) -> LocalNode {
        let ips = node::gateway_addresses(ranges);
        let kind = super::tunnel_kind(self.config.tunnel);
        LocalNode {
            name: NodeName::new(self.node.clone()),
            pod_cidrs: ranges.to_vec(),
            gateway: Gateway {
                ofport: self.built.gateway_ofport,
                mac: node::gateway_mac(&ips),
                ips,
            },
            tunnel: kind
                .zip(self.built.tunnel_ofport)
                .map(|(kind, ofport)| Tunnel { ofport, kind }),
            caps: self.built.capabilities,
        }
    }

    fn net(&self, known: &Known) -> NodeNet {
        let addrs = node::gateway_addresses(&known.ranges);
        let peers = known.nodes.values().filter(|node| node.name != self.node);
        let mut cidrs = known.ranges.clone();
        cidrs.extend(peers.flat_map(|node| node.pod_cidrs.iter().copied()));
        NodeNet {
            nic: GatewayNic {
                ifname: self.config.gateway.to_string(),
                mac: node::gateway_mac(&addrs).0,
                mtu: self.pod_mtu.into(),
                addrs,
                router_mac: sluice_flows::pipeline::ROUTER_MAC.0,
                cidrs,
                datapath: match self.config.datapath_type {
                    DatapathType::System => Datapath::Kernel,
                    DatapathType::Netdev => Datapath::Userspace,
                },
            },
            masquerade: self.config.masquerade.then(|| known.ranges.clone()),
        }
    }
}
