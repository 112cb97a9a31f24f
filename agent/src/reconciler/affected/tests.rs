use std::sync::Arc;

use openflow::MacAddr;
use sluice_flows::model::{
    Capabilities, Change, ClusterPod, Gateway, LocalNode, LocalPod, Policy, PolicyId, PolicyPeer,
    Requirement, Rule, Selector, State, Uid,
};

use super::*;

/// Two pods, of which a policy selects the first, with a rule for a block of addresses.
fn compiler() -> Compiler {
    let mut state = State::new(LocalNode {
        name: "here".into(),
        pod_cidrs: vec!["10.0.0.0/16".parse().expect("a range")],
        gateway: Gateway {
            ofport: 2,
            mac: MacAddr([2; 6]),
            ips: vec!["10.0.255.1".parse().expect("an address")],
        },
        tunnel: None,
        addresses: vec!["192.0.2.1".parse().expect("an address")],
        node_port_addresses: Vec::new(),
        caps: Capabilities::default(),
    });
    for (number, name) in ["web", "other"].into_iter().enumerate() {
        let ips = vec![
            format!("10.0.0.{}", 2 + number)
                .parse()
                .expect("an address"),
        ];
        let labels = [("app".into(), name.into())];
        state.apply(Change::ClusterPodSet(Arc::new(ClusterPod {
            uid: Uid::default(),
            namespace: "shop".into(),
            name: name.into(),
            labels: Arc::new(labels.into()),
            ips: ips.clone().into(),
            ports: Arc::default(),
        })));
        state.apply(Change::PodSet(LocalPod {
            id: format!("sandbox-{name}").into(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: Uid::default(),
            ofport: 1024 + u32::try_from(number).expect("few"),
            mac: MacAddr([3; 6]),
            ips,
        }));
    }
    state.apply(Change::PolicySet(Arc::new(Policy {
        id: PolicyId::new("shop", "guard"),
        namespace: "shop".into(),
        pods: Selector {
            requirements: vec![Requirement::In("app".into(), vec!["web".into()])],
        },
        ingress: Some(vec![Rule {
            peers: Some(vec![PolicyPeer::IpBlock {
                cidr: "10.9.0.0/16".parse().expect("a block"),
                except: Vec::new(),
            }]),
            ports: None,
        }]),
        egress: None,
    })));
    Compiler::new(state)
}

fn told(compiler: &Compiler, cookie: Cookie) -> Vec<(String, Lacking, String)> {
    let lacks = lacks(compiler, [(cookie, "it is full")].into_iter());
    let lacks = lacks.into_iter();
    lacks.map(|it| (it.name, it.what, it.why)).collect()
}

#[test]
fn nothing_is_told_while_nothing_is_wrong() {
    assert!(lacks(&compiler(), std::iter::empty()).is_empty());
}

#[test]
fn a_pods_own_flow_concerns_that_pod() {
    let cookie = Cookie::pod(&"sandbox-other".into());
    assert_eq!(
        told(&compiler(), cookie),
        [("other".into(), Lacking::Attachment, "it is full".into())]
    );
    assert!(told(&compiler(), Cookie::pod(&"gone".into())).is_empty());
}

#[test]
fn a_policys_flow_concerns_the_pods_that_it_selects() {
    let compiler = compiler();
    let program = compiler.desired();
    let mut seen = BTreeSet::new();
    let cookies: BTreeSet<Cookie> = program.flows().map(|(_, cookie, _)| cookie).collect();
    for cookie in cookies {
        if matches!(cookie.kind(), Some(Kind::Policy | Kind::PolicyClass)) {
            seen.insert(cookie.kind());
            assert_eq!(
                told(&compiler, cookie),
                [("web".into(), Lacking::Policy, "it is full".into())],
                "{}",
                cookie.describe(&compiler.registry())
            );
        }
    }
    // Rules, and classes of addresses and pods.
    assert_eq!(seen.len(), 2);
}
