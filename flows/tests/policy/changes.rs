//! What a change costs, in flows: a pod that comes, changes or goes is a handful, whatever the number of policies.

use std::sync::Arc;

use sluice_flows::model::{Change, State};
use sluice_flows::{Compiler, Patch};

use crate::cluster::*;

/// One local pod, and `n` policies that select it, each with peers, ports and rules of its own; all of them select
/// pods with the label `everyone`.
fn node_with(n: usize) -> State {
    let mut state = state();
    state.apply(namespace("shop", &[("team", "shop")]));
    let web = pod("shop/web", &["10.0.0.1", "fd00::1"], &[("app", "web")]);
    state.apply(Change::PodSet(local(&web, 10)));
    state.apply(set(web));
    for i in 0..n {
        let app = format!("app=client-{i}");
        let everyone = pods_in(&["team"], &["everyone"]);
        let peers = vec![pods(&[&app]), everyone];
        let port = u16::try_from(1000 + i).unwrap();
        let mut policy = policy(&format!("shop/p{i}"), selector(&["app=web"]));
        policy.ingress = Some(vec![rule(peers.clone(), vec![tcp(port)])]);
        policy.egress = Some(vec![rule(peers, vec![])]);
        state.apply(set_policy(&policy));
    }
    state
}

/// Applies a change, holds the result against a full compilation, and returns the patch.
fn apply(compiler: &mut Compiler, change: Change) -> Patch {
    let mut switch = compiler.desired();
    let patch = compiler.apply(change);
    patch.apply_to(&mut switch);
    assert!(switch == sluice_flows::compile_all(compiler.state()));
    patch
}

fn flows(patch: &Patch) -> usize {
    patch.flows_set.len() + patch.flows_gone.len()
}

#[test]
fn a_pod_elsewhere_costs_the_same_with_any_number_of_policies() {
    println!("policies: came, relabelled, left");
    for n in [1, 8, 9, 100, 1000] {
        let mut compiler = Compiler::new(node_with(n));
        let gone = || Change::ClusterPodGone("shop".into(), "other".into());
        let address = "10.1.0.7";
        let other = |pairs: &[(&str, &str)]| set(pod("shop/other", &[address], pairs));

        // In no policy: nothing.
        assert_eq!(
            flows(&apply(&mut compiler, other(&[("app", "stranger")]))),
            0
        );
        assert_eq!(flows(&apply(&mut compiler, gone())), 0);

        // The first that all policies select, so that its class is new to each of them.
        let came = flows(&apply(&mut compiler, other(&[("everyone", "1")])));
        let changed = flows(&apply(&mut compiler, other(&[("app", "client-0")])));
        let left = flows(&apply(&mut compiler, gone()));
        println!("{n:>8}: {came}, {changed}, {left}");
        // One flow per direction for the address, and one for a class that is new. A few rules are written out
        // instead: one flow of each for the class, two where it has a port.
        let most = if n <= 8 { 2 + 3 * n } else { 4 };
        assert!(came <= most, "{came} with {n} policies");
        assert!(changed <= most + 4, "{changed} with {n} policies");
        assert!(left <= most, "{left} with {n} policies");

        // Another one of a class that is there: its address, in both directions.
        apply(&mut compiler, other(&[("everyone", "1")]));
        let second = set(pod("shop/second", &["10.1.0.8"], &[("everyone", "1")]));
        assert_eq!(flows(&apply(&mut compiler, second)), 2);
        let second = Change::ClusterPodGone("shop".into(), "second".into());
        assert_eq!(flows(&apply(&mut compiler, second)), 2);
    }
}

#[test]
fn a_pod_here_costs_the_same_with_any_number_of_policies() {
    for n in [1, 17, 1000] {
        let mut compiler = Compiler::new(node_with(n));
        let without = {
            let mut compiler = Compiler::new(state());
            flows(&apply(
                &mut compiler,
                Change::PodSet(local(&pod("shop/x", &["10.0.0.9"], &[]), 11)),
            ))
        };
        let another = pod("shop/another", &["10.0.0.9"], &[("app", "web")]);
        let known = flows(&apply(&mut compiler, set(another.clone())));
        assert_eq!(known, 0, "no rule speaks of it");
        // Its subject is there: what every pod has, and that and as whom it is judged, in five flows.
        let came = flows(&apply(&mut compiler, Change::PodSet(local(&another, 11))));
        assert_eq!(came, without + 5);
        let left = flows(&apply(
            &mut compiler,
            Change::PodGone(local(&another, 11).id),
        ));
        assert_eq!(left, without + 5);
    }
}

/// A rule that is new: itself, its ports, and what names it: the subject, and the classes of its peers.
#[test]
fn a_policy_costs_what_it_touches() {
    let mut compiler = Compiler::new(node_with(1000));
    for i in 0..50 {
        let name = format!("shop/client-{i}");
        let address = format!("10.1.1.{i}");
        compiler.apply(set(pod(
            &name,
            &[&address],
            &[("app", "client"), ("everyone", "1")],
        )));
    }
    let mut new = policy("shop/new", selector(&["app=web"]));
    new.ingress = Some(vec![rule(
        vec![pods(&["app=client"])],
        vec![tcp(80), tcp(443)],
    )]);
    let patch = apply(&mut compiler, set_policy(&new));
    // The pod has another subject then: one or two flows, those of the new one and of the old one, three of which a
    // family deny; a flow for each address, since they are told apart from others now; two classes, two ports in two
    // families, one rule.
    println!("a new policy for 50 addresses: {} flows", flows(&patch));
    assert!(flows(&patch) <= 50 + 24, "{}", flows(&patch));

    new.ingress = Some(vec![rule(vec![pods(&["app=client"])], vec![tcp(80)])]);
    let patch = apply(&mut compiler, set_policy(&new));
    // Another rule in place of the old one: ports, classes, subject, rules.
    println!("the same on one port less: {} flows", flows(&patch));
    assert!(flows(&patch) <= 12, "{}", flows(&patch));

    assert_eq!(apply(&mut compiler, set_policy(&new)), Patch::default());
    let elsewhere = policy("other/new", selector(&[]));
    assert_eq!(
        apply(&mut compiler, set_policy(&elsewhere)),
        Patch::default()
    );
}

/// A set of addresses in another order is the same set, and so is a rule in another place.
#[test]
fn order_is_no_change() {
    let mut compiler = Compiler::new(node_with(20));
    let mut first = policy("shop/new", selector(&["app=web"]));
    let rules = vec![
        rule(
            vec![
                block("10.1.0.0/16", &["10.1.2.0/24", "10.1.3.0/24"]),
                pods(&["a=1"]),
            ],
            vec![tcp(1), tcp(2)],
        ),
        rule(vec![], vec![tcp(3)]),
    ];
    first.ingress = Some(rules);
    apply(&mut compiler, set_policy(&first));
    first.ingress = Some(vec![
        rule(vec![], vec![tcp(3), tcp(3)]),
        rule(
            vec![
                pods(&["a=1"]),
                block("10.1.0.9/16", &["10.1.3.0/24", "10.1.2.0/24"]),
            ],
            vec![tcp(2), tcp(1)],
        ),
    ]);
    assert_eq!(flows(&apply(&mut compiler, set_policy(&first))), 0);
}

/// The pods of a start come with their flows, not one by one.
#[test]
fn nothing_depends_on_the_order_of_a_start() {
    let state = node_with(40);
    let mut compiler = Compiler::new(crate::cluster::state());
    let policies = state
        .policies
        .values()
        .rev()
        .cloned()
        .map(Change::PolicySet);
    let pods = state.cluster_pods.iter();
    let pods = pods.cloned().map(Change::ClusterPodSet);
    let locals = state.pods.values().cloned().map(Change::PodSet);
    let namespaces = state.namespaces.values().cloned().map(Change::NamespaceSet);
    for change in policies.chain(locals).chain(pods).chain(namespaces) {
        compiler.apply(change);
    }
    assert!(compiler.desired() == Compiler::new(state).desired());
}

/// The labels of a namespace decide about all its pods at once, in one patch.
#[test]
fn a_namespace_that_changes_takes_its_pods_along() {
    let mut compiler = Compiler::new(node_with(100));
    for i in 0..20 {
        let name = format!("guests/pod-{i}");
        let address = format!("10.1.1.{i}");
        let pod = Arc::new(pod(&name, &[&address], &[("everyone", "1")]));
        assert_eq!(flows(&apply(&mut compiler, Change::ClusterPodSet(pod))), 0);
    }
    let patch = apply(&mut compiler, namespace("guests", &[("team", "guests")]));
    assert_eq!(
        flows(&patch),
        20 * 2 + 2,
        "20 addresses and one class, in two directions"
    );
    let patch = apply(&mut compiler, Change::NamespaceGone("guests".into()));
    assert_eq!(flows(&patch), 20 * 2 + 2);
}
