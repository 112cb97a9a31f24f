//! Two ports on a bridge with explicit output flows, made by hand: what Open vSwitch can do without us.
//!
//! The yardstick for throughput, and a proof that the testbed itself works where pods do not.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::node::Node;
use crate::options::{self, Options};

const BRIDGE: &str = "br-bare";

/// A port in a namespace of its own.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its namespace, by the last part of its name: usable wherever a pod's name is.
    pub pod: String,
    /// Its address.
    pub address: Ipv4Addr,
}

/// Makes the bridge and two ports that send to each other.
///
/// # Errors
/// When Open vSwitch or the kernel refuses.
pub fn pair(node: &Node, options: &Options, mtu: u64) -> Result<[Port; 2]> {
    let datapath = options::name(options.datapath());
    node.script(&format!(
        "ovs-vsctl add-br {BRIDGE} -- set Bridge {BRIDGE} datapath_type={datapath} fail_mode=secure"
    ))?;
    let ports = [1, 2].map(|index| Port {
        pod: format!("bare{index}"),
        address: Ipv4Addr::new(10, 99, node.number, index),
    });
    for (index, port) in (1..).zip(&ports) {
        let netns = node.testbed.pod(node.number, &port.pod);
        let name = &port.pod;
        node.script(&format!(
            "ip netns add {netns}
            ovs-vsctl add-port {BRIDGE} {name} -- set Interface {name} type=internal ofport_request={index}
            ip link set {name} netns {netns}
            ip -n {netns} link set lo up
            ip -n {netns} link set {name} mtu {mtu} up
            ip -n {netns} addr add {}/24 dev {name}",
            port.address
        ))?;
    }
    node.script(&format!(
        "ovs-ofctl add-flow {BRIDGE} in_port=1,actions=output:2; ovs-ofctl add-flow {BRIDGE} in_port=2,actions=output:1"
    ))?;
    Ok(ports)
}
