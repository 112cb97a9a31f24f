//! Whatever the history, the answers add up to what a fresh index says of the objects there are at its end.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sluice_flows::model::{ClusterPod, Labels, Policy, PolicyId, ServiceId};

use super::*;

/// What the answers add up to.
#[derive(Debug, Default, PartialEq)]
struct Sum {
    namespaces: BTreeMap<Arc<str>, Labels>,
    pods: BTreeMap<(Arc<str>, Arc<str>), Arc<ClusterPod>>,
    policies: BTreeMap<PolicyId, Arc<Policy>>,
    services: BTreeMap<ServiceId, Arc<ServicePort>>,
    addresses: BTreeSet<IpAddr>,
    node_ports: BTreeSet<NodePort>,
}

impl Sum {
    /// Adds an update, each part of which must be a change.
    fn add(&mut self, update: &Update) {
        for joined in &update.joined {
            let changed = match joined.clone() {
                Joined::NamespaceSet(it) => {
                    self.namespaces.insert(it.name, it.labels.clone()) != Some(it.labels)
                }
                Joined::NamespaceGone(name) => self.namespaces.remove(&name).is_some(),
                Joined::ClusterPodSet(it) => {
                    let key = (it.namespace.clone(), it.name.clone());
                    self.pods.insert(key, it.clone()) != Some(it)
                }
                Joined::ClusterPodGone(namespace, name) => {
                    self.pods.remove(&(namespace, name)).is_some()
                }
                Joined::PolicySet(it) => {
                    self.policies.insert(it.id.clone(), it.clone()) != Some(it)
                }
                Joined::PolicyGone(id) => self.policies.remove(&id).is_some(),
                Joined::ServiceSet(it) => {
                    self.services.insert(it.id.clone(), it.clone()) != Some(it)
                }
                Joined::ServiceGone(id) => self.services.remove(&id).is_some(),
            };
            assert!(changed, "no change: {joined:?}");
        }
        for ip in &update.service_addresses.removed {
            assert!(self.addresses.remove(ip), "{ip} was not there");
        }
        for ip in &update.service_addresses.added {
            assert!(self.addresses.insert(*ip), "{ip} was there");
        }
        for port in &update.node_ports.removed {
            assert!(self.node_ports.remove(port), "{port:?} was not there");
        }
        for port in &update.node_ports.added {
            assert!(self.node_ports.insert(*port), "{port:?} was there");
        }
        // What is served is what is listened at.
        let mut addresses = BTreeSet::new();
        for frontend in self.services.values().flat_map(|port| &port.frontends) {
            if let Frontend::Cluster { ip, .. } | Frontend::External { ip, .. } = frontend {
                addresses.insert(*ip);
            }
        }
        assert_eq!(addresses, self.addresses);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Event(Event),
    Attached(String, Vec<IpAddr>),
    Detached(String, Vec<IpAddr>),
}

fn flag() -> impl Strategy<Value = bool> {
    any::<bool>()
}

fn maybe<T: Clone + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = Vec<T>> {
    proptest::sample::subsequence(all.to_vec(), 0..=all.len().min(2))
}

fn any_service() -> impl Strategy<Value = Event> {
    let vips = maybe(&["10.96.0.1", "10.96.0.2", "fd00:96::1", "192.0.2.1"]);
    let outside = maybe(&["192.0.2.1", "10.96.0.1"]);
    let ports = maybe(&[
        (80, "TCP", 30080),
        (80, "UDP", 30080),
        (81, "TCP", 30081),
        (0, "TCP", 0),
    ]);
    let created = proptest::option::of(1u8..4);
    (
        "[st]",
        vips,
        outside,
        ports,
        created,
        (flag(), flag(), flag(), flag()),
    )
        .prop_map(|(name, vips, outside, ports, created, flags)| {
            let (local, hinted, labelled, health) = flags;
            let policy = if local { "Local" } else { "Cluster" };
            let ports: Vec<Value> = ports
                .iter()
                .map(|(port, protocol, node_port)| {
                    json!({"name": format!("p{port}"), "port": port, "protocol": protocol, "nodePort": node_port,
                           "targetPort": if health { json!("web") } else { json!(8080) }})
                })
                .collect();
            let ingress: Vec<Value> = outside.iter().map(|ip| json!({"ip": ip})).collect();
            let fields = json!({
                "metadata": {
                    "creationTimestamp": created.map(|day| format!("2026-01-0{day}T00:00:00Z")),
                },
                "spec": {
                    "type": "LoadBalancer", "clusterIPs": vips, "externalIPs": outside, "ports": ports,
                    "internalTrafficPolicy": policy, "externalTrafficPolicy": policy,
                    "healthCheckNodePort": if health { 32000 } else { 0 },
                    "selector": {"app": if labelled { "a" } else { "b" }},
                    "trafficDistribution": hinted.then_some("PreferSameZone"),
                },
                "status": {"loadBalancer": {"ingress": ingress}},
            });
            set(Kind::Service, &format!("web/{name}"), fields)
        })
}

fn any_slice() -> impl Strategy<Value = Event> {
    let endpoint = (1u8..5, "n[12]", "r?s?t?", proptest::option::of("z[12]"));
    let endpoints = proptest::collection::vec(endpoint, 0..4);
    ("x[1-3]", "[stu]", endpoints, flag()).prop_map(|(name, service, endpoints, more)| {
        let endpoints: Vec<Value> = endpoints
            .into_iter()
            .map(|(last, node, state, zone)| {
                let mut endpoint = fares(&format!("10.1.0.{last}"), &node, &state);
                let zones: Vec<Value> = zone.iter().map(|zone| json!({"name": zone})).collect();
                endpoint["hints"] = json!({"forZones": zones});
                endpoint
            })
            .collect();
        let mut ports = vec![json!({"name": "p80", "port": 8080})];
        if more {
            ports.push(json!({"name": "p81", "port": 8081}));
        }
        let fields = json!({
            "metadata": {"labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints,
        });
        set(Kind::EndpointSlice, &format!("web/{name}"), fields)
    })
}

fn any_pod() -> impl Strategy<Value = Event> {
    let ips = maybe(&["10.1.0.1", "10.1.0.2", "fd00:1::1"]);
    ("(web|db)/p[1-3]", "[ab]", ips, "n[12]", (flag(), flag(), flag())).prop_map(
        |(name, app, ips, node, (host, ended, named))| {
            let ips: Vec<Value> = ips.iter().map(|ip| json!({"ip": ip})).collect();
            let ports = if named { json!([{"name": "web", "containerPort": 9000}]) } else { json!([]) };
            let fields = json!({
                "metadata": {"labels": {"app": app}},
                "spec": {"nodeName": node, "hostNetwork": host && ended, "containers": [{"ports": ports}]},
                "status": {"podIPs": ips, "phase": if ended && !host { "Failed" } else { "Running" }},
            });
            set(Kind::Pod, &name, fields)
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    let policy = ("(web|db)/q[12]", flag()).prop_map(|(name, open)| {
        let ingress = if open { json!([{}]) } else { json!([]) };
        set(
            Kind::NetworkPolicy,
            &name,
            json!({"spec": {"podSelector": {}, "ingress": ingress}}),
        )
    });
    let namespace = ("web|db", "[ab]").prop_map(|(name, team)| {
        set(
            Kind::Namespace,
            &name,
            json!({"metadata": {"labels": {"team": team}}}),
        )
    });
    let remove = prop_oneof![
        "web/[st]".prop_map(|name| gone(Kind::Service, &name)),
        "web/x[1-3]".prop_map(|name| gone(Kind::EndpointSlice, &name)),
        "(web|db)/p[1-3]".prop_map(|name| gone(Kind::Pod, &name)),
        "(web|db)/q[12]".prop_map(|name| gone(Kind::NetworkPolicy, &name)),
        "web|db".prop_map(|name| gone(Kind::Namespace, &name)),
    ];
    prop_oneof![
        5 => any_service(),
        5 => any_slice(),
        4 => any_pod(),
        1 => policy,
        1 => namespace,
        1 => ("n[12]", "z[12]").prop_map(|(name, zone)| node(&name, &zone)),
        4 => remove,
    ]
}

fn any_step() -> impl Strategy<Value = Vec<Step>> {
    let attachment = || ("p[1-3]", maybe(&["10.1.0.1", "10.1.0.3"]));
    let ips_of = |(name, texts): (String, Vec<&'static str>)| (name, ips(&texts));
    prop_oneof![
        8 => proptest::collection::vec(any_event().prop_map(Step::Event), 1..5),
        1 => attachment().prop_map(move |it| {
            let (name, ips) = ips_of(it);
            vec![Step::Attached(name, ips)]
        }),
        1 => attachment().prop_map(move |it| {
            let (name, ips) = ips_of(it);
            vec![Step::Detached(name, ips)]
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn answers_add_up_to_a_fresh_index(
        history in proptest::collection::vec(any_step(), 0..30),
        standalone in flag(),
    ) {
        let options = Options { external_ips: true, standalone, narrow: false, started: SystemTime::UNIX_EPOCH };
        let mut index = Index::with_options("n1", options);
        let mut sum = Sum::default();
        let mut objects: BTreeMap<ObjectRef, Object> = BTreeMap::new();
        let mut attachments: Vec<(String, Vec<IpAddr>)> = Vec::new();
        let nothing = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new()));
        sum.add(&index.apply(nothing.into()));
        for steps in history {
            let mut batch = Vec::new();
            for step in steps {
                match step {
                    Step::Event(event) => {
                        match &event {
                            Event::Set(object) => drop(objects.insert(object.reference(), object.clone())),
                            Event::Gone(reference) => drop(objects.remove(reference)),
                            Event::Listed(..) | Event::Covered(_) => {}
                        }
                        batch.push(event);
                    }
                    Step::Attached(name, ips) => {
                        attachments.retain(|known| *known != (name.clone(), ips.clone()));
                        sum.add(&index.attached("web", &name, Uid::default(), &ips));
                        attachments.push((name, ips));
                    }
                    Step::Detached(name, ips) => {
                        sum.add(&index.detached("web", &name, &ips));
                        attachments.retain(|known| *known != (name.clone(), ips.clone()));
                    }
                }
            }
            sum.add(&index.apply(batch));
        }

        let mut fresh = Index::with_options("n1", options);
        for (name, ips) in &attachments {
            fresh.attached("web", name, Uid::default(), ips);
        }
        let list = |kind: Kind| {
            let of_kind = objects.values().filter(|object| object.kind() == kind);
            Event::Listed(kind, of_kind.cloned().collect())
        };
        // In the opposite order, so that nothing hangs on it.
        let mut expected = Sum::default();
        for kind in Kind::ALL.into_iter().rev() {
            expected.add(&fresh.apply(vec![list(kind)]));
        }
        prop_assert_eq!(&sum, &expected);
        prop_assert_eq!(index.health_checks(), fresh.health_checks());
        prop_assert_eq!(index.services().collect::<Vec<_>>(), fresh.services().collect::<Vec<_>>());
        prop_assert_eq!(refused(&index), refused(&fresh));
        // A relist of everything is no change, and a list of nothing leaves nothing.
        prop_assert!(index.apply(Kind::ALL.map(list).into()).is_empty());
        let nothing = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new()));
        sum.add(&index.apply(nothing.into()));
        for (name, ips) in attachments {
            sum.add(&index.detached("web", &name, &ips));
        }
        prop_assert_eq!(sum, Sum::default());
        prop_assert!(index.refusals().next().is_none() && index.health_checks().is_empty());
    }
}
