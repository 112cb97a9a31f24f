//! Joins local pods with the cluster's, finds the policies that select them, and has both sides follow.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::content::{ingress_rule, names};
use super::locals::{Entry, Local, Space};
use super::selectors::SelectorIndex;
use super::side::{Side, SubjectContent};
use super::slab::Slab;
use super::{Direction, Revoked};
use crate::claims::Claims;
use crate::cookie::Cookie;
use crate::model::{ClusterPod, NamedPort, PodId, Policy, PolicyId, Protocol, State};
use crate::patch::Patch;
use crate::tables::policy::Families;

/// Addresses that lost a peer are named one by one up to here.
const MAX_SHRUNK: usize = 1000;

/// What changed in the state. The engine is told afterwards.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The local node.
    Node,
    /// A local pod came, changed or went.
    Local(PodId),
    /// A namespace.
    Namespace(Arc<str>),
    /// A pod of the cluster, which was this before.
    ClusterPod(Arc<str>, Arc<str>, Option<Arc<ClusterPod>>),
    /// A policy.
    Policy(PolicyId),
}

/// The numbers that a name of a port has among the cluster's pods.
#[derive(Debug, Clone, Default)]
pub(super) struct NameInUse {
    pub(super) policies: BTreeSet<u32>,
    pub(super) counts: BTreeMap<u16, usize>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    pub(super) sides: [Side; 2],
    /// Namespaces that have local pods.
    pub(super) spaces: BTreeMap<Arc<str>, Space>,
    pub(super) policies: Slab<Entry>,
    pub(super) policy_ids: HashMap<PolicyId, u32>,
    pub(super) locals: BTreeMap<PodId, Local>,
    /// Local pods by `namespace/name`.
    pub(super) by_name: HashMap<String, BTreeSet<PodId>>,
    /// Those without a name, known by their addresses.
    pub(super) nameless: BTreeSet<PodId>,
    /// Those with a name that the cluster does not know, by namespace.
    pub(super) unknown: BTreeMap<Arc<str>, BTreeSet<PodId>>,
    pub(super) names: HashMap<(Arc<str>, Protocol), NameInUse>,
    /// Whose a port is, and the egress and ingress subject, as the flows have them.
    pub(super) ports: BTreeMap<u32, (Cookie, [u32; 2])>,
    pub(super) ports_dirty: bool,
    pub(super) families: Families,
    pub(super) dirty: Dirty,
}

/// What has to be looked at again.
#[derive(Debug, Clone, Default)]
pub(super) struct Dirty {
    /// Local pods, with the rules that applied to them before.
    pub(super) locals: BTreeMap<PodId, [Option<Arc<BTreeSet<u32>>>; 2]>,
    /// Policies whose rules are others now.
    pub(super) policies: BTreeSet<u32>,
    /// Pods whose addresses are others now.
    pub(super) pods: Vec<Arc<ClusterPod>>,
}

impl Engine {
    /// Everything at once. `bits` is how many bits of a hash numbers are made of, less in tests.
    pub(crate) fn new(state: &State, claims: &Claims, bits: u32) -> Self {
        let mut engine = Self {
            sides: Direction::ALL.map(|direction| Side::new(direction, bits)),
            spaces: BTreeMap::new(),
            policies: Slab::default(),
            policy_ids: HashMap::new(),
            locals: BTreeMap::new(),
            by_name: HashMap::new(),
            nameless: BTreeSet::new(),
            unknown: BTreeMap::new(),
            names: HashMap::new(),
            ports: BTreeMap::new(),
            ports_dirty: false,
            families: Families::default(),
            dirty: Dirty::default(),
        };
        engine.families = families(state);
        for id in state.pods.keys() {
            engine.add_local(id, state);
        }
        engine.settle(state);
        engine.ports = engine.wanted_ports(claims);
        for side in &mut engine.sides {
            side.changed.recorded = true;
        }
        engine
    }

    /// Follows a change of the state, and says what has to change in the switch.
    pub(crate) fn apply(&mut self, event: &Event, state: &State, claims: &Claims) -> Patch {
        let families = match event {
            Event::Local(_) => families(state),
            _ => self.families,
        };
        let anew = (families != self.families).then(|| self.program());
        let known = match event {
            Event::Local(id) => self.locals.contains_key(id),
            _ => true,
        };
        self.handle(event, state);
        let revoked = self.settle(state);
        let mut revoked = if known { revoked } else { Vec::new() };
        let there = match event {
            Event::ClusterPod(namespace, name, _) => state.cluster_pod(namespace, name).is_some(),
            Event::Namespace(_) => true,
            _ => false,
        };
        let gone = matches!(event, Event::ClusterPod(..)) && !there;
        // Of a pod that went nothing comes any more, and its address may soon be another's.
        let mut patch = Patch::default();
        if there {
            self.name_shrunk(&mut revoked);
            patch.passing = self.passing(&revoked, state);
        } else {
            patch.passing = self.passing(&revoked, state);
            if gone {
                self.name_shrunk(&mut revoked);
            }
        }
        patch.revoked = revoked.into_iter().map(|(revoked, _)| revoked).collect();
        self.families = families;
        self.flows_of_changes(&mut patch);
        self.settle_ports(claims, &mut patch);
        if let Some(before) = anew {
            let between = Patch::between(&before, &self.program());
            patch.flows_set = between.flows_set;
            patch.flows_gone = between.flows_gone;
        }
        patch
    }

    fn handle(&mut self, event: &Event, state: &State) {
        match event {
            Event::Node => self.ports_dirty = true,
            Event::Local(id) => {
                self.ports_dirty = true;
                let namespace = self.locals.get(id).and_then(Local::namespace);
                // Held for a moment, so that a pod that stays does not take its namespace's index down and up.
                if let Some(namespace) = &namespace {
                    self.enter(namespace, state);
                }
                self.drop_local(id);
                if state.pods.contains_key(id) {
                    self.add_local(id, state);
                }
                if let Some(namespace) = &namespace {
                    self.leave(namespace);
                }
            }
            Event::Namespace(name) => self.namespace_changed(name, state),
            Event::ClusterPod(namespace, name, before) => {
                let after = state.cluster_pod(namespace, name).cloned();
                self.pod_changed(namespace, name, before.as_ref(), after.as_ref(), state);
            }
            Event::Policy(id) => self.policy_changed(id, state),
        }
    }

    fn namespace_changed(&mut self, name: &Arc<str>, state: &State) {
        if self.sides.iter().any(Side::looks_at_namespaces) {
            self.dirty.pods.extend(state.cluster_pods.of(name).cloned());
        }
    }

    fn pod_changed(
        &mut self,
        namespace: &Arc<str>,
        name: &Arc<str>,
        before: Option<&Arc<ClusterPod>>,
        after: Option<&Arc<ClusterPod>>,
        state: &State,
    ) {
        if !self.names.is_empty() {
            self.count_names(before, after);
        }
        let mut touched: BTreeSet<PodId> = self.locals_named(namespace, name);
        for id in &self.nameless {
            let Some(local) = self.locals.get(id) else {
                continue;
            };
            let either = before.into_iter().chain(after);
            if either
                .flat_map(|pod| pod.ips.iter())
                .any(|ip| local.ips.contains(ip))
            {
                touched.insert(id.clone());
            }
        }
        for id in touched {
            self.rejoin(&id, state);
        }
        match (before, after) {
            (_, Some(pod)) => self.dirty.pods.push(pod.clone()),
            (Some(pod), None) => {
                for side in &mut self.sides {
                    side.set_pod(pod, None, &[]);
                }
            }
            (None, None) => {}
        }
    }

    fn count_names(&mut self, before: Option<&Arc<ClusterPod>>, after: Option<&Arc<ClusterPod>>) {
        for (pod, came) in [(before, false), (after, true)] {
            for port in pod.into_iter().flat_map(|pod| pod.ports.iter()) {
                let key = (port.name.clone(), port.protocol);
                let Some(name) = self.names.get_mut(&key) else {
                    continue;
                };
                let count = name.counts.entry(port.port).or_default();
                *count = if came { *count + 1 } else { *count - 1 };
                if *count == 0 {
                    name.counts.remove(&port.port);
                }
                // Perhaps it went and came; then nothing differs afterwards.
                self.dirty.policies.extend(&name.policies);
            }
        }
    }

    fn policy_changed(&mut self, id: &PolicyId, state: &State) {
        self.close_unknown(id.namespace(), state);
        let Some(space) = self.spaces.get_mut(id.namespace()) else {
            return;
        };
        let locals: Vec<PodId> = space.locals.iter().cloned().collect();
        let after = state.policies.get(id);
        let known = self.policy_ids.get(id).copied();
        if let Some(known) = known {
            space.index.remove(&self.policies[known].policy.pods, known);
        }
        let entry = match (known, after) {
            (None, None) => return,
            (Some(entry), None) => entry,
            (Some(entry), Some(policy)) => {
                self.policies[entry].policy = policy.clone();
                space.index.insert(&policy.pods, entry);
                entry
            }
            (None, Some(policy)) => {
                let entry = self.policies.insert(Entry::new(policy.clone()));
                self.policy_ids.insert(id.clone(), entry);
                space.index.insert(&policy.pods, entry);
                entry
            }
        };
        for local in locals {
            let selected = after.filter(|policy| self.selects(policy, &local));
            let wanted = Direction::ALL.map(|direction| {
                selected.is_some_and(|policy| rules_of(policy, direction).is_some())
            });
            let has = |local: &Local| {
                local
                    .applies
                    .each_ref()
                    .map(|a| a.binary_search(&entry).is_ok())
            };
            let had = self.locals.get(&local).map_or([false; 2], has);
            if had == [false; 2] && wanted == [false; 2] {
                continue;
            }
            self.touch(&local);
            for direction in Direction::ALL {
                self.set_applies(&local, direction, entry, wanted[direction.index()]);
            }
        }
        self.dirty.policies.insert(entry);
        if after.is_none() {
            self.policy_ids.remove(id);
        }
    }

    fn selects(&self, policy: &Policy, local: &PodId) -> bool {
        let pod = self
            .locals
            .get(local)
            .and_then(|local| local.joined.as_ref());
        pod.is_some_and(|pod| policy.pods.matches(&pod.labels))
    }

    /// Notes that a local pod has to be looked at, and what applied to it.
    pub(super) fn touch(&mut self, id: &PodId) {
        if self.dirty.locals.contains_key(id) {
            return;
        }
        let Some(local) = self.locals.get(id) else {
            return;
        };
        let rules = Direction::ALL.map(|direction| {
            let subject = local.subjects[direction.index()]?;
            Some(
                self.sides[direction.index()].subjects[subject]
                    .rules
                    .clone(),
            )
        });
        self.dirty.locals.insert(id.clone(), rules);
    }

    /// Notes that the pods have to be looked at to which any of these policies applies.
    fn touch_users(&mut self, policies: &BTreeSet<u32>) {
        let entries = policies.iter().filter_map(|id| self.policies.get(*id));
        let namespaces: BTreeSet<&Arc<str>> = entries.map(|e| &e.policy.namespace).collect();
        let spaces = namespaces
            .into_iter()
            .filter_map(|name| self.spaces.get(name));
        let locals = spaces.flat_map(|space| &space.locals).filter(|id| {
            let applies = self.locals.get(*id).map(|local| &local.applies);
            let mut applies = applies.into_iter().flatten().flatten();
            !self.dirty.locals.contains_key(*id) && applies.any(|entry| policies.contains(entry))
        });
        let locals: Vec<PodId> = locals.cloned().collect();
        locals.iter().for_each(|id| self.touch(id));
    }

    /// Works off everything that is dirty; says which local pods may do less than before, and which of them nothing
    /// applied to.
    fn settle(&mut self, state: &State) -> Vec<(Revoked, bool)> {
        let mut subjects: [BTreeSet<u32>; 2] = Default::default();
        let changed = std::mem::take(&mut self.dirty.policies);
        for entry in &changed {
            self.expand(*entry, state);
        }
        self.touch_users(&changed);
        for entry in changed {
            self.forget_unused(entry);
        }
        let dirty = std::mem::take(&mut self.dirty.locals);
        self.ports_dirty |= !dirty.is_empty();
        let mut same: HashMap<(usize, Vec<u32>, Vec<NamedPort>), u32> = HashMap::new();
        for id in dirty.keys() {
            for direction in Direction::ALL {
                let subject = self.assign_subject(id, direction, &mut same);
                subjects[direction.index()].extend(subject);
            }
        }
        for direction in Direction::ALL {
            for subject in &subjects[direction.index()] {
                self.settle_subject(direction, *subject);
            }
        }
        let revoked = self.revoked(&dirty);

        let pods = std::mem::take(&mut self.dirty.pods);
        let (spaces, locals, by_name) = (&self.spaces, &self.locals, &self.by_name);
        let ips = |pod: &ClusterPod| addresses(pod, spaces, locals, by_name);
        for side in &mut self.sides {
            for pod in &pods {
                let there = state.cluster_pod(&pod.namespace, &pod.name);
                let spaces = side.spaces_of(&pod.namespace, state);
                side.set_pod(
                    there.unwrap_or(pod),
                    there.map(|pod| ips(pod)).as_deref(),
                    &spaces,
                );
            }
            self.ports_dirty |= side.settle(state, &ips);
        }
        revoked
    }

    /// Gives a local pod the subject that fits; returns it.
    fn assign_subject(
        &mut self,
        id: &PodId,
        direction: Direction,
        same: &mut HashMap<(usize, Vec<u32>, Vec<NamedPort>), u32>,
    ) -> Option<u32> {
        let index = direction.index();
        let local = self.locals.get(id)?;
        let (before, applies) = (local.subjects[index], local.applies[index].clone());
        let after = match applies.is_empty() && !local.closed {
            true => None,
            false => {
                let ports = match direction {
                    Direction::Egress => Vec::new(),
                    Direction::Ingress => self.ports_that_matter(local),
                };
                let side = &mut self.sides[index];
                let key = (index, applies, ports);
                Some(match same.get(&key) {
                    Some(subject) => {
                        side.join_again(*subject);
                        *subject
                    }
                    None => {
                        let ids = key.1.iter().map(|p| self.policies[*p].policy.id.clone());
                        let mut policies: Vec<PolicyId> = ids.collect();
                        policies.sort_unstable();
                        let subject = side.join_subject(SubjectContent {
                            policies,
                            ports: key.2.clone(),
                        });
                        same.insert(key, subject);
                        subject
                    }
                })
            }
        };
        if let Some(before) = before {
            self.sides[index].leave_subject(before);
        }
        if let Some(local) = self.locals.get_mut(id) {
            local.subjects[index] = after;
        }
        after
    }

    /// The named ports of a pod that incoming rules speak of.
    fn ports_that_matter(&self, local: &Local) -> Vec<NamedPort> {
        let Some(pod) = local.joined.as_ref().filter(|pod| !pod.ports.is_empty()) else {
            return Vec::new();
        };
        let policies = local.applies[Direction::Ingress.index()].iter();
        let policies = policies
            .map(|id| &self.policies[*id])
            .filter(|entry| entry.has_names);
        let rules = policies.flat_map(|entry| entry.policy.ingress.iter().flatten());
        let mut ports = Vec::new();
        for (name, protocol) in rules.flat_map(names) {
            let found = pod
                .ports
                .iter()
                .filter(|p| p.name == *name && p.protocol == protocol);
            ports.extend(found.cloned());
        }
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Finds the rules of a subject.
    fn settle_subject(&mut self, direction: Direction, id: u32) {
        let side = &mut self.sides[direction.index()];
        let content = side.subjects[id].content.clone();
        let (mut rules, mut held) = (BTreeSet::new(), Vec::new());
        for policy in &content.policies {
            let Some(entry) = self.policy_ids.get(policy).map(|id| &self.policies[*id]) else {
                continue;
            };
            rules.extend(&entry.rules[direction.index()]);
            if direction == Direction::Ingress && entry.has_names && entry.fault.is_none() {
                let with_names = entry.policy.ingress.iter().flatten();
                for rule in with_names.filter(|rule| names(rule).next().is_some()) {
                    let resolved = ingress_rule(&entry.policy, rule, |name, protocol| {
                        numbers(&content.ports, name, protocol)
                    });
                    held.extend(resolved.map(|rule| side.hold_rule(rule)));
                }
            }
        }
        rules.extend(&held);
        side.set_rules(id, rules, held);
    }

    fn revoked(
        &self,
        dirty: &BTreeMap<PodId, [Option<Arc<BTreeSet<u32>>>; 2]>,
    ) -> Vec<(Revoked, bool)> {
        let mut revoked = Vec::new();
        for (id, before) in dirty {
            let Some(local) = self.locals.get(id) else {
                continue;
            };
            for direction in Direction::ALL {
                let index = direction.index();
                let Some(subject) = local.subjects[index] else {
                    continue;
                };
                let rules = &self.sides[index].subjects[subject].rules;
                let less = match &before[index] {
                    None => true,
                    Some(before) => !Arc::ptr_eq(before, rules) && !before.is_subset(rules),
                };
                if less {
                    let fresh = before.iter().all(Option::is_none);
                    let pod = Revoked::Pod {
                        pod: id.clone(),
                        ips: local.ips.clone(),
                        direction,
                    };
                    revoked.push((pod, fresh));
                }
            }
        }
        revoked
    }

    fn name_shrunk(&mut self, revoked: &mut Vec<(Revoked, bool)>) {
        for side in &mut self.sides {
            let direction = side.direction;
            let shrunk = std::mem::take(&mut side.changed.shrunk);
            let peers = shrunk.into_iter().take(MAX_SHRUNK);
            let peer = |addresses| Revoked::Peer {
                addresses,
                direction,
            };
            revoked.extend(peers.map(|addresses| (peer(addresses), false)));
        }
    }
}

/// The rules of a policy in a direction.
pub(super) fn rules_of(policy: &Policy, direction: Direction) -> Option<&Vec<crate::model::Rule>> {
    match direction {
        Direction::Egress => policy.egress.as_ref(),
        Direction::Ingress => policy.ingress.as_ref(),
    }
}

/// The numbers of a name among some ports.
pub(super) fn numbers(ports: &[NamedPort], name: &str, protocol: Protocol) -> Vec<u16> {
    let found = ports
        .iter()
        .filter(|p| &*p.name == name && p.protocol == protocol);
    found.map(|port| port.port).collect()
}

/// A pod's addresses: those that the cluster knows, and those that it has here.
fn addresses(
    pod: &ClusterPod,
    spaces: &BTreeMap<Arc<str>, Space>,
    locals: &BTreeMap<PodId, Local>,
    by_name: &HashMap<String, BTreeSet<PodId>>,
) -> Vec<IpAddr> {
    let mut ips = pod.ips.to_vec();
    if spaces.contains_key(&pod.namespace) {
        let here = by_name.get(&format!("{}/{}", pod.namespace, pod.name));
        let here = here.into_iter().flatten().filter_map(|id| locals.get(id));
        let here = here.filter(|local| local.uid.may_be(pod.uid));
        ips.extend(here.flat_map(|local| &local.ips));
    }
    ips.sort_unstable();
    ips.dedup();
    ips
}

fn families(state: &State) -> Families {
    let mut ips = state.pods.values().flat_map(|pod| &pod.ips);
    let v4 = ips.clone().any(IpAddr::is_ipv4);
    Families {
        v4,
        v6: ips.any(IpAddr::is_ipv6),
    }
}

/// An index of a namespace's policies.
pub(super) type PolicyIndex = SelectorIndex<u32>;
