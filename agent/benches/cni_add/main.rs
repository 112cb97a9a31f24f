//! CNI ADD, from the start of the plugin to its exit, against the floor: the bare OVSDB
//! transaction and netlink calls in the same switch ([`floor`]). Serially, one after the other in
//! turn so that both meet as many ports; and 110 at once, as when a node boots.
//!
//! ```text
//! cargo bench -p sluice-agent --bench cni_add            # as root, Open vSwitch installed
//! ```
//! Exits 1 when the serial p50 is above 1.5 times the floor's.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::json;

#[path = "../node/daemons.rs"]
mod daemons;
mod floor;
mod netlink;
#[path = "../node/pod_netns.rs"]
mod pod_netns;
#[path = "../node/sandbox.rs"]
mod sandbox;
#[path = "../node/stats.rs"]
mod stats;

use daemons::{Agent, Switch};
use floor::{Bridge, Floor};
use pod_netns::PodNetns;
use stats::Sample;

/// Pods of one node.
const PODS: u16 = 110;
/// Rounds of all at once.
const ROUNDS: usize = 3;
const LIMIT: f64 = 1.5;

fn main() -> Result<ExitCode> {
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(ExitCode::SUCCESS);
    }
    let plugin = build_plugin()?;
    sandbox::enter()?;
    let switch = Switch::start()?;
    let agent = match std::env::var_os("BENCH_FLOOR_ONLY") {
        None => Some(Agent::start(None)?),
        Some(_) => None,
    };
    let plugin = agent.as_ref().map(|_| plugin.as_path());
    let mut out = std::io::stdout();

    let (floor, ours) = serially(plugin)?;
    writeln!(out, "serial, 1 to {PODS} pods of each kind")?;
    let ratio = report(&mut out, &floor, &ours)?;
    if let Some(agent) = &agent {
        let messages = switch.coverage("ofproto_recv_openflow")?;
        writeln!(
            out,
            "  OpenFlow messages {:.1} per ADD and DEL",
            f64::from(u32::try_from(messages)?) / f64::from(PODS)
        )?;
        let seconds = agent.metric("sluice_cni_seconds_sum", "add")?;
        let count = agent.metric("sluice_cni_seconds_count", "add")?;
        writeln!(
            out,
            "  of that in the agent mean {:.2} ms",
            seconds / count * 1e3
        )?;
    }

    let (mut floors, mut all_ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let bridge = Bridge::new()?;
        let floor = Floor::new()?;
        floors.extend(at_once(|number, netns| floor.attach(number, netns))?);
        bridge.remove()?;
        if let Some(plugin) = plugin {
            all_ours.extend(at_once(|number, netns| cni(plugin, "ADD", number, netns))?);
            delete_all(plugin)?;
        }
    }
    writeln!(out, "{PODS} at once, {ROUNDS} rounds")?;
    report(&mut out, &Sample::new(floors), &Sample::new(all_ours))?;
    if let Some(agent) = agent {
        let (ready, rss) = (agent.ready_after, agent.rss()?);
        writeln!(
            out,
            "agent ready after {:.3} s; RSS at the end {:.1} MB",
            ready.as_secs_f64(),
            rss
        )?;
        agent.end(Signal::SIGTERM)?;
    }
    Ok(if ratio <= LIMIT {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn report(out: &mut impl std::io::Write, floor: &Sample, ours: &Sample) -> Result<f64> {
    let ratio =
        |percent| ours.percentile(percent).as_secs_f64() / floor.percentile(percent).as_secs_f64();
    writeln!(out, "  floor    {}", floor.line())?;
    writeln!(out, "  CNI ADD  {}", ours.line())?;
    writeln!(
        out,
        "  ratio    p50 {:.2} (limit {LIMIT})   p99 {:.2}",
        ratio(50),
        ratio(99)
    )?;
    Ok(ratio(50))
}

/// Floor and ADD in turn.
fn serially(plugin: Option<&Path>) -> Result<(Sample, Sample)> {
    let bridge = Bridge::new()?;
    let floor = Floor::new()?;
    let mut kept = Vec::new();
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for number in 1..=PODS {
        let netns = PodNetns::new(&format!("floor{number}"))?;
        floors.push(floor.attach(number, netns.path())?);
        kept.push(netns);
        if let Some(plugin) = plugin {
            let netns = PodNetns::new(&name(number))?;
            ours.push(cni(plugin, "ADD", number, netns.path())?);
            kept.push(netns);
        }
    }
    if let Some(plugin) = plugin {
        delete_all(plugin)?;
    }
    bridge.remove()?;
    Ok((Sample::new(floors), Sample::new(ours)))
}

/// All pods at the same moment, each from a thread of its own.
fn at_once(attach: impl Fn(u16, &Path) -> Result<Duration> + Sync) -> Result<Vec<Duration>> {
    let netns: Vec<PodNetns> = (1..=PODS)
        .map(|number| PodNetns::new(&name(number)))
        .collect::<Result<_>>()?;
    let start = Barrier::new(netns.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=PODS)
            .zip(&netns)
            .map(|(number, netns)| {
                let (start, attach) = (&start, &attach);
                scope.spawn(move || {
                    start.wait();
                    attach(number, netns.path())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread panicked"))?
            })
            .collect()
    })
}

fn delete_all(plugin: &Path) -> Result<()> {
    for number in 1..=PODS {
        cni(plugin, "DEL", number, Path::new(""))?;
    }
    Ok(())
}

fn name(number: u16) -> String {
    format!("pod{number}")
}

/// One call of the plugin, from its start to its exit, as a runtime makes it.
fn cni(plugin: &Path, command: &str, number: u16, netns: &Path) -> Result<Duration> {
    let config =
        json!({"cniVersion": "1.1.0", "name": "sluice", "type": "sluice-cni", "timeout": 60})
            .to_string();
    let name = name(number);
    let started = Instant::now();
    let mut child = Command::new(plugin)
        .env_clear()
        .env("CNI_COMMAND", command)
        .env("CNI_CONTAINERID", format!("{number:064x}"))
        .env("CNI_NETNS", netns)
        .env("CNI_IFNAME", "eth0")
        .env("CNI_ARGS", format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={name};K8S_POD_UID=uid-{number}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("a pipe")?
        .write_all(config.as_bytes())?;
    let output = child.wait_with_output()?;
    let elapsed = started.elapsed();
    ensure!(
        output.status.success(),
        "{command} {name}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(elapsed)
}

/// The plugin as it is shipped.
fn build_plugin() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SLUICE_CNI") {
        return Ok(path.into());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cni/build-static");
    let output = Command::new(script).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "cni/build-static failed");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
