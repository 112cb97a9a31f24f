//! As `flow_mod`, for a machine that is busy: the least of many short runs, which take turns, and how many
//! instructions each takes, which valgrind counts and no other process disturbs.

#[path = "support/flows.rs"]
mod flows;

use std::env;
use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Instant;

use flows::{decode, encode, flows};
use openflow::FlowMod;

const RUNS: u32 = 400;
const TURNS: u32 = 10_000;

fn main() -> ExitCode {
    // `count OPERATION FLOW TURNS`: what valgrind runs.
    let args: Vec<String> = env::args().skip(1).collect();
    if let [mode, operation, name, turns] = args.as_slice()
        && mode == "count"
    {
        let turns = turns.parse().expect("a number");
        for (_, flow) in flows().iter().filter(|(n, _)| n == name) {
            work(operation == "decode", flow, turns);
        }
        return ExitCode::SUCCESS;
    }

    for (name, flow) in flows() {
        let [mut out, mut back] = [f64::INFINITY; 2];
        for _ in 0..RUNS {
            out = out.min(nanoseconds(false, &flow));
            back = back.min(nanoseconds(true, &flow));
        }
        println!(
            "{name}: encode {out:.0} ns, {}; decode {back:.0} ns, {}; ratio {:.2}",
            instructions("encode", name),
            instructions("decode", name),
            back / out
        );
    }
    ExitCode::SUCCESS
}

fn work(decodes: bool, flow: &FlowMod, turns: u32) {
    let mut out = Vec::with_capacity(1024);
    encode(flow, &mut out);
    for _ in 0..turns {
        if decodes {
            // By reference: to move the flow about is not what is measured.
            black_box(&decode(black_box(&out)));
        } else {
            encode(black_box(flow), &mut out);
            black_box(&out);
        }
    }
}

/// Of one turn, on average over a run.
fn nanoseconds(decodes: bool, flow: &FlowMod) -> f64 {
    let began = Instant::now();
    work(decodes, flow, TURNS);
    began.elapsed().as_secs_f64() * 1e9 / f64::from(TURNS)
}

/// Of one turn: what 1,000 more of them add.
fn instructions(operation: &str, name: &str) -> String {
    let count = |turns: u64| -> Option<u64> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(env::current_exe().ok()?)
            .args(["count", operation, name, &turns.to_string()])
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let (_, count) = said.split_once("Collected : ")?;
        count.split_whitespace().next()?.parse().ok()
    };
    match (count(1000), count(2000)) {
        (Some(less), Some(more)) => {
            format!("{} instructions", more.saturating_sub(less).div_ceil(1000))
        }
        _ => "instructions not counted: is there a valgrind?".to_owned(),
    }
}
