//! Pods by namespace and name. There are many: each costs no more here than the place in a set.
//!
//! Must not know what pods mean, nor who holds them.

use std::{
    borrow::Borrow,
    collections::{HashMap, HashSet},
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::Pod;

/// A pod among those of its namespace, where its name tells it from others.
#[derive(Debug)]
struct ByName(Arc<Pod>);

impl PartialEq for ByName {
    fn eq(&self, other: &ByName) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name.hash(state);
    }
}

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

/// Pods, each once.
#[derive(Debug, Default)]
pub(crate) struct PodSet(HashMap<Arc<str>, HashSet<ByName>>);

impl PodSet {
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Pod>> {
        let found = self.0.get(namespace)?.get(name)?;
        Some(&found.0)
    }

    /// Puts a pod in, in the place of the one of its name.
    pub(crate) fn put(&mut self, pod: Arc<Pod>) {
        let pods = self.0.entry(pod.namespace.clone()).or_default();
        pods.replace(ByName(pod));
    }

    pub(crate) fn remove(&mut self, namespace: &str, name: &str) {
        if let Some(pods) = self.0.get_mut(namespace) {
            pods.remove(name);
            if pods.is_empty() {
                self.0.remove(namespace);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.0.values().flatten().map(|pod| &pod.0)
    }

    /// Those of a namespace.
    pub(crate) fn of(&self, namespace: &str) -> impl Iterator<Item = &Arc<Pod>> {
        let pods = self.0.get(namespace).into_iter().flatten();
        pods.map(|pod| &pod.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.values().map(HashSet::len).sum()
    }
}
