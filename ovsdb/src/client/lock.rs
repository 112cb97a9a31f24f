//! Locks (RFC 7047 sections 4.1.8 to 4.1.10), from the caller's side.
//!
//! Owns: what a holder sees. A lock lives on a connection: when that is lost so is the lock, and it
//! is asked for again on the next one.

use std::sync::Arc;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::client::{Client, Command};
use crate::error::Error;

/// How a lock stands: by the answer to `lock` (RFC 7047 section 4.1.8), then as `locked` (4.1.9) and `stolen` (4.1.10) tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockState {
    /// Asked for, not held: someone else holds it, or there is no connection.
    Waiting,
    /// Held, on this connection.
    Held {
        /// The connection.
        generation: u64,
    },
    /// Someone else stole it. It comes back when they give it back.
    Stolen,
}

/// The actor's side of a lock.
pub(crate) struct LockSlot {
    pub(crate) state: watch::Sender<LockState>,
    /// Take it from whoever holds it, at the first request.
    pub(crate) steal: bool,
}

impl LockSlot {
    pub(crate) fn set(&self, state: LockState) {
        self.state
            .send_if_modified(|now| std::mem::replace(now, state) != state);
    }
}

/// A lock asked for. Given back when dropped.
///
/// A transaction that relies on it begins with [`crate::Transaction::assert`]: what this state says
/// may be out of date by the time the transaction arrives.
#[derive(Debug)]
pub struct Lock {
    client: Client,
    name: Arc<str>,
    state: watch::Receiver<LockState>,
}

impl Lock {
    pub(crate) async fn request(client: &Client, name: &str, steal: bool) -> Result<Self, Error> {
        let deadline = Instant::now() + client.options().request_timeout;
        let name: Arc<str> = name.into();
        let (sender, state) = watch::channel(LockState::Waiting);
        let (accepted, answer) = oneshot::channel();
        let slot = LockSlot {
            state: sender,
            steal,
        };
        client
            .send(
                Command::Lock {
                    name: name.clone(),
                    steal,
                    slot,
                    accepted,
                },
                deadline,
            )
            .await?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(true)) => Ok(Self {
                client: client.clone(),
                name,
                state,
            }),
            Ok(Ok(false)) => Err(Error::Invalid(
                format!("lock {name} is asked for already").into(),
            )),
            _ => Err(client.timed_out(client.options().request_timeout)),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it stands; changes are seen through the receiver.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LockState> {
        self.state.clone()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.client.send_late(Command::Unlock {
            name: self.name.clone(),
        });
    }
}
