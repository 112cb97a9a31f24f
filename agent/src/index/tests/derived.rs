//! Endpoints for Services that nobody made slices for.

use super::*;

fn pod(name: &str, app: &str, ip: &str, more: Value) -> Event {
    let mut fields = json!({
        "metadata": {"labels": {"app": app, "tier": "x"}},
        "spec": {"nodeName": "n1"}, "status": {"podIP": ip},
    });
    for (part, values) in more.as_object().expect("fields") {
        for (field, value) in values.as_object().expect("fields") {
            fields[part][field] = value.clone();
        }
    }
    set(Kind::Pod, name, fields)
}

fn selecting(app: &str, more: Value) -> Event {
    let mut spec = json!({"selector": {"app": app}});
    for (field, value) in more.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    service("web/s", "10.96.0.1", spec)
}

fn services(update: &Update) -> Vec<String> {
    let services = update.joined.iter();
    services
        .filter(|it| matches!(it, Joined::ServiceSet(_) | Joined::ServiceGone(_)))
        .map(line)
        .collect()
}

const HEAD: &str = "web/s:http/tcp/ipv4 at 10.96.0.1:80";

#[test]
fn pods_come_change_and_go() {
    let mut index = standalone();
    let update = index.apply(vec![
        pod("web/p1", "a", "10.1.0.1", json!({})),
        pod("web/p2", "b", "10.1.0.2", json!({})),
        pod("db/p3", "a", "10.1.0.3", json!({})),
        selecting("a", json!({})),
    ]);
    assert_eq!(services(&update), [format!("{HEAD} to 10.1.0.1:8080")]);
    let update = index.apply(vec![pod("web/p2", "a", "10.1.0.2", json!({}))]);
    assert_eq!(
        services(&update),
        [format!("{HEAD} to 10.1.0.1:8080 10.1.0.2:8080")]
    );
    let update = index.apply(vec![pod("web/p1", "b", "10.1.0.1", json!({}))]);
    assert_eq!(services(&update), [format!("{HEAD} to 10.1.0.2:8080")]);
    let update = index.apply(vec![gone(Kind::Pod, "web/p2")]);
    assert_eq!(services(&update), [HEAD]);
    let update = index.apply(vec![selecting("b", json!({}))]);
    assert_eq!(services(&update), [format!("{HEAD} to 10.1.0.1:8080")]);
    let spec = json!({"selector": {"app": "b", "tier": "y"}});
    let update = index.apply(vec![service("web/s", "10.96.0.1", spec)]);
    assert_eq!(services(&update), [HEAD], "all labels must fit");
    let update = index.apply(vec![service("web/s", "10.96.0.1", json!({"selector": {}}))]);
    assert_eq!(
        services(&update),
        Vec::<String>::new(),
        "no selector selects none"
    );
}

#[test]
fn only_without_a_cluster() {
    let mut index = index();
    let update = index.apply(vec![
        pod("web/p1", "a", "10.1.0.1", json!({})),
        selecting("a", json!({})),
    ]);
    assert_eq!(services(&update), [HEAD]);
}

#[test]
fn slices_that_are_there_count_alone() {
    let mut index = standalone();
    index.apply(vec![
        pod("web/p1", "a", "10.1.0.1", json!({})),
        selecting("a", json!({})),
    ]);
    assert!(index.services().all(|report| report.derived));
    let update = index.apply(vec![slice("web/s-1", "s", &[at("10.1.0.9", "n2")])]);
    assert_eq!(services(&update), [format!("{HEAD} to 10.1.0.9:8080")]);
    assert!(index.services().all(|report| !report.derived));
    let update = index.apply(vec![gone(Kind::EndpointSlice, "web/s-1")]);
    assert_eq!(services(&update), [format!("{HEAD} to 10.1.0.1:8080")]);
}

#[test]
fn how_pods_fare() {
    let not_ready = json!({"conditions": [{"type": "Ready", "status": "False"}]});
    for (more, publish, served) in [
        (json!({}), false, true),
        (json!({"status": not_ready}), false, false),
        (json!({"status": not_ready}), true, true),
        (json!({"status": {"phase": "Running"}}), false, true),
        (json!({"status": {"phase": "Succeeded"}}), true, false),
        (json!({"status": {"phase": "Failed"}}), false, false),
        // It ends, but serves still, and there is no other.
        (
            json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            false,
            true,
        ),
        (json!({"status": {"podIP": null}}), false, false),
    ] {
        let mut index = standalone();
        let update = index.apply(vec![
            pod("web/p1", "a", "10.1.0.1", more.clone()),
            selecting("a", json!({"publishNotReadyAddresses": publish})),
        ]);
        let wanted = match served {
            true => format!("{HEAD} to 10.1.0.1:8080"),
            false => HEAD.to_owned(),
        };
        assert_eq!(services(&update), [wanted], "{more} {publish}");
    }
}

#[test]
fn names_of_ports_resolve_in_each_pod() {
    let named = |port: u16, protocol: &str| {
        let port = json!({"name": "web", "containerPort": port, "protocol": protocol});
        json!({"spec": {"containers": [{"ports": [port]}]}})
    };
    let mut index = standalone();
    let ports =
        json!([{"name": "http", "port": 80, "targetPort": "web"}, {"name": "plain", "port": 81}]);
    let update = index.apply(vec![
        pod("web/p1", "a", "10.1.0.1", named(8001, "TCP")),
        pod("web/p2", "a", "10.1.0.2", named(8002, "TCP")),
        pod("web/p3", "a", "10.1.0.3", named(8003, "UDP")),
        pod("web/p4", "a", "10.1.0.4", json!({})),
        selecting("a", json!({"ports": ports})),
    ]);
    assert_eq!(
        services(&update),
        [
            format!("{HEAD} to 10.1.0.1:8001 10.1.0.2:8002"),
            "web/s:plain/tcp/ipv4 at 10.96.0.1:81 to 10.1.0.1:81 10.1.0.2:81 10.1.0.3:81 10.1.0.4:81".into(),
        ]
    );
}

#[test]
fn the_addresses_of_each_family() {
    let mut index = standalone();
    let both = json!({"status": {"podIPs": [{"ip": "10.1.0.1"}, {"ip": "fd00:1::1"}]}});
    let families = json!({"clusterIPs": ["10.96.0.1", "fd00:96::1"]});
    let update = index.apply(vec![
        pod("web/p1", "a", "10.1.0.1", both),
        selecting("a", families),
    ]);
    assert_eq!(
        services(&update),
        [
            format!("{HEAD} to 10.1.0.1:8080"),
            "web/s:http/tcp/ipv6 at fd00:96::1:80 to [fd00:1::1]:8080".into(),
        ]
    );
}

#[test]
fn addresses_that_only_the_agent_knows() {
    let mut index = standalone();
    let bare = pod(
        "web/p1",
        "a",
        "10.1.0.1",
        json!({"status": {"podIP": null}}),
    );
    let update = index.apply(vec![bare, selecting("a", json!({}))]);
    assert_eq!(services(&update), [HEAD]);
    let update = index.attached("web", "p1", Uid::default(), &ips(&["10.1.1.7"]));
    assert_eq!(services(&update), [format!("{HEAD} to 10.1.1.7:8080")]);
    let update = index.detached("web", "p1", &ips(&["10.1.1.7"]));
    assert_eq!(services(&update), [HEAD]);
    assert_eq!(update.forgotten_addresses, ips(&["10.1.1.7"]));
}

#[test]
fn traffic_distribution() {
    let on =
        |name: &str, ip: &str, node: &str| pod(name, "a", ip, json!({"spec": {"nodeName": node}}));
    for (distribution, wanted) in [
        (json!(null), " to 10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080"),
        (json!("PreferSameZone"), " to 10.1.0.1:8080 10.1.0.3:8080"),
        (json!("PreferClose"), " to 10.1.0.1:8080 10.1.0.3:8080"),
        (json!("PreferSameNode"), " to 10.1.0.1:8080"),
        (
            json!("PreferSomethingNew"),
            " to 10.1.0.1:8080 10.1.0.2:8080 10.1.0.3:8080",
        ),
    ] {
        let mut index = standalone();
        let update = index.apply(vec![
            node("n3", "z1"),
            on("web/p1", "10.1.0.1", "n1"),
            on("web/p2", "10.1.0.2", "n2"),
            on("web/p3", "10.1.0.3", "n3"),
            selecting("a", json!({"trafficDistribution": distribution})),
        ]);
        assert_eq!(
            services(&update),
            [format!("{HEAD}{wanted}")],
            "{distribution}"
        );
    }
    let mut index = standalone();
    index.apply(vec![
        on("web/p1", "10.1.0.1", "n1"),
        on("web/p2", "10.1.0.2", "n2"),
        selecting("a", json!({"trafficDistribution": "PreferSameZone"})),
    ]);
    let update = index.apply(vec![node("n2", "z1")]);
    assert_eq!(
        services(&update),
        [format!("{HEAD} to 10.1.0.1:8080 10.1.0.2:8080")],
        "another node's zone matters here"
    );
}
