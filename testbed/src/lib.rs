//! Several Sluice nodes on one machine.
//!
//! Each node has a network of its own, its own Open vSwitch and its own agent; pods are network
//! namespaces attached by the real CNI plugin. Nodes are Docker containers ([`docker`]), or plain
//! network namespaces, which is what the tests use; [`guest`] boots a virtual machine in which the
//! same testbed forwards by the kernel's datapath. [`kubernetes`] puts a real cluster on the nodes.
//!
//! Nothing on the machine outside of a testbed's own namespaces, containers and folders is changed.

pub mod agent;
pub mod bare;
pub mod cache;
pub mod cli;
pub mod cluster;
pub mod datapath;
pub mod demo;
pub mod dial;
pub mod docker;
pub mod guest;
pub mod kubernetes;
pub mod layout;
pub mod look;
pub mod losses;
pub mod manifest;
pub mod measure;
pub mod netns;
pub mod node;
pub mod objects;
pub mod options;
pub mod ovs;
pub mod ping;
pub mod pod;
pub mod probe;
pub mod process;
pub mod rootfs;
pub mod run;
pub mod serve;
pub mod state;
pub mod steady;
pub mod suite;
pub mod testserver;
pub mod traffic;
pub mod underlay;
