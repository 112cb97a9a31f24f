//! [`FlowMod`], which changes flow entries, and [`FlowStats`], which tells of them. Sections are those of OpenFlow 1.3.5.

mod parse;

use std::fmt;
use std::time::Duration;

use crate::action::check_instructions;
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::field::Field;
use crate::instruction::{self, Instructions};
use crate::match_::{Facts, Match, MatchText};
use crate::message::text::duration;
use crate::text::{Names, Port, Print, Table, display_by_print};
use crate::types::{GroupId, PortNo, TableId};
use crate::wire::{Reader, Writer};

/// The priority of a flow that names none: `OFP_DEFAULT_PRIORITY`.
pub const DEFAULT_PRIORITY: u16 = 0x8000;

/// No buffered packet: `OFP_NO_BUFFER`.
pub const NO_BUFFER: u32 = 0xffff_ffff;

/// Changes flow entries (§7.3.4.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlowMod {
    /// The cookie of an added flow; which flows a change or a deletion is about, with the mask.
    pub cookie: u64,
    /// Which bits of the cookie must agree; 0 for any flow. Not for additions.
    pub cookie_mask: u64,
    /// The table; [`TableId::ALL`] in deletions only.
    pub table: TableId,
    /// What to do.
    pub command: FlowModCommand,
    /// Seconds without a packet until the flow goes; 0 for never.
    pub idle_timeout: u16,
    /// Seconds until the flow goes; 0 for never.
    pub hard_timeout: u16,
    /// Which flow wins; higher ones do.
    pub priority: u16,
    /// A buffered packet to send through the flow; [`NO_BUFFER`].
    pub buffer_id: u32,
    /// Deletes only flows that output there; [`PortNo::ANY`] for all.
    pub out_port: PortNo,
    /// Deletes only flows that use that group; [`GroupId::ANY`] for all.
    pub out_group: GroupId,
    /// Flags of the flow.
    pub flags: FlowFlags,
    /// Which packets.
    pub match_: Match,
    /// What happens to them; nothing, not even forwarding, if there are none.
    pub instructions: Instructions,
}

/// What a [`FlowMod`] does: `ofp_flow_mod_command` (§7.3.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FlowModCommand {
    /// Adds a flow, in place of one with the same table, priority and match.
    #[default]
    Add = 0,
    /// Changes the instructions of all flows within the match.
    Modify = 1,
    /// Changes the instructions of the flow with this match and priority.
    ModifyStrict = 2,
    /// Deletes all flows within the match.
    Delete = 3,
    /// Deletes the flow with this match and priority.
    DeleteStrict = 4,
}

/// Flags of a flow: `ofp_flow_mod_flags` (§7.3.4.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowFlags(pub u16);

impl FlowFlags {
    /// Tell when the flow goes.
    pub const SEND_FLOW_REM: FlowFlags = FlowFlags(1);
    /// Refuse a flow that overlaps another of the same priority.
    pub const CHECK_OVERLAP: FlowFlags = FlowFlags(2);
    /// Start the counters anew.
    pub const RESET_COUNTS: FlowFlags = FlowFlags(4);
    /// Do not count packets.
    pub const NO_PKT_COUNTS: FlowFlags = FlowFlags(8);
    /// Do not count bytes.
    pub const NO_BYT_COUNTS: FlowFlags = FlowFlags(16);

    const NAMES: [(FlowFlags, &'static str); 5] = [
        (FlowFlags::SEND_FLOW_REM, "send_flow_rem"),
        (FlowFlags::CHECK_OVERLAP, "check_overlap"),
        (FlowFlags::RESET_COUNTS, "reset_counts"),
        (FlowFlags::NO_PKT_COUNTS, "no_packet_counts"),
        (FlowFlags::NO_BYT_COUNTS, "no_byte_counts"),
    ];

    /// Whether all of `other` are set.
    #[must_use]
    pub const fn contains(self, other: FlowFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags, if a switch knows them all.
    #[inline]
    pub(crate) const fn checked(self) -> Result<Self, DecodeError> {
        if self.0 & !0x1f == 0 {
            Ok(self)
        } else {
            Err(DecodeError::new(ErrorKind::FmfcBadFlags, "flow mod"))
        }
    }

    /// Each flag followed by a space.
    fn print(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = Self::NAMES.iter().filter(|(flag, _)| self.contains(*flag));
        set.into_iter()
            .try_for_each(|(_, name)| write!(f, "{name} "))
    }
}

impl std::ops::BitOr for FlowFlags {
    type Output = FlowFlags;
    fn bitor(self, other: FlowFlags) -> FlowFlags {
        FlowFlags(self.0 | other.0)
    }
}

impl std::ops::BitOrAssign for FlowFlags {
    fn bitor_assign(&mut self, other: FlowFlags) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for FlowFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlowFlags({:#x})", self.0)
    }
}

impl Default for FlowMod {
    fn default() -> Self {
        FlowMod {
            cookie: 0,
            cookie_mask: 0,
            table: TableId(0),
            command: FlowModCommand::Add,
            idle_timeout: 0,
            hard_timeout: 0,
            priority: DEFAULT_PRIORITY,
            buffer_id: NO_BUFFER,
            out_port: PortNo::ANY,
            out_group: GroupId::ANY,
            flags: FlowFlags::default(),
            match_: Match::new(),
            instructions: Instructions::new(),
        }
    }
}

impl FlowMod {
    /// Writes its body, what follows the header of the message.
    ///
    /// ```text
    /// +----------------+----------------+-----+-------+------+------+----------+-----------+
    /// |     cookie     |  cookie mask   |table|command| idle | hard | priority | buffer id |
    /// +----------+-----+-----+-------+--+--+--+-------+------+------+----------+-----------+
    /// | out port | out group | flags |  0  |    match, padded    |       instructions      |
    /// +----------+-----------+-------+-----+---------------------+-------------------------+
    /// ```
    ///
    /// # Errors
    /// When a part is too long or has no wire form in OpenFlow 1.3.
    #[inline]
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.reserve(256);
        w.u64(self.cookie);
        w.u64(self.cookie_mask);
        let [i0, i1] = self.idle_timeout.to_be_bytes();
        let [h0, h1] = self.hard_timeout.to_be_bytes();
        let [p0, p1] = self.priority.to_be_bytes();
        w.array(&[self.table.0, self.command as u8, i0, i1, h0, h1, p0, p1]);
        w.u64(u64::from(self.buffer_id) << 32 | u64::from(self.out_port.0));
        w.u64(u64::from(self.out_group.0) << 32 | u64::from(self.flags.0) << 16);
        self.match_.encode(w)?;
        instruction::encode_list(&self.instructions, w)
    }

    /// Reads a body, to the end of `r`.
    ///
    /// # Errors
    /// As Open vSwitch would answer; see [`ErrorKind`].
    #[inline]
    pub fn decode(r: Reader<'_>) -> Result<Self, DecodeError> {
        let mut fm = FlowMod::default();
        fm.decode_from(r)?;
        Ok(fm)
    }

    /// As [`decode`](Self::decode), in place; `self` is as by default before.
    fn decode_from(&mut self, mut r: Reader<'_>) -> Result<(), DecodeError> {
        let context = "flow mod";
        let fm = self;
        let mut head = r.sub(40)?;
        fm.cookie = head.u64()?;
        fm.cookie_mask = head.u64()?;
        let [table, command, i0, i1, h0, h1, p0, p1] = *head.array::<8>()?;
        fm.table = TableId(table);
        fm.idle_timeout = u16::from_be_bytes([i0, i1]);
        fm.hard_timeout = u16::from_be_bytes([h0, h1]);
        fm.priority = u16::from_be_bytes([p0, p1]);
        fm.buffer_id = head.u32()?;
        fm.out_port = PortNo(head.u32()?);
        fm.out_group = GroupId(head.u32()?);
        fm.flags = FlowFlags(head.u16()?);
        fm.match_.decode_from(&mut r)?;
        let made = FlowModCommand::from_wire(command);
        let deletes = matches!(
            made,
            Ok(FlowModCommand::Delete | FlowModCommand::DeleteStrict)
        );
        if table == 0xff && !deletes {
            return Err(DecodeError::new(ErrorKind::FmfcBadTableId, context));
        }
        if fm.out_port.to_u16().is_none() {
            return Err(DecodeError::new(ErrorKind::BacBadOutPort, context));
        }
        fm.decode_rest(made, r)
    }

    /// Reads the instructions, where all before them is read, and checks what Open vSwitch checks about then.
    #[inline(always)]
    pub(crate) fn decode_rest(
        &mut self,
        command: Result<FlowModCommand, DecodeError>,
        mut r: Reader<'_>,
    ) -> Result<(), DecodeError> {
        let read = command.and_then(|command| {
            self.command = command;
            instruction::decode_list_to(&mut r, &mut self.instructions)
        });
        if let Err(error) = read {
            return Err(self.check_tuple().err().unwrap_or(error));
        }
        if let Err(error) = self.flags.checked() {
            self.check_tuple()?;
            instruction::verify(&self.instructions)?;
            return Err(error);
        }
        Ok(())
    }

    /// Checks that the original tuple of a connection is matched in the addresses that the packet has.
    fn check_tuple(&self) -> Result<(), DecodeError> {
        let has = |f| self.match_.get(f).is_some();
        let dl_type = self
            .match_
            .get(Field::ETH_TYPE)
            .map_or(0, |(v, _)| v.to_u16());
        let v4 = has(Field::CT_NW_SRC) || has(Field::CT_NW_DST);
        let v6 = has(Field::CT_IPV6_SRC) || has(Field::CT_IPV6_DST);
        if (v4 && dl_type != 0x0800) || (v6 && dl_type != 0x86dd) {
            return Err(DecodeError::new(
                ErrorKind::BacMatchInconsistent,
                "flow mod",
            ));
        }
        Ok(())
    }
}

impl FlowMod {
    /// Checks what Open vSwitch checks before it takes a flow: that it knows all actions, that they
    /// stand where they may, and that they fit the match and the table.
    ///
    /// # Errors
    /// What it would answer.
    pub fn check(&self) -> Result<(), DecodeError> {
        self.check_tuple()?;
        instruction::verify(&self.instructions)?;
        check_instructions(&self.instructions, Facts::of(&self.match_), self.table)
    }
}

impl FlowModCommand {
    pub(crate) fn from_wire(n: u8) -> Result<Self, DecodeError> {
        Ok(match n {
            0 => FlowModCommand::Add,
            1 => FlowModCommand::Modify,
            2 => FlowModCommand::ModifyStrict,
            3 => FlowModCommand::Delete,
            4 => FlowModCommand::DeleteStrict,
            _ => return Err(DecodeError::new(ErrorKind::FmfcBadCommand, "flow mod")),
        })
    }
}

/// The cookies of a flow mod, as it is printed.
pub(crate) struct Cookies {
    /// What flows have afterwards; all ones is as good as none.
    pub(crate) new: Option<u64>,
    /// Which flows are meant, and which bits count.
    pub(crate) matched: (u64, u64),
}

/// As `ovs-ofctl ofp-print` prints it after the name of the message: `ADD table:1 … actions=…`.
impl Print for FlowMod {
    fn print(&self, f: &mut fmt::Formatter<'_>, names: &dyn Names) -> fmt::Result {
        let cookies = match self.command {
            FlowModCommand::Add => Cookies {
                new: Some(self.cookie),
                matched: (0, 0),
            },
            _ => Cookies {
                new: None,
                matched: (self.cookie, self.cookie_mask),
            },
        };
        self.print_with(f, names, cookies)
    }
}

impl FlowMod {
    pub(crate) fn print_with(
        &self,
        f: &mut fmt::Formatter<'_>,
        names: &dyn Names,
        cookies: Cookies,
    ) -> fmt::Result {
        f.write_str(match self.command {
            FlowModCommand::Add => "ADD",
            FlowModCommand::Modify => "MOD",
            FlowModCommand::ModifyStrict => "MOD_STRICT",
            FlowModCommand::Delete => "DEL",
            FlowModCommand::DeleteStrict => "DEL_STRICT",
        })?;
        if self.table.0 != 0 || names.table(self.table).is_some() {
            write!(f, " table:{}", Table(self.table, names))?;
        }
        let text = MatchText {
            match_: &self.match_,
            priority: self.priority,
            names,
        };
        f.write_str(" ")?;
        if self.priority != DEFAULT_PRIORITY || prints_something(&self.match_) {
            write!(f, "{text} ")?;
        }
        if let Some(new) = cookies.new.filter(|c| *c != 0 && *c != u64::MAX) {
            write!(f, "cookie:{new:#x} ")?;
        }
        let (cookie, mask) = cookies.matched;
        if mask != 0 {
            write!(f, "cookie:{cookie:#x}/{mask:#x} ")?;
        }
        if self.idle_timeout != 0 {
            write!(f, "idle:{} ", self.idle_timeout)?;
        }
        if self.hard_timeout != 0 {
            write!(f, "hard:{} ", self.hard_timeout)?;
        }
        if self.buffer_id != NO_BUFFER {
            write!(f, "buf:{:#x} ", self.buffer_id)?;
        }
        if self.out_port != PortNo::ANY {
            write!(f, "out_port:{} ", Port(self.out_port, names))?;
        }
        self.flags.print(f)?;
        f.write_str("actions=")?;
        instruction::print_all(f, names, &self.instructions)
    }
}

/// Whether the text of a match is not empty: a match on Ethernet packets alone prints nothing.
fn prints_something(m: &Match) -> bool {
    !m.is_empty() && !m.to_string().is_empty()
}

/// A flow entry with its counters (§7.3.5.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FlowStats {
    /// Its table.
    pub table: TableId,
    /// Seconds since it was added.
    pub duration_sec: u32,
    /// And nanoseconds beyond these.
    pub duration_nsec: u32,
    /// Its priority.
    pub priority: u16,
    /// Its idle timeout, in seconds; 0 for none.
    pub idle_timeout: u16,
    /// Its hard timeout, in seconds; 0 for none.
    pub hard_timeout: u16,
    /// Its flags.
    pub flags: FlowFlags,
    /// Its cookie.
    pub cookie: u64,
    /// Packets it matched; all ones if unknown.
    pub packet_count: u64,
    /// Bytes it matched; all ones if unknown.
    pub byte_count: u64,
    /// Which packets.
    pub match_: Match,
    /// What happens to them.
    pub instructions: Instructions,
}

/// How long it is before its match.
const FLOW_STATS_LEN: usize = 48;

impl FlowStats {
    /// The message that adds the same flow, to this switch or to another; its counters begin anew.
    #[must_use]
    pub fn to_add(&self) -> FlowMod {
        FlowMod {
            command: FlowModCommand::Add,
            cookie: self.cookie,
            table: self.table,
            priority: self.priority,
            idle_timeout: self.idle_timeout,
            hard_timeout: self.hard_timeout,
            flags: self.flags,
            match_: self.match_.clone(),
            instructions: self.instructions.clone(),
            ..FlowMod::default()
        }
    }

    /// Writes it with its length.
    ///
    /// ```text
    /// +--------+-------+---+---------+---------+----------+------+------+-------+
    /// | length | table | 0 | seconds | nanosec | priority | idle | hard | flags |
    /// +--------+---+---+---+----+----+------+--+----------+------+------+-------+
    /// |  0:32  |  cookie:64 | packets:64 | bytes:64 |   match   |  instructions  |
    /// +--------+------------+------------+----------+-----------+----------------+
    /// ```
    ///
    /// # Errors
    /// As [`FlowMod::encode`].
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        let length = w.length(start);
        w.u8(self.table.0);
        w.u8(0);
        w.u32(self.duration_sec);
        w.u32(self.duration_nsec);
        w.u16(self.priority);
        w.u16(self.idle_timeout);
        w.u16(self.hard_timeout);
        w.u16(self.flags.0);
        w.u32(0);
        w.u64(self.cookie);
        w.u64(self.packet_count);
        w.u64(self.byte_count);
        self.match_.encode(w)?;
        instruction::encode_list(&self.instructions, w)?;
        w.end(length, "flow stats")
    }

    /// Reads one of a list.
    ///
    /// # Errors
    /// As [`FlowMod::decode`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let context = "flow stats";
        let bad = DecodeError::new(ErrorKind::BrcBadLen, context);
        let start = r.len();
        let mut head = r.sub(FLOW_STATS_LEN).map_err(|_| bad)?;
        let length = usize::from(head.u16()?);
        if length < FLOW_STATS_LEN {
            return Err(bad);
        }
        let table = TableId(head.u8()?);
        head.skip(1)?;
        let (duration_sec, duration_nsec) = (head.u32()?, head.u32()?);
        let (priority, idle_timeout, hard_timeout) = (head.u16()?, head.u16()?, head.u16()?);
        let flags = FlowFlags(head.u16()?);
        head.skip(4)?;
        let (cookie, packet_count, byte_count) = (head.u64()?, head.u64()?, head.u64()?);
        let mut stats = FlowStats {
            table,
            duration_sec,
            duration_nsec,
            priority,
            idle_timeout,
            hard_timeout,
            flags,
            cookie,
            packet_count,
            byte_count,
            match_: Match::new(),
            instructions: Instructions::new(),
        };
        // Open vSwitch looks at the length again only where the instructions begin.
        stats.match_.decode_from(r)?;
        let bad = DecodeError::new(ErrorKind::BicBadLen, context);
        let instructions = length.checked_sub(start - r.len());
        let instructions = instructions.filter(|n| n.is_multiple_of(8)).ok_or(bad);
        let read = instructions
            .and_then(|n| r.sub_as(n, bad.kind, context).map_err(|_| bad))
            .and_then(|mut r| instruction::decode_list_to(&mut r, &mut stats.instructions));
        match read {
            Ok(()) => Ok(stats),
            // Flags that are not known do no harm but to what comes after them.
            Err(error) => Err(stats.flags.checked().err().unwrap_or(error)),
        }
    }

    /// How long it has been there.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.duration_sec.into())
            + Duration::from_nanos(self.duration_nsec.into())
    }

    /// As `ovs-ofctl --no-stats dump-flows` prints it.
    #[must_use]
    pub fn without_stats<'a>(&'a self, names: &'a dyn Names) -> impl fmt::Display + 'a {
        WithoutStats { flow: self, names }
    }

    fn print_flow(
        &self,
        f: &mut fmt::Formatter<'_>,
        names: &dyn Names,
        stats: bool,
    ) -> fmt::Result {
        if stats || self.cookie != 0 {
            write!(f, "cookie={:#x}, ", self.cookie)?;
        }
        if stats {
            let duration = duration(self.duration_sec, self.duration_nsec);
            write!(f, "duration={duration}, ")?;
        }
        if stats || self.table.0 != 0 || names.table(self.table).is_some() {
            write!(f, "table={}, ", Table(self.table, names))?;
        }
        if stats {
            for (name, n) in [
                ("n_packets", self.packet_count),
                ("n_bytes", self.byte_count),
            ] {
                if n == u64::MAX {
                    write!(f, "{name}=?, ")?
                } else {
                    write!(f, "{name}={n}, ")?
                }
            }
        }
        if self.idle_timeout != 0 {
            write!(f, "idle_timeout={}, ", self.idle_timeout)?;
        }
        if self.hard_timeout != 0 {
            write!(f, "hard_timeout={}, ", self.hard_timeout)?;
        }
        self.flags.print(f)?;
        if self.priority != DEFAULT_PRIORITY || prints_something(&self.match_) {
            write!(
                f,
                "{} ",
                MatchText {
                    match_: &self.match_,
                    priority: self.priority,
                    names
                }
            )?;
        }
        f.write_str("actions=")?;
        instruction::print_all(f, names, &self.instructions)
    }
}

/// As `ovs-ofctl dump-flows` prints it.
impl Print for FlowStats {
    fn print(&self, f: &mut fmt::Formatter<'_>, names: &dyn Names) -> fmt::Result {
        self.print_flow(f, names, true)
    }
}

struct WithoutStats<'a> {
    flow: &'a FlowStats,
    names: &'a dyn Names,
}

impl fmt::Display for WithoutStats<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.flow.print_flow(f, self.names, false)
    }
}

display_by_print!(FlowMod, FlowStats);
