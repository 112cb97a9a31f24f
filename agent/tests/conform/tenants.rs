//! A cluster of many tenants, in the sizes of OVN's scale test of that name: namespaces of one to a hundred pods on
//! 120 nodes; each lets in its own pods, three addresses outside, and twenty others. One node of it, on a real switch.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};
use sluice_agent::index::Options;
use sluice_agent::source::{Event, Kind};
use sluice_flows::DropReason;
use sluice_flows::model::Protocol;

use crate::judges::{Case, judge};
use crate::node::{Node, node_object, object, switch};
use crate::test_data;

/// Sizes, as the file has them.
struct Sizes {
    workers: usize,
    /// Pods of each worker that no policy knows.
    base: usize,
    namespaces: usize,
    /// From this namespace on, so many pods.
    ranges: Vec<(usize, usize)>,
}

impl Sizes {
    fn read(file: &str) -> Self {
        let all: Value = serde_saphyr::from_str(&test_data(file)).unwrap();
        let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
        let tenants = &all["netpol_multitenant"];
        let ranges = tenants["ranges"].as_array().unwrap().iter();
        Self {
            workers: number(&all["cluster"]["n_workers"]),
            base: number(&all["base_cluster_bringup"]["n_pods_per_node"]),
            namespaces: number(&tenants["n_namespaces"]),
            ranges: ranges
                .map(|range| (number(&range["start"]), number(&range["n_pods"])))
                .collect(),
        }
    }

    /// The namespace of every tenant's pod.
    fn pods(&self) -> impl Iterator<Item = usize> {
        (0..self.namespaces).flat_map(|namespace| {
            let mut fitting = self.ranges.iter().rev();
            let range = fitting.find(|(start, _)| namespace >= *start);
            std::iter::repeat_n(namespace, range.map_or(1, |(_, pods)| *pods))
        })
    }
}

#[derive(Debug, Clone)]
struct Pod {
    /// `None` is one that no policy knows.
    tenant: Option<usize>,
    name: String,
    node: usize,
    ip: IpAddr,
}

impl Pod {
    fn namespace(&self) -> String {
        self.tenant.map_or("base".to_owned(), tenant)
    }

    fn object(&self) -> Value {
        json!({
            "metadata": {"name": self.name, "namespace": self.namespace(), "labels": {"app": "server"}},
            "spec": {"nodeName": format!("node-{}", self.node)},
            "status": {"phase": "Running", "podIPs": [{"ip": self.ip}]},
        })
    }
}

fn tenant(number: usize) -> String {
    format!("tenant-{number}")
}

/// Addresses outside: three that one policy of each tenant lets in, and twenty of another.
fn outside() -> [Vec<Ipv4Addr>; 2] {
    [
        (1..=3).map(|n| Ipv4Addr::new(198, 51, 100, n)).collect(),
        (1..=20).map(|n| Ipv4Addr::new(203, 0, 113, n)).collect(),
    ]
}

fn policies(number: usize) -> [Value; 4] {
    let policy = |name: &str, ingress: Value| {
        json!({
            "metadata": {"name": name, "namespace": tenant(number)},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress},
        })
    };
    let blocks = |addresses: &[Ipv4Addr]| -> Value {
        let block = |ip: &Ipv4Addr| json!({"ipBlock": {"cidr": format!("{ip}/32")}});
        json!([{"from": addresses.iter().map(block).collect::<Vec<_>>()}])
    };
    let [few, more] = outside();
    [
        policy("default-deny", json!([])),
        policy("own", json!([{"from": [{"podSelector": {}}]}])),
        policy("few", blocks(&few)),
        policy("more", blocks(&more)),
    ]
}

#[tokio::test]
async fn tenants_keep_to_themselves() {
    let sizes = Sizes::read("ovn-heater/ocp-120-np-multitenant.yml");
    let mut pods = Vec::new();
    let mut next = vec![0u8; sizes.workers];
    let mut add = |tenant: Option<usize>, node: usize| {
        next[node] += 1;
        let ip = Ipv4Addr::new(10, 128, u8::try_from(node).unwrap(), next[node] + 1);
        let name = format!("pod-{node}-{}", next[node]);
        pods.push(Pod {
            tenant,
            name,
            node,
            ip: ip.into(),
        });
    };
    (0..sizes.workers * sizes.base).for_each(|n| add(None, n % sizes.workers));
    (0..)
        .zip(sizes.pods())
        .for_each(|(n, tenant)| add(Some(tenant), n % sizes.workers));
    let nodes = (0..sizes.workers).map(|n| {
        let (cidr, ip) = (format!("10.128.{n}.0/24"), format!("192.0.2.{}", n + 1));
        node_object(&format!("node-{n}"), &[cidr], &[ip])
    });
    let nodes: Vec<Value> = nodes.collect();

    let mut switch = switch(64);
    let mut node = Node::new(&mut switch, "node-0", Options::default(), &nodes, &[]).await;
    let here: Vec<Pod> = pods.iter().filter(|pod| pod.node == 0).cloned().collect();
    for pod in &here {
        node.attach_as(pod.ip, &pod.namespace(), &pod.name).await;
    }
    let names = (0..sizes.namespaces).map(tenant).chain(["base".to_owned()]);
    let namespaces = names.map(|name| {
        let labels = json!({"kubernetes.io/metadata.name": name});
        object(
            Kind::Namespace,
            &json!({"metadata": {"name": name, "labels": labels}}),
        )
    });
    let objects = pods.iter().map(|pod| object(Kind::Pod, &pod.object()));
    node.take(namespaces.chain(objects).map(Event::Set).collect())
        .await;
    let before = node.flows();
    let policies = (0..sizes.namespaces).flat_map(policies);
    let policies: Vec<Event> = policies
        .map(|it| Event::Set(object(Kind::NetworkPolicy, &it)))
        .collect();
    let count = policies.len();
    node.take(policies).await;
    let flows = node.flows() - before;

    // One for each pod of a tenant that has one here, and for each address outside; a few for each tenant.
    let tenants: std::collections::BTreeSet<_> = here.iter().filter_map(|pod| pod.tenant).collect();
    let peers = pods
        .iter()
        .filter(|pod| pod.tenant.is_some_and(|it| tenants.contains(&it)));
    let peers = peers.count() + outside().iter().flatten().count();
    println!(
        "{} pods of {} tenants on {} nodes, {count} policies: {flows} flows of policy for {} pods of {} tenants here, \
         with {peers} peers",
        pods.len(),
        sizes.namespaces,
        sizes.workers,
        here.len(),
        tenants.len(),
    );
    assert!(
        tenants.len() > 10 && flows <= peers + 40 * tenants.len(),
        "{flows}"
    );

    let [few, more] = outside();
    let known = few.iter().chain(&more).map(|ip| IpAddr::from(*ip));
    let strangers = [
        Ipv4Addr::new(198, 51, 100, 4),
        Ipv4Addr::new(203, 0, 113, 99),
    ];
    let sources = pods
        .iter()
        .step_by(29)
        .map(|pod| (pod.ip, pod.tenant, false));
    let local = here.iter().map(|pod| (pod.ip, pod.tenant, false));
    let outside = known.map(|ip| (ip, None, true));
    let strange = strangers.iter().map(|ip| (IpAddr::from(*ip), None, false));
    let sources: Vec<_> = sources.chain(local).chain(outside).chain(strange).collect();
    let pairs = here
        .iter()
        .flat_map(|to| sources.iter().map(move |from| (from, to)));
    let cases = pairs.filter(|((from, ..), to)| *from != to.ip);
    let cases = cases.map(|((from, tenant, allowed), to)| {
        let may = to.tenant.is_none() || to.tenant == *tenant || *allowed;
        Case {
            from: *from,
            to: to.ip,
            port: Some((Protocol::Tcp, 8080)),
            wanted: (!may).then_some(DropReason::IngressIsolation),
            what: format!("{from} of {tenant:?} to {to:?}"),
        }
    });
    let tally = judge(&mut node, cases);
    println!("{tally}");
    assert!(tally.denied > 1_000 && tally.agreed - tally.denied > 500);
}
