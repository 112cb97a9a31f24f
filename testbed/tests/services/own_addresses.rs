//! A node with several addresses: each has ports of its own, also those that it has in common with the others.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{self, Dial, Protocol};
use sluice_testbed::objects::{self, Object};
use sluice_testbed::suite::Scenario;
use sluice_testbed::{layout, run};

use crate::bench::{Bench, FAMILIES, port, vips};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("one_port_of_a_client_reaches_each_of_them", one_port),
    ("each_may_be_another_services", two_services),
    ("one_that_moves_between_nodes_is_served_where_it_is", moving),
];

/// How long the host's side of a change may take after the switch's.
const HOST: Duration = Duration::from_secs(10);
/// How long one try to get there may take.
const TRY: Duration = Duration::from_millis(400);

/// The second address of the first node.
fn second(ipv6: bool) -> IpAddr {
    if ipv6 {
        IpAddr::from([0xfd00, 0x31, 0, 0, 0, 0, 0, 1])
    } else {
        IpAddr::from([172, 31, 0, 1])
    }
}

/// Gives a node the second address, and has these know the way.
fn give(bench: &Bench<'_>, node: u8, places: &[&str]) -> Result<()> {
    let (v4, v6) = (layout::underlay_v4(node), layout::underlay_v6(node));
    let [second4, second6] = FAMILIES.map(second);
    run::ip_batch(
        &bench.netns(&layout::node_name(node))?,
        &[
            format!("addr replace {second4}/32 dev lo"),
            format!("addr replace {second6}/128 dev lo nodad"),
        ],
    )?;
    for place in places {
        run::ip_batch(
            &bench.netns(place)?,
            &[
                format!("route replace {second4}/32 via {v4}"),
                format!("route replace {second6}/128 via {v6}"),
            ],
        )?;
    }
    Ok(())
}

/// Gives the first node its second address, says so, and has everybody know the way.
fn have_two(bench: &mut Bench<'_>) -> Result<()> {
    give(bench, 1, &["outside", "n2"])?;
    let (v4, v6) = (layout::underlay_v4(1), layout::underlay_v6(1));
    let [second4, second6] = FAMILIES.map(second);
    let addresses: Vec<_> = [v4.into(), v6.into(), second4, second6]
        .map(|ip: IpAddr| json!({"type": "InternalIP", "address": ip.to_string()}))
        .into();
    let cidrs = layout::pod_cidrs(1, true);
    let node = Object::new("v1", "Node", &layout::node_name(1))
        .with("/spec/podCIDR", cidrs.first().cloned())
        .with("/spec/podCIDRs", cidrs)
        .with("/status/addresses", addresses);
    // Of two files about one object the first by name holds.
    bench.folder.put_together("a-node-n1.yaml", &[node])
}

fn wait_open(bench: &Bench<'_>, place: &str, dial: &Dial) -> Result<()> {
    let dial = dial.clone().within(TRY);
    run::wait_for(
        &format!("{} to be open to {place}", dial.target),
        HOST,
        || {
            let tally = bench.many(place, &dial, 1)?;
            Ok(tally.all_answered().is_ok().then_some(()))
        },
    )
}

fn one_port(cluster: &mut Cluster) -> Result<()> {
    const NODE_PORT: u16 = 30_080;
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    have_two(&mut bench)?;
    let service = |policy: &str| {
        Protocol::ALL
            .into_iter()
            .zip(["http", "dns"])
            .fold(
                objects::service("open", &vips(1)),
                |service, (protocol, name)| {
                    service.node_port(name, protocol, port(protocol), NODE_PORT)
                },
            )
            .with("/spec/externalTrafficPolicy", policy)
    };
    let mut from = 40_000;
    for policy in ["Cluster", "Local"] {
        bench.folder.put(&service(policy))?;
        bench.endpoints("open", &["a1", "a2"])?;
        bench.folder.settle()?;
        for ipv6 in FAMILIES {
            let first = bench.address("n1", ipv6)?;
            for protocol in Protocol::ALL {
                for place in ["outside", "n2", "c1", "n1"] {
                    let dials = [first, second(ipv6)].map(|node| {
                        let dial = Dial::new(protocol, node, NODE_PORT).aborting();
                        match place {
                            // Its own would be another one each time.
                            "n1" => dial.from_address(first),
                            _ => dial,
                        }
                    });
                    for dial in &dials {
                        wait_open(&bench, place, dial)?;
                    }
                    for _ in 0..8 {
                        from += 1;
                        both(&bench.netns(place)?, &dials, from).with_context(|| {
                            format!(
                                "{place}, {protocol:?}, {first} and {}, {policy}",
                                second(ipv6)
                            )
                        })?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// From one port two connections at the same time, each asked by turns.
fn both(netns: &str, dials: &[Dial; 2], port: u16) -> Result<()> {
    let open = |dial: &Dial| {
        let dial = dial.clone().from_port(port);
        let mut conn =
            dial::open(netns, &dial).with_context(|| format!("port {port} to {}", dial.target))?;
        let answer = conn
            .ask("first")
            .with_context(|| format!("port {port} to {}", dial.target))?;
        anyhow::Ok((conn, answer))
    };
    let [one, other] = dials;
    let (mut one_conn, first) = open(one)?;
    let (mut other_conn, second) = open(other)?;
    ensure!(
        (&first.by, first.seen) != (&second.by, second.seen),
        "{} sees both as {}",
        first.by,
        first.seen
    );
    for tag in ["a", "b"] {
        for (conn, dial, before) in [
            (&mut one_conn, one, &first),
            (&mut other_conn, other, &second),
        ] {
            let answer = conn
                .ask(tag)
                .with_context(|| format!("port {port} to {}, later", dial.target))?;
            ensure!(
                (&answer.by, answer.seen) == (&before.by, before.seen),
                "port {port} to {}: {} that saw {}, then {} that saw {}",
                dial.target,
                before.by,
                before.seen,
                answer.by,
                answer.seen
            );
        }
    }
    Ok(())
}

/// A Service that a load balancer serves at these addresses.
fn balanced(name: &str, number: u16, [v4, v6]: [IpAddr; 2]) -> Object {
    let service = objects::service(name, &vips(number));
    let ports = Protocol::ALL.into_iter().zip(["http", "dns"]);
    let service = ports.fold(service, |service, (protocol, name)| {
        service.port(name, protocol, port(protocol), name)
    });
    service.load_balancer(v4).load_balancer(v6)
}

/// As load balancers on the nodes have it, which share them out.
fn two_services(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1"])?;
    have_two(&mut bench)?;
    let first = [bench.address("n1", false)?, bench.address("n1", true)?];
    let second = FAMILIES.map(second);
    bench.folder.put(&balanced("first", 1, first))?;
    bench.folder.put(&balanced("second", 2, second))?;
    bench.endpoints("first", &["a1"])?;
    bench.endpoints("second", &["b1"])?;
    bench.folder.settle()?;
    for (addresses, server) in [(first, "a1"), (second, "b1")] {
        for address in addresses {
            for protocol in Protocol::ALL {
                let dial = Dial::new(protocol, address, port(protocol));
                for place in ["outside", "n2", "n1", "c1", "c2"] {
                    wait_open(&bench, place, &dial)?;
                    bench.expect(place, &dial, 10, &[server])?;
                }
            }
        }
    }
    Ok(())
}

/// As load balancers have it that give an address to the node that is to serve it, and tell nobody.
fn moving(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1"])?;
    bench
        .folder
        .put(&balanced("moving", 1, FAMILIES.map(second)))?;
    bench.endpoints("moving", &["a1", "b1"])?;
    bench.folder.settle()?;
    for node in [1, 2, 1] {
        give(&bench, node, &["outside"])?;
        for address in FAMILIES.map(second) {
            for protocol in Protocol::ALL {
                let dial = Dial::new(protocol, address, port(protocol));
                for place in ["outside", "n1", "n2", "c1", "c2"] {
                    wait_open(&bench, place, &dial).with_context(|| format!("at node {node}"))?;
                    bench.expect(place, &dial, 10, &["a1", "b1"])?;
                }
            }
        }
        let [second4, second6] = FAMILIES.map(second);
        run::ip_batch(
            &bench.netns(&layout::node_name(node))?,
            &[
                format!("addr del {second4}/32 dev lo"),
                format!("addr del {second6}/128 dev lo"),
            ],
        )?;
    }
    Ok(())
}
