//! Which pods of other nodes the policies can speak of that select a pod of this node.
//!
//! Only those need be known here. A policy takes effect together with the pods that it speaks of: while some of them
//! are still to come, what was in force stays in force ([`Reach::holds`]), for a while; then it takes effect without
//! them, and allows those whom nobody knows nothing.
//!
//! Must not know where pods come from, nor what policies become.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use sluice_flows::model::{Labels, Policy, PolicyPeer, Ports, Rule, Selector};

use super::{Key, Policies, pods::Pods};
use crate::source::{Pod, PodScope};

/// How long a change may wait for the pods that it speaks of.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// When policies speak of more namespaces than this, all pods at once are fewer watches.
const MANY: usize = 64;

#[derive(Debug)]
pub(super) struct Reach {
    own_node: Arc<str>,
    /// The pods of this node that policies can select.
    own: BTreeMap<Key, Arc<Labels>>,
    /// The policies that select any of them and speak of pods.
    local: BTreeMap<Key, Needs>,
    touched_pods: BTreeSet<Key>,
    touched_policies: BTreeSet<Key>,
    /// Whether what `local` comes to must be worked out again.
    stale: bool,
    wanted: PodScope,
    covered: Option<PodScope>,
    /// Since when something has been waited for.
    waiting: Option<Instant>,
}

/// Whose pods a policy speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Needs {
    /// Everyone's.
    all: bool,
    /// Those of its own namespace.
    own: bool,
    /// Those of the namespaces with such labels.
    selected: Vec<Selector>,
}

impl Needs {
    fn of(policy: &Policy) -> Needs {
        let mut needs = Needs::default();
        for rule in policy.ingress.iter().flatten() {
            needs.peers(rule);
        }
        for rule in policy.egress.iter().flatten() {
            needs.peers(rule);
            // Such a port is a number only for those pods that have it, and for nobody else.
            let mut ports = rule.ports.iter().flatten();
            let named = ports.any(|port| matches!(port.ports, Ports::Named(_)));
            let peers = rule.peers.as_deref().unwrap_or_default();
            let any_address = peers.is_empty()
                || peers
                    .iter()
                    .any(|peer| matches!(peer, PolicyPeer::IpBlock { .. }));
            needs.all |= named && any_address;
        }
        needs
    }

    fn peers(&mut self, rule: &Rule) {
        for peer in rule.peers.iter().flatten() {
            match peer {
                PolicyPeer::IpBlock { .. } => {}
                PolicyPeer::Pods {
                    namespaces: None, ..
                } => self.own = true,
                PolicyPeer::Pods {
                    namespaces: Some(selector),
                    ..
                } if selector.requirements.is_empty() => {
                    self.all = true;
                }
                PolicyPeer::Pods {
                    namespaces: Some(selector),
                    ..
                } => {
                    if !self.selected.contains(selector) {
                        self.selected.push(selector.clone());
                    }
                }
            }
        }
    }

    fn is_none(&self) -> bool {
        *self == Needs::default()
    }
}

impl Reach {
    pub(super) fn new(own_node: Arc<str>) -> Reach {
        Reach {
            own_node,
            own: BTreeMap::new(),
            local: BTreeMap::new(),
            touched_pods: BTreeSet::new(),
            touched_policies: BTreeSet::new(),
            stale: false,
            wanted: PodScope::default(),
            covered: None,
            waiting: None,
        }
    }

    /// A pod came or changed.
    pub(super) fn pod_set(&mut self, pod: &Pod) {
        let key = Key::new(&pod.namespace, &pod.name);
        let state = &*pod.state;
        if state.node != self.own_node || state.host_network || state.finished {
            return self.pod_gone(&key);
        }
        if self.own.get(&key) != Some(&pod.labels) {
            self.own.insert(key.clone(), pod.labels.clone());
            self.touched_pods.insert(key);
        }
    }

    pub(super) fn pod_gone(&mut self, key: &Key) {
        if self.own.remove(key).is_some() {
            self.touched_pods.insert(key.clone());
        }
    }

    pub(super) fn policy_touched(&mut self, key: Key) {
        self.touched_policies.insert(key);
    }

    pub(super) fn namespace_touched(&mut self) {
        self.stale |= self.local.values().any(|needs| !needs.selected.is_empty());
    }

    pub(super) fn covered(&mut self, scope: PodScope) {
        self.covered = Some(scope);
    }

    /// The pods that are needed.
    pub(super) fn wanted(&self) -> &PodScope {
        &self.wanted
    }

    /// What is needed and has not come; nothing before anything has.
    pub(super) fn missing(&self) -> PodScope {
        match &self.covered {
            Some(covered) => covered.missing(&self.wanted),
            None => PodScope::default(),
        }
    }

    /// Works out what is needed now.
    pub(super) fn follow(&mut self, pods: &Pods, policies: &Policies) {
        for key in std::mem::take(&mut self.touched_policies) {
            self.look(&key, policies, None);
        }
        for pod in std::mem::take(&mut self.touched_pods) {
            let first = Key {
                namespace: pod.namespace.clone(),
                name: "".into(),
            };
            let range = policies.range((Bound::Included(first), Bound::Unbounded));
            let here = range.take_while(|(key, _)| key.namespace == pod.namespace);
            let keys: Vec<Key> = here.map(|(key, _)| key.clone()).collect();
            for key in keys {
                self.look(&key, policies, Some(&pod));
            }
        }
        if std::mem::take(&mut self.stale) {
            self.wanted = self.work_out(pods);
        }
    }

    /// Looks whether a policy is of concern here; if only one pod changed, only that may make a difference.
    fn look(&mut self, key: &Key, policies: &Policies, pod: Option<&Key>) {
        let policy = policies.get(key).map(|policy| &policy.policy);
        let selects =
            |labels: &Arc<Labels>| policy.is_some_and(|policy| policy.pods.matches(labels));
        let selected = match pod.filter(|_| !self.local.contains_key(key)) {
            Some(pod) => self.own.get(pod).is_some_and(selects),
            None => {
                let first = Key {
                    namespace: key.namespace.clone(),
                    name: "".into(),
                };
                let range = self.own.range((Bound::Included(first), Bound::Unbounded));
                let mut here = range.take_while(|(own, _)| own.namespace == key.namespace);
                here.any(|(_, labels)| selects(labels))
            }
        };
        let needs = policy.filter(|_| selected).map(|policy| Needs::of(policy));
        let needs = needs.filter(|needs| !needs.is_none());
        if self.local.get(key) == needs.as_ref() {
            return;
        }
        self.stale = true;
        match needs {
            Some(needs) => drop(self.local.insert(key.clone(), needs)),
            None => drop(self.local.remove(key)),
        }
    }

    fn work_out(&self, pods: &Pods) -> PodScope {
        let mut names = BTreeSet::new();
        let mut selectors: BTreeSet<&Selector> = BTreeSet::new();
        for (key, needs) in &self.local {
            if needs.all {
                return PodScope::All;
            }
            if needs.own {
                names.insert(key.namespace.clone());
            }
            selectors.extend(&needs.selected);
        }
        for name in pods.namespace_names() {
            let labels = pods.labels(name).unwrap_or_default();
            if selectors.iter().any(|selector| selector.matches(&labels)) {
                names.insert(name.clone());
            }
        }
        match names.len() > MANY {
            true => PodScope::All,
            false => PodScope::Namespaces(names),
        }
    }

    /// Whether policies, pods and namespaces are to stay as they were, since pods are still to come. `first` before
    /// anything was in force: then there is no hurry.
    pub(super) fn holds(&mut self, first: bool, now: Instant) -> bool {
        let covered = self.covered.as_ref();
        if covered.is_some_and(|covered| covered.covers(&self.wanted)) {
            self.waiting = None;
            return false;
        }
        let since = *self.waiting.get_or_insert(now);
        first || now < since + PATIENCE
    }

    /// When the wait is over, whatever has come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.map(|since| since + PATIENCE)
    }

    /// As if it had been waited for longer.
    #[cfg(test)]
    pub(super) fn wait_less(&mut self, time: Duration) {
        self.waiting = self.waiting.and_then(|since| since.checked_sub(time));
    }
}
