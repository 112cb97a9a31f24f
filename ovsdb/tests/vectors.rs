//! Messages captured from ovsdb-server, with their origin: each is framed and taken apart however its bytes arrive, and
//! what it carries is read and written back as it came.
//!
//! `UPDATE_GOLDEN=1 cargo test -p ovsdb --test vectors` captures them anew from the Open vSwitch that is installed.
#![allow(clippy::unwrap_used)]

#[path = "support/server.rs"]
mod server;

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use bytes::Bytes;
use ovsdb::Value;
use ovsdb::framing::Scanner;
use ovsdb::rpc::Message;
use ovsdb::schema::DatabaseSchema;
use serde_json::Value as Json;

/// What is asked, one after the other on one connection; a notification that follows belongs to the last.
const SCRIPT: &[(&str, &str)] = &[
    ("list_dbs", "[]"),
    ("get_schema", r#"["Test"]"#),
    ("get_schema", r#"["Nowhere"]"#),
    ("echo", r#"["still there",1,null]"#),
    ("set_db_change_aware", "[true]"),
    ("lock", r#"["l"]"#),
    ("steal", r#"["l"]"#),
    ("unlock", r#"["l"]"#),
    (
        "monitor",
        r#"["Test","m1",{"A":[{"columns":["name","n"],"select":{"initial":false,"delete":false}}],"B":{}}]"#,
    ),
    (
        "monitor_cond",
        r#"["Test","m2",{"A":[{"columns":["name","tags","ids","maybe","load","flag"],"where":[["n",">",0]]}]}]"#,
    ),
    (
        "monitor_cond_since",
        r#"["Test","m3",{"A":[{}],"B":[{}]},"00000000-0000-0000-0000-000000000000"]"#,
    ),
    (
        "transact",
        r#"["Test",{"op":"insert","table":"B","row":{"n":7},"uuid-name":"b"},
            {"op":"insert","table":"A","row":{"name":"x\n\"ü\"","n":1,"tags":["set",[1,2]],"ids":["map",[["k","v"]]],
             "maybe":"m","load":["set",[0.5,1e300]],"flag":true,"b":["named-uuid","b"]}}]"#,
    ),
    (
        "transact",
        r#"["Test",{"op":"select","table":"A","where":[]},{"op":"comment","comment":"c"}]"#,
    ),
    (
        "transact",
        r#"["Test",{"op":"mutate","table":"A","where":[["n","==",1]],"mutations":[["n","+=",2],["tags","insert",3]]}]"#,
    ),
    (
        "transact",
        r#"["Test",{"op":"update","table":"A","where":[],"row":{"maybe":["set",[]],"ids":["map",[]]}}]"#,
    ),
    (
        "transact",
        r#"["Test",{"op":"wait","table":"A","timeout":0,"where":[],"columns":["n"],"until":"==","rows":[]}]"#,
    ),
    (
        "transact",
        r#"["Test",{"op":"insert","table":"A","row":{"name":"y"}},{"op":"insert","table":"A","row":{"name":"y"}}]"#,
    ),
    (
        "transact",
        r#"["Test",{"op":"insert","table":"A","row":{"n":"text"}}]"#,
    ),
    ("transact", r#"["Test",{"op":"abort"}]"#),
    ("transact", r#"["Test",{"op":"assert","lock":"l"}]"#),
    ("transact", r#"["Test",{"op":"commit","durable":true}]"#),
    (
        "monitor_cond_change",
        r#"["m2","m2",{"A":[{"where":[true]}]}]"#,
    ),
    (
        "transact",
        r#"["Test",{"op":"delete","table":"A","where":[]}]"#,
    ),
    ("monitor_cancel", r#"["m1"]"#),
    ("monitor_cancel", r#"["m1"]"#),
    ("no_such_method", "[]"),
];

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/captured/ovsdb-server.txt")
}

/// The next document of the stream.
fn receive(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Vec<u8> {
    loop {
        let scanned = Scanner::new(1 << 20).scan(buffer).unwrap();
        if let Some(envelope) = scanned {
            let rest = buffer.split_off(envelope.end);
            return std::mem::replace(buffer, rest);
        }
        let mut chunk = [0; 4096];
        let n = stream.read(&mut chunk).unwrap();
        assert!(n > 0, "the server hung up");
        buffer.extend_from_slice(&chunk[..n]);
    }
}

fn capture() -> String {
    let version = String::from_utf8(server::run("ovsdb-server", &["--version"]).stdout).unwrap();
    let version = version.lines().next().unwrap().rsplit(' ').next().unwrap();
    let server = server::Server::start(server::SCHEMA);
    let mut stream = UnixStream::connect(server.socket()).unwrap();
    let mut buffer = Vec::new();
    let mut out = String::from(
        "# Captured from ovsdb-server; not to be edited by hand.\n# UPDATE_GOLDEN=1 cargo test -p ovsdb --test vectors\n",
    );
    for (id, (method, params)) in SCRIPT.iter().enumerate() {
        let params: Json = serde_json::from_str(params).unwrap();
        // The echo afterwards fences off what comes unasked.
        let request = serde_json::json!({"id": id, "method": method, "params": params});
        let fence = serde_json::json!({"id": "fence", "method": "echo", "params": []});
        write!(stream, "{request}{fence}").unwrap();
        loop {
            let document = receive(&mut stream, &mut buffer);
            let read: Json = serde_json::from_slice(&document).unwrap();
            if read["id"] == "fence" {
                break;
            }
            let text = String::from_utf8(document).unwrap();
            out += &format!("\nfrom ovsdb-server {version}, {method} {params}\njson {text}\n");
        }
    }
    out
}

fn vectors() -> Vec<(String, String)> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(), capture()).unwrap();
    }
    let text = std::fs::read_to_string(path()).unwrap();
    let mut origin = String::new();
    let mut all = Vec::new();
    for line in text.lines() {
        if let Some(from) = line.strip_prefix("from ") {
            origin = from.to_owned();
        } else if let Some(json) = line.strip_prefix("json ") {
            all.push((origin.clone(), json.to_owned()));
        }
    }
    all
}

/// Reads every value of a row and compares how it is written again.
fn check_row(row: &Json, at: &str) -> usize {
    let Some(row) = row.as_object() else { return 0 };
    for value in row.values() {
        let read: Value = serde_json::from_value(value.clone())
            .unwrap_or_else(|error| panic!("{at}: {value}: {error}"));
        assert_eq!(&serde_json::to_value(&read).unwrap(), value, "{at}");
    }
    row.len()
}

/// Reads the rows of `<table-updates>` and `<table-updates2>`.
fn check_updates(updates: &Json, at: &str) -> usize {
    let rows = updates.as_object().into_iter().flat_map(|t| t.values());
    let rows = rows
        .filter_map(Json::as_object)
        .flat_map(|rows| rows.values());
    let kinds = rows
        .filter_map(Json::as_object)
        .flat_map(|kinds| kinds.values());
    kinds.map(|row| check_row(row, at)).sum()
}

#[test]
fn captured_messages_are_read() {
    let vectors = vectors();
    assert!(vectors.len() >= SCRIPT.len(), "only {}", vectors.len());
    let (mut values, mut schemas) = (0, 0);
    for (at, text) in &vectors {
        let document = Bytes::copy_from_slice(text.as_bytes());
        let envelope = Scanner::new(1 << 20).scan(&document).unwrap().unwrap();
        assert_eq!(envelope.end, document.len(), "{at}");
        // However the bytes arrive, the same is found.
        let mut scanner = Scanner::new(1 << 20);
        for end in 0..document.len() {
            assert_eq!(scanner.scan(&document[..end]).unwrap(), None, "{at}");
        }
        assert_eq!(
            scanner.scan(&document).unwrap(),
            Some(envelope.clone()),
            "{at}"
        );
        let json = |bytes: &Bytes| serde_json::from_slice::<Json>(bytes).unwrap();
        match Message::decode(&document, envelope).unwrap() {
            Message::Request { method, .. } => panic!("{at}: {method}"),
            Message::Notification { method, params } => {
                let updates = json(&params);
                let place = if method == "update3" { 2 } else { 1 };
                values += check_updates(&updates[place], at);
            }
            Message::Response {
                outcome: Err(error),
                ..
            } => {
                assert!(json(&error).is_object() || json(&error).is_string(), "{at}");
            }
            Message::Response {
                outcome: Ok(result),
                ..
            } => {
                if at.contains("get_schema") {
                    let schema: DatabaseSchema = serde_json::from_slice(&result).unwrap();
                    let again = serde_json::to_value(&schema).unwrap();
                    let again: DatabaseSchema = serde_json::from_value(again).unwrap();
                    assert_eq!(schema, again, "{at}");
                    schemas += 1;
                }
                for op in json(&result).as_array().into_iter().flatten() {
                    let rows = op["rows"].as_array().into_iter().flatten();
                    values += rows.map(|row| check_row(row, at)).sum::<usize>();
                }
            }
        }
    }
    assert!(
        values > 40 && schemas == 1,
        "{values} values, {schemas} schemas"
    );
}
