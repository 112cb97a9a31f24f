//! The rows of one table, so stored that a snapshot costs nothing and a change little.
//!
//! Owns: the store. Rows are shared between versions; a change copies one shard of pointers, a
//! sixty-fourth of the table. Must not know: where rows come from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::schema::ColumnType;
use crate::uuid::Uuid;
use crate::value::Value;

/// The columns of a row, in the order of the layout.
pub(crate) type Cells = Arc<[Value]>;

type Shard = BTreeMap<Uuid, Cells>;

const SHARDS: usize = 64;

fn shard_of(uuid: Uuid) -> usize {
    let [first, ..] = *uuid.as_bytes();
    usize::from(first >> 2)
}

/// Which columns of a table a replica holds, and their types.
#[derive(Debug, PartialEq)]
pub(crate) struct Layout {
    pub(crate) table: Arc<str>,
    /// Sorted by name.
    pub(crate) columns: Box<[LayoutColumn]>,
    /// One value per column, for those that the server leaves out.
    pub(crate) defaults: Box<[Value]>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct LayoutColumn {
    pub(crate) name: Arc<str>,
    pub(crate) ty: ColumnType,
}

impl Layout {
    pub(crate) fn new(table: Arc<str>, mut columns: Vec<LayoutColumn>) -> Self {
        columns.sort_by(|a, b| a.name.cmp(&b.name));
        let defaults = columns
            .iter()
            .map(|column| column.ty.default_value())
            .collect();
        Self {
            table,
            columns: columns.into(),
            defaults,
        }
    }

    pub(crate) fn index(&self, column: &str) -> Option<usize> {
        self.columns
            .binary_search_by(|c| (*c.name).cmp(column))
            .ok()
    }
}

/// One version of a table.
#[derive(Clone)]
pub(crate) struct TableData {
    pub(crate) layout: Arc<Layout>,
    len: usize,
    shards: Box<[Option<Arc<Shard>>]>,
}

impl TableData {
    pub(crate) fn new(layout: Arc<Layout>) -> Self {
        Self {
            layout,
            len: 0,
            shards: vec![None; SHARDS].into(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, uuid: Uuid) -> Option<&Cells> {
        self.shards.get(shard_of(uuid))?.as_ref()?.get(&uuid)
    }

    pub(crate) fn insert(&mut self, uuid: Uuid, cells: Cells) {
        if let Some(shard) = self.shards.get_mut(shard_of(uuid))
            && Arc::make_mut(shard.get_or_insert_default())
                .insert(uuid, cells)
                .is_none()
        {
            self.len += 1;
        }
    }

    pub(crate) fn remove(&mut self, uuid: Uuid) -> bool {
        let Some(slot) = self.shards.get_mut(shard_of(uuid)) else {
            return false;
        };
        let Some(shard) = slot else { return false };
        if Arc::make_mut(shard).remove(&uuid).is_none() {
            return false;
        }
        if shard.is_empty() {
            *slot = None;
        }
        self.len -= 1;
        true
    }

    /// The rows in the order of their uuids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Uuid, &Cells)> {
        self.shards
            .iter()
            .flatten()
            .flat_map(|shard| shard.iter().map(|(uuid, cells)| (*uuid, cells)))
    }

    /// Calls `each` with every row that differs between two versions of the same table, looking
    /// only into shards that were touched.
    pub(crate) fn diff<'a>(
        &'a self,
        newer: &'a Self,
        each: &mut impl FnMut(Uuid, Option<&'a Cells>, Option<&'a Cells>),
    ) {
        let same_layout = self.layout == newer.layout;
        for (old, new) in self.shards.iter().zip(&newer.shards) {
            match (old, new) {
                (None, None) => {}
                (Some(a), Some(b)) if same_layout && Arc::ptr_eq(a, b) => {}
                (a, b) => diff_shards(a.as_deref(), b.as_deref(), same_layout, each),
            }
        }
    }
}

fn diff_shards<'a>(
    old: Option<&'a Shard>,
    new: Option<&'a Shard>,
    same_layout: bool,
    each: &mut impl FnMut(Uuid, Option<&'a Cells>, Option<&'a Cells>),
) {
    let mut old = old.into_iter().flatten().peekable();
    let mut new = new.into_iter().flatten().peekable();
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(&(a, x)), Some(&(b, y))) if a == b => {
                if !(same_layout && (Arc::ptr_eq(x, y) || x == y)) {
                    each(*a, Some(x), Some(y));
                }
                old.next();
                new.next();
            }
            (Some(&(a, x)), b) if b.is_none_or(|(b, _)| a < *b) => {
                each(*a, Some(x), None);
                old.next();
            }
            (_, Some(&(b, y))) => {
                each(*b, None, Some(y));
                new.next();
            }
            (Some(_), None) => return, // covered by the arm before the last
        }
    }
}

impl fmt::Debug for TableData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::value::AtomType;

    fn uuid(n: u16) -> Uuid {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&n.wrapping_mul(40_503).to_be_bytes());
        Uuid::from_bytes(bytes)
    }

    #[test]
    fn versions_share_and_differ() {
        let column = LayoutColumn {
            name: "n".into(),
            ty: ColumnType::scalar(AtomType::Integer),
        };
        let mut table = TableData::new(Arc::new(Layout::new("T".into(), vec![column])));
        for n in 0..1000 {
            table.insert(uuid(n), Arc::new([Value::from(i64::from(n))]));
        }
        assert_eq!(table.len(), 1000);
        let before = table.clone();
        table.insert(uuid(7), Arc::new([Value::from(-7)]));
        table.insert(uuid(8), Arc::new([Value::from(8)])); // another allocation, the same row
        assert!(table.remove(uuid(9)));
        assert!(!table.remove(uuid(9)));
        table.insert(uuid(2000), Arc::new([Value::from(0)]));
        let mut changes = BTreeMap::new();
        before.diff(&table, &mut |uuid, old, new| {
            changes.insert(uuid, (old.map(|c| c[0].clone()), new.map(|c| c[0].clone())));
        });
        assert_eq!(
            changes,
            BTreeMap::from([
                (uuid(7), (Some(Value::from(7)), Some(Value::from(-7)))),
                (uuid(9), (Some(Value::from(9)), None)),
                (uuid(2000), (None, Some(Value::from(0)))),
            ])
        );
        assert_eq!(before.len(), 1000);
        assert_eq!(table.iter().count(), 1000);
        assert!(table.iter().map(|(u, _)| u).is_sorted());
    }
}
