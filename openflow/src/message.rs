//! Every message of OpenFlow 1.3 (§7) and of the extensions that Open vSwitch implements on it.
//!
//! [`Message`] is the sum of them; each kind has a module with its wire layout. What is not known survives a round
//! trip as [`Experimenter`]. The text form is in [`text`]. Must not know connections.

mod async_config;
mod bundle;
mod codes;
mod ct_flush;
mod experimenter;
mod flow_removed;
mod flow_request;
mod hello;
mod ipfix;
mod kind;
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
use crate::flow::FlowMod;
use crate::group::GroupMod;
use crate::header::{HEADER_LEN, Header, MsgType, VERSION};
use crate::wire::{Reader, Writer};
use kind::{Kind, Length};

/// A message, without its transaction id.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Which versions a side speaks (§7.5.1).
    Hello(Hello),
    /// A request failed (§7.4.4).
    Error(OfError),
    /// Are you there (§7.5.2), with data to be returned.
    EchoRequest(Vec<u8>),
    /// The answer (§7.5.3).
    EchoReply(Vec<u8>),
    /// A vendor's message that is not known here (§7.5.5).
    Experimenter(Experimenter),
    /// Who are you (§7.3.1).
    FeaturesRequest,
    /// The answer.
    FeaturesReply(FeaturesReply),
    /// Asks for the configuration (§7.3.2).
    GetConfigRequest,
    /// The answer.
    GetConfigReply(SwitchConfig),
    /// Sets it.
    SetConfig(SwitchConfig),
    /// A packet for the controller (§7.4.1).
    PacketIn(PacketIn),
    /// A flow went (§7.4.2).
    FlowRemoved(FlowRemoved),
    /// A port came, went or changed (§7.4.3).
    PortStatus(PortStatus),
    /// A packet from the controller (§7.3.7).
    PacketOut(PacketOut),
    /// Changes flows (§7.3.4.1).
    FlowMod(FlowMod),
    /// Changes groups (§7.3.4.2).
    GroupMod(GroupMod),
    /// Changes a port (§7.3.4.3).
    PortMod(PortMod),
    /// Changes a table (§7.3.3).
    TableMod(TableMod),
    /// Asks for statistics or descriptions (§7.3.5).
    MultipartRequest {
        /// `ofp_multipart_request_flags`: 1 if further parts of the request follow.
        flags: u16,
        /// What is asked for.
        body: MultipartRequest,
    },
    /// A part of the answer.
    MultipartReply {
        /// `ofp_multipart_reply_flags`: 1 if further parts follow.
        flags: u16,
        /// What is answered.
        body: MultipartReply,
    },
    /// Everything before first (§7.3.8).
    BarrierRequest,
    /// The answer.
    BarrierReply,
    /// Asks for the queues of a port (§7.3.6).
    QueueGetConfigRequest(QueueGetConfigRequest),
    /// The answer.
    QueueGetConfigReply(QueueGetConfigReply),
    /// Asks for a role (§7.3.9).
    RoleRequest(RoleMessage),
    /// The answer.
    RoleReply(RoleMessage),
    /// Asks what is sent unasked (§7.3.10).
    GetAsyncRequest,
    /// The answer.
    GetAsyncReply(AsyncConfig),
    /// Sets it.
    SetAsync(AsyncConfig),
    /// Changes meters (§7.3.4.4).
    MeterMod(MeterMod),

    /// Nicira: asks for a role.
    NxRoleRequest(NxRole),
    /// Nicira: the answer.
    NxRoleReply(NxRole),
    /// Nicira: changes flows, in the form that it gave to OpenFlow 1.0 and that Open vSwitch reads in any version.
    NxFlowMod(NxFlowMod),
    /// Nicira: a flow went, in its first extended form.
    NxFlowRemoved(NxFlowRemoved),
    /// Nicira: whether FLOW_MOD's command carries a table id in its high byte.
    FlowModTableId(bool),
    /// Nicira: in which form packet-ins are sent.
    SetPacketInFormat(PacketInFormat),
    /// Nicira: a packet-in in its first extended form.
    NxPacketIn(NxPacketIn),
    /// Nicira: nothing, today.
    FlowAge,
    /// Nicira: what is sent unasked.
    NxSetAsync(AsyncConfig),
    /// Nicira: the number by which `controller` actions name this controller.
    SetControllerId(u16),
    /// Nicira: changes the mapping of tunnel options to fields.
    TlvTableMod(TlvTableMod),
    /// Nicira: asks for it.
    TlvTableRequest,
    /// Nicira: the answer.
    TlvTableReply(TlvTableReply),
    /// Nicira: what is sent unasked, in OpenFlow 1.4's form.
    NxSetAsync2(AsyncConfig2),
    /// Nicira: go on with a packet that was sent to the controller.
    Resume(PacketIn2),
    /// Nicira: forget the connections of a zone.
    CtFlushZone(u16),
    /// Nicira: a packet-in of properties.
    PacketIn2(PacketIn2),
    /// Nicira: forget some connections.
    CtFlush(CtFlush),

    /// ONF: stops a flow monitor.
    FlowMonitorCancel(u32),
    /// ONF: changes come faster than they can be sent.
    FlowMonitorPaused,
    /// ONF: they are sent again.
    FlowMonitorResumed,
    /// ONF: this controller's role was changed.
    RoleStatus(RoleStatus),
    /// ONF: opens, closes, commits or discards a bundle.
    BundleControl(BundleControl),
    /// ONF: adds a message to a bundle.
    BundleAdd(BundleAdd),
    /// ONF: another controller's request was carried out: a GROUP_MOD or METER_MOD and its xid.
    RequestForward {
        /// The request's transaction id.
        xid: u32,
        /// The request.
        request: Box<Message>,
    },
}

/// `nx_packet_in_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketInFormat(pub u32);

impl PacketInFormat {
    /// The specification's.
    pub const STANDARD: Self = Self(0);
    /// [`NxPacketIn`].
    pub const NXT_PACKET_IN: Self = Self(1);
    /// [`PacketIn2`].
    pub const NXT_PACKET_IN2: Self = Self(2);
}

/// The vendors' messages: one line each.
macro_rules! vendor_messages {
    ($($experimenter:ident $exp_type:literal $name:literal $length:ident($($bytes:literal),+) = $pattern:pat,)*) => {
        /// Experimenter, type and Open vSwitch's name of a vendor's message.
        fn vendor(message: &Message) -> Option<(u32, u32, &'static str)> {
            #[allow(unused_variables)]
            match message {
                $($pattern => Some(($experimenter, $exp_type, $name)),)*
                _ => None,
            }
        }

        /// Open vSwitch's name of a vendor's message, and how long its body is.
        fn vendor_kind(experimenter: u32, exp_type: u32) -> Option<(&'static str, Length)> {
            match (experimenter, exp_type) {
                $(($experimenter, $exp_type) => Some(($name, Length::$length($($bytes),+))),)*
                _ => None,
            }
        }
    };
}

vendor_messages! {
    NICIRA 10 "NXT_ROLE_REQUEST" exactly(4) = Message::NxRoleRequest(_),
    NICIRA 11 "NXT_ROLE_REPLY" exactly(4) = Message::NxRoleReply(_),
    NICIRA 13 "NXT_FLOW_MOD" then_each(32, 8) = Message::NxFlowMod(_),
    NICIRA 14 "NXT_FLOW_REMOVED" then_each(40, 8) = Message::NxFlowRemoved(_),
    NICIRA 15 "NXT_FLOW_MOD_TABLE_ID" exactly(8) = Message::FlowModTableId(_),
    NICIRA 16 "NXT_SET_PACKET_IN_FORMAT" exactly(4) = Message::SetPacketInFormat(_),
    NICIRA 17 "NXT_PACKET_IN" at_least(24) = Message::NxPacketIn(_),
    NICIRA 18 "NXT_FLOW_AGE" exactly(0) = Message::FlowAge,
    NICIRA 19 "NXT_SET_ASYNC_CONFIG" exactly(24) = Message::NxSetAsync(_),
    NICIRA 20 "NXT_SET_CONTROLLER_ID" exactly(8) = Message::SetControllerId(_),
    NICIRA 24 "NXT_TLV_TABLE_MOD" then_each(8, 8) = Message::TlvTableMod(_),
    NICIRA 25 "NXT_TLV_TABLE_REQUEST" exactly(0) = Message::TlvTableRequest,
    NICIRA 26 "NXT_TLV_TABLE_REPLY" then_each(16, 8) = Message::TlvTableReply(_),
    NICIRA 27 "NXT_SET_ASYNC_CONFIG2" then_each(0, 8) = Message::NxSetAsync2(_),
    NICIRA 28 "NXT_RESUME" then_each(0, 8) = Message::Resume(_),
    NICIRA 29 "NXT_CT_FLUSH_ZONE" exactly(8) = Message::CtFlushZone(_),
    NICIRA 30 "NXT_PACKET_IN2" then_each(0, 8) = Message::PacketIn2(_),
    NICIRA 32 "NXT_CT_FLUSH" then_each(8, 8) = Message::CtFlush(_),
    ONF 1870 "ONFT_FLOW_MONITOR_CANCEL" exactly(4) = Message::FlowMonitorCancel(_),
    ONF 1871 "ONFT_FLOW_MONITOR_PAUSED" exactly(0) = Message::FlowMonitorPaused,
    ONF 1872 "ONFT_FLOW_MONITOR_RESUMED" exactly(0) = Message::FlowMonitorResumed,
    ONF 1911 "ONFT_ROLE_STATUS" then_each(16, 8) = Message::RoleStatus(_),
    ONF 2300 "ONFT_BUNDLE_CONTROL" then_each(8, 8) = Message::BundleControl(_),
    ONF 2301 "ONFT_BUNDLE_ADD_MESSAGE" at_least(8) = Message::BundleAdd(_),
    ONF 2350 "ONFT_REQUESTFORWARD" then_each(8, 8) = Message::RequestForward { .. },
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
        match self {
            Message::Hello(_) => MsgType::HELLO,
            Message::Error(_) => MsgType::ERROR,
            Message::EchoRequest(_) => MsgType::ECHO_REQUEST,
            Message::EchoReply(_) => MsgType::ECHO_REPLY,
            Message::FeaturesRequest => MsgType::FEATURES_REQUEST,
            Message::FeaturesReply(_) => MsgType::FEATURES_REPLY,
            Message::GetConfigRequest => MsgType::GET_CONFIG_REQUEST,
            Message::GetConfigReply(_) => MsgType::GET_CONFIG_REPLY,
            Message::SetConfig(_) => MsgType::SET_CONFIG,
            Message::PacketIn(_) => MsgType::PACKET_IN,
            Message::FlowRemoved(_) => MsgType::FLOW_REMOVED,
            Message::PortStatus(_) => MsgType::PORT_STATUS,
            Message::PacketOut(_) => MsgType::PACKET_OUT,
            Message::FlowMod(_) => MsgType::FLOW_MOD,
            Message::GroupMod(_) => MsgType::GROUP_MOD,
            Message::PortMod(_) => MsgType::PORT_MOD,
            Message::TableMod(_) => MsgType::TABLE_MOD,
            Message::MultipartRequest { .. } => MsgType::MULTIPART_REQUEST,
            Message::MultipartReply { .. } => MsgType::MULTIPART_REPLY,
            Message::BarrierRequest => MsgType::BARRIER_REQUEST,
            Message::BarrierReply => MsgType::BARRIER_REPLY,
            Message::QueueGetConfigRequest(_) => MsgType::QUEUE_GET_CONFIG_REQUEST,
            Message::QueueGetConfigReply(_) => MsgType::QUEUE_GET_CONFIG_REPLY,
            Message::RoleRequest(_) => MsgType::ROLE_REQUEST,
            Message::RoleReply(_) => MsgType::ROLE_REPLY,
            Message::GetAsyncRequest => MsgType::GET_ASYNC_REQUEST,
            Message::GetAsyncReply(_) => MsgType::GET_ASYNC_REPLY,
            Message::SetAsync(_) => MsgType::SET_ASYNC,
            Message::MeterMod(_) => MsgType::METER_MOD,
            _ => MsgType::EXPERIMENTER,
        }
    }

    /// What Open vSwitch calls it, such as `OFPT_FLOW_MOD`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        if let Some((.., name)) = vendor(self) {
            return name;
        }
        match self {
            Message::MultipartRequest { body, .. } => body.name(),
            Message::MultipartReply { body, .. } => body.name(),
            Message::Hello(_) => "OFPT_HELLO",
            Message::Error(_) => "OFPT_ERROR",
            Message::EchoRequest(_) => "OFPT_ECHO_REQUEST",
            Message::EchoReply(_) => "OFPT_ECHO_REPLY",
            Message::FeaturesRequest => "OFPT_FEATURES_REQUEST",
            Message::FeaturesReply(_) => "OFPT_FEATURES_REPLY",
            Message::GetConfigRequest => "OFPT_GET_CONFIG_REQUEST",
            Message::GetConfigReply(_) => "OFPT_GET_CONFIG_REPLY",
            Message::SetConfig(_) => "OFPT_SET_CONFIG",
            Message::PacketIn(_) => "OFPT_PACKET_IN",
            Message::FlowRemoved(_) => "OFPT_FLOW_REMOVED",
            Message::PortStatus(_) => "OFPT_PORT_STATUS",
            Message::PacketOut(_) => "OFPT_PACKET_OUT",
            Message::FlowMod(_) => "OFPT_FLOW_MOD",
            Message::GroupMod(_) => "OFPT_GROUP_MOD",
            Message::PortMod(_) => "OFPT_PORT_MOD",
            Message::TableMod(_) => "OFPT_TABLE_MOD",
            Message::BarrierRequest => "OFPT_BARRIER_REQUEST",
            Message::BarrierReply => "OFPT_BARRIER_REPLY",
            Message::QueueGetConfigRequest(_) => "OFPT_QUEUE_GET_CONFIG_REQUEST",
            Message::QueueGetConfigReply(_) => "OFPT_QUEUE_GET_CONFIG_REPLY",
            Message::RoleRequest(_) => "OFPT_ROLE_REQUEST",
            Message::RoleReply(_) => "OFPT_ROLE_REPLY",
            Message::GetAsyncRequest => "OFPT_GET_ASYNC_REQUEST",
            Message::GetAsyncReply(_) => "OFPT_GET_ASYNC_REPLY",
            Message::SetAsync(_) => "OFPT_SET_ASYNC",
            Message::MeterMod(_) => "OFPT_METER_MOD",
            _ => "experimenter message",
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
        let mut failed = None;
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
        let message = match header.type_ {
            MsgType::HELLO => Message::Hello(Hello::decode_body(header.version, &mut r)?),
            _ if header.version != VERSION => return Err(r.error(ErrorKind::BrcBadVersion)),
            MsgType::ERROR => Message::Error(OfError::decode_body(&mut r)?),
            MsgType::ECHO_REQUEST => Message::EchoRequest(r.take_rest().to_vec()),
            MsgType::ECHO_REPLY => Message::EchoReply(r.take_rest().to_vec()),
            MsgType::EXPERIMENTER => decode_vendor(header.xid, &mut r)?,
            MsgType::FEATURES_REQUEST => Message::FeaturesRequest,
            MsgType::FEATURES_REPLY => Message::FeaturesReply(FeaturesReply::decode_body(&mut r)?),
            MsgType::GET_CONFIG_REQUEST => Message::GetConfigRequest,
            MsgType::GET_CONFIG_REPLY => {
                Message::GetConfigReply(SwitchConfig::decode_body(&mut r)?)
            }
            MsgType::SET_CONFIG => Message::SetConfig(SwitchConfig::decode_body(&mut r)?),
            MsgType::PACKET_IN => Message::PacketIn(PacketIn::decode_body(&mut r)?),
            MsgType::FLOW_REMOVED => Message::FlowRemoved(FlowRemoved::decode_body(&mut r)?),
            MsgType::PORT_STATUS => Message::PortStatus(PortStatus::decode_body(&mut r)?),
            MsgType::PACKET_OUT => Message::PacketOut(PacketOut::decode_body(&mut r)?),
            MsgType::FLOW_MOD => Message::FlowMod(FlowMod::decode(whole(&mut r)?)?),
            MsgType::GROUP_MOD => Message::GroupMod(GroupMod::decode(whole(&mut r)?)?),
            MsgType::PORT_MOD => Message::PortMod(PortMod::decode_body(&mut r)?),
            MsgType::TABLE_MOD => Message::TableMod(TableMod::decode_body(&mut r)?),
            MsgType::MULTIPART_REQUEST => {
                let (flags, body, error) = MultipartRequest::decode_partly(&mut r)?;
                failed = error;
                Message::MultipartRequest { flags, body }
            }
            MsgType::MULTIPART_REPLY => {
                let (flags, body, error) = MultipartReply::decode_partly(&mut r)?;
                failed = error;
                Message::MultipartReply { flags, body }
            }
            MsgType::BARRIER_REQUEST => Message::BarrierRequest,
            MsgType::BARRIER_REPLY => Message::BarrierReply,
            MsgType::QUEUE_GET_CONFIG_REQUEST => {
                Message::QueueGetConfigRequest(QueueGetConfigRequest::decode_body(&mut r)?)
            }
            MsgType::QUEUE_GET_CONFIG_REPLY => {
                let (reply, error) = QueueGetConfigReply::decode_partly(&mut r)?;
                failed = error;
                Message::QueueGetConfigReply(reply)
            }
            MsgType::ROLE_REQUEST => Message::RoleRequest(RoleMessage::decode_body(&mut r)?),
            MsgType::ROLE_REPLY => Message::RoleReply(RoleMessage::decode_body(&mut r)?),
            MsgType::GET_ASYNC_REQUEST => Message::GetAsyncRequest,
            MsgType::GET_ASYNC_REPLY => Message::GetAsyncReply(AsyncConfig::decode_body(&mut r)?),
            MsgType::SET_ASYNC => Message::SetAsync(AsyncConfig::decode_body(&mut r)?),
            MsgType::METER_MOD => Message::MeterMod(MeterMod::decode_body(&mut r)?),
            _ => return Err(r.error(ErrorKind::BrcBadType)),
        };
        r.finish()?;
        Ok((header.xid, message, failed))
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
        w.u8(self.msg_type().0);
        let length = w.length(start);
        w.u32(xid);
        if let Some((experimenter, exp_type, _)) = vendor(self) {
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

    fn encode_body(&self, xid: u32, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        match self {
            Message::Hello(hello) => hello.encode_body(w),
            Message::Error(error) => error.encode_body(w),
            Message::EchoRequest(data) | Message::EchoReply(data) => {
                w.bytes(data);
                Ok(())
            }
            Message::Experimenter(experimenter) => experimenter.encode_body(w),
            Message::FeaturesReply(features) => features.encode_body(w),
            Message::GetConfigReply(config) | Message::SetConfig(config) => config.encode_body(w),
            Message::PacketIn(packet) => packet.encode_body(w),
            Message::FlowRemoved(removed) => removed.encode_body(w),
            Message::PortStatus(status) => status.encode_body(w),
            Message::PacketOut(packet) => packet.encode_body(w),
            Message::FlowMod(flow) => flow.encode(w),
            Message::GroupMod(group) => group.encode(w),
            Message::PortMod(port) => port.encode_body(w),
            Message::TableMod(table) => table.encode_body(w),
            Message::MultipartRequest { flags, body } => body.encode_body(*flags, w),
            Message::MultipartReply { flags, body } => body.encode_body(*flags, w),
            Message::QueueGetConfigRequest(request) => request.encode_body(w),
            Message::QueueGetConfigReply(reply) => reply.encode_body(w),
            Message::RoleRequest(role) | Message::RoleReply(role) => role.encode_body(w),
            Message::GetAsyncReply(config)
            | Message::SetAsync(config)
            | Message::NxSetAsync(config) => config.encode_body(w),
            Message::MeterMod(meter) => meter.encode_body(w),
            Message::NxRoleRequest(role) | Message::NxRoleReply(role) => role.encode_body(w),
            Message::NxFlowMod(flow) => flow.encode_body(w),
            Message::NxFlowRemoved(removed) => removed.encode_body(w),
            Message::FlowModTableId(on) => {
                w.u8(u8::from(*on));
                w.zeros(7);
                Ok(())
            }
            Message::SetPacketInFormat(PacketInFormat(number))
            | Message::FlowMonitorCancel(number) => {
                w.u32(*number);
                Ok(())
            }
            Message::NxPacketIn(packet) => packet.encode_body(w),
            Message::SetControllerId(number) | Message::CtFlushZone(number) => {
                w.zeros(6);
                w.u16(*number);
                Ok(())
            }
            Message::TlvTableMod(table) => table.encode_body(w),
            Message::TlvTableReply(table) => table.encode_body(w),
            Message::NxSetAsync2(config) => config.encode_body(w),
            Message::Resume(packet) | Message::PacketIn2(packet) => packet.encode_body(w),
            Message::CtFlush(flush) => flush.encode_body(w),
            Message::RoleStatus(status) => status.encode_body(w),
            Message::BundleControl(control) => control.encode_body(w),
            Message::BundleAdd(add) => add.encode_body(xid, w),
            Message::RequestForward { xid, request } => request.encode_into(*xid, w),
            Message::FeaturesRequest
            | Message::GetConfigRequest
            | Message::BarrierRequest
            | Message::BarrierReply
            | Message::GetAsyncRequest
            | Message::FlowAge
            | Message::TlvTableRequest
            | Message::FlowMonitorPaused
            | Message::FlowMonitorResumed => Ok(()),
        }
    }
}

/// The rest of the message, for a decoder that reads to the end.
fn whole<'a>(r: &mut Reader<'a>) -> Result<Reader<'a>, DecodeError> {
    r.sub(r.len())
}

fn decode_vendor(xid: u32, r: &mut Reader<'_>) -> Result<Message, DecodeError> {
    let (experimenter, exp_type) = Experimenter::peek(r)?;
    let whole = *r;
    r.skip(8)?;
    Ok(match (experimenter, exp_type) {
        (NICIRA, 10) => Message::NxRoleRequest(NxRole::decode_body(r)?),
        (NICIRA, 11) => Message::NxRoleReply(NxRole::decode_body(r)?),
        (NICIRA, nx_flow_mod::NX_FLOW_MOD) => Message::NxFlowMod(NxFlowMod::decode_body(r)?),
        (NICIRA, 14) => Message::NxFlowRemoved(NxFlowRemoved::decode_body(r)?),
        (NICIRA, 15) => {
            let on = r.u8()? != 0;
            r.skip(7)?;
            Message::FlowModTableId(on)
        }
        (NICIRA, 16) => {
            let format = r.u32()?;
            if format > 2 {
                return Err(r.error(ErrorKind::BrcEperm));
            }
            Message::SetPacketInFormat(PacketInFormat(format))
        }
        (NICIRA, packet_in::NX_PACKET_IN) => Message::NxPacketIn(NxPacketIn::decode_body(r)?),
        (NICIRA, 18) => Message::FlowAge,
        (NICIRA, 19) => Message::NxSetAsync(AsyncConfig::decode_body(r)?),
        (NICIRA, 20) => {
            r.skip(6)?;
            Message::SetControllerId(r.u16()?)
        }
        (NICIRA, 24) => Message::TlvTableMod(TlvTableMod::decode_body(r)?),
        (NICIRA, 25) => Message::TlvTableRequest,
        (NICIRA, 26) => Message::TlvTableReply(TlvTableReply::decode_body(r)?),
        (NICIRA, 27) => Message::NxSetAsync2(AsyncConfig2::decode_body(r)?),
        (NICIRA, packet_in::NX_RESUME) => Message::Resume(PacketIn2::decode_body(r)?),
        (NICIRA, 29) => {
            r.skip(6)?;
            Message::CtFlushZone(r.u16()?)
        }
        (NICIRA, packet_in::NX_PACKET_IN2) => Message::PacketIn2(PacketIn2::decode_body(r)?),
        (NICIRA, 32) => Message::CtFlush(CtFlush::decode_body(r)?),
        (ONF, 1870) => Message::FlowMonitorCancel(r.u32()?),
        (ONF, 1871) => Message::FlowMonitorPaused,
        (ONF, 1872) => Message::FlowMonitorResumed,
        (ONF, 1911) => Message::RoleStatus(RoleStatus::decode_body(r)?),
        (ONF, bundle::BUNDLE_CONTROL) => Message::BundleControl(BundleControl::decode_body(r)?),
        (ONF, bundle::BUNDLE_ADD) => Message::BundleAdd(BundleAdd::decode_body(xid, r)?),
        (ONF, 2350) => {
            let inner = Header::peek(r.rest()).ok_or(r.error(ErrorKind::BfcMsgBadLen))?;
            let length = usize::from(inner.length);
            if length < HEADER_LEN || length > r.len() {
                return Err(r.error(ErrorKind::BfcMsgBadLen));
            }
            if inner.version != VERSION {
                return Err(r.error(ErrorKind::BrcBadVersion));
            }
            let request = r.bytes(length)?;
            Kind::of(request)
                .and_then(|kind| kind.check(length))
                .map_err(|kind| r.error(kind))?;
            if !matches!(inner.type_, MsgType::GROUP_MOD | MsgType::METER_MOD) {
                return Err(r.error(ErrorKind::BfcMsgUnsup));
            }
            let (xid, request) = Message::decode(request)?;
            r.take_rest();
            Message::RequestForward {
                xid,
                request: Box::new(request),
            }
        }
        _ => {
            *r = whole;
            Message::Experimenter(Experimenter::decode_body(r)?)
        }
    })
}
