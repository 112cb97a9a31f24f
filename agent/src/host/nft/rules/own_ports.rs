//! Ports of the node's own addresses that the switch serves: what comes to one goes on to the one address under which
//! the switch serves them, and so into the switch. The port stays, the source stays.
//!
//! What pods send does not come here: the switch serves them itself, so nothing that came out of the switch is
//! looked at. What the node itself sends does.
//!
//! What comes from outside for a process of the node, and must keep its client's address, goes there directly.

use std::collections::BTreeSet;

use netlink_packet_netfilter::nftables::InetHookNumber;

use super::super::{
    expression,
    table::{Chain, Hook, Key, Rule, Set},
};
use crate::host::{Family, node_port_address, services::OwnPort};

/// `NF_IP_PRI_NAT_DST`, in prerouting as in output.
const DSTNAT: i32 = -100;

const fn set_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "own_ports_v4",
        Family::V6 => "own_ports_v6",
    }
}

const fn map_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "own_processes_v4",
        Family::V6 => "own_processes_v6",
    }
}

/// The ports, by family, and the processes that serve some of them.
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
        sets.push(Set {
            name: set_name(family),
            key,
            data: None,
            elements: of_family().map(element).collect(),
        });
        sets.push(Set {
            name: map_name(family),
            key,
            data: Some(data),
            elements: of_family().filter_map(mapped).collect(),
        });
    }
    sets
}

/// The same, and the address and port of the process.
fn mapped(port: &OwnPort) -> Option<Vec<u8>> {
    let process = port.process?;
    let mut bytes = element(port);
    let [high, low] = process.port().to_be_bytes();
    bytes.extend(expression::octets(process.ip()));
    bytes.extend([high, low, 0, 0]);
    Some(bytes)
}

/// Address, protocol and port, each padded to a multiple of four bytes.
fn element(port: &OwnPort) -> Vec<u8> {
    let [high, low] = port.port.to_be_bytes();
    let mut bytes = expression::octets(port.address);
    bytes.extend([port.protocol, 0, 0, 0, high, low, 0, 0]);
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
    expressions.extend(expression::redirect_by(family, map_name(family)));
    let which = match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    };
    Rule {
        comment: format!(
            "sluice: processes of the node that keep their clients' addresses, {which}"
        ),
        expressions,
    }
}

/// `iifname != GW ip daddr . meta l4proto . th dport @PORTS dnat ip to ADDRESS`.
fn rule(family: Family, not_from: Option<&str>) -> Rule {
    let to = node_port_address(family);
    let mut expressions = Vec::new();
    expressions.extend(expression::family(family));
    if let Some(gateway) = not_from {
        expressions.extend(expression::came_through(gateway, false));
    }
    expressions.extend(expression::addressed_to(family, set_name(family)));
    expressions.extend(expression::redirect_to(to));
    Rule {
        comment: match not_from {
            Some(gateway) => {
                format!(
                    "sluice: these ports, unless from {gateway}, are served in the switch as {to}"
                )
            }
            None => format!("sluice: these ports are served in the switch as {to}"),
        },
        expressions,
    }
}
