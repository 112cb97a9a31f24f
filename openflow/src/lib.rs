//! OpenFlow 1.3 with the extensions Open vSwitch implements on it: a codec that is exact to the
//! byte, a text form equal to `ovs-ofctl`'s in both directions, and a connection to a switch.
//!
//! The crate knows nothing of OVSDB, of Kubernetes, or of what the flows are for.
//!
//! # Map
//! - [`Field`], [`Value`], [`Match`]: what a packet is matched on.
//! - [`Action`], [`Instruction`]: what happens to it.
//! - [`FlowMod`], [`GroupMod`], [`Bucket`]: how a switch is told.
//! - [`Message`]: every message there is; [`message::text`] prints them.
//! - [`Connection`]: a switch to talk to.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::cast_possible_truncation)
)]

pub mod action;
pub mod connection;
pub mod error;
pub mod few;
pub mod field;
pub mod flow;
pub mod group;
pub mod header;
pub mod instruction;
pub mod match_;
pub mod message;
pub mod text;
pub mod types;
pub mod value;
pub mod wire;

pub use action::Action;
pub use connection::Connection;
pub use error::{DecodeError, EncodeError, ErrorKind, MatchError, ParseError};
pub use field::{Field, Subfield};
pub use flow::{FlowFlags, FlowMod, FlowModCommand, FlowStats};
pub use group::{Bucket, GroupCommand, GroupDesc, GroupMod, GroupType};
pub use instruction::{Instruction, Instructions};
pub use match_::Match;
pub use message::Message;
pub use types::{GroupId, MacAddr, PortNo, QueueId, TableId};
pub use value::Value;

/// The examples of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
