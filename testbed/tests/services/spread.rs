//! How connections spread over endpoints, and who moves when one goes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{self, Dial, Protocol, Tally};
use sluice_testbed::objects::{self, Endpoint};
use sluice_testbed::serve::{Listen, Server};
use sluice_testbed::suite::Scenario;
use sluice_testbed::{layout, netns, run};

use crate::bench::{Bench, FAMILIES, ask, port, vips};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("a_hundred_clients_spread_evenly", hundred_clients),
    ("one_client_reaches_every_endpoint", one_client),
    ("only_the_connections_of_a_lost_endpoint_move", removal),
];

/// Ten endpoints: so many ports of each of these pods of the first node.
const PLACES: [&str; 2] = ["a1", "b1"];
const EACH: u16 = 5;
const FIRST: u16 = 9001;
const SERVICE: &str = "ten";
const NUMBER: u16 = 1;

fn names() -> Vec<String> {
    let ports = FIRST..FIRST + EACH;
    PLACES
        .iter()
        .flat_map(|place| ports.clone().map(move |port| format!("{place}-{port}")))
        .collect()
}

/// Ten servers, and the Service of those in `present`.
struct Ten {
    /// They serve until this is dropped.
    _servers: Vec<Server>,
}

impl Ten {
    fn start(bench: &Bench<'_>) -> Result<Self> {
        let mut servers = Vec::new();
        for place in PLACES {
            for port in FIRST..FIRST + EACH {
                let mut listen = Vec::new();
                for ipv6 in FAMILIES {
                    let address = (bench.address(place, ipv6)?, port).into();
                    listen.extend([Listen::Tcp(address), Listen::Udp(address)]);
                }
                let name = format!("{place}-{port}");
                servers.push(Server::start(&bench.netns(place)?, &name, &listen)?);
            }
        }
        Ok(Self { _servers: servers })
    }
}

fn publish(bench: &mut Bench<'_>, absent: &[&str]) -> Result<()> {
    let load_balanced = ["192.0.2.77", "2001:db8::77"]
        .iter()
        .try_fold(objects::service(SERVICE, &vips(NUMBER)), |object, ip| {
            Ok::<_, anyhow::Error>(object.load_balancer(ip.parse()?))
        })?;
    bench.folder.put(
        &load_balanced
            .with("/spec/externalTrafficPolicy", "Local")
            .port("http", Protocol::Tcp, port(Protocol::Tcp), "http")
            .port("dns", Protocol::Udp, port(Protocol::Udp), "dns"),
    )?;
    let mut slices = Vec::new();
    for ipv6 in FAMILIES {
        for target in FIRST..FIRST + EACH {
            let endpoints = PLACES
                .iter()
                .filter(|place| !absent.contains(&format!("{place}-{target}").as_str()))
                .map(|place| bench.endpoint(place, ipv6))
                .collect::<Result<Vec<Endpoint>>>()?;
            slices.push(objects::slice(
                SERVICE,
                &format!("{target}-{}", u8::from(ipv6)),
                ipv6,
                &[
                    ("http", Protocol::Tcp, target),
                    ("dns", Protocol::Udp, target),
                ],
                &endpoints,
            ));
        }
    }
    bench.folder.put_together("slices-ten.yaml", &slices)?;
    bench.folder.settle()
}

/// The shares, and how far the least and the most are from even, in per cent.
fn shares(tally: &Tally, among: usize) -> Result<(BTreeMap<&str, usize>, f64, f64)> {
    let by = tally.by();
    ensure!(by.len() == among, "{} of {among} answer: {by:?}", by.len());
    let even = tally.outcomes.len() as f64 / among as f64;
    let off = |count: Option<&usize>| (*count.unwrap_or(&0) as f64 / even - 1.0) * 100.0;
    let (low, high) = (off(by.values().min()), off(by.values().max()));
    Ok((by, low, high))
}

/// Clients beyond the nodes, each with an address of its own, which the switch gets to see.
fn hundred_clients(cluster: &mut Cluster) -> Result<()> {
    const CLIENTS: u8 = 100;
    let mut bench = Bench::new(cluster)?;
    let _ten = Ten::start(&bench)?;
    publish(&mut bench, &[])?;
    let outside = bench.netns("outside")?;
    let addresses: Vec<IpAddr> = (0..CLIENTS)
        .map(|number| IpAddr::from([172, 30, 0, 100 + number]))
        .collect();
    let mut lines: Vec<String> = addresses
        .iter()
        .map(|address| format!("addr replace {address}/24 dev br0"))
        .collect();
    lines.push(format!(
        "route replace 192.0.2.0/24 via {}",
        layout::underlay_v4(1)
    ));
    run::ip_batch(&outside, &lines)?;
    let each = bench.count(10_000) / usize::from(CLIENTS);
    let dial = Dial::tcp("192.0.2.77".parse()?, port(Protocol::Tcp));
    let mut threads = Vec::new();
    for clients in addresses.chunks(usize::from(CLIENTS) / 4) {
        let (clients, dial) = (clients.to_vec(), dial.clone());
        threads.push(netns::within(&outside, move || {
            let mut tally = Tally::default();
            for number in 0..each {
                for client in &clients {
                    let dial = dial.clone().from_address(*client);
                    tally.outcomes.push(dial::single(&dial, number));
                }
            }
            Ok(tally)
        })?);
    }
    let mut all = Tally::default();
    for thread in threads {
        all.outcomes.extend(netns::join(thread)?.outcomes);
    }
    all.all_answered()?;
    let seen = all.seen();
    ensure!(
        seen == addresses,
        "the servers saw {} clients: {seen:?}",
        seen.len()
    );
    let (by, low, high) = shares(&all, 10)?;
    println!(
        "    {} connections of {CLIENTS} clients: {low:+.1} % to {high:+.1} %",
        all.outcomes.len()
    );
    // In the guest there are fewer connections, and more is left to chance.
    let bound = if all.outcomes.len() >= 10_000 {
        15.0
    } else {
        35.0
    };
    ensure!(
        low > -bound && high < bound,
        "further than {bound} % from even: {by:?}"
    );
    Ok(())
}

fn one_client(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    let _ten = Ten::start(&bench)?;
    publish(&mut bench, &[])?;
    for ipv6 in FAMILIES {
        let dial = ask(Protocol::Tcp, NUMBER, ipv6);
        let tally = bench.many("c1", &dial, bench.count(2000))?;
        tally.all_answered()?;
        let (by, low, high) = shares(&tally, 10)?;
        println!("    one client: {low:+.1} % to {high:+.1} %");
        ensure!(low > -66.0, "less than a third of its share: {by:?}");
    }
    // With holes where endpoints were, the others share what was theirs.
    publish(&mut bench, &["a1-9001", "a1-9003", "b1-9002", "b1-9005"])?;
    let dial = ask(Protocol::Tcp, NUMBER, false);
    let tally = bench.many("c1", &dial, bench.count(1200))?;
    tally.all_answered()?;
    let (by, low, high) = shares(&tally, 6)?;
    println!("    after four of ten went: {low:+.1} % to {high:+.1} %");
    ensure!(low > -66.0, "less than a third of its share: {by:?}");
    Ok(())
}

/// The same client, port for port, before and after; what conntrack remembers is forgotten in between.
fn removal(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    let _ten = Ten::start(&bench)?;
    publish(&mut bench, &[])?;
    let ask_all = |bench: &Bench<'_>| -> Result<Vec<(u16, String)>> {
        bench.node(1)?.sh(
            "ovs-appctl",
            &["-t", "ovs-vswitchd", "dpctl/flush-conntrack"],
        )?;
        let client = bench.netns("c1")?;
        (0..200_u16)
            .map(|number| {
                let source = 21_000 + number * 6;
                let dial = ask(Protocol::Udp, NUMBER, false).from_port(source);
                let answer = dial::once(&client, &dial)?.context("no answer")?;
                Ok((source, answer.by))
            })
            .collect()
    };
    let before = ask_all(&bench)?;
    ensure!(
        before == ask_all(&bench)?,
        "with nothing changed, the same ports lead elsewhere"
    );
    let names = names();
    let gone = names.get(3).context("ten names")?;
    publish(&mut bench, &[gone])?;
    let after = ask_all(&bench)?;
    let (mut moved, mut own) = (0, 0);
    for ((source, old), (_, new)) in before.iter().zip(&after) {
        ensure!(new != gone, "{gone} answers though it has gone");
        own += usize::from(old == gone);
        moved += usize::from(old != new);
        ensure!(
            old == new || old == gone,
            "port {source} moved from {old} to {new} when {gone} went"
        );
    }
    ensure!(own > 0, "{gone} had none of 200 connections");
    ensure!(own == moved, "{own} were its own, {moved} moved");
    println!("    {moved} of 200 connections moved, all of them its own");
    publish(&mut bench, &[])?;
    let back: Vec<_> = ask_all(&bench)?;
    let elsewhere = before.iter().zip(&back).filter(|(old, new)| old != new);
    println!("    {} elsewhere after it came back", elsewhere.count());
    Ok(())
}
