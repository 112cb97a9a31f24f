//! What a cluster costs a node: how soon pods run, how soon the switch has what was written to the API server, and what
//! the objects of a large cluster take of one agent.
//!
//! `cargo bench -p sluice-testbed --bench kubernetes [-- startup latency scale kube-proxy] [--rounds 3] [--nodes 1000]`
//!
//! kube-proxy is built, and measured, only when it is asked for.

mod api;
mod kube_proxy;
mod latency;
mod scale;
mod startup;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use sluice_testbed::cluster::{self, Cluster, Depth};
use sluice_testbed::layout::Name;
use sluice_testbed::node::{Daemon, Node};
use sluice_testbed::options::{Hosts, Options};
use sluice_testbed::process::Process;
use sluice_testbed::suite;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kubernetes: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let chosen: Vec<String> = std::env::args().collect();
    let all = !["startup", "latency", "scale", "kube-proxy"]
        .iter()
        .any(|part| chosen.iter().any(|arg| arg == part));
    let takes = |part: &str| all || chosen.iter().any(|arg| arg == part);
    cluster::sweep()?;
    let options = Options {
        kubernetes: true,
        nodes: 1,
        hosts: Hosts::Netns,
        datapath: Some(suite::datapath()?),
        ..Options::default()
    };
    let name = Name::new(&format!("b{}", std::process::id()))?;
    let (bin, owner) = (suite::binaries()?, Some(Process::current()?));
    let result =
        Cluster::up(name.clone(), &options, &bin, owner, Depth::Agents).and_then(|mut cluster| {
            if takes("startup") {
                startup::measure(&cluster)?;
            }
            if takes("latency") {
                latency::measure(&cluster)?;
            }
            if chosen.iter().any(|arg| arg == "kube-proxy") {
                kube_proxy::measure(&mut cluster)?;
            }
            // Last: it leaves the cluster without controllers and full of nodes that there are not.
            if takes("scale") {
                scale::measure(&mut cluster)?;
            }
            Ok(())
        });
    cluster::down(&name)?;
    result
}

/// What a node's agent has used so far: memory in MB, and seconds of processor.
fn used(node: &Node) -> Result<(f64, f64)> {
    let pid = node.pid(Daemon::Agent)?;
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}"));
    let status = read("status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: f64 = line
        .and_then(|line| line.trim().split(' ').next()?.parse().ok())
        .context("no VmRSS")?;
    let stat = read("stat")?;
    let after_name = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest)
        .unwrap_or_default();
    let mut ticks = after_name.split_whitespace().skip(11).take(2);
    let mut next = || -> Option<f64> { ticks.next()?.parse().ok() };
    let ticks = next()
        .zip(next())
        .map(|(user, system)| user + system)
        .context("no times")?;
    // USER_HZ is 100 on every architecture that this runs on.
    Ok((kilobytes / 1000.0, ticks / 100.0))
}
