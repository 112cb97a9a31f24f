//! A connection to a switch that keeps itself up.
//!
//! ```text
//!  Connection (cheap clone) --commands--> actor --frames--> socket
//!      ^   ^   ^                            |
//!      |   |   +---- replies, by xid -------+
//!      |   +-------- state (watch) ---------+
//!      +------------ packet-ins, events ----+
//! ```
//!
//! A [`Connection`] is a handle; one task owns the socket. Requests are encoded by their caller, handed over in
//! one piece and pipelined; answers find their request by transaction id, never wait behind packet-ins, and
//! carry the number of the session they came in (the *generation*). When the session ends, what was in flight
//! ends with [`Error::Unknown`] if the switch may have acted on it and with [`Error::Disconnected`] if not, and
//! the task connects again with a jittered backoff.
//!
//! The module knows messages as bytes with a header, and which message answers which; not what flows mean.

mod actor;
mod backoff;
mod bundle;
mod error;
mod events;
mod framing;
mod handshake;
mod options;
mod pending;
mod requests;
mod state;
mod target;
#[cfg(feature = "tls")]
pub mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

pub use backoff::BackoffOptions;
pub use bundle::BundleError;
pub use error::{Error, Offending, SwitchError};
pub use events::{Event, Events, PacketInEvent, PacketIns};
pub use options::Options;
pub use requests::FlowStatsRequest;
pub use state::{Reply, State};
pub use target::{Connecting, Connector, DEFAULT_PORT, Stream, Target, TargetError};

use actor::{Actor, Command, Counters};
use events::Hub;
use handshake::RESERVED_XIDS;
use pending::{Answer, Kind};

use crate::message::Message;

const COMMAND_QUEUE: usize = 64;

/// A handle to a connection; clones share it. The connection ends when the last handle is dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use openflow::connection::{Connection, FlowStatsRequest, Options};
///
/// let switch = Connection::connect("unix:/run/openvswitch/br0.mgmt".parse()?, Options::default());
/// switch.connected().await?;
/// for flow in &switch.dump_flows(FlowStatsRequest::default()).await? {
///     println!("{flow}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    /// The session this handle is bound to, if any.
    generation: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<State>,
    hub: Arc<Hub>,
    counters: Arc<Counters>,
    options: Options,
    next_xid: AtomicU32,
    next_bundle: AtomicU32,
}

/// What a connection has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Messages received, packet-ins included.
    pub messages_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes handed to the socket.
    pub bytes_sent: u64,
    /// Packet-ins dropped because their consumer was slow, or because there was none.
    pub packet_ins_dropped: u64,
}

impl Connection {
    /// Starts connecting to `target`, in a task of its own on the current tokio runtime.
    ///
    /// Returns at once; watch [`state`](Self::state) or await [`connected`](Self::connected).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn connect(target: Target, options: Options) -> Connection {
        let connector = target::TargetConnector {
            target,
            #[cfg(feature = "tls")]
            tls: options.tls.clone(),
        };
        Self::with_connector(connector, options)
    }

    /// As [`connect`](Self::connect), over whatever streams `connector` opens.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn with_connector(connector: impl Connector, options: Options) -> Connection {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let (state_sender, state) = watch::channel(State::Disconnected { error: None });
        let hub = Arc::new(Hub::new(options.event_queue));
        let counters = Arc::new(Counters::default());
        let actor = Actor {
            connector,
            options: options.clone(),
            commands: receiver,
            state: state_sender,
            hub: Arc::clone(&hub),
            counters: Arc::clone(&counters),
        };
        tokio::spawn(actor.run());
        let shared = Shared {
            commands,
            state,
            hub,
            counters,
            options,
            next_xid: AtomicU32::new(1),
            next_bundle: AtomicU32::new(1),
        };
        Connection {
            shared: Arc::new(shared),
            generation: None,
        }
    }

    /// Whether there is a session, to watch.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.clone()
    }

    /// Waits for a session and returns its generation.
    ///
    /// # Errors
    /// [`Error::Closed`] if the connection's task has ended. Failed attempts to connect are not errors here;
    /// they are seen in [`state`](Self::state), and bounded by a timeout of the caller's.
    pub async fn connected(&self) -> Result<u64, Error> {
        let mut state = self.state();
        let state = state
            .wait_for(State::is_connected)
            .await
            .map_err(|_| Error::Closed)?;
        state.generation().ok_or(Error::Closed)
    }

    /// A handle whose requests are sent in session `generation` or not at all ([`Error::Stale`]).
    #[must_use]
    pub fn pinned(&self, generation: u64) -> Connection {
        Connection {
            shared: Arc::clone(&self.shared),
            generation: Some(generation),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let counters = &self.shared.counters;
        Statistics {
            messages_received: counters.received.load(Ordering::Relaxed),
            bytes_received: counters.received_bytes.load(Ordering::Relaxed),
            bytes_sent: counters.sent_bytes.load(Ordering::Relaxed),
            packet_ins_dropped: self.shared.hub.dropped(),
        }
    }

    /// A new consumer of packet-ins, with a queue of its own.
    ///
    /// Each consumer gets every packet-in; what a full queue cannot take is dropped and
    /// [counted](Statistics::packet_ins_dropped).
    #[must_use]
    pub fn packet_ins(&self) -> PacketIns {
        self.shared
            .hub
            .packet_ins(self.shared.options.packet_in_queue)
    }

    /// A new listener to everything else the switch sends unasked.
    #[must_use]
    pub fn events(&self) -> Events {
        self.shared.hub.events()
    }

    /// `n` consecutive transaction ids, below the connection's own.
    fn xids(&self, n: u32) -> u32 {
        let mut first = 0;
        let next = |current: u32| {
            first = if RESERVED_XIDS - current < n {
                1
            } else {
                current
            };
            Some(first + n)
        };
        // The closure always returns `Some`.
        let _ = self
            .shared
            .next_xid
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        first
    }

    async fn submit(
        &self,
        chunks: Vec<bytes::Bytes>,
        first: u32,
        last: u32,
        kind: Kind,
    ) -> Result<(), Error> {
        let command = Command {
            chunks,
            first,
            last,
            kind,
            generation: self.generation,
        };
        self.shared
            .commands
            .send(command)
            .await
            .map_err(|_| Error::Closed)
    }

    /// Bounds `work` by the request timeout.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let limit = self.shared.options.request_timeout;
        timeout(limit, work).await.unwrap_or_else(|_| {
            Err(Error::Timeout {
                seconds: limit.as_secs_f64(),
            })
        })
    }

    fn encode_one(message: &Message, xid: u32) -> Result<Vec<bytes::Bytes>, Error> {
        let mut out = Vec::new();
        let encoded = message.encode(xid, &mut out);
        encoded.map_err(|error| Error::Encode {
            index: 0,
            message: message.name(),
            error,
        })?;
        Ok(vec![out.into()])
    }

    /// Sends `message` and returns the generation it was queued in; nothing more is known of it. An error the
    /// switch answers with is seen in [`events`](Self::events).
    ///
    /// # Errors
    /// If there is no session, or the message cannot be encoded.
    pub async fn send(&self, message: &Message) -> Result<u64, Error> {
        let xid = self.xids(1);
        let (done, answer) = oneshot::channel();
        self.in_time(async {
            self.submit(
                Self::encode_one(message, xid)?,
                xid,
                xid,
                Kind::Fire { done },
            )
            .await?;
            answer.await.map_err(|_| Error::Closed)?
        })
        .await
    }

    /// Sends `message` and returns the one message the switch answers with.
    ///
    /// For requests with exactly one answer: echo, features, configuration, barrier, role, queue configuration,
    /// TLV table and the like; for multipart requests see [`multipart`](Self::multipart), for messages that are
    /// answered only by an error see [`apply`](Self::apply).
    ///
    /// # Errors
    /// [`Error::Switch`] if the switch answers with an ERROR, and the others of [`Error`].
    pub async fn request(&self, message: &Message) -> Result<Reply<Message>, Error> {
        let xid = self.xids(1);
        let (done, answer) = oneshot::channel();
        let Answer { generation, frame } = self
            .in_time(async {
                self.submit(
                    Self::encode_one(message, xid)?,
                    xid,
                    xid,
                    Kind::Single { done },
                )
                .await?;
                answer.await.map_err(|_| Error::Closed)?
            })
            .await?;
        let (_, value) = Message::decode(&frame)?;
        Ok(Reply { generation, value })
    }
}
