use std::time::{Duration, SystemTime};

use super::*;
use crate::source::object::{EndpointSlice, State};

fn base() -> Value {
    json!({
        "metadata": {"name": "s-1", "namespace": "web", "labels": {"kubernetes.io/service-name": "s"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["10.1.0.2"]}],
    })
}

fn slice(from: Value) -> EndpointSlice {
    endpoint_slice(from).expect("a slice")
}

#[test]
fn everything_that_is_used() {
    let endpoint = json!({
        "addresses": ["10.1.0.2", "10.1.0.3"], "nodeName": "n1", "zone": "z1",
        "conditions": {"ready": false, "serving": true, "terminating": true},
        "hints": {"forZones": [{"name": "z1"}, {"name": "z2"}], "forNodes": [{"name": "n1"}]},
        "targetRef": {"kind": "Pod", "name": "p"},
    });
    let from = with(base(), "/endpoints/0", endpoint);
    let annotations =
        json!({"endpoints.kubernetes.io/last-change-trigger-time": "1970-01-01T00:00:02.5Z"});
    let slice = slice(with(from, "/metadata/annotations", annotations));
    assert_eq!((&*slice.service, slice.endpoints.len()), ("s", 1));
    assert_eq!(
        slice.triggered,
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(2500))
    );
    let endpoint = &slice.endpoints[0];
    assert_eq!(endpoint.ip, ip("10.1.0.2"));
    assert_eq!(
        (endpoint.node.as_deref(), endpoint.zone.as_deref()),
        (Some("n1"), Some("z1"))
    );
    let state = State {
        ready: false,
        serving: true,
        terminating: true,
    };
    assert_eq!(endpoint.state, state);
    let hints = endpoint.hints.as_ref().expect("hints");
    assert_eq!((hints.zones.len(), hints.nodes.len()), (2, 1));
    assert_eq!(slice.refusals, []);
}

#[test]
fn what_is_not_said_of_an_endpoint() {
    let slice = slice(base());
    assert_eq!(slice.endpoints[0].state, State::default());
    assert!(slice.endpoints[0].hints.is_none() && slice.endpoints[0].node.is_none());
    let conditions = json!({"ready": null, "serving": null, "terminating": null});
    let nulls = with(base(), "/endpoints/0/conditions", conditions);
    assert_eq!(
        endpoint_slice(nulls).expect("a slice").endpoints[0].state,
        State::default()
    );
}

#[test]
fn bad_endpoints_are_left_out_one_by_one() {
    for (address, why) in [
        ("10.1.0", "\"10.1.0\" is no IP address"),
        ("fd00::2", "fd00::2 is no IPv4 address"),
        ("127.0.0.1", "127.0.0.1 is a loopback address"),
        ("169.254.0.1", "169.254.0.1 is a link-local address"),
        ("224.0.0.1", "224.0.0.1 is a multicast address"),
        ("0.0.0.0", "0.0.0.0 is the unspecified address"),
        (
            "255.255.255.255",
            "255.255.255.255 is the broadcast address",
        ),
    ] {
        let from = with(base(), "/endpoints/1", json!({"addresses": [address]}));
        let slice = slice(from);
        assert_eq!(slice.endpoints.len(), 1);
        assert_eq!(
            lines(&slice.refusals),
            [format!("endpoints[1].addresses[0]: {why}")]
        );
    }
    for (address, why) in [
        ("10.1.0.2", "10.1.0.2 is no IPv6 address"),
        ("::1", "::1 is a loopback address"),
        ("fe80::1", "fe80::1 is a link-local address"),
        ("ff02::1", "ff02::1 is a multicast address"),
        (
            "::ffff:10.1.0.2",
            "::ffff:10.1.0.2 is an IPv4 address in the clothes of IPv6: write it as IPv4",
        ),
    ] {
        let from = with(base(), "/endpoints/0", json!({"addresses": [address]}));
        let slice = slice(with(from, "/addressType", json!("IPv6")));
        assert!(slice.endpoints.is_empty());
        assert_eq!(
            lines(&slice.refusals),
            [format!("endpoints[0].addresses[0]: {why}")]
        );
    }
    let slice = slice(with(base(), "/endpoints/1", json!({"addresses": []})));
    assert_eq!(lines(&slice.refusals), ["endpoints[1].addresses: missing"]);
}

#[test]
fn bad_ports_are_left_out_one_by_one() {
    for (port, why) in [
        (
            json!({"port": 0}),
            "ports[1].port: 0 is no port: 1 to 65535 are",
        ),
        (
            json!({"port": 65536}),
            "ports[1].port: 65536 is no port: 1 to 65535 are",
        ),
        (
            json!({"port": -1}),
            "ports[1].port: -1 is no port: 1 to 65535 are",
        ),
        (
            json!({"port": 1, "protocol": "ICMP"}),
            "ports[1].protocol: \"ICMP\" is no protocol: TCP, UDP and SCTP are",
        ),
        (
            json!({"name": "all"}),
            "ports[1].port: missing: all ports at once are not served",
        ),
    ] {
        let slice = slice(with(base(), "/ports/1", port));
        assert_eq!((slice.ports.len(), slice.endpoints.len()), (1, 1));
        assert_eq!(lines(&slice.refusals), [why]);
    }
}

#[test]
fn slices_that_are_not_for_us() {
    for address_type in ["FQDN", "IPX", ""] {
        let slice = slice(with(base(), "/addressType", json!(address_type)));
        assert_eq!(
            (slice.endpoints.len(), slice.refusals.len()),
            (0, 1),
            "{address_type}"
        );
    }
    for label in [
        "service.kubernetes.io/headless",
        "service.kubernetes.io/service-proxy-name",
    ] {
        let labels = json!({"kubernetes.io/service-name": "s", label: ""});
        let slice = slice(with(base(), "/metadata/labels", labels));
        assert_eq!((&*slice.service, slice.refusals.len()), ("", 0));
    }
    assert_eq!(
        &*slice(with(base(), "/metadata/labels", json!(null))).service,
        ""
    );
}

#[test]
fn the_field_of_a_misfit() {
    for (path, value, field) in [
        (
            "/endpoints/0/addresses",
            json!("10.1.0.2"),
            "endpoints[0].addresses",
        ),
        ("/ports/0/port", json!("http"), "ports[0].port"),
        (
            "/endpoints/0/conditions",
            json!({"ready": "yes"}),
            "endpoints[0].conditions.ready",
        ),
        ("/metadata/name", json!(""), "metadata.name"),
    ] {
        let misfit = endpoint_slice(with(base(), path, value)).expect_err("a misfit");
        assert_eq!(misfit.field, field);
    }
}
