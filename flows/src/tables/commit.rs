//! Table Commit: what conntrack has to remember and to translate, in passing.
//!
//! Nothing here recirculates: the packet goes on to its port with whatever conntrack made of it.
//!
//! - What was translated to an endpoint gets a source port of [`crate::pipeline::ENDPOINT_PORTS`], so that its answers are known, and so
//!   that a connection to a Service is never like one to its endpoint on the wire. It gets another source address
//!   too where the answer would not come back here otherwise: to the sender itself, from the host back to the host,
//!   from outside of the cluster, and where the Service asks for it. Where the client's address must be kept and is
//!   no pod's, the port is kept as well, and what an endpoint here sends to outside is taken for a possible answer.
//! - A connection that exists goes on under the source it has, whatever the Service asks for by now: so one that keeps
//!   its source is in [`ZONE_WIRE`] too, under that. Its answers have nothing by which they are known there, and policy
//!   looks them up in [`crate::pipeline::ZONE_TRACK`]: that has to see both of its directions as long as it lives.
//! - An answer has its destination translated back, in [`ZONE_WIRE`], where it was not already, and its source, in
//!   [`ZONE_SERVICE`].
//! - What policy has allowed is remembered so that its replies are known. Of TCP that it comes upon in the middle, from
//!   what looks like a server to what looks like a client, it remembers nothing: the client's next packet will tell the
//!   direction.

use std::net::IpAddr;

use ipnet::IpNet;
use openflow::{Field, Match};

use crate::fragment::CtState::{Established, New, Reply, Tracked};
use crate::fragment::{
    FAMILIES, Fragment, MatchExt, SYN, Steps, any, goto, in_port, marked, marked_from,
};
use crate::model::{LocalNode, LocalPod};
use crate::pipeline::{
    AFTER_COMMIT, HAIRPIN, MARKS, Mark, OUT_PORT, SERVICE_ID, Source, Table, ZONE_SERVICE,
    ZONE_WIRE,
};

const BACK: u16 = 900;
const BACK_REPLY: u16 = 890;
const TO_HOST: u16 = 880;
const ERROR: u16 = 870;
const LATER_FRAGMENT: u16 = 865;
const OF_UNKNOWN_SERVICE: u16 = 860;
const KEPT_ONCE: u16 = 850;
const MASQUERADED: u16 = 840;
const FROM_OUTSIDE: u16 = 800;
const TRANSLATED: u16 = 700;
const ANSWER: u16 = 600;
const MIDSTREAM: u16 = 540;
const NEW: u16 = 520;
const REVOKED: u16 = 500;
const REST: u16 = 480;
/// More than the same without.
const FROM_ENDPOINT: u16 = 10;
/// Likewise.
const FROM_HOST: u16 = 2;
const ELSE: u16 = 0;

/// Below this, ports are taken for servers'; from here on for clients'. See [`crate::pipeline::ENDPOINT_PORTS`].
pub(crate) const SERVERS: (u16, u16) = (0x0000, 0xc000);
pub(crate) const CLIENTS: [(u16, u16); 2] = [(0x4000, 0xc000), (0x8000, 0x8000)];

pub(crate) fn base(f: &mut Fragment) {
    for v6 in FAMILIES {
        // Nobody has judged it.
        f.flow(
            Table::Commit,
            ERROR,
            marked(&[Mark::Dnated, Mark::Reply], &[]).family(v6),
            Steps::new().translate_error(ZONE_WIRE).goto(AFTER_COMMIT),
        );
        // Its connection exists, but which Service it was made through is not known, as of fragments, or not any more.
        let known = || marked(&[Mark::Dnated], &[]).family(v6).eq(SERVICE_ID, 0u64);
        f.flow(
            Table::Commit,
            OF_UNKNOWN_SERVICE,
            known(),
            Steps::new().remember_again().goto(AFTER_COMMIT),
        );
        // It may have its own source.
        f.flow(
            Table::Commit,
            OF_UNKNOWN_SERVICE + FROM_HOST,
            known().marks_from(Source::Gateway, &[Mark::Dnated], &[]),
            Steps::new().remember_again().remember().goto(AFTER_COMMIT),
        );
        // It is whole again only if the first fragment was allowed, by a rule that this one does not know.
        f.flow(
            Table::Commit,
            LATER_FRAGMENT,
            known().later_fragment(),
            Steps::new().allow_again().goto(AFTER_COMMIT),
        );
        // From outside, under its own address.
        f.flow(
            Table::Commit,
            TRANSLATED,
            marked(&[Mark::Dnated, Mark::Keep], &[]).family(v6),
            Steps::new()
                .remember_as_it_is()
                .remember()
                .goto(AFTER_COMMIT),
        );
        let answers = [
            // It was translated before it was routed.
            (
                marked(&[Mark::Reply, Mark::Answer, Mark::SnatDst], &[]),
                Steps::new(),
            ),
            (
                marked(&[Mark::Reply, Mark::Answer], &[Mark::SnatDst]),
                Steps::new().translate(ZONE_WIRE),
            ),
        ];
        for (answer, steps) in answers {
            let steps = steps.translate(ZONE_SERVICE).goto(AFTER_COMMIT);
            f.flow(Table::Commit, ANSWER, answer.family(v6), steps);
        }
    }
    tracked(0, any, |steps| steps, f);
    f.flow(Table::Commit, ELSE, any(), goto(AFTER_COMMIT));
}

/// What is to be remembered of packets that were looked up for policy's sake. `more` and `then` are what such packets
/// may have besides, and what is done with them then.
fn tracked(above: u16, more: impl Fn() -> Match, then: impl Fn(Steps) -> Steps, f: &mut Fragment) {
    for v6 in FAMILIES {
        let looked_up = |with, without| {
            let match_ = with_marks(more(), &[Mark::Tracked], &[]);
            match_.family(v6).ct_state(with, without)
        };
        let mut flow = |priority: u16, match_: Match, steps: Steps| {
            let steps = then(steps).goto(AFTER_COMMIT);
            f.flow(Table::Commit, priority + above, match_, steps);
        };
        for (value, mask) in CLIENTS {
            let midstream = looked_up(&[Tracked, New], &[])
                .tcp_flags(0, SYN)
                .masked(Field::TCP_SRC, SERVERS.0, SERVERS.1)
                .masked(Field::TCP_DST, value, mask);
            flow(MIDSTREAM, midstream, Steps::new());
        }
        flow(
            NEW,
            looked_up(&[Tracked, New], &[]),
            Steps::new().remember(),
        );
        flow(
            REVOKED,
            looked_up(&[Tracked, Established], &[Reply]).blocked(),
            Steps::new().remember(),
        );
    }
}

fn with_marks(match_: Match, with: &[Mark], without: &[Mark]) -> Match {
    let (value, mask) = crate::fragment::mark_bits(with, without);
    match match_.get(MARKS) {
        Some((before, there)) => {
            let (before, there) = (before.to_u32(), there.to_u32());
            match_.masked(MARKS, before | value, there | mask)
        }
        None => match_.masked(MARKS, value, mask),
    }
}

/// `ips` are the gateway's addresses, without repetition.
pub(crate) fn node(node: &LocalNode, ips: &[IpAddr], f: &mut Fragment) {
    let host = node.gateway.ofport;
    for v6 in FAMILIES {
        let hairpin = HAIRPIN[usize::from(v6)];
        let gateway = source(ips, v6);
        let as_another = |ip| Steps::new().remember_as(ip);
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
        // The host does not take its own address for another's.
        f.flow(
            Table::Commit,
            TO_HOST,
            marked(&[Mark::Dnated, Mark::Masq], &[])
                .family(v6)
                .eq(OUT_PORT, host),
            as_another(hairpin).goto(AFTER_COMMIT),
        );
        // The Service let its clients keep their sources before: this one may have.
        f.flow(
            Table::Commit,
            KEPT_ONCE,
            marked_from(
                Source::Gateway,
                &[Mark::Dnated, Mark::Masq, Mark::Keep],
                &[],
            )
            .family(v6),
            as_another(gateway).remember().goto(AFTER_COMMIT),
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
        let may_answer = move || {
            marked_from(
                Source::Pod,
                &[Mark::EpSrc],
                &[Mark::Answer, Mark::SnatDst, Mark::Dnated],
            )
            .eq(OUT_PORT, host)
        };
        if !v6 {
            tracked(
                FROM_ENDPOINT,
                may_answer,
                |steps| steps.translate(ZONE_SERVICE),
                f,
            );
        }
        f.flow(
            Table::Commit,
            REST,
            may_answer().family(v6),
            Steps::new().translate(ZONE_SERVICE).goto(AFTER_COMMIT),
        );
    }
}

/// `ips` are the addresses that are the pod's own, and `gateway` those of the gateway.
pub(crate) fn pod(pod: &LocalPod, ips: &[IpAddr], gateway: &[IpAddr], f: &mut Fragment) {
    for ip in ips {
        let translated = in_port(pod.ofport)
            .source(IpNet::from(*ip))
            .marks(&[Mark::Dnated], &[]);
        f.flow(
            Table::Commit,
            TRANSLATED,
            translated,
            Steps::new().remember_as(*ip).goto(AFTER_COMMIT),
        );
    }
    for v6 in FAMILIES {
        if !ips.iter().any(|ip| ip.is_ipv6() == v6) {
            continue;
        }
        let to_itself = |mark: Mark| {
            in_port(pod.ofport)
                .family(v6)
                .marks(&[mark], &[])
                .eq(OUT_PORT, pod.ofport)
        };
        f.flow(
            Table::Commit,
            BACK,
            to_itself(Mark::Dnated),
            Steps::new()
                .remember_as(source(gateway, v6))
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

/// The address that sources are translated to: the gateway's, if it has one of the family.
fn source(gateway: &[IpAddr], v6: bool) -> IpAddr {
    let own = gateway.iter().find(|ip| ip.is_ipv6() == v6);
    own.copied().unwrap_or(HAIRPIN[usize::from(v6)])
}
