//! Tables: TABLE_MOD (OpenFlow 1.3 §7.3.3) and their statistics (§7.3.5.4). What a table can do is in
//! [`table_features`](super::table_features).

use crate::error::{DecodeError, EncodeError};
use crate::types::TableId;
use crate::wire::{Reader, Writer};

/// `ofp_table_mod`.
///
/// ```text
///  8          9 … 11  12 … 15
/// +----------+-------+--------+
/// | table_id | pad   | config |
/// +----------+-------+--------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableMod {
    /// Which table, or [`TableId::ALL`].
    pub table: TableId,
    /// `ofp_table_config`; in OpenFlow 1.3 bits 0 and 1 are reserved, Open vSwitch takes them for what a miss
    /// does, as OpenFlow 1.1 had it.
    pub config: u32,
}

impl TableMod {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let table = TableId(r.u8()?);
        r.skip(3)?;
        Ok(TableMod {
            table,
            config: r.u32()?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u8(self.table.0);
        w.zeros(3);
        w.u32(self.config);
        Ok(())
    }
}

/// `ofp_table_stats`.
///
/// ```text
///  0          1 … 3  4 … 7          8 … 15         16 … 23
/// +----------+------+--------------+--------------+---------------+
/// | table_id | pad  | active_count | lookup_count | matched_count |
/// +----------+------+--------------+--------------+---------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TableStats {
    /// Which table.
    pub table: TableId,
    /// Flows in it.
    pub active_count: u32,
    /// Packets looked up.
    pub lookup_count: u64,
    /// Packets that hit a flow.
    pub matched_count: u64,
}

impl TableStats {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let table = TableId(r.u8()?);
        r.skip(3)?;
        Ok(TableStats {
            table,
            active_count: r.u32()?,
            lookup_count: r.u64()?,
            matched_count: r.u64()?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u8(self.table.0);
        w.zeros(3);
        w.u32(self.active_count);
        w.u64(self.lookup_count);
        w.u64(self.matched_count);
        Ok(())
    }
}
