//! What `sluicectl policies` is made of: who is selected, what is said, and which flows count it.

use std::collections::BTreeSet;

use sluice_flows::interpreter::Tables;
use sluice_flows::model::{Change, PolicyPort, Ports, Protocol};
use sluice_flows::{Compiler, Direction};

use crate::cluster::*;
use crate::flows::{judging, packet};

fn shop() -> Compiler {
    let mut state = state();
    state.apply(namespace("shop", &[("team", "shop")]));
    let web = with_port(
        pod("shop/web", &["10.0.0.1"], &[("app", "web")]),
        "http",
        Protocol::Tcp,
        8080,
    );
    let other = pod("shop/other", &["10.0.0.2"], &[("app", "other")]);
    for (pod, port) in [(web, 10), (other, 11)] {
        state.apply(Change::PodSet(local(&pod, port)));
        state.apply(set(pod));
    }
    state.apply(set(pod("shop/client", &["10.1.0.1"], &[("app", "client")])));
    let named = PolicyPort {
        protocol: Protocol::Tcp,
        ports: Ports::Named("http".into()),
    };
    let range = PolicyPort {
        protocol: Protocol::Udp,
        ports: Ports::Range(5000, 5999),
    };
    let mut first = policy("shop/web", selector(&["app=web"]));
    first.ingress = Some(vec![
        rule(
            vec![pods(&["app=client"]), pods_in(&["team=ops"], &[])],
            vec![named],
        ),
        rule(
            vec![block("172.16.0.0/12", &["172.16.5.0/24"])],
            vec![tcp(443), range],
        ),
    ]);
    let mut second = policy("shop/deny-all", selector(&[]));
    second.ingress = Some(vec![]);
    second.egress = Some(vec![]);
    state.apply(set_policy(&first));
    state.apply(set_policy(&second));
    Compiler::new(state)
}

#[test]
fn policies_say_whom_they_select_and_what_they_allow() {
    let reports = shop().policies();
    let names: Vec<&str> = reports.iter().map(|report| report.id.as_str()).collect();
    assert_eq!(names, ["shop/deny-all", "shop/web"]);
    let [deny, web] = &*reports else { panic!() };
    assert_eq!(deny.pods.len(), 2);
    assert_eq!(deny.isolates, Direction::ALL);
    assert_eq!(web.isolates, [Direction::Ingress]);
    assert!(deny.rules.is_empty());
    let texts: Vec<&str> = web.rules.iter().map(|rule| &*rule.text).collect();
    assert_eq!(
        texts,
        [
            "from pods app=client of namespace shop, or all pods of namespaces team=ops, on tcp http",
            "from 172.16.0.0/12 except 172.16.5.0/24, on tcp 443, udp 5000-5999",
        ]
    );
    assert!(web.rules.iter().all(|rule| rule.cookies.len() == 1));
}

/// The flow that lets a packet pass has the cookie of the rule, and the one that drops it that of the isolation.
#[test]
fn cookies_count_what_reports_say() {
    let compiler = shop();
    let program = judging(&compiler.desired());
    let tables = Tables::from(&program);
    let web = &compiler.policies()[1];
    let cookies = |from: &str, port| {
        let packet = packet(
            compiler.state(),
            ip(from),
            ip("10.0.0.1"),
            Some((Protocol::Tcp, port)),
        );
        let trace = tables.run(packet).trace;
        trace
            .into_iter()
            .map(|step| step.cookie)
            .collect::<BTreeSet<u64>>()
    };
    let rule = |index: usize| web.rules[index].cookies[0].to_u64();
    assert!(cookies("10.1.0.1", 8080).contains(&rule(0)));
    assert!(!cookies("10.1.0.1", 8080).contains(&rule(1)));
    assert!(cookies("172.16.0.1", 443).contains(&rule(1)));
    let subjects = compiler.subjects();
    let of_web = subjects
        .iter()
        .find(|subject| subject.direction == Direction::Ingress && subject.policies.len() == 2);
    let of_web = of_web.unwrap();
    assert_eq!(of_web.pods, [local(&pod("shop/web", &[], &[]), 10).id]);
    assert!(cookies("172.16.5.1", 443).contains(&of_web.cookie.to_u64()));

    let registry = compiler.registry();
    assert_eq!(registry.describe(rule(1)), "policy shop/web ingress rule 1");
    assert_eq!(
        registry.describe(of_web.cookie.to_u64()),
        "policy-class ingress isolation by shop/deny-all, shop/web"
    );
    for (key, cookie, _) in compiler.desired().flows() {
        let name = registry.describe(cookie.to_u64());
        assert!(!name.contains("no longer known"), "{key}: {name}");
    }
}

/// What is the same for two pods is counted together, what two policies of a namespace say alike, too.
#[test]
fn the_same_rule_is_one() {
    let mut compiler = shop();
    let mut copy = policy("shop/copy", selector(&["app=web"]));
    copy.ingress = Some(vec![rule(
        vec![block("172.16.0.0/12", &["172.16.5.0/24"])],
        vec![tcp(443)],
    )]);
    let mut again = policy("shop/again", selector(&["app=other"]));
    again.ingress = copy.ingress.clone();
    compiler.apply(set_policy(&copy));
    compiler.apply(set_policy(&again));
    let reports = compiler.policies();
    let cookies = |name: &str| {
        let report = reports
            .iter()
            .find(|report| report.id.as_str() == name)
            .unwrap();
        report.rules[0].cookies.clone()
    };
    assert_eq!(cookies("shop/copy"), cookies("shop/again"));
    let text = compiler
        .registry()
        .describe(cookies("shop/copy")[0].to_u64());
    assert_eq!(
        text,
        "policy shop/again ingress rule 0 or shop/copy ingress rule 0"
    );
}
