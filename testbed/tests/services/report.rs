//! What can be asked about Services: `sluicectl`, the cookies of flows, metrics.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::Protocol;
use sluice_testbed::suite::Scenario;
use sluice_testbed::{objects, run};

use crate::bench::{Bench, FAMILIES, PORTS, ask, http, vip};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("services_are_listed_with_their_endpoints", listed),
    ("flows_name_their_service", flows),
    ("metrics_speak_of_services", metrics),
];

const LIMIT: Duration = Duration::from_secs(5);

fn service<'a>(report: &'a Value, name: &str) -> Result<&'a Value> {
    report["services"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|service| service["name"] == name)
        .with_context(|| format!("no {name} in {report}"))
}

fn listed(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::serving(cluster, &["a1", "a2"])?;
    bench.publish("listed", 1, &["a1", "a2", "b1"])?;
    bench.endpoints_as("listed", &["a1", "a2", "b1"], |place, end| match place {
        "b1" => end.leaving(),
        _ => end,
    })?;
    bench.folder.settle()?;
    for ipv6 in FAMILIES {
        bench.expect("c1", &ask(Protocol::Tcp, 1, ipv6), 40, &["a1", "a2"])?;
    }
    let node = bench.node(1)?;
    run::wait_for("the counters to be reported", LIMIT, || {
        let report = objects::report(&node, &["services"])?;
        check_listed(&bench, &report).map(Some)
    })?;
    let report = objects::report(&node, &["services", "listed"])?;
    service(&report, "listed")?;
    let text = node.sh("sluicectl", &["services"])?;
    let address = vip(1, false).to_string();
    ensure!(
        text.contains("listed") && text.contains(&address),
        "`sluicectl services` says\n{text}"
    );
    Ok(())
}

fn check_listed(bench: &Bench<'_>, report: &Value) -> Result<()> {
    let listed = service(report, "listed")?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    ensure!(listed["type"] == "ClusterIP", "{listed}");
    let addresses = list(&listed["cluster_ips"]);
    ensure!(addresses.len() == 2, "clusterIPs: {addresses:?}");
    let ports = list(&listed["ports"]);
    ensure!(ports.len() == 4, "{} ports: {listed}", ports.len());
    for ipv6 in FAMILIES {
        let family = if ipv6 { "ipv6" } else { "ipv4" };
        let port = ports
            .iter()
            .find(|port| port["family"] == family && port["protocol"] == "tcp")
            .with_context(|| format!("no tcp in {family}: {listed}"))?;
        ensure!(port["packets"].as_u64() > Some(0), "no packets: {port}");
        let ends = list(&port["endpoints"]);
        ensure!(ends.len() == 3, "{} endpoints: {port}", ends.len());
        for (place, used, local) in [("a1", true, true), ("a2", true, false), ("b1", false, true)] {
            let address = SocketAddr::new(bench.address(place, ipv6)?, PORTS[0].2).to_string();
            let end = ends
                .iter()
                .find(|end| end["address"] == address.as_str())
                .with_context(|| format!("no {address}: {port}"))?;
            ensure!(
                end["used"] == used && end["local"] == local && end["terminating"] == !used,
                "{place}: {end}"
            );
            ensure!(
                (end["packets"].as_u64() > Some(0)) == used,
                "packets of {place}: {end}"
            );
        }
    }
    Ok(())
}

fn flows(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    bench.publish("named", 1, &["a1"])?;
    bench.folder.settle()?;
    let text = bench.node(1)?.sh("sluicectl", &["flows"])?;
    let address = vip(1, false).to_string();
    // The name may stand on the flow's line or on one above it.
    ensure!(
        text.contains("default/named") && text.contains(&address),
        "no default/named in\n{text}"
    );
    Ok(())
}

fn metrics(cluster: &mut Cluster) -> Result<()> {
    let mut bench = Bench::new(cluster)?;
    let node = bench.netns("n1")?;
    let read = || -> Result<String> {
        let (status, body) = http(&node, ([127, 0, 0, 1], 9810).into(), "/metrics")?;
        ensure!(status == 200, "/metrics answers {status}");
        Ok(body)
    };
    let count = |text: &str, name: &str| -> Option<f64> {
        text.lines()
            .filter(|line| line.starts_with(name))
            .find_map(|line| line.split_whitespace().next_back()?.parse().ok())
    };
    const PROGRAMMING: &str = "kubeproxy_network_programming_duration_seconds_count";
    let before = count(&read()?, PROGRAMMING).unwrap_or(0.0);
    bench.publish("measured", 1, &[])?;
    let now = bench.node(1)?.sh("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?;
    bench.folder.put(
        &objects::slice(
            "measured",
            "timed",
            false,
            &PORTS,
            &[bench.endpoint("a1", false)?],
        )
        .with(
            "/metadata/annotations/endpoints.kubernetes.io~1last-change-trigger-time",
            now.trim(),
        ),
    )?;
    bench.folder.settle()?;
    run::wait_for("the change to be measured", LIMIT, || {
        let after = count(&read()?, PROGRAMMING).context("no such metric")?;
        Ok((after > before).then_some(()))
    })?;
    let text = read()?;
    for word in ["services", "endpoints"] {
        ensure!(
            text.lines()
                .any(|line| !line.starts_with('#') && line.contains(word)),
            "no gauge of {word}:\n{text}"
        );
    }
    Ok(())
}
