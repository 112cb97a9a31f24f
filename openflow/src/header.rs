//! The eight bytes that begin every OpenFlow message.
//!
//! Owns `ofp_header` (OpenFlow 1.3 §7.1). The numbers of the types stand in the list of messages. Must not know what any body means, nor how
//! messages travel.

use std::fmt;

/// The wire version of OpenFlow 1.3.
pub const VERSION: u8 = 0x04;

/// Length in bytes of an [`Header`] on the wire.
pub const HEADER_LEN: usize = 8;

/// `ofp_header`:
///
/// ```text
///  0        1        2        3        4 … 7
/// +--------+--------+--------+--------+-----------------+
/// |version | type   | length          | xid             |
/// +--------+--------+--------+--------+-----------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Protocol version, [`VERSION`] in everything but a HELLO (or a reply to one).
    pub version: u8,
    /// What the body is.
    pub type_: MsgType,
    /// Length of the whole message in bytes, this header included.
    pub length: u16,
    /// Transaction id, chosen by the requester and repeated by the answer.
    pub xid: u32,
}

impl Header {
    /// Reads a header from the first eight bytes of `bytes`; `None` if there are fewer.
    pub fn peek(bytes: &[u8]) -> Option<Header> {
        let &[version, type_, l0, l1, x0, x1, x2, x3] = bytes.first_chunk::<HEADER_LEN>()?;
        Some(Header {
            version,
            type_: MsgType(type_),
            length: u16::from_be_bytes([l0, l1]),
            xid: u32::from_be_bytes([x0, x1, x2, x3]),
        })
    }

    /// The header's eight bytes.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [l0, l1] = self.length.to_be_bytes();
        let [x0, x1, x2, x3] = self.xid.to_be_bytes();
        [self.version, self.type_.0, l0, l1, x0, x1, x2, x3]
    }
}

/// `ofp_type`: the kind of a message (OpenFlow 1.3 §7.1). Unknown numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsgType(pub u8);

impl fmt::Display for MsgType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_a_round_trip() {
        let header = Header {
            version: VERSION,
            type_: MsgType::FLOW_MOD,
            length: 513,
            xid: 0x0102_0304,
        };
        assert_eq!(Header::peek(&header.to_bytes()), Some(header));
        assert_eq!(Header::peek(&[4, 0, 0]), None);
        assert_eq!(MsgType::FLOW_MOD.to_string(), "FLOW_MOD");
    }
}
