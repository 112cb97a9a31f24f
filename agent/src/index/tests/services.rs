//! What a Service comes to: where it listens, and what else follows from it.

use super::*;

fn one(index: &mut Index, events: Vec<Event>) -> String {
    let update = index.apply(events);
    let [line] = lines(&update).try_into().expect("one change");
    line
}

#[test]
fn a_service_comes_changes_and_goes() {
    let mut index = index();
    let update = index.apply(vec![service("web/s", "10.96.0.1", json!({}))]);
    assert_eq!(lines(&update), ["web/s:http/tcp/ipv4 at 10.96.0.1:80"]);
    assert_eq!(update.service_addresses.added, ips(&["10.96.0.1"]));
    let events = vec![slice(
        "web/s-1",
        "s",
        &[at("10.1.2.2", "n2"), at("10.1.1.2", "n1")],
    )];
    assert_eq!(
        one(&mut index, events.clone()),
        "web/s:http/tcp/ipv4 at 10.96.0.1:80 to 10.1.1.2:8080 10.1.2.2:8080"
    );
    assert!(index.apply(events).is_empty(), "what is known is no change");
    assert!(
        index
            .apply(vec![service("web/s", "10.96.0.1", json!({}))])
            .is_empty()
    );
    let update = index.apply(vec![service("web/s", "10.96.0.2", json!({}))]);
    assert_eq!(
        lines(&update),
        ["web/s:http/tcp/ipv4 at 10.96.0.2:80 to 10.1.1.2:8080 10.1.2.2:8080"]
    );
    assert_eq!(update.service_addresses.added, ips(&["10.96.0.2"]));
    assert_eq!(update.service_addresses.removed, ips(&["10.96.0.1"]));
    let update = index.apply(vec![gone(Kind::Service, "web/s")]);
    assert_eq!(lines(&update), ["no web/s:http/tcp/ipv4"]);
    assert_eq!(update.service_addresses.removed, ips(&["10.96.0.2"]));
    assert_eq!(index.service_addresses().len(), 0);
    assert!(
        index
            .apply(vec![gone(Kind::EndpointSlice, "web/s-1")])
            .is_empty()
    );
    assert!(
        index
            .apply(vec![gone(Kind::Service, "web/unknown")])
            .is_empty()
    );
    assert_eq!(
        (index.services.entry_count(), index.services.slice_count()),
        (0, 0)
    );
}

#[test]
fn ports_are_services_of_their_own() {
    let mut index = index();
    let ports = json!({"ports": [
        {"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}, {"name": "x", "port": 9},
    ]});
    index.apply(vec![service(
        "kube-system/dns",
        "10.96.0.10",
        ports.clone(),
    )]);
    let slice = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": "dns"}}, "addressType": "IPv4",
        "ports": [{"name": "dns", "port": 5353, "protocol": "UDP"}, {"name": "dns-tcp", "port": 5354},
                  {"name": "x", "port": 9, "protocol": "UDP"}],
        "endpoints": [{"addresses": ["10.1.0.2"]}],
    });
    let update = index.apply(vec![set(Kind::EndpointSlice, "kube-system/dns-1", slice)]);
    assert_eq!(
        lines(&update),
        [
            "kube-system/dns:dns-tcp/tcp/ipv4 at 10.96.0.10:53 to 10.1.0.2:5354",
            "kube-system/dns:dns/udp/ipv4 at 10.96.0.10:53 to 10.1.0.2:5353",
        ],
        "the port that no slice answers is served as it was"
    );
    let fewer = json!({"ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]});
    let update = index.apply(vec![service("kube-system/dns", "10.96.0.10", fewer)]);
    assert_eq!(
        lines(&update),
        [
            "no kube-system/dns:dns-tcp/tcp/ipv4",
            "no kube-system/dns:x/tcp/ipv4"
        ]
    );
    assert!(update.service_addresses.is_empty());
}

#[test]
fn a_port_without_a_name_goes_by_its_number() {
    let mut index = index();
    let spec = json!({"ports": [{"port": 443, "targetPort": 8443}]});
    let line = one(&mut index, vec![service("web/s", "10.96.0.1", spec)]);
    assert_eq!(line, "web/s:443/tcp/ipv4 at 10.96.0.1:443");
    let slice = json!({
        "metadata": {"labels": {"kubernetes.io/service-name": "s"}}, "addressType": "IPv4",
        "ports": [{"port": 8443}], "endpoints": [{"addresses": ["10.1.0.2"]}],
    });
    let line = one(&mut index, vec![set(Kind::EndpointSlice, "web/s-1", slice)]);
    assert_eq!(line, "web/s:443/tcp/ipv4 at 10.96.0.1:443 to 10.1.0.2:8443");
}

#[test]
fn both_families() {
    let mut index = index();
    let spec = json!({"clusterIPs": ["fd00:96::1", "10.96.0.1"], "ipFamilies": ["IPv6", "IPv4"]});
    let update = index.apply(vec![
        service("web/s", "fd00:96::1", spec),
        slice("web/s-4", "s", &[at("10.1.0.2", "n2")]),
        slice("web/s-6", "s", &[at("fd00:1::2", "n2")]),
    ]);
    assert_eq!(
        lines(&update),
        [
            "web/s:http/tcp/ipv4 at 10.96.0.1:80 to 10.1.0.2:8080",
            "web/s:http/tcp/ipv6 at fd00:96::1:80 to [fd00:1::2]:8080",
        ]
    );
}

#[test]
fn services_that_are_not_ours_to_serve() {
    let mut index = index();
    let labelled = |label: &str| {
        let fields = json!({
            "metadata": {"labels": {label: "x"}},
            "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
        });
        set(Kind::Service, "web/s", fields)
    };
    let cases = [
        (service("web/s", "None", json!({})), Unserved::Headless),
        (service("web/s", "", json!({})), Unserved::NoClusterIp),
        (
            service(
                "web/s",
                "",
                json!({"type": "ExternalName", "externalName": "a.example"}),
            ),
            Unserved::ExternalName,
        ),
        (
            labelled("service.kubernetes.io/service-proxy-name"),
            Unserved::OtherProxy("x".into()),
        ),
        (
            labelled("service.kubernetes.io/headless"),
            Unserved::Headless,
        ),
    ];
    for (event, why) in cases {
        assert!(index.apply(vec![event.clone()]).is_empty(), "{why:?}");
        let report = index.services().next().expect("a report");
        assert_eq!(report.unserved, Some(why));
        index.apply(vec![service("web/s", "10.96.0.1", json!({}))]);
        let update = index.apply(vec![event]);
        assert_eq!(lines(&update), ["no web/s:http/tcp/ipv4"]);
        assert_eq!(update.service_addresses.removed, ips(&["10.96.0.1"]));
    }
}

#[test]
fn node_ports() {
    let mut index = index();
    let spec = |port: u16| json!({"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": port}]});
    let update = index.apply(vec![service("web/s", "10.96.0.1", spec(30080))]);
    assert_eq!(
        lines(&update),
        ["web/s:http/tcp/ipv4 at 10.96.0.1:80, node 30080"]
    );
    let node_port = |port| NodePort {
        v6: false,
        protocol: sluice_flows::model::Protocol::Tcp,
        port,
    };
    assert_eq!(update.node_ports.added, [node_port(30080)]);
    let update = index.apply(vec![service("web/s", "10.96.0.1", spec(30081))]);
    assert_eq!(update.node_ports.added, [node_port(30081)]);
    assert_eq!(update.node_ports.removed, [node_port(30080)]);
    assert_eq!(index.node_ports().collect::<Vec<_>>(), [node_port(30081)]);
    let update = index.apply(vec![gone(Kind::Service, "web/s")]);
    assert_eq!(update.node_ports.removed, [node_port(30081)]);
}

#[test]
fn traffic_policies() {
    let mut index = index();
    index.apply(vec![slice(
        "web/s-1",
        "s",
        &[at("10.1.1.2", "n1"), at("10.1.2.2", "n2")],
    )]);
    let with = |mut spec: Value| {
        spec["ports"] = json!([{"name": "http", "port": 80, "nodePort": 30080}]);
        balanced("web/s", "10.96.0.1", &["192.0.2.1"], spec)
    };
    let (all, here) = ("to 10.1.1.2:8080 10.1.2.2:8080", "here 10.1.1.2:8080");
    for (spec, wanted) in [
        (
            json!({}),
            format!("10.96.0.1:80, ext 192.0.2.1:80, node 30080 {all}"),
        ),
        (
            json!({"internalTrafficPolicy": "Local"}),
            format!("10.96.0.1:80 local, ext 192.0.2.1:80, node 30080 {all} {here}"),
        ),
        (
            json!({"externalTrafficPolicy": "Local"}),
            format!("10.96.0.1:80, ext 192.0.2.1:80 local, node 30080 local {all} {here}"),
        ),
    ] {
        let line = one(&mut index, vec![with(spec)]);
        assert_eq!(line, format!("web/s:http/tcp/ipv4 at {wanted}"));
    }
    // The policy of a type that has none means nothing; endpoints elsewhere are known, so that what must stay here
    // can be dropped rather than refused.
    index.apply(vec![slice("web/s-1", "s", &[at("10.1.2.2", "n2")])]);
    let spec = json!({"internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local"});
    let line = one(&mut index, vec![service("web/s", "10.96.0.1", spec)]);
    assert_eq!(
        line,
        "web/s:http/tcp/ipv4 at 10.96.0.1:80 local to 10.1.2.2:8080"
    );
}

#[test]
fn processes_of_the_node_keep_their_clients() {
    let mut index = index();
    let own = ips(&["192.0.2.1", "192.0.2.9"]);
    let served = |index: &Index| -> Vec<String> {
        let processes = index.processes(&own).into_iter();
        let text = processes.map(|it| format!("{:?} {} {}", it.ip, it.at.port, it.process));
        text.collect()
    };
    let with = |policy: &str, ranges: Value| {
        let spec = json!({
            "externalTrafficPolicy": policy, "loadBalancerSourceRanges": ranges,
            "ports": [{"name": "http", "port": 80, "nodePort": 30080}],
        });
        balanced("web/s", "10.96.0.1", &["192.0.2.9"], spec)
    };
    let ends = |ends: &[(&str, &str)]| {
        let ends: Vec<_> = ends.iter().map(|(ip, node)| at(ip, node)).collect();
        slice("web/s-1", "s", &ends)
    };
    let host = [("192.0.2.1", "n1"), ("192.0.2.2", "n2")];
    index.apply(vec![ends(&host), with("Cluster", json!([]))]);
    assert_eq!(served(&index), [""; 0]);
    index.apply(vec![with("Local", json!([]))]);
    assert_eq!(
        served(&index),
        [
            "Some(192.0.2.9) 80 192.0.2.1:8080",
            "None 30080 192.0.2.1:8080"
        ]
    );
    // Who may use it is for the switch to say.
    index.apply(vec![with("Local", json!(["198.51.100.0/24"]))]);
    assert_eq!(served(&index), ["None 30080 192.0.2.1:8080"]);
    // So is which one of several.
    index.apply(vec![ends(&[host[0], ("10.1.1.2", "n1")])]);
    assert_eq!(served(&index), [""; 0]);
    index.apply(vec![ends(&host)]);
    assert_eq!(served(&index).len(), 1);
    index.apply(vec![gone(Kind::Service, "web/s")]);
    assert_eq!(served(&index), [""; 0]);
}

#[test]
fn external_ips_only_where_asked_for() {
    let event = || {
        service(
            "web/s",
            "10.96.0.1",
            json!({"externalIPs": ["198.51.100.1", "2001:db8::1"]}),
        )
    };
    assert_eq!(
        one(&mut index(), vec![event()]),
        "web/s:http/tcp/ipv4 at 10.96.0.1:80"
    );
    let mut index = index_with(Options {
        external_ips: true,
        ..Options::default()
    });
    assert_eq!(
        one(&mut index, vec![event()]),
        "web/s:http/tcp/ipv4 at 10.96.0.1:80, ext 198.51.100.1:80",
        "of the Service's family"
    );
}

#[test]
fn load_balancers_and_their_sources() {
    let mut index = index_with(Options {
        external_ips: true,
        ..Options::default()
    });
    let families =
        json!({"clusterIPs": ["10.96.0.1", "fd00:96::1"], "ipFamilies": ["IPv4", "IPv6"]});
    let with = |ranges: Value| {
        let mut spec = families.clone();
        spec["loadBalancerSourceRanges"] = ranges;
        // An address may be asked for twice.
        spec["externalIPs"] = json!(["192.0.2.1"]);
        balanced("web/s", "10.96.0.1", &["192.0.2.1", "2001:db8::1"], spec)
    };
    for (ranges, v4, v6) in [
        (json!([]), "", ""),
        (json!([" 203.0.113.0/24 "]), " for [203.0.113.0/24]", ""),
        (json!(["2001:db8:1::/48"]), "", " for [2001:db8:1::/48]"),
        (
            json!(["203.0.113.0/24", "::/0"]),
            " for [203.0.113.0/24]",
            " for [::/0]",
        ),
        (json!(["nonsense"]), " for []", " for []"),
        (
            json!(["203.0.113.0/24", "nonsense"]),
            " for [203.0.113.0/24]",
            " for []",
        ),
    ] {
        index.apply(vec![gone(Kind::Service, "web/s")]);
        let update = index.apply(vec![with(ranges)]);
        assert_eq!(
            lines(&update),
            [
                format!("web/s:http/tcp/ipv4 at 10.96.0.1:80, ext 192.0.2.1:80{v4}"),
                format!("web/s:http/tcp/ipv6 at fd00:96::1:80, ext 2001:db8::1:80{v6}"),
            ]
        );
        assert_eq!(update.service_addresses.added.len(), 4);
    }
}

#[test]
fn affinity() {
    let mut index = index();
    let update = index.apply(vec![service(
        "web/s",
        "10.96.0.1",
        json!({"sessionAffinity": "ClientIP"}),
    )]);
    let [Joined::ServiceSet(port)] = update.joined.as_slice() else {
        panic!("{update:?}");
    };
    assert_eq!(port.affinity, Some(10_800));
}

#[test]
fn health_checks_count_ready_endpoints_here() {
    let mut index = index();
    let spec = json!({
        "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
        "ports": [{"name": "http", "port": 80}, {"name": "other", "port": 81}],
    });
    let update = index.apply(vec![balanced(
        "web/s",
        "10.96.0.1",
        &["192.0.2.1"],
        spec.clone(),
    )]);
    assert!(update.health_checks_changed);
    let local = |index: &Index| {
        let checks = index.health_checks().iter();
        checks
            .map(|(port, it)| format!("{port} {}/{} {}", it.namespace, it.name, it.local_endpoints))
            .collect::<Vec<_>>()
    };
    assert_eq!(local(&index), ["32000 web/s 0"]);
    let mut endpoints = vec![
        at("10.1.1.2", "n1"),
        at("10.1.1.3", "n1"),
        at("10.1.2.2", "n2"),
        fares("10.1.1.4", "n1", "st"),
    ];
    let update = index.apply(vec![slice("web/s-1", "s", &endpoints)]);
    assert!(update.health_checks_changed);
    assert_eq!(local(&index), ["32000 web/s 2"]);
    endpoints.push(at("10.1.2.3", "n2"));
    let update = index.apply(vec![slice("web/s-1", "s", &endpoints)]);
    assert!(!update.health_checks_changed && !update.joined.is_empty());
    let mut moved = spec.clone();
    moved["healthCheckNodePort"] = json!(32001);
    index.apply(vec![balanced("web/s", "10.96.0.1", &["192.0.2.1"], moved)]);
    assert_eq!(local(&index), ["32001 web/s 2"]);
    let mut cluster = spec;
    cluster["externalTrafficPolicy"] = json!("Cluster");
    let update = index.apply(vec![balanced(
        "web/s",
        "10.96.0.1",
        &["192.0.2.1"],
        cluster,
    )]);
    assert!(update.health_checks_changed && index.health_checks().is_empty());
}

#[test]
fn a_report_says_everything() {
    let mut index = index();
    index.apply(vec![
        service(
            "web/s",
            "10.96.0.1",
            json!({"internalTrafficPolicy": "Local"}),
        ),
        slice(
            "web/s-1",
            "s",
            &[
                at("10.1.1.2", "n1"),
                fares("10.1.2.2", "n2", "s"),
                fares("10.1.2.3", "n2", "rs"),
            ],
        ),
        service("web/t", "10.96.0.1", json!({})),
    ]);
    let reports: Vec<ServiceReport> = index.services().collect();
    let endpoints = &reports[0].ports[0].endpoints;
    let text: Vec<String> = endpoints
        .iter()
        .map(|it| {
            let place = (
                it.node.as_deref().unwrap_or("?"),
                it.zone.as_deref().unwrap_or("?"),
            );
            let used = (it.in_cluster, it.in_local, it.local);
            format!("{} {place:?} ready {} {used:?}", it.backend, it.state.ready)
        })
        .collect();
    assert_eq!(
        text,
        [
            "10.1.1.2:8080 (\"n1\", \"z1\") ready true (true, true, true)",
            "10.1.2.2:8080 (\"n2\", \"z2\") ready false (false, false, false)",
            "10.1.2.3:8080 (\"n2\", \"z2\") ready true (true, false, false)",
        ]
    );
    assert!(reports[0].refusals.is_empty() && reports[0].ports[0].id.is_some());
    assert!(reports[1].ports[0].id.is_none());
    let why: Vec<String> = reports[1]
        .refusals
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        why,
        ["field spec.clusterIPs: 10.96.0.1:80/tcp is taken by Service web/s"]
    );
}
