//! The two flows that are measured, each with six match fields and four actions.

use std::net::{IpAddr, Ipv4Addr};

use openflow::action::{Action, Ct, Nat};
use openflow::wire::{Reader, Writer};
use openflow::{
    DecodeError, ErrorKind, Field, FlowMod, Instruction, MacAddr, Match, PortNo, TableId,
};

/// Both, by name.
pub(crate) fn flows() -> [(&'static str, FlowMod); 2] {
    [("route", route()), ("ct_nat", service())]
}

pub(crate) fn encode(flow: &FlowMod, out: &mut Vec<u8>) {
    out.clear();
    flow.encode(&mut Writer::new(out)).expect("it encodes");
}

pub(crate) fn decode(bytes: &[u8]) -> Result<FlowMod, DecodeError> {
    FlowMod::decode(Reader::new(bytes, ErrorKind::BrcBadLen, "bench"))
}

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
        instructions: [Instruction::ApplyActions(actions)].into(),
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
            actions: [Action::Nat(nat)].into(),
            ..Ct::default()
        })),
        Action::output(PortNo(3)),
    ])
}
