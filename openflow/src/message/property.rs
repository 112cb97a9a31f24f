//! The type-length-value properties that later parts of OpenFlow and Open vSwitch's extensions are made of.
//!
//! ```text
//!  0 … 1  2 … 3                    4 …    …
//! +------+------------------------+------+--------------------+
//! | type | length, without padding| data | zeros to 8 bytes   |
//! +------+------------------------+------+--------------------+
//! ```

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::wire::{Reader, Writer};

/// One property, uninterpreted: `ofp_prop_header` and its data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Property {
    /// Its type.
    pub type_: u16,
    /// Its data, without padding.
    pub data: Vec<u8>,
}

impl Property {
    /// Reads the next property and hands out a reader over its data.
    pub(crate) fn pull<'a>(
        r: &mut Reader<'a>,
        context: &'static str,
    ) -> Result<(u16, Reader<'a>), DecodeError> {
        let bad = DecodeError::new(ErrorKind::BpcBadLen, context);
        if r.len() < 4 {
            return Err(bad);
        }
        let (type_, length) = (r.u16()?, usize::from(r.u16()?));
        let size = length
            .checked_sub(4)
            .filter(|size| *size <= r.len())
            .ok_or(bad)?;
        let data = r.sub_as(size, ErrorKind::BpcBadLen, context)?;
        let padding = length.wrapping_neg() & 7;
        if padding > r.len() {
            return Err(bad);
        }
        r.skip(padding)?;
        if type_ == EXPERIMENTER {
            is_experimenter(data)?;
        }
        Ok((type_, data))
    }

    /// Reads properties until `r` is empty; in `out` are all before the one that cannot be read.
    pub(crate) fn decode_all(
        r: &mut Reader<'_>,
        context: &'static str,
        out: &mut Vec<Property>,
    ) -> Result<(), DecodeError> {
        while !r.is_empty() {
            let (type_, data) = Self::pull(r, context)?;
            out.push(Property {
                type_,
                data: data.rest().to_vec(),
            });
        }
        Ok(())
    }

    pub(crate) fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        put(w, self.type_, |w| {
            w.bytes(&self.data);
            Ok(())
        })
    }
}

/// The type of an experimenter's property.
pub(crate) const EXPERIMENTER: u16 = 0xffff;

/// Checks that the data of an experimenter's property name one, and a type of its.
///
/// # Errors
/// As Open vSwitch answers.
pub(crate) fn is_experimenter(mut data: Reader<'_>) -> Result<(), DecodeError> {
    let (experimenter, _exp_type) = (data.u32()?, data.u32()?);
    match experimenter {
        0 => Err(data.error(ErrorKind::BpcBadExperimenter)),
        _ => Ok(()),
    }
}

/// Writes a property of `type_` whose data `body` writes.
pub(crate) fn put(
    w: &mut Writer<'_>,
    type_: u16,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = w.pos();
    w.u16(type_);
    let length = w.length(start);
    body(w)?;
    w.end(length, "property")?;
    w.pad8(start);
    Ok(())
}

/// Writes a property that is a byte.
pub(crate) fn put_u8(w: &mut Writer<'_>, type_: u16, value: u8) -> Result<(), EncodeError> {
    put(w, type_, |w| {
        w.u8(value);
        Ok(())
    })
}

/// Writes a property that is a 16-bit number, with the two bytes of padding it has inside of its length.
pub(crate) fn put_u16(w: &mut Writer<'_>, type_: u16, value: u16) -> Result<(), EncodeError> {
    put(w, type_, |w| {
        w.u16(value);
        w.u16(0);
        Ok(())
    })
}

/// Writes a property that is a 32-bit number.
pub(crate) fn put_u32(w: &mut Writer<'_>, type_: u16, value: u32) -> Result<(), EncodeError> {
    put(w, type_, |w| {
        w.u32(value);
        Ok(())
    })
}

/// Writes a property that is a 64-bit number, which stands on a multiple of eight bytes.
pub(crate) fn put_u64(w: &mut Writer<'_>, type_: u16, value: u64) -> Result<(), EncodeError> {
    put(w, type_, |w| {
        w.u32(0);
        w.u64(value);
        Ok(())
    })
}

/// The data of a property that is a 32-bit number and nothing else.
pub(crate) fn whole_u32(mut data: Reader<'_>) -> Result<u32, DecodeError> {
    let value = data.u32()?;
    data.finish()?;
    Ok(value)
}

/// The data of a property that is a 64-bit number on a multiple of eight bytes and nothing else.
pub(crate) fn whole_u64(mut data: Reader<'_>) -> Result<u64, DecodeError> {
    data.skip(4)?;
    let value = data.u64()?;
    data.finish()?;
    Ok(value)
}
