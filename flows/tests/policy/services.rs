//! Policy and Services: what a pod sends is judged by the endpoint, what it gets by the client, and a pod that meets
//! itself behind a Service is not judged.

use std::sync::Arc;

use openflow::Field;
use sluice_flows::interpreter::{Packet, Tables, Tuple, Verdict, World};
use sluice_flows::model::{
    Backend, Change, Frontend, PolicyPort, Ports, Protocol, ServiceId, ServicePort, State,
    TrafficPolicy,
};
use sluice_flows::pipeline::{CT_BLOCKED, ZONE_TRACK, ZONE_WIRE};
use sluice_flows::{Compiler, DropReason, Program};

use crate::cluster::*;
use crate::flows::packet;
use crate::revocation::passing;

const VIP: &str = "10.96.0.1";
const CLIENT: &str = "10.0.0.1";
const SERVER: &str = "10.0.0.2";
const SYN: u16 = 0x002;
const ACK: u16 = 0x010;

/// Pods client (port 10) and server (port 11), and a Service on port 80 with one endpoint, port 8080.
fn shop(endpoint: &str) -> State {
    let mut state = state();
    state.apply(namespace("shop", &[]));
    for (name, address, port) in [("client", CLIENT, 10), ("server", SERVER, 11)] {
        let pod = pod(&format!("shop/{name}"), &[address], &[("app", name)]);
        state.apply(Change::PodSet(local(&pod, port)));
        state.apply(set(pod));
    }
    let frontend = Frontend::Cluster {
        ip: ip(VIP),
        port: 80,
        policy: TrafficPolicy::Cluster,
    };
    state.apply(web(frontend, endpoint));
    state
}

/// A Service with one endpoint.
fn web(frontend: Frontend, endpoint: &str) -> Change {
    let backends = vec![Backend {
        ip: ip(endpoint),
        port: 8080,
    }];
    Change::ServiceSet(Arc::new(ServicePort {
        id: ServiceId::new("shop", "web", "", Protocol::Tcp, false),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        port_name: String::new(),
        v6: false,
        protocol: Protocol::Tcp,
        local: match frontend {
            Frontend::Cluster { .. } => Vec::new(),
            Frontend::External { .. } | Frontend::NodePort { .. } => backends.clone(),
        },
        frontends: vec![frontend],
        cluster: backends,
        affinity: None,
    }))
}

fn tcp_packet(state: &State, from: &str, to: &str, ports: (u16, u16), flags: u16) -> Packet {
    packet(state, ip(from), ip(to), Some((Protocol::Tcp, ports.1)))
        .with(Field::TCP_SRC, ports.0)
        .with(Field::TCP_FLAGS, flags)
}

fn to_service(state: &State, from: &str, flags: u16) -> Packet {
    tcp_packet(state, from, VIP, (40000, 80), flags)
}

fn send(program: &Program, world: &mut World, packet: &Packet) -> Result<Packet, DropReason> {
    let outcome = Tables::from(program).run_in(world, packet.clone());
    match &outcome.verdict {
        Verdict::Output(deliveries) => Ok(deliveries[0].packet.clone()),
        Verdict::Dropped(reason) => Err(*reason),
        other => panic!("{other:?}\n{outcome}"),
    }
}

fn egress_to(address: &str, port: u16) -> Change {
    let mut policy = policy("shop/p", selector(&["app=client"]));
    policy.egress = Some(vec![rule(vec![block(address, &[])], vec![tcp(port)])]);
    set_policy(&policy)
}

#[test]
fn egress_is_judged_by_the_endpoint() {
    let verdict = |change| {
        let mut state = shop(SERVER);
        state.apply(change);
        let program = Compiler::new(state.clone()).desired();
        send(
            &program,
            &mut World::default(),
            &to_service(&state, CLIENT, SYN),
        )
        .err()
    };
    assert_eq!(verdict(egress_to("10.0.0.2/32", 8080)), None);
    let denied = Some(DropReason::EgressIsolation);
    assert_eq!(
        verdict(egress_to("10.0.0.2/32", 80)),
        denied,
        "that is the Service's port"
    );
    assert_eq!(
        verdict(egress_to("10.96.0.1/32", 80)),
        denied,
        "that is the Service's address"
    );
}

/// By name it is a port of the endpoint, too: of the pod behind it, and of nobody if there is none, as where the
/// endpoint is on its node's network.
#[test]
fn a_named_port_is_the_endpoints() {
    let verdict = |endpoint: &str, name: &str, protocol, port| {
        let mut state = shop(endpoint);
        let server = pod("shop/server", &[SERVER], &[("app", "server")]);
        state.apply(set(with_port(server, name, protocol, port)));
        let mut policy = policy("shop/p", selector(&["app=client"]));
        let http = PolicyPort {
            protocol: Protocol::Tcp,
            ports: Ports::Named("http".into()),
        };
        policy.egress = Some(vec![rule(vec![], vec![http])]);
        state.apply(set_policy(&policy));
        let program = Compiler::new(state.clone()).desired();
        let packet = to_service(&state, CLIENT, SYN);
        send(&program, &mut World::default(), &packet).err()
    };
    let denied = Some(DropReason::EgressIsolation);
    let tcp = Protocol::Tcp;
    assert_eq!(verdict(SERVER, "http", tcp, 8080), None);
    let services_own = verdict(SERVER, "http", tcp, 80);
    assert_eq!(services_own, denied, "that is the Service's port");
    assert_eq!(verdict(SERVER, "http", Protocol::Udp, 8080), denied);
    assert_eq!(verdict(SERVER, "web", tcp, 8080), denied);
    assert_eq!(verdict("192.0.2.1", "http", tcp, 8080), denied, "no pod");
}

#[test]
fn ingress_is_judged_by_the_client() {
    let verdict = |from: &str, allowed: &str| {
        let mut state = shop(SERVER);
        let mut policy = policy("shop/p", selector(&["app=server"]));
        policy.ingress = Some(vec![rule(vec![block(allowed, &[])], vec![tcp(8080)])]);
        state.apply(set_policy(&policy));
        let program = Compiler::new(state.clone()).desired();
        send(
            &program,
            &mut World::default(),
            &to_service(&state, from, SYN),
        )
        .err()
    };
    assert_eq!(verdict(CLIENT, "10.0.0.1/32"), None);
    assert_eq!(
        verdict(CLIENT, "10.96.0.1/32"),
        Some(DropReason::IngressIsolation)
    );
    assert_eq!(
        verdict(GATEWAY_IP, "203.0.113.1/32"),
        None,
        "the node itself"
    );
}

#[test]
fn a_pod_meets_itself_behind_a_service() {
    let mut state = shop(CLIENT);
    let mut policy = policy("shop/p", selector(&[]));
    (policy.ingress, policy.egress) = (Some(vec![]), Some(vec![]));
    state.apply(set_policy(&policy));
    let program = Compiler::new(state.clone()).desired();
    let mut world = World::default();
    let there = send(&program, &mut world, &to_service(&state, CLIENT, SYN)).unwrap();
    assert_eq!(there.get(Field::IPV4_DST).to_ipv4(), ip(CLIENT));
    let masked = there.get(Field::IPV4_SRC).to_ipv4().to_string();
    let ports = (8080, there.get(Field::TCP_SRC).to_u16());
    let back = tcp_packet(&state, CLIENT, &masked, ports, SYN | ACK);
    let back = send(&program, &mut world, &back).unwrap();
    assert_eq!(back.get(Field::IPV4_SRC).to_ipv4(), ip(VIP));
    assert_eq!(back.get(Field::TCP_SRC).to_u16(), 80);
}

/// Which rules let a connection to a Service be, conntrack knows as of any other.
#[test]
fn a_translated_connection_has_its_rules_in_its_label() {
    let mut state = shop(SERVER);
    state.apply(egress_to("10.0.0.2/32", 8080));
    let mut inward = policy("shop/in", selector(&["app=server"]));
    inward.ingress = Some(vec![
        rule(vec![block("10.9.0.0/16", &[])], vec![]),
        rule(vec![pods(&["app=client"])], vec![tcp(8080)]),
    ]);
    state.apply(set_policy(&inward));
    let mut compiler = Compiler::new(state.clone());
    let mut world = World::default();
    let label = |compiler: &Compiler, world: &mut World, flags| {
        let there = to_service(&state, CLIENT, flags);
        send(&compiler.desired(), world, &there).unwrap();
        let mut wire = world
            .conntrack
            .connections()
            .filter(|c| c.zone == ZONE_WIRE);
        let label = wire.next().unwrap().label;
        assert!(wire.next().is_none(), "one connection");
        label
    };
    // As the flows of rules put it into registers.
    let number = |compiler: &Compiler, policy: &str, index: usize| {
        let policies = compiler.policies();
        let found = policies.iter().find(|p| p.id.as_str() == policy).unwrap();
        u128::from(found.rules[index].cookies[0].id() as u32)
    };
    let both = |compiler: &Compiler, ingress| {
        number(compiler, "shop/p", 0) | number(compiler, "shop/in", ingress) << 32
    };
    assert_eq!(label(&compiler, &mut world, SYN), both(&compiler, 1));
    // The label follows what is in force: it is another rule by now.
    let mut wider = inward.clone();
    wider.ingress = Some(vec![rule(vec![block("10.0.0.0/16", &[])], vec![])]);
    compiler.apply(set_policy(&wider));
    assert_eq!(label(&compiler, &mut world, ACK), both(&compiler, 0));
    // Who is not isolated has no rule.
    compiler.apply(Change::PolicyGone(policy("shop/p", selector(&[])).id));
    let ingress = number(&compiler, "shop/in", 0);
    assert_eq!(label(&compiler, &mut world, ACK), ingress << 32);
}

/// Of a translated connection the wire form is marked, so that its replies stop, and the translation stays.
#[test]
fn a_translated_connection_stops_and_resumes() {
    let mut state = shop(SERVER);
    state.apply(egress_to("10.0.0.2/32", 8080));
    let mut compiler = Compiler::new(state.clone());
    let open = compiler.desired();
    let mut world = World::default();
    let there = send(&open, &mut world, &to_service(&state, CLIENT, SYN)).unwrap();
    let ports = (8080, there.get(Field::TCP_SRC).to_u16());
    let back = tcp_packet(&state, SERVER, CLIENT, ports, SYN | ACK);
    let data = tcp_packet(&state, SERVER, CLIENT, ports, ACK);
    let answer = send(&open, &mut world, &back).unwrap();
    assert_eq!(answer.get(Field::IPV4_SRC).to_ipv4(), ip(VIP));
    send(&open, &mut world, &to_service(&state, CLIENT, ACK)).unwrap();

    compiler.apply(egress_to("10.0.0.2/32", 9999));
    let closed = compiler.desired();
    let denied = send(&closed, &mut world, &to_service(&state, CLIENT, ACK));
    assert_eq!(denied.err(), Some(DropReason::EgressIsolation));
    let marked = world
        .conntrack
        .connections()
        .filter(|c| c.zone == ZONE_WIRE);
    assert!(marked.into_iter().all(|c| c.mark & CT_BLOCKED != 0));
    let blocked = send(&closed, &mut world, &data);
    assert_eq!(blocked.err(), Some(DropReason::BlockedConnection));

    compiler.apply(egress_to("10.0.0.2/32", 8080));
    let open = compiler.desired();
    let there = send(&open, &mut world, &to_service(&state, CLIENT, ACK)).unwrap();
    assert_eq!(there.get(Field::IPV4_DST).to_ipv4(), ip(SERVER));
    let answer = send(&open, &mut world, &data).unwrap();
    assert_eq!(answer.get(Field::IPV4_SRC).to_ipv4(), ip(VIP));
    assert_eq!(answer.get(Field::TCP_SRC).to_u16(), 80);
}

/// That a client cannot take in what it gets: by ICMP, about a packet from the Service or the server.
fn unreachable(state: &State, about: (&str, u16), port: u16) -> Packet {
    let (server, client) = ((ip(about.0), about.1), (ip(CLIENT), port));
    packet(state, ip(CLIENT), ip(about.0), None)
        .with(Field::ICMPV4_TYPE, 3u8)
        .with(Field::ICMPV4_CODE, 3u8)
        .with_inner(Tuple::new(6, server, client))
}

/// An error that a client sends is of its connection: it passes with it, ends with it, and says nothing new of it.
#[test]
fn what_a_client_says_of_a_revoked_connection_takes_nothing_back() {
    let rules = |port| {
        let mut inward = policy("shop/in", selector(&["app=server"]));
        inward.ingress = Some(vec![rule(vec![pods(&["app=client"])], vec![tcp(port)])]);
        set_policy(&inward)
    };
    for egress in [true, false] {
        for service in [true, false] {
            let what = format!("egress {egress}, by the Service {service}");
            let allow = |port| match egress {
                true => egress_to("10.0.0.2/32", port),
                false => rules(port),
            };
            let denied = match egress {
                true => DropReason::EgressIsolation,
                false => DropReason::IngressIsolation,
            };
            let mut state = shop(SERVER);
            state.apply(allow(8080));
            let mut compiler = Compiler::new(state.clone());
            let mut world = World::default();
            let (to, port) = if service { (VIP, 80) } else { (SERVER, 8080) };
            let ask = |flags| tcp_packet(&state, CLIENT, to, (40000, port), flags);
            let error = unreachable(&state, (to, port), 40000);
            let open = compiler.desired();
            let there = send(&open, &mut world, &ask(SYN)).unwrap();
            let ports = (8080, there.get(Field::TCP_SRC).to_u16());
            let back = tcp_packet(&state, SERVER, CLIENT, ports, ACK);
            for packet in [&back, &ask(ACK)] {
                send(&open, &mut world, packet).unwrap();
            }
            let said = |world: &World| {
                let known = world.conntrack.connections();
                let mut policed = known.filter(|c| c.zone == ZONE_WIRE || c.zone == ZONE_TRACK);
                let one = policed.next().unwrap();
                assert!(policed.next().is_none(), "one connection: {what}");
                (one.mark, one.label)
            };
            let before = said(&world);
            let passed = send(&open, &mut world, &error).unwrap();
            assert_eq!(passed.get(Field::IPV4_DST).to_ipv4(), ip(SERVER), "{what}");
            let quoted = passed.inner().unwrap();
            let wire = (
                quoted.source.address,
                quoted.source.port,
                quoted.destination.port,
            );
            assert_eq!(wire, (ip(SERVER), 8080, ports.1), "{what}");
            assert_eq!(said(&world), before, "{what}");

            compiler.apply(allow(9999));
            let closed = compiler.desired();
            assert_eq!(send(&closed, &mut world, &ask(ACK)).err(), Some(denied));
            let before = said(&world);
            assert_eq!(before.0, CT_BLOCKED, "{what}");
            let outcome = send(&closed, &mut world, &error);
            assert_eq!(outcome.err(), Some(DropReason::BlockedConnection), "{what}");
            assert_eq!(said(&world), before, "{what}");
            let outcome = send(&closed, &mut world, &back);
            assert_eq!(outcome.err(), Some(DropReason::BlockedConnection), "{what}");
        }
    }
}

/// Of a connection that outlives its Service it is not known through which it was made. It stops and resumes like any.
#[test]
fn a_connection_of_a_service_that_is_gone_stops_and_resumes() {
    let mut state = shop(SERVER);
    state.apply(egress_to("10.0.0.2/32", 8080));
    let mut compiler = Compiler::new(state.clone());
    let mut world = World::default();
    let open = compiler.desired();
    let there = send(&open, &mut world, &to_service(&state, CLIENT, SYN)).unwrap();
    let ports = (8080, there.get(Field::TCP_SRC).to_u16());
    let back = tcp_packet(&state, SERVER, CLIENT, ports, ACK);
    send(&open, &mut world, &back).unwrap();
    let ask = to_service(&state, CLIENT, ACK);
    send(&open, &mut world, &ask).unwrap();

    let id = ServiceId::new("shop", "web", "", Protocol::Tcp, false);
    let vacated = compiler.apply(Change::ServiceGone(id)).passing;
    let now = |compiler: &Compiler| {
        let mut program = compiler.desired();
        for flow in &vacated {
            program.insert(passing(flow));
        }
        program
    };
    assert!(!vacated.is_empty());
    send(&now(&compiler), &mut world, &ask).unwrap();
    // So does what the client says of it, which nobody would know by the Service's address.
    let error = unreachable(&state, (VIP, 80), 40000);
    let said = send(&now(&compiler), &mut world, &error).unwrap();
    assert_eq!(said.get(Field::IPV4_DST).to_ipv4(), ip(SERVER));
    let quoted = said.inner().unwrap();
    assert_eq!(quoted.source.port, 8080);
    assert_eq!(quoted.destination.port, ports.1);
    compiler.apply(egress_to("10.0.0.2/32", 9999));
    let denied = send(&now(&compiler), &mut world, &ask);
    assert_eq!(denied.err(), Some(DropReason::EgressIsolation));
    let blocked = send(&now(&compiler), &mut world, &back);
    assert_eq!(blocked.err(), Some(DropReason::BlockedConnection));
    compiler.apply(egress_to("10.0.0.2/32", 8080));
    let there = send(&now(&compiler), &mut world, &ask).unwrap();
    assert_eq!(there.get(Field::TCP_SRC).to_u16(), ports.1);
    let answer = send(&now(&compiler), &mut world, &back).unwrap();
    assert_eq!(answer.get(Field::IPV4_SRC).to_ipv4(), ip(VIP));
}

const OUTSIDE: &str = "198.51.100.7";

/// The same Service with an address outside.
fn external(policy: TrafficPolicy) -> Change {
    let frontend = Frontend::External {
        ip: ip(VIP),
        port: 80,
        policy,
        sources: None,
    };
    web(frontend, SERVER)
}

/// The server is asked at this port alone, and sends nothing but answers.
fn answers_at(port: u16) -> Change {
    let mut only = policy("shop/only", selector(&["app=server"]));
    only.ingress = Some(vec![rule(vec![], vec![tcp(port)])]);
    only.egress = Some(vec![]);
    set_policy(&only)
}

/// From outside, through a traffic policy that has changed since and one that has not: what policy says of a connection
/// holds under the source that it has, whichever that is.
#[test]
fn a_connection_that_outlives_a_traffic_policy_stops_and_resumes() {
    use TrafficPolicy::{Cluster, Local};
    // The second port is one that pods have on the wire.
    for client_port in [40_000, 20_000] {
        for history in [
            &[Local][..],
            &[Local, Cluster],
            &[Local, Cluster, Local],
            &[Cluster, Local],
            &[Cluster, Local, Cluster],
        ] {
            let what = format!("{history:?} from port {client_port}");
            let mut state = shop(SERVER);
            state.apply(external(history[0]));
            state.apply(answers_at(8080));
            let mut compiler = Compiler::new(state.clone());
            let mut world = World::default();
            let ask = |flags| tcp_packet(&state, OUTSIDE, VIP, (client_port, 80), flags);
            let there = send(&compiler.desired(), &mut world, &ask(SYN)).unwrap();
            let seen = there.get(Field::IPV4_SRC).to_ipv4().to_string();
            assert_eq!(seen == OUTSIDE, history[0] == Local, "{what}");
            let ports = (8080, there.get(Field::TCP_SRC).to_u16());
            let back = |flags| tcp_packet(&state, SERVER, &seen, ports, flags);
            send(&compiler.desired(), &mut world, &back(SYN | ACK)).unwrap();
            for policy in history {
                compiler.apply(external(*policy));
                let open = compiler.desired();
                let there = send(&open, &mut world, &ask(ACK)).unwrap();
                assert_eq!(there.get(Field::IPV4_SRC).to_ipv4(), ip(&seen), "{what}");
                assert_eq!(there.get(Field::TCP_SRC).to_u16(), ports.1, "{what}");
                let answer = send(&open, &mut world, &back(ACK)).expect(&what);
                assert_eq!(answer.get(Field::IPV4_SRC).to_ipv4(), ip(VIP), "{what}");
                assert_eq!(answer.get(Field::IPV4_DST).to_ipv4(), ip(OUTSIDE), "{what}");
                assert_eq!(answer.get(Field::TCP_DST).to_u16(), client_port, "{what}");
            }
            for _ in 0..2 {
                compiler.apply(answers_at(9999));
                let closed = compiler.desired();
                let denied = send(&closed, &mut world, &ask(ACK)).err();
                assert_eq!(denied, Some(DropReason::IngressIsolation), "{what}");
                let blocked = send(&closed, &mut world, &back(ACK)).err();
                assert_eq!(blocked, Some(DropReason::BlockedConnection), "{what}");
                compiler.apply(answers_at(8080));
                let open = compiler.desired();
                let there = send(&open, &mut world, &ask(ACK)).unwrap();
                assert_eq!(there.get(Field::TCP_SRC).to_u16(), ports.1, "{what}");
                send(&open, &mut world, &back(ACK)).expect(&what);
            }
        }
    }
}

/// As long as a connection lives that kept its source, policy sees what its client sends where it looks its answers up:
/// conntrack takes answers to what it has not seen for invalid.
#[test]
fn policy_sees_both_directions_of_a_connection_that_kept_its_source() {
    use TrafficPolicy::{Cluster, Local};
    let mut state = shop(SERVER);
    state.apply(external(Local));
    state.apply(answers_at(8080));
    let mut compiler = Compiler::new(state.clone());
    let mut world = World::default();
    let ask = |flags| tcp_packet(&state, OUTSIDE, VIP, (40_000, 80), flags);
    let back = |flags| tcp_packet(&state, SERVER, OUTSIDE, (8080, 40_000), flags);
    send(&compiler.desired(), &mut world, &ask(SYN)).unwrap();
    send(&compiler.desired(), &mut world, &back(SYN | ACK)).unwrap();
    let id = ServiceId::new("shop", "web", "", Protocol::Tcp, false);
    let changes = [
        external(Local),
        external(Cluster),
        external(Local),
        external(Cluster),
        Change::ServiceGone(id),
    ];
    for change in changes {
        let what = format!("{change:?}");
        let left = compiler.apply(change).passing;
        let mut program = compiler.desired();
        for flow in &left {
            program.insert(passing(flow));
        }
        world.conntrack.retain(|c| c.zone != ZONE_TRACK);
        send(&program, &mut world, &ask(ACK)).unwrap();
        let tuple = Tuple::new(6, (ip(OUTSIDE), 40_000), (ip(SERVER), 8080));
        let seen = world.conntrack.find(ZONE_TRACK, &tuple);
        assert!(seen.is_some_and(|(_, reply)| !reply), "{what}");
        send(&program, &mut world, &back(ACK)).expect(&what);
    }
}
