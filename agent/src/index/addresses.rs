//! Which addresses are nobody's any more.
//!
//! What was once an endpoint must be treated as one while connections to it may live, even when no Service uses it
//! any more; that ends when its pod is gone. Of a pod that nobody tells of here, that is known from its last endpoint:
//! one that was terminating is taken away when the pod is gone. Any other address that no pod ever had (one outside the
//! cluster, or a node's) is never forgotten here.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::source::object::Endpoint;

#[derive(Debug, Default)]
pub(super) struct Addresses {
    held: Held,
    /// Those whose last pod went while an EndpointSlice still named them.
    orphans: HashSet<IpAddr>,
    /// Those that somebody let go of since the last answer.
    loose: BTreeSet<IpAddr>,
}

/// Who has an address, by family: every pod is in here, and an IPv4 address alone is a quarter of either.
#[derive(Debug, Default)]
struct Held {
    v4: HashMap<Ipv4Addr, Holders>,
    v6: HashMap<Ipv6Addr, Holders>,
}

impl Held {
    fn get(&self, ip: IpAddr) -> Option<&Holders> {
        match ip {
            IpAddr::V4(ip) => self.v4.get(&ip),
            IpAddr::V6(ip) => self.v6.get(&ip),
        }
    }

    fn of(&mut self, ip: IpAddr) -> &mut Holders {
        match ip {
            IpAddr::V4(ip) => self.v4.entry(ip).or_default(),
            IpAddr::V6(ip) => self.v6.entry(ip).or_default(),
        }
    }

    fn remove(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => drop(self.v4.remove(&ip)),
            IpAddr::V6(ip) => drop(self.v6.remove(&ip)),
        }
    }
}

#[derive(Debug, Default)]
struct Holders {
    pods: u32,
    endpoints: u32,
}

impl Addresses {
    /// A pod had these addresses, and has those now.
    pub(super) fn pod_moved(&mut self, before: &[IpAddr], now: &[IpAddr]) {
        if before == now {
            return;
        }
        for ip in now {
            self.held.of(*ip).pods += 1;
            self.orphans.remove(ip);
        }
        for ip in before {
            let holders = self.held.of(*ip);
            holders.pods = holders.pods.saturating_sub(1);
            if holders.pods == 0 {
                self.orphans.insert(*ip);
                self.loose.insert(*ip);
            }
        }
    }

    /// An EndpointSlice had these endpoints, and has those now.
    pub(super) fn slice_moved(&mut self, before: &[Endpoint], now: &[Endpoint]) {
        for endpoint in now {
            self.held.of(endpoint.ip).endpoints += 1;
        }
        for endpoint in before {
            let holders = self.held.of(endpoint.ip);
            holders.endpoints = holders.endpoints.saturating_sub(1);
            if holders.endpoints == 0 {
                if holders.pods == 0 && endpoint.state.terminating {
                    self.orphans.insert(endpoint.ip);
                }
                self.loose.insert(endpoint.ip);
            }
        }
    }

    /// The addresses that a pod had and nobody has any more, each once.
    pub(super) fn forgotten(&mut self) -> Vec<IpAddr> {
        let mut forgotten = Vec::new();
        for ip in std::mem::take(&mut self.loose) {
            let free = self
                .held
                .get(ip)
                .is_none_or(|holders| holders.pods == 0 && holders.endpoints == 0);
            if free {
                self.held.remove(ip);
                if self.orphans.remove(&ip) {
                    forgotten.push(ip);
                }
            }
        }
        forgotten
    }
}
