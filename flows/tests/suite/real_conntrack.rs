//! Random programs with conntrack, and real packets through them: what leaves the switch, byte for byte, and the
//! connections that it holds are what the interpreter says.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use openflow::action::NatFlags;
use openflow::{Field, MacAddr, PortNo};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use sluice_flows::interpreter::conntrack::Connection;
use sluice_flows::interpreter::{Packet, Tables, Tuple, Verdict, World, tcp};

use crate::bench::{Bench, PORTS, PROBE};
use crate::frames::{encode, hex};
use crate::interpreter::flows;
use crate::random::{draw, runner};

const LAST_TABLE: u8 = 6;

/// The family of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Four,
    Six,
}

impl Family {
    fn address(self, n: u8) -> IpAddr {
        match self {
            Self::Four => [10, 0, 0, n].into(),
            Self::Six => [0xfd00, 0, 0, 0, 0, 0, 0, u16::from(n)].into(),
        }
    }

    fn with_port(self, n: u8, port: u16) -> String {
        match self.address(n) {
            IpAddr::V4(address) => format!("{address}:{port}"),
            IpAddr::V6(address) => format!("[{address}]:{port}"),
        }
    }

    fn pick(self, four: &'static str, six: &'static str) -> &'static str {
        match self {
            Self::Four => four,
            Self::Six => six,
        }
    }
}

const HOSTS: [u8; 5] = [1, 2, 3, 9, 96];
const L4_PORTS: [u16; 4] = [80, 700, 1000, 1001];

fn words(list: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    select(list.to_vec()).prop_map(str::to_owned)
}

fn nat(family: Family) -> impl Strategy<Value = String> {
    let host = || select(HOSTS.to_vec());
    let port = || select(L4_PORTS.to_vec());
    let null = family.pick("nat(src=0.0.0.0)", "nat(src=::)");
    prop_oneof![
        3 => Just(null.to_owned()),
        1 => Just("nat".to_owned()),
        2 => host().prop_map(move |n| format!("nat(src={})", family.address(n))),
        2 => host().prop_map(move |n| format!("nat(dst={})", family.address(n))),
        1 => (host(), port()).prop_map(move |(n, p)| format!("nat(src={})", family.with_port(n, p))),
        2 => (host(), port()).prop_map(move |(n, p)| format!("nat(dst={})", family.with_port(n, p))),
    ]
}

fn exec() -> impl Strategy<Value = String> {
    let set = words(&[
        "set_field:0x5->ct_mark",
        "set_field:0x10/0x30->ct_mark",
        "load:1->NXM_NX_CT_MARK[0]",
        "move:NXM_NX_REG0[0..3]->NXM_NX_CT_MARK[8..11]",
        // Not from a mark: Open vSwitch takes that from the packet that made the megaflow.
        "set_field:0xabc->ct_label",
        "load:7->NXM_NX_CT_LABEL[4..7]",
    ]);
    vec(set, 1..3).prop_map(|all| format!("exec({})", all.join(",")))
}

fn ct(family: Family, from: u8) -> BoxedStrategy<String> {
    let zone = prop_oneof![
        words(&["zone=1", "zone=2"]),
        words(&["zone=NXM_NX_REG0[0..15]"])
    ];
    let table = (from + 1..=LAST_TABLE.max(from + 1)).prop_map(|t| format!("table={t}"));
    let parts = (zone, option::weighted(0.6, table), nat(family), exec());
    let chosen = (parts, any::<[bool; 3]>(), 0..6u8);
    chosen
        .prop_map(
            move |((zone, table, nat, exec), [with_nat, with_exec, look], commit)| {
                let mut all = vec![zone];
                if commit > 1 {
                    all.insert(
                        0,
                        if commit == 2 {
                            "commit,force"
                        } else {
                            "commit"
                        }
                        .to_owned(),
                    );
                    all.extend(with_nat.then_some(nat));
                    all.extend(with_exec.then_some(exec));
                } else if look {
                    all.push("nat".to_owned());
                }
                all.extend(table.filter(|_| from < LAST_TABLE));
                format!("ct({})", all.join(","))
            },
        )
        .boxed()
}

fn simple(family: Family) -> BoxedStrategy<String> {
    let address = family.pick("->ip_dst", "->ipv6_dst");
    let host = select(HOSTS.to_vec());
    prop_oneof![
        4 => words(&["output:1", "output:2", "output:3", "output:4", "IN_PORT"]),
        2 => words(&[
            "set_field:1->reg0",
            "set_field:2->reg0",
            "move:NXM_NX_CT_STATE[0..7]->NXM_NX_REG0[0..7]",
            "move:NXM_NX_CT_ZONE[]->NXM_NX_REG0[0..15]",
        ]),
        6 => words(&[
            "move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_DST[0..7]",
            "move:NXM_NX_CT_ZONE[]->NXM_OF_ETH_DST[8..23]",
            "move:NXM_NX_CT_MARK[]->NXM_OF_ETH_SRC[0..31]",
            "move:NXM_NX_CT_LABEL[0..15]->NXM_OF_ETH_SRC[32..47]",
            "move:NXM_NX_REG0[0..15]->NXM_OF_ETH_DST[24..39]",
        ]),
        1 => words(&["dec_ttl", "ct_clear", "note:01", "push:NXM_NX_REG0[]", "pop:NXM_NX_REG0[]"]),
        1 => host.prop_map(move |n| format!("set_field:{}{address}", family.address(n))),
    ]
    .boxed()
}

fn action(family: Family, from: u8) -> BoxedStrategy<String> {
    let clone = vec(prop_oneof![simple(family), ct(family, from)], 1..4);
    let leaf = prop_oneof![
        5 => simple(family),
        5 => ct(family, from),
        1 => clone.prop_map(|all| format!("clone({})", all.join(","))),
    ];
    if from < LAST_TABLE {
        let call = (from + 1..=LAST_TABLE).prop_map(|t| format!("resubmit(,{t})"));
        prop_oneof![9 => leaf, 1 => call].boxed()
    } else {
        leaf.boxed()
    }
}

/// What a flow asks for besides the family.
fn condition(family: Family) -> impl Strategy<Value = String> {
    let orig = family.pick(
        ",ct_state=+trk-inv,ct_nw_src=10.0.0.1",
        ",ct_state=+trk-inv,ct_ipv6_src=fd00::1",
    );
    let port = ",ct_state=+trk+est,ct_nw_proto=6,ct_tp_dst=80";
    let host = family.pick(",nw_dst=10.0.0.96", ",ipv6_dst=fd00::60");
    words(&[
        orig,
        port,
        host,
        "",
        ",ct_state=-trk",
        ",ct_state=+trk",
        ",ct_state=+trk+new",
        ",ct_state=+trk+est",
        ",ct_state=+trk+rpl",
        ",ct_state=+trk-rpl",
        ",ct_state=+trk+inv",
        ",ct_state=+trk+rel",
        ",ct_state=+trk+dnat",
        ",ct_state=+trk+snat",
        ",ct_mark=0x1/0x1",
        ",ct_zone=1",
        ",reg0=0x1",
        ",in_port=1",
    ])
}

fn flow(family: Family, table: u8) -> impl Strategy<Value = String> {
    let actions = vec(action(family, table), 1..5);
    let goto = option::of(table + 1..=LAST_TABLE.max(table + 1));
    (condition(family), actions, goto).prop_map(move |(mut condition, mut actions, goto)| {
        // Open vSwitch takes no commit of what is invalid.
        if actions.iter().any(|a| a.contains("commit")) {
            condition = condition.replace("+inv", "-inv");
        }
        let goto = goto.filter(|_| table < LAST_TABLE);
        actions.extend(goto.map(|t| format!("goto_table:{t}")));
        let family = family.pick("ip", "ipv6");
        format!(
            "table={table},{family}{condition} actions={}",
            actions.join(",")
        )
    })
}

/// `force` ends connections, and Open vSwitch before 3.1.3 keeps half of a translated one for up to 20 s, and aborts
/// when it meets one whose replies were not changed. So a program has either.
fn without_nat(mut flow: String) -> String {
    while let Some(start) = flow.find(",nat(") {
        let end = start + flow[start..].find(')').unwrap();
        flow.replace_range(start..=end, "");
    }
    flow.replace(",nat,", ",").replace(",nat)", ")")
}

fn program() -> impl Strategy<Value = (Family, Vec<String>)> {
    let kind = (select(vec![Family::Four, Family::Six]), any::<bool>());
    kind.prop_flat_map(|(family, forceful)| {
        let tables: Vec<_> = (1..=LAST_TABLE)
            .map(|t| vec(flow(family, t), 1..5))
            .collect();
        tables.prop_map(move |tables| {
            // Priorities of their own, so that no two flows tie.
            let flows = tables.into_iter().flatten().enumerate();
            let mut all: Vec<String> = flows
                .map(|(i, flow)| {
                    (
                        i + 1,
                        if forceful {
                            without_nat(flow)
                        } else {
                            flow.replace(",force", "")
                        },
                    )
                })
                .map(|(i, flow)| format!("priority={i},cookie={i},{flow}"))
                .collect();
            all.push(format!("table=0 actions=resubmit(,1),output:{PROBE}"));
            (family, all)
        })
    })
}

/// Which packet comes next: a new one, or an answer of some kind to one that left.
#[derive(Debug, Clone)]
enum Next {
    New(Packet),
    Answer(Index, u32, u16),
    Again(Index, u32, u16),
    Error(Index, u32),
}

fn flags() -> impl Strategy<Value = u16> {
    use tcp::{ACK, FIN, PSH, RST, SYN};
    prop_oneof![
        4 => Just(SYN),
        2 => Just(SYN | ACK),
        4 => Just(ACK),
        1 => select(vec![ACK | PSH, FIN | ACK, RST, RST | ACK, FIN, 0, SYN | FIN, SYN | PSH]),
    ]
}

fn new_packet(family: Family) -> impl Strategy<Value = Packet> {
    let hosts = (select(HOSTS.to_vec()), select(HOSTS.to_vec()));
    let ports = (select(L4_PORTS.to_vec()), select(L4_PORTS.to_vec()));
    let proto = prop_oneof![4 => Just(6u8), 2 => Just(17u8), 2 => Just(1u8), 1 => Just(132u8)];
    (select(PORTS.to_vec()), hosts, ports, proto, flags()).prop_map(
        move |(port, (a, b), (x, y), proto, flags)| {
            let packet = Packet::new(PortNo(port))
                .with(Field::ETH_SRC, MacAddr([0x0a, 0, 0, 0, 0, 1]))
                .with(Field::ETH_DST, MacAddr([0x0a, 0, 0, 0, 0, 2]))
                .with(Field::NW_TTL, 64u8);
            let packet = match (family.address(a), family.address(b)) {
                (IpAddr::V4(a), IpAddr::V4(b)) => packet
                    .with(Field::ETH_TYPE, 0x0800u16)
                    .with(Field::IPV4_SRC, a)
                    .with(Field::IPV4_DST, b),
                (IpAddr::V6(a), IpAddr::V6(b)) => packet
                    .with(Field::ETH_TYPE, 0x86ddu16)
                    .with(Field::IPV6_SRC, a)
                    .with(Field::IPV6_DST, b),
                _ => unreachable!(),
            };
            match (proto, family) {
                (6, _) => packet
                    .with(Field::IP_PROTO, proto)
                    .with(Field::TCP_SRC, x)
                    .with(Field::TCP_DST, y)
                    .with(Field::TCP_FLAGS, flags),
                (17, _) => packet
                    .with(Field::IP_PROTO, proto)
                    .with(Field::UDP_SRC, x)
                    .with(Field::UDP_DST, y),
                (1, Family::Four) => packet
                    .with(Field::IP_PROTO, proto)
                    .with(Field::ICMPV4_TYPE, if y == 80 { 0u8 } else { 8 })
                    .with_icmp_id(x),
                (1, Family::Six) => packet
                    .with(Field::IP_PROTO, 58u8)
                    .with(Field::ICMPV6_TYPE, if y == 80 { 129u8 } else { 128 })
                    .with_icmp_id(x),
                _ => packet.with(Field::IP_PROTO, proto),
            }
        },
    )
}

fn next(family: Family) -> impl Strategy<Value = Next> {
    let port = || select(PORTS.to_vec());
    prop_oneof![
        3 => new_packet(family).prop_map(Next::New),
        4 => (any::<Index>(), port(), flags()).prop_map(|(i, p, f)| Next::Answer(i, p, f)),
        2 => (any::<Index>(), port(), flags()).prop_map(|(i, p, f)| Next::Again(i, p, f)),
        1 => (any::<Index>(), port()).prop_map(|(i, p)| Next::Error(i, p)),
    ]
}

fn swap(packet: &mut Packet, one: Field, other: Field) {
    let (a, b) = (packet.get(one), packet.get(other));
    packet.set(one, b);
    packet.set(other, a);
}

fn with_flags(packet: Packet, port: u32, flags: u16) -> Packet {
    // What a switch sends has no metadata.
    let headers = packet
        .fields()
        .filter(|(f, _)| !f.name().starts_with("reg") && !f.name().starts_with("ct_"));
    let mut plain = headers
        .fold(Packet::default(), |p, (f, v)| p.with(f, v.clone()))
        .with_icmp_id(packet.icmp_id())
        .with(Field::IN_PORT, port)
        .with(Field::NW_TTL, 64u8);
    if let Some(inner) = packet.inner() {
        plain = plain.with_inner(inner.clone());
    }
    if packet.get(Field::IP_PROTO).to_u8() == 6 {
        plain = plain.with(Field::TCP_FLAGS, flags);
    }
    plain
}

fn answer(packet: &Packet, port: u32, flags: u16) -> Packet {
    let mut packet = with_flags(packet.clone(), port, flags);
    if packet.get(Field::ETH_TYPE).to_u16() == 0x0800 {
        swap(&mut packet, Field::IPV4_SRC, Field::IPV4_DST);
    } else {
        swap(&mut packet, Field::IPV6_SRC, Field::IPV6_DST);
    }
    match packet.get(Field::IP_PROTO).to_u8() {
        6 => swap(&mut packet, Field::TCP_SRC, Field::TCP_DST),
        17 => swap(&mut packet, Field::UDP_SRC, Field::UDP_DST),
        1 if packet.inner().is_none() => packet.set(
            Field::ICMPV4_TYPE,
            8 - packet.get(Field::ICMPV4_TYPE).to_u8(),
        ),
        58 if packet.inner().is_none() => packet.set(
            Field::ICMPV6_TYPE,
            1 ^ packet.get(Field::ICMPV6_TYPE).to_u8(),
        ),
        _ => {}
    }
    packet
}

/// The error about a packet that its receiver sends.
fn error(family: Family, about: &Packet, port: u32) -> Option<Packet> {
    let (source, destination) = match family {
        Family::Four => (
            IpAddr::from(about.get(Field::IPV4_SRC).to_ipv4()),
            IpAddr::from(about.get(Field::IPV4_DST).to_ipv4()),
        ),
        Family::Six => (
            IpAddr::from(about.get(Field::IPV6_SRC).to_ipv6()),
            IpAddr::from(about.get(Field::IPV6_DST).to_ipv6()),
        ),
    };
    let proto = about.get(Field::IP_PROTO).to_u8();
    let inner = match proto {
        6 => Tuple::new(
            proto,
            (source, about.get(Field::TCP_SRC).to_u16()),
            (destination, about.get(Field::TCP_DST).to_u16()),
        ),
        17 => Tuple::new(
            proto,
            (source, about.get(Field::UDP_SRC).to_u16()),
            (destination, about.get(Field::UDP_DST).to_u16()),
        ),
        1 | 58 if about.inner().is_none() => {
            let kind = if proto == 1 {
                Field::ICMPV4_TYPE
            } else {
                Field::ICMPV6_TYPE
            };
            Tuple::icmp(
                source,
                destination,
                about.get(kind).to_u8(),
                about.icmp_id(),
            )?
        }
        _ => return None,
    };
    let packet = answer(&with_flags(about.clone(), port, 0), port, 0);
    let plain = packet.fields().filter(|(f, _)| {
        let eth_or_ip = ["eth_", "ip_src", "ip_dst", "ipv6_", "in_port", "nw_ttl"];
        eth_or_ip.iter().any(|start| f.name().starts_with(start))
    });
    let packet = plain.fold(Packet::default(), |p, (f, v)| p.with(f, v.clone()));
    let packet = match family {
        Family::Four => packet
            .with(Field::IP_PROTO, 1u8)
            .with(Field::ICMPV4_TYPE, 3u8)
            .with(Field::ICMPV4_CODE, 1u8),
        Family::Six => packet
            .with(Field::IP_PROTO, 58u8)
            .with(Field::ICMPV6_TYPE, 1u8)
            .with(Field::ICMPV6_CODE, 3u8),
    };
    Some(packet.with_inner(inner))
}

/// A frame without the checksums of ICMP errors, which Open vSwitch does not always keep right.
fn comparable(mut frame: Vec<u8>) -> String {
    const ETHERNET: usize = 14;
    let (ip, proto) = if frame[12] == 0x08 {
        (20, frame[23])
    } else {
        (40, frame[20])
    };
    let icmp = ETHERNET + ip;
    if (proto, frame[icmp]) == (1, 3) {
        let quoted = icmp + 8;
        let sum = match frame[quoted + 9] {
            6 => 16,
            17 => 6,
            _ => 2,
        };
        for at in [icmp + 2, quoted + 20 + sum] {
            frame[at..at + 2].fill(0);
        }
    }
    hex(&frame)
}

/// A connection as `dpctl/dump-conntrack` prints it.
fn connection_text(c: &Connection) -> String {
    let tuple = |t: &Tuple| {
        let ends = format!("src={},dst={}", t.source.address, t.destination.address);
        match t.protocol {
            6 | 17 => format!(
                "{ends},sport={},dport={}",
                t.source.port, t.destination.port
            ),
            1 | 58 => format!(
                "{ends},id={},type={},code=0",
                t.source.port, t.source.icmp_type
            ),
            // Of protocols that it does not track, the switch prints ports that are none.
            132 => format!("{ends},sport=0,dport=0"),
            _ => ends,
        }
    };
    let proto = match c.original.protocol {
        1 => "icmp",
        6 => "tcp",
        17 => "udp",
        58 => "icmpv6",
        132 => "sctp",
        _ => "other",
    };
    let mut text = format!(
        "{proto},orig=({}),reply=({})",
        tuple(&c.original),
        tuple(&c.reply)
    );
    if c.zone != 0 {
        text += &format!(",zone={}", c.zone);
    }
    if c.mark != 0 {
        text += &format!(",mark={}", c.mark);
    }
    if c.label != 0 {
        text += &format!(",labels={:#x}", c.label);
    }
    text
}

/// The connections that were translated, if only to what they were.
fn translated(world: &World) -> BTreeSet<u64> {
    let all = world.conntrack.connections();
    all.filter(|c| c.translation() != NatFlags(0) || c.reply != c.original.reversed())
        .map(Connection::id)
        .collect()
}

#[test]
fn conntrack_does_what_the_switch_does() {
    const PROGRAMS: usize = 60;
    const PACKETS: usize = 60;
    let mut bench = Bench::new();
    let mut runner = runner();
    let (mut sent, mut left, mut states) = (0, 0, BTreeMap::<u32, usize>::new());
    for _ in 0..PROGRAMS {
        let (family, text) = draw(&mut runner, &program());
        bench.switch.ofctl(&[], "del-flows", &[]);
        bench.switch.appctl("dpctl/flush-conntrack", &[]);
        bench.switch.add_flows(&text.join("\n"));
        // What the datapath has cached of the program before.
        bench.switch.appctl("revalidator/purge", &[]);
        let lines: Vec<&str> = text.iter().map(String::as_str).collect();
        let held = flows(&lines);
        let tables = Tables::from(&*held);
        let mut world = World::default();
        let mut pool: Vec<Packet> = Vec::new();
        let mut history = Vec::new();
        for _ in 0..PACKETS {
            let packet = match draw(&mut runner, &next(family)) {
                Next::New(packet) => packet,
                _ if pool.is_empty() => continue,
                Next::Answer(i, port, flags) => answer(i.get(&pool), port, flags),
                Next::Again(i, port, flags) => with_flags(i.get(&pool).clone(), port, flags),
                // Translating an error of IPv6, Open vSwitch 3.1.0 spoils an address of the packet that it quotes.
                Next::Error(..)
                    if family == Family::Six && lines.iter().any(|l| l.contains("nat")) =>
                {
                    continue;
                }
                Next::Error(i, port) => match error(family, i.get(&pool), port) {
                    Some(packet) => packet,
                    None => continue,
                },
            };
            history.push(packet.to_string());
            let before = translated(&world);
            let outcome = tables.run_in(&mut world, packet.clone());
            if !before.is_subset(&translated(&world)) {
                // The end of a translated TCP connection: see `without_nat`.
                break;
            }
            let theirs = bench.send(&packet);
            let context = || {
                format!(
                    "{}\n\n{}\n\n{packet}, about {:?}\n{outcome}",
                    text.join("\n"),
                    history.join("\n"),
                    packet.inner()
                )
            };
            let Verdict::Output(deliveries) = &outcome.verdict else {
                panic!("{}", context());
            };
            for (port, theirs) in theirs {
                let ours = deliveries.iter().filter(|d| d.port.0 == port);
                let ours: Vec<String> = ours.map(|d| comparable(encode(&d.packet))).collect();
                let theirs: Vec<String> = theirs.into_iter().map(comparable).collect();
                assert_eq!(ours, theirs, "port {port}\n{}", context());
                left += theirs.len();
            }
            let ours: BTreeSet<String> =
                world.conntrack.connections().map(connection_text).collect();
            assert_eq!(ours, bench.connections(), "{}", context());
            for step in outcome
                .trace
                .iter()
                .filter_map(|s| s.match_.get(Field::CT_STATE))
            {
                *states.entry(step.0.to_u32()).or_default() += 1;
            }
            pool.extend(deliveries.iter().map(|d| d.packet.clone()));
            if pool.len() > 40 {
                pool.drain(..pool.len() - 40);
            }
            sent += 1;
        }
    }
    println!("{sent} packets sent, {left} frames compared, flows met by ct_state: {states:x?}");
}
