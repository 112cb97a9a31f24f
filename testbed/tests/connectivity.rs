//! Who reaches whom: every tunnel, both families, both ways to attach a pod, with real packets.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::options::{Attach, Datapath, Options, Tunnel};
use sluice_testbed::suite::{self, Group};
use sluice_testbed::{demo, layout, look, ping, traffic};

fn main() -> ExitCode {
    let pods = || vec![(1, "a1"), (1, "b1"), (2, "a2"), (2, "b2")];
    let basic: Vec<suite::Scenario> = vec![
        ("all_pairs", all_pairs),
        ("full_mtu_without_fragments", full_mtu),
        ("big_tcp_transfers", big_tcp),
    ];
    let mut all = basic.clone();
    all.extend::<[suite::Scenario; 6]>([
        ("spoofed_addresses_are_refused_and_counted", spoofing),
        ("arp_for_any_address_is_answered", arp),
        ("node_and_pods_reach_each_other", node_and_pods),
        ("pods_reach_the_outside", outside),
        ("plain_traffic_is_not_recirculated", no_recirculation),
        ("dump_flows_shows_table_names", table_names),
    ]);
    let shape = |tunnel, attach, underlay_ipv6| Options {
        nodes: 2,
        tunnel,
        attach,
        underlay_ipv6,
        ipv6: true,
        ..Options::default()
    };
    let group = |name: &str, options, scenarios: &Vec<suite::Scenario>| Group {
        name: name.to_owned(),
        options,
        pods: pods(),
        scenarios: scenarios.clone(),
    };
    suite::main(vec![
        group("vxlan", shape(Tunnel::Vxlan, Attach::Internal, false), &all),
        group("veth", shape(Tunnel::Vxlan, Attach::Veth, false), &all),
        group(
            "geneve",
            shape(Tunnel::Geneve, Attach::Internal, false),
            &basic,
        ),
        group("gre", shape(Tunnel::Gre, Attach::Internal, false), &basic),
        group(
            "geneve6",
            shape(Tunnel::Geneve, Attach::Internal, true),
            &basic,
        ),
    ])
}

fn families(cluster: &Cluster) -> Vec<bool> {
    if cluster.options().ipv6 {
        vec![false, true]
    } else {
        vec![false]
    }
}

/// Bytes for a transfer: the guest emulates its processor.
fn volume(cluster: &Cluster) -> u64 {
    match cluster.options().datapath() {
        Datapath::Netdev => 64_000_000,
        Datapath::System => 16_000_000,
    }
}

fn all_pairs(cluster: &mut Cluster) -> Result<()> {
    for ipv6 in families(cluster) {
        let matrix = demo::matrix(cluster, ipv6)?;
        for (from, row) in cluster.pods().iter().zip(&matrix) {
            for (to, cell) in cluster.pods().iter().zip(row) {
                ensure!(
                    cell.is_some(),
                    "{} does not reach {} (IPv6: {ipv6})",
                    from.name,
                    to.name
                );
            }
        }
    }
    Ok(())
}

/// A packet of exactly the pod's MTU crosses the tunnel whole; one byte more does not leave the pod.
fn full_mtu(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let text = node.pod_sh("a1", "ip", &["-o", "link", "show", "eth0"])?;
    let mtu = look::number(&text, " mtu ").context("eth0 has no MTU")?;
    ensure!(
        mtu + 100 > u64::from(cluster.options().mtu),
        "the pod's MTU of {mtu} wastes the underlay's"
    );
    for ipv6 in families(cluster) {
        let target = cluster.pod("a2")?.address(ipv6)?;
        let headers = if ipv6 { 48 } else { 28 };
        let size = (mtu - headers).to_string();
        let report = ping::from_pod(
            &node,
            "a1",
            target,
            &["-M", "do", "-c", "5", "-i", "0.05", "-s", &size],
        )?;
        ensure!(report.received == 5, "{mtu} bytes to {target}: {report:?}");
        let size = (mtu - headers + 1).to_string();
        let report = ping::from_pod(
            &node,
            "a1",
            target,
            &["-M", "do", "-c", "1", "-W", "1", "-s", &size],
        )?;
        ensure!(report.received == 0, "{} bytes went through", mtu + 1);
    }
    Ok(())
}

/// Every byte right, and no segment that arrived with a wrong checksum, on one node and across.
fn big_tcp(cluster: &mut Cluster) -> Result<()> {
    let bytes = volume(cluster);
    for ipv6 in families(cluster) {
        for (from, to) in [("a1", "a2"), ("b2", "b1"), ("a1", "b1")] {
            let (source, target) = (cluster.pod(from)?, cluster.pod(to)?);
            let (near, far) = (
                cluster.name.pod(source.node, from),
                cluster.name.pod(target.node, to),
            );
            let took = traffic::transfer(&near, &far, target.address(ipv6)?, bytes)
                .with_context(|| format!("{from} → {to}, IPv6: {ipv6}"))?;
            println!(
                "    {from} → {to}: {:.0} Mbit/s",
                bytes as f64 * 8e-6 / took.as_secs_f64()
            );
        }
    }
    for pod in cluster.pods() {
        let bad = traffic::bad_checksums(&cluster.node(pod.node)?, &pod.name)?;
        ensure!(
            bad == 0,
            "{bad} segments reached {} with a wrong checksum",
            pod.name
        );
    }
    Ok(())
}

/// What a pod sends under another address is dropped, and counted under that reason and no other way.
fn spoofing(cluster: &mut Cluster) -> Result<()> {
    cluster.attach(1, "liar")?;
    let node = cluster.node(1)?;
    for ipv6 in families(cluster) {
        let target = cluster.pod("a2")?.address(ipv6)?;
        let neighbour = cluster.pod("b1")?.address(ipv6)?;
        let free: IpAddr = if ipv6 {
            "fd00:244:0:1::fa".parse()?
        } else {
            "10.244.1.250".parse()?
        };
        for false_source in [free, neighbour, target] {
            let before = look::dropped(&node, look::SPOOFED)?;
            let (address, length) = (false_source.to_string(), if ipv6 { 128 } else { 32 });
            let mut add = vec![
                "addr".to_owned(),
                "add".into(),
                format!("{address}/{length}"),
                "dev".into(),
                "eth0".into(),
            ];
            if ipv6 {
                add.push("nodad".into());
            }
            node.pod_sh("liar", "ip", &add)?;
            let goal = if false_source == target {
                cluster.pod("b2")?.address(ipv6)?
            } else {
                target
            };
            let report = ping::from_pod(
                &node,
                "liar",
                goal,
                &["-I", &address, "-c", "5", "-i", "0.05", "-W", "1"],
            )?;
            node.pod_sh(
                "liar",
                "ip",
                &["addr", "del", &format!("{address}/{length}"), "dev", "eth0"],
            )?;
            ensure!(
                report.received == 0,
                "answers came to {address}: {report:?}"
            );
            let after = look::dropped(&node, look::SPOOFED)?;
            ensure!(
                after - before == report.sent,
                "{} sent as {address}, {} counted",
                report.sent,
                after - before
            );
        }
    }
    // The MAC address last: changing it forgets the permanent neighbour entries.
    let before = look::dropped(&node, look::SPOOFED)?;
    let router = arping(cluster, "a1", "192.0.2.1")?;
    let target = cluster.pod("a2")?.address(false)?;
    node.pod_sh(
        "liar",
        "sh",
        &[
            "-ec",
            &format!(
        "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:66; ip link set eth0 up
        ip route replace 169.254.1.1 dev eth0; ip route replace default via 169.254.1.1 dev eth0
        ip neigh replace 169.254.1.1 lladdr {router} dev eth0 nud permanent"
    ),
        ],
    )?;
    let report = ping::from_pod(&node, "liar", target, &["-c", "5", "-i", "0.05", "-W", "1"])?;
    ensure!(
        report.received == 0,
        "answers came to a false MAC address: {report:?}"
    );
    let after = look::dropped(&node, look::SPOOFED)?;
    ensure!(
        after - before >= report.sent,
        "{} sent, {} counted",
        report.sent,
        after - before
    );
    cluster.detach(1, "liar")
}

/// The MAC address that answers for `address`.
fn arping(cluster: &Cluster, pod: &str, address: &str) -> Result<String> {
    let source = cluster.pod(pod)?.address(false)?.to_string();
    let node = cluster.node(cluster.pod(pod)?.node)?;
    let text = node.pod_sh(
        pod,
        "arping",
        &["-c", "2", "-w", "3", "-s", &source, "-I", "eth0", address],
    )?;
    let mac = text
        .split(['[', ']'])
        .nth(1)
        .with_context(|| format!("no answer for {address}: {text}"))?;
    Ok(mac.to_lowercase())
}

/// One and the same MAC address answers for a pod, for nobody, and for the world.
fn arp(cluster: &mut Cluster) -> Result<()> {
    let first = arping(cluster, "a1", "169.254.1.1")?;
    for address in ["10.244.1.77", "10.244.2.2", "8.8.8.8", "192.168.7.7"] {
        let mac = arping(cluster, "a1", address)?;
        ensure!(mac == first, "{address} is at {mac}, the router at {first}");
    }
    let other = arping(cluster, "a2", "169.254.1.1")?;
    ensure!(other == first, "another router on another node: {other}");
    Ok(())
}

fn node_and_pods(cluster: &mut Cluster) -> Result<()> {
    for ipv6 in families(cluster) {
        let pod = cluster.pod("a1")?.address(ipv6)?;
        let node = cluster.node(1)?;
        let report = ping::report(&mut node.command(
            "ping",
            &["-c", "3", "-i", "0.05", "-W", "2", &pod.to_string()],
        ))?;
        ensure!(report.received == 3, "node → {pod}: {report:?}");
        for number in [1, 2] {
            let underlay: IpAddr = if ipv6 {
                layout::underlay_v6(number).into()
            } else {
                layout::underlay_v4(number).into()
            };
            let report =
                ping::from_pod(&node, "a1", underlay, &["-c", "3", "-i", "0.05", "-W", "2"])?;
            ensure!(
                report.received == 3,
                "a1 → node {number} at {underlay}: {report:?}"
            );
        }
        let far = cluster.pod("a2")?.address(ipv6)?.to_string();
        let report =
            ping::report(&mut node.command("ping", &["-c", "3", "-i", "0.05", "-W", "2", &far]))?;
        ensure!(report.received == 3, "node 1 → {far}: {report:?}");
    }
    Ok(())
}

/// The outside has no route to pods, so answers come only to the node's own address.
fn outside(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    for target in layout::outside() {
        let report = ping::from_pod(&node, "a1", target, &["-c", "3", "-i", "0.05", "-W", "2"])?;
        ensure!(report.received == 3, "a1 → {target}: {report:?}");
    }
    Ok(())
}

/// Asks the switch itself what it would do with a packet.
fn no_recirculation(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let port = look::ofport(&node, "a1")?;
    let router = arping(cluster, "a1", "169.254.1.1")?;
    let from = cluster.pod("a1")?.clone();
    for to in ["b1", "a2"] {
        let target = cluster.pod(to)?.address(false)?;
        let packet = format!(
            "in_port={port},tcp,dl_src={},dl_dst={router},nw_src={},nw_dst={target},nw_ttl=64,tp_src=40000,tp_dst=80",
            from.mac,
            from.address(false)?
        );
        let trace = node.sh(
            "ovs-appctl",
            &[
                "-t",
                "ovs-vswitchd",
                "ofproto/trace",
                layout::BRIDGE,
                &packet,
            ],
        )?;
        ensure!(!trace.contains("recirc("), "{to}: recirculated\n{trace}");
        let verdict = trace
            .lines()
            .rfind(|line| line.starts_with("Datapath actions"))
            .unwrap_or_default();
        ensure!(
            !verdict.is_empty() && !verdict.ends_with("drop"),
            "{to}: dropped\n{trace}"
        );
    }
    Ok(())
}

/// Whoever knows `ovs-ofctl dump-flows` reads the network without a table of numbers.
fn table_names(cluster: &mut Cluster) -> Result<()> {
    let flows = look::flows(&cluster.node(1)?)?;
    for table in ["Classify", "Guard", "ArpNd", "Route", "Output", "Drop"] {
        ensure!(
            flows
                .iter()
                .any(|line| line.contains(&format!("table={table},"))),
            "no flow in table {table}"
        );
    }
    ensure!(
        flows
            .iter()
            .all(|line| look::number(line, "table=").is_none()),
        "a table has no name"
    );
    Ok(())
}
