//! Kubernetes objects as a test writes them: built in a line or two, put into the folder that all agents watch, and
//! waited for until the switches hold what they ask for.
//!
//! An object is JSON, which is YAML; what a builder has no method for is [`Object::with`] a path and a value. A
//! [`Folder`] removes what it has written when it is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::dial::Protocol;
use crate::layout::{self, BRIDGE, Name};
use crate::manifest;
use crate::node::Node;
use crate::pod::Pod;
use crate::run;

/// The namespace of everything, as the plugin is told.
pub const NAMESPACE: &str = "default";
/// How long the switches get to hold what the manifests say.
const SETTLE: Duration = Duration::from_secs(30);
/// The address of a Service that only shows how far the agents have come.
const MARKER: &str = "10.96.255.254";

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(Value);

impl Object {
    /// An object of a kind: `v1`, `Service`, `web`.
    pub fn new(api: &str, kind: &str, name: &str) -> Self {
        Self(json!({
            "apiVersion": api,
            "kind": kind,
            "metadata": {"name": name, "namespace": NAMESPACE},
        }))
    }

    /// The same with a value set: `/spec/type`. What lies on the way is made.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut place = &mut self.0;
        for word in path.split('/').skip(1) {
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            // `~1` is a slash in a JSON pointer; labels have them.
            place = &mut place[word.replace("~1", "/")];
        }
        *place = value.into();
        self
    }

    /// The same with one more element of a list.
    #[must_use]
    pub fn push(self, path: &str, value: impl Into<Value>) -> Self {
        let mut list = self
            .0
            .pointer(path)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        list.push(value.into());
        self.with(path, list)
    }

    fn text(&self, path: &str) -> &str {
        self.0
            .pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn file(&self) -> String {
        format!(
            "{}-{}.yaml",
            self.text("/kind").to_lowercase(),
            self.text("/metadata/name")
        )
    }
}

/// A Service with these clusterIPs, of one family or both, and no port yet.
pub fn service(name: &str, ips: &[IpAddr]) -> Object {
    let texts: Vec<String> = ips.iter().map(IpAddr::to_string).collect();
    let families: Vec<&str> = ips
        .iter()
        .map(|ip| if ip.is_ipv6() { "IPv6" } else { "IPv4" })
        .collect();
    Object::new("v1", "Service", name)
        .with("/spec/type", "ClusterIP")
        .with("/spec/clusterIP", texts.first().cloned())
        .with("/spec/clusterIPs", texts)
        .with("/spec/ipFamilies", families)
        .with("/spec/selector/app", name)
}

impl Object {
    /// A Service's port.
    #[must_use]
    pub fn port(self, name: &str, protocol: Protocol, port: u16, target: impl Into<Value>) -> Self {
        self.push(
            "/spec/ports",
            json!({"name": name, "protocol": protocol.name(), "port": port, "targetPort": target.into()}),
        )
    }

    /// A Service's port that is also a port of every node.
    #[must_use]
    pub fn node_port(self, name: &str, protocol: Protocol, port: u16, node_port: u16) -> Self {
        let plain = self.text("/spec/type") == "ClusterIP";
        let this = self.push(
            "/spec/ports",
            json!({"name": name, "protocol": protocol.name(), "port": port, "targetPort": name, "nodePort": node_port}),
        );
        if plain {
            this.with("/spec/type", "NodePort")
        } else {
            this
        }
    }

    /// A Service that a load balancer stands before, at this address.
    #[must_use]
    pub fn load_balancer(self, ip: IpAddr) -> Self {
        self.with("/spec/type", "LoadBalancer").push(
            "/status/loadBalancer/ingress",
            json!({"ip": ip.to_string(), "ipMode": "VIP"}),
        )
    }

    /// A Service whose clients keep their endpoint for so many seconds.
    #[must_use]
    pub fn affinity(self, seconds: u32) -> Self {
        self.with("/spec/sessionAffinity", "ClientIP").with(
            "/spec/sessionAffinityConfig/clientIP/timeoutSeconds",
            seconds,
        )
    }
}

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its addresses, of the slice's family.
    pub address: IpAddr,
    /// The node it is on; outside the cluster there is none.
    pub node: Option<u8>,
    /// Its zone.
    pub zone: Option<&'static str>,
    /// The zones that are to use it.
    pub hints: Vec<&'static str>,
    /// The node whose clients it is meant for.
    pub meant_for: Option<u8>,
    /// The condition.
    pub ready: bool,
    /// The condition.
    pub serving: bool,
    /// The condition.
    pub terminating: bool,
}

impl Endpoint {
    /// A ready one.
    pub fn new(address: IpAddr, node: Option<u8>) -> Self {
        Self {
            address,
            node,
            zone: None,
            hints: Vec::new(),
            meant_for: None,
            ready: true,
            serving: true,
            terminating: false,
        }
    }

    /// That of a pod.
    ///
    /// # Errors
    /// When the pod has no address of the family.
    pub fn of(pod: &Pod, ipv6: bool) -> Result<Self> {
        Ok(Self::new(pod.address(ipv6)?, Some(pod.node)))
    }

    /// The same, on its way out but still serving.
    #[must_use]
    pub fn leaving(mut self) -> Self {
        (self.ready, self.terminating) = (false, true);
        self
    }

    /// The same, not ready.
    #[must_use]
    pub fn unready(mut self) -> Self {
        (self.ready, self.serving) = (false, false);
        self
    }

    /// The same in a zone, for clients of these zones.
    #[must_use]
    pub fn zoned(mut self, zone: &'static str, hints: &[&'static str]) -> Self {
        self.zone = Some(zone);
        self.hints = hints.to_vec();
        self
    }

    /// The same for clients of this node.
    #[must_use]
    pub fn meant_for(mut self, node: u8) -> Self {
        self.meant_for = Some(node);
        self
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "addresses": [self.address.to_string()],
            "conditions": {"ready": self.ready, "serving": self.serving, "terminating": self.terminating},
        });
        if let Some(node) = self.node {
            value["nodeName"] = layout::node_name(node).into();
        }
        if let Some(zone) = self.zone {
            value["zone"] = zone.into();
        }
        if !self.hints.is_empty() {
            let zones: Vec<Value> = self.hints.iter().map(|z| json!({"name": z})).collect();
            value["hints"] = json!({"forZones": zones});
        }
        if let Some(node) = self.meant_for {
            value["hints"]["forNodes"] = json!([{"name": layout::node_name(node)}]);
        }
        value
    }
}

/// An EndpointSlice `SERVICE-SUFFIX` with ports (name, protocol, number) and endpoints.
pub fn slice(
    service: &str,
    suffix: &str,
    ipv6: bool,
    ports: &[(&str, Protocol, u16)],
    endpoints: &[Endpoint],
) -> Object {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, protocol, port)| {
            json!({"name": name, "protocol": protocol.name(), "port": port})
        })
        .collect();
    let endpoints: Vec<Value> = endpoints.iter().map(Endpoint::json).collect();
    Object::new(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        &format!("{service}-{suffix}"),
    )
    .with("/metadata/labels/kubernetes.io~1service-name", service)
    .with("/addressType", if ipv6 { "IPv6" } else { "IPv4" })
    .with("/ports", ports)
    .with("/endpoints", endpoints)
}

/// A Pod object for an attached pod, with labels and named container ports.
pub fn pod(pod: &Pod, labels: &[(&str, &str)], ports: &[(&str, Protocol, u16)]) -> Object {
    let ips: Vec<Value> = pod
        .addresses
        .iter()
        .map(|ip| json!({"ip": ip.to_string()}))
        .collect();
    let ports: Vec<Value> = ports
        .iter()
        .map(|(name, protocol, port)| {
            json!({"name": name, "protocol": protocol.name(), "containerPort": port})
        })
        .collect();
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    Object::new("v1", "Pod", &pod.name)
        .with("/metadata/labels", json!(labels))
        .with("/spec/nodeName", layout::node_name(pod.node))
        .with(
            "/spec/containers",
            json!([{"name": "main", "ports": ports}]),
        )
        .with("/status/podIP", ips.first().map(|ip| ip["ip"].clone()))
        .with("/status/podIPs", ips)
        .with("/status/phase", "Running")
        .with(
            "/status/conditions",
            json!([{"type": "Ready", "status": "True"}]),
        )
}

/// A Namespace with its usual label.
pub fn namespace(name: &str) -> Object {
    let mut object = Object::new("v1", "Namespace", name)
        .with("/metadata/labels/kubernetes.io~1metadata.name", name);
    if let Some(metadata) = object.0["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    object
}

/// A NetworkPolicy for pods with these labels that isolates them for what comes in; `from` are the rules.
pub fn ingress_policy(name: &str, labels: &[(&str, &str)], rules: Value) -> Object {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    Object::new("networking.k8s.io/v1", "NetworkPolicy", name)
        .with("/spec/podSelector/matchLabels", json!(labels))
        .with("/spec/policyTypes", json!(["Ingress"]))
        .with("/spec/ingress", rules)
}

/// The folder that all agents of a testbed watch, as one test uses it.
#[derive(Debug)]
pub struct Folder {
    name: Name,
    nodes: Vec<Node>,
    written: BTreeSet<String>,
}

impl Folder {
    /// The folder of a testbed with these nodes.
    pub fn new(name: &Name, nodes: Vec<Node>) -> Self {
        Self {
            name: name.clone(),
            nodes,
            written: BTreeSet::new(),
        }
    }

    /// Puts an object into the folder, or changes it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put(&mut self, object: &Object) -> Result<()> {
        let file = object.file();
        manifest::write(&self.name.manifests(), &file, &object.0.to_string())?;
        self.written.insert(file);
        Ok(())
    }

    /// Puts many objects into one file, which is read at once.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn put_together(&mut self, file: &str, objects: &[Object]) -> Result<()> {
        let texts: Vec<String> = objects.iter().map(|o| format!("{:#}", o.0)).collect();
        manifest::write(&self.name.manifests(), file, &texts.join("\n---\n"))?;
        self.written.insert(file.to_owned());
        Ok(())
    }

    /// Takes an object out of the folder.
    ///
    /// # Errors
    /// When it is not there.
    pub fn take(&mut self, object: &Object) -> Result<()> {
        self.remove(&object.file())
    }

    /// Takes a file out of the folder.
    ///
    /// # Errors
    /// When it is not there.
    pub fn remove(&mut self, file: &str) -> Result<()> {
        let path = self.name.manifests().join(file);
        std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        self.written.remove(file);
        Ok(())
    }

    /// Has a file stay when this is dropped.
    pub fn leave(&mut self, file: &str) {
        self.written.remove(file);
    }

    /// Waits until the switch of every node holds what the folder says now; its datapath may go by what it has cached
    /// for a moment longer.
    ///
    /// A Service without endpoints is put last, on a port that no other had; when a switch has a flow for it,
    /// whatever was put before is in that switch too, since agents take in changes in order.
    ///
    /// # Errors
    /// When a switch is not there in time.
    pub fn settle(&mut self) -> Result<()> {
        self.settle_within(SETTLE)
    }

    /// As [`Self::settle`], for much that takes longer.
    ///
    /// # Errors
    /// When a switch is not there in time.
    pub fn settle_within(&mut self, limit: Duration) -> Result<()> {
        static LAST: AtomicU16 = AtomicU16::new(0);
        let port = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        self.put(&service("marker", &[MARKER.parse()?]).port("marker", Protocol::Tcp, port, port))?;
        let wanted = format!("tcp,nw_dst={MARKER},tp_dst={port}");
        for node in &self.nodes {
            run::wait_for(
                &format!("the switch of {} to follow the manifests", node.name()),
                limit,
                || {
                    let text = node.sh(
                        "ovs-ofctl",
                        &["-O", "OpenFlow13", "dump-flows", BRIDGE, &wanted],
                    )?;
                    Ok(text.contains("actions=").then_some(()))
                },
            )?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for file in std::mem::take(&mut self.written) {
            // The folder may have gone with its testbed.
            let _ = std::fs::remove_file(self.name.manifests().join(file));
        }
    }
}

/// What `sluicectl … -o json` says on a node.
///
/// # Errors
/// When it fails, or says no JSON.
pub fn report(node: &Node, args: &[&str]) -> Result<Value> {
    let mut words = args.to_vec();
    words.extend(["-o", "json"]);
    let text = node.sh("sluicectl", &words)?;
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("`sluicectl {words:?}`: {text}"))?;
    ensure!(value.is_object(), "`sluicectl {words:?}` says {value}");
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_what_kubernetes_writes() {
        let ip: IpAddr = "10.96.0.1".parse().expect("an address");
        let object = service("web", &[ip])
            .port("http", Protocol::Tcp, 80, "http")
            .node_port("dns", Protocol::Udp, 53, 30053)
            .affinity(3);
        assert_eq!(object.file(), "service-web.yaml");
        assert_eq!(object.text("/spec/type"), "NodePort");
        assert_eq!(object.0["spec"]["ports"][1]["nodePort"], 30053);
        assert_eq!(object.0["spec"]["ports"][0]["targetPort"], "http");
        assert_eq!(
            object.0["spec"]["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"],
            3
        );
        let ends = [Endpoint::new(ip, Some(2)).leaving()];
        let slice = slice("web", "a", false, &[("http", Protocol::Tcp, 8080)], &ends);
        assert_eq!(
            slice.0["metadata"]["labels"]["kubernetes.io/service-name"],
            "web"
        );
        assert_eq!(slice.0["endpoints"][0]["conditions"]["terminating"], true);
        assert_eq!(slice.0["endpoints"][0]["nodeName"], "n2");
        assert!(namespace("x").0["metadata"].get("namespace").is_none());
    }
}
