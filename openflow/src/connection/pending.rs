//! Requests that wait for their answers, found by transaction id.
//!
//! Knows the four ways in which an answer arrives: one message, a multipart sequence, the last message of a
//! pipelined batch, and a bundle with its two phases. Must not know sockets or time.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::error::Error;
use crate::header::{Header, MsgType};

/// Errors kept of one batch; a switch that refuses 100,000 flows says so 100,000 times.
const MAX_ERRORS: usize = 64;
const REPLY_MORE: u8 = 1;

/// An answer and the session it came in.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) generation: u64,
    pub(crate) frame: Bytes,
}

/// What a batch or bundle came to.
#[derive(Debug)]
pub(crate) struct BatchAnswer {
    pub(crate) generation: u64,
    /// ERROR messages for members of the batch, in order of arrival, at most [`MAX_ERRORS`].
    pub(crate) errors: Vec<(u32, Bytes)>,
    /// How many arrived in all.
    pub(crate) error_count: usize,
}

/// How a request is answered.
#[derive(Debug)]
pub(crate) enum Kind {
    /// By nothing; `done` tells that it was queued on a session.
    Fire {
        done: oneshot::Sender<Result<u64, Error>>,
    },
    /// By one message (or an error) with the request's xid.
    Single {
        done: oneshot::Sender<Result<Answer, Error>>,
    },
    /// By a multipart sequence; each part is sent on, an error ends it, dropping the sender completes it.
    Multipart {
        parts: mpsc::UnboundedSender<Result<Answer, Error>>,
        left: usize,
        limit: usize,
    },
    /// By the answer to the last message of the range; errors of the others are gathered.
    Batch {
        done: oneshot::Sender<Result<BatchAnswer, Error>>,
    },
    /// As a batch; then `commit` is sent if there was no error, else `discard`, and its answer is the answer.
    /// All of them have xids within the range.
    Bundle {
        done: oneshot::Sender<Result<BatchAnswer, Error>>,
        phase: Phase,
        close_xid: u32,
        commit: Bytes,
        discard: Bytes,
    },
}

/// How far a bundle has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Opened and filled; nothing is applied.
    Filling,
    /// COMMIT is on its way: from here on a cut leaves the outcome unknown.
    Committing,
    /// DISCARD is on its way.
    Discarding,
}

#[derive(Debug)]
struct Entry {
    last: u32,
    /// Stream offset of the request's first byte (for a committing bundle, of its COMMIT).
    start: u64,
    errors: Vec<(u32, Bytes)>,
    error_count: usize,
    kind: Kind,
}

/// What the caller must do after a message was matched.
#[derive(Debug)]
pub(crate) enum Matched {
    /// Nothing: the message was consumed.
    Done,
    /// Queue these bytes; then call [`Pending::restart`] with the offset at which they begin.
    Send(u32, Bytes),
    /// The message answers no request.
    Unknown,
}

/// All requests of one session.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    entries: BTreeMap<u32, Entry>,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Registers a request with xids `first..=last` that begins at stream offset `start`.
    pub(crate) fn insert(&mut self, first: u32, last: u32, start: u64, kind: Kind) {
        self.entries.insert(
            first,
            Entry {
                last,
                start,
                errors: Vec::new(),
                error_count: 0,
                kind,
            },
        );
    }

    /// Forgets requests whose caller has gone, except bundles, which must still be closed.
    pub(crate) fn prune(&mut self) {
        self.entries.retain(|_, entry| match &entry.kind {
            Kind::Fire { done } => !done.is_closed(),
            Kind::Single { done } => !done.is_closed(),
            Kind::Multipart { parts, .. } => !parts.is_closed(),
            Kind::Batch { done } => !done.is_closed(),
            Kind::Bundle { .. } => true,
        });
    }

    /// Notes that the bytes of [`Matched::Send`] begin at stream offset `start`.
    pub(crate) fn restart(&mut self, first: u32, start: u64) {
        if let Some(entry) = self.entries.get_mut(&first) {
            entry.start = start;
        }
    }

    /// Gives `frame` to the request it answers.
    pub(crate) fn answer(&mut self, generation: u64, header: Header, frame: Bytes) -> Matched {
        let Some((&first, entry)) = self.entries.range_mut(..=header.xid).next_back() else {
            return Matched::Unknown;
        };
        if header.xid > entry.last {
            return Matched::Unknown;
        }
        let is_error = header.type_ == MsgType::ERROR;
        match &mut entry.kind {
            Kind::Multipart { parts, left, limit } => {
                let more = header.type_ == MsgType::MULTIPART_REPLY
                    && frame.get(11).is_some_and(|f| f & REPLY_MORE != 0);
                let over = *left < frame.len();
                *left = left.saturating_sub(frame.len());
                // A reader that has gone cannot be told; the rest of the sequence must still be swallowed.
                let _ = parts.send(match (is_error, over) {
                    (true, _) => Err(Error::switch(&frame, None)),
                    (false, true) => Err(Error::TooLarge { limit: *limit }),
                    (false, false) => Ok(Answer { generation, frame }),
                });
                if over && more {
                    // Keep the entry so that the rest is recognised, but forward nothing further.
                    *left = 0;
                    let (closed, _) = mpsc::unbounded_channel();
                    *parts = closed;
                }
                if !more {
                    self.entries.remove(&first);
                }
                return Matched::Done;
            }
            Kind::Fire { .. } | Kind::Single { .. } => {}
            Kind::Batch { .. } | Kind::Bundle { .. } => {
                if is_error {
                    entry.error_count += 1;
                    if entry.errors.len() < MAX_ERRORS {
                        entry.errors.push((header.xid, frame.clone()));
                    }
                }
                let ends = match &entry.kind {
                    Kind::Bundle {
                        phase: Phase::Filling,
                        close_xid,
                        ..
                    } => header.xid == *close_xid,
                    _ => header.xid == entry.last,
                };
                if !ends {
                    return Matched::Done;
                }
                if let Kind::Bundle {
                    phase: phase @ Phase::Filling,
                    commit,
                    discard,
                    ..
                } = &mut entry.kind
                {
                    *phase = if entry.error_count == 0 {
                        Phase::Committing
                    } else {
                        Phase::Discarding
                    };
                    let bytes = if *phase == Phase::Committing {
                        commit.clone()
                    } else {
                        discard.clone()
                    };
                    return Matched::Send(first, bytes);
                }
            }
        }
        if let Some(entry) = self.entries.remove(&first) {
            entry.complete(generation, is_error, frame);
        }
        Matched::Done
    }

    /// Ends every request because the session ended after `written` bytes of it had been handed to the socket.
    pub(crate) fn cut(&mut self, written: u64, reason: &Arc<str>) {
        for (_, entry) in std::mem::take(&mut self.entries) {
            let unsent = written <= entry.start;
            let harmless = matches!(
                entry.kind,
                Kind::Bundle {
                    phase: Phase::Filling | Phase::Discarding,
                    ..
                }
            );
            let error = if unsent || harmless {
                Error::Disconnected {
                    reason: reason.clone(),
                }
            } else {
                Error::Unknown {
                    reason: reason.clone(),
                }
            };
            entry.kind.fail(error);
        }
    }
}

impl Entry {
    fn complete(self, generation: u64, is_error: bool, frame: Bytes) {
        let Entry {
            errors,
            error_count,
            kind,
            ..
        } = self;
        // A send fails only if the caller has gone, and then nobody is left to tell.
        match kind {
            Kind::Fire { done } => drop(done.send(Ok(generation))),
            Kind::Single { done } => {
                let answer = if is_error {
                    Err(Error::switch(&frame, None))
                } else {
                    Ok(Answer { generation, frame })
                };
                drop(done.send(answer));
            }
            Kind::Multipart { parts, .. } => drop(parts),
            Kind::Batch { done } | Kind::Bundle { done, .. } => {
                drop(done.send(Ok(BatchAnswer {
                    generation,
                    errors,
                    error_count,
                })));
            }
        }
    }
}

impl Kind {
    /// Ends a request that has not been, or will not be, answered.
    pub(crate) fn fail(self, error: Error) {
        match self {
            Kind::Fire { done } => drop(done.send(Err(error))),
            Kind::Single { done } => drop(done.send(Err(error))),
            Kind::Multipart { parts, .. } => drop(parts.send(Err(error))),
            Kind::Batch { done } | Kind::Bundle { done, .. } => drop(done.send(Err(error))),
        }
    }
}
