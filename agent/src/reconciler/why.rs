//! Why a packet arrives or does not: it is walked through the flows that are in the switch now.
//!
//! The packet is the first of a new connection. Names are resolved with what the flows were made from; the way is
//! that of the flows read back, so that what somebody else put into the switch shows.

use std::net::IpAddr;

use openflow::{Field, FlowStats, GroupDesc, MacAddr, PortNo};
use sluice_flows::Compiler;
use sluice_flows::cookie::Registry;
use sluice_flows::interpreter::{
    Delivery, Outcome, Packet, Step, Tables, Verdict, World, field_text, tcp,
};
use sluice_flows::model::{Frontend, LocalPod, Protocol, ServicePort, State};
use sluice_flows::pipeline::{ROUTER_MAC, Table};
use sluice_rpc::report::WhyStep;
use sluice_rpc::{WhyReport, WhyRequest};

use super::InspectError;

const IPPROTO_ICMP: u8 = 1;
const IPPROTO_ICMPV6: u8 = 58;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
/// In the range that Linux takes ports from.
const SOURCE_PORT: u16 = 40_000;

/// What kind of packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Icmp,
    Transport(Protocol),
}

/// Walks the packet that `request` describes.
///
/// # Errors
/// When the request names something that is not known here, or does not say enough.
pub(super) fn why(
    compiler: &Compiler,
    flows: &[FlowStats],
    groups: &[GroupDesc],
    request: &WhyRequest,
) -> Result<WhyReport, InspectError> {
    let state = compiler.state();
    let kind = kind(&request.protocol).map_err(InspectError::Unknown)?;
    let sources = addresses(state, &request.from, "from")?;
    let listening = service(state, &request.to, kind, request.port);
    let targets = match listening.map_err(InspectError::Unknown)? {
        Some(found) => found,
        None => addresses(state, &request.to, "to")?
            .into_iter()
            .map(|ip| (ip, request.port))
            .collect(),
    };
    let pair = targets.iter().find_map(|(to, port)| {
        let from = sources.iter().find(|from| from.is_ipv4() == to.is_ipv4())?;
        Some((*from, *to, *port))
    });
    let Some((from, to, port)) = pair else {
        return Err(InspectError::Unknown(format!(
            "{} and {} have no address family in common",
            request.from, request.to
        )));
    };
    if kind != Kind::Icmp && port.is_none() {
        return Err(InspectError::Unknown(format!(
            "to which port of {}? Write {}/PORT",
            request.to, request.protocol
        )));
    }
    let source_port = request.source_port.unwrap_or(SOURCE_PORT);
    let packet = packet(state, from, to, kind, source_port, port.unwrap_or_default());
    let tables = Tables::from(flows).with_groups(groups);
    let outcome = tables.run_in(&mut World::default(), packet.clone());
    Ok(report(compiler, &packet, &outcome, (to, port)))
}

fn kind(name: &str) -> Result<Kind, String> {
    if name == "icmp" {
        return Ok(Kind::Icmp);
    }
    let mut known = Protocol::ALL.into_iter();
    known
        .find(|protocol| protocol.as_str() == name)
        .map(Kind::Transport)
        .ok_or_else(|| format!("unknown protocol {name:?}: expected tcp, udp, sctp or icmp"))
}

/// The addresses of a pod, or the one that is written.
fn addresses(state: &State, name: &str, end: &'static str) -> Result<Vec<IpAddr>, InspectError> {
    if let Ok(ip) = name.parse() {
        return Ok(vec![ip]);
    }
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let local = |pod: &&LocalPod| pod.namespace == namespace && pod.name == name;
    if let Some(pod) = state.pods.values().find(local) {
        return Ok(pod.ips.clone());
    }
    let pod = state.cluster_pod(namespace, name);
    pod.map(|pod| pod.ips.to_vec())
        .ok_or_else(|| InspectError::NoPod {
            end,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
}

/// Addresses, and ports where they matter.
type Targets = Vec<(IpAddr, Option<u16>)>;

/// Where a Service listens, if `name` is one's.
fn service(
    state: &State,
    name: &str,
    kind: Kind,
    port: Option<u16>,
) -> Result<Option<Targets>, String> {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    let named = |service: &&ServicePort| service.namespace == namespace && service.name == name;
    let ports: Vec<&ServicePort> = state
        .services
        .values()
        .map(|s| &**s)
        .filter(named)
        .collect();
    if ports.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::new();
    let mut offered = Vec::new();
    for service in &ports {
        for frontend in &service.frontends {
            let (Frontend::Cluster { ip, port: own, .. }
            | Frontend::External { ip, port: own, .. }) = frontend
            else {
                continue;
            };
            offered.push(format!("{}/{own}", service.protocol));
            let fits = match kind {
                Kind::Icmp => true,
                Kind::Transport(protocol) => protocol == service.protocol,
            };
            if fits && port.is_none_or(|port| port == *own) {
                found.push((*ip, Some(*own)));
            }
        }
    }
    let distinct = |found: &[(IpAddr, Option<u16>)]| {
        let mut ports: Vec<_> = found.iter().map(|(_, port)| *port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.len()
    };
    offered.sort();
    offered.dedup();
    match distinct(&found) {
        0 => Err(format!(
            "Service {namespace}/{name} has no such port, only {}",
            offered.join(", ")
        )),
        1 => Ok(Some(found)),
        _ if kind == Kind::Icmp => Ok(Some(found)),
        _ => Err(format!(
            "Service {namespace}/{name} has several ports ({}): say which",
            offered.join(", ")
        )),
    }
}

/// The packet as it comes in: from a pod of this node, from a peer, or else from the host.
fn packet(
    state: &State,
    from: IpAddr,
    to: IpAddr,
    kind: Kind,
    source_port: u16,
    port: u16,
) -> Packet {
    let pod = state.pods.values().find(|pod| pod.ips.contains(&from));
    let peer = state
        .peers
        .values()
        .find(|peer| peer.pod_cidrs.iter().any(|net| net.contains(&from)));
    let frame = |in_port: u32, mac: MacAddr| {
        Packet::new(PortNo(in_port))
            .with(Field::ETH_SRC, mac)
            .with(Field::ETH_DST, ROUTER_MAC)
            .with(Field::NW_TTL, 64u8)
    };
    let packet = match (pod, peer, &state.local.tunnel) {
        (Some(pod), ..) => frame(pod.ofport, pod.mac),
        (None, Some(peer), Some(tunnel)) => {
            let frame = frame(tunnel.ofport, ROUTER_MAC);
            match peer.underlay {
                IpAddr::V4(ip) => frame.with(Field::TUN_SRC, ip),
                IpAddr::V6(ip) => frame.with(Field::TUN_IPV6_SRC, ip),
            }
        }
        _ => frame(state.local.gateway.ofport, state.local.gateway.mac),
    };
    let packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => packet
            .with(Field::ETH_TYPE, 0x0800u16)
            .with(Field::IPV4_SRC, from)
            .with(Field::IPV4_DST, to),
        (from, to) => packet
            .with(Field::ETH_TYPE, 0x86ddu16)
            .with(Field::IPV6_SRC, mapped(from))
            .with(Field::IPV6_DST, mapped(to)),
    };
    match kind {
        Kind::Transport(Protocol::Tcp) => packet
            .with(Field::IP_PROTO, Protocol::Tcp.number())
            .with(Field::TCP_SRC, source_port)
            .with(Field::TCP_DST, port)
            .with(Field::TCP_FLAGS, tcp::SYN),
        Kind::Transport(Protocol::Udp) => packet
            .with(Field::IP_PROTO, Protocol::Udp.number())
            .with(Field::UDP_SRC, source_port)
            .with(Field::UDP_DST, port),
        Kind::Transport(Protocol::Sctp) => packet
            .with(Field::IP_PROTO, Protocol::Sctp.number())
            .with(Field::SCTP_SRC, source_port)
            .with(Field::SCTP_DST, port),
        Kind::Icmp if to.is_ipv4() => packet
            .with(Field::IP_PROTO, IPPROTO_ICMP)
            .with(Field::ICMPV4_TYPE, ECHO_REQUEST),
        Kind::Icmp => packet
            .with(Field::IP_PROTO, IPPROTO_ICMPV6)
            .with(Field::ICMPV6_TYPE, ECHO_REQUEST_V6),
    }
}

fn mapped(ip: IpAddr) -> std::net::Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn report(
    compiler: &Compiler,
    packet: &Packet,
    outcome: &Outcome,
    to: (IpAddr, Option<u16>),
) -> WhyReport {
    let state = compiler.state();
    let registry = compiler.registry();
    let steps = steps(outcome, &registry);
    let decided = decided(outcome, &registry);
    let by = if decided.is_empty() {
        String::new()
    } else {
        format!(", allowed by {}", decided.join(" and "))
    };
    let (verdict, explanation) = match &outcome.verdict {
        Verdict::Output(deliveries) => {
            let refused = outcome
                .trace
                .iter()
                .any(|step| step.table == Table::Reject.id());
            let ways: Vec<_> = deliveries
                .iter()
                .map(|delivery| way(state, delivery))
                .collect();
            if refused {
                let why = "the Service has no endpoint: the host refuses the connection";
                ("refused", why.to_owned())
            } else {
                ("delivered", format!("{}{by}", ways.join(", and ")))
            }
        }
        Verdict::Dropped(reason) => {
            let last = steps
                .iter()
                .rev()
                .find(|step| step.table != Table::Drop.id().0);
            let by = last
                .map(|step| format!(" (by {})", step.object))
                .unwrap_or_default();
            ("dropped", format!("{reason}{by}: {}", reason.explanation()))
        }
        Verdict::Lost(loss) => ("lost", loss.to_string()),
        Verdict::Unsupported(what) => ("unknown", format!("cannot follow {what}")),
    };
    let endpoint = outcome
        .trace
        .iter()
        .any(|step| step.table == Table::Dnat.id());
    let endpoint = endpoint.then(|| match &outcome.verdict {
        Verdict::Output(deliveries) => deliveries.first().map(|delivery| &delivery.packet),
        _ => Some(&outcome.packet),
    });
    let endpoint = endpoint
        .flatten()
        .map(destination)
        .filter(|found| *found != (to.0, to.1));
    WhyReport {
        packet: packet.to_string(),
        steps,
        verdict: verdict.to_owned(),
        explanation,
        endpoint: endpoint.map(|(ip, port)| match port {
            Some(port) => std::net::SocketAddr::new(ip, port).to_string(),
            None => ip.to_string(),
        }),
        recirculations: outcome.trace.last().map_or(0, |step| step.recirculations),
    }
}

fn steps(outcome: &Outcome, registry: &Registry) -> Vec<WhyStep> {
    let mut around = 0;
    let step = |step: &Step| {
        let recirculated =
            std::mem::replace(&mut around, step.recirculations) != step.recirculations;
        WhyStep {
            table: step.table.0,
            table_name: Table::from_id(step.table)
                .map_or("", Table::name)
                .to_owned(),
            flow: format!("priority={} {}", step.priority, step.match_)
                .trim_end()
                .to_owned(),
            object: registry.describe(step.cookie),
            changed: step
                .changed
                .iter()
                .map(|(field, value)| field_text(*field, value))
                .collect(),
            recirculated,
        }
    };
    outcome.trace.iter().map(step).collect()
}

/// The rules that let it pass.
fn decided(outcome: &Outcome, registry: &Registry) -> Vec<String> {
    let policy = |step: &&Step| {
        let tables = [Table::EgressPolicy, Table::IngressPolicy];
        tables.iter().any(|table| table.id() == step.table)
    };
    let objects = outcome
        .trace
        .iter()
        .filter(policy)
        .map(|step| registry.describe(step.cookie));
    objects
        .filter(|object| object.starts_with("policy "))
        .collect()
}

/// Where a packet went, in words.
fn way(state: &State, delivery: &Delivery) -> String {
    let port = delivery.port.0;
    if let Some(pod) = state.pods.values().find(|pod| pod.ofport == port) {
        return format!("to pod {}/{}", pod.namespace, pod.name);
    }
    if port == state.local.gateway.ofport {
        return "to the host".to_owned();
    }
    let tunnel = state.local.tunnel.as_ref();
    if tunnel.is_some_and(|tunnel| tunnel.ofport == port) {
        let v4 = IpAddr::V4(delivery.packet.get(Field::TUN_DST).to_ipv4());
        let v6 = IpAddr::V6(delivery.packet.get(Field::TUN_IPV6_DST).to_ipv6());
        let peer = state
            .peers
            .values()
            .find(|peer| peer.underlay == v4 || peer.underlay == v6);
        return match peer {
            Some(peer) => format!("through the tunnel to node {}", peer.name),
            None => "through the tunnel to an unknown node".to_owned(),
        };
    }
    format!("out of port {port}, which is nobody's")
}

fn destination(packet: &Packet) -> (IpAddr, Option<u16>) {
    let ip = if packet.get(Field::ETH_TYPE).to_u128() == 0x0800 {
        IpAddr::V4(packet.get(Field::IPV4_DST).to_ipv4())
    } else {
        IpAddr::V6(packet.get(Field::IPV6_DST).to_ipv6())
    };
    let field = match u8::try_from(packet.get(Field::IP_PROTO).to_u128()) {
        Ok(6) => Some(Field::TCP_DST),
        Ok(17) => Some(Field::UDP_DST),
        Ok(132) => Some(Field::SCTP_DST),
        _ => None,
    };
    let port = field.and_then(|field| u16::try_from(packet.get(field).to_u128()).ok());
    (ip, port)
}
