//! Services.

use std::fmt;

use serde::{Deserialize, Deserializer};
use sluice_flows::model::TrafficPolicy;

use super::{
    LabelMap, Metadata, Misfit, Named, NumberOrName, Refusals, Text, address, or_default,
    port_number, protocol, read, time,
};
use crate::source::{
    intern,
    object::{Port, Service, ServiceType, TargetPort, TrafficDistribution},
};

mod addresses;

/// What the API server fills in where a client's time is not limited.
const AFFINITY_SECONDS: u32 = 10_800;
/// The longest that a client may keep its endpoint: a day.
const AFFINITY_MAX: i64 = 86_400;

/// A `v1` Service.
///
/// A port that breaks a rule is left out, and so is an address; the rest of the Service stays. Where a range of
/// sources is none, it allows nobody.
///
/// # Errors
/// When a field is of the wrong type.
pub fn service<'de, D>(from: D) -> Result<Service, Misfit>
where
    D: Deserializer<'de, Error: fmt::Display>,
{
    let ServiceManifest {
        metadata,
        spec,
        status,
    } = read(from)?;
    let mut refusals = Refusals::default();
    let mut service = Service::new(metadata.namespace(), intern::text(&metadata.name));
    service.created = metadata.creation_timestamp.as_deref().and_then(time);
    service.kind = service_type(&spec.kind, &mut refusals);
    service.other_proxy = metadata
        .label("service.kubernetes.io/service-proxy-name")
        .cloned();
    service.headless = metadata.label("service.kubernetes.io/headless").is_some();
    if service.kind != ServiceType::ExternalName {
        addresses::take(&mut service, &spec, &status, &mut refusals);
    }
    ports(&mut service, &spec.ports, &mut refusals);
    traffic(&mut service, &spec, &mut refusals);
    service.publish_not_ready = spec.publish_not_ready_addresses;
    service.selector = spec.selector.0;
    service.refusals = refusals.0;
    Ok(service)
}

fn service_type(name: &str, refusals: &mut Refusals) -> ServiceType {
    match name {
        "" | "ClusterIP" => ServiceType::ClusterIp,
        "NodePort" => ServiceType::NodePort,
        "LoadBalancer" => ServiceType::LoadBalancer,
        "ExternalName" => ServiceType::ExternalName,
        other => {
            let message = format!("{other:?} is no type of Service: taken for ClusterIP");
            refusals.note("spec.type", message);
            ServiceType::ClusterIp
        }
    }
}

fn ports(service: &mut Service, from: &[PortManifest], refusals: &mut Refusals) {
    for (index, manifest) in from.iter().enumerate() {
        let field = |field: &str| format!("spec.ports[{index}].{field}");
        let Some(mut port) = port(manifest, field, refusals) else {
            continue;
        };
        let mut others = service
            .ports
            .iter()
            .filter(|other| other.protocol == port.protocol);
        if others.clone().any(|other| other.port == port.port) {
            let message = format!(
                "{}/{} is a port of this Service already",
                port.port, port.protocol
            );
            refusals.note(field("port"), message);
            continue;
        }
        if others.clone().any(|other| other.name == port.name) {
            let message = match &*port.name {
                "" => "missing, although another port has none either".to_owned(),
                name => format!("{name:?} names another port already"),
            };
            refusals.note(field("name"), message);
            continue;
        }
        if port.node_port.is_some() && others.any(|other| other.node_port == port.node_port) {
            refusals.note(
                field("nodePort"),
                "leads to another port of this Service already",
            );
            port.node_port = None;
        }
        service.ports.push(port);
    }
}

fn port(
    from: &PortManifest,
    field: impl Fn(&str) -> String,
    refusals: &mut Refusals,
) -> Option<Port> {
    let number = refusals.keep(|| field("port"), port_number(from.port))?;
    let target = match &from.target_port {
        None | Some(NumberOrName::Number(0)) => TargetPort::Number(number),
        Some(NumberOrName::Name(name)) if name.is_empty() => TargetPort::Number(number),
        Some(NumberOrName::Number(target)) => {
            TargetPort::Number(refusals.keep(|| field("targetPort"), port_number(*target))?)
        }
        Some(NumberOrName::Name(name)) => TargetPort::Name(name.0.clone()),
    };
    Some(Port {
        name: from.name.0.clone(),
        protocol: refusals.keep(|| field("protocol"), protocol(&from.protocol))?,
        port: number,
        target,
        node_port: match from.node_port {
            0 => None,
            node_port => refusals.keep(|| field("nodePort"), port_number(node_port)),
        },
    })
}

/// Who goes where, and for how long.
fn traffic(service: &mut Service, spec: &ServiceSpec, refusals: &mut Refusals) {
    service.internal_policy = policy(
        "spec.internalTrafficPolicy",
        &spec.internal_traffic_policy,
        refusals,
    );
    let external = policy(
        "spec.externalTrafficPolicy",
        &spec.external_traffic_policy,
        refusals,
    );
    let reachable_from_outside = match service.kind {
        ServiceType::NodePort | ServiceType::LoadBalancer => true,
        ServiceType::ClusterIp => !service.external_ips.is_empty(),
        ServiceType::ExternalName => false,
    };
    if reachable_from_outside {
        service.external_policy = external;
    }
    if service.kind == ServiceType::LoadBalancer
        && external == TrafficPolicy::Local
        && spec.health_check_node_port != 0
    {
        service.health_check_port = refusals.keep(
            || "spec.healthCheckNodePort".to_owned(),
            port_number(spec.health_check_node_port),
        );
    }
    service.distribution = match &*spec.traffic_distribution {
        "" => None,
        "PreferClose" | "PreferSameZone" => Some(TrafficDistribution::SameZone),
        "PreferSameNode" => Some(TrafficDistribution::SameNode),
        // The API means these to be hints, and lets controllers ignore what they do not know.
        _ => None,
    };
    service.affinity = match &*spec.session_affinity {
        "" | "None" => None,
        "ClientIP" => Some(affinity_seconds(spec, refusals)),
        other => {
            let message = format!("{other:?} is none: None and ClientIP are");
            refusals.note("spec.sessionAffinity", message);
            None
        }
    };
}

fn policy(field: &str, name: &str, refusals: &mut Refusals) -> TrafficPolicy {
    match name {
        "" | "Cluster" => TrafficPolicy::Cluster,
        "Local" => TrafficPolicy::Local,
        other => {
            let message = format!("{other:?} is none, taken for Cluster: Cluster and Local are");
            refusals.note(field, message);
            TrafficPolicy::Cluster
        }
    }
}

fn affinity_seconds(spec: &ServiceSpec, refusals: &mut Refusals) -> u32 {
    let Some(seconds) = spec.session_affinity_config.client_ip.timeout_seconds else {
        return AFFINITY_SECONDS;
    };
    match u32::try_from(seconds) {
        Ok(seconds @ 1..) if i64::from(seconds) <= AFFINITY_MAX => seconds,
        _ => {
            let message = format!(
                "{seconds} is out of bounds (1 to {AFFINITY_MAX}): {AFFINITY_SECONDS} in its place"
            );
            refusals.note(
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
                message,
            );
            AFFINITY_SECONDS
        }
    }
}

#[derive(Deserialize)]
struct ServiceManifest {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: ServiceSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: ServiceStatus,
}

impl Named for ServiceManifest {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServiceSpec {
    #[serde(rename = "type", deserialize_with = "or_default")]
    kind: Text,
    #[serde(rename = "clusterIP", deserialize_with = "or_default")]
    cluster_ip: String,
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    cluster_ips: Vec<String>,
    #[serde(rename = "ipFamilies", deserialize_with = "or_default")]
    ip_families: Vec<String>,
    #[serde(rename = "externalIPs", deserialize_with = "or_default")]
    external_ips: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    load_balancer_source_ranges: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<PortManifest>,
    #[serde(deserialize_with = "or_default")]
    selector: LabelMap,
    #[serde(deserialize_with = "or_default")]
    publish_not_ready_addresses: bool,
    #[serde(deserialize_with = "or_default")]
    internal_traffic_policy: Text,
    #[serde(deserialize_with = "or_default")]
    external_traffic_policy: Text,
    #[serde(deserialize_with = "or_default")]
    traffic_distribution: Text,
    #[serde(deserialize_with = "or_default")]
    health_check_node_port: i64,
    #[serde(deserialize_with = "or_default")]
    session_affinity: Text,
    #[serde(deserialize_with = "or_default")]
    session_affinity_config: AffinityConfig,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortManifest {
    #[serde(deserialize_with = "or_default")]
    name: Text,
    #[serde(deserialize_with = "or_default")]
    protocol: Text,
    #[serde(deserialize_with = "or_default")]
    port: i64,
    target_port: Option<NumberOrName>,
    #[serde(deserialize_with = "or_default")]
    node_port: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct AffinityConfig {
    #[serde(rename = "clientIP", deserialize_with = "or_default")]
    client_ip: ClientIp,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClientIp {
    timeout_seconds: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServiceStatus {
    #[serde(deserialize_with = "or_default")]
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<Ingress>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ingress {
    #[serde(deserialize_with = "or_default")]
    ip: String,
    #[serde(deserialize_with = "or_default")]
    ip_mode: Text,
}
