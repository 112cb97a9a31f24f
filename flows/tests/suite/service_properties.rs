//! Properties of Services under random histories.

use std::collections::HashSet;

use openflow::{FlowFlags, FlowStats};
use proptest::collection::vec;
use proptest::prelude::*;
use sluice_flows::model::{Change, Protocol, State, TrafficPolicy};
use sluice_flows::service::Choice;
use sluice_flows::{Compiler, Program, compile_all, diff};

use crate::service_world;

/// A switch that holds a program, as it would be read back.
pub(crate) fn dump(program: &Program) -> Vec<FlowStats> {
    let flows = program.flows();
    let flow = flows.map(|(key, cookie, instructions)| FlowStats {
        table: key.table,
        priority: key.priority,
        match_: key.match_.clone(),
        cookie: cookie.to_u64(),
        instructions: instructions.to_vec().into(),
        duration_sec: 0,
        duration_nsec: 0,
        packet_count: 0,
        byte_count: 0,
        idle_timeout: 0,
        hard_timeout: 0,
        flags: FlowFlags::default(),
    });
    flow.collect()
}

const SCOPES: [TrafficPolicy; 2] = [TrafficPolicy::Cluster, TrafficPolicy::Local];

/// Every endpoint has an index and no two have the same.
fn slots_are_valid(state: &State) {
    for port in state.services.values() {
        for scope in SCOPES {
            let slots = state.memory.slots(&port.id, scope);
            let there: HashSet<_> = slots.iter().map(|(_, backend)| backend).collect();
            assert_eq!(there.len(), slots.live(), "{slots:?}");
            let wanted = match scope {
                TrafficPolicy::Cluster => &port.cluster,
                TrafficPolicy::Local => &port.local,
            };
            assert!(
                there.is_empty() || there == wanted.iter().copied().collect(),
                "{slots:?}"
            );
            let affinity = port.affinity.is_some();
            let holes = slots.shape() - slots.live();
            assert!(affinity || holes * 2 <= slots.shape(), "{slots:?}");
            assert_eq!(
                Choice::of(slots.shape(), affinity) == Choice::Nothing,
                slots.live() == 0
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// As for everything else, the patches lead to what the state as a whole compiles to.
    #[test]
    fn incremental_equals_full(node in service_world::node(), history in vec(service_world::change(), 1..40)) {
        let start = State::new(node);
        let mut compiler = Compiler::new(start.clone());
        let mut switch = compile_all(&start);
        for change in history {
            let patch = compiler.apply(change);
            for flow in &patch.flows_set {
                prop_assert_ne!(switch.get(&flow.key), Some((flow.cookie, &*flow.instructions)), "sent for nothing");
            }
            let mut gone = HashSet::new();
            for key in &patch.flows_gone {
                prop_assert!(switch.get(key).is_some(), "{key} is not there");
                prop_assert!(gone.insert(key), "{key} goes twice");
                prop_assert!(patch.flows_set.iter().all(|flow| flow.key != *key), "{key} comes and goes");
            }
            patch.apply_to(&mut switch);
            let full = compile_all(compiler.state());
            prop_assert!(switch == full, "incremental:\n{switch}\nfull:\n{full}");
            prop_assert_eq!(compiler.conflicts(), Compiler::new(compiler.state().clone()).conflicts());
            slots_are_valid(compiler.state());
        }
    }

    /// An agent that starts where another one has stopped finds everything as it wants it.
    #[test]
    fn a_restart_changes_nothing(node in service_world::node(), history in vec(service_world::change(), 1..40)) {
        let mut compiler = Compiler::new(State::new(node));
        for change in history {
            compiler.apply(change);
        }
        let state = compiler.state();
        let switch = dump(&compiler.desired());
        let mut fresh = State::new(state.local.clone());
        let peers = state.peers.values().cloned().map(Change::PeerSet);
        let pods = state.pods.values().cloned().map(Change::PodSet);
        let services = state.services.values().cloned().map(Change::ServiceSet);
        for change in peers.chain(pods).chain(services) {
            fresh.apply(change);
        }
        let mut again = Compiler::new(fresh);
        again.adopt(&switch);
        slots_are_valid(again.state());
        let patch = diff(&again.desired(), &switch, &[]);
        prop_assert!(patch.is_empty(), "{patch:#?}");
    }

    /// What happens to a Service while the agent is away, it makes good, and no endpoint that stayed has moved.
    #[test]
    fn a_restart_moves_nobody(
        node in service_world::node(),
        history in vec(service_world::change(), 1..20),
        meanwhile in vec(service_world::change(), 1..5),
    ) {
        let mut compiler = Compiler::new(State::new(node));
        for change in history {
            compiler.apply(change);
        }
        let before = compiler.state().clone();
        let switch = dump(&compiler.desired());
        let mut fresh = State::new(before.local.clone());
        for port in before.services.values().cloned() {
            fresh.apply(Change::ServiceSet(port));
        }
        for change in meanwhile {
            fresh.apply(change);
        }
        let mut again = Compiler::new(fresh);
        again.adopt(&switch);
        slots_are_valid(again.state());
        let after = again.state();
        for (id, port) in &after.services {
            let (was, is) = (before.memory.slots(id, TrafficPolicy::Cluster), after.memory.slots(id, TrafficPolicy::Cluster));
            if is.shape() >= was.shape() {
                for (index, backend) in was.iter() {
                    let there = port.cluster.contains(&backend) && is.live() > 0;
                    prop_assert!(!there || is.get(index.into()) == Some(backend), "{was:?}\n{is:?}");
                }
            }
        }
    }

    /// What the switch learned of an endpoint goes with it, and so does what conntrack knows of it.
    #[test]
    fn what_goes_is_forgotten(node in service_world::node(), history in vec(service_world::change(), 1..40)) {
        let mut compiler = Compiler::new(State::new(node));
        let taught = |program: &Program| -> HashSet<u64> {
            let actions = program.flows().flat_map(|(.., instructions)| instructions.to_vec());
            let text: Vec<String> = actions.map(|i| i.to_string()).collect();
            let cookies = text.iter().flat_map(|t| t.split("learn(").skip(1));
            cookies.map(|t| {
                let (_, rest) = t.split_once("cookie=0x").unwrap();
                u64::from_str_radix(rest.split(',').next().unwrap(), 16).unwrap()
            }).collect()
        };
        for change in history {
            let before = compiler.state().clone();
            let had = taught(&compiler.desired());
            let patch = compiler.apply(change.clone());
            if matches!(change, Change::Node(_)) {
                continue;
            }
            let forgotten: HashSet<u64> = patch.forgotten.iter().map(|c| c.to_u64()).collect();
            prop_assert_eq!(forgotten.len(), patch.forgotten.len());
            let has = taught(&compiler.desired());
            prop_assert!(had.difference(&has).all(|c| forgotten.contains(c)), "{patch:#?}");
            prop_assert!(forgotten.iter().all(|c| !has.contains(c)));
            for sluice_flows::Released {
                protocol, backend, ..
            } in &patch.released
            {
                prop_assert_ne!(*protocol, Protocol::Tcp);
                let was = before.services.values();
                let was = was.clone().any(|p| p.cluster.contains(backend) || p.local.contains(backend));
                prop_assert!(was);
            }
        }
    }
}
