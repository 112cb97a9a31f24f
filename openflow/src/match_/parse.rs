//! Reading the text of a match, in the syntax of ovs-fields(7).

use std::str::FromStr;

use super::{Facts, Match, is_value_valid};
use crate::error::{ParseError, parse_error};
use crate::field::{Field, Format, Prerequisite};
use crate::text::scan::{self, KeyValues};
use crate::text::{CT_STATE, TCP_FLAGS, TUN_FLAGS};
use crate::types::PortNo;
use crate::value::Value;

/// How many bytes of tunnel options a switch holds for a flow.
const MAX_TUNNEL_METADATA: usize = 256;

/// Shorthands for an Ethernet type and a protocol of IP.
const PROTOCOLS: [(&str, u16, u8); 17] = [
    ("ip", 0x0800, 0),
    ("ipv4", 0x0800, 0),
    ("ip4", 0x0800, 0),
    ("arp", 0x0806, 0),
    ("icmp", 0x0800, 1),
    ("tcp", 0x0800, 6),
    ("udp", 0x0800, 17),
    ("sctp", 0x0800, 132),
    ("ipv6", 0x86dd, 0),
    ("ip6", 0x86dd, 0),
    ("icmp6", 0x86dd, 58),
    ("tcp6", 0x86dd, 6),
    ("udp6", 0x86dd, 17),
    ("sctp6", 0x86dd, 132),
    ("rarp", 0x8035, 0),
    ("mpls", 0x8847, 0),
    ("mplsm", 0x8848, 0),
];

impl FromStr for Match {
    type Err = ParseError;

    /// Reads what `ovs-ofctl` reads before `actions=`, without priority and the like.
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let mut builder = MatchBuilder::default();
        for (name, value) in KeyValues(s) {
            if !builder.add(name, value)? {
                return Err(parse_error!("unknown keyword {name}"));
            }
        }
        Ok(builder.finish())
    }
}

/// A match as it is being read. Fields that share their place in a packet, such as `tcp_src` and
/// `udp_src`, share it here too: which one is meant is known at the end, as in Open vSwitch.
#[derive(Clone, Debug, Default)]
pub(crate) struct MatchBuilder {
    m: Match,
    /// The tag control information and its mask, all 16 bits of it.
    tci: (u64, u64),
    /// Whether the packet must be an Ethernet one.
    ethernet: bool,
}

/// Whether Open vSwitch takes as many bits of a number as `field` has, where of others it takes all.
fn keeps_low_bits(field: Field) -> bool {
    matches!(
        field,
        Field::IP_DSCP
            | Field::IP_ECN
            | Field::MPLS_LABEL
            | Field::MPLS_TC
            | Field::MPLS_BOS
            | Field::NSH_SPI
    )
}

impl MatchBuilder {
    /// Reads `name=value` if `name` is a field or a shorthand; false if it is not.
    pub(crate) fn add(&mut self, name: &str, value: &str) -> Result<bool, ParseError> {
        if let Some((_, eth_type, proto)) = PROTOCOLS.iter().find(|(n, _, _)| *n == name) {
            self.m
                .insert(Field::ETH_TYPE, (*eth_type).into(), Value::ones(2));
            if *proto != 0 {
                self.m
                    .insert(Field::IP_PROTO, (*proto).into(), Value::ones(1));
            }
            self.ethernet |= self.packet_type().is_none();
        } else if name == "eth" {
            self.m.remove(Field::PACKET_TYPE);
            self.ethernet = true;
        } else if let Some(field) = Field::by_name(name) {
            let value = if value.is_empty() { "0/0" } else { value };
            let (value, mask) = parse_value(field, value)?;
            self.set(field, value, mask)?;
        } else if name.contains('[') {
            self.add_bits(name, value)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// `field[start..end]=value`: adds to what is known of the field.
    fn add_bits(&mut self, name: &str, text: &str) -> Result<(), ParseError> {
        let sub = scan::subfield(name)?;
        let field = sub.field;
        let (v, rest) = scan::int_string(text, field.bytes())?;
        if !rest.is_empty() {
            return Err(parse_error!("{name}: cannot parse integer value: {text}"));
        }
        let (start, n) = (u32::from(sub.start_bit), u32::from(sub.n_bits));
        let width = u32::try_from(field.bytes() * 8).unwrap_or(u32::MAX);
        if v.scan(true, n, width) != width {
            return Err(parse_error!(
                "{name}: value {text} does not fit into {n} bits"
            ));
        }
        let (mut value, mut mask) = self.current(field);
        for i in 0..n {
            value = value.with_bits(start + i, 1, v.bits(i, 1));
            mask = mask.with_bits(start + i, 1, 1);
        }
        if !field.is_maskable() && !mask.is_ones() {
            return Err(parse_error!(
                "{name}: field {field} cannot be matched in part"
            ));
        }
        self.set(field, value, mask)
    }

    fn packet_type(&self) -> Option<u32> {
        self.m.get(Field::PACKET_TYPE).map(|(v, _)| v.to_u32())
    }

    /// What is known of `field`, whichever way it was said.
    fn current(&self, field: Field) -> (Value, Value) {
        let len = field.bytes();
        let parts = |first: u8, n: u8| {
            let mut out = (0u128, 0u128);
            for i in first..first + n {
                let (v, m) = self
                    .m
                    .get(Field::reg(i))
                    .map_or((0, 0), |(v, m)| (v.to_u128(), m.to_u128()));
                out = (out.0 << 32 | v, out.1 << 32 | m);
            }
            (Value::new(out.0, len), Value::new(out.1, len))
        };
        if let Some(i) = field.offset_in(Field::XREG0, Field::XREG7) {
            return parts(i * 2, 2);
        }
        if let Some(i) = field.offset_in(Field::XXREG0, Field::XXREG3) {
            return parts(i * 4, 4);
        }
        if field == Field::VLAN_TCI {
            let (v, m) = self.tci;
            return (Value::new(v.into(), len), Value::new(m.into(), len));
        }
        let (tci, tci_mask) = self.tci;
        let of_tci = |v: u64, m: u64| (Value::new(v.into(), len), Value::new(m.into(), len));
        match field {
            Field::VLAN_VID => return of_tci(tci & 0x1fff, tci_mask & 0x1fff),
            Field::DL_VLAN => return of_tci(tci & 0xfff, tci_mask & 0xfff),
            Field::VLAN_PCP | Field::DL_VLAN_PCP => return of_tci(tci >> 13, tci_mask >> 13),
            Field::IN_PORT_NXM => {
                let port = self.m.get(Field::IN_PORT).map(|(v, _)| PortNo(v.to_u32()));
                return match port.and_then(PortNo::to_u16) {
                    Some(port) => (port.into(), Value::ones(len)),
                    None => (Value::zeros(len), Value::zeros(len)),
                };
            }
            Field::NW_TOS => {
                return match self.m.get(Field::IP_DSCP) {
                    Some((v, _)) => of_tci(v.to_u64() << 2, 0xfc),
                    None => of_tci(0, 0),
                };
            }
            _ => {}
        }
        match self.m.get(slot(field)) {
            Some((v, m)) => (v.resized(len), m.resized(len)),
            None => (Value::zeros(len), Value::zeros(len)),
        }
    }

    fn set(&mut self, field: Field, value: Value, mask: Value) -> Result<(), ParseError> {
        let to = slot(field);
        if field.is_variable() && self.m.get(field).is_some() {
            return Err(parse_error!("field {field} set multiple times"));
        }
        if field == Field::PACKET_TYPE {
            self.ethernet = value.is_zero() && !mask.is_zero();
            self.m.remove(Field::PACKET_TYPE);
            if !value.is_zero() {
                self.m.insert(field, value, mask);
            }
            return Ok(());
        }
        if field.prerequisite() != Prerequisite::Nothing && self.packet_type().is_none() {
            self.ethernet = true;
        }
        // A number that is no port is taken for none.
        let is_port = matches!(field, Field::IN_PORT | Field::ACTSET_OUTPUT);
        let value = if is_port && !is_value_valid(field, &value) {
            PortNo::ANY.into()
        } else {
            value
        };
        let value = if keeps_low_bits(field) {
            value.and(&Value::zeros(value.len()).with_bits(0, field.bits().into(), u128::MAX))
        } else {
            value
        };
        if self.set_tci(field, &value, &mask) {
            return Ok(());
        }
        if !to.has_header() {
            if mask.is_zero() {
                return Ok(());
            }
            return Err(parse_error!("field {field} has no form in OpenFlow 1.3"));
        }
        let len = to.bytes();
        let full = mask.is_ones();
        let mask = if full {
            Value::ones(len)
        } else {
            mask.resized(len)
        };
        self.m.insert(to, value.resized(len), mask);
        let used = self.tunnel_metadata_len();
        if field.is_variable() && used > MAX_TUNNEL_METADATA {
            return Err(parse_error!(
                "field {field} exceeds maximum size for tunnel metadata (used {used}, max {MAX_TUNNEL_METADATA})"
            ));
        }
        Ok(())
    }

    /// How many bytes the options take, each a multiple of four.
    fn tunnel_metadata_len(&self) -> usize {
        let options = self.m.iter().filter(|(field, ..)| field.is_variable());
        options
            .map(|(_, value, _)| value.len().next_multiple_of(4))
            .sum()
    }

    /// Sets a part of the tag control information, if `field` is one.
    fn set_tci(&mut self, field: Field, value: &Value, mask: &Value) -> bool {
        const VID: u64 = 0x0fff;
        const CFI: u64 = 0x1000;
        const PCP: u64 = 0xe000;
        let (v, m) = (value.to_u64(), mask.to_u64());
        let (old, old_mask) = self.tci;
        let keep = |others: u64, bits: u64| match old_mask & others {
            0 => (0, 0),
            _ => (old & !bits, old_mask & !bits),
        };
        self.tci = match field {
            Field::VLAN_TCI => (v & m, m),
            Field::VLAN_VID | Field::DL_VLAN if m == 0 => keep(PCP, VID),
            Field::VLAN_PCP | Field::DL_VLAN_PCP if m == 0 => keep(VID, PCP),
            Field::VLAN_VID => {
                let m = m & (VID | CFI);
                (old & PCP | v & m, old_mask & PCP | m)
            }
            Field::DL_VLAN if v == 0xffff => (0, 0xffff),
            Field::DL_VLAN => (old & PCP | v & VID | CFI, old_mask | VID | CFI),
            Field::VLAN_PCP | Field::DL_VLAN_PCP => {
                (old & !PCP | (v & 7) << 13 | CFI, old_mask | PCP | CFI)
            }
            _ => return false,
        };
        true
    }

    /// Makes the Ethernet type, if one is matched, that of the packet type, if that is one: it wins, whatever came last.
    pub(crate) fn agree_on_eth_type(&mut self) {
        let ones = |(_, mask): &(Value, Value)| mask.is_ones();
        if let Some((packet_type, _)) = self.m.get(Field::PACKET_TYPE).filter(ones)
            && packet_type.bits(16, 16) == 1
            && self.m.get(Field::ETH_TYPE).is_some()
        {
            let eth_type = packet_type.resized(2);
            self.m.insert(Field::ETH_TYPE, eth_type, Value::ones(2));
        }
    }

    /// What Open vSwitch knows of the packet when it checks actions.
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::of(&self.m);
        facts.vlans = [self.tci.0 & 0x1000 != 0, false];
        // The slot of transport ports holds the type and the code of ICMP too.
        if let Some((v, m)) = self.m.get(Field::TCP_SRC) {
            facts.add(Field::ICMPV4_TYPE, &v, &m);
        }
        if let Some((v, m)) = self.m.get(Field::TCP_DST) {
            facts.add(Field::ICMPV4_CODE, &v, &m);
        }
        facts
    }

    /// The match in canonical form: every slot becomes the field that the packet has there, and
    /// what it does not have goes.
    pub(crate) fn finish(self) -> Match {
        let facts = self.facts();
        let eth_type = facts.eth_type();
        // Without a protocol, Open vSwitch leaves the ports of the tuple out too.
        let ct_proto = self
            .m
            .get(Field::CT_NW_PROTO)
            .is_some_and(|(v, _)| !v.is_zero());
        let mut out = Match::new();
        for (field, value, mask) in self.m.iter() {
            if let Some(to) = places(field, eth_type, &facts, ct_proto) {
                let len = to.bytes();
                let (value, mask) = if field.is_variable() {
                    (value.clone(), mask.clone())
                } else if to.is_maskable() && !mask.is_ones() {
                    (value.resized(len), mask.resized(len))
                } else {
                    (value.resized(len), Value::ones(len))
                };
                // What was set is canonical already, and some of it would not be a second time.
                if to == field {
                    out.put(to, value, mask);
                } else {
                    out.insert(to, value, mask);
                }
            }
        }
        let (v, m) = self.tci;
        out.set_tci(v, m);
        let implied = out
            .iter()
            .any(|(f, _, _)| f.prerequisite() != Prerequisite::Nothing);
        if self.ethernet && !implied {
            out.insert(Field::PACKET_TYPE, Value::zeros(4), Value::ones(4));
        }
        out
    }
}

/// The field in whose place Open vSwitch keeps `field`.
pub(super) fn slot(field: Field) -> Field {
    match field {
        Field::UDP_SRC | Field::SCTP_SRC | Field::ICMPV4_TYPE | Field::ICMPV6_TYPE => {
            Field::TCP_SRC
        }
        Field::UDP_DST | Field::SCTP_DST | Field::ICMPV4_CODE | Field::ICMPV6_CODE => {
            Field::TCP_DST
        }
        Field::ARP_SPA => Field::IPV4_SRC,
        Field::ARP_TPA => Field::IPV4_DST,
        Field::ARP_OP => Field::IP_PROTO,
        Field::ND_SLL => Field::ARP_SHA,
        Field::ND_TLL => Field::ARP_THA,
        Field::ND_OPTIONS_TYPE => Field::TCP_FLAGS,
        other => other,
    }
}

/// The field that a packet of `eth_type` has in the place of `field`, if any.
pub(super) fn places(
    field: Field,
    eth_type: Option<u16>,
    facts: &Facts,
    ct_proto: bool,
) -> Option<Field> {
    use Field as F;
    let ip = facts.is_ip();
    let v4 = eth_type == Some(0x0800);
    let arp = matches!(eth_type, Some(0x0806 | 0x8035));
    let icmp6 = facts.has(Prerequisite::Icmp6);
    let when = |yes: bool, f: Field| yes.then_some(f);
    match field {
        F::MPLS_TC | F::MPLS_BOS | F::MPLS_TTL | F::MPLS_LABEL => {
            when(facts.has(Prerequisite::Mpls), field)
        }
        F::IPV4_SRC => when(v4, field).or(when(arp, F::ARP_SPA)),
        F::IPV4_DST => when(v4, field).or(when(arp, F::ARP_TPA)),
        F::IPV6_SRC | F::IPV6_DST => when(ip && !v4, field),
        F::NW_FRAG | F::IP_DSCP | F::IP_ECN | F::NW_TTL | F::IPV6_LABEL => when(ip, field),
        F::IP_PROTO => when(ip, field).or(when(arp, F::ARP_OP)),
        F::TCP_SRC | F::TCP_DST => {
            let [tcp, udp, sctp, icmp, icmpv6] = if field == F::TCP_SRC {
                [
                    F::TCP_SRC,
                    F::UDP_SRC,
                    F::SCTP_SRC,
                    F::ICMPV4_TYPE,
                    F::ICMPV6_TYPE,
                ]
            } else {
                [
                    F::TCP_DST,
                    F::UDP_DST,
                    F::SCTP_DST,
                    F::ICMPV4_CODE,
                    F::ICMPV6_CODE,
                ]
            };
            match facts.nw_proto {
                6 => when(ip, tcp),
                17 => when(ip, udp),
                132 => when(ip, sctp),
                1 => when(v4, icmp),
                58 => when(icmp6, icmpv6),
                _ => None,
            }
        }
        F::TCP_FLAGS => when(ip && facts.nw_proto == 6, field)
            .or(when(facts.has(Prerequisite::Nd), F::ND_OPTIONS_TYPE)),
        F::ND_TARGET | F::ND_RESERVED => when(facts.has(Prerequisite::Nd), field),
        F::ARP_SHA => when(arp, field).or(when(facts.has(Prerequisite::NdSolicit), F::ND_SLL)),
        F::ARP_THA => when(arp, field).or(when(facts.has(Prerequisite::NdAdvert), F::ND_TLL)),
        // Kept inside, but without a header in OpenFlow 1.3.
        F::TUN_TTL | F::TUN_TOS | F::SKB_PRIORITY => None,
        F::CT_NW_PROTO | F::CT_TP_SRC | F::CT_TP_DST => when(ct_proto, field),
        _ => Some(field),
    }
}

/// Reads a value of `field` and its mask, in the format of the field.
pub(crate) fn parse_value(field: Field, s: &str) -> Result<(Value, Value), ParseError> {
    let len = field.bytes();
    let ones = Value::ones(len);
    if s == "*" {
        return Ok((Value::zeros(len), Value::zeros(len)));
    }
    let narrow =
        |(bits, mask): (u32, u32)| (Value::new(bits.into(), len), Value::new(mask.into(), len));
    let (value, mask) = match field.format() {
        Format::Dec | Format::Hex => {
            let bad = |what| parse_error!("{s}: bad syntax for {field} {what}");
            let (value, rest) = scan::int_string(s, len)?;
            match rest.strip_prefix('/') {
                None if rest.is_empty() => (value, ones),
                None => return Err(bad("value")),
                Some(mask) => match scan::int_string(mask, len)? {
                    (mask, "") => (value, mask),
                    _ => return Err(bad("mask")),
                },
            }
        }
        Format::Mac => match s.split_once('/') {
            Some((value, mask)) => (scan::mac(value)?.into(), scan::mac(mask)?.into()),
            None => (scan::mac(s)?.into(), ones),
        },
        Format::Ipv4 => scan::ipv4_masked(s)?,
        Format::Ipv6 => scan::ipv6_masked(s)?,
        Format::Port | Format::Port16 => {
            let bad = || parse_error!("{s}: invalid or unknown port for {field}");
            let port = scan::port(s).ok_or_else(bad)?;
            (Value::new(port.0.into(), len), ones)
        }
        Format::Frag => {
            let (mask, value) = match s.to_ascii_lowercase().as_str() {
                "no" => (3, 0),
                "first" => (3, 1),
                "later" => (3, 3),
                "yes" => (1, 1),
                "not_later" => (2, 0),
                _ => {
                    return Err(parse_error!(
                        "{s}: unknown fragment type (valid types are \"no\", \"yes\", \"first\", \
                         \"later\", \"not_later\""
                    ));
                }
            };
            (Value::from_u64(value, 1), Value::from_u64(mask | 0xfc, 1))
        }
        Format::CtState => narrow(scan::flags(s, "ct_state", CT_STATE, 0xff)?),
        Format::TcpFlags => narrow(scan::flags(s, "TCP", TCP_FLAGS, 0xfff)?),
        Format::TunFlags => narrow(scan::flags(s, "tunnel", TUN_FLAGS, 0x1)?),
        Format::PacketType => {
            let bad = || parse_error!("{s}: bad syntax for packet type");
            let inner = s.strip_prefix('(').ok_or_else(bad)?;
            let (ns, rest) = scan::int_string(inner, 2)?;
            let (ty, rest) = scan::int_string(rest.strip_prefix(',').ok_or_else(bad)?, 2)?;
            if !rest.starts_with(')') {
                return Err(bad());
            }
            (Value::from_u64(ns.to_u64() << 16 | ty.to_u64(), 4), ones)
        }
    };
    if !field.is_maskable() && !mask.is_ones() && !mask.is_zero() {
        return Err(parse_error!("{s}: invalid mask for field {field}"));
    }
    Ok((value, mask))
}
