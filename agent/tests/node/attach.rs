//! CNI requests for single pods, on real namespaces.

use std::time::Duration;

use sluice_rpc::method::CniAdd;
use sluice_rpc::{Client, ClientError, CniCode, Deadline};

use crate::harness::{Node, Pod, address, run, wait};

#[test]
fn a_pod_is_attached_checked_and_detached() {
    let node = Node::ready(&[]);
    node.cni_status().expect("ready");
    let conflist = std::fs::read_to_string(node.file("net.d/10-sluice.conflist"));
    assert!(conflist.expect("the conflist").contains("sluice-cni"));
    let flows = node.flows();
    let (one, two) = (Pod::new(), Pod::new());
    let (a, b) = (
        node.add(&one).expect("attached"),
        node.add(&two).expect("attached"),
    );
    assert_eq!(a.ips.len(), 2);
    assert_eq!(one.devices(), ["eth0"]);
    for v4 in [true, false] {
        one.netns.reaches(&address(&b, v4));
        two.netns.reaches(&address(&a, v4));
    }
    one.netns.reaches("10.7.0.1");
    assert!(
        node.netns
            .exec(&["ping", "-c", "1", "-W", "2", &address(&a, true)])
            .status
            .success()
    );
    assert_eq!(node.check(&one).expect("known").problems, [""; 0]);
    assert_eq!(node.check(&one).expect("known").attachment, a);

    let again = node.add(&one).expect_err("attached already");
    assert_eq!(again.code, CniCode::ALREADY_ATTACHED);
    assert!(node.del(&one).expect("detached").removed);
    assert!(!node.del(&one).expect("nothing to do").removed);
    assert_eq!(
        node.check(&one).expect_err("unknown").code,
        CniCode::UNKNOWN_CONTAINER
    );
    assert_eq!(one.devices(), [""; 0]);
    node.del(&two).expect("detached");
    assert_eq!(node.flows(), flows, "as before");
    assert_eq!(node.pod_ports(), 0);
}

#[test]
fn check_notices_what_is_missing() {
    let node = Node::ready(&["--audit-interval", "1h"]);
    let pod = Pod::new();
    let result = node.add(&pod).expect("attached");
    let has = |what: &str| {
        let problems = node.check(&pod).expect("known").problems;
        assert!(
            problems.iter().any(|problem| problem.contains(what)),
            "{what} in {problems:?}"
        );
    };
    let ip = address(&result, true);
    run(
        "ip",
        &[
            "-n",
            &pod.netns.name,
            "addr",
            "del",
            &format!("{ip}/32"),
            "dev",
            "eth0",
        ],
    );
    has("address");
    run("ip", &["-n", &pod.netns.name, "route", "flush", "default"]);
    has("route");
    node.ofctl("del-flows", &[&format!("table=36,ip,nw_dst={ip}")]);
    has("flow missing or changed");
    node.vsctl(&["del-port", &result.host_ifname]);
    has("missing in the switch");
    let verify = node.verify();
    assert!(
        verify
            .differences
            .iter()
            .any(|d| d.what == "port" && d.kind == "missing"),
        "{verify:?}"
    );
    assert!(node.del(&pod).expect("detached").removed);
}

#[test]
fn a_failed_add_leaves_nothing() {
    let node = Node::ready(&[]);
    let flows = node.flows();
    let pod = Pod::new();
    let nothing = |what: &str| {
        wait(&format!("nothing to be left of {what}"), || {
            let clean =
                node.pod_ports() == 0 && node.flows() == flows && node.pods().pods.is_empty();
            clean.then_some(())
        });
        assert_eq!(pod.devices(), [""; 0]);
        assert!(node.status().ranges.iter().all(|range| range.used == 0));
    };
    let mut request = pod.add_request();
    request.netns = "/run/netns/there-is-none".to_owned();
    let error = crate::harness::cni(node.call::<CniAdd>(&request)).expect_err("no namespace");
    assert_eq!(error.code, CniCode::INVALID_NETNS);
    nothing("a missing namespace");

    request.netns = node.netns.path();
    let error = crate::harness::cni(node.call::<CniAdd>(&request)).expect_err("the host's");
    assert_eq!(error.code, CniCode::INVALID_NETNS);

    // Another device has the name already.
    run(
        "ip",
        &[
            "-n",
            &pod.netns.name,
            "tuntap",
            "add",
            "eth0",
            "mode",
            "tap",
        ],
    );
    node.add(&pod).expect_err("the name is taken");
    assert_eq!(pod.devices(), ["eth0"], "the other device stays");
    run("ip", &["-n", &pod.netns.name, "link", "del", "eth0"]);
    nothing("a taken name");

    let mut request = pod.add_request();
    request.deadline_ms = 1;
    crate::harness::cni(node.call::<CniAdd>(&request)).expect_err("too late");
    nothing("a late answer");

    // The caller hangs up in the middle.
    let mut client = Client::connect(&node.socket()).expect("connected");
    let soon = Deadline::after(Duration::from_millis(4));
    let lost = client.call::<CniAdd>(&pod.add_request(), soon);
    drop(client);
    if matches!(lost, Err(ClientError::Timeout)) {
        nothing("a caller that hung up");
    } else {
        node.del(&pod).expect("it was quicker than the caller");
    }
    node.add(&pod).expect("attached after all");
}

#[test]
fn addresses_run_out_and_status_says_so() {
    let node = Node::ready(&["--pod-cidrs", "10.7.0.0/29"]);
    let pods: Vec<_> = (0..5).map(|_| Pod::new()).collect();
    for pod in &pods {
        node.cni_status().expect("addresses are left");
        node.add(pod).expect("attached");
    }
    let status = node.cni_status().expect_err("none is left");
    assert_eq!(status.code, CniCode::NOT_AVAILABLE);
    let one_more = Pod::new();
    assert_eq!(
        node.add(&one_more).expect_err("none is left").code,
        CniCode::NO_ADDRESSES
    );
    node.del(&pods[2]).expect("detached");
    node.cni_status().expect("one is left");
    node.add(&one_more).expect("attached");
}

#[test]
fn garbage_is_collected_and_the_rest_stays() {
    let node = Node::ready(&[]);
    let (keep, drop_, gone) = (Pod::new(), Pod::new(), Pod::new());
    for pod in [&keep, &drop_, &gone] {
        node.add(pod).expect("attached");
    }
    run("ip", &["netns", "del", &gone.netns.name]);
    let reported = node.pods();
    let broken: Vec<_> = reported
        .pods
        .iter()
        .filter(|pod| pod.problem.is_some())
        .collect();
    assert_eq!(broken.len(), 1, "{reported:?}");
    let collected = node.gc(&[&keep]);
    assert_eq!(collected.failed, []);
    assert_eq!(collected.removed.len(), 2);
    assert_eq!(node.pods().pods.len(), 1);
    assert_eq!(node.check(&keep).expect("known").problems, [""; 0]);
    assert_eq!(drop_.devices(), [""; 0]);
    assert_eq!(node.gc(&[&keep]).removed, []);
}

#[test]
fn pods_by_veth() {
    let mut node = Node::ready(&["--attach", "veth"]);
    let (one, two) = (Pod::new(), Pod::new());
    let (_, b) = (
        node.add(&one).expect("attached"),
        node.add(&two).expect("attached"),
    );
    one.netns.reaches(&address(&b, true));
    one.netns.reaches(&address(&b, false));
    assert_eq!(node.check(&one).expect("known").problems, [""; 0]);
    node.stop_agent();
    node.start_agent();
    node.wait_ready();
    assert_eq!(node.flow_mods(), 0);
    node.del(&one).expect("detached");
    assert_eq!(one.devices(), [""; 0]);
    let links =
        String::from_utf8_lossy(&node.netns.exec(&["ip", "-br", "link"]).stdout).into_owned();
    assert_eq!(
        links.lines().filter(|line| line.contains("@")).count(),
        1,
        "{links}"
    );
}
