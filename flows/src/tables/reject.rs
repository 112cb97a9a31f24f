//! Table Reject: to a Service without endpoints, or to a port that none has. The host refuses what gets there, by TCP
//! RST or ICMP unreachable: a flow cannot make either. ICMP is dropped: a Service answers no ping, and nobody
//! complains about that.

use openflow::Field;

use crate::fragment::{FAMILIES, Fragment, MatchExt, Steps, any, drop_for, marked_from};
use crate::model::LocalNode;
use crate::pipeline::{HAIRPIN, OUT_PORT, ROUTER_MAC, Source, Table};
use crate::reason::DropReason;

const ICMP: u16 = 200;
const OF_HOST: u16 = 100;
const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    for v6 in FAMILIES {
        f.flow(
            Table::Reject,
            ICMP,
            any().icmp(v6),
            drop_for(DropReason::NoServicePort),
        );
    }
}

pub(crate) fn node(node: &LocalNode, f: &mut Fragment) {
    let to_host = || {
        Steps::new()
            .set(Field::ETH_SRC, ROUTER_MAC)
            .set(Field::ETH_DST, node.gateway.mac)
    };
    for v6 in FAMILIES {
        // The host takes nothing in that comes from its own address.
        let hairpin = HAIRPIN[usize::from(v6)];
        f.flow(
            Table::Reject,
            OF_HOST,
            marked_from(Source::Gateway, &[], &[]).family(v6),
            to_host().remember_as(hairpin).output_in_port(),
        );
    }
    f.flow(
        Table::Reject,
        ELSE,
        any(),
        to_host().set(OUT_PORT, node.gateway.ofport).output_chosen(),
    );
}
