//! The testbed without us: that nodes, underlay and probes work where only Open vSwitch is involved.

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::{self, Cluster, Depth};
use sluice_testbed::layout::{self, Name};
use sluice_testbed::options::{Hosts, Options, Tunnel};
use sluice_testbed::probe::Probe;
use sluice_testbed::process::Process;
use sluice_testbed::{bare, ping, suite, traffic};

fn main() -> ExitCode {
    suite::bare_main(&[
        ("underlay_joins_nodes", underlay_joins_nodes),
        ("bare_ports_talk", bare_ports_talk),
        ("each_tunnel_carries_packets", each_tunnel_carries_packets),
        ("down_works_after_half_an_up", down_works_after_half_an_up),
    ])
}

fn up(name: &str, nodes: u8) -> Result<Cluster> {
    up_as(
        name,
        Options {
            nodes,
            ..Options::default()
        },
    )
}

fn up_as(name: &str, options: Options) -> Result<Cluster> {
    let options = Options {
        hosts: Hosts::Netns,
        datapath: Some(suite::datapath()?),
        ..options
    };
    let bin = std::env::current_exe()?;
    let owner = Some(Process::current()?);
    Cluster::up(
        Name::new(name)?,
        &options,
        bin.parent().unwrap_or(&bin),
        owner,
        Depth::Switches,
    )
}

/// Each node reaches each other and the outside, both families.
fn underlay_joins_nodes() -> Result<()> {
    let cluster = up("mach1", 3)?;
    for node in cluster.nodes()? {
        let mut targets = layout::outside().to_vec();
        for other in 1..=3 {
            targets.extend::<[std::net::IpAddr; 2]>([
                layout::underlay_v4(other).into(),
                layout::underlay_v6(other).into(),
            ]);
        }
        for target in targets {
            let target = target.to_string();
            let report = ping::report(
                &mut node.command("ping", &["-c", "3", "-i", "0.05", "-W", "2", &target]),
            )?;
            ensure!(
                report.received == 3,
                "{} → {target}: {report:?}",
                node.name()
            );
        }
    }
    cluster::down(&cluster.name)
}

/// Packets and bytes cross a bridge with two explicit flows.
fn bare_ports_talk() -> Result<()> {
    let cluster = up("mach2", 1)?;
    let node = cluster.node(1)?;
    let [a, b] = bare::pair(&node, cluster.options(), 1450)?;
    let (from, to) = (cluster.name.pod(1, &a.pod), cluster.name.pod(1, &b.pod));
    let probe = Probe::start(
        &from,
        &to,
        b.address.into(),
        suite::interval(cluster.options()),
    )?;
    probe.wait_answers(200)?;
    let report = probe.finish()?;
    ensure!(report.lost.is_empty(), "{report:?}");
    traffic::transfer(&from, &to, b.address.into(), 5_000_000)?;
    ensure!(
        traffic::bad_checksums(&node, &b.pod)? == 0,
        "wrong checksums"
    );
    cluster::down(&cluster.name)
}

/// Each type of tunnel, over each family of underlay, between bridges with three flows each.
fn each_tunnel_carries_packets() -> Result<()> {
    for (index, tunnel) in [Tunnel::Vxlan, Tunnel::Geneve, Tunnel::Gre]
        .into_iter()
        .enumerate()
    {
        for underlay_ipv6 in [false, true] {
            let name = format!("mach4x{index}{}", u8::from(underlay_ipv6));
            let cluster = up_as(
                &name,
                Options {
                    nodes: 2,
                    tunnel,
                    underlay_ipv6,
                    ..Options::default()
                },
            )?;
            let (one, two) = (cluster.node(1)?, cluster.node(2)?);
            bare::tunnel(&one, cluster.options(), 2)?;
            let far = bare::tunnel(&two, cluster.options(), 1)?;
            let (from, to) = (cluster.name.pod(1, "bare"), cluster.name.pod(2, "bare"));
            let probe = Probe::start(
                &from,
                &to,
                far.address.into(),
                suite::interval(cluster.options()),
            )
            .with_context(|| format!("{tunnel:?}, IPv6: {underlay_ipv6}"))?;
            probe.wait_answers(100)?;
            let report = probe.finish()?;
            // The first may be lost while the tunnel's far end is being looked up.
            ensure!(
                report.lost.len() < 5,
                "{tunnel:?}, IPv6: {underlay_ipv6}: {report:?}"
            );
            traffic::transfer(&from, &to, far.address.into(), 2_000_000)?;
            cluster::down(&cluster.name)?;
        }
    }
    Ok(())
}

/// A testbed whose state file is lost, and whose switch has died, goes all the same.
fn down_works_after_half_an_up() -> Result<()> {
    let cluster = up("mach3", 2)?;
    let node = cluster.node(1)?;
    node.end(sluice_testbed::node::Daemon::Vswitchd, "KILL")?;
    std::fs::remove_file(cluster.name.dir().join("state.json"))?;
    cluster::down(&cluster.name)?;
    ensure!(
        sluice_testbed::netns::list(&cluster.name.prefix()).is_empty(),
        "namespaces are left"
    );
    ensure!(!cluster.name.dir().exists(), "the folder is left");
    Ok(())
}
