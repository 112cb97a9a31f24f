//! The host module on real network namespaces, devices and switches. Needs root, iproute2, ethtool, nft and Open vSwitch.
//! What needs Linux's openvswitch module is ignored unless asked for:
//! `sluice-testbed guest --test target/debug/deps/host-… -- host kernel --ignored`.

mod addresses;
mod differences;
mod gateway;
mod harness;
mod health;
mod internal;
mod kernel;
mod masquerade;
mod namespaces;
mod services;
mod veth;
