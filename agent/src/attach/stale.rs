//! Attachments of sandboxes that vanished without a CNI DEL: the machine started anew, or the runtime lost its state.
//!
//! Nobody will ever speak of them again, and their ports and addresses would be kept for ever. One is taken for such
//! only if its network namespace is gone and, besides, its pod is gone from the cluster or attached anew.

use futures::StreamExt as _;
use sluice_rpc::{PodRef, PodState};

use super::{Service, remove};
use crate::attach::book::Entry;

/// Removals at a time.
const AT_ONCE: usize = 16;

impl Service {
    /// Removes them. `exists` says whether the cluster has a pod, by its name and UID; it must be sure.
    pub async fn collect_stale(&self, exists: impl Fn(&PodRef) -> bool) {
        let entries = self.shared.book.all();
        let stale: Vec<_> = entries
            .iter()
            .filter(|entry| is_stale(entry, &entries, &exists))
            .map(|entry| entry.record.attachment.clone())
            .collect();
        if stale.is_empty() {
            return;
        }
        tracing::warn!(
            count = stale.len(),
            "sandboxes vanished without a word; collecting what they had"
        );
        futures::stream::iter(stale)
            .map(|attachment| remove::collect(&self.shared, attachment))
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await;
    }
}

fn is_stale(entry: &Entry, all: &[Entry], exists: &impl Fn(&PodRef) -> bool) -> bool {
    let Some(pod) = &entry.record.pod else {
        return false;
    };
    if entry.state == PodState::Pending || entry.record.netns.exists() {
        return false;
    }
    let anew = all.iter().any(|other| {
        other.record.pod.as_ref() == Some(pod)
            && other.record.attachment != entry.record.attachment
            && other.record.netns.exists()
    });
    anew || !exists(pod)
}
