//! Table Route: where a packet goes, the longest prefix first.
//!
//! A route says which port ([`OUT_PORT`]) and which MAC addresses; where a packet came from matters only for the
//! default, which only pods have, and what a Service or its answer makes of a packet. Whether the way out may be used from where the packet came, and its hop count,
//! are the business of table Output: so an address is one flow here.

use std::net::IpAddr;

use ipnet::IpNet;
use openflow::{Field, MacAddr};

use crate::fragment::{
    FAMILIES, Fragment, MatchExt, Steps, any, drop_for, from, marked, marked_from, net,
};
use crate::model::{LocalNode, LocalPod, Peer, Tunnel};
use crate::pipeline::{AFTER_ROUTE, HAIRPIN, Mark, OUT_PORT, ROUTER_MAC, Source, Table};
use crate::reason::DropReason;

const NEVER: u16 = 2000;
const HAIRPIN_ADDRESS: u16 = 1600;
const ADDRESS: u16 = 1500;
const LINK_LOCAL: u16 = 1400;
/// Plus the length of the prefix.
const PREFIX: u16 = 1000;
const ANSWER: u16 = 120;
const TRANSLATED: u16 = 110;
const DEFAULT: u16 = 100;
const NO_ROUTE: u16 = 10;
const ELSE: u16 = 0;

/// The priority that makes the longest prefix win.
fn prefix(net: IpNet) -> u16 {
    PREFIX + u16::from(net.prefix_len())
}

fn to_neighbour(ofport: u32, mac: MacAddr) -> Steps {
    Steps::new()
        .set(Field::ETH_SRC, ROUTER_MAC)
        .set(Field::ETH_DST, mac)
        .set(OUT_PORT, ofport)
        .goto(AFTER_ROUTE)
}

pub(crate) fn base(f: &mut Fragment) {
    let mut drop =
        |priority, match_, reason| f.flow(Table::Route, priority, match_, drop_for(reason));

    for net in [
        net!(v4 224, 0, 0, 0 / 4),
        net!(v4 255, 255, 255, 255 / 32),
        net!(v6 0xff00 :: / 8),
    ] {
        drop(
            NEVER,
            any().destination(net),
            DropReason::MulticastDestination,
        );
    }
    let link_local = any().destination(net!(v6 0xfe80 :: / 10));
    drop(LINK_LOCAL, link_local, DropReason::LinkLocalDestination);
    drop(NO_ROUTE, any().ipv4(), DropReason::NoRoute);
    drop(NO_ROUTE, any().ipv6(), DropReason::NoRoute);
    drop(ELSE, any(), DropReason::UnsupportedEthertype);
}

/// `cidrs` are the local prefixes, without repetition, and `ips` the gateway's addresses likewise.
pub(crate) fn node(node: &LocalNode, cidrs: &[IpNet], ips: &[IpAddr], f: &mut Fragment) {
    let to_host = || to_neighbour(node.gateway.ofport, node.gateway.mac);
    for net in cidrs {
        let unknown = drop_for(DropReason::UnknownDestinationPod);
        f.flow(Table::Route, prefix(*net), any().destination(*net), unknown);
    }
    for ip in ips {
        let steps = Steps::new().mark(&[Mark::SnatDst]).then(to_host());
        f.flow(
            Table::Route,
            ADDRESS,
            any().destination(IpNet::from(*ip)),
            steps,
        );
    }
    for ip in HAIRPIN {
        let steps = Steps::new().mark(&[Mark::SnatDst]).then(to_host());
        f.flow(
            Table::Route,
            HAIRPIN_ADDRESS,
            any().destination(IpNet::from(ip)),
            steps,
        );
    }
    for v6 in FAMILIES {
        let answer = marked(&[Mark::Tracked], &[]).family(v6);
        f.flow(Table::Route, ANSWER, answer, to_host());
        let translated = marked_from(Source::Gateway, &[Mark::Dnated], &[]).family(v6);
        f.flow(Table::Route, TRANSLATED, translated, to_host());
    }
    f.flow(Table::Route, DEFAULT, from(Source::Pod).ipv4(), to_host());
    f.flow(Table::Route, DEFAULT, from(Source::Pod).ipv6(), to_host());
}

/// `ips` are the addresses that are the pod's own, without repetition.
pub(crate) fn pod(pod: &LocalPod, ips: &[IpAddr], f: &mut Fragment) {
    for ip in ips {
        let deliver = to_neighbour(pod.ofport, pod.mac);
        f.flow(
            Table::Route,
            ADDRESS,
            any().destination(IpNet::from(*ip)),
            deliver,
        );
    }
}

/// `cidrs` are the prefixes that are the peer's own, without repetition.
pub(crate) fn peer(tunnel: &Tunnel, peer: &Peer, cidrs: &[IpNet], f: &mut Fragment) {
    for net in cidrs {
        let steps = match peer.underlay {
            IpAddr::V4(ip) => Steps::new().set(Field::TUN_DST, ip),
            IpAddr::V6(ip) => Steps::new().set(Field::TUN_IPV6_DST, ip),
        };
        // The client's node undoes what was done there.
        let steps = steps
            .unmark(&[Mark::Answer])
            .set(OUT_PORT, tunnel.ofport)
            .goto(AFTER_ROUTE);
        f.flow(Table::Route, prefix(*net), any().destination(*net), steps);
    }
}
