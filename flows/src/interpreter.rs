//! Runs a packet through flows, as the switch would: the oracle of the tests, and the base of "why".
//!
//! It interprets flows as compiled or as read back from a switch. What it does not (another program's flows may
//! hold anything) ends the run and is named. Slow and obvious on purpose.
//!
//! It has the switch's own structure. `translate` follows the flows and says what the datapath is to do;
//! `datapath` does that to the packet, and calls back when the packet goes around. So what conntrack does to a
//! packet shows to flows after a recirculation only, as in the switch. What outlives a packet, connections and
//! learned flows, is in the [`World`].

pub mod conntrack;
mod datapath;
mod hash;
mod learned;
mod lookup;
mod multipath;
mod packet;
mod translate;

use std::fmt;

use openflow::{Field, Match, PortNo, TableId, Value};

use crate::pipeline::Table;
use crate::reason::DropReason;

pub use conntrack::{Conntrack, Tuple};
pub use learned::{Learned, LearnedFlow};
pub use lookup::{Fragments, Tables};
pub use packet::{Packet, field_text, tcp};

use conntrack::Tracking;
use datapath::{Frame, Ways};
use translate::Fail;

/// What outlives a packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    /// The connections.
    pub conntrack: Conntrack,
    /// The flows that were learned.
    pub learned: Learned,
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
    /// A controller has it, and nobody else.
    #[error("it went to a controller only")]
    Controller,
    /// The tables call each other without end; the switch gives up, and drops the packet.
    #[error("the tables call each other without end")]
    TooDeep,
    /// The datapath gives up a packet that recirculates again and again.
    #[error("it recirculated too often")]
    AroundTooOften,
}

/// A packet as it left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The port it left by.
    pub port: PortNo,
    /// What it was then.
    pub packet: Packet,
    /// How often it had been around.
    pub recirculations: u32,
}

/// A packet as a controller got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PacketIn {
    /// The id of the controller.
    pub controller: u16,
    /// Why it was sent.
    pub reason: u8,
    /// What the action wanted back.
    pub userdata: Vec<u8>,
    /// The table that sent it.
    pub table: TableId,
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
    /// The fields and registers that it changed itself, and what they are after it.
    pub changed: Vec<(Field, Value)>,
    /// How often the packet had been around.
    pub recirculations: u32,
    /// How many flows called this one and go on after it: by `resubmit`, in a `clone`, in a group.
    pub nesting: u8,
}

/// A verdict and how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What became of the packet.
    pub verdict: Verdict,
    /// The tables it went through, in order.
    pub trace: Vec<Step>,
    /// The packet and its registers at the end, as the pipeline saw them.
    pub packet: Packet,
    /// What controllers got of it.
    pub packet_ins: Vec<PacketIn>,
}

/// What a run has found so far.
#[derive(Debug)]
struct Report {
    trace: Vec<Step>,
    deliveries: Vec<Delivery>,
    packet_ins: Vec<PacketIn>,
    dropped: Option<DropReason>,
    /// Why it does not arrive, if that is known.
    loss: Option<Loss>,
    /// Where it came to its end.
    end: Loss,
    packet: Packet,
}

impl Tables<'_> {
    /// Runs a packet through, from table 0, in a world where nothing has happened yet.
    pub fn run(&self, packet: Packet) -> Outcome {
        self.run_in(&mut World::default(), packet)
    }

    /// Runs a packet through, from table 0, in a world that remembers it.
    pub fn run_in(&self, world: &mut World, packet: Packet) -> Outcome {
        self.run_between(self, world, packet)
    }

    /// The same while the switch takes a change in: by these tables until the packet first goes around, and by `next`
    /// from there on.
    pub fn run_between(&self, next: &Self, world: &mut World, packet: Packet) -> Outcome {
        let ways = Ways { first: self, next };
        let mut report = Report {
            trace: Vec::new(),
            deliveries: Vec::new(),
            packet_ins: Vec::new(),
            dropped: None,
            loss: None,
            end: Loss::NoMatch(TableId(0)),
            packet: Packet::default(),
        };
        let frame = Frame {
            tracking: Tracking::of(&packet),
            packet,
            recirculations: 0,
        };
        let unsupported = match datapath::run(ways, world, &mut report, frame, None) {
            Err(Fail::Unsupported(what)) => Some(what),
            Err(Fail::Error(_)) | Ok(()) => None,
        };
        report.into_outcome(unsupported)
    }
}

impl Report {
    fn into_outcome(self, unsupported: Option<String>) -> Outcome {
        let verdict = if let Some(what) = unsupported {
            Verdict::Unsupported(what)
        } else if !self.deliveries.is_empty() {
            Verdict::Output(self.deliveries)
        } else if let Some(reason) = self.dropped {
            Verdict::Dropped(reason)
        } else if let Some(loss) = self.loss {
            Verdict::Lost(loss)
        } else if !self.packet_ins.is_empty() {
            Verdict::Lost(Loss::Controller)
        } else {
            Verdict::Lost(self.end)
        };
        Outcome {
            verdict,
            trace: self.trace,
            packet: self.packet,
            packet_ins: self.packet_ins,
        }
    }
}

/// In the manner of `ofproto/trace`: a line per table, then what it changed, then the verdict.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut recirculations = 0;
        for step in &self.trace {
            if step.recirculations != recirculations {
                recirculations = step.recirculations;
                writeln!(f, "-- recirculation {recirculations}")?;
            }
            let indent = usize::from(step.nesting) * 4;
            write!(f, "{:indent$}", "")?;
            let name = Table::from_id(step.table).map_or("", Table::name);
            write!(f, "{:>2}. {name}: ", step.table.0)?;
            if !step.match_.is_empty() {
                write!(f, "{}, ", step.match_)?;
            }
            write!(f, "priority {}, cookie {:#x}", step.priority, step.cookie)?;
            writeln!(f, "{}", if step.ambiguous { " (ambiguous)" } else { "" })?;
            for (field, value) in &step.changed {
                let text = packet::field_text(*field, value);
                writeln!(f, "{:indent$}      {text}", "")?;
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
