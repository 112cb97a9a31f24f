//! Who owns what: objects may contradict each other (two pods with one address), and then one of them wins.
//!
//! An object *claims* what only one can have. Among the claimants of one thing the smallest [`Owner`] has it: the
//! local node before pods before peers before Services, pods by sandbox id, the others by name. That order depends on nothing but the
//! objects, so the winner is the same whatever happened before. A loser keeps everything else it has.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::model::{
    LocalNode, LocalPod, NodeName, Peer, PodId, Protocol, ServiceId, ServicePort, State,
};
use crate::tables::service::listeners;

/// An object that claims things; the order is the order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The local node.
    Node,
    /// A pod of this node.
    Pod(PodId),
    /// Another node.
    Peer(NodeName),
    /// A port of a Service.
    Service(ServiceId),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("the local node"),
            Self::Pod(id) => write!(f, "pod {id}"),
            Self::Peer(name) => write!(f, "peer {name}"),
            Self::Service(id) => write!(f, "service {id}"),
        }
    }
}

/// Something that only one object can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Claim {
    /// A port of the switch.
    Port(u32),
    /// An address that a packet can be delivered to.
    Address(IpAddr),
    /// A prefix, without host bits.
    Prefix(IpNet),
    /// A peer's address in the underlay.
    Underlay(IpAddr),
    /// An address and port that a Service listens at.
    Frontend(IpAddr, Protocol, u16),
    /// What the ports of Services at one address have in common: one of them speaks for all, which is no conflict.
    ServiceAddress(IpAddr),
    /// To be the only UDP port of Services at an address: so is none of several, which is no conflict.
    Datagrams(IpAddr),
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "port {port}"),
            Self::Address(ip) => write!(f, "address {ip}"),
            Self::Prefix(net) => write!(f, "prefix {net}"),
            Self::Underlay(ip) => write!(f, "underlay address {ip}"),
            Self::Frontend(ip, protocol, port) => {
                write!(f, "{protocol} port {}", SocketAddr::new(*ip, *port))
            }
            Self::ServiceAddress(ip) => write!(f, "service address {ip}"),
            Self::Datagrams(ip) => write!(f, "datagrams to {ip}"),
        }
    }
}

/// Several objects claim one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What they claim.
    pub claim: Claim,
    /// Who has it.
    pub winner: Owner,
    /// Who does not, in order.
    pub losers: Vec<Owner>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} belongs to {}, also claimed by ",
            self.claim, self.winner
        )?;
        for (i, loser) in self.losers.iter().enumerate() {
            write!(f, "{}{loser}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Nearly everything is claimed once.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claimants {
    One(Owner),
    Many(BTreeSet<Owner>),
}

/// The index of all claims.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    claims: BTreeMap<Claim, Claimants>,
    contested: BTreeSet<Claim>,
}

impl Claims {
    /// Everything that the objects of this state claim.
    pub fn new(state: &State) -> Self {
        let mut claims = Self::default();
        claims.add(&Owner::Node, node_claims(&state.local));
        for pod in state.pods.values() {
            claims.add(&Owner::Pod(pod.id.clone()), pod_claims(pod));
        }
        for peer in state.peers.values() {
            claims.add(&Owner::Peer(peer.name.clone()), peer_claims(peer));
        }
        for port in state.services.values() {
            let owner = Owner::Service(port.id.clone());
            claims.add(&owner, service_claims(port, &state.local));
        }
        claims
    }

    /// Adds what an object claims.
    pub(crate) fn add(&mut self, owner: &Owner, claims: impl IntoIterator<Item = Claim>) {
        for claim in claims {
            match self.claims.entry(claim) {
                Entry::Vacant(entry) => {
                    entry.insert(Claimants::One(owner.clone()));
                }
                Entry::Occupied(mut entry) => match entry.get_mut() {
                    Claimants::One(other) if other == owner => {}
                    Claimants::One(other) => {
                        let both = BTreeSet::from([other.clone(), owner.clone()]);
                        entry.insert(Claimants::Many(both));
                        self.contested.insert(claim);
                    }
                    Claimants::Many(owners) => {
                        owners.insert(owner.clone());
                    }
                },
            }
        }
    }

    /// Takes back what an object claimed.
    pub(crate) fn remove(&mut self, owner: &Owner, claims: impl IntoIterator<Item = Claim>) {
        for claim in claims {
            let Entry::Occupied(mut entry) = self.claims.entry(claim) else {
                continue;
            };
            match entry.get_mut() {
                Claimants::One(other) if other == owner => {
                    entry.remove();
                }
                Claimants::One(_) => {}
                Claimants::Many(owners) => {
                    owners.remove(owner);
                    if owners.len() < 2 {
                        self.contested.remove(&claim);
                        match owners.pop_first() {
                            Some(last) => drop(entry.insert(Claimants::One(last))),
                            None => drop(entry.remove()),
                        }
                    }
                }
            }
        }
    }

    /// Who has it, and who would have it next.
    pub(crate) fn first_two(&self, claim: &Claim) -> impl Iterator<Item = &Owner> {
        let (one, many) = match self.claims.get(claim) {
            None => (None, None),
            Some(Claimants::One(owner)) => (Some(owner), None),
            Some(Claimants::Many(owners)) => (None, Some(owners.iter().take(2))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Whether this object claims it and no other does.
    pub(crate) fn alone(&self, owner: &Owner, claim: &Claim) -> bool {
        matches!(self.claims.get(claim), Some(Claimants::One(one)) if one == owner)
    }

    /// Who has it.
    pub fn winner(&self, claim: &Claim) -> Option<&Owner> {
        match self.claims.get(claim)? {
            Claimants::One(owner) => Some(owner),
            Claimants::Many(owners) => owners.first(),
        }
    }

    /// Whether this object has it.
    pub fn owns(&self, owner: &Owner, claim: &Claim) -> bool {
        self.winner(claim) == Some(owner)
    }

    /// Everything that more than one object claims, in order.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let conflict = |claim: &Claim| match self.claims.get(claim)? {
            Claimants::One(_) => None,
            Claimants::Many(owners) => {
                let (winner, losers) = (owners.first()?, owners.iter().skip(1));
                Some(Conflict {
                    claim: *claim,
                    winner: winner.clone(),
                    losers: losers.cloned().collect(),
                })
            }
        };
        let contested = self.contested.iter();
        contested
            .filter(|claim| !matches!(claim, Claim::ServiceAddress(_) | Claim::Datagrams(_)))
            .filter_map(conflict)
            .collect()
    }
}

pub(crate) fn node_claims(node: &LocalNode) -> Vec<Claim> {
    let ports = [
        Some(node.gateway.ofport),
        node.tunnel.as_ref().map(|t| t.ofport),
    ];
    let ports = ports.into_iter().flatten().map(Claim::Port);
    let addresses = node.gateway.ips.iter().copied().map(Claim::Address);
    let prefixes = node.pod_cidrs.iter().map(|net| Claim::Prefix(net.trunc()));
    ports.chain(addresses).chain(prefixes).collect()
}

pub(crate) fn pod_claims(pod: &LocalPod) -> Vec<Claim> {
    let addresses = pod.ips.iter().copied().map(Claim::Address);
    std::iter::once(Claim::Port(pod.ofport))
        .chain(addresses)
        .collect()
}

pub(crate) fn peer_claims(peer: &Peer) -> Vec<Claim> {
    let prefixes = peer.pod_cidrs.iter().map(|net| Claim::Prefix(net.trunc()));
    std::iter::once(Claim::Underlay(peer.underlay))
        .chain(prefixes)
        .collect()
}

pub(crate) fn service_claims(port: &ServicePort, node: &LocalNode) -> Vec<Claim> {
    let listeners = listeners(port, node);
    let frontend = |l: &crate::tables::service::Listener<'_>| {
        let datagrams = (port.protocol == Protocol::Udp).then_some(Claim::Datagrams(l.ip));
        let always = [
            Claim::Frontend(l.ip, port.protocol, l.port),
            Claim::ServiceAddress(l.ip),
        ];
        always.into_iter().chain(datagrams)
    };
    listeners.iter().flat_map(frontend).collect()
}
