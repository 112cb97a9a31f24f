//! What it costs to encode and to decode a FLOW_MOD with six match fields and four actions.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, criterion_group, criterion_main};
use openflow::action::{Action, Ct, Nat};
use openflow::wire::{Reader, Writer};
use openflow::{ErrorKind, Field, FlowMod, Instruction, MacAddr, Match, PortNo, TableId};

fn flow(actions: Vec<Action>) -> FlowMod {
    FlowMod {
        cookie: 0x5106_0001_0000_0001,
        table: TableId(36),
        priority: 200,
        match_: Match::new()
            .eq(Field::IN_PORT, 1024u32)
            .eq(Field::ETH_TYPE, 0x0800u16)
            .eq(Field::IPV4_SRC, Ipv4Addr::new(10, 244, 1, 7))
            .masked(
                Field::IPV4_DST,
                Ipv4Addr::new(10, 96, 0, 0),
                Ipv4Addr::new(255, 240, 0, 0),
            )
            .eq(Field::IP_PROTO, 6u8)
            .eq(Field::reg(3), 0x1234u32),
        instructions: vec![Instruction::ApplyActions(actions)],
        ..FlowMod::default()
    }
}

/// A flow that routes: two addresses, a register, a jump.
fn route() -> FlowMod {
    flow(vec![
        Action::set(Field::ETH_SRC, MacAddr([0xaa, 0xaa, 0, 0, 0, 1])),
        Action::set(Field::ETH_DST, MacAddr([0x0a, 0x58, 10, 244, 1, 9])),
        Action::load(Field::reg(0), 1027),
        Action::resubmit(TableId(52)),
    ])
}

/// A flow that translates a Service's address.
fn service() -> FlowMod {
    let nat = Nat::destination(IpAddr::V4(Ipv4Addr::new(10, 244, 2, 17)), Some(8080));
    flow(vec![
        Action::DecTtl,
        Action::load(Field::reg(1), 7),
        Action::Ct(Box::new(Ct {
            commit: true,
            table: Some(TableId(28)),
            actions: vec![Action::Nat(Box::new(nat))],
            ..Ct::default()
        })),
        Action::output(PortNo(3)),
    ])
}

fn bench(c: &mut Criterion) {
    for (name, flow) in [("route", route()), ("ct_nat", service())] {
        let mut bytes = Vec::new();
        flow.encode(&mut Writer::new(&mut bytes))
            .expect("it encodes");
        let decode = |b: &[u8]| FlowMod::decode(Reader::new(b, ErrorKind::BrcBadLen, "bench"));
        assert_eq!(decode(&bytes), Ok(flow.clone()), "it comes back as it was");
        let mut out = Vec::with_capacity(1024);
        c.bench_function(&format!("encode/{name} ({} bytes)", bytes.len()), |b| {
            b.iter(|| {
                out.clear();
                black_box(&flow)
                    .encode(&mut Writer::new(&mut out))
                    .expect("it encodes");
                black_box(&out);
            });
        });
        c.bench_function(&format!("decode/{name} ({} bytes)", bytes.len()), |b| {
            b.iter(|| black_box(decode(black_box(&bytes))));
        });
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
