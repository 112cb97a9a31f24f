//! Table Commit: conntrack in passing.

use crate::fragment::{Fragment, any, goto};
use crate::pipeline::{AFTER_COMMIT, Table};

const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(Table::Commit, ELSE, any(), goto(AFTER_COMMIT));
}
