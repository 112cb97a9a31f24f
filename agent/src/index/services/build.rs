//! From a Service, its endpoints and its claims to the ports that are served.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
    sync::Arc,
};

use sluice_flows::model::{Frontend, ServiceId, ServicePort, TrafficPolicy};

use super::{
    Around, HealthCheck, Key, NodePort, Services, Update,
    claims::Slot,
    endpoints::{choose, gather, local_ready},
    frontends::{unserved, wanted},
    listens,
};
use crate::source::{EndpointSlice, Refusal, Service};

/// What a Service comes to.
#[derive(Debug, Default)]
pub(super) struct Built {
    /// Ordered by id.
    pub(super) ports: Vec<Arc<ServicePort>>,
    pub(super) health_check: Option<(u16, HealthCheck)>,
    /// What it asks for and another has.
    pub(super) conflicts: Vec<Refusal>,
    /// Whether endpoints are meant for zones, so that it matters in which we are.
    pub(super) hinted: bool,
}

impl Services {
    pub(super) fn build(&self, key: &Key, around: &Around<'_>) -> Built {
        let mut built = Built::default();
        let Some(service) = self.entries.get(key).and_then(|it| it.service.as_deref()) else {
            return built;
        };
        if unserved(service).is_some() {
            return built;
        }
        let (own, zone) = (around.nodes.own_name(), around.nodes.own_zone());
        let slices = self.slices_of(key, service, around);
        let has_zones = |slice: &Arc<EndpointSlice>| {
            let mut hints = slice.endpoints.iter().filter_map(|it| it.hints.as_ref());
            hints.any(|hints| !hints.zones.is_empty())
        };
        built.hinted = slices.iter().any(has_zones);
        let mut local_ips: [BTreeSet<IpAddr>; 2] = Default::default();
        for (cluster_ip, ips) in service.cluster_ips.iter().zip(&mut local_ips) {
            let v6 = cluster_ip.is_ipv6();
            for port in &service.ports {
                let mut frontends = Vec::new();
                for wanted in wanted(service, port, *cluster_ip, &self.options) {
                    match self.taken(&wanted.slot, key, wanted.field) {
                        None => frontends.push(wanted.frontend),
                        Some(conflict) => built.conflicts.push(conflict),
                    }
                }
                let slices = slices.iter().map(|slice| &**slice);
                let all = gather(slices, &port.name, port.protocol, v6, own);
                if service.health_check_port.is_some() {
                    ips.extend(local_ready(&all));
                }
                if frontends.is_empty() {
                    continue;
                }
                let mut chosen = choose(&all, own, zone.map(|zone| &**zone));
                if !frontends.iter().any(stays) {
                    chosen.local = Vec::new();
                }
                let label = match &*port.name {
                    "" => port.port.to_string(),
                    name => name.to_owned(),
                };
                built.ports.push(Arc::new(ServicePort {
                    id: ServiceId::new(&key.namespace, &key.name, &label, port.protocol, v6),
                    namespace: key.namespace.to_string(),
                    name: key.name.to_string(),
                    port_name: port.name.to_string(),
                    v6,
                    protocol: port.protocol,
                    frontends,
                    cluster: chosen.cluster,
                    local: chosen.local,
                    affinity: service.affinity,
                }));
            }
        }
        built.ports.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(port) = service.health_check_port {
            let field = "spec.healthCheckNodePort";
            match self.taken(&Slot::HealthCheck(port), key, field) {
                Some(conflict) => built.conflicts.push(conflict),
                None => {
                    let check = HealthCheck {
                        namespace: key.namespace.clone(),
                        name: key.name.clone(),
                        // A pod with an address of each family is one.
                        local_endpoints: local_ips.iter().map(BTreeSet::len).max().unwrap_or(0),
                    };
                    built.health_check = Some((port, check));
                }
            }
        }
        built
    }

    /// The slices of a Service: those there are, or else those that the pods it selects come to.
    pub(super) fn slices_of(
        &self,
        key: &Key,
        service: &Service,
        around: &Around<'_>,
    ) -> Vec<Arc<EndpointSlice>> {
        match self.entries.get(key) {
            Some(entry) if !entry.slices.is_empty() => entry.slices.clone(),
            _ => self.derived.slices(key, service, around),
        }
    }

    /// The refusal to give a Service what another has.
    fn taken(&self, slot: &Slot, key: &Key, field: &str) -> Option<Refusal> {
        let owner = self.claims.owner(slot).filter(|owner| *owner != key)?;
        let what = match slot {
            Slot::Address(ip, protocol, port) => {
                let at = std::net::SocketAddr::new(*ip, *port);
                format!("{at}/{protocol}")
            }
            Slot::NodePort(NodePort { v6, protocol, port }) => {
                let family = if *v6 { "IPv6" } else { "IPv4" };
                format!("node port {port}/{protocol} of {family}")
            }
            Slot::HealthCheck(port) => format!("node port {port} for health checks"),
        };
        Some(Refusal {
            field: field.to_owned(),
            message: format!(
                "{what} is taken by Service {}/{}",
                owner.namespace, owner.name
            ),
        })
    }
}

/// Whether what arrives here must stay on this node.
pub(super) fn stays(frontend: &Frontend) -> bool {
    let (Frontend::Cluster { policy, .. }
    | Frontend::External { policy, .. }
    | Frontend::NodePort { policy, .. }) = frontend;
    *policy == TrafficPolicy::Local
}

/// How the addresses and node ports that are served change, over several Services.
#[derive(Debug, Default)]
pub(super) struct Served {
    addresses: BTreeMap<IpAddr, i64>,
    node_ports: BTreeMap<NodePort, i64>,
}

impl Served {
    /// A Service had these ports, and has those now.
    pub(super) fn replace(&mut self, before: &[Arc<ServicePort>], now: &[Arc<ServicePort>]) {
        for (ports, step) in [(before, -1), (now, 1)] {
            let (addresses, node_ports) = listens(ports);
            for address in addresses {
                *self.addresses.entry(address).or_default() += step;
            }
            for node_port in node_ports {
                *self.node_ports.entry(node_port).or_default() += step;
            }
        }
    }

    /// Brings what is served up to date, and says what of it is new or gone.
    pub(super) fn finish(
        self,
        addresses: &mut BTreeMap<IpAddr, u32>,
        node_ports: &mut BTreeSet<NodePort>,
        update: &mut Update,
    ) {
        for (address, change) in self.addresses {
            let before = addresses.get(&address).copied().unwrap_or(0);
            let now = u32::try_from(i64::from(before) + change).unwrap_or(0);
            match addresses.entry(address) {
                Entry::Occupied(entry) if now == 0 => {
                    entry.remove();
                    update.service_addresses.removed.push(address);
                }
                Entry::Occupied(mut entry) => {
                    entry.insert(now);
                }
                Entry::Vacant(entry) if now > 0 => {
                    entry.insert(now);
                    update.service_addresses.added.push(address);
                }
                Entry::Vacant(_) => {}
            }
        }
        for (node_port, change) in self.node_ports {
            // At most one Service has it, so it comes, goes, or passes from one to another.
            if change > 0 && node_ports.insert(node_port) {
                update.node_ports.added.push(node_port);
            } else if change < 0 && node_ports.remove(&node_port) {
                update.node_ports.removed.push(node_port);
            }
        }
    }
}
