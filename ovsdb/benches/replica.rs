//! A replica of a switch with 10,000 ports, measured against `ovsdb-client dump` in the same run.
//!
//! ```text
//! cargo bench -p ovsdb --bench replica [-- PORTS]
//! ```
//!
//! Prints: the time to a replica in sync and the ratio to `ovsdb-client dump`, alternating, medians;
//! the time from a transaction to the event of it on another connection; memory per row.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/server.rs"]
mod server;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ovsdb::vswitch::{self, Bridge, Interface, OpenVSwitch, Port};
use ovsdb::{Client, Insert, Mutate, Options, Remote, Replica, Transaction, Update};
use server::{PATIENCE, Server};

const ROUNDS: usize = 15;
const CHANGES: usize = 5000;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn fill(client: &Client, ports: usize) {
    let mut txn = Transaction::new();
    let bridge = txn.insert(Insert::<Bridge>::new().set(Bridge::name, "br0"));
    txn.insert(Insert::<OpenVSwitch>::new().set(OpenVSwitch::bridges, &bridge));
    client.transact(vswitch::DATABASE, txn).await.unwrap();
    for chunk in (0..ports).collect::<Vec<_>>().chunks(500) {
        let mut txn = Transaction::new();
        let mut refs = Vec::new();
        for n in chunk {
            let name = format!("sl{n:012x}");
            let interface = txn.insert(
                Insert::<Interface>::new()
                    .set(Interface::name, &name)
                    .set(Interface::r#type, "internal")
                    .set(Interface::ofport, i64::try_from(n + 1).unwrap())
                    .set(
                        Interface::external_ids,
                        [
                            ("sandbox", format!("{n:064x}")),
                            ("netns", format!("/run/netns/cni-{n:08x}")),
                            ("pod-namespace", "default".to_owned()),
                            ("pod-name", format!("app-{n}")),
                            (
                                "mac",
                                format!("0a:00:00:00:{:02x}:{:02x}", n / 256 % 256, n % 256),
                            ),
                            (
                                "ips",
                                format!("10.{}.{}.{}", n / 65536, n / 256 % 256, n % 256),
                            ),
                        ],
                    ),
            );
            refs.push(
                txn.insert(
                    Insert::<Port>::new()
                        .set(Port::name, &name)
                        .set(Port::interfaces, &interface),
                ),
            );
        }
        txn.mutate(Mutate::<Bridge>::rows(Bridge::name.eq("br0")).insert(Bridge::ports, refs));
        client.transact(vswitch::DATABASE, txn).await.unwrap();
    }
}

async fn replica(remote: Remote) -> Replica {
    let client = Client::connect([remote], Options::default());
    client
        .replica(vswitch::DATABASE)
        .everything()
        .open(PATIENCE)
        .await
        .unwrap()
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Run in a process of its own: what a replica adds to the resident set.
fn memory(remote: Remote) {
    runtime().block_on(async {
        let client = Client::connect([remote.clone()], Options::default());
        client.echo().await.unwrap();
        let before = resident();
        let replica = replica(remote).await;
        let snapshot = replica.read();
        let rows: usize = snapshot
            .table_names()
            .map(|t| snapshot.raw(t).unwrap().len())
            .sum();
        let bytes = resident().saturating_sub(before);
        println!(
            "memory: {rows} rows, {:.1} MB, {} bytes per row",
            bytes as f64 / 1e6,
            bytes / rows
        );
    });
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    if let [flag, remote] = &args[..]
        && flag == "--memory"
    {
        return memory(remote.parse().unwrap());
    }
    let ports = args.first().map_or(10_000, |n| n.parse().unwrap());
    let schema = std::fs::read_to_string("/usr/share/openvswitch/vswitch.ovsschema").unwrap();
    let server = Server::start(&schema);
    let remote = server.remote();
    runtime().block_on(async { fill(&server.client(), ports).await });
    println!("{ports} ports");

    let (mut ours, mut process, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let text = remote.to_string();
    let example = std::env::current_exe()
        .unwrap()
        .with_file_name("../examples/replica");
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let runtime = runtime();
        let held = runtime.block_on(replica(remote.clone()));
        ours.push(began.elapsed());
        drop((held, runtime));
        theirs.push(timed(Command::new("ovsdb-client").args([
            "dump",
            &text,
            vswitch::DATABASE,
        ])));
        if example.exists() {
            process.push(timed(
                Command::new(&example).args([&text, vswitch::DATABASE]),
            ));
        }
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("connect to replica in sync: {ours:.1?}");
    println!("ovsdb-client dump:          {theirs:.1?}");
    println!("ratio: {:.2}", ours.as_secs_f64() / theirs.as_secs_f64());
    if process.is_empty() {
        println!(
            "(cargo build --release -p ovsdb --example replica: then that program is measured, too)"
        );
    } else {
        let process = median(&mut process);
        println!("example replica, a process that prints it all: {process:.1?}");
        println!("ratio: {:.2}", process.as_secs_f64() / theirs.as_secs_f64());
    }

    runtime().block_on(latency(&server));
    let own = std::env::current_exe().unwrap();
    assert!(
        Command::new(own)
            .args(["--memory", &text])
            .status()
            .unwrap()
            .success()
    );
}

fn timed(command: &mut Command) -> Duration {
    let began = Instant::now();
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    began.elapsed()
}

/// One change made on one connection, to the event of it on another.
async fn latency(server: &Server) {
    let writer = Client::connect([server.remote()], Options::default());
    let replica = replica(server.remote()).await;
    let uuids: Vec<_> = replica
        .read()
        .raw("Interface")
        .unwrap()
        .iter()
        .map(|(uuid, _)| uuid)
        .collect();
    let mut changes = replica.changes();
    let mut times = Vec::new();
    for n in 0..CHANGES {
        let uuid = uuids[n * 7919 % uuids.len()];
        let mut txn = Transaction::new();
        txn.update(
            Update::<Interface>::rows(uuid)
                .set(Interface::mtu_request, i64::try_from(n + 1).unwrap()),
        );
        let began = Instant::now();
        let (reply, event) = tokio::join!(writer.transact(vswitch::DATABASE, txn), async {
            let change = changes.next().await.unwrap();
            (change, began.elapsed())
        });
        reply.unwrap();
        let (change, took) = event;
        assert_eq!((change.rows.len(), change.rows[0].uuid), (1, uuid));
        times.push(took);
    }
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100];
    println!(
        "one change to its event, {CHANGES} times: p50 {:.0?}, p99 {:.0?}",
        at(50),
        at(99)
    );
}
