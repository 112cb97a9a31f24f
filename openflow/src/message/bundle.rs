//! Bundles (ONF extension 230 to OpenFlow 1.3): messages that are applied together or not at all.

use std::ops::BitOr;

use super::Message;
use super::body::Context;
use super::experimenter::vendor_body;
use super::kind::Kind;
use super::list::{NXT_FLOW_MOD, ONFT_BUNDLE_ADD_MESSAGE};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::header::{HEADER_LEN, Header, MsgType, VERSION};
use crate::wire::{Reader, Writer};

/// `onf_bundle_ctrl_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BundleControlType(pub u16);

impl BundleControlType {
    /// Opens a bundle.
    pub const OPEN_REQUEST: Self = Self(0);
    /// It is open.
    pub const OPEN_REPLY: Self = Self(1);
    /// Nothing further may be added.
    pub const CLOSE_REQUEST: Self = Self(2);
    /// It is closed.
    pub const CLOSE_REPLY: Self = Self(3);
    /// Applies it.
    pub const COMMIT_REQUEST: Self = Self(4);
    /// It is applied.
    pub const COMMIT_REPLY: Self = Self(5);
    /// Throws it away.
    pub const DISCARD_REQUEST: Self = Self(6);
    /// It is gone.
    pub const DISCARD_REPLY: Self = Self(7);

    pub(crate) fn name(self) -> &'static str {
        const NAMES: [&str; 8] = [
            "OPEN_REQUEST",
            "OPEN_REPLY",
            "CLOSE_REQUEST",
            "CLOSE_REPLY",
            "COMMIT_REQUEST",
            "COMMIT_REPLY",
            "DISCARD_REQUEST",
            "DISCARD_REPLY",
        ];
        NAMES.get(usize::from(self.0)).copied().unwrap_or("")
    }
}

/// `onf_bundle_flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct BundleFlags(pub u16);

impl BundleFlags {
    /// All or nothing.
    pub const ATOMIC: Self = Self(1);
    /// In the order they were added.
    pub const ORDERED: Self = Self(2);
}

impl BitOr for BundleFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// `onf_bundle_ctrl_msg`.
///
/// ```text
///  16 … 19     20 … 21  22 … 23
/// +-----------+--------+-------+
/// | bundle_id | type   | flags |
/// +-----------+--------+-------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BundleControl {
    /// Chosen by the controller, unique within its connection.
    pub bundle_id: u32,
    /// What to do, or what was done.
    pub type_: BundleControlType,
    /// The same in every message of the bundle.
    pub flags: BundleFlags,
}

impl BundleControl {
    pub(crate) fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let control = BundleControl {
            bundle_id: r.u32()?,
            type_: BundleControlType(r.u16()?),
            flags: BundleFlags(r.u16()?),
        };
        r.take_rest(); // properties, of which none is defined
        Ok(control)
    }

    pub(crate) fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.bundle_id);
        w.u16(self.type_.0);
        w.u16(self.flags.0);
        Ok(())
    }
}

/// `onf_bundle_add_msg`: one message of a bundle. Its xid is the outer one's.
///
/// ```text
///  16 … 19     20 … 21  22 … 23  24 …
/// +-----------+--------+-------+---------+
/// | bundle_id | pad    | flags | message |
/// +-----------+--------+-------+---------+
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BundleAdd {
    /// The bundle.
    pub bundle_id: u32,
    /// As when it was opened.
    pub flags: BundleFlags,
    /// The message.
    pub message: Box<Message>,
}

impl BundleAdd {
    /// Whether Open vSwitch takes `message` in a bundle.
    #[must_use]
    pub fn accepts(message: &Message) -> bool {
        matches!(
            message,
            Message::FlowMod(_)
                | Message::NxFlowMod(_)
                | Message::GroupMod(_)
                | Message::PortMod(_)
                | Message::PacketOut(_)
        )
    }

    /// Appends `message` to `out` as a bundle's member, without boxing it.
    ///
    /// # Errors
    /// If it does not fit 64 KiB with the headers around it.
    pub fn encode_message(
        bundle_id: u32,
        flags: BundleFlags,
        message: &Message,
        xid: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let mut w = Writer::new(out);
        w.u8(VERSION);
        w.u8(MsgType::EXPERIMENTER.0);
        let length = w.length(start);
        w.u32(xid);
        let (experimenter, exp_type) = ONFT_BUNDLE_ADD_MESSAGE;
        w.u32(experimenter);
        w.u32(exp_type);
        w.u32(bundle_id);
        w.u16(0);
        w.u16(flags.0);
        let encoded = message
            .encode_into(xid, &mut w)
            .and_then(|()| w.end(length, "bundle member"));
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }

    pub(crate) fn encode_body(&self, xid: u32, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.bundle_id);
        w.u16(0);
        w.u16(self.flags.0);
        self.message.encode_into(xid, w)
    }

    pub(super) fn decode_body(
        context: &mut Context,
        r: &mut Reader<'_>,
    ) -> Result<Self, DecodeError> {
        let head = BundleAddHead::decode(context.xid, r)?;
        let (_, message) = Message::decode(head.message)?;
        if !Self::accepts(&message) {
            return Err(r.error(ErrorKind::BfcMsgUnsup));
        }
        Ok(BundleAdd {
            bundle_id: head.bundle_id,
            flags: head.flags,
            message: Box::new(message),
        })
    }
}

/// A [`BundleAdd`] whose message was not looked into.
pub(super) struct BundleAddHead<'a> {
    pub(super) bundle_id: u32,
    pub(super) flags: BundleFlags,
    pub(super) message: &'a [u8],
}

impl<'a> BundleAddHead<'a> {
    pub(super) fn decode(xid: u32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let bundle_id = r.u32()?;
        r.skip(2)?;
        let flags = BundleFlags(r.u16()?);
        let header = Header::peek(r.rest()).ok_or(r.error(ErrorKind::BfcMsgBadLen))?;
        if header.version != VERSION {
            return Err(r.error(ErrorKind::BfcBadVersion));
        }
        if usize::from(header.length) < HEADER_LEN || usize::from(header.length) > r.len() {
            return Err(r.error(ErrorKind::BfcMsgBadLen));
        }
        if header.xid != xid {
            return Err(r.error(ErrorKind::BfcMsgBadXid));
        }
        let message = r.bytes(usize::from(header.length))?;
        let known = Kind::of(message).and_then(|kind| kind.check(message.len()));
        let bundled = matches!(
            header.type_,
            MsgType::FLOW_MOD | MsgType::GROUP_MOD | MsgType::PORT_MOD | MsgType::PACKET_OUT
        );
        if known.is_err() || !(bundled || vendor_body(message, NXT_FLOW_MOD).is_some()) {
            return Err(r.error(ErrorKind::BfcMsgUnsup));
        }
        r.take_rest(); // properties, of which none is defined
        Ok(BundleAddHead {
            bundle_id,
            flags,
            message,
        })
    }
}
