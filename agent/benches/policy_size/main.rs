//! How long it takes until the switch has a policy of thousands of CIDRs, for ten pods that it selects: from a file's
//! change, in a folder of manifests that the agent watches, and from the request to an API server.
//!
//! The floor is the switch alone: the same flows, made already, sent to another bridge of it as one bundle.
//!
//! ```text
//! cargo bench -p sluice-agent --bench policy_size         # as root, Open vSwitch installed
//! ```
//! The second part takes etcd and kube-apiserver, as `sluice-testbed build-kubernetes` makes them, or in the folder that
//! `SLUICE_KUBERNETES_BIN` names.
#![allow(missing_docs, reason = "a benchmark")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use openflow::connection::FlowStatsRequest;
use openflow::message::FlowEvent;
use openflow::{Connection, Field, FlowMod, FlowModCommand, FlowStats, Match, Message, TableId};
use serde_json::{Value, json};
use sluice_flows::pipeline::Table;
use sluice_rpc::{Client, DEFAULT_SOCKET, PodRef};

mod api_server;
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

use api_server::{ApiServer, KUBECONFIG};
use daemons::{Agent, Switch};
use pod_netns::PodNetns;
use sandbox::run;
use stats::Sample;
use watch::Watch;

const SIZES: [u32; 3] = [5_000, 10_000, 15_000];
const ROUNDS: u8 = 7;
const PODS: u16 = 10;
const PATIENCE: Duration = Duration::from_secs(60);
const POLICIES: &str = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies";
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
    println!("a folder of manifests; 40 ms of each time are the wait until it is quiet");
    let folder = Source::Folder(folder.join("policy.yaml"));
    runtime.block_on(measure(&agent, folder))?;
    let Some(programs) = api_server::programs() else {
        println!("NOT MEASURED: an API server; there are no programs of Kubernetes");
        return Ok(());
    };
    agent.end(Signal::SIGTERM)?;
    let server = runtime.block_on(async {
        let server = ApiServer::start(&programs).await?;
        for (collection, object) in objects() {
            server.create(collection, &object).await?;
        }
        anyhow::Ok(server)
    })?;
    let agent = Agent::start_with(Some(&format!("--kubeconfig={KUBECONFIG}")))?;
    println!("an API server");
    runtime.block_on(measure(&agent, Source::Api(server)))
}

/// Where policies are written.
enum Source {
    Folder(PathBuf),
    Api(ApiServer),
}

/// Times of one size.
#[derive(Default)]
struct Times {
    comes: Vec<Duration>,
    one_more: Vec<Duration>,
    one_more_answered: Vec<Duration>,
    one_more_cpu: Vec<Duration>,
    goes: Vec<Duration>,
    /// Until whoever wrote it was told that it is written.
    answered: Vec<Duration>,
    floor: Vec<Duration>,
    cpu: Vec<Duration>,
    flows: BTreeSet<usize>,
}

async fn measure(agent: &Agent, source: Source) -> Result<()> {
    let [a, b, c] = MARKERS;
    let match_ = Match::new().eq(Field::ETH_TYPE, 0x0800u16).masked(
        Field::IPV4_SRC,
        Ipv4Addr::new(a, b, c, 0),
        Ipv4Addr::new(255, 255, 255, 0),
    );
    let watch = Watch::start("br-sluice", Table::IngressClass, match_).await?;
    let mut bench = Bench {
        agent,
        source,
        watch,
        ours: watch::connect("br-sluice").await?,
        floor: watch::connect("br-floor").await?,
    };
    let before = bench.policy_flows().await?;
    println!(
        "{:>8} {:>8} {:>10} {:>10} {:>10} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "CIDRs",
        "flows",
        "comes",
        "answered",
        "floor",
        "ratio",
        "agent CPU",
        "one more",
        "answered",
        "agent CPU",
        "goes"
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
            "{size:>8} {:>8} {} {} {} {:>6.2} {} {} {} {} {}",
            times.flows.first().copied().unwrap_or_default(),
            milliseconds(comes),
            milliseconds(p50(times.answered)),
            milliseconds(floor),
            comes.as_secs_f64() / floor.as_secs_f64(),
            milliseconds(p50(times.cpu)),
            milliseconds(p50(times.one_more)),
            milliseconds(p50(times.one_more_answered)),
            milliseconds(p50(times.one_more_cpu)),
            milliseconds(p50(times.goes)),
        );
    }
    println!("p50 of {ROUNDS} rounds");
    Ok(())
}

struct Bench<'a> {
    agent: &'a Agent,
    source: Source,
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
        let large = blocks(size - 1, &[round]);
        let (answered, told) = self.change(Change::Comes(&large), round).await?;
        times.comes.push(told);
        times.answered.push(answered);
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
        let larger = blocks(size - 1, &[round, another]);
        let cpu = self.agent.cpu()?;
        let (answered, told) = self.change(Change::Other(&larger), another).await?;
        times.one_more.push(told);
        times.one_more_answered.push(answered);
        times.one_more_cpu.push(self.agent.cpu()? - cpu);
        let (_, told) = self.change(Change::Goes, round).await?;
        times.goes.push(told);
        Ok(())
    }

    /// Writes a change; how long it took until that was answered, and until the switch told of the marker.
    async fn change(&mut self, change: Change<'_>, marker: u8) -> Result<(Duration, Duration)> {
        let event = match change {
            Change::Comes(_) | Change::Other(_) => FlowEvent::Added,
            Change::Goes => FlowEvent::Deleted,
        };
        match &self.source {
            Source::Folder(file) => {
                let aside = file.with_file_name(".policy.yaml");
                if let Change::Comes(blocks) | Change::Other(blocks) = change {
                    std::fs::write(&aside, manifest(blocks))?;
                }
                let began = Instant::now();
                match change {
                    Change::Goes => std::fs::remove_file(file)?,
                    // A whole file in the other's place.
                    _ => std::fs::rename(&aside, file)?,
                }
                let answered = began.elapsed();
                Ok((answered, told(&mut self.watch, marker, event, began).await?))
            }
            Source::Api(server) => {
                let object = match change {
                    Change::Comes(blocks) | Change::Other(blocks) => object(blocks),
                    Change::Goes => Value::Null,
                };
                let path = format!("{POLICIES}/large");
                let began = Instant::now();
                let request = async {
                    match change {
                        Change::Comes(_) => server.create(POLICIES, &object).await?,
                        Change::Other(_) => server.replace(&path, &object).await?,
                        Change::Goes => server.delete(&path).await?,
                    }
                    Ok(began.elapsed())
                };
                tokio::try_join!(request, told(&mut self.watch, marker, event, began))
            }
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

/// How long since `began` when the switch told of a marker.
async fn told(watch: &mut Watch, marker: u8, event: FlowEvent, began: Instant) -> Result<Duration> {
    let [a, b, c] = MARKERS;
    let address = Ipv4Addr::new(a, b, c, marker);
    let wait = async {
        loop {
            let changes = watch.next().await?;
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

fn same(a: &FlowStats, b: &FlowStats) -> bool {
    (a.table, a.priority, &a.match_) == (b.table, b.priority, &b.match_)
}

/// What happens to the policy.
#[derive(Clone, Copy)]
enum Change<'a> {
    Comes(&'a [Block]),
    Other(&'a [Block]),
    Goes,
}

/// A CIDR, and a part of it that is left out.
type Block = (String, Option<String>);

/// So many blocks, every tenth without a part of it, after some markers.
fn blocks(size: u32, markers: &[u8]) -> Vec<Block> {
    let [a, b, c] = MARKERS;
    let markers = markers
        .iter()
        .map(|d| (format!("{a}.{b}.{c}.{d}/32"), None));
    let numbered = (0..size).map(|number| {
        let [_, high, middle, low] = number.to_be_bytes();
        let net = format!("{}.{middle}.{low}", 11 + high);
        let except = (number % 10 == 0).then(|| format!("{net}.64/26"));
        (format!("{net}.0/24"), except)
    });
    markers.chain(numbered).collect()
}

/// A policy that lets in these blocks, as people write it.
fn manifest(blocks: &[Block]) -> String {
    let mut text = "apiVersion: networking.k8s.io/v1\n\
                    kind: NetworkPolicy\n\
                    metadata:\n  name: large\n  namespace: default\n\
                    spec:\n  podSelector: {}\n  ingress:\n  - from:\n"
        .to_owned();
    for (cidr, except) in blocks {
        writeln!(text, "    - ipBlock:\n        cidr: {cidr}").expect("written");
        if let Some(except) = except {
            writeln!(text, "        except:\n        - {except}").expect("written");
        }
    }
    text
}

/// The same, as the API has it.
fn object(blocks: &[Block]) -> Value {
    let blocks = blocks.iter().map(|(cidr, except)| match except {
        None => json!({"ipBlock": {"cidr": cidr}}),
        Some(except) => json!({"ipBlock": {"cidr": cidr, "except": [except]}}),
    });
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "large", "namespace": "default"},
        "spec": {"podSelector": {}, "ingress": [{"from": blocks.collect::<Vec<_>>()}]},
    })
}

/// The node and its pods, for the API server.
fn objects() -> impl Iterator<Item = (&'static str, Value)> {
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "bench"},
        "spec": {"podCIDR": "10.244.0.0/20", "podCIDRs": ["10.244.0.0/20", "fd00:244::/112"]},
    });
    let pods = (0..PODS).map(|number| {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("pod-{number}"), "namespace": "default"},
            "spec": {"nodeName": "bench", "containers": [{"name": "it", "image": "it"}]},
        });
        ("/api/v1/namespaces/default/pods", pod)
    });
    std::iter::once(("/api/v1/nodes", node)).chain(pods)
}

fn milliseconds(time: Duration) -> String {
    format!("{:>7.1} ms", time.as_secs_f64() * 1000.0)
}
