//! A traffic policy that changes while clients outside are connected: they keep their endpoint, and it goes on seeing them
//! as it did.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{self, Conn, Dial, Protocol};
use sluice_testbed::node::Daemon;
use sluice_testbed::objects::{self, Object};
use sluice_testbed::steady::Held;
use sluice_testbed::suite::Scenario;
use sluice_testbed::{agent, look, run};

use crate::bench::{Bench, FAMILIES, SETTLED, ensure_seen, port, vips};
use crate::node_port::{external_address, node_port, route_outside};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("clients_stay_who_they_are", stay),
    ("clients_of_a_policed_endpoint_stay_who_they_are", policed),
];

const POLICIES: [&str; 4] = ["Cluster", "Local", "Cluster", "Local"];
/// Connections of one client.
const HELD: usize = 8;
/// How often a client tries to get connections to all endpoints.
const TRIES: usize = 10;
/// More than a window of TCP that has seen nothing of it, in so many questions.
const BYTES: usize = 20_000;
const QUESTIONS: usize = 8;

/// A Service at a node port and at addresses of a load balancer.
fn balanced(policy: &str) -> Object {
    let mut object = objects::service("web", &vips(1)).with("/spec/externalTrafficPolicy", policy);
    for (name, protocol) in [("http", Protocol::Tcp), ("dns", Protocol::Udp)] {
        object = object.node_port(name, protocol, port(protocol), node_port(1, protocol));
    }
    for ipv6 in FAMILIES {
        object = object.load_balancer(external_address(1, ipv6));
    }
    object
}

/// Connections of a client to each of these servers.
fn hold(bench: &Bench<'_>, place: &str, dial: &Dial, servers: &[&str]) -> Result<Held> {
    for _ in 0..TRIES {
        let held = Held::open(&bench.netns(place)?, dial, HELD)?;
        if servers
            .iter()
            .all(|by| held.servers().iter().any(|s| s == by))
        {
            return Ok(held);
        }
        held.finish_whole()?;
    }
    anyhow::bail!(
        "{place} → {}: never all of {servers:?} in {TRIES} times {HELD} connections",
        dial.target
    )
}

fn stay(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    route_outside(&bench)?;
    let mut held: Vec<(String, Held)> = Vec::new();
    for (turn, policy) in POLICIES.into_iter().enumerate() {
        bench.folder.put(&balanced(policy))?;
        if turn == 0 {
            bench.endpoints("web", &["a1", "a2"])?;
        }
        bench.folder.settle()?;
        for (what, held) in &held {
            held.wait(3)
                .with_context(|| format!("{what}, now {policy}"))?;
        }
        for ipv6 in FAMILIES {
            let client = bench.address("outside", ipv6)?;
            let served: &[&str] = match policy {
                "Local" => &["a1"],
                _ => &["a1", "a2"],
            };
            for protocol in Protocol::ALL {
                let node = bench.address("n1", ipv6)?;
                let of_node = Dial::new(protocol, node, node_port(1, protocol));
                let address = external_address(1, ipv6);
                let of_balancer = Dial::new(protocol, address, port(protocol));
                for dial in [&of_node, &of_balancer] {
                    let dial = dial.clone().from_address(client);
                    run::wait_for(
                        "new connections to be served by policy",
                        SETTLED * 5,
                        || {
                            let tally = bench.many("outside", &dial, 40)?;
                            let right = tally.answered_by(served).is_ok()
                                && ensure_seen(&tally, &[client]).is_ok() == (policy == "Local");
                            Ok(right.then_some(()))
                        },
                    )?;
                }
                // Those made later meet changes that the earlier ones have met.
                if turn < 2 {
                    let outside = of_node.from_address(client);
                    for (place, dial, servers) in [
                        ("outside", &outside, served),
                        ("c1", &of_balancer, &["a1", "a2"]),
                    ] {
                        let what = format!("{place} → {} made under {policy}", dial.target);
                        let made = hold(&bench, place, dial, servers).context(what.clone())?;
                        held.push((what, made));
                    }
                }
            }
        }
    }
    for (what, held) in held {
        let report = held.finish_whole().context(what)?;
        ensure!(report.answered > 30, "hardly anything was asked");
    }
    Ok(())
}

/// A connection of a client outside that is up, and whom its server sees.
struct Live {
    what: String,
    tag: String,
    conn: Conn,
    seen: SocketAddr,
}

impl Live {
    fn open(bench: &Bench<'_>, dial: &Dial, kept: Option<IpAddr>) -> Result<Self> {
        let what = format!("{} {}", dial.protocol.name(), dial.target);
        let netns = bench.netns("outside")?;
        let client = bench.address("outside", dial.target.is_ipv6())?;
        // Until then, what is cached may be of before.
        let (conn, seen) =
            run::wait_for("its source to be as the policy says", SETTLED * 5, || {
                let mut conn = dial::open(&netns, dial)?;
                let answer = conn.ask("first").context(what.clone())?;
                let right =
                    kept.map_or(answer.seen.ip() != client, |kept| answer.seen.ip() == kept);
                Ok(right.then_some((conn, answer.seen)))
            })?;
        let size = match dial.protocol {
            Protocol::Tcp => BYTES,
            Protocol::Udp => 10,
        };
        Ok(Self {
            what,
            tag: "x".repeat(size),
            conn,
            seen,
        })
    }

    fn goes_on(&mut self, now: &str) -> Result<()> {
        for number in 0..QUESTIONS {
            let tag = format!("{number}{}", self.tag);
            let what = || format!("{}, seen as {}, {now}", self.what, self.seen);
            let answer = self.conn.ask(&tag).with_context(what)?;
            let same = answer.by == "a1" && answer.seen == self.seen;
            ensure!(same, "{}: {} sees {}", what(), answer.by, answer.seen);
        }
        Ok(())
    }
}

/// The endpoint may send nothing but answers: what conntrack knows of a connection must be right at any time, and also when
/// an agent finds the change when it starts, and when the Service is gone.
fn policed(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1"])?;
    let pod = bench.cluster.pod("a1")?.clone();
    bench
        .folder
        .put(&objects::pod(&pod, &[("app", "a1")], &[]))?;
    bench.folder.put(
        &Object::new("networking.k8s.io/v1", "NetworkPolicy", "answers-only")
            .with("/spec/podSelector/matchLabels/app", "a1")
            .with("/spec/policyTypes", json!(["Ingress", "Egress"]))
            .with("/spec/ingress", json!([{}]))
            .with("/spec/egress", json!([])),
    )?;
    bench.folder.put(&balanced("Local"))?;
    bench.endpoints("web", &["a1"])?;
    bench.folder.settle()?;
    let mut live: Vec<Live> = Vec::new();
    let all_go_on =
        |live: &mut [Live], now: &str| live.iter_mut().try_for_each(|live| live.goes_on(now));
    let node = bench.node(1)?;
    for (turn, policy) in ["Local", "Cluster", "Local", "Cluster"]
        .into_iter()
        .enumerate()
    {
        // At last the agent is away while it changes.
        let away = turn == 3;
        if away {
            node.end(Daemon::Agent, "TERM")?;
            bench.folder.put(&balanced(policy))?;
            agent::start(&node)?;
            bench
                .cluster
                .record(std::slice::from_ref(&node), &[Daemon::Agent])?;
            agent::wait_ready(&node)?;
        } else {
            bench.folder.put(&balanced(policy))?;
        }
        bench.folder.settle()?;
        all_go_on(&mut live, &format!("now {policy}"))?;
        if turn >= 2 {
            continue;
        }
        for ipv6 in FAMILIES {
            for protocol in Protocol::ALL {
                let address = bench.address("outside", ipv6)?;
                let to = bench.address("n1", ipv6)?;
                let dial = Dial::new(protocol, to, node_port(1, protocol)).from_address(address);
                let kept = (policy == "Local").then_some(address);
                live.push(Live::open(&bench, &dial, kept)?);
            }
        }
        all_go_on(&mut live, &format!("still {policy}"))?;
    }
    // Another start sends nothing, although no policy says any more what there was.
    let before = look::program(&node)?;
    node.end(Daemon::Agent, "TERM")?;
    agent::start(&node)?;
    bench
        .cluster
        .record(std::slice::from_ref(&node), &[Daemon::Agent])?;
    agent::wait_ready(&node)?;
    all_go_on(&mut live, "after a restart")?;
    ensure!(
        look::program(&node)? == before,
        "a restart changed the flows"
    );
    bench.folder.take(&balanced("Cluster"))?;
    bench.folder.settle()?;
    live.retain(|live| live.what.starts_with(Protocol::Tcp.name()));
    all_go_on(&mut live, "without the Service")
}
