//! What the host needs to know of Services: which addresses to send into the switch, and which of its own ports.
//!
//! Must not know what a Service is, nor its endpoints: the switch serves them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// A port at an address of this node that the switch serves: a node port, or that of a Service one of whose own
/// addresses is the node's as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnPort {
    /// The address; loopback addresses cannot be served.
    pub address: IpAddr,
    /// The transport protocol's number in IP headers: 6 for TCP, 17 for UDP, 132 for SCTP.
    pub protocol: u8,
    /// The port.
    pub port: u16,
    /// The address under which the switch serves it.
    pub switch: IpAddr,
    /// The process of the node that serves what comes from outside, where the client's address must be kept: what went
    /// through the switch would come back from there with another one.
    pub process: Option<SocketAddr>,
}

/// The host's part of Services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostServices {
    /// Addresses of Services: clusterIPs, externalIPs, load balancers' addresses. *All* that the host sends or
    /// forwards to them goes into the switch, whatever the port, so the address of another node must not be among
    /// them: that node could not be reached any more. (An address of this node does no harm, and has no effect.)
    pub addresses: BTreeSet<IpAddr>,
    /// What the switch serves at this node's own addresses.
    pub own_ports: BTreeSet<OwnPort>,
}

/// Whether the host can have a route to the address: it may be written into a Service without meaning anything.
pub(super) fn routable(address: IpAddr) -> bool {
    let special = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    !special
        && match address {
            IpAddr::V4(v4) => !v4.is_broadcast() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_unicast_link_local(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_routed_is() {
        for (address, expected) in [
            ("10.96.0.1", true),
            ("169.254.169.254", false),
            ("fd00::1", true),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("ff02::1", false),
            ("fe80::7", false),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(routable(parsed), expected, "{address}");
        }
    }
}
