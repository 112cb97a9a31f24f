//! Random states, histories and packets, from a world so small that things collide all the time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use openflow::{Field, MacAddr, PortNo};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use sluice_flows::interpreter::Packet;
use sluice_flows::model::{
    Capabilities, Change, Gateway, LocalNode, LocalPod, NodeName, Peer, PodId, State, Tunnel,
    TunnelKind, Uid,
};

/// The tunnel's port, where there is one.
pub(crate) const TUNNEL: u32 = 1;
/// Every port of the world, those of the gateway and the pods and one that is nobody's included.
pub(crate) const PORTS: [u32; 8] = [1, 2, 10, 11, 12, 13, 14, 99];

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

fn ips(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|s| ip(s)).collect()
}

fn nets(list: &[&str]) -> Vec<IpNet> {
    list.iter().map(|s| s.parse().unwrap()).collect()
}

fn pod_ips() -> Vec<IpAddr> {
    ips(&[
        "10.0.1.1",
        "10.0.1.2",
        "10.0.1.3",
        "10.0.1.4",
        "10.0.2.5",
        "10.9.9.9",
        "fd00:1::1",
        "fd00:1::2",
        "fd00:1::3",
        "fd00:2::5",
    ])
}

fn other_ips() -> Vec<IpAddr> {
    ips(&[
        "10.0.1.200",
        "10.0.2.9",
        "10.0.3.9",
        "192.0.2.77",
        "169.254.1.1",
        "0.0.0.0",
        "224.0.0.251",
        "255.255.255.255",
        "fd00:1::99",
        "fd00:2::9",
        "2001:db8::99",
        "::",
        "fe80::1",
        "fe80::abcd",
        "ff02::1",
        "ff02::1:ff00:1",
    ])
}

fn cidrs() -> Vec<IpNet> {
    nets(&[
        "10.0.1.0/24",
        "10.0.1.128/25",
        "10.0.2.0/24",
        "10.0.2.5/24",
        "10.0.1.4/32",
        "10.0.0.0/16",
        "0.0.0.0/0",
        "fd00:1::/64",
        "fd00:2::/64",
        "fd00:2::5/128",
        "fd00::/32",
        "fe80::/10",
    ])
}

fn macs() -> Vec<MacAddr> {
    (1..=4).map(|n| MacAddr([0x0a, 0, 0, 0, 0, n])).collect()
}

fn underlays() -> Vec<IpAddr> {
    ips(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::2"])
}

pub(crate) fn node() -> impl Strategy<Value = LocalNode> {
    let gateway = (
        select(vec![2u32, 2, 2, 10]),
        select(macs()),
        subsequence(pod_ips(), 0..3),
    );
    (
        gateway,
        any::<bool>(),
        any::<bool>(),
        subsequence(cidrs(), 0..4),
    )
        .prop_map(
            |((ofport, mac, ips), tunnel, nd_reply, pod_cidrs)| LocalNode {
                name: "here".into(),
                pod_cidrs,
                gateway: Gateway { ofport, mac, ips },
                tunnel: tunnel.then_some(Tunnel {
                    ofport: TUNNEL,
                    kind: TunnelKind::Vxlan,
                }),
                addresses: Vec::new(),
                node_port_addresses: Vec::new(),
                caps: Capabilities { nd_reply },
            },
        )
}

fn pod_id() -> impl Strategy<Value = PodId> {
    (0..7).prop_map(|n| PodId::new(format!("pod-{n}")))
}

fn peer_name() -> impl Strategy<Value = NodeName> {
    (0..4).prop_map(|n| NodeName::new(format!("peer-{n}")))
}

fn pod() -> impl Strategy<Value = LocalPod> {
    let ports = PORTS[..7].to_vec();
    (
        pod_id(),
        select(ports),
        select(macs()),
        subsequence(pod_ips(), 0..4),
    )
        .prop_map(|(id, ofport, mac, ips)| LocalPod {
            namespace: "default".to_owned(),
            name: id.to_string(),
            uid: Uid::default(),
            id,
            ofport,
            mac,
            ips,
        })
}

fn peer() -> impl Strategy<Value = Peer> {
    (peer_name(), subsequence(cidrs(), 0..4), select(underlays())).prop_map(
        |(name, pod_cidrs, underlay)| Peer {
            name,
            pod_cidrs,
            underlay,
        },
    )
}

pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        1 => node().prop_map(Change::Node),
        4 => peer().prop_map(Change::PeerSet),
        2 => peer_name().prop_map(Change::PeerGone),
        8 => pod().prop_map(Change::PodSet),
        4 => pod_id().prop_map(Change::PodGone),
    ]
}

pub(crate) fn state() -> impl Strategy<Value = State> {
    (node(), vec(peer(), 0..5), vec(pod(), 0..8)).prop_map(|(node, peers, pods)| {
        let mut state = State::new(node);
        for peer in peers {
            state.apply(Change::PeerSet(peer));
        }
        for pod in pods {
            state.apply(Change::PodSet(pod));
        }
        state
    })
}

/// Dice for a packet; [`Dice::packet`] makes one that suits a state.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    honest: bool,
    who: Index,
    port: u32,
    macs: (MacAddr, MacAddr),
    kind: Kind,
    source: Index,
    destination: (bool, Index),
    underlay: Index,
    ttl: u8,
    vlan: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Arp {
        op: u16,
    },
    Transport {
        proto: u8,
        source: u16,
        destination: u16,
    },
    Icmpv6 {
        type_: u8,
        code: u8,
        with_option: bool,
    },
    Other(u16),
}

pub(crate) fn dice() -> impl Strategy<Value = Dice> {
    let ports = || select(vec![67u16, 68, 546, 547, 80, 40000]);
    let kind = prop_oneof![
        2 => select(vec![1u16, 1, 1, 2]).prop_map(|op| Kind::Arp { op }),
        6 => (select(vec![6u8, 17]), ports(), ports())
            .prop_map(|(proto, source, destination)| Kind::Transport { proto, source, destination }),
        3 => (select(vec![128u8, 133, 134, 135, 135, 135, 136, 143]), select(vec![0u8, 0, 0, 1]), any::<bool>())
            .prop_map(|(type_, code, with_option)| Kind::Icmpv6 { type_, code, with_option }),
        1 => select(vec![0x88ccu16, 0x8847]).prop_map(Kind::Other),
    ];
    let ttl = select(vec![0u8, 1, 2, 64, 255]);
    let macs = (select(macs()), select(macs()));
    (
        (
            prop::bool::weighted(0.8),
            any::<Index>(),
            select(PORTS.to_vec()),
            macs,
        ),
        (
            kind,
            any::<Index>(),
            (prop::bool::weighted(0.6), any::<Index>()),
            any::<Index>(),
        ),
        (ttl, prop::bool::weighted(0.03)),
    )
        .prop_map(
            |((honest, who, port, macs), (kind, source, destination, underlay), (ttl, vlan))| {
                Dice {
                    honest,
                    who,
                    port,
                    macs,
                    kind,
                    source,
                    destination,
                    underlay,
                    ttl,
                    vlan,
                }
            },
        )
}

impl Dice {
    /// Mostly from one of the state's pods in its own name, else from anywhere.
    pub(crate) fn packet(&self, state: &State) -> Packet {
        let everywhere: Vec<IpAddr> = pod_ips().into_iter().chain(other_ips()).collect();
        let pods: Vec<&LocalPod> = state.pods.values().filter(|p| !p.ips.is_empty()).collect();
        let pod = (self.honest && !pods.is_empty()).then(|| *self.who.get(&pods));

        let (port, mac) = pod.map_or((self.port, self.macs.0), |p| (p.ofport, p.mac));
        let sources = pod.map_or(&everywhere, |p| &p.ips);
        let mut p = Packet::new(PortNo(port))
            .with(Field::ETH_SRC, mac)
            .with(Field::ETH_DST, self.macs.1);
        if port == TUNNEL {
            p = match *self.underlay.get(&underlays()) {
                IpAddr::V4(ip) => p.with(Field::TUN_SRC, ip),
                IpAddr::V6(ip) => p.with(Field::TUN_IPV6_SRC, ip),
            };
        }
        if self.vlan {
            p = p.with(Field::VLAN_VID, 0x1005u16);
        }
        let (near, index) = &self.destination;
        let destinations = if *near { pod_ips() } else { everywhere.clone() };
        let v4 = |from: &[IpAddr], index: &Index| {
            pick(from, index, |ip| match ip {
                IpAddr::V4(ip) => Some(*ip),
                IpAddr::V6(_) => None,
            })
            .unwrap_or(Ipv4Addr::new(10, 0, 1, 2))
        };
        let v6 = |from: &[IpAddr], index: &Index| {
            pick(from, index, |ip| match ip {
                IpAddr::V6(ip) => Some(*ip),
                IpAddr::V4(_) => None,
            })
            .unwrap_or(Ipv6Addr::LOCALHOST)
        };

        match self.kind {
            Kind::Other(ethertype) => p.with(Field::ETH_TYPE, ethertype),
            Kind::Arp { op } => p
                .with(Field::ETH_TYPE, 0x0806u16)
                .with(Field::ARP_OP, op)
                .with(Field::ARP_SHA, mac)
                .with(Field::ARP_SPA, v4(sources, &self.source))
                .with(Field::ARP_TPA, v4(&destinations, index)),
            Kind::Transport {
                proto,
                source,
                destination,
            } => {
                let (src, dst) = if proto == 17 {
                    (Field::UDP_SRC, Field::UDP_DST)
                } else {
                    (Field::TCP_SRC, Field::TCP_DST)
                };
                let is_v6 = self.source.get(sources).is_ipv6();
                let p = if is_v6 {
                    p.with(Field::ETH_TYPE, 0x86ddu16)
                        .with(Field::IPV6_SRC, v6(sources, &self.source))
                        .with(Field::IPV6_DST, v6(&destinations, index))
                } else {
                    p.with(Field::ETH_TYPE, 0x0800u16)
                        .with(Field::IPV4_SRC, v4(sources, &self.source))
                        .with(Field::IPV4_DST, v4(&destinations, index))
                };
                p.with(Field::IP_PROTO, proto)
                    .with(Field::NW_TTL, self.ttl)
                    .with(src, source)
                    .with(dst, destination)
            }
            Kind::Icmpv6 {
                type_,
                code,
                with_option,
            } => {
                let sources = if with_option { sources } else { &everywhere };
                let p = p
                    .with(Field::ETH_TYPE, 0x86ddu16)
                    .with(Field::IPV6_SRC, v6(sources, &self.source))
                    .with(Field::IPV6_DST, v6(&destinations, index))
                    .with(Field::IP_PROTO, 58u8)
                    .with(Field::NW_TTL, self.ttl)
                    .with(Field::ICMPV6_TYPE, type_)
                    .with(Field::ICMPV6_CODE, code);
                match (type_, code) {
                    (135, 0) => {
                        let p = p.with(Field::ND_TARGET, v6(&destinations, index));
                        if with_option {
                            p.with(Field::ND_SLL, mac)
                        } else {
                            p
                        }
                    }
                    _ => p,
                }
            }
        }
    }
}

fn pick<T>(from: &[IpAddr], index: &Index, f: impl Fn(&IpAddr) -> Option<T>) -> Option<T> {
    let mut suitable: Vec<T> = from.iter().filter_map(f).collect();
    (!suitable.is_empty()).then(|| suitable.swap_remove(index.index(suitable.len())))
}
