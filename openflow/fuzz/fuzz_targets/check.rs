//! What must hold of any bytes at all.

use openflow::Message;
use openflow::message::text;
use openflow::text::Numbers;

/// A message with `body` behind a header that fits it.
#[allow(dead_code)]
pub fn message(type_: u8, body: &[u8]) -> Vec<u8> {
    let body = &body[..body.len().min(65_000)];
    let length = u16::try_from(body.len() + 8).unwrap_or(u16::MAX);
    [&[4, type_][..], &length.to_be_bytes(), &[0, 0, 0, 7], body].concat()
}

/// Decoding and printing do not panic; what was decoded is encoded to something that decodes to the same.
pub fn check(bytes: &[u8]) {
    let _ = text::print(bytes, &Numbers, 3);
    let Ok((xid, decoded)) = Message::decode(bytes) else {
        return;
    };
    let Ok(encoded) = decoded.to_bytes(xid) else {
        return;
    };
    match Message::decode(&encoded) {
        Ok(again) => assert_eq!(again, (xid, decoded)),
        Err(error) => panic!("{error}: {decoded:?}"),
    }
}
