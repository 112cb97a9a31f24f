//! The other nodes, as manifests.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

/// Writes `count` Node objects, and this node's own, into `folder`.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write(folder: &Path, count: u16) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut documents = vec![node(
        "bench",
        "10.244.0.0/20",
        "fd00:244::/112",
        "172.31.255.1",
    )];
    for number in 1..=count {
        documents.push(node(
            &format!("peer-{number}"),
            &format!("10.245.{number}.0/24"),
            &format!("fd00:245:{number:x}::/64"),
            &format!("172.31.0.{number}"),
        ));
    }
    std::fs::write(folder.join("nodes.yaml"), documents.join("\n---\n"))?;
    Ok(())
}

/// JSON is YAML.
fn node(name: &str, v4: &str, v6: &str, address: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {"podCIDR": v4, "podCIDRs": [v4, v6]},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
    .to_string()
}
