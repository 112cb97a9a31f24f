//! Where pods of other nodes are told only as far as policies of this node's pods speak of them.

use std::time::Duration;

use super::*;
use crate::source::PodScope;

fn narrow() -> Index {
    let mut index = Index::with_options(
        "n1",
        Options {
            narrow: true,
            ..Options::default()
        },
    );
    let nothing = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new()));
    assert!(index.apply(nothing.into()).is_empty());
    assert!(!index.is_complete(), "nobody has said which pods these are");
    index.apply(vec![Event::Covered(PodScope::default())]);
    assert!(index.is_complete());
    index.apply(vec![node("n1", "z1"), node("n2", "z2")]);
    for (name, team) in [("shop", "red"), ("web", "red"), ("bank", "blue")] {
        index.apply(vec![set(
            Kind::Namespace,
            name,
            json!({"metadata": {"labels": {"team": team}}}),
        )]);
    }
    index
}

fn some(names: &[&str]) -> PodScope {
    PodScope::Namespaces(names.iter().map(|name| (*name).into()).collect())
}

fn wanted(index: &Index) -> PodScope {
    index.wanted_pods().expect("only some are told").clone()
}

fn pod(name: &str, node: &str, app: &str) -> Event {
    set(
        Kind::Pod,
        name,
        json!({
            "metadata": {"labels": {"app": app}},
            "spec": {"nodeName": node, "containers": []},
            "status": {"podIP": "10.1.0.1"},
        }),
    )
}

/// A policy for the pods `app: till` of a namespace.
fn policy(name: &str, rules: Value) -> Event {
    let mut spec = json!({"podSelector": {"matchLabels": {"app": "till"}}});
    for (field, value) in rules.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    set(Kind::NetworkPolicy, name, json!({"spec": spec}))
}

fn from(peers: Value) -> Value {
    json!({"ingress": [{"from": peers}]})
}

#[test]
fn policies_ask_for_the_pods_that_they_speak_of() {
    let pods = |namespaces: Value| json!({"namespaceSelector": namespaces, "podSelector": {"matchLabels": {"a": "b"}}});
    let red = json!({"matchLabels": {"team": "red"}});
    let named = json!([{"port": "http"}]);
    let cases = [
        (
            "no peers",
            json!({"ingress": [{}], "egress": [{}]}),
            some(&[]),
        ),
        (
            "nobody",
            json!({"policyTypes": ["Ingress", "Egress"]}),
            some(&[]),
        ),
        (
            "addresses",
            from(json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}])),
            some(&[]),
        ),
        (
            "its own",
            from(json!([{"podSelector": {}}])),
            some(&["shop"]),
        ),
        (
            "one of many",
            from(json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"podSelector": {}}])),
            some(&["shop"]),
        ),
        (
            "by labels",
            from(json!([pods(red.clone())])),
            some(&["shop", "web"]),
        ),
        (
            "by name",
            from(json!([pods(
                json!({"matchLabels": {"kubernetes.io/metadata.name": "bank"}})
            )])),
            some(&["bank"]),
        ),
        ("everyone's", from(json!([pods(json!({}))])), PodScope::All),
        (
            "out",
            json!({"egress": [{"to": [pods(red)]}]}),
            some(&["shop", "web"]),
        ),
        // A name is a number only for the pods that have it; of those who are asked, they are here.
        (
            "names, in",
            json!({"ingress": [{"ports": named}]}),
            some(&[]),
        ),
        (
            "names, out",
            json!({"egress": [{"ports": named}]}),
            PodScope::All,
        ),
        (
            "names, out to addresses",
            json!({"egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": named}]}),
            PodScope::All,
        ),
        (
            "names, out to its own",
            json!({"egress": [{"to": [{"podSelector": {}}], "ports": named}]}),
            some(&["shop"]),
        ),
    ];
    for (what, rules, expected) in cases {
        let mut index = narrow();
        index.apply(vec![policy("shop/p", rules)]);
        assert_eq!(
            wanted(&index),
            some(&[]),
            "{what}, and none of its pods is here"
        );
        index.apply(vec![
            pod("shop/a", "n2", "till"),
            pod("web/b", "n1", "till"),
            pod("shop/c", "n1", "other"),
        ]);
        assert_eq!(wanted(&index), some(&[]), "{what}, and still none is");
        index.apply(vec![pod("shop/a", "n1", "till")]);
        assert_eq!(wanted(&index), expected, "{what}");
        index.apply(vec![gone(Kind::Pod, "shop/a")]);
        assert_eq!(wanted(&index), some(&[]), "{what}, and it has gone");
    }
}

#[test]
fn what_is_asked_for_follows_labels() {
    let mut index = narrow();
    let red = json!([{"namespaceSelector": {"matchLabels": {"team": "red"}}}]);
    index.apply(vec![
        pod("shop/a", "n1", "till"),
        policy("shop/p", from(red)),
    ]);
    assert_eq!(wanted(&index), some(&["shop", "web"]));
    index.apply(vec![set(
        Kind::Namespace,
        "bank",
        json!({"metadata": {"labels": {"team": "red"}}}),
    )]);
    assert_eq!(wanted(&index), some(&["bank", "shop", "web"]));
    index.apply(vec![gone(Kind::Namespace, "web")]);
    assert_eq!(wanted(&index), some(&["bank", "shop"]));
    // Many namespaces are all of them.
    let many = (0..100).map(|n| {
        set(
            Kind::Namespace,
            &format!("many{n}"),
            json!({"metadata": {"labels": {"team": "red"}}}),
        )
    });
    index.apply(many.collect());
    assert_eq!(wanted(&index), PodScope::All);
    index.apply(vec![pod("shop/a", "n1", "other")]);
    assert_eq!(wanted(&index), some(&[]));
}

#[test]
fn a_policy_takes_effect_with_the_pods_that_it_speaks_of() {
    let mut index = narrow();
    index.apply(vec![pod("shop/a", "n1", "till")]);
    let update = index.apply(vec![policy("shop/p", from(json!([{"podSelector": {}}])))]);
    assert_eq!(update.joined, [], "its pods are not known yet");
    assert!(index.holding().is_some());
    // Everything else goes on meanwhile, and nothing of this is lost.
    let update = index.apply(vec![
        node("n3", "z1"),
        service("shop/s", "10.96.0.1", json!({})),
    ]);
    assert!(!update.is_empty());
    assert!(
        update
            .joined
            .iter()
            .all(|joined| matches!(joined, Joined::ServiceSet(_))),
        "{:?}",
        update.joined
    );
    index.apply(vec![set(Kind::Namespace, "late", json!({}))]);
    let update = index.apply(vec![
        pod("shop/b", "n2", "till"),
        Event::Covered(some(&["shop"])),
    ]);
    let kinds: Vec<&str> = update
        .joined
        .iter()
        .map(|joined| match joined {
            Joined::NamespaceSet(it) => &*it.name,
            Joined::ClusterPodSet(it) => &*it.name,
            Joined::PolicySet(_) => "policy",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["late", "b", "policy"]);
    assert!(index.holding().is_none() && index.missing_pods().is_none());
}

#[test]
fn pods_that_never_come_hold_nothing_for_ever() {
    let mut index = narrow();
    index.apply(vec![pod("shop/a", "n1", "till")]);
    index.apply(vec![policy("shop/p", from(json!([{"podSelector": {}}])))]);
    let until = index.holding().expect("held");
    assert!(until > Instant::now());
    assert_eq!(index.missing_pods(), Some(some(&["shop"])));
    index
        .reach
        .as_mut()
        .expect("only some are told")
        .wait_less(Duration::from_secs(3600));
    let update = index.apply(Vec::new());
    assert!(
        matches!(&update.joined[..], [Joined::PolicySet(_)]),
        "{:?}",
        update.joined
    );
    assert!(index.holding().is_none());
    // It allows those pods nothing until they come, which is said.
    assert_eq!(index.missing_pods(), Some(some(&["shop"])));
    let update = index.apply(vec![
        pod("shop/b", "n2", "till"),
        Event::Covered(some(&["shop"])),
    ]);
    assert!(
        matches!(&update.joined[..], [Joined::ClusterPodSet(_)]),
        "{:?}",
        update.joined
    );
    assert_eq!(index.missing_pods(), None);
}

#[test]
fn an_endpoint_that_was_terminating_is_forgotten_without_its_pod() {
    let mut index = narrow();
    let endpoint = |terminating: bool| {
        json!({"addresses": ["10.1.2.3"], "nodeName": "n2", "conditions": {
            "ready": !terminating, "serving": true, "terminating": terminating}})
    };
    index.apply(vec![service("shop/s", "10.96.0.1", json!({}))]);
    let ip: IpAddr = "10.1.2.3".parse().expect("an address");
    for (terminating, forgotten) in [(false, vec![]), (true, vec![ip])] {
        index.apply(vec![slice("shop/s-1", "s", &[endpoint(terminating)])]);
        let update = index.apply(vec![slice("shop/s-1", "s", &[])]);
        assert_eq!(
            update.forgotten_addresses, forgotten,
            "terminating: {terminating}"
        );
    }
}

#[test]
fn pods_are_told_of_policies_that_break_the_rules() {
    let mut index = narrow();
    assert!(!index.has_refused_policies());
    let wrong = from(json!([{"ipBlock": {"cidr": "10.0.0.0/99"}}]));
    index.apply(vec![
        pod("shop/a", "n1", "till"),
        pod("shop/b", "n1", "other"),
        pod("web/c", "n1", "till"),
        policy("shop/p", wrong),
    ]);
    assert!(index.has_refused_policies());
    let told = index.refused_policies_of("shop", "a");
    assert!(
        matches!(&told[..], [why] if why.starts_with("NetworkPolicy shop/p: field spec.ingress[0].from[0]")),
        "{told:?}"
    );
    for (namespace, name) in [("shop", "b"), ("web", "c"), ("shop", "unknown")] {
        assert_eq!(
            index.refused_policies_of(namespace, name),
            Vec::<String>::new(),
            "{namespace}/{name}"
        );
    }
    index.apply(vec![policy("shop/p", json!({"ingress": []}))]);
    assert!(!index.has_refused_policies());
}
