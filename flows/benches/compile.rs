//! What compiling costs on a node of 1,000 pods and 100 peers.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ipnet::IpNet;
use openflow::{FlowFlags, FlowStats, MacAddr};
use sluice_flows::model::{
    Capabilities, Change, Gateway, LocalNode, LocalPod, Peer, State, Tunnel, TunnelKind,
};
use sluice_flows::{Compiler, Program, compile_all, diff};

fn cidrs(node: u8) -> Vec<IpNet> {
    vec![
        format!("10.{node}.0.0/16").parse().unwrap(),
        format!("fd00:{node}::/64").parse().unwrap(),
    ]
}

fn pod(n: u16) -> LocalPod {
    let [high, low] = n.to_be_bytes();
    LocalPod {
        id: format!("{n:064x}").into(),
        namespace: "default".to_owned(),
        name: format!("web-{n}"),
        uid: format!("{n:036x}"),
        ofport: 1024 + u32::from(n),
        mac: MacAddr([0x0a, 0, 0, 0, high, low]),
        ips: vec![
            Ipv4Addr::new(10, 0, high, low).into(),
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n).into(),
        ],
    }
}

fn node() -> State {
    let mut state = State::new(LocalNode {
        name: "here".into(),
        pod_cidrs: cidrs(0),
        gateway: Gateway {
            ofport: 2,
            mac: MacAddr([2; 6]),
            ips: Vec::new(),
        },
        tunnel: Some(Tunnel {
            ofport: 1,
            kind: TunnelKind::Geneve,
        }),
        addresses: Vec::new(),
        node_port_addresses: Vec::new(),
        caps: Capabilities { nd_reply: true },
    });
    for n in 1..=100u8 {
        let underlay = Ipv4Addr::new(192, 0, 2, n).into();
        let name = format!("node-{n}").into();
        state.apply(Change::PeerSet(Peer {
            name,
            pod_cidrs: cidrs(n),
            underlay,
        }));
    }
    for n in 1..=1000 {
        state.apply(Change::PodSet(pod(n)));
    }
    state
}

fn dump(program: &Program) -> Vec<FlowStats> {
    let flows = program
        .flows()
        .map(|(key, cookie, instructions)| FlowStats {
            table: key.table,
            priority: key.priority,
            match_: key.match_.clone(),
            cookie: cookie.to_u64(),
            instructions: instructions.to_vec(),
            duration: Duration::ZERO,
            packet_count: 0,
            byte_count: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: FlowFlags::default(),
        });
    flows.collect()
}

fn bench(c: &mut Criterion) {
    let state = node();
    let program = compile_all(&state);
    let switch = dump(&program);
    println!("{} flows", program.len());
    c.bench_function("compile_all", |b| b.iter(|| compile_all(black_box(&state))));
    c.bench_function("diff, nothing to do", |b| {
        b.iter(|| diff(black_box(&program), &switch, &[]))
    });

    let mut compiler = Compiler::new(state);
    c.bench_function("a pod comes and goes", |b| {
        b.iter_batched(
            || pod(1001),
            |pod| {
                let id = pod.id.clone();
                let came = compiler.apply(Change::PodSet(pod));
                (came, compiler.apply(Change::PodGone(id)))
            },
            BatchSize::SmallInput,
        )
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
