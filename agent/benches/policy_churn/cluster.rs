//! The cluster: what there is, and what happens to it.
//!
//! A pod's labels say which application it is of, one of fifty in its namespace. Every policy selects all pods of its
//! namespace, and lets in one application of it by one port, or one of another team's namespaces.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use openflow::message::FlowEvent;
use serde_json::{Value, json};

use crate::api::{
    NAMESPACES as NAMESPACES_PATH, NODES as NODES_PATH, Objects, PODS, POLICIES as POLICIES_PATH,
    line,
};

const NAMESPACES: usize = 20;
/// Of each namespace.
const POLICIES: usize = 100;
/// Of all.
pub(crate) const ALL_POLICIES: usize = NAMESPACES * POLICIES;
const APPLICATIONS: usize = 50;
const NODES: usize = 100;
const TEAMS: usize = 4;
/// In each namespace as many.
pub(crate) const LOCAL_PODS: usize = 100;
/// Addresses of a node: half of them are for pods that come back.
const ADDRESSES: usize = 2_048;
/// So many pods are away at a time.
const AWAY: usize = 1_000;

/// What of the pods of other nodes changes.
#[derive(Clone, Copy, Debug)]
struct Pod {
    application: usize,
    /// Whether it has come back, with another address.
    again: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Cluster {
    pods: Vec<Pod>,
    changes: usize,
    /// The pod that something happens to next: none twice before all had their turn.
    next: usize,
    gone: VecDeque<usize>,
}

/// Something that happens to a pod.
#[derive(Debug)]
pub(crate) struct Change {
    /// As a watch says it.
    pub(crate) line: String,
    /// Of the pod, or of what it was.
    pub(crate) address: Ipv4Addr,
    /// What happens to the flow of this address.
    pub(crate) event: FlowEvent,
}

impl Cluster {
    pub(crate) fn new(pods: usize) -> Self {
        let pod = |number: usize| Pod {
            application: number / NAMESPACES % APPLICATIONS,
            again: false,
        };
        Self {
            pods: (0..pods).map(pod).collect(),
            changes: 0,
            next: 0,
            gone: VecDeque::new(),
        }
    }

    pub(crate) fn pods(&self) -> usize {
        self.pods.len()
    }

    /// By turns a pod gets other labels, one goes, and one that went seconds ago comes back at another address.
    pub(crate) fn change(&mut self) -> Change {
        let turn = self.changes;
        self.changes += 1;
        if turn % 3 == 2
            && self.gone.len() > AWAY
            && let Some(number) = self.gone.pop_front()
        {
            let pod = &mut self.pods[number];
            pod.again = !pod.again;
            return self.said("ADDED", number, FlowEvent::Added);
        }
        let number = self.next % self.pods.len();
        self.next += 1;
        if turn % 3 == 1 {
            self.gone.push_back(number);
            return self.said("DELETED", number, FlowEvent::Deleted);
        }
        let pod = &mut self.pods[number];
        pod.application = (pod.application + 1) % APPLICATIONS;
        // A flow in another's place is told as one that was added.
        self.said("MODIFIED", number, FlowEvent::Added)
    }

    fn said(&self, kind: &str, number: usize, event: FlowEvent) -> Change {
        Change {
            line: line(kind, &self.pod(number)),
            address: self.address(number),
            event,
        }
    }

    /// Of a pod of another node.
    fn address(&self, number: usize) -> Ipv4Addr {
        let (node, within) = (number % NODES, number / NODES);
        let again = self.pods.get(number).is_some_and(|pod| pod.again);
        let within = within + if again { ADDRESSES / 2 } else { 0 };
        let all = node * ADDRESSES + within;
        let [_, a, b, c] = u32::try_from(all).unwrap_or_default().to_be_bytes();
        Ipv4Addr::new(11, a, b, c)
    }

    fn pod(&self, number: usize) -> Value {
        let application = self.pods.get(number).map_or(0, |pod| pod.application);
        let namespace = format!("ns-{}", number % NAMESPACES);
        let node = format!("node-{}", number % NODES);
        let name = format!("app-7d9c5b8f6-{number:05x}");
        pod(
            &namespace,
            &name,
            &node,
            application,
            Some(self.address(number)),
        )
    }

    /// Everything that there is at the start.
    pub(crate) fn objects(&self) -> Objects {
        let added = |object: Value| line("ADDED", &object);
        let elsewhere = (0..self.pods.len()).map(|number| self.pod(number));
        let here = (0..LOCAL_PODS).map(|number| {
            let (namespace, name) = local_name(number);
            pod(&namespace, &name, "bench", number % APPLICATIONS, None)
        });
        Objects::from([
            (PODS, elsewhere.chain(here).map(added).collect()),
            (NODES_PATH, nodes().map(added).collect()),
            (NAMESPACES_PATH, namespaces().map(added).collect()),
            (POLICIES_PATH, policies().map(added).collect()),
        ])
    }
}

fn nodes() -> impl Iterator<Item = Value> {
    let own = node("bench", "10.244.0.0/20", Ipv4Addr::new(172, 31, 255, 1));
    let others = (0..NODES).map(|number| {
        let [_, a, b, _] = u32::try_from(number * ADDRESSES)
            .unwrap_or_default()
            .to_be_bytes();
        let last = u8::try_from(number + 1).unwrap_or_default();
        node(
            &format!("node-{number}"),
            &format!("11.{a}.{b}.0/21"),
            Ipv4Addr::new(172, 31, 0, last),
        )
    });
    std::iter::once(own).chain(others)
}

fn namespaces() -> impl Iterator<Item = Value> {
    (0..NAMESPACES).map(|number| {
        let name = format!("ns-{number}");
        let team = format!("team-{}", number % TEAMS);
        json!({"metadata": {"name": name, "resourceVersion": "1", "labels": {
                "kubernetes.io/metadata.name": name, "team": team}}})
    })
}

fn policies() -> impl Iterator<Item = Value> {
    (0..NAMESPACES).flat_map(|namespace| {
        (0..POLICIES).map(move |number| {
            let application = format!("app-{}", number % APPLICATIONS);
            let pods = json!({"matchLabels": {"app": application}});
            let peer = if number % 10 == 0 {
                let team = format!("team-{}", (namespace + 1) % TEAMS);
                json!({"podSelector": pods, "namespaceSelector": {"matchLabels": {"team": team}}})
            } else {
                json!({"podSelector": pods})
            };
            json!({
                "metadata": {
                    "name": format!("policy-{number}"), "namespace": format!("ns-{namespace}"),
                    "resourceVersion": "1",
                },
                "spec": {
                    "podSelector": {}, "policyTypes": ["Ingress"],
                    "ingress": [{"from": [peer], "ports": [{"port": 8000 + number}]}],
                },
            })
        })
    })
}

/// Namespace and name of a pod of this node.
pub(crate) fn local_name(number: usize) -> (String, String) {
    (
        format!("ns-{}", number % NAMESPACES),
        format!("local-{number}"),
    )
}

pub(crate) fn uid(name: &str) -> String {
    format!("uid-of-{name}-6f3b1a2c4d5e")
}

fn node(name: &str, cidr: &str, address: Ipv4Addr) -> Value {
    json!({
        "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"podCIDR": cidr, "podCIDRs": [cidr]},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    })
}

/// A pod with what an API server says of one, as far as size goes: some 2.5 kB.
fn pod(namespace: &str, name: &str, node: &str, application: usize, ip: Option<Ipv4Addr>) -> Value {
    let environment: Vec<Value> = (0..12)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("what setting {n} is set to")}))
        .collect();
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "lastProbeTime": null,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let ips: Vec<Value> = ip.iter().map(|ip| json!({"ip": ip})).collect();
    json!({
        "metadata": {
            "name": name, "namespace": namespace, "uid": uid(name), "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z", "generateName": "app-7d9c5b8f6-",
            "labels": {
                "app": format!("app-{application}"), "pod-template-hash": "7d9c5b8f6",
                "app.kubernetes.io/part-of": "shop", "app.kubernetes.io/managed-by": "Helm",
            },
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "app-7d9c5b8f6",
                "uid": "a5b0c3d1-0000-4f6e-9d2b-6f3b1a2c4d5e", "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "nodeName": node, "serviceAccountName": "default", "restartPolicy": "Always",
            "schedulerName": "default-scheduler", "priority": 0, "enableServiceLinks": true,
            "volumes": [{"name": "token", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}]}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}],
            "containers": [{
                "name": "server", "image": "registry.example/shop/server:1.2.3", "imagePullPolicy": "IfNotPresent",
                "env": environment, "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
                "resources": {"limits": {"cpu": "500m", "memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}},
                "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10},
                "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": true}],
            }],
        },
        "status": {
            "phase": if ip.is_some() { "Running" } else { "Pending" }, "hostIP": "172.31.0.1", "podIPs": ips, "podIP": ip,
            "startTime": "2026-01-01T00:00:00Z", "qosClass": "Burstable",
            "conditions": [condition("Initialized"), condition("Ready"), condition("ContainersReady"),
                condition("PodScheduled")],
            "containerStatuses": [{"name": "server", "ready": true, "restartCount": 0, "started": true,
                "image": "registry.example/shop/server:1.2.3",
                "imageID": "registry.example/shop/server@sha256:4b1f2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f8",
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
        },
    })
}
