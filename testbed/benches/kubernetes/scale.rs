//! The objects of a large cluster in the real API server, and what they take of one agent: the time of its start, its
//! memory, the bytes of its watches, and its processor time at rest and while pods change.
//!
//! A thirtieth of a thousand pods is as many as a node has; the pods that are said to be on this one are selected by
//! policies of their namespaces, so that the agent needs the pods of so many namespaces.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::control_plane::Component;
use sluice_testbed::kubernetes::{self, images};
use sluice_testbed::measure::argument;
use sluice_testbed::node::{Daemon, Node};
use sluice_testbed::{agent, run};

use crate::api::{Api, Request};
use crate::used;

const NAMESPACES: usize = 100;
const PODS_PER_NODE: usize = 30;
/// Namespaces that have a pod on the node that is measured, and policies for it.
const NAMESPACES_HERE: usize = 10;
/// Changes of pods a second.
const CHURN: usize = 20;
/// How long the agent's use is watched at rest and under changes.
const WATCHED: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn measure(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let api = Api::new(cluster)?;
    report(cluster, &node, "a cluster of one node and no pods")?;
    fill(cluster, &api)?;
    report(
        cluster,
        &node,
        "the large cluster, policies that speak of their own namespaces and of a team's",
    )?;
    rest_and_churn(&node, &api)?;
    // One that speaks of everybody.
    let everybody = policy(
        "ns-0",
        "everybody",
        &json!([{"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": "t1"}}}]),
    );
    api.many(&[everybody])?;
    report(
        cluster,
        &node,
        "the same, and a policy that speaks of every namespace",
    )?;
    rest_and_churn(&node, &api)
}

/// Starts the agent anew, without what it has on disk, and says what it takes.
fn report(cluster: &mut Cluster, node: &Node, what: &str) -> Result<()> {
    node.end(Daemon::Agent, "TERM")?;
    let _ = std::fs::remove_file(node.dir().join("state"));
    let began = Instant::now();
    agent::start(node)?;
    cluster.record(std::slice::from_ref(node), &[Daemon::Agent])?;
    agent::wait_ready(node)?;
    let ready = began.elapsed();
    // Pods that are wanted only now are on their way.
    let status = run::wait_for("all watches to be live", LIMIT, || {
        let status: Value =
            serde_json::from_str(&node.sh("sluicectl", &["status", "-o", "json"])?)?;
        let watches = status["watches"].as_array().context("no watches")?;
        let live = !watches.is_empty() && watches.iter().all(|watch| watch["live"] == true);
        Ok(live.then_some(status))
    })?;
    let (memory, processor) = used(node)?;
    let watches = status["watches"].as_array().context("no watches")?;
    let sum = |field: &str, of: &dyn Fn(&str) -> bool| -> u64 {
        let chosen = watches
            .iter()
            .filter(|watch| of(watch["what"].as_str().unwrap_or_default()));
        chosen.filter_map(|watch| watch[field].as_u64()).sum()
    };
    let pods = |what: &str| what.starts_with("Pod");
    println!(
        "{what}: ready after {:.2} s, {processor:.2} s of processor, {memory:.1} MB; {} watches, {} objects, {:.2} MB received; of these for pods {} watches, {} objects, {:.2} MB; {} flows",
        ready.as_secs_f64(),
        watches.len(),
        sum("objects", &|_| true),
        mega(sum("bytes", &|_| true)),
        watches
            .iter()
            .filter(|watch| pods(watch["what"].as_str().unwrap_or_default()))
            .count(),
        sum("objects", &pods),
        mega(sum("bytes", &pods)),
        status["counts"]["flows"],
    );
    Ok(())
}

#[allow(clippy::cast_precision_loss)]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// What the agent uses at rest, and while pods of all namespaces change.
fn rest_and_churn(node: &Node, api: &Api) -> Result<()> {
    let before = used(node)?;
    std::thread::sleep(WATCHED);
    let rest = used(node)?;
    let mut connection = api.connect()?;
    let (began, mut changes) = (Instant::now(), 0_usize);
    while began.elapsed() < WATCHED {
        // Every namespace in turn, and another pod of it each time.
        let (namespace, pod) = (changes % NAMESPACES, changes / NAMESPACES % 100);
        let path = format!("/api/v1/namespaces/ns-{namespace}/pods/pod-{pod}");
        let change = json!({"metadata": {"labels": {"version": format!("v{changes}")}}});
        connection.send(&Request::patch(path, &change))?;
        changes += 1;
        let due = Duration::from_secs(1) / u32::try_from(CHURN)? * u32::try_from(changes)?;
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    let seconds = began.elapsed().as_secs_f64();
    let churn = used(node)?;
    #[allow(clippy::cast_precision_loss)]
    let rate = changes as f64 / seconds;
    println!(
        "  at rest {:.2} % of a processor, {:.1} MB; at {rate:.0} changes of pods a second {:.2} %, {:.1} MB",
        (rest.1 - before.1) / WATCHED.as_secs_f64() * 100.0,
        rest.0,
        (churn.1 - rest.1) / seconds * 100.0,
        churn.0
    );
    Ok(())
}

/// Writes all objects. Controllers would undo much of it, and are ended before; nobody runs the pods.
fn fill(cluster: &Cluster, api: &Api) -> Result<()> {
    let nodes = usize::try_from(argument("--nodes", 1000))?;
    let pods = nodes * PODS_PER_NODE;
    let (services, policies) = (nodes * 2, nodes / 2);
    let control = kubernetes::control_plane(cluster)?;
    let kubectl = control.kubectl();
    let began = Instant::now();
    let spaces: Vec<Request> = (0..NAMESPACES)
        .map(|n| {
            let labels = json!({"team": format!("team-{}", n / NAMESPACES_HERE)});
            Request::post(
                "/api/v1/namespaces",
                &json!({"metadata": {"name": format!("ns-{n}"), "labels": labels}}),
            )
        })
        .collect();
    api.many(&spaces)?;
    run::wait_for("the namespaces' accounts", LIMIT, || {
        let accounts = kubectl.run(&["get", "serviceaccounts", "-A", "--no-headers"])?;
        let made = accounts
            .lines()
            .filter(|line| line.starts_with("ns-"))
            .count();
        Ok((made >= NAMESPACES).then_some(()))
    })?;
    control.end_component(Component::ControllerManager, Signal::SIGKILL)?;
    control.end_component(Component::Scheduler, Signal::SIGKILL)?;
    cluster.node(1)?.end(Daemon::Kubelet, "KILL")?;
    api.many(&(0..nodes).map(node).collect::<Vec<_>>())?;
    api.many(&(0..pods).map(|n| pod(n, nodes)).collect::<Vec<_>>())?;
    api.many(&(0..pods).map(running).collect::<Vec<_>>())?;
    api.many(&(0..services).map(service).collect::<Vec<_>>())?;
    api.many(&(0..services).map(|n| slice(n, nodes)).collect::<Vec<_>>())?;
    let policies: Vec<Request> = (0..policies)
        .map(|n| {
            let peers = match n / NAMESPACES {
                // The team is of ten namespaces.
                0 => json!([{"namespaceSelector": {"matchLabels": {"team": format!("team-{}", n % NAMESPACES / NAMESPACES_HERE)}}, "podSelector": {"matchLabels": {"tier": "t1"}}}]),
                n => json!([{"podSelector": {"matchLabels": {"tier": format!("t{}", n % 3)}}}]),
            };
            policy(&format!("ns-{}", n % NAMESPACES), &format!("policy-{n}"), &peers)
        })
        .collect();
    api.many(&policies)?;
    println!(
        "{nodes} nodes, {pods} pods, {services} Services with as many slices, {} policies written in {:.0} s",
        policies.len(),
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn node(n: usize) -> Request {
    let body = json!({
        "metadata": {"name": name(n), "labels": {"topology.kubernetes.io/zone": format!("zone-{}", n % 3)}},
        "spec": {"podCIDR": format!("{}.0/24", net(n)), "podCIDRs": [format!("{}.0/24", net(n))]},
        "status": {"addresses": [{"type": "InternalIP", "address": format!("10.254.{}.{}", n / 250, n % 250 + 1)}]},
    });
    Request::post("/api/v1/nodes", &body)
}

fn name(n: usize) -> String {
    format!("simulated-{n}")
}

/// The network of a simulated node's pods, without its last part.
fn net(n: usize) -> String {
    format!("10.{}.{}", 100 + n / 250, n % 250)
}

/// Pod `n` is in namespace `n % 100`; it is on the node measured if it is one of the first of the first namespaces.
fn pod(n: usize, nodes: usize) -> Request {
    let (namespace, number) = (n % NAMESPACES, n / NAMESPACES);
    let here = namespace < NAMESPACES_HERE && number < PODS_PER_NODE / NAMESPACES_HERE;
    let body = json!({
        "metadata": {
            "name": format!("pod-{number}"),
            "labels": {"app": format!("app-{}", number % 20), "tier": format!("t{}", number % 3), "version": "v0", "team": "a"},
        },
        "spec": {
            "nodeName": if here { "n1".to_owned() } else { name(n % nodes) },
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "web", "image": images::PAUSE,
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [{"name": "MODE", "value": "production"}, {"name": "LEVEL", "value": "info"}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            }],
        },
    });
    Request::post(format!("/api/v1/namespaces/ns-{namespace}/pods"), &body)
}

fn running(n: usize) -> Request {
    let (namespace, number) = (n % NAMESPACES, n / NAMESPACES);
    let ip = ip(n);
    let body = json!({"status": {
        "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}],
        "startTime": "2026-01-01T00:00:00Z",
    }});
    Request::patch(
        format!("/api/v1/namespaces/ns-{namespace}/pods/pod-{number}/status"),
        &body,
    )
}

/// Of 30,000 pods each has another.
fn ip(n: usize) -> String {
    format!("10.{}.{}.{}", 100 + n / 50_000, n / 200 % 250, n % 200 + 2)
}

fn service(n: usize) -> Request {
    let body = json!({
        "metadata": {"name": format!("service-{n}")},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    });
    Request::post(
        format!("/api/v1/namespaces/ns-{}/services", n % NAMESPACES),
        &body,
    )
}

/// Fifteen endpoints: every pod is one.
fn slice(n: usize, nodes: usize) -> Request {
    let endpoints: Vec<Value> = (0..PODS_PER_NODE / 2)
        .map(|k| {
            let pod = n * (PODS_PER_NODE / 2) + k;
            json!({"addresses": [ip(pod)], "nodeName": name(pod % nodes), "conditions": {"ready": true, "serving": true}})
        })
        .collect();
    let body = json!({
        "metadata": {"name": format!("service-{n}-1"), "labels": {"kubernetes.io/service-name": format!("service-{n}")}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    });
    let path = format!(
        "/apis/discovery.k8s.io/v1/namespaces/ns-{}/endpointslices",
        n % NAMESPACES
    );
    Request::post(path, &body)
}

/// A policy for every pod of a namespace.
fn policy(namespace: &str, name: &str, peers: &Value) -> Request {
    let body = json!({
        "metadata": {"name": name},
        "spec": {"podSelector": {}, "ingress": [{"from": peers, "ports": [{"port": 8080}]}]},
    });
    Request::post(
        format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"),
        &body,
    )
}
