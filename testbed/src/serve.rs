//! Servers that say who they are: each answer carries the server's name and the peer that it saw.
//!
//! A server lives in one namespace, on one thread, and serves any number of TCP and UDP addresses there. Over TCP
//! each line is answered by one line, over UDP each datagram by one of the same length (or longer, if what there is
//! to say does not fit): `NAME PEER TAG`, where the tag is the first word of the question.
//!
//! Must not know Services, nodes or Open vSwitch.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::netns;

/// How often an idle server looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(20);
/// How long a server gets to listen.
const START: Duration = Duration::from_secs(5);
/// A peer that was pushed to for so long is let go.
const PUSH: Duration = Duration::from_secs(30);

/// What a server listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TCP: a line for a line.
    Tcp(SocketAddr),
    /// UDP: a datagram for a datagram.
    Udp(SocketAddr),
    /// UDP: once a peer has sent anything, a datagram to it each so often, whatever it sends then.
    Push(SocketAddr, Duration),
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    stop: Arc<AtomicBool>,
    questions: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Server {
    /// Starts a server in a namespace; it listens when this returns.
    ///
    /// # Errors
    /// When it cannot listen on one of the addresses.
    pub fn start(netns: &str, name: &str, listen: &[Listen]) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let questions = Arc::new(AtomicU64::new(0));
        let (tell, listens) = mpsc::channel();
        let (ending, count) = (Arc::clone(&stop), Arc::clone(&questions));
        let (identity, listen) = (name.to_owned(), listen.to_vec());
        let thread = netns::within(netns, move || {
            let mut serving = Serving::new(identity, &listen, count)?;
            // Whoever waited may have given up.
            let _ = tell.send(());
            while !ending.load(Ordering::Relaxed) {
                serving.turn()?;
            }
            Ok(())
        })?;
        let server = Self {
            name: name.to_owned(),
            stop,
            questions,
            thread: Some(thread),
        };
        if listens.recv_timeout(START).is_err() {
            server.finish()?;
            anyhow::bail!("server {name} does not listen");
        }
        Ok(server)
    }

    /// Its name, as it gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Questions it has heard so far.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// Ends it: listeners and connections are closed.
    ///
    /// # Errors
    /// What went wrong while it served.
    pub fn finish(mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => netns::join(thread).with_context(|| format!("server {}", self.name)),
            None => Ok(()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && let Err(error) = netns::join(thread)
        {
            println!("    server {} failed: {error:#}", self.name);
        }
    }
}

/// One TCP connection.
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    heard: Vec<u8>,
}

/// One UDP socket.
struct Datagrams {
    socket: UdpSocket,
    /// How often to push, if it pushes.
    push: Option<Duration>,
    /// Whom it pushes to: when it began, when the next is due, how many there were.
    peers: BTreeMap<SocketAddr, (Instant, Instant, u64)>,
}

/// All that the server's thread has.
struct Serving {
    name: String,
    listeners: Vec<TcpListener>,
    datagrams: Vec<Datagrams>,
    connections: Vec<Connection>,
    questions: Arc<AtomicU64>,
}

impl Serving {
    fn new(name: String, listen: &[Listen], questions: Arc<AtomicU64>) -> Result<Self> {
        let mut serving = Self {
            name,
            listeners: Vec::new(),
            datagrams: Vec::new(),
            connections: Vec::new(),
            questions,
        };
        for listen in listen {
            let (address, push) = match *listen {
                Listen::Tcp(address) => {
                    let listener = TcpListener::bind(address)
                        .with_context(|| format!("cannot listen on tcp {address}"))?;
                    listener.set_nonblocking(true)?;
                    serving.listeners.push(listener);
                    continue;
                }
                Listen::Udp(address) => (address, None),
                Listen::Push(address, interval) => (address, Some(interval)),
            };
            let socket = UdpSocket::bind(address)
                .with_context(|| format!("cannot listen on udp {address}"))?;
            socket.set_nonblocking(true)?;
            serving.datagrams.push(Datagrams {
                socket,
                push,
                peers: BTreeMap::new(),
            });
        }
        Ok(serving)
    }

    /// Waits until there is something to do, but not long, and does it.
    fn turn(&mut self) -> Result<()> {
        let due = self
            .datagrams
            .iter()
            .flat_map(|datagrams| datagrams.peers.values())
            .map(|(_, due, _)| due.saturating_duration_since(Instant::now()))
            .min();
        let wait = due.map_or(TICK, |due| due.min(TICK));
        // Whole milliseconds: a push may be late by one.
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        let mut fds: Vec<PollFd<'_>> = Vec::new();
        let ready = PollFlags::POLLIN;
        fds.extend(self.listeners.iter().map(|l| PollFd::new(l.as_fd(), ready)));
        fds.extend(
            self.datagrams
                .iter()
                .map(|d| PollFd::new(d.socket.as_fd(), ready)),
        );
        fds.extend(
            self.connections
                .iter()
                .map(|c| PollFd::new(c.stream.as_fd(), ready)),
        );
        match poll(&mut fds, wait) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for questions"),
        }
        let stirs: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(fds);
        let (first, rest) = stirs.split_at(self.listeners.len());
        let (second, third) = rest.split_at(self.datagrams.len());
        let mut stirs = third.iter();
        let (name, questions) = (&self.name, &self.questions);
        self.connections.retain_mut(|connection| {
            !stirs.next().is_some_and(|stir| *stir) || connection.hear(name, questions)
        });
        for (datagrams, stir) in self.datagrams.iter_mut().zip(second) {
            if *stir {
                datagrams.hear(name, questions);
            }
            datagrams.push(name);
        }
        for (listener, stir) in self.listeners.iter().zip(first) {
            while *stir && let Ok((stream, peer)) = listener.accept() {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                self.connections.push(Connection {
                    stream,
                    peer,
                    heard: Vec::new(),
                });
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Answers what has been asked; false once the connection is over.
    fn hear(&mut self, name: &str, questions: &AtomicU64) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => self
                .heard
                .extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) => {
                return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
            }
        }
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            questions.fetch_add(1, Ordering::Relaxed);
            let answer = format!("{}\n", answer(name, self.peer, &line));
            // An answer fits the socket's buffer, since the peer reads one before it asks again.
            if self.stream.write_all(answer.as_bytes()).is_err() {
                return false;
            }
        }
        true
    }
}

impl Datagrams {
    fn hear(&mut self, name: &str, questions: &AtomicU64) {
        let mut buffer = vec![0; 65_536];
        // What an ICMP error made of an earlier answer is reported here, and means nothing now.
        while let Ok((count, peer)) = self.socket.recv_from(&mut buffer) {
            questions.fetch_add(1, Ordering::Relaxed);
            let asked = buffer.get(..count).unwrap_or_default();
            if self.push.is_some() {
                let now = Instant::now();
                self.peers.entry(peer).or_insert((now, now, 0));
            } else {
                let mut answer = answer(name, peer, asked).into_bytes();
                answer.resize(answer.len().max(count), b' ');
                let _ = self.socket.send_to(&answer, peer);
            }
        }
    }

    fn push(&mut self, name: &str) {
        let Some(interval) = self.push else {
            return;
        };
        let now = Instant::now();
        self.peers.retain(|_, (began, ..)| began.elapsed() < PUSH);
        for (peer, (_, due, count)) in &mut self.peers {
            if *due <= now {
                let _ = self
                    .socket
                    .send_to(format!("{name} {peer} push-{count}").as_bytes(), peer);
                *count += 1;
                *due = now + interval;
            }
        }
    }
}

fn answer(name: &str, peer: SocketAddr, asked: &[u8]) -> String {
    let asked = String::from_utf8_lossy(asked);
    let tag = asked.split_whitespace().next().unwrap_or_default();
    format!("{name} {peer} {tag}")
}
