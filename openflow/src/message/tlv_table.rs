//! The mapping of Geneve options to `tun_metadata` fields (Nicira extension).

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::wire::{Reader, Writer};

/// Fields `tun_metadata0` to `tun_metadata63`.
const N_FIELDS: u16 = 64;
/// Longest option in bytes.
const MAX_OPTION_LEN: u8 = 124;

/// `nx_tlv_map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TlvMap {
    /// The option's class.
    pub class: u16,
    /// The option's type.
    pub type_: u8,
    /// Length of its data in bytes, a multiple of four.
    pub length: u8,
    /// Number of the `tun_metadata` field.
    pub index: u16,
}

impl TlvMap {
    fn decode_all(r: &mut Reader<'_>, n_fields: u16) -> Result<Vec<TlvMap>, DecodeError> {
        let mut all = Vec::with_capacity(r.len() / 8);
        while !r.is_empty() {
            let map = TlvMap {
                class: r.u16()?,
                type_: r.u8()?,
                length: r.u8()?,
                index: r.u16()?,
            };
            r.skip(2)?;
            if !map.length.is_multiple_of(4) || map.length > MAX_OPTION_LEN {
                return Err(r.error(ErrorKind::NxttmfcBadOptLen));
            }
            if map.index >= n_fields {
                return Err(r.error(ErrorKind::NxttmfcBadFieldIdx));
            }
            all.push(map);
        }
        Ok(all)
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.class);
        w.u8(self.type_);
        w.u8(self.length);
        w.u16(self.index);
        w.zeros(2);
    }
}

/// `nx_tlv_table_mod_command`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlvCommand {
    /// Adds mappings.
    Add,
    /// Removes mappings.
    Delete,
    /// Removes all.
    Clear,
}

/// `nx_tlv_table_mod`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlvTableMod {
    /// What to do.
    pub command: TlvCommand,
    /// With which mappings.
    pub maps: Vec<TlvMap>,
}

impl TlvTableMod {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let command = r.u16()?;
        r.skip(6)?;
        let command = match command {
            0 => TlvCommand::Add,
            1 => TlvCommand::Delete,
            2 => TlvCommand::Clear,
            _ => return Err(r.error(ErrorKind::NxttmfcBadCommand)),
        };
        Ok(TlvTableMod {
            command,
            maps: TlvMap::decode_all(r, N_FIELDS)?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u16(match self.command {
            TlvCommand::Add => 0,
            TlvCommand::Delete => 1,
            TlvCommand::Clear => 2,
        });
        w.zeros(6);
        self.maps.iter().for_each(|map| map.encode(w));
        Ok(())
    }
}

/// `nx_tlv_table_reply`: the mappings in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlvTableReply {
    /// Bytes that all options together may have.
    pub max_option_space: u32,
    /// Fields there are.
    pub max_fields: u16,
    /// The mappings.
    pub maps: Vec<TlvMap>,
}

impl TlvTableReply {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (max_option_space, max_fields) = (r.u32()?, r.u16()?);
        r.skip(10)?;
        Ok(TlvTableReply {
            max_option_space,
            max_fields,
            maps: TlvMap::decode_all(r, max_fields)?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.max_option_space);
        w.u16(self.max_fields);
        w.zeros(10);
        self.maps.iter().for_each(|map| map.encode(w));
        Ok(())
    }
}
