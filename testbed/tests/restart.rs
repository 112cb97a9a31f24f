//! What survives what: daemons end, politely or not, while packets flow.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::node::Daemon;
use sluice_testbed::options::{Attach, Datapath, Options};
use sluice_testbed::probe::{Probe, Report};
use sluice_testbed::suite::{self, Group, Scenario};
use sluice_testbed::{agent, demo, look, ovs, run};

fn main() -> ExitCode {
    let mut scenarios: Vec<Scenario> = vec![
        ("agent_restart_loses_nothing_and_sends_nothing", |cluster| {
            agent_restart(cluster, "TERM")
        }),
        ("agent_kill_loses_nothing_and_sends_nothing", |cluster| {
            agent_restart(cluster, "KILL")
        }),
        ("pods_come_back_after_vswitchd_restarts", |cluster| {
            vswitchd_restart(cluster, "TERM")
        }),
        ("pods_come_back_after_vswitchd_is_killed", |cluster| {
            vswitchd_restart(cluster, "KILL")
        }),
        ("database_restart_leaves_traffic_alone", database_restart),
        ("agent_catches_up_with_what_it_missed", catches_up),
        (
            "a_newer_agent_changes_only_what_differs",
            follows_an_older_one,
        ),
    ];
    // The userspace datapath is the switch itself, and ends with it.
    if matches!(suite::datapath(), Ok(Datapath::System)) {
        scenarios.push(("kernel_goes_on_without_the_switch", kernel_goes_on));
    }
    let group = |name: &str, attach| Group {
        name: name.to_owned(),
        options: Options {
            nodes: 2,
            attach,
            ipv6: true,
            ..Options::default()
        },
        pods: vec![(1, "a1"), (1, "b1"), (2, "a2")],
        scenarios: scenarios.clone(),
    };
    suite::main(vec![
        group("internal", Attach::Internal),
        group("veth", Attach::Veth),
    ])
}

/// Questions from the first node's pod to the second's, a thousand a second.
fn probe(cluster: &Cluster) -> Result<Probe> {
    let target = cluster.pod("a2")?.address(false)?;
    Probe::start(
        &cluster.name.pod(1, "a1"),
        &cluster.name.pod(2, "a2"),
        target,
        suite::interval(cluster.options()),
    )
}

fn all_reach_all(cluster: &Cluster) -> Result<bool> {
    for ipv6 in [false, true] {
        if demo::matrix(cluster, ipv6)?
            .iter()
            .flatten()
            .any(Option::is_none)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn agent_restart(cluster: &mut Cluster, signal: &str) -> Result<()> {
    let nodes = cluster.nodes()?;
    for node in &nodes {
        look::log_messages(node)?;
    }
    let before: Vec<_> = nodes.iter().map(look::program).collect::<Result<_>>()?;
    let sent: Vec<_> = nodes.iter().map(look::messages).collect::<Result<_>>()?;
    let probe = probe(cluster)?;
    probe.wait_answers(300)?;
    for node in &nodes {
        node.end(Daemon::Agent, signal)?;
    }
    probe.wait_answers(300)?;
    for node in &nodes {
        agent::start(node)?;
    }
    cluster.record(&nodes, &[Daemon::Agent])?;
    for node in &nodes {
        agent::wait_ready(node)?;
    }
    probe.wait_answers(300)?;
    let report = probe.finish()?;
    println!(
        "    {} packets, {} lost, longest silence {:?}",
        report.sent,
        report.lost.len(),
        report.silence
    );
    ensure!(
        report.lost.is_empty(),
        "{} of {} packets were lost: {}",
        report.lost.len(),
        report.sent,
        report.losses()
    );
    for ((node, before), (changes, received)) in nodes.iter().zip(before).zip(sent) {
        let (changes_now, received_now) = look::messages(node)?;
        ensure!(
            received_now > received,
            "the switch of {} logs no messages",
            node.name()
        );
        ensure!(
            changes_now == changes,
            "{} messages changed flows on {}",
            changes_now - changes,
            node.name()
        );
        ensure!(
            look::program(node)? == before,
            "the flows of {} are not what they were",
            node.name()
        );
    }
    Ok(())
}

fn vswitchd_restart(cluster: &mut Cluster, signal: &str) -> Result<()> {
    let node = cluster.node(1)?;
    let before = look::program(&node)?;
    let kernel = cluster.options().datapath() == Datapath::System;
    let probe = probe(cluster)?;
    probe.wait_answers(300)?;
    ovs::restart_vswitchd(&node, signal)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Vswitchd])?;
    if !kernel {
        // The userspace datapath died with the switch; so did the device that held the underlay address.
        ovs::underlay(&node, cluster.options())?;
    }
    let back = run::wait_for("all pods to be back", Duration::from_secs(60), || {
        Ok(all_reach_all(cluster)?.then_some(()))
    });
    if back.is_ok() {
        probe.wait_answers(300)?;
    }
    let report = probe.finish()?;
    back?;
    println!(
        "    {} packets, {} lost, longest silence {:?}",
        report.sent,
        report.lost.len(),
        report.silence
    );
    run::wait_for(
        "the flows to be what they were",
        Duration::from_secs(20),
        || Ok((look::program(&node)? == before).then_some(())),
    )?;
    Ok(())
}

/// The kernel goes on with the flows it has while the switch is away, and while the switch that came
/// back waits for the agent; only then does anything change hands.
///
/// That holds for pods of one node. A switch that starts deletes the kernel's tunnel device and makes
/// it anew, whatever it is told (`open_dpif_backer`), so what goes through the tunnel pauses.
fn kernel_goes_on(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let target = cluster.pod("b1")?.address(false)?;
    let (from, to) = (cluster.name.pod(1, "a1"), cluster.name.pod(1, "b1"));
    let near = Probe::start(&from, &to, target, suite::interval(cluster.options()))?;
    let far = probe(cluster)?;
    near.wait_answers(100)?;
    node.end(Daemon::Agent, "KILL")?;
    node.end(Daemon::Vswitchd, "KILL")?;
    let (near_gone, far_gone) = (near.asked(), far.asked());
    near.wait_answers(100)?;
    far.wait_answers(50)?;
    let started = far.asked();
    ovs::start_vswitchd(&node)?;
    near.wait_answers(100)?;
    far.wait_answers(50)?;
    let handover = near.asked();
    agent::start(&node)?;
    cluster.record(
        std::slice::from_ref(&node),
        &[Daemon::Vswitchd, Daemon::Agent],
    )?;
    agent::wait_ready(&node)?;
    near.wait_answers(100)?;
    far.wait_answers(100)?;
    let (near, far) = (near.finish()?, far.finish()?);
    for (way, report) in [("on the node", &near), ("through the tunnel", &far)] {
        println!(
            "    {way}: {} packets, {} lost, longest silence {:?}",
            report.sent,
            report.lost.len(),
            report.silence
        );
    }
    let lost = |report: &Report, from: u64, to: u64| report.lost.range(from..to).count();
    ensure!(
        lost(&near, 0, handover) == 0,
        "on the node, before the agent came back: {}",
        near.losses()
    );
    ensure!(
        lost(&far, 0, started) == 0,
        "through the tunnel, before the switch came back: {}",
        far.losses()
    );
    ensure!(
        near_gone < handover && far_gone < started,
        "nothing was asked while the switch was away"
    );
    // At the handover the switch empties the kernel's cache before its handlers are up: some
    // microseconds on a processor, more on an emulated one.
    ensure!(
        near.silence.max(far.silence) < Duration::from_secs(5),
        "the longest silence is too long"
    );
    Ok(())
}

fn database_restart(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let probe = probe(cluster)?;
    probe.wait_answers(300)?;
    node.end(Daemon::Ovsdb, "KILL")?;
    ovs::start_ovsdb(&node)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Ovsdb])?;
    probe.wait_answers(1000)?;
    let report = probe.finish()?;
    println!(
        "    {} packets, {} lost, longest silence {:?}",
        report.sent,
        report.lost.len(),
        report.silence
    );
    // Without its database the userspace datapath stands still until it may reconnect, which is one
    // second; that is the switch's own way. The kernel goes on.
    let kernel = cluster.options().datapath() == Datapath::System;
    ensure!(
        report.lost.is_empty() || (!kernel && report.silence < Duration::from_secs(3)),
        "{} of {} packets were lost, the longest silence was {:?}",
        report.lost.len(),
        report.sent,
        report.silence
    );
    agent::wait_ready(&node)?;
    // The agent must be of use, not only alive.
    let pod = cluster.attach(1, "late")?;
    let reached = demo::matrix(cluster, false)?
        .iter()
        .flatten()
        .all(Option::is_some);
    cluster.detach(1, "late")?;
    ensure!(
        reached,
        "pod late at {} does not reach all",
        demo::addresses(&pod)
    );
    Ok(())
}

/// While the agent is away, somebody deletes a flow and adds another; both are put right, and only ours.
fn catches_up(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = look::program(&node)?;
    node.end(Daemon::Agent, "TERM")?;
    let port = look::ofport(&node, "b1")?;
    let bridge = sluice_testbed::layout::BRIDGE;
    node.sh(
        "ovs-ofctl",
        &[
            "-O",
            "OpenFlow13",
            "del-flows",
            bridge,
            &format!("table=0,in_port={port}"),
        ],
    )?;
    ensure!(look::program(&node)? != before, "nothing was deleted");
    node.sh(
        "ovs-ofctl",
        &[
            "-O",
            "OpenFlow13",
            "add-flow",
            bridge,
            "cookie=0xbad,table=250,priority=7,actions=drop",
        ],
    )?;
    agent::start(&node)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Agent])?;
    agent::wait_ready(&node)?;
    let now = run::wait_for("the flows to be put right", Duration::from_secs(20), || {
        let now = look::program(&node)?;
        Ok(before.iter().all(|line| now.contains(line)).then_some(now))
    })?;
    let foreign: Vec<_> = now.iter().filter(|line| !before.contains(line)).collect();
    ensure!(
        foreign.len() == 1,
        "more than the foreign flow is new: {foreign:?}"
    );
    node.sh(
        "ovs-ofctl",
        &["-O", "OpenFlow13", "del-flows", bridge, "table=250"],
    )?;
    let verify = node
        .sh("sluicectl", &["verify"])
        .context("sluicectl verify")?;
    println!("    {}", verify.lines().next().unwrap_or_default());
    Ok(())
}

/// The switch as another version of the agent may have left it: flows of its own that this one does not have, others
/// that do something else, bear another number, or are not there, and records with more in them. What differs is
/// changed, nothing else is, and no packet is lost.
fn follows_an_older_one(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = look::program(&node)?;
    let probe = probe(cluster)?;
    node.end(Daemon::Agent, "TERM")?;
    let port = look::ofport(&node, "b1")?;
    let ofctl = |words: &[&str]| {
        let mut all = vec!["-O", "OpenFlow13"];
        all.extend(words);
        node.sh("ovs-ofctl", &all).map(drop)
    };
    let bridge = sluice_testbed::layout::BRIDGE;
    // What differs in the end; each costs one message, an addition or a deletion.
    let foreign = [
        "cookie=0x51ce0f0000000001,table=99,priority=3,actions=drop",
        "cookie=0x51ce0f0000000002,table=0,priority=7,in_port=60000,actions=drop",
    ];
    for flow in foreign {
        ofctl(&["add-flow", bridge, flow])?;
    }
    // All of one pod's first table: gone, then one of them back with other actions and another number.
    let first = format!("table=0,in_port={port}");
    let matches: Vec<&String> = before
        .iter()
        .filter(|line| {
            line.contains("table=Classify,")
                && line.contains("in_port=")
                && !line.contains("sluice")
        })
        .collect();
    ensure!(
        !matches.is_empty(),
        "no flow of a pod in the first table: {before:#?}"
    );
    ofctl(&["del-flows", bridge, &first])?;
    ofctl(&[
        "add-flow",
        bridge,
        &format!("cookie=0x51ce0f0000000003,{first},priority=100,actions=drop"),
    ])?;
    let row = node.sh(
        "ovs-vsctl",
        &[
            "--bare",
            "--columns=_uuid",
            "find",
            "Interface",
            "external_ids:sluice-pod-name=b1",
        ],
    )?;
    node.sh(
        "ovs-vsctl",
        &[
            "set",
            "Interface",
            row.trim(),
            "external_ids:sluice-of-another-version=1",
        ],
    )?;
    let left = look::program(&node)?;
    let differs = before.iter().filter(|line| !left.contains(line)).count()
        + left.iter().filter(|line| !before.contains(line)).count();
    look::log_messages(&node)?;
    let (changes, _) = look::messages(&node)?;
    agent::start(&node)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Agent])?;
    agent::wait_ready(&node)?;
    run::wait_for(
        "the switch to be as this version wants it",
        Duration::from_secs(20),
        || Ok((look::program(&node)? == before).then_some(())),
    )?;
    let (after, _) = look::messages(&node)?;
    // A message within a bundle may be logged for the bundle and for itself.
    ensure!(
        after - changes <= 2 * differs,
        "{differs} flows differed, and {} messages changed flows",
        after - changes
    );
    let report = probe.finish()?;
    ensure!(
        report.lost.is_empty(),
        "{} of {} packets were lost",
        report.lost.len(),
        report.sent
    );
    ensure!(
        all_reach_all(cluster)?,
        "the pod does not reach others again"
    );
    Ok(())
}
