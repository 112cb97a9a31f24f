//! Nodes and pods come and go, and nothing of them stays behind.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::{Cluster, Depth};
use sluice_testbed::node::{Daemon, Node};
use sluice_testbed::options::{Attach, Datapath, Options};
use sluice_testbed::suite::{self, Group, Scenario};
use sluice_testbed::{agent, demo, look, netns, pod, run};

fn main() -> ExitCode {
    let churn: Scenario = ("pods_come_and_go_without_a_trace", churn);
    let cleanup: Scenario = ("cleanup_leaves_nothing", cleanup);
    let group = |name: &str, attach, scenarios: Vec<Scenario>| Group {
        name: name.to_owned(),
        options: Options {
            nodes: 2,
            attach,
            ipv6: true,
            ..Options::default()
        },
        pods: vec![(1, "a1"), (2, "a2")],
        scenarios,
    };
    suite::main(vec![
        group(
            "internal",
            Attach::Internal,
            vec![
                ("a_node_joins_and_leaves", node_joins_and_leaves),
                churn,
                ("a_dead_sandbox_is_collected", collected),
                cleanup,
            ],
        ),
        group("veth", Attach::Veth, vec![churn, cleanup]),
    ])
}

fn all_reach_all(cluster: &Cluster) -> Result<()> {
    for ipv6 in [false, true] {
        for (pod, row) in cluster.pods().iter().zip(demo::matrix(cluster, ipv6)?) {
            ensure!(
                row.iter().all(Option::is_some),
                "{} does not reach all: {row:?}",
                pod.name
            );
        }
    }
    Ok(())
}

fn node_joins_and_leaves(cluster: &mut Cluster) -> Result<()> {
    let others = [cluster.node(1)?, cluster.node(2)?];
    let before: Vec<_> = others.iter().map(look::program).collect::<Result<_>>()?;
    for round in 0..2 {
        cluster.add_nodes(&[3], Depth::Agents)?;
        cluster.attach(3, "a3")?;
        run::wait_for("the new node to be known", Duration::from_secs(20), || {
            all_reach_all(cluster).map(Some)
        })
        .with_context(|| format!("round {round}"))?;
        cluster.remove_node(3)?;
        for (node, before) in others.iter().zip(&before) {
            run::wait_for(
                "the lost node to be forgotten",
                Duration::from_secs(20),
                || Ok((look::program(node)? == *before).then_some(())),
            )
            .with_context(|| format!("node {}, round {round}", node.name()))?;
        }
        all_reach_all(cluster)?;
    }
    Ok(())
}

/// All that a pod could leave on a node.
#[derive(Debug, PartialEq)]
struct Traces {
    flows: Vec<String>,
    ports: Vec<String>,
    links: Vec<String>,
    namespaces: Vec<String>,
    ranges: String,
}

fn traces(node: &Node) -> Result<Traces> {
    let status: serde_json::Value =
        serde_json::from_str(&node.sh("sluicectl", &["status", "-o", "json"])?)?;
    Ok(Traces {
        flows: look::program(node)?,
        ports: look::ports(node)?,
        links: look::links(node)?,
        namespaces: netns::list(&node.testbed.prefix()),
        ranges: status["ranges"].to_string(),
    })
}

/// More pods than there are addresses on a node, several at a time.
fn churn(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    let (workers, rounds) = match cluster.options().datapath() {
        Datapath::Netdev => (4, 70),
        Datapath::System => (2, 25),
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|worker| {
                let node = node.clone();
                scope.spawn(move || {
                    for round in 0..rounds {
                        let name = format!("c{worker}x{round}");
                        pod::attach(&node, &name)?;
                        pod::detach(&node, &name)?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| anyhow::bail!("a thread panicked"))
        })
    })?;
    // Devices go some moments after their ports.
    let after = run::wait_for("what the pods had to go", Duration::from_secs(20), || {
        let after = traces(&node)?;
        Ok((after == before).then_some(after))
    });
    if after.is_err() {
        ensure!(
            traces(&node)? == before,
            "left behind: {:#?}\nbefore: {before:#?}",
            traces(&node)?
        );
    }
    all_reach_all(cluster)
}

/// A pod whose namespace vanished without a DEL goes with the runtime's next GC.
fn collected(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(1)?;
    let before = traces(&node)?;
    pod::attach(&node, "doomed")?;
    netns::delete(&node.testbed.pod(1, "doomed"))?;
    let valid = serde_json::json!([{"containerID": node.testbed.pod(1, "a1"), "ifname": "eth0"}]);
    pod::gc(&node, &valid)?;
    run::wait_for(
        "the dead pod's traces to go",
        Duration::from_secs(20),
        || Ok((traces(&node)? == before).then_some(())),
    )?;
    all_reach_all(cluster)
}

/// After the agent's own clean-up a node is what it was before the agent came, and can be used again.
fn cleanup(cluster: &mut Cluster) -> Result<()> {
    let node = cluster.node(2)?;
    cluster.detach(2, "a2")?;
    node.end(Daemon::Agent, "TERM")?;
    agent::cleanup(&node)?;
    let bridges = node.sh("ovs-vsctl", &["list-br"])?;
    ensure!(!bridges.contains("br-sluice"), "the bridge is left");
    let links = look::links(&node)?;
    let ours: Vec<_> = links
        .iter()
        .filter(|name| name.starts_with("sl") || name.contains("sluice"))
        .collect();
    ensure!(ours.is_empty(), "devices are left: {ours:?}");
    let rules = node.sh("nft", &["list", "ruleset"])?;
    ensure!(
        !rules.contains("sluice"),
        "packet filter rules are left:\n{rules}"
    );
    ensure!(
        !node.conflist().exists(),
        "the network configuration is left"
    );
    let routes =
        node.script("ip route show table all; ip -6 route show table all; ip rule; ip -6 rule")?;
    ensure!(
        !routes.contains("sluice") && !routes.contains("10.244."),
        "routes are left:\n{routes}"
    );
    let ids = node.sh("ovs-vsctl", &["get", "Open_vSwitch", ".", "external_ids"])?;
    ensure!(
        !ids.contains("sluice"),
        "marks are left in the database: {ids}"
    );
    agent::start(&node)?;
    cluster.record(std::slice::from_ref(&node), &[Daemon::Agent])?;
    agent::wait_ready(&node)?;
    cluster.attach(2, "a2")?;
    all_reach_all(cluster)
}
