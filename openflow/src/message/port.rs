//! Ports (OpenFlow 1.3 §7.2.1): their description, PORT_STATUS, PORT_MOD, and their statistics.

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::types::{MacAddr, PortNo};
use crate::wire::{Reader, Writer};

const NAME_LEN: usize = 16;

/// `ofp_port` (§7.2.1, §7.3.5.7): one port.
///
/// ```text
///  0 … 3     4…7   8 … 13    14…15  16 … 31  32 … 35  36 … 39  40 … 55                                56 … 59       60 … 63
/// +---------+-----+---------+------+--------+--------+--------+-------------------------------------+------------+-----------+
/// | port_no | pad | hw_addr | pad  | name   | config | state  | curr advertised supported peer (4×4) | curr_speed | max_speed |
/// +---------+-----+---------+------+--------+--------+--------+-------------------------------------+------------+-----------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortDesc {
    /// Its number.
    pub port: PortNo,
    /// Its MAC address.
    pub hw_addr: MacAddr,
    /// Its name, up to 15 bytes and zero-terminated.
    pub name: [u8; NAME_LEN],
    /// `ofp_port_config`: what the administrator set, see [`PortConfig`].
    pub config: u32,
    /// `ofp_port_state`: what the port found, see [`PortState`].
    pub state: u32,
    /// `ofp_port_features` in use.
    pub current: u32,
    /// Those being advertised.
    pub advertised: u32,
    /// Those supported.
    pub supported: u32,
    /// Those the peer advertises.
    pub peer: u32,
    /// Current speed in kbit/s.
    pub current_speed: u32,
    /// Highest speed in kbit/s.
    pub max_speed: u32,
}

/// Bits of `ofp_port_config`.
#[derive(Clone, Copy, Debug)]
pub struct PortConfig;

impl PortConfig {
    /// Administratively down.
    pub const PORT_DOWN: u32 = 1;
    /// Drops what it receives.
    pub const NO_RECV: u32 = 1 << 2;
    /// Drops what is forwarded to it.
    pub const NO_FWD: u32 = 1 << 5;
    /// Sends no packet-ins.
    pub const NO_PACKET_IN: u32 = 1 << 6;
}

/// Bits of `ofp_port_state`.
#[derive(Clone, Copy, Debug)]
pub struct PortState;

impl PortState {
    /// No physical link.
    pub const LINK_DOWN: u32 = 1;
    /// Blocked.
    pub const BLOCKED: u32 = 1 << 1;
    /// Live for fast failover.
    pub const LIVE: u32 = 1 << 2;
}

impl PortDesc {
    /// The name up to its first zero, with what is not UTF-8 replaced.
    #[must_use]
    pub fn name(&self) -> String {
        let end = self.name.iter().position(|b| *b == 0).unwrap_or(NAME_LEN);
        String::from_utf8_lossy(self.name.get(..end).unwrap_or_default()).into_owned()
    }

    /// Whether it is administratively up and has link.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.config & PortConfig::PORT_DOWN == 0 && self.state & PortState::LINK_DOWN == 0
    }

    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let port = port(r)?;
        r.skip(4)?;
        let hw_addr = MacAddr(*r.array()?);
        r.skip(2)?;
        Ok(PortDesc {
            port,
            hw_addr,
            name: *r.array()?,
            config: r.u32()?,
            state: r.u32()?,
            current: r.u32()?,
            advertised: r.u32()?,
            supported: r.u32()?,
            peer: r.u32()?,
            current_speed: r.u32()?,
            max_speed: r.u32()?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.port.0);
        w.zeros(4);
        w.array(&self.hw_addr.0);
        w.zeros(2);
        w.array(&self.name);
        for word in [
            self.config,
            self.state,
            self.current,
            self.advertised,
            self.supported,
            self.peer,
            self.current_speed,
            self.max_speed,
        ] {
            w.u32(word);
        }
        Ok(())
    }
}

/// Reads a port number that Open vSwitch would accept.
pub(crate) fn port(r: &mut Reader<'_>) -> Result<PortNo, DecodeError> {
    let port = PortNo(r.u32()?);
    if port.to_u16().is_none() {
        Err(r.error(ErrorKind::BacBadOutPort))
    } else {
        Ok(port)
    }
}

/// `ofp_port_status` (§7.4.3): a port came, went or changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortStatus {
    /// `ofp_port_reason`.
    pub reason: PortReason,
    /// The port as it is now, or was.
    pub desc: PortDesc,
}

/// `ofp_port_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortReason {
    /// It was added.
    Add,
    /// It was removed.
    Delete,
    /// An attribute changed.
    Modify,
}

impl PortStatus {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let reason = match r.u8()? {
            0 => PortReason::Add,
            1 => PortReason::Delete,
            2 => PortReason::Modify,
            _ => return Err(r.error(ErrorKind::NxbrcBadReason)),
        };
        r.skip(7)?;
        Ok(PortStatus {
            reason,
            desc: PortDesc::decode_body(r)?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u8(match self.reason {
            PortReason::Add => 0,
            PortReason::Delete => 1,
            PortReason::Modify => 2,
        });
        w.zeros(7);
        self.desc.encode_body(w)
    }
}

/// `ofp_port_mod` (§7.3.4.3): changes a port's configuration.
///
/// ```text
///  8 … 11    12…15  16 … 21   22…23  24 … 27  28 … 31  32 … 35    36…39
/// +---------+------+---------+------+--------+--------+-----------+-----+
/// | port_no | pad  | hw_addr | pad  | config | mask   | advertise | pad |
/// +---------+------+---------+------+--------+--------+-----------+-----+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortMod {
    /// Which port.
    pub port: PortNo,
    /// Its MAC address, which must fit.
    pub hw_addr: MacAddr,
    /// New values of the bits of [`PortConfig`] in `mask`.
    pub config: u32,
    /// Which bits change.
    pub mask: u32,
    /// Features to advertise; 0 changes nothing.
    pub advertise: u32,
}

impl PortMod {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let port = port(r)?;
        r.skip(4)?;
        let hw_addr = MacAddr(*r.array()?);
        r.skip(2)?;
        let (config, mask, advertise) = (r.u32()?, r.u32()?, r.u32()?);
        r.skip(4)?;
        Ok(PortMod {
            port,
            hw_addr,
            config,
            mask,
            advertise,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.port.0);
        w.zeros(4);
        w.array(&self.hw_addr.0);
        w.zeros(2);
        w.u32(self.config);
        w.u32(self.mask);
        w.u32(self.advertise);
        w.zeros(4);
        Ok(())
    }
}

/// `ofp_port_stats` (§7.3.5.6): counters of a port. A counter the switch does not keep is `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PortStats {
    /// Which port.
    pub port: PortNo,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets dropped on receipt.
    pub rx_dropped: u64,
    /// Packets dropped on sending.
    pub tx_dropped: u64,
    /// Receive errors, of any kind.
    pub rx_errors: u64,
    /// Transmit errors.
    pub tx_errors: u64,
    /// Frame alignment errors.
    pub rx_frame_err: u64,
    /// Receive overruns.
    pub rx_over_err: u64,
    /// CRC errors.
    pub rx_crc_err: u64,
    /// Collisions.
    pub collisions: u64,
    /// Age in seconds; `u32::MAX` if unknown.
    pub duration_sec: u32,
    /// And nanoseconds beyond these.
    pub duration_nsec: u32,
}

impl PortStats {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let port = port(r)?;
        r.skip(4)?;
        Ok(PortStats {
            port,
            rx_packets: r.u64()?,
            tx_packets: r.u64()?,
            rx_bytes: r.u64()?,
            tx_bytes: r.u64()?,
            rx_dropped: r.u64()?,
            tx_dropped: r.u64()?,
            rx_errors: r.u64()?,
            tx_errors: r.u64()?,
            rx_frame_err: r.u64()?,
            rx_over_err: r.u64()?,
            rx_crc_err: r.u64()?,
            collisions: r.u64()?,
            duration_sec: r.u32()?,
            duration_nsec: r.u32()?,
        })
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.port.0);
        w.zeros(4);
        for counter in [
            self.rx_packets,
            self.tx_packets,
            self.rx_bytes,
            self.tx_bytes,
            self.rx_dropped,
            self.tx_dropped,
            self.rx_errors,
            self.tx_errors,
            self.rx_frame_err,
            self.rx_over_err,
            self.rx_crc_err,
            self.collisions,
        ] {
            w.u64(counter);
        }
        w.u32(self.duration_sec);
        w.u32(self.duration_nsec);
        Ok(())
    }
}
