//! The node's own way into the pod network: the gateway device, its addresses, and the routes through it.
//!
//! The device is an internal port of the bridge. It holds the first address of each of the node's podCIDRs, as
//! host prefixes; every podCIDR, its own and the other nodes', and every address of a Service is a route over the
//! router's address, which a permanent neighbour entry resolves. Nothing is ever asked of the network.
//!
//! Must not know: how the device came to be, and what the flows do with what is sent to it.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use ipnet::IpNet;

use super::{
    HostError, Mac,
    netlink::{Link, LinkChange, Netlink, Route, wait_for_link},
    netns::on_own_thread,
    offload,
    pod::Datapath,
    router_for, routes, sysctl,
};

/// Everything that determines the gateway device and the routes through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayNic {
    /// The device's name.
    pub ifname: String,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its addresses: the first of each of the node's podCIDRs.
    pub addrs: Vec<IpAddr>,
    /// The Ethernet address that the next hop of every route resolves to.
    pub router_mac: Mac,
    /// Every podCIDR that is reached through the device: the node's own and its peers'.
    pub cidrs: Vec<IpNet>,
    /// Which datapath the bridge runs on.
    pub datapath: Datapath,
}

/// How much of the kernel's state had to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Settings of the device: up, Ethernet address, MTU, addresses, neighbours.
    pub device: usize,
    /// Routes added or replaced.
    pub routes_set: usize,
    /// Routes removed.
    pub routes_removed: usize,
    /// Sysctls written.
    pub sysctls: usize,
}

impl Changes {
    /// Whether everything was as it should be.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// Makes the gateway device what `nic` says, waiting for it for `limit`, and the routes through it those to the
/// podCIDRs of `nic`, to these addresses of Services, and to those between host and switch. Routes of
/// ours that are none of these are removed.
///
/// # Errors
/// [`HostError`]; [`HostError::NoDevice`] when the switch offers no such device in time. A route that the kernel
/// refuses does not stop the others.
pub async fn configure(
    nic: &GatewayNic,
    addresses: &BTreeSet<IpAddr>,
    limit: Duration,
) -> Result<Changes, HostError> {
    let link = wait_for_link(&nic.ifname, limit).await?;
    let netlink = Netlink::open()?;
    let mut changes = Changes {
        sysctls: set_sysctls(nic).await?,
        ..Changes::default()
    };
    changes.device += configure_device(nic, &netlink, &link).await?;
    let routes = routes::ensure(ways(nic, &link, addresses)).await?;
    changes.routes_set = routes.set;
    changes.routes_removed = routes.removed;
    Ok(changes)
}

fn ways(nic: &GatewayNic, link: &Link, addresses: &BTreeSet<IpAddr>) -> routes::Ways {
    routes::Ways {
        device: link.index,
        sources: nic.addrs.clone(),
        cidrs: nic.cidrs.clone(),
        addresses: addresses.clone(),
    }
}

/// Adds the routes to one more peer's podCIDRs.
///
/// # Errors
/// [`HostError`]; [`HostError::NoDevice`] when the gateway device is not there.
pub async fn add_cidrs(nic: &GatewayNic, cidrs: &[IpNet]) -> Result<(), HostError> {
    let netlink = Netlink::open()?;
    let link = existing(nic, &netlink).await?;
    for route in routes_to(nic, &link, cidrs) {
        netlink.set_route(&route).await?;
    }
    Ok(())
}

/// Removes the routes to a peer's podCIDRs; succeeds when they are gone already.
///
/// # Errors
/// [`HostError`]; [`HostError::NoDevice`] when the gateway device is not there.
pub async fn remove_cidrs(nic: &GatewayNic, cidrs: &[IpNet]) -> Result<(), HostError> {
    let netlink = Netlink::open()?;
    let link = existing(nic, &netlink).await?;
    for route in routes_to(nic, &link, cidrs) {
        netlink.delete_route(&route).await?;
    }
    Ok(())
}

async fn existing(nic: &GatewayNic, netlink: &Netlink) -> Result<Link, HostError> {
    netlink
        .link(&nic.ifname)
        .await?
        .ok_or_else(|| HostError::NoDevice {
            name: nic.ifname.clone(),
            waited: Duration::ZERO,
        })
}

/// The routes to `cidrs`, except in a family in which the gateway has no address.
fn routes_to<'a>(
    nic: &GatewayNic,
    link: &Link,
    cidrs: &'a [IpNet],
) -> impl Iterator<Item = Route> + 'a {
    let ways = ways(nic, link, &BTreeSet::new());
    cidrs.iter().filter_map(move |cidr| ways.route(*cidr))
}

async fn configure_device(
    nic: &GatewayNic,
    netlink: &Netlink,
    link: &Link,
) -> Result<usize, HostError> {
    let mut changed = 0;
    let change = LinkChange {
        mac: (link.mac != nic.mac).then_some(nic.mac),
        mtu: (link.mtu != nic.mtu).then_some(nic.mtu),
        up: (!link.up).then_some(true),
        ..LinkChange::default()
    };
    if change != LinkChange::default() {
        netlink.set_link(link.index, &change, None).await?;
        changed += 1;
    }
    if nic.datapath == Datapath::Userspace && offload::tx_checksum(&nic.ifname)? {
        offload::disable_tx_checksum(&nic.ifname)?;
        changed += 1;
    }
    let found = netlink.addresses(link.index).await?;
    let wanted: Vec<IpNet> = nic.addrs.iter().map(|addr| IpNet::from(*addr)).collect();
    for address in wanted.iter().filter(|address| !found.contains(address)) {
        netlink.set_address(link.index, *address).await?;
        changed += 1;
    }
    for address in found
        .iter()
        .filter(|address| !wanted.contains(address) && !is_link_local(address.addr()))
    {
        netlink.delete_address(link.index, *address).await?;
        changed += 1;
    }
    let neighbours = netlink.neighbours(link.index).await?;
    for router in nic
        .addrs
        .iter()
        .map(|addr| router_for(*addr))
        .collect::<BTreeSet<_>>()
    {
        let known = neighbours
            .iter()
            .any(|n| n.permanent && n.addr == router && n.mac == nic.router_mac);
        if !known {
            netlink
                .set_neighbour(link.index, router, nic.router_mac)
                .await?;
            changed += 1;
        }
    }
    Ok(changed)
}

fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Lets the node forward between its pods and the outside.
///
/// The gateway's reverse path filter is loose: its routes are symmetric (Services and the addresses that stand for
/// them are routed where their answers come from), but a distribution's strict default must not decide over a
/// packet that the switch has already vouched for. It accepts this node's own addresses as sources: so comes back
/// what the node sent to a Service without endpoints, to be refused. It sends no redirects, as far as the setting
/// for all devices leaves that to it: nobody behind it has another way to go.
///
/// IPv6 forwarding makes a node deaf to router advertisements unless `accept_ra` is 2; an uplink that listens to
/// them now is told to go on.
async fn set_sysctls(nic: &GatewayNic) -> Result<usize, HostError> {
    let ifname = nic.ifname.clone();
    let (v4, v6) = (
        nic.addrs.iter().any(IpAddr::is_ipv4),
        nic.addrs.iter().any(IpAddr::is_ipv6),
    );
    let uplinks: Vec<String> = if v6 {
        let links = Netlink::open()?.links().await?;
        links
            .into_iter()
            .map(|link| link.name)
            .filter(|name| *name != ifname)
            .collect()
    } else {
        Vec::new()
    };
    on_own_thread(move || {
        let mut written = 0;
        let mut set = |key: &str, value: &str| {
            sysctl::set(key, value).map(|wrote| written += usize::from(wrote))
        };
        if v4 {
            set(&format!("ipv4/conf/{ifname}/rp_filter"), "2")?;
            set(&format!("ipv4/conf/{ifname}/accept_local"), "1")?;
            set(&format!("ipv4/conf/{ifname}/send_redirects"), "0")?;
            set("ipv4/ip_forward", "1")?;
        }
        if v6 {
            for name in ["accept_ra", "accept_dad", "accept_redirects"] {
                set(&format!("ipv6/conf/{ifname}/{name}"), "0")?;
            }
            set(&format!("ipv6/conf/{ifname}/disable_ipv6"), "0")?;
            if sysctl::read("ipv6/conf/all/forwarding")?.as_deref() != Some("1") {
                for uplink in uplinks {
                    let key = format!("ipv6/conf/{uplink}/accept_ra");
                    if sysctl::read(&key)?.as_deref() == Some("1") {
                        set(&key, "2")?;
                    }
                }
                set("ipv6/conf/all/forwarding", "1")?;
            }
        }
        Ok(written)
    })
    .await
}
