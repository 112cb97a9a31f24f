//! The client when things break: restarts, kill -9, compaction, conversion, connections cut at any
//! byte. What must hold: a replica shows only states that the server held, comes to the present one
//! in the end, and an outcome reported is true.
#![allow(clippy::unwrap_used)]

#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/server.rs"]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ovsdb::{
    Client, Error, Insert, MonitorMethod, Mutate, Options, Remote, Replica, Snapshot, State,
    Status, Transaction, Update, Uuid, Value,
};
use proxy::Proxy;
use server::{PATIENCE, Random, SCHEMA, Server, quick};

ovsdb::table! {
    /// Table A of the test schema.
    pub struct A: "A" {
        /// The key.
        name: String,
        /// Counts transactions.
        n: i64,
        /// 0, 1, … n-1, modulo 16.
        tags: BTreeSet<i64>,
        /// Under each tag the n at which it was last touched.
        ids: BTreeMap<String, String>,
        /// The row of B.
        b: BTreeSet<Uuid>,
    }

    /// Table B of the test schema.
    pub struct B: "B" {
        /// The same as in A.
        n: i64,
    }
}

/// Writes transaction after transaction, each touching a set, a map and two tables.
struct Writer {
    client: Client,
    a: Uuid,
    b: Uuid,
    n: i64,
}

impl Writer {
    async fn new(client: Client) -> Self {
        let mut txn = Transaction::new();
        let b = txn.insert(Insert::<B>::new());
        let a = txn.insert(Insert::<A>::new().set(A::name, "a").set(A::b, &b));
        let reply = client.transact("Test", txn).await.unwrap();
        Self {
            client,
            a: reply.uuid(&a).unwrap(),
            b: reply.uuid(&b).unwrap(),
            n: 0,
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        let n = self.n + 1;
        let (tag, old) = (n % 16, (n + 8) % 16);
        let mut txn = Transaction::new();
        txn.update(Update::<B>::rows(self.b).set(B::n, n));
        txn.update(Update::<A>::rows(self.a).set(A::n, n));
        txn.mutate(
            Mutate::<A>::rows(self.a)
                .insert(A::tags, [tag])
                .delete(A::tags, [old])
                .put(A::ids, [(tag.to_string(), n.to_string())])
                .delete_keys(A::ids, [old.to_string()]),
        );
        self.client.transact("Test", txn).await?;
        self.n = n;
        Ok(())
    }
}

impl Writer {
    /// Finds out whether the last step happened after all.
    async fn read_back(&mut self) {
        let mut txn = Transaction::new();
        let row = txn.select::<A>(self.a);
        let n = loop {
            match self.client.transact("Test", txn.clone()).await {
                Ok(reply) => break reply.rows::<A>(row).unwrap()[0].n,
                Err(error) => assert!(error.is_unknown(), "{error}"),
            }
        };
        assert!(n == self.n || n == self.n + 1);
        self.n = n;
    }
}

/// What every state that the server ever held satisfies. Returns its n.
fn check(now: &Snapshot) -> i64 {
    let (a, b) = (now.table::<A>().unwrap(), now.table::<B>().unwrap());
    if a.is_empty() {
        assert!(b.is_empty());
        return 0;
    }
    let (a, b) = (a.iter().next().unwrap(), b.iter().next().unwrap());
    assert_eq!(a.n, b.n, "half a transaction");
    assert_eq!(a.b, [b.uuid].into());
    let touched: Vec<i64> = (1.max(a.n - 7)..=a.n).collect();
    assert_eq!(
        a.tags,
        touched.iter().map(|n| n % 16).collect(),
        "at {}",
        a.n
    );
    assert_eq!(
        a.ids,
        touched
            .iter()
            .map(|n| ((n % 16).to_string(), n.to_string()))
            .collect()
    );
    a.n
}

/// Follows a replica, holding every state to [`check`], until it has seen the end.
fn follow(replica: &Replica, end: &Arc<AtomicI64>) -> tokio::task::JoinHandle<usize> {
    let (mut changes, end) = (replica.changes(), end.clone());
    tokio::spawn(async move {
        let (mut last, mut states) = (check(changes.current()), 1);
        while last < end.load(Ordering::Relaxed) {
            let change = changes.next().await.expect("the client lives");
            let n = check(&change.after);
            assert!(n >= last, "went back from {last} to {n}");
            (last, states) = (n, states + 1);
        }
        states
    })
}

async fn open(client: &Client, method: MonitorMethod) -> Replica {
    client
        .replica("Test")
        .method(method)
        .table::<A>()
        .table::<B>()
        .open(PATIENCE)
        .await
        .unwrap()
}

async fn caught_up(replica: &Replica, n: i64) {
    let caught = replica
        .wait(PATIENCE, |now| (check(now) == n).then_some(()))
        .await;
    if let Err(error) = caught {
        panic!("{error}: {replica:?} at {} of {n}", check(&replica.read()));
    }
}

const METHODS: [MonitorMethod; 3] = [
    MonitorMethod::Monitor,
    MonitorMethod::MonitorCond,
    MonitorMethod::MonitorCondSince,
];

async fn survives(mut server: Server, mut random: Random) {
    let client = server.client();
    let mut replicas = Vec::new();
    for method in METHODS {
        replicas.push(open(&client, method).await);
    }
    let mut writer = Writer::new(client.clone()).await;
    let total = 120;
    let end = Arc::new(AtomicI64::new(total));
    let followers: Vec<_> = replicas
        .iter()
        .map(|replica| follow(replica, &end))
        .collect();
    while writer.n < total {
        writer.step().await.unwrap();
        match random.below(12) {
            0 => {
                // In the middle of a transaction.
                let pause = random.below(8);
                let (outcome, ()) = tokio::join!(writer.step(), async {
                    for _ in 0..pause {
                        tokio::task::yield_now().await;
                    }
                    server.kill();
                    server.launch();
                });
                match outcome {
                    Ok(()) | Err(Error::Disconnected(_)) => {}
                    Err(Error::Unknown { .. }) => writer.read_back().await,
                    Err(error) => panic!("{error}"),
                }
            }
            1 => {
                server.stop();
                server.launch();
            }
            2 => {
                server.appctl(&["ovsdb-server/compact"]);
            }
            3 => {
                server.appctl(&["ovsdb-server/reconnect"]);
            }
            _ => continue,
        }
        // Whoever is to write next needs a connection that knows it is one.
        client.connected(PATIENCE).await.unwrap();
        loop {
            match client.echo().await {
                Ok(()) => break,
                Err(Error::Unknown { .. } | Error::Disconnected(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    for (replica, follower) in replicas.iter().zip(followers) {
        caught_up(replica, writer.n).await;
        let states = tokio::time::timeout(PATIENCE, follower)
            .await
            .unwrap()
            .unwrap();
        println!("{states} states of {total} seen");
    }
    let generation = client.connected(PATIENCE).await.unwrap();
    for replica in &replicas {
        let mut status = replica.status();
        let synced =
            status.wait_for(|s| matches!(s, Status::Synced { generation: g } if *g == generation));
        tokio::time::timeout(PATIENCE, synced)
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn restarts_kills_and_compaction() {
    survives(Server::start(SCHEMA), Random::seeded("standalone")).await;
}

#[tokio::test]
async fn restarts_kills_and_compaction_of_a_cluster() {
    survives(Server::start_cluster(SCHEMA), Random::seeded("cluster")).await;
}

#[tokio::test]
async fn resumes_where_it_was() {
    // A cluster keeps a history, so that only what happened since is sent: the rows that did not
    // change keep their identity, and the changes in between come as one.
    let server = Server::start_cluster(SCHEMA);
    let direct = server.client();
    // The server keeps no more history than it has data.
    let mut txn = Transaction::new();
    txn.insert(Insert::into_table("Ballast").value("weight", Value::set(0..1000)));
    direct.transact("Test", txn).await.unwrap();
    let mut writer = Writer::new(direct.clone()).await;
    let proxy = Proxy::start(server.socket()).await;
    let client = Client::connect([proxy.remote()], quick());
    let replica = open(&client, MonitorMethod::MonitorCondSince).await;
    writer.step().await.unwrap();
    caught_up(&replica, 1).await;
    let before = replica.read();
    assert_ne!(before.last_transaction(), Uuid::NIL);
    proxy.refuse();
    let mut state = client.state();
    state
        .wait_for(|s| matches!(s, State::Disconnected { .. }))
        .await
        .unwrap();
    assert_eq!(check(&replica.read()), 1, "the last state stays");
    let mut changes = replica.changes();
    let mut extra = Transaction::new();
    extra.insert(Insert::<A>::new().set(A::name, "other"));
    for _ in 0..5 {
        writer.step().await.unwrap();
    }
    let passed = proxy.received();
    proxy.allow();
    caught_up(&replica, 6).await;
    let change = changes.next().await.unwrap();
    assert_eq!(change.rows.len(), 2);
    assert_eq!(check(&change.after), 6);
    assert!(change.after.generation() > before.generation());
    assert_ne!(change.after.last_transaction(), before.last_transaction());
    let sent = proxy.text_since(passed);
    assert!(sent.contains("[true,"), "the server did not resume: {sent}");
    assert!(
        sent.contains("\"modify\"") && !sent.contains("\"initial\""),
        "{sent}"
    );
}

#[tokio::test]
async fn cut_at_any_byte_from_the_server() {
    for cluster in [false, true] {
        let server = if cluster {
            Server::start_cluster(SCHEMA)
        } else {
            Server::start(SCHEMA)
        };
        let mut random = Random::seeded("cut from the server");
        let proxy = Proxy::start(server.socket()).await;
        let options = Options {
            backoff_max: Duration::from_millis(5),
            ..quick()
        };
        let client = Client::connect([proxy.remote()], options);
        let mut writer = Writer::new(server.client()).await;
        let replica = open(&client, MonitorMethod::MonitorCondSince).await;
        let end = Arc::new(AtomicI64::new(i64::MAX));
        let follower = follow(&replica, &end);
        let cuts = 60;
        for _ in 0..cuts {
            // The connection of now, and each one after it, ends after so many bytes.
            proxy.cut_after(random.below(4000));
            let before = client.connected(PATIENCE).await.unwrap();
            while client.connected(PATIENCE).await.unwrap() == before {
                writer.step().await.unwrap();
            }
        }
        proxy.allow();
        end.store(writer.n + 1, Ordering::Relaxed);
        writer.step().await.unwrap();
        caught_up(&replica, writer.n).await;
        let states = tokio::time::timeout(PATIENCE, follower)
            .await
            .unwrap()
            .unwrap();
        let generation = client.connected(PATIENCE).await.unwrap();
        println!(
            "{states} states of {} over {generation} connections",
            writer.n
        );
        assert!(generation > cuts);
    }
}

#[tokio::test]
async fn outcomes_are_true() {
    let server = Server::start(SCHEMA);
    let mut random = Random::seeded("cut on the way there");
    let proxy = Proxy::start(server.socket()).await;
    let client = Client::connect([proxy.remote()], quick());
    let direct = server.client();
    let (mut done, mut unknown, mut not_sent) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for round in 0..300 {
        let name = format!("row{round}");
        match round % 3 {
            0 => proxy.cut_after(random.below(400)),
            1 => proxy.cut_there_after(random.below(400)),
            _ => proxy.allow(),
        }
        let mut txn = Transaction::new();
        txn.insert(Insert::<A>::new().set(A::name, &name).set(A::n, round));
        match client.transact("Test", txn).await {
            Ok(reply) => {
                assert!(reply.generation > 0);
                done.insert(name);
            }
            Err(error @ Error::Unknown { .. }) => {
                assert!(error.is_unknown());
                unknown.insert(name);
            }
            Err(Error::Disconnected(_)) => {
                not_sent.insert(name);
            }
            Err(error) => panic!("{error}"),
        }
    }
    // What the proxy took before the cut the server may have still to do: it has, once it answers.
    direct.echo().await.unwrap();
    let mut txn = Transaction::new();
    let all = txn.select::<A>(ovsdb::Where::all());
    let rows = direct
        .transact("Test", txn)
        .await
        .unwrap()
        .rows::<A>(all)
        .unwrap();
    let there: BTreeSet<String> = rows.into_iter().map(|a| a.name).collect();
    println!(
        "{} done, {} unknown, {} not sent",
        done.len(),
        unknown.len(),
        not_sent.len()
    );
    assert!(done.is_subset(&there), "reported done, yet absent");
    assert!(not_sent.is_disjoint(&there), "reported not sent, yet there");
    assert!(!unknown.is_empty());
    let happened = unknown.intersection(&there).count();
    println!("of the unknown {happened} happened");
}

#[tokio::test]
async fn a_converted_schema() {
    let server = Server::start(SCHEMA);
    let client = server.client();
    let replica = open(&client, MonitorMethod::MonitorCondSince).await;
    let mut writer = Writer::new(client.clone()).await;
    writer.step().await.unwrap();
    let remote = format!("unix:{}", server.socket().display());
    // One column more, and then without a column that is declared, and back.
    let more = SCHEMA
        .replace("\"version\": \"1.0.0\"", "\"version\": \"1.1.0\"")
        .replace(
            "\"flag\": {\"type\": \"boolean\"},",
            "\"flag\": {\"type\": \"boolean\"}, \"extra\": {\"type\": \"integer\"},",
        );
    let less = SCHEMA.replace("\"tags\":", "\"labels\":");
    let convert = |schema: &str| {
        std::fs::write(server.path("schema2"), schema).unwrap();
        server.ovsdb_client(&["convert", &remote, server.path("schema2").to_str().unwrap()]);
    };
    convert(&more);
    writer.step().await.unwrap();
    caught_up(&replica, 2).await;
    convert(&less);
    let mut status = replica.status();
    let incompatible = status.wait_for(|s| matches!(s, Status::Incompatible(_)));
    let found = tokio::time::timeout(PATIENCE, incompatible)
        .await
        .unwrap()
        .unwrap()
        .clone();
    let Status::Incompatible(error) = found else {
        panic!("kind")
    };
    assert!(
        error.to_string().contains("table A has no column tags"),
        "{error}"
    );
    assert_eq!(check(&replica.read()), 2, "the last state stays");
    convert(SCHEMA);
    let synced = status.wait_for(|s| matches!(s, Status::Synced { .. }));
    tokio::time::timeout(PATIENCE, synced)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let options = Options {
        probe_interval: Duration::from_millis(50),
        ..quick()
    };
    let client = Client::connect([Remote::Unix(path)], options);
    // Accepts, and says nothing.
    let _held = listener.accept().await.unwrap();
    let mut state = client.state();
    state
        .wait_for(|s| matches!(s, State::Connected { generation: 1, .. }))
        .await
        .unwrap();
    let lost = state
        .wait_for(|s| matches!(s, State::Disconnected { error: Some(e) } if e.contains("no word")));
    tokio::time::timeout(PATIENCE, lost).await.unwrap().unwrap();
}
