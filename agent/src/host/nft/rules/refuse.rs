//! Refusing what cannot be served, where the host would otherwise only pass it around.
//!
//! The switch hands a packet to the host that the host would route straight back into the switch: that is a
//! connection to a Service without endpoints. It is refused as a closed port would be, with a TCP reset or with
//! ICMP "port unreachable", a thousand times a second at most; what exceeds that is dropped.
//!
//! This happens in prerouting: the answer to the node's own packets comes back with an address of the node as its
//! source, which routing would discard as forged before any later hook. It happens after conntrack has seen the
//! packet, so that the refusal counts as related to it, and before any address is translated.
//!
//! The link-local addresses of Services are for this node alone: what others send to them directly is dropped.

use netlink_packet_netfilter::nftables::InetHookNumber;

use super::super::{
    expression,
    table::{Chain, Hook, Rule},
};
use crate::host::{Family, special_addresses};

/// `NF_IP_PRI_MANGLE`: after conntrack (-200), before destination NAT (-100).
const MANGLE: i32 = -150;
/// Refusals a second, and how many at once.
const RATE: u64 = 1_000;
const BURST: u32 = 1_000;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
const REFUSE: &str = "refuse";

/// The chains.
pub(in super::super) fn chains(gateway: &str) -> [Chain; 2] {
    [refuse(), filter(gateway)]
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

fn filter(gateway: &str) -> Chain {
    let mut back = Vec::new();
    back.extend(expression::came_through(gateway, true));
    back.extend(expression::routed_through(gateway));
    back.extend(expression::to_unicast());
    back.push(expression::go_to(REFUSE));
    let mut rules = vec![Rule {
        comment: format!("sluice: what would go back through {gateway} has no endpoint"),
        expressions: back,
    }];
    rules.extend(special_addresses().map(|address| {
        let mut direct = Vec::new();
        direct.extend(expression::family(Family::of(address)));
        direct.extend(expression::came_through(gateway, false));
        direct.extend(expression::destination(address));
        direct.push(expression::drop());
        Rule {
            comment: format!("sluice: {address} is for this node alone"),
            expressions: direct,
        }
    }));
    Chain {
        name: "filter",
        hook: Some(Hook {
            kind: "filter",
            number: InetHookNumber::PreRouting,
            priority: MANGLE,
        }),
        rules,
    }
}
