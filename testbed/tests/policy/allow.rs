//! Who reaches whom: isolation both ways, every kind of peer and port, the node, and a pod to itself.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{Dial, Protocol, Why};
use sluice_testbed::objects;
use sluice_testbed::suite::Scenario;

use crate::bench::{Bench, FAMILIES, OTHER_PORT, PORT, ask};
use crate::common::{
    Check, SILENCE, app, check, egress, everywhere, ingress, judge, labelled, relabel,
};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("ingress_by_peers", ingress_peers),
    ("ingress_by_ports", ingress_ports),
    ("egress", egress_rules),
    ("egress_to_a_service_is_judged_by_its_endpoint", to_service),
    ("policies_add_up", union),
    ("errors_of_what_is_allowed_come_back", errors),
    ("a_pod_reaches_itself", itself),
];

/// What is tried with the other way to attach pods, too.
pub(crate) const BASIC: &[Scenario] = &[
    ("ingress_by_peers", ingress_peers),
    ("egress_to_a_service_is_judged_by_its_endpoint", to_service),
    ("a_pod_reaches_itself", itself),
];

fn ingress_peers(cluster: &mut Cluster) -> Result<()> {
    let stranger = cluster.attach_in(2, "other", "o2")?;
    let outcome = peers(cluster, &stranger);
    cluster.detach(2, "o2")?;
    outcome
}

fn peers(cluster: &mut Cluster, stranger: &sluice_testbed::pod::Pod) -> Result<()> {
    let mut bench = labelled(cluster)?;
    bench
        .folder
        .put(&objects::namespace("other").with("/metadata/labels/team", "blue"))?;
    bench
        .folder
        .put(&objects::pod(stranger, &[("app", "o2")], &[]).with("/metadata/namespace", "other"))?;
    let blocks = |name: &str, shorter: u8| -> Result<Vec<Value>> {
        let of = |ipv6, bits: u8| Ok::<_, anyhow::Error>((bench.address(name, ipv6)?, bits));
        [of(false, 32 - shorter)?, of(true, 128 - shorter)?]
            .into_iter()
            .map(|(ip, bits)| Ok(json!(format!("{}/{bits}", masked(ip, bits)))))
            .collect()
    };
    let (near, far, c2) = (blocks("c1", 0)?, blocks("a2", 8)?, blocks("c2", 0)?);
    let namespace = json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}});
    let both = json!({"namespaceSelector": {}, "podSelector": {"matchExpressions": [
            {"key": "app", "operator": "In", "values": ["o2", "b1"]}]}});
    let except: Vec<Value> = far
        .iter()
        .zip(&c2)
        .map(|(cidr, except)| json!({"ipBlock": {"cidr": cidr, "except": [except]}}))
        .collect();
    let expression = |key: &str, operator: &str, values: &[&str]| {
        let mut expression = json!({"key": key, "operator": operator});
        if !values.is_empty() {
            expression["values"] = json!(values);
        }
        json!({"matchExpressions": [expression]})
    };
    // What is not there is not in: namespace `default` has no team.
    let neither = json!({
        "namespaceSelector": expression("team", "NotIn", &["blue"]),
        "podSelector": expression("app", "NotIn", &["c1", "c2"]),
    });
    let of_a_team = json!({
        "namespaceSelector": expression("team", "Exists", &[]),
        "podSelector": expression("tier", "DoesNotExist", &[]),
    });
    let cases: [(&str, Value, &[&'static str]); 10] = [
        ("not in", json!([{"from": [neither]}]), &["b1", "a2"]),
        ("there or not", json!([{"from": [of_a_team]}]), &["o2"]),
        ("nobody", json!([]), &[]),
        (
            "everybody",
            json!([{}]),
            &["c1", "b1", "a2", "c2", "o2", "n2"],
        ),
        ("a pod here", json!([{"from": [app("c1")]}]), &["c1"]),
        ("a pod elsewhere", json!([{"from": [app("c2")]}]), &["c2"]),
        ("a namespace", json!([{"from": [namespace]}]), &["o2"]),
        (
            "pods of all namespaces",
            json!([{"from": [both]}]),
            &["b1", "o2"],
        ),
        (
            "one address",
            json!([{"from": near.iter().map(|cidr| json!({"ipBlock": {"cidr": cidr}})).collect::<Vec<_>>()}]),
            &["c1"],
        ),
        (
            "a block without one",
            json!([{"from": except}]),
            &["a2", "o2", "n2"],
        ),
    ];
    for (what, rules, allowed) in cases {
        bench.folder.put(&ingress("peers", "a1", rules))?;
        bench.folder.settle()?;
        let clients = ["c1", "b1", "a2", "c2", "o2", "n2"];
        let denied: Vec<_> = clients
            .into_iter()
            .filter(|client| !allowed.contains(client))
            .collect();
        // The node reaches its pod whatever the policy says.
        let mut allowed = allowed.to_vec();
        allowed.push("n1");
        let mut checks = everywhere(&bench, "a1", &allowed, &denied)?;
        // Others are not isolated, nor is the pod for what it sends.
        checks.extend(everywhere(&bench, "b1", &["a1", "c2"], &[])?);
        checks.extend(everywhere(&bench, "c2", &["a1"], &[])?);
        judge(&bench, checks).with_context(|| what.to_owned())?;
    }
    Ok(())
}

/// The network of an address.
fn masked(ip: std::net::IpAddr, bits: u8) -> std::net::IpAddr {
    match ip {
        std::net::IpAddr::V4(ip) => {
            let mask = u32::MAX << (32 - u32::from(bits));
            std::net::Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        std::net::IpAddr::V6(ip) => {
            let mask = u128::MAX << (128 - u32::from(bits));
            std::net::Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

fn ingress_ports(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let all = [
        (tcp, PORT),
        (tcp, OTHER_PORT),
        (udp, PORT),
        (udp, OTHER_PORT),
    ];
    let cases = [
        (
            "number",
            json!([{"port": PORT}]),
            [true, false, false, false],
        ),
        (
            "number of UDP",
            json!([{"protocol": "UDP", "port": OTHER_PORT}]),
            [false, false, false, true],
        ),
        (
            "protocol",
            json!([{"protocol": "UDP"}]),
            [false, false, true, true],
        ),
        (
            "range",
            json!([{"protocol": "TCP", "port": 8000, "endPort": PORT}]),
            [true, false, false, false],
        ),
        (
            "wide range",
            json!([{"port": PORT, "endPort": 9000}]),
            [true, true, false, false],
        ),
        (
            "name",
            json!([{"port": "spare"}]),
            [false, true, false, false],
        ),
        ("SCTP", json!([{"protocol": "SCTP"}]), [false; 4]),
    ];
    for (what, ports, allowed) in cases {
        bench.folder.put(&ingress(
            "ports",
            "a1",
            json!([{"from": [app("c1"), app("c2")], "ports": ports}]),
        ))?;
        bench.folder.settle()?;
        let mut checks = Vec::new();
        for ipv6 in FAMILIES {
            for (ask, allowed) in all.into_iter().zip(allowed) {
                for client in ["c1", "c2"] {
                    checks.push(check(&bench, (client, "a1"), ask, ipv6, allowed)?);
                }
                checks.push(check(&bench, ("b1", "a1"), ask, ipv6, false)?);
                checks.push(check(&bench, ("n1", "a1"), ask, ipv6, true)?);
            }
        }
        judge(&bench, checks).context(what)?;
    }
    Ok(())
}

fn egress_rules(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    /// What a policy allows in words and as its rules, and who may then go where.
    type Case<'a> = (&'a str, Value, &'a [(&'a str, u16)]);
    let cases: [Case<'_>; 4] = [
        ("nowhere", json!([]), &[]),
        (
            "two pods",
            json!([{"to": [app("a1"), app("a2")]}]),
            &[
                ("a1", PORT),
                ("a1", OTHER_PORT),
                ("a2", PORT),
                ("a2", OTHER_PORT),
            ],
        ),
        (
            "a port",
            json!([{"ports": [{"port": OTHER_PORT}]}]),
            &[("a1", OTHER_PORT), ("a2", OTHER_PORT), ("c2", OTHER_PORT)],
        ),
        // `c2` has the name for another number.
        (
            "a port by name",
            json!([{"ports": [{"port": "main"}]}]),
            &[("a1", PORT), ("a2", PORT), ("c2", OTHER_PORT)],
        ),
    ];
    for (what, rules, allowed) in cases {
        bench.folder.put(&egress("egress", "c1", rules))?;
        bench.folder.settle()?;
        let mut checks = Vec::new();
        for ipv6 in FAMILIES {
            for server in ["a1", "a2", "c2"] {
                for port in [PORT, OTHER_PORT] {
                    let ask = (Protocol::Tcp, port);
                    let allows = allowed.contains(&(server, port));
                    checks.push(check(&bench, ("c1", server), ask, ipv6, allows)?);
                    checks.push(check(&bench, ("b1", server), ask, ipv6, true)?);
                }
            }
        }
        // What it gets is judged by nobody.
        checks.extend(everywhere(&bench, "c1", &["a1", "c2", "n1"], &[])?);
        judge(&bench, checks).context(what)?;
    }
    Ok(())
}

/// A question to a Service, and which place is to answer.
fn through(client: &'static str, number: u16, by: Option<&str>) -> Vec<Check> {
    let mut checks = Vec::new();
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            checks.push(Check {
                client,
                dial: ask(protocol, number, ipv6),
                by: by.map(str::to_owned),
            });
        }
    }
    checks
}

fn to_service(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    for (number, place) in [(1, "a1"), (2, "b1"), (3, "a2"), (4, "c2")] {
        bench.publish(&format!("of-{place}"), number, &[place])?;
    }
    let port = |number: u16| json!([{"protocol": "TCP", "port": number}, {"protocol": "UDP", "port": number}]);
    let udp_or_tcp = json!([{"protocol": "TCP", "port": 80}, {"protocol": "UDP", "port": 53}]);
    let to = |bench: &mut Bench<'_>, rules: Value| -> Result<()> {
        bench.folder.put(&egress("egress", "c1", rules))?;
        bench.folder.settle()
    };
    to(
        &mut bench,
        json!([{"to": [app("a1"), app("a2")], "ports": port(PORT)}]),
    )?;
    let mut checks = through("c1", 1, Some("a1"));
    checks.extend(through("c1", 2, None));
    checks.extend(through("c1", 3, Some("a2")));
    checks.extend(through("c1", 4, None));
    checks.extend(through("a1", 4, Some("c2")));
    judge(&bench, checks).context("two of four endpoints")?;
    to(&mut bench, json!([{"ports": udp_or_tcp}]))?;
    let checks = (1..=4).flat_map(|number| through("c1", number, None));
    judge(&bench, checks.collect()).context("the Service's own port")?;
    let vips: Vec<Value> = FAMILIES
        .iter()
        .map(|ipv6| {
            let bits = if *ipv6 { 112 } else { 16 };
            let cidr = format!("{}/{bits}", masked(crate::bench::vip(1, *ipv6), bits));
            json!({"ipBlock": {"cidr": cidr}})
        })
        .collect();
    to(&mut bench, json!([{"to": vips}]))?;
    let checks = (1..=4).flat_map(|number| through("c1", number, None));
    judge(&bench, checks.collect()).context("the Service's own address")?;
    // The endpoint sees the client itself, also behind a Service.
    bench.folder.take(&egress("egress", "c1", json!([])))?;
    for place in ["a1", "a2"] {
        bench.folder.put(&ingress(
            &format!("in-{place}"),
            place,
            json!([{"from": [app("c1")], "ports": port(PORT)}]),
        ))?;
    }
    bench.folder.settle()?;
    let mut checks = Vec::new();
    for (number, place) in [(1, "a1"), (3, "a2")] {
        checks.extend(through("c1", number, Some(place)));
        checks.extend(through("b1", number, None));
        checks.extend(through("c2", number, None));
    }
    checks.extend(through("n1", 1, Some("a1")));
    judge(&bench, checks).context("ingress behind a Service")
}

fn union(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    let deny = ingress("deny", "a1", json!([]));
    let one = ingress("one", "a1", json!([{"from": [app("c1")]}]));
    let two = ingress(
        "two",
        "a1",
        json!([{"from": [app("c2")], "ports": [{"port": PORT}]}]),
    );
    let out = egress("out", "c1", json!([{"to": [app("b1")]}]));
    let both = |bench: &Bench<'_>, allowed: &[&'static str]| -> Result<()> {
        let clients = ["c1", "b1", "c2", "a2"].into_iter();
        let mut checks = Vec::new();
        for client in clients {
            for ipv6 in FAMILIES {
                let ask = (Protocol::Tcp, PORT);
                let allows = allowed.contains(&client);
                checks.push(check(bench, (client, "a1"), ask, ipv6, allows)?);
                let ask = (Protocol::Udp, PORT);
                let allows = allows && client != "c2";
                checks.push(check(bench, (client, "a1"), ask, ipv6, allows)?);
            }
        }
        judge(bench, checks)
    };
    bench.folder.put(&deny)?;
    bench.folder.settle()?;
    both(&bench, &[]).context("deny")?;
    bench.folder.put(&one)?;
    bench.folder.settle()?;
    both(&bench, &["c1"]).context("one")?;
    bench.folder.put(&two)?;
    bench.folder.settle()?;
    both(&bench, &["c1", "c2"]).context("two")?;
    bench.folder.put(&out)?;
    bench.folder.settle()?;
    both(&bench, &["c2"]).context("the client may not send")?;
    bench.folder.take(&out)?;
    bench.folder.take(&one)?;
    bench.folder.settle()?;
    both(&bench, &["c2"]).context("one went")
}

/// What the receiver says by ICMP, or by a reset, gets back to who may ask, whatever isolates either end.
fn errors(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    for name in crate::common::PODS {
        relabel(&mut bench, name, &[])?;
    }
    bench.publish("closed", 1, &["a1"])?;
    let shut = |name: &str| {
        ingress(&format!("shut-{name}"), name, json!([]))
            .with("/spec/policyTypes", json!(["Ingress", "Egress"]))
    };
    for name in ["c1", "a1", "a2"] {
        bench.folder.put(&shut(name))?;
    }
    let out = egress("out", "c1", json!([{"to": [app("a1"), app("a2")]}]));
    bench.folder.put(&out)?;
    for name in ["a1", "a2"] {
        bench
            .folder
            .put(&ingress(name, name, json!([{"from": [app("c1")]}])))?;
    }
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            // Nobody listens.
            let closed = |place: &str| -> Result<Dial> {
                Ok(Dial::new(protocol, bench.address(place, ipv6)?, PORT))
            };
            for dial in [closed("a1")?, closed("a2")?, ask(protocol, 1, ipv6)] {
                let failure = bench.fails("c1", &dial)?;
                ensure!(
                    failure.why == Why::Refused,
                    "c1 → {} by {}: {failure}",
                    dial.target,
                    protocol.name()
                );
            }
            let dial = closed("a1")?.within(SILENCE);
            let failure = bench.fails("b1", &dial)?;
            ensure!(failure.why == Why::Timeout, "b1 may not ask: {failure}");
        }
    }
    Ok(())
}

fn itself(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    bench.publish("self", 1, &["c1"])?;
    bench.publish("pair", 2, &["c1", "a1"])?;
    let shut =
        ingress("shut", "c1", json!([])).with("/spec/policyTypes", json!(["Ingress", "Egress"]));
    bench.folder.put(&shut)?;
    bench.folder.settle()?;
    let mut checks = through("c1", 1, Some("c1"));
    checks.extend(through("a1", 1, None));
    checks.extend(through("c2", 1, None));
    checks.extend(through("n1", 1, Some("c1")));
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            checks.push(Check {
                client: "c1",
                dial: Dial::new(protocol, bench.address("c1", ipv6)?, PORT),
                by: Some("c1".to_owned()),
            });
        }
    }
    judge(&bench, checks).context("shut both ways")?;
    // Of a Service with two endpoints it reaches itself, always, and the other one never.
    for ipv6 in FAMILIES {
        let dial = ask(Protocol::Udp, 2, ipv6).within(std::time::Duration::from_millis(50));
        let tally = bench.many("c1", &dial, 20)?;
        let by = tally.by();
        ensure!(
            by.len() == 1 && by.contains_key("c1") && by.get("c1") < Some(&20),
            "of 20: {by:?}"
        );
    }
    Ok(())
}
