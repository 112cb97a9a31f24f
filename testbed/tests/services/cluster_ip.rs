//! ClusterIPs: every kind of endpoint, client and family.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{Dial, Protocol, Why};
use sluice_testbed::objects;
use sluice_testbed::run;
use sluice_testbed::suite::Scenario;

use crate::bench::{
    Bench, FAMILIES, OTHER_PORT, PORT, SETTLED, ask, ensure_seen, plain, port, vip, vips,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("every_kind_of_endpoint_is_reached", every_endpoint),
    ("the_node_itself_reaches_services", from_the_node),
    ("a_pod_reaches_itself_through_its_service", hairpin),
    ("ports_are_told_apart", ports),
    (
        "addresses_of_a_range_that_came_later_are_served",
        later_range,
    ),
    ("pods_are_endpoints_without_slices", without_slices),
    ("no_endpoints_is_a_refusal", refusals),
    ("only_endpoints_that_are_ready_are_used", readiness),
    ("internal_policy_local_stays_on_the_node", internal_local),
    ("zones_keep_their_traffic", zones),
    ("services_of_others_are_left_alone", skipped),
    ("bad_objects_are_refused_one_by_one", bad_objects),
];

/// What is tried with the other way to attach pods, too.
pub(crate) const BASIC: &[Scenario] = &[
    ("every_kind_of_endpoint_is_reached", every_endpoint),
    ("the_node_itself_reaches_services", from_the_node),
    ("a_pod_reaches_itself_through_its_service", hairpin),
];

/// How soon a client must be told that nobody serves.
const AT_ONCE: Duration = Duration::from_millis(100);
/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(400);

const PLACES: [&str; 5] = ["a1", "a2", "n1", "n2", "outside"];

/// One Service for each kind of endpoint.
fn publish_each(bench: &mut Bench<'_>) -> Result<()> {
    for (number, place) in (1..).zip(PLACES) {
        bench.publish(&format!("only-{place}"), number, &[place])?;
    }
    bench.publish("all", 10, &PLACES)?;
    bench.folder.settle()
}

fn every_endpoint(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &PLACES)?;
    publish_each(&mut bench)?;
    for client in ["c1", "c2"] {
        for ipv6 in FAMILIES {
            for protocol in Protocol::ALL {
                for (number, place) in (1..).zip(PLACES) {
                    let tally = bench.expect(client, &ask(protocol, number, ipv6), 5, &[place])?;
                    if place.starts_with('a') {
                        ensure_seen(&tally, &[bench.address(client, ipv6)?])
                            .with_context(|| format!("{client} → {place}"))?;
                    }
                }
                bench.expect(client, &ask(protocol, 10, ipv6), 80, &PLACES)?;
            }
        }
    }
    Ok(())
}

/// What holds for the node's processes holds for its host-network pods: they are the same to the network.
fn from_the_node(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &PLACES)?;
    publish_each(&mut bench)?;
    bench.publish("none", 11, &[])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            for client in ["n1", "n2"] {
                for (number, place) in (1..).zip(PLACES) {
                    bench.expect(client, &ask(protocol, number, ipv6), 5, &[place])?;
                }
                bench.expect(client, &ask(protocol, 10, ipv6), 80, &PLACES)?;
            }
            let refused = bench.fails("n1", &ask(protocol, 11, ipv6))?;
            ensure!(
                refused.why == Why::Refused && refused.took < AT_ONCE,
                "a Service without endpoints, from the node, {protocol:?}, IPv6: {ipv6}: {refused}"
            );
        }
    }
    Ok(())
}

fn hairpin(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["c1", "a1", "a2"])?;
    bench.publish("self", 1, &["c1"])?;
    bench.publish("selves", 2, &["c1", "a1", "a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            let tally = bench.expect("c1", &ask(protocol, 1, ipv6), 10, &["c1"])?;
            ensure!(
                !tally.seen().contains(&bench.address("c1", ipv6)?),
                "c1 answers a packet with its own source address"
            );
            bench.expect("c1", &ask(protocol, 2, ipv6), 60, &["c1", "a1", "a2"])?;
            // Another client's address is kept, whoever also reaches itself.
            let tally = bench.expect("c2", &ask(protocol, 1, ipv6), 5, &["c1"])?;
            ensure_seen(&tally, &[bench.address("c2", ipv6)?])?;
        }
    }
    Ok(())
}

/// Several ports, one number with two protocols, and a name that means another number in each slice.
fn ports(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    bench.folder.put(
        &objects::service("ports", &vips(1))
            .port("one", tcp, 80, PORT)
            .port("two", tcp, 81, OTHER_PORT)
            .port("same", udp, 80, OTHER_PORT)
            .port("named", tcp, 82, "web"),
    )?;
    for ipv6 in FAMILIES {
        let family = u8::from(ipv6);
        for (place, named) in [("a1", PORT), ("a2", OTHER_PORT)] {
            bench.folder.put(&objects::slice(
                "ports",
                &format!("{place}-{family}"),
                ipv6,
                &[
                    ("one", tcp, PORT),
                    ("two", tcp, OTHER_PORT),
                    ("same", udp, OTHER_PORT),
                    ("named", tcp, named),
                ],
                &[bench.endpoint(place, ipv6)?],
            ))?;
        }
    }
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        let address = vip(1, ipv6);
        for (dial, by) in [
            (Dial::tcp(address, 80), ["a1", "a2"]),
            (Dial::tcp(address, 81), ["a1:8081", "a2:8081"]),
            (Dial::udp(address, 80), ["a1:8081", "a2:8081"]),
            (Dial::tcp(address, 82), ["a1", "a2:8081"]),
        ] {
            bench.expect("c1", &dial, 40, &by)?;
        }
        // A port that no Service has is nobody's, and not the endpoint's either.
        bench.fails("c1", &Dial::tcp(address, PORT).within(SILENCE))?;
    }
    Ok(())
}

/// Where nobody makes EndpointSlices the agents look for the pods themselves; a named port is each pod's own.
fn without_slices(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2", "b1"])?;
    let tcp = Protocol::Tcp;
    bench
        .folder
        .put(&objects::service("bare", &vips(1)).port("http", tcp, 80, "web"))?;
    let put = |bench: &mut Bench<'_>, name: &str, app: &str, port: u16, ready: &str| {
        let pod = bench.cluster.pod(name)?.clone();
        let object = objects::pod(&pod, &[("app", app)], &[("web", tcp, port)]);
        let conditions = json!([{"type": "Ready", "status": ready}]);
        bench
            .folder
            .put(&object.with("/status/conditions", conditions))
    };
    put(&mut bench, "a1", "bare", PORT, "True")?;
    put(&mut bench, "a2", "bare", OTHER_PORT, "True")?;
    put(&mut bench, "b1", "bare", PORT, "False")?;
    put(&mut bench, "c1", "other", PORT, "True")?;
    bench.folder.settle()?;
    let expect = |bench: &Bench<'_>, by: &[&str]| {
        FAMILIES.into_iter().try_for_each(|ipv6| {
            let dial = Dial::tcp(vip(1, ipv6), 80);
            bench.expect("c1", &dial, 40, by).map(drop)
        })
    };
    expect(&bench, &["a1", "a2:8081"])?;
    put(&mut bench, "b1", "bare", PORT, "True")?;
    put(&mut bench, "a1", "another", PORT, "True")?;
    bench.folder.settle()?;
    expect(&bench, &["b1", "a2:8081"])
}

/// A cluster may be given another range for its Services, beside the first; nobody tells the nodes.
fn later_range(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    bench.publish("before", 1, &["a1"])?;
    bench.folder.settle()?;
    let later = [
        IpAddr::from([198, 18, 7, 7]),
        IpAddr::from([0xfd77, 0, 0, 0, 0, 0, 0, 7]),
    ];
    let service = Protocol::ALL.into_iter().zip(["http", "dns"]).fold(
        objects::service("after", &later),
        |service, (protocol, name)| service.port(name, protocol, port(protocol), name),
    );
    bench.folder.put(&service)?;
    bench.endpoints("after", &["a2"])?;
    bench.folder.settle()?;
    for (ipv6, address) in FAMILIES.into_iter().zip(later) {
        for protocol in Protocol::ALL {
            let dial = Dial::new(protocol, address, port(protocol));
            for place in ["c1", "c2", "n1", "n2"] {
                // The host gets its route a moment after the switch its flows.
                run::wait_for(&format!("{place} to reach {address}"), SETTLED, || {
                    let tally = bench.many(place, &dial.clone().within(SILENCE), 1)?;
                    Ok(tally.all_answered().is_ok().then_some(()))
                })?;
                bench.expect(place, &dial, 5, &["a2"])?;
            }
            bench.expect("c1", &ask(protocol, 1, ipv6), 5, &["a1"])?;
        }
    }
    Ok(())
}

/// RST or ICMP port unreachable, at once, whoever asks.
fn refusals(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1"])?;
    bench.publish("empty", 1, &[])?;
    bench.publish("emptied", 2, &["a1"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        bench.expect("c1", &ask(Protocol::Tcp, 2, ipv6), 3, &["a1"])?;
    }
    bench.endpoints("emptied", &[])?;
    bench.folder.settle()?;
    for client in ["c1", "c2"] {
        for ipv6 in FAMILIES {
            for protocol in Protocol::ALL {
                for number in [1, 2] {
                    let dial = ask(protocol, number, ipv6);
                    // The datapath may go by what it has cached for a moment longer.
                    let failure = run::wait_for("a failure", SETTLED, || {
                        Ok(bench.fails(client, &dial).ok())
                    })?;
                    println!(
                        "    {client}, Service {number}, {}, IPv{}: {failure}",
                        protocol.name(),
                        if ipv6 { 6 } else { 4 }
                    );
                    ensure!(
                        failure.why == Why::Refused && failure.took < AT_ONCE,
                        "{client} → Service {number}, {protocol:?}, IPv6: {ipv6}: {failure}"
                    );
                }
            }
        }
    }
    bench.endpoints("emptied", &["a1"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            bench.expect("c1", &ask(protocol, 2, ipv6), 10, &["a1"])?;
        }
    }
    Ok(())
}

fn readiness(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2"])?;
    let all = ["a1", "b1", "a2"];
    bench.publish("ready", 1, &all)?;
    bench.endpoints_as("ready", &all, |place, endpoint| match place {
        "a1" => endpoint,
        "b1" => endpoint.leaving(),
        _ => endpoint.unready(),
    })?;
    bench.publish("leaving", 2, &all)?;
    bench.endpoints_as("leaving", &all, |place, endpoint| match place {
        "a2" => endpoint.unready(),
        _ => endpoint.leaving(),
    })?;
    // The EndpointSlice controller says "ready" of all endpoints of such a Service, whatever the pods say.
    bench
        .folder
        .put(&plain("early", 3).with("/spec/publishNotReadyAddresses", true))?;
    bench.endpoints("early", &["a1", "a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for client in ["c1", "c2"] {
            let tcp = |number| ask(Protocol::Tcp, number, ipv6);
            bench.expect(client, &tcp(1), 40, &["a1"])?;
            bench
                .expect(client, &tcp(2), 40, &["a1", "b1"])
                .context("only leaving endpoints are left")?;
            bench.expect(client, &tcp(3), 40, &["a1", "a2"])?;
        }
    }
    Ok(())
}

fn internal_local(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2"])?;
    let local = |name, number| plain(name, number).with("/spec/internalTrafficPolicy", "Local");
    bench.folder.put(&local("near", 1))?;
    bench.endpoints("near", &["a1", "b1", "a2"])?;
    bench.folder.put(&local("far", 2))?;
    bench.endpoints("far", &["a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            for (client, by) in [
                ("c1", &["a1", "b1"][..]),
                ("n1", &["a1", "b1"]),
                ("c2", &["a2"]),
                ("n2", &["a2"]),
            ] {
                bench.expect(client, &ask(protocol, 1, ipv6), 30, by)?;
            }
            bench.expect("c2", &ask(protocol, 2, ipv6), 5, &["a2"])?;
            bench.fails("c1", &ask(protocol, 2, ipv6).within(SILENCE))?;
        }
    }
    Ok(())
}

/// Endpoints with hints, each for the zone of its node, or for the node; ignored when one has none.
fn zones(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "b1", "a2"])?;
    let near = |name, number| plain(name, number).with("/spec/trafficDistribution", "PreferClose");
    let same_node =
        |name, number| plain(name, number).with("/spec/trafficDistribution", "PreferSameNode");
    let zone = |place: &str| {
        if place.ends_with('1') {
            ("zone-1", ["zone-1"])
        } else {
            ("zone-2", ["zone-2"])
        }
    };
    let all = ["a1", "b1", "a2"];
    bench.folder.put(&near("zoned", 1))?;
    bench.endpoints_as("zoned", &all, |place, endpoint| {
        let (zone, hints) = zone(place);
        endpoint.zoned(zone, &hints)
    })?;
    bench.folder.put(&near("unhinted", 2))?;
    bench.endpoints_as("unhinted", &all, |place, endpoint| {
        let (zone, hints) = zone(place);
        let hints = if place == "b1" { &[][..] } else { &hints };
        endpoint.zoned(zone, hints)
    })?;
    // All of one zone; the nodes are what matters.
    bench.folder.put(&same_node("noded", 3))?;
    bench.endpoints_as("noded", &all, |place, endpoint| {
        let node = if place.ends_with('1') { 1 } else { 2 };
        endpoint.zoned("zone-1", &["zone-1"]).meant_for(node)
    })?;
    // A node that none is meant for goes by the zone, and the second is in another one: all of them.
    bench.folder.put(&same_node("elsewhere", 4))?;
    bench.endpoints_as("elsewhere", &all, |_, endpoint| {
        endpoint.zoned("zone-1", &["zone-1"]).meant_for(1)
    })?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for (client, by) in [("c1", &["a1", "b1"][..]), ("c2", &["a2"])] {
            bench.expect(client, &ask(Protocol::Tcp, 1, ipv6), 40, by)?;
            bench.expect(client, &ask(Protocol::Tcp, 2, ipv6), 60, &all)?;
            bench.expect(client, &ask(Protocol::Tcp, 3, ipv6), 40, by)?;
            bench.expect(client, &ask(Protocol::Tcp, 4, ipv6), 60, &all)?;
        }
    }
    Ok(())
}

fn skipped(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1"])?;
    bench.folder.put(&plain("others", 1).with(
        "/metadata/labels/service.kubernetes.io~1service-proxy-name",
        "somebody",
    ))?;
    bench.endpoints("others", &["a1"])?;
    bench.folder.put(
        &plain("headless", 2)
            .with("/spec/clusterIP", "None")
            .with("/spec/clusterIPs", json!(["None"])),
    )?;
    bench.endpoints("headless", &["a1"])?;
    bench.publish("served", 3, &["a1"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        bench.fails("c1", &ask(Protocol::Tcp, 1, ipv6).within(SILENCE))?;
        bench.expect("c1", &ask(Protocol::Tcp, 3, ipv6), 3, &["a1"])?;
        // Its endpoints are pods like others.
        let direct = Dial::tcp(bench.address("a1", ipv6)?, PORT);
        bench.expect("c1", &direct, 3, &["a1"])?;
    }
    Ok(())
}

/// One bad Service stops no other, and is named with the reason.
fn bad_objects(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    bench.publish("good", 1, &["a1"])?;
    bench.folder.settle()?;
    bench
        .folder
        .put(&objects::service("bad-port", &vips(2)).port("http", Protocol::Tcp, 0, PORT))?;
    bench.folder.put(
        &plain("bad-ip", 3)
            .with("/spec/clusterIP", "10.96.0.300")
            .with("/spec/clusterIPs", json!(["10.96.0.300"])),
    )?;
    // The same address and port as another: the first one keeps it.
    bench.publish("twin", 1, &["a2"])?;
    bench.folder.put(&objects::slice(
        "good",
        "odd",
        false,
        &[("http", Protocol::Tcp, PORT)],
        &[bench.endpoint("a2", true)?],
    ))?;
    bench.publish("later", 4, &["a2"])?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        bench.expect("c1", &ask(Protocol::Tcp, 1, ipv6), 20, &["a1"])?;
        bench.expect("c1", &ask(Protocol::Tcp, 4, ipv6), 5, &["a2"])?;
    }
    let services = objects::report(&bench.node(1)?, &["services"])?;
    let status = objects::report(&bench.node(1)?, &["status"])?;
    let said = format!("{} {}", services["refused"], status["problems"]);
    for name in ["bad-port", "bad-ip", "twin", "good"] {
        ensure!(said.contains(name), "nothing is said of {name}: {said}");
    }
    ensure!(port(Protocol::Tcp) == 80, "the plain Service is another");
    Ok(())
}
