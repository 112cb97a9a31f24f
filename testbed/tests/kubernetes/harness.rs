//! What the scenarios have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::kubectl::Kubectl;
use sluice_testbed::kubernetes::{self, images, machine};
use sluice_testbed::node::Node;
use sluice_testbed::run;

/// How long anything may take that the cluster does by itself.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// A pod as the cluster tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) ip: String,
    pub(crate) node: String,
}

pub(crate) fn kubectl(cluster: &Cluster) -> Result<Kubectl> {
    Ok(kubernetes::control_plane(cluster)?.kubectl())
}

/// A Deployment of test servers.
pub(crate) fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [container()],
                    // An even spread, whatever the scheduler thinks of the nodes otherwise.
                    "topologySpreadConstraints": [{
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "DoNotSchedule",
                        "labelSelector": {"matchLabels": {"app": name}},
                    }],
                },
            },
        },
    })
}

/// A container that is a test server.
pub(crate) fn container() -> Value {
    json!({
        "name": "server",
        "image": images::SERVER,
        "imagePullPolicy": "Never",
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1},
    })
}

/// Applies a deployment and waits until all its pods are ready.
pub(crate) fn deploy(kubectl: &Kubectl, name: &str, replicas: u32) -> Result<Vec<Pod>> {
    kubectl.apply(&deployment(name, replicas).to_string())?;
    rolled_out(kubectl, name, replicas)
}

/// Waits until a deployment has exactly so many pods, all ready.
pub(crate) fn rolled_out(kubectl: &Kubectl, name: &str, replicas: u32) -> Result<Vec<Pod>> {
    let selector = format!("app={name}");
    let wanted = usize::try_from(replicas)?;
    run::wait_for(&format!("{wanted} ready pods of {name}"), SOON, || {
        let pods = pods(kubectl, &selector)?;
        let ready = pods.iter().filter(|pod| pod.1).count();
        Ok((pods.len() == wanted && ready == wanted)
            .then(|| pods.into_iter().map(|(pod, _)| pod).collect()))
    })
    .with_context(|| {
        kubectl
            .run(&["describe", "pods", "-l", &selector])
            .unwrap_or_default()
    })
}

/// The pods that a selector finds, and whether each is ready.
pub(crate) fn pods(kubectl: &Kubectl, selector: &str) -> Result<Vec<(Pod, bool)>> {
    let list = kubectl.get(&["pods", "-l", selector])?;
    let items = list["items"].as_array().context("no list of pods")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(items
        .iter()
        .map(|pod| {
            let found = Pod {
                name: text(&pod["metadata"]["name"]),
                ip: text(&pod["status"]["podIP"]),
                node: text(&pod["spec"]["nodeName"]),
            };
            (found, kubernetes::condition(pod, "Ready"))
        })
        .collect())
}

/// Removes objects and waits until they are gone.
pub(crate) fn delete(kubectl: &Kubectl, what: &[&str]) -> Result<()> {
    let mut words = vec![
        "delete",
        "--ignore-not-found",
        "--wait=true",
        "--timeout=90s",
    ];
    words.extend(what);
    kubectl.run(&words).map(drop)
}

/// Removes a deployment and waits until no pod of it is left.
pub(crate) fn undeploy(kubectl: &Kubectl, name: &str) -> Result<()> {
    delete(kubectl, &["deployment", name])?;
    let selector = format!("app={name}");
    run::wait_for(&format!("the pods of {name} to go"), SOON, || {
        Ok(pods(kubectl, &selector)?.is_empty().then_some(()))
    })
}

/// Asks from inside a pod; each target's answer, or why there is none, in the targets' order.
pub(crate) fn ask(
    kubectl: &Kubectl,
    from: &str,
    transport: &str,
    targets: &[String],
    timeout_ms: u32,
) -> Result<Vec<Result<String, String>>> {
    let timeout = timeout_ms.to_string();
    let mut words = vec![
        "exec",
        from,
        "--",
        "/t",
        "ask",
        "--timeout-ms",
        &timeout,
        transport,
    ];
    words.extend(targets.iter().map(String::as_str));
    // A missing answer makes it fail; what was printed counts.
    let output = run::output(&mut kubectl.command(&words))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answers: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(_, answer)| match answer.strip_prefix("- ") {
            Some(why) => Err(why.to_owned()),
            None => Ok(answer.to_owned()),
        })
        .collect();
    ensure!(
        answers.len() == targets.len(),
        "asking from {from} gave {} answers to {} questions: {text}{}",
        answers.len(),
        targets.len(),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(answers)
}

/// Asks every pod from every pod, by one transport; all must answer by their own name.
pub(crate) fn all_pairs(kubectl: &Kubectl, pods: &[Pod], transport: &str, port: u16) -> Result<()> {
    let targets: Vec<String> = pods
        .iter()
        .map(|pod| format!("{}:{port}", pod.ip))
        .collect();
    for from in pods {
        let answers = ask(kubectl, &from.name, transport, &targets, 5000)?;
        for (to, answer) in pods.iter().zip(answers) {
            let good = answer.as_ref().is_ok_and(|text| text.starts_with(&to.name));
            ensure!(
                good,
                "{} ({}) asks {} ({}) by {transport}: {answer:?}",
                from.name,
                from.ip,
                to.name,
                to.ip
            );
        }
    }
    Ok(())
}

/// The namespace of a pod's network, as a path on this machine.
pub(crate) fn netns(node: &Node, pod: &str) -> Result<String> {
    let filter = format!("external_ids:sluice-pod-name={pod}");
    let ids = node.sh(
        "ovs-vsctl",
        &[
            "--bare",
            "--columns=external_ids",
            "find",
            "Interface",
            &filter,
        ],
    )?;
    let path = ids
        .split_whitespace()
        .find_map(|word| word.strip_prefix("sluice-netns="))
        .with_context(|| format!("no port of pod {pod} on {}: {ids}", node.name()))?;
    let root = machine::root(node).context("the node has no mounts of its own")?;
    Ok(format!(
        "{root}{}",
        path.trim_matches('"').replace("/var/run/", "/run/")
    ))
}

/// The node that a pod is on.
pub(crate) fn node_of(cluster: &Cluster, pod: &Pod) -> Result<Node> {
    cluster
        .nodes()?
        .into_iter()
        .find(|node| node.name() == pod.node)
        .with_context(|| format!("pod {} is on unknown node {}", pod.name, pod.node))
}

/// All that pods could leave on a node.
pub(crate) fn traces(node: &Node) -> Result<BTreeMap<&'static str, Vec<String>>> {
    let lines = |text: String| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let status: Value = serde_json::from_str(&node.sh("sluicectl", &["status", "-o", "json"])?)?;
    Ok(BTreeMap::from([
        ("flows", sluice_testbed::look::program(node)?),
        ("ports", sluice_testbed::look::ports(node)?),
        ("links", sluice_testbed::look::links(node)?),
        ("namespaces", lines(node.sh("ls", &["/run/netns"])?)),
        ("ranges", vec![status["ranges"].to_string()]),
    ]))
}

/// Waits until a node is as it was.
pub(crate) fn wait_traces(node: &Node, before: &BTreeMap<&'static str, Vec<String>>) -> Result<()> {
    let gone = run::wait_for("what the pods had to go", SOON, || {
        Ok((traces(node)? == *before).then_some(()))
    });
    if gone.is_err() {
        let after = traces(node)?;
        for (what, before) in before {
            let after = after.get(what).cloned().unwrap_or_default();
            let left: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
            let lost: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
            ensure!(
                left.is_empty() && lost.is_empty(),
                "{what} of {}: left behind {left:#?}, lost {lost:#?}",
                node.name()
            );
        }
    }
    Ok(())
}
