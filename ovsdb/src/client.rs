//! The client: a handle, and one actor that owns the connection.
//!
//! Owns: requests and their outcomes as the caller sees them. Must not know: sockets (the actor
//! does), or what tables mean.

mod actor;
mod backoff;
mod call;
mod lock;
mod monitors;
mod options;
mod plain_monitor;
mod session;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::error::Error;
use crate::op::Operation;
use crate::remote::Remote;
use crate::replica::ReplicaBuilder;
use crate::rpc::to_json;
use crate::schema::DatabaseSchema;
use crate::txn::{Reply, Transaction};

pub(crate) use call::Command;
pub use call::PendingTransaction;
use call::{Answer, Call};
pub use lock::{Lock, LockState};
pub use options::Options;
pub use plain_monitor::{Columns, Monitor, MonitorRequest, RowUpdate, Select, TableUpdates};

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none; one is being made.
    Disconnected {
        /// Why the last one ended, or could not be made; `None` before the first attempt.
        error: Option<Arc<str>>,
    },
    /// There is one.
    Connected {
        /// Counts the connections of this client, from 1.
        generation: u64,
        /// To whom.
        remote: Remote,
    },
}

/// A connection to an OVSDB server that is made again whenever it is lost. A handle: clones share
/// the connection; it ends with the last of them and of its replicas and locks.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    ids: AtomicU64,
    options: Options,
    /// The actor ends when this is dropped.
    _alive: oneshot::Sender<()>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("state", &*self.shared.state.borrow())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// Starts a client of these servers (those of one cluster, or one alone); they are tried in
    /// turn. Returns at once; requests wait for the connection.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn connect(remotes: impl IntoIterator<Item = Remote>, options: Options) -> Self {
        let (commands, receiver) = mpsc::channel(options.queue.max(1));
        let (state_sender, state) = watch::channel(State::Disconnected { error: None });
        let (alive, dead) = oneshot::channel();
        let actor = actor::Actor::new(
            remotes.into_iter().collect(),
            options.clone(),
            receiver,
            state_sender,
        );
        tokio::spawn(actor.run(dead));
        Self {
            shared: Arc::new(Shared {
                commands,
                state,
                ids: AtomicU64::new(1),
                options,
                _alive: alive,
            }),
        }
    }

    /// Whether there is a connection, and which; changes are seen through the receiver.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    /// Waits for a connection, and returns its generation.
    ///
    /// # Errors
    /// [`Error::Disconnected`]: there was none within this time.
    pub async fn connected(&self, timeout: Duration) -> Result<u64, Error> {
        let mut state = self.state();
        let connected = state.wait_for(|state| matches!(state, State::Connected { .. }));
        if let Ok(Ok(state)) = tokio::time::timeout(timeout, connected).await
            && let State::Connected { generation, .. } = &*state
        {
            return Ok(*generation);
        }
        Err(self.timed_out(timeout))
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Carries out a transaction (RFC 7047 section 4.1.3), waiting for the connection if need be,
    /// within [`Options::request_timeout`]. To drop the future cancels the transaction if it still
    /// waits in the server.
    ///
    /// # Errors
    /// [`Error::Transaction`] names the operation that failed. [`Error::Unknown`] and [`Error::Decode`]
    /// ([`Error::is_unknown`]): it may have happened or not. All others: it did not happen.
    pub async fn transact(&self, database: &str, transaction: Transaction) -> Result<Reply, Error> {
        self.start(database, transaction).await?.finish().await
    }

    /// As [`Client::transact`], but returns once the transaction is on its way, so that it can be
    /// cancelled.
    ///
    /// # Errors
    /// [`Error::Disconnected`]: there was no room in the queue within [`Options::request_timeout`].
    pub async fn start(
        &self,
        database: &str,
        transaction: Transaction,
    ) -> Result<PendingTransaction, Error> {
        let mut params = vec![b'['];
        params.extend(to_json(&database));
        let mut list = to_json(&transaction.operations());
        if list.len() > 2 {
            // `[db, op, …]`: the list of operations without its opening bracket.
            if let Some(bracket) = list.first_mut() {
                *bracket = b',';
            }
            params.extend(list);
        } else {
            params.push(b']');
        }
        let operations: Vec<Operation> = transaction.operations().to_vec();
        let call = self
            .begin("transact", params, self.shared.options.request_timeout)
            .await?;
        Ok(PendingTransaction::new(call, operations))
    }

    /// The names of the databases (RFC 7047 section 4.1.1).
    ///
    /// # Errors
    /// No answer within [`Options::request_timeout`], or a refusal ([`Error::Rpc`]).
    pub async fn list_dbs(&self) -> Result<Vec<String>, Error> {
        self.request("list_dbs", &()).await
    }

    /// The schema of a database (RFC 7047 section 4.1.2, `get_schema`).
    ///
    /// # Errors
    /// No answer within [`Options::request_timeout`], or a refusal: [`Error::Rpc`] says `unknown database`.
    pub async fn schema(&self, database: &str) -> Result<DatabaseSchema, Error> {
        self.request("get_schema", &(database,)).await
    }

    /// Asks the server for a sign of life (RFC 7047 section 4.1.11). The client does so by itself
    /// when the connection is idle ([`Options::probe_interval`]), and answers the server's own.
    ///
    /// # Errors
    /// No answer within [`Options::request_timeout`].
    pub async fn echo(&self) -> Result<(), Error> {
        self.request::<serde_json::Value>("echo", &())
            .await
            .map(drop)
    }

    /// A monitor of some tables, whose events are chosen (RFC 7047 section 4.1.5): what is there, if asked for, and what
    /// happens from then on. To know what is there all the time, use [`Client::replica`].
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn monitor<'a>(
        &self,
        database: &str,
        tables: impl IntoIterator<Item = (&'a str, MonitorRequest)>,
    ) -> Result<(TableUpdates, Monitor), Error> {
        Monitor::request(self, database, tables).await
    }

    /// Any request (RFC 7047 section 4), such as ovsdb-server(7)'s `get_server_id`: `params` must serialize to an array
    /// (`()` is the empty one).
    ///
    /// # Errors
    /// No answer, a refusal, or a result that is not an `R`.
    pub async fn request<R: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &impl serde::Serialize,
    ) -> Result<R, Error> {
        let mut params = to_json(params);
        if params == b"null" {
            params = b"[]".to_vec();
        }
        if params.first() != Some(&b'[') {
            return Err(Error::Invalid("parameters must be an array".into()));
        }
        let (result, _) = self
            .begin(method, params, self.shared.options.request_timeout)
            .await?
            .finish()
            .await?;
        serde_json::from_slice(&result).map_err(|error| Error::decode(method, error))
    }

    /// Requests a lock (RFC 7047 section 4.1.8), again on every connection. The answer is how it
    /// stands, from the first moment on; to drop it gives the lock back (`unlock`, the same section).
    ///
    /// # Errors
    /// [`Error::Invalid`]: this client has asked for this lock already. [`Error::Disconnected`]: there was no room in the
    /// queue within [`Options::request_timeout`].
    pub async fn lock(&self, name: &str) -> Result<Lock, Error> {
        Lock::request(self, name, false).await
    }

    /// Takes a lock from whoever holds it (RFC 7047 section 4.1.8, `steal`), once: on later connections it is asked for as by
    /// [`Client::lock`].
    ///
    /// # Errors
    /// As [`Client::lock`].
    pub async fn steal(&self, name: &str) -> Result<Lock, Error> {
        Lock::request(self, name, true).await
    }

    /// Begins to say which part of a database a replica shall hold: a copy that is kept up to date, through reconnects too.
    pub fn replica(&self, database: &str) -> ReplicaBuilder {
        ReplicaBuilder::new(self.clone(), database)
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.shared.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The right error for a time that is up: why there is no connection, if there is none.
    pub(crate) fn timed_out(&self, timeout: Duration) -> Error {
        match &*self.shared.state.borrow() {
            State::Disconnected { error } => {
                Error::Disconnected(error.clone().unwrap_or_else(|| "not connected yet".into()))
            }
            State::Connected { .. } => Error::Timeout(timeout),
        }
    }

    pub(crate) async fn send(&self, command: Command, deadline: Instant) -> Result<(), Error> {
        match tokio::time::timeout_at(deadline, self.shared.commands.send(command)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Error::Disconnected("the client has ended".into())),
            Err(_) => Err(Error::Disconnected("the queue of requests is full".into())),
        }
    }

    /// For destructors: sent now if there is room, else as soon as there is.
    pub(crate) fn send_late(&self, command: Command) {
        if let Err(mpsc::error::TrySendError::Full(command)) =
            self.shared.commands.try_send(command)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let commands = self.shared.commands.clone();
            runtime.spawn(async move { commands.send(command).await });
        }
    }

    async fn begin(
        &self,
        method: &'static str,
        params: Vec<u8>,
        timeout: Duration,
    ) -> Result<Call, Error> {
        Call::begin(self, method, Bytes::from(params), timeout).await
    }
}

/// The raw result of a request, and the connection on which it came.
pub(crate) type Raw = (Bytes, u64);

pub(crate) type Answered = oneshot::Sender<Answer>;
