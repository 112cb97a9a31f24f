//! Address translation: which tuple a new connection gets, and which end of a packet it changes. It knows nothing
//! of the state of connections.
//!
//! Open vSwitch chooses from a range of addresses or ports by a hash that it salts at random; here the first is
//! chosen. Where the port is taken, both go on to the next; after 128 ports Open vSwitch jumps to a random one.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use openflow::Field;
use openflow::action::NatFlags;
use openflow::action::ct::Nat;

use super::tuple::Tuple;
use crate::interpreter::packet::Packet;

/// The end that is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Translation {
    Source,
    Destination,
}

impl Translation {
    pub(super) fn of(flags: NatFlags) -> Option<Self> {
        if flags.contains(NatFlags::SRC) {
            Some(Self::Source)
        } else if flags.contains(NatFlags::DST) {
            Some(Self::Destination)
        } else {
            None
        }
    }

    /// What it is for the other direction.
    pub(super) fn reversed(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }

    /// Gives a packet the address that it has in a tuple.
    pub(super) fn write_address(self, packet: &mut Packet, from: &Tuple) {
        let (v4, v6, address) = match self {
            Self::Source => (Field::IPV4_SRC, Field::IPV6_SRC, from.source.address),
            Self::Destination => (Field::IPV4_DST, Field::IPV6_DST, from.destination.address),
        };
        match address {
            IpAddr::V4(address) => packet.set(v4, address),
            IpAddr::V6(address) => packet.set(v6, address),
        }
    }

    pub(super) fn copy_address(self, from: &Tuple, to: &mut Tuple) {
        match self {
            Self::Source => to.source.address = from.source.address,
            Self::Destination => to.destination.address = from.destination.address,
        }
    }
}

/// The replies of a new connection with this original tuple: the first that are free. None if all are taken.
pub(super) fn choose(nat: &Nat, original: &Tuple, free: impl Fn(&Tuple) -> bool) -> Option<Tuple> {
    let translation = Translation::of(nat.flags);
    let mut reply = original.reversed();
    let address = nat
        .addrs
        .map(|(lowest, _)| lowest)
        .filter(|a| !a.is_unspecified());
    match (translation, address) {
        (Some(Translation::Source), Some(address)) => reply.destination.address = address,
        (Some(Translation::Destination), Some(address)) => reply.source.address = address,
        // What Open vSwitch makes of a commit with a `nat` that says nothing.
        (None, _) if original.is_ipv4() => reply.source.address = [0, 0, 0, 0].into(),
        (None, _) => reply.source.address = [0; 16].into(),
        (_, None) => {}
    }
    if !original.has_ports() {
        return free(&reply).then_some(reply);
    }

    let given = nat
        .ports
        .map(|(lowest, highest)| lowest..=highest.unwrap_or(lowest));
    let source_port = original.source.port;
    let (first, sources) = match (translation, &given) {
        (Some(Translation::Destination), _) | (Some(Translation::Source), None) => {
            (source_port, like(source_port))
        }
        (_, Some(given)) => (*given.start(), given.clone()),
        (None, None) => (0, 0..=0),
    };
    reply.destination.port = first;
    if let (Some(Translation::Destination), Some(given)) = (translation, given) {
        for port in given.clone() {
            reply.source.port = port;
            if free(&reply) {
                return Some(reply);
            }
        }
        reply.source.port = *given.start();
    }
    for port in from(first, sources) {
        reply.destination.port = port;
        if free(&reply) {
            return Some(reply);
        }
    }
    None
}

/// The ports that may stand for a source port.
fn like(port: u16) -> RangeInclusive<u16> {
    match port {
        0..512 => 1..=511,
        512..1024 => 600..=1023,
        _ => 1024..=u16::MAX,
    }
}

/// A port, those after it, and those before it.
fn from(first: u16, range: RangeInclusive<u16>) -> impl Iterator<Item = u16> {
    let inside = range.contains(&first);
    let after = range.clone().filter(move |p| !inside || *p > first);
    let before = range.filter(move |p| inside && *p < first);
    std::iter::once(first).chain(after).chain(before)
}
