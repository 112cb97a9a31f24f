//! Cookies: how a flow in a switch leads back to the object that asked for it.
//!
//! ```text
//!  63            48 47       40 39                                     0
//! +----------------+-----------+----------------------------------------+
//! |  magic 0x51ce  |   kind    |                   id                   |
//! +----------------+-----------+----------------------------------------+
//! ```
//!
//! The id is a hash of the object's stable name (or a small number for what has none), never a counter: an agent
//! that restarts computes the same cookies. Two objects of one kind may share an id by chance; a flow is identified
//! by its key, so nothing but a description suffers, and it names both.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;

use openflow::{FlowMod, FlowModCommand};

use crate::model::{Backend, NodeName, PodId, ServiceId, State};
use crate::pipeline::Table;
use crate::policy::Direction;
use crate::reason::DropReason;

const MAGIC: u64 = 0x51ce;
const ID_BITS: u32 = 40;
const ID_MASK: u64 = (1 << ID_BITS) - 1;

/// The cookie of one of our flows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cookie(u64);

/// What kind of object a cookie stands for; numbers are part of running switches and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// What every node has; the id is the table.
    Base = 1,
    /// A reason in table Drop; the id is its code.
    Drop = 2,
    /// The local node.
    Node = 3,
    /// Another node.
    Peer = 4,
    /// A pod of this node.
    Pod = 5,
    /// A port of a Service.
    Service = 6,
    /// An address that is, or was lately, an endpoint of a Service.
    Endpoint = 7,
    /// What the switch learned about the clients of one endpoint of one Service; never compared.
    Affinity = 8,
    /// A rule of a NetworkPolicy; policies of a namespace that say the same share it.
    Policy = 9,
    /// A class of addresses that policies tell apart, or the policies that apply to a pod.
    PolicyClass = 10,
    /// What is there for a moment only and goes by itself; never compared.
    Passing = 11,
    /// What tells cached flows of before a change of policy from those of after it; the id is the table. Never compared.
    Epoch = 12,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Base,
        Self::Drop,
        Self::Node,
        Self::Peer,
        Self::Pod,
        Self::Service,
        Self::Endpoint,
        Self::Affinity,
        Self::Policy,
        Self::PolicyClass,
        Self::Passing,
        Self::Epoch,
    ];

    /// Its name in descriptions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Drop => "drop",
            Self::Node => "node",
            Self::Peer => "peer",
            Self::Pod => "pod",
            Self::Service => "service",
            Self::Endpoint => "endpoint",
            Self::Affinity => "affinity",
            Self::Policy => "policy",
            Self::PolicyClass => "policy-class",
            Self::Passing => "passing",
            Self::Epoch => "epoch",
        }
    }

    /// Whether flows of this kind are part of a program; others come and go in the switch by themselves, or with its
    /// history.
    pub const fn is_compiled(self) -> bool {
        !matches!(self, Self::Affinity | Self::Passing | Self::Epoch)
    }

    /// What the id of such a cookie is made from.
    pub const fn id_source(self) -> &'static str {
        match self {
            Self::Base | Self::Epoch => "table id",
            Self::Drop => "code of the drop reason",
            Self::Node | Self::Peer => "hash of the node's name",
            Self::Pod => "hash of the sandbox id",
            Self::Service => "hash of namespace, name, port and family",
            Self::Endpoint => "hash of the address",
            Self::Affinity => "hash of the Service's port and the endpoint",
            Self::Policy => "direction, and hash of the rule",
            Self::PolicyClass => "what it is, and its number",
            Self::Passing => "hash of what it is for",
        }
    }
}

/// What flows of kind [`Kind::PolicyClass`] are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyPart {
    /// The policies that apply to what a pod sends.
    EgressSubject = 1,
    /// The policies that apply to what a pod receives.
    IngressSubject = 2,
    /// A class of destinations.
    EgressClass = 3,
    /// A class of sources.
    IngressClass = 4,
    /// Ports that rules share.
    Ports = 5,
}

impl Cookie {
    /// The bits that tell our cookies from another program's, for use as a cookie mask.
    pub const OWNER_MASK: u64 = !0 << 48;
    /// The value of those bits in our cookies.
    pub const OWNER: u64 = MAGIC << 48;

    const fn new(kind: Kind, id: u64) -> Self {
        Self(Self::OWNER | ((kind as u64) << ID_BITS) | (id & ID_MASK))
    }

    /// Of the flows that every node has in this table.
    pub const fn base(table: Table) -> Self {
        Self::new(Kind::Base, table.id().0 as u64)
    }

    /// Of the flow that counts this reason.
    pub const fn drop(reason: DropReason) -> Self {
        Self::new(Kind::Drop, reason.code() as u64)
    }

    /// Of the local node's flows.
    pub fn node(name: &NodeName) -> Self {
        Self::new(Kind::Node, stable_hash(name.as_str()))
    }

    /// Of a peer's flows.
    pub fn peer(name: &NodeName) -> Self {
        Self::new(Kind::Peer, stable_hash(name.as_str()))
    }

    /// Of a pod's flows.
    pub fn pod(id: &PodId) -> Self {
        Self::new(Kind::Pod, stable_hash(id.as_str()))
    }

    /// Of the flows of a port of a Service.
    pub fn service(id: &ServiceId) -> Self {
        Self::new(Kind::Service, stable_hash(id.as_str()))
    }

    /// Of the flows that know an address as an endpoint.
    pub fn endpoint(ip: IpAddr) -> Self {
        Self::new(Kind::Endpoint, stable_hash(&ip.to_string()))
    }

    /// Of the flows that an endpoint of a Service teaches the switch.
    pub fn affinity(id: &ServiceId, backend: &Backend) -> Self {
        Self::new(Kind::Affinity, stable_hash(&format!("{id} {backend}")))
    }

    /// Of the flows that count what a rule allows.
    pub(crate) const fn policy_rule(direction: Direction, number: u32) -> Self {
        Self::new(Kind::Policy, ((direction as u64) << 32) | number as u64)
    }

    /// Of the flows that say which class an address or a pod is of.
    pub(crate) const fn policy_part(part: PolicyPart, number: u32) -> Self {
        Self::new(Kind::PolicyClass, ((part as u64) << 32) | number as u64)
    }

    /// Of a flow that goes by itself.
    pub fn passing(purpose: &str) -> Self {
        Self::new(Kind::Passing, stable_hash(purpose))
    }

    /// Of the flow that tells epochs apart in this table.
    pub(crate) const fn epoch(table: Table) -> Self {
        Self::new(Kind::Epoch, table.id().0 as u64)
    }

    /// Takes a cookie found in a switch for ours, if it is.
    pub fn from_u64(cookie: u64) -> Option<Self> {
        (cookie & Self::OWNER_MASK == Self::OWNER).then_some(Self(cookie))
    }

    /// The number as it stands in flows.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The message that removes what the switch learned with this cookie.
    pub fn to_forget(self) -> FlowMod {
        FlowMod {
            cookie: self.0,
            cookie_mask: !0,
            table: Table::Affinity.id(),
            command: FlowModCommand::Delete,
            ..FlowMod::default()
        }
    }

    /// The kind of object, `None` if a newer version of this program made the cookie.
    pub fn kind(self) -> Option<Kind> {
        let code = (self.0 & !Self::OWNER_MASK) >> ID_BITS;
        Kind::ALL.into_iter().find(|k| *k as u64 == code)
    }

    /// The part that tells objects of one kind apart.
    pub const fn id(self) -> u64 {
        self.0 & ID_MASK
    }

    /// Names the object, given the names there are; see also [`Registry::describe`].
    pub fn describe(self, registry: &Registry) -> String {
        registry.describe(self.0)
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({:#x})", self.0)
    }
}

/// FNV-1a, 64 bits.
pub(crate) fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// FNV-1a over the name, its bits mixed once more so that folding to 40 of them loses nothing of its spread.
fn stable_hash(name: &str) -> u64 {
    let fnv = fnv1a(name);
    let mixed = (fnv ^ (fnv >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed >> (64 - ID_BITS)
}

/// What a cookie in a switch stands for, in the words of people.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    names: HashMap<u64, String>,
}

impl Registry {
    /// Collects the names of everything in the state. Costs as much as the state is large: make it when asked.
    pub fn new(state: &State) -> Self {
        let mut registry = Self::default();
        registry.add(
            Cookie::node(&state.local.name),
            state.local.name.to_string(),
        );
        for name in state.peers.keys() {
            registry.add(Cookie::peer(name), name.to_string());
        }
        for pod in state.pods.values() {
            registry.add(
                Cookie::pod(&pod.id),
                format!("{}/{}", pod.namespace, pod.name),
            );
        }
        for port in state.services.values() {
            registry.add(Cookie::service(&port.id), port.id.to_string());
            if port.affinity.is_some() {
                let backends: BTreeSet<&Backend> = port.cluster.iter().chain(&port.local).collect();
                for backend in backends {
                    let name = format!("{} at {backend}", port.id);
                    registry.add(Cookie::affinity(&port.id, backend), name);
                }
            }
        }
        for ip in state.memory.endpoints() {
            registry.add(Cookie::endpoint(ip), ip.to_string());
        }
        registry
    }

    pub(crate) fn add(&mut self, cookie: Cookie, name: String) {
        self.names
            .entry(cookie.0)
            .and_modify(|names| *names = format!("{names} or {name}"))
            .or_insert(name);
    }

    /// Describes any cookie: `pod default/web-0`, `peer node-b`, `drop spoofed-source`, `base Guard`, `foreign`.
    pub fn describe(&self, cookie: u64) -> String {
        let Some(ours) = Cookie::from_u64(cookie) else {
            return "foreign".to_owned();
        };
        let Some(kind) = ours.kind() else {
            return "of another version".to_owned();
        };
        let name = match kind {
            Kind::Base | Kind::Epoch => Table::ALL
                .iter()
                .find(|t| u64::from(t.id().0) == ours.id())
                .map(|t| t.name().to_owned()),
            Kind::Drop => DropReason::from_code(ours.id()).map(|r| r.name().to_owned()),
            _ => self.names.get(&cookie).cloned(),
        };
        match name {
            Some(name) => format!("{} {name}", kind.name()),
            None => format!("{} no longer known", kind.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::model::Protocol;

    #[test]
    fn ids_spread() {
        let sandboxes = (0..50_000u64).map(|n| PodId::new(format!("{n:064x}")));
        let cookies: HashSet<Cookie> = sandboxes.map(|id| Cookie::pod(&id)).collect();
        // By chance about one pair in a thousand such sets is equal.
        assert!(cookies.len() >= 49_999, "{}", cookies.len());
    }

    #[test]
    fn kinds_share_nothing() {
        let name = NodeName::new("a");
        let service = ServiceId::new("a", "a", "a", Protocol::Tcp, false);
        let backend = Backend {
            ip: IpAddr::from([10, 0, 0, 1]),
            port: 1,
        };
        let cookies = [
            Cookie::base(Table::Guard),
            Cookie::drop(DropReason::VlanTagged),
            Cookie::node(&name),
            Cookie::peer(&name),
            Cookie::pod(&PodId::new("a")),
            Cookie::service(&service),
            Cookie::endpoint(backend.ip),
            Cookie::affinity(&service, &backend),
            Cookie::policy_rule(Direction::Ingress, 1),
            Cookie::policy_part(PolicyPart::EgressClass, 1),
            Cookie::passing("a"),
            Cookie::epoch(Table::EgressPoliced),
        ];
        assert_eq!(cookies.map(Cookie::kind), Kind::ALL.map(Some));
        assert!(
            cookies
                .iter()
                .all(|c| Cookie::from_u64(c.to_u64()) == Some(*c))
        );
        assert_eq!(Cookie::from_u64(0x51cd_0500_0000_0001), None);
    }
}
