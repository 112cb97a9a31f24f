//! Multipart requests and replies.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openflow::message::table_features::property;
use openflow::message::*;
use openflow::{
    Action, Bucket, Field, FlowFlags, FlowMod, FlowModCommand, FlowStats, GroupCommand, GroupDesc,
    GroupId, GroupMod, GroupType, Instruction, MacAddr, Match, PortNo, QueueId, TableId,
};

use super::parts::*;
use super::rng::Rng;

pub fn oxm(headers: &[u32]) -> Vec<u8> {
    headers.iter().flat_map(|h| h.to_be_bytes()).collect()
}

pub fn ids(ids: &[u16]) -> Vec<u8> {
    ids.iter()
        .flat_map(|id| [id.to_be_bytes(), [0, 4]].concat())
        .collect()
}

pub fn table_features(r: &mut Rng, table: u8) -> TableFeatures {
    // OXM headers: eth_dst, eth_dst masked, eth_src, eth_type, ip_proto, ipv4_src masked, tcp_src, reg0…reg7, metadata masked
    let fields = [
        0x8000_0606,
        0x8000_070c,
        0x8000_0806,
        0x8000_0a02,
        0x8000_1401,
        0x8000_1708,
        0x8000_1a02,
        0x8000_0510,
    ];
    let registers: Vec<u32> = (0..8).map(|i| 0x0001_0004 | i << 9).collect();
    let some = |r: &mut Rng, from: &[u32]| {
        from.iter()
            .copied()
            .filter(|_| !r.chance(4))
            .collect::<Vec<_>>()
    };
    let matched = [some(r, &fields), some(r, &registers)].concat();
    let exact: Vec<u32> = [some(r, &fields), some(r, &registers)]
        .concat()
        .into_iter()
        .filter(|h| h & 0x100 == 0)
        .collect();
    let next = |r: &mut Rng| {
        (table.saturating_add(1)..255)
            .filter(|_| !r.chance(60))
            .collect::<Vec<u8>>()
    };
    let numbers = |r: &mut Rng, from: &[u16]| {
        ids(&from
            .iter()
            .copied()
            .filter(|_| !r.chance(5))
            .collect::<Vec<_>>())
    };
    let mut properties = Vec::new();
    let mut add = |type_: u16, data: Vec<u8>| properties.push(Property { type_, data });
    let actions = [0, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25];
    add(property::INSTRUCTIONS, numbers(r, &[1, 2, 3, 4, 5, 6]));
    if r.chance(2) {
        add(property::INSTRUCTIONS + 1, numbers(r, &[1, 2, 3, 4, 5, 6]));
    }
    add(
        property::NEXT_TABLES,
        if r.chance(2) {
            (table.saturating_add(1)..255).collect()
        } else {
            next(r)
        },
    );
    if r.chance(3) {
        add(property::NEXT_TABLES + 1, next(r));
    }
    let same = (numbers(r, &actions), oxm(&exact));
    add(property::WRITE_ACTIONS, same.0.clone());
    if r.chance(3) {
        add(property::WRITE_ACTIONS + 1, numbers(r, &actions));
    }
    add(
        property::APPLY_ACTIONS,
        if r.chance(2) {
            same.0
        } else {
            numbers(r, &actions)
        },
    );
    add(property::MATCH, oxm(&matched));
    add(property::WILDCARDS, oxm(&exact));
    add(property::WRITE_SETFIELD, same.1.clone());
    add(
        property::APPLY_SETFIELD,
        if r.chance(2) {
            same.1
        } else {
            oxm(&some(r, &registers))
        },
    );
    TableFeatures {
        table: TableId(table),
        name: if r.chance(2) { [0; 32] } else { r.name() },
        metadata_match: r.number(),
        metadata_write: r.number(),
        config: r.n32(),
        max_entries: r.n32(),
        properties,
    }
}

pub fn several_tables(r: &mut Rng) -> Vec<TableFeatures> {
    let first = table_features(r, r_u8(r));
    let mut all = vec![first];
    for _ in 0..r.below(4) {
        let mut next = all.last().expect("one").clone();
        if r.chance(3) {
            next = table_features(r, next.table.0.saturating_add(1).min(254));
        }
        next.table = TableId(next.table.0.saturating_add(1).min(254));
        if r.chance(3) {
            next.name = [0; 32];
        }
        for property in &mut next.properties {
            if property.type_ == property::NEXT_TABLES && r.chance(2) {
                property.data.retain(|t| *t > next.table.0);
            }
        }
        all.push(next);
    }
    all
}

pub fn r_u8(r: &Rng) -> u8 {
    (r.0 % 200) as u8
}

pub fn flow_request(r: &mut Rng) -> FlowRequest {
    FlowRequest {
        table: TableId(r.n8()),
        out_port: r.port(),
        out_group: GroupId(r.n32()),
        cookie: r.number(),
        cookie_mask: r.number(),
        match_: match_(r),
    }
}

pub fn flow_stats(r: &mut Rng) -> FlowStats {
    FlowStats {
        table: TableId(r.n8()),
        duration_sec: r.below(1 << 32) as u32,
        duration_nsec: r.nanos(),
        priority: r.pick(&[0x8000, 1, 0xffff]),
        idle_timeout: r.n16(),
        hard_timeout: r.n16(),
        flags: FlowFlags(r.below(32) as u16),
        cookie: r.number(),
        packet_count: r.number(),
        byte_count: r.number(),
        match_: match_(r),
        instructions: instructions(r).into(),
    }
}

pub fn ipfix(r: &mut Rng) -> IpfixStats {
    IpfixStats {
        total_flows: r.number(),
        current_flows: r.number(),
        pkts: r.number(),
        ipv4_pkts: r.number(),
        ipv6_pkts: r.number(),
        error_pkts: r.number(),
        ipv4_error_pkts: r.number(),
        ipv6_error_pkts: r.number(),
        tx_pkts: r.number(),
        tx_errors: r.number(),
        collector_set_id: r.n32(),
    }
}

pub fn request(r: &mut Rng, kind: u64) -> MultipartRequest {
    match kind % 17 {
        0 => MultipartRequest::Desc,
        1 => MultipartRequest::Flow(flow_request(r)),
        2 => MultipartRequest::Aggregate(flow_request(r)),
        3 => MultipartRequest::Table,
        4 => MultipartRequest::Port(r.port()),
        5 => MultipartRequest::Queue {
            port: r.port(),
            queue: queue_id(r),
        },
        6 => {
            let other = r.n32();
            MultipartRequest::Group(r.pick(&[GroupId::ALL, GroupId::ANY, GroupId(other)]))
        }
        7 => MultipartRequest::GroupDesc,
        8 => MultipartRequest::GroupFeatures,
        9 => MultipartRequest::Meter(meter_id(r)),
        10 => MultipartRequest::MeterConfig(meter_id(r)),
        11 => MultipartRequest::MeterFeatures,
        12 => MultipartRequest::TableFeatures(if r.chance(3) {
            Vec::new()
        } else {
            several_tables(r)
        }),
        13 => MultipartRequest::PortDesc,
        14 => MultipartRequest::FlowMonitor(r.list(3, |r| FlowMonitorRequest {
            id: r.n32(),
            flags: MonitorFlags(r.below(64) as u16 | r.pick(&[2, 4, 8])),
            out_port: r.port(),
            table: TableId(r.n8()),
            claimed_match_len: None,
            match_: match_(r),
        })),
        15 => MultipartRequest::IpfixBridge,
        _ => MultipartRequest::IpfixFlow,
    }
}

pub fn reply(r: &mut Rng, kind: u64) -> MultipartReply {
    match kind % 17 {
        0 => MultipartReply::Desc(Box::new(DescStats {
            mfr_desc: r.name(),
            hw_desc: r.name(),
            sw_desc: r.name(),
            serial_num: r.name(),
            dp_desc: r.name(),
        })),
        1 => MultipartReply::Flow(r.list(4, flow_stats)),
        2 => MultipartReply::Aggregate(AggregateStats {
            packet_count: r.number(),
            byte_count: r.number(),
            flow_count: r.n32(),
        }),
        3 => {
            let (mut table, mut all) = (0, Vec::new());
            for _ in 0..r.below(8) {
                table += r.below(3) as u8;
                let same = r.chance(2) && !all.is_empty();
                let before: Option<TableStats> = all.last().copied();
                let fresh = TableStats {
                    table: TableId(table),
                    active_count: r.n32(),
                    lookup_count: r.number(),
                    matched_count: r.number(),
                };
                all.push(before.filter(|_| same).map_or(fresh, |b| TableStats {
                    table: TableId(table),
                    ..b
                }));
            }
            MultipartReply::Table(all)
        }
        4 => MultipartReply::Port(r.list(3, |r| PortStats {
            port: r.port(),
            rx_packets: r.number(),
            tx_packets: r.number(),
            rx_bytes: r.number(),
            tx_bytes: r.number(),
            rx_dropped: r.number(),
            tx_dropped: r.number(),
            rx_errors: r.number(),
            tx_errors: r.number(),
            rx_frame_err: r.number(),
            rx_over_err: r.number(),
            rx_crc_err: r.number(),
            collisions: r.number(),
            duration_sec: r.seconds(),
            duration_nsec: r.nanos(),
        })),
        5 => MultipartReply::Queue(r.list(3, |r| QueueStats {
            port: r.port(),
            queue: queue_id(r),
            tx_bytes: r.number(),
            tx_packets: r.number(),
            tx_errors: r.number(),
            duration_sec: r.seconds(),
            duration_nsec: r.nanos(),
        })),
        6 => MultipartReply::Group(r.list(3, |r| GroupStats {
            group: GroupId(r.n32()),
            ref_count: r.n32(),
            packet_count: r.number(),
            byte_count: r.number(),
            duration_sec: r.seconds(),
            duration_nsec: r.nanos(),
            buckets: r.list(3, |r| BucketCounter {
                packet_count: r.number(),
                byte_count: r.number(),
            }),
        })),
        7 => MultipartReply::GroupDesc(r.list(3, |r| {
            let type_ = group_type(r);
            GroupDesc {
                id: GroupId(r.n32()),
                type_,
                buckets: buckets(r, type_),
            }
        })),
        8 => {
            let mut four = || [r.n32(), r.n32(), r.n32(), r.n32()];
            let (max_groups, actions) = (four(), four());
            MultipartReply::GroupFeatures(GroupFeatures {
                types: r.n32(),
                capabilities: r.n32(),
                max_groups,
                actions,
            })
        }
        9 => MultipartReply::Meter(r.list(3, |r| MeterStats {
            meter: meter_id(r),
            flow_count: r.n32(),
            packet_in_count: r.number(),
            byte_in_count: r.number(),
            duration_sec: r.seconds(),
            duration_nsec: r.nanos(),
            bands: r.list(3, |r| (r.number(), r.number())),
        })),
        10 => MultipartReply::MeterConfig(r.list(3, meter)),
        11 => MultipartReply::MeterFeatures(MeterFeatures {
            max_meter: r.n32(),
            band_types: r.n32(),
            capabilities: r.n32(),
            max_bands: r.n8(),
            max_color: r.n8(),
        }),
        12 => MultipartReply::TableFeatures(several_tables(r)),
        13 => MultipartReply::PortDesc({
            let mut ports = r.list(4, port_desc);
            ports.dedup_by_key(|p| p.port);
            ports
        }),
        14 => MultipartReply::FlowMonitor(r.list(3, |r| {
            if r.chance(4) {
                return FlowUpdate::Abbreviated { xid: r.n32() };
            }
            let event = r.pick(&[FlowEvent::Added, FlowEvent::Deleted, FlowEvent::Modified]);
            FlowUpdate::Full(Box::new(FlowUpdateFull {
                event,
                reason: if event == FlowEvent::Deleted {
                    r.below(8) as u16
                } else {
                    0
                },
                priority: r.n16(),
                idle_timeout: r.n16(),
                hard_timeout: r.n16(),
                table: TableId(r.n8()),
                cookie: r.number(),
                match_: match_(r),
                instructions: instructions(r).into(),
            }))
        })),
        15 => MultipartReply::IpfixBridge(ipfix(r)),
        _ => MultipartReply::IpfixFlow(r.list(3, ipfix)),
    }
}
