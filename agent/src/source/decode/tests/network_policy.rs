use sluice_flows::model::{Policy, PolicyPeer, PolicyPort, Ports, Requirement, Rule, Selector};

use super::*;

fn base() -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "web"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "a"}},
            "ingress": [{
                "from": [{"podSelector": {"matchLabels": {"app": "b"}}}],
                "ports": [{"protocol": "TCP", "port": 80}],
            }],
        },
    })
}

fn read(from: Value) -> (Policy, Vec<String>) {
    let policy = network_policy(from).expect("a policy");
    (Policy::clone(&policy.policy), lines(&policy.refusals))
}

fn spec(spec: Value) -> (Policy, Vec<String>) {
    read(with(base(), "/spec", spec))
}

/// The one ingress rule of a policy with these peers or ports.
fn rule(field: &str, value: Value) -> (Rule, Vec<String>) {
    let (policy, why) = spec(json!({"podSelector": {}, "ingress": [{field: value}]}));
    let rules = policy.ingress.expect("isolation");
    assert!(rules.len() <= 1);
    // A rule of which nothing is left is not there, and allows what this one says: nothing.
    let nothing = Rule {
        peers: Some(vec![]),
        ports: Some(vec![]),
    };
    (rules.into_iter().next().unwrap_or(nothing), why)
}

fn labelled(key: &str, value: &str) -> Selector {
    Selector {
        requirements: vec![Requirement::In(key.into(), vec![value.into()])],
    }
}

#[test]
fn a_policy() {
    let (policy, why) = read(base());
    assert_eq!(why, Vec::<String>::new());
    assert_eq!((policy.id.as_str(), &*policy.namespace), ("web/p", "web"));
    assert_eq!(policy.pods, labelled("app", "a"));
    let rule = Rule {
        peers: Some(vec![PolicyPeer::Pods {
            namespaces: None,
            pods: labelled("app", "b"),
        }]),
        ports: Some(vec![PolicyPort {
            protocol: Protocol::Tcp,
            ports: Ports::Range(80, 80),
        }]),
    };
    assert_eq!((policy.ingress, policy.egress), (Some(vec![rule]), None));
}

#[test]
fn directions() {
    let of = |types: Value, egress: Value| {
        let (policy, why) =
            spec(json!({"podSelector": {}, "policyTypes": types, "egress": egress}));
        (policy.ingress.is_some(), policy.egress.is_some(), why.len())
    };
    assert_eq!(of(json!(null), json!(null)), (true, false, 0));
    assert_eq!(of(json!([]), json!([])), (true, false, 0));
    assert_eq!(of(json!(null), json!([{}])), (true, true, 0));
    assert_eq!(of(json!(["Ingress"]), json!([{}])), (true, false, 0));
    assert_eq!(of(json!(["Egress"]), json!(null)), (false, true, 0));
    assert_eq!(
        of(json!(["Egress", "Ingress"]), json!(null)),
        (true, true, 0)
    );
    assert_eq!(
        of(json!(["Egres"]), json!(null)),
        (true, true, 1),
        "taken for both"
    );
    assert_eq!(
        of(json!(["Ingress", "egress"]), json!(null)),
        (true, true, 1)
    );
    assert_eq!(
        spec(json!(null)).0.ingress,
        Some(vec![]),
        "an empty policy isolates"
    );
}

#[test]
fn empty_and_missing_lists_stand_for_everything() {
    for value in [json!(null), json!([])] {
        assert_eq!(rule("from", value.clone()).0.peers, None);
        assert_eq!(rule("ports", value).0.ports, None);
    }
    let (policy, _) = spec(json!({"podSelector": {}, "ingress": [{}]}));
    assert_eq!(
        policy.ingress,
        Some(vec![Rule {
            peers: None,
            ports: None
        }])
    );
}

#[test]
fn peers() {
    let one = |peer: Value| {
        let (rule, why) = rule("from", json!([peer]));
        assert_eq!(why, Vec::<String>::new());
        rule.peers.expect("peers").pop().expect("a peer")
    };
    let pods = |namespaces: Option<Selector>, pods: Selector| PolicyPeer::Pods { namespaces, pods };
    let all = Selector::default;
    assert_eq!(one(json!({"podSelector": {}})), pods(None, all()));
    assert_eq!(
        one(json!({"namespaceSelector": {}})),
        pods(Some(all()), all())
    );
    assert_eq!(
        one(
            json!({"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {"matchLabels": {"c": "d"}}})
        ),
        pods(Some(labelled("a", "b")), labelled("c", "d"))
    );
    let block =
        json!({"ipBlock": {"cidr": "10.0.0.7/8", "except": ["10.1.0.0/16", "10.2.3.4/32"]}});
    assert_eq!(
        one(block),
        PolicyPeer::IpBlock {
            cidr: "10.0.0.0/8".parse().expect("a CIDR"),
            except: vec![
                "10.1.0.0/16".parse().expect("a CIDR"),
                "10.2.3.4/32".parse().expect("a CIDR")
            ],
        }
    );
}

#[test]
fn expressions() {
    let (policy, why) = spec(
        json!({"podSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "k", "operator": "In", "values": ["x", "y"]}, {"key": "k", "operator": "NotIn", "values": ["z"]},
            {"key": "k", "operator": "Exists"}, {"key": "l", "operator": "DoesNotExist", "values": []},
        ]}}),
    );
    assert_eq!(why, Vec::<String>::new());
    assert_eq!(
        policy.pods.requirements,
        [
            Requirement::In("a".into(), vec!["b".into()]),
            Requirement::In("k".into(), vec!["x".into(), "y".into()]),
            Requirement::NotIn("k".into(), vec!["z".into()]),
            Requirement::Exists("k".into()),
            Requirement::DoesNotExist("l".into()),
        ]
    );
}

/// A peer that is not understood is left out, and what is left of the list is never taken for an empty one.
#[test]
fn a_bad_peer_is_nobody() {
    let place = "spec.ingress[0].from[0]";
    for (peer, why) in [
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/33"}}),
            "ipBlock.cidr: \"10.0.0.0/33\" is no CIDR (address/length)",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.1"}}),
            "ipBlock.cidr: \"10.0.0.1\" is no CIDR (address/length)",
        ),
        (
            json!({"ipBlock": {"cidr": "::ffff:10.0.0.0/104"}}),
            "ipBlock.cidr: ::ffff:10.0.0.0/104 is an IPv4 prefix in the clothes of IPv6: write it as IPv4",
        ),
        (
            json!({"ipBlock": {}}),
            "ipBlock.cidr: \"\" is no CIDR (address/length)",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/16"]}}),
            "ipBlock.except[0]: 11.0.0.0/16 is no part of 10.0.0.0/8: the block allows nobody",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}),
            "ipBlock.except[0]: 10.0.0.0/8 is no part of 10.0.0.0/8: the block allows nobody",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["0.0.0.0/0"]}}),
            "ipBlock.except[0]: 0.0.0.0/0 is no part of 10.0.0.0/8: the block allows nobody",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "fd00::/64"]}}),
            "ipBlock.except[1]: fd00::/64 is no part of 10.0.0.0/8: the block allows nobody",
        ),
        (
            json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["x"]}}),
            "ipBlock.except[0]: \"x\" is no CIDR (address/length)",
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "k", "operator": "in", "values": ["x"]}]}}),
            "podSelector.matchExpressions[0].operator: \"in\" is none: In, NotIn, Exists and DoesNotExist are",
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "k", "operator": "In"}]}}),
            "podSelector.matchExpressions[0].values: missing, although the operator is In",
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "k", "operator": "NotIn", "values": []}]}}),
            "podSelector.matchExpressions[0].values: missing, although the operator is NotIn",
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"key": "k", "operator": "Exists", "values": ["x"]}]}}),
            "namespaceSelector.matchExpressions[0].values: given, although the operator is Exists",
        ),
        (
            json!({"namespaceSelector": {"matchExpressions": [{"operator": "Exists"}]}}),
            "namespaceSelector.matchExpressions[0].key: missing",
        ),
    ] {
        let (rule, faults) = rule("from", json!([peer]));
        assert_eq!(rule.peers, Some(vec![]), "{why}");
        assert_eq!(faults, [format!("{place}.{why}")]);
    }
    for peer in [
        json!({}),
        json!({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}),
    ] {
        let (rule, faults) = rule("from", json!([peer, {"podSelector": {}}]));
        assert_eq!(
            rule.peers.map(|peers| peers.len()),
            Some(1),
            "the good one stays"
        );
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with(place), "{faults:?}");
    }
}

#[test]
fn ports() {
    let one = |port: Value| {
        let (rule, why) = rule("ports", json!([port]));
        assert_eq!(why, Vec::<String>::new());
        let port = rule.ports.expect("ports").pop().expect("a port");
        (port.protocol, port.ports)
    };
    assert_eq!(one(json!({})), (Protocol::Tcp, Ports::All));
    assert_eq!(one(json!({"protocol": "UDP"})), (Protocol::Udp, Ports::All));
    assert_eq!(
        one(json!({"port": 53, "protocol": "SCTP"})),
        (Protocol::Sctp, Ports::Range(53, 53))
    );
    assert_eq!(
        one(json!({"port": 80, "endPort": 90})),
        (Protocol::Tcp, Ports::Range(80, 90))
    );
    assert_eq!(
        one(json!({"port": 80, "endPort": 80})),
        (Protocol::Tcp, Ports::Range(80, 80))
    );
    assert_eq!(
        one(json!({"port": "http"})),
        (Protocol::Tcp, Ports::Named("http".into()))
    );
}

#[test]
fn a_bad_port_is_no_port() {
    for (port, why) in [
        (json!({"port": 0}), "port: 0 is no port: 1 to 65535 are"),
        (
            json!({"port": 65536}),
            "port: 65536 is no port: 1 to 65535 are",
        ),
        (
            json!({"port": 80, "endPort": 79}),
            "endPort: 79 is below port 80",
        ),
        (
            json!({"port": 80, "endPort": 65536}),
            "endPort: 65536 is no port: 1 to 65535 are",
        ),
        (
            json!({"port": "http", "endPort": 90}),
            "endPort: beside a port's name",
        ),
        (json!({"endPort": 90}), "endPort: without port"),
        (
            json!({"protocol": "ICMP"}),
            "protocol: \"ICMP\" is no protocol: TCP, UDP and SCTP are",
        ),
        (json!({"port": "80"}), "port: \"80\" is no port's name"),
        (json!({"port": "HTTP"}), "port: \"HTTP\" is no port's name"),
        (
            json!({"port": "a-name-that-is-long"}),
            "port: \"a-name-that-is-long\" is no port's name",
        ),
    ] {
        let (rule, faults) = rule("ports", json!([port.clone()]));
        assert_eq!(rule.ports, Some(vec![]), "{why}");
        assert_eq!(faults, [format!("spec.ingress[0].ports[0].{why}")]);
        let (rule, _) = super::network_policy::rule("ports", json!([{"port": 1}, port]));
        assert_eq!(
            rule.ports.map(|ports| ports.len()),
            Some(1),
            "the good one stays"
        );
    }
}

#[test]
fn faults_of_egress_rules_are_named_as_such() {
    let (policy, why) =
        spec(json!({"podSelector": {}, "egress": [{}, {"to": [{}], "ports": [{"port": 0}]}]}));
    let egress = policy.egress.expect("isolation");
    assert_eq!(egress.len(), 1, "nothing is left of the second rule");
    assert_eq!(
        why,
        [
            "spec.egress[1].to[0]: names nobody: it allows nobody",
            "spec.egress[1].ports[0].port: 0 is no port: 1 to 65535 are"
        ]
    );
}

#[test]
fn a_policy_with_a_bad_selector_isolates_its_namespace() {
    let broken = json!({"matchExpressions": [{"key": "k", "operator": "Like", "values": ["x"]}]});
    let from = with(base(), "/spec/podSelector", broken);
    let (policy, why) = read(from.clone());
    assert_eq!(
        (policy.pods, policy.ingress, policy.egress),
        (Selector::default(), Some(vec![]), None)
    );
    assert_eq!(
        why,
        [
            "spec.podSelector.matchExpressions[0].operator: \"Like\" is none: In, NotIn, Exists and DoesNotExist are",
            "spec: refused: every pod of the namespace is isolated, and nothing is allowed"
        ]
    );
    let (policy, _) = read(with(from, "/spec/policyTypes", json!(["Egress"])));
    assert_eq!((policy.ingress, policy.egress), (None, Some(vec![])));
}

#[test]
fn the_field_of_a_misfit() {
    for (path, value, field) in [
        ("/spec/podSelector", json!("a"), "spec.podSelector"),
        (
            "/spec/ingress/0/ports/0/port",
            json!([80]),
            "spec.ingress[0].ports[0].port",
        ),
        (
            "/spec/ingress/0/from",
            json!({"podSelector": {}}),
            "spec.ingress[0].from",
        ),
        (
            "/spec/podSelector/matchLabels",
            json!({"a": true}),
            "spec.podSelector.matchLabels.a",
        ),
    ] {
        let misfit = network_policy(with(base(), path, value)).expect_err("a misfit");
        assert_eq!(misfit.field, field, "{misfit}");
    }
}

#[test]
fn peers_of_the_other_direction_allow_nobody() {
    let everyone = json!([{"podSelector": {}}]);
    let (policy, why) = spec(json!({"podSelector": {}, "ingress": [{"to": everyone}]}));
    assert_eq!(policy.ingress, Some(vec![]));
    assert_eq!(
        why,
        ["spec.ingress[0].to: this direction has \"from\": the rule allows nobody"]
    );
    let egress = json!([{"from": everyone, "to": everyone}]);
    let (policy, _) = spec(json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": egress}));
    assert_eq!(policy.egress, Some(vec![]));
}
