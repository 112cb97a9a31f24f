//! The cases of cyclonus, a conformance suite for NetworkPolicy: its policies, pods, and what it expects of each
//! connection, recorded from its own simulator.

use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use sluice_flows::Direction;
use sluice_flows::model::{
    Change, ClusterPod, Labels, NamedPort, NamespaceLabels, Policy, PolicyId, PolicyPeer,
    PolicyPort, Ports, Protocol, Requirement, Rule, Selector, State, Uid,
};

use crate::cluster::{local, state};

const PATH: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../shared/testdata/cyclonus-230-cases.jsonl.gz"
);

/// One step of a case: a state, and its connections.
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) cells: Vec<Cell>,
}

/// One connection, by the names of its ends.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) from: Arc<ClusterPod>,
    pub(crate) to: Arc<ClusterPod>,
    pub(crate) port: (Protocol, u16),
    pub(crate) ingress: bool,
    pub(crate) egress: bool,
}

impl Cell {
    pub(crate) fn expected(&self, direction: Direction) -> bool {
        match direction {
            Direction::Egress => self.egress,
            Direction::Ingress => self.ingress,
        }
    }

    /// Policy has no say in what a pod sends to itself.
    pub(crate) fn is_to_itself(&self) -> bool {
        Arc::ptr_eq(&self.from, &self.to)
    }
}

/// Every step of every case. All pods are on one node.
pub(crate) fn steps() -> Vec<Step> {
    let path = std::env::var("SLUICE_CYCLONUS").unwrap_or_else(|_| PATH.to_owned());
    let output = Command::new("gzip").args(["-dc", &path]).output().unwrap();
    assert!(
        output.status.success(),
        "THE CASES OF CYCLONUS ARE NOT THERE: {path} cannot be read, and without it nothing is known about \
         conformance. Set SLUICE_CYCLONUS to where they are. {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut steps = Vec::new();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        for (i, of_case) in list(&case["Steps"]).iter().enumerate() {
            let name = format!("case {} step {i}: {}", case["Index"], case["Description"]);
            steps.push(step(name, of_case));
        }
    }
    assert_eq!(steps.len(), 256);
    steps
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

fn step(name: String, step: &Value) -> Step {
    let mut state = state();
    for (name, labels) in step["Namespaces"].as_object().unwrap() {
        state.apply(Change::NamespaceSet(NamespaceLabels {
            name: name.as_str().into(),
            labels: labels_of(labels),
        }));
    }
    for (i, of_step) in (0u32..).zip(list(&step["Pods"])) {
        let pod = pod(of_step);
        state.apply(Change::PodSet(local(&pod, 10 + i)));
        state.apply(Change::ClusterPodSet(Arc::new(pod)));
    }
    for of_step in list(&step["Policies"]) {
        state.apply(Change::PolicySet(Arc::new(policy(of_step))));
    }
    let by_name = |name: &Value| {
        let (namespace, name) = text(name).split_once('/').unwrap();
        state.cluster_pod(namespace, name).unwrap().clone()
    };
    let cells = list(&step["Expected"]).iter().map(|cell| Cell {
        from: by_name(&cell["From"]),
        to: by_name(&cell["To"]),
        port: (
            protocol(&cell["Protocol"]),
            u16::try_from(cell["Port"].as_u64().unwrap()).unwrap(),
        ),
        ingress: cell["Ingress"] == "allowed",
        egress: cell["Egress"] == "allowed",
    });
    let cells = cells.collect();
    Step { name, state, cells }
}

fn labels_of(value: &Value) -> Labels {
    let Some(labels) = value.as_object() else {
        return Labels::default();
    };
    labels
        .iter()
        .map(|(k, v)| (k.as_str().into(), text(v).into()))
        .collect()
}

fn protocol(value: &Value) -> Protocol {
    match value.as_str() {
        None | Some("TCP") => Protocol::Tcp,
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        Some(other) => panic!("protocol {other}"),
    }
}

fn pod(value: &Value) -> ClusterPod {
    let ports = list(&value["Containers"])
        .iter()
        .map(|container| NamedPort {
            name: text(&container["PortName"]).into(),
            protocol: protocol(&container["Protocol"]),
            port: u16::try_from(container["Port"].as_u64().unwrap()).unwrap(),
        });
    ClusterPod {
        uid: Uid::default(),
        namespace: text(&value["Namespace"]).into(),
        name: text(&value["Name"]).into(),
        labels: labels_of(&value["Labels"]).into(),
        ips: vec![text(&value["IP"]).parse().unwrap()].into(),
        ports: Arc::new(ports.collect()),
    }
}

fn policy(value: &Value) -> Policy {
    let (meta, spec) = (&value["metadata"], &value["spec"]);
    let namespace = text(&meta["namespace"]);
    let types: Vec<&str> = list(&spec["policyTypes"]).iter().map(text).collect();
    let rules = |direction: &str, peers: &str| -> Vec<Rule> {
        list(&spec[direction])
            .iter()
            .map(|r| rule(r, peers))
            .collect()
    };
    let (ingress, egress) = (rules("ingress", "from"), rules("egress", "to"));
    let says_ingress = types.is_empty() || types.contains(&"Ingress");
    let says_egress = types.contains(&"Egress") || (types.is_empty() && !egress.is_empty());
    Policy {
        id: PolicyId::new(namespace, text(&meta["name"])),
        namespace: namespace.into(),
        pods: selector(&spec["podSelector"]),
        ingress: says_ingress.then_some(ingress),
        egress: says_egress.then_some(egress),
    }
}

fn rule(value: &Value, peers: &str) -> Rule {
    let peers: Vec<_> = list(&value[peers]).iter().map(peer).collect();
    let ports: Vec<_> = list(&value["ports"]).iter().map(port).collect();
    Rule {
        peers: (!peers.is_empty()).then_some(peers),
        ports: (!ports.is_empty()).then_some(ports),
    }
}

fn peer(value: &Value) -> PolicyPeer {
    let block = &value["ipBlock"];
    if block.is_object() {
        let except = list(&block["except"]).iter();
        return PolicyPeer::IpBlock {
            cidr: text(&block["cidr"]).parse().unwrap(),
            except: except.map(|net| text(net).parse().unwrap()).collect(),
        };
    }
    let namespaces = &value["namespaceSelector"];
    PolicyPeer::Pods {
        namespaces: namespaces.is_object().then(|| selector(namespaces)),
        pods: selector(&value["podSelector"]),
    }
}

fn port(value: &Value) -> PolicyPort {
    let number = |value: &Value| u16::try_from(value.as_u64().unwrap()).unwrap();
    let ports = match &value["port"] {
        Value::Null => Ports::All,
        Value::String(name) => Ports::Named(name.as_str().into()),
        from => match &value["endPort"] {
            Value::Null => Ports::Range(number(from), number(from)),
            to => Ports::Range(number(from), number(to)),
        },
    };
    PolicyPort {
        protocol: protocol(&value["protocol"]),
        ports,
    }
}

fn selector(value: &Value) -> Selector {
    let labels = labels_of(&value["matchLabels"]);
    let labels = labels.iter();
    let labels = labels.map(|(key, value)| Requirement::In(key.clone(), vec![value.clone()]));
    let expressions = list(&value["matchExpressions"]).iter().map(|expression| {
        let key = text(&expression["key"]).into();
        let values = list(&expression["values"])
            .iter()
            .map(|v| text(v).into())
            .collect();
        match text(&expression["operator"]) {
            "In" => Requirement::In(key, values),
            "NotIn" => Requirement::NotIn(key, values),
            "Exists" => Requirement::Exists(key),
            "DoesNotExist" => Requirement::DoesNotExist(key),
            other => panic!("operator {other}"),
        }
    });
    Selector {
        requirements: labels.chain(expressions).collect(),
    }
}
