//! Pods and namespaces as policies look at them, and addresses that are nobody's any more.

use super::*;

fn pod(name: &str, ips: &[&str], more: Value) -> Event {
    let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
    let mut fields =
        json!({"metadata": {"labels": {"app": "a"}}, "spec": {}, "status": {"podIPs": ips}});
    for (part, values) in more.as_object().expect("fields") {
        for (field, value) in values.as_object().expect("fields") {
            fields[part][field] = value.clone();
        }
    }
    set(Kind::Pod, name, fields)
}

const P: &str = "pod web/p [10.1.0.1] {\"app\": \"a\"}";

#[test]
fn pods_come_change_and_go() {
    let mut index = index();
    let event = || pod("web/p", &["10.1.0.1"], json!({}));
    assert_eq!(lines(&index.apply(vec![event()])), [P]);
    assert!(index.apply(vec![event()]).is_empty());
    let heartbeat = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let update = index.apply(vec![pod("web/p", &["10.1.0.1"], heartbeat)]);
    assert!(update.is_empty(), "policies do not look at that");
    let update = index.apply(vec![pod("web/p", &["10.1.0.1", "fd00:1::1"], json!({}))]);
    assert_eq!(
        lines(&update),
        ["pod web/p [10.1.0.1, fd00:1::1] {\"app\": \"a\"}"]
    );
    let update = index.apply(vec![gone(Kind::Pod, "web/p")]);
    assert_eq!(lines(&update), ["no pod web/p"]);
    assert_eq!(update.forgotten_addresses, ips(&["10.1.0.1", "fd00:1::1"]));
}

/// There are many, so that whoever listens and the index have one between them, whatever happens to it meanwhile.
#[test]
fn a_pod_is_one_allocation_for_all_who_know_it() {
    let mut index = index();
    let update = index.apply(vec![pod("web/p", &["10.1.0.1"], json!({}))]);
    let [Joined::ClusterPodSet(told)] = &update.joined[..] else {
        panic!("{update:?}")
    };
    let heartbeat = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    index.apply(vec![pod("web/p", &["10.1.0.1"], heartbeat)]);
    let known = index.pod("web", "p").expect("a pod");
    assert!(!known.state.ready && Arc::ptr_eq(&known.cluster, told));
    let again = object(
        Kind::Pod,
        "web/p",
        json!({"metadata": {"labels": {"app": "a"}}, "status": {"podIPs": [{"ip": "10.1.0.1"}]}}),
    );
    index.apply(vec![Event::Listed(Kind::Pod, vec![again])]);
    let known = index.pod("web", "p").expect("a pod");
    assert!(known.state.ready && Arc::ptr_eq(&known.cluster, told));
}

#[test]
fn pods_without_addresses_of_their_own_are_none() {
    let mut index = index();
    for more in [
        json!({"spec": {"hostNetwork": true}}),
        json!({"status": {"phase": "Succeeded"}}),
        json!({"status": {"phase": "Failed"}}),
        json!({"status": {"podIPs": []}}),
    ] {
        assert!(
            index
                .apply(vec![pod("web/p", &["10.1.0.1"], more.clone())])
                .is_empty()
        );
        index.apply(vec![pod("web/p", &["10.1.0.1"], json!({}))]);
        let update = index.apply(vec![pod("web/p", &["10.1.0.1"], more)]);
        assert_eq!(lines(&update), ["no pod web/p"]);
        assert_eq!(update.forgotten_addresses, ips(&["10.1.0.1"]));
        index.apply(vec![gone(Kind::Pod, "web/p")]);
    }
}

#[test]
fn what_was_attached_here_goes_before_what_the_object_says() {
    let mut index = index();
    let bare = || pod("web/p", &[], json!({}));
    assert!(index.apply(vec![bare()]).is_empty());
    let update = index.attached("web", "p", Uid::default(), &ips(&["10.1.0.1"]));
    assert_eq!(lines(&update), [P]);
    assert!(
        index
            .apply(vec![pod("web/p", &["10.1.0.1"], json!({}))])
            .is_empty()
    );
    // A new sandbox, while the object still speaks of the old one.
    let update = index.attached("web", "p", Uid::default(), &ips(&["10.1.0.2"]));
    assert_eq!(lines(&update), ["pod web/p [10.1.0.2] {\"app\": \"a\"}"]);
    assert_eq!(update.forgotten_addresses, ips(&["10.1.0.1"]));
    let update = index.detached("web", "p", &ips(&["10.1.0.1"]));
    assert!(update.is_empty(), "the old sandbox goes, the new one stays");
    let update = index.detached("web", "p", &ips(&["10.1.0.2"]));
    assert_eq!(lines(&update), [P], "what the object says is all there is");
    index.apply(vec![gone(Kind::Pod, "web/p")]);
    let update = index.attached("web", "p", Uid::default(), &ips(&["10.1.0.3"]));
    assert!(update.is_empty(), "nobody knows its labels");
    let update = index.apply(vec![bare()]);
    assert_eq!(lines(&update), ["pod web/p [10.1.0.3] {\"app\": \"a\"}"]);
}

#[test]
fn a_pod_of_the_same_name_is_another_one() {
    let mut index = index();
    let (old, new) = (Uid::new("old"), Uid::new("new"));
    let with_uid = |uid: &str, ips: &[&str]| {
        set(
            Kind::Pod,
            "web/p",
            json!({
                "metadata": {"name": "p", "namespace": "web", "uid": uid, "labels": {"app": "a"}},
                "spec": {"nodeName": "n1"},
                "status": {"podIPs": ips.iter().map(|ip| json!({"ip": ip})).collect::<Vec<_>>()},
            }),
        )
    };
    index.apply(vec![with_uid("old", &["10.1.0.1"])]);
    index.attached("web", "p", old, &ips(&["10.1.0.1"]));
    let update = index.attached("web", "p", new, &ips(&["10.1.0.2"]));
    assert!(update.is_empty(), "that is not the one that is known");
    let update = index.apply(vec![with_uid("new", &[])]);
    assert_eq!(lines(&update), ["pod web/p [10.1.0.2] {\"app\": \"a\"}"]);
    let update = index.detached("web", "p", &ips(&["10.1.0.1"]));
    assert!(update.is_empty(), "it has not been its own for long");
}

#[test]
fn a_pod_that_nobody_describes() {
    let mut index = standalone();
    let update = index.attached("web", "p", Uid::default(), &ips(&["10.1.0.1"]));
    assert_eq!(
        lines(&update),
        [
            "namespace web {\"kubernetes.io/metadata.name\": \"web\"}",
            "pod web/p [10.1.0.1] {}"
        ]
    );
    let update = index.apply(vec![pod("web/p", &[], json!({}))]);
    assert_eq!(lines(&update), [P]);
    index.apply(vec![gone(Kind::Pod, "web/p")]);
    let update = index.detached("web", "p", &ips(&["10.1.0.1"]));
    assert_eq!(lines(&update), ["no namespace web", "no pod web/p"]);
}

#[test]
fn namespaces_have_a_label_with_their_name() {
    let namespace = |labels: Value| {
        set(
            Kind::Namespace,
            "web",
            json!({"metadata": {"labels": labels}}),
        )
    };
    let mut index = index();
    let update = index.apply(vec![namespace(json!({"team": "x"}))]);
    assert_eq!(
        lines(&update),
        ["namespace web {\"kubernetes.io/metadata.name\": \"web\", \"team\": \"x\"}"]
    );
    let full = namespace(json!({"team": "x", "kubernetes.io/metadata.name": "web"}));
    assert!(index.apply(vec![full]).is_empty());
    assert_eq!(
        lines(&index.apply(vec![gone(Kind::Namespace, "web")])),
        ["no namespace web"]
    );
}

#[test]
fn a_namespace_that_pods_are_in_exists_where_nobody_makes_them() {
    let mut index = standalone();
    let update = index.apply(vec![pod("web/p", &["10.1.0.1"], json!({}))]);
    let implied = "namespace web {\"kubernetes.io/metadata.name\": \"web\"}";
    assert_eq!(lines(&update), [implied, P]);
    let update = index.apply(vec![set(
        Kind::Namespace,
        "web",
        json!({"metadata": {"labels": {"a": "b"}}}),
    )]);
    assert_eq!(update.joined.len(), 1);
    assert!(index.apply(vec![pod("web/q", &[], json!({}))]).is_empty());
    let update = index.apply(vec![gone(Kind::Namespace, "web")]);
    assert_eq!(lines(&update), [implied]);
    index.apply(vec![gone(Kind::Pod, "web/q")]);
    let update = index.apply(vec![gone(Kind::Pod, "web/p")]);
    assert_eq!(lines(&update), ["no namespace web", "no pod web/p"]);
}

#[test]
fn an_address_is_forgotten_when_neither_a_pod_nor_a_slice_has_it() {
    let mut index = index();
    let named = |ip: &str| slice("web/s-1", "s", &[at(ip, "n2")]);
    index.apply(vec![
        pod("web/p", &["10.1.0.1"], json!({})),
        named("10.1.0.1"),
    ]);
    let update = index.apply(vec![gone(Kind::Pod, "web/p")]);
    assert!(update.forgotten_addresses.is_empty(), "a slice names it");
    let update = index.apply(vec![named("10.1.0.2")]);
    assert_eq!(update.forgotten_addresses, ips(&["10.1.0.1"]));
    let update = index.apply(vec![gone(Kind::EndpointSlice, "web/s-1")]);
    assert!(
        update.forgotten_addresses.is_empty(),
        "10.1.0.2 was no pod's: it may be in use still"
    );

    // The other way round, and through another pod.
    index.apply(vec![
        pod("web/p", &["10.1.0.1"], json!({})),
        named("10.1.0.1"),
    ]);
    let update = index.apply(vec![gone(Kind::EndpointSlice, "web/s-1")]);
    assert!(
        update.forgotten_addresses.is_empty(),
        "its connections live"
    );
    let update = index.apply(vec![
        gone(Kind::Pod, "web/p"),
        pod("web/q", &["10.1.0.1"], json!({})),
    ]);
    assert!(update.forgotten_addresses.is_empty(), "it is another's");
    let update = index.apply(vec![gone(Kind::Pod, "web/q")]);
    assert_eq!(update.forgotten_addresses, ips(&["10.1.0.1"]));
}

#[test]
fn a_relist_answers_with_the_difference() {
    let mut index = index();
    let object = |event: Event| match event {
        Event::Set(object) => object,
        other => panic!("{other:?}"),
    };
    let listed =
        |events: Vec<Event>| Event::Listed(Kind::Pod, events.into_iter().map(object).collect());
    let (p, q) = (
        pod("web/p", &["10.1.0.1"], json!({})),
        pod("web/q", &["10.1.0.2"], json!({})),
    );
    assert_eq!(
        index
            .apply(vec![listed(vec![p.clone(), q.clone()])])
            .joined
            .len(),
        2
    );
    assert!(index.apply(vec![listed(vec![q.clone(), p])]).is_empty());
    let r = pod("web/r", &["10.1.0.3"], json!({}));
    let update = index.apply(vec![listed(vec![q, r])]);
    assert_eq!(
        lines(&update),
        ["no pod web/p", "pod web/r [10.1.0.3] {\"app\": \"a\"}"]
    );
    assert_eq!(index.count(Kind::Pod), 2);
}
