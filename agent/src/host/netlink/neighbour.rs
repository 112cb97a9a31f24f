//! Permanent neighbour entries.

use std::net::IpAddr;

use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};

use super::{
    AddressFamily, HostError, Mac, NLM_F_CREATE, NLM_F_REPLACE, Netlink, RouteNetlinkMessage,
    family,
};

/// A neighbour of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its address.
    pub addr: IpAddr,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Whether the entry stays until it is removed.
    pub permanent: bool,
}

impl Netlink {
    /// Makes `mac` the Ethernet address of `addr` on the device, for good.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn set_neighbour(&self, index: u32, addr: IpAddr, mac: Mac) -> Result<(), HostError> {
        let mut message = NeighbourMessage::default();
        message.header.family = family(addr);
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message
            .attributes
            .push(NeighbourAttribute::Destination(match addr {
                IpAddr::V4(addr) => NeighbourAddress::Inet(addr),
                IpAddr::V6(addr) => NeighbourAddress::Inet6(addr),
            }));
        message
            .attributes
            .push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
        self.change(
            RouteNetlinkMessage::NewNeighbour(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
        .await
        .map_err(|error| {
            HostError::kernel(format!("set neighbour {addr} of device {index}"), error)
        })
    }

    /// The neighbours of a device that have an Ethernet address.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn neighbours(&self, index: u32) -> Result<Vec<Neighbour>, HostError> {
        let mut all = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = NeighbourMessage::default();
            message.header.family = family;
            message.attributes.push(NeighbourAttribute::IfIndex(index));
            let found = self
                .dump(RouteNetlinkMessage::GetNeighbour(message))
                .await
                .map_err(|error| {
                    HostError::kernel(format!("list neighbours of device {index}"), error)
                })?;
            all.extend(found.iter().filter_map(|message| parse(index, message)));
        }
        Ok(all)
    }
}

fn parse(index: u32, message: &RouteNetlinkMessage) -> Option<Neighbour> {
    let RouteNetlinkMessage::NewNeighbour(message) = message else {
        return None;
    };
    if message.header.ifindex != index {
        return None;
    }
    let mut addr = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                addr = Some(IpAddr::V4(*v4))
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                addr = Some(IpAddr::V6(*v6))
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => {
                mac = Mac::try_from(bytes.as_slice()).ok()
            }
            _ => {}
        }
    }
    Some(Neighbour {
        addr: addr?,
        mac: mac?,
        permanent: message.header.state == NeighbourState::Permanent,
    })
}
