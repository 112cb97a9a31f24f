//! The host module on real network namespaces, devices and switches. Needs root, iproute2, nft and Open vSwitch.

mod gateway;
mod harness;
mod internal;
mod masquerade;
mod namespaces;
mod veth;
