//! The flows that the `learn` action added while packets ran. It knows what such a flow is made of, not when it
//! applies. There is no clock: the flows stay until they are removed.
//!
//! As in Open vSwitch, a flow shows from the next translation on: to the next packet, and to this one after it
//! recirculated, not to a `resubmit` on the way.

use openflow::action::{Learn, LearnSource, LearnTarget};
use openflow::{Action, Instruction, Match, PortNo, Subfield, TableId, Value};

use super::packet::Packet;

/// A flow that was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedFlow {
    /// The table it is in.
    pub table: TableId,
    /// The higher wins.
    pub priority: u16,
    /// What it matches.
    pub match_: Match,
    /// Who asked for it.
    pub cookie: u64,
    /// Seconds without a packet until it goes; 0 for never.
    pub idle_timeout: u16,
    /// Seconds until it goes; 0 for never.
    pub hard_timeout: u16,
    /// What it does.
    pub instructions: Vec<Instruction>,
}

/// The flows that were learned, in the order they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned {
    flows: Vec<LearnedFlow>,
}

impl Learned {
    /// Every flow.
    pub fn flows(&self) -> impl Iterator<Item = &LearnedFlow> {
        self.flows.iter()
    }

    /// Forgets the flows that are not to be kept, as a timeout or a deletion does.
    pub fn retain(&mut self, keep: impl FnMut(&LearnedFlow) -> bool) {
        self.flows.retain(keep);
    }

    /// Adds a flow, in the place of one with the same table, priority and match.
    pub fn add(&mut self, flow: LearnedFlow) {
        match self.flows.iter_mut().find(|f| f.has_key_of(&flow)) {
            Some(known) => *known = flow,
            None => self.flows.push(flow),
        }
    }

    /// Whether there is one with this table, priority and match.
    pub(super) fn contains(&self, table: TableId, priority: u16, match_: &Match) -> bool {
        self.flows
            .iter()
            .any(|f| (f.table, f.priority, &f.match_) == (table, priority, match_))
    }
}

impl LearnedFlow {
    fn has_key_of(&self, other: &Self) -> bool {
        (self.table, self.priority, &self.match_) == (other.table, other.priority, &other.match_)
    }

    /// What a packet teaches.
    pub(super) fn from(learn: &Learn, packet: &Packet) -> Self {
        let mut match_ = Match::new();
        let mut actions = Vec::new();
        if learn.fin_idle_timeout != 0 || learn.fin_hard_timeout != 0 {
            actions.push(Action::FinTimeout {
                idle: learn.fin_idle_timeout,
                hard: learn.fin_hard_timeout,
            });
        }
        for spec in &learn.specs {
            let bits = match &spec.src {
                LearnSource::Field(source) => packet.bits(*source),
                LearnSource::Value(value) => value.bits(0, spec.n_bits.into()),
            };
            match &spec.dst {
                LearnTarget::Match(target) => require(&mut match_, *target, bits),
                LearnTarget::Load(target) => actions.push(load(*target, bits)),
                LearnTarget::Output => actions.extend(output(bits)),
            }
        }
        Self {
            table: learn.table,
            priority: learn.priority,
            match_,
            cookie: learn.cookie,
            idle_timeout: learn.idle_timeout,
            hard_timeout: learn.hard_timeout,
            instructions: vec![Instruction::ApplyActions(actions)],
        }
    }
}

fn bits_of(target: Subfield, bits: u128) -> Value {
    let zeros = Value::zeros(target.field.bytes());
    zeros.with_bits(target.start_bit.into(), target.n_bits.into(), bits)
}

/// Also requires some bits of a field.
fn require(match_: &mut Match, target: Subfield, bits: u128) {
    let (mut value, mut mask) = (bits_of(target, bits), bits_of(target, u128::MAX));
    if let Some((known, known_mask)) = match_.get(target.field) {
        let others = known.with_bits(target.start_bit.into(), target.n_bits.into(), 0);
        value = value.or(&others);
        mask = mask.or(&known_mask);
    }
    match_.set(target.field, value, mask);
}

fn load(target: Subfield, bits: u128) -> Action {
    let mask = bits_of(target, u128::MAX);
    Action::SetField {
        field: target.field,
        value: bits_of(target, bits),
        mask: (target != Subfield::all(target.field)).then_some(mask),
    }
}

/// Ports of 16 bits only, and of those that stand for others only the few that Open vSwitch takes.
fn output(bits: u128) -> Option<Action> {
    let port = PortNo::from_u16(u16::try_from(bits).ok()?);
    let special = [PortNo::IN_PORT, PortNo::FLOOD, PortNo::LOCAL, PortNo::ALL];
    let fine = port.0 < PortNo::MAX.0 || special.contains(&port);
    fine.then_some(Action::Output { port, max_len: 0 })
}
