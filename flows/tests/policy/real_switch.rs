//! What a real Open vSwitch makes of the flows: `ofproto/trace` on the dummy datapath, over cases of cyclonus and over
//! random clusters.
//!
//! Of cyclonus a sample of all cells, another one for each `SLUICE_SEED`; all of them with `SLUICE_CYCLONUS_ALL=1`.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use sluice_flows::{Compiler, DropReason};

use crate::cluster::{GATEWAY, TUNNEL};
use crate::cyclonus_cases::steps;
use crate::flows::{Fate, judging, packet};
use crate::random::{expected, packets, world};
use crate::switch::Switch;

/// One cell in so many.
const STRIDE: usize = 19;

/// The reason that a trace ends with, if it is a drop.
fn dropped(trace: &str) -> Option<u64> {
    let actions = trace
        .lines()
        .find_map(|l| l.strip_prefix("Datapath actions: "))
        .unwrap();
    if actions != "drop" {
        return None;
    }
    let reasons = trace
        .lines()
        .filter_map(|l| l.trim().strip_prefix("60. reg3=0x"));
    let reason = reasons
        .into_iter()
        .next_back()
        .unwrap_or_else(|| panic!("{trace}"));
    let (reason, _) = reason.split_once(',').unwrap();
    Some(u64::from_str_radix(reason, 16).unwrap())
}

fn reason(fate: Fate) -> Option<u64> {
    let reason = match fate {
        Fate::Allowed => return None,
        Fate::DeniedEgress => DropReason::EgressIsolation,
        Fate::DeniedIngress => DropReason::IngressIsolation,
    };
    Some(reason.code().into())
}

#[test]
fn a_real_switch_does_what_the_evaluator_says() {
    const WORLDS: usize = 40;
    let ports: Vec<u32> = [TUNNEL, GATEWAY].into_iter().chain(10..34).collect();
    let mut switch = Switch::start(&ports, TUNNEL);
    let mut runner = TestRunner::new(Config::default());
    let (mut agreed, mut denied) = (0, 0);
    for n in 0..WORLDS {
        let state = world().new_tree(&mut runner).unwrap().current();
        let program = judging(&Compiler::new(state.clone()).desired());
        switch.ofctl(&[], "del-flows", &[]);
        switch.add_flows(&program.to_string());
        for (from, to, port) in packets().into_iter().skip(n % 17).step_by(17) {
            let Some(fate) = expected(&state, from, to, port) else {
                continue;
            };
            let packet = packet(&state, from, to, port);
            let trace = switch.appctl("ofproto/trace", &["br0", &packet.to_string()]);
            assert_eq!(
                dropped(&trace),
                reason(fate),
                "{from} to {to} {port:?}\n{trace}\n{program}"
            );
            agreed += 1;
            denied += usize::from(fate != Fate::Allowed);
        }
    }
    println!("random clusters by a real switch: {agreed} packets, {denied} of them denied");
    assert!(denied > 200 && agreed > 2 * denied, "the dice are loaded");
}

#[test]
fn a_real_switch_conforms() {
    let all_of_them = std::env::var_os("SLUICE_CYCLONUS_ALL").is_some();
    let stride = if all_of_them { 1 } else { STRIDE };
    let seed = std::env::var("SLUICE_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| usize::try_from(std::process::id()).unwrap());
    println!("SLUICE_SEED={seed}");
    let steps = steps();
    let ports: Vec<u32> = [TUNNEL, GATEWAY].into_iter().chain(10..22).collect();
    let mut switch = Switch::start(&ports, TUNNEL);
    let (mut agreed, mut all, mut denied) = (0, 0, 0);
    for step in &steps {
        let chosen = step.cells.iter().filter(|cell| {
            all += 1;
            (all + seed).is_multiple_of(stride) && !cell.is_to_itself()
        });
        let chosen: Vec<_> = chosen.collect();
        let program = judging(&Compiler::new(step.state.clone()).desired());
        switch.ofctl(&[], "del-flows", &[]);
        switch.add_flows(&program.to_string());
        for cell in chosen {
            let packet = packet(
                &step.state,
                cell.from.ips[0],
                cell.to.ips[0],
                Some(cell.port),
            );
            let trace = switch.appctl("ofproto/trace", &["br0", &packet.to_string()]);
            let expected = reason(match (cell.egress, cell.ingress) {
                (false, _) => Fate::DeniedEgress,
                (true, false) => Fate::DeniedIngress,
                (true, true) => Fate::Allowed,
            });
            assert_eq!(dropped(&trace), expected, "{} {cell:?}\n{trace}", step.name);
            denied += usize::from(expected.is_some());
            agreed += 1;
        }
    }
    println!("cyclonus by a real switch: {agreed} of {all} cells, {denied} of them denied");
    assert!(agreed >= 5000, "{agreed} cells are no sample");
}
