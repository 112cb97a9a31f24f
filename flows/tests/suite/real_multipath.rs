//! `multipath` in the interpreter and in a real Open vSwitch: the same link for every packet.

use openflow::Field;
use proptest::prelude::*;
use proptest::sample::select;
use sluice_flows::interpreter::Tables;

use crate::interpreter::flows;
use crate::random::{draw, runner};
use crate::switch::Switch;
use crate::traffic;

const FIELDS: [&str; 7] = [
    "eth_src",
    "symmetric_l4",
    "symmetric_l3l4",
    "symmetric_l3l4+udp",
    "nw_src",
    "nw_dst",
    "symmetric_l3",
];
const ALGORITHMS: [&str; 4] = ["modulo_n", "hash_threshold", "hrw", "iter_hash"];

/// The rest of the arguments: basis, how many links, and what iter_hash takes.
fn arguments() -> impl Strategy<Value = (u16, u32, u32)> {
    let links = prop_oneof![
        select(vec![1u32, 2, 63, 64, 65, 5000, 65_535, 65_536]),
        1..=300u32
    ];
    let arg = prop_oneof![select(vec![0u32, 1, 64, 128]), 0..1000u32];
    (any::<u16>(), links, arg)
}

/// A program that computes 28 links, one for each hash and algorithm, into registers of two halves.
fn program(arguments: &[(u16, u32, u32)]) -> Vec<String> {
    let all = FIELDS
        .iter()
        .flat_map(|f| ALGORITHMS.iter().map(move |a| (f, a)));
    let actions: Vec<String> = all
        .zip(arguments)
        .enumerate()
        .map(|(i, ((fields, algorithm), (basis, links, arg)))| {
            let (register, from) = (i / 2, i % 2 * 16);
            let to = from + 15;
            format!("multipath({fields},{basis},{algorithm},{links},{arg},NXM_NX_REG{register}[{from}..{to}])")
        })
        .collect();
    vec![format!("table=0 actions={}", actions.join(","))]
}

#[test]
fn the_link_is_the_one_the_switch_chooses() {
    const PROGRAMS: usize = 40;
    const PACKETS: usize = 100;
    let mut switch = Switch::start(&traffic::PORTS, 0);
    let mut runner = runner();
    for _ in 0..PROGRAMS {
        let arguments = draw(&mut runner, &proptest::collection::vec(arguments(), 28));
        let text = program(&arguments);
        switch.ofctl(&[], "del-flows", &[]);
        switch.add_flows(&text.join("\n"));
        let lines: Vec<&str> = text.iter().map(String::as_str).collect();
        let held = flows(&lines);
        let tables = Tables::from(&*held);
        for _ in 0..PACKETS {
            let packet = draw(&mut runner, &traffic::any_packet());
            let trace = switch.appctl("ofproto/trace", &["br0", &packet.to_string()]);
            let ours = tables.run(packet.clone());
            for i in 0..14 {
                let theirs = register(&trace, i);
                let ours = ours.packet.get(Field::reg(i)).to_u32();
                assert_eq!(ours, theirs, "reg{i} of {packet}\n{}\n{trace}", text[0]);
            }
        }
    }
    println!("{} links compared", PROGRAMS * PACKETS * 28);
}

/// A register at the end of a trace; it prints those that are not zero.
fn register(trace: &str, n: u8) -> u32 {
    let last = trace
        .lines()
        .find(|l| l.starts_with("Final flow:"))
        .unwrap();
    let last = if last.ends_with("unchanged") {
        ""
    } else {
        last
    };
    let name = format!("reg{n}=0x");
    last.split([',', ' '])
        .find_map(|field| field.strip_prefix(&name))
        .map_or(0, |digits| u32::from_str_radix(digits, 16).unwrap())
}
