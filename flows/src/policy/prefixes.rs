//! Prefixes and addresses that rules in force tell apart, and whom they belong to.
//!
//! A node is a prefix at which something begins or ends: the block of a peer, an exception of one, or the address of
//! a pod. What an address belongs to is what its longest node says, and a node inherits what the nodes around it
//! say. No node is made for addresses that nothing is said about.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::content::{Peer, Peers};
use crate::model::{ClusterPod, Ips, OfPod};

/// A pod that is a peer, or may be one.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) pod: Arc<ClusterPod>,
    pub(super) ips: Ips,
    /// The sets that select it, in order.
    pub(super) sets: Box<[u32]>,
}

impl OfPod for Member {
    fn pod(&self) -> &ClusterPod {
        &self.pod
    }
}

/// The block of a set of peers: the number of the set, and which of its peers.
type Block = (u32, u32);

#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Those that begin or end here; no address of a pod has any, and there are many.
    blocks: Option<Box<Blocks>>,
    /// The pods that have the address: one, as a rule.
    pub(super) members: Box<[Arc<Member>]>,
    /// The class it was found to have.
    pub(super) class: Option<u32>,
    /// The number that its flow sets.
    pub(super) emitted: Option<u32>,
}

#[derive(Debug, Clone, Default)]
struct Blocks {
    starts: Vec<Block>,
    ends: Vec<Block>,
}

impl Node {
    fn is_idle(&self) -> bool {
        self.blocks.is_none() && self.members.is_empty()
    }

    fn change_blocks(&mut self, change: impl FnOnce(&mut Blocks)) {
        let mut blocks = self.blocks.take().unwrap_or_default();
        change(&mut blocks);
        let any = !(blocks.starts.is_empty() && blocks.ends.is_empty());
        self.blocks = any.then_some(blocks);
    }

    /// Says that nobody of this name has the address, or this one.
    fn change_member(&mut self, of: &ClusterPod, now: Option<Arc<Member>>) {
        let others = std::mem::take(&mut self.members).into_iter();
        self.members = others.filter(|m| !same_pod(m, of)).chain(now).collect();
    }
}

/// The nodes of one direction.
#[derive(Debug, Clone, Default)]
pub(super) struct Prefixes {
    nodes: BTreeMap<IpNet, Node>,
    /// How many nodes have blocks, by length and family; what is above a node is looked for only there.
    lengths: [BTreeMap<u8, usize>; 2],
    /// Nodes to look at again.
    pub(super) dirty: BTreeSet<IpNet>,
}

fn family(net: &IpNet) -> usize {
    match net {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => 1,
    }
}

/// The prefix of this length that a prefix is in.
fn above(net: &IpNet, length: u8) -> Option<IpNet> {
    IpNet::new(net.addr(), length).ok().map(|net| net.trunc())
}

/// The last address of a prefix, as the longest of prefixes.
fn last(net: &IpNet) -> IpNet {
    match net {
        IpNet::V4(net) => IpNet::from(IpAddr::V4(net.broadcast())),
        IpNet::V6(net) => IpNet::from(IpAddr::V6(net.broadcast())),
    }
}

impl Prefixes {
    pub(super) fn get(&self, net: &IpNet) -> Option<&Node> {
        self.nodes.get(net)
    }

    pub(super) fn get_mut(&mut self, net: &IpNet) -> Option<&mut Node> {
        self.nodes.get_mut(net)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&IpNet, &Node)> {
        self.nodes.iter()
    }

    fn change(&mut self, net: IpNet, change: impl FnOnce(&mut Node)) {
        let node = self.nodes.entry(net).or_default();
        let blocks = |node: &Node| usize::from(node.blocks.is_some());
        let before = blocks(node);
        change(node);
        let after = blocks(node);
        if before != after {
            let lengths = &mut self.lengths[family(&net)];
            let count = lengths.entry(net.prefix_len()).or_default();
            *count = *count + after - before;
            if *count == 0 {
                lengths.remove(&net.prefix_len());
            }
        }
        self.dirty.insert(net);
    }

    fn change_blocks(&mut self, net: IpNet, change: impl FnOnce(&mut Blocks)) {
        self.change(net, |node| node.change_blocks(change));
    }

    fn blocks_of(peers: &Peers) -> impl Iterator<Item = (u32, IpNet, &[IpNet])> {
        let all = peers.any_of.iter().flat_map(|peers| peers.iter());
        (0u32..).zip(all).filter_map(|(i, peer)| match peer {
            Peer::Block(cidr, except) => Some((i, *cidr, &**except)),
            Peer::Pods(..) => None,
        })
    }

    /// Adds the blocks of a set.
    pub(super) fn add(&mut self, set: u32, peers: &Peers) {
        for (i, cidr, except) in Self::blocks_of(peers) {
            self.change_blocks(cidr, |blocks| blocks.starts.push((set, i)));
            for net in except {
                self.change_blocks(*net, |blocks| blocks.ends.push((set, i)));
            }
            self.touch_within(cidr);
        }
    }

    /// Takes the blocks of a set out.
    pub(super) fn remove(&mut self, set: u32, peers: &Peers) {
        for (i, cidr, except) in Self::blocks_of(peers) {
            self.change_blocks(cidr, |blocks| blocks.starts.retain(|b| *b != (set, i)));
            for net in except {
                self.change_blocks(*net, |blocks| blocks.ends.retain(|b| *b != (set, i)));
            }
            self.touch_within(cidr);
        }
    }

    fn touch_within(&mut self, cidr: IpNet) {
        let within = self.nodes.range(cidr..=last(&cidr));
        let within = within.map(|(net, _)| *net);
        self.dirty
            .extend(within.filter(|net| net.prefix_len() >= cidr.prefix_len()));
    }

    /// Says that a pod has an address, in place of what was said of that pod before.
    pub(super) fn set_member(&mut self, ip: IpAddr, member: &Arc<Member>) {
        self.change(IpNet::from(ip), |node| {
            node.change_member(&member.pod, Some(member.clone()));
        });
    }

    /// Says that a pod has an address no more.
    pub(super) fn remove_member(&mut self, ip: IpAddr, pod: &ClusterPod) {
        self.change(IpNet::from(ip), |node| node.change_member(pod, None));
    }

    /// Forgets a node that nothing is said about any more; says whether it did.
    pub(super) fn sweep(&mut self, net: &IpNet) -> bool {
        let idle = self.nodes.get(net).is_some_and(Node::is_idle);
        if idle {
            self.nodes.remove(net);
        }
        idle
    }

    /// The sets whose blocks a prefix is in, in order.
    pub(super) fn sets_around(&self, net: &IpNet) -> Vec<u32> {
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        for length in self.lengths[family(net)].range(..=net.prefix_len()) {
            let node = above(net, *length.0).and_then(|net| self.nodes.get(&net));
            if let Some(blocks) = node.and_then(|node| node.blocks.as_deref()) {
                starts.extend_from_slice(&blocks.starts);
                ends.extend_from_slice(&blocks.ends);
            }
        }
        if !ends.is_empty() {
            ends.sort_unstable();
            starts.retain(|block| ends.binary_search(block).is_err());
        }
        let mut sets: Vec<u32> = starts.into_iter().map(|(set, _)| set).collect();
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    /// The longest node that an address is in.
    pub(super) fn find(&self, ip: IpAddr) -> Option<&Node> {
        let host = IpNet::from(ip);
        if let Some(node) = self.nodes.get(&host) {
            return Some(node);
        }
        let lengths = self.lengths[family(&host)].keys().rev();
        lengths
            .filter_map(|length| self.nodes.get(&above(&host, *length)?))
            .next()
    }
}

fn same_pod(member: &Member, pod: &ClusterPod) -> bool {
    member.pod.name == pod.name && member.pod.namespace == pod.namespace
}
