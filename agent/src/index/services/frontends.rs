//! Where a Service listens, if nobody else does.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use sluice_flows::model::Frontend;

use super::{
    NodePort, Options, Unserved,
    claims::{Class, Created, Rank, Slot},
};
use crate::source::{
    Service,
    object::{Port, ServiceType},
};

/// A place to listen at.
pub(super) struct Wanted {
    pub(super) frontend: Frontend,
    /// What it takes to have it.
    pub(super) slot: Slot,
    class: Class,
    /// The field that asks for it.
    pub(super) field: &'static str,
}

/// Why a Service is not served, if it is not: on purpose, or since it has no clusterIP (yet).
pub(super) fn unserved(service: &Service) -> Option<Unserved> {
    if let Some(proxy) = &service.other_proxy {
        Some(Unserved::OtherProxy(proxy.clone()))
    } else if service.kind == ServiceType::ExternalName {
        Some(Unserved::ExternalName)
    } else if service.headless {
        Some(Unserved::Headless)
    } else if service.cluster_ips.is_empty() {
        Some(Unserved::NoClusterIp)
    } else {
        None
    }
}

/// The places where a port of a Service listens in the family of `cluster_ip`; no two take the same.
pub(super) fn wanted(
    service: &Service,
    port: &Port,
    cluster_ip: IpAddr,
    options: &Options,
) -> Vec<Wanted> {
    let v6 = cluster_ip.is_ipv6();
    let mut all: Vec<Wanted> = Vec::with_capacity(2);
    let mut add = |ip: IpAddr, class, field, frontend| {
        let slot = Slot::Address(ip, port.protocol, port.port);
        if all.iter().all(|other| other.slot != slot) {
            all.push(Wanted {
                frontend,
                slot,
                class,
                field,
            });
        }
    };
    let cluster = Frontend::Cluster {
        ip: cluster_ip,
        port: port.port,
        policy: service.internal_policy,
    };
    add(cluster_ip, Class::Cluster, "spec.clusterIPs", cluster);
    let external = |ip, sources| Frontend::External {
        ip,
        port: port.port,
        policy: service.external_policy,
        sources,
    };
    let of_family = |ips: &[IpAddr]| -> Vec<IpAddr> {
        let same = ips.iter().filter(|ip| ip.is_ipv6() == v6);
        same.copied().collect()
    };
    // An address that is both is limited to the load balancer's sources.
    for ip in of_family(&service.load_balancer_ips) {
        let field = "status.loadBalancer.ingress";
        add(
            ip,
            Class::LoadBalancer,
            field,
            external(ip, sources(service, v6)),
        );
    }
    if options.external_ips {
        for ip in of_family(&service.external_ips) {
            add(ip, Class::External, "spec.externalIPs", external(ip, None));
        }
    }
    if let Some(node_port) = port.node_port {
        all.push(Wanted {
            frontend: Frontend::NodePort {
                port: node_port,
                policy: service.external_policy,
            },
            slot: Slot::NodePort(NodePort {
                v6,
                protocol: port.protocol,
                port: node_port,
            }),
            class: Class::Cluster,
            field: "spec.ports[].nodePort",
        });
    }
    all
}

/// Who may use the load balancer in this family. Where no range speaks of the family it is open, as kube-proxy has
/// it; but a range that is not understood may have spoken of it.
fn sources(service: &Service, v6: bool) -> Option<Vec<IpNet>> {
    let all = service.source_ranges.as_ref()?;
    let same = |range: &&IpNet| matches!(range, IpNet::V6(_)) == v6;
    let ranges: Vec<IpNet> = all.iter().filter(same).copied().collect();
    (!ranges.is_empty() || service.source_ranges_broken).then_some(ranges)
}

/// Everything that a Service wants to have for itself.
pub(super) fn claims(service: &Service, options: &Options) -> BTreeMap<Slot, Rank> {
    let mut claims = BTreeMap::new();
    if unserved(service).is_some() {
        return claims;
    }
    let created = service.created.map_or(Created::Unknown, Created::At);
    for port in &service.ports {
        for ip in &service.cluster_ips {
            for wanted in wanted(service, port, *ip, options) {
                let class = wanted.class;
                claims.insert(wanted.slot, Rank { class, created });
            }
        }
    }
    if let Some(port) = service.health_check_port {
        let class = Class::Cluster;
        claims.insert(Slot::HealthCheck(port), Rank { class, created });
    }
    claims
}
