//! Random flows in the syntax of `ovs-ofctl add-flow`.

use super::random::Random;

pub(crate) struct Generator<'a> {
    pub(crate) r: &'a mut Random,
}

const WRITABLE: [&str; 30] = [
    "NXM_NX_REG0",
    "NXM_NX_REG1",
    "NXM_NX_REG7",
    "NXM_NX_REG15",
    "OXM_OF_PKT_REG0",
    "NXM_NX_XXREG0",
    "NXM_NX_TUN_ID",
    "OXM_OF_METADATA",
    "NXM_NX_PKT_MARK",
    "NXM_OF_ETH_SRC",
    "NXM_OF_ETH_DST",
    "NXM_NX_TUN_IPV4_SRC",
    "NXM_NX_TUN_IPV4_DST",
    "NXM_NX_TUN_IPV6_DST",
    "NXM_OF_IN_PORT",
    "reg3",
    "xreg2",
    "xxreg1",
    "metadata",
    "tun_id",
    "eth_src",
    "dl_dst",
    "NXM_NX_TUN_GBP_ID",
    "NXM_NX_TUN_GBP_FLAGS",
    "NXM_NX_TUN_FLAGS",
    "NXM_OF_VLAN_TCI",
    "NXOXM_ET_ERSPAN_IDX",
    "NXM_NX_TUN_METADATA3",
    "in_port_oxm",
    "reg9",
];
const WIDTHS: [u32; 30] = [
    32, 32, 32, 32, 64, 128, 64, 64, 32, 48, 48, 32, 32, 128, 16, 32, 64, 128, 64, 64, 48, 48, 16,
    8, 1, 16, 20, 992, 32, 32,
];

impl Generator<'_> {
    fn n(&mut self, bits: u32) -> String {
        let v = self.r.bits(bits);
        if self.r.one_in(2) || v > u128::from(u64::MAX) {
            format!("{v:#x}")
        } else {
            v.to_string()
        }
    }

    fn masked(&mut self, bits: u32) -> String {
        let v = self.r.bits(bits);
        if self.r.one_in(2) {
            return self.n(bits);
        }
        let m = self.r.bits(bits);
        format!("{:#x}/{m:#x}", v & m)
    }

    fn mac(&mut self) -> String {
        let b = (self.r.bits(48) as u64).to_be_bytes();
        format!(
            "{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            b[2], b[3], b[4], b[5], b[6], b[7]
        )
    }

    fn mac_masked(&mut self) -> String {
        let v = self.mac();
        if self.r.one_in(2) {
            v
        } else {
            format!("{v}/{}", self.mac())
        }
    }

    fn ip(&mut self) -> String {
        std::net::Ipv4Addr::from(self.r.bits(32) as u32).to_string()
    }

    fn ip_masked(&mut self) -> String {
        let ip = self.ip();
        match self.r.below(4) {
            0 => ip,
            1 | 2 => format!("{ip}/{}", self.r.below(33)),
            _ => format!("{ip}/{}", self.ip()),
        }
    }

    fn ip6(&mut self) -> String {
        let v = match self.r.below(4) {
            0 => self.r.bits(128),
            1 => self.r.bits(128) & !(0xffff_ffff << 32),
            2 => 0xfe80 << 112 | self.r.bits(20),
            _ => self.r.bits(40),
        };
        std::net::Ipv6Addr::from(v).to_string()
    }

    fn ip6_masked(&mut self) -> String {
        let ip = self.ip6();
        match self.r.below(4) {
            0 => ip,
            1 | 2 => format!("{ip}/{}", self.r.below(129)),
            _ => format!("{ip}/{}", self.ip6()),
        }
    }

    fn port(&mut self) -> String {
        match self.r.below(6) {
            0 => "LOCAL".into(),
            1 => self
                .r
                .pick(&["in_port", "IN_PORT", "65534", "4294967294"])
                .to_string(),
            _ => self.r.below(0xff00).to_string(),
        }
    }

    fn flags(&mut self, names: &[&str]) -> String {
        let mut out = String::new();
        for name in names {
            match self.r.below(4) {
                0 => out += &format!("+{name}"),
                1 => out += &format!("-{name}"),
                _ => {}
            }
        }
        if out.is_empty() {
            format!("+{}", names[0])
        } else {
            out
        }
    }

    /// A subfield and how many bits it has.
    fn subfield(&mut self) -> (String, u32) {
        let i = self.r.below(WRITABLE.len() as u64) as usize;
        let (name, width) = (WRITABLE[i], WIDTHS[i]);
        let n = 1 + self.r.below(u64::from(width)) as u32;
        let start = self.r.below(u64::from(width - n + 1)) as u32;
        match self.r.below(4) {
            0 | 1 => (format!("{name}[]"), width),
            2 => (format!("{name}[{start}..{}]", start + n - 1), n),
            _ => (format!("{name}[{start}]"), 1),
        }
    }

    /// A subfield of exactly `n` bits.
    fn subfield_of(&mut self, n: u32) -> Option<String> {
        for _ in 0..50 {
            let i = self.r.below(WRITABLE.len() as u64) as usize;
            if WIDTHS[i] >= n {
                let start = self.r.below(u64::from(WIDTHS[i] - n + 1)) as u32;
                return Some(format!("{}[{start}..{}]", WRITABLE[i], start + n - 1));
            }
        }
        None
    }

    /// The match: shorthand and all fields that go with it.
    fn fields(&mut self, proto: &str) -> Vec<String> {
        let mut out = vec![];
        if !proto.is_empty() {
            out.push(proto.to_owned());
        }
        let ip = ["ip", "tcp", "udp", "sctp", "icmp"].contains(&proto);
        let ip6 = ["ipv6", "tcp6", "udp6", "sctp6", "icmp6"].contains(&proto);
        let l4 = ["tcp", "udp", "sctp", "tcp6", "udp6", "sctp6"].contains(&proto);
        if ip || ip6 {
            for _ in 0..self.r.below(4) {
                let f = match self.r.below(10) {
                    0 if ip => format!("nw_src={}", self.ip_masked()),
                    1 if ip => format!(
                        "{}={}",
                        self.r.pick(&["nw_dst", "ip_dst"]).to_owned(),
                        self.ip_masked()
                    ),
                    0 => format!("ipv6_src={}", self.ip6_masked()),
                    1 => format!("ipv6_dst={}", self.ip6_masked()),
                    2 => format!("nw_tos={}", self.r.below(64) * 4),
                    3 => format!("nw_ecn={}", self.r.below(4)),
                    4 => format!("nw_ttl={}", self.n(8)),
                    5 => format!(
                        "nw_frag={}",
                        self.r.pick(&["no", "yes", "first", "later", "not_later"])
                    ),
                    6 => format!("ip_dscp={}", self.r.below(64)),
                    7 => format!("ipv6_label={}", self.masked(20)),
                    8 if proto == "ip" || proto == "ipv6" => format!("nw_proto={}", self.n(8)),
                    _ => continue,
                };
                out.push(f);
            }
        }
        if l4 {
            if self.r.one_in(2) {
                let base = proto.trim_end_matches('6');
                let name = if self.r.one_in(2) {
                    "tp_src".into()
                } else {
                    format!("{base}_src")
                };
                out.push(format!("{name}={}", self.masked(16)));
            }
            if self.r.one_in(2) {
                out.push(format!("tp_dst={}", self.masked(16)));
            }
            if proto.starts_with("tcp") && self.r.one_in(3) {
                let f = match self.r.below(4) {
                    0 => self.masked(12),
                    1 => "syn|ack".into(),
                    _ => {
                        self.flags(&["syn", "ack", "fin", "rst", "psh", "urg", "ece", "cwr", "ns"])
                    }
                };
                out.push(format!("tcp_flags={f}"));
            }
        }
        if proto == "icmp" {
            if self.r.one_in(2) {
                out.push(format!("icmp_type={}", self.n(8)));
            }
            if self.r.one_in(2) {
                out.push(format!("icmp_code={}", self.n(8)));
            }
        }
        if proto == "icmp6" {
            let ty = *self.r.pick(&[135, 136, 1, 128]);
            out.push(format!("icmp_type={ty}").replace("icmp_", "icmpv6_"));
            out.push(format!(
                "icmpv6_code={}",
                if self.r.one_in(5) { 1 } else { 0 }
            ));
            if self.r.one_in(2) {
                out.push(format!("nd_target={}", self.ip6_masked()));
            }
            if self.r.one_in(2) {
                out.push(format!("nd_sll={}", self.mac_masked()));
            }
            if self.r.one_in(2) {
                out.push(format!("nd_tll={}", self.mac_masked()));
            }
            if self.r.one_in(3) {
                out.push(format!("nd_reserved={}", self.n(32)));
            }
            if self.r.one_in(3) {
                out.push(format!("nd_options_type={}", self.n(8)));
            }
        }
        if proto == "arp" || proto == "rarp" {
            for _ in 0..self.r.below(4) {
                let f = match self.r.below(5) {
                    0 => format!("arp_op={}", self.n(8)),
                    1 => format!("arp_spa={}", self.ip_masked()),
                    2 => format!("arp_tpa={}", self.ip_masked()),
                    3 => format!("arp_sha={}", self.mac_masked()),
                    _ => format!("arp_tha={}", self.mac_masked()),
                };
                out.push(f);
            }
        }
        if proto == "mpls" || proto == "mplsm" {
            for _ in 0..self.r.below(3) {
                let f = match self.r.below(4) {
                    0 => format!("mpls_label={}", self.n(20)),
                    1 => format!("mpls_tc={}", self.n(3)),
                    2 => format!("mpls_ttl={}", self.n(8)),
                    _ => format!("mpls_bos={}", self.n(1)),
                };
                out.push(f);
            }
        }
        if proto == "dl_type=0x894f" {
            for _ in 0..self.r.below(5) {
                let f = match self.r.below(8) {
                    0 => format!("nsh_flags={}", self.masked(8)),
                    1 => format!("nsh_ttl={}", self.n(6)),
                    2 => format!("nsh_mdtype={}", 1 + self.r.below(2)),
                    3 => format!("nsh_np={}", self.n(8)),
                    4 => format!("nsh_spi={}", self.n(24)),
                    5 => format!("nsh_si={}", self.n(8)),
                    6 => format!("nsh_c{}={}", 1 + self.r.below(4), self.masked(32)),
                    _ => format!("nsh_mdtype=1,nsh_c1={},nsh_c4={}", self.n(32), self.n(32)),
                };
                out.push(f);
            }
        }
        for _ in 0..self.r.below(5) {
            let f = self.any_field();
            out.push(f);
        }
        out
    }

    /// A field that every packet has.
    fn any_field(&mut self) -> String {
        match self.r.below(36) {
            0..=4 => format!("reg{}={}", self.r.below(16), self.masked(32)),
            5 => format!("xreg{}={}", self.r.below(8), self.masked(64)),
            6 => format!("xxreg{}={}", self.r.below(4), self.masked(128)),
            7 => format!("metadata={}", self.masked(64)),
            8 => format!("tun_id={}", self.masked(64)),
            9 => format!("tun_src={}", self.ip_masked()),
            10 => format!("tun_dst={}", self.ip_masked()),
            11 => format!("tun_ipv6_src={}", self.ip6_masked()),
            12 => format!("tun_ipv6_dst={}", self.ip6_masked()),
            13 => format!("tun_gbp_id={}", self.masked(16)),
            14 => format!("tun_gbp_flags={}", self.masked(8)),
            15 => format!("tun_flags={}", self.r.pick(&["+oam", "-oam", "oam", "0"])),
            16..=18 => format!("in_port={}", self.port()),
            19 => format!("dl_src={}", self.mac_masked()),
            20 => format!("dl_dst={}", self.mac_masked()),
            21 => format!("dl_vlan={}", self.n(12)),
            22 => format!("dl_vlan={},dl_vlan_pcp={}", self.n(12), self.n(3)),
            23 => format!("dl_vlan_pcp={}", self.n(3)),
            24 => format!("vlan_tci={}", self.masked(16)),
            25 => format!("vlan_vid={}", self.masked(13)),
            26 => format!("vlan_vid=0x1000/0x1000,vlan_pcp={}", self.n(3)),
            27 => format!("pkt_mark={}", self.masked(32)),
            28 => {
                let f = match self.r.below(5) {
                    0 => "trk|new".to_owned(),
                    1 => self.masked(8),
                    _ => self.flags(&["trk", "new", "est", "rel", "rpl", "inv", "snat", "dnat"]),
                };
                format!("ct_state={f}")
            }
            29 => format!("ct_zone={}", self.n(16)),
            30 => format!("ct_mark={}", self.masked(32)),
            31 => format!("ct_label={}", self.masked(128)),
            32 => format!("conj_id={}", self.n(32)),
            33 => match self.r.below(4) {
                0 => format!("tun_metadata{}={}", self.r.below(64), self.masked(32)),
                1 => format!("tun_metadata{}", self.r.below(64)),
                2 => format!("tun_metadata{}={:#x}", self.r.below(64), self.r.bits(128)),
                _ => format!(
                    "tun_erspan_ver={},tun_erspan_dir={},tun_erspan_hwid={},tun_erspan_idx={}",
                    self.n(4),
                    self.n(1),
                    self.n(6),
                    self.masked(20)
                ),
            },
            34 => match self.r.below(4) {
                0 => format!("dp_hash={}", self.masked(32)),
                1 => format!("recirc_id={}", self.n(32)),
                2 => format!("actset_output={}", self.port()),
                _ => format!(
                    "tun_gtpu_flags={},tun_gtpu_msgtype={}",
                    self.n(8),
                    self.n(8)
                ),
            },
            _ => {
                let (s, n) = self.subfield();
                format!("{s}={}", self.n(n.min(128)))
            }
        }
    }

    fn ct_tuple(&mut self, v6: bool) -> String {
        let mut out = "ct_state=+trk+est".to_owned();
        if self.r.one_in(2) {
            out += &format!(",ct_nw_proto={}", self.r.pick(&[6, 17, 0, 1]));
        }
        if self.r.one_in(2) {
            let a = if v6 {
                format!(",ct_ipv6_src={}", self.ip6_masked())
            } else {
                format!(",ct_nw_src={}", self.ip_masked())
            };
            out += &a;
        }
        if self.r.one_in(2) {
            let a = if v6 {
                format!(",ct_ipv6_dst={}", self.ip6_masked())
            } else {
                format!(",ct_nw_dst={}", self.ip_masked())
            };
            out += &a;
        }
        if self.r.one_in(2) {
            out += &format!(",ct_tp_src={},ct_tp_dst={}", self.masked(16), self.n(16));
        }
        out
    }

    fn set_field(&mut self, proto: &str) -> String {
        let ip = ["ip", "tcp", "udp", "sctp", "icmp"].contains(&proto);
        let ip6 = ["ipv6", "tcp6", "udp6", "sctp6", "icmp6"].contains(&proto);
        let v = match self.r.below(24) {
            0 if ip => return format!("set_field:{}->ip_src", self.ip_masked()),
            1 if ip => return format!("set_field:{}->nw_dst", self.ip_masked()),
            2 if ip6 => return format!("set_field:{}->ipv6_dst", self.ip6_masked()),
            3 if ip || ip6 => return format!("set_field:{}->nw_ttl", self.n(8)),
            4 if ip || ip6 => return format!("set_field:{}->ip_dscp", self.n(6)),
            5 if ip || ip6 => return format!("set_field:{}->nw_ecn", self.n(2)),
            6 if proto.starts_with("tcp") => {
                return format!("set_field:{}->tcp_dst", self.masked(16));
            }
            6 if proto.starts_with("udp") => {
                return format!("set_field:{}->udp_src", self.masked(16));
            }
            6 if proto.starts_with("sctp") => {
                return format!("set_field:{}->sctp_src", self.masked(16));
            }
            7 if proto == "arp" => return format!("set_field:{}->arp_op", self.n(8)),
            7 if proto.starts_with("mpls") => {
                return format!("set_field:{}->mpls_label", self.n(20));
            }
            7 if proto == "dl_type=0x894f" => {
                return format!("set_field:{}->nsh_c1", self.masked(32));
            }
            7 if proto == "icmp" => return format!("set_field:{}->icmp_type", self.n(8)),
            8 => format!("{}->eth_src", self.mac_masked()),
            9 => format!("{}->eth_dst", self.mac_masked()),
            10 => format!("{}->metadata", self.masked(64)),
            11 => format!("{}->tun_id", self.masked(64)),
            12 => format!("{}->tun_dst", self.ip_masked()),
            13 => format!("{}->tun_ipv6_dst", self.ip6_masked()),
            14 => format!("{}->pkt_mark", self.masked(32)),
            15 => format!("{}->xreg{}", self.masked(64), self.r.below(8)),
            16 => format!("{}->xxreg{}", self.masked(128), self.r.below(4)),
            17 => format!("{}->tun_metadata{}", self.masked(32), self.r.below(64)),
            18 => format!("{}->tun_gbp_id", self.masked(16)),
            19 => format!("{}->tun_flags", self.r.pick(&["oam", "+oam", "-oam"])),
            20 => format!("{}->in_port", self.port()),
            21 => format!("{}->tun_erspan_idx", self.masked(20)),
            _ => format!("{}->reg{}", self.masked(32), self.r.below(16)),
        };
        format!("set_field:{v}")
    }

    fn nat(&mut self, v6: bool) -> String {
        let way = *self.r.pick(&["src", "dst"]);
        if self.r.one_in(4) {
            return "nat".into();
        }
        let mut out = format!("nat({way}");
        if self.r.one_in(8) {
            return out + ")";
        }
        let (lo, hi) = if v6 {
            ("2001:db8::1", "2001:db8::ff")
        } else {
            ("10.0.0.1", "10.0.0.200")
        };
        let ports = self.r.below(3);
        let b = |s: &str| {
            if v6 && ports > 0 {
                format!("[{s}]")
            } else {
                s.to_owned()
            }
        };
        out += &format!("={}", b(lo));
        if self.r.one_in(2) {
            out += &format!("-{}", b(if self.r.one_in(4) { lo } else { hi }));
        }
        match ports {
            0 => {}
            1 => out += &format!(":{}", 1 + self.r.below(65535)),
            _ => out += &format!(":{}-{}", 1 + self.r.below(1000), 1000 + self.r.below(60000)),
        }
        out += *self.r.pick(&[
            "",
            "",
            ",persistent",
            ",hash",
            ",random",
            ",persistent,hash",
        ]);
        out + ")"
    }

    fn ct(&mut self, v6: bool) -> String {
        let mut parts = vec![];
        let commit = self.r.one_in(2);
        if commit {
            parts.push("commit".to_owned());
            if self.r.one_in(4) {
                parts.push("force".into());
            }
        }
        if self.r.one_in(2) {
            parts.push(format!("table={}", self.r.below(255)));
        }
        match self.r.below(3) {
            0 => parts.push(format!("zone={}", self.n(16))),
            1 => parts.push(format!(
                "zone={}",
                self.r
                    .pick(&["NXM_NX_REG3[0..15]", "NXM_NX_CT_ZONE[]", "reg1[16..31]"])
            )),
            _ => {}
        }
        if self.r.one_in(2) {
            parts.push(if commit { self.nat(v6) } else { "nat".into() });
        }
        if commit && self.r.one_in(2) {
            let x = match self.r.below(5) {
                0 => format!("set_field:{}->ct_mark", self.masked(32)),
                1 => format!("set_field:{}->ct_label", self.masked(128)),
                2 => format!("load:{}->NXM_NX_CT_MARK[]", self.n(32)),
                3 => "move:NXM_NX_REG0[]->NXM_NX_CT_MARK[],load:0x1->NXM_NX_CT_LABEL[64]".into(),
                _ => format!(
                    "set_field:{}->ct_mark,set_field:{}->ct_label",
                    self.n(32),
                    self.n(128)
                ),
            };
            parts.push(format!("exec({x})"));
        }
        format!("ct({})", parts.join(","))
    }

    fn learn(&mut self) -> String {
        let mut parts = vec![];
        if self.r.one_in(2) {
            parts.push(format!("table={}", self.r.below(255)));
        }
        for name in [
            "idle_timeout",
            "hard_timeout",
            "fin_idle_timeout",
            "fin_hard_timeout",
            "priority",
            "limit",
        ] {
            if self.r.one_in(4) {
                parts.push(format!("{name}={}", self.r.below(65536)));
            }
        }
        if self.r.one_in(4) {
            parts.push(format!("cookie={}", self.n(64)));
        }
        for flag in ["send_flow_rem", "delete_learned"] {
            if self.r.one_in(4) {
                parts.push(flag.into());
            }
        }
        if self.r.one_in(5) {
            parts.push("result_dst=NXM_NX_REG0[8]".into());
        }
        for _ in 0..self.r.below(5) {
            let s = match self.r.below(13) {
                0 => "NXM_OF_VLAN_TCI[0..11]".to_owned(),
                1 => "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]".into(),
                2 => "output:NXM_OF_IN_PORT[]".into(),
                3 => "load:NXM_OF_IN_PORT[]->NXM_NX_REG1[16..31]".into(),
                4 => format!("load:{}->NXM_NX_REG2[]", self.n(32)),
                5 => format!("in_port={}", self.r.below(100)),
                6 => "eth_type=0x800,nw_proto=6,NXM_OF_TCP_DST[]=12".into(),
                7 => format!("reg{}={}", self.r.below(16), self.n(32)),
                8 => format!("reg1[0..7]={}", self.n(8)),
                9 => format!("dl_dst={}", self.mac()),
                10 => "eth_type=0x800,nw_src=10.0.0.1".into(),
                11 => format!("load:{}->NXM_NX_XXREG0[]", self.n(128)),
                _ => "reg3[1..16]=reg4[0..15]".into(),
            };
            parts.push(s);
        }
        format!("learn({})", parts.join(","))
    }

    fn action(&mut self, proto: &str, depth: u32) -> String {
        let ip = ["ip", "tcp", "udp", "sctp", "icmp"].contains(&proto);
        let ip6 = ["ipv6", "tcp6", "udp6", "sctp6", "icmp6"].contains(&proto);
        let l4 = ["tcp", "udp", "sctp", "tcp6", "udp6", "sctp6"].contains(&proto);
        match self.r.below(62) {
            0..=2 => format!("output:{}", self.port()),
            3 => self
                .r
                .pick(&[
                    "NORMAL",
                    "flood",
                    "ALL",
                    "local",
                    "IN_PORT",
                    "CONTROLLER",
                    "CONTROLLER:128",
                    "table",
                ])
                .to_string(),
            4 => format!("group:{}", self.n(32)),
            5 => format!("set_queue:{}", self.n(32)),
            6 => "pop_queue".into(),
            7..=12 => self.set_field(proto),
            13..=16 => {
                let (s, n) = self.subfield();
                format!("load:{}->{s}", self.n(n.min(128)))
            }
            17..=19 => {
                let (s, n) = self.subfield();
                match self.subfield_of(n) {
                    Some(d) => format!("move:{s}->{d}"),
                    None => format!("move:{s}->{s}"),
                }
            }
            20 => format!("push:{}", self.subfield().0),
            21 => format!("pop:{}", self.subfield().0),
            22 => format!("resubmit:{}", self.port()),
            23 | 24 => format!("resubmit(,{})", self.r.below(255)),
            25 => format!("resubmit({},{})", self.port(), self.r.below(255)),
            26 if ip => format!("mod_nw_src:{}", self.ip()),
            27 if ip => format!("mod_nw_dst:{}", self.ip()),
            28 if ip || ip6 => format!("mod_nw_tos:{}", self.r.below(64) * 4),
            29 if ip || ip6 => format!("mod_nw_ecn:{}", self.r.below(4)),
            30 if ip || ip6 => format!("mod_nw_ttl:{}", self.n(8)),
            31 if ip || ip6 => self
                .r
                .pick(&["dec_ttl", "dec_ttl(0)", "dec_ttl(1,2,3)", "dec_ttl(5)"])
                .to_string(),
            32 if l4 => format!("mod_tp_src:{}", self.n(16)),
            33 if l4 => format!("mod_tp_dst:{}", self.n(16)),
            34 => format!("mod_dl_src:{}", self.mac()),
            35 => format!("mod_dl_dst:{}", self.mac()),
            36 => format!("mod_vlan_vid:{}", self.n(12)),
            37 => format!("mod_vlan_pcp:{}", self.n(3)),
            38 => format!(
                "push_vlan:0x8100,set_field:{}->vlan_vid",
                4096 + self.r.below(4096)
            ),
            39 => format!("push_vlan:0x88a8,set_vlan_pcp:{},strip_vlan", self.n(3)),
            40 => format!("push_mpls:{}", self.r.pick(&["0x8847", "0x8848"])),
            41 if proto.starts_with("mpls") => {
                format!("pop_mpls:{}", self.r.pick(&["0x0800", "0x86dd", "0x8847"]))
            }
            42 if proto.starts_with("mpls") => format!(
                "set_mpls_label:{},set_mpls_tc({}),set_mpls_ttl:{},dec_mpls_ttl",
                self.n(20),
                self.n(3),
                self.n(8)
            ),
            43 => format!("set_tunnel{}:{}", self.r.pick(&["", "64"]), self.n(32)),
            44 => format!("enqueue:{}:{}", self.r.below(0xff00), self.n(32)),
            45 if ip || ip6 => self.ct(ip6),
            46 if ip || ip6 => self.ct(ip6),
            47 => "ct_clear".into(),
            48 => self.learn(),
            49 => format!(
                "note:{}",
                (0..self.r.below(20))
                    .map(|_| format!("{:02x}", self.r.below(256)))
                    .collect::<Vec<_>>()
                    .join(".")
            ),
            50 => "exit".into(),
            51 => format!(
                "multipath({},{},{},{},{},{})",
                self.r.pick(&[
                    "eth_src",
                    "symmetric_l4",
                    "symmetric_l3l4",
                    "symmetric_l3l4+udp",
                    "nw_src",
                    "nw_dst",
                    "symmetric_l3"
                ]),
                self.r.below(65536),
                self.r
                    .pick(&["modulo_n", "hash_threshold", "hrw", "iter_hash"]),
                1 + self.r.below(200),
                self.r.below(1000),
                self.r.pick(&[
                    "NXM_NX_REG0[]",
                    "NXM_NX_REG5[3..14]",
                    "NXM_NX_TUN_ID[0..31]"
                ])
            ),
            52 => format!(
                "bundle({},{},{},ofport,members:{})",
                self.r.pick(&["eth_src", "symmetric_l4", "nw_dst"]),
                self.r.below(65536),
                self.r.pick(&["active_backup", "hrw"]),
                (0..self.r.below(6))
                    .map(|_| self.r.below(0xff00).to_string())
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            53 => format!(
                "bundle_load(eth_src,0,hrw,ofport,{},members:1,2,3)",
                self.r.pick(&["NXM_NX_REG0[]", "NXM_NX_REG1[0..15]"])
            ),
            54 => {
                let mut parts = vec![];
                if self.r.one_in(2) {
                    parts.push(format!("max_len={}", self.n(16)));
                }
                if self.r.one_in(2) {
                    parts.push(format!("id={}", self.n(16)));
                }
                if self.r.one_in(2) {
                    parts.push(format!(
                        "reason={}",
                        self.r.pick(&[
                            "no_match",
                            "action",
                            "invalid_ttl",
                            "action_set",
                            "group",
                            "packet_out"
                        ])
                    ));
                }
                if self.r.one_in(3) {
                    parts.push(format!(
                        "userdata={}",
                        self.r.pick(&["01", "01.02.03.04.05", "0102030405060708"])
                    ));
                }
                if self.r.one_in(3) {
                    parts.push("pause".into());
                }
                if self.r.one_in(3) {
                    parts.push(format!("meter_id={}", self.n(20)));
                }
                format!("controller({})", parts.join(","))
            }
            55 => {
                let mut out = format!(
                    "sample(probability={},collector_set_id={},obs_domain_id={},obs_point_id={}",
                    1 + self.r.below(65535),
                    self.n(32),
                    self.n(32),
                    self.n(32)
                );
                if self.r.one_in(2) {
                    out += &format!(",sampling_port={}", self.r.below(100));
                }
                out += *self.r.pick(&["", ",ingress", ",egress"]);
                out + ")"
            }
            56 => format!(
                "output(port={},max_len={})",
                self.port(),
                14 + self.r.below(60000)
            ),
            57 if depth < 3 => format!("clone({})", self.actions(proto, depth + 1)),
            58 => format!(
                "check_pkt_larger({})->{}",
                self.r.below(65536),
                self.r.pick(&["NXM_NX_REG0[0]", "reg1[31]"])
            ),
            59 => match self.r.below(3) {
                0 => format!("delete_field:tun_metadata{}", self.r.below(64)),
                1 => self
                    .r
                    .pick(&[
                        "encap(nsh(md_type=1))",
                        "encap(nsh)",
                        "encap(ethernet)",
                        "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))",
                        "encap(mpls)",
                    ])
                    .to_string(),
                _ => self
                    .r
                    .pick(&[
                        "decap",
                        "decap()",
                        "decap(packet_type(ns=0,type=0))",
                        "decap(packet_type(ns=1,type=0x894f))",
                    ])
                    .to_string(),
            },
            60 => {
                let (s, _) = self.subfield();
                format!("output:{s}")
            }
            _ if proto.starts_with("tcp") => format!(
                "fin_timeout(idle_timeout={},hard_timeout={})",
                self.r.below(3),
                self.r.below(3)
            ),
            _ => format!("output:{}", self.r.below(0xff00)),
        }
    }

    fn actions(&mut self, proto: &str, depth: u32) -> String {
        let n = 1 + self.r.below(4);
        (0..n)
            .map(|_| self.action(proto, depth))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// A flow as for `add-flow`.
    pub(crate) fn flow(&mut self) -> String {
        let proto = *self.r.pick(&[
            "",
            "",
            "ip",
            "tcp",
            "udp",
            "sctp",
            "icmp",
            "ipv6",
            "tcp6",
            "udp6",
            "sctp6",
            "icmp6",
            "arp",
            "rarp",
            "mpls",
            "mplsm",
            "dl_type=0x894f",
            "dl_type=0x1234",
            "eth",
            "packet_type=(1,0x894f)",
            "packet_type=(1,0x800)",
        ]);
        let mut parts = vec![];
        if self.r.one_in(2) {
            parts.push(format!("table={}", self.r.below(255)));
        }
        if self.r.one_in(2) {
            parts.push(format!("priority={}", self.r.below(65536)));
        }
        if self.r.one_in(3) {
            parts.push(format!("cookie={}", self.n(64)));
        }
        if self.r.one_in(6) {
            parts.push(format!("idle_timeout={}", self.n(16)));
        }
        if self.r.one_in(6) {
            parts.push(format!("hard_timeout={}", self.n(16)));
        }
        for flag in [
            "send_flow_rem",
            "check_overlap",
            "reset_counts",
            "no_packet_counts",
            "no_byte_counts",
        ] {
            if self.r.one_in(10) {
                parts.push(flag.into());
            }
        }
        parts.extend(self.fields(proto));
        let v4 = ["ip", "tcp", "udp", "icmp"].contains(&proto);
        if (v4 || ["ipv6", "tcp6", "udp6"].contains(&proto)) && self.r.one_in(5) {
            parts.push(self.ct_tuple(!v4));
        }
        let mut acts = vec![];
        if self.r.one_in(10) {
            acts.push(format!("meter:{}", 1 + self.r.below(1000)));
        }
        if self.r.one_in(30) {
            acts.push(format!(
                "conjunction({},1/2),conjunction({},{}/64)",
                self.n(32),
                self.n(32),
                1 + self.r.below(64)
            ));
        } else if !self.r.one_in(8) {
            acts.push(self.actions(proto, 0));
        }
        if self.r.one_in(12) {
            acts.push("clear_actions".into());
        }
        if self.r.one_in(12) {
            acts.push(format!("write_actions({})", self.actions(proto, 1)));
        }
        if self.r.one_in(12) {
            acts.push(format!("write_metadata:{}", self.masked(64)));
        }
        if self.r.one_in(8) {
            acts.push(format!("goto_table:{}", self.r.below(255)));
        }
        let acts = if acts.is_empty() {
            "drop".into()
        } else {
            acts.join(",")
        };
        format!("{} actions={acts}", parts.join(","))
    }
}
