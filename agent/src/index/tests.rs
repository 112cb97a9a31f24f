//! What every test of the index uses: objects in short, and answers as text.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sluice_flows::model::{Frontend, ServicePort, TrafficPolicy};

use super::*;
use crate::source::decode;

mod claims;
mod derived;
mod nodes;
mod pods;
mod policies;
mod property;
mod reach;
mod scale;
mod services;
mod slices;

/// An index for node `n1` in zone `z1`, to which everything was listed.
fn index() -> Index {
    index_with(Options::default())
}

fn index_with(options: Options) -> Index {
    let mut index = Index::with_options("n1", options);
    let nothing = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new()));
    assert!(index.apply(nothing.into()).is_empty());
    index.apply(vec![node("n1", "z1"), node("n2", "z2")]);
    index
}

fn standalone() -> Index {
    index_with(Options {
        standalone: true,
        ..Options::default()
    })
}

/// An object as a manifest has it, named `namespace/name`.
fn object(kind: Kind, name: &str, mut fields: Value) -> Object {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let metadata = &mut fields["metadata"];
    metadata["namespace"] = json!(namespace);
    metadata["name"] = json!(name);
    decode::object(kind, fields).expect("an object")
}

fn set(kind: Kind, name: &str, fields: Value) -> Event {
    Event::Set(object(kind, name, fields))
}

fn gone(kind: Kind, name: &str) -> Event {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    Event::Gone(ObjectRef::new(kind, namespace, name))
}

fn node(name: &str, zone: &str) -> Event {
    let labels = json!({"topology.kubernetes.io/zone": zone});
    set(Kind::Node, name, json!({"metadata": {"labels": labels}}))
}

/// A Service with port 80 (`http`) and whatever else is given.
fn service(name: &str, ip: &str, spec: Value) -> Event {
    let mut fields = json!({"spec": {"clusterIP": ip, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}});
    for (field, value) in spec.as_object().expect("fields") {
        fields["spec"][field] = value.clone();
    }
    set(Kind::Service, name, fields)
}

/// A Service of type LoadBalancer at an address.
fn balanced(name: &str, ip: &str, outside: &[&str], spec: Value) -> Event {
    let Event::Set(Object::Service(_)) = service(name, ip, spec.clone()) else {
        panic!("no Service");
    };
    let ingress: Vec<Value> = outside.iter().map(|ip| json!({"ip": ip})).collect();
    let mut fields = json!({
        "spec": {"type": "LoadBalancer", "clusterIP": ip, "ports": [{"name": "http", "port": 80}]},
        "status": {"loadBalancer": {"ingress": ingress}},
    });
    for (field, value) in spec.as_object().expect("fields") {
        fields["spec"][field] = value.clone();
    }
    set(Kind::Service, name, fields)
}

/// A slice of a Service with port 8080 (`http`).
fn slice(name: &str, service: &str, endpoints: &[Value]) -> Event {
    let v6 = endpoints.iter().any(|it| {
        it["addresses"][0]
            .as_str()
            .is_some_and(|ip| ip.contains(':'))
    });
    set(
        Kind::EndpointSlice,
        name,
        json!({
            "metadata": {"labels": {"kubernetes.io/service-name": service}},
            "addressType": if v6 { "IPv6" } else { "IPv4" },
            "ports": [{"name": "http", "port": 8080}],
            "endpoints": endpoints,
        }),
    )
}

/// A ready endpoint on a node.
fn at(ip: &str, node: &str) -> Value {
    json!({"addresses": [ip], "nodeName": node})
}

/// An endpoint on a node: `r` ready, `s` serving, `t` terminating.
fn fares(ip: &str, node: &str, state: &str) -> Value {
    let conditions = json!({
        "ready": state.contains('r'), "serving": state.contains('s'), "terminating": state.contains('t'),
    });
    json!({"addresses": [ip], "nodeName": node, "conditions": conditions})
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts
        .iter()
        .map(|text| text.parse().expect("an address"))
        .collect()
}

fn frontend(frontend: &Frontend) -> String {
    let local = |policy: &TrafficPolicy| match policy {
        TrafficPolicy::Cluster => "",
        TrafficPolicy::Local => " local",
    };
    match frontend {
        Frontend::Cluster { ip, port, policy } => format!("{ip}:{port}{}", local(policy)),
        Frontend::External {
            ip,
            port,
            policy,
            sources,
        } => {
            let mut text = format!("ext {ip}:{port}{}", local(policy));
            if let Some(sources) = sources {
                let _ = write!(text, " for {sources:?}");
            }
            text
        }
        Frontend::NodePort { port, policy } => format!("node {port}{}", local(policy)),
    }
}

fn port(port: &ServicePort) -> String {
    let listens: Vec<String> = port.frontends.iter().map(frontend).collect();
    let mut text = format!("{} at {}", port.id, listens.join(", "));
    for (word, backends) in [("to", &port.cluster), ("here", &port.local)] {
        if !backends.is_empty() {
            let _ = write!(text, " {word}");
            for backend in backends {
                let _ = write!(text, " {backend}");
            }
        }
    }
    text
}

/// The changes of an update, a line each.
fn lines(update: &Update) -> Vec<String> {
    update.joined.iter().map(line).collect()
}

fn line(joined: &Joined) -> String {
    match joined {
        Joined::NamespaceSet(it) => format!("namespace {} {:?}", it.name, it.labels),
        Joined::NamespaceGone(name) => format!("no namespace {name}"),
        Joined::ClusterPodSet(it) => {
            format!(
                "pod {}/{} {:?} {:?}",
                it.namespace, it.name, it.ips, it.labels
            )
        }
        Joined::ClusterPodGone(namespace, name) => format!("no pod {namespace}/{name}"),
        Joined::PolicySet(it) => format!("policy {}", it.id),
        Joined::PolicyGone(id) => format!("no policy {id}"),
        Joined::ServiceSet(it) => port(it),
        Joined::ServiceGone(id) => format!("no {id}"),
    }
}

/// What is refused, a line each.
fn refused(index: &Index) -> Vec<String> {
    let all = index.refusals();
    all.map(|(object, refusal)| format!("{object}: {refusal}"))
        .collect()
}
