//! The bridge: built once, refused with reasons, others' things left alone.

use crate::harness::{BRIDGE, Node, run};

/// Transactions in the database's log.
fn transactions(node: &Node) -> usize {
    run("ovsdb-tool", &["show-log", &node.file("conf.db")])
        .lines()
        .count()
}

/// Of a bridge, what is asked for; the rest the switch says when it comes to it.
const CONFIGURED: &str =
    "--columns=name,ports,datapath_type,fail_mode,protocols,controller,other_config,external_ids";

#[test]
fn a_second_start_writes_nothing_to_the_bridge() {
    let mut node = Node::ready(&[]);
    let show = node.vsctl(&[
        "--columns=name,datapath_type,fail_mode,protocols",
        "list",
        "Bridge",
        BRIDGE,
    ]);
    for wanted in ["netdev", "secure", "OpenFlow13"] {
        assert!(show.contains(wanted), "{wanted} in {show}");
    }
    let tunnel = node.vsctl(&[
        "--columns=type,options,ofport",
        "list",
        "Interface",
        "sluice-tun",
    ]);
    for wanted in ["geneve", "key=flow", "remote_ip=flow", ": 1\n"] {
        assert!(tunnel.contains(wanted), "{wanted:?} in {tunnel}");
    }
    let names = node.vsctl(&["--columns=name", "list", "Flow_Table"]);
    for table in ["Classify", "Guard", "Route", "Output", "Drop"] {
        assert!(names.contains(table), "{table} in {names}");
    }
    node.stop_agent();
    let before = transactions(&node);
    node.start_agent();
    node.wait_ready();
    // Two, and no more: flow-restore-wait is written false, then true.
    assert_eq!(
        node.metric("sluice_ovsdb_transactions_total{outcome=\"ok\"}"),
        2
    );
    let log = run("ovsdb-tool", &["show-log", &node.file("conf.db")]);
    let new: Vec<_> = log.lines().skip(before).collect();
    assert!(
        !new.iter().any(|line| line.contains("build bridge")),
        "{new:?}"
    );
}

#[test]
fn flow_restore_wait_is_armed_and_the_switch_does_not_wait() {
    let node = Node::ready(&[]);
    let armed = || node.vsctl(&["get", "Open_vSwitch", ".", "other_config:flow-restore-wait"]);
    crate::harness::wait("flow-restore-wait to be armed", || {
        armed().contains("true").then_some(())
    });
    assert_eq!(node.metric("sluice_switch_restore_waiting"), 0);
}

#[test]
fn all_that_the_switch_lacks_is_named_at_once() {
    // Open vSwitch 3.6 as its database shows it: it has no stt any more.
    let mut node = Node::bare();
    node.vsctl(&[
        "--no-wait",
        "set",
        "Open_vSwitch",
        ".",
        "ovs_version=3.6.0",
        "iface_types=geneve,gre,internal,vxlan",
        "datapath_types=netdev",
    ]);
    node.arguments = ["--tunnel", "stt", "--datapath-type", "system"]
        .map(str::to_owned)
        .to_vec();
    let output = node.run_agent(&["run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("interface type stt"), "{said}");
    assert!(said.contains("datapath type system"), "{said}");
    let bridges = node.vsctl(&["list-br"]);
    assert_eq!(bridges.trim(), "", "nothing was built");
}

/// A kernel without the labels of connections: its switch refuses each flow that sets one, and which rules let a
/// connection be is no longer known.
#[test]
fn a_datapath_without_labels_is_refused_by_name() {
    let node = Node::new();
    // Every bridge of a type has the same datapath.
    node.vsctl(&[
        "add-br",
        "br-other",
        "--",
        "set",
        "Bridge",
        "br-other",
        "datapath_type=netdev",
    ]);
    run(
        "ovs-appctl",
        &[
            "--timeout=30",
            "-t",
            &node.file("vswitchd.ctl"),
            "dpif/set-dp-features",
            "br-other",
            "ct_label",
            "false",
        ],
    );
    let output = node.run_agent(&["run"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("a datapath with ct_label") && said.contains("CONFIG_NF_CONNTRACK_LABELS"),
        "{said}"
    );
}

#[test]
fn what_others_made_is_left_alone() {
    let mut node = Node::new();
    node.vsctl(&[
        "add-br",
        "br-other",
        "--",
        "set",
        "Bridge",
        "br-other",
        "datapath_type=netdev",
    ]);
    node.vsctl(&[
        "add-port",
        "br-other",
        "other0",
        "--",
        "set",
        "Interface",
        "other0",
        "type=internal",
    ]);
    let before = node.vsctl(&[CONFIGURED, "list", "Bridge", "br-other"]);
    let port = node.vsctl(&[
        "--columns=_uuid,name,type,external_ids",
        "list",
        "Interface",
        "other0",
    ]);
    node.start_agent();
    node.wait_ready();
    assert_eq!(
        node.vsctl(&[CONFIGURED, "list", "Bridge", "br-other"]),
        before
    );
    assert_eq!(
        node.vsctl(&[
            "--columns=_uuid,name,type,external_ids",
            "list",
            "Interface",
            "other0"
        ]),
        port
    );
}

/// The timeouts of conntrack zones, one line each, sorted.
fn zones(node: &Node) -> Vec<String> {
    let text = node.vsctl(&["list-zone-tp", "netdev"]);
    let mut zones: Vec<_> = text.lines().map(str::to_owned).collect();
    zones.sort();
    zones
}

#[test]
fn the_zones_of_services_forget_soon() {
    let mut node = Node::ready(&[]);
    let said = |zone: u16| format!("Zone:{zone}, Timeout Policies: tcp_close=5 tcp_time_wait=5");
    assert_eq!(zones(&node), [said(20929), said(20930)]);
    // What somebody has changed is put right at the next start.
    node.stop_agent();
    node.vsctl(&["set", "CT_Timeout_Policy", ".", "timeouts={tcp_close=9}"]);
    node.start_agent();
    node.wait_ready();
    assert_eq!(zones(&node), [said(20929), said(20930)]);
}

#[test]
fn zones_of_others_are_left_alone() {
    let mut node = Node::new();
    node.vsctl(&[
        "--",
        "--id=@m",
        "create",
        "Datapath",
        "datapath_version=0",
        "--",
        "set",
        "Open_vSwitch",
        ".",
        "datapaths:netdev=@m",
    ]);
    node.vsctl(&["add-zone-tp", "netdev", "zone=20930", "tcp_time_wait=33"]);
    node.vsctl(&["add-zone-tp", "netdev", "zone=7", "udp_first=8"]);
    let before = zones(&node);
    assert_eq!(before.len(), 2, "{before:?}");
    node.start_agent();
    node.wait_ready();
    let during = zones(&node);
    assert_eq!(during.len(), 3, "{during:?}");
    assert!(
        before.iter().all(|zone| during.contains(zone)),
        "{during:?}"
    );
    node.stop_agent();
    let output = node.run_agent(&["cleanup"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(zones(&node), before);
}

#[test]
fn a_bridge_of_others_is_refused() {
    let mut node = Node::new();
    node.vsctl(&[
        "add-br",
        BRIDGE,
        "--",
        "set",
        "Bridge",
        BRIDGE,
        "datapath_type=netdev",
    ]);
    let before = node.vsctl(&[CONFIGURED, "list", "Bridge", BRIDGE]);
    let output = node.run_agent(&[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("bridge br-sluice exists and was not made by sluice"),
        "{said}"
    );
    assert_eq!(node.vsctl(&[CONFIGURED, "list", "Bridge", BRIDGE]), before);
    // And neither does a cleanup touch it.
    node.arguments.clear();
    assert!(node.run_agent(&["cleanup"]).status.success());
    assert_eq!(node.vsctl(&[CONFIGURED, "list", "Bridge", BRIDGE]), before);
}

#[test]
fn a_touched_bridge_is_put_right() {
    let node = Node::ready(&["--audit-interval", "300ms"]);
    node.vsctl(&["set", "Bridge", BRIDGE, "fail_mode=standalone"]);
    crate::harness::wait("fail_mode to be put right", || {
        let mode = node.vsctl(&["get", "Bridge", BRIDGE, "fail_mode"]);
        mode.contains("secure").then_some(())
    });
}
