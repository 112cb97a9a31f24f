//! What compiling costs on a node of 1,000 pods and 100 peers, and with 10,000 Services or a Service of 5,000 endpoints.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use ipnet::IpNet;
use openflow::{FlowFlags, FlowStats, MacAddr};
use std::sync::Arc;

use sluice_flows::model::{
    Backend, Capabilities, Change, Frontend, Gateway, LocalNode, LocalPod, Peer, Protocol,
    ServiceId, ServicePort, State, TrafficPolicy, Tunnel, TunnelKind, Uid,
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
        uid: Uid::new(&format!("{n:036x}")),
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
            instructions: instructions.into(),
            duration_sec: 0,
            duration_nsec: 0,
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

fn service(n: u32, endpoints: impl Iterator<Item = u32>) -> Arc<ServicePort> {
    let name = format!("svc-{n}");
    let endpoint = |i| Backend {
        ip: Ipv4Addr::from(0x0a80_0000 + i).into(),
        port: 8080,
    };
    let mut cluster: Vec<Backend> = endpoints.map(endpoint).collect();
    cluster.sort_unstable();
    Arc::new(ServicePort {
        id: ServiceId::new("default", &name, "http", Protocol::Tcp, false),
        namespace: "default".to_owned(),
        name,
        port_name: "http".to_owned(),
        v6: false,
        protocol: Protocol::Tcp,
        frontends: vec![Frontend::Cluster {
            ip: Ipv4Addr::from(0x0a60_0000 + n).into(),
            port: 80,
            policy: TrafficPolicy::Cluster,
        }],
        cluster,
        local: Vec::new(),
        affinity: None,
    })
}

/// How much memory the process has, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn services(c: &mut Criterion) {
    let before = resident();
    let mut state = node();
    for n in 0..10_000 {
        state.apply(Change::ServiceSet(service(n, (0..10).map(|i| 10 * n + i))));
    }
    let compiler = Compiler::new(state.clone());
    drop(state);
    let model = resident() - before;
    let program = compiler.desired();
    println!(
        "10,000 Services of 10 endpoints: {} flows, {} MiB of model, {} MiB of program",
        program.len(),
        model / 1024,
        (resident() - before - model) / 1024
    );
    let mut group = c.benchmark_group("services");
    group.sample_size(10);
    group.bench_function("compile_all, 10,000 of 10 endpoints", |b| {
        b.iter(|| compiler.desired());
    });
    let switch = dump(&program);
    group.bench_function("diff, nothing to do", |b| {
        b.iter(|| diff(&program, &switch, &[]));
    });
    group.bench_function("adopt", |b| {
        b.iter_batched(
            || Compiler::new(compiler.state().clone()),
            |mut compiler| compiler.adopt(&switch),
            BatchSize::LargeInput,
        );
    });
    group.finish();

    let mut one = Compiler::new(compiler.state().clone());
    let (full, fewer) = (service(7, 70..80), service(7, 70..79));
    c.bench_function(
        "an endpoint of 10 goes and comes, beside 10,000 Services",
        |b| {
            b.iter(|| {
                let went = one.apply(Change::ServiceSet(fewer.clone()));
                (went, one.apply(Change::ServiceSet(full.clone())))
            });
        },
    );
    let (full, fewer) = (
        service(20_000, 200_000..205_000),
        service(20_000, (200_000..205_000).filter(|n| *n != 202_345)),
    );
    one.apply(Change::ServiceSet(full.clone()));
    let patch = one.apply(Change::ServiceSet(fewer.clone()));
    println!("an endpoint of 5,000 goes: {} messages", patch.len());
    c.bench_function("an endpoint of 5,000 goes and comes", |b| {
        b.iter(|| {
            let came = one.apply(Change::ServiceSet(full.clone()));
            (came, one.apply(Change::ServiceSet(fewer.clone())))
        });
    });
}

criterion_group!(benches, bench, services);
criterion_main!(benches);
