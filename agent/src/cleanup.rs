//! Undoing everything that the agent made on a node, and nothing else. Calling it again is fine.
//!
//! Removed: the bridge with its ports (pods lose their network), `flow-restore-wait`, conntrack timeouts, veth pairs,
//! routes, the nftables table, the conflist, the state file, the socket. Left: what others made, IP forwarding.

use std::time::Duration;

use anyhow::Context as _;

use crate::attach::record::Record;
use crate::config::{AttachMode, Config};
use crate::host::{self, pod};
use crate::metrics::Metrics;
use crate::switch::{Switch, SwitchError};
use crate::{conflist, daemon};

/// How long the database may take to answer.
const REACH: Duration = Duration::from_secs(10);

/// Removes what the agent made.
///
/// # Errors
/// If an agent still runs, or something cannot be removed; what can be removed is, all the same.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(clean(config))
}

/// As [`run`], on the current runtime.
///
/// # Errors
/// As [`run`].
pub async fn clean(config: &Config) -> anyhow::Result<()> {
    if tokio::net::UnixStream::connect(&config.socket)
        .await
        .is_ok()
    {
        anyhow::bail!(
            "an agent listens on {}: stop it first",
            config.socket.display()
        );
    }
    let mut failures: Vec<String> = Vec::new();
    let mut note = |what: &str, result: anyhow::Result<bool>| match result {
        Ok(true) => tracing::info!("{what}: removed"),
        Ok(false) => tracing::info!("{what}: not there"),
        Err(error) => failures.push(format!("{what}: {error:#}")),
    };
    // First of all, so that no runtime sends further pods here.
    if let Some(path) = &config.conflist.0 {
        note("conflist", conflist::remove(path));
    }
    note("bridge", bridge(config).await);
    if let Some(path) = &config.state_file.0 {
        let removed = match std::fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        };
        note("state file", removed);
    }
    let cleaned = host::cleanup().await;
    note(
        "routes and nftables table",
        match cleaned {
            Ok(cleaned) => Ok(cleaned.routes > 0 || cleaned.table),
            Err(error) => Err(error.into()),
        },
    );
    note(
        "socket",
        match std::fs::remove_file(&config.socket) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        },
    );
    if failures.is_empty() {
        Ok(())
    } else {
        Err(anyhow::anyhow!("{}", failures.join("; ")))
    }
}

/// The bridge, and the devices that do not go with their ports.
async fn bridge(config: &Config) -> anyhow::Result<bool> {
    let (metrics, _) = Metrics::new();
    let switch = Switch::connect(&config.ovsdb, daemon::wanted(config), REACH, metrics).await?;
    let torn = switch.tear_down().await?;
    for port in &torn.pods {
        let Ok(record) = Record::from_external_ids(&port.external_ids) else {
            continue;
        };
        if record.mode != AttachMode::Veth {
            continue;
        }
        let remnant = pod::Remnant {
            host_ifname: port.name.clone(),
            netns: Some(record.netns.clone()),
            ifname: record.attachment.ifname.clone(),
            mac: Some(record.mac.0),
            attachment: pod::Attachment::Veth,
        };
        pod::unplumb(&remnant)
            .await
            .with_context(|| format!("interface of {}", record.label()))?;
    }
    match switch.settled(REACH).await {
        Ok(()) => {}
        // Without a running switch there is nobody to wait for.
        Err(SwitchError::Late(_)) => tracing::warn!("ovs-vswitchd has not followed yet"),
        Err(error) => return Err(error.into()),
    }
    Ok(torn.bridge.is_some() || torn.restore_wait)
}
