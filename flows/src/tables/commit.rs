//! Table Commit: what conntrack has to remember and to translate, in passing.
//!
//! Nothing here recirculates: the packet goes on to its port with whatever conntrack made of it.
//!
//! - A reply has its translation undone: that of its destination was, in [`ZONE_TRACK`], before it was routed; that of
//!   its source is, in [`ZONE_SERVICE`], here.
//! - What was translated to an endpoint gets another source where the answer would not come back here otherwise: to the
//!   sender itself, from the host back to the host, from outside of the cluster, and where the Service asks for it.
//! - What goes to an endpoint directly is remembered beside the connections to Services, so that the two cannot be
//!   confused. Of TCP that is the first packet only: a later one of an unknown connection may as well be a reply.
//! - What policy has allowed is remembered so that its replies are known. Of TCP that it comes upon in the middle, from
//!   what looks like a server to what looks like a client, it remembers nothing: the client's next packet will tell the
//!   direction.

use std::net::IpAddr;

use openflow::{Field, Match};

use crate::fragment::CtState::{Established, New, Reply, Tracked};
use crate::fragment::{
    ACK, FAMILIES, Fragment, MatchExt, SYN, Steps, any, goto, in_port, marked, marked_from,
    marked_near,
};
use crate::model::{LocalNode, LocalPod, Protocol};
use crate::pipeline::{
    AFTER_COMMIT, HAIRPIN, MARKS, Mark, OUT_PORT, SERVICE_ID, Source, Table, ZONE_SERVICE,
    ZONE_TRACK,
};
use crate::tables::conntrack_in::POLICED_ENDS;

const BACK: u16 = 900;
const BACK_REPLY: u16 = 890;
const BACK_ERROR: u16 = 895;
const TO_HOST: u16 = 880;
const OF_UNKNOWN_SERVICE: u16 = 860;
const MASQUERADED: u16 = 840;
const FROM_OUTSIDE: u16 = 800;
const POLICED: u16 = 780;
const TRANSLATED: u16 = 700;
const REPLY: u16 = 600;
/// Less what the packet is in other respects.
const DIRECT: u16 = 580;
const DIRECT_POLICED: u16 = 590;
const MIDSTREAM: u16 = 540;
const NEW: u16 = 530;
const REVOKED: u16 = 520;
const REST: u16 = 510;
const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    for v6 in FAMILIES {
        translated(v6, f);
        f.flow(
            Table::Commit,
            REPLY,
            marked(&[Mark::Reply, Mark::EpSrc], &[]).family(v6),
            Steps::new().translate(ZONE_SERVICE).goto(AFTER_COMMIT),
        );
        to_endpoint_directly(v6, f);
        everything_else(v6, f);
    }
    f.flow(
        Table::Commit,
        TRANSLATED,
        marked(&[Mark::Dnated], &[]),
        goto(AFTER_COMMIT),
    );
    f.flow(
        Table::Commit,
        REPLY,
        marked(&[Mark::Reply], &[Mark::EpSrc]),
        goto(AFTER_COMMIT),
    );
    f.flow(Table::Commit, ELSE, any(), goto(AFTER_COMMIT));
}

fn translated(v6: bool, f: &mut Fragment) {
    // Its connection exists, but which Service it was made through is not known any more.
    f.flow(
        Table::Commit,
        OF_UNKNOWN_SERVICE,
        marked(&[Mark::Dnated], &[]).family(v6).eq(SERVICE_ID, 0u64),
        Steps::new().translate(ZONE_TRACK).goto(AFTER_COMMIT),
    );
    for (with, without) in POLICED_ENDS {
        f.flow(
            Table::Commit,
            POLICED,
            marked(&[Mark::Dnated, with], without.as_slice()).family(v6),
            Steps::new().remember(None).goto(AFTER_COMMIT),
        );
    }
}

/// The first packet of TCP, and any of a protocol whose packets do not tell.
fn to_endpoint_directly(v6: bool, f: &mut Fragment) {
    let first = |packet: Match| {
        [
            packet.clone().family(v6).tcp_flags(SYN, ACK),
            packet.clone().family(v6).protocol(Protocol::Udp),
            packet.family(v6).protocol(Protocol::Sctp),
        ]
    };
    for packet in first(marked_near(&[Mark::EpDst], &[Mark::Tracked])) {
        let steps = Steps::new().remember_direct().goto(AFTER_COMMIT);
        f.flow(Table::Commit, DIRECT, packet, steps);
    }
    for packet in first(marked_near(&[Mark::EpDst, Mark::Tracked], &[])) {
        // In any case: what was looked up may have been another connection, before this one got another port.
        let steps = Steps::new()
            .remember_direct()
            .remember(None)
            .goto(AFTER_COMMIT);
        f.flow(Table::Commit, DIRECT_POLICED, packet, steps);
    }
}

/// What is between the two ends is, by priority: what policy needs; within it, by marks, what Services need.
fn everything_else(v6: bool, f: &mut Fragment) {
    let midstream = |packet: Match| {
        packet
            .tcp_flags(0, SYN)
            .masked(Field::TCP_SRC, 0u16, 0x8000u16)
            .masked(Field::TCP_DST, 0x8000u16, 0x8000u16)
            .ct_state(&[Tracked, New], &[])
    };
    let new = |packet: Match| packet.ct_state(&[Tracked, New], &[]);
    let revoked = |packet: Match| packet.ct_state(&[Tracked, Established], &[Reply]).blocked();
    let plain = |packet: Match| packet;
    type Condition<'a> = &'a dyn Fn(Match) -> Match;
    let conditions: [(u16, Condition<'_>, &[Mark], bool); 4] = [
        (MIDSTREAM, &midstream, &[Mark::Tracked], false),
        (NEW, &new, &[Mark::Tracked], true),
        (REVOKED, &revoked, &[Mark::Tracked], true),
        (REST, &plain, &[], false),
    ];
    for (priority, condition, marks, remember) in conditions {
        let with = |more: &[Mark]| [marks, more].concat();
        let policy = |steps: Steps| match remember {
            true => steps.remember(None),
            false => steps,
        };
        // On the wire it is as it comes from an endpoint, and as it goes to one.
        let from_endpoint = marked(&with(&[Mark::EpSrc]), &[]).family(v6);
        let to_endpoint = marked_near(&with(&[Mark::EpDst]), &[Mark::EpSrc])
            .family(v6)
            .protocol(Protocol::Tcp);
        f.flow(
            Table::Commit,
            priority,
            condition(from_endpoint),
            policy(Steps::new())
                .translate(ZONE_SERVICE)
                .goto(AFTER_COMMIT),
        );
        f.flow(
            Table::Commit,
            priority,
            condition(to_endpoint),
            policy(Steps::new().translate(ZONE_SERVICE)).goto(AFTER_COMMIT),
        );
        if !marks.is_empty() {
            // Below the others, but above all of what is less urgent.
            f.flow(
                Table::Commit,
                priority - 5,
                condition(marked(&with(&[]), &[]).family(v6)),
                policy(Steps::new()).goto(AFTER_COMMIT),
            );
        }
    }
}

/// `ips` are the gateway's addresses, without repetition.
pub(crate) fn node(node: &LocalNode, ips: &[IpAddr], f: &mut Fragment) {
    let host = node.gateway.ofport;
    for v6 in FAMILIES {
        let hairpin = HAIRPIN[usize::from(v6)];
        let gateway = source(ips, v6);
        let as_another = |ip| Steps::new().remember(Some(ip));
        let between = |mark| {
            marked_from(Source::Gateway, &[mark], &[])
                .family(v6)
                .eq(OUT_PORT, host)
        };
        f.flow(
            Table::Commit,
            BACK,
            between(Mark::Dnated),
            as_another(hairpin).mark(&[Mark::Back]).goto(AFTER_COMMIT),
        );
        f.flow(
            Table::Commit,
            BACK_REPLY,
            between(Mark::Reply),
            Steps::new()
                .translate(ZONE_SERVICE)
                .mark(&[Mark::Back])
                .goto(AFTER_COMMIT),
        );
        // The host takes nothing in that comes from its own address, as an error that it has sent itself does.
        f.flow(
            Table::Commit,
            BACK_ERROR,
            between(Mark::Reply).icmp(v6),
            from_hairpin(v6)
                .translate(ZONE_SERVICE)
                .mark(&[Mark::Back])
                .goto(AFTER_COMMIT),
        );
        // For the same reason not the gateway's.
        f.flow(
            Table::Commit,
            TO_HOST,
            marked(&[Mark::Dnated, Mark::Masq], &[])
                .family(v6)
                .eq(OUT_PORT, host),
            as_another(hairpin).goto(AFTER_COMMIT),
        );
        f.flow(
            Table::Commit,
            MASQUERADED,
            marked(&[Mark::Dnated, Mark::Masq], &[]).family(v6),
            as_another(gateway).goto(AFTER_COMMIT),
        );
        f.flow(
            Table::Commit,
            FROM_OUTSIDE,
            marked_from(Source::Gateway, &[Mark::Dnated], &[Mark::Keep]).family(v6),
            as_another(gateway).goto(AFTER_COMMIT),
        );
    }
}

/// `ips` are the addresses that are the pod's own, and `gateway` those of the gateway.
pub(crate) fn pod(pod: &LocalPod, ips: &[IpAddr], gateway: &[IpAddr], f: &mut Fragment) {
    for v6 in FAMILIES {
        if !ips.iter().any(|ip| ip.is_ipv6() == v6) {
            continue;
        }
        let to_itself = |mark: Mark| {
            in_port(pod.ofport)
                .family(v6)
                .masked(MARKS, mark.bit(), mark.bit())
                .eq(OUT_PORT, pod.ofport)
        };
        f.flow(
            Table::Commit,
            BACK,
            to_itself(Mark::Dnated),
            Steps::new()
                .remember(Some(source(gateway, v6)))
                .mark(&[Mark::Back])
                .goto(AFTER_COMMIT),
        );
        f.flow(
            Table::Commit,
            BACK_REPLY,
            to_itself(Mark::Reply),
            Steps::new()
                .translate(ZONE_SERVICE)
                .mark(&[Mark::Back])
                .goto(AFTER_COMMIT),
        );
    }
}

fn from_hairpin(v6: bool) -> Steps {
    match HAIRPIN[usize::from(v6)] {
        IpAddr::V4(ip) => Steps::new().set(Field::IPV4_SRC, ip),
        IpAddr::V6(ip) => Steps::new().set(Field::IPV6_SRC, ip),
    }
}

/// The address that sources are translated to: the gateway's, if it has one of the family.
fn source(gateway: &[IpAddr], v6: bool) -> IpAddr {
    let own = gateway.iter().find(|ip| ip.is_ipv6() == v6);
    own.copied().unwrap_or(HAIRPIN[usize::from(v6)])
}
