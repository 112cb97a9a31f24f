//! The `multipath` action: from the hash of a packet to the number of a link, as Open vSwitch computes it
//! (`lib/multipath.c`). It knows neither flows nor what a link leads to.

use openflow::action::{Multipath, MultipathAlgorithm};

use super::hash;
use super::packet::Packet;

/// The most links that highest random weight is computed for; beyond, Open vSwitch hashes again and again.
const MOST_WEIGHED: u32 = 64;

/// The link that the action chooses for a packet.
pub(super) fn link(action: &Multipath, packet: &Packet) -> u16 {
    let hash = hash::of_fields(packet, action.fields, action.basis);
    let links = action.n_links.max(1);
    let link = match action.algorithm {
        MultipathAlgorithm::ModuloN => hash % links,
        MultipathAlgorithm::HashThreshold if links == 1 => 0,
        MultipathAlgorithm::HashThreshold => hash / (u32::MAX / links + 1),
        MultipathAlgorithm::Hrw if links <= MOST_WEIGHED => heaviest(hash, links),
        MultipathAlgorithm::Hrw => again_and_again(hash, links, 0),
        MultipathAlgorithm::IterHash => again_and_again(hash, links, action.arg),
    };
    u16::try_from(link).unwrap_or(u16::MAX)
}

/// The first of those with the greatest weight.
fn heaviest(hash: u32, links: u32) -> u32 {
    let weights = (0..links)
        .rev()
        .map(|link| (hash::of_two(hash, link), link));
    weights
        .max_by_key(|(weight, _)| *weight)
        .map_or(0, |(_, link)| link)
}

fn again_and_again(hash: u32, links: u32, modulo: u32) -> u32 {
    let modulo = if modulo < links || modulo / 2 > links {
        links.next_power_of_two()
    } else {
        modulo
    };
    (0u32..)
        .map(|i| hash::of_two(hash, i) % modulo)
        .find(|link| *link < links)
        .unwrap_or(0)
}
