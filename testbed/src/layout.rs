//! Every name and address of a testbed, computed from its own name and a node's number, so that
//! all of it can be found again by whoever knows the name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

/// Below this folder each testbed has one of its own name.
pub const ROOT: &str = "/run/sluice-testbed";
/// What the names of all namespaces and containers begin with.
const PREFIX: &str = "slt-";
/// The node's device on the underlay.
pub const UPLINK: &str = "uplink";
/// The bridge that holds the underlay device on the userspace datapath; its local port has the address.
pub const PHYS: &str = "br-phys";
/// The agent's bridge.
pub const BRIDGE: &str = "br-sluice";
/// The last octet of the underlay's own address, which stands for the world outside.
const OUTSIDE: u8 = 254;
/// The last octet of the control plane's address.
const CONTROL: u8 = 253;
/// The ranges of pods in a Kubernetes testbed; a node's part is given by the cluster.
pub const PODS: (&str, &str) = ("10.244.0.0/16", "fd00:244::/48");
/// The ranges of Services.
pub const SERVICES: (&str, &str) = ("10.96.0.0/16", "fd00:96::/112");
/// The first Service of each range, which is the API server's own.
pub const FIRST_SERVICE: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(10, 96, 0, 1),
    Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, 1),
);

/// A testbed's name: up to 12 letters, digits and dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// When it would not do as part of a namespace's name.
    pub fn new(name: &str) -> Result<Self> {
        ensure!(
            (1..=12).contains(&name.len())
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
            "`{name}` is not a testbed's name: 1 to 12 lower-case letters and digits"
        );
        Ok(Self(name.to_owned()))
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What all its namespaces and containers begin with.
    pub fn prefix(&self) -> String {
        format!("{PREFIX}{}-", self.0)
    }

    /// The namespace with the bridge that joins the nodes.
    pub fn underlay(&self) -> String {
        format!("{}underlay", self.prefix())
    }

    /// The namespace of the control plane.
    pub fn control(&self) -> String {
        format!("{}control", self.prefix())
    }

    /// The control plane's keys, data and logs.
    pub fn control_dir(&self) -> PathBuf {
        self.dir().join("control")
    }

    /// A node's namespace or container.
    pub fn host(&self, node: u8) -> String {
        format!("{}{}", self.prefix(), node_name(node))
    }

    /// A pod's namespace.
    pub fn pod(&self, node: u8, pod: &str) -> String {
        format!("{}-{pod}", self.host(node))
    }

    /// Where everything of this testbed lies.
    pub fn dir(&self) -> PathBuf {
        Path::new(ROOT).join(&self.0)
    }

    /// A node's sockets, databases and logs.
    pub fn node_dir(&self, node: u8) -> PathBuf {
        self.dir().join(node_name(node))
    }

    /// The manifests all agents watch.
    pub fn manifests(&self) -> PathBuf {
        self.dir().join("manifests")
    }
}

/// Name of a node, by its number from 1.
pub fn node_name(node: u8) -> String {
    format!("n{node}")
}

/// A node's zone: each has one of its own.
pub fn zone(node: u8) -> String {
    format!("zone-{node}")
}

/// A node's IPv4 address on the underlay.
pub fn underlay_v4(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 30, 0, node)
}

/// A node's IPv6 address on the underlay.
pub fn underlay_v6(node: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x30, 0, 0, 0, 0, 0, u16::from(node))
}

/// The control plane's IPv4 address.
pub fn control_v4() -> Ipv4Addr {
    underlay_v4(CONTROL)
}

/// The control plane's IPv6 address.
pub fn control_v6() -> Ipv6Addr {
    underlay_v6(CONTROL)
}

/// The addresses beyond the nodes, which a pod reaches only through its node.
pub fn outside() -> [IpAddr; 2] {
    [underlay_v4(OUTSIDE).into(), underlay_v6(OUTSIDE).into()]
}

/// Prefix lengths of the underlay, IPv4 and IPv6.
pub const UNDERLAY_LEN: (u8, u8) = (24, 64);

/// A node's pod networks.
pub fn pod_cidrs(node: u8, ipv6: bool) -> Vec<String> {
    let mut cidrs = vec![format!("10.244.{node}.0/24")];
    if ipv6 {
        cidrs.push(format!("fd00:244:0:{node:x}::/64"));
    }
    cidrs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_not_do_are_refused() {
        for bad in ["", "a b", "A", "slashes/x", "waytoolonganame", "a-b"] {
            assert!(Name::new(bad).is_err(), "{bad:?} was accepted");
        }
        let name = Name::new("demo").expect("a plain name is accepted");
        assert_eq!(name.pod(2, "web"), "slt-demo-n2-web");
    }
}
