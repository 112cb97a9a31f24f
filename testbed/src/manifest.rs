//! The Kubernetes manifests that stand for the cluster: one file a node, in a folder all agents watch.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::layout::{self, Name};
use crate::options::Options;

/// The Node object.
fn node(number: u8, options: &Options) -> Value {
    let cidrs = layout::pod_cidrs(number, options.ipv6);
    let mut addresses = vec![
        json!({"type": "InternalIP", "address": layout::underlay_v4(number)}),
        json!({"type": "InternalIP", "address": layout::underlay_v6(number)}),
    ];
    // The first address is the one a tunnel goes to.
    if options.underlay_ipv6 {
        addresses.reverse();
    }
    addresses.push(json!({"type": "Hostname", "address": layout::node_name(number)}));
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": layout::node_name(number),
            "labels": {"topology.kubernetes.io/zone": layout::zone(number)},
        },
        "spec": {"podCIDR": cidrs.first(), "podCIDRs": cidrs},
        "status": {"addresses": addresses},
    })
}

/// Writes a node's manifest, at once: nobody reads half a file.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_node(name: &Name, number: u8, options: &Options) -> Result<()> {
    let text = serde_json::to_string_pretty(&node(number, options))?;
    write(&name.manifests(), &file(number), &text)
}

/// Removes a node's manifest.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove_node(name: &Name, number: u8) -> Result<()> {
    let path = name.manifests().join(file(number));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn file(number: u8) -> String {
    format!("node-{}.yaml", layout::node_name(number))
}

/// Writes beside and renames. JSON is YAML.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, file: &str, text: &str) -> Result<()> {
    let beside = folder.join(format!(".{file}.new"));
    let path = folder.join(file);
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}
