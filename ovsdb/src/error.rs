//! What can go wrong, told apart by what the caller may do about it.
//!
//! Owns: the crate's error type. Must not know: how each error comes about.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::txn::TransactionError;

/// Why a call failed. Cheap to clone, so that one lost connection can answer many calls.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request never left: nothing happened on the server. It may be sent again.
    #[error("not connected: {0}")]
    Disconnected(Arc<str>),
    /// The request was sent and its answer never came: it may have been carried out or not. Read
    /// back before sending it again.
    #[error("outcome unknown on connection {generation}: {reason}")]
    Unknown {
        /// The connection on which it was sent.
        generation: u64,
        /// Why no answer came.
        reason: Arc<str>,
    },
    /// The server refused the request as a whole (RFC 7047 section 3.1): nothing happened.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// An operation of the transaction failed (RFC 7047 section 4.1.3): nothing of it happened.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// The server's schema lacks a table or column that is declared, or has it of another type: the switch is too old.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The server answered with something that cannot be understood.
    #[error("cannot decode {what}: {reason}")]
    Decode {
        /// What was to be decoded.
        what: &'static str,
        /// What was wrong.
        reason: Arc<str>,
    },
    /// What was waited for did not come true in time: a replica in sync, or what [`Replica::wait`](crate::Replica::wait) looks
    /// for. Of requests see [`Error::Disconnected`] and [`Error::Unknown`].
    #[error("timed out after {0:?}")]
    Timeout(Duration),
    /// The request cannot be sent as it is: nothing happened.
    #[error("invalid request: {0}")]
    Invalid(Arc<str>),
}

impl Error {
    pub(crate) fn decode(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Decode {
            what,
            reason: reason.to_string().into(),
        }
    }

    /// Whether the request may have been carried out although there is no answer.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        // An answer that cannot be read leaves the outcome open, too.
        matches!(self, Self::Unknown { .. } | Self::Decode { .. })
    }
}

/// An error object of the server (RFC 7047 section 3.1, `<error>`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}{}{details}", if details.is_empty() { "" } else { ": " })]
pub struct RpcError {
    /// The kind, a fixed phrase such as `unknown database`.
    pub error: Box<str>,
    /// More words, or empty.
    pub details: Box<str>,
}

impl RpcError {
    /// Reads the `error` member: an object by the RFC, a bare string for some methods of the server.
    pub(crate) fn from_json(json: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Repr {
            Object {
                error: String,
                #[serde(default)]
                details: Option<String>,
            },
            Text(String),
        }
        match serde_json::from_slice(json) {
            Ok(Repr::Object { error, details }) => Self {
                error: error.into(),
                details: details.unwrap_or_default().into(),
            },
            Ok(Repr::Text(error)) => Self {
                error: error.into(),
                details: "".into(),
            },
            Err(_) => Self {
                error: String::from_utf8_lossy(json).into(),
                details: "".into(),
            },
        }
    }
}

/// A table or column that the server's schema lacks or has otherwise: the switch is too old (or new).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// No such table.
    #[error("database {database} (schema {version}) has no table {table}")]
    NoTable {
        /// The database.
        database: Box<str>,
        /// Its schema's version.
        version: Box<str>,
        /// The table looked for.
        table: Box<str>,
    },
    /// No such column.
    #[error("database {database} (schema {version}): table {table} has no column {column}")]
    NoColumn {
        /// The database.
        database: Box<str>,
        /// Its schema's version.
        version: Box<str>,
        /// The table.
        table: Box<str>,
        /// The column looked for.
        column: Box<str>,
    },
    /// A column of another type.
    #[error(
        "database {database} (schema {version}): column {column} of table {table} is {found}, not {expected}"
    )]
    ColumnType {
        /// The database.
        database: Box<str>,
        /// Its schema's version.
        version: Box<str>,
        /// The table.
        table: Box<str>,
        /// The column.
        column: Box<str>,
        /// The type needed.
        expected: Box<str>,
        /// The type there is.
        found: Box<str>,
    },
}
