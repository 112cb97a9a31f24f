//! A flow as the compiler makes it, and a program of them: the whole content of a switch.

use std::collections::BTreeMap;
use std::fmt;

use openflow::{
    Bucket, FlowMod, FlowModCommand, GroupId, GroupMod, GroupType, Instruction, Match, TableId,
};

use crate::cookie::Cookie;

/// What identifies a flow in a switch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    /// The table it is in.
    pub table: TableId,
    /// The higher wins.
    pub priority: u16,
    /// What it matches, in canonical form.
    pub match_: Match,
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// What identifies it.
    pub key: FlowKey,
    /// Who asked for it.
    pub cookie: Cookie,
    /// What it does.
    pub instructions: Vec<Instruction>,
}

impl Flow {
    /// The message that puts it into a switch, replacing one with the same key.
    pub fn to_add(&self) -> FlowMod {
        FlowMod {
            cookie: self.cookie.to_u64(),
            table: self.key.table,
            command: FlowModCommand::Add,
            priority: self.key.priority,
            match_: self.key.match_.clone(),
            instructions: self.instructions.clone().into(),
            ..FlowMod::default()
        }
    }
}

/// As `ovs-ofctl add-flows` takes it, without the cookie.
impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_flow(f, &self.key, &self.instructions)
    }
}

fn write_flow(
    f: &mut fmt::Formatter<'_>,
    key: &FlowKey,
    instructions: &[Instruction],
) -> fmt::Result {
    write!(f, "{key} actions=")?;
    if instructions.is_empty() {
        return f.write_str("drop");
    }
    for (i, instruction) in instructions.iter().enumerate() {
        write!(f, "{}{instruction}", if i == 0 { "" } else { "," })?;
    }
    Ok(())
}

impl fmt::Display for FlowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table={},priority={}", self.table, self.priority)?;
        if !self.match_.is_empty() {
            write!(f, ",{}", self.match_)?;
        }
        Ok(())
    }
}

impl FlowKey {
    /// The message that removes the flow with this key and no other.
    pub fn to_delete(&self) -> FlowMod {
        FlowMod {
            table: self.table,
            command: FlowModCommand::DeleteStrict,
            priority: self.priority,
            match_: self.match_.clone(),
            ..FlowMod::default()
        }
    }
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub id: GroupId,
    /// How a bucket is chosen.
    pub type_: GroupType,
    /// What it chooses from.
    pub buckets: Vec<Bucket>,
}

impl Group {
    /// The message that puts it into a switch, replacing one with the same number.
    pub fn to_set(&self) -> GroupMod {
        GroupMod::add_or_mod(self.id, self.type_, self.buckets.clone())
    }
}

/// Everything that a switch shall hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    flows: BTreeMap<FlowKey, (Cookie, Vec<Instruction>)>,
    groups: BTreeMap<GroupId, Group>,
}

impl FromIterator<Flow> for Program {
    fn from_iter<I: IntoIterator<Item = Flow>>(flows: I) -> Self {
        let mut program = Self::default();
        for flow in flows {
            program.insert(flow);
        }
        program
    }
}

impl Program {
    /// A program of these flows, faster than one after the other. No two have the same key.
    pub(crate) fn of(flows: Vec<Flow>) -> Self {
        let n = flows.len();
        let flows = flows.into_iter().map(|flow| {
            let Flow {
                key,
                cookie,
                instructions,
            } = flow;
            (key, (cookie, instructions))
        });
        let program = Self {
            flows: flows.collect(),
            groups: BTreeMap::new(),
        };
        debug_assert_eq!(program.len(), n, "fragments share no key");
        program
    }

    /// Puts a flow in; returns whether another one had its key.
    pub fn insert(&mut self, flow: Flow) -> bool {
        self.flows
            .insert(flow.key, (flow.cookie, flow.instructions))
            .is_some()
    }

    /// Takes a flow out; returns whether it was there.
    pub fn remove(&mut self, key: &FlowKey) -> bool {
        self.flows.remove(key).is_some()
    }

    /// Puts a group in; returns whether another one had its number.
    pub fn insert_group(&mut self, group: Group) -> bool {
        self.groups.insert(group.id, group).is_some()
    }

    /// Takes a group out; returns whether it was there.
    pub fn remove_group(&mut self, id: GroupId) -> bool {
        self.groups.remove(&id).is_some()
    }

    /// The flow with this key.
    pub fn get(&self, key: &FlowKey) -> Option<(Cookie, &[Instruction])> {
        self.flows
            .get(key)
            .map(|(cookie, instructions)| (*cookie, &**instructions))
    }

    /// Every flow, by table, priority and match.
    pub fn flows(&self) -> impl Iterator<Item = (&FlowKey, Cookie, &[Instruction])> {
        self.flows
            .iter()
            .map(|(key, (cookie, instructions))| (key, *cookie, &**instructions))
    }

    /// Every group, by number.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// The group with this number.
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// How many flows it has.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether it has neither flows nor groups.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty() && self.groups.is_empty()
    }
}

/// One line per flow, tables in order and the highest priority first, in the syntax of `ovs-ofctl add-flows`.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut flows: Vec<_> = self.flows.iter().collect();
        flows.sort_by_key(|(key, _)| (key.table, std::cmp::Reverse(key.priority)));
        for (key, (cookie, instructions)) in flows {
            write!(f, "cookie={cookie},")?;
            write_flow(f, key, instructions)?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}
