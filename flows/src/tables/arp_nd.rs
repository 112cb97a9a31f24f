//! Table ArpNd: answers questions for MAC addresses, in the switch, with the router's.
//!
//! Pods and the host reach everything by way of the virtual router, so the answer is the same whatever address is
//! asked for. What must stay unanswered are questions that someone asks to find out whether his own address is
//! taken.

use std::net::{IpAddr, Ipv4Addr};

use openflow::{Field, MacAddr};

use crate::fragment::{Fragment, MatchExt, Steps, any, drop_for, in_port, net};
use crate::model::LocalNode;
use crate::pipeline::{ROUTER_MAC, SCRATCH, Table};
use crate::reason::DropReason;

const PROBE: u16 = 200;
const ANNOUNCEMENT: u16 = 190;
const NO_OPTION: u16 = 150;
const QUESTION: u16 = 100;
const ELSE: u16 = 0;

const ARP_REPLY: u16 = 2;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
/// Flags of a neighbour advertisement, RFC 4861 section 4.4: router, solicited, override.
const ROUTER_SOLICITED_OVERRIDE: u32 = 0xe000_0000;

pub(crate) fn base(f: &mut Fragment) {
    let mut drop =
        |priority, match_, reason| f.flow(Table::ArpNd, priority, match_, drop_for(reason));

    let arp_probe = any().arp().eq(Field::ARP_SPA, Ipv4Addr::UNSPECIFIED);
    drop(PROBE, arp_probe, DropReason::AddressProbe);
    let nd_probe = any().neighbour_solicitation().source(net!(v6 0 :: / 128));
    drop(PROBE, nd_probe, DropReason::AddressProbe);
    drop(ELSE, any(), DropReason::ArpNotRequest);

    f.flow(Table::ArpNd, QUESTION, any().arp_request(), arp_reply());
}

/// The router's answer, made in place of the question.
fn arp_reply() -> Steps {
    Steps::new()
        .copy(Field::ETH_SRC, Field::ETH_DST)
        .set(Field::ETH_SRC, ROUTER_MAC)
        .set(Field::ARP_OP, ARP_REPLY)
        .copy(Field::ARP_SHA, Field::ARP_THA)
        .set(Field::ARP_SHA, ROUTER_MAC)
        .copy(Field::ARP_TPA, SCRATCH)
        .copy(Field::ARP_SPA, Field::ARP_TPA)
        .copy(SCRATCH, Field::ARP_SPA)
        .output_in_port()
}

/// `ips` are the gateway's addresses, without repetition.
pub(crate) fn node(node: &LocalNode, ips: &[IpAddr], f: &mut Fragment) {
    for ip in ips {
        if let IpAddr::V4(ip) = ip {
            let announcement = in_port(node.gateway.ofport).arp().eq(Field::ARP_TPA, *ip);
            f.flow(
                Table::ArpNd,
                ANNOUNCEMENT,
                announcement,
                drop_for(DropReason::AddressProbe),
            );
        }
    }
    let question = any().neighbour_solicitation();
    if node.caps.nd_reply {
        // Without an option there is none to rewrite.
        let bare = question.clone().eq(Field::ND_SLL, MacAddr::ZERO);
        f.flow(
            Table::ArpNd,
            NO_OPTION,
            bare,
            drop_for(DropReason::NeighbourSolicitation),
        );
        f.flow(Table::ArpNd, QUESTION, question, nd_reply());
    } else {
        f.flow(
            Table::ArpNd,
            QUESTION,
            question,
            drop_for(DropReason::NeighbourSolicitation),
        );
    }
}

/// All of the router's answer but its option: the switch allows that only where the match says "advertisement".
fn nd_reply() -> Steps {
    Steps::new()
        .copy(Field::ETH_SRC, Field::ETH_DST)
        .set(Field::ETH_SRC, ROUTER_MAC)
        .copy(Field::IPV6_SRC, Field::IPV6_DST)
        .copy(Field::ND_TARGET, Field::IPV6_SRC)
        .set(Field::ICMPV6_TYPE, NEIGHBOUR_ADVERTISEMENT)
        .set(Field::ND_OPTIONS_TYPE, TARGET_LINK_LAYER_ADDRESS)
        .set(Field::ND_RESERVED, ROUTER_SOLICITED_OVERRIDE)
        .goto(Table::NdReply)
}
