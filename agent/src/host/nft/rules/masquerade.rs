//! Masquerading: what leaves the pod network through this node, under an address that nobody out there could answer.
//!
//! Pods do, if asked for. So do the addresses between host and switch, always: as [`HAIRPIN`](crate::host::HAIRPIN_V4)
//! the switch sends what reaches an endpoint beyond the node, and from the others, under which it serves what is at the
//! node's own addresses, come the answers of connections that conntrack forgot.

use ipnet::IpNet;
use netlink_packet_netfilter::nftables::InetHookNumber;

use super::super::{
    expression,
    table::{Chain, Hook, Rule},
};
use crate::host::{BETWEEN, Family};

/// `NF_IP_PRI_NAT_SRC`.
const SRCNAT: i32 = 100;

/// The chain, for these podCIDRs.
pub(in super::super) fn chain(gateway: &str, pod_cidrs: &[IpNet]) -> Chain {
    let pods = pod_cidrs.iter().map(|cidr| cidr.trunc()).map(|cidr| Rule {
        comment: format!(
            "sluice: pods of {cidr} leave through other devices than {gateway} as this node"
        ),
        expressions: expressions(gateway, cidr),
    });
    let services = BETWEEN.iter().map(|between| Rule {
        comment: format!(
            "sluice: Services, {between}, leave through other devices than {gateway} as this node"
        ),
        expressions: expressions(gateway, *between),
    });
    Chain {
        name: "postrouting",
        hook: Some(Hook {
            kind: "nat",
            number: InetHookNumber::PostRouting,
            priority: SRCNAT,
        }),
        rules: pods.chain(services).collect(),
    }
}

/// `iifname GW oifname != GW ip saddr PREFIX masquerade`.
fn expressions(gateway: &str, prefix: IpNet) -> Vec<expression::Expression> {
    let mut all = Vec::new();
    all.extend(expression::family(Family::of(prefix.addr())));
    all.extend(expression::came_through(gateway, true));
    all.extend(expression::leaves_through(gateway, false));
    all.extend(expression::source_in(prefix));
    all.push(expression::masquerade());
    all
}
