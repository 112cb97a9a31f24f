//! The layouts of actions that name fields: those that write, move or send what a field holds.

use super::Action;
use super::canonical::masked_set;
use super::kind::Kind;
use super::layout::{bad_argument, exact};
use super::list::NXAST_OUTPUT_REG2;
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::few::put;
use crate::field::{Field, OxmHeader, Subfield};
use crate::match_::{Short, is_value_valid};
use crate::value::Value;
use crate::wire::{Reader, Writer};

/// The 16 bits in which some actions put a start bit and a number of bits.
#[inline]
pub(super) fn ofs_nbits(s: Subfield) -> u16 {
    s.start_bit << 6 | s.n_bits.wrapping_sub(1)
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

/// The 32-bit header of a field, which some actions are limited to.
#[inline]
pub(super) fn header32(field: Field) -> Result<u32, EncodeError> {
    field
        .nxm_header32()
        .ok_or(EncodeError::NoWireForm(field.name()))
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

/// Reads the header of a field, four or eight bytes, which says no more than the field. Open vSwitch takes it for one of
/// a match, and answers so if it is wrong.
pub(super) fn field(r: &mut Reader<'_>, context: &'static str) -> Result<Field, DecodeError> {
    let error = |kind| DecodeError::new(kind, context);
    let header = OxmHeader::decode(r)?;
    let field = header.field().ok_or(error(ErrorKind::BmcBadField))?;
    if header.has_mask() {
        return Err(error(ErrorKind::BmcBadMask));
    }
    Ok(field)
}

impl OxmHeader {
    /// The field it names, as that of a value that is set. A known field of a wrong width is told from an unknown one.
    #[inline(always)]
    fn field_to_set(self, context: &'static str) -> Result<Field, DecodeError> {
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

/// How many bytes follow the head where an action has 24.
const BODY: usize = 14;

/// Writes the header of a field, and zeros to the end of an action of 24 bytes that began at `start`.
fn put_field_to_end(w: &mut Writer<'_>, start: usize, field: Field) -> Result<(), EncodeError> {
    field.put_nxm(w, false, field.bytes())?;
    w.zeros((start + 24).saturating_sub(w.pos()));
    Ok(())
}

/// ```text
/// 4                           length
/// +--------- … ---------+-------+
/// | OXM TLV without mask| zeros |
/// +--------- … ---------+-------+
/// ```
pub(super) mod set_field {
    use super::*;

    #[inline]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        field: &Field,
        value: &Value,
        mask: &Option<Value>,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        if let Some(mask) = mask.as_ref().filter(|m| !m.is_ones()) {
            let loads = masked_set(*field, value, mask);
            return loads.iter().try_for_each(|a| a.encode(w));
        }
        let length = kind.begin(w);
        field.put_oxm(w, false, value.len())?;
        value.put(w);
        w.end_padded(length, "set_field")
    }

    #[inline(always)]
    pub(in super::super) fn decode_to(
        _: u16,
        r: Reader<'_>,
        place: &mut Action,
    ) -> Result<(), DecodeError> {
        let Some((field, value, len)) = short(&r) else {
            return any(r, place);
        };
        let (value, mask) = (Value::from_u64(value, len), None);
        put(place, Action::SetField { field, value, mask });
        Ok(())
    }

    /// The field, the value and its length in an action of 16 bytes, if there is nothing special about the field and
    /// nothing wrong with the action.
    #[inline(always)]
    fn short(r: &Reader<'_>) -> Option<(Field, u64, u8)> {
        let [w0, w1, w2, w3, payload @ ..] = *<&[u8; 12]>::try_from(r.rest()).ok()?;
        let word = u32::from_be_bytes([w0, w1, w2, w3]);
        let payload = u64::from_be_bytes(payload);
        let short = Short::of(word);
        if word != short.word || !short.is_writable() || short.is_limited() {
            return None;
        }
        let shift = short.shift();
        let value = payload >> shift;
        // Zeros follow.
        (value << shift == payload).then_some((short.field, value, short.len))
    }

    #[inline(never)]
    fn any(r: Reader<'_>, place: &mut Action) -> Result<(), DecodeError> {
        let context = "set_field action";
        let mut r = Reader::new(r.rest(), ErrorKind::BmcBadLen, context);
        let header = OxmHeader::decode(&mut r)?;
        let field = header.field_to_set(context)?;
        let payload = r.bytes(header.payload_len())?;
        if header.has_mask() {
            let (value, mask) = payload.split_at(payload.len() / 2);
            let inconsistent = value.iter().zip(mask).any(|(v, m)| v & !m != 0);
            return Err(r.error(if inconsistent {
                ErrorKind::BmcBadWildcards
            } else {
                ErrorKind::BacBadSetMask
            }));
        }
        let bad = ErrorKind::BacBadSetArgument;
        r.finish_zero(bad)?;
        let value = Value::from_bytes(payload);
        if field == Field::IN_PORT
            || !field.is_writable()
            || !is_value_valid(field, &value)
            || (field == Field::VLAN_VID && value.to_u64() & 0x1000 == 0)
        {
            return Err(DecodeError::new(bad, context));
        }
        let mask = None;
        put(place, Action::SetField { field, value, mask });
        Ok(())
    }
}

/// ```text
/// 10          12                16             24
/// +-----------+-----------------+--------------+
/// | ofs_nbits | NXM header of 32 bits | value  |
/// +-----------+-----------------+--------------+
/// ```
pub(super) mod load {
    use super::*;

    #[inline(always)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        dst: &Subfield,
        value: &u64,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let field = u64::from(header32(dst.field)?);
        kind.fixed_with(u64::from(ofs_nbits(*dst)) << 32 | field, w);
        w.u64(*value);
        Ok(())
    }

    #[inline(always)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<(Subfield, u64), DecodeError> {
        let [o0, o1, w0, w1, w2, w3, value @ ..] = *exact::<14>(&r)?;
        let word = u32::from_be_bytes([w0, w1, w2, w3]);
        let value = u64::from_be_bytes(value);
        let dst = destination(word, u16::from_be_bytes([o0, o1]))?;
        if value >> (dst.n_bits - 1) > 1 {
            return Err(bad_argument("load action"));
        }
        Ok((dst, value))
    }

    /// The bits that a load writes, 1 to 64.
    #[inline(always)]
    fn destination(word: u32, ofs_nbits: u16) -> Result<Subfield, DecodeError> {
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
}

/// An NXM or OXM TLV, and zeros.
pub(super) mod load2 {
    use super::*;

    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        field: &Field,
        value: &Value,
        mask: &Value,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = kind.begin(w);
        let masked = !mask.is_ones() || mask.len() != field.bytes();
        field.put_nxm(w, masked, value.len())?;
        value.put(w);
        if masked {
            mask.put(w);
        }
        w.end_padded(length, "load")
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        _: u16,
        r: Reader<'_>,
    ) -> Result<(Field, Value, Value), DecodeError> {
        let context = "load action";
        let mut r = Reader::new(r.rest(), ErrorKind::BmcBadLen, context);
        let header = OxmHeader::decode(&mut r)?;
        let field = header.field_to_set(context)?;
        let payload = r.bytes(header.payload_len())?;
        let width = if header.has_mask() {
            payload.len() / 2
        } else {
            payload.len()
        };
        let (value, mask) = payload.split_at_checked(width).ok_or(r.short())?;
        // Of an odd length, the last byte means nothing.
        let mask = mask.get(..width).unwrap_or_default();
        let value = Value::from_bytes(value);
        let mask = if header.has_mask() {
            Value::from_bytes(mask)
        } else {
            Value::ones(field.bytes())
        };
        if value.exceeds(&mask) {
            return Err(r.error(ErrorKind::BmcBadWildcards));
        }
        r.finish_zero(ErrorKind::BacBadSetArgument)?;
        if !field.is_writable() {
            return Err(DecodeError::new(ErrorKind::BacBadSetArgument, context));
        }
        Ok((field, value, mask))
    }
}

fn decode_move(
    mut r: Reader<'_>,
    [n_bits, s, d]: [u16; 3],
) -> Result<(Subfield, Subfield), DecodeError> {
    let src = Subfield {
        field: field(&mut r, "move action")?,
        start_bit: s,
        n_bits,
    };
    let dst = Subfield {
        field: field(&mut r, "move action")?,
        start_bit: d,
        n_bits,
    };
    r.finish_zero(ErrorKind::NxbrcMustBeZero)?;
    Ok((
        src.check("move action")?,
        dst.check_writable("move action")?,
    ))
}

/// ```text
/// 10       12        14        16
/// +--------+---------+---------+------------ … ------------+------------ … ------------+-------+
/// | n_bits | src_ofs | dst_ofs | NXM/OXM header of source  |     of destination        | zeros |
/// +--------+---------+---------+------------ … ------------+------------ … ------------+-------+
/// ```
pub(super) mod move_ {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        src: &Subfield,
        dst: &Subfield,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = kind.begin(w);
        w.u16(dst.n_bits);
        w.u16(src.start_bit);
        w.u16(dst.start_bit);
        src.field.put_nxm(w, false, src.field.bytes())?;
        dst.field.put_nxm(w, false, dst.field.bytes())?;
        w.end_padded(length, "move")
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        _: u16,
        mut r: Reader<'_>,
    ) -> Result<(Subfield, Subfield), DecodeError> {
        let bits = [r.u16()?, r.u16()?, r.u16()?];
        decode_move(r, bits)
    }
}

/// As `move`, with two bytes of zeros before and after the numbers.
pub(super) mod copy_field {
    use super::*;

    #[inline(never)]
    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        src: &Subfield,
        dst: &Subfield,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let length = kind.begin(w);
        w.zeros(2);
        w.u16(dst.n_bits);
        w.u16(src.start_bit);
        w.u16(dst.start_bit);
        w.zeros(2);
        src.field.put_oxm(w, false, src.field.bytes())?;
        dst.field.put_oxm(w, false, dst.field.bytes())?;
        w.end_padded(length, "copy_field")
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        _: u16,
        mut r: Reader<'_>,
    ) -> Result<(Subfield, Subfield), DecodeError> {
        r.skip(2)?;
        let bits = [r.u16()?, r.u16()?, r.u16()?];
        r.skip(2)?;
        decode_move(r, bits)
    }
}

/// ```text
/// 10          12                      16        18      24
/// +-----------+-----------------------+---------+-------+
/// | ofs_nbits | NXM header of 32 bits | max_len | zeros |
/// +-----------+-----------------------+---------+-------+
/// ```
/// A field without a header of 32 bits goes in the [longer form](output_reg2).
pub(super) mod output_reg {
    use super::*;

    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        src: &Subfield,
        max_len: &u16,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let Some(header) = src.field.nxm_header32() else {
            return output_reg2::encode(&[NXAST_OUTPUT_REG2], src, max_len, w);
        };
        kind.fixed(w);
        w.u16(ofs_nbits(*src));
        w.u32(header);
        w.u16(*max_len);
        w.zeros(6);
        Ok(())
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        _: u16,
        mut r: Reader<'_>,
    ) -> Result<(Subfield, u16), DecodeError> {
        let (ofs_nbits, src, max_len) = (r.u16()?, r.u32()?, r.u16()?);
        r.zeros(6, ErrorKind::BacBadArgument)?;
        r.finish()?;
        let src = subfield(field32(src, "output action")?, ofs_nbits);
        Ok((src.check("output action")?, max_len))
    }
}

/// ```text
/// 10          12        14               14 + 4 or 8   24
/// +-----------+---------+----------------+-------+
/// | ofs_nbits | max_len | NXM/OXM header | zeros |
/// +-----------+---------+----------------+-------+
/// ```
pub(super) mod output_reg2 {
    use super::*;

    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        src: &Subfield,
        max_len: &u16,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let start = w.pos();
        kind.fixed(w);
        w.u16(ofs_nbits(*src));
        w.u16(*max_len);
        put_field_to_end(w, start, src.field)
    }

    #[inline(never)]
    pub(in super::super) fn decode_to(
        _: u16,
        mut r: Reader<'_>,
        place: &mut Action,
    ) -> Result<(), DecodeError> {
        if r.len() != BODY {
            return Err(r.short());
        }
        let (ofs_nbits, max_len) = (r.u16()?, r.u16()?);
        let src = subfield(field(&mut r, "output action")?, ofs_nbits);
        r.finish_zero(ErrorKind::NxbrcMustBeZero)?;
        let src = src.check("output action")?;
        put(
            place,
            match src.field.nxm_header32() {
                Some(_) => Action::OutputReg2 { src, max_len },
                None => Action::OutputReg { src, max_len },
            },
        );
        Ok(())
    }
}

/// ```text
/// 10       12                 + 4 or 8    + 2
/// +--------+------------------+-----------+-------+
/// | offset | NXM/OXM header   |  n_bits   | zeros |   24 bytes in all
/// +--------+------------------+-----------+-------+
/// ```
fn encode_stack(kind: &Kind, s: &Subfield, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    let start = w.pos();
    kind.fixed(w);
    w.u16(s.start_bit);
    s.field.put_nxm(w, false, s.field.bytes())?;
    w.u16(s.n_bits);
    w.zeros((start + 24).saturating_sub(w.pos()));
    Ok(())
}

fn decode_stack(mut r: Reader<'_>) -> Result<Subfield, DecodeError> {
    if r.len() != BODY {
        return Err(r.short());
    }
    let start_bit = r.u16()?;
    let field = field(&mut r, "stack action")?;
    let s = Subfield {
        field,
        start_bit,
        n_bits: r.u16()?,
    };
    r.finish_zero(ErrorKind::NxbrcMustBeZero)?;
    Ok(s)
}

/// What goes onto the stack.
pub(super) mod stack_push {
    use super::*;

    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        src: &Subfield,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        encode_stack(kind, src, w)
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<Subfield, DecodeError> {
        decode_stack(r)?.check("stack action")
    }
}

/// What comes off it.
pub(super) mod stack_pop {
    use super::*;

    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        dst: &Subfield,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        encode_stack(kind, dst, w)
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, r: Reader<'_>) -> Result<Subfield, DecodeError> {
        decode_stack(r)?.check_writable("stack action")
    }
}

/// ```text
/// 10        12       14               14 + 4 or 8   24
/// +---------+--------+----------------+-------+
/// | pkt_len | offset | NXM/OXM header | zeros |
/// +---------+--------+----------------+-------+
/// ```
pub(super) mod check_pkt_larger {
    use super::*;

    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        dst: &Subfield,
        pkt_len: &u16,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let start = w.pos();
        kind.fixed(w);
        w.u16(*pkt_len);
        w.u16(dst.start_bit);
        put_field_to_end(w, start, dst.field)
    }

    #[inline(never)]
    pub(in super::super) fn decode(
        _: u16,
        mut r: Reader<'_>,
    ) -> Result<(Subfield, u16), DecodeError> {
        if r.len() < BODY {
            return Err(r.short());
        }
        let (pkt_len, start_bit) = (r.u16()?, r.u16()?);
        let field = field(&mut r, "check_pkt_larger action")?;
        r.finish_zero(ErrorKind::NxbrcMustBeZero)?;
        let dst = Subfield {
            field,
            start_bit,
            n_bits: 1,
        };
        Ok((dst.check_writable("check_pkt_larger action")?, pkt_len))
    }
}

/// An NXM or OXM header, and what is not looked at.
pub(super) mod delete_field {
    use super::*;

    pub(in super::super) fn encode(
        [kind]: &[Kind; 1],
        field: &Field,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        let start = w.pos();
        kind.fixed(w);
        put_field_to_end(w, start, *field)
    }

    #[inline(never)]
    pub(in super::super) fn decode(_: u16, mut r: Reader<'_>) -> Result<Field, DecodeError> {
        if r.len() != BODY {
            return Err(r.short());
        }
        field(&mut r, "delete_field action")
    }
}
