//! CNI DEL and GC, and the undoing of a failed ADD: all one removal.

use std::time::Duration;

use sluice_flows::model::Change;
use sluice_rpc::{
    Attachment, CniCode, CniError, DelRequest, DelResult, GcFailure, GcRequest, GcResult, PodState,
};
use tokio::time::Instant;

use super::book::Entry;
use super::{Shared, sandbox};
use crate::host::pod;

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
    let mut result = GcResult::default();
    // What is being made is newer than the list of what is valid.
    let stale = |entry: &Entry| {
        entry.record.network == request.network
            && entry.state != PodState::Pending
            && !request.valid.contains(&entry.record.attachment)
    };
    for entry in shared.book.all().into_iter().filter(stale) {
        let attachment = &entry.record.attachment;
        let _turn = shared.locks.lock(attachment).await;
        // While waiting for its turn it may have gone, or become another's.
        let Some(entry) = shared.book.get(attachment).filter(stale) else {
            continue;
        };
        match remove(shared, &entry).await {
            Ok(()) => {
                let pod = entry.record.label();
                tracing::info!(pod, sandbox = sandbox(attachment), "collected as garbage");
                result.removed.push(attachment.clone());
            }
            Err(error) => result.failed.push(GcFailure {
                attachment: attachment.clone(),
                error: error.to_string(),
            }),
        }
    }
    Ok(result)
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
