//! The addresses of a Service, and who may use them.

use std::net::IpAddr;

use super::{Refusals, ServiceSpec, ServiceStatus, address};
use crate::source::object::Service;

/// Notes the addresses in `service`.
pub(super) fn take(
    service: &mut Service,
    spec: &ServiceSpec,
    status: &ServiceStatus,
    refusals: &mut Refusals,
) {
    cluster_ips(service, spec, refusals);
    for (index, text) in spec.external_ips.iter().enumerate() {
        let field = || format!("spec.externalIPs[{index}]");
        let ip = refusals.keep(field, address::unicast(text));
        add(&mut service.external_ips, ip);
    }
    for (index, ingress) in status.load_balancer.ingress.iter().enumerate() {
        let field = |field: &str| format!("status.loadBalancer.ingress[{index}].{field}");
        let ip = match (ingress.ip.as_str(), &*ingress.ip_mode) {
            // It has a host name, or what arrives from the load balancer is addressed to the node.
            ("", _) | (_, "Proxy") => None,
            (text, "" | "VIP") => refusals.keep(|| field("ip"), address::ip(text)),
            (_, other) => {
                let message = format!("{other:?} is none: VIP and Proxy are");
                refusals.note(field("ipMode"), message);
                None
            }
        };
        add(&mut service.load_balancer_ips, ip);
    }
    source_ranges(service, spec, refusals);
}

fn add(ips: &mut Vec<IpAddr>, ip: Option<IpAddr>) {
    ips.extend(ip.filter(|ip| !ips.contains(ip)));
}

/// `clusterIPs`, or else `clusterIP`: one of each family that the Service has.
fn cluster_ips(service: &mut Service, spec: &ServiceSpec, refusals: &mut Refusals) {
    for (index, family) in spec.ip_families.iter().enumerate() {
        if !matches!(family.as_str(), "IPv4" | "IPv6") {
            let message = format!("{family:?} is no family: IPv4 and IPv6 are");
            refusals.note(format!("spec.ipFamilies[{index}]"), message);
        }
    }
    let several = !spec.cluster_ips.is_empty();
    let texts = match several {
        true => spec.cluster_ips.as_slice(),
        false => std::slice::from_ref(&spec.cluster_ip),
    };
    for (index, text) in texts.iter().enumerate() {
        let field = || match several {
            true => format!("spec.clusterIPs[{index}]"),
            false => "spec.clusterIP".to_owned(),
        };
        match text.as_str() {
            "" => continue,
            "None" => {
                service.headless = true;
                continue;
            }
            _ => {}
        }
        let Some(ip) = refusals.keep(field, address::unicast(text)) else {
            continue;
        };
        let family = address::family(&ip);
        let same = |other: &IpAddr| other.is_ipv4() == ip.is_ipv4();
        if !spec.ip_families.is_empty() && !spec.ip_families.iter().any(|it| it == family) {
            let message = format!("{ip} is of {family}, which is not in spec.ipFamilies");
            refusals.note(field(), message);
        } else if service.cluster_ips.iter().any(same) {
            refusals.note(field(), format!("a second address of {family}"));
        } else {
            service.cluster_ips.push(ip);
        }
    }
    if several && !spec.cluster_ip.is_empty() && spec.cluster_ips.first() != Some(&spec.cluster_ip)
    {
        let message = format!("{:?} is not the first of spec.clusterIPs", spec.cluster_ip);
        refusals.note("spec.clusterIP", message);
    }
}

/// An entry that is no prefix allows nobody, but it still means that not everybody is allowed.
fn source_ranges(service: &mut Service, spec: &ServiceSpec, refusals: &mut Refusals) {
    if spec.load_balancer_source_ranges.is_empty() {
        return;
    }
    let mut ranges = Vec::new();
    for (index, text) in spec.load_balancer_source_ranges.iter().enumerate() {
        let field = || format!("spec.loadBalancerSourceRanges[{index}]");
        match address::prefix(text.trim()) {
            Ok(range) => ranges.push(range),
            Err(message) => {
                service.source_ranges_broken = true;
                refusals.note(field(), format!("{message}; it allows nobody"));
            }
        }
    }
    service.source_ranges = Some(ranges);
}
