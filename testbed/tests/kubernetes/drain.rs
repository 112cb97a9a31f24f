//! A node is drained and comes back, while clients of a Service go on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::kubectl::Kubectl;
use sluice_testbed::{netns, run};

use crate::harness::{
    self, SOON, delete, deployment, kubectl, pods, rolled_out, traces, undeploy, wait_traces,
};

/// From one connection to the next.
const PACE: Duration = Duration::from_millis(20);
/// How long a connection and its answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Every pod of a node is evicted, one after the other as the Service's budget allows; no connection to the Service
/// fails, nothing is left on the node, and it takes pods again afterwards.
pub(crate) fn a_node_is_drained(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let node = cluster.node(2)?;
    let before = traces(&node)?;
    let name = "drained";
    let vip = service(&kubectl, name)?;
    kubectl.apply(&spread(name, 4).to_string())?;
    let first = rolled_out(&kubectl, name, 4)?;
    ensure!(
        first.iter().any(|pod| pod.node == node.name()),
        "no pod on {}: {first:?}",
        node.name()
    );
    let mut client = harness::container();
    client["readinessProbe"]["periodSeconds"] = json!(1);
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "customer", "labels": {"app": "customer"}},
        "spec": {"nodeName": "n1", "terminationGracePeriodSeconds": 1, "containers": [client]},
    });
    kubectl.apply(&pod.to_string())?;
    run::wait_for("the client's pod to be ready", SOON, || {
        Ok(pods(&kubectl, "app=customer")?
            .iter()
            .any(|(_, ready)| *ready)
            .then_some(()))
    })?;
    let inside = harness::netns(&cluster.node(1)?, "customer")?;
    let clients = Clients::start(&inside, vip)?;
    clients.wait(50)?;
    kubectl.run(&[
        "drain",
        &node.name(),
        "--ignore-daemonsets",
        "--timeout=90s",
    ])?;
    clients.wait(50)?;
    let moved = rolled_out(&kubectl, name, 4)?;
    ensure!(
        moved.iter().all(|pod| pod.node != node.name()),
        "not drained: {moved:?}"
    );
    wait_traces_of_pods(&node, &before)?;
    kubectl.run(&["uncordon", &node.name()])?;
    // Pods come to the node again, and are found there.
    kubectl.run(&["scale", "deployment", name, "--replicas=8"])?;
    let grown = rolled_out(&kubectl, name, 8)?;
    ensure!(
        grown.iter().any(|pod| pod.node == node.name()),
        "no pod on {}: {grown:?}",
        node.name()
    );
    clients.wait(50)?;
    let failures = clients.finish()?;
    ensure!(
        failures.is_empty(),
        "{} connections failed: {failures:?}",
        failures.len()
    );
    // Pods first: the last word on each endpoint is that it terminates, and nothing need be kept for its connections.
    undeploy(&kubectl, name)?;
    delete(&kubectl, &["service,poddisruptionbudget", name])?;
    delete(&kubectl, &["pod", "customer"])?;
    wait_traces(&node, &before)
}

/// What pods leave on a node, Services apart: the drained one's is still there.
fn wait_traces_of_pods(
    node: &sluice_testbed::node::Node,
    before: &std::collections::BTreeMap<&'static str, Vec<String>>,
) -> Result<()> {
    let mut last = Value::Null;
    run::wait_for("the node to be empty", SOON, || {
        let now = traces(node)?;
        let same = ["ports", "links", "namespaces", "ranges"]
            .iter()
            .all(|what| now.get(what) == before.get(what));
        last = json!(now);
        Ok(same.then_some(()))
    })
    .with_context(|| format!("{last:#}"))
}

/// A Service, a budget of one pod that may be away, and the Service's address.
fn service(kubectl: &Kubectl, name: &str) -> Result<SocketAddr> {
    let budget = json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": name}}},
    });
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": 81, "targetPort": 8081}]},
    });
    kubectl.apply(
        &json!({"apiVersion": "v1", "kind": "List", "items": [budget, service]}).to_string(),
    )?;
    let made = kubectl.get(&["service", name])?;
    let ip = made["spec"]["clusterIP"]
        .as_str()
        .context("no clusterIP")?
        .parse()?;
    Ok(SocketAddr::new(ip, 81))
}

/// Pods that go on serving for a while after they were told to go, and may all be on one node.
fn spread(name: &str, replicas: u32) -> Value {
    let mut object = deployment(name, replicas);
    let spec = &mut object["spec"]["template"]["spec"];
    spec["topologySpreadConstraints"][0]["whenUnsatisfiable"] = json!("ScheduleAnyway");
    spec["terminationGracePeriodSeconds"] = json!(5);
    spec["containers"][0]["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 3}}});
    object
}

/// A client that connects, asks, and hangs up, over and over.
struct Clients {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicU64>,
    thread: JoinHandle<Result<Vec<String>>>,
}

impl Clients {
    fn start(inside: &str, target: SocketAddr) -> Result<Clients> {
        let (stop, made) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (ending, count) = (Arc::clone(&stop), Arc::clone(&made));
        // The address is served once its slices have come to the node.
        let ready = netns::within(inside, move || {
            run::wait_for("the Service to answer", SOON, || ask(target).map(Some))
        })?;
        netns::join(ready)?;
        let thread = netns::within(inside, move || {
            let mut failures = Vec::new();
            while !ending.load(Ordering::Relaxed) {
                let number = count.fetch_add(1, Ordering::Relaxed);
                if let Err(error) = ask(target) {
                    failures.push(format!("#{number}: {error:#}"));
                }
                std::thread::sleep(PACE);
            }
            Ok(failures)
        })?;
        Ok(Clients { stop, made, thread })
    }

    /// Waits until so many more connections have been made.
    fn wait(&self, more: u64) -> Result<()> {
        let goal = self.made.load(Ordering::Relaxed) + more;
        run::wait_for("more connections", SOON, || {
            Ok((self.made.load(Ordering::Relaxed) >= goal).then_some(()))
        })
    }

    /// Ends it and says which connections failed, and why.
    fn finish(self) -> Result<Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        netns::join(self.thread)
    }
}

fn ask(target: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, LIMIT).context("connecting")?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"?\n").context("asking")?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .context("listening")?;
    ensure!(!line.is_empty(), "closed without an answer");
    Ok(())
}
