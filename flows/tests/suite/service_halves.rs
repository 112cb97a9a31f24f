//! While the switch takes a change of Services in, a packet that goes around may go by flows of before until then, and
//! by those of after from then on. It must fare as it did before, or as it does after.

use std::collections::BTreeSet;
use std::net::IpAddr;

use openflow::{Field, FlowMod, MacAddr};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use sluice_flows::handover::NODE_PORT;
use sluice_flows::interpreter::{Packet, Tables, Verdict, World};
use sluice_flows::model::{Change, Frontend, Protocol, ServicePort, State, TrafficPolicy};
use sluice_flows::{Compiler, Cookie, DropReason, Flow, FlowKey, Program};

use crate::fixture::{self, GATEWAY, GATEWAY_MAC, TUNNEL, ip, mac, packet};
use crate::service_fixture::{VIP, service, set, state};

const SYN: u16 = 2;
const ACK: u16 = 0x10;
const OUTSIDE: &str = "198.51.100.7";
const BALANCER: &str = "192.0.2.50";
const ENDPOINTS: [&str; 5] = [
    "10.0.1.10",
    "10.0.1.11",
    "10.0.2.7",
    "10.0.2.8",
    "192.0.2.1",
];

fn web() -> impl Strategy<Value = ServicePort> {
    let policy = || select(vec![TrafficPolicy::Cluster, TrafficPolicy::Local]);
    let frontends = (policy(), policy(), any::<bool>()).prop_map(|(inner, outer, ranged)| {
        let sources = ranged.then(|| vec!["198.51.100.0/24".parse().unwrap()]);
        vec![
            Frontend::Cluster {
                ip: ip(VIP),
                port: 80,
                policy: inner,
            },
            Frontend::External {
                ip: ip(BALANCER),
                port: 80,
                policy: outer,
                sources,
            },
            Frontend::NodePort {
                port: 30_080,
                policy: outer,
            },
        ]
    });
    (
        frontends,
        subsequence(ENDPOINTS.to_vec(), 0..=5),
        select(vec![None, None, Some(60), Some(86_400)]),
        select(vec![Protocol::Tcp, Protocol::Udp]),
    )
        .prop_map(|(frontends, endpoints, affinity, protocol)| ServicePort {
            affinity,
            ..service("web", protocol, frontends, &endpoints)
        })
}

/// What may come: from a pod, the host, outside, another node; to the Service and to its endpoints; and answers.
fn packets(protocol: Protocol) -> Vec<Packet> {
    let ported = |packet: Packet, from: u16, to: u16| {
        let packet = packet.with(Field::IP_PROTO, protocol.number());
        match protocol {
            Protocol::Tcp => packet.with(Field::TCP_SRC, from).with(Field::TCP_DST, to),
            _ => packet.with(Field::UDP_SRC, from).with(Field::UDP_DST, to),
        }
    };
    let node_port = NODE_PORT[0].to_string();
    let mut all = Vec::new();
    for source in (40_000..40_008).step_by(2) {
        for (to, port) in [(VIP, 80), (BALANCER, 80), ("192.0.2.1", 30_080)] {
            all.push(ported(fixture::of_pod(to), source, port));
        }
        for from in [OUTSIDE, "192.0.2.1", "203.0.113.9"] {
            for (to, port) in [(VIP, 80), (BALANCER, 80), (&node_port, 30_080)] {
                let of_host = packet(GATEWAY, GATEWAY_MAC, from, to);
                all.push(ported(of_host, source, port));
            }
        }
    }
    for to in ["10.0.1.11", "10.0.2.7"] {
        all.push(ported(fixture::of_pod(to), 40_000, 8080));
    }
    all
}

/// What its receiver would answer.
fn answer(port: u32, got: &Packet, protocol: Protocol) -> Packet {
    let address = |field| got.get(field).to_ipv4().to_string();
    let (from, to) = (address(Field::IPV4_DST), address(Field::IPV4_SRC));
    let (source, destination) = match protocol {
        Protocol::Tcp => (Field::TCP_SRC, Field::TCP_DST),
        _ => (Field::UDP_SRC, Field::UDP_DST),
    };
    let sender = match port {
        GATEWAY => GATEWAY_MAC,
        TUNNEL => mac(99),
        port => MacAddr([0x0a, 0, 0, 0, 0, u8::try_from(port).unwrap()]),
    };
    let mut reply = packet(port, sender, &from, &to)
        .with(Field::IP_PROTO, protocol.number())
        .with(source, got.get(destination).to_u16())
        .with(destination, got.get(source).to_u16());
    if port == TUNNEL {
        reply = reply.with(Field::TUN_SRC, got.get(Field::TUN_DST).to_ipv4());
    }
    reply
}

/// Where a packet went, between whom.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Sent(u32, [IpAddr; 2], [u16; 2]),
    Dropped(DropReason),
}

fn fate(verdict: &Verdict, protocol: Protocol) -> Fate {
    match verdict {
        Verdict::Output(deliveries) => {
            let delivery = &deliveries[0];
            let got = |field| delivery.packet.get(field);
            let ports = match protocol {
                Protocol::Tcp => [Field::TCP_SRC, Field::TCP_DST],
                _ => [Field::UDP_SRC, Field::UDP_DST],
            };
            let ends = [Field::IPV4_SRC, Field::IPV4_DST];
            Fate::Sent(
                delivery.port.0,
                ends.map(|field| got(field).to_ipv4().into()),
                ports.map(|field| got(field).to_u16()),
            )
        }
        Verdict::Dropped(reason) => Fate::Dropped(*reason),
        other => panic!("{other:?}"),
    }
}

fn with_flags(packet: &Packet, protocol: Protocol, flags: u16) -> Packet {
    match protocol {
        Protocol::Tcp => packet.clone().with(Field::TCP_FLAGS, flags),
        _ => packet.clone(),
    }
}

fn compiler(port: &ServicePort) -> Compiler {
    let mut state: State = state();
    state.apply(set(port.clone()));
    Compiler::new(state)
}

/// Puts in what goes by itself.
fn insert(flow: &FlowMod, program: &mut Program) {
    program.insert(Flow {
        key: FlowKey {
            table: flow.table,
            priority: flow.priority,
            match_: flow.match_.clone(),
        },
        cookie: Cookie::from_u64(flow.cookie).unwrap(),
        instructions: flow.instructions.to_vec(),
    });
}

/// One Service's specification with another one's endpoints.
fn one_by_one((service, endpoints): (&ServicePort, &ServicePort)) -> ServicePort {
    ServicePort {
        cluster: endpoints.cluster.clone(),
        local: endpoints.local.clone(),
        ..service.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn halves_of_two_programs_serve_as_one_of_them(
        first in web(), second in prop::option::weighted(0.9, web()), skip in 0..5usize,
    ) {
        let protocol = first.protocol;
        let mut compiler = compiler(&first);
        let before = compiler.desired();
        let mut between = Vec::new();
        let all = second.iter().chain([&first]).flat_map(|port| &port.cluster);
        let endpoints: BTreeSet<_> = all.map(|backend| (backend.ip, backend.port)).collect();
        let patch = compiler.apply(match second.clone() {
            Some(port) => {
                // A change of the protocol would be another Service.
                let port = ServicePort { id: first.id.clone(), protocol, ..port };
                between.extend([(&first, &port), (&port, &first)].map(one_by_one));
                set(port)
            }
            None => Change::ServiceGone(first.id.clone()),
        });
        let between: Vec<_> = between.iter().map(|port| self::compiler(port).desired()).collect();
        let mut after = compiler.desired();
        patch.passing.iter().for_each(|flow| insert(flow, &mut after));
        let [before, after] = [&before, &after].map(Tables::from);
        let between: Vec<_> = between.iter().map(Tables::from).collect();
        let served = |fate: &Fate| match fate {
            Fate::Sent(_, [_, to], [_, port]) => endpoints.contains(&(*to, *port)),
            Fate::Dropped(_) => false,
        };
        for new in packets(protocol).into_iter().skip(skip).step_by(5) {
            let syn = with_flags(&new, protocol, SYN);
            let mut world = World::default();
            let opened = before.run_in(&mut world, syn.clone());
            let mut tried = vec![(World::default(), syn)];
            if served(&fate(&opened.verdict, protocol))
                && let Verdict::Output(deliveries) = &opened.verdict
            {
                let reply = answer(deliveries[0].port.0, &deliveries[0].packet, protocol);
                let reply = with_flags(&reply, protocol, SYN | ACK);
                tried.push((world.clone(), reply.clone()));
                before.run_in(&mut world, reply);
                tried.push((world, with_flags(&new, protocol, ACK)));
            }
            for (world, packet) in tried {
                let run = |first: &Tables<'_>, next: &Tables<'_>| {
                    let outcome = first.run_between(next, &mut world.clone(), packet.clone());
                    (fate(&outcome.verdict, protocol), outcome)
                };
                let (was, _) = run(&before, &before);
                let (will, _) = run(&after, &after);
                let (mixed, outcome) = run(&before, &after);
                let is_new = world == World::default();
                // A new connection may get any endpoint, as long as it gets one.
                let as_good = |fate: &Fate| mixed == *fate || (is_new && served(&mixed) && served(fate));
                let mut allowed = vec![was, will];
                if !allowed.iter().any(as_good) {
                    allowed.extend(between.iter().map(|tables| run(tables, tables).0));
                }
                prop_assert!(
                    allowed.iter().any(as_good),
                    "{packet}\nof {allowed:?}\nmixed {mixed:?}\n{outcome}"
                );
            }
        }
    }
}
