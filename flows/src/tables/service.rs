//! Table Service: which Service a packet is for.

use crate::fragment::{Fragment, any, goto};
use crate::pipeline::{NO_SERVICE, Table};

const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(Table::Service, ELSE, any(), goto(NO_SERVICE));
}
