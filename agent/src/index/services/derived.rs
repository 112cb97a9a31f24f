//! Endpoints for Services that nobody made EndpointSlices for, from the pods they select: what the EndpointSlice
//! controller does where there is a cluster.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use sluice_flows::model::{Labels, Protocol};

use super::{Around, Changed, Key, Pods, frontends::unserved};
use crate::source::{
    EndpointSlice, Pod, Service,
    object::{Endpoint, EndpointPort, Hints, State, TargetPort, TrafficDistribution},
};

/// A namespace, and a label that pods of it have.
type Label = (Arc<str>, Arc<str>, Arc<str>);

/// The names of the Services by the first label that they select.
type ByLabel = HashMap<Label, BTreeSet<Arc<str>>>;

/// Which pods each Service selects.
#[derive(Debug, Default)]
pub(super) struct Derived {
    services: BTreeMap<Key, Selecting>,
    by_label: ByLabel,
    /// Services whose pods are not looked for yet, by namespace.
    fresh: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

#[derive(Debug)]
struct Selecting {
    selector: Labels,
    /// Whether it matters where the pods are.
    placed: bool,
    /// The names of the pods it selects.
    pods: BTreeSet<Arc<str>>,
}

impl Derived {
    /// A Service was this, and is that now.
    pub(super) fn service_changed(
        &mut self,
        key: &Key,
        before: Option<&Service>,
        now: Option<&Service>,
    ) {
        let selecting = |it: &&Service| !it.selector.is_empty() && unserved(it).is_none();
        let (before, now) = (before.filter(selecting), now.filter(selecting));
        if let (Some(before), Some(now)) = (before, now)
            && before.selector == now.selector
        {
            if let Some(known) = self.services.get_mut(key) {
                known.placed = now.distribution.is_some();
            }
            return;
        }
        if let Some(before) = before {
            self.services.remove(key);
            let label = first_label(&key.namespace, &before.selector);
            take_out(&mut self.by_label, &label, &key.name);
            if let Some(fresh) = self.fresh.get_mut(&key.namespace) {
                fresh.remove(&key.name);
            }
        }
        if let Some(now) = now {
            let label = first_label(&key.namespace, &now.selector);
            let services = self.by_label.entry(label).or_default();
            services.insert(key.name.clone());
            let fresh = self.fresh.entry(key.namespace.clone()).or_default();
            fresh.insert(key.name.clone());
            let selecting = Selecting {
                selector: now.selector.clone(),
                placed: now.distribution.is_some(),
                pods: BTreeSet::new(),
            };
            self.services.insert(key.clone(), selecting);
        }
    }

    /// The Services to which it matters where their pods are.
    pub(super) fn placed(&self) -> impl Iterator<Item = &Key> {
        let placed = self.services.iter().filter(|(_, it)| it.placed);
        placed.map(|(key, _)| key)
    }

    /// Follows the pods that changed, and looks for those of new Services; `stale` gains the Services concerned.
    pub(super) fn answer(&mut self, changed: &[Changed], pods: &Pods, stale: &mut BTreeSet<Key>) {
        for (before, now) in changed {
            let selecting = |pod: &Option<Pod>| -> BTreeSet<Key> {
                pod.iter().flat_map(|pod| self.selecting(pod)).collect()
            };
            let (before_by, now_by) = (selecting(before), selecting(now));
            let Some(pod) = before.as_ref().or(now.as_ref()) else {
                continue;
            };
            for key in before_by.union(&now_by) {
                if let Some(service) = self.services.get_mut(key) {
                    if now_by.contains(key) {
                        service.pods.insert(pod.name.clone());
                    } else {
                        service.pods.remove(&pod.name);
                    }
                }
                stale.insert(key.clone());
            }
        }
        for (namespace, names) in std::mem::take(&mut self.fresh) {
            if names.is_empty() {
                continue;
            }
            for pod in pods.in_namespace(&namespace) {
                for key in self.selecting(&pod) {
                    if names.contains(&key.name)
                        && let Some(service) = self.services.get_mut(&key)
                    {
                        service.pods.insert(pod.name.clone());
                    }
                }
            }
            let key = |name| Key::new(&namespace, name);
            stale.extend(names.iter().map(key));
        }
    }

    /// The Services that select a pod.
    fn selecting(&self, pod: &Pod) -> Vec<Key> {
        let mut keys = Vec::new();
        for (label, value) in pod.labels.iter() {
            let label = (pod.namespace.clone(), label.clone(), value.clone());
            for name in self.by_label.get(&label).into_iter().flatten() {
                let key = Key::new(&pod.namespace, name);
                let selects = |it: &Selecting| is_part(&it.selector, &pod.labels);
                if self.services.get(&key).is_some_and(selects) {
                    keys.push(key);
                }
            }
        }
        keys
    }

    /// The slices of a Service; none if it selects nothing.
    pub(super) fn slices(
        &self,
        key: &Key,
        service: &Service,
        around: &Around<'_>,
    ) -> Vec<Arc<EndpointSlice>> {
        let Some(selecting) = self.services.get(key) else {
            return Vec::new();
        };
        // Pods whose ports have the same numbers share a slice.
        let mut by_ports: BTreeMap<Vec<Option<u16>>, Vec<Endpoint>> = BTreeMap::new();
        for name in &selecting.pods {
            let Some(pod) = around.pods.effective(&Key::new(&key.namespace, name)) else {
                continue;
            };
            if pod.state.finished {
                continue;
            }
            let numbers = service.ports.iter();
            let numbers = numbers.map(|port| number(&port.target, port.protocol, &pod));
            let endpoints = by_ports.entry(numbers.collect()).or_default();
            endpoints.extend(endpoints_of(&pod, service, around));
        }
        let slice = |(numbers, endpoints): (Vec<Option<u16>>, _)| {
            let ports = service.ports.iter().zip(numbers);
            let resolved = |(port, number): (&crate::source::object::Port, Option<u16>)| {
                Some(EndpointPort {
                    name: port.name.clone(),
                    protocol: port.protocol,
                    port: number?,
                })
            };
            Arc::new(EndpointSlice {
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                service: key.name.clone(),
                ports: ports.filter_map(resolved).collect(),
                endpoints,
                ..EndpointSlice::default()
            })
        };
        by_ports.into_iter().map(slice).collect()
    }
}

fn first_label(namespace: &Arc<str>, selector: &Labels) -> Label {
    let (label, value) = selector
        .iter()
        .next()
        .map(|(label, value)| (label.clone(), value.clone()))
        .unwrap_or_default();
    (namespace.clone(), label, value)
}

fn take_out(by_label: &mut ByLabel, label: &Label, name: &Arc<str>) {
    if let Some(services) = by_label.get_mut(label) {
        services.remove(name);
        if services.is_empty() {
            by_label.remove(label);
        }
    }
}

/// The pods that a Service selects, none if it has no selector.
pub(in crate::index) fn selected(service: &Service, pods: &Pods) -> impl Iterator<Item = Pod> {
    let all = pods.in_namespace(&service.namespace);
    all.filter(|pod| !service.selector.is_empty() && is_part(&service.selector, &pod.labels))
}

fn is_part(selector: &Labels, labels: &Labels) -> bool {
    selector
        .iter()
        .all(|(label, value)| labels.get(label) == Some(value))
}

/// The number of a pod's port, if it has it.
fn number(target: &TargetPort, protocol: Protocol, pod: &Pod) -> Option<u16> {
    match target {
        TargetPort::Number(number) => Some(*number),
        TargetPort::Name(name) => {
            let mut ports = pod.ports.iter();
            let found = ports.find(|port| port.name == *name && port.protocol == protocol);
            found.map(|port| port.port)
        }
    }
}

fn endpoints_of(pod: &Pod, service: &Service, around: &Around<'_>) -> Vec<Endpoint> {
    let node = (!pod.state.node.is_empty()).then(|| pod.state.node.clone());
    let zone = node
        .as_ref()
        .and_then(|node| around.nodes.zone(node))
        .cloned();
    let hints = service.distribution.map(|distribution| {
        Box::new(Hints {
            zones: zone.iter().cloned().collect(),
            nodes: match distribution {
                TrafficDistribution::SameZone => Vec::new(),
                TrafficDistribution::SameNode => node.iter().cloned().collect(),
            },
        })
    });
    let state = State {
        ready: service.publish_not_ready || (pod.state.ready && !pod.state.terminating),
        serving: pod.state.ready,
        terminating: pod.state.terminating,
    };
    let endpoint = |ip: &std::net::IpAddr| Endpoint {
        ip: *ip,
        state,
        node: node.clone(),
        zone: zone.clone(),
        hints: hints.clone(),
    };
    pod.ips.iter().map(endpoint).collect()
}
