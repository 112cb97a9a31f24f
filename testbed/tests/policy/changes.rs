//! What a change leaves alone, and what it never lets through.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{Dial, Protocol};
use sluice_testbed::layout::BRIDGE;
use sluice_testbed::node::{Daemon, Node};
use sluice_testbed::objects;
use sluice_testbed::options::Datapath;
use sluice_testbed::serve::{Listen, Server};
use sluice_testbed::steady::{Held, Load, Pulse};
use sluice_testbed::suite::{self, Scenario};
use sluice_testbed::{agent, look, pod, run};

use crate::bench::{Bench, FAMILIES, PORT, ask, http};
use crate::common::{
    Hammer, LIMIT, SILENCE, app, egress, everywhere, ingress, judge, labelled, relabel,
};
use crate::cost::{self, Case};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("updates_lose_nothing_and_let_nothing_through", updates),
    ("the_agent_may_restart", restart),
    ("a_pod_starts_closed", starts_closed),
    (
        "packets_are_recirculated_no_more_than_promised",
        recirculations,
    ),
];

/// Where only those listen that nobody may reach.
const FORBIDDEN: u16 = 9000;

/// How long an answer may take on a busy machine. A datagram that was lost stays so: UDP does not try again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Streams that are allowed all the time, with what each is.
struct Streams {
    held: Vec<(String, Held)>,
    /// Whether it comes from another node, too.
    pulses: Vec<(String, bool, Pulse)>,
}

impl Streams {
    /// To a server from these places, directly and through a Service.
    fn start(bench: &Bench<'_>, server: &str, clients: &[&str], number: u16) -> Result<Self> {
        let interval = suite::interval(bench.cluster.options());
        let mut streams = Self {
            held: Vec::new(),
            pulses: Vec::new(),
        };
        for ipv6 in FAMILIES {
            for client in clients {
                let netns = bench.netns(client)?;
                let dial = if ipv6 {
                    Dial::tcp(bench.address(server, ipv6)?, PORT)
                } else {
                    ask(Protocol::Tcp, number, ipv6)
                };
                let what = format!("{client} → TCP {}", dial.target);
                streams.held.push((what, Held::open(&netns, &dial, 1)?));
                // The other way round. Each sends every few milliseconds, TCP as fast as it goes.
                let dial = if ipv6 {
                    ask(Protocol::Udp, number, ipv6)
                } else {
                    Dial::udp(bench.address(server, ipv6)?, PORT)
                };
                let what = format!("{client} → UDP {}", dial.target);
                let pulse = Pulse::start(&netns, &dial, interval)?;
                streams.pulses.push((what, *client == "c2", pulse));
            }
        }
        Ok(streams)
    }

    fn wait(&self) -> Result<()> {
        for (what, held) in &self.held {
            held.wait(2).context(what.clone())?;
        }
        self.pulses
            .iter()
            .try_for_each(|(_, _, pulse)| pulse.wait(20))
    }

    /// Each must be whole, but for `remote_percent` of the datagrams of those from another node.
    fn finish(self, remote_percent: u64) -> Result<()> {
        for (what, held) in self.held {
            held.finish_whole().context(what)?;
        }
        let mut outcome = Ok(());
        for (what, is_remote, pulse) in self.pulses {
            let report = pulse.finish()?;
            println!(
                "    {what}: {} datagrams, {} lost, longest silence {:?}",
                report.sent,
                report.lost.len(),
                report.silence
            );
            let may = if is_remote {
                report.sent * remote_percent / 100
            } else {
                0
            };
            let whole = report.lost_at_most(usize::try_from(may)?);
            let whole = whole.map(drop).context(what);
            outcome = outcome.and(whole);
        }
        outcome
    }
}

fn updates(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    bench.publish("web", 1, &["a1"])?;
    let base = |name: &str| ingress(name, "a1", json!([{"from": [app("c1"), app("c2")]}]));
    bench.folder.put(&base("base"))?;
    bench.folder.settle()?;
    let streams = Streams::start(&bench, "a1", &["c1", "c2"], 1)?;
    let mut listen = Vec::new();
    for ipv6 in FAMILIES {
        let address = (bench.address("a1", ipv6)?, FORBIDDEN).into();
        listen.extend([Listen::Udp(address), Listen::Tcp(address)]);
    }
    let forbidden = Server::start(&bench.netns("a1")?, "forbidden", &listen)?;
    let interval = suite::interval(bench.cluster.options());
    let mut hammers = Vec::new();
    let mut loads = Vec::new();
    for client in ["b1", "a2"] {
        let targets = FAMILIES
            .iter()
            .map(|ipv6| Ok((bench.address("a1", *ipv6)?, FORBIDDEN).into()))
            .collect::<Result<Vec<SocketAddr>>>()?;
        let every = interval * if client == "a2" { 4 } else { 1 };
        hammers.push(Hammer::start(&bench.netns(client)?, targets, every)?);
        let dial = Dial::tcp(bench.address("a1", false)?, FORBIDDEN).within(SILENCE / 8);
        loads.push(Load::start(&bench.netns(client)?, &dial)?);
    }
    // A stream that goes on may meet only what is cached of before; each of these comes from a new port. An emulated
    // processor would lose some by itself.
    let mut anew = Vec::new();
    let asked = bench.datapath() == Datapath::Netdev;
    for (client, ipv6) in [("c1", false), ("c2", true)].into_iter().filter(|_| asked) {
        let dial = Dial::udp(bench.address("a1", ipv6)?, PORT).within(PATIENCE);
        anew.push((client, Load::start(&bench.netns(client)?, &dial)?));
    }
    let first = change_all(&mut bench, &streams, &base)?;
    streams.finish(0)?;
    for (client, load) in anew {
        load.finish()?.all_answered().context(client)?;
    }
    let streams = Streams::start(&bench, "a1", &["c1", "c2"], 1)?;
    come_and_go(&mut bench, &streams)?;
    let mut probes = 0;
    for hammer in hammers {
        let (rounds, heard) = hammer.finish()?;
        ensure!(heard == 0, "{heard} answers to who may not ask");
        probes += rounds;
    }
    for load in loads {
        let tally = load.finish()?;
        let answers = tally.outcomes.iter().flatten().count();
        ensure!(answers == 0, "{answers} connections of who may not connect");
    }
    ensure!(
        forbidden.questions() == 0,
        "{} packets got through",
        forbidden.questions()
    );
    println!("    {first} updates; {probes} rounds of forbidden probes, none got through");
    // With each new device, a switch with the userspace datapath looks up anew which addresses end its tunnels. For
    // some milliseconds it may hand what comes from a peer to the host, which refuses it by ICMP. That is not ours.
    let userspace = suite::datapath()? == Datapath::Netdev;
    streams.finish(if userspace { 5 } else { 0 })
}

/// One change after another; returns how many. Whatever they say, `c1` and `c2` may, and `b1` and `a2` may not.
fn change_all(
    bench: &mut Bench<'_>,
    streams: &Streams,
    base: &dyn Fn(&str) -> objects::Object,
) -> Result<usize> {
    let blocks = |bench: &Bench<'_>| -> Result<serde_json::Value> {
        let mut peers = Vec::new();
        for client in ["c1", "c2"] {
            for ipv6 in FAMILIES {
                let bits = if ipv6 { 128 } else { 32 };
                let cidr = format!("{}/{bits}", bench.address(client, ipv6)?);
                peers.push(json!({"ipBlock": {"cidr": cidr}}));
            }
        }
        Ok(json!([{"from": peers}]))
    };
    let by_address = blocks(bench)?;
    type Change<'c> = Box<dyn Fn(&mut Bench<'_>) -> Result<()> + 'c>;
    let changes: Vec<(&str, Change<'_>)> = vec![
        (
            "the same policy once more",
            Box::new(|b| b.folder.put(&base("again"))),
        ),
        (
            "without the first",
            Box::new(|b| b.folder.take(&base("base"))),
        ),
        (
            "the first, by address",
            Box::new(|b| b.folder.put(&ingress("base", "a1", by_address.clone()))),
        ),
        (
            "without the second",
            Box::new(|b| b.folder.take(&base("again"))),
        ),
        ("by label again", Box::new(|b| b.folder.put(&base("base")))),
        (
            "a label of the server",
            Box::new(|b| relabel(b, "a1", &[("tier", "back")])),
        ),
        (
            "a label of a client",
            Box::new(|b| relabel(b, "c1", &[("tier", "front")])),
        ),
        (
            "a label of who may not",
            Box::new(|b| relabel(b, "b1", &[("tier", "front")])),
        ),
        (
            "by another label, of both",
            Box::new(|b| {
                relabel(b, "c2", &[("tier", "front")])?;
                relabel(b, "b1", &[])?;
                b.folder.settle()?;
                b.folder.put(&ingress(
                    "base",
                    "a1",
                    json!([{"from": [
                    {"podSelector": {"matchLabels": {"tier": "front"}}}]}]),
                ))
            }),
        ),
        (
            "a policy for all",
            Box::new(|b| {
                b.folder.put(&objects::ingress_policy(
                    "all",
                    &[],
                    json!([{"from": [app("nobody")]}]),
                ))
            }),
        ),
        (
            "ports",
            Box::new(|b| {
                b.folder.put(&ingress(
                    "more",
                    "a1",
                    json!([{"from": [app("c2")], "ports": [{"port": 1, "endPort": 20000}]}]),
                ))
            }),
        ),
        (
            "a label of the server goes",
            Box::new(|b| relabel(b, "a1", &[])),
        ),
        (
            "the client may send only here",
            Box::new(|b| {
                b.folder
                    .put(&egress("out", "c1", json!([{"to": [app("a1")]}])))
            }),
        ),
        (
            "or to more",
            Box::new(|b| {
                b.folder.put(&egress(
                    "out",
                    "c1",
                    json!([{"to": [app("a2"), app("a1")]}]),
                ))
            }),
        ),
        (
            "the server may not send",
            Box::new(|b| b.folder.put(&egress("mute", "a1", json!([])))),
        ),
        (
            "it may",
            Box::new(|b| b.folder.take(&egress("mute", "a1", json!([])))),
        ),
        (
            "the client may send",
            Box::new(|b| b.folder.take(&egress("out", "c1", json!([])))),
        ),
        (
            "no policy for all",
            Box::new(|b| b.folder.remove("networkpolicy-all.yaml")),
        ),
        (
            "no ports",
            Box::new(|b| b.folder.remove("networkpolicy-more.yaml")),
        ),
        ("by name", Box::new(|b| b.folder.put(&base("base")))),
    ];
    let began = std::time::Instant::now();
    let mut count = 0;
    for (what, change) in &changes {
        println!("    {:.2?}: {what}", began.elapsed());
        change(bench).context(*what)?;
        bench.folder.settle()?;
        streams.wait().with_context(|| format!("after `{what}`"))?;
        count += 1;
    }
    Ok(count)
}

/// A pod, once known to no policy, and then selected by all that the client is selected by.
fn come_and_go(bench: &mut Bench<'_>, streams: &Streams) -> Result<()> {
    for round in 0..3 {
        let object = Pod::object(bench, if round == 0 { "none" } else { "c1" })?;
        bench.folder.put(&object)?;
        bench.folder.settle()?;
        let pod = bench.cluster.attach(1, "extra")?;
        bench
            .folder
            .put(&objects::pod(&pod, &[("app", "none")], &[]))?;
        bench.folder.settle()?;
        bench.cluster.detach(1, "extra")?;
        bench.folder.take(&object)?;
        bench.folder.settle()?;
        streams.wait().context("after a pod came and went")?;
    }
    Ok(())
}

/// A Pod object before there is a pod.
struct Pod;

impl Pod {
    fn object(bench: &Bench<'_>, app: &str) -> Result<objects::Object> {
        let mut pod = bench.cluster.pod("b1")?.clone();
        pod.name = "extra".to_owned();
        pod.addresses.clear();
        Ok(objects::pod(&pod, &[("app", app)], &[]))
    }
}

/// The value of a counter of the agent.
fn metric(node: &Node, netns: &str, name: &str) -> Result<f64> {
    let (status, text) = http(netns, ([127, 0, 0, 1], 9810).into(), "/metrics")?;
    ensure!(
        status == 200,
        "/metrics of {} answers {status}",
        node.name()
    );
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        .with_context(|| format!("no {name} in\n{text}"))
}

fn restart(cluster: &mut Cluster) -> Result<()> {
    const SENT: &str = "sluice_openflow_messages_sent_total{kind=\"flow_mod\"}";
    let mut bench = labelled(cluster)?;
    bench.publish("web", 1, &["a1"])?;
    bench.folder.put(&ingress(
        "only",
        "a1",
        json!([{"from": [app("c1"), app("c2")], "ports": [{"port": "main"}, {"protocol": "UDP"}]}]),
    ))?;
    bench.folder.put(&egress("out", "c1", json!([{"to": [app("a1")]}, {"to": [{"namespaceSelector": {}}], "ports": [{"port": 1, "endPort": 999}]}])))?;
    bench.folder.settle()?;
    // A history, so that the switch holds what a compilation from nothing might not choose.
    let passing = ingress("passing", "b1", json!([{"from": [app("a2")]}]));
    bench.folder.put(&passing)?;
    bench.folder.settle()?;
    bench
        .folder
        .put(&ingress("kept", "c2", json!([{"from": [app("a1")]}])))?;
    bench.folder.take(&passing)?;
    bench.folder.settle()?;
    let streams = Streams::start(&bench, "a1", &["c1", "c2"], 1)?;
    let nodes = bench.cluster.nodes()?;
    let before: Vec<_> = nodes.iter().map(look::program).collect::<Result<_>>()?;
    for signal in ["TERM", "KILL"] {
        for node in &nodes {
            node.end(Daemon::Agent, signal)?;
        }
        streams.wait().context("while no agent runs")?;
        for node in &nodes {
            agent::start(node)?;
        }
        bench.cluster.record(&nodes, &[Daemon::Agent])?;
        nodes.iter().try_for_each(agent::wait_ready)?;
        streams.wait().context("after the agents came back")?;
        for node in &nodes {
            let netns = bench.cluster.name.host(node.number);
            let sent = metric(node, &netns, SENT)?;
            ensure!(
                sent.total_cmp(&0.0).is_eq(),
                "the agent of {} sent {sent} flow mods after {signal}",
                node.name()
            );
        }
    }
    streams.finish(0)?;
    for (node, before) in nodes.iter().zip(before) {
        let now = look::program(node)?;
        ensure!(now == before, "the flows of {} are others", node.name());
    }
    judge(&bench, everywhere(&bench, "a1", &["n1"], &["b1", "a2"])?)
}

/// From before ADD until after it, what may not come in does not.
fn starts_closed(cluster: &mut Cluster) -> Result<()> {
    // As many addresses after the last one as ADD may choose from.
    const AHEAD: u8 = 12;
    let mut bench = labelled(cluster)?;
    bench
        .folder
        .put(&ingress("late", "late", json!([{"from": [app("c2")]}])))?;
    let mut object = bench.cluster.pod("b1")?.clone();
    object.name = "late".to_owned();
    object.addresses.clear();
    let object = objects::pod(&object, &[("app", "late")], &[]);
    bench.folder.put(&object)?;
    bench.folder.settle()?;
    for round in 0..4 {
        // Addresses are given out in order; this one tells how far that is.
        let scout = bench.cluster.attach(1, "scout")?;
        bench.cluster.detach(1, "scout")?;
        let mut targets = Vec::new();
        for ip in &scout.addresses {
            for more in 1..=AHEAD {
                let ip = match ip {
                    std::net::IpAddr::V4(ip) => {
                        std::net::Ipv4Addr::from_bits(ip.to_bits() + u32::from(more)).into()
                    }
                    std::net::IpAddr::V6(ip) => {
                        std::net::IpAddr::V6((ip.to_bits() + u128::from(more)).into())
                    }
                };
                targets.push(SocketAddr::new(ip, PORT));
            }
        }
        let node = bench.node(1)?;
        pod::make(&node, "late")?;
        let netns = node.testbed.pod(1, "late");
        let any = |port| SocketAddr::new([0; 16].into(), port);
        let server = Server::start(
            &netns,
            "late",
            &[Listen::Udp(any(PORT)), Listen::Tcp(any(PORT))],
        )?;
        let interval = suite::interval(bench.cluster.options());
        let hammers = ["c1", "a2"]
            .iter()
            .map(|client| Hammer::start(&bench.netns(client)?, targets.clone(), interval))
            .collect::<Result<Vec<_>>>()?;
        let more = |hammers: &[Hammer], rounds: u64| {
            let goals: Vec<u64> = hammers.iter().map(|h| h.rounds() + rounds).collect();
            run::wait_for("the hammers", LIMIT, || {
                let done = hammers
                    .iter()
                    .zip(&goals)
                    .all(|(h, goal)| h.rounds() >= *goal);
                Ok(done.then_some(()))
            })
        };
        more(&hammers, 20)?;
        let pod = bench.cluster.plug(1, objects::NAMESPACE, "late")?;
        is_isolated(&node, "default/late")?;
        for ip in &pod.addresses {
            ensure!(
                targets.iter().any(|target| target.ip() == *ip),
                "the pod got {ip}, which was not among those asked"
            );
        }
        more(&hammers, 50)?;
        for hammer in hammers {
            let (rounds, heard) = hammer.finish()?;
            ensure!(heard == 0, "{heard} answers in {rounds} rounds");
        }
        let through = server.questions();
        ensure!(through == 0, "round {round}: {through} packets got in");
        // That the server would have heard: who may ask, is answered.
        bench
            .folder
            .put(&objects::pod(&pod, &[("app", "late")], &[]))?;
        bench.folder.settle()?;
        for ipv6 in FAMILIES {
            for protocol in Protocol::ALL {
                let dial = Dial::new(protocol, pod.address(ipv6)?, PORT);
                bench.expect("c2", &dial, 1, &["late"])?;
            }
        }
        server.finish()?;
        bench.cluster.detach(1, "late")?;
        bench.folder.put(&object)?;
        bench.folder.settle()?;
    }
    Ok(())
}

/// That the switch has it now that policies apply to what a pod gets.
fn is_isolated(node: &Node, name: &str) -> Result<()> {
    let flows = node.sh(
        "ovs-ofctl",
        &[
            "-O",
            "OpenFlow13",
            "--names",
            "dump-flows",
            BRIDGE,
            "table=IngressSubject",
        ],
    )?;
    let pods = objects::report(node, &["pods"])?;
    let pods = pods["pods"].as_array().into_iter().flatten();
    let mut found =
        pods.filter(|pod| format!("{}/{}", pod["namespace"], pod["name"]).replace('"', "") == name);
    let number = found.next().and_then(|pod| pod["ofport"].as_u64());
    let number = number.with_context(|| format!("{name} has no number"))?;
    ensure!(
        flows.contains(&format!("reg2={number:#x} ")),
        "ADD is over, and the switch does not know that {name} (port {number:#x}) is isolated:\n{flows}"
    );
    Ok(())
}

fn recirculations(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    for name in crate::common::PODS {
        relabel(&mut bench, name, &[])?;
    }
    bench
        .folder
        .put(&ingress("in", "a1", json!([{"from": [app("c1")]}])))?;
    bench
        .folder
        .put(&egress("out", "a1", json!([{"to": [app("a2")]}])))?;
    bench.folder.settle()?;
    let mut over = Vec::new();
    for ipv6 in FAMILIES {
        for (what, client, server, promised) in [
            ("policed pod", "c1", "a1", [1, 1, 1]),
            ("policed client, elsewhere", "a1", "a2", [1, 1, 1]),
            ("plain pods", "c1", "b1", [0, 0, 0]),
            ("plain pods, elsewhere", "c1", "c2", [0, 0, 0]),
        ] {
            let target = SocketAddr::new(bench.address(server, ipv6)?, PORT);
            let case = Case {
                what,
                client,
                target,
                server,
                promised,
            };
            over.extend(cost::measure(&bench, &case)?);
        }
    }
    ensure!(over.is_empty(), "more than promised: {}", over.join("; "));
    Ok(())
}
