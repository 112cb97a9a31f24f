//! Ports on a bridge with explicit output flows, made by hand: what Open vSwitch can do without us.
//!
//! The yardstick for throughput, and a proof that the testbed itself works where pods do not.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::layout;
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
    bridge(node, options)?;
    let address = |index| Ipv4Addr::new(10, 99, node.number, index);
    let ports = [
        port(node, 1, "bare1", address(1), mtu)?,
        port(node, 2, "bare2", address(2), mtu)?,
    ];
    node.script(&format!(
        "ovs-ofctl add-flow {BRIDGE} in_port=1,actions=output:2; ovs-ofctl add-flow {BRIDGE} in_port=2,actions=output:1"
    ))?;
    Ok(ports)
}

/// Makes the bridge, one port, and a tunnel to another node's.
///
/// # Errors
/// When Open vSwitch or the kernel refuses.
pub fn tunnel(node: &Node, options: &Options, peer: u8) -> Result<Port> {
    bridge(node, options)?;
    let address = Ipv4Addr::new(10, 99, 0, node.number);
    let port = port(node, 1, "bare", address, u64::from(options.mtu) - 100)?;
    let kind = options::name(options.tunnel);
    let (field, far) = if options.underlay_ipv6 {
        ("tun_ipv6_dst", layout::underlay_v6(peer).to_string())
    } else {
        ("tun_dst", layout::underlay_v4(peer).to_string())
    };
    node.script(&format!(
        "ovs-vsctl add-port {BRIDGE} baretun -- set Interface baretun type={kind} ofport_request=9 \
            options:remote_ip=flow options:key=flow
        ovs-ofctl add-flow {BRIDGE} 'in_port=1,actions=set_field:{far}->{field},output:9'
        ovs-ofctl add-flow {BRIDGE} in_port=9,actions=output:1"
    ))?;
    Ok(port)
}

fn bridge(node: &Node, options: &Options) -> Result<()> {
    let datapath = options::name(options.datapath());
    node.script(&format!(
        "ovs-vsctl add-br {BRIDGE} -- set Bridge {BRIDGE} datapath_type={datapath} fail_mode=secure"
    ))?;
    Ok(())
}

fn port(node: &Node, ofport: u8, pod: &str, address: Ipv4Addr, mtu: u64) -> Result<Port> {
    let netns = node.testbed.pod(node.number, pod);
    node.script(&format!(
        "ip netns add {netns}
        ovs-vsctl add-port {BRIDGE} {pod} -- set Interface {pod} type=internal ofport_request={ofport}
        ip link set {pod} netns {netns}
        ip -n {netns} link set lo up
        ip -n {netns} link set {pod} mtu {mtu} up
        ip -n {netns} addr add {address}/24 dev {pod}"
    ))?;
    Ok(Port {
        pod: pod.to_owned(),
        address,
    })
}
