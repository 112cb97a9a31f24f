//! Table ServiceState: what conntrack knows of a packet to a Service, where that had to be asked first.
//!
//! A connection that exists goes to its endpoint, which it has been translated to already. So does an ICMP error that a
//! client sends about an answer, but that Linux has not translated it yet. A new connection goes on as its Service says,
//! which table Service has found out, fragments apart.
//!
//! Fragments of new connections are for UDP alone: the first packet of the others is never so large. Linux puts the
//! packet together when conntrack is asked, and it has its ports here. The userspace datapath only looks at it as a
//! whole; the fragments stay, and conntrack, which has no connection yet, knows the ports of the first one alone. The
//! others are taken for the only UDP port that there is at the address; if there are several, they go the way of what
//! is for no port there: to the host, which never sees the rest of them.

use std::net::IpAddr;

use ipnet::IpNet;
use openflow::{Action, Field, FlowMod, FlowStats, Instruction, Match};

use crate::cookie::Cookie;
use crate::fragment::CtState::{Established, Invalid, Related, Tracked};
use crate::fragment::{FAMILIES, Fragment, MatchExt, Steps, any, drop_for, goto};
use crate::model::{ServicePort, State};
use crate::pipeline::{BEFORE_ROUTE, Mark, NO_SERVICE, SERVICE_ID, Table, ZONE_SERVICE};
use crate::reason::DropReason;
use crate::service::{Choice, Look, Scope, service_number};
use crate::tables::service::{self, Known, Listener};

const INVALID: u16 = 9000;
const ESTABLISHED: u16 = 8000;
const RELATED: u16 = 7900;
const SERVICE: u16 = 7000;
/// Plus what it has in table Service.
const LATER_FRAGMENT: u16 = 3500;
/// Likewise.
const FRAGMENT: u16 = 500;
const ADDRESS: u16 = 100;
const ELSE: u16 = 0;

/// How long the switch may take to see to it that all packets go by a change, in seconds: thousandths of that, usually.
const A_MOMENT: u16 = 10;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(
        Table::ServiceState,
        INVALID,
        any().ct_state(&[Tracked, Invalid], &[]),
        drop_for(DropReason::InvalidConnection),
    );
    f.flow(
        Table::ServiceState,
        ESTABLISHED,
        any().ct_state(&[Tracked, Established], &[]),
        Steps::new().mark(&[Mark::Dnated]).goto(BEFORE_ROUTE),
    );
    for v6 in FAMILIES {
        f.flow(
            Table::ServiceState,
            RELATED,
            any().family(v6).ct_state(&[Tracked, Related], &[]),
            Steps::new()
                .mark(&[Mark::Dnated, Mark::Reply])
                .track_error(ZONE_SERVICE, BEFORE_ROUTE),
        );
    }
    f.flow(Table::ServiceState, ELSE, any(), goto(NO_SERVICE));
}

/// An address that belongs to Services alone: what is for none of their ports is refused.
pub(crate) fn address(ip: IpAddr, f: &mut Fragment) {
    f.flow(
        Table::ServiceState,
        ADDRESS,
        any().destination(IpNet::from(ip)),
        goto(Table::Reject),
    );
}

/// New connections of a Service that had to be looked up first.
pub(crate) fn service(port: &ServicePort, state: &State, f: &mut Fragment) {
    for scope in [Scope::Cluster, Scope::Local] {
        let choice = service::choice(port, scope, state);
        if port.uses(scope) && matches!(choice, Choice::Nothing | Choice::Client { .. }) {
            f.flow(
                Table::ServiceState,
                SERVICE,
                any().eq(SERVICE_ID, service_number(&port.id, scope)),
                service::new_connection(port, scope, state),
            );
        }
    }
}

/// What a flow of [`service`] in a switch looks at of clients.
pub(crate) fn read_look(flow: &FlowStats) -> Look {
    let chooses = |it: &Instruction| match it {
        Instruction::ApplyActions(actions) => {
            actions.iter().any(|it| matches!(it, Action::Multipath(_)))
        }
        _ => false,
    };
    Look {
        address_of_new: flow.priority == SERVICE && flow.instructions.iter().any(chooses),
        ..Look::default()
    }
}

/// For the moment in which new connections still come here although nothing of a Service needs to be looked up any
/// more: the switch takes a change in, and table Service is not up to date in every packet's way. They are served
/// where they were, and dropped where they were: not refused. Not a part of the program.
pub(crate) fn belated(
    before: &ServicePort,
    after: &ServicePort,
    scope: Scope,
    state: &State,
) -> Option<FlowMod> {
    let served = before.affinity.is_some() && !before.backends(scope).is_empty();
    let dropped = scope == Scope::Local && before.local.is_empty() && !before.cluster.is_empty();
    let choice = service::choice(after, scope, state);
    let is_there = matches!(choice, Choice::Nothing | Choice::Client { .. });
    if !before.uses(scope) || (after.uses(scope) && is_there) {
        return None;
    }
    let steps = if served && after.uses(scope) {
        service::by_address_alone(after, scope, state)
    } else if served && after.uses(Scope::Cluster) {
        // The endpoint may be anywhere, and its answer has to come back here.
        let steps = Steps::new().unmark(&[Mark::Keep]);
        steps.then(service::by_address_alone(after, Scope::Cluster, state))
    } else if dropped {
        drop_for(DropReason::NoLocalEndpoint)
    } else {
        return None;
    };
    let mut f = Fragment::new(Cookie::passing(after.id.as_str()));
    let new = any().eq(SERVICE_ID, service_number(&after.id, scope));
    f.flow(Table::ServiceState, SERVICE, new, steps);
    f.flows.pop().map(|flow| FlowMod {
        hard_timeout: A_MOMENT,
        ..flow.to_add()
    })
}

/// New connections that begin with fragments. `only` is whether there is no other UDP port at the address.
pub(crate) fn listen(
    listener: &Listener<'_>,
    port: &ServicePort,
    only: bool,
    state: &State,
    f: &mut Fragment,
) {
    for row in service::rows(listener, port, state, Known::Address) {
        let to = addressed_to(row.from.family(port.v6), listener.ip)
            .ct_state(&[Tracked], &[Invalid])
            .eq(Field::CT_NW_PROTO, port.protocol.number())
            .eq(Field::CT_TP_DST, listener.port);
        f.flow(Table::ServiceState, FRAGMENT + row.priority, to, row.steps);
    }
    if !only {
        return;
    }
    for row in service::rows(listener, port, state, Known::Address) {
        let to = row
            .from
            .destination(IpNet::from(listener.ip))
            .later_fragment_of(port.v6, port.protocol)
            .ct_state(&[Tracked], &[Invalid]);
        let priority = LATER_FRAGMENT + row.priority;
        f.flow(Table::ServiceState, priority, to, row.steps);
    }
}

/// As conntrack first saw it.
fn addressed_to(match_: Match, ip: IpAddr) -> Match {
    match ip {
        IpAddr::V4(ip) => match_.eq(Field::CT_NW_DST, ip),
        IpAddr::V6(ip) => match_.eq(Field::CT_IPV6_DST, ip),
    }
}
