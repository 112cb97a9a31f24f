//! A real cluster on a testbed's nodes: API server and the rest of the control plane in a namespace of
//! their own, and on each node a container runtime and a kubelet, so that pods are attached by kubelet →
//! runtime → `sluice-cni`.
//!
//! `control_plane` and `runtime` start the programs, `binaries` has them, `images` makes what
//! runs in pods, `certs` says who is who, `machine` and `cgroup` give a node what a kubelet needs
//! and take it away again, `kubectl` is for people and tests.

pub mod binaries;
pub mod certs;
pub mod cgroup;
pub mod control_plane;
pub mod images;
pub mod kubectl;
pub mod machine;
pub mod runtime;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubernetes::control_plane::ControlPlane;
use crate::layout::Name;
use crate::node::Node;
use crate::run;

/// How long a node gets from its kubelet's start to Ready.
const READY: Duration = Duration::from_secs(120);

/// The archive of images that every node of a testbed is given.
pub fn archive(name: &Name) -> PathBuf {
    name.control_dir().join("images.tar")
}

/// The control plane of a testbed that was put up with Kubernetes.
///
/// # Errors
/// When it was put up without.
pub fn control_plane(cluster: &Cluster) -> Result<ControlPlane> {
    let bin = cluster.kubernetes_bin().with_context(|| {
        format!(
            "testbed `{}` has no Kubernetes: `sluice-testbed up --kubernetes` makes one that has",
            cluster.name.as_str()
        )
    })?;
    Ok(ControlPlane::new(&cluster.name, cluster.options(), bin))
}

/// Waits until a node has the condition Ready.
///
/// # Errors
/// When it does not get it.
pub fn wait_node_ready(control: &ControlPlane, node: &Node) -> Result<()> {
    let kubectl = control.kubectl();
    run::wait_for("the node to be Ready", READY, || {
        let object = kubectl.get(&["node", &node.name()])?;
        Ok(condition(&object, "Ready").then_some(()))
    })
    .with_context(|| {
        format!(
            "node {}, last lines of its kubelet's log:\n{}",
            node.name(),
            node.log_tail(crate::node::Daemon::Kubelet, 8)
        )
    })
}

/// Whether an object's status has a condition with status True.
pub fn condition(object: &Value, kind: &str) -> bool {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == kind && condition["status"] == "True")
}
