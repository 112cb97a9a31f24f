//! Node ports: what comes to an address of this node and a node port goes on to the one address under which the
//! switch serves node ports, and so into the switch. The port stays, the source stays.
//!
//! What pods send does not come here: the switch serves them itself, so nothing that came out of the switch is
//! looked at. What the node itself sends does.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use netlink_packet_netfilter::nftables::InetHookNumber;

use super::super::{
    expression,
    table::{Chain, Hook, Key, Rule, Set},
};
use crate::host::{Family, node_port_address, services::NodePort};

/// `NF_IP_PRI_NAT_DST`, in prerouting as in output.
const DSTNAT: i32 = -100;

const fn addresses_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "node_port_addresses_v4",
        Family::V6 => "node_port_addresses_v6",
    }
}

const fn ports_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "node_ports_v4",
        Family::V6 => "node_ports_v6",
    }
}

/// The sets, of each family the addresses and the ports.
pub(in super::super) fn sets(addresses: &BTreeSet<IpAddr>, ports: &BTreeSet<NodePort>) -> Vec<Set> {
    let mut by_name: BTreeMap<&'static str, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for address in addresses {
        let set = by_name.entry(addresses_name(Family::of(*address)));
        set.or_default().insert(expression::octets(*address));
    }
    for port in ports {
        let set = by_name.entry(ports_name(port.family));
        set.or_default().insert(element(port));
    }
    let mut set = |name, key| Set {
        name,
        key,
        elements: by_name.remove(name).unwrap_or_default(),
    };
    vec![
        set(addresses_name(Family::V4), Key::IPV4),
        set(addresses_name(Family::V6), Key::IPV6),
        set(ports_name(Family::V4), Key::PROTOCOL_AND_PORT),
        set(ports_name(Family::V6), Key::PROTOCOL_AND_PORT),
    ]
}

/// Protocol and port, each padded to four bytes.
fn element(port: &NodePort) -> Vec<u8> {
    let [high, low] = port.port.to_be_bytes();
    vec![port.protocol, 0, 0, 0, high, low, 0, 0]
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
        rules: Family::BOTH.map(|family| rule(family, from)).into(),
    };
    [
        chain("prerouting", InetHookNumber::PreRouting, Some(gateway)),
        chain("output", InetHookNumber::LocalOut, None),
    ]
}

/// `iifname != GW ip daddr @ADDRESSES meta l4proto . th dport @PORTS dnat ip to ADDRESS`.
fn rule(family: Family, not_from: Option<&str>) -> Rule {
    let to = node_port_address(family);
    let mut expressions = Vec::new();
    expressions.extend(expression::family(family));
    if let Some(gateway) = not_from {
        expressions.extend(expression::came_through(gateway, false));
    }
    expressions.extend(expression::destination_in(family, addresses_name(family)));
    expressions.extend(expression::port_in(ports_name(family)));
    expressions.extend(expression::redirect_to(to));
    Rule {
        comment: match not_from {
            Some(gateway) => {
                format!(
                    "sluice: node ports, unless from {gateway}, are served in the switch as {to}"
                )
            }
            None => format!("sluice: node ports are served in the switch as {to}"),
        },
        expressions,
    }
}
