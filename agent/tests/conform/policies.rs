//! The NetworkPolicies that come with an application, on a node with half of its pods: who reaches whom at which
//! port, against what the manifests say when they are read word by word.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::Value;
use sluice_agent::index::Options;
use sluice_agent::source::{Event, Kind};
use sluice_flows::DropReason;
use sluice_flows::model::Protocol;

use crate::applications::{Application, NODES, Pod, namespace_of, nodes, number, protocol};
use crate::node::{Node, object, switch};
use crate::test_data;
use crate::trace::Verdict;

/// A port that nobody speaks of.
const OTHER: u16 = 9;

#[tokio::test]
async fn policies_of_an_application_hold() {
    let application = Application::read("online-boutique.yaml");
    let file = "online-boutique-networkpolicies.yaml";
    let policies: Vec<Value> =
        serde_saphyr::from_multiple(&test_data(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    assert_eq!(policies.len(), 13);
    let mut switch = switch(16);
    let mut node = Node::new(&mut switch, NODES[0], Options::default(), &nodes(), &[]).await;
    let here: Vec<&Pod> = application
        .pods
        .iter()
        .filter(|pod| pod.is_local())
        .collect();
    for pod in &here {
        let name = pod.object["metadata"]["name"].as_str().unwrap();
        node.attach_as(pod.ip, namespace_of(&pod.object), name)
            .await;
    }
    let pods = application
        .pods
        .iter()
        .map(|pod| object(Kind::Pod, &pod.object));
    let rules = policies.iter().map(|it| object(Kind::NetworkPolicy, it));
    node.take(pods.chain(rules).map(Event::Set).collect()).await;

    let ports: BTreeSet<u16> = policies.iter().flat_map(ports_of).chain([OTHER]).collect();
    let (mut allowed, mut denied) = (0, 0);
    for from in &here {
        for to in application.pods.iter().filter(|to| to.ip != from.ip) {
            for port in &ports {
                let met = node.connection(Protocol::Tcp, from.ip, SocketAddr::new(to.ip, *port));
                // What is for a pod elsewhere is judged there.
                let may = !to.is_local() || allows(&policies, from, to, Protocol::Tcp, *port);
                let wanted = match may {
                    true => Verdict::Untouched,
                    false => Verdict::Dropped(DropReason::IngressIsolation),
                };
                let name = |pod: &Pod| pod.object["metadata"]["name"].clone();
                assert_eq!(met, wanted, "{} to {} port {port}", name(from), name(to));
                if to.is_local() {
                    let count = if may { &mut allowed } else { &mut denied };
                    *count += 1;
                }
            }
        }
    }
    println!("{file}: {allowed} connections to pods here pass, {denied} are denied, as it says");
    assert!(allowed > 20 && denied > 50);
}

/// The ports that a policy names.
fn ports_of(policy: &Value) -> Vec<u16> {
    let rules = policy["spec"]["ingress"].as_array().into_iter().flatten();
    let ports = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
    ports.map(|port| number(&port["port"])).collect()
}

/// Whether these policies let a connection in. They use no more of the language than this reads.
fn allows(policies: &[Value], from: &Pod, to: &Pod, by: Protocol, at: u16) -> bool {
    let in_force = policies.iter().filter(|policy| {
        let same = namespace_of(policy) == namespace_of(&to.object);
        same && of_ingress(policy) && selects(&policy["spec"]["podSelector"], to)
    });
    let mut isolated = false;
    for policy in in_force {
        isolated = true;
        for rule in policy["spec"]["ingress"].as_array().into_iter().flatten() {
            let list = |field: &str| rule[field].as_array().filter(|list| !list.is_empty());
            let peer = list("from").is_none_or(|peers| {
                peers.iter().any(|peer| {
                    let fields = peer.as_object().unwrap();
                    assert!(fields.keys().eq(["podSelector"]), "{peer}");
                    let near = namespace_of(policy) == namespace_of(&from.object);
                    near && selects(&peer["podSelector"], from)
                })
            });
            let port = list("ports").is_none_or(|ports| {
                let fits = |port: &Value| protocol(port) == by && number(&port["port"]) == at;
                ports.iter().any(fits)
            });
            if peer && port {
                return true;
            }
        }
    }
    !isolated
}

fn of_ingress(policy: &Value) -> bool {
    let types = policy["spec"]["policyTypes"].as_array();
    types.is_none_or(|types| types.iter().any(|it| it == "Ingress"))
}

fn selects(selector: &Value, pod: &Pod) -> bool {
    assert_eq!(selector["matchExpressions"], Value::Null);
    let labels: BTreeMap<String, Value> =
        serde_json::from_value(selector["matchLabels"].clone()).unwrap_or_default();
    labels
        .iter()
        .all(|(key, value)| pod.object["metadata"]["labels"].get(key) == Some(value))
}
