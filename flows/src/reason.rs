//! Why a packet is dropped: one typed reason for every drop of the pipeline.
//!
//! The code of a reason is what register [`crate::pipeline::REASON`] holds when a packet enters table Drop; it
//! is part of the flows in running switches and is never renumbered.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $name:literal;)*) => {
        /// A reason to drop a packet.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $variant = $code,)*
        }

        impl DropReason {
            /// Every reason, by code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name people ask for it by.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What it means, in a sentence or two.
            pub const fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc,)+).trim_ascii(),)*
                }
            }
        }
    };
}

reasons! {
    /// The packet came from a port that is neither a pod's, nor the tunnel, nor the gateway.
    UnknownPort = 1, "unknown-port";
    /// The packet came through the tunnel from an address that is no peer's.
    UnknownTunnelPeer = 2, "unknown-tunnel-peer";
    /// The frame carries a VLAN tag; the pod network has none.
    VlanTagged = 3, "vlan-tagged";
    /// The frame is neither IPv4, nor IPv6, nor ARP where ARP is answered.
    UnsupportedEthertype = 4, "unsupported-ethertype";
    /// A pod sent from a MAC or IP address that is not its own.
    SpoofedSource = 5, "spoofed-source";
    /// A pod sent a router advertisement.
    RouterAdvertisement = 6, "router-advertisement";
    /// A pod sent what only a DHCP server sends.
    DhcpServer = 7, "dhcp-server";
    /// A pod's link-local chatter: router solicitations, multicast listener reports and the like. Harmless.
    LinkLocalChatter = 8, "link-local-chatter";
    /// Someone probed for, or announced, an address of its own; an answer would mean that it is taken. Harmless.
    AddressProbe = 9, "address-probe";
    /// An ARP packet that asks for nothing. Harmless.
    ArpNotRequest = 10, "arp-not-request";
    /// A neighbour solicitation that the datapath cannot answer; pods have permanent entries and need none. Harmless.
    NeighbourSolicitation = 11, "neighbour-solicitation";
    /// The destination is multicast or broadcast, which the pod network does not carry.
    MulticastDestination = 12, "multicast-destination";
    /// The destination is link-local, which is not routed.
    LinkLocalDestination = 13, "link-local-destination";
    /// The destination is within this node's pod prefixes, but no pod has it.
    UnknownDestinationPod = 14, "unknown-destination-pod";
    /// The packet came from the tunnel or the host, and no route leads to its destination.
    NoRoute = 15, "no-route";
    /// The route leads back to where the packet came from: the tunnel, the host, or the pod itself.
    RoutedBack = 16, "routed-back";
    /// The packet has used up its hops.
    TtlExpired = 17, "ttl-expired";
    /// The destination is a Service's address, and the packet is ICMP of no connection there: a Service answers no ping.
    NoServicePort = 18, "no-service-port";
    /// The Service sends what comes from outside to endpoints of this node only, and there is none here.
    NoLocalEndpoint = 19, "no-local-endpoint";
    /// The source is not in the Service's loadBalancerSourceRanges.
    SourceNotAllowed = 20, "source-not-allowed";
    /// Conntrack calls the packet invalid: it belongs to no connection, or not at this point of it.
    InvalidConnection = 21, "invalid-connection";
    /// A reply of a connection that policy no longer allows.
    BlockedConnection = 22, "blocked-connection";
    /// A pod isolated for egress sent it, and no rule allows it.
    EgressIsolation = 23, "egress-isolation";
    /// It is for a pod isolated for ingress, and no rule allows it.
    IngressIsolation = 24, "ingress-isolation";
}

impl DropReason {
    /// The number that stands for it in flows.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The reason with this number.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|r| u64::from(r.code()) == code)
    }

    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.name() == name)
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_lead_back() {
        for reason in DropReason::ALL {
            assert_eq!(DropReason::from_code(reason.code().into()), Some(*reason));
            assert_eq!(DropReason::from_name(reason.name()), Some(*reason));
            assert_ne!(reason.code(), 0, "zero is an empty register");
            assert!(reason.explanation().ends_with('.'), "{reason}");
        }
    }
}
