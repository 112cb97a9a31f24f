//! Reading the text of actions and instructions, in the syntax of ovs-actions(7).
//!
//! The result is what `ovs-ofctl -O OpenFlow13` sends, which is not always what was spelt: see
//! [`canonical`](super::canonical). What it refuses because the match does not allow it is refused
//! here too.

mod complex;
mod learn;

use super::{Action, ct::Zone, masked_set};
use crate::error::{ParseError, parse_error};
use crate::field::{Field, Prerequisite, Subfield};
use crate::instruction::Instruction;
use crate::match_::{Facts, is_value_valid, parse_value};
use crate::text::scan::{self, KeyValues};
use crate::types::{GroupId, PortNo, QueueId, TableId};
use crate::value::Value;

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
struct Parser {
    /// The packet as the actions so far left it; `None` when nothing is known and all is allowed.
    facts: Option<Facts>,
    table: Option<TableId>,
    /// Whether what only the standard asks for goes unasked, as within action sets.
    lenient: bool,
    depth: u8,
}

/// What one word turned out to be.
enum Item {
    Actions(Vec<Action>),
    Instruction(Instruction),
    Drop,
}

impl From<Action> for Item {
    fn from(a: Action) -> Self {
        Item::Actions(vec![a])
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
            // Open vSwitch does not send a list without any action.
            if matches!(&i, Instruction::WriteActions(l) | Instruction::ApplyActions(l) if l.is_empty())
            {
                continue;
            }
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

    #[allow(
        clippy::too_many_lines,
        reason = "one line for each name of ovs-actions(7)"
    )]
    fn word(&mut self, key: &str, arg: &str) -> Result<Item> {
        use Prerequisite as P;
        let set = |field: Field, v: Value| Item::from(Action::set(field, v));
        Ok(match key.to_ascii_lowercase().as_str() {
            "output" | "output_reg" => self.output(arg)?.into(),
            "group" => Action::Group(GroupId(scan::u32(arg)?)).into(),
            "controller" => complex::controller(arg)?.into(),
            "enqueue" => Item::Actions(self.enqueue(arg)?),
            "bundle" => self.bundle(arg, false)?.into(),
            "bundle_load" => self.bundle(arg, true)?.into(),
            "set_field" => Item::Actions(self.set_field(arg)?),
            "load" => Item::Actions(self.load(arg)?),
            "move" => self.move_(arg)?.into(),
            "push" => Action::Push(self.source(scan::subfield(arg)?)?).into(),
            "pop" => Action::Pop(self.destination(scan::subfield(arg)?)?).into(),
            "set_vlan_vid" => Item::Actions(self.vlan_vid(arg, false)?),
            "mod_vlan_vid" => Item::Actions(self.vlan_vid(arg, true)?),
            "set_vlan_pcp" => Item::Actions(self.vlan_pcp(arg, false)?),
            "mod_vlan_pcp" => Item::Actions(self.vlan_pcp(arg, true)?),
            "strip_vlan" | "pop_vlan" => {
                self.allow(key, Facts::has_vlan)?;
                if let Some(facts) = &mut self.facts {
                    let [_, inner] = facts.vlans;
                    facts.vlans = [inner, false];
                }
                Action::PopVlan.into()
            }
            "push_vlan" => {
                let t = scan::u16(arg, "ethertype")?;
                if !matches!(t, 0x8100 | 0x88a8) {
                    return Err(parse_error!("{arg}: not a valid VLAN ethertype"));
                }
                if let Some(facts) = &mut self.facts {
                    let [outer, inner] = facts.vlans;
                    if inner {
                        return Err(inconsistent("OFPBAC_BAD_TAG"));
                    }
                    facts.vlans = [true, outer];
                }
                Action::PushVlan(t).into()
            }
            "mod_dl_src" => set(Field::ETH_SRC, scan::mac_prefix(arg)?.into()),
            "mod_dl_dst" => set(Field::ETH_DST, scan::mac_prefix(arg)?.into()),
            "mod_nw_src" => {
                self.needs(P::Ipv4, key)?;
                set(Field::IPV4_SRC, scan::ipv4(arg)?.into())
            }
            "mod_nw_dst" => {
                self.needs(P::Ipv4, key)?;
                set(Field::IPV4_DST, scan::ipv4(arg)?.into())
            }
            "mod_nw_tos" => {
                self.needs(P::Ip, key)?;
                let tos = scan::u8(arg, "TOS")?;
                if tos & 3 != 0 {
                    return Err(parse_error!("{arg}: not a valid TOS"));
                }
                set(Field::IP_DSCP, (tos >> 2).into())
            }
            "mod_nw_ecn" => {
                self.needs(P::Ip, key)?;
                let ecn = scan::u8(arg, "ECN")?;
                if ecn > 3 {
                    return Err(parse_error!("{arg}: not a valid ECN"));
                }
                set(Field::IP_ECN, ecn.into())
            }
            "mod_nw_ttl" | "set_nw_ttl" => {
                self.needs(P::Ip, key)?;
                Action::SetNwTtl(scan::u8(arg, "TTL")?).into()
            }
            "mod_tp_src" => self
                .tp_port(arg, [Field::TCP_SRC, Field::UDP_SRC, Field::SCTP_SRC], true)?
                .into(),
            "mod_tp_dst" => self
                .tp_port(
                    arg,
                    [Field::TCP_DST, Field::UDP_DST, Field::SCTP_DST],
                    false,
                )?
                .into(),
            "dec_ttl" => {
                self.needs(P::Ip, key)?;
                complex::dec_ttl(arg)?.into()
            }
            "set_mpls_label" => {
                self.needs(P::Mpls, key)?;
                let label = scan::u32(arg)?;
                if label > 0xf_ffff {
                    return Err(parse_error!("{arg}: not a valid MPLS label"));
                }
                set(Field::MPLS_LABEL, label.into())
            }
            "set_mpls_tc" => {
                self.needs(P::Mpls, key)?;
                let tc = scan::u8(arg, "MPLS TC")?;
                if tc > 7 {
                    return Err(parse_error!("{arg}: not a valid MPLS TC"));
                }
                set(Field::MPLS_TC, tc.into())
            }
            "set_mpls_ttl" => {
                self.needs(P::Mpls, key)?;
                Action::SetMplsTtl(scan::u8(arg, "MPLS TTL")?).into()
            }
            "dec_mpls_ttl" => {
                self.needs(P::Mpls, key)?;
                Action::DecMplsTtl.into()
            }
            "push_mpls" => {
                self.needs(P::Ethernet, key)?;
                let t = scan::u16(arg, "push_mpls")?;
                if let Some(facts) = &mut self.facts {
                    facts.dl_type = t;
                    facts.nw_proto = 0;
                }
                Action::PushMpls(t).into()
            }
            "pop_mpls" => {
                self.needs(P::Ethernet, key)?;
                self.needs(P::Mpls, key)?;
                let t = scan::u16(arg, "pop_mpls")?;
                if let Some(facts) = &mut self.facts {
                    facts.dl_type = t;
                }
                Action::PopMpls(t).into()
            }
            "dec_nsh_ttl" => {
                self.allow(key, |f| f.packet_type == 0x1894f || f.dl_type == 0x894f)?;
                Action::DecNshTtl.into()
            }
            "delete_field" => {
                let field =
                    scan::field(arg).ok_or_else(|| parse_error!("unknown field `{arg}'"))?;
                if self.facts.is_some() && !field.is_variable() {
                    return Err(inconsistent("OFPBAC_BAD_ARGUMENT"));
                }
                Action::DeleteField(field).into()
            }
            "encap" => self.encap(arg)?.into(),
            "decap" => self.decap(arg)?.into(),
            "set_tunnel" | "set_tunnel64" => set(Field::TUN_ID, scan::u64(arg)?.into()),
            "set_queue" => Action::SetQueue(QueueId(scan::u32(arg)?)).into(),
            "pop_queue" => Action::PopQueue.into(),
            "fin_timeout" => {
                self.allow(key, |f| f.nw_proto == 6)?;
                complex::fin_timeout(arg)?.into()
            }
            "resubmit" => self.resubmit(arg)?.into(),
            "learn" => self.learn(arg)?.into(),
            "conjunction" => complex::conjunction(arg)?.into(),
            "multipath" => self.multipath(arg)?.into(),
            "note" => match scan::hex_bytes(arg) {
                (bytes, "") => super::canonical(&[Action::Note(bytes)])
                    .into_iter()
                    .next()
                    .map_or(Item::Drop, Item::from),
                _ => return Err(ParseError::new("bad hex digit in `note' argument")),
            },
            "exit" => Action::Exit.into(),
            "sample" => complex::sample(arg)?.into(),
            "unroll_xlate" => {
                return Err(ParseError::new(
                    "UNROLL is an internal action that shouldn't be used via OpenFlow",
                ));
            }
            "ct" => self.ct(arg)?.into(),
            "ct_clear" => Action::CtClear.into(),
            "nat" => Action::Nat(self.nat(arg)?).into(),
            "output_trunc" => return Err(parse_error!("unknown action {arg}")),
            "clone" => {
                let mut inner = self.clone();
                Action::Clone(inner.actions(arg, Outer::Clone)?).into()
            }
            "check_pkt_larger" => complex::check_pkt_larger(arg)?.into(),
            "debug_recirc" => Action::DebugRecirc.into(),
            "debug_slow" => Action::DebugSlow.into(),
            "meter" => {
                let meter = scan::u32(arg)?;
                if self.facts.is_some() && !(1..=0xffff_0000).contains(&meter) {
                    return Err(inconsistent("OFPMMFC_INVALID_METER"));
                }
                Item::Instruction(Instruction::Meter(meter))
            }
            "clear_actions" => Item::Instruction(Instruction::ClearActions),
            "write_actions" => {
                let mut inner = Parser {
                    lenient: true,
                    ..self.clone()
                };
                Item::Instruction(Instruction::WriteActions(
                    inner.actions(arg, Outer::WriteActions)?,
                ))
            }
            "write_metadata" => {
                let (metadata, mask) = match arg.split_once('/') {
                    Some((metadata, mask)) => (scan::u64(metadata)?, scan::u64(mask)?),
                    None => (scan::u64(arg)?, u64::MAX),
                };
                Item::Instruction(Instruction::WriteMetadata { metadata, mask })
            }
            "goto_table" => {
                let table =
                    scan::table(arg).ok_or_else(|| parse_error!("unknown table \"{arg}\""))?;
                if self.table.is_some_and(|t| t.0 != 0xff && table <= t) {
                    return Err(inconsistent("OFPBIC_BAD_TABLE_ID"));
                }
                Item::Instruction(Instruction::GotoTable(table))
            }
            "drop" => Item::Drop,
            "apply_actions" => {
                return Err(ParseError::new("apply_actions is the default instruction"));
            }
            _ => {
                let port = scan::port(key).ok_or_else(|| parse_error!("unknown action {key}"))?;
                self.check_port(port)?;
                Action::Output { port, max_len: 0 }.into()
            }
        })
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

    fn check_port(&self, port: PortNo) -> Result<()> {
        if self.facts.is_some() && super::check_output_port(port).is_err() {
            return Err(inconsistent("OFPBAC_BAD_OUT_PORT"));
        }
        Ok(())
    }

    fn output(&self, arg: &str) -> Result<Action> {
        if arg.contains("port") && arg.contains("max_len") {
            return self.output_trunc(arg);
        }
        if let Some(port) = scan::port(arg) {
            self.check_port(port)?;
            return Ok(Action::output(port));
        }
        let src = scan::subfield(arg).map_err(|_| parse_error!("{arg}: output to unknown port"))?;
        Ok(Action::OutputReg {
            src: self.source(src)?,
            max_len: u16::MAX,
        })
    }

    fn output_trunc(&self, arg: &str) -> Result<Action> {
        let (mut port, mut max_len) = (PortNo(0), 0);
        for (key, value) in KeyValues(arg) {
            match key {
                "port" => {
                    let bad = || parse_error!("output to unknown truncate port: {value}");
                    port = scan::port(value).ok_or_else(bad)?;
                    if port.0 > 0xff00 && port != PortNo::LOCAL && port != PortNo::IN_PORT {
                        return Err(parse_error!("output to unsupported truncate port: {value}"));
                    }
                }
                "max_len" => {
                    max_len = scan::u32(value)?;
                    if max_len < 14 {
                        return Err(parse_error!(
                            "max_len {max_len} is less than the minimum value 14"
                        ));
                    }
                }
                _ => return Err(parse_error!("invalid key '{key}' in output_trunc argument")),
            }
        }
        self.check_port(port)?;
        Ok(Action::OutputTrunc { port, max_len })
    }

    fn enqueue(&self, arg: &str) -> Result<Vec<Action>> {
        let syntax = || {
            ParseError::new(
                "\"enqueue\" syntax is \"enqueue:PORT:QUEUE\" or \"enqueue(PORT,QUEUE)\"",
            )
        };
        let arg = arg.trim_start_matches([':', 'q', ',']);
        let (port, queue) = arg
            .split_once([':', 'q', ','])
            .filter(|(_, q)| !q.is_empty())
            .ok_or_else(syntax)?;
        let port =
            scan::port(port).ok_or_else(|| parse_error!("{port}: enqueue to unknown port"))?;
        let queue = QueueId(scan::u32(queue)?);
        if self.facts.is_some()
            && port.0 >= 0xff00
            && port != PortNo::IN_PORT
            && port != PortNo::LOCAL
        {
            return Err(inconsistent("OFPBAC_BAD_OUT_PORT"));
        }
        Ok(vec![
            Action::SetQueue(queue),
            Action::Output {
                port,
                max_len: u16::MAX,
            },
            Action::PopQueue,
        ])
    }

    /// `VALUE[/MASK]->FIELD`.
    fn set_field(&mut self, arg: &str) -> Result<Vec<Action>> {
        let (value, key) = split_arrow(arg)?;
        let field = Field::by_name(key)
            .ok_or_else(|| parse_error!("{key} is not a valid OXM field name"))?;
        if !field.is_writable() {
            return Err(parse_error!("{key} is read-only"));
        }
        let (v, mask) = parse_value(field, value)?;
        if !is_value_valid(field, &v) {
            return Err(parse_error!("{value} is not a valid value for field {key}"));
        }
        self.writes(field, &v)?;
        if mask.is_ones() {
            Ok(vec![Action::set(field, v)])
        } else {
            Ok(masked_set(field, &v, &mask))
        }
    }

    /// `VALUE->FIELD[bits]`.
    fn load(&mut self, arg: &str) -> Result<Vec<Action>> {
        let (value, key) = split_arrow(arg)?;
        let dst = scan::subfield(key)?;
        let bytes = dst.field.bytes();
        let (v, _) = scan::int_string(value, bytes)
            .map_err(|_| parse_error!("{arg}: cannot parse integer value"))?;
        let (start, n) = (u32::from(dst.start_bit), u32::from(dst.n_bits));
        let width = bits_of(bytes);
        if v.scan(true, n, width) != width {
            return Err(parse_error!(
                "{arg}: value {value} does not fit into {n} bits"
            ));
        }
        let zeros = Value::zeros(bytes);
        let (mut placed, mut mask) = (zeros.clone(), zeros);
        let mut at = 0;
        while at < n {
            let step = (n - at).min(64);
            placed = placed.with_bits(start + at, step, v.bits(at, step));
            mask = mask.with_bits(start + at, step, u128::MAX);
            at += step;
        }
        self.destination(dst)?;
        self.writes(dst.field, &placed)?;
        Ok(masked_set(dst.field, &placed, &mask))
    }

    /// Checks that `field` can be set, and takes note of what that changes.
    fn writes(&mut self, field: Field, value: &Value) -> Result<()> {
        self.has_field(field)?;
        if let Some(facts) = &mut self.facts {
            let [outer, _] = &mut facts.vlans;
            if field == Field::VLAN_VID && !*outer {
                return Err(inconsistent("OFPBAC_MATCH_INCONSISTENT"));
            }
            if field == Field::VLAN_TCI {
                *outer = value.to_u64() & 0x1000 != 0;
            }
        }
        Ok(())
    }

    fn move_(&self, arg: &str) -> Result<Action> {
        let (src, dst) = move_ends(arg)?;
        Ok(Action::Move {
            src: self.source(src)?,
            dst: self.destination(dst)?,
        })
    }

    /// Pushes a tag first where the word asks for one and none is known to be there.
    fn push_if_needed(&mut self, push: bool, key: &str) -> Result<Vec<Action>> {
        let has = self.facts.as_ref().is_some_and(Facts::has_vlan);
        if !push {
            self.allow(key, Facts::has_vlan)?;
        }
        if let Some(facts) = &mut self.facts {
            let [outer, _] = &mut facts.vlans;
            *outer = true;
        }
        Ok(if push && !has {
            vec![Action::PushVlan(0x8100)]
        } else {
            Vec::new()
        })
    }

    fn vlan_vid(&mut self, arg: &str, push: bool) -> Result<Vec<Action>> {
        let vid = scan::u16(arg, "VLAN VID")?;
        if vid > 0xfff {
            return Err(parse_error!("{arg}: not a valid VLAN VID"));
        }
        let mut out = self.push_if_needed(push, "set_vlan_vid")?;
        out.push(Action::set(Field::VLAN_VID, vid | 0x1000));
        Ok(out)
    }

    fn vlan_pcp(&mut self, arg: &str, push: bool) -> Result<Vec<Action>> {
        let pcp = scan::u8(arg, "VLAN PCP")?;
        if pcp > 7 {
            return Err(parse_error!("{arg}: not a valid VLAN PCP"));
        }
        let mut out = self.push_if_needed(push, "set_vlan_pcp")?;
        out.push(Action::set(Field::VLAN_PCP, pcp));
        Ok(out)
    }

    fn tp_port(&self, arg: &str, fields: [Field; 3], is_src: bool) -> Result<Action> {
        let port = scan::u16(
            arg,
            if is_src {
                "source port"
            } else {
                "destination port"
            },
        )?;
        let legacy = if is_src {
            super::Legacy::TpSrc(port)
        } else {
            super::Legacy::TpDst(port)
        };
        let protocols = [6, 17, 132];
        self.allow("mod_tp", |f| protocols.iter().any(|p| f.transport(*p)))?;
        let proto = self.facts.as_ref().map(|f| f.nw_proto);
        let known = protocols
            .into_iter()
            .zip(fields)
            .find(|(p, _)| Some(*p) == proto);
        Ok(known.map_or(Action::Legacy(legacy), |(_, field)| {
            Action::set(field, port)
        }))
    }

    fn resubmit(&self, arg: &str) -> Result<Action> {
        let mut parts = arg.splitn(4, ',');
        let port = match parts.next().filter(|s| !s.is_empty()) {
            Some(s) => {
                scan::port(s).ok_or_else(|| parse_error!("{s}: resubmit to unknown port"))?
            }
            None => PortNo::IN_PORT,
        };
        let table = match parts.next().filter(|s| !s.is_empty()) {
            Some(s) => {
                scan::table(s).ok_or_else(|| parse_error!("{s}: resubmit to unknown table"))?
            }
            None => TableId::ALL,
        };
        let ct = match parts.next().filter(|s| !s.is_empty()) {
            Some("ct") => true,
            Some(s) => return Err(parse_error!("{s}: unknown parameter")),
            None => false,
        };
        if port == PortNo::IN_PORT && table == TableId::ALL {
            return Err(ParseError::new(
                "at least one \"in_port\" or \"table\" must be specified on resubmit",
            ));
        }
        if ct && self.facts.as_ref().is_some_and(|f| !f.ct_valid()) {
            return Err(inconsistent("OFPBAC_MATCH_INCONSISTENT"));
        }
        Ok(Action::Resubmit {
            port,
            table: Some(table),
            ct,
        })
    }

    fn zone(&self, arg: &str) -> Result<Zone> {
        match scan::u16(arg, "zone") {
            Ok(zone) => Ok(Zone::Imm(zone)),
            Err(_) => Ok(Zone::Field(self.source(scan::subfield(arg)?)?)),
        }
    }
}

/// `SRC[bits]->DST[bits]`, equally wide.
fn move_ends(arg: &str) -> Result<(Subfield, Subfield)> {
    let (src, rest) = scan::subfield_prefix(arg)?;
    let missing = || parse_error!("{arg}: missing `->' following source");
    let dst = scan::subfield(rest.strip_prefix("->").ok_or_else(missing)?)?;
    if src.n_bits != dst.n_bits {
        return Err(parse_error!(
            "{arg}: source field is {} bits wide but destination is {} bits wide",
            src.n_bits,
            dst.n_bits
        ));
    }
    Ok((src, dst))
}

/// What is before and after `->`.
fn split_arrow(arg: &str) -> Result<(&str, &str)> {
    let (value, key) = arg
        .split_once("->")
        .ok_or_else(|| parse_error!("{arg}: missing `->'"))?;
    if key.is_empty() {
        return Err(parse_error!("{arg}: missing field name following `->'"));
    }
    Ok((value, key))
}

/// How many bits `bytes` have.
fn bits_of(bytes: usize) -> u32 {
    u32::try_from(bytes * 8).unwrap_or(u32::MAX)
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
