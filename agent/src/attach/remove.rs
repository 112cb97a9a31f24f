//! CNI DEL and GC, and the undoing of a failed ADD: all one removal.

use std::time::Duration;

use futures::StreamExt as _;
use sluice_flows::model::Change;
use sluice_rpc::{
    Attachment, CniCode, CniError, DelRequest, DelResult, GcFailure, GcRequest, GcResult, PodState,
};
use tokio::time::Instant;

use super::book::Entry;
use super::{Shared, sandbox};
use crate::host::pod;

/// Removals at a time in a collection.
const AT_ONCE: usize = 16;

/// How long a removal waits for an agent that is starting.
const START: Duration = Duration::from_secs(10);

/// How long a removal waits for the switch to confirm that the flows are gone. Whatever the
/// switch does, they are no longer wanted, and go with the next comparison.
const FLOWS: Duration = Duration::from_secs(5);

pub(super) async fn del(shared: &Shared, request: DelRequest) -> Result<DelResult, CniError> {
    let attachment = Attachment {
        container_id: request.container_id,
        ifname: request.ifname,
    };
    shared.recovered(Instant::now() + START).await?;
    let _turn = shared.locks.lock(&attachment).await;
    let Some(mut entry) = shared.book.get(&attachment) else {
        return Ok(DelResult { removed: false });
    };
    if let Some(netns) = request.netns
        && !entry.record.netns.exists()
    {
        // The name it was attached by is gone, but the runtime knows another.
        entry.record.netns = netns.into();
    }
    remove(shared, &entry).await?;
    tracing::info!(
        pod = entry.record.label(),
        sandbox = sandbox(&attachment),
        "detached"
    );
    Ok(DelResult { removed: true })
}

pub(super) async fn gc(shared: &Shared, request: GcRequest) -> Result<GcResult, CniError> {
    shared.recovered(Instant::now() + START).await?;
    let stale = shared.book.all().into_iter().filter(|entry| {
        // What is being made is newer than the list of what is valid.
        entry.record.network == request.network
            && entry.state != PodState::Pending
            && !request.valid.contains(&entry.record.attachment)
    });
    let outcomes = futures::stream::iter(stale)
        .map(|entry| collect(shared, entry.record.attachment))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let mut result = GcResult::default();
    for (attachment, outcome) in outcomes {
        match outcome {
            Ok(true) => result.removed.push(attachment),
            Ok(false) => {}
            Err(error) => {
                result.failed.push(GcFailure {
                    attachment,
                    error: error.to_string(),
                });
            }
        }
    }
    result.removed.sort();
    Ok(result)
}

/// Removes one attachment, if it is still there when its turn comes.
pub(super) async fn collect(
    shared: &Shared,
    attachment: Attachment,
) -> (Attachment, Result<bool, CniError>) {
    let _turn = shared.locks.lock(&attachment).await;
    let Some(entry) = shared.book.get(&attachment) else {
        return (attachment, Ok(false));
    };
    let outcome = remove(shared, &entry).await;
    let pod = entry.record.label();
    match &outcome {
        Ok(()) => tracing::info!(pod, sandbox = sandbox(&attachment), "collected as garbage"),
        Err(error) => tracing::error!(pod, %error, "garbage that cannot be collected"),
    }
    (attachment, outcome.map(|()| true))
}

/// Removes port, device and flows, in whatever state they are, and frees the addresses. What
/// cannot be removed stays in the book, so that it can be tried again.
pub(super) async fn remove(shared: &Shared, entry: &Entry) -> Result<(), CniError> {
    let Entry { record, port, .. } = entry;
    let flows = async {
        let gone = vec![Change::PodGone(record.pod_id())];
        let confirmed = tokio::time::timeout(FLOWS, shared.reconciler.apply(gone)).await;
        if !matches!(confirmed, Ok(Ok(()))) {
            tracing::warn!(pod = record.label(), "its flows go once the switch is back");
        }
    };
    let device = async {
        // The port first: a device that disappears under a port only makes the switch complain.
        let removed = shared.switch.remove_port(port).await;
        let unplumbed = pod::unplumb(&shared.remnant(record, port)).await;
        removed.map_err(|error| {
            CniError::new(CniCode::TRY_AGAIN, "its port could not be removed")
                .with_details(error.to_string())
        })?;
        unplumbed.map_err(|error| {
            CniError::new(CniCode::AGENT, "its interface could not be removed")
                .with_details(error.to_string())
        })
    };
    let ((), removed) = tokio::join!(flows, device);
    removed?;
    shared.book.close(&record.attachment);
    Ok(())
}
