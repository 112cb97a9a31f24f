//! What a connection is known by: the addresses, the protocol and the ports of its packets. It knows nothing of
//! connections.

use std::net::IpAddr;

use openflow::Field;

use crate::interpreter::packet::{ICMP, ICMPV6, Packet, TCP, UDP};

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// Its port; for ICMP, the identifier of the echo; 0 for any other protocol.
    pub port: u16,
    /// For ICMP, the type of the message that this end sends.
    pub icmp_type: u8,
}

/// What a connection is known by, in one direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    /// Where from.
    pub source: Endpoint,
    /// Where to.
    pub destination: Endpoint,
    /// The protocol of IP.
    pub protocol: u8,
}

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_6: u8 = 128;
const ECHO_REPLY_6: u8 = 129;

/// What answers a message of ICMP, if anything does.
fn answer(protocol: u8, icmp_type: u8) -> Option<u8> {
    match (protocol, icmp_type) {
        (ICMP, ECHO_REQUEST) => Some(ECHO_REPLY),
        (ICMP, ECHO_REPLY) => Some(ECHO_REQUEST),
        (ICMP, request @ (13 | 15)) => Some(request + 1),
        (ICMP, reply @ (14 | 16)) => Some(reply - 1),
        (ICMPV6, ECHO_REQUEST_6) => Some(ECHO_REPLY_6),
        (ICMPV6, ECHO_REPLY_6) => Some(ECHO_REQUEST_6),
        _ => None,
    }
}

/// Whether a message of ICMP quotes the packet that it is about.
fn is_error(protocol: u8, icmp_type: u8) -> bool {
    match protocol {
        ICMP => matches!(icmp_type, 3 | 4 | 5 | 11 | 12),
        ICMPV6 => matches!(icmp_type, 1..=4),
        _ => false,
    }
}

impl Tuple {
    /// Packets of a protocol between two ports.
    pub fn new(protocol: u8, source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let end = |(address, port)| Endpoint {
            address,
            port,
            icmp_type: 0,
        };
        Self {
            source: end(source),
            destination: end(destination),
            protocol,
        }
    }

    /// ICMP messages, of either version, of a type that has an answer.
    pub fn icmp(source: IpAddr, destination: IpAddr, icmp_type: u8, id: u16) -> Option<Self> {
        let protocol = if source.is_ipv4() { ICMP } else { ICMPV6 };
        let mut tuple = Self::new(protocol, (source, id), (destination, id));
        tuple.source.icmp_type = icmp_type;
        tuple.destination.icmp_type = answer(protocol, icmp_type)?;
        Some(tuple)
    }

    /// The packets of the other direction.
    pub fn reversed(&self) -> Self {
        Self {
            source: self.destination.clone(),
            destination: self.source.clone(),
            protocol: self.protocol,
        }
    }

    /// What a packet is known by, and whether it is about another connection. None if conntrack cannot place it.
    pub(in crate::interpreter) fn of(packet: &Packet) -> Option<(Self, bool)> {
        let (source, destination) = packet.addresses()?;
        let protocol = packet.protocol();
        let plain =
            |ports: (u16, u16)| Self::new(protocol, (source, ports.0), (destination, ports.1));
        match protocol {
            TCP | UDP => {
                let ports = match packet.inner() {
                    Some(inner) if packet.is_later_fragment() => {
                        (inner.source.port, inner.destination.port)
                    }
                    _ => packet.ports()?,
                };
                let valid = ports.0 != 0 && ports.1 != 0;
                valid.then(|| (plain(ports), false))
            }
            ICMP if source.is_ipv4() => {
                let (icmp_type, code) = (Field::ICMPV4_TYPE, Field::ICMPV4_CODE);
                Self::of_icmp(packet, icmp_type, code, source, destination)
            }
            ICMPV6 if source.is_ipv6() => {
                let (icmp_type, code) = (Field::ICMPV6_TYPE, Field::ICMPV6_CODE);
                Self::of_icmp(packet, icmp_type, code, source, destination)
            }
            _ => Some((plain((0, 0)), false)),
        }
    }

    fn of_icmp(
        packet: &Packet,
        icmp_type: Field,
        code: Field,
        source: IpAddr,
        destination: IpAddr,
    ) -> Option<(Self, bool)> {
        let icmp_type = packet.get(icmp_type).to_u8();
        if is_error(packet.protocol(), icmp_type) {
            // The error goes to the end that sent what it quotes.
            let inner = packet.inner()?;
            let to_sender = inner.source.address == destination;
            return to_sender.then(|| (inner.reversed(), true));
        }
        let tuple = Self::icmp(source, destination, icmp_type, packet.icmp_id())?;
        packet.get(code).is_zero().then_some((tuple, false))
    }

    pub(super) fn is_ipv4(&self) -> bool {
        self.source.address.is_ipv4()
    }

    fn is_icmp(&self) -> bool {
        matches!(self.protocol, ICMP | ICMPV6)
    }

    /// Whether it has ports that can be translated.
    pub(super) fn has_ports(&self) -> bool {
        matches!(self.protocol, TCP | UDP)
    }

    pub(super) fn copy_icmp_id(&mut self, from: &Self) {
        if self.is_icmp() {
            self.source.port = from.source.port;
            self.destination.port = from.destination.port;
        }
    }

    pub(super) fn copy_ports(&mut self, from: &Self) {
        if self.has_ports() {
            self.source.port = from.source.port;
            self.destination.port = from.destination.port;
        }
    }

    /// Gives a packet these ports.
    pub(super) fn write_ports(&self, packet: &mut Packet) {
        let fields = packet.port_fields().filter(|_| self.has_ports());
        if let Some((source, destination)) = fields.filter(|_| !packet.is_later_fragment()) {
            packet.set(source, self.source.port);
            packet.set(destination, self.destination.port);
        }
    }

    /// Puts it into the fields that hold the original tuple of a tracked packet.
    pub(super) fn write(&self, packet: &mut Packet) {
        match (self.source.address, self.destination.address) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                packet.set(Field::CT_NW_SRC, source);
                packet.set(Field::CT_NW_DST, destination);
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                packet.set(Field::CT_IPV6_SRC, source);
                packet.set(Field::CT_IPV6_DST, destination);
            }
            _ => {}
        }
        packet.set(Field::CT_NW_PROTO, self.protocol);
        let (source, destination) = if self.is_icmp() {
            (self.source.icmp_type.into(), 0)
        } else {
            (self.source.port, self.destination.port)
        };
        packet.set(Field::CT_TP_SRC, source);
        packet.set(Field::CT_TP_DST, destination);
    }
}
