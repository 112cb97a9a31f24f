//! This node's own way into the pod network: keeps device, routes and nftables as they should be, one
//! state after the other, the latest wins.
//!
//! It must not know where the state comes from.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use openflow::MacAddr;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::host::conntrack;
use crate::host::gateway::{self, GatewayNic};
use crate::host::nft::{self, Ruleset};
use crate::host::services::HostServices;
use crate::ipam::gateway_address;
use crate::readiness::{Condition, Readiness};

/// How long the switch may take to make the gateway device.
const DEVICE: Duration = Duration::from_secs(20);

/// Pause before another attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// How often to look whether others changed anything: who flushes a ruleset tells nobody.
const LOOK: Duration = Duration::from_secs(60);

/// Everything that the host's side depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeNet {
    /// The gateway device and the routes through it.
    pub nic: GatewayNic,
    /// The ranges of this node's pods, masqueraded beyond the gateway; none to have none.
    pub masquerade: Option<Vec<IpNet>>,
    /// The host's part of Services.
    pub services: HostServices,
}

/// The addresses of the gateway port: one in each range.
pub fn gateway_addresses(ranges: &[IpNet]) -> Vec<IpAddr> {
    ranges
        .iter()
        .filter_map(|&range| gateway_address(range))
        .collect()
}

/// MAC of the gateway port's host end. It follows from an address, so that it is as unique.
pub fn gateway_mac(addresses: &[IpAddr]) -> MacAddr {
    let [a, b, c, d] = match addresses.first() {
        Some(IpAddr::V4(ip)) => ip.octets(),
        Some(IpAddr::V6(ip)) => {
            // The network's part: the rest is the same on every node.
            let [_, _, _, _, a, b, c, d, ..] = ip.octets();
            [a, b, c, d]
        }
        None => [0; 4],
    };
    MacAddr([0x0a, 0x5a, a, b, c, d])
}

/// Keeps the host's side equal to `wanted` until `stop`. Whenever `again` changes, the device may
/// have been made anew, and everything is looked at again, as it is once a minute. Between two
/// looks passes as much time as the first took, a second at most, so that a stream of changes leaves
/// the node half of its time.
pub async fn keep(
    mut wanted: watch::Receiver<Option<NodeNet>>,
    mut again: watch::Receiver<u64>,
    readiness: Readiness,
    stop: CancellationToken,
) {
    // An agent before this one may have stopped in between.
    let mut forget = true;
    loop {
        let latest = wanted.borrow_and_update().clone();
        again.mark_unchanged();
        let begin = Instant::now();
        let failed = match latest {
            None => false,
            Some(net) => match apply(&net, &mut forget).await {
                Ok(()) => {
                    readiness.holds(Condition::Host);
                    false
                }
                Err(error) => {
                    readiness.fails(Condition::Host, format!("{error:#}"));
                    true
                }
            },
        };
        let rest = begin.elapsed().min(PAUSE);
        if stop
            .run_until_cancelled(tokio::time::sleep(rest))
            .await
            .is_none()
        {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = wanted.changed() => if changed.is_err() { return },
            changed = again.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(if failed { PAUSE } else { LOOK }) => {}
        }
    }
}

/// Everything is tried, even if something fails; the first error is the answer. While `forget` is
/// true, connections may contradict what is served.
async fn apply(net: &NodeNet, forget: &mut bool) -> anyhow::Result<()> {
    let configured = gateway::configure(&net.nic, &net.services.addresses, DEVICE).await;
    if let Ok(changes) = &configured
        && !changes.is_empty()
    {
        tracing::info!(interface = net.nic.ifname, ?changes, "host side configured");
    }
    let wanted = Ruleset {
        gateway: net.nic.ifname.clone(),
        masquerade: net.masquerade.clone().unwrap_or_default(),
        own_ports: net.services.own_ports.clone(),
    };
    let table = nft::ensure(&wanted).await;
    if let Ok(changes) = &table {
        if !changes.is_empty() {
            tracing::info!(table = nft::TABLE, ?changes, "nftables set up");
        }
        *forget |= changes.own_ports;
        if *forget {
            *forget = !forgotten(&net.services).await;
        }
    }
    configured?;
    table?;
    Ok(())
}

/// Forgets connections that contradict what is served; says whether that was possible. A node that
/// cannot serves new connections all the same.
async fn forgotten(services: &HostServices) -> bool {
    match conntrack::forget_contradicting(&services.own_ports).await {
        Ok(0) => true,
        Ok(connections) => {
            tracing::info!(connections, "UDP connections begin anew");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "UDP connections that began before their node port stay as they are");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_has_the_first_address_of_each_range() {
        let ranges = ["10.1.2.0/24", "fd00:1::/64"].map(|range| range.parse().expect("a range"));
        let addresses = gateway_addresses(&ranges);
        assert_eq!(
            addresses
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["10.1.2.1", "fd00:1::1"]
        );
        assert_eq!(gateway_mac(&addresses), MacAddr([0x0a, 0x5a, 10, 1, 2, 1]));
    }

    #[test]
    fn host_and_switch_mean_the_same_addresses() {
        use crate::host::{BETWEEN, HAIRPIN_V4, HAIRPIN_V6};
        use sluice_flows::handover::{NODE_PORT, handovers};
        use sluice_flows::pipeline::HAIRPIN;
        assert_eq!(HAIRPIN, [IpAddr::V4(HAIRPIN_V4), IpAddr::V6(HAIRPIN_V6)]);
        let own = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().expect("an address"));
        let own = handovers(&own);
        for ip in own.values().chain(&NODE_PORT).chain(&HAIRPIN) {
            assert!(BETWEEN.iter().any(|between| between.contains(ip)), "{ip}");
        }
    }
}
