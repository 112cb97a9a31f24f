//! Table Target: whether the destination is an endpoint of a Service.

use crate::fragment::{Fragment, any, goto};
use crate::pipeline::{BEFORE_ROUTE, Table};

const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(Table::Target, ELSE, any(), goto(BEFORE_ROUTE));
}
