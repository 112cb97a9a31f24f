//! The pods of this node, joined with what the cluster says of them, and the policies that select them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::Direction;
use super::engine::{Engine, PolicyIndex, rules_of};
use crate::model::{ClusterPod, LocalPod, PodId, Policy, State, Uid};

/// A pod of this node.
#[derive(Debug, Clone)]
pub(super) struct Local {
    pub(super) uid: Uid,
    pub(super) ofport: u32,
    pub(super) ips: Vec<IpAddr>,
    /// What the cluster says of it, once it does.
    pub(super) joined: Option<Arc<ClusterPod>>,
    /// Whether the cluster does not know it and its namespace has policies: which of them apply nobody can say, so it
    /// is isolated, and allowed nothing.
    pub(super) closed: bool,
    /// The policies that apply, in order, by direction.
    pub(super) applies: [Vec<u32>; 2],
    pub(super) subjects: [Option<u32>; 2],
}

impl Local {
    pub(super) fn namespace(&self) -> Option<Arc<str>> {
        self.joined.as_ref().map(|pod| pod.namespace.clone())
    }
}

/// A namespace that has pods here.
#[derive(Debug, Clone, Default)]
pub(super) struct Space {
    pub(super) locals: BTreeSet<PodId>,
    pub(super) index: PolicyIndex,
    holders: usize,
}

/// A policy of such a namespace.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) policy: Arc<Policy>,
    /// To how many local pods it applies, once for each direction.
    pub(super) users: usize,
    /// The rules that it holds, if it applies to any.
    pub(super) rules: [Vec<u32>; 2],
    /// Whether incoming rules speak of ports by name: those are held by the subjects.
    pub(super) has_names: bool,
    /// Why it has no rules.
    pub(super) fault: Option<String>,
}

impl Entry {
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        Self {
            policy,
            users: 0,
            rules: Default::default(),
            has_names: false,
            fault: None,
        }
    }
}

fn full_name(pod: &LocalPod) -> Option<String> {
    let named = !pod.namespace.is_empty() && !pod.name.is_empty();
    named.then(|| format!("{}/{}", pod.namespace, pod.name))
}

/// The cluster's pod that a local pod is: that of its name, unless it is one before or after it that had the same name;
/// or, if it has no name, the first with one of its addresses.
pub(super) fn joined<'a>(pod: &LocalPod, state: &'a State) -> Option<&'a Arc<ClusterPod>> {
    if full_name(pod).is_some() {
        let named = state.cluster_pod(&pod.namespace, &pod.name);
        return named.filter(|named| named.uid.may_be(pod.uid));
    }
    let mut all = state.cluster_pods.iter();
    all.find(|other| other.ips.iter().any(|ip| pod.ips.contains(ip)))
}

impl Engine {
    pub(super) fn locals_named(&self, namespace: &str, name: &str) -> BTreeSet<PodId> {
        if !self.spaces.contains_key(namespace) && self.by_name.is_empty() {
            return BTreeSet::new();
        }
        let found = self.by_name.get(&format!("{namespace}/{name}"));
        found.cloned().unwrap_or_default()
    }

    /// Takes a pod of the state in.
    pub(super) fn add_local(&mut self, id: &PodId, state: &State) {
        let Some(pod) = state.pods.get(id) else {
            return;
        };
        match full_name(pod) {
            Some(name) => {
                self.by_name.entry(name).or_default().insert(id.clone());
            }
            None => {
                self.nameless.insert(id.clone());
            }
        }
        let local = Local {
            uid: pod.uid,
            ofport: pod.ofport,
            ips: pod.ips.clone(),
            joined: None,
            closed: false,
            applies: Default::default(),
            subjects: [None; 2],
        };
        self.locals.insert(id.clone(), local);
        self.touch(id);
        self.join(id, state);
    }

    /// Forgets a pod.
    pub(super) fn drop_local(&mut self, id: &PodId) {
        self.touch(id);
        self.unjoin(id);
        let Some(local) = self.locals.remove(id) else {
            return;
        };
        for (side, subject) in self.sides.iter_mut().zip(local.subjects) {
            if let Some(subject) = subject {
                side.leave_subject(subject);
            }
        }
        self.nameless.remove(id);
        self.by_name.retain(|_, ids| {
            ids.remove(id);
            !ids.is_empty()
        });
    }

    /// Looks anew at what the cluster says of a pod.
    pub(super) fn rejoin(&mut self, id: &PodId, state: &State) {
        let namespace = self.locals.get(id).and_then(Local::namespace);
        if let Some(namespace) = &namespace {
            self.enter(namespace, state);
        }
        self.touch(id);
        self.unjoin(id);
        self.join(id, state);
        if let Some(namespace) = &namespace {
            self.leave(namespace);
        }
    }

    fn join(&mut self, id: &PodId, state: &State) {
        let Some(pod) = state.pods.get(id).and_then(|pod| joined(pod, state)) else {
            return self.note_unknown(id, state);
        };
        self.enter(&pod.namespace, state);
        let applies = self.policies_for(pod);
        for entry in applies.iter().flatten() {
            let users = &mut self.policies[*entry].users;
            *users += 1;
            if *users == 1 {
                self.dirty.policies.insert(*entry);
            }
        }
        if let Some(space) = self.spaces.get_mut(&pod.namespace) {
            space.locals.insert(id.clone());
        }
        if let Some(local) = self.locals.get_mut(id) {
            local.joined = Some(pod.clone());
            local.applies = applies;
        }
        self.dirty.pods.push(pod.clone());
    }

    /// The policies that select a pod, in order, by direction.
    fn policies_for(&self, pod: &ClusterPod) -> [Vec<u32>; 2] {
        let mut applies: [Vec<u32>; 2] = Default::default();
        let Some(space) = self.spaces.get(&pod.namespace) else {
            return applies;
        };
        // Pods of one workload have the same labels, as a rule.
        let mut others = space.locals.iter().filter_map(|id| self.locals.get(id));
        let same = |local: &&Local| {
            local
                .joined
                .as_ref()
                .is_some_and(|p| p.labels == pod.labels)
        };
        if let Some(other) = others.find(same) {
            return other.applies.clone();
        }
        let mut selecting = Vec::new();
        space.index.candidates(&pod.labels, |entry| {
            if self.policies[entry].policy.pods.matches(&pod.labels) {
                selecting.push(entry);
            }
        });
        selecting.sort_unstable();
        for direction in Direction::ALL {
            let isolating = selecting
                .iter()
                .copied()
                .filter(|entry| rules_of(&self.policies[*entry].policy, direction).is_some());
            applies[direction.index()] = isolating.collect();
        }
        applies
    }

    /// A pod that the cluster does not know yet, or no longer.
    fn note_unknown(&mut self, id: &PodId, state: &State) {
        let Some(pod) = state.pods.get(id).filter(|pod| full_name(pod).is_some()) else {
            return;
        };
        let unknown = self.unknown.entry(pod.namespace.as_str().into());
        unknown.or_default().insert(id.clone());
        self.close_unknown(&pod.namespace, state);
    }

    /// Looks anew at the pods of a namespace that the cluster does not know: are there policies?
    pub(super) fn close_unknown(&mut self, namespace: &str, state: &State) {
        let closed = state.policies_of(namespace).next().is_some();
        let differs = |id: &&PodId| {
            let local = self.locals.get(*id);
            local.is_some_and(|local| local.closed != closed)
        };
        let unknown = self.unknown.get(namespace).into_iter().flatten();
        let changed: Vec<PodId> = unknown.filter(differs).cloned().collect();
        for id in changed {
            self.touch(&id);
            if let Some(local) = self.locals.get_mut(&id) {
                local.closed = closed;
            }
        }
    }

    fn unjoin(&mut self, id: &PodId) {
        self.unknown.retain(|_, ids| {
            ids.remove(id);
            !ids.is_empty()
        });
        let Some(local) = self.locals.get_mut(id) else {
            return;
        };
        local.closed = false;
        let Some(pod) = local.joined.take() else {
            return;
        };
        for entry in std::mem::take(&mut local.applies).into_iter().flatten() {
            let users = &mut self.policies[entry].users;
            *users -= 1;
            if *users == 0 {
                self.dirty.policies.insert(entry);
            }
        }
        if let Some(space) = self.spaces.get_mut(&pod.namespace) {
            space.locals.remove(id);
        }
        self.leave(&pod.namespace);
        self.dirty.pods.push(pod);
    }

    /// Says whether a policy applies to a local pod.
    pub(super) fn set_applies(
        &mut self,
        id: &PodId,
        direction: Direction,
        entry: u32,
        wanted: bool,
    ) {
        let Some(local) = self.locals.get_mut(id) else {
            return;
        };
        let applies = &mut local.applies[direction.index()];
        let users = &mut self.policies[entry].users;
        match (applies.binary_search(&entry), wanted) {
            (Err(at), true) => {
                applies.insert(at, entry);
                *users += 1;
            }
            (Ok(at), false) => {
                applies.remove(at);
                *users -= 1;
            }
            _ => {}
        }
    }

    /// Makes sure that the policies of a namespace are indexed, until [`Self::leave`].
    pub(super) fn enter(&mut self, namespace: &Arc<str>, state: &State) {
        if let Some(space) = self.spaces.get_mut(namespace) {
            space.holders += 1;
            return;
        }
        let mut space = Space {
            holders: 1,
            ..Space::default()
        };
        for policy in state.policies_of(namespace) {
            let entry = self.policies.insert(Entry::new(policy.clone()));
            self.policy_ids.insert(policy.id.clone(), entry);
            space.index.insert(&policy.pods, entry);
        }
        self.spaces.insert(namespace.clone(), space);
    }

    /// See [`Self::enter`].
    pub(super) fn leave(&mut self, namespace: &Arc<str>) {
        let Some(space) = self.spaces.get_mut(namespace) else {
            return;
        };
        space.holders -= 1;
        if space.holders > 0 {
            return;
        }
        self.spaces.remove(namespace);
        let policies = self.policies.iter();
        let left = policies.filter(|(_, entry)| entry.policy.namespace == *namespace);
        let left: Vec<u32> = left.map(|(id, _)| id).collect();
        for id in left {
            if self.policy_ids.get(&self.policies[id].policy.id) == Some(&id) {
                self.policy_ids.remove(&self.policies[id].policy.id);
            }
            self.dirty.policies.insert(id);
        }
    }

    /// Forgets a policy that is no longer indexed.
    pub(super) fn forget_unused(&mut self, id: u32) {
        let Some(entry) = self.policies.get(id) else {
            return;
        };
        if self.policy_ids.get(&entry.policy.id) != Some(&id) {
            self.policies.remove(id);
        }
    }
}
