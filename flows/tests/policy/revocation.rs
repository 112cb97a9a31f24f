//! Connections that policy takes back: the drop that marks them, replies that stop, and what passes for a moment.

use openflow::{Field, FlowMod};
use sluice_flows::interpreter::{Packet, Tables, Verdict, World};
use sluice_flows::model::{Change, Policy, Protocol, State};
use sluice_flows::pipeline::{CT_BLOCKED, ZONE_TRACK};
use sluice_flows::{
    Compiler, Cookie, Direction, DropReason, Flow, FlowKey, Patch, Program, Revoked,
};

use crate::cluster::*;
use crate::flows::packet;

fn shop() -> State {
    let mut state = state();
    state.apply(namespace("shop", &[]));
    let web = pod("shop/web", &["10.0.0.1"], &[("app", "web")]);
    state.apply(Change::PodSet(local(&web, 10)));
    state.apply(set(web));
    state.apply(set(pod("shop/client", &["10.1.0.1"], &[("app", "client")])));
    state.apply(set(pod("shop/other", &["10.1.0.2"], &[("app", "other")])));
    state
}

fn only_from(who: &str) -> Policy {
    let mut policy = policy("shop/p", selector(&["app=web"]));
    policy.ingress = Some(vec![rule(vec![pods(&[who])], vec![])]);
    policy
}

fn send(program: &Program, world: &mut World, packet: &Packet) -> Option<DropReason> {
    let outcome = Tables::from(program).run_in(world, packet.clone());
    match outcome.verdict {
        Verdict::Output(_) => None,
        Verdict::Dropped(reason) => Some(reason),
        ref other => panic!("{other:?}\n{outcome}"),
    }
}

/// A packet of a connection from a port of clients to one of servers, or the other way.
fn to_server(state: &State, from: &str, to: &str, protocol: Protocol, flags: u16) -> Packet {
    let packet = packet(state, ip(from), ip(to), Some((protocol, 80)));
    match protocol {
        Protocol::Tcp => packet.with(Field::TCP_FLAGS, flags),
        _ => packet,
    }
}

fn to_client(state: &State, from: &str, to: &str, protocol: Protocol, flags: u16) -> Packet {
    let packet = packet(state, ip(from), ip(to), Some((protocol, 40000)));
    match protocol {
        Protocol::Tcp => packet
            .with(Field::TCP_SRC, 80u16)
            .with(Field::TCP_FLAGS, flags),
        _ => packet.with(Field::UDP_SRC, 80u16),
    }
}

const CLIENT: &str = "10.1.0.1";
const WEB: &str = "10.0.0.1";
const SYN: u16 = 0x002;
const SYN_ACK: u16 = 0x012;
const ACK: u16 = 0x010;
const DENIED: Option<DropReason> = Some(DropReason::IngressIsolation);

/// The program with what is there for the moment, as long as that is no longer than this many seconds ago.
fn for_now(program: &Program, patch: &Patch, seconds: u16) -> Program {
    let mut all = program.clone();
    for flow in &patch.passing {
        if flow.hard_timeout == 0 || flow.hard_timeout > seconds {
            all.insert(passing(flow));
        }
    }
    all
}

/// A flow that goes by itself, as one of the program.
pub(crate) fn passing(flow: &FlowMod) -> Flow {
    Flow {
        key: FlowKey {
            table: flow.table,
            priority: flow.priority,
            match_: flow.match_.clone(),
        },
        cookie: Cookie::from_u64(flow.cookie).unwrap(),
        instructions: flow.instructions.to_vec(),
    }
}

#[test]
fn a_connection_stops_both_ways_and_resumes() {
    let mut state = shop();
    state.apply(set_policy(&only_from("app=client")));
    let mut compiler = Compiler::new(state.clone());
    let mut world = World::default();
    let (there, back) = (
        to_server(&state, CLIENT, WEB, Protocol::Tcp, ACK),
        to_client(&state, WEB, CLIENT, Protocol::Tcp, ACK),
    );
    let open = compiler.desired();
    let syn = to_server(&state, CLIENT, WEB, Protocol::Tcp, SYN);
    let answer = to_client(&state, WEB, CLIENT, Protocol::Tcp, SYN_ACK);
    for packet in [&syn, &answer, &there, &back] {
        assert_eq!(send(&open, &mut world, packet), None);
    }

    let patch = compiler.apply(set_policy(&only_from("app=other")));
    let ip_of_web = vec![ip(WEB)];
    let id = local(&pod("shop/web", &[], &[]), 10).id;
    let revoked = Revoked::Pod {
        pod: id,
        ips: ip_of_web,
        direction: Direction::Ingress,
    };
    assert_eq!(patch.revoked, [revoked]);
    let closed = for_now(&compiler.desired(), &patch, 0);
    assert_eq!(send(&closed, &mut world, &there), DENIED);
    let mark = |world: &World| {
        let all = world
            .conntrack
            .connections()
            .filter(|c| c.zone == ZONE_TRACK);
        all.map(|c| c.mark & CT_BLOCKED).collect::<Vec<_>>()
    };
    assert_eq!(mark(&world), [CT_BLOCKED]);
    assert_eq!(
        send(&closed, &mut world, &back),
        Some(DropReason::BlockedConnection)
    );

    let patch = compiler.apply(set_policy(&only_from("app=client")));
    assert!(!patch.revoked.is_empty(), "another rule in place of one");
    let open = compiler.desired();
    assert_eq!(
        send(&open, &mut world, &back),
        Some(DropReason::BlockedConnection),
        "until the client speaks"
    );
    assert_eq!(send(&open, &mut world, &there), None);
    assert_eq!(mark(&world), [0]);
    assert_eq!(send(&open, &mut world, &back), None);
}

/// A stranger's first packet leaves nothing behind.
#[test]
fn what_is_denied_from_the_start_is_not_remembered() {
    let mut state = shop();
    state.apply(set_policy(&only_from("app=other")));
    let program = Compiler::new(state.clone()).desired();
    let mut world = World::default();
    for protocol in Protocol::ALL {
        let packet = to_server(&state, CLIENT, WEB, protocol, SYN);
        assert_eq!(send(&program, &mut world, &packet), DENIED);
    }
    assert_eq!(world.conntrack.connections().count(), 0);
}

/// The server speaks first after it was isolated: it passes unseen, so that its client is not taken for the server.
#[test]
fn isolation_of_a_plain_pod_does_not_turn_its_connections_round() {
    for (who, protocol) in [
        ("app=client", Protocol::Tcp),
        ("app=client", Protocol::Udp),
        ("app=other", Protocol::Tcp),
        ("app=other", Protocol::Udp),
    ] {
        let state = shop();
        let mut compiler = Compiler::new(state.clone());
        let mut world = World::default();
        let (there, back) = (
            to_server(&state, CLIENT, WEB, protocol, ACK),
            to_client(&state, WEB, CLIENT, protocol, ACK),
        );
        let plain = compiler.desired();
        for packet in [&there, &back] {
            assert_eq!(send(&plain, &mut world, packet), None);
        }
        assert_eq!(world.conntrack.connections().count(), 0);

        let patch = compiler.apply(set_policy(&only_from(who)));
        assert!(
            patch
                .passing
                .iter()
                .all(|flow| flow.match_.validate().is_ok())
        );
        assert!(
            patch.passing.iter().all(|flow| flow.hard_timeout > 0),
            "they go by themselves"
        );
        let kinds = patch
            .passing
            .iter()
            .map(|flow| Cookie::from_u64(flow.cookie).unwrap().kind());
        assert!(
            kinds
                .into_iter()
                .all(|kind| kind.is_some_and(|kind| !kind.is_compiled()))
        );
        let now = for_now(&compiler.desired(), &patch, 0);
        let later = for_now(&compiler.desired(), &patch, 2);
        assert_eq!(send(&now, &mut world, &back), None, "{who} {protocol}");
        assert_eq!(world.conntrack.connections().count(), 0, "unseen");
        let allowed = who == "app=client";
        // The client is judged as one.
        let verdict = if allowed { None } else { DENIED };
        assert_eq!(send(&now, &mut world, &there), verdict, "{who} {protocol}");
        assert_eq!(
            send(&later, &mut world, &there),
            verdict,
            "{who} {protocol}"
        );
        if allowed {
            assert_eq!(send(&later, &mut world, &back), None, "{who} {protocol}");
        } else if protocol == Protocol::Udp {
            // It goes on without a word from its client: not for long.
            assert_eq!(send(&later, &mut world, &back), DENIED, "{who} {protocol}");
        }
    }
}

/// What the server of a pod that is isolated for both sends for a moment, and a stranger may not use.
#[test]
fn what_passes_unseen_opens_nothing() {
    let state = shop();
    let mut compiler = Compiler::new(state.clone());
    let mut policy = only_from("app=other");
    policy.egress = Some(vec![]);
    let patch = compiler.apply(set_policy(&policy));
    let now = for_now(&compiler.desired(), &patch, 0);
    let mut world = World::default();
    let send = |packet: Packet, world: &mut World| send(&now, world, &packet);
    assert_eq!(
        send(
            to_server(&state, CLIENT, WEB, Protocol::Tcp, SYN),
            &mut world
        ),
        DENIED
    );
    assert_eq!(
        send(to_server(&state, CLIENT, WEB, Protocol::Udp, 0), &mut world),
        DENIED
    );
    let out = Some(DropReason::EgressIsolation);
    assert_eq!(
        send(
            to_server(&state, WEB, CLIENT, Protocol::Tcp, SYN),
            &mut world
        ),
        out
    );
    assert_eq!(
        send(
            to_client(&state, WEB, CLIENT, Protocol::Tcp, SYN),
            &mut world
        ),
        out
    );
}

#[test]
fn more_is_no_revocation() {
    let mut state = shop();
    state.apply(set_policy(&only_from("app=client")));
    let mut compiler = Compiler::new(state);
    let mut more = only_from("app=client");
    more.ingress
        .as_mut()
        .unwrap()
        .push(rule(vec![pods(&["app=other"])], vec![]));
    let patch = compiler.apply(set_policy(&more));
    assert!(patch.revoked.is_empty() && patch.passing.is_empty());
    let patch = compiler.apply(Change::PolicyGone(more.id));
    assert!(
        patch.revoked.is_empty() && patch.passing.is_empty(),
        "isolated no more"
    );
}

#[test]
fn a_peer_that_is_none_any_more_is_named() {
    let mut state = shop();
    state.apply(set_policy(&only_from("app=client")));
    let mut compiler = Compiler::new(state);
    let relabelled = pod("shop/client", &[CLIENT], &[("app", "former-client")]);
    let patch = compiler.apply(set(relabelled));
    let peer = Revoked::Peer {
        addresses: ip(CLIENT).into(),
        direction: Direction::Ingress,
    };
    assert_eq!(patch.revoked, std::slice::from_ref(&peer));
    assert_eq!(patch.passing.len(), 2);
    compiler.apply(set(pod("shop/client", &[CLIENT], &[("app", "client")])));
    let patch = compiler.apply(Change::ClusterPodGone("shop".into(), "client".into()));
    assert_eq!((patch.revoked, patch.passing.len()), (vec![peer], 0));
}
