//! MULTIPART_REQUEST and MULTIPART_REPLY (OpenFlow 1.3 §7.3.5): what is asked for, and one part of an answer.
//!
//! ```text
//!  8 … 9   10 … 11  12 … 15  16 …
//! +-------+--------+--------+------+
//! | type  | flags  | pad    | body |
//! +-------+--------+--------+------+
//! ```
//!
//! The list at the end has an entry for each: number, name, then the variants of [`MultipartRequest`] and
//! [`MultipartReply`], each with how many bytes its body may have, what [reads and writes](super::body) that, and the
//! function of [`text`](super::text) that prints it. To add one, add its entry.

use super::body::{self, Context};
use super::experimenter::{Experimenter, NICIRA, ONF};
use super::flow_request::FlowRequest;
use super::ipfix::{IpfixFlowStats, IpfixStats};
use super::kind::Length;
use super::meter::{MeterConfig, MeterFeatures, MeterId, MeterStats};
use super::monitor::{FlowMonitorRequest, FlowUpdate};
use super::port::{PortDesc, PortStats};
use super::stats::{AggregateStats, DescStats, GroupFeatures, GroupStats, QueueStats};
use super::table::TableStats;
use super::table_features::TableFeatures;
use super::text::{Printed, Printer};
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::flow::FlowStats;
use crate::group::GroupDesc;
use crate::types::{GroupId, PortNo, QueueId};
use crate::wire::{Reader, Writer};

pub(crate) const EXPERIMENTER: u16 = 0xffff;

/// Name of a multipart, and how long the bodies of request and reply are.
type Known = (&'static str, Length, Length);

macro_rules! multiparts {
    (
        standard {$(
            $name:ident = $number:literal {
                $(#[$doc:meta])*
                $variant:ident $(($bind:ident: $ty:ty))? $({$($(#[$part_doc:meta])* $part:ident: $part_ty:ty),*})?
                    = $length:ident($($bytes:literal),*) $body:tt => $text:ident,
                $(#[$reply_doc:meta])*
                ($reply:ident: $reply_ty:ty)
                    = $reply_length:ident($($reply_bytes:literal),*) $reply_body:tt => $reply_text:ident
            }
        )*}
        vendors {$(
            $v_name:ident = $experimenter:ident $v_number:literal {
                $(#[$v_doc:meta])*
                $v_variant:ident $(($v_bind:ident: $v_ty:ty))?
                    = $v_length:ident($($v_bytes:literal),*) $v_body:tt => $v_text:ident,
                $(#[$v_reply_doc:meta])*
                ($v_reply:ident: $v_reply_ty:ty)
                    = $v_reply_length:ident($($v_reply_bytes:literal),*) $v_reply_body:tt => $v_reply_text:ident
            }
        )*}
    ) => {
        /// The body of a MULTIPART_REQUEST.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MultipartRequest {
            $($(#[$doc])* $variant $(($ty))? $({$($(#[$part_doc])* $part: $part_ty),*})?,)*
            $($(#[$v_doc])* $v_variant $(($v_ty))?,)*
            /// Another experimenter's (§7.3.5.15).
            Experimenter(Experimenter),
        }

        /// The body of one MULTIPART_REPLY.
        #[derive(Clone, Debug, PartialEq)]
        pub enum MultipartReply {
            $($(#[$reply_doc])* $variant($reply_ty),)*
            $($(#[$v_reply_doc])* $v_variant($v_reply_ty),)*
            /// Another experimenter's (§7.3.5.15).
            Experimenter(Experimenter),
        }

        /// A multipart of the specification.
        pub(super) fn standard(type_: u16) -> Option<Known> {
            match type_ {
                $($number => Some((
                    stringify!($name),
                    Length::$length($($bytes),*),
                    Length::$reply_length($($reply_bytes),*),
                )),)*
                _ => None,
            }
        }

        /// A vendor's multipart, by experimenter and type.
        pub(super) fn vendor(code: (u32, u32)) -> Option<Known> {
            match code {
                $(($experimenter, $v_number) => Some((
                    stringify!($v_name),
                    Length::$v_length($($v_bytes),*),
                    Length::$v_reply_length($($v_reply_bytes),*),
                )),)*
                _ => None,
            }
        }

        impl MultipartRequest {
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(MultipartRequest::$variant { .. } => concat!(stringify!($name), " request"),)*
                    $(MultipartRequest::$v_variant { .. } => concat!(stringify!($v_name), " request"),)*
                    MultipartRequest::Experimenter(_) => "experimenter multipart request",
                }
            }

            pub(super) fn decode_body(
                context: &mut Context,
                r: &mut Reader<'_>,
            ) -> Result<(u16, Self), DecodeError> {
                let (type_, flags) = head(r)?;
                let body = match type_ {
                    $($number => {
                        $(let $bind = body::decode_by!($body, context, r);)?
                        $(let ($($part),*) = body::decode_by!($body, context, r);)?
                        MultipartRequest::$variant $(($bind))? $({$($part),*})?
                    })*
                    EXPERIMENTER => match Experimenter::peek(r)? {
                        $(($experimenter, $v_number) => {
                            r.skip(8)?;
                            $(let $v_bind = body::decode_by!($v_body, context, r);)?
                            MultipartRequest::$v_variant $(($v_bind))?
                        })*
                        _ => MultipartRequest::Experimenter(Experimenter::decode_body(r)?),
                    },
                    _ => return Err(r.error(ErrorKind::BrcBadMultipart)),
                };
                Ok((flags, body))
            }

            pub(super) fn encode_body(
                flags: &u16,
                body: &Self,
                xid: u32,
                w: &mut Writer<'_>,
            ) -> Result<(), EncodeError> {
                let _ = xid;
                match body {
                    $(MultipartRequest::$variant $(($bind))? $({$($part),*})? => {
                        put_head(w, $number, *flags);
                        body::encode_by!($body, xid, w, $($bind)? $($($part),*)?)
                    })*
                    $(MultipartRequest::$v_variant $(($v_bind))? => {
                        put_vendor_head(w, ($experimenter, $v_number), *flags);
                        body::encode_by!($v_body, xid, w, $($v_bind)?)
                    })*
                    MultipartRequest::Experimenter(body) => {
                        put_head(w, EXPERIMENTER, *flags);
                        body.encode_body(w)
                    }
                }
            }

            pub(super) fn print_body(&self, p: &mut Printer<'_>) -> Printed {
                match self {
                    $(MultipartRequest::$variant $(($bind))? $({$($part),*})? => {
                        p.$text($($bind)? $($($part),*)?)
                    })*
                    $(MultipartRequest::$v_variant $(($v_bind))? => p.$v_text($($v_bind)?),)*
                    MultipartRequest::Experimenter(body) => p.experimenter(body),
                }
            }
        }

        impl MultipartReply {
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(MultipartReply::$variant(_) => concat!(stringify!($name), " reply"),)*
                    $(MultipartReply::$v_variant(_) => concat!(stringify!($v_name), " reply"),)*
                    MultipartReply::Experimenter(_) => "experimenter multipart reply",
                }
            }

            pub(super) fn decode_body(
                context: &mut Context,
                r: &mut Reader<'_>,
            ) -> Result<(u16, Self), DecodeError> {
                let (type_, flags) = head(r)?;
                let body = match type_ {
                    $($number => MultipartReply::$variant(body::decode_by!($reply_body, context, r)),)*
                    EXPERIMENTER => match Experimenter::peek(r)? {
                        $(($experimenter, $v_number) => {
                            r.skip(8)?;
                            MultipartReply::$v_variant(body::decode_by!($v_reply_body, context, r))
                        })*
                        _ => MultipartReply::Experimenter(Experimenter::decode_body(r)?),
                    },
                    _ => return Err(r.error(ErrorKind::BrcBadMultipart)),
                };
                Ok((flags, body))
            }

            pub(super) fn encode_body(
                flags: &u16,
                body: &Self,
                xid: u32,
                w: &mut Writer<'_>,
            ) -> Result<(), EncodeError> {
                let _ = xid;
                match body {
                    $(MultipartReply::$variant($reply) => {
                        put_head(w, $number, *flags);
                        body::encode_by!($reply_body, xid, w, $reply)
                    })*
                    $(MultipartReply::$v_variant($v_reply) => {
                        put_vendor_head(w, ($experimenter, $v_number), *flags);
                        body::encode_by!($v_reply_body, xid, w, $v_reply)
                    })*
                    MultipartReply::Experimenter(body) => {
                        put_head(w, EXPERIMENTER, *flags);
                        body.encode_body(w)
                    }
                }
            }

            pub(super) fn print_body(&self, p: &mut Printer<'_>) -> Printed {
                match self {
                    $(MultipartReply::$variant($reply) => p.$reply_text($reply),)*
                    $(MultipartReply::$v_variant($v_reply) => p.$v_reply_text($v_reply),)*
                    MultipartReply::Experimenter(body) => p.experimenter(body),
                }
            }
        }
    };
}

fn head(r: &mut Reader<'_>) -> Result<(u16, u16), DecodeError> {
    let (type_, flags) = (r.u16()?, r.u16()?);
    r.skip(4)?;
    Ok((type_, flags))
}

fn put_head(w: &mut Writer<'_>, type_: u16, flags: u16) {
    w.u16(type_);
    w.u16(flags);
    w.zeros(4);
}

fn put_vendor_head(w: &mut Writer<'_>, (experimenter, exp_type): (u32, u32), flags: u16) {
    put_head(w, EXPERIMENTER, flags);
    w.u32(experimenter);
    w.u32(exp_type);
}

/// A number of 32 bits, and four bytes of zeros.
macro_rules! padded {
    ($($name:ident: $ty:ident = $read:expr;)*) => {$(
        mod $name {
            use super::*;

            pub(super) fn decode_body(r: &mut Reader<'_>) -> Result<$ty, DecodeError> {
                let number = $read(r)?;
                r.skip(4)?;
                Ok(number)
            }

            pub(super) fn encode_body(number: &$ty, w: &mut Writer<'_>) -> Result<(), EncodeError> {
                w.u32(number.0);
                w.zeros(4);
                Ok(())
            }
        }
    )*};
}

padded! {
    port_padded: PortNo = crate::message::port::port;
    group_padded: GroupId = |r: &mut Reader<'_>| r.u32().map(GroupId);
    meter_padded: MeterId = |r: &mut Reader<'_>| r.u32().map(MeterId);
}

/// A queue of a port.
mod queue_of_port {
    use super::*;

    pub(super) fn decode_body(r: &mut Reader<'_>) -> Result<(PortNo, QueueId), DecodeError> {
        Ok((crate::message::port::port(r)?, QueueId(r.u32()?)))
    }

    pub(super) fn encode_body(
        port: &PortNo,
        queue: &QueueId,
        w: &mut Writer<'_>,
    ) -> Result<(), EncodeError> {
        w.u32(port.0);
        w.u32(queue.0);
        Ok(())
    }
}

multiparts! {
    standard {
        OFPST_DESC = 0 {
            /// Who made the switch (§7.3.5.1).
            Desc = exactly(0) [] => nothing,
            /// Who made the switch (§7.3.5.1).
            (desc: Box<DescStats>) = exactly(1056) [DescStats] => desc
        }
        OFPST_FLOW = 1 {
            /// Flows with their counters (§7.3.5.2).
            Flow(request: FlowRequest) = then_each(32, 8) [FlowRequest] => flow_request,
            /// Flows with their counters (§7.3.5.2).
            (flows: Vec<FlowStats>) = at_least(0) [each FlowStats] => flows
        }
        OFPST_AGGREGATE = 2 {
            /// The sum of their counters (§7.3.5.3).
            Aggregate(request: FlowRequest) = then_each(32, 8) [FlowRequest] => flow_request,
            /// The sum of their counters (§7.3.5.3).
            (stats: AggregateStats) = exactly(24) [AggregateStats] => aggregate
        }
        OFPST_TABLE = 3 {
            /// Counters of the tables (§7.3.5.4).
            Table = exactly(0) [] => nothing,
            /// Counters of the tables (§7.3.5.4).
            (tables: Vec<TableStats>) = then_each(0, 24) [each TableStats] => table_stats
        }
        OFPST_PORT = 4 {
            /// Counters of a port, or of all with [`PortNo::ANY`] (§7.3.5.6).
            Port(port: PortNo) = exactly(8) [port_padded] => port_no,
            /// Counters of ports (§7.3.5.6).
            (ports: Vec<PortStats>) = then_each(0, 112) [each PortStats] => port_stats
        }
        OFPST_QUEUE = 5 {
            /// Counters of queues (§7.3.5.8).
            Queue {
                /// Of a port, or all with [`PortNo::ANY`].
                port: PortNo,
                /// A queue, or all with [`QueueId::ALL`].
                queue: QueueId
            } = exactly(8) [queue_of_port] => queue_no,
            /// Counters of queues (§7.3.5.8).
            (queues: Vec<QueueStats>) = then_each(0, 40) [each QueueStats] => queue_stats
        }
        OFPST_GROUP = 6 {
            /// Counters of a group, or of all with [`GroupId::ALL`] (§7.3.5.9).
            Group(group: GroupId) = exactly(8) [group_padded] => group_no,
            /// Counters of groups (§7.3.5.9).
            (groups: Vec<GroupStats>) = then_each(0, 8) [each GroupStats] => group_stats
        }
        OFPST_GROUP_DESC = 7 {
            /// All groups with their buckets (§7.3.5.10).
            GroupDesc = exactly(0) [] => all_groups,
            /// Groups with their buckets (§7.3.5.10).
            (groups: Vec<GroupDesc>) = then_each(0, 8) [each GroupDesc] => groups
        }
        OFPST_GROUP_FEATURES = 8 {
            /// What groups the switch can do (§7.3.5.11).
            GroupFeatures = exactly(0) [] => nothing,
            /// What groups the switch can do (§7.3.5.11).
            (features: GroupFeatures) = exactly(40) [GroupFeatures] => group_features
        }
        OFPST_METER = 9 {
            /// Counters of a meter, or of all with [`MeterId::ALL`] (§7.3.5.12).
            Meter(meter: MeterId) = exactly(8) [meter_padded] => meter_no,
            /// Counters of meters (§7.3.5.12).
            (meters: Vec<MeterStats>) = then_each(0, 8) [each MeterStats] => meter_stats
        }
        OFPST_METER_CONFIG = 10 {
            /// A meter's bands, or all with [`MeterId::ALL`] (§7.3.5.13).
            MeterConfig(meter: MeterId) = exactly(8) [meter_padded] => meter_no,
            /// Meters with their bands (§7.3.5.13).
            (meters: Vec<MeterConfig>) = then_each(0, 8) [each MeterConfig] => meters
        }
        OFPST_METER_FEATURES = 11 {
            /// What meters the switch can do (§7.3.5.14).
            MeterFeatures = exactly(0) [] => nothing,
            /// What meters the switch can do (§7.3.5.14).
            (features: MeterFeatures) = exactly(16) [MeterFeatures] => meter_features
        }
        OFPST_TABLE_FEATURES = 12 {
            /// What the tables can do; if not empty, what they shall do (§7.3.5.5).
            TableFeatures(tables: Vec<TableFeatures>) = then_each(0, 8) [each TableFeatures] => table_features,
            /// What the tables can do (§7.3.5.5).
            (tables: Vec<TableFeatures>) = then_each(64, 8) [each TableFeatures] => table_features
        }
        OFPST_PORT_DESC = 13 {
            /// All ports (§7.3.5.7).
            PortDesc = exactly(0) [] => all_ports,
            /// Ports (§7.3.5.7).
            (ports: Vec<PortDesc>) = then_each(0, 64) [each PortDesc] => ports
        }
    }
    vendors {
        ONFST_FLOW_MONITOR = ONF 1870 {
            /// Flow changes from now on (ONF extension).
            FlowMonitor(monitors: Vec<FlowMonitorRequest>) = then_each(0, 8) [each FlowMonitorRequest] => monitors,
            /// Flow changes (ONF extension).
            (updates: Vec<FlowUpdate>) = then_each(0, 8) [each FlowUpdate] => flow_updates
        }
        NXST_IPFIX_BRIDGE = NICIRA 3 {
            /// IPFIX exporter counters of the bridge (Nicira extension).
            IpfixBridge = exactly(0) [] => nothing,
            /// IPFIX exporter counters of the bridge (Nicira extension).
            (stats: IpfixStats) = exactly(88) [IpfixStats] => ipfix_bridge
        }
        NXST_IPFIX_FLOW = NICIRA 4 {
            /// IPFIX exporter counters of flows (Nicira extension).
            IpfixFlow = exactly(0) [] => nothing,
            /// IPFIX exporter counters of flows (Nicira extension).
            (stats: Vec<IpfixFlowStats>) = then_each(0, 88) [each IpfixFlowStats] => ipfix_flows
        }
    }
}
