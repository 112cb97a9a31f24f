//! Table IngressPolicy: the rules of the receiving pod.

use crate::fragment::{Fragment, any, goto};
use crate::pipeline::{AFTER_POLICY, Table};

const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(Table::IngressPolicy, ELSE, any(), goto(AFTER_POLICY));
}
