//! The example `replica`, as a person runs it.
#![allow(clippy::unwrap_used)]

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/server.rs"]
mod server;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use ovsdb::{Client, Insert, Transaction, Update, Value, Where};
use proxy::Proxy;
use serde_json::{Value as Json, json};
use server::{PATIENCE, Random, SCHEMA, Server};
use tokio::sync::watch;
use tokio::time::timeout;

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

/// What the example is asked for: tables, and of some of them columns; and how many bytes a few changes to them are.
struct Selection(&'static [(&'static str, &'static [&'static str])], usize);

const SELECTIONS: [Selection; 3] = [
    Selection(&[], 20_000),
    Selection(&[("A", &["n", "tags"]), ("B", &["n"])], 2_000),
    Selection(&[("Ballast", &[]), ("A", &["n"])], 20_000),
];

impl Selection {
    fn arguments(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(table, columns)| match columns {
            [] => (*table).to_owned(),
            columns => format!("{table}:{}", columns.join(",")),
        })
    }

    /// What is left of a whole database.
    fn of(&self, database: &Json) -> Json {
        if self.0.is_empty() {
            return database.clone();
        }
        let mut out = database.clone();
        let tables = out.as_object_mut().unwrap();
        tables.retain(|name, _| self.0.iter().any(|(table, _)| table == name));
        for (table, columns) in self.0.iter().filter(|(_, columns)| !columns.is_empty()) {
            for row in tables[*table].as_object_mut().unwrap().values_mut() {
                let row = row.as_object_mut().unwrap();
                row.retain(|name, _| columns.contains(&name.as_str()));
            }
        }
        out
    }
}

/// Writes all tables in one transaction, so that each of the states is like no other in each selection, and says what
/// the server holds then.
async fn change(server: &Server, writer: &Client, n: i64, weight: usize) -> Json {
    let mut txn = Transaction::new();
    txn.update(Update::table("A", Where::all()).value("n", n));
    txn.update(Update::table("B", Where::all()).value("n", n));
    txn.delete_from("Ballast", Where::all());
    let weights = Value::set((0..weight).map(|i| n * 10_000 + i as i64));
    txn.insert(Insert::into_table("Ballast").value("weight", weights));
    writer.transact("Test", txn).await.unwrap();
    server.dump("Test")
}

async fn two_rows(server: &Server) -> Client {
    let writer = server.client();
    let mut txn = Transaction::new();
    let b = txn.insert(Insert::into_table("B").value("n", 0));
    let a = Insert::into_table("A").value("name", "a").value("n", 0);
    txn.insert(a.value("b", &b));
    writer.transact("Test", txn).await.unwrap();
    writer
}

/// A running example behind a relay of its own.
struct Follower {
    selection: Selection,
    proxy: Proxy,
    child: Child,
    /// The `n` of the row of A that it printed last.
    newest: watch::Receiver<i64>,
    lines: JoinHandle<Vec<Json>>,
}

impl Follower {
    async fn start(server: &Server, selection: Selection) -> Self {
        let proxy = Proxy::start(server.socket()).await;
        let mut child = example()
            .args(["--follow", &proxy.remote().to_string(), "Test"])
            .args(selection.arguments())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, newest) = watch::channel(-1);
        let lines = std::thread::spawn(move || {
            let mut all = Vec::new();
            for line in output.lines() {
                let line: Json = serde_json::from_str(&line.unwrap()).unwrap();
                sender.send_replace(n_of(&line));
                all.push(line);
            }
            all
        });
        Self {
            selection,
            proxy,
            child,
            newest,
            lines,
        }
    }

    async fn prints(&mut self, n: i64) {
        let newest = timeout(PATIENCE, self.newest.wait_for(|newest| *newest == n)).await;
        assert!(newest.is_ok(), "{n} is not printed");
    }
}

fn n_of(line: &Json) -> i64 {
    let rows = line["A"].as_object().unwrap();
    rows.values().next().unwrap()["n"].as_i64().unwrap()
}

/// The server stays; what is cut are connections, at any byte of either direction, while the database changes.
#[tokio::test]
async fn follows_through_cut_connections() {
    const ROUNDS: usize = 7;
    let server = Server::start(SCHEMA);
    let writer = two_rows(&server).await;
    let mut random = Random::seeded("cut");
    let mut held = vec![change(&server, &writer, 0, 1).await];
    let mut followers = Vec::new();
    for selection in SELECTIONS {
        followers.push(Follower::start(&server, selection).await);
    }
    for follower in &mut followers {
        follower.prints(0).await;
    }
    for _ in 0..ROUNDS {
        let mut goals = Vec::new();
        for Follower {
            proxy, selection, ..
        } in &mut followers
        {
            match random.below(4) {
                0 => proxy.refuse(),
                1 => {
                    // What is there goes; what comes is cut in what it asks.
                    proxy.refuse();
                    timeout(PATIENCE, proxy.one_ends()).await.unwrap();
                    proxy.cut_there_after(random.below(500));
                }
                2 => proxy.cut_after(random.below(300)),
                _ => proxy.cut_after(random.below(selection.1)),
            }
            goals.push(proxy.ended() + 1);
        }
        let mut changes = 0;
        while changes < 3
            || (changes < 20
                && followers
                    .iter()
                    .zip(&goals)
                    .any(|(follower, goal)| follower.proxy.ended() < *goal))
        {
            changes += 1;
            let n = held.len() as i64;
            held.push(change(&server, &writer, n, 1 + random.below(900)).await);
        }
        for follower in &mut followers {
            follower.proxy.allow();
        }
        let last = held.len() as i64 - 1;
        for follower in &mut followers {
            follower.prints(last).await;
        }
    }
    let last = held.len() as i64 - 1;
    for mut follower in followers {
        follower.child.kill().unwrap();
        follower.child.wait().unwrap();
        let (lines, ended) = (follower.lines.join().unwrap(), follower.proxy.ended());
        println!("{} of {} states, {ended} cuts", lines.len(), held.len());
        assert!(ended >= ROUNDS, "only {ended} connections were cut");
        assert!(lines.len() > ROUNDS, "only {} states", lines.len());
        let mut before = -1;
        for line in &lines {
            let n = n_of(line);
            assert!(n > before, "{n} after {before}");
            let state = &held[usize::try_from(n).unwrap()];
            assert_eq!(*line, follower.selection.of(state), "never held");
            before = n;
        }
        assert_eq!(before, last);
    }
}

/// Once, without `--follow`: cut before it is in sync, it asks again.
#[tokio::test]
async fn prints_once_although_it_is_cut() {
    let server = Server::start(SCHEMA);
    let writer = two_rows(&server).await;
    let mut random = Random::seeded("cut once");
    let mut cut = 0;
    for n in 0..30 {
        let state = change(&server, &writer, n, 400).await;
        let selection = &SELECTIONS[random.below(SELECTIONS.len())];
        let mut proxy = Proxy::start(server.socket()).await;
        match random.below(3) {
            0 => proxy.cut_there_after(random.below(400)),
            1 => proxy.cut_after(random.below(400)),
            _ => proxy.cut_after(random.below(8000)),
        }
        let child = example()
            .args([&proxy.remote().to_string(), "Test"])
            .args(selection.arguments())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // By the relay, or since it is done.
        timeout(PATIENCE, proxy.one_ends()).await.unwrap();
        proxy.allow();
        let output = tokio::task::spawn_blocking(|| child.wait_with_output());
        let output = timeout(PATIENCE, output).await.unwrap().unwrap().unwrap();
        assert!(output.status.success());
        let printed: Json = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed, selection.of(&state));
        cut += usize::from(proxy.ended() > 1);
    }
    println!("cut {cut} times");
    assert!(cut > 5, "only {cut} were cut");
}
