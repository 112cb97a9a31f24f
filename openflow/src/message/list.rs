//! The list of messages, an entry for each.
//!
//! An entry is the variant of [`Message`], its number, Open vSwitch's name (of the specification's without `OFPT_`), how many
//! bytes its body may have, what [reads and writes](super::body) that, and the function of [`text`](super::text) that prints
//! it. All else about messages follows from here: their numbers, what is refused for its length, encoding, decoding, text. To
//! add a message, add its entry.

use super::body::{self, Context, data, number, right16, switched};
use super::kind::Length;
use super::text::Printer;
use super::*;
use crate::flow::FlowMod;
use crate::group::GroupMod;

/// By what a message is known.
pub(super) struct Identity {
    pub(super) type_: MsgType,
    /// Experimenter and type of a vendor's that is in the list.
    pub(super) vendor: Option<(u32, u32)>,
    pub(super) name: &'static str,
}

macro_rules! messages {
    (
        standard {$(
            $(#[$doc:meta])*
            $variant:ident
                $(($bind:ident: $ty:ty))?
                $({$($(#[$part_doc:meta])* $part:ident: $part_ty:ty),*})?
                = $number:literal $name:ident $length:ident($($bytes:literal),*) $body:tt => $text:ident;
        )*}
        vendors {$(
            $(#[$v_doc:meta])*
            $v_variant:ident
                $(($v_bind:ident: $v_ty:ty))?
                $({$($(#[$v_part_doc:meta])* $v_part:ident: $v_part_ty:ty),*})?
                = $experimenter:ident $v_number:literal $v_name:ident $v_length:ident($($v_bytes:literal),*)
                $v_body:tt => $v_text:ident;
        )*}
    ) => {
        /// A message, without its transaction id.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Message {
            $($(#[$doc])* $variant $(($ty))? $({$($(#[$part_doc])* $part: $part_ty),*})?,)*
            $($(#[$v_doc])* $v_variant $(($v_ty))? $({$($(#[$v_part_doc])* $v_part: $v_part_ty),*})?,)*
        }

        impl MsgType {
            $(
                #[doc = concat!("`OFPT_", stringify!($name), "`: [`Message::", stringify!($variant), "`].")]
                pub const $name: MsgType = MsgType($number);
            )*

            /// The specification's name without its `OFPT_`, if the number has one.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(MsgType::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        $(
            #[doc = concat!("Experimenter and type of [`Message::", stringify!($v_variant), "`].")]
            #[allow(dead_code, reason = "some are asked for by name")]
            pub(super) const $v_name: (u32, u32) = ($experimenter, $v_number);
        )*

        /// Name of a message of the specification, and how long its body is.
        pub(super) fn standard(type_: MsgType) -> Option<(&'static str, Length)> {
            match type_ {
                $(MsgType::$name => Some((
                    concat!("OFPT_", stringify!($name)),
                    Length::$length($($bytes),*),
                )),)*
                _ => None,
            }
        }

        /// Name of a vendor's message by experimenter and type, and how long its body is.
        pub(super) fn vendor(code: (u32, u32)) -> Option<(&'static str, Length)> {
            match code {
                $($v_name => Some((stringify!($v_name), Length::$v_length($($v_bytes),*))),)*
                _ => None,
            }
        }

        impl Message {
            #[inline]
            pub(super) fn identity(&self) -> Identity {
                match self {
                    $(Message::$variant { .. } => Identity {
                        type_: MsgType::$name,
                        vendor: None,
                        name: concat!("OFPT_", stringify!($name)),
                    },)*
                    $(Message::$v_variant { .. } => Identity {
                        type_: MsgType::EXPERIMENTER,
                        vendor: Some($v_name),
                        name: stringify!($v_name),
                    },)*
                }
            }

            /// Reads the body of a message of the specification.
            pub(super) fn decode_standard(
                type_: MsgType,
                context: &mut Context,
                r: &mut Reader<'_>,
            ) -> Result<Message, DecodeError> {
                Ok(match type_ {
                    $(MsgType::$name => {
                        $(let $bind = body::decode_by!($body, context, r);)?
                        $(let ($($part),*) = body::decode_by!($body, context, r);)?
                        Message::$variant $(($bind))? $({$($part),*})?
                    })*
                    _ => return Err(r.error(ErrorKind::BrcBadType)),
                })
            }

            /// Reads the body of a vendor's message, if that is in the list.
            pub(super) fn decode_known_vendor(
                code: (u32, u32),
                context: &mut Context,
                r: &mut Reader<'_>,
            ) -> Result<Option<Message>, DecodeError> {
                Ok(Some(match code {
                    $($v_name => {
                        $(let $v_bind = body::decode_by!($v_body, context, r);)?
                        $(let ($($v_part),*) = body::decode_by!($v_body, context, r);)?
                        Message::$v_variant $(($v_bind))? $({$($v_part),*})?
                    })*
                    _ => return Ok(None),
                }))
            }

            pub(super) fn encode_body(&self, xid: u32, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                match self {
                    $(Message::$variant $(($bind))? $({$($part),*})? => {
                        body::encode_by!($body, xid, w, $($bind)? $($($part),*)?)
                    })*
                    $(Message::$v_variant $(($v_bind))? $({$($v_part),*})? => {
                        body::encode_by!($v_body, xid, w, $($v_bind)? $($($v_part),*)?)
                    })*
                }
            }

            /// Prints what follows name and transaction id.
            pub(super) fn print_body(&self, p: &mut Printer<'_>) -> super::text::Printed {
                match self {
                    $(Message::$variant $(($bind))? $({$($part),*})? => {
                        p.$text($($bind)? $($($part),*)?)
                    })*
                    $(Message::$v_variant $(($v_bind))? $({$($v_part),*})? => {
                        p.$v_text($($v_bind)? $($($v_part),*)?)
                    })*
                }
            }
        }
    };
}

messages! {
    standard {
        /// Which versions a side speaks (§7.5.1).
        Hello(hello: Hello) = 0 HELLO at_least(0) [Hello in context] => hello;
        /// A request failed (§7.4.4).
        Error(error: OfError) = 1 ERROR at_least(4) [OfError] => error;
        /// Are you there (§7.5.2), with data to be returned.
        EchoRequest(payload: Vec<u8>) = 2 ECHO_REQUEST at_least(0) [data] => echo;
        /// The answer (§7.5.3).
        EchoReply(payload: Vec<u8>) = 3 ECHO_REPLY at_least(0) [data] => echo;
        /// A vendor's message that is not known here (§7.5.4).
        Experimenter(message: Experimenter) = 4 EXPERIMENTER at_least(8) [Experimenter] => experimenter;
        /// Who are you (§7.3.1).
        FeaturesRequest = 5 FEATURES_REQUEST exactly(0) [] => nothing;
        /// The answer: datapath id, tables, capabilities.
        FeaturesReply(features: FeaturesReply) = 6 FEATURES_REPLY exactly(24) [FeaturesReply] => features;
        /// Asks for the configuration (§7.3.2).
        GetConfigRequest = 7 GET_CONFIG_REQUEST exactly(0) [] => nothing;
        /// The answer: how fragments are handled, how long packet-ins are.
        GetConfigReply(config: SwitchConfig) = 8 GET_CONFIG_REPLY exactly(4) [SwitchConfig] => config;
        /// Sets it.
        SetConfig(config: SwitchConfig) = 9 SET_CONFIG exactly(4) [SwitchConfig] => set_config;
        /// A packet for the controller (§7.4.1).
        PacketIn(packet: PacketIn) = 10 PACKET_IN at_least(16) [PacketIn] => packet_in;
        /// A flow went (§7.4.2).
        FlowRemoved(removed: FlowRemoved) = 11 FLOW_REMOVED then_each(40, 8) [FlowRemoved] => flow_removed;
        /// A port came, went or changed (§7.4.3).
        PortStatus(status: PortStatus) = 12 PORT_STATUS exactly(72) [PortStatus] => port_status;
        /// A packet from the controller (§7.3.7).
        PacketOut(packet: PacketOut) = 13 PACKET_OUT at_least(16) [PacketOut] => packet_out;
        /// Changes flows (§7.3.4.1).
        FlowMod(flow: FlowMod) = 14 FLOW_MOD then_each(40, 8) [FlowMod] => flow_mod;
        /// Changes groups (§7.3.4.2).
        GroupMod(group: GroupMod) = 15 GROUP_MOD then_each(8, 8) [GroupMod] => group_mod;
        /// Changes a port (§7.3.4.3).
        PortMod(port: PortMod) = 16 PORT_MOD exactly(32) [PortMod] => port_mod;
        /// Changes a table (§7.3.3).
        TableMod(table: TableMod) = 17 TABLE_MOD exactly(8) [TableMod] => table_mod;
        /// Asks for statistics or descriptions (§7.3.5).
        MultipartRequest {
            /// `ofp_multipart_request_flags`: 1 if further parts of the request follow.
            flags: u16,
            /// What is asked for.
            body: MultipartRequest
        } = 18 MULTIPART_REQUEST at_least(8) [MultipartRequest in context] => multipart_request;
        /// A part of the answer.
        MultipartReply {
            /// `ofp_multipart_reply_flags`: 1 if further parts follow.
            flags: u16,
            /// What is answered.
            body: MultipartReply
        } = 19 MULTIPART_REPLY at_least(8) [MultipartReply in context] => multipart_reply;
        /// Everything before first (§7.3.8).
        BarrierRequest = 20 BARRIER_REQUEST exactly(0) [] => nothing;
        /// The answer.
        BarrierReply = 21 BARRIER_REPLY exactly(0) [] => nothing;
        /// Asks for the queues of a port (§7.3.6).
        QueueGetConfigRequest(request: QueueGetConfigRequest)
            = 22 QUEUE_GET_CONFIG_REQUEST exactly(8) [QueueGetConfigRequest] => queue_request;
        /// The answer.
        QueueGetConfigReply(reply: QueueGetConfigReply)
            = 23 QUEUE_GET_CONFIG_REPLY then_each(8, 8) [QueueGetConfigReply in context] => queues;
        /// Asks for a role (§7.3.9).
        RoleRequest(role: RoleMessage) = 24 ROLE_REQUEST exactly(16) [RoleMessage] => role_request;
        /// The answer.
        RoleReply(role: RoleMessage) = 25 ROLE_REPLY exactly(16) [RoleMessage] => role_reply;
        /// Asks what is sent unasked (§7.3.10).
        GetAsyncRequest = 26 GET_ASYNC_REQUEST exactly(0) [] => nothing;
        /// The answer.
        GetAsyncReply(config: AsyncConfig) = 27 GET_ASYNC_REPLY exactly(24) [AsyncConfig] => async_config;
        /// Sets it.
        SetAsync(config: AsyncConfig) = 28 SET_ASYNC exactly(24) [AsyncConfig] => async_config;
        /// Changes meters (§7.3.4.4).
        MeterMod(meter: MeterMod) = 29 METER_MOD then_each(8, 8) [MeterMod] => meter_mod;
    }
    vendors {
        /// Nicira: asks for a role.
        NxRoleRequest(role: NxRole) = NICIRA 10 NXT_ROLE_REQUEST exactly(4) [NxRole] => nx_role;
        /// Nicira: the answer.
        NxRoleReply(role: NxRole) = NICIRA 11 NXT_ROLE_REPLY exactly(4) [NxRole] => nx_role;
        /// Nicira: changes flows, in the form that it gave to OpenFlow 1.0 and that Open vSwitch reads in any version.
        NxFlowMod(flow: NxFlowMod) = NICIRA 13 NXT_FLOW_MOD then_each(32, 8) [NxFlowMod] => nx_flow_mod;
        /// Nicira: a flow went, in its first extended form.
        NxFlowRemoved(removed: NxFlowRemoved)
            = NICIRA 14 NXT_FLOW_REMOVED then_each(40, 8) [NxFlowRemoved] => nx_flow_removed;
        /// Nicira: whether FLOW_MOD's command carries a table id in its high byte.
        FlowModTableId(on: bool) = NICIRA 15 NXT_FLOW_MOD_TABLE_ID exactly(8) [switched] => enabled;
        /// Nicira: in which form packet-ins are sent.
        SetPacketInFormat(format: PacketInFormat)
            = NICIRA 16 NXT_SET_PACKET_IN_FORMAT exactly(4) [PacketInFormat] => packet_in_format;
        /// Nicira: a packet-in in its first extended form.
        NxPacketIn(packet: NxPacketIn) = NICIRA 17 NXT_PACKET_IN at_least(24) [NxPacketIn] => nx_packet_in;
        /// Nicira: nothing, today.
        FlowAge = NICIRA 18 NXT_FLOW_AGE exactly(0) [] => nothing;
        /// Nicira: what is sent unasked.
        NxSetAsync(config: AsyncConfig) = NICIRA 19 NXT_SET_ASYNC_CONFIG exactly(24) [AsyncConfig] => async_config;
        /// Nicira: the number by which `controller` actions name this controller.
        SetControllerId(id: u16) = NICIRA 20 NXT_SET_CONTROLLER_ID exactly(8) [right16] => controller_id;
        /// Nicira: changes the mapping of tunnel options to fields.
        TlvTableMod(table: TlvTableMod) = NICIRA 24 NXT_TLV_TABLE_MOD then_each(8, 8) [TlvTableMod] => tlv_table_mod;
        /// Nicira: asks for it.
        TlvTableRequest = NICIRA 25 NXT_TLV_TABLE_REQUEST exactly(0) [] => nothing;
        /// Nicira: the answer.
        TlvTableReply(table: TlvTableReply)
            = NICIRA 26 NXT_TLV_TABLE_REPLY then_each(16, 8) [TlvTableReply] => tlv_table;
        /// Nicira: what is sent unasked, in OpenFlow 1.4's form.
        NxSetAsync2(config: AsyncConfig2)
            = NICIRA 27 NXT_SET_ASYNC_CONFIG2 then_each(0, 8) [AsyncConfig2] => async_config2;
        /// Nicira: go on with a packet that was sent to the controller.
        Resume(packet: PacketIn2) = NICIRA 28 NXT_RESUME then_each(0, 8) [PacketIn2] => packet_in2;
        /// Nicira: forget the connections of a zone.
        CtFlushZone(zone: u16) = NICIRA 29 NXT_CT_FLUSH_ZONE exactly(8) [right16] => ct_flush_zone;
        /// Nicira: a packet-in of properties.
        PacketIn2(packet: PacketIn2) = NICIRA 30 NXT_PACKET_IN2 then_each(0, 8) [PacketIn2] => packet_in2;
        /// Nicira: forget some connections.
        CtFlush(flush: CtFlush) = NICIRA 32 NXT_CT_FLUSH then_each(8, 8) [CtFlush] => ct_flush;

        /// ONF: stops a flow monitor.
        FlowMonitorCancel(id: u32) = ONF 1870 ONFT_FLOW_MONITOR_CANCEL exactly(4) [number] => monitor_cancel;
        /// ONF: changes come faster than they can be sent.
        FlowMonitorPaused = ONF 1871 ONFT_FLOW_MONITOR_PAUSED exactly(0) [] => nothing;
        /// ONF: they are sent again.
        FlowMonitorResumed = ONF 1872 ONFT_FLOW_MONITOR_RESUMED exactly(0) [] => nothing;
        /// ONF: this controller's role was changed.
        RoleStatus(status: RoleStatus) = ONF 1911 ONFT_ROLE_STATUS then_each(16, 8) [RoleStatus] => role_status;
        /// ONF: opens, closes, commits or discards a bundle.
        BundleControl(control: BundleControl)
            = ONF 2300 ONFT_BUNDLE_CONTROL then_each(8, 8) [BundleControl] => bundle_control;
        /// ONF: adds a message to a bundle.
        BundleAdd(add: BundleAdd) = ONF 2301 ONFT_BUNDLE_ADD_MESSAGE at_least(8) [BundleAdd in context] => bundled;
        /// ONF: another controller's request was carried out: a GROUP_MOD or METER_MOD and its xid.
        RequestForward {
            /// The request's transaction id.
            xid: u32,
            /// The request.
            request: Box<Message>
        } = ONF 2350 ONFT_REQUESTFORWARD then_each(8, 8) [request_forward] => request_forward;
    }
}
