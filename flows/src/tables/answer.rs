//! Table Answer: whether a packet may be the answer of a Service's endpoint, so that the translation has to be undone.
//!
//! On the wire a client of a Service has a source port of [`ENDPOINT_PORTS`], whatever its own is. So what an endpoint
//! sends to any other port is no such answer, and needs no conntrack. What it sends to one of these may be: conntrack
//! will tell. Fragments have no ports to go by, and of an ICMP error it is the packet in it that matters.

use ipnet::IpNet;

use crate::fragment::{FAMILIES, Fragment, MatchExt, Steps, any, goto, marked};
use crate::model::Protocol;
use crate::pipeline::{BEFORE_ROUTE, ENDPOINT_PORTS, HAIRPIN, Mark, Table};
use crate::tables::origin;

const FOR_HOST: u16 = 200;
const FROM_ENDPOINT: u16 = 100;
const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    let answer = || Steps::new().mark(&[Mark::Answer]).goto(BEFORE_ROUTE);
    for ip in HAIRPIN {
        // Nobody but those whom the host sent something under this address has a reason to send to it.
        f.flow(
            Table::Answer,
            FOR_HOST,
            any().destination(IpNet::from(ip)),
            answer(),
        );
    }
    let from_endpoint = || marked(&[Mark::EpSrc], &[]);
    for v6 in FAMILIES {
        let by_port = Protocol::ALL.map(|protocol| {
            let (value, mask) = ENDPOINT_PORTS;
            from_endpoint()
                .family(v6)
                .whole()
                .to_ports(protocol, value, mask)
        });
        let fragment = from_endpoint().family(v6).fragment();
        for packet in by_port.into_iter().chain([fragment]) {
            f.flow(Table::Answer, FROM_ENDPOINT, packet, answer());
        }
    }
    for error in origin::errors(from_endpoint) {
        f.flow(Table::Answer, FROM_ENDPOINT, error, answer());
    }
    f.flow(Table::Answer, ELSE, any(), goto(BEFORE_ROUTE));
}
