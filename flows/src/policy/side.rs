//! One direction of policy on this node: the rules in force, the peers they speak of, the classes that addresses
//! have by them, and the subjects they apply to.
//!
//! The parts refer to each other by index; numbers that reach flows are made of content alone. What follows from a
//! change is gathered as dirty parts and worked off at once by [`Side::settle`], in an order in which nothing is
//! looked at before it is settled: subjects, rules, peers, nodes, classes, flows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Direction;
use super::content::{Peers, RuleContent};
use super::numbers::Numbers;
use super::ports::{PortMatch, PortSet};
use super::prefixes::{Member, Prefixes};
use super::rules::{Key, Value};
use super::selection::Selection;
use super::slab::Slab;
use crate::model::{ClusterPod, NamedPort, PodSet, PolicyId, State};

/// A rule in force.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) content: Arc<RuleContent>,
    digest: u64,
    /// By how many policies and subjects it is asked for.
    holders: usize,
    pub(super) set: Option<u32>,
    /// `None` is everything.
    pub(super) ports: Option<Vec<PortMatch>>,
    pub(super) subjects: BTreeSet<u32>,
    /// Whether its flows are a conjunction.
    pub(super) conjunctive: bool,
}

/// A set of peers.
#[derive(Debug, Clone)]
pub(super) struct PeerSet {
    pub(super) peers: Arc<Peers>,
    pub(super) digest: u64,
    rules: BTreeSet<u32>,
    pub(super) classes: BTreeSet<u32>,
}

/// Addresses that the rules do not tell apart.
#[derive(Debug, Clone)]
pub(super) struct Class {
    pub(super) sets: Arc<[u32]>,
    pub(super) digest: u64,
    /// How many nodes have it.
    pub(super) nodes: usize,
}

/// What two pods have in common to which the same applies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SubjectContent {
    /// The policies, in order.
    pub(super) policies: Vec<PolicyId>,
    /// The numbers of the named ports that their rules speak of, in order.
    pub(super) ports: Vec<NamedPort>,
}

/// Pods to which the same applies.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) content: Arc<SubjectContent>,
    digest: u64,
    /// How many pods.
    pods: usize,
    pub(super) rules: Arc<BTreeSet<u32>>,
    /// Rules held by this subject, since its named ports are in them.
    pub(super) held: Vec<u32>,
}

/// Everything about one direction.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub(super) direction: Direction,
    pub(super) rules: Slab<Rule>,
    rule_ids: HashMap<Arc<RuleContent>, u32>,
    rule_numbers: Numbers,
    pub(super) sets: Slab<PeerSet>,
    set_ids: HashMap<Arc<Peers>, u32>,
    pub(super) selection: Selection,
    members: PodSet<Arc<Member>>,
    pub(super) prefixes: Prefixes,
    pub(super) classes: Slab<Class>,
    pub(super) class_ids: HashMap<Arc<[u32]>, u32>,
    pub(super) class_numbers: Numbers,
    pub(super) subjects: Slab<Subject>,
    subject_ids: HashMap<Arc<SubjectContent>, u32>,
    subject_numbers: Numbers,

    /// The flows of the policy table, as they are now.
    pub(super) table: HashMap<Key, Value>,
    /// Conjunctive rules by the ports they ask for.
    pub(super) by_port: BTreeMap<PortMatch, BTreeSet<u32>>,
    /// Whether there are so many rules that all are conjunctions.
    pub(super) wide: bool,
    pub(super) banks: u32,

    pub(super) dirty: Dirty,
    /// What changed since the last time it was asked for, and what it was before.
    pub(super) changed: Changed,
}

/// What has to be looked at again.
#[derive(Debug, Clone, Default)]
pub(super) struct Dirty {
    /// Everything, since numbers moved.
    pub(super) all: bool,
    pub(super) rules: BTreeSet<u32>,
    pub(super) subjects: BTreeSet<u32>,
    pub(super) classes: BTreeSet<u32>,
    pub(super) ports: BTreeSet<PortMatch>,
    new_sets: Vec<u32>,
    pub(super) idle_sets: BTreeSet<u32>,
    idle_rules: BTreeSet<u32>,
    pub(super) idle_classes: BTreeSet<u32>,
    idle_subjects: BTreeSet<u32>,
    /// Keys of what is gone.
    pub(super) gone: Vec<Key>,
}

/// Flows that are not what they were, with what they were.
#[derive(Debug, Clone, Default)]
pub(super) struct Changed {
    /// Whether anyone wants to know.
    pub(super) recorded: bool,
    pub(super) table: HashMap<Key, Option<Value>>,
    pub(super) nodes: BTreeMap<IpNet, Option<u32>>,
    /// Addresses that lost a peer.
    pub(super) shrunk: Vec<IpNet>,
}

impl Side {
    pub(super) fn new(direction: Direction, bits: u32) -> Self {
        Self {
            direction,
            rules: Slab::default(),
            rule_ids: HashMap::new(),
            rule_numbers: Numbers::new(bits),
            sets: Slab::default(),
            set_ids: HashMap::new(),
            selection: Selection::default(),
            members: PodSet::default(),
            prefixes: Prefixes::default(),
            classes: Slab::default(),
            class_ids: HashMap::new(),
            class_numbers: Numbers::new(bits),
            subjects: Slab::default(),
            subject_ids: HashMap::new(),
            subject_numbers: Numbers::new(bits),
            table: HashMap::new(),
            by_port: BTreeMap::new(),
            wide: false,
            banks: 1,
            dirty: Dirty::default(),
            changed: Changed::default(),
        }
    }

    pub(super) fn rule_number(&self, id: u32) -> Option<u32> {
        self.rule_numbers.get(self.rules.get(id)?.digest, id)
    }

    pub(super) fn class_number(&self, id: u32) -> Option<u32> {
        self.class_numbers.get(self.classes.get(id)?.digest, id)
    }

    pub(super) fn subject_number(&self, id: u32) -> Option<u32> {
        self.subject_numbers.get(self.subjects.get(id)?.digest, id)
    }

    /// How many rules, classes and subjects there is no number for.
    pub(super) fn excess(&self) -> usize {
        self.rule_numbers.excess() + self.class_numbers.excess() + self.subject_numbers.excess()
    }

    pub(super) fn find_rule(&self, content: &RuleContent) -> Option<u32> {
        self.rule_ids.get(content).copied()
    }

    /// The rule with this content, from now on held once more.
    pub(super) fn hold_rule(&mut self, content: RuleContent) -> u32 {
        if let Some(id) = self.rule_ids.get(&content) {
            self.rules[*id].holders += 1;
            return *id;
        }
        let set = content.peers.as_ref().map(|peers| self.set(peers));
        let digest = content.digest();
        let content = Arc::new(content);
        let id = self.rules.insert(Rule {
            content: content.clone(),
            digest,
            holders: 1,
            set,
            ports: content.ports.as_ref().map(PortSet::matches),
            subjects: BTreeSet::new(),
            conjunctive: false,
        });
        let rules = &self.rules;
        let order = |a: u32, b: u32| rules[a].content.cmp(&rules[b].content);
        self.dirty.all |= self.rule_numbers.insert(digest, id, order);
        self.rule_ids.insert(content, id);
        if let Some(set) = set {
            self.sets[set].rules.insert(id);
        }
        self.dirty.rules.insert(id);
        id
    }

    /// Holds a rule once less.
    pub(super) fn drop_rule(&mut self, id: u32) {
        let rule = &mut self.rules[id];
        rule.holders -= 1;
        if rule.holders == 0 {
            self.dirty.idle_rules.insert(id);
        }
    }

    fn set(&mut self, peers: &Arc<Peers>) -> u32 {
        if let Some(id) = self.set_ids.get(peers) {
            return *id;
        }
        let id = self.sets.insert(PeerSet {
            peers: peers.clone(),
            digest: peers.digest(),
            rules: BTreeSet::new(),
            classes: BTreeSet::new(),
        });
        self.set_ids.insert(peers.clone(), id);
        self.selection.add(id, peers);
        self.prefixes.add(id, peers);
        self.dirty.new_sets.push(id);
        id
    }

    /// The subject with this content, from now on of one pod more.
    pub(super) fn join_subject(&mut self, content: SubjectContent) -> u32 {
        if let Some(id) = self.subject_ids.get(&content) {
            self.subjects[*id].pods += 1;
            return *id;
        }
        let mut digest = super::content::Digest::new();
        for policy in &content.policies {
            digest.text(policy.as_str());
        }
        for port in &content.ports {
            digest.text(&port.name);
            digest.number((u64::from(port.protocol.number()) << 16) | u64::from(port.port));
        }
        let digest = digest.finish();
        let content = Arc::new(content);
        let id = self.subjects.insert(Subject {
            content: content.clone(),
            digest,
            pods: 1,
            rules: Arc::default(),
            held: Vec::new(),
        });
        let subjects = &self.subjects;
        let order = |a: u32, b: u32| subjects[a].content.cmp(&subjects[b].content);
        self.dirty.all |= self.subject_numbers.insert(digest, id, order);
        self.subject_ids.insert(content, id);
        self.dirty.subjects.insert(id);
        id
    }

    /// Adds one pod more to a subject.
    pub(super) fn join_again(&mut self, id: u32) {
        self.subjects[id].pods += 1;
    }

    /// Takes a pod out of a subject.
    pub(super) fn leave_subject(&mut self, id: u32) {
        let subject = &mut self.subjects[id];
        subject.pods -= 1;
        if subject.pods == 0 {
            self.dirty.idle_subjects.insert(id);
        }
    }

    /// Says which rules apply to a subject, and which of them it holds itself.
    pub(super) fn set_rules(&mut self, id: u32, rules: BTreeSet<u32>, held: Vec<u32>) {
        if *self.subjects[id].rules == rules {
            let released = std::mem::replace(&mut self.subjects[id].held, held);
            released.into_iter().for_each(|rule| self.drop_rule(rule));
            return;
        }
        let before = std::mem::replace(&mut self.subjects[id].rules, rules.into());
        let released = std::mem::replace(&mut self.subjects[id].held, held);
        let Self {
            rules, subjects, ..
        } = self;
        for rule in before.difference(&subjects[id].rules) {
            if let Some(rule) = rules.get_mut(*rule) {
                rule.subjects.remove(&id);
            }
        }
        for rule in subjects[id].rules.difference(&before) {
            rules[*rule].subjects.insert(id);
        }
        let touched = before.symmetric_difference(&subjects[id].rules);
        self.dirty.rules.extend(touched);
        self.dirty.subjects.insert(id);
        for rule in released {
            self.drop_rule(rule);
        }
    }

    /// Says that a pod is there with these addresses, or not any more.
    pub(super) fn set_pod(
        &mut self,
        pod: &Arc<ClusterPod>,
        there: Option<&[IpAddr]>,
        spaces: &[u32],
    ) {
        let there = there.filter(|_| !self.selection.is_empty());
        let sets = match there {
            Some(_) => self.selection.sets_of(pod, spaces),
            None => Vec::new(),
        };
        let matters = there.is_some() && (!sets.is_empty() || self.selection.may_be_named(pod));
        if self.members.is_empty() && !matters {
            return;
        }
        match there.filter(|_| matters) {
            None => {
                if let Some(before) = self.members.remove(&pod.namespace, &pod.name) {
                    for ip in before.ips.iter() {
                        self.prefixes.remove_member(*ip, pod);
                    }
                }
            }
            Some(ips) => {
                let before = self.members.get(&pod.namespace, &pod.name);
                let same = |m: &Arc<Member>| {
                    *m.ips == *ips && *m.sets == *sets && m.pod.ports == pod.ports
                };
                if before.is_some_and(same) {
                    return;
                }
                let member = Arc::new(Member {
                    pod: pod.clone(),
                    ips: ips.into(),
                    sets: sets.into(),
                });
                for ip in ips {
                    self.prefixes.set_member(*ip, &member);
                }
                if let Some(before) = self.members.put(member) {
                    for ip in before.ips.iter().filter(|ip| !ips.contains(ip)) {
                        self.prefixes.remove_member(*ip, pod);
                    }
                }
            }
        }
    }

    /// Whether the labels of namespaces matter.
    pub(super) fn looks_at_namespaces(&self) -> bool {
        self.selection.looks_at_namespaces()
    }

    /// The namespace selectors in force that select a namespace.
    pub(super) fn spaces_of(&self, namespace: &str, state: &State) -> Vec<u32> {
        let labels = state.namespaces.get(namespace);
        self.selection.spaces_of(labels.map(|n| &n.labels))
    }

    /// Works off what is dirty; says whether numbers moved. `ips` says which addresses a pod has.
    pub(super) fn settle(
        &mut self,
        state: &State,
        ips: &dyn Fn(&ClusterPod) -> Vec<IpAddr>,
    ) -> bool {
        self.drop_idle_subjects();
        self.drop_idle_rules();
        self.drop_idle_sets(state, ips);
        self.find_members(state, ips);
        self.settle_nodes();
        self.drop_idle_classes();
        let moved = self.dirty.all;
        self.settle_flows();
        moved
    }

    fn drop_idle_subjects(&mut self) {
        for id in std::mem::take(&mut self.dirty.idle_subjects) {
            if self.subjects.get(id).is_none_or(|subject| subject.pods > 0) {
                continue;
            }
            self.set_rules(id, BTreeSet::new(), Vec::new());
            if let Some(number) = self.subject_number(id) {
                let banks = 0..self.banks;
                let keys = banks.map(|bank| Key::Subject(bank, number));
                self.dirty.gone.extend(keys);
                self.dirty
                    .gone
                    .extend([Key::Isolated(number), Key::Open(number)]);
            }
            if let Some(subject) = self.subjects.remove(id) {
                self.dirty.all |= self.subject_numbers.remove(subject.digest, id);
                self.subject_ids.remove(&subject.content);
            }
            self.dirty.subjects.insert(id);
        }
    }

    fn drop_idle_rules(&mut self) {
        for id in std::mem::take(&mut self.dirty.idle_rules) {
            if self.rules[id].holders > 0 {
                continue;
            }
            if let Some(number) = self.rule_number(id) {
                self.dirty.gone.push(Key::Rule(number));
            }
            self.forget_ports(id);
            let Some(rule) = self.rules.remove(id) else {
                continue;
            };
            self.dirty.all |= self.rule_numbers.remove(rule.digest, id);
            self.rule_ids.remove(&rule.content);
            self.dirty.rules.insert(id);
            if let Some(set) = rule.set {
                let set_ = &mut self.sets[set];
                set_.rules.remove(&id);
                if rule.conjunctive {
                    self.dirty.classes.extend(&set_.classes);
                }
                if set_.rules.is_empty() {
                    self.dirty.idle_sets.insert(set);
                }
            }
        }
    }

    /// Takes a conjunctive rule out of the index of ports.
    pub(super) fn forget_ports(&mut self, id: u32) {
        let rule = &self.rules[id];
        for port in rule.ports.iter().flatten().filter(|_| rule.conjunctive) {
            if let Some(rules) = self.by_port.get_mut(port) {
                rules.remove(&id);
                if rules.is_empty() {
                    self.by_port.remove(port);
                }
            }
            self.dirty.ports.insert(*port);
        }
    }

    fn drop_idle_sets(&mut self, state: &State, ips: &dyn Fn(&ClusterPod) -> Vec<IpAddr>) {
        let mut dropped = HashSet::new();
        for id in std::mem::take(&mut self.dirty.idle_sets) {
            if !self.sets[id].rules.is_empty() {
                continue;
            }
            // Its index is taken out of use only once no class speaks of it.
            let peers = self.sets[id].peers.clone();
            self.set_ids.remove(&peers);
            self.selection.remove(id, &peers);
            self.prefixes.remove(id, &peers);
            dropped.insert(id);
        }
        if dropped.is_empty() {
            return;
        }
        self.dirty.new_sets.retain(|id| !dropped.contains(id));
        let touched = self.members.iter().filter(|member| {
            let gone = member.sets.iter().any(|set| dropped.contains(set));
            gone || member.sets.is_empty()
        });
        let touched: Vec<_> = touched.map(|member| member.pod.clone()).collect();
        for pod in touched {
            let spaces = self.spaces_of(&pod.namespace, state);
            self.set_pod(&pod, Some(&ips(&pod)), &spaces);
        }
        // With no selector left, no pod is looked at any more.
        if self.selection.is_empty() {
            for member in std::mem::take(&mut self.members).iter() {
                for ip in member.ips.iter() {
                    self.prefixes.remove_member(*ip, &member.pod);
                }
            }
        }
        self.dirty.idle_sets = dropped.into_iter().collect();
    }

    /// Looks for the pods that are in new sets: one pass, however many sets.
    fn find_members(&mut self, state: &State, ips: &dyn Fn(&ClusterPod) -> Vec<IpAddr>) {
        let new = std::mem::take(&mut self.dirty.new_sets);
        let mut fresh = Selection::default();
        for id in new {
            if let Some(set) = self.sets.get(id) {
                fresh.add(id, &set.peers);
            }
        }
        if fresh.is_empty() {
            return;
        }
        let look = |namespace: &Arc<str>, side: &mut Self| {
            let labels = state.namespaces.get(namespace).map(|n| &n.labels);
            let new_spaces = fresh.spaces_of(labels);
            if !fresh.concerns(namespace, &new_spaces) {
                return;
            }
            let spaces = side.selection.spaces_of(labels);
            for pod in state.cluster_pods.of(namespace) {
                if !fresh.sets_of(pod, &new_spaces).is_empty() || fresh.may_be_named(pod) {
                    side.set_pod(pod, Some(&ips(pod)), &spaces);
                }
            }
        };
        match fresh.only_namespaces() {
            Some(namespaces) => namespaces.for_each(|namespace| look(namespace, self)),
            None => state.cluster_pods.namespaces().for_each(|n| look(n, self)),
        }
    }

    /// The classes of a set of peers.
    pub(super) fn classes_of(&self, set: u32) -> &BTreeSet<u32> {
        &self.sets[set].classes
    }

    /// The rules that speak of a set of peers.
    pub(super) fn rules_of(&self, set: u32) -> &BTreeSet<u32> {
        &self.sets[set].rules
    }

    /// Notes what a node's flow was, the first time.
    pub(super) fn note_node(&mut self, net: IpNet, was: Option<u32>) {
        if self.changed.recorded {
            self.changed.nodes.entry(net).or_insert(was);
        }
    }

    /// Whether a rule is about an address.
    pub(super) fn is_peer(&self, rule: u32, ip: IpAddr) -> bool {
        self.rules[rule].set.is_none_or(|set| {
            let class = self.prefixes.find(ip).and_then(|node| node.class);
            class.is_some_and(|class| self.classes[class].sets.binary_search(&set).is_ok())
        })
    }
}
