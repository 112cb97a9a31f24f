//! Services joined with their endpoints, as this node serves them: one [`ServicePort`] for each port in each family.
//!
//! What changes is only computed again for the Services it touches: a slice touches its Service; a Service also
//! those that wait for an address it has or takes; a zone those whose endpoints are meant for zones.
//!
//! * [`frontends`]: where a Service listens.
//! * [`claims`]: who listens, where several want the same.
//! * [`endpoints`]: which endpoints are used.
//! * [`derived`]: endpoints for Services that nobody made EndpointSlices for.
//! * [`report`]: all of it, for people.
//!
//! Must not know flows, nor what a load balancer is told by a health check.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use sluice_flows::model::{Frontend, Protocol, ServicePort, TrafficPolicy};

use super::{
    Addresses, Joined, Key, Options, Update,
    nodes::{Moved, Nodes},
    pods::{Changed, Pods},
    refused::Refused,
};
use crate::source::{EndpointSlice, Service};

mod build;
mod claims;
mod derived;
mod endpoints;
mod frontends;
mod report;

pub use report::{EndpointReport, PortReport, ServiceReport, Unserved};

use build::Built;
use claims::Claims;
use derived::Derived;
pub(super) use derived::selected;

/// A port of the node at which a Service is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePort {
    /// On the node's IPv6 addresses, or else on its IPv4 addresses.
    pub v6: bool,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: u16,
}

/// A process of the node that alone serves here what comes from outside, and shall see its clients' addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnProcess {
    /// The address at which it is served; none for those of node ports.
    pub ip: Option<IpAddr>,
    /// The port at which it is served.
    pub at: NodePort,
    /// Where the process listens.
    pub process: SocketAddr,
}

/// What load balancers that ask for a Service's local endpoints are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The Service's namespace.
    pub namespace: Arc<str>,
    /// The Service's name.
    pub name: Arc<str>,
    /// How many ready endpoints it has on this node.
    pub local_endpoints: usize,
}

/// A change of a Service's endpoints, and when that was triggered which it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The Service's namespace.
    pub namespace: Arc<str>,
    /// The Service's name.
    pub name: Arc<str>,
    /// When (annotation `endpoints.kubernetes.io/last-change-trigger-time`).
    pub at: SystemTime,
}

/// What else there is, as far as Services depend on it.
pub(super) struct Around<'a> {
    pub(super) nodes: &'a Nodes,
    pub(super) pods: &'a Pods,
}

#[derive(Debug)]
pub(super) struct Services {
    options: Options,
    entries: BTreeMap<Key, Entry>,
    /// Every slice by its own name.
    slices: BTreeMap<Key, Arc<EndpointSlice>>,
    /// The Services whose object or slices were touched since the last answer, as the objects were then.
    touched: BTreeMap<Key, Option<Arc<Service>>>,
    triggers: BTreeMap<Key, Vec<SystemTime>>,
    claims: Claims,
    derived: Derived,
    /// The Services some of whose endpoints are meant for zones.
    hinted: BTreeSet<Key>,
    /// The Services of which only endpoints of this node serve what comes from outside.
    local: BTreeSet<Key>,
    /// How many Services are served at each address.
    addresses: BTreeMap<IpAddr, u32>,
    node_ports: BTreeSet<NodePort>,
    health_checks: BTreeMap<u16, HealthCheck>,
}

/// What is known of a Service.
#[derive(Debug, Default)]
struct Entry {
    /// Absent while there are only slices.
    service: Option<Arc<Service>>,
    /// Ordered by name.
    slices: Vec<Arc<EndpointSlice>>,
    /// What was last answered, ordered by id.
    ports: Vec<Arc<ServicePort>>,
    /// Where load balancers ask about it.
    health_check: Option<u16>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.service.is_none() && self.slices.is_empty()
    }
}

impl Services {
    pub(super) fn new(options: Options) -> Services {
        Services {
            options,
            entries: BTreeMap::new(),
            slices: BTreeMap::new(),
            touched: BTreeMap::new(),
            triggers: BTreeMap::new(),
            claims: Claims::default(),
            derived: Derived::default(),
            hinted: BTreeSet::new(),
            local: BTreeSet::new(),
            addresses: BTreeMap::new(),
            node_ports: BTreeSet::new(),
            health_checks: BTreeMap::new(),
        }
    }

    pub(super) fn service(
        &self,
        namespace: &str,
        name: &str,
    ) -> Option<(&Service, Option<Unserved>)> {
        let key = Key {
            namespace: namespace.into(),
            name: name.into(),
        };
        let service = self.entries.get(&key)?.service.as_deref()?;
        Some((service, frontends::unserved(service)))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let known = self.entries.iter();
        known.filter_map(|(key, entry)| entry.service.as_ref().map(|_| key))
    }

    pub(super) fn slice_keys(&self) -> impl Iterator<Item = &Key> {
        self.slices.keys()
    }

    pub(super) fn count(&self) -> usize {
        self.keys().count()
    }

    /// How many Services are known in any way, by their slices alone included.
    #[cfg(test)]
    pub(super) fn entry_count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn slice_count(&self) -> usize {
        self.slices.len()
    }

    pub(super) fn endpoint_count(&self) -> usize {
        self.slices
            .values()
            .map(|slice| slice.endpoints.len())
            .sum()
    }

    pub(super) fn addresses(&self) -> impl ExactSizeIterator<Item = IpAddr> {
        self.addresses.keys().copied()
    }

    pub(super) fn serves_at(&self, addresses: &[IpAddr]) -> bool {
        addresses.iter().any(|ip| self.addresses.contains_key(ip))
    }

    pub(super) fn external_at(&self, addresses: &[IpAddr]) -> Vec<(IpAddr, Protocol, u16)> {
        if !self.serves_at(addresses) {
            return Vec::new();
        }
        let ports = self.entries.values().flat_map(|entry| &entry.ports);
        let external = ports.flat_map(|port| {
            port.frontends.iter().filter_map(|frontend| match frontend {
                Frontend::External { ip, port: n, .. } => Some((*ip, port.protocol, *n)),
                Frontend::Cluster { .. } | Frontend::NodePort { .. } => None,
            })
        });
        let of_node = external.filter(|(ip, ..)| addresses.contains(ip));
        of_node.collect()
    }

    pub(super) fn node_ports(&self) -> impl ExactSizeIterator<Item = NodePort> {
        self.node_ports.iter().copied()
    }

    /// `own` are the node's addresses. Costs as much as there are Services with `externalTrafficPolicy: Local`.
    pub(super) fn processes(&self, own: &[IpAddr]) -> Vec<OwnProcess> {
        let entries = self.local.iter().filter_map(|key| self.entries.get(key));
        let ports = entries.flat_map(|entry| &entry.ports);
        let processes = ports.filter_map(|port| {
            let all_own = port.local.iter().all(|backend| own.contains(&backend.ip));
            let first = port.local.first().filter(|_| all_own)?;
            Some((port, SocketAddr::new(first.ip, first.port)))
        });
        let served = processes.flat_map(|(port, process)| {
            port.frontends.iter().filter_map(move |frontend| {
                let (ip, number) = match *frontend {
                    Frontend::NodePort {
                        port,
                        policy: TrafficPolicy::Local,
                    } => (None, port),
                    // Who may use it is looked at in the switch.
                    Frontend::External {
                        ip,
                        port,
                        policy: TrafficPolicy::Local,
                        sources: None,
                    } if own.contains(&ip) => (Some(ip), port),
                    _ => return None,
                };
                let at = NodePort {
                    v6: port.v6,
                    protocol: port.protocol,
                    port: number,
                };
                Some(OwnProcess { ip, at, process })
            })
        });
        served.collect()
    }

    pub(super) fn health_checks(&self) -> &BTreeMap<u16, HealthCheck> {
        &self.health_checks
    }

    pub(super) fn set(&mut self, service: Arc<Service>) {
        let key = Key::new(&service.namespace, &service.name);
        self.replace(&key, Some(service));
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if self.entries.contains_key(key) {
            self.replace(key, None);
        }
    }

    fn replace(&mut self, key: &Key, service: Option<Arc<Service>>) {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.service == service {
            return;
        }
        let before = std::mem::replace(&mut entry.service, service.clone());
        if self.options.standalone {
            self.derived
                .service_changed(key, before.as_deref(), service.as_deref());
        }
        self.touched.entry(key.clone()).or_insert(before);
    }

    fn touch(&mut self, key: Key) {
        let service = self
            .entries
            .get(&key)
            .and_then(|entry| entry.service.clone());
        self.touched.entry(key).or_insert(service);
    }

    pub(super) fn set_slice(&mut self, slice: Arc<EndpointSlice>, addresses: &mut Addresses) {
        let key = Key::new(&slice.namespace, &slice.name);
        let before = self.slices.insert(key, slice.clone());
        let unchanged = before
            .as_ref()
            .is_some_and(|before| before.says_the_same(&slice));
        if !unchanged {
            let old = before.as_deref().map(|before| &*before.endpoints);
            addresses.slice_moved(old.unwrap_or_default(), &slice.endpoints);
        }
        if let Some(before) = before {
            self.drop_slice(&before, !unchanged);
        }
        if slice.service.is_empty() {
            return;
        }
        let service = Key::new(&slice.namespace, &slice.service);
        if !unchanged {
            self.touch(service.clone());
            let at = slice.triggered.filter(|at| *at > self.options.started);
            if let Some(at) = at {
                self.triggers.entry(service.clone()).or_default().push(at);
            }
        }
        let slices = &mut self.entries.entry(service).or_default().slices;
        let at = slices.partition_point(|other| other.name < slice.name);
        slices.insert(at, slice);
    }

    pub(super) fn remove_slice(&mut self, key: &Key, addresses: &mut Addresses) {
        if let Some(before) = self.slices.remove(key) {
            addresses.slice_moved(&before.endpoints, &[]);
            self.drop_slice(&before, true);
            // When it was triggered that there are fewer now, nobody knows: the annotation is of an earlier change.
            self.triggers
                .remove(&Key::new(&before.namespace, &before.service));
        }
    }

    /// Takes a slice from the Service it belonged to.
    fn drop_slice(&mut self, slice: &EndpointSlice, touch: bool) {
        let service = Key::new(&slice.namespace, &slice.service);
        let Some(entry) = self.entries.get_mut(&service) else {
            return;
        };
        entry.slices.retain(|other| other.name != slice.name);
        if touch {
            self.touch(service);
        }
    }

    /// What is different now.
    pub(super) fn answer(
        &mut self,
        around: &Around<'_>,
        moved: Moved,
        pods: &[Changed],
        refused: &mut Refused,
        update: &mut Update,
    ) {
        let touched = std::mem::take(&mut self.touched);
        let mut stale: BTreeSet<Key> = touched.keys().cloned().collect();
        for (key, before) in touched {
            self.stake_claims(&key, before.as_deref(), &mut stale);
        }
        if moved.own {
            stale.extend(self.hinted.iter().cloned());
        }
        if self.options.standalone {
            if moved.any {
                stale.extend(self.derived.placed().cloned());
            }
            self.derived.answer(pods, around.pods, &mut stale);
        }
        let mut served = build::Served::default();
        for key in stale {
            let built = self.build(&key, around);
            refused.note_conflicts(&key, &built.conflicts);
            self.put(&key, built, &mut served, update);
        }
        served.finish(&mut self.addresses, &mut self.node_ports, update);
        let triggers = std::mem::take(&mut self.triggers).into_iter();
        update.triggers = triggers
            .flat_map(|(key, times)| {
                times.into_iter().map(move |at| Trigger {
                    namespace: key.namespace.clone(),
                    name: key.name.clone(),
                    at,
                })
            })
            .collect();
    }

    /// Gives up what the Service claimed `before` and claims what it does now; `stale` gains those who win or lose.
    fn stake_claims(&mut self, key: &Key, before: Option<&Service>, stale: &mut BTreeSet<Key>) {
        let entry = self.entries.get(key);
        let now = entry.and_then(|entry| entry.service.as_deref());
        let claims = |service: Option<&Service>| {
            service.map_or_else(BTreeMap::new, |it| frontends::claims(it, &self.options))
        };
        let (before, now) = (claims(before), claims(now));
        for (slot, rank) in &before {
            if now.get(slot) != Some(rank) {
                stale.extend(self.claims.give_up(slot, rank, key));
            }
        }
        for (slot, rank) in now {
            if before.get(&slot) != Some(&rank) {
                stale.extend(self.claims.stake(slot, rank, key));
            }
        }
    }

    /// Puts what was built in the place of what was there, and notes what that changes.
    fn put(&mut self, key: &Key, built: Built, served: &mut build::Served, update: &mut Update) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut entry.ports, built.ports);
        for port in &before {
            if entry
                .ports
                .binary_search_by(|it| it.id.cmp(&port.id))
                .is_err()
            {
                update.joined.push(Joined::ServiceGone(port.id.clone()));
            }
        }
        for port in &mut entry.ports {
            match before
                .binary_search_by(|it| it.id.cmp(&port.id))
                .map(|at| before.get(at))
            {
                Ok(Some(known)) if known == port => *port = known.clone(),
                _ => update.joined.push(Joined::ServiceSet(port.clone())),
            }
        }
        served.replace(&before, &entry.ports);
        let check_before = std::mem::replace(
            &mut entry.health_check,
            built.health_check.as_ref().map(|(port, _)| *port),
        );
        if let Some(port) = check_before.filter(|port| Some(*port) != entry.health_check) {
            // Another may have it already.
            let ours =
                |check: &HealthCheck| check.namespace == key.namespace && check.name == key.name;
            if self.health_checks.get(&port).is_some_and(ours) {
                self.health_checks.remove(&port);
                update.health_checks_changed = true;
            }
        }
        if let Some((port, check)) = built.health_check
            && self.health_checks.get(&port) != Some(&check)
        {
            self.health_checks.insert(port, check);
            update.health_checks_changed = true;
        }
        if built.hinted {
            self.hinted.insert(key.clone());
        } else {
            self.hinted.remove(key);
        }
        if entry
            .ports
            .iter()
            .any(|port| port.frontends.iter().any(build::stays))
        {
            self.local.insert(key.clone());
        } else {
            self.local.remove(key);
        }
        if entry.is_empty() {
            self.entries.remove(key);
        }
    }
}

/// The addresses at which these ports are served, and the node ports.
fn listens(ports: &[Arc<ServicePort>]) -> (BTreeSet<IpAddr>, BTreeSet<NodePort>) {
    let (mut addresses, mut node_ports) = (BTreeSet::new(), BTreeSet::new());
    for port in ports {
        for frontend in &port.frontends {
            match *frontend {
                Frontend::Cluster { ip, .. } | Frontend::External { ip, .. } => {
                    addresses.insert(ip);
                }
                Frontend::NodePort { port: number, .. } => {
                    node_ports.insert(NodePort {
                        v6: port.v6,
                        protocol: port.protocol,
                        port: number,
                    });
                }
            }
        }
    }
    (addresses, node_ports)
}
