//! A pod starts closed: ADD waits for what says which policies apply to it, and fails rather than let it run without.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_rpc::{AddRequest, AddResult, CniCode, CniError};

use crate::api::{Api, NAMESPACES, NODES, Objects, POLICIES, line};
use crate::harness::{Netns, Node, Pod, cni, wait};

/// A policy that isolates every pod of namespace `default`.
fn closed() -> Value {
    json!({
        "metadata": {"name": "closed", "namespace": "default"},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    })
}

/// A node whose cluster has this policy, and no pods yet.
fn node(policy: &Value) -> (Node, Api) {
    let added = |object: &Value| line("ADDED", object);
    let own = json!({"metadata": {"name": "n1"}, "spec": {"podCIDRs": ["10.7.0.0/24"]}});
    let namespace = json!({"metadata": {"name": "default"}});
    let objects = Objects::from([
        (NODES, vec![added(&own)]),
        (NAMESPACES, vec![added(&namespace)]),
        (POLICIES, vec![added(policy)]),
    ]);
    let mut node = Node::new();
    let api = Api::start(listener(&node.netns), objects).expect("an API server");
    let kubeconfig = node.file("kubeconfig");
    std::fs::write(&kubeconfig, api.kubeconfig()).expect("written");
    node.arguments = vec!["--kubeconfig".to_owned(), kubeconfig];
    node.start_agent();
    node.wait_ready();
    (node, api)
}

/// A listener on loopback of a namespace, which is a thread's for as long as that runs.
fn listener(netns: &Netns) -> TcpListener {
    let path = netns.path();
    let bound = std::thread::spawn(move || {
        let namespace = std::fs::File::open(path).expect("a namespace");
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).expect("entered");
        TcpListener::bind("127.0.0.1:0").expect("a listener")
    });
    bound.join().expect("a thread that ended")
}

fn object(pod: &Pod) -> Value {
    json!({
        "metadata": {"name": pod.id, "namespace": "default", "labels": {"app": "late"}},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Pending"},
    })
}

fn add(node: &Node, pod: &Pod, limit: Duration) -> Result<AddResult, CniError> {
    let request = AddRequest {
        deadline_ms: u64::try_from(limit.as_millis()).expect("a deadline"),
        ..pod.add_request()
    };
    cni(node.call::<sluice_rpc::method::CniAdd>(&request))
}

#[test]
fn without_knowing_its_policies_add_fails_within_its_bound() {
    let (node, _api) = node(&closed());
    let pod = Pod::new();
    let limit = Duration::from_secs(3);
    let began = Instant::now();
    let error = add(&node, &pod, limit).expect_err("nobody knows which policies apply");
    assert!(began.elapsed() < limit * 2, "{:?}", began.elapsed());
    assert_eq!(error.code, CniCode::TRY_AGAIN, "{error:?}");
    let said = format!("{error:?}");
    assert!(
        said.contains("which policies apply") && said.contains(&format!("default/{}", pod.id)),
        "{said}"
    );
    // Nothing of it is left.
    assert!(pod.devices().is_empty() && node.pod_ports() == 0);
    assert!(node.verify().in_sync);
}

#[test]
fn add_returns_when_the_pods_policies_are_in_the_switch() {
    let (node, api) = node(&closed());
    let isolated = || {
        let flows = node.flows();
        // EgressSubject and IngressSubject.
        let both = [41, 44].map(|table| format!("table={table}, priority=100,"));
        both.iter()
            .all(|begins| flows.iter().any(|flow| flow.contains(begins)))
    };
    let pod = Pod::new();
    let added = std::thread::scope(|scope| {
        let adding = scope.spawn(|| add(&node, &pod, Duration::from_secs(30)));
        // The port is there, nobody knows the pod, and ADD waits: nothing gets to it or from it.
        wait("its port", || (node.pod_ports() == 1).then_some(()));
        wait("it to be closed", || isolated().then_some(()));
        assert!(!adding.is_finished(), "nobody knows the pod yet");
        api.pods.send(line("ADDED", &object(&pod))).expect("told");
        adding.join().expect("an answer")
    });
    added.expect("attached");
    assert!(isolated(), "{:#?}", node.flows());
}

/// The object of a pod that had the same name says nothing of this one.
#[test]
fn a_pod_is_told_from_the_one_before_by_its_uid() {
    let (node, api) = node(&closed());
    let pod = Pod::new();
    let known_as = |uid: &str| {
        let mut object = object(&pod);
        object["metadata"]["uid"] = json!(uid);
        line("ADDED", &object)
    };
    api.pods.send(known_as("uid-of-another")).expect("told");
    let error = add(&node, &pod, Duration::from_secs(2)).expect_err("it is not known yet");
    assert_eq!(error.code, CniCode::TRY_AGAIN, "{error:?}");
    api.pods
        .send(known_as(&format!("uid-{}", pod.id)))
        .expect("told");
    add(&node, &pod, Duration::from_secs(30)).expect("attached");
    assert!(node.verify().in_sync);
}

/// A policy that is too much for a switch isolates its pods, allows nothing, and everybody who looks is told.
#[test]
fn what_cannot_be_compiled_is_closed_and_named() {
    let scattered: Vec<Value> = (1..30_000).map(|n| json!({"port": 2 * n})).collect();
    let huge = json!({
        "metadata": {"name": "huge", "namespace": "default"},
        "spec": {"podSelector": {}, "ingress": [{"ports": scattered}]},
    });
    let (node, api) = node(&huge);
    let pod = Pod::new();
    api.pods.send(line("ADDED", &object(&pod))).expect("told");
    add(&node, &pod, Duration::from_secs(30)).expect("attached");
    let said = "policy default/huge isolates its pods and allows nothing";
    let problems = node.status().problems;
    assert!(problems.iter().any(|it| it.contains(said)), "{problems:?}");
    assert!(node.log().contains(said), "{}", node.log());
    let flows = node.flows();
    let allows = |flow: &&String| flow.contains("table=46,") && flow.contains("goto_table:48");
    assert_eq!(flows.iter().filter(allows).count(), 0, "{flows:#?}");
    assert!(
        flows
            .iter()
            .any(|flow| flow.contains("table=46,") && flow.contains("priority=10,"))
    );
}
