//! The client against a real ovsdb-server: every operation and method.
#![allow(clippy::unwrap_used)]

#[path = "support/server.rs"]
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ovsdb::vswitch::{self, Bridge, Interface, OpenVSwitch, Port};
use ovsdb::{
    Clause, Client, Error, ErrorKind, Function, Insert, LockState, MonitorMethod, MonitorRequest,
    Mutate, OpResult, Operation, Options, Remote, SchemaError, Select, State, Transaction, Until,
    Update, Uuid, Value, Wait,
};
use server::{PATIENCE, SCHEMA, Server, quick};

ovsdb::table! {
    /// Table A of the test schema.
    pub struct A: "A" {
        /// The key.
        name: String,
        /// A number.
        n: i64,
        /// A set.
        tags: BTreeSet<i64>,
        /// A map.
        ids: BTreeMap<String, String>,
        /// An optional.
        maybe: Option<String>,
        /// A boolean.
        flag: bool,
        /// References.
        b: BTreeSet<Uuid>,
    }

    /// Table B of the test schema.
    pub struct B: "B" {
        /// A number.
        n: i64,
        /// A weak reference.
        weak: Option<Uuid>,
    }
}

async fn transact(client: &Client, txn: Transaction) -> ovsdb::Reply {
    client.transact("Test", txn).await.unwrap()
}

fn refused(result: Result<ovsdb::Reply, Error>) -> ovsdb::TransactionError {
    match result {
        Err(Error::Transaction(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn methods() {
    let server = Server::start(SCHEMA);
    let client = server.client();
    assert!(
        client
            .list_dbs()
            .await
            .unwrap()
            .contains(&"Test".to_owned())
    );
    client.echo().await.unwrap();
    let schema = client.schema("Test").await.unwrap();
    assert_eq!(schema.tables["A"].indexes, [["name"]]);
    assert!(schema.tables["A"].is_root && !schema.tables["B"].is_root);
    let Err(Error::Rpc(error)) = client.schema("Nope").await else {
        panic!("no such database")
    };
    assert_eq!(&*error.error, "unknown database");
    let echoed: Vec<Value> = client.request("echo", &("x", 7)).await.unwrap();
    assert_eq!(echoed, [Value::from("x"), Value::from(7)]);
    let Err(Error::Rpc(error)) = client.request::<Value>("nonsense", &()).await else {
        panic!("no such method")
    };
    assert_eq!(&*error.error, "unknown method");
}

#[tokio::test]
async fn the_vswitch_schema_both_ways() {
    let text = std::fs::read_to_string("/usr/share/openvswitch/vswitch.ovsschema").unwrap();
    let server = Server::start(&text);
    let client = server.client();
    let schema = client.schema(vswitch::DATABASE).await.unwrap();
    let ours = serde_json::to_value(&schema).unwrap();
    let theirs: serde_json::Value = client
        .request("get_schema", &(vswitch::DATABASE,))
        .await
        .unwrap();
    assert_eq!(ours["tables"], theirs["tables"]);
    // Every declared table fits the installed switch.
    use ovsdb::typed::check;
    check::<OpenVSwitch>(&schema).unwrap();
    check::<Bridge>(&schema).unwrap();
    check::<Port>(&schema).unwrap();
    check::<Interface>(&schema).unwrap();
    check::<vswitch::FlowTable>(&schema).unwrap();
    check::<vswitch::Controller>(&schema).unwrap();
    check::<vswitch::Manager>(&schema).unwrap();
    check::<vswitch::Datapath>(&schema).unwrap();
    check::<vswitch::CtZone>(&schema).unwrap();
    check::<vswitch::CtTimeoutPolicy>(&schema).unwrap();
    check::<vswitch::Qos>(&schema).unwrap();
    check::<vswitch::Queue>(&schema).unwrap();
    check::<vswitch::Mirror>(&schema).unwrap();
    check::<vswitch::NetFlow>(&schema).unwrap();
    check::<vswitch::SFlow>(&schema).unwrap();
    check::<vswitch::Ipfix>(&schema).unwrap();
    check::<vswitch::FlowSampleCollectorSet>(&schema).unwrap();
    check::<vswitch::Ssl>(&schema).unwrap();
}

#[tokio::test]
async fn every_operation() {
    let server = Server::start(SCHEMA);
    let client = server.client();
    let replica = client
        .replica("Test")
        .table::<A>()
        .table::<B>()
        .open(PATIENCE)
        .await
        .unwrap();

    let mut txn = Transaction::new();
    txn.comment("insert two that refer to each other");
    let a = txn.insert(
        Insert::<A>::new()
            .set(A::name, "a")
            .set(A::tags, [1, 2])
            .set(A::ids, [("k", "v")]),
    );
    let b = txn.insert(Insert::<B>::new().set(B::n, 7).set(B::weak, &a));
    let linked = txn.mutate(Mutate::<A>::rows(&a).insert(A::b, &b));
    txn.commit(true);
    let reply = transact(&client, txn).await;
    let (a, b) = (reply.uuid(&a).unwrap(), reply.uuid(&b).unwrap());
    assert_eq!(reply.count(linked), 1);
    assert_eq!(reply.results.last(), Some(&OpResult::Done));

    // What we did shows as soon as we know of it.
    let now = replica.read();
    let row = now.table::<A>().unwrap().get(a).unwrap();
    let expected = A {
        uuid: a,
        name: "a".into(),
        n: 0,
        tags: [1, 2].into(),
        ids: [("k".to_owned(), "v".to_owned())].into(),
        maybe: None,
        flag: false,
        b: [b].into(),
    };
    assert_eq!(row, expected);
    assert_eq!(
        now.table::<B>().unwrap().find(B::weak, a),
        Some(B {
            uuid: b,
            n: 7,
            weak: Some(a)
        })
    );

    // Update, mutate in all ways, select.
    let mut txn = Transaction::new();
    let updated = txn.update(Update::<A>::rows(a).set(A::maybe, "yes").set(A::flag, true));
    txn.mutate(
        Mutate::<A>::rows(A::name.eq("a"))
            .add(A::n, 5)
            .insert(A::tags, [3])
            .delete(A::tags, [1]),
    );
    txn.mutate(Mutate::<A>::rows(a).put(A::ids, [("k", "w"), ("l", "x")]));
    txn.mutate(Mutate::<A>::rows(a).delete_keys(A::ids, ["l"]));
    let selected = txn.select::<A>(
        A::n.ge(5)
            .and(A::tags.includes([3]))
            .and(A::tags.excludes([9])),
    );
    let nobody = txn.select::<A>(A::name.ne("a"));
    let reply = transact(&client, txn).await;
    assert_eq!(reply.count(updated), 1);
    let rows = reply.rows::<A>(selected).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].n, &rows[0].tags, rows[0].maybe.as_deref()),
        (5, &[2, 3].into(), Some("yes"))
    );
    assert_eq!(rows[0].ids, [("k".to_owned(), "w".to_owned())].into());
    assert_eq!(reply.rows::<A>(nobody).unwrap(), []);
    assert_eq!(
        replica.read().table::<A>().unwrap().get(a).unwrap(),
        rows[0]
    );

    // Errors name the operation; nothing of the transaction happens.
    let mut txn = Transaction::new();
    txn.insert(Insert::<A>::new().set(A::name, "never"));
    txn.wait(Wait::<A>::until(A::name.eq("a"), Until::Equal));
    let error = refused(client.transact("Test", txn).await);
    assert_eq!(
        (error.index.unwrap().0, error.operation, error.kind),
        (1, "wait", ErrorKind::TimedOut)
    );
    let mut txn = Transaction::new();
    txn.insert(Insert::<A>::new().set(A::name, "a"));
    let error = refused(client.transact("Test", txn).await);
    assert_eq!((error.index, error.kind), (None, ErrorKind::Constraint));
    let mut txn = Transaction::new();
    txn.delete::<A>(a);
    txn.abort();
    assert_eq!(
        refused(client.transact("Test", txn).await).kind,
        ErrorKind::Aborted
    );
    let mut txn = Transaction::new();
    txn.update(Update::<A>::rows(a).value("nope", 1));
    assert_eq!(
        refused(client.transact("Test", txn).await).kind,
        ErrorKind::UnknownColumn
    );
    assert_eq!(replica.read().table::<A>().unwrap().len(), 1);

    // A wait with rows, and one that comes true.
    let mut txn = Transaction::new();
    txn.wait(
        Wait::<A>::until(a, Until::Equal)
            .set(A::name, "a")
            .set(A::n, 5),
    );
    txn.wait(Wait::<A>::until(a, Until::NotEqual).set(A::n, 6));
    transact(&client, txn).await;
    let mut waiting = Transaction::new();
    waiting.wait(
        Wait::<A>::until(a, Until::Equal)
            .set(A::n, 6)
            .timeout(PATIENCE),
    );
    let waiting = client.start("Test", waiting).await.unwrap();
    let mut txn = Transaction::new();
    txn.mutate(Mutate::<A>::rows(a).add(A::n, 1));
    transact(&client, txn).await;
    waiting.finish().await.unwrap();

    // Delete; the weak reference goes with its row, the row of B with its strong one.
    let mut txn = Transaction::new();
    let deleted = txn.delete::<A>(a);
    assert_eq!(transact(&client, txn).await.count(deleted), 1);
    let now = replica.read();
    assert!(now.table::<A>().unwrap().is_empty() && now.table::<B>().unwrap().is_empty());

    // An empty transaction, an untyped one, and a uuid of our own choice.
    assert_eq!(transact(&client, Transaction::new()).await.results, []);
    let own: Uuid = "01234567-89ab-cdef-0123-456789abcdef".parse().unwrap();
    let mut txn = Transaction::new();
    txn.insert(Insert::into_table("A").value("name", "untyped").uuid(own));
    txn.push(Operation::Update {
        table: "A".into(),
        r#where: vec![Clause::Compare(
            "name".into(),
            Function::Equal,
            "untyped".into(),
        )],
        row: [("load".into(), Value::set([ovsdb::Real::new(0.5).unwrap()]))].into(),
    });
    transact(&client, txn).await;
    assert_eq!(server.dump("Test")["A"][own.to_string()]["load"], 0.5);
}

#[tokio::test]
async fn cancel_and_drop() {
    let server = Server::start(SCHEMA);
    let client = server.client();
    let blocked = || {
        let mut txn = Transaction::new();
        txn.wait(Wait::<A>::until(A::name.eq("go"), Until::NotEqual).no_timeout());
        txn.insert(Insert::<A>::new().set(A::name, "went"));
        txn
    };
    // Cancelled by hand: the server says so.
    let pending = client.start("Test", blocked()).await.unwrap();
    pending.cancel();
    let error = pending.finish().await.unwrap_err();
    assert!(
        matches!(&error, Error::Rpc(e) if &*e.error == "canceled"),
        "{error}"
    );
    // Dropped: cancelled, too, so that it does not happen later.
    drop(client.start("Test", blocked()).await.unwrap());
    let abandoned = client.transact("Test", blocked());
    tokio::time::timeout(Duration::from_millis(50), abandoned)
        .await
        .unwrap_err();
    let mut txn = Transaction::new();
    txn.insert(Insert::<A>::new().set(A::name, "go"));
    transact(&client, txn).await;
    let mut txn = Transaction::new();
    let went = txn.select::<A>(A::name.eq("went"));
    assert_eq!(transact(&client, txn).await.rows::<A>(went).unwrap(), []);
    // Out of time after it was sent: nobody knows.
    let hasty = Client::connect(
        [server.remote()],
        Options {
            request_timeout: Duration::from_millis(100),
            ..quick()
        },
    );
    let generation = hasty.connected(PATIENCE).await.unwrap();
    let mut txn = Transaction::new();
    txn.wait(Wait::<A>::until(A::name.eq("never"), Until::NotEqual).no_timeout());
    let error = hasty.transact("Test", txn).await.unwrap_err();
    assert!(
        matches!(error, Error::Unknown { generation: g, .. } if g == generation),
        "{error}"
    );
}

#[tokio::test]
async fn locks() {
    let mut server = Server::start(SCHEMA);
    let (one, two) = (server.client(), server.client());
    async fn becomes(lock: &ovsdb::Lock, want: fn(&LockState) -> bool) -> LockState {
        *tokio::time::timeout(PATIENCE, lock.state().wait_for(want))
            .await
            .unwrap()
            .unwrap()
    }
    let held: fn(&LockState) -> bool = |state| matches!(state, LockState::Held { .. });
    let first = one.lock("l").await.unwrap();
    becomes(&first, held).await;
    assert!(matches!(one.lock("l").await, Err(Error::Invalid(_))));
    let second = two.lock("l").await.unwrap();
    let mut txn = Transaction::new();
    txn.assert("l");
    transact(&one, txn.clone()).await;
    assert_eq!(
        refused(two.transact("Test", txn.clone()).await).kind,
        ErrorKind::NotOwner
    );
    assert_eq!(*second.state().borrow(), LockState::Waiting);
    // Given back by one, it comes to two.
    drop(first);
    becomes(&second, held).await;
    transact(&two, txn.clone()).await;
    // Stolen.
    let thief = one.steal("l").await.unwrap();
    becomes(&thief, held).await;
    becomes(&second, |state| *state == LockState::Stolen).await;
    transact(&one, txn.clone()).await;
    // What was stolen comes back.
    drop(thief);
    becomes(&second, held).await;
    drop(second);
    let thief = one.steal("l").await.unwrap();
    becomes(&thief, held).await;
    // A new connection asks again.
    server.stop();
    becomes(&thief, |state| *state == LockState::Waiting).await;
    server.launch();
    assert!(
        matches!(becomes(&thief, held).await, LockState::Held { generation } if generation >= 2)
    );
    transact(&one, txn).await;
}

#[tokio::test]
async fn conditions_and_methods() {
    let server = Server::start(SCHEMA);
    let client = server.client();
    let mut txn = Transaction::new();
    for n in 0..10 {
        txn.insert(
            Insert::<A>::new()
                .set(A::name, format!("a{n}"))
                .set(A::n, n),
        );
    }
    transact(&client, txn).await;
    let names = |snapshot: &ovsdb::Snapshot| -> BTreeSet<String> {
        snapshot
            .table::<A>()
            .unwrap()
            .iter()
            .map(|a| a.name)
            .collect()
    };
    let names_of =
        |list: &[&str]| -> BTreeSet<String> { list.iter().map(|n| (*n).to_owned()).collect() };
    for method in [MonitorMethod::MonitorCond, MonitorMethod::MonitorCondSince] {
        let replica = client
            .replica("Test")
            .method(method)
            .table_where::<A>([A::name.eq("a1"), A::name.eq("a2")])
            .table::<B>()
            .open(PATIENCE)
            .await
            .unwrap();
        assert_eq!(names(&replica.read()), names_of(&["a1", "a2"]));
        replica
            .set_condition::<A>([A::name.eq("a2"), A::n.eq(9)])
            .await
            .unwrap();
        assert_eq!(names(&replica.read()), names_of(&["a2", "a9"]));
        // A row comes into view and leaves it by a change of its own.
        let mut txn = Transaction::new();
        txn.update(Update::<A>::rows(A::name.eq("a3")).set(A::n, 9));
        txn.update(Update::<A>::rows(A::name.eq("a9")).set(A::n, 0));
        transact(&client, txn).await;
        assert_eq!(names(&replica.read()), names_of(&["a2", "a3"]));
        replica.set_raw_condition("A", vec![]).await.unwrap();
        assert_eq!(names(&replica.read()).len(), 10);
        replica.set_condition::<A>([]).await.unwrap();
        assert_eq!(names(&replica.read()).len(), 0);
        let mut txn = Transaction::new();
        txn.update(Update::<A>::rows(A::name.eq("a3")).set(A::n, 3));
        txn.update(Update::<A>::rows(A::name.eq("a9")).set(A::n, 9));
        transact(&client, txn).await;
    }
    let plain = client
        .replica("Test")
        .method(MonitorMethod::Monitor)
        .table::<A>()
        .open(PATIENCE)
        .await
        .unwrap();
    assert_eq!(names(&plain.read()).len(), 10);
    assert!(matches!(
        plain.set_condition::<A>([A::n.eq(1)]).await,
        Err(Error::Invalid(_))
    ));
    let refused = client
        .replica("Test")
        .method(MonitorMethod::Monitor)
        .table_where::<A>([A::n.eq(1)])
        .open(PATIENCE);
    assert!(matches!(refused.await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn changes_are_whole_and_in_order() {
    let server = Server::start(SCHEMA);
    let client = server.client();
    let replica = client
        .replica("Test")
        .table::<A>()
        .open(PATIENCE)
        .await
        .unwrap();
    let mut changes = replica.changes();
    let mut slow = replica.changes();
    let mut txn = Transaction::new();
    let a = txn.insert(Insert::<A>::new().set(A::name, "a"));
    let a = transact(&client, txn).await.uuid(&a).unwrap();
    let change = changes.next().await.unwrap();
    let rows: Vec<_> = change.table::<A>().collect();
    assert_eq!(
        (rows.len(), rows[0].uuid, rows[0].before.is_none()),
        (1, a, true)
    );
    for n in 1..=200 {
        let mut txn = Transaction::new();
        txn.update(Update::<A>::rows(a).set(A::n, n));
        transact(&client, txn).await;
        let change = changes.next().await.unwrap();
        let row = change.table::<A>().next().unwrap();
        assert_eq!((row.before.unwrap().n, row.after.unwrap().n), (n - 1, n));
    }
    // Who reads late gets the same end, in fewer steps.
    let (mut steps, mut last) = (0, 0);
    while last < 200 {
        let change = slow.next().await.unwrap();
        steps += 1;
        let row = change.table::<A>().next().unwrap();
        assert_eq!(row.before.map_or(0, |a| a.n), last);
        last = row.after.unwrap().n;
    }
    assert!(steps <= 65, "{steps}");
    // Waiting for a state.
    let waiter = replica.clone();
    let waiting = tokio::spawn(async move {
        waiter
            .wait(PATIENCE, |now| {
                now.table::<A>().ok()?.get(a).filter(|a| a.n == 300)
            })
            .await
    });
    let error = replica
        .wait(Duration::from_millis(20), |now| {
            now.table::<A>().ok()?.find(A::name, "b")
        })
        .await;
    assert!(matches!(error, Err(Error::Timeout(_))));
    let mut txn = Transaction::new();
    txn.update(Update::<A>::rows(a).set(A::n, 300));
    transact(&client, txn).await;
    assert_eq!(waiting.await.unwrap().unwrap().n, 300);
}

#[tokio::test]
async fn a_switch_too_old_is_told_by_table_and_column() {
    ovsdb::table! {
        struct Wrong: "A" { name: String, nope: Option<i64> }
        struct Other: "A" { name: String, n: Option<String> }
        struct Gone: "C" { name: String }
    }
    let server = Server::start(SCHEMA);
    let client = server.client();
    let error = client
        .replica("Test")
        .table::<Wrong>()
        .open(PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(
        &error,
        Error::Schema(SchemaError::NoColumn { .. })
    ));
    assert_eq!(
        error.to_string(),
        "database Test (schema 1.0.0): table A has no column nope"
    );
    let error = client
        .replica("Test")
        .table::<Other>()
        .open(PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "database Test (schema 1.0.0): column n of table A is integer, not optional string"
    );
    let error = client
        .replica("Test")
        .table::<Gone>()
        .open(PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "database Test (schema 1.0.0) has no table C"
    );
    let error = client
        .replica("Nope")
        .everything()
        .open(PATIENCE)
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with("unknown database"), "{error}");
    let replica = client
        .replica("Test")
        .columns("A", ["name"])
        .open(PATIENCE)
        .await
        .unwrap();
    assert!(
        replica
            .read()
            .table::<A>()
            .is_err_and(|e| e.to_string().contains("does not watch"))
    );
}

#[tokio::test]
async fn nobody_there() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        request_timeout: Duration::from_millis(100),
        ..quick()
    };
    let client = Client::connect([Remote::Unix(dir.path().join("none"))], options.clone());
    let error = client
        .transact("Test", Transaction::new())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Disconnected(why) if why.contains("none")),
        "{error}"
    );
    assert!(!error.is_unknown());
    assert!(matches!(
        client.replica("Test").open(Duration::from_millis(50)).await,
        Err(Error::Disconnected(_))
    ));
    assert!(matches!(
        &*client.state().borrow(),
        State::Disconnected { error: Some(_) }
    ));
    let none = Client::connect([], options);
    assert!(matches!(none.echo().await, Err(Error::Disconnected(_))));
    // A list of which one answers.
    let server = Server::start(SCHEMA);
    let client = Client::connect(
        [Remote::Unix(dir.path().join("none")), server.remote()],
        quick(),
    );
    client.echo().await.unwrap();
    let State::Connected { remote, generation } = client.state().borrow().clone() else {
        panic!("connected")
    };
    assert_eq!((remote, generation), (server.remote(), 1));
}

#[tokio::test]
async fn over_tcp() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let listen = format!("--remote=ptcp:{port}:127.0.0.1");
    let server = Server::start_with(SCHEMA, false, &[&listen]);
    let client = Client::connect([format!("tcp:127.0.0.1:{port}").parse().unwrap()], quick());
    client.echo().await.unwrap();
    drop(server);
}

#[tokio::test]
async fn a_plain_monitor_tells_the_events_that_were_selected() {
    let mut server = Server::start(SCHEMA);
    let client = server.client();
    let mut insert = Transaction::new();
    insert.insert(Insert::<A>::new().set(A::name, "there").set(A::n, 1));
    transact(&client, insert).await;
    let none = Select {
        initial: false,
        insert: false,
        delete: false,
        modify: false,
    };
    let of = |select| {
        let columns = Some(vec!["name".to_owned(), "n".to_owned()]);
        [("A", MonitorRequest { columns, select })]
    };
    let initial = Select {
        initial: true,
        ..none
    };
    let (there, _all) = client.monitor("Test", of(initial)).await.unwrap();
    let rows: Vec<_> = there["A"].values().collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].old, None);
    assert_eq!(rows[0].new.as_ref().unwrap()["name"], Value::from("there"));

    let kinds = [
        Select {
            insert: true,
            ..none
        },
        Select {
            modify: true,
            ..none
        },
        Select {
            delete: true,
            ..none
        },
    ];
    let mut monitors = Vec::new();
    for select in kinds {
        let (there, monitor) = client.monitor("Test", of(select)).await.unwrap();
        assert!(there.is_empty(), "{there:?}");
        monitors.push(monitor);
    }
    let mut change = Transaction::new();
    change.insert(Insert::<A>::new().set(A::name, "new"));
    transact(&client, change).await;
    let mut change = Transaction::new();
    change.update(Update::<A>::rows(A::name.eq("there")).set(A::n, 2));
    transact(&client, change).await;
    let mut change = Transaction::new();
    change.delete::<A>(A::name.eq("there"));
    transact(&client, change).await;

    let mut told = Vec::new();
    for monitor in &mut monitors {
        let updates = tokio::time::timeout(PATIENCE, monitor.next()).await;
        let updates = updates.unwrap().unwrap();
        let row = updates["A"].values().next().unwrap().clone();
        told.push((row.old.is_some(), row.new.is_some()));
    }
    assert_eq!(told, [(false, true), (true, true), (true, false)]);
    server.kill();
    for monitor in &mut monitors {
        let end = tokio::time::timeout(PATIENCE, monitor.next()).await;
        assert_eq!(end.unwrap(), None);
    }
}
