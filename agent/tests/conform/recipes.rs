//! The recipes that people learn NetworkPolicy by: what each says that it does is what it does, by an evaluator that
//! reads policies word by word, by the flows, and by a real switch; for every connection that there can be in a
//! cluster made for them.

use std::net::IpAddr;

use serde_json::{Value, json};
use sluice_agent::index::Options;
use sluice_agent::source::{Event, Kind, ObjectRef};
use sluice_flows::model::Protocol;
use sluice_flows::{Direction, DropReason};

use crate::applications::{NODES, namespace_of, nodes};
use crate::judges::{Case, Port, expected, judge};
use crate::node::{Node, object, switch};
use crate::test_data;

/// A pod of the cluster, or nobody's address.
#[derive(Debug, Clone, Copy)]
struct Who {
    namespace: &'static str,
    name: &'static str,
    labels: &'static [(&'static str, &'static str)],
    ip: &'static str,
}

impl Who {
    fn is(&self, namespace: &str, labels: &[(&str, &str)]) -> bool {
        self.namespace == namespace && labels.iter().all(|label| self.labels.contains(label))
    }

    fn is_pod(&self) -> bool {
        !self.namespace.is_empty()
    }

    fn ip(&self) -> IpAddr {
        self.ip.parse().unwrap()
    }

    /// Whether it is on this node.
    fn is_here(&self) -> bool {
        self.ip.starts_with("10.244.1.")
    }
}

macro_rules! who {
    ($namespace:literal, $name:literal, $ip:literal $(, $key:literal = $value:literal)*) => {
        Who { namespace: $namespace, name: $name, ip: $ip, labels: &[$(($key, $value)),*] }
    };
}

const NAMESPACES: [(&str, &[(&str, &str)]); 5] = [
    ("default", &[]),
    ("prod", &[("purpose", "production")]),
    ("dev", &[("purpose", "testing")]),
    ("ops", &[("team", "operations")]),
    ("kube-system", &[]),
];

const CLUSTER: [Who; 20] = [
    who!("default", "web", "10.244.1.10", "app" = "web"),
    who!(
        "default",
        "api",
        "10.244.1.11",
        "app" = "bookstore",
        "role" = "api"
    ),
    who!(
        "default",
        "db",
        "10.244.1.12",
        "app" = "bookstore",
        "role" = "db"
    ),
    who!(
        "default",
        "search",
        "10.244.1.13",
        "app" = "bookstore",
        "role" = "search"
    ),
    who!(
        "default",
        "stock",
        "10.244.1.14",
        "app" = "inventory",
        "role" = "web"
    ),
    who!("default", "apiserver", "10.244.1.15", "app" = "apiserver"),
    who!(
        "default",
        "monitoring",
        "10.244.1.16",
        "type" = "monitoring",
        "role" = "monitoring"
    ),
    who!("default", "foo", "10.244.1.17", "app" = "foo"),
    who!("default", "other", "10.244.1.18"),
    who!("prod", "client", "10.244.1.19"),
    who!("prod", "web", "10.244.1.20", "app" = "web"),
    who!(
        "dev",
        "client",
        "10.244.1.21",
        "app" = "bookstore",
        "role" = "monitoring"
    ),
    who!("ops", "monitoring", "10.244.1.22", "type" = "monitoring"),
    who!("ops", "other", "10.244.1.23", "app" = "foo"),
    who!("kube-system", "dns", "10.244.1.24", "k8s-app" = "kube-dns"),
    who!("kube-system", "other", "10.244.1.25"),
    who!(
        "default",
        "far",
        "10.244.2.10",
        "app" = "bookstore",
        "role" = "search"
    ),
    who!("prod", "far", "10.244.2.11", "app" = "web"),
    who!(
        "kube-system",
        "far-dns",
        "10.244.2.12",
        "k8s-app" = "kube-dns"
    ),
    who!("", "the world", "198.51.100.7"),
];

const PORTS: [Port; 7] = [
    Some((Protocol::Tcp, 80)),
    Some((Protocol::Tcp, 5000)),
    Some((Protocol::Tcp, 53)),
    Some((Protocol::Udp, 53)),
    Some((Protocol::Udp, 5000)),
    Some((Protocol::Sctp, 53)),
    None,
];

/// One document of the file, and what it means.
struct Recipe {
    name: &'static str,
    says: &'static str,
    direction: Direction,
    /// Whether a connection may be, as the recipe's text has it.
    may: fn(&Who, &Who, Port) -> bool,
}

const WEB: &[(&str, &str)] = &[("app", "web")];
const FOO: &[(&str, &str)] = &[("app", "foo")];

fn recipe(
    name: &'static str,
    says: &'static str,
    direction: Direction,
    may: fn(&Who, &Who, Port) -> bool,
) -> Recipe {
    Recipe {
        name,
        says,
        direction,
        may,
    }
}

/// In the order of the file.
fn recipes() -> [Recipe; 15] {
    use Direction::{Egress, Ingress};
    let only_dns = |from: &Who, to: &Who, port| {
        let dns = matches!(port, Some((Protocol::Tcp | Protocol::Udp, 53)));
        !from.is("default", FOO) || (to.is("kube-system", &[("k8s-app", "kube-dns")]) && dns)
    };
    [
        recipe("web-deny-all", "nobody reaches web", Ingress, |_, to, _| {
            !to.is("default", WEB)
        }),
        recipe(
            "api-allow",
            "the bookstore's API is reached by the bookstore alone",
            Ingress,
            |from, to, _| {
                !to.is("default", &[("app", "bookstore"), ("role", "api")])
                    || from.is("default", &[("app", "bookstore")])
            },
        ),
        recipe(
            "web-allow-all",
            "everybody reaches web",
            Ingress,
            |_, _, _| true,
        ),
        recipe(
            "default-deny-all",
            "nobody reaches any pod of the namespace",
            Ingress,
            |_, to, _| !to.is("default", &[]),
        ),
        recipe(
            "deny-from-other-namespaces",
            "pods of the namespace are reached from it alone",
            Ingress,
            |from, to, _| !to.is("default", &[]) || from.is("default", &[]),
        ),
        recipe(
            "web-allow-all-namespaces",
            "web is reached by every pod, and by nobody else",
            Ingress,
            |from, to, _| !to.is("default", WEB) || from.is_pod(),
        ),
        recipe(
            "web-allow-prod",
            "web is reached from namespaces for production",
            Ingress,
            |from, to, _| !to.is("default", WEB) || from.is("prod", &[]),
        ),
        recipe(
            "web-allow-all-ns-monitoring",
            "web is reached by what monitors, in the namespaces of operations",
            Ingress,
            |from, to, _| !to.is("default", WEB) || from.is("ops", &[("type", "monitoring")]),
        ),
        recipe(
            "web-allow-external",
            "everybody reaches web",
            Ingress,
            |_, _, _| true,
        ),
        recipe(
            "api-allow-5000",
            "the API server is reached by what monitors, at one port",
            Ingress,
            |from, to, port| {
                !to.is("default", &[("app", "apiserver")])
                    || (from.is("default", &[("role", "monitoring")])
                        && port == Some((Protocol::Tcp, 5000)))
            },
        ),
        recipe(
            "redis-allow-services",
            "the bookstore's database is reached by three services",
            Ingress,
            |from, to, _| {
                !to.is("default", &[("app", "bookstore"), ("role", "db")])
                    || from.is("default", &[("app", "bookstore"), ("role", "search")])
                    || from.is("default", &[("app", "bookstore"), ("role", "api")])
                    || from.is("default", &[("app", "inventory"), ("role", "web")])
            },
        ),
        recipe(
            "foo-deny-egress",
            "foo reaches nobody",
            Egress,
            |from, _, _| !from.is("default", FOO),
        ),
        recipe("foo-deny-egress", "foo reaches DNS alone", Egress, only_dns),
        recipe(
            "default-deny-all-egress",
            "no pod of the namespace reaches anybody",
            Egress,
            |from, _, _| !from.is("default", &[]),
        ),
        recipe(
            "foo-deny-external-egress",
            "foo reaches DNS alone, and nothing outside",
            Egress,
            only_dns,
        ),
    ]
}

#[tokio::test]
async fn recipes_do_what_they_say() {
    let file = "ahmetb-recipes-networkpolicies.yaml";
    let policies: Vec<Value> =
        serde_saphyr::from_multiple(&test_data(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let recipes = recipes();
    assert_eq!(policies.len(), recipes.len());

    let mut switch = switch(32);
    let mut node = Node::new(&mut switch, NODES[0], Options::default(), &nodes(), &[]).await;
    for who in CLUSTER.iter().filter(|who| who.is_here()) {
        node.attach_as(who.ip(), who.namespace, who.name).await;
    }
    let namespaces = NAMESPACES.iter().map(|(name, labels)| {
        let mut all: std::collections::BTreeMap<_, _> = labels.iter().copied().collect();
        all.insert("kubernetes.io/metadata.name", name);
        let namespace = json!({"metadata": {"name": name, "labels": all}});
        object(Kind::Namespace, &namespace)
    });
    let pods = CLUSTER.iter().filter(|who| who.is_pod()).map(pod);
    node.take(namespaces.chain(pods).map(Event::Set).collect())
        .await;

    for (policy, recipe) in policies.iter().zip(&recipes) {
        assert_eq!(policy["metadata"]["name"], recipe.name);
        let policy = object(Kind::NetworkPolicy, policy);
        node.take(vec![Event::Set(policy.clone())]).await;
        let cases = connections().map(|(from, to, port)| {
            let (judged_here, reason) = match recipe.direction {
                Direction::Egress => (from.is_here(), DropReason::EgressIsolation),
                Direction::Ingress => (to.is_here(), DropReason::IngressIsolation),
            };
            let denied = judged_here && !(recipe.may)(from, to, port);
            let wanted = denied.then_some(reason);
            case(from, to, port, wanted, recipe.says)
        });
        let tally = judge(&mut node, cases);
        println!("{}: {}: {tally}", recipe.name, recipe.says);
        let reference = ObjectRef::new(Kind::NetworkPolicy, "default", recipe.name);
        node.take(vec![Event::Gone(reference)]).await;
    }

    // All of them at once: what any of them allows.
    let all = policies.iter().map(|policy| {
        assert_eq!(namespace_of(policy), "default");
        Event::Set(object(Kind::NetworkPolicy, policy))
    });
    node.take(all.collect()).await;
    let state = node.state().clone();
    let cases = connections().map(|(from, to, port)| {
        let wanted = expected(&state, from.ip(), to.ip(), port);
        case(from, to, port, wanted, "all recipes")
    });
    let tally = judge(&mut node, cases);
    println!("all of them together: {tally}");
    assert!(tally.denied > 500 && tally.agreed > tally.denied + 500);
}

fn case(from: &Who, to: &Who, port: Port, wanted: Option<DropReason>, says: &str) -> Case {
    Case {
        from: from.ip(),
        to: to.ip(),
        port,
        wanted,
        what: format!("{says}: {from:?} to {to:?} {port:?}"),
    }
}

/// Every connection that this node has to do with.
fn connections() -> impl Iterator<Item = (&'static Who, &'static Who, Port)> {
    let pairs = CLUSTER
        .iter()
        .flat_map(|from| CLUSTER.iter().map(move |to| (from, to)));
    pairs
        .filter(|(from, to)| from.ip != to.ip && (from.is_here() || to.is_here()))
        .flat_map(|(from, to)| PORTS.into_iter().map(move |port| (from, to, port)))
}

fn pod(who: &Who) -> sluice_agent::source::Object {
    let labels: std::collections::BTreeMap<_, _> = who.labels.iter().copied().collect();
    let node = NODES[usize::from(!who.is_here())];
    object(
        Kind::Pod,
        &json!({
            "metadata": {"name": who.name, "namespace": who.namespace, "labels": labels},
            "spec": {"nodeName": node},
            "status": {"phase": "Running", "podIPs": [{"ip": who.ip}]},
        }),
    )
}
