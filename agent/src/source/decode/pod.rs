//! Pods.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Deserialize, Deserializer};
use sluice_flows::model::{ClusterPod, NamedPort};

use super::{Metadata, Misfit, Named, Text, or_default, port_number, protocol, read};
use crate::source::{
    intern,
    object::{Pod, PodState, Uid},
};

/// A `v1` Pod.
///
/// A container's port that is none, or of an unknown protocol, does not resolve its name; nothing else follows.
///
/// # Errors
/// When a field is of the wrong type, or what should be an address is none.
pub fn pod<'de, D>(from: D) -> Result<Pod, Misfit>
where
    D: Deserializer<'de, Error: fmt::Display>,
{
    let from: PodManifest = read(from)?;
    let ips: Vec<IpAddr> = match from.status.pod_ips {
        ips if ips.is_empty() => from.status.pod_ip.into_iter().collect(),
        ips => ips.into_iter().map(|entry| entry.ip).collect(),
    };
    let conditions = from.status.conditions;
    let ready = |condition: &Condition| &*condition.kind == "Ready" && &*condition.status == "True";
    // The runtime gives the UID of a static pod as its kubelet knows it, not the mirror's own.
    let mirrored = from.metadata.annotations.mirrored.as_deref();
    let uid = Uid::new(mirrored.unwrap_or(&from.metadata.uid));
    let ports = named_ports(&from.spec.containers, &from.spec.init_containers);
    let state = PodState {
        node: from.spec.node_name.0,
        host_network: from.spec.host_network,
        finished: matches!(&*from.status.phase, "Succeeded" | "Failed"),
        terminating: from.metadata.deletion_timestamp.is_some(),
        ready: conditions.is_empty() || conditions.iter().any(ready),
    };
    let cluster = ClusterPod {
        namespace: from.metadata.namespace(),
        labels: intern::labels(from.metadata.labels.0),
        ips: ips.into(),
        ports: intern::ports(ports),
        uid,
        name: from.metadata.name.into(),
    };
    Ok(Pod {
        cluster: Arc::new(cluster),
        state: intern::state(state),
    })
}

/// The ports that have a name: of the containers, and of those init containers that go on running beside them.
fn named_ports(containers: &[Container], init_containers: &[Container]) -> Vec<NamedPort> {
    let beside = |container: &&Container| &*container.restart_policy == "Always";
    let running = containers
        .iter()
        .chain(init_containers.iter().filter(beside));
    let named = running
        .flat_map(|container| &container.ports)
        .filter(|port| !port.name.is_empty());
    named
        .filter_map(|port| {
            Some(NamedPort {
                name: port.name.0.clone(),
                protocol: protocol(&port.protocol).ok()?,
                port: port_number(port.container_port).ok()?,
            })
        })
        .collect()
}

#[derive(Deserialize)]
struct PodManifest {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: PodSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: PodStatus,
}

impl Named for PodManifest {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    #[serde(deserialize_with = "or_default")]
    node_name: Text,
    #[serde(deserialize_with = "or_default")]
    host_network: bool,
    #[serde(deserialize_with = "or_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    #[serde(deserialize_with = "or_default")]
    ports: Vec<ContainerPort>,
    #[serde(deserialize_with = "or_default")]
    restart_policy: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerPort {
    #[serde(deserialize_with = "or_default")]
    name: Text,
    #[serde(deserialize_with = "or_default")]
    protocol: Text,
    #[serde(deserialize_with = "or_default")]
    container_port: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    #[serde(deserialize_with = "or_default")]
    phase: Text,
    #[serde(rename = "podIP", deserialize_with = "or_default")]
    pod_ip: Option<IpAddr>,
    #[serde(rename = "podIPs", deserialize_with = "or_default")]
    pod_ips: Vec<PodIp>,
    #[serde(deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: IpAddr,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: Text,
    #[serde(deserialize_with = "or_default")]
    status: Text,
}
