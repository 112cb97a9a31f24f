//! The one place that speaks rtnetlink: links, addresses, neighbours and routes as plain values.
//!
//! A [`Netlink`] is one socket in the network namespace of the thread that opened it. Nothing else in the agent
//! uses the `rtnetlink` crate, whose releases change their API freely and which is therefore pinned.
//!
//! Must not know what a pod or a gateway is.

use std::{io, net::IpAddr, time::Duration};

use futures::StreamExt;
use rtnetlink::{
    MulticastGroup,
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
        NetlinkMessage, NetlinkPayload,
    },
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        link::{LinkAttribute, LinkMessage},
    },
};
use tokio::{task::JoinHandle, time::Instant};

use super::{HostError, Mac};

mod address;
pub(super) mod attribute;
mod bulk;
mod link;
mod neighbour;
mod route;
pub(super) mod socket;

pub use address::{Address, AddressNews};
pub use bulk::{RouteChange, change_routes};
pub use link::{Link, LinkChange, MoveInto};
pub use neighbour::Neighbour;
pub use route::Route;

/// The loopback device has this index in every namespace (`LOOPBACK_IFINDEX`, `net/flow.h`).
pub(crate) const LOOPBACK: u32 = 1;

/// A route netlink socket of the namespace it was opened in. Requests are awaited one by one; dropping it closes
/// the socket.
#[derive(Debug)]
pub struct Netlink {
    handle: rtnetlink::Handle,
    connection: JoinHandle<()>,
}

impl Drop for Netlink {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`HostError::Kernel`] when the kernel gives no socket.
    pub fn open() -> Result<Netlink, HostError> {
        // Strict checking makes the kernel honour the filters of a dump.
        let (connection, handle, _) = rtnetlink::new_connection_with_strict_check()
            .map_err(|source| HostError::kernel("open a netlink socket", source))?;
        Ok(Netlink {
            handle,
            connection: tokio::spawn(connection),
        })
    }

    /// Sends one request and waits for its acknowledgement.
    async fn change(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.exchange(message, NLM_F_REQUEST | NLM_F_ACK | flags)
            .await
            .map(drop)
    }

    /// Sends one request and collects what comes back.
    async fn exchange(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = flags;
        let mut replies = self
            .handle
            .clone()
            .request(request)
            .map_err(io::Error::other)?;
        let mut found = Vec::new();
        while let Some(reply) = replies.next().await {
            match reply.payload {
                NetlinkPayload::InnerMessage(message) => found.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Overrun(_) => {
                    return Err(io::Error::other("netlink reply overrun"));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    async fn dump(&self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.exchange(message, NLM_F_REQUEST | NLM_F_DUMP).await
    }
}

/// Waits until a device called `name` exists in the calling thread's namespace and returns it, woken by link
/// events.
///
/// # Errors
/// [`HostError::NoDevice`] after `limit`.
pub async fn wait_for_link(name: &str, limit: Duration) -> Result<Link, HostError> {
    let netlink = Netlink::open()?;
    if let Some(link) = netlink.link(name).await? {
        return Ok(link);
    }
    let (connection, _handle, mut events) =
        rtnetlink::new_multicast_connection(&[MulticastGroup::Link])
            .map_err(|source| HostError::kernel("listen for link events", source))?;
    let _listener = AbortOnDrop(tokio::spawn(connection));
    let deadline = Instant::now() + limit;
    // Asked once more after subscribing, and again whenever something happened that may have been it. The slow
    // tick covers events that the kernel dropped because the socket was full.
    loop {
        if let Some(link) = netlink.link(name).await? {
            return Ok(link);
        }
        let tick = (Instant::now() + Duration::from_secs(1)).min(deadline);
        loop {
            match tokio::time::timeout_at(tick, events.next()).await {
                Ok(Some((event, _))) if names(&event, name) => break,
                Ok(Some(_)) => {}
                Ok(None) => {
                    return Err(HostError::kernel(
                        "listen for link events",
                        io::ErrorKind::BrokenPipe.into(),
                    ));
                }
                Err(_) if Instant::now() >= deadline => {
                    return Err(HostError::NoDevice {
                        name: name.to_owned(),
                        waited: limit,
                    });
                }
                Err(_) => break,
            }
        }
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn names(event: &NetlinkMessage<RouteNetlinkMessage>, name: &str) -> bool {
    match &event.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
            link_name(link) == Some(name)
        }
        _ => false,
    }
}

fn link_name(message: &LinkMessage) -> Option<&str> {
    message
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.as_str()),
            _ => None,
        })
}

fn family(addr: IpAddr) -> AddressFamily {
    match addr {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

/// Treats one errno as success: the state asked for is there already, or gone already.
fn unless(result: io::Result<()>, errno: nix::errno::Errno) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(errno as i32) => Ok(false),
        Err(error) => Err(error),
    }
}
