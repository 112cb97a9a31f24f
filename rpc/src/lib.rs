//! What `sluice-agent` says with `sluice-cni` and `sluicectl`: the types of every request and
//! answer, and a small synchronous client.
//!
//! The wire is [JSON-RPC 2.0](https://www.jsonrpc.org/specification), one object a line (no
//! newline inside an object, `\n` after it), over a Unix stream socket of mode 0600
//! ([`DEFAULT_SOCKET`]). Several requests may follow each other on one connection; answers carry
//! the request's id.
//!
//! ```text
//! → {"jsonrpc":"2.0","id":1,"method":"cni_del","params":{"protocol":1,"body":{"container_id":"c1","ifname":"eth0","network":"pods"}}}
//! ← {"jsonrpc":"2.0","id":1,"result":{"removed":true}}
//! ```
//!
//! # Versions
//! The plugin binary and the agent are upgraded apart from each other. Every request says which
//! [`PROTOCOL`] it speaks; an agent serves [`MIN_PROTOCOL`]`..=`[`PROTOCOL`] and answers any
//! other with [`code::PROTOCOL_MISMATCH`] and the range it serves, so that either side can say
//! which of the two is too old. New optional fields and new methods do not raise the number;
//! unknown fields are ignored on both sides. A field whose meaning changes, or a new field that
//! must not be ignored, does.
//!
//! # What the agent promises about an attachment
//! An attachment is named by (`container_id`, `ifname`).
//! * Calls for one attachment are served one after another; calls for different ones at once.
//! * `cni_add` answers after the barrier that follows the pod's flows, or leaves nothing behind:
//!   on an error of its own, when `deadline_ms` passes first, or when the connection is closed
//!   before the answer was written, it undoes what it did.
//! * An answer that was written but never read (the plugin was killed in between) leaves a
//!   complete attachment: the runtime sees a failed ADD and must send DEL, or GC finds it.
//! * Everything done for an attachment carries its container id from the first step on, in the
//!   switch's database, so an agent killed in the middle finds the remains when it starts again;
//!   `cni_del` and `cni_gc` remove them like a whole attachment.
//! * `cni_add` with `attempt` 0 for an attachment that exists is refused
//!   ([`CniCode::ALREADY_ATTACHED`]). With `attempt` above 0 the same plugin process lost its
//!   connection and tries again: what exists is the remains of its own attempt, and is replaced.
//! * `cni_del` of what does not exist succeeds, with `removed: false`.
//!
//! This crate must not know OVSDB, OpenFlow, Kubernetes, or an async runtime.

pub mod client;
pub mod cni;
pub mod envelope;
pub mod error;
pub mod method;
pub mod report;

pub use client::{Client, ClientError, Deadline};
pub use cni::{
    AddRequest, AddResult, Attachment, CheckRequest, CheckResult, DelRequest, DelResult, Dns,
    GcFailure, GcRequest, GcResult, IpAssignment, PodRef, Route, StatusRequest, StatusResult,
};
pub use envelope::{Params, decode_params};
pub use error::{CniCode, CniError, ErrorObject, code};
pub use method::Method;
pub use report::{
    DropsReport, DropsRequest, FlowReport, FlowsReport, FlowsRequest, PodReport, PodState,
    PodsReport, PoliciesReport, PoliciesRequest, ServicesReport, ServicesRequest, StatusReport,
    VerifyDifference, VerifyReport, WhyReport, WhyRequest,
};

/// Where the agent listens unless its configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/sluice/agent.sock";

/// The protocol this version of the crate speaks.
pub const PROTOCOL: u32 = 1;

/// The oldest protocol an agent built with this version of the crate still serves.
pub const MIN_PROTOCOL: u32 = 1;
