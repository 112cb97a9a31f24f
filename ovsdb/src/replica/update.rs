//! Table updates: read straight from JSON into rows of known layout, then applied as a whole.
//!
//! Owns: `<table-updates>` (RFC 7047 section 4.1.6) and `<table-updates2>` (ovsdb-server(7)). Must
//! not know: connections, or who sees the result. An update that does not fit leaves no trace.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess};

use crate::diff;
use crate::replica::table::{Cells, Layout, TableData};
use crate::uuid::Uuid;
use crate::value::Value;

/// The layouts of the tables of a replica, by name.
pub(crate) type Plan = BTreeMap<Arc<str>, Arc<Layout>>;

/// The tables of a replica, by name.
pub(crate) type Tables = BTreeMap<Arc<str>, Arc<TableData>>;

/// Which of the two notations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `{"old": ROW, "new": ROW}`
    V1,
    /// `{"initial": ROW}`, `{"insert": ROW}`, `{"modify": DIFF}` or `{"delete": null}`
    V2,
}

/// What happened to one row.
#[derive(Debug, PartialEq)]
pub(crate) enum RowUpdate {
    /// It is now this.
    Put(Vec<Value>),
    /// These columns changed by these differences.
    Modify(Vec<(usize, Value)>),
    Delete,
}

/// What happened to the rows of one table.
#[derive(Debug)]
pub(crate) struct TableUpdate {
    pub(crate) layout: Arc<Layout>,
    pub(crate) rows: Vec<(Uuid, RowUpdate)>,
}

/// What a notification says: its transaction, where it names one, and what that did.
pub(crate) type Notified = (Option<Uuid>, Vec<TableUpdate>);

/// The update speaks of a row that the replica does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server modified row {uuid} of table {table}, which the replica lacks")]
pub(crate) struct Inconsistent {
    table: Arc<str>,
    uuid: Uuid,
}

/// Applies an update to a set of tables, giving the next one. Rows equal to those of `shared` keep
/// their identity, so that differences between versions stay cheap to find.
pub(crate) fn apply(
    base: &Tables,
    update: Vec<TableUpdate>,
    shared: &Tables,
) -> Result<Tables, Inconsistent> {
    let mut tables = base.clone();
    for TableUpdate { layout, rows } in update {
        let table = tables
            .entry(layout.table.clone())
            .or_insert_with(|| Arc::new(TableData::new(layout.clone())));
        let table = Arc::make_mut(table);
        let known = shared
            .get(&layout.table)
            .filter(|known| known.layout == layout);
        for (uuid, row) in rows {
            match row {
                RowUpdate::Put(cells) => {
                    let same = known
                        .and_then(|t| t.get(uuid))
                        .filter(|old| old[..] == cells[..])
                        .cloned();
                    table.insert(uuid, same.unwrap_or_else(|| Cells::from(cells)));
                }
                RowUpdate::Modify(columns) => {
                    let Some(old) = table.get(uuid) else {
                        return Err(Inconsistent {
                            table: layout.table.clone(),
                            uuid,
                        });
                    };
                    let mut cells = old.to_vec();
                    for (index, change) in columns {
                        if let (Some(cell), Some(column)) =
                            (cells.get_mut(index), layout.columns.get(index))
                        {
                            *cell = diff::apply(&column.ty, cell, change);
                        }
                    }
                    table.insert(uuid, cells.into());
                }
                RowUpdate::Delete => {
                    table.remove(uuid);
                }
            }
        }
    }
    Ok(tables)
}

/// An empty table for each layout.
pub(crate) fn empty(plan: &Plan) -> Tables {
    plan.iter()
        .map(|(name, layout)| (name.clone(), Arc::new(TableData::new(layout.clone()))))
        .collect()
}

/// The result of `monitor` or `monitor_cond`: `<table-updates>` or `<table-updates2>`.
pub(crate) fn parse_result(
    json: &[u8],
    plan: &Plan,
    format: Format,
) -> Result<Vec<TableUpdate>, serde_json::Error> {
    let mut de = serde_json::Deserializer::from_slice(json);
    let update = TablesSeed { plan, format }.deserialize(&mut de)?;
    de.end()?;
    Ok(update)
}

/// The result of `monitor_cond_since`: `[FOUND, TXN-ID, <table-updates2>]`.
pub(crate) fn parse_since(
    json: &[u8],
    plan: &Plan,
) -> Result<(bool, Uuid, Vec<TableUpdate>), serde_json::Error> {
    struct Since<'a>(&'a Plan);
    impl<'de> de::Visitor<'de> for Since<'_> {
        type Value = (bool, Uuid, Vec<TableUpdate>);
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("[found, last-txn-id, table-updates2]")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let found = need(seq.next_element()?)?;
            let txn = need(seq.next_element()?)?;
            let update = need(seq.next_element_seed(TablesSeed {
                plan: self.0,
                format: Format::V2,
            })?)?;
            Ok((found, txn, update))
        }
    }
    let mut de = serde_json::Deserializer::from_slice(json);
    let result = de.deserialize_seq(Since(plan))?;
    de.end()?;
    Ok(result)
}

/// Reads the parameters of `update`, `update2` or `update3` (only the last names its transaction).
/// `plan_of` gives the plan of a monitor; a notification for a monitor without one is `None`.
pub(crate) fn parse_notification<'p>(
    json: &[u8],
    format: Format,
    with_txn: bool,
    plan_of: impl Fn(&str) -> Option<&'p Plan>,
) -> Result<Option<Notified>, serde_json::Error> {
    struct Params<F> {
        plan_of: F,
        format: Format,
        with_txn: bool,
    }
    impl<'de, 'p, F: Fn(&str) -> Option<&'p Plan>> de::Visitor<'de> for Params<F> {
        type Value = Option<Notified>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the parameters of an update")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let id: MonitorId = need(seq.next_element()?)?;
            let Some(plan) = id.0.as_deref().and_then(&self.plan_of) else {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            };
            let txn = if self.with_txn {
                Some(need(seq.next_element()?)?)
            } else {
                None
            };
            let update = need(seq.next_element_seed(TablesSeed {
                plan,
                format: self.format,
            })?)?;
            Ok(Some((txn, update)))
        }
    }
    let mut de = serde_json::Deserializer::from_slice(json);
    let update = de.deserialize_seq(Params {
        plan_of,
        format,
        with_txn,
    })?;
    de.end()?;
    Ok(update)
}

/// Ours are strings; anything else is not ours.
struct MonitorId(Option<String>);

impl<'de> de::Deserialize<'de> for MonitorId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(id) => Some(id),
            _ => None,
        }))
    }
}

fn need<T, E: de::Error>(element: Option<T>) -> Result<T, E> {
    element.ok_or_else(|| E::custom("too few elements"))
}

/// Finds a name given as a JSON string without making a `String` of it.
struct Name<F>(F);

impl<'de, T, F: FnOnce(&str) -> Option<T>> DeserializeSeed<'de> for Name<F> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> Option<T>> de::Visitor<'_> for Name<F> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name that was asked for")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).ok_or_else(|| E::custom(format_args!("{text:?} was not asked for")))
    }
}

#[derive(Clone, Copy)]
struct TablesSeed<'a> {
    plan: &'a Plan,
    format: Format,
}

impl<'de> DeserializeSeed<'de> for TablesSeed<'_> {
    type Value = Vec<TableUpdate>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for TablesSeed<'_> {
    type Value = Vec<TableUpdate>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("updates by table")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut tables = Vec::new();
        while let Some(layout) = map.next_key_seed(Name(|name: &str| self.plan.get(name)))? {
            let rows = map.next_value_seed(RowsSeed {
                layout,
                format: self.format,
            })?;
            tables.push(TableUpdate {
                layout: layout.clone(),
                rows,
            });
        }
        Ok(tables)
    }
}

#[derive(Clone, Copy)]
struct RowsSeed<'a> {
    layout: &'a Layout,
    format: Format,
}

impl<'de> DeserializeSeed<'de> for RowsSeed<'_> {
    type Value = Vec<(Uuid, RowUpdate)>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for RowsSeed<'_> {
    type Value = Vec<(Uuid, RowUpdate)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("updates by row")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut rows = Vec::new();
        while let Some(uuid) = map.next_key()? {
            rows.push((
                uuid,
                map.next_value_seed(RowSeed {
                    layout: self.layout,
                    format: self.format,
                })?,
            ));
        }
        Ok(rows)
    }
}

struct RowSeed<'a> {
    layout: &'a Layout,
    format: Format,
}

#[derive(Clone, Copy)]
enum Kind {
    Old,
    New,
    Put,
    Modify,
    Delete,
}

fn kind(format: Format, name: &str) -> Option<Kind> {
    match (format, name) {
        (Format::V1, "old") => Some(Kind::Old),
        (Format::V1, "new") => Some(Kind::New),
        (Format::V2, "initial" | "insert") => Some(Kind::Put),
        (Format::V2, "modify") => Some(Kind::Modify),
        (Format::V2, "delete") => Some(Kind::Delete),
        _ => None,
    }
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = RowUpdate;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<RowUpdate, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> de::Visitor<'de> for RowSeed<'_> {
    type Value = RowUpdate;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the update of a row")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RowUpdate, A::Error> {
        let mut update = None;
        let layout = self.layout;
        while let Some(kind) = map.next_key_seed(Name(|name: &str| kind(self.format, name)))? {
            let this = match kind {
                // The row before: says nothing that the replica does not know.
                Kind::Old => {
                    map.next_value::<IgnoredAny>()?;
                    update.get_or_insert(RowUpdate::Delete);
                    continue;
                }
                // The whole row, whether new or changed.
                Kind::New | Kind::Put => {
                    let mut cells = layout.defaults.to_vec();
                    map.next_value_seed(ColumnsSeed {
                        layout,
                        put: |index, value| {
                            if let Some(cell) = cells.get_mut(index) {
                                *cell = value;
                            }
                        },
                    })?;
                    RowUpdate::Put(cells)
                }
                Kind::Modify => {
                    let mut columns = Vec::new();
                    map.next_value_seed(ColumnsSeed {
                        layout,
                        put: |index, value| columns.push((index, value)),
                    })?;
                    RowUpdate::Modify(columns)
                }
                Kind::Delete => {
                    map.next_value::<IgnoredAny>()?;
                    RowUpdate::Delete
                }
            };
            update = Some(this);
        }
        update.ok_or_else(|| de::Error::custom("the update of a row says nothing"))
    }
}

struct ColumnsSeed<'a, F> {
    layout: &'a Layout,
    put: F,
}

impl<'de, F: FnMut(usize, Value)> DeserializeSeed<'de> for ColumnsSeed<'_, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(usize, Value)> de::Visitor<'de> for ColumnsSeed<'_, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let layout = self.layout;
        while let Some(index) = map.next_key_seed(Name(|name: &str| layout.index(name)))? {
            let mut value: Value = map.next_value()?;
            if let Some(column) = layout.columns.get(index) {
                column.ty.conform(&mut value).map_err(|mismatch| {
                    de::Error::custom(format_args!(
                        "column {} of table {}: {mismatch}",
                        column.name, layout.table
                    ))
                })?;
            }
            (self.put)(index, value);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
