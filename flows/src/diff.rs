//! What is wrong in a switch: the difference between what it shall hold and what it was read to hold.

use std::collections::{HashMap, HashSet};

use openflow::{Action, FlowFlags, FlowStats, GroupDesc, Instruction, Match, TableId};

use crate::cookie::{Cookie, Kind};
use crate::flow::{Flow, FlowKey, Group, Program};
use crate::patch::Patch;

/// The patch that makes a switch hold the program; empty when it does.
///
/// Flows are told apart by table, priority and canonical match. A flow of ours that nothing asks for any more is
/// removed. One with another program's cookie is left alone, unless it sits exactly where one of ours belongs.
/// What the switch learned is left alone too, until the endpoint that taught it has gone. Groups have no cookies: those of the program are set right, others left alone.
pub fn diff(desired: &Program, actual: &[FlowStats], groups: &[GroupDesc]) -> Patch {
    let mut patch = Patch::default();

    let actual_groups: HashMap<_, _> = groups.iter().map(|g| (g.id, g)).collect();
    for group in desired.groups() {
        if !actual_groups
            .get(&group.id)
            .is_some_and(|there| same_group(group, there))
        {
            patch.groups_set.push(group.clone());
        }
    }

    patch.forgotten = forgotten(desired, actual);

    // Both sides in the order of keys, so that one pass meets each key once.
    let mut there: Vec<&FlowStats> = actual.iter().collect();
    there.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
    let mut there = there.into_iter().peekable();
    for (key, cookie, instructions) in desired.flows() {
        let wanted = (key.table, key.priority, &key.match_);
        while let Some(flow) = there.next_if(|flow| place(flow) < wanted) {
            patch.flows_gone.extend(stale(flow));
        }
        match there.next_if(|flow| place(flow) == wanted) {
            Some(flow) if same_flow(cookie, instructions, flow) => {}
            _ => patch.flows_set.push(Flow {
                key: key.clone(),
                cookie,
                instructions: instructions.to_vec(),
            }),
        }
    }
    patch.flows_gone.extend(there.filter_map(stale));
    patch
}

/// Where a flow is, ordered as [`FlowKey`] is.
fn place(flow: &FlowStats) -> (TableId, u16, &Match) {
    (flow.table, flow.priority, &flow.match_)
}

/// The cookies of what was learned, and is taught no more.
fn forgotten(desired: &Program, actual: &[FlowStats]) -> Vec<Cookie> {
    let learned = actual.iter().filter_map(|flow| {
        Cookie::from_u64(flow.cookie).filter(|cookie| cookie.kind() == Some(Kind::Affinity))
    });
    let mut learned: Vec<Cookie> = learned.collect();
    learned.sort_unstable();
    learned.dedup();
    if !learned.is_empty() {
        let taught: HashSet<u64> = desired
            .flows()
            .flat_map(|(.., instructions)| instructions)
            .flat_map(taught)
            .collect();
        learned.retain(|cookie| !taught.contains(&cookie.to_u64()));
    }
    learned
}

/// The cookies of the flows that an instruction teaches the switch.
fn taught(instruction: &Instruction) -> impl Iterator<Item = u64> {
    let actions: &[Action] = match instruction {
        Instruction::ApplyActions(actions) => actions,
        _ => &[],
    };
    actions.iter().filter_map(|action| match action {
        Action::Learn(learn) => Some(learn.cookie),
        _ => None,
    })
}

/// The key of a flow that nothing asks for, if it is one of ours and does not go by itself.
fn stale(flow: &FlowStats) -> Option<FlowKey> {
    let kind = Cookie::from_u64(flow.cookie)?.kind();
    if kind.is_some_and(|kind| !kind.is_compiled()) {
        return None;
    }
    Some(FlowKey {
        table: flow.table,
        priority: flow.priority,
        match_: flow.match_.clone(),
    })
}

fn same_flow(cookie: Cookie, instructions: &[Instruction], flow: &FlowStats) -> bool {
    flow.cookie == cookie.to_u64()
        && flow.instructions == instructions
        && flow.flags == FlowFlags::default()
        && flow.idle_timeout == 0
        && flow.hard_timeout == 0
}

fn same_group(group: &Group, there: &GroupDesc) -> bool {
    group.type_ == there.type_ && group.buckets == there.buckets
}
