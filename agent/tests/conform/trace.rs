//! A packet's way through the flows, as `ofproto/trace` tells it: each as the first of its connection, through as
//! many recirculations as it takes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use openflow::MacAddr;
use sluice_flows::cookie::Kind;
use sluice_flows::model::Protocol;
use sluice_flows::pipeline::{ROUTER_MAC, Table, ZONE_WIRE};
use sluice_flows::{Cookie, DropReason};

use crate::switch::Switch;

/// The first packet of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) in_port: u32,
    pub(crate) mac: MacAddr,
    pub(crate) protocol: Protocol,
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (six, source, destination) = match self.source {
            SocketAddr::V4(_) => ("", "nw_src", "nw_dst"),
            SocketAddr::V6(_) => ("6", "ipv6_src", "ipv6_dst"),
        };
        let protocol = self.protocol;
        write!(
            f,
            "{protocol}{six},in_port={},dl_src={},dl_dst={ROUTER_MAC},{source}={},{destination}={},nw_ttl=64,\
             {protocol}_src={},{protocol}_dst={}",
            self.in_port,
            self.mac,
            self.source.ip(),
            self.destination.ip(),
            self.source.port(),
            self.destination.port(),
        )?;
        if protocol == Protocol::Tcp {
            f.write_str(",tcp_flags=0x2")?;
        }
        Ok(())
    }
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It gets to an endpoint.
    Endpoint {
        at: SocketAddr,
        /// Whose address the endpoint sees.
        from: IpAddr,
        /// The port that it leaves by; `None` is the one it came from.
        by: Option<u32>,
    },
    /// The host refuses it.
    Rejected,
    Dropped(DropReason),
    /// It is not for a Service, and goes where it was going.
    Untouched,
}

/// Asks the switch.
pub(crate) fn trace(switch: &mut Switch, packet: &Packet) -> (Verdict, String) {
    let text = trace_first(switch, packet);
    (verdict(packet, &text), text)
}

/// The switch's own words about a packet, written as it wants it, that is the first of its connection.
pub(crate) fn trace_first(switch: &mut Switch, packet: &impl fmt::Display) -> String {
    const NEW: [&str; 2] = ["--ct-next", "trk,new"];
    let flow = packet.to_string();
    let mut params = vec!["br0", &flow];
    params.extend(NEW.iter().cycle().take(3 * NEW.len()));
    switch.appctl("ofproto/trace", &params)
}

/// Why a packet is dropped, if it is.
pub(crate) fn dropped(text: &str) -> Option<DropReason> {
    let mut steps = text.lines().filter_map(|line| step(line.trim_start()));
    let (_, cookie) = steps.find(|(table, _)| *table == Table::Drop.id().0)?;
    let cookie = Cookie::from_u64(cookie).filter(|cookie| cookie.kind() == Some(Kind::Drop));
    let reason = cookie.and_then(|cookie| DropReason::from_code(cookie.id()));
    Some(reason.unwrap_or_else(|| panic!("no reason in\n{text}")))
}

fn verdict(packet: &Packet, text: &str) -> Verdict {
    let lines = || text.lines().map(str::trim_start);
    let steps: Vec<(u8, u64)> = lines().filter_map(step).collect();
    if let Some(reason) = dropped(text) {
        return Verdict::Dropped(reason);
    }
    if steps
        .iter()
        .any(|(table, _)| *table == Table::Reject.id().0)
    {
        return Verdict::Rejected;
    }
    let Some(at) = lines().filter_map(endpoint).next_back() else {
        return Verdict::Untouched;
    };
    let by = lines()
        .filter_map(output)
        .next_back()
        .unwrap_or_else(|| panic!("it goes nowhere:\n{text}"));
    let from = lines().filter_map(source).next_back();
    Verdict::Endpoint {
        at,
        from: from.unwrap_or(packet.source.ip()),
        by,
    }
}

/// `36. ip,nw_dst=10.0.1.7, priority 1500, cookie 0x51ce05…`: the table and the cookie.
fn step(line: &str) -> Option<(u8, u64)> {
    let (table, rest) = line.split_once(". ")?;
    let (_, cookie) = rest.split_once(", cookie 0x")?;
    Some((table.parse().ok()?, u64::from_str_radix(cookie, 16).ok()?))
}

/// `nat(dst=10.0.1.7:80)`.
fn endpoint(line: &str) -> Option<SocketAddr> {
    let to = line.strip_prefix("nat(dst=")?.strip_suffix(')')?;
    to.parse().ok()
}

/// `ct(commit,zone=20930,nat(src=10.0.1.1:16384-32767,random),…)`.
fn source(line: &str) -> Option<IpAddr> {
    let zone = format!("zone={ZONE_WIRE},");
    let ct = line.strip_prefix("ct(").filter(|ct| ct.contains(&zone))?;
    let (_, from) = ct.split_once("nat(src=")?;
    let (ip, _) = match from.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?,
        None => from.split_once(':')?,
    };
    ip.parse().ok()
}

/// ` -> output port is 10`, or `IN_PORT`.
fn output(line: &str) -> Option<Option<u32>> {
    if line == "IN_PORT" {
        return Some(None);
    }
    let port = line.strip_prefix("-> output port is ")?;
    Some(Some(port.parse().ok()?))
}
