#![allow(clippy::unwrap_used)]

use super::*;
use crate::replica::table::LayoutColumn;
use crate::schema::ColumnType;
use crate::value::AtomType;

const ROW: &str = "36bef046-7da7-43a5-905a-c17899216fcb";

fn plan() -> Plan {
    let column = |name: &str, ty| LayoutColumn {
        name: name.into(),
        ty,
    };
    let layout = Layout::new(
        "T".into(),
        vec![
            column("name", ColumnType::scalar(AtomType::String)),
            column("tags", ColumnType::set(AtomType::Integer)),
            column("ids", ColumnType::map(AtomType::String, AtomType::String)),
            column("load", ColumnType::scalar(AtomType::Real)),
        ],
    );
    Plan::from([(Arc::from("T"), Arc::new(layout))])
}

fn v2(tables: &Tables, json: &str) -> Result<Tables, String> {
    let json = json.replace("ROW", ROW);
    let update = parse_result(json.as_bytes(), &plan(), Format::V2).map_err(|e| e.to_string())?;
    apply(tables, update, tables).map_err(|e| e.to_string())
}

fn row(tables: &Tables) -> BTreeMap<String, String> {
    let table = &tables["T"];
    let cells = table.get(ROW.parse().unwrap()).unwrap();
    table
        .layout
        .columns
        .iter()
        .zip(cells.iter())
        .map(|(c, v)| (c.name.to_string(), v.to_string()))
        .collect()
}

#[test]
fn update2_fills_defaults_and_applies_differences() {
    let tables = empty(&plan());
    let tables = v2(
        &tables,
        r#"{"T":{"ROW":{"insert":{"name":"a","tags":["set",[1,2]],"load":1}}}}"#,
    )
    .unwrap();
    assert_eq!(row(&tables)["ids"], r#"["map",[]]"#);
    let tables = v2(
        &tables,
        r#"{"T":{"ROW":{"modify":{"tags":["set",[2,3]],"ids":["map",[["k","v"]]],"load":0.5}}}}"#,
    )
    .unwrap();
    assert_eq!(
        row(&tables),
        BTreeMap::from(
            [
                ("ids", r#"["map",[["k","v"]]]"#),
                ("load", "0.5"),
                ("name", r#""a""#),
                ("tags", r#"["set",[1,3]]"#)
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
        )
    );
    let tables = v2(&tables, r#"{"T":{"ROW":{"delete":null}}}"#).unwrap();
    assert_eq!(tables["T"].len(), 0);
}

#[test]
fn update1_carries_whole_rows() {
    let plan = plan();
    let json = format!(
        r#"["m",{{"T":{{"{ROW}":{{"old":{{"name":"a"}},"new":{{"name":"b","tags":7}}}}}}}}]"#
    );
    let (_, update) = parse_notification(json.as_bytes(), Format::V1, false, |id| {
        (id == "m").then_some(&plan)
    })
    .unwrap()
    .unwrap();
    let tables = apply(&empty(&plan), update, &Tables::new()).unwrap();
    assert_eq!(row(&tables)["name"], r#""b""#);
    let json = format!(r#"{{"T":{{"{ROW}":{{"old":{{"name":"b"}}}}}}}}"#);
    let gone = parse_result(json.as_bytes(), &plan, Format::V1).unwrap();
    assert_eq!(apply(&tables, gone, &tables).unwrap()["T"].len(), 0);
}

#[test]
fn update3_names_its_transaction() {
    let plan = plan();
    let json = format!(r#"["m","{ROW}",{{}}]"#);
    let (txn, _) = parse_notification(json.as_bytes(), Format::V2, true, |_| Some(&plan))
        .unwrap()
        .unwrap();
    assert_eq!(txn, Some(ROW.parse().unwrap()));
    assert!(
        parse_notification(json.as_bytes(), Format::V2, true, |_| None)
            .unwrap()
            .is_none()
    );
    let (found, txn, update) =
        parse_since(format!(r#"[true,"{ROW}",{{}}]"#).as_bytes(), &plan).unwrap();
    assert!(found && txn == ROW.parse().unwrap() && update.is_empty());
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let tables = empty(&plan());
    for bad in [
        r#"{"T":{"ROW":{"modify":{"name":"a"}}}}"#,
        r#"{"U":{}}"#,
        r#"{"T":{"ROW":{"insert":{"other":1}}}}"#,
        r#"{"T":{"ROW":{"insert":{"name":1}}}}"#,
        r#"{"T":{"ROW":{"new":{"name":"a"}}}}"#,
        r#"{"T":{"ROW":{}}}"#,
        r#"{"T":{"x":{"delete":null}}}"#,
    ] {
        assert!(v2(&tables, bad).is_err(), "{bad}");
    }
}

#[test]
fn an_equal_row_keeps_its_identity() {
    let json = r#"{"T":{"ROW":{"initial":{"name":"a"}}}}"#;
    let first = v2(&empty(&plan()), json).unwrap();
    let update = parse_result(json.replace("ROW", ROW).as_bytes(), &plan(), Format::V2).unwrap();
    let second = apply(&empty(&plan()), update, &first).unwrap();
    let uuid = ROW.parse().unwrap();
    assert!(Arc::ptr_eq(
        first["T"].get(uuid).unwrap(),
        second["T"].get(uuid).unwrap()
    ));
}
