//! Table Output: the hop count, and out.
//!
//! A pod's packet to another pod is routed by the switch, which takes a hop off. To the host it is handed as it
//! is: the host does the routing, and answers when the hops are used up. What comes from the host or a peer has
//! been routed there.
//!
//! A switch sends nothing out of the port it came in by, and says nothing: here such packets are dropped with a
//! reason, unless they go back on purpose: as another's, or as the answer to such a packet.

use openflow::{Field, Match};

use crate::fragment::{Fragment, MatchExt, Steps, any, drop_for, from, in_port, marked};
use crate::model::{LocalNode, LocalPod};
use crate::pipeline::{Mark, OUT_PORT, Source, Table};
use crate::reason::DropReason;

const BACK: u16 = 400;
const ROUTED_BACK: u16 = 300;
const UNROUTED: u16 = 200;
const EXPIRED: u16 = 100;
const ROUTED: u16 = 50;
const ELSE: u16 = 0;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(
        Table::Output,
        BACK,
        marked(&[Mark::Back], &[]),
        Steps::new().output_in_port(),
    );
    let families: [fn(Match) -> Match; 2] = [MatchExt::ipv4, MatchExt::ipv6];
    for family in families {
        for ttl in [0u8, 1] {
            let expired = family(from(Source::Pod)).eq(Field::NW_TTL, ttl);
            f.flow(
                Table::Output,
                EXPIRED,
                expired,
                drop_for(DropReason::TtlExpired),
            );
        }
        let routed = family(from(Source::Pod));
        f.flow(
            Table::Output,
            ROUTED,
            routed,
            Steps::new().dec_ttl().output_chosen(),
        );
    }
    f.flow(Table::Output, ELSE, any(), Steps::new().output_chosen());
}

pub(crate) fn pod(pod: &LocalPod, f: &mut Fragment) {
    let own = in_port(pod.ofport).eq(OUT_PORT, pod.ofport);
    f.flow(
        Table::Output,
        ROUTED_BACK,
        own,
        drop_for(DropReason::RoutedBack),
    );
}

pub(crate) fn node(node: &LocalNode, f: &mut Fragment) {
    let between = |source, ofport: u32| from(source).eq(OUT_PORT, ofport);
    let host = node.gateway.ofport;
    let back = || drop_for(DropReason::RoutedBack);
    f.flow(
        Table::Output,
        ROUTED_BACK,
        between(Source::Gateway, host),
        back(),
    );
    f.flow(
        Table::Output,
        UNROUTED,
        between(Source::Pod, host),
        Steps::new().output_chosen(),
    );
    if let Some(tunnel) = &node.tunnel {
        f.flow(
            Table::Output,
            ROUTED_BACK,
            between(Source::Tunnel, tunnel.ofport),
            back(),
        );
    }
}
