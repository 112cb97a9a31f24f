//! Undoing what this module did to the node's own network, and nothing else.

use super::{HostError, ROUTE_PROTOCOL, netlink::Netlink, nft};

/// What [`cleanup`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Routes of ours.
    pub routes: usize,
    /// Whether the masquerading table was there.
    pub masquerade: bool,
}

/// Removes every route of ours and the masquerading table. Devices go with their ports, which are the caller's;
/// addresses and neighbours go with their devices. Forwarding stays on: who else relies on it cannot be known.
///
/// # Errors
/// [`HostError`]; what was removed before stays removed, and calling again goes on.
pub async fn cleanup() -> Result<Cleaned, HostError> {
    let netlink = Netlink::open()?;
    let mut cleaned = Cleaned::default();
    for route in netlink.routes(Some(ROUTE_PROTOCOL)).await? {
        cleaned.routes += usize::from(netlink.delete_route(&route).await?);
    }
    cleaned.masquerade = nft::remove_masquerade().await?;
    Ok(cleaned)
}
