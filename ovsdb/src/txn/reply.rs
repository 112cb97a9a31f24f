//! What the server answers to a transaction: one result per operation, or the error that undid all.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::error::Error;
use crate::op::Operation;
use crate::txn::OpIndex;
use crate::typed::{Reference, Table};
use crate::uuid::Uuid;
use crate::value::{Atom, Value};

/// A row that a `select` read (RFC 7047 section 5.2.2): its columns by name.
pub type SelectedRow = BTreeMap<String, Value>;

/// The result of one operation (RFC 7047 section 5.2).
#[derive(Clone, Debug, PartialEq)]
pub enum OpResult {
    /// Done; there is nothing to say (wait, commit, comment, assert).
    Done,
    /// The uuid of the row inserted.
    Inserted(Uuid),
    /// How many rows were updated, mutated or deleted.
    Count(u64),
    /// The rows selected.
    Rows(Vec<SelectedRow>),
}

/// The results of a transaction that was carried out (RFC 7047 section 4.1.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// One result per operation.
    pub results: Vec<OpResult>,
    /// The connection on which it was carried out.
    pub generation: u64,
    names: BTreeMap<std::sync::Arc<str>, usize>,
}

impl Reply {
    /// The uuid of a row: as it is, or as the server chose it for an inserted one.
    #[must_use]
    pub fn uuid(&self, reference: &Reference) -> Option<Uuid> {
        match reference {
            Reference::Row(uuid) => Some(*uuid),
            Reference::Named(name) => match self.results.get(*self.names.get(name)?)? {
                OpResult::Inserted(uuid) => Some(*uuid),
                _ => None,
            },
        }
    }

    /// How many rows an update, mutate or delete touched; 0 for any other operation.
    #[must_use]
    pub fn count(&self, operation: OpIndex) -> u64 {
        match self.results.get(operation.0) {
            Some(OpResult::Count(n)) => *n,
            _ => 0,
        }
    }

    /// The rows a select read, typed.
    ///
    /// # Errors
    /// The operation was no select of this table's columns.
    pub fn rows<T: Table>(&self, operation: OpIndex) -> Result<Vec<T>, Error> {
        let Some(OpResult::Rows(rows)) = self.results.get(operation.0) else {
            return Err(Error::decode(
                "selected rows",
                "the operation was not a select",
            ));
        };
        rows.iter()
            .map(|row| {
                let uuid = row.get("_uuid").and_then(Value::as_uuid)?;
                T::decode(uuid, |i| row.get(T::COLUMNS.get(i)?.name))
            })
            .collect::<Option<_>>()
            .ok_or_else(|| {
                Error::decode(
                    "selected rows",
                    format_args!("not rows of table {}", T::NAME),
                )
            })
    }

    pub(crate) fn decode(
        json: &[u8],
        operations: &[Operation],
        generation: u64,
    ) -> Result<Self, Error> {
        let entries: Vec<Entry> = serde_json::from_slice(json)
            .map_err(|error| Error::decode("the transaction's results", error))?;
        let mut results = Vec::with_capacity(operations.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let operation = operations.get(index);
            match entry {
                Entry::Result(result) => results.push(result),
                Entry::Skipped => {
                    return Err(Error::decode(
                        "the transaction's results",
                        "an operation was skipped without an error",
                    ));
                }
                Entry::Error { error, details } => {
                    return Err(TransactionError {
                        index: operation.map(|_| OpIndex(index)),
                        operation: operation.map_or("commit", Operation::name),
                        kind: ErrorKind::from(error.as_str()),
                        error: error.into(),
                        details: details.into(),
                    }
                    .into());
                }
            }
        }
        if results.len() != operations.len() {
            return Err(Error::decode(
                "the transaction's results",
                "not one result per operation",
            ));
        }
        let names = operations
            .iter()
            .enumerate()
            .filter_map(|(i, op)| match op {
                Operation::Insert {
                    uuid_name: Some(name),
                    ..
                } => Some((name.clone(), i)),
                _ => None,
            })
            .collect();
        Ok(Self {
            results,
            generation,
            names,
        })
    }
}

/// An operation of the transaction failed, so nothing of it happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{operation}{at} failed: {error}{details}",
    at = index.map_or_else(String::new, |i| format!(" (operation {})", i.0)),
    details = if details.is_empty() { String::new() } else { format!(": {details}") }
)]
pub struct TransactionError {
    /// Which one; `None` is the commit at the end.
    pub index: Option<OpIndex>,
    /// Its name; `commit` for the commit at the end.
    pub operation: &'static str,
    /// The error, if it is a known one.
    pub kind: ErrorKind,
    /// The error's fixed phrase.
    pub error: Box<str>,
    /// More words, or empty.
    pub details: Box<str>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $text:literal,)*) => {
        /// The errors RFC 7047 and ovsdb-server(7) name for operations.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)*
            /// Any other.
            Other,
        }

        impl From<&str> for ErrorKind {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$kind,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

kinds! {
    /// A reference to a row that does not exist, or a row deleted that is referred to.
    ReferentialIntegrity = "referential integrity violation",
    /// A value, an index or a number of rows that the schema forbids.
    Constraint = "constraint violation",
    /// The server ran out of something.
    Resources = "resources exhausted",
    /// The server could not write its log.
    Io = "I/O error",
    /// Two rows inserted under one name.
    DuplicateUuidName = "duplicate uuid-name",
    /// A uuid chosen by the client is taken.
    DuplicateUuid = "duplicate uuid",
    /// Division by zero.
    Domain = "domain error",
    /// A number left its range.
    Range = "range error",
    /// A `wait` waited in vain.
    TimedOut = "timed out",
    /// A feature the server lacks.
    NotSupported = "not supported",
    /// The `abort` operation.
    Aborted = "aborted",
    /// `assert` of a lock held by someone else.
    NotOwner = "not owner",
    /// The server is not the leader of its cluster.
    NotLeader = "not leader",
    /// The operation's form is wrong.
    Syntax = "syntax error",
    /// The user may not do that.
    Permission = "permission error",
    /// A table or column that does not exist.
    UnknownTable = "unknown table",
    /// A column that does not exist.
    UnknownColumn = "unknown column",
}

enum Entry {
    Skipped,
    Result(OpResult),
    Error { error: String, details: String },
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object {
            error: Option<String>,
            details: Option<String>,
            uuid: Option<Atom>,
            count: Option<u64>,
            rows: Option<Vec<SelectedRow>>,
        }
        let Some(object) = Option::<Object>::deserialize(deserializer)? else {
            return Ok(Self::Skipped);
        };
        if let Some(error) = object.error {
            return Ok(Self::Error {
                error,
                details: object.details.unwrap_or_default(),
            });
        }
        Ok(Self::Result(
            match (object.uuid, object.count, object.rows) {
                (Some(Atom::Uuid(uuid)), ..) => OpResult::Inserted(uuid),
                (_, Some(count), _) => OpResult::Count(count),
                (.., Some(rows)) => OpResult::Rows(rows),
                _ => OpResult::Done,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn abort() -> Operation {
        Operation::Abort {}
    }

    #[test]
    fn results() {
        let insert = Operation::Insert {
            table: "T".into(),
            row: BTreeMap::new(),
            uuid_name: Some("row0".into()),
            uuid: None,
        };
        // As ovsdb-server 3.1.0 answers; the selected row is shortened.
        let json = br#"[{"uuid":["uuid","36bef046-7da7-43a5-905a-c17899216fcb"]},{"count":2},{},{"rows":[{"a":1}]}]"#;
        let reply = Reply::decode(json, &[insert, abort(), abort(), abort()], 3).unwrap();
        assert_eq!(
            reply
                .uuid(&Reference::Named("row0".into()))
                .unwrap()
                .to_string(),
            "36bef046-7da7-43a5-905a-c17899216fcb"
        );
        assert_eq!(reply.count(OpIndex(1)), 2);
        assert_eq!(reply.results[2], OpResult::Done);
        assert_eq!(
            reply.results[3],
            OpResult::Rows(vec![[("a".to_owned(), Value::from(1))].into()])
        );
    }

    #[test]
    fn errors_name_the_operation() {
        let json = br#"[{"details":"\"wait\" timed out","error":"timed out"},null]"#;
        let wait =
            serde_json::from_str(r#"{"op":"wait","table":"T","where":[],"until":"==","rows":[]}"#)
                .unwrap();
        let error = Reply::decode(json, &[wait, abort()], 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "wait (operation 0) failed: timed out: \"wait\" timed out"
        );
        let json = br#"[{},{"error":"constraint violation","details":"d"}]"#;
        let Error::Transaction(error) = Reply::decode(json, &[abort()], 1).unwrap_err() else {
            panic!("kind")
        };
        assert_eq!(
            (error.index, error.operation, error.kind),
            (None, "commit", ErrorKind::Constraint)
        );
    }
}
