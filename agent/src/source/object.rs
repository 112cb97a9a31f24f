//! Kubernetes objects, as little of them as the agent uses. Plain values; no serialisation here.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use ipnet::IpNet;

/// The kinds of objects a source yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Node.
    Node,
    /// `v1` Namespace.
    Namespace,
    /// `v1` Pod.
    Pod,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 3] = [Kind::Node, Kind::Namespace, Kind::Pod];

    /// The kind's name in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Node => "Node",
            Kind::Namespace => "Namespace",
            Kind::Pod => "Pod",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for kinds that have none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// A node of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The CIDRs its pods' addresses come from (`spec.podCIDRs`, or else `spec.podCIDR`).
    pub pod_cidrs: Vec<IpNet>,
    /// Its addresses of type `InternalIP`, in the order listed.
    pub internal_ips: Vec<IpAddr>,
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID; empty in a manifest that no server has seen.
    pub uid: String,
    /// The node it runs on; empty before it is scheduled.
    pub node: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it shares its node's network; such a pod has the node's addresses and none of ours.
    pub host_network: bool,
    /// Its addresses (`status.podIPs`, or else `status.podIP`).
    pub ips: Vec<IpAddr>,
}

/// An object of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A node.
    Node(Node),
    /// A namespace.
    Namespace(Namespace),
    /// A pod.
    Pod(Pod),
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Object::Node(_) => Kind::Node,
            Object::Namespace(_) => Kind::Namespace,
            Object::Pod(_) => Kind::Pod,
        }
    }

    /// What names it.
    pub fn reference(&self) -> ObjectRef {
        let (namespace, name) = match self {
            Object::Node(node) => ("", &node.name),
            Object::Namespace(namespace) => ("", &namespace.name),
            Object::Pod(pod) => (pod.namespace.as_str(), &pod.name),
        };
        ObjectRef {
            kind: self.kind(),
            namespace: namespace.to_owned(),
            name: name.clone(),
        }
    }
}
