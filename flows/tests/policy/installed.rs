//! Flows of policy through our own connection: a switch takes all of them, those that go by themselves included, and
//! reads back what was meant.

use openflow::Connection;
use openflow::connection::{FlowStatsRequest, Options};
use sluice_flows::model::{Change, PolicyPort, Ports, Protocol};
use sluice_flows::{Compiler, Patch, Program, compile_all, diff};

use crate::cluster::*;
use crate::switch::Switch;

async fn difference(connection: &Connection, desired: &Program) -> Patch {
    let flows = connection.dump_flows(FlowStatsRequest::default()).await;
    diff(desired, &flows.unwrap(), &[])
}

#[tokio::test]
async fn a_switch_reads_back_what_was_meant() {
    let switch = Switch::start(&[TUNNEL, GATEWAY, 10, 11], TUNNEL);
    let connection = Connection::connect(switch.target().parse().unwrap(), Options::default());
    connection.connected().await.unwrap();

    let mut state = state();
    state.apply(namespace("shop", &[]));
    let addresses = [["10.0.0.1", "fd00::1"], ["10.0.0.2", "fd00::2"]];
    for (i, addresses) in (0u32..).zip(addresses) {
        let pod = pod(&format!("shop/pod-{i}"), &addresses, &[("app", "web")]);
        let pod = with_port(pod, "http", Protocol::Tcp, 8080);
        state.apply(Change::PodSet(local(&pod, 10 + i)));
        state.apply(set(pod));
    }
    state.apply(set(pod("shop/client", &["10.1.0.1"], &[("app", "client")])));
    let mut compiler = Compiler::new(state.clone());
    let start = Patch::between(&Program::default(), &compiler.desired());
    connection.bundle(start.messages()).await.unwrap();

    // One policy is written out, twenty are conjunctions; the first isolates pods that were not.
    for i in 0..20u16 {
        let mut policy = policy(&format!("shop/p{i}"), selector(&["app=web"]));
        let named = PolicyPort {
            protocol: Protocol::Tcp,
            ports: Ports::Named("http".into()),
        };
        let range = PolicyPort {
            protocol: Protocol::Sctp,
            ports: Ports::Range(1000 + i, 2000),
        };
        let all = PolicyPort {
            protocol: Protocol::Udp,
            ports: Ports::All,
        };
        let peers = vec![
            pods(&["app=client"]),
            block("0.0.0.0/0", &["10.0.0.0/8"]),
            block("2001:db8::/32", &[]),
        ];
        policy.ingress = Some(vec![
            rule(peers.clone(), vec![tcp(i), named.clone(), range]),
            rule(vec![], vec![tcp(1000 + i)]),
        ]);
        policy.egress = Some(vec![
            rule(peers, vec![named, all]),
            rule(vec![pods(&[])], vec![]),
        ]);
        let patch = compiler.apply(set_policy(&policy));
        assert_eq!(patch.passing.is_empty(), i > 0);
        let sent = connection.bundle(patch.messages()).await;
        sent.unwrap_or_else(|error| panic!("{error}: {patch:#?}"));
        let left = difference(&connection, &compiler.desired()).await;
        assert!(left.is_empty(), "{left:#?}");
    }
    // An agent that starts anew has nothing to send.
    let left = difference(&connection, &compile_all(compiler.state())).await;
    assert!(left.is_empty(), "{left:#?}");

    let gone: Vec<_> = compiler.state().policies.keys().cloned().collect();
    for id in gone {
        let patch = compiler.apply(Change::PolicyGone(id));
        connection.bundle(patch.messages()).await.unwrap();
    }
    let left = difference(&connection, &compile_all(&state)).await;
    assert!(left.is_empty(), "{left:#?}");
}
