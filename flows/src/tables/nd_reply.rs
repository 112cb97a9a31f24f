//! Table NdReply: the second half of a neighbour advertisement.
//!
//! Only what [`super::arp_nd`] has turned into an advertisement comes here.

use openflow::Field;

use crate::fragment::{Fragment, MatchExt, Steps, any};
use crate::model::LocalNode;
use crate::pipeline::{ROUTER_MAC, Table};

const ADVERTISEMENT: u16 = 100;

pub(crate) fn node(node: &LocalNode, f: &mut Fragment) {
    if node.caps.nd_reply {
        let finish = Steps::new().set(Field::ND_TLL, ROUTER_MAC).output_in_port();
        f.flow(
            Table::NdReply,
            ADVERTISEMENT,
            any().neighbour_advertisement(),
            finish,
        );
    }
}
