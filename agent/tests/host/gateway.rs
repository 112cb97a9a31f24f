//! The gateway device and the node's routes.

use std::{collections::BTreeSet, time::Duration};

use ipnet::IpNet;
use sluice_agent::host::{
    self, HostError,
    gateway::{Changes, GatewayNic, add_cidrs, configure, remove_cidrs},
    pod::Datapath,
};

use crate::harness::{ROUTER_MAC, SOON, Space, v4, v6};

fn gateway(cidrs: &[&str]) -> GatewayNic {
    GatewayNic {
        ifname: "slgw".into(),
        mac: [0x0a, 0x58, 10, 1, 0, 1],
        mtu: 1400,
        addrs: vec![v4(1), v6(1)],
        router_mac: ROUTER_MAC,
        cidrs: cidrs
            .iter()
            .map(|text| text.parse().expect("a CIDR"))
            .collect(),
        datapath: Datapath::Userspace,
    }
}

fn node() -> Space {
    let node = Space::new("node");
    node.ip("link add slgw type veth peer name slswitch");
    node.ip("link set slswitch up");
    node
}

async fn configured(node: &Space, nic: &GatewayNic) -> Changes {
    let nic = nic.clone();
    node.run(move || async move { configure(&nic, &BTreeSet::new(), SOON).await })
        .await
        .expect("a configured gateway")
}

#[tokio::test]
async fn configuring_twice_changes_nothing_the_second_time() {
    let node = node();
    let nic = gateway(&["10.1.0.0/24", "fd00:1::/64", "10.1.1.0/24", "fd00:2::/64"]);
    let first = configured(&node, &nic).await;
    // To four podCIDRs, and to two link-local addresses in each family.
    assert_eq!(first.routes_set, 6);
    assert!(configured(&node, &nic).await.is_empty());

    let device = node.ip("address show dev slgw");
    for part in [
        "10.1.0.1/32",
        "fd00:1::1/128",
        "mtu 1400",
        "0a:58:0a:01:00:01",
        "UP",
    ] {
        assert!(device.contains(part), "{part} is missing in {device}");
    }
    let routes = node.ip("route show");
    for cidr in ["10.1.0.0/24", "10.1.1.0/24"] {
        let route = format!("{cidr} via 169.254.1.1 dev slgw proto 83 src 10.1.0.1 onlink");
        assert!(routes.contains(&route), "{route} is missing in {routes}");
    }
    let routes = node.ip("-6 route show");
    for cidr in ["fd00:1::/64", "fd00:2::/64"] {
        let route = format!("{cidr} via fe80::1 dev slgw proto 83 src fd00:1::1");
        assert!(routes.contains(&route), "{route} is missing in {routes}");
    }
    assert!(
        node.ip("neighbour show")
            .contains("169.254.1.1 dev slgw lladdr aa:aa:aa:00:00:01 PERMANENT")
    );
    assert_eq!(node.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "1");
    assert_eq!(
        node.sh("cat /proc/sys/net/ipv6/conf/all/forwarding").trim(),
        "1"
    );
}

#[tokio::test]
async fn peers_come_and_go_one_by_one_and_a_restart_tidies_up() {
    let node = node();
    let nic = gateway(&["10.1.0.0/24", "fd00:1::/64"]);
    configured(&node, &nic).await;
    let peer: Vec<IpNet> = ["10.1.7.0/24", "fd00:7::/64"]
        .map(|text| text.parse().expect("a CIDR"))
        .to_vec();
    let (with, cidrs) = (nic.clone(), peer.clone());
    node.run(move || async move { add_cidrs(&with, &cidrs).await })
        .await
        .expect("routes added");
    assert!(node.ip("route show").contains("10.1.7.0/24"));
    assert!(node.ip("-6 route show").contains("fd00:7::/64"));
    for _ in 0..2 {
        let (with, cidrs) = (nic.clone(), peer.clone());
        node.run(move || async move { remove_cidrs(&with, &cidrs).await })
            .await
            .expect("routes removed");
    }
    assert!(!node.ip("route show").contains("10.1.7.0/24"));

    // What an agent that died left behind, beside what is not ours.
    node.ip("route add 10.1.9.0/24 via 169.254.1.1 dev slgw onlink proto 83");
    node.ip("route add 10.200.0.0/16 dev slgw");
    let changes = configured(&node, &nic).await;
    assert_eq!((changes.routes_removed, changes.routes_set), (1, 0));
    assert!(node.ip("route show").contains("10.200.0.0/16"));
}

#[tokio::test]
async fn a_new_address_replaces_the_old_one_and_the_routes_follow() {
    let node = node();
    configured(&node, &gateway(&["10.1.0.0/24", "10.1.1.0/24"])).await;
    let moved = GatewayNic {
        addrs: vec!["10.2.0.1".parse().expect("an address")],
        ..gateway(&["10.2.0.0/24", "10.1.1.0/24"])
    };
    configured(&node, &moved).await;
    assert!(configured(&node, &moved).await.is_empty());
    let device = node.ip("address show dev slgw");
    assert!(
        device.contains("10.2.0.1/32")
            && !device.contains("10.1.0.1")
            && !device.contains("fd00:1::1"),
        "{device}"
    );
    let routes = node.ip("route show");
    assert!(
        routes.contains("10.1.1.0/24 via 169.254.1.1 dev slgw proto 83 src 10.2.0.1"),
        "{routes}"
    );
    assert!(!routes.contains("10.1.0.0/24"), "{routes}");
}

#[tokio::test]
async fn cleanup_takes_what_is_ours_and_nothing_else() {
    let node = node();
    configured(&node, &gateway(&["10.1.0.0/24", "fd00:1::/64"])).await;
    node.ip("route add 10.200.0.0/16 dev slgw");
    node.sh("nft add table ip other");
    let cleaned = node
        .run(|| async { host::cleanup().await })
        .await
        .expect("cleaned");
    assert_eq!((cleaned.routes, cleaned.table), (4, false));
    let again = node
        .run(|| async { host::cleanup().await })
        .await
        .expect("cleaned");
    assert_eq!((again.routes, again.table), (0, false));
    assert!(node.ip("route show").contains("10.200.0.0/16"));
    assert!(node.sh("nft list tables").contains("other"));
}

#[tokio::test]
async fn a_gateway_that_never_comes_is_named() {
    let node = Space::new("node");
    let nic = gateway(&["10.1.0.0/24"]);
    let error =
        node.run(move || async move {
            configure(&nic, &BTreeSet::new(), Duration::from_millis(50)).await
        })
        .await;
    assert!(
        matches!(&error, Err(HostError::NoDevice { name, .. }) if name == "slgw"),
        "{error:?}"
    );
}
