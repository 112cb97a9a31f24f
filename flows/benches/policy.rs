//! What the index of a large cluster's pods and policies takes, and the flows of one node of it: seconds and peak
//! memory, each case in a process of its own.
//!
//! The cases are those of the scale tests of Antrea's controller, plus one of many rules with ports.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openflow::MacAddr;
use sluice_flows::Compiler;
use sluice_flows::model::{
    Capabilities, Change, ClusterPod, Gateway, Labels, LocalNode, LocalPod, NamespaceLabels,
    Policy, PolicyId, PolicyPeer, PolicyPort, Ports, Protocol, Requirement, Rule, Selector, State,
    Uid,
};

const LOCAL_PODS: usize = 100;

/// Everything in a cluster.
#[derive(Default)]
struct Cluster {
    namespaces: Vec<NamespaceLabels>,
    pods: Vec<Arc<ClusterPod>>,
    policies: Vec<Arc<Policy>>,
}

type Pairs<'a> = &'a [(&'a str, &'a str)];

fn labels(pairs: Pairs<'_>) -> Labels {
    let pairs = pairs.iter().map(|(k, v)| (Arc::from(*k), Arc::from(*v)));
    pairs.collect()
}

fn selector(pairs: Pairs<'_>) -> Selector {
    let requirement =
        |(key, value): &(&str, &str)| Requirement::In(Arc::from(*key), vec![Arc::from(*value)]);
    Selector {
        requirements: pairs.iter().map(requirement).collect(),
    }
}

impl Cluster {
    fn namespace(&mut self, name: &str) {
        self.namespaces.push(NamespaceLabels {
            name: name.into(),
            labels: labels(&[("app", name)]),
        });
    }

    fn pod(&mut self, namespace: &str, name: &str, pairs: Pairs<'_>) {
        let [_, a, b, c] = u32::try_from(self.pods.len() + 1).unwrap().to_be_bytes();
        self.pods.push(Arc::new(ClusterPod {
            uid: Uid::default(),
            namespace: namespace.into(),
            name: name.into(),
            labels: Arc::new(labels(pairs)),
            ips: vec![Ipv4Addr::new(10, a, b, c).into()].into(),
            ports: Arc::default(),
        }));
    }

    /// A policy of both directions: what the selected pods get, and nothing that they send.
    fn policy(
        &mut self,
        namespace: &str,
        name: &str,
        pods: Pairs<'_>,
        from: Option<Pairs<'_>>,
        ports: &[u16],
    ) {
        let range = |port: &u16| PolicyPort {
            protocol: Protocol::Tcp,
            ports: Ports::Range(*port, *port),
        };
        let rule = |from| Rule {
            peers: Some(vec![PolicyPeer::Pods {
                namespaces: None,
                pods: selector(from),
            }]),
            ports: (!ports.is_empty()).then(|| ports.iter().map(range).collect()),
        };
        self.policies.push(Arc::new(Policy {
            id: PolicyId::new(namespace, name),
            namespace: namespace.into(),
            pods: selector(pods),
            ingress: Some(from.map(rule).into_iter().collect()),
            egress: Some(Vec::new()),
        }));
    }
}

/// 25,000 namespaces of 4 pods and 3 policies.
fn small_namespaces() -> Cluster {
    let mut cluster = Cluster::default();
    for n in 0..25_000 {
        let ns = format!("ns-{n}");
        cluster.namespace(&ns);
        cluster.policy(&ns, "default-deny-all", &[], None, &[]);
        for i in ["1", "2"] {
            let app = (&*format!("app-{i}"), &*format!("scale-{i}"));
            cluster.policy(&ns, &format!("np-{i}"), &[app], Some(&[app]), &[]);
            cluster.pod(&ns, &format!("pod-{i}-a"), &[app]);
            cluster.pod(&ns, &format!("pod-{i}-b"), &[app]);
        }
    }
    cluster
}

/// 100 namespaces of 1,000 pods and 101 policies.
fn large_namespaces() -> Cluster {
    let mut cluster = Cluster::default();
    for n in 0..100 {
        let ns = format!("ns-{n}");
        cluster.namespace(&ns);
        cluster.policy(&ns, "default-deny-all", &[], None, &[]);
        for i in 0..100 {
            let app = (&*format!("app-{i}"), &*format!("scale-{i}"));
            cluster.policy(&ns, &format!("np-{i}"), &[app], Some(&[app]), &[]);
            for j in 0..10 {
                cluster.pod(&ns, &format!("pod-{i}-{j}"), &[app]);
            }
        }
    }
    cluster
}

/// One namespace, 10,000 pods, 10,000 policies that select all of them and allow all of them.
fn everything_selected() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.namespace("ns");
    for i in 0..10_000 {
        let app = ("app-1", "scale-1");
        cluster.policy("ns", &format!("np-{i}"), &[app], Some(&[app]), &[]);
        cluster.pod("ns", &format!("pod-{i}"), &[app]);
    }
    cluster
}

/// One namespace, 10,000 pods, one policy for each that allows one other pod.
fn policy_per_pod() -> Cluster {
    let mut cluster = Cluster::default();
    cluster.namespace("ns");
    for i in 0..5_000 {
        let (one, two) = (format!("scale-{i}-a"), format!("scale-{i}-b"));
        for (name, peer) in [(&one, &two), (&two, &one)] {
            let (own, other) = (("app", &**name), ("app", &**peer));
            cluster.policy("ns", name, &[own], Some(&[other]), &[]);
            cluster.pod("ns", name, &[own]);
        }
    }
    cluster
}

/// 1,000 namespaces of 100 pods; in those of the node, 1,000 policies with two ports each.
fn many_rules() -> Cluster {
    let mut cluster = Cluster::default();
    for n in 0..1000 {
        let ns = format!("ns-{n}");
        cluster.namespace(&ns);
        for i in 0..100 {
            cluster.pod(&ns, &format!("pod-{i}"), &[("app", &format!("scale-{i}"))]);
        }
    }
    for i in 0..1000u16 {
        let from = format!("scale-{}", i % 100);
        let peer: Pairs<'_> = &[("app", &from)];
        cluster.policy("ns-0", &format!("np-{i}"), &[], Some(peer), &[1000 + i, 53]);
    }
    cluster
}

type Case = (&'static str, &'static str, fn() -> Cluster);

const CASES: [Case; 5] = [
    (
        "small",
        "25,000 namespaces × 4 pods × 3 policies",
        small_namespaces,
    ),
    (
        "large",
        "100 namespaces × 1,000 pods × 101 policies",
        large_namespaces,
    ),
    (
        "all",
        "1 namespace, 10,000 pods, 10,000 policies that select all",
        everything_selected,
    ),
    (
        "one",
        "1 namespace, 10,000 pods, a policy for each",
        policy_per_pod,
    ),
    (
        "rules",
        "1,000 namespaces × 100 pods, 1,000 policies × 2 ports on one node",
        many_rules,
    ),
];

fn node() -> LocalNode {
    LocalNode {
        name: "here".into(),
        pod_cidrs: Vec::new(),
        gateway: Gateway {
            ofport: 2,
            mac: MacAddr([2; 6]),
            ips: Vec::new(),
        },
        tunnel: None,
        addresses: Vec::new(),
        node_port_addresses: Vec::new(),
        caps: Capabilities::default(),
    }
}

fn local(pod: &ClusterPod, n: u32) -> LocalPod {
    let [_, _, high, low] = n.to_be_bytes();
    LocalPod {
        id: format!("{n:064x}").into(),
        namespace: pod.namespace.to_string(),
        name: pod.name.to_string(),
        uid: Uid::default(),
        ofport: 1024 + n,
        mac: MacAddr([0x0a, 0, 0, 0, high, low]),
        ips: pod.ips.to_vec(),
    }
}

/// The most memory that this process had, in MB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: usize = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib.div_ceil(1024)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn measure(title: &str, make: fn() -> Cluster) {
    let cluster = make();
    let objects = peak();
    let (pods, policies) = (cluster.pods.len(), cluster.policies.len());

    let start = Instant::now();
    let mut state = State::new(node());
    let stride = if title.contains("on one node") {
        1
    } else {
        pods / LOCAL_PODS
    };
    let here: Vec<_> = cluster
        .pods
        .iter()
        .step_by(stride)
        .take(LOCAL_PODS)
        .cloned()
        .collect();
    for namespace in cluster.namespaces {
        state.apply(Change::NamespaceSet(namespace));
    }
    for pod in cluster.pods {
        state.apply(Change::ClusterPodSet(pod));
    }
    for policy in cluster.policies {
        state.apply(Change::PolicySet(policy));
    }
    for (n, pod) in (0..).zip(&here) {
        state.apply(Change::PodSet(local(pod, n)));
    }
    let indexed = start.elapsed();
    let mut compiler = Compiler::new(state);
    let compiled = start.elapsed();
    let program = compiler.desired();
    let done = start.elapsed();
    let most = peak();
    println!("{title}");
    println!(
        "  {pods} pods, {policies} policies, {LOCAL_PODS} pods here, {} flows",
        program.len()
    );
    println!(
        "  index {}, policy {}, flows {}: {:.3} s (≤ 1 s); {most} MB (≤ 300 MB), {objects} MB of it the objects",
        milliseconds(indexed),
        milliseconds(compiled - indexed),
        milliseconds(done - compiled),
        done.as_secs_f64(),
    );

    // One at a time, with all of that in place.
    let pod = here[0].clone();
    let mut other = ClusterPod::clone(&pod);
    other.name = "another".into();
    other.ips = vec![Ipv4Addr::new(10, 255, 0, 1).into()].into();
    let other = Arc::new(other);
    let (namespace, name) = (other.namespace.clone(), other.name.clone());
    let mut policy = Policy::clone(compiler.state().policies_of(&namespace).next().unwrap());
    policy.id = PolicyId::new(&namespace, "zz-new");
    let policy = Arc::new(policy);
    for (what, change) in [
        ("a pod elsewhere comes", Change::ClusterPodSet(other)),
        ("and goes", Change::ClusterPodGone(namespace, name)),
        ("a pod here goes", Change::PodGone(local(&pod, 0).id)),
        ("and comes", Change::PodSet(local(&pod, 0))),
        ("a policy comes", Change::PolicySet(policy.clone())),
        ("and goes", Change::PolicyGone(policy.id.clone())),
    ] {
        let start = Instant::now();
        let patch = compiler.apply(change);
        println!(
            "  {what}: {} flow mods, {}",
            patch.len(),
            milliseconds(start.elapsed())
        );
    }
}

fn main() {
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    if let Some(wanted) = wanted {
        let case = CASES.iter().find(|(name, ..)| *name == wanted).unwrap();
        measure(case.1, case.2);
        return;
    }
    let program = std::env::current_exe().unwrap();
    for (name, ..) in CASES {
        assert!(Command::new(&program).arg(name).status().unwrap().success());
    }
}
