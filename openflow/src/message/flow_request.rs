//! Which flows a FLOW or AGGREGATE multipart request asks for (OpenFlow 1.3 §7.3.5.2).

use crate::error::{DecodeError, EncodeError};
use crate::match_::Match;
use crate::types::{GroupId, PortNo, TableId};
use crate::wire::{Reader, Writer};

/// `ofp_flow_stats_request`. [`Default`] asks for every flow of every table.
///
/// ```text
///  0          1…3   4 … 7      8 … 11      12…15  16 … 23  24 … 31       32 …
/// +----------+-----+----------+-----------+------+--------+-------------+-------+
/// | table_id | pad | out_port | out_group | pad  | cookie | cookie_mask | match |
/// +----------+-----+----------+-----------+------+--------+-------------+-------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FlowRequest {
    /// In this table, or in every one with [`TableId::ALL`].
    pub table: TableId,
    /// With an output to this port, or any with [`PortNo::ANY`].
    pub out_port: PortNo,
    /// With this group, or any with [`GroupId::ANY`].
    pub out_group: GroupId,
    /// Whose cookie has these bits,
    pub cookie: u64,
    /// where this mask has ones.
    pub cookie_mask: u64,
    /// At least as specific as this match.
    pub match_: Match,
}

impl Default for FlowRequest {
    fn default() -> Self {
        FlowRequest {
            table: TableId::ALL,
            out_port: PortNo::ANY,
            out_group: GroupId::ANY,
            cookie: 0,
            cookie_mask: 0,
            match_: Match::new(),
        }
    }
}

impl FlowRequest {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let table = TableId(r.u8()?);
        r.skip(3)?;
        let (out_port, out_group) = (super::port::port(r)?, GroupId(r.u32()?));
        r.skip(4)?;
        let (cookie, cookie_mask) = (r.u64()?, r.u64()?);
        let request = FlowRequest {
            table,
            out_port,
            out_group,
            cookie,
            cookie_mask,
            match_: Match::decode(r)?,
        };
        r.take_rest(); // which Open vSwitch does not look at either
        Ok(request)
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u8(self.table.0);
        w.zeros(3);
        w.u32(self.out_port.0);
        w.u32(self.out_group.0);
        w.zeros(4);
        w.u64(self.cookie);
        w.u64(self.cookie_mask);
        self.match_.encode(w)
    }
}
