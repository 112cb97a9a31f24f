//! The fixed shape of the pipeline: table ids, registers, marks, and which table follows which.
//!
//! All of it is part of the flows in running switches: numbers are never reused for something else. The flows
//! themselves belong to the modules under `tables`. `docs/pipeline.md` is made from this (see
//! [`crate::map`]).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use openflow::action::Ct;
use openflow::action::ct::Zone;
use openflow::message::MeterId;
use openflow::{Action, Field, MacAddr, Subfield, TableId, Value};

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
    /// Whether the source is an endpoint of a Service.
    Origin = 12,
    /// Which Service the packet is for.
    Service = 20,
    /// Which endpoint a client has already.
    Affinity = 21,
    /// From source port to endpoint.
    Spread = 22,
    /// What of a Service needs the connection first.
    ServiceState = 23,
    /// To the endpoint.
    Dnat = 24,
    /// To a Service without endpoints.
    Reject = 26,
    /// Whether the packet may be an endpoint's answer.
    Answer = 28,
    /// Where the packet goes.
    Route = 36,
    /// Whether policy applies to the sending pod.
    EgressPoliced = 37,
    /// Whether policy applies to the receiving pod.
    IngressPoliced = 38,
    /// Whether the packet needs conntrack.
    ConntrackIn = 39,
    /// What conntrack says.
    ConntrackState = 40,
    /// Which policies apply to the sending pod.
    EgressSubject = 41,
    /// The class of the destination.
    EgressClass = 42,
    /// The rules of the sending pod.
    EgressPolicy = 43,
    /// Which policies apply to the receiving pod.
    IngressSubject = 44,
    /// The class of the source.
    IngressClass = 45,
    /// The rules of the receiving pod.
    IngressPolicy = 46,
    /// Conntrack in passing.
    Commit = 48,
    /// The hop count, and out.
    Output = 52,
    /// One flow per reason.
    Drop = 60,
}

impl Table {
    /// Every table, by id.
    pub const ALL: [Self; 26] = [
        Self::Classify,
        Self::Guard,
        Self::ArpNd,
        Self::NdReply,
        Self::Origin,
        Self::Service,
        Self::Affinity,
        Self::Spread,
        Self::ServiceState,
        Self::Dnat,
        Self::Reject,
        Self::Answer,
        Self::Route,
        Self::EgressPoliced,
        Self::IngressPoliced,
        Self::ConntrackIn,
        Self::ConntrackState,
        Self::EgressSubject,
        Self::EgressClass,
        Self::EgressPolicy,
        Self::IngressSubject,
        Self::IngressClass,
        Self::IngressPolicy,
        Self::Commit,
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
            Self::Origin => "Origin",
            Self::Service => "Service",
            Self::Affinity => "Affinity",
            Self::Spread => "Spread",
            Self::ServiceState => "ServiceState",
            Self::Dnat => "Dnat",
            Self::Reject => "Reject",
            Self::Answer => "Answer",
            Self::Route => "Route",
            Self::EgressPoliced => "EgressPoliced",
            Self::IngressPoliced => "IngressPoliced",
            Self::ConntrackIn => "ConntrackIn",
            Self::ConntrackState => "ConntrackState",
            Self::EgressSubject => "EgressSubject",
            Self::EgressClass => "EgressClass",
            Self::EgressPolicy => "EgressPolicy",
            Self::IngressSubject => "IngressSubject",
            Self::IngressClass => "IngressClass",
            Self::IngressPolicy => "IngressPolicy",
            Self::Commit => "Commit",
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
            Self::Origin => {
                "marks what comes from an endpoint of a Service: its translation may have to be undone"
            }
            Self::Service => {
                "finds the Service that an address, a protocol and a port stand for, and how its endpoint is chosen"
            }
            Self::Affinity => {
                "remembers the endpoint of a client where a Service wants that: flows learned by the switch"
            }
            Self::Spread => {
                "spreads connections over the endpoints of a Service by some bits of their source port, evenly"
            }
            Self::ServiceState => {
                "goes on with what had to be looked up in conntrack before an endpoint can be chosen: fragments, ICMP, clients that keep their endpoint, Services that have none"
            }
            Self::Dnat => {
                "translates to the endpoint that was chosen; a connection that exists keeps the one it has"
            }
            Self::Reject => {
                "has the host refuse what is for a Service without endpoints, or for a port that none has, by TCP RST or ICMP unreachable"
            }
            Self::Answer => "marks what may be the answer of a Service's endpoint",
            Self::Route => {
                "longest prefix first: a local pod, a peer's prefix, the host; sets MACs, tunnel destination and output port"
            }
            Self::EgressPoliced => "says whether any policy applies to the pod that sends",
            Self::IngressPoliced => "says whether any policy applies to the pod that receives",
            Self::ConntrackIn => "sends through conntrack what needs it, and nothing else",
            Self::ConntrackState => {
                "drops what is invalid or revoked, waves replies through, has everything else judged"
            }
            Self::EgressSubject => "says which policies apply to the pod that sends",
            Self::EgressClass => {
                "says which class the destination address is of, for the rules of the sending pod"
            }
            Self::EgressPolicy => {
                "the rules of the pod that sends, by class of the destination, protocol and port"
            }
            Self::IngressSubject => "says which policies apply to the pod that receives",
            Self::IngressClass => {
                "says which class the source address is of, for the rules of the receiving pod"
            }
            Self::IngressPolicy => {
                "the rules of the pod that receives, by class of the source, protocol and port"
            }
            Self::Commit => "remembers and translates what conntrack must know of, in passing",
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
            Self::Guard | Self::Origin | Self::IngressClass => &["nw_src", "ipv6_src"],
            Self::Service | Self::Answer | Self::Route | Self::EgressClass => {
                &["nw_dst", "ipv6_dst"]
            }
            _ => &[],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// Which table follows, so that no table's module names another one as its successor.

/// After a pod's packet passed Guard.
pub const AFTER_GUARD: Table = Table::Origin;
/// After a packet from the host was classified.
pub const FROM_GATEWAY: Table = Table::Origin;
/// After a packet from a peer was classified.
pub const FROM_TUNNEL: Table = Table::Origin;
/// After it is known whether a packet comes from an endpoint.
pub const AFTER_ORIGIN: Table = Table::Service;
/// For packets from a peer: Services are translated where the client is.
pub const FROM_PEER: Table = Table::Answer;
/// When a packet is for no Service.
pub const NO_SERVICE: Table = Table::Answer;
/// After it is known whether a packet may be an answer, and after translation.
pub const BEFORE_ROUTE: Table = Table::Route;
/// After the way out was found.
pub const AFTER_ROUTE: Table = Table::EgressPoliced;
/// After a packet was judged, or need not be.
pub const AFTER_POLICY: Table = Table::Commit;
/// After all that conntrack has to do was said.
pub const AFTER_COMMIT: Table = Table::Output;

/// The first of the conntrack zones that are ours; 16 of them, shared with nobody on the host.
pub const ZONES: std::ops::RangeInclusive<u16> = 0x51c0..=0x51cf;
/// The zone of connections that policy must know of, as they are on the wire, those to Services apart.
pub const ZONE_TRACK: u16 = 0x51c0;
/// The zone of connections to Services as their clients make them: how their destination is translated, and nothing
/// else.
pub const ZONE_SERVICE: u16 = 0x51c1;
/// The zone of connections to Services as they are on the wire: how their source is translated, and what policy knows
/// of them. Their source port is always one of [`ENDPOINT_PORTS`]: a connection to a Service and one to its endpoint,
/// which a client may well make from the same port, must not be the same there. Only those from outside that keep
/// their client's address have its port, too; policy looks their answers up in [`ZONE_TRACK`], where they are as well.
pub const ZONE_WIRE: u16 = 0x51c2;

/// The source ports that connections to Services have on the wire, as value and mask: 16384 to 32767. Below those that
/// systems give to their own connections, and where few servers listen.
pub const ENDPOINT_PORTS: (u16, u16) = (0x4000, 0xc000);

/// The address that the host's own packets have when they go back to the host; one per family. Link-local (unique
/// local in IPv6), routed by the host into the switch.
pub const HAIRPIN: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 83, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd53, 0x4c55, 0x4943, 0, 0, 0, 0, 1)),
];

/// Holds the marks: see [`Source`] and [`Mark`].
pub const MARKS: Field = Field::reg(0);
/// Holds, while an endpoint is chosen, bits of the source port (bits 0..8) and the number of indices (16..32).
pub const PICK: Field = Field::reg(1);
/// Holds the OpenFlow port that Route chose.
pub const OUT_PORT: Field = Field::reg(2);
/// Holds the code of the [`crate::DropReason`] in table Drop.
pub const REASON: Field = Field::reg(3);
/// Holds a value for a moment, within one flow.
pub const SCRATCH: Field = Field::reg(4);
/// Holds the index of the endpoint that was chosen, among those of the Service.
pub const INDEX: Field = Field::reg(5);
/// Holds the number of a Service's set of endpoints (reg8 and reg9).
pub const SERVICE_ID: Field = Field::xreg(4);
/// The registers that [`SERVICE_ID`] is made of, the upper half first.
pub const SERVICE_ID_HALVES: [Field; 2] = [Field::reg(8), Field::reg(9)];
/// Holds the number of the policies that apply to the pod that sends.
pub const SUBJECT_SRC: Field = Field::reg(10);
/// Holds the number of the policies that apply to the pod that receives.
pub const SUBJECT_DST: Field = Field::reg(11);
/// Holds the class of the destination address.
pub const CLASS_DST: Field = Field::reg(12);
/// Holds the class of the source address.
pub const CLASS_SRC: Field = Field::reg(13);

/// Holds the number of the rule that lets the sending pod send it.
pub const RULE_SRC: Field = Field::reg(14);
/// Holds the number of the rule that lets the receiving pod get it.
pub const RULE_DST: Field = Field::reg(15);

/// Where `ct_label` holds the numbers of the rules that let a connection be, for what is sent and for what is got.
pub const LABELS: [(Field, Subfield); 2] = [
    (RULE_SRC, Subfield::new(Field::CT_LABEL, 0, 32)),
    (RULE_DST, Subfield::new(Field::CT_LABEL, 32, 32)),
];

/// The value of [`PICK`] for a number of indices and bits of the source port.
pub const fn pick(shape: u16, bits: u8) -> u32 {
    (shape as u32) << 16 | bits as u32
}

/// The meter that limits samples of dropped packets; the agent makes it.
pub const DROP_METER: MeterId = MeterId(0x51ce);
/// How much of a dropped packet is sent.
pub const SAMPLE_BYTES: u16 = 128;

/// The bit of `ct_mark`, in [`ZONE_TRACK`] and [`ZONE_WIRE`], of a connection that policy no longer allows.
pub const CT_BLOCKED: u32 = 1;

/// Marks the packet's connection in a zone as one that policy no longer allows.
pub fn block(zone: u16) -> Action {
    Action::Ct(Box::new(Ct {
        commit: true,
        zone: Zone::Imm(zone),
        actions: vec![Action::SetField {
            field: Field::CT_MARK,
            value: Value::from(CT_BLOCKED),
            mask: Some(Value::from(CT_BLOCKED)),
        }]
        .into(),
        ..Ct::default()
    }))
}

/// What was found out about a packet: bits of [`MARKS`] above those of [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Mark {
    /// Its source is, or was lately, an endpoint of a Service.
    EpSrc = 1 << 4,
    /// It may be the answer of an endpoint of a Service.
    Answer = 1 << 5,
    /// It was for a Service and has been translated: it is of the original direction.
    Dnated = 1 << 6,
    /// Its source must be translated.
    Masq = 1 << 7,
    /// Its source must be kept, unless its connection was given another one. With [`Mark::Masq`]: its connection may have
    /// kept its own.
    Keep = 1 << 8,
    /// Its destination is an address that sources are translated to here.
    SnatDst = 1 << 9,
    /// It was looked up in [`ZONE_TRACK`].
    Tracked = 1 << 10,
    /// It is a reply.
    Reply = 1 << 11,
    /// It may leave by the port that it came from.
    Back = 1 << 12,
    /// Policy applies to the pod that sends it.
    SrcPoliced = 1 << 13,
    /// Policy applies to the pod that receives it.
    DstPoliced = 1 << 14,
    /// Its source is an address of the node itself.
    Own = 1 << 15,
}

impl Mark {
    /// Every mark, by bit.
    pub const ALL: [Self; 12] = [
        Self::EpSrc,
        Self::Answer,
        Self::Dnated,
        Self::Masq,
        Self::Keep,
        Self::SnatDst,
        Self::Tracked,
        Self::Reply,
        Self::Back,
        Self::SrcPoliced,
        Self::DstPoliced,
        Self::Own,
    ];

    /// Its bit.
    pub const fn bit(self) -> u32 {
        self as u32
    }

    /// What it says, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::EpSrc => "from an endpoint of a Service",
            Self::Answer => "may be the answer of a Service's endpoint",
            Self::Dnated => "translated to an endpoint",
            Self::Masq => "source must be translated",
            Self::Keep => "source must be kept; with bit 7, may have been",
            Self::SnatDst => "to an address that sources are translated to",
            Self::Tracked => "looked up in conntrack",
            Self::Reply => "a reply",
            Self::Back => "may leave by the port it came from",
            Self::SrcPoliced => "policy applies to the sender",
            Self::DstPoliced => "policy applies to the receiver",
            Self::Own => "from an address of the node itself",
        }
    }
}

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
