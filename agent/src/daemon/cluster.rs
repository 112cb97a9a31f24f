//! From the state of the cluster to what the other parts need of it.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;
use sluice_flows::model::{Change, Gateway, LocalNode, NodeName, Tunnel};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::attach::Service;
use crate::config::{Config, DatapathType};
use crate::host::gateway::GatewayNic;
use crate::host::pod::Datapath;
use crate::host::services::HostServices;
use crate::index::{Index, Update};
use crate::node::{self, NodeNet};
use crate::readiness::{Condition, Readiness};
use crate::reconciler;
use crate::source::{DirectorySource, DirectoryStatus, Event, Kind, Source as _};
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
    /// Where others find how the folder of manifests fares.
    pub(super) status: Arc<OnceLock<watch::Receiver<DirectoryStatus>>>,
}

/// What was handed on.
#[derive(Default)]
struct HandedOn {
    /// This node's ranges.
    ranges: Vec<IpNet>,
    /// Whether the reconciler knows that all has been listed.
    complete: bool,
}

impl Cluster {
    /// Follows the source until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut index = Index::new(self.node.clone());
        let mut handed_on = HandedOn::default();
        let Some(path) = self.config.manifests.0.clone() else {
            // Nobody else will say what there is: there is nothing but this node.
            let nothing = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new())).into();
            let update = index.apply(nothing);
            self.hand_on(&index, update, &mut handed_on).await;
            return stop.cancelled().await;
        };
        self.readiness
            .fails(Condition::Sources, "not every kind has been listed");
        let Some(mut source) = stop.run_until_cancelled(self.open(&path)).await else {
            return;
        };
        self.status.get_or_init(|| source.status());
        while let Some(events) = stop.run_until_cancelled(source.next()).await {
            let update = index.apply(events);
            self.hand_on(&index, update, &mut handed_on).await;
        }
    }

    /// Opens the folder, as soon as there is one.
    async fn open(&self, path: &Path) -> DirectorySource {
        loop {
            match DirectorySource::open(path) {
                Ok(source) => return source,
                Err(error) => {
                    let why = format!("manifests in {}: {error}", path.display());
                    self.readiness.fails(Condition::Sources, why);
                }
            }
            tokio::time::sleep(super::PAUSE).await;
        }
    }

    /// Hands on what changed: to the flows, the addresses, the host.
    async fn hand_on(&self, index: &Index, update: Update, handed_on: &mut HandedOn) {
        if !index.is_complete() {
            return;
        }
        let mut changes = update.changes;
        let ranges = match self.config.pod_cidrs.0.as_slice() {
            [] => index
                .own()
                .map(|own| own.pod_cidrs.clone())
                .unwrap_or_default(),
            configured => configured.to_vec(),
        };
        if ranges.is_empty() {
            let why = format!("node {} has no podCIDRs", self.node);
            self.readiness.fails(Condition::Sources, why);
        } else {
            self.readiness.holds(Condition::Sources);
        }
        if ranges != handed_on.ranges && !ranges.is_empty() {
            tracing::info!(?ranges, "address ranges of this node's pods");
            self.service.set_ranges(&ranges);
            changes.push(Change::Node(self.local_node(&ranges)));
            handed_on.ranges = ranges;
        }
        if !changes.is_empty() && self.reconciler.submit(changes).await.is_err() {
            return;
        }
        if !handed_on.ranges.is_empty() {
            self.nets
                .send_replace(Some(self.net(index, &handed_on.ranges)));
            if !handed_on.complete {
                handed_on.complete = true;
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
            addresses: Vec::new(),
            node_port_addresses: Vec::new(),
            caps: self.built.capabilities,
        }
    }

    fn net(&self, index: &Index, ranges: &[IpNet]) -> NodeNet {
        let addrs = node::gateway_addresses(ranges);
        let peers = index
            .peers()
            .flat_map(|peer| peer.pod_cidrs.iter().copied());
        let cidrs = ranges.iter().copied().chain(peers).collect();
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
            masquerade: self.config.masquerade.then(|| ranges.to_vec()),
            services: HostServices::default(),
        }
    }
}
