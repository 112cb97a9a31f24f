//! Reading and writing an action: its head, then by the list of actions the layout that its body has.

use super::kind::EXPERIMENTER;
use super::{Action, Legacy, NICIRA, ONF};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::few::put;
use crate::wire::{Reader, Writer};

#[inline]
pub(super) fn encode(action: &Action, w: &mut Writer<'_>) -> Result<(), EncodeError> {
    match action {
        Action::Legacy(legacy) => legacy.encode_listed(w),
        Action::Unknown(bytes) => {
            w.bytes(bytes);
            Ok(())
        }
        other => other.encode_listed(w),
    }
}

/// The type and all bytes of the next action.
#[inline(always)]
fn frame<'a>(r: &mut Reader<'a>) -> Result<(u16, &'a [u8]), DecodeError> {
    let bad = || DecodeError::new(ErrorKind::BacBadLen, "action");
    let [t0, t1, l0, l1, ..] = *r.rest().first_chunk::<8>().ok_or_else(bad)?;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    if len < 8 || len % 8 != 0 {
        return Err(bad());
    }
    let all = r.bytes(len).map_err(|_| bad())?;
    Ok((u16::from_be_bytes([t0, t1]), all))
}

/// Reads one action to where a placeholder is.
#[inline(always)]
pub(super) fn decode(r: &mut Reader<'_>, place: &mut Action) -> Result<(), DecodeError> {
    let (type_, all) = frame(r)?;
    let mut body = r.over(all, ErrorKind::BacBadLen, "action");
    let code = if type_ != EXPERIMENTER {
        body.skip(4)?;
        (0, type_)
    } else if let Some([_, _, _, _, e @ .., s0, s1]) = all.first_chunk::<10>() {
        body.skip(10)?;
        (u32::from_be_bytes(*e), u16::from_be_bytes([*s0, *s1]))
    } else {
        return short_of_another(all, body, place);
    };
    if Action::decode_listed(code, body, place)? {
        return Ok(());
    }
    decode_other(code, all, body, place)
}

/// What is not in the list of actions proper.
#[inline(never)]
fn decode_other(
    code: (u32, u16),
    all: &[u8],
    body: Reader<'_>,
    place: &mut Action,
) -> Result<(), DecodeError> {
    if Legacy::decode_listed(code, body, place)? {
        return Ok(());
    }
    if all.starts_with(&EXPERIMENTER.to_be_bytes()) {
        put(place, Action::Unknown(all.into()));
        Ok(())
    } else {
        Err(DecodeError::new(ErrorKind::BacBadType, "action"))
    }
}

/// An experimenter's action without room for a subtype, which those that we know have.
#[cold]
fn short_of_another(all: &[u8], body: Reader<'_>, place: &mut Action) -> Result<(), DecodeError> {
    let ours = [NICIRA, ONF].map(u32::to_be_bytes);
    if ours.iter().any(|id| all.get(4..8) == Some(id)) {
        return Err(body.short());
    }
    put(place, Action::Unknown(all.into()));
    Ok(())
}
