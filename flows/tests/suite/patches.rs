//! What a change costs, and in which order it is said; conflicts; the difference to a switch.

use openflow::{FlowFlags, FlowModCommand, FlowStats, Message};
use sluice_flows::claims::{Claim, Owner};
use sluice_flows::model::{Change, LocalPod, State};
use sluice_flows::{Compiler, Patch, Program, compile_all, diff};

use crate::fixture::*;

fn kinds(patch: &Patch) -> Vec<FlowModCommand> {
    let kind = |message| match message {
        Message::FlowMod(flow) => flow.command,
        other => panic!("{other:?}"),
    };
    patch.messages().into_iter().map(kind).collect()
}

#[test]
fn a_change_costs_what_changed() {
    let mut compiler = Compiler::new(State::new(node()));
    for n in 0..100u8 {
        compiler.apply(Change::PeerSet(peer(
            n.wrapping_add(100),
            &format!("192.0.2.{n}"),
        )));
    }
    let many = |n: u32| LocalPod {
        id: format!("sandbox-{n}").into(),
        ofport: 2000 + n,
        ips: vec![
            ip(&format!("10.1.{}.{}", n / 250, n % 250)),
            ip(&format!("fd00:1:0:0:1::{n:x}")),
        ],
        ..pod(10)
    };
    for n in 0..1000 {
        assert_eq!(compiler.apply(Change::PodSet(many(n))).len(), 16);
    }
    assert!(
        compiler.apply(Change::PodSet(many(7))).is_empty(),
        "nothing is new"
    );
    let mut moved = many(7);
    moved.mac = mac(77);
    let patch = compiler.apply(Change::PodSet(moved));
    assert_eq!(
        (patch.flows_set.len(), patch.flows_gone.len()),
        (2 + 5, 5),
        "only what names the address"
    );
    let patch = compiler.apply(Change::PodGone(many(8).id));
    assert_eq!((patch.flows_set.len(), patch.flows_gone.len()), (0, 16));
    assert_eq!(compiler.apply(Change::PeerGone("node-100".into())).len(), 3);
    assert!(compiler.apply(Change::PeerGone("nobody".into())).is_empty());
    assert!(compiler.apply(Change::Node(node())).is_empty());
}

#[test]
fn deletions_come_last() {
    let mut compiler = Compiler::new(state());
    let mut pod = pod(10);
    pod.ips = vec![ip("10.0.1.99")];
    let patch = compiler.apply(Change::PodSet(pod));
    let kinds = kinds(&patch);
    let first_deletion = kinds
        .iter()
        .position(|k| *k == FlowModCommand::DeleteStrict)
        .unwrap();
    assert!(
        kinds[..first_deletion]
            .iter()
            .all(|k| *k == FlowModCommand::Add)
    );
    assert!(
        kinds[first_deletion..]
            .iter()
            .all(|k| *k == FlowModCommand::DeleteStrict)
    );
    assert!(first_deletion > 0 && first_deletion < kinds.len());
}

#[test]
fn of_two_pods_with_one_address_the_first_has_it() {
    let mut late = pod(11);
    late.ips = pod(10).ips;
    let mut one = Compiler::new(State::new(node()));
    one.apply(Change::PodSet(pod(10)));
    one.apply(Change::PodSet(late.clone()));
    let mut other = Compiler::new(State::new(node()));
    other.apply(Change::PodSet(late.clone()));
    let patch = other.apply(Change::PodSet(pod(10)));
    assert!(
        !patch.flows_gone.is_empty(),
        "the loser may not send under the address any more"
    );
    assert_eq!(one.desired(), other.desired());

    let conflicts = other.conflicts();
    assert_eq!(conflicts.len(), 2);
    assert_eq!(conflicts[0].claim, Claim::Address(ip("10.0.1.10")));
    assert_eq!(conflicts[0].winner, Owner::Pod(pod(10).id));
    assert_eq!(
        conflicts[0].to_string(),
        "address 10.0.1.10 belongs to pod sandbox-10, also claimed by pod sandbox-11"
    );

    other.apply(Change::PodGone(pod(10).id));
    assert_eq!(other.conflicts(), []);
    let mut alone = State::new(node());
    alone.apply(Change::PodSet(late));
    assert_eq!(other.desired(), compile_all(&alone), "the loser inherits");
}

#[test]
fn the_node_comes_before_pods_and_pods_before_nobody() {
    let mut compiler = Compiler::new(state());
    let mut greedy = pod(10);
    greedy.id = "a".into();
    greedy.ofport = GATEWAY;
    greedy.ips = vec![ip("10.0.1.1")];
    assert!(
        compiler.apply(Change::PodSet(greedy)).is_empty(),
        "port and address are the gateway's"
    );
    let mut thief = peer(4, "192.0.2.2");
    thief.pod_cidrs = node().pod_cidrs;
    assert!(
        compiler.apply(Change::PeerSet(thief)).is_empty(),
        "prefixes and underlay address are taken"
    );
    assert_eq!(compiler.conflicts().len(), 5);
}

#[test]
fn a_new_tunnel_port_concerns_all_peers() {
    let mut compiler = Compiler::new(state());
    let before = compiler.desired();
    let mut node = node();
    node.tunnel.as_mut().unwrap().ofport = 7;
    let patch = compiler.apply(Change::Node(node));
    let mut switch = before;
    patch.apply_to(&mut switch);
    assert_eq!(switch, compile_all(compiler.state()));
}

/// A switch that holds a program, as it would be read back.
fn dump(program: &Program) -> Vec<FlowStats> {
    let read =
        |(key, cookie, instructions): (&sluice_flows::FlowKey, sluice_flows::Cookie, &[_])| {
            FlowStats {
                table: key.table,
                priority: key.priority,
                match_: key.match_.clone(),
                cookie: cookie.to_u64(),
                instructions: instructions.into(),
                duration_sec: 60,
                duration_nsec: 0,
                packet_count: 7,
                byte_count: 700,
                idle_timeout: 0,
                hard_timeout: 0,
                flags: FlowFlags::default(),
            }
        };
    program.flows().map(read).collect()
}

#[test]
fn a_switch_that_is_right_needs_nothing() {
    let program = compile_all(&state());
    assert!(diff(&program, &dump(&program), &[]).is_empty());
    assert_eq!(diff(&program, &[], &[]).flows_set.len(), program.len());
}

#[test]
fn what_is_wrong_is_repaired() {
    let program = compile_all(&state());
    let mut switch = dump(&program);
    switch.remove(3);
    switch[5].cookie ^= 1;
    switch[7].instructions.clear();
    switch[9].idle_timeout = 10;
    let patch = diff(&program, &switch, &[]);
    assert_eq!((patch.flows_set.len(), patch.flows_gone.len()), (4, 0));
}

#[test]
fn our_own_stale_flows_go_and_foreign_ones_stay() {
    let program = compile_all(&state());
    let mut more = state();
    more.apply(Change::PodSet(pod(12)));
    let mut switch = dump(&compile_all(&more));
    let foreign = FlowStats {
        priority: 7,
        cookie: 0xabcd,
        ..switch[0].clone()
    };
    switch.push(foreign);
    let patch = diff(&program, &switch, &[]);
    assert_eq!((patch.flows_set.len(), patch.flows_gone.len()), (0, 16));

    // Unless it sits where one of ours belongs.
    let mut switch = dump(&program);
    switch[0].cookie = 0xabcd;
    assert_eq!(diff(&program, &switch, &[]).flows_set.len(), 1);
}
