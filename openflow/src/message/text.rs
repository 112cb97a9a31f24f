//! The text form of whole messages, as `ovs-ofctl ofp-print` prints them, letter by letter.
//!
//! The line of a message is its name, version and transaction id; what follows is the body's own. The text of
//! matches, actions, flows and groups stands beside their types; here is what only messages have. Must not know
//! how any of it is encoded.

mod controller;
mod packet;
mod parts;
mod stats;
mod table_features;

use std::fmt::Write as _;

use super::bundle::{self, BundleAddHead, BundleFlags};
use super::kind::Kind;
use super::packet_in::NO_BUFFER;
use super::*;
use crate::action::print_list;
use crate::match_::MatchText;
use crate::text::{Names, Numbers, Port, Print, Table};

use controller::AsyncMasks;

/// How `ovs-ofctl ofp-print` prints when it is not told otherwise.
pub const DEFAULT_VERBOSITY: u8 = 2;

/// Prints a received message as `ovs-ofctl ofp-print` does, with the newline at its end.
///
/// What cannot be decoded is printed as Open vSwitch prints it: the error's name and a hex dump. To learn whether
/// it can be, see [`Message::decode`].
#[must_use]
pub fn print(message: &[u8], names: &dyn Names, verbosity: u8) -> String {
    let mut out = String::new();
    let Some(header) = Header::peek(message) else {
        if message.is_empty() {
            return "OpenFlow message is empty\n".to_owned();
        }
        let _ = writeln!(
            out,
            "OpenFlow packet too short (only {} bytes):",
            message.len()
        );
        hex_dump(&mut out, message, true);
        return out;
    };
    let length = usize::from(header.length);
    if length != message.len() {
        if length > message.len() {
            if let Ok(kind) = Kind::of(message) {
                let _ = writeln!(out, "{kind}{}", Version(header));
            }
            let _ = writeln!(
                out,
                "(***truncated to {} bytes from {length}***)",
                message.len()
            );
        } else {
            let _ = writeln!(
                out,
                "(***only uses {length} bytes out of {}***)",
                message.len()
            );
        }
        hex_dump(&mut out, message, true);
        return out;
    }
    let known = Kind::of(message).and_then(|kind| kind.check(message.len()).map(|()| kind));
    let kind = match known {
        Ok(kind) => kind,
        Err(error) => {
            decode_error(&mut out, error.name(), message);
            return out;
        }
    };
    let _ = write!(out, "{kind}{}", Version(header));
    let start = out.len();
    let mut printer = Printer {
        out: &mut out,
        names,
        verbosity,
    };
    match printer.message(message, header) {
        Ok(()) => chomp(&mut out, ' '),
        Err(error) => {
            if out.len() > start {
                chomp(&mut out, ' ');
                newline(&mut out);
            } else {
                out.push(' ');
            }
            decode_error(&mut out, error, message);
        }
    }
    newline(&mut out);
    out
}

impl Message {
    /// The message as `ovs-ofctl` prints it, with `xid` in the header and a newline at its end.
    ///
    /// A message that cannot be encoded is named and no more. A flow or group that a switch would refuse is
    /// printed all the same: whoever has to mend it must be able to read it.
    #[must_use]
    pub fn to_text(&self, xid: u32) -> String {
        let header = || format!("{} (OF1.3) (xid={xid:#x}):", self.name());
        match self {
            Message::FlowMod(flow) => return format!("{} {flow}\n", header()),
            Message::GroupMod(group) => return format!("{}\n {group}\n", header()),
            _ => {}
        }
        match self.to_bytes(xid) {
            Ok(bytes) => print(&bytes, &Numbers, DEFAULT_VERBOSITY),
            Err(error) => format!("{} {error}\n", header()),
        }
    }
}

/// As [`Message::to_text`] with a transaction id of 0, and without the newline at its end.
impl std::fmt::Display for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.to_text(0);
        f.write_str(text.strip_suffix('\n').unwrap_or(&text))
    }
}

/// What Open vSwitch refuses of actions that this crate only keeps.
fn verify(actions: &[crate::action::Action]) -> Printed {
    crate::action::verify(actions).map_err(|error| error.kind.name())
}

fn verify_buckets(group: &GroupMod) -> Printed {
    group
        .buckets
        .iter()
        .try_for_each(|bucket| verify(&bucket.actions))
}

/// What is said of a meter that is to be deleted does not matter.
fn verify_meter(meter: &MeterMod) -> Printed {
    match meter.command {
        MeterCommand::Delete => Ok(()),
        _ => MeterBand::check(&meter.config.bands).map_err(|error| error.kind.name()),
    }
}

struct Version(Header);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.version {
            1 => {}
            version @ 2..=6 => write!(f, " (OF1.{})", version - 1)?,
            version => write!(f, " (OF {version:#04x})")?,
        }
        write!(f, " (xid={:#x}):", self.0.xid)
    }
}

fn decode_error(out: &mut String, name: &str, message: &[u8]) {
    let _ = writeln!(out, "***decode error: {name}***");
    hex_dump(out, message, true);
}

fn newline(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Removes one `c` from the end.
fn chomp(out: &mut String, c: char) {
    if out.ends_with(c) {
        out.pop();
    }
}

/// Sixteen bytes a line, with their offset and, if asked for, the characters.
pub(crate) fn hex_dump(out: &mut String, bytes: &[u8], ascii: bool) {
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let _ = write!(out, "{:08x}  ", line * 16);
        for (i, byte) in chunk.iter().enumerate() {
            let _ = write!(out, "{byte:02x}{}", if i == 7 { '-' } else { ' ' });
        }
        if ascii {
            out.extend(std::iter::repeat_n("   ", 16 - chunk.len()));
            out.push('|');
            out.extend(chunk.iter().map(|b| {
                if (32..127).contains(b) {
                    char::from(*b)
                } else {
                    '.'
                }
            }));
            out.extend(std::iter::repeat_n(' ', 16 - chunk.len()));
            out.push('|');
        } else {
            chomp(out, ' ');
        }
        out.push('\n');
    }
}

/// The names of the bits that are set, the rest in hexadecimal; 0 if none is.
fn bit_names(out: &mut String, mut bits: u32, names: &[(u32, &str)], separator: char) {
    if bits == 0 {
        out.push('0');
        return;
    }
    let mut first = true;
    for (bit, name) in names {
        if bits & bit != 0 {
            if !std::mem::take(&mut first) {
                out.push(separator);
            }
            out.push_str(name);
            bits &= !bit;
        }
    }
    if bits != 0 {
        if !first {
            out.push(separator);
        }
        let _ = write!(out, "{bits:#x}");
    }
}

/// A counter, or `?` if the switch does not keep it.
fn counter(value: u64) -> String {
    if value == u64::MAX {
        "?".to_owned()
    } else {
        value.to_string()
    }
}

/// Seconds with as many decimals as say it exactly, but three for whole milliseconds.
pub(crate) fn duration(seconds: u32, nanos: u32) -> String {
    if nanos == 0 {
        format!("{seconds}s")
    } else if nanos.is_multiple_of(1_000_000) {
        format!("{seconds}.{:03}s", nanos / 1_000_000)
    } else {
        let digits = format!("{seconds}.{nanos:09}");
        format!("{}s", digits.trim_end_matches('0'))
    }
}

/// A zero-terminated text of at most `bytes.len()` bytes.
fn c_string(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    bytes
        .get(..end)
        .unwrap_or_default()
        .iter()
        .map(|b| char::from(*b))
        .collect()
}

struct Printer<'a> {
    out: &'a mut String,
    names: &'a dyn Names,
    verbosity: u8,
}

/// Writes to the printer's string, which cannot fail.
macro_rules! put {
    ($printer:expr, $($arg:tt)*) => { let _ = write!($printer.out, $($arg)*); };
}
use put;

/// The name of the error that Open vSwitch would print for a message that this crate is content with.
type Printed = Result<(), &'static str>;

impl Printer<'_> {
    fn match_text(&mut self, match_: &crate::match_::Match, priority: u16) {
        put!(
            self,
            "{}",
            MatchText {
                match_,
                priority,
                names: self.names
            }
        );
    }

    fn actions(&mut self, actions: &[crate::action::Action]) {
        struct List<'a>(&'a [crate::action::Action], &'a dyn Names);
        impl std::fmt::Display for List<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                if self.0.is_empty() {
                    f.write_str("drop")
                } else {
                    print_list(f, self.1, self.0)
                }
            }
        }
        put!(self, "{}", List(actions, self.names));
    }

    /// Prints as much as can be decoded.
    fn message(&mut self, bytes: &[u8], header: Header) -> Printed {
        if let Some(body) = bundle::add_body(bytes) {
            let mut r = Reader::new(body, ErrorKind::BrcBadLen, "bundle");
            let add = BundleAddHead::decode(header.xid, &mut r).map_err(|e| e.kind.name())?;
            self.bundle_add(add);
            return Ok(());
        }
        let (message, failed) = match Message::decode_partly(bytes) {
            Ok((_, message, failed)) => (message, failed),
            Err(error) => {
                if let MsgType::MULTIPART_REQUEST | MsgType::MULTIPART_REPLY = header.type_
                    && let Some(&[high, low]) = bytes.get(10..).and_then(|b| b.first_chunk::<2>())
                {
                    self.multipart_flags(u16::from_be_bytes([high, low]));
                }
                return Err(error.kind.name());
            }
        };
        self.body(&message, bytes)?;
        let Some(error) = failed else { return Ok(()) };
        if let Message::MultipartReply {
            body: MultipartReply::Group(_),
            ..
        } = message
        {
            self.out.push_str(" ***parse error***");
        }
        Err(error.kind.name())
    }

    fn bundle_add(&mut self, add: BundleAddHead<'_>) {
        put!(self, "\n bundle_id={} flags=", alternate_hex(add.bundle_id));
        self.bundle_flags(add.flags);
        self.out.push('\n');
        let message = print(add.message, self.names, self.verbosity);
        self.out.push_str(&message);
    }

    fn body(&mut self, message: &Message, bytes: &[u8]) -> Printed {
        match message {
            Message::Hello(hello) => self.hello(hello, bytes),
            Message::Error(error) => return self.error(error),
            Message::EchoRequest(data) | Message::EchoReply(data) => {
                put!(self, " {} bytes of payload\n", data.len());
                if self.verbosity > 1 {
                    hex_dump(self.out, data, true);
                }
            }
            Message::FeaturesReply(features) => self.features(features),
            Message::GetConfigReply(config) => self.config(*config),
            Message::SetConfig(config) => {
                if config.flags & !3 != 0 {
                    return Err("OFPSCFC_BAD_FLAGS");
                }
                self.config(*config);
            }
            Message::PacketIn(packet) | Message::NxPacketIn(NxPacketIn(packet)) => {
                return self.packet_in(packet);
            }
            Message::PacketIn2(properties) | Message::Resume(properties) => {
                return self.packet_in(&properties.to_packet_in().map_err(|e| e.kind.name())?);
            }
            Message::FlowRemoved(removed) | Message::NxFlowRemoved(NxFlowRemoved(removed)) => {
                self.flow_removed(removed);
            }
            Message::PortStatus(status) => {
                self.out.push_str(match status.reason {
                    PortReason::Add => " ADD:",
                    PortReason::Delete => " DEL:",
                    PortReason::Modify => " MOD:",
                });
                stats::port_desc(self.out, &status.desc);
            }
            Message::PacketOut(packet) => {
                verify(&packet.actions)?;
                self.packet_out(packet);
            }
            Message::NxFlowMod(flow) => {
                flow.flow.check().map_err(|error| error.kind.name())?;
                put!(self, " {}", flow.with_names(self.names));
            }
            Message::FlowMod(flow) => {
                flow.check().map_err(|error| error.kind.name())?;
                put!(self, " {}", flow.with_names(self.names));
            }
            Message::GroupMod(group) => {
                verify_buckets(group)?;
                put!(self, "\n {}", group.with_names(self.names));
            }
            Message::PortMod(port) => stats::port_mod(self.out, port, self.names),
            Message::TableMod(table) => {
                if table.table.0 == 0xff {
                    self.out.push_str(" table_id: ALL_TABLES");
                } else {
                    put!(self, " table_id={}", Table(table.table, self.names));
                }
            }
            Message::MultipartRequest { flags, body } => {
                self.multipart_flags(*flags);
                return self.multipart_request(body);
            }
            Message::MultipartReply { flags, body } => {
                self.multipart_flags(*flags);
                return self.multipart_reply(body);
            }
            Message::QueueGetConfigRequest(request) => {
                put!(self, " port={}", Port(request.port, self.names));
            }
            Message::QueueGetConfigReply(reply) => self.queues(reply),
            Message::RoleRequest(role) => {
                let generation = (role.role != Role::NoChange).then_some(role.generation_id);
                self.role(role.role, generation.filter(|g| *g != u64::MAX));
            }
            Message::RoleReply(role) => self.role(
                role.role,
                Some(role.generation_id).filter(|g| *g != u64::MAX),
            ),
            Message::NxRoleRequest(role) | Message::NxRoleReply(role) => self.role(role.role, None),
            Message::RoleStatus(status) => {
                self.role(
                    status.role,
                    Some(status.generation_id).filter(|g| *g != u64::MAX),
                );
                self.out.push_str(match status.reason {
                    0 => " reason=primary_request",
                    1 => " reason=configuration_changed",
                    2 => " reason=experimenter_data_changed",
                    _ => " reason=(unknown)",
                });
            }
            Message::GetAsyncReply(config)
            | Message::SetAsync(config)
            | Message::NxSetAsync(config) => {
                self.async_masks(&AsyncMasks::legacy(config));
            }
            Message::NxSetAsync2(config) => self.async_masks(&AsyncMasks::properties(config)?),
            Message::MeterMod(meter) => {
                verify_meter(meter)?;
                stats::meter_mod(self.out, meter);
            }
            Message::FlowModTableId(on) => {
                self.out.push_str(if *on { " enable" } else { " disable" })
            }
            Message::SetPacketInFormat(format) => self.out.push_str(match *format {
                PacketInFormat::STANDARD => " format=standard",
                PacketInFormat::NXT_PACKET_IN => " format=nxt_packet_in",
                _ => " format=nxt_packet_in2",
            }),
            Message::SetControllerId(id) => {
                put!(self, " id={id}");
            }
            Message::FlowMonitorCancel(id) => {
                put!(self, " id={id}");
            }
            Message::CtFlushZone(zone) => {
                put!(self, " zone_id={zone}");
            }
            Message::CtFlush(flush) => self.ct_flush(flush),
            Message::TlvTableMod(table) => {
                self.out.push_str("\n ");
                self.out.push_str(match table.command {
                    TlvCommand::Add => "ADD",
                    TlvCommand::Delete => "DEL",
                    TlvCommand::Clear => "CLEAR",
                });
                if table.command != TlvCommand::Clear {
                    self.tlv_maps(&table.maps);
                }
            }
            Message::TlvTableReply(table) => {
                put!(
                    self,
                    "\n max option space={} max fields={}\n",
                    table.max_option_space,
                    table.max_fields
                );
                let used: u32 = table.maps.iter().map(|m| u32::from(m.length)).sum();
                put!(self, " allocated option space={used}\n\n");
                self.tlv_maps(&table.maps);
            }
            Message::BundleControl(control) => {
                put!(
                    self,
                    "\n bundle_id={} type={} flags=",
                    alternate_hex(control.bundle_id),
                    control.type_.name()
                );
                self.bundle_flags(control.flags);
            }
            // It is printed by the parts that can be read.
            Message::BundleAdd(_) => {}
            Message::RequestForward { request, .. } => match &**request {
                Message::GroupMod(group) => {
                    verify_buckets(group)?;
                    put!(self, " reason=group_mod\n {}", group.with_names(self.names));
                }
                Message::MeterMod(meter) => {
                    verify_meter(meter)?;
                    self.out.push_str(" reason=meter_mod");
                    stats::meter_mod(self.out, meter);
                }
                _ => {}
            },
            Message::Experimenter(_)
            | Message::FeaturesRequest
            | Message::GetConfigRequest
            | Message::BarrierRequest
            | Message::BarrierReply
            | Message::GetAsyncRequest
            | Message::FlowAge
            | Message::TlvTableRequest
            | Message::FlowMonitorPaused
            | Message::FlowMonitorResumed => {}
        }
        Ok(())
    }

    fn hello(&mut self, hello: &Hello, bytes: &[u8]) {
        self.out.push_str("\n version bitmap: ");
        let versions: Vec<_> = (0..32)
            .filter(|v| hello.offers(*v))
            .map(|v| format!("{v:#04x}"))
            .collect();
        self.out.push_str(&versions.join(", "));
        if !hello.is_plain() {
            self.out.push_str("\n unknown data in hello:\n");
            hex_dump(self.out, bytes, true);
        }
    }

    fn error(&mut self, error: &OfError) -> Printed {
        let name = error.code.name().ok_or("OFPBRC_BAD_LEN")?;
        put!(self, " {name}\n");
        if matches!(name, "OFPHFC_INCOMPATIBLE" | "OFPHFC_EPERM") {
            for byte in &error.data {
                if (0x20..=0x7e).contains(byte) && !matches!(byte, b'\\' | b'"') {
                    self.out.push(char::from(*byte));
                } else {
                    put!(self, "\\{byte:03o}");
                }
            }
        } else {
            self.out.push_str(&print(&error.data, self.names, 1));
        }
        Ok(())
    }

    fn features(&mut self, features: &FeaturesReply) {
        put!(
            self,
            " dpid:{:016x}\nn_tables:{}, n_buffers:{}",
            features.datapath_id,
            features.n_tables,
            features.n_buffers
        );
        if features.auxiliary_id != 0 {
            put!(self, ", auxiliary_id:{}", features.auxiliary_id);
        }
        self.out.push_str("\ncapabilities: ");
        let shown = features.capabilities & 0x167 | (features.capabilities & 0x8) << 1;
        const NAMES: [(u32, &str); 7] = [
            (1, "FLOW_STATS"),
            (1 << 1, "TABLE_STATS"),
            (1 << 2, "PORT_STATS"),
            (1 << 4, "GROUP_STATS"),
            (1 << 5, "IP_REASM"),
            (1 << 6, "QUEUE_STATS"),
            (1 << 8, "PORT_BLOCKED"),
        ];
        bit_names(self.out, shown, &NAMES, ' ');
        self.out.push('\n');
    }

    fn config(&mut self, config: SwitchConfig) {
        let frags = match config.flags & 3 {
            0 => "normal",
            1 => "drop",
            2 => "reassemble",
            _ => "nx-match",
        };
        put!(
            self,
            " frags={frags} miss_send_len={}\n",
            config.miss_send_len
        );
    }

    fn flow_removed(&mut self, removed: &FlowRemoved) {
        self.out.push(' ');
        self.match_text(&removed.match_, removed.priority);
        put!(
            self,
            " reason={}",
            removed_reason(u32::from(removed.reason.0))
        );
        if removed.table.0 != 255 {
            put!(self, " table_id={}", Table(removed.table, self.names));
        }
        if removed.cookie != 0 {
            put!(self, " cookie:0x{:x}", removed.cookie);
        }
        put!(
            self,
            " duration{} idle{}",
            duration(removed.duration_sec, removed.duration_nsec),
            removed.idle_timeout
        );
        if removed.hard_timeout != 0 {
            put!(self, " hard{}", removed.hard_timeout);
        }
        put!(
            self,
            " pkts{} bytes{}\n",
            removed.packet_count,
            removed.byte_count
        );
    }

    fn packet_out(&mut self, packet: &PacketOut) {
        put!(
            self,
            " in_port={} actions=",
            Port(packet.in_port, self.names)
        );
        self.actions(&packet.actions);
        if packet.buffer_id != NO_BUFFER {
            put!(self, " buffer=0x{:08x}", packet.buffer_id);
            return;
        }
        put!(self, " data_len={}", packet.data.len());
        if self.verbosity > 0 && !packet.data.is_empty() {
            self.out.push('\n');
            packet::print(self.out, &packet.data, 0);
        }
        if self.verbosity > 2 {
            hex_dump(self.out, &packet.data, false);
        }
    }

    fn role(&mut self, role: Role, generation_id: Option<u64>) {
        put!(self, " role={}", role.name());
        if let Some(id) = generation_id {
            put!(self, " generation_id={id}");
        }
    }

    fn bundle_flags(&mut self, flags: BundleFlags) {
        bit_names(
            self.out,
            u32::from(flags.0),
            &[(1, "atomic"), (2, "ordered")],
            ' ',
        );
    }

    fn tlv_maps(&mut self, maps: &[TlvMap]) {
        self.out.push_str(" mapping table:\n  class  type  length  match field\n ------  ----  ------  --------------");
        for map in maps {
            let (class, type_) = (alternate_hex(map.class), alternate_hex(map.type_));
            put!(
                self,
                "\n {class:>6}  {type_:>4}  {:>6}  tun_metadata{}",
                map.length,
                map.index
            );
        }
    }
}

/// `%#x`: 0 has no prefix.
fn alternate_hex(n: impl Into<u64>) -> String {
    match n.into() {
        0 => "0".to_owned(),
        n => format!("{n:#x}"),
    }
}

fn named(number: u32, names: &[&str]) -> String {
    let name = usize::try_from(number).ok().and_then(|n| names.get(n));
    name.map_or_else(|| number.to_string(), |name| (*name).to_owned())
}

fn packet_in_reason(reason: u32) -> String {
    named(
        reason,
        &[
            "no_match",
            "action",
            "invalid_ttl",
            "action_set",
            "group",
            "packet_out",
            "",
            "",
        ],
    )
}

fn removed_reason(reason: u32) -> String {
    named(
        reason,
        &[
            "idle",
            "hard",
            "delete",
            "group_delete",
            "meter_delete",
            "eviction",
        ],
    )
}
