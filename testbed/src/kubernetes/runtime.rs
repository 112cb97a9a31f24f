//! A node's container runtime and kubelet.
//!
//! Both live in the node's network, mount and control group ([`machine`](super::machine)). How pods are
//! attached is the runtime's business with the CNI plugin and the list that the agent writes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::kubernetes::{certs, cgroup, images};
use crate::layout;
use crate::node::{Daemon, Host, Node};
use crate::options::Options;
use crate::run;

/// How long a daemon gets from start to ready.
const READY: Duration = Duration::from_secs(60);

/// Where Debian has the reference's plugins.
pub const PLUGINS: &str = "/usr/lib/cni";

/// The runtime's socket.
pub fn socket(node: &Node) -> PathBuf {
    node.dir().join("containerd.sock")
}

/// Writes the configuration of both.
///
/// # Errors
/// When the node's folder cannot be written.
pub fn configure(node: &Node, options: &Options) -> Result<()> {
    let dir = node.dir();
    let at = |name: &str| dir.join(name).display().to_string();
    std::fs::create_dir_all(dir.join("net.d"))?;
    std::fs::create_dir_all(dir.join("root/lib/containerd"))?;
    let text = format!(
        r#"# Written by sluice-testbed.
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{bin}"
    conf_dir = "{conf}"
"#,
        socket = socket(node).display(),
        pause = images::PAUSE,
        bin = plugins(node)?.display(),
        conf = at("net.d"),
    );
    std::fs::write(dir.join("containerd.toml"), text)?;
    // Nothing of the machine's own resolver leads anywhere from here.
    std::fs::write(dir.join("resolv.conf"), "")?;
    let Host::Netns(place) = &node.host else {
        bail!("nodes of a Kubernetes testbed are namespaces");
    };
    let control = node.testbed.control_dir();
    let key = |name: String| control.join(name).display().to_string();
    let name = node.name();
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", socket(node).display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup::pods(place),
        "cgroupsPerQOS": false,
        "enforceNodeAllocatable": [],
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": key(certs::CA.to_owned())},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": key(format!("kubelet-{name}.crt")),
        "tlsPrivateKeyFile": key(format!("kubelet-{name}.key")),
        "resolvConf": at("resolv.conf"),
        "volumePluginDir": at("volume-plugins"),
        // A full disk or a busy machine is no reason to throw pods out of a testbed.
        "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 250,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "registerNode": true,
        "address": "::",
        "healthzBindAddress": "127.0.0.1",
        // A deleted pod is gone sooner, and is seen to be.
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "memoryThrottlingFactor": null,
        "shutdownGracePeriod": "0s",
    });
    std::fs::write(
        dir.join("kubelet.yaml"),
        serde_json::to_string_pretty(&config)?,
    )?;
    let (v4, v6) = (
        layout::underlay_v4(node.number),
        layout::underlay_v6(node.number),
    );
    let ips = match (options.ipv6, options.underlay_ipv6) {
        (false, _) => v4.to_string(),
        (true, false) => format!("{v4},{v6}"),
        (true, true) => format!("{v6},{v4}"),
    };
    std::fs::write(dir.join("node-ip"), ips)?;
    Ok(())
}

/// The folder of CNI plugins: ours, and the reference's `loopback`, which the runtime calls for every pod.
fn plugins(node: &Node) -> Result<PathBuf> {
    let folder = node.dir().join("cni-bin");
    std::fs::create_dir_all(&folder)?;
    for plugin in [
        node.bin.join("sluice-cni"),
        Path::new(PLUGINS).join("loopback"),
    ] {
        let name = plugin.file_name().context("a plugin has a name")?;
        let link = folder.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(&plugin, link)?;
        }
    }
    Ok(folder)
}

/// The control groups of a node's containers, from what the runtime keeps on disk, so that they are found whether it
/// runs or not. The kubelet, told not to make groups, lets the runtime put them below a group that is everybody's.
///
/// `dir` is the node's folder.
pub fn container_groups(dir: &Path) -> Vec<String> {
    let kept = dir.join("root/lib/containerd/io.containerd.grpc.v1.cri");
    let ids = ["sandboxes", "containers"].map(|kind| kept.join(kind));
    let entries = ids.iter().filter_map(|folder| folder.read_dir().ok());
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        Some(format!("k8s.io/{}", name.to_str()?))
    });
    names.collect()
}

/// Starts the runtime, waits until it answers, and gives it the images of the archive.
///
/// # Errors
/// When it does not start; the end of its log is quoted.
pub fn start_containerd(node: &Node) -> Result<()> {
    let config = node.dir().join("containerd.toml").display().to_string();
    node.spawn(
        Daemon::Containerd,
        "containerd",
        &["--config".into(), config],
    )?;
    run::wait_for("containerd to answer", READY, || {
        if !node.runs(Daemon::Containerd) {
            return Ok(Some(false));
        }
        let answers = run::output(&mut ctr(node, &["version"]))?.status.success();
        Ok(answers.then_some(true))
    })
    .and_then(|answers| if answers { Ok(()) } else { bail!("it ended") })
    .with_context(|| quote(node, Daemon::Containerd))
}

/// Gives the runtime the images of an archive.
///
/// # Errors
/// When it refuses.
pub fn import(node: &Node, archive: &Path) -> Result<()> {
    let archive = archive.display().to_string();
    run::stdout(&mut ctr(
        node,
        &["--namespace", "k8s.io", "images", "import", &archive],
    ))?;
    Ok(())
}

/// Starts the kubelet and waits until it says that it is well; its node may be Ready only later.
///
/// One that ends is started again, as a service manager would: a runtime that has just started answers some
/// moments before it knows its pods, and a kubelet does not wait for that.
///
/// # Errors
/// When it takes too long; the end of its log is quoted.
pub fn start_kubelet(node: &Node, bin: &Path) -> Result<()> {
    spawn_kubelet(node, bin)?;
    run::wait_for("kubelet to answer", READY, || {
        if !node.runs(Daemon::Kubelet) {
            spawn_kubelet(node, bin)?;
        }
        let script = "exec 3<>/dev/tcp/127.0.0.1/10248; printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3; grep -q '200 OK' <&3";
        let mut probe = node.command("bash", &["-c", script]);
        let well = run::output(&mut probe)?.status.success();
        Ok((well && node.runs(Daemon::Kubelet)).then_some(()))
    })
    .with_context(|| quote(node, Daemon::Kubelet))
}

fn spawn_kubelet(node: &Node, bin: &Path) -> Result<()> {
    let name = node.name();
    let ips = std::fs::read_to_string(node.dir().join("node-ip"))
        .context("the kubelet has not been configured")?;
    node.spawn(
        Daemon::Kubelet,
        &bin.join("kubelet").display().to_string(),
        &[
            format!("--config={}", node.dir().join("kubelet.yaml").display()),
            format!(
                "--kubeconfig={}",
                certs::kubeconfig(&node.testbed.control_dir(), &name).display()
            ),
            format!("--hostname-override={name}"),
            format!("--node-ip={ips}"),
            "--root-dir=/var/lib/kubelet".into(),
        ],
    )
}

fn ctr(node: &Node, args: &[&str]) -> std::process::Command {
    let socket = socket(node).display().to_string();
    let mut words = vec!["--address", &socket];
    words.extend(args);
    node.command("ctr", &words)
}

/// The end of a daemon's log, for a message.
fn quote(node: &Node, daemon: Daemon) -> String {
    format!(
        "{} of {}, last lines of its log:\n{}",
        daemon.file(),
        node.name(),
        node.log_tail(daemon, 15)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_named_by_what_the_runtime_keeps() {
        let node = tempfile::tempdir().expect("a folder");
        assert!(container_groups(node.path()).is_empty());
        let kept = node
            .path()
            .join("root/lib/containerd/io.containerd.grpc.v1.cri");
        for folder in ["sandboxes/1a", "containers/2b", "other/3c"] {
            std::fs::create_dir_all(kept.join(folder)).expect("made");
        }
        assert_eq!(container_groups(node.path()), ["k8s.io/1a", "k8s.io/2b"]);
    }
}
