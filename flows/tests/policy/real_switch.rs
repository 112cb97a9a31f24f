//! What a real Open vSwitch makes of the flows: `ofproto/trace` on the dummy datapath, over cases of cyclonus.
//!
//! A sample of all cells, another one for each `SLUICE_SEED`; all of them with `SLUICE_CYCLONUS_ALL=1`.

use sluice_flows::{Compiler, DropReason};

use crate::cluster::{GATEWAY, TUNNEL};
use crate::cyclonus_cases::steps;
use crate::flows::{judging, packet};
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
            let expected = match (cell.egress, cell.ingress) {
                (false, _) => Some(DropReason::EgressIsolation),
                (true, false) => Some(DropReason::IngressIsolation),
                (true, true) => None,
            };
            let expected = expected.map(|reason| u64::from(reason.code()));
            assert_eq!(dropped(&trace), expected, "{} {cell:?}\n{trace}", step.name);
            denied += usize::from(expected.is_some());
            agreed += 1;
        }
    }
    println!("cyclonus by a real switch: {agreed} of {all} cells, {denied} of them denied");
    assert!(agreed >= 5000, "{agreed} cells are no sample");
}
