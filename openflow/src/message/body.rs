//! How the entries of the lists of messages name what reads and writes a body, and the bodies that are no types of
//! their own.
//!
//! | entry | means |
//! |---|---|
//! | `[]` | nothing |
//! | `[T]` | `T::decode_body(r)`, `T::encode_body(…, w)`; `T` is a type, or one of the modules here |
//! | `[T in context]` | the same, told the [`Context`] |
//! | `[each T]` | any number of them |

use crate::error::{DecodeError, EncodeError};
use crate::flow::{FlowMod, FlowStats};
use crate::group::{GroupDesc, GroupMod};
use crate::header::Header;
use crate::wire::{Reader, Writer};

/// What is known of a message beside its body.
pub(super) struct Context {
    pub(super) version: u8,
    pub(super) xid: u32,
    /// Why a list in the body does not go on, where all before that is kept.
    pub(super) failed: Option<DecodeError>,
}

impl Context {
    pub(super) fn of(header: Header) -> Self {
        Context {
            version: header.version,
            xid: header.xid,
            failed: None,
        }
    }
}

macro_rules! decode_by {
    ([$body:ident], $context:ident, $r:ident) => {
        $body::decode_body($r)?
    };
    ([$body:ident in context], $context:ident, $r:ident) => {
        $body::decode_body($context, $r)?
    };
    ([each $item:ident], $context:ident, $r:ident) => {
        $crate::message::body::list($context, $r, $item::decode_body)
    };
}

macro_rules! encode_by {
    ([], $xid:ident, $w:ident, ) => {
        Ok(())
    };
    ([$body:ident], $xid:ident, $w:ident, $($part:ident),*) => {
        $body::encode_body($($part,)* $w)
    };
    ([$body:ident in context], $xid:ident, $w:ident, $($part:ident),*) => {
        $body::encode_body($($part,)* $xid, $w)
    };
    ([each $item:ident], $xid:ident, $w:ident, $items:ident) => {
        $items.iter().try_for_each(|item| $item::encode_body(item, $w))
    };
}

pub(super) use {decode_by, encode_by};

/// Items to the end of `r`, or to the first that is malformed; `context` then knows how.
pub(super) fn list<'a, T>(
    context: &mut Context,
    r: &mut Reader<'a>,
    decode: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Vec<T> {
    let mut all = Vec::new();
    while !r.is_empty() {
        match decode(r) {
            Ok(item) => all.push(item),
            Err(error) => {
                context.failed = Some(error);
                r.take_rest();
            }
        }
    }
    all
}

/// Bytes that mean nothing.
pub(super) mod data {
    use super::*;

    pub(in super::super) fn decode_body(r: &mut Reader<'_>) -> Result<Vec<u8>, DecodeError> {
        Ok(r.take_rest().to_vec())
    }

    pub(in super::super) fn encode_body(
        data: &[u8],
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        w.bytes(data);
        Ok(())
    }
}

/// A number of 32 bits.
pub(super) mod number {
    use super::*;

    pub(in super::super) fn decode_body(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
        r.u32()
    }

    pub(in super::super) fn encode_body(n: &u32, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(*n);
        Ok(())
    }
}

/// Six bytes of zeros, and a number of 16 bits.
pub(super) mod right16 {
    use super::*;

    pub(in super::super) fn decode_body(r: &mut Reader<'_>) -> Result<u16, DecodeError> {
        r.skip(6)?;
        r.u16()
    }

    pub(in super::super) fn encode_body(n: &u16, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.zeros(6);
        w.u16(*n);
        Ok(())
    }
}

/// One byte that is 0 or not, and seven of zeros.
pub(super) mod switched {
    use super::*;

    pub(in super::super) fn decode_body(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
        let on = r.u8()? != 0;
        r.skip(7)?;
        Ok(on)
    }

    pub(in super::super) fn encode_body(on: &bool, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u8(u8::from(*on));
        w.zeros(7);
        Ok(())
    }
}

/// The bodies that can be read and written by themselves, under the names that the lists use.
macro_rules! public_bodies {
    ($($ty:ident($r:ident => $from:expr);)*) => {$(
        impl $ty {
            pub(super) fn decode_body($r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                $ty::decode($from)
            }

            pub(super) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                self.encode(w)
            }
        }
    )*};
}

public_bodies! {
    FlowMod(r => r.sub(r.len())?);
    GroupMod(r => r.sub(r.len())?);
    FlowStats(r => r);
    GroupDesc(r => r);
}
