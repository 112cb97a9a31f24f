//! What the index answers: everything that is different now, and nothing else.

use std::{net::IpAddr, sync::Arc};

use sluice_flows::model::{
    Change, ClusterPod, NamespaceLabels, Policy, PolicyId, ServiceId, ServicePort,
};

use super::{NodePort, OwnNode, Trigger};

/// What follows from some events. All of it belongs together: what passes from one Service to another is served
/// without a gap only if both changes happen at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// Our own node, if what is said about it changed (or became known).
    pub own: Option<OwnNode>,
    /// The peers that changed: only `PeerSet` and `PeerGone`, ordered by name.
    pub changes: Vec<Change>,
    /// Namespaces, pods, policies and Services that changed, in this order, each kind ordered by name.
    pub joined: Vec<Joined>,
    /// The addresses at which Services are served (clusterIPs, load balancers, externalIPs).
    pub service_addresses: Difference<IpAddr>,
    /// The node ports that are served.
    pub node_ports: Difference<NodePort>,
    /// Whether [`Index::health_checks`](super::Index::health_checks) are different.
    pub health_checks_changed: bool,
    /// When the changes of EndpointSlices were triggered that are answered here: once these changes are in the
    /// switch, the time since each is what `kubeproxy_network_programming_duration_seconds` observes.
    pub triggers: Vec<Trigger>,
    /// Addresses that a pod had and no pod has any more, nor any EndpointSlice names: no connection can be left.
    pub forgotten_addresses: Vec<IpAddr>,
}

impl Update {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        *self == Update::default()
    }

    /// Adds what follows from later events.
    pub fn extend(&mut self, later: Update) {
        let Update {
            own,
            changes,
            joined,
            service_addresses,
            node_ports,
            health_checks_changed,
            triggers,
            forgotten_addresses,
        } = later;
        self.own = own.or(self.own.take());
        self.changes.extend(changes);
        self.joined.extend(joined);
        self.service_addresses.extend(service_addresses);
        self.node_ports.extend(node_ports);
        self.health_checks_changed |= health_checks_changed;
        self.triggers.extend(triggers);
        self.forgotten_addresses.extend(forgotten_addresses);
    }
}

/// How a set changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference<T> {
    /// These are in it now.
    pub added: Vec<T>,
    /// These no longer are.
    pub removed: Vec<T>,
}

impl<T> Default for Difference<T> {
    fn default() -> Self {
        Difference {
            added: Vec::new(),
            removed: Vec::new(),
        }
    }
}

impl<T> Difference<T> {
    fn extend(&mut self, later: Difference<T>) {
        self.added.extend(later.added);
        self.removed.extend(later.removed);
    }

    /// Whether it did not.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// A change of what the cluster's objects come to together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// A namespace came, or has other labels now.
    NamespaceSet(NamespaceLabels),
    /// A namespace went.
    NamespaceGone(Arc<str>),
    /// A pod came, or is now this. Only pods with addresses of their own.
    ClusterPodSet(Arc<ClusterPod>),
    /// A pod went, or has no address of its own any more.
    ClusterPodGone(Arc<str>, Arc<str>),
    /// A policy came, or is now this.
    PolicySet(Arc<Policy>),
    /// A policy went.
    PolicyGone(PolicyId),
    /// A port of a Service is served, or served otherwise.
    ServiceSet(Arc<ServicePort>),
    /// A port of a Service is served no more.
    ServiceGone(ServiceId),
}

impl From<Joined> for Change {
    fn from(joined: Joined) -> Self {
        match joined {
            Joined::NamespaceSet(namespace) => Change::NamespaceSet(namespace),
            Joined::NamespaceGone(name) => Change::NamespaceGone(name),
            Joined::ClusterPodSet(pod) => Change::ClusterPodSet(pod),
            Joined::ClusterPodGone(namespace, name) => Change::ClusterPodGone(namespace, name),
            Joined::PolicySet(policy) => Change::PolicySet(policy),
            Joined::PolicyGone(id) => Change::PolicyGone(id),
            Joined::ServiceSet(port) => Change::ServiceSet(port),
            Joined::ServiceGone(id) => Change::ServiceGone(id),
        }
    }
}
