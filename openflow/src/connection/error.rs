//! What can become of a request, told apart by what the caller may do next.

use std::fmt;
use std::sync::Arc;

use crate::error::DecodeError;
use crate::message::OfError;

/// Why a request did not end well.
///
/// The variants differ in what is known about the switch: after [`Disconnected`](Error::Disconnected) and
/// [`Stale`](Error::Stale) nothing was done, after [`Switch`](Error::Switch) the switch refused, after
/// [`Unknown`](Error::Unknown) and [`Timeout`](Error::Timeout) the request may or may not have taken effect and
/// the state must be read back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no session, or it ended before the request could have any effect.
    #[error("not connected: {reason}")]
    Disconnected {
        /// What ended the last session or the last attempt.
        reason: Arc<str>,
    },
    /// The session ended after the request was sent and before its answer: the outcome is unknown.
    #[error("the connection was lost with the request in flight, its outcome is unknown: {reason}")]
    Unknown {
        /// What ended the session.
        reason: Arc<str>,
    },
    /// The switch refused.
    #[error(transparent)]
    Switch(#[from] Box<SwitchError>),
    /// No answer in time: the outcome is unknown.
    #[error("no answer within {seconds} s, the outcome is unknown")]
    Timeout {
        /// How long was waited, in seconds.
        seconds: f64,
    },
    /// The request was bound to a session that is over; nothing was sent.
    #[error("the request belongs to session {wanted}, but this is session {current}")]
    Stale {
        /// The session it was bound to.
        wanted: u64,
        /// The session that is up.
        current: u64,
    },
    /// A multipart reply grew beyond [`Options::multipart_limit`](super::Options::multipart_limit).
    #[error("the reply exceeds {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A message cannot be put into OpenFlow's 64 KiB; nothing was sent.
    #[error("message {index} ({message}) cannot be encoded: {error}")]
    Encode {
        /// Its position among those handed over, from 0.
        index: usize,
        /// Its kind.
        message: &'static str,
        /// What does not fit.
        error: crate::error::EncodeError,
    },
    /// The switch's answer cannot be understood.
    #[error("the answer cannot be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// The switch answered with another kind of message than the request calls for.
    #[error("unexpected answer: {0}")]
    Unexpected(&'static str),
    /// The connection's task has ended.
    #[error("the connection is closed")]
    Closed,
}

/// Which of the caller's messages the switch refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Offending {
    /// Its position among those handed over, from 0.
    pub index: usize,
    /// The message as `ovs-ofctl` prints it.
    pub text: String,
}

/// An ERROR message, and what it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct SwitchError {
    /// Type, code, and the bytes the switch quoted.
    pub error: OfError,
    /// The message it refused, if it is one of several handed over together.
    pub offending: Option<Offending>,
    /// How many further errors the same batch or bundle met.
    pub further: usize,
}

impl std::error::Error for SwitchError {}

impl fmt::Display for SwitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the switch refused with {}", self.error.code)?;
        match &self.offending {
            Some(offending) => write!(
                f,
                " message {} {}",
                offending.index,
                offending.text.trim_end()
            )?,
            None => {
                if let Some(header) = self.error.offending_header() {
                    write!(f, " {} (xid={:#x})", header.type_, header.xid)?;
                }
            }
        }
        if self.further > 0 {
            write!(f, " (and {} more errors)", self.further)
        } else {
            Ok(())
        }
    }
}

impl Error {
    /// An ERROR message as this error.
    pub(crate) fn switch(frame: &[u8], offending: Option<Offending>) -> Error {
        match OfError::decode_message(frame) {
            Ok(error) => Error::Switch(Box::new(SwitchError {
                error,
                offending,
                further: 0,
            })),
            Err(error) => Error::Decode(error),
        }
    }

    /// Whether the switch's state must be read back before anything is assumed about the request.
    pub fn outcome_unknown(&self) -> bool {
        matches!(self, Error::Unknown { .. } | Error::Timeout { .. })
    }

    /// The ERROR message, if the switch sent one.
    pub fn as_switch(&self) -> Option<&SwitchError> {
        match self {
            Error::Switch(error) => Some(error),
            _ => None,
        }
    }
}
