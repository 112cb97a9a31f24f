//! The eight bytes that begin every OpenFlow message, and the numbers of the message types.
//!
//! Owns `ofp_header` (OpenFlow 1.3 §7.1) and the type codes. Must not know what any body means, nor how
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

macro_rules! msg_types {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl MsgType {
            $($(#[$doc])* pub const $name: MsgType = MsgType($value);)*

            /// The specification's name without its `OFPT_`, if the number has one.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

msg_types! {
    /// Version negotiation, §7.5.1.
    HELLO = 0;
    /// A request failed, §7.5.4.
    ERROR = 1;
    /// Liveness probe, §7.5.2.
    ECHO_REQUEST = 2;
    /// Its answer, §7.5.3.
    ECHO_REPLY = 3;
    /// Vendor messages, §7.5.5.
    EXPERIMENTER = 4;
    /// Who are you, §7.3.1.
    FEATURES_REQUEST = 5;
    /// Datapath id, tables, capabilities, §7.3.1.
    FEATURES_REPLY = 6;
    /// Asks for the switch configuration, §7.3.2.
    GET_CONFIG_REQUEST = 7;
    /// Fragment handling and packet-in length, §7.3.2.
    GET_CONFIG_REPLY = 8;
    /// Sets them, §7.3.2.
    SET_CONFIG = 9;
    /// A packet for the controller, §7.4.1.
    PACKET_IN = 10;
    /// A flow went, §7.4.2.
    FLOW_REMOVED = 11;
    /// A port came, went or changed, §7.4.3.
    PORT_STATUS = 12;
    /// A packet from the controller, §7.3.7.
    PACKET_OUT = 13;
    /// Changes flows, §7.3.4.1.
    FLOW_MOD = 14;
    /// Changes groups, §7.3.4.2.
    GROUP_MOD = 15;
    /// Changes a port, §7.3.4.3.
    PORT_MOD = 16;
    /// Changes a table, §7.3.3.
    TABLE_MOD = 17;
    /// Statistics and descriptions, §7.3.5.
    MULTIPART_REQUEST = 18;
    /// Their answers, §7.3.5.
    MULTIPART_REPLY = 19;
    /// Everything before first, §7.3.8.
    BARRIER_REQUEST = 20;
    /// Its answer, §7.3.8.
    BARRIER_REPLY = 21;
    /// Asks for the queues of a port, §7.3.6.
    QUEUE_GET_CONFIG_REQUEST = 22;
    /// Its answer, §7.3.6.
    QUEUE_GET_CONFIG_REPLY = 23;
    /// Asks for a controller role, §7.3.9.
    ROLE_REQUEST = 24;
    /// Its answer, §7.3.9.
    ROLE_REPLY = 25;
    /// Asks which asynchronous messages are sent, §7.3.10.
    GET_ASYNC_REQUEST = 26;
    /// Its answer, §7.3.10.
    GET_ASYNC_REPLY = 27;
    /// Sets them, §7.3.10.
    SET_ASYNC = 28;
    /// Changes meters, §7.3.4.4.
    METER_MOD = 29;
}

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
