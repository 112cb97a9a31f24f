//! A packet for the controller: PACKET_IN (OpenFlow 1.3 §7.4.1) and the two forms that Nicira's extensions give it.

use super::experimenter::vendor_body;
use super::list::{NXT_PACKET_IN, NXT_PACKET_IN2};
use super::property::{self, Property, put, whole_u32, whole_u64};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::header::{HEADER_LEN, Header, MsgType};
use crate::match_::Match;
use crate::types::TableId;
use crate::wire::{Reader, Writer};

/// The buffer id of a packet that the switch did not keep.
pub const NO_BUFFER: u32 = u32::MAX;

/// `ofp_packet_in_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct PacketInReason(pub u8);

impl PacketInReason {
    /// No flow fitted.
    pub const NO_MATCH: Self = Self(0);
    /// An action sent it.
    pub const ACTION: Self = Self(1);
    /// Its TTL ran out.
    pub const INVALID_TTL: Self = Self(2);
}

/// `ofp_packet_in`, whichever of the three forms it came in.
///
/// ```text
///  8 … 11     12 … 13    14       15         16 … 23  24 …    2     …
/// +----------+----------+--------+----------+--------+-------+-----+--------+
/// | buffer_id| total_len| reason | table_id | cookie | match | pad | data   |
/// +----------+----------+--------+----------+--------+-------+-----+--------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PacketIn {
    /// Where the switch keeps the packet, or [`NO_BUFFER`].
    pub buffer_id: u32,
    /// Length of the whole packet in bytes, of which [`data`](Self::data) may be the beginning.
    pub total_len: u32,
    /// Why it was sent.
    pub reason: PacketInReason,
    /// Which table sent it.
    pub table: TableId,
    /// The cookie of the flow that sent it; `u64::MAX` if there is none.
    pub cookie: u64,
    /// Its metadata: in port, tunnel, registers, connection tracking state.
    pub match_: Match,
    /// The packet, from its Ethernet header.
    pub data: Vec<u8>,
    /// What the `controller` action had as `userdata` ([`PacketIn2`] only).
    pub userdata: Vec<u8>,
    /// What the switch needs to go on with the packet ([`PacketIn2`] only): opaque, see [`PacketIn2::resume`].
    pub continuation: Vec<u8>,
}

impl PacketIn {
    /// Decodes a whole message of any of the three forms.
    ///
    /// # Errors
    /// If it is none of them, or malformed.
    pub fn decode_message(message: &[u8]) -> Result<PacketIn, DecodeError> {
        let mut r = Reader::new(message, ErrorKind::BrcBadLen, "packet in");
        let header = Header::peek(message).ok_or(r.short())?;
        r.skip(HEADER_LEN)?;
        if header.type_ == MsgType::PACKET_IN {
            return Self::decode_body(&mut r);
        }
        match (header.type_, (r.u32()?, r.u32()?)) {
            (MsgType::EXPERIMENTER, NXT_PACKET_IN) => Ok(NxPacketIn::decode_body(&mut r)?.0),
            (MsgType::EXPERIMENTER, NXT_PACKET_IN2) => {
                PacketIn2::decode_body(&mut r)?.to_packet_in()
            }
            _ => Err(r.error(ErrorKind::BrcBadType)),
        }
    }

    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (buffer_id, total_len) = (r.u32()?, u32::from(r.u16()?));
        let (reason, table, cookie) = (PacketInReason(r.u8()?), TableId(r.u8()?), r.u64()?);
        let match_ = decode_loose_match(r)?;
        r.skip(2)?;
        let data = r.take_rest().to_vec();
        let (userdata, continuation) = (Vec::new(), Vec::new());
        Ok(PacketIn {
            buffer_id,
            total_len,
            reason,
            table,
            cookie,
            match_,
            data,
            userdata,
            continuation,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.buffer_id);
        w.u16(u16::try_from(self.total_len).map_err(|_| EncodeError::TooLong("packet in"))?);
        w.u8(self.reason.0);
        w.u8(self.table.0);
        w.u64(self.cookie);
        self.match_.encode(w)?;
        w.zeros(2);
        w.bytes(&self.data);
        Ok(())
    }
}

/// A match with its header, in which unknown fields and missing prerequisites do no harm.
fn decode_loose_match(r: &mut Reader<'_>) -> Result<Match, DecodeError> {
    let bad = DecodeError::new(ErrorKind::BmcBadLen, "match");
    if r.len() < 4 {
        return Err(bad);
    }
    let (type_, length) = (r.u16()?, usize::from(r.u16()?));
    let size = length.checked_sub(4).ok_or(bad)?;
    if type_ != 1 {
        return Err(DecodeError::new(ErrorKind::BmcBadType, "match"));
    }
    let fields = r.bytes(size).map_err(|_| bad)?;
    r.skip(length.wrapping_neg() & 7).map_err(|_| bad)?;
    Match::decode_fields(fields, false)
}

/// `nx_packet_in`: the form from before the specification carried metadata.
///
/// ```text
///  16 … 19    20 … 21    22       23         24 … 31  32 … 33     34…39  40 …         2     …
/// +----------+----------+--------+----------+--------+-----------+------+------------+-----+------+
/// | buffer_id| total_len| reason | table_id | cookie | match_len | pad  | match,pad8 | pad | data |
/// +----------+----------+--------+----------+--------+-----------+------+------------+-----+------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct NxPacketIn(pub PacketIn);

impl NxPacketIn {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (buffer_id, total_len) = (r.u32()?, u32::from(r.u16()?));
        let (reason, table, cookie) = (PacketInReason(r.u8()?), TableId(r.u8()?), r.u64()?);
        let match_len = usize::from(r.u16()?);
        r.skip(6)?;
        let bad = r.error(ErrorKind::BmcBadLen);
        let fields = r.bytes(match_len).map_err(|_| bad)?;
        r.skip(match_len.wrapping_neg() & 7).map_err(|_| bad)?;
        let match_ = Match::decode_fields(fields, false)?;
        r.skip(2)?;
        let data = r.take_rest().to_vec();
        let (userdata, continuation) = (Vec::new(), Vec::new());
        Ok(NxPacketIn(PacketIn {
            buffer_id,
            total_len,
            reason,
            table,
            cookie,
            match_,
            data,
            userdata,
            continuation,
        }))
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let packet = &self.0;
        w.u32(packet.buffer_id);
        w.u16(u16::try_from(packet.total_len).map_err(|_| EncodeError::TooLong("packet in"))?);
        w.u8(packet.reason.0);
        w.u8(packet.table.0);
        w.u64(packet.cookie);
        let length = w.pos();
        w.zeros(8);
        let start = w.pos();
        packet.match_.encode_nxm_fields(w)?;
        let size = u16::try_from(w.pos() - start).map_err(|_| EncodeError::TooLong("match"))?;
        w.patch_u16(length, size);
        w.pad8(start);
        w.zeros(2);
        w.bytes(&packet.data);
        Ok(())
    }
}

const PACKET: u16 = 0;
const FULL_LEN: u16 = 1;
const BUFFER_ID: u16 = 2;
const TABLE: u16 = 3;
const COOKIE: u16 = 4;
const REASON: u16 = 5;
const METADATA: u16 = 6;
const USERDATA: u16 = 7;
const CONTINUATION: u16 = 8;

/// `NXT_PACKET_IN2`: a packet-in of properties; also the body of `NXT_RESUME`.
#[derive(Clone, Debug, PartialEq)]
pub struct PacketIn2 {
    /// In the order they came.
    pub properties: Vec<PacketInProperty>,
}

/// `nx_packet_in2_prop_type`.
#[derive(Clone, Debug, PartialEq)]
pub enum PacketInProperty {
    /// The packet, or its beginning.
    Packet(Vec<u8>),
    /// Its length in bytes, if that is only the beginning.
    FullLen(u32),
    /// Where the switch keeps it.
    BufferId(u32),
    /// Which table sent it.
    Table(TableId),
    /// The cookie of the flow that sent it.
    Cookie(u64),
    /// Why.
    Reason(PacketInReason),
    /// Its metadata.
    Metadata(Box<Match>),
    /// What the action had as `userdata`.
    Userdata(Vec<u8>),
    /// What the switch needs to go on with it: opaque.
    Continuation(Vec<u8>),
    /// Another property.
    Other(Property),
}

impl PacketIn2 {
    /// All properties as one [`PacketIn`].
    ///
    /// # Errors
    /// If there is no packet, or less is claimed than is there.
    pub fn to_packet_in(&self) -> Result<PacketIn, DecodeError> {
        let mut out = PacketIn {
            buffer_id: NO_BUFFER,
            total_len: 0,
            reason: PacketInReason(0),
            table: TableId(0),
            cookie: u64::MAX,
            match_: Match::new(),
            data: Vec::new(),
            userdata: Vec::new(),
            continuation: Vec::new(),
        };
        for property in &self.properties {
            match property {
                PacketInProperty::Packet(data) => out.data.clone_from(data),
                PacketInProperty::FullLen(length) => out.total_len = *length,
                PacketInProperty::BufferId(id) => out.buffer_id = *id,
                PacketInProperty::Table(table) => out.table = *table,
                PacketInProperty::Cookie(cookie) => out.cookie = *cookie,
                PacketInProperty::Reason(reason) => out.reason = *reason,
                PacketInProperty::Metadata(match_) => out.match_ = (**match_).clone(),
                PacketInProperty::Userdata(data) => out.userdata.clone_from(data),
                PacketInProperty::Continuation(data) => out.continuation.clone_from(data),
                PacketInProperty::Other(_) => {}
            }
        }
        let bad = DecodeError::new(ErrorKind::BrcBadLen, "packet in");
        let length = u32::try_from(out.data.len()).map_err(|_| bad)?;
        if length == 0 || out.total_len != 0 && out.total_len < length {
            return Err(bad);
        }
        if out.total_len == 0 {
            out.total_len = length;
        }
        Ok(out)
    }

    /// The body of the `NXT_RESUME` that has the switch go on with `packet`, which may have been changed meanwhile.
    #[must_use]
    pub fn resume(packet: &PacketIn) -> PacketIn2 {
        let mut properties = vec![
            PacketInProperty::Packet(packet.data.clone()),
            PacketInProperty::Table(packet.table),
        ];
        if packet.cookie != u64::MAX {
            properties.push(PacketInProperty::Cookie(packet.cookie));
        }
        properties.push(PacketInProperty::Reason(packet.reason));
        properties.push(PacketInProperty::Metadata(Box::new(packet.match_.clone())));
        properties.push(PacketInProperty::Continuation(packet.continuation.clone()));
        PacketIn2 { properties }
    }

    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut properties = Vec::new();
        while !r.is_empty() {
            let (type_, mut data) = Property::pull(r, "packet in")?;
            properties.push(match type_ {
                PACKET => PacketInProperty::Packet(data.rest().to_vec()),
                FULL_LEN => PacketInProperty::FullLen(whole_u32(data)?),
                BUFFER_ID => PacketInProperty::BufferId(whole_u32(data)?),
                TABLE => PacketInProperty::Table(TableId(data.u8()?)),
                COOKIE => PacketInProperty::Cookie(whole_u64(data)?),
                REASON => PacketInProperty::Reason(PacketInReason(data.u8()?)),
                METADATA => {
                    PacketInProperty::Metadata(Box::new(Match::decode_fields(data.rest(), false)?))
                }
                USERDATA => PacketInProperty::Userdata(data.rest().to_vec()),
                CONTINUATION => {
                    data.skip(4)?;
                    PacketInProperty::Continuation(data.rest().to_vec())
                }
                _ => PacketInProperty::Other(Property {
                    type_,
                    data: data.rest().to_vec(),
                }),
            });
        }
        let packet = PacketIn2 { properties };
        packet.to_packet_in()?;
        Ok(packet)
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        for property in &self.properties {
            let bytes = |type_, bytes: &[u8], w: &mut Writer<'_>| {
                put(w, type_, |w| {
                    w.bytes(bytes);
                    Ok(())
                })
            };
            match property {
                PacketInProperty::Packet(data) => bytes(PACKET, data, w)?,
                PacketInProperty::FullLen(length) => property::put_u32(w, FULL_LEN, *length)?,
                PacketInProperty::BufferId(id) => property::put_u32(w, BUFFER_ID, *id)?,
                PacketInProperty::Table(table) => property::put_u8(w, TABLE, table.0)?,
                PacketInProperty::Cookie(cookie) => property::put_u64(w, COOKIE, *cookie)?,
                PacketInProperty::Reason(reason) => property::put_u8(w, REASON, reason.0)?,
                PacketInProperty::Metadata(match_) => {
                    put(w, METADATA, |w| match_.encode_fields(w))?
                }
                PacketInProperty::Userdata(data) => bytes(USERDATA, data, w)?,
                PacketInProperty::Continuation(data) => put(w, CONTINUATION, |w| {
                    w.zeros(4);
                    w.bytes(data);
                    Ok(())
                })?,
                PacketInProperty::Other(property) => property.encode(w)?,
            }
        }
        Ok(())
    }
}

/// Whether a message is a packet-in of any form.
pub(crate) fn is_packet_in(header: Header, message: &[u8]) -> bool {
    let is = |code: (u32, u32)| vendor_body(message, code).is_some();
    match header.type_ {
        MsgType::PACKET_IN => true,
        MsgType::EXPERIMENTER => is(NXT_PACKET_IN) || is(NXT_PACKET_IN2),
        _ => false,
    }
}
