//! Transmit checksum offload, by the `SIOCETHTOOL` ioctl (`linux/ethtool.h`).
//!
//! On the userspace datapath the switch reads a pod's packets from a socket or a tap; a checksum that the pod
//! left to "the hardware" is then never filled in, and TCP stalls. The kernel has no way to turn the offload off
//! by rtnetlink; the ioctl is one call for all protocols and there since ever, where ethtool's generic netlink
//! needs a family look-up and a newer kernel.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    libc,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::HostError;

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const ETHTOOL_GTXCSUM: u32 = 0x16;
const ETHTOOL_STXCSUM: u32 = 0x17;

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

/// Turns transmit checksumming of `ifname` off in the calling thread's namespace (`ethtool -K IF tx off`); what
/// depends on it (segmentation offload) goes with it. A device that cannot change it has none to turn off.
pub(super) fn disable_tx_checksum(ifname: &str) -> Result<(), HostError> {
    let action = || format!("turn transmit checksum offload of {ifname} off");
    let fd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(|errno| HostError::kernel(action(), errno.into()))?;
    match ethtool(&fd, ifname, ETHTOOL_STXCSUM, 0) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        other => other
            .map(drop)
            .map_err(|error| HostError::kernel(action(), error)),
    }
}

/// Whether `ifname` leaves transmit checksums to somebody further down.
pub(super) fn tx_checksum(ifname: &str) -> Result<bool, HostError> {
    let action = || format!("read transmit checksum offload of {ifname}");
    let fd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .map_err(|errno| HostError::kernel(action(), errno.into()))?;
    match ethtool(&fd, ifname, ETHTOOL_GTXCSUM, 0) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
        Err(error) => Err(HostError::kernel(action(), error)),
        Ok(on) => Ok(on != 0),
    }
}

fn ethtool(fd: &OwnedFd, ifname: &str, cmd: u32, data: u32) -> io::Result<u32> {
    let mut value = EthtoolValue { cmd, data };
    // SAFETY: `ifreq` is a plain C structure of integers, arrays and pointers, for which all zeroes is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte less than the array: the name stays zero-terminated.
    if ifname.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(ifname.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: `fd` is an open socket; SIOCETHTOOL takes a pointer to an `ifreq` whose `ifru_data` points to the
    // command's structure, which for G/STXCSUM is `ethtool_value`; both live until the call returns.
    let answer = unsafe { libc::ioctl(fd.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(value.data)
    }
}
