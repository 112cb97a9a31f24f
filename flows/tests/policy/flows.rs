//! What flows do with a packet, from the first table to the last.
//!
//! Whether a packet is looked up in conntrack is another matter: here every packet that comes so far is judged.

use std::net::IpAddr;

use openflow::{Field, MacAddr, PortNo};
use sluice_flows::interpreter::{Outcome, Packet, Tables, Verdict};
use sluice_flows::model::{Protocol, State};
use sluice_flows::pipeline::Table;
use sluice_flows::{Cookie, DropReason, Flow, FlowKey, Program};

use crate::cluster::{GATEWAY, TUNNEL, mac};

/// One program up to where conntrack is asked, and another from there on.
pub(crate) fn halves(first: &Program, second: &Program) -> Program {
    let part = |program: &Program, before: bool| -> Vec<Flow> {
        let of_part = |table| (table <= Table::ConntrackIn.id()) == before;
        let flows = program.flows().filter(|(key, ..)| of_part(key.table));
        let flow = |(key, cookie, instructions): (&FlowKey, Cookie, &_)| Flow {
            key: key.clone(),
            cookie,
            instructions: <[_]>::to_vec(instructions),
        };
        flows.map(flow).collect()
    };
    let parts = [part(first, true), part(second, false)];
    parts.into_iter().flatten().collect()
}

/// The program with every packet judged, as if it had been looked up in conntrack.
pub(crate) fn judging(program: &Program) -> Program {
    let conntrack = [Table::ConntrackIn.id(), Table::ConntrackState.id()];
    let others = program
        .flows()
        .filter(|(key, ..)| !conntrack.contains(&key.table));
    let mut judging: Program = others
        .map(|(key, cookie, instructions)| Flow {
            key: key.clone(),
            cookie,
            instructions: instructions.to_vec(),
        })
        .collect();
    let text = format!(
        "table={},actions=set_field:0x400/0x400->reg0,goto_table:{}",
        Table::ConntrackIn.id(),
        Table::EgressSubject.id()
    );
    let all: openflow::FlowMod = text.parse().unwrap();
    judging.insert(Flow {
        key: FlowKey {
            table: all.table,
            priority: 0,
            match_: all.match_,
        },
        cookie: Cookie::base(Table::ConntrackIn),
        instructions: all.instructions.to_vec(),
    });
    judging
}

/// A packet from one address to another, by the port that it would come by.
pub(crate) fn packet(
    state: &State,
    from: IpAddr,
    to: IpAddr,
    port: Option<(Protocol, u16)>,
) -> Packet {
    let local = state.pods.values().find(|pod| pod.ips.contains(&from));
    let node = &state.local;
    let of_peer = state
        .peers
        .values()
        .any(|p| p.pod_cidrs.iter().any(|net| net.contains(&from)));
    let (in_port, source) = match local {
        Some(pod) => (pod.ofport, pod.mac),
        None if of_peer => (TUNNEL, mac(99)),
        None => (GATEWAY, node.gateway.mac),
    };
    let mut packet = Packet::new(PortNo(in_port))
        .with(Field::ETH_SRC, source)
        .with(
            Field::ETH_DST,
            MacAddr([0xaa, 0x53, 0x4c, 0x55, 0x49, 0x43]),
        );
    if in_port == TUNNEL {
        let IpAddr::V4(underlay) = state.peers.values().next().unwrap().underlay else {
            panic!("the tunnel is IPv4")
        };
        packet = packet.with(Field::TUN_SRC, underlay);
    }
    packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => packet
            .with(Field::ETH_TYPE, 0x0800u16)
            .with(Field::IPV4_SRC, from)
            .with(Field::IPV4_DST, to),
        (IpAddr::V6(from), IpAddr::V6(to)) => packet
            .with(Field::ETH_TYPE, 0x86ddu16)
            .with(Field::IPV6_SRC, from)
            .with(Field::IPV6_DST, to),
        _ => panic!("{from} and {to} are of different families"),
    };
    let packet = packet.with(Field::NW_TTL, 64u8);
    match port {
        None if from.is_ipv4() => packet
            .with(Field::IP_PROTO, 1u8)
            .with(Field::ICMPV4_TYPE, 8u8),
        None => packet
            .with(Field::IP_PROTO, 58u8)
            .with(Field::ICMPV6_TYPE, 128u8),
        Some((protocol, port)) => {
            let (source, destination) = match protocol {
                Protocol::Tcp => (Field::TCP_SRC, Field::TCP_DST),
                Protocol::Udp => (Field::UDP_SRC, Field::UDP_DST),
                Protocol::Sctp => (Field::SCTP_SRC, Field::SCTP_DST),
            };
            packet
                .with(Field::IP_PROTO, protocol.number())
                .with(source, 40000u16)
                .with(destination, port)
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Allowed,
    DeniedEgress,
    DeniedIngress,
}

pub(crate) fn fate(outcome: &Outcome) -> Fate {
    assert!(
        outcome
            .trace
            .iter()
            .all(|step| !step.ambiguous || is_rule(step.table)),
        "{outcome}"
    );
    match &outcome.verdict {
        Verdict::Output(_) => Fate::Allowed,
        Verdict::Dropped(DropReason::EgressIsolation) => Fate::DeniedEgress,
        Verdict::Dropped(DropReason::IngressIsolation) => Fate::DeniedIngress,
        other => panic!("{other:?}\n{outcome}"),
    }
}

/// Which of several conjunctions is met is arbitrary, and all of them allow.
fn is_rule(table: openflow::TableId) -> bool {
    table == Table::EgressPolicy.id() || table == Table::IngressPolicy.id()
}

/// Runs a packet through the flows of a program that judges all.
pub(crate) fn run(
    tables: &Tables<'_>,
    state: &State,
    from: IpAddr,
    to: IpAddr,
    port: Option<(Protocol, u16)>,
) -> Fate {
    fate(&tables.run(packet(state, from, to, port)))
}
