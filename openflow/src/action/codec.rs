//! The wire form of the actions of the specification; experimenters' go on to [`nicira`].
//!
//! ```text
//! 0        2        4                     length, a multiple of 8
//! +--------+--------+--------- … ---------+
//! |  type  | length |        body         |    §7.2.5
//! +--------+--------+--------- … ---------+
//! ```

use super::{Action, Legacy, canonical, nicira};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::few::put;
use crate::field::{Field, OxmHeader};
use crate::match_::{Short, is_value_valid};
use crate::types::{GroupId, MacAddr, PortNo, QueueId};
use crate::value::Value;
use crate::wire::{Reader, Writer};

const OUTPUT: u16 = 0;
const COPY_TTL_OUT: u16 = 11;
const COPY_TTL_IN: u16 = 12;
const SET_MPLS_TTL: u16 = 15;
const DEC_MPLS_TTL: u16 = 16;
const PUSH_VLAN: u16 = 17;
const POP_VLAN: u16 = 18;
const PUSH_MPLS: u16 = 19;
const POP_MPLS: u16 = 20;
const SET_QUEUE: u16 = 21;
const GROUP: u16 = 22;
const SET_NW_TTL: u16 = 23;
const DEC_NW_TTL: u16 = 24;
const SET_FIELD: u16 = 25;
const PUSH_PBB: u16 = 26;
const POP_PBB: u16 = 27;
pub(super) const EXPERIMENTER: u16 = 0xffff;

/// An action of eight bytes: type, length, and four bytes of body.
#[inline]
fn short(w: &mut Writer<'_>, type_: u16, body: u32) {
    w.u64(u64::from(type_) << 48 | 8 << 32 | u64::from(body));
}

/// A number of 8 bits at the left of a body of 32.
#[inline]
fn left8(v: u8) -> u32 {
    u32::from(v) << 24
}

/// A number of 16 bits at the left of a body of 32.
#[inline]
fn left16(v: u16) -> u32 {
    u32::from(v) << 16
}

#[inline]
pub(super) fn encode(action: &Action, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    match action {
        Action::Output { port, max_len } => {
            w.u64(u64::from(OUTPUT) << 48 | 16 << 32 | u64::from(port.0));
            w.u64(u64::from(*max_len) << 48);
        }
        Action::CopyTtlOut => short(w, COPY_TTL_OUT, 0),
        Action::CopyTtlIn => short(w, COPY_TTL_IN, 0),
        Action::SetMplsTtl(ttl) => short(w, SET_MPLS_TTL, left8(*ttl)),
        Action::DecMplsTtl => short(w, DEC_MPLS_TTL, 0),
        Action::PushVlan(t) => short(w, PUSH_VLAN, left16(*t)),
        Action::PopVlan => short(w, POP_VLAN, 0),
        Action::PushMpls(t) => short(w, PUSH_MPLS, left16(*t)),
        Action::PopMpls(t) => short(w, POP_MPLS, left16(*t)),
        Action::SetQueue(q) => short(w, SET_QUEUE, q.0),
        Action::Group(g) => short(w, GROUP, g.0),
        Action::SetNwTtl(ttl) => short(w, SET_NW_TTL, left8(*ttl)),
        Action::DecTtl => short(w, DEC_NW_TTL, 0),
        Action::PushPbb(t) => short(w, PUSH_PBB, left16(*t)),
        Action::PopPbb => short(w, POP_PBB, 0),
        Action::SetField { field, value, mask } => match mask.as_ref().filter(|m| !m.is_ones()) {
            None => return set_field(w, *field, value),
            Some(mask) => {
                return canonical::masked_set(*field, value, mask)
                    .iter()
                    .try_for_each(|a| encode(a, w));
            }
        },
        Action::Legacy(legacy) => encode_legacy(*legacy, w),
        _ => return nicira::encode(action, w),
    }
    Ok(())
}

/// ```text
/// +--------+--------+--------- … ---------+-------+
/// |   25   | length | OXM TLV without mask| zeros |
/// +--------+--------+--------- … ---------+-------+
/// ```
#[inline]
fn set_field(w: &mut Writer<'_>, field: Field, value: &Value) -> Result<(), EncodeError> {
    let start = w.pos();
    w.u16(SET_FIELD);
    let length = w.length(start);
    field.put_oxm(w, false, value.len())?;
    value.put(w);
    w.end_padded(length, "set_field")
}

fn encode_legacy(legacy: Legacy, w: &mut Writer<'_>) {
    let mac = |w: &mut Writer<'_>, type_: u16, mac: MacAddr| {
        w.u16(type_);
        w.u16(16);
        w.array(&mac.0);
        w.zeros(6);
    };
    match legacy {
        Legacy::VlanVid(v) => short(w, 1, left16(v)),
        Legacy::VlanPcp(v) => short(w, 2, left8(v)),
        Legacy::DlSrc(v) => mac(w, 3, v),
        Legacy::DlDst(v) => mac(w, 4, v),
        Legacy::NwSrc(v) => short(w, 5, v),
        Legacy::NwDst(v) => short(w, 6, v),
        Legacy::NwTos(v) => short(w, 7, left8(v)),
        Legacy::NwEcn(v) => short(w, 8, left8(v)),
        Legacy::TpSrc(v) => short(w, 9, left16(v)),
        Legacy::TpDst(v) => short(w, 10, left16(v)),
        Legacy::MplsLabel(v) => short(w, 13, v),
        Legacy::MplsTc(v) => short(w, 14, left8(v)),
    }
}

/// The type and all bytes of the next action.
#[inline(always)]
fn frame<'a>(r: &mut Reader<'a>) -> Result<(u16, &'a [u8]), DecodeError> {
    let bad = || DecodeError::new(ErrorKind::BacBadLen, "action");
    let [t0, t1, l0, l1, ..] = *r.rest().first_chunk::<8>().ok_or_else(bad)?;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    if len < 8 || len % 8 != 0 {
        return Err(bad());
    }
    let all = r.bytes(len).map_err(|_| bad())?;
    Ok((u16::from_be_bytes([t0, t1]), all))
}

/// Reads one action to where a placeholder is.
#[inline(always)]
pub(super) fn decode(r: &mut Reader<'_>, place: &mut Action) -> Result<(), DecodeError> {
    let (type_, all) = frame(r)?;
    match type_ {
        EXPERIMENTER => return nicira::decode(r, all, place),
        SET_FIELD => {
            if let Some((field, value, len)) = short_set_field(all) {
                let value = Value::from_u64(value, len);
                let mask = None;
                put(place, Action::SetField { field, value, mask });
                return Ok(());
            }
        }
        OUTPUT => {
            if let Ok([_, _, _, _, p0, p1, p2, p3, l0, l1, ..]) = <&[u8; 16]>::try_from(all) {
                let port = PortNo(u32::from_be_bytes([*p0, *p1, *p2, *p3]));
                let port = port.checked("output action")?;
                check_output_port(port)?;
                let max_len = u16::from_be_bytes([*l0, *l1]);
                put(place, Action::Output { port, max_len });
                return Ok(());
            }
        }
        DEC_NW_TTL if all.len() == 8 => {
            put(place, Action::DecTtl);
            return Ok(());
        }
        _ => {}
    }
    let mut body = r.over(all, ErrorKind::BacBadLen, "action");
    body.skip(4)?;
    put(place, decode_other(type_, body)?);
    Ok(())
}

#[inline(never)]
fn decode_other(type_: u16, mut b: Reader<'_>) -> Result<Action, DecodeError> {
    let action = match type_ {
        SET_FIELD => return decode_set_field(b),
        SET_QUEUE => Action::SetQueue(QueueId(b.u32()?)),
        GROUP => Action::Group(GroupId(b.u32()?)),
        COPY_TTL_OUT => pad4(&mut b, Action::CopyTtlOut)?,
        COPY_TTL_IN => pad4(&mut b, Action::CopyTtlIn)?,
        DEC_MPLS_TTL => pad4(&mut b, Action::DecMplsTtl)?,
        POP_VLAN => pad4(&mut b, Action::PopVlan)?,
        POP_PBB => pad4(&mut b, Action::PopPbb)?,
        SET_MPLS_TTL => Action::SetMplsTtl(u8_of(&mut b)?),
        SET_NW_TTL => Action::SetNwTtl(u8_of(&mut b)?),
        PUSH_VLAN => match u16_of(&mut b)? {
            t @ (0x8100 | 0x88a8) => Action::PushVlan(t),
            _ => return Err(bad_argument("push_vlan action")),
        },
        PUSH_MPLS => match u16_of(&mut b)? {
            t @ (0x8847 | 0x8848) => Action::PushMpls(t),
            _ => return Err(bad_argument("push_mpls action")),
        },
        POP_MPLS => Action::PopMpls(u16_of(&mut b)?),
        PUSH_PBB => Action::PushPbb(u16_of(&mut b)?),
        OUTPUT | DEC_NW_TTL => return Err(b.short()),
        1..=10 | 13 | 14 => Action::Legacy(decode_legacy(type_, &mut b)?),
        _ => return Err(DecodeError::new(ErrorKind::BacBadType, "action")),
    };
    b.finish()?;
    Ok(action)
}

#[inline(always)]
pub(super) fn bad_argument(context: &'static str) -> DecodeError {
    DecodeError::new(ErrorKind::BacBadArgument, context)
}

#[inline]
fn pad4(b: &mut Reader<'_>, action: Action) -> Result<Action, DecodeError> {
    b.skip(4)?;
    Ok(action)
}

#[inline]
fn u8_of(b: &mut Reader<'_>) -> Result<u8, DecodeError> {
    let [v, _, _, _] = *b.array::<4>()?;
    Ok(v)
}

#[inline]
fn u16_of(b: &mut Reader<'_>) -> Result<u16, DecodeError> {
    let [v @ .., _, _] = *b.array::<4>()?;
    Ok(u16::from_be_bytes(v))
}

/// The ports that can be output to: not `TABLE`-like wildcards.
#[inline]
pub(super) fn check_output_port(port: PortNo) -> Result<(), DecodeError> {
    match port {
        PortNo::ANY => Err(DecodeError::new(ErrorKind::BacBadOutPort, "output action")),
        p if p.0 < 0xff00 || p >= PortNo::IN_PORT => Ok(()),
        _ => Err(DecodeError::new(ErrorKind::BacBadOutPort, "output action")),
    }
}

/// The field, the value and its length of a whole `set_field` action of 16 bytes, if there is nothing special about the
/// field and nothing wrong with the action.
#[inline(always)]
fn short_set_field(all: &[u8]) -> Option<(Field, u64, u8)> {
    let [_, _, _, _, w0, w1, w2, w3, payload @ ..] = *<&[u8; 16]>::try_from(all).ok()?;
    let word = u32::from_be_bytes([w0, w1, w2, w3]);
    let payload = u64::from_be_bytes(payload);
    let short = Short::of(word);
    if word != short.word || !short.is_writable() || short.is_limited() {
        return None;
    }
    let shift = (64 - 8 * u32::from(short.len)) & 63;
    let value = payload >> shift;
    // Zeros follow.
    (value << shift == payload).then_some((short.field, value, short.len))
}

fn decode_set_field(b: Reader<'_>) -> Result<Action, DecodeError> {
    let mut b = Reader::new(b.rest(), ErrorKind::BmcBadLen, "set_field action");
    let header = OxmHeader::decode(&mut b)?;
    let field = header.field_to_set("set_field action")?;
    let payload = b.bytes(header.payload_len())?;
    if header.has_mask() {
        let (value, mask) = payload.split_at(payload.len() / 2);
        let inconsistent = value.iter().zip(mask).any(|(v, m)| v & !m != 0);
        return Err(b.error(if inconsistent {
            ErrorKind::BmcBadWildcards
        } else {
            ErrorKind::BacBadSetMask
        }));
    }
    let bad = ErrorKind::BacBadSetArgument;
    b.finish_zero(bad)?;
    let value = Value::from_bytes(payload);
    if field == Field::IN_PORT
        || !field.is_writable()
        || !is_value_valid(field, &value)
        || (field == Field::VLAN_VID && value.to_u64() & 0x1000 == 0)
    {
        return Err(DecodeError::new(bad, "set_field action"));
    }
    Ok(Action::SetField {
        field,
        value,
        mask: None,
    })
}

fn decode_legacy(type_: u16, b: &mut Reader<'_>) -> Result<Legacy, DecodeError> {
    let below = |v: u16, limit: u16| {
        if v < limit {
            Ok(v)
        } else {
            Err(bad_argument("set action"))
        }
    };
    Ok(match type_ {
        1 => Legacy::VlanVid(below(u16_of(b)?, 0x1000)?),
        2 => {
            let pcp = u8_of(b)?;
            below(pcp.into(), 8)?;
            Legacy::VlanPcp(pcp)
        }
        3 | 4 => {
            let mac = MacAddr(*b.array()?);
            b.skip(6)?;
            if type_ == 3 {
                Legacy::DlSrc(mac)
            } else {
                Legacy::DlDst(mac)
            }
        }
        5 => Legacy::NwSrc(b.u32()?),
        6 => Legacy::NwDst(b.u32()?),
        7 => match u8_of(b)? {
            tos if tos & 3 == 0 => Legacy::NwTos(tos),
            _ => return Err(bad_argument("set action")),
        },
        8 => {
            let ecn = u8_of(b)?;
            below(ecn.into(), 4)?;
            Legacy::NwEcn(ecn)
        }
        9 => Legacy::TpSrc(u16_of(b)?),
        10 => Legacy::TpDst(u16_of(b)?),
        13 => Legacy::MplsLabel(b.u32()?),
        _ => Legacy::MplsTc(u8_of(b)?),
    })
}
