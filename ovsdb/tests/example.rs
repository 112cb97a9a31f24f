//! The example `replica`, as a person runs it.
#![allow(clippy::unwrap_used)]

#[path = "support/server.rs"]
mod server;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use ovsdb::{Client, Insert, Transaction, Update, Where};
use serde_json::{Value as Json, json};
use server::{PATIENCE, Random, SCHEMA, Server};

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

/// Each line is a state that some transaction left, and they come in order, whatever happens to the server meanwhile.
#[tokio::test]
async fn follows_through_kills_restarts_and_compaction() {
    const LAST: i64 = 80;
    let mut server = Server::start(SCHEMA);
    let client = server.client();
    let mut txn = Transaction::new();
    let b = txn.insert(Insert::into_table("B").value("n", 0));
    let a = Insert::into_table("A").value("name", "a").value("n", 0);
    txn.insert(a.value("b", &b));
    client.transact("Test", txn).await.unwrap();

    let mut child = example()
        .args(["--follow", &server.remote().to_string(), "Test"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let follower = std::thread::spawn(move || {
        let (mut before, mut seen) = (-1, 0);
        for line in lines {
            let line: Json = serde_json::from_str(&line.unwrap()).unwrap();
            // Both rows are always there, and written together.
            let n = |table: &str| {
                let rows = line[table].as_object().unwrap();
                assert_eq!(rows.len(), 1, "{line}");
                rows.values().next().unwrap()["n"].as_i64().unwrap()
            };
            assert_eq!(n("A"), n("B"), "half a transaction");
            assert!(n("A") > before, "{} after {before}", n("A"));
            (before, seen) = (n("A"), seen + 1);
            if before == LAST {
                break;
            }
        }
        (before, seen)
    });

    let mut random = Random::seeded("example");
    for n in 1..=LAST {
        let mut txn = Transaction::new();
        txn.update(Update::table("A", Where::all()).value("n", n));
        txn.update(Update::table("B", Where::all()).value("n", n));
        // What is cut off is written once more: the same state, if it was there already.
        while client.transact("Test", txn.clone()).await.is_err() {
            client.connected(PATIENCE).await.unwrap();
        }
        // Long enough for the follower to be there again now and then.
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        match random.below(20) {
            0 => {
                server.kill();
                server.launch();
            }
            1 => {
                server.stop();
                server.launch();
            }
            2 => drop(server.appctl(&["ovsdb-server/compact"])),
            3 => drop(server.appctl(&["ovsdb-server/reconnect"])),
            _ => {}
        }
    }
    let (last, seen) = follower.join().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(last, LAST);
    assert!(seen > 5, "only {seen} states of {LAST} were printed");
}
