//! Ports on a bridge with explicit output flows, made by hand: what Open vSwitch can do without us.
//!
//! The yardstick for throughput, and a proof that the testbed itself works where pods do not.

use std::net::Ipv4Addr;

use anyhow::Result;

use crate::layout;
use crate::node::Node;
use crate::options::{self, Attach, Options};

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
        port(node, options, 1, "bare1", address(1), mtu)?,
        port(node, options, 2, "bare2", address(2), mtu)?,
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
    let port = port(
        node,
        options,
        1,
        "bare",
        address,
        u64::from(options.mtu) - 100,
    )?;
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

fn port(
    node: &Node,
    options: &Options,
    ofport: u8,
    pod: &str,
    address: Ipv4Addr,
    mtu: u64,
) -> Result<Port> {
    let netns = node.testbed.pod(node.number, pod);
    let (inside, device) = match options.attach {
        // Its name stays: the kernel's datapath loses an internal port that is renamed.
        Attach::Internal => (pod, format!(
            "ovs-vsctl add-port {BRIDGE} {pod} -- set Interface {pod} type=internal ofport_request={ofport}
            ip link set {pod} netns {netns}"
        )),
        // Without a virtual device's offers to leave checksums and segments to hardware, which the
        // userspace datapath would take at their word.
        Attach::Veth => ("eth0", format!(
            "ip link add {pod} type veth peer name eth0 netns {netns}
            ip link set {pod} mtu {mtu} up
            ip netns exec {netns} ethtool -K eth0 tx off >/dev/null
            ovs-vsctl add-port {BRIDGE} {pod} -- set Interface {pod} ofport_request={ofport}"
        )),
    };
    node.script(&format!(
        "ip netns add {netns}
        {device}
        ip -n {netns} link set lo up
        ip -n {netns} link set {inside} mtu {mtu} up
        ip -n {netns} addr add {address}/24 dev {inside}"
    ))?;
    Ok(Port {
        pod: pod.to_owned(),
        address,
    })
}
