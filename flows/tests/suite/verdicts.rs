//! What becomes of packets, case by case.

use openflow::{Field, MacAddr, PortNo};
use sluice_flows::DropReason::{self, *};
use sluice_flows::compile_all;
use sluice_flows::interpreter::{Outcome, Packet, Tables, Verdict};
use sluice_flows::model::{Capabilities, State};
use sluice_flows::pipeline::ROUTER_MAC;

use crate::fixture::*;

fn run_in(state: &State, packet: Packet) -> Outcome {
    Tables::from(&compile_all(state)).run(packet)
}

fn run(packet: Packet) -> Outcome {
    run_in(&state(), packet)
}

#[track_caller]
fn delivered_in(state: &State, packet: Packet) -> (PortNo, Packet) {
    let outcome = run_in(state, packet);
    match &outcome.verdict {
        Verdict::Output(deliveries) if deliveries.len() == 1 => {
            (deliveries[0].port, deliveries[0].packet.clone())
        }
        _ => panic!("not delivered:\n{outcome}"),
    }
}

#[track_caller]
fn delivered(packet: Packet) -> (PortNo, Packet) {
    delivered_in(&state(), packet)
}

#[track_caller]
fn dropped(packet: Packet, reason: DropReason) {
    let outcome = run(packet);
    assert_eq!(outcome.verdict, Verdict::Dropped(reason), "\n{outcome}");
}

fn ttl(packet: &Packet) -> u8 {
    packet.get(Field::NW_TTL).to_u8()
}

fn macs(packet: &Packet) -> (MacAddr, MacAddr) {
    (
        packet.get(Field::ETH_SRC).to_mac(),
        packet.get(Field::ETH_DST).to_mac(),
    )
}

#[test]
fn a_pod_reaches_a_pod() {
    for to in ["10.0.1.11", "fd00:1::11"] {
        let (port, packet) = delivered(of_pod(to));
        assert_eq!(port, PortNo(11));
        assert_eq!(macs(&packet), (ROUTER_MAC, mac(11)));
        assert_eq!(ttl(&packet), 63);
    }
}

#[test]
fn a_pod_reaches_a_pod_of_a_peer() {
    for to in ["10.0.2.7", "fd00:2::7"] {
        let (port, packet) = delivered(of_pod(to));
        assert_eq!(port, PortNo(TUNNEL));
        assert_eq!(packet.get(Field::TUN_DST).to_ipv4(), ip("192.0.2.2"));
        assert_eq!(ttl(&packet), 63);
    }
}

#[test]
fn an_ipv6_underlay_carries_both_families() {
    for to in ["10.0.3.7", "fd00:3::7"] {
        let (port, packet) = delivered(of_pod(to));
        assert_eq!(port, PortNo(TUNNEL));
        assert_eq!(packet.get(Field::TUN_IPV6_DST).to_ipv6(), ip("2001:db8::3"));
    }
}

#[test]
fn a_pod_reaches_the_host_and_beyond_with_all_its_hops() {
    for to in [
        "10.0.1.1",
        "198.51.100.1",
        "169.254.169.254",
        "fd00:1::1",
        "2001:db8::1",
    ] {
        let (port, packet) = delivered(of_pod(to).with(Field::NW_TTL, 1u8));
        assert_eq!(port, PortNo(GATEWAY), "{to}");
        assert_eq!(macs(&packet), (ROUTER_MAC, GATEWAY_MAC));
        assert_eq!(ttl(&packet), 1);
    }
}

#[test]
fn the_host_reaches_pods_here_and_there() {
    let (port, packet_) = delivered(packet(GATEWAY, GATEWAY_MAC, "10.0.1.1", "10.0.1.10"));
    assert_eq!(
        (port, macs(&packet_), ttl(&packet_)),
        (PortNo(10), (ROUTER_MAC, mac(10)), 64)
    );
    let (port, packet_) = delivered(packet(GATEWAY, GATEWAY_MAC, "fd00:1::1", "fd00:2::7"));
    assert_eq!((port, ttl(&packet_)), (PortNo(TUNNEL), 64));
}

fn tunnelled(underlay: &str, source: &str, destination: &str) -> Packet {
    let packet = packet(TUNNEL, mac(99), source, destination);
    match ip(underlay) {
        std::net::IpAddr::V4(ip) => packet.with(Field::TUN_SRC, ip),
        std::net::IpAddr::V6(ip) => packet.with(Field::TUN_IPV6_SRC, ip),
    }
}

#[test]
fn a_peer_reaches_pods_and_the_host() {
    let (port, packet) = delivered(tunnelled("192.0.2.2", "10.0.2.7", "10.0.1.10"));
    assert_eq!(
        (port, macs(&packet), ttl(&packet)),
        (PortNo(10), (ROUTER_MAC, mac(10)), 64)
    );
    let (port, _) = delivered(tunnelled("2001:db8::3", "fd00:3::7", "fd00:1::11"));
    assert_eq!(port, PortNo(11));
    let (port, _) = delivered(tunnelled("192.0.2.2", "10.0.2.7", "10.0.1.1"));
    assert_eq!(port, PortNo(GATEWAY));
}

#[test]
fn strangers_do_not_get_in() {
    dropped(packet(77, mac(77), "10.0.1.10", "10.0.1.11"), UnknownPort);
    dropped(Packet::new(PortNo::LOCAL), UnknownPort);
    dropped(
        tunnelled("192.0.2.66", "10.0.2.7", "10.0.1.10"),
        UnknownTunnelPeer,
    );
    dropped(
        of_pod("10.0.1.11").with(Field::VLAN_VID, 0x1001u16),
        VlanTagged,
    );
}

#[test]
fn a_pod_cannot_be_someone_else() {
    dropped(packet(10, mac(10), "10.0.1.11", "10.0.1.1"), SpoofedSource);
    dropped(packet(10, mac(11), "10.0.1.10", "10.0.1.1"), SpoofedSource);
    dropped(
        packet(10, mac(10), "fd00:1::11", "fd00:1::1"),
        SpoofedSource,
    );
    dropped(
        packet(10, mac(11), "fd00:1::10", "fd00:1::1"),
        SpoofedSource,
    );
    dropped(arp(10, mac(10), 1, "10.0.1.11", "10.0.1.1"), SpoofedSource);
    dropped(arp(10, mac(11), 1, "10.0.1.10", "10.0.1.1"), SpoofedSource);
    dropped(
        arp(10, mac(10), 1, "10.0.1.10", "10.0.1.1").with(Field::ARP_SHA, mac(11)),
        SpoofedSource,
    );
    dropped(
        solicitation(10, mac(10), "fd00:1::11", "fd00:1::1"),
        SpoofedSource,
    );
    dropped(
        solicitation(10, mac(10), "fd00:1::10", "fd00:1::1").with(Field::ND_SLL, mac(11)),
        SpoofedSource,
    );
    dropped(
        frame(10, mac(10)).with(Field::ETH_TYPE, 0x88ccu16),
        UnsupportedEthertype,
    );
}

#[test]
fn a_pod_is_neither_dhcp_server_nor_router() {
    dropped(udp(of_pod("10.0.1.11"), 67, 68), DhcpServer);
    dropped(udp(of_pod("fd00:1::11"), 547, 546), DhcpServer);
    dropped(icmpv6(of_pod("fd00:1::11"), 134), RouterAdvertisement);
    dropped(
        icmpv6(packet(10, mac(10), "fe80::1", "ff02::1"), 134),
        RouterAdvertisement,
    );
    delivered(udp(of_pod("10.0.1.11"), 68, 67));
}

#[test]
fn chatter_is_quiet() {
    for (source, type_) in [
        ("fe80::a", 133),
        ("::", 133),
        ("fe80::a", 143),
        ("::", 143),
        ("fe80::a", 136),
    ] {
        dropped(
            icmpv6(packet(10, mac(10), source, "ff02::2"), type_),
            LinkLocalChatter,
        );
    }
}

#[test]
fn any_arp_request_is_answered_by_the_router() {
    for (port, from, sender) in [
        (10, mac(10), "10.0.1.10"),
        (GATEWAY, GATEWAY_MAC, "10.0.1.1"),
    ] {
        for target in ["169.254.1.1", "10.0.1.11", "10.0.2.9", "192.0.2.1"] {
            let (out, reply) = delivered(arp(port, from, 1, sender, target));
            assert_eq!(out, PortNo(port));
            assert_eq!(macs(&reply), (ROUTER_MAC, from));
            assert_eq!(reply.get(Field::ARP_OP).to_u16(), 2);
            assert_eq!(reply.get(Field::ARP_SHA).to_mac(), ROUTER_MAC);
            assert_eq!(reply.get(Field::ARP_SPA).to_ipv4(), ip(target));
            assert_eq!(reply.get(Field::ARP_THA).to_mac(), from);
            assert_eq!(reply.get(Field::ARP_TPA).to_ipv4(), ip(sender));
        }
    }
}

#[test]
fn probes_and_announcements_are_not_answered() {
    // RFC 5227: a probe has no sender address, an announcement asks for its own; both as request and as reply.
    dropped(arp(10, mac(10), 1, "0.0.0.0", "10.0.1.10"), AddressProbe);
    dropped(arp(10, mac(10), 1, "0.0.0.0", "10.0.1.99"), AddressProbe);
    dropped(arp(10, mac(10), 1, "10.0.1.10", "10.0.1.10"), AddressProbe);
    dropped(arp(10, mac(10), 2, "10.0.1.10", "10.0.1.10"), AddressProbe);
    dropped(
        arp(GATEWAY, GATEWAY_MAC, 1, "0.0.0.0", "10.0.1.1"),
        AddressProbe,
    );
    dropped(
        arp(GATEWAY, GATEWAY_MAC, 1, "10.0.1.1", "10.0.1.1"),
        AddressProbe,
    );
    // RFC 4862: detection of duplicates comes from no address and without option.
    let detection = |port, from| {
        solicitation(port, from, "::", "fd00:1::10").with(Field::ND_SLL, MacAddr::ZERO)
    };
    dropped(detection(10, mac(10)), AddressProbe);
    dropped(detection(GATEWAY, GATEWAY_MAC), AddressProbe);
    dropped(arp(10, mac(10), 2, "10.0.1.10", "10.0.1.11"), ArpNotRequest);
}

#[test]
fn solicitations_are_answered_where_the_datapath_can() {
    let cases = [
        (10, mac(10), "fd00:1::10"),
        (10, mac(10), "fe80::a"),
        (GATEWAY, GATEWAY_MAC, "fd00:1::1"),
    ];
    for (port, from, sender) in cases {
        let (out, reply) = delivered(solicitation(port, from, sender, "fe80::1"));
        assert_eq!(out, PortNo(port));
        assert_eq!(macs(&reply), (ROUTER_MAC, from));
        assert_eq!(reply.get(Field::ICMPV6_TYPE).to_u8(), 136);
        assert_eq!(reply.get(Field::IPV6_SRC).to_ipv6(), ip("fe80::1"));
        assert_eq!(reply.get(Field::IPV6_DST).to_ipv6(), ip(sender));
        assert_eq!(reply.get(Field::ND_TARGET).to_ipv6(), ip("fe80::1"));
        assert_eq!(reply.get(Field::ND_TLL).to_mac(), ROUTER_MAC);
    }
    let mut state = state();
    state.local.caps = Capabilities { nd_reply: false };
    for (port, from, sender) in cases {
        let outcome = run_in(&state, solicitation(port, from, sender, "fe80::1"));
        assert_eq!(
            outcome.verdict,
            Verdict::Dropped(NeighbourSolicitation),
            "{outcome}"
        );
    }
    assert!(
        compile_all(&state)
            .flows()
            .all(|(key, ..)| key.table.0 != 9)
    );
}

#[test]
fn where_no_pod_is_nothing_goes() {
    for from in [
        of_pod("10.0.1.77"),
        tunnelled("192.0.2.2", "10.0.2.7", "10.0.1.77"),
    ] {
        dropped(from, UnknownDestinationPod);
    }
    dropped(
        packet(GATEWAY, GATEWAY_MAC, "fd00:1::1", "fd00:1::77"),
        UnknownDestinationPod,
    );
}

#[test]
fn only_pods_have_a_default_route() {
    dropped(tunnelled("192.0.2.2", "10.0.2.7", "198.51.100.1"), NoRoute);
    dropped(
        packet(GATEWAY, GATEWAY_MAC, "10.0.1.1", "198.51.100.1"),
        NoRoute,
    );
    dropped(
        packet(GATEWAY, GATEWAY_MAC, "fd00:1::1", "2001:db8::1"),
        NoRoute,
    );
    dropped(
        frame(GATEWAY, GATEWAY_MAC).with(Field::ETH_TYPE, 0x88ccu16),
        UnsupportedEthertype,
    );
}

#[test]
fn nothing_goes_back_where_it_came_from() {
    dropped(tunnelled("192.0.2.2", "10.0.2.7", "10.0.3.7"), RoutedBack);
    dropped(tunnelled("192.0.2.2", "10.0.2.7", "10.0.2.8"), RoutedBack);
    dropped(
        packet(GATEWAY, GATEWAY_MAC, "10.0.1.1", "10.0.1.1"),
        RoutedBack,
    );
    dropped(of_pod("10.0.1.10"), RoutedBack);
}

#[test]
fn multicast_and_link_local_are_not_routed() {
    for to in [
        "224.0.0.251",
        "239.1.2.3",
        "255.255.255.255",
        "ff02::1",
        "ff0e::1",
    ] {
        dropped(of_pod(to), MulticastDestination);
    }
    dropped(of_pod("fe80::1"), LinkLocalDestination);
    dropped(
        packet(GATEWAY, GATEWAY_MAC, "fe80::2", "ff02::2"),
        MulticastDestination,
    );
}

#[test]
fn hops_run_out_only_where_they_are_counted() {
    for hops in [0u8, 1] {
        for to in ["10.0.1.11", "10.0.2.7", "fd00:1::11", "fd00:2::7"] {
            dropped(of_pod(to).with(Field::NW_TTL, hops), TtlExpired);
        }
        delivered(packet(GATEWAY, GATEWAY_MAC, "10.0.1.1", "10.0.1.10").with(Field::NW_TTL, hops));
        delivered(tunnelled("192.0.2.2", "10.0.2.7", "10.0.1.10").with(Field::NW_TTL, hops));
    }
    assert_eq!(
        ttl(&delivered(of_pod("10.0.2.7").with(Field::NW_TTL, 2u8)).1),
        1
    );
}

#[test]
fn without_a_tunnel_peers_are_reached_by_the_host() {
    let mut state = state();
    state.local.tunnel = None;
    assert_eq!(delivered_in(&state, of_pod("10.0.2.7")).0, PortNo(GATEWAY));
    let outcome = run_in(&state, tunnelled("192.0.2.2", "10.0.2.7", "10.0.1.10"));
    assert_eq!(outcome.verdict, Verdict::Dropped(UnknownPort));
}

#[test]
fn the_longest_prefix_wins() {
    let mut state = state();
    let mut wide = peer(9, "192.0.2.9");
    wide.pod_cidrs = vec![
        "10.0.0.0/16".parse().unwrap(),
        "0.0.0.0/0".parse().unwrap(),
        "10.0.1.10/32".parse().unwrap(),
    ];
    state.peers.insert(wide.name.clone(), wide);
    let tunnel_to = |to| {
        delivered_in(&state, of_pod(to))
            .1
            .get(Field::TUN_DST)
            .to_ipv4()
    };
    assert_eq!(tunnel_to("10.0.2.7"), ip("192.0.2.2"));
    assert_eq!(tunnel_to("10.0.77.7"), ip("192.0.2.9"));
    assert_eq!(tunnel_to("198.51.100.1"), ip("192.0.2.9"));
    assert_eq!(delivered_in(&state, of_pod("10.0.1.11")).0, PortNo(11));
    let from_host = packet(GATEWAY, GATEWAY_MAC, "10.0.1.1", "10.0.1.10");
    assert_eq!(
        delivered_in(&state, from_host).0,
        PortNo(10),
        "a pod's address before a prefix of its length"
    );
}

#[test]
fn a_trace_reads_well() {
    let text = run(of_pod("10.0.1.77")).to_string();
    let expected = [
        " 0. Classify: in_port=10, priority 100, cookie 0x51ce05",
        "      reg0=0x1",
        " 4. Guard: ip,in_port=10,dl_src=0a:00:00:00:00:0a,nw_src=10.0.1.10, priority 100, cookie 0x51ce05",
        "12. Origin: priority 0, cookie 0x51ce01",
        "20. Service: priority 0, cookie 0x51ce01",
        "28. Answer: priority 0, cookie 0x51ce01",
        "36. Route: ip,nw_dst=10.0.1.0/24, priority 1024, cookie 0x51ce03",
        "      reg3=0xe",
        "60. Drop: reg3=0xe, priority 100, cookie 0x51ce02",
        "dropped: unknown-destination-pod",
    ];
    let cut = |line: &str| match line.split_once("cookie 0x") {
        Some((before, cookie)) => format!("{before}cookie 0x{}", &cookie[..6]),
        None => line.to_owned(),
    };
    assert_eq!(text.lines().map(cut).collect::<Vec<_>>(), expected);
}
