//! What a table can do (OpenFlow 1.3 §7.3.5.5).

use super::property::Property;
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::field::{Field, OxmHeader};
use crate::types::TableId;
use crate::wire::{Reader, Writer};

const NAME_LEN: usize = 32;
const FIXED_LEN: usize = 64;

/// `ofp_table_features`.
///
/// ```text
///  0 … 1   2          3 … 7  8 … 39  40 … 47          48 … 55          56 … 59  60 … 63       64 …
/// +-------+----------+------+-------+----------------+----------------+--------+-------------+------------+
/// |length | table_id | pad  | name  | metadata_match | metadata_write | config | max_entries | properties |
/// +-------+----------+------+-------+----------------+----------------+--------+-------------+------------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableFeatures {
    /// Which table.
    pub table: TableId,
    /// Its name, zero-terminated.
    pub name: [u8; NAME_LEN],
    /// Bits of metadata it can match.
    pub metadata_match: u64,
    /// Bits of metadata it can write.
    pub metadata_write: u64,
    /// `ofp_table_config`.
    pub config: u32,
    /// How many flows it holds at most.
    pub max_entries: u32,
    /// Instructions, actions and fields it supports; see [`property`] for the types.
    pub properties: Vec<Property>,
}

/// `ofp_table_feature_prop_type`. Those that hold for the table-miss flow only are one higher.
pub mod property {
    /// Instructions.
    pub const INSTRUCTIONS: u16 = 0;
    /// Tables that can be jumped to.
    pub const NEXT_TABLES: u16 = 2;
    /// Actions in Write-Actions.
    pub const WRITE_ACTIONS: u16 = 4;
    /// Actions in Apply-Actions.
    pub const APPLY_ACTIONS: u16 = 6;
    /// Fields that can be matched.
    pub const MATCH: u16 = 8;
    /// Of these, those that can be omitted.
    pub const WILDCARDS: u16 = 10;
    /// Fields that Write-Actions can set.
    pub const WRITE_SETFIELD: u16 = 12;
    /// Fields that Apply-Actions can set.
    pub const APPLY_SETFIELD: u16 = 14;
    /// An experimenter's.
    pub const EXPERIMENTER: u16 = 0xfffe;
}

impl TableFeatures {
    /// The name up to its first zero, with what is not UTF-8 replaced.
    #[must_use]
    pub fn name(&self) -> String {
        let end = self.name.iter().position(|b| *b == 0).unwrap_or(NAME_LEN);
        String::from_utf8_lossy(self.name.get(..end).unwrap_or_default()).into_owned()
    }

    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = DecodeError::new(ErrorKind::BpcBadLen, "table features");
        let length = r
            .rest()
            .first_chunk::<2>()
            .map(|b| usize::from(u16::from_be_bytes(*b)))
            .ok_or(bad)?;
        if length < FIXED_LEN || length % 8 != 0 || length > r.len() {
            return Err(bad);
        }
        let mut r = r.sub(length)?;
        r.skip(2)?;
        let table = TableId(r.u8()?);
        r.skip(5)?;
        let mut features = TableFeatures {
            table,
            name: *r.array()?,
            metadata_match: r.u64()?,
            metadata_write: r.u64()?,
            config: r.u32()?,
            max_entries: r.u32()?,
            properties: Vec::new(),
        };
        match Property::decode_all(&mut r, "table feature", &mut features.properties) {
            Ok(()) => Ok(features),
            // Open vSwitch looks into each before it goes on to the next.
            Err(error) => Err(features.check_each().err().unwrap_or(error)),
        }
    }

    /// Checks what Open vSwitch checks of a table and its properties, but for whether all are there that must be.
    pub(crate) fn check_each(&self) -> Result<(), DecodeError> {
        let error = |kind| Err(DecodeError::new(kind, "table features"));
        if self.table == TableId::ALL {
            return error(ErrorKind::TffcBadTable);
        }
        let mut seen = 0_u32;
        for p in &self.properties {
            if let Some(bit) = 1_u32.checked_shl(u32::from(p.type_)) {
                if seen & bit != 0 {
                    return error(ErrorKind::TffcBadFeatures);
                }
                seen |= bit;
            }
            match p.type_ & !1 {
                property::INSTRUCTIONS | property::WRITE_ACTIONS | property::APPLY_ACTIONS => {
                    ids(p)?;
                }
                property::NEXT_TABLES if p.data.contains(&0xff) => {
                    return error(ErrorKind::BpcBadValue);
                }
                property::MATCH if p.type_ == property::MATCH => {
                    fields(p)?;
                }
                property::WILDCARDS if p.type_ != property::WILDCARDS => {}
                property::WILDCARDS | property::WRITE_SETFIELD | property::APPLY_SETFIELD
                    if fields(p)?.iter().any(|(_, masked)| *masked) =>
                {
                    return error(ErrorKind::BmcBadMask);
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        let length = w.length(start);
        w.u8(self.table.0);
        w.zeros(5);
        w.array(&self.name);
        w.u64(self.metadata_match);
        w.u64(self.metadata_write);
        w.u32(self.config);
        w.u32(self.max_entries);
        for property in &self.properties {
            property.encode(w)?;
        }
        w.end(length, "table features")
    }
}

/// The instructions or actions that a property lists.
pub(crate) fn ids(property: &Property) -> Result<Vec<u16>, DecodeError> {
    let mut r = Reader::new(&property.data, ErrorKind::BpcBadLen, "table feature");
    let mut all = Vec::new();
    while !r.is_empty() {
        let (id, length) = (r.u16()?, usize::from(r.u16()?));
        r.skip(length.checked_sub(4).ok_or(r.short())?)?;
        all.push(id);
    }
    Ok(all)
}

/// The fields that a property lists, and of each whether with a mask; unknown ones are left out.
pub(crate) fn fields(property: &Property) -> Result<Vec<(Field, bool)>, DecodeError> {
    let mut r = Reader::new(&property.data, ErrorKind::BmcBadLen, "table feature");
    let mut all = Vec::new();
    while !r.is_empty() {
        let header = OxmHeader::decode(&mut r)?;
        all.extend(header.field().map(|field| (field, header.has_mask())));
    }
    Ok(all)
}
