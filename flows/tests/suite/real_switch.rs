//! The same flows, the same packets: what the interpreter says is what a real Open vSwitch does.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use openflow::{Field, Match, PortNo};
use sluice_flows::compile_all;
use sluice_flows::interpreter::{Outcome, Packet, Tables, Verdict};
use sluice_flows::model::State;
use sluice_flows::pipeline::{ROUTER_MAC, SCRATCH, Table};
use sluice_flows::{Cookie, DropReason};

use crate::fixture::{self, *};
use crate::random::{draw, runner};
use crate::switch::Switch;
use crate::world;

/// What `ofproto/trace` says about a packet.
#[derive(Debug)]
struct Trace {
    text: String,
    /// Table, priority and cookie of each flow.
    steps: Vec<(u8, u16, u64)>,
    ports: Vec<PortNo>,
    fields: HashSet<String>,
}

impl Trace {
    fn parse(text: String) -> Self {
        let line = |start: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(start))
                .unwrap_or_else(|| panic!("{text}"))
        };
        let actions = line("Datapath actions: ");
        for costly in ["recirc", "ct(", "hash", "userspace", "sample"] {
            assert!(!actions.contains(costly), "{costly} in\n{text}");
        }
        Self {
            steps: text.lines().filter_map(step).collect(),
            ports: actions
                .rsplit(',')
                .next()
                .and_then(|a| a.parse().ok())
                .into_iter()
                .collect(),
            fields: line("Final flow: ")
                .split(',')
                .map(|f| f.trim().to_owned())
                .collect(),
            text,
        }
    }
}

/// `36. ip,nw_dst=10.0.1.7, priority 1500, cookie 0x51ce05…`.
fn step(line: &str) -> Option<(u8, u16, u64)> {
    let (table, rest) = line.trim_start().split_once(". ")?;
    let (_, rest) = rest.split_once("priority ")?;
    let (priority, cookie) = rest.split_once(", cookie 0x")?;
    Some((
        table.parse().ok()?,
        priority.parse().ok()?,
        u64::from_str_radix(cookie, 16).ok()?,
    ))
}

fn compare(packet: &Packet, ours: &Outcome, theirs: &Trace) {
    let context = || format!("{packet}\n{ours}\n{}", theirs.text);
    let steps: Vec<_> = ours
        .trace
        .iter()
        .map(|s| (s.table.0, s.priority, s.cookie))
        .collect();
    assert_eq!(steps, theirs.steps, "{}", context());
    let Verdict::Output(deliveries) = &ours.verdict else {
        assert_eq!(theirs.ports, [], "{}", context());
        return;
    };
    let ports: Vec<PortNo> = deliveries.iter().map(|d| d.port).collect();
    assert_eq!(ports, theirs.ports, "{}", context());
    for delivery in deliveries {
        for field in shown(&delivery.packet) {
            assert!(
                theirs.fields.contains(&field),
                "{field} is not in\n{}",
                context()
            );
        }
    }
}

/// The fields of a delivered packet that `ofproto/trace` prints, as it does. Where a tunnelled packet came from is
/// gone by then, and of a neighbour advertisement some fields are never shown.
fn shown(packet: &Packet) -> Vec<String> {
    const HIDDEN: [Field; 5] = [
        Field::TUN_SRC,
        Field::TUN_IPV6_SRC,
        Field::ND_RESERVED,
        Field::ND_OPTIONS_TYPE,
        SCRATCH,
    ];
    let shown = packet.fields().filter(|(field, _)| !HIDDEN.contains(field));
    let all = shown.fold(Match::new(), |m, (field, value)| m.eq(field, value.clone()));
    all.to_string().split(',').map(str::to_owned).collect()
}

#[test]
fn the_interpreter_is_right() {
    const STATES: usize = 40;
    const PACKETS: usize = 150;
    let mut switch = Switch::start(&world::PORTS, world::TUNNEL);
    let mut runner = runner();
    let mut delivered = 0;
    for _ in 0..STATES {
        let state = draw(&mut runner, &world::state());
        let program = compile_all(&state);
        switch.ofctl(&[], "del-flows", &[]);
        switch.add_flows(&program.to_string());
        let tables = Tables::from(&program);
        for _ in 0..PACKETS {
            let packet = draw(&mut runner, &world::dice()).packet(&state);
            let theirs =
                Trace::parse(switch.appctl("ofproto/trace", &["br0", &packet.to_string()]));
            let ours = tables.run(packet.clone());
            compare(&packet, &ours, &theirs);
            delivered += usize::from(matches!(ours.verdict, Verdict::Output(_)));
        }
    }
    println!(
        "{} packets compared, {delivered} of them delivered",
        STATES * PACKETS
    );
    assert!(delivered > STATES * PACKETS / 10, "the dice are loaded");
}

/// A switch with the fixture's node on it.
fn switch() -> (Switch, State) {
    let state = fixture::state();
    let switch = Switch::start(&[TUNNEL, GATEWAY, 10, 11], TUNNEL);
    switch.add_flows(&compile_all(&state).to_string());
    (switch, state)
}

fn trace(switch: &mut Switch, packet: &Packet) -> (String, String) {
    let text = switch.appctl("ofproto/trace", &["br0", &packet.to_string()]);
    let line = |start: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(start));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    (line("Megaflow: "), line("Datapath actions: "))
}

/// The paths of a plain network: bare actions, and megaflows that tell no more than where the packet goes.
#[test]
fn plain_packets_take_no_recirculation() {
    let (mut switch, _) = switch();
    let to_neighbour = |host| format!("set(eth(src={ROUTER_MAC},dst={})),", mac(host));
    let v4 = "set(ipv4(ttl=63)),";
    let v6 = "set(ipv6(hlimit=63)),";
    for (to, seen, actions) in [
        (
            "10.0.1.11",
            "nw_dst=10.0.1.11,",
            format!("{}{v4}11", to_neighbour(11)),
        ),
        (
            "fd00:1::11",
            "ipv6_dst=fd00:1::11,",
            format!("{}{v6}11", to_neighbour(11)),
        ),
        ("10.0.2.9", "nw_dst=10.0.2.0/24,", format!("{v4}{TUNNEL}")),
        (
            "fd00:2::9",
            "ipv6_dst=fd00:2::/64,",
            format!("{v6}{TUNNEL}"),
        ),
        (
            "10.0.1.1",
            "nw_dst=10.0.1.1,",
            format!("{}{GATEWAY}", to_neighbour(2)),
        ),
        (
            "198.51.100.1",
            "nw_dst=192.0.0.0/3,",
            format!("{}{GATEWAY}", to_neighbour(2)),
        ),
        (
            "2001:db8::1",
            "ipv6_dst=::/1,",
            format!("{}{GATEWAY}", to_neighbour(2)),
        ),
    ] {
        let (megaflow, done) = trace(&mut switch, &of_pod(to));
        assert_eq!(done, actions, "{to}");
        assert!(
            megaflow.contains(seen) && !megaflow.contains("tp_"),
            "{megaflow}"
        );
        // To tell a DHCP server takes one bit of the port.
        let (megaflow, done) = trace(&mut switch, &udp(of_pod(to), 40000, 53));
        assert_eq!(done, actions, "{to}");
        assert!(
            megaflow.contains("tp_src=0x8000/0x8000") && !megaflow.contains("tp_dst"),
            "{megaflow}"
        );
    }
}

#[test]
fn advertisements_are_whole() {
    let (mut switch, _) = switch();
    let (_, done) = trace(
        &mut switch,
        &solicitation(10, mac(10), "fd00:1::10", "fe80::1"),
    );
    let expected = format!(
        "set(eth(src={ROUTER_MAC},dst={})),set(ipv6(src=fe80::1,dst=fd00:1::10)),\
         set(nd_ext(nd_reserved=0xe0000000,nd_options_type=2)),set(nd(tll={ROUTER_MAC})),set(icmpv6(type=136,code=0)),10",
        mac(10)
    );
    assert_eq!(done, expected);
}

#[test]
fn drops_are_counted_by_reason_with_real_packets() {
    let (mut switch, _) = switch();
    let ethernet = format!("eth(src={},dst={ROUTER_MAC})", mac(10));
    let ip = |source: &str, destination: &str, ttl: u8| {
        format!(
            "eth_type(0x0800),ipv4(src={source},dst={destination},proto=6,tos=0,ttl={ttl},frag=no),\
             tcp(src=40000,dst=80),tcp_flags(0x002)"
        )
    };
    let good = ip("10.0.1.10", "10.0.1.11", 64);
    let packets = [
        (None, format!("{ethernet},{good}")),
        // A tag must not ride on the megaflow that the untagged packet made.
        (
            Some(DropReason::VlanTagged),
            format!("{ethernet},eth_type(0x8100),vlan(vid=5,pcp=0),encap({good})"),
        ),
        (
            Some(DropReason::SpoofedSource),
            format!("{ethernet},{}", ip("10.0.1.11", "10.0.1.1", 64)),
        ),
        (
            Some(DropReason::TtlExpired),
            format!("{ethernet},{}", ip("10.0.1.10", "10.0.1.11", 1)),
        ),
        (
            Some(DropReason::UnknownDestinationPod),
            format!("{ethernet},{}", ip("10.0.1.10", "10.0.1.77", 64)),
        ),
    ];
    for (reason, packet) in packets {
        let received = format!("in_port(10),{packet}");
        switch.appctl("netdev-dummy/receive", &["p10", &received]);
        switch.appctl("netdev-dummy/receive", &["p10", &received]);
        if let Some(reason) = reason {
            let filter = format!(
                "cookie={}/-1,table={}",
                Cookie::drop(reason),
                Table::Drop.id()
            );
            let counted = || switch.ofctl(&[], "dump-flows", &[&filter]);
            let end = Instant::now() + Duration::from_secs(20);
            while !counted().contains("n_packets=2,") {
                assert!(
                    Instant::now() < end,
                    "{reason} is not counted:\n{}",
                    counted()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
