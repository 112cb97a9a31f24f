//! What the datapath itself counts, so that a test can say how often a packet went through it.
//!
//! A packet passes the datapath once when it comes in and once more for each recirculation, and each pass is one
//! lookup, hit or missed; both datapaths count them (`dpctl/show`). So of N packets that came in while nothing else
//! did, `lookups / N - 1` is the number of recirculations of each. The userspace datapath also counts recirculated
//! packets by name (`dpif-netdev/pmd-stats-show`), whatever else came in, and that is what is read there. What a
//! flow's own counters say is not: a packet that missed is counted by none, and flows come and go.
//!
//! On the userspace datapath a packet from a tunnel recirculates once to be looked up without its outer headers.
//!
//! An upcall is a lookup that missed.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};

use crate::look::number;
use crate::node::Node;
use crate::options::Datapath;

/// The switch's counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lookups that found a flow.
    pub hit: u64,
    /// Lookups that found none: upcalls.
    pub missed: u64,
    /// Upcalls that were lost.
    pub lost: u64,
    /// Flows in the datapath now.
    pub flows: u64,
    /// Packets recirculated, where the datapath counts them.
    pub recirculated: Option<u64>,
}

impl Counters {
    /// Reads them.
    ///
    /// # Errors
    /// When the switch does not answer or says something else.
    pub fn read(node: &Node, datapath: Datapath) -> Result<Self> {
        let text = appctl(node, &["dpctl/show"])?;
        let count = |key: &str| {
            number(&text, key).with_context(|| format!("no `{key}` in dpctl/show: {text}"))
        };
        Ok(Self {
            hit: count("lookups: hit:")?,
            missed: count(" missed:")?,
            lost: count(" lost:")?,
            flows: count("flows: ")?,
            recirculated: match datapath {
                Datapath::Netdev => Some(recirculated(node)?),
                Datapath::System => None,
            },
        })
    }

    /// What was counted since an earlier moment; the flows are those of now.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            hit: self.hit.saturating_sub(before.hit),
            missed: self.missed.saturating_sub(before.missed),
            lost: self.lost.saturating_sub(before.lost),
            flows: self.flows,
            recirculated: self
                .recirculated
                .zip(before.recirculated)
                .map(|(now, then)| now.saturating_sub(then)),
        }
    }

    /// Recirculations, if so many packets came in.
    pub fn recirculations(self, packets: u64) -> u64 {
        self.recirculated
            .unwrap_or_else(|| (self.hit + self.missed).saturating_sub(packets))
    }
}

/// All threads' `packet recirculations`.
fn recirculated(node: &Node) -> Result<u64> {
    let text = appctl(node, &["dpif-netdev/pmd-stats-show"])?;
    let counts: Vec<u64> = text
        .lines()
        .filter_map(|line| number(line, "packet recirculations: "))
        .collect();
    (!counts.is_empty())
        .then(|| counts.iter().sum())
        .with_context(|| format!("no recirculations in dpif-netdev/pmd-stats-show: {text}"))
}

/// How many shapes the datapath's flows have: the lookups that a packet of an unknown kind costs.
///
/// # Errors
/// When the switch does not answer.
pub fn masks(node: &Node) -> Result<usize> {
    let text = appctl(node, &["dpctl/dump-flows"])?;
    let shapes: BTreeSet<String> = text.lines().filter_map(shape).collect();
    Ok(shapes.len())
}

/// The flows of the datapath that match a text, for messages.
///
/// # Errors
/// When the switch does not answer.
pub fn flows(node: &Node, filter: &str) -> Result<Vec<String>> {
    let text = appctl(node, &["dpctl/dump-flows"])?;
    let lines = text.lines().filter(|line| line.contains(filter));
    Ok(lines.map(str::to_owned).collect())
}

/// The fields and masks of a datapath flow, without what they are compared with.
fn shape(line: &str) -> Option<String> {
    let key = line.split(", packets:").next()?;
    let mut shape = String::new();
    let mut value = false;
    for (index, c) in key.char_indices() {
        match c {
            '(' | '=' => value = true,
            '/' | ')' | ',' => value = false,
            _ => {}
        }
        // Before a nested bracket stands a name, not a value.
        let named = key
            .get(index..)
            .and_then(|rest| {
                rest.find(['(', ')', ',', '=', '/'])
                    .and_then(|at| rest.get(at..))
            })
            .is_some_and(|rest| rest.starts_with(['(', '=']));
        if !value || named || c == '(' || c == '=' {
            shape.push(c);
        }
    }
    (!shape.is_empty()).then_some(shape)
}

/// Packets that a cached flow sent to where nothing is any more, since the switch started. The kernel counts none.
///
/// # Errors
/// When the switch does not answer.
pub fn upcall_errors(node: &Node) -> Result<u64> {
    let text = appctl(
        node,
        &["coverage/read-counter", "datapath_drop_upcall_error"],
    )?;
    text.trim()
        .parse()
        .with_context(|| format!("no count of datapath_drop_upcall_error: {text}"))
}

/// Has the threads that see to it that cached flows are right go on, or stand still. Each by turns: told twice, the
/// switch waits forever.
///
/// # Errors
/// When the switch does not answer.
pub fn revalidators(node: &Node, go_on: bool) -> Result<()> {
    let what = if go_on { "resume" } else { "pause" };
    appctl(node, &[&format!("revalidator/{what}")]).map(drop)
}

/// Waits until all that is cached has been compared with the flows of now.
///
/// # Errors
/// When the switch does not answer.
pub fn revalidated(node: &Node) -> Result<()> {
    // The first to end may have begun before.
    for _ in 0..2 {
        appctl(node, &["revalidator/wait"])?;
    }
    Ok(())
}

/// The connections that conntrack knows in one zone, one a line.
///
/// # Errors
/// When the switch does not answer.
pub fn connections(node: &Node, zone: u16) -> Result<Vec<String>> {
    let text = appctl(node, &["dpctl/dump-conntrack", &format!("zone={zone}")])?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn appctl(node: &Node, args: &[&str]) -> Result<String> {
    let mut words = vec!["-t", "ovs-vswitchd"];
    words.extend(args);
    node.sh("ovs-appctl", &words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_masks_without_values() {
        let one = "recirc_id(0),in_port(2),eth(src=02:00:00:00:00:01,dst=aa:53:4c:55:49:43),eth_type(0x0800),ipv4(dst=10.244.1.2/255.255.255.0,proto=17,frag=no), packets:9, bytes:1";
        let two = "recirc_id(7),in_port(3),eth(src=02:00:00:00:00:02,dst=aa:53:4c:55:49:43),eth_type(0x0800),ipv4(dst=10.244.9.0/255.255.255.0,proto=6,frag=no), packets:0, bytes:0";
        let three = one.replace("255.255.255.0", "255.255.0.0");
        assert_eq!(shape(one), shape(two));
        assert_ne!(shape(one), shape(&three));
    }

    #[test]
    fn differences_are_of_counters() {
        let before = Counters {
            hit: 5,
            missed: 1,
            ..Counters::default()
        };
        let after = Counters {
            hit: 25,
            missed: 3,
            flows: 4,
            ..Counters::default()
        };
        let since = after.since(before);
        assert_eq!((since.hit, since.missed, since.flows), (20, 2, 4));
        assert_eq!(since.recirculations(10), 12);
    }
}
