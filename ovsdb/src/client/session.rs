//! One connection, from its first byte to its last.
//!
//! Owns: reading, writing, matching answers to requests, probes. Must not know: how to connect, or
//! what a replica does with an update.
//!
//! Bounds: one document is read at a time, up to the limit; requests are not taken while much
//! is still to be written, nor is anything read while the server does not take our answers.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::client::Answered;
use crate::client::actor::{Actor, Todo};
use crate::client::call::{Command, Outgoing};
use crate::client::lock::LockState;
use crate::client::monitors::{Request, Step};
use crate::client::plain_monitor::{Received, updates};
use crate::error::{Error, RpcError};
use crate::framing::{Envelope, Scanner};
use crate::replica::update::{self, Format};
use crate::rpc::{self, Message, to_json};
use crate::transport::Stream;

/// No request is taken while more than this waits to be written.
const WRITE_HIGH: usize = 1 << 20;
/// Nothing is read while more than this waits to be written.
const WRITE_LIMIT: usize = 16 << 20;
/// The buffer for reading, when it has nothing big to hold.
const READ_BUFFER: usize = 64 << 10;
/// Refused replicas are asked for again after this.
const RETRY: Duration = Duration::from_secs(1);
/// Requests of our own have ids from here on; those of callers count from 1.
const OWN_IDS: u64 = 1 << 52;

pub(super) enum End {
    /// The last handle is gone.
    Shutdown,
    Lost(Arc<str>),
}

enum Waiter {
    /// Sent as the bytes from `start` on.
    Caller {
        answer: Answered,
        start: u64,
    },
    Replica(Step),
    Lock(Arc<str>),
    Probe,
}

pub(super) struct Session<'a> {
    actor: &'a mut Actor,
    generation: u64,
    out: BytesMut,
    /// Bytes ever put into `out`, and taken from it by the socket.
    appended: u64,
    written: u64,
    waiting: HashMap<u64, Waiter>,
    next_id: u64,
    heard: Instant,
    probing: bool,
    retry: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(actor: &'a mut Actor, generation: u64) -> Self {
        Self {
            actor,
            generation,
            out: BytesMut::new(),
            appended: 0,
            written: 0,
            waiting: HashMap::new(),
            next_id: OWN_IDS,
            heard: Instant::now(),
            probing: false,
            retry: None,
        }
    }

    pub(super) async fn run(
        mut self,
        stream: Box<dyn Stream>,
        dead: &mut oneshot::Receiver<()>,
    ) -> End {
        self.begin();
        let end = self.exchange(stream, dead).await;
        let reason: Arc<str> = match &end {
            End::Shutdown => "the client has ended".into(),
            End::Lost(reason) => reason.clone(),
        };
        for waiter in self.waiting.into_values() {
            if let Waiter::Caller { answer, start } = waiter {
                // What has not left in the least cannot have happened.
                let _ = answer.send(Err(if start >= self.written {
                    Error::Disconnected(reason.clone())
                } else {
                    Error::Unknown {
                        generation: self.generation,
                        reason: reason.clone(),
                    }
                }));
            }
        }
        end
    }

    /// What every connection starts with.
    fn begin(&mut self) {
        // Without it the server hangs up when a database comes, goes or changes its schema.
        self.request(
            "set_db_change_aware",
            b"[true]",
            Waiter::Replica(Step::Ignore),
        );
        let ids: Vec<u64> = self.actor.replicas.keys().copied().collect();
        for id in ids {
            self.start_replica(id);
        }
        let mut locks = Vec::new();
        for (name, slot) in &mut self.actor.locks {
            locks.push((name.clone(), std::mem::take(&mut slot.steal)));
        }
        for (name, steal) in locks {
            self.ask_lock(name, steal);
        }
        while let Some(call) = self.actor.backlog.pop_front() {
            self.call(call);
        }
    }

    async fn exchange(&mut self, stream: Box<dyn Stream>, dead: &mut oneshot::Receiver<()>) -> End {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut input = BytesMut::with_capacity(READ_BUFFER);
        let mut scanner = Scanner::new(self.actor.options.max_document);
        let mut flushed = true;
        loop {
            match self.take_documents(&mut input, &mut scanner) {
                Ok(()) => {}
                Err(error) => return End::Lost(error),
            }
            if input.capacity() - input.len() < READ_BUFFER / 4 {
                input.reserve(input.len().max(READ_BUFFER));
            }
            if !self.out.is_empty() {
                flushed = false;
            }
            let probe_at = self.probe_at();
            let retry_at = self.retry;
            tokio::select! {
                _ = &mut *dead => return End::Shutdown,
                read = reader.read_buf(&mut input), if self.out.len() < WRITE_LIMIT => match read {
                    Ok(0) => return End::Lost("the server closed the connection".into()),
                    Ok(_) => {
                        self.heard = Instant::now();
                    }
                    Err(error) => return End::Lost(error.to_string().into()),
                },
                wrote = write_some(&mut writer, &mut self.out), if !flushed => match wrote {
                    Ok(0) => flushed = true,
                    Ok(n) => self.written += n as u64,
                    Err(error) => return End::Lost(error.to_string().into()),
                },
                command = self.actor.commands.recv(), if self.out.len() < WRITE_HIGH => match command {
                    Some(command) => self.command(command),
                    None => return End::Shutdown,
                },
                () = at(probe_at) => {
                    if let Err(error) = self.probe() {
                        return End::Lost(error);
                    }
                }
                () = at(retry_at) => {
                    self.retry = None;
                    self.retry_refused();
                }
            }
        }
    }

    fn take_documents(
        &mut self,
        input: &mut BytesMut,
        scanner: &mut Scanner,
    ) -> Result<(), Arc<str>> {
        let mut large = false;
        while let Some(envelope) = scanner.scan(input).map_err(|error| error.to_string())? {
            large |= envelope.end > READ_BUFFER;
            let document = input.split_to(envelope.end).freeze();
            self.receive(&document, envelope)?;
        }
        if large {
            // Lets go of the memory that the large document took.
            let mut fresh = BytesMut::with_capacity(READ_BUFFER.max(input.len()));
            fresh.extend_from_slice(input);
            *input = fresh;
        }
        Ok(())
    }

    fn append(&mut self, write: impl FnOnce(&mut BytesMut)) -> u64 {
        let before = self.out.len();
        let start = self.appended;
        write(&mut self.out);
        self.appended += (self.out.len() - before) as u64;
        start
    }

    fn request(&mut self, method: &str, params: &[u8], waiter: Waiter) {
        let id = self.next_id;
        self.next_id += 1;
        self.append(|out| rpc::write_request(out, id, method, params));
        self.waiting.insert(id, waiter);
    }

    fn send(&mut self, request: Request) {
        self.request(
            request.method,
            &request.params,
            Waiter::Replica(request.step),
        );
    }

    fn call(&mut self, call: Outgoing) {
        if !call.ticket.send(self.generation) {
            return;
        }
        let start = self.append(|out| rpc::write_request(out, call.id, call.method, &call.params));
        self.waiting.insert(
            call.id,
            Waiter::Caller {
                answer: call.answer,
                start,
            },
        );
    }

    fn command(&mut self, command: Command) {
        let command = match command {
            Command::Call(call) => return self.call(call),
            other => other,
        };
        match self.actor.register(command) {
            Todo::Nothing => {}
            Todo::Cancel { id, forget } => {
                if matches!(self.waiting.get(&id), Some(Waiter::Caller { .. })) {
                    if forget {
                        self.waiting.remove(&id);
                    }
                    self.append(|out| rpc::write_notification(out, "cancel", &to_json(&(id,))));
                }
            }
            Todo::Start(id) => self.start_replica(id),
            Todo::Stop(mut core) => {
                let mut requests = core.resync();
                requests.truncate(requests.len().saturating_sub(1)); // all but the new beginning
                requests.into_iter().for_each(|request| self.send(request));
            }
            Todo::Requests(requests) => requests.into_iter().for_each(|request| self.send(request)),
            Todo::Lock { name, steal } => {
                if let Some(slot) = self.actor.locks.get_mut(&name) {
                    slot.steal = false;
                }
                self.ask_lock(name, steal);
            }
            Todo::Unlock { name } => self.request(
                "unlock",
                &to_json(&(&*name,)),
                Waiter::Replica(Step::Ignore),
            ),
        }
    }

    fn ask_lock(&mut self, name: Arc<str>, steal: bool) {
        let method = if steal { "steal" } else { "lock" };
        self.request(method, &to_json(&(&*name,)), Waiter::Lock(name.clone()));
    }

    fn start_replica(&mut self, id: u64) {
        if let Some(replica) = self.actor.replicas.get_mut(&id) {
            let request = replica.start(self.generation);
            self.send(request);
        }
    }

    fn retry_refused(&mut self) {
        let ids: Vec<u64> = self
            .actor
            .replicas
            .iter()
            .filter(|(_, r)| r.refused)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.start_replica(id);
        }
    }

    fn probe_at(&self) -> Option<Instant> {
        let interval = self.actor.options.probe_interval;
        (!interval.is_zero())
            .then(|| self.heard + if self.probing { interval * 2 } else { interval })
    }

    fn probe(&mut self) -> Result<(), Arc<str>> {
        let silent = self.heard.elapsed();
        let interval = self.actor.options.probe_interval;
        if self.probing && silent >= interval * 2 {
            return Err(format!("no word from the server for {silent:.1?}").into());
        }
        if !self.probing && silent >= interval {
            self.probing = true;
            self.request("echo", b"[]", Waiter::Probe);
        }
        Ok(())
    }

    fn receive(&mut self, document: &Bytes, envelope: Envelope) -> Result<(), Arc<str>> {
        self.probing = false;
        let message = Message::decode(document, envelope).map_err(|error| error.to_string())?;
        match message {
            Message::Request { id, method, params } => {
                self.append(|out| match method.as_str() {
                    "echo" => rpc::write_response(out, &id, &params),
                    _ => rpc::write_error(out, &id, "unknown method"),
                });
                Ok(())
            }
            Message::Notification { method, params } => self.notified(&method, &params),
            Message::Response { id, outcome } => {
                self.answered(&id, outcome);
                Ok(())
            }
        }
    }

    fn answered(&mut self, id: &[u8], outcome: Result<Bytes, Bytes>) {
        let waiter = serde_json::from_slice::<u64>(id)
            .ok()
            .and_then(|id| self.waiting.remove(&id));
        let outcome = outcome.map_err(|error| RpcError::from_json(&error));
        match waiter {
            Some(Waiter::Caller { answer, .. }) => {
                let _ = answer.send(
                    outcome
                        .map(|result| (result, self.generation))
                        .map_err(Error::from),
                );
            }
            Some(Waiter::Replica(step)) => {
                self.step(step, outcome.as_deref().map_err(Clone::clone))
            }
            Some(Waiter::Lock(name)) => {
                #[derive(serde::Deserialize)]
                struct Locked {
                    locked: bool,
                }
                match outcome.as_deref().map(serde_json::from_slice) {
                    Ok(Ok(Locked { locked: true })) => self.lock_is(
                        &name,
                        LockState::Held {
                            generation: self.generation,
                        },
                    ),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(lock = %name, %error, "the server refused a lock"),
                }
            }
            // An answer to a probe, or to a request whose caller has gone.
            Some(Waiter::Probe) | None => {}
        }
    }

    fn step(&mut self, step: Step, answer: Result<&[u8], RpcError>) {
        let (Step::Schema { replica, .. }
        | Step::Monitor { replica, .. }
        | Step::Condition { replica, .. }) = step
        else {
            return;
        };
        let Some(core) = self.actor.replicas.get_mut(&replica) else {
            return;
        };
        let request = match step {
            Step::Schema { serial, .. } => core.schema_arrived(serial, answer),
            Step::Monitor { serial, .. } => core.monitor_arrived(serial, answer),
            Step::Condition { serial, .. } => {
                core.condition_arrived(serial, answer);
                None
            }
            Step::Ignore => None,
        };
        if core.refused && self.retry.is_none() {
            self.retry = Some(Instant::now() + RETRY);
        }
        if let Some(request) = request {
            self.send(request);
        }
    }

    fn notified(&mut self, method: &str, params: &[u8]) -> Result<(), Arc<str>> {
        let first = || {
            serde_json::from_slice::<Vec<String>>(params)
                .unwrap_or_default()
                .into_iter()
                .next()
        };
        match method {
            "update" => self.update(params, Format::V1, false),
            "update2" => self.update(params, Format::V2, false),
            "update3" => self.update(params, Format::V2, true),
            "locked" => {
                if let Some(name) = first() {
                    self.lock_is(
                        &name,
                        LockState::Held {
                            generation: self.generation,
                        },
                    );
                }
                Ok(())
            }
            "stolen" => {
                if let Some(name) = first() {
                    self.lock_is(&name, LockState::Stolen);
                }
                Ok(())
            }
            "monitor_canceled" => {
                // The database went, or has another schema now: ask anew.
                let id = first().unwrap_or_default();
                let replica = self
                    .actor
                    .replicas
                    .values_mut()
                    .find(|r| r.plan_of(&id).is_some());
                let requests = replica.map(|replica| {
                    let mut requests = replica.resync();
                    requests.drain(..requests.len().saturating_sub(1)); // the server has cancelled it itself
                    requests
                });
                requests
                    .into_iter()
                    .flatten()
                    .for_each(|request| self.send(request));
                Ok(())
            }
            _ => {
                tracing::debug!(method, "unknown notification");
                Ok(())
            }
        }
    }

    fn update(&mut self, params: &[u8], format: Format, with_txn: bool) -> Result<(), Arc<str>> {
        if format == Format::V1 && self.watched(params) {
            return Ok(());
        }
        let replicas = &self.actor.replicas;
        let id = Cell::new(None);
        let parsed = update::parse_notification(params, format, with_txn, |monitor| {
            replicas.iter().find_map(|(replica, core)| {
                id.set(Some(*replica));
                core.plan_of(monitor)
            })
        });
        let Some(core) = id.get().and_then(|id| self.actor.replicas.get_mut(&id)) else {
            return Ok(());
        };
        let requests = match parsed {
            Ok(Some((txn, update))) => core.updated(txn, update),
            Ok(None) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "cannot read an update, beginning anew");
                core.resync()
            }
        };
        requests.into_iter().for_each(|request| self.send(request));
        Ok(())
    }

    /// Whether the update is that of a plain monitor, which then has it.
    fn watched(&mut self, params: &[u8]) -> bool {
        if self.actor.watches.is_empty() {
            return false;
        }
        let Ok((id, received)) = serde_json::from_slice::<(String, Received)>(params) else {
            return false;
        };
        let Some(sender) = self.actor.watches.get(&*id) else {
            return false;
        };
        if sender.try_send(updates(received)).is_err() {
            tracing::warn!(monitor = %id, "its reader is too slow, or gone");
            self.actor.watches.remove(&*id);
        }
        true
    }

    fn lock_is(&self, name: &str, state: LockState) {
        if let Some(slot) = self.actor.locks.get(name) {
            slot.set(state);
        }
    }
}

/// Writes a part of the buffer, or, when it is empty, flushes and gives 0. Cancel-safe.
async fn write_some<W: AsyncWrite + Unpin>(
    writer: &mut W,
    out: &mut BytesMut,
) -> std::io::Result<usize> {
    if out.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    match writer.write_buf(out).await? {
        0 => Err(std::io::ErrorKind::WriteZero.into()),
        n => Ok(n),
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
