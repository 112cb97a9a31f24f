//! One request from the caller's side, from the queue to its outcome.
//!
//! Owns: the rule that an outcome is never guessed. A ticket shared with the actor says whether the
//! request has left; only one that has not can be said not to have happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::client::{Answered, Client, Raw};
use crate::error::Error;
use crate::op::{Clause, Operation};
use crate::replica::{Publisher, Spec};
use crate::txn::Reply;

use super::lock::LockSlot;
use super::plain_monitor::TableUpdates;

pub(crate) type Answer = Result<Raw, Error>;

/// What the handles ask of the actor.
pub(crate) enum Command {
    Call(Outgoing),
    /// The caller lost interest (`forget`), or wants the server to give up.
    Cancel {
        id: u64,
        forget: bool,
    },
    Replica {
        id: u64,
        spec: Spec,
        publisher: Publisher,
    },
    DropReplica {
        id: u64,
    },
    Condition {
        id: u64,
        table: Arc<str>,
        any: Vec<Clause>,
        done: oneshot::Sender<Result<(), Error>>,
    },
    Lock {
        name: Arc<str>,
        steal: bool,
        slot: LockSlot,
        accepted: oneshot::Sender<bool>,
    },
    Unlock {
        name: Arc<str>,
    },
    /// A monitor will be asked for, whose updates go there.
    Watch {
        id: Arc<str>,
        sender: mpsc::Sender<TableUpdates>,
    },
    Unwatch {
        id: Arc<str>,
    },
}

/// A request on its way to the actor.
pub(crate) struct Outgoing {
    pub(crate) id: u64,
    pub(crate) method: &'static str,
    pub(crate) params: Bytes,
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) answer: Answered,
}

/// Where a request is: waiting, given up, or sent on a connection.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU64);

const WAITING: u64 = 0;
const GIVEN_UP: u64 = u64::MAX;

impl Ticket {
    /// For the actor, before it sends: false if the caller has given up.
    pub(crate) fn send(&self, generation: u64) -> bool {
        self.0
            .compare_exchange(WAITING, generation, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// For the caller: gives up. `Err` has the connection on which the request has left already.
    fn give_up(&self) -> Result<(), u64> {
        match self
            .0
            .compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) | Err(GIVEN_UP) => Ok(()),
            Err(generation) => Err(generation),
        }
    }
}

/// A request that the caller waits for.
pub(crate) struct Call {
    client: Client,
    id: u64,
    ticket: Arc<Ticket>,
    answer: Option<oneshot::Receiver<Answer>>,
    deadline: Instant,
    timeout: Duration,
}

impl Call {
    pub(crate) async fn begin(
        client: &Client,
        method: &'static str,
        params: Bytes,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let deadline = Instant::now() + timeout;
        let id = client.next_id();
        let ticket = Arc::new(Ticket::default());
        let (answer, receiver) = oneshot::channel();
        let outgoing = Outgoing {
            id,
            method,
            params,
            ticket: ticket.clone(),
            answer,
        };
        client.send(Command::Call(outgoing), deadline).await?;
        Ok(Self {
            client: client.clone(),
            id,
            ticket,
            answer: Some(receiver),
            deadline,
            timeout,
        })
    }

    pub(crate) async fn finish(mut self) -> Answer {
        // Taken only once it has answered: until then, to drop this future gives the request up.
        let Some(answer) = &mut self.answer else {
            return Err(Error::Disconnected("already answered".into()));
        };
        let answer = tokio::time::timeout_at(self.deadline, answer).await;
        match answer {
            Ok(Ok(answer)) => {
                self.answer = None;
                answer
            }
            Ok(Err(_)) => {
                self.answer = None;
                Err(match self.ticket.give_up() {
                    Ok(()) => Error::Disconnected("the client has ended".into()),
                    Err(generation) => Error::Unknown {
                        generation,
                        reason: "the client has ended".into(),
                    },
                })
            }
            Err(_) => Err(match self.ticket.give_up() {
                Ok(()) => match self.client.timed_out(self.timeout) {
                    Error::Timeout(time) => {
                        Error::Disconnected(format!("could not be sent within {time:?}").into())
                    }
                    other => other,
                },
                Err(generation) => Error::Unknown {
                    generation,
                    reason: format!("no answer within {:?}", self.timeout).into(),
                },
            }),
        }
    }

    fn cancel(&self) {
        self.client.send_late(Command::Cancel {
            id: self.id,
            forget: false,
        });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.answer.is_some() && self.ticket.give_up().is_err() {
            self.client.send_late(Command::Cancel {
                id: self.id,
                forget: true,
            });
        }
    }
}

/// A transaction on its way. To drop it cancels it, as far as it has not happened yet.
#[must_use = "dropped, the transaction may be cancelled"]
pub struct PendingTransaction {
    call: Call,
    operations: Vec<Operation>,
}

impl std::fmt::Debug for PendingTransaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PendingTransaction")
            .field("operations", &self.operations)
            .finish_non_exhaustive()
    }
}

impl PendingTransaction {
    pub(crate) fn new(call: Call, operations: Vec<Operation>) -> Self {
        Self { call, operations }
    }

    /// Asks the server to cancel it (RFC 7047 section 4.1.4). The outcome says whether it did: a
    /// transaction that no longer waited is carried out all the same.
    pub fn cancel(&self) {
        self.call.cancel();
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    /// As [`Client::transact`]; cancelled, an [`Error::Rpc`] that says `canceled`.
    pub async fn finish(self) -> Result<Reply, Error> {
        let (json, generation) = self.call.finish().await?;
        Reply::decode(&json, &self.operations, generation)
    }
}
