//! Random packets for the interpreter: every header it looks at, with values few enough to meet again.

use openflow::{Field, MacAddr, PortNo};
use proptest::prelude::*;
use proptest::sample::select;
use sluice_flows::interpreter::Packet;

/// The ports that they come in by.
pub(crate) const PORTS: [u32; 4] = [1, 2, 3, 4];

fn addresses_4() -> impl Strategy<Value = u32> {
    prop_oneof![
        select(vec![0x0a00_0101, 0x0a00_0102, 0x0a60_0001]),
        any::<u32>()
    ]
}

fn addresses_6() -> impl Strategy<Value = u128> {
    prop_oneof![
        select(vec![0xfd00 << 112 | 1, 0xfd00 << 112 | 2]),
        any::<u128>()
    ]
}

fn ports() -> impl Strategy<Value = u16> {
    prop_oneof![select(vec![80, 443, 40_000]), 1..=u16::MAX]
}

/// A frame with addresses, and nothing above.
fn frame() -> impl Strategy<Value = Packet> {
    (select(PORTS.to_vec()), any::<[u8; 5]>(), any::<[u8; 5]>()).prop_map(|(port, from, to)| {
        let mac = |[a, b, c, d, e]: [u8; 5]| MacAddr([0x0a, a, b, c, d, e]);
        Packet::new(PortNo(port))
            .with(Field::ETH_SRC, mac(from))
            .with(Field::ETH_DST, mac(to))
    })
}

/// An IP packet of a protocol that has no fields.
fn ip() -> impl Strategy<Value = Packet> {
    let four = (frame(), addresses_4(), addresses_4()).prop_map(|(packet, from, to)| {
        packet
            .with(Field::ETH_TYPE, 0x0800u16)
            .with(Field::IPV4_SRC, from)
            .with(Field::IPV4_DST, to)
    });
    let six = (frame(), addresses_6(), addresses_6()).prop_map(|(packet, from, to)| {
        packet
            .with(Field::ETH_TYPE, 0x86ddu16)
            .with(Field::IPV6_SRC, from)
            .with(Field::IPV6_DST, to)
    });
    (prop_oneof![four, six], 2..=255u8)
        .prop_map(|(packet, ttl)| packet.with(Field::NW_TTL, ttl).with(Field::IP_PROTO, 47u8))
}

fn transport() -> impl Strategy<Value = Packet> {
    (ip(), select(vec![6u8, 17, 132]), ports(), ports()).prop_map(|(packet, proto, from, to)| {
        let (source, destination) = match proto {
            6 => (Field::TCP_SRC, Field::TCP_DST),
            17 => (Field::UDP_SRC, Field::UDP_DST),
            _ => (Field::SCTP_SRC, Field::SCTP_DST),
        };
        packet
            .with(Field::IP_PROTO, proto)
            .with(source, from)
            .with(destination, to)
    })
}

fn icmp() -> impl Strategy<Value = Packet> {
    (ip(), select(vec![0u8, 3, 8, 128, 129])).prop_map(|(packet, kind)| {
        if packet.get(Field::ETH_TYPE).to_u16() == 0x0800 {
            packet
                .with(Field::IP_PROTO, 1u8)
                .with(Field::ICMPV4_TYPE, kind)
        } else {
            packet
                .with(Field::IP_PROTO, 58u8)
                .with(Field::ICMPV6_TYPE, kind)
        }
    })
}

fn arp() -> impl Strategy<Value = Packet> {
    (frame(), addresses_4(), addresses_4()).prop_map(|(packet, from, to)| {
        packet
            .with(Field::ETH_TYPE, 0x0806u16)
            .with(Field::ARP_OP, 1u16)
            .with(Field::ARP_SPA, from)
            .with(Field::ARP_TPA, to)
    })
}

fn other() -> impl Strategy<Value = Packet> {
    frame().prop_map(|packet| packet.with(Field::ETH_TYPE, 0x88ccu16))
}

/// Anything, whole.
pub(crate) fn whole() -> impl Strategy<Value = Packet> {
    prop_oneof![6 => transport(), 2 => icmp(), 1 => ip(), 1 => arp(), 1 => other()]
}

/// Anything, fragments and tagged frames included.
pub(crate) fn any_packet() -> impl Strategy<Value = Packet> {
    let first = transport().prop_map(|packet| packet.with(Field::NW_FRAG, 1u8));
    let later = ip().prop_map(|packet| packet.with(Field::IP_PROTO, 6u8).with(Field::NW_FRAG, 3u8));
    let tagged =
        (whole(), 1..4095u16).prop_map(|(packet, vid)| packet.with(Field::VLAN_VID, vid | 0x1000));
    prop_oneof![6 => whole(), 1 => first, 1 => later, 1 => tagged]
}
