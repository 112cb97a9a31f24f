//! From the text of a manifest file to objects, or to the place where it cannot be understood.
//!
//! Documents are separated by lines that begin with `---`, as `kubectl` separates them. A document is an object or
//! a list of objects; kinds that nobody here uses are passed over. The whole file counts or none of it.
//!
//! Must not know files or folders.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::object::{Kind, Namespace, Node, Object, Pod};

/// Why a manifest is not understood, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The document, counted from 1.
    pub document: usize,
    /// The line in the file, counted from 1, where it is known (of syntax errors).
    pub line: Option<usize>,
    /// The path of the field (`spec.podCIDRs[0]`); empty for the document as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// An object and the document that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub document: usize,
    pub object: Object,
}

/// Reads every object of a kind we use.
pub(super) fn parse(text: &str) -> Result<Vec<Found>, Misfit> {
    let mut found = Vec::new();
    for (number, (first_line, document)) in documents(text).into_iter().enumerate() {
        let place = Place {
            document: number + 1,
            prefix: String::new(),
        };
        if document.lines().all(is_empty) {
            continue;
        }
        let value: Value =
            serde_saphyr::from_str_with_options(&document, options()).map_err(|error| {
                let error = error.without_snippet();
                let line = error
                    .location()
                    .and_then(|at| usize::try_from(at.line()).ok());
                Misfit {
                    document: place.document,
                    line: line.map(|line| first_line + line - 1),
                    field: String::new(),
                    message: error.to_string(),
                }
            })?;
        if !value.is_null() {
            objects(value, None, &place, &mut found)?;
        }
    }
    Ok(found)
}

/// A node called `y` is not called `true`, as YAML 1.1 would have it; and a list of all objects of a large cluster is
/// large. (What aliases may expand to stays limited.)
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! { max_nodes: 10_000_000, max_events: 30_000_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    }
}

/// The documents of a file with the line each begins at. The marker may carry content of its own (`--- {…}`).
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut all = vec![(1, String::new())];
    let mut in_directives = true;
    for (index, line) in text.lines().enumerate() {
        let marker = line
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r']));
        match marker {
            // What stands before the first marker is a document of its own only if there is anything.
            Some(rest) if in_directives => restart(&mut all, index, rest),
            Some(rest) => all.push((index + 1, format!("{rest}\n"))),
            None => {
                if let Some((_, document)) = all.last_mut() {
                    document.push_str(line);
                    document.push('\n');
                }
            }
        }
        in_directives &= marker.is_none() && (is_empty(line) || line.starts_with('%'));
    }
    all
}

fn restart(all: &mut Vec<(usize, String)>, index: usize, rest: &str) {
    all.clear();
    all.push((index + 1, format!("{rest}\n")));
}

fn is_empty(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// Where in a file a value stands.
struct Place {
    document: usize,
    prefix: String,
}

impl Place {
    fn misfit(&self, field: &str, message: impl Into<String>) -> Misfit {
        let dot = if self.prefix.is_empty() || field.is_empty() {
            ""
        } else {
            "."
        };
        Misfit {
            document: self.document,
            line: None,
            field: format!("{}{dot}{field}", self.prefix),
            message: message.into(),
        }
    }
}

/// Adds the object that `value` is, or those that it lists. Items of a typed list need not name their kind.
fn objects(
    value: Value,
    implied: Option<&str>,
    place: &Place,
    found: &mut Vec<Found>,
) -> Result<(), Misfit> {
    let Value::Object(mut fields) = value else {
        return Err(place.misfit("", "not an object"));
    };
    let kind = match (fields.get("kind"), implied) {
        (Some(Value::String(kind)), _) => kind.clone(),
        (Some(_), _) => return Err(place.misfit("kind", "not a string")),
        (None, Some(implied)) => implied.to_owned(),
        (None, None) => return Err(place.misfit("kind", "missing")),
    };
    let version = match (fields.get("apiVersion"), implied) {
        (Some(Value::String(version)), _) => version.clone(),
        (Some(_), _) => return Err(place.misfit("apiVersion", "not a string")),
        (None, Some(_)) => "v1".to_owned(),
        (None, None) => return Err(place.misfit("apiVersion", "missing")),
    };
    if version != "v1" {
        tracing::debug!(document = place.document, %kind, %version, "passed over: not a kind in use");
        return Ok(());
    }
    if let Some(item_kind) = kind.strip_suffix("List") {
        let items = match fields.remove("items") {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err(place.misfit("items", "not a list")),
        };
        let implied = (!item_kind.is_empty()).then_some(item_kind);
        for (index, item) in items.into_iter().enumerate() {
            let prefix = place.misfit(&format!("items[{index}]"), "").field;
            objects(
                item,
                implied,
                &Place {
                    document: place.document,
                    prefix,
                },
                found,
            )?;
        }
        return Ok(());
    }
    let value = Value::Object(fields);
    let object = match Kind::ALL.into_iter().find(|known| known.as_str() == kind) {
        Some(Kind::Node) => Object::Node(node(read(value, place)?, place)?),
        Some(Kind::Namespace) => Object::Namespace(read::<NamespaceManifest>(value, place)?.into()),
        Some(Kind::Pod) => Object::Pod(read::<PodManifest>(value, place)?.into()),
        None => {
            tracing::debug!(document = place.document, %kind, "passed over: not a kind in use");
            return Ok(());
        }
    };
    if object.reference().name.is_empty() {
        return Err(place.misfit("metadata.name", "missing"));
    }
    found.push(Found {
        document: place.document,
        object,
    });
    Ok(())
}

fn read<T: DeserializeOwned>(value: Value, place: &Place) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        place.misfit(
            if path == "." { "" } else { &path },
            error.inner().to_string(),
        )
    })
}

/// Kubernetes writes `null` where it means "not given".
fn or_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    namespace: String,
    #[serde(deserialize_with = "or_default")]
    uid: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct NamespaceManifest {
    metadata: Metadata,
}

impl From<NamespaceManifest> for Namespace {
    fn from(from: NamespaceManifest) -> Namespace {
        Namespace {
            name: from.metadata.name,
            labels: from.metadata.labels,
        }
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

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
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
    kind: String,
    #[serde(deserialize_with = "or_default")]
    address: String,
}

/// Only an address of type `InternalIP` must be one: a `Hostname` is not.
fn node(from: NodeManifest, place: &Place) -> Result<Node, Misfit> {
    let mut internal_ips = Vec::new();
    for (index, entry) in from
        .status
        .addresses
        .iter()
        .enumerate()
        .filter(|(_, entry)| entry.kind == "InternalIP")
    {
        let address = entry.address.parse();
        internal_ips.push(address.map_err(|error: std::net::AddrParseError| {
            place.misfit(
                &format!("status.addresses[{index}].address"),
                error.to_string(),
            )
        })?);
    }
    let cidrs = match from.spec.pod_cidrs {
        cidrs if cidrs.is_empty() => from.spec.pod_cidr.into_iter().collect(),
        cidrs => cidrs,
    };
    Ok(Node {
        name: from.metadata.name,
        pod_cidrs: cidrs.iter().map(IpNet::trunc).collect(),
        internal_ips,
    })
}

#[derive(Deserialize)]
struct PodManifest {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: PodSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    #[serde(deserialize_with = "or_default")]
    node_name: String,
    #[serde(deserialize_with = "or_default")]
    host_network: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    #[serde(rename = "podIP", deserialize_with = "or_default")]
    pod_ip: Option<IpAddr>,
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pod_ips: Vec<PodIp>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: IpAddr,
}

impl From<PodManifest> for Pod {
    fn from(from: PodManifest) -> Pod {
        let ips: Vec<IpAddr> = from
            .status
            .pod_ips
            .into_iter()
            .map(|entry| entry.ip)
            .collect();
        Pod {
            namespace: match from.metadata.namespace {
                namespace if namespace.is_empty() => "default".to_owned(),
                namespace => namespace,
            },
            name: from.metadata.name,
            uid: from.metadata.uid,
            node: from.spec.node_name,
            labels: from.metadata.labels,
            host_network: from.spec.host_network,
            ips: if ips.is_empty() {
                from.status.pod_ip.into_iter().collect()
            } else {
                ips
            },
        }
    }
}

#[cfg(test)]
mod tests;
