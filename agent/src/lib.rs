//! The Sluice node agent: it keeps one Open vSwitch bridge exactly as the cluster state asks for,
//! attaches pods to it on behalf of the CNI plugin, and answers questions about both.
//!
//! The parts, from the outside in:
//!
//! * [`config`] and [`cli`]: what the operator asked for; [`telemetry`], [`metrics`], [`readiness`], [`http`]: what the operator sees.
//! * [`daemon`]: wires the parts together and owns start and stop.
//! * [`source`] and [`index`]: the state of the cluster, as changes of the domain model.
//! * [`switch`]: the bridge, its ports and what the running switch can do, over OVSDB.
//! * [`reconciler`]: the flows of the bridge, over OpenFlow; the only writer of flows.
//! * [`attach`]: the life of a pod's attachment, from CNI ADD to DEL and GC.
//! * [`host`], [`ipam`], [`mtu`], [`node`]: the Linux side of it: devices, routes, addresses, masquerading.
//! * [`health`]: what load balancers ask about the Services that have endpoints here.
//! * [`rpc`]: the unix socket that the CNI plugin and `sluicectl` ([`ctl`]) speak to, and the [`api`] behind it.
//! * [`conflist`], [`cleanup`]: what the agent leaves on the node, and how it is taken away.
//!
//! This crate knows nothing of the bytes of either protocol; they belong to `ovsdb` and `openflow`.

pub mod api;
pub mod attach;
pub mod cleanup;
pub mod cli;
pub mod config;
pub mod conflist;
pub mod ctl;
pub mod daemon;
pub mod drops;
pub mod health;
pub mod host;
pub mod http;
pub mod index;
pub mod install;
pub mod ipam;
pub mod metrics;
pub mod mtu;
pub mod node;
pub mod readiness;
pub mod reconciler;
pub mod reporter;
pub mod rpc;
pub mod source;
pub mod switch;
pub mod telemetry;
