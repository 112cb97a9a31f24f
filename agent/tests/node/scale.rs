//! Many pods at once: a node boots with 110.

use std::collections::BTreeSet;
use std::time::Instant;

use sluice_rpc::method::CniAdd;

use crate::harness::{Node, Pod, address, call, cni};

const PODS: usize = 110;

#[test]
fn a_full_node_boots_at_once() {
    let node = Node::ready(&[]);
    let pods: Vec<_> = (0..PODS).map(|_| Pod::new()).collect();
    let socket = node.socket();
    let began = Instant::now();
    let results: Vec<_> = std::thread::scope(|scope| {
        let calls: Vec<_> = pods
            .iter()
            .map(|pod| {
                let (socket, request) = (&socket, pod.add_request());
                scope.spawn(move || cni(call::<CniAdd>(socket, &request)))
            })
            .collect();
        calls
            .into_iter()
            .map(|call| call.join().expect("a thread").expect("attached"))
            .collect()
    });
    println!("{PODS} pods in {:?}", began.elapsed());
    let addresses: BTreeSet<_> = results.iter().map(|result| address(result, true)).collect();
    assert_eq!(addresses.len(), PODS, "every pod has its own address");
    assert_eq!(node.pod_ports(), PODS);
    let verify = node.verify();
    assert!(verify.in_sync, "{verify:?}");
    for (pod, result) in pods.iter().zip(results.iter().rev()).step_by(10) {
        pod.netns.reaches(&address(result, true));
    }
    let transactions = node.metric("sluice_ovsdb_transactions_total{outcome=\"ok\"}");
    assert!(
        transactions < PODS as u64,
        "ports shared transactions: {transactions}"
    );
    let collected = node.gc(&[]);
    assert_eq!(
        (collected.removed.len(), collected.failed),
        (PODS, Vec::new())
    );
    assert_eq!(node.pod_ports(), 0);
    assert!(node.verify().in_sync);
    assert!(node.status().ranges.iter().all(|range| range.used == 0));
}
