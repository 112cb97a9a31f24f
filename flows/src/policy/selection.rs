//! Which peers a pod is, of those that rules in force speak of.
//!
//! Each pair of a scope and a pod selector is held once, however many peers it is part of, and found by the labels
//! it asks for. Nothing is kept per pod here.

use std::collections::HashMap;
use std::sync::Arc;

use super::content::{Named, Peer, Peers, Scope};
use super::selectors::SelectorIndex;
use super::slab::Slab;
use crate::model::{ClusterPod, Labels, Selector};

/// The selectors of sets of peers.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    atoms: Slab<Atom>,
    atom_ids: HashMap<(Scope, Selector), u32>,
    own: HashMap<Arc<str>, SelectorIndex<u32>>,
    spaces: Slab<Space>,
    space_ids: HashMap<Selector, u32>,
    space_index: SelectorIndex<u32>,
    /// Sets that are meant only as far as pods have a port of that name and number.
    named: HashMap<u32, Named>,
    /// Sets of everyone who has such a port.
    everyone: HashMap<Named, Vec<u32>>,
    /// How many sets mean those of some prefix who have such a port.
    in_blocks: HashMap<Named, usize>,
}

/// A scope and a pod selector.
#[derive(Debug, Clone)]
struct Atom {
    selector: Selector,
    sets: Vec<u32>,
}

/// A namespace selector, and the pod selectors within.
#[derive(Debug, Clone)]
struct Space {
    selector: Selector,
    index: SelectorIndex<u32>,
    atoms: usize,
}

fn has(pod: &ClusterPod, named: &Named) -> bool {
    pod.ports.iter().any(|port| {
        port.name == named.name && port.protocol == named.protocol && port.port == named.port
    })
}

fn named_ports(pod: &ClusterPod) -> impl Iterator<Item = Named> {
    pod.ports.iter().map(|port| Named {
        name: port.name.clone(),
        protocol: port.protocol,
        port: port.port,
    })
}

impl Selection {
    /// Adds the selectors of a set.
    pub(super) fn add(&mut self, set: u32, peers: &Peers) {
        if let Some(named) = &peers.named {
            self.named.insert(set, named.clone());
            match &peers.any_of {
                None => self.everyone.entry(named.clone()).or_default().push(set),
                Some(_) if peers.prefixes() > 0 => {
                    *self.in_blocks.entry(named.clone()).or_default() += 1;
                }
                Some(_) => {}
            }
        }
        for peer in peers.any_of.iter().flat_map(|peers| peers.iter()) {
            let Peer::Pods(scope, selector) = peer else {
                continue;
            };
            let key = (scope.clone(), selector.clone());
            let id = match self.atom_ids.get(&key) {
                Some(id) => *id,
                None => {
                    let id = self.atoms.insert(Atom {
                        selector: selector.clone(),
                        sets: Vec::new(),
                    });
                    self.atom_ids.insert(key, id);
                    self.place(scope, selector, id);
                    id
                }
            };
            self.atoms[id].sets.push(set);
        }
    }

    fn place(&mut self, scope: &Scope, selector: &Selector, atom: u32) {
        match scope {
            Scope::Named(namespace) => {
                let index = self.own.entry(namespace.clone()).or_default();
                index.insert(selector, atom);
            }
            Scope::Selected(namespaces) => {
                let id = match self.space_ids.get(namespaces) {
                    Some(id) => *id,
                    None => {
                        let id = self.spaces.insert(Space {
                            selector: namespaces.clone(),
                            index: SelectorIndex::default(),
                            atoms: 0,
                        });
                        self.space_ids.insert(namespaces.clone(), id);
                        self.space_index.insert(namespaces, id);
                        id
                    }
                };
                let space = &mut self.spaces[id];
                space.index.insert(selector, atom);
                space.atoms += 1;
            }
        }
    }

    /// Takes the selectors of a set out.
    pub(super) fn remove(&mut self, set: u32, peers: &Peers) {
        if let Some(named) = self.named.remove(&set) {
            match &peers.any_of {
                None => {
                    if let Some(sets) = self.everyone.get_mut(&named) {
                        sets.retain(|other| *other != set);
                        if sets.is_empty() {
                            self.everyone.remove(&named);
                        }
                    }
                }
                Some(_) if peers.prefixes() > 0 => {
                    if let Some(count) = self.in_blocks.get_mut(&named) {
                        *count -= 1;
                        if *count == 0 {
                            self.in_blocks.remove(&named);
                        }
                    }
                }
                Some(_) => {}
            }
        }
        for peer in peers.any_of.iter().flat_map(|peers| peers.iter()) {
            let Peer::Pods(scope, selector) = peer else {
                continue;
            };
            let key = (scope.clone(), selector.clone());
            let Some(id) = self.atom_ids.get(&key).copied() else {
                continue;
            };
            let atom = &mut self.atoms[id];
            atom.sets.retain(|other| *other != set);
            if atom.sets.is_empty() {
                self.atoms.remove(id);
                self.atom_ids.remove(&key);
                self.displace(scope, selector, id);
            }
        }
    }

    fn displace(&mut self, scope: &Scope, selector: &Selector, atom: u32) {
        match scope {
            Scope::Named(namespace) => {
                if let Some(index) = self.own.get_mut(namespace) {
                    index.remove(selector, atom);
                    if index.is_empty() {
                        self.own.remove(namespace);
                    }
                }
            }
            Scope::Selected(namespaces) => {
                let Some(id) = self.space_ids.get(namespaces).copied() else {
                    return;
                };
                let space = &mut self.spaces[id];
                space.index.remove(selector, atom);
                space.atoms -= 1;
                if space.atoms == 0 {
                    self.spaces.remove(id);
                    self.space_ids.remove(namespaces);
                    self.space_index.remove(namespaces, id);
                }
            }
        }
    }

    /// Whether no pod can be any peer.
    pub(super) fn is_empty(&self) -> bool {
        self.atom_ids.is_empty() && self.everyone.is_empty() && self.in_blocks.is_empty()
    }

    /// Whether pods of a namespace can be, given the namespace selectors that select it.
    pub(super) fn concerns(&self, namespace: &str, spaces: &[u32]) -> bool {
        !spaces.is_empty()
            || self.own.contains_key(namespace)
            || !self.everyone.is_empty()
            || !self.in_blocks.is_empty()
    }

    /// Whether namespaces are told apart by their labels.
    pub(super) fn looks_at_namespaces(&self) -> bool {
        !self.space_ids.is_empty()
    }

    /// The namespaces that are named, if no others matter.
    pub(super) fn only_namespaces(&self) -> Option<impl Iterator<Item = &Arc<str>>> {
        let others =
            self.looks_at_namespaces() || !self.everyone.is_empty() || !self.in_blocks.is_empty();
        (!others).then(|| self.own.keys())
    }

    /// The namespace selectors that select a namespace with these labels; none if it is not known.
    pub(super) fn spaces_of(&self, labels: Option<&Labels>) -> Vec<u32> {
        let mut found = Vec::new();
        if let Some(labels) = labels {
            self.space_index.candidates(labels, |id| {
                if self.spaces[id].selector.matches(labels) {
                    found.push(id);
                }
            });
        }
        found
    }

    /// The sets that a pod is in, in order, given the namespace selectors that select its namespace. Prefixes are
    /// not looked at.
    pub(super) fn sets_of(&self, pod: &ClusterPod, spaces: &[u32]) -> Vec<u32> {
        let mut sets = Vec::new();
        let mut collect = |index: &SelectorIndex<u32>| {
            index.candidates(&pod.labels, |id| {
                let atom = &self.atoms[id];
                if atom.selector.matches(&pod.labels) {
                    sets.extend_from_slice(&atom.sets);
                }
            });
        };
        if let Some(index) = self.own.get(&pod.namespace) {
            collect(index);
        }
        for id in spaces {
            collect(&self.spaces[*id].index);
        }
        if !self.named.is_empty() {
            sets.retain(|set| self.has_name(*set, pod));
            if !self.everyone.is_empty() {
                for named in named_ports(pod) {
                    sets.extend(self.everyone.get(&named).into_iter().flatten());
                }
            }
        }
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    /// Whether a pod has the named port that a set asks for, if it does.
    pub(super) fn has_name(&self, set: u32, pod: &ClusterPod) -> bool {
        self.named.get(&set).is_none_or(|named| has(pod, named))
    }

    /// Whether a set asks for a named port.
    pub(super) fn asks_for_name(&self, set: u32) -> bool {
        self.named.contains_key(&set)
    }

    /// Whether a pod may be in sets of prefixes by its named ports.
    pub(super) fn may_be_named(&self, pod: &ClusterPod) -> bool {
        !self.in_blocks.is_empty() && named_ports(pod).any(|n| self.in_blocks.contains_key(&n))
    }
}
