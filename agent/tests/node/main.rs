//! The agent as it runs: the real binary against real Open vSwitch daemons (userspace datapath),
//! each test in a network namespace of its own. Needs root, iproute2, nft and Open vSwitch.

mod attach;
mod cleanup;
mod closed;
mod drops;
mod faults;
mod harness;
mod reconcile;
mod restarts;
mod scale;
mod source;
mod switch;

#[path = "../../benches/node/api.rs"]
mod api;
