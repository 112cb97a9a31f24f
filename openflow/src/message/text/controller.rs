//! The text of what concerns the controller itself: packet-ins with their continuations, and what is sent unasked.

use std::fmt::Write as _;

use super::{Printed, Printer, hex_dump, named, packet, packet_in_reason, put, removed_reason};
use crate::action::Action;
use crate::error::{DecodeError, ErrorKind};
use crate::message::async_config::{ALLOWED, AsyncConfig, AsyncConfig2};
use crate::message::packet_in::{NO_BUFFER, NxPacketIn, PacketIn, PacketIn2};
use crate::message::property::{self, Property};
use crate::text::{DottedHex, Table};
use crate::wire::Reader;

impl Printer<'_> {
    pub(in crate::message) fn nx_packet_in(&mut self, packet: &NxPacketIn) -> Printed {
        self.packet_in(&packet.0)
    }

    pub(in crate::message) fn packet_in2(&mut self, packet: &PacketIn2) -> Printed {
        self.packet_in(&packet.to_packet_in().map_err(|e| e.kind.name())?)
    }

    pub(in crate::message) fn packet_in(&mut self, packet: &PacketIn) -> Printed {
        let continuation = Continuation::decode(&packet.continuation)?;
        if packet.table.0 != 0 || self.names.table(packet.table).is_some() {
            put!(self, " table_id={}", Table(packet.table, self.names));
        }
        if packet.cookie != u64::MAX {
            put!(self, " cookie=0x{:x}", packet.cookie);
        }
        put!(self, " total_len={} ", packet.total_len);
        self.match_text(&packet.match_, 0x8000);
        put!(
            self,
            " (via {})",
            packet_in_reason(u32::from(packet.reason.0))
        );
        let length = packet.data.len();
        put!(self, " data_len={length}");
        let total = usize::try_from(packet.total_len).unwrap_or(usize::MAX);
        if packet.buffer_id == NO_BUFFER {
            self.out.push_str(" (unbuffered)");
            if total != length {
                self.out.push_str(" (***total_len != data_len***)");
            }
        } else {
            put!(self, " buffer=0x{:08x}", packet.buffer_id);
            if total < length {
                self.out.push_str(" (***total_len < data_len***)");
            }
        }
        self.out.push('\n');
        if !packet.userdata.is_empty() {
            put!(self, " userdata={}\n", DottedHex(&packet.userdata));
        }
        self.continuation(&continuation);
        if self.verbosity > 0 {
            packet::print(self.out, &packet.data, packet::packet_type(&packet.match_));
        }
        if self.verbosity > 2 {
            hex_dump(self.out, &packet.data, false);
        }
        Ok(())
    }

    /// What Open vSwitch 3.1 keeps in a continuation; it is private to the switch, and only printed here.
    fn continuation(&mut self, found: &Continuation) {
        if found.bridge.iter().any(|b| *b != 0) {
            // Open vSwitch copies the words of its own memory; they are little-endian where it commonly runs.
            let words = found.bridge.chunks(4).flat_map(|word| word.iter().rev());
            let hex: String = words.map(|b| format!("{b:02x}")).collect();
            let (a, rest) = hex.split_at(8);
            let (b, rest) = rest.split_at(4);
            let (c, rest) = rest.split_at(4);
            let (d, e) = rest.split_at(4);
            put!(self, " continuation.bridge={a}-{b}-{c}-{d}-{e}\n");
        }
        if !found.stack.is_empty() {
            self.out.push_str(" continuation.stack=(top)");
            for value in &found.stack {
                let hex: String = value.iter().map(|b| format!("{b:02x}")).collect();
                let digits = hex.trim_start_matches('0');
                put!(
                    self,
                    " {}{digits}",
                    if digits.is_empty() { "0" } else { "0x" }
                );
            }
            self.out.push_str(" (bottom)\n");
        }
        if found.mirrors != 0 {
            put!(self, " continuation.mirrors=0x{:x}\n", found.mirrors);
        }
        if found.conntracked {
            self.out.push_str(" continuation.conntracked=true\n");
        }
        if !found.actions.is_empty() {
            self.out.push_str(" continuation.actions=");
            for (i, (table, cookie, actions)) in found.actions.iter().enumerate() {
                if i > 0 {
                    self.out.push(',');
                }
                put!(self, "unroll_xlate(table={table}, cookie={cookie})");
                if !actions.is_empty() {
                    self.out.push(',');
                    self.actions(actions);
                }
            }
            self.out.push('\n');
        }
        if !found.action_set.is_empty() {
            self.out.push_str(" continuation.action_set=");
            self.actions(&found.action_set);
            self.out.push('\n');
        }
        if found.odp_port != 0 {
            put!(self, " continuation.odp_port={}\n", found.odp_port);
        }
    }

    pub(in crate::message) fn async_config(&mut self, config: &AsyncConfig) -> Printed {
        self.async_masks(&AsyncMasks::legacy(config));
        Ok(())
    }

    pub(in crate::message) fn async_config2(&mut self, config: &AsyncConfig2) -> Printed {
        self.async_masks(&AsyncMasks::properties(config)?);
        Ok(())
    }

    fn async_masks(&mut self, masks: &AsyncMasks) {
        const NAMES: [&str; 6] = [
            "PACKET_IN",
            "PORT_STATUS",
            "FLOW_REMOVED",
            "ROLE_STATUS",
            "TABLE_STATUS",
            "REQUESTFORWARD",
        ];
        for (role, masks) in ["primary", "secondary"].iter().zip(&masks.0) {
            put!(self, "\n {role}:\n");
            for (type_, (name, mask)) in NAMES.iter().zip(masks).enumerate() {
                put!(self, "{name:>16}:");
                for bit in (0..32).filter(|bit| mask & (1 << bit) != 0) {
                    let reason = match type_ {
                        0 => packet_in_reason(bit),
                        1 => named(bit, &["add", "delete", "modify"]),
                        2 => removed_reason(bit),
                        3 => named(
                            bit,
                            &[
                                "primary_request",
                                "configuration_changed",
                                "experimenter_data_changed",
                            ],
                        ),
                        4 => named(bit, &["0", "1", "2", "vacancy_down", "vacancy_up"]),
                        _ => named(bit, &["group_mod_request", "meter_mod_request"]),
                    };
                    if !reason.is_empty() {
                        put!(self, " {reason}");
                    }
                }
                if *mask == 0 {
                    self.out.push_str(" (off)");
                }
                self.out.push('\n');
            }
        }
    }
}

/// For primary and secondary, the six masks in the order in which they are printed.
struct AsyncMasks([[u32; 6]; 2]);

impl AsyncMasks {
    fn legacy(config: &AsyncConfig) -> AsyncMasks {
        let mut masks = [[0; 6]; 2];
        let pairs = config
            .packet_in
            .iter()
            .zip(&config.port_status)
            .zip(&config.flow_removed);
        for (masks, ((packet_in, port_status), flow_removed)) in masks.iter_mut().zip(pairs) {
            *masks = [*packet_in, *port_status, *flow_removed, 0, 0, 0];
        }
        AsyncMasks(masks).limited()
    }

    fn properties(config: &AsyncConfig2) -> Result<AsyncMasks, &'static str> {
        config.check().map_err(|error| error.kind.name())?;
        let mut masks = [[0; 6]; 2];
        for property in &config.properties {
            let type_ = usize::from(property.type_);
            let role = if type_ % 2 == 1 { 0 } else { 1 };
            if let Some(place) = masks.get_mut(role).and_then(|m| m.get_mut(type_ / 2))
                && let Some(value) = property.data.first_chunk()
            {
                *place = u32::from_be_bytes(*value);
            }
        }
        Ok(AsyncMasks(masks).limited())
    }

    fn limited(mut self) -> AsyncMasks {
        for masks in &mut self.0 {
            for (mask, allowed) in masks.iter_mut().zip(ALLOWED) {
                *mask &= allowed;
            }
            if masks.first().is_some_and(|m| m & 1 != 0)
                && let Some(packet_in) = masks.first_mut()
            {
                *packet_in |= 1 << 6;
            }
        }
        self
    }
}

/// How many bytes there may be in a value on the stack.
const MAX_STACKED: usize = 128;

/// The parts of a continuation.
#[derive(Default)]
struct Continuation {
    bridge: [u8; 16],
    stack: Vec<Vec<u8>>,
    mirrors: u32,
    conntracked: bool,
    actions: Vec<(u8, u64, Vec<Action>)>,
    action_set: Vec<Action>,
    odp_port: u32,
}

impl Continuation {
    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let mut r = Reader::new(bytes, ErrorKind::BpcBadLen, "continuation");
        let mut found = Continuation::default();
        found.read(&mut r).map_err(|e| e.kind.name())?;
        Ok(found)
    }

    fn read(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (mut table, mut cookie) = (0, 0);
        while !r.is_empty() {
            let (type_, mut data) = Property::pull(r, "continuation")?;
            match type_ {
                0x8000 => {
                    self.bridge = *data.array()?;
                    data.finish()?;
                }
                0x8001 if data.len() > MAX_STACKED => return Err(data.short()),
                0x8001 => self.stack.push(data.rest().to_vec()),
                0x8002 => self.mirrors = property::whole_u32(data)?,
                0x8003 => self.conntracked = true,
                0x8004 => table = data.u8()?,
                0x8005 => cookie = property::whole_u64(data)?,
                0x8006 | 0x8007 => {
                    data.skip(4)?;
                    let actions = crate::action::decode_list(data)?;
                    crate::action::verify(&actions)?;
                    let conjunction = |a: &Action| matches!(a, Action::Conjunction { .. });
                    if type_ == 0x8006 {
                        // Before them, Open vSwitch puts where they come from, which is an action too.
                        if actions.iter().any(conjunction) {
                            return Err(data.error(ErrorKind::NxbacBadConjunction));
                        }
                        self.actions.push((table, cookie, actions));
                    } else {
                        self.action_set = actions;
                    }
                }
                0x8008 => self.odp_port = property::whole_u32(data)?,
                _ => {}
            }
        }
        Ok(())
    }
}
