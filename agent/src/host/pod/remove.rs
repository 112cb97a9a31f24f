//! Taking a pod's interface away, and putting it back after the switch lost it.

use std::{path::PathBuf, time::Duration};

use super::{Attachment, PodNic, check, finish, move_in};
use crate::host::{
    HostError, Mac,
    netlink::{Netlink, wait_for_link},
    netns::Netns,
};

/// What is known of an attachment that is to go; less than what it took to make it, because a DEL may come after
/// anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remnant {
    /// The port's device in the node's namespace.
    pub host_ifname: String,
    /// The file that names the pod's namespace, if it is known.
    pub netns: Option<PathBuf>,
    /// The interface's name inside the pod.
    pub ifname: String,
    /// The pod's Ethernet address, if it is known: an interface of another address is somebody else's and stays.
    pub mac: Option<Mac>,
    /// How the pod hung on the switch.
    pub attachment: Attachment,
}

/// Removes what [`plumb`](super::plumb) made, in any state of completion; succeeds when nothing is left to remove.
///
/// An internal port's own device goes with its port, which is the caller's to delete (before or after).
///
/// # Errors
/// [`HostError::Kernel`] when the kernel refuses; nothing being there is no error.
pub async fn unplumb(remnant: &Remnant) -> Result<(), HostError> {
    if remnant.attachment == Attachment::Veth {
        let netlink = Netlink::open()?;
        if let Some(link) = netlink.link(&remnant.host_ifname).await?
            && link.kind.as_deref() == Some("veth")
        {
            netlink.delete_link(link.index).await?;
        }
    }
    let Some(path) = &remnant.netns else {
        return Ok(());
    };
    let inside = remnant.clone();
    let result = match Netns::open(path) {
        Ok(netns) => {
            netns
                .run(move || async move { remove_inside(&inside).await })
                .await
        }
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.namespace_is_gone() => Ok(()),
        other => other,
    }
}

/// Runs inside the pod.
async fn remove_inside(remnant: &Remnant) -> Result<(), HostError> {
    let netlink = Netlink::open()?;
    if let Some(link) = netlink.link(&remnant.ifname).await?
        && remnant.mac.is_none_or(|mac| mac == link.mac)
    {
        netlink.delete_link(link.index).await?;
    }
    // A tap that was moved but not yet renamed, or is no longer the switch's. The kernel datapath's own device
    // cannot be deleted but by the switch, together with its port.
    if remnant.attachment == Attachment::Internal
        && let Some(link) = netlink.link(&remnant.host_ifname).await?
        && link.kind.as_deref() != Some("openvswitch")
    {
        netlink.delete_link(link.index).await?;
    }
    Ok(())
}

/// What [`replumb`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replumbed {
    /// The pod's interface was well; nothing was changed.
    Well,
    /// The interface was repaired in place.
    Repaired,
    /// The port's new device was moved in, in place of the orphan.
    Replaced,
}

/// Puts a pod's interface back into order, most often after a restart of the switch: on the userspace datapath
/// that leaves the old tap in the pod without a carrier and creates a new one of the same name on the node.
/// The new device gets everything the old one had. Waits for it for `limit`.
///
/// # Errors
/// [`HostError`]; [`HostError::NoDevice`] when the interface is broken and the switch offers no new device.
pub async fn replumb(nic: &PodNic, limit: Duration) -> Result<Replumbed, HostError> {
    use super::Problem;
    let netns = Netns::open(&nic.netns)?;
    let problems = check(nic).await?;
    if problems.is_empty() {
        return Ok(Replumbed::Well);
    }
    if problems.contains(&Problem::NoNamespace) {
        return Err(HostError::Netns {
            path: nic.netns.clone(),
            source: std::io::Error::from_raw_os_error(nix::libc::ENOENT),
        });
    }
    let lost = problems.iter().any(|problem| {
        matches!(
            problem,
            Problem::NoDevice(..) | Problem::NoCarrier(_) | Problem::NotStacked(_)
        )
    });
    if !lost {
        reset(nic, &netns).await?;
        return Ok(Replumbed::Repaired);
    }
    if nic.attachment == Attachment::Veth {
        unplumb(&remnant(nic)).await?;
        super::plumb(nic, limit).await?;
        return Ok(Replumbed::Replaced);
    }
    // First the new device, then the end of the old one: if the switch offers none, the pod keeps what it has.
    let device = wait_for_link(&nic.host_ifname, limit).await?;
    let old = remnant(nic);
    netns
        .run(move || async move { remove_inside(&old).await })
        .await?;
    move_in(nic, &netns, &device).await?;
    finish(nic, &netns).await?;
    Ok(Replumbed::Replaced)
}

/// Gives the interface its address and MTU again, then everything else.
async fn reset(nic: &PodNic, netns: &Netns) -> Result<(), HostError> {
    let wanted = nic.clone();
    netns
        .run(move || async move {
            let netlink = Netlink::open()?;
            let link = super::existing(&netlink, &wanted.ifname).await?;
            let change = crate::host::netlink::LinkChange {
                mac: (link.mac != wanted.mac).then_some(wanted.mac),
                mtu: (link.mtu != wanted.mtu).then_some(wanted.mtu),
                ..Default::default()
            };
            netlink.set_link(link.index, &change, None).await
        })
        .await?;
    finish(nic, netns).await
}

fn remnant(nic: &PodNic) -> Remnant {
    Remnant {
        host_ifname: nic.host_ifname.clone(),
        netns: Some(nic.netns.clone()),
        ifname: nic.ifname.clone(),
        mac: None,
        attachment: nic.attachment,
    }
}
