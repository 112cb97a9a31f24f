//! From the state of the cluster to what the other parts need of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use sluice_flows::handover::{NODE_PORT, handovers};
use sluice_flows::model::{Change, Gateway, LocalNode, NodeName, Tunnel};
use sluice_rpc::PodRef;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::attach::Service;
use crate::config::{Config, DatapathType};
use crate::health::{HealthCheck, HealthChecks};
use crate::host::gateway::GatewayNic;
use crate::host::pod::Datapath;
use crate::host::services::{HostServices, OwnPort};
use crate::index::{Index, Joined, NodePort, Options, OwnProcess, Trigger, Update};
use crate::metrics::{Metrics, Phase};
use crate::node::{self, NodeNet};
use crate::readiness::{Condition, Readiness};
use crate::reconciler::{self, ApplyError, Lacking};
use crate::reporter::Reporter;
use crate::source::kubernetes::{KubernetesSource, StateFile};
use crate::source::object::Uid;
use crate::source::{AnySource, DirectorySource, Event, Kind, Source as _, SourceStatus};
use crate::switch::Built;

/// How long after its beginning a change may count as programmed; later answers say nothing of it.
const PROGRAMMED: Duration = Duration::from_secs(600);

/// How long to wait for the kernel's word on the node's addresses.
const ADDRESSES: Duration = Duration::from_secs(5);

pub(super) struct Cluster {
    pub(super) node: String,
    pub(super) config: Config,
    pub(super) built: Built,
    pub(super) pod_mtu: u16,
    pub(super) service: Service,
    pub(super) reconciler: reconciler::Handle,
    pub(super) readiness: Readiness,
    pub(super) metrics: Metrics,
    pub(super) nets: watch::Sender<Option<NodeNet>>,
    pub(super) health: watch::Sender<HealthChecks>,
    /// The addresses that this node's devices have, once they are known.
    pub(super) bound: watch::Receiver<Option<BTreeSet<IpAddr>>>,
    /// Tells the cluster of what fails.
    pub(super) reporter: Reporter,
    /// The joined objects, for those who report on them.
    pub(super) index: Arc<Mutex<Index>>,
    /// Where others find how the source fares.
    pub(super) status: Arc<OnceLock<SourceStatus>>,
}

/// Addresses of attached pods, by namespace, name and UID.
type Attached = BTreeMap<(String, String, Uid), Vec<IpAddr>>;

/// What was handed on.
struct HandedOn {
    /// Since when the source is followed.
    began: Instant,
    /// This node.
    local: Option<LocalNode>,
    /// The pods attached here.
    attached: Attached,
    /// The host's part.
    net: Option<NodeNet>,
    /// The processes of the node among it.
    processes: Vec<OwnProcess>,
    /// Whether the reconciler knows that all has been listed.
    complete: bool,
    /// What pods of this node were told that they go without.
    told: BTreeSet<(PodRef, Lacking, String)>,
    /// Whether sandboxes that vanished have been looked for.
    collected: bool,
}

impl HandedOn {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            local: None,
            attached: BTreeMap::new(),
            net: None,
            processes: Vec::new(),
            complete: false,
            told: BTreeSet::new(),
            collected: false,
        }
    }
}

/// The index of a node. Behind a folder of manifests there is nobody who does a controller's work; behind an API
/// server there is.
pub(super) fn index(node: &str, config: &Config) -> Arc<Mutex<Index>> {
    let options = Options {
        external_ips: config.external_ips,
        standalone: config.kubeconfig.0.is_none(),
        narrow: config.kubeconfig.0.is_some(),
        started: SystemTime::now(),
    };
    Arc::new(Mutex::new(Index::with_options(node, options)))
}

impl Cluster {
    /// Follows the source until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut handed_on = HandedOn::new();
        let mut attachments = self.service.changes();
        let mut lacks = self.reconciler.lacks();
        let mut bound = self.bound.clone();
        // What was attached before this agent started is there from the start; nothing follows before all is listed.
        drop(self.attachments(&mut handed_on));
        let opened = stop.run_until_cancelled(async {
            // What is served at them is in the switch of an agent before this one, and has to stay there.
            let known = bound.wait_for(Option::is_some);
            if tokio::time::timeout(ADDRESSES, known).await.is_err() {
                tracing::warn!("the node's addresses are not known yet; going on with those of the Node's status");
            }
            self.open().await
        });
        let Some(opened) = opened.await else {
            return;
        };
        let Some(mut source) = opened else {
            // Nobody else will say what there is: there is nothing but this node.
            let nothing = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new())).into();
            let update = self.with_index(|index| index.apply(nothing));
            self.hand_on(update, &mut handed_on).await;
            return stop.cancelled().await;
        };
        self.readiness
            .fails(Condition::Sources, "not every kind has been listed");
        self.status.get_or_init(|| source.status());
        loop {
            let patience = self.with_index(|index| index.holding());
            let impatient = async {
                match patience {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            let update = tokio::select! {
                () = stop.cancelled() => return,
                () = impatient => self.with_index(|index| index.apply(Vec::new())),
                events = source.next() => self.with_index(|index| index.apply(events)),
                changed = attachments.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.attachments(&mut handed_on)
                }
                changed = bound.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    Update::default()
                }
                changed = lacks.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.tell(&mut handed_on);
                    continue;
                }
            };
            // Before anything that takes time: what is missing is on its way meanwhile.
            if let Some(wanted) = self.with_index(|index| index.wanted_pods().cloned()) {
                source.want_pods(&wanted);
            }
            self.hand_on(update, &mut handed_on).await;
            self.tell(&mut handed_on);
            self.collect(&mut handed_on);
            // Pods are not attached while it is not known what applies to them.
            self.service
                .hold(self.with_index(|index| index.holding().is_some()));
        }
    }

    fn with_index<T>(&self, work: impl FnOnce(&mut Index) -> T) -> T {
        work(&mut self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells the index of the pods that were attached or detached.
    fn attachments(&self, handed_on: &mut HandedOn) -> Update {
        let now = self.service.named();
        let before = std::mem::replace(&mut handed_on.attached, now.clone());
        self.with_index(|index| {
            let mut all = Update::default();
            let is_in = |all: &Attached, pod: &_, ips: &_| all.get(pod) == Some(ips);
            for (pod, ips) in before.iter().filter(|(pod, ips)| !is_in(&now, pod, ips)) {
                let (namespace, name, _) = pod;
                all.extend(index.detached(namespace, name, ips));
            }
            for (pod, ips) in now.iter().filter(|(pod, ips)| !is_in(&before, pod, ips)) {
                let (namespace, name, uid) = pod;
                all.extend(index.attached(namespace, name, *uid, ips));
            }
            all
        })
    }

    /// Tells pods of this node what they go without: policies for them that are not in force as they are written, since
    /// they break the rules, cannot be compiled, or need flows that the switch refuses; and such flows of their own.
    fn tell(&self, handed_on: &mut HandedOn) {
        let lacks = self.reconciler.lacks().borrow().clone();
        let now: BTreeSet<(PodRef, Lacking, String)> = self.with_index(|index| {
            let mut now = BTreeSet::new();
            if index.has_refused_policies() || !lacks.is_empty() {
                for pod in self.service.named_pods() {
                    let refused = index.refused_policies_of(&pod.namespace, &pod.name);
                    let refused = refused.into_iter().map(|why| (Lacking::Policy, why));
                    let lacks = lacks
                        .iter()
                        .filter(|lack| lack.namespace == pod.namespace && lack.name == pod.name)
                        .map(|lack| (lack.what, lack.why.clone()));
                    let all = refused.chain(lacks);
                    now.extend(all.map(|(what, why)| (pod.clone(), what, why)));
                }
            }
            now
        });
        for (pod, what, why) in now.difference(&handed_on.told) {
            match what {
                Lacking::Attachment => self.reporter.attach_failed(pod, why.clone()),
                Lacking::Policy => self.reporter.policy_refused(pod, why.clone()),
            }
        }
        handed_on.told = now;
    }

    /// Once the cluster's word is fresh, takes away what sandboxes had that vanished while nobody looked.
    fn collect(&self, handed_on: &mut HandedOn) {
        let live = self.status.get().is_some_and(SourceStatus::is_live);
        if !handed_on.complete || !live || std::mem::replace(&mut handed_on.collected, true) {
            return;
        }
        let (service, index) = (self.service.clone(), Arc::clone(&self.index));
        tokio::spawn(async move {
            let exists = |pod: &PodRef| {
                let index = index.lock().unwrap_or_else(PoisonError::into_inner);
                let known = index.pod(&pod.namespace, &pod.name);
                let uid = Uid::new(pod.uid.as_deref().unwrap_or_default());
                known.is_some_and(|known| known.uid.may_be(uid))
            };
            service.collect_stale(exists).await;
        });
    }

    /// Opens the source, if there is one: a folder as soon as it is there.
    async fn open(&self) -> Option<AnySource> {
        if let Some(access) = self.config.access() {
            let state = self.config.state_file.0.clone().map(StateFile::new);
            return Some(AnySource::Kubernetes(KubernetesSource::start(
                access, &self.node, state,
            )));
        }
        let path = self.config.manifests.0.clone()?;
        loop {
            match DirectorySource::open(&path) {
                Ok(source) => return Some(AnySource::Directory(source)),
                Err(error) => {
                    let why = format!("manifests in {}: {error}", path.display());
                    self.readiness.fails(Condition::Sources, why);
                }
            }
            tokio::time::sleep(super::PAUSE).await;
        }
    }

    /// Hands on what changed: to the flows, the addresses, the host.
    async fn hand_on(&self, update: Update, handed_on: &mut HandedOn) {
        if !self.with_index(|index| index.is_complete()) {
            return;
        }
        let Update {
            own: _,
            mut changes,
            joined,
            service_addresses,
            node_ports,
            health_checks_changed,
            triggers,
            forgotten_addresses,
        } = update;
        let began = Instant::now();
        let peers_changed = !changes.is_empty();
        let services = joined
            .iter()
            .any(|joined| matches!(joined, Joined::ServiceSet(_) | Joined::ServiceGone(_)));
        changes.extend(joined.into_iter().map(Change::from));
        changes.extend(forgotten_addresses.into_iter().map(Change::ForgetEndpoint));

        let local = self.local_node();
        if local.pod_cidrs.is_empty() {
            let why = format!("node {} has no podCIDRs", self.node);
            self.readiness.fails(Condition::Sources, why);
        } else {
            self.readiness.holds(Condition::Sources);
        }
        let node_changed = !local.pod_cidrs.is_empty() && handed_on.local.as_ref() != Some(&local);
        if node_changed {
            let before = handed_on.local.as_ref().map(|node| &node.pod_cidrs);
            if before != Some(&local.pod_cidrs) {
                tracing::info!(ranges = ?local.pod_cidrs, "address ranges of this node's pods");
                self.service.set_ranges(&local.pod_cidrs);
            }
            // Before everything that is compiled for it.
            changes.insert(0, Change::Node(local.clone()));
            handed_on.local = Some(local);
        }
        if !changes.is_empty() {
            let Ok(answer) = self.reconciler.submit(changes).await else {
                return;
            };
            if services {
                self.observe(began, triggers, answer);
            }
        }
        if health_checks_changed {
            self.health.send_replace(self.health_checks());
        }
        self.gauge();
        let Some(local) = &handed_on.local else {
            return;
        };
        let serves_own = || self.with_index(|index| index.serves_at(&local.addresses));
        let services_changed =
            !service_addresses.is_empty() || !node_ports.is_empty() || (services && serves_own());
        let mut processes_changed = false;
        if services || node_changed {
            let processes = self.with_index(|index| index.processes(&local.addresses));
            processes_changed = handed_on.processes != processes;
            handed_on.processes = processes;
        }
        if node_changed || peers_changed || services_changed || processes_changed {
            let net = self.net(local);
            if handed_on.net.as_ref() != Some(&net) {
                self.nets.send_replace(Some(net.clone()));
                handed_on.net = Some(net);
            }
        }
        if !handed_on.complete {
            handed_on.complete = true;
            self.metrics.took(Phase::list, handed_on.began.elapsed());
            self.reconciler.listed().await;
        }
    }

    /// Once these changes are in the switch, notes how long that took, and how long ago they were triggered.
    fn observe(
        &self,
        began: Instant,
        triggers: Vec<Trigger>,
        answer: oneshot::Receiver<Result<(), ApplyError>>,
    ) {
        let metrics = self.metrics.clone();
        tokio::spawn(async move {
            let answer = tokio::time::timeout(PROGRAMMED, answer).await;
            if let Ok(Ok(Ok(()))) = answer {
                metrics.sync_seconds.observe(began.elapsed().as_secs_f64());
                let now = SystemTime::now();
                for trigger in triggers {
                    // The clock that triggered it may be ahead of this one.
                    let took = now.duration_since(trigger.at).unwrap_or_default();
                    metrics
                        .network_programming_seconds
                        .observe(took.as_secs_f64());
                }
            }
        });
    }

    fn gauge(&self) {
        let (services, endpoints) =
            self.with_index(|index| (index.count(Kind::Service), index.endpoint_count()));
        let gauge = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.metrics.services.set(gauge(services));
        self.metrics.endpoints.set(gauge(endpoints));
    }

    fn health_checks(&self) -> HealthChecks {
        self.with_index(|index| {
            let checks = index.health_checks().iter();
            checks
                .map(|(port, check)| {
                    let check = HealthCheck {
                        namespace: check.namespace.to_string(),
                        name: check.name.to_string(),
                        local_endpoints: check.local_endpoints,
                    };
                    (*port, check)
                })
                .collect()
        })
    }

    fn local_node(&self) -> LocalNode {
        let own = self
            .with_index(|index| index.own().cloned())
            .unwrap_or_default();
        let ranges = match self.config.pod_cidrs.0.as_slice() {
            [] => own.pod_cidrs,
            configured => configured.to_vec(),
        };
        let ips = node::gateway_addresses(&ranges);
        let kind = super::tunnel_kind(self.config.tunnel);
        let node_port_addresses = self.node_port_addresses(&own.internal_ips);
        let mut addresses = own.internal_ips;
        addresses.extend(own.external_ips);
        addresses.extend(self.shared_addresses(&addresses));
        LocalNode {
            name: NodeName::new(self.node.clone()),
            pod_cidrs: ranges,
            gateway: Gateway {
                ofport: self.built.gateway_ofport,
                mac: node::gateway_mac(&ips),
                ips,
            },
            tunnel: kind
                .zip(self.built.tunnel_ofport)
                .map(|(kind, ofport)| Tunnel { ofport, kind }),
            addresses,
            node_port_addresses,
            caps: self.built.capabilities,
        }
    }

    /// Those of the node's addresses that the configuration names, or else its first of each family.
    fn node_port_addresses(&self, internal: &[IpAddr]) -> Vec<IpAddr> {
        let configured = &self.config.node_port_addresses.0;
        if !configured.is_empty() {
            let named = |ip: &&IpAddr| configured.iter().any(|net: &IpNet| net.contains(*ip));
            return internal.iter().filter(named).copied().collect();
        }
        let first = |v4: bool| internal.iter().find(|ip| ip.is_ipv4() == v4).copied();
        [first(true), first(false)].into_iter().flatten().collect()
    }

    /// Addresses of load balancers, and externalIPs, that the node has without its status saying so: others move such ones
    /// from node to node.
    fn shared_addresses(&self, known: &[IpAddr]) -> Vec<IpAddr> {
        let bound = self.bound.borrow().clone().unwrap_or_default();
        let others = bound.into_iter().filter(|ip| !known.contains(ip));
        let others: Vec<IpAddr> = others.collect();
        let served = self.with_index(|index| index.external_at(&others));
        let mut shared: Vec<IpAddr> = served.into_iter().map(|(ip, ..)| ip).collect();
        shared.sort_unstable();
        shared.dedup();
        shared
    }

    fn net(&self, local: &LocalNode) -> NodeNet {
        let (peers, addresses, own_ports) = self.with_index(|index| {
            let peers: Vec<_> = index.peers().cloned().collect();
            let addresses: BTreeSet<IpAddr> = index.service_addresses().collect();
            (peers, addresses, own_ports(index, local))
        });
        let nodes: BTreeSet<IpAddr> = peers
            .iter()
            .map(|peer| peer.underlay)
            .chain(local.addresses.iter().copied())
            .collect();
        let peers = peers.iter().flat_map(|peer| peer.pod_cidrs.iter().copied());
        let cidrs = local.pod_cidrs.iter().copied().chain(peers).collect();
        NodeNet {
            nic: GatewayNic {
                ifname: self.config.gateway.to_string(),
                mac: local.gateway.mac.0,
                mtu: self.pod_mtu.into(),
                addrs: local.gateway.ips.clone(),
                router_mac: sluice_flows::pipeline::ROUTER_MAC.0,
                cidrs,
                datapath: match self.config.datapath_type {
                    DatapathType::System => Datapath::Kernel,
                    DatapathType::Netdev => Datapath::Userspace,
                },
            },
            masquerade: self.config.masquerade.then(|| local.pod_cidrs.clone()),
            services: HostServices {
                // What goes to a node must not go into the switch: the tunnels do, for one.
                addresses: addresses.difference(&nodes).copied().collect(),
                own_ports,
            },
        }
    }
}

/// What Services listen at of the node's own addresses: node ports, and what has such an address for an externalIP or
/// a load balancer's.
fn own_ports(index: &Index, local: &LocalNode) -> BTreeSet<OwnPort> {
    let processes = index.processes(&local.addresses).into_iter();
    let processes: BTreeMap<(Option<IpAddr>, NodePort), SocketAddr> = processes
        .map(|own| ((own.ip, own.at), own.process))
        .collect();
    let node_ports = index.node_ports().flat_map(|port| {
        let of_family = local.node_port_addresses.iter();
        let of_family = of_family.filter(move |ip| ip.is_ipv6() == port.v6);
        of_family.map(move |ip| (*ip, None, port))
    });
    let external = index.external_at(&local.addresses).into_iter();
    let external = external.map(|(ip, protocol, port)| {
        let v6 = ip.is_ipv6();
        (ip, Some(ip), NodePort { v6, protocol, port })
    });
    let handovers = handovers(&local.addresses);
    // A node port that has the number of another Service's port at one of the addresses is not served there.
    let all = node_ports.chain(external).map(|(address, ip, at)| {
        let of_address = ip.and_then(|ip| handovers.get(&ip));
        let own = OwnPort {
            address,
            protocol: at.protocol.number(),
            port: at.port,
            switch: *of_address.unwrap_or(&NODE_PORT[usize::from(at.v6)]),
            process: processes.get(&(ip, at)).copied(),
        };
        ((own.address, own.protocol, own.port), own)
    });
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}
