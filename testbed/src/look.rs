//! What a node's switch holds, asked with Open vSwitch's own tools, so that a test does not believe
//! the agent about itself.

use anyhow::{Context as _, Result};

use crate::layout::BRIDGE;
use crate::node::{Daemon, Node};

/// How dumps begin flows of the kind 12 (docs/pipeline.md).
const EPOCHS: &str = "cookie=0x51ce0c";

/// The flows' cookie in table Drop is this plus the number of the reason.
const DROP_COOKIE: u64 = 0x51ce_0200_0000_0000;
/// Number of the reason "a pod sent from a MAC or IP address that is not its own".
pub const SPOOFED: u64 = 5;
/// What a switch logs for each message that changes flows or groups.
const CHANGES: [&str; 3] = ["OFPT_FLOW_MOD", "OFPT_GROUP_MOD", "BUNDLE_ADD_MESSAGE"];

/// The flows as Open vSwitch prints them, one a line.
///
/// # Errors
/// When the switch does not answer.
pub fn flows(node: &Node) -> Result<Vec<String>> {
    let text = node.sh(
        "ovs-ofctl",
        &["-O", "OpenFlow13", "--names", "dump-flows", BRIDGE],
    )?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| line.contains("actions="))
        .map(str::to_owned)
        .collect())
}

/// The flows without counters, cookies included, in an order of their own: equal when they mean the same. Flows
/// with a timeout come and go in the switch by themselves, epochs go on from what was before: both are left out.
///
/// # Errors
/// When the switch does not answer.
pub fn program(node: &Node) -> Result<Vec<String>> {
    let mut lines: Vec<String> = flows(node)?
        .iter()
        .filter(|line| !line.contains("_timeout=") && !line.starts_with(EPOCHS))
        .map(|line| {
            let words = line.split(", ");
            let kept = words.filter(|word| {
                ![
                    "duration=",
                    "n_packets=",
                    "n_bytes=",
                    "idle_age=",
                    "hard_age=",
                ]
                .iter()
                .any(|key| word.starts_with(key))
            });
            kept.collect::<Vec<_>>().join(", ")
        })
        .collect();
    lines.sort();
    Ok(lines)
}

/// Packets dropped for a reason, by its number.
///
/// # Errors
/// When the switch does not answer or has no such flow.
pub fn dropped(node: &Node, reason: u64) -> Result<u64> {
    let cookie = format!("cookie={:#x},", DROP_COOKIE + reason);
    let flows = flows(node)?;
    let lines = flows.iter().filter(|line| line.starts_with(&cookie));
    let counts: Vec<u64> = lines
        .filter_map(|line| number(line, "n_packets="))
        .collect();
    (!counts.is_empty())
        .then(|| counts.iter().sum())
        .with_context(|| format!("no flow with {cookie} on {}", node.name()))
}

/// The number that follows `key` in a line.
pub fn number(line: &str, key: &str) -> Option<u64> {
    let rest = line.split(key).nth(1)?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// Names of the bridge's ports, sorted.
///
/// # Errors
/// When the database does not answer.
pub fn ports(node: &Node) -> Result<Vec<String>> {
    let text = node.sh("ovs-vsctl", &["list-ports", BRIDGE])?;
    let mut ports: Vec<String> = text.lines().map(str::to_owned).collect();
    ports.sort();
    Ok(ports)
}

/// Names of the node's network devices, sorted; those in pods not included.
///
/// # Errors
/// When the node does not answer.
pub fn links(node: &Node) -> Result<Vec<String>> {
    let text = node.sh("ip", &["-o", "link"])?;
    let mut links: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned()))
        .collect();
    links.sort();
    Ok(links)
}

/// The OpenFlow port of a pod.
///
/// # Errors
/// When the pod has no port.
pub fn ofport(node: &Node, pod: &str) -> Result<u64> {
    let filter = format!("external_ids:sluice-pod-name={pod}");
    let text = node.sh(
        "ovs-vsctl",
        &["--bare", "--columns=ofport", "find", "Interface", &filter],
    )?;
    text.trim()
        .parse()
        .with_context(|| format!("pod {pod} has no port: {text}"))
}

/// Makes the switch log every OpenFlow message it gets.
///
/// # Errors
/// When it does not answer.
pub fn log_messages(node: &Node) -> Result<()> {
    node.sh(
        "ovs-appctl",
        &["-t", "ovs-vswitchd", "vlog/set", "vconn:file:dbg"],
    )?;
    // Otherwise it says "dropped 7 log messages" and the count is wrong.
    node.sh(
        "ovs-appctl",
        &["-t", "ovs-vswitchd", "vlog/disable-rate-limit", "vconn"],
    )?;
    Ok(())
}

/// Messages that change flows or groups which the switch has logged so far, and all messages received.
///
/// # Errors
/// When the log cannot be read.
pub fn messages(node: &Node) -> Result<(usize, usize)> {
    let text = std::fs::read(node.log(Daemon::Vswitchd)).context("no log of the switch")?;
    let text = String::from_utf8_lossy(&text);
    let received: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("received: "))
        .collect();
    let changes = received
        .iter()
        .filter(|line| CHANGES.iter().any(|word| line.contains(word)));
    Ok((changes.count(), received.len()))
}
