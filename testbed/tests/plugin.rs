//! The CNI plugin on a real node: killed at any point of an ADD, with the agent killed under it,
//! asked the same twice, and asked whether an attachment is still what it was.

use std::io::Write as _;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::layout::BRIDGE;
use sluice_testbed::node::{Daemon, Node};
use sluice_testbed::options::{Attach, Options};
use sluice_testbed::suite::{self, Group, Scenario};
use sluice_testbed::{agent, look, netns, ovs, pod, run};

const PATIENCE: Duration = Duration::from_secs(20);
const POD: &str = "victim";

fn main() -> ExitCode {
    let scenarios: Vec<Scenario> = vec![
        (
            "killed_it_leaves_nothing_that_del_or_gc_does_not_remove",
            killed,
        ),
        ("it_outlives_an_agent_killed_under_it", agent_killed),
        (
            "killed_with_the_agent_it_leaves_nothing_either",
            both_killed,
        ),
        ("the_same_add_twice_is_refused_and_harms_nothing", twice),
        (
            "an_interface_of_somebody_else_is_left_alone",
            foreign_interface,
        ),
        ("del_needs_nothing_and_may_come_again", del_again),
        ("check_notices_what_is_missing", check),
        ("status_says_when_pods_cannot_come", status),
    ];
    let group = |name: &str, attach| Group {
        name: name.to_owned(),
        options: Options {
            nodes: 1,
            attach,
            ipv6: true,
            ..Options::default()
        },
        pods: vec![(1, "a1")],
        scenarios: scenarios.clone(),
    };
    suite::main(vec![
        group("internal", Attach::Internal),
        group("veth", Attach::Veth),
    ])
}

/// What a pod could leave on its node.
#[derive(Debug, PartialEq)]
struct Traces {
    flows: Vec<String>,
    ports: Vec<String>,
    links: Vec<String>,
    ranges: String,
}

fn traces(node: &Node) -> Result<Traces> {
    let status: Value = serde_json::from_str(&node.sh("sluicectl", &["status", "-o", "json"])?)?;
    Ok(Traces {
        flows: look::program(node)?,
        ports: look::ports(node)?,
        links: look::links(node)?,
        ranges: status["ranges"].to_string(),
    })
}

fn wait_for_traces(node: &Node, wanted: &Traces) -> Result<()> {
    let gone = run::wait_for("the pod's traces to go", PATIENCE, || {
        Ok((traces(node)? == *wanted).then_some(()))
    });
    match gone {
        Ok(()) => Ok(()),
        Err(_) => bail!("left: {:#?}\nwanted: {wanted:#?}", traces(node)?),
    }
}

/// A new namespace for the pod, whatever an earlier scenario has left.
fn make_netns(node: &Node) -> Result<()> {
    delete_netns(node)?;
    let netns = node.testbed.pod(node.number, POD);
    node.script(&format!("ip netns add {netns}")).map(drop)
}

fn delete_netns(node: &Node) -> Result<()> {
    netns::delete(&node.testbed.pod(node.number, POD))
}

/// An ADD under way.
fn start_add(node: &Node) -> Result<Child> {
    let (mut plugin, conf) = pod::invocation(node, POD, "ADD", None)?;
    let mut child = plugin
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("a pipe")?
        .write_all(conf.to_string().as_bytes())?;
    Ok(child)
}

/// Points in time spread over an ADD, which takes some 30 ms here.
fn moments() -> impl Iterator<Item = Duration> {
    (0..24).map(|step| Duration::from_millis(step * 2))
}

fn gc_all_but_a1(node: &Node) -> Result<()> {
    let a1 = node.testbed.pod(node.number, "a1");
    pod::gc(node, &json!([{"containerID": a1, "ifname": "eth0"}]))
}

/// The plugin is ended at every moment in turn; DEL or GC, in turn, then finds all there is.
fn killed(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    for (round, moment) in moments().enumerate() {
        make_netns(&node)?;
        let mut plugin = start_add(&node)?;
        std::thread::sleep(moment);
        plugin.kill()?;
        plugin.wait()?;
        if round % 2 == 0 {
            pod::cni(&node, POD, "DEL", None)?;
        } else {
            gc_all_but_a1(&node)?;
        }
        wait_for_traces(&node, &before).with_context(|| format!("killed after {moment:?}"))?;
        delete_netns(&node)?;
    }
    Ok(())
}

/// The agent is killed at some moments of an ADD and started again; the ADD succeeds by itself.
fn agent_killed(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    for moment in moments().step_by(4) {
        make_netns(&node)?;
        let plugin = start_add(&node)?;
        std::thread::sleep(moment);
        restart_agent(cluster, &node)?;
        let output = plugin.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "agent killed after {moment:?}: {text}"
        );
        let result: Value = serde_json::from_str(&text)?;
        agent::wait_ready(&node)?;
        pod::cni(&node, POD, "CHECK", Some(&result))
            .with_context(|| format!("agent killed after {moment:?}"))?;
        pod::cni(&node, POD, "DEL", Some(&result))?;
        wait_for_traces(&node, &before)
            .with_context(|| format!("agent killed after {moment:?}"))?;
        delete_netns(&node)?;
    }
    Ok(())
}

fn both_killed(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    for (round, moment) in moments().step_by(4).enumerate() {
        make_netns(&node)?;
        let mut plugin = start_add(&node)?;
        std::thread::sleep(moment);
        plugin.kill()?;
        plugin.wait()?;
        restart_agent(cluster, &node)?;
        delete_netns(&node)?;
        if round % 2 == 0 {
            pod::cni(&node, POD, "DEL", None)?;
        } else {
            gc_all_but_a1(&node)?;
        }
        wait_for_traces(&node, &before).with_context(|| format!("killed after {moment:?}"))?;
    }
    Ok(())
}

fn restart_agent(cluster: &mut Cluster, node: &Node) -> Result<()> {
    node.end(Daemon::Agent, "KILL")?;
    agent::start(node)?;
    cluster.record(std::slice::from_ref(node), &[Daemon::Agent])
}

/// Fails with exactly this code.
fn refused(outcome: Result<String>, code: u32, word: &str) -> Result<()> {
    let text = match outcome {
        Ok(_) => bail!("code {code} was expected, and it succeeded"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(
        text.contains(&format!("\"code\":{code},")),
        "code {code} was expected: {text}"
    );
    ensure!(text.contains(word), "{word:?} is not in {text}");
    Ok(())
}

/// Attaches the pod; what the plugin printed.
fn attach(node: &Node) -> Result<Value> {
    make_netns(node)?;
    Ok(serde_json::from_str(&pod::cni(node, POD, "ADD", None)?)?)
}

fn twice(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    let result = attach(&node)?;
    let attached = traces(&node)?;
    refused(pod::cni(&node, POD, "ADD", None), 100, "already attached")?;
    ensure!(
        traces(&node)? == attached,
        "the refused ADD changed something"
    );
    pod::cni(&node, POD, "CHECK", Some(&result))?;
    pod::detach(&node, POD)?;
    wait_for_traces(&node, &before)
}

fn foreign_interface(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    make_netns(&node)?;
    node.pod_sh(POD, "ip", &["tuntap", "add", "eth0", "mode", "tap"])?;
    node.pod_sh(POD, "ip", &["link", "set", "lo", "up"])?;
    let devices = || node.pod_sh(POD, "ip", &["-o", "link"]);
    let foreign = devices()?;
    refused(pod::cni(&node, POD, "ADD", None), 100, "exists")?;
    pod::cni(&node, POD, "DEL", None)?;
    let after = devices()?;
    ensure!(after == foreign, "the pod had\n{foreign}and has\n{after}");
    delete_netns(&node)?;
    wait_for_traces(&node, &before)
}

fn del_again(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    pod::cni(&node, POD, "DEL", None).context("never attached")?;
    let result = attach(&node)?;
    delete_netns(&node)?;
    pod::cni(&node, POD, "DEL", Some(&result)).context("its namespace gone")?;
    pod::cni(&node, POD, "DEL", Some(&result)).context("again")?;
    wait_for_traces(&node, &before)
}

fn check(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    let result = attach(&node)?;
    pod::detach(&node, POD)?;
    make_netns(&node)?;
    refused(
        pod::cni(&node, POD, "CHECK", Some(&result)),
        3,
        "not attached",
    )?;

    type Damage = fn(&Node, &Value) -> Result<()>;
    let damages: [(&str, Damage); 4] = [
        ("flow", |node, result| {
            let ip = result["ips"][0]["address"].as_str().context("an address")?;
            let ip = ip.split('/').next().context("an address")?;
            let flow = format!("table=36,ip,nw_dst={ip}");
            node.sh(
                "ovs-ofctl",
                &["-O", "OpenFlow13", "del-flows", BRIDGE, &flow],
            )
            .map(drop)
        }),
        ("port", |node, result| {
            let port = result["interfaces"][0]["name"].as_str().context("a port")?;
            node.sh("ovs-vsctl", &["del-port", BRIDGE, port]).map(drop)
        }),
        ("address", |node, _| {
            node.pod_sh(
                POD,
                "ip",
                &["address", "flush", "dev", "eth0", "scope", "global"],
            )
            .map(drop)
        }),
        ("route", |node, _| {
            node.pod_sh(POD, "ip", &["route", "flush", "default"])
                .map(drop)
        }),
    ];
    for (what, damage) in damages {
        let result = attach(&node)?;
        pod::cni(&node, POD, "CHECK", Some(&result)).context("fresh from ADD")?;
        damage(&node, &result)?;
        refused(pod::cni(&node, POD, "CHECK", Some(&result)), 102, "")
            .with_context(|| format!("a missing {what}"))?;
        pod::detach(&node, POD)?;
    }
    let result = attach(&node)?;
    let mut other = result.clone();
    other["ips"][0]["address"] = "192.0.2.1/32".into();
    refused(
        pod::cni(&node, POD, "CHECK", Some(&other)),
        102,
        "192.0.2.1/32 is in prevResult",
    )?;
    pod::detach(&node, POD)?;
    wait_for_traces(&node, &before)
}

fn status(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    pod::cni(&node, POD, "STATUS", None)?;
    node.end(Daemon::Agent, "TERM")?;
    refused(
        pod::cni(&node, POD, "STATUS", None),
        50,
        "the agent is not running",
    )?;
    agent::start(&node)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Agent])?;
    agent::wait_ready(&node)?;
    pod::cni(&node, POD, "STATUS", None)?;
    node.end(Daemon::Vswitchd, "TERM")?;
    run::wait_for("the loss of the switch to be noticed", PATIENCE, || {
        let lost = refused(
            pod::cni(&node, POD, "STATUS", None),
            51,
            "the switch is away",
        );
        lost.map(Some)
    })?;
    ovs::start_vswitchd(&node)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Vswitchd])?;
    run::wait_for("the switch to be back", PATIENCE, || {
        pod::cni(&node, POD, "STATUS", None).map(Some)
    })
    .map(drop)
}
