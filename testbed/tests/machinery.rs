//! The testbed without us: that nodes, underlay and probes work where only Open vSwitch is involved.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::{self, Cluster, Depth};
use sluice_testbed::datapath::{self, Counters};
use sluice_testbed::dial::{self, Dial, Why};
use sluice_testbed::layout::{self, Name};
use sluice_testbed::options::{Hosts, Options, Tunnel};
use sluice_testbed::probe::Probe;
use sluice_testbed::process::Process;
use sluice_testbed::serve::{Listen, Server};
use sluice_testbed::steady::{Held, Load, Pulse};
use sluice_testbed::{bare, ping, suite, traffic};

fn main() -> ExitCode {
    suite::bare_main(&[
        ("underlay_joins_nodes", underlay_joins_nodes),
        ("bare_ports_talk", bare_ports_talk),
        ("clients_say_what_became_of_them", clients),
        ("recirculations_are_counted", recirculations),
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

/// One server, and clients of every kind.
fn clients() -> Result<()> {
    let cluster = up("mach5", 1)?;
    let node = cluster.node(1)?;
    let [a, b] = bare::pair(&node, cluster.options(), 1450)?;
    let (from, to) = (cluster.name.pod(1, &a.pod), cluster.name.pod(1, &b.pod));
    let address = b.address.into();
    let listen = [
        Listen::Tcp((address, 80).into()),
        Listen::Udp((address, 80).into()),
        Listen::Push((address, 81).into(), Duration::from_millis(2)),
    ];
    let server = Server::start(&to, "b", &listen)?;
    let (tcp, udp) = (Dial::tcp(address, 80), Dial::udp(address, 80));
    for dial in [
        tcp.clone(),
        udp.clone(),
        udp.clone().of_size(9000),
        tcp.clone().aborting().from_port(4321),
    ] {
        let tally = dial::many(&from, &dial, 20)?;
        tally
            .answered_by(&["b"])
            .with_context(|| format!("{dial:?}"))?;
        ensure!(tally.seen() == [a.address], "seen {:?}", tally.seen());
    }
    ensure!(server.questions() == 80, "{} questions", server.questions());
    // From one port to two ports, at once.
    let mut pair =
        [80, 81].map(|port| dial::open(&from, &Dial::udp(address, port).from_port(4321)));
    for conn in &mut pair {
        let conn = conn.as_mut().map_err(|failure| *failure)?;
        conn.send("x")?;
        ensure!(conn.heard()?.seen.port() == 4321, "another port");
    }
    let held = Held::open(&from, &tcp, 3)?;
    let load = Load::start(&from, &tcp)?;
    let pulse = Pulse::start(&from, &udp, suite::interval(cluster.options()))?;
    held.wait(5)?;
    load.wait(5)?;
    pulse.wait(50)?;
    // Nothing gets through for a moment; whatever is new then is lost or late.
    node.sh("ovs-ofctl", &["del-flows", "br-bare", "in_port=1"])?;
    pulse.wait(50)?;
    node.sh(
        "ovs-ofctl",
        &["add-flow", "br-bare", "in_port=1,actions=output:2"],
    )?;
    pulse.wait(50)?;
    let report = pulse.finish()?;
    report.lost_at_most(150)?;
    ensure!(report.lost.len() >= 45, "only {} lost", report.lost.len());
    load.finish()?.all_answered()?;
    held.finish_whole()?;
    server.finish()?;
    for dial in [tcp, udp] {
        let failure = dial::once(&from, &dial)?.err().context("nobody answers")?;
        ensure!(failure.why == Why::Refused, "{failure}");
    }
    cluster::down(&cluster.name)
}

/// None where there is none, and as many as a flow asks for.
fn recirculations() -> Result<()> {
    let cluster = up("mach6", 1)?;
    let node = cluster.node(1)?;
    let [a, b] = bare::pair(&node, cluster.options(), 1450)?;
    let (from, to) = (cluster.name.pod(1, &a.pod), cluster.name.pod(1, &b.pod));
    let dial = Dial::udp(b.address.into(), 80);
    let _server = Server::start(&to, "b", &[Listen::Udp(dial.target)])?;
    let datapath = suite::datapath()?;
    for (flow, recirculations) in [
        ("in_port=1,actions=output:2", 0),
        ("priority=50000,in_port=1,ip,actions=ct(table=1,zone=7)", 1),
        ("priority=50000,in_port=1,ip,actions=ct(table=2,zone=8)", 2),
    ] {
        node.script(&format!(
            "ovs-ofctl add-flow br-bare 'table=1,actions=output:2'
            ovs-ofctl add-flow br-bare 'table=2,ip,actions=ct(commit,zone=8,table=1)'
            ovs-ofctl add-flow br-bare '{flow}'"
        ))?;
        // Whatever else there is to find out happens now.
        dial::many(&from, &dial, 5)?.all_answered()?;
        let before = Counters::read(&node, datapath)?;
        dial::many(&from, &dial, 50)?.all_answered()?;
        let since = Counters::read(&node, datapath)?.since(before);
        // Each question had an answer, which is not recirculated.
        let found = since.recirculations(100);
        ensure!(
            found.abs_diff(50 * recirculations) <= 5,
            "{found} recirculations of 50 packets with {flow}"
        );
        ensure!(since.missed <= 5, "{} upcalls with {flow}", since.missed);
        ensure!(datapath::masks(&node)? >= 1, "no masks");
    }
    cluster::down(&cluster.name)
}
