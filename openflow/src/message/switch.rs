//! FEATURES and SWITCH_CONFIG (OpenFlow 1.3 §7.3.1, §7.3.2): what the switch is and how it treats packets.

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::header::HEADER_LEN;
use crate::wire::{Reader, Writer};

/// `ofp_switch_features`.
///
/// ```text
///  8 … 15        16 … 19     20         21             22…23  24 … 27        28 … 31
/// +-------------+-----------+----------+--------------+------+--------------+----------+
/// | datapath_id | n_buffers | n_tables | auxiliary_id | pad  | capabilities | reserved |
/// +-------------+-----------+----------+--------------+------+--------------+----------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FeaturesReply {
    /// Identifies the datapath; its low 48 bits are usually a MAC address.
    pub datapath_id: u64,
    /// Packets the switch can keep at once.
    pub n_buffers: u32,
    /// Flow tables.
    pub n_tables: u8,
    /// 0 for the main connection.
    pub auxiliary_id: u8,
    /// `ofp_capabilities`.
    pub capabilities: u32,
    /// Reserved.
    pub reserved: u32,
}

impl FeaturesReply {
    /// Decodes a whole FEATURES_REPLY.
    ///
    /// # Errors
    /// If its length is wrong.
    pub fn decode_message(message: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(message, ErrorKind::BrcBadLen, "features reply");
        r.skip(HEADER_LEN)?;
        let features = Self::decode_body(&mut r)?;
        r.finish()?;
        Ok(features)
    }

    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (datapath_id, n_buffers, n_tables, auxiliary_id) =
            (r.u64()?, r.u32()?, r.u8()?, r.u8()?);
        r.skip(2)?;
        Ok(FeaturesReply {
            datapath_id,
            n_buffers,
            n_tables,
            auxiliary_id,
            capabilities: r.u32()?,
            reserved: r.u32()?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u64(self.datapath_id);
        w.u32(self.n_buffers);
        w.u8(self.n_tables);
        w.u8(self.auxiliary_id);
        w.zeros(2);
        w.u32(self.capabilities);
        w.u32(self.reserved);
        Ok(())
    }
}

/// `ofp_switch_config`: fragment handling and how much of a packet a packet-in carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct SwitchConfig {
    /// `ofp_config_flags`: the low two bits are 0 for normal, 1 to drop fragments, 2 to reassemble, and Open
    /// vSwitch's 3 for nx-match.
    pub flags: u16,
    /// Bytes of a packet sent in a packet-in.
    pub miss_send_len: u16,
}

impl SwitchConfig {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(SwitchConfig {
            flags: r.u16()?,
            miss_send_len: r.u16()?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u16(self.flags);
        w.u16(self.miss_send_len);
        Ok(())
    }
}
