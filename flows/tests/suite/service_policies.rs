//! Traffic policies that change while connections live: each goes on with its endpoint, under the source that it has.

use sluice_flows::Compiler;
use sluice_flows::handover::NODE_PORT;
use sluice_flows::interpreter::Packet;
use sluice_flows::model::{Frontend, Protocol, ServicePort, TrafficPolicy};

use crate::fixture::{self, GATEWAY, GATEWAY_MAC, ip};
use crate::service_fixture::*;
use crate::service_lab::*;
use crate::service_properties::dump;

use TrafficPolicy::{Cluster, Local};

const BALANCER: &str = "203.0.113.80";
const PODS: [&str; 2] = ["10.0.1.11", "10.0.2.7"];
/// What an endpoint sends to the second might be an answer to a pod.
const CLIENT_PORTS: [u16; 2] = [40_000, 20_000];

/// Of these policies, within the cluster and from outside.
fn web(protocol: Protocol, inner: TrafficPolicy, outer: TrafficPolicy) -> ServicePort {
    let frontends = vec![
        Frontend::Cluster {
            ip: ip(VIP),
            port: 80,
            policy: inner,
        },
        Frontend::External {
            ip: ip(BALANCER),
            port: 80,
            policy: outer,
            sources: None,
        },
        Frontend::NodePort {
            port: 30_080,
            policy: outer,
        },
    ];
    service("web", protocol, frontends, &PODS)
}

/// A connection that is up.
struct Live {
    ask: Packet,
    is: Connection,
}

impl Live {
    fn open(lab: &mut Lab, ask: Packet) -> Self {
        let is = lab.connect(ask.clone());
        Self { ask, is }
    }

    /// Goes on, both ways, and goes around no more often.
    #[track_caller]
    fn goes_on(&self, lab: &mut Lab) {
        let there = lab.send(flags(self.ask.clone(), ACK));
        let now = (there.port.0, ends(&there.packet));
        assert_eq!(now, (self.is.port, (self.is.from, self.is.to)));
        assert!(there.recirculations <= 1);
        let back = lab.send(answer(&there, ACK));
        let (source, destination) = ends(&self.ask);
        assert_eq!(ends(&back.packet), (destination, source));
        assert!(back.recirculations <= 1);
    }
}

/// From everyone who may come, to every address that a Service has outside.
fn everyone(protocol: Protocol, from: u16) -> Vec<Packet> {
    let node_port = NODE_PORT[0].to_string();
    let mut all = Vec::new();
    for (to, port) in [(BALANCER, 80), (&node_port, 30_080)] {
        for host in [OUTSIDE, HOST] {
            let of_host = fixture::packet(GATEWAY, GATEWAY_MAC, host, to);
            all.push(transport(of_host, protocol, from, port));
        }
    }
    for (to, port) in [(VIP, 80), (BALANCER, 80), (NODE, 30_080)] {
        let of_pod = fixture::of_pod(to);
        all.push(transport(of_pod, protocol, from, port));
    }
    all
}

/// Connections of everyone, made under each of these policies in turn, live through all that follow and through
/// `restart`.
fn all_live(
    policies: &[(TrafficPolicy, TrafficPolicy)],
    protocol: Protocol,
    restart: impl Fn(Compiler) -> Compiler,
) {
    for port in CLIENT_PORTS {
        let mut compiler = Compiler::new(state());
        let mut lab = Lab::new(&state());
        let mut live: Vec<Live> = Vec::new();
        for (n, (inner, outer)) in (0u16..).zip(policies) {
            compiler.apply(set(web(protocol, *inner, *outer)));
            compiler = restart(compiler);
            lab.program = compiler.desired();
            live.iter().for_each(|it| it.goes_on(&mut lab));
            let new = everyone(protocol, port + 100 * n);
            live.extend(new.into_iter().enumerate().map(|(at, ask)| {
                // Each from a port of its own.
                let ((_, from), (_, to)) = ends(&ask);
                let own = from + 2 * u16::try_from(at).unwrap();
                let ask = transport(ask, protocol, own, to);
                Live::open(&mut lab, ask)
            }));
            live.iter().for_each(|it| it.goes_on(&mut lab));
        }
    }
}

const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];
const BOTH_WAYS: [(TrafficPolicy, TrafficPolicy); 4] = [
    (Cluster, Cluster),
    (Cluster, Local),
    (Local, Cluster),
    (Local, Local),
];

#[test]
fn connections_keep_their_source_when_a_policy_changes() {
    for protocol in PROTOCOLS {
        all_live(&BOTH_WAYS, protocol, |compiler| compiler);
        let mut back = BOTH_WAYS;
        back.reverse();
        all_live(&back, protocol, |compiler| compiler);
    }
}

/// What a Service was before, an agent that starts anew reads in the switch.
#[test]
fn connections_keep_their_source_when_a_policy_changed_before_a_restart() {
    let restart = |before: Compiler| {
        let mut fresh = state();
        for port in before.state().services.values() {
            fresh.apply(set(ServicePort::clone(port)));
        }
        let mut again = Compiler::new(fresh);
        again.adopt(&dump(&before.desired()));
        again
    };
    for policies in [&[(Cluster, Local), (Cluster, Cluster)][..], &BOTH_WAYS] {
        all_live(policies, Protocol::Tcp, restart);
    }
}

/// Of UDP, conntrack forgets an endpoint that is gone, and none that a policy leads no new connection to.
#[test]
fn a_policy_lets_go_of_no_endpoint() {
    let udp = |inner, outer| web(Protocol::Udp, inner, outer);
    let mut compiler = Compiler::new(state());
    compiler.apply(set(udp(Cluster, Cluster)));
    for (inner, outer) in BOTH_WAYS.into_iter().chain([(Cluster, Cluster)]) {
        let patch = compiler.apply(set(udp(inner, outer)));
        assert_eq!(patch.released, []);
    }
    // Not even an endpoint elsewhere of a Service that is for this node alone.
    let alone = |endpoints: &[&str]| {
        let frontend = Frontend::Cluster {
            ip: ip(VIP),
            port: 80,
            policy: Local,
        };
        service("web", Protocol::Udp, vec![frontend], endpoints)
    };
    assert_eq!(compiler.apply(set(alone(&PODS))).released, []);
    let released = compiler.apply(set(alone(&PODS[..1]))).released;
    let gone: Vec<_> = released.iter().map(|it| it.backend).collect();
    assert_eq!(gone, [backend(PODS[1])]);
}
