//! Dropped packets: counted by reason, and sampled while somebody watches.

use sluice_rpc::method::Drops;
use sluice_rpc::{DropsReport, DropsRequest};

use crate::harness::{Node, Pod, address, wait};

fn drops(node: &Node, follow: bool, after: Option<u64>) -> DropsReport {
    node.call::<Drops>(&DropsRequest { follow, after })
        .expect("the agent answers")
}

fn count(report: &DropsReport, reason: &str) -> u64 {
    let mut reasons = report.reasons.iter();
    reasons
        .find(|r| r.reason == reason)
        .expect("a known reason")
        .packets
}

#[test]
fn samples_name_pod_destination_and_reason() {
    let node = Node::ready(&[]);
    let pod = Pod::new();
    let added = node.add(&pod).expect("attached");
    let gateway = "10.7.0.1";
    pod.netns.reaches(gateway);
    let sampling = || node.flows().iter().any(|flow| flow.contains("controller("));
    assert!(!sampling(), "nobody watches yet");

    // To an address of this node's range that no pod has.
    let ping = || {
        pod.netns
            .exec(&["ping", "-c", "1", "-W", "1", "10.7.0.200"])
    };
    let before = count(&drops(&node, false, None), "unknown-destination-pod");
    let mut after = drops(&node, true, None).last;
    assert!(sampling(), "somebody watches");
    let sample = wait("a sample", || {
        let watched = std::thread::scope(|scope| {
            let watching = scope.spawn(|| drops(&node, true, Some(after)));
            ping();
            watching.join().expect("an answer")
        });
        after = watched.last;
        watched
            .samples
            .into_iter()
            .find(|sample| sample.reason == "unknown-destination-pod")
    });
    let from = format!("default/{} ({})", pod.id, address(&added, true));
    assert_eq!((sample.from, sample.to), (from, "10.7.0.200".to_owned()));
    assert_eq!(sample.protocol, "icmp");
    wait("the counter", || {
        let now = count(&drops(&node, false, None), "unknown-destination-pod");
        (now > before).then_some(())
    });
    assert!(node.verify().in_sync);
    wait("sampling to end by itself", || (!sampling()).then_some(()));
}
