//! Single questions of meaning, spelled out; through the whole pipeline, conntrack included.

use openflow::{Field, MacAddr, PortNo};
use sluice_flows::interpreter::{Packet, Tables, Verdict, World};
use sluice_flows::model::{Change, ClusterPod, LocalPod, PolicyPort, Ports, Protocol, State, Uid};
use sluice_flows::pipeline::Table;
use sluice_flows::{Compiler, DropReason, compile_all};

use crate::cluster::*;
use crate::flows::packet;

/// Pods web (10.0.0.1, port 10) and other (10.0.0.2, port 11) here, client (10.1.0.1) elsewhere.
fn shop() -> State {
    let mut state = state();
    state.apply(namespace("shop", &[]));
    let web = pod("shop/web", &["10.0.0.1", "fd00::1"], &[("app", "web")]);
    let other = pod("shop/other", &["10.0.0.2", "fd00::2"], &[("app", "other")]);
    for (pod, port) in [(web, 10), (other, 11)] {
        state.apply(Change::PodSet(local(&pod, port)));
        state.apply(set(pod));
    }
    state.apply(set(pod("shop/client", &["10.1.0.1"], &[("app", "client")])));
    state
}

fn with_ingress(rules: Vec<sluice_flows::model::Rule>) -> State {
    let mut state = shop();
    let mut policy = policy("shop/p", selector(&["app=web"]));
    policy.ingress = Some(rules);
    state.apply(set_policy(&policy));
    state
}

fn with_egress(rules: Vec<sluice_flows::model::Rule>) -> State {
    let mut state = shop();
    let mut policy = policy("shop/p", selector(&["app=web"]));
    policy.egress = Some(rules);
    state.apply(set_policy(&policy));
    state
}

type Port = Option<(Protocol, u16)>;

const HTTP: Port = Some((Protocol::Tcp, 80));

/// A connection: what becomes of its first packet, and of the answer.
struct Talk<'a> {
    state: &'a State,
    tables: Tables<'a>,
    world: World,
}

fn syn(packet: Packet) -> Packet {
    match packet.get(Field::IP_PROTO).to_u8() {
        6 => packet.with(Field::TCP_FLAGS, 0x002u16),
        _ => packet,
    }
}

/// The answer to a packet, by the port that it comes by.
fn answer(state: &State, packet: &Packet) -> Packet {
    let v4 = packet.get(Field::ETH_TYPE).to_u16() == 0x0800;
    let address = |field: Field| match v4 {
        true => std::net::IpAddr::from(packet.get(field).to_ipv4()),
        false => std::net::IpAddr::from(packet.get(field).to_ipv6()),
    };
    let (from, to) = match v4 {
        true => (Field::IPV4_SRC, Field::IPV4_DST),
        false => (Field::IPV6_SRC, Field::IPV6_DST),
    };
    let mut back = crate::flows::packet(state, address(to), address(from), HTTP);
    let protocol = packet.get(Field::IP_PROTO).to_u8();
    back.set(Field::IP_PROTO, protocol);
    let (source, destination) = match protocol {
        6 => (Field::TCP_SRC, Field::TCP_DST),
        _ => (Field::UDP_SRC, Field::UDP_DST),
    };
    back.set(source, packet.get(destination));
    back.set(destination, packet.get(source));
    match protocol {
        6 => back.with(Field::TCP_FLAGS, 0x012u16),
        _ => back,
    }
}

impl Talk<'_> {
    fn send(&mut self, packet: Packet) -> Option<DropReason> {
        let outcome = self.tables.run_in(&mut self.world, packet);
        match outcome.verdict {
            Verdict::Output(_) => None,
            Verdict::Dropped(reason) => Some(reason),
            ref other => panic!("{other:?}\n{outcome}"),
        }
    }

    fn first(&mut self, from: &str, to: &str, port: Port) -> Option<DropReason> {
        self.send(syn(packet(self.state, ip(from), ip(to), port)))
    }
}

fn in_state<T>(state: &State, run: impl FnOnce(&mut Talk<'_>) -> T) -> T {
    let program = compile_all(state);
    run(&mut Talk {
        state,
        tables: Tables::from(&program),
        world: World::default(),
    })
}

fn first(state: &State, from: &str, to: &str, port: Port) -> Option<DropReason> {
    in_state(state, |talk| talk.first(from, to, port))
}

const DENIED_IN: Option<DropReason> = Some(DropReason::IngressIsolation);
const DENIED_OUT: Option<DropReason> = Some(DropReason::EgressIsolation);

#[test]
fn no_rules_are_nothing_and_an_empty_rule_is_everything() {
    assert_eq!(first(&shop(), "10.1.0.1", "10.0.0.1", HTTP), None);
    let nothing = with_ingress(vec![]);
    assert_eq!(first(&nothing, "10.1.0.1", "10.0.0.1", HTTP), DENIED_IN);
    assert_eq!(first(&nothing, "10.0.0.2", "10.0.0.1", HTTP), DENIED_IN);
    assert_eq!(
        first(&nothing, "10.1.0.1", "10.0.0.2", HTTP),
        None,
        "another pod"
    );
    let everything = with_ingress(vec![rule(vec![], vec![])]);
    for port in [
        HTTP,
        None,
        Some((Protocol::Sctp, 9)),
        Some((Protocol::Udp, 53)),
    ] {
        assert_eq!(first(&everything, "10.1.0.1", "10.0.0.1", port), None);
        assert_eq!(first(&nothing, "10.1.0.1", "10.0.0.1", port), DENIED_IN);
    }
    let empty_lists = sluice_flows::model::Rule {
        peers: Some(vec![]),
        ports: Some(vec![]),
    };
    assert_eq!(
        first(
            &with_ingress(vec![empty_lists]),
            "198.51.100.1",
            "10.0.0.1",
            HTTP
        ),
        None
    );
}

/// Replies of allowed connections pass, whichever end is isolated in whichever direction.
#[test]
fn replies_always_pass() {
    let one_way = [
        (
            with_ingress(vec![rule(vec![pods(&["app=client"])], vec![])]),
            "10.1.0.1",
            "10.0.0.1",
        ),
        (with_ingress(vec![]), "10.0.0.1", "10.1.0.1"),
        (with_ingress(vec![]), "10.0.0.1", "10.0.0.2"),
        (
            with_egress(vec![rule(vec![pods(&["app=client"])], vec![])]),
            "10.0.0.1",
            "10.1.0.1",
        ),
        (with_egress(vec![]), "10.1.0.1", "10.0.0.1"),
        (with_egress(vec![]), "10.0.0.2", "10.0.0.1"),
        (with_egress(vec![]), GATEWAY_IP, "10.0.0.1"),
        (with_ingress(vec![]), GATEWAY_IP, "10.0.0.1"),
    ];
    for (state, from, to) in one_way {
        for port in [HTTP, Some((Protocol::Udp, 53))] {
            in_state(&state, |talk| {
                let packet = syn(packet(&state, ip(from), ip(to), port));
                assert_eq!(talk.send(packet.clone()), None, "{from} to {to}");
                assert_eq!(
                    talk.send(answer(&state, &packet)),
                    None,
                    "{to} back to {from}"
                );
                assert_eq!(talk.send(packet), None);
            });
        }
    }
}

/// What is no answer to anything is judged.
#[test]
fn an_answer_to_nothing_is_no_reply() {
    let state = with_ingress(vec![]);
    let unasked = answer(
        &state,
        &packet(
            &state,
            ip("10.0.0.1"),
            ip("10.1.0.1"),
            Some((Protocol::Udp, 53)),
        ),
    );
    assert_eq!(in_state(&state, |talk| talk.send(unasked)), DENIED_IN);
}

#[test]
fn the_node_reaches_its_pods_and_nobody_in_its_place() {
    let closed = with_ingress(vec![]);
    assert_eq!(first(&closed, GATEWAY_IP, "10.0.0.1", HTTP), None);
    assert_eq!(first(&closed, "192.0.2.1", "10.0.0.1", HTTP), None);
    assert_eq!(first(&closed, "198.51.100.9", "10.0.0.1", HTTP), DENIED_IN);
    let mut through_tunnel = packet(&closed, ip("10.1.0.1"), ip("10.0.0.1"), HTTP);
    through_tunnel.set(Field::IPV4_SRC, std::net::Ipv4Addr::new(192, 0, 2, 1));
    assert_eq!(
        in_state(&closed, |talk| talk.send(syn(through_tunnel))),
        DENIED_IN
    );
}

#[test]
fn icmp_is_for_rules_without_ports() {
    let on_ports = with_ingress(vec![rule(vec![], vec![tcp(80)])]);
    assert_eq!(first(&on_ports, "10.1.0.1", "10.0.0.1", HTTP), None);
    assert_eq!(first(&on_ports, "10.1.0.1", "10.0.0.1", None), DENIED_IN);
    let whole = with_ingress(vec![rule(vec![pods(&["app=client"])], vec![])]);
    assert_eq!(first(&whole, "10.1.0.1", "10.0.0.1", None), None);
    assert_eq!(first(&whole, "10.1.0.9", "10.0.0.1", None), DENIED_IN);
    assert_eq!(first(&whole, "fd01::1", "fd00::1", None), DENIED_IN);
}

#[test]
fn sctp_isolates_and_is_no_tcp() {
    let sctp = PolicyPort {
        protocol: Protocol::Sctp,
        ports: Ports::Range(80, 80),
    };
    let state = with_ingress(vec![rule(vec![], vec![sctp])]);
    assert_eq!(
        first(&state, "10.1.0.1", "10.0.0.1", Some((Protocol::Sctp, 80))),
        None
    );
    assert_eq!(first(&state, "10.1.0.1", "10.0.0.1", HTTP), DENIED_IN);
}

/// An exception is no prohibition, and the longest prefix knows of those around it.
#[test]
fn prefixes_within_prefixes() {
    let blocks = |blocks: Vec<_>| with_egress(vec![rule(blocks, vec![])]);
    let to = |state: &State, to: &str| first(state, "10.0.0.1", to, HTTP);
    let state = blocks(vec![block("198.51.0.0/16", &["198.51.100.0/24"])]);
    assert_eq!(to(&state, "198.51.99.1"), None);
    assert_eq!(to(&state, "198.51.100.1"), DENIED_OUT);
    assert_eq!(to(&state, "203.0.113.1"), DENIED_OUT);
    let state = blocks(vec![
        block("198.51.0.0/16", &["198.51.100.0/24"]),
        block("198.51.100.128/25", &["198.51.100.200/32"]),
    ]);
    assert_eq!(to(&state, "198.51.100.1"), DENIED_OUT);
    assert_eq!(to(&state, "198.51.100.129"), None);
    assert_eq!(to(&state, "198.51.100.200"), DENIED_OUT);
    // A pod's address is in the blocks around it, whether or not the pod is a peer itself.
    let state = blocks(vec![
        block("10.1.0.0/16", &["10.1.0.0/24"]),
        pods(&["app=client"]),
    ]);
    assert_eq!(to(&state, "10.1.0.1"), None, "as a pod");
    assert_eq!(to(&state, "10.1.0.2"), DENIED_OUT);
    assert_eq!(to(&state, "10.1.1.2"), None);
    let state = blocks(vec![block("::/0", &["fd01::/64"])]);
    assert_eq!(first(&state, "fd00::1", "2001:db8::1", HTTP), None);
    assert_eq!(first(&state, "fd00::1", "fd01::1", HTTP), DENIED_OUT);
    assert_eq!(to(&state, "198.51.100.1"), DENIED_OUT, "the other family");
}

/// One name, different numbers and protocols.
#[test]
fn named_ports_are_the_destinations() {
    let http = PolicyPort {
        protocol: Protocol::Tcp,
        ports: Ports::Named("http".into()),
    };
    let mut state = with_egress(vec![rule(vec![], vec![http])]);
    let serving = |name: &str, address: &str, protocol, port| {
        set(with_port(
            pod(name, &[address], &[]),
            "http",
            protocol,
            port,
        ))
    };
    state.apply(serving("shop/a", "10.1.1.1", Protocol::Tcp, 8080));
    state.apply(serving("shop/b", "10.1.1.2", Protocol::Tcp, 9090));
    state.apply(serving("shop/c", "10.1.1.3", Protocol::Udp, 8080));
    let to = |to: &str, port| first(&state, "10.0.0.1", to, Some((Protocol::Tcp, port)));
    assert_eq!(to("10.1.1.1", 8080), None);
    assert_eq!(to("10.1.1.1", 9090), DENIED_OUT);
    assert_eq!(to("10.1.1.2", 9090), None);
    assert_eq!(to("10.1.1.2", 8080), DENIED_OUT);
    assert_eq!(to("10.1.1.3", 8080), DENIED_OUT, "it has that name for UDP");
    assert_eq!(to("198.51.100.1", 8080), DENIED_OUT, "no pod, no name");
}

/// What comes in: one rule, and pods that it means differently, or not at all.
#[test]
fn named_ports_are_those_of_the_pod_that_is_asked() {
    let http = PolicyPort {
        protocol: Protocol::Tcp,
        ports: Ports::Named("http".into()),
    };
    let mut state = state();
    state.apply(namespace("shop", &[]));
    let bare = |n: u8| pod(&format!("shop/p{n}"), &[&format!("10.0.0.{n}")], &[]);
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let pods = [
        with_port(bare(1), "http", tcp, 8080),
        with_port(bare(2), "http", tcp, 9090),
        with_port(bare(3), "http", udp, 8080),
        // One name for two protocols, as DNS has it, and for two numbers.
        with_port(with_port(bare(4), "http", tcp, 8080), "http", udp, 9090),
        with_port(with_port(bare(5), "http", tcp, 8080), "http", tcp, 9090),
        with_port(bare(6), "web", tcp, 8080),
        bare(7),
    ];
    for (pod, port) in pods.iter().zip(10..) {
        state.apply(Change::PodSet(local(pod, port)));
        state.apply(set(pod.clone()));
    }
    let mut everyone = policy("shop/p", selector(&[]));
    everyone.ingress = Some(vec![rule(vec![], vec![http])]);
    state.apply(set_policy(&everyone));
    let open = |n: u8| {
        let asked = [(tcp, 8080), (tcp, 9090), (udp, 8080), (udp, 9090)];
        let mut open = asked.to_vec();
        open.retain(|port| {
            first(&state, "10.1.0.1", &format!("10.0.0.{n}"), Some(*port)).is_none()
        });
        open
    };
    let found: Vec<_> = (1..=7).map(open).collect();
    let expected: [&[(Protocol, u16)]; 7] = [
        &[(tcp, 8080)],
        &[(tcp, 9090)],
        &[],
        &[(tcp, 8080)],
        &[(tcp, 8080), (tcp, 9090)],
        &[],
        &[],
    ];
    assert_eq!(found, expected);
}

/// Every operator, of labels that are there, are there without a value, and are not there: on the pods that a policy
/// is about, on pods that are its peers, and on their namespaces.
#[test]
fn selectors_select() {
    use sluice_flows::model::{PolicyPeer, Requirement, Selector};
    let one = |values: &[&str]| values.iter().map(|v| (*v).into()).collect::<Vec<_>>();
    let is_in = |values: &[&str]| Requirement::In("tier".into(), one(values));
    let not_in = |values: &[&str]| Requirement::NotIn("tier".into(), one(values));
    let exists = || Requirement::Exists("tier".into());
    let is_not_there = || Requirement::DoesNotExist("tier".into());
    let labels: [&[(&str, &str)]; 4] = [
        &[("tier", "front")],
        &[("tier", "back")],
        &[("tier", "")],
        &[("level", "front")],
    ];
    let cases: [(Vec<Requirement>, [bool; 4]); 14] = [
        (vec![], [true, true, true, true]),
        (vec![is_in(&["front"])], [true, false, false, false]),
        (vec![is_in(&["front", "back"])], [true, true, false, false]),
        (vec![is_in(&["other"])], [false, false, false, false]),
        (vec![is_in(&[""])], [false, false, true, false]),
        (vec![not_in(&["front"])], [false, true, true, true]),
        (vec![not_in(&["front", "back"])], [false, false, true, true]),
        (vec![not_in(&[""])], [true, true, false, true]),
        (vec![exists()], [true, true, true, false]),
        (vec![is_not_there()], [false, false, false, true]),
        (
            vec![exists(), not_in(&["back"])],
            [true, false, true, false],
        ),
        (vec![exists(), is_not_there()], [false, false, false, false]),
        (
            vec![is_in(&["front", "back"]), is_in(&["back", ""])],
            [false, true, false, false],
        ),
        (
            vec![is_in(&["front", "back"]), not_in(&["front"])],
            [false, true, false, false],
        ),
    ];
    for (requirements, expected) in cases {
        let wanted = Selector { requirements };
        for (pairs, selected) in labels.iter().zip(expected) {
            let what = format!("{wanted:?} on {pairs:?}");
            let closed = |namespace_labels: &[(&str, &str)], pod_labels, peers| {
                let mut state = shop();
                state.apply(namespace("yard", namespace_labels));
                state.apply(set(pod("yard/one", &["10.1.0.2"], pod_labels)));
                let mut in_shop = policy("shop/p", selector(&["app=web"]));
                in_shop.ingress = Some(vec![rule(vec![peers], vec![])]);
                state.apply(set_policy(&in_shop));
                first(&state, "10.1.0.2", "10.0.0.1", HTTP)
            };
            let denied = (!selected).then_some(DropReason::IngressIsolation);
            let by_pod = PolicyPeer::Pods {
                namespaces: Some(Selector::default()),
                pods: wanted.clone(),
            };
            assert_eq!(closed(&[], pairs, by_pod), denied, "a peer: {what}");
            let by_namespace = PolicyPeer::Pods {
                namespaces: Some(wanted.clone()),
                pods: Selector::default(),
            };
            assert_eq!(
                closed(pairs, &[], by_namespace),
                denied,
                "its namespace: {what}"
            );
            let mut state = shop();
            let subject = pod("shop/web", &["10.0.0.1", "fd00::1"], pairs);
            state.apply(set(subject));
            let mut shut = policy("shop/shut", wanted.clone());
            shut.ingress = Some(vec![]);
            state.apply(set_policy(&shut));
            let denied = selected.then_some(DropReason::IngressIsolation);
            assert_eq!(
                first(&state, "10.1.0.1", "10.0.0.1", HTTP),
                denied,
                "the pod itself: {what}"
            );
        }
    }
}

#[test]
fn a_pod_may_talk_to_itself() {
    let mut state = with_ingress(vec![]);
    let mut out = policy("shop/out", selector(&["app=web"]));
    out.egress = Some(vec![]);
    state.apply(set_policy(&out));
    // Without a Service such a packet does not leave the pod; that it is not judged is all that matters here.
    let dropped = first(&state, "10.0.0.1", "10.0.0.1", HTTP);
    assert_eq!(dropped, Some(DropReason::RoutedBack));
}

/// Until the cluster says who a pod is, nobody knows what applies to it: it is closed both ways if anything may. Whoever
/// attaches it waits for that.
#[test]
fn a_pod_is_known_before_it_is_reached() {
    let mut state = with_ingress(vec![rule(vec![pods(&["app=client"])], vec![])]);
    state.apply(Change::ClusterPodGone("shop".into(), "web".into()));
    assert_eq!(first(&state, "10.1.0.1", "10.0.0.1", HTTP), DENIED_IN);
    assert_eq!(first(&state, "10.0.0.1", "10.1.0.1", HTTP), DENIED_OUT);
    let without = {
        let mut state = state.clone();
        let id = state.policies.keys().next().unwrap().clone();
        state.apply(Change::PolicyGone(id));
        state
    };
    assert_eq!(first(&without, "10.1.0.1", "10.0.0.1", HTTP), None);
    let mut compiler = Compiler::new(state);
    let web = pod("shop/web", &["10.0.0.1"], &[("app", "web")]);
    let id = local(&web, 10).id;
    assert!(!compiler.is_policed_known(&id));
    // One before it had its name, and says nothing of it.
    let attached = LocalPod {
        uid: Uid::new("new"),
        ..local(&web, 10)
    };
    let with_uid = |uid: &str| ClusterPod {
        uid: Uid::new(uid),
        ..web.clone()
    };
    compiler.apply(Change::PodSet(attached));
    compiler.apply(set(with_uid("old")));
    assert!(!compiler.is_policed_known(&id));
    compiler.apply(set(with_uid("new")));
    assert!(compiler.is_policed_known(&id));
    compiler.apply(Change::PodSet(local(&web, 10)));
    assert!(compiler.is_policed_known(&id), "nobody said which");
    // Its flows and those of its policies are one patch.
    compiler.apply(Change::PodGone(id));
    let patch = compiler.apply(Change::PodSet(local(
        &pod("shop/web", &["10.0.0.1"], &[]),
        10,
    )));
    assert!(
        patch
            .flows_set
            .iter()
            .any(|flow| flow.key.table == Table::IngressSubject.id())
    );
    assert!(
        patch.passing.is_empty() && patch.revoked.is_empty(),
        "it is new"
    );
}

/// A packet of a pod that is not isolated is not tracked, whoever else is.
#[test]
fn plain_pods_stay_plain() {
    let state = with_ingress(vec![]);
    in_state(&state, |talk| {
        assert_eq!(talk.first("10.0.0.2", "10.1.0.1", HTTP), None);
        assert_eq!(talk.world.conntrack.connections().count(), 0);
    });
}

/// Conntrack knows of each connection which rule let it be, at either end.
#[test]
fn connections_carry_their_rules() {
    let mut state = with_ingress(vec![rule(vec![pods(&["app=other"])], vec![tcp(80)])]);
    let mut out = policy("shop/out", selector(&["app=other"]));
    out.egress = Some(vec![rule(vec![pods(&["app=web"])], vec![])]);
    state.apply(set_policy(&out));
    let compiler = Compiler::new(state.clone());
    let number = |name: &str| {
        let reports = compiler.policies();
        let report = reports.iter().find(|report| report.id.as_str() == name);
        let [cookie] = &*report.unwrap().rules[0].cookies else {
            panic!("{report:?}")
        };
        u128::from(cookie.id() & u64::from(u32::MAX))
    };
    in_state(&state, |talk| {
        assert_eq!(talk.first("10.0.0.2", "10.0.0.1", HTTP), None);
        let labels: Vec<u128> = talk
            .world
            .conntrack
            .connections()
            .map(|c| c.label)
            .collect();
        assert_eq!(labels, [number("shop/p") << 32 | number("shop/out")]);
    });
    // One end is not isolated.
    state.apply(Change::PolicyGone(out.id));
    in_state(&state, |talk| {
        assert_eq!(talk.first("10.0.0.2", "10.0.0.1", HTTP), None);
        let labels: Vec<u128> = talk
            .world
            .conntrack
            .connections()
            .map(|c| c.label)
            .collect();
        assert_eq!(labels, [number("shop/p") << 32]);
    });
}

/// A stranger's frame: no flow of policy is in its way, and none lets it in.
#[test]
fn an_unknown_subject_is_isolated() {
    let program = compile_all(&with_ingress(vec![]));
    let frame = Packet::new(PortNo(77)).with(Field::ETH_SRC, MacAddr([2; 6]));
    let outcome = Tables::from(&program).run(frame);
    assert_eq!(outcome.verdict, Verdict::Dropped(DropReason::UnknownPort));
}
