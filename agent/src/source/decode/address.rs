//! Addresses and prefixes as texts, and which of them make no sense where.
//!
//! The numbers of IPv4 are decimal, whatever zeros they begin with: `010.0.0.1` is 10.0.0.1. The API server took such
//! in until Kubernetes 1.36, keeps what it has, and everybody in a cluster reads it so.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// An address.
pub(super) fn ip(text: &str) -> Result<IpAddr, String> {
    let ip = match text.parse() {
        Ok(ip) => ip,
        Err(_) => with_zeros(text).ok_or_else(|| format!("{text:?} is no IP address"))?,
    };
    match ip {
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Err(format!(
            "{ip} is an IPv4 address in the clothes of IPv6: write it as IPv4"
        )),
        _ => Ok(ip),
    }
}

/// An IPv4 address as prefixes have it, whose numbers may begin with zeros.
fn with_zeros(text: &str) -> Option<IpAddr> {
    let prefix: Ipv4Net = format!("{text}/32").parse().ok()?;
    Some(prefix.addr().into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_in_front_mean_nothing() {
        for (text, expected) in [
            ("010.0.0.0/8", "10.0.0.0/8"),
            ("10.064.0.0/08", "10.0.0.0/8"),
            ("192.000.002.128/25", "192.0.2.128/25"),
            ("fd00:0001::/064", "fd00:1::/64"),
        ] {
            let expected: IpNet = expected.parse().expect("a prefix");
            assert_eq!(prefix(text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("010.0.0.1", "10.0.0.1"),
            ("192.000.002.008", "192.0.2.8"),
            ("10.0.0.1", "10.0.0.1"),
        ] {
            let expected: IpAddr = expected.parse().expect("an address");
            assert_eq!(ip(text), Ok(expected), "{text}");
        }
        for text in [
            "0x0a.0.0.1",
            "10.0.0.256",
            "10.0.1",
            "10.0.0.1/8",
            "010",
            "",
        ] {
            assert!(ip(text).is_err(), "{text}");
            assert!(prefix(&format!("{text}/8")).is_err(), "{text}");
        }
    }
}
