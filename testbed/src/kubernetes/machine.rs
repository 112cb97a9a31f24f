//! What makes a network namespace a machine that a kubelet can live on: a mount namespace with folders
//! of its own where Kubernetes writes, and a control group that holds whatever runs there.
//!
//! `/run`, `/var/lib` and `/var/log` are the node's own; everything else is the machine's. Within the node what is
//! mounted there is shared with containers that ask for it, as on any machine; nothing of it is seen outside, and all
//! of it goes with the last process. Must not know Kubernetes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::kubernetes::cgroup;
use crate::layout::ROOT;
use crate::node::{Host, Node};
use crate::process::Process;
use crate::run;

/// How long the machine gets to have its mounts.
const READY: Duration = Duration::from_secs(10);

fn pidfile(node: &Node) -> PathBuf {
    node.dir().join("machine.pid")
}

/// The file that stands for the node's mount namespace, if it has one of its own.
pub fn mounts(node: &Node) -> Option<String> {
    let holder = Process::of_pidfile(&pidfile(node)).ok()?;
    Some(format!("/proc/{}/ns/mnt", holder.pid))
}

/// The node's folders as they are seen from outside of it.
pub fn root(node: &Node) -> Option<String> {
    let holder = Process::of_pidfile(&pidfile(node)).ok()?;
    Some(format!("/proc/{}/root", holder.pid))
}

/// The file by which a process joins the node's control group, on nodes that have one.
pub fn group(node: &Node) -> Option<PathBuf> {
    match &node.host {
        Host::Netns(name) if pidfile(node).exists() => cgroup::create(name).ok(),
        _ => None,
    }
}

/// Makes the mount namespace; the network namespace is there already. Commands on the node enter both
/// from now on.
///
/// # Errors
/// When the kernel refuses.
pub fn start(node: &Node) -> Result<()> {
    let Host::Netns(name) = &node.host else {
        anyhow::bail!("nodes of a Kubernetes testbed are namespaces");
    };
    let group = cgroup::create(name)?;
    let root = node.dir().join("root");
    for folder in ["run/netns", "run/sluice-testbed", "lib/kubelet", "log"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    // Runtimes take the first mount of a name for the one that is seen, so the machine's, below, must be shared as well.
    let script = format!(
        "mount --make-shared /run/netns 2>/dev/null || true
        mount --bind {ROOT} {root}/run/sluice-testbed
        mount --bind {root}/lib /var/lib
        mount --make-rshared /var/lib
        mount --bind {root}/log /var/log
        mount --rbind {root}/run /run
        mount --make-rshared /run
        echo $$ >{pidfile}.new
        mv {pidfile}.new {pidfile}
        exec sleep infinity",
        root = root.display(),
        pidfile = pidfile(node).display(),
    );
    // The daemons' output goes nowhere: it would keep the caller's pipe open.
    let outer = format!(
        "echo 0 >{group}; exec unshare --mount --propagation private -- sh -euc \"$1\" >{log} 2>&1 </dev/null",
        group = group.display(),
        log = node.dir().join("machine.log").display(),
    );
    node.sh("setsid", &["--fork", "sh", "-euc", &outer, "sh", &script])?;
    run::wait_for("the node's mounts", READY, || {
        Ok(mounts(node).is_some().then_some(()))
    })
    .with_context(|| crate::node::tail(&node.dir().join("machine.log"), 5))
}
