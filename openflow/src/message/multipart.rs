//! MULTIPART_REQUEST and MULTIPART_REPLY (OpenFlow 1.3 §7.3.5): what is asked for, and one part of an answer.
//!
//! ```text
//!  8 … 9   10 … 11  12 … 15  16 …
//! +-------+--------+--------+------+
//! | type  | flags  | pad    | body |
//! +-------+--------+--------+------+
//! ```

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
use crate::error::{DecodeError, EncodeError, ErrorKind};
use crate::flow::FlowStats;
use crate::group::GroupDesc;
use crate::types::{GroupId, PortNo, QueueId};
use crate::wire::{Reader, Writer};

const DESC: u16 = 0;
const FLOW: u16 = 1;
const AGGREGATE: u16 = 2;
const TABLE: u16 = 3;
const PORT_STATS: u16 = 4;
const QUEUE: u16 = 5;
const GROUP: u16 = 6;
const GROUP_DESC: u16 = 7;
const GROUP_FEATURES: u16 = 8;
const METER: u16 = 9;
const METER_CONFIG: u16 = 10;
const METER_FEATURES: u16 = 11;
const TABLE_FEATURES: u16 = 12;
const PORT_DESC: u16 = 13;
pub(crate) const EXPERIMENTER: u16 = 0xffff;
const ONF_FLOW_MONITOR: u32 = 1870;
const NX_IPFIX_BRIDGE: u32 = 3;
const NX_IPFIX_FLOW: u32 = 4;

/// The body of a MULTIPART_REQUEST.
#[derive(Clone, Debug, PartialEq)]
pub enum MultipartRequest {
    /// Who made the switch.
    Desc,
    /// Flows with their counters.
    Flow(FlowRequest),
    /// The sum of their counters.
    Aggregate(FlowRequest),
    /// Counters of the tables.
    Table,
    /// Counters of a port, or of all with [`PortNo::ANY`].
    Port(PortNo),
    /// Counters of queues.
    Queue {
        /// Of a port, or all with [`PortNo::ANY`].
        port: PortNo,
        /// A queue, or all with [`QueueId::ALL`].
        queue: QueueId,
    },
    /// Counters of a group, or of all with [`GroupId::ALL`].
    Group(GroupId),
    /// All groups with their buckets.
    GroupDesc,
    /// What groups the switch can do.
    GroupFeatures,
    /// Counters of a meter, or of all with [`MeterId::ALL`].
    Meter(MeterId),
    /// A meter's bands, or all with [`MeterId::ALL`].
    MeterConfig(MeterId),
    /// What meters the switch can do.
    MeterFeatures,
    /// What the tables can do; if not empty, what they shall do.
    TableFeatures(Vec<TableFeatures>),
    /// All ports.
    PortDesc,
    /// Flow changes from now on (ONF extension).
    FlowMonitor(Vec<FlowMonitorRequest>),
    /// IPFIX exporter counters of the bridge (Nicira extension).
    IpfixBridge,
    /// IPFIX exporter counters of flows (Nicira extension).
    IpfixFlow,
    /// Another experimenter's.
    Experimenter(Experimenter),
}

/// The body of one MULTIPART_REPLY.
#[derive(Clone, Debug, PartialEq)]
pub enum MultipartReply {
    /// Who made the switch.
    Desc(Box<DescStats>),
    /// Flows with their counters.
    Flow(Vec<FlowStats>),
    /// The sum of their counters.
    Aggregate(AggregateStats),
    /// Counters of the tables.
    Table(Vec<TableStats>),
    /// Counters of ports.
    Port(Vec<PortStats>),
    /// Counters of queues.
    Queue(Vec<QueueStats>),
    /// Counters of groups.
    Group(Vec<GroupStats>),
    /// Groups with their buckets.
    GroupDesc(Vec<GroupDesc>),
    /// What groups the switch can do.
    GroupFeatures(GroupFeatures),
    /// Counters of meters.
    Meter(Vec<MeterStats>),
    /// Meters with their bands.
    MeterConfig(Vec<MeterConfig>),
    /// What meters the switch can do.
    MeterFeatures(MeterFeatures),
    /// What the tables can do.
    TableFeatures(Vec<TableFeatures>),
    /// Ports.
    PortDesc(Vec<PortDesc>),
    /// Flow changes (ONF extension).
    FlowMonitor(Vec<FlowUpdate>),
    /// IPFIX exporter counters of the bridge (Nicira extension).
    IpfixBridge(IpfixStats),
    /// IPFIX exporter counters of flows (Nicira extension).
    IpfixFlow(Vec<IpfixFlowStats>),
    /// Another experimenter's.
    Experimenter(Experimenter),
}

/// A body with its flags, and why the list it is does not go on.
pub(crate) type Partly<T> = (u16, T, Option<DecodeError>);

/// Items to the end of `r`, or to the first that is malformed; `failed` then says how.
fn list<'a, T>(
    r: &mut Reader<'a>,
    failed: &mut Option<DecodeError>,
    decode: impl Fn(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Vec<T> {
    let mut all = Vec::new();
    while !r.is_empty() {
        match decode(r) {
            Ok(item) => all.push(item),
            Err(error) => {
                *failed = Some(error);
                r.take_rest();
            }
        }
    }
    all
}

fn put_list<T>(
    items: &[T],
    w: &mut Writer<'_>,
    encode: impl Fn(&T, &mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    items.iter().try_for_each(|item| encode(item, w))
}

impl MultipartRequest {
    fn code(&self) -> u16 {
        match self {
            MultipartRequest::Desc => DESC,
            MultipartRequest::Flow(_) => FLOW,
            MultipartRequest::Aggregate(_) => AGGREGATE,
            MultipartRequest::Table => TABLE,
            MultipartRequest::Port(_) => PORT_STATS,
            MultipartRequest::Queue { .. } => QUEUE,
            MultipartRequest::Group(_) => GROUP,
            MultipartRequest::GroupDesc => GROUP_DESC,
            MultipartRequest::GroupFeatures => GROUP_FEATURES,
            MultipartRequest::Meter(_) => METER,
            MultipartRequest::MeterConfig(_) => METER_CONFIG,
            MultipartRequest::MeterFeatures => METER_FEATURES,
            MultipartRequest::TableFeatures(_) => TABLE_FEATURES,
            MultipartRequest::PortDesc => PORT_DESC,
            MultipartRequest::FlowMonitor(_)
            | MultipartRequest::IpfixBridge
            | MultipartRequest::IpfixFlow
            | MultipartRequest::Experimenter(_) => EXPERIMENTER,
        }
    }

    pub(crate) fn decode_partly(r: &mut Reader<'_>) -> Result<Partly<Self>, DecodeError> {
        let (type_, flags) = head(r)?;
        let mut failed = None;
        let body = match type_ {
            DESC => MultipartRequest::Desc,
            FLOW => MultipartRequest::Flow(FlowRequest::decode_body(r)?),
            AGGREGATE => MultipartRequest::Aggregate(FlowRequest::decode_body(r)?),
            TABLE => MultipartRequest::Table,
            PORT_STATS => {
                let port = super::port::port(r)?;
                r.skip(4)?;
                MultipartRequest::Port(port)
            }
            QUEUE => MultipartRequest::Queue {
                port: super::port::port(r)?,
                queue: QueueId(r.u32()?),
            },
            GROUP => MultipartRequest::Group(GroupId(padded(r)?)),
            GROUP_DESC => MultipartRequest::GroupDesc,
            GROUP_FEATURES => MultipartRequest::GroupFeatures,
            METER => MultipartRequest::Meter(MeterId(padded(r)?)),
            METER_CONFIG => MultipartRequest::MeterConfig(MeterId(padded(r)?)),
            METER_FEATURES => MultipartRequest::MeterFeatures,
            TABLE_FEATURES => {
                MultipartRequest::TableFeatures(list(r, &mut failed, TableFeatures::decode_body))
            }
            PORT_DESC => MultipartRequest::PortDesc,
            EXPERIMENTER => {
                let experimenter = Experimenter::peek(r)?;
                match experimenter {
                    (ONF, ONF_FLOW_MONITOR) => {
                        r.skip(8)?;
                        MultipartRequest::FlowMonitor(list(
                            r,
                            &mut failed,
                            FlowMonitorRequest::decode_body,
                        ))
                    }
                    (NICIRA, NX_IPFIX_BRIDGE) => {
                        r.skip(8)?;
                        MultipartRequest::IpfixBridge
                    }
                    (NICIRA, NX_IPFIX_FLOW) => {
                        r.skip(8)?;
                        MultipartRequest::IpfixFlow
                    }
                    _ => MultipartRequest::Experimenter(Experimenter::decode_body(r)?),
                }
            }
            _ => return Err(r.error(ErrorKind::BrcBadMultipart)),
        };
        Ok((flags, body, failed))
    }

    pub(crate) fn encode_body(&self, flags: u16, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        put_head(w, self.code(), flags);
        match self {
            MultipartRequest::Desc
            | MultipartRequest::Table
            | MultipartRequest::GroupDesc
            | MultipartRequest::GroupFeatures
            | MultipartRequest::MeterFeatures
            | MultipartRequest::PortDesc => Ok(()),
            MultipartRequest::Flow(request) | MultipartRequest::Aggregate(request) => {
                request.encode_body(w)
            }
            MultipartRequest::Port(PortNo(number))
            | MultipartRequest::Group(GroupId(number))
            | MultipartRequest::Meter(MeterId(number))
            | MultipartRequest::MeterConfig(MeterId(number)) => {
                w.u32(*number);
                w.zeros(4);
                Ok(())
            }
            MultipartRequest::Queue { port, queue } => {
                w.u32(port.0);
                w.u32(queue.0);
                Ok(())
            }
            MultipartRequest::TableFeatures(tables) => {
                put_list(tables, w, TableFeatures::encode_body)
            }
            MultipartRequest::FlowMonitor(monitors) => {
                put_experimenter(w, ONF, ONF_FLOW_MONITOR);
                put_list(monitors, w, FlowMonitorRequest::encode_body)
            }
            MultipartRequest::IpfixBridge => {
                put_experimenter(w, NICIRA, NX_IPFIX_BRIDGE);
                Ok(())
            }
            MultipartRequest::IpfixFlow => {
                put_experimenter(w, NICIRA, NX_IPFIX_FLOW);
                Ok(())
            }
            MultipartRequest::Experimenter(experimenter) => experimenter.encode_body(w),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            MultipartRequest::Desc => "OFPST_DESC request",
            MultipartRequest::Flow(_) => "OFPST_FLOW request",
            MultipartRequest::Aggregate(_) => "OFPST_AGGREGATE request",
            MultipartRequest::Table => "OFPST_TABLE request",
            MultipartRequest::Port(_) => "OFPST_PORT request",
            MultipartRequest::Queue { .. } => "OFPST_QUEUE request",
            MultipartRequest::Group(_) => "OFPST_GROUP request",
            MultipartRequest::GroupDesc => "OFPST_GROUP_DESC request",
            MultipartRequest::GroupFeatures => "OFPST_GROUP_FEATURES request",
            MultipartRequest::Meter(_) => "OFPST_METER request",
            MultipartRequest::MeterConfig(_) => "OFPST_METER_CONFIG request",
            MultipartRequest::MeterFeatures => "OFPST_METER_FEATURES request",
            MultipartRequest::TableFeatures(_) => "OFPST_TABLE_FEATURES request",
            MultipartRequest::PortDesc => "OFPST_PORT_DESC request",
            MultipartRequest::FlowMonitor(_) => "ONFST_FLOW_MONITOR request",
            MultipartRequest::IpfixBridge => "NXST_IPFIX_BRIDGE request",
            MultipartRequest::IpfixFlow => "NXST_IPFIX_FLOW request",
            MultipartRequest::Experimenter(_) => "experimenter multipart request",
        }
    }
}

impl MultipartReply {
    fn code(&self) -> u16 {
        match self {
            MultipartReply::Desc(_) => DESC,
            MultipartReply::Flow(_) => FLOW,
            MultipartReply::Aggregate(_) => AGGREGATE,
            MultipartReply::Table(_) => TABLE,
            MultipartReply::Port(_) => PORT_STATS,
            MultipartReply::Queue(_) => QUEUE,
            MultipartReply::Group(_) => GROUP,
            MultipartReply::GroupDesc(_) => GROUP_DESC,
            MultipartReply::GroupFeatures(_) => GROUP_FEATURES,
            MultipartReply::Meter(_) => METER,
            MultipartReply::MeterConfig(_) => METER_CONFIG,
            MultipartReply::MeterFeatures(_) => METER_FEATURES,
            MultipartReply::TableFeatures(_) => TABLE_FEATURES,
            MultipartReply::PortDesc(_) => PORT_DESC,
            MultipartReply::FlowMonitor(_)
            | MultipartReply::IpfixBridge(_)
            | MultipartReply::IpfixFlow(_)
            | MultipartReply::Experimenter(_) => EXPERIMENTER,
        }
    }

    pub(crate) fn decode_partly(r: &mut Reader<'_>) -> Result<Partly<Self>, DecodeError> {
        let (type_, flags) = head(r)?;
        let mut failed = None;
        let body = match type_ {
            DESC => MultipartReply::Desc(Box::new(DescStats::decode_body(r)?)),
            FLOW => MultipartReply::Flow(list(r, &mut failed, FlowStats::decode)),
            AGGREGATE => MultipartReply::Aggregate(AggregateStats::decode_body(r)?),
            TABLE => MultipartReply::Table(list(r, &mut failed, TableStats::decode_body)),
            PORT_STATS => MultipartReply::Port(list(r, &mut failed, PortStats::decode_body)),
            QUEUE => MultipartReply::Queue(list(r, &mut failed, QueueStats::decode_body)),
            GROUP => MultipartReply::Group(list(r, &mut failed, GroupStats::decode_body)),
            GROUP_DESC => MultipartReply::GroupDesc(list(r, &mut failed, GroupDesc::decode)),
            GROUP_FEATURES => MultipartReply::GroupFeatures(GroupFeatures::decode_body(r)?),
            METER => MultipartReply::Meter(list(r, &mut failed, MeterStats::decode_body)),
            METER_CONFIG => {
                MultipartReply::MeterConfig(list(r, &mut failed, MeterConfig::decode_body))
            }
            METER_FEATURES => MultipartReply::MeterFeatures(MeterFeatures::decode_body(r)?),
            TABLE_FEATURES => {
                MultipartReply::TableFeatures(list(r, &mut failed, TableFeatures::decode_body))
            }
            PORT_DESC => MultipartReply::PortDesc(list(r, &mut failed, PortDesc::decode_body)),
            EXPERIMENTER => match Experimenter::peek(r)? {
                (ONF, ONF_FLOW_MONITOR) => {
                    r.skip(8)?;
                    MultipartReply::FlowMonitor(list(r, &mut failed, FlowUpdate::decode_body))
                }
                (NICIRA, NX_IPFIX_BRIDGE) => {
                    r.skip(8)?;
                    MultipartReply::IpfixBridge(IpfixStats::decode_body(r)?)
                }
                (NICIRA, NX_IPFIX_FLOW) => {
                    r.skip(8)?;
                    MultipartReply::IpfixFlow(list(r, &mut failed, IpfixFlowStats::decode_body))
                }
                _ => MultipartReply::Experimenter(Experimenter::decode_body(r)?),
            },
            _ => return Err(r.error(ErrorKind::BrcBadMultipart)),
        };
        Ok((flags, body, failed))
    }

    pub(crate) fn encode_body(&self, flags: u16, w: &mut Writer<'_>) -> Result<(), EncodeError> {
        put_head(w, self.code(), flags);
        match self {
            MultipartReply::Desc(desc) => desc.encode_body(w),
            MultipartReply::Flow(flows) => put_list(flows, w, FlowStats::encode),
            MultipartReply::Aggregate(stats) => stats.encode_body(w),
            MultipartReply::Table(tables) => put_list(tables, w, TableStats::encode_body),
            MultipartReply::Port(ports) => put_list(ports, w, PortStats::encode_body),
            MultipartReply::Queue(queues) => put_list(queues, w, QueueStats::encode_body),
            MultipartReply::Group(groups) => put_list(groups, w, GroupStats::encode_body),
            MultipartReply::GroupDesc(groups) => put_list(groups, w, GroupDesc::encode),
            MultipartReply::GroupFeatures(features) => features.encode_body(w),
            MultipartReply::Meter(meters) => put_list(meters, w, MeterStats::encode_body),
            MultipartReply::MeterConfig(meters) => put_list(meters, w, MeterConfig::encode_body),
            MultipartReply::MeterFeatures(features) => features.encode_body(w),
            MultipartReply::TableFeatures(tables) => {
                put_list(tables, w, TableFeatures::encode_body)
            }
            MultipartReply::PortDesc(ports) => put_list(ports, w, PortDesc::encode_body),
            MultipartReply::FlowMonitor(updates) => {
                put_experimenter(w, ONF, ONF_FLOW_MONITOR);
                put_list(updates, w, FlowUpdate::encode_body)
            }
            MultipartReply::IpfixBridge(stats) => {
                put_experimenter(w, NICIRA, NX_IPFIX_BRIDGE);
                stats.encode_body(w)
            }
            MultipartReply::IpfixFlow(stats) => {
                put_experimenter(w, NICIRA, NX_IPFIX_FLOW);
                put_list(stats, w, IpfixFlowStats::encode_body)
            }
            MultipartReply::Experimenter(experimenter) => experimenter.encode_body(w),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            MultipartReply::Desc(_) => "OFPST_DESC reply",
            MultipartReply::Flow(_) => "OFPST_FLOW reply",
            MultipartReply::Aggregate(_) => "OFPST_AGGREGATE reply",
            MultipartReply::Table(_) => "OFPST_TABLE reply",
            MultipartReply::Port(_) => "OFPST_PORT reply",
            MultipartReply::Queue(_) => "OFPST_QUEUE reply",
            MultipartReply::Group(_) => "OFPST_GROUP reply",
            MultipartReply::GroupDesc(_) => "OFPST_GROUP_DESC reply",
            MultipartReply::GroupFeatures(_) => "OFPST_GROUP_FEATURES reply",
            MultipartReply::Meter(_) => "OFPST_METER reply",
            MultipartReply::MeterConfig(_) => "OFPST_METER_CONFIG reply",
            MultipartReply::MeterFeatures(_) => "OFPST_METER_FEATURES reply",
            MultipartReply::TableFeatures(_) => "OFPST_TABLE_FEATURES reply",
            MultipartReply::PortDesc(_) => "OFPST_PORT_DESC reply",
            MultipartReply::FlowMonitor(_) => "ONFST_FLOW_MONITOR reply",
            MultipartReply::IpfixBridge(_) => "NXST_IPFIX_BRIDGE reply",
            MultipartReply::IpfixFlow(_) => "NXST_IPFIX_FLOW reply",
            MultipartReply::Experimenter(_) => "experimenter multipart reply",
        }
    }
}

/// Open vSwitch's name of a multipart type, and how long the bodies of request and reply are.
pub(crate) fn kind(type_: u16) -> Option<(&'static str, Length, Length)> {
    const KINDS: [(&str, Length, Length); 14] = [
        ("OFPST_DESC", NONE, Length::exactly(1056)),
        ("OFPST_FLOW", Length::then_each(32, 8), Length::at_least(0)),
        (
            "OFPST_AGGREGATE",
            Length::then_each(32, 8),
            Length::exactly(24),
        ),
        ("OFPST_TABLE", NONE, Length::then_each(0, 24)),
        ("OFPST_PORT", Length::exactly(8), Length::then_each(0, 112)),
        ("OFPST_QUEUE", Length::exactly(8), Length::then_each(0, 40)),
        ("OFPST_GROUP", Length::exactly(8), EIGHTS),
        ("OFPST_GROUP_DESC", NONE, EIGHTS),
        ("OFPST_GROUP_FEATURES", NONE, Length::exactly(40)),
        ("OFPST_METER", Length::exactly(8), EIGHTS),
        ("OFPST_METER_CONFIG", Length::exactly(8), EIGHTS),
        ("OFPST_METER_FEATURES", NONE, Length::exactly(16)),
        ("OFPST_TABLE_FEATURES", EIGHTS, Length::then_each(64, 8)),
        ("OFPST_PORT_DESC", NONE, Length::then_each(0, 64)),
    ];
    KINDS.get(usize::from(type_)).copied()
}

/// As [`kind`], of a vendor's.
pub(crate) fn vendor_kind(
    experimenter: u32,
    exp_type: u32,
) -> Option<(&'static str, Length, Length)> {
    match (experimenter, exp_type) {
        (ONF, ONF_FLOW_MONITOR) => Some(("ONFST_FLOW_MONITOR", EIGHTS, EIGHTS)),
        (NICIRA, NX_IPFIX_BRIDGE) => Some(("NXST_IPFIX_BRIDGE", NONE, Length::exactly(88))),
        (NICIRA, NX_IPFIX_FLOW) => Some(("NXST_IPFIX_FLOW", NONE, Length::then_each(0, 88))),
        _ => None,
    }
}

const NONE: Length = Length::exactly(0);
const EIGHTS: Length = Length::then_each(0, 8);

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

fn put_experimenter(w: &mut Writer<'_>, experimenter: u32, exp_type: u32) {
    w.u32(experimenter);
    w.u32(exp_type);
}

fn padded(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
    let number = r.u32()?;
    r.skip(4)?;
    Ok(number)
}
