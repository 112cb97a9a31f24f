//! As little netlink as it takes to give a pod its interface, on blocking sockets: what a program
//! written for nothing else would send. All requests of one namespace go in one message.

use std::io::IoSlice;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Result, bail, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendmsg,
    socket,
};

const RTM_NEWLINK: u16 = 16;
const RTM_SETLINK: u16 = 19;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const RTM_NEWNEIGH: u16 = 28;
const NLMSG_ERROR: u16 = 2;
const REQUEST_ACK: u16 = 0x5;
const CREATE_REPLACE: u16 = 0x500;
const IFF_UP: u32 = 1;

/// Requests, to be sent together.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// One request: header, fixed part, attributes, each padded to four bytes.
    fn push(
        &mut self,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        attributes: &[(u16, &[u8])],
    ) -> Result<()> {
        let mut body = fixed.to_vec();
        for (kind, value) in attributes {
            body.extend(u16::try_from(value.len() + 4)?.to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.count += 1;
        self.bytes
            .extend(u32::try_from(body.len() + 16)?.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST_ACK).to_ne_bytes());
        self.bytes.extend(self.count.to_ne_bytes());
        self.bytes.extend(0u32.to_ne_bytes());
        self.bytes.extend(body);
        Ok(())
    }

    /// `struct ifinfomsg`.
    fn link(index: u32, up: bool) -> Vec<u8> {
        let flags = if up { IFF_UP } else { 0 };
        [
            0u32.to_ne_bytes(),
            index.to_ne_bytes(),
            flags.to_ne_bytes(),
            flags.to_ne_bytes(),
        ]
        .concat()
    }

    pub(crate) fn up(&mut self, index: u32) -> Result<()> {
        self.push(RTM_NEWLINK, 0, &Self::link(index, true), &[])
    }

    /// Moves a device into a namespace, with a new name, MAC and MTU.
    pub(crate) fn move_in(
        &mut self,
        index: u32,
        name: &str,
        mac: [u8; 6],
        mtu: u32,
        netns: i32,
    ) -> Result<()> {
        let name = format!("{name}\0");
        self.push(
            RTM_SETLINK,
            0,
            &Self::link(index, false),
            &[
                (3, name.as_bytes()),
                (1, &mac),
                (4, &mtu.to_ne_bytes()),
                (28, &netns.to_ne_bytes()),
            ],
        )
    }

    /// Adds a host address; `struct ifaddrmsg`, flag NODAD.
    pub(crate) fn address(&mut self, index: u32, address: IpAddr) -> Result<()> {
        let (family, octets) = parts(address);
        let mut fixed = vec![family, u8::try_from(octets.len() * 8)?, 2, 0];
        fixed.extend(index.to_ne_bytes());
        self.push(
            RTM_NEWADDR,
            CREATE_REPLACE,
            &fixed,
            &[(2, &octets), (1, &octets)],
        )
    }

    /// Adds a permanent neighbour; `struct ndmsg`.
    pub(crate) fn neighbour(&mut self, index: u32, address: IpAddr, mac: [u8; 6]) -> Result<()> {
        let (family, octets) = parts(address);
        let mut fixed = vec![family, 0, 0, 0];
        fixed.extend(index.to_ne_bytes());
        fixed.extend(0x80u16.to_ne_bytes());
        fixed.extend([0, 0]);
        self.push(
            RTM_NEWNEIGH,
            CREATE_REPLACE,
            &fixed,
            &[(1, &octets), (2, &mac)],
        )
    }

    /// Adds a default route, onlink; `struct rtmsg`.
    pub(crate) fn default_route(&mut self, index: u32, via: IpAddr) -> Result<()> {
        let (family, octets) = parts(via);
        let mut fixed = vec![family, 0, 0, 0, 254, 4, 0, 1];
        fixed.extend(4u32.to_ne_bytes());
        self.push(
            RTM_NEWROUTE,
            CREATE_REPLACE,
            &fixed,
            &[(5, &octets), (4, &index.to_ne_bytes())],
        )
    }

    /// Sends all and waits for every acknowledgement.
    ///
    /// # Errors
    /// The kernel's first refusal.
    pub(crate) fn send(self) -> Result<()> {
        let socket = open()?;
        sendmsg::<NetlinkAddr>(
            socket.as_raw_fd(),
            &[IoSlice::new(&self.bytes)],
            &[],
            MsgFlags::empty(),
            None,
        )?;
        let mut left = self.count;
        let mut buffer = [0u8; 16_384];
        while left > 0 {
            let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            for (kind, body) in messages(buffer.get(..length).unwrap_or_default()) {
                if kind != NLMSG_ERROR {
                    continue;
                }
                left -= 1;
                let code = body
                    .get(..4)
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(i32::from_ne_bytes);
                let request = body
                    .get(12..16)
                    .and_then(|bytes| bytes.try_into().ok())
                    .map(u32::from_ne_bytes);
                ensure!(
                    code == Some(0),
                    "netlink request {request:?} refused: {code:?}"
                );
            }
        }
        Ok(())
    }
}

fn open() -> Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(fd)
}

fn parts(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (2, v4.octets().to_vec()),
        IpAddr::V6(v6) => (10, v6.octets().to_vec()),
    }
}

/// Type and body of each message in a datagram.
fn messages(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let Some((length, kind)) = header(bytes) {
        let Some(body) = bytes.get(16..length) else {
            break;
        };
        found.push((kind, body));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn header(bytes: &[u8]) -> Option<(usize, u16)> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    Some((usize::try_from(length).ok()?, kind))
}

/// The index of a device in this thread's namespace.
pub(crate) fn index_of(name: &str) -> Result<u32> {
    match nix::net::if_::if_nametoindex(name) {
        Ok(index) => Ok(index),
        Err(errno) => bail!("no device {name}: {errno}"),
    }
}
