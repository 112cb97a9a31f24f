//! What is said of a name that `why` was given and that no flow knows: the cluster may know it as something else than
//! a pod with an address of its own.

use crate::index::{Index, Unserved};
use crate::reconciler::InspectError;
use crate::source::Pod;

/// How many pods are named as examples.
const EXAMPLES: usize = 3;

/// What has the name that no pod here has, and what to ask instead; nothing if nobody knows.
pub(super) fn explain(index: &Index, error: &InspectError) -> Option<String> {
    let InspectError::NoPod {
        end,
        namespace,
        name,
    } = error
    else {
        return None;
    };
    let said = match index.pod(namespace, name) {
        Some(found) => format!("pod {namespace}/{name} {}", pod(found)?),
        None => format!(
            "Service {namespace}/{name} {}",
            service(index, end, namespace, name)?
        ),
    };
    Some(format!("{end}: {said}"))
}

fn pod(pod: &Pod) -> Option<String> {
    let ips: Vec<_> = pod.ips.iter().map(ToString::to_string).collect();
    match () {
        () if pod.state.finished => Some("has ended, and has no address".to_owned()),
        () if pod.state.host_network && !ips.is_empty() => Some(format!(
            "is on the network of its node, {}: write the node's address, {}",
            pod.state.node,
            ips.join(" or ")
        )),
        () if ips.is_empty() => Some("has no address yet".to_owned()),
        () => None,
    }
}

fn service(index: &Index, end: &str, namespace: &str, name: &str) -> Option<String> {
    let (service, unserved) = index.service(namespace, name)?;
    if end == "from" {
        return Some("sends nothing itself: name a pod, or write an address".to_owned());
    }
    let said = match unserved? {
        Unserved::ExternalName => {
            "is an ExternalName, another name in DNS and nothing else: write the address behind it"
                .to_owned()
        }
        Unserved::Headless => {
            let mut pods: Vec<_> = index
                .pods_of(service)
                .filter(|pod| !pod.state.finished)
                .map(|pod| format!("{namespace}/{}", pod.name))
                .collect();
            pods.sort_unstable();
            let more = match pods.len().saturating_sub(EXAMPLES) {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            pods.truncate(EXAMPLES);
            let which = match pods.is_empty() {
                true => format!(
                    "write the address of one (`kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}`)"
                ),
                false => format!("name one of them (known here: {}{more})", pods.join(", ")),
            };
            format!("is headless: its name stands for the addresses of its endpoints; {which}")
        }
        Unserved::OtherProxy(proxy) => {
            format!(
                "is left to another proxy, {proxy}, by its label service.kubernetes.io/service-proxy-name"
            )
        }
        Unserved::NoClusterIp => "has no clusterIP: nothing listens for it here".to_owned(),
    };
    Some(said)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::source::{Event, Kind, decode};

    fn index(objects: &[(Kind, &str, Value)]) -> Index {
        let mut index = Index::new("n1");
        let mut events: Vec<_> = Kind::ALL.map(|kind| Event::Listed(kind, Vec::new())).into();
        events.extend(objects.iter().map(|(kind, name, fields)| {
            let mut fields = fields.clone();
            fields["metadata"]["namespace"] = json!("web");
            fields["metadata"]["name"] = json!(name);
            Event::Set(decode::object(*kind, fields).expect("an object"))
        }));
        index.apply(events);
        index
    }

    fn pod(ip: &str) -> Value {
        json!({
            "metadata": {"labels": {"app": "db"}},
            "spec": {"nodeName": "n2"},
            "status": {"podIP": ip},
        })
    }

    fn explained(index: &Index, end: &'static str, name: &str) -> Option<String> {
        let error = InspectError::NoPod {
            end,
            namespace: "web".to_owned(),
            name: name.to_owned(),
        };
        explain(index, &error)
    }

    #[test]
    fn what_is_no_pod_may_be_a_service() {
        let of_db = |more: Value| {
            let mut spec = json!({"selector": {"app": "db"}, "ports": [{"port": 80}]});
            for (field, value) in more.as_object().expect("fields") {
                spec[field] = value.clone();
            }
            json!({"spec": spec})
        };
        let headless = of_db(json!({"clusterIP": "None"}));
        let external = json!({"spec": {"type": "ExternalName", "externalName": "db.example"}});
        let mut of_other = of_db(json!({"clusterIP": "10.96.0.1"}));
        of_other["metadata"]["labels"]["service.kubernetes.io/service-proxy-name"] = json!("x");
        let mut objects = vec![
            (Kind::Service, "db", headless),
            (Kind::Service, "away", external),
            (Kind::Service, "other", of_other),
            (Kind::Service, "waits", of_db(json!({}))),
            (
                Kind::Service,
                "served",
                of_db(json!({"clusterIP": "10.96.0.2"})),
            ),
        ];
        let nobody = explained(&index(&objects), "to", "db").expect("words");
        let command = "kubectl get endpointslices -n web -l kubernetes.io/service-name=db";
        assert!(nobody.contains(command), "{nobody}");
        for (name, ip) in [
            ("db-3", "10.1.0.3"),
            ("db-0", "10.1.0.4"),
            ("db-1", "10.1.0.5"),
            ("db-2", "10.1.0.6"),
        ] {
            objects.push((Kind::Pod, name, pod(ip)));
        }
        let index = index(&objects);
        for (end, name, expected) in [
            (
                "to",
                "db",
                "to: Service web/db is headless: its name stands for the addresses of its endpoints; \
                 name one of them (known here: web/db-0, web/db-1, web/db-2, and 1 more)",
            ),
            (
                "to",
                "away",
                "to: Service web/away is an ExternalName, another name in DNS and nothing else: \
                 write the address behind it",
            ),
            (
                "to",
                "other",
                "to: Service web/other is left to another proxy, x, by its label \
                 service.kubernetes.io/service-proxy-name",
            ),
            (
                "to",
                "waits",
                "to: Service web/waits has no clusterIP: nothing listens for it here",
            ),
            (
                "from",
                "db",
                "from: Service web/db sends nothing itself: name a pod, or write an address",
            ),
            (
                "from",
                "served",
                "from: Service web/served sends nothing itself: name a pod, or write an address",
            ),
        ] {
            assert_eq!(explained(&index, end, name).as_deref(), Some(expected));
        }
        assert_eq!(explained(&index, "to", "nobody"), None);
        assert_eq!(explained(&index, "from", "nobody"), None);
    }

    #[test]
    fn a_pod_may_have_no_address_of_its_own() {
        let mut of_node = pod("192.0.2.2");
        of_node["spec"]["hostNetwork"] = json!(true);
        let mut ended = pod("10.1.0.1");
        ended["status"]["phase"] = json!("Succeeded");
        let index = index(&[
            (Kind::Pod, "proxy", of_node),
            (Kind::Pod, "job", ended),
            (Kind::Pod, "new", json!({"spec": {"nodeName": "n2"}})),
            (Kind::Pod, "db-0", pod("10.1.0.2")),
        ]);
        for (name, expected) in [
            (
                "proxy",
                Some(
                    "to: pod web/proxy is on the network of its node, n2: write the node's address, 192.0.2.2",
                ),
            ),
            ("job", Some("to: pod web/job has ended, and has no address")),
            ("new", Some("to: pod web/new has no address yet")),
            ("db-0", None),
        ] {
            assert_eq!(explained(&index, "to", name).as_deref(), expected);
        }
    }
}
