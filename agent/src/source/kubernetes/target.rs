//! What one watch is about: a kind of object, and of pods only some.

use std::fmt;
use std::sync::Arc;

use crate::source::object::Kind;

/// What one watch is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// All objects of a kind, in all namespaces.
    All(Kind),
    /// The pods of a node.
    PodsOf(Arc<str>),
    /// The pods of a namespace, on whichever node.
    PodsIn(Arc<str>),
}

impl Target {
    /// The kind of its objects.
    pub fn kind(&self) -> Kind {
        match self {
            Target::All(kind) => *kind,
            Target::PodsOf(_) | Target::PodsIn(_) => Kind::Pod,
        }
    }

    /// Where the API server has it.
    pub(super) fn path(&self) -> String {
        match self {
            Target::All(kind) => match kind {
                Kind::Node => "/api/v1/nodes",
                Kind::Namespace => "/api/v1/namespaces",
                Kind::Pod => "/api/v1/pods",
                Kind::Service => "/api/v1/services",
                Kind::EndpointSlice => "/apis/discovery.k8s.io/v1/endpointslices",
                Kind::NetworkPolicy => "/apis/networking.k8s.io/v1/networkpolicies",
            }
            .to_owned(),
            Target::PodsOf(_) => "/api/v1/pods".to_owned(),
            Target::PodsIn(namespace) => format!("/api/v1/namespaces/{namespace}/pods"),
        }
    }

    /// What is asked of it in every query; empty if nothing is.
    pub(super) fn filter(&self) -> String {
        match self {
            Target::PodsOf(node) => format!("fieldSelector=spec.nodeName%3D{node}"),
            Target::All(_) | Target::PodsIn(_) => String::new(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::All(kind) => kind.fmt(f),
            Target::PodsOf(_) => f.write_str("Pod on this node"),
            Target::PodsIn(namespace) => write!(f, "Pod in {namespace}"),
        }
    }
}
