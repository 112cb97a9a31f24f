//! Every message of OpenFlow 1.3 (§7) and of the extensions that Open vSwitch implements on it.
//!
//! [`Message`] is the sum of them, of which `list` has an entry for each; each kind of body has a module with its wire layout. What is not known survives a round
//! trip as [`Experimenter`]. The text form is in [`text`]. Must not know connections.

mod async_config;
mod body;
mod bundle;
mod codes;
mod ct_flush;
mod experimenter;
mod flow_removed;
mod flow_request;
mod hello;
mod ipfix;
mod kind;
mod list;
mod meter;
mod monitor;
mod multipart;
mod nx_flow_mod;
mod of_error;
mod packet_in;
mod packet_out;
mod port;
mod property;
mod queue;
mod request_forward;
mod role;
mod stats;
mod switch;
mod table;
pub mod table_features;
pub mod text;
mod tlv_table;

pub use async_config::{AsyncConfig, AsyncConfig2};
pub use bundle::{BundleAdd, BundleControl, BundleControlType, BundleFlags};
pub use codes::ErrorCode;
pub use ct_flush::{CtFlush, CtTuple};
pub use experimenter::{Experimenter, NICIRA, ONF};
pub use flow_removed::{FlowRemoved, FlowRemovedReason, NxFlowRemoved};
pub use flow_request::FlowRequest;
pub use hello::{Hello, HelloElement};
pub use ipfix::{IpfixFlowStats, IpfixStats};
pub use list::Message;
pub use meter::{
    BandKind, MeterBand, MeterCommand, MeterConfig, MeterFeatures, MeterFlags, MeterId, MeterMod,
    MeterStats,
};
pub use monitor::{FlowEvent, FlowMonitorRequest, FlowUpdate, FlowUpdateFull, MonitorFlags};
pub use multipart::{MultipartReply, MultipartRequest};
pub use nx_flow_mod::NxFlowMod;
pub use of_error::OfError;
pub use packet_in::{NO_BUFFER, NxPacketIn, PacketIn, PacketIn2, PacketInProperty, PacketInReason};
pub use packet_out::PacketOut;
pub use port::{PortConfig, PortDesc, PortMod, PortReason, PortState, PortStats, PortStatus};
pub use property::Property;
pub use queue::{PacketQueue, QueueGetConfigReply, QueueGetConfigRequest, QueueProperty};
pub use role::{NxRole, Role, RoleMessage, RoleStatus};
pub use stats::{AggregateStats, BucketCounter, DescStats, GroupFeatures, GroupStats, QueueStats};
pub use switch::{FeaturesReply, SwitchConfig};
pub use table::{TableMod, TableStats};
pub use table_features::TableFeatures;
pub use tlv_table::{TlvCommand, TlvMap, TlvTableMod, TlvTableReply};

pub(crate) use packet_in::is_packet_in;

use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::header::{HEADER_LEN, Header, MsgType, VERSION};
use crate::wire::{Reader, Writer};
use body::Context;
use kind::Kind;

/// The form of packet-ins that NXT_SET_PACKET_IN_FORMAT asks for: `ofputil_packet_in_format` in Open vSwitch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketInFormat(pub u32);

impl PacketInFormat {
    /// The specification's.
    pub const STANDARD: Self = Self(0);
    /// [`NxPacketIn`].
    pub const NXT_PACKET_IN: Self = Self(1);
    /// [`PacketIn2`].
    pub const NXT_PACKET_IN2: Self = Self(2);

    fn decode_body(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u32()? {
            format @ 0..=2 => Ok(PacketInFormat(format)),
            _ => Err(r.error(ErrorKind::BrcEperm)),
        }
    }

    fn encode_body(&self, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        w.u32(self.0);
        Ok(())
    }
}

impl Message {
    /// A multipart request in one part.
    #[must_use]
    pub fn multipart_request(body: MultipartRequest) -> Message {
        Message::MultipartRequest { flags: 0, body }
    }

    /// Its type in the header.
    #[must_use]
    pub fn msg_type(&self) -> MsgType {
        self.identity().type_
    }

    /// What Open vSwitch calls it, such as `OFPT_FLOW_MOD`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Message::MultipartRequest { body, .. } => body.name(),
            Message::MultipartReply { body, .. } => body.name(),
            other => other.identity().name,
        }
    }

    /// Decodes one whole message and returns its transaction id with it.
    ///
    /// # Errors
    /// What a switch would answer: wrong version, unknown type, wrong length, or a malformed body.
    pub fn decode(message: &[u8]) -> Result<(u32, Message), DecodeError> {
        match Self::decode_partly(message)? {
            (_, _, Some(error)) => Err(error),
            (xid, message, None) => Ok((xid, message)),
        }
    }

    /// As [`decode`](Self::decode); but of a list of which an item is malformed, all before that, and what is wrong.
    fn decode_partly(message: &[u8]) -> Result<(u32, Message, Option<DecodeError>), DecodeError> {
        let mut r = Reader::new(message, ErrorKind::BrcBadLen, "message");
        let header = Header::peek(message).ok_or(r.short())?;
        if usize::from(header.length) != message.len() {
            return Err(r.short());
        }
        r.skip(HEADER_LEN)?;
        if let Err(kind) = Kind::of(message).and_then(|kind| kind.check(message.len())) {
            // What nobody here knows is kept.
            let foreign = matches!(
                kind,
                ErrorKind::BrcBadExperimenter | ErrorKind::BrcBadExpType
            );
            if !foreign {
                return Err(r.error(kind));
            }
        }
        if header.version != VERSION && header.type_ != MsgType::HELLO {
            return Err(r.error(ErrorKind::BrcBadVersion));
        }
        let mut context = Context::of(header);
        let message = match header.type_ {
            MsgType::EXPERIMENTER => decode_vendor(&mut context, &mut r)?,
            type_ => Message::decode_standard(type_, &mut context, &mut r)?,
        };
        r.finish()?;
        Ok((header.xid, message, context.failed))
    }

    /// Appends the message, header included, to `out`. If it fails, `out` is as before.
    ///
    /// # Errors
    /// If the message or a part of it does not fit its 16-bit length.
    pub fn encode(&self, xid: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        let encoded = self.encode_into(xid, &mut Writer::new(out));
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }

    pub(crate) fn encode_into(&self, xid: u32, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        let start = w.pos();
        w.u8(if let Message::Hello(hello) = self {
            hello.version
        } else {
            VERSION
        });
        let identity = self.identity();
        w.u8(identity.type_.0);
        let length = w.length(start);
        w.u32(xid);
        if let Some((experimenter, exp_type)) = identity.vendor {
            w.u32(experimenter);
            w.u32(exp_type);
        }
        self.encode_body(xid, w)?;
        w.end(length, "message")
    }

    /// The message as bytes of its own.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn to_bytes(&self, xid: u32) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        self.encode(xid, &mut out)?;
        Ok(out)
    }
}

/// A vendor's message: one of the list, or one that is kept as it came.
fn decode_vendor(context: &mut Context, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let code = Experimenter::peek(r)?;
    let whole = *r;
    r.skip(8)?;
    match Message::decode_known_vendor(code, context, r)? {
        Some(message) => Ok(message),
        None => {
            *r = whole;
            Ok(Message::Experimenter(Experimenter::decode_body(r)?))
        }
    }
}
