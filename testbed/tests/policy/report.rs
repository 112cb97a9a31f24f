//! What can be seen of policies: `sluicectl policies`, `why` and `drops`, and what is said of policies that are wrong.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::datapath;
use sluice_testbed::dial::{self, Protocol};
use sluice_testbed::node::{Daemon, Node};
use sluice_testbed::objects;
use sluice_testbed::run;
use sluice_testbed::suite::Scenario;

use crate::bench::{Bench, FAMILIES, PORT, ask};
use crate::common::{Hammer, app, egress, everywhere, ingress, judge, labelled};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("counters_rise", counters),
    ("connections_through_services_are_counted", through_services),
    ("why_names_what_decides", why),
    ("drops_are_counted_by_reason", drops),
    ("wrong_policies_are_named_and_the_rest_is_in_force", wrong),
];

const LIMIT: Duration = Duration::from_secs(5);
/// Where conntrack has what policy must know, connections to Services apart, and these: as their clients make them, and
/// as they are on the wire.
pub(crate) const ZONE_TRACK: u16 = 20_928;
pub(crate) const ZONE_SERVICE: u16 = 20_929;
pub(crate) const ZONE_WIRE: u16 = 20_930;

fn policy<'a>(report: &'a Value, name: &str) -> Result<&'a Value> {
    list(&report["policies"])
        .find(|policy| policy["name"] == name)
        .with_context(|| format!("no policy {name} in {report}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(value: &Value) -> Result<u64> {
    value
        .as_u64()
        .with_context(|| format!("no number: {value}"))
}

/// Two policies: `c1` comes in to `a1`, which goes out to `b1` only.
fn pair(bench: &mut Bench<'_>) -> Result<()> {
    bench.folder.put(&ingress(
        "let-in",
        "a1",
        json!([{"from": [app("c1")]}, {"from": [app("c2")], "ports": [{"port": 1}]}]),
    ))?;
    bench
        .folder
        .put(&egress("let-out", "a1", json!([{"to": [app("b1")]}])))?;
    bench.folder.settle()
}

/// Traffic of each kind: allowed in, denied in, allowed out, denied out.
fn traffic(bench: &Bench<'_>) -> Result<()> {
    let mut checks = everywhere(bench, "a1", &["c1"], &["b1", "c2"])?;
    checks.extend(everywhere(bench, "b1", &["a1"], &[])?);
    checks.extend(everywhere(bench, "a2", &[], &["a1"])?);
    judge(bench, checks)
}

/// Packets allowed by `let-in`'s rules, denied for it, allowed and denied for `let-out`.
fn read(node: &Node) -> Result<[u64; 5]> {
    let report = objects::report(node, &["policies"])?;
    let (inward, outward) = (policy(&report, "let-in")?, policy(&report, "let-out")?);
    ensure!(inward["namespace"] == "default", "{inward}");
    ensure!(inward["pods"] == json!(["default/a1"]), "{inward}");
    let rules: Vec<_> = list(&inward["rules"]).collect();
    ensure!(rules.len() == 2, "{inward}");
    let rule = |index: u64| {
        let found = rules.iter().find(|rule| rule["index"] == index);
        number(&found.with_context(|| format!("no rule {index}: {inward}"))?["packets"])
    };
    ensure!(
        rules
            .iter()
            .all(|rule| rule["direction"] == "ingress" && rule["text"].is_string()),
        "{inward}"
    );
    let isolated = list(&report["isolated"])
        .find(|pod| pod["pod"] == "default/a1")
        .with_context(|| format!("a1 is not isolated: {report}"))?;
    ensure!(
        isolated["ingress"].is_u64() && isolated["egress"].is_u64(),
        "{isolated}"
    );
    ensure!(isolated["ingress"] == inward["packets_denied"], "{report}");
    ensure!(isolated["egress"] == outward["packets_denied"], "{report}");
    Ok([
        rule(0)?,
        rule(1)?,
        number(&inward["packets_denied"])?,
        number(&outward["packets_allowed"])?,
        number(&outward["packets_denied"])?,
    ])
}

fn counters(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    pair(&mut bench)?;
    let node = bench.node(1)?;
    traffic(&bench)?;
    let first = run::wait_for("the counters to be reported", LIMIT, || {
        let counts = read(&node)?;
        let [one, two, denied, out, denied_out] = counts;
        ensure!(two == 0, "nobody used the second rule: {counts:?}");
        let all = [one, denied, out, denied_out]
            .iter()
            .all(|count| *count > 0);
        ensure!(all, "{counts:?}");
        Ok(Some(counts))
    })?;
    traffic(&bench)?;
    let second = run::wait_for("the counters to rise", LIMIT, || {
        let counts = read(&node)?;
        let rises = [0, 2, 3, 4]
            .iter()
            .all(|&index| counts.get(index) > first.get(index));
        ensure!(rises, "{counts:?} after {first:?}");
        Ok(Some(counts))
    })?;
    println!("    {first:?}, then {second:?}");
    labels(&bench, &node)?;
    let text = node.sh("sluicectl", &["policies", "let-in"])?;
    ensure!(
        text.contains("default/let-in") && text.contains("default/a1"),
        "`sluicectl policies` says\n{text}"
    );
    ensure!(!text.contains("let-out\n"), "more than asked for:\n{text}");
    Ok(())
}

/// Conntrack says which rule let a connection in, and `sluicectl flows` what that rule is.
fn labels(bench: &Bench<'_>, node: &Node) -> Result<()> {
    let ends = [bench.address("c1", false)?, bench.address("a1", false)?];
    for [by_egress, by_ingress] in deciding(node, ZONE_TRACK, ends)? {
        ensure!(by_egress == 0, "c1 is not isolated, and has {by_egress:#x}");
        is_rule(node, "reg15", by_ingress, "let-in ingress rule 0")?;
    }
    Ok(())
}

/// The numbers of the rules, for egress and ingress, that connections between two addresses have; there is one.
fn deciding(node: &Node, zone: u16, [from, to]: [IpAddr; 2]) -> Result<Vec<[u128; 2]>> {
    let begins = format!("orig=(src={from},dst={to},");
    let found = datapath::connections(node, zone)?;
    let labels = found
        .iter()
        .filter(|line| line.contains(&begins))
        .map(|line| {
            let label = line.split("labels=0x").nth(1);
            let label = label.and_then(|rest| rest.split(',').next());
            let label = u128::from_str_radix(label.unwrap_or("0"), 16).context(line.clone())?;
            Ok([label & 0xffff_ffff, label >> 32])
        });
    let labels: Vec<_> = labels.collect::<Result<_>>()?;
    ensure!(
        !labels.is_empty(),
        "no connection {from} → {to}: {found:#?}"
    );
    Ok(labels)
}

/// That a number stands for this rule in flows.
fn is_rule(node: &Node, register: &str, number: u128, rule: &str) -> Result<()> {
    let sets = format!("set_field:{number:#x}->{register}");
    let flows = node.sh("sluicectl", &["flows"])?;
    let named = |line: &str| line.contains(&sets) && line.contains(rule);
    ensure!(
        flows.lines().any(named),
        "no flow of {rule} sets {number:#x}:\n{flows}"
    );
    Ok(())
}

/// Packets and bytes of each rule of a policy, in order.
fn counted(node: &Node, name: &str) -> Result<Vec<[u64; 2]>> {
    let report = objects::report(node, &["policies"])?;
    let rules = list(&policy(&report, name)?["rules"]);
    rules
        .map(|rule| Ok([number(&rule["packets"])?, number(&rule["bytes"])?]))
        .collect()
}

/// What goes through a Service is judged, counted and remembered as what goes to its endpoint is: here, and where an
/// endpoint is elsewhere, there.
fn through_services(cluster: &mut Cluster) -> Result<()> {
    const EACH: u64 = 20;
    let mut bench = labelled(cluster)?;
    bench.publish("near", 1, &["a1"])?;
    bench.publish("far", 2, &["a2"])?;
    let ports = json!([{"protocol": "TCP", "port": PORT}, {"protocol": "UDP", "port": PORT}]);
    bench.folder.put(&egress(
        "out",
        "c1",
        json!([
            {"to": [app("c2")]},
            {"to": [app("a1")], "ports": ports},
            {"to": [app("a2")]},
        ]),
    ))?;
    for place in ["a1", "a2"] {
        bench.folder.put(&ingress(
            &format!("in-{place}"),
            place,
            json!([{"from": [app("c2")]}, {"from": [app("c1")], "ports": ports}]),
        ))?;
    }
    bench.folder.settle()?;
    let (node, far) = (bench.node(1)?, bench.node(2)?);
    let mut conns = Vec::new();
    for ipv6 in FAMILIES {
        for service in [1, 2] {
            let dial = ask(Protocol::Udp, service, ipv6);
            let mut conn = dial::open(&bench.netns("c1")?, &dial)?;
            for turn in 0..EACH {
                conn.ask(&turn.to_string()).context("through a Service")?;
            }
            conns.push(conn);
        }
    }
    // A question is a datagram, and answers are counted by no rule.
    let packets = |node: &Node, name: &str| -> Result<Vec<u64>> {
        Ok(counted(node, name)?
            .into_iter()
            .map(|[packets, _]| packets)
            .collect())
    };
    let both = EACH * 2;
    for (node, name, wanted) in [
        (&node, "out", vec![0, both, both]),
        (&node, "in-a1", vec![0, both]),
        (&far, "in-a2", vec![0, both]),
    ] {
        run::wait_for(&format!("{name} to have counted {wanted:?}"), LIMIT, || {
            let found = packets(node, name)?;
            ensure!(
                found.iter().zip(&wanted).all(|(is, most)| is <= most),
                "{name}: {found:?}, more than {wanted:?}"
            );
            Ok((found == wanted).then_some(()))
        })?;
    }
    let bytes = |node: &Node, name: &str, rule: usize| -> Result<u64> {
        let found = counted(node, name)?;
        let rule = found.get(rule).context("no such rule")?;
        Ok(rule[1])
    };
    let (sent, got) = (bytes(&node, "out", 1)?, bytes(&node, "in-a1", 1)?);
    ensure!(
        sent == got && sent > both * 42,
        "{sent} bytes were let out, and {got} in"
    );
    for ipv6 in FAMILIES {
        let client = bench.address("c1", ipv6)?;
        for (place, by_egress, by_ingress) in [
            ("a1", "out egress rule 1", Some("in-a1 ingress rule 1")),
            ("a2", "out egress rule 2", None),
        ] {
            let ends = [client, bench.address(place, ipv6)?];
            for [sender, receiver] in deciding(&node, ZONE_WIRE, ends)? {
                is_rule(&node, "reg14", sender, by_egress)?;
                match by_ingress {
                    Some(rule) => is_rule(&node, "reg15", receiver, rule)?,
                    None => ensure!(receiver == 0, "a2 is not here: {receiver:#x}"),
                }
            }
        }
        // Over there nobody knows of a Service.
        let ends = [client, bench.address("a2", ipv6)?];
        for [sender, receiver] in deciding(&far, ZONE_TRACK, ends)? {
            ensure!(sender == 0, "c1 is not here: {sender:#x}");
            is_rule(&far, "reg15", receiver, "in-a2 ingress rule 1")?;
        }
    }
    // TCP as well: a SYN, an ACK and a question at least.
    let mut conn = dial::open(&bench.netns("c1")?, &ask(Protocol::Tcp, 1, false))?;
    conn.ask("tcp").context("through a Service")?;
    run::wait_for("TCP to be counted", LIMIT, || {
        let found = [packets(&node, "out")?, packets(&node, "in-a1")?];
        Ok(found
            .iter()
            .all(|rules| rules.get(1) >= Some(&(both + 3)))
            .then_some(()))
    })?;
    let mut command = node.command("sluicectl", &["why", "c1", "near", "tcp/80", "-o", "json"]);
    let through: Value = serde_json::from_slice(&run::output(&mut command)?.stdout)?;
    let text = through["explanation"].as_str().unwrap_or_default();
    ensure!(
        through["verdict"] == "delivered"
            && text.contains("out egress rule 1")
            && text.contains("in-a1 ingress rule 1"),
        "{through}"
    );
    let mut command = node.command("sluicectl", &["why", "b1", "near", "tcp/80", "-o", "json"]);
    let through: Value = serde_json::from_slice(&run::output(&mut command)?.stdout)?;
    let text = through["explanation"].as_str().unwrap_or_default();
    let endpoint = format!("{}:{PORT}", bench.address("a1", false)?);
    ensure!(
        through["verdict"] == "dropped"
            && text.contains("ingress-isolation")
            && text.contains("in-a1")
            && through["endpoint"] == endpoint.as_str(),
        "{through}"
    );
    Ok(())
}

/// What `sluicectl why` says; it exits 1 if the packet is not delivered.
fn ask_why(node: &Node, from: &str, to: &str) -> Result<Value> {
    let target = format!("tcp/{PORT}");
    let mut command = node.command("sluicectl", &["why", from, to, &target, "-o", "json"]);
    let output = run::output(&mut command)?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "why {from} {to}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

fn why(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    pair(&mut bench)?;
    bench.publish("web", 1, &["a1"])?;
    bench.folder.settle()?;
    let node = bench.node(1)?;
    let says = |value: &Value, verdict: &str, words: &[&str]| -> Result<()> {
        let text = value["explanation"].as_str().unwrap_or_default();
        ensure!(value["verdict"] == verdict, "not {verdict}: {value}");
        for word in words {
            ensure!(text.contains(word), "no `{word}` in `{text}`: {value}");
        }
        Ok(())
    };
    says(&ask_why(&node, "c1", "a1")?, "delivered", &["a1", "let-in"])?;
    says(
        &ask_why(&node, "a1", "b1")?,
        "delivered",
        &["b1", "let-out"],
    )?;
    says(
        &ask_why(&node, "b1", "a1")?,
        "dropped",
        &["ingress-isolation", "let-in"],
    )?;
    says(
        &ask_why(&node, "a1", "c1")?,
        "dropped",
        &["egress-isolation", "let-out"],
    )?;
    let address = bench.address("a2", false)?.to_string();
    says(
        &ask_why(&node, &address, "a1")?,
        "dropped",
        &["ingress-isolation"],
    )?;
    says(&ask_why(&node, "c1", "b1")?, "delivered", &["b1"])?;
    let mut command = node.command("sluicectl", &["why", "c1", "web", "tcp/80", "-o", "json"]);
    let through: Value = serde_json::from_slice(&run::output(&mut command)?.stdout)?;
    says(&through, "delivered", &["let-in"])?;
    let endpoint = format!("{}:{PORT}", bench.address("a1", false)?);
    ensure!(through["endpoint"] == endpoint.as_str(), "{through}");
    let text = run::output(&mut node.command("sluicectl", &["why", "b1", "a1", "tcp/8080"]))?;
    ensure!(!text.status.success(), "a drop exits 0");
    bench.folder.put(
        &objects::service("nobody", &[])
            .with("/spec/clusterIP", "None")
            .with("/spec/selector/app", "a1")
            .port("dns", Protocol::Udp, 53, PORT),
    )?;
    bench.folder.settle()?;
    let output = run::output(&mut node.command("sluicectl", &["why", "c1", "nobody", "udp/53"]))?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(
        text.contains("default/nobody is headless") && text.contains("default/a1"),
        "why c1 nobody: {text}"
    );
    Ok(())
}

fn drops(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    pair(&mut bench)?;
    let node = bench.node(1)?;
    let count = |reason: &str| -> Result<u64> {
        let report = objects::report(&node, &["drops"])?;
        let found = list(&report["reasons"]).find(|one| one["reason"] == reason);
        number(&found.with_context(|| format!("no {reason} in {report}"))?["packets"])
    };
    let before = [count("ingress-isolation")?, count("egress-isolation")?];
    judge(&bench, everywhere(&bench, "a1", &["c1"], &["b1"])?)?;
    run::wait_for("what may not come in to be counted", LIMIT, || {
        Ok((count("ingress-isolation")? > before[0]).then_some(()))
    })?;
    ensure!(count("egress-isolation")? == before[1], "nothing went out");
    judge(&bench, everywhere(&bench, "a2", &["c2"], &["a1"])?)?;
    run::wait_for("what may not go out to be counted", LIMIT, || {
        Ok((count("egress-isolation")? > before[1]).then_some(()))
    })?;
    samples(&bench, &node)
}

/// Whoever watches is told who was denied what, by name.
fn samples(bench: &Bench<'_>, node: &Node) -> Result<()> {
    let target = SocketAddr::new(bench.address("a1", false)?, PORT);
    let hammer = Hammer::start(&bench.netns("b1")?, vec![target], Duration::from_millis(20))?;
    // Ends with the first line that is looked for: then nobody reads any more.
    let watch = "timeout 30 sluicectl drops --follow -o json | grep -m 1 ingress-isolation";
    let line = node.sh("sh", &["-c", watch])?;
    let (_, heard) = hammer.finish()?;
    ensure!(heard == 0, "{heard} answers to who may not ask");
    let sample: Value = serde_json::from_str(line.trim()).with_context(|| line.clone())?;
    let named = |place: &str| -> Result<String> {
        Ok(format!(
            "default/{place} ({})",
            bench.address(place, false)?
        ))
    };
    ensure!(
        sample["from"] == named("b1")? && sample["to"] == named("a1")?,
        "{sample}"
    );
    ensure!(
        sample["protocol"] == "udp" && sample["port"] == PORT,
        "{sample}"
    );
    Ok(())
}

fn wrong(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    let mistakes = [
        (
            "bad-cidr",
            json!([{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]),
        ),
        (
            "bad-except",
            json!([{"from": [{"ipBlock": {"cidr": "10.0.0.0/16", "except": ["10.9.0.0/24"]}}]}]),
        ),
        (
            "bad-range",
            json!([{"ports": [{"port": 90, "endPort": 80}]}]),
        ),
        (
            "bad-named-range",
            json!([{"ports": [{"port": "main", "endPort": 9000}]}]),
        ),
        (
            "bad-operator",
            json!([{"from": [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "Near", "values": ["c1"]}]}}]}]),
        ),
    ];
    for (name, rules) in &mistakes {
        bench.folder.put(&ingress(name, "a1", rules.clone()))?;
    }
    bench
        .folder
        .put(&ingress("good", "a1", json!([{"from": [app("c1")]}])))?;
    bench.folder.settle()?;
    let node = bench.node(1)?;
    let report = objects::report(&node, &["policies"])?;
    let text = node.sh("sluicectl", &["policies"])?;
    for (name, _) in &mistakes {
        let refused = list(&report["refused"])
            .find(|one| one["object"].as_str().is_some_and(|o| o.contains(name)))
            .with_context(|| format!("{name} is not refused: {report}"))?;
        println!("    {refused}");
        ensure!(
            refused["message"].as_str().is_some_and(|m| !m.is_empty()),
            "{refused}"
        );
        ensure!(text.contains(name), "no {name} in\n{text}");
    }
    // Who asks for one hears of that one, and of the pods that it selects.
    let one = objects::report(&node, &["policies", "bad-range"])?;
    ensure!(
        list(&one["policies"]).count() == 1
            && list(&one["refused"]).count() == 1
            && list(&one["isolated"]).count() == 1,
        "{one}"
    );
    let none = node.sh("sluicectl", &["policies", "not-there"])?;
    ensure!(none.starts_with("no NetworkPolicies"), "{none}");
    let log = std::fs::read_to_string(node.log(Daemon::Agent))?;
    for (name, _) in &mistakes {
        ensure!(log.contains(name), "{name} is not in the agent's log");
    }
    policy(&report, "good")?;
    judge(
        &bench,
        everywhere(&bench, "a1", &["c1", "n1"], &["b1", "c2"])?,
    )?;
    for (name, _) in &mistakes {
        bench.folder.remove(&format!("networkpolicy-{name}.yaml"))?;
    }
    bench.folder.settle()?;
    let report = objects::report(&node, &["policies"])?;
    ensure!(list(&report["refused"]).next().is_none(), "{report}");
    Ok(())
}
