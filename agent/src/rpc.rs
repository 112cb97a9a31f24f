//! The unix socket that the CNI plugin and `sluicectl` speak to: methods by name on one side,
//! the [`Api`] on the other.
//!
//! The types and the promises of the protocol are `sluice_rpc`'s; the bytes are [`listener`]'s.
//! This part must not know what a method does.

pub mod listener;

use std::sync::Arc;

use jsonrpsee::RpcModule;
use jsonrpsee::types::ErrorObjectOwned;
use sluice_rpc::method::{self, Method};
use sluice_rpc::{ErrorObject, decode_params};

/// What the socket offers. Dropping a returned future means that nobody waits for the answer any
/// more; `cni_add` then undoes what it did.
pub trait Api: Send + Sync + 'static {
    /// Attach a container.
    fn cni_add(&self, request: sluice_rpc::AddRequest) -> impl Answer<method::CniAdd>;
    /// Detach a container.
    fn cni_del(&self, request: sluice_rpc::DelRequest) -> impl Answer<method::CniDel>;
    /// Compare an attachment with what it should be.
    fn cni_check(&self, request: sluice_rpc::CheckRequest) -> impl Answer<method::CniCheck>;
    /// Remove what is no longer valid.
    fn cni_gc(&self, request: sluice_rpc::GcRequest) -> impl Answer<method::CniGc>;
    /// Could an ADD be served now?
    fn cni_status(&self, request: sluice_rpc::StatusRequest) -> impl Answer<method::CniStatus>;
    /// The agent, its switch and its counts.
    fn status(&self) -> impl Answer<method::Status>;
    /// The pods attached here.
    fn pods(&self) -> impl Answer<method::Pods>;
    /// The Services that are served here.
    fn services(&self, request: sluice_rpc::ServicesRequest) -> impl Answer<method::Services>;
    /// The NetworkPolicies that matter to pods of this node.
    fn policies(&self, request: sluice_rpc::PoliciesRequest) -> impl Answer<method::Policies>;
    /// A packet's way through the flows that are in the switch.
    fn why(&self, request: sluice_rpc::WhyRequest) -> impl Answer<method::Why>;
    /// What was dropped, and why.
    fn drops(&self, request: sluice_rpc::DropsRequest) -> impl Answer<method::Drops>;
    /// The switch's flows, each with the object behind it.
    fn flows(&self, request: sluice_rpc::FlowsRequest) -> impl Answer<method::Flows>;
    /// Read the switch back and compare.
    fn verify(&self) -> impl Answer<method::Verify>;
}

/// The future of a method's answer.
pub trait Answer<M: Method>: Future<Output = Result<M::Response, ErrorObject>> + Send {}

impl<M: Method, F: Future<Output = Result<M::Response, ErrorObject>> + Send> Answer<M> for F {}

/// The methods of `api`, by name.
///
/// # Errors
/// If two methods have one name, which a test excludes.
pub fn module<A: Api>(api: Arc<A>) -> anyhow::Result<RpcModule<()>> {
    let mut module = RpcModule::new(());
    macro_rules! register {
        ($($method:ident => |$api:ident, $request:pat_param| $call:expr;)*) => {$({
            let api = Arc::clone(&api);
            module.register_async_method(method::$method::NAME, move |params, _, _| {
                let $api = Arc::clone(&api);
                async move {
                    let $request = decode_params::<<method::$method as Method>::Request>(
                        params.as_str().unwrap_or("null"),
                    )
                    .map_err(object)?;
                    $call.await.map_err(object)
                }
            })?;
        })*};
    }
    register! {
        CniAdd => |api, request| api.cni_add(request);
        CniDel => |api, request| api.cni_del(request);
        CniCheck => |api, request| api.cni_check(request);
        CniGc => |api, request| api.cni_gc(request);
        CniStatus => |api, request| api.cni_status(request);
        Status => |api, _| api.status();
        Pods => |api, _| api.pods();
        Services => |api, request| api.services(request);
        Policies => |api, request| api.policies(request);
        Why => |api, request| api.why(request);
        Drops => |api, request| api.drops(request);
        Flows => |api, request| api.flows(request);
        Verify => |api, _| api.verify();
    }
    Ok(module)
}

fn object(error: ErrorObject) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(error.code, error.message, error.data)
}

#[cfg(test)]
mod tests;
