//! Refusing what cannot be served, where the host would otherwise only pass it around.
//!
//! The switch hands a packet to the host that the host routes straight back into the switch: that is a connection to
//! a Service without endpoints. It is refused as a closed port would be, with a TCP reset or with ICMP "port
//! unreachable", a thousand times a second at most; what exceeds that is dropped.
//!
//! This happens in forward, where routing has decided: nothing that is for the node itself or leaves by another
//! device is touched, and other packets are compared with two names only. What the node itself sent comes back with
//! an address of the node as its source, so the gateway device has to accept that (`accept_local`). (In prerouting
//! it need not, but there the kernel finds no source for the ICMP error to the node's own sockets, and each packet
//! costs look-ups of its route.) It comes before the `filter` priority, at which others drop what they do not know.
//!
//! The addresses between host and switch are for this node alone: what others send to them directly is dropped,
//! before addresses are translated into them.

use netlink_packet_netfilter::nftables::InetHookNumber;

use super::super::{
    expression,
    table::{Chain, Hook, Rule},
};
use crate::host::{BETWEEN, Family};

/// `NF_IP_PRI_MANGLE`: after conntrack (-200), before destination NAT (-100) and filter (0).
const MANGLE: i32 = -150;
/// Refusals a second, and how many at once.
const RATE: u64 = 1_000;
const BURST: u32 = 1_000;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
const REFUSE: &str = "refuse";

/// The chains.
pub(in super::super) fn chains(gateway: &str) -> [Chain; 3] {
    [refuse(), forward(gateway), guard(gateway)]
}

fn refuse() -> Chain {
    let mut reset: Vec<_> = expression::protocol(TCP).into();
    reset.push(expression::reset());
    Chain {
        name: REFUSE,
        hook: None,
        rules: vec![
            Rule {
                comment: format!("sluice: refuse no more than {RATE} a second"),
                expressions: vec![expression::more_often_than(RATE, BURST), expression::drop()],
            },
            Rule {
                comment: "sluice: refuse TCP with a reset".into(),
                expressions: reset,
            },
            Rule {
                comment: "sluice: refuse all else as an unreachable port".into(),
                expressions: vec![expression::unreachable()],
            },
        ],
    }
}

/// `iifname GW oifname GW goto refuse`.
fn forward(gateway: &str) -> Chain {
    let mut expressions = Vec::new();
    expressions.extend(expression::came_through(gateway, true));
    expressions.extend(expression::leaves_through(gateway, true));
    expressions.push(expression::go_to(REFUSE));
    Chain {
        name: "forward",
        hook: Some(Hook {
            kind: "filter",
            number: InetHookNumber::Forward,
            priority: MANGLE,
        }),
        rules: vec![Rule {
            comment: format!("sluice: what would go back through {gateway} has no endpoint"),
            expressions,
        }],
    }
}

/// `iifname != GW ip daddr PREFIX drop`.
fn guard(gateway: &str) -> Chain {
    let rules = BETWEEN.iter().map(|between| {
        let mut expressions = Vec::new();
        expressions.extend(expression::family(Family::of(between.addr())));
        expressions.extend(expression::came_through(gateway, false));
        expressions.extend(expression::destination_in(*between));
        expressions.push(expression::drop());
        Rule {
            comment: format!("sluice: {between} is for this node and {gateway} alone"),
            expressions,
        }
    });
    Chain {
        name: "guard",
        hook: Some(Hook {
            kind: "filter",
            number: InetHookNumber::PreRouting,
            priority: MANGLE,
        }),
        rules: rules.collect(),
    }
}
