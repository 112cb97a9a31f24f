//! Table Guard: what a pod may send. Only packets from pods come here.
//!
//! Per pod and IPv4 address: its packets, its ARP, its probes. Per pod and IPv6 address: its packets and its
//! neighbour solicitations; and, once, its solicitations from a link-local address.
//!
//! The two flows on UDP ports name both ports. Open vSwitch keeps a trie of them, so that a packet from a port far
//! away adds one bit of its source port to the megaflow, not sixteen.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use openflow::Field;

use crate::fragment::{Fragment, MatchExt, any, drop_for, goto, in_port, net};
use crate::model::LocalPod;
use crate::pipeline::{AFTER_GUARD, Table};
use crate::reason::DropReason;

const NEVER: u16 = 400;
const OWN_PROBE: u16 = 300;
const OWN_QUESTION: u16 = 200;
const DETECTION: u16 = 160;
const OTHER_QUESTION: u16 = 150;
const OWN_PACKET: u16 = 100;
const CHATTER: u16 = 50;
const IP_OR_ARP: u16 = 10;
const ELSE: u16 = 0;

const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOUR_SOLICITATION: u8 = 135;

const LINK_LOCAL: IpNet = net!(v6 0xfe80 :: / 10);
const NO_ADDRESS: IpNet = net!(v6 0 :: / 128);

pub(crate) fn base(f: &mut Fragment) {
    let mut drop =
        |priority, match_, reason| f.flow(Table::Guard, priority, match_, drop_for(reason));

    drop(
        NEVER,
        any().icmpv6(ROUTER_ADVERTISEMENT),
        DropReason::RouterAdvertisement,
    );
    drop(NEVER, any().ipv4().udp(67, 68), DropReason::DhcpServer);
    drop(NEVER, any().ipv6().udp(547, 546), DropReason::DhcpServer);

    let arp_probe = any().arp().eq(Field::ARP_SPA, Ipv4Addr::UNSPECIFIED);
    drop(DETECTION, arp_probe, DropReason::AddressProbe);
    let nd_probe = any().neighbour_solicitation().source(NO_ADDRESS);
    drop(DETECTION, nd_probe, DropReason::AddressProbe);
    drop(
        OTHER_QUESTION,
        any().icmpv6(NEIGHBOUR_SOLICITATION),
        DropReason::SpoofedSource,
    );

    drop(
        CHATTER,
        any().source(NO_ADDRESS),
        DropReason::LinkLocalChatter,
    );
    drop(
        CHATTER,
        any().source(LINK_LOCAL),
        DropReason::LinkLocalChatter,
    );

    drop(IP_OR_ARP, any().ipv4(), DropReason::SpoofedSource);
    drop(IP_OR_ARP, any().arp(), DropReason::SpoofedSource);
    drop(IP_OR_ARP, any().ipv6(), DropReason::SpoofedSource);
    drop(ELSE, any(), DropReason::UnsupportedEthertype);
}

/// `ips` are the addresses that are the pod's own, without repetition.
pub(crate) fn pod(pod: &LocalPod, ips: &[IpAddr], f: &mut Fragment) {
    let own = || in_port(pod.ofport).eq(Field::ETH_SRC, pod.mac);
    let solicitation = || own().neighbour_solicitation().eq(Field::ND_SLL, pod.mac);

    for ip in ips {
        let address = IpNet::from(*ip);
        f.flow(
            Table::Guard,
            OWN_PACKET,
            own().source(address),
            goto(AFTER_GUARD),
        );
        match ip {
            IpAddr::V4(ip) => {
                // Asked for its own address, the switch must be silent: an answer would say that it is taken.
                let probe = in_port(pod.ofport).arp().eq(Field::ARP_TPA, *ip);
                f.flow(
                    Table::Guard,
                    OWN_PROBE,
                    probe,
                    drop_for(DropReason::AddressProbe),
                );
                let arp = own()
                    .arp()
                    .eq(Field::ARP_SHA, pod.mac)
                    .eq(Field::ARP_SPA, *ip);
                f.flow(Table::Guard, OWN_QUESTION, arp, goto(Table::ArpNd));
            }
            IpAddr::V6(_) => {
                f.flow(
                    Table::Guard,
                    OWN_QUESTION,
                    solicitation().source(address),
                    goto(Table::ArpNd),
                );
            }
        }
    }
    if ips.iter().any(IpAddr::is_ipv6) {
        // The answer goes back to the pod itself, whichever of the link-local addresses it made up asks.
        f.flow(
            Table::Guard,
            OWN_QUESTION,
            solicitation().source(LINK_LOCAL),
            goto(Table::ArpNd),
        );
    }
}
