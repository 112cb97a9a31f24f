//! Table Reject: to a Service without endpoints. The host refuses what gets there, by TCP RST or ICMP unreachable: a
//! flow cannot make either.

use openflow::Field;

use crate::fragment::{FAMILIES, Fragment, MatchExt, Steps, any, marked_from};
use crate::model::LocalNode;
use crate::pipeline::{HAIRPIN, OUT_PORT, ROUTER_MAC, Source, Table};

const OF_HOST: u16 = 100;
const ELSE: u16 = 0;

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
