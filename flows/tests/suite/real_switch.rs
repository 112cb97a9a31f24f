//! The same flows, the same packets: what the interpreter says is what a real Open vSwitch does.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use openflow::connection::{FlowStatsRequest, Options};
use openflow::{Connection, Field, Match, PortNo, Value};
use sluice_flows::compile_all;
use sluice_flows::interpreter::{Loss, Outcome, Packet, Tables, Verdict};
use sluice_flows::model::State;
use sluice_flows::pipeline::{ROUTER_MAC, Table};
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
        let last = match line("Final flow: ") {
            "unchanged" => line("Flow: "),
            changed => changed,
        };
        Self {
            steps: text.lines().filter_map(step).collect(),
            ports: top_level(actions).filter_map(|a| a.parse().ok()).collect(),
            fields: last.split(',').map(|f| f.trim().to_owned()).collect(),
            text,
        }
    }
}

/// The items of a list that has lists within.
fn top_level(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    list.split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
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
    let ports: Vec<PortNo> = match &ours.verdict {
        Verdict::Output(deliveries) => deliveries.iter().map(|d| d.port).collect(),
        _ => Vec::new(),
    };
    assert_eq!(ports, theirs.ports, "{}", context());
    for field in shown(&ours.packet) {
        assert!(
            theirs.fields.contains(&field),
            "{field} is not in\n{}",
            context()
        );
    }
}

/// The fields of a packet that `ofproto/trace` prints at the end, as it does: no empty registers, not where a
/// packet came from through the tunnel, and not all of a neighbour advertisement.
fn shown(packet: &Packet) -> Vec<String> {
    const HIDDEN: [Field; 4] = [
        Field::TUN_SRC,
        Field::TUN_IPV6_SRC,
        Field::ND_RESERVED,
        Field::ND_OPTIONS_TYPE,
    ];
    let empty = |field: Field, value: &Value| field.name().starts_with("reg") && value.is_zero();
    let shown = packet
        .fields()
        .filter(|(field, value)| !HIDDEN.contains(field) && !empty(*field, value));
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

/// Flows that use more of the interpreter than the pipeline does, sent as text and read back.
#[tokio::test]
async fn the_interpreter_is_right_about_flows_by_hand() {
    const FLOWS: &str = "\
table=0,priority=20,cookie=1,ip,nw_dst=10.0.1.0/29 actions=load:0x5->NXM_NX_REG1[4..7],set_field:0xff00/0xff00->reg1,\
move:NXM_OF_IP_DST[0..7]->NXM_NX_REG1[16..23],goto_table:3
table=0,priority=10,cookie=2,ip actions=set_field:14->reg2,output:NXM_NX_REG2[],output:99,goto_table:3
table=0,priority=10,cookie=3,ipv6 actions=move:NXM_NX_IPV6_SRC[0..31]->NXM_NX_REG5[],move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],IN_PORT
table=0,priority=5,cookie=4,arp actions=output:2,set_field:3->arp_op,output:13
table=3,priority=30,cookie=5,reg1=0x10000/0x10000,ip actions=dec_ttl,output:11
table=3,priority=20,cookie=6,tcp,tp_dst=0/1 actions=set_field:4321->tcp_dst,output:12
table=3,priority=20,cookie=7,udp actions=set_field:10.7.7.7->ip_dst,set_field:6->nw_ttl,output:12";
    let mut switch = Switch::start(&world::PORTS, world::TUNNEL);
    switch.add_flows(FLOWS);
    let connection = Connection::connect(switch.target().parse().unwrap(), Options::default());
    connection.connected().await.unwrap();
    let flows = connection
        .dump_flows(FlowStatsRequest::default())
        .await
        .unwrap();
    assert_eq!(flows.len(), FLOWS.lines().count());
    let tables = Tables::from(&**flows);
    let mut runner = runner();
    let state = fixture::state();
    let (mut delivered, mut lost) = (0, 0);
    for _ in 0..1000 {
        let packet = draw(&mut runner, &world::dice()).packet(&state);
        let ours = tables.run(packet.clone());
        // What expires goes to the controller, which is another matter.
        if ours.verdict != Verdict::Lost(Loss::Expired) {
            let theirs = switch.appctl("ofproto/trace", &["br0", &packet.to_string()]);
            compare(&packet, &ours, &Trace::parse(theirs));
        }
        match ours.verdict {
            Verdict::Output(_) => delivered += 1,
            Verdict::Lost(_) => lost += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(
        delivered > 100 && lost > 10,
        "{delivered} delivered, {lost} lost"
    );
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
