//! The first synchronisation: an agent starts beside an empty switch, with all objects in its folder.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use openflow::connection::{Connection, FlowStatsRequest, Options, Target};
use openflow::{FlowMod, FlowModCommand, Message, TableId};
use serde_json::{Value, json};

use crate::daemons::{Agent, Switch, wait_until};
use crate::objects;

const FOLDER: &str = "/run/bench/manifests";
const BRIDGE: &str = "/run/openvswitch/br-sluice.mgmt";
/// Services in one file.
const FILE: usize = 500;
/// How often the floor is measured.
const ROUNDS: usize = 3;

/// Measures with so many Services, and endpoints of each. Leaves the switch empty.
///
/// # Errors
/// When the agent or the switch fails.
pub(crate) fn measure(switch: &Switch, services: usize, endpoints: usize) -> Result<()> {
    let folder = Path::new(FOLDER);
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder)?;
    fs::write(folder.join("node.json"), node().to_string())?;
    let agent = Agent::start(Some(folder))?;
    let idle = agent.rss()?;
    agent.end(Signal::SIGTERM)?;
    runtime()?.block_on(async { empty(&connect().await?).await })?;
    write(folder, services, endpoints)?;

    let before = switch.coverage("ofproto_recv_openflow")?;
    let began = Instant::now();
    let agent = Agent::start(Some(folder))?;
    let phase = |name: &str| {
        let metric = "sluice_synchronisation_seconds";
        agent.metric(metric, &format!("phase=\"{name}\"")).ok()
    };
    wait_until("the switch to hold all", || Ok(phase("send").is_some()))?;
    let took = began.elapsed();
    let [list, read, compile, send] = ["list", "read", "compile", "send"].map(phase);
    let compile = compile.context("no time of compiling")?;
    let send = send.context("no time of sending")?;
    let messages = switch.coverage("ofproto_recv_openflow")? - before;
    let rss = agent.rss()?;
    let ready_after = agent.ready_after.as_secs_f64();
    agent.end(Signal::SIGTERM)?;
    let (flows, floor) = runtime()?.block_on(floor())?;
    let each = rss.0.saturating_sub(idle.0) / u64::try_from(services * endpoints)?;
    println!(
        "{services} Services × {endpoints} endpoints, {flows} flows in {messages} messages: switch in sync {:.2} s after the agent's \
         start (ready for pods after {:.2}): list {:.2}, read {:.2}, compile {compile:.2}, send and switch {send:.2}",
        took.as_secs_f64(),
        ready_after,
        list.unwrap_or_default(),
        read.unwrap_or_default(),
    );
    let after = compile + send;
    let floor = floor.as_secs_f64();
    println!(
        "  the same messages in one bundle, without an agent: {floor:.2} s; ratio {:.2} (≤ 2); RSS {rss:.0} MB, \
         idle {idle:.0}: {each} bytes an endpoint",
        after / floor
    );
    Ok(())
}

fn node() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "bench"},
        "spec": {"podCIDR": "10.244.0.0/20", "podCIDRs": ["10.244.0.0/20", "fd00:244::/112"]},
        "status": {"addresses": [{"type": "InternalIP", "address": "172.31.255.1"}]},
    })
}

fn write(folder: &Path, services: usize, endpoints: usize) -> Result<()> {
    for first in (0..services).step_by(FILE) {
        let all = first..services.min(first + FILE);
        let objects = all.flat_map(|n| [objects::service(n), objects::slice(n, 0, endpoints)]);
        let documents: Vec<String> = objects.map(|object| object.to_string()).collect();
        let file = folder.join(format!("services-{first:05}.yaml"));
        fs::write(file, documents.join("\n---\n"))?;
    }
    Ok(())
}

/// A runtime like the agent's.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

/// A connection to the bridge.
pub(crate) async fn connect() -> Result<Connection> {
    let connection = Connection::connect(Target::Unix(BRIDGE.into()), Options::default());
    let connected = tokio::time::timeout(Duration::from_secs(10), connection.connected());
    connected.await.context("no connection to the bridge")??;
    Ok(connection)
}

/// Removes all flows.
pub(crate) async fn empty(connection: &Connection) -> Result<()> {
    let all = FlowMod {
        command: FlowModCommand::Delete,
        table: TableId::ALL,
        ..FlowMod::default()
    };
    connection.apply(vec![Message::FlowMod(all)]).await?;
    Ok(())
}

/// How many flows the switch holds, and how long it takes to send them to it in one bundle while it has none.
async fn floor() -> Result<(usize, Duration)> {
    let connection = connect().await?;
    let request = FlowStatsRequest::default();
    let there = connection.dump_flows(request).await?.into_inner();
    ensure!(!there.is_empty(), "the switch holds nothing");
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        empty(&connection).await?;
        let adds = there.iter().map(|flow| Message::FlowMod(flow.to_add()));
        let adds = adds.collect();
        let began = Instant::now();
        connection.bundle(adds).await?;
        least = least.min(began.elapsed());
    }
    empty(&connection).await?;
    Ok((there.len(), least))
}
