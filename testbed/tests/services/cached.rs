//! What the datapath has cached of before a change: it must not outlast it, and while a packet goes by the old flows up
//! to conntrack and by the new ones from there on, it must come to something.
//!
//! Revalidators can be held up (`revalidator/pause`): what is a moment otherwise is as long as a test needs then.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::datapath;
use sluice_testbed::dial::{self, Dial, Outcome, Protocol, Why};
use sluice_testbed::look;
use sluice_testbed::node::Node;
use sluice_testbed::run;
use sluice_testbed::steady::{Held, Load, Pulse};
use sluice_testbed::suite::{self, Scenario};

// Each scenario has clusterIPs of its own, of which nothing is cached yet.
use crate::bench::{Bench, FAMILIES, OTHER_PORT, PORT, SETTLED, ask, plain};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("cached_flows_are_right_after_each_change", caches),
    (
        "new_connections_are_served_where_affinity_has_just_ended",
        affinity_ends,
    ),
    (
        "new_connections_wait_for_an_endpoint_that_has_just_come",
        local_comes,
    ),
    (
        "an_endpoint_to_be_goes_on_talking_to_its_clients",
        endpoint_to_be,
    ),
    (
        "what_is_cached_of_an_endpoint_to_be_delays_one_answer",
        stale_answer,
    ),
];

/// Connections held open by one client.
const HELD: usize = 9;
/// The datapath has put in order what it has cached.
const SUMMED_UP: Duration = Duration::from_millis(1200);
/// Longer than what is cached lives when nothing uses it: ten seconds.
const IDLE: Duration = Duration::from_secs(30);
/// Long enough for a SYN to be sent again, twice.
const PATIENCE: Duration = Duration::from_secs(8);

/// The number of source-port bits that tell endpoints apart goes up and down (five for three endpoints, two for four,
/// none for one) while the datapath has flows cached that look at more, of connections that live. Cached flows that
/// overlap must not come of it: before 2.17.8, 3.0.5 and 3.1.3 the userspace datapath may change the wrong one of them,
/// and what it left as it was leads nowhere.
fn caches(cluster: &mut Cluster) -> Result<()> {
    const ROUNDS: usize = 3;
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2", "c2"])?;
    let (node, client) = (bench.node(1)?, bench.netns("c1")?);
    let (one, three, four) = (["c2"], ["a1", "b1", "a2"], ["a1", "b1", "a2", "c2"]);
    let before = datapath::upcall_errors(&node)?;
    let families = FAMILIES.into_iter().cycle().take(ROUNDS * FAMILIES.len());
    for (number, ipv6) in (1..).zip(families) {
        let name = format!("cached-{number}");
        let dial = ask(Protocol::Tcp, number, ipv6).within(Duration::from_secs(2));
        bench.publish(&name, number, &three)?;
        bench.folder.settle()?;
        // A few values of these bits are cached, and stay so; others are not.
        let held = Held::open(&client, &dial, HELD)?;
        for (round, list) in [&four[..], &three, &one, &three, &[], &three]
            .into_iter()
            .enumerate()
        {
            bench.endpoints(&name, list)?;
            bench.folder.settle()?;
            let what = || format!("Service {number}, change {round}, to {list:?}");
            // The datapath looks first at what was met most, which it sums up once a second.
            let began = Instant::now();
            while began.elapsed() < SUMMED_UP {
                if list.is_empty() {
                    match bench.many("c1", &dial, 1)?.outcomes.first() {
                        Some(Err(failure)) => {
                            ensure!(failure.why == Why::Refused, "{}: {failure}", what());
                        }
                        _ => ensure!(began.elapsed() < SETTLED, "{}: it is answered", what()),
                    }
                } else {
                    let count = bench.count(60);
                    bench.expect("c1", &dial, count, list).with_context(what)?;
                }
            }
            held.wait(3).with_context(what)?;
        }
        held.finish_whole()?;
    }
    let errors = datapath::upcall_errors(&node)? - before;
    println!(
        "    {} masks, {errors} packets led nowhere",
        datapath::masks(&node)?
    );
    ensure!(errors == 0, "{errors} packets were led to what is no more");
    Ok(())
}

/// A node's revalidators stand still while this lives: what is cached stays as it is.
struct Paused<'a>(Option<&'a Node>);

impl<'a> Paused<'a> {
    fn new(node: &'a Node) -> Result<Self> {
        datapath::revalidators(node, false)?;
        Ok(Self(Some(node)))
    }

    /// Once: a switch whose revalidators do not stand still would wait forever for those that do.
    fn resume(mut self) -> Result<()> {
        let node = self.0.take();
        node.map_or(Ok(()), |node| datapath::revalidators(node, true))
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        if let Some(node) = self.0.take() {
            // Whoever could not resume has failed already.
            let _ = datapath::revalidators(node, true);
        }
    }
}

/// Asks from a namespace, in the background.
fn background(netns: String, dial: Dial) -> thread::JoinHandle<Result<Vec<Outcome>>> {
    thread::spawn(move || Ok(dial::many(&netns, &dial, 1)?.outcomes))
}

fn answered(asked: thread::JoinHandle<Result<Vec<Outcome>>>) -> Result<String> {
    let outcomes = asked.join().map_err(|_| anyhow::anyhow!("it panicked"))??;
    let outcome = outcomes.into_iter().next().context("nothing was asked")?;
    Ok(outcome?.by)
}

/// Waits until nothing is cached any more of new connections of a client that conntrack has been asked about: what is
/// cached of the established one, up to conntrack, is of new ones as well.
fn new_ones_forgotten(node: &Node, client: IpAddr) -> Result<()> {
    let client = format!("src={client}");
    run::wait_for("new connections not to be cached any more", IDLE, || {
        let cached = datapath::flows(node, "-est")?;
        let of_client = |line: &String| line.contains("+trk") && line.contains(&client);
        Ok((!cached.iter().any(of_client)).then_some(()))
    })
}

/// Packets that met what the agent puts in for the moment of a change, in table ServiceState.
fn belated(node: &Node) -> Result<u64> {
    let flows = look::flows(node)?;
    let passing =
        |line: &&String| line.contains("table=ServiceState,") && line.contains("hard_timeout=");
    let passing = flows.iter().filter(passing);
    Ok(passing
        .filter_map(|line| look::number(line, "n_packets="))
        .sum())
}

/// A Service whose clients kept their endpoint, which conntrack was asked about first, and keep it no more.
fn affinity_ends(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    let (node, client) = (bench.node(1)?, bench.netns("c1")?);
    for (number, ipv6) in (21..).zip(FAMILIES) {
        let name = format!("kept-{number}");
        bench.folder.put(&plain(&name, number).affinity(600))?;
        bench.endpoints(&name, &["a1", "a2"])?;
        bench.folder.settle()?;
        let dial = ask(Protocol::Tcp, number, ipv6).within(PATIENCE);
        let held = Held::open(&client, &dial, 1)?;
        new_ones_forgotten(&node, bench.address("c1", ipv6)?)?;
        let paused = Paused::new(&node)?;
        bench.folder.put(&plain(&name, number))?;
        bench.folder.settle()?;
        let tally = bench.many("c1", &dial, 3)?;
        tally
            .all_answered()
            .with_context(|| format!("while the change is taken in, IPv6: {ipv6}"))?;
        let met = belated(&node)?;
        paused.resume()?;
        ensure!(met > 0, "no packet met what is there for this moment");
        bench.expect("c1", &dial, 40, &["a1", "a2"])?;
        held.finish_whole()?;
    }
    Ok(())
}

/// A Service with `internalTrafficPolicy: Local` whose only endpoints were elsewhere, and one comes here: a new connection
/// is served at its second attempt, and is not refused.
fn local_comes(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    let (node, client) = (bench.node(1)?, bench.netns("c1")?);
    for (number, ipv6) in (31..).zip(FAMILIES) {
        let name = format!("local-{number}");
        bench.publish(&name, number, &["a2"])?;
        bench.folder.settle()?;
        let dial = ask(Protocol::Tcp, number, ipv6).within(PATIENCE);
        let held = Held::open(&client, &dial, 1)?;
        let local = plain(&name, number).with("/spec/internalTrafficPolicy", "Local");
        bench.folder.put(&local)?;
        bench.folder.settle()?;
        new_ones_forgotten(&node, bench.address("c1", ipv6)?)?;
        let paused = Paused::new(&node)?;
        bench.endpoints(&name, &["a1", "a2"])?;
        bench.folder.settle()?;
        let asked = background(client.clone(), dial.clone());
        run::wait_for("the connection to meet the old flows", PATIENCE, || {
            Ok((asked.is_finished() || belated(&node)? > 0).then_some(()))
        })?;
        paused.resume()?;
        let by = answered(asked).with_context(|| format!("IPv6: {ipv6}"))?;
        ensure!(by == "a1", "{by} answers");
        bench.expect("c1", &dial, 10, &["a1"])?;
        held.finish_whole()?;
    }
    Ok(())
}

/// A pod talks to a client directly, in both directions and from ports of either kind, while it becomes an endpoint of a
/// Service that the client uses, and ceases to be one.
fn endpoint_to_be(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "c1"])?;
    bench.publish("web", 1, &["b1"])?;
    bench.folder.settle()?;
    let interval = suite::interval(bench.cluster.options()) * 4;
    let (mut held, mut pulses, mut loads) = (Vec::new(), Vec::new(), Vec::new());
    for ipv6 in FAMILIES {
        for (client, place) in [("c1", "a1"), ("a1", "c1")] {
            let what = format!("{client} → {place}, IPv6: {ipv6}");
            let (netns, address) = (bench.netns(client)?, bench.address(place, ipv6)?);
            let (tcp, udp) = (Dial::tcp(address, PORT), Dial::udp(address, PORT));
            // Answers to one of these ports might be those of a Service's endpoint. Of TCP they are not its own, or else a
            // connection to the Service might be given the same two ports on the wire.
            let low = Dial::tcp(address, OTHER_PORT).from_port(20_001 + u16::from(ipv6));
            held.push((what.clone(), Held::open(&netns, &tcp, 2)?));
            held.push((format!("{what}, low port"), Held::open(&netns, &low, 1)?));
            pulses.push((what.clone(), Pulse::start(&netns, &udp, interval)?));
            let low = udp.from_port(20_001 + u16::from(ipv6));
            pulses.push((
                format!("{what}, low port"),
                Pulse::start(&netns, &low, interval)?,
            ));
            loads.push((what, Load::start(&netns, &tcp)?));
        }
        let service = ask(Protocol::Tcp, 1, ipv6);
        loads.push((
            format!("Service, IPv6: {ipv6}"),
            Load::start(&bench.netns("c1")?, &service)?,
        ));
    }
    for round in 0..8 {
        let list: &[&str] = [&["a1", "b1"][..], &["b1"], &["a1"], &["b1"]][round % 4];
        bench.endpoints("web", list)?;
        bench.folder.settle()?;
        for (what, load) in &loads {
            load.wait(20).with_context(|| what.clone())?;
        }
        for (what, held) in &held {
            held.wait(2).with_context(|| what.clone())?;
        }
    }
    for (what, load) in loads {
        load.finish()?.all_answered().context(what)?;
    }
    for (what, held) in held {
        held.finish_whole().context(what)?;
    }
    for (what, pulse) in pulses {
        pulse.finish()?.lost_at_most(0).context(what)?;
    }
    Ok(())
}

/// A pod that talked to a client directly becomes an endpoint, and its first answer goes by what is cached of before: the
/// client, to whom it means nothing, is answered at its second attempt. Afterwards they talk directly as before.
fn stale_answer(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "c1"])?;
    let (node, client) = (bench.node(1)?, bench.netns("c1")?);
    for (number, ipv6) in (41..).zip(FAMILIES) {
        let name = format!("fresh-{number}");
        bench.publish(&name, number, &["b1"])?;
        bench.folder.settle()?;
        let direct = |place| Ok::<_, anyhow::Error>(Dial::tcp(bench.address(place, ipv6)?, PORT));
        let (to, back) = (direct("a1")?, direct("c1")?);
        let held = [
            Held::open(&client, &to, 1)?,
            Held::open(&bench.netns("a1")?, &back, 1)?,
        ];
        let paused = Paused::new(&node)?;
        bench.endpoints(&name, &["a1"])?;
        bench.folder.settle()?;
        let dial = ask(Protocol::Tcp, number, ipv6).within(PATIENCE);
        let asked = background(client.clone(), dial.clone());
        // The first attempt has come to its end when its SYN has been refused, or answered.
        let wire = format!("dst={}", bench.address("a1", ipv6)?);
        run::wait_for("the connection to be known", PATIENCE, || {
            let known = datapath::connections(&node, 20_930)?;
            Ok(known.iter().any(|line| line.contains(&wire)).then_some(()))
        })?;
        paused.resume()?;
        let by = answered(asked).with_context(|| format!("IPv6: {ipv6}"))?;
        ensure!(by == "a1", "{by} answers");
        bench.expect("c1", &dial, 40, &["a1"])?;
        bench.expect("c1", &to, 40, &["a1"])?;
        bench.expect("a1", &back, 40, &["c1"])?;
        for held in held {
            held.wait(3)?;
            held.finish_whole()?;
        }
    }
    Ok(())
}
