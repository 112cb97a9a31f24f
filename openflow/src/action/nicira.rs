//! The wire form of Nicira's actions, and of ONF's.
//!
//! ```text
//! 0        2        4                8         10
//! +--------+--------+----------------+---------+------ … ------+
//! | 0xffff | length |  experimenter  | subtype |     body      |
//! +--------+--------+----------------+---------+------ … ------+
//! ```

use super::codec::{EXPERIMENTER, bad_argument};
use super::{
    Action, Controller, NICIRA, ONF, SampleDirection, composite, ct, decode_list, encode_list,
    learn,
};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::few::put;
use crate::field::{Field, OxmHeader, Subfield};
use crate::match_::Short;
use crate::types::{PortNo, TableId};
use crate::value::Value;
use crate::wire::{Length, Reader, Writer};

macro_rules! subtypes {
    ($($name:ident = $n:literal;)*) => { $(pub(super) const $name: u16 = $n;)* };
}

subtypes! {
    RESUBMIT = 1;
    SET_TUNNEL = 2;
    POP_QUEUE = 5;
    REG_MOVE = 6;
    REG_LOAD = 7;
    NOTE = 8;
    SET_TUNNEL64 = 9;
    MULTIPATH = 10;
    BUNDLE = 12;
    BUNDLE_LOAD = 13;
    RESUBMIT_TABLE = 14;
    OUTPUT_REG = 15;
    LEARN = 16;
    EXIT = 17;
    FIN_TIMEOUT = 19;
    CONTROLLER = 20;
    DEC_TTL_CNT_IDS = 21;
    WRITE_METADATA = 22;
    STACK_PUSH = 27;
    STACK_POP = 28;
    SAMPLE = 29;
    OUTPUT_REG2 = 32;
    REG_LOAD2 = 33;
    CONJUNCTION = 34;
    CT = 35;
    NAT = 36;
    CONTROLLER2 = 37;
    SAMPLE2 = 38;
    OUTPUT_TRUNC = 39;
    SAMPLE3 = 41;
    CLONE = 42;
    CT_CLEAR = 43;
    RESUBMIT_TABLE_CT = 44;
    LEARN2 = 45;
    ENCAP = 46;
    DECAP = 47;
    DEC_NSH_TTL = 48;
    CHECK_PKT_LARGER = 49;
    DELETE_FIELD = 50;
    DEBUG_SLOW = 254;
    DEBUG_RECIRC = 255;
    ONF_COPY_FIELD = 3200;
}

/// Writes a header; the length is to be filled in.
#[inline]
pub(super) fn begin(w: &mut Writer<'_>, subtype: u16) -> Length {
    let start = w.pos();
    w.u16(EXPERIMENTER);
    let length = w.length(start);
    w.u32(NICIRA);
    w.u16(subtype);
    length
}

/// Writes a header of an action of `len` bytes.
#[inline]
pub(super) fn fixed(w: &mut Writer<'_>, subtype: u16, len: u16) {
    w.u64(u64::from(EXPERIMENTER) << 48 | u64::from(len) << 32 | u64::from(NICIRA));
    w.u16(subtype);
}

/// The 16 bits in which some actions put a start bit and a number of bits.
#[inline]
pub(super) fn ofs_nbits(s: Subfield) -> u16 {
    s.start_bit << 6 | s.n_bits.wrapping_sub(1)
}

/// The 32-bit header of a field, which some actions are limited to.
#[inline]
pub(super) fn header32(field: Field) -> Result<u32, EncodeError> {
    field
        .nxm_header32()
        .ok_or(EncodeError::NoWireForm(field.name()))
}

/// A port in 16 bits; what does not fit is no port of Open vSwitch.
#[inline]
pub(super) fn port16(port: PortNo) -> u16 {
    port.to_u16().unwrap_or(0xffff)
}

#[inline]
pub(super) fn encode(action: &Action, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    match action {
        Action::Load { dst, value } => {
            fixed(w, REG_LOAD, 24);
            w.u16(ofs_nbits(*dst));
            w.u32(header32(dst.field)?);
            w.u64(*value);
        }
        Action::Resubmit { port, table, ct } => {
            let subtype = match (table, ct) {
                (None, false) => RESUBMIT,
                (_, true) => RESUBMIT_TABLE_CT,
                (_, false) => RESUBMIT_TABLE,
            };
            fixed(w, subtype, 16);
            w.u16(port16(*port));
            let table = if subtype == RESUBMIT {
                0
            } else {
                table.map_or(0xff, |t| t.0)
            };
            w.u32(u32::from(table) << 24);
        }
        Action::Move { src, dst } => {
            let length = begin(w, REG_MOVE);
            w.u16(dst.n_bits);
            w.u16(src.start_bit);
            w.u16(dst.start_bit);
            src.field.put_nxm(w, false, src.field.bytes())?;
            dst.field.put_nxm(w, false, dst.field.bytes())?;
            w.end_padded(length, "move")?;
        }
        Action::Ct(ct) => ct::encode(ct, w)?,
        Action::Nat(nat) => ct::encode_nat(nat, w)?,
        Action::Learn(learn) => learn::encode(learn, w)?,
        Action::Conjunction {
            id,
            clause,
            n_clauses,
        } => {
            fixed(w, CONJUNCTION, 16);
            w.u8(*clause);
            w.u8(*n_clauses);
            w.u32(*id);
        }
        Action::SetTunnel(id) => {
            fixed(w, SET_TUNNEL, 16);
            w.zeros(2);
            w.u32(*id);
        }
        Action::SetTunnel64(id) => {
            fixed(w, SET_TUNNEL64, 24);
            w.zeros(6);
            w.u64(*id);
        }
        Action::PopQueue => void(w, POP_QUEUE),
        Action::Exit => void(w, EXIT),
        Action::CtClear => void(w, CT_CLEAR),
        Action::DecNshTtl => void(w, DEC_NSH_TTL),
        Action::DebugSlow => void(w, DEBUG_SLOW),
        Action::DebugRecirc => void(w, DEBUG_RECIRC),
        Action::OutputReg { src, max_len } if src.field.nxm_header32().is_some() => {
            fixed(w, OUTPUT_REG, 24);
            w.u16(ofs_nbits(*src));
            w.u32(header32(src.field)?);
            w.u16(*max_len);
            w.zeros(6);
        }
        Action::OutputReg { src, max_len } | Action::OutputReg2 { src, max_len } => {
            let start = w.pos();
            fixed(w, OUTPUT_REG2, 24);
            w.u16(ofs_nbits(*src));
            w.u16(*max_len);
            src.field.put_nxm(w, false, src.field.bytes())?;
            w.zeros((start + 24).saturating_sub(w.pos()));
        }
        Action::Push(field) => stack(w, STACK_PUSH, *field)?,
        Action::Pop(field) => stack(w, STACK_POP, *field)?,
        Action::OutputTrunc { port, max_len } => {
            fixed(w, OUTPUT_TRUNC, 16);
            w.u16(port16(*port));
            w.u32(*max_len);
        }
        Action::Clone(actions) => {
            let length = begin(w, CLONE);
            w.zeros(6);
            encode_list(actions, w)?;
            w.end(length, "clone")?;
        }
        _ => return encode_rare(action, w),
    }
    Ok(())
}

/// An action without a body.
fn void(w: &mut Writer<'_>, subtype: u16) {
    fixed(w, subtype, 16);
    w.zeros(6);
}

/// ```text
/// 10       12                 + 4 or 8    + 2
/// +--------+------------------+-----------+-------+
/// | offset | NXM/OXM header   |  n_bits   | zeros |   24 bytes in all
/// +--------+------------------+-----------+-------+
/// ```
fn stack(w: &mut Writer<'_>, subtype: u16, s: Subfield) -> Result<(), EncodeError> {
    let start = w.pos();
    fixed(w, subtype, 24);
    w.u16(s.start_bit);
    s.field.put_nxm(w, false, s.field.bytes())?;
    w.u16(s.n_bits);
    w.zeros((start + 24).saturating_sub(w.pos()));
    Ok(())
}

#[inline(never)]
fn encode_rare(action: &Action, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    match action {
        Action::CopyField { src, dst } => {
            let start = w.pos();
            w.u16(EXPERIMENTER);
            let length = w.length(start);
            w.u32(ONF);
            w.u16(ONF_COPY_FIELD);
            w.zeros(2);
            w.u16(dst.n_bits);
            w.u16(src.start_bit);
            w.u16(dst.start_bit);
            w.zeros(2);
            src.field.put_oxm(w, false, src.field.bytes())?;
            dst.field.put_oxm(w, false, dst.field.bytes())?;
            w.end_padded(length, "copy_field")?;
        }
        Action::Load2 { field, value, mask } => {
            let length = begin(w, REG_LOAD2);
            let masked = !mask.is_ones() || mask.len() != field.bytes();
            field.put_nxm(w, masked, value.len())?;
            value.put(w);
            if masked {
                mask.put(w);
            }
            w.end_padded(length, "load")?;
        }
        Action::Note(bytes) => {
            let length = begin(w, NOTE);
            w.bytes(bytes);
            w.end_padded(length, "note")?;
        }
        Action::Multipath(mp) => {
            fixed(w, MULTIPATH, 32);
            w.u16(mp.fields as u16);
            w.u16(mp.basis);
            w.zeros(2);
            w.u16(mp.algorithm as u16);
            let max_link = u16::try_from(mp.n_links.saturating_sub(1));
            w.u16(max_link.map_err(|_| EncodeError::TooLong("multipath"))?);
            w.u32(mp.arg);
            w.zeros(2);
            w.u16(ofs_nbits(mp.dst));
            w.u32(header32(mp.dst.field)?);
        }
        Action::Bundle(b) => {
            let length = begin(w, if b.dst.is_some() { BUNDLE_LOAD } else { BUNDLE });
            w.u16(b.algorithm as u16);
            w.u16(b.fields as u16);
            w.u16(b.basis);
            w.u32(header32(Field::IN_PORT_NXM)?);
            w.u16(u16::try_from(b.members.len()).map_err(|_| EncodeError::TooLong("bundle"))?);
            w.u16(b.dst.map_or(0, ofs_nbits));
            w.u32(b.dst.map_or(Ok(0), |dst| header32(dst.field))?);
            w.zeros(4);
            b.members.iter().for_each(|port| w.u16(port16(*port)));
            w.end_padded(length, "bundle")?;
        }
        Action::DecTtlCntIds(ids) => {
            let length = begin(w, DEC_TTL_CNT_IDS);
            w.u16(u16::try_from(ids.len()).map_err(|_| EncodeError::TooLong("dec_ttl"))?);
            w.zeros(4);
            ids.iter().for_each(|id| w.u16(*id));
            w.end_padded(length, "dec_ttl")?;
        }
        Action::FinTimeout { idle, hard } => {
            fixed(w, FIN_TIMEOUT, 16);
            w.u16(*idle);
            w.u16(*hard);
            w.zeros(2);
        }
        Action::Controller(c) => composite::encode_controller(c, w)?,
        Action::WriteMetadata { metadata, mask } => {
            fixed(w, WRITE_METADATA, 32);
            w.zeros(6);
            w.u64(*metadata);
            w.u64(*mask);
        }
        Action::Sample(s) => {
            let (subtype, len) = match s.form {
                3 => (SAMPLE3, 32),
                _ if s.direction != SampleDirection::Default => (SAMPLE3, 32),
                2 => (SAMPLE2, 32),
                _ if s.sampling_port != PortNo::ANY => (SAMPLE2, 32),
                _ => (SAMPLE, 24),
            };
            fixed(w, subtype, len);
            w.u16(s.probability);
            w.u32(s.collector_set_id);
            w.u32(s.obs_domain_id);
            w.u32(s.obs_point_id);
            if len == 32 {
                w.u16(port16(s.sampling_port));
                w.u8(s.direction as u8);
                w.zeros(5);
            }
        }
        Action::Encap(encap) => {
            let length = begin(w, ENCAP);
            w.u16(encap.hdr_size);
            w.u32(encap.packet_type);
            encap
                .properties
                .iter()
                .try_for_each(|p| composite::encode_property(p, w))?;
            w.end_padded(length, "encap")?;
        }
        Action::Decap { packet_type } => {
            fixed(w, DECAP, 16);
            w.zeros(2);
            w.u32(*packet_type);
        }
        Action::CheckPktLarger { dst, pkt_len } => {
            let start = w.pos();
            fixed(w, CHECK_PKT_LARGER, 24);
            w.u16(*pkt_len);
            w.u16(dst.start_bit);
            dst.field.put_nxm(w, false, dst.field.bytes())?;
            w.zeros((start + 24).saturating_sub(w.pos()));
        }
        Action::DeleteField(field) => {
            let start = w.pos();
            fixed(w, DELETE_FIELD, 24);
            field.put_nxm(w, false, field.bytes())?;
            w.zeros((start + 24).saturating_sub(w.pos()));
        }
        Action::Unknown(bytes) => w.bytes(bytes),
        // All others have a wire form in the callers.
        _ => {}
    }
    Ok(())
}

impl OxmHeader {
    /// The field it names, as that of a value that is set. A known field of a wrong width is told from an unknown one.
    #[inline(always)]
    pub(super) fn field_to_set(self, context: &'static str) -> Result<Field, DecodeError> {
        self.field().ok_or_else(|| {
            let width = match self.has_mask() {
                true => self.payload_len() / 2,
                false => self.payload_len(),
            };
            let experimenter = if self.experimenter == 0 { 0 } else { 4 };
            let known = width + experimenter != 0 && self.field_of_any_width().is_some();
            let kind = if known {
                ErrorKind::BacBadSetLen
            } else {
                ErrorKind::BacBadSetType
            };
            DecodeError::new(kind, context)
        })
    }
}

/// Reads the header of a field, four or eight bytes, which says no more than the field. Open vSwitch takes it for one of
/// a match, and answers so if it is wrong.
pub(super) fn field(b: &mut Reader<'_>, context: &'static str) -> Result<Field, DecodeError> {
    let error = |kind| DecodeError::new(kind, context);
    let header = OxmHeader::decode(b)?;
    let field = header.field().ok_or(error(ErrorKind::BmcBadField))?;
    if header.has_mask() {
        return Err(error(ErrorKind::BmcBadMask));
    }
    Ok(field)
}

/// Reads the header of a field where only four bytes can be.
#[inline(always)]
pub(super) fn field32(word: u32, context: &'static str) -> Result<Field, DecodeError> {
    let header = OxmHeader {
        word,
        experimenter: 0,
    };
    let field = header.field();
    field.ok_or(DecodeError::new(ErrorKind::BacBadSetType, context))
}

/// The bits that 16 bits of start and number say.
#[inline]
pub(super) fn subfield(field: Field, ofs_nbits: u16) -> Subfield {
    Subfield {
        field,
        start_bit: ofs_nbits >> 6,
        n_bits: (ofs_nbits & 0x3f) + 1,
    }
}

/// Reads an experimenter action, which is `all`, to where a placeholder is. `r` says how deep it is.
#[inline(always)]
pub(super) fn decode(r: &Reader<'_>, all: &[u8], place: &mut Action) -> Result<(), DecodeError> {
    // Six bytes follow for all that we know; another's may be shorter.
    let (experimenter, subtype) = match all.first_chunk::<10>() {
        Some([_, _, _, _, e @ .., s0, s1]) => {
            (u32::from_be_bytes(*e), u16::from_be_bytes([*s0, *s1]))
        }
        None if matches!(
            all.get(4..8),
            Some([0, 0, 0x23, 0x20] | [0x4f, 0x4e, 0x46, 0])
        ) =>
        {
            return Err(DecodeError::new(ErrorKind::BacBadLen, "action"));
        }
        None => (0, 0),
    };
    match (experimenter, subtype) {
        (NICIRA, REG_LOAD) if let Ok(all) = <&[u8; 24]>::try_from(all) => {
            let [.., o0, o1, w0, w1, w2, w3, v0, v1, v2, v3, v4, v5, v6, v7] = *all;
            let word = u32::from_be_bytes([w0, w1, w2, w3]);
            let value = u64::from_be_bytes([v0, v1, v2, v3, v4, v5, v6, v7]);
            let dst = load_destination(word, u16::from_be_bytes([o0, o1]))?;
            if value >> (dst.n_bits - 1) > 1 {
                return Err(bad_argument("load action"));
            }
            put(place, Action::Load { dst, value });
            Ok(())
        }
        (NICIRA, RESUBMIT_TABLE | RESUBMIT_TABLE_CT)
            if let Ok(all) = <&[u8; 16]>::try_from(all) =>
        {
            let [.., p0, p1, table, z0, z1, z2] = *all;
            if [z0, z1, z2] != [0; 3] {
                return Err(bad_argument("resubmit action"));
            }
            let port = PortNo::from_u16(u16::from_be_bytes([p0, p1]));
            let (table, ct) = (Some(TableId(table)), subtype == RESUBMIT_TABLE_CT);
            put(place, Action::Resubmit { port, table, ct });
            Ok(())
        }
        (NICIRA, CT) => {
            put(place, Action::Ct(ct::decode(r, all)?));
            Ok(())
        }
        (NICIRA, NAT) => ct::decode_nat(all, place),
        _ => {
            let mut body = r.over(all, ErrorKind::BacBadLen, "action");
            body.skip(all.len().min(10))?;
            let action = match experimenter {
                NICIRA => decode_rare(subtype, body, all)?,
                ONF if subtype == ONF_COPY_FIELD => decode_copy_field(body)?,
                _ => Action::Unknown(all.into()),
            };
            put(place, action);
            Ok(())
        }
    }
}

/// The bits that a load writes, 1 to 64.
#[inline(always)]
fn load_destination(word: u32, ofs_nbits: u16) -> Result<Subfield, DecodeError> {
    let short = Short::of(word);
    let dst = subfield(short.field, ofs_nbits);
    if word == short.word
        && short.is_writable()
        && dst.start_bit + dst.n_bits <= u16::from(short.bits)
    {
        return Ok(dst);
    }
    subfield(field32(word, "load action")?, ofs_nbits).check_writable("load action")
}

fn decode_move(
    mut b: Reader<'_>,
    n_bits: u16,
    s: u16,
    d: u16,
) -> Result<(Subfield, Subfield), DecodeError> {
    let src = Subfield {
        field: field(&mut b, "move action")?,
        start_bit: s,
        n_bits,
    };
    let dst = Subfield {
        field: field(&mut b, "move action")?,
        start_bit: d,
        n_bits,
    };
    b.finish_zero(ErrorKind::NxbrcMustBeZero)?;
    Ok((
        src.check("move action")?,
        dst.check_writable("move action")?,
    ))
}

fn decode_copy_field(mut b: Reader<'_>) -> Result<Action, DecodeError> {
    b.skip(2)?;
    let [n, s, d] = [b.u16()?, b.u16()?, b.u16()?];
    b.skip(2)?;
    decode_move(b, n, s, d).map(|(src, dst)| Action::CopyField { src, dst })
}

#[inline(never)]
fn decode_rare(subtype: u16, mut b: Reader<'_>, all: &[u8]) -> Result<Action, DecodeError> {
    let must_be_zero = ErrorKind::NxbrcMustBeZero;
    let void = |mut b: Reader<'_>, action| {
        b.skip(6)?;
        b.finish()?;
        Ok(action)
    };
    match subtype {
        REG_LOAD | RESUBMIT_TABLE | RESUBMIT_TABLE_CT => Err(b.short()),
        LEARN | LEARN2 => {
            let learn = learn::decode(b, subtype == LEARN2)?;
            Ok(Action::Learn(Box::new(learn)))
        }
        REG_MOVE => {
            let [n, s, d] = [b.u16()?, b.u16()?, b.u16()?];
            decode_move(b, n, s, d).map(|(src, dst)| Action::Move { src, dst })
        }
        CONJUNCTION => {
            let (clause, n_clauses) = (b.u8()?, b.u8()?);
            let id = b.u32()?;
            b.finish()?;
            if !(2..=64).contains(&n_clauses) || clause >= n_clauses {
                return Err(DecodeError::new(
                    ErrorKind::NxbacBadConjunction,
                    "conjunction action",
                ));
            }
            Ok(Action::Conjunction {
                id,
                clause,
                n_clauses,
            })
        }
        CT_CLEAR => void(b, Action::CtClear),
        RESUBMIT => {
            let port = PortNo::from_u16(b.u16()?);
            b.skip(4)?;
            b.finish()?;
            Ok(Action::Resubmit {
                port,
                table: None,
                ct: false,
            })
        }
        SET_TUNNEL => {
            b.skip(2)?;
            let id = b.u32()?;
            b.finish()?;
            Ok(Action::SetTunnel(id))
        }
        SET_TUNNEL64 => {
            b.skip(6)?;
            let id = b.u64()?;
            b.finish()?;
            Ok(Action::SetTunnel64(id))
        }
        POP_QUEUE => void(b, Action::PopQueue),
        EXIT => void(b, Action::Exit),
        DEC_NSH_TTL => void(b, Action::DecNshTtl),
        DEBUG_SLOW => void(b, Action::DebugSlow),
        DEBUG_RECIRC => void(b, Action::DebugRecirc),
        NOTE => {
            // Six bytes at least, the padding among them.
            if b.len() < 6 {
                return Err(b.short());
            }
            Ok(Action::Note(b.take_rest().to_vec()))
        }
        OUTPUT_REG => {
            let (ofs_nbits, src, max_len) = (b.u16()?, b.u32()?, b.u16()?);
            b.zeros(6, ErrorKind::BacBadArgument)?;
            b.finish()?;
            let src = subfield(field32(src, "output action")?, ofs_nbits);
            Ok(Action::OutputReg {
                src: src.check("output action")?,
                max_len,
            })
        }
        OUTPUT_REG2 => {
            if b.len() != 14 {
                return Err(b.short());
            }
            let (ofs_nbits, max_len) = (b.u16()?, b.u16()?);
            let src = subfield(field(&mut b, "output action")?, ofs_nbits);
            b.finish_zero(must_be_zero)?;
            let src = src.check("output action")?;
            Ok(match src.field.nxm_header32() {
                Some(_) => Action::OutputReg2 { src, max_len },
                None => Action::OutputReg { src, max_len },
            })
        }
        STACK_PUSH | STACK_POP => {
            if b.len() != 14 {
                return Err(b.short());
            }
            let start_bit = b.u16()?;
            let field = field(&mut b, "stack action")?;
            let s = Subfield {
                field,
                start_bit,
                n_bits: b.u16()?,
            };
            b.finish_zero(must_be_zero)?;
            if subtype == STACK_PUSH {
                s.check("stack action").map(Action::Push)
            } else {
                s.check_writable("stack action").map(Action::Pop)
            }
        }
        REG_LOAD2 => decode_load2(b),
        OUTPUT_TRUNC => {
            let port = PortNo::from_u16(b.u16()?);
            let max_len = b.u32()?;
            b.finish()?;
            if max_len < 14 {
                Err(bad_argument("output action"))
            } else {
                Ok(Action::OutputTrunc { port, max_len })
            }
        }
        CLONE => {
            b.skip(6)?;
            decode_list(b.nested()?).map(Action::Clone)
        }
        MULTIPATH => composite::decode_multipath(b),
        BUNDLE | BUNDLE_LOAD => composite::decode_bundle(b, subtype == BUNDLE_LOAD),
        DEC_TTL_CNT_IDS => {
            let n = b.u16()?;
            b.zeros(4, must_be_zero)?;
            if b.len() < usize::from(n) * 2 {
                return Err(b.short());
            }
            let ids = (0..n).map(|_| b.u16()).collect::<Result<_, _>>()?;
            Ok(Action::DecTtlCntIds(ids))
        }
        FIN_TIMEOUT => {
            let (idle, hard) = (b.u16()?, b.u16()?);
            b.skip(2)?;
            b.finish()?;
            Ok(Action::FinTimeout { idle, hard })
        }
        CONTROLLER => {
            let (max_len, id) = (b.u16()?, b.u16()?);
            let reason = b.u8()?;
            b.skip(1)?;
            b.finish()?;
            Ok(Action::Controller(Box::new(Controller {
                max_len,
                id,
                reason,
                ..Controller::default()
            })))
        }
        CONTROLLER2 => composite::decode_controller(b),
        WRITE_METADATA => {
            b.zeros(6, must_be_zero)?;
            let (metadata, mask) = (b.u64()?, b.u64()?);
            b.finish()?;
            Ok(Action::WriteMetadata { metadata, mask })
        }
        SAMPLE | SAMPLE2 | SAMPLE3 => composite::decode_sample(b, subtype),
        ENCAP => composite::decode_encap(b),
        DECAP => {
            b.skip(2)?;
            let packet_type = b.u32()?;
            if b.is_empty() {
                Ok(Action::Decap { packet_type })
            } else {
                Err(DecodeError::new(
                    ErrorKind::NxbacUnknownEdProp,
                    "decap action",
                ))
            }
        }
        CHECK_PKT_LARGER => {
            if b.len() != 14 {
                return Err(b.short());
            }
            let (pkt_len, start_bit) = (b.u16()?, b.u16()?);
            let field = field(&mut b, "check_pkt_larger action")?;
            b.finish_zero(must_be_zero)?;
            let dst = Subfield {
                field,
                start_bit,
                n_bits: 1,
            };
            Ok(Action::CheckPktLarger {
                dst: dst.check_writable("check_pkt_larger action")?,
                pkt_len,
            })
        }
        DELETE_FIELD => {
            if b.len() != 14 {
                return Err(b.short());
            }
            field(&mut b, "delete_field action").map(Action::DeleteField)
        }
        _ => Ok(Action::Unknown(all.into())),
    }
}

fn decode_load2(b: Reader<'_>) -> Result<Action, DecodeError> {
    let context = "load action";
    let mut b = Reader::new(b.rest(), ErrorKind::BmcBadLen, context);
    let header = OxmHeader::decode(&mut b)?;
    let field = header.field_to_set(context)?;
    let payload = b.bytes(header.payload_len())?;
    let width = if header.has_mask() {
        payload.len() / 2
    } else {
        payload.len()
    };
    let (value, mask) = payload.split_at_checked(width).ok_or(b.short())?;
    // Of an odd length, the last byte means nothing.
    let mask = mask.get(..width).unwrap_or_default();
    let value = Value::from_bytes(value);
    let mask = if header.has_mask() {
        Value::from_bytes(mask)
    } else {
        Value::ones(field.bytes())
    };
    if value.exceeds(&mask) {
        return Err(b.error(ErrorKind::BmcBadWildcards));
    }
    b.finish_zero(ErrorKind::BacBadSetArgument)?;
    if !field.is_writable() {
        return Err(DecodeError::new(ErrorKind::BacBadSetArgument, context));
    }
    Ok(Action::Load2 { field, value, mask })
}
