//! Pods: they come up, talk, are probed, and go.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::condition;
use sluice_testbed::{layout, run};

use crate::harness::{
    self, SOON, all_pairs, ask, delete, deploy, kubectl, pods, rolled_out, traces, undeploy,
    wait_traces,
};

/// How often ten pods are replaced by ten others.
const CHURN: u32 = 20;

pub(crate) fn twenty_pods(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let pods = deploy(&kubectl, "twenty", 20)?;
    for node in cluster.nodes()? {
        let here = pods.iter().filter(|pod| pod.node == node.name()).count();
        ensure!(here == 10, "{here} of 20 pods are on {}", node.name());
        // What the cluster was told is what the agent gave.
        let ours = node.sh("sluicectl", &["pods", "-o", "json"])?;
        for pod in pods.iter().filter(|pod| pod.node == node.name()) {
            ensure!(
                ours.contains(&pod.ip),
                "{} has {}, unknown to the agent: {ours}",
                pod.name,
                pod.ip
            );
        }
    }
    for (transport, port) in [("tcp", 8081), ("udp", 8082)] {
        all_pairs(&kubectl, &pods, transport, port)?;
    }
    // Nodes reach their pods, and the other node's.
    for node in cluster.nodes()? {
        for pod in pods.iter().take(4) {
            node.sh("ping", &["-n", "-q", "-c", "1", "-w", "5", &pod.ip])?;
        }
        let report = node.sh("sluicectl", &["verify"])?;
        ensure!(report.contains("in sync"), "{report}");
    }
    undeploy(&kubectl, "twenty")
}

/// `exec`, `logs` and `port-forward`, each by way of API server and kubelet.
pub(crate) fn kubectl_reaches_pods(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let pods = deploy(&kubectl, "tools", 2)?;
    for pod in &pods {
        let said = kubectl.run(&[
            "exec",
            &pod.name,
            "--",
            "/t",
            "ask",
            "http",
            "127.0.0.1:8080",
        ])?;
        ensure!(said.contains(&pod.name), "exec in {}: {said}", pod.name);
        let log = kubectl.run(&["logs", &pod.name])?;
        ensure!(log.contains(&pod.name), "log of {}: {log}", pod.name);
        let mut forward = kubectl
            .command(&["port-forward", &pod.name, ":8081"])
            .stdout(Stdio::piped())
            .spawn()?;
        let answer = forwarded(cluster, &mut forward);
        let _ = forward.kill();
        forward.wait()?;
        let answer = answer?;
        ensure!(
            answer.contains(&pod.name),
            "port-forward to {}: {answer}",
            pod.name
        );
    }
    undeploy(&kubectl, "tools")
}

fn forwarded(cluster: &Cluster, forward: &mut std::process::Child) -> Result<String> {
    // Kept to the end: it ends when it cannot say what it does.
    let mut out = BufReader::new(forward.stdout.take().context("no output")?);
    let mut line = String::new();
    // "Forwarding from 127.0.0.1:PORT -> 8081"
    out.read_line(&mut line)?;
    let port: u16 = line
        .split(' ')
        .nth(2)
        .and_then(|address| address.rsplit(':').next()?.parse().ok())
        .with_context(|| format!("port-forward said {line:?}"))?;
    let netns = cluster.name.control();
    let asking = sluice_testbed::netns::within(&netns, move || {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"?\n")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(answer)
    })?;
    sluice_testbed::netns::join(asking)
}

/// A kubelet reaches its pods at any time, and what a probe finds is what the cluster sees.
pub(crate) fn kubelets_probe_pods(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let ready = deploy(&kubectl, "probed", 2)?;
    let target = format!("{}:8080", ready[0].ip);
    for (path, wanted) in [("/ready/off", false), ("/ready/on", true)] {
        let switch = format!(
            "exec 3<>/dev/tcp/{}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3",
            target.replace(':', "/")
        );
        let node = harness::node_of(cluster, &ready[0])?;
        node.sh("bash", &["-c", &switch])?;
        run::wait_for("the probe to be believed", SOON, || {
            let object = kubectl.get(&["pod", &ready[0].name])?;
            Ok((condition(&object, "Ready") == wanted).then_some(()))
        })?;
    }
    undeploy(&kubectl, "probed")
}

/// A pod on its node's network is none of ours, and is reached like its node.
pub(crate) fn host_network(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hosted", "labels": {"app": "hosted"}},
        "spec": {
            "hostNetwork": true,
            "nodeName": "n2",
            "terminationGracePeriodSeconds": 1,
            "containers": [harness::container()],
        },
    });
    pod["spec"]["containers"][0]["ports"] = json!([]);
    let own = deploy(&kubectl, "asker", 2)?;
    kubectl.apply(&pod.to_string())?;
    run::wait_for("the pod to be ready", SOON, || {
        let found = pods(&kubectl, "app=hosted")?;
        Ok(found.iter().any(|(_, ready)| *ready).then_some(()))
    })?;
    let target = format!("{}:8081", layout::underlay_v4(2));
    for from in &own {
        let answers = ask(
            &kubectl,
            &from.name,
            "tcp",
            std::slice::from_ref(&target),
            5000,
        )?;
        ensure!(
            answers.iter().all(Result::is_ok),
            "{} ({}): {answers:?}",
            from.name,
            from.node
        );
    }
    let ours = cluster.node(2)?.sh("sluicectl", &["pods"])?;
    ensure!(
        !ours.contains("hosted"),
        "the agent has attached it: {ours}"
    );
    delete(&kubectl, &["pod", "hosted"])?;
    undeploy(&kubectl, "asker")
}

/// The API server takes what `deploy/` has.
pub(crate) fn manifests_are_accepted(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let mut command =
        kubectl.command(&["apply", "--dry-run=server", "--validate=strict", "-f", "-"]);
    let manifest = sluice_testbed::kubernetes::control_plane::MANIFEST;
    let output = run::with_input(&mut command, manifest.as_bytes())?;
    run::check(&command, &output)?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(said.contains("daemonset.apps/sluice-agent"), "{said}");
    Ok(())
}

/// Pods are made and removed, many at a time, and leave nothing on the nodes.
pub(crate) fn churn(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let nodes = cluster.nodes()?;
    let before: Vec<_> = nodes.iter().map(traces).collect::<Result<_>>()?;
    let mut pods = deploy(&kubectl, "churn", 10)?;
    for _ in 0..CHURN {
        // All pods at once are deleted, and the controller makes as many again.
        kubectl.run(&["delete", "pods", "-l", "app=churn", "--wait=false"])?;
        pods = rolled_out(&kubectl, "churn", 10)?;
    }
    all_pairs(&kubectl, &pods[..2], "tcp", 8081)?;
    undeploy(&kubectl, "churn")?;
    for (node, before) in nodes.iter().zip(&before) {
        wait_traces(node, before)?;
    }
    Ok(())
}
