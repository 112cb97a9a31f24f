//! What a restart of the agent costs when the switch already holds the state of a full node, and
//! how much memory the agent takes.
//!
//! ```text
//! cargo bench -p sluice-agent --bench restart            # as root, Open vSwitch installed
//! BENCH_PODS=200 cargo bench -p sluice-agent --bench restart
//! ```
//! Exits 1 when a restart sends a flow mod, or memory is above 30 MB idle or with 1,000 flows and
//! 100 peers.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;
use sluice_rpc::{Client, DEFAULT_SOCKET, PodRef};

#[path = "../node/attach.rs"]
mod attach;
#[path = "../node/daemons.rs"]
mod daemons;
mod peers;
#[path = "../node/pod_netns.rs"]
mod pod_netns;
#[path = "../node/sandbox.rs"]
mod sandbox;

use daemons::{Agent, Bytes, Switch, wait_until};
use pod_netns::PodNetns;

const PEERS: u16 = 100;
const FLOWS: f64 = 1_000.0;
const MEMORY: Bytes = Bytes(30_000_000);
/// Callers that attach at the same time.
const CALLERS: usize = 4;

fn main() -> Result<ExitCode> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(ExitCode::SUCCESS);
    }
    let pods: u16 = std::env::var("BENCH_PODS").map_or(Ok(1_000), |text| text.parse())?;
    sandbox::enter()?;
    let switch = Switch::start()?;
    let manifests = Path::new("/run/bench/manifests");
    let mut out = std::io::stdout();
    let mut good = true;

    let agent = Agent::start(None)?;
    settle();
    good &= memory(&mut out, "idle: no pods, no peers", &agent)?;
    agent.end(Signal::SIGTERM)?;

    peers::write(manifests, PEERS)?;
    let agent = Agent::start(Some(manifests))?;
    wait_until("the peers", || {
        Ok(agent.metric("sluice_peers", "")? >= f64::from(PEERS))
    })?;
    let mut netns = Vec::new();
    while agent.metric("sluice_flows", "")? < FLOWS && netns.len() < usize::from(pods) {
        attach_more(&mut netns, 8)?;
    }
    settle();
    let flows = agent.metric("sluice_flows", "")?;
    good &= memory(
        &mut out,
        &format!("{flows} flows, {} pods, {PEERS} peers", netns.len()),
        &agent,
    )?;

    let missing = pods.saturating_sub(u16::try_from(netns.len())?);
    attach_more(&mut netns, missing)?;
    settle();
    let flows = agent.metric("sluice_flows", "")?;
    writeln!(
        out,
        "{:<48} RSS {:5.1} MB",
        format!("{flows} flows, {pods} pods, {PEERS} peers"),
        agent.rss()?
    )?;

    let mut agent = agent;
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        agent.end(signal)?;
        let before = switch.coverage("ofproto_recv_openflow")?;
        agent = Agent::start(Some(manifests))?;
        wait_until("the peers", || {
            Ok(agent.metric("sluice_peers", "")? >= f64::from(PEERS))
        })?;
        let messages = switch.coverage("ofproto_recv_openflow")? - before;
        let sent = |kind: &str| {
            agent.metric(
                "sluice_openflow_messages_sent_total",
                &format!("kind=\"{kind}\""),
            )
        };
        let (flow_mods, group_mods) = (sent("flow_mod")?, sent("group_mod")?);
        writeln!(
            out,
            "restart after {signal}: ready in {:.3} s; {flow_mods} flow mods, {group_mods} group mods; the switch received {messages} OpenFlow messages; RSS {:.1} MB",
            agent.ready_after.as_secs_f64(),
            agent.rss()?,
        )?;
        good &= flow_mods + group_mods == 0.0;
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lets what runs once after a start run: this measures a state, not a moment.
fn settle() {
    std::thread::sleep(Duration::from_secs(2));
}

fn memory(out: &mut impl std::io::Write, what: &str, agent: &Agent) -> Result<bool> {
    let rss = agent.rss()?;
    writeln!(out, "{what:<48} RSS {:5.1} MB (limit {:.0})", rss, MEMORY)?;
    Ok(rss <= MEMORY)
}

/// Attaches `count` more pods, a few at a time.
fn attach_more(pods: &mut Vec<PodNetns>, count: u16) -> Result<()> {
    let first = u16::try_from(pods.len())?;
    let fresh: Vec<PodNetns> = (0..count)
        .map(|i| PodNetns::new(&format!("pod{}", first + i)))
        .collect::<Result<_>>()?;
    let next = AtomicU16::new(0);
    std::thread::scope(|scope| -> Result<()> {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let mut client = Client::connect(Path::new(DEFAULT_SOCKET))?;
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(netns) = fresh.get(usize::from(index)) else {
                            return Ok(());
                        };
                        let number = first + index;
                        let pod = PodRef {
                            namespace: "default".into(),
                            name: format!("pod-{number}"),
                            uid: Some(format!("uid-{number}")),
                        };
                        attach::add(&mut client, number, pod, netns)?;
                    }
                })
            })
            .collect();
        for caller in callers {
            match caller.join() {
                Ok(outcome) => outcome?,
                Err(_) => bail!("a thread panicked"),
            }
        }
        Ok(())
    })?;
    pods.extend(fresh);
    Ok(())
}
