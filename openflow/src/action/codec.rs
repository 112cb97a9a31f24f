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

/// Reads the action that `bytes` begin with to where a placeholder is, and returns what comes after it. `r` says how
/// deep it is.
#[inline(always)]
pub(super) fn decode<'a>(
    bytes: &'a [u8],
    r: &Reader<'a>,
    place: &mut Action,
) -> Result<&'a [u8], DecodeError> {
    let bad_len = DecodeError::new(ErrorKind::BacBadLen, "action");
    let [t0, t1, l0, l1, ..] = *bytes.first_chunk::<8>().ok_or(bad_len)?;
    let head = u32::from_be_bytes([t0, t1, l0, l1]);
    let (type_, len) = ((head >> 16) as u16, (head & 0xffff) as usize);
    let (all, rest) = bytes.split_at_checked(len).ok_or(bad_len)?;
    if len < 8 || len & 7 != 0 {
        return Err(bad_len);
    }
    let (code, body) = match all {
        [_, _, _, _, body @ ..] if type_ != EXPERIMENTER => ((0, type_), body),
        [_, _, _, _, e0, e1, e2, e3, s0, s1, body @ ..] => {
            let experimenter = u32::from_be_bytes([*e0, *e1, *e2, *e3]);
            ((experimenter, u16::from_be_bytes([*s0, *s1])), body)
        }
        _ => return short_of_another(all, place).map(|()| rest),
    };
    let legacy = |place: &mut Action| decode_legacy(code, r, body, all, place);
    Action::decode_listed(code, r, body, place, legacy)?;
    Ok(rest)
}

/// What is not in the list of actions proper.
#[inline(never)]
fn decode_legacy<'a>(
    code: (u32, u16),
    r: &Reader<'a>,
    body: &'a [u8],
    all: &[u8],
    place: &mut Action,
) -> Result<(), DecodeError> {
    Legacy::decode_listed(code, r, body, place, |place| {
        if !all.starts_with(&EXPERIMENTER.to_be_bytes()) {
            return Err(DecodeError::new(ErrorKind::BacBadType, "action"));
        }
        put(place, Action::Unknown(all.into()));
        Ok(())
    })
}

/// An experimenter's action without room for a subtype, which those that we know have.
#[cold]
fn short_of_another(all: &[u8], place: &mut Action) -> Result<(), DecodeError> {
    let ours = [NICIRA, ONF].map(u32::to_be_bytes);
    if ours.iter().any(|id| all.get(4..8) == Some(id)) {
        return Err(DecodeError::new(ErrorKind::BacBadLen, "action"));
    }
    put(place, Action::Unknown(all.into()));
    Ok(())
}
