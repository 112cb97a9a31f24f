//! The reconciler: the only writer of flows on the bridge.
//!
//! One actor owns what the switch shall hold (the compiler) and the connection to it. A change is
//! one bundle; changes that queue up while a bundle is under way share the next. Whenever a
//! session begins, or the outcome of a bundle is unknown, the switch is read back, compared, and
//! only the difference is sent. Nothing is ever assumed done, and nothing is deleted wholesale.
//!
//! It must not know where changes come from, nor what OVSDB is.

mod actor;
mod affected;
mod flush;
mod inspect;
mod model;
mod plan;
mod refused;
mod revoke;
mod session;
mod why;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openflow::connection::Connection;
use sluice_flows::model::{Backend, Change, PodId, ServiceId};
use sluice_flows::service::Scope;
use sluice_flows::{PolicyReport, SubjectReport};
use sluice_rpc::{FlowReport, FlowsRequest, VerifyReport, WhyReport, WhyRequest};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::metrics::Metrics;

pub use affected::{Lack, Lacking};

/// Changes and questions that wait for the actor; further ones wait in their caller.
const QUEUE: usize = 1024;

/// Why a change is not in the switch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApplyError {
    /// The switch does not take a flow that the change needs. It is tried again, but do not wait.
    #[error("the switch refuses a flow of {object}: {reason}: {flow}")]
    Refused {
        /// The object behind the flow.
        object: String,
        /// The flow, as `ovs-ofctl` prints it.
        flow: String,
        /// What the switch says.
        reason: String,
    },
    /// The reconciler has ended.
    #[error("the agent is stopping")]
    Stopped,
}

/// Why a question about the switch has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InspectError {
    /// The switch could not be read.
    #[error("cannot read the switch: {0}")]
    Switch(#[from] openflow::connection::Error),
    /// The state of the cluster is not known yet.
    #[error("what the switch should hold is not known yet")]
    NotYet,
    /// The question names a pod that is not known here.
    #[error("{end}: no pod {namespace}/{name} is known here; write an address")]
    NoPod {
        /// Which end of the packet it is to be: `from` or `to`.
        end: &'static str,
        /// The pod's namespace.
        namespace: String,
        /// The pod's name.
        name: String,
    },
    /// The question makes no sense, in other words.
    #[error("{0}")]
    Unknown(String),
    /// The reconciler has ended.
    #[error("the agent is stopping")]
    Stopped,
}

/// What the switch knows of one port of a Service.
#[derive(Debug, Clone, Default)]
pub struct ServiceFlows {
    /// The number of its set of endpoints of the whole cluster.
    pub id: u64,
    /// The number of that of this node.
    pub local_id: u64,
    /// Packets that arrived at its frontends.
    pub packets: u64,
    /// Its endpoints, with the index among those of their scope and the packets sent on to them.
    pub endpoints: BTreeMap<(Scope, Backend), (u16, u64)>,
}

/// What the switch knows of policies.
#[derive(Debug, Clone, Default)]
pub struct PolicyFlows {
    /// The policies that select pods of this node.
    pub policies: Vec<PolicyReport>,
    /// The groups of pods that they isolate.
    pub subjects: Vec<SubjectReport>,
    /// Policies that could not be compiled, in words.
    pub faults: Vec<String>,
    /// Names of the pods, `namespace/name`.
    pub names: BTreeMap<PodId, String>,
    /// Packets and bytes by cookie.
    pub counted: HashMap<u64, (u64, u64)>,
}

impl PolicyFlows {
    /// The name of a pod.
    pub fn name(&self, pod: &PodId) -> String {
        self.names
            .get(pod)
            .cloned()
            .unwrap_or_else(|| pod.to_string())
    }
}

/// What the reconciler knows about itself.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The session that is up.
    pub generation: Option<u64>,
    /// The session in which the switch was last known to hold what it shall.
    pub synced: Option<u64>,
    /// Why there is no session, or why the switch does not hold what it shall.
    pub last_error: Option<Arc<str>>,
    /// Flows that the switch refuses, with object and reason.
    pub refused: Vec<String>,
    /// Things that several objects claim, with who has them.
    pub conflicts: Vec<String>,
    /// Policies that cannot be compiled: their pods are isolated, and allowed nothing by them.
    pub policy_faults: Vec<String>,
    /// Flows that the switch shall hold.
    pub flows: usize,
    /// Groups that the switch shall hold.
    pub groups: usize,
    /// Peers in the state.
    pub peers: usize,
    /// Bundles committed.
    pub bundles: u64,
    /// Bundles refused.
    pub failures: u64,
    /// Flows and groups that an audit repaired.
    pub repaired: u64,
    /// When the switch was last read back.
    pub compared: Option<Instant>,
}

impl Status {
    /// True while the switch is known to hold what it shall.
    pub fn in_sync(&self) -> bool {
        self.generation.is_some() && self.generation == self.synced
    }
}

/// How the reconciler behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where ovs-vswitchd has its control socket, if that is on this machine.
    pub control: Option<PathBuf>,
    /// The name of the datapath: `system@ovs-system`.
    pub datapath: String,
    /// Whether the datapath may change a wrong cached flow where two overlap, so that none may be changed that a change of
    /// policy concerns.
    pub epochs: bool,
    /// Time between two audits.
    pub audit_interval: Duration,
}

/// A way to the reconciler; clones lead to the same. It ends when the last is dropped.
#[derive(Debug, Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<Status>,
    lacks: watch::Receiver<BTreeSet<Lack>>,
}

enum Request {
    Apply {
        changes: Vec<Change>,
        done: oneshot::Sender<Result<(), ApplyError>>,
    },
    Listed,
    Verify {
        done: oneshot::Sender<Result<VerifyReport, InspectError>>,
    },
    Flows {
        filter: FlowsRequest,
        done: oneshot::Sender<Result<Vec<FlowReport>, InspectError>>,
    },
    Services {
        done: oneshot::Sender<Result<BTreeMap<ServiceId, ServiceFlows>, InspectError>>,
    },
    Policies {
        done: oneshot::Sender<Result<PolicyFlows, InspectError>>,
    },
    Judgeable {
        pod: PodId,
        done: oneshot::Sender<Result<bool, InspectError>>,
    },
    Why {
        request: WhyRequest,
        done: oneshot::Sender<Result<WhyReport, InspectError>>,
    },
    CheckPod {
        pod: PodId,
        done: oneshot::Sender<Result<Vec<String>, InspectError>>,
    },
}

/// Starts a reconciler on the current tokio runtime.
pub fn start(connection: Connection, options: Options, metrics: Metrics) -> Handle {
    let (requests, receiver) = mpsc::channel(QUEUE);
    let (publish, status) = watch::channel(Status::default());
    let (publish_lacks, lacks) = watch::channel(BTreeSet::new());
    let publish = actor::Publish {
        status: publish,
        lacks: publish_lacks,
    };
    tokio::spawn(actor::Actor::new(connection, options, metrics, receiver, publish).run());
    Handle {
        requests,
        status,
        lacks,
    }
}

impl Handle {
    /// Makes `changes` part of the state at once and together; completes when the switch has
    /// confirmed their flows by a barrier. While there is no switch it waits: bound it. Dropping
    /// the future does not take the changes back.
    ///
    /// # Errors
    /// If the switch refuses a flow of theirs.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<(), ApplyError> {
        self.submit(changes)
            .await?
            .await
            .map_err(|_| ApplyError::Stopped)?
    }

    /// As [`apply`](Self::apply), without waiting: returns once the changes are in the queue.
    ///
    /// # Errors
    /// If the reconciler has ended.
    pub async fn submit(
        &self,
        changes: Vec<Change>,
    ) -> Result<oneshot::Receiver<Result<(), ApplyError>>, ApplyError> {
        let (done, answer) = oneshot::channel();
        let request = Request::Apply { changes, done };
        self.requests
            .send(request)
            .await
            .map_err(|_| ApplyError::Stopped)?;
        Ok(answer)
    }

    /// Says that every source has been listed and the local node is known: the state is complete, and flows may be
    /// sent. What was applied before this is compared with the switch as a whole.
    pub async fn listed(&self) {
        // Nothing to be done about a reconciler that has ended.
        let _ended = self.requests.send(Request::Listed).await;
    }

    /// Reads the switch back and compares it with what it shall hold; repairs nothing.
    ///
    /// # Errors
    /// If the switch cannot be read.
    pub async fn verify(&self) -> Result<VerifyReport, InspectError> {
        self.ask(|done| Request::Verify { done }).await
    }

    /// The flows in the switch, each with the object behind it.
    ///
    /// # Errors
    /// If the switch cannot be read.
    pub async fn flows(&self, filter: FlowsRequest) -> Result<Vec<FlowReport>, InspectError> {
        self.ask(|done| Request::Flows { filter, done }).await
    }

    /// What the switch knows of Services, by port.
    ///
    /// # Errors
    /// If the switch cannot be read.
    pub async fn services(&self) -> Result<BTreeMap<ServiceId, ServiceFlows>, InspectError> {
        self.ask(|done| Request::Services { done }).await
    }

    /// What the switch knows of policies.
    ///
    /// # Errors
    /// If the switch cannot be read.
    pub async fn policies(&self) -> Result<PolicyFlows, InspectError> {
        self.ask(|done| Request::Policies { done }).await
    }

    /// Whether it is known which policies apply to a pod: there are none in its namespace, or the cluster's pods
    /// include it.
    ///
    /// # Errors
    /// If the reconciler has ended.
    pub async fn judgeable(&self, pod: PodId) -> Result<bool, InspectError> {
        self.ask(|done| Request::Judgeable { pod, done }).await
    }

    /// Walks a packet through the flows that are in the switch now.
    ///
    /// # Errors
    /// If the switch cannot be read, or the request names what is not known.
    pub async fn why(&self, request: WhyRequest) -> Result<WhyReport, InspectError> {
        self.ask(|done| Request::Why { request, done }).await
    }

    /// Reads the flows of one pod back; says what is missing or different, one sentence each.
    ///
    /// # Errors
    /// If the switch cannot be read.
    pub async fn check_pod(&self, pod: PodId) -> Result<Vec<String>, InspectError> {
        self.ask(|done| Request::CheckPod { pod, done }).await
    }

    /// What the reconciler knows about itself, to watch.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// What pods of this node go without, to watch.
    pub fn lacks(&self) -> watch::Receiver<BTreeSet<Lack>> {
        self.lacks.clone()
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, InspectError>>) -> Request,
    ) -> Result<T, InspectError> {
        let (done, answer) = oneshot::channel();
        self.requests
            .send(request(done))
            .await
            .map_err(|_| InspectError::Stopped)?;
        answer.await.map_err(|_| InspectError::Stopped)?
    }
}
