//! Who listens, where several Services want the same.
//!
//! A clusterIP goes before the address of a load balancer, and that before an externalIP (which anybody can ask
//! for); otherwise the older Service goes before the newer, and the smaller name before the greater. So the answer
//! depends on the objects alone, not on the order in which they came.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    time::SystemTime,
};

use sluice_flows::model::Protocol;

use crate::index::{Key, NodePort};

/// Something that only one Service can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Slot {
    /// A port of an address.
    Address(IpAddr, Protocol, u16),
    /// A port of the node.
    NodePort(NodePort),
    /// A port of the node on which load balancers ask.
    HealthCheck(u16),
}

/// How strong a claim is: the smaller, the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) class: Class,
    /// Those made at an unknown time come last.
    pub(super) created: Created,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Cluster,
    LoadBalancer,
    External,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Created {
    At(SystemTime),
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    rank: Rank,
    owner: Key,
}

#[derive(Debug, Default)]
pub(super) struct Claims {
    /// The strongest claim to each slot.
    winners: HashMap<Slot, Claim>,
    /// All the others; only of slots that several want.
    losers: BTreeMap<Slot, BTreeSet<Claim>>,
}

impl Claims {
    /// Notes a claim; returns another Service that loses the slot by it.
    pub(super) fn stake(&mut self, slot: Slot, rank: Rank, owner: &Key) -> Option<Key> {
        let claim = Claim {
            rank,
            owner: owner.clone(),
        };
        let Some(winner) = self.winners.get_mut(&slot) else {
            self.winners.insert(slot, claim);
            return None;
        };
        let losers = self.losers.entry(slot).or_default();
        if claim < *winner {
            let loser = std::mem::replace(winner, claim);
            let owner = loser.owner.clone();
            losers.insert(loser);
            return Some(owner);
        }
        losers.insert(claim);
        None
    }

    /// Takes a claim back; returns another Service that gets the slot by it.
    pub(super) fn give_up(&mut self, slot: &Slot, rank: &Rank, owner: &Key) -> Option<Key> {
        let claim = Claim {
            rank: *rank,
            owner: owner.clone(),
        };
        let mut heir = None;
        let won = self.winners.get(slot) == Some(&claim);
        if let Some(losers) = self.losers.get_mut(slot) {
            if won {
                heir = losers.pop_first();
            } else {
                losers.remove(&claim);
            }
            if losers.is_empty() {
                self.losers.remove(slot);
            }
        }
        if won {
            match &heir {
                Some(heir) => self.winners.insert(*slot, heir.clone()),
                None => self.winners.remove(slot),
            };
        }
        heir.map(|heir| heir.owner)
    }

    /// Who has a slot.
    pub(super) fn owner(&self, slot: &Slot) -> Option<&Key> {
        self.winners.get(slot).map(|claim| &claim.owner)
    }
}
