//! Table EgressSubject: whether policy applies to the pod that sends.

use crate::fragment::{Fragment, any, goto};
use crate::pipeline::Table;

const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(
        Table::EgressSubject,
        ELSE,
        any(),
        goto(Table::IngressSubject),
    );
}
