//! What Open vSwitch can take, and that flows add up instead of multiplying.

use openflow::{Action, Instruction, Message};
use sluice_flows::model::{Change, PolicyPeer, PolicyPort, Ports, Protocol, State};
use sluice_flows::pipeline::Table;
use sluice_flows::{Compiler, PolicyFault, Program, Verdict, compile_all};

use crate::cluster::*;

fn web() -> State {
    let mut state = state();
    state.apply(namespace("shop", &[]));
    let web = pod("shop/web", &["10.0.0.1"], &[("app", "web")]);
    state.apply(Change::PodSet(local(&web, 10)));
    state.apply(set(web));
    state
}

/// How many flows the tables of policy have, beyond those of a node without policies.
fn flows(state: &State) -> usize {
    let mut bare = state.clone();
    bare.policies.clear();
    let (program, bare) = (compile_all(state), compile_all(&bare));
    check(&program);
    program.len() - bare.len()
}

/// What a switch would refuse.
fn check(program: &Program) {
    for (key, cookie, instructions) in program.flows() {
        let flow = sluice_flows::Flow {
            key: key.clone(),
            cookie,
            instructions: instructions.to_vec(),
        };
        let mut message = Vec::new();
        let encoded = Message::FlowMod(flow.to_add()).encode(1, &mut message);
        assert!(encoded.is_ok() && message.len() <= 65_535, "{key}");
        for instruction in instructions {
            let Instruction::ApplyActions(actions) = instruction else {
                continue;
            };
            for action in actions {
                if let Action::Conjunction {
                    id,
                    clause,
                    n_clauses,
                } = action
                {
                    assert!(*id > 0 && clause < n_clauses && (2..=64).contains(n_clauses));
                }
            }
        }
    }
}

#[test]
fn five_hundred_policies_on_one_pod() {
    let mut state = web();
    let mut counts = Vec::new();
    for i in 0..500u16 {
        let name = format!("shop/p{i}");
        let mut policy = policy(&name, selector(&["app=web"]));
        let client = format!("app=client-{i}");
        policy.ingress = Some(vec![rule(
            vec![pods(&[&client])],
            vec![tcp(1000 + i), tcp(53)],
        )]);
        state.apply(set_policy(&policy));
        let [high, low] = i.to_be_bytes();
        let address = format!("10.1.{high}.{low}");
        state.apply(set(pod(
            &format!("shop/c{i}"),
            &[&address],
            &[("app", &format!("client-{i}"))],
        )));
        if [124, 249, 499].contains(&i) {
            counts.push(flows(&state));
        }
    }
    println!("125, 250, 500 policies with a client and two ports each: {counts:?} flows");
    // For each: its client's address, its class, its port, itself; and the one port and subject that all share.
    assert!(counts[2] <= 4 * 500 + 20, "{counts:?}");
    assert!(
        counts[2] - counts[1] <= 2 * (counts[1] - counts[0]) + 20,
        "{counts:?}"
    );
}

#[test]
fn ten_thousand_prefixes_with_exceptions() {
    let mut counts = Vec::new();
    for n in [2_500u32, 5_000, 10_000] {
        let mut state = web();
        let blocks = (0..n).map(|i| {
            let [_, _, high, low] = i.to_be_bytes();
            let (cidr, except) = (
                format!("172.{high}.{low}.0/24"),
                format!("172.{high}.{low}.128/25"),
            );
            block(&cidr, &[&except])
        });
        let blocks: Vec<PolicyPeer> = blocks.collect();
        let mut policy = policy("shop/p", selector(&[]));
        policy.egress = Some(vec![rule(blocks.clone(), vec![tcp(443)])]);
        policy.ingress = Some(vec![rule(blocks, vec![])]);
        state.apply(set_policy(&policy));
        counts.push(flows(&state));
        let compiler = Compiler::new(state);
        let to = |s: &str| compiler.judge(ip("10.0.0.1"), ip(s), Some((Protocol::Tcp, 443)));
        assert_eq!(to("172.0.7.127"), Verdict::Allowed);
        assert_ne!(to("172.0.7.128"), Verdict::Allowed);
    }
    println!("2,500, 5,000, 10,000 prefixes with exceptions, both ways: {counts:?} flows");
    // Two for each prefix and direction, and a handful.
    assert!(counts[2] <= 4 * 10_000 + 20, "{counts:?}");
}

#[test]
fn a_thousand_ports_in_a_rule() {
    let mut state = web();
    let ports = (0..1000u16).map(|i| tcp(1000 + 2 * i));
    let mut policy = policy("shop/p", selector(&[]));
    let clients = vec![pods(&["app=client"]), pods(&["app=other"])];
    policy.ingress = Some(vec![rule(clients, ports.collect())]);
    state.apply(set_policy(&policy));
    for i in 0..100 {
        let name = format!("shop/c{i}");
        let address = format!("10.1.0.{i}");
        state.apply(set(pod(&name, &[&address], &[("app", "client")])));
    }
    let count = flows(&state);
    println!("1,000 ports for 100 clients: {count} flows");
    assert!(count <= 1000 + 100 + 20, "{count}");

    // Ports in a row take few matches.
    let range = |from, to| PolicyPort {
        protocol: Protocol::Udp,
        ports: Ports::Range(from, to),
    };
    policy.ingress = Some(vec![rule(
        vec![pods(&["app=client"])],
        vec![range(1000, 1999), range(2000, 2999)],
    )]);
    state.apply(set_policy(&policy));
    let count = flows(&state);
    assert!(count <= 120 + 20, "{count}");
}

/// One pod in thousands of rules: the names of a conjunction do not fit into one message.
#[test]
fn more_conjunctions_than_a_message_holds() {
    let mut state = web();
    state.apply(set(pod("shop/client", &["10.1.0.1"], &[("app", "client")])));
    for i in 0..6000u16 {
        let mut policy = policy(&format!("shop/p{i}"), selector(&["app=web"]));
        policy.ingress = Some(vec![rule(
            vec![pods(&["app=client"])],
            vec![tcp(i), tcp(60000)],
        )]);
        state.apply(set_policy(&policy));
    }
    let count = flows(&state);
    println!("6,000 rules for one client: {count} flows");
    // A rule and a port each; one subject, one class and one port in each of four banks.
    assert!(count <= 2 * 6000 + 4 * 3 + 20, "{count}");
    let largest = |table: Table| {
        let program = compile_all(&state);
        let sizes = program.flows().filter(|(key, ..)| key.table == table.id());
        let sizes = sizes.map(|(_, _, instructions)| match instructions.first() {
            Some(Instruction::ApplyActions(actions)) => actions.len(),
            _ => 0,
        });
        sizes.max().unwrap()
    };
    assert!(largest(Table::IngressPolicy) > 1000);
    let mut compiler = Compiler::new(state);
    let judge = |compiler: &Compiler, port| {
        compiler.judge(ip("10.1.0.1"), ip("10.0.0.1"), Some((Protocol::Tcp, port)))
    };
    assert_eq!(judge(&compiler, 5999), Verdict::Allowed);
    assert_ne!(judge(&compiler, 6001), Verdict::Allowed);
    let mut switch = compiler.desired();
    let second = set(pod(
        "shop/second",
        &["10.1.0.2"],
        &[("app", "client"), ("x", "y")],
    ));
    let patch = compiler.apply(second);
    assert_eq!(patch.flows_set.len(), 1, "the same class");
    patch.apply_to(&mut switch);
    assert!(switch == compile_all(compiler.state()));
}

/// A policy that is too much isolates its pods, allows nothing, and says so.
#[test]
fn too_much_is_closed_and_named() {
    let mut state = web();
    let mut huge = policy("shop/huge", selector(&[]));
    let scattered = (0..30_000u16).map(|i| tcp(2 * i));
    huge.ingress = Some(vec![rule(vec![], scattered.collect())]);
    state.apply(set_policy(&huge));
    let mut compiler = Compiler::new(state);
    let judge = |compiler: &Compiler| {
        compiler.judge(ip("10.1.0.1"), ip("10.0.0.1"), Some((Protocol::Tcp, 80)))
    };
    assert_ne!(judge(&compiler), Verdict::Allowed);
    let faults = compiler.policy_faults();
    assert!(matches!(&*faults, [PolicyFault::Policy { id, .. }] if id.as_str() == "shop/huge"));
    assert!(
        faults[0]
            .to_string()
            .starts_with("policy shop/huge isolates its pods"),
        "{}",
        faults[0]
    );
    assert!(compiler.policies()[0].fault.is_some());
    huge.ingress = Some(vec![rule(vec![], vec![tcp(80)])]);
    compiler.apply(set_policy(&huge));
    assert_eq!(judge(&compiler), Verdict::Allowed);
    assert_eq!(compiler.policy_faults(), vec![]);
}

/// Where more contents share a hash than there are numbers for, those too many are allowed nothing.
#[test]
fn without_a_number_nothing_is_allowed() {
    let mut state = web();
    for i in 0..60u8 {
        let (name, app) = (format!("shop/c{i}"), format!("c{i}"));
        let address = format!("10.1.0.{i}");
        state.apply(set(pod(&name, &[&address], &[("app", &app)])));
        let mut policy = policy(&format!("shop/p{i}"), selector(&["app=web"]));
        policy.ingress = Some(vec![rule(vec![pods(&[&format!("app={app}")])], vec![])]);
        state.apply(set_policy(&policy));
    }
    let compiler = Compiler::with_number_bits(state.clone(), 1);
    assert!(matches!(
        &*compiler.policy_faults(),
        [PolicyFault::Numbers { .. }]
    ));
    let full = Compiler::new(state);
    assert_eq!(full.policy_faults(), vec![]);
    for i in 0..60u8 {
        let client = ip(&format!("10.1.0.{i}"));
        assert_eq!(full.judge(client, ip("10.0.0.1"), None), Verdict::Allowed);
    }
}
