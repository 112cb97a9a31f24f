//! Routes of the main table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteScope, RouteType,
};

use super::{
    AddressFamily, HostError, NLM_F_CREATE, NLM_F_REPLACE, Netlink, RouteNetlinkMessage, family,
    unless,
};

/// A unicast route through a gateway that is reached directly over the device ("onlink").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The destination.
    pub to: IpNet,
    /// The next hop.
    pub via: IpAddr,
    /// The device, by index.
    pub device: u32,
    /// The source address that the node's own packets get.
    pub source: Option<IpAddr>,
    /// Who put the route there (`rtm_protocol`).
    pub protocol: u8,
}

impl Netlink {
    /// Puts a route into the main table, in place of any other for the same destination and metric.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn set_route(&self, route: &Route) -> Result<(), HostError> {
        self.change(
            RouteNetlinkMessage::NewRoute(message(route)),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
        .await
        .map_err(|error| {
            HostError::kernel(
                format!("set route to {} via {}", route.to, route.via),
                error,
            )
        })
    }

    /// Takes a route out of the main table; says whether it was still there.
    ///
    /// # Errors
    /// [`HostError::Kernel`] for any answer but "no such route".
    pub async fn delete_route(&self, route: &Route) -> Result<bool, HostError> {
        unless(
            self.change(RouteNetlinkMessage::DelRoute(message(route)), 0)
                .await,
            Errno::ESRCH,
        )
        .map_err(|error| {
            HostError::kernel(
                format!("remove route to {} via {}", route.to, route.via),
                error,
            )
        })
    }

    /// The routes of the main table that go over a gateway and were put there by `protocol`, or by anybody.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn routes(&self, protocol: Option<u8>) -> Result<Vec<Route>, HostError> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut filter = RouteMessage::default();
            filter.header.address_family = family;
            filter.header.table = RouteHeader::RT_TABLE_MAIN;
            filter.header.protocol = protocol.unwrap_or_default().into();
            let found = match self.dump(RouteNetlinkMessage::GetRoute(filter)).await {
                Ok(found) => found,
                // A filtered dump of a table that no route was ever put into.
                Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => Vec::new(),
                Err(error) => return Err(HostError::kernel("list routes", error)),
            };
            all.extend(
                found
                    .iter()
                    .filter_map(parse)
                    .filter(|route| protocol.is_none_or(|wanted| wanted == route.protocol)),
            );
        }
        Ok(all)
    }
}

pub(super) fn message(route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.to.addr());
    message.header.destination_prefix_length = route.to.prefix_len();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = route.protocol.into();
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    message.header.flags = RouteFlags::Onlink;
    if route.to.prefix_len() > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(route.to.network().into()));
    }
    message
        .attributes
        .push(RouteAttribute::Gateway(route.via.into()));
    message.attributes.push(RouteAttribute::Oif(route.device));
    if let Some(source) = route.source {
        message
            .attributes
            .push(RouteAttribute::PrefSource(source.into()));
    }
    message
}

fn parse(message: &RouteNetlinkMessage) -> Option<Route> {
    let RouteNetlinkMessage::NewRoute(message) = message else {
        return None;
    };
    if message.header.kind != RouteType::Unicast {
        return None;
    }
    let mut table = u32::from(message.header.table);
    let mut to = match message.header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let (mut via, mut device, mut source) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => to = ip(address)?,
            RouteAttribute::Gateway(address) => via = ip(address),
            RouteAttribute::PrefSource(address) => source = ip(address),
            RouteAttribute::Oif(index) => device = Some(*index),
            RouteAttribute::Table(id) => table = *id,
            _ => {}
        }
    }
    if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
        return None;
    }
    Some(Route {
        to: IpNet::new(to, message.header.destination_prefix_length).ok()?,
        via: via?,
        device: device?,
        source,
        protocol: message.header.protocol.into(),
    })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}
