//! Namespaces and pods, as policies and Services look at them.
//!
//! A pod that is attached to this node's switch has the addresses it was given there, whatever its object says of
//! them, or says not yet.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use sluice_flows::model::{ClusterPod, Ips, Labels, NamespaceLabels, PodSet, Uid};

use super::{Joined, Key, Update};
use crate::source::{Namespace, Pod, intern, object::PodState};

/// The label by which the API server makes every namespace selectable by its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A pod before and after.
pub(super) type Changed = (Option<Pod>, Option<Pod>);

#[derive(Debug)]
pub(super) struct Pods {
    standalone: bool,
    namespaces: BTreeMap<Arc<str>, Arc<Namespace>>,
    pods: PodSet<Pod>,
    /// The addresses of the attachments of each pod here, the newest last.
    attached: BTreeMap<Key, Vec<(Uid, Ips)>>,
    /// What was touched since the last answer, as it was then.
    touched: BTreeMap<Key, Option<Pod>>,
    touched_namespaces: BTreeMap<Arc<str>, Option<Labels>>,
}

/// The addresses that are a pod's own, and of use.
pub(super) fn own_ips(pod: &Pod) -> &[IpAddr] {
    if pod.state.host_network || pod.state.finished {
        return &[];
    }
    &pod.ips
}

impl Pods {
    pub(super) fn new(standalone: bool) -> Pods {
        Pods {
            standalone,
            namespaces: BTreeMap::new(),
            pods: PodSet::default(),
            attached: BTreeMap::new(),
            touched: BTreeMap::new(),
            touched_namespaces: BTreeMap::new(),
        }
    }

    pub(super) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(name).map(|namespace| &**namespace)
    }

    pub(super) fn namespace_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.namespaces.keys()
    }

    pub(super) fn namespace_count(&self) -> usize {
        self.namespaces.len()
    }

    pub(super) fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.get(namespace, name)
    }

    /// Looks at every pod.
    pub(super) fn holder(&self, ip: IpAddr) -> Option<&Pod> {
        let mut pods = self.pods.iter();
        pods.find(|pod| !pod.state.host_network && pod.ips.contains(&ip))
    }

    pub(super) fn count(&self) -> usize {
        self.pods.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        self.pods
            .iter()
            .map(|pod| Key::new(&pod.namespace, &pod.name))
    }

    /// A pod with the addresses it really has.
    pub(super) fn effective(&self, key: &Key) -> Option<Pod> {
        let object = self.pods.get(&key.namespace, &key.name);
        // A pod of the same name that came before, or comes after, has none of its addresses.
        let of_it = |uid: Uid| object.is_none_or(|pod| pod.uid.may_be(uid));
        let all = self
            .attached
            .get(key)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let newest = all.iter().rev().find(|(uid, _)| of_it(*uid));
        match (object, newest.map(|(_, ips)| ips)) {
            (Some(pod), Some(ips)) if pod.ips != *ips && !pod.state.host_network => {
                let mut cluster = ClusterPod::clone(pod);
                cluster.ips = ips.clone();
                Some(Pod {
                    cluster: Arc::new(cluster),
                    state: pod.state.clone(),
                })
            }
            (Some(pod), _) => Some(pod.clone()),
            (None, Some(ips)) if self.standalone => Some(Pod {
                cluster: Arc::new(ClusterPod {
                    namespace: key.namespace.clone(),
                    name: key.name.clone(),
                    ips: ips.clone(),
                    ..ClusterPod::default()
                }),
                state: Arc::new(PodState {
                    ready: true,
                    ..PodState::default()
                }),
            }),
            (None, _) => None,
        }
    }

    /// The pods of a namespace that have an object, with the addresses they really have.
    pub(super) fn in_namespace(&self, namespace: &Arc<str>) -> impl Iterator<Item = Pod> {
        let pods = self.pods.of(namespace);
        pods.filter_map(|pod| match self.attached.is_empty() {
            true => Some(pod.clone()),
            false => self.effective(&Key::new(namespace, &pod.name)),
        })
    }

    pub(super) fn set(&mut self, pod: Pod) {
        let key = Key::new(&pod.namespace, &pod.name);
        if self.pod(&key.namespace, &key.name) == Some(&pod) {
            return;
        }
        self.touch(&key);
        let known = self.pods.get(&key.namespace, &key.name);
        let pod = pod.sharing(known);
        self.pods.put(pod);
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if self.pod(&key.namespace, &key.name).is_none() {
            return;
        }
        self.touch(key);
        self.pods.remove(&key.namespace, &key.name);
    }

    pub(super) fn attached(&mut self, namespace: &str, name: &str, uid: Uid, ips: &[IpAddr]) {
        let key = Key {
            namespace: intern::text(namespace),
            name: name.into(),
        };
        self.touch(&key);
        let all = self.attached.entry(key).or_default();
        all.retain(|(_, known)| **known != *ips);
        all.push((uid, ips.into()));
    }

    pub(super) fn detached(&mut self, namespace: &str, name: &str, ips: &[IpAddr]) {
        let key = Key {
            namespace: intern::text(namespace),
            name: name.into(),
        };
        self.touch(&key);
        if let Some(all) = self.attached.get_mut(&key) {
            all.retain(|(_, known)| **known != *ips);
            if all.is_empty() {
                self.attached.remove(&key);
            }
        }
    }

    pub(super) fn set_namespace(&mut self, namespace: Arc<Namespace>) {
        self.touch_namespace(&namespace.name);
        self.namespaces.insert(namespace.name.clone(), namespace);
    }

    pub(super) fn remove_namespace(&mut self, name: &Arc<str>) {
        self.touch_namespace(name);
        self.namespaces.remove(name);
    }

    fn touch(&mut self, key: &Key) {
        if !self.touched.contains_key(key) {
            self.touched.insert(key.clone(), self.effective(key));
        }
        if self.standalone && !self.namespaces.contains_key(&key.namespace) {
            self.touch_namespace(&key.namespace);
        }
    }

    fn touch_namespace(&mut self, name: &Arc<str>) {
        if !self.touched_namespaces.contains_key(name) {
            self.touched_namespaces
                .insert(name.clone(), self.labels(name));
        }
    }

    /// The labels of a namespace, if there is one.
    pub(super) fn labels(&self, name: &Arc<str>) -> Option<Labels> {
        let labels = match self.namespaces.get(name) {
            Some(namespace) => Labels::clone(&namespace.labels),
            None if self.standalone && self.is_inhabited(name) => Labels::default(),
            None => return None,
        };
        if labels.get(NAME_LABEL).is_some() {
            return Some(labels);
        }
        let given = labels
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()));
        let own = (intern::text(NAME_LABEL), name.clone());
        Some(given.chain([own]).collect())
    }

    fn is_inhabited(&self, namespace: &Arc<str>) -> bool {
        let first = Key {
            namespace: namespace.clone(),
            name: intern::text(""),
        };
        let attached = self.attached.range(first..).next();
        self.pods.of(namespace).next().is_some()
            || attached.is_some_and(|(key, _)| key.namespace == *namespace)
    }

    /// What is different now; and the pods that changed in whatever way.
    pub(super) fn answer(&mut self, update: &mut Update) -> Vec<Changed> {
        for (name, before) in std::mem::take(&mut self.touched_namespaces) {
            match self.labels(&name) {
                now if now == before => {}
                Some(labels) => update
                    .joined
                    .push(Joined::NamespaceSet(NamespaceLabels { name, labels })),
                None => update.joined.push(Joined::NamespaceGone(name)),
            }
        }
        let mut changed = Vec::new();
        for (key, before) in std::mem::take(&mut self.touched) {
            let now = self.effective(&key);
            if now == before {
                continue;
            }
            match (cluster_pod(before.as_ref()), cluster_pod(now.as_ref())) {
                (before, now) if now == before => {}
                (_, Some(pod)) => update.joined.push(Joined::ClusterPodSet(pod.clone())),
                (_, None) => update
                    .joined
                    .push(Joined::ClusterPodGone(key.namespace, key.name)),
            }
            changed.push((before, now));
        }
        changed
    }
}

/// The pod as policies look at it, if it has addresses of its own.
fn cluster_pod(pod: Option<&Pod>) -> Option<&Arc<ClusterPod>> {
    let pod = pod.filter(|pod| !own_ips(pod).is_empty())?;
    Some(&pod.cluster)
}
