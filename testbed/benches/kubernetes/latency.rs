//! From a write to the API server until the switch has what follows from it, as the switch itself reports its changes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::{self, images};
use sluice_testbed::layout::BRIDGE;
use sluice_testbed::measure::{argument, quantile};
use sluice_testbed::node::Node;
use sluice_testbed::run;

use crate::api::{Api, Request};

const LIMIT: Duration = Duration::from_secs(30);
/// Where nothing has changed for so long, nothing more comes of what was written.
const QUIET: Duration = Duration::from_millis(150);
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

pub(crate) fn measure(cluster: &Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let kubectl = kubernetes::control_plane(cluster)?.kubectl();
    let api = Api::new(cluster)?;
    let mut connection = api.connect()?;
    for number in 0..4 {
        connection.send(&Request::post(
            "/api/v1/namespaces/default/pods",
            &pod(number),
        ))?;
    }
    connection.send(&Request::post(
        "/api/v1/namespaces/default/services",
        &service(),
    ))?;
    connection.send(&Request::post(SLICES, &slice()))?;
    run::wait_for("the pods to run", LIMIT, || {
        let pods = kubectl.get(&["pods", "-l", "app=latency"])?;
        let items = pods["items"].as_array().context("no list")?;
        Ok(items
            .iter()
            .all(|pod| pod["status"]["phase"] == "Running")
            .then_some(()))
    })?;
    let monitor = Monitor::start(&node)?;
    let (mut policies, mut endpoints) = (Vec::new(), Vec::new());
    for round in 0..argument("--writes", 100) {
        let create = Request::post(POLICIES, &policy());
        let took = monitor.time(|| connection.send(&create))?;
        match round {
            0 => println!(
                "the first policy, for which the agent begins to watch a namespace's pods: {took:.1} ms"
            ),
            // The watch goes on for a minute after the policy.
            _ => policies.push(took),
        }
        let delete = Request::delete(format!("{POLICIES}/latency"));
        monitor.time(|| connection.send(&delete))?;
        let address = format!("10.200.{}.{}", round / 200, round % 200 + 1);
        let change =
            json!({"endpoints": [{"addresses": [address], "conditions": {"ready": true}}]});
        let change = Request::patch(format!("{SLICES}/latency-1"), &change);
        endpoints.push(monitor.time(|| connection.send(&change))?);
    }
    for (what, times) in [("a policy", &mut policies), ("an endpoint", &mut endpoints)] {
        let (p50, p99) = (quantile(times, 0.5), quantile(times, 0.99));
        println!(
            "{what}, from the write to the API server until the switch has all of it: p50 {p50:.1} ms, p99 {p99:.1} ms, {} writes",
            times.len()
        );
    }
    kubectl.run(&[
        "delete",
        "pods,services",
        "-l",
        "app=latency",
        "--grace-period=1",
        "--wait=true",
    ])?;
    connection.send(&Request::delete(format!("{SLICES}/latency-1")))
}

/// What the switch says of changes of its flows.
struct Monitor {
    child: Child,
    changes: mpsc::Receiver<Instant>,
}

impl Monitor {
    fn start(node: &Node) -> Result<Monitor> {
        let mut command = node.command(
            "ovs-ofctl",
            &["-O", "OpenFlow13", "monitor", BRIDGE, "watch:!initial"],
        );
        let mut child = command
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stderr.take().context("no output")?;
        let (tell, changes) = mpsc::channel();
        // The switch's answer, with no flow in it: from now on it tells, by the other way.
        let mut answer = String::new();
        let out = child.stdout.as_mut().context("no output")?;
        BufReader::new(out).read_line(&mut answer)?;
        ensure!(answer.contains("FLOW_MONITOR reply"), "ovs-ofctl: {answer}");
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if line.contains("event=") && tell.send(Instant::now()).is_err() {
                    return;
                }
            }
        });
        Ok(Monitor { child, changes })
    }

    /// Milliseconds from a write to the last change of the switch that comes of it.
    fn time(&self, write: impl FnOnce() -> Result<()>) -> Result<f64> {
        while self.changes.recv_timeout(QUIET).is_ok() {}
        let began = Instant::now();
        write()?;
        let first = self.changes.recv_timeout(LIMIT);
        let mut last = first.context("the switch did not change")?;
        while let Ok(at) = self.changes.recv_timeout(QUIET) {
            last = at;
        }
        Ok(last.duration_since(began).as_secs_f64() * 1000.0)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pod(number: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": format!("latency-{number}"), "labels": {"app": "latency"}},
        "spec": {
            "nodeName": "n1",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "containers": [{"name": "pause", "image": images::PAUSE, "imagePullPolicy": "Never"}],
        },
    })
}

fn policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "latency"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "latency"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "latency"}}}], "ports": [{"port": 80}]}],
        },
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "latency", "labels": {"app": "latency"}},
        "spec": {"ports": [{"name": "web", "port": 80}]},
    })
}

fn slice() -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "latency-1", "labels": {"kubernetes.io/service-name": "latency"}},
        "addressType": "IPv4",
        "ports": [{"name": "web", "port": 8080}],
        "endpoints": [{"addresses": ["10.200.9.9"], "conditions": {"ready": true}}],
    })
}
