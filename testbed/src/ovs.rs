//! A node's Open vSwitch: its database, its switch, and on the userspace datapath the bridge that
//! holds the underlay device.
//!
//! Knows nothing of the agent; what it makes is what a person finds on a machine with Open vSwitch
//! installed and configured for tunnels.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::layout::{self, PHYS, UPLINK};
use crate::node::{Daemon, Node};
use crate::options::{Datapath, Options};
use crate::run;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const READY: Duration = Duration::from_secs(30);

/// Makes the database and starts both daemons.
///
/// # Errors
/// When Open vSwitch is not installed or does not start.
pub fn start(node: &Node) -> Result<()> {
    let dir = node.dir();
    let dir = dir.display();
    node.sh("ovsdb-tool", &["create", &format!("{dir}/conf.db"), SCHEMA])?;
    start_ovsdb(node)?;
    // As ovs-ctl(8) does at boot; the switch itself does not say its version.
    node.script(&format!(
        "ovs-vsctl --no-wait init -- set Open_vSwitch . \
            external_ids:system-id={name} external_ids:hostname={name} \
            ovs_version=$(ovs-vswitchd --version | sed -n '1s/.* //p') \
            db_version=$(ovsdb-tool schema-version {SCHEMA})",
        name = node.name(),
    ))?;
    start_vswitchd(node)
}

/// Starts the database server on the database there is.
///
/// # Errors
/// When it does not start.
pub fn start_ovsdb(node: &Node) -> Result<()> {
    let dir = node.dir();
    let dir = dir.display();
    node.sh(
        "ovsdb-server",
        &[
            format!("{dir}/conf.db"),
            format!("--remote=punix:{dir}/db.sock"),
            "--pidfile".into(),
            "--detach".into(),
            "--log-file".into(),
            "-vconsole:off".into(),
        ],
    )?;
    Ok(())
}

/// Starts the switch and waits until it has taken in its configuration.
///
/// # Errors
/// When it does not start.
pub fn start_vswitchd(node: &Node) -> Result<()> {
    node.sh(
        "ovs-vswitchd",
        &[
            &node.ovsdb(),
            "--pidfile",
            "--detach",
            "--log-file",
            "-vconsole:off",
        ],
    )?;
    run::wait_for("ovs-vswitchd to be configured", READY, || {
        let next = node.sh(
            "ovs-vsctl",
            &["--no-wait", "get", "Open_vSwitch", ".", "next_cfg"],
        )?;
        let now = node.sh(
            "ovs-vsctl",
            &["--no-wait", "get", "Open_vSwitch", ".", "cur_cfg"],
        )?;
        Ok((next == now).then_some(()))
    })
}

/// Ends the switch, with a signal, and starts it again.
///
/// # Errors
/// When it does not end or start.
pub fn restart_vswitchd(node: &Node, signal: &str) -> Result<()> {
    node.end(Daemon::Vswitchd, signal)?;
    start_vswitchd(node)
}

/// Gives the node its underlay addresses: on the device itself where the kernel forwards, else on
/// a bridge that holds the device, since the userspace datapath sends tunnels only that way.
///
/// # Errors
/// When a device refuses.
pub fn underlay(node: &Node, options: &Options) -> Result<()> {
    let device = match options.datapath() {
        Datapath::System => UPLINK,
        Datapath::Netdev => {
            node.sh(
                "ovs-vsctl",
                &[
                    "--may-exist",
                    "add-br",
                    PHYS,
                    "--",
                    "set",
                    "Bridge",
                    PHYS,
                    "datapath_type=netdev",
                    "fail_mode=standalone",
                    "--",
                    "--may-exist",
                    "add-port",
                    PHYS,
                    UPLINK,
                    "--",
                    "set",
                    "Interface",
                    PHYS,
                    &format!("mtu_request={}", options.mtu),
                ],
            )?;
            // The device is still the kernel's too, which would answer for the addresses of its bridge, with its own
            // address on the link: the last of two answers counts, and tunnels would end nowhere.
            node.script(&format!("sysctl -qw net.ipv4.conf.{UPLINK}.arp_ignore=1"))?;
            PHYS
        }
    };
    let outside = layout::outside();
    let (v4, v6) = layout::UNDERLAY_LEN;
    node.script(&format!(
        "ip link set {UPLINK} up
        ip addr replace {a4}/{v4} dev {device}
        ip link set {device} up
        ip -6 addr replace {a6}/{v6} dev {device} nodad
        ip route replace default via {o4}
        ip -6 route replace default via {o6}",
        a4 = layout::underlay_v4(node.number),
        a6 = layout::underlay_v6(node.number),
        o4 = outside[0],
        o6 = outside[1],
    ))
    .context("cannot give the node its underlay addresses")?;
    Ok(())
}
