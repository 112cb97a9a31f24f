//! The same flows, the same packets: what the interpreter says is what a real Open vSwitch does.

use std::collections::HashSet;
use std::time::{SystemTime, UNIX_EPOCH};

use openflow::{Field, Match, PortNo};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use sluice_flows::compile_all;
use sluice_flows::interpreter::{Outcome, Packet, Tables, Verdict};
use sluice_flows::pipeline::SCRATCH;

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

/// A runner that says how to repeat what it does.
fn runner() -> TestRunner {
    let seed: u64 = match std::env::var("SLUICE_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .subsec_nanos()
            .into(),
    };
    println!("SLUICE_SEED={seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
    )
}

fn draw<T: std::fmt::Debug>(runner: &mut TestRunner, from: &impl Strategy<Value = T>) -> T {
    from.new_tree(runner).unwrap().current()
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
