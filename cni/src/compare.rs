//! CHECK's comparison of `prevResult` with the attachment as the agent holds it.
//!
//! Only what this plugin put into the result is compared: plugins chained behind it may have
//! added interfaces and routes, and may have lowered the MTU.

use ipnet::IpNet;
use sluice_rpc::AddResult;

use crate::result::{CniResult, Interface};

/// Every difference, one sentence each; empty when there is none.
pub fn differences(
    expected: &CniResult,
    attachment: &AddResult,
    ifname: &str,
    netns: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    let ours = expected
        .interfaces
        .iter()
        .enumerate()
        .find(|(_, interface)| {
            interface.name == ifname && interface.sandbox.as_deref() == Some(netns)
        });
    match ours {
        None => found.push(format!("prevResult has no interface {ifname} in {netns}")),
        Some((index, interface)) => {
            compare_interface(&mut found, interface, attachment, ifname);
            compare_addresses(&mut found, expected, index, attachment);
        }
    }
    compare_host_end(&mut found, expected, attachment);
    compare_routes(&mut found, expected, attachment);
    found
}

fn compare_interface(
    found: &mut Vec<String>,
    expected: &Interface,
    attachment: &AddResult,
    ifname: &str,
) {
    if let Some(mac) = &expected.mac
        && !mac.eq_ignore_ascii_case(&attachment.mac)
    {
        found.push(format!(
            "MAC of {ifname}: prevResult has {mac}, the agent {}",
            attachment.mac
        ));
    }
    if let Some(mtu) = expected.mtu.filter(|mtu| *mtu > u32::from(attachment.mtu)) {
        found.push(format!(
            "MTU of {ifname}: prevResult has {mtu}, more than the agent's {}",
            attachment.mtu
        ));
    }
}

fn compare_addresses(
    found: &mut Vec<String>,
    expected: &CniResult,
    index: usize,
    attachment: &AddResult,
) {
    let index = u32::try_from(index).ok();
    let expected: Vec<_> = expected
        .ips
        .iter()
        .filter(|ip| ip.interface == index || ip.interface.is_none())
        .collect();
    for ip in &expected {
        match attachment
            .ips
            .iter()
            .find(|ours| ours.address == ip.address)
        {
            None => found.push(format!(
                "address {} is in prevResult, not with the agent",
                ip.address
            )),
            Some(ours) if ip.gateway.is_some() && ip.gateway != ours.gateway => {
                found.push(format!(
                    "gateway of {}: prevResult has {}, the agent {}",
                    ip.address,
                    text(ip.gateway),
                    text(ours.gateway)
                ))
            }
            Some(_) => {}
        }
    }
    for ours in &attachment.ips {
        if !expected.iter().any(|ip| ip.address == ours.address) {
            found.push(format!(
                "address {} is with the agent, not in prevResult",
                ours.address
            ));
        }
    }
}

fn compare_host_end(found: &mut Vec<String>, expected: &CniResult, attachment: &AddResult) {
    let host_ends: Vec<&str> = expected
        .interfaces
        .iter()
        .filter(|interface| interface.sandbox.as_deref().unwrap_or_default().is_empty())
        .map(|interface| interface.name.as_str())
        .collect();
    if !host_ends.contains(&attachment.host_ifname.as_str()) {
        found.push(format!(
            "host interface: prevResult has {}, the agent {}",
            if host_ends.is_empty() {
                "none".to_owned()
            } else {
                host_ends.join(", ")
            },
            attachment.host_ifname
        ));
    }
}

/// A route of ours that is not in `prevResult` was taken out by a later plugin, which may do so;
/// one that is in both must lead the same way.
fn compare_routes(found: &mut Vec<String>, expected: &CniResult, attachment: &AddResult) {
    let key = |dst: &IpNet| dst.trunc();
    for ours in &attachment.routes {
        let mut same = expected
            .routes
            .iter()
            .filter(|route| key(&route.dst) == key(&ours.dst))
            .peekable();
        if let Some(first) = same.peek().map(|route| route.gw)
            && !same.any(|route| route.gw == ours.gw)
        {
            found.push(format!(
                "route to {}: prevResult has it by {}, the agent by {}",
                ours.dst,
                text(first),
                text(ours.gw)
            ));
        }
    }
}

fn text(address: Option<std::net::IpAddr>) -> String {
    address.map_or_else(|| "none".to_owned(), |address| address.to_string())
}
