//! Flows: drift is repaired, others' flows stay, a refused flow is named and does not stop the rest.

use crate::harness::{Node, Pod, wait};

const FOREIGN: &str = "table=0,cookie=0x1234,priority=7,ip,nw_src=192.0.2.1,actions=drop";

fn spoil(node: &Node) {
    // One of ours gone, one changed, one of ours that nobody wants.
    node.ofctl("del-flows", &["table=52,ip,reg0=0x1/0xf,nw_ttl=0"]);
    node.ofctl("mod-flows", &["table=9,actions=drop"]);
    node.ofctl(
        "add-flow",
        &["table=36,cookie=0x51ce050000000001,priority=3,tcp,actions=drop"],
    );
}

#[test]
fn drift_is_seen_by_verify_and_others_flows_are_none() {
    let node = Node::ready(&["--audit-interval", "1h"]);
    assert!(node.verify().in_sync);
    node.ofctl("add-flow", &[FOREIGN]);
    let verify = node.verify();
    assert!(verify.in_sync, "{verify:?}");
    assert_eq!(verify.foreign_flows, 1);
    spoil(&node);
    let verify = node.verify();
    assert!(!verify.in_sync);
    let mut kinds: Vec<_> = verify.differences.iter().map(|d| d.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["changed", "extra", "missing"], "{verify:?}");
    let ctl = std::process::Command::new(env!("CARGO_BIN_EXE_sluicectl"))
        .arg("--socket")
        .arg(node.socket())
        .args(["verify", "-o", "json"])
        .output()
        .expect("sluicectl runs");
    assert_eq!(ctl.status.code(), Some(1), "{ctl:?}");
    assert!(
        String::from_utf8_lossy(&ctl.stdout).contains("\"in_sync\": false"),
        "{ctl:?}"
    );
}

#[test]
fn drift_is_repaired_by_the_audit() {
    let node = Node::ready(&["--audit-interval", "300ms"]);
    let wanted = node.flows();
    node.ofctl("add-flow", &[FOREIGN]);
    spoil(&node);
    wait("the audit to repair", || {
        let flows: Vec<_> = node.flows();
        let ours: Vec<_> = flows
            .into_iter()
            .filter(|flow| !flow.contains("0x1234"))
            .collect();
        (ours == wanted).then_some(())
    });
    assert!(
        node.flows().iter().any(|flow| flow.contains("0x1234")),
        "the foreign flow stays"
    );
    wait("the count of repairs", || {
        (node.metric("sluice_drift_repaired_total") >= 3).then_some(())
    });
    assert!(node.log().contains("drift"), "it is said what drifted");
}

#[test]
fn a_refused_flow_is_named_and_the_rest_goes_on() {
    let node = Node::ready(&[]);
    let (first, second, third) = (Pod::new(), Pod::new(), Pod::new());
    node.add(&first).expect("attached");
    // Table Guard is full from now on.
    let guard = node
        .flows()
        .iter()
        .filter(|flow| flow.contains("table=4,"))
        .count();
    let limit = format!("flow_limit={guard}");
    let row = node.vsctl(&["get", "Bridge", crate::harness::BRIDGE, "flow_tables:4"]);
    node.vsctl(&[
        "set",
        "Flow_Table",
        row.trim(),
        &limit,
        "overflow_policy=refuse",
    ]);
    let error = node.add(&second).expect_err("refused");
    assert!(
        error.details.contains("refuses a flow of pod default/"),
        "{error:?}"
    );
    assert!(error.details.contains("table=4"), "{error:?}");
    assert_eq!(node.pod_ports(), 1, "nothing is left of it");
    let verify = node.verify();
    assert!(verify.in_sync, "{verify:?}");
    node.vsctl(&[
        "clear",
        "Flow_Table",
        row.trim(),
        "flow_limit",
        "overflow_policy",
    ]);
    node.vsctl(&[
        "--timeout=30",
        "set",
        "Open_vSwitch",
        ".",
        "external_ids:x=y",
    ]);
    let attached = node.add(&third).expect("attached");
    first
        .netns
        .reaches(&crate::harness::address(&attached, true));
}
