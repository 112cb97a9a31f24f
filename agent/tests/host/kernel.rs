//! Pods on the kernel datapath, with the real thing: what a stand-in for an internal port cannot show.

use sluice_agent::host::pod::{Attachment, Datapath, Replumbed, plumb, replumb, unplumb};

use crate::harness::{SOON, Space, Switch, add_port, nic, plumbed, problems, remnant, transfer};

#[tokio::test]
#[ignore = "needs the openvswitch kernel module: run it in the guest"]
async fn pods_on_internal_ports_talk_and_survive_restarts_and_neighbours() {
    let (node, a, b) = (Space::new("node"), Space::new("a"), Space::new("b"));
    let mut switch = Switch::start(&node, Datapath::Kernel);
    let (first, second) = (
        nic(&a, "slporta", 2, Attachment::Internal, Datapath::Kernel),
        nic(&b, "slportb", 3, Attachment::Internal, Datapath::Kernel),
    );
    for pod in [&first, &second] {
        add_port(&switch, pod);
        plumbed(&node, pod).await;
    }
    let lower = a.ip("-d link show slporta");
    assert!(
        lower.contains("openvswitch") && lower.contains("0a:58:0a:01:00:02"),
        "{lower}"
    );
    switch.connect(&[&first, &second]);
    for address in &second.addrs {
        transfer(&a, &b, *address).await;
    }

    // A port that was renamed is destroyed and made anew on the node by the next change of the database (which is
    // why `plumb` renames none); the pod gets it back.
    a.ip("link del eth0");
    a.ip("link set slporta down");
    a.ip("link set slporta name renamed");
    switch.vsctl("set interface slporta external_ids:any=change");
    let wanted = first.clone();
    let outcome = node
        .run(move || async move { replumb(&wanted, SOON).await })
        .await
        .expect("replumbed");
    assert_eq!(outcome, Replumbed::Replaced);
    assert_eq!(problems(&node, &first).await, []);
    switch.connect(&[&first, &second]);
    for address in &first.addrs {
        transfer(&b, &a, *address).await;
    }

    // An unrelated internal port must not disturb those that live elsewhere (ovs-issues 68).
    switch.vsctl(&format!(
        "add-port {} unrelated -- set interface unrelated type=internal",
        Switch::BRIDGE
    ));
    switch.restart_vswitchd();
    switch.vsctl(&format!(
        "add-port {} another -- set interface another type=internal",
        Switch::BRIDGE
    ));
    for pod in [&first, &second] {
        let wanted = pod.clone();
        let outcome = node
            .run(move || async move { replumb(&wanted, SOON).await })
            .await
            .expect("an answer");
        assert_eq!(outcome, Replumbed::Well);
        assert!(!node.ip("link show").contains(&pod.host_ifname));
    }
    switch.connect(&[&first, &second]);
    for address in &first.addrs {
        transfer(&b, &a, *address).await;
    }

    for (space, pod) in [(&a, &first), (&b, &second)] {
        // In either order, and again.
        for _ in 0..2 {
            let gone = remnant(pod);
            node.run(move || async move { unplumb(&gone).await })
                .await
                .expect("nothing left");
            switch.vsctl(&format!("--if-exists del-port {}", pod.host_ifname));
        }
        let links = space.ip("link show");
        assert!(
            !links.contains("eth0") && !links.contains(&pod.host_ifname),
            "{links}"
        );
    }
}

#[tokio::test]
#[ignore = "needs the openvswitch kernel module: run it in the guest"]
async fn pods_on_veth_pairs_talk() {
    let (node, a, b) = (Space::new("node"), Space::new("a"), Space::new("b"));
    let switch = Switch::start(&node, Datapath::Kernel);
    let (first, second) = (
        nic(&a, "slvetha", 2, Attachment::Veth, Datapath::Kernel),
        nic(&b, "slvethb", 3, Attachment::Veth, Datapath::Kernel),
    );
    for pod in [&first, &second] {
        let wanted = pod.clone();
        node.run(move || async move { plumb(&wanted, SOON).await })
            .await
            .expect("a plumbed pod");
        switch.vsctl(&format!("add-port {} {}", Switch::BRIDGE, pod.host_ifname));
    }
    switch.connect(&[&first, &second]);
    for address in &second.addrs {
        transfer(&a, &b, *address).await;
    }
}
