//! Masquerading of what pods send to the outside, in an nftables table of our own.
//!
//! `nft list table inet sluice` shows it:
//!
//! ```text
//! table inet sluice {
//!     chain postrouting {
//!         type nat hook postrouting priority srcnat; policy accept;
//!         iifname "sluice0" oifname != "sluice0" ip saddr 10.1.0.0/24 masquerade comment "sluice …"
//!     }
//! }
//! ```
//!
//! A packet that came through the gateway device with an address of this node's podCIDRs and leaves through any
//! other device goes out under the node's address. What the node itself sends is left alone. Changes are one
//! atomic batch. Each rule carries a comment that spells out what it does; comparing those tells whether anything
//! has to be changed. (`iifname` is known in postrouting since Linux 5.7.)
//!
//! Must not know pods or routes.

use std::{io, net::IpAddr};

use ipnet::IpNet;

use super::HostError;

mod batch;
mod rule;

/// The name of the table, in the family `inet`.
pub const TABLE: &str = "sluice";

/// The name of its only chain.
pub const CHAIN: &str = "postrouting";

/// What is to be masqueraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masquerade {
    /// The gateway device.
    pub gateway: String,
    /// The node's own podCIDRs, of both families.
    pub pod_cidrs: Vec<IpNet>,
}

impl Masquerade {
    /// The comments of the rules that should be there, in order.
    fn comments(&self) -> Vec<String> {
        self.pod_cidrs
            .iter()
            .map(|cidr| rule::comment(&self.gateway, cidr.trunc()))
            .collect()
    }
}

/// Makes the table say what `wanted` says, in one transaction; says whether it had to be changed. Connections
/// that are being masqueraded are not disturbed: conntrack remembers them.
///
/// # Errors
/// [`HostError::Kernel`], `EOPNOTSUPP` or `ENOENT` among others when the kernel lacks nftables or its `masq` expression.
pub async fn ensure_masquerade(wanted: &Masquerade) -> Result<bool, HostError> {
    let wanted = wanted.clone();
    super::netns::on_own_thread(move || {
        let action = "set up masquerading";
        if batch::comments().map_err(|error| HostError::kernel(action, error))?
            == Some(wanted.comments())
        {
            return Ok(false);
        }
        batch::replace(&wanted).map_err(|error| HostError::kernel(action, error))?;
        Ok(true)
    })
    .await
}

/// Deletes the table; says whether it was there.
///
/// # Errors
/// [`HostError::Kernel`].
pub async fn remove_masquerade() -> Result<bool, HostError> {
    super::netns::on_own_thread(|| {
        let action = "remove masquerading";
        if batch::comments()
            .map_err(|error| HostError::kernel(action, error))?
            .is_none()
        {
            return Ok(false);
        }
        batch::delete().map_err(|error| HostError::kernel(action, error))?;
        Ok(true)
    })
    .await
}

/// An address's bytes in network order.
fn octets(addr: IpAddr) -> Vec<u8> {
    match addr {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
