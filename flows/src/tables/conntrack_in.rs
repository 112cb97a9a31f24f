//! Table ConntrackIn: whether the packet's connection must be known before it can go on.
//!
//! What was translated to an endpoint is of the original direction by construction, so nothing need be looked up, errors
//! apart: they are of a connection that policy may have revoked since. What
//! may be the answer of an endpoint is looked up among connections as they are on the wire; where its destination is
//! an address that sources are translated to, it is for someone else, translated and routed again. Otherwise it is not
//! translated yet: it may be what an endpoint sends to another one by the same ports as through a Service, and then it
//! is of that connection, but no answer. All else is looked up only if policy applies to it.

use crate::fragment::{FAMILIES, Fragment, MatchExt, Steps, any, goto, marked};
use crate::pipeline::{AFTER_POLICY, BEFORE_ROUTE, Mark, Table, ZONE_WIRE};

const ERROR: u16 = 600;
const TO_ENDPOINT: u16 = 500;
const TRACKED: u16 = 400;
const FOR_ANOTHER: u16 = 310;
const ANSWER: u16 = 300;
const POLICED: u16 = 200;
const ELSE: u16 = 0;

/// Marks with and without, of packets that policy applies to: exactly one of the two fits.
pub(crate) const POLICED_ENDS: [(Mark, Option<Mark>); 2] = [
    (Mark::SrcPoliced, None),
    (Mark::DstPoliced, Some(Mark::SrcPoliced)),
];

pub(crate) fn base(f: &mut Fragment) {
    let tracked = || Steps::new().mark(&[Mark::Tracked]);
    for (with, without) in POLICED_ENDS {
        let without = without.as_slice();
        for v6 in FAMILIES {
            f.flow(
                Table::ConntrackIn,
                ERROR,
                marked(&[Mark::Dnated, Mark::Reply, with], without).family(v6),
                tracked().look_up_wire(Table::ConntrackState),
            );
        }
        let translated = marked(&[Mark::Dnated, with], without);
        f.flow(
            Table::ConntrackIn,
            TO_ENDPOINT,
            translated,
            goto(Table::EgressSubject),
        );
    }
    f.flow(
        Table::ConntrackIn,
        TO_ENDPOINT,
        marked(&[Mark::Dnated], &[Mark::SrcPoliced, Mark::DstPoliced]),
        goto(AFTER_POLICY),
    );
    f.flow(
        Table::ConntrackIn,
        TRACKED,
        marked(&[Mark::Tracked], &[]),
        goto(Table::ConntrackState),
    );
    for v6 in FAMILIES {
        f.flow(
            Table::ConntrackIn,
            FOR_ANOTHER,
            marked(&[Mark::Answer, Mark::SnatDst], &[]).family(v6),
            tracked().track(ZONE_WIRE, BEFORE_ROUTE),
        );
        f.flow(
            Table::ConntrackIn,
            ANSWER,
            marked(&[Mark::Answer], &[]).family(v6),
            tracked().look_up_wire(Table::ConntrackState),
        );
        for (with, without) in POLICED_ENDS {
            f.flow(
                Table::ConntrackIn,
                POLICED,
                marked(&[with], without.as_slice()).family(v6),
                tracked().look_up(Table::ConntrackState),
            );
        }
    }
    f.flow(Table::ConntrackIn, ELSE, any(), goto(AFTER_POLICY));
}
