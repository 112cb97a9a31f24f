//! From a policy to the rules that it holds on each side.

use std::collections::HashSet;
use std::sync::Arc;

use super::content::{RuleContent, egress_rules, ingress_rule, names};
use super::engine::Engine;
use crate::model::{Policy, Protocol, State};

/// A policy of more prefixes than this is not compiled.
const MAX_PREFIXES: usize = 200_000;
/// Nor is one of more matches on ports.
const MAX_PORTS: usize = 20_000;

impl Engine {
    /// Has a policy hold the rules that it has now.
    pub(super) fn expand(&mut self, id: u32, state: &State) {
        let Some(entry) = self.policies.get(id) else {
            return;
        };
        let (policy, users) = (entry.policy.clone(), entry.users);
        self.use_names(id, &policy, users > 0, state);
        let (mut rules, mut fault) = <([Vec<RuleContent>; 2], Option<String>)>::default();
        if users > 0 {
            rules = [self.egress_of(&policy), ingress_of(&policy)];
            fault = too_much(&rules);
            if fault.is_some() {
                rules = Default::default();
            }
        }
        for (side, rules) in self.sides.iter_mut().zip(rules) {
            let held = rules.into_iter().map(|rule| side.hold_rule(rule)).collect();
            let entry = &mut self.policies[id];
            let released = std::mem::replace(&mut entry.rules[side.direction.index()], held);
            released.into_iter().for_each(|rule| side.drop_rule(rule));
        }
        let entry = &mut self.policies[id];
        entry.fault = fault;
        let ingress = policy.ingress.iter().flatten();
        entry.has_names = ingress.flat_map(names).next().is_some();
    }

    fn egress_of(&self, policy: &Policy) -> Vec<RuleContent> {
        let numbers = |name: &Arc<str>, protocol| {
            let name = self.names.get(&(name.clone(), protocol));
            name.into_iter()
                .flat_map(|name| name.counts.keys().copied())
                .collect()
        };
        let rules = policy.egress.iter().flatten();
        rules
            .flat_map(|rule| egress_rules(policy, rule, numbers))
            .collect()
    }

    /// What outgoing rules of a policy come to now.
    pub(super) fn egress_rule(&self, policy: &Policy, index: usize) -> Vec<RuleContent> {
        let only = Policy {
            egress: policy
                .egress
                .as_ref()
                .map(|rules| rules.get(index).cloned().into_iter().collect()),
            ..policy.clone()
        };
        self.egress_of(&only)
    }

    /// Counts the numbers of the names that the outgoing rules of a policy use, and of no others.
    fn use_names(&mut self, id: u32, policy: &Policy, used: bool, state: &State) {
        let wanted: HashSet<(Arc<str>, Protocol)> = policy
            .egress
            .iter()
            .flatten()
            .filter(|_| used)
            .flat_map(names)
            .map(|(name, protocol)| (name.clone(), protocol))
            .collect();
        self.names.retain(|key, name| {
            if !wanted.contains(key) {
                name.policies.remove(&id);
            }
            !name.policies.is_empty()
        });
        let mut new = Vec::new();
        for key in wanted {
            let name = self.names.entry(key.clone()).or_default();
            if name.policies.is_empty() {
                new.push(key);
            }
            name.policies.insert(id);
        }
        if new.is_empty() {
            return;
        }
        for pod in state.cluster_pods.iter() {
            for port in pod.ports.iter() {
                let key = (port.name.clone(), port.protocol);
                if new.contains(&key) {
                    let name = self.names.entry(key).or_default();
                    *name.counts.entry(port.port).or_default() += 1;
                }
            }
        }
    }
}

/// Incoming rules that are the same for every pod.
fn ingress_of(policy: &Policy) -> Vec<RuleContent> {
    let rules = policy.ingress.iter().flatten();
    let plain = rules.filter(|rule| names(rule).next().is_none());
    plain
        .filter_map(|rule| ingress_rule(policy, rule, |_, _| Vec::new()))
        .collect()
}

/// Why a policy is too much.
fn too_much(rules: &[Vec<RuleContent>; 2]) -> Option<String> {
    let rules = || rules.iter().flatten();
    let prefixes: usize = rules()
        .filter_map(|r| r.peers.as_ref())
        .map(|p| p.prefixes())
        .sum();
    if prefixes > MAX_PREFIXES {
        return Some(format!(
            "it has {prefixes} prefixes, and {MAX_PREFIXES} is the most"
        ));
    }
    let ports = rules().filter_map(|r| r.ports.as_ref());
    let ports: usize = ports.map(|ports| ports.matches().len()).sum();
    let text = || format!("it takes {ports} matches on ports, and {MAX_PORTS} is the most");
    (ports > MAX_PORTS).then(text)
}
