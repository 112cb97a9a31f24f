//! The text of a match, as `ovs-ofctl` prints it: its order, its shorthands, its numbers.

use std::fmt;

use super::Match;
use crate::field::{Field, Format};
use crate::text::{
    self, CT_STATE, Commas, Flags, Hash, Ipv6, MaskedFlags, Names, Port, Print, TCP_FLAGS,
    TUN_FLAGS,
};
use crate::types::PortNo;
use crate::value::Value;

/// A match with its priority, to be displayed as `ovs-ofctl` does before `actions=`: the priority
/// goes first and is left out when it is the default, 32768.
#[derive(Clone, Copy)]
#[allow(missing_debug_implementations)]
pub struct MatchText<'a> {
    /// The match.
    pub match_: &'a Match,
    /// The priority of its flow.
    pub priority: u16,
    /// Names of ports.
    pub names: &'a dyn Names,
}

impl fmt::Display for MatchText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Printer {
            f,
            m: self.match_,
            names: self.names,
            commas: Commas::default(),
        };
        if self.priority != 0x8000 {
            out.item(format_args!("priority={}", self.priority))?;
        }
        out.all()
    }
}

impl Print for Match {
    fn print(&self, f: &mut fmt::Formatter<'_>, names: &dyn Names) -> fmt::Result {
        Printer {
            f,
            m: self,
            names,
            commas: Commas::default(),
        }
        .all()
    }
}

text::display_by_print!(Match);

struct Printer<'a, 'f> {
    f: &'a mut fmt::Formatter<'f>,
    m: &'a Match,
    names: &'a dyn Names,
    commas: Commas,
}

impl Printer<'_, '_> {
    fn item(&mut self, text: fmt::Arguments<'_>) -> fmt::Result {
        self.commas.next(self.f)?;
        self.f.write_fmt(text)
    }

    /// `name=0x1/0x3`, as `%#x` prints.
    fn hash(&mut self, name: &str, field: Field) -> fmt::Result {
        let Some((v, m)) = self.m.get(field) else {
            return Ok(());
        };
        self.commas.next(self.f)?;
        write!(self.f, "{name}={}", Hash(v.to_u128()))?;
        if m.is_ones() {
            Ok(())
        } else {
            write!(self.f, "/{}", Hash(m.to_u128()))
        }
    }

    /// `name=1`, or `name=0x1/0x3` padded to `width` digits when masked.
    fn dec(&mut self, name: &str, field: Field, width: usize) -> fmt::Result {
        let Some((v, m)) = self.m.get(field) else {
            return Ok(());
        };
        let (v, mv) = (v.to_u64(), m.to_u64());
        if m.is_ones() {
            self.item(format_args!("{name}={v}"))
        } else {
            self.item(format_args!("{name}=0x{v:0width$x}/0x{mv:0width$x}"))
        }
    }

    /// An address and its mask, in the form of the field.
    fn address(&mut self, name: &str, field: Field) -> fmt::Result {
        let Some((v, m)) = self.m.get(field) else {
            return Ok(());
        };
        self.commas.next(self.f)?;
        write!(self.f, "{name}=")?;
        print_address(self.f, field.format(), &v, &m)
    }

    fn all(mut self) -> fmt::Result {
        self.metadata()?;
        let proto = self.protocol()?;
        for i in 0..16 {
            let reg = Field::reg(i);
            self.hash(reg.name(), reg)?;
        }
        self.tunnel()?;
        self.hash("metadata", Field::METADATA)?;
        if let Some((v, _)) = self.m.get(Field::IN_PORT) {
            let port = PortNo(v.to_u32());
            let names = self.names;
            self.item(format_args!("in_port={}", Port(port, names)))?;
        }
        self.vlan()?;
        self.address("dl_src", Field::ETH_SRC)?;
        self.address("dl_dst", Field::ETH_DST)?;
        self.network(proto)?;
        self.mpls()?;
        self.fragment()?;
        self.transport()
    }

    fn metadata(&mut self) -> fmt::Result {
        self.hash("pkt_mark", Field::PKT_MARK)?;
        self.hash("recirc_id", Field::RECIRC_ID)?;
        self.hash("dp_hash", Field::DP_HASH)?;
        self.dec("conj_id", Field::CONJ_ID, 1)?;
        if let Some((v, _)) = self.m.get(Field::ACTSET_OUTPUT) {
            let (port, names) = (PortNo(v.to_u32()), self.names);
            self.item(format_args!("actset_output={}", Port(port, names)))?;
        }
        if let Some((v, m)) = self.m.get(Field::CT_STATE) {
            let flags = MaskedFlags {
                bits: v.to_u32(),
                mask: m.to_u32(),
                all: 0xff,
                names: CT_STATE,
            };
            self.item(format_args!("ct_state={flags}"))?;
        }
        self.dec("ct_zone", Field::CT_ZONE, 1)?;
        self.hash("ct_mark", Field::CT_MARK)?;
        {
            self.hash("ct_label", Field::CT_LABEL)?;
        }
        self.address("ct_nw_src", Field::CT_NW_SRC)?;
        self.address("ct_ipv6_src", Field::CT_IPV6_SRC)?;
        self.address("ct_nw_dst", Field::CT_NW_DST)?;
        self.address("ct_ipv6_dst", Field::CT_IPV6_DST)?;
        if self.m.get(Field::CT_NW_PROTO).is_some() {
            self.dec("ct_nw_proto", Field::CT_NW_PROTO, 1)?;
            self.dec("ct_tp_src", Field::CT_TP_SRC, 1)?;
            self.dec("ct_tp_dst", Field::CT_TP_DST, 1)?;
        }
        Ok(())
    }

    /// The packet type, and the shorthand for type and protocol. Returns what it left unsaid.
    fn protocol(&mut self) -> Result<Unsaid, fmt::Error> {
        let mut unsaid = Unsaid {
            eth_type: true,
            proto: true,
        };
        let by_recirc = self.m.get(Field::RECIRC_ID).is_some();
        let ethernet = self
            .m
            .iter()
            .any(|(f, _, _)| f.prerequisite() != crate::field::Prerequisite::Nothing);
        match self.m.get(Field::PACKET_TYPE) {
            Some((v, _)) if !v.is_zero() => {
                let packet_type = PacketType(v.to_u32());
                self.item(format_args!("{packet_type}"))?;
            }
            Some(_) if by_recirc => self.item(format_args!("eth"))?,
            None if by_recirc && ethernet => self.item(format_args!("eth"))?,
            _ => {}
        }
        if self.m.get(Field::ETH_TYPE).is_none() {
            return Ok(unsaid);
        }
        let proto = self.m.exact(Field::IP_PROTO);
        unsaid.eth_type = false;
        let (word, says_proto) = match (self.m.eth_type(), proto) {
            (Some(0x0800), Some(1)) => ("icmp", true),
            (Some(0x0800), Some(6)) => ("tcp", true),
            (Some(0x0800), Some(17)) => ("udp", true),
            (Some(0x0800), Some(132)) => ("sctp", true),
            (Some(0x0800), _) => ("ip", false),
            (Some(0x86dd), Some(58)) => ("icmp6", true),
            (Some(0x86dd), Some(6)) => ("tcp6", true),
            (Some(0x86dd), Some(17)) => ("udp6", true),
            (Some(0x86dd), Some(132)) => ("sctp6", true),
            (Some(0x86dd), _) => ("ipv6", false),
            (Some(0x0806), _) => ("arp", false),
            (Some(0x8035), _) => ("rarp", false),
            (Some(0x8847), _) => ("mpls", false),
            (Some(0x8848), _) => ("mplsm", false),
            _ => {
                unsaid.eth_type = true;
                return Ok(unsaid);
            }
        };
        unsaid.proto = !says_proto;
        self.item(format_args!("{word}"))?;
        Ok(unsaid)
    }

    fn tunnel(&mut self) -> fmt::Result {
        self.hash("tun_id", Field::TUN_ID)?;
        self.address("tun_src", Field::TUN_SRC)?;
        self.address("tun_dst", Field::TUN_DST)?;
        self.address("tun_ipv6_src", Field::TUN_IPV6_SRC)?;
        self.address("tun_ipv6_dst", Field::TUN_IPV6_DST)?;
        self.dec("tun_gbp_id", Field::TUN_GBP_ID, 1)?;
        // Of these Open vSwitch prints the value alone, and some only beside a version.
        let version = self.m.get(Field::TUN_ERSPAN_VER).map(|(v, _)| v.to_u64());
        for (name, field, hex, when) in [
            ("tun_gbp_flags", Field::TUN_GBP_FLAGS, true, None),
            ("tun_erspan_ver", Field::TUN_ERSPAN_VER, false, None),
            ("tun_erspan_idx", Field::TUN_ERSPAN_IDX, true, Some(1)),
            ("tun_erspan_dir", Field::TUN_ERSPAN_DIR, false, Some(2)),
            ("tun_erspan_hwid", Field::TUN_ERSPAN_HWID, true, Some(2)),
            ("gtpu_flags", Field::TUN_GTPU_FLAGS, true, None),
            ("gtpu_msgtype", Field::TUN_GTPU_MSGTYPE, false, None),
        ] {
            let Some((v, _)) = self.m.get(field) else {
                continue;
            };
            if when.is_some() && when != version {
                continue;
            }
            let v = v.to_u128();
            if hex {
                self.item(format_args!("{name}={}", Hash(v)))?;
            } else {
                self.item(format_args!("{name}={v}"))?;
            }
        }
        if let Some((v, m)) = self.m.get(Field::TUN_FLAGS) {
            let flags = MaskedFlags {
                bits: v.to_u32(),
                mask: m.to_u32() & 1,
                all: 0xf,
                names: TUN_FLAGS,
            };
            self.item(format_args!("tun_flags={flags}"))?;
        }
        for i in 0..64 {
            let field = Field::tun_metadata(i);
            let Some((v, m)) = self.m.get(field) else {
                continue;
            };
            self.item(format_args!("{field}"))?;
            if !m.is_zero() {
                write!(self.f, "={}", BytesHex(&v))?;
                // Leading zeros say nothing, not even that they must be zeros.
                let len = v.significant_len().max(m.significant_len());
                if !m.resized(len).is_ones() {
                    write!(self.f, "/{}", BytesHex(&m))?;
                }
            }
        }
        Ok(())
    }

    fn vlan(&mut self) -> fmt::Result {
        let (v, m) = self.m.tci();
        if m == 0 {
            return Ok(());
        }
        let (vid, pcp) = (m & 0x0fff, m & 0xe000);
        if m & v & 0x1000 != 0 && (vid == 0 || vid == 0xfff) && (vid | pcp) != 0 {
            if vid != 0 {
                self.item(format_args!("dl_vlan={}", v & 0xfff))?;
            }
            if pcp != 0 {
                self.item(format_args!("dl_vlan_pcp={}", v >> 13))?;
            }
            Ok(())
        } else if m == 0xffff {
            self.item(format_args!("vlan_tci=0x{v:04x}"))
        } else {
            self.item(format_args!("vlan_tci=0x{v:04x}/0x{m:04x}"))
        }
    }

    fn network(&mut self, unsaid: Unsaid) -> fmt::Result {
        let eth_type = self.m.eth_type();
        let arp = matches!(eth_type, Some(0x0806 | 0x8035));
        if unsaid.eth_type && self.m.get(Field::ETH_TYPE).is_some() {
            self.item(format_args!("dl_type=0x{:04x}", eth_type.unwrap_or(0)))?;
        }
        match eth_type {
            Some(0x86dd) => {
                self.address("ipv6_src", Field::IPV6_SRC)?;
                self.address("ipv6_dst", Field::IPV6_DST)?;
                if let Some((v, m)) = self.m.get(Field::IPV6_LABEL) {
                    self.item(format_args!("ipv6_label=0x{:05x}", v.to_u32()))?;
                    if !m.is_ones() {
                        write!(self.f, "/0x{:05x}", m.to_u32())?;
                    }
                }
            }
            Some(0x0806 | 0x8035) => {
                self.address("arp_spa", Field::ARP_SPA)?;
                self.address("arp_tpa", Field::ARP_TPA)?;
            }
            Some(0x894f) => self.nsh()?,
            _ => {
                self.address("nw_src", Field::IPV4_SRC)?;
                self.address("nw_dst", Field::IPV4_DST)?;
            }
        }
        if arp {
            self.dec("arp_op", Field::ARP_OP, 1)?;
            self.address("arp_sha", Field::ARP_SHA)?;
            self.address("arp_tha", Field::ARP_THA)?;
        } else if unsaid.proto {
            self.dec("nw_proto", Field::IP_PROTO, 1)?;
        }
        if let Some((v, _)) = self.m.get(Field::IP_DSCP) {
            self.item(format_args!("nw_tos={}", v.to_u64() << 2))?;
        }
        self.dec("nw_ecn", Field::IP_ECN, 1)?;
        self.dec("nw_ttl", Field::NW_TTL, 1)
    }

    fn nsh(&mut self) -> fmt::Result {
        for (name, field) in [
            ("nsh_flags", Field::NSH_FLAGS),
            ("nsh_ttl", Field::NSH_TTL),
            ("nsh_mdtype", Field::NSH_MDTYPE),
            ("nsh_np", Field::NSH_NP),
        ] {
            self.dec(name, field, 2)?;
        }
        self.hex("nsh_spi", Field::NSH_SPI)?;
        self.dec("nsh_si", Field::NSH_SI, 2)?;
        if self.m.exact(Field::NSH_MDTYPE) == Some(1) {
            for (name, field) in [
                ("nsh_c1", Field::NSH_C1),
                ("nsh_c2", Field::NSH_C2),
                ("nsh_c3", Field::NSH_C3),
                ("nsh_c4", Field::NSH_C4),
            ] {
                self.hex(name, field)?;
            }
        }
        Ok(())
    }

    /// `name=0x1/0x3`, with `0x` before zero too.
    fn hex(&mut self, name: &str, field: Field) -> fmt::Result {
        let Some((v, m)) = self.m.get(field) else {
            return Ok(());
        };
        self.item(format_args!("{name}={:#x}", v.to_u128()))?;
        if m.is_ones() {
            Ok(())
        } else {
            write!(self.f, "/{:#x}", m.to_u128())
        }
    }

    fn mpls(&mut self) -> fmt::Result {
        self.dec("mpls_label", Field::MPLS_LABEL, 1)?;
        self.dec("mpls_tc", Field::MPLS_TC, 1)?;
        self.dec("mpls_ttl", Field::MPLS_TTL, 1)?;
        self.dec("mpls_bos", Field::MPLS_BOS, 1)
    }

    fn fragment(&mut self) -> fmt::Result {
        let Some((v, m)) = self.m.get(Field::NW_FRAG) else {
            return Ok(());
        };
        let word = frag_word(v.to_u64(), m.to_u64());
        self.item(format_args!("nw_frag={word}"))
    }

    fn transport(&mut self) -> fmt::Result {
        let pick = |fields: [Field; 3]| fields.into_iter().find(|f| self.m.get(*f).is_some());
        let icmp = self.m.has(crate::field::Prerequisite::Icmp4);
        let icmp6 = self.m.has(crate::field::Prerequisite::Icmp6);
        if icmp || icmp6 {
            let [ty, code] = if icmp {
                [Field::ICMPV4_TYPE, Field::ICMPV4_CODE]
            } else {
                [Field::ICMPV6_TYPE, Field::ICMPV6_CODE]
            };
            // A packet-in's metadata can have more in their place than they hold.
            for (name, field, place) in [
                ("icmp_type", ty, Field::TCP_SRC),
                ("icmp_code", code, Field::TCP_DST),
            ] {
                let wide = self.m.get(field).is_none();
                self.dec(name, if wide { place } else { field }, 1)?;
            }
            if icmp6 {
                self.address("nd_target", Field::ND_TARGET)?;
                self.address("nd_sll", Field::ND_SLL)?;
                self.address("nd_tll", Field::ND_TLL)?;
                self.dec("nd_reserved", Field::ND_RESERVED, 8)?;
                self.dec("nd_options_type", Field::ND_OPTIONS_TYPE, 1)?;
            }
            return Ok(());
        }
        if let Some(f) = pick([Field::TCP_SRC, Field::UDP_SRC, Field::SCTP_SRC]) {
            self.dec("tp_src", f, 1)?;
        }
        if let Some(f) = pick([Field::TCP_DST, Field::UDP_DST, Field::SCTP_DST]) {
            self.dec("tp_dst", f, 1)?;
        }
        if let Some((v, m)) = self.m.get(Field::TCP_FLAGS) {
            let mask = m.to_u32() & 0xfff;
            let flags = MaskedFlags {
                bits: v.to_u32(),
                mask,
                all: 0xfff,
                names: TCP_FLAGS,
            };
            self.item(format_args!("tcp_flags={flags}"))?;
        }
        Ok(())
    }
}

/// What the shorthand did not say.
#[derive(Clone, Copy)]
struct Unsaid {
    eth_type: bool,
    proto: bool,
}

/// `packet_type=(ns,type)`.
struct PacketType(u32);

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |n: u32| {
            if n > 9 {
                format!("{n:#x}")
            } else {
                n.to_string()
            }
        };
        write!(
            f,
            "packet_type=({},{})",
            part(self.0 >> 16),
            part(self.0 & 0xffff)
        )
    }
}

/// All bytes in hexadecimal, leading zeros left out.
pub(crate) struct BytesHex<'a>(pub(crate) &'a Value);

impl fmt::Display for BytesHex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.to_bytes();
        let rest = bytes
            .iter()
            .position(|b| *b != 0)
            .and_then(|i| bytes.get(i..));
        let Some([first, rest @ ..]) = rest else {
            return f.write_str("0");
        };
        write!(f, "{first:#x}")?;
        rest.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

fn frag_word(v: u64, m: u64) -> &'static str {
    match (m & 3, v & 1, v & 2) {
        (3, 0, 0) => "no",
        (3, 0, _) => "<error>",
        (3, _, 0) => "first",
        (3, _, _) => "later",
        (1, 0, _) => "no",
        (1, _, _) => "yes",
        (_, _, 0) => "not_later",
        _ => "later",
    }
}

/// An Ethernet, IPv4 or IPv6 address with its mask, as a prefix length where that says it.
pub(crate) fn print_address(
    f: &mut fmt::Formatter<'_>,
    format: Format,
    v: &Value,
    m: &Value,
) -> fmt::Result {
    let exact = m.is_ones();
    match format {
        Format::Ipv4 => {
            write!(f, "{}", v.to_ipv4())?;
            let mask = m.to_u32();
            if exact {
                Ok(())
            } else if mask.leading_ones() + mask.trailing_zeros() == 32 {
                write!(f, "/{}", mask.leading_ones())
            } else {
                write!(f, "/{}", m.to_ipv4())
            }
        }
        Format::Ipv6 => {
            write!(f, "{}", Ipv6(v.to_ipv6()))?;
            let mask = m.to_u128();
            if exact {
                Ok(())
            } else if mask.leading_ones() + mask.trailing_zeros() == 128 {
                write!(f, "/{}", mask.leading_ones())
            } else {
                write!(f, "/{}", Ipv6(m.to_ipv6()))
            }
        }
        _ => {
            write!(f, "{}", v.to_mac())?;
            if exact {
                Ok(())
            } else {
                write!(f, "/{}", m.to_mac())
            }
        }
    }
}

/// The value of a field as actions print it: the field's own format, with its mask.
pub(crate) fn print_value(
    f: &mut fmt::Formatter<'_>,
    names: &dyn Names,
    field: Field,
    v: &Value,
    mask: Option<&Value>,
) -> fmt::Result {
    let mask = mask.filter(|m| !m.is_ones() || m.len() != field.bytes());
    if let Some(m) = mask
        && m.is_zero()
    {
        return f.write_str("ANY");
    }
    let ones;
    let m = match mask {
        Some(m) => m,
        None => {
            ones = Value::ones(v.len());
            &ones
        }
    };
    let flags = |f: &mut fmt::Formatter<'_>, all: u32, flag_names| match mask {
        Some(m) => MaskedFlags {
            bits: v.to_u32(),
            mask: m.to_u32() & all,
            all,
            names: flag_names,
        }
        .fmt(f),
        None => Flags {
            bits: v.to_u32(),
            names: flag_names,
            separator: '|',
        }
        .fmt(f),
    };
    use fmt::Display as _;
    match field.format() {
        Format::Mac | Format::Ipv4 | Format::Ipv6 => print_address(f, field.format(), v, m),
        Format::Port if mask.is_none() => Port(PortNo(v.to_u32()), names).fmt(f),
        Format::Port16 if mask.is_none() => Port(PortNo::from_u16(v.to_u16()), names).fmt(f),
        Format::Frag => f.write_str(frag_word(v.to_u64(), m.to_u64())),
        Format::CtState => flags(f, 0xff, CT_STATE),
        Format::TunFlags => flags(f, 0x1, TUN_FLAGS),
        Format::TcpFlags => flags(f, 0xfff, TCP_FLAGS),
        Format::Dec if mask.is_none() => write!(f, "{}", v.to_u128()),
        Format::PacketType => PacketType(v.to_u32()).fmt(f),
        _ => {
            write!(f, "{}", BytesHex(v))?;
            mask.map_or(Ok(()), |m| write!(f, "/{}", BytesHex(m)))
        }
    }
}
