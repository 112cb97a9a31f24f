//! Kubernetes objects, as little of them as the agent uses. Plain values; no serialisation here.
//!
//! Objects are shared, not copied, between a source and whoever listens to it, and texts that many of them have in
//! common are kept once (`intern`).

use std::{fmt, sync::Arc};

mod network_policy;
mod node;
mod pod;
mod service;
mod slice;

pub use network_policy::NetworkPolicy;
pub use node::{Namespace, Node};
pub use pod::{Pod, PodState};
pub use service::{Port, Service, ServiceType, TargetPort, TrafficDistribution};
pub use slice::{Endpoint, EndpointPort, EndpointSlice, Hints, State};
pub use sluice_flows::model::Uid;

/// The kinds of objects a source yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Node.
    Node,
    /// `v1` Namespace.
    Namespace,
    /// `v1` Pod.
    Pod,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::Node,
        Kind::Namespace,
        Kind::Pod,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::NetworkPolicy,
    ];

    /// The kind's name in a manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Node => "Node",
            Kind::Namespace => "Namespace",
            Kind::Pod => "Pod",
            Kind::Service => "Service",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::NetworkPolicy => "NetworkPolicy",
        }
    }

    /// The version of it that is understood, as `apiVersion` has it.
    pub fn api_version(self) -> &'static str {
        match self {
            Kind::Node | Kind::Namespace | Kind::Pod | Kind::Service => "v1",
            Kind::EndpointSlice => "discovery.k8s.io/v1",
            Kind::NetworkPolicy => "networking.k8s.io/v1",
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
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl ObjectRef {
    /// The reference to an object.
    pub fn new(kind: Kind, namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> ObjectRef {
        ObjectRef {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        }
    }
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

/// A part of an object that is not in force, since it contradicts itself or the rules of the API; the rest is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refusal {
    /// The path of the field (`spec.ports[0].port`).
    pub field: String,
    /// What is wrong with it, and what follows where that is not plain.
    pub message: String,
}

impl Refusal {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Refusal {
        Refusal {
            field: field.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field {}: {}", self.field, self.message)
    }
}

/// An object of any kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// A node.
    Node(Arc<Node>),
    /// A namespace.
    Namespace(Arc<Namespace>),
    /// A pod.
    Pod(Pod),
    /// A Service.
    Service(Arc<Service>),
    /// Some endpoints of a Service.
    EndpointSlice(Arc<EndpointSlice>),
    /// A NetworkPolicy.
    NetworkPolicy(Arc<NetworkPolicy>),
}

impl Object {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Object::Node(_) => Kind::Node,
            Object::Namespace(_) => Kind::Namespace,
            Object::Pod(_) => Kind::Pod,
            Object::Service(_) => Kind::Service,
            Object::EndpointSlice(_) => Kind::EndpointSlice,
            Object::NetworkPolicy(_) => Kind::NetworkPolicy,
        }
    }

    /// What names it.
    pub fn reference(&self) -> ObjectRef {
        let (namespace, name) = match self {
            Object::Node(node) => (super::intern::text(""), &node.name),
            Object::Namespace(namespace) => (super::intern::text(""), &namespace.name),
            Object::Pod(pod) => (pod.namespace.clone(), &pod.name),
            Object::Service(service) => (service.namespace.clone(), &service.name),
            Object::EndpointSlice(slice) => (slice.namespace.clone(), &slice.name),
            Object::NetworkPolicy(policy) => (policy.namespace().clone(), &policy.name),
        };
        ObjectRef {
            kind: self.kind(),
            namespace,
            name: name.clone(),
        }
    }

    /// What of it is not in force.
    pub fn refusals(&self) -> &[Refusal] {
        match self {
            Object::Node(_) | Object::Namespace(_) | Object::Pod(_) => &[],
            Object::Service(service) => &service.refusals,
            Object::EndpointSlice(slice) => &slice.refusals,
            Object::NetworkPolicy(policy) => &policy.refusals,
        }
    }
}

macro_rules! from {
    ($($kind:ident)*) => {
        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Object {
                Object::$kind(Arc::new(object))
            }
        })*
    };
}

from!(Node Namespace Service EndpointSlice NetworkPolicy);

impl From<Pod> for Object {
    fn from(pod: Pod) -> Object {
        Object::Pod(pod)
    }
}
