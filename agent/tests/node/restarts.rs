//! Restarts of the agent, the switch and its database.

use nix::sys::signal::Signal;

use crate::harness::{Node, Pod, address, wait};

#[test]
fn a_restart_of_the_agent_sends_no_flow_and_finds_its_pods() {
    let mut node = Node::ready(&[]);
    let pods = [Pod::new(), Pod::new(), Pod::new()];
    let attached: Vec<_> = pods
        .iter()
        .map(|pod| node.add(pod).expect("attached"))
        .collect();
    node.ofctl(
        "add-flow",
        &["table=0,cookie=0x1234,priority=7,ip,nw_src=192.0.2.1,actions=drop"],
    );
    let flows = node.flows();
    let before = node.pods();
    node.stop_agent();
    pods[0].netns.reaches(&address(&attached[1], true));
    node.start_agent();
    node.wait_ready();
    assert_eq!(node.flow_mods(), 0, "{}", node.log());
    assert_eq!(node.flows(), flows);
    assert_eq!(node.pods(), before);
    // What was recovered is not handed out again.
    let another = Pod::new();
    let result = node.add(&another).expect("attached");
    assert!(
        attached
            .iter()
            .all(|old| address(old, true) != address(&result, true))
    );
    pods[2].netns.reaches(&address(&result, false));
}

#[test]
fn a_killed_agent_leaves_nothing_that_del_does_not_remove() {
    let mut node = Node::ready(&[]);
    let pods: Vec<_> = (0..8).map(|_| Pod::new()).collect();
    let socket = node.socket();
    std::thread::scope(|scope| {
        for pod in &pods {
            let (socket, request) = (&socket, pod.add_request());
            scope.spawn(move || {
                // Most of them hear nothing: the agent dies meanwhile.
                let _lost = crate::harness::call::<sluice_rpc::method::CniAdd>(socket, &request);
            });
        }
        wait("the first ports", || (node.pod_ports() > 0).then_some(()));
        node.agent.take().expect("a running agent").kill();
    });
    node.start_agent();
    node.wait_ready();
    for pod in &pods {
        node.del(pod).expect("removed");
        assert_eq!(pod.devices(), [""; 0]);
    }
    assert_eq!(node.pod_ports(), 0);
    let verify = node.verify();
    assert!(verify.in_sync, "{verify:?}");
    assert_eq!(node.pods().pods, []);
}

#[test]
fn a_killed_switch_is_programmed_again_and_pods_are_back() {
    let mut node = Node::ready(&[]);
    let pods = [Pod::new(), Pod::new()];
    let attached: Vec<_> = pods
        .iter()
        .map(|pod| node.add(pod).expect("attached"))
        .collect();
    pods[0].netns.reaches(&address(&attached[1], true));
    let flows = node.compiled_flows();
    let generation = node.status().switch.generation;
    node.vswitchd.take().expect("a running switch").kill();
    wait("the agent to notice", || {
        (!node.status().ready).then_some(())
    });
    assert!(node.cni_status().is_err());
    node.start_vswitchd();
    wait("a new session", || {
        (node.status().switch.generation > generation).then_some(())
    });
    node.wait_ready();
    wait("the flows to be back", || {
        (node.compiled_flows() == flows).then_some(())
    });
    pods[0].netns.reaches(&address(&attached[1], true));
    pods[1].netns.reaches(&address(&attached[0], false));
    pods[1].netns.reaches("10.7.0.1");
    for pod in &pods {
        wait("the pod to be well", || {
            let problems = node.check(pod).expect("known").problems;
            problems.is_empty().then_some(())
        });
    }
    let armed = || node.vsctl(&["get", "Open_vSwitch", ".", "other_config:flow-restore-wait"]);
    wait("flow-restore-wait to be armed again", || {
        armed().contains("true").then_some(())
    });
}

#[test]
fn a_restart_of_the_database_is_survived() {
    let mut node = Node::ready(&[]);
    let (first, second) = (Pod::new(), Pod::new());
    let attached = node.add(&first).expect("attached");
    node.ovsdb.take().expect("a running server").kill();
    wait("the agent to notice", || {
        (!node.status().switch.ovsdb_connected).then_some(())
    });
    assert!(node.cni_status().is_err());
    node.start_ovsdb();
    // Asked at once: the request waits until the agent is ready again.
    node.add(&second).expect("attached");
    second.netns.reaches(&address(&attached, true));
    assert_eq!(
        node.flow_mods(),
        node.flows().len() as u64,
        "no flow was sent twice"
    );
}

#[test]
fn an_agent_that_is_told_to_stop_finishes_what_it_began() {
    let mut node = Node::ready(&[]);
    let pod = Pod::new();
    let vswitchd = node.vswitchd.as_ref().expect("a running switch");
    let agent = node.agent.as_ref().expect("a running agent");
    // The switch holds its breath, so that the ADD cannot end before the agent is told.
    vswitchd.signal(Signal::SIGSTOP);
    let added = std::thread::scope(|scope| {
        let adding = scope.spawn(|| node.add(&pod));
        wait("the ADD to be under way", || {
            (node.pods().pods.len() == 1).then_some(())
        });
        agent.signal(Signal::SIGTERM);
        wait("the socket to be closed to new callers", || {
            std::os::unix::net::UnixStream::connect(node.socket())
                .is_err()
                .then_some(())
        });
        vswitchd.signal(Signal::SIGCONT);
        adding.join().expect("no panic")
    });
    let result = added.expect("attached, though the agent was stopping");
    let status = node.agent.take().expect("a running agent").ended();
    assert!(status.success(), "{status}: {}", node.log());
    let other = Pod::new();
    node.start_agent();
    node.wait_ready();
    node.add(&other).expect("attached");
    other.netns.reaches(&address(&result, true));
}
