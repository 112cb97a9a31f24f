//! Comparing a pod's interface with what it should be: everything that is wrong, not the first thing.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use super::{Attachment, Datapath, PodNic};
use crate::host::{HostError, Mac, MacText, netlink::Netlink, netns::Netns, offload};

/// Something about a pod's interface that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The pod's namespace is gone.
    NoNamespace,
    /// A device is missing; the second field says where.
    NoDevice(String, &'static str),
    /// A device is administratively down.
    Down(String),
    /// A device has no carrier: the switch no longer serves it.
    NoCarrier(String),
    /// The interface has another Ethernet address.
    Mac {
        /// What it should be.
        wanted: Mac,
        /// What it is.
        found: Mac,
    },
    /// The interface has another MTU.
    Mtu {
        /// What it should be, in bytes.
        wanted: u32,
        /// What it is, in bytes.
        found: u32,
    },
    /// The interface is not stacked upon the port's device.
    NotStacked(String),
    /// An address is missing.
    NoAddress(IpNet),
    /// A default route is missing or goes elsewhere.
    NoRoute(IpNet, IpAddr),
    /// The next hop's permanent neighbour entry is missing or names another Ethernet address.
    NoNeighbour(IpAddr),
    /// Transmit checksums are left to hardware that is not there.
    TxChecksumOffload,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoNamespace => write!(f, "the pod's network namespace is gone"),
            Problem::NoDevice(name, place) => write!(f, "device {name} is missing {place}"),
            Problem::Down(name) => write!(f, "device {name} is down"),
            Problem::NoCarrier(name) => write!(f, "device {name} has no carrier"),
            Problem::Mac { wanted, found } => {
                write!(
                    f,
                    "the ethernet address is {}, not {}",
                    MacText(*found),
                    MacText(*wanted)
                )
            }
            Problem::Mtu { wanted, found } => write!(f, "the mtu is {found}, not {wanted}"),
            Problem::NotStacked(lower) => write!(f, "the interface is not stacked upon {lower}"),
            Problem::NoAddress(prefix) => write!(f, "address {prefix} is missing"),
            Problem::NoRoute(to, via) => write!(f, "the route to {to} via {via} is missing"),
            Problem::NoNeighbour(addr) => write!(
                f,
                "the permanent neighbour entry of {addr} is missing or wrong"
            ),
            Problem::TxChecksumOffload => write!(f, "transmit checksum offload is on"),
        }
    }
}

/// Compares a pod's interface with `nic`; an empty answer means that all is well. Changes nothing.
///
/// # Errors
/// [`HostError`] when the kernel does not answer; a missing namespace is a [`Problem`].
pub async fn check(nic: &PodNic) -> Result<Vec<Problem>, HostError> {
    let mut problems = Vec::new();
    if nic.attachment == Attachment::Veth {
        match Netlink::open()?.link(&nic.host_ifname).await? {
            None => problems.push(Problem::NoDevice(nic.host_ifname.clone(), "on the node")),
            Some(link) if !link.up => problems.push(Problem::Down(link.name)),
            Some(_) => {}
        }
    }
    let wanted = nic.clone();
    let inside = match Netns::open(&nic.netns) {
        Ok(netns) => {
            netns
                .run(move || async move { inside(&wanted).await })
                .await
        }
        Err(error) => Err(error),
    };
    match inside {
        Ok(found) => problems.extend(found),
        Err(error) if error.namespace_is_gone() => problems.push(Problem::NoNamespace),
        Err(error) => return Err(error),
    }
    Ok(problems)
}

/// Runs inside the pod.
pub(super) async fn inside(nic: &PodNic) -> Result<Vec<Problem>, HostError> {
    let netlink = Netlink::open()?;
    let mut problems = Vec::new();
    let Some(link) = netlink.link(&nic.ifname).await? else {
        return Ok(vec![Problem::NoDevice(nic.ifname.clone(), "in the pod")]);
    };
    if !link.up {
        problems.push(Problem::Down(link.name.clone()));
    } else if !link.carrier {
        problems.push(Problem::NoCarrier(link.name.clone()));
    }
    if link.mac != nic.mac {
        problems.push(Problem::Mac {
            wanted: nic.mac,
            found: link.mac,
        });
    }
    if link.mtu != nic.mtu {
        problems.push(Problem::Mtu {
            wanted: nic.mtu,
            found: link.mtu,
        });
    }
    if let Some(lower) = nic.lower() {
        match netlink.link(lower).await? {
            None => problems.push(Problem::NoDevice(lower.to_owned(), "in the pod")),
            Some(port) if link.lower != Some(port.index) => {
                problems.push(Problem::NotStacked(lower.to_owned()))
            }
            Some(port) if !port.up => problems.push(Problem::Down(port.name)),
            Some(_) => {}
        }
    }
    if nic.datapath == Datapath::Userspace && offload::tx_checksum(&nic.ifname)? {
        problems.push(Problem::TxChecksumOffload);
    }
    let addresses = netlink.addresses(link.index).await?;
    problems.extend(
        nic.prefixes()
            .filter(|prefix| !addresses.contains(prefix))
            .map(Problem::NoAddress),
    );
    let neighbours = netlink.neighbours(link.index).await?;
    let routes = netlink.routes(None).await?;
    for wanted in nic.default_routes(link.index) {
        let same = |found: &&crate::host::netlink::Route| {
            (found.to, found.via, found.device) == (wanted.to, wanted.via, wanted.device)
        };
        if !routes.iter().any(|found| same(&found)) {
            problems.push(Problem::NoRoute(wanted.to, wanted.via));
        }
        let known = neighbours.iter().any(|found| {
            found.permanent && found.addr == wanted.via && found.mac == nic.router_mac
        });
        if !known {
            problems.push(Problem::NoNeighbour(wanted.via));
        }
    }
    Ok(problems)
}
