//! Which addresses the node has, whoever gave them to it, told whenever that changes.
//!
//! Must not know what any of them is for.

use std::{collections::BTreeSet, convert::Infallible, io, net::IpAddr, time::Duration};

use tokio::sync::watch;

use super::{HostError, netlink::AddressNews, netlink::Netlink};

/// How often to look although nothing was heard: news that the kernel has no room for are lost.
const LOOK: Duration = Duration::from_secs(30);
/// Pause before another attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// Tells the addresses of all devices in the calling thread's namespace, link-local ones included, at once and then
/// whenever they are others. Never ends; what the kernel refuses is tried again.
pub async fn follow(tell: watch::Sender<Option<BTreeSet<IpAddr>>>) {
    loop {
        let Err(error) = listen(&tell).await;
        tracing::warn!(%error, "cannot see the node's addresses come and go; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen(tell: &watch::Sender<Option<BTreeSet<IpAddr>>>) -> Result<Infallible, HostError> {
    // Before the first look, so that nothing happens in between.
    let failed = |error: io::Error| HostError::kernel("listen for news of addresses", error);
    let mut news = AddressNews::open().map_err(failed)?;
    let netlink = Netlink::open()?;
    loop {
        let now = Some(netlink.all_addresses().await?);
        tell.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
        match tokio::time::timeout(LOOK, news.next()).await {
            Ok(heard) => heard.map_err(failed)?,
            Err(_elapsed) => {}
        }
    }
}
