//! Pods on internal ports: on the userspace datapath with a real switch, on the kernel datapath's plan with a
//! device that stands in for the port (the kernel datapath itself is exercised in the guest).

use std::time::Duration;

use sluice_agent::host::{
    HostError,
    pod::{Attachment, Datapath, Problem, Replumbed, plumb, replumb, unplumb},
};

use crate::harness::{SOON, Space, Switch, add_port, nic, plumbed, problems, remnant, transfer};

#[tokio::test]
async fn pods_on_taps_talk_and_survive_a_restart_of_the_switch() {
    let (node, a, b) = (Space::new("node"), Space::new("a"), Space::new("b"));
    let mut switch = Switch::start(&node, Datapath::Userspace);
    let (first, second) = (
        nic(&a, "sltapa", 2, Attachment::Internal, Datapath::Userspace),
        nic(&b, "sltapb", 3, Attachment::Internal, Datapath::Userspace),
    );
    for pod in [&first, &second] {
        add_port(&switch, pod);
        plumbed(&node, pod).await;
    }
    switch.connect(&[&first, &second]);
    for address in &second.addrs {
        transfer(&a, &b, *address).await;
    }

    switch.restart_vswitchd();
    for (space, pod) in [(&a, &first), (&b, &second)] {
        let orphan = space.ip("-o link show eth0");
        assert!(orphan.contains("NO-CARRIER"), "{orphan}");
        let wanted = pod.clone();
        let outcome = node
            .run(move || async move { replumb(&wanted, SOON).await })
            .await
            .expect("replumbed");
        assert_eq!(outcome, Replumbed::Replaced);
        assert_eq!(problems(&node, pod).await, []);
        assert!(!node.ip("link show").contains(&pod.host_ifname));
    }
    switch.connect(&[&first, &second]);
    for address in &first.addrs {
        transfer(&b, &a, *address).await;
    }

    for pod in [&first, &second] {
        switch.vsctl(&format!("del-port {}", pod.host_ifname));
        let gone = remnant(pod);
        node.run(move || async move { unplumb(&gone).await })
            .await
            .expect("nothing left");
    }
    for space in [&a, &b] {
        assert!(!space.ip("link show").contains("eth0"));
    }
}

#[tokio::test]
async fn a_port_that_never_comes_is_named() {
    let (node, pod) = (Space::new("node"), Space::new("pod"));
    let wanted = nic(
        &pod,
        "slnever",
        2,
        Attachment::Internal,
        Datapath::Userspace,
    );
    let error = node
        .run(move || async move { plumb(&wanted, Duration::from_millis(50)).await })
        .await;
    assert!(
        matches!(&error, Err(HostError::NoDevice { name, .. }) if name == "slnever"),
        "{error:?}"
    );
}

#[tokio::test]
async fn on_the_kernel_datapath_the_port_keeps_its_name_below_a_macvlan() {
    let (node, pod) = (Space::new("node"), Space::new("pod"));
    node.ip("link add slport type veth peer name slswitch");
    node.ip("link set slswitch up");
    let wanted = nic(&pod, "slport", 2, Attachment::Internal, Datapath::Kernel);
    plumbed(&node, &wanted).await;
    assert!(!node.ip("link show").contains("slport:"));
    let links = pod.ip("-d link show");
    assert!(
        links.contains("eth0@slport") && links.contains("macvlan mode passthru"),
        "{links}"
    );
    let lower = pod.ip("-d address show dev slport");
    assert!(
        lower.contains("0a:58:0a:01:00:02") && lower.contains("mtu 1400"),
        "{lower}"
    );
    assert!(
        !lower.contains("inet"),
        "the port itself has no address: {lower}"
    );

    pod.ip("link del eth0");
    assert_eq!(
        problems(&node, &wanted).await,
        [Problem::NoDevice("eth0".into(), "in the pod")]
    );

    let gone = remnant(&wanted);
    for _ in 0..2 {
        let gone = gone.clone();
        node.run(move || async move { unplumb(&gone).await })
            .await
            .expect("nothing left");
    }
    assert!(!pod.ip("link show").contains("slport"));
}
