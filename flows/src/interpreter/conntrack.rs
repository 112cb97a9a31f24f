//! The connection tracker: zones, their connections, and what a `ct` action makes of a packet, as the userspace
//! datapath of Open vSwitch does it (`lib/conntrack.c` of version 3.1).
//!
//! It knows packets, not flows. There is no clock: connections stay until they are removed. Sequence numbers are
//! not looked at: every segment counts as within its window, where there is one.

mod nat;
mod state;
mod tuple;

use openflow::Field;
use openflow::action::NatFlags;
use openflow::action::ct::Nat;

use super::packet::Packet;
use nat::Translation;
use state::{Progress, Update};

pub use tuple::{Endpoint, Tuple};

/// Bits of [`Field::CT_STATE`].
pub mod ct_state {
    /// A connection that is not tracked yet, or of which no reply was seen.
    pub const NEW: u32 = 0x01;
    /// A connection that both ends know.
    pub const EST: u32 = 0x02;
    /// About another connection, as an ICMP error is.
    pub const REL: u32 = 0x04;
    /// From the end that the connection was made to.
    pub const RPL: u32 = 0x08;
    /// No connection can have it.
    pub const INV: u32 = 0x10;
    /// Conntrack has seen the packet.
    pub const TRK: u32 = 0x20;
    /// Its source was translated.
    pub const SNAT: u32 = 0x40;
    /// Its destination was translated.
    pub const DNAT: u32 = 0x80;
}

use ct_state::{DNAT, EST, INV, NEW, REL, RPL, SNAT, TRK};

const TRANSLATED: u32 = SNAT | DNAT;

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The zone it is in.
    pub zone: u16,
    /// Its packets as they were before translation, in the direction it was made in.
    pub original: Tuple,
    /// The packets of the other direction, before their translation.
    pub reply: Tuple,
    /// Its mark.
    pub mark: u32,
    /// Its label.
    pub label: u128,
    nat: Option<Translation>,
    progress: Progress,
    id: u64,
}

/// The connections of all zones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conntrack {
    connections: Vec<Connection>,
    last_id: u64,
}

/// A `ct` action as it is carried out.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) zone: u16,
    pub(super) commit: bool,
    pub(super) force: bool,
    pub(super) nat: Option<Nat>,
    /// The value and the mask of what is set.
    pub(super) mark: Option<(u32, u32)>,
    pub(super) label: Option<(u128, u128)>,
}

/// What the datapath keeps with a packet once it went through the tracker.
#[derive(Debug, Clone, Default)]
pub(super) struct Tracking {
    state: u32,
    zone: u16,
    mark: u32,
    label: u128,
    original: Option<Tuple>,
    cached: Option<Cached>,
}

/// The connection that was found, for the next action in the same zone, even if it is gone by then.
#[derive(Debug, Clone)]
struct Cached {
    connection: Connection,
    reply: bool,
    related: bool,
}

impl Tracking {
    /// What a packet says that it was tracked as.
    pub(super) fn of(packet: &Packet) -> Self {
        Self {
            state: packet.get(Field::CT_STATE).to_u32(),
            zone: packet.get(Field::CT_ZONE).to_u16(),
            mark: packet.get(Field::CT_MARK).to_u32(),
            label: packet.get(Field::CT_LABEL).to_u128(),
            ..Self::default()
        }
    }

    /// Puts it into the fields of a packet.
    pub(super) fn write(&self, packet: &mut Packet) {
        clear(packet);
        if self.state == 0 {
            return;
        }
        packet.set(Field::CT_STATE, self.state);
        packet.set(Field::CT_ZONE, self.zone);
        packet.set(Field::CT_MARK, self.mark);
        packet.set(Field::CT_LABEL, self.label);
        if let Some(original) = &self.original {
            original.write(packet);
        }
    }

    /// The next action has to look its connection up.
    pub(super) fn forget_connection(&mut self) {
        self.cached = None;
    }

    fn has(&self, bits: u32) -> bool {
        self.state & bits != 0
    }
}

/// Makes a packet an untracked one.
pub(super) fn clear(packet: &mut Packet) {
    for field in [
        Field::CT_STATE,
        Field::CT_ZONE,
        Field::CT_MARK,
        Field::CT_LABEL,
        Field::CT_NW_SRC,
        Field::CT_NW_DST,
        Field::CT_IPV6_SRC,
        Field::CT_IPV6_DST,
        Field::CT_NW_PROTO,
        Field::CT_TP_SRC,
        Field::CT_TP_DST,
    ] {
        packet.clear(field);
    }
}

impl Conntrack {
    /// Every connection, in the order they were made.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.connections.iter()
    }

    /// The connection of a packet in a zone, and whether the packet is a reply.
    pub fn find(&self, zone: u16, tuple: &Tuple) -> Option<(&Connection, bool)> {
        let (at, reply) = self.position(zone, tuple)?;
        Some((self.connections.get(at)?, reply))
    }

    /// Forgets the connections that are not to be kept, as a flush does.
    pub fn retain(&mut self, keep: impl FnMut(&Connection) -> bool) {
        self.connections.retain(keep);
    }

    /// Of several that have the tuple, which takes a commit without `nat` to happen, the newest.
    fn position(&self, zone: u16, tuple: &Tuple) -> Option<(usize, bool)> {
        let found = |(at, c): (usize, &Connection)| match c {
            c if c.zone != zone => None,
            c if c.original == *tuple => Some((at, false)),
            c if c.reply == *tuple => Some((at, true)),
            _ => None,
        };
        self.connections.iter().enumerate().rev().find_map(found)
    }

    /// Carries out a `ct` action on a packet.
    pub(super) fn execute(
        &mut self,
        packet: &mut Packet,
        tracking: &mut Tracking,
        request: &Request,
    ) {
        let cached = tracking.cached.clone();
        let cached = cached.filter(|c| !request.force && c.connection.zone == request.zone);
        if let Some(cached) = cached {
            self.again(packet, tracking, request, cached);
        } else if let Some((tuple, related)) = Tuple::of(packet) {
            self.first(packet, tracking, request, tuple, related);
        } else {
            tracking.state = INV;
            self.describe(tracking, request.zone, None, None);
        }
    }

    /// The connection is known from an action before.
    fn again(
        &mut self,
        packet: &mut Packet,
        tracking: &mut Tracking,
        request: &Request,
        mut cached: Cached,
    ) {
        let Cached { reply, related, .. } = cached;
        let id = cached.connection.id;
        let live = self.connections.iter_mut().find(|c| c.id == id);
        let connection = live.unwrap_or(&mut cached.connection);
        if request.nat.is_some() {
            connection.translate_once(packet, tracking, reply, related);
            tracking.cached = None;
        }
        tracking.zone = request.zone;
        tracking.mark = connection.mark;
        tracking.label = connection.label;
        connection.set(tracking, request);
    }

    fn first(
        &mut self,
        packet: &mut Packet,
        tracking: &mut Tracking,
        request: &Request,
        mut tuple: Tuple,
        related: bool,
    ) {
        let zone = request.zone;
        if tracking.state != 0 && tracking.zone != zone {
            tracking.state = 0;
        }
        // A packet that was translated in this zone already is looked for as its own reply.
        let natted = tracking.has(TRANSLATED);
        let found = if natted {
            self.position(zone, &tuple.reversed())
        } else {
            self.position(zone, &tuple)
        };
        let (mut at, mut reply) = (found.map(|(at, _)| at), false);
        if let Some((found, by_reply)) = found
            && let Some(connection) = self.connections.get(found)
        {
            reply = by_reply != natted;
            tuple = connection.tuple(reply).clone();
            // The replies of a translated connection lead to it by way of an entry of their own, and as replies
            // count only those that are found otherwise.
            let other_entry = by_reply && connection.reply != connection.original.reversed();
            let seems_reply = if other_entry { natted } else { reply };
            if request.force && seems_reply {
                if !other_entry {
                    self.connections.remove(found);
                }
                (at, reply) = (None, true);
            }
        }

        let mut make = false;
        if let Some(known) = at {
            make = self.update(packet, tracking, known, reply, related);
            let connection = self.connections.get(known);
            if let Some(connection) = connection.filter(|_| request.nat.is_some() && !make) {
                connection.translate_once(packet, tracking, reply, related);
            }
        } else if let Some(known) = self.by_original(tracking, request, &tuple) {
            at = Some(known);
            make = self.update(packet, tracking, known, reply, related);
        } else if related {
            // An error is about a connection or about nothing.
            tracking.state = INV;
        } else {
            make = true;
        }
        if make {
            at = match self.position(zone, &tuple) {
                None => self.make(packet, tracking, request, &tuple),
                Some(_) => None,
            };
        }

        self.describe(tracking, zone, at, Some(&tuple));
        let connection = at.and_then(|at| self.connections.get_mut(at));
        tracking.cached = connection.and_then(|connection| {
            connection.set(tracking, request);
            let cached = Cached {
                connection: connection.clone(),
                reply,
                related,
            };
            request.nat.is_none().then_some(cached)
        });
    }

    /// Finds the connection of a translated packet by what the packet was before.
    fn by_original(&self, tracking: &Tracking, request: &Request, tuple: &Tuple) -> Option<usize> {
        let mut original = tracking.original.clone()?;
        if !tracking.has(TRANSLATED)
            || request.nat.is_some()
            || original.is_ipv4() != tuple.is_ipv4()
        {
            return None;
        }
        original.copy_icmp_id(tuple);
        let (at, _) = self.position(tracking.zone, &original)?;
        Some(at)
    }

    /// A packet of a known connection came by. Returns whether the connection is over, and the packet the first of
    /// another one.
    fn update(
        &mut self,
        packet: &Packet,
        tracking: &mut Tracking,
        at: usize,
        reply: bool,
        related: bool,
    ) -> bool {
        let direction = if reply { RPL } else { 0 };
        if related {
            tracking.state |= REL | direction;
            return false;
        }
        let Some(connection) = self.connections.get_mut(at) else {
            return true;
        };
        match connection.progress.update(packet, reply) {
            Update::Established => {
                tracking.state |= EST | direction;
                tracking.state &= !NEW;
            }
            Update::StillNew => tracking.state |= NEW,
            Update::Invalid => tracking.state = INV,
            Update::Over => {
                self.connections.remove(at);
                return true;
            }
        }
        false
    }

    /// A connection that is not known. Returns where it is if it was committed.
    fn make(
        &mut self,
        packet: &mut Packet,
        tracking: &mut Tracking,
        request: &Request,
        tuple: &Tuple,
    ) -> Option<usize> {
        let Some(progress) = Progress::start(packet, tuple) else {
            tracking.state = INV;
            return None;
        };
        tracking.state = NEW;
        if !request.commit {
            return None;
        }
        let mut connection = Connection {
            zone: request.zone,
            original: tuple.clone(),
            reply: tuple.reversed(),
            mark: 0,
            label: 0,
            nat: None,
            progress,
            id: self.last_id + 1,
        };
        if let Some(nat) = &request.nat {
            let free = |reply: &Tuple| self.position(request.zone, reply).is_none();
            connection.reply = nat::choose(nat, tuple, free)?;
            connection.nat = Translation::of(nat.flags);
            connection.translate(packet, tracking, false, false);
        }
        self.last_id += 1;
        self.connections.push(connection);
        Some(self.connections.len() - 1)
    }

    fn describe(
        &self,
        tracking: &mut Tracking,
        zone: u16,
        at: Option<usize>,
        tuple: Option<&Tuple>,
    ) {
        let connection = at.and_then(|at| self.connections.get(at));
        tracking.state |= TRK;
        tracking.zone = zone;
        tracking.mark = connection.map_or(0, |c| c.mark);
        tracking.label = connection.map_or(0, |c| c.label);
        tracking.original = connection.map(|c| &c.original).or(tuple).cloned();
    }
}

impl Connection {
    /// Its number: they are numbered in the order in which they are made.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The packets of one direction, before translation.
    fn tuple(&self, reply: bool) -> &Tuple {
        if reply { &self.reply } else { &self.original }
    }

    /// Which end is translated, in the direction in which the connection was made.
    pub fn translation(&self) -> NatFlags {
        match self.nat {
            None => NatFlags(0),
            Some(Translation::Source) => NatFlags::SRC,
            Some(Translation::Destination) => NatFlags::DST,
        }
    }

    /// Sets its mark and its label, and those of the packet.
    fn set(&mut self, tracking: &mut Tracking, request: &Request) {
        if let Some((value, mask)) = request.mark {
            tracking.mark = value & mask | tracking.mark & !mask;
            self.mark = tracking.mark;
        }
        if let Some((value, mask)) = request.label {
            tracking.label = value & mask | tracking.label & !mask;
            self.label = tracking.label;
        }
    }

    /// Translates a packet, unless that was done in its zone already.
    fn translate_once(
        &self,
        packet: &mut Packet,
        tracking: &mut Tracking,
        reply: bool,
        related: bool,
    ) {
        let done = tracking.has(TRANSLATED) && tracking.zone == self.zone;
        if !done && self.nat.is_some() {
            tracking.state &= !TRANSLATED;
            self.translate(packet, tracking, reply, related);
        }
    }

    fn translate(&self, packet: &mut Packet, tracking: &mut Tracking, reply: bool, related: bool) {
        let Some(nat) = self.nat else {
            return;
        };
        let nat = if reply { nat.reversed() } else { nat };
        tracking.state |= match nat {
            Translation::Source => SNAT,
            Translation::Destination => DNAT,
        };
        // The other direction, turned around, is what the packet becomes.
        let becomes = self.tuple(!reply).reversed();
        nat.write_address(packet, &becomes);
        if !related {
            becomes.write_ports(packet);
        } else if let Some(mut inner) = packet.inner().cloned() {
            let quoted = becomes.reversed();
            inner.copy_ports(&quoted);
            nat.reversed().copy_address(&quoted, &mut inner);
            packet.set_inner(inner);
        }
    }
}
