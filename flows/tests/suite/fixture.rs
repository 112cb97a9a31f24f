//! One node with everything on it, for tests that spell their cases out.

use std::net::IpAddr;

use openflow::{Field, MacAddr, PortNo};
use sluice_flows::interpreter::Packet;
use sluice_flows::model::{
    Capabilities, Change, Gateway, LocalNode, LocalPod, Peer, PodId, State, Tunnel, TunnelKind, Uid,
};

pub(crate) const TUNNEL: u32 = 1;
pub(crate) const GATEWAY: u32 = 2;
pub(crate) const GATEWAY_MAC: MacAddr = mac(2);

pub(crate) const fn mac(n: u8) -> MacAddr {
    MacAddr([0x0a, 0, 0, 0, 0, n])
}

pub(crate) fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

pub(crate) fn node() -> LocalNode {
    LocalNode {
        name: "node-a".into(),
        pod_cidrs: vec![
            "10.0.1.0/24".parse().unwrap(),
            "fd00:1::/64".parse().unwrap(),
        ],
        gateway: Gateway {
            ofport: GATEWAY,
            mac: GATEWAY_MAC,
            ips: vec![ip("10.0.1.1"), ip("fd00:1::1")],
        },
        tunnel: Some(Tunnel {
            ofport: TUNNEL,
            kind: TunnelKind::Geneve,
        }),
        addresses: Vec::new(),
        node_port_addresses: Vec::new(),
        caps: Capabilities { nd_reply: true },
    }
}

/// Pod `n`: port n, MAC …:n, addresses 10.0.1.n and fd00:1::n.
pub(crate) fn pod(n: u8) -> LocalPod {
    LocalPod {
        id: PodId::new(format!("sandbox-{n}")),
        namespace: "default".to_owned(),
        name: format!("web-{n}"),
        uid: Uid::default(),
        ofport: n.into(),
        mac: mac(n),
        ips: vec![ip(&format!("10.0.1.{n}")), ip(&format!("fd00:1::{n}"))],
    }
}

/// Peer `n`: 10.0.n.0/24, fd00:n::/64.
pub(crate) fn peer(n: u8, underlay: &str) -> Peer {
    Peer {
        name: format!("node-{n}").into(),
        pod_cidrs: vec![
            format!("10.0.{n}.0/24").parse().unwrap(),
            format!("fd00:{n}::/64").parse().unwrap(),
        ],
        underlay: ip(underlay),
    }
}

/// Pods 10 and 11, peers 2 (192.0.2.2) and 3 (2001:db8::3).
pub(crate) fn state() -> State {
    let mut state = State::new(node());
    for change in [
        Change::PodSet(pod(10)),
        Change::PodSet(pod(11)),
        Change::PeerSet(peer(2, "192.0.2.2")),
        Change::PeerSet(peer(3, "2001:db8::3")),
    ] {
        assert!(state.apply(change));
    }
    state
}

/// A frame of no type yet.
pub(crate) fn frame(in_port: u32, from: MacAddr) -> Packet {
    Packet::new(PortNo(in_port))
        .with(Field::ETH_SRC, from)
        .with(Field::ETH_DST, MacAddr([0xaa; 6]))
}

/// An IP packet of either family, 64 hops to go.
pub(crate) fn packet(in_port: u32, from: MacAddr, source: &str, destination: &str) -> Packet {
    let packet = frame(in_port, from);
    let packet = match (ip(source), ip(destination)) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => packet
            .with(Field::ETH_TYPE, 0x0800u16)
            .with(Field::IPV4_SRC, source)
            .with(Field::IPV4_DST, destination),
        (IpAddr::V6(source), IpAddr::V6(destination)) => packet
            .with(Field::ETH_TYPE, 0x86ddu16)
            .with(Field::IPV6_SRC, source)
            .with(Field::IPV6_DST, destination),
        _ => panic!("{source} and {destination} are of different families"),
    };
    packet.with(Field::NW_TTL, 64u8).with(Field::IP_PROTO, 6u8)
}

/// A packet of pod 10.
pub(crate) fn of_pod(destination: &str) -> Packet {
    let source = if ip(destination).is_ipv4() {
        "10.0.1.10"
    } else {
        "fd00:1::10"
    };
    packet(10, mac(10), source, destination)
}

pub(crate) fn udp(packet: Packet, source: u16, destination: u16) -> Packet {
    packet
        .with(Field::IP_PROTO, 17u8)
        .with(Field::UDP_SRC, source)
        .with(Field::UDP_DST, destination)
}

pub(crate) fn icmpv6(packet: Packet, type_: u8) -> Packet {
    packet
        .with(Field::IP_PROTO, 58u8)
        .with(Field::ICMPV6_TYPE, type_)
}

pub(crate) fn arp(in_port: u32, from: MacAddr, op: u16, sender: &str, target: &str) -> Packet {
    let (IpAddr::V4(sender), IpAddr::V4(target)) = (ip(sender), ip(target)) else {
        panic!("ARP is IPv4")
    };
    frame(in_port, from)
        .with(Field::ETH_TYPE, 0x0806u16)
        .with(Field::ARP_OP, op)
        .with(Field::ARP_SHA, from)
        .with(Field::ARP_SPA, sender)
        .with(Field::ARP_TPA, target)
}

/// A neighbour solicitation, with an option that says who asks.
pub(crate) fn solicitation(in_port: u32, from: MacAddr, sender: &str, target: &str) -> Packet {
    let IpAddr::V6(target) = ip(target) else {
        panic!("neighbour discovery is IPv6")
    };
    icmpv6(packet(in_port, from, sender, "ff02::1:ff00:1"), 135)
        .with(Field::ND_TARGET, target)
        .with(Field::ND_SLL, from)
}
