//! kube-proxy's answers, row by row: the endpoints that are reached, or else that it refuses or drops, and whether an
//! endpoint sees the client's own address.
//!
//! What the host takes into the switch is taken for granted here: also what is for an externalIP that is an address
//! of the node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use sluice_agent::index::Options;
use sluice_flows::DropReason;
use sluice_flows::model::Protocol;

use crate::node::{Met, Node, node_object, switch};
use crate::recording::{Row, Scenario, Step, Sync};
use crate::switch::Switch;
use crate::trace::Verdict;

const NFTABLES: &str = "kube-proxy-nftables-packetflow.jsonl";
const IPTABLES: &str = "kube-proxy-iptables-packetflow.jsonl";
const PODS: u32 = 16;
/// What kube-proxy was told of the cluster: pods have these addresses, and this node's alone are seen sending.
const POD_NETS: [&str; 2] = ["10.0.0.0/8", "fd00:10::/32"];
/// Where nothing else is.
const GATEWAY_NETS: [&str; 2] = ["10.255.1.0/24", "fd00:10:255::/64"];
/// The scenario whose options are like ours; others try the same rows with other options.
const BASE: &str = "TestInternalExternalMasquerade/base";

#[tokio::test]
async fn as_kube_proxy_in_nftables_mode() {
    compare(NFTABLES, &[], 207).await;
}

#[tokio::test]
async fn as_kube_proxy_in_iptables_mode() {
    compare(IPTABLES, &["0.0.0.0/0", "::/0"], 246).await;
}

/// Compares every row of a file. `node_ports` is where kube-proxy has node ports in that mode, unless told otherwise.
async fn compare(file: &str, node_ports: &[&str], rows: usize) {
    let mut switch = switch(PODS);
    let scenarios = Scenario::all(file);
    let modern = Scenario::all(NFTABLES);
    let mut tally = Tally::default();
    for scenario in &scenarios {
        let named = |all: &[Scenario], name: &str| {
            let found = all.iter().find(|it| it.test == name);
            found.map(Scenario::rows).unwrap_or_default()
        };
        let alike = Alike {
            base: named(&scenarios, BASE),
            modern: named(&modern, &scenario.test),
        };
        let node_ports = node_port_addresses(&scenario.test).unwrap_or(node_ports.to_vec());
        run(scenario, &node_ports, &alike, &mut switch, &mut tally).await;
    }
    let Tally {
        equal,
        different,
        not_applicable,
    } = tally;
    let count: usize = not_applicable.values().map(Vec::len).sum();
    for (reason, rows) in &not_applicable {
        println!("not applicable, {reason}:");
        rows.iter().for_each(|row| println!("    {row}"));
    }
    println!("{file}: {equal} of {rows} rows equal, {count} not applicable");
    assert!(
        different.is_empty(),
        "{} rows are different:\n{}",
        different.len(),
        different.join("\n")
    );
    assert_eq!(equal + count, rows, "rows of {file}");
}

#[derive(Default)]
struct Tally {
    equal: usize,
    different: Vec<String>,
    /// By reason.
    not_applicable: BTreeMap<String, Vec<String>>,
}

/// The same rows elsewhere.
struct Alike {
    /// With the options that are like ours.
    base: Vec<(usize, Row)>,
    /// In nftables mode.
    modern: Vec<(usize, Row)>,
}

/// The scenarios that have the option `nodePortAddresses`, which is not recorded, and what it is there.
fn node_port_addresses(test: &str) -> Option<Vec<&'static str>> {
    let (_, options) = test.split_once("TestNodePorts/")?;
    match options {
        "ipv4,_localhost-nodeports_disabled,_localhost_in_nodeport-addresses" => {
            Some(vec!["192.168.0.0/24", "127.0.0.1/32"])
        }
        "ipv6,_localhost-nodeports_disabled,_multiple_nodeport-addresses" => {
            Some(vec!["192.168.0.0/24", "192.168.1.0/24", "2001:db8::/64"])
        }
        _ if options.ends_with("multiple_nodeport-addresses") => Some(vec![
            "192.168.0.0/24",
            "192.168.1.0/24",
            "2001:db8::/64",
            "2001:db8:1::/64",
        ]),
        _ => None,
    }
}

async fn run(
    scenario: &Scenario,
    node_ports: &[&str],
    alike: &Alike,
    switch: &mut Switch,
    tally: &mut Tally,
) {
    let steps = scenario.steps();
    let first = steps.iter().find_map(|step| match step {
        Step::Check(sync, check) => Some((sync, check)),
        Step::Event(_) => None,
    });
    let (sync, check) = first.expect("a check");
    let name = &sync.node_name;
    let own: BTreeSet<IpAddr> = check.node_ips.iter().map(|ip| parse(ip)).collect();
    let (local, remote) = pods(scenario, name, &own);

    let mut nodes = vec![node_object(
        name,
        &GATEWAY_NETS.map(str::to_owned),
        &check.node_ips,
    )];
    nodes.extend(remote.iter().enumerate().map(|(n, ip)| {
        let prefix = IpNet::from(*ip).to_string();
        node_object(
            &format!("peer-{n}"),
            &[prefix],
            &[format!("198.51.100.{}", n + 1)],
        )
    }));
    let options = Options {
        external_ips: true,
        ..Options::default()
    };
    let node_ports: Vec<IpNet> = node_ports.iter().map(|net| net.parse().unwrap()).collect();
    let mut node = Node::new(switch, name, options, &nodes, &node_ports).await;
    for ip in local {
        node.attach(ip).await;
    }

    let (mut events, mut checks) = (Vec::new(), 0..);
    for step in steps {
        let (sync, check) = match step {
            Step::Event(event) => {
                events.push(*event);
                continue;
            }
            Step::Check(sync, check) => (sync, check),
        };
        node.take(std::mem::take(&mut events)).await;
        let number = checks.next().unwrap_or_default();
        for row in check.rows {
            let title = format!("{}: {}, {}", scenario.test, row.name, row.answer());
            if let Some(reason) = not_applicable(&scenario.test, &sync, number, &row, alike, &node)
            {
                tally.not_applicable.entry(reason).or_default().push(title);
                continue;
            }
            match differs(&row, &mut node) {
                None => tally.equal += 1,
                Some(met) => tally.different.push(format!("{title}\n    {met:?}")),
            }
        }
    }
}

fn parse(ip: &str) -> IpAddr {
    ip.parse().unwrap()
}

/// Which pods are on this node and which elsewhere: endpoints, and those that send.
fn pods(
    scenario: &Scenario,
    name: &str,
    own: &BTreeSet<IpAddr>,
) -> (BTreeSet<IpAddr>, BTreeSet<IpAddr>) {
    let nets = POD_NETS.map(|net| net.parse::<IpNet>().unwrap());
    let is_pod = |ip: &IpAddr| nets.iter().any(|net| net.contains(ip)) && !own.contains(ip);
    let (mut local, mut remote) = (BTreeSet::new(), BTreeSet::new());
    for (ip, node) in scenario.endpoints() {
        let here = node.as_deref() == Some(name);
        if here { &mut local } else { &mut remote }.insert(ip);
    }
    // One scenario has an endpoint that is on two nodes at once, and never used.
    remote.retain(|ip| !local.contains(ip));
    let sources = scenario.rows().into_iter().map(|(_, row)| row.source);
    local.extend(sources.filter(is_pod));
    (local, remote)
}

/// Why a row says nothing about us, if so.
fn not_applicable(
    test: &str,
    sync: &Sync,
    number: usize,
    row: &Row,
    alike: &Alike,
    node: &Node<'_>,
) -> Option<String> {
    if test == "TestTracePacket" {
        let reason = "the rules are written by hand: no Services behind them are recorded";
        return Some(reason.to_owned());
    }
    if row.source.is_loopback() {
        let reason = "what the node sends to its own loopback address never gets to the switch, \
                      and node ports are not served there (nor are they in nftables mode)";
        return Some(reason.to_owned());
    }
    if row.output == "ACCEPT" {
        let reason = "a hole in the host's firewall for healthCheckNodePort, which is none of ours";
        return Some(reason.to_owned());
    }
    if row.output == "DROP"
        && !node
            .index
            .service_addresses()
            .any(|ip| ip == row.destination)
    {
        let reason = "kube-proxy was told the ServiceCIDR and drops what no Service has of it; \
                      here an address without Service is like any other";
        return Some(reason.to_owned());
    }
    let other = |rows: &[(usize, Row)], number: usize| {
        let mut rows = rows.iter().filter(|(n, _)| *n == number);
        let like = rows.find(|(_, other)| other.is_like(row)).map(|(_, it)| it);
        like.filter(|other| other.answer() != row.answer()).cloned()
    };
    let options = [
        (sync.masquerade_all, "masqueradeAll"),
        (!sync.local_detector_implemented, "no LocalTrafficDetector"),
    ];
    let options: Vec<&str> = options
        .into_iter()
        .filter_map(|(has, name)| has.then_some(name))
        .collect();
    if !options.is_empty() && other(&alike.base, number).is_some() {
        return Some(format!(
            "{} (without, the row is another and compared)",
            options.join(" and ")
        ));
    }
    other(&alike.modern, number).map(|modern| {
        format!(
            "nftables mode, which we follow, has it otherwise ({})",
            modern.answer()
        )
    })
}

/// What is met instead of what the row says.
fn differs(row: &Row, node: &mut Node<'_>) -> Option<Met> {
    let protocol = match &*row.protocol {
        "" | "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        other => panic!("unknown protocol {other}"),
    };
    let word = matches!(&*row.output, "" | "REJECT" | "DROP");
    let expected: BTreeSet<SocketAddr> = if word {
        BTreeSet::new()
    } else {
        let endpoints = row.output.split(", ");
        endpoints.map(|it| it.parse().unwrap()).collect()
    };
    let met = node.connections(protocol, row.source, row.to(), &expected);
    let right = match (&*row.output, &*met.others) {
        ("REJECT", [Verdict::Rejected]) => true,
        ("DROP", [Verdict::Dropped(reason)]) => is_of_services(*reason),
        ("", [Verdict::Untouched]) => true,
        // It was for the host, and that is where it came from.
        ("", [Verdict::Dropped(DropReason::RoutedBack | DropReason::NoRoute)]) => true,
        (_, []) => !word && met.masqueraded == BTreeSet::from([row.masq]),
        _ => false,
    };
    (!right || met.endpoints != expected).then_some(met)
}

/// Whether it is a Service that has it dropped.
fn is_of_services(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::NoServicePort | DropReason::NoLocalEndpoint | DropReason::SourceNotAllowed
    )
}
