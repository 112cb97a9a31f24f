//! Packets as bytes, with right checksums, for switches that want real ones.

use std::net::IpAddr;

use openflow::Field;
use sluice_flows::interpreter::{Packet, Tuple};

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// The frame of an IP packet, its sequence numbers 1 and its payload empty.
pub(crate) fn encode(packet: &Packet) -> Vec<u8> {
    let mut frame = packet.get(Field::ETH_DST).to_bytes();
    frame.extend(packet.get(Field::ETH_SRC).to_bytes());
    frame.extend(packet.get(Field::ETH_TYPE).to_bytes());
    let (source, destination): (IpAddr, IpAddr) = if packet.get(Field::ETH_TYPE).to_u16() == 0x0800
    {
        let ip = |field| packet.get(field).to_ipv4().into();
        (ip(Field::IPV4_SRC), ip(Field::IPV4_DST))
    } else {
        let ip = |field| packet.get(field).to_ipv6().into();
        (ip(Field::IPV6_SRC), ip(Field::IPV6_DST))
    };
    let protocol = packet.get(Field::IP_PROTO).to_u8();
    let ttl = packet.get(Field::NW_TTL).to_u8();
    let payload = match protocol {
        TCP => {
            let ports = (
                packet.get(Field::TCP_SRC).to_u16(),
                packet.get(Field::TCP_DST).to_u16(),
            );
            tcp(ports, packet.get(Field::TCP_FLAGS).to_u16())
        }
        UDP => udp((
            packet.get(Field::UDP_SRC).to_u16(),
            packet.get(Field::UDP_DST).to_u16(),
        )),
        ICMP => icmp(packet, Field::ICMPV4_TYPE, Field::ICMPV4_CODE),
        ICMPV6 => icmp(packet, Field::ICMPV6_TYPE, Field::ICMPV6_CODE),
        _ => vec![0; 8],
    };
    frame.extend(ip(source, destination, protocol, ttl, payload));
    frame
}

fn tcp((source, destination): (u16, u16), flags: u16) -> Vec<u8> {
    let mut segment = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    segment.extend([0, 0, 0, 1, 0, 0, 0, 1]);
    segment.extend((0x5000 | flags).to_be_bytes());
    segment.extend([0xff, 0xff, 0, 0, 0, 0]);
    segment
}

fn udp((source, destination): (u16, u16)) -> Vec<u8> {
    let mut datagram = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    datagram.extend([0, 8, 0, 0]);
    datagram
}

fn icmp(packet: &Packet, icmp_type: Field, code: Field) -> Vec<u8> {
    let mut message = vec![
        packet.get(icmp_type).to_u8(),
        packet.get(code).to_u8(),
        0,
        0,
    ];
    match packet.inner() {
        Some(inner) => {
            message.extend([0; 4]);
            message.extend(quoted(inner));
        }
        None => {
            message.extend(packet.icmp_id().to_be_bytes());
            message.extend([0, 1]);
        }
    }
    message
}

fn quoted(tuple: &Tuple) -> Vec<u8> {
    let ports = (tuple.source.port, tuple.destination.port);
    let payload = match tuple.protocol {
        TCP => tcp(ports, 0x10),
        UDP => udp(ports),
        _ => {
            let mut message = vec![tuple.source.icmp_type, 0, 0, 0];
            message.extend(tuple.source.port.to_be_bytes());
            message.extend([0, 1]);
            message
        }
    };
    ip(
        tuple.source.address,
        tuple.destination.address,
        tuple.protocol,
        63,
        payload,
    )
}

fn ip(source: IpAddr, destination: IpAddr, protocol: u8, ttl: u8, mut payload: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let (addresses, header) = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            let mut header = vec![0x45, 0];
            header.extend((length + 20).to_be_bytes());
            header.extend([0, 0, 0, 0, ttl, protocol, 0, 0]);
            header.extend(&addresses);
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            (addresses, header)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let addresses = [source.octets(), destination.octets()].concat();
            let mut header = vec![0x60, 0, 0, 0];
            header.extend(length.to_be_bytes());
            header.extend([protocol, ttl]);
            header.extend(&addresses);
            (addresses, header)
        }
        _ => panic!("{source} and {destination} are of different families"),
    };
    let at = match protocol {
        TCP => 16,
        UDP => 6,
        ICMP | ICMPV6 => 2,
        _ => return [header, payload].concat(),
    };
    let mut summed = Vec::new();
    if protocol != ICMP {
        summed.extend(&addresses);
        summed.extend([0, protocol]);
        summed.extend(length.to_be_bytes());
    }
    summed.extend(&payload);
    let sum = match checksum(&summed) {
        // None, that would be (RFC 768).
        0 if protocol == UDP => u16::MAX,
        sum => sum,
    };
    payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    [header, payload].concat()
}

fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// As `netdev-dummy/receive` takes it.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The frames in a file of libpcap.
pub(crate) fn captured(file: &[u8]) -> Vec<Vec<u8>> {
    const FILE_HEADER: usize = 24;
    const RECORD_HEADER: usize = 16;
    let mut frames = Vec::new();
    let mut rest = file.get(FILE_HEADER..).unwrap_or_default();
    while let Some((header, after)) = rest.split_at_checked(RECORD_HEADER) {
        let length = u32::from_ne_bytes(header[8..12].try_into().unwrap());
        let Some((frame, after)) = after.split_at_checked(usize::try_from(length).unwrap()) else {
            break;
        };
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}
