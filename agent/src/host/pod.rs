//! A pod's end of its attachment: the device in the pod's namespace, its addresses, routes and neighbours.
//!
//! Three ways in, one result, an interface `eth0` (or whatever the runtime calls it) that is a real device:
//!
//! | attachment | datapath | the pod's `eth0` is |
//! |---|---|---|
//! | internal port | userspace | the port's tap itself, moved in and renamed |
//! | internal port | kernel | a macvlan (passthru) upon the port, which is moved in and keeps its name: the switch destroys an internal port that changes name |
//! | veth | both | the far end of the pair |
//!
//! Pods hold host addresses (/32, /128) and a default route over an address nobody owns, resolved by a permanent
//! neighbour entry: a pod needs neither ARP nor neighbour discovery nor a subnet to reach anything.
//!
//! Must not know: who creates an internal port, and what flows serve it.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;

use super::{
    HostError, Mac,
    netlink::{LOOPBACK, Link, LinkChange, MoveInto, Netlink, Route, wait_for_link},
    netns::Netns,
    offload, router_for, sysctl,
};

mod check;
mod remove;

pub use check::{Problem, check};
pub use remove::{Remnant, Replumbed, replumb, unplumb};

/// Routes in a pod are put there by configuration (`RTPROT_STATIC`), as far as the pod can tell.
const POD_ROUTE_PROTOCOL: u8 = 4;

/// How a pod hangs on the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attachment {
    /// A port of type `internal`; its device is created by the switch.
    Internal,
    /// One end of a veth pair; created here.
    Veth,
}

/// Which datapath the bridge runs on (`Bridge.datapath_type`: `netdev` is userspace, empty is the kernel).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Datapath {
    /// Linux's openvswitch module.
    Kernel,
    /// ovs-vswitchd itself.
    Userspace,
}

/// Everything that determines a pod's end of its attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodNic {
    /// The port's device in the node's namespace, unique on the node; at most 15 bytes.
    pub host_ifname: String,
    /// The file that names the pod's namespace.
    pub netns: PathBuf,
    /// The interface's name inside the pod, usually `eth0`.
    pub ifname: String,
    /// The pod's Ethernet address.
    pub mac: Mac,
    /// The pod's addresses, at most one of each family being the usual case.
    pub addrs: Vec<IpAddr>,
    /// The interface's MTU in bytes.
    pub mtu: u32,
    /// How the pod hangs on the switch.
    pub attachment: Attachment,
    /// Which datapath the bridge runs on.
    pub datapath: Datapath,
    /// The Ethernet address that the pod's next hop resolves to.
    pub router_mac: Mac,
}

impl PodNic {
    /// The device that carries the port inside the pod when that is not the pod's interface itself.
    fn lower(&self) -> Option<&str> {
        (self.attachment == Attachment::Internal && self.datapath == Datapath::Kernel)
            .then_some(self.host_ifname.as_str())
    }

    /// The pod's addresses as the kernel lists them: host prefixes.
    fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.addrs.iter().map(|addr| IpNet::from(*addr))
    }

    /// The default routes the pod needs, one per family it has an address of.
    fn default_routes(&self, device: u32) -> Vec<Route> {
        let mut routes: Vec<Route> = self
            .addrs
            .iter()
            .map(|addr| Route {
                to: if addr.is_ipv4() {
                    IpNet::V4(Default::default())
                } else {
                    IpNet::V6(Default::default())
                },
                via: router_for(*addr),
                device,
                source: None,
                protocol: POD_ROUTE_PROTOCOL,
            })
            .collect();
        routes.dedup();
        routes.sort();
        routes.dedup();
        routes
    }

    fn has_v6(&self) -> bool {
        self.addrs.iter().any(IpAddr::is_ipv6)
    }
}

/// Gives a pod its interface. An internal port's device is awaited for `limit`; a veth pair is created.
///
/// On an error the pod may be left half-done: remove the port and call [`unplumb`].
///
/// # Errors
/// [`HostError`]; `EEXIST` when the pod already has an interface of that name.
pub async fn plumb(nic: &PodNic, limit: Duration) -> Result<(), HostError> {
    let netns = Netns::open(&nic.netns)?;
    match nic.attachment {
        Attachment::Internal => {
            let device = wait_for_link(&nic.host_ifname, limit).await?;
            move_in(nic, &netns, &device).await?;
        }
        Attachment::Veth => add_pair(nic, &netns).await?,
    }
    finish(nic, &netns).await
}

/// Moves an internal port's device into the pod with the pod's address and MTU.
async fn move_in(nic: &PodNic, netns: &Netns, device: &Link) -> Result<(), HostError> {
    let change = LinkChange {
        name: nic.lower().is_none().then_some(nic.ifname.as_str()),
        mac: Some(nic.mac),
        mtu: Some(nic.mtu),
        ..LinkChange::default()
    };
    Netlink::open()?
        .set_link(device.index, &change, Some(MoveInto(netns)))
        .await
}

/// Creates the pair with one end already inside the pod.
async fn add_pair(nic: &PodNic, netns: &Netns) -> Result<(), HostError> {
    let netlink = Netlink::open()?;
    let here = LinkChange {
        name: Some(&nic.host_ifname),
        mtu: Some(nic.mtu),
        ..LinkChange::default()
    };
    let peer = LinkChange {
        name: Some(&nic.ifname),
        mac: Some(nic.mac),
        mtu: Some(nic.mtu),
        ..LinkChange::default()
    };
    netlink.add_veth(&here, netns, &peer).await?;
    // Only the switch uses the near end. (The kernel takes the IPv6 setting of a device that exists, not of a new one.)
    let near = existing(&netlink, &nic.host_ifname).await?;
    let quiet = LinkChange {
        link_local: sysctl::read("ipv6/conf/default/addr_gen_mode")?.map(|_| false),
        up: Some(true),
        ..LinkChange::default()
    };
    netlink.set_link(near.index, &quiet, None).await
}

/// Does what is to be done inside the pod once its device is there.
async fn finish(nic: &PodNic, netns: &Netns) -> Result<(), HostError> {
    let nic = nic.clone();
    netns
        .run(move || async move { configure(&nic).await })
        .await
}

/// Runs inside the pod. Every step may find itself done already.
async fn configure(nic: &PodNic) -> Result<(), HostError> {
    let netlink = Netlink::open()?;
    netlink
        .set_link(
            LOOPBACK,
            &LinkChange {
                up: Some(true),
                ..LinkChange::default()
            },
            None,
        )
        .await?;
    if let Some(lower) = nic.lower() {
        stack(nic, &netlink, lower).await?;
    }
    let device = existing(&netlink, &nic.ifname).await?;
    quiet_ipv6(&nic.ifname, nic.has_v6())?;
    if nic.datapath == Datapath::Userspace {
        offload::disable_tx_checksum(&nic.ifname)?;
    }
    netlink
        .set_link(
            device.index,
            &LinkChange {
                up: Some(true),
                ..LinkChange::default()
            },
            None,
        )
        .await?;
    for prefix in nic.prefixes() {
        netlink.set_address(device.index, prefix).await?;
    }
    for route in nic.default_routes(device.index) {
        netlink
            .set_neighbour(device.index, route.via, nic.router_mac)
            .await?;
        netlink.set_route(&route).await?;
    }
    Ok(())
}

/// Stacks the pod's interface upon the port's device, which itself gets no address of any kind.
async fn stack(nic: &PodNic, netlink: &Netlink, lower: &str) -> Result<(), HostError> {
    let port = existing(netlink, lower).await?;
    sysctl::set(&format!("ipv6/conf/{lower}/disable_ipv6"), "1")?;
    let up = LinkChange {
        mac: Some(nic.mac),
        mtu: Some(nic.mtu),
        up: Some(true),
        ..LinkChange::default()
    };
    netlink.set_link(port.index, &up, None).await?;
    match netlink.link(&nic.ifname).await? {
        Some(upper) if upper.lower == Some(port.index) => Ok(()),
        _ => {
            let change = LinkChange {
                name: Some(&nic.ifname),
                mtu: Some(nic.mtu),
                ..LinkChange::default()
            };
            netlink.add_macvlan_passthru(port.index, &change).await
        }
    }
}

/// Keeps the interface from asking the network for anything before it comes up: no duplicate address detection
/// (also not for the link-local address), no router solicitations, nothing learned from advertisements.
fn quiet_ipv6(ifname: &str, wanted: bool) -> Result<(), HostError> {
    let key = |name: &str| format!("ipv6/conf/{ifname}/{name}");
    if wanted {
        sysctl::set(&key("disable_ipv6"), "0")?;
    }
    for name in ["accept_ra", "accept_dad", "accept_redirects"] {
        sysctl::set(&key(name), "0")?;
    }
    Ok(())
}

async fn existing(netlink: &Netlink, name: &str) -> Result<Link, HostError> {
    netlink
        .link(name)
        .await?
        .ok_or_else(|| HostError::NoDevice {
            name: name.to_owned(),
            waited: Duration::ZERO,
        })
}
