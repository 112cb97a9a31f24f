//! Conformance: the cases of cyclonus, by the evaluator and by the flows.

use sluice_flows::Direction;
use sluice_flows::interpreter::Tables;
use sluice_flows::{Compiler, Verdict};

use crate::cyclonus_cases::{Cell, Step, steps};
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

/// How many cells of a step there are, and how many of them the flows agree with.
fn conforms(step: &Step) -> (usize, usize) {
    let compiler = Compiler::new(step.state.clone());
    let program = judging(&compiler.desired());
    let tables = Tables::from(&program);
    let others = step.cells.iter().filter(|cell| !cell.is_to_itself());
    let others: Vec<&Cell> = others.collect();
    for cell in &others {
        let (from, to) = (cell.from.ips[0], cell.to.ips[0]);
        let done = run(&tables, &step.state, from, to, Some(cell.port));
        assert_eq!(done, fate(cell), "{} {cell:?}", step.name);
        let judged = match compiler.judge(from, to, Some(cell.port)) {
            Verdict::Allowed => Fate::Allowed,
            Verdict::Denied(Direction::Egress) => Fate::DeniedEgress,
            Verdict::Denied(Direction::Ingress) => Fate::DeniedIngress,
        };
        assert_eq!(judged, fate(cell), "{} {cell:?}", step.name);
    }
    (step.cells.len(), others.len())
}

#[test]
fn the_flows_conform() {
    let steps = steps();
    let counts: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let parts = steps.chunks(steps.len().div_ceil(4));
        let parts = parts.map(|part| scope.spawn(|| part.iter().map(conforms).collect::<Vec<_>>()));
        let parts: Vec<_> = parts.collect();
        parts
            .into_iter()
            .flat_map(|part| part.join().unwrap())
            .collect()
    });
    let all: usize = counts.iter().map(|(all, _)| all).sum();
    let agreed: usize = counts.iter().map(|(_, agreed)| agreed).sum();
    println!("cyclonus by the flows: {agreed} of {all} cells; the others are a pod to itself");
    assert_eq!(all, 123_669);
}
