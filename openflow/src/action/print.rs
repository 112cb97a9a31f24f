//! The text of actions, as `ovs-ofctl` prints what it receives. Which function prints which action stands in the list.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr};

use super::ct::Zone;
use super::{
    Action, Bundle, BundleAlgorithm, Controller, Ct, Encap, EncapProperty, Learn, LearnSource,
    LearnTarget, Multipath, Nat, NatFlags, Sample, SampleDirection,
};
use crate::field::{Field, Subfield};
use crate::match_::{BytesHex, print_value};
use crate::text::{Commas, DottedHex, Hash, Ipv6, Names, Port, Print, Table, display_by_print};
use crate::types::{PortNo, QueueId, TableId};
use crate::value::Value;

display_by_print!(Action);

/// Prints actions with commas between; nothing for none.
pub(crate) fn print_list(
    f: &mut Formatter<'_>,
    names: &dyn Names,
    actions: &[Action],
) -> fmt::Result {
    let mut commas = Commas::default();
    for a in actions {
        commas.next(f)?;
        a.print(f, names)?;
    }
    Ok(())
}

impl Print for Action {
    fn print(&self, f: &mut Formatter<'_>, names: &dyn Names) -> fmt::Result {
        match self {
            Action::Legacy(legacy) => legacy.print_listed(f, names),
            Action::Unknown(bytes) => write!(f, "unknown:{}", DottedHex(bytes)),
            other => other.print_listed(f, names),
        }
    }
}

pub(super) fn output(
    f: &mut Formatter<'_>,
    names: &dyn Names,
    port: &PortNo,
    max_len: &u16,
) -> fmt::Result {
    if port.name().is_none() {
        f.write_str("output:")?;
    }
    Port(*port, names).fmt(f)?;
    if *port == PortNo::CONTROLLER {
        write!(f, ":{max_len}")
    } else {
        Ok(())
    }
}

pub(super) fn output_trunc(
    f: &mut Formatter<'_>,
    names: &dyn Names,
    port: &PortNo,
    max_len: &u32,
) -> fmt::Result {
    write!(f, "output(port={},max_len={max_len})", Port(*port, names))
}

pub(super) fn set_queue(f: &mut Formatter<'_>, _: &dyn Names, queue: &QueueId) -> fmt::Result {
    write!(f, "set_queue:{}", queue.0)
}

pub(super) fn set_field(
    f: &mut Formatter<'_>,
    names: &dyn Names,
    field: &Field,
    value: &Value,
    mask: &Option<Value>,
) -> fmt::Result {
    f.write_str("set_field:")?;
    print_value(f, names, *field, value, mask.as_ref())?;
    write!(f, "->{field}")
}

pub(super) fn load2(
    f: &mut Formatter<'_>,
    names: &dyn Names,
    field: &Field,
    value: &Value,
    mask: &Value,
) -> fmt::Result {
    f.write_str("set_field:")?;
    print_value(f, names, *field, value, Some(mask))?;
    write!(f, "->{field}")
}

pub(super) fn load(
    f: &mut Formatter<'_>,
    _: &dyn Names,
    dst: &Subfield,
    value: &u64,
) -> fmt::Result {
    write!(f, "load:{}->{dst}", Hash((*value).into()))
}

pub(super) fn resubmit(
    f: &mut Formatter<'_>,
    names: &dyn Names,
    port: &PortNo,
    table: &Option<TableId>,
    ct: &bool,
) -> fmt::Result {
    let table = table.filter(|t| t.0 != 0xff);
    if *port != PortNo::IN_PORT && table.is_none() {
        return write!(f, "resubmit:{}", Port(*port, names));
    }
    f.write_str("resubmit(")?;
    if *port != PortNo::IN_PORT {
        Port(*port, names).fmt(f)?;
    }
    f.write_str(",")?;
    if let Some(table) = table {
        Table(table, names).fmt(f)?;
    }
    f.write_str(if *ct { ",ct)" } else { ")" })
}

pub(super) fn set_tunnel(f: &mut Formatter<'_>, _: &dyn Names, id: &u32) -> fmt::Result {
    write!(f, "set_tunnel:{}", Hash((*id).into()))
}

pub(super) fn set_tunnel64(f: &mut Formatter<'_>, _: &dyn Names, id: &u64) -> fmt::Result {
    write!(f, "set_tunnel64:{}", Hash((*id).into()))
}

pub(super) fn note(f: &mut Formatter<'_>, _: &dyn Names, bytes: &[u8]) -> fmt::Result {
    write!(f, "note:{}", DottedHex(bytes))
}

pub(super) fn multipath(f: &mut Formatter<'_>, _: &dyn Names, m: &Multipath) -> fmt::Result {
    write!(
        f,
        "multipath({},{},{},{},{},{})",
        m.fields.name(),
        m.basis,
        m.algorithm.name(),
        m.n_links,
        m.arg,
        m.dst
    )
}

pub(super) fn dec_ttl(f: &mut Formatter<'_>, _: &dyn Names, ids: &[u16]) -> fmt::Result {
    f.write_str("dec_ttl(")?;
    let mut commas = Commas::default();
    for id in ids {
        commas.next(f)?;
        write!(f, "{id}")?;
    }
    f.write_str(")")
}

pub(super) fn fin_timeout(
    f: &mut Formatter<'_>,
    _: &dyn Names,
    idle: &u16,
    hard: &u16,
) -> fmt::Result {
    f.write_str("fin_timeout(")?;
    let mut commas = Commas::default();
    for (name, t) in [("idle", idle), ("hard", hard)]
        .into_iter()
        .filter(|(_, t)| **t != 0)
    {
        commas.next(f)?;
        write!(f, "{name}_timeout={t}")?;
    }
    // Open vSwitch takes the parenthesis for a comma to cut, if nothing follows it.
    f.write_str(")")
}

pub(super) fn write_metadata(
    f: &mut Formatter<'_>,
    _: &dyn Names,
    metadata: &u64,
    mask: &u64,
) -> fmt::Result {
    print_metadata(f, *metadata, *mask)
}

pub(super) fn conjunction(
    f: &mut Formatter<'_>,
    _: &dyn Names,
    id: &u32,
    clause: &u8,
    n_clauses: &u8,
) -> fmt::Result {
    let clause = u16::from(*clause) + 1;
    write!(f, "conjunction({id},{clause}/{n_clauses})")
}

pub(super) fn clone(f: &mut Formatter<'_>, names: &dyn Names, actions: &[Action]) -> fmt::Result {
    f.write_str("clone(")?;
    print_nested(f, names, actions)?;
    f.write_str(")")
}

pub(super) fn decap(f: &mut Formatter<'_>, _: &dyn Names, packet_type: &u32) -> fmt::Result {
    match *packet_type {
        0xfffe => f.write_str("decap()"),
        t => write!(
            f,
            "decap(packet_type(ns={},type={}))",
            t >> 16,
            Hash((t & 0xffff).into())
        ),
    }
}

pub(super) fn mod_nw_src(f: &mut Formatter<'_>, _: &dyn Names, v: &u32) -> fmt::Result {
    write!(f, "mod_nw_src:{}", Ipv4Addr::from(*v))
}

pub(super) fn mod_nw_dst(f: &mut Formatter<'_>, _: &dyn Names, v: &u32) -> fmt::Result {
    write!(f, "mod_nw_dst:{}", Ipv4Addr::from(*v))
}

/// Actions within an action: none of them is `drop`.
fn print_nested(f: &mut Formatter<'_>, names: &dyn Names, actions: &[Action]) -> fmt::Result {
    if actions.is_empty() {
        f.write_str("drop")
    } else {
        print_list(f, names, actions)
    }
}

/// `write_metadata`, as instruction and as action.
pub(crate) fn print_metadata(f: &mut Formatter<'_>, metadata: u64, mask: u64) -> fmt::Result {
    write!(f, "write_metadata:{}", Hash(metadata.into()))?;
    if mask == u64::MAX {
        Ok(())
    } else {
        write!(f, "/{}", Hash(mask.into()))
    }
}

pub(super) fn bundle(f: &mut Formatter<'_>, names: &dyn Names, b: &Bundle) -> fmt::Result {
    let name = if b.dst.is_some() {
        "bundle_load"
    } else {
        "bundle"
    };
    let algorithm = match b.algorithm {
        BundleAlgorithm::Hrw => "hrw",
        BundleAlgorithm::ActiveBackup => "active_backup",
    };
    write!(
        f,
        "{name}({},{},{algorithm},ofport,",
        b.fields.name(),
        b.basis
    )?;
    if let Some(dst) = b.dst {
        write!(f, "{dst},")?;
    }
    f.write_str("members:")?;
    let mut commas = Commas::default();
    for port in &b.members {
        commas.next(f)?;
        Port(*port, names).fmt(f)?;
    }
    f.write_str(")")
}

pub(super) fn controller(f: &mut Formatter<'_>, _: &dyn Names, c: &Controller) -> fmt::Result {
    if c.reason == 1 && c.id == 0 && c.userdata.is_empty() && !c.pause && c.meter_id.is_none() {
        return write!(f, "CONTROLLER:{}", c.max_len);
    }
    f.write_str("controller(")?;
    let mut commas = Commas::default();
    if c.reason != 1 {
        commas.next(f)?;
        match reason_name(c.reason) {
            Some(name) => write!(f, "reason={name}")?,
            None => write!(f, "reason={}", c.reason)?,
        }
    }
    if c.max_len != u16::MAX {
        commas.next(f)?;
        write!(f, "max_len={}", c.max_len)?;
    }
    if c.id != 0 {
        commas.next(f)?;
        write!(f, "id={}", c.id)?;
    }
    if !c.userdata.is_empty() {
        commas.next(f)?;
        write!(f, "userdata={}", DottedHex(&c.userdata))?;
    }
    if c.pause {
        commas.next(f)?;
        f.write_str("pause")?;
    }
    if let Some(meter) = c.meter_id {
        commas.next(f)?;
        write!(f, "meter_id={meter}")?;
    }
    f.write_str(")")
}

/// Reasons of a packet-in by number. Open vSwitch has no names for its two own kinds of miss.
pub(crate) const REASONS: [&str; 8] = [
    "no_match",
    "action",
    "invalid_ttl",
    "action_set",
    "group",
    "packet_out",
    "",
    "",
];

/// The name of the reason of a packet-in.
#[must_use]
pub fn reason_name(reason: u8) -> Option<&'static str> {
    REASONS.get(usize::from(reason)).copied()
}

pub(super) fn sample(f: &mut Formatter<'_>, names: &dyn Names, s: &Sample) -> fmt::Result {
    write!(
        f,
        "sample(probability={},collector_set_id={},obs_domain_id={},obs_point_id={}",
        s.probability, s.collector_set_id, s.obs_domain_id, s.obs_point_id
    )?;
    if s.sampling_port != PortNo::ANY {
        write!(f, ",sampling_port={}", Port(s.sampling_port, names))?;
    }
    f.write_str(match s.direction {
        SampleDirection::Default => ")",
        SampleDirection::Ingress => ",ingress)",
        SampleDirection::Egress => ",egress)",
    })
}

pub(super) fn ct(f: &mut Formatter<'_>, names: &dyn Names, ct: &Ct) -> fmt::Result {
    f.write_str("ct(")?;
    let mut commas = Commas::default();
    if ct.commit {
        commas.next(f)?;
        f.write_str("commit")?;
    }
    if ct.force {
        commas.next(f)?;
        f.write_str("force")?;
    }
    if let Some(table) = ct.table {
        commas.next(f)?;
        write!(f, "table={}", Table(table, names))?;
    }
    match ct.zone {
        Zone::Field(src) => {
            commas.next(f)?;
            write!(f, "zone={src}")?;
        }
        Zone::Imm(0) => {}
        Zone::Imm(zone) => {
            commas.next(f)?;
            write!(f, "zone={zone}")?;
        }
    }
    let mut actions = ct.actions.as_slice();
    if let [Action::Nat(nat), rest @ ..] = actions {
        commas.next(f)?;
        self::nat(f, names, nat)?;
        actions = rest;
    }
    if !actions.is_empty() {
        commas.next(f)?;
        f.write_str("exec(")?;
        print_list(f, names, actions)?;
        f.write_str(")")?;
    }
    let alg = match ct.alg {
        0 => return f.write_str(")"),
        21 => "ftp",
        69 => "tftp",
        n => {
            commas.next(f)?;
            return write!(f, "alg={n})");
        }
    };
    commas.next(f)?;
    write!(f, "alg={alg})")
}

pub(super) fn nat(f: &mut Formatter<'_>, _: &dyn Names, nat: &Nat) -> fmt::Result {
    f.write_str("nat")?;
    if nat.flags.0 & 3 == 0 {
        return Ok(());
    }
    f.write_str(if nat.flags.contains(NatFlags::SRC) {
        "(src"
    } else {
        "(dst"
    })?;
    if let Some((min, max)) = nat.addrs {
        let bracket = nat.ports.is_some();
        let addr = |f: &mut Formatter<'_>, a: IpAddr| match a {
            IpAddr::V4(a) => write!(f, "{a}"),
            IpAddr::V6(a) if bracket => write!(f, "[{}]", Ipv6(a)),
            IpAddr::V6(a) => write!(f, "{}", Ipv6(a)),
        };
        f.write_str("=")?;
        addr(f, min)?;
        if let Some(max) = max.filter(|max| *max != min) {
            f.write_str("-")?;
            addr(f, max)?;
        }
        if let Some((min, max)) = nat.ports {
            write!(f, ":{min}")?;
            if let Some(max) = max.filter(|max| *max != min) {
                write!(f, "-{max}")?;
            }
        }
        for (flag, name) in [
            (NatFlags::PERSISTENT, ",persistent"),
            (NatFlags::HASH, ",hash"),
            (NatFlags::RANDOM, ",random"),
        ] {
            if nat.flags.contains(flag) {
                f.write_str(name)?;
            }
        }
    }
    f.write_str(")")
}

pub(super) fn encap(f: &mut Formatter<'_>, _: &dyn Names, e: &Encap) -> fmt::Result {
    let what = match e.packet_type {
        0 => "ethernet",
        0x1894f => "nsh",
        0x18847 => "mpls",
        0x18848 => "mpls_mc",
        _ => "UNKNOWN",
    };
    write!(f, "encap({what}")?;
    if !e.properties.is_empty() {
        f.write_str("(")?;
        let mut commas = Commas::default();
        for p in &e.properties {
            commas.next(f)?;
            match p {
                EncapProperty::NshMdType(md) => write!(f, "md_type={md}")?,
                EncapProperty::NshTlv {
                    class,
                    type_,
                    value,
                } => {
                    let value = Value::from_bytes(value);
                    write!(f, "tlv(0x{class:04x},{type_},{})", BytesHex(&value))?;
                }
            }
        }
        f.write_str(")")?;
    }
    f.write_str(")")
}

pub(super) fn learn(f: &mut Formatter<'_>, names: &dyn Names, l: &Learn) -> fmt::Result {
    write!(f, "learn(table={}", Table(l.table, names))?;
    for (name, t) in [
        ("idle_timeout", l.idle_timeout),
        ("hard_timeout", l.hard_timeout),
        ("fin_idle_timeout", l.fin_idle_timeout),
        ("fin_hard_timeout", l.fin_hard_timeout),
    ] {
        if t != 0 {
            write!(f, ",{name}={t}")?;
        }
    }
    if l.priority != 0x8000 {
        write!(f, ",priority={}", l.priority)?;
    }
    if l.send_flow_rem {
        f.write_str(",send_flow_rem")?;
    }
    if l.delete_learned {
        f.write_str(",delete_learned")?;
    }
    if l.cookie != 0 {
        write!(f, ",cookie={:#x}", l.cookie)?;
    }
    if l.limit != 0 {
        write!(f, ",limit={}", l.limit)?;
    }
    if let Some(dst) = l.result_dst {
        write!(f, ",result_dst={dst}")?;
    }
    for spec in &l.specs {
        f.write_str(",")?;
        match (&spec.src, &spec.dst) {
            (LearnSource::Value(v), LearnTarget::Match(dst)) => {
                if dst.start_bit == 0 && dst.n_bits == dst.field.bits() {
                    write!(f, "{}=", dst.field.name())?;
                    print_value(f, names, dst.field, &v.resized(dst.field.bytes()), None)?;
                } else {
                    write!(f, "{dst}={}", BytesHex(v))?;
                }
            }
            (LearnSource::Field(src), LearnTarget::Match(dst)) => {
                write!(f, "{dst}")?;
                if src.field != dst.field || src.start_bit != dst.start_bit {
                    write!(f, "={src}")?;
                }
            }
            (LearnSource::Value(v), LearnTarget::Load(dst)) => {
                write!(f, "load:{}->{dst}", BytesHex(v))?
            }
            (LearnSource::Field(src), LearnTarget::Load(dst)) => write!(f, "load:{src}->{dst}")?,
            (LearnSource::Field(src), LearnTarget::Output) => write!(f, "output:{src}")?,
            (LearnSource::Value(v), LearnTarget::Output) => write!(f, "output:{}", BytesHex(v))?,
        }
    }
    f.write_str(")")
}
