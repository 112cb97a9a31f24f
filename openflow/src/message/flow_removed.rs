//! FLOW_REMOVED (OpenFlow 1.3 §7.4.2): a flow went.

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::match_::Match;
use crate::types::TableId;
use crate::wire::{Reader, Writer};

/// `ofp_flow_removed_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowRemovedReason(pub u8);

impl FlowRemovedReason {
    /// Idle for too long.
    pub const IDLE_TIMEOUT: Self = Self(0);
    /// Too old.
    pub const HARD_TIMEOUT: Self = Self(1);
    /// Deleted by a FLOW_MOD.
    pub const DELETE: Self = Self(2);
    /// Its group was deleted.
    pub const GROUP_DELETE: Self = Self(3);
    /// Its meter was deleted.
    pub const METER_DELETE: Self = Self(4);
    /// Evicted to make room.
    pub const EVICTION: Self = Self(5);
}

/// `ofp_flow_removed`.
///
/// ```text
///  8 … 15   16…17      18       19         20 … 23        24 … 27         28…29          30…31          32 … 39        40 … 47      48 …
/// +--------+----------+--------+----------+--------------+---------------+--------------+--------------+--------------+------------+-------+
/// | cookie | priority | reason | table_id | duration_sec | duration_nsec | idle_timeout | hard_timeout | packet_count | byte_count | match |
/// +--------+----------+--------+----------+--------------+---------------+--------------+--------------+--------------+------------+-------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRemoved {
    /// The flow's cookie.
    pub cookie: u64,
    /// Its priority.
    pub priority: u16,
    /// Why it went.
    pub reason: FlowRemovedReason,
    /// Its table.
    pub table: TableId,
    /// Its age in seconds.
    pub duration_sec: u32,
    /// And nanoseconds beyond these.
    pub duration_nsec: u32,
    /// Its idle timeout in seconds.
    pub idle_timeout: u16,
    /// Its hard timeout in seconds.
    pub hard_timeout: u16,
    /// Packets that hit it.
    pub packet_count: u64,
    /// Bytes of them.
    pub byte_count: u64,
    /// Its match.
    pub match_: Match,
}

impl FlowRemoved {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let removed = FlowRemoved {
            cookie: r.u64()?,
            priority: r.u16()?,
            reason: FlowRemovedReason(r.u8()?),
            table: TableId(r.u8()?),
            duration_sec: r.u32()?,
            duration_nsec: r.u32()?,
            idle_timeout: r.u16()?,
            hard_timeout: r.u16()?,
            packet_count: r.u64()?,
            byte_count: r.u64()?,
            match_: Match::decode(r)?,
        };
        r.take_rest(); // which Open vSwitch does not look at either
        Ok(removed)
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u64(self.cookie);
        w.u16(self.priority);
        w.u8(self.reason.0);
        w.u8(self.table.0);
        w.u32(self.duration_sec);
        w.u32(self.duration_nsec);
        w.u16(self.idle_timeout);
        w.u16(self.hard_timeout);
        w.u64(self.packet_count);
        w.u64(self.byte_count);
        self.match_.encode(w)
    }
}

/// `nx_flow_removed`: the form that Nicira gave it on OpenFlow 1.0. It has no hard timeout.
///
/// ```text
///  16…23   24…25      26       27           28 … 31        32 … 35         36…37          38…39       40 … 47        48 … 55      56 …
/// +--------+----------+--------+------------+--------------+---------------+--------------+-----------+--------------+------------+------------+
/// | cookie | priority | reason | table_id+1 | duration_sec | duration_nsec | idle_timeout | match_len | packet_count | byte_count | match,pad8 |
/// +--------+----------+--------+------------+--------------+---------------+--------------+-----------+--------------+------------+------------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NxFlowRemoved(pub FlowRemoved);

impl NxFlowRemoved {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (cookie, priority) = (r.u64()?, r.u16()?);
        let (reason, table) = (FlowRemovedReason(r.u8()?), TableId(r.u8()?.wrapping_sub(1)));
        let (duration_sec, duration_nsec) = (r.u32()?, r.u32()?);
        let (idle_timeout, match_len) = (r.u16()?, usize::from(r.u16()?));
        let (packet_count, byte_count) = (r.u64()?, r.u64()?);
        let bad = r.error(ErrorKind::BmcBadLen);
        let fields = r.bytes(match_len).map_err(|_| bad)?;
        r.skip(match_len.wrapping_neg() & 7).map_err(|_| bad)?;
        Ok(NxFlowRemoved(FlowRemoved {
            cookie,
            priority,
            reason,
            table,
            duration_sec,
            duration_nsec,
            idle_timeout,
            hard_timeout: 0,
            packet_count,
            byte_count,
            match_: Match::decode_fields(fields, true)?,
        }))
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let removed = &self.0;
        w.u64(removed.cookie);
        w.u16(removed.priority);
        w.u8(removed.reason.0);
        w.u8(removed.table.0.wrapping_add(1));
        w.u32(removed.duration_sec);
        w.u32(removed.duration_nsec);
        w.u16(removed.idle_timeout);
        let length = w.pos();
        w.u16(0);
        w.u64(removed.packet_count);
        w.u64(removed.byte_count);
        let start = w.pos();
        removed.match_.encode_nxm_fields(w)?;
        let size = u16::try_from(w.pos() - start).map_err(|_| EncodeError::TooLong("match"))?;
        w.patch_u16(length, size);
        w.pad8(start);
        Ok(())
    }
}
