//! A packet as a switch sees it: its fields, its metadata and the pipeline's registers, and what OpenFlow cannot
//! name but connection tracking looks at. It knows nothing of flows, and nothing of connections.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use openflow::field::{Format, Prerequisite};
use openflow::{Field, Match, PortNo, Subfield, Value};

use super::conntrack::Tuple;

/// The flags of TCP, as [`Field::TCP_FLAGS`] has them.
pub mod tcp {
    /// No more data.
    pub const FIN: u16 = 0x01;
    /// The first packet of a direction.
    pub const SYN: u16 = 0x02;
    /// The end, at once.
    pub const RST: u16 = 0x04;
    /// Do not wait for more.
    pub const PSH: u16 = 0x08;
    /// Every packet but the first.
    pub const ACK: u16 = 0x10;
    /// Urgent data.
    pub const URG: u16 = 0x20;
}

pub(super) const ETH_IPV4: u16 = 0x0800;
pub(super) const ETH_IPV6: u16 = 0x86dd;
const ETH_ARP: u16 = 0x0806;
const ETH_RARP: u16 = 0x8035;
const ETH_MPLS: [u16; 2] = [0x8847, 0x8848];
const ETH_NSH: u16 = 0x894f;
const VLAN_PRESENT: u16 = 0x1000;

pub(super) const ICMP: u8 = 1;
pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMPV6: u8 = 58;
pub(super) const SCTP: u8 = 132;

/// Bits of [`Field::NW_FRAG`].
const FRAGMENT: u8 = 1;
const LATER_FRAGMENT: u8 = 2;

/// A field and its value in words, as the switch names and prints them.
pub fn field_text(field: Field, value: &Value) -> String {
    let text = match field.format() {
        Format::Mac => value.to_mac().to_string(),
        Format::Ipv4 => value.to_ipv4().to_string(),
        Format::Ipv6 => value.to_ipv6().to_string(),
        Format::Port => PortNo(value.to_u32()).to_string(),
        Format::Dec => value.to_u128().to_string(),
        _ => format!("{:#x}", value.to_u128()),
    };
    match field {
        Field::IN_PORT => format!("in_port={text}"),
        Field::NW_FRAG => format!("nw_frag={}", fragment_text(value.to_u8())),
        field => format!("{}={text}", field.name()),
    }
}

fn fragment_text(fragment: u8) -> &'static str {
    match fragment {
        0 => "no",
        FRAGMENT => "first",
        _ => "later",
    }
}

/// The fields of a packet. A field that was never set is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packet {
    fields: BTreeMap<Field, Value>,
    icmp_id: u16,
    inner: Option<Tuple>,
}

impl Packet {
    /// A packet that comes in by a port.
    pub fn new(in_port: PortNo) -> Self {
        Self::default().with(Field::IN_PORT, in_port)
    }

    /// The same packet with a field set.
    pub fn with(mut self, field: Field, value: impl Into<Value>) -> Self {
        self.set(field, value);
        self
    }

    /// The same packet with the identifier of an ICMP echo, by which its connection is known.
    pub fn with_icmp_id(mut self, id: u16) -> Self {
        self.icmp_id = id;
        self
    }

    /// The same packet with what it is about: for an ICMP error, the packet that it quotes; for a later fragment,
    /// the ports of the datagram that it belongs to.
    pub fn with_inner(mut self, inner: Tuple) -> Self {
        self.inner = Some(inner);
        self
    }

    /// The identifier of an ICMP echo.
    pub fn icmp_id(&self) -> u16 {
        self.icmp_id
    }

    /// See [`Packet::with_inner`].
    pub fn inner(&self) -> Option<&Tuple> {
        self.inner.as_ref()
    }

    pub(super) fn set_inner(&mut self, inner: Tuple) {
        self.inner = Some(inner);
    }

    /// Sets a field.
    pub fn set(&mut self, field: Field, value: impl Into<Value>) {
        let value = value.into();
        match whole(field) {
            Whole::Itself => {
                let value = value.resized(field.bytes());
                self.fields.insert(field, value);
            }
            Whole::Registers(first, n) => {
                for i in 0..n {
                    let part = value.to_u128() >> (32 * (n - 1 - i));
                    self.set(Field::reg(first + i), Value::new(part & 0xffff_ffff, 4));
                }
            }
            Whole::Port => self.set(Field::IN_PORT, PortNo::from_u16(value.to_u16())),
            Whole::Dscp => self.set(Field::IP_DSCP, value.to_u8() >> 2),
        }
    }

    /// Sets the bits of a field that are one in the mask.
    pub(super) fn set_masked(&mut self, field: Field, value: &Value, mask: &Value) {
        let kept = self.get(field).to_u128() & !mask.to_u128();
        let bits = kept | (value.to_u128() & mask.to_u128());
        self.set(field, Value::new(bits, field.bytes()));
    }

    /// A field.
    pub fn get(&self, field: Field) -> Value {
        match whole(field) {
            Whole::Itself => self.fields.get(&field).cloned(),
            Whole::Registers(first, n) => {
                let registers = (first..first + n).map(|i| self.get(Field::reg(i)).to_u128());
                Some(Value::new(
                    registers.fold(0, |all, register| all << 32 | register),
                    field.bytes(),
                ))
            }
            Whole::Port => {
                let port = PortNo(self.get(Field::IN_PORT).to_u32());
                Some(port.to_u16().unwrap_or(u16::MAX).into())
            }
            Whole::Dscp => Some(Value::new(self.get(Field::IP_DSCP).to_u128() << 2, 1)),
        }
        .unwrap_or_else(|| Value::zeros(field.bytes()))
    }

    /// Some bits of a field, as a number.
    pub(super) fn bits(&self, sub: Subfield) -> u128 {
        self.get(sub.field)
            .bits(sub.start_bit.into(), sub.n_bits.into())
    }

    /// Sets some bits of a field.
    pub(super) fn set_bits(&mut self, sub: Subfield, bits: u128) {
        let value = self
            .get(sub.field)
            .with_bits(sub.start_bit.into(), sub.n_bits.into(), bits);
        self.set(sub.field, value);
    }

    /// Takes a field away: it is as if never set.
    pub(super) fn clear(&mut self, field: Field) {
        self.fields.remove(&field);
    }

    /// Whether a flow with this match is about it.
    pub fn matches(&self, match_: &Match) -> bool {
        match_
            .iter()
            .all(|(field, value, mask)| self.get(field).and(&mask) == value)
    }

    /// The packet as flows see it where the bridge hides the ports of fragments.
    pub(super) fn without_ports(mut self) -> Self {
        const HIDDEN: [Field; 10] = [
            Field::TCP_SRC,
            Field::TCP_DST,
            Field::UDP_SRC,
            Field::UDP_DST,
            Field::SCTP_SRC,
            Field::SCTP_DST,
            Field::ICMPV4_TYPE,
            Field::ICMPV4_CODE,
            Field::ICMPV6_TYPE,
            Field::ICMPV6_CODE,
        ];
        if self.fragment() & FRAGMENT != 0 {
            HIDDEN.into_iter().for_each(|f| self.clear(f));
        }
        self
    }

    /// The fields that are not what they were.
    pub(super) fn changes_since(&self, before: &Packet) -> Vec<(Field, Value)> {
        let fields = before.fields.keys().chain(self.fields.keys());
        let mut fields: Vec<Field> = fields.copied().collect();
        fields.sort_unstable();
        fields.dedup();
        let now = |field: Field| (field, self.get(field));
        let changed = |(field, value): &(Field, Value)| before.get(*field) != *value;
        fields.into_iter().map(now).filter(changed).collect()
    }

    /// The fields that were set, in order.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &Value)> {
        self.fields.iter().map(|(field, value)| (*field, value))
    }

    pub(super) fn eth_type(&self) -> u16 {
        self.get(Field::ETH_TYPE).to_u16()
    }

    pub(super) fn is_ip(&self) -> bool {
        matches!(self.eth_type(), ETH_IPV4 | ETH_IPV6)
    }

    pub(super) fn protocol(&self) -> u8 {
        self.get(Field::IP_PROTO).to_u8()
    }

    pub(super) fn fragment(&self) -> u8 {
        self.get(Field::NW_FRAG).to_u8() & 3
    }

    pub(super) fn is_later_fragment(&self) -> bool {
        self.fragment() & LATER_FRAGMENT != 0
    }

    /// Where it is from and to, if it is IP.
    pub(super) fn addresses(&self) -> Option<(IpAddr, IpAddr)> {
        match self.eth_type() {
            ETH_IPV4 => Some((
                self.get(Field::IPV4_SRC).to_ipv4().into(),
                self.get(Field::IPV4_DST).to_ipv4().into(),
            )),
            ETH_IPV6 => Some((
                self.get(Field::IPV6_SRC).to_ipv6().into(),
                self.get(Field::IPV6_DST).to_ipv6().into(),
            )),
            _ => None,
        }
    }

    /// The fields that hold its ports, if its protocol has ports.
    pub(super) fn port_fields(&self) -> Option<(Field, Field)> {
        match self.protocol() {
            TCP => Some((Field::TCP_SRC, Field::TCP_DST)),
            UDP => Some((Field::UDP_SRC, Field::UDP_DST)),
            SCTP => Some((Field::SCTP_SRC, Field::SCTP_DST)),
            _ => None,
        }
    }

    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        let (source, destination) = self.port_fields()?;
        Some((self.get(source).to_u16(), self.get(destination).to_u16()))
    }

    /// Whether it has what a field is part of. Where it has not, actions on that field do nothing.
    pub(super) fn has(&self, prerequisite: Prerequisite) -> bool {
        use Prerequisite as P;
        let transport = |proto| self.is_ip() && self.protocol() == proto;
        let whole = |proto| transport(proto) && !self.is_later_fragment();
        let icmp6 = || self.eth_type() == ETH_IPV6 && self.protocol() == ICMPV6;
        let nd = |types: &[u8]| {
            icmp6()
                && self.get(Field::ICMPV6_CODE).is_zero()
                && types.contains(&self.get(Field::ICMPV6_TYPE).to_u8())
        };
        match prerequisite {
            P::Nothing | P::Ethernet => true,
            P::Arp => matches!(self.eth_type(), ETH_ARP | ETH_RARP),
            P::Vlan => self.get(Field::VLAN_VID).to_u16() & VLAN_PRESENT != 0,
            P::Ipv4 => self.eth_type() == ETH_IPV4,
            P::Ipv6 => self.eth_type() == ETH_IPV6,
            P::Ip => self.is_ip(),
            P::Nsh => self.eth_type() == ETH_NSH,
            P::Mpls => ETH_MPLS.contains(&self.eth_type()),
            P::CtValid => !self.get(Field::CT_STATE).is_zero(),
            P::Tcp => whole(TCP),
            P::Udp => whole(UDP),
            P::Sctp => whole(SCTP),
            P::Icmp4 => self.eth_type() == ETH_IPV4 && self.protocol() == ICMP,
            P::Icmp6 => icmp6(),
            P::Nd => nd(&[135, 136]),
            P::NdSolicit => nd(&[135]),
            P::NdAdvert => nd(&[136]),
            _ => false,
        }
    }
}

/// Whether a field is in the packet itself; otherwise it is what the switch keeps with it.
pub(super) fn is_header(field: Field) -> bool {
    !matches!(
        field.prerequisite(),
        Prerequisite::Nothing | Prerequisite::CtValid
    )
}

/// Of what a field is a view.
enum Whole {
    Itself,
    /// Registers: the first, which holds the high bits, and how many.
    Registers(u8, u8),
    Port,
    Dscp,
}

fn whole(field: Field) -> Whole {
    match field {
        Field::IN_PORT_NXM => Whole::Port,
        Field::NW_TOS => Whole::Dscp,
        field if (Field::XREG0..=Field::XXREG3).contains(&field) => {
            let double = (0..8).find(|n| Field::xreg(*n) == field);
            let quadruple = (0..4).find(|n| Field::xxreg(*n) == field);
            match (double, quadruple) {
                (Some(n), _) => Whole::Registers(2 * n, 2),
                (_, Some(n)) => Whole::Registers(4 * n, 4),
                _ => Whole::Itself,
            }
        }
        _ => Whole::Itself,
    }
}

impl From<&Match> for Packet {
    /// The packet with the values that a match asks for.
    fn from(match_: &Match) -> Self {
        let fields = match_
            .iter()
            .map(|(field, value, _)| (field, value.clone()));
        Self {
            fields: fields.collect(),
            ..Self::default()
        }
    }
}

/// In the words of `ofproto/trace`, which takes it as its argument.
impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = self
            .fields()
            .map(|(field, value)| field_text(field, value))
            .collect();
        f.write_str(&fields.join(","))
    }
}
