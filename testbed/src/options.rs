//! What a testbed looks like: how many nodes, hosted by what, joined by which tunnel.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// What a node is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hosts {
    /// A Docker container for each node.
    Docker,
    /// A network namespace for each node, and no Docker.
    Netns,
}

/// What carries packets between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tunnel {
    /// VXLAN, UDP port 4789.
    Vxlan,
    /// Geneve, UDP port 6081.
    Geneve,
    /// GRE with a key.
    Gre,
}

/// How a pod is attached to the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attach {
    /// By an internal port of Open vSwitch.
    Internal,
    /// By a veth pair.
    Veth,
}

/// Which of Open vSwitch's datapaths forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datapath {
    /// In `ovs-vswitchd` itself; needs only `/dev/net/tun`.
    Netdev,
    /// In the kernel; needs the module `openvswitch`.
    System,
}

/// A value's name as it is written on the command line and in the agent's configuration.
pub fn name(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}

/// The shape of a testbed.
#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct Options {
    /// Puts a real cluster on the nodes: API server, kubelets, container runtimes. Nodes are namespaces then.
    #[arg(long)]
    #[serde(default)]
    pub kubernetes: bool,
    /// How many nodes, 1 to 200; 2 with --kubernetes.
    #[arg(long, default_value = "3", default_value_if("kubernetes", "true", "2"), value_parser = clap::value_parser!(u8).range(1..=200))]
    pub nodes: u8,
    /// What a node is made of.
    #[arg(long, value_enum, default_value_t = Hosts::Docker)]
    pub hosts: Hosts,
    /// What carries packets between nodes.
    #[arg(long, value_enum, default_value_t = Tunnel::Vxlan)]
    pub tunnel: Tunnel,
    /// Gives pods an IPv6 address beside the IPv4 one.
    #[arg(long)]
    pub ipv6: bool,
    /// Runs the tunnels over IPv6.
    #[arg(long)]
    pub underlay_ipv6: bool,
    /// How a pod is attached to the bridge.
    #[arg(long, value_enum, default_value_t = Attach::Internal)]
    pub attach: Attach,
    /// Which datapath forwards; without it the kernel's where the module is, else the userspace one.
    #[arg(long, value_enum)]
    pub datapath: Option<Datapath>,
    /// MTU of the network between the nodes, in bytes.
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u16).range(1400..=9000))]
    pub mtu: u16,
    /// More lines for the agents' configuration file.
    #[arg(skip)]
    #[serde(default)]
    pub agent: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kubernetes: false,
            nodes: 3,
            hosts: Hosts::Docker,
            tunnel: Tunnel::Vxlan,
            ipv6: false,
            underlay_ipv6: false,
            attach: Attach::Internal,
            datapath: None,
            mtu: 1500,
            agent: Vec::new(),
        }
    }
}

impl Options {
    /// The datapath asked for, or the one this machine has.
    pub fn datapath(&self) -> Datapath {
        self.datapath.unwrap_or_else(|| {
            if std::path::Path::new("/sys/module/openvswitch").exists() {
                Datapath::System
            } else {
                Datapath::Netdev
            }
        })
    }
}
