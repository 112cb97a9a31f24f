//! What a node's switch shall hold: the domain model, and the compiler from it to OpenFlow.
//!
//! - [`model`]: nodes, pods, peers, Services, and how they change. Nothing of Kubernetes.
//! - [`Compiler`] makes a [`Patch`] of each [`model::Change`]; [`compile_all`] makes the whole [`Program`] and is
//!   the oracle that the patches are held against.
//! - [`diff`] compares a program with what was read back from a switch.
//! - [`Epochs`] keeps what a switch has cached of before a change of policy apart from what it caches afterwards.
//! - [`service`]: which endpoint of a Service is where, and what is kept in mind of that.
//! - [`handover`]: under which addresses the switch serves what the host gets at its own.
//! - [`pipeline`], [`DropReason`], [`cookie`]: the fixed numbers that flows are made of; `docs/pipeline.md` is
//!   [made](map) from them.
//! - [`interpreter`] runs a packet through a program or through flows read back.
//!
//! Everything here is a pure function of its arguments; the crate does no I/O.

pub mod claims;
mod compiler;
pub mod cookie;
mod diff;
mod epoch;
mod flow;
mod fragment;
pub mod handover;
pub mod interpreter;
pub mod map;
pub mod model;
mod patch;
pub mod pipeline;
mod policy;
mod reason;
pub mod service;
mod service_flows;
mod tables;

pub use claims::Conflict;
pub use compiler::{Compiler, compile_all};
pub use cookie::Cookie;
pub use diff::diff;
pub use epoch::Epochs;
pub use flow::{Flow, FlowKey, Group, Program};
pub use patch::{Patch, Released, Step};
pub use policy::{
    Direction, PolicyFault, PolicyReport, Revoked, RuleReport, SubjectReport, Verdict,
};
pub use reason::DropReason;
