//! Table Target: whether the destination is an endpoint of a Service. What is for a Service does not come here.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::fragment::{Fragment, MatchExt, Steps, any, goto};
use crate::pipeline::{BEFORE_ROUTE, Mark, Table};

const ENDPOINT: u16 = 100;
const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(Table::Target, ELSE, any(), goto(BEFORE_ROUTE));
}

pub(crate) fn endpoint(ip: IpAddr, f: &mut Fragment) {
    let steps = Steps::new().mark(&[Mark::EpDst]).goto(BEFORE_ROUTE);
    f.flow(
        Table::Target,
        ENDPOINT,
        any().destination(IpNet::from(ip)),
        steps,
    );
}
