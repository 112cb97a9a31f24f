//! Runs a packet through flows, as the switch would: the oracle of the tests, and the base of "why".
//!
//! It interprets what the pipeline uses, on flows as compiled or as read back from a switch. What else it meets
//! (another program's flows may hold anything) ends the run and is named. Slow and obvious on purpose.

mod packet;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use openflow::{Action, Field, FlowStats, Instruction, Match, PortNo, TableId, Value};

use crate::flow::Program;
use crate::pipeline::{REASON, Table};
use crate::reason::DropReason;

pub use packet::Packet;

/// Flows to run packets through, wherever they come from.
#[derive(Debug, Default)]
pub struct Tables<'a> {
    tables: BTreeMap<TableId, Vec<Entry<'a>>>,
}

#[derive(Debug)]
struct Entry<'a> {
    priority: u16,
    match_: &'a Match,
    cookie: u64,
    instructions: &'a [Instruction],
}

impl<'a> From<&'a Program> for Tables<'a> {
    fn from(program: &'a Program) -> Self {
        Self::new(program.flows().map(|(key, cookie, instructions)| {
            let entry = Entry {
                priority: key.priority,
                match_: &key.match_,
                cookie: cookie.to_u64(),
                instructions,
            };
            (key.table, entry)
        }))
    }
}

impl<'a> From<&'a [FlowStats]> for Tables<'a> {
    fn from(flows: &'a [FlowStats]) -> Self {
        Self::new(flows.iter().map(|flow| {
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
        }))
    }
}

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It left, once or more often.
    Output(Vec<Delivery>),
    /// It was dropped, and the reason counted.
    Dropped(DropReason),
    /// It went nowhere, and nothing counted it.
    Lost(Loss),
    /// It met something that is not interpreted.
    Unsupported(String),
}

/// Why a packet went nowhere without a drop reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// A switch that fails secure drops what no flow matches.
    #[error("no flow of table {0} matches")]
    NoMatch(TableId),
    /// The last flow neither outputs nor goes on.
    #[error("the flow in table {0} sends it nowhere")]
    Nowhere(TableId),
    /// The switch sends nothing out of the port it came from, unless told so explicitly.
    #[error("its way out is the port that it came from")]
    BackOut,
    /// The switch does not forward what has no hops left.
    #[error("it has used up its hops")]
    Expired,
}

/// A packet as it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The port it left by.
    pub port: PortNo,
    /// What it was then.
    pub packet: Packet,
}

/// One table that the packet went through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The table.
    pub table: TableId,
    /// The priority of the flow that matched.
    pub priority: u16,
    /// Its match.
    pub match_: Match,
    /// Its cookie.
    pub cookie: u64,
    /// Another flow of that priority matches too, so which one wins is arbitrary.
    pub ambiguous: bool,
    /// The fields and registers that it changed, and what they are after it.
    pub changed: Vec<(Field, Value)>,
}

/// A verdict and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What became of the packet.
    pub verdict: Verdict,
    /// The tables it went through, in order.
    pub trace: Vec<Step>,
    /// The packet and its registers at the end.
    pub packet: Packet,
}

impl<'a> Tables<'a> {
    fn new(entries: impl Iterator<Item = (TableId, Entry<'a>)>) -> Self {
        let mut tables: BTreeMap<TableId, Vec<Entry<'a>>> = BTreeMap::new();
        for (table, entry) in entries {
            tables.entry(table).or_default().push(entry);
        }
        for entries in tables.values_mut() {
            entries.sort_by_key(|e| Reverse(e.priority));
        }
        Self { tables }
    }

    fn lookup(&self, table: TableId, packet: &Packet) -> Option<(&Entry<'a>, bool)> {
        let entries = self.tables.get(&table)?;
        let mut matching = entries.iter().filter(|e| packet.matches(e.match_));
        let first = matching.next()?;
        let ambiguous = matching
            .next()
            .is_some_and(|next| next.priority == first.priority);
        Some((first, ambiguous))
    }

    /// Runs a packet through, from table 0.
    pub fn run(&self, packet: Packet) -> Outcome {
        let mut run = Run {
            packet,
            deliveries: Vec::new(),
            loss: None,
        };
        let mut trace = Vec::new();
        let mut table = TableId(0);
        let verdict = loop {
            let Some((entry, ambiguous)) = self.lookup(table, &run.packet) else {
                break run.end(Loss::NoMatch(table));
            };
            let before = run.packet.clone();
            let next = run.execute(entry.instructions);
            trace.push(Step {
                table,
                priority: entry.priority,
                match_: entry.match_.clone(),
                cookie: entry.cookie,
                ambiguous,
                changed: run.packet.changes_since(&before),
            });
            match next {
                Ok(Some(next)) if next > table => table = next,
                Ok(Some(_)) => break Verdict::Unsupported("goto_table backwards".to_owned()),
                Ok(None) if table == Table::Drop.id() => break run.dropped(),
                Ok(None) => break run.end(Loss::Nowhere(table)),
                Err(Stop::Unsupported(what)) => break Verdict::Unsupported(what),
                Err(Stop::Expired) => break run.end(Loss::Expired),
            }
        };
        let packet = run.packet;
        Outcome {
            verdict,
            trace,
            packet,
        }
    }
}

/// Why a run ends in the middle of a flow.
enum Stop {
    Unsupported(String),
    Expired,
}

/// A packet under way.
struct Run {
    packet: Packet,
    deliveries: Vec<Delivery>,
    loss: Option<Loss>,
}

impl Run {
    fn end(&mut self, otherwise: Loss) -> Verdict {
        if self.deliveries.is_empty() {
            Verdict::Lost(self.loss.unwrap_or(otherwise))
        } else {
            Verdict::Output(std::mem::take(&mut self.deliveries))
        }
    }

    fn dropped(&mut self) -> Verdict {
        match DropReason::from_code(self.packet.get(REASON).to_u64()) {
            Some(reason) if self.deliveries.is_empty() => Verdict::Dropped(reason),
            _ => self.end(Loss::Nowhere(Table::Drop.id())),
        }
    }

    /// Returns the table to go on in.
    fn execute(&mut self, instructions: &[Instruction]) -> Result<Option<TableId>, Stop> {
        let mut next = None;
        for instruction in instructions {
            match instruction {
                Instruction::ApplyActions(actions) => {
                    actions.iter().try_for_each(|a| self.act(a))?
                }
                Instruction::GotoTable(table) => next = Some(*table),
                other => return Err(Stop::Unsupported(format!("{other:?}"))),
            }
        }
        Ok(next)
    }

    fn act(&mut self, action: &Action) -> Result<(), Stop> {
        match action {
            Action::Output { port, .. } => self.output(*port)?,
            Action::OutputReg { src, .. } => {
                let port = self.packet.bits(*src);
                self.output(PortNo(u32::try_from(port).unwrap_or(PortNo::ANY.0)))?;
            }
            Action::SetField { field, value, mask } => match mask {
                Some(mask) => self.packet.set_masked(*field, value, mask),
                None => self.packet.set(*field, value.clone()),
            },
            Action::Move { src, dst } => self.packet.set_bits(*dst, self.packet.bits(*src)),
            Action::Load { dst, value } => self.packet.set_bits(*dst, u128::from(*value)),
            Action::DecTtl => {
                let ttl = self.packet.get(Field::NW_TTL).to_u8();
                if ttl <= 1 {
                    return Err(Stop::Expired);
                }
                self.packet.set(Field::NW_TTL, ttl - 1);
            }
            other => return Err(Stop::Unsupported(other.to_string())),
        }
        Ok(())
    }

    fn output(&mut self, port: PortNo) -> Result<(), Stop> {
        let came_from = PortNo(self.packet.get(Field::IN_PORT).to_u32());
        let port = match port {
            PortNo::IN_PORT => came_from,
            port if port == came_from => {
                self.loss = Some(Loss::BackOut);
                return Ok(());
            }
            PortNo::LOCAL => port,
            port if port.0 >= PortNo::MAX.0 => {
                return Err(Stop::Unsupported(format!("output to {port}")));
            }
            port => port,
        };
        let packet = self.packet.clone();
        self.deliveries.push(Delivery { port, packet });
        Ok(())
    }
}

/// In the manner of `ofproto/trace`: a line per table, then what it changed, then the verdict.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.trace {
            let name = Table::from_id(step.table).map_or("", Table::name);
            write!(f, "{:>2}. {name}: ", step.table.0)?;
            if !step.match_.is_empty() {
                write!(f, "{}, ", step.match_)?;
            }
            write!(f, "priority {}, cookie {:#x}", step.priority, step.cookie)?;
            writeln!(f, "{}", if step.ambiguous { " (ambiguous)" } else { "" })?;
            for (field, value) in &step.changed {
                writeln!(f, "      {}", packet::field_text(*field, value))?;
            }
        }
        match &self.verdict {
            Verdict::Output(deliveries) => {
                for delivery in deliveries {
                    writeln!(f, "output to port {}", delivery.port)?;
                }
                Ok(())
            }
            Verdict::Dropped(reason) => writeln!(f, "dropped: {reason}"),
            Verdict::Lost(loss) => writeln!(f, "lost: {loss}"),
            Verdict::Unsupported(what) => writeln!(f, "cannot follow: {what}"),
        }
    }
}
