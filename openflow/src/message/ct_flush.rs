//! Flushing connection tracking entries (Nicira extension): by zone, or by a partial tuple.

use std::net::{IpAddr, Ipv6Addr};

use super::property::{Property, put, put_u8, put_u16};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::wire::{Reader, Writer};

const ORIG_TUPLE: u16 = 0;
const REPLY_TUPLE: u16 = 1;
const ZONE_ID: u16 = 2;

const SRC: u16 = 0;
const DST: u16 = 1;
const SRC_PORT: u16 = 2;
const DST_PORT: u16 = 3;
const ICMP_ID: u16 = 4;
const ICMP_TYPE: u16 = 5;
const ICMP_CODE: u16 = 6;

/// One direction of a connection: `nx_ct_flush_tuple_tlv_type`. What is `None` fits anything; numbers are in host byte
/// order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct CtTuple {
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// Source port.
    pub src_port: Option<u16>,
    /// Destination port.
    pub dst_port: Option<u16>,
    /// ICMP identifier.
    pub icmp_id: Option<u16>,
    /// ICMP type.
    pub icmp_type: Option<u8>,
    /// ICMP code.
    pub icmp_code: Option<u8>,
}

/// `nx_ct_flush`: which connections to forget.
///
/// ```text
///  16         17 … 23  24 …
/// +----------+-------+--------------------------------------------+
/// | ip_proto | zeros | properties: tuples (nested), zone          |
/// +----------+-------+--------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct CtFlush {
    /// IP protocol; 0 fits any.
    pub ip_proto: u8,
    /// The direction of the first packet.
    pub orig: Option<CtTuple>,
    /// The direction of the replies.
    pub reply: Option<CtTuple>,
    /// The zone; `None` is all of them.
    pub zone: Option<u16>,
}

fn address(mut r: Reader<'_>) -> Result<IpAddr, DecodeError> {
    let address = Ipv6Addr::from(*r.array::<16>()?);
    Ok(address
        .to_ipv4_mapped()
        .map_or(IpAddr::V6(address), IpAddr::V4))
}

/// Addresses are all of one family; one of all zeros is of any.
#[derive(Default)]
struct Family(Option<bool>);

impl Family {
    fn check(&mut self, address: IpAddr) -> Result<IpAddr, DecodeError> {
        let is_v4 = match address {
            IpAddr::V4(_) => Some(true),
            IpAddr::V6(address) => (!address.is_unspecified()).then_some(false),
        };
        if self.0.is_some() && is_v4.is_some() && self.0 != is_v4 {
            return Err(DecodeError::new(ErrorKind::BpcBadValue, "ct tuple"));
        }
        self.0 = is_v4;
        Ok(address)
    }
}

fn put_address(address: IpAddr, w: &mut Writer<'_>) {
    match address {
        IpAddr::V4(address) => w.array(&address.to_ipv6_mapped().octets()),
        IpAddr::V6(address) => w.array(&address.octets()),
    }
}

impl CtTuple {
    fn read(&mut self, mut outer: Reader<'_>, family: &mut Family) -> Result<(), DecodeError> {
        // A nested property's data begins after four bytes of padding.
        outer.skip(4)?;
        while !outer.is_empty() {
            let (type_, mut data) = Property::pull(&mut outer, "ct tuple")?;
            // Ports, and an identifier with type and code, exclude each other: the last one counts.
            match type_ {
                SRC => self.src = Some(family.check(address(data)?)?),
                DST => self.dst = Some(family.check(address(data)?)?),
                SRC_PORT => (self.src_port, self.icmp_id) = (Some(data.u16()?), None),
                DST_PORT => {
                    self.dst_port = Some(data.u16()?);
                    (self.icmp_type, self.icmp_code) = (None, None);
                }
                ICMP_ID => (self.icmp_id, self.src_port) = (Some(data.u16()?), None),
                ICMP_TYPE => (self.icmp_type, self.dst_port) = (Some(data.u8()?), None),
                ICMP_CODE => (self.icmp_code, self.dst_port) = (Some(data.u8()?), None),
                _ => {}
            }
        }
        Ok(())
    }

    fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        for (type_, value) in [(SRC, self.src), (DST, self.dst)] {
            if let Some(value) = value {
                put(w, type_, |w| {
                    put_address(value, w);
                    Ok(())
                })?;
            }
        }
        for (type_, value) in [
            (SRC_PORT, self.src_port),
            (DST_PORT, self.dst_port),
            (ICMP_ID, self.icmp_id),
        ] {
            if let Some(value) = value {
                put_u16(w, type_, value)?;
            }
        }
        for (type_, value) in [(ICMP_TYPE, self.icmp_type), (ICMP_CODE, self.icmp_code)] {
            if let Some(value) = value {
                put_u8(w, type_, value)?;
            }
        }
        Ok(())
    }
}

impl CtFlush {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut flush = CtFlush {
            ip_proto: r.u8()?,
            ..CtFlush::default()
        };
        r.zeros(7, ErrorKind::NxbrcMustBeZero)?;
        let mut family = Family::default();
        while !r.is_empty() {
            let (type_, mut data) = Property::pull(r, "ct flush")?;
            match type_ {
                ORIG_TUPLE => flush.orig.get_or_insert_default().read(data, &mut family)?,
                REPLY_TUPLE => flush
                    .reply
                    .get_or_insert_default()
                    .read(data, &mut family)?,
                ZONE_ID => flush.zone = Some(data.u16()?),
                _ => {}
            }
        }
        Ok(flush)
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u8(self.ip_proto);
        w.zeros(7);
        for (type_, tuple) in [(ORIG_TUPLE, &self.orig), (REPLY_TUPLE, &self.reply)] {
            if let Some(tuple) = tuple {
                put(w, type_, |w| {
                    w.zeros(4);
                    tuple.encode(w)
                })?;
            }
        }
        if let Some(zone) = self.zone {
            put_u16(w, ZONE_ID, zone)?;
        }
        Ok(())
    }
}
