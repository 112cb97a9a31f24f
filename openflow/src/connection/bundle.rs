//! Many messages at once: pipelined with one barrier, or as an atomic and ordered bundle (ONF extension 230).
//!
//! Open vSwitch validates a message when it is added to a bundle, answers an ERROR if it is bad, *and commits
//! the rest all the same* when told to. So OPEN, every ADD and CLOSE go out in one pipelined write, and the
//! COMMIT follows only if CLOSE was answered and no ADD refused; otherwise the bundle is discarded. That is what
//! makes it all or nothing.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Connection;
use super::error::{Error, Offending, SwitchError};
use super::pending::{BatchAnswer, Kind, Phase};
use super::state::Reply;
use crate::message::{BundleAdd, BundleControl, BundleControlType, BundleFlags, Message, OfError};

/// Encoded messages are gathered into chunks of about this many bytes.
const CHUNK: usize = 128 * 1024;

/// Why a bundle was not, or perhaps not, applied: [`Error::Switch`] names the offending message.
pub type BundleError = Error;

struct Chunks {
    done: Vec<Bytes>,
    current: Vec<u8>,
}

impl Chunks {
    fn new() -> Chunks {
        Chunks {
            done: Vec::new(),
            current: Vec::new(),
        }
    }

    fn buffer(&mut self) -> &mut Vec<u8> {
        if self.current.len() >= CHUNK {
            let full = std::mem::replace(&mut self.current, Vec::with_capacity(CHUNK + CHUNK / 8));
            self.done.push(full.into());
        }
        &mut self.current
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.done.push(self.current.into());
        self.done
    }
}

impl Connection {
    /// Applies `messages` in order, all or none, at one instant for every packet.
    ///
    /// FLOW_MOD, GROUP_MOD and PACKET_OUT may be bundled. Two round trips whatever their number.
    ///
    /// # Errors
    /// [`Error::Switch`] with the index and the text of the first message that was refused: nothing was applied.
    /// [`Error::Unknown`] and [`Error::Timeout`]: it may or may not have been. Everything else: it was not.
    pub async fn bundle(&self, messages: Vec<Message>) -> Result<Reply<()>, BundleError> {
        self.bundle_with(messages, BundleFlags::ATOMIC | BundleFlags::ORDERED)
            .await
    }

    /// As [`bundle`](Self::bundle), with other flags. PORT_MODs are accepted in a bundle that is not atomic.
    ///
    /// # Errors
    /// As [`bundle`](Self::bundle).
    pub async fn bundle_with(
        &self,
        messages: Vec<Message>,
        flags: BundleFlags,
    ) -> Result<Reply<()>, BundleError> {
        let count = count(&messages)?;
        // OPEN, the messages, CLOSE, and COMMIT or DISCARD
        let open_xid = self.xids(count + 3);
        let (first, close_xid, last) = (open_xid + 1, open_xid + count + 1, open_xid + count + 2);
        let bundle_id = self
            .shared
            .next_bundle
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let control = |type_, xid, out: &mut Vec<u8>| {
            Message::BundleControl(BundleControl {
                bundle_id,
                type_,
                flags,
            })
            .encode(xid, out)
            .map_err(|error| Error::Encode {
                index: 0,
                message: "BUNDLE_CONTROL",
                error,
            })
        };

        let mut chunks = Chunks::new();
        control(BundleControlType::OPEN_REQUEST, open_xid, chunks.buffer())?;
        for (index, (message, xid)) in messages.iter().zip(first..).enumerate() {
            let encoded =
                BundleAdd::encode_message(bundle_id, flags, message, xid, chunks.buffer());
            encoded.map_err(|error| Error::Encode {
                index,
                message: message.name(),
                error,
            })?;
        }
        control(BundleControlType::CLOSE_REQUEST, close_xid, chunks.buffer())?;
        // Both end the range, for whichever is sent; its answer is the bundle's.
        let (mut commit, mut discard) = (Vec::new(), Vec::new());
        control(BundleControlType::COMMIT_REQUEST, last, &mut commit)?;
        control(BundleControlType::DISCARD_REQUEST, last, &mut discard)?;

        let (done, answer) = oneshot::channel();
        let kind = Kind::Bundle {
            done,
            phase: Phase::Filling,
            close_xid,
            commit: commit.into(),
            discard: discard.into(),
        };
        let answer = self
            .in_time(async {
                self.submit(chunks.finish(), open_xid, last, kind).await?;
                answer.await.map_err(|_| Error::Closed)?
            })
            .await?;
        judge(answer, &messages, first)
    }

    /// Sends `messages` in one pipelined write, then a barrier, and waits for it. They are applied in order and
    /// one by one: those that the switch does not refuse stay.
    ///
    /// # Errors
    /// [`Error::Switch`] with the index and the text of the first message that was refused, and how many more.
    pub async fn apply(&self, messages: Vec<Message>) -> Result<Reply<()>, Error> {
        let count = count(&messages)?;
        let first = self.xids(count + 1);
        let last = first + count;
        let mut chunks = Chunks::new();
        for (index, (message, xid)) in messages.iter().zip(first..).enumerate() {
            let encoded = message.encode(xid, chunks.buffer());
            encoded.map_err(|error| Error::Encode {
                index,
                message: message.name(),
                error,
            })?;
        }
        let barrier = Message::BarrierRequest.encode(last, chunks.buffer());
        barrier.map_err(|error| Error::Encode {
            index: messages.len(),
            message: "BARRIER_REQUEST",
            error,
        })?;
        let (done, answer) = oneshot::channel();
        let answer = self
            .in_time(async {
                self.submit(chunks.finish(), first, last, Kind::Batch { done })
                    .await?;
                answer.await.map_err(|_| Error::Closed)?
            })
            .await?;
        judge(answer, &messages, first)
    }

    /// Waits until the switch has done everything sent before (OpenFlow 1.3.5 §7.3.8).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn barrier(&self) -> Result<Reply<()>, Error> {
        self.apply(Vec::new()).await
    }
}

fn count(messages: &[Message]) -> Result<u32, Error> {
    // Far below the range of transaction ids, and some gigabytes of messages.
    const MAX: usize = 1 << 28;
    u32::try_from(messages.len())
        .ok()
        .filter(|_| messages.len() < MAX)
        .ok_or(Error::TooLarge { limit: MAX })
}

/// Makes the gathered errors one error that names the first offending message. An error for a message counts
/// before one for the frame around it (the COMMIT's `OFPBFC_MSG_FAILED`).
fn judge(answer: BatchAnswer, messages: &[Message], first: u32) -> Result<Reply<()>, Error> {
    let BatchAnswer {
        generation,
        errors,
        error_count,
    } = answer;
    let position = |xid: u32| {
        let index = usize::try_from(xid.checked_sub(first)?).ok()?;
        Some((index, messages.get(index)?))
    };
    let chosen = errors
        .iter()
        .find(|(xid, _)| position(*xid).is_some())
        .or(errors.first());
    let Some((xid, frame)) = chosen else {
        return Ok(Reply {
            generation,
            value: (),
        });
    };
    let error = OfError::decode_message(frame)?;
    let offending = position(*xid).map(|(index, message)| Offending {
        index,
        text: message.to_text(*xid),
    });
    let framing = errors
        .iter()
        .filter(|(xid, _)| position(*xid).is_none())
        .count();
    let further = error_count.saturating_sub(1 + if offending.is_some() { framing } else { 0 });
    Err(Error::Switch(Box::new(SwitchError {
        error,
        offending,
        further,
    })))
}
