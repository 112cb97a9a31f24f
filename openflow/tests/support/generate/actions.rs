//! An action of every kind, those within others included.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openflow::action::ct::Zone;
use openflow::action::{
    Bundle, BundleAlgorithm, Controller, Ct, Encap, EncapProperty, HashFields, Learn, LearnSource,
    LearnSpec, LearnTarget, Legacy, Multipath, MultipathAlgorithm, Nat, NatFlags, Sample,
    SampleDirection,
};
use openflow::{Action, Field, GroupId, MacAddr, PortNo, QueueId, Subfield, TableId, Value};

use super::rng::Rng;

/// How many arms [`every_action`] has.
pub const ARMS: u64 = 63;

/// What can be written, with a width that is a multiple of eight.
fn field(r: &mut Rng) -> Field {
    r.pick(&[
        Field::reg(3),
        Field::reg(15),
        Field::xreg(1),
        Field::xxreg(2),
        Field::METADATA,
        Field::ETH_SRC,
        Field::ETH_DST,
        Field::TUN_ID,
        Field::PKT_MARK,
        Field::TUN_IPV6_DST,
    ])
}

fn subfield(r: &mut Rng, field: Field, most: u16) -> Subfield {
    let n_bits = 1 + r.below(u64::from(field.bits().min(most))) as u16;
    let start = r.below(u64::from(field.bits() - n_bits) + 1) as u16;
    Subfield::new(field, start, n_bits)
}

/// All of it now and then.
fn some_of(r: &mut Rng, most: u16) -> Subfield {
    let field = field(r);
    if r.chance(3) && field.bits() <= most {
        field.into()
    } else {
        subfield(r, field, most)
    }
}

fn port16(r: &mut Rng) -> PortNo {
    let port = PortNo(r.below(0xff00) as u32);
    r.pick(&[port, PortNo::IN_PORT, PortNo::LOCAL])
}

fn nat(r: &mut Rng) -> Nat {
    let ports = |r: &mut Rng| {
        let low = 1 + r.below(0xfffe) as u16;
        (low, r.chance(2).then(|| low + r.below(2) as u16))
    };
    let addrs = match r.below(4) {
        0 => return Nat::default(),
        1 => (Ipv6Addr::from(u128::from(r.u64()) + 1).into(), None),
        2 => {
            let low = 1 + r.n32() / 2;
            let high = Ipv4Addr::from(low + 7);
            (Ipv4Addr::from(low).into(), Some(high.into()))
        }
        _ => (Ipv4Addr::from(1 + r.n32() / 2).into(), None),
    };
    let flags = r.pick(&[0, 1, 2, 2, 5, 9, 17, 22]);
    Nat {
        flags: NatFlags(flags),
        addrs: Some(addrs),
        ports: r.chance(2).then(|| ports(r)),
    }
}

fn learn(r: &mut Rng) -> Learn {
    let spec = |r: &mut Rng| {
        let src = some_of(r, 64);
        let n_bits = src.n_bits;
        let dst = |r: &mut Rng| {
            let at = r.below(u64::from(128 - n_bits) + 1) as u16;
            Subfield::new(Field::xxreg(1), at, n_bits)
        };
        let bytes = usize::from(n_bits.div_ceil(8));
        let value = u128::from(r.u64()) & (u128::MAX >> (128 - n_bits));
        let (src, dst) = match r.below(5) {
            0 => (
                LearnSource::Value(Value::new(value, bytes)),
                LearnTarget::Load(dst(r)),
            ),
            1 => (
                LearnSource::Value(Value::new(value, bytes)),
                LearnTarget::Match(dst(r)),
            ),
            2 => (LearnSource::Field(src), LearnTarget::Output),
            3 => (LearnSource::Field(src), LearnTarget::Load(dst(r))),
            _ => (LearnSource::Field(src), LearnTarget::Match(dst(r))),
        };
        LearnSpec { n_bits, src, dst }
    };
    // The shorter headers of four bytes name no field of an experimenter.
    let specs = r.list(3, spec);
    Learn {
        idle_timeout: r.n16(),
        hard_timeout: r.n16(),
        fin_idle_timeout: r.n16(),
        fin_hard_timeout: r.n16(),
        priority: r.n16(),
        cookie: r.number(),
        table: TableId(r.below(255) as u8),
        send_flow_rem: r.chance(2),
        delete_learned: r.chance(2),
        specs,
        ..Learn::default()
    }
}

/// The action of arm `kind % ARMS`; `deep` says how many are around it.
pub fn every_action(r: &mut Rng, kind: u64, deep: u8) -> Action {
    let nested = |r: &mut Rng| {
        let most = if deep < 2 { 3 } else { 0 };
        r.list(most, |r| {
            let kind = r.below(ARMS);
            every_action(r, kind, deep + 1)
        })
    };
    match kind % ARMS {
        0 => Action::output(port16(r)),
        1 => Action::Legacy(Legacy::VlanVid(r.below(0x1000) as u16)),
        2 => Action::Legacy(Legacy::VlanPcp(r.below(8) as u8)),
        3 => Action::Legacy(Legacy::DlSrc(r.mac())),
        4 => Action::Legacy(Legacy::DlDst(r.mac())),
        5 => Action::Legacy(Legacy::NwSrc(r.n32())),
        6 => Action::Legacy(Legacy::NwDst(r.n32())),
        7 => Action::Legacy(Legacy::NwTos(r.n8() & 0xfc)),
        8 => Action::Legacy(Legacy::NwEcn(r.n8() & 3)),
        9 => Action::Legacy(Legacy::TpSrc(r.n16())),
        10 => Action::Legacy(Legacy::TpDst(r.n16())),
        11 => Action::Legacy(Legacy::MplsLabel(r.n32() & 0xf_ffff)),
        12 => Action::Legacy(Legacy::MplsTc(r.n8() & 7)),
        13 => Action::SetMplsTtl(r.n8()),
        14 => Action::DecMplsTtl,
        15 => Action::PushVlan(r.pick(&[0x8100, 0x88a8])),
        16 => Action::PopVlan,
        17 => Action::PushMpls(r.pick(&[0x8847, 0x8848])),
        18 => Action::PopMpls(r.n16()),
        19 => Action::SetQueue(QueueId(r.n32())),
        20 => Action::Group(GroupId(r.n32())),
        21 => Action::SetNwTtl(r.n8()),
        22 => Action::DecTtl,
        23 => match r.below(4) {
            0 => Action::set(Field::ETH_DST, r.mac()),
            1 => Action::set(Field::METADATA, r.number()),
            2 => Action::set(Field::VLAN_VID, 0x1000 | r.n16() & 0xfff),
            _ => Action::set(Field::IPV6_SRC, Ipv6Addr::from(u128::from(r.u64()) << 50)),
        },
        24 => Action::Resubmit {
            port: port16(r),
            table: None,
            ct: false,
        },
        25 => Action::Resubmit {
            port: port16(r),
            table: Some(TableId(r.n8())),
            ct: false,
        },
        26 => Action::Resubmit {
            port: port16(r),
            table: Some(TableId(r.n8())),
            ct: true,
        },
        27 => Action::SetTunnel(r.n32()),
        28 => Action::SetTunnel64(r.number()),
        29 => Action::PopQueue,
        30 | 31 => {
            let (a, b) = (field(r), field(r));
            let n = 1 + r.below(u64::from(a.bits().min(b.bits()))) as u16;
            let at = |r: &mut Rng, f: Field| {
                Subfield::new(f, r.below(u64::from(f.bits() - n) + 1) as u16, n)
            };
            let (src, dst) = (at(r, a), at(r, b));
            if kind % ARMS == 30 {
                Action::Move { src, dst }
            } else {
                Action::CopyField { src, dst }
            }
        }
        32 => {
            let dst = some_of(r, 64);
            Action::Load {
                dst,
                value: r.u64() & (u64::MAX >> (64 - dst.n_bits)),
            }
        }
        33 => {
            let field = field(r);
            let some = u128::from(r.u64() | 1);
            let mask = r.pick(&[u128::MAX, some]);
            let mask = Value::new(mask, 16).resized(field.bytes());
            let value = Value::new(u128::from(r.u64()), 16).resized(field.bytes());
            Action::Load2 {
                field,
                value: value.and(&mask),
                mask,
            }
        }
        34 => Action::Note({
            let whole = 6 + 8 * r.below(3) as usize;
            (0..whole).map(|_| r.n8()).collect()
        }),
        35 => Action::Multipath(Box::new(Multipath {
            fields: r.pick(&[
                HashFields::EthSrc,
                HashFields::NwSrc,
                HashFields::SymmetricL3,
            ]),
            basis: r.n16(),
            algorithm: r.pick(&[MultipathAlgorithm::Hrw, MultipathAlgorithm::IterHash]),
            n_links: 1 + r.below(0x1_0000) as u32,
            arg: r.n32(),
            dst: Subfield::new(Field::reg(1), 3, 17),
        })),
        36 | 37 => Action::Bundle(Box::new(Bundle {
            fields: r.pick(&[HashFields::SymmetricL4, HashFields::NwDst]),
            basis: r.n16(),
            algorithm: r.pick(&[BundleAlgorithm::Hrw, BundleAlgorithm::ActiveBackup]),
            members: r.list(6, |r| PortNo(r.below(0xff00) as u32)),
            dst: (kind % ARMS == 37).then(|| Subfield::new(Field::reg(2), 0, 16)),
        })),
        38 => Action::OutputReg {
            src: subfield(r, Field::reg(4), 32),
            max_len: r.n16(),
        },
        39 => Action::OutputReg2 {
            src: subfield(r, Field::METADATA, 64),
            max_len: r.n16(),
        },
        40 => Action::Learn(Box::new(learn(r))),
        41 => Action::Learn(Box::new(Learn {
            limit: r.n32(),
            result_dst: r.chance(2).then(|| subfield(r, Field::reg(7), 1)),
            long_form: false,
            ..learn(r)
        })),
        42 => Action::Exit,
        43 => Action::DecTtlCntIds({
            // Their number is read first, and zeros fill up.
            let n = 1 + 4 * r.below(3);
            (0..n).map(|_| r.n16()).collect()
        }),
        44 => Action::FinTimeout {
            idle: r.n16(),
            hard: r.n16(),
        },
        45 => Action::Controller(Box::new(Controller {
            max_len: r.n16(),
            id: r.n16(),
            reason: r.below(7) as u8,
            ..Controller::default()
        })),
        46 => Action::Controller(Box::new(Controller {
            max_len: r.n16(),
            id: r.n16(),
            reason: r.below(7) as u8,
            userdata: r.bytes(9),
            pause: true,
            meter_id: r.chance(2).then(|| 1 + r.n32() / 2),
            long_form: false,
        })),
        47 => Action::WriteMetadata {
            metadata: r.number(),
            mask: r.number(),
        },
        48 => Action::Push(some_of(r, 128)),
        49 => Action::Pop(some_of(r, 128)),
        50 => {
            let form = 1 + r.below(3) as u8;
            Action::Sample(Box::new(Sample {
                probability: 1 + r.below(0xffff) as u16,
                collector_set_id: r.n32(),
                obs_domain_id: r.n32(),
                obs_point_id: r.n32(),
                sampling_port: if form == 1 { PortNo::ANY } else { PortNo(3) },
                direction: match form {
                    3 => r.pick(&[SampleDirection::Ingress, SampleDirection::Egress]),
                    _ => SampleDirection::Default,
                },
                form: 1,
            }))
        }
        51 => {
            let n_clauses = 2 + r.below(63) as u8;
            Action::Conjunction {
                id: r.n32(),
                clause: r.below(u64::from(n_clauses)) as u8,
                n_clauses,
            }
        }
        52 => Action::Ct(Box::new(Ct {
            commit: true,
            force: r.chance(2),
            table: r.chance(2).then(|| TableId(r.below(255) as u8)),
            zone: match r.below(2) {
                0 => Zone::Imm(r.n16()),
                _ => Zone::Field(Subfield::new(Field::reg(5), 7, 16)),
            },
            alg: r.pick(&[0, 0, 21, 69, 70]),
            actions: {
                let mut list = r.list(1, |r| Action::Nat(nat(r)));
                if r.chance(2) {
                    list.push(Action::set(Field::CT_MARK, r.n32()));
                }
                if r.chance(8) {
                    list.extend(nested(r));
                }
                list.into()
            },
        })),
        53 => Action::Nat(nat(r)),
        54 => Action::CtClear,
        55 => Action::OutputTrunc {
            port: port16(r),
            max_len: 14 + r.n32() / 2,
        },
        56 => Action::Clone(nested(r)),
        57 => Action::Encap(Box::new(match r.below(3) {
            0 => Encap {
                packet_type: 0,
                hdr_size: 0,
                properties: vec![],
            },
            1 => Encap {
                packet_type: 0x1_8847,
                hdr_size: 0,
                properties: vec![],
            },
            _ => Encap {
                packet_type: 0x1_894f,
                hdr_size: 0,
                properties: r.list(2, |r| match r.below(2) {
                    0 => EncapProperty::NshMdType(1 + r.below(2) as u8),
                    _ => EncapProperty::NshTlv {
                        class: r.n16(),
                        type_: r.n8(),
                        value: r.bytes(9),
                    },
                }),
            },
        })),
        58 => Action::Decap {
            packet_type: r.pick(&[0, 0x1_fffe, 0x1_894f]),
        },
        59 => Action::DecNshTtl,
        60 => Action::CheckPktLarger {
            dst: subfield(r, Field::reg(6), 1),
            pkt_len: r.n16(),
        },
        61 => Action::DeleteField(Field::tun_metadata(r.n8())),
        _ => r.pick(&[Action::DebugSlow, Action::DebugRecirc]),
    }
}
