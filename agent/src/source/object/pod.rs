//! Pods, as what policies look at and the rest: the one is shared with the compiler, the other among pods.

use std::{ops::Deref, sync::Arc};

use sluice_flows::model::{ClusterPod, OfPod};

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// What policies look at. Of 100,000 pods each takes one such allocation, and one for its name.
    pub cluster: Arc<ClusterPod>,
    /// How it runs, which is the same for many.
    pub state: Arc<PodState>,
}

/// Where a pod runs, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodState {
    /// The node it runs on; empty before it is scheduled.
    pub node: Arc<str>,
    /// Whether it shares its node's network; such a pod has the node's addresses and none of ours.
    pub host_network: bool,
    /// Whether its containers have ended for good, so that its addresses may be another's.
    pub finished: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it is ready: its `Ready` condition, or true where nobody has noted any condition.
    pub ready: bool,
}

impl Pod {
    /// The same pod, in the allocation of one that was known before as far as that is the same.
    pub(crate) fn sharing(mut self, known: Option<&Pod>) -> Pod {
        if let Some(known) = known.filter(|known| known.cluster == self.cluster) {
            self.cluster = known.cluster.clone();
        }
        self
    }
}

impl OfPod for Pod {
    fn pod(&self) -> &ClusterPod {
        &self.cluster
    }
}

impl Deref for Pod {
    type Target = ClusterPod;

    fn deref(&self) -> &ClusterPod {
        &self.cluster
    }
}
