//! The interpreter with a memory, on flows written by hand: connections, recirculations, and what is said of them.

use openflow::{Field, PortNo, TableId};
use sluice_flows::interpreter::{Loss, Outcome, Packet, Tables, Verdict, World, tcp};

use crate::fixture::{mac, packet};
use crate::interpreter::flows;

fn segment(in_port: u8, from: (&str, u16), to: (&str, u16), flags: u16) -> Packet {
    packet(in_port.into(), mac(in_port), from.0, to.0)
        .with(Field::TCP_SRC, from.1)
        .with(Field::TCP_DST, to.1)
        .with(Field::TCP_FLAGS, flags)
}

fn run(world: &mut World, text: &[&str], packet: Packet) -> Outcome {
    Tables::from(&*flows(text)).run_in(world, packet)
}

#[track_caller]
fn only(outcome: &Outcome) -> (PortNo, u32, &Packet) {
    match &outcome.verdict {
        Verdict::Output(all) => match all.as_slice() {
            [one] => (one.port, one.recirculations, &one.packet),
            _ => panic!("{outcome}"),
        },
        _ => panic!("{outcome}"),
    }
}

/// A Service in two zones: translated in one, kept apart in the other.
const SERVICE: [&str; 4] = [
    "table=0,priority=2,tcp,nw_dst=10.96.0.1 actions=ct(commit,zone=1,nat(dst=10.0.0.9:8080),table=2)",
    "table=0,priority=2,tcp,nw_src=10.0.0.9 actions=ct(zone=2,nat),ct(zone=1,nat),output:1",
    "table=0,priority=1,tcp actions=ct(commit,zone=2,nat(src=0.0.0.0)),output:9",
    "table=2,tcp actions=ct(commit,zone=2,nat(src=0.0.0.0)),output:9",
];

#[test]
fn a_service_translates_there_and_back() {
    let mut world = World::default();
    let syn = segment(1, ("10.0.0.1", 4000), ("10.96.0.1", 80), tcp::SYN);
    let there = run(&mut world, &SERVICE, syn);
    let (port, recirculations, packet) = only(&there);
    assert_eq!((port, recirculations), (PortNo(9), 1));
    assert_eq!(packet.get(Field::TCP_DST).to_u16(), 8080);
    let back = segment(
        9,
        ("10.0.0.9", 8080),
        ("10.0.0.1", 4000),
        tcp::SYN | tcp::ACK,
    );
    let back = run(&mut world, &SERVICE, back);
    let (port, recirculations, packet) = only(&back);
    assert_eq!((port, recirculations), (PortNo(1), 0));
    assert_eq!(
        packet.get(Field::IPV4_SRC).to_ipv4().to_string(),
        "10.96.0.1"
    );
    assert_eq!(packet.get(Field::TCP_SRC).to_u16(), 80);
    assert_eq!(world.conntrack.connections().count(), 2);
}

/// The two connections differ by where they went, not by their replies, and only one zone that has both can tell.
#[test]
fn a_clash_takes_another_source_port() {
    const ONE_ZONE: [&str; 3] = [
        "table=0,priority=2,tcp,nw_dst=10.96.0.1 actions=ct(commit,zone=1,nat(dst=10.0.0.9:8080)),output:9",
        "table=0,priority=2,tcp,nw_src=10.0.0.9 actions=ct(zone=1,nat),output:1",
        "table=0,priority=1,tcp actions=ct(commit,zone=1,nat(src=0.0.0.0)),output:9",
    ];
    let source = ("10.0.0.1", 4000);
    let direct = || segment(1, source, ("10.0.0.9", 8080), tcp::SYN);
    let through = || segment(1, source, ("10.96.0.1", 80), tcp::SYN);
    let mut world = World::default();
    run(&mut world, &ONE_ZONE, through());
    let direct_is = run(&mut world, &ONE_ZONE, direct());
    assert_eq!(only(&direct_is).2.get(Field::TCP_SRC).to_u16(), 4001);
    let back = segment(
        9,
        ("10.0.0.9", 8080),
        ("10.0.0.1", 4001),
        tcp::SYN | tcp::ACK,
    );
    let back = run(&mut world, &ONE_ZONE, back);
    let packet = only(&back).2;
    assert_eq!(packet.get(Field::TCP_DST).to_u16(), 4000);
    assert_eq!(packet.get(Field::TCP_SRC).to_u16(), 8080);

    // In a zone that sees both as they are on the wire, they are one connection.
    let mut world = World::default();
    run(&mut world, &SERVICE, through());
    let direct_is = run(&mut world, &SERVICE, direct());
    assert_eq!(only(&direct_is).2.get(Field::TCP_SRC).to_u16(), 4000);
}

#[test]
fn nothing_of_a_connection_shows_before_a_recirculation() {
    let flows = [
        "table=0,ip actions=ct(commit,zone=7,nat(src=10.0.0.77)),goto_table:1",
        "table=1,priority=2,ip,ct_state=+trk actions=output:8",
        "table=1,priority=1,ip,nw_src=10.0.0.1 actions=output:9",
    ];
    let syn = segment(1, ("10.0.0.1", 4000), ("10.0.0.2", 80), tcp::SYN);
    let outcome = run(&mut World::default(), &flows, syn);
    let (port, _, packet) = only(&outcome);
    assert_eq!(port, PortNo(9));
    assert_eq!(
        packet.get(Field::IPV4_SRC).to_ipv4().to_string(),
        "10.0.0.77"
    );
}

#[test]
fn the_trace_tells_recirculations_and_calls() {
    let flows = [
        "table=0,ip actions=resubmit(,5),ct(zone=1,table=6)",
        "table=5,ip actions=set_field:7->reg1",
        "table=6,ip,ct_state=+new+trk,reg1=0x7 actions=set_field:8->reg1,output:9",
    ];
    let syn = segment(1, ("10.0.0.1", 4000), ("10.0.0.2", 80), tcp::SYN);
    let outcome = run(&mut World::default(), &flows, syn);
    let steps: Vec<_> = outcome
        .trace
        .iter()
        .map(|s| (s.table.0, s.recirculations, s.nesting))
        .collect();
    assert_eq!(steps, [(0, 0, 0), (5, 0, 1), (6, 1, 0)]);
    assert!(
        outcome.trace[1]
            .changed
            .contains(&(Field::reg(1), 7u32.into()))
    );
    assert!(
        outcome.to_string().contains("-- recirculation 1\n"),
        "{outcome}"
    );
}

#[test]
fn tables_that_call_each_other_without_end_lose_the_packet() {
    let packet = || segment(1, ("10.0.0.1", 1), ("10.0.0.2", 2), tcp::SYN);
    let verdict = |text: &[&str]| run(&mut World::default(), text, packet()).verdict;
    let loop_ = ["table=0,ip actions=output:9,resubmit(,0)"];
    assert_eq!(verdict(&loop_), Verdict::Lost(Loss::TooDeep));
    let around = ["table=0,ip actions=ct(zone=1,table=0)"];
    assert_eq!(verdict(&around), Verdict::Lost(Loss::AroundTooOften));
    let calls = ["table=0,ip actions=resubmit(,5),resubmit(,6)"];
    assert_eq!(verdict(&calls), Verdict::Lost(Loss::Nowhere(TableId(0))));
}

#[test]
fn a_controller_gets_the_packet_as_it_is_then() {
    let flows =
        ["table=0,ip actions=set_field:5->reg1,controller(id=3,userdata=01.02),set_field:6->reg1"];
    let syn = segment(1, ("10.0.0.1", 4000), ("10.0.0.2", 80), tcp::SYN);
    let outcome = run(&mut World::default(), &flows, syn);
    assert_eq!(outcome.verdict, Verdict::Lost(Loss::Controller));
    let [packet_in] = outcome.packet_ins.as_slice() else {
        panic!("{outcome}");
    };
    assert_eq!(
        (packet_in.controller, packet_in.userdata.as_slice()),
        (3, &[1u8, 2][..])
    );
    assert_eq!(packet_in.packet.get(Field::reg(1)).to_u32(), 5);
}
