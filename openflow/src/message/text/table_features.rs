//! The text of table features and table statistics, which share their form: a table like the one before it is a
//! "ditto".

use std::fmt::Write as _;

use super::{Printed, alternate_hex, c_string};
use crate::error::{DecodeError, ErrorKind};
use crate::field::Field;
use crate::message::table_features::{TableFeatures, fields, ids, property};
use crate::message::{Property, TableStats};

/// OpenFlow 1.3's actions in the order of Open vSwitch's own, with their names.
const ACTIONS: [(u32, &str); 13] = [
    (0, "output"),
    (22, "group"),
    (25, "set_field"),
    (18, "strip_vlan"),
    (17, "push_vlan"),
    (23, "mod_nw_ttl"),
    (24, "dec_ttl"),
    (15, "set_mpls_ttl"),
    (16, "dec_mpls_ttl"),
    (19, "push_mpls"),
    (20, "pop_mpls"),
    (21, "set_queue"),
    (0xff, ""),
];

/// Instructions in the order of Open vSwitch's own, with their names.
const INSTRUCTIONS: [(u32, &str); 6] = [
    (6, "meter"),
    (4, "apply_actions"),
    (5, "clear_actions"),
    (3, "write_actions"),
    (2, "write_metadata"),
    (1, "goto_table"),
];

/// The names of the actions whose bits are set; those that Open vSwitch does not know are left out.
pub(super) fn action_names(bits: u32) -> String {
    let known = ACTIONS
        .iter()
        .filter(|(number, _)| bits.checked_shr(*number).is_some_and(|b| b & 1 != 0));
    let names: Vec<_> = known.map(|(_, name)| *name).collect();
    if names.is_empty() {
        "<none>".to_owned()
    } else {
        names.join(" ")
    }
}

/// Which fields, in Open vSwitch's own order.
type Fields = std::collections::BTreeMap<(u8, &'static str), ()>;

/// Actions and settable fields.
#[derive(Clone, Default, PartialEq)]
struct Actions {
    actions: u32,
    set_fields: Fields,
}

impl Actions {
    fn is_empty(&self) -> bool {
        self.known() == 0 && self.set_fields.is_empty()
    }

    fn known(&self) -> u32 {
        ACTIONS.iter().fold(0, |known, (number, _)| {
            known | 1_u32.checked_shl(*number).unwrap_or(0)
        }) & self.actions
    }

    fn same(&self, other: &Actions) -> bool {
        self.known() == other.known() && self.set_fields == other.set_fields
    }
}

/// What flows of one kind can do.
#[derive(Clone, Default)]
struct Instructions {
    next: std::collections::BTreeSet<u8>,
    instructions: u32,
    write: Actions,
    apply: Actions,
}

impl Instructions {
    fn is_empty(&self) -> bool {
        self.next.is_empty()
            && self.instructions == 0
            && self.write.is_empty()
            && self.apply.is_empty()
    }

    fn same(&self, table: u8, other: &Instructions, other_table: u8) -> bool {
        same_next(&self.next, table, &other.next, other_table)
            && self.instructions == other.instructions
            && self.write.same(&other.write)
            && self.apply.same(&other.apply)
    }
}

/// Consecutive tables usually differ in that the first can go to the second; that counts as the same.
fn same_next(
    a: &std::collections::BTreeSet<u8>,
    a_table: u8,
    b: &std::collections::BTreeSet<u8>,
    b_table: u8,
) -> bool {
    let skip =
        |low: &std::collections::BTreeSet<u8>, high: &std::collections::BTreeSet<u8>, table: u8| {
            (low.contains(&table) && !high.contains(&table))
                .then(|| low.iter().filter(|t| **t != table).eq(high.iter()))
        };
    if a_table.checked_add(1) == Some(b_table) {
        skip(a, b, b_table).unwrap_or(a == b)
    } else if b_table.checked_add(1) == Some(a_table) {
        skip(b, a, a_table).unwrap_or(a == b)
    } else {
        a == b
    }
}

/// A table's features as Open vSwitch understands them.
#[derive(Clone, Default)]
struct Understood {
    table: u8,
    name: String,
    metadata_match: u64,
    metadata_write: u64,
    max_entries: u32,
    nonmiss: Instructions,
    miss: Instructions,
    /// Fields that can be matched, and for each whether with any mask and whether it can be left out.
    fields: std::collections::BTreeMap<(u8, &'static str), (bool, bool)>,
}

impl Understood {
    fn matchable(&self) -> Vec<&'static str> {
        self.fields.keys().map(|(_, name)| *name).collect()
    }

    fn is_empty(&self) -> bool {
        self.metadata_match == 0
            && self.metadata_write == 0
            && self.max_entries == 0
            && self.nonmiss.is_empty()
            && self.miss.is_empty()
            && self.fields.is_empty()
    }

    fn same(&self, other: &Understood) -> bool {
        self.metadata_match == other.metadata_match
            && self.metadata_write == other.metadata_write
            && self.max_entries == other.max_entries
            && self.nonmiss.same(self.table, &other.nonmiss, other.table)
            && self.miss.same(self.table, &other.miss, other.table)
            && self.matchable() == other.matchable()
    }

    fn of(features: &TableFeatures) -> Result<Understood, DecodeError> {
        features.check_each()?;
        let mut out = Understood {
            table: features.table.0,
            name: c_string(&features.name).chars().take(31).collect(),
            metadata_match: features.metadata_match,
            metadata_write: features.metadata_write,
            max_entries: features.max_entries,
            ..Understood::default()
        };
        let mut seen = 0_u32;
        let (mut matched, mut wildcards) = (Vec::new(), Fields::new());
        for property in &features.properties {
            seen |= 1_u32.checked_shl(u32::from(property.type_)).unwrap_or(0);
            let part = if property.type_ & 1 == 0 {
                &mut out.nonmiss
            } else {
                &mut out.miss
            };
            match property.type_ & !1 {
                property::INSTRUCTIONS => part.instructions = instructions(property)?,
                property::NEXT_TABLES => part.next = property.data.iter().copied().collect(),
                property::WRITE_ACTIONS => part.write.actions = actions(property)?,
                property::APPLY_ACTIONS => part.apply.actions = actions(property)?,
                property::MATCH if property.type_ == property::MATCH => {
                    matched = fields(property)?;
                }
                property::WILDCARDS if property.type_ == property::WILDCARDS => {
                    wildcards = keys(property)?;
                }
                property::WRITE_SETFIELD => part.write.set_fields = keys(property)?,
                property::APPLY_SETFIELD => part.apply.set_fields = keys(property)?,
                _ => {}
            }
        }
        // Open vSwitch asks for all of those that do not concern the table-miss flow.
        if !seen & 0x5555 != 0 {
            return Err(DecodeError::new(
                ErrorKind::TffcBadFeatures,
                "table features",
            ));
        }
        let given = |type_: u16| seen & (1 << (type_ + 1)) != 0;
        if !given(property::INSTRUCTIONS) {
            out.miss.instructions = out.nonmiss.instructions;
        }
        if !given(property::NEXT_TABLES) {
            out.miss.next = out.nonmiss.next.clone();
        }
        if !given(property::WRITE_ACTIONS) {
            out.miss.write.actions = out.nonmiss.write.actions;
        }
        if !given(property::APPLY_ACTIONS) {
            out.miss.apply.actions = out.nonmiss.apply.actions;
        }
        if !given(property::WRITE_SETFIELD) {
            out.miss.write.set_fields = out.nonmiss.write.set_fields.clone();
        }
        if !given(property::APPLY_SETFIELD) {
            out.miss.apply.set_fields = out.nonmiss.apply.set_fields.clone();
        }
        for (field, masked) in matched {
            let key = key(field);
            let (any_mask, optional) = out.fields.entry(key).or_default();
            *any_mask |= masked;
            *optional |= masked || wildcards.contains_key(&key);
        }
        Ok(out)
    }
}

fn actions(property: &Property) -> Result<u32, DecodeError> {
    Ok(ids(property)?.into_iter().fold(0, |bits, id| {
        bits | 1_u32.checked_shl(u32::from(id)).unwrap_or(0)
    }))
}

fn instructions(property: &Property) -> Result<u32, DecodeError> {
    let known = |id: u16| {
        INSTRUCTIONS
            .iter()
            .any(|(number, _)| *number == u32::from(id))
    };
    Ok(ids(property)?
        .into_iter()
        .filter(|id| known(*id))
        .fold(0, |bits, id| bits | 1 << id))
}

fn key(field: Field) -> (u8, &'static str) {
    (field.rank(), field.name())
}

fn keys(property: &Property) -> Result<Fields, DecodeError> {
    let listed = fields(property)?;
    Ok(listed
        .into_iter()
        .map(|(field, _)| (key(field), ()))
        .collect())
}

/// Which tables in a row were like the one before.
#[derive(Default)]
struct Ditto(Option<(u8, u8)>);

impl Ditto {
    fn extend(&mut self, table: u8) {
        self.0 = Some((self.0.map_or(table, |(first, _)| first), table));
    }

    fn finish(&mut self, out: &mut String) {
        match self.0.take() {
            None => {}
            Some((first, last)) if first == last => {
                let _ = write!(out, "\n  table {first}: ditto\n");
            }
            Some((first, last)) => {
                let _ = write!(out, "\n  tables {first}...{last}: ditto\n");
            }
        }
    }
}

/// Prints table features, each against the one before.
pub(super) fn print(out: &mut String, tables: &[TableFeatures]) -> Printed {
    let mut ditto = Ditto::default();
    let mut previous: Option<Understood> = None;
    for table in tables {
        let table = match Understood::of(table) {
            Ok(table) => table,
            Err(error) => {
                ditto.finish(out);
                return Err(error.kind.name());
            }
        };
        one(out, &table, previous.as_ref(), None, None, &mut ditto);
        previous = Some(table);
    }
    ditto.finish(out);
    Ok(())
}

/// Prints table statistics, each against the one before.
pub(super) fn print_stats(out: &mut String, tables: &[TableStats]) {
    let mut ditto = Ditto::default();
    let mut previous: Option<(Understood, TableStats)> = None;
    for stats in tables {
        let table = Understood {
            table: stats.table.0,
            ..Understood::default()
        };
        let (before, before_stats) = previous
            .as_ref()
            .map_or((None, None), |(t, s)| (Some(t), Some(s)));
        one(out, &table, before, Some(stats), before_stats, &mut ditto);
        previous = Some((table, *stats));
    }
    ditto.finish(out);
}

fn one(
    out: &mut String,
    table: &Understood,
    previous: Option<&Understood>,
    stats: Option<&TableStats>,
    previous_stats: Option<&TableStats>,
    ditto: &mut Ditto,
) {
    let numbers = |s: &TableStats| (s.active_count, s.lookup_count, s.matched_count);
    let same_stats = stats.is_none_or(|s| previous_stats.is_some_and(|p| numbers(s) == numbers(p)));
    let same_features = previous.is_some_and(|p| table.same(p));
    if same_stats && same_features && table.name.is_empty() {
        ditto.extend(table.table);
        return;
    }
    ditto.finish(out);
    let _ = write!(out, "\n  table {}", table.table);
    if !table.name.is_empty() {
        let _ = write!(out, " (\"{}\")", table.name);
    }
    out.push(':');
    if same_stats && same_features {
        out.push_str(" ditto");
        return;
    }
    out.push('\n');
    if let Some(stats) = stats {
        let _ = write!(
            out,
            "    active={}, lookup={}, ",
            stats.active_count, stats.lookup_count
        );
        let _ = writeln!(out, "matched={}", stats.matched_count);
    }
    if same_features {
        if !table.is_empty() {
            out.push_str("    (same features)\n");
        }
        return;
    }
    if table.metadata_match != 0 || table.metadata_write != 0 {
        let (matched, written) = (
            alternate_hex(table.metadata_match),
            alternate_hex(table.metadata_write),
        );
        let _ = writeln!(out, "    metadata: match={matched} write={written}");
    }
    if table.max_entries != 0 {
        let _ = writeln!(out, "    max_entries={}", table.max_entries);
    }
    let both = previous.map(|p| (&p.nonmiss, &p.miss, p.table));
    let same = both.is_some_and(|(nonmiss, miss, before)| {
        table.nonmiss.same(table.table, nonmiss, before)
            && table.miss.same(table.table, miss, before)
    });
    if same {
        if !table.nonmiss.is_empty() {
            out.push_str("    (same instructions)\n");
        }
    } else if !table.nonmiss.same(table.table, &table.miss, table.table) {
        out.push_str("    instructions (other than table miss):\n");
        print_instructions(out, &table.nonmiss, previous.map(|p| &p.nonmiss));
        out.push_str("    instructions (table miss):\n");
        print_instructions(out, &table.miss, previous.map(|p| &p.miss));
    } else if !table.nonmiss.is_empty() {
        out.push_str("    instructions (table miss and others):\n");
        print_instructions(out, &table.nonmiss, previous.map(|p| &p.nonmiss));
    }
    if table.fields.is_empty() {
        return;
    }
    if previous.is_some_and(|p| p.matchable() == table.matchable()) {
        out.push_str("    (same matching)\n");
        return;
    }
    out.push_str("    matching:\n");
    for (title, wanted) in [
        ("arbitrary mask", (true, true)),
        ("exact match or wildcard", (false, true)),
        ("must exact match", (false, false)),
    ] {
        let names: Vec<_> = table
            .fields
            .iter()
            .filter(|(_, how)| **how == wanted)
            .map(|((_, name), _)| *name)
            .collect();
        if !names.is_empty() {
            let _ = write!(out, "      {title}: ");
            print_names(out, &names, 0);
            out.push('\n');
        }
    }
}

fn print_instructions(out: &mut String, part: &Instructions, previous: Option<&Instructions>) {
    if !part.next.is_empty() {
        out.push_str("      next tables: ");
        let mut runs: Vec<(u8, u8)> = Vec::new();
        for table in &part.next {
            match runs.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(*table) => *last = *table,
                _ => runs.push((*table, *table)),
            }
        }
        let runs: Vec<_> = runs
            .iter()
            .map(|(a, b)| {
                if a == b {
                    a.to_string()
                } else {
                    format!("{a}-{b}")
                }
            })
            .collect();
        out.push_str(&runs.join(","));
        out.push('\n');
    }
    if part.instructions != 0 {
        if previous.is_some_and(|p| p.instructions == part.instructions) {
            out.push_str("      (same instructions)\n");
        } else {
            let known = INSTRUCTIONS
                .iter()
                .filter(|(number, _)| part.instructions & (1 << number) != 0);
            let names: Vec<_> = known.map(|(_, name)| *name).collect();
            let _ = writeln!(out, "      instructions: {}", names.join(" "));
        }
    }
    let same_as_before =
        previous.is_some_and(|p| part.write.same(&p.write) && part.apply.same(&p.apply));
    if same_as_before && !part.write.set_fields.is_empty() {
        out.push_str("      (same actions)\n");
    } else if !part.write.same(&part.apply) {
        out.push_str("      Write-Actions features:\n");
        print_actions(out, &part.write);
        out.push_str("      Apply-Actions features:\n");
        print_actions(out, &part.apply);
    } else if !part.write.is_empty() {
        out.push_str("      Write-Actions and Apply-Actions features:\n");
        print_actions(out, &part.write);
    }
}

fn print_actions(out: &mut String, actions: &Actions) {
    if actions.known() != 0 {
        let _ = writeln!(out, "        actions: {}", action_names(actions.actions));
    }
    if !actions.set_fields.is_empty() {
        out.push_str("        supported on Set-Field: ");
        let names: Vec<_> = actions.set_fields.keys().map(|(_, name)| *name).collect();
        print_names(out, &names, 0);
        out.push('\n');
    }
}

/// Prints names with what they share in front of braces (`tun_{id,src}`) and numbers as ranges (`reg0...reg15`).
fn print_names(out: &mut String, mut names: &[&str], prefix: usize) {
    let tail = |name: &str, from: usize| name.get(from..).unwrap_or_default().to_owned();
    let mut first = true;
    while let [name, ..] = names {
        if !std::mem::take(&mut first) {
            out.push(if prefix > 0 { ',' } else { ' ' });
        }
        let (prefix_run, extra) = prefix_run(names, prefix);
        let suffix_run = suffix_run(names);
        let run = prefix_run.max(suffix_run);
        if suffix_run >= prefix_run {
            out.push_str(&tail(name, prefix));
            if let Some(last) = names.get(run.wrapping_sub(1)).filter(|_| run > 1) {
                let _ = write!(out, "...{}", tail(last, prefix));
            }
        } else {
            let _ = write!(
                out,
                "{}{{",
                name.get(prefix..prefix + extra).unwrap_or_default()
            );
            print_names(out, names.get(..run).unwrap_or_default(), prefix + extra);
            out.push('}');
        }
        names = names.get(run..).unwrap_or_default();
    }
}

/// How many names from the first share a prefix that ends in `_`, and how long it is beyond `prefix`.
fn prefix_run(names: &[&str], prefix: usize) -> (usize, usize) {
    let [first, rest @ ..] = names else {
        return (0, 0);
    };
    let Some(second) = rest.first() else {
        return (1, 0);
    };
    let extra = common_prefix(first, second, prefix);
    if extra == 0 {
        return (1, 0);
    }
    let run = 1 + rest
        .iter()
        .take_while(|name| common_prefix(first, name, prefix) > 0)
        .count();
    (run, extra)
}

fn common_prefix(a: &str, b: &str, from: usize) -> usize {
    let same = a
        .bytes()
        .zip(b.bytes())
        .skip(from)
        .take_while(|(a, b)| a == b);
    same.enumerate()
        .filter(|(_, (a, _))| *a == b'_')
        .map(|(i, _)| i + 1)
        .last()
        .unwrap_or(0)
}

/// How many names from the first are numbered one after the other. Two are not worth a range.
fn suffix_run(names: &[&str]) -> usize {
    let sequential = |a: &str, b: &str| {
        let shared = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
        let number = |name: &str| name.get(shared..)?.parse::<u32>().ok();
        number(a)
            .zip(number(b))
            .is_some_and(|(a, b)| a.checked_add(1) == Some(b))
    };
    let run = 1 + names
        .windows(2)
        .take_while(|pair| matches!(pair, [a, b] if sequential(a, b)))
        .count();
    if run == 2 { 1 } else { run }
}
