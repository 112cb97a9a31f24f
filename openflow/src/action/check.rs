//! What Open vSwitch refuses about actions that are well formed: those that do not fit the match,
//! stand where they may not, or follow what they may not follow.
//!
//! Decoding does not ask for this, so that whatever a switch holds can be read; a switch asks for
//! it before it takes a flow.

use std::net::IpAddr;

use super::ct::Zone;
use super::{Action, Ct, Learn, LearnSource, LearnTarget, Legacy};
use crate::error::{DecodeError, ErrorKind};
use crate::field::{Field, Prerequisite as P, Subfield};
use crate::instruction::Instruction;
use crate::match_::Facts;
use crate::types::TableId;
use crate::value::Value;

/// A refusal, and whether only the standard asks for it, which does not look into action sets.
struct Refusal {
    kind: ErrorKind,
    soft: bool,
}

impl Refusal {
    const fn hard(kind: ErrorKind) -> Self {
        Refusal { kind, soft: false }
    }
    const INCONSISTENT: Refusal = Refusal {
        kind: ErrorKind::BacMatchInconsistent,
        soft: true,
    };
}

type Check = Result<(), Refusal>;

fn unless(ok: bool, refusal: Refusal) -> Check {
    if ok { Ok(()) } else { Err(refusal) }
}

/// Where actions stand.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outer {
    /// A flow.
    Flow,
    /// A bucket, a packet-out, `clone(…)`.
    List,
    /// `ct(…)`.
    Ct,
}

/// Checks what Open vSwitch asks as it reads a list: that it knows the actions, and that those in a list within an
/// action stand where they may.
pub(crate) fn known(actions: &[Action]) -> Result<(), DecodeError> {
    let error = |kind| Err(DecodeError::new(kind, "actions"));
    actions.iter().try_for_each(|a| match a {
        Action::Unknown(bytes) => match bytes.get(4..8).and_then(|b| b.first_chunk()) {
            Some(b) if matches!(u32::from_be_bytes(*b), super::NICIRA | super::ONF) => {
                error(ErrorKind::BacBadExpType)
            }
            _ => error(ErrorKind::BacBadExperimenter),
        },
        Action::CopyTtlOut | Action::CopyTtlIn | Action::PushPbb(_) | Action::PopPbb => {
            error(ErrorKind::BacBadType)
        }
        Action::DebugSlow | Action::DebugRecirc => error(ErrorKind::BacBadExpType),
        Action::Ct(ct) => verify(&ct.actions, Outer::Ct),
        // Within, Open vSwitch forgets that it is a clone.
        Action::Clone(list) => verify(list, Outer::List),
        _ => Ok(()),
    })
}

/// Checks what needs no match: that actions are [known], and stand where they may.
pub(crate) fn verify(actions: &[Action], outer: Outer) -> Result<(), DecodeError> {
    known(actions)?;
    let error = |kind| Err(DecodeError::new(kind, "actions"));
    let mut before = None;
    for a in actions {
        if matches!(a, Action::Conjunction { .. }) {
            let fits = |a: &Action| matches!(a, Action::Conjunction { .. } | Action::Note(_));
            return if actions.iter().all(fits) {
                Ok(())
            } else {
                error(ErrorKind::NxbacBadConjunction)
            };
        }
        let dst = match a {
            Action::SetField { field, .. } | Action::Load2 { field, .. } => Some(*field),
            Action::Load { dst, .. } | Action::Move { dst, .. } | Action::CopyField { dst, .. } => {
                Some(dst.field)
            }
            _ => None,
        };
        let of_ct = matches!(dst, Some(Field::CT_MARK | Field::CT_LABEL));
        let nat = matches!(a, Action::Nat(_));
        if outer == Outer::Ct && !nat && !of_ct {
            return error(ErrorKind::BacBadArgument);
        }
        if outer != Outer::Ct && (nat || of_ct) {
            return error(ErrorKind::BacBadSetArgument);
        }
        // It counts as the instruction, after which no action is to come.
        let metadata = |a: &Action| matches!(a, Action::WriteMetadata { .. });
        match outer {
            Outer::List if metadata(a) => return error(ErrorKind::BicUnsupInst),
            Outer::Flow if before.is_some_and(metadata) => {
                return error(ErrorKind::BacUnsupportedOrder);
            }
            _ => before = Some(a),
        }
    }
    Ok(())
}

/// Checks what needs no match about instructions.
pub(crate) fn verify_instructions(list: &[Instruction]) -> Result<(), DecodeError> {
    let error = |kind| Err(DecodeError::new(kind, "instructions"));
    if list.iter().any(|i| matches!(i, Instruction::Unknown(_))) {
        return error(ErrorKind::BicBadExperimenter);
    }
    let apply = list.iter().find_map(|i| match i {
        Instruction::ApplyActions(actions) => Some(actions.as_slice()),
        _ => None,
    });
    let apply = apply.unwrap_or_default();
    known(apply)?;
    for i in list {
        if let Instruction::WriteActions(actions) = i {
            known(actions)?;
            if !actions.iter().all(may_be_in_a_set) {
                return error(ErrorKind::BacBadType);
            }
        }
    }
    verify(apply, Outer::Flow)?;
    let mut others = list
        .iter()
        .filter(|i| !matches!(i, Instruction::ApplyActions(_)));
    if apply
        .iter()
        .any(|a| matches!(a, Action::Conjunction { .. }))
        && others.clone().next().is_some()
    {
        return error(ErrorKind::NxbacBadConjunction);
    }
    // The action counts as the instruction, which comes after some and only once.
    if matches!(apply.last(), Some(Action::WriteMetadata { .. }))
        && others.any(|i| !matches!(i, Instruction::Meter(_) | Instruction::GotoTable(_)))
    {
        return error(ErrorKind::BacUnsupportedOrder);
    }
    Ok(())
}

/// Whether an action set may hold it.
fn may_be_in_a_set(a: &Action) -> bool {
    match a {
        Action::Legacy(legacy) => legacy.may_be_in_a_set_listed(),
        other => other.may_be_in_a_set_listed(),
    }
}

/// Checks the instructions of a flow of `table` against what its match says.
pub(crate) fn check_instructions(
    list: &[Instruction],
    facts: Facts,
    table: TableId,
) -> Result<(), DecodeError> {
    let mut facts = facts;
    let mut sorted: Vec<&Instruction> = list.iter().collect();
    sorted.sort_by_key(|i| i.rank());
    let error = |r: Refusal| DecodeError::new(r.kind, "instructions");
    // What only the standard asks for is reported last.
    let mut soft = Ok(());
    for i in sorted {
        match i {
            Instruction::Meter(meter) if !(1..=0xffff_0000).contains(meter) => {
                return Err(error(Refusal::hard(ErrorKind::MmfcInvalidMeter)));
            }
            Instruction::ApplyActions(actions) => {
                check_list(actions, &mut facts, &mut soft).map_err(error)?
            }
            Instruction::WriteActions(actions) => {
                check_list(actions, &mut facts.clone(), &mut Ok(())).map_err(error)?;
            }
            Instruction::GotoTable(t) if table.0 != 0xff && *t <= table => {
                return Err(error(Refusal::hard(ErrorKind::BicBadTableId)));
            }
            _ => {}
        }
    }
    soft.map_err(error)
}

fn check_list(actions: &[Action], facts: &mut Facts, soft: &mut Check) -> Check {
    for a in actions {
        match check(a, facts, soft) {
            Err(r) if r.soft => *soft = Err(r),
            Err(r) => return Err(r),
            Ok(()) => {}
        }
    }
    Ok(())
}

fn has(facts: &Facts, p: P) -> Check {
    unless(facts.has(p), Refusal::INCONSISTENT)
}

fn has_field(facts: &Facts, field: Field) -> Check {
    unless(
        facts.has(field.prerequisite()),
        Refusal::hard(ErrorKind::BacMatchInconsistent),
    )
}

fn writes(facts: &mut Facts, field: Field, tci: u64) -> Check {
    has_field(facts, field)?;
    let [outer, _] = &mut facts.vlans;
    if field == Field::VLAN_TCI {
        *outer = tci & 0x1000 != 0;
    }
    unless(
        field != Field::VLAN_VID || *outer,
        Refusal::hard(ErrorKind::BacMatchInconsistent),
    )
}

fn check(a: &Action, facts: &mut Facts, soft: &mut Check) -> Check {
    match a {
        Action::OutputReg { src, .. } | Action::OutputReg2 { src, .. } | Action::Push(src) => {
            has_field(facts, src.field)
        }
        Action::Pop(dst) => has_field(facts, dst.field),
        Action::SetField { field, value, .. } | Action::Load2 { field, value, .. } => {
            writes(facts, *field, value.to_u64())
        }
        Action::Load { dst, value } => {
            let tci = value.checked_shl(dst.start_bit.into()).unwrap_or(0);
            writes(facts, dst.field, tci)
        }
        Action::Move { src, dst } | Action::CopyField { src, dst } => {
            has_field(facts, src.field)?;
            has_field(facts, dst.field)
        }
        Action::Multipath(m) => has_field(facts, m.dst.field),
        Action::Bundle(b) => b.dst.map_or(Ok(()), |dst| has_field(facts, dst.field)),
        Action::PushVlan(_) => {
            let [outer, inner] = facts.vlans;
            facts.vlans = [true, outer];
            unless(!inner, Refusal::hard(ErrorKind::BacBadTag))
        }
        Action::PopVlan => {
            let [outer, inner] = facts.vlans;
            facts.vlans = [inner, false];
            unless(outer, Refusal::INCONSISTENT)
        }
        Action::Legacy(legacy) => check_legacy(*legacy, facts),
        Action::SetNwTtl(_) | Action::DecTtl | Action::DecTtlCntIds(_) => has(facts, P::Ip),
        Action::SetMplsTtl(_) | Action::DecMplsTtl => has(facts, P::Mpls),
        Action::PushMpls(t) => {
            let ethernet = facts.has(P::Ethernet);
            facts.dl_type = *t;
            facts.nw_proto = 0;
            unless(ethernet, Refusal::INCONSISTENT)
        }
        Action::PopMpls(t) => {
            let fits = facts.has(P::Ethernet) && facts.has(P::Mpls);
            facts.dl_type = *t;
            unless(fits, Refusal::INCONSISTENT)
        }
        Action::FinTimeout { .. } => unless(facts.nw_proto == 6, Refusal::INCONSISTENT),
        Action::DecNshTtl => {
            let nsh = facts.packet_type == 0x1894f || facts.dl_type == 0x894f;
            unless(nsh, Refusal::INCONSISTENT)
        }
        Action::DeleteField(field) => unless(
            field.is_variable(),
            Refusal::hard(ErrorKind::BacBadArgument),
        ),
        Action::Resubmit { ct: true, .. } => unless(
            facts.ct_valid(),
            Refusal::hard(ErrorKind::BacMatchInconsistent),
        ),
        Action::Ct(ct) => check_ct(ct, facts, soft),
        Action::Nat(nat) => {
            let fits = match nat.addrs {
                None => facts.is_ip(),
                Some((IpAddr::V4(_), _)) => facts.has(P::Ipv4),
                Some((IpAddr::V6(_), _)) => facts.has(P::Ipv6),
            };
            unless(fits, Refusal::hard(ErrorKind::BacMatchInconsistent))
        }
        Action::Learn(l) => check_learn(l, facts),
        Action::Clone(list) => check_list(list, &mut facts.clone(), soft),
        Action::Encap(e) => {
            encap(facts, e.packet_type);
            Ok(())
        }
        Action::Decap { .. } => {
            decap(facts);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What a packet is after `encap`.
pub(crate) fn encap(facts: &mut Facts, packet_type: u32) {
    facts.packet_type = packet_type;
    if packet_type >> 16 == 1 {
        facts.dl_type = u16::try_from(packet_type & 0xffff).unwrap_or(0);
    }
    if !facts.is_ip() {
        facts.nw_proto = 0;
    }
}

/// What a packet is after `decap`, as far as anybody knows.
pub(crate) fn decap(facts: &mut Facts) {
    if facts.packet_type == 0 {
        facts.packet_type = 1 << 16 | u32::from(facts.dl_type);
    } else {
        facts.packet_type = 0xffff_ffff;
        facts.dl_type = 0xffff;
    }
}

fn check_legacy(legacy: Legacy, facts: &mut Facts) -> Check {
    match legacy {
        Legacy::DlSrc(_) | Legacy::DlDst(_) => Ok(()),
        Legacy::VlanVid(_) | Legacy::VlanPcp(_) => {
            let [outer, _] = &mut facts.vlans;
            let had = std::mem::replace(outer, true);
            unless(had, Refusal::INCONSISTENT)
        }
        Legacy::NwSrc(_) | Legacy::NwDst(_) => has(facts, P::Ipv4),
        Legacy::NwTos(_) | Legacy::NwEcn(_) => has(facts, P::Ip),
        Legacy::TpSrc(_) | Legacy::TpDst(_) => unless(
            [6, 17, 132].iter().any(|p| facts.transport(*p)),
            Refusal::INCONSISTENT,
        ),
        Legacy::MplsLabel(_) | Legacy::MplsTc(_) => has(facts, P::Mpls),
    }
}

/// Whether `ct` fits the packet, its nested actions aside.
pub(crate) fn ct_fits(ct: &Ct, facts: &Facts) -> bool {
    facts.is_ip()
        && !(facts.ct_invalid() && ct.commit)
        && (ct.alg != 21 || facts.nw_proto == 6)
        && (ct.alg != 69 || facts.nw_proto == 17)
}

fn check_ct(ct: &Ct, facts: &Facts, soft: &mut Check) -> Check {
    unless(
        ct_fits(ct, facts),
        Refusal::hard(ErrorKind::BacMatchInconsistent),
    )?;
    match ct.zone {
        // Open vSwitch leaves it at that.
        Zone::Field(src) => has_field(facts, src.field),
        Zone::Imm(_) => check_list(&ct.actions, &mut facts.clone(), soft),
    }
}

fn check_learn(l: &Learn, facts: &Facts) -> Check {
    learn_fits(l, facts).map_err(Refusal::hard)
}

/// Checks that the packet has what is copied, and the learned flow what it matches and sets.
pub(crate) fn learn_fits(l: &Learn, facts: &Facts) -> Result<(), ErrorKind> {
    let mut learned = Facts::default();
    let inconsistent = ErrorKind::BacMatchInconsistent;
    let within = |s: &Subfield| match s.is_within() {
        true => Ok(()),
        false => Err(ErrorKind::BacBadSetLen),
    };
    for s in &l.specs {
        if let LearnSource::Field(src) = &s.src {
            within(src)?;
            if !facts.has(src.field.prerequisite()) {
                return Err(inconsistent);
            }
        }
        match &s.dst {
            LearnTarget::Match(dst) => {
                within(dst)?;
                if !learned.has(dst.field.prerequisite()) {
                    return Err(inconsistent);
                }
                if let LearnSource::Value(v) = &s.src {
                    let zeros = Value::zeros(dst.field.bytes());
                    let (start, n) = (dst.start_bit.into(), dst.n_bits.into());
                    let value = zeros.with_bits(start, n, v.to_u128());
                    learned.add(dst.field, &value, &zeros.with_bits(start, n, u128::MAX));
                }
            }
            LearnTarget::Load(dst) => {
                within(dst)?;
                if !learned.has(dst.field.prerequisite()) {
                    return Err(inconsistent);
                }
                if !dst.field.is_writable() {
                    return Err(ErrorKind::BacBadSetArgument);
                }
            }
            LearnTarget::Output => {}
        }
    }
    Ok(())
}
