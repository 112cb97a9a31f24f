//! `sluice-agent cleanup` takes away what the agent made, and nothing else.

use crate::harness::{Node, Pod};

fn look(node: &Node) -> String {
    let inside = |arguments: &[&str]| {
        String::from_utf8_lossy(&node.netns.exec(arguments).stdout).into_owned()
    };
    let mut text = String::new();
    for arguments in [
        &["ip", "-br", "link"][..],
        &["ip", "route", "show", "table", "all", "proto", "83"],
        &["ip", "-6", "route", "show", "table", "all", "proto", "83"],
        &["nft", "list", "ruleset"],
    ] {
        text.push_str(&inside(arguments));
    }
    for table in ["Bridge", "Port", "Interface", "Flow_Table"] {
        text.push_str(&node.vsctl(&["--columns=name", "list", table]));
    }
    text.push_str(&node.vsctl(&["--columns=timeouts", "list", "CT_Timeout_Policy"]));
    text.push_str(&node.vsctl(&["--columns=other_config,datapaths", "list", "Open_vSwitch"]));
    text
}

#[test]
fn nothing_is_left() {
    for attach in ["internal", "veth"] {
        let mut node = Node::new();
        // Something of others, to be found again.
        node.vsctl(&[
            "add-br",
            "br-other",
            "--",
            "set",
            "Bridge",
            "br-other",
            "datapath_type=netdev",
        ]);
        node.vsctl(&["set", "Open_vSwitch", ".", "other_config:of-others=1"]);
        node.netns.exec(&["nft", "add", "table", "inet", "others"]);
        let before = look(&node);
        node.arguments = vec!["--attach".to_owned(), attach.to_owned()];
        node.start_agent();
        node.wait_ready();
        let pods = [Pod::new(), Pod::new()];
        for pod in &pods {
            node.add(pod).expect("attached");
        }
        assert_ne!(look(&node), before);
        let refused = node.run_agent(&["cleanup"]);
        assert!(
            !refused.status.success(),
            "an agent is running: {refused:?}"
        );
        node.stop_agent();
        for _ in 0..2 {
            let output = node.run_agent(&["cleanup"]);
            assert!(output.status.success(), "{output:?}");
            assert_eq!(look(&node), before, "{attach}");
            assert!(!std::path::Path::new(&node.file("net.d/10-sluice.conflist")).exists());
            for pod in &pods {
                assert_eq!(pod.devices(), [""; 0], "{attach}");
            }
        }
        // And the agent can start again.
        node.start_agent();
        node.wait_ready();
        node.add(&pods[0]).expect("attached");
    }
}
