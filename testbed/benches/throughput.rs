//! Pod to pod TCP on one node against two ports on a bare bridge with explicit output flows, in the
//! same run and turn about, so that whatever else the machine does hits both.
//!
//! `cargo bench -p sluice-testbed --bench throughput [-- --rounds 21 --seconds 3]`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sluice_testbed::cluster::{self, Cluster, Depth};
use sluice_testbed::layout::Name;
use sluice_testbed::node::Node;
use sluice_testbed::options::{self, Attach, Hosts, Options};
use sluice_testbed::process::Process;
use sluice_testbed::{bare, run, suite};

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("throughput: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn argument(name: &str, default: u64) -> u64 {
    let mut args = std::env::args();
    args.find(|arg| arg == name)
        .and_then(|_| args.next()?.parse().ok())
        .unwrap_or(default)
}

fn measure() -> Result<()> {
    let (rounds, seconds) = (argument("--rounds", 11), argument("--seconds", 2));
    cluster::sweep()?;
    let bin = suite::binaries()?;
    for attach in [Attach::Internal, Attach::Veth] {
        let options = Options {
            nodes: 1,
            hosts: Hosts::Netns,
            attach,
            datapath: Some(suite::datapath()?),
            ..Options::default()
        };
        let name = Name::new(&format!("b{}", std::process::id()))?;
        let result = Cluster::up(
            name.clone(),
            &options,
            &bin,
            Some(Process::current()?),
            Depth::Agents,
        )
        .and_then(|cluster| compare(cluster, rounds, seconds));
        cluster::down(&name)?;
        result?;
    }
    Ok(())
}

fn compare(mut cluster: Cluster, rounds: u64, seconds: u64) -> Result<()> {
    let from = cluster.attach(1, "from")?;
    let to = cluster.attach(1, "to")?;
    let node = cluster.node(1)?;
    let mtu = from.mtu.unwrap_or(1450);
    let [near, far] = bare::pair(&node, cluster.options(), mtu)?;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let pods = iperf(
            &node,
            "from",
            "to",
            &to.address(false)?.to_string(),
            seconds,
        )?;
        let bare = iperf(
            &node,
            &near.pod,
            &far.pod,
            &far.address.to_string(),
            seconds,
        )?;
        ours.push(pods);
        theirs.push(bare);
        ratios.push(pods / bare);
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!(
        "{} datapath, attach {}, MTU {mtu}: pods {ours:.0} Mbit/s, bare bridge {theirs:.0} Mbit/s, ratio {:.3} (medians of {rounds} rounds)",
        options::name(cluster.options().datapath()),
        options::name(cluster.options().attach),
        median(&mut ratios)
    );
    Ok(())
}

/// Mbit/s received.
fn iperf(node: &Node, from: &str, to: &str, address: &str, seconds: u64) -> Result<f64> {
    let mut server = node.pod_command(to, "iperf3", &["-s", "-1", "-B", address]);
    let mut server = server
        .stdout(std::process::Stdio::null())
        .spawn()
        .context("cannot run iperf3")?;
    let listens = run::wait_for("iperf3 to listen", Duration::from_secs(5), || {
        let sockets = node.pod_sh(to, "ss", &["-ltnH", "sport = 5201"])?;
        Ok((!sockets.trim().is_empty()).then_some(()))
    });
    let seconds = seconds.to_string();
    let text = listens.and_then(|()| {
        node.pod_sh(
            from,
            "iperf3",
            &["-J", "-t", &seconds, "-O", "1", "-c", address],
        )
    });
    if text.is_err() {
        server.kill()?;
    }
    server.wait()?;
    let report: serde_json::Value = serde_json::from_str(&text?)?;
    let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
    Ok(rate.context("iperf3 reports no rate")? / 1e6)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
