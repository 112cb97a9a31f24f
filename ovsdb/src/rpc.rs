//! JSON-RPC 1.0 messages as OVSDB uses them (RFC 7047 section 4).
//!
//! Owns: telling requests, notifications and responses apart, and writing them. Must not know:
//! sockets, or what the methods do. Bodies stay spans of the received document until someone who
//! knows their type parses them.
//!
//! ```text
//! {"id": ID,   "method": "…", "params": […]}              request
//! {"id": null, "method": "…", "params": […]}              notification
//! {"id": ID,   "result": …,   "error": null}              response
//! {"id": ID,   "result": null, "error": …}                response, failed
//! ```

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use crate::framing::{Envelope, FrameError};

/// A message of the other side. Bodies are JSON text, not yet looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To be answered under the same id.
    Request {
        /// Any JSON value.
        id: Bytes,
        /// The method's name.
        method: String,
        /// The array of parameters.
        params: Bytes,
    },
    /// Not to be answered.
    Notification {
        /// The method's name.
        method: String,
        /// The array of parameters.
        params: Bytes,
    },
    /// The answer to a request of ours.
    Response {
        /// The request's id.
        id: Bytes,
        /// The result, or the error.
        outcome: Result<Bytes, Bytes>,
    },
}

impl Message {
    /// Takes a scanned document apart.
    ///
    /// # Errors
    /// A member needed is missing.
    pub fn decode(document: &Bytes, envelope: Envelope) -> Result<Self, FrameError> {
        let member = |span: Option<std::ops::Range<usize>>| {
            span.filter(|span| span.end <= document.len())
                .map(|span| document.slice(span))
        };
        let id = member(envelope.id).filter(|id| &id[..] != b"null");
        if let Some(method) = member(envelope.method) {
            let method = serde_json::from_slice(&method)
                .map_err(|_| FrameError::Message("the method is not a string"))?;
            let params =
                member(envelope.params).ok_or(FrameError::Message("a method without params"))?;
            return Ok(match id {
                Some(id) => Self::Request { id, method, params },
                None => Self::Notification { method, params },
            });
        }
        let id = id.ok_or(FrameError::Message("neither a method nor an id"))?;
        let outcome = match (member(envelope.result), member(envelope.error)) {
            (_, Some(error)) if &error[..] != b"null" => Err(error),
            (Some(result), _) => Ok(result),
            (None, _) => return Err(FrameError::Message("a response without a result")),
        };
        Ok(Self::Response { id, outcome })
    }
}

/// Appends a request whose parameters are JSON text already.
pub fn write_request(out: &mut BytesMut, id: u64, method: &str, params: &[u8]) {
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id.to_string().as_bytes());
    write_call(out, method, params);
}

/// Appends a notification whose parameters are JSON text already.
pub fn write_notification(out: &mut BytesMut, method: &str, params: &[u8]) {
    out.extend_from_slice(b"{\"id\":null");
    write_call(out, method, params);
}

/// Appends an answer whose id and result are JSON text already.
pub fn write_response(out: &mut BytesMut, id: &[u8], result: &[u8]) {
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id);
    out.extend_from_slice(b",\"result\":");
    out.extend_from_slice(result);
    out.extend_from_slice(b",\"error\":null}");
}

/// Appends an answer that refuses a request.
pub fn write_error(out: &mut BytesMut, id: &[u8], error: &str) {
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id);
    out.extend_from_slice(b",\"result\":null,\"error\":");
    out.extend_from_slice(&to_json(&error));
    out.extend_from_slice(b"}");
}

fn write_call(out: &mut BytesMut, method: &str, params: &[u8]) {
    out.extend_from_slice(b",\"method\":\"");
    out.extend_from_slice(method.as_bytes());
    out.extend_from_slice(b"\",\"params\":");
    out.extend_from_slice(params);
    out.extend_from_slice(b"}");
}

/// JSON text of what cannot fail to serialize (our own types: string keys, finite numbers).
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::framing::Scanner;

    fn decode(text: &str) -> Result<Message, FrameError> {
        let document = Bytes::copy_from_slice(text.as_bytes());
        let envelope = Scanner::new(10_000).scan(&document)?.unwrap();
        Message::decode(&document, envelope)
    }

    #[test]
    fn messages() {
        // Captured from ovsdb-server 3.1.0 (strace of ovsdb-client), then shortened.
        assert_eq!(
            decode(r#"{"id":"echo","method":"echo","params":[]}"#).unwrap(),
            Message::Request {
                id: "\"echo\"".into(),
                method: "echo".into(),
                params: "[]".into()
            },
        );
        assert_eq!(
            decode(r#"{"error":null,"id":1,"result":["Open_vSwitch","_Server"]}"#).unwrap(),
            Message::Response {
                id: "1".into(),
                outcome: Ok(r#"["Open_vSwitch","_Server"]"#.into())
            },
        );
        assert_eq!(
            decode(r#"{"error":{"details":"get_schema request","error":"unknown database"},"id":0,"result":null}"#).unwrap(),
            Message::Response {
                id: "0".into(),
                outcome: Err(r#"{"details":"get_schema request","error":"unknown database"}"#.into())
            },
        );
        assert_eq!(
            decode(r#"{"id":null,"method":"locked","params":["l"]}"#).unwrap(),
            Message::Notification {
                method: "locked".into(),
                params: r#"["l"]"#.into()
            },
        );
        for bad in [
            "{}",
            r#"{"id":1}"#,
            r#"{"id":null,"result":1}"#,
            r#"{"method":1,"params":[]}"#,
            r#"{"method":"a"}"#,
        ] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn written_messages_read_back() {
        let mut out = BytesMut::new();
        write_request(&mut out, 7, "echo", b"[1]");
        assert_eq!(
            decode(std::str::from_utf8(&out).unwrap()).unwrap(),
            Message::Request {
                id: "7".into(),
                method: "echo".into(),
                params: "[1]".into()
            }
        );
        out.clear();
        write_response(&mut out, b"\"x\"", b"[]");
        assert_eq!(&out[..], br#"{"id":"x","result":[],"error":null}"#);
        out.clear();
        write_error(&mut out, b"1", "unknown method");
        assert_eq!(
            &out[..],
            br#"{"id":1,"result":null,"error":"unknown method"}"#
        );
        out.clear();
        write_notification(&mut out, "cancel", b"[3]");
        assert_eq!(&out[..], br#"{"id":null,"method":"cancel","params":[3]}"#);
    }
}
