//! What holds for all values: notations read back as what was written, however the bytes arrive.
#![allow(clippy::unwrap_used)]

#[path = "support/generate.rs"]
mod generate;
#[path = "support/server.rs"]
mod server;

use bytes::{Bytes, BytesMut};
use ovsdb::framing::{FrameError, Scanner};
use ovsdb::rpc::{self, Message};
use ovsdb::schema::{ColumnType, DatabaseSchema};
use ovsdb::{Clause, Function, Mutator, Operation, Until, Value, diff, op::Mutation};
use server::Random;

const TRIES: usize = 20_000;

#[test]
fn values_read_back() {
    let mut random = Random::seeded("values");
    for _ in 0..TRIES {
        let ty = generate::column_type(&mut random);
        let value = generate::value(&mut random, &ty);
        let text = serde_json::to_string(&value).unwrap();
        let mut read: Value = serde_json::from_str(&text).unwrap();
        ty.conform(&mut read).unwrap();
        assert_eq!(read, value, "{ty}: {text}");
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}

#[test]
fn types_read_back() {
    let mut random = Random::seeded("types");
    for _ in 0..TRIES {
        let ty = generate::column_type(&mut random);
        let text = serde_json::to_string(&ty).unwrap();
        assert_eq!(
            serde_json::from_str::<ColumnType>(&text).unwrap(),
            ty,
            "{text}"
        );
        let mut default = ty.default_value();
        ty.conform(&mut default).unwrap();
        assert_eq!(default, ty.default_value());
    }
}

#[test]
fn the_installed_schema_reads_back() {
    let text = std::fs::read_to_string("/usr/share/openvswitch/vswitch.ovsschema").unwrap();
    let schema: DatabaseSchema = serde_json::from_str(&text).unwrap();
    let again: DatabaseSchema =
        serde_json::from_str(&serde_json::to_string(&schema).unwrap()).unwrap();
    assert_eq!(schema, again);
    assert!(schema.tables.len() > 15);
}

#[test]
fn a_difference_leads_from_one_value_to_the_other() {
    let mut random = Random::seeded("differences");
    for _ in 0..TRIES {
        let ty = generate::column_type(&mut random);
        let (old, mut new) = (
            generate::value(&mut random, &ty),
            generate::value(&mut random, &ty),
        );
        if random.chance(2) && ty.max.is_none() {
            // Values that have much in common.
            new = match &ty.value {
                None => Value::set(
                    old.elements()
                        .iter()
                        .chain(new.elements())
                        .filter(|_| !random.chance(3))
                        .cloned(),
                ),
                Some(_) => Value::map(
                    old.pairs()
                        .iter()
                        .chain(new.pairs())
                        .filter(|_| !random.chance(3))
                        .cloned(),
                ),
            };
        }
        let difference = diff::between(&ty, &old, &new);
        assert_eq!(diff::apply(&ty, &old, difference), new, "{ty}: {old} {new}");
    }
}

fn operation(random: &mut Random) -> Operation {
    let any = |random: &mut Random| {
        let ty = generate::column_type(random);
        generate::value(random, &ty)
    };
    // Only what needs no column to be told apart: see `values_read_back` for the rest.
    let plain = |random: &mut Random| loop {
        let value = any(random);
        let text = serde_json::to_string(&value).unwrap();
        if serde_json::from_str::<Value>(&text).unwrap() == value {
            return value;
        }
    };
    let table = "T".into();
    let row = |random: &mut Random| {
        (0..random.below(3))
            .map(|i| (format!("c{i}").into(), plain(random)))
            .collect::<ovsdb::op::Row>()
    };
    let r#where = (0..random.below(3))
        .map(|_| match random.below(4) {
            0 => Clause::Constant(true),
            1 => Clause::Compare("c".into(), Function::Equal, plain(random)),
            2 => Clause::Compare("c".into(), Function::Includes, plain(random)),
            _ => Clause::Compare("c".into(), Function::LessOrEqual, plain(random)),
        })
        .collect();
    match random.below(10) {
        0 => Operation::Insert {
            table,
            row: row(random),
            uuid_name: Some("row1".into()),
            uuid: None,
        },
        1 => Operation::Insert {
            table,
            row: row(random),
            uuid_name: None,
            uuid: Some(generate::uuid(random)),
        },
        2 => Operation::Select {
            table,
            r#where,
            columns: random.chance(2).then(|| vec!["a".into()]),
        },
        3 => Operation::Update {
            table,
            r#where,
            row: row(random),
        },
        4 => {
            let mutators = [
                Mutator::Add,
                Mutator::Remainder,
                Mutator::Insert,
                Mutator::Delete,
            ];
            let mutator = *random.pick(&mutators);
            Operation::Mutate {
                table,
                r#where,
                mutations: vec![Mutation("c".into(), mutator, plain(random))],
            }
        }
        5 => Operation::Delete { table, r#where },
        6 => Operation::Wait {
            timeout: random.chance(2).then(|| random.bits() >> 1),
            table,
            r#where,
            columns: None,
            until: if random.chance(2) {
                Until::Equal
            } else {
                Until::NotEqual
            },
            rows: vec![row(random)],
        },
        7 => Operation::Commit {
            durable: random.chance(2),
        },
        8 => Operation::Comment {
            comment: generate::string(random).into(),
        },
        _ => Operation::Assert {
            lock: generate::string(random).into(),
        },
    }
}

#[test]
fn operations_read_back() {
    let mut random = Random::seeded("operations");
    for _ in 0..TRIES {
        let op = operation(&mut random);
        let text = serde_json::to_string(&op).unwrap();
        assert_eq!(
            serde_json::from_str::<Operation>(&text).unwrap(),
            op,
            "{text}"
        );
    }
}

fn drain(
    scanner: &mut Scanner,
    buffer: &mut BytesMut,
    into: &mut Vec<Message>,
) -> Result<(), FrameError> {
    while let Some(envelope) = scanner.scan(buffer)? {
        let document: Bytes = buffer.split_to(envelope.end).freeze();
        into.push(Message::decode(&document, envelope)?);
    }
    Ok(())
}

#[test]
fn messages_arrive_whole_however_they_are_cut() {
    let mut random = Random::seeded("messages");
    for _ in 0..300 {
        let mut stream = BytesMut::new();
        for id in 0..random.below(8) {
            let ops: Vec<_> = (0..random.below(4))
                .map(|_| operation(&mut random))
                .collect();
            let body = serde_json::to_vec(&ops).unwrap();
            match random.below(4) {
                0 => rpc::write_request(&mut stream, u64::try_from(id).unwrap(), "transact", &body),
                1 => rpc::write_notification(&mut stream, "update3", &body),
                2 => rpc::write_response(&mut stream, b"[\"any\",{\"id\":1}]", &body),
                _ => rpc::write_error(&mut stream, b"7", &generate::string(&mut random)),
            }
            let space = random.pick(&["", " ", "\n\r\t"]);
            stream.extend_from_slice(space.as_bytes());
        }
        let mut whole = Vec::new();
        drain(&mut Scanner::new(1 << 20), &mut stream.clone(), &mut whole).unwrap();
        // In two, at every byte.
        for split in 0..stream.len() {
            let (mut scanner, mut buffer, mut messages) =
                (Scanner::new(1 << 20), BytesMut::new(), Vec::new());
            for part in [&stream[..split], &stream[split..]] {
                buffer.extend_from_slice(part);
                drain(&mut scanner, &mut buffer, &mut messages).unwrap();
            }
            assert_eq!(messages, whole);
            if split > 400 {
                break;
            }
        }
        // Byte by byte.
        let (mut scanner, mut buffer, mut messages) =
            (Scanner::new(1 << 20), BytesMut::new(), Vec::new());
        for byte in &stream {
            buffer.extend_from_slice(&[*byte]);
            drain(&mut scanner, &mut buffer, &mut messages).unwrap();
        }
        assert_eq!(messages, whole);
    }
}

#[test]
fn scanning_is_linear() {
    // A document that arrives in thousands of reads is looked at once: were it scanned anew at each
    // read, this would look at 16 GB.
    let body = format!(
        "{{\"id\":null,\"method\":\"m\",\"params\":[\"{}\"]}}",
        "x".repeat(4 << 20)
    );
    let mut scanner = Scanner::new(8 << 20);
    let (mut end, mut found) = (0, None);
    while found.is_none() {
        end = (end + 1024).min(body.len());
        found = scanner.scan(&body.as_bytes()[..end]).unwrap();
    }
    assert_eq!(found.unwrap().end, body.len());
}
