//! Daemons end and come back while packets are counted.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::control_plane::Component;
use sluice_testbed::kubernetes::kubectl::Kubectl;
use sluice_testbed::kubernetes::{self, cgroup, runtime};
use sluice_testbed::node::Daemon;
use sluice_testbed::probe::Probe;
use sluice_testbed::{agent, run};

use crate::harness::{
    self, Pod, SOON, all_pairs, deploy, deployment, kubectl, rolled_out, undeploy,
};

/// From one question of a probe to the next.
const PACE: Duration = Duration::from_millis(5);

/// A probe between a pod of each node.
pub(crate) fn probe(cluster: &Cluster, pods: &[Pod]) -> Result<Probe> {
    let first = pods.first().context("no pods")?;
    let other = pods
        .iter()
        .find(|pod| pod.node != first.node)
        .context("all pods are on one node")?;
    let from = harness::netns(&harness::node_of(cluster, first)?, &first.name)?;
    let to = harness::netns(&harness::node_of(cluster, other)?, &other.name)?;
    Probe::start(&from, &to, other.ip.parse()?, PACE)
}

/// With each new device of a node, a switch with the userspace datapath looks up anew where its tunnels lead and end;
/// what it translates in that moment may be lost (`docs/agent.md`). So many at most, while some pods come.
pub(crate) const NEW_DEVICES: usize = 5;

pub(crate) fn none_lost(probe: Probe) -> Result<()> {
    lost_at_most(probe, 0)
}

pub(crate) fn lost_at_most(probe: Probe, few: usize) -> Result<()> {
    let report = probe.finish()?;
    println!("    {} of {} packets lost", report.lost.len(), report.sent);
    ensure!(
        report.lost.len() <= few,
        "{} of {} packets were lost, longest silence {:?}: {}",
        report.lost.len(),
        report.sent,
        report.silence,
        report.losses()
    );
    Ok(())
}

/// The runtime and the kubelet take up their pods again, and packets do not notice.
pub(crate) fn kubelet_and_runtime(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let pods = deploy(&kubectl, "steady", 4)?;
    let probe = probe(cluster, &pods)?;
    let node = cluster.node(1)?;
    let bin = cluster
        .kubernetes_bin()
        .context("no Kubernetes")?
        .to_owned();
    for signal in ["TERM", "KILL"] {
        node.end(Daemon::Kubelet, signal)?;
        node.end(Daemon::Containerd, signal)?;
        runtime::start_containerd(&node)?;
        runtime::start_kubelet(&node, &bin)?;
    }
    kubernetes::wait_node_ready(&kubernetes::control_plane(cluster)?, &node)?;
    none_lost(probe)?;
    // The same pods, not others in their place.
    let after = rolled_out(&kubectl, "steady", 4)?;
    let names = |pods: &[Pod]| {
        let mut names: Vec<_> = pods.iter().map(|pod| pod.name.clone()).collect();
        names.sort();
        names
    };
    ensure!(names(&pods) == names(&after), "{pods:?} became {after:?}");
    run::wait_for("the kubelet to know its pods again", SOON, || {
        all_pairs(&kubectl, &after, "tcp", 8081).map(Some)
    })?;
    // And the node takes new ones.
    deploy(&kubectl, "late", 2)?;
    undeploy(&kubectl, "late")?;
    undeploy(&kubectl, "steady")
}

/// Agents come and go, and nobody notices; and pods come while they are away: the plugin waits for them.
pub(crate) fn agent(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let pods = deploy(&kubectl, "steady", 2)?;
    let start = |cluster: &mut Cluster| {
        for node in cluster.nodes()? {
            agent::start(&node)?;
            cluster.record(std::slice::from_ref(&node), &[Daemon::Agent])?;
            agent::wait_ready(&node)?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let end = |cluster: &Cluster, signal| {
        let mut nodes = cluster.nodes()?.into_iter();
        nodes.try_for_each(|node| node.end(Daemon::Agent, signal))
    };
    let undisturbed = probe(cluster, &pods)?;
    for signal in ["TERM", "KILL"] {
        end(cluster, signal)?;
        start(cluster)?;
    }
    none_lost(undisturbed)?;

    let meanwhile = probe(cluster, &pods)?;
    for (round, signal) in ["TERM", "KILL"].into_iter().enumerate() {
        let name = format!("meanwhile{round}");
        end(cluster, signal)?;
        kubectl.apply(&deployment(&name, 4).to_string())?;
        // The pods have a node, and its kubelet has begun with them.
        run::wait_for("the pods to be scheduled", SOON, || {
            let found = harness::pods(&kubectl, &format!("app={name}"))?;
            let scheduled = found.iter().filter(|(pod, _)| !pod.node.is_empty()).count();
            Ok((scheduled == 4).then_some(()))
        })?;
        start(cluster)?;
        let new = rolled_out(&kubectl, &name, 4)?;
        all_pairs(&kubectl, &new, "udp", 8082)?;
        undeploy(&kubectl, &name)?;
    }
    lost_at_most(meanwhile, NEW_DEVICES)?;
    undeploy(&kubectl, "steady")
}

/// The API server dies in the middle of a rollout: packets flow, the agents stay ready and say what is wrong, one that
/// starts anew goes on with what it knew, and the rollout ends once the API server is back.
pub(crate) fn api_server(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let control = kubernetes::control_plane(cluster)?;
    let pods = deploy(&kubectl, "steady", 4)?;
    let probe = probe(cluster, &pods)?;
    kubectl.apply(&deployment("rollout", 10).to_string())?;
    control.end_component(Component::ApiServer, Signal::SIGKILL)?;
    let began = Instant::now();
    let node = cluster.node(1)?;
    let readyz =
        "exec 3<>/dev/tcp/127.0.0.1/9810; printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3; cat <&3";
    run::wait_for("the agent to notice", SOON, || {
        let text = node.sh("bash", &["-c", readyz])?;
        ensure!(text.contains("200 OK"), "{text}");
        // One watch after the other notices.
        Ok(text.contains("not watching the cluster").then_some(()))
    })?;
    let status = node.sh("sluicectl", &["status"])?;
    ensure!(
        status.contains("not watching the cluster") && status.contains("last known state in force"),
        "{status}"
    );
    // A new agent has nobody to ask, and does with what is on disk.
    node.end(Daemon::Agent, "KILL")?;
    agent::start(&node)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Agent])?;
    agent::wait_ready(&node)?;
    let status = node.sh("sluicectl", &["status"])?;
    ensure!(status.contains("read from disk"), "{status}");
    let report = node.sh("sluicectl", &["verify"])?;
    ensure!(report.contains("in sync"), "{report}");
    // Away for a while, with packets flowing all the time.
    let asked = probe.asked();
    run::wait_for(
        "the API server to have been away for long",
        AWAY * 2,
        || Ok((began.elapsed() >= AWAY && probe.asked() > asked).then_some(())),
    )?;
    control.start_component(Component::ApiServer)?;
    control.wait_ready()?;
    back(&kubectl, cluster)?;
    none_lost(probe)?;
    let new = rolled_out(&kubectl, "rollout", 10)?;
    all_pairs(&kubectl, &new[..4], "tcp", 8081)?;
    undeploy(&kubectl, "rollout")?;
    undeploy(&kubectl, "steady")
}

/// Pods are left running, on a node whose runtime has died: taking the testbed down must end them, which is looked at
/// when it has been.
pub(crate) fn left_running(cluster: &mut Cluster) -> Result<()> {
    deploy(&kubectl(cluster)?, "left", 4)?;
    let node = cluster.node(1)?;
    node.end(Daemon::Kubelet, "KILL")?;
    node.end(Daemon::Containerd, "KILL")?;
    let containers = cgroup::processes(&runtime::container_groups(&node.dir()));
    // Two pods of two processes each.
    ensure!(containers.len() >= 4, "{containers:?}");
    Ok(())
}

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(60);

fn back(kubectl: &Kubectl, cluster: &Cluster) -> Result<()> {
    run::wait_for("everybody to find the API server again", SOON, || {
        for node in cluster.nodes()? {
            let status = node.sh("sluicectl", &["status"])?;
            if status.contains("not watching") || status.contains("read from disk") {
                return Ok(None);
            }
        }
        kubectl.run(&["get", "nodes"]).map(|_| Some(()))
    })
}

/// Sandboxes vanish while nobody looks, as when a machine starts anew: the agent takes away what they had, and
/// nothing of those that live.
pub(crate) fn vanished_sandboxes(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let node = cluster.node(1)?;
    let before = harness::traces(&node)?;
    let bin = cluster
        .kubernetes_bin()
        .context("no Kubernetes")?
        .to_owned();
    deploy(&kubectl, "doomed", 6)?;
    let elsewhere = deploy(&kubectl, "steady", 2)?;
    for daemon in [Daemon::Agent, Daemon::Kubelet, Daemon::Containerd] {
        node.end(daemon, "KILL")?;
    }
    for process in cgroup::processes(&[cluster.name.host(1)]) {
        let name =
            std::fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap_or_default();
        if name.starts_with("containerd-shim") {
            process.signal(Signal::SIGKILL);
        }
    }
    cgroup::remove(&runtime::container_groups(&node.dir()))?;
    node.script("for file in /run/netns/cni-*; do umount $file; rm $file; done")?;
    kubectl.run(&["delete", "deployment", "doomed", "--wait=false"])?;
    kubectl.run(&[
        "delete",
        "pods",
        "-l",
        "app=doomed",
        "--force",
        "--grace-period=0",
    ])?;
    agent::start(&node)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Agent])?;
    agent::wait_ready(&node)?;
    // The pod that is still wanted keeps what it has until its new sandbox has come.
    run::wait_for("what the pods had to be collected", SOON, || {
        let ours = node.sh("sluicectl", &["pods"])?;
        ensure!(ours.contains("steady"), "{ours}");
        Ok((!ours.contains("doomed")).then_some(()))
    })?;
    runtime::start_containerd(&node)?;
    runtime::start_kubelet(&node, &bin)?;
    cluster.record(
        std::slice::from_ref(&node),
        &[Daemon::Containerd, Daemon::Kubelet],
    )?;
    kubernetes::wait_node_ready(&kubernetes::control_plane(cluster)?, &node)?;
    run::wait_for("the pods to be there again", SOON, || {
        let after = rolled_out(&kubectl, "steady", 2)?;
        let new = after
            .iter()
            .any(|pod| elsewhere.iter().all(|old| old.ip != pod.ip));
        all_pairs(&kubectl, &after, "tcp", 8081).map(|()| new.then_some(()))
    })?;
    undeploy(&kubectl, "steady")?;
    harness::wait_traces(&node, &before)
}
