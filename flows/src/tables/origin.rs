//! Table Origin: whether the source is an endpoint of a Service.

use crate::fragment::{Fragment, any, from, goto};
use crate::pipeline::{AFTER_ORIGIN, AFTER_ORIGIN_FROM_TUNNEL, Source, Table};

const FROM_PEER: u16 = 10;
const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(
        Table::Origin,
        FROM_PEER,
        from(Source::Tunnel),
        goto(AFTER_ORIGIN_FROM_TUNNEL),
    );
    f.flow(Table::Origin, ELSE, any(), goto(AFTER_ORIGIN));
}
