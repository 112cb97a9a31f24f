//! Where the state of the cluster comes from: a stream of snapshots and deltas of plain objects.
//!
//! A [`Source`] first yields one [`Event::Listed`] per kind, each the whole of that kind, then changes as they
//! happen. It may list a kind again at any time (after it lost its place); whoever listens compares.
//!
//! * [`directory`]: a watched folder of Kubernetes manifests.
//! * [`object`]: the objects, as little of them as is used.
//! * [`decode`]: from the API's form of an object to ours, whatever the source.
//!
//! Must not know what is made of the objects.

use std::future::Future;

pub mod decode;
pub mod directory;
pub(crate) mod intern;
mod manifest;
pub mod object;

pub use directory::{DirectorySource, DirectoryStatus, Fault};
pub use object::{
    EndpointSlice, Kind, Namespace, NetworkPolicy, Node, Object, ObjectRef, Pod, Refusal, Service,
};

/// A change of the state of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These are all objects of one kind; others that were there before are gone.
    Listed(Kind, Vec<Object>),
    /// An object came, or is now this.
    Set(Object),
    /// An object went.
    Gone(ObjectRef),
}

/// A source of cluster state.
pub trait Source: Send {
    /// Waits for the next changes: those that belong together, in order, at least one. Cancelling it loses nothing.
    ///
    /// It answers as long as the source lives; a source that cannot reach its origin for a while waits and tries
    /// again by itself, since the last known state stays in force.
    fn next(&mut self) -> impl Future<Output = Vec<Event>> + Send;
}
