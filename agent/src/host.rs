//! The Linux side of a node: devices, addresses, routes, neighbours, sysctls, nftables, by netlink.
//!
//! * [`pod`]: a pod's end of its attachment, from the moment its device exists to the moment it is gone.
//! * [`gateway`]: the node's own way into the pod network: the gateway device and the routes through it.
//! * [`addresses`]: which the node has.
//! * [`services`]: what of Services the host takes part in; [`nft`]: masquerading, node ports, refusals;
//!   [`conntrack`]: what began before the node ports did.
//!
//! Everything here acts on the network namespace of the calling thread (the *node's*, which may itself be a
//! named one) and on namespaces given by path. Every function is idempotent, waits only for link events and
//! only for a bounded time, and keeps no state: the kernel holds it.
//!
//! Must not know: OVSDB, OpenFlow, CNI, Kubernetes. Who creates an internal port's device, and when, is the
//! caller's affair; this module waits for it to appear.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub mod addresses;
pub mod cleanup;
pub mod conntrack;
mod error;
pub mod gateway;
pub mod netlink;
pub mod netns;
pub mod nft;
mod offload;
pub mod pod;
mod routes;
pub mod services;
mod sockets;
mod sysctl;

pub use cleanup::cleanup;
pub use error::HostError;

/// An Ethernet address as the kernel hands it over.
pub type Mac = [u8; 6];

/// The routing protocol number of every route Sluice puts into the node's tables (see `rtnetlink(7)`,
/// `rtm_protocol`; below 128 and unused in iproute2's `rt_protos`). `ip route show proto 83` lists them.
pub const ROUTE_PROTOCOL: u8 = 83;

/// The next hop of every IPv4 route into the pod network, on a pod and on its node alike. No device has this
/// address: it is resolved by a permanent neighbour entry that names the router MAC.
pub const ROUTER_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// The next hop of every IPv6 route into the pod network; see [`ROUTER_V4`].
pub const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// The source under which the switch sends what reached a Service from the host to an endpoint that is, again, behind
/// the host. The host has a route to it, through the gateway device.
pub const HAIRPIN_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 83, 1);

/// As [`HAIRPIN_V4`].
pub const HAIRPIN_V6: Ipv6Addr = Ipv6Addr::new(0xfd53, 0x4c55, 0x4943, 0, 0, 0, 0, 1);

/// The addresses that the host and its switch use between themselves, [`HAIRPIN_V4`] and those under which the switch
/// serves what is at the host's own. The host has a route to them, through the gateway device.
pub const BETWEEN_V4: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 83, 0), 24);

/// As [`BETWEEN_V4`].
pub const BETWEEN_V6: Ipv6Net =
    Ipv6Net::new_assert(Ipv6Addr::new(0xfd53, 0x4c55, 0x4943, 0, 0, 0, 0, 0), 64);

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// The length of its addresses, in bytes.
    pub(crate) const fn len(self) -> u32 {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }
}

/// The addresses that the host and its switch use between themselves, by family.
pub(crate) const BETWEEN: [IpNet; 2] = [IpNet::V4(BETWEEN_V4), IpNet::V6(BETWEEN_V6)];

/// The router's address in the family of `addr`.
pub(crate) fn router_for(addr: IpAddr) -> IpAddr {
    match addr {
        IpAddr::V4(_) => IpAddr::V4(ROUTER_V4),
        IpAddr::V6(_) => IpAddr::V6(ROUTER_V6),
    }
}

/// Prints a [`Mac`] the way `ip link` does.
pub(crate) struct MacText(pub(crate) Mac);

impl std::fmt::Display for MacText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
