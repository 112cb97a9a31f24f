use sluice_flows::model::TrafficPolicy;

use super::*;
use crate::source::object::{Service, ServiceType, TargetPort, TrafficDistribution};

fn base() -> Value {
    json!({
        "metadata": {"name": "s", "namespace": "web"},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv4"],
            "selector": {"app": "a"},
            "ports": [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {}},
    })
}

fn read(from: Value) -> Service {
    service(from).expect("a Service")
}

fn refused(path: &str, value: Value) -> (Service, Vec<String>) {
    let service = read(with(base(), path, value));
    let lines = lines(&service.refusals);
    (service, lines)
}

#[test]
fn everything_that_is_used() {
    let from = json!({
        "metadata": {"name": "s", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00:96::1"],
            "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack",
            "externalIPs": ["198.51.100.7"], "loadBalancerSourceRanges": [" 203.0.113.0/25", "2001:db8::/32 "],
            "selector": {"app": "a", "tier": "b"}, "publishNotReadyAddresses": true,
            "internalTrafficPolicy": "Local", "externalTrafficPolicy": "Local", "healthCheckNodePort": 32000,
            "trafficDistribution": "PreferClose", "allocateLoadBalancerNodePorts": true,
            "sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}},
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080},
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns", "nodePort": 30053},
            ],
        },
        "status": {"loadBalancer": {"ingress": [
            {"ip": "192.0.2.10"}, {"ip": "192.0.2.11", "ipMode": "VIP"}, {"ip": "192.0.2.12", "ipMode": "Proxy"},
            {"hostname": "lb.example.com"},
        ]}},
    });
    let service = read(from);
    assert_eq!(lines(&service.refusals), Vec::<String>::new());
    assert_eq!(
        (&*service.namespace, service.kind),
        ("default", ServiceType::LoadBalancer)
    );
    assert_eq!(service.cluster_ips, [ip("10.96.0.1"), ip("fd00:96::1")]);
    assert_eq!(service.external_ips, [ip("198.51.100.7")]);
    assert_eq!(
        service.load_balancer_ips,
        [ip("192.0.2.10"), ip("192.0.2.11")]
    );
    let ranges = ["203.0.113.0/25", "2001:db8::/32"].map(|text| text.parse().expect("a CIDR"));
    assert_eq!(service.source_ranges.as_deref(), Some(&ranges[..]));
    assert_eq!(service.affinity, Some(86_400));
    assert_eq!(service.health_check_port, Some(32_000));
    assert_eq!(service.distribution, Some(TrafficDistribution::SameZone));
    assert_eq!(service.internal_policy, TrafficPolicy::Local);
    assert_eq!(service.external_policy, TrafficPolicy::Local);
    assert!(service.publish_not_ready && service.created.is_some());
    assert_eq!(service.selector.iter().len(), 2);
    assert_eq!(service.ports[0].target, TargetPort::Number(8080));
    assert_eq!(service.ports[1].target, TargetPort::Name("dns".into()));
    assert_eq!(service.ports[1].node_port, Some(30_053));
}

#[test]
fn a_service_without_anything_has_no_faults() {
    let service = read(json!({"metadata": {"name": "s"}, "spec": null}));
    assert_eq!(
        (service.refusals, service.kind),
        (vec![], ServiceType::ClusterIp)
    );
    let service = read(json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "None"}}));
    assert!(service.headless && service.cluster_ips.is_empty());
    let labels = json!({"service.kubernetes.io/headless": ""});
    assert!(read(with(base(), "/metadata/labels", labels)).headless);
    let labels = json!({"service.kubernetes.io/service-proxy-name": "other"});
    let service = read(with(base(), "/metadata/labels", labels));
    assert_eq!(service.other_proxy.as_deref(), Some("other"));
}

#[test]
fn the_older_form_with_one_address_and_no_families() {
    for (text, wanted) in [("10.96.0.1", "10.96.0.1"), ("fd00:96::1", "fd00:96::1")] {
        let service = read(json!({"metadata": {"name": "s"}, "spec": {"clusterIP": text}}));
        assert_eq!(
            (service.cluster_ips, service.refusals),
            (vec![ip(wanted)], vec![])
        );
    }
}

#[test]
fn target_ports() {
    for (target, wanted) in [
        (json!(null), TargetPort::Number(80)),
        (json!(0), TargetPort::Number(80)),
        (json!(""), TargetPort::Number(80)),
        (json!(8080), TargetPort::Number(8080)),
        (json!("web"), TargetPort::Name("web".into())),
    ] {
        let service = read(with(base(), "/spec/ports/0/targetPort", target));
        assert_eq!(service.ports[0].target, wanted);
    }
}

#[test]
fn bad_ports_are_left_out_one_by_one() {
    for (port, why) in [
        (
            json!({"name": "x", "port": 0}),
            "port: 0 is no port: 1 to 65535 are",
        ),
        (json!({"name": "x"}), "port: 0 is no port: 1 to 65535 are"),
        (
            json!({"name": "x", "port": 65536}),
            "port: 65536 is no port: 1 to 65535 are",
        ),
        (
            json!({"name": "x", "port": 1, "protocol": "tcp"}),
            "protocol: \"tcp\" is no protocol: TCP, UDP and SCTP are",
        ),
        (
            json!({"name": "x", "port": 1, "targetPort": 70000}),
            "targetPort: 70000 is no port: 1 to 65535 are",
        ),
        (
            json!({"name": "x", "port": 80}),
            "port: 80/tcp is a port of this Service already",
        ),
        (
            json!({"name": "http", "port": 81}),
            "name: \"http\" names another port already",
        ),
    ] {
        let (service, why_not) = refused("/spec/ports/1", port);
        assert_eq!(service.ports.len(), 1, "the good port stays");
        assert_eq!(why_not, [format!("spec.ports[1].{why}")]);
    }
    let unnamed = json!([{"port": 80}, {"port": 81}]);
    let (service, why) = refused("/spec/ports", unnamed);
    assert_eq!(service.ports.len(), 1);
    assert_eq!(
        why,
        ["spec.ports[1].name: missing, although another port has none either"]
    );
    let udp = json!({"name": "http", "port": 80, "protocol": "UDP", "nodePort": 30080});
    let (service, why) = refused("/spec/ports/1", udp);
    assert_eq!(
        (service.ports.len(), why.len()),
        (2, 0),
        "another protocol is another port"
    );
}

#[test]
fn bad_node_ports_leave_the_port() {
    let (service, why) = refused("/spec/ports/0/nodePort", json!(99999));
    assert_eq!((service.ports.len(), service.ports[0].node_port), (1, None));
    assert_eq!(
        why,
        ["spec.ports[0].nodePort: 99999 is no port: 1 to 65535 are"]
    );
    let (service, why) = refused(
        "/spec/ports/1",
        json!({"name": "x", "port": 81, "nodePort": 30080}),
    );
    assert_eq!((service.ports.len(), service.ports[1].node_port), (2, None));
    assert_eq!(
        why,
        ["spec.ports[1].nodePort: leads to another port of this Service already"]
    );
}

#[test]
fn bad_cluster_ips_are_left_out_one_by_one() {
    let (service, why) = refused("/spec/clusterIPs", json!(["10.96.0.1", "10.96.0"]));
    assert_eq!(service.cluster_ips, [ip("10.96.0.1")]);
    assert_eq!(why, ["spec.clusterIPs[1]: \"10.96.0\" is no IP address"]);
    let (service, why) = refused("/spec/clusterIPs", json!(["10.96.0.1", "fd00:96::1"]));
    assert_eq!(service.cluster_ips, [ip("10.96.0.1")]);
    assert_eq!(
        why,
        ["spec.clusterIPs[1]: fd00:96::1 is of IPv6, which is not in spec.ipFamilies"]
    );
    let (service, why) = refused("/spec/clusterIPs", json!(["10.96.0.1", "10.96.0.2"]));
    assert_eq!(service.cluster_ips, [ip("10.96.0.1")]);
    assert_eq!(why, ["spec.clusterIPs[1]: a second address of IPv4"]);
    let (service, why) = refused("/spec/clusterIP", json!("10.96.0.9"));
    assert_eq!(service.cluster_ips, [ip("10.96.0.1")]);
    assert_eq!(
        why,
        ["spec.clusterIP: \"10.96.0.9\" is not the first of spec.clusterIPs"]
    );
    let alone = json!({"metadata": {"name": "s"}, "spec": {"clusterIP": "127.0.0.1"}});
    let service = read(alone);
    assert!(service.cluster_ips.is_empty());
    assert_eq!(
        lines(&service.refusals),
        ["spec.clusterIP: 127.0.0.1 is a loopback address"]
    );
    let (_, why) = refused("/spec/ipFamilies", json!(["IPv4", "IPX"]));
    assert_eq!(
        why,
        ["spec.ipFamilies[1]: \"IPX\" is no family: IPv4 and IPv6 are"]
    );
}

#[test]
fn bad_external_addresses_are_left_out_one_by_one() {
    let (service, why) = refused(
        "/spec/externalIPs",
        json!(["169.254.1.1", "198.51.100.1", "x"]),
    );
    assert_eq!(service.external_ips, [ip("198.51.100.1")]);
    assert_eq!(
        why,
        [
            "spec.externalIPs[0]: 169.254.1.1 is a link-local address",
            "spec.externalIPs[2]: \"x\" is no IP address"
        ]
    );
    let ingress = json!([{"ip": "x"}, {"ip": "192.0.2.1", "ipMode": "Both"}, {"ip": "192.0.2.2"}]);
    let (service, why) = refused("/status/loadBalancer/ingress", ingress);
    assert_eq!(service.load_balancer_ips, [ip("192.0.2.2")]);
    assert_eq!(
        why,
        [
            "status.loadBalancer.ingress[0].ip: \"x\" is no IP address",
            "status.loadBalancer.ingress[1].ipMode: \"Both\" is none: VIP and Proxy are"
        ]
    );
}

#[test]
fn a_bad_source_range_allows_nobody() {
    let (service, why) = refused("/spec/loadBalancerSourceRanges", json!(["203.0.113.0/33"]));
    assert_eq!(service.source_ranges.as_deref(), Some(&[][..]));
    assert!(service.source_ranges_broken);
    assert_eq!(
        why,
        [
            "spec.loadBalancerSourceRanges[0]: \"203.0.113.0/33\" is no CIDR (address/length); it allows nobody"
        ]
    );
    let service = read(with(
        base(),
        "/spec/loadBalancerSourceRanges",
        json!(["203.0.113.9/24"]),
    ));
    assert_eq!(
        service.source_ranges,
        Some(vec!["203.0.113.0/24".parse().expect("a CIDR")])
    );
    assert_eq!(read(base()).source_ranges, None);
}

#[test]
fn session_affinity() {
    let of = |affinity: Value, config: Value| {
        let from = with(base(), "/spec/sessionAffinity", affinity);
        let service = read(with(from, "/spec/sessionAffinityConfig", config));
        (service.affinity, service.refusals.len())
    };
    assert_eq!(of(json!("None"), json!(null)), (None, 0));
    assert_eq!(of(json!("ClientIP"), json!(null)), (Some(10_800), 0));
    assert_eq!(
        of(
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": 1}})
        ),
        (Some(1), 0)
    );
    assert_eq!(
        of(
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": 0}})
        ),
        (Some(10_800), 1)
    );
    assert_eq!(
        of(
            json!("ClientIP"),
            json!({"clientIP": {"timeoutSeconds": 86_401}})
        ),
        (Some(10_800), 1)
    );
    assert_eq!(of(json!("Cookie"), json!(null)), (None, 1));
}

#[test]
fn policies_of_traffic_and_who_has_them() {
    let of = |kind: &str, externals: Value| {
        let from = with(base(), "/spec/type", json!(kind));
        let from = with(from, "/spec/externalTrafficPolicy", json!("Local"));
        let from = with(from, "/spec/healthCheckNodePort", json!(32000));
        let service = read(with(from, "/spec/externalIPs", externals));
        (service.external_policy, service.health_check_port)
    };
    assert_eq!(
        of("LoadBalancer", json!([])),
        (TrafficPolicy::Local, Some(32_000))
    );
    assert_eq!(of("NodePort", json!([])), (TrafficPolicy::Local, None));
    assert_eq!(of("ClusterIP", json!([])), (TrafficPolicy::Cluster, None));
    assert_eq!(
        of("ClusterIP", json!(["198.51.100.1"])),
        (TrafficPolicy::Local, None)
    );
    for field in ["internalTrafficPolicy", "externalTrafficPolicy"] {
        let (service, why) = refused(&format!("/spec/{field}"), json!("local"));
        assert_eq!(service.internal_policy, TrafficPolicy::Cluster);
        assert_eq!(
            why,
            [format!(
                "spec.{field}: \"local\" is none, taken for Cluster: Cluster and Local are"
            )]
        );
    }
    let (service, why) = refused("/spec/type", json!("Balancer"));
    assert_eq!((service.kind, why.len()), (ServiceType::ClusterIp, 1));
}

#[test]
fn the_field_of_a_misfit() {
    for (path, value, field) in [
        ("/spec/ports/0/port", json!("http"), "spec.ports[0].port"),
        (
            "/spec/ports/0/targetPort",
            json!([1]),
            "spec.ports[0].targetPort",
        ),
        ("/spec/selector", json!({"app": 1}), "spec.selector.app"),
        ("/spec/clusterIP", json!(1), "spec.clusterIP"),
        (
            "/spec/publishNotReadyAddresses",
            json!("yes"),
            "spec.publishNotReadyAddresses",
        ),
    ] {
        let misfit = service(with(base(), path, value)).expect_err("a misfit");
        assert_eq!(misfit.field, field, "{misfit}");
    }
}
