//! Addresses of devices.

use std::net::IpAddr;

use ipnet::IpNet;
use nix::errno::Errno;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};

use super::{HostError, NLM_F_CREATE, NLM_F_REPLACE, Netlink, RouteNetlinkMessage, family, unless};

/// An address with its prefix length, as `ip address show` prints it.
pub type Address = IpNet;

impl Netlink {
    /// Gives the device an address, without duplicate address detection and without a route for its prefix.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn set_address(&self, index: u32, address: Address) -> Result<(), HostError> {
        let mut message = named(index, address);
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(
            AddressFlags::Nodad | AddressFlags::Noprefixroute,
        ));
        self.change(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_REPLACE,
        )
        .await
        .map_err(|error| {
            HostError::kernel(format!("add address {address} to device {index}"), error)
        })
    }

    /// Takes an address away; says whether it was still there.
    ///
    /// # Errors
    /// [`HostError::Kernel`] for any answer but "no such address".
    pub async fn delete_address(&self, index: u32, address: Address) -> Result<bool, HostError> {
        let message = RouteNetlinkMessage::DelAddress(named(index, address));
        unless(self.change(message, 0).await, Errno::EADDRNOTAVAIL).map_err(|error| {
            HostError::kernel(
                format!("remove address {address} from device {index}"),
                error,
            )
        })
    }

    /// The addresses of a device, link-local ones included.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn addresses(&self, index: u32) -> Result<Vec<Address>, HostError> {
        let mut message = AddressMessage::default();
        message.header.index = index;
        let found = self
            .dump(RouteNetlinkMessage::GetAddress(message))
            .await
            .map_err(|error| {
                HostError::kernel(format!("list addresses of device {index}"), error)
            })?;
        Ok(found
            .iter()
            .filter_map(|message| parse(index, message))
            .collect())
    }
}

fn named(index: u32, address: Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.addr());
    message.header.index = index;
    message.header.prefix_len = address.prefix_len();
    message
        .attributes
        .push(AddressAttribute::Local(address.addr()));
    message
        .attributes
        .push(AddressAttribute::Address(address.addr()));
    message
}

fn parse(index: u32, message: &RouteNetlinkMessage) -> Option<Address> {
    let RouteNetlinkMessage::NewAddress(message) = message else {
        return None;
    };
    if message.header.index != index {
        return None;
    }
    // IPv4 puts the address itself into IFA_LOCAL and the peer's into IFA_ADDRESS; IPv6 has only the latter.
    let mut addr: Option<IpAddr> = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => addr = Some(*local),
            AddressAttribute::Address(address) if addr.is_none() => addr = Some(*address),
            _ => {}
        }
    }
    IpNet::new(addr?, message.header.prefix_len).ok()
}
