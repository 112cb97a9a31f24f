//! The oracle: policies as the Kubernetes documentation puts it, slowly and without a thought for flows.

use std::net::IpAddr;

use sluice_flows::Direction;
use sluice_flows::model::{
    ClusterPod, Labels, Policy, PolicyPeer, PolicyPort, Ports, Protocol, Requirement, Rule,
    Selector, State,
};

/// One end of a connection: an address, and the pods that have it.
#[derive(Debug, Clone)]
pub(crate) struct End<'a> {
    pub(crate) ip: IpAddr,
    pub(crate) pods: Vec<&'a ClusterPod>,
}

impl<'a> End<'a> {
    pub(crate) fn of(ip: IpAddr, state: &'a State) -> Self {
        let all = state.cluster_pods.iter();
        let pods = all.map(|pod| &**pod).filter(|pod| pod.ips.contains(&ip));
        Self {
            ip,
            pods: pods.collect(),
        }
    }
}

/// Whether `pod` may talk to `peer` in a direction, on a port of the destination; `None` is ICMP and the like.
pub(crate) fn allows(
    state: &State,
    direction: Direction,
    pod: &ClusterPod,
    peer: &End<'_>,
    port: Option<(Protocol, u16)>,
) -> bool {
    let policies = state.policies.values().filter(|policy| {
        policy.namespace == pod.namespace
            && selects(&policy.pods, &pod.labels)
            && rules(policy, direction).is_some()
    });
    let policies: Vec<_> = policies.collect();
    let destination = match direction {
        Direction::Egress => peer.pods.clone(),
        Direction::Ingress => vec![pod],
    };
    policies.is_empty()
        || policies.iter().any(|policy| {
            let rules = rules(policy, direction).unwrap();
            rules
                .iter()
                .any(|rule| rule_allows(state, policy, rule, peer, &destination, port))
        })
}

fn rules(policy: &Policy, direction: Direction) -> Option<&Vec<Rule>> {
    match direction {
        Direction::Egress => policy.egress.as_ref(),
        Direction::Ingress => policy.ingress.as_ref(),
    }
}

fn rule_allows(
    state: &State,
    policy: &Policy,
    rule: &Rule,
    peer: &End<'_>,
    destination: &[&ClusterPod],
    port: Option<(Protocol, u16)>,
) -> bool {
    let peers = rule.peers.as_deref().unwrap_or_default();
    let ports = rule.ports.as_deref().unwrap_or_default();
    let peer_fits = peers.is_empty() || peers.iter().any(|p| peer_is(state, policy, p, peer));
    let port_fits = ports.is_empty()
        || port.is_some_and(|(protocol, port)| {
            ports
                .iter()
                .any(|p| port_is(p, destination, protocol, port))
        });
    peer_fits && port_fits
}

fn peer_is(state: &State, policy: &Policy, wanted: &PolicyPeer, peer: &End<'_>) -> bool {
    match wanted {
        PolicyPeer::IpBlock { cidr, except } => {
            cidr.contains(&peer.ip) && !except.iter().any(|net| net.contains(&peer.ip))
        }
        PolicyPeer::Pods { namespaces, pods } => peer.pods.iter().any(|pod| {
            let in_namespace = match namespaces {
                None => pod.namespace == policy.namespace,
                Some(selector) => namespace_is(state, selector, &pod.namespace),
            };
            in_namespace && selects(pods, &pod.labels)
        }),
    }
}

fn namespace_is(state: &State, selector: &Selector, name: &str) -> bool {
    let namespace = state.namespaces.get(name);
    namespace.is_some_and(|namespace| selects(selector, &namespace.labels))
}

/// Said again here, since what is tested asks [`Selector::matches`].
fn selects(selector: &Selector, labels: &Labels) -> bool {
    selector.requirements.iter().all(|requirement| {
        let (Requirement::In(key, _)
        | Requirement::NotIn(key, _)
        | Requirement::Exists(key)
        | Requirement::DoesNotExist(key)) = requirement;
        let mut of_key = labels.iter().filter(|(other, _)| *other == key);
        match (requirement, of_key.next()) {
            (Requirement::In(_, values), Some((_, value))) => values.iter().any(|v| v == value),
            (Requirement::NotIn(_, values), Some((_, value))) => values.iter().all(|v| v != value),
            (Requirement::Exists(_), there) => there.is_some(),
            (Requirement::DoesNotExist(_) | Requirement::NotIn(..), None) => true,
            (Requirement::In(..), None) | (Requirement::DoesNotExist(_), Some(_)) => false,
        }
    })
}

fn port_is(
    wanted: &PolicyPort,
    destination: &[&ClusterPod],
    protocol: Protocol,
    port: u16,
) -> bool {
    wanted.protocol == protocol
        && match &wanted.ports {
            Ports::All => true,
            Ports::Range(from, to) => (*from..=*to).contains(&port),
            Ports::Named(name) => destination
                .iter()
                .flat_map(|pod| pod.ports.iter())
                .any(|p| p.name == *name && p.protocol == protocol && p.port == port),
        }
}
