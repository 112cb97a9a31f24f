//! The text of actions that write fields.

use super::{Parser, Result, inconsistent};
use crate::action::{Action, Legacy, masked_set};
use crate::error::parse_error;
use crate::field::{Field, Subfield};
use crate::match_::{Facts, is_value_valid, parse_value};
use crate::text::scan;
use crate::value::Value;

impl Parser {
    /// `VALUE[/MASK]->FIELD`.
    pub(in crate::action) fn set_field(&mut self, arg: &str) -> Result<Vec<Action>> {
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
    pub(in crate::action) fn load(&mut self, arg: &str) -> Result<Vec<Action>> {
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
        // That it may be written is not asked, as `ovs-ofctl` does not.
        self.has_field(dst.field)?;
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

    pub(in crate::action) fn move_(&self, arg: &str) -> Result<Action> {
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

    pub(in crate::action) fn set_vlan_vid(&mut self, arg: &str) -> Result<Vec<Action>> {
        self.vlan_vid(arg, false)
    }

    pub(in crate::action) fn mod_vlan_vid(&mut self, arg: &str) -> Result<Vec<Action>> {
        self.vlan_vid(arg, true)
    }

    pub(in crate::action) fn set_vlan_pcp(&mut self, arg: &str) -> Result<Vec<Action>> {
        self.vlan_pcp(arg, false)
    }

    pub(in crate::action) fn mod_vlan_pcp(&mut self, arg: &str) -> Result<Vec<Action>> {
        self.vlan_pcp(arg, true)
    }

    pub(in crate::action) fn mod_tp_src(&self, arg: &str) -> Result<Action> {
        self.tp_port(arg, [Field::TCP_SRC, Field::UDP_SRC, Field::SCTP_SRC], true)
    }

    pub(in crate::action) fn mod_tp_dst(&self, arg: &str) -> Result<Action> {
        self.tp_port(
            arg,
            [Field::TCP_DST, Field::UDP_DST, Field::SCTP_DST],
            false,
        )
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
            Legacy::TpSrc(port)
        } else {
            Legacy::TpDst(port)
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
}

/// `SRC[bits]->DST[bits]`, equally wide.
pub(super) fn move_ends(arg: &str) -> Result<(Subfield, Subfield)> {
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
pub(super) fn split_arrow(arg: &str) -> Result<(&str, &str)> {
    let (value, key) = arg
        .split_once("->")
        .ok_or_else(|| parse_error!("{arg}: missing `->'"))?;
    if key.is_empty() {
        return Err(parse_error!("{arg}: missing field name following `->'"));
    }
    Ok((value, key))
}

/// How many bits `bytes` have.
pub(super) fn bits_of(bytes: usize) -> u32 {
    u32::try_from(bytes * 8).unwrap_or(u32::MAX)
}
