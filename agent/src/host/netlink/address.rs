//! Addresses of devices, and news of them.

use std::{collections::BTreeSet, io, net::IpAddr};

use ipnet::IpNet;
use nix::errno::Errno;
use nix::libc::{RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage,
};
use rtnetlink::sys::{
    AsyncSocket as _, AsyncSocketExt as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE,
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
        let of_device = found.iter().filter_map(parse);
        let of_device = of_device.filter(|(of, _)| *of == index);
        Ok(of_device.map(|(_, address)| address).collect())
    }

    /// The addresses of all devices, link-local ones included.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn all_addresses(&self) -> Result<BTreeSet<IpAddr>, HostError> {
        let message = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let found = self.dump(message).await;
        let found = found.map_err(|error| HostError::kernel("list addresses", error))?;
        let found = found.iter().filter_map(parse);
        Ok(found.map(|(_, address)| address.addr()).collect())
    }
}

/// Says when addresses come or go in the network namespace of the thread that opened it. What is heard is not read, so
/// nothing piles up: what there is is for [`Netlink`] to tell.
pub struct AddressNews(TokioSocket);

impl AddressNews {
    /// Hears what happens from now on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The kernel's, when it gives no socket.
    pub fn open() -> io::Result<AddressNews> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        let groups = (RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR).cast_unsigned();
        socket.socket_mut().bind(&SocketAddr::new(0, groups))?;
        Ok(AddressNews(socket))
    }

    /// Waits until something happened since it was last asked; all of it is one piece of news.
    ///
    /// # Errors
    /// The socket's.
    pub async fn next(&mut self) -> io::Result<()> {
        let mut heard = self.0.recv_from_full().await.map(drop);
        while heard.is_ok() {
            heard = self.0.socket_ref().recv_from_full().map(drop);
        }
        match heard {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            // There was more than the kernel had room for.
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => Ok(()),
            heard => heard,
        }
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

/// The device's index, and the address.
fn parse(message: &RouteNetlinkMessage) -> Option<(u32, Address)> {
    let RouteNetlinkMessage::NewAddress(message) = message else {
        return None;
    };
    // IPv4 puts the address itself into IFA_LOCAL and the peer's into IFA_ADDRESS; IPv6 has only the latter.
    let mut addr: Option<IpAddr> = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(local) => addr = Some(*local),
            AddressAttribute::Address(address) if addr.is_none() => addr = Some(*address),
            _ => {}
        }
    }
    let address = IpNet::new(addr?, message.header.prefix_len).ok()?;
    Some((message.header.index, address))
}
