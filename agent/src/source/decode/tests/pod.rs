use super::*;

fn base() -> Value {
    json!({"metadata": {"name": "p", "namespace": "web", "labels": {"app": "a"}}, "spec": {}, "status": {}})
}

#[test]
fn everything_that_is_used() {
    let from = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "p", "namespace": "web", "uid": "1", "labels": {"app": "a"},
            "deletionTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"anything": 1}],
        },
        "spec": {
            "nodeName": "n1", "hostNetwork": false,
            "containers": [
                {"name": "c", "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9}]},
                {"name": "d", "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]},
            ],
            "initContainers": [
                {"name": "i", "ports": [{"name": "gone", "containerPort": 1}]},
                {"name": "s", "restartPolicy": "Always", "ports": [{"name": "side", "containerPort": 15001}]},
            ],
        },
        "status": {
            "phase": "Running", "podIP": "10.1.0.2", "podIPs": [{"ip": "10.1.0.2"}, {"ip": "fd00::2"}],
            "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}],
        },
    });
    let pod = pod(from).expect("a pod");
    assert_eq!(
        (&*pod.namespace, &*pod.name, &*pod.state.node),
        ("web", "p", "n1")
    );
    assert_eq!(pod.uid, crate::source::object::Uid::new("1"));
    assert_eq!(*pod.ips, [ip("10.1.0.2"), ip("fd00::2")]);
    let ports: Vec<String> = pod
        .ports
        .iter()
        .map(|port| format!("{} {}/{}", port.name, port.port, port.protocol))
        .collect();
    assert_eq!(ports, ["http 8080/tcp", "dns 53/udp", "side 15001/tcp"]);
    let state = &pod.state;
    assert!(state.ready && state.terminating && !state.finished && !state.host_network);
}

#[test]
fn a_mirror_has_the_uid_of_its_static_pod() {
    let from = with(
        base(),
        "/metadata/annotations",
        json!({"kubernetes.io/config.mirror": "7a"}),
    );
    let pod = pod(from).expect("a pod");
    assert_eq!(pod.uid, crate::source::object::Uid::new("7a"));
}

#[test]
fn ready_is_what_the_condition_says_or_everything_that_nobody_has_judged() {
    let ready = |conditions: Value| {
        let from = with(base(), "/status/conditions", conditions);
        pod(from).expect("a pod").state.ready
    };
    assert!(ready(json!([])) && ready(json!(null)));
    assert!(ready(json!([{"type": "Ready", "status": "True"}])));
    assert!(!ready(json!([{"type": "Ready", "status": "False"}])));
    assert!(!ready(json!([{"type": "PodScheduled", "status": "True"}])));
}

#[test]
fn phases_that_are_an_end() {
    for (phase, finished) in [
        ("Pending", false),
        ("Running", false),
        ("Unknown", false),
        ("Succeeded", true),
        ("Failed", true),
    ] {
        let from = with(base(), "/status/phase", json!(phase));
        assert_eq!(
            pod(from).expect("a pod").state.finished,
            finished,
            "{phase}"
        );
    }
}

#[test]
fn ports_that_are_none_resolve_no_name() {
    let ports = json!([{"ports": [
        {"name": "a", "containerPort": 0}, {"name": "b", "containerPort": 80, "protocol": "ICMP"},
        {"name": "c", "containerPort": 70000},
    ]}]);
    let pod = pod(with(base(), "/spec/containers", ports)).expect("a pod");
    assert_eq!(*pod.ports, []);
}

#[test]
fn pods_of_one_make_share_their_labels() {
    let (a, b) = (pod(base()).expect("a pod"), pod(base()).expect("a pod"));
    assert!(Arc::ptr_eq(&a.labels, &b.labels) && Arc::ptr_eq(&a.namespace, &b.namespace));
}

#[test]
fn nodes_have_zones_and_addresses_of_two_types() {
    let from = json!({
        "metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "z1"}},
        "status": {"addresses": [
            {"type": "InternalIP", "address": "192.0.2.1"}, {"type": "ExternalIP", "address": "198.51.100.1"},
            {"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "2001:db8::1"},
        ]},
    });
    let node = node(from).expect("a node");
    assert_eq!(node.zone.as_deref(), Some("z1"));
    assert_eq!(node.internal_ips, [ip("192.0.2.1"), ip("2001:db8::1")]);
    assert_eq!(node.external_ips, [ip("198.51.100.1")]);
}
