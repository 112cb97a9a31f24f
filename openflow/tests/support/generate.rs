//! Random but valid messages of every kind, from a seed.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openflow::message::table_features::property;
use openflow::message::*;
use openflow::{
    Action, Bucket, Field, FlowFlags, FlowMod, FlowModCommand, FlowStats, GroupCommand, GroupDesc,
    GroupId, GroupMod, GroupType, Instruction, MacAddr, Match, PortNo, QueueId, TableId,
};

/// xorshift64*: enough to be varied, the same everywhere.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The seed in `SEED`, or one from the clock; printed, so that a failure can be repeated.
    pub fn from_env() -> Rng {
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("a clock")
            .as_nanos() as u64;
        let seed = std::env::var("SEED")
            .ok()
            .and_then(|s| s.parse().ok())
            .unwrap_or(clock);
        println!("SEED={seed}");
        Rng::new(seed)
    }

    pub fn u64(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Less than `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.u64() >> 11) % n
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize].clone()
    }

    /// A number whose size varies: small ones and the extremes are frequent.
    pub fn number(&mut self) -> u64 {
        match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            2 => self.below(10),
            3 => self.below(1 << 16),
            4 => self.below(1 << 32),
            _ => self.u64() >> self.below(64),
        }
    }

    pub fn n32(&mut self) -> u32 {
        let n = self.number();
        if n == u64::MAX { u32::MAX } else { n as u32 }
    }

    pub fn n16(&mut self) -> u16 {
        let n = self.number();
        if n == u64::MAX { u16::MAX } else { n as u16 }
    }

    pub fn n8(&mut self) -> u8 {
        self.n16() as u8
    }

    pub fn bytes(&mut self, max: u64) -> Vec<u8> {
        (0..self.below(max + 1)).map(|_| self.u64() as u8).collect()
    }

    pub fn list<T>(&mut self, max: u64, mut item: impl FnMut(&mut Rng) -> T) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| item(self)).collect()
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.u64() as u8)
    }

    /// Printable and zero-terminated.
    pub fn name<const N: usize>(&mut self) -> [u8; N] {
        let length = self.below(N as u64) as usize;
        std::array::from_fn(|i| {
            if i < length {
                b'!' + self.below(94) as u8
            } else {
                0
            }
        })
    }

    pub fn mac(&mut self) -> MacAddr {
        if self.chance(6) {
            MacAddr([0; 6])
        } else {
            MacAddr(self.array())
        }
    }

    pub fn port(&mut self) -> PortNo {
        match self.below(4) {
            0 => PortNo(0xffff_fff7 + self.below(9) as u32),
            1 => PortNo(self.below(12) as u32),
            2 => PortNo(0xffff_ff00 + self.below(0x100) as u32),
            _ => PortNo(self.below(0xff00) as u32),
        }
    }

    fn nanos(&mut self) -> u32 {
        match self.below(3) {
            0 => 0,
            1 => self.below(1000) as u32 * 1_000_000,
            _ => self.below(1_000_000_000) as u32,
        }
    }

    fn seconds(&mut self) -> u32 {
        if self.chance(8) {
            u32::MAX
        } else {
            self.below(1 << 31) as u32
        }
    }
}

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

pub fn action(r: &mut Rng) -> Action {
    match r.below(9) {
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
        _ => Action::set(Field::ETH_DST, MacAddr(r.array())),
    }
}

fn instructions(r: &mut Rng) -> Vec<Instruction> {
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

fn flow_mod(r: &mut Rng) -> FlowMod {
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
fn fitting_any_match(instruction: Instruction) -> Instruction {
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

fn buckets(r: &mut Rng, type_: GroupType) -> Vec<Bucket> {
    let bucket = |r: &mut Rng| Bucket {
        weight: if type_ == GroupType::Select {
            r.below(200) as u16
        } else {
            0
        },
        watch_port: if type_ == GroupType::FastFailover {
            PortNo(r.below(100) as u32 + 1)
        } else {
            PortNo::ANY
        },
        watch_group: GroupId::ANY,
        actions: r.list(3, action),
    };
    if type_ == GroupType::Indirect {
        vec![bucket(r)]
    } else {
        r.list(4, bucket)
    }
}

fn group_type(r: &mut Rng) -> GroupType {
    r.pick(&[
        GroupType::All,
        GroupType::Select,
        GroupType::Indirect,
        GroupType::FastFailover,
    ])
}

fn group_mod(r: &mut Rng) -> GroupMod {
    let type_ = group_type(r);
    let command = r.pick(&[
        GroupCommand::Add,
        GroupCommand::Modify,
        GroupCommand::AddOrMod,
    ]);
    GroupMod {
        command,
        type_,
        id: GroupId(r.below(0xffff_ff00) as u32),
        buckets: buckets(r, type_),
    }
}

fn port_desc(r: &mut Rng) -> PortDesc {
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

fn meter(r: &mut Rng) -> MeterConfig {
    let unit = r.pick(&[MeterFlags::KBPS, MeterFlags::PKTPS]);
    let more = r.below(16) as u16 & !3;
    let flags = MeterFlags(unit | more);
    let band = |r: &mut Rng| MeterBand {
        kind: if r.chance(2) {
            BandKind::Drop
        } else {
            BandKind::DscpRemark { prec_level: r.n8() }
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

fn meter_id(r: &mut Rng) -> MeterId {
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

fn queue_id(r: &mut Rng) -> QueueId {
    QueueId(r.n32())
}

fn role(r: &mut Rng) -> Role {
    r.pick(&[Role::NoChange, Role::Equal, Role::Primary, Role::Secondary])
}

fn async_config(r: &mut Rng) -> AsyncConfig {
    let mut pair = || [r.n32(), r.n32()];
    AsyncConfig {
        packet_in: pair(),
        port_status: pair(),
        flow_removed: pair(),
    }
}

fn oxm(headers: &[u32]) -> Vec<u8> {
    headers.iter().flat_map(|h| h.to_be_bytes()).collect()
}

fn ids(ids: &[u16]) -> Vec<u8> {
    ids.iter()
        .flat_map(|id| [id.to_be_bytes(), [0, 4]].concat())
        .collect()
}

fn table_features(r: &mut Rng, table: u8) -> TableFeatures {
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

fn several_tables(r: &mut Rng) -> Vec<TableFeatures> {
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

fn r_u8(r: &Rng) -> u8 {
    (r.0 % 200) as u8
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
    match r.below(7) {
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

fn packet_in(r: &mut Rng) -> PacketIn {
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

fn packet_in2(r: &mut Rng) -> PacketIn2 {
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

fn continuation(r: &mut Rng) -> Vec<u8> {
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

fn ct_flush(r: &mut Rng) -> CtFlush {
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

fn tlv_maps(r: &mut Rng) -> Vec<TlvMap> {
    r.list(4, |r| TlvMap {
        class: r.n16(),
        type_: r.n8(),
        length: r.below(32) as u8 * 4,
        index: r.below(64) as u16,
    })
}

fn flow_request(r: &mut Rng) -> FlowRequest {
    FlowRequest {
        table: TableId(r.n8()),
        out_port: r.port(),
        out_group: GroupId(r.n32()),
        cookie: r.number(),
        cookie_mask: r.number(),
        match_: match_(r),
    }
}

fn flow_stats(r: &mut Rng) -> FlowStats {
    FlowStats {
        table: TableId(r.n8()),
        duration: std::time::Duration::new(r.below(1 << 32), r.nanos()),
        priority: r.pick(&[0x8000, 1, 0xffff]),
        idle_timeout: r.n16(),
        hard_timeout: r.n16(),
        flags: FlowFlags(r.below(32) as u16),
        cookie: r.number(),
        packet_count: r.number(),
        byte_count: r.number(),
        match_: match_(r),
        instructions: instructions(r),
    }
}

fn ipfix(r: &mut Rng) -> IpfixStats {
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
                instructions: instructions(r),
            }))
        })),
        15 => MultipartReply::IpfixBridge(ipfix(r)),
        _ => MultipartReply::IpfixFlow(r.list(3, ipfix)),
    }
}

/// How many kinds [`message`] tells apart.
pub const KINDS: u64 = 83;

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
        54..=69 => Message::MultipartRequest {
            flags: r.pick(&[0, 0, 1]),
            body: request(r, kind % KINDS - 54),
        },
        _ => Message::MultipartReply {
            flags: r.pick(&[0, 0, 1, 4]),
            body: reply(r, kind),
        },
    }
}
