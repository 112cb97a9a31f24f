//! Table IngressSubject: whether policy applies to the pod that receives.

use crate::fragment::{Fragment, any, goto};
use crate::pipeline::Table;

const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(Table::IngressSubject, ELSE, any(), goto(Table::ConntrackIn));
}
