//! Where the state of the cluster comes from: a stream of snapshots and deltas of plain objects.
//!
//! A [`Source`] first yields one [`Event::Listed`] per kind, each the whole of that kind, then changes as they
//! happen. It may list a kind again at any time (after it lost its place); whoever listens compares.
//!
//! * [`directory`]: a watched folder of Kubernetes manifests.
//! * [`kubernetes`]: an API server.
//! * [`object`]: the objects, as little of them as is used.
//! * [`decode`]: from the API's form of an object to ours, whatever the source.
//!
//! Must not know what is made of the objects.

use std::collections::BTreeMap;
use std::future::Future;

use tokio::sync::watch;

pub mod decode;
pub mod directory;
pub(crate) mod intern;
pub mod kubernetes;
mod manifest;
pub mod object;
mod scope;

pub use directory::{DirectorySource, DirectoryStatus, Fault};
pub use kubernetes::{KubernetesSource, KubernetesStatus, Target, Watching};
pub use object::{
    EndpointSlice, Kind, Namespace, NetworkPolicy, Node, Object, ObjectRef, Pod, Refusal, Service,
};
pub use scope::PodScope;

/// A change of the state of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These are all objects of one kind; others that were there before are gone.
    Listed(Kind, Vec<Object>),
    /// An object came, or is now this.
    Set(Object),
    /// An object went.
    Gone(ObjectRef),
    /// All pods of these namespaces, and of the own node, have been told; of others, some may not have been.
    Covered(PodScope),
}

/// A source of cluster state.
pub trait Source: Send {
    /// Waits for the next changes: those that belong together, in order, at least one. Cancelling it loses nothing.
    ///
    /// It answers as long as the source lives; a source that cannot reach its origin for a while waits and tries
    /// again by itself, since the last known state stays in force.
    fn next(&mut self) -> impl Future<Output = Vec<Event>> + Send;
}

/// A source of whichever kind the configuration names.
#[derive(Debug)]
pub enum AnySource {
    /// A watched folder.
    Directory(DirectorySource),
    /// An API server.
    Kubernetes(KubernetesSource),
}

impl AnySource {
    /// These pods are to be known beside those of the own node; an [`Event::Covered`] says when they are. A source
    /// that knows all pods anyway says nothing.
    pub fn want_pods(&mut self, scope: &PodScope) {
        match self {
            AnySource::Directory(_) => {}
            AnySource::Kubernetes(source) => source.want_pods(scope),
        }
    }

    /// How it fares.
    pub fn status(&self) -> SourceStatus {
        match self {
            AnySource::Directory(source) => SourceStatus::Directory(source.status()),
            AnySource::Kubernetes(source) => SourceStatus::Kubernetes(source.status()),
        }
    }
}

impl Source for AnySource {
    async fn next(&mut self) -> Vec<Event> {
        match self {
            AnySource::Directory(source) => source.next().await,
            AnySource::Kubernetes(source) => source.next().await,
        }
    }
}

/// How a source fares, to be asked at any time.
#[derive(Clone, Debug)]
pub enum SourceStatus {
    /// Of a watched folder.
    Directory(watch::Receiver<DirectoryStatus>),
    /// Of an API server.
    Kubernetes(watch::Receiver<KubernetesStatus>),
}

impl SourceStatus {
    /// How each watch at an API server fares, where there is one.
    pub fn watches(&self) -> BTreeMap<Target, Watching> {
        match self {
            SourceStatus::Directory(_) => BTreeMap::new(),
            SourceStatus::Kubernetes(status) => status.borrow().watches.clone(),
        }
    }

    /// Whether an API server has been listed whole, and is being watched.
    pub fn is_live(&self) -> bool {
        match self {
            SourceStatus::Directory(_) => false,
            SourceStatus::Kubernetes(status) => status.borrow().is_live(),
        }
    }

    /// Whether what an API server said should be kept on disk and is not.
    pub fn is_unkept(&self) -> bool {
        match self {
            SourceStatus::Directory(_) => false,
            SourceStatus::Kubernetes(status) => status.borrow().unkept.is_some(),
        }
    }

    /// What a person should know, a line each; empty when all is well.
    pub fn problems(&self) -> Vec<String> {
        match self {
            SourceStatus::Directory(status) => {
                let faults = &status.borrow().faults;
                faults
                    .iter()
                    .map(|fault| format!("not in force: {fault}"))
                    .collect()
            }
            SourceStatus::Kubernetes(status) => status.borrow().problems(),
        }
    }
}
