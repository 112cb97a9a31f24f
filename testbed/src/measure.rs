//! What benches share: arguments, medians, a node to measure on, and how fast bytes and connections go.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::cluster::{self, Cluster, Depth};
use crate::dial::{self, Dial};
use crate::layout::Name;
use crate::netns;
use crate::node::Node;
use crate::options::{Attach, Hosts, Options};
use crate::process::Process;
use crate::{run, suite};

/// The number that follows `name` on the command line.
pub fn argument(name: &str, default: u64) -> u64 {
    let mut args = std::env::args();
    args.find(|arg| arg == name)
        .and_then(|_| args.next()?.parse().ok())
        .unwrap_or(default)
}

/// Puts up one node, on whichever datapath there is, has it measured, and takes it down whatever comes of that.
///
/// # Errors
/// When it cannot be put up or taken down, and what `work` says.
pub fn on_one_node(attach: Attach, work: impl FnOnce(Cluster) -> Result<()>) -> Result<()> {
    cluster::sweep()?;
    let options = Options {
        nodes: 1,
        hosts: Hosts::Netns,
        attach,
        datapath: Some(suite::datapath()?),
        ..Options::default()
    };
    let name = Name::new(&format!("b{}", std::process::id()))?;
    let (bin, owner) = (suite::binaries()?, Some(Process::current()?));
    let result = Cluster::up(name.clone(), &options, &bin, owner, Depth::Agents).and_then(work);
    cluster::down(&name)?;
    result
}

/// The middle of some values, which are sorted for it.
pub fn median(values: &mut [f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that so much of all is below; the values are sorted for it.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    // Between 0 and the number of values, which is small.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let index = (last as f64 * part).round() as usize;
    values.get(index).copied().unwrap_or(0.0)
}

/// Mbit/s by TCP, received by `iperf3` on `listen` in pod `to` from pod `from`, which sends to `address`.
///
/// # Errors
/// When `iperf3` fails.
pub fn iperf(
    node: &Node,
    from: &str,
    to: &str,
    listen: &str,
    address: &str,
    seconds: u64,
) -> Result<f64> {
    let mut server = node.pod_command(to, "iperf3", &["-s", "-1", "-B", listen]);
    let mut server = server
        .stdout(Stdio::null())
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

/// How connections went, one after another: connect, a question, its answer, close.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Connections a second.
    pub per_second: f64,
    /// Half of them took no longer than this, in microseconds.
    pub p50: f64,
    /// 99 of 100 took no longer than this, in microseconds.
    pub p99: f64,
}

/// Connects from a namespace as often as it goes in `time`.
///
/// # Errors
/// When a connection fails.
pub fn connections(netns: &str, dial: &Dial, time: Duration) -> Result<Rate> {
    let dial = dial.clone();
    netns::join(netns::within(netns, move || {
        let began = Instant::now();
        let mut took = Vec::new();
        while began.elapsed() < time {
            let answer = dial::single(&dial, took.len())?;
            took.push(answer.took.as_secs_f64() * 1e6);
        }
        Ok(Rate {
            per_second: took.len() as f64 / began.elapsed().as_secs_f64(),
            p50: median(&mut took),
            p99: quantile(&mut took, 0.99),
        })
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values() {
        let mut values = [3.0, 1.0, 2.0];
        assert_eq!(
            median(&mut values).total_cmp(&2.0),
            std::cmp::Ordering::Equal
        );
        assert_eq!(
            quantile(&mut values, 1.0).total_cmp(&3.0),
            std::cmp::Ordering::Equal
        );
        assert_eq!(median(&mut []).total_cmp(&0.0), std::cmp::Ordering::Equal);
    }
}
