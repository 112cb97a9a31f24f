//! What people install: the manifest with its image, and an upgrade of it, while packets are counted.

use std::os::unix::fs::symlink;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::kubernetes::control_plane::MANIFEST;
use sluice_testbed::kubernetes::kubectl::Kubectl;
use sluice_testbed::kubernetes::{images, machine, runtime};
use sluice_testbed::node::{Daemon, Node};
use sluice_testbed::options;
use sluice_testbed::{agent, layout, run};

use crate::harness::{SOON, all_pairs, delete, deploy, deployment, kubectl, rolled_out, undeploy};
use crate::restarts::{NEW_DEVICES, lost_at_most, none_lost, probe};

/// The image that the manifest names, and the one of the upgrade.
const IMAGE: &str = concat!("localhost/sluice:", env!("CARGO_PKG_VERSION"));
const NEXT: &str = concat!("localhost/sluice:", env!("CARGO_PKG_VERSION"), "-next");
/// Where a node has the folders that the manifest wants from it.
const PLUGINS: &str = "/run/cni-bin";
const NETWORKS: &str = "/run/cni-net.d";

/// `kubectl apply -f deploy/sluice.yaml` on nodes whose agents were started by hand; then a rolling upgrade to another
/// image, and back while pods come; then it is taken away. No packet is lost in all of it, but for what new devices cost.
pub(crate) fn from_the_manifest(cluster: &mut Cluster) -> Result<()> {
    let kubectl = kubectl(cluster)?;
    let nodes = cluster.nodes()?;
    let archive = cluster.name.control_dir().join("agent.tar");
    let bin = sluice_testbed::suite::binaries()?;
    images::write_agent(&bin, &[IMAGE, NEXT], &archive)?;
    for node in &nodes {
        runtime::import(node, &archive)?;
        place(node)?;
    }
    let steady = deploy(&kubectl, "steady", 4)?;

    let installing = probe(cluster, &steady)?;
    for node in &nodes {
        node.end(Daemon::Agent, "TERM")?;
        std::fs::remove_file(node.conflist())?;
    }
    kubectl.apply(&manifest(cluster))?;
    agents_rolled_out(&kubectl, nodes.len())?;
    none_lost(installing)?;
    let installed = deploy(&kubectl, "installed", 4)?;
    all_pairs(&kubectl, &installed, "tcp", 8081)?;

    let upgrading = probe(cluster, &steady)?;
    let before = agents(&kubectl)?;
    roll(&kubectl, NEXT)?;
    agents_rolled_out(&kubectl, nodes.len())?;
    replaced(&before, &agents(&kubectl)?, NEXT)?;
    none_lost(upgrading)?;

    // Pods that come while agents go find the plugin waiting for the next one.
    let meanwhile = probe(cluster, &steady)?;
    let before = agents(&kubectl)?;
    roll(&kubectl, IMAGE)?;
    kubectl.apply(&deployment("during", 6).to_string())?;
    agents_rolled_out(&kubectl, nodes.len())?;
    let after = agents(&kubectl)?;
    replaced(&before, &after, IMAGE)?;
    let during = rolled_out(&kubectl, "during", 6)?;
    all_pairs(&kubectl, &during, "udp", 8082)?;
    lost_at_most(meanwhile, NEW_DEVICES)?;
    for (name, _) in &after {
        let verify = [
            "-n",
            "kube-system",
            "exec",
            name,
            "-c",
            "agent",
            "--",
            "sluicectl",
            "verify",
        ];
        let said = kubectl.run(&verify)?;
        ensure!(said.contains("in sync"), "{name}: {said}");
    }

    let removing = probe(cluster, &steady)?;
    let objects = [
        "-n",
        "kube-system",
        "daemonset/sluice-agent",
        "configmap/sluice-agent",
    ];
    delete(&kubectl, &objects)?;
    run::wait_for("the agents to go", SOON, || {
        Ok(agents(&kubectl)?.is_empty().then_some(()))
    })?;
    for node in &nodes {
        std::fs::remove_file(node.conflist())?;
        agent::start(node)?;
        cluster.record(std::slice::from_ref(node), &[Daemon::Agent])?;
        agent::wait_ready(node)?;
    }
    none_lost(removing)?;
    for name in ["during", "installed", "steady"] {
        undeploy(&kubectl, name)?;
    }
    Ok(())
}

/// Begins a rolling upgrade to an image.
fn roll(kubectl: &Kubectl, image: &str) -> Result<()> {
    let (agent, plugin) = (format!("agent={image}"), format!("install-cni={image}"));
    let set = [
        "-n",
        "kube-system",
        "set",
        "image",
        "daemonset/sluice-agent",
        &agent,
        &plugin,
    ];
    kubectl.run(&set).map(drop)
}

/// Whether every agent is another one than before, of this image.
fn replaced(before: &[(String, String)], after: &[(String, String)], image: &str) -> Result<()> {
    let is_new =
        |(name, of): &(String, String)| of == image && before.iter().all(|(old, _)| old != name);
    ensure!(
        after.iter().all(is_new),
        "agents before the upgrade {before:?}, after it {after:?}"
    );
    Ok(())
}

/// Gives a node the folders that the manifest names, as far as they are not where a machine has them: the paths in the
/// node's own `/run` lead to what its runtime and switch use.
fn place(node: &Node) -> Result<()> {
    let run = machine::root(node).context("the node has no mounts of its own")? + "/run";
    for (name, to) in [
        ("openvswitch", node.dir()),
        ("cni-bin", node.dir().join("cni-bin")),
        ("cni-net.d", node.dir().join("net.d")),
    ] {
        symlink(to, format!("{run}/{name}")).with_context(|| format!("{run}/{name}"))?;
    }
    Ok(())
}

/// The manifest with what differs here: where the runtime looks, the datapath, and where the API server is.
fn manifest(cluster: &Cluster) -> String {
    let options = cluster.options();
    let mut text = MANIFEST
        .replace("path: /opt/cni/bin", &format!("path: {PLUGINS}"))
        .replace("path: /etc/cni/net.d", &format!("path: {NETWORKS}"));
    let server = format!("https://{}:6443", layout::control_v4());
    for (key, value) in [
        ("tunnel", options::name(options.tunnel)),
        ("datapath-type", options::name(options.datapath())),
        ("kubernetes-server", server),
    ] {
        let line = |line: &str| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{key} = "))
        };
        let lines = text.lines().map(|old| {
            if line(old.trim_start()) {
                format!("    {key} = \"{value}\"")
            } else {
                old.to_owned()
            }
        });
        text = lines.collect::<Vec<_>>().join("\n");
    }
    text.replace(
        "underlay-mtu = 1500",
        &format!("underlay-mtu = {}", options.mtu),
    )
}

/// The names of the agents' pods and the image that each runs.
fn agents(kubectl: &Kubectl) -> Result<Vec<(String, String)>> {
    let list = kubectl.get(&[
        "-n",
        "kube-system",
        "pods",
        "-l",
        "app.kubernetes.io/name=sluice",
    ])?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pods = list["items"].as_array().context("no list of pods")?.iter();
    Ok(pods
        .map(|pod| {
            (
                text(&pod["metadata"]["name"]),
                text(&pod["spec"]["containers"][0]["image"]),
            )
        })
        .collect())
}

/// Waits until every node has the agent that the DaemonSet asks for now, ready.
fn agents_rolled_out(kubectl: &Kubectl, nodes: usize) -> Result<()> {
    let rolled = run::wait_for("the agents to be ready", SOON, || {
        let set = kubectl.get(&["-n", "kube-system", "daemonset", "sluice-agent"])?;
        let status = &set["status"];
        let all = ["updatedNumberScheduled", "numberReady", "numberAvailable"]
            .iter()
            .all(|field| status[field].as_u64() == u64::try_from(nodes).ok());
        let current = status["observedGeneration"] == set["metadata"]["generation"];
        Ok((all && current).then_some(()))
    });
    rolled.with_context(|| {
        let say = |args: &[&str]| {
            kubectl
                .run(args)
                .unwrap_or_else(|error| format!("{error:#}"))
        };
        let chosen = ["-n", "kube-system", "-l", "app.kubernetes.io/name=sluice"];
        let why = "jsonpath={..waiting.message}";
        let mut text = say(&[&["get", "pods", "-o", why], &chosen[..]].concat());
        text += &say(&[&["describe", "pods"], &chosen[..]].concat());
        text += &say(&[
            &["logs", "--tail=20", "--all-containers", "--prefix"],
            &chosen[..],
        ]
        .concat());
        text
    })
}
