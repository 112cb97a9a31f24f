//! Table EgressClass: which class the destination address is of.

use crate::fragment::{Fragment, any, goto};
use crate::pipeline::Table;

const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(Table::EgressClass, ELSE, any(), goto(Table::EgressPolicy));
}
