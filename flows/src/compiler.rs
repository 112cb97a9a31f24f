//! From state to flows, in full and change by change.
//!
//! Each object compiles to a fragment: a pure function of the object, the local node, and which of its claims it
//! owns ([`crate::claims`]). Fragments of different objects share no flow key. [`compile_all`] puts all of them
//! together and is the oracle; [`Compiler`] keeps the state alone, no flows, and recomputes the fragments that a
//! change touches, before and after.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use openflow::FlowStats;

use crate::claims::{
    Claim, Claims, Conflict, Owner, node_claims, peer_claims, pod_claims, service_claims,
};
use crate::cookie::{Cookie, Registry};
use crate::flow::{Flow, Program};
use crate::fragment::Fragment;
use crate::model::{
    Backend, Change, LocalPod, Peer, PodId, Protocol, ServiceId, ServicePort, State,
};
use crate::patch::Patch;
use crate::pipeline::Table;
use crate::policy::{Direction, Engine, Event, PolicyFault, PolicyReport, SubjectReport, Verdict};
use crate::service::{Delta, recover};
use crate::service_flows as services;
use crate::tables::{
    answer, arp_nd, classify, commit, conntrack_in, conntrack_state, dnat, drop as drop_table,
    guard, nd_reply, origin, output, policy, reject, route, service, service_state,
};

/// Compiles the whole state.
pub fn compile_all(state: &State) -> Program {
    let claims = Claims::new(state);
    let mut program = compile(state, &claims);
    add_policy(&Engine::new(state, &claims, u32::MAX), &mut program);
    program
}

/// Puts the flows of policy into a program.
fn add_policy(policy: &Engine, program: &mut Program) {
    policy.flows(|flow| {
        let taken = program.insert(flow);
        debug_assert!(!taken, "fragments share no key");
    });
}

fn compile(state: &State, claims: &Claims) -> Program {
    let pods = state.pods.keys().cloned().map(Owner::Pod);
    let peers = state.peers.keys().cloned().map(Owner::Peer);
    let services = state.services.keys().cloned().map(Owner::Service);
    let owners = std::iter::once(Owner::Node)
        .chain(pods)
        .chain(peers)
        .chain(services);
    let mut flows = base(state);
    for owner in owners {
        flows.append(&mut fragment(&owner, state, claims));
    }
    for port in state.services.values() {
        flows.append(&mut services::endpoints_of(port, state));
    }
    flows.extend(state.memory.shapes().flat_map(services::shape));
    let own = origin::own(&state.local);
    let endpoints = state.memory.endpoints();
    flows.extend(endpoints.flat_map(|ip| services::endpoint(ip, &own)));
    Program::of(flows)
}

/// The flows that every node has.
fn base(state: &State) -> Vec<Flow> {
    type Base = fn(&mut Fragment);
    let tables: [(Table, Base); 22] = [
        (Table::Classify, classify::base),
        (Table::Guard, guard::base),
        (Table::ArpNd, arp_nd::base),
        (Table::Origin, origin::base),
        (Table::Service, service::base),
        (Table::ServiceState, service_state::base),
        (Table::Dnat, dnat::base),
        (Table::Reject, reject::base),
        (Table::Answer, answer::base),
        (Table::Route, route::base),
        (Table::EgressPoliced, |f| {
            policy::policed_base(Direction::Egress, f);
        }),
        (Table::IngressPoliced, |f| {
            policy::policed_base(Direction::Ingress, f);
        }),
        (Table::EgressSubject, |f| {
            policy::subject_base(Direction::Egress, f);
        }),
        (Table::IngressSubject, |f| {
            policy::subject_base(Direction::Ingress, f);
        }),
        (Table::EgressClass, |f| {
            policy::class_base(Direction::Egress, f)
        }),
        (Table::EgressPolicy, |f| {
            policy::rules_base(Direction::Egress, f)
        }),
        (Table::IngressClass, |f| {
            policy::class_base(Direction::Ingress, f);
        }),
        (Table::IngressPolicy, |f| {
            policy::rules_base(Direction::Ingress, f);
        }),
        (Table::ConntrackIn, conntrack_in::base),
        (Table::ConntrackState, conntrack_state::base),
        (Table::Commit, commit::base),
        (Table::Output, output::base),
    ];
    let mut flows = Vec::new();
    for (table, base) in tables {
        let mut fragment = Fragment::new(Cookie::base(table));
        base(&mut fragment);
        flows.append(&mut fragment.flows);
    }
    flows.extend(drops(state));
    flows
}

/// The flows of table Drop.
fn drops(state: &State) -> Vec<Flow> {
    let mut fragment = Fragment::new(Cookie::base(Table::Drop));
    drop_table::base(state.sample_drops, &mut fragment);
    fragment.flows
}

/// The flows that this object asks for, a Service's endpoints apart; none if there is no such object.
fn fragment(owner: &Owner, state: &State, claims: &Claims) -> Vec<Flow> {
    let owned = Owned { owner, claims };
    match owner {
        Owner::Node => node(state, &owned),
        Owner::Pod(id) => state
            .pods
            .get(id)
            .map(|p| pod(p, state, &owned))
            .unwrap_or_default(),
        Owner::Peer(name) => state
            .peers
            .get(name)
            .map(|p| peer(p, state, &owned))
            .unwrap_or_default(),
        Owner::Service(id) => state
            .services
            .get(id)
            .map(|p| services::front(p, state, owner, claims))
            .unwrap_or_default(),
    }
}

/// What an object owns of what it claims.
struct Owned<'a> {
    owner: &'a Owner,
    claims: &'a Claims,
}

impl Owned<'_> {
    fn owns(&self, claim: Claim) -> bool {
        self.claims.owns(self.owner, &claim)
    }

    fn addresses(&self, ips: &[IpAddr]) -> Vec<IpAddr> {
        let ips: BTreeSet<IpAddr> = ips.iter().copied().collect();
        ips.into_iter()
            .filter(|ip| self.owns(Claim::Address(*ip)))
            .collect()
    }

    fn prefixes(&self, nets: &[IpNet]) -> Vec<IpNet> {
        let nets: BTreeSet<IpNet> = nets.iter().map(IpNet::trunc).collect();
        nets.into_iter()
            .filter(|net| self.owns(Claim::Prefix(*net)))
            .collect()
    }
}

fn node(state: &State, owned: &Owned<'_>) -> Vec<Flow> {
    let node = &state.local;
    let mut f = Fragment::new(Cookie::node(&node.name));
    let ips = owned.addresses(&node.gateway.ips);
    classify::node(node, &mut f);
    arp_nd::node(node, &ips, &mut f);
    nd_reply::node(node, &mut f);
    origin::node(&origin::own(node), &mut f);
    reject::node(node, &mut f);
    route::node(node, &owned.prefixes(&node.pod_cidrs), &ips, &mut f);
    commit::node(node, &ips, &mut f);
    output::node(node, &mut f);
    f.flows
}

fn pod(pod: &LocalPod, state: &State, owned: &Owned<'_>) -> Vec<Flow> {
    let mut f = Fragment::new(Cookie::pod(&pod.id));
    if owned.owns(Claim::Port(pod.ofport)) {
        let ips = owned.addresses(&pod.ips);
        classify::pod(pod, &mut f);
        guard::pod(pod, &ips, &mut f);
        route::pod(pod, &ips, &mut f);
        let gateway = Owned {
            owner: &Owner::Node,
            claims: owned.claims,
        };
        commit::pod(
            pod,
            &ips,
            &gateway.addresses(&state.local.gateway.ips),
            &mut f,
        );
        output::pod(pod, &mut f);
    }
    f.flows
}

fn peer(peer: &Peer, state: &State, owned: &Owned<'_>) -> Vec<Flow> {
    let mut f = Fragment::new(Cookie::peer(&peer.name));
    if let Some(tunnel) = &state.local.tunnel {
        if owned.owns(Claim::Underlay(peer.underlay)) {
            classify::peer(tunnel, peer, &mut f);
        }
        route::peer(tunnel, peer, &owned.prefixes(&peer.pod_cidrs), &mut f);
    }
    f.flows
}

/// Keeps a state and says what each change means for the switch.
#[derive(Debug, Clone)]
pub struct Compiler {
    state: State,
    claims: Claims,
    policy: Engine,
}

impl Compiler {
    /// Starts from a state. What the switch then needs is in [`Compiler::desired`].
    pub fn new(state: State) -> Self {
        Self::with_number_bits(state, u32::MAX)
    }

    /// The same, with numbers of policy made of so few bits that they clash. For tests.
    #[doc(hidden)]
    pub fn with_number_bits(state: State, bits: u32) -> Self {
        let claims = Claims::new(&state);
        let policy = Engine::new(&state, &claims, bits);
        Self {
            state,
            claims,
            policy,
        }
    }

    /// Whether some Service that listens at this address and port has the endpoint.
    pub fn serves(&self, protocol: Protocol, ip: IpAddr, port: u16, backend: &Backend) -> bool {
        let claim = Claim::Frontend(ip, protocol, port);
        let Some(Owner::Service(id)) = self.claims.winner(&claim) else {
            return false;
        };
        let service = self.state.services.get(id);
        service.is_some_and(|port| port.cluster.iter().chain(&port.local).any(|b| b == backend))
    }

    /// The state as it is now.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes over what the agent before had in mind, as the flows of its switch tell: which endpoint is at which index,
    /// and which addresses were endpoints lately. Without it nothing breaks, but all of that is sent anew. To be
    /// called before the first patch and the first look at [`Compiler::desired`].
    pub fn adopt(&mut self, flows: &[FlowStats]) {
        recover(&mut self.state, flows);
    }

    /// Everything that the switch shall hold now. Compiled on the spot: costs as much as the state is large.
    pub fn desired(&self) -> Program {
        let mut program = compile(&self.state, &self.claims);
        add_policy(&self.policy, &mut program);
        program
    }

    /// Whether what policies say of a local pod is known: whether the cluster's pods include it. Until then it is
    /// isolated, if its namespace has policies at all.
    pub fn is_policed_known(&self, pod: &PodId) -> bool {
        self.policy.is_known(pod)
    }

    /// Whether it is known which policies apply to a pod of this node: there are none in its namespace, or the
    /// cluster's pods include it.
    pub fn is_judgeable(&self, pod: &PodId) -> bool {
        let Some(local) = self.state.pods.get(pod) else {
            return false;
        };
        self.is_policed_known(pod) || self.state.policies_of(&local.namespace).next().is_none()
    }

    /// What policies of this node say of a connection, by the addresses that its ends have. The port is `None` for
    /// what has none.
    pub fn judge(&self, from: IpAddr, to: IpAddr, port: Option<(Protocol, u16)>) -> Verdict {
        self.policy.judge(from, to, port, &self.state)
    }

    /// Policies that could not be compiled: they isolate, and allow nothing.
    pub fn policy_faults(&self) -> Vec<PolicyFault> {
        self.policy.faults()
    }

    /// The policies that select pods of this node, and where they count what they allow.
    pub fn policies(&self) -> Vec<PolicyReport> {
        self.policy.policy_reports()
    }

    /// The groups of pods that policies isolate, and where they count what they deny.
    pub fn subjects(&self) -> Vec<SubjectReport> {
        self.policy.subject_reports()
    }

    /// The names of everything that cookies stand for. Costs as much as the state is large: make it when asked.
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::new(&self.state);
        self.policy
            .cookie_names(|cookie, name| registry.add(cookie, name));
        registry
    }

    /// What more than one object claims, and who has it.
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.claims.conflicts()
    }

    /// Applies a change and says what has to change in the switch.
    ///
    /// Costs as much as the object is large, and as much as the state is when the local node changes.
    pub fn apply(&mut self, change: Change) -> Patch {
        let (owner, claims_after) = match &change {
            Change::Node(_) => return self.apply_node(change),
            Change::SampleDrops(_) => {
                let before = drops(&self.state).into_iter().collect();
                self.state.apply(change);
                return Patch::between(&before, &drops(&self.state).into_iter().collect());
            }
            Change::PeerSet(peer) => (Owner::Peer(peer.name.clone()), peer_claims(peer)),
            Change::PeerGone(name) => (Owner::Peer(name.clone()), Vec::new()),
            Change::PodSet(pod) => (Owner::Pod(pod.id.clone()), pod_claims(pod)),
            Change::PodGone(id) => (Owner::Pod(id.clone()), Vec::new()),
            Change::ServiceSet(port) => (
                Owner::Service(port.id.clone()),
                service_claims(port, &self.state.local),
            ),
            Change::ServiceGone(id) => (Owner::Service(id.clone()), Vec::new()),
            Change::ForgetEndpoint(ip) => {
                let delta = self.state.memory.forget(*ip);
                let mut patch = Patch::default();
                self.common(&delta, &mut patch);
                return patch;
            }
            Change::NamespaceSet(_)
            | Change::NamespaceGone(_)
            | Change::ClusterPodSet(_)
            | Change::ClusterPodGone(..)
            | Change::PolicySet(_)
            | Change::PolicyGone(_) => return self.apply_policy(change),
        };
        let claims_before = self.claims_of(&owner);

        // Whoever gains or loses something by this is, of those who claim it now, the first or the second.
        // A Service also has to know whether its address is someone else's too.
        let touched = claims_before.iter().chain(&claims_after);
        let mut dirty: BTreeSet<Owner> = touched
            .flat_map(|claim| {
                let shared = match claim {
                    Claim::Address(ip) => self.claims.winner(&Claim::ServiceAddress(*ip)),
                    _ => None,
                };
                self.claims.first_two(claim).chain(shared)
            })
            .cloned()
            .collect();
        dirty.insert(owner.clone());

        let before = self.fragments(&dirty);
        self.claims.remove(&owner, claims_before);
        self.claims.add(&owner, claims_after);
        let endpoints = match change {
            Change::ServiceSet(port) => self.apply_service(&port.id.clone(), Some(port)),
            Change::ServiceGone(id) => self.apply_service(&id, None),
            other => {
                self.state.apply(other);
                Patch::default()
            }
        };
        let mut patch = Patch::between(&before, &self.fragments(&dirty));
        patch.append(endpoints);
        if let Owner::Pod(id) = owner {
            let event = Event::Local(id);
            patch.append(self.policy.apply(&event, &self.state, &self.claims));
        }
        patch
    }

    /// What a change of a Service means for its endpoints.
    fn apply_service(&mut self, id: &ServiceId, after: Option<Arc<ServicePort>>) -> Patch {
        let before = self.state.services.get(id).cloned();
        let look = self.state.memory.look(id);
        let was = before
            .as_deref()
            .map(|port| services::Entries::of(port, &self.state));
        let delta = match after {
            Some(port) => self.state.set_service(port),
            None => self.state.remove_service(id),
        };
        let Some(delta) = delta else {
            return Patch::default();
        };
        let after = self.state.services.get(id);
        let is = after.map(|port| services::Entries::of(port, &self.state));
        let mut patch = services::between(was.as_ref(), is.as_ref());
        let (before, after) = (before.as_deref(), after.map(|port| &**port));
        services::leave_behind(before, after, look, &self.state, &mut patch);
        services::let_go(before, after, &self.state.local, &mut patch);
        self.common(&delta, &mut patch);
        patch
    }

    /// What belongs to no Service alone.
    fn common(&self, delta: &Delta, patch: &mut Patch) {
        let own = origin::own(&self.state.local);
        let endpoint = |ip: &IpAddr| services::endpoint(*ip, &own);
        let shape = |shape: &u16| services::shape(*shape);
        let came = delta.endpoints_came.iter().flat_map(endpoint);
        patch
            .flows_set
            .extend(came.chain(delta.shapes_came.iter().flat_map(shape)));
        let went = delta.endpoints_went.iter().flat_map(endpoint);
        let went = went.chain(delta.shapes_went.iter().flat_map(shape));
        patch.flows_gone.extend(went.map(|flow| flow.key));
    }

    /// What is of concern to policy alone.
    fn apply_policy(&mut self, change: Change) -> Patch {
        let event = match &change {
            Change::NamespaceSet(namespace) => Event::Namespace(namespace.name.clone()),
            Change::NamespaceGone(name) => Event::Namespace(name.clone()),
            Change::ClusterPodSet(pod) => {
                let before = self.state.cluster_pod(&pod.namespace, &pod.name).cloned();
                Event::ClusterPod(pod.namespace.clone(), pod.name.clone(), before)
            }
            Change::ClusterPodGone(namespace, name) => {
                let before = self.state.cluster_pod(namespace, name).cloned();
                Event::ClusterPod(namespace.clone(), name.clone(), before)
            }
            Change::PolicySet(policy) => Event::Policy(policy.id.clone()),
            Change::PolicyGone(id) => Event::Policy(id.clone()),
            _ => return Patch::default(),
        };
        if !self.state.apply(change) {
            return Patch::default();
        }
        self.policy.apply(&event, &self.state, &self.claims)
    }

    /// Any flow may depend on the local node.
    fn apply_node(&mut self, change: Change) -> Patch {
        let before = compile(&self.state, &self.claims);
        if !self.state.apply(change) {
            return Patch::default();
        }
        self.claims = Claims::new(&self.state);
        let mut patch = Patch::between(&before, &compile(&self.state, &self.claims));
        patch.append(self.policy.apply(&Event::Node, &self.state, &self.claims));
        patch
    }

    fn claims_of(&self, owner: &Owner) -> Vec<Claim> {
        match owner {
            Owner::Node => node_claims(&self.state.local),
            Owner::Pod(id) => self.state.pods.get(id).map(pod_claims).unwrap_or_default(),
            Owner::Peer(name) => self
                .state
                .peers
                .get(name)
                .map(peer_claims)
                .unwrap_or_default(),
            Owner::Service(id) => self
                .state
                .services
                .get(id)
                .map(|port| service_claims(port, &self.state.local))
                .unwrap_or_default(),
        }
    }

    fn fragments(&self, owners: &BTreeSet<Owner>) -> Program {
        owners
            .iter()
            .flat_map(|owner| fragment(owner, &self.state, &self.claims))
            .collect()
    }
}
