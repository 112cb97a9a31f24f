//! Pods: network namespaces attached by the real CNI plugin, called as a container runtime calls it.

use std::net::IpAddr;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::netns;
use crate::node::Node;
use crate::objects::NAMESPACE;
use crate::run;

/// One attached pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Number of its node.
    pub node: u8,
    /// Its name, also that of its namespace's last part.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its MAC address as text.
    pub mac: String,
    /// Its MTU in bytes.
    pub mtu: Option<u64>,
}

impl Pod {
    /// Its address of one family.
    ///
    /// # Errors
    /// When it has none.
    pub fn address(&self, ipv6: bool) -> Result<IpAddr> {
        self.addresses
            .iter()
            .copied()
            .find(|address| address.is_ipv6() == ipv6)
            .with_context(|| {
                format!(
                    "pod {} has no IPv{} address",
                    self.name,
                    if ipv6 { 6 } else { 4 }
                )
            })
    }
}

/// Makes the pod's namespace and attaches it.
///
/// # Errors
/// When the namespace exists, or what the plugin reports.
pub fn attach(node: &Node, name: &str) -> Result<Pod> {
    make(node, name)?;
    plug(node, NAMESPACE, name)
}

/// Makes the pod's namespace only.
///
/// # Errors
/// When it exists.
pub fn make(node: &Node, name: &str) -> Result<()> {
    let netns = node.testbed.pod(node.number, name);
    node.script(&format!(
        "ip netns add {netns}; ip -n {netns} link set lo up"
    ))?;
    Ok(())
}

/// Attaches a pod of a Kubernetes namespace, whose namespace has been made.
///
/// # Errors
/// What the plugin reports.
pub fn plug(node: &Node, namespace: &str, name: &str) -> Result<Pod> {
    let (mut plugin, conf) = invocation_in(node, namespace, name, "ADD", None)?;
    let result = answer(&mut plugin, &conf)
        .with_context(|| format!("sluice-cni ADD for {namespace}/{name} on {}", node.name()))?;
    let result: Value = serde_json::from_str(&result).context("the plugin's result is not JSON")?;
    let addresses = result["ips"]
        .as_array()
        .context("the plugin's result has no addresses")?
        .iter()
        .filter_map(|ip| ip["address"].as_str()?.split('/').next()?.parse().ok())
        .collect();
    let inside = result["interfaces"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|interface| interface["sandbox"].is_string())
        .context("the plugin's result has no interface in the pod")?;
    Ok(Pod {
        node: node.number,
        name: name.to_owned(),
        addresses,
        mac: inside["mac"].as_str().unwrap_or_default().to_owned(),
        mtu: inside["mtu"].as_u64(),
    })
}

/// Detaches a pod and removes its namespace.
///
/// # Errors
/// What the plugin reports, or when the namespace cannot be removed.
pub fn detach(node: &Node, name: &str) -> Result<()> {
    cni(node, name, "DEL", None)?;
    let netns = node.testbed.pod(node.number, name);
    node.script(&format!(
        "for pid in $(ip netns pids {netns}); do kill -9 $pid; done; ip netns del {netns}"
    ))?;
    Ok(())
}

/// Calls the plugin and returns what it printed.
///
/// # Errors
/// The plugin's own error, code included.
pub fn cni(node: &Node, pod: &str, command: &str, previous: Option<&Value>) -> Result<String> {
    let (mut plugin, conf) = invocation(node, pod, command, previous)?;
    answer(&mut plugin, &conf)
        .with_context(|| format!("sluice-cni {command} for {pod} on {}", node.name()))
}

/// The plugin's command line for a pod, not yet started, and what it is to read.
///
/// # Errors
/// When the agent has not written its network configuration list.
pub fn invocation(
    node: &Node,
    pod: &str,
    command: &str,
    previous: Option<&Value>,
) -> Result<(Command, Value)> {
    invocation_in(node, NAMESPACE, pod, command, previous)
}

fn invocation_in(
    node: &Node,
    namespace: &str,
    pod: &str,
    command: &str,
    previous: Option<&Value>,
) -> Result<(Command, Value)> {
    let mut conf = configuration(node)?;
    if let Some(previous) = previous {
        conf["prevResult"] = previous.clone();
    }
    let netns = node.testbed.pod(node.number, pod);
    let path = netns::path(&netns);
    let environment = [
        format!("CNI_COMMAND={command}"),
        format!("CNI_CONTAINERID={netns}"),
        format!("CNI_NETNS={}", path.display()),
        "CNI_IFNAME=eth0".to_owned(),
        format!(
            "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod};K8S_POD_INFRA_CONTAINER_ID={netns};K8S_POD_UID=uid-{netns}"
        ),
        format!("CNI_PATH={}", node.bin.display()),
        "sluice-cni".to_owned(),
    ];
    Ok((node.command("env", &environment), conf))
}

/// Tells the plugin which attachments are still valid, as a runtime does from time to time.
///
/// # Errors
/// The plugin's own error, code included.
pub fn gc(node: &Node, valid: &Value) -> Result<()> {
    let mut conf = configuration(node)?;
    conf["cni.dev/valid-attachments"] = valid.clone();
    let environment = [
        "CNI_COMMAND=GC".to_owned(),
        format!("CNI_PATH={}", node.bin.display()),
        "sluice-cni".to_owned(),
    ];
    answer(&mut node.command("env", &environment), &conf).context("sluice-cni GC")?;
    Ok(())
}

/// What a runtime makes of the agent's network configuration list for the plugin.
fn configuration(node: &Node) -> Result<Value> {
    let list = std::fs::read_to_string(node.conflist())
        .context("the agent has written no network configuration")?;
    let list: Value =
        serde_json::from_str(&list).context("the network configuration is not JSON")?;
    let mut conf = list["plugins"][0].clone();
    // As a runtime of today chooses: the highest of all.
    let versions = list["cniVersions"].as_array().into_iter().flatten();
    conf["cniVersion"] = versions
        .max_by_key(|version| version.as_str())
        .unwrap_or(&list["cniVersion"])
        .clone();
    conf["name"] = list["name"].clone();
    Ok(conf)
}

fn answer(plugin: &mut Command, conf: &Value) -> Result<String> {
    let output = run::with_input(plugin, conf.to_string().as_bytes())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!(
            "{} {}",
            text.trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(text)
}
