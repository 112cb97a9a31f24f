//! Attaching pods as the plugin does, without its process.

use std::time::Duration;

use anyhow::{Context as _, Result};
use sluice_rpc::method::CniAdd;
use sluice_rpc::{AddRequest, Client, Deadline, PodRef};

use crate::pod_netns::PodNetns;

const PATIENCE: Duration = Duration::from_secs(60);

/// Attaches a pod, whose container is called by this number.
///
/// # Errors
/// What the agent says.
pub(crate) fn add(client: &mut Client, number: u16, pod: PodRef, netns: &PodNetns) -> Result<()> {
    let request = AddRequest {
        container_id: format!("{number:064x}"),
        ifname: "eth0".into(),
        netns: netns.path().display().to_string(),
        network: "sluice".into(),
        pod: Some(pod),
        mtu: None,
        deadline_ms: 60_000,
        attempt: 0,
    };
    client
        .call::<CniAdd>(&request, Deadline::after(PATIENCE))
        .with_context(|| format!("cannot attach pod {number}"))?;
    Ok(())
}
