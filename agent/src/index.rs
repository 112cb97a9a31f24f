//! Joins the cluster's objects into what this node's network is made of.
//!
//! Fed with the events of any [`Source`](crate::source::Source), it answers with the changes of the domain model
//! that follow, and with none if nothing follows: a relist of what was known, a label nobody looks at, a heartbeat.
//! Nothing is answered before every kind was listed once, so that a half-known cluster is never programmed.
//!
//! * `nodes`: the peers, and our own part.
//! * `pods`: namespaces and pods as policies look at them, and the addresses that pods attached here were given.
//! * `services`: Services with their endpoints, as this node serves them.
//! * `addresses`: which addresses are nobody's any more.
//! * `reach`: which pods of other nodes are needed at all.
//! * `refused`: what is not in force, and why.
//!
//! Must not know OpenFlow, nor where events come from, nor what is done with the changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use sluice_flows::model::{Peer, Protocol, Uid};

use crate::source::{
    Event, Kind, Namespace, NetworkPolicy, Object, ObjectRef, Pod, PodScope, Refusal, Service,
};

mod addresses;
mod nodes;
mod pods;
mod reach;
mod refused;
mod services;
mod update;

pub use nodes::OwnNode;
pub use services::{
    EndpointReport, HealthCheck, NodePort, OwnProcess, PortReport, ServiceReport, Trigger, Unserved,
};
pub use update::{Difference, Joined, Update};

use addresses::Addresses;
use nodes::Nodes;
use pods::Pods;
use reach::Reach;
use refused::Refused;
use services::{Around, Services};

/// What the index is to do beyond joining.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Serve `spec.externalIPs`. Whoever may write a Service may then take any address for it.
    pub external_ips: bool,
    /// There is no cluster behind the source, and so nobody who does a controller's work: Services without
    /// EndpointSlices get their endpoints from the pods they select, a pod attached here that no object describes
    /// has no labels, and a namespace that pods are in exists.
    pub standalone: bool,
    /// Of the pods of other nodes, the source tells only those that are asked for ([`Index::wanted_pods`]).
    pub narrow: bool,
    /// Changes triggered before this do not count for [`Update::triggers`].
    pub started: SystemTime,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            external_ips: false,
            standalone: false,
            narrow: false,
            started: SystemTime::now(),
        }
    }
}

/// What names an object among those of its kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Key {
    fn new(namespace: &Arc<str>, name: &Arc<str>) -> Key {
        Key {
            namespace: namespace.clone(),
            name: name.clone(),
        }
    }
}

/// The NetworkPolicies.
type Policies = BTreeMap<Key, Arc<NetworkPolicy>>;

/// The joined state of the cluster, as far as this node is concerned.
#[derive(Debug)]
pub struct Index {
    listed: BTreeSet<Kind>,
    nodes: Nodes,
    pods: Pods,
    services: Services,
    policies: Policies,
    /// The policies that changed since the last answer, as they were then.
    touched_policies: BTreeMap<Key, Option<Arc<NetworkPolicy>>>,
    addresses: Addresses,
    refused: Refused,
    /// Where not all pods are told.
    reach: Option<Reach>,
    /// Whether anything has been answered.
    begun: bool,
    /// Whether pods, namespaces and policies were held back in the last answer.
    holding: bool,
}

impl Index {
    /// An index for the node called `own_name`, which knows nothing yet.
    pub fn new(own_name: impl Into<Arc<str>>) -> Index {
        Index::with_options(own_name, Options::default())
    }

    /// Likewise, with options.
    pub fn with_options(own_name: impl Into<Arc<str>>, options: Options) -> Index {
        let own_name = own_name.into();
        Index {
            listed: BTreeSet::new(),
            reach: options.narrow.then(|| Reach::new(own_name.clone())),
            nodes: Nodes::new(own_name),
            pods: Pods::new(options.standalone),
            services: Services::new(options),
            policies: BTreeMap::new(),
            touched_policies: BTreeMap::new(),
            addresses: Addresses::default(),
            refused: Refused::default(),
            begun: false,
            holding: false,
        }
    }

    /// Takes events in and says what follows from all of them together.
    pub fn apply(&mut self, events: Vec<Event>) -> Update {
        for event in events {
            self.take(event);
        }
        self.answer()
    }

    /// Notes that a pod was attached to this node's switch, and its addresses, which may be known to nobody else yet.
    pub fn attached(&mut self, namespace: &str, name: &str, uid: Uid, ips: &[IpAddr]) -> Update {
        self.pods.attached(namespace, name, uid, ips);
        self.answer()
    }

    /// Notes that the attachment with these addresses is no more. A pod of that name may have another by now.
    pub fn detached(&mut self, namespace: &str, name: &str, ips: &[IpAddr]) -> Update {
        self.pods.detached(namespace, name, ips);
        self.answer()
    }

    /// Whether every kind was listed once, and with them the pods that policies speak of.
    pub fn is_complete(&self) -> bool {
        self.begun
    }

    /// Which pods of other nodes are to be told.
    pub fn wanted_pods(&self) -> Option<&PodScope> {
        self.reach.as_ref().map(Reach::wanted)
    }

    /// Whether changes of pods, namespaces and policies wait for pods that they speak of; and until when at the
    /// latest. Then, an [`apply`](Self::apply) of nothing lets them take effect.
    pub fn holding(&self) -> Option<Instant> {
        let reach = self.reach.as_ref()?;
        reach.deadline().filter(|_| self.holding && self.begun)
    }

    /// The pods that policies in force speak of and that nobody has told: they are allowed nothing.
    pub fn missing_pods(&self) -> Option<PodScope> {
        let missing = self.reach.as_ref()?.missing();
        (self.begun && missing != PodScope::default()).then_some(missing)
    }

    /// What the cluster says about our own node; the last that was said, if it no longer says anything.
    pub fn own(&self) -> Option<&OwnNode> {
        self.nodes.own()
    }

    /// The peers, by name.
    pub fn peers(&self) -> impl ExactSizeIterator<Item = &Peer> {
        self.nodes.peers()
    }

    /// A namespace, if the cluster has it.
    pub fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.pods.namespace(name)
    }

    /// A pod, if the cluster has it.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.pod(namespace, name)
    }

    /// Namespace and name of the pod that has an address of its own. Costs as much as there are pods.
    pub fn pod_of(&self, ip: IpAddr) -> Option<(&str, &str)> {
        let pod = self.pods.holder(ip)?;
        Some((&pod.namespace, &pod.name))
    }

    /// The NetworkPolicies, by namespace and name, with what of them is refused.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = &NetworkPolicy> {
        self.policies.values().map(|policy| &**policy)
    }

    /// The Services, by namespace and name, with the state of their endpoints and with what of them is refused.
    pub fn services(&self) -> impl Iterator<Item = ServiceReport> {
        self.services
            .reports(&self.nodes, &self.pods, &self.refused)
    }

    /// A Service, and why it is not served here, if it is not.
    pub fn service(&self, namespace: &str, name: &str) -> Option<(&Service, Option<Unserved>)> {
        self.services.service(namespace, name)
    }

    /// The pods that a Service selects and that are told here. Costs as much as its namespace has pods.
    pub fn pods_of(&self, service: &Service) -> impl Iterator<Item = Pod> {
        services::selected(service, &self.pods)
    }

    /// How many endpoints there are in EndpointSlices.
    pub fn endpoint_count(&self) -> usize {
        self.services.endpoint_count()
    }

    /// Every address at which Services are served here, node ports apart.
    pub fn service_addresses(&self) -> impl ExactSizeIterator<Item = IpAddr> {
        self.services.addresses()
    }

    /// Every node port that is served here.
    pub fn node_ports(&self) -> impl ExactSizeIterator<Item = NodePort> {
        self.services.node_ports()
    }

    /// Whether any of these is an address at which Services are served.
    pub fn serves_at(&self, addresses: &[IpAddr]) -> bool {
        self.services.serves_at(addresses)
    }

    /// Address, protocol and port of everything that is served at these addresses, node ports apart. Costs as much as
    /// there are Services, if there is anything.
    pub fn external_at(&self, addresses: &[IpAddr]) -> Vec<(IpAddr, Protocol, u16)> {
        self.services.external_at(addresses)
    }

    /// The processes of the node that alone serve here what comes from outside, and shall see their clients' addresses.
    /// `own` are the node's addresses.
    pub fn processes(&self, own: &[IpAddr]) -> Vec<OwnProcess> {
        self.services.processes(own)
    }

    /// What to answer load balancers that ask, by the port they ask on.
    pub fn health_checks(&self) -> &BTreeMap<u16, HealthCheck> {
        self.services.health_checks()
    }

    /// Everything that is not in force although it was asked for.
    pub fn refusals(&self) -> impl Iterator<Item = (ObjectRef, &Refusal)> {
        self.refused.all()
    }

    /// Whether anything is refused of any NetworkPolicy.
    pub fn has_refused_policies(&self) -> bool {
        self.refused.policies().next().is_some()
    }

    /// What is refused of the NetworkPolicies that select a pod, a line each: of that, they allow it nothing.
    pub fn refused_policies_of(&self, namespace: &str, name: &str) -> Vec<String> {
        let Some(pod) = self.pods.pod(namespace, name) else {
            return Vec::new();
        };
        let selects = |policy: &ObjectRef| {
            let key = Key::new(&policy.namespace, &policy.name);
            let policy = self
                .policies
                .get(&key)
                .filter(|_| *policy.namespace == *namespace);
            policy.is_some_and(|policy| policy.policy.pods.matches(&pod.labels))
        };
        let refused = self.refused.policies();
        refused
            .filter(|(policy, _)| selects(policy))
            .map(|(policy, refusal)| format!("{policy}: {refusal}"))
            .collect()
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Node => self.nodes.count(),
            Kind::Namespace => self.pods.namespace_count(),
            Kind::Pod => self.pods.count(),
            Kind::Service => self.services.count(),
            Kind::EndpointSlice => self.services.slice_count(),
            Kind::NetworkPolicy => self.policies.len(),
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Set(object) => self.set(object),
            Event::Gone(reference) => self.remove(&reference),
            Event::Covered(scope) => {
                if let Some(reach) = &mut self.reach {
                    reach.covered(scope);
                }
            }
            Event::Listed(kind, objects) => {
                self.listed.insert(kind);
                let mut gone = self.references(kind);
                if !gone.is_empty() {
                    for object in &objects {
                        gone.remove(&object.reference());
                    }
                }
                for reference in gone {
                    self.remove(&reference);
                }
                for object in objects {
                    self.set(object);
                }
            }
        }
    }

    /// The names of all objects of a kind.
    fn references(&self, kind: Kind) -> BTreeSet<ObjectRef> {
        let in_none = crate::source::intern::text("");
        let global = |name: &Arc<str>| ObjectRef::new(kind, in_none.clone(), name.clone());
        let local = |key: &Key| ObjectRef::new(kind, key.namespace.clone(), key.name.clone());
        match kind {
            Kind::Node => self.nodes.names().map(global).collect(),
            Kind::Namespace => self.pods.namespace_names().map(global).collect(),
            Kind::Pod => self.pods.keys().map(|key| local(&key)).collect(),
            Kind::Service => self.services.keys().map(local).collect(),
            Kind::EndpointSlice => self.services.slice_keys().map(local).collect(),
            Kind::NetworkPolicy => self.policies.keys().map(local).collect(),
        }
    }

    fn set(&mut self, object: Object) {
        self.refused.note(object.reference(), object.refusals());
        match object {
            Object::Node(node) => self.nodes.set(node),
            Object::Namespace(namespace) => {
                self.pods.set_namespace(namespace);
                self.reach.iter_mut().for_each(Reach::namespace_touched);
            }
            Object::Pod(pod) => {
                self.reach.iter_mut().for_each(|reach| reach.pod_set(&pod));
                self.pods.set(pod);
            }
            Object::Service(service) => self.services.set(service),
            Object::EndpointSlice(slice) => self.services.set_slice(slice, &mut self.addresses),
            Object::NetworkPolicy(policy) => {
                let key = Key::new(policy.namespace(), &policy.name);
                let before = self.policies.insert(key.clone(), policy);
                self.reach
                    .iter_mut()
                    .for_each(|reach| reach.policy_touched(key.clone()));
                self.touched_policies.entry(key).or_insert(before);
            }
        }
    }

    fn remove(&mut self, reference: &ObjectRef) {
        self.refused.note(reference.clone(), &[]);
        let key = Key::new(&reference.namespace, &reference.name);
        match reference.kind {
            Kind::Node => self.nodes.remove(&reference.name),
            Kind::Namespace => {
                self.pods.remove_namespace(&reference.name);
                self.reach.iter_mut().for_each(Reach::namespace_touched);
            }
            Kind::Pod => {
                self.reach.iter_mut().for_each(|reach| reach.pod_gone(&key));
                self.pods.remove(&key);
            }
            Kind::Service => self.services.remove(&key),
            Kind::EndpointSlice => self.services.remove_slice(&key, &mut self.addresses),
            Kind::NetworkPolicy => {
                if let Some(before) = self.policies.remove(&key) {
                    self.reach
                        .iter_mut()
                        .for_each(|reach| reach.policy_touched(key.clone()));
                    self.touched_policies.entry(key).or_insert(Some(before));
                }
            }
        }
    }

    /// What follows from all that was noted since the last answer.
    fn answer(&mut self) -> Update {
        let mut update = Update::default();
        if let Some(reach) = &mut self.reach {
            reach.follow(&self.pods, &self.policies);
        }
        if self.listed.len() < Kind::ALL.len() {
            return update;
        }
        let first = !self.begun;
        self.holding = match &mut self.reach {
            Some(reach) => reach.holds(first, Instant::now()),
            None => false,
        };
        if first && self.holding {
            return update;
        }
        self.begun = true;
        let moved = self.nodes.answer(&mut update);
        let pods = match self.holding {
            true => Vec::new(),
            false => self.pods.answer(&mut update),
        };
        for (before, now) in &pods {
            let ips = |pod: &Option<Pod>| pod.as_ref().map(|pod| pods::own_ips(pod).to_vec());
            let (before, now) = (ips(before), ips(now));
            self.addresses
                .pod_moved(&before.unwrap_or_default(), &now.unwrap_or_default());
        }
        if !self.holding {
            self.answer_policies(&mut update);
        }
        let around = Around {
            nodes: &self.nodes,
            pods: &self.pods,
        };
        self.services
            .answer(&around, moved, &pods, &mut self.refused, &mut update);
        update.forgotten_addresses = self.addresses.forgotten();
        update
    }

    fn answer_policies(&mut self, update: &mut Update) {
        for (key, before) in std::mem::take(&mut self.touched_policies) {
            match (self.policies.get(&key), before) {
                (Some(now), Some(before)) if now.policy == before.policy => {}
                (Some(now), _) => update.joined.push(Joined::PolicySet(now.policy.clone())),
                (None, Some(before)) => update
                    .joined
                    .push(Joined::PolicyGone(before.policy.id.clone())),
                (None, None) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
