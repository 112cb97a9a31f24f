//! Table ConntrackState: what conntrack says of the packet.
//!
//! Replies, and errors that speak of a connection, are waved through, unless policy has revoked the connection.
//! Everything else is judged if policy applies to either end, established or not. Only there does it matter that
//! conntrack calls a packet invalid: elsewhere it need not have seen the connection.
//!
//! An error that a client of a Service sends is of a connection on the wire, or, where its source was kept from outside, of
//! one that policy knows: the one is looked up after the other.
//!
//! What might have been the answer of an endpoint, and belongs to no connection of a Service, is a packet like any
//! other: looked up again, among all connections, if policy applies to it.
//!
//! A fragment other than the first has no ports to be judged by. It is of no use without the first one.

use crate::fragment::CtState::{Invalid, Related, Reply, Tracked};
use crate::fragment::{
    FAMILIES, Fragment, MatchExt, RST, Steps, any, drop_for, goto, marked, marked_from,
};
use crate::pipeline::{AFTER_POLICY, Mark, Source, Table};
use crate::reason::DropReason;
use crate::tables::conntrack_in::POLICED_ENDS;

const REVOKED: u16 = 900;
const RELATED: u16 = 850;
const REPLY: u16 = 800;
const ERROR_UNDER_OWN_ADDRESS: u16 = 750;
const NO_ANSWER_POLICED: u16 = 700;
const NO_ANSWER: u16 = 690;
const REFUSAL: u16 = 600;
const INVALID: u16 = 500;
const FRAGMENT: u16 = 250;
const POLICED: u16 = 200;
const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    let reply = || Steps::new().mark(&[Mark::Reply]).goto(AFTER_POLICY);
    for of_connection in [Reply, Related] {
        f.flow(
            Table::ConntrackState,
            REVOKED,
            any()
                .ct_state(&[Tracked, of_connection], &[Invalid])
                .blocked(),
            drop_for(DropReason::BlockedConnection),
        );
    }
    f.flow(
        Table::ConntrackState,
        RELATED,
        any().ct_state(&[Tracked, Related], &[Invalid]),
        reply(),
    );
    f.flow(
        Table::ConntrackState,
        REPLY,
        any().ct_state(&[Tracked, Reply], &[Invalid]),
        reply(),
    );

    for v6 in FAMILIES {
        f.flow(
            Table::ConntrackState,
            ERROR_UNDER_OWN_ADDRESS,
            marked(&[Mark::Dnated, Mark::Reply], &[])
                .family(v6)
                .ct_state(&[Tracked, Invalid], &[]),
            Steps::new()
                .unmark(&[Mark::Dnated])
                .look_up(Table::ConntrackState),
        );
        for (with, without) in POLICED_ENDS {
            f.flow(
                Table::ConntrackState,
                NO_ANSWER_POLICED,
                marked(&[Mark::Answer, with], without.as_slice()).family(v6),
                Steps::new()
                    .unmark(&[Mark::Answer])
                    .look_up(Table::ConntrackState),
            );
        }
    }
    f.flow(
        Table::ConntrackState,
        NO_ANSWER,
        marked(&[Mark::Answer], &[]),
        Steps::new()
            .unmark(&[Mark::Answer, Mark::Tracked])
            .goto(AFTER_POLICY),
    );

    // The host refuses connections to Services without endpoints in the name of the Service, which no one has heard
    // of in this zone.
    let refused = || marked_from(Source::Gateway, &[Mark::DstPoliced], &[]);
    for v6 in FAMILIES {
        let refusals = [refused().family(v6).tcp_flags(RST, 0), refused().icmp(v6)];
        for refusal in refusals {
            let refusal = refusal.ct_state(&[Tracked, Invalid], &[]);
            f.flow(Table::ConntrackState, REFUSAL, refusal, goto(AFTER_POLICY));
        }
        f.flow(
            Table::ConntrackState,
            FRAGMENT,
            any().family(v6).later_fragment().ct_state(&[Tracked], &[]),
            goto(AFTER_POLICY),
        );
    }
    for (with, without) in POLICED_ENDS {
        let policed = || marked(&[with], without.as_slice());
        f.flow(
            Table::ConntrackState,
            INVALID,
            policed().ct_state(&[Tracked, Invalid], &[]),
            drop_for(DropReason::InvalidConnection),
        );
        f.flow(
            Table::ConntrackState,
            POLICED,
            policed(),
            goto(Table::EgressSubject),
        );
    }
    f.flow(Table::ConntrackState, ELSE, any(), goto(AFTER_POLICY));
}
