//! Who listens, where several want to.

use super::*;

/// Where each Service listens now, and what is refused of it.
fn places(index: &Index) -> Vec<String> {
    let reports = index.services();
    reports
        .map(|report| {
            let ports = report.ports.iter();
            let all: Vec<String> = ports
                .flat_map(|port| port.frontends.iter().map(frontend))
                .collect();
            format!(
                "{} [{}] {}",
                report.name,
                all.join(", "),
                report.refusals.len()
            )
        })
        .collect()
}

#[test]
fn the_smaller_name_goes_first_in_whatever_order_they_come() {
    let services =
        || ["a", "b", "c"].map(|name| service(&format!("web/{name}"), "10.96.0.1", json!({})));
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        let mut index = index();
        for at in order {
            index.apply(vec![services()[at].clone()]);
        }
        assert_eq!(places(&index), ["a [10.96.0.1:80] 0", "b [] 1", "c [] 1"]);
        let update = index.apply(vec![gone(Kind::Service, "web/a")]);
        assert_eq!(
            lines(&update),
            [
                "no web/a:http/tcp/ipv4",
                "web/b:http/tcp/ipv4 at 10.96.0.1:80"
            ]
        );
        assert!(update.service_addresses.is_empty(), "it only changes hands");
        let update = index.apply(vec![services()[0].clone()]);
        assert_eq!(
            lines(&update),
            [
                "web/a:http/tcp/ipv4 at 10.96.0.1:80",
                "no web/b:http/tcp/ipv4"
            ]
        );
        assert_eq!(places(&index), ["a [10.96.0.1:80] 0", "b [] 1", "c [] 1"]);
    }
}

#[test]
fn the_older_goes_before_the_newer_and_before_what_has_no_age() {
    let mut index = index();
    let aged = |name: &str, created: Option<&str>| {
        let fields = json!({
            "metadata": {"creationTimestamp": created},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
        });
        set(Kind::Service, name, fields)
    };
    index.apply(vec![
        aged("web/a", None),
        aged("web/b", Some("2026-01-02T00:00:00Z")),
        aged("web/c", Some("2026-01-01T00:00:00Z")),
    ]);
    assert_eq!(places(&index), ["a [] 1", "b [] 1", "c [10.96.0.1:80] 0"]);
    index.apply(vec![aged("web/c", None)]);
    assert_eq!(places(&index), ["a [] 1", "b [10.96.0.1:80] 0", "c [] 1"]);
}

#[test]
fn only_the_same_port_and_protocol_is_a_conflict() {
    let mut index = index();
    let with = |name: &str, port: u16, protocol: &str| {
        let spec = json!({"ports": [{"port": port, "protocol": protocol}]});
        service(name, "10.96.0.1", spec)
    };
    index.apply(vec![
        with("web/a", 80, "TCP"),
        with("web/b", 81, "TCP"),
        with("web/c", 80, "UDP"),
    ]);
    assert!(refused(&index).is_empty());
    assert_eq!(
        index.service_addresses().collect::<Vec<_>>(),
        ips(&["10.96.0.1"])
    );
    let update = index.apply(vec![gone(Kind::Service, "web/a")]);
    assert!(
        update.service_addresses.is_empty(),
        "others are served there"
    );
}

#[test]
fn what_is_taken_is_refused_and_the_rest_stays() {
    let mut index = index();
    let spec = json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]});
    index.apply(vec![
        service("web/a", "10.96.0.1", json!({})),
        service("web/b", "10.96.0.1", spec),
    ]);
    assert_eq!(places(&index), ["a [10.96.0.1:80] 0", "b [10.96.0.1:81] 1"]);
    assert_eq!(
        refused(&index),
        ["Service web/b: field spec.clusterIPs: 10.96.0.1:80/tcp is taken by Service web/a"]
    );
    index.apply(vec![gone(Kind::Service, "web/a")]);
    assert_eq!(places(&index), ["b [10.96.0.1:80, 10.96.0.1:81] 0"]);
    assert!(refused(&index).is_empty());
}

/// Nobody takes another's clusterIP by naming it as his externalIP, not even with an older Service.
#[test]
fn a_cluster_ip_goes_before_what_comes_from_outside() {
    let mut index = index_with(Options {
        external_ips: true,
        ..Options::default()
    });
    index.apply(vec![
        service(
            "web/a",
            "10.96.0.1",
            json!({"externalIPs": ["10.96.0.3", "192.0.2.1"]}),
        ),
        balanced("web/b", "10.96.0.2", &["10.96.0.3", "192.0.2.1"], json!({})),
        service("web/c", "10.96.0.3", json!({})),
    ]);
    assert_eq!(
        places(&index),
        [
            "a [10.96.0.1:80] 2",
            "b [10.96.0.2:80, ext 192.0.2.1:80] 1",
            "c [10.96.0.3:80] 0"
        ]
    );
}

#[test]
fn node_ports_and_health_check_ports() {
    let mut index = index();
    let spec = json!({
        "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
        "ports": [{"name": "http", "port": 80, "nodePort": 30080}],
    });
    index.apply(vec![
        balanced("web/b", "10.96.0.2", &[], spec.clone()),
        balanced("web/a", "10.96.0.1", &[], spec),
    ]);
    assert_eq!(
        places(&index),
        ["a [10.96.0.1:80, node 30080 local] 0", "b [10.96.0.2:80] 2"]
    );
    assert_eq!(&*index.health_checks()[&32000].name, "a");
    assert_eq!(
        refused(&index),
        [
            "Service web/b: field spec.ports[].nodePort: node port 30080/tcp of IPv4 is taken by Service web/a",
            "Service web/b: field spec.healthCheckNodePort: node port 32000 for health checks is taken by Service web/a",
        ]
    );
    let update = index.apply(vec![gone(Kind::Service, "web/a")]);
    assert!(update.node_ports.is_empty() && update.health_checks_changed);
    assert_eq!(&*index.health_checks()[&32000].name, "b");
    let update = index.apply(vec![gone(Kind::Service, "web/b")]);
    assert!(!update.node_ports.removed.is_empty() && index.health_checks().is_empty());
}
