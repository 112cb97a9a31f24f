//! What the index takes for a large cluster: time to read and join its objects, memory kept for each, and time for
//! a change.
//!
//! `cargo bench -p sluice-agent --bench index`

use std::time::{Duration, Instant};

use objects::{PODS, pod_ip};
use serde_json::{Value, json};
use sluice_agent::index::{Index, Options};
use sluice_agent::source::{Event, Kind, Object, decode};

#[path = "../node/objects.rs"]
mod objects;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SERVICES: usize = 10_000;
const ENDPOINTS: usize = 10;
const CHANGES: usize = 2_000;

fn main() {
    let mut index = Index::with_options("n0", Options::default());
    let nothing = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new()));
    index.apply(nothing.into());
    println!("pods: {}", load(&mut index, PODS, PODS, pod));
    println!(
        "Services: {}",
        load(&mut index, SERVICES, SERVICES, |n| decoded(
            Kind::Service,
            objects::service(n)
        ))
    );
    let endpoints = SERVICES * ENDPOINTS;
    let slices = load(&mut index, SERVICES, endpoints, |n| slice(n, 0));
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
}

/// Loads `objects` objects that hold `units`, and says what that took.
fn load(
    index: &mut Index,
    objects: usize,
    units: usize,
    object: impl Fn(usize) -> Object,
) -> String {
    let before = resident();
    let (mut decoding, mut joining) = (Duration::ZERO, Duration::ZERO);
    for first in (0..objects).step_by(500) {
        let start = Instant::now();
        let last = objects.min(first + 500);
        let events: Vec<Event> = (first..last).map(|n| Event::Set(object(n))).collect();
        decoding += start.elapsed();
        let start = Instant::now();
        drop(index.apply(events));
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
    decoded(
        Kind::Pod,
        json!({
            "metadata": {
                "name": format!("frontend-{deployment:05}-7d9c5b8f6-{:05x}", n * 7919 % 1_048_576),
                "namespace": format!("namespace-{}", deployment % 500),
                "uid": format!("{n:08x}-c3a5-4f6e-9d2b-6f3b1a2c4d5e"),
                "labels": {
                    "app.kubernetes.io/name": format!("frontend-{deployment}"),
                    "app.kubernetes.io/part-of": "shop", "pod-template-hash": format!("7d9c5b8f6{deployment}"),
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
