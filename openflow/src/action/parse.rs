//! Reading the text of actions and instructions, in the syntax of ovs-actions(7).
//!
//! The result is what `ovs-ofctl -O OpenFlow13` sends, which is not always what was spelt: see
//! [`canonical`](super::canonical). What it refuses because the match does not allow it is refused
//! here too.

mod complex;
mod fields;
mod instruction;
mod learn;
mod output;
mod simple;
mod word;

use super::{Action, ct::Zone};
use crate::error::{ParseError, parse_error};
use crate::field::{Field, Prerequisite, Subfield};
use crate::instruction::Instruction;
use crate::match_::Facts;
use crate::text::scan::{self, KeyValues};
use crate::types::TableId;

type Result<T> = std::result::Result<T, ParseError>;

/// How deep actions may nest in text.
const MAX_DEPTH: u8 = 100;

/// Reads a list of actions without knowing the match of their flow, as in a group's bucket.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_actions(s: &str) -> Result<Vec<Action>> {
    Parser {
        facts: None,
        table: None,
        lenient: true,
        depth: 0,
    }
    .actions(s, Outer::Actions)
}

/// Reads what follows `actions=` in a flow that `facts` describe, in `table` if it is known.
pub(crate) fn parse_instructions(
    s: &str,
    facts: Facts,
    table: Option<TableId>,
) -> Result<Vec<Instruction>> {
    Parser {
        facts: Some(facts),
        table,
        lenient: false,
        depth: 0,
    }
    .instructions(s)
}

/// What actions stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outer {
    Flow,
    Actions,
    WriteActions,
    Ct,
    Clone,
}

/// Reads actions one after the other, and keeps track of what they make of the packet.
#[derive(Clone)]
pub(crate) struct Parser {
    /// The packet as the actions so far left it; `None` when nothing is known and all is allowed.
    facts: Option<Facts>,
    table: Option<TableId>,
    /// Whether what only the standard asks for goes unasked, as within action sets.
    lenient: bool,
    depth: u8,
}

/// What one word turned out to be.
pub(super) enum Item {
    Actions(Vec<Action>),
    Instruction(Instruction),
    Drop,
}

impl From<Action> for Item {
    fn from(a: Action) -> Self {
        Item::Actions(vec![a])
    }
}

impl From<Vec<Action>> for Item {
    fn from(actions: Vec<Action>) -> Self {
        Item::Actions(actions)
    }
}

impl Parser {
    fn instructions(mut self, s: &str) -> Result<Vec<Instruction>> {
        let mut out: Vec<Instruction> = Vec::new();
        let (mut any, mut drop) = (false, false);
        for (key, value) in KeyValues(s) {
            let i = match self.item(key, value, Outer::Flow)? {
                Item::Drop => {
                    drop = true;
                    continue;
                }
                Item::Actions(actions) => Instruction::ApplyActions(actions),
                Item::Instruction(i) => i,
            };
            any = true;
            match (out.last_mut(), i) {
                (Some(Instruction::ApplyActions(list)), Instruction::ApplyActions(more)) => {
                    list.extend(more)
                }
                (_, i) => out.push(i),
            }
        }
        refuse_drop(drop, any)?;
        let applied = out.iter().find_map(|i| match i {
            Instruction::ApplyActions(list) => Some(list.as_slice()),
            _ => None,
        });
        check_conjunctions(applied.unwrap_or_default(), out.len())?;
        for pair in out.windows(2) {
            if let [a, b] = pair
                && a.rank() >= b.rank()
            {
                return Err(parse_error!(
                    "invalid instruction ordering: {b} must appear before {a}, for OpenFlow 1.1+ compatibility"
                ));
            }
        }
        // What says nothing has its place in the order, but Open vSwitch does not send it.
        out.retain(|i| {
            !matches!(i, Instruction::WriteActions(l) | Instruction::ApplyActions(l) if l.is_empty())
        });
        Ok(out)
    }

    fn actions(&mut self, s: &str, outer: Outer) -> Result<Vec<Action>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ParseError::new("Action nested too deeply"));
        }
        let mut out = Vec::new();
        let mut drop = false;
        for (key, value) in KeyValues(s) {
            match self.item(key, value, outer)? {
                Item::Drop => drop = true,
                Item::Actions(actions) => out.extend(actions),
                Item::Instruction(_) => {
                    return Err(parse_error!("{key} instruction not allowed here"));
                }
            }
        }
        self.depth -= 1;
        refuse_drop(drop, !out.is_empty())?;
        check_conjunctions(&out, 1)?;
        Ok(out)
    }

    /// Reads one action or instruction, and checks that it may stand where it does.
    fn item(&mut self, key: &str, value: &str, outer: Outer) -> Result<Item> {
        let item = self.word(key, value)?;
        let Item::Actions(actions) = &item else {
            return Ok(item);
        };
        for a in actions {
            let dst = match a {
                Action::SetField { field, .. } | Action::Load2 { field, .. } => Some(*field),
                Action::Load { dst, .. } | Action::Move { dst, .. } => Some(dst.field),
                _ => None,
            };
            let of_ct = matches!(dst, Some(Field::CT_MARK | Field::CT_LABEL));
            match outer {
                Outer::Ct if matches!(a, Action::Nat(_)) => {}
                Outer::Ct if dst.is_none() => {
                    return Err(parse_error!(
                        "ct action doesn't support nested action {key}"
                    ));
                }
                Outer::Ct if !of_ct => {
                    return Err(parse_error!(
                        "ct action doesn't support nested modification of {}",
                        dst.map_or("", Field::name)
                    ));
                }
                Outer::Ct => {}
                _ if of_ct => {
                    return Err(ParseError::new("cannot set CT fields outside of ct action"));
                }
                _ if matches!(a, Action::Nat(_)) => {
                    return Err(ParseError::new(
                        "Cannot have NAT action outside of \"ct\" action",
                    ));
                }
                _ => {}
            }
        }
        Ok(item)
    }

    /// Refuses an action that OpenFlow 1.3 allows only on some packets.
    fn allow(&self, key: &str, fits: impl Fn(&Facts) -> bool) -> Result<()> {
        match &self.facts {
            Some(facts) if !self.lenient && !fits(facts) => Err(unusable(key)),
            _ => Ok(()),
        }
    }

    /// As [`allow`](Self::allow), for packets with `p`.
    fn needs(&self, p: Prerequisite, key: &str) -> Result<()> {
        self.allow(key, |f| f.has(p))
    }

    /// Refuses a field that the packet does not have.
    fn has_field(&self, field: Field) -> Result<()> {
        if self
            .facts
            .as_ref()
            .is_none_or(|f| f.has(field.prerequisite()))
        {
            Ok(())
        } else {
            Err(inconsistent("OFPBAC_MATCH_INCONSISTENT"))
        }
    }

    fn source(&self, s: Subfield) -> Result<Subfield> {
        self.has_field(s.field)?;
        Ok(s)
    }

    fn destination(&self, s: Subfield) -> Result<Subfield> {
        self.has_field(s.field)?;
        if self.facts.is_some() && !s.field.is_writable() {
            return Err(inconsistent("OFPBAC_BAD_SET_ARGUMENT"));
        }
        Ok(s)
    }

    fn zone(&self, arg: &str) -> Result<Zone> {
        match scan::u16(arg, "zone") {
            Ok(zone) => Ok(Zone::Imm(zone)),
            Err(_) => Ok(Zone::Field(self.source(scan::subfield(arg)?)?)),
        }
    }
}

#[cold]
fn unusable(key: &str) -> ParseError {
    parse_error!(
        "{key}: none of the usable flow formats (OpenFlow10,NXM) is among the allowed flow formats (OXM-OpenFlow13)"
    )
}

#[cold]
fn inconsistent(error: &str) -> ParseError {
    parse_error!("actions are invalid with specified match ({error})")
}

fn refuse_drop(drop: bool, others: bool) -> Result<()> {
    if drop && others {
        return Err(ParseError::new(
            "\"drop\" must not be accompanied by any other action or instruction",
        ));
    }
    Ok(())
}

/// `conjunction` stands with others of its kind and with `note` only.
fn check_conjunctions(actions: &[Action], instructions: usize) -> Result<()> {
    let with = |a: &Action| matches!(a, Action::Conjunction { .. } | Action::Note(_));
    let any = actions
        .iter()
        .any(|a| matches!(a, Action::Conjunction { .. }));
    if any && (instructions > 1 || !actions.iter().all(with)) {
        return Err(ParseError::new(
            "\"conjunction\" actions may be used along with \"note\" but not any other kind of action",
        ));
    }
    Ok(())
}
