//! Programs 100,000 connection tracking and NAT flows into a real switch and reads them back, our connection against
//! `ovs-ofctl`, in turns on the same switch. Prints seconds and ratios; fails above 1.0.
//!
//! `cargo bench -p openflow --bench program_flows [-- ROUNDS]`

#[path = "../tests/support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use openflow::action::ct::Zone;
use openflow::action::{Ct, Nat, NatFlags};
use openflow::connection::{Connection, FlowStatsRequest, Options};
use openflow::text::Numbers;
use openflow::{
    Action, Field, FlowMod, FlowStats, Instruction, MacAddr, Match, Message, PortNo, TableId,
};
use support::Switch;

const FLOWS: u32 = 100_000;

/// A quarter each: what a pod may send, a Service address to an endpoint, a policy's verdict, a route.
fn flow(i: u32) -> FlowMod {
    let address = Ipv4Addr::from(0x0a00_0000 + i);
    let ip = Match::new().eq(Field::ETH_TYPE, 0x0800_u16);
    let (table, priority, match_, actions) = match i % 4 {
        0 => {
            let m = ip
                .eq(Field::IN_PORT, PortNo(i % 60_000 + 1))
                .eq(Field::IPV4_SRC, address)
                .eq(Field::ETH_SRC, mac(i));
            let ct = Ct {
                zone: Zone::Imm(1),
                table: Some(TableId(16)),
                ..Ct::default()
            };
            (
                4,
                100,
                m,
                vec![
                    Action::load(Field::reg(1), u64::from(i)),
                    Action::Ct(Box::new(ct)),
                ],
            )
        }
        1 => {
            let m = ip
                .eq(Field::IPV4_DST, address)
                .eq(Field::IP_PROTO, 6_u8)
                .eq(Field::TCP_DST, 443_u16);
            let endpoint = Ipv4Addr::from(0x0a80_0000 + i);
            let nat = Nat {
                flags: NatFlags::DST,
                addrs: Some((endpoint.into(), None)),
                ports: Some((8443, None)),
            };
            let ct = Ct {
                zone: Zone::Imm(1),
                commit: true,
                table: Some(TableId(28)),
                actions: [Action::Nat(nat)].into(),
                ..Ct::default()
            };
            (20, 200, m, vec![Action::Ct(Box::new(ct))])
        }
        2 => {
            let m = ip
                .masked(Field::CT_STATE, 0x21_u32, 0x21_u32)
                .masked(
                    Field::IPV4_SRC,
                    Ipv4Addr::from(0x0a00_0000 + (i << 8)),
                    Ipv4Addr::new(255, 255, 255, 0),
                )
                .eq(Field::reg(2), i);
            (
                32,
                1000,
                m,
                vec![Action::load(Field::reg(3), 1), resubmit(36)],
            )
        }
        _ => {
            let m = ip.eq(Field::IPV4_DST, address);
            let set = vec![
                Action::set(Field::ETH_DST, mac(i)),
                Action::DecTtl,
                Action::load(Field::reg(0), u64::from(i % 60_000)),
                resubmit(52),
            ];
            (36, 300, m, set)
        }
    };
    FlowMod {
        cookie: 0x5100_0000_0000_0000 | u64::from(i),
        table: TableId(table),
        priority,
        match_,
        instructions: [Instruction::ApplyActions(actions)].into(),
        ..FlowMod::default()
    }
}

fn mac(i: u32) -> MacAddr {
    let [a, b, c, d] = i.to_be_bytes();
    MacAddr([0x02, 0, a, b, c, d])
}

fn resubmit(table: u8) -> Action {
    Action::Resubmit {
        port: PortNo::IN_PORT,
        table: Some(TableId(table)),
        ct: false,
    }
}

/// The flows as a file for `ovs-ofctl add-flows`.
fn text(flows: &[FlowMod]) -> String {
    let mut out = String::new();
    for flow in flows {
        let stats = FlowStats {
            table: flow.table,
            duration_sec: 0,
            duration_nsec: 0,
            priority: flow.priority,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: flow.flags,
            cookie: flow.cookie,
            packet_count: 0,
            byte_count: 0,
            match_: flow.match_.clone(),
            instructions: flow.instructions.clone(),
        };
        let _ = writeln!(out, "{}", stats.without_stats(&Numbers));
    }
    out
}

#[derive(Default)]
struct Times {
    ours: Vec<f64>,
    theirs: Vec<f64>,
}

impl Times {
    fn report(&mut self, what: &str) -> f64 {
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let (ours, theirs) = (median(&mut self.ours), median(&mut self.theirs));
        let ratio = ours / theirs;
        println!("{what}: ours {ours:.3} s, ovs-ofctl {theirs:.3} s, ratio {ratio:.3}");
        ratio
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = Instant::now();
    let value = work();
    (start.elapsed().as_secs_f64(), value)
}

fn main() -> ExitCode {
    let rounds = std::env::args()
        .filter_map(|a| a.parse().ok())
        .next()
        .unwrap_or(3);
    let switch = Switch::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let connection = runtime.block_on(async {
        let connection = Connection::connect(
            switch.target().parse().expect("a target"),
            Options::default(),
        );
        connection.connected().await.expect("connects");
        connection
    });
    let flows: Vec<FlowMod> = (0..FLOWS).map(flow).collect();
    let file = switch.path("flows.txt");
    std::fs::write(&file, text(&flows)).expect("writes");
    let target = switch.target();
    let ofctl = |args: &[&str]| {
        let status = switch
            .command("ovs-ofctl")
            .args(["-O", "OpenFlow13"])
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(
            status.expect("ovs-ofctl runs").success(),
            "ovs-ofctl {args:?}"
        );
    };
    let read_back = || {
        let flows = runtime
            .block_on(connection.dump_flows(FlowStatsRequest::default()))
            .expect("flows");
        let mut all: Vec<_> = flows
            .into_iter()
            .map(|f| (f.cookie, f.table, f.priority, f.match_, f.instructions))
            .collect();
        all.sort_by_key(|f| f.0);
        all
    };

    let (mut program, mut dump) = (Times::default(), Times::default());
    for round in 0..rounds {
        let messages: Vec<Message> = flows.iter().cloned().map(Message::FlowMod).collect();
        let (seconds, result) = timed(|| runtime.block_on(connection.bundle(messages)));
        result.expect("the bundle is applied");
        program.ours.push(seconds);
        let ours = read_back();
        ofctl(&["del-flows", &target]);

        let (seconds, ()) = timed(|| {
            ofctl(&[
                "--bundle",
                "add-flows",
                &target,
                &file.display().to_string(),
            ])
        });
        program.theirs.push(seconds);
        if round == 0 {
            assert!(
                read_back() == ours,
                "the switch holds other flows than ovs-ofctl installs"
            );
            assert_eq!(ours.len(), flows.len());
        }

        for _ in 0..2 {
            let request = FlowStatsRequest::default();
            let (seconds, result) = timed(|| runtime.block_on(connection.dump_flows(request)));
            assert_eq!(result.expect("flows").len(), flows.len());
            dump.ours.push(seconds);
            let (seconds, ()) = timed(|| ofctl(&["dump-flows", &target]));
            dump.theirs.push(seconds);
        }
        ofctl(&["del-flows", &target]);
    }
    let worst = program
        .report("program 100,000 flows")
        .max(dump.report("dump 100,000 flows, parsed"));
    if worst <= 1.0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
