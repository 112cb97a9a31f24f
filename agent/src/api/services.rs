//! `services`: what the cluster says of Services, joined with what the switch knows of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sluice_flows::model::{Frontend, ServiceId, TrafficPolicy};
use sluice_flows::service::Scope;
use sluice_rpc::report::{EndpointReport, RefusedReport, ServicePortReport, ServiceReport};
use sluice_rpc::{ServicesReport, ServicesRequest};

use crate::index::{self, Index, PortReport};
use crate::reconciler::ServiceFlows;
use crate::source::{Kind, ObjectRef, Refusal};

/// The kinds of objects that Services are made of.
const KINDS: [Kind; 2] = [Kind::Service, Kind::EndpointSlice];

pub(super) fn report(
    index: &Index,
    flows: &BTreeMap<ServiceId, ServiceFlows>,
    request: &ServicesRequest,
) -> ServicesReport {
    let asked_for = |namespace: &str, name: &str| match &request.name {
        Some(part) => format!("{namespace}/{name}").contains(part),
        None => true,
    };
    let services = index
        .services()
        .filter(|service| {
            service.unserved.is_none() && asked_for(&service.namespace, &service.name)
        })
        .map(|report| service(report, flows));
    let refused = index.refusals().filter(|(object, _)| {
        KINDS.contains(&object.kind) && asked_for(&object.namespace, &object.name)
    });
    ServicesReport {
        services: services.collect(),
        refused: refused.map(|(object, why)| refusal(&object, why)).collect(),
    }
}

pub(super) fn refusal(object: &ObjectRef, why: &Refusal) -> RefusedReport {
    RefusedReport {
        object: object.to_string(),
        field: why.field.clone(),
        message: why.message.clone(),
    }
}

fn service(
    report: index::ServiceReport,
    flows: &BTreeMap<ServiceId, ServiceFlows>,
) -> ServiceReport {
    let ports = report.ports.iter().map(|served| port(served, flows));
    ServiceReport {
        ports: ports.collect(),
        namespace: report.namespace.to_string(),
        name: report.name.to_string(),
        type_: report.kind.as_str().to_owned(),
        cluster_ips: report.cluster_ips,
        external_ips: report
            .load_balancer_ips
            .into_iter()
            .chain(report.external_ips)
            .collect(),
        internal_policy: policy(report.internal_policy).to_owned(),
        external_policy: policy(report.external_policy).to_owned(),
        affinity_seconds: report.affinity,
    }
}

fn policy(policy: TrafficPolicy) -> &'static str {
    match policy {
        TrafficPolicy::Cluster => "Cluster",
        TrafficPolicy::Local => "Local",
    }
}

fn port(port: &PortReport, flows: &BTreeMap<ServiceId, ServiceFlows>) -> ServicePortReport {
    let known = port
        .id
        .as_ref()
        .and_then(|id| flows.get(id))
        .cloned()
        .unwrap_or_default();
    let has_local = known
        .endpoints
        .keys()
        .any(|(scope, _)| *scope == Scope::Local);
    let endpoints = port.endpoints.iter().map(|endpoint| {
        let of = |scope| known.endpoints.get(&(scope, endpoint.backend)).copied();
        let (cluster, local) = (of(Scope::Cluster), of(Scope::Local));
        let packets = [cluster, local]
            .into_iter()
            .flatten()
            .map(|(_, packets)| packets);
        EndpointReport {
            address: endpoint.backend.to_string(),
            node: endpoint.node.as_deref().unwrap_or_default().to_owned(),
            zone: endpoint.zone.as_deref().unwrap_or_default().to_owned(),
            ready: endpoint.state.ready,
            serving: endpoint.state.serving,
            terminating: endpoint.state.terminating,
            local: endpoint.local,
            used: endpoint.in_cluster || endpoint.in_local,
            index: cluster.map(|(index, _)| u32::from(index)),
            packets: packets.sum(),
        }
    });
    ServicePortReport {
        endpoints: endpoints.collect(),
        name: port.name.to_string(),
        protocol: port.protocol.to_string(),
        family: if port.v6 { "ipv6" } else { "ipv4" }.to_owned(),
        frontends: port.frontends.iter().map(frontend).collect(),
        id: known.id,
        local_id: has_local.then_some(known.local_id),
        packets: known.packets,
    }
}

fn frontend(frontend: &Frontend) -> String {
    match frontend {
        Frontend::Cluster { ip, port, .. } | Frontend::External { ip, port, .. } => {
            SocketAddr::new(*ip, *port).to_string()
        }
        Frontend::NodePort { port, .. } => format!("node:{port}"),
    }
}
