//! From flows to what the datapath does, as `ofproto-dpif-xlate.c` of Open vSwitch translates them: tables, their
//! actions and what those do to the fields that the pipeline sees.
//!
//! It never sees the effect of an operation: what conntrack does to a packet shows only after a recirculation.

use openflow::action::ct::Zone;
use openflow::action::{Controller, Ct, Learn, Nat};
use openflow::{
    Action, Bucket, Field, GroupId, GroupType, Instruction, PortNo, Subfield, TableId, Value,
};

use super::conntrack::{self, Request};
use super::datapath::{Frame, Frozen, Operation, onto};
use super::learned::{Learned, LearnedFlow};
use super::lookup::{Found, Fragments, Tables};
use super::packet::{Packet, is_header};
use super::{Loss, PacketIn, Report, Step, multipath};
use crate::pipeline::{REASON, Table};
use crate::reason::DropReason;

/// How deep tables may call each other without going forward.
const DEEPEST: u32 = 64;
/// How many tables a packet may meet on one way round.
const MOST_LOOKUPS: u32 = DEEPEST * DEEPEST;
/// How many bytes the stack may hold.
const STACK_BYTES: usize = 65_536;

const REASON_INVALID_TTL: u8 = 2;

/// Why a run ends before its end.
#[derive(Debug)]
pub(super) enum Fail {
    /// Something is not interpreted.
    Unsupported(String),
    /// The switch gives the whole translation up.
    Error(Loss),
}

/// Whether a list of actions goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    /// The list ends here, its caller goes on.
    EndList,
    /// Everything ends here.
    Exit,
}

/// The bits that `exec` sets.
#[derive(Debug, Default)]
struct Exec {
    nat: Option<Nat>,
    mark: u128,
    label: u128,
}

/// A translation under way.
pub(super) struct Translation<'r, 'a> {
    tables: &'r Tables<'a>,
    learned: &'r mut Learned,
    /// What had been learned before: flows show up from the next translation on.
    visible: Learned,
    report: &'r mut Report,
    recirculations: u32,
    /// The packet as the pipeline sees it.
    flow: Packet,
    /// What of that the datapath has been told.
    base: Packet,
    /// The pipeline's packet when a step was last brought up to date.
    seen: Packet,
    stack: Vec<u128>,
    conntracked: bool,
    table: TableId,
    depth: u32,
    lookups: u32,
    /// How many callers will go on after this.
    nesting: u8,
    step: Option<usize>,
    exec: Option<Exec>,
    operations: Vec<Operation>,
}

impl<'r, 'a> Translation<'r, 'a> {
    pub(super) fn new(
        tables: &'r Tables<'a>,
        learned: &'r mut Learned,
        report: &'r mut Report,
        frame: &Frame,
        frozen: Option<Frozen>,
    ) -> Self {
        let mut flow = frame.packet.clone();
        let (mut table, mut stack) = (TableId(0), Vec::new());
        if let Some(frozen) = frozen {
            flow = onto(&flow, &frozen.metadata);
            (table, stack) = (frozen.table, frozen.stack);
        }
        frame.tracking.write(&mut flow);
        Self {
            tables,
            visible: learned.clone(),
            learned,
            report,
            recirculations: frame.recirculations,
            base: flow.clone(),
            seen: flow.clone(),
            conntracked: !flow.get(Field::CT_STATE).is_zero(),
            flow,
            stack,
            table,
            depth: 0,
            lookups: 0,
            nesting: 0,
            step: None,
            exec: None,
            operations: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<Vec<Operation>, Fail> {
        let in_port = self.in_port();
        let outcome = self.meet(self.table, in_port, false);
        self.report.packet = self.flow;
        match outcome {
            Ok(_) => Ok(self.operations),
            Err(Fail::Error(loss)) => {
                self.report.loss = Some(loss);
                Ok(Vec::new())
            }
            Err(unsupported) => Err(unsupported),
        }
    }

    fn in_port(&self) -> PortNo {
        PortNo(self.flow.get(Field::IN_PORT).to_u32())
    }

    /// Goes to a table, by `goto_table` or `resubmit`.
    fn go_to(&mut self, table: TableId, in_port: PortNo, with_ct: bool) -> Result<Flow, Fail> {
        if self.depth >= DEEPEST || self.lookups >= MOST_LOOKUPS {
            return Err(Fail::Error(Loss::TooDeep));
        }
        if self.stack.len() * size_of::<u128>() >= STACK_BYTES {
            return Err(Fail::Error(Loss::TooDeep));
        }
        let from = std::mem::replace(&mut self.table, table);
        let deeper = u32::from(table <= from);
        self.lookups += 1;
        self.depth += deeper;
        let flow = self.meet(table, in_port, with_ct)?;
        self.depth -= deeper;
        self.table = from;
        Ok(flow)
    }

    /// Finds the flow of a table and does what it says.
    fn meet(&mut self, table: TableId, in_port: PortNo, with_ct: bool) -> Result<Flow, Fail> {
        self.bring_step_up_to_date();
        let seen = self.as_looked_up(in_port, with_ct);
        let seen = match self.tables.fragments {
            Fragments::Drop if seen.fragment() != 0 => None,
            Fragments::Normal => Some(seen.without_ports()),
            Fragments::Drop | Fragments::NxMatch => Some(seen),
        };
        let found = seen.and_then(|seen| self.tables.lookup(&self.visible, table, &seen));
        let Some(Found { entry, ambiguous }) = found else {
            if self.nesting == 0 {
                self.report.end = Loss::NoMatch(table);
            }
            return Ok(Flow::On);
        };
        let instructions = entry.instructions.to_vec();
        let caller = self.step.replace(self.report.trace.len());
        self.report.trace.push(Step {
            table,
            priority: entry.priority,
            match_: entry.match_.clone(),
            cookie: entry.cookie,
            ambiguous,
            changed: Vec::new(),
            recirculations: self.recirculations,
            nesting: self.nesting,
        });
        let flow = self.follow(&instructions)?;
        self.bring_step_up_to_date();
        self.step = caller;
        // Only its own list ends early.
        Ok(if flow == Flow::Exit {
            Flow::Exit
        } else {
            Flow::On
        })
    }

    fn as_looked_up(&self, in_port: PortNo, with_ct: bool) -> Packet {
        let mut seen = self.flow.clone().with(Field::IN_PORT, in_port);
        if with_ct {
            let fields = [
                (Field::CT_NW_PROTO, Field::IP_PROTO),
                (Field::CT_NW_SRC, Field::IPV4_SRC),
                (Field::CT_NW_DST, Field::IPV4_DST),
                (Field::CT_IPV6_SRC, Field::IPV6_SRC),
                (Field::CT_IPV6_DST, Field::IPV6_DST),
            ];
            for (from, to) in fields
                .into_iter()
                .filter(|(_, to)| self.flow.has(to.prerequisite()))
            {
                seen.set(to, self.flow.get(from));
            }
            if let Some((source, destination)) = seen.port_fields() {
                seen.set(source, self.flow.get(Field::CT_TP_SRC));
                seen.set(destination, self.flow.get(Field::CT_TP_DST));
            }
        }
        seen
    }

    /// Writes down what the flow of the current step has changed since it began, or since it was called back.
    fn bring_step_up_to_date(&mut self) {
        let step = self.step.and_then(|step| self.report.trace.get_mut(step));
        if let Some(step) = step {
            for (field, value) in self.flow.changes_since(&self.seen) {
                match step.changed.iter_mut().find(|(known, _)| *known == field) {
                    Some((_, known)) => *known = value,
                    None => step.changed.push((field, value)),
                }
            }
        }
        self.seen = self.flow.clone();
    }

    fn follow(&mut self, instructions: &[Instruction]) -> Result<Flow, Fail> {
        let mut on = false;
        for instruction in instructions {
            let flow = match instruction {
                Instruction::ApplyActions(actions) => self.act_all(actions)?,
                Instruction::GotoTable(table) => {
                    on = true;
                    self.go_to(*table, self.in_port(), false)?
                }
                Instruction::Meter(_) | Instruction::ClearActions => Flow::On,
                Instruction::WriteMetadata { metadata, mask } => {
                    let (value, mask) = (Value::from(*metadata), Value::from(*mask));
                    self.flow.set_masked(Field::METADATA, &value, &mask);
                    Flow::On
                }
                other => return Err(Fail::Unsupported(format!("{other:?}"))),
            };
            if flow != Flow::On {
                self.end_of_chain();
                return Ok(flow);
            }
        }
        if !on {
            self.end_of_chain();
        }
        Ok(Flow::On)
    }

    /// A flow does not go on to another table.
    fn end_of_chain(&mut self) {
        if self.table == Table::Drop.id() {
            let reason = DropReason::from_code(self.flow.get(REASON).to_u64());
            self.report.dropped = self.report.dropped.or(reason);
        }
        if self.nesting == 0 {
            self.report.end = Loss::Nowhere(self.table);
        }
    }

    fn act_all(&mut self, actions: &[Action]) -> Result<Flow, Fail> {
        for action in actions {
            let flow = self.act(action)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn act(&mut self, action: &Action) -> Result<Flow, Fail> {
        match action {
            Action::Output { port, max_len } => self.output(*port, *max_len)?,
            Action::OutputReg { src, max_len } | Action::OutputReg2 { src, max_len } => {
                // Open vSwitch reads 16 bits, in which the special ports have numbers of their own.
                if let Ok(port) = u16::try_from(self.flow.bits(*src)) {
                    self.output(PortNo::from_u16(port), *max_len)?;
                }
            }
            Action::SetField { field, value, mask } => {
                let ones = Value::ones(field.bytes());
                self.set(*field, value, mask.as_ref().unwrap_or(&ones));
            }
            Action::Load2 { field, value, mask } => self.set(*field, value, mask),
            Action::Load { dst, value } => self.load(*dst, u128::from(*value)),
            Action::Move { src, dst } | Action::CopyField { src, dst } => self.copy(*src, *dst),
            Action::SetNwTtl(ttl) => self.set(Field::NW_TTL, &(*ttl).into(), &u8::MAX.into()),
            Action::SetTunnel(id) => self.flow.set(Field::TUN_ID, u64::from(*id)),
            Action::SetTunnel64(id) => self.flow.set(Field::TUN_ID, *id),
            Action::WriteMetadata { metadata, mask } => {
                let (value, mask) = (Value::from(*metadata), Value::from(*mask));
                self.flow.set_masked(Field::METADATA, &value, &mask);
            }
            Action::Push(src) => self.stack.push(self.flow.bits(*src)),
            Action::Pop(dst) => {
                if let Some(bits) = self.stack.pop() {
                    self.flow.set_bits(*dst, bits);
                }
            }
            Action::DecTtl => return Ok(self.take_hop(&[0])),
            Action::DecTtlCntIds(controllers) => return Ok(self.take_hop(controllers)),
            Action::Resubmit { port, table, ct } => return self.resubmit(*port, *table, *ct),
            Action::Multipath(multipath) => {
                let link = multipath::link(multipath, &self.flow);
                self.flow.set_bits(multipath.dst, link.into());
            }
            Action::Learn(learn) => self.learn(learn),
            Action::Controller(controller) if controller.pause => {
                return Err(Fail::Unsupported(action.to_string()));
            }
            Action::Controller(controller) => self.packet_in(controller),
            Action::Clone(actions) => return self.in_clone(actions),
            Action::Group(id) => return self.group(*id),
            Action::Ct(ct) => self.track(ct)?,
            Action::CtClear => self.clear_tracking(),
            Action::Nat(nat) => {
                if let Some(exec) = &mut self.exec {
                    exec.nat = Some(nat.clone());
                }
            }
            Action::Exit => return Ok(Flow::Exit),
            Action::Note(_)
            | Action::FinTimeout { .. }
            | Action::SetQueue(_)
            | Action::PopQueue
            | Action::Conjunction { .. }
            | Action::DebugSlow => {}
            other => return Err(Fail::Unsupported(other.to_string())),
        }
        Ok(Flow::On)
    }

    /// Sets bits of a field, if the packet has it.
    fn set(&mut self, field: Field, value: &Value, mask: &Value) {
        if self.flow.has(field.prerequisite()) {
            self.note_ct_bits(field, mask.to_u128());
            self.flow.set_masked(field, value, mask);
        }
    }

    fn load(&mut self, dst: Subfield, bits: u128) {
        if self.flow.has(dst.field.prerequisite()) {
            self.note_ct_subfield(dst);
            self.flow.set_bits(dst, bits);
        }
    }

    fn copy(&mut self, src: Subfield, dst: Subfield) {
        let has = |sub: Subfield| self.flow.has(sub.field.prerequisite());
        if has(src) && has(dst) {
            self.note_ct_subfield(src);
            self.note_ct_subfield(dst);
            self.flow.set_bits(dst, self.flow.bits(src));
        }
    }

    fn note_ct_subfield(&mut self, sub: Subfield) {
        let zeros = Value::zeros(sub.field.bytes());
        let mask = zeros.with_bits(sub.start_bit.into(), sub.n_bits.into(), u128::MAX);
        self.note_ct_bits(sub.field, mask.to_u128());
    }

    fn note_ct_bits(&mut self, field: Field, bits: u128) {
        if let Some(exec) = &mut self.exec {
            match field {
                Field::CT_MARK => exec.mark |= bits,
                Field::CT_LABEL => exec.label |= bits,
                _ => {}
            }
        }
    }

    fn take_hop(&mut self, controllers: &[u16]) -> Flow {
        if !self.flow.is_ip() {
            return Flow::On;
        }
        let ttl = self.flow.get(Field::NW_TTL).to_u8();
        if ttl > 1 {
            self.flow.set(Field::NW_TTL, ttl - 1);
            return Flow::On;
        }
        for id in controllers {
            self.packet_in(&Controller {
                id: *id,
                reason: REASON_INVALID_TTL,
                ..Controller::default()
            });
        }
        self.report.loss = Some(Loss::Expired);
        Flow::EndList
    }

    /// Tells the datapath what the pipeline has changed in the packet.
    fn commit(&mut self) {
        for (field, value) in self.flow.changes_since(&self.base) {
            if is_header(field) {
                self.operations.push(Operation::Set(field, value));
            }
        }
        self.base = self.flow.clone();
    }

    fn output(&mut self, port: PortNo, max_len: u16) -> Result<(), Fail> {
        let came_from = self.in_port();
        let port = match port {
            PortNo::IN_PORT => came_from,
            PortNo::CONTROLLER => {
                self.packet_in(&Controller {
                    max_len,
                    ..Controller::default()
                });
                return Ok(());
            }
            PortNo::ANY => return Ok(()),
            port if port == came_from => {
                self.report.loss = Some(Loss::BackOut);
                return Ok(());
            }
            PortNo::LOCAL => port,
            port if port.0 >= PortNo::MAX.0 => {
                return Err(Fail::Unsupported(format!("output to {port}")));
            }
            port => port,
        };
        self.commit();
        let known = Box::new(self.flow.clone());
        self.operations.push(Operation::Output(port, known));
        Ok(())
    }

    fn packet_in(&mut self, controller: &Controller) {
        self.commit();
        self.operations.push(Operation::PacketIn(PacketIn {
            controller: controller.id,
            reason: controller.reason,
            userdata: controller.userdata.clone(),
            table: self.table,
            packet: self.flow.clone(),
        }));
    }

    fn resubmit(&mut self, port: PortNo, table: Option<TableId>, ct: bool) -> Result<Flow, Fail> {
        let in_port = if port == PortNo::IN_PORT {
            self.in_port()
        } else {
            port
        };
        let table = table.filter(|t| *t != TableId::ALL).unwrap_or(self.table);
        if ct && (self.flow.get(Field::CT_NW_PROTO).is_zero() || !self.flow.is_ip()) {
            return Ok(Flow::On);
        }
        self.nesting += 1;
        let flow = self.go_to(table, in_port, ct)?;
        self.nesting -= 1;
        Ok(flow)
    }

    fn learn(&mut self, learn: &Learn) {
        let flow = LearnedFlow::from(learn, &self.flow);
        let known = self.tables.contains(self.learned, &flow);
        let limit = usize::try_from(learn.limit).unwrap_or(usize::MAX);
        let count = self.tables.count(self.learned, flow.table, flow.cookie);
        let taught = known || limit == 0 || count < limit;
        if taught {
            self.learned.add(flow);
        }
        if let Some(dst) = learn.result_dst {
            self.flow.set_bits(dst, taught.into());
        }
    }

    /// Everything but what it sends and learns is undone afterwards. Where the packet could be changed back, the
    /// datapath does just that, and makes no copy.
    fn in_clone(&mut self, actions: &[Action]) -> Result<Flow, Fail> {
        let copies = !actions.iter().all(is_reversible);
        if copies {
            self.commit();
        }
        self.bring_step_up_to_date();
        let before = (self.flow.clone(), self.stack.clone());
        let datapath = (self.base.clone(), self.conntracked);
        let outside = std::mem::take(&mut self.operations);
        self.nesting += 1;
        let flow = self.act_all(actions)?;
        self.nesting -= 1;
        self.bring_step_up_to_date();
        let inside = std::mem::replace(&mut self.operations, outside);
        if copies {
            self.operations.push(Operation::Clone(inside));
            (self.base, self.conntracked) = datapath;
        } else {
            self.operations.extend(inside);
        }
        (self.flow, self.stack) = before;
        self.seen = self.flow.clone();
        Ok(if flow == Flow::Exit {
            Flow::Exit
        } else {
            Flow::On
        })
    }

    fn group(&mut self, id: GroupId) -> Result<Flow, Fail> {
        match self.tables.group(id) {
            Some((GroupType::All | GroupType::Indirect, buckets)) => {
                buckets.iter().try_for_each(|bucket| self.bucket(bucket))?;
                Ok(Flow::On)
            }
            Some((type_, _)) => Err(Fail::Unsupported(format!(
                "group:{id} of type {}",
                type_.name()
            ))),
            None => Err(Fail::Unsupported(format!("group:{id}, which is unknown"))),
        }
    }

    /// What the pipeline sees is as before afterwards; the packet of the datapath is not.
    fn bucket(&mut self, bucket: &Bucket) -> Result<(), Fail> {
        self.bring_step_up_to_date();
        let before = self.flow.clone();
        self.nesting += 1;
        self.depth += 1;
        self.act_all(&as_action_set(&bucket.actions))?;
        self.depth -= 1;
        self.nesting -= 1;
        self.bring_step_up_to_date();
        self.flow = before;
        self.seen = self.flow.clone();
        Ok(())
    }

    fn track(&mut self, ct: &Ct) -> Result<(), Fail> {
        self.commit();
        let outer = self.exec.replace(Exec::default());
        self.act_all(&ct.actions)?;
        let exec = std::mem::replace(&mut self.exec, outer).unwrap_or_default();
        let zone = match ct.zone {
            Zone::Imm(zone) => zone,
            Zone::Field(field) => u16::try_from(self.flow.bits(field)).unwrap_or(u16::MAX),
        };
        let set = |field: Field, mask: u128| {
            let value = self.flow.get(field).to_u128();
            (mask != 0).then_some((value & mask, mask))
        };
        let mark = set(Field::CT_MARK, exec.mark);
        let label = set(Field::CT_LABEL, exec.label);
        let short = |bits| u32::try_from(bits).unwrap_or(u32::MAX);
        self.operations.push(Operation::Track(Request {
            zone,
            commit: ct.commit,
            force: ct.force,
            nat: exec.nat,
            mark: mark.map(|(value, mask)| (short(value), short(mask))),
            label,
        }));
        if let Some(table) = ct.table {
            self.operations
                .push(Operation::Recirculate(Box::new(Frozen {
                    table,
                    metadata: self.flow.clone(),
                    stack: self.stack.clone(),
                })));
        }
        conntrack::clear(&mut self.flow);
        self.conntracked = false;
        Ok(())
    }

    /// Does nothing where the pipeline does not know that the packet is tracked.
    fn clear_tracking(&mut self) {
        if self.conntracked {
            conntrack::clear(&mut self.flow);
            self.conntracked = false;
            self.operations.push(Operation::ClearTracking);
        }
    }
}

/// Whether the datapath can undo what an action does to a packet.
fn is_reversible(action: &Action) -> bool {
    !matches!(action, Action::Ct(_) | Action::OutputTrunc { .. })
}

/// The order in which a bucket's actions are done: changes, and then only the one that sends the packet on. Without
/// such a one, nothing.
fn as_action_set(actions: &[Action]) -> Vec<Action> {
    let rank = |action: &Action| match action {
        Action::Ct(_) => 1,
        Action::CtClear => 2,
        Action::Resubmit { .. } => 3,
        Action::Output { .. } => 4,
        Action::Group(_) => 5,
        _ => 0,
    };
    let Some(last) = actions
        .iter()
        .filter(|a| rank(a) > 0)
        .max_by_key(|a| rank(a))
    else {
        return Vec::new();
    };
    let hops = |action: &&Action| matches!(action, Action::DecTtl | Action::DecTtlCntIds(_));
    let hop = actions.iter().rfind(hops);
    let changes = actions.iter().filter(|a| rank(a) == 0 && !hops(a));
    hop.into_iter()
        .chain(changes)
        .chain([last])
        .cloned()
        .collect()
}
