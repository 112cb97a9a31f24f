//! The flows and groups that packets run through, and which flow of a table a packet meets, conjunctions included.
//! It knows nothing of what a flow does.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use openflow::{
    Action, Bucket, Field, FlowStats, GroupDesc, GroupId, GroupType, Instruction, Match, TableId,
};

use super::learned::{Learned, LearnedFlow};
use super::packet::Packet;
use crate::flow::Program;

/// Flows and groups to run packets through, wherever they come from.
#[derive(Debug, Default)]
pub struct Tables<'a> {
    tables: BTreeMap<TableId, Vec<Entry<'a>>>,
    groups: BTreeMap<GroupId, (GroupType, &'a [Bucket])>,
    pub(super) fragments: Fragments,
}

/// What flows see of the ports of fragments, as `ovs-ofctl set-frags` has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fragments {
    /// Every fragment without: what a bridge does until told otherwise.
    Normal,
    /// Those that the fragment has; the later ones have none. What the pipeline is made for.
    #[default]
    NxMatch,
    /// Fragments match nothing.
    Drop,
}

/// A flow in its table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) priority: u16,
    pub(super) match_: &'a Match,
    pub(super) cookie: u64,
    pub(super) instructions: &'a [Instruction],
}

/// The flow that a packet meets.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) entry: Entry<'a>,
    /// Another one could have been it.
    pub(super) ambiguous: bool,
}

impl<'a> From<&'a Program> for Tables<'a> {
    fn from(program: &'a Program) -> Self {
        let flows = program.flows().map(|(key, cookie, instructions)| {
            let entry = Entry {
                priority: key.priority,
                match_: &key.match_,
                cookie: cookie.to_u64(),
                instructions,
            };
            (key.table, entry)
        });
        let groups = program.groups().map(|g| (g.id, (g.type_, &*g.buckets)));
        Self::new(flows, groups.collect())
    }
}

impl<'a> From<&'a [FlowStats]> for Tables<'a> {
    fn from(flows: &'a [FlowStats]) -> Self {
        let flows = flows.iter().map(|flow| {
            let FlowStats {
                priority,
                cookie,
                match_,
                instructions,
                ..
            } = flow;
            (
                flow.table,
                Entry {
                    priority: *priority,
                    match_,
                    cookie: *cookie,
                    instructions,
                },
            )
        });
        Self::new(flows, BTreeMap::new())
    }
}

impl<'a> From<&'a LearnedFlow> for Entry<'a> {
    fn from(flow: &'a LearnedFlow) -> Self {
        Self {
            priority: flow.priority,
            match_: &flow.match_,
            cookie: flow.cookie,
            instructions: &flow.instructions,
        }
    }
}

impl<'a> Tables<'a> {
    fn new(
        entries: impl Iterator<Item = (TableId, Entry<'a>)>,
        groups: BTreeMap<GroupId, (GroupType, &'a [Bucket])>,
    ) -> Self {
        let mut tables: BTreeMap<TableId, Vec<Entry<'a>>> = BTreeMap::new();
        for (table, entry) in entries {
            tables.entry(table).or_default().push(entry);
        }
        for entries in tables.values_mut() {
            entries.sort_by_key(|e| Reverse(e.priority));
        }
        Self {
            tables,
            groups,
            fragments: Fragments::default(),
        }
    }

    /// The same with these groups, as read back from a switch.
    #[must_use]
    pub fn with_groups(mut self, groups: &'a [GroupDesc]) -> Self {
        let groups = groups.iter().map(|g| (g.id, (g.type_, &*g.buckets)));
        self.groups.extend(groups);
        self
    }

    /// The same on a bridge that treats fragments so.
    #[must_use]
    pub fn with_fragments(mut self, fragments: Fragments) -> Self {
        self.fragments = fragments;
        self
    }

    pub(super) fn group(&self, id: GroupId) -> Option<(GroupType, &'a [Bucket])> {
        self.groups.get(&id).copied()
    }

    /// How many flows of a table have a cookie.
    pub(super) fn count(&self, learned: &Learned, table: TableId, cookie: u64) -> usize {
        let all = self.entries(learned, table);
        all.into_iter().filter(|e| e.cookie == cookie).count()
    }

    /// Whether a table has a flow with this priority and match.
    pub(super) fn contains(&self, learned: &Learned, flow: &LearnedFlow) -> bool {
        let all = self.entries(learned, flow.table);
        all.iter()
            .any(|e| (e.priority, e.match_) == (flow.priority, &flow.match_))
    }

    /// The flows of a table, the highest priority first. What was learned stands in the place of what had its key.
    fn entries<'l>(&'l self, learned: &'l Learned, table: TableId) -> Vec<Entry<'l>> {
        let own = self.tables.get(&table).into_iter().flatten();
        let own = own.filter(|e| !learned.contains(table, e.priority, e.match_));
        let added = learned.flows().filter(|f| f.table == table);
        let mut all: Vec<Entry<'l>> = own.copied().chain(added.map(Entry::from)).collect();
        all.sort_by_key(|e| Reverse(e.priority));
        all
    }

    /// The flow of a table that a packet meets.
    pub(super) fn lookup<'l>(
        &'l self,
        learned: &'l Learned,
        table: TableId,
        packet: &Packet,
    ) -> Option<Found<'l>> {
        let entries = self.entries(learned, table);
        find(&entries, packet, true)
    }
}

/// Finds the flow by priority; with `conjunctions`, also by the clauses that match together.
fn find<'l>(entries: &[Entry<'l>], packet: &Packet, conjunctions: bool) -> Option<Found<'l>> {
    for same in entries.chunk_by(|a, b| a.priority == b.priority) {
        let matching = same.iter().filter(|e| packet.matches(e.match_));
        let (clauses, plain): (Vec<&Entry<'l>>, Vec<_>) = matching.partition(|e| is_clause(e));
        if let [first, others @ ..] = plain.as_slice() {
            return Some(Found {
                entry: **first,
                ambiguous: !others.is_empty(),
            });
        }
        if conjunctions {
            let mut met = satisfied(&clauses).into_iter().filter_map(|id| {
                let with_id = packet.clone().with(Field::CONJ_ID, id);
                find(entries, &with_id, false)
            });
            if let Some(found) = met.next() {
                let ambiguous = found.ambiguous || met.next().is_some();
                return Some(Found { ambiguous, ..found });
            }
        }
    }
    None
}

fn clauses<'l>(entry: &Entry<'l>) -> impl Iterator<Item = (u32, u8, u8)> + 'l {
    let actions = entry.instructions.iter().flat_map(|i| match i {
        Instruction::ApplyActions(actions) => actions.as_slice(),
        _ => &[],
    });
    actions.filter_map(|action| match action {
        Action::Conjunction {
            id,
            clause,
            n_clauses,
        } => Some((*id, *clause, *n_clauses)),
        _ => None,
    })
}

fn is_clause(entry: &Entry<'_>) -> bool {
    clauses(entry).next().is_some()
}

/// The conjunctions of which every clause is there.
fn satisfied(entries: &[&Entry<'_>]) -> BTreeSet<u32> {
    let mut met: BTreeMap<u32, (u8, BTreeSet<u8>)> = BTreeMap::new();
    for (id, clause, n_clauses) in entries.iter().flat_map(|e| clauses(e)) {
        let (of, seen) = met.entry(id).or_default();
        *of = n_clauses;
        seen.insert(clause);
    }
    let complete = |(_, (of, seen)): &(u32, (u8, BTreeSet<u8>))| seen.len() == usize::from(*of);
    met.into_iter().filter(complete).map(|(id, _)| id).collect()
}
