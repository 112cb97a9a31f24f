//! What messages are made of: matches, actions, groups, ports, packets.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openflow::message::table_features::property;
use openflow::message::*;
use openflow::{
    Action, Bucket, Field, FlowFlags, FlowMod, FlowModCommand, FlowStats, GroupCommand, GroupDesc,
    GroupId, GroupMod, GroupType, Instruction, MacAddr, Match, PortNo, QueueId, TableId,
};

use super::actions::{ARMS, every_action};
use super::rng::Rng;

pub fn match_(r: &mut Rng) -> Match {
    let mut m = Match::new();
    if r.chance(2) {
        m = m.eq(Field::IN_PORT, PortNo(r.below(0xff00) as u32));
    }
    if r.chance(4) {
        m = m.masked(Field::METADATA, r.u64(), r.u64());
    }
    if r.chance(3) {
        m = m.eq(Field::reg(r.below(16) as u8), r.u64() as u32);
    }
    if r.chance(4) {
        m = m.eq(Field::ETH_SRC, r.mac());
    }
    match r.below(5) {
        0 => {
            m = m.eq(Field::ETH_TYPE, 0x0800_u16).masked(
                Field::IPV4_SRC,
                Ipv4Addr::from(r.u64() as u32),
                u32::MAX << r.below(32),
            );
            if r.chance(2) {
                m = m
                    .eq(Field::IP_PROTO, 6_u8)
                    .eq(Field::TCP_DST, r.u64() as u16);
            }
        }
        1 => {
            m = m.eq(Field::ETH_TYPE, 0x86dd_u16).eq(
                Field::IPV6_DST,
                Ipv6Addr::from(u128::from(r.u64()) << 60 | u128::from(r.u64())),
            );
            if r.chance(2) {
                m = m
                    .eq(Field::IP_PROTO, 17_u8)
                    .eq(Field::UDP_SRC, r.u64() as u16);
            }
        }
        2 => m = m.eq(Field::ETH_TYPE, 0x0806_u16).eq(Field::ARP_OP, 1_u16),
        3 => {
            m = m.eq(
                Field::ETH_TYPE,
                r.pick(&[0x8847_u16, 0x8848, 0x88cc, 0x0600]),
            )
        }
        _ => {}
    }
    m
}

/// An action of any kind, mostly of those that may stand anywhere.
pub fn action(r: &mut Rng) -> Action {
    match r.below(12) {
        0 => Action::Output {
            port: PortNo(r.below(0xff00) as u32),
            max_len: 0,
        },
        1 => Action::Output {
            port: PortNo::CONTROLLER,
            max_len: r.n16(),
        },
        2 => Action::Group(GroupId(r.n32())),
        3 => Action::DecTtl,
        4 => Action::PushVlan(0x8100),
        5 => Action::SetQueue(QueueId(r.n32())),
        6 => Action::Resubmit {
            port: PortNo::IN_PORT,
            table: Some(TableId(r.below(255) as u8)),
            ct: r.chance(3),
        },
        7 => Action::load(Field::reg(r.below(16) as u8), r.below(1 << 32)),
        8..=9 => {
            let kind = r.below(ARMS);
            every_action(r, kind, 0)
        }
        _ => Action::set(Field::ETH_DST, MacAddr(r.array())),
    }
}

pub fn instructions(r: &mut Rng) -> Vec<Instruction> {
    let mut all = Vec::new();
    if r.chance(4) {
        all.push(Instruction::Meter(1 + r.below(1000) as u32));
    }
    let actions = r.list(4, action);
    if !actions.is_empty() {
        all.push(Instruction::ApplyActions(actions));
    }
    if r.chance(4) {
        all.push(Instruction::WriteMetadata {
            metadata: r.u64(),
            mask: r.u64(),
        });
    }
    if r.chance(3) {
        all.push(Instruction::GotoTable(TableId(200 + r.below(55) as u8)));
    }
    all
}

pub fn flow_mod(r: &mut Rng) -> FlowMod {
    let command = r.pick(&[
        FlowModCommand::Add,
        FlowModCommand::Modify,
        FlowModCommand::ModifyStrict,
        FlowModCommand::Delete,
        FlowModCommand::DeleteStrict,
    ]);
    FlowMod {
        cookie: r.number(),
        cookie_mask: if command == FlowModCommand::Add {
            0
        } else {
            r.number()
        },
        table: TableId(r.below(200) as u8),
        command,
        idle_timeout: r.n16(),
        hard_timeout: r.n16(),
        priority: r.pick(&[0x8000, 0, 7, 0xffff]),
        buffer_id: r.pick(&[u32::MAX, 17]),
        out_port: PortNo::ANY,
        out_group: GroupId::ANY,
        flags: FlowFlags(r.below(32) as u16),
        match_: match_(r),
        instructions: instructions(r).into_iter().map(fitting_any_match).collect(),
    }
}

/// Without the actions that only some packets can have: a switch refuses a FLOW_MOD whose match does not say more.
pub fn fitting_any_match(instruction: Instruction) -> Instruction {
    let Instruction::ApplyActions(mut actions) = instruction else {
        return instruction;
    };
    for action in &mut actions {
        if matches!(
            action,
            Action::DecTtl | Action::PushVlan(_) | Action::Resubmit { ct: true, .. }
        ) {
            *action = Action::SetQueue(QueueId(1));
        }
    }
    Instruction::ApplyActions(actions)
}

pub fn buckets(r: &mut Rng, type_: GroupType) -> Vec<Bucket> {
    let bucket = |r: &mut Rng| Bucket {
        weight: if type_ == GroupType::Select {
            r.below(200) as u16
        } else {
            0
        },
        watch_port: match type_ {
            GroupType::FastFailover => PortNo(r.below(100) as u32 + 1),
            GroupType::Select if r.chance(4) => r.port(),
            _ => PortNo::ANY,
        },
        watch_group: match type_ {
            GroupType::FastFailover | GroupType::Select if r.chance(4) => {
                GroupId(r.below(0xffff_ff00) as u32)
            }
            _ => GroupId::ANY,
        },
        actions: r.list(3, action),
    };
    if type_ == GroupType::Indirect {
        vec![bucket(r)]
    } else {
        r.list(4, bucket)
    }
}

pub fn group_type(r: &mut Rng) -> GroupType {
    r.pick(&[
        GroupType::All,
        GroupType::Select,
        GroupType::Indirect,
        GroupType::FastFailover,
    ])
}

pub fn group_mod(r: &mut Rng) -> GroupMod {
    let mut type_ = group_type(r);
    let command = r.pick(&[
        GroupCommand::Add,
        GroupCommand::Modify,
        GroupCommand::AddOrMod,
        GroupCommand::Delete,
        GroupCommand::InsertBucket,
        GroupCommand::RemoveBucket,
    ]);
    // One that has one bucket can have none removed.
    if command == GroupCommand::RemoveBucket && type_ == GroupType::Indirect {
        type_ = GroupType::All;
    }
    let buckets = match command {
        GroupCommand::Delete | GroupCommand::RemoveBucket => Vec::new(),
        _ => buckets(r, type_),
    };
    GroupMod {
        command,
        type_,
        id: GroupId(r.below(0xffff_ff00) as u32),
        buckets,
    }
}

pub fn port_desc(r: &mut Rng) -> PortDesc {
    PortDesc {
        port: r.port(),
        hw_addr: r.mac(),
        name: r.name(),
        config: r.n32(),
        state: r.n32(),
        current: r.n32(),
        advertised: r.n32(),
        supported: r.n32(),
        peer: r.n32(),
        current_speed: r.n32(),
        max_speed: r.n32(),
    }
}

pub fn meter(r: &mut Rng) -> MeterConfig {
    let unit = r.pick(&[MeterFlags::KBPS, MeterFlags::PKTPS]);
    let more = r.below(16) as u16 & !3;
    let flags = MeterFlags(unit | more);
    let band = |r: &mut Rng| MeterBand {
        kind: match r.below(20) {
            0 => BandKind::Experimenter {
                experimenter: r.n32(),
            },
            1..=9 => BandKind::Drop,
            _ => BandKind::DscpRemark { prec_level: r.n8() },
        },
        rate: r.n32(),
        burst_size: r.n32(),
    };
    MeterConfig {
        flags,
        meter: meter_id(r),
        bands: r.list(3, band),
    }
}

pub fn meter_id(r: &mut Rng) -> MeterId {
    let other = r.n32();
    r.pick(&[
        MeterId(1),
        MeterId::ALL,
        MeterId::CONTROLLER,
        MeterId::SLOWPATH,
        MeterId(0xffff_0001),
        MeterId(other),
    ])
}

pub fn queue_id(r: &mut Rng) -> QueueId {
    QueueId(r.n32())
}

pub fn role(r: &mut Rng) -> Role {
    r.pick(&[Role::NoChange, Role::Equal, Role::Primary, Role::Secondary])
}

pub fn async_config(r: &mut Rng) -> AsyncConfig {
    let mut pair = || [r.n32(), r.n32()];
    AsyncConfig {
        packet_in: pair(),
        port_status: pair(),
        flow_removed: pair(),
    }
}

/// A packet: mostly well-formed Ethernet, sometimes cut short or noise.
pub fn packet(r: &mut Rng) -> Vec<u8> {
    if r.chance(12) {
        return [r.bytes(90), vec![7]].concat();
    }
    let mut p = [r.mac().0, r.mac().0].concat();
    for _ in 0..r.pick(&[0_u8, 0, 0, 1, 2, 3]) {
        p.extend(r.pick(&[[0x81, 0x00], [0x88, 0xa8]]));
        p.extend((r.u64() as u16).to_be_bytes());
    }
    let mut l4 = Vec::new();
    let proto = r.pick(&[1_u8, 2, 6, 6, 17, 58, 132, 47, 0]);
    match proto {
        6 => {
            l4 = r.array::<20>().to_vec();
            l4[12] = r.pick(&[0x50, 0x51, 0x60, 0x20, 0x50]);
            l4.extend(r.bytes(12));
        }
        58 => {
            l4.extend([r.pick(&[135, 136, 128]), r.pick(&[0, 0, 1])]);
            l4.extend(r.array::<6>());
            l4.extend(r.bytes(40).iter().take(16));
            for _ in 0..r.below(3) {
                l4.extend([r.pick(&[1, 2, 3]), r.pick(&[1, 1, 2])]);
                l4.extend(r.mac().0);
            }
        }
        _ => l4.extend(r.bytes(40)),
    }
    match r.below(8) {
        0..=1 => {
            p.extend([0x08, 0x00]);
            let total = (20 + l4.len()) as u16;
            p.extend([0x45, r.u64() as u8]);
            p.extend(total.to_be_bytes());
            p.extend([0, 1]);
            p.extend(r.pick(&[[0_u8, 0], [0x40, 0], [0x20, 0], [0x20, 9], [0, 7]]));
            p.extend([r.n8(), proto, 0, 0]);
            p.extend(r.array::<8>());
            p.extend(l4);
        }
        2..=3 => {
            p.extend([0x86, 0xdd]);
            p.push(0x60);
            p.extend(r.array::<3>());
            let mut chain = Vec::new();
            let mut next = proto;
            if r.chance(3) {
                let kind = r.pick(&[0_u8, 43, 60, 44, 51]);
                let offset = r.pick(&[[0_u8, 0], [0, 1], [0, 9]]);
                chain.extend([next, 0]);
                chain.extend(if kind == 44 { offset } else { [0, 0] });
                chain.extend([0; 4]);
                next = kind;
            }
            let length = (chain.len() + l4.len()) as u16;
            p.extend(length.to_be_bytes());
            p.extend([next, r.n8()]);
            p.extend(r.array::<32>());
            p.extend(chain);
            p.extend(l4);
        }
        4 => {
            p.extend(r.pick(&[[0x08, 0x06], [0x80, 0x35]]));
            p.extend([0, 1, 8, 0, 6, 4]);
            p.extend(r.pick(&[[0_u8, 1], [0, 2], [1, 1]]));
            p.extend(r.array::<20>());
        }
        5 => {
            p.extend(r.pick(&[[0x88, 0x47], [0x88, 0x48]]));
            for _ in 0..=r.below(4) {
                p.extend(r.array::<4>());
            }
        }
        6 => {
            p.extend([0x89, 0x4f]);
            let (first, words) = (r.pick(&[0, 0, 0x10, 0x2f, 0x40]), r.pick(&[6, 6, 2, 9, 0]));
            p.extend([first, r.n8() & 0xc0 | words, r.pick(&[1, 1, 2, 3]), r.n8()]);
            p.extend(r.array::<24>());
        }
        _ => {
            p.extend(r.pick(&[[0x88, 0xcc], [0x00, 0x20], [0x90, 0x00]]));
            if r.chance(2) {
                p.extend([0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00]);
            }
            p.extend(r.bytes(30));
        }
    }
    match r.below(6) {
        0 => p.truncate(r.below(p.len() as u64 + 1) as usize),
        1 => p.extend(r.bytes(9)),
        _ => {}
    }
    if p.is_empty() { vec![0] } else { p }
}

pub fn packet_in(r: &mut Rng) -> PacketIn {
    let data = packet(r);
    PacketIn {
        buffer_id: r.pick(&[NO_BUFFER, 0x114]),
        total_len: if r.chance(3) {
            u32::from(r.n16())
        } else {
            data.len() as u32
        },
        reason: PacketInReason(r.pick(&[0, 1, 2, 3, 5, 9])),
        table: TableId(r.n8()),
        cookie: r.number(),
        match_: match_(r),
        data,
        userdata: Vec::new(),
        continuation: Vec::new(),
    }
}

pub fn packet_in2(r: &mut Rng) -> PacketIn2 {
    let packet = packet_in(r);
    let mut properties = vec![PacketInProperty::Packet(packet.data.clone())];
    if r.chance(3) {
        properties.push(PacketInProperty::FullLen(
            packet.data.len() as u32 + r.below(100) as u32,
        ));
    }
    if r.chance(4) {
        properties.push(PacketInProperty::BufferId(r.n32()));
    }
    properties.push(PacketInProperty::Table(packet.table));
    if r.chance(2) {
        properties.push(PacketInProperty::Cookie(packet.cookie));
    }
    properties.push(PacketInProperty::Reason(packet.reason));
    properties.push(PacketInProperty::Metadata(Box::new(packet.match_)));
    if r.chance(2) {
        properties.push(PacketInProperty::Userdata(r.bytes(9)));
    }
    if r.chance(2) {
        properties.push(PacketInProperty::Continuation(continuation(r)));
    }
    PacketIn2 { properties }
}

pub fn continuation(r: &mut Rng) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |type_: u16, data: &[u8]| {
        out.extend(type_.to_be_bytes());
        out.extend((data.len() as u16 + 4).to_be_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(8), 0);
    };
    put(0x8000, &r.array::<16>());
    for _ in 0..r.below(3) {
        put(0x8001, &r.bytes(8));
    }
    if r.chance(2) {
        put(0x8002, &r.n32().to_be_bytes());
    }
    if r.chance(2) {
        put(0x8003, &[]);
    }
    for _ in 0..r.below(3) {
        put(0x8004, &[r.n8()]);
        put(0x8005, &[&[0; 4][..], &r.number().to_be_bytes()].concat());
        let mut actions = vec![0; 4];
        openflow::action::encode_list(
            &r.list(3, action),
            &mut openflow::wire::Writer::new(&mut actions),
        )
        .expect("encodes");
        put(0x8006, &actions);
    }
    if r.chance(2) {
        put(0x8008, &r.n32().to_be_bytes());
    }
    out
}

pub fn ct_flush(r: &mut Rng) -> CtFlush {
    let v4 = r.chance(2);
    let ip_proto = r.pick(&[0, 1, 6, 17, 58]);
    let tuple = |r: &mut Rng| {
        let address = |r: &mut Rng| {
            let a = if v4 {
                IpAddr::V4(Ipv4Addr::from(r.u64() as u32))
            } else {
                IpAddr::V6(Ipv6Addr::from(r.array::<16>()))
            };
            (!r.chance(4)).then_some(a)
        };
        let mut tuple = CtTuple {
            src: address(r),
            dst: address(r),
            ..CtTuple::default()
        };
        if matches!(ip_proto, 1 | 58) {
            (tuple.icmp_id, tuple.icmp_type, tuple.icmp_code) =
                (Some(r.n16()), Some(r.n8()), Some(r.n8()));
        } else {
            tuple.src_port = r.chance(2).then(|| r.n16());
            tuple.dst_port = r.chance(2).then(|| r.n16());
        }
        (!r.chance(4)).then_some(tuple)
    };
    CtFlush {
        ip_proto,
        orig: tuple(r),
        reply: tuple(r),
        zone: r.chance(2).then(|| r.n16()),
    }
}

pub fn tlv_maps(r: &mut Rng) -> Vec<TlvMap> {
    r.list(4, |r| TlvMap {
        class: r.n16(),
        type_: r.n8(),
        length: r.below(32) as u8 * 4,
        index: r.below(64) as u16,
    })
}
