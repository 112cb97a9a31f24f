//! One lock per attachment: calls for one are served one after another, calls for others at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_rpc::Attachment;
use tokio::sync::OwnedMutexGuard;

/// The locks that someone holds or waits for.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Mutex<HashMap<Attachment, Arc<tokio::sync::Mutex<()>>>>,
}

impl Locks {
    /// Waits for its turn.
    pub(super) async fn lock(&self, attachment: &Attachment) -> OwnedMutexGuard<()> {
        let lock = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds any more have no other owner than this map.
            held.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(held.entry(attachment.clone()).or_default())
        };
        lock.lock_owned().await
    }
}
