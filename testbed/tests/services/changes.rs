//! What a change leaves alone: connections that are up, and connections being made.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{self, Dial, Protocol};
use sluice_testbed::node::Daemon;
use sluice_testbed::objects;
use sluice_testbed::options::Datapath;
use sluice_testbed::steady::{Held, Load, Pulse};
use sluice_testbed::suite::{self, Scenario};
use sluice_testbed::{agent, look, ovs, run};

use crate::bench::{Bench, FAMILIES, OTHER_PORT, PORT, SETTLED, ask, plain, port, vips};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("connections_outlive_every_change", every_change),
    ("connections_outlive_the_agent", agent_restart),
    ("services_come_back_with_the_switch", switch_restart),
    ("no_connection_fails_while_endpoints_change", under_load),
    ("all_endpoints_may_change_at_once", all_at_once),
    ("datagrams_move_on_when_their_endpoint_goes", datagrams),
    ("a_silent_client_is_not_left_to_a_pushing_server", pushing),
];

/// Connections held open by one client.
const HELD: usize = 9;

fn every_change(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2", "c2"])?;
    let all = ["a1", "b1", "a2"];
    bench.publish("web", 1, &all)?;
    bench.folder.settle()?;
    let mut held = Vec::new();
    for ipv6 in FAMILIES {
        for client in ["c1", "n1"] {
            let dial = ask(Protocol::Tcp, 1, ipv6);
            held.push((
                client,
                ipv6,
                Held::open(&bench.netns(client)?, &dial, HELD)?,
            ));
        }
    }
    let wait = |held: &[(&str, bool, Held)]| {
        held.iter().try_for_each(|(client, ipv6, held)| {
            held.wait(3)
                .with_context(|| format!("{client}, IPv6: {ipv6}"))
        })
    };
    wait(&held)?;
    type Change = (&'static str, fn(&mut Bench<'_>) -> Result<()>);
    let all_leaving: Change = ("all endpoints are leaving", |bench| {
        bench.endpoints_as("web", &["a1", "b1", "a2"], |_, e| e.leaving())
    });
    let changes: [Change; 11] = [
        ("an endpoint comes", |bench| {
            bench.endpoints("web", &["a1", "b1", "a2", "c2"])
        }),
        ("endpoints in another order", |bench| {
            bench.endpoints("web", &["c2", "a2", "b1", "a1"])
        }),
        ("the list shrinks to one", |bench| {
            bench.endpoints("web", &["c2"])
        }),
        ("the list is empty", |bench| bench.endpoints("web", &[])),
        ("all are back", |bench| {
            bench.endpoints("web", &["a1", "b1", "a2"])
        }),
        all_leaving,
        ("affinity", |bench| {
            bench.folder.put(&plain("web", 1).affinity(60))
        }),
        ("internal policy Local", |bench| {
            bench
                .folder
                .put(&plain("web", 1).with("/spec/internalTrafficPolicy", "Local"))
        }),
        ("a node port", |bench| {
            let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
            bench.folder.put(
                &objects::service("web", &vips(1))
                    .node_port("http", tcp, port(tcp), 30_080)
                    .node_port("dns", udp, port(udp), 30_053),
            )
        }),
        ("another target", |bench| {
            bench.folder.put(&plain("web", 1))?;
            for ipv6 in FAMILIES {
                bench.folder.put(&objects::slice(
                    "web",
                    &format!("more-{}", u8::from(ipv6)),
                    ipv6,
                    &[("http", Protocol::Tcp, OTHER_PORT)],
                    &[bench.endpoint("b1", ipv6)?],
                ))?;
            }
            Ok(())
        }),
        ("another port", |bench| {
            let service = objects::service("web", &vips(1));
            bench
                .folder
                .put(&service.port("http", Protocol::Tcp, 81, PORT))
        }),
    ];
    let end = |(_, _, held): (&str, bool, Held)| {
        let report = held.finish_whole()?;
        ensure!(report.answered > 30, "hardly anything was asked");
        Ok(())
    };
    for (what, change) in changes {
        change(&mut bench).context(what)?;
        bench.folder.settle()?;
        wait(&held).context(what)?;
    }
    let gone: [Change; 2] = [
        ("the Service goes", |bench| {
            bench.folder.take(&plain("web", 1))
        }),
        ("another one has its address", |bench| {
            bench.publish("heir", 1, &["c2"])
        }),
    ];
    for (what, change) in gone {
        change(&mut bench).context(what)?;
        bench.folder.settle()?;
        wait(&held).context(what)?;
    }
    held.into_iter().try_for_each(end)
}

/// Neither a connection nor a flow is touched, whatever became of the endpoints' order before.
fn agent_restart(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2", "c2", "c1"])?;
    bench.publish("web", 1, &["a1", "b1", "a2"])?;
    bench.folder.settle()?;
    // A history, so that the switch holds what a compilation from nothing would not choose.
    for places in [
        &["b1", "a2"][..],
        &["a1", "b1", "a2", "c2"],
        &["c2", "a1", "b1"],
    ] {
        bench.endpoints("web", places)?;
        bench.folder.settle()?;
    }
    bench.publish("self", 2, &["c1"])?;
    bench.folder.settle()?;
    let nodes = bench.cluster.nodes()?;
    let client = bench.netns("c1")?;
    let interval = suite::interval(bench.cluster.options());
    let mut held = Vec::new();
    let mut pulses = Vec::new();
    for ipv6 in FAMILIES {
        for number in [1, 2] {
            held.push(Held::open(
                &client,
                &ask(Protocol::Tcp, number, ipv6),
                HELD,
            )?);
        }
        pulses.push(Pulse::start(
            &client,
            &ask(Protocol::Udp, 1, ipv6),
            interval,
        )?);
    }
    let load = Load::start(&bench.netns("c2")?, &ask(Protocol::Tcp, 1, false))?;
    for node in &nodes {
        look::log_messages(node)?;
    }
    let before: Vec<_> = nodes.iter().map(look::program).collect::<Result<_>>()?;
    let sent: Vec<_> = nodes.iter().map(look::messages).collect::<Result<_>>()?;
    for signal in ["TERM", "KILL"] {
        for node in &nodes {
            node.end(Daemon::Agent, signal)?;
        }
        load.wait(20)?;
        pulses.iter().try_for_each(|pulse| pulse.wait(50))?;
        for node in &nodes {
            agent::start(node)?;
        }
        bench.cluster.record(&nodes, &[Daemon::Agent])?;
        nodes.iter().try_for_each(agent::wait_ready)?;
        held.iter().try_for_each(|held| held.wait(5))?;
    }
    load.finish()?.all_answered().context("new connections")?;
    for held in held {
        held.finish_whole()?;
    }
    for pulse in pulses {
        let report = pulse.finish()?;
        println!(
            "    {} datagrams, {} lost, longest silence {:?}",
            report.sent,
            report.lost.len(),
            report.silence
        );
        report.lost_at_most(0)?;
        ensure!(report.turns.len() == 1, "answered by {:?}", report.turns);
    }
    for ((node, before), (changes, _)) in nodes.iter().zip(before).zip(sent) {
        let now = look::program(node)?;
        ensure!(now == before, "the flows of {} are others", node.name());
        let (changes_now, _) = look::messages(node)?;
        ensure!(
            changes_now == changes,
            "{} messages changed flows on {}",
            changes_now - changes,
            node.name()
        );
    }
    Ok(())
}

/// The switch has lost every flow; when it has them again they are what they were, and so are the answers.
fn switch_restart(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2", "c2"])?;
    bench.publish("web", 1, &["a1", "b1", "a2"])?;
    bench.folder.put(&plain("kept", 2).affinity(600))?;
    bench.endpoints("kept", &["a1", "a2"])?;
    bench.folder.settle()?;
    bench.endpoints("web", &["b1", "a2", "c2"])?;
    bench.folder.settle()?;
    let node = bench.node(1)?;
    let before = look::program(&node)?;
    for signal in ["TERM", "KILL"] {
        ovs::restart_vswitchd(&node, signal)?;
        bench
            .cluster
            .record(std::slice::from_ref(&node), &[Daemon::Vswitchd])?;
        if bench.datapath() == Datapath::Netdev {
            ovs::underlay(&node, bench.cluster.options())?;
        }
        let patience = Duration::from_secs(60);
        run::wait_for("Services to be back", patience, || {
            for ipv6 in FAMILIES {
                for number in [1, 2] {
                    let dial = ask(Protocol::Tcp, number, ipv6).within(Duration::from_millis(300));
                    bench.many("c1", &dial, 12)?.all_answered()?;
                }
            }
            Ok(Some(()))
        })?;
        run::wait_for("the flows to be what they were", patience, || {
            Ok((look::program(&node)? == before).then_some(()))
        })?;
        for ipv6 in FAMILIES {
            bench.expect("c1", &ask(Protocol::Tcp, 1, ipv6), 60, &["b1", "a2", "c2"])?;
        }
    }
    Ok(())
}

/// Endpoints come, go and trade places while connections are made as fast as they can be, from a pod of the node,
/// from another node, and from the node itself. At every moment some endpoint is live, so none may fail.
fn under_load(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2", "c2"])?;
    bench.publish("busy", 1, &["a1", "a2"])?;
    bench.folder.settle()?;
    let mut loads = Vec::new();
    for (client, protocol, ipv6) in [
        ("c1", Protocol::Tcp, false),
        ("c2", Protocol::Tcp, true),
        ("n1", Protocol::Tcp, false),
        ("c1", Protocol::Udp, false),
    ] {
        let dial = ask(protocol, 1, ipv6).within(Duration::from_secs(3));
        loads.push((client, protocol, Load::start(&bench.netns(client)?, &dial)?));
    }
    let wanted = bench.count(1000) as u64;
    let lists: [&[&str]; 7] = [
        &["a1", "b1"],
        &["b1"],
        &["b1", "a2", "c2"],
        &["c2", "a1"],
        &["a1", "b1", "a2", "c2"],
        &["a2"],
        &["a2", "a1"],
    ];
    let mut updates = 0;
    for list in lists.iter().cycle() {
        bench.endpoints("busy", list)?;
        bench.folder.settle()?;
        updates += 1;
        let enough = loads.iter().all(|(_, _, load)| load.made() >= wanted);
        if enough && updates >= lists.len() {
            break;
        }
    }
    for (client, protocol, load) in loads {
        let tally = load.finish()?;
        let made = tally.outcomes.len();
        let failed = made - tally.by().values().sum::<usize>();
        println!(
            "    {client}: {made} connections by {}, {updates} updates, {failed} failed: {:?}",
            protocol.name(),
            tally.by()
        );
        // An answer by UDP that is under way when its endpoint goes is not translated any more, since the next
        // question must go to another one: at most the one question that the client waits for then.
        if protocol == Protocol::Tcp || failed > updates {
            tally
                .all_answered()
                .with_context(|| format!("{client}, {protocol:?}, {updates} updates"))?;
        }
    }
    Ok(())
}

/// Not one endpoint is in both lists, nor has the same port; and every Service changes in the same moment.
fn all_at_once(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2", "c2"])?;
    let slices =
        |bench: &Bench<'_>, places: &[&str], target: u16| -> Result<Vec<objects::Object>> {
            let mut slices = Vec::new();
            for number in 1..=20_u16 {
                for ipv6 in FAMILIES {
                    let endpoints = places
                        .iter()
                        .map(|place| bench.endpoint(place, ipv6))
                        .collect::<Result<Vec<_>>>()?;
                    slices.push(objects::slice(
                        &format!("swap-{number}"),
                        if ipv6 { "v6" } else { "v4" },
                        ipv6,
                        &[("http", Protocol::Tcp, target)],
                        &endpoints,
                    ));
                }
            }
            Ok(slices)
        };
    let services: Vec<_> = (1..=20)
        .map(|number| plain(&format!("swap-{number}"), number))
        .collect();
    let (old, new) = (["a1", "a2"], ["b1", "c2"]);
    let before = slices(&bench, &old, PORT)?;
    let after = slices(&bench, &new, OTHER_PORT)?;
    bench.folder.put_together("swap-services.yaml", &services)?;
    bench.folder.put_together("swap-slices.yaml", &before)?;
    bench.folder.settle()?;
    let mut loads = Vec::new();
    for (number, ipv6) in [(1, false), (20, true)] {
        let dial = ask(Protocol::Tcp, number, ipv6);
        loads.push(Load::start(&bench.netns("c1")?, &dial)?);
    }
    for round in 0..6 {
        let objects = if round % 2 == 0 { &after } else { &before };
        bench.folder.put_together("swap-slices.yaml", objects)?;
        bench.folder.settle()?;
        loads.iter().try_for_each(|load| load.wait(30))?;
        let by = if round % 2 == 0 {
            ["b1:8081", "c2:8081"]
        } else {
            ["a1", "a2"]
        };
        for number in [2, 19] {
            bench
                .expect("c2", &ask(Protocol::Tcp, number, false), 40, &by)
                .with_context(|| format!("after change {round}"))?;
        }
    }
    for load in loads {
        load.finish()?.all_answered()?;
    }
    Ok(())
}

/// The same socket, hence the same tuple: what conntrack remembers must go with the endpoint.
fn datagrams(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2", "c1"])?;
    let all = ["a1", "b1", "a2"];
    bench.publish("dns", 1, &all)?;
    bench.folder.settle()?;
    let mut conns = Vec::new();
    for ipv6 in FAMILIES {
        for client in ["c1", "n1"] {
            for _ in 0..12 {
                let dial = ask(Protocol::Udp, 1, ipv6).within(Duration::from_secs(1));
                let mut conn = dial::open(&bench.netns(client)?, &dial)?;
                // Until then, what is cached may not know the Service.
                let first = run::wait_for("an answer", SETTLED * 2, || Ok(conn.ask("first").ok()))?;
                conns.push((client, ipv6, first.by, conn));
            }
        }
    }
    for gone in all {
        let left: Vec<&str> = all.into_iter().filter(|place| *place != gone).collect();
        bench.endpoints("dns", &left)?;
        bench.folder.settle()?;
        for (client, ipv6, by, conn) in &mut conns {
            let now = conn.ask(&format!("without-{gone}")).with_context(|| {
                format!("{client}, IPv6: {ipv6}, answered by {by}, after {gone} went")
            })?;
            ensure!(
                now.by != gone,
                "{client}: {gone} answers though it has gone (IPv6: {ipv6})"
            );
            ensure!(
                *by == gone || now.by == *by,
                "{client}: {by} became {} when {gone} went (IPv6: {ipv6})",
                now.by
            );
            *by = now.by;
        }
        bench.endpoints("dns", &all)?;
        bench.folder.settle()?;
    }
    Ok(())
}

/// A server that goes on sending to a client that says nothing stays translated while it is an endpoint.
fn pushing(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    let mut servers = Vec::new();
    let interval = suite::interval(bench.cluster.options()) * 5;
    for ipv6 in FAMILIES {
        let address = (bench.address("a2", ipv6)?, PORT).into();
        servers.push(sluice_testbed::serve::Server::start(
            &bench.netns("a2")?,
            "a2",
            &[sluice_testbed::serve::Listen::Push(address, interval)],
        )?);
    }
    bench.publish("push", 1, &["a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        let dial: Dial = ask(Protocol::Udp, 1, ipv6);
        let mut conn = dial::open(&bench.netns("c1")?, &dial)?;
        // A datagram may be lost, as when the switch does not know the way to a peer yet; from the first answer on the
        // client is silent.
        run::wait_for("the server to push", Duration::from_secs(20), || {
            conn.send("hello")?;
            Ok(conn.heard().ok())
        })?;
        for number in 1..50 {
            let answer = conn.heard().with_context(|| format!("push {number}"))?;
            ensure!(answer.by == "a2", "{} pushes", answer.by);
        }
        // Another endpoint takes nothing away from it.
        bench.endpoints("push", &["a2", "b1"])?;
        bench.folder.settle()?;
        for number in 50..100 {
            conn.heard().with_context(|| format!("push {number}"))?;
        }
        bench.endpoints("push", &["a2"])?;
        bench.folder.settle()?;
    }
    Ok(())
}
