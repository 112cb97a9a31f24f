//! NetworkPolicy: from labels, pods and policies to subjects, classes and rules, change by change.
//!
//! Only policies that select a pod of this node matter, and only the peers that their rules speak of. For each
//! direction a [`Side`] knows the rules in force, which addresses are of which class by them, and which flows follow;
//! the [`Engine`] knows which policies apply to which local pods. What the flows look like is said in
//! `tables::policy`; what a policy means, in `docs/policy.md`.
//!
//! Nothing here depends on the order in which things came: the same state makes the same flows.

mod classes;
mod content;
mod engine;
mod expansion;
mod locals;
mod numbers;
mod passing;
mod patches;
mod ports;
mod prefixes;
mod report;
mod rules;
mod selection;
mod selectors;
mod side;
mod slab;

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::PodId;

pub(crate) use engine::{Engine, Event};
pub(crate) use ports::PortMatch;
pub use report::{PolicyFault, PolicyReport, RuleReport, SubjectReport, Verdict};
pub(crate) use rules::{Clause, Key, Value};

/// A direction, as the pod sees it that a policy selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// What it sends.
    Egress,
    /// What it receives.
    Ingress,
}

impl Direction {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Egress, Self::Ingress];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Egress => 0,
            Self::Ingress => 1,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Connections that may be allowed no more, and whose end may never say a word to be judged by. What conntrack knows
/// of them is to be compared with [`Compiler::judge`](crate::Compiler::judge), and forgotten if it is denied. This
/// is about UDP: of the others, the client speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// Rules of a pod of this node went, or it is isolated now.
    Pod {
        /// Which.
        pod: PodId,
        /// Its addresses.
        ips: Vec<IpAddr>,
        /// In which direction.
        direction: Direction,
    },
    /// Addresses are no longer a peer that they were.
    Peer {
        /// Which.
        addresses: IpNet,
        /// As peers of rules of which direction.
        direction: Direction,
    },
}
