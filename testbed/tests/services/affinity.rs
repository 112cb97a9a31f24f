//! `sessionAffinity: ClientIP`: who keeps whom, and for how long.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{Dial, Protocol};
use sluice_testbed::layout::BRIDGE;
use sluice_testbed::node::Daemon;
use sluice_testbed::objects::Object;
use sluice_testbed::suite::Scenario;
use sluice_testbed::{agent, run};

use crate::bench::{Bench, FAMILIES, SETTLED, ask, plain};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("a_client_keeps_its_endpoint", keeps),
    ("a_client_is_free_after_the_timeout", timeout),
    ("affinity_survives_the_agent", restart),
    ("turning_affinity_on_and_off_breaks_nothing", on_and_off),
];

/// Longer than any of these scenarios.
const LONG: u32 = 10_800;
const ALL: [&str; 4] = ["a1", "b1", "a2", "c2"];

fn sticky(name: &str, number: u16, seconds: u32) -> Object {
    plain(name, number).affinity(seconds)
}

/// The one server that answers all of `count` questions.
fn only(bench: &Bench<'_>, place: &str, dial: &Dial, count: usize) -> Result<String> {
    let tally = bench.many(place, dial, count)?;
    let servers = tally.all_answered()?.servers();
    ensure!(
        servers.len() == 1,
        "{place} → {}: {:?} answer",
        dial.target,
        tally.by()
    );
    Ok(servers.concat())
}

/// Others come and go; a client moves only when its own endpoint goes, and then once.
fn keeps(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &ALL)?;
    bench.folder.put(&sticky("sticky", 1, LONG))?;
    bench.endpoints("sticky", &["a1", "b1", "a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            bench.endpoints("sticky", &["a1", "b1", "a2"])?;
            bench.folder.settle()?;
            let dial = ask(protocol, 1, ipv6);
            let own = only(&bench, "c1", &dial, 40)?;
            let others: Vec<&str> = ALL.into_iter().filter(|place| *place != own).collect();
            // Each other one leaves and returns, in whatever order they are listed.
            for absent in &others {
                let mut present: Vec<&str> =
                    ALL.into_iter().filter(|place| place != absent).collect();
                present.reverse();
                bench.endpoints("sticky", &present)?;
                bench.folder.settle()?;
                let now = only(&bench, "c1", &dial, 10)?;
                ensure!(now == own, "{own} became {now} when {absent} went");
            }
            bench.endpoints("sticky", &others)?;
            bench.folder.settle()?;
            let next = only(&bench, "c1", &dial, 20).context("after its own endpoint went")?;
            bench.endpoints("sticky", &ALL)?;
            bench.folder.settle()?;
            let now = only(&bench, "c1", &dial, 20)?;
            ensure!(now == next, "{next} became {now} when {own} came back");
        }
    }
    Ok(())
}

/// How many endpoints the switch keeps for a client.
fn learned(bench: &Bench<'_>, node: u8, client: &str) -> Result<usize> {
    let address = format!("nw_src={}", bench.address(client, false)?);
    let text = bench.node(node)?.sh(
        "ovs-ofctl",
        &[
            "-O",
            "OpenFlow13",
            "--names",
            "dump-flows",
            BRIDGE,
            "table=Affinity",
        ],
    )?;
    let words = text.lines().flat_map(|line| line.split([',', ' ']));
    Ok(words.filter(|word| *word == address).count())
}

/// Three Services whose client has learned one endpoint each: while it comes back, it stays; when it has not come
/// for the timeout, it is a new client. A new client's endpoint depends on the client, so at most one of the three
/// can have been learned what is chosen then.
fn timeout(cluster: &mut Cluster) -> Result<()> {
    const SECONDS: u32 = 3;
    let mut bench = Bench::serving(cluster, &ALL)?;
    let places = ["a1", "b1", "a2"];
    for (number, place) in (1..).zip(places) {
        let name = format!("brief-{place}");
        bench.folder.put(&sticky(&name, number, SECONDS))?;
        bench.endpoints(&name, &[place])?;
    }
    bench.folder.settle()?;
    let began = Instant::now();
    for (number, place) in (1..).zip(places) {
        bench.expect("c1", &ask(Protocol::Tcp, number, false), 3, &[place])?;
    }
    for place in places {
        bench.endpoints(&format!("brief-{place}"), &ALL)?;
    }
    bench.folder.settle()?;
    // New connections, well within the timeout of each other, for longer than it.
    let mut rounds = 0;
    while began.elapsed() < Duration::from_secs(u64::from(SECONDS) + 2) {
        for (number, place) in (1..).zip(places) {
            bench
                .expect("c1", &ask(Protocol::Tcp, number, false), 1, &[place])
                .with_context(|| format!("{:?} after the first", began.elapsed()))?;
        }
        rounds += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    let last = Instant::now();
    let kept = learned(&bench, 1, "c1")?;
    ensure!(kept == 3, "the switch keeps {kept} endpoints for c1, not 3");
    run::wait_for("the switch to forget", Duration::from_secs(15), || {
        Ok((learned(&bench, 1, "c1")? == 0).then_some(()))
    })?;
    let forgot = last.elapsed();
    println!("    {rounds} rounds kept, forgotten {forgot:?} after the last");
    ensure!(
        forgot > Duration::from_secs(u64::from(SECONDS) - 1),
        "forgotten after {forgot:?} of {SECONDS} s"
    );
    let mut moved = 0;
    for (number, place) in (1..).zip(places) {
        // Until the datapath forgets too, it may send a connection where the switch no longer would.
        let now = run::wait_for("a client to have one endpoint", SETTLED, || {
            Ok(only(&bench, "c1", &ask(Protocol::Tcp, number, false), 10).ok())
        })?;
        moved += usize::from(now != place);
    }
    ensure!(moved >= 2, "only {moved} of 3 clients are free again");
    Ok(())
}

fn restart(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &ALL)?;
    for (number, place) in (1..).zip(ALL) {
        let name = format!("kept-{place}");
        bench.folder.put(&sticky(&name, number, LONG))?;
        bench.endpoints(&name, &[place])?;
    }
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for (number, place) in (1..).zip(ALL) {
            bench.expect("c1", &ask(Protocol::Tcp, number, ipv6), 3, &[place])?;
        }
    }
    for place in ALL {
        bench.endpoints(&format!("kept-{place}"), &ALL)?;
    }
    bench.folder.settle()?;
    let node = bench.node(1)?;
    for signal in ["TERM", "KILL"] {
        node.end(Daemon::Agent, signal)?;
        agent::start(&node)?;
        bench
            .cluster
            .record(std::slice::from_ref(&node), &[Daemon::Agent])?;
        agent::wait_ready(&node)?;
        for ipv6 in FAMILIES {
            for (number, place) in (1..).zip(ALL) {
                bench
                    .expect("c1", &ask(Protocol::Tcp, number, ipv6), 5, &[place])
                    .with_context(|| format!("after SIG{signal}"))?;
            }
        }
    }
    Ok(())
}

fn on_and_off(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &ALL)?;
    bench.publish("fickle", 1, &ALL)?;
    bench.folder.settle()?;
    let dial = ask(Protocol::Tcp, 1, false);
    bench.expect("c1", &dial, 80, &ALL)?;
    bench.folder.put(&sticky("fickle", 1, LONG))?;
    bench.folder.settle()?;
    only(&bench, "c1", &dial, 40)?;
    bench.folder.put(&plain("fickle", 1))?;
    bench.folder.settle()?;
    bench.expect("c1", &dial, 80, &ALL)?;
    Ok(())
}
