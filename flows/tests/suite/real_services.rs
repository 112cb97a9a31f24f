//! Services on a real Open vSwitch: how often packets go around there, and what the switch looks at for it.

use openflow::Field;
use sluice_flows::compile_all;
use sluice_flows::interpreter::Packet;
use sluice_flows::model::{Frontend, Protocol, ServicePort, TrafficPolicy};

use crate::fixture::{GATEWAY, GATEWAY_MAC, TUNNEL, of_pod, packet};
use crate::service_fixture::*;
use crate::switch::Switch;

/// What `ofproto/trace` says of a packet: the megaflow and the actions of each pass.
struct Trace {
    megaflows: Vec<String>,
    actions: Vec<String>,
    text: String,
}

fn trace(switch: &mut Switch, packet: &Packet, states: &[&str]) -> Trace {
    let packet = packet.to_string();
    let mut args = vec!["br0", &packet];
    for state in states {
        args.extend(["--ct-next", state]);
    }
    let text = switch.appctl("ofproto/trace", &args);
    let lines = |start: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|l| l.trim().strip_prefix(start));
        lines.map(str::to_owned).collect()
    };
    Trace {
        megaflows: lines("Megaflow: "),
        actions: lines("Datapath actions: "),
        text: text.clone(),
    }
}

fn tcp(packet: Packet, from: u16, to: u16) -> Packet {
    packet
        .with(Field::IP_PROTO, 6u8)
        .with(Field::TCP_SRC, from)
        .with(Field::TCP_DST, to)
        .with(Field::TCP_FLAGS, 2u16)
}

const AFFINE: &str = "10.96.0.20";
const HUGE: &str = "10.96.0.30";
const EMPTY: &str = "10.96.0.40";
const SELF: &str = "10.96.0.50";

fn many(n: u8) -> Vec<String> {
    (1..=n).map(|n| format!("10.0.2.{n}")).collect()
}

fn switch() -> Switch {
    let of = |name: &str, vip: &str, endpoints: &[&str]| {
        service(name, Protocol::Tcp, vec![cluster_ip(vip)], endpoints)
    };
    let huge = many(200);
    let huge: Vec<&str> = huge.iter().map(String::as_str).collect();
    let three = ServicePort {
        frontends: vec![
            cluster_ip(VIP),
            Frontend::NodePort {
                port: 30_080,
                policy: TrafficPolicy::Cluster,
            },
        ],
        ..of("three", VIP, &["10.0.1.11", "10.0.2.1", "10.0.2.2"])
    };
    let affine = ServicePort {
        affinity: Some(86_400),
        ..of("affine", AFFINE, &["10.0.1.11", "10.0.2.1"])
    };
    let state = with([
        three,
        affine,
        of("huge", HUGE, &huge),
        of("empty", EMPTY, &[]),
        of("self", SELF, &["10.0.1.10"]),
    ]);
    let switch = Switch::start(&[TUNNEL, GATEWAY, 10, 11], TUNNEL);
    switch.add_flows(&compile_all(&state).to_string());
    switch
}

#[track_caller]
fn passes(trace: &Trace, n: usize) {
    assert_eq!(trace.megaflows.len(), n + 1, "{}", trace.text);
}

#[test]
fn a_service_costs_one_recirculation() {
    let mut switch = switch();
    for state in ["trk,new", "trk,est"] {
        for (vip, states) in [(VIP, vec![state]), (HUGE, vec![state]), (SELF, vec![state])] {
            let trace = trace(&mut switch, &tcp(of_pod(vip), 40_000, 80), &states);
            passes(&trace, 1);
        }
    }
    // Only a new connection has to be looked up before.
    let affine = tcp(of_pod(AFFINE), 40_000, 80);
    passes(&trace(&mut switch, &affine, &["trk,new", "trk,new"]), 2);
    passes(&trace(&mut switch, &affine, &["trk,est"]), 1);
    let empty = tcp(of_pod(EMPTY), 40_000, 80);
    passes(&trace(&mut switch, &empty, &["trk,new"]), 1);
    let outside = packet(GATEWAY, GATEWAY_MAC, "198.51.100.7", "169.254.83.2");
    let trace = trace(&mut switch, &tcp(outside, 40_000, 30_080), &["trk,new"]);
    passes(&trace, 1);
    assert!(
        trace.actions[1].contains("nat(src=10.0.1.1:"),
        "{}",
        trace.text
    );
}

#[test]
fn only_what_may_be_an_answer_goes_around() {
    let mut switch = switch();
    let of_endpoint = |to: &str, port: u16| {
        let packet = packet(11, crate::fixture::mac(11), "10.0.1.11", to);
        tcp(packet, 8080, port).with(Field::TCP_FLAGS, 0x12u16)
    };
    let direct = tcp(of_pod("10.0.1.11"), 40_000, 8080);
    for plain in [
        direct,
        of_endpoint("10.0.1.10", 40_000),
        of_endpoint("10.0.2.250", 40_000),
    ] {
        let trace = trace(&mut switch, &plain, &[]);
        passes(&trace, 0);
        assert!(!trace.actions[0].contains("ct("), "{}", trace.text);
    }
    for (to, port) in [("10.0.1.10", 20_000), ("10.0.1.1", 20_000)] {
        let answer = of_endpoint(to, port);
        let trace = trace(&mut switch, &answer, &["trk,est,rpl"]);
        passes(&trace, 1);
        assert!(
            trace.actions[1].contains("ct(zone=20929,nat)"),
            "{}",
            trace.text
        );
    }
}

/// A connection more is no upcall more: the switch tells source ports apart by few bits.
#[test]
fn few_bits_of_the_source_port_are_looked_at() {
    let mut switch = switch();
    for (vip, mask) in [(VIP, 0x3eu16), (HUGE, 0x7e)] {
        let trace = trace(&mut switch, &tcp(of_pod(vip), 40_000, 80), &["trk,new"]);
        let seen = format!("tp_src={:#x}/{mask:#x},", 40_000 & mask);
        assert!(trace.megaflows[0].contains(&seen), "{seen}\n{}", trace.text);
        assert!(!trace.megaflows[1].contains("tp_src"), "{}", trace.text);
    }
    let trace = trace(&mut switch, &tcp(of_pod(SELF), 40_000, 80), &["trk,new"]);
    assert!(
        !trace.megaflows[0].contains("tp_src=40000"),
        "{}",
        trace.text
    );
}

/// Ten thousand connections of a hundred clients, as Linux makes them.
#[test]
fn connections_are_spread_evenly() {
    use sluice_flows::interpreter::{Tables, Verdict};
    use std::collections::HashMap;
    for n in [3usize, 10, 100] {
        let endpoints: Vec<String> = (0..n).map(|i| format!("10.0.2.{}", i + 1)).collect();
        let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        let program = compile_all(&with([service(
            "web",
            Protocol::Tcp,
            vec![cluster_ip(VIP)],
            &endpoints,
        )]));
        let tables = Tables::from(&program);
        let mut counts: HashMap<std::net::Ipv4Addr, u32> = HashMap::new();
        let (mut seed, total) = (7u32, 2000u32);
        for i in 0..total {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let client = format!("198.51.{}.{}", 100 + i % 4, 1 + i / 4 % 25);
            let port = 32_768 + 2 * u16::try_from((seed >> 16) % 14_000).unwrap();
            let packet = packet(GATEWAY, GATEWAY_MAC, &client, VIP);
            let outcome = tables.run(tcp(packet, port, 80));
            let Verdict::Output(out) = outcome.verdict else {
                panic!("{outcome}")
            };
            *counts
                .entry(out[0].packet.get(Field::IPV4_DST).to_ipv4())
                .or_default() += 1;
        }
        let share = f64::from(total) / n as f64;
        let deviation = |c: &u32| (f64::from(*c) - share).abs() / share;
        let worst = counts.values().map(deviation).fold(0.0, f64::max);
        let chi: f64 = counts
            .values()
            .map(|c| (f64::from(*c) - share).powi(2) / share)
            .sum();
        println!(
            "{n} endpoints: {} used, worst {worst:.3}, chi2/n {:.2}",
            counts.len(),
            chi / n as f64
        );
        assert_eq!(counts.len(), n, "every endpoint is used");
        assert!(n > 10 || worst < 0.25, "{n}: {worst}");
    }
}
