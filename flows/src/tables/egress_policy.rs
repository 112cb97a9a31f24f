//! Table EgressPolicy: the rules of the sending pod.

use crate::fragment::{Fragment, any, goto};
use crate::pipeline::Table;

const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(Table::EgressPolicy, ELSE, any(), goto(Table::IngressClass));
}
