//! [`GroupMod`], which changes groups, and [`GroupDesc`], which tells of them. Sections are those of OpenFlow 1.3.5.

mod parse;

use std::fmt;

use crate::action::{self, Action, print_list};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::text::{Names, Port, Print, display_by_print};
use crate::types::{GroupId, PortNo};
use crate::wire::{Reader, Writer};

/// Changes a group (§7.3.4.2). It must fit one message, 65,535 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupMod {
    /// What to do.
    pub command: GroupCommand,
    /// How buckets are chosen.
    pub type_: GroupType,
    /// Which group; [`GroupId::ALL`] to delete all.
    pub id: GroupId,
    /// What to do with packets; none in a deletion.
    pub buckets: Vec<Bucket>,
}

/// What a [`GroupMod`] does: `ofp_group_mod_command` (§7.3.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum GroupCommand {
    /// Adds a group; an error if there is one.
    #[default]
    Add = 0,
    /// Replaces a group; an error if there is none.
    Modify = 1,
    /// Deletes a group, and all flows that use it.
    Delete = 2,
    /// Adds buckets; of OpenFlow 1.5. Open vSwitch reads it in 1.3 too, where nothing says next to which bucket, and
    /// does nothing then.
    InsertBucket = 3,
    /// Removes buckets; as [`GroupCommand::InsertBucket`].
    RemoveBucket = 5,
    /// Adds or replaces a group; Open vSwitch's extension.
    AddOrMod = 0x8000,
}

/// How a group chooses among its buckets: `ofp_group_type` (§7.3.4.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupType {
    /// All of them, each with a copy.
    #[default]
    All,
    /// One, by a hash of the packet.
    Select,
    /// The only one.
    Indirect,
    /// The first that is live.
    FastFailover,
    /// In a way that is not known here. No group can be made so.
    Unknown(u8),
}

impl GroupType {
    /// Its name in the text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            GroupType::All => "all",
            GroupType::Select => "select",
            GroupType::Indirect => "indirect",
            GroupType::FastFailover => "ff",
            GroupType::Unknown(_) => "unknown",
        }
    }

    const fn from_wire(n: u8) -> Self {
        match n {
            0 => GroupType::All,
            1 => GroupType::Select,
            2 => GroupType::Indirect,
            3 => GroupType::FastFailover,
            n => GroupType::Unknown(n),
        }
    }

    const fn to_wire(self) -> u8 {
        match self {
            GroupType::All => 0,
            GroupType::Select => 1,
            GroupType::Indirect => 2,
            GroupType::FastFailover => 3,
            GroupType::Unknown(n) => n,
        }
    }
}

/// Actions that a group may choose: `ofp_bucket` (§7.3.4.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// Its share; 1 unless said otherwise in a `select` group, 0 in others.
    pub weight: u16,
    /// The port whose liveness counts; [`PortNo::ANY`] for none.
    pub watch_port: PortNo,
    /// The group whose liveness counts; [`GroupId::ANY`] for none.
    pub watch_group: GroupId,
    /// What is done, in Open vSwitch in order, with the packet as it was.
    pub actions: Vec<Action>,
}

impl Bucket {
    /// A bucket that watches nothing.
    #[must_use]
    pub fn new(weight: u16, actions: Vec<Action>) -> Self {
        Bucket {
            weight,
            watch_port: PortNo::ANY,
            watch_group: GroupId::ANY,
            actions,
        }
    }

    /// Writes it.
    ///
    /// ```text
    /// +--------+--------+------------+-------------+------+---- … ----+
    /// | length | weight | watch port | watch group | 0:32 |  actions  |
    /// +--------+--------+------------+-------------+------+---- … ----+
    /// ```
    ///
    /// # Errors
    /// When it is too long, or an action has no wire form.
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        let length = w.length(start);
        w.u16(self.weight);
        w.u32(self.watch_port.0);
        w.u32(self.watch_group.0);
        w.u32(0);
        action::encode_list(&self.actions, w)?;
        w.end(length, "bucket")
    }

    /// Reads one bucket.
    ///
    /// # Errors
    /// As Open vSwitch would answer; see [`ErrorKind`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = DecodeError::new(ErrorKind::GmfcBadBucket, "bucket");
        if r.len() < 16 {
            return Err(bad);
        }
        let body = usize::from(r.u16()?).checked_sub(2).ok_or(bad)?;
        let mut b = r
            .sub_as(body, ErrorKind::GmfcBadBucket, "bucket")
            .map_err(|_| bad)?;
        let (weight, watch_port, watch_group) = (b.u16()?, PortNo(b.u32()?), GroupId(b.u32()?));
        b.skip(4)?;
        if !b.len().is_multiple_of(8) {
            return Err(DecodeError::new(ErrorKind::BrcBadLen, "bucket"));
        }
        let actions = action::decode_list(b)?;
        if watch_port.to_u16().is_none() {
            action::verify(&actions)?;
            return Err(DecodeError::new(ErrorKind::GmfcBadWatch, "bucket"));
        }
        Ok(Bucket {
            weight,
            watch_port,
            watch_group,
            actions,
        })
    }
}

fn decode_buckets(mut r: Reader<'_>) -> Result<Vec<Bucket>, DecodeError> {
    let mut out = Vec::new();
    while !r.is_empty() {
        match Bucket::decode(&mut r) {
            Ok(bucket) => out.push(bucket),
            Err(error) => return Err(first_wrong(&out, error)),
        }
    }
    Ok(out)
}

/// What Open vSwitch answers when `error` comes after `out`: it refuses what it does not know where it stands.
#[cold]
fn first_wrong(out: &[Bucket], error: DecodeError) -> DecodeError {
    let refused = out.iter().map(|bucket| action::verify(&bucket.actions));
    refused.filter_map(Result::err).next().unwrap_or(error)
}

impl GroupMod {
    /// Adds `id`, or replaces it.
    #[must_use]
    pub fn add_or_mod(id: GroupId, type_: GroupType, buckets: Vec<Bucket>) -> Self {
        GroupMod {
            command: GroupCommand::AddOrMod,
            type_,
            id,
            buckets,
        }
    }

    /// Deletes `id`.
    #[must_use]
    pub fn delete(id: GroupId) -> Self {
        GroupMod {
            command: GroupCommand::Delete,
            type_: GroupType::All,
            id,
            buckets: Vec::new(),
        }
    }

    /// Writes its body, what follows the header of the message.
    ///
    /// ```text
    /// +---------+------+---+----------+---- … ----+
    /// | command | type | 0 |    id    |  buckets  |
    /// +---------+------+---+----------+---- … ----+
    /// ```
    ///
    /// # Errors
    /// When a bucket is too long, or an action has no wire form.
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u16(self.command as u16);
        w.u8(self.type_.to_wire());
        w.u8(0);
        w.u32(self.id.0);
        self.buckets.iter().try_for_each(|b| b.encode(w))
    }

    /// Reads a body, to the end of `r`.
    ///
    /// # Errors
    /// As Open vSwitch would answer; see [`ErrorKind`].
    pub fn decode(mut r: Reader<'_>) -> Result<Self, DecodeError> {
        let command = r.u16()?;
        let type_ = r.u8()?;
        r.skip(1)?;
        let id = GroupId(r.u32()?);
        let buckets = decode_buckets(r)?;
        let error = |kind| first_wrong(&buckets, DecodeError::new(kind, "group mod"));
        if command == GroupCommand::Delete as u16 && !buckets.is_empty() {
            return Err(error(ErrorKind::GmfcInvalidGroup));
        }
        let type_ = GroupType::from_wire(type_);
        if matches!(type_, GroupType::Unknown(_)) {
            return Err(error(ErrorKind::GmfcBadType));
        }
        if type_ == GroupType::Indirect
            && command != GroupCommand::Delete as u16
            && buckets.len() != 1
        {
            return Err(error(ErrorKind::GmfcInvalidGroup));
        }
        let command = match command {
            0 => GroupCommand::Add,
            1 => GroupCommand::Modify,
            2 => GroupCommand::Delete,
            3 => GroupCommand::InsertBucket,
            5 if !buckets.is_empty() => return Err(error(ErrorKind::GmfcBadBucket)),
            5 => GroupCommand::RemoveBucket,
            0x8000 => GroupCommand::AddOrMod,
            _ => return Err(error(ErrorKind::GmfcBadCommand)),
        };
        for b in &buckets {
            let weighs = type_ == GroupType::Select || command == GroupCommand::InsertBucket;
            if b.weight != 0 && !weighs {
                return Err(error(ErrorKind::GmfcInvalidGroup));
            }
            let watches = b.watch_port != PortNo::ANY || b.watch_group != GroupId::ANY;
            match type_ {
                GroupType::All | GroupType::Indirect if watches => {
                    return Err(error(ErrorKind::GmfcWatchUnsupported));
                }
                GroupType::FastFailover if !watches => {
                    return Err(error(ErrorKind::GmfcInvalidGroup));
                }
                _ => {}
            }
        }
        Ok(GroupMod {
            command,
            type_,
            id,
            buckets,
        })
    }
}

/// As `ovs-ofctl ofp-print` prints it on the line after the name of the message.
impl Print for GroupMod {
    fn print(&self, f: &mut fmt::Formatter<'_>, names: &dyn Names) -> fmt::Result {
        f.write_str(match self.command {
            GroupCommand::Add => "ADD ",
            GroupCommand::Modify => "MOD ",
            GroupCommand::AddOrMod => "ADD_OR_MOD ",
            GroupCommand::Delete => "DEL ",
            GroupCommand::InsertBucket => "INSERT_BUCKET ",
            GroupCommand::RemoveBucket => "REMOVE_BUCKET ",
        })?;
        write!(f, "group_id={}", self.id)?;
        if !matches!(
            self.command,
            GroupCommand::InsertBucket | GroupCommand::RemoveBucket
        ) {
            write!(f, ",type={}", self.type_.name())?;
        }
        print_buckets(f, names, self.type_, &self.buckets)
    }
}

/// A group as a switch describes it (§7.3.5.10).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupDesc {
    /// Which group.
    pub id: GroupId,
    /// How buckets are chosen.
    pub type_: GroupType,
    /// What to do with packets.
    pub buckets: Vec<Bucket>,
}

impl GroupDesc {
    /// Writes it with its length.
    ///
    /// # Errors
    /// As [`GroupMod::encode`], and when it is too long.
    pub fn encode(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        let length = w.length(start);
        w.u8(self.type_.to_wire());
        w.u8(0);
        w.u32(self.id.0);
        self.buckets.iter().try_for_each(|b| b.encode(w))?;
        w.end(length, "group desc")
    }

    /// Reads one of a list.
    ///
    /// # Errors
    /// As Open vSwitch would say; see [`ErrorKind`].
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = DecodeError::new(ErrorKind::BrcBadLen, "group desc");
        let body = usize::from(r.u16()?).checked_sub(2).ok_or(bad)?;
        let mut b = r
            .sub_as(body, ErrorKind::BrcBadLen, "group desc")
            .map_err(|_| bad)?;
        let type_ = b.u8()?;
        b.skip(1)?;
        let id = GroupId(b.u32()?);
        Ok(GroupDesc {
            id,
            type_: GroupType::from_wire(type_),
            buckets: decode_buckets(b)?,
        })
    }
}

/// As `ovs-ofctl dump-groups` prints it.
impl Print for GroupDesc {
    fn print(&self, f: &mut fmt::Formatter<'_>, names: &dyn Names) -> fmt::Result {
        write!(f, "group_id={},type={}", self.id, self.type_.name())?;
        print_buckets(f, names, self.type_, &self.buckets)
    }
}

fn print_buckets(
    f: &mut fmt::Formatter<'_>,
    names: &dyn Names,
    type_: GroupType,
    buckets: &[Bucket],
) -> fmt::Result {
    for b in buckets {
        f.write_str(",bucket=")?;
        if b.weight != u16::from(type_ == GroupType::Select) {
            write!(f, "weight:{},", b.weight)?;
        }
        if b.watch_port != PortNo::ANY {
            write!(f, "watch_port:{},", Port(b.watch_port, names))?;
        }
        if b.watch_group != GroupId::ANY {
            write!(f, "watch_group:{},", b.watch_group)?;
        }
        f.write_str("actions=")?;
        if b.actions.is_empty() {
            f.write_str("drop")?
        } else {
            print_list(f, names, &b.actions)?
        }
    }
    Ok(())
}

display_by_print!(GroupMod, GroupDesc);
