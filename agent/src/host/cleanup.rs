//! Undoing what this module did to the node's own network, and nothing else.

use super::{HostError, nft, routes};

/// What [`cleanup`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Routes of ours.
    pub routes: usize,
    /// Whether the nftables table was there.
    pub table: bool,
}

/// Removes every route of ours and the nftables table. Devices go with their ports, which are the caller's;
/// addresses and neighbours go with their devices. Forwarding stays on: who else relies on it cannot be known.
///
/// # Errors
/// [`HostError`]; what was removed before stays removed, and calling again goes on.
pub async fn cleanup() -> Result<Cleaned, HostError> {
    Ok(Cleaned {
        routes: routes::remove().await?,
        table: nft::remove().await?,
    })
}
