//! The objects of a large cluster in the real API server, and what they take of one agent: the time of its start, its
//! memory, the bytes of its watches, and its processor time at rest and while pods change.
//!
//! Thirty pods are on the node that is measured, as on any of the others, and run. Policies of their namespaces select
//! them, so that the agent needs the pods of these namespaces.

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
const WATCHED: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn measure(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let api = Api::new(cluster)?;
    start(cluster, &node, "a cluster of one node and no pods")?;
    rest(&node)?;
    fill(cluster, &api)?;
    let what =
        "the large cluster, with policies that speak of their own namespaces and of a team's";
    let few = start(cluster, &node, what)?;
    rest(&node)?;
    // Only one that has something to do gives back what its start took.
    let few_kept = churn(&node, &api, "a")?;
    let everybody = |name: &str, tier: &str| {
        let peers =
            json!([{"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": tier}}}]);
        policy("ns-0", name, &peers)
    };
    api.many(&[everybody("nobody", "none")])?;
    let what = "the same, and a policy for pods of any namespace, of which it finds none";
    let all = start(cluster, &node, what)?;
    rest(&node)?;
    let all_kept = churn(&node, &api, "b")?;
    println!(
        "  {:.0} bytes kept for each of the {} pods more",
        (all_kept - few_kept) * 1e6 / number(all - few),
        all - few
    );
    api.many(&[everybody("everybody", "t1")])?;
    let what = "the same, and a policy for pods of any namespace, of which it finds a third";
    start(cluster, &node, what)?;
    rest(&node)?;
    churn(&node, &api, "c").map(drop)
}

/// Starts the agent anew, without what it has on disk, and says what it takes. Returns how many pods it knows.
fn start(cluster: &mut Cluster, node: &Node, what: &str) -> Result<u64> {
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
    let live = began.elapsed();
    let (memory, processor) = used(node)?;
    let watches = status["watches"].as_array().context("no watches")?;
    let sum = |field: &str, of: &dyn Fn(&str) -> bool| -> u64 {
        let chosen = watches
            .iter()
            .filter(|watch| of(watch["what"].as_str().unwrap_or_default()));
        chosen.filter_map(|watch| watch[field].as_u64()).sum()
    };
    let of_pods = |what: &str| what.starts_with("Pod");
    let pods = sum("objects", &of_pods);
    println!(
        "{what}: ready after {:.2} s, all watches live after {:.2} s, {processor:.2} s of processor, {memory:.1} MB; {} watches, {} objects, {:.2} MB received; of these for pods {} watches, {pods} objects, {:.2} MB; {} flows",
        ready.as_secs_f64(),
        live.as_secs_f64(),
        watches.len(),
        sum("objects", &|_| true),
        number(sum("bytes", &|_| true)) / 1e6,
        watches
            .iter()
            .filter(|watch| of_pods(watch["what"].as_str().unwrap_or_default()))
            .count(),
        number(sum("bytes", &of_pods)) / 1e6,
        status["counts"]["flows"],
    );
    Ok(pods)
}

#[allow(clippy::cast_precision_loss)]
fn number(of: u64) -> f64 {
    of as f64
}

/// What the agent uses while nothing changes.
fn rest(node: &Node) -> Result<()> {
    let before = used(node)?;
    std::thread::sleep(WATCHED);
    let after = used(node)?;
    println!(
        "  at rest {:.2} % of a processor, {:.1} MB",
        (after.1 - before.1) / WATCHED.as_secs_f64() * 100.0,
        after.0
    );
    Ok(())
}

/// What the agent uses while pods of all namespaces change; its memory in MB is returned. Each time needs a `mark` of
/// its own, since a label that is written once more is no change.
fn churn(node: &Node, api: &Api, mark: &str) -> Result<f64> {
    let before = used(node)?;
    let mut connection = api.connect()?;
    let (began, mut changes) = (Instant::now(), 0_usize);
    while began.elapsed() < WATCHED {
        // Every namespace in turn, and another pod of it each time.
        let (namespace, pod) = (changes % NAMESPACES, changes / NAMESPACES % 100);
        let path = format!("/api/v1/namespaces/ns-{namespace}/pods/pod-{pod}");
        let change = json!({"metadata": {"labels": {"version": format!("{mark}{changes}")}}});
        connection.send(&Request::patch(path, &change))?;
        changes += 1;
        let due = Duration::from_secs(1) / u32::try_from(CHURN)? * u32::try_from(changes)?;
        std::thread::sleep(due.saturating_sub(began.elapsed()));
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = used(node)?;
    println!(
        "  at {:.0} changes of pods a second {:.2} % of a processor, {:.1} MB",
        number(u64::try_from(changes)?) / seconds,
        (after.1 - before.1) / seconds * 100.0,
        after.0
    );
    Ok(after.0)
}

/// Writes all objects. Controllers would undo much of it, and are ended before; nobody runs the pods of other nodes.
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
    api.many(&(0..nodes).map(node).collect::<Vec<_>>())?;
    api.many(&(0..pods).map(|n| pod(n, nodes)).collect::<Vec<_>>())?;
    let elsewhere = (0..pods).filter(|n| !here(*n));
    api.many(&elsewhere.map(|n| running(n, nodes)).collect::<Vec<_>>())?;
    run::wait_for("the node's own pods to run", LIMIT, || {
        let own = kubectl.get(&["pods", "-A", "--field-selector=spec.nodeName=n1"])?;
        let own = own["items"].as_array().context("no list")?;
        let run = own.iter().all(|pod| pod["status"]["phase"] == "Running");
        Ok((own.len() == PODS_PER_NODE && run).then_some(()))
    })?;
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

/// Whether pod `n` is on the node that is measured: the first ones of the first namespaces are.
fn here(n: usize) -> bool {
    n % NAMESPACES < NAMESPACES_HERE && n / NAMESPACES < PODS_PER_NODE / NAMESPACES_HERE
}

/// Pod `n` is in namespace `n % 100`.
fn pod(n: usize, nodes: usize) -> Request {
    let (namespace, number) = (n % NAMESPACES, n / NAMESPACES);
    let body = json!({
        "metadata": {
            "name": format!("pod-{number}"),
            "labels": {"app": format!("app-{}", number % 20), "tier": format!("t{}", number % 3), "version": "v0", "team": "a"},
        },
        "spec": {
            "nodeName": if here(n) { "n1".to_owned() } else { name(n % nodes) },
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "web", "image": images::PAUSE, "imagePullPolicy": "Never",
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [{"name": "MODE", "value": "production"}, {"name": "LEVEL", "value": "info"}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            }],
        },
    });
    Request::post(format!("/api/v1/namespaces/ns-{namespace}/pods"), &body)
}

fn running(n: usize, nodes: usize) -> Request {
    let (namespace, number) = (n % NAMESPACES, n / NAMESPACES);
    let ip = ip(n, nodes);
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

/// In the network of its node; each has another.
fn ip(n: usize, nodes: usize) -> String {
    format!("{}.{}", net(n % nodes), n / nodes + 2)
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
            json!({"addresses": [ip(pod, nodes)], "nodeName": name(pod % nodes), "conditions": {"ready": true, "serving": true}})
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
