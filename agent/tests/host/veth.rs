//! Pods on veth pairs, and everything about a pod's interface that does not depend on what carries it.

use std::time::Instant;

use sluice_agent::host::{
    HostError,
    pod::{Attachment, Datapath, PodNic, Problem, Remnant, Replumbed, plumb, replumb, unplumb},
};

use crate::harness::{SOON, Space, Switch, nic, plumbed, problems, remnant, transfer};

#[tokio::test]
async fn a_pod_gets_its_interface_and_loses_it_again() {
    let (node, pod) = (Space::new("node"), Space::new("pod"));
    let wanted = nic(&pod, "slveth0", 2, Attachment::Veth, Datapath::Userspace);
    plumbed(&node, &wanted).await;

    let addresses = pod.ip("address show dev eth0");
    for part in [
        "10.1.0.2/32",
        "fd00:1::2/128",
        "mtu 1400",
        "0a:58:0a:01:00:02",
    ] {
        assert!(addresses.contains(part), "{part} is missing in {addresses}");
    }
    // (The kernel's own link-local address is, for a moment.)
    let given = pod.ip("address show dev eth0 scope global");
    assert!(!given.contains("tentative"), "{given}");
    assert!(
        pod.ip("route show")
            .contains("default via 169.254.1.1 dev eth0 proto static onlink")
    );
    assert!(
        pod.ip("-6 route show default")
            .contains("default via fe80::1 dev eth0 proto static")
    );
    let neighbours = pod.ip("neighbour show");
    assert!(
        neighbours.contains("169.254.1.1 dev eth0 lladdr aa:aa:aa:00:00:01 PERMANENT"),
        "{neighbours}"
    );
    assert!(
        neighbours.contains("fe80::1 dev eth0 lladdr aa:aa:aa:00:00:01 PERMANENT"),
        "{neighbours}"
    );
    assert!(pod.sh("ethtool -k eth0").contains("tx-checksumming: off"));
    assert_eq!(
        pod.sh("cat /proc/sys/net/ipv6/conf/eth0/accept_ra").trim(),
        "0"
    );

    let gone = remnant(&wanted);
    for _ in 0..3 {
        let gone = gone.clone();
        node.run(move || async move { unplumb(&gone).await })
            .await
            .expect("nothing left");
    }
    assert!(!node.ip("link show").contains("slveth0"));
    assert!(!pod.ip("link show").contains("eth0"));
}

#[tokio::test]
async fn removal_succeeds_without_a_namespace_and_spares_what_is_not_ours() {
    let (node, pod) = (Space::new("node"), Space::new("pod"));
    let wanted = nic(&pod, "slveth0", 2, Attachment::Veth, Datapath::Kernel);
    pod.ip("link add eth0 type veth peer name other");
    let gone = remnant(&wanted);
    for netns in [
        None,
        Some("/run/netns/never-was".into()),
        gone.netns.clone(),
    ] {
        let gone = Remnant {
            netns,
            ..gone.clone()
        };
        node.run(move || async move { unplumb(&gone).await })
            .await
            .expect("nothing to remove");
    }
    assert!(
        pod.ip("link show").contains("eth0"),
        "an interface of another address is somebody else's"
    );
}

#[tokio::test]
async fn everything_that_is_wrong_is_found_and_put_right() {
    let (node, pod) = (Space::new("node"), Space::new("pod"));
    let wanted = nic(&pod, "slveth0", 2, Attachment::Veth, Datapath::Userspace);
    plumbed(&node, &wanted).await;

    pod.ip("address del 10.1.0.2/32 dev eth0");
    pod.ip("-6 route del default");
    pod.ip("neighbour del fe80::1 dev eth0");
    pod.ip("link set eth0 mtu 1300");
    pod.ip("link set eth0 address 02:00:00:00:00:01");
    pod.sh("ethtool -K eth0 tx on");
    node.ip("link set slveth0 down");
    let found = problems(&node, &wanted).await;
    for problem in [
        Problem::NoAddress("10.1.0.2/32".parse().expect("an address")),
        Problem::NoRoute(
            "::/0".parse().expect("a prefix"),
            "fe80::1".parse().expect("an address"),
        ),
        Problem::NoNeighbour("fe80::1".parse().expect("an address")),
        // They go with the last address of the family.
        Problem::NoNeighbour("169.254.1.1".parse().expect("an address")),
        Problem::NoRoute(
            "0.0.0.0/0".parse().expect("a prefix"),
            "169.254.1.1".parse().expect("an address"),
        ),
        Problem::Mtu {
            wanted: 1400,
            found: 1300,
        },
        Problem::Mac {
            wanted: wanted.mac,
            found: [2, 0, 0, 0, 0, 1],
        },
        Problem::TxChecksumOffload,
        Problem::Down("slveth0".into()),
        Problem::NoCarrier("eth0".into()),
    ] {
        assert!(
            found.contains(&problem),
            "{problem} is missing in {found:?}"
        );
    }
    node.ip("link set slveth0 up");
    let again = wanted.clone();
    let outcome = node
        .run(move || async move { replumb(&again, SOON).await })
        .await
        .expect("a repair");
    assert_eq!(outcome, Replumbed::Repaired);
    assert_eq!(problems(&node, &wanted).await, []);
    let again = wanted.clone();
    let outcome = node
        .run(move || async move { replumb(&again, SOON).await })
        .await
        .expect("nothing to do");
    assert_eq!(outcome, Replumbed::Well);

    pod.ip("link del eth0");
    let found = problems(&node, &wanted).await;
    assert_eq!(
        found.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "device slveth0 is missing on the node",
            "device eth0 is missing in the pod",
        ]
    );
    let again = wanted.clone();
    let outcome = node
        .run(move || async move { replumb(&again, SOON).await })
        .await
        .expect("a new pair");
    assert_eq!(outcome, Replumbed::Replaced);
    assert_eq!(problems(&node, &wanted).await, []);

    let stranger = PodNic {
        netns: "/run/netns/never-was".into(),
        ..wanted
    };
    assert_eq!(problems(&node, &stranger).await, [Problem::NoNamespace]);
}

#[tokio::test]
async fn pods_talk_over_the_switch() {
    let (node, a, b) = (Space::new("node"), Space::new("a"), Space::new("b"));
    let switch = Switch::start(&node, Datapath::Userspace);
    let (first, second) = (
        nic(&a, "slvetha", 2, Attachment::Veth, Datapath::Userspace),
        nic(&b, "slvethb", 3, Attachment::Veth, Datapath::Userspace),
    );
    for pod in [&first, &second] {
        plumbed(&node, pod).await;
        switch.vsctl(&format!("add-port {} {}", Switch::BRIDGE, pod.host_ifname));
    }
    switch.connect(&[&first, &second]);
    for address in &second.addrs {
        transfer(&a, &b, *address).await;
    }
}

#[tokio::test]
async fn an_interface_that_exists_is_refused() {
    let (node, pod) = (Space::new("node"), Space::new("pod"));
    let wanted = nic(&pod, "slveth0", 2, Attachment::Veth, Datapath::Kernel);
    plumbed(&node, &wanted).await;
    let other = PodNic {
        host_ifname: "slveth1".into(),
        ..wanted
    };
    let error = node
        .run(move || async move { plumb(&other, SOON).await })
        .await
        .expect_err("eth0 exists");
    assert_eq!(error.errno(), Some(nix::libc::EEXIST), "{error}");
    assert!(!node.ip("link show").contains("slveth1"));
}

#[tokio::test]
async fn a_hundred_pods_at_once() {
    let node = Space::new("node");
    let pods: Vec<Space> = (0..100).map(|_| Space::new("pod")).collect();
    let begin = Instant::now();
    let nics: Vec<PodNic> = (2u8..)
        .zip(&pods)
        .map(|(number, pod)| {
            nic(
                pod,
                &format!("slveth{number}"),
                number,
                Attachment::Veth,
                Datapath::Userspace,
            )
        })
        .collect();
    let wanted = nics.clone();
    let all = node.run(move || async move {
        let jobs = wanted.iter().map(|pod| plumb(pod, SOON));
        futures::future::join_all(jobs)
            .await
            .into_iter()
            .collect::<Result<Vec<()>, HostError>>()
    });
    all.await.expect("every pod plumbed");
    println!("100 pods plumbed at once in {:?}", begin.elapsed());
    for pod in &nics {
        assert_eq!(problems(&node, pod).await, []);
    }
}
