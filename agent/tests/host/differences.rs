//! What the host holds for Services, without packets: it changes by what differs, and what others did is undone.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use sluice_agent::{
    host::{
        self, Family,
        nft::Ruleset,
        services::{HostServices, OwnPort},
    },
    node::{NodeNet, keep},
    readiness::{Condition, Readiness},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{SOON, Space},
    services::{TCP, UDP, ensured, ip, nic, port, routed, ruleset},
};

fn numbered(count: u32, from: u32) -> BTreeSet<IpAddr> {
    (from..from + count)
        .flat_map(|number| {
            let v4 = Ipv4Addr::from_bits(0x0a60_0000 + number);
            let v6 = Ipv6Addr::from_bits((0xfd00_0096_u128 << 96) + u128::from(number));
            [IpAddr::V4(v4), IpAddr::V6(v6)]
        })
        .collect()
}

#[tokio::test]
async fn ten_thousand_addresses_come_change_and_go_by_what_differs() {
    let node = Space::new("node");
    node.ip("link add slgw type veth peer name slswitch");
    node.ip("link set slswitch up");
    routed(&node, &BTreeSet::new()).await;
    let timed = async |what: &str, addresses: &BTreeSet<IpAddr>, expected: (usize, usize)| {
        let begin = Instant::now();
        let changes = routed(&node, addresses).await;
        println!("{what}: {:?}", begin.elapsed());
        assert_eq!(
            (changes.routes_set, changes.routes_removed),
            expected,
            "{what}"
        );
    };
    timed("10,000 added", &numbered(5_000, 1), (10_000, 0)).await;
    timed("nothing to do among 10,000", &numbered(5_000, 1), (0, 0)).await;
    timed("200 of 10,000 replaced", &numbered(5_000, 101), (200, 200)).await;
    let route = "10.96.3.232 via 169.254.1.1 dev slgw proto 83 src 10.1.0.1 onlink";
    assert!(node.ip("route show").contains(route));
    let route = "fd00:96::3e8 via fe80::1 dev slgw proto 83 src fd00:1::1 metric 1024 onlink";
    assert!(
        node.ip("-6 route show").contains(route),
        "{}",
        node.ip("-6 route show fd00:96::3e8")
    );
    node.ip("route del 10.96.3.232");
    timed("one put back", &numbered(5_000, 101), (1, 0)).await;
    timed("10,000 more", &numbered(10_000, 101), (10_000, 0)).await;
    timed("10,000 removed", &numbered(5_000, 101), (0, 10_000)).await;

    // One that the kernel cannot have does not stop the others, and neither does one that means nothing.
    let odd = [
        ip("127.0.0.1"),
        ip("224.0.0.1"),
        ip("fe80::5"),
        ip("10.96.255.1"),
    ];
    timed("all but one removed", &odd.into(), (1, 10_000)).await;
    let cleaned = node
        .run(|| async { host::cleanup().await })
        .await
        .expect("cleaned");
    assert_eq!((cleaned.routes, cleaned.table), (5, false));
    assert_eq!(
        node.ip("route show proto 83") + &node.ip("-6 route show proto 83"),
        ""
    );
}

#[tokio::test]
async fn node_ports_change_by_what_differs_and_what_is_gone_comes_back() {
    let node = Space::new("node");
    let ports = |from: u16, count: u16| -> BTreeSet<OwnPort> {
        (from..from + count)
            .flat_map(|number| {
                Family::BOTH
                    .map(|family| port(family, if number % 2 == 0 { TCP } else { UDP }, number))
            })
            .collect()
    };
    let mut wanted = Ruleset {
        own_ports: ports(20_000, 20_000),
        ..ruleset()
    };
    let timed = async |what: &str, wanted: &Ruleset| {
        let begin = Instant::now();
        let changes = ensured(&node, wanted).await;
        println!("{what}: {:?}", begin.elapsed());
        (changes.replaced, changes.added, changes.removed)
    };
    assert_eq!(timed("40,000 ports", &wanted).await, (true, 40_000, 0));
    assert_eq!(timed("nothing to do", &wanted).await, (false, 0, 0));
    wanted.own_ports = ports(20_010, 20_000);
    wanted.own_ports.insert(OwnPort {
        address: ip("192.0.2.9"),
        protocol: TCP,
        port: 80,
        switch: ip("169.254.83.2"),
        process: None,
    });
    assert_eq!(timed("a few differ", &wanted).await, (false, 21, 20));
    let listed = node.sh("nft list map inet sluice own_ports_v4");
    assert!(
        listed.contains("type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service"),
        "{listed}"
    );
    assert!(
        listed.contains("192.0.2.1 . tcp . 40008") && listed.contains("192.0.2.1 . udp . 40009"),
        "{listed}"
    );
    assert!(!listed.contains(" 20009"), "{listed}");

    wanted.own_ports = ports(20_010, 10);
    assert_eq!(timed("most removed", &wanted).await, (false, 0, 39_981));
    node.sh("nft delete element inet sluice own_ports_v4 \"{ 192.0.2.1 . tcp . 20010 }\"");
    node.sh("nft add element inet sluice own_ports_v4 \"{ 192.0.2.77 . tcp . 20010 : 169.254.83.2 . 20010 }\"");
    assert_eq!(timed("elements repaired", &wanted).await, (false, 1, 1));
    for harm in [
        "nft flush chain inet sluice prerouting",
        "nft add rule inet sluice forward counter",
        "nft add chain inet sluice strange; nft add rule inet sluice strange counter",
        "nft flush chain inet sluice output; nft delete chain inet sluice output",
        "nft add table inet sluice \"{ flags dormant; }\"",
        "nft delete table inet sluice",
    ] {
        node.sh(harm);
        assert!(ensured(&node, &wanted).await.replaced, "{harm}");
        assert!(ensured(&node, &wanted).await.is_empty(), "{harm}");
    }
    let table = node.sh("nft list table inet sluice");
    for part in [
        "type nat hook prerouting priority dstnat; policy accept;",
        "type nat hook output priority -100; policy accept;",
        "type filter hook prerouting priority mangle; policy accept;",
        "iifname != \"slgw\" dnat ip to ip daddr . meta l4proto . th dport map @own_ports_v4",
        "dnat ip6 to ip6 daddr . meta l4proto . th dport map @own_ports_v6",
        "iifname \"slgw\" oifname \"slgw\" goto refuse",
        "limit rate over 1000/second burst 1000 packets drop",
        "meta l4proto tcp reject with tcp reset",
        "iifname \"slgw\" oifname != \"slgw\" ip saddr 169.254.83.0/24 masquerade",
        "iifname != \"slgw\" ip6 daddr fd53:4c55:4943::/64 drop",
    ] {
        assert!(table.contains(part), "{part} is missing in {table}");
    }
    let cleaned = node
        .run(|| async { host::cleanup().await })
        .await
        .expect("cleaned");
    assert!(cleaned.table);
    assert_eq!(node.sh("nft list ruleset").trim(), "");
}

/// As the daemon does it: one state after the other, and again when something may have happened.
#[tokio::test]
async fn the_host_follows_what_is_wanted_and_repairs_what_others_did() {
    let node = Space::new("node");
    node.ip("link add slgw type veth peer name slswitch");
    let net = |addresses: BTreeSet<IpAddr>, own_ports: BTreeSet<OwnPort>| NodeNet {
        nic: nic(),
        masquerade: None,
        services: HostServices {
            addresses,
            own_ports,
        },
    };
    let until = async |what: &str, holds: &dyn Fn() -> bool| {
        let deadline = Instant::now() + SOON;
        while !holds() {
            assert!(Instant::now() < deadline, "{what} does not come");
            tokio::task::yield_now().await;
        }
    };
    let route = |address: &str| node.ip("route show proto 83").contains(address);
    let table = |part: &str| node.sh("nft list ruleset").contains(part);

    let (nets, wanted) = watch::channel(None);
    let (again, device) = watch::channel(0);
    let stop = CancellationToken::new();
    let readiness = Readiness::default();
    let until_stopped = (readiness.clone(), stop.clone());
    let keeping = node.run(move || async move {
        keep(wanted, device, until_stopped.0, until_stopped.1).await;
        Ok(())
    });
    let driving = async {
        nets.send_replace(Some(net([ip("10.96.0.1")].into(), ruleset().own_ports)));
        until("the first state", &|| {
            route("10.96.0.1 ") && route("169.254.83.0/24 ") && table("tcp . 30080")
        })
        .await;
        nets.send_replace(Some(net([ip("10.96.0.2")].into(), BTreeSet::new())));
        until("the second state", &|| {
            route("10.96.0.2 ") && !route("10.96.0.1 ") && !table("tcp . 30080")
        })
        .await;
        node.sh("nft delete table inet sluice; ip route del 10.96.0.2");
        again.send_modify(|count| *count += 1);
        until("the repair", &|| {
            route("10.96.0.2 ") && table("goto refuse")
        })
        .await;
        let missing = readiness.missing();
        assert!(
            !missing
                .iter()
                .any(|(condition, _)| *condition == Condition::Host)
        );
        stop.cancel();
    };
    let (kept, ()) = tokio::join!(keeping, driving);
    kept.expect("a quiet end");
}
