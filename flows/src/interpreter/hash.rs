//! The hashes of Open vSwitch, bit for bit: Jenkins' lookup3 and MurmurHash3 as it uses them, and the hashes of a
//! packet's fields made from them (`lib/jhash.c`, `lib/hash.h` and `lib/flow.c` of version 3.1).
//!
//! It knows nothing of what a hash is for. A switch built for the CRC instructions of SSE 4.2 or ARMv8.1 mixes
//! words by those instead of MurmurHash3; distributions build for the plain architecture.

use std::net::IpAddr;

use openflow::Field;
use openflow::action::HashFields;

use super::packet::{ETH_IPV4, ETH_IPV6, Packet, SCTP, TCP, UDP};

/// Jenkins' hash of bytes.
fn jhash(bytes: &[u8], basis: u32) -> u32 {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let start = 0xdead_beef_u32.wrapping_add(length).wrapping_add(basis);
    let mut state = [start; 3];
    let mut blocks = bytes.chunks_exact(12);
    for block in &mut blocks {
        state = jhash_mix(jhash_add(state, block));
    }
    match blocks.remainder() {
        [] => {}
        rest => state = jhash_final(jhash_add(state, rest)),
    }
    state[2]
}

fn jhash_add(state: [u32; 3], block: &[u8]) -> [u32; 3] {
    let mut words = block.chunks(4).map(word);
    state.map(|s| s.wrapping_add(words.next().unwrap_or(0)))
}

fn jhash_mix([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    for (by_c, by_a, by_b) in [(4, 6, 8), (16, 19, 4)] {
        a = a.wrapping_sub(c) ^ c.rotate_left(by_c);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(by_a);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(by_b);
        b = b.wrapping_add(a);
    }
    [a, b, c]
}

fn jhash_final([mut a, mut b, mut c]: [u32; 3]) -> [u32; 3] {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    [a, b, c]
}

/// Up to four bytes as a word of a little-endian machine.
fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// A step of MurmurHash3.
fn add(hash: u32, data: u32) -> u32 {
    let mixed = data
        .wrapping_mul(0xcc9e_2d51)
        .rotate_left(15)
        .wrapping_mul(0x1b87_3593);
    (hash ^ mixed)
        .rotate_left(13)
        .wrapping_mul(5)
        .wrapping_add(0xe654_6b64)
}

fn add_bytes(hash: u32, bytes: &[u8]) -> u32 {
    bytes.chunks(4).map(word).fold(hash, add)
}

/// The last step of MurmurHash3.
fn finish(hash: u32, last: u32) -> u32 {
    let mut hash = hash ^ last;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// The hash of two words.
pub(super) fn of_two(x: u32, y: u32) -> u32 {
    finish(add(add(x, 0), y), 8)
}

/// The hash of some fields of a packet.
pub(super) fn of_fields(packet: &Packet, fields: HashFields, basis: u16) -> u32 {
    let basis = u32::from(basis);
    match fields {
        HashFields::EthSrc => jhash(&packet.get(Field::ETH_SRC).to_bytes(), basis),
        HashFields::SymmetricL4 => symmetric_l4(packet, basis),
        HashFields::SymmetricL3L4 => symmetric_l3l4(packet, basis, false),
        HashFields::SymmetricL3L4Udp => symmetric_l3l4(packet, basis, true),
        HashFields::NwSrc => address(packet.addresses().map(|(source, _)| source), basis),
        HashFields::NwDst => address(packet.addresses().map(|(_, to)| to), basis),
        HashFields::SymmetricL3 => symmetric_l3(packet, basis),
    }
}

fn address(address: Option<IpAddr>, basis: u32) -> u32 {
    match address {
        Some(IpAddr::V4(address)) => jhash(&address.octets(), basis),
        Some(IpAddr::V6(address)) => jhash(&address.octets(), basis),
        None => basis,
    }
}

fn both(packet: &Packet, one: Field, other: Field) -> Vec<u8> {
    let (one, other) = (packet.get(one).to_bytes(), packet.get(other).to_bytes());
    one.iter().zip(&other).map(|(a, b)| a ^ b).collect()
}

fn both_addresses(packet: &Packet) -> Vec<u8> {
    match packet.eth_type() {
        ETH_IPV4 => both(packet, Field::IPV4_SRC, Field::IPV4_DST),
        ETH_IPV6 => both(packet, Field::IPV6_SRC, Field::IPV6_DST),
        _ => Vec::new(),
    }
}

fn both_ports(packet: &Packet) -> Option<u16> {
    packet.ports().map(|(source, to)| source ^ to)
}

/// What the union of an IPv4 and an IPv6 address is in memory.
fn both_addresses_padded(packet: &Packet) -> Vec<u8> {
    let mut bytes = both_addresses(packet);
    bytes.resize(16, 0);
    bytes
}

fn vlan(packet: &Packet) -> u16 {
    packet.get(Field::VLAN_VID).to_u16() & 0xfff
}

fn symmetric_l4(packet: &Packet, basis: u32) -> u32 {
    let protocol = if packet.is_ip() { packet.protocol() } else { 0 };
    let ports = match protocol {
        TCP | SCTP => both_ports(packet),
        _ => None,
    };
    let mut bytes = both_addresses_padded(packet);
    bytes.extend(packet.eth_type().to_be_bytes());
    bytes.extend(vlan(packet).to_be_bytes());
    bytes.extend(ports.unwrap_or(0).to_be_bytes());
    bytes.extend(both(packet, Field::ETH_SRC, Field::ETH_DST));
    bytes.push(protocol);
    bytes.resize(32, 0);
    jhash(&bytes, basis)
}

fn symmetric_l2(packet: &Packet, basis: u32) -> u32 {
    let mut bytes = packet.eth_type().to_be_bytes().to_vec();
    bytes.extend(vlan(packet).to_be_bytes());
    bytes.extend(both(packet, Field::ETH_SRC, Field::ETH_DST));
    finish(add_bytes(basis, &bytes), basis)
}

fn symmetric_l3l4(packet: &Packet, basis: u32, with_udp: bool) -> u32 {
    if !packet.is_ip() {
        return symmetric_l2(packet, basis);
    }
    let protocol = packet.protocol();
    let mut hash = add_bytes(basis, &both_addresses(packet));
    hash = add(hash, protocol.into());
    if packet.fragment() == 0 && (matches!(protocol, TCP | SCTP) || with_udp && protocol == UDP) {
        hash = add_bytes(hash, &both_ports(packet).unwrap_or(0).to_be_bytes());
    }
    finish(hash, basis)
}

fn symmetric_l3(packet: &Packet, basis: u32) -> u32 {
    let mut bytes = both_addresses_padded(packet);
    bytes.extend(packet.eth_type().to_be_bytes());
    bytes.resize(20, 0);
    jhash(&bytes, basis)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `lookup3.c` of its author prints them, driver 5; the basis is added as this one adds it.
    #[test]
    fn jenkins() {
        assert_eq!(jhash(b"", 0), 0xdead_beef);
        assert_eq!(jhash(b"", 0xdead_beef), 0xbd5b_7dde);
        assert_eq!(jhash(b"Four score and seven years ago", 0), 0x1777_0551);
        assert_eq!(jhash(b"Four score and seven years ago", 1), 0xcd62_8161);
    }
}
