//! What rules and peers say, in one canonical form: two that say the same are one.
//!
//! Equality is that of content, never of hashes; the digests only make [numbers](super::numbers), and are the same
//! in every process and every version.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::ports::PortSet;
use crate::model::{Policy, PolicyPeer, PolicyPort, Ports, Protocol, Requirement, Rule, Selector};

/// In which namespaces a peer's pods are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Scope {
    /// In this one.
    Named(Arc<str>),
    /// In those with such labels.
    Selected(Selector),
}

/// One peer of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Peer {
    /// Pods.
    Pods(Scope, Selector),
    /// A prefix without these within.
    Block(IpNet, Box<[IpNet]>),
}

/// A port by name and by number: pods that have it are meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Named {
    pub(super) name: Arc<str>,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// Whom a rule speaks of: any of the peers, of those the pods with the named port if there is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Peers {
    /// `None` is everyone.
    pub(super) any_of: Option<Box<[Peer]>>,
    pub(super) named: Option<Named>,
}

/// A rule, with ports that are numbers. The namespace is that of its policy: counters are not shared further.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RuleContent {
    pub(super) namespace: Arc<str>,
    /// `None` is everyone.
    pub(super) peers: Option<Arc<Peers>>,
    /// `None` is everything, whatever the protocol.
    pub(super) ports: Option<PortSet>,
}

/// A hash that is the same everywhere: FNV-1a, its bits mixed at the end.
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(super) fn number(&mut self, n: u64) {
        self.bytes(&n.to_be_bytes());
    }

    /// A text and its end.
    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(&[0xff]);
    }

    pub(super) fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }

    fn net(&mut self, net: IpNet) {
        match net.addr() {
            IpAddr::V4(ip) => self.bytes(&ip.octets()),
            IpAddr::V6(ip) => self.bytes(&ip.octets()),
        }
        self.number(net.prefix_len().into());
    }

    fn selector(&mut self, selector: &Selector) {
        self.number(selector.requirements.len() as u64);
        for requirement in &selector.requirements {
            let (kind, key, values): (u64, _, &[Arc<str>]) = match requirement {
                Requirement::In(key, values) => (1, key, values),
                Requirement::NotIn(key, values) => (2, key, values),
                Requirement::Exists(key) => (3, key, &[]),
                Requirement::DoesNotExist(key) => (4, key, &[]),
            };
            self.number(kind);
            self.text(key);
            self.number(values.len() as u64);
            values.iter().for_each(|value| self.text(value));
        }
    }
}

impl Peers {
    pub(super) fn digest(&self) -> u64 {
        let mut d = Digest::new();
        match &self.any_of {
            None => d.number(0),
            Some(peers) => {
                d.number(1 + peers.len() as u64);
                for peer in peers {
                    match peer {
                        Peer::Pods(Scope::Named(namespace), pods) => {
                            d.number(1);
                            d.text(namespace);
                            d.selector(pods);
                        }
                        Peer::Pods(Scope::Selected(namespaces), pods) => {
                            d.number(2);
                            d.selector(namespaces);
                            d.selector(pods);
                        }
                        Peer::Block(cidr, except) => {
                            d.number(3);
                            d.net(*cidr);
                            d.number(except.len() as u64);
                            except.iter().for_each(|net| d.net(*net));
                        }
                    }
                }
            }
        }
        if let Some(named) = &self.named {
            d.text(&named.name);
            d.number(named.protocol.number().into());
            d.number(named.port.into());
        }
        d.finish()
    }

    /// How many prefixes it takes.
    pub(super) fn prefixes(&self) -> usize {
        let peers = self.any_of.iter().flat_map(|peers| peers.iter());
        let prefixes = peers.map(|peer| match peer {
            Peer::Pods(..) => 0,
            Peer::Block(_, except) => 1 + except.len(),
        });
        prefixes.sum()
    }
}

impl RuleContent {
    pub(super) fn digest(&self) -> u64 {
        let mut d = Digest::new();
        d.text(&self.namespace);
        d.number(self.peers.as_ref().map_or(0, |peers| peers.digest()));
        match &self.ports {
            None => d.number(0),
            Some(ports) => {
                d.number(1 + ports.runs().len() as u64);
                for (protocol, from, to) in ports.runs() {
                    d.number(protocol.number().into());
                    d.number((u64::from(*from) << 16) | u64::from(*to));
                }
            }
        }
        d.finish()
    }
}

/// The same conditions in order, each once.
fn canonical(selector: &Selector) -> Selector {
    let sorted = |values: &[Arc<str>]| {
        let mut values = values.to_vec();
        values.sort_unstable();
        values.dedup();
        values
    };
    let mut requirements: Vec<Requirement> = selector
        .requirements
        .iter()
        .map(|requirement| match requirement {
            Requirement::In(key, values) => Requirement::In(key.clone(), sorted(values)),
            Requirement::NotIn(key, values) => Requirement::NotIn(key.clone(), sorted(values)),
            other => other.clone(),
        })
        .collect();
    requirements.sort_unstable();
    requirements.dedup();
    Selector { requirements }
}

/// The peers of a rule; `None` if they are everyone, whether the list is missing or empty.
fn peers(policy: &Policy, peers: Option<&[PolicyPeer]>) -> Option<Box<[Peer]>> {
    let peers = peers.filter(|peers| !peers.is_empty())?;
    let mut all: Vec<Peer> = Vec::with_capacity(peers.len());
    for peer in peers {
        match peer {
            PolicyPeer::Pods { namespaces, pods } => {
                let scope = match namespaces {
                    None => Scope::Named(policy.namespace.clone()),
                    Some(selector) => Scope::Selected(canonical(selector)),
                };
                all.push(Peer::Pods(scope, canonical(pods)));
            }
            PolicyPeer::IpBlock { cidr, except } => {
                let cidr = cidr.trunc();
                // An exception as large as the block leaves nothing of it.
                if except.iter().any(|net| net.trunc().contains(&cidr)) {
                    continue;
                }
                let mut within: Vec<IpNet> = except
                    .iter()
                    .map(IpNet::trunc)
                    .filter(|net| cidr.contains(net))
                    .collect();
                within.sort_unstable();
                within.dedup();
                all.push(Peer::Block(cidr, within.into()));
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    Some(all.into())
}

fn numeric(port: &PolicyPort) -> Option<(Protocol, u16, u16)> {
    match port.ports {
        Ports::All => Some((port.protocol, 0, u16::MAX)),
        Ports::Range(from, to) => Some((port.protocol, from, to)),
        Ports::Named(_) => None,
    }
}

fn named(port: &PolicyPort) -> Option<(&Arc<str>, Protocol)> {
    match &port.ports {
        Ports::Named(name) => Some((name, port.protocol)),
        _ => None,
    }
}

/// The ports of a rule; `None` if they are all, whether the list is missing or empty.
fn ports(rule: &Rule) -> Option<&[PolicyPort]> {
    rule.ports.as_deref().filter(|ports| !ports.is_empty())
}

/// The names of ports that a rule uses.
pub(super) fn names(rule: &Rule) -> impl Iterator<Item = (&Arc<str>, Protocol)> {
    ports(rule).into_iter().flatten().filter_map(named)
}

/// An incoming rule for a pod whose ports have these numbers; `None` if nothing is left of it.
pub(super) fn ingress_rule(
    policy: &Policy,
    rule: &Rule,
    number: impl Fn(&str, Protocol) -> Vec<u16>,
) -> Option<RuleContent> {
    let ports = match ports(rule) {
        None => None,
        Some(ports) => {
            let runs = ports.iter().flat_map(|port| match named(port) {
                None => numeric(port).into_iter().collect::<Vec<_>>(),
                Some((name, protocol)) => number(name, protocol)
                    .into_iter()
                    .map(|n| (protocol, n, n))
                    .collect(),
            });
            Some(PortSet::new(runs))
        }
    };
    content(policy, peers(policy, rule.peers.as_deref()), None, ports)
}

/// What is left of a rule that has peers and ports: `None` if one of them is an empty set.
fn content(
    policy: &Policy,
    any_of: Option<Box<[Peer]>>,
    named: Option<Named>,
    ports: Option<PortSet>,
) -> Option<RuleContent> {
    if ports.as_ref().is_some_and(PortSet::is_empty)
        || any_of.as_ref().is_some_and(|p| p.is_empty())
    {
        return None;
    }
    let everyone = any_of.is_none() && named.is_none();
    Some(RuleContent {
        namespace: policy.namespace.clone(),
        peers: (!everyone).then(|| Arc::new(Peers { any_of, named })),
        ports,
    })
}

/// What an outgoing rule comes to, where a name of a port has these numbers in the cluster: the ports that are
/// numbers, and for each number of each name the pods that have it.
pub(super) fn egress_rules(
    policy: &Policy,
    rule: &Rule,
    numbers: impl Fn(&Arc<str>, Protocol) -> Vec<u16>,
) -> Vec<RuleContent> {
    let any_of = peers(policy, rule.peers.as_deref());
    let Some(ports) = ports(rule) else {
        return content(policy, any_of, None, None).into_iter().collect();
    };
    let plain = PortSet::new(ports.iter().filter_map(numeric));
    let mut rules: Vec<RuleContent> = content(policy, any_of.clone(), None, Some(plain))
        .into_iter()
        .collect();
    for (name, protocol) in ports.iter().filter_map(named) {
        for port in numbers(name, protocol) {
            let named = Named {
                name: name.clone(),
                protocol,
                port,
            };
            let only = PortSet::new([(protocol, port, port)]);
            rules.extend(content(policy, any_of.clone(), Some(named), Some(only)));
        }
    }
    rules
}
