//! Masquerading, with real packets: a pod behind the gateway device, the node, and a host outside.

use std::net::IpAddr;

use sluice_agent::host::{
    self,
    nft::{self, Ruleset},
};

use crate::harness::{Space, transfer};

fn masquerade(cidrs: &[&str]) -> Ruleset {
    Ruleset {
        gateway: "slgw".into(),
        masquerade: cidrs
            .iter()
            .map(|text| text.parse().expect("a CIDR"))
            .collect(),
        ..Ruleset::default()
    }
}

async fn ensured(node: &Space, wanted: &Ruleset) -> bool {
    let wanted = wanted.clone();
    let changes = node.run(move || async move { nft::ensure(&wanted).await });
    !changes.await.expect("a table").is_empty()
}

/// A pod at .2 behind `slgw`, an outside host at 192.0.2.2 and 2001:db8::2 that knows no way back to pods.
fn network() -> (Space, Space, Space) {
    let (node, pod, outside) = (Space::new("node"), Space::new("pod"), Space::new("out"));
    node.ip(&format!(
        "link add slgw type veth peer name eth0 netns {}",
        pod.name
    ));
    node.ip(&format!(
        "link add uplink type veth peer name eth0 netns {}",
        outside.name
    ));
    for (space, device, addresses) in [
        (&node, "slgw", ["10.1.0.1/24", "fd00:1::1/64"]),
        (&pod, "eth0", ["10.1.0.2/24", "fd00:1::2/64"]),
        (&node, "uplink", ["192.0.2.1/24", "2001:db8::1/64"]),
        (&outside, "eth0", ["192.0.2.2/24", "2001:db8::2/64"]),
    ] {
        space.ip(&format!("link set {device} up"));
        for address in addresses {
            let nodad = if address.contains(':') { "nodad" } else { "" };
            space.ip(&format!("address add {address} dev {device} {nodad}"));
        }
    }
    pod.ip("route add default via 10.1.0.1");
    pod.ip("-6 route add default via fd00:1::1");
    node.sh(
        "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding",
    );
    (node, pod, outside)
}

#[tokio::test]
async fn pods_reach_the_outside_under_the_nodes_address() {
    let (node, pod, outside) = network();
    assert!(ensured(&node, &masquerade(&["10.1.0.0/24", "fd00:1::/64"])).await);
    for address in ["192.0.2.2", "2001:db8::2"] {
        let address: IpAddr = address.parse().expect("an address");
        transfer(&pod, &outside, address).await;
    }
    // The node's own packets keep the address they were given.
    outside.ip("route add 10.1.0.0/24 via 192.0.2.1");
    node.ip("address add 10.1.0.99/32 dev lo");
    assert!(
        node.sh("ping -c 1 -W 2 -I 10.1.0.99 192.0.2.2")
            .contains("1 received")
    );
}

#[tokio::test]
async fn the_table_says_what_is_wanted_and_changes_only_when_that_does() {
    let node = Space::new("node");
    node.sh("nft add table inet other");
    assert!(ensured(&node, &masquerade(&["10.1.0.0/24", "fd00:1::/64"])).await);
    assert!(!ensured(&node, &masquerade(&["10.1.0.0/24", "fd00:1::/64"])).await);
    let table = node.sh("nft list table inet sluice");
    for part in [
        "type nat hook postrouting priority srcnat; policy accept;",
        "iifname \"slgw\" oifname != \"slgw\" ip saddr 10.1.0.0/24 masquerade",
        "iifname \"slgw\" oifname != \"slgw\" ip6 saddr fd00:1::/64 masquerade",
    ] {
        assert!(table.contains(part), "{part} is missing in {table}");
    }
    assert!(ensured(&node, &masquerade(&["10.2.0.0/16"])).await);
    let table = node.sh("nft list table inet sluice");
    assert!(
        table.contains("10.2.0.0/16") && !table.contains("10.1.0.0/24"),
        "{table}"
    );
    node.sh("nft flush chain inet sluice postrouting");
    assert!(
        ensured(&node, &masquerade(&["10.2.0.0/16"])).await,
        "what somebody removed is put back"
    );

    let cleaned = node
        .run(|| async { host::cleanup().await })
        .await
        .expect("cleaned");
    assert!(cleaned.table);
    assert!(
        !node
            .run(|| async { nft::remove().await })
            .await
            .expect("nothing left")
    );
    assert_eq!(node.sh("nft list tables").trim(), "table inet other");
}
