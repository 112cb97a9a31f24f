//! The actor: connects, runs a session, waits, connects again.
//!
//! Owns: everything that outlives a connection (replicas, locks, requests not yet sent). Must not
//! know: messages (the session does).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::client::backoff::Backoff;
use crate::client::call::{Command, Outgoing};
use crate::client::lock::{LockSlot, LockState};
use crate::client::monitors::{ReplicaCore, Request, Step};
use crate::client::plain_monitor::TableUpdates;
use crate::client::session::{End, Session};
use crate::client::{Options, State};
use crate::error::{Error, RpcError};
use crate::remote::Remote;
use crate::rpc::to_json;
use crate::transport::Connector;

pub(crate) struct Actor {
    pub(super) options: Options,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) replicas: BTreeMap<u64, ReplicaCore>,
    pub(super) locks: HashMap<Arc<str>, LockSlot>,
    /// Plain monitors, by the id under which the server knows them; they end with the connection.
    pub(super) watches: HashMap<Arc<str>, mpsc::Sender<TableUpdates>>,
    /// Requests that wait for a connection. Never more than the queue holds.
    pub(super) backlog: VecDeque<Outgoing>,
    remotes: Vec<Remote>,
    state: watch::Sender<State>,
    generation: u64,
}

impl Actor {
    pub(super) fn new(
        remotes: Vec<Remote>,
        options: Options,
        commands: mpsc::Receiver<Command>,
        state: watch::Sender<State>,
    ) -> Self {
        Self {
            options,
            commands,
            replicas: BTreeMap::new(),
            locks: HashMap::new(),
            watches: HashMap::new(),
            backlog: VecDeque::new(),
            remotes,
            state,
            generation: 0,
        }
    }

    /// Runs until the last handle is gone.
    pub(super) async fn run(mut self, mut dead: oneshot::Receiver<()>) {
        let mut backoff = Backoff::new(
            self.options.backoff_min,
            self.options.backoff_max,
            self.remotes.len(),
        );
        #[cfg(feature = "tls")]
        let connector = Connector {
            tls: self.options.tls.clone(),
        };
        #[cfg(not(feature = "tls"))]
        let connector = Connector::default();
        let mut turn = 0;
        loop {
            let Some(remote) = self.remotes.get(turn % self.remotes.len().max(1)).cloned() else {
                self.disconnected("no remote was given".into());
                if self
                    .idle(std::future::pending::<()>(), &mut dead)
                    .await
                    .is_none()
                {
                    return;
                }
                continue;
            };
            let attempt =
                tokio::time::timeout(self.options.connect_timeout, connector.connect(&remote));
            let target = remote.clone();
            let connecting = async move {
                match attempt.await {
                    Ok(Ok(stream)) => Ok(stream),
                    Ok(Err(error)) => Err(format!("{target}: {error}")),
                    Err(_) => Err(format!("{target}: no connection in time")),
                }
            };
            let Some(connected) = self.idle(connecting, &mut dead).await else {
                return;
            };
            match connected {
                Ok(stream) => {
                    self.generation += 1;
                    let generation = self.generation;
                    tracing::info!(%remote, generation, "connected to ovsdb");
                    self.state.send_replace(State::Connected {
                        generation,
                        remote: remote.clone(),
                    });
                    let began = Instant::now();
                    let end = Session::new(&mut self, generation)
                        .run(stream, &mut dead)
                        .await;
                    for replica in self.replicas.values_mut() {
                        replica.lost();
                    }
                    for lock in self.locks.values() {
                        lock.set(LockState::Waiting);
                    }
                    self.watches.clear();
                    match end {
                        End::Shutdown => return,
                        End::Lost(error) => {
                            tracing::warn!(%remote, generation, %error, "lost ovsdb");
                            self.disconnected(error);
                        }
                    }
                    backoff.lasted(began.elapsed());
                    // The same server again first only if there is no other.
                    turn += 1;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot connect to ovsdb");
                    self.disconnected(error.into());
                    turn += 1;
                }
            }
            let pause = backoff.next();
            if self
                .idle(tokio::time::sleep(pause), &mut dead)
                .await
                .is_none()
            {
                return;
            }
        }
    }

    fn disconnected(&self, error: Arc<str>) {
        self.state
            .send_replace(State::Disconnected { error: Some(error) });
    }

    /// Waits for something while there is no connection; `None` once the last handle is gone.
    async fn idle<T>(
        &mut self,
        until: impl Future<Output = T>,
        dead: &mut oneshot::Receiver<()>,
    ) -> Option<T> {
        tokio::pin!(until);
        loop {
            let room = self.room();
            tokio::select! {
                _ = &mut *dead => return None,
                done = &mut until => return Some(done),
                command = self.commands.recv(), if room => self.offline(command?),
                // Callers give up in silence; look now and then whether there is room again.
                () = tokio::time::sleep(Duration::from_millis(100)), if !room => {}
            }
        }
    }

    fn room(&mut self) -> bool {
        if self.backlog.len() >= self.options.queue.max(1) {
            self.backlog.retain(|call| !call.answer.is_closed());
        }
        self.backlog.len() < self.options.queue.max(1)
    }

    fn offline(&mut self, command: Command) {
        match command {
            Command::Call(call) => self.backlog.push_back(call),
            other => {
                // Without a connection there is nothing to send for any of them.
                self.register(other);
            }
        }
    }

    /// Takes note of a command that is not a request. Returns what a connection has to do about it.
    pub(super) fn register(&mut self, command: Command) -> Todo {
        match command {
            Command::Call(call) => {
                self.backlog.push_back(call);
                Todo::Nothing
            }
            Command::Cancel { id, forget } => {
                if let Some(at) = self.backlog.iter().position(|call| call.id == id) {
                    if let Some(call) = self.backlog.remove(at)
                        && !forget
                    {
                        let canceled = RpcError {
                            error: "canceled".into(),
                            details: "before it was sent".into(),
                        };
                        let _ = call.answer.send(Err(Error::Rpc(canceled)));
                    }
                    return Todo::Nothing;
                }
                Todo::Cancel { id, forget }
            }
            Command::Replica {
                id,
                spec,
                publisher,
            } => {
                self.replicas
                    .insert(id, ReplicaCore::new(id, spec, publisher));
                Todo::Start(id)
            }
            Command::DropReplica { id } => self
                .replicas
                .remove(&id)
                .map_or(Todo::Nothing, |core| Todo::Stop(Box::new(core))),
            Command::Condition {
                id,
                table,
                any,
                done,
            } => match self.replicas.get_mut(&id) {
                Some(replica) => Todo::Requests(replica.set_condition(table, any, done)),
                None => Todo::Nothing,
            },
            Command::Lock {
                name,
                steal,
                slot,
                accepted,
            } => {
                if self.locks.contains_key(&name) {
                    let _ = accepted.send(false);
                    return Todo::Nothing;
                }
                self.locks.insert(name.clone(), slot);
                let _ = accepted.send(true);
                Todo::Lock { name, steal }
            }
            Command::Unlock { name } => {
                self.locks.remove(&name);
                Todo::Unlock { name }
            }
            Command::Watch { id, sender } => {
                self.watches.insert(id, sender);
                Todo::Nothing
            }
            Command::Unwatch { id } => match self.watches.remove(&id) {
                Some(_) => Todo::Requests(vec![Request {
                    method: "monitor_cancel",
                    params: to_json(&(&*id,)),
                    step: Step::Ignore,
                }]),
                None => Todo::Nothing,
            },
        }
    }
}

/// What a connection, if there is one, has to do about a command.
pub(super) enum Todo {
    Nothing,
    Cancel { id: u64, forget: bool },
    Start(u64),
    Stop(Box<ReplicaCore>),
    Requests(Vec<Request>),
    Lock { name: Arc<str>, steal: bool },
    Unlock { name: Arc<str> },
}
