//! Pods by namespace and name. There are many: each costs no more here than the place in a set.
//!
//! Must not know what pods mean, nor who holds them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ClusterPod;

/// What is kept of a pod.
pub trait OfPod {
    /// The pod.
    fn pod(&self) -> &ClusterPod;
}

impl OfPod for ClusterPod {
    fn pod(&self) -> &ClusterPod {
        self
    }
}

impl<T: OfPod> OfPod for Arc<T> {
    fn pod(&self) -> &ClusterPod {
        (**self).pod()
    }
}

/// A pod among those of its namespace, where its name tells it from others.
#[derive(Debug, Clone)]
struct ByName<P>(P);

impl<P: OfPod> Borrow<str> for ByName<P> {
    fn borrow(&self) -> &str {
        &self.0.pod().name
    }
}

impl<P: OfPod> Ord for ByName<P> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.pod().name.cmp(&other.0.pod().name)
    }
}

impl<P: OfPod> PartialOrd for ByName<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P: OfPod> PartialEq for ByName<P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<P: OfPod> Eq for ByName<P> {}

/// Pods, each once.
#[derive(Debug, Clone)]
pub struct PodSet<P = Arc<ClusterPod>>(BTreeMap<Arc<str>, BTreeSet<ByName<P>>>);

impl<P> Default for PodSet<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P> PodSet<P> {
    /// The namespaces that have any.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// All of them, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &P> {
        self.0.values().flatten().map(|pod| &pod.0)
    }
}

impl<P: OfPod> PodSet<P> {
    /// The pod of this namespace and name.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&P> {
        self.0.get(namespace)?.get(name).map(|pod| &pod.0)
    }

    /// Those of a namespace, by name.
    pub fn of(&self, namespace: &str) -> impl Iterator<Item = &P> {
        let pods = self.0.get(namespace).into_iter().flatten();
        pods.map(|pod| &pod.0)
    }

    /// Puts a pod in, in place of the one of its name, which is returned.
    pub fn put(&mut self, pod: P) -> Option<P> {
        let pods = self.0.entry(pod.pod().namespace.clone()).or_default();
        pods.replace(ByName(pod)).map(|pod| pod.0)
    }

    /// Takes a pod out.
    pub fn remove(&mut self, namespace: &str, name: &str) -> Option<P> {
        let pods = self.0.get_mut(namespace)?;
        let pod = pods.take(name);
        if pods.is_empty() {
            self.0.remove(namespace);
        }
        pod.map(|pod| pod.0)
    }
}

impl<P: PartialEq> PartialEq for PodSet<P> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<P: Eq> Eq for PodSet<P> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Uid;

    #[test]
    fn pods_are_told_apart_by_name_and_compared_altogether() {
        let pod = |namespace: &str, name: &str, uid: &str| {
            Arc::new(ClusterPod {
                namespace: namespace.into(),
                name: name.into(),
                uid: Uid::new(uid),
                ..ClusterPod::default()
            })
        };
        let mut pods = PodSet::default();
        for (namespace, name) in [("web", "b"), ("web", "a"), ("bank", "c")] {
            assert_eq!(pods.put(pod(namespace, name, "1")), None);
        }
        let before = pods.clone();
        assert_eq!(pods.put(pod("web", "b", "2")), Some(pod("web", "b", "1")));
        assert!(pods != before);
        assert_eq!(pods.get("web", "b"), Some(&pod("web", "b", "2")));
        assert_eq!(pods.get("bank", "b"), None);
        let names: Vec<&str> = pods.of("web").map(|pod| &*pod.name).collect();
        assert_eq!(names, ["a", "b"]);
        let all: Vec<&str> = pods.iter().map(|pod| &*pod.name).collect();
        assert_eq!((all.len(), all), (pods.len(), vec!["c", "a", "b"]));
        assert_eq!(pods.remove("web", "c"), None);
        for (namespace, name) in [("web", "a"), ("web", "b"), ("bank", "c")] {
            assert!(pods.remove(namespace, name).is_some() && !pods.clone().eq(&before));
        }
        assert!(pods.is_empty() && pods.namespaces().next().is_none());
    }
}
