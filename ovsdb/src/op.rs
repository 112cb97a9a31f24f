//! The operations of a transaction on the wire (RFC 7047 section 5.2), with conditions and mutations.
//!
//! Owns: their JSON form both ways. Must not know: types of columns; [`crate::Transaction`] is the
//! typed way to make them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::uuid::Uuid;
use crate::value::Value;

/// The columns of a row to write or compare (section 5.1, `<row>`).
pub type Row = BTreeMap<Arc<str>, Value>;

/// One clause of a condition (section 5.1, `<condition>`), or a constant as `monitor_cond` allows.
///
/// ```text
/// ["name", "==", "br0"]      true      false
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Clause {
    /// All rows, or none. Only the server's extensions know it.
    Constant(bool),
    /// A comparison.
    Compare(Arc<str>, Function, Value),
}

/// How a column is compared (section 5.1, `<function>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// `<`, of a scalar number (or a set of at most one).
    #[serde(rename = "<")]
    Less,
    /// `<=`
    #[serde(rename = "<=")]
    LessOrEqual,
    /// `==`
    #[serde(rename = "==")]
    Equal,
    /// `!=`
    #[serde(rename = "!=")]
    NotEqual,
    /// `>=`
    #[serde(rename = ">=")]
    GreaterOrEqual,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// The column holds all elements given.
    #[serde(rename = "includes")]
    Includes,
    /// The column holds none of the elements given.
    #[serde(rename = "excludes")]
    Excludes,
}

/// One change to a column in place (section 5.1, `<mutation>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mutation(pub Arc<str>, pub Mutator, pub Value);

/// How a column is changed in place (section 5.1, `<mutator>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mutator {
    /// Adds to each number.
    #[serde(rename = "+=")]
    Add,
    /// Subtracts from each number.
    #[serde(rename = "-=")]
    Subtract,
    /// Multiplies each number.
    #[serde(rename = "*=")]
    Multiply,
    /// Divides each number.
    #[serde(rename = "/=")]
    Divide,
    /// The remainder of each integer.
    #[serde(rename = "%=")]
    Remainder,
    /// Adds elements; pairs only under new keys.
    #[serde(rename = "insert")]
    Insert,
    /// Removes elements; of a map by pair, or by key if given a set.
    #[serde(rename = "delete")]
    Delete,
}

/// `until` of a `wait` (section 5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Until {
    /// The rows selected are the rows given.
    #[serde(rename = "==")]
    Equal,
    /// They are not.
    #[serde(rename = "!=")]
    NotEqual,
}

/// One operation (section 5.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// Section 5.2.1.
    Insert {
        /// The table.
        table: Arc<str>,
        /// The columns set.
        row: Row,
        /// The name under which this transaction refers to the row.
        #[serde(rename = "uuid-name", default, skip_serializing_if = "Option::is_none")]
        uuid_name: Option<Arc<str>>,
        /// The row's uuid, if the client chooses it (an extension, ovsdb-server(7) section 5.2.1).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uuid: Option<Uuid>,
    },
    /// Section 5.2.2.
    Select {
        /// The table.
        table: Arc<str>,
        /// All of these clauses.
        r#where: Vec<Clause>,
        /// The columns wanted, or all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        columns: Option<Vec<Arc<str>>>,
    },
    /// Section 5.2.3.
    Update {
        /// The table.
        table: Arc<str>,
        /// All of these clauses.
        r#where: Vec<Clause>,
        /// The columns set.
        row: Row,
    },
    /// Section 5.2.4.
    Mutate {
        /// The table.
        table: Arc<str>,
        /// All of these clauses.
        r#where: Vec<Clause>,
        /// In this order.
        mutations: Vec<Mutation>,
    },
    /// Section 5.2.5.
    Delete {
        /// The table.
        table: Arc<str>,
        /// All of these clauses.
        r#where: Vec<Clause>,
    },
    /// Section 5.2.6.
    Wait {
        /// Milliseconds; absent is for ever.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<u64>,
        /// The table.
        table: Arc<str>,
        /// All of these clauses.
        r#where: Vec<Clause>,
        /// The columns compared; absent is all of `rows`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        columns: Option<Vec<Arc<str>>>,
        /// Equal or not.
        until: Until,
        /// The rows compared with.
        rows: Vec<Row>,
    },
    /// Section 5.2.7.
    Commit {
        /// Not before it is on disk.
        durable: bool,
    },
    /// Section 5.2.8.
    Abort {},
    /// Section 5.2.9.
    Comment {
        /// For the database's log.
        comment: Arc<str>,
    },
    /// Section 5.2.10.
    Assert {
        /// The lock (section 4.1.8) that this client must hold.
        lock: Arc<str>,
    },
}

impl Operation {
    /// Its name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Insert { .. } => "insert",
            Self::Select { .. } => "select",
            Self::Update { .. } => "update",
            Self::Mutate { .. } => "mutate",
            Self::Delete { .. } => "delete",
            Self::Wait { .. } => "wait",
            Self::Commit { .. } => "commit",
            Self::Abort {} => "abort",
            Self::Comment { .. } => "comment",
            Self::Assert { .. } => "assert",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn wire_forms() {
        // The forms of RFC 7047 sections 5.2.1 to 5.2.10.
        for text in [
            r#"{"op":"insert","table":"Bridge","row":{"name":"br0"},"uuid-name":"row1"}"#,
            r#"{"op":"select","table":"Bridge","where":[["name","==","br0"]],"columns":["_uuid"]}"#,
            r#"{"op":"update","table":"Bridge","where":[],"row":{"ports":["set",[]]}}"#,
            r#"{"op":"mutate","table":"Bridge","where":[],"mutations":[["ports","insert",["named-uuid","row1"]]]}"#,
            r#"{"op":"delete","table":"Bridge","where":[["tag","includes",3]]}"#,
            r#"{"op":"wait","timeout":0,"table":"Bridge","where":[],"columns":["name"],"until":"!=","rows":[{"name":"a"}]}"#,
            r#"{"op":"commit","durable":true}"#,
            r#"{"op":"abort"}"#,
            r#"{"op":"comment","comment":"why"}"#,
            r#"{"op":"assert","lock":"me"}"#,
        ] {
            let op: Operation = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&op).unwrap(), text);
            assert!(text.contains(&format!("\"op\":\"{}\"", op.name())));
        }
    }
}
