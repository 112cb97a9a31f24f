//! Devices.

use nix::errno::Errno;
use rtnetlink::packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoMacVlan, InfoVeth,
    LinkFlags, LinkInfo, MacVlanMode,
};

use super::{
    HostError, LinkAttribute, LinkMessage, Mac, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, Netlink,
    RouteNetlinkMessage, link_name, unless,
};
use crate::host::netns::Netns;

/// A device as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its index, unique in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address; all zeroes if it has none.
    pub mac: Mac,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it has a carrier: a tap without its program, or a veth without its peer, has none.
    pub carrier: bool,
    /// Its driver's kind (`veth`, `tun`, `macvlan`, `openvswitch`), if it is a virtual device.
    pub kind: Option<String>,
    /// The device it is stacked upon or paired with, by index.
    pub lower: Option<u32>,
}

/// What to set on a device; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkChange<'a> {
    /// A new name.
    pub name: Option<&'a str>,
    /// A new Ethernet address.
    pub mac: Option<Mac>,
    /// A new MTU in bytes.
    pub mtu: Option<u32>,
    /// Administratively up or down.
    pub up: Option<bool>,
    /// Whether the kernel gives the device an IPv6 link-local address when it comes up.
    pub link_local: Option<bool>,
}

/// Where a device is to be moved.
#[derive(Clone, Copy, Debug)]
pub struct MoveInto<'a>(pub &'a Netns);

impl LinkChange<'_> {
    fn write(&self, message: &mut LinkMessage) {
        if let Some(mac) = self.mac {
            message
                .attributes
                .push(LinkAttribute::Address(mac.to_vec()));
        }
        if let Some(mtu) = self.mtu {
            message.attributes.push(LinkAttribute::Mtu(mtu));
        }
        if let Some(name) = self.name {
            message
                .attributes
                .push(LinkAttribute::IfName(name.to_owned()));
        }
        if let Some(wanted) = self.link_local {
            let mode = if wanted {
                In6AddrGenMode::Eui64
            } else {
                In6AddrGenMode::None
            };
            message
                .attributes
                .push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(
                    vec![AfSpecInet6::AddrGenMode(mode)],
                )]));
        }
        if let Some(up) = self.up {
            message.header.change_mask |= LinkFlags::Up;
            message.header.flags.set(LinkFlags::Up, up);
        }
    }
}

impl Netlink {
    /// The device called `name`, if there is one.
    ///
    /// # Errors
    /// [`HostError::Kernel`] for any answer but "no such device".
    pub async fn link(&self, name: &str) -> Result<Option<Link>, HostError> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        match self
            .exchange(RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST)
            .await
        {
            Ok(found) => Ok(found.iter().find_map(parse)),
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => Ok(None),
            Err(error) => Err(HostError::kernel(format!("look for device {name}"), error)),
        }
    }

    /// Every device of the namespace.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn links(&self) -> Result<Vec<Link>, HostError> {
        let found = self
            .dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))
            .await
            .map_err(|error| HostError::kernel("list devices", error))?;
        Ok(found.iter().filter_map(parse).collect())
    }

    /// Applies `change` to the device `index`, and moves it into another namespace first if asked to. The kernel
    /// does it in one request: move, address, MTU, name, up, in this order; what was done before a refusal stays.
    ///
    /// # Errors
    /// [`HostError::Kernel`].
    pub async fn set_link(
        &self,
        index: u32,
        change: &LinkChange<'_>,
        into: Option<MoveInto<'_>>,
    ) -> Result<(), HostError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        if let Some(MoveInto(netns)) = into {
            message
                .attributes
                .push(LinkAttribute::NetNsFd(netns.raw_fd()));
        }
        change.write(&mut message);
        self.change(RouteNetlinkMessage::SetLink(message), 0)
            .await
            .map_err(|error| {
                HostError::kernel(format!("configure device {index} ({change:?})"), error)
            })
    }

    /// Deletes a device; says whether it was still there.
    ///
    /// # Errors
    /// [`HostError::Kernel`] for any answer but "no such device".
    pub async fn delete_link(&self, index: u32) -> Result<bool, HostError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        unless(
            self.change(RouteNetlinkMessage::DelLink(message), 0).await,
            Errno::ENODEV,
        )
        .map_err(|error| HostError::kernel(format!("delete device {index}"), error))
    }

    /// Creates a veth pair: one end here, configured by `here`, the other in `there`, configured by `peer`.
    /// Both must carry names.
    ///
    /// # Errors
    /// [`HostError::Kernel`]; `EEXIST` when either name is taken.
    pub async fn add_veth(
        &self,
        here: &LinkChange<'_>,
        there: &Netns,
        peer: &LinkChange<'_>,
    ) -> Result<(), HostError> {
        let mut far = LinkMessage::default();
        far.attributes.push(LinkAttribute::NetNsFd(there.raw_fd()));
        peer.write(&mut far);
        let mut near = LinkMessage::default();
        here.write(&mut near);
        near.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
        ]));
        self.change(
            RouteNetlinkMessage::NewLink(near),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .await
        .map_err(|error| {
            HostError::kernel(format!("create veth pair {here:?} and {peer:?}"), error)
        })
    }

    /// Stacks a macvlan in mode passthru upon the device `lower`; it inherits `lower`'s Ethernet address.
    ///
    /// # Errors
    /// [`HostError::Kernel`]; `EEXIST` when the name is taken, `EINVAL` when `lower` already carries one.
    pub async fn add_macvlan_passthru(
        &self,
        lower: u32,
        change: &LinkChange<'_>,
    ) -> Result<(), HostError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::Link(lower));
        change.write(&mut message);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::MacVlan),
            LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(
                MacVlanMode::Passthrough,
            )])),
        ]));
        self.change(
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
        )
        .await
        .map_err(|error| {
            HostError::kernel(
                format!("stack a macvlan upon device {lower} ({change:?})"),
                error,
            )
        })
    }
}

fn parse(message: &RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else {
        return None;
    };
    let mut link = Link {
        index: message.header.index,
        name: link_name(message)?.to_owned(),
        mac: Mac::default(),
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        kind: None,
        lower: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Address(bytes) => {
                link.mac = Mac::try_from(bytes.as_slice()).unwrap_or_default()
            }
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Link(lower) => link.lower = Some(*lower),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(link)
}
