//! The Services of applications as they come, on a node without a cluster: a pod for each replica, on two nodes in
//! turn, endpoints from the selectors, and a clusterIP for each Service that has none.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use sluice_agent::index::Options;
use sluice_agent::source::{Event, Kind};
use sluice_flows::model::Protocol;

use crate::node::{Node, node_object, object, switch};
use crate::test_data;
use crate::trace::Verdict;

pub(crate) const NODES: [&str; 2] = ["node-a", "node-b"];
/// Whose pods have an address each at 10.244.N.x.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 1, 250));

#[tokio::test]
async fn applications_find_their_services() {
    let mut switch = switch(64);
    for (file, services) in [
        ("online-boutique.yaml", 12),
        ("sock-shop.yaml", 14),
        ("train-ticket.yaml", 67),
        ("deathstarbench-hotel.yaml", 19),
    ] {
        let application = Application::read(file);
        assert_eq!(application.services.len(), services, "{file}");
        let nodes = nodes();
        let options = Options {
            standalone: true,
            ..Options::default()
        };
        let mut node = Node::new(&mut switch, NODES[0], options, &nodes, &[]).await;
        node.attach(CLIENT).await;
        for pod in application.pods.iter().filter(|pod| pod.is_local()) {
            node.attach(pod.ip).await;
        }
        let pods = application
            .pods
            .iter()
            .map(|pod| object(Kind::Pod, &pod.object));
        let services = application
            .services
            .iter()
            .map(|it| object(Kind::Service, it));
        node.take(pods.chain(services).map(Event::Set).collect())
            .await;

        let (mut reached, mut refused, mut headless) = (0, Vec::new(), Vec::new());
        for service in &application.services {
            let name = service["metadata"]["name"].as_str().unwrap();
            let Ok(ip) = service["spec"]["clusterIP"]
                .as_str()
                .unwrap()
                .parse::<IpAddr>()
            else {
                headless.push(name);
                continue;
            };
            for port in service["spec"]["ports"].as_array().unwrap() {
                let to = SocketAddr::new(ip, number(&port["port"]));
                let expected = application.endpoints(service, port);
                let met = node.connections(protocol(port), CLIENT, to, &expected);
                assert_eq!(
                    met.endpoints, expected,
                    "{file}: {name} {port}: {:?}",
                    met.others
                );
                if expected.is_empty() {
                    assert_eq!(met.others, [Verdict::Rejected], "{file}: {name} {port}");
                    refused.push(format!("{name} {to}"));
                } else {
                    assert_eq!(met.others, [], "{file}: {name} {port}");
                    reached += 1;
                }
            }
        }
        println!(
            "{file}: {} Services, {} pods, {} flows: {reached} ports lead to their pods, \
             refused for want of one: {refused:?}, headless: {headless:?}",
            application.services.len(),
            application.pods.len(),
            node.flows(),
        );
        assert!(reached > services_with_address(&application) / 2, "{file}");
    }
}

/// The objects of both nodes.
pub(crate) fn nodes() -> Vec<Value> {
    let cidr = |n: usize| format!("10.244.{}.0/24", n + 1);
    NODES
        .iter()
        .enumerate()
        .map(|(n, name)| node_object(name, &[cidr(n)], &[format!("192.0.2.{}", n + 1)]))
        .collect()
}

fn services_with_address(application: &Application) -> usize {
    let all = application.services.iter();
    all.filter(|it| it["spec"]["clusterIP"] != "None").count()
}

/// What a file holds, as a cluster would have it.
pub(crate) struct Application {
    pub(crate) services: Vec<Value>,
    pub(crate) pods: Vec<Pod>,
}

pub(crate) struct Pod {
    pub(crate) ip: IpAddr,
    pub(crate) object: Value,
}

impl Pod {
    pub(crate) fn is_local(&self) -> bool {
        self.object["spec"]["nodeName"] == NODES[0]
    }
}

impl Application {
    pub(crate) fn read(file: &str) -> Self {
        let objects: Vec<Value> = serde_saphyr::from_multiple(&test_data(file))
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let of = |kind: &'static str| objects.iter().filter(move |it| it["kind"] == kind);
        let mut services: Vec<Value> = of("Service").cloned().collect();
        for (n, service) in services.iter_mut().enumerate() {
            let spec = service["spec"].as_object_mut().unwrap();
            let ip = format!("10.96.0.{}", n + 1);
            spec.entry("clusterIP").or_insert(json!(ip));
        }
        let mut pods = Vec::new();
        for deployment in of("Deployment") {
            let replicas = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
            for replica in 0..replicas {
                pods.push(pod(deployment, replica, pods.len()));
            }
        }
        Self { services, pods }
    }

    /// The endpoints of a Service's port, worked out from the manifests alone.
    pub(crate) fn endpoints(&self, service: &Value, port: &Value) -> BTreeSet<SocketAddr> {
        let selector: BTreeMap<String, Value> =
            serde_json::from_value(service["spec"]["selector"].clone()).unwrap_or_default();
        let selected = self.pods.iter().filter(|pod| {
            let labels = &pod.object["metadata"]["labels"];
            let namespace = &pod.object["metadata"]["namespace"];
            let has = |(key, value): (&String, &Value)| labels.get(key) == Some(value);
            !selector.is_empty() && *namespace == namespace_of(service) && selector.iter().all(has)
        });
        selected
            .filter_map(|pod| Some(SocketAddr::new(pod.ip, target(pod, port)?)))
            .collect()
    }
}

/// The pod that is the `n`th of all.
fn pod(deployment: &Value, replica: u64, n: usize) -> Pod {
    let template = &deployment["spec"]["template"];
    let node = n % NODES.len();
    let ip = Ipv4Addr::from([
        10,
        244,
        u8::try_from(node + 1).unwrap(),
        u8::try_from(n + 2).unwrap(),
    ]);
    let name = deployment["metadata"]["name"].as_str().unwrap();
    let object = json!({
        "metadata": {
            "name": format!("{name}-{replica}"),
            "namespace": namespace_of(deployment),
            "labels": template["metadata"]["labels"],
        },
        "spec": {"nodeName": NODES[node], "containers": template["spec"]["containers"]},
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    Pod {
        ip: ip.into(),
        object,
    }
}

pub(crate) fn namespace_of(object: &Value) -> &str {
    object["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default")
}

/// The number of the port at a pod that a Service's port leads to.
fn target(pod: &Pod, port: &Value) -> Option<u16> {
    let name = match &port["targetPort"] {
        Value::Null => return Some(number(&port["port"])),
        Value::String(name) => name,
        target => return Some(number(target)),
    };
    let containers = pod.object["spec"]["containers"].as_array()?;
    let ports = containers
        .iter()
        .filter_map(|it| it["ports"].as_array())
        .flatten();
    let mut named = ports.filter(|it| it["name"] == **name && protocol(it) == protocol(port));
    named.next().map(|it| number(&it["containerPort"]))
}

pub(crate) fn number(value: &Value) -> u16 {
    value.as_u64().and_then(|n| n.try_into().ok()).unwrap()
}

pub(crate) fn protocol(port: &Value) -> Protocol {
    match port["protocol"].as_str() {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}
