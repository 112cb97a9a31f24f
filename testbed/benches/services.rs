//! What a Service costs: TCP to a pod through its Service against TCP to a pod that is in none, turn about in the
//! same run; and connections a second to one Service while there are few others, many, and very many.
//!
//! `cargo bench -p sluice-testbed --bench services [-- --rounds 11 --seconds 2 --most 30000]`

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::datapath;
use sluice_testbed::dial::{Dial, Protocol};
use sluice_testbed::measure::{argument, connections, iperf, median, on_one_node};
use sluice_testbed::objects::{self, Endpoint, Folder, Object};
use sluice_testbed::options::{self, Attach};
use sluice_testbed::serve::{Listen, Server};

/// How many Services are in one file.
const CHUNK: u16 = 1000;
/// How long the agent may take for all of them.
const LIMIT: Duration = Duration::from_secs(300);
const PORT: u16 = 8080;
/// How often the rate is measured.
const COUNTS: usize = 4;
const IPERF: u16 = 5201;

fn main() -> ExitCode {
    match on_one_node(Attach::Internal, measure_on) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("services: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure_on(mut cluster: Cluster) -> Result<()> {
    cluster.attach(1, "from")?;
    // A client of its own for each rate: the kernel of one has 28,232 ports for a Service, and holds each for a minute.
    for number in 0..COUNTS {
        cluster.attach(1, &client(number))?;
    }
    let to = cluster.attach(1, "to")?;
    cluster.attach(1, "plain")?;
    let mut folder = Folder::new(&cluster.name, cluster.nodes()?);
    folder.put(&objects::namespace(objects::NAMESPACE))?;
    let address = vip(0);
    folder.put(
        &objects::service("measured", &[address])
            .port("web", Protocol::Tcp, 80, PORT)
            .port("iperf", Protocol::Tcp, IPERF, IPERF),
    )?;
    folder.put(&objects::slice(
        "measured",
        "a",
        false,
        &[
            ("web", Protocol::Tcp, PORT),
            ("iperf", Protocol::Tcp, IPERF),
        ],
        &[Endpoint::of(&to, false)?],
    ))?;
    folder.settle()?;
    throughput(&cluster, address)?;
    let listen = Listen::Tcp((to.address(false)?, PORT).into());
    let _server = Server::start(&cluster.name.pod(1, "to"), "to", &[listen])?;
    let most = u16::try_from(argument("--most", 30_000))?;
    let mut there = 1;
    // Back to few at the end: what the machine did meanwhile shows as a difference between the first and the last.
    let counts: [u16; COUNTS] = [10, 1000.min(most), most, 10];
    for (number, wanted) in counts.into_iter().enumerate() {
        let began = Instant::now();
        fill(&mut folder, there, wanted)?;
        there = wanted;
        folder.settle_within(LIMIT)?;
        let took = began.elapsed();
        rate(&cluster, &client(number), address, wanted, took)?;
    }
    Ok(())
}

fn throughput(cluster: &Cluster, address: IpAddr) -> Result<()> {
    let (rounds, seconds) = (argument("--rounds", 11), argument("--seconds", 2));
    let node = cluster.node(1)?;
    let to = cluster.pod("to")?.address(false)?.to_string();
    let plain = cluster.pod("plain")?.address(false)?.to_string();
    let (mut services, mut pods, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let service = iperf(&node, "from", "to", &to, &address.to_string(), seconds)?;
        let pod = iperf(&node, "from", "plain", &plain, &plain, seconds)?;
        services.push(service);
        pods.push(pod);
        ratios.push(service / pod);
    }
    println!(
        "{} datapath: pod → Service {:.0} Mbit/s, pod → pod {:.0} Mbit/s, ratio {:.3} (medians of {rounds} rounds)",
        options::name(cluster.options().datapath()),
        median(&mut services),
        median(&mut pods),
        median(&mut ratios)
    );
    Ok(())
}

/// The pod that connects while there is the so-manieth number of Services.
fn client(number: usize) -> String {
    format!("client-{number}")
}

fn rate(
    cluster: &Cluster,
    client: &str,
    address: IpAddr,
    services: u16,
    took: Duration,
) -> Result<()> {
    let (rounds, seconds) = (argument("--rounds", 11), argument("--seconds", 2));
    let client = cluster.name.pod(1, client);
    let dial = Dial::tcp(address, 80);
    let each = Duration::from_secs(seconds) / 20;
    connections(&client, &dial, each)?;
    let (mut rates, mut p50s, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let rate = connections(&client, &dial, each)?;
        rates.push(rate.per_second);
        p50s.push(rate.p50);
        p99s.push(rate.p99);
    }
    println!(
        "{services} Services (there after {:.1} s): {:.0} connections/s, p50 {:.0} µs, p99 {:.0} µs, {} masks (medians of {rounds} rounds)",
        took.as_secs_f64(),
        median(&mut rates),
        median(&mut p50s),
        median(&mut p99s),
        datapath::masks(&cluster.node(1)?)?
    );
    Ok(())
}

/// The address of a Service by its number; 0 is the one that is measured.
fn vip(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    IpAddr::from([10, 97, high, low])
}

/// Adds Services, or removes them, until there are so many; each has one endpoint, which is nothing but an address.
fn fill(folder: &mut Folder, there: u16, wanted: u16) -> Result<()> {
    let others = |count: u16| (1..count).collect::<Vec<_>>();
    let (before, after) = (others(there), others(wanted));
    let chunks = |numbers: &[u16]| -> Vec<Vec<u16>> {
        numbers
            .chunks(usize::from(CHUNK))
            .map(<[u16]>::to_vec)
            .collect()
    };
    let (before, after) = (chunks(&before), chunks(&after));
    for (index, numbers) in after.iter().enumerate() {
        if before.get(index) == Some(numbers) {
            continue;
        }
        let objects: Vec<Object> = numbers.iter().flat_map(|number| pair(*number)).collect();
        folder.put_together(&file(index), &objects)?;
    }
    for index in after.len()..before.len() {
        folder.remove(&file(index))?;
    }
    Ok(())
}

fn file(index: usize) -> String {
    format!("many-{index}.yaml")
}

fn pair(number: u16) -> [Object; 2] {
    let name = format!("many-{number}");
    let [high, low] = number.to_be_bytes();
    let end = Endpoint::new(IpAddr::from([10, 250, high, low]), None);
    [
        objects::service(&name, &[vip(number)]).port("web", Protocol::Tcp, 80, PORT),
        objects::slice(&name, "a", false, &[("web", Protocol::Tcp, PORT)], &[end]),
    ]
}
