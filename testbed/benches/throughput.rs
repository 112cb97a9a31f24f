//! Pod to pod TCP on one node against two ports on a bare bridge with explicit output flows, in the
//! same run and turn about, so that whatever else the machine does hits both.
//!
//! `cargo bench -p sluice-testbed --bench throughput [-- --rounds 21 --seconds 3]`

use std::process::ExitCode;

use anyhow::Result;
use sluice_testbed::bare;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::measure::{argument, iperf, median, on_one_node};
use sluice_testbed::options::{self, Attach};

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("throughput: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let (rounds, seconds) = (argument("--rounds", 11), argument("--seconds", 2));
    for attach in [Attach::Internal, Attach::Veth] {
        on_one_node(attach, |cluster| compare(cluster, rounds, seconds))?;
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
            &to.address(false)?.to_string(),
            seconds,
        )?;
        let bare = iperf(
            &node,
            &near.pod,
            &far.pod,
            &far.address.to_string(),
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
