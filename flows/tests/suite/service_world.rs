//! Random Services over the small world, and histories of them.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sluice_flows::model::{
    Backend, Change, Frontend, LocalNode, Protocol, ServiceId, ServicePort, TrafficPolicy,
};

use crate::world;

fn ips(v6: bool, list: &[&str]) -> Vec<IpAddr> {
    let all = list.iter().map(|s| s.parse::<IpAddr>().unwrap());
    all.filter(|ip| ip.is_ipv6() == v6).collect()
}

/// Addresses that Services have; some of them are also others'.
fn vips(v6: bool) -> Vec<IpAddr> {
    let all = [
        "10.96.0.1",
        "10.96.0.2",
        "192.0.2.50",
        "10.0.1.2",
        "192.0.2.77",
        "fd00:96::1",
        "fd00:1::2",
    ];
    ips(v6, &all)
}

fn backends(v6: bool) -> Vec<Backend> {
    let all = [
        "10.0.1.1",
        "10.0.1.2",
        "10.0.1.3",
        "10.0.2.5",
        "10.0.2.9",
        "192.0.2.77",
        "198.51.100.9",
        "fd00:1::1",
        "fd00:1::2",
        "fd00:2::9",
        "2001:db8::99",
    ];
    let ips = ips(v6, &all);
    let at = |port| ips.iter().map(move |ip| Backend { ip: *ip, port });
    at(8080).chain(at(9090)).collect()
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    select(vec![
        TrafficPolicy::Cluster,
        TrafficPolicy::Cluster,
        TrafficPolicy::Local,
    ])
}

fn frontend(v6: bool) -> impl Strategy<Value = Frontend> {
    let ranges = [
        "10.0.0.0/8",
        "10.0.1.0/24",
        "192.0.2.77/32",
        "fd00::/16",
        "0.0.0.0/0",
    ];
    let ranges: Vec<_> = ranges.iter().map(|s| s.parse().unwrap()).collect();
    let port = || select(vec![80u16, 443]);
    prop_oneof![
        3 => (select(vips(v6)), port(), policy())
            .prop_map(|(ip, port, policy)| Frontend::Cluster { ip, port, policy }),
        2 => (select(vips(v6)), port(), policy(), option::of(subsequence(ranges, 0..4)))
            .prop_map(|(ip, port, policy, sources)| Frontend::External { ip, port, policy, sources }),
        2 => (select(vec![30080u16, 30443]), policy())
            .prop_map(|(port, policy)| Frontend::NodePort { port, policy }),
    ]
}

fn id() -> impl Strategy<Value = (ServiceId, String, Protocol, bool)> {
    let protocol = select(vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp]);
    (0..3, protocol, prop::bool::weighted(0.3)).prop_map(|(n, protocol, v6)| {
        let name = format!("svc-{n}");
        (
            ServiceId::new("default", &name, "p", protocol, v6),
            name,
            protocol,
            v6,
        )
    })
}

pub(crate) fn service() -> impl Strategy<Value = ServicePort> {
    id().prop_flat_map(|(id, name, protocol, v6)| {
        let lists = (
            subsequence(backends(v6), 0..8),
            subsequence(backends(v6), 0..3),
        );
        let affinity = select(vec![None, None, Some(10), Some(86_400)]);
        (vec(frontend(v6), 0..4), lists, affinity).prop_map(
            move |(frontends, (mut cluster, local), affinity)| {
                // Not in order, and with a repetition: whoever makes Services may be careless.
                cluster.extend(cluster.last().copied());
                ServicePort {
                    id: id.clone(),
                    namespace: "default".to_owned(),
                    name: name.clone(),
                    port_name: "p".to_owned(),
                    v6,
                    protocol,
                    frontends,
                    cluster,
                    local,
                    affinity,
                }
            },
        )
    })
}

/// A node that serves node ports.
pub(crate) fn node() -> impl Strategy<Value = LocalNode> {
    (world::node(), any::<bool>()).prop_map(|(mut node, serves)| {
        node.addresses = vec!["192.0.2.77".parse().unwrap()];
        if serves {
            node.node_port_addresses = node.addresses.clone();
        }
        node
    })
}

/// Mostly of Services, and of all that they may collide with.
pub(crate) fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        12 => service().prop_map(|port| Change::ServiceSet(Arc::new(port))),
        4 => id().prop_map(|(id, ..)| Change::ServiceGone(id)),
        2 => select(backends(false)).prop_map(|b| Change::ForgetEndpoint(b.ip)),
        1 => node().prop_map(Change::Node),
        3 => world::change(),
    ]
}
