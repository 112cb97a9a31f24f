//! Table Classify: where a packet came from. One flow per pod, one per peer.

use std::net::IpAddr;

use openflow::{Field, Match};

use crate::fragment::{Fragment, MatchExt, Steps, any, drop_for, goto, in_port};
use crate::model::{LocalNode, LocalPod, Peer, Tunnel};
use crate::pipeline::{FROM_GATEWAY, FROM_TUNNEL, MARKS, Source, Table};
use crate::reason::DropReason;

const NO_VLAN: u16 = 200;
const KNOWN: u16 = 100;
const KNOWN_PORT: u16 = 50;
const ELSE: u16 = 0;

/// The bit of `vlan_vid` that says that there is a tag.
const VLAN_PRESENT: u16 = 0x1000;

fn marked(source: Source, next: Table) -> Steps {
    Steps::new().set(MARKS, source.mark()).goto(next)
}

pub(crate) fn base(f: &mut Fragment) {
    // A tag would ride along unseen: no other table looks at it.
    let tagged = Match::new().masked(Field::VLAN_VID, VLAN_PRESENT, VLAN_PRESENT);
    f.flow(
        Table::Classify,
        NO_VLAN,
        tagged,
        drop_for(DropReason::VlanTagged),
    );
    f.flow(
        Table::Classify,
        ELSE,
        any(),
        drop_for(DropReason::UnknownPort),
    );
}

pub(crate) fn node(node: &LocalNode, f: &mut Fragment) {
    let gateway = in_port(node.gateway.ofport);
    f.flow(
        Table::Classify,
        KNOWN,
        gateway.clone().arp(),
        goto(Table::ArpNd),
    );
    f.flow(
        Table::Classify,
        KNOWN,
        gateway.clone().neighbour_solicitation(),
        goto(Table::ArpNd),
    );
    f.flow(
        Table::Classify,
        KNOWN_PORT,
        gateway,
        marked(Source::Gateway, FROM_GATEWAY),
    );
    if let Some(tunnel) = &node.tunnel {
        let unknown = drop_for(DropReason::UnknownTunnelPeer);
        f.flow(Table::Classify, KNOWN_PORT, in_port(tunnel.ofport), unknown);
    }
}

pub(crate) fn pod(pod: &LocalPod, f: &mut Fragment) {
    f.flow(
        Table::Classify,
        KNOWN,
        in_port(pod.ofport),
        marked(Source::Pod, Table::Guard),
    );
}

pub(crate) fn peer(tunnel: &Tunnel, peer: &Peer, f: &mut Fragment) {
    let from_peer = match peer.underlay {
        IpAddr::V4(ip) => in_port(tunnel.ofport).eq(Field::TUN_SRC, ip),
        IpAddr::V6(ip) => in_port(tunnel.ofport).eq(Field::TUN_IPV6_SRC, ip),
    };
    f.flow(
        Table::Classify,
        KNOWN,
        from_peer,
        marked(Source::Tunnel, FROM_TUNNEL),
    );
}
