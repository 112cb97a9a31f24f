//! REQUESTFORWARD (ONF extension 187): a request of another controller that was carried out, whole.

use super::Message;
use super::kind::Kind;
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::header::{HEADER_LEN, Header, MsgType, VERSION};
use crate::wire::{Reader, Writer};

/// The request's transaction id, and the request.
pub(super) fn decode_body(r: &mut Reader<'_>) -> Result<(u32, Box<Message>), DecodeError> {
    let inner = Header::peek(r.rest()).ok_or(r.error(ErrorKind::BfcMsgBadLen))?;
    let length = usize::from(inner.length);
    if length < HEADER_LEN || length > r.len() {
        return Err(r.error(ErrorKind::BfcMsgBadLen));
    }
    if inner.version != VERSION {
        return Err(r.error(ErrorKind::BrcBadVersion));
    }
    let request = r.bytes(length)?;
    Kind::of(request)
        .and_then(|kind| kind.check(length))
        .map_err(|kind| r.error(kind))?;
    if !matches!(inner.type_, MsgType::GROUP_MOD | MsgType::METER_MOD) {
        return Err(r.error(ErrorKind::BfcMsgUnsup));
    }
    let (xid, request) = Message::decode(request)?;
    r.take_rest();
    Ok((xid, Box::new(request)))
}

pub(super) fn encode_body(
    xid: &u32,
    request: &Message,
    w: &mut Writer<'_>,
) -> Result<(), EncodeError> {
    request.encode_into(*xid, w)
}
