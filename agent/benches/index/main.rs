//! What the index takes for a large cluster: time to read and join its objects, memory kept for each, and time for
//! a change. Of pods also what they take of index and compiler together, where policies speak of them: of all, and
//! find none, or a tenth, each case in a process of its own.
//!
//! `cargo bench -p sluice-agent --bench index`

use std::process::Command;
use std::time::{Duration, Instant};

use objects::{PODS, pod_ip};
use serde_json::{Value, json};
use sluice_agent::index::{Index, Options, Update};
use sluice_agent::source::{Event, Kind, Object, decode};
use sluice_flows::Compiler;
use sluice_flows::model::{Change, LocalNode, LocalPod, State};

#[path = "../node/objects.rs"]
mod objects;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SERVICES: usize = 10_000;
const ENDPOINTS: usize = 10;
const CHANGES: usize = 2_000;
const NAMESPACES: usize = 500;

fn main() {
    let peers = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    if let Some(peers) = peers {
        return pods_of_policy(&peers);
    }
    let mut index = empty();
    println!("pods: {}", load(&mut index, PODS, PODS, pod, drop));
    println!(
        "Services: {}",
        load(
            &mut index,
            SERVICES,
            SERVICES,
            |n| decoded(Kind::Service, objects::service(n)),
            drop
        )
    );
    let endpoints = SERVICES * ENDPOINTS;
    let slices = load(&mut index, SERVICES, endpoints, |n| slice(n, 0), drop);
    println!("endpoints ({ENDPOINTS} a slice): {slices}");

    let changes: Vec<Object> = (0..CHANGES).map(|n| slice(n, 1)).collect();
    let mut times: Vec<Duration> = Vec::with_capacity(CHANGES);
    for object in changes {
        let start = Instant::now();
        let update = index.apply(vec![Event::Set(object)]);
        times.push(start.elapsed());
        assert_eq!(update.joined.len(), 1, "one Service is touched");
    }
    times.sort();
    let at = |part: usize| times.get(CHANGES * part / 100).copied().unwrap_or_default();
    println!(
        "one endpoint changes among {SERVICES} Services: p50 {:?}, p99 {:?}",
        at(50),
        at(99)
    );
    let program = std::env::current_exe().expect("a program");
    for peers in ["none", "tenth"] {
        let status = Command::new(&program).arg(peers).status();
        assert!(status.expect("a process").success());
    }
}

/// An index that knows that there is nothing.
fn empty() -> Index {
    let mut index = Index::with_options("n0", Options::default());
    let nothing = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new()));
    index.apply(nothing.into());
    index
}

/// Pods in index and compiler, with a policy for a pod of this node that speaks of pods of all namespaces: those whose
/// label `tier` is `peers`.
fn pods_of_policy(peers: &str) {
    let mut index = empty();
    let mut compiler = Compiler::new(State::new(LocalNode::default()));
    let here = json!({
        "metadata": {"name": "here", "namespace": "namespace-0"},
        "spec": {"nodeName": "n0"}, "status": {"phase": "Running", "podIP": "10.0.0.1"},
    });
    let policy = json!({
        "metadata": {"name": "here", "namespace": "namespace-0"},
        "spec": {"podSelector": {}, "ingress": [{"from": [
            {"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": peers}}},
        ]}]},
    });
    let namespaces = (0..NAMESPACES).map(|n| {
        decoded(
            Kind::Namespace,
            json!({"metadata": {"name": format!("namespace-{n}")}}),
        )
    });
    let objects = namespaces.chain([
        decoded(Kind::Pod, here),
        decoded(Kind::NetworkPolicy, policy),
    ]);
    let update = index.apply(objects.map(Event::Set).collect());
    compile(&mut compiler, update);
    compiler.apply(Change::PodSet(LocalPod {
        id: "here".into(),
        namespace: "namespace-0".to_owned(),
        name: "here".to_owned(),
        uid: Default::default(),
        ofport: 1024,
        mac: Default::default(),
        ips: vec!["10.0.0.1".parse().expect("an address")],
    }));
    let loaded = load(&mut index, PODS, PODS, pod, |update| {
        compile(&mut compiler, update);
    });
    println!("pods in index and compiler, a policy that speaks of all and finds {peers}: {loaded}");
}

fn compile(compiler: &mut Compiler, update: Update) {
    for joined in update.joined {
        compiler.apply(joined.into());
    }
}

/// Loads `objects` objects that hold `units`, and says what that took. What follows from them goes to `then`, in the
/// time of joining.
fn load(
    index: &mut Index,
    objects: usize,
    units: usize,
    object: impl Fn(usize) -> Object,
    mut then: impl FnMut(Update),
) -> String {
    let before = resident();
    let (mut decoding, mut joining) = (Duration::ZERO, Duration::ZERO);
    for first in (0..objects).step_by(500) {
        let start = Instant::now();
        let last = objects.min(first + 500);
        let events: Vec<Event> = (first..last).map(|n| Event::Set(object(n))).collect();
        decoding += start.elapsed();
        let start = Instant::now();
        then(index.apply(events));
        joining += start.elapsed();
    }
    let kept = resident().saturating_sub(before) / units;
    format!(
        "{units}: decoded (made included) in {decoding:.2?}, joined in {joining:.2?}, {kept} bytes kept for each"
    )
}

/// Bytes of memory in use.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0usize) * 4096
}

fn slice(n: usize, first: usize) -> Object {
    decoded(Kind::EndpointSlice, objects::slice(n, first, ENDPOINTS))
}

fn decoded(kind: Kind, fields: Value) -> Object {
    decode::object(kind, fields).expect("an object")
}

/// A pod as a Deployment makes it, with a name and a UID of the usual length.
fn pod(n: usize) -> Object {
    let deployment = n / 10;
    let tier = match deployment % 10 {
        0 => "tenth",
        _ => "other",
    };
    decoded(
        Kind::Pod,
        json!({
            "metadata": {
                "name": format!("frontend-{deployment:05}-7d9c5b8f6-{:05x}", n * 7919 % 1_048_576),
                "namespace": format!("namespace-{}", deployment % NAMESPACES),
                "uid": format!("{n:08x}-c3a5-4f6e-9d2b-6f3b1a2c4d5e"),
                "labels": {
                    "app.kubernetes.io/name": format!("frontend-{deployment}"),
                    "app.kubernetes.io/part-of": "shop", "tier": tier, "pod-template-hash": format!("7d9c5b8f6{deployment}"),
                },
            },
            "spec": {
                "nodeName": format!("node-{}", n % 1000),
                "containers": [{"ports": [{"name": "http", "containerPort": 8080}]}],
            },
            "status": {
                "phase": "Running", "podIP": pod_ip(n), "podIPs": [{"ip": pod_ip(n)}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }),
    )
}
