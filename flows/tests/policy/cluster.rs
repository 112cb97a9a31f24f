//! A node and pods for tests, in few words.

use std::net::IpAddr;
use std::sync::Arc;

use openflow::MacAddr;
use sluice_flows::model::{
    Capabilities, Change, ClusterPod, Gateway, Labels, LocalNode, LocalPod, NamedPort,
    NamespaceLabels, Peer, Policy, PolicyId, PolicyPeer, PolicyPort, Ports, Protocol, Requirement,
    Rule, Selector, State, Tunnel, TunnelKind, Uid,
};

pub(crate) const TUNNEL: u32 = 1;
pub(crate) const GATEWAY: u32 = 2;
pub(crate) const GATEWAY_IP: &str = "10.0.255.1";

pub(crate) fn mac(n: u32) -> MacAddr {
    let [_, b, c, d] = n.to_be_bytes();
    MacAddr([0x0a, 0, 0, b, c, d])
}

pub(crate) fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

pub(crate) fn node() -> LocalNode {
    LocalNode {
        name: "here".into(),
        pod_cidrs: vec!["10.0.0.0/16".parse().unwrap(), "fd00::/64".parse().unwrap()],
        gateway: Gateway {
            ofport: GATEWAY,
            mac: mac(2),
            ips: vec![ip(GATEWAY_IP)],
        },
        tunnel: Some(Tunnel {
            ofport: TUNNEL,
            kind: TunnelKind::Vxlan,
        }),
        addresses: vec![ip("192.0.2.1")],
        node_port_addresses: Vec::new(),
        caps: Capabilities::default(),
    }
}

/// The node, and one peer whose pods are in 10.1.0.0/16.
pub(crate) fn state() -> State {
    let mut state = State::new(node());
    state.apply(Change::PeerSet(Peer {
        name: "there".into(),
        pod_cidrs: vec!["10.1.0.0/16".parse().unwrap(), "fd01::/64".parse().unwrap()],
        underlay: ip("192.0.2.2"),
    }));
    state
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter().map(|(k, v)| (Arc::from(*k), Arc::from(*v)));
    pairs.collect()
}

pub(crate) fn namespace(name: &str, pairs: &[(&str, &str)]) -> Change {
    Change::NamespaceSet(NamespaceLabels {
        name: name.into(),
        labels: labels(pairs),
    })
}

/// A pod of the cluster: `namespace/name`.
pub(crate) fn pod(full: &str, ips: &[&str], pairs: &[(&str, &str)]) -> ClusterPod {
    let (namespace, name) = full.split_once('/').unwrap();
    ClusterPod {
        uid: Uid::default(),
        namespace: namespace.into(),
        name: name.into(),
        labels: Arc::new(labels(pairs)),
        ips: ips.iter().map(|s| ip(s)).collect::<Vec<_>>().into(),
        ports: Arc::default(),
    }
}

pub(crate) fn with_port(
    mut pod: ClusterPod,
    name: &str,
    protocol: Protocol,
    port: u16,
) -> ClusterPod {
    Arc::make_mut(&mut pod.ports).push(NamedPort {
        name: name.into(),
        protocol,
        port,
    });
    pod
}

pub(crate) fn set(pod: ClusterPod) -> Change {
    Change::ClusterPodSet(Arc::new(pod))
}

/// The attachment of a pod to this node.
pub(crate) fn local(pod: &ClusterPod, ofport: u32) -> LocalPod {
    LocalPod {
        id: format!("sandbox-{}-{}", pod.namespace, pod.name).into(),
        namespace: pod.namespace.to_string(),
        name: pod.name.to_string(),
        uid: Uid::default(),
        ofport,
        mac: mac(ofport),
        ips: pod.ips.to_vec(),
    }
}

/// `key=value` and `key` conditions.
pub(crate) fn selector(conditions: &[&str]) -> Selector {
    let requirement = |condition: &&str| match condition.split_once('=') {
        Some((key, value)) => Requirement::In(key.into(), vec![value.into()]),
        None => Requirement::Exists((*condition).into()),
    };
    Selector {
        requirements: conditions.iter().map(requirement).collect(),
    }
}

pub(crate) fn policy(full: &str, pods: Selector) -> Policy {
    let (namespace, name) = full.split_once('/').unwrap();
    Policy {
        id: PolicyId::new(namespace, name),
        namespace: namespace.into(),
        pods,
        ingress: None,
        egress: None,
    }
}

pub(crate) fn set_policy(policy: &Policy) -> Change {
    Change::PolicySet(Arc::new(policy.clone()))
}

/// Pods of the policy's own namespace.
pub(crate) fn pods(conditions: &[&str]) -> PolicyPeer {
    PolicyPeer::Pods {
        namespaces: None,
        pods: selector(conditions),
    }
}

pub(crate) fn pods_in(namespaces: &[&str], conditions: &[&str]) -> PolicyPeer {
    PolicyPeer::Pods {
        namespaces: Some(selector(namespaces)),
        pods: selector(conditions),
    }
}

pub(crate) fn block(cidr: &str, except: &[&str]) -> PolicyPeer {
    PolicyPeer::IpBlock {
        cidr: cidr.parse().unwrap(),
        except: except.iter().map(|net| net.parse().unwrap()).collect(),
    }
}

pub(crate) fn tcp(port: u16) -> PolicyPort {
    PolicyPort {
        protocol: Protocol::Tcp,
        ports: Ports::Range(port, port),
    }
}

/// A rule; no peers are everyone, and no ports everything.
pub(crate) fn rule(peers: Vec<PolicyPeer>, ports: Vec<PolicyPort>) -> Rule {
    Rule {
        peers: (!peers.is_empty()).then_some(peers),
        ports: (!ports.is_empty()).then_some(ports),
    }
}
