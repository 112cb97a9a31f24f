//! Properties of the compiler under random histories, and of the pipeline under random packets.

use std::collections::BTreeSet;

use openflow::FlowMod;
use proptest::collection::vec;
use proptest::prelude::*;
use sluice_flows::interpreter::{Tables, Verdict};
use sluice_flows::model::State;
use sluice_flows::{Compiler, Cookie, Flow, FlowKey, Program, compile_all};

use crate::world;

proptest! {
    /// Whatever happens, the patches lead to what the state as a whole compiles to, and say nothing twice.
    #[test]
    fn incremental_equals_full(start in world::state(), history in vec(world::change(), 1..40)) {
        let mut compiler = Compiler::new(start.clone());
        let mut switch = compile_all(&start);
        prop_assert_eq!(&compiler.desired(), &switch);
        for change in history {
            let patch = compiler.apply(change);
            for flow in &patch.flows_set {
                prop_assert_ne!(switch.get(&flow.key), Some((flow.cookie, &*flow.instructions)), "sent for nothing");
            }
            for key in &patch.flows_gone {
                prop_assert!(switch.get(key).is_some(), "{key} is not there");
            }
            patch.apply_to(&mut switch);
            let full = compile_all(compiler.state());
            prop_assert!(switch == full, "incremental:\n{switch}\nfull:\n{full}");
            prop_assert_eq!(compiler.conflicts(), Compiler::new(compiler.state().clone()).conflicts());
        }
    }

    /// A state says everything: the same objects in any order make the same flows and the same conflicts.
    #[test]
    fn history_does_not_matter(history in vec(world::change(), 1..30), end in world::state()) {
        use sluice_flows::model::Change;
        let mut compiler = Compiler::new(State::new(end.local.clone()));
        for change in history {
            compiler.apply(change);
        }
        let gone: Vec<Change> = compiler.state().pods.keys().cloned().map(Change::PodGone)
            .chain(compiler.state().peers.keys().cloned().map(Change::PeerGone)).collect();
        let set = end.pods.values().rev().cloned().map(Change::PodSet)
            .chain(end.peers.values().rev().cloned().map(Change::PeerSet));
        // What stays is set before what goes has gone.
        for change in set.chain(gone) {
            let keep = matches!(&change, Change::PodGone(id) if end.pods.contains_key(id))
                || matches!(&change, Change::PeerGone(name) if end.peers.contains_key(name));
            if !keep {
                compiler.apply(change);
            }
        }
        compiler.apply(Change::Node(end.local.clone()));
        prop_assert_eq!(compiler.state(), &end);
        prop_assert_eq!(compiler.desired(), compile_all(&end));
        prop_assert_eq!(compiler.conflicts(), Compiler::new(end).conflicts());
    }

    /// The text of a program says all of it.
    #[test]
    fn text_reads_back(state in world::state()) {
        let program = compile_all(&state);
        let mut read = Program::default();
        for line in program.to_string().lines() {
            let flow: FlowMod = line.parse().unwrap();
            let key = FlowKey { table: flow.table, priority: flow.priority, match_: flow.match_ };
            let cookie = Cookie::from_u64(flow.cookie).unwrap();
            read.insert(Flow { key, cookie, instructions: flow.instructions.into() });
        }
        prop_assert_eq!(read, program);
    }

    /// Every match is one that a switch accepts.
    #[test]
    fn matches_are_valid(state in world::state()) {
        for (key, ..) in compile_all(&state).flows() {
            prop_assert!(key.match_.validate().is_ok(), "{key}: {:?}", key.match_.validate());
        }
    }

    /// Every packet leaves, or is dropped for a reason, and never by the luck of two equal flows.
    #[test]
    fn every_packet_has_its_verdict(state in world::state(), dice in vec(world::dice(), 50)) {
        let program = compile_all(&state);
        let tables = Tables::from(&program);
        for dice in dice {
            let packet = dice.packet(&state);
            let outcome = tables.run(packet.clone());
            prop_assert!(outcome.trace.iter().all(|step| !step.ambiguous), "{packet}\n{outcome}");
            match &outcome.verdict {
                Verdict::Output(deliveries) => prop_assert_eq!(deliveries.len(), 1),
                Verdict::Dropped(_) => {}
                other => prop_assert!(false, "{packet}: {other:?}\n{outcome}{program}"),
            }
        }
    }

    /// What a pod sends arrives under its own addresses only.
    #[test]
    fn nobody_spoofs(state in world::state(), dice in vec(world::dice(), 50)) {
        use openflow::Field;
        let program = compile_all(&state);
        let tables = Tables::from(&program);
        let infrastructure: BTreeSet<u32> =
            [Some(state.local.gateway.ofport), state.local.tunnel.as_ref().map(|t| t.ofport)].into_iter().flatten().collect();
        for dice in dice {
            let packet = dice.packet(&state);
            let port = packet.get(Field::IN_PORT).to_u32();
            if infrastructure.contains(&port) {
                continue;
            }
            let Verdict::Output(deliveries) = tables.run(packet.clone()).verdict else { continue };
            let pods = || state.pods.values().filter(|p| p.ofport == port && p.mac == packet.get(Field::ETH_SRC).to_mac());
            let owned = |ip: std::net::IpAddr| pods().any(|p| p.ips.contains(&ip));
            let honest = match packet.get(Field::ETH_TYPE).to_u16() {
                0x0800 => owned(packet.get(Field::IPV4_SRC).to_ipv4().into()),
                0x0806 => owned(packet.get(Field::ARP_SPA).to_ipv4().into()),
                // Solicitations of link-local addresses are answered, to the asker alone.
                _ => owned(packet.get(Field::IPV6_SRC).to_ipv6().into()) || deliveries.iter().all(|d| d.port.0 == port),
            };
            prop_assert!(honest, "{packet}");
        }
    }
}
