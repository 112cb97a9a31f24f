//! The numbers of OpenFlow, each as a type of its own: ports, tables, groups, queues, MACs. They are in host byte order;
//! the codec puts them into network order. Sections are those of OpenFlow 1.3.5.

use std::fmt;
use std::str::FromStr;

use crate::error::{DecodeError, ErrorKind, ParseError, parse_error};

/// An OpenFlow 1.3 port number (§7.2.1). Open vSwitch uses 1 to 0xfeff for ports, and the reserved
/// ones from 0xffffff00 up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PortNo(pub u32);

impl PortNo {
    /// The highest number of a physical or logical port.
    pub const MAX: PortNo = PortNo(0xffff_ff00);
    /// A port that is not set (Open vSwitch: the action set has no output).
    pub const UNSET: PortNo = PortNo(0xffff_fff7);
    /// Back out of the port the packet came in from.
    pub const IN_PORT: PortNo = PortNo(0xffff_fff8);
    /// Through the flow tables, from the first; in packet-out only.
    pub const TABLE: PortNo = PortNo(0xffff_fff9);
    /// The traditional switch.
    pub const NORMAL: PortNo = PortNo(0xffff_fffa);
    /// All ports but those with flooding off.
    pub const FLOOD: PortNo = PortNo(0xffff_fffb);
    /// All ports but the one the packet came in from.
    pub const ALL: PortNo = PortNo(0xffff_fffc);
    /// The controller, as a packet-in.
    pub const CONTROLLER: PortNo = PortNo(0xffff_fffd);
    /// The switch's own port.
    pub const LOCAL: PortNo = PortNo(0xffff_fffe);
    /// No port, or any port where that is a wildcard.
    pub const ANY: PortNo = PortNo(0xffff_ffff);

    /// The number that Open vSwitch uses inside and in its own extensions: 16 bits, reserved
    /// ports from 0xff00 up. `None` where there is none.
    #[must_use]
    #[inline]
    pub const fn to_u16(self) -> Option<u16> {
        if self.0 < 0xff00 || self.0 >= 0xffff_ff00 {
            Some((self.0 & 0xffff) as u16)
        } else {
            None
        }
    }

    /// The port that Open vSwitch's 16-bit `port` stands for.
    #[must_use]
    #[inline]
    pub const fn from_u16(port: u16) -> Self {
        if port < 0xff00 {
            PortNo(port as u32)
        } else {
            PortNo(port as u32 | 0xffff_0000)
        }
    }

    /// The name of a reserved port.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            PortNo::UNSET => "UNSET",
            PortNo::IN_PORT => "IN_PORT",
            PortNo::TABLE => "TABLE",
            PortNo::NORMAL => "NORMAL",
            PortNo::FLOOD => "FLOOD",
            PortNo::ALL => "ALL",
            PortNo::CONTROLLER => "CONTROLLER",
            PortNo::LOCAL => "LOCAL",
            PortNo::ANY => "ANY",
            _ => return None,
        })
    }

    #[inline]
    pub(crate) fn checked(self, context: &'static str) -> Result<Self, DecodeError> {
        match self.to_u16() {
            Some(_) => Ok(self),
            None => Err(DecodeError::new(ErrorKind::BacBadOutPort, context)),
        }
    }
}

impl fmt::Display for PortNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => match self.to_u16() {
                Some(port) => write!(f, "{port}"),
                None => write!(f, "{}", self.0),
            },
        }
    }
}

impl fmt::Debug for PortNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PortNo({self})")
    }
}

impl FromStr for PortNo {
    type Err = ParseError;

    /// Reads a port number, decimal or hexadecimal, of 16 or of 32 bits, or the name of a
    /// reserved port in any case.
    fn from_str(s: &str) -> Result<Self, ParseError> {
        crate::text::scan::port(s).ok_or_else(|| parse_error!("{s}: unknown port"))
    }
}

/// The number of a flow table: `ofp_table` (§7.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TableId(pub u8);

impl TableId {
    /// Every table, in deletions and requests.
    pub const ALL: TableId = TableId(0xff);
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of a group: `ofp_group` (§7.3.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl GroupId {
    /// The highest number of a group.
    pub const MAX: GroupId = GroupId(0xffff_ff00);
    /// Every group, in deletions and requests.
    pub const ALL: GroupId = GroupId(0xffff_fffc);
    /// No group, or any group where that is a wildcard.
    pub const ANY: GroupId = GroupId(0xffff_ffff);
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of a queue of a port (§7.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct QueueId(pub u32);

impl QueueId {
    /// Every queue, in requests.
    pub const ALL: QueueId = QueueId(0xffff_ffff);
}

/// An Ethernet address, in the order of the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
    /// 00:00:00:00:00:00.
    pub const ZERO: MacAddr = MacAddr([0; 6]);
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = ParseError;

    /// Reads six hexadecimal bytes between colons.
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let bad = || parse_error!("{s}: invalid Ethernet address");
        let mut mac = [0u8; 6];
        let mut parts = s.split(':');
        for byte in &mut mac {
            let part = parts.next().ok_or_else(bad)?;
            let plain = !part.is_empty() && part.len() <= 2 && !part.starts_with('+');
            *byte = u8::from_str_radix(part, 16)
                .ok()
                .filter(|_| plain)
                .ok_or_else(bad)?;
        }
        if parts.next().is_some() {
            Err(bad())
        } else {
            Ok(MacAddr(mac))
        }
    }
}
