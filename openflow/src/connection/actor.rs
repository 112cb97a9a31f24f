//! The task that owns the socket: connects, runs a session until it ends, waits, connects again.
//!
//! It knows headers, never bodies: requests come encoded and answers leave as frames, so that the work of
//! encoding and decoding falls to the callers. Back-pressure is to stop taking commands.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::backoff::Backoff;
use super::error::Error;
use super::events::Hub;
use super::framing::{FrameReader, Outbox};
use super::handshake::{RESERVED_XIDS, echo_reply, handshake};
use super::options::Options;
use super::pending::{Kind, Matched, Pending};
use super::state::State;
use super::target::{Connector, Stream};
use crate::header::{Header, MsgType, VERSION};
use crate::message::{FeaturesReply, is_packet_in};

const PROBE_XID: u32 = RESERVED_XIDS;

/// A request, encoded.
#[derive(Debug)]
pub(crate) struct Command {
    /// Whole messages, with xids `first..=last`.
    pub(crate) chunks: Vec<Bytes>,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) kind: Kind,
    /// The only session in which it may be sent, if bound to one.
    pub(crate) generation: Option<u64>,
}

/// Messages counted since the connection was made.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received: AtomicU64,
    pub(crate) sent_bytes: AtomicU64,
    pub(crate) received_bytes: AtomicU64,
}

pub(crate) struct Actor<C> {
    pub(crate) connector: C,
    pub(crate) options: Options,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) counters: Arc<Counters>,
}

impl<C: Connector> Actor<C> {
    /// Runs until every handle is gone.
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new(self.options.backoff);
        let mut generation = 0;
        loop {
            let reason: Arc<str> = match self.connect().await {
                Err(error) => {
                    tracing::debug!(target = %self.connector.name(), %error, "connecting to the switch failed");
                    error.to_string().into()
                }
                Ok((stream, reader, features, early)) => {
                    generation += 1;
                    tracing::info!(target = %self.connector.name(), generation, "connected to the switch");
                    self.state.send_replace(State::Connected {
                        generation,
                        features: Arc::new(features),
                    });
                    let since = Instant::now();
                    let mut session = Session {
                        generation,
                        reader,
                        outbox: Outbox::default(),
                        pending: Pending::default(),
                        last_heard: Instant::now(),
                        probed: false,
                        actor: &mut self,
                    };
                    let end = session.run(stream, early).await;
                    let (written, pending) = (
                        session.outbox.written(),
                        std::mem::take(&mut session.pending),
                    );
                    let (reason, gone) = match end {
                        Ok(()) => (Arc::from("every handle is gone"), true),
                        Err(error) => (Arc::from(error.to_string()), false),
                    };
                    self.state.send_replace(State::Disconnected {
                        error: Some(Arc::clone(&reason)),
                    });
                    let mut pending = pending;
                    pending.cut(written, &reason);
                    if gone {
                        return;
                    }
                    tracing::warn!(target = %self.connector.name(), generation, error = %reason, "lost the switch");
                    backoff.session_ended(since.elapsed());
                    reason
                }
            };
            self.state.send_if_modified(|state| {
                let news = State::Disconnected {
                    error: Some(reason.clone()),
                };
                let changed = !state.same(&news);
                *state = news;
                changed
            });
            if self.wait(backoff.next_wait(), &reason).await.is_break() {
                return;
            }
        }
    }

    async fn connect(
        &mut self,
    ) -> io::Result<(
        Box<dyn Stream>,
        FrameReader,
        FeaturesReply,
        Vec<(Header, Bytes)>,
    )> {
        let connecting = self.connector.connect();
        let options = &self.options;
        let attempt = async {
            let mut stream = connecting.await?;
            let mut reader = FrameReader::default();
            let (features, early) = handshake(&mut stream, &mut reader, options).await?;
            Ok((stream, reader, features, early))
        };
        tokio::pin!(attempt);
        let reason: Arc<str> = "connecting".into();
        let attempt = timeout(options.connect_timeout, async {
            loop {
                tokio::select! {
                    biased;
                    done = &mut attempt => return done,
                    command = self.commands.recv() => match command {
                        Some(command) => command.kind.fail(Error::Disconnected { reason: reason.clone() }),
                        None => std::future::pending().await,
                    },
                }
            }
        });
        attempt.await.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the switch did not answer in time",
            ))
        })
    }

    /// Waits before the next attempt, refusing requests meanwhile.
    async fn wait(&mut self, duration: std::time::Duration, reason: &Arc<str>) -> ControlFlow<()> {
        let until = Instant::now() + duration;
        loop {
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => command.kind.fail(Error::Disconnected { reason: reason.clone() }),
                    None => return ControlFlow::Break(()),
                },
                () = tokio::time::sleep_until(until) => return ControlFlow::Continue(()),
            }
        }
    }
}

struct Session<'a, C> {
    generation: u64,
    reader: FrameReader,
    outbox: Outbox,
    pending: Pending,
    last_heard: Instant,
    probed: bool,
    actor: &'a mut Actor<C>,
}

impl<C: Connector> Session<'_, C> {
    /// Runs until the stream ends (an error) or every handle is gone.
    async fn run<S>(&mut self, stream: S, early: Vec<(Header, Bytes)>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut read, mut write) = tokio::io::split(stream);
        for (header, frame) in early {
            self.receive(header, frame)?;
        }
        // A frame may have come in the same read as the end of the handshake.
        self.drain()?;
        let mut closing = false;
        loop {
            if closing && self.outbox.is_empty() && self.pending.len() == 0 {
                let _ = write.shutdown().await;
                return Ok(());
            }
            let takes_commands = !closing && self.takes_commands();
            let writing = !self.outbox.is_empty();
            let queued = self.outbox.queued();
            let deadline = self.last_heard
                + self.actor.options.probe_interval * if self.probed { 2 } else { 1 };
            tokio::select! {
                result = self.reader.fill(&mut read) => {
                    result?;
                    self.last_heard = Instant::now();
                    self.probed = false;
                    self.drain()?;
                }
                result = self.outbox.write(&mut write), if writing => {
                    result?;
                    let written = queued.saturating_sub(self.outbox.queued());
                    self.actor.counters.sent_bytes.fetch_add(written as u64, Ordering::Relaxed);
                    if self.outbox.is_empty() {
                        write.flush().await?;
                    }
                }
                command = self.actor.commands.recv(), if takes_commands => match command {
                    Some(command) => self.accept(command),
                    None => closing = true,
                },
                () = tokio::time::sleep_until(deadline) => self.probe()?,
            }
        }
    }

    fn takes_commands(&mut self) -> bool {
        if self.pending.len() >= self.actor.options.max_in_flight {
            self.pending.prune();
        }
        self.pending.len() < self.actor.options.max_in_flight
            && self.outbox.queued() < self.actor.options.max_queued_bytes
    }

    fn accept(&mut self, command: Command) {
        let Command {
            chunks,
            first,
            last,
            kind,
            generation,
        } = command;
        if let Some(wanted) = generation.filter(|g| *g != self.generation) {
            return kind.fail(Error::Stale {
                wanted,
                current: self.generation,
            });
        }
        let start = self.outbox.end_offset();
        for chunk in chunks {
            self.outbox.push(chunk);
        }
        match kind {
            Kind::Fire { done } => drop(done.send(Ok(self.generation))),
            kind => self.pending.insert(first, last, start, kind),
        }
    }

    fn probe(&mut self) -> io::Result<()> {
        if self.probed {
            let silence = self.last_heard.elapsed().as_secs_f64();
            let text =
                format!("the switch was silent for {silence:.1} s and did not answer an echo");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        self.probed = true;
        let probe = Header {
            version: VERSION,
            type_: MsgType::ECHO_REQUEST,
            length: 8,
            xid: PROBE_XID,
        };
        self.outbox
            .push_urgent(Bytes::copy_from_slice(&probe.to_bytes()));
        Ok(())
    }

    fn drain(&mut self) -> io::Result<()> {
        while let Some((header, frame)) = self.reader.next_frame()? {
            self.receive(header, frame)?;
        }
        Ok(())
    }

    fn receive(&mut self, header: Header, frame: Bytes) -> io::Result<()> {
        let counters = &self.actor.counters;
        counters.received.fetch_add(1, Ordering::Relaxed);
        counters
            .received_bytes
            .fetch_add(frame.len() as u64, Ordering::Relaxed);
        if header.version != VERSION {
            let text = format!(
                "the switch sent a message of version {:#04x}",
                header.version
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        match header.type_ {
            MsgType::ECHO_REQUEST => self.outbox.push_urgent(echo_reply(header, &frame)),
            MsgType::ECHO_REPLY if header.xid == PROBE_XID => {}
            _ if is_packet_in(header, &frame) => self.actor.hub.packet_in(self.generation, frame),
            MsgType::PORT_STATUS | MsgType::FLOW_REMOVED => {
                self.actor.hub.event(self.generation, frame)
            }
            _ => match self.pending.answer(self.generation, header, frame.clone()) {
                Matched::Done => {}
                Matched::Send(request, bytes) => {
                    self.pending.restart(request, self.outbox.end_offset());
                    self.outbox.push(bytes);
                }
                Matched::Unknown => self.actor.hub.event(self.generation, frame),
            },
        }
        Ok(())
    }
}
