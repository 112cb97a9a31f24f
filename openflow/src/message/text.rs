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

use super::bundle::{BundleAddHead, BundleFlags};
use super::experimenter::vendor_body;
use super::kind::Kind;
use super::list::ONFT_BUNDLE_ADD_MESSAGE;
use super::packet_in::NO_BUFFER;
use super::*;
use crate::action::print_list;
use crate::flow::FlowMod;
use crate::group::GroupMod;
use crate::match_::MatchText;
use crate::text::{Names, Numbers, Port, Print, Table};

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
        message,
    };
    match printer.message(header) {
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

pub(super) struct Printer<'a> {
    out: &'a mut String,
    names: &'a dyn Names,
    verbosity: u8,
    /// All of the message.
    message: &'a [u8],
}

/// Writes to the printer's string, which cannot fail.
macro_rules! put {
    ($printer:expr, $($arg:tt)*) => { let _ = write!($printer.out, $($arg)*); };
}
use put;

/// The name of the error that Open vSwitch would print for a message that this crate is content with.
pub(super) type Printed = Result<(), &'static str>;

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
    fn message(&mut self, header: Header) -> Printed {
        let bytes = self.message;
        if let Some(body) = vendor_body(bytes, ONFT_BUNDLE_ADD_MESSAGE) {
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
        message.print_body(self)?;
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

    pub(super) fn nothing(&mut self) -> Printed {
        Ok(())
    }

    pub(super) fn experimenter(&mut self, _: &Experimenter) -> Printed {
        Ok(())
    }

    pub(super) fn hello(&mut self, hello: &Hello) -> Printed {
        self.out.push_str("\n version bitmap: ");
        let versions: Vec<_> = (0..32)
            .filter(|v| hello.offers(*v))
            .map(|v| format!("{v:#04x}"))
            .collect();
        self.out.push_str(&versions.join(", "));
        if !hello.is_plain() {
            self.out.push_str("\n unknown data in hello:\n");
            hex_dump(self.out, self.message, true);
        }
        Ok(())
    }

    pub(super) fn echo(&mut self, payload: &[u8]) -> Printed {
        put!(self, " {} bytes of payload\n", payload.len());
        if self.verbosity > 1 {
            hex_dump(self.out, payload, true);
        }
        Ok(())
    }

    pub(super) fn set_config(&mut self, config: &SwitchConfig) -> Printed {
        match config.flags & !3 {
            0 => self.config(config),
            _ => Err("OFPSCFC_BAD_FLAGS"),
        }
    }

    pub(super) fn port_status(&mut self, status: &PortStatus) -> Printed {
        self.out.push_str(match status.reason {
            PortReason::Add => " ADD:",
            PortReason::Delete => " DEL:",
            PortReason::Modify => " MOD:",
        });
        stats::port_desc(self.out, &status.desc);
        Ok(())
    }

    pub(super) fn flow_mod(&mut self, flow: &FlowMod) -> Printed {
        flow.check().map_err(|error| error.kind.name())?;
        put!(self, " {}", flow.with_names(self.names));
        Ok(())
    }

    pub(super) fn nx_flow_mod(&mut self, flow: &NxFlowMod) -> Printed {
        flow.flow.check().map_err(|error| error.kind.name())?;
        put!(self, " {}", flow.with_names(self.names));
        Ok(())
    }

    pub(super) fn group_mod(&mut self, group: &GroupMod) -> Printed {
        verify_buckets(group)?;
        put!(self, "\n {}", group.with_names(self.names));
        Ok(())
    }

    pub(super) fn port_mod(&mut self, port: &PortMod) -> Printed {
        stats::port_mod(self.out, port, self.names);
        Ok(())
    }

    pub(super) fn table_mod(&mut self, table: &TableMod) -> Printed {
        if table.table.0 == 0xff {
            self.out.push_str(" table_id: ALL_TABLES");
        } else {
            put!(self, " table_id={}", Table(table.table, self.names));
        }
        Ok(())
    }

    pub(super) fn meter_mod(&mut self, meter: &MeterMod) -> Printed {
        verify_meter(meter)?;
        stats::meter_mod(self.out, meter);
        Ok(())
    }

    pub(super) fn multipart_request(&mut self, flags: &u16, body: &MultipartRequest) -> Printed {
        self.multipart_flags(*flags);
        body.print_body(self)
    }

    pub(super) fn multipart_reply(&mut self, flags: &u16, body: &MultipartReply) -> Printed {
        self.multipart_flags(*flags);
        body.print_body(self)
    }

    pub(super) fn queue_request(&mut self, request: &QueueGetConfigRequest) -> Printed {
        put!(self, " port={}", Port(request.port, self.names));
        Ok(())
    }

    pub(super) fn role_request(&mut self, role: &RoleMessage) -> Printed {
        let generation = (role.role != Role::NoChange).then_some(role.generation_id);
        self.role(role.role, generation)
    }

    pub(super) fn role_reply(&mut self, role: &RoleMessage) -> Printed {
        self.role(role.role, Some(role.generation_id))
    }

    pub(super) fn nx_role(&mut self, role: &NxRole) -> Printed {
        self.role(role.role, None)
    }

    pub(super) fn role_status(&mut self, status: &RoleStatus) -> Printed {
        self.role(status.role, Some(status.generation_id))?;
        self.out.push_str(match status.reason {
            0 => " reason=primary_request",
            1 => " reason=configuration_changed",
            2 => " reason=experimenter_data_changed",
            _ => " reason=(unknown)",
        });
        Ok(())
    }

    pub(super) fn enabled(&mut self, on: &bool) -> Printed {
        self.out.push_str(if *on { " enable" } else { " disable" });
        Ok(())
    }

    pub(super) fn packet_in_format(&mut self, format: &PacketInFormat) -> Printed {
        self.out.push_str(match *format {
            PacketInFormat::STANDARD => " format=standard",
            PacketInFormat::NXT_PACKET_IN => " format=nxt_packet_in",
            _ => " format=nxt_packet_in2",
        });
        Ok(())
    }

    pub(super) fn controller_id(&mut self, id: &u16) -> Printed {
        put!(self, " id={id}");
        Ok(())
    }

    pub(super) fn monitor_cancel(&mut self, id: &u32) -> Printed {
        put!(self, " id={id}");
        Ok(())
    }

    pub(super) fn ct_flush_zone(&mut self, zone: &u16) -> Printed {
        put!(self, " zone_id={zone}");
        Ok(())
    }

    pub(super) fn tlv_table_mod(&mut self, table: &TlvTableMod) -> Printed {
        self.out.push_str("\n ");
        self.out.push_str(match table.command {
            TlvCommand::Add => "ADD",
            TlvCommand::Delete => "DEL",
            TlvCommand::Clear => "CLEAR",
        });
        if table.command != TlvCommand::Clear {
            self.tlv_maps(&table.maps);
        }
        Ok(())
    }

    pub(super) fn tlv_table(&mut self, table: &TlvTableReply) -> Printed {
        put!(
            self,
            "\n max option space={} max fields={}\n",
            table.max_option_space,
            table.max_fields
        );
        let used: u32 = table.maps.iter().map(|m| u32::from(m.length)).sum();
        put!(self, " allocated option space={used}\n\n");
        self.tlv_maps(&table.maps);
        Ok(())
    }

    pub(super) fn bundle_control(&mut self, control: &BundleControl) -> Printed {
        put!(
            self,
            "\n bundle_id={} type={} flags=",
            alternate_hex(control.bundle_id),
            control.type_.name()
        );
        self.bundle_flags(control.flags);
        Ok(())
    }

    /// It is printed before, by the parts that can be read.
    pub(super) fn bundled(&mut self, _: &BundleAdd) -> Printed {
        Ok(())
    }

    pub(super) fn request_forward(&mut self, _xid: &u32, request: &Message) -> Printed {
        match request {
            Message::GroupMod(group) => {
                verify_buckets(group)?;
                self.out.push_str(" reason=group_mod");
                self.group_mod(group)
            }
            Message::MeterMod(meter) => {
                verify_meter(meter)?;
                self.out.push_str(" reason=meter_mod");
                stats::meter_mod(self.out, meter);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn error(&mut self, error: &OfError) -> Printed {
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

    pub(super) fn features(&mut self, features: &FeaturesReply) -> Printed {
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
        Ok(())
    }

    pub(super) fn config(&mut self, config: &SwitchConfig) -> Printed {
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
        Ok(())
    }

    pub(super) fn flow_removed(&mut self, removed: &FlowRemoved) -> Printed {
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
        Ok(())
    }

    pub(super) fn nx_flow_removed(&mut self, removed: &NxFlowRemoved) -> Printed {
        self.flow_removed(&removed.0)
    }

    pub(super) fn packet_out(&mut self, packet: &PacketOut) -> Printed {
        verify(&packet.actions)?;
        put!(
            self,
            " in_port={} actions=",
            Port(packet.in_port, self.names)
        );
        self.actions(&packet.actions);
        if packet.buffer_id != NO_BUFFER {
            put!(self, " buffer=0x{:08x}", packet.buffer_id);
            return Ok(());
        }
        put!(self, " data_len={}", packet.data.len());
        if self.verbosity > 0 && !packet.data.is_empty() {
            self.out.push('\n');
            packet::print(self.out, &packet.data, 0);
        }
        if self.verbosity > 2 {
            hex_dump(self.out, &packet.data, false);
        }
        Ok(())
    }

    fn role(&mut self, role: Role, generation_id: Option<u64>) -> Printed {
        put!(self, " role={}", role.name());
        if let Some(id) = generation_id.filter(|id| *id != u64::MAX) {
            put!(self, " generation_id={id}");
        }
        Ok(())
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
