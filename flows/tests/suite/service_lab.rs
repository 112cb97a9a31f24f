//! A switch in which connections to Services happen, packet by packet.

use std::net::IpAddr;

use openflow::{Field, MacAddr, PortNo};
use sluice_flows::interpreter::{Delivery, Packet, Tables, Verdict, World};
use sluice_flows::model::{Protocol, State};
use sluice_flows::{Program, compile_all};

use crate::fixture::{self, GATEWAY, GATEWAY_MAC, TUNNEL, ip, mac, packet};

pub(crate) const SYN: u16 = 2;
pub(crate) const SYN_ACK: u16 = 0x12;
pub(crate) const ACK: u16 = 0x10;

/// A switch in which connections happen.
pub(crate) struct Lab {
    pub(crate) program: Program,
    pub(crate) world: World,
}

impl Lab {
    pub(crate) fn new(state: &State) -> Self {
        Self {
            program: compile_all(state),
            world: World::default(),
        }
    }

    pub(crate) fn verdict(&mut self, packet: Packet) -> Verdict {
        let packet = match packet.get(Field::TCP_FLAGS).to_u16() {
            0 if packet.get(Field::IP_PROTO).to_u8() == 6 => packet.with(Field::TCP_FLAGS, SYN),
            _ => packet,
        };
        let outcome = Tables::from(&self.program).run_in(&mut self.world, packet);
        assert!(
            outcome.trace.iter().all(|step| !step.ambiguous),
            "{outcome}"
        );
        outcome.verdict
    }

    #[track_caller]
    pub(crate) fn send(&mut self, packet: Packet) -> Delivery {
        let text = packet.to_string();
        let outcome = Tables::from(&self.program).run_in(&mut self.world, packet);
        match outcome.verdict.clone() {
            Verdict::Output(mut deliveries) if deliveries.len() == 1 => deliveries.remove(0),
            other => panic!("{text}: {other:?}\n{outcome}"),
        }
    }

    /// Makes a TCP connection and says how often its first packet, a later one and a reply go around; and who talks to
    /// whom at the far end, and from which port of the switch.
    #[track_caller]
    pub(crate) fn connect(&mut self, syn: Packet) -> Connection {
        let first = self.send(flags(syn.clone(), SYN));
        let reply = self.send(answer(&first, SYN_ACK));
        let (source, destination) = ends(&syn);
        assert_eq!(
            ends(&reply.packet),
            (destination, source),
            "the reply is un-translated"
        );
        assert_eq!(reply.port, PortNo(syn.get(Field::IN_PORT).to_u32()));
        let later = self.send(flags(syn, ACK));
        let same = |d: &Delivery| (d.port, ends(&d.packet));
        assert_eq!(same(&later), same(&first));
        let (from, to) = ends(&first.packet);
        Connection {
            around: [
                first.recirculations,
                later.recirculations,
                reply.recirculations,
            ],
            port: first.port.0,
            from,
            to,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) around: [u32; 3],
    pub(crate) port: u32,
    pub(crate) from: (IpAddr, u16),
    pub(crate) to: (IpAddr, u16),
}

pub(crate) fn addresses(packet: &Packet) -> (IpAddr, IpAddr) {
    if packet.get(Field::ETH_TYPE).to_u16() == 0x0800 {
        let get = |field| IpAddr::V4(packet.get(field).to_ipv4());
        (get(Field::IPV4_SRC), get(Field::IPV4_DST))
    } else {
        let get = |field| IpAddr::V6(packet.get(field).to_ipv6());
        (get(Field::IPV6_SRC), get(Field::IPV6_DST))
    }
}

pub(crate) fn port_fields(packet: &Packet) -> (Field, Field) {
    match packet.get(Field::IP_PROTO).to_u8() {
        6 => (Field::TCP_SRC, Field::TCP_DST),
        17 => (Field::UDP_SRC, Field::UDP_DST),
        132 => (Field::SCTP_SRC, Field::SCTP_DST),
        other => panic!("protocol {other}"),
    }
}

pub(crate) fn ends(packet: &Packet) -> ((IpAddr, u16), (IpAddr, u16)) {
    let ((source, destination), (from, to)) = (addresses(packet), port_fields(packet));
    (
        (source, packet.get(from).to_u16()),
        (destination, packet.get(to).to_u16()),
    )
}

pub(crate) fn flags(packet: Packet, flags: u16) -> Packet {
    if packet.get(Field::IP_PROTO).to_u8() == 6 {
        packet.with(Field::TCP_FLAGS, flags)
    } else {
        packet
    }
}

/// What the one who got this answers.
pub(crate) fn answer(delivery: &Delivery, tcp_flags: u16) -> Packet {
    let got = &delivery.packet;
    let ((from, from_port), (to, to_port)) = ends(got);
    let (port, source) = match delivery.port.0 {
        GATEWAY => (GATEWAY, GATEWAY_MAC),
        TUNNEL => (TUNNEL, mac(99)),
        port => (
            port,
            MacAddr([0x0a, 0, 0, 0, 0, u8::try_from(port).unwrap()]),
        ),
    };
    let mut reply = packet(port, source, &to.to_string(), &from.to_string())
        .with(Field::IP_PROTO, got.get(Field::IP_PROTO).to_u8());
    if port == TUNNEL {
        reply = reply.with(Field::TUN_SRC, got.get(Field::TUN_DST).to_ipv4());
    }
    let (source, destination) = port_fields(&reply);
    flags(
        reply.with(source, to_port).with(destination, from_port),
        tcp_flags,
    )
}

pub(crate) fn transport(packet: Packet, protocol: Protocol, from: u16, to: u16) -> Packet {
    let packet = packet.with(Field::IP_PROTO, protocol.number());
    let (source, destination) = port_fields(&packet);
    packet.with(source, from).with(destination, to)
}

pub(crate) fn of_pod(to: &str, port: u16) -> Packet {
    transport(fixture::of_pod(to), Protocol::Tcp, 40_000, port)
}

pub(crate) fn of_host(from: &str, to: &str, port: u16) -> Packet {
    transport(
        packet(GATEWAY, GATEWAY_MAC, from, to),
        Protocol::Tcp,
        40_000,
        port,
    )
}

pub(crate) const OUTSIDE: &str = "198.51.100.7";
pub(crate) const POD: &str = "10.0.1.10";
pub(crate) const HOST: &str = "10.0.1.1";

pub(crate) fn at(address: &str, port: u16) -> (IpAddr, u16) {
    (ip(address), port)
}
