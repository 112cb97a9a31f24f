//! A cluster that does not stand still: a thousand pods a second that come, go and get other labels, for half a
//! minute, among 100,000 pods of other nodes and 2,000 policies, all of which select pods here and speak of the pods
//! that change. The agent runs as it does in a cluster: it watches an API server, which this is.
//!
//! Of every change it is told how long it took until the switch had it, by the switch; besides, what processor time
//! that took, and how many flow mods.
//!
//! ```text
//! cargo bench -p sluice-agent --bench policy_churn         # as root, Open vSwitch installed
//! BENCH_SECONDS=5 BENCH_PODS=20000 cargo bench -p sluice-agent --bench policy_churn
//! ```
//! Exits 1 when p99 is a second or more, the agent took a whole core or more, or a change is not in the switch soon.
#![allow(missing_docs, reason = "a benchmark")]

use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use openflow::message::FlowEvent;
use openflow::{Field, Match};
use sluice_flows::pipeline::Table;
use sluice_rpc::{Client, DEFAULT_SOCKET, PodRef};
use tokio::sync::mpsc;

#[path = "../node/api.rs"]
mod api;
#[path = "../node/attach.rs"]
mod attach;
mod cluster;
#[path = "../node/daemons.rs"]
mod daemons;
#[path = "../node/pod_netns.rs"]
mod pod_netns;
#[path = "../node/sandbox.rs"]
mod sandbox;
#[path = "../node/stats.rs"]
mod stats;
#[path = "../node/watch.rs"]
mod watch;

use api::Api;
use cluster::{ALL_POLICIES, Cluster, LOCAL_PODS};
use daemons::{Agent, Switch, wait_until};
use pod_netns::PodNetns;
use sandbox::run;
use stats::Sample;
use watch::Watch;

/// Changes a second, in portions of one hundredth of a second.
const RATE: usize = 1_000;
const TICK: Duration = Duration::from_millis(10);
const LAG: Duration = Duration::from_secs(1);
/// How long the last changes may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<ExitCode> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(ExitCode::SUCCESS);
    }
    let number = |name: &str, default: usize| -> Result<usize> {
        std::env::var(name).map_or(Ok(default), |text| Ok(text.parse()?))
    };
    let seconds = number("BENCH_SECONDS", 30)?;
    let mut cluster = Cluster::new(number("BENCH_PODS", 100_000)?);
    ensure!(
        cluster.pods() >= seconds * RATE,
        "something would happen to a pod twice"
    );
    sandbox::enter()?;
    let switch = Switch::start()?;
    let api = Api::start(TcpListener::bind("127.0.0.1:0")?, cluster.objects())?;
    std::fs::write("/run/bench/kubeconfig", api.kubeconfig())?;
    let agent = Agent::start_with(Some("--kubeconfig=/run/bench/kubeconfig"))?;
    let _pods = attach_pods()?;
    // One flow at least for each pod that the policies speak of, and they speak of all.
    let all = f64::from(u32::try_from(cluster.pods())?);
    wait_until("the policies, and the pods that they speak of", || {
        Ok(agent.metric("sluice_flows", "")? >= all)
    })?;
    // What is counted a moment after a change.
    std::thread::sleep(Duration::from_secs(3));
    println!(
        "{} pods elsewhere, {LOCAL_PODS} here, {ALL_POLICIES} policies; {} flows; the agent has {:.1} MB",
        cluster.pods(),
        flows()?,
        agent.rss()?
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let sent = |kind: &str| {
        agent.metric(
            "sluice_openflow_messages_sent_total",
            &format!("kind=\"{kind}\""),
        )
    };
    let before = (
        sent("flow_mod")?,
        agent.metric("sluice_openflow_bundles_total", "")?,
    );
    let (cpu, switch_cpu, began) = (agent.cpu()?, switch.cpu()?, Instant::now());
    let lags = runtime.block_on(churn(&mut cluster, &api.pods, seconds))?;
    let took = began.elapsed();
    let (cpu, switch_cpu) = (agent.cpu()? - cpu, switch.cpu()? - switch_cpu);
    let flow_mods = sent("flow_mod")? - before.0;
    let bundles = agent.metric("sluice_openflow_bundles_total", "")? - before.1;

    let changes = lags.len();
    let per = |count: f64| count / f64::from(u32::try_from(changes).unwrap_or(u32::MAX));
    let lags = Sample::new(lags);
    let core = cpu.as_secs_f64() / took.as_secs_f64();
    println!("{changes} changes in {:.1} s", took.as_secs_f64());
    println!(
        "lag {}, most {:.1} ms",
        lags.line(),
        lags.percentile(100).as_secs_f64() * 1e3
    );
    println!(
        "{:.2} flow mods and {:.3} bundles a change",
        per(flow_mods),
        per(bundles)
    );
    println!(
        "the agent took {:.1} s of processor time, {core:.2} of a core; ovs-vswitchd {:.1} s",
        cpu.as_secs_f64(),
        switch_cpu.as_secs_f64()
    );
    println!("the agent has {:.1} MB", agent.rss()?);
    let good = lags.percentile(99) < LAG && core < 1.0;
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// How many flows the switch has.
fn flows() -> Result<u64> {
    let told = run(
        "ovs-ofctl",
        &["-O", "OpenFlow13", "dump-aggregate", "br-sluice"],
    )?;
    let count = told.split("flow_count=").nth(1).context("no flow_count")?;
    Ok(count.trim().parse()?)
}

fn attach_pods() -> Result<Vec<PodNetns>> {
    let mut client = Client::connect(Path::new(DEFAULT_SOCKET))?;
    let mut all = Vec::new();
    for number in 0..LOCAL_PODS {
        let netns = PodNetns::new(&format!("pod{number}"))?;
        let (namespace, name) = cluster::local_name(number);
        let uid = Some(cluster::uid(&name));
        let pod = PodRef {
            namespace,
            name,
            uid,
        };
        attach::add(&mut client, u16::try_from(number)?, pod, &netns)?;
        all.push(netns);
    }
    Ok(all)
}

/// Says all changes, and returns how long each took.
async fn churn(
    cluster: &mut Cluster,
    api: &mpsc::UnboundedSender<String>,
    seconds: usize,
) -> Result<Vec<Duration>> {
    let mut watch = Watch::start("br-sluice", Table::IngressClass, Match::new()).await?;
    let mut waiting: HashMap<(Ipv4Addr, FlowEvent), Instant> = HashMap::new();
    let mut lags = Vec::with_capacity(seconds * RATE);
    let mut tick = tokio::time::interval(TICK);
    let mut left = seconds * RATE;
    let portion = RATE / 100;
    let mut deadline = Instant::now() + PATIENCE;
    while left > 0 || !waiting.is_empty() {
        tokio::select! {
            _ = tick.tick() => {
                for _ in 0..portion.min(left) {
                    let change = cluster.change();
                    waiting.insert((change.address, change.event), Instant::now());
                    ensure!(api.send(change.line).is_ok(), "the API server is gone");
                    deadline = Instant::now() + PATIENCE;
                }
                left -= portion.min(left);
                if Instant::now() > deadline {
                    let some: Vec<_> = waiting.keys().take(5).collect();
                    bail!("{} changes are not in the switch after {PATIENCE:?}, as {some:?}", waiting.len());
                }
            }
            changes = watch.next() => for change in changes? {
                let Some((source, _)) = change.match_.get(Field::IPV4_SRC) else {
                    continue;
                };
                if let Some(since) = waiting.remove(&(source.to_ipv4(), change.event)) {
                    lags.push(since.elapsed());
                }
            },
        }
    }
    Ok(lags)
}
