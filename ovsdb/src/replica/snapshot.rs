//! Snapshots: one state that the server held, to be read at leisure; and what lies between two.
//!
//! Owns: reading rows, raw and typed, and differences. Must not know: how states come about.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::replica::table::{Cells, Layout, TableData};
use crate::replica::update::Tables;
use crate::typed::{Assign, Column, Table};
use crate::uuid::Uuid;
use crate::value::Value;

/// A state of the database that the server held, as far as the replica watches it. Cheap to clone
/// and to keep; later changes do not touch it.
///
/// Serializes as `{table: {row uuid: {column: value}}}` in OVSDB's notation.
#[derive(Clone)]
pub struct Snapshot(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) tables: Tables,
    pub(crate) generation: u64,
    pub(crate) version: u64,
    pub(crate) txn: Uuid,
}

impl Snapshot {
    pub(crate) fn new(tables: Tables, generation: u64, version: u64, txn: Uuid) -> Self {
        Self(Arc::new(Inner {
            tables,
            generation,
            version,
            txn,
        }))
    }

    /// The connection on which this state arrived.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// Counts the states of this replica; later ones have greater numbers.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// The server's id of the last transaction in it; nil where the server keeps no history
    /// (a database that is not clustered).
    #[must_use]
    pub fn last_transaction(&self) -> Uuid {
        self.0.txn
    }

    /// The rows of a declared table.
    ///
    /// # Errors
    /// The replica does not watch all declared columns of this table.
    pub fn table<T: Table>(&self) -> Result<Rows<T>, Error> {
        let missing = |what: &str| {
            Error::Invalid(format!("the replica does not watch {what} of table {}", T::NAME).into())
        };
        let data = self
            .0
            .tables
            .get(T::NAME)
            .ok_or_else(|| missing("any column"))?;
        let mut columns = Vec::with_capacity(T::COLUMNS.len());
        for spec in T::COLUMNS {
            let index = data
                .layout
                .index(spec.name)
                .ok_or_else(|| missing(spec.name))?;
            if !data
                .layout
                .columns
                .get(index)
                .is_some_and(|column| (spec.accepts)(&column.ty))
            {
                return Err(missing(&format!("{} as it is declared", spec.name)));
            }
            columns.push(index);
        }
        Ok(Rows {
            data: data.clone(),
            columns: columns.into(),
            typed: PhantomData,
        })
    }

    /// The rows of a table named at run time.
    #[must_use]
    pub fn raw(&self, table: &str) -> Option<RawTable<'_>> {
        self.0.tables.get(table).map(RawTable)
    }

    /// The names of the tables watched.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.0.tables.keys().map(|name| &**name)
    }

    /// The rows that differ from an earlier (or later) snapshot of the same replica.
    #[must_use]
    pub fn changes_since(&self, before: &Snapshot) -> ChangeSet {
        let mut rows = Vec::new();
        for (name, new) in &self.0.tables {
            let empty;
            let old = match before.0.tables.get(name) {
                Some(old) if Arc::ptr_eq(old, new) => continue,
                Some(old) => &**old,
                None => {
                    empty = TableData::new(new.layout.clone());
                    &empty
                }
            };
            old.diff(new, &mut |uuid, a, b| {
                rows.push(RowChange {
                    table: name.clone(),
                    uuid,
                    before: a.map(|cells| RawRow {
                        layout: old.layout.clone(),
                        cells: cells.clone(),
                    }),
                    after: b.map(|cells| RawRow {
                        layout: new.layout.clone(),
                        cells: cells.clone(),
                    }),
                });
            });
        }
        ChangeSet {
            before: before.clone(),
            after: self.clone(),
            rows,
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("generation", &self.0.generation)
            .field("version", &self.0.version)
            .field("tables", &self.0.tables)
            .finish_non_exhaustive()
    }
}

/// The rows of a declared table in one snapshot.
pub struct Rows<T> {
    data: Arc<TableData>,
    /// Where each declared column stands in the layout.
    columns: Box<[usize]>,
    typed: PhantomData<fn() -> T>,
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Self {
        Self {
            data: self.data.clone(),
            columns: self.columns.clone(),
            typed: PhantomData,
        }
    }
}

/// As they are in the snapshot, by uuid.
impl<T> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RawTable(&self.data).fmt(f)
    }
}

impl<T: Table> Rows<T> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.len() == 0
    }

    fn decode(&self, uuid: Uuid, cells: &Cells) -> Option<T> {
        T::decode(uuid, |i| cells.get(*self.columns.get(i)?))
    }

    /// All rows, by uuid. Each is made when it is asked for.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        // The layout was checked against the declaration, so that no row fails to decode.
        self.data
            .iter()
            .filter_map(|(uuid, cells)| self.decode(uuid, cells))
    }

    /// The row with this uuid.
    #[must_use]
    pub fn get(&self, uuid: Uuid) -> Option<T> {
        self.decode(uuid, self.data.get(uuid)?)
    }

    /// The rows whose column holds exactly this; only those are made.
    pub fn filter<V>(
        &self,
        column: Column<T, V>,
        value: impl Assign<V>,
    ) -> impl Iterator<Item = T> {
        let value = value.assign();
        let index = self.data.layout.index(column.name());
        self.data
            .iter()
            .filter(move |(_, cells)| index.and_then(|i| cells.get(i)) == Some(&value))
            .filter_map(|(uuid, cells)| self.decode(uuid, cells))
    }

    /// The first row whose column holds exactly this: *the* row, of a column that is unique (`name`).
    #[must_use]
    pub fn find<V>(&self, column: Column<T, V>, value: impl Assign<V>) -> Option<T> {
        self.filter(column, value).next()
    }
}

/// The rows of a table named at run time, in one snapshot.
#[derive(Clone, Copy)]
pub struct RawTable<'a>(&'a Arc<TableData>);

impl<'a> RawTable<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.len() == 0
    }

    /// The columns watched, by name.
    pub fn columns(self) -> impl Iterator<Item = &'a str> {
        self.0.layout.columns.iter().map(|column| &*column.name)
    }

    /// One cell.
    #[must_use]
    pub fn get(self, row: Uuid, column: &str) -> Option<&'a Value> {
        self.0.get(row)?.get(self.0.layout.index(column)?)
    }

    /// All rows, by uuid.
    pub fn iter(self) -> impl Iterator<Item = (Uuid, RawRow)> {
        self.0.iter().map(|(uuid, cells)| {
            (
                uuid,
                RawRow {
                    layout: self.0.layout.clone(),
                    cells: cells.clone(),
                },
            )
        })
    }
}

/// One row, its columns by name.
#[derive(Clone, PartialEq)]
pub struct RawRow {
    layout: Arc<Layout>,
    cells: Cells,
}

impl RawRow {
    /// The value of a column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        self.cells.get(self.layout.index(column)?)
    }

    /// The columns with their values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.layout
            .columns
            .iter()
            .zip(self.cells.iter())
            .map(|(column, value)| (&*column.name, value))
    }

    fn decode<T: Table>(&self, uuid: Uuid) -> Option<T> {
        T::decode(uuid, |i| self.get(T::COLUMNS.get(i)?.name))
    }
}

impl fmt::Debug for RawTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl fmt::Debug for RawRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// What happened to one row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowChange {
    /// Its table.
    pub table: Arc<str>,
    /// Its uuid.
    pub uuid: Uuid,
    /// What it was; `None` if it came.
    pub before: Option<RawRow>,
    /// What it is; `None` if it went.
    pub after: Option<RawRow>,
}

/// What happened to one row of a declared table.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<T> {
    /// Its uuid.
    pub uuid: Uuid,
    /// What it was; `None` if it came.
    pub before: Option<T>,
    /// What it is; `None` if it went.
    pub after: Option<T>,
}

/// The difference between two states: usually one transaction, or several at once if the reader was
/// slow or the connection was gone for a while. Never empty.
#[derive(Clone, Debug)]
pub struct ChangeSet {
    /// The state before.
    pub before: Snapshot,
    /// The state after.
    pub after: Snapshot,
    /// The rows that differ, by table and uuid.
    pub rows: Vec<RowChange>,
}

impl ChangeSet {
    /// The changes of one declared table (whose declared columns the replica must watch; rows of a
    /// table it does not are not among the changes).
    pub fn table<T: Table>(&self) -> impl Iterator<Item = Change<T>> {
        self.rows
            .iter()
            .filter(|change| *change.table == *T::NAME)
            .map(|change| Change {
                uuid: change.uuid,
                before: change
                    .before
                    .as_ref()
                    .and_then(|row| row.decode(change.uuid)),
                after: change
                    .after
                    .as_ref()
                    .and_then(|row| row.decode(change.uuid)),
            })
    }
}

struct Raw<'a>(&'a TableData);
struct RawCells<'a>(&'a Layout, &'a Cells);

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tables: BTreeMap<&str, Raw<'_>> =
            self.0.tables.iter().map(|(n, t)| (&**n, Raw(t))).collect();
        tables.serialize(serializer)
    }
}

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (uuid, cells) in self.0.iter() {
            map.serialize_entry(&uuid, &RawCells(&self.0.layout, cells))?;
        }
        map.end()
    }
}

impl Serialize for RawCells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0
                .columns
                .iter()
                .zip(self.1.iter())
                .map(|(c, v)| (&*c.name, v)),
        )
    }
}
