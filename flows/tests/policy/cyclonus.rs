//! Conformance: the cases of cyclonus, by the evaluator and by the flows.

use sluice_flows::Direction;
use sluice_flows::interpreter::Tables;
use sluice_flows::{Compiler, Verdict};

use crate::cyclonus_cases::{Cell, steps};
use crate::flows::{Fate, judging, run};
use crate::oracle::{End, allows};

fn fate(cell: &Cell) -> Fate {
    match (cell.egress, cell.ingress) {
        (false, _) => Fate::DeniedEgress,
        (true, false) => Fate::DeniedIngress,
        (true, true) => Fate::Allowed,
    }
}

#[test]
fn the_evaluator_conforms() {
    let (mut agreed, mut all) = (0, 0);
    for step in steps() {
        for cell in &step.cells {
            all += 1;
            if cell.is_to_itself() {
                continue;
            }
            for (direction, pod, peer) in [
                (Direction::Egress, &cell.from, &cell.to),
                (Direction::Ingress, &cell.to, &cell.from),
            ] {
                let peer = End::of(peer.ips[0], &step.state);
                let allowed = allows(&step.state, direction, pod, &peer, Some(cell.port));
                assert_eq!(
                    allowed,
                    cell.expected(direction),
                    "{} {direction} {cell:?}",
                    step.name
                );
            }
            agreed += 1;
        }
    }
    println!("cyclonus by the evaluator: {agreed} of {all} cells; the others are a pod to itself");
    assert_eq!(all, 123_669);
}

#[test]
fn the_flows_conform() {
    let (mut agreed, mut all) = (0, 0);
    for step in steps() {
        let compiler = Compiler::new(step.state.clone());
        let program = judging(&compiler.desired());
        let tables = Tables::from(&program);
        for cell in &step.cells {
            all += 1;
            if cell.is_to_itself() {
                continue;
            }
            let (from, to) = (cell.from.ips[0], cell.to.ips[0]);
            let done = run(&tables, &step.state, from, to, Some(cell.port));
            assert_eq!(done, fate(cell), "{} {cell:?}", step.name);
            let judged = match compiler.judge(from, to, Some(cell.port)) {
                Verdict::Allowed => Fate::Allowed,
                Verdict::Denied(Direction::Egress) => Fate::DeniedEgress,
                Verdict::Denied(Direction::Ingress) => Fate::DeniedIngress,
            };
            assert_eq!(judged, fate(cell), "{} {cell:?}", step.name);
            agreed += 1;
        }
    }
    println!("cyclonus by the flows: {agreed} of {all} cells; the others are a pod to itself");
    assert_eq!(all, 123_669);
}
