//! Messages nobody asked for: packet-ins to their consumers, everything else to whoever listens.
//!
//! Nothing here can make the session wait. A full packet-in queue drops the newest and counts it; a listener
//! that lags loses the oldest and is told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc};

use crate::error::DecodeError;
use crate::header::Header;
use crate::message::{Message, PacketIn};

/// A frame and the session it came in.
#[derive(Clone, Debug)]
struct Frame {
    generation: u64,
    bytes: Bytes,
}

/// Where the session hands over what nobody asked for.
#[derive(Debug)]
pub(crate) struct Hub {
    packet_ins: Mutex<Vec<mpsc::Sender<Frame>>>,
    dropped: AtomicU64,
    events: broadcast::Sender<Frame>,
}

impl Hub {
    pub(crate) fn new(event_queue: usize) -> Hub {
        let (events, _) = broadcast::channel(event_queue.max(1));
        Hub {
            packet_ins: Mutex::default(),
            dropped: AtomicU64::new(0),
            events,
        }
    }

    pub(crate) fn packet_in(&self, generation: u64, bytes: Bytes) {
        // The lock is held for a push or a try_send, never across an await.
        let mut consumers = self
            .packet_ins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut taken = false;
        consumers.retain(|consumer| {
            match consumer.try_send(Frame {
                generation,
                bytes: bytes.clone(),
            }) {
                Ok(()) => {
                    taken = true;
                    true
                }
                Err(mpsc::error::TrySendError::Full(_)) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    taken = true;
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            }
        });
        if !taken {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn event(&self, generation: u64, bytes: Bytes) {
        // Fails only when nobody listens.
        let _ = self.events.send(Frame { generation, bytes });
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn packet_ins(self: &Arc<Self>, queue: usize) -> PacketIns {
        let (sender, receiver) = mpsc::channel(queue.max(1));
        self.packet_ins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        PacketIns { receiver }
    }

    pub(crate) fn events(&self) -> Events {
        Events {
            receiver: self.events.subscribe(),
        }
    }
}

/// The packet-ins of a connection, across sessions.
#[derive(Debug)]
pub struct PacketIns {
    receiver: mpsc::Receiver<Frame>,
}

/// A packet-in as it arrived.
#[derive(Debug)]
pub struct PacketInEvent {
    /// The session it came in.
    pub generation: u64,
    /// The message, or why it cannot be understood.
    pub packet_in: Result<PacketIn, DecodeError>,
}

impl PacketIns {
    /// The next packet-in; `None` once the connection is closed. Cancelling it loses nothing.
    pub async fn recv(&mut self) -> Option<PacketInEvent> {
        let Frame { generation, bytes } = self.receiver.recv().await?;
        Some(PacketInEvent {
            generation,
            packet_in: PacketIn::decode_message(&bytes),
        })
    }
}

/// What the switch sends unasked, packet-ins excepted: port status, flow removed, role status, flow monitor
/// updates, errors for messages that were sent without waiting.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Frame>,
}

/// One of them.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A message.
    Message {
        /// The session it came in.
        generation: u64,
        /// Its transaction id: of the flow monitor, or of the message that an error is about.
        xid: u32,
        /// What it says, or why it cannot be understood.
        message: Box<Result<Message, DecodeError>>,
    },
    /// The listener was too slow and missed this many.
    Lagged(u64),
}

impl Events {
    /// The next event; `None` once the connection is closed. Cancelling it loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(Frame { generation, bytes }) => {
                let xid = Header::peek(&bytes).map_or(0, |h| h.xid);
                Some(Event::Message {
                    generation,
                    xid,
                    message: Box::new(Message::decode(&bytes).map(|(_, message)| message)),
                })
            }
            Err(broadcast::error::RecvError::Lagged(n)) => Some(Event::Lagged(n)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
