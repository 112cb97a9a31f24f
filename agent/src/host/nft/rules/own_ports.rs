//! Ports of the node's own addresses that the switch serves: what comes to one goes on to the address under which the
//! switch serves it, and so into the switch. The port stays, the source stays.
//!
//! What pods send does not come here: the switch serves them itself, so nothing that came out of the switch is
//! looked at. What the node itself sends does.
//!
//! What comes from outside for a process of the node, and must keep its client's address, goes there directly.

use std::{collections::BTreeSet, net::SocketAddr};

use netlink_packet_netfilter::nftables::InetHookNumber;

use super::super::{
    expression,
    table::{Chain, Hook, Key, Rule, Set},
};
use crate::host::{Family, services::OwnPort};

/// `NF_IP_PRI_NAT_DST`, in prerouting as in output.
const DSTNAT: i32 = -100;

const fn ports_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "own_ports_v4",
        Family::V6 => "own_ports_v6",
    }
}

const fn processes_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "own_processes_v4",
        Family::V6 => "own_processes_v6",
    }
}

/// Where the ports are served, by family: in the switch, and some by processes.
pub(in super::super) fn sets(ports: &BTreeSet<OwnPort>) -> Vec<Set> {
    let mut sets = Vec::new();
    for family in Family::BOTH {
        let (key, data) = match family {
            Family::V4 => (Key::IPV4_PROTOCOL_AND_PORT, Key::IPV4_AND_PORT),
            Family::V6 => (Key::IPV6_PROTOCOL_AND_PORT, Key::IPV6_AND_PORT),
        };
        let of_family = || {
            let ports = ports.iter();
            ports.filter(move |port| Family::of(port.address) == family)
        };
        let in_switch = of_family().map(|port| leads_to(port, (port.switch, port.port).into()));
        sets.push(Set {
            name: ports_name(family),
            key,
            data,
            elements: in_switch.collect(),
        });
        let by_process = of_family().filter_map(|port| Some(leads_to(port, port.process?)));
        sets.push(Set {
            name: processes_name(family),
            key,
            data,
            elements: by_process.collect(),
        });
    }
    sets
}

/// Address, protocol and port, and the address and port that they lead to, each padded to a multiple of four bytes.
fn leads_to(port: &OwnPort, to: SocketAddr) -> Vec<u8> {
    let [high, low] = port.port.to_be_bytes();
    let mut bytes = expression::octets(port.address);
    bytes.extend([port.protocol, 0, 0, 0, high, low, 0, 0]);
    let [high, low] = to.port().to_be_bytes();
    bytes.extend(expression::octets(to.ip()));
    bytes.extend([high, low, 0, 0]);
    bytes
}

/// The chains: for what arrives, and for what the node itself sends.
pub(in super::super) fn chains(gateway: &str) -> [Chain; 2] {
    let chain = |name, number, from: Option<&str>| Chain {
        name,
        hook: Some(Hook {
            kind: "nat",
            number,
            priority: DSTNAT,
        }),
        rules: {
            let directly = Family::BOTH
                .iter()
                .filter_map(|family| Some(direct(*family, from?)));
            let through = Family::BOTH.iter().map(|family| rule(*family, from));
            directly.chain(through).collect()
        },
    };
    [
        chain("prerouting", InetHookNumber::PreRouting, Some(gateway)),
        chain("output", InetHookNumber::LocalOut, None),
    ]
}

/// `iifname != GW dnat ip to ip daddr . meta l4proto . th dport map @PROCESSES`.
fn direct(family: Family, not_from: &str) -> Rule {
    let mut expressions = Vec::new();
    expressions.extend(expression::family(family));
    expressions.extend(expression::came_through(not_from, false));
    expressions.extend(expression::redirect_by(family, processes_name(family)));
    let which = name(family);
    Rule {
        comment: format!(
            "sluice: processes of the node that keep their clients' addresses, {which}"
        ),
        expressions,
    }
}

/// `iifname != GW dnat ip to ip daddr . meta l4proto . th dport map @PORTS`.
fn rule(family: Family, not_from: Option<&str>) -> Rule {
    let mut expressions = Vec::new();
    expressions.extend(expression::family(family));
    if let Some(gateway) = not_from {
        expressions.extend(expression::came_through(gateway, false));
    }
    expressions.extend(expression::redirect_by(family, ports_name(family)));
    let which = name(family);
    Rule {
        comment: match not_from {
            Some(gateway) => {
                format!("sluice: {which} ports that the switch serves, unless from {gateway}")
            }
            None => format!("sluice: {which} ports that the switch serves"),
        },
        expressions,
    }
}

const fn name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
