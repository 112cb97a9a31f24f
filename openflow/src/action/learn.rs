//! The `learn` action of ovs-actions(7): a flow made from a packet.

use super::kind::Kind;
use super::layout::bad_argument;
use super::list::NXAST_LEARN2;
use super::writing::{field, field32, header32};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::field::Subfield;
use crate::types::TableId;
use crate::value::Value;
use crate::wire::{Reader, Writer};

/// `learn(…)`: adds or changes a flow, as a strict modification would. `nx_action_learn`, or the
/// longer `nx_action_learn2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Learn {
    /// Seconds without a packet until the flow goes; 0 for never.
    pub idle_timeout: u16,
    /// Seconds until the flow goes; 0 for never.
    pub hard_timeout: u16,
    /// The idle timeout in seconds once a FIN or RST is seen; 0 for no change.
    pub fin_idle_timeout: u16,
    /// The hard timeout in seconds once a FIN or RST is seen; 0 for no change.
    pub fin_hard_timeout: u16,
    /// The priority of the flow.
    pub priority: u16,
    /// The cookie of the flow.
    pub cookie: u64,
    /// The table of the flow.
    pub table: TableId,
    /// Whether the controller hears when the flow goes.
    pub send_flow_rem: bool,
    /// Whether the flow goes when the learning flow does.
    pub delete_learned: bool,
    /// How many flows with this cookie there may be in that table; 0 for any number.
    pub limit: u32,
    /// A bit that says whether the flow was learned or the limit stood against it.
    pub result_dst: Option<Subfield>,
    /// What the flow matches and does.
    pub specs: Vec<LearnSpec>,
    /// Whether it takes the longer form although the shorter would do.
    pub long_form: bool,
}

impl Default for Learn {
    fn default() -> Self {
        Learn {
            idle_timeout: 0,
            hard_timeout: 0,
            fin_idle_timeout: 0,
            fin_hard_timeout: 0,
            priority: 0x8000,
            cookie: 0,
            table: TableId(1),
            send_flow_rem: false,
            delete_learned: false,
            limit: 0,
            result_dst: None,
            specs: Vec::new(),
            long_form: false,
        }
    }
}

/// A part of the learned flow: bits that come from somewhere and go somewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LearnSpec {
    /// How many bits.
    pub n_bits: u16,
    /// Where they come from.
    pub src: LearnSource,
    /// Where they go.
    pub dst: LearnTarget,
}

/// Where the bits of a [`LearnSpec`] come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LearnSource {
    /// The packet.
    Field(Subfield),
    /// The action; as many bytes as the bits need.
    Value(Value),
}

/// Where the bits of a [`LearnSpec`] go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LearnTarget {
    /// Into the match.
    Match(Subfield),
    /// Into a `load` action.
    Load(Subfield),
    /// Into an `output` action.
    Output,
}

const SEND_FLOW_REM: u16 = 1;
const DELETE_LEARNED: u16 = 2;
const WRITE_RESULT: u16 = 4;

const N_BITS: u16 = 0x3ff;
const SRC_VALUE: u16 = 1 << 13;
const DST_LOAD: u16 = 1 << 11;
const DST_OUTPUT: u16 = 2 << 11;
const DST_MASK: u16 = 3 << 11;

/// ```text
/// 10     12     14         16       24      26      27  28         30         32
/// +------+------+----------+--------+-------+-------+---+----------+----------+---- … ----+
/// | idle | hard | priority | cookie | flags | table | 0 | fin_idle | fin_hard |   specs   |
/// +------+------+----------+--------+-------+-------+---+----------+----------+---- … ----+
/// ```
/// In the longer form, before the specs: `limit:32, result start bit:16, 0:16`, and the header of
/// the result's field if it has one. A spec is
/// ```text
/// +---+---+---+---+--------+-------------- … --------------+------- … -------+
/// | 0 | 0 |src| dst |n_bits| field:32, start:16, or value  | field:32, start:16 unless output
/// +---+---+---+---+--------+-------------- … --------------+------- … -------+
/// ```
#[inline(never)]
pub(super) fn encode(
    [short_form, long_form]: &[Kind; 2],
    l: &Learn,
    w: &mut Writer<'_>,
) -> Result<(), EncodeError> {
    let long = l.long_form || l.limit != 0 || l.result_dst.is_some();
    let length = if long { long_form } else { short_form }.begin(w);
    w.u16(l.idle_timeout);
    w.u16(l.hard_timeout);
    w.u16(l.priority);
    w.u64(l.cookie);
    let flag = |on, bit| if on { bit } else { 0 };
    w.u16(
        flag(l.send_flow_rem, SEND_FLOW_REM)
            | flag(l.delete_learned, DELETE_LEARNED)
            | flag(l.result_dst.is_some(), WRITE_RESULT),
    );
    w.u8(l.table.0);
    w.u8(0);
    w.u16(l.fin_idle_timeout);
    w.u16(l.fin_hard_timeout);
    if long {
        w.u32(l.limit);
        w.u16(l.result_dst.map_or(0, |dst| dst.start_bit));
        w.u16(0);
        if let Some(dst) = l.result_dst {
            dst.field.put_nxm(w, false, dst.field.bytes())?;
        }
    }
    l.specs.iter().try_for_each(|s| encode_spec(s, w))?;
    w.end_padded(length, "learn")
}

fn encode_spec(s: &LearnSpec, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    let put = |w: &mut Writer<'_>, s: &Subfield| {
        w.u32(header32(s.field)?);
        w.u16(s.start_bit);
        Ok(())
    };
    let src = if matches!(s.src, LearnSource::Value(_)) {
        SRC_VALUE
    } else {
        0
    };
    let dst = match s.dst {
        LearnTarget::Match(_) => 0,
        LearnTarget::Load(_) => DST_LOAD,
        LearnTarget::Output => DST_OUTPUT,
    };
    w.u16(s.n_bits & N_BITS | src | dst);
    match &s.src {
        LearnSource::Field(f) => put(w, f)?,
        LearnSource::Value(v) => v.resized(2 * usize::from(s.n_bits.div_ceil(16))).put(w),
    }
    match &s.dst {
        LearnTarget::Match(f) | LearnTarget::Load(f) => put(w, f),
        LearnTarget::Output => Ok(()),
    }
}

#[inline(never)]
pub(super) fn decode(number: u16, mut b: Reader<'_>) -> Result<Box<Learn>, DecodeError> {
    let long = number == NXAST_LEARN2.number;
    let context = "learn action";
    let mut l = Learn {
        idle_timeout: b.u16()?,
        hard_timeout: b.u16()?,
        priority: b.u16()?,
        cookie: b.u64()?,
        ..Learn::default()
    };
    let flags = b.u16()?;
    l.table = TableId(b.u8()?);
    let pad = b.u8()?;
    l.fin_idle_timeout = b.u16()?;
    l.fin_hard_timeout = b.u16()?;
    l.send_flow_rem = flags & SEND_FLOW_REM != 0;
    l.delete_learned = flags & DELETE_LEARNED != 0;
    let known = SEND_FLOW_REM | DELETE_LEARNED | if long { WRITE_RESULT } else { 0 };
    let mut result_start = 0;
    if long {
        l.limit = b.u32()?;
        result_start = b.u16()?;
        if b.u16()? != 0 {
            return Err(DecodeError::new(ErrorKind::NxbacMustBeZero, context));
        }
    }
    if pad != 0 || l.table.0 == 0xff || flags & !known != 0 {
        return Err(bad_argument(context));
    }
    if flags & WRITE_RESULT != 0 {
        let field = field(&mut b, context)?;
        if !field.is_writable() {
            return Err(DecodeError::new(ErrorKind::BacBadSetArgument, context));
        }
        l.result_dst = Some(Subfield {
            field,
            start_bit: result_start,
            n_bits: 1,
        });
    } else if result_start != 0 {
        return Err(bad_argument(context));
    }
    l.long_form = long && l.limit == 0 && l.result_dst.is_none();
    while !b.is_empty() {
        let header = b.u16()?;
        if header == 0 {
            break;
        }
        l.specs.push(decode_spec(header, &mut b)?);
    }
    b.finish_zero(ErrorKind::BacBadArgument)?;
    Ok(Box::new(l))
}

fn decode_spec(header: u16, b: &mut Reader<'_>) -> Result<LearnSpec, DecodeError> {
    let context = "learn action";
    let n_bits = header & N_BITS;
    let take = |b: &mut Reader<'_>| {
        let field = field32(b.u32()?, context)?;
        Ok(Subfield {
            field,
            start_bit: b.u16()?,
            n_bits,
        })
    };
    let by_value = header & SRC_VALUE != 0;
    let dst = header & DST_MASK;
    if dst == DST_MASK || (dst == DST_OUTPUT && by_value) {
        return Err(bad_argument(context));
    }
    let value_len = 2 * usize::from(n_bits.div_ceil(16));
    let least = if by_value { value_len } else { 6 } + if dst == DST_OUTPUT { 0 } else { 6 };
    if b.len() < least {
        return Err(b.short());
    }
    let src = if by_value {
        let bytes = b.bytes(value_len)?;
        LearnSource::Value(Value::from_bytes(bytes).resized(usize::from(n_bits.div_ceil(8))))
    } else {
        LearnSource::Field(take(b)?)
    };
    let dst = match dst {
        DST_LOAD => LearnTarget::Load(take(b)?),
        DST_OUTPUT => LearnTarget::Output,
        _ => LearnTarget::Match(take(b)?),
    };
    Ok(LearnSpec { n_bits, src, dst })
}
