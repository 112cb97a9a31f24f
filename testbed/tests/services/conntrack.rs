//! Conntrack only where it is needed: the ways in which that idea breaks connections when it is done naively, each
//! with the traffic that showed it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{self, Conn, Dial, Protocol, Why};
use sluice_testbed::node::Daemon;
use sluice_testbed::objects;
use sluice_testbed::steady::{Held, Pulse};
use sluice_testbed::suite::{self, Scenario};
use sluice_testbed::{agent, datapath, run};

use crate::bench::{Bench, FAMILIES, PORT, PORTS, ask, port, vips};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("endpoints_are_reached_directly", direct),
    ("connections_outlive_their_endpoints_entry", entry_gone),
    (
        "one_port_for_the_service_and_then_its_endpoint",
        |cluster| one_port(cluster, Order::ServiceFirst),
    ),
    ("one_port_for_an_endpoint_and_then_its_service", |cluster| {
        one_port(cluster, Order::EndpointFirst)
    }),
    ("isolation_stops_what_it_must_and_nothing_else", isolation),
    ("fragments_pass", fragments),
    ("errors_of_an_endpoint_come_back", errors),
    ("what_is_over_is_soon_forgotten", forgotten),
];

/// Connections of each kind.
const ROUNDS: usize = 100;
/// The zones of connections to Services: as clients make them, and as they are on the wire.
const ZONES: [u16; 2] = [20_929, 20_930];
/// Within that, connections that are over are forgotten: five seconds, and the time until conntrack tidies up.
const FORGOTTEN: Duration = Duration::from_secs(25);
/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(400);

/// What is connected directly was never translated, and must not be taken for a reply that was.
fn direct(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2", "c1", "n2"])?;
    let plainly = |bench: &Bench<'_>, client: &str, place: &str, ipv6| -> Result<Dial> {
        let _ = client;
        Ok(Dial::tcp(bench.address(place, ipv6)?, PORT))
    };
    // Some are up before their end becomes an endpoint, and stay when it no longer is one.
    let mut held = Vec::new();
    for ipv6 in FAMILIES {
        for (client, place) in [
            ("c1", "a1"),
            ("c1", "a2"),
            ("n1", "a1"),
            ("a1", "c1"),
            ("a1", "a2"),
        ] {
            let dial = plainly(&bench, client, place, ipv6)?;
            held.push((client, place, Held::open(&bench.netns(client)?, &dial, 2)?));
        }
    }
    bench.publish("web", 1, &["a1", "a2", "n2"])?;
    bench.folder.settle()?;
    let count = bench.count(ROUNDS);
    for ipv6 in FAMILIES {
        for client in ["c1", "c2", "n1", "b1"] {
            for place in ["a1", "a2", "n2"] {
                for protocol in Protocol::ALL {
                    let dial = Dial::new(protocol, bench.address(place, ipv6)?, PORT);
                    bench.expect(client, &dial, count, &[place])?;
                }
            }
        }
        // An endpoint is a client, too: of a pod, of itself by name, of another endpoint, of the world.
        for place in ["c1", "a2", "n2"] {
            let dial = Dial::tcp(bench.address(place, ipv6)?, PORT);
            bench.expect("a1", &dial, count, &[place])?;
        }
        bench.expect(
            "a1",
            &ask(Protocol::Tcp, 1, ipv6),
            count,
            &["a1", "a2", "n2"],
        )?;
    }
    for (client, place, held) in &held {
        held.wait(3)
            .with_context(|| format!("{client} → {place}"))?;
    }
    bench.endpoints("web", &[])?;
    bench.folder.settle()?;
    for (client, place, held) in held {
        held.wait(3)?;
        held.finish_whole()
            .with_context(|| format!("{client} → {place}"))?;
    }
    Ok(())
}

/// What an endpoint answers on connections that are up is translated although it is no endpoint any more, whoever
/// forgets it in the meantime.
fn entry_gone(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2", "c1", "b1"])?;
    bench.publish("web", 1, &["a1", "a2"])?;
    bench.publish("self", 2, &["c1"])?;
    bench.folder.settle()?;
    let mut held = Vec::new();
    for ipv6 in FAMILIES {
        for client in ["c1", "c2", "n1"] {
            let dial = ask(Protocol::Tcp, 1, ipv6);
            held.push((client, Held::open(&bench.netns(client)?, &dial, 4)?));
        }
        let dial = ask(Protocol::Tcp, 2, ipv6);
        held.push(("c1", Held::open(&bench.netns("c1")?, &dial, 2)?));
    }
    let wait = |held: &[(&str, Held)], what: &'static str| {
        held.iter()
            .try_for_each(|(_, held)| held.wait(3))
            .context(what)
    };
    bench.endpoints("web", &["b1"])?;
    bench.endpoints("self", &["b1"])?;
    bench.folder.settle()?;
    wait(&held, "after the endpoints went")?;
    let node = bench.node(1)?;
    node.end(Daemon::Agent, "KILL")?;
    wait(&held, "while the agent was away")?;
    agent::start(&node)?;
    bench
        .cluster
        .record(std::slice::from_ref(&node), &[Daemon::Agent])?;
    agent::wait_ready(&node)?;
    bench.folder.settle()?;
    wait(&held, "after the agent came back")?;
    for (client, held) in held {
        held.finish_whole().context(client)?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    ServiceFirst,
    EndpointFirst,
}

/// To a client these are two connections, to the endpoint they would be one.
fn one_port(cluster: &mut Cluster, order: Order) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    bench.publish("near", 1, &["a1"])?;
    bench.publish("far", 2, &["a2"])?;
    // So that what the client sends might be an answer.
    bench.publish("own", 3, &["c1"])?;
    bench.folder.settle()?;
    let (client, count) = (bench.netns("c1")?, bench.count(40));
    let mut source = match order {
        // Beyond those that the kernel gives out, so that nobody else has used one a moment ago.
        Order::ServiceFirst => 61_000,
        Order::EndpointFirst => 63_000,
    };
    for ipv6 in FAMILIES {
        for (number, place) in [(1, "a1"), (2, "a2")] {
            for protocol in Protocol::ALL {
                // Fragments have no ports to go by.
                let size = if protocol == Protocol::Udp { 4000 } else { 0 };
                let service = ask(protocol, number, ipv6).of_size(size);
                let endpoint = Dial::new(protocol, bench.address(place, ipv6)?, PORT);
                let endpoint = endpoint.of_size(size);
                let dials = match order {
                    Order::ServiceFirst => [service, endpoint],
                    Order::EndpointFirst => [endpoint, service],
                };
                for round in 0..count {
                    source += 1;
                    // The first is open still, was closed, or was cut off.
                    let way = ["open", "closed", "cut off"][round % 3];
                    pair(&client, &dials, source, way).with_context(|| {
                        format!("{protocol:?} {place}, IPv6: {ipv6}, round {round}, first {way}")
                    })?;
                }
            }
        }
    }
    Ok(())
}

fn pair(client: &str, dials: &[Dial; 2], source: u16, way: &str) -> Result<()> {
    let open = |dial: &Dial| -> Result<Conn> {
        let mut dial = dial.clone().from_port(source);
        dial.abort = way == "cut off";
        let mut conn = dial::open(client, &dial)?;
        conn.ask("first")?;
        Ok(conn)
    };
    let [first, second] = dials;
    let mut one = Some(open(first).with_context(|| format!("first, {}", first.target))?);
    if way != "open" {
        one = None;
    }
    let mut two = open(second).with_context(|| format!("second, {}", second.target))?;
    for round in 0..3 {
        if let Some(one) = &mut one {
            one.ask(&format!("one-{round}"))
                .context("the first again")?;
        }
        two.ask(&format!("two-{round}"))
            .context("the second again")?;
    }
    Ok(())
}

/// A pod is isolated while it has connections: those that a rule allows go on, those of which the pod is the client
/// go on, and the others stop. Whatever of it is new is judged, too.
fn isolation(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2", "c2"])?;
    for name in ["c1", "a1", "b1", "a2", "c2"] {
        let pod = bench.cluster.pod(name)?.clone();
        bench
            .folder
            .put(&objects::pod(&pod, &[("app", name)], &PORTS))?;
    }
    bench.publish("web", 1, &["a1"])?;
    bench.publish("others", 2, &["a2", "c2"])?;
    bench.folder.settle()?;
    let interval = suite::interval(bench.cluster.options());
    let (mut allowed, mut denied, mut pulses) = (Vec::new(), Vec::new(), Vec::new());
    for ipv6 in FAMILIES {
        let direct = |place| Ok::<_, anyhow::Error>(Dial::tcp(bench.address(place, ipv6)?, PORT));
        let web = ask(Protocol::Tcp, 1, ipv6);
        for (client, dial) in [
            ("c1", direct("a1")?),
            ("c1", web.clone()),
            ("n1", direct("a1")?),
            ("n1", web.clone()),
            ("a1", direct("b1")?),
            ("a1", direct("a2")?),
            ("a1", ask(Protocol::Tcp, 2, ipv6)),
        ] {
            let what = format!("{client} → {}", dial.target);
            allowed.push((what, Held::open(&bench.netns(client)?, &dial, 2)?));
        }
        for (client, dial) in [
            ("b1", direct("a1")?),
            ("b1", web.clone()),
            ("a2", direct("a1")?),
            ("c2", web),
        ] {
            let mut dial = dial;
            dial.limit = Duration::from_secs(2);
            let what = format!("{client} → {}", dial.target);
            denied.push((what, Held::open(&bench.netns(client)?, &dial, 2)?));
        }
        for (client, dial) in [
            ("c1", Dial::udp(bench.address("a1", ipv6)?, PORT)),
            ("c1", ask(Protocol::Udp, 1, ipv6)),
            ("a1", Dial::udp(bench.address("a2", ipv6)?, PORT)),
            ("a1", ask(Protocol::Udp, 2, ipv6)),
        ] {
            let what = format!("{client} → {}", dial.target);
            pulses.push((
                what,
                Pulse::start(&bench.netns(client)?, &dial, interval * 4)?,
            ));
        }
    }
    let policy = objects::ingress_policy(
        "only-c1",
        &[("app", "a1")],
        json!([{"from": [{"podSelector": {"matchLabels": {"app": "c1"}}}]}]),
    );
    bench.folder.put(&policy)?;
    bench.folder.settle()?;
    for (what, held) in &allowed {
        held.wait(5).context(what.clone())?;
    }
    pulses.iter().try_for_each(|(_, pulse)| pulse.wait(50))?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            let direct = Dial::new(protocol, bench.address("a1", ipv6)?, PORT);
            let service = ask(protocol, 1, ipv6);
            for dial in [direct, service] {
                for client in ["c1", "n1"] {
                    bench.expect(client, &dial, 20, &["a1"])?;
                }
                for client in ["b1", "a2", "c2"] {
                    let failure = bench.fails(client, &dial.clone().within(SILENCE))?;
                    ensure!(failure.why == Why::Timeout, "{client}: {failure}");
                }
            }
        }
    }
    for (what, held) in allowed {
        held.finish_whole().context(what)?;
    }
    for (what, pulse) in pulses {
        let report = pulse.finish()?;
        println!(
            "    {what}: {} datagrams, {} lost",
            report.sent,
            report.lost.len()
        );
        // Without a handshake it takes the client's next datagram to tell who is the client.
        report.lost_at_most(2).context(what)?;
    }
    for (what, held) in denied {
        let count = held.servers().len();
        let report = held.finish()?;
        ensure!(
            report.broken.len() == count,
            "{what}: {count} connections, only {} stopped: {:?}",
            report.broken.len(),
            report.broken
        );
    }
    bench.folder.take(&policy)?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        bench.expect("b1", &ask(Protocol::Tcp, 1, ipv6), 5, &["a1"])?;
    }
    Ok(())
}

/// Datagrams of several fragments, both ways.
fn fragments(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2", "n2", "c1"])?;
    for name in ["c1", "a1"] {
        let pod = bench.cluster.pod(name)?.clone();
        bench
            .folder
            .put(&objects::pod(&pod, &[("app", name)], &PORTS))?;
    }
    for (number, place) in (1..).zip(["a1", "a2", "n2", "c1"]) {
        bench.publish(&format!("big-{place}"), number, &[place])?;
    }
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    bench.folder.put(
        &objects::service("big-port", &vips(5))
            .node_port("http", tcp, port(tcp), 30_005)
            .node_port("dns", udp, port(udp), 31_005),
    )?;
    bench.endpoints("big-port", &["a1"])?;
    bench.folder.settle()?;
    for policed in [false, true] {
        if policed {
            bench.folder.put(&objects::ingress_policy(
                "udp-only",
                &[("app", "a1")],
                json!([{"ports": [{"protocol": "UDP", "port": PORT}]}]),
            ))?;
            bench.folder.settle()?;
        }
        let count = bench.count(25);
        for ipv6 in FAMILIES {
            for size in [4000, 20_000] {
                for (number, place) in (1..).zip(["a1", "a2", "n2", "c1"]) {
                    for client in ["c1", "n1"] {
                        let dial = ask(udp, number, ipv6).of_size(size);
                        if place == "n2" {
                            // A host that answers learns by its first large datagram how small the way is.
                            let _learnt = bench.many(client, &dial.clone().within(SILENCE), 2)?;
                        }
                        bench
                            .expect(client, &dial, count, &[place])
                            .with_context(|| format!("{size} bytes, policed: {policed}"))?;
                    }
                    let direct = Dial::udp(bench.address(place, ipv6)?, PORT).of_size(size);
                    if place == "n2" {
                        let _learnt = bench.many("c1", &direct.clone().within(SILENCE), 2)?;
                    }
                    if place != "c1" {
                        bench
                            .expect("c1", &direct, count, &[place])
                            .with_context(|| format!("{size} bytes, policed: {policed}"))?;
                    }
                }
                let dial = Dial::udp(bench.address("n1", ipv6)?, 31_005).of_size(size);
                for client in ["outside", "c2"] {
                    let _learnt = bench.many(client, &dial.clone().within(SILENCE), 2)?;
                    bench
                        .expect(client, &dial, count, &["a1"])
                        .with_context(|| format!("{size} bytes, policed: {policed}"))?;
                }
            }
        }
    }
    Ok(())
}

/// What an endpoint says by ICMP is about the Service's address when it reaches the client, or it would not be heard.
fn errors(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    bench.publish("closed-here", 1, &["a1"])?;
    bench.publish("closed-there", 2, &["a2"])?;
    bench.publish("closed-self", 3, &["c1"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for number in [1, 2, 3] {
            for protocol in Protocol::ALL {
                for client in ["c1", "n1"] {
                    let failure = bench.fails(client, &ask(protocol, number, ipv6))?;
                    ensure!(
                        failure.why == Why::Refused,
                        "{client} → Service {number}, {protocol:?}, IPv6: {ipv6}: {failure}"
                    );
                }
            }
        }
    }
    Ok(())
}

/// A connection has one of few source ports on the wire for as long as conntrack knows it.
fn forgotten(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    bench.publish("web", 1, &["a1", "a2"])?;
    bench.folder.settle()?;
    let node = bench.node(1)?;
    let known = || -> Result<usize> {
        let zones = ZONES.map(|zone| datapath::connections(&node, zone));
        let mut tcp = 0;
        for lines in zones {
            tcp += lines?.iter().filter(|line| line.starts_with("tcp")).count();
        }
        Ok(tcp)
    };
    let count = bench.count(ROUNDS);
    for ipv6 in FAMILIES {
        bench.expect("c1", &ask(Protocol::Tcp, 1, ipv6), count, &["a1", "a2"])?;
    }
    let held = Held::open(&bench.netns("c1")?, &ask(Protocol::Tcp, 1, false), 1)?;
    let at_first = known()?;
    ensure!(
        at_first > 2 * count,
        "conntrack knows only {at_first} connections"
    );
    // In each zone the one that is held. By default the others are known for 45 seconds and more.
    run::wait_for("conntrack to forget", FORGOTTEN, || {
        Ok((known()? == 2).then_some(()))
    })
    .with_context(|| format!("conntrack knew {at_first}"))?;
    held.wait(2)?;
    held.finish_whole()?;
    Ok(())
}
