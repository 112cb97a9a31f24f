//! What a match, or the packet as actions have changed it, says about prerequisites.

use super::Match;
use crate::field::{Field, Prerequisite};
use crate::value::Value;

/// The part of a flow that prerequisites look at. Wildcarded fields count as zero.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// `(namespace << 16) | type`; 0 is Ethernet.
    pub(crate) packet_type: u32,
    /// The Ethernet type that is matched by itself.
    pub(crate) dl_type: u16,
    /// The protocol of IP, or the operation of ARP.
    pub(crate) nw_proto: u8,
    later_fragment: bool,
    icmp_type: u8,
    icmp_code: u8,
    /// The tags that are known to be there, outermost first.
    pub(crate) vlans: [bool; 2],
    ct_state: u8,
    ct_mask: u8,
}

impl Facts {
    pub(crate) fn of(m: &Match) -> Self {
        let mut facts = Facts::default();
        m.iter()
            .for_each(|(field, value, mask)| facts.add(field, &value, &mask));
        facts
    }

    /// Whether there is anything to note of `field`.
    pub(super) const fn concern(field: Field) -> bool {
        const NOTED: [Field; 12] = [
            Field::ETH_TYPE,
            Field::IP_PROTO,
            Field::ARP_OP,
            Field::PACKET_TYPE,
            Field::NW_FRAG,
            Field::ICMPV4_TYPE,
            Field::ICMPV6_TYPE,
            Field::ICMPV4_CODE,
            Field::ICMPV6_CODE,
            Field::VLAN_VID,
            Field::VLAN_TCI,
            Field::CT_STATE,
        ];
        let mut noted: &[Field] = &NOTED;
        while let [first, rest @ ..] = noted {
            if first.index() == field.index() {
                return true;
            }
            noted = rest;
        }
        false
    }

    /// Takes note of one more field of the match, in canonical form or as it came.
    #[inline]
    pub(crate) fn add(&mut self, field: Field, value: &Value, mask: &Value) {
        self.add_number(field, value.to_u64(), mask.to_u64());
    }

    /// As [`add`](Self::add), for a field of at most 64 bits; no prerequisite is about a wider one.
    #[inline]
    pub(crate) fn add_number(&mut self, field: Field, value: u64, mask: u64) {
        let byte = (value & 0xff) as u8;
        match field {
            Field::ETH_TYPE => self.dl_type = (value & 0xffff) as u16,
            Field::IP_PROTO | Field::ARP_OP => self.nw_proto = byte,
            Field::PACKET_TYPE => {
                self.packet_type = (value & 0xffff_ffff) as u32;
                if self.packet_type >> 16 == 1 {
                    self.dl_type = (value & 0xffff) as u16;
                }
            }
            Field::NW_FRAG => self.later_fragment = value & 2 != 0,
            Field::ICMPV4_TYPE | Field::ICMPV6_TYPE => self.icmp_type = byte,
            Field::ICMPV4_CODE | Field::ICMPV6_CODE => self.icmp_code = byte,
            Field::VLAN_VID | Field::VLAN_TCI => {
                let [first, ..] = &mut self.vlans;
                *first = value & mask & 0x1000 != 0;
            }
            Field::CT_STATE => {
                self.ct_state = byte;
                self.ct_mask = (mask & 0xff) as u8;
            }
            other => debug_assert!(!Self::concern(other)),
        }
    }

    /// The Ethernet type, wherever it is said.
    #[inline]
    pub(crate) fn eth_type(&self) -> Option<u16> {
        match self.packet_type {
            0 => Some(self.dl_type),
            t if t >> 16 == 1 => Some((t & 0xffff) as u16),
            _ => None,
        }
    }

    /// The [bits](Prerequisite::bit) of all prerequisites that hold.
    pub(super) fn satisfied(&self) -> u32 {
        use Prerequisite as P;
        let set = |list: &[P]| list.iter().fold(0, |bits, p| bits | p.bit());
        let mut bits = 0;
        if self.packet_type == 0 {
            bits |= set(&[P::Ethernet]);
            if self.has_vlan() {
                bits |= set(&[P::Vlan]);
            }
        }
        if self.ct_valid() {
            bits |= set(&[P::CtValid]);
        }
        let ip = match self.eth_type() {
            Some(0x0800) => set(&[P::Ipv4, P::Ip]),
            Some(0x86dd) => set(&[P::Ipv6, P::Ip]),
            Some(0x0806 | 0x8035) => return bits | set(&[P::Arp]),
            Some(0x8847 | 0x8848) => return bits | set(&[P::Mpls]),
            Some(0x894f) => return bits | set(&[P::Nsh]),
            _ => return bits,
        };
        bits |= ip;
        match self.nw_proto {
            6 if !self.later_fragment => bits | set(&[P::Tcp]),
            17 if !self.later_fragment => bits | set(&[P::Udp]),
            132 if !self.later_fragment => bits | set(&[P::Sctp]),
            1 if ip & P::Ipv4.bit() != 0 => bits | set(&[P::Icmp4]),
            58 if ip & P::Ipv6.bit() != 0 => {
                let nd = [P::Nd, P::NdSolicit, P::NdAdvert];
                let nd = nd.iter().filter(|p| self.has(**p));
                nd.fold(bits | set(&[P::Icmp6]), |bits, p| bits | p.bit())
            }
            _ => bits,
        }
    }

    /// Whether a tag is known to be there.
    pub(crate) fn has_vlan(&self) -> bool {
        let [outer, _] = self.vlans;
        outer
    }

    pub(crate) fn is_ip(&self) -> bool {
        matches!(self.eth_type(), Some(0x0800 | 0x86dd))
    }

    /// Whether the connection's original tuple is known.
    pub(crate) fn ct_valid(&self) -> bool {
        let (v, m) = (self.ct_state, self.ct_mask);
        v & 0xcf != 0 || (v & 0x20 != 0 && m & 0x10 != 0 && v & 0x10 == 0)
    }

    pub(crate) fn ct_invalid(&self) -> bool {
        self.ct_state & 0x10 != 0
    }

    /// Whether TCP, UDP or SCTP, as `proto` says, can be matched or set.
    pub(crate) fn transport(&self, proto: u8) -> bool {
        self.is_ip() && self.nw_proto == proto && !self.later_fragment
    }

    #[inline(always)]
    pub(crate) fn has(&self, p: Prerequisite) -> bool {
        use Prerequisite as P;
        let icmp6 = || self.eth_type() == Some(0x86dd) && self.nw_proto == 58;
        let nd = || icmp6() && self.icmp_code == 0;
        match p {
            P::Nothing => true,
            P::Ethernet => self.packet_type == 0,
            P::Arp => matches!(self.eth_type(), Some(0x0806 | 0x8035)),
            P::Vlan => self.packet_type == 0 && self.has_vlan(),
            P::Ipv4 => self.eth_type() == Some(0x0800),
            P::Ipv6 => self.eth_type() == Some(0x86dd),
            P::Ip => self.is_ip(),
            P::Nsh => self.eth_type() == Some(0x894f),
            P::Mpls => matches!(self.eth_type(), Some(0x8847 | 0x8848)),
            P::CtValid => self.ct_valid(),
            P::Tcp => self.transport(6),
            P::Udp => self.transport(17),
            P::Sctp => self.transport(132),
            P::Icmp4 => self.eth_type() == Some(0x0800) && self.nw_proto == 1,
            P::Icmp6 => icmp6(),
            P::Nd => nd() && matches!(self.icmp_type, 135 | 136),
            P::NdSolicit => nd() && self.icmp_type == 135,
            P::NdAdvert => nd() && self.icmp_type == 136,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_what_holds_agrees_with_each() {
        let dl_types = [
            0, 0x0800, 0x0806, 0x8035, 0x86dd, 0x8847, 0x8848, 0x894f, 0x1234,
        ];
        for dl_type in dl_types {
            for packet_type in [0, 0x1_0000 | u32::from(dl_type), 0x2_0000] {
                for nw_proto in [0, 1, 6, 17, 58, 132] {
                    for (icmp_type, icmp_code) in [(0, 0), (135, 0), (136, 0), (135, 1)] {
                        for n in 0..8u8 {
                            let facts = Facts {
                                packet_type,
                                dl_type,
                                nw_proto,
                                later_fragment: n & 1 != 0,
                                icmp_type,
                                icmp_code,
                                vlans: [n & 2 != 0, false],
                                ct_state: if n & 4 != 0 { 0x20 } else { 0 },
                                ct_mask: 0x30,
                            };
                            let each = Prerequisite::ALL.iter().filter(|p| facts.has(**p));
                            let each = each.fold(0, |bits, p| bits | p.bit());
                            assert_eq!(facts.satisfied(), each, "{facts:?}");
                        }
                    }
                }
            }
        }
    }
}
