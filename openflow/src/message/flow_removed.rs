//! FLOW_REMOVED (OpenFlow 1.3 §7.4.2): a flow went.

use crate::error::{DecodeError, EncodeError};
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
    /// And nanoseconds.
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
        Ok(FlowRemoved {
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
        })
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
