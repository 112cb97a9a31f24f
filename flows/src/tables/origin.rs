//! Table Origin: whether the source is an endpoint of a Service, or the node itself.
//!
//! What comes from an endpoint may be a reply whose translation has to be undone; so may an ICMP error from anyone,
//! since it speaks of the packet that it answers.

use std::net::IpAddr;

use ipnet::IpNet;
use openflow::{Field, Match};

use crate::fragment::{Fragment, MatchExt, Steps, any, goto};
use crate::model::LocalNode;
use crate::pipeline::{AFTER_ORIGIN, HAIRPIN, Mark, Table};

const ERROR: u16 = 300;
const ENDPOINT: u16 = 200;
const OWN: u16 = 150;
const ELSE: u16 = 0;

/// Destination unreachable, time exceeded, parameter problem.
const ERRORS_V4: [u8; 3] = [3, 11, 12];
/// Destination unreachable, packet too big, time exceeded, parameter problem.
const ERRORS_V6: [u8; 4] = [1, 2, 3, 4];

pub(crate) fn base(f: &mut Fragment) {
    for error in errors(any) {
        let steps = Steps::new().mark(&[Mark::EpSrc]).goto(AFTER_ORIGIN);
        f.flow(Table::Origin, ERROR, error, steps);
    }
    f.flow(Table::Origin, ELSE, any(), goto(AFTER_ORIGIN));
}

/// ICMP errors, of both families.
pub(crate) fn errors(packet: impl Fn() -> Match) -> impl Iterator<Item = Match> {
    let v4 = ERRORS_V4.map(|type_| packet().icmp_type(false, type_));
    let v6 = ERRORS_V6.map(|type_| packet().icmp_type(true, type_));
    v4.into_iter().chain(v6)
}

/// `own` are the addresses of the node itself, without repetition.
pub(crate) fn node(own: &[IpAddr], f: &mut Fragment) {
    for ip in own {
        let steps = Steps::new().mark(&[Mark::Own]).goto(AFTER_ORIGIN);
        f.flow(Table::Origin, OWN, any().source(IpNet::from(*ip)), steps);
    }
}

/// The addresses of the node itself.
pub(crate) fn own(node: &LocalNode) -> Vec<IpAddr> {
    let all = [
        &node.gateway.ips,
        &node.addresses,
        &node.node_port_addresses,
    ];
    let mut own: Vec<IpAddr> = all.into_iter().flatten().copied().chain(HAIRPIN).collect();
    own.sort_unstable();
    own.dedup();
    own
}

/// `own` is whether the endpoint is the node itself.
pub(crate) fn endpoint(ip: IpAddr, own: bool, f: &mut Fragment) {
    let marks: &[Mark] = if own {
        &[Mark::EpSrc, Mark::Own]
    } else {
        &[Mark::EpSrc]
    };
    let steps = Steps::new().mark(marks).goto(AFTER_ORIGIN);
    f.flow(
        Table::Origin,
        ENDPOINT,
        any().source(IpNet::from(ip)),
        steps,
    );
}

/// The endpoint that a flow made by [`endpoint`] is about.
pub(crate) fn read_endpoint(match_: &Match) -> Option<IpAddr> {
    let v4 = || Some(IpAddr::V4(match_.get(Field::IPV4_SRC)?.0.to_ipv4()));
    let v6 = || Some(IpAddr::V6(match_.get(Field::IPV6_SRC)?.0.to_ipv6()));
    v4().or_else(v6)
}
