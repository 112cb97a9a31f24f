//! Watching flows change (ONF extension 1870, the form that Nicira's flow monitor has on OpenFlow 1.3).

use super::flow_removed::FlowRemovedReason;
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::instruction::{self, Instructions};
use crate::match_::Match;
use crate::types::{PortNo, TableId};
use crate::wire::{Reader, Writer};

/// `onf_flow_monitor_flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MonitorFlags(pub u16);

impl MonitorFlags {
    /// The flows there are.
    pub const INITIAL: u16 = 1;
    /// New ones.
    pub const ADD: u16 = 1 << 1;
    /// Those that go.
    pub const DELETE: u16 = 1 << 2;
    /// Those that change.
    pub const MODIFY: u16 = 1 << 3;
    /// With their instructions.
    pub const ACTIONS: u16 = 1 << 4;
    /// Changes of this controller in full too.
    pub const OWN: u16 = 1 << 5;
}

/// `onf_flow_monitor_request`.
///
/// ```text
///  0 … 3  4 … 5   6 … 7       8 … 11     12         13…15   16 …
/// +------+-------+-----------+----------+----------+-------+-------+
/// | id   | flags | match_len | out_port | table_id | zeros | match |
/// +------+-------+-----------+----------+----------+-------+-------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FlowMonitorRequest {
    /// Chosen by the controller.
    pub id: u32,
    /// What to watch.
    pub flags: MonitorFlags,
    /// Only flows with an output to this port, or any with [`PortNo::ANY`].
    pub out_port: PortNo,
    /// Only flows of this table, or any with [`TableId::ALL`].
    pub table: TableId,
    /// What the sender says is the length of the match, if that is not so. Open vSwitch goes by the match itself.
    pub claimed_match_len: Option<u16>,
    /// Only flows at least as specific as this.
    pub match_: Match,
}

impl FlowMonitorRequest {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (id, flags) = (r.u32()?, r.u16()?);
        let claimed = r.u16()?;
        let out_port = PortNo(r.u32()?);
        let table = TableId(r.u8()?);
        if flags & 0x0e == 0 || flags & !0x3f != 0 {
            return Err(r.error(ErrorKind::MofcBadFlags));
        }
        r.zeros(3, ErrorKind::NxbrcMustBeZero)?;
        if out_port.to_u16().is_none() {
            return Err(r.error(ErrorKind::BacBadOutPort));
        }
        let actual = r
            .rest()
            .get(2..4)
            .and_then(|b| b.try_into().ok())
            .map(u16::from_be_bytes);
        let claimed_match_len = Some(claimed).filter(|_| actual != Some(claimed));
        let match_ = Match::decode(r)?;
        Ok(FlowMonitorRequest {
            id,
            flags: MonitorFlags(flags),
            out_port,
            table,
            claimed_match_len,
            match_,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.id);
        w.u16(self.flags.0);
        let match_len = w.pos();
        w.u16(0);
        w.u32(self.out_port.0);
        w.u8(self.table.0);
        w.zeros(3);
        put_match(&self.match_, match_len, w)?;
        if let Some(claimed) = self.claimed_match_len {
            w.patch_u16(match_len, claimed);
        }
        Ok(())
    }
}

/// Writes `match_` and, at `at`, its length without the padding.
fn put_match(match_: &Match, at: usize, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    let mut alone = Vec::new();
    match_.encode_fields(&mut Writer::new(&mut alone))?;
    let length = u16::try_from(alone.len() + 4).map_err(|_| EncodeError::TooLong("match"))?;
    w.patch_u16(at, length);
    match_.encode(w)
}

/// `onf_flow_update`: a change.
#[derive(Clone, Debug, PartialEq)]
pub enum FlowUpdate {
    /// A flow is there, was added, went, or changed.
    Full(Box<FlowUpdateFull>),
    /// A change that this controller made itself.
    Abbreviated {
        /// The transaction id of its FLOW_MOD.
        xid: u32,
    },
}

/// `onf_flow_update_event`, abbreviated ones aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlowEvent {
    /// It was added, or was there.
    Added,
    /// It went.
    Deleted,
    /// It changed.
    Modified,
}

/// `onf_flow_update_full`.
///
/// ```text
///  0 … 1   2 … 3  4 … 5   6 … 7     8 … 9          10 … 11        12 … 13     14         15   16 … 23  24 …
/// +-------+------+-------+---------+--------------+--------------+-----------+----------+----+--------+-------+--------------+
/// |length |event |reason |priority | idle_timeout | hard_timeout | match_len | table_id |pad | cookie | match | instructions |
/// +-------+------+-------+---------+--------------+--------------+-----------+----------+----+--------+-------+--------------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FlowUpdateFull {
    /// What happened.
    pub event: FlowEvent,
    /// Why it went.
    pub reason: u16,
    /// The flow's priority.
    pub priority: u16,
    /// Its idle timeout in seconds.
    pub idle_timeout: u16,
    /// Its hard timeout in seconds.
    pub hard_timeout: u16,
    /// Its table.
    pub table: TableId,
    /// Its cookie.
    pub cookie: u64,
    /// Its match.
    pub match_: Match,
    /// Its instructions, if they were asked for.
    pub instructions: Instructions,
}

impl FlowUpdateFull {
    /// Why it went, as FLOW_REMOVED says it.
    #[must_use]
    pub fn removed_reason(&self) -> Option<FlowRemovedReason> {
        u8::try_from(self.reason)
            .ok()
            .filter(|_| self.event == FlowEvent::Deleted)
            .map(FlowRemovedReason)
    }
}

/// How long [`FlowUpdateFull`] is before its match.
const FULL_HEAD: usize = 24;

impl FlowUpdate {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = r.error(ErrorKind::BrcBadLen);
        let length = r
            .rest()
            .first_chunk::<2>()
            .map(|b| usize::from(u16::from_be_bytes(*b)))
            .ok_or(bad)?;
        if length > r.len() || length % 8 != 0 || r.len() < 4 {
            return Err(bad);
        }
        r.skip(2)?;
        let event = match r.u16()? {
            0 => FlowEvent::Added,
            1 => FlowEvent::Deleted,
            2 => FlowEvent::Modified,
            3 if length == 8 => return Ok(FlowUpdate::Abbreviated { xid: r.u32()? }),
            3 => return Err(bad),
            _ => return Err(r.error(ErrorKind::NxbrcFmBadEvent)),
        };
        if length < FULL_HEAD {
            return Err(bad);
        }
        let (reason, priority, idle_timeout, hard_timeout) =
            (r.u16()?, r.u16()?, r.u16()?, r.u16()?);
        let match_len = usize::from(r.u16()?);
        if FULL_HEAD + match_len > length {
            return Err(bad);
        }
        let table = TableId(r.u8()?);
        r.skip(1)?;
        let cookie = r.u64()?;
        let before = r.len();
        let match_ = Match::decode(r)?;
        // The match says itself how long it is, which may be more than was said above.
        let instructions = (length - FULL_HEAD)
            .checked_sub(before - r.len())
            .ok_or(DecodeError::new(ErrorKind::BicBadLen, "flow update"))?;
        let instructions = instruction::decode_list(r.sub(instructions)?)?;
        Ok(FlowUpdate::Full(Box::new(FlowUpdateFull {
            event,
            reason,
            priority,
            idle_timeout,
            hard_timeout,
            table,
            cookie,
            match_,
            instructions,
        })))
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        let length = w.length(start);
        match self {
            FlowUpdate::Abbreviated { xid } => {
                w.u16(3);
                w.u32(*xid);
            }
            FlowUpdate::Full(full) => {
                w.u16(match full.event {
                    FlowEvent::Added => 0,
                    FlowEvent::Deleted => 1,
                    FlowEvent::Modified => 2,
                });
                w.u16(full.reason);
                w.u16(full.priority);
                w.u16(full.idle_timeout);
                w.u16(full.hard_timeout);
                let match_len = w.pos();
                w.u16(0);
                w.u8(full.table.0);
                w.u8(0);
                w.u64(full.cookie);
                put_match(&full.match_, match_len, w)?;
                instruction::encode_list(&full.instructions, w)?;
            }
        }
        w.end(length, "flow update")
    }
}
