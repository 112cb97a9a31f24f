//! Nodes and namespaces.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use super::{Metadata, Misfit, Named, Text, or_default, read};
use crate::source::{
    intern,
    object::{Namespace, Node},
};

/// A `v1` Node.
///
/// # Errors
/// When a field is of the wrong type, or what should be an address or a prefix is none.
pub fn node<'de, D>(from: D) -> Result<Node, Misfit>
where
    D: Deserializer<'de, Error: fmt::Display>,
{
    let from: NodeManifest = read(from)?;
    let internal_ips = addresses(&from.status, "InternalIP")?;
    let external_ips = addresses(&from.status, "ExternalIP")?;
    let cidrs = match from.spec.pod_cidrs {
        cidrs if cidrs.is_empty() => from.spec.pod_cidr.into_iter().collect(),
        cidrs => cidrs,
    };
    let zone = from.metadata.label("topology.kubernetes.io/zone");
    Ok(Node {
        pod_cidrs: cidrs.iter().map(IpNet::trunc).collect(),
        internal_ips,
        external_ips,
        zone: zone.filter(|zone| !zone.is_empty()).cloned(),
        name: intern::text(&from.metadata.name),
    })
}

/// The node's addresses of one type. Those of other types need not be any: a `Hostname` is not.
fn addresses(status: &NodeStatus, kind: &str) -> Result<Vec<IpAddr>, Misfit> {
    let mut ips = Vec::new();
    for (index, entry) in status.addresses.iter().enumerate() {
        if &*entry.kind == kind {
            let ip = entry.address.parse();
            ips.push(ip.map_err(|error: std::net::AddrParseError| {
                Misfit::new(
                    format!("status.addresses[{index}].address"),
                    error.to_string(),
                )
            })?);
        }
    }
    Ok(ips)
}

/// A `v1` Namespace.
///
/// # Errors
/// When a field is of the wrong type.
pub fn namespace<'de, D>(from: D) -> Result<Namespace, Misfit>
where
    D: Deserializer<'de, Error: fmt::Display>,
{
    let from: NamespaceManifest = read(from)?;
    Ok(Namespace {
        name: intern::text(&from.metadata.name),
        labels: intern::labels(from.metadata.labels.0),
    })
}

#[derive(Deserialize)]
struct NamespaceManifest {
    metadata: Metadata,
}

impl Named for NamespaceManifest {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Deserialize)]
struct NodeManifest {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: NodeSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: NodeStatus,
}

impl Named for NodeManifest {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    #[serde(rename = "podCIDR", deserialize_with = "or_default")]
    pod_cidr: Option<IpNet>,
    #[serde(rename = "podCIDRs", deserialize_with = "or_default")]
    pod_cidrs: Vec<IpNet>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    #[serde(deserialize_with = "or_default")]
    addresses: Vec<NodeAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeAddress {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: Text,
    #[serde(deserialize_with = "or_default")]
    address: String,
}
