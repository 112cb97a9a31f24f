//! From outside the cluster, and to the node's own addresses: node ports, load balancers, external addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{Dial, Protocol, Why};
use sluice_testbed::suite::Scenario;
use sluice_testbed::{layout, objects, run};

use crate::bench::{Bench, FAMILIES, ensure_seen, http, port, vips};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("node_ports_are_open_to_all", open_to_all),
    ("local_policy_keeps_the_client", local_policy),
    (
        "local_policy_keeps_the_client_of_the_nodes_own_process",
        own_process,
    ),
    ("health_is_answered_on_its_port", health),
    ("load_balancer_addresses_are_served", load_balancer),
    ("source_ranges_hold", source_ranges),
    ("external_addresses_are_served", external),
    (
        "a_load_balancer_may_have_the_nodes_addresses",
        balanced_by_nodes,
    ),
    ("node_ports_without_endpoints_refuse", refusals),
];

/// What is tried with the other way to attach pods, too.
pub(crate) const BASIC: &[Scenario] = &[
    ("node_ports_are_open_to_all", open_to_all),
    ("local_policy_keeps_the_client", local_policy),
];

/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(400);
/// How long the host's side of a change may take after the switch's.
const HOST: Duration = Duration::from_secs(10);
/// Another client outside.
const STRANGER: [&str; 2] = ["172.30.0.200", "fd00:30::200"];

/// The node port of each protocol of Service `number`.
pub(crate) fn node_port(number: u16, protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => 30_000 + number,
        Protocol::Udp => 31_000 + number,
    }
}

fn service(name: &str, number: u16) -> objects::Object {
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    objects::service(name, &vips(number))
        .node_port("http", tcp, port(tcp), node_port(number, tcp))
        .node_port("dns", udp, port(udp), node_port(number, udp))
}

/// An address outside the cluster that leads to it, through the first node.
pub(crate) fn external_address(number: u16, ipv6: bool) -> IpAddr {
    if ipv6 {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, number])
    } else {
        let [_, low] = number.to_be_bytes();
        IpAddr::from([192, 0, 2, low])
    }
}

/// Has the world outside send what is for external addresses to the first node.
pub(crate) fn route_outside(bench: &Bench<'_>) -> Result<()> {
    let (v4, v6) = (layout::underlay_v4(1), layout::underlay_v6(1));
    let [s4, s6] = STRANGER;
    run::ip_batch(
        &bench.netns("outside")?,
        &[
            format!("route replace 192.0.2.0/24 via {v4}"),
            format!("route replace 2001:db8::/64 via {v6}"),
            format!("addr replace {s4}/24 dev br0"),
            format!("addr replace {s6}/64 dev br0 nodad"),
        ],
    )
}

fn stranger(ipv6: bool) -> Result<IpAddr> {
    Ok(STRANGER[usize::from(ipv6)].parse()?)
}

/// The host's own rules may come a moment after the flows.
fn wait_open(bench: &Bench<'_>, place: &str, dial: &Dial) -> Result<()> {
    let dial = dial.clone().within(SILENCE);
    run::wait_for(
        &format!("{} to be open to {place}", dial.target),
        HOST,
        || {
            Ok(bench
                .many(place, &dial, 1)?
                .all_answered()
                .is_ok()
                .then_some(()))
        },
    )
}

fn open_to_all(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2", "n1", "c1"])?;
    bench.folder.put(&service("open", 1))?;
    bench.endpoints("open", &["a1", "a2", "n1"])?;
    bench.folder.put(&service("selfish", 2))?;
    bench.endpoints("selfish", &["c1"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            let nodes = [bench.address("n1", ipv6)?, bench.address("n2", ipv6)?];
            let dial = |node, number| Dial::new(protocol, node, node_port(number, protocol));
            for node in nodes {
                wait_open(&bench, "outside", &dial(node, 1))?;
                for client in ["outside", "c1", "c2", "n1", "n2"] {
                    bench.expect(client, &dial(node, 1), 60, &["a1", "a2", "n1"])?;
                }
                // By way of another address than the ClusterIP, a pod reaches itself as well.
                bench.expect("c1", &dial(node, 2), 5, &["c1"])?;
            }
        }
    }
    Ok(())
}

fn local_policy(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2"])?;
    bench
        .folder
        .put(&service("both", 1).with("/spec/externalTrafficPolicy", "Local"))?;
    bench.endpoints("both", &["a1", "b1", "a2"])?;
    bench
        .folder
        .put(&service("one", 2).with("/spec/externalTrafficPolicy", "Local"))?;
    bench.endpoints("one", &["a1"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        let client = bench.address("outside", ipv6)?;
        let (n1, n2) = (bench.address("n1", ipv6)?, bench.address("n2", ipv6)?);
        for protocol in Protocol::ALL {
            let dial = |node, number| Dial::new(protocol, node, node_port(number, protocol));
            wait_open(&bench, "outside", &dial(n1, 1))?;
            wait_open(&bench, "outside", &dial(n2, 1))?;
            let tally = bench.expect("outside", &dial(n1, 1), 40, &["a1", "b1"])?;
            ensure_seen(&tally, &[client])?;
            let tally = bench.expect("outside", &dial(n2, 1), 10, &["a2"])?;
            ensure_seen(&tally, &[client])?;
            let tally = bench.expect("outside", &dial(n1, 2), 10, &["a1"])?;
            ensure_seen(&tally, &[client])?;
            // Whoever balances between nodes must notice, by silence: a refusal would be the Service's own.
            let failure = bench.fails("outside", &dial(n2, 2).within(SILENCE))?;
            ensure!(failure.why == Why::Timeout, "{n2} answers: {failure}");
            // Within the cluster the policy is not about where, as long as nobody's address is hidden.
            bench.expect("c1", &dial(n1, 2), 5, &["a1"])?;
            bench.expect("n1", &dial(n1, 2), 5, &["a1"])?;
        }
    }
    Ok(())
}

/// A host-network pod, say, behind a Service that shall see its clients.
fn own_process(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["n1", "n2", "a1"])?;
    bench
        .folder
        .put(&service("host", 1).with("/spec/externalTrafficPolicy", "Local"))?;
    bench.endpoints("host", &["n1", "n2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        let client = bench.address("outside", ipv6)?;
        for protocol in Protocol::ALL {
            for (place, on_it, elsewhere) in [
                ("n1", ["c1", "n1"], ["c2", "n2"]),
                ("n2", ["c2", "n2"], ["c1", "n1"]),
            ] {
                let node = bench.address(place, ipv6)?;
                let dial = Dial::new(protocol, node, node_port(1, protocol));
                wait_open(&bench, "outside", &dial)?;
                run::wait_for("the process to see its client", HOST, || {
                    let tally = bench.expect("outside", &dial, 10, &[place])?;
                    Ok(ensure_seen(&tally, &[client]).ok())
                })?;
                // The policy is about what comes from elsewhere.
                for client in on_it {
                    bench.expect(client, &dial, 20, &["n1", "n2"])?;
                }
                for client in elsewhere {
                    bench.expect(client, &dial, 20, &[place])?;
                }
            }
        }
    }
    // Where a pod serves as well, the switch chooses between them.
    bench.endpoints("host", &["n1", "a1"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        let node = bench.address("n1", ipv6)?;
        let dial = Dial::new(Protocol::Tcp, node, node_port(1, Protocol::Tcp));
        run::wait_for("both to serve", HOST, || {
            let tally = bench.many("outside", &dial, 40)?;
            Ok(tally.answered_by(&["n1", "a1"]).ok().map(drop))
        })?;
    }
    Ok(())
}

fn health(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1"])?;
    const PORT: u16 = 32_111;
    bench.folder.put(
        &service("healthy", 1)
            .load_balancer(external_address(1, false))
            .with("/spec/externalTrafficPolicy", "Local")
            .with("/spec/healthCheckNodePort", PORT),
    )?;
    bench.endpoints("healthy", &["a1"])?;
    bench.folder.settle()?;
    let outside = bench.netns("outside")?;
    let wait = |place: &str, bench: &Bench<'_>, wanted: u16| {
        let node = SocketAddr::new(bench.address(place, false)?, PORT);
        let body = run::wait_for(&format!("{place} to answer {wanted}"), HOST, || {
            let (status, body) = http(&outside, node, "/healthz")?;
            Ok((status == wanted).then_some(body))
        })?;
        ensure!(
            body.contains("\"localEndpoints\"") && body.contains("healthy"),
            "{place} says {body}"
        );
        Ok(())
    };
    wait("n1", &bench, 200)?;
    wait("n2", &bench, 503)?;
    bench.endpoints("healthy", &[])?;
    wait("n1", &bench, 503)
}

fn load_balancer(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    route_outside(&bench)?;
    let balanced = |name, number| {
        service(name, number)
            .load_balancer(external_address(number, false))
            .load_balancer(external_address(number, true))
    };
    bench.folder.put(&balanced("cluster", 1))?;
    bench.endpoints("cluster", &["a1", "a2"])?;
    bench
        .folder
        .put(&balanced("local", 2).with("/spec/externalTrafficPolicy", "Local"))?;
    bench.endpoints("local", &["a1", "a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        let client = bench.address("outside", ipv6)?;
        for protocol in Protocol::ALL {
            let dial = |number| Dial::new(protocol, external_address(number, ipv6), port(protocol));
            wait_open(&bench, "outside", &dial(1))?;
            for place in ["outside", "c1", "c2", "n1", "n2"] {
                bench.expect(place, &dial(1), 40, &["a1", "a2"])?;
            }
            let tally = bench.expect("outside", &dial(2).from_address(client), 20, &["a1"])?;
            ensure_seen(&tally, &[client])?;
            // What never left the cluster may go anywhere in it.
            for place in ["c1", "c2", "n2"] {
                bench.expect(place, &dial(2), 40, &["a1", "a2"])?;
            }
        }
    }
    // With a proxy before it, the address is the proxy's own affair.
    bench.folder.put(
        &service("proxied", 3)
            .with("/spec/type", "LoadBalancer")
            .with(
                "/status/loadBalancer/ingress",
                json!([{"ip": external_address(3, false).to_string(), "ipMode": "Proxy"}]),
            ),
    )?;
    bench.endpoints("proxied", &["a1"])?;
    bench.folder.settle()?;
    let dial = Dial::tcp(external_address(3, false), 80).within(SILENCE);
    bench.fails("c1", &dial)?;
    Ok(())
}

fn source_ranges(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    route_outside(&bench)?;
    let allowed = FAMILIES
        .map(|ipv6| bench.address("outside", ipv6))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    bench.folder.put(
        &service("ranged", 1)
            .load_balancer(external_address(1, false))
            .load_balancer(external_address(1, true))
            .with(
                "/spec/loadBalancerSourceRanges",
                json!([format!("{}/32", allowed[0]), format!("{}/128", allowed[1])]),
            ),
    )?;
    bench.endpoints("ranged", &["a1", "a2"])?;
    bench.folder.settle()?;
    for (ipv6, client) in FAMILIES.into_iter().zip(allowed) {
        for protocol in Protocol::ALL {
            let dial = Dial::new(protocol, external_address(1, ipv6), port(protocol));
            wait_open(&bench, "outside", &dial.clone().from_address(client))?;
            bench.expect(
                "outside",
                &dial.clone().from_address(client),
                20,
                &["a1", "a2"],
            )?;
            let other = dial.from_address(stranger(ipv6)?).within(SILENCE);
            let failure = bench.fails("outside", &other)?;
            ensure!(failure.why == Why::Timeout, "a stranger is told: {failure}");
            // The ranges are about the load balancer's address only.
            let node = bench.address("n1", ipv6)?;
            let dial = Dial::new(protocol, node, node_port(1, protocol));
            bench.expect(
                "outside",
                &dial.from_address(stranger(ipv6)?),
                20,
                &["a1", "a2"],
            )?;
        }
    }
    Ok(())
}

fn external(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    route_outside(&bench)?;
    let addresses = FAMILIES.map(|ipv6| external_address(7, ipv6).to_string());
    bench
        .folder
        .put(&service("external", 1).with("/spec/externalIPs", json!(addresses)))?;
    bench.endpoints("external", &["a1", "a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            let dial = Dial::new(protocol, external_address(7, ipv6), port(protocol));
            wait_open(&bench, "outside", &dial)?;
            for place in ["outside", "c1", "n1", "c2"] {
                bench.expect(place, &dial, 40, &["a1", "a2"])?;
            }
        }
    }
    Ok(())
}

/// As load balancers do it that run on the nodes themselves.
fn balanced_by_nodes(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    route_outside(&bench)?;
    let nodes = |bench: &Bench<'_>, ipv6| -> Result<[IpAddr; 2]> {
        Ok([bench.address("n1", ipv6)?, bench.address("n2", ipv6)?])
    };
    let mut object = service("balanced", 1);
    for ipv6 in FAMILIES {
        for node in nodes(&bench, ipv6)? {
            object = object.load_balancer(node);
        }
    }
    bench.folder.put(&object)?;
    bench.endpoints("balanced", &["a1", "a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            for node in nodes(&bench, ipv6)? {
                let dial = Dial::new(protocol, node, port(protocol));
                wait_open(&bench, "outside", &dial)?;
                for place in ["outside", "c1", "c2", "n1", "n2"] {
                    bench.expect(place, &dial, 40, &["a1", "a2"])?;
                }
            }
        }
    }
    // Who it is for holds there as well, and the client is kept where it shall be.
    let client = bench.address("outside", false)?;
    let [node, _] = nodes(&bench, false)?;
    bench
        .folder
        .put(&object.with("/spec/externalTrafficPolicy", "Local").with(
            "/spec/loadBalancerSourceRanges",
            json!([format!("{client}/32")]),
        ))?;
    bench.folder.settle()?;
    let dial = Dial::tcp(node, 80);
    let tally = bench.expect("outside", &dial.clone().from_address(client), 20, &["a1"])?;
    ensure_seen(&tally, &[client])?;
    let other = dial.from_address(stranger(false)?).within(SILENCE);
    let failure = bench.fails("outside", &other)?;
    ensure!(failure.why == Why::Timeout, "a stranger is told: {failure}");
    Ok(())
}

fn refusals(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1"])?;
    bench.folder.put(&service("nobody", 1))?;
    bench.endpoints("nobody", &[])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            let node = bench.address("n1", ipv6)?;
            let dial = Dial::new(protocol, node, node_port(1, protocol));
            for place in ["outside", "c1", "n1"] {
                let failure = bench.fails(place, &dial)?;
                println!("    {place} → {} {node}: {failure}", protocol.name());
                ensure!(
                    failure.why == Why::Refused && failure.took < Duration::from_millis(100),
                    "{place} → {node}, {protocol:?}: {failure}"
                );
            }
        }
    }
    Ok(())
}
