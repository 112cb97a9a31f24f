//! The tables, one module each: a module owns its table's flows and their priorities, and nothing else does.
//!
//! A module offers up to four functions: `base` for what every node has, `node` for what depends on the local
//! node, `pod` and `peer` for what one of those adds; those of Services have functions for what a Service, an address
//! or an endpoint adds. All are pure, and add a bounded number of flows per address
//! or prefix.

pub(crate) mod answer;
pub(crate) mod arp_nd;
pub(crate) mod classify;
pub(crate) mod commit;
pub(crate) mod conntrack_in;
pub(crate) mod conntrack_state;
pub(crate) mod dnat;
pub(crate) mod drop;
pub(crate) mod guard;
pub(crate) mod nd_reply;
pub(crate) mod origin;
pub(crate) mod output;
pub(crate) mod policy;
pub(crate) mod reject;
pub(crate) mod route;
pub(crate) mod service;
pub(crate) mod service_state;
pub(crate) mod spread;
