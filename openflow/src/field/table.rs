//! The table of fields: the one place that says what Open vSwitch 3.1 knows about each.
//!
//! A line is: constant, name, other name, width in bits, bytes on the wire, whether it can be
//! masked, how it prints, its prerequisite, whether actions may write it, its rank in Open
//! vSwitch's own order, and its OXM and NXM headers: `class(field, since version, name)`.
//!
//! The order of the lines is the order in which Open vSwitch writes a match; [`Field`]'s `Ord` and
//! therefore [`Match`](crate::Match) follow it. To add a field, add its line.

use super::{Field, FieldInfo, Format, Header, Prerequisite};

const fn nxm0(field: u8, since: u8, name: &'static str) -> Header {
    Header {
        class: 0x0000,
        experimenter: 0,
        field,
        since,
        name,
    }
}
const fn nxm1(field: u8, since: u8, name: &'static str) -> Header {
    Header {
        class: 0x0001,
        experimenter: 0,
        field,
        since,
        name,
    }
}
const fn eric(field: u8, since: u8, name: &'static str) -> Header {
    Header {
        class: 0x1000,
        experimenter: 0,
        field,
        since,
        name,
    }
}
const fn basic(field: u8, since: u8, name: &'static str) -> Header {
    Header {
        class: 0x8000,
        experimenter: 0,
        field,
        since,
        name,
    }
}
const fn pkt_reg(field: u8, since: u8, name: &'static str) -> Header {
    Header {
        class: 0x8001,
        experimenter: 0,
        field,
        since,
        name,
    }
}
const fn nicira(field: u8, since: u8, name: &'static str) -> Header {
    Header {
        class: 0xffff,
        experimenter: 0x0000_2320,
        field,
        since,
        name,
    }
}
const fn nsh(field: u8, since: u8, name: &'static str) -> Header {
    Header {
        class: 0xffff,
        experimenter: 0x005a_d650,
        field,
        since,
        name,
    }
}
const fn onf(field: u8, since: u8, name: &'static str) -> Header {
    Header {
        class: 0xffff,
        experimenter: 0x4f4e_4600,
        field,
        since,
        name,
    }
}

macro_rules! fields {
    ($($id:ident, $name:literal, $alias:literal, $bits:literal, $bytes:literal, $mask:ident,
       $format:ident, $prerequisite:ident, $access:ident, $rank:literal, [$($header:expr),*];)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u8)]
        enum Index { $($id),* }

        impl Field {
            $(
                #[doc = concat!("`", $name, "`, ", stringify!($bits), " bits")]
                #[doc = concat!("(", stringify!($mask), ", ", stringify!($access), ").")]
                pub const $id: Field = Field(Index::$id as u8);
            )*
        }

        pub(super) static FIELDS: [FieldInfo; N_FIELDS] = [$(FieldInfo::new(
            $name, $alias, $bits, $bytes, mask::$mask, Format::$format, Prerequisite::$prerequisite, access::$access,
            $rank, const { &[$($header),*] },
        )),*];

        /// How many fields there are.
        pub(super) const N_FIELDS: usize = [$($bits),*].len();
    };
}

#[allow(non_upper_case_globals)]
mod mask {
    pub(super) const Masked: bool = true;
    pub(super) const Exact: bool = false;
}

#[allow(non_upper_case_globals)]
mod access {
    pub(super) const Rw: bool = true;
    pub(super) const Ro: bool = false;
}

#[rustfmt::skip]
fields! {
    // Pipeline
    PACKET_TYPE, "packet_type", "", 32, 4, Exact, PacketType, Nothing, Ro, 2, [basic(44, 6, "OXM_OF_PACKET_TYPE")];
    DP_HASH, "dp_hash", "", 32, 4, Masked, Hex, Nothing, Ro, 0, [nicira(0, 0, "NXOXM_ET_DP_HASH"), nxm1(35, 0, "NXM_NX_DP_HASH")];
    RECIRC_ID, "recirc_id", "", 32, 4, Exact, Dec, Nothing, Ro, 1, [nxm1(36, 0, "NXM_NX_RECIRC_ID")];
    CONJ_ID, "conj_id", "", 32, 4, Exact, Dec, Nothing, Ro, 3, [nxm1(37, 0, "NXM_NX_CONJ_ID")];
    IN_PORT, "in_port_oxm", "", 32, 4, Exact, Port, Nothing, Rw, 86, [basic(0, 3, "OXM_OF_IN_PORT")];
    ACTSET_OUTPUT, "actset_output", "", 32, 4, Exact, Port, Nothing, Ro, 87, [onf(43, 4, "ONFOXM_ET_ACTSET_OUTPUT"), basic(43, 6, "OXM_OF_ACTSET_OUTPUT")];
    // Ethernet, 802.1Q and MPLS
    ETH_SRC, "eth_src", "dl_src", 48, 6, Masked, Mac, Ethernet, Rw, 129, [nxm0(2, 0, "NXM_OF_ETH_SRC"), basic(4, 3, "OXM_OF_ETH_SRC")];
    ETH_DST, "eth_dst", "dl_dst", 48, 6, Masked, Mac, Ethernet, Rw, 130, [nxm0(1, 0, "NXM_OF_ETH_DST"), basic(3, 3, "OXM_OF_ETH_DST")];
    ETH_TYPE, "eth_type", "dl_type", 16, 2, Exact, Hex, Ethernet, Ro, 131, [nxm0(3, 0, "NXM_OF_ETH_TYPE"), basic(5, 3, "OXM_OF_ETH_TYPE")];
    VLAN_VID, "vlan_vid", "", 12, 2, Masked, Dec, Ethernet, Rw, 134, [basic(6, 3, "OXM_OF_VLAN_VID")];
    VLAN_PCP, "vlan_pcp", "", 3, 1, Exact, Dec, Vlan, Rw, 136, [basic(7, 3, "OXM_OF_VLAN_PCP")];
    MPLS_TC, "mpls_tc", "", 3, 1, Exact, Dec, Mpls, Rw, 138, [basic(35, 3, "OXM_OF_MPLS_TC")];
    MPLS_BOS, "mpls_bos", "", 1, 1, Exact, Dec, Mpls, Ro, 139, [basic(36, 4, "OXM_OF_MPLS_BOS")];
    MPLS_TTL, "mpls_ttl", "", 8, 1, Exact, Dec, Mpls, Rw, 140, [nxm1(30, 0, "NXM_NX_MPLS_TTL")];
    MPLS_LABEL, "mpls_label", "", 20, 4, Exact, Dec, Mpls, Rw, 137, [basic(34, 3, "OXM_OF_MPLS_LABEL")];
    // IP
    IPV4_SRC, "ip_src", "nw_src", 32, 4, Masked, Ipv4, Ipv4, Rw, 141, [nxm0(7, 0, "NXM_OF_IP_SRC"), basic(11, 3, "OXM_OF_IPV4_SRC")];
    IPV4_DST, "ip_dst", "nw_dst", 32, 4, Masked, Ipv4, Ipv4, Rw, 142, [nxm0(8, 0, "NXM_OF_IP_DST"), basic(12, 3, "OXM_OF_IPV4_DST")];
    IPV6_SRC, "ipv6_src", "", 128, 16, Masked, Ipv6, Ipv6, Rw, 143, [nxm1(19, 0, "NXM_NX_IPV6_SRC"), basic(26, 3, "OXM_OF_IPV6_SRC")];
    IPV6_DST, "ipv6_dst", "", 128, 16, Masked, Ipv6, Ipv6, Rw, 144, [nxm1(20, 0, "NXM_NX_IPV6_DST"), basic(27, 3, "OXM_OF_IPV6_DST")];
    NW_FRAG, "ip_frag", "nw_frag", 2, 1, Masked, Frag, Ip, Ro, 151, [nxm1(26, 0, "NXM_NX_IP_FRAG")];
    IP_DSCP, "ip_dscp", "", 6, 1, Exact, Dec, Ip, Rw, 148, [basic(8, 3, "OXM_OF_IP_DSCP")];
    IP_ECN, "nw_ecn", "ip_ecn", 2, 1, Exact, Dec, Ip, Rw, 149, [nxm1(28, 0, "NXM_NX_IP_ECN"), basic(9, 3, "OXM_OF_IP_ECN")];
    NW_TTL, "nw_ttl", "", 8, 1, Exact, Dec, Ip, Rw, 150, [nxm1(29, 0, "NXM_NX_IP_TTL")];
    IPV6_LABEL, "ipv6_label", "", 20, 4, Masked, Hex, Ipv6, Rw, 145, [nxm1(27, 0, "NXM_NX_IPV6_LABEL"), basic(28, 3, "OXM_OF_IPV6_FLABEL")];
    IP_PROTO, "nw_proto", "ip_proto", 8, 1, Exact, Dec, Ip, Ro, 146, [nxm0(6, 0, "NXM_OF_IP_PROTO"), basic(10, 3, "OXM_OF_IP_PROTO")];
    // Transport
    TCP_SRC, "tcp_src", "tp_src", 16, 2, Masked, Dec, Tcp, Rw, 157, [nxm0(9, 0, "NXM_OF_TCP_SRC"), basic(13, 3, "OXM_OF_TCP_SRC")];
    TCP_DST, "tcp_dst", "tp_dst", 16, 2, Masked, Dec, Tcp, Rw, 158, [nxm0(10, 0, "NXM_OF_TCP_DST"), basic(14, 3, "OXM_OF_TCP_DST")];
    TCP_FLAGS, "tcp_flags", "", 12, 2, Masked, TcpFlags, Tcp, Ro, 159, [nxm1(34, 0, "NXM_NX_TCP_FLAGS"), onf(42, 4, "ONFOXM_ET_TCP_FLAGS"), basic(42, 6, "OXM_OF_TCP_FLAGS")];
    UDP_SRC, "udp_src", "", 16, 2, Masked, Dec, Udp, Rw, 160, [nxm0(11, 0, "NXM_OF_UDP_SRC"), basic(15, 3, "OXM_OF_UDP_SRC")];
    UDP_DST, "udp_dst", "", 16, 2, Masked, Dec, Udp, Rw, 161, [nxm0(12, 0, "NXM_OF_UDP_DST"), basic(16, 3, "OXM_OF_UDP_DST")];
    SCTP_SRC, "sctp_src", "", 16, 2, Masked, Dec, Sctp, Rw, 162, [basic(17, 3, "OXM_OF_SCTP_SRC")];
    SCTP_DST, "sctp_dst", "", 16, 2, Masked, Dec, Sctp, Rw, 163, [basic(18, 3, "OXM_OF_SCTP_DST")];
    // ICMP and neighbour discovery
    ICMPV4_TYPE, "icmp_type", "", 8, 1, Exact, Dec, Icmp4, Rw, 164, [nxm0(13, 0, "NXM_OF_ICMP_TYPE"), basic(19, 3, "OXM_OF_ICMPV4_TYPE")];
    ICMPV4_CODE, "icmp_code", "", 8, 1, Exact, Dec, Icmp4, Rw, 165, [nxm0(14, 0, "NXM_OF_ICMP_CODE"), basic(20, 3, "OXM_OF_ICMPV4_CODE")];
    ICMPV6_TYPE, "icmpv6_type", "", 8, 1, Exact, Dec, Icmp6, Rw, 166, [nxm1(21, 0, "NXM_NX_ICMPV6_TYPE"), basic(29, 3, "OXM_OF_ICMPV6_TYPE")];
    ICMPV6_CODE, "icmpv6_code", "", 8, 1, Exact, Dec, Icmp6, Rw, 167, [nxm1(22, 0, "NXM_NX_ICMPV6_CODE"), basic(30, 3, "OXM_OF_ICMPV6_CODE")];
    ND_RESERVED, "nd_reserved", "", 32, 4, Exact, Dec, Nd, Rw, 171, [eric(1, 0, "ERICOXM_OF_ICMPV6_ND_RESERVED")];
    ND_TARGET, "nd_target", "", 128, 16, Masked, Ipv6, Nd, Rw, 168, [nxm1(23, 0, "NXM_NX_ND_TARGET"), basic(31, 3, "OXM_OF_IPV6_ND_TARGET")];
    ND_OPTIONS_TYPE, "nd_options_type", "", 8, 1, Exact, Dec, Nd, Rw, 172, [eric(2, 0, "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE")];
    ND_SLL, "nd_sll", "", 48, 6, Masked, Mac, NdSolicit, Rw, 169, [nxm1(24, 0, "NXM_NX_ND_SLL"), basic(32, 3, "OXM_OF_IPV6_ND_SLL")];
    ND_TLL, "nd_tll", "", 48, 6, Masked, Mac, NdAdvert, Rw, 170, [nxm1(25, 0, "NXM_NX_ND_TLL"), basic(33, 3, "OXM_OF_IPV6_ND_TLL")];
    // ARP
    ARP_OP, "arp_op", "", 16, 2, Exact, Dec, Arp, Rw, 152, [nxm0(15, 0, "NXM_OF_ARP_OP"), basic(21, 3, "OXM_OF_ARP_OP")];
    ARP_SPA, "arp_spa", "", 32, 4, Masked, Ipv4, Arp, Rw, 153, [nxm0(16, 0, "NXM_OF_ARP_SPA"), basic(22, 3, "OXM_OF_ARP_SPA")];
    ARP_TPA, "arp_tpa", "", 32, 4, Masked, Ipv4, Arp, Rw, 154, [nxm0(17, 0, "NXM_OF_ARP_TPA"), basic(23, 3, "OXM_OF_ARP_TPA")];
    ARP_SHA, "arp_sha", "", 48, 6, Masked, Mac, Arp, Rw, 155, [nxm1(17, 0, "NXM_NX_ARP_SHA"), basic(24, 3, "OXM_OF_ARP_SHA")];
    ARP_THA, "arp_tha", "", 48, 6, Masked, Mac, Arp, Rw, 156, [nxm1(18, 0, "NXM_NX_ARP_THA"), basic(25, 3, "OXM_OF_ARP_THA")];
    // Tunnels
    TUN_ID, "tun_id", "tunnel_id", 64, 8, Masked, Hex, Nothing, Rw, 4, [nxm1(16, 0, "NXM_NX_TUN_ID"), basic(38, 4, "OXM_OF_TUNNEL_ID")];
    TUN_FLAGS, "tun_flags", "", 1, 2, Masked, TunFlags, Nothing, Rw, 9, [nxm1(104, 0, "NXM_NX_TUN_FLAGS")];
    TUN_SRC, "tun_src", "", 32, 4, Masked, Ipv4, Nothing, Rw, 5, [nxm1(31, 0, "NXM_NX_TUN_IPV4_SRC")];
    TUN_DST, "tun_dst", "", 32, 4, Masked, Ipv4, Nothing, Rw, 6, [nxm1(32, 0, "NXM_NX_TUN_IPV4_DST")];
    TUN_IPV6_SRC, "tun_ipv6_src", "", 128, 16, Masked, Ipv6, Nothing, Rw, 7, [nxm1(109, 0, "NXM_NX_TUN_IPV6_SRC")];
    TUN_IPV6_DST, "tun_ipv6_dst", "", 128, 16, Masked, Ipv6, Nothing, Rw, 8, [nxm1(110, 0, "NXM_NX_TUN_IPV6_DST")];
    TUN_GBP_ID, "tun_gbp_id", "", 16, 2, Masked, Dec, Nothing, Rw, 12, [nxm1(38, 0, "NXM_NX_TUN_GBP_ID")];
    TUN_GBP_FLAGS, "tun_gbp_flags", "", 8, 1, Masked, Hex, Nothing, Rw, 13, [nxm1(39, 0, "NXM_NX_TUN_GBP_FLAGS")];
    // Tunnel options, mapped by the TLV table
    TUN_METADATA0, "tun_metadata0", "", 992, 124, Masked, Hex, Nothing, Rw, 20, [nxm1(40, 0, "NXM_NX_TUN_METADATA0")];
    TUN_METADATA1, "tun_metadata1", "", 992, 124, Masked, Hex, Nothing, Rw, 21, [nxm1(41, 0, "NXM_NX_TUN_METADATA1")];
    TUN_METADATA2, "tun_metadata2", "", 992, 124, Masked, Hex, Nothing, Rw, 22, [nxm1(42, 0, "NXM_NX_TUN_METADATA2")];
    TUN_METADATA3, "tun_metadata3", "", 992, 124, Masked, Hex, Nothing, Rw, 23, [nxm1(43, 0, "NXM_NX_TUN_METADATA3")];
    TUN_METADATA4, "tun_metadata4", "", 992, 124, Masked, Hex, Nothing, Rw, 24, [nxm1(44, 0, "NXM_NX_TUN_METADATA4")];
    TUN_METADATA5, "tun_metadata5", "", 992, 124, Masked, Hex, Nothing, Rw, 25, [nxm1(45, 0, "NXM_NX_TUN_METADATA5")];
    TUN_METADATA6, "tun_metadata6", "", 992, 124, Masked, Hex, Nothing, Rw, 26, [nxm1(46, 0, "NXM_NX_TUN_METADATA6")];
    TUN_METADATA7, "tun_metadata7", "", 992, 124, Masked, Hex, Nothing, Rw, 27, [nxm1(47, 0, "NXM_NX_TUN_METADATA7")];
    TUN_METADATA8, "tun_metadata8", "", 992, 124, Masked, Hex, Nothing, Rw, 28, [nxm1(48, 0, "NXM_NX_TUN_METADATA8")];
    TUN_METADATA9, "tun_metadata9", "", 992, 124, Masked, Hex, Nothing, Rw, 29, [nxm1(49, 0, "NXM_NX_TUN_METADATA9")];
    TUN_METADATA10, "tun_metadata10", "", 992, 124, Masked, Hex, Nothing, Rw, 30, [nxm1(50, 0, "NXM_NX_TUN_METADATA10")];
    TUN_METADATA11, "tun_metadata11", "", 992, 124, Masked, Hex, Nothing, Rw, 31, [nxm1(51, 0, "NXM_NX_TUN_METADATA11")];
    TUN_METADATA12, "tun_metadata12", "", 992, 124, Masked, Hex, Nothing, Rw, 32, [nxm1(52, 0, "NXM_NX_TUN_METADATA12")];
    TUN_METADATA13, "tun_metadata13", "", 992, 124, Masked, Hex, Nothing, Rw, 33, [nxm1(53, 0, "NXM_NX_TUN_METADATA13")];
    TUN_METADATA14, "tun_metadata14", "", 992, 124, Masked, Hex, Nothing, Rw, 34, [nxm1(54, 0, "NXM_NX_TUN_METADATA14")];
    TUN_METADATA15, "tun_metadata15", "", 992, 124, Masked, Hex, Nothing, Rw, 35, [nxm1(55, 0, "NXM_NX_TUN_METADATA15")];
    TUN_METADATA16, "tun_metadata16", "", 992, 124, Masked, Hex, Nothing, Rw, 36, [nxm1(56, 0, "NXM_NX_TUN_METADATA16")];
    TUN_METADATA17, "tun_metadata17", "", 992, 124, Masked, Hex, Nothing, Rw, 37, [nxm1(57, 0, "NXM_NX_TUN_METADATA17")];
    TUN_METADATA18, "tun_metadata18", "", 992, 124, Masked, Hex, Nothing, Rw, 38, [nxm1(58, 0, "NXM_NX_TUN_METADATA18")];
    TUN_METADATA19, "tun_metadata19", "", 992, 124, Masked, Hex, Nothing, Rw, 39, [nxm1(59, 0, "NXM_NX_TUN_METADATA19")];
    TUN_METADATA20, "tun_metadata20", "", 992, 124, Masked, Hex, Nothing, Rw, 40, [nxm1(60, 0, "NXM_NX_TUN_METADATA20")];
    TUN_METADATA21, "tun_metadata21", "", 992, 124, Masked, Hex, Nothing, Rw, 41, [nxm1(61, 0, "NXM_NX_TUN_METADATA21")];
    TUN_METADATA22, "tun_metadata22", "", 992, 124, Masked, Hex, Nothing, Rw, 42, [nxm1(62, 0, "NXM_NX_TUN_METADATA22")];
    TUN_METADATA23, "tun_metadata23", "", 992, 124, Masked, Hex, Nothing, Rw, 43, [nxm1(63, 0, "NXM_NX_TUN_METADATA23")];
    TUN_METADATA24, "tun_metadata24", "", 992, 124, Masked, Hex, Nothing, Rw, 44, [nxm1(64, 0, "NXM_NX_TUN_METADATA24")];
    TUN_METADATA25, "tun_metadata25", "", 992, 124, Masked, Hex, Nothing, Rw, 45, [nxm1(65, 0, "NXM_NX_TUN_METADATA25")];
    TUN_METADATA26, "tun_metadata26", "", 992, 124, Masked, Hex, Nothing, Rw, 46, [nxm1(66, 0, "NXM_NX_TUN_METADATA26")];
    TUN_METADATA27, "tun_metadata27", "", 992, 124, Masked, Hex, Nothing, Rw, 47, [nxm1(67, 0, "NXM_NX_TUN_METADATA27")];
    TUN_METADATA28, "tun_metadata28", "", 992, 124, Masked, Hex, Nothing, Rw, 48, [nxm1(68, 0, "NXM_NX_TUN_METADATA28")];
    TUN_METADATA29, "tun_metadata29", "", 992, 124, Masked, Hex, Nothing, Rw, 49, [nxm1(69, 0, "NXM_NX_TUN_METADATA29")];
    TUN_METADATA30, "tun_metadata30", "", 992, 124, Masked, Hex, Nothing, Rw, 50, [nxm1(70, 0, "NXM_NX_TUN_METADATA30")];
    TUN_METADATA31, "tun_metadata31", "", 992, 124, Masked, Hex, Nothing, Rw, 51, [nxm1(71, 0, "NXM_NX_TUN_METADATA31")];
    TUN_METADATA32, "tun_metadata32", "", 992, 124, Masked, Hex, Nothing, Rw, 52, [nxm1(72, 0, "NXM_NX_TUN_METADATA32")];
    TUN_METADATA33, "tun_metadata33", "", 992, 124, Masked, Hex, Nothing, Rw, 53, [nxm1(73, 0, "NXM_NX_TUN_METADATA33")];
    TUN_METADATA34, "tun_metadata34", "", 992, 124, Masked, Hex, Nothing, Rw, 54, [nxm1(74, 0, "NXM_NX_TUN_METADATA34")];
    TUN_METADATA35, "tun_metadata35", "", 992, 124, Masked, Hex, Nothing, Rw, 55, [nxm1(75, 0, "NXM_NX_TUN_METADATA35")];
    TUN_METADATA36, "tun_metadata36", "", 992, 124, Masked, Hex, Nothing, Rw, 56, [nxm1(76, 0, "NXM_NX_TUN_METADATA36")];
    TUN_METADATA37, "tun_metadata37", "", 992, 124, Masked, Hex, Nothing, Rw, 57, [nxm1(77, 0, "NXM_NX_TUN_METADATA37")];
    TUN_METADATA38, "tun_metadata38", "", 992, 124, Masked, Hex, Nothing, Rw, 58, [nxm1(78, 0, "NXM_NX_TUN_METADATA38")];
    TUN_METADATA39, "tun_metadata39", "", 992, 124, Masked, Hex, Nothing, Rw, 59, [nxm1(79, 0, "NXM_NX_TUN_METADATA39")];
    TUN_METADATA40, "tun_metadata40", "", 992, 124, Masked, Hex, Nothing, Rw, 60, [nxm1(80, 0, "NXM_NX_TUN_METADATA40")];
    TUN_METADATA41, "tun_metadata41", "", 992, 124, Masked, Hex, Nothing, Rw, 61, [nxm1(81, 0, "NXM_NX_TUN_METADATA41")];
    TUN_METADATA42, "tun_metadata42", "", 992, 124, Masked, Hex, Nothing, Rw, 62, [nxm1(82, 0, "NXM_NX_TUN_METADATA42")];
    TUN_METADATA43, "tun_metadata43", "", 992, 124, Masked, Hex, Nothing, Rw, 63, [nxm1(83, 0, "NXM_NX_TUN_METADATA43")];
    TUN_METADATA44, "tun_metadata44", "", 992, 124, Masked, Hex, Nothing, Rw, 64, [nxm1(84, 0, "NXM_NX_TUN_METADATA44")];
    TUN_METADATA45, "tun_metadata45", "", 992, 124, Masked, Hex, Nothing, Rw, 65, [nxm1(85, 0, "NXM_NX_TUN_METADATA45")];
    TUN_METADATA46, "tun_metadata46", "", 992, 124, Masked, Hex, Nothing, Rw, 66, [nxm1(86, 0, "NXM_NX_TUN_METADATA46")];
    TUN_METADATA47, "tun_metadata47", "", 992, 124, Masked, Hex, Nothing, Rw, 67, [nxm1(87, 0, "NXM_NX_TUN_METADATA47")];
    TUN_METADATA48, "tun_metadata48", "", 992, 124, Masked, Hex, Nothing, Rw, 68, [nxm1(88, 0, "NXM_NX_TUN_METADATA48")];
    TUN_METADATA49, "tun_metadata49", "", 992, 124, Masked, Hex, Nothing, Rw, 69, [nxm1(89, 0, "NXM_NX_TUN_METADATA49")];
    TUN_METADATA50, "tun_metadata50", "", 992, 124, Masked, Hex, Nothing, Rw, 70, [nxm1(90, 0, "NXM_NX_TUN_METADATA50")];
    TUN_METADATA51, "tun_metadata51", "", 992, 124, Masked, Hex, Nothing, Rw, 71, [nxm1(91, 0, "NXM_NX_TUN_METADATA51")];
    TUN_METADATA52, "tun_metadata52", "", 992, 124, Masked, Hex, Nothing, Rw, 72, [nxm1(92, 0, "NXM_NX_TUN_METADATA52")];
    TUN_METADATA53, "tun_metadata53", "", 992, 124, Masked, Hex, Nothing, Rw, 73, [nxm1(93, 0, "NXM_NX_TUN_METADATA53")];
    TUN_METADATA54, "tun_metadata54", "", 992, 124, Masked, Hex, Nothing, Rw, 74, [nxm1(94, 0, "NXM_NX_TUN_METADATA54")];
    TUN_METADATA55, "tun_metadata55", "", 992, 124, Masked, Hex, Nothing, Rw, 75, [nxm1(95, 0, "NXM_NX_TUN_METADATA55")];
    TUN_METADATA56, "tun_metadata56", "", 992, 124, Masked, Hex, Nothing, Rw, 76, [nxm1(96, 0, "NXM_NX_TUN_METADATA56")];
    TUN_METADATA57, "tun_metadata57", "", 992, 124, Masked, Hex, Nothing, Rw, 77, [nxm1(97, 0, "NXM_NX_TUN_METADATA57")];
    TUN_METADATA58, "tun_metadata58", "", 992, 124, Masked, Hex, Nothing, Rw, 78, [nxm1(98, 0, "NXM_NX_TUN_METADATA58")];
    TUN_METADATA59, "tun_metadata59", "", 992, 124, Masked, Hex, Nothing, Rw, 79, [nxm1(99, 0, "NXM_NX_TUN_METADATA59")];
    TUN_METADATA60, "tun_metadata60", "", 992, 124, Masked, Hex, Nothing, Rw, 80, [nxm1(100, 0, "NXM_NX_TUN_METADATA60")];
    TUN_METADATA61, "tun_metadata61", "", 992, 124, Masked, Hex, Nothing, Rw, 81, [nxm1(101, 0, "NXM_NX_TUN_METADATA61")];
    TUN_METADATA62, "tun_metadata62", "", 992, 124, Masked, Hex, Nothing, Rw, 82, [nxm1(102, 0, "NXM_NX_TUN_METADATA62")];
    TUN_METADATA63, "tun_metadata63", "", 992, 124, Masked, Hex, Nothing, Rw, 83, [nxm1(103, 0, "NXM_NX_TUN_METADATA63")];
    // ERSPAN and GTP-U
    TUN_ERSPAN_IDX, "tun_erspan_idx", "", 20, 4, Masked, Hex, Nothing, Rw, 14, [nicira(11, 0, "NXOXM_ET_ERSPAN_IDX")];
    TUN_ERSPAN_VER, "tun_erspan_ver", "", 4, 1, Masked, Dec, Nothing, Rw, 15, [nicira(12, 0, "NXOXM_ET_ERSPAN_VER")];
    TUN_ERSPAN_DIR, "tun_erspan_dir", "", 1, 1, Masked, Dec, Nothing, Rw, 16, [nicira(13, 0, "NXOXM_ET_ERSPAN_DIR")];
    TUN_ERSPAN_HWID, "tun_erspan_hwid", "", 6, 1, Masked, Hex, Nothing, Rw, 17, [nicira(14, 0, "NXOXM_ET_ERSPAN_HWID")];
    TUN_GTPU_FLAGS, "tun_gtpu_flags", "", 8, 1, Masked, Hex, Nothing, Ro, 18, [nicira(15, 0, "NXOXM_ET_GTPU_FLAGS")];
    TUN_GTPU_MSGTYPE, "tun_gtpu_msgtype", "", 8, 1, Masked, Dec, Nothing, Ro, 19, [nicira(16, 0, "NXOXM_ET_GTPU_MSGTYPE")];
    // Network Service Header
    NSH_FLAGS, "nsh_flags", "", 8, 1, Masked, Dec, Nsh, Rw, 173, [nsh(1, 0, "NXOXM_NSH_FLAGS")];
    NSH_TTL, "nsh_ttl", "", 8, 1, Exact, Dec, Nsh, Rw, 182, [nsh(10, 0, "NXOXM_NSH_TTL")];
    NSH_MDTYPE, "nsh_mdtype", "", 8, 1, Exact, Dec, Nsh, Ro, 174, [nsh(2, 0, "NXOXM_NSH_MDTYPE")];
    NSH_NP, "nsh_np", "", 8, 1, Exact, Dec, Nsh, Ro, 175, [nsh(3, 0, "NXOXM_NSH_NP")];
    NSH_SPI, "nsh_spi", "nsp", 24, 4, Exact, Hex, Nsh, Rw, 176, [nsh(4, 0, "NXOXM_NSH_SPI")];
    NSH_SI, "nsh_si", "nsi", 8, 1, Exact, Dec, Nsh, Rw, 177, [nsh(5, 0, "NXOXM_NSH_SI")];
    NSH_C1, "nsh_c1", "nshc1", 32, 4, Masked, Hex, Nsh, Rw, 178, [nsh(6, 0, "NXOXM_NSH_C1")];
    NSH_C2, "nsh_c2", "nshc2", 32, 4, Masked, Hex, Nsh, Rw, 179, [nsh(7, 0, "NXOXM_NSH_C2")];
    NSH_C3, "nsh_c3", "nshc3", 32, 4, Masked, Hex, Nsh, Rw, 180, [nsh(8, 0, "NXOXM_NSH_C3")];
    NSH_C4, "nsh_c4", "nshc4", 32, 4, Masked, Hex, Nsh, Rw, 181, [nsh(9, 0, "NXOXM_NSH_C4")];
    // Registers
    REG0, "reg0", "", 32, 4, Masked, Hex, Nothing, Rw, 101, [nxm1(0, 0, "NXM_NX_REG0")];
    REG1, "reg1", "", 32, 4, Masked, Hex, Nothing, Rw, 102, [nxm1(1, 0, "NXM_NX_REG1")];
    REG2, "reg2", "", 32, 4, Masked, Hex, Nothing, Rw, 103, [nxm1(2, 0, "NXM_NX_REG2")];
    REG3, "reg3", "", 32, 4, Masked, Hex, Nothing, Rw, 104, [nxm1(3, 0, "NXM_NX_REG3")];
    REG4, "reg4", "", 32, 4, Masked, Hex, Nothing, Rw, 105, [nxm1(4, 0, "NXM_NX_REG4")];
    REG5, "reg5", "", 32, 4, Masked, Hex, Nothing, Rw, 106, [nxm1(5, 0, "NXM_NX_REG5")];
    REG6, "reg6", "", 32, 4, Masked, Hex, Nothing, Rw, 107, [nxm1(6, 0, "NXM_NX_REG6")];
    REG7, "reg7", "", 32, 4, Masked, Hex, Nothing, Rw, 108, [nxm1(7, 0, "NXM_NX_REG7")];
    REG8, "reg8", "", 32, 4, Masked, Hex, Nothing, Rw, 109, [nxm1(8, 0, "NXM_NX_REG8")];
    REG9, "reg9", "", 32, 4, Masked, Hex, Nothing, Rw, 110, [nxm1(9, 0, "NXM_NX_REG9")];
    REG10, "reg10", "", 32, 4, Masked, Hex, Nothing, Rw, 111, [nxm1(10, 0, "NXM_NX_REG10")];
    REG11, "reg11", "", 32, 4, Masked, Hex, Nothing, Rw, 112, [nxm1(11, 0, "NXM_NX_REG11")];
    REG12, "reg12", "", 32, 4, Masked, Hex, Nothing, Rw, 113, [nxm1(12, 0, "NXM_NX_REG12")];
    REG13, "reg13", "", 32, 4, Masked, Hex, Nothing, Rw, 114, [nxm1(13, 0, "NXM_NX_REG13")];
    REG14, "reg14", "", 32, 4, Masked, Hex, Nothing, Rw, 115, [nxm1(14, 0, "NXM_NX_REG14")];
    REG15, "reg15", "", 32, 4, Masked, Hex, Nothing, Rw, 116, [nxm1(15, 0, "NXM_NX_REG15")];
    // Marks and connection tracking
    PKT_MARK, "pkt_mark", "", 32, 4, Masked, Hex, Nothing, Rw, 89, [nxm1(33, 0, "NXM_NX_PKT_MARK")];
    CT_STATE, "ct_state", "", 32, 4, Masked, CtState, Nothing, Ro, 90, [nxm1(105, 0, "NXM_NX_CT_STATE")];
    CT_ZONE, "ct_zone", "", 16, 2, Exact, Hex, Nothing, Ro, 91, [nxm1(106, 0, "NXM_NX_CT_ZONE")];
    CT_MARK, "ct_mark", "", 32, 4, Masked, Hex, Nothing, Rw, 92, [nxm1(107, 0, "NXM_NX_CT_MARK")];
    CT_LABEL, "ct_label", "", 128, 16, Masked, Hex, Nothing, Rw, 93, [nxm1(108, 0, "NXM_NX_CT_LABEL")];
    CT_NW_SRC, "ct_nw_src", "", 32, 4, Masked, Ipv4, CtValid, Ro, 95, [nxm1(120, 0, "NXM_NX_CT_NW_SRC")];
    CT_IPV6_SRC, "ct_ipv6_src", "", 128, 16, Masked, Ipv6, CtValid, Ro, 97, [nxm1(122, 0, "NXM_NX_CT_IPV6_SRC")];
    CT_NW_DST, "ct_nw_dst", "", 32, 4, Masked, Ipv4, CtValid, Ro, 96, [nxm1(121, 0, "NXM_NX_CT_NW_DST")];
    CT_IPV6_DST, "ct_ipv6_dst", "", 128, 16, Masked, Ipv6, CtValid, Ro, 98, [nxm1(123, 0, "NXM_NX_CT_IPV6_DST")];
    CT_NW_PROTO, "ct_nw_proto", "", 8, 1, Exact, Dec, CtValid, Ro, 94, [nxm1(119, 0, "NXM_NX_CT_NW_PROTO")];
    CT_TP_SRC, "ct_tp_src", "", 16, 2, Masked, Dec, CtValid, Ro, 99, [nxm1(124, 0, "NXM_NX_CT_TP_SRC")];
    CT_TP_DST, "ct_tp_dst", "", 16, 2, Masked, Dec, CtValid, Ro, 100, [nxm1(125, 0, "NXM_NX_CT_TP_DST")];
    METADATA, "metadata", "", 64, 8, Masked, Hex, Nothing, Rw, 84, [basic(2, 3, "OXM_OF_METADATA")];
    // Other views of the above, or without a place in an OpenFlow 1.3 match
    TUN_TTL, "tun_ttl", "", 8, 1, Exact, Dec, Nothing, Ro, 10, [];
    TUN_TOS, "tun_tos", "", 8, 1, Exact, Dec, Nothing, Ro, 11, [];
    IN_PORT_NXM, "in_port", "", 16, 2, Exact, Port16, Nothing, Rw, 85, [nxm0(0, 0, "NXM_OF_IN_PORT")];
    SKB_PRIORITY, "skb_priority", "", 32, 4, Exact, Hex, Nothing, Ro, 88, [];
    XREG0, "xreg0", "", 64, 8, Masked, Hex, Nothing, Rw, 117, [pkt_reg(0, 4, "OXM_OF_PKT_REG0")];
    XREG1, "xreg1", "", 64, 8, Masked, Hex, Nothing, Rw, 118, [pkt_reg(1, 4, "OXM_OF_PKT_REG1")];
    XREG2, "xreg2", "", 64, 8, Masked, Hex, Nothing, Rw, 119, [pkt_reg(2, 4, "OXM_OF_PKT_REG2")];
    XREG3, "xreg3", "", 64, 8, Masked, Hex, Nothing, Rw, 120, [pkt_reg(3, 4, "OXM_OF_PKT_REG3")];
    XREG4, "xreg4", "", 64, 8, Masked, Hex, Nothing, Rw, 121, [pkt_reg(4, 4, "OXM_OF_PKT_REG4")];
    XREG5, "xreg5", "", 64, 8, Masked, Hex, Nothing, Rw, 122, [pkt_reg(5, 4, "OXM_OF_PKT_REG5")];
    XREG6, "xreg6", "", 64, 8, Masked, Hex, Nothing, Rw, 123, [pkt_reg(6, 4, "OXM_OF_PKT_REG6")];
    XREG7, "xreg7", "", 64, 8, Masked, Hex, Nothing, Rw, 124, [pkt_reg(7, 4, "OXM_OF_PKT_REG7")];
    XXREG0, "xxreg0", "", 128, 16, Masked, Hex, Nothing, Rw, 125, [nxm1(111, 0, "NXM_NX_XXREG0")];
    XXREG1, "xxreg1", "", 128, 16, Masked, Hex, Nothing, Rw, 126, [nxm1(112, 0, "NXM_NX_XXREG1")];
    XXREG2, "xxreg2", "", 128, 16, Masked, Hex, Nothing, Rw, 127, [nxm1(113, 0, "NXM_NX_XXREG2")];
    XXREG3, "xxreg3", "", 128, 16, Masked, Hex, Nothing, Rw, 128, [nxm1(114, 0, "NXM_NX_XXREG3")];
    VLAN_TCI, "vlan_tci", "", 16, 2, Masked, Hex, Ethernet, Rw, 132, [nxm0(4, 0, "NXM_OF_VLAN_TCI")];
    DL_VLAN, "dl_vlan", "", 12, 2, Exact, Dec, Ethernet, Rw, 133, [];
    DL_VLAN_PCP, "dl_vlan_pcp", "", 3, 1, Exact, Dec, Ethernet, Rw, 135, [];
    NW_TOS, "nw_tos", "", 8, 1, Exact, Dec, Ip, Rw, 147, [nxm0(5, 0, "NXM_OF_IP_TOS")];
}
