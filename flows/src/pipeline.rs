//! The fixed shape of the pipeline: table ids, registers, marks, and which table follows which.
//!
//! All of it is part of the flows in running switches: numbers are never reused for something else. The flows
//! themselves belong to the modules under `tables`. `docs/pipeline.md` is made from this (see
//! [`crate::map`]).

use std::fmt;

use openflow::{Field, MacAddr, TableId};

/// The MAC address of the virtual router that every pod has as its gateway; the same on every node. Locally
/// administered.
pub const ROUTER_MAC: MacAddr = MacAddr([0xaa, 0x53, 0x4c, 0x55, 0x49, 0x43]);

/// A table of the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Where the packet came from.
    Classify = 0,
    /// What a pod may send.
    Guard = 4,
    /// Answers to ARP and to neighbour solicitations.
    ArpNd = 8,
    /// Second half of the answer to a neighbour solicitation.
    NdReply = 9,
    /// Where the packet goes.
    Route = 36,
    /// The hop count, and out.
    Output = 52,
    /// One flow per reason.
    Drop = 60,
}

/// The ids that the design keeps for tables that have no flows yet.
pub const RESERVED_TABLES: [(u8, &str); 9] = [
    (12, "ConntrackIn"),
    (16, "ConntrackState"),
    (20, "Service"),
    (24, "Dnat"),
    (28, "EgressClass"),
    (32, "EgressPolicy"),
    (40, "IngressClass"),
    (44, "IngressPolicy"),
    (48, "Commit"),
];

impl Table {
    /// Every table, by id.
    pub const ALL: [Self; 7] = [
        Self::Classify,
        Self::Guard,
        Self::ArpNd,
        Self::NdReply,
        Self::Route,
        Self::Output,
        Self::Drop,
    ];

    /// Its number.
    pub const fn id(self) -> TableId {
        TableId(self as u8)
    }

    /// The table with this number.
    pub fn from_id(id: TableId) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.id() == id)
    }

    /// Its name, as pushed to `Flow_Table`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classify => "Classify",
            Self::Guard => "Guard",
            Self::ArpNd => "ArpNd",
            Self::NdReply => "NdReply",
            Self::Route => "Route",
            Self::Output => "Output",
            Self::Drop => "Drop",
        }
    }

    /// What it does, in a sentence.
    pub const fn purpose(self) -> &'static str {
        match self {
            Self::Classify => {
                "says where a packet came from: a pod, a known peer through the tunnel, or the host; nothing else gets in"
            }
            Self::Guard => {
                "lets a pod send only from its own MAC and IP addresses (IPv4, ARP, IPv6, neighbour solicitations), and neither as DHCP server nor as router"
            }
            Self::ArpNd => {
                "answers every ARP request, and neighbour solicitations where the datapath can, with the router's MAC; nothing is flooded"
            }
            Self::NdReply => {
                "finishes a neighbour advertisement: its options can be set only once the packet is one"
            }
            Self::Route => {
                "longest prefix first: a local pod, a peer's prefix, the host; sets MACs, tunnel destination and output port"
            }
            Self::Output => {
                "takes a hop off what pods send to pods, and sends the packet out of the port that Route chose"
            }
            Self::Drop => "counts the drop under its reason",
        }
    }

    /// The fields whose prefixes the switch should keep tries for (`Flow_Table`, column `prefixes`), where that
    /// spares it megaflows.
    pub const fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Guard => &["nw_src", "ipv6_src"],
            Self::Route => &["nw_dst", "ipv6_dst"],
            _ => &[],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// Which table follows: the places where conntrack, Services and policy are put in later, so that no table's
// module names another one as its successor.

/// After a pod's packet passed Guard.
pub const AFTER_GUARD: Table = Table::Route;
/// After a packet from the host was classified.
pub const FROM_GATEWAY: Table = Table::Route;
/// After a packet from a peer was classified.
pub const FROM_TUNNEL: Table = Table::Route;
/// After the way out was found.
pub const AFTER_ROUTE: Table = Table::Output;

/// Holds the marks: see [`Source`].
pub const MARKS: Field = Field::reg(0);
/// Holds the OpenFlow port that Route chose.
pub const OUT_PORT: Field = Field::reg(2);
/// Holds the code of the [`crate::DropReason`] in table Drop.
pub const REASON: Field = Field::reg(3);
/// Holds a value for a moment, within one flow.
pub const SCRATCH: Field = Field::reg(4);

/// Where a packet came from: the low four bits of [`MARKS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Source {
    /// A pod of this node.
    Pod = 1,
    /// A peer, through the tunnel.
    Tunnel = 2,
    /// The host, through the gateway port.
    Gateway = 3,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Pod, Self::Tunnel, Self::Gateway];
    /// The bits of [`MARKS`] that hold it.
    pub const MASK: u32 = 0xf;

    /// The value of those bits.
    pub const fn mark(self) -> u32 {
        self as u32
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Tunnel => "tunnel",
            Self::Gateway => "gateway",
        }
    }
}
