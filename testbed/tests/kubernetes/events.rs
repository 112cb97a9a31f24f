//! What the switch refuses, told to the pods that go without it.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::kubectl::Kubectl;
use sluice_testbed::node::Node;
use sluice_testbed::{look, run};

use crate::harness::{SOON, delete, deploy, kubectl, pods, rolled_out, undeploy};

const BRIDGE: &str = "br-sluice";

/// A switch that takes no more flows: of a policy's, the pods hear that it selects there; of a pod's, that pod. Once
/// it takes them, all is in force.
pub(crate) fn refused_flows(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let node = cluster.node(1)?;
    let first = deploy(&kubectl, "full", 2)?;
    let here = first.iter().find(|pod| pod.node == node.name());
    let here = here.context("no pod on the first node")?.name.clone();

    let rules = limit(&node, 46, "IngressPolicy")?;
    kubectl.apply(&policy().to_string())?;
    let said = event(&kubectl, "NetworkPolicyRefused", &here)?;
    // Of one of its rules, or of what it isolates.
    ensure!(
        said.contains("refuses a flow of policy") && said.contains("default/full"),
        "{said}"
    );
    let all = events(&kubectl, "NetworkPolicyRefused")?;
    ensure!(
        all.iter().all(|(pod, _)| *pod == here),
        "the switch of one node is full: {all:?}"
    );
    unlimit(&node, &rules)?;
    in_sync(&node)?;

    let guards = limit(&node, 4, "Guard")?;
    kubectl.run(&["scale", "deployment", "full", "--replicas=4"])?;
    let new = run::wait_for("a new pod to be on the node", SOON, || {
        let pods = pods(&kubectl, "app=full")?;
        let new = pods
            .iter()
            .find(|(pod, _)| pod.node == node.name() && pod.name != here);
        Ok(new.map(|(pod, _)| pod.name.clone()))
    })?;
    let said = event(&kubectl, "NetworkAttachFailed", &new)?;
    ensure!(said.contains("refuses a flow of pod default/"), "{said}");
    unlimit(&node, &guards)?;
    rolled_out(&kubectl, "full", 4)?;
    in_sync(&node)?;
    delete(&kubectl, &["networkpolicy", "full"])?;
    undeploy(&kubectl, "full")
}

fn policy() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "full"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "full"}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "full"}}}]}],
        },
    })
}

/// Has the switch take no more flows in a table; the table's row.
fn limit(node: &Node, id: u8, name: &str) -> Result<String> {
    let place = format!("table={name},");
    let flows = look::flows(node)?;
    let count = flows.iter().filter(|flow| flow.contains(&place)).count();
    ensure!(count > 0, "no flow in table {name}: {flows:#?}");
    let table = format!("flow_tables:{id}");
    let row = node.sh("ovs-vsctl", &["get", "Bridge", BRIDGE, &table])?;
    let row = row.trim().to_owned();
    let count = format!("flow_limit={count}");
    let policy = "overflow_policy=refuse";
    node.sh("ovs-vsctl", &["set", "Flow_Table", &row, &count, policy])?;
    Ok(row)
}

fn unlimit(node: &Node, row: &str) -> Result<()> {
    let columns = ["flow_limit", "overflow_policy"];
    let words = [&["clear", "Flow_Table", row], &columns[..]].concat();
    node.sh("ovs-vsctl", &words).map(drop)
}

/// Waits until the switch has everything again.
fn in_sync(node: &Node) -> Result<()> {
    run::wait_for("the switch to take what it refused", SOON, || {
        let status = node.sh("sluicectl", &["status"])?;
        let report = node.sh("sluicectl", &["verify"])?;
        Ok((!status.contains("refuses") && report.contains("in sync")).then_some(()))
    })
}

/// Waits for an event of a reason on a pod; what it says.
fn event(kubectl: &Kubectl, reason: &str, pod: &str) -> Result<String> {
    run::wait_for(&format!("an event {reason} on {pod}"), SOON, || {
        let events = events(kubectl, reason)?;
        let found = events.into_iter().find(|(name, _)| name == pod);
        Ok(found.map(|(_, message)| message))
    })
}

/// The events of a reason: on which pods, and what they say.
fn events(kubectl: &Kubectl, reason: &str) -> Result<Vec<(String, String)>> {
    let selector = format!("reason={reason}");
    let list = kubectl.get(&["events", "--field-selector", &selector])?;
    let items = list["items"].as_array().context("no list of events")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(items
        .iter()
        .map(|event| {
            let pod = text(&event["involvedObject"]["name"]);
            (pod, text(&event["message"]))
        })
        .collect())
}
