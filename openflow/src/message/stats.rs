//! The small multipart bodies: description, aggregate, group statistics and features, queues.
//!
//! OpenFlow 1.3 §7.3.5.

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::types::{GroupId, PortNo, QueueId};
use crate::wire::{Reader, Writer};

const DESC_LEN: usize = 256;
const SERIAL_LEN: usize = 32;

/// `ofp_desc` (§7.3.5.1): texts about the switch, each zero-terminated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DescStats {
    /// Manufacturer.
    pub mfr_desc: [u8; DESC_LEN],
    /// Hardware.
    pub hw_desc: [u8; DESC_LEN],
    /// Software.
    pub sw_desc: [u8; DESC_LEN],
    /// Serial number.
    pub serial_num: [u8; SERIAL_LEN],
    /// The datapath, for people.
    pub dp_desc: [u8; DESC_LEN],
}

impl DescStats {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Box<Self>, DecodeError> {
        Ok(Box::new(DescStats {
            mfr_desc: *r.array()?,
            hw_desc: *r.array()?,
            sw_desc: *r.array()?,
            serial_num: *r.array()?,
            dp_desc: *r.array()?,
        }))
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.array(&self.mfr_desc);
        w.array(&self.hw_desc);
        w.array(&self.sw_desc);
        w.array(&self.serial_num);
        w.array(&self.dp_desc);
        Ok(())
    }
}

/// `ofp_aggregate_stats_reply` (§7.3.5.3): the sum over some flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AggregateStats {
    /// Packets; `u64::MAX` if unknown.
    pub packet_count: u64,
    /// Bytes; `u64::MAX` if unknown.
    pub byte_count: u64,
    /// Flows.
    pub flow_count: u32,
}

impl AggregateStats {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stats = AggregateStats {
            packet_count: r.u64()?,
            byte_count: r.u64()?,
            flow_count: r.u32()?,
        };
        r.skip(4)?;
        Ok(stats)
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u64(self.packet_count);
        w.u64(self.byte_count);
        w.u32(self.flow_count);
        w.zeros(4);
        Ok(())
    }
}

/// `ofp_group_stats` (§7.3.5.9): the counters of a group.
///
/// ```text
///  0 … 1   2…3  4 … 7     8 … 11     12…15  16 … 23       24 … 31     32 … 35       36 … 39        40 …
/// +-------+----+----------+-----------+-----+--------------+------------+--------------+---------------+------+
/// |length |pad | group_id | ref_count | pad | packet_count | byte_count | duration_sec | duration_nsec | (16) |
/// +-------+----+----------+-----------+-----+--------------+------------+--------------+---------------+------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupStats {
    /// Which group.
    pub group: GroupId,
    /// Flows and groups that point at it.
    pub ref_count: u32,
    /// Packets it processed.
    pub packet_count: u64,
    /// Bytes it processed.
    pub byte_count: u64,
    /// Its age in seconds; `u32::MAX` if unknown.
    pub duration_sec: u32,
    /// And nanoseconds beyond these.
    pub duration_nsec: u32,
    /// Counters of its buckets, in order.
    pub buckets: Vec<BucketCounter>,
}

/// `ofp_bucket_counter` (§7.3.5.9). A counter the switch does not keep is `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BucketCounter {
    /// Packets.
    pub packet_count: u64,
    /// Bytes.
    pub byte_count: u64,
}

impl GroupStats {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = DecodeError::new(ErrorKind::BrcBadLen, "group stats");
        let length = r
            .rest()
            .first_chunk::<2>()
            .map(|b| usize::from(u16::from_be_bytes(*b)))
            .ok_or(bad)?;
        // What is too short for another bucket is passed over, in the length but not in the message.
        let buckets = length.checked_sub(40).ok_or(bad)? / 16;
        let mut r = r.sub(40 + buckets * 16).map_err(|_| bad)?;
        r.skip(4)?;
        let (group, ref_count) = (GroupId(r.u32()?), r.u32()?);
        r.skip(4)?;
        let (packet_count, byte_count) = (r.u64()?, r.u64()?);
        let (duration_sec, duration_nsec) = (r.u32()?, r.u32()?);
        let mut buckets = Vec::with_capacity(r.len() / 16);
        while !r.is_empty() {
            buckets.push(BucketCounter {
                packet_count: r.u64()?,
                byte_count: r.u64()?,
            });
        }
        Ok(GroupStats {
            group,
            ref_count,
            packet_count,
            byte_count,
            duration_sec,
            duration_nsec,
            buckets,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        let length = w.length(start);
        w.zeros(2);
        w.u32(self.group.0);
        w.u32(self.ref_count);
        w.zeros(4);
        w.u64(self.packet_count);
        w.u64(self.byte_count);
        w.u32(self.duration_sec);
        w.u32(self.duration_nsec);
        for bucket in &self.buckets {
            w.u64(bucket.packet_count);
            w.u64(bucket.byte_count);
        }
        w.end(length, "group stats")
    }
}

/// `ofp_group_features` (§7.3.5.11): what groups the switch can do. The arrays are indexed by group type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GroupFeatures {
    /// Bit `n` says whether type `n` is supported.
    pub types: u32,
    /// `ofp_group_capabilities`.
    pub capabilities: u32,
    /// Highest number of groups of each type.
    pub max_groups: [u32; 4],
    /// Bit `n` says whether action `n` is supported, for each type.
    pub actions: [u32; 4],
}

impl GroupFeatures {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(GroupFeatures {
            types: r.u32()?,
            capabilities: r.u32()?,
            max_groups: [r.u32()?, r.u32()?, r.u32()?, r.u32()?],
            actions: [r.u32()?, r.u32()?, r.u32()?, r.u32()?],
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.types);
        w.u32(self.capabilities);
        for word in self.max_groups.iter().chain(&self.actions) {
            w.u32(*word);
        }
        Ok(())
    }
}

/// `ofp_queue_stats` (§7.3.5.8): counters of a queue. A counter the switch does not keep is `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueStats {
    /// Whose queue.
    pub port: PortNo,
    /// Which of the port.
    pub queue: QueueId,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets dropped by overrun.
    pub tx_errors: u64,
    /// Age in seconds; `u32::MAX` if unknown.
    pub duration_sec: u32,
    /// And nanoseconds beyond these.
    pub duration_nsec: u32,
}

impl QueueStats {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(QueueStats {
            port: super::port::port(r)?,
            queue: QueueId(r.u32()?),
            tx_bytes: r.u64()?,
            tx_packets: r.u64()?,
            tx_errors: r.u64()?,
            duration_sec: r.u32()?,
            duration_nsec: r.u32()?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.port.0);
        w.u32(self.queue.0);
        w.u64(self.tx_bytes);
        w.u64(self.tx_packets);
        w.u64(self.tx_errors);
        w.u32(self.duration_sec);
        w.u32(self.duration_nsec);
        Ok(())
    }
}
