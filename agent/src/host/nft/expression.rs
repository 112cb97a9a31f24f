//! nf_tables expressions (`linux/netfilter/nf_tables.h`), as `nft` would write them.
//!
//! What the message crate has no type for is spelt out here, attribute by attribute.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, Immediate, ListAttribute,
    Lookup, Meta, MetaKey, Operator, Payload, Register, Verdict, VerdictAttribute,
};
use rtnetlink::packet_core::DefaultNla;

use crate::host::Family;

/// One expression of a rule.
pub(super) type Expression = ListAttribute<ExpressionAttribute>;

/// `IFNAMSIZ`: names are compared as whole zero-padded arrays.
const NAME_LEN: usize = 16;
/// `NFT_PAYLOAD_NETWORK_HEADER` and `NFT_PAYLOAD_TRANSPORT_HEADER`.
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
/// `NF_DROP`.
const DROP: u32 = 0;

/// `meta nfproto ipv4`: the rule is for one family. (`NFPROTO_IPV4` and `NFPROTO_IPV6`.)
pub(super) fn family(family: Family) -> [Expression; 2] {
    let number = match family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    compared(MetaKey::Nfproto, Operator::Equal, vec![number])
}

/// `iifname NAME`, or `iifname != NAME`.
pub(super) fn came_through(name: &str, yes: bool) -> [Expression; 2] {
    compared(MetaKey::Iifname, operator(yes), padded(name))
}

/// `oifname NAME`, or `oifname != NAME`.
pub(super) fn leaves_through(name: &str, yes: bool) -> [Expression; 2] {
    compared(MetaKey::Oifname, operator(yes), padded(name))
}

/// `meta l4proto NUMBER`.
pub(super) fn protocol(number: u8) -> [Expression; 2] {
    compared(MetaKey::L4Proto, Operator::Equal, vec![number])
}

/// `ip saddr PREFIX`.
pub(super) fn source_in(prefix: IpNet) -> Vec<Expression> {
    let (source, _) = addresses(Family::of(prefix.addr()));
    address_in(prefix, source)
}

/// `ip daddr PREFIX`.
pub(super) fn destination_in(prefix: IpNet) -> Vec<Expression> {
    let (_, destination) = addresses(Family::of(prefix.addr()));
    address_in(prefix, destination)
}

fn address_in(prefix: IpNet, offset: u32) -> Vec<Expression> {
    let (network, mask) = (octets(prefix.network()), octets(prefix.netmask()));
    let len = u32::from(prefix.max_prefix_len()) / 8;
    let load = payload(NETWORK_HEADER, offset, len, Register::Reg1);
    if prefix.prefix_len() == prefix.max_prefix_len() {
        return vec![load, compare(Operator::Equal, network)];
    }
    let keep_prefix = Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(len),
        Bitwise::Xor(DataAttribute::Value(vec![0; mask.len()])),
        Bitwise::Mask(DataAttribute::Value(mask)),
    ]);
    vec![load, keep_prefix.into(), compare(Operator::Equal, network)]
}

/// `dnat to ip daddr . meta l4proto . th dport map @MAP`, which leads to an address and a port.
pub(super) fn redirect_by(family: Family, map: &str) -> Vec<Expression> {
    let mapped_port = match family {
        Family::V4 => Register::Reg32_01,
        Family::V6 => Register::Reg32_04,
    };
    // Registers of four bytes, one after the other from where the first of sixteen begins.
    let (protocol, port) = match family {
        Family::V4 => (Register::Reg32_01, Register::Reg32_02),
        Family::V6 => (Register::Reg32_04, Register::Reg32_05),
    };
    vec![
        load_destination(family),
        load_to(MetaKey::L4Proto, protocol),
        // Ports lie two bytes into TCP, UDP and SCTP.
        payload(TRANSPORT_HEADER, 2, 2, port),
        lookup(map, Register::Reg1),
        dnat(family, mapped_port),
    ]
}

/// `limit rate over RATE/second burst BURST packets`: matches what is too much.
pub(super) fn more_often_than(rate: u64, burst: u32) -> Expression {
    /// `NFT_LIMIT_PKTS` and `NFT_LIMIT_F_INV`.
    const PACKETS: u32 = 0;
    const OVER: u32 = 1;
    const SECOND: u64 = 1;
    other(
        "limit",
        vec![
            DefaultNla::new(1, rate.to_be_bytes().to_vec()),
            DefaultNla::new(2, SECOND.to_be_bytes().to_vec()),
            number(3, burst),
            number(4, PACKETS),
            number(5, OVER),
        ],
    )
}

/// `masquerade`, without arguments: the address becomes that of the device the packet leaves through.
pub(super) fn masquerade() -> Expression {
    other("masq", Vec::new())
}

/// To the address in the first register, and to the port in another one.
fn dnat(family: Family, port: Register) -> Expression {
    /// `NFT_NAT_DNAT`.
    const DESTINATION: u32 = 1;
    let family = match family {
        Family::V4 => 2,
        Family::V6 => 10,
    };
    let attributes = vec![
        number(1, DESTINATION),
        number(2, family),
        number(3, Register::Reg1.into()),
        number(5, port.into()),
    ];
    other("nat", attributes)
}

/// `reject with tcp reset`.
pub(super) fn reset() -> Expression {
    /// `NFT_REJECT_TCP_RST`.
    const TCP_RESET: u32 = 1;
    reject(TCP_RESET, 0)
}

/// `reject with icmpx port-unreachable`.
pub(super) fn unreachable() -> Expression {
    /// `NFT_REJECT_ICMPX_UNREACH` and `NFT_REJECT_ICMPX_PORT_UNREACH`.
    const ICMPX: u32 = 2;
    const PORT: u8 = 1;
    reject(ICMPX, PORT)
}

/// `drop`.
pub(super) fn drop() -> Expression {
    verdict(vec![VerdictAttribute::Code(Verdict::Other(DROP))])
}

/// `goto CHAIN`.
pub(super) fn go_to(chain: &str) -> Expression {
    verdict(vec![
        VerdictAttribute::Code(Verdict::Goto),
        VerdictAttribute::Chain(chain.into()),
    ])
}

fn operator(yes: bool) -> Operator {
    if yes {
        Operator::Equal
    } else {
        Operator::NotEqual
    }
}

fn load(key: MetaKey) -> Expression {
    load_to(key, Register::Reg1)
}

fn load_to(key: MetaKey, register: Register) -> Expression {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(register)]).into()
}

fn compare(operator: Operator, value: Vec<u8>) -> Expression {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value)),
    ])
    .into()
}

fn compared(key: MetaKey, operator: Operator, value: Vec<u8>) -> [Expression; 2] {
    [load(key), compare(operator, value)]
}

/// Where source and destination address lie in the header of a family.
fn addresses(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (12, 16),
        Family::V6 => (8, 24),
    }
}

fn load_destination(family: Family) -> Expression {
    let (_, offset) = addresses(family);
    payload(NETWORK_HEADER, offset, family.len(), Register::Reg1)
}

fn payload(base: u32, offset: u32, len: u32, register: Register) -> Expression {
    Expressions::Payload(vec![
        Payload::DestinationRegister(register),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(len),
    ])
    .into()
}

fn lookup(map: &str, into: Register) -> Expression {
    Expressions::Lookup(vec![
        Lookup::Set(map.into()),
        Lookup::SourceRegister(Register::Reg1),
        Lookup::DestinationRegister(into),
    ])
    .into()
}

fn reject(kind: u32, code: u8) -> Expression {
    other(
        "reject",
        vec![number(1, kind), DefaultNla::new(2, vec![code])],
    )
}

fn verdict(attributes: Vec<VerdictAttribute>) -> Expression {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(attributes)),
    ])
    .into()
}

fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

fn other(name: &str, attributes: Vec<DefaultNla>) -> Expression {
    Expressions::Other {
        expression_type: name.into(),
        attributes,
    }
    .into()
}

fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME_LEN, 0);
    bytes
}

/// An address's bytes in network order.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
