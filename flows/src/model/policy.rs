//! What NetworkPolicies are made of, and the namespaces that their selectors speak of.

use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::{Labels, Protocol};

/// What identifies a NetworkPolicy: `namespace/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(Arc<str>);

impl PolicyId {
    /// The id of a policy.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self(format!("{namespace}/{name}").into())
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        self.0
            .split_once('/')
            .map_or("", |(namespace, _)| namespace)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A namespace, as far as selectors look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceLabels {
    /// Its name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
}

/// A label selector; an empty one selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// All of these hold. `matchLabels` are requirements with one value.
    pub requirements: Vec<Requirement>,
}

/// One condition on labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// The label is there and has one of the values.
    In(Arc<str>, Vec<Arc<str>>),
    /// The label is not there, or has none of the values.
    NotIn(Arc<str>, Vec<Arc<str>>),
    /// The label is there.
    Exists(Arc<str>),
    /// The label is not there.
    DoesNotExist(Arc<str>),
}

impl Selector {
    /// Whether these labels are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements
            .iter()
            .all(|requirement| match requirement {
                Requirement::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
                Requirement::NotIn(key, values) => {
                    !labels.get(key).is_some_and(|v| values.contains(v))
                }
                Requirement::Exists(key) => labels.get(key).is_some(),
                Requirement::DoesNotExist(key) => labels.get(key).is_none(),
            })
    }
}

/// A NetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// What identifies it.
    pub id: PolicyId,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// The pods of its namespace that it is about.
    pub pods: Selector,
    /// What may come in; `None` if the policy says nothing of that direction, so that it isolates nothing.
    pub ingress: Option<Vec<Rule>>,
    /// What may go out, likewise.
    pub egress: Option<Vec<Rule>>,
}

/// What one rule of a policy allows: these ports of these peers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// With whom; `None`, like an empty list, is with everyone, the world outside included.
    pub peers: Option<Vec<PolicyPeer>>,
    /// On which ports of the destination; `None`, like an empty list, is on all, whatever the protocol.
    pub ports: Option<Vec<PolicyPort>>,
}

/// Whom a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyPeer {
    /// Addresses.
    IpBlock {
        /// Those in this prefix,
        cidr: IpNet,
        /// but not those in these. (Another rule may still allow them.)
        except: Vec<IpNet>,
    },
    /// Pods.
    Pods {
        /// In namespaces with such labels; `None` is the policy's own namespace.
        namespaces: Option<Selector>,
        /// With such labels.
        pods: Selector,
    },
}

/// Ports of a destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyPort {
    /// The protocol.
    pub protocol: Protocol,
    /// Which.
    pub ports: Ports,
}

/// Which ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// All.
    All,
    /// From one to another, both included.
    Range(u16, u16),
    /// The one that has this name in the destination pod; none where it is no pod of the cluster.
    Named(Arc<str>),
}
