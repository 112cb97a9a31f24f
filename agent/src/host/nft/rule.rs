//! The masquerading rule of one podCIDR, as nf_tables expressions (`linux/netfilter/nf_tables.h`).

use ipnet::IpNet;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, ExpressionAttribute, Expressions, ListAttribute, Meta, MetaKey,
    Operator, Payload, Register, RuleAttribute,
};
use rtnetlink::packet_core::DefaultNla;

use super::octets;

/// `NFT_PAYLOAD_NETWORK_HEADER`.
const NETWORK_HEADER: u32 = 1;
/// `NFPROTO_IPV4` and `NFPROTO_IPV6`.
const NFPROTO: [u8; 2] = [2, 10];
/// `IFNAMSIZ`: names are compared as whole zero-padded arrays.
const NAME_LEN: usize = 16;
/// The type nft gives a comment among a rule's user data (`NFTNL_UDATA_RULE_COMMENT`).
const COMMENT: u8 = 0;

/// Says in words what the rule does. Two rules with the same comment are the same rule.
pub(super) fn comment(gateway: &str, cidr: IpNet) -> String {
    format!("sluice: pods of {cidr} leave through other devices than {gateway} as this node")
}

/// `iifname GW oifname != GW ip saddr CIDR masquerade comment "…"`.
pub(super) fn attributes(gateway: &str, cidr: IpNet) -> Vec<RuleAttribute> {
    let (nfproto, offset) = match cidr {
        // The source address lies 12 bytes into an IPv4 header, 8 into an IPv6 header.
        IpNet::V4(_) => (NFPROTO[0], 12),
        IpNet::V6(_) => (NFPROTO[1], 8),
    };
    let mut expressions = Vec::new();
    expressions.extend(meta(MetaKey::Nfproto, Operator::Equal, vec![nfproto]));
    expressions.extend(meta(MetaKey::Iifname, Operator::Equal, padded(gateway)));
    expressions.extend(meta(MetaKey::Oifname, Operator::NotEqual, padded(gateway)));
    expressions.extend(source_in(cidr, offset));
    expressions.push(masquerade());
    vec![
        RuleAttribute::Table(super::TABLE.into()),
        RuleAttribute::Chain(super::CHAIN.into()),
        RuleAttribute::Expressions(expressions),
        RuleAttribute::UserData(user_data(&comment(gateway, cidr))),
    ]
}

type Expression = ListAttribute<ExpressionAttribute>;

fn meta(key: MetaKey, operator: Operator, value: Vec<u8>) -> [Expression; 2] {
    let load = Expressions::Meta(vec![
        Meta::Key(key),
        Meta::DestinationRegister(Register::Reg1),
    ]);
    [load.into(), compare(operator, value)]
}

fn compare(operator: Operator, value: Vec<u8>) -> Expression {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value)),
    ])
    .into()
}

fn source_in(cidr: IpNet, offset: u32) -> [Expression; 3] {
    let network = octets(cidr.network());
    let mask = octets(cidr.netmask());
    // Four or sixteen.
    let len = u32::from(cidr.max_prefix_len()) / 8;
    let load = Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(NETWORK_HEADER),
        Payload::Offset(offset),
        Payload::Len(len),
    ]);
    let keep_prefix = Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(len),
        Bitwise::Xor(DataAttribute::Value(vec![0; mask.len()])),
        Bitwise::Mask(DataAttribute::Value(mask)),
    ]);
    [
        load.into(),
        keep_prefix.into(),
        compare(Operator::Equal, network),
    ]
}

/// `masq` takes no argument here: the address is that of the device the packet leaves through.
fn masquerade() -> Expression {
    Expressions::Other {
        expression_type: "masq".into(),
        attributes: Vec::<DefaultNla>::new(),
    }
    .into()
}

fn padded(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(NAME_LEN, 0);
    bytes
}

/// User data is a list of type, length, value, a byte each for the first two; a comment ends with a zero byte.
fn user_data(comment: &str) -> Vec<u8> {
    let mut text = comment.as_bytes().to_vec();
    text.truncate(usize::from(u8::MAX) - 1);
    text.push(0);
    let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [vec![COMMENT, len], text].concat()
}

/// The comment among a rule's user data; empty if there is none.
pub(super) fn comment_of(attributes: &[RuleAttribute]) -> String {
    let data = attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::UserData(bytes) => Some(bytes.as_slice()),
        _ => None,
    });
    let mut rest = data.unwrap_or_default();
    while let [kind, len, tail @ ..] = rest {
        let Some((value, after)) = tail.split_at_checked(usize::from(*len)) else {
            break;
        };
        if *kind == COMMENT {
            return String::from_utf8_lossy(value)
                .trim_end_matches('\0')
                .to_owned();
        }
        rest = after;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_survives_the_kernel() {
        let written = user_data("hello");
        assert_eq!(written, b"\0\x06hello\0");
        assert_eq!(comment_of(&[RuleAttribute::UserData(written)]), "hello");
    }

    #[test]
    fn a_foreign_or_broken_user_data_has_no_comment() {
        assert_eq!(comment_of(&[]), "");
        assert_eq!(comment_of(&[RuleAttribute::UserData(vec![0, 9, b'x'])]), "");
        assert_eq!(
            comment_of(&[RuleAttribute::UserData(vec![7, 1, b'x', 0, 2, b'y', 0])]),
            "y"
        );
    }
}
