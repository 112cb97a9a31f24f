//! The network between the nodes: a Linux bridge in a namespace of its own, and a veth to each node.
//!
//! The bridge itself has an address, which plays the world outside the cluster.

use anyhow::Result;

use crate::layout::{self, Name, UPLINK};
use crate::netns;
use crate::options::Options;
use crate::run;

const BRIDGE: &str = "br0";

/// Makes the namespace and the bridge.
///
/// # Errors
/// When the kernel refuses.
pub fn create(name: &Name, options: &Options) -> Result<()> {
    let netns = name.underlay();
    netns::add(&netns)?;
    let [v4, v6] = layout::outside();
    let (v4_len, v6_len) = layout::UNDERLAY_LEN;
    run::ip_batch(
        &netns,
        &[
            format!("link add {BRIDGE} mtu {} type bridge", options.mtu),
            format!("addr add {v4}/{v4_len} dev {BRIDGE}"),
            format!("link set {BRIDGE} up"),
            format!("addr add {v6}/{v6_len} dev {BRIDGE} nodad"),
        ],
    )?;
    // The userspace datapath reads frames as they are: a checksum left to the device stays wrong.
    let enter = format!("--net={}", netns::path(&netns).display());
    run::sh(
        "nsenter",
        [enter.as_str(), "--", "ethtool", "-K", BRIDGE, "tx", "off"],
    )?;
    Ok(())
}

/// Connects the control plane and gives it its addresses.
///
/// # Errors
/// When the kernel refuses.
pub fn connect_control(name: &Name, options: &Options) -> Result<()> {
    let (netns, mtu) = (name.control(), options.mtu);
    let (v4_len, v6_len) = layout::UNDERLAY_LEN;
    run::ip_batch(
        &name.underlay(),
        &[
            format!(
                "link add control mtu {mtu} type veth peer name {UPLINK} mtu {mtu} netns {netns}"
            ),
            format!("link set control master {BRIDGE} up"),
        ],
    )?;
    run::ip_batch(
        &netns,
        &[
            format!("addr add {}/{v4_len} dev {UPLINK}", layout::control_v4()),
            format!("link set {UPLINK} up"),
            format!(
                "addr add {}/{v6_len} dev {UPLINK} nodad",
                layout::control_v6()
            ),
        ],
    )?;
    let enter = format!("--net={}", netns::path(&netns).display());
    run::sh(
        "nsenter",
        [enter.as_str(), "--", "ethtool", "-K", UPLINK, "tx", "off"],
    )?;
    Ok(())
}

/// Connects a node, whose namespace is given by name or process id.
///
/// # Errors
/// When the kernel refuses.
pub fn connect(name: &Name, options: &Options, node: u8, netns: &str) -> Result<()> {
    let near = layout::node_name(node);
    let mtu = options.mtu;
    run::ip_batch(
        &name.underlay(),
        &[
            format!(
                "link add {near} mtu {mtu} type veth peer name {UPLINK} mtu {mtu} netns {netns}"
            ),
            format!("link set {near} master {BRIDGE} up"),
        ],
    )
}
