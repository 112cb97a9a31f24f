//! Which address a new pod gets: one of each family the node has podCIDRs of.
//!
//! Nothing is written down: the addresses in use are those of the attachments that exist, handed over at start.
//! A released address comes back only after the rest of its CIDR was handed out, so that a peer's stale
//! connection does not meet a new pod. Memory is proportional to the addresses in use, not to the CIDR.
//!
//! Must not know pods, nodes or where the list of taken addresses is kept.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;

/// No address could be handed out. Nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// Every CIDR of one family is used up.
    #[error("no free address in {}: all {capacity} are in use", list(.cidrs))]
    Exhausted {
        /// The CIDRs of the family.
        cidrs: Vec<IpNet>,
        /// How many addresses they hold for pods.
        capacity: u128,
    },
    /// The node has no podCIDR (yet).
    #[error("the node has no podCIDR")]
    NoCidr,
}

fn list(cidrs: &[IpNet]) -> String {
    cidrs
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The use made of one CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The CIDR.
    pub cidr: IpNet,
    /// Addresses in use by pods.
    pub used: usize,
    /// Addresses it holds for pods.
    pub capacity: u128,
}

/// The addresses of one node's podCIDRs.
#[derive(Clone, Debug, Default)]
pub struct Ipam {
    pools: Vec<Pool>,
    /// Everything in use, also what lies outside the present CIDRs.
    taken: BTreeSet<IpAddr>,
}

/// The address of `cidr` that the node's gateway device has: the first after the network's own.
pub fn gateway_address(cidr: IpNet) -> Option<IpAddr> {
    Pool::new(cidr).at(1)
}

impl Ipam {
    /// Hands out addresses of `cidrs` from now on, and none of `taken`. Goes on behind the highest taken address.
    pub fn new(cidrs: &[IpNet], taken: impl IntoIterator<Item = IpAddr>) -> Ipam {
        let mut ipam = Ipam {
            pools: Vec::new(),
            taken: taken.into_iter().collect(),
        };
        ipam.set_cidrs(cidrs);
        ipam
    }

    /// Changes the CIDRs; what is in use stays in use, wherever it lies.
    pub fn set_cidrs(&mut self, cidrs: &[IpNet]) {
        let old = std::mem::take(&mut self.pools);
        for cidr in cidrs.iter().map(IpNet::trunc) {
            if self.pools.iter().any(|pool| pool.cidr == cidr) {
                continue;
            }
            let pool = old.iter().find(|pool| pool.cidr == cidr).copied();
            self.pools
                .push(pool.unwrap_or_else(|| Pool::new(cidr).behind(&self.taken)));
        }
    }

    /// The CIDRs in force.
    pub fn cidrs(&self) -> impl Iterator<Item = IpNet> {
        self.pools.iter().map(|pool| pool.cidr)
    }

    /// One address of each family there is a CIDR of, IPv4 first.
    ///
    /// # Errors
    /// [`IpamError`], in which case nothing was taken.
    pub fn allocate(&mut self) -> Result<Vec<IpAddr>, IpamError> {
        if self.pools.is_empty() {
            return Err(IpamError::NoCidr);
        }
        let mut chosen = Vec::with_capacity(2);
        for v4 in [true, false] {
            if let Some(choice) = self.choose(v4)? {
                chosen.push(choice);
            }
        }
        let addresses = chosen.iter().map(|(_, _, address)| *address).collect();
        for (pool, cursor, address) in chosen {
            if let Some(pool) = self.pools.get_mut(pool) {
                pool.cursor = cursor;
            }
            self.taken.insert(address);
        }
        Ok(addresses)
    }

    /// A free address of one family: which pool it is of, and how far into it.
    fn choose(&self, v4: bool) -> Result<Option<(usize, u128, IpAddr)>, IpamError> {
        let of_family = || {
            self.pools
                .iter()
                .enumerate()
                .filter(|(_, pool)| pool.is_v4() == v4)
        };
        for (index, pool) in of_family() {
            if let Some((cursor, address)) = pool.next_free(&self.taken) {
                return Ok(Some((index, cursor, address)));
            }
        }
        let cidrs: Vec<IpNet> = of_family().map(|(_, pool)| pool.cidr).collect();
        if cidrs.is_empty() {
            return Ok(None);
        }
        let capacity = of_family()
            .map(|(_, pool)| pool.capacity())
            .fold(0, u128::saturating_add);
        Err(IpamError::Exhausted { cidrs, capacity })
    }

    /// Marks an address as in use, for attachments that are found later; says whether it was free.
    pub fn take(&mut self, address: IpAddr) -> bool {
        self.taken.insert(address)
    }

    /// Gives addresses back. Those that were not taken are passed over.
    pub fn release(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            self.taken.remove(address);
        }
    }

    /// Whether [`allocate`](Ipam::allocate) would succeed.
    ///
    /// # Errors
    /// The error that it would answer.
    pub fn check(&self) -> Result<(), IpamError> {
        if self.pools.is_empty() {
            return Err(IpamError::NoCidr);
        }
        self.choose(true)?;
        self.choose(false)?;
        Ok(())
    }

    /// How much of each CIDR is used.
    pub fn usage(&self) -> Vec<Usage> {
        let usage = |pool: &Pool| Usage {
            cidr: pool.cidr,
            used: pool.used(&self.taken),
            capacity: pool.capacity(),
        };
        self.pools.iter().map(usage).collect()
    }
}

/// One CIDR, seen as offsets from its network address. Offset 0 is the network (in IPv6 the subnet-router
/// anycast address, RFC 4291, section 2.6.1), 1 the gateway, the last one IPv4's broadcast address.
#[derive(Clone, Copy, Debug)]
struct Pool {
    cidr: IpNet,
    /// The offset that was handed out last.
    cursor: u128,
}

const FIRST: u128 = 2;

impl Pool {
    fn new(cidr: IpNet) -> Pool {
        Pool {
            cidr: cidr.trunc(),
            cursor: FIRST - 1,
        }
    }

    /// Goes on behind the highest address in use.
    fn behind(mut self, taken: &BTreeSet<IpAddr>) -> Pool {
        let highest = taken
            .range(self.cidr.network()..=self.cidr.broadcast())
            .next_back();
        if let Some(offset) = highest.and_then(|address| self.offset(*address)) {
            self.cursor = self.cursor.max(offset);
        }
        self
    }

    fn is_v4(&self) -> bool {
        matches!(self.cidr, IpNet::V4(_))
    }

    /// The last offset of the CIDR.
    fn last(&self) -> u128 {
        let bits = self.cidr.max_prefix_len() - self.cidr.prefix_len();
        u128::MAX
            .checked_shr(u128::BITS - u32::from(bits))
            .unwrap_or(0)
    }

    /// The last offset that is a pod's.
    fn last_for_pods(&self) -> u128 {
        self.last().saturating_sub(1)
    }

    fn capacity(&self) -> u128 {
        (self.last_for_pods() + 1).saturating_sub(FIRST)
    }

    fn at(&self, offset: u128) -> Option<IpAddr> {
        if offset > self.last() {
            return None;
        }
        match self.cidr.network() {
            IpAddr::V4(network) => {
                let offset = u32::try_from(offset).ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(
                    u32::from(network).checked_add(offset)?,
                )))
            }
            IpAddr::V6(network) => Some(IpAddr::V6(Ipv6Addr::from(
                u128::from(network).checked_add(offset)?,
            ))),
        }
    }

    fn offset(&self, address: IpAddr) -> Option<u128> {
        match (address, self.cidr.network()) {
            (IpAddr::V4(address), IpAddr::V4(network)) => u32::from(address)
                .checked_sub(u32::from(network))
                .map(u128::from),
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                u128::from(address).checked_sub(u128::from(network))
            }
            _ => None,
        }
    }

    fn used(&self, taken: &BTreeSet<IpAddr>) -> usize {
        let range = self
            .at(FIRST)
            .zip(self.at(self.last_for_pods()))
            .filter(|(first, last)| first <= last);
        range.map_or(0, |(first, last)| taken.range(first..=last).count())
    }

    /// The next free offset behind the cursor, round and round. Looks at no more offsets than are taken, and one.
    fn next_free(&self, taken: &BTreeSet<IpAddr>) -> Option<(u128, IpAddr)> {
        let mut offset = self.cursor;
        for _ in 0..self.capacity().min(taken.len() as u128 + 1) {
            offset = if offset < FIRST - 1 || offset >= self.last_for_pods() {
                FIRST
            } else {
                offset + 1
            };
            let address = self.at(offset)?;
            if !taken.contains(&address) {
                return Some((offset, address));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
