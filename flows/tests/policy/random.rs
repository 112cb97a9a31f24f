//! Random policies, pods, labels and histories, from a world so small that things meet all the time: the evaluator
//! and the flows agree, and every history leads to what its end compiles to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use sluice_flows::interpreter::Tables;
use sluice_flows::model::{
    Change, ClusterPod, Labels, LocalPod, NamedPort, NamespaceLabels, Policy, PolicyId, PolicyPeer,
    PolicyPort, Ports, Protocol, Requirement, Rule, Selector, State, Uid,
};
use sluice_flows::{Compiler, Direction, Program, Verdict, compile_all};

use crate::cluster::{GATEWAY, GATEWAY_IP, ip, local, node, state};
use crate::flows::{Fate, halves, judging, run};
use crate::oracle::{End, allows};

const NAMESPACES: [&str; 3] = ["a", "b", "c"];
/// Of labels; that a value is empty does not mean that the label is not there.
const VALUES: [&str; 3] = ["1", "2", ""];
type Port = Option<(Protocol, u16)>;

const PODS: [&str; 4] = ["p", "q", "r", "s"];
const PORTS: [u16; 5] = [53, 80, 81, 8080, 9000];
const ADDRESSES: [&str; 14] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.0.0.4",
    "10.0.1.5",
    "10.1.0.1",
    "10.1.0.2",
    "10.1.0.200",
    "198.51.100.7",
    "fd00::1",
    "fd00::2",
    "fd00::3",
    "fd01::1",
    "fd01::2",
];

fn labels() -> impl Strategy<Value = Labels> {
    let pair = (select(vec!["app", "tier", "x"]), select(VALUES.to_vec()));
    vec(pair, 0..3).prop_map(|pairs| {
        let pairs = pairs.into_iter().map(|(k, v)| (Arc::from(k), Arc::from(v)));
        pairs.collect()
    })
}

fn selector() -> impl Strategy<Value = Selector> {
    let key = || select(vec!["app", "tier", "x"]).prop_map(Arc::<str>::from);
    let values = || {
        let values = subsequence(VALUES.to_vec(), 1..3);
        values.prop_map(|values| values.into_iter().map(Arc::from).collect::<Vec<_>>())
    };
    let requirement = prop_oneof![
        4 => (key(), values()).prop_map(|(k, v)| Requirement::In(k, v)),
        1 => (key(), values()).prop_map(|(k, v)| Requirement::NotIn(k, v)),
        1 => key().prop_map(Requirement::Exists),
        1 => key().prop_map(Requirement::DoesNotExist),
    ];
    vec(requirement, 0..3).prop_map(|requirements| Selector { requirements })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![
        Protocol::Tcp,
        Protocol::Tcp,
        Protocol::Udp,
        Protocol::Sctp,
    ])
}

fn peer() -> impl Strategy<Value = PolicyPeer> {
    let blocks = vec![
        ("10.0.0.0/16", "10.0.0.0/30"),
        ("10.0.0.0/30", "10.0.0.2/32"),
        ("10.0.0.0/8", "10.1.0.0/16"),
        ("10.1.0.0/16", "10.1.0.128/25"),
        ("10.0.0.2/32", "10.0.0.2/32"),
        ("0.0.0.0/0", "10.0.0.0/8"),
        ("::/0", "fd00::/64"),
        ("fd00::/64", "fd00::2/128"),
        ("fd01::1/128", "fd01::2/128"),
    ];
    let block = (
        select(blocks.clone()),
        option::of(select(blocks)),
        any::<bool>(),
    )
        .prop_map(|((cidr, except), other, with)| {
            let excepts = [with.then_some(except), other.map(|(_, except)| except)];
            PolicyPeer::IpBlock {
                cidr: cidr.parse().unwrap(),
                except: excepts
                    .into_iter()
                    .flatten()
                    .map(|net| net.parse().unwrap())
                    .collect(),
            }
        });
    prop_oneof![
        1 => block,
        2 => (option::of(selector()), selector())
            .prop_map(|(namespaces, pods)| PolicyPeer::Pods { namespaces, pods }),
    ]
}

fn port() -> impl Strategy<Value = PolicyPort> {
    let ports = prop_oneof![
        1 => Just(Ports::All),
        3 => select(PORTS.to_vec()).prop_map(|port| Ports::Range(port, port)),
        1 => Just(Ports::Range(80, 8080)),
        3 => select(vec!["web", "dns"]).prop_map(|name| Ports::Named(name.into())),
    ];
    (protocol(), ports).prop_map(|(protocol, ports)| PolicyPort { protocol, ports })
}

fn rules() -> impl Strategy<Value = Option<Vec<Rule>>> {
    let rule = (option::of(vec(peer(), 0..3)), option::of(vec(port(), 0..3)))
        .prop_map(|(peers, ports)| Rule { peers, ports });
    option::weighted(0.7, vec(rule, 0..3))
}

fn policy() -> impl Strategy<Value = Policy> {
    let name = (
        select(NAMESPACES.to_vec()),
        select(vec!["k", "l", "m", "n", "o", "v", "w"]),
    );
    (name, selector(), rules(), rules()).prop_map(|((namespace, name), pods, ingress, egress)| {
        Policy {
            id: PolicyId::new(namespace, name),
            namespace: namespace.into(),
            pods,
            ingress,
            egress,
        }
    })
}

fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    let all: Vec<IpAddr> = ADDRESSES.iter().map(|s| ip(s)).collect();
    subsequence(all, 0..3)
}

/// Mostly that of no other pod of the same name.
fn uid() -> impl Strategy<Value = Uid> {
    select(vec!["", "1", "1", "1", "2"]).prop_map(Uid::new)
}

fn cluster_pod() -> impl Strategy<Value = ClusterPod> {
    let named = (
        select(vec!["web", "dns"]),
        protocol(),
        select(PORTS.to_vec()),
    );
    let named = named.prop_map(|(name, protocol, port)| NamedPort {
        name: name.into(),
        protocol,
        port,
    });
    (
        (select(NAMESPACES.to_vec()), select(PODS.to_vec()), uid()),
        labels(),
        addresses(),
        vec(named, 0..3),
    )
        .prop_map(|((namespace, name, uid), labels, ips, ports)| ClusterPod {
            uid,
            namespace: namespace.into(),
            name: name.into(),
            labels: labels.into(),
            ips: ips.into(),
            ports: ports.into(),
        })
}

/// What a cluster says of policies, and of the pods and namespaces that they select.
fn change_of_policy() -> impl Strategy<Value = Change> {
    let namespace = || select(NAMESPACES.to_vec()).prop_map(Arc::<str>::from);
    prop_oneof![
        1 => (namespace(), labels()).prop_map(|(name, labels)| {
            Change::NamespaceSet(NamespaceLabels { name, labels })
        }),
        2 => cluster_pod().prop_map(|pod| Change::ClusterPodSet(Arc::new(pod))),
        4 => policy().prop_map(|policy| Change::PolicySet(Arc::new(policy))),
        3 => policy().prop_map(|policy| Change::PolicyGone(policy.id)),
    ]
}

/// A pod of this node, perhaps without a name, perhaps with addresses that the cluster does not know of.
fn local_pod() -> impl Strategy<Value = LocalPod> {
    let ports = select(vec![10u32, 11, 12, 13, 14]);
    (cluster_pod(), uid(), ports, prop::bool::weighted(0.2)).prop_map(
        |(pod, uid, port, nameless)| {
            let mut local = local(&pod, port);
            if nameless {
                local.id = format!("nameless-{port}").into();
                local.namespace.clear();
                local.name.clear();
            }
            local.uid = uid;
            local
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let namespace = || select(NAMESPACES.to_vec()).prop_map(Arc::<str>::from);
    prop_oneof![
        3 => (namespace(), labels()).prop_map(|(name, labels)| {
            Change::NamespaceSet(NamespaceLabels { name, labels })
        }),
        1 => namespace().prop_map(Change::NamespaceGone),
        8 => cluster_pod().prop_map(|pod| Change::ClusterPodSet(Arc::new(pod))),
        3 => (namespace(), select(PODS.to_vec()))
            .prop_map(|(namespace, name)| Change::ClusterPodGone(namespace, name.into())),
        8 => policy().prop_map(|policy| Change::PolicySet(Arc::new(policy))),
        3 => policy().prop_map(|policy| Change::PolicyGone(policy.id)),
        5 => local_pod().prop_map(Change::PodSet),
        2 => local_pod().prop_map(|pod| Change::PodGone(pod.id)),
        1 => select(vec![GATEWAY, GATEWAY, 10, 11]).prop_map(|ofport| {
            let mut node = node();
            node.gateway.ofport = ofport;
            Change::Node(node)
        }),
    ]
}

pub(crate) fn world() -> impl Strategy<Value = State> {
    vec(change(), 20..60).prop_map(|changes| {
        let mut state = state();
        for change in changes {
            state.apply(change);
        }
        // Who has what two claim is another test's business.
        state.apply(Change::Node(node()));
        let mut pods: Vec<LocalPod> = std::mem::take(&mut state.pods).into_values().collect();
        let known = state.cluster_pods.iter();
        pods.extend((20u32..).zip(known).map(|(port, pod)| local(pod, port)));
        for pod in pods.into_iter().rev() {
            let free = |other: &LocalPod| {
                other.ofport != pod.ofport && !other.ips.iter().any(|ip| pod.ips.contains(ip))
            };
            if state.pods.values().all(free) {
                state.pods.insert(pod.id.clone(), pod);
            }
        }
        state
    })
}

/// What the evaluator says of a packet between two addresses, by the pods that have them here. `None` if there is no
/// such packet: nobody has the address that it would come from or go to, or it has nothing to do with this node.
pub(crate) fn expected(
    state: &State,
    from: IpAddr,
    to: IpAddr,
    port: Option<(Protocol, u16)>,
) -> Option<Fate> {
    let local = |ip: IpAddr| state.pods.values().find(|pod| pod.ips.contains(&ip));
    let ours = |ip: IpAddr| state.local.pod_cidrs.iter().any(|net| net.contains(&ip));
    let (source, destination) = (local(from), local(to));
    let of_node = from == ip(GATEWAY_IP);
    let itself = source.is_some() && source == destination;
    let from_nobody = source.is_none() && ours(from) && !of_node;
    let to_nobody = destination.is_none() && (ours(to) || source.is_none());
    if itself || from_nobody || to_nobody {
        return None;
    }
    if of_node {
        return Some(Fate::Allowed);
    }

    // One of the same name with another UID was there before it.
    let known = |pod: &LocalPod| {
        let named = state.cluster_pod(&pod.namespace, &pod.name)?;
        let unknown = Uid::default();
        let another = named.uid != pod.uid && named.uid != unknown && pod.uid != unknown;
        (!another).then_some(named)
    };
    let here = |ip: IpAddr| {
        let pod = state.pods.values().find(|pod| pod.ips.contains(&ip))?;
        if pod.namespace.is_empty() {
            let all = state.cluster_pods.iter();
            return all
                .into_iter()
                .find(|p| p.ips.iter().any(|ip| pod.ips.contains(ip)));
        }
        known(pod)
    };
    // An address that a pod has here is its, also where the cluster does not say so yet.
    let end = |ip: IpAddr| {
        let mut end = End::of(ip, state);
        let named = state.pods.values().filter(|pod| pod.ips.contains(&ip));
        for pod in named.filter_map(known) {
            if !end.pods.iter().any(|other| std::ptr::eq(*other, &**pod)) {
                end.pods.push(pod);
            }
        }
        end
    };
    // Nobody can say which policies apply to a pod that the cluster does not know.
    let closed = |ip: IpAddr| {
        let pod = state.pods.values().find(|pod| pod.ips.contains(&ip));
        pod.is_some_and(|pod| {
            !pod.namespace.is_empty()
                && known(pod).is_none()
                && state
                    .policies
                    .values()
                    .any(|policy| *policy.namespace == pod.namespace)
        })
    };
    if closed(from)
        || here(from).is_some_and(|pod| !allows(state, Direction::Egress, pod, &end(to), port))
    {
        return Some(Fate::DeniedEgress);
    }
    if closed(to)
        || here(to).is_some_and(|pod| !allows(state, Direction::Ingress, pod, &end(from), port))
    {
        return Some(Fate::DeniedIngress);
    }
    Some(Fate::Allowed)
}

/// Every packet that can come that far.
pub(crate) fn packets() -> Vec<(IpAddr, IpAddr, Port)> {
    let ports = Protocol::ALL
        .iter()
        .flat_map(|p| PORTS.iter().map(|port| Some((*p, *port))));
    let ports: Vec<_> = ports.chain([None]).collect();
    let mut all = Vec::new();
    for from in ADDRESSES.iter().chain([&GATEWAY_IP]).map(|s| ip(s)) {
        for to in ADDRESSES.iter().map(|s| ip(s)) {
            if from != to && from.is_ipv4() == to.is_ipv4() {
                all.extend(ports.iter().map(|port| (from, to, *port)));
            }
        }
    }
    all
}

/// What the evaluator says is what the flows do, and what the engine says of itself.
#[test]
fn evaluator_equals_flows() {
    let fates = RefCell::new(HashMap::new());
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(150)
    });
    let worlds = (world(), select(vec![u32::MAX, u32::MAX, 4]), 0..11usize);
    let done = runner.run(&worlds, |(state, bits, first)| {
        let compiler = Compiler::with_number_bits(state.clone(), bits);
        prop_assert_eq!(compiler.policy_faults(), vec![]);
        let program = judging(&compiler.desired());
        let tables = Tables::from(&program);
        let local = |ip: IpAddr| state.pods.values().find(|pod| pod.ips.contains(&ip));
        for (from, to, port) in packets().into_iter().skip(first).step_by(11) {
            let Some(wanted) = expected(&state, from, to, port) else {
                continue;
            };
            let done = run(&tables, &state, from, to, port);
            prop_assert_eq!(done, wanted, "{} to {} {:?}\n{}", from, to, port, program);
            let judged = match compiler.judge(from, to, port) {
                Verdict::Allowed => Fate::Allowed,
                Verdict::Denied(Direction::Egress) => Fate::DeniedEgress,
                Verdict::Denied(Direction::Ingress) => Fate::DeniedIngress,
            };
            prop_assert_eq!(judged, wanted, "judge: {} to {} {:?}", from, to, port);
            let policed = |pod: &&LocalPod| compiler.is_policed_known(&pod.id);
            if local(from).iter().chain(&local(to)).any(policed) {
                *fates.borrow_mut().entry(done).or_insert(0usize) += 1;
            }
        }
        Ok(())
    });
    done.unwrap_or_else(|e| panic!("{e}"));
    println!("packets from and to known pods: {:?}", fates.borrow());
    let fates = fates.into_inner();
    for fate in [Fate::Allowed, Fate::DeniedEgress, Fate::DeniedIngress] {
        assert!(
            fates.get(&fate).is_some_and(|n| *n > 200),
            "the dice are loaded: {fates:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever happens, the patches lead to what the state as a whole compiles to, and say nothing twice.
    #[test]
    fn incremental_equals_full(history in vec(change(), 1..80), bits in select(vec![u32::MAX, 1, 3])) {
        let mut compiler = Compiler::with_number_bits(state(), bits);
        let mut switch = compiler.desired();
        for change in history {
            let what = format!("{change:?}");
            let patch = compiler.apply(change);
            for flow in &patch.flows_set {
                prop_assert_ne!(switch.get(&flow.key), Some((flow.cookie, &*flow.instructions)), "sent for nothing");
            }
            for key in &patch.flows_gone {
                prop_assert!(switch.get(key).is_some(), "{key} is not there");
            }
            patch.apply_to(&mut switch);
            let full = Compiler::with_number_bits(compiler.state().clone(), bits).desired();
            prop_assert!(switch == full, "{what}\nincremental:\n{switch}\nfull:\n{full}");
            prop_assert!(compiler.desired() == full);
        }
    }

    /// Conntrack cuts a packet's way in two, and while the switch takes a change in, it may go by one half of what was
    /// and the other of what will be. It is judged by one or the other all the same.
    #[test]
    fn halves_of_two_programs_judge_as_one_of_them(
        state in world(), changes in vec(change_of_policy(), 1..6), first in 0..11usize,
    ) {
        let mut compiler = Compiler::new(state);
        let before = compiler.desired();
        for change in changes {
            compiler.apply(change);
        }
        let after = compiler.desired();
        let programs = [
            (&before, &before), (&after, &after), (&before, &after), (&after, &before),
        ].map(|(first, second)| judging(&halves(first, second)));
        let tables: Vec<_> = programs.iter().map(Tables::from).collect();
        for (from, to, port) in packets().into_iter().skip(first).step_by(11) {
            if expected(compiler.state(), from, to, port).is_none() {
                continue;
            }
            let fates: Vec<_> = tables
                .iter()
                .map(|tables| run(tables, compiler.state(), from, to, port))
                .collect();
            for mixed in &fates[2..] {
                prop_assert!(fates[..2].contains(mixed), "{from} to {to} {port:?}: {fates:?}");
            }
        }
    }

    /// Every match and message is one that a switch accepts.
    #[test]
    fn flows_are_valid(state in world()) {
        let program: Program = compile_all(&state);
        for (key, ..) in program.flows() {
            prop_assert!(key.match_.validate().is_ok(), "{key}: {:?}", key.match_.validate());
        }
    }
}
