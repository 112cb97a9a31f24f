//! Errors as they cross the socket: the JSON-RPC error object and the CNI error inside it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// JSON-RPC error codes in use.
pub mod code {
    /// The line was not JSON (JSON-RPC 2.0 section 5.1).
    pub const PARSE: i32 = -32700;
    /// The JSON was not a request (section 5.1).
    pub const INVALID_REQUEST: i32 = -32600;
    /// The agent has no such method: it is older than the caller (section 5.1).
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// `params` does not fit the method (section 5.1).
    pub const INVALID_PARAMS: i32 = -32602;
    /// The call was understood and failed; `data` is a [`CniError`](super::CniError).
    pub const FAILED: i32 = -32000;
    /// The request's protocol is not served; `data` is a
    /// [`ProtocolRange`](super::ProtocolRange).
    pub const PROTOCOL_MISMATCH: i32 = -32001;
}

/// A CNI error code (CNI specification 1.1.0, section 5 "Error"). Codes from 100 are Sluice's
/// own; the operator's page of the plugin lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CniCode(pub u32);

/// One row per code: constant, number, name, meaning.
macro_rules! cni_codes {
    ($($(#[$doc:meta])* $konst:ident = $value:literal, $name:literal;)*) => {
        impl CniCode {
            $($(#[$doc])* pub const $konst: CniCode = CniCode($value);)*

            /// Every code this project gives, with its name.
            pub const ALL: &'static [(CniCode, &'static str)] = &[$((CniCode($value), $name)),*];
        }
    };
}

cni_codes! {
    /// The network configuration's `cniVersion` is not served, or the command is newer than it.
    INCOMPATIBLE_VERSION = 1, "incompatible CNI version";
    /// A field of the network configuration is not supported; the message has key and value.
    UNSUPPORTED_FIELD = 2, "unsupported field in network configuration";
    /// The container is not known or is gone; the runtime need not DEL.
    UNKNOWN_CONTAINER = 3, "container unknown or does not exist";
    /// A `CNI_*` variable is missing or wrong; the message names it.
    INVALID_ENVIRONMENT = 4, "invalid environment variables";
    /// Reading stdin, or writing stdout, failed.
    IO = 5, "I/O failure";
    /// Something that was read could not be decoded.
    DECODE = 6, "failed to decode content";
    /// The network configuration is decoded and wrong.
    INVALID_CONFIG = 7, "invalid network config";
    /// Transient: the agent is starting, or the switch is away.
    TRY_AGAIN = 11, "try again later";
    /// STATUS: ADD cannot be served.
    NOT_AVAILABLE = 50, "plugin not available";
    /// STATUS: ADD cannot be served, and attached containers may have limited connectivity.
    LIMITED_CONNECTIVITY = 51, "plugin not available, limited connectivity";
    /// The attachment, or an interface of that name in the container, exists already.
    ALREADY_ATTACHED = 100, "already attached";
    /// No address is left in the node's ranges.
    NO_ADDRESSES = 101, "no addresses left";
    /// CHECK found differences; the details have one a line.
    CHECK_FAILED = 102, "attachment differs from what was asked for";
    /// GC could not remove everything; the details have one attachment a line.
    GC_INCOMPLETE = 103, "garbage collection incomplete";
    /// Plugin and agent do not speak a common protocol.
    PROTOCOL_MISMATCH = 104, "plugin and agent do not fit together";
    /// This process may not use the agent's socket.
    PERMISSION = 105, "no permission for the agent's socket";
    /// The agent failed in a way that is none of the above.
    AGENT = 106, "agent error";
    /// The network namespace cannot be used: it does not open, or it is the host's own.
    INVALID_NETNS = 107, "invalid network namespace";
}

impl CniCode {
    /// The code's name, for people; `None` for a code this project does not give.
    pub fn name(self) -> Option<&'static str> {
        Self::ALL
            .iter()
            .find(|(code, _)| *code == self)
            .map(|(_, name)| *name)
    }
}

impl fmt::Debug for CniCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CniCode({}, {})", self.0, self.name().unwrap_or("?"))
    }
}

impl fmt::Display for CniCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A failure in CNI's terms. The agent puts it into [`ErrorObject::data`]; the plugin prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{msg}{}{details}", if details.is_empty() { "" } else { ": " })]
pub struct CniError {
    /// The CNI error code.
    pub code: CniCode,
    /// One short sentence, lower case, no full stop.
    pub msg: String,
    /// What a person needs to act on it; may have several lines; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl CniError {
    /// An error without details.
    pub fn new(code: CniCode, msg: impl Into<String>) -> Self {
        CniError {
            code,
            msg: msg.into(),
            details: String::new(),
        }
    }

    /// The same error with `details`.
    #[must_use]
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }
}

/// The protocols an agent serves, both ends included: `data` of
/// [`code::PROTOCOL_MISMATCH`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtocolRange {
    /// Oldest.
    pub min: u32,
    /// Newest.
    pub max: u32,
}

/// The error object of JSON-RPC 2.0 (section 5.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct ErrorObject {
    /// One of [`code`]'s.
    pub code: i32,
    /// For people.
    pub message: String,
    /// Depends on `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

impl ErrorObject {
    /// An error without data.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        ErrorObject {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The answer to a request of a protocol that this build does not serve.
    pub fn protocol_mismatch(asked: u32) -> Self {
        let range = ProtocolRange {
            min: crate::MIN_PROTOCOL,
            max: crate::PROTOCOL,
        };
        ErrorObject {
            code: code::PROTOCOL_MISMATCH,
            message: format!(
                "protocol {asked} is not served; this agent serves {} to {}",
                range.min, range.max
            ),
            data: serde_json::to_value(range).ok(),
        }
    }

    /// The CNI error inside, if there is one.
    pub fn cni(&self) -> Option<CniError> {
        if self.code != code::FAILED {
            return None;
        }
        self.data
            .as_ref()
            .and_then(|data| serde_json::from_value(data.clone()).ok())
    }

    /// The protocols the agent serves, if that is what it complained about.
    pub fn protocol_range(&self) -> Option<ProtocolRange> {
        if self.code != code::PROTOCOL_MISMATCH {
            return None;
        }
        self.data
            .as_ref()
            .and_then(|data| serde_json::from_value(data.clone()).ok())
    }
}

impl From<CniError> for ErrorObject {
    fn from(error: CniError) -> Self {
        ErrorObject {
            code: code::FAILED,
            message: error.to_string(),
            data: serde_json::to_value(error).ok(),
        }
    }
}
