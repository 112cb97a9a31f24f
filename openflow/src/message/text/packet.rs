//! The line that describes a packet: every field that Open vSwitch would extract from it, zero or not.
//!
//! Must not know messages. What is cut short is read as far as it goes and is zero from there, as Open vSwitch
//! does it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::ErrorKind;
use crate::field::Field;
use crate::match_::Match;
use crate::text::{Flags, Ipv6, TCP_FLAGS};
use crate::types::MacAddr;
use crate::wire::Reader;

const ETH_IPV4: u16 = 0x0800;
const ETH_ARP: u16 = 0x0806;
const ETH_RARP: u16 = 0x8035;
const ETH_IPV6: u16 = 0x86dd;
const ETH_MPLS: u16 = 0x8847;
const ETH_MPLS_MULTICAST: u16 = 0x8848;
const ETH_NSH: u16 = 0x894f;
/// What Open vSwitch says of a frame without an Ethernet type.
const ETH_NONE: u16 = 0x05ff;

const ICMP: u8 = 1;
const IGMP: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;

/// The packet type in a packet-in's metadata; 0 is Ethernet.
pub(super) fn packet_type(match_: &Match) -> u32 {
    match_
        .get(Field::PACKET_TYPE)
        .map_or(0, |(value, _)| value.to_u32())
}

/// Prints the packet in one line, with its newline.
pub(super) fn print(out: &mut String, data: &[u8], packet_type: u32) {
    let packet = Packet::parse(data, packet_type);
    let start = out.len();
    packet.print(out);
    if out.len() > start && out.ends_with(',') {
        out.pop();
    }
    packet.print_checksum(out);
    out.push('\n');
}

#[derive(Default)]
struct Packet<'a> {
    packet_type: u32,
    dl_src: MacAddr,
    dl_dst: MacAddr,
    vlans: Vec<u16>,
    dl_type: u16,
    mpls: Vec<u32>,
    nsh: Nsh,
    v4: (u32, u32),
    v6: (u128, u128),
    label: u32,
    arp_sha: MacAddr,
    arp_tha: MacAddr,
    proto: u8,
    tos: u8,
    ttl: u8,
    fragment: bool,
    later: bool,
    tp: (u16, u16),
    tcp_flags: u16,
    igmp_group: u32,
    nd_target: u128,
    /// From the transport header to the end of the packet, without what Ethernet padded.
    l4: &'a [u8],
}

/// What Open vSwitch extracts of a Network Service Header (RFC 8300).
#[derive(Clone, Copy, Default)]
struct Nsh {
    flags: u8,
    ttl: u8,
    md_type: u8,
    next: u8,
    spi: u32,
    si: u8,
    context: [u32; 4],
}

impl Nsh {
    /// ```text
    /// |31   30|29    28|27   22|21    16|15        8|7         0|
    /// +-------+--------+-------+--------+-----------+-----------+
    /// |  0    | flags  |  ttl  | length |  md type  | protocol  |  the length in words
    /// +-------+--------+-------+--------+-----------+-----------+
    /// |           service path identifier           |   index   |
    /// +---------------------------------------------+-----------+
    /// ```
    fn read(mut r: Reader<'_>) -> Option<Nsh> {
        let size = r.len();
        let (first, path) = (r.u32().ok()?, r.u32().ok()?);
        let [head, fields, md_type, next] = first.to_be_bytes();
        let length = usize::from(fields & 0x3f) * 4;
        if length > size || head >> 6 != 0 {
            return None;
        }
        let mut context = [0; 4];
        match md_type {
            1 if length != 24 => return None,
            1 => {
                for word in &mut context {
                    *word = r.u32().ok()?;
                }
            }
            2 if length < 8 => return None,
            _ => {}
        }
        let [.., si] = path.to_be_bytes();
        Some(Nsh {
            flags: head >> 4 & 3,
            ttl: (head & 0xf) << 2 | fields >> 6,
            md_type,
            next,
            spi: path >> 8,
            si,
            context,
        })
    }
}

fn reader(bytes: &[u8]) -> Reader<'_> {
    Reader::new(bytes, ErrorKind::BrcBadLen, "packet")
}

impl<'a> Packet<'a> {
    fn parse(data: &'a [u8], packet_type: u32) -> Packet<'a> {
        let mut packet = Packet {
            packet_type,
            ..Packet::default()
        };
        let mut r = reader(data);
        // Where the bytes end, so does what is known of the packet.
        if packet_type == 0 {
            if data.len() >= 14 {
                let _ = packet.link(&mut r);
            }
        } else {
            packet.dl_type = u16::try_from(packet_type & 0xffff).unwrap_or(0);
        }
        let _ = packet.network(r);
        packet
    }

    fn link(&mut self, r: &mut Reader<'a>) -> Option<()> {
        self.dl_dst = MacAddr(*r.array().ok()?);
        self.dl_src = MacAddr(*r.array().ok()?);
        while self.vlans.len() < 2
            && r.len() >= 6
            && matches!(r.rest(), [0x81, 0x00, ..] | [0x88, 0xa8, ..])
        {
            r.skip(2).ok()?;
            self.vlans.push(r.u16().ok()? | 0x1000);
        }
        let type_ = r.u16().ok()?;
        self.dl_type = match (type_, r.rest()) {
            (0x0600.., _) => type_,
            (_, [0xaa, 0xaa, 3, 0, 0, 0, high, low, ..]) => {
                let snap = u16::from_be_bytes([*high, *low]);
                r.skip(8).ok()?;
                if snap >= 0x0600 { snap } else { ETH_NONE }
            }
            _ => ETH_NONE,
        };
        Some(())
    }

    fn network(&mut self, mut r: Reader<'a>) -> Option<()> {
        match self.dl_type {
            ETH_MPLS | ETH_MPLS_MULTICAST => {
                while let Ok(entry) = r.u32() {
                    self.mpls.push(entry);
                    if entry & 0x100 != 0 {
                        break;
                    }
                }
                self.mpls.truncate(3);
                None
            }
            ETH_ARP | ETH_RARP => self.arp(&mut r),
            ETH_NSH => {
                self.nsh = Nsh::read(r)?;
                None
            }
            ETH_IPV4 => {
                let r = self.ipv4(r)?;
                self.transport(r)
            }
            ETH_IPV6 => {
                let r = self.ipv6(r)?;
                self.transport(r)
            }
            _ => None,
        }
    }

    fn arp(&mut self, r: &mut Reader<'a>) -> Option<()> {
        let arp = r.bytes(28).ok()?;
        if arp.get(..6)? != [0, 1, 8, 0, 6, 4] {
            return None;
        }
        let mut r = reader(arp);
        r.skip(6).ok()?;
        let op = r.u16().ok()?;
        let (sha, spa) = (MacAddr(*r.array().ok()?), r.u32().ok()?);
        let (tha, tpa) = (MacAddr(*r.array().ok()?), r.u32().ok()?);
        (self.v4, self.arp_sha, self.arp_tha) = ((spa, tpa), sha, tha);
        self.proto = u8::try_from(op).unwrap_or(0);
        Some(())
    }

    fn ipv4(&mut self, mut r: Reader<'a>) -> Option<Reader<'a>> {
        let size = r.len();
        let header = *r.rest().first_chunk::<20>()?;
        let [
            first,
            tos,
            t0,
            t1,
            _,
            _,
            f0,
            f1,
            ttl,
            proto,
            _,
            _,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ] = header;
        let header_len = usize::from(first & 0xf) * 4;
        let total = usize::from(u16::from_be_bytes([t0, t1]));
        if header_len < 20
            || size < header_len
            || total > size
            || header_len > total
            || size - total > 0xffff
        {
            return None;
        }
        self.v4 = (
            u32::from_be_bytes([s0, s1, s2, s3]),
            u32::from_be_bytes([d0, d1, d2, d3]),
        );
        (self.tos, self.ttl, self.proto) = (tos, ttl, proto);
        let fragment = u16::from_be_bytes([f0, f1]);
        self.fragment = fragment & 0x3fff != 0;
        self.later = fragment & 0x1fff != 0;
        let mut r = r.sub(total).ok()?;
        r.skip(header_len).ok()?;
        Some(r)
    }

    fn ipv6(&mut self, mut r: Reader<'a>) -> Option<Reader<'a>> {
        let size = r.len();
        let flow = r.u32().ok()?;
        let (length, mut next, ttl) = (usize::from(r.u16().ok()?), r.u8().ok()?, r.u8().ok()?);
        let addresses = (r.u128().ok()?, r.u128().ok()?);
        if length + 40 > size || size - (length + 40) > 0xffff {
            return None;
        }
        self.v6 = addresses;
        let mut r = r.sub(length).ok()?;
        let mut fragment = (false, false);
        while let 0 | 43 | 60 | 51 | 44 = next {
            let [following, size, rest @ ..] = *r.rest().first_chunk::<8>()?;
            match next {
                44 => {
                    let [f0, f1, ..] = rest;
                    let offset = u16::from_be_bytes([f0, f1]);
                    r.skip(8).ok()?;
                    next = following;
                    if offset != 0 {
                        fragment.0 = true;
                        if offset & 0xfff8 != 0 {
                            fragment.1 = true;
                            next = 44;
                            break;
                        }
                    }
                }
                51 => {
                    r.skip((usize::from(size) + 2) * 4).ok()?;
                    next = following;
                }
                _ => {
                    r.skip((usize::from(size) + 1) * 8).ok()?;
                    next = following;
                }
            }
        }
        self.label = flow & 0xf_ffff;
        self.tos = u8::try_from(flow >> 20 & 0xff).unwrap_or(0);
        (self.ttl, self.proto) = (ttl, next);
        (self.fragment, self.later) = fragment;
        Some(r)
    }

    fn transport(&mut self, mut r: Reader<'a>) -> Option<()> {
        self.l4 = r.rest();
        if self.later {
            return None;
        }
        match self.proto {
            TCP => {
                let header = *self.l4.first_chunk::<20>()?;
                let [s0, s1, d0, d1, _, _, _, _, _, _, _, _, c0, c1, ..] = header;
                let length = usize::from(c0 >> 4) * 4;
                if length >= 20 && self.l4.len() >= length {
                    self.tp = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
                    self.tcp_flags = u16::from_be_bytes([c0, c1]) & 0x0fff;
                }
            }
            UDP if r.len() >= 8 => self.tp = (r.u16().ok()?, r.u16().ok()?),
            SCTP if r.len() >= 12 => self.tp = (r.u16().ok()?, r.u16().ok()?),
            ICMP if r.len() >= 8 => self.tp = (u16::from(r.u8().ok()?), u16::from(r.u8().ok()?)),
            IGMP if r.len() >= 8 => {
                self.tp = (u16::from(r.u8().ok()?), u16::from(r.u8().ok()?));
                r.skip(2).ok()?;
                self.igmp_group = r.u32().ok()?;
            }
            ICMPV6 if r.len() >= 8 => {
                self.tp = (u16::from(r.u8().ok()?), u16::from(r.u8().ok()?));
                r.skip(6).ok()?;
                if self.is_nd() {
                    self.neighbour_discovery(r);
                }
            }
            _ => {}
        }
        Some(())
    }

    fn is_nd(&self) -> bool {
        self.dl_type == ETH_IPV6 && self.proto == ICMPV6 && matches!(self.tp, (135 | 136, 0))
    }

    fn neighbour_discovery(&mut self, mut r: Reader<'a>) -> Option<()> {
        let target = r.u128().ok()?;
        self.nd_target = target;
        while r.len() >= 8 {
            let [type_, length, a, b, c, d, e, f] = *r.rest().first_chunk::<8>()?;
            let size = usize::from(length) * 8;
            if size == 0 || size > r.len() {
                break;
            }
            let place = match type_ {
                1 if size == 8 => Some(&mut self.arp_sha),
                2 if size == 8 => Some(&mut self.arp_tha),
                _ => None,
            };
            if let Some(place) = place {
                if *place != MacAddr::ZERO {
                    (self.nd_target, self.arp_sha, self.arp_tha) =
                        (0, MacAddr::ZERO, MacAddr::ZERO);
                    break;
                }
                *place = MacAddr([a, b, c, d, e, f]);
            }
            r.skip(size).ok()?;
        }
        Some(())
    }

    fn print(&self, out: &mut String) {
        macro_rules! item { ($($arg:tt)*) => { let _ = write!(out, "{},", format_args!($($arg)*)); }; }
        let ethernet = self.packet_type == 0;
        let ip = matches!(self.dl_type, ETH_IPV4 | ETH_IPV6);
        let mut named_proto = ip;
        if !ethernet {
            item!(
                "packet_type=({},{:#x})",
                self.packet_type >> 16,
                self.packet_type & 0xffff
            );
        }
        if ethernet {
            let name = match (self.dl_type, self.proto) {
                (ETH_IPV4, ICMP) => "icmp",
                (ETH_IPV4, TCP) => "tcp",
                (ETH_IPV4, UDP) => "udp",
                (ETH_IPV4, SCTP) => "sctp",
                (ETH_IPV6, ICMPV6) => "icmp6",
                (ETH_IPV6, TCP) => "tcp6",
                (ETH_IPV6, UDP) => "udp6",
                (ETH_IPV6, SCTP) => "sctp6",
                (ETH_IPV4, _) => "ip",
                (ETH_IPV6, _) => "ipv6",
                (ETH_ARP, _) => "arp",
                (ETH_RARP, _) => "rarp",
                (ETH_MPLS, _) => "mpls",
                (ETH_MPLS_MULTICAST, _) => "mplsm",
                _ => "",
            };
            named_proto &= !matches!(name, "ip" | "ipv6");
            let named_type = !name.is_empty();
            if named_type {
                item!("{name}");
            }
            for (i, tci) in self.vlans.iter().enumerate() {
                let i = if i == 0 { String::new() } else { i.to_string() };
                item!("dl_vlan{i}={}", tci & 0xfff);
                item!("dl_vlan_pcp{i}={}", tci >> 13);
            }
            if self.vlans.len() < 2 {
                let i = if self.vlans.is_empty() { "" } else { "1" };
                item!("vlan_tci{i}=0x0000");
            }
            item!("dl_src={}", self.dl_src);
            item!("dl_dst={}", self.dl_dst);
            if !named_type {
                item!("dl_type=0x{:04x}", self.dl_type);
            }
        } else {
            named_proto = false;
        }
        match self.dl_type {
            ETH_IPV6 => {
                item!("ipv6_src={}", Ipv6(Ipv6Addr::from(self.v6.0)));
                item!("ipv6_dst={}", Ipv6(Ipv6Addr::from(self.v6.1)));
                item!("ipv6_label=0x{:05x}", self.label);
            }
            ETH_ARP | ETH_RARP => {
                item!("arp_spa={}", Ipv4Addr::from(self.v4.0));
                item!("arp_tpa={}", Ipv4Addr::from(self.v4.1));
                item!("arp_op={}", self.proto);
                item!("arp_sha={}", self.arp_sha);
                item!("arp_tha={}", self.arp_tha);
            }
            ETH_IPV4 => {
                item!("nw_src={}", Ipv4Addr::from(self.v4.0));
                item!("nw_dst={}", Ipv4Addr::from(self.v4.1));
            }
            ETH_MPLS | ETH_MPLS_MULTICAST => self.print_mpls(out),
            ETH_NSH => self.print_nsh(out),
            _ => {}
        }
        // Open vSwitch takes what follows a Network Service Header for IP, of which it knows nothing.
        if !ip && self.dl_type != ETH_NSH {
            return;
        }
        if !named_proto {
            item!("nw_proto={}", self.proto);
        }
        item!("nw_tos={}", self.tos & 0xfc);
        item!("nw_ecn={}", self.tos & 3);
        item!("nw_ttl={}", self.ttl);
        item!(
            "nw_frag={}",
            if self.later {
                "later"
            } else if self.fragment {
                "first"
            } else {
                "no"
            }
        );
        if self.later || !matches!(self.proto, ICMP | ICMPV6 | TCP | UDP | SCTP | IGMP) {
            return;
        }
        let (src, dst) = self.tp;
        if matches!(
            (self.dl_type, self.proto),
            (ETH_IPV4, ICMP) | (ETH_IPV6, ICMPV6)
        ) {
            item!("icmp_type={src}");
            item!("icmp_code={dst}");
            if self.is_nd() {
                item!("nd_target={}", Ipv6(Ipv6Addr::from(self.nd_target)));
                item!("nd_sll={}", self.arp_sha);
                item!("nd_tll={}", self.arp_tha);
            }
        } else {
            item!("tp_src={src}");
            item!("tp_dst={dst}");
        }
        if self.proto == TCP {
            let _ = write!(
                out,
                "tcp_flags={}",
                Flags {
                    bits: u32::from(self.tcp_flags),
                    names: TCP_FLAGS,
                    separator: '|'
                }
            );
        }
    }

    fn print_mpls(&self, out: &mut String) {
        let first = self.mpls.first().copied().unwrap_or(0);
        let _ = write!(
            out,
            "mpls_label={},mpls_tc={},",
            first >> 12,
            first >> 9 & 7
        );
        let _ = write!(
            out,
            "mpls_ttl={},mpls_bos={},",
            first & 0xff,
            first >> 8 & 1
        );
        let mut bottom = first & 0x100 != 0;
        for (name, i) in [("mpls_lse1", 1), ("mpls_lse2", 2)] {
            if bottom {
                return;
            }
            let entry = self.mpls.get(i).copied().unwrap_or(0);
            let _ = write!(out, "{name}={entry},");
            bottom = entry & 0x100 != 0;
        }
    }

    fn print_nsh(&self, out: &mut String) {
        let nsh = self.nsh;
        let _ = write!(
            out,
            "nsh_flags={},nsh_ttl={},nsh_mdtype={},nsh_np={},nsh_spi=0x{:x},nsh_si={},",
            nsh.flags, nsh.ttl, nsh.md_type, nsh.next, nsh.spi, nsh.si
        );
        if nsh.md_type == 1 {
            for (i, word) in (1..).zip(nsh.context) {
                let _ = write!(out, "nsh_c{i}=0x{word:x},");
            }
        }
    }

    fn print_checksum(&self, out: &mut String) {
        let (name, least, at, wide) = match self.proto {
            TCP => ("tcp_csum", 20, 16, false),
            UDP => ("udp_csum", 8, 6, false),
            SCTP => ("sctp_csum", 12, 8, true),
            ICMP => ("icmp_csum", 8, 2, false),
            ICMPV6 => ("icmp6_csum", 4, 2, false),
            _ => return,
        };
        let Some(bytes) = self.l4.get(at..).filter(|_| self.l4.len() >= least) else {
            return;
        };
        let value = match (wide, bytes.first_chunk::<4>(), bytes.first_chunk::<2>()) {
            (true, Some(bytes), _) => u32::from_be_bytes(*bytes),
            (false, _, Some(bytes)) => u32::from(u16::from_be_bytes(*bytes)),
            _ => return,
        };
        let _ = write!(out, " {name}:{value:x}");
    }
}
