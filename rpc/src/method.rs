//! The methods, each with its name, its request and its answer.

use serde::{Serialize, de::DeserializeOwned};

use crate::{cni, report};

/// A method: what to send and what comes back.
pub trait Method {
    /// Name on the wire.
    const NAME: &'static str;
    /// `params.body`.
    type Request: Serialize + DeserializeOwned;
    /// `result`.
    type Response: Serialize + DeserializeOwned;
}

/// One row per method.
macro_rules! methods {
    ($($(#[$doc:meta])* $ty:ident = $name:literal, $request:ty => $response:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $ty;

            impl Method for $ty {
                const NAME: &'static str = $name;
                type Request = $request;
                type Response = $response;
            }
        )*

        /// Every method's name.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

methods! {
    /// Attach a container.
    CniAdd = "cni_add", cni::AddRequest => cni::AddResult;
    /// Detach a container.
    CniDel = "cni_del", cni::DelRequest => cni::DelResult;
    /// Compare an attachment with what it should be.
    CniCheck = "cni_check", cni::CheckRequest => cni::CheckResult;
    /// Remove what is no longer valid.
    CniGc = "cni_gc", cni::GcRequest => cni::GcResult;
    /// Could an ADD be served now?
    CniStatus = "cni_status", cni::StatusRequest => cni::StatusResult;
    /// The agent, its switch and its counts.
    Status = "status", report::Empty => report::StatusReport;
    /// The pods attached here.
    Pods = "pods", report::Empty => report::PodsReport;
    /// The Services that are served here.
    Services = "services", report::ServicesRequest => report::ServicesReport;
    /// The NetworkPolicies that matter to pods of this node.
    Policies = "policies", report::PoliciesRequest => report::PoliciesReport;
    /// What was dropped, and why.
    Drops = "drops", report::DropsRequest => report::DropsReport;
    /// A packet's way through the flows that are in the switch.
    Why = "why", report::WhyRequest => report::WhyReport;
    /// The switch's flows, each with the object behind it.
    Flows = "flows", report::FlowsRequest => report::FlowsReport;
    /// Read the switch back and compare it with what it should hold.
    Verify = "verify", report::Empty => report::VerifyReport;
}
