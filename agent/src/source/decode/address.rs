//! Addresses and prefixes as texts, and which of them make no sense where.

use std::net::IpAddr;

use ipnet::IpNet;

/// An address.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text
        .parse()
        .map_err(|_| format!("{text:?} is no IP address"))?;
    match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Err(format!(
            "{ip} is an IPv4 address in the clothes of IPv6: write it as IPv4"
        )),
        _ => Ok(ip),
    }
}

/// An address that packets can be sent to, from anywhere.
pub(super) fn unicast(text: &str) -> Result<IpAddr, String> {
    let ip = ip(text)?;
    let (link_local, broadcast) = match ip {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.is_broadcast()),
        IpAddr::V6(v6) => (v6.is_unicast_link_local(), false),
    };
    let what = match ip {
        _ if ip.is_unspecified() => "the unspecified address",
        _ if ip.is_loopback() => "a loopback address",
        _ if ip.is_multicast() => "a multicast address",
        _ if link_local => "a link-local address",
        _ if broadcast => "the broadcast address",
        _ => return Ok(ip),
    };
    Err(format!("{ip} is {what}"))
}

/// A prefix; what its length does not cover is cut off.
pub(super) fn prefix(text: &str) -> Result<IpNet, String> {
    let prefix: IpNet = text
        .parse()
        .map_err(|_| format!("{text:?} is no CIDR (address/length)"))?;
    Ok(prefix.trunc())
}

/// A prefix that packets may come from or go to: no packet has IPv4 addresses in the clothes of IPv6.
pub(super) fn block(text: &str) -> Result<IpNet, String> {
    match prefix(text)? {
        IpNet::V6(v6) if v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some() => Err(
            format!("{v6} is an IPv4 prefix in the clothes of IPv6: write it as IPv4"),
        ),
        prefix => Ok(prefix),
    }
}

/// The name of an address's family, as the API writes it.
pub(super) fn family(ip: &IpAddr) -> &'static str {
    if ip.is_ipv4() { "IPv4" } else { "IPv6" }
}
