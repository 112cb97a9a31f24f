//! Against `ovsdb-client` on databases made up at run time: what we write it reads, and what it
//! reads we read, value by value, for each kind of monitor.
#![allow(clippy::unwrap_used)]

#[path = "support/generate.rs"]
mod generate;
#[path = "support/server.rs"]
mod server;

use std::collections::BTreeMap;

use ovsdb::op::Mutation;
use ovsdb::schema::{ColumnSchema, ColumnType, DatabaseSchema, TableSchema};
use ovsdb::{
    Clause, Function, Insert, MonitorMethod, Mutator, Operation, Transaction, Untyped, Update,
    Uuid, Value, Where,
};
use server::{PATIENCE, Random, Server};

const TABLES: usize = 4;
const COLUMNS: usize = 16;
const ROWS: usize = 40;
const ROUNDS: usize = 120;

fn schema(random: &mut Random) -> DatabaseSchema {
    let table = |random: &mut Random| TableSchema {
        columns: (0..COLUMNS)
            .map(|c| {
                (
                    format!("c{c}"),
                    ColumnSchema {
                        ty: generate::column_type(random),
                        ephemeral: false,
                        mutable: true,
                    },
                )
            })
            .collect(),
        is_root: true,
        ..TableSchema::default()
    };
    DatabaseSchema {
        name: "Made".into(),
        version: "0.0.1".into(),
        cksum: None,
        tables: (0..TABLES)
            .map(|t| (format!("T{t}"), table(random)))
            .collect(),
    }
}

fn row_is(uuid: Uuid) -> Vec<Clause> {
    vec![Clause::Compare(
        "_uuid".into(),
        Function::Equal,
        uuid.into(),
    )]
}

/// A mutation that keeps the column within its type: elements come, or those there go.
fn mutation(random: &mut Random, name: &str, ty: &ColumnType, now: &Value) -> Option<Mutation> {
    if ty.max.is_some() {
        return None;
    }
    if random.chance(2) {
        let more = generate::value(random, ty);
        return Some(Mutation(name.into(), Mutator::Insert, more));
    }
    if ty.min > 0 {
        return None;
    }
    let gone = match &ty.value {
        None => Value::set(now.elements().iter().filter(|_| random.chance(2)).cloned()),
        Some(_) if random.chance(2) => Value::set(
            now.pairs()
                .iter()
                .map(|(k, _)| k.clone())
                .filter(|_| random.chance(2)),
        ),
        Some(_) => Value::map(now.pairs().iter().filter(|_| random.chance(2)).cloned()),
    };
    Some(Mutation(name.into(), Mutator::Delete, gone))
}

async fn compare(random: &mut Random) -> usize {
    let schema = schema(random);
    let server = Server::start(&serde_json::to_string(&schema).unwrap());
    let client = server.client();
    // The schema as the server gives it back is the one we wrote. (That all tables are root it says
    // by saying it of none.)
    for (name, table) in client.schema("Made").await.unwrap().tables {
        assert_eq!(table.columns, schema.tables[&name].columns);
    }
    let mut replicas = Vec::new();
    for method in [
        MonitorMethod::Monitor,
        MonitorMethod::MonitorCond,
        MonitorMethod::MonitorCondSince,
    ] {
        replicas.push(
            client
                .replica("Made")
                .method(method)
                .everything()
                .open(PATIENCE)
                .await
                .unwrap(),
        );
    }
    let mut values = 0;

    let mut txn = Transaction::new();
    for (name, table) in &schema.tables {
        for _ in 0..ROWS {
            let mut insert = Insert::into_table(name);
            for (column, schema) in &table.columns {
                // Some are left at their defaults.
                if !random.chance(4) {
                    insert = insert.value(column, generate::value(random, &schema.ty));
                    values += 1;
                }
            }
            txn.insert(insert);
        }
    }
    client.transact("Made", txn).await.unwrap();

    for _ in 0..ROUNDS {
        let now = replicas[0].read();
        let mut txn = Transaction::new();
        for _ in 0..=random.below(5) {
            let name = format!("T{}", random.below(TABLES));
            let rows: Vec<_> = now.raw(&name).unwrap().iter().collect();
            let Some((uuid, row)) = rows.get(random.below(rows.len())) else {
                continue;
            };
            let columns: &BTreeMap<_, _> = &schema.tables[&name].columns;
            if random.chance(20) {
                txn.push(Operation::Delete {
                    table: name.as_str().into(),
                    r#where: row_is(*uuid),
                });
                continue;
            }
            for _ in 0..=random.below(6) {
                let (column, column_schema) = columns.iter().nth(random.below(COLUMNS)).unwrap();
                let ty = &column_schema.ty;
                values += 1;
                match mutation(random, column, ty, row.get(column).unwrap()) {
                    Some(mutation) if random.chance(2) => {
                        let (table, r#where) = (name.as_str().into(), row_is(*uuid));
                        txn.push(Operation::Mutate {
                            table,
                            r#where,
                            mutations: vec![mutation],
                        });
                    }
                    _ => {
                        let rows = Where::<Untyped>::from(*uuid);
                        txn.update(
                            Update::table(&name, rows).value(column, generate::value(random, ty)),
                        );
                    }
                }
            }
        }
        client.transact("Made", txn).await.unwrap();
        // Whole rows (update) and differences (update2, update3) come to the same.
        let [v1, v2, v3] = [0, 1, 2].map(|i: usize| replicas[i].read());
        assert_eq!(v2.changes_since(&v1).rows, []);
        assert_eq!(v3.changes_since(&v1).rows, []);
    }

    let theirs = server.dump("Made");
    let ours = serde_json::to_value(replicas[2].read()).unwrap();
    for (table, rows) in theirs.as_object().unwrap() {
        for (uuid, row) in rows.as_object().unwrap() {
            for (column, value) in row.as_object().unwrap() {
                let ty = &schema.tables[table].columns[column].ty;
                assert_eq!(
                    &ours[table][uuid][column], value,
                    "{table} {uuid} {column} ({ty})"
                );
            }
        }
    }
    assert_eq!(ours, theirs);
    // What a select reads is the same again.
    let mut txn = Transaction::new();
    let selected = txn.push(Operation::Select {
        table: "T0".into(),
        r#where: vec![],
        columns: None,
    });
    let reply = client.transact("Made", txn).await.unwrap();
    let Some(ovsdb::OpResult::Rows(rows)) = reply.results.get(selected.0) else {
        panic!("rows")
    };
    for row in rows {
        let uuid = row["_uuid"].as_uuid().unwrap().to_string();
        for (column, schema) in &schema.tables["T0"].columns {
            let mut value = row[column].clone();
            schema.ty.conform(&mut value).unwrap();
            assert_eq!(
                serde_json::to_value(&value).unwrap(),
                theirs["T0"][&uuid][column]
            );
        }
    }
    values
}

#[tokio::test]
async fn databases_made_up() {
    let mut random = Random::seeded("differential");
    let mut values = 0;
    for _ in 0..4 {
        values += compare(&mut random).await;
    }
    println!("{values} values written and compared");
    assert!(values > 10_000);
}
