//! From what is, and what was, to flows and patches.

use std::collections::{BTreeMap, BTreeSet};

use super::Direction;
use super::engine::Engine;
use crate::claims::{Claim, Claims, Owner};
use crate::cookie::Cookie;
use crate::flow::{Flow, FlowKey, Program};
use crate::fragment::Fragment;
use crate::patch::Patch;
use crate::pipeline::Table;
use crate::tables::policy as table;

impl Engine {
    pub(super) fn wanted_ports(&self, claims: &Claims) -> BTreeMap<u32, (Cookie, [u32; 2])> {
        let mut ports = BTreeMap::new();
        for (id, local) in &self.locals {
            let owns = claims.winner(&Claim::Port(local.ofport)) == Some(&Owner::Pod(id.clone()));
            if owns && local.subjects != [None; 2] {
                let number = |direction: Direction| {
                    let index = direction.index();
                    // Without a number nothing is allowed: no flow has this one.
                    let number = |s| self.sides[index].subject_number(s).unwrap_or(u32::MAX);
                    local.subjects[index].map_or(0, number)
                };
                ports.insert(local.ofport, (Cookie::pod(id), Direction::ALL.map(number)));
            }
        }
        ports
    }

    pub(super) fn settle_ports(&mut self, claims: &Claims, patch: &mut Patch) {
        if !std::mem::take(&mut self.ports_dirty) {
            return;
        }
        let wanted = self.wanted_ports(claims);
        let flows = |of: Option<&(Cookie, [u32; 2])>, port| {
            of.map(|subjects| port_flows(port, *subjects))
                .unwrap_or_default()
        };
        let ports: BTreeSet<u32> = self.ports.keys().chain(wanted.keys()).copied().collect();
        for port in ports {
            let before = flows(self.ports.get(&port), port);
            let after = flows(wanted.get(&port), port);
            let is_after = |key: &FlowKey| after.iter().any(|flow| flow.key == *key);
            let gone = before.iter().map(|flow| flow.key.clone());
            patch.flows_gone.extend(gone.filter(|key| !is_after(key)));
            let set = after.into_iter().filter(|flow| !before.contains(flow));
            patch.flows_set.extend(set);
        }
        self.ports = wanted;
    }

    pub(super) fn flows_of_changes(&mut self, patch: &mut Patch) {
        for side in &mut self.sides {
            let (direction, families) = (side.direction, self.families);
            side.changed.shrunk.clear();
            for (key, before) in std::mem::take(&mut side.changed.table) {
                match side.table.get(&key) {
                    Some(value) if before.as_ref() == Some(value) => {}
                    Some(value) => {
                        let flows = |v| with(|f| table::rule(direction, families, &key, v, f));
                        let old = before.as_ref().map(flows).unwrap_or_default();
                        let new = flows(value).into_iter();
                        patch
                            .flows_set
                            .extend(new.filter(|flow| !old.contains(flow)));
                    }
                    None => {
                        if let Some(before) = before {
                            let flows =
                                with(|f| table::rule(direction, families, &key, &before, f));
                            patch
                                .flows_gone
                                .extend(flows.into_iter().map(|flow| flow.key));
                        }
                    }
                }
            }
            for (net, before) in std::mem::take(&mut side.changed.nodes) {
                let after = side.prefixes.get(&net).and_then(|node| node.emitted);
                match after {
                    Some(class) if before != after => patch
                        .flows_set
                        .extend(with(|f| table::class(direction, net, class, f))),
                    None if before.is_some() => {
                        let flows = with(|f| table::class(direction, net, 0, f));
                        patch
                            .flows_gone
                            .extend(flows.into_iter().map(|flow| flow.key));
                    }
                    _ => {}
                }
            }
        }
        patch.flows_set.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        patch.flows_gone.sort_unstable();
    }

    /// Every flow of policy, but for those that each node has.
    pub(crate) fn flows(&self, mut take: impl FnMut(Flow)) {
        for side in &self.sides {
            for (key, value) in &side.table {
                with(|f| table::rule(side.direction, self.families, key, value, f))
                    .into_iter()
                    .for_each(&mut take);
            }
            for (net, node) in side.prefixes.iter() {
                if let Some(class) = node.emitted {
                    with(|f| table::class(side.direction, *net, class, f))
                        .into_iter()
                        .for_each(&mut take);
                }
            }
        }
        for (port, subjects) in &self.ports {
            port_flows(*port, *subjects).into_iter().for_each(&mut take);
        }
    }

    pub(super) fn program(&self) -> Program {
        let mut program = Program::default();
        self.flows(|flow| {
            program.insert(flow);
        });
        program
    }
}

fn port_flows(port: u32, (cookie, subjects): (Cookie, [u32; 2])) -> Vec<Flow> {
    let mut fragment = Fragment::new(cookie);
    table::pod(port, subjects, &mut fragment);
    fragment.flows
}

fn with(write: impl FnOnce(&mut Fragment)) -> Vec<Flow> {
    let mut fragment = Fragment::new(Cookie::base(Table::EgressSubject));
    write(&mut fragment);
    fragment.flows
}
