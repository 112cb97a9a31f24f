//! How long it takes from a file's change until the switch has a policy of thousands of CIDRs, in a folder of
//! manifests that the agent watches; for ten pods that it selects.
//!
//! The floor is the switch alone: the same flows, made already, sent to another bridge of it as one bundle.
//!
//! ```text
//! cargo bench -p sluice-agent --bench policy_size         # as root, Open vSwitch installed
//! ```
#![allow(missing_docs, reason = "a benchmark")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use openflow::connection::FlowStatsRequest;
use openflow::message::FlowEvent;
use openflow::{Connection, Field, FlowMod, FlowModCommand, FlowStats, Match, Message, TableId};
use sluice_flows::pipeline::Table;
use sluice_rpc::{Client, DEFAULT_SOCKET, PodRef};

#[path = "../node/attach.rs"]
mod attach;
#[path = "../node/daemons.rs"]
mod daemons;
#[path = "../restart/peers.rs"]
mod peers;
#[path = "../node/pod_netns.rs"]
mod pod_netns;
#[path = "../node/sandbox.rs"]
mod sandbox;
#[path = "../node/stats.rs"]
mod stats;
#[path = "../node/watch.rs"]
mod watch;

use daemons::{Agent, Switch};
use pod_netns::PodNetns;
use sandbox::run;
use stats::Sample;
use watch::Watch;

const SIZES: [u32; 3] = [5_000, 10_000, 15_000];
const ROUNDS: u8 = 7;
const PODS: u16 = 10;
const PATIENCE: Duration = Duration::from_secs(60);
/// Holds the blocks by whose flows it is told that the switch has a file: one for each time that one is written.
const MARKERS: [u8; 3] = [203, 0, 113];

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    sandbox::enter()?;
    let _switch = Switch::start()?;
    let folder = Path::new("/run/bench/manifests");
    peers::write(folder, 0)?;
    let agent = Agent::start(Some(folder))?;
    let mut client = Client::connect(Path::new(DEFAULT_SOCKET))?;
    let mut pods = Vec::new();
    for number in 0..PODS {
        let netns = PodNetns::new(&format!("pod{number}"))?;
        let pod = PodRef {
            namespace: "default".into(),
            name: format!("pod-{number}"),
            uid: None,
        };
        attach::add(&mut client, number, pod, &netns)?;
        pods.push(netns);
    }
    let floor = ["--", "set", "bridge", "br-floor", "datapath_type=netdev"];
    run(
        "ovs-vsctl",
        &[&["--timeout=30", "add-br", "br-floor"][..], &floor].concat(),
    )?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(&agent, folder.join("policy.yaml")))
}

/// Times of one size.
#[derive(Default)]
struct Times {
    comes: Vec<Duration>,
    one_more: Vec<Duration>,
    goes: Vec<Duration>,
    floor: Vec<Duration>,
    cpu: Vec<Duration>,
    flows: BTreeSet<usize>,
}

async fn measure(agent: &Agent, file: PathBuf) -> Result<()> {
    let [a, b, c] = MARKERS;
    let match_ = Match::new().eq(Field::ETH_TYPE, 0x0800u16).masked(
        Field::IPV4_SRC,
        Ipv4Addr::new(a, b, c, 0),
        Ipv4Addr::new(255, 255, 255, 0),
    );
    let watch = Watch::start("br-sluice", Table::IngressClass, match_).await?;
    let mut bench = Bench {
        agent,
        file,
        watch,
        ours: watch::connect("br-sluice").await?,
        floor: watch::connect("br-floor").await?,
    };
    let before = bench.policy_flows().await?;
    println!(
        "{:>8} {:>8} {:>10} {:>10} {:>6} {:>10} {:>10} {:>10}",
        "CIDRs", "flows", "comes", "floor", "ratio", "agent CPU", "one more", "goes"
    );
    for size in SIZES {
        let mut times = Times::default();
        for round in 0..ROUNDS {
            bench.round(size, round, &before, &mut times).await?;
        }
        ensure!(times.flows.len() == 1, "rounds differ: {:?}", times.flows);
        let p50 = |of: Vec<Duration>| Sample::new(of).percentile(50);
        let (comes, floor) = (p50(times.comes), p50(times.floor));
        println!(
            "{size:>8} {:>8} {} {} {:>6.2} {} {} {}",
            times.flows.first().copied().unwrap_or_default(),
            milliseconds(comes),
            milliseconds(floor),
            comes.as_secs_f64() / floor.as_secs_f64(),
            milliseconds(p50(times.cpu)),
            milliseconds(p50(times.one_more)),
            milliseconds(p50(times.goes)),
        );
    }
    println!("p50 of {ROUNDS} rounds; 40 ms of each are the wait until the folder is quiet");
    Ok(())
}

struct Bench<'a> {
    agent: &'a Agent,
    file: PathBuf,
    watch: Watch,
    ours: Connection,
    floor: Connection,
}

impl Bench<'_> {
    async fn round(
        &mut self,
        size: u32,
        round: u8,
        before: &[FlowStats],
        times: &mut Times,
    ) -> Result<()> {
        let cpu = self.agent.cpu()?;
        let began = self.write(&policy(size - 1, &[round]))?;
        times
            .comes
            .push(self.told(round, FlowEvent::Added, began).await?);
        times.cpu.push(self.agent.cpu()? - cpu);

        let flows = self.policy_flows().await?;
        let fresh = flows
            .iter()
            .filter(|flow| !before.iter().any(|it| same(it, flow)));
        let fresh: Vec<FlowMod> = fresh.map(FlowStats::to_add).collect();
        times.flows.insert(fresh.len());
        times
            .floor
            .push(self.bundle(&fresh, FlowModCommand::Add).await?);
        self.bundle(&fresh, FlowModCommand::DeleteStrict).await?;

        let another = round + 128;
        let began = self.write(&policy(size - 1, &[round, another]))?;
        times
            .one_more
            .push(self.told(another, FlowEvent::Added, began).await?);

        let began = Instant::now();
        std::fs::remove_file(&self.file)?;
        times
            .goes
            .push(self.told(round, FlowEvent::Deleted, began).await?);
        Ok(())
    }

    /// Puts a whole file in the other's place; says when.
    fn write(&self, text: &str) -> Result<Instant> {
        let aside = self.file.with_file_name(".policy.yaml");
        std::fs::write(&aside, text)?;
        let began = Instant::now();
        std::fs::rename(&aside, &self.file)?;
        Ok(began)
    }

    /// How long since `began` when the switch told of a marker.
    async fn told(&mut self, marker: u8, event: FlowEvent, began: Instant) -> Result<Duration> {
        let [a, b, c] = MARKERS;
        let address = Ipv4Addr::new(a, b, c, marker);
        let wait = async {
            loop {
                let changes = self.watch.next().await?;
                let told = changes.iter().any(|change| {
                    let source = change.match_.get(Field::IPV4_SRC);
                    change.event == event && source.is_some_and(|(ip, _)| ip.to_ipv4() == address)
                });
                if told {
                    return Ok(began.elapsed());
                }
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(told) => told,
            Err(_) => bail!("no flow of {address} was {event:?} in {PATIENCE:?}"),
        }
    }

    /// What is in the tables of policy.
    async fn policy_flows(&self) -> Result<Vec<FlowStats>> {
        let of_policy = [
            Table::IngressPoliced,
            Table::EgressPoliced,
            Table::IngressSubject,
            Table::IngressClass,
            Table::IngressPolicy,
        ];
        let mut all = Vec::new();
        for table in of_policy.map(Table::id) {
            let request = FlowStatsRequest {
                table,
                ..FlowStatsRequest::default()
            };
            all.extend(self.ours.dump_flows(request).await?.into_inner());
        }
        all.retain(|flow| flow.table != TableId::ALL);
        Ok(all)
    }

    async fn bundle(&self, flows: &[FlowMod], command: FlowModCommand) -> Result<Duration> {
        let messages = flows.iter().map(|flow| {
            Message::FlowMod(FlowMod {
                command,
                ..flow.clone()
            })
        });
        let messages: Vec<Message> = messages.collect();
        let began = Instant::now();
        self.floor
            .bundle(messages)
            .await
            .context("the floor's bundle")?;
        Ok(began.elapsed())
    }
}

fn same(a: &FlowStats, b: &FlowStats) -> bool {
    (a.table, a.priority, &a.match_) == (b.table, b.priority, &b.match_)
}

/// A policy that lets in so many blocks, every tenth without a part of it, and some markers.
fn policy(size: u32, markers: &[u8]) -> String {
    let mut text = "apiVersion: networking.k8s.io/v1\n\
                    kind: NetworkPolicy\n\
                    metadata:\n  name: large\n  namespace: default\n\
                    spec:\n  podSelector: {}\n  ingress:\n  - from:\n"
        .to_owned();
    let mut block = |cidr: String, except: Option<String>| {
        writeln!(text, "    - ipBlock:\n        cidr: {cidr}").expect("written");
        if let Some(except) = except {
            writeln!(text, "        except:\n        - {except}").expect("written");
        }
    };
    let [a, b, c] = MARKERS;
    for marker in markers {
        block(format!("{a}.{b}.{c}.{marker}/32"), None);
    }
    for number in 0..size {
        let [_, high, middle, low] = number.to_be_bytes();
        let net = format!("{}.{middle}.{low}", 11 + high);
        let except = (number % 10 == 0).then(|| format!("{net}.64/26"));
        block(format!("{net}.0/24"), except);
    }
    text
}

fn milliseconds(time: Duration) -> String {
    format!("{:>7.1} ms", time.as_secs_f64() * 1000.0)
}
