//! What a packet costs: how often it goes through the datapath, counted on real packets, and how many connections go
//! to the switch itself once it has seen their like.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::datapath::{self, Counters};
use sluice_testbed::dial::{Protocol, many};
use sluice_testbed::objects::{self, Endpoint};
use sluice_testbed::options::Datapath;
use sluice_testbed::suite::Scenario;
use sluice_testbed::{netns, run};

use crate::bench::{Bench, FAMILIES, PORT, PORTS, ask, port, vip, vips};

pub(crate) const SCENARIOS: &[Scenario] = &[
    (
        "packets_are_recirculated_no_more_than_promised",
        recirculations,
    ),
    ("tcp_is_recirculated_no_more_than_promised", tcp),
    ("warm_connections_make_no_upcalls", upcalls),
];

/// What is tried with the other way to attach pods, too.
pub(crate) const BASIC: &[Scenario] = &[(
    "packets_are_recirculated_no_more_than_promised",
    recirculations,
)];

/// Flows of each kind, so that a stray packet or two does not count.
const FLOWS: u64 = 20;
const LIMIT: Duration = Duration::from_secs(5);

/// One kind of flow and what is promised of it: recirculations of the first packet, of a later one, of a reply.
pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) client: &'static str,
    pub(crate) target: SocketAddr,
    pub(crate) server: &'static str,
    pub(crate) promised: [u64; 3],
}

fn recirculations(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    for name in ["b1", "a1", "c1"] {
        let pod = bench.cluster.pod(name)?.clone();
        bench
            .folder
            .put(&objects::pod(&pod, &[("app", name)], &PORTS))?;
    }
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    for (number, place) in [(1, "a1"), (2, "a2"), (3, "c1")] {
        bench.folder.put(
            &objects::service(&format!("cost-{place}"), &vips(number))
                .node_port("http", tcp, port(tcp), 30_000 + number)
                .node_port("dns", udp, port(udp), 31_000 + number),
        )?;
        bench.endpoints(&format!("cost-{place}"), &[place])?;
    }
    bench.folder.settle()?;
    let mut cases = Vec::new();
    for ipv6 in FAMILIES {
        let service = |number| SocketAddr::new(vip(number, ipv6), port(udp));
        let direct =
            |place| Ok::<_, anyhow::Error>(SocketAddr::new(bench.address(place, ipv6)?, PORT));
        let node = |number: u16| {
            Ok::<_, anyhow::Error>(SocketAddr::new(bench.address("n1", ipv6)?, 31_000 + number))
        };
        let mut add = |what, client, target, server, promised| {
            cases.push(Case {
                what,
                client,
                target,
                server,
                promised,
            });
        };
        add("pod → pod", "c1", direct("b1")?, "b1", [0, 0, 0]);
        add("pod → pod elsewhere", "c1", direct("c2")?, "c2", [0, 0, 0]);
        add("pod → endpoint", "c1", direct("a1")?, "a1", [0, 0, 1]);
        add(
            "pod → endpoint elsewhere",
            "c1",
            direct("a2")?,
            "a2",
            [0, 0, 1],
        );
        add("pod → Service", "c1", service(1), "a1", [3, 1, 1]);
        add(
            "pod → Service, elsewhere",
            "c1",
            service(2),
            "a2",
            [3, 1, 1],
        );
        add("pod → itself by Service", "c1", service(3), "c1", [3, 1, 1]);
        add("node → Service", "n1", service(1), "a1", [3, 1, 1]);
        add("outside → node port", "outside", node(1)?, "a1", [3, 1, 1]);
        add(
            "outside → node port, elsewhere",
            "outside",
            node(2)?,
            "a2",
            [3, 1, 1],
        );
    }
    let mut over = Vec::new();
    for case in &cases {
        over.extend(measure(&bench, case)?);
    }
    bench.folder.put(&objects::ingress_policy(
        "cost",
        &[("app", "b1")],
        json!([{"from": [{"podSelector": {"matchLabels": {"app": "c1"}}}]}]),
    ))?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        let case = Case {
            what: "pod → policed pod",
            client: "c1",
            target: SocketAddr::new(bench.address("b1", ipv6)?, PORT),
            server: "b1",
            promised: [1, 1, 1],
        };
        over.extend(measure(&bench, &case)?);
    }
    ensure!(over.is_empty(), "more than promised: {}", over.join("; "));
    trace(&bench)
}

/// Datagrams of [`FLOWS`] flows of one kind: the first of each, its reply, a later one, its reply. Says where that
/// was more than promised.
pub(crate) fn measure(bench: &Bench<'_>, case: &Case) -> Result<Option<String>> {
    let node = bench.node(1)?;
    let read = || Counters::read(&node, bench.datapath());
    let address = bench.address(case.server, case.target.is_ipv6())?;
    let server = socket(
        &bench.netns(case.server)?,
        Some((address, PORT).into()),
        None,
    )?;
    let clients = (0..FLOWS)
        .map(|_| socket(&bench.netns(case.client)?, None, Some(case.target)))
        .collect::<Result<Vec<_>>>()?;
    warm(
        &server,
        &socket(&bench.netns(case.client)?, None, Some(case.target))?,
    )
    .with_context(|| case.what)?;
    let mut found = Vec::new();
    // A packet from the tunnel is counted once more by the userspace datapath.
    let remote = bench
        .cluster
        .pod(case.server)
        .is_ok_and(|pod| pod.node != 1);
    let inner = |reply: bool| {
        if remote && reply && bench.datapath() == Datapath::Netdev {
            FLOWS
        } else {
            0
        }
    };
    for _ in 0..2 {
        let mut peers = Vec::new();
        let before = read()?;
        for client in &clients {
            client.send(b"question")?;
            let (_, peer) = server
                .recv_from(&mut [0; 16])
                .with_context(|| format!("{}: {} hears nothing", case.what, case.server))?;
            peers.push(peer);
        }
        let between = read()?;
        for (client, peer) in clients.iter().zip(peers) {
            server.send_to(b"answer", peer)?;
            client
                .recv(&mut [0; 16])
                .with_context(|| format!("{}: {} hears nothing", case.what, case.client))?;
        }
        let after = read()?;
        let passes =
            |counters: Counters, reply| counters.recirculations(FLOWS).saturating_sub(inner(reply));
        found.push(passes(between.since(before), false));
        found.push(passes(after.since(between), true));
    }
    let each = |index: usize| {
        found
            .get(index)
            .map_or(0.0, |sum| *sum as f64 / FLOWS as f64)
    };
    let (first, later, reply) = (each(0), each(2), each(1).max(each(3)));
    println!(
        "    {}, IPv{}: {first:.2} / {later:.2} / {reply:.2}",
        case.what,
        if case.target.is_ipv6() { 6 } else { 4 }
    );
    let over = [first, later, reply]
        .into_iter()
        .zip(case.promised)
        .any(|(found, promised)| found.round() > promised as f64);
    Ok(over.then(|| format!("{}: {first} / {later} / {reply}", case.what)))
}

/// The first packet to another node is lost while the userspace datapath asks for its neighbour: sends until one is
/// heard and answered.
fn warm(server: &UdpSocket, client: &UdpSocket) -> Result<()> {
    const SHORT: Duration = Duration::from_millis(100);
    server.set_read_timeout(Some(SHORT))?;
    client.set_read_timeout(Some(SHORT))?;
    run::wait_for("the way to be known", LIMIT, || {
        client.send(b"warm")?;
        let (_, peer) = server.recv_from(&mut [0; 16])?;
        server.send_to(b"warm", peer)?;
        client.recv(&mut [0; 16])?;
        Ok(Some(()))
    })?;
    server.set_read_timeout(Some(LIMIT))?;
    Ok(())
}

/// A socket in a namespace, usable here.
fn socket(netns: &str, bind: Option<SocketAddr>, connect: Option<SocketAddr>) -> Result<UdpSocket> {
    let unbound: SocketAddr = match connect {
        Some(SocketAddr::V6(_)) => ([0; 16], 0).into(),
        _ => ([0; 4], 0).into(),
    };
    netns::join(netns::within(netns, move || {
        let socket = UdpSocket::bind(bind.unwrap_or(unbound))?;
        if let Some(target) = connect {
            socket.connect(target)?;
        }
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(socket)
    })?)
}

/// The switch's own account of a first packet, as far as it follows one.
fn trace(bench: &Bench<'_>) -> Result<()> {
    let node = bench.node(1)?;
    let port = sluice_testbed::look::ofport(&node, "c1")?;
    let pod = bench.cluster.pod("c1")?;
    let packet = format!(
        "in_port={port},udp,dl_src={},dl_dst=aa:53:4c:55:49:43,nw_src={},nw_dst={},nw_ttl=64,udp_src=40000,udp_dst=53",
        pod.mac,
        pod.address(false)?,
        vip(1, false)
    );
    for (state, promised) in [("trk,new", 3), ("trk,est", 3)] {
        let text = node.sh(
            "ovs-appctl",
            &[
                "-t",
                "ovs-vswitchd",
                "ofproto/trace",
                sluice_testbed::layout::BRIDGE,
                &packet,
                "--ct-next",
                state,
            ],
        )?;
        let found = text.matches("\nrecirc(").count();
        println!("    trace with {state}: {found} recirculations");
        ensure!(found <= promised, "{found} recirculations:\n{text}");
    }
    Ok(())
}

/// Whole connections: with handshake and end, each packet recirculated less than once in the mean.
fn tcp(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1"])?;
    bench.publish("cost", 1, &["a1"])?;
    bench.folder.settle()?;
    let node = bench.node(1)?;
    for ipv6 in FAMILIES {
        let dial = ask(Protocol::Tcp, 1, ipv6);
        bench.expect("c1", &dial, 20, &["a1"])?;
        let before = Counters::read(&node, bench.datapath())?;
        let count = bench.count(200);
        bench.expect("c1", &dial, count, &["a1"])?;
        let since = Counters::read(&node, bench.datapath())?.since(before);
        let lookups = since.hit + since.missed;
        match since.recirculated {
            Some(recirculated) => {
                let packets = lookups.saturating_sub(recirculated);
                println!(
                    "    {count} connections: {packets} packets, {recirculated} recirculations"
                );
                // A kind of packet that goes around twice would be one more for each connection; the counters are
                // not read at one moment.
                let strays = count as u64 / 10;
                ensure!(
                    recirculated <= packets + strays,
                    "more than one for a packet"
                );
            }
            // Syn, its answer, ack; question and answer with their acks; the end from both sides.
            None => {
                println!("    {count} connections: {lookups} lookups");
                ensure!(lookups <= count as u64 * 12 * 2, "{lookups} lookups");
            }
        }
    }
    Ok(())
}

/// Endpoints that are nothing but addresses, on the other node.
fn addresses(count: usize) -> Vec<objects::Object> {
    const EACH: usize = 250;
    let ends: Vec<Endpoint> = (0..EACH.min(count))
        .map(|number| {
            let low = u8::try_from(number + 4).unwrap_or(u8::MAX);
            Endpoint::new(IpAddr::from([10, 244, 2, low]), Some(2))
        })
        .collect();
    let mut left = count;
    let mut slices = Vec::new();
    let mut target = 20_000;
    while left > 0 {
        let now = left.min(EACH);
        slices.push(objects::slice(
            &format!("warm-{count}"),
            &format!("p{target}"),
            false,
            &[("dns", Protocol::Udp, target)],
            ends.get(..now).unwrap_or_default(),
        ));
        left -= now;
        target += 1;
    }
    slices
}

/// Sends one datagram from each of `count` ports, no more at once than a device holds, and waits until the datapath has
/// seen them all.
fn blast(bench: &Bench<'_>, target: SocketAddr, count: u64) -> Result<Counters> {
    const AT_ONCE: u64 = 100;
    let node = bench.node(1)?;
    let client = bench.netns("c1")?;
    let before = Counters::read(&node, bench.datapath())?;
    let mut last = before;
    for sent in (AT_ONCE..=count).step_by(usize::try_from(AT_ONCE)?) {
        netns::join(netns::within(&client, move || {
            for _ in 0..AT_ONCE {
                let socket = UdpSocket::bind("0.0.0.0:0")?;
                socket.connect(target)?;
                socket.send(b"question")?;
            }
            Ok(())
        })?)?;
        last = run::wait_for("the datapath to see the datagrams", LIMIT, || {
            let now = Counters::read(&node, bench.datapath())?;
            let since = now.since(before);
            let lookups = since.hit + since.missed;
            let packets = lookups.saturating_sub(since.recirculated.unwrap_or(0));
            Ok((packets >= sent).then_some(now))
        })?;
    }
    Ok(last.since(before))
}

fn upcalls(cluster: &mut Cluster) -> Result<()> {
    // The nodes' own packets (neighbours, probes) that come between, of a thousand connections.
    const SPARE: u64 = 10;
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2"])?;
    let node = bench.node(1)?;
    // Real connections first, to pods.
    bench.publish("warm", 1, &["a1", "b1", "a2"])?;
    bench.folder.settle()?;
    let mut wrong = Vec::new();
    let count = bench.count(1000);
    for ipv6 in FAMILIES {
        let dial = ask(Protocol::Tcp, 1, ipv6);
        let client = bench.netns("c1")?;
        many(&client, &dial, count)?.all_answered()?;
        let before = Counters::read(&node, bench.datapath())?;
        many(&client, &dial, count)?.all_answered()?;
        let since = Counters::read(&node, bench.datapath())?.since(before);
        println!(
            "    {count} TCP connections over 3 endpoints: {} upcalls, {} flows, {} masks",
            since.missed,
            since.flows,
            datapath::masks(&node)?
        );
        if since.missed > SPARE {
            wrong.push(format!("3 endpoints: {} upcalls", since.missed));
        }
    }
    for (number, endpoints) in [(2, 10), (3, 300), (4, 5000)] {
        let name = format!("warm-{endpoints}");
        bench
            .folder
            .put(&objects::service(&name, &[vip(number, false)]).port(
                "dns",
                Protocol::Udp,
                port(Protocol::Udp),
                "dns",
            ))?;
        bench
            .folder
            .put_together(&format!("slices-{name}.yaml"), &addresses(endpoints))?;
        bench.folder.settle()?;
        let target = SocketAddr::new(vip(number, false), port(Protocol::Udp));
        let cold = blast(&bench, target, 1000)?;
        let warm = blast(&bench, target, 1000)?;
        println!(
            "    {endpoints} endpoints: {} upcalls for the first 1000 connections, {} for the next, {} flows, {} masks",
            cold.missed,
            warm.missed,
            warm.flows,
            datapath::masks(&node)?
        );
        if warm.missed > SPARE {
            wrong.push(format!("{endpoints} endpoints: {} upcalls", warm.missed));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}
