//! What policies cost: TCP to a pod with none, ten and a thousand of them against TCP to a pod that has none, turn
//! about in the same run; connections a second to each; and how many flows the datapath needs for a hundred clients
//! at ten ports.
//!
//! `cargo bench -p sluice-testbed --bench policies [-- --rounds 11 --seconds 2 --most 1000 --clients 100]`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::datapath;
use sluice_testbed::dial::{self, Dial};
use sluice_testbed::measure::{argument, connections, iperf, median, on_one_node};
use sluice_testbed::objects::{self, Folder, Object};
use sluice_testbed::options::{self, Attach};
use sluice_testbed::serve::{Listen, Server};

/// How long the agent may take for all of them.
const LIMIT: Duration = Duration::from_secs(300);
/// The first of the ports that servers listen on, and how many.
const PORT: u16 = 8080;
const PORTS: u16 = 10;

fn main() -> ExitCode {
    match on_one_node(Attach::Internal, measure) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("policies: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(mut cluster: Cluster) -> Result<()> {
    let clients = argument("--clients", 100);
    let most = usize::try_from(argument("--most", 1000))?;
    let counts = [0, 10.min(most), most, 0];
    let mut objects = vec![objects::namespace(objects::NAMESPACE)];
    for number in 0..clients {
        let pod = cluster.attach(1, &format!("many-{number}"))?;
        objects.push(objects::pod(&pod, &[("app", "client")], &[]));
    }
    let mut servers = Vec::new();
    for name in ["from", "to", "plain"] {
        let pod = cluster.attach(1, name)?;
        objects.push(objects::pod(&pod, &[("app", name)], &[]));
        let listen: Vec<_> = (0..PORTS)
            .map(|more| {
                Ok(Listen::Tcp(SocketAddr::new(
                    pod.address(false)?,
                    PORT + more,
                )))
            })
            .collect::<Result<_>>()?;
        servers.push(Server::start(&cluster.name.pod(1, name), name, &listen)?);
    }
    // A client of its own for each rate: the kernel of one has 28,232 ports, and holds each for a minute.
    for round in 0..counts.len() {
        for end in ["to", "plain"] {
            let pod = cluster.attach(1, &client(round, end))?;
            objects.push(objects::pod(&pod, &[("app", "client")], &[]));
        }
    }
    let mut folder = Folder::new(&cluster.name, cluster.nodes()?);
    folder.put_together("pods.yaml", &objects)?;
    folder.settle_within(LIMIT)?;
    println!("{} datapath", options::name(cluster.options().datapath()));
    for (round, count) in counts.into_iter().enumerate() {
        let policies: Vec<Object> = (0..count).map(policy).collect();
        folder.put_together("policies.yaml", &policies)?;
        folder.settle_within(LIMIT)?;
        throughput(&cluster, count)?;
        rate(&cluster, round, count)?;
        flows(&cluster, clients, count)?;
    }
    Ok(())
}

fn client(round: usize, end: &str) -> String {
    format!("client-{round}-{end}")
}

/// A policy for `to`, like no other; all together let in all whom this asks.
fn policy(number: usize) -> Object {
    let [.., high, low] = number.to_be_bytes();
    let block = format!("10.200.{high}.{low}/32");
    objects::ingress_policy(
        &format!("policy-{number}"),
        &[("app", "to")],
        json!([
            {"from": [{"podSelector": {"matchLabels": {"app": "from"}}}]},
            {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": PORT, "endPort": PORT + PORTS}]},
            {"from": [{"ipBlock": {"cidr": block}}]},
        ]),
    )
}

fn throughput(cluster: &Cluster, count: usize) -> Result<()> {
    let (rounds, seconds) = (argument("--rounds", 11), argument("--seconds", 2));
    let node = cluster.node(1)?;
    let (mut policed, mut plain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let once = |end: &str, all: &mut Vec<f64>| -> Result<f64> {
            let address = cluster.pod(end)?.address(false)?.to_string();
            let speed = iperf(&node, "from", end, &address, &address, seconds)?;
            all.push(speed);
            Ok(speed)
        };
        ratios.push(once("to", &mut policed)? / once("plain", &mut plain)?);
    }
    println!(
        "{count} policies: {:.0} Mbit/s, to a pod without {:.0} Mbit/s, ratio {:.3} (medians of {rounds} rounds)",
        median(&mut policed),
        median(&mut plain),
        median(&mut ratios)
    );
    Ok(())
}

fn rate(cluster: &Cluster, round: usize, count: usize) -> Result<()> {
    let (rounds, seconds) = (argument("--rounds", 11), argument("--seconds", 2));
    let each = Duration::from_secs(seconds) / 20;
    let (mut policed, mut plain, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let once = |end: &str, all: &mut Vec<f64>| -> Result<f64> {
            let netns = cluster.name.pod(1, &client(round, end));
            let dial = Dial::tcp(cluster.pod(end)?.address(false)?, PORT);
            let rate = connections(&netns, &dial, each)?.per_second;
            all.push(rate);
            Ok(rate)
        };
        ratios.push(once("to", &mut policed)? / once("plain", &mut plain)?);
    }
    println!(
        "{count} policies: {:.0} connections/s, to a pod without {:.0}, ratio {:.3}",
        median(&mut policed),
        median(&mut plain),
        median(&mut ratios)
    );
    Ok(())
}

fn flows(cluster: &Cluster, clients: u64, count: usize) -> Result<()> {
    let address = cluster.pod("to")?.address(false)?;
    for number in 0..clients {
        let netns = cluster.name.pod(1, &format!("many-{number}"));
        for more in 0..PORTS {
            dial::many(&netns, &Dial::tcp(address, PORT + more), 1)?.all_answered()?;
        }
    }
    let node = cluster.node(1)?;
    println!(
        "{count} policies: {} flows and {} masks in the datapath for {clients} clients at {PORTS} ports",
        datapath::flows(&node, "recirc_id")?.len(),
        datapath::masks(&node)?
    );
    Ok(())
}
