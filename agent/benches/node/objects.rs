//! Services and EndpointSlices as controllers make them, with names of the usual length.

use serde_json::{Value, json};

/// How many different pods there are behind all Services.
pub(crate) const PODS: usize = 100_000;

/// The address of a pod.
pub(crate) fn pod_ip(n: usize) -> String {
    format!("10.{}.{}.{}", 64 + n / 62_500, n / 250 % 250, 1 + n % 250)
}

/// A Service with one port.
pub(crate) fn service(n: usize) -> Value {
    let ip = format!("10.{}.{}.{}", 96 + n / 62_500, n / 250 % 250, 1 + n % 250);
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": format!("frontend-{n}"), "namespace": format!("namespace-{}", n % 500)},
        "spec": {
            "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
            "selector": {"app.kubernetes.io/name": format!("frontend-{n}")},
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
        },
    })
}

/// Its `count` endpoints, the first `first` further on than usual.
pub(crate) fn slice(n: usize, first: usize, count: usize) -> Value {
    let endpoints: Vec<Value> = (first..first + count)
        .map(|at| {
            let at = n * count + at;
            json!({
                "addresses": [pod_ip(at % PODS)], "nodeName": format!("node-{}", at % 1000),
                "zone": format!("zone-{}", at % 3), "conditions": {"ready": true, "serving": true},
            })
        })
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": format!("frontend-{n}-x7k2p"), "namespace": format!("namespace-{}", n % 500),
            "labels": {"kubernetes.io/service-name": format!("frontend-{n}")},
        },
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}
