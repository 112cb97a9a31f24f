//! Epochs: how what a switch has cached before a change of policy is told from what it caches afterwards.
//!
//! Before 2.17.8, 3.0.5 and 3.1.3 the userspace datapath of Open vSwitch, told to change what it does with one of two
//! cached flows that overlap, may change the other, and what it left as it was goes on for as long as it is used. To
//! delete one it does right, and it deletes those that look at less of a packet than the flows of now do. So there, each
//! bundle that changes policy also changes which bits of `pkt_mark` are looked at: of the sixteen that belong to a part
//! of the pipeline another eight, so that no set of them is within another one. What is cached of before looks at others,
//! and goes; nothing of it is ever changed in place. Packets of the userspace datapath have no marks, so that there are
//! no more cached flows than without, and no packet meets the flows that look.
//!
//! Must not know which release needs it, nor what policies say.

use openflow::{Field, FlowStats, Match, TableId};

use crate::cookie::{Cookie, Kind};
use crate::flow::{Flow, FlowKey};
use crate::fragment::{Fragment, any, drop_for};
use crate::patch::Step;
use crate::pipeline::{MARKS, Source, Table};
use crate::reason::DropReason;

/// Above everything else in its table: who comes by looks.
const LOOKS: u16 = 60_000;
/// How many bits are a part's.
const BITS: u32 = 16;
/// The first set of eight of them.
const FIRST: u16 = 0x00ff;

/// What is decided apart, since the datapath caches it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Whether a packet must be judged.
    Policed,
    /// The judgement.
    Judged,
}

impl Part {
    const ALL: [Self; 2] = [Self::Policed, Self::Judged];

    /// The tables that it is decided in. All packets that it concerns come by the first.
    const fn tables(self) -> &'static [Table] {
        match self {
            Self::Policed => &[Table::EgressPoliced, Table::IngressPoliced],
            Self::Judged => &[
                Table::EgressSubject,
                Table::EgressClass,
                Table::EgressPolicy,
                Table::IngressSubject,
                Table::IngressClass,
                Table::IngressPolicy,
            ],
        }
    }

    const fn looks_in(self) -> Table {
        match self {
            Self::Policed => Table::EgressPoliced,
            Self::Judged => Table::EgressSubject,
        }
    }

    fn has(self, table: TableId) -> bool {
        self.tables().iter().any(|of| of.id() == table)
    }

    /// The lowest of its bits.
    const fn shift(self) -> u32 {
        match self {
            Self::Policed => 0,
            Self::Judged => BITS,
        }
    }

    /// The flow that looks at these of its bits, for packets that have all of them and come from nowhere.
    fn look(self, bits: u16) -> Option<Flow> {
        let bits = u32::from(bits) << self.shift();
        let match_ = any()
            .masked(MARKS, 0u32, Source::MASK)
            .masked(Field::PKT_MARK, bits, bits);
        let mut f = Fragment::new(Cookie::epoch(self.looks_in()));
        f.flow(
            self.looks_in(),
            LOOKS,
            match_,
            drop_for(DropReason::UnknownPort),
        );
        f.flows.pop()
    }

    /// The bits that such a flow looks at.
    fn bits(self, match_: &Match) -> Option<u16> {
        let (_, mask) = match_.get(Field::PKT_MARK)?;
        let bits = u16::try_from(mask.to_u32() >> self.shift() & u32::from(u16::MAX)).ok()?;
        (bits.count_ones() == FIRST.count_ones()).then_some(bits)
    }
}

/// The next set with as many bits, after the last the first: 12,870 of them.
fn next(bits: u16) -> u16 {
    let bits = u32::from(bits);
    let lowest = bits & bits.wrapping_neg();
    let carried = bits + lowest;
    let rest = ((bits ^ carried) >> 2).checked_div(lowest);
    u16::try_from(carried | rest.unwrap_or_default()).unwrap_or(FIRST)
}

/// What looks in a switch, as it was last read.
#[derive(Debug, Clone, Default)]
pub struct Epochs {
    parts: [Looks; 2],
}

#[derive(Debug, Clone, Default)]
struct Looks {
    /// The bits looked at last.
    bits: Option<u16>,
    /// The flows that do; one, if nobody else has been at it.
    there: Vec<FlowKey>,
}

impl Epochs {
    /// Takes note of what a switch was read to hold. Where nothing looks any more, what was looked at last is kept in mind.
    pub fn read(&mut self, flows: &[FlowStats]) {
        for (part, looks) in Part::ALL.into_iter().zip(&mut self.parts) {
            looks.there.clear();
            for flow in flows.iter().filter(|flow| part.has(flow.table)) {
                let kind = Cookie::from_u64(flow.cookie).and_then(Cookie::kind);
                if kind == Some(Kind::Epoch) {
                    looks.bits = part.bits(&flow.match_).or(looks.bits);
                    looks.there.push(FlowKey {
                        table: flow.table,
                        priority: flow.priority,
                        match_: flow.match_.clone(),
                    });
                }
            }
        }
    }

    /// What has to go with these steps, in the same bundle, so that nothing cached before is changed in place.
    pub fn begin(&mut self, steps: &[Step]) -> Vec<Step> {
        let mut more = Vec::new();
        for (part, looks) in Part::ALL.into_iter().zip(&mut self.parts) {
            let touched = |step: &Step| step.table().is_some_and(|table| part.has(table));
            if looks.there.len() == 1 && !steps.iter().any(touched) {
                continue;
            }
            let bits = looks.bits.map_or(FIRST, next);
            let Some(flow) = part.look(bits) else {
                continue;
            };
            more.push(Step::Epoch(flow.to_add()));
            let before = std::mem::replace(&mut looks.there, vec![flow.key.clone()]);
            let gone = before.iter().filter(|key| **key != flow.key);
            more.extend(gone.map(|key| Step::Epoch(key.to_delete())));
            looks.bits = Some(bits);
        }
        more
    }

    /// What has to go where nothing need look: where the switch has become another one.
    pub fn end(&mut self) -> Vec<Step> {
        let there = self
            .parts
            .iter_mut()
            .flat_map(|looks| looks.there.drain(..));
        there.map(|key| Step::Epoch(key.to_delete())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use openflow::{FlowMod, FlowModCommand};

    use super::*;

    fn installed(steps: &[Step], flows: &mut Vec<FlowMod>) {
        for step in steps {
            let Step::Epoch(flow) = step else {
                panic!("{step:?}")
            };
            match flow.command {
                FlowModCommand::Add => flows.push(flow.clone()),
                _ => flows.retain(|there| there.match_ != flow.match_),
            }
        }
    }

    fn read(flows: &[FlowMod]) -> Vec<FlowStats> {
        let stats = flows.iter().map(|flow| FlowStats {
            table: flow.table,
            priority: flow.priority,
            cookie: flow.cookie,
            match_: flow.match_.clone(),
            instructions: flow.instructions.clone(),
            duration_sec: 0,
            duration_nsec: 0,
            idle_timeout: 0,
            hard_timeout: 0,
            flags: flow.flags,
            packet_count: 0,
            byte_count: 0,
        });
        stats.collect()
    }

    fn change(table: Table) -> Step {
        let mut f = Fragment::new(Cookie::base(table));
        f.flow(table, 1, any(), drop_for(DropReason::UnknownPort));
        Step::FlowSet(f.flows.remove(0))
    }

    /// No set of bits that is looked at is within another one, for as long as anything can be cached.
    #[test]
    fn sets_differ_and_are_of_one_size() {
        let mut seen = HashSet::new();
        let mut bits = FIRST;
        while seen.insert(bits) {
            assert_eq!(bits.count_ones(), 8, "{bits:#x}");
            bits = next(bits);
        }
        assert_eq!((bits, seen.len()), (FIRST, 12_870));
    }

    #[test]
    fn a_change_of_policy_begins_an_epoch_of_its_part() {
        let mut epochs = Epochs::default();
        let mut switch = Vec::new();
        installed(&epochs.begin(&[]), &mut switch);
        assert_eq!(switch.len(), 2, "each part looks from the beginning");
        for (table, part) in [
            (Table::Route, None),
            (Table::IngressPoliced, Some(Table::EgressPoliced)),
            (Table::IngressClass, Some(Table::EgressSubject)),
        ] {
            let before = switch.clone();
            // The agent may be another one by then.
            let mut epochs = Epochs::default();
            epochs.read(&read(&switch));
            installed(&epochs.begin(&[change(table)]), &mut switch);
            assert_eq!(switch.len(), 2);
            let new: Vec<_> = switch
                .iter()
                .filter(|flow| !before.contains(flow))
                .collect();
            assert_eq!(
                new.iter().map(|flow| flow.table).next(),
                part.map(Table::id)
            );
            assert!(new.len() < 2, "{new:?}");
            assert!(epochs.begin(&[]).is_empty());
        }
        let mut epochs = Epochs::default();
        epochs.read(&read(&switch));
        installed(&epochs.end(), &mut switch);
        assert!(switch.is_empty() && epochs.end().is_empty());
    }

    /// Whoever removes what looks does not make two epochs equal.
    #[test]
    fn what_was_looked_at_last_is_kept_in_mind() {
        let mut epochs = Epochs::default();
        let first = format!("{:?}", epochs.begin(&[]));
        epochs.read(&[]);
        assert_ne!(format!("{:?}", epochs.begin(&[])), first);
    }
}
