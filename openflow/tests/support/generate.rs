//! Random but valid messages of every kind, from a seed.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

pub mod actions;
pub mod multipart;
pub mod parts;
pub mod rng;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openflow::message::table_features::property;
use openflow::message::*;
use openflow::{
    Action, Bucket, Field, FlowFlags, FlowMod, FlowModCommand, FlowStats, GroupCommand, GroupDesc,
    GroupId, GroupMod, GroupType, Instruction, MacAddr, Match, PortNo, QueueId, TableId,
};

pub use actions::{ARMS, every_action};
pub use multipart::{reply, request};
pub use parts::*;
pub use rng::Rng;

/// How many kinds [`message`] tells apart.
pub const KINDS: u64 = 90;

/// A message of kind `kind % KINDS`.
pub fn message(r: &mut Rng, kind: u64) -> Message {
    match kind % KINDS {
        0 => Message::Hello(Hello {
            version: r.pick(&[1, 4, 4, 6]),
            elements: r.list(2, |r| {
                if r.chance(4) {
                    return HelloElement::Other {
                        type_: 2,
                        data: r.bytes(9),
                    };
                }
                HelloElement::Versions(vec![r.n32()])
            }),
        }),
        1 => {
            let codes: Vec<_> = ErrorCode::all().collect();
            let (code, _) = r.pick(&codes);
            let kind = 2 + r.below(KINDS - 2);
            let mut data = message(r, kind).to_bytes(r.n32()).expect("encodes");
            if code.experimenter.is_none() && code.type_ == 0 {
                data = r.bytes(40);
            } else if r.chance(2) {
                data.truncate(64);
            }
            data.truncate(60000);
            Message::Error(OfError { code, data })
        }
        2 => Message::EchoRequest(r.bytes(70)),
        3 => Message::EchoReply(r.bytes(20)),
        4 => Message::FeaturesRequest,
        5 => Message::FeaturesReply(FeaturesReply {
            datapath_id: r.number(),
            n_buffers: r.n32(),
            n_tables: r.n8(),
            auxiliary_id: r.n8(),
            capabilities: r.n32(),
            reserved: r.n32(),
        }),
        6 => Message::GetConfigRequest,
        7 => Message::GetConfigReply(SwitchConfig {
            flags: r.below(4) as u16,
            miss_send_len: r.n16(),
        }),
        8 => Message::SetConfig(SwitchConfig {
            flags: r.below(4) as u16,
            miss_send_len: r.n16(),
        }),
        9..=11 => Message::PacketIn(packet_in(r)),
        12 => Message::FlowRemoved(FlowRemoved {
            cookie: r.number(),
            priority: r.n16(),
            reason: FlowRemovedReason(r.below(8) as u8),
            table: TableId(r.n8()),
            duration_sec: r.n32(),
            duration_nsec: r.nanos(),
            idle_timeout: r.n16(),
            hard_timeout: r.n16(),
            packet_count: r.number(),
            byte_count: r.number(),
            match_: match_(r),
        }),
        13 => {
            let reason = r.pick(&[PortReason::Add, PortReason::Delete, PortReason::Modify]);
            Message::PortStatus(PortStatus {
                reason,
                desc: port_desc(r),
            })
        }
        14..=15 => {
            let buffer_id = r.pick(&[NO_BUFFER, NO_BUFFER, 9]);
            let port = PortNo(r.below(0xff00) as u32);
            Message::PacketOut(PacketOut {
                buffer_id,
                in_port: r.pick(&[port, PortNo::CONTROLLER, PortNo::LOCAL, PortNo::ANY]),
                actions: r.list(4, action),
                data: if buffer_id == NO_BUFFER && !r.chance(4) {
                    packet(r)
                } else {
                    Vec::new()
                },
            })
        }
        16 => Message::FlowMod(flow_mod(r)),
        17 => Message::GroupMod(group_mod(r)),
        18 => Message::PortMod(PortMod {
            port: r.port(),
            hw_addr: r.mac(),
            config: r.n32(),
            mask: r.n32(),
            advertise: r.n32(),
        }),
        19 => Message::TableMod(TableMod {
            table: TableId(r.n8()),
            config: r.n32(),
        }),
        20 => Message::BarrierRequest,
        21 => Message::BarrierReply,
        22 => {
            let port = PortNo(r.below(0xff00) as u32);
            Message::QueueGetConfigRequest(QueueGetConfigRequest {
                port: r.pick(&[port, PortNo::ANY]),
            })
        }
        23 => {
            let mut queue = 0;
            Message::QueueGetConfigReply(QueueGetConfigReply {
                port: r.port(),
                queues: r.list(4, |r| PacketQueue {
                    queue: {
                        queue += 1 + r.below(5) as u32;
                        QueueId(queue)
                    },
                    port: r.n32(),
                    properties: r.list(3, |r| match r.below(3) {
                        0 => QueueProperty::MinRate(r.pick(&[0, 5, 1000, 1001, 0xffff])),
                        1 => QueueProperty::MaxRate(r.below(1200) as u16),
                        _ => QueueProperty::Other {
                            type_: 0xffff,
                            data: r.array::<12>().to_vec(),
                        },
                    }),
                }),
            })
        }
        24 => Message::RoleRequest(RoleMessage {
            role: role(r),
            generation_id: r.number(),
        }),
        25 => Message::RoleReply(RoleMessage {
            role: role(r),
            generation_id: r.number(),
        }),
        26 => Message::GetAsyncRequest,
        27 => Message::GetAsyncReply(async_config(r)),
        28 => Message::SetAsync(async_config(r)),
        29 => {
            let command = r.pick(&[
                MeterCommand::Add,
                MeterCommand::Modify,
                MeterCommand::Delete,
            ]);
            Message::MeterMod(MeterMod {
                command,
                config: meter(r),
            })
        }
        30 => Message::NxRoleRequest(NxRole {
            role: r.pick(&[Role::Equal, Role::Primary, Role::Secondary]),
        }),
        31 => Message::NxRoleReply(NxRole {
            role: r.pick(&[Role::Equal, Role::Primary, Role::Secondary]),
        }),
        32 => Message::FlowModTableId(r.chance(2)),
        33 => Message::SetPacketInFormat(PacketInFormat(r.below(3) as u32)),
        34 => Message::NxPacketIn(NxPacketIn(packet_in(r))),
        35 => Message::FlowAge,
        36 => Message::NxSetAsync(async_config(r)),
        37 => Message::SetControllerId(r.n16()),
        38 => {
            let command = r.pick(&[TlvCommand::Add, TlvCommand::Delete, TlvCommand::Clear]);
            Message::TlvTableMod(TlvTableMod {
                command,
                maps: tlv_maps(r),
            })
        }
        39 => Message::TlvTableRequest,
        40 => Message::TlvTableReply(TlvTableReply {
            max_option_space: r.n32(),
            max_fields: 64,
            maps: tlv_maps(r),
        }),
        41 => {
            const ALLOWED: [u32; 12] = [7, 7, 7, 7, 0x3f, 0x3f, 7, 7, 0x18, 0x18, 3, 3];
            let properties = r.list(4, |r| {
                let type_ = r.below(12) as usize;
                Property {
                    type_: type_ as u16,
                    data: (r.n32() & ALLOWED[type_]).to_be_bytes().to_vec(),
                }
            });
            Message::NxSetAsync2(AsyncConfig2 { properties })
        }
        42 => Message::Resume(packet_in2(r)),
        43 => Message::CtFlushZone(r.n16()),
        44..=45 => Message::PacketIn2(packet_in2(r)),
        46 => Message::CtFlush(ct_flush(r)),
        47 => Message::FlowMonitorCancel(r.n32()),
        48 => Message::FlowMonitorPaused,
        49 => Message::FlowMonitorResumed,
        50 => Message::RoleStatus(RoleStatus {
            role: role(r),
            reason: r.below(5) as u8,
            generation_id: r.number(),
        }),
        51 => Message::BundleControl(BundleControl {
            bundle_id: r.n32(),
            type_: BundleControlType(r.below(9) as u16),
            flags: BundleFlags(r.n16()),
        }),
        52 => {
            let kind = r.pick(&[14, 16, 17, 18]);
            let message = Box::new(message(r, kind));
            Message::BundleAdd(BundleAdd {
                bundle_id: r.n32(),
                flags: BundleFlags(r.n16()),
                message,
            })
        }
        53 => {
            let request = if r.chance(2) {
                Message::GroupMod(group_mod(r))
            } else {
                message(r, 29)
            };
            Message::RequestForward {
                xid: r.n32(),
                request: Box::new(request),
            }
        }
        71 => {
            let Message::FlowRemoved(mut removed) = message(r, 12) else {
                panic!("kind 12")
            };
            removed.hard_timeout = 0;
            Message::NxFlowRemoved(NxFlowRemoved(removed))
        }
        72 => {
            let mut flow = flow_mod(r);
            (flow.cookie_mask, flow.out_port) = (0, r.pick(&[PortNo::ANY, PortNo(3)]));
            let value = r.number();
            let cookie = match flow.command {
                FlowModCommand::Add => None,
                _ => r.pick(&[None, Some((value, u64::MAX)), Some((value & 0xff, 0xff))]),
            };
            Message::NxFlowMod(NxFlowMod {
                flow,
                matched_cookie: cookie,
            })
        }
        54..=70 => Message::MultipartRequest {
            flags: r.pick(&[0, 0, 1]),
            body: request(r, kind % KINDS - 54),
        },
        _ => Message::MultipartReply {
            flags: r.pick(&[0, 0, 1, 4]),
            body: reply(r, kind % KINDS - 73),
        },
    }
}
