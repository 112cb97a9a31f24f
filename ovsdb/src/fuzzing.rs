//! Doors for the fuzz targets to what is private. Not part of the interface.

use std::sync::Arc;

use crate::replica::table::{Layout, LayoutColumn};
use crate::replica::update::{
    Format, Plan, Tables, apply, empty, parse_notification, parse_result, parse_since,
};
use crate::schema::ColumnType;
use crate::value::AtomType;

/// Reads each line as an update of a table `T` in every notation, and applies it.
pub fn updates(data: &[u8]) {
    let column = |name: &str, ty| LayoutColumn {
        name: name.into(),
        ty,
    };
    let layout = Layout::new(
        "T".into(),
        vec![
            column("s", ColumnType::scalar(AtomType::String)),
            column("i", ColumnType::set(AtomType::Integer)),
            column("r", ColumnType::set(AtomType::Real)),
            column("m", ColumnType::map(AtomType::String, AtomType::Uuid)),
            column("o", ColumnType::optional(AtomType::Boolean)),
        ],
    );
    let plan = Plan::from([(Arc::from("T"), Arc::new(layout))]);
    let mut tables: Tables = empty(&plan);
    for line in data.split(|byte| *byte == b'\n') {
        let updates = [
            parse_result(line, &plan, Format::V1).ok(),
            parse_result(line, &plan, Format::V2).ok(),
            parse_since(line, &plan).ok().map(|(_, _, update)| update),
            parse_notification(line, Format::V2, true, |_| Some(&plan))
                .ok()
                .flatten()
                .map(|(_, update)| update),
        ];
        for update in updates.into_iter().flatten() {
            if let Ok(next) = apply(&tables, update, &tables) {
                tables = next;
            }
        }
    }
    for table in tables.values() {
        assert_eq!(table.len(), table.iter().count());
    }
}
