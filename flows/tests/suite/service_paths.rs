//! What becomes of connections to Services: where they go, under which source, and how often they go around.

use openflow::{Field, PortNo};
use sluice_flows::handover::NODE_PORT;
use sluice_flows::interpreter::Verdict;
use sluice_flows::model::{Frontend, Protocol, ServicePort, TrafficPolicy};
use sluice_flows::pipeline::{ENDPOINT_PORTS, HAIRPIN};
use sluice_flows::{DropReason, compile_all};

use crate::fixture::{self, GATEWAY, TUNNEL, ip};
use crate::service_fixture::*;
use crate::service_lab::*;

fn web(endpoints: &[&str]) -> ServicePort {
    service("web", Protocol::Tcp, vec![cluster_ip(VIP)], endpoints)
}

#[test]
fn a_pod_reaches_a_service() {
    for (endpoint, port) in [
        ("10.0.1.11", 11),
        ("10.0.2.7", TUNNEL),
        ("203.0.113.9", GATEWAY),
    ] {
        let got = lab_of(&[endpoint]).connect(of_pod(VIP, 80));
        assert_eq!((got.around, got.port), ([1, 1, 1], port));
        assert_eq!((got.from.0, got.to), (ip(POD), at(endpoint, 8080)));
        // From a port by which its answers are known.
        let (value, mask) = ENDPOINT_PORTS;
        assert_eq!(got.from.1 & mask, value);
    }
}

fn lab_of(endpoints: &[&str]) -> Lab {
    Lab::new(&with([web(endpoints)]))
}

#[test]
fn plain_and_direct_connections_do_not_go_around() {
    let mut lab = lab_of(&["10.0.1.11"]);
    assert_eq!(lab.connect(of_pod("10.0.1.11", 8080)).around, [0, 0, 0]);
    let mut lab = lab_of(&["10.0.1.12"]);
    assert_eq!(lab.connect(of_pod("10.0.1.11", 8080)).around, [0, 0, 0]);
    assert!(lab.world.conntrack.connections().next().is_none());
}

#[test]
fn a_pod_reaches_itself() {
    let got = lab_of(&[POD]).connect(of_pod(VIP, 80));
    let expected = Connection {
        around: [1, 1, 1],
        port: 10,
        from: (ip(HOST), got.from.1),
        to: at(POD, 8080),
    };
    assert_eq!(got, expected);
}

#[test]
fn the_node_and_those_outside_reach_services() {
    // Every packet of the host to a Service has the gateway's address, so that its answer comes back here.
    let host = lab_of(&["10.0.1.11"]).connect(of_host(HOST, VIP, 80));
    assert_eq!((host.around, host.from.0), ([1, 1, 1], ip(HOST)));
    let outside = lab_of(&["10.0.2.7"]).connect(of_host(OUTSIDE, VIP, 80));
    assert_eq!(
        (outside.around, outside.port, outside.from.0),
        ([1, 1, 1], TUNNEL, ip(HOST))
    );
    // From the host to the host, by way of the switch.
    let back = lab_of(&[NODE]).connect(of_host(HOST, VIP, 80));
    assert_eq!(
        (back.around, back.port, back.from.0),
        ([1, 1, 1], GATEWAY, HAIRPIN[0])
    );
    // A pod's connection to an endpoint on the host keeps its address.
    let down = lab_of(&[NODE]).connect(of_pod(VIP, 80));
    assert_eq!((down.around, down.from.0), ([1, 1, 1], ip(POD)));
}

fn node_port(policy: TrafficPolicy, endpoints: &[&str]) -> Lab {
    let frontends = vec![
        cluster_ip(VIP),
        Frontend::NodePort {
            port: 30_080,
            policy,
        },
    ];
    Lab::new(&with([service("web", Protocol::Tcp, frontends, endpoints)]))
}

#[test]
fn node_ports_masquerade_unless_the_policy_is_local() {
    use TrafficPolicy::{Cluster, Local};
    let np = NODE_PORT[0].to_string();
    let both = ["10.0.1.11", "10.0.2.7"];
    for (policy, endpoints, packet, from, around) in [
        (
            Cluster,
            &both[..],
            of_host(OUTSIDE, &np, 30_080),
            HOST,
            [1, 1, 1],
        ),
        (Cluster, &both[..], of_pod(NODE, 30_080), HOST, [1, 1, 1]),
        (
            Cluster,
            &both[..],
            of_host(HOST, &np, 30_080),
            HOST,
            [1, 1, 1],
        ),
        (
            Local,
            &both[..],
            of_host(OUTSIDE, &np, 30_080),
            OUTSIDE,
            [1, 1, 0],
        ),
        (Local, &both[1..], of_pod(NODE, 30_080), POD, [1, 1, 1]),
        (
            Local,
            &both[1..],
            of_host(NODE, &np, 30_080),
            HOST,
            [1, 1, 1],
        ),
    ] {
        let got = node_port(policy, endpoints).connect(packet.clone());
        assert_eq!(
            (got.from.0, got.around),
            (ip(from), around),
            "{policy:?} {packet}"
        );
        if policy == Local && endpoints.len() == 2 {
            assert_eq!(got.to, at("10.0.1.11", 8080));
        }
    }
    let dropped = node_port(Local, &both[1..]).verdict(of_host(OUTSIDE, &np, 30_080));
    assert_eq!(dropped, Verdict::Dropped(DropReason::NoLocalEndpoint));
    // Nobody anywhere: the host refuses it.
    for packet in [of_host(OUTSIDE, &np, 30_080), of_pod(NODE, 30_080)] {
        let refused = node_port(Local, &[]).send(flags(packet, SYN));
        assert_eq!(refused.port, PortNo(GATEWAY));
    }
}

#[test]
fn internal_policy_local_does_not_leave_the_node() {
    let local = |endpoints: &[&str]| {
        let frontend = Frontend::Cluster {
            ip: ip(VIP),
            port: 80,
            policy: TrafficPolicy::Local,
        };
        Lab::new(&with([service(
            "web",
            Protocol::Tcp,
            vec![frontend],
            endpoints,
        )]))
    };
    let got = local(&["10.0.1.11", "10.0.2.7"]).connect(of_pod(VIP, 80));
    assert_eq!(got.to, at("10.0.1.11", 8080));
    assert_eq!(
        local(&["10.0.2.7"]).verdict(of_pod(VIP, 80)),
        Verdict::Dropped(DropReason::NoLocalEndpoint)
    );
}

#[test]
fn ranges_of_sources_hold_for_everyone() {
    let external = |ranges: &[&str]| {
        let frontend = Frontend::External {
            ip: ip("203.0.113.80"),
            port: 80,
            policy: TrafficPolicy::Cluster,
            sources: Some(ranges.iter().map(|r| r.parse().unwrap()).collect()),
        };
        Lab::new(&with([service(
            "web",
            Protocol::Tcp,
            vec![frontend],
            &["10.0.1.11"],
        )]))
    };
    let allowed = ["198.51.100.0/24", "198.51.0.0/16", "fd00::/8"];
    let to = "203.0.113.80";
    let got = external(&allowed).connect(of_host(OUTSIDE, to, 80));
    assert_eq!(got.from.0, ip(HOST));
    let not_allowed = Verdict::Dropped(DropReason::SourceNotAllowed);
    for packet in [
        of_pod(to, 80),
        of_host(HOST, to, 80),
        of_host("198.52.0.1", to, 80),
    ] {
        assert_eq!(external(&allowed).verdict(packet), not_allowed);
    }
    assert_eq!(external(&[]).verdict(of_pod(to, 80)), not_allowed);
}

/// A Service at another address, whose endpoints serve at this port.
fn at_port(name: &str, address: &str, endpoint: &str, port: u16) -> ServicePort {
    let mut service = service(name, Protocol::Tcp, vec![cluster_ip(address)], &[endpoint]);
    for backend in service.cluster.iter_mut().chain(&mut service.local) {
        backend.port = port;
    }
    service
}

#[test]
fn one_source_port_is_good_for_all_ways_to_an_endpoint() {
    // Of these two ports, what an endpoint sends to the second might be an answer.
    for port in [8080, ENDPOINT_PORTS.0 + 1000] {
        // And the client is one, too.
        let services = [
            at_port("web", VIP, "10.0.1.11", port),
            at_port("other", "10.96.0.11", "10.0.1.11", port),
            at_port("own", "10.96.0.12", POD, port),
        ];
        let ways = [(VIP, 80), ("10.96.0.11", 80), ("10.0.1.11", port)];
        for first in ways {
            for second in ways {
                if first != second {
                    let mut lab = Lab::new(&with(services.clone()));
                    let one = lab.connect(of_pod(first.0, first.1));
                    let two = lab.connect(of_pod(second.0, second.1));
                    assert_eq!(one.to, two.to);
                    assert_ne!(one.from, two.from, "{first:?}, then {second:?}");
                    // Both live on.
                    let again = lab.send(flags(of_pod(first.0, first.1), ACK));
                    assert_eq!(ends(&again.packet), (one.from, one.to));
                    let again = lab.send(flags(of_pod(second.0, second.1), ACK));
                    assert_eq!(ends(&again.packet), (two.from, two.to));
                }
            }
        }
    }
}

#[test]
fn a_connection_keeps_its_endpoint() {
    let mut lab = lab_of(&["10.0.1.11", "10.0.2.7"]);
    let open: Vec<_> = (0..8u16)
        .map(|n| of_pod(VIP, 80).with(Field::TCP_SRC, 40_000 + 2 * n))
        .map(|packet| (packet.clone(), lab.connect(packet)))
        .collect();
    assert!(open.iter().any(|(_, c)| c.port == 11) && open.iter().any(|(_, c)| c.port == TUNNEL));
    for endpoints in [
        &["10.0.1.11"][..],
        &["10.0.2.7", "10.0.2.8", "10.0.2.9"],
        &[],
    ] {
        let mut state = with([web(&["10.0.1.11", "10.0.2.7"])]);
        state.apply(set(web(endpoints)));
        lab.program = compile_all(&state);
        for (packet, connection) in &open {
            let delivery = lab.send(flags(packet.clone(), ACK));
            assert_eq!(ends(&delivery.packet).1, connection.to);
            // And the replies of an endpoint that was let go.
            let reply = lab.send(answer(&delivery, ACK));
            assert_eq!(ends(&reply.packet).0, at(VIP, 80));
        }
    }
}

#[test]
fn a_service_without_endpoints_is_refused_by_the_host() {
    let mut lab = lab_of(&[]);
    let refused = lab.send(flags(of_pod(VIP, 80), SYN));
    assert_eq!(
        (refused.port, addresses(&refused.packet)),
        (PortNo(GATEWAY), (ip(POD), ip(VIP)))
    );
    let back = lab.send(answer(&refused, 0x14));
    assert_eq!(
        (back.port, addresses(&back.packet)),
        (PortNo(10), (ip(VIP), ip(POD)))
    );
    // The host would not take in what comes from itself.
    let refused = lab.send(flags(of_host(HOST, VIP, 80), SYN));
    assert_eq!(addresses(&refused.packet), (HAIRPIN[0], ip(VIP)));
    let back = lab.send(answer(&refused, 0x14));
    assert_eq!(
        (back.port, addresses(&back.packet)),
        (PortNo(GATEWAY), (ip(VIP), ip(HOST)))
    );
}

#[test]
fn what_is_for_no_port_of_a_service_is_refused_and_pings_are_dropped() {
    let mut lab = lab_of(&["10.0.1.11"]);
    let refused = lab.send(flags(of_pod(VIP, 81), SYN));
    assert_eq!(
        (refused.port, addresses(&refused.packet)),
        (PortNo(GATEWAY), (ip(POD), ip(VIP)))
    );
    let none = Verdict::Dropped(DropReason::NoServicePort);
    let echo = fixture::of_pod(VIP)
        .with(Field::IP_PROTO, 1u8)
        .with(Field::ICMPV4_TYPE, 8u8);
    assert_eq!(lab.verdict(echo), none);
    // The node's address is not the Service's alone.
    let mut lab = node_port(TrafficPolicy::Cluster, &["10.0.1.11"]);
    assert_eq!(lab.connect(of_pod(NODE, 6443)).around, [0, 0, 0]);
}

#[test]
fn udp_and_ipv6_do_as_well() {
    let frontends = vec![cluster_ip("fd00:96::1")];
    let six = service("six", Protocol::Udp, frontends, &["fd00:1::11"]);
    let mut lab = Lab::new(&with([six]));
    let ask = transport(fixture::of_pod("fd00:96::1"), Protocol::Udp, 40_000, 80);
    let got = lab.connect(ask);
    assert_eq!((got.around, got.to), ([1, 1, 1], at("fd00:1::11", 8080)));
    let direct = transport(fixture::of_pod("fd00:1::11"), Protocol::Udp, 40_000, 8080);
    let direct = lab.connect(direct);
    assert_eq!((direct.around, direct.to), ([0, 0, 0], got.to));
    assert_ne!(direct.from, got.from);
}

#[test]
fn a_client_keeps_its_endpoint() {
    let endpoints = ["10.0.2.1", "10.0.2.2", "10.0.2.3", "10.0.2.4"];
    let with_affinity = |endpoints: &[&str]| ServicePort {
        affinity: Some(600),
        ..web(endpoints)
    };
    let mut state = with([with_affinity(&endpoints)]);
    let mut lab = Lab::new(&state);
    let connect =
        |lab: &mut Lab, n: u16| lab.connect(of_pod(VIP, 80).with(Field::TCP_SRC, 40_000 + n));
    let first = connect(&mut lab, 0);
    assert_eq!(first.around, [2, 1, 1]);
    assert_eq!(connect(&mut lab, 2).to, first.to);
    assert_eq!(lab.world.learned.flows().count(), 1);
    // Others come and go.
    let kept = first.to.0.to_string();
    let mut fewer = vec![&*kept, "10.0.2.5", "10.0.2.6", "10.0.2.7"];
    for n in 0..3 {
        state.apply(set(with_affinity(&fewer)));
        lab.program = compile_all(&state);
        assert_eq!(connect(&mut lab, 4 + 2 * n).to, first.to);
        fewer.pop();
    }
    // Its own goes, and the switch has not yet forgotten it.
    state.apply(set(with_affinity(&["10.0.2.5", "10.0.2.6"])));
    lab.program = compile_all(&state);
    let moved = connect(&mut lab, 20);
    assert_ne!(moved.to, first.to);
    assert_eq!(connect(&mut lab, 22).to, moved.to);
    assert_eq!(lab.world.learned.flows().count(), 1, "taught anew");
}
