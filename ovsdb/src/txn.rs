//! Transactions: the typed way to build one, and what comes of it (RFC 7047 section 4.1.3).
//!
//! Owns: the builder and the reply. Must not know: connections.
//!
//! ```
//! use ovsdb::{Insert, Mutate, Transaction};
//! use ovsdb::vswitch::{Bridge, Interface, Port};
//!
//! let mut txn = Transaction::new();
//! let interface = txn.insert(Insert::<Interface>::new().set(Interface::name, "pod1").set(Interface::r#type, "internal"));
//! let port = txn.insert(Insert::<Port>::new().set(Port::name, "pod1").set(Port::interfaces, &interface));
//! txn.mutate(Mutate::<Bridge>::rows(Bridge::name.eq("br0")).insert(Bridge::ports, &port));
//! assert_eq!(
//!     serde_json::to_string(txn.operations())?,
//!     concat!(
//!         r#"[{"op":"insert","table":"Interface","row":{"name":"pod1","type":"internal"},"uuid-name":"row0"},"#,
//!         r#"{"op":"insert","table":"Port","row":{"interfaces":["named-uuid","row0"],"name":"pod1"},"uuid-name":"row1"},"#,
//!         r#"{"op":"mutate","table":"Bridge","where":[["name","==","br0"]],"#,
//!         r#""mutations":[["ports","insert",["named-uuid","row1"]]]}]"#,
//!     ),
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```

mod reply;

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use crate::op::{Mutation, Mutator, Operation, Row, Until};
use crate::typed::{Assign, Column, ColumnValue, Reference, Table, Untyped, Where, column_names};
use crate::uuid::Uuid;
use crate::value::{Atom, Value};

pub use reply::{ErrorKind, OpResult, Reply, SelectedRow, TransactionError};

/// Where an operation stands in its transaction; finds its result in the [`Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpIndex(pub usize);

/// A list of operations that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    operations: Vec<Operation>,
    names: u32,
}

impl Transaction {
    /// No operations yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The operations so far.
    #[must_use]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Adds any operation as it stands.
    pub fn push(&mut self, operation: Operation) -> OpIndex {
        self.operations.push(operation);
        OpIndex(self.operations.len() - 1)
    }

    /// Inserts a row (RFC 7047 section 5.2.1). The answer stands for the row in this transaction, and finds its uuid in the
    /// reply ([`Reply::uuid`]).
    pub fn insert<T>(&mut self, insert: Insert<T>) -> Reference {
        let name: Arc<str> = format!("row{}", self.names).into();
        self.names += 1;
        self.push(Operation::Insert {
            table: insert.table,
            row: insert.row,
            uuid_name: Some(name.clone()),
            uuid: insert.uuid,
        });
        Reference::Named(name)
    }

    /// Sets columns of the rows selected (section 5.2.3); [`Reply::count`] says of how many.
    pub fn update<T>(&mut self, update: Update<T>) -> OpIndex {
        self.push(Operation::Update {
            table: update.table,
            r#where: update.rows.clauses,
            row: update.row,
        })
    }

    /// Changes columns of the rows selected in place (section 5.2.4); [`Reply::count`] says of how many.
    pub fn mutate<T>(&mut self, mutate: Mutate<T>) -> OpIndex {
        self.push(Operation::Mutate {
            table: mutate.table,
            r#where: mutate.rows.clauses,
            mutations: mutate.mutations,
        })
    }

    /// Deletes the rows selected (section 5.2.5); [`Reply::count`] says how many.
    pub fn delete<T: Table>(&mut self, rows: impl Into<Where<T>>) -> OpIndex {
        self.push(Operation::Delete {
            table: T::NAME.into(),
            r#where: rows.into().clauses,
        })
    }

    /// As [`delete`](Self::delete), of a table named at run time.
    pub fn delete_from(&mut self, table: &str, rows: impl Into<Where<Untyped>>) -> OpIndex {
        self.push(Operation::Delete {
            table: table.into(),
            r#where: rows.into().clauses,
        })
    }

    /// Reads the rows selected (section 5.2.2); [`Reply::rows`] has them.
    pub fn select<T: Table>(&mut self, rows: impl Into<Where<T>>) -> OpIndex {
        let mut columns = column_names::<T>();
        columns.push("_uuid".into());
        self.push(Operation::Select {
            table: T::NAME.into(),
            r#where: rows.into().clauses,
            columns: Some(columns),
        })
    }

    /// As [`select`](Self::select), of a table named at run time; all columns, `_uuid` and `_version` too, if none is
    /// named.
    pub fn select_from<'a>(
        &mut self,
        table: &str,
        rows: impl Into<Where<Untyped>>,
        columns: impl IntoIterator<Item = &'a str>,
    ) -> OpIndex {
        let columns: Vec<Arc<str>> = columns.into_iter().map(Arc::from).collect();
        self.push(Operation::Select {
            table: table.into(),
            r#where: rows.into().clauses,
            columns: (!columns.is_empty()).then_some(columns),
        })
    }

    /// Waits until the rows selected are, or are not, as given (section 5.2.6), or fails.
    pub fn wait<T>(&mut self, wait: Wait<T>) -> OpIndex {
        self.push(Operation::Wait {
            timeout: wait
                .timeout
                .map(|t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
            table: wait.table,
            r#where: wait.select.clauses,
            columns: wait.columns,
            until: wait.until,
            rows: wait.rows,
        })
    }

    /// Commits (section 5.2.7), as the end of a transaction does too; `durable`: the answer comes only once it is on disk.
    pub fn commit(&mut self, durable: bool) -> OpIndex {
        self.push(Operation::Commit { durable })
    }

    /// Makes the transaction fail (section 5.2.8): a dry run, that ends with [`ErrorKind::Aborted`].
    pub fn abort(&mut self) -> OpIndex {
        self.push(Operation::Abort {})
    }

    /// Leaves a comment (section 5.2.9) in the database's log (`ovsdb-tool show-log`).
    pub fn comment(&mut self, comment: impl Into<Arc<str>>) -> OpIndex {
        self.push(Operation::Comment {
            comment: comment.into(),
        })
    }

    /// Fails the transaction (section 5.2.10) with [`ErrorKind::NotOwner`] unless this client holds the lock.
    pub fn assert(&mut self, lock: impl Into<Arc<str>>) -> OpIndex {
        self.push(Operation::Assert { lock: lock.into() })
    }
}

macro_rules! row_setters {
    ($($builder:ident)*) => {$(
        impl<T> $builder<T> {
            /// Sets a column.
            #[must_use]
            pub fn set<V>(mut self, column: Column<T, V>, value: impl Assign<V>) -> Self {
                self.row.insert(column.name().into(), value.assign());
                self
            }

            /// Sets a column named at run time, unchecked.
            #[must_use]
            pub fn value(mut self, column: &str, value: impl Into<Value>) -> Self {
                self.row.insert(column.into(), value.into());
                self
            }
        }
    )*};
}

/// A row to insert (RFC 7047 section 5.2.1).
#[derive(Clone, Debug)]
pub struct Insert<T = Untyped> {
    table: Arc<str>,
    row: Row,
    uuid: Option<Uuid>,
    typed: PhantomData<fn() -> T>,
}

impl<T: Table> Insert<T> {
    /// A row with every column at its default.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: T::NAME.into(),
            row: Row::new(),
            uuid: None,
            typed: PhantomData,
        }
    }
}

impl<T: Table> Default for Insert<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl Insert<Untyped> {
    /// A row of a table named at run time.
    #[must_use]
    pub fn into_table(table: &str) -> Self {
        Self {
            table: table.into(),
            row: Row::new(),
            uuid: None,
            typed: PhantomData,
        }
    }
}

impl<T> Insert<T> {
    /// Chooses the row's uuid (ovsdb-server(7) section 5.2.1, Open vSwitch 2.13 and later).
    #[must_use]
    pub fn uuid(mut self, uuid: Uuid) -> Self {
        self.uuid = Some(uuid);
        self
    }
}

/// Columns to set in the rows selected (RFC 7047 section 5.2.3).
#[derive(Clone, Debug)]
pub struct Update<T = Untyped> {
    table: Arc<str>,
    rows: Where<T>,
    row: Row,
}

impl<T: Table> Update<T> {
    /// In these rows: a uuid, or a condition.
    #[must_use]
    pub fn rows(rows: impl Into<Where<T>>) -> Self {
        Self {
            table: T::NAME.into(),
            rows: rows.into(),
            row: Row::new(),
        }
    }
}

impl Update<Untyped> {
    /// In these rows of a table named at run time.
    #[must_use]
    pub fn table(table: &str, rows: impl Into<Where<Untyped>>) -> Self {
        Self {
            table: table.into(),
            rows: rows.into(),
            row: Row::new(),
        }
    }
}

row_setters!(Insert Update);

/// Columns to change in place in the rows selected (RFC 7047 section 5.2.4).
#[derive(Clone, Debug)]
pub struct Mutate<T = Untyped> {
    table: Arc<str>,
    rows: Where<T>,
    mutations: Vec<Mutation>,
}

impl<T: Table> Mutate<T> {
    /// In these rows: a uuid, or a condition.
    #[must_use]
    pub fn rows(rows: impl Into<Where<T>>) -> Self {
        Self {
            table: T::NAME.into(),
            rows: rows.into(),
            mutations: Vec::new(),
        }
    }
}

impl Mutate<Untyped> {
    /// In these rows of a table named at run time.
    #[must_use]
    pub fn table(table: &str, rows: impl Into<Where<Untyped>>) -> Self {
        Self {
            table: table.into(),
            rows: rows.into(),
            mutations: Vec::new(),
        }
    }
}

/// A set or a map: a column that has elements to come and go.
pub trait Collection: ColumnValue {}
impl<A> Collection for BTreeSet<A> where Self: ColumnValue {}
impl<A> Collection for Option<A> where Self: ColumnValue {}
impl<K, V> Collection for BTreeMap<K, V> where Self: ColumnValue {}

/// A number, or a collection of them.
pub trait Numeric: ColumnValue {}
impl Numeric for i64 {}
impl Numeric for f64 {}
impl Numeric for Option<i64> {}
impl Numeric for BTreeSet<i64> {}

impl<T> Mutate<T> {
    /// Any mutation (RFC 7047 section 5.1, `<mutation>`), as it stands.
    #[must_use]
    pub fn mutation(mut self, column: &str, mutator: Mutator, value: impl Into<Value>) -> Self {
        self.mutations
            .push(Mutation(column.into(), mutator, value.into()));
        self
    }

    /// Adds elements to a set, or pairs to a map where the map lacks the key.
    #[must_use]
    pub fn insert<V: Collection>(mut self, column: Column<T, V>, value: impl Assign<V>) -> Self {
        self.mutations
            .push(column.mutation(Mutator::Insert, value.assign()));
        self
    }

    /// Removes elements of a set, or exactly these pairs of a map.
    #[must_use]
    pub fn delete<V: Collection>(mut self, column: Column<T, V>, value: impl Assign<V>) -> Self {
        self.mutations
            .push(column.mutation(Mutator::Delete, value.assign()));
        self
    }

    /// Removes keys of a map, whatever their values.
    #[must_use]
    pub fn delete_keys<K, V, A: Into<Atom>>(
        mut self,
        column: Column<T, BTreeMap<K, V>>,
        keys: impl IntoIterator<Item = A>,
    ) -> Self {
        self.mutations
            .push(column.mutation(Mutator::Delete, Value::set(keys)));
        self
    }

    /// Sets pairs of a map, whether or not the map has the keys.
    #[must_use]
    pub fn put<K, V>(
        mut self,
        column: Column<T, BTreeMap<K, V>>,
        pairs: impl Assign<BTreeMap<K, V>>,
    ) -> Self {
        let pairs = pairs.assign();
        let keys = Value::set(pairs.pairs().iter().map(|(k, _)| k.clone()));
        self.mutations.push(column.mutation(Mutator::Delete, keys));
        self.mutations.push(column.mutation(Mutator::Insert, pairs));
        self
    }

    /// Adds to a number, or to each of several.
    #[must_use]
    pub fn add<V: Numeric>(mut self, column: Column<T, V>, amount: i64) -> Self {
        self.mutations
            .push(column.mutation(Mutator::Add, amount.into()));
        self
    }
}

/// What to wait for, inside the server (RFC 7047 section 5.2.6).
#[derive(Clone, Debug)]
pub struct Wait<T = Untyped> {
    table: Arc<str>,
    select: Where<T>,
    columns: Option<Vec<Arc<str>>>,
    until: Until,
    rows: Vec<Row>,
    timeout: Option<Duration>,
}

impl<T: Table> Wait<T> {
    /// Compares the rows selected with none, until rows are added by [`Wait::set`] or [`Wait::row`]:
    /// `Wait::until(…, Until::Equal)` alone means "until no such row exists".
    ///
    /// The timeout is zero unless set: the transaction fails at once where the rows differ, which
    /// makes it a precondition.
    #[must_use]
    pub fn until(rows: impl Into<Where<T>>, until: Until) -> Self {
        Self::new(T::NAME.into(), rows.into(), until)
    }
}

impl Wait<Untyped> {
    /// As [`Wait::until`], on a table named at run time.
    #[must_use]
    pub fn table(table: &str, rows: impl Into<Where<Untyped>>, until: Until) -> Self {
        Self::new(table.into(), rows.into(), until)
    }
}

impl<T> Wait<T> {
    fn new(table: Arc<str>, select: Where<T>, until: Until) -> Self {
        let columns = Some(vec![Arc::from("_uuid")]);
        Self {
            table,
            select,
            columns,
            until,
            rows: Vec::new(),
            timeout: Some(Duration::ZERO),
        }
    }

    fn compare(&mut self, column: &str, value: Value) {
        if self.rows.is_empty() {
            self.rows.push(Row::new());
            self.columns = Some(Vec::new());
        }
        let columns = self.columns.get_or_insert_default();
        if !columns.iter().any(|c| **c == *column) {
            columns.push(column.into());
        }
        if let Some(row) = self.rows.last_mut() {
            row.insert(column.into(), value);
        }
    }

    /// Compares this column of the last row (the first is made if there is none).
    #[must_use]
    pub fn set<V>(mut self, column: Column<T, V>, value: impl Assign<V>) -> Self {
        self.compare(column.name(), value.assign());
        self
    }

    /// As [`Wait::set`], with a column named at run time, such as `_uuid`.
    #[must_use]
    pub fn value(mut self, column: &str, value: impl Into<Value>) -> Self {
        self.compare(column, value.into());
        self
    }

    /// Begins another row to compare with.
    #[must_use]
    pub fn row(mut self) -> Self {
        if self.rows.is_empty() {
            self.columns = Some(Vec::new());
        }
        self.rows.push(Row::new());
        self
    }

    /// How long the server waits (section 5.2.6), in whole milliseconds.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The server waits as long as it takes: no `timeout` is sent (section 5.2.6).
    #[must_use]
    pub fn no_timeout(mut self) -> Self {
        self.timeout = None;
        self
    }
}
