//! The example `replica`, as a person runs it.
#![allow(clippy::unwrap_used)]

#[path = "support/server.rs"]
mod server;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use ovsdb::{Client, Insert, Transaction, Update, Where};
use serde_json::{Value as Json, json};
use server::{PATIENCE, SCHEMA, Server};

fn example() -> Command {
    // Cargo builds the examples along with the tests, next to them.
    let own = std::env::current_exe().unwrap();
    let path = own
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/replica");
    assert!(
        path.exists(),
        "{} is not built: run cargo build -p ovsdb --example replica",
        path.display()
    );
    Command::new(path)
}

async fn write(client: &Client, n: i64) {
    let mut txn = Transaction::new();
    txn.update(Update::table("A", Where::all()).value("n", n));
    client.transact("Test", txn).await.unwrap();
}

#[tokio::test]
async fn prints_and_follows() {
    let mut server = Server::start(SCHEMA);
    let client = server.client();
    let mut txn = Transaction::new();
    let row = txn.insert(Insert::into_table("A").value("name", "a").value("n", 1));
    let uuid = client
        .transact("Test", txn)
        .await
        .unwrap()
        .uuid(&row)
        .unwrap()
        .to_string();
    let remote = server.remote().to_string();

    let output = example().args([&remote, "Test"]).output().unwrap();
    let all: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all, server.dump("Test"));
    assert_eq!(output.stdout.iter().filter(|b| **b == b'\n').count(), 1);

    let output = example()
        .args([&remote, "Test", "A:name,n", "B"])
        .output()
        .unwrap();
    let some: Json = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(some, json!({"A": {&uuid: {"name": "a", "n": 1}}, "B": {}}));

    let output = example()
        .args([&remote, "Test", "A:nope"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("table A has no column nope"));

    // Followed through a kill, each change is a line.
    let mut child = example()
        .args(["--follow", &remote, "Test", "A:n"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .try_for_each(|line| sender.send(line))
    });
    let expect = |n: i64| {
        let line: Json = serde_json::from_str(&receiver.recv_timeout(PATIENCE).unwrap()).unwrap();
        assert_eq!(line, json!({"A": {&uuid: {"n": n}}}));
    };
    expect(1);
    for n in 2..20 {
        write(&client, n).await;
        expect(n);
    }
    server.kill();
    server.launch();
    let late = server.client();
    write(&late, 20).await;
    expect(20);
    child.kill().unwrap();
    child.wait().unwrap();
}
