//! A synchronous client: one connection, one call at a time, everything bounded by a deadline.
//!
//! It owns the socket and the framing. It must not know what the methods mean.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::envelope::{Params, Request, Response};
use crate::error::ErrorObject;
use crate::method::Method;

/// Longest answer accepted unless [`Client::set_max_answer`] says otherwise, bytes.
pub const DEFAULT_MAX_ANSWER: usize = 1 << 20;

/// First wait between two attempts to connect; doubles up to [`LAST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// Longest wait between two attempts to connect: how late a caller may notice a new agent.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// A point in time by which something must be done.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

impl Deadline {
    /// `duration` from now.
    pub fn after(duration: Duration) -> Self {
        Deadline(Instant::now() + duration)
    }

    /// Time left, zero once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn passed(self) -> bool {
        self.left().is_zero()
    }
}

/// Why a call did not bring a result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: no socket, connection refused, or its queue stayed full until the
    /// deadline. Nothing was sent.
    #[error("no agent listens on {}: {source}", path.display())]
    Absent {
        /// The socket.
        path: PathBuf,
        /// What the last attempt said.
        source: io::Error,
    },
    /// The socket cannot be used: no permission, path too long. Nothing was sent.
    #[error("cannot use the agent's socket {}: {source}", path.display())]
    Unusable {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke after the request was (perhaps partly) sent: the outcome is unknown.
    #[error("the agent hung up before its answer: {0}")]
    Lost(io::Error),
    /// No answer before the deadline: the outcome is unknown.
    #[error("the agent did not answer in time")]
    Timeout,
    /// The answer is longer than the limit.
    #[error("the agent's answer is longer than {limit} bytes")]
    TooLong {
        /// The limit, bytes.
        limit: usize,
    },
    /// The answer is not what the protocol says.
    #[error("cannot understand the agent's answer: {0}")]
    Malformed(String),
    /// The agent answered with an error.
    #[error(transparent)]
    Agent(#[from] ErrorObject),
}

/// A connection to the agent.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    received: Vec<u8>,
    next_id: u64,
    max_answer: usize,
}

impl Client {
    /// Connects, once.
    ///
    /// # Errors
    /// [`ClientError::Absent`] or [`ClientError::Unusable`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        match try_connect(path) {
            Ok(stream) => Ok(Client::over(stream)),
            Err(error) if is_absence(&error) => Err(ClientError::Absent {
                path: path.to_owned(),
                source: error,
            }),
            Err(error) => Err(ClientError::Unusable {
                path: path.to_owned(),
                source: error,
            }),
        }
    }

    /// Connects, waiting for an agent that is away (socket missing, connection refused, queue
    /// full) until `deadline`; tries at least once.
    ///
    /// # Errors
    /// [`ClientError::Absent`] after the deadline, [`ClientError::Unusable`] at once.
    pub fn connect_waiting(path: &Path, deadline: Deadline) -> Result<Self, ClientError> {
        let mut wait = FIRST_WAIT;
        loop {
            match Client::connect(path) {
                Err(ClientError::Absent { .. }) if !deadline.passed() => {
                    std::thread::sleep(wait.min(deadline.left()));
                    wait = (wait * 2).min(LAST_WAIT);
                }
                outcome => return outcome,
            }
        }
    }

    /// Speaks over a stream that is already connected.
    pub fn over(stream: UnixStream) -> Self {
        Client {
            stream,
            received: Vec::new(),
            next_id: 1,
            max_answer: DEFAULT_MAX_ANSWER,
        }
    }

    /// Accept answers up to `bytes` long.
    pub fn set_max_answer(&mut self, bytes: usize) {
        self.max_answer = bytes;
    }

    /// One call. After any error but [`ClientError::Agent`] the connection must not be used
    /// again.
    ///
    /// # Errors
    /// All of [`ClientError`] but those of connecting.
    pub fn call<M: Method>(
        &mut self,
        request: &M::Request,
        deadline: Deadline,
    ) -> Result<M::Response, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let request = Request {
            jsonrpc: "2.0",
            id,
            method: M::NAME,
            params: Params::new(request),
        };
        let mut line = serde_json::to_vec(&request)
            .map_err(|error| ClientError::Malformed(format!("own request: {error}")))?;
        line.push(b'\n');
        self.send(&line, deadline)?;
        let line = self.receive_line(deadline)?;
        let response: Response<M::Response> = serde_json::from_slice(&line)
            .map_err(|error| ClientError::Malformed(error.to_string()))?;
        match (response.result, response.error) {
            (None, Some(error)) => Err(ClientError::Agent(error)),
            (Some(result), None) if response.id == Some(id) => Ok(result),
            (Some(_), None) => Err(ClientError::Malformed("answer to another request".into())),
            _ => Err(ClientError::Malformed("neither result nor error".into())),
        }
    }

    fn send(&mut self, mut bytes: &[u8], deadline: Deadline) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            self.stream
                .set_write_timeout(Some(left(deadline)?))
                .map_err(ClientError::Lost)?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(ClientError::Lost(io::ErrorKind::WriteZero.into())),
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(error) => self.tolerate(error)?,
            }
        }
        Ok(())
    }

    /// The next line without its newline. Every byte is looked at once.
    fn receive_line(&mut self, deadline: Deadline) -> Result<Vec<u8>, ClientError> {
        let mut scanned = 0;
        let mut chunk = [0u8; 8192];
        loop {
            let fresh = self.received.get(scanned..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let rest = self.received.split_off(scanned + at + 1);
                let mut line = std::mem::replace(&mut self.received, rest);
                line.pop();
                return Ok(line);
            }
            scanned = self.received.len();
            if scanned > self.max_answer {
                return Err(ClientError::TooLong {
                    limit: self.max_answer,
                });
            }
            self.stream
                .set_read_timeout(Some(left(deadline)?))
                .map_err(ClientError::Lost)?;
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(ClientError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(n) => self
                    .received
                    .extend_from_slice(chunk.get(..n).unwrap_or_default()),
                Err(error) => self.tolerate(error)?,
            }
        }
    }

    /// Interruptions and the kernel's own timer are looked at again by the caller's loop.
    fn tolerate(&self, error: io::Error) -> Result<(), ClientError> {
        match error.kind() {
            io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Ok(())
            }
            _ => Err(ClientError::Lost(error)),
        }
    }
}

/// Time left, which a socket timeout may not be zero of.
fn left(deadline: Deadline) -> Result<Duration, ClientError> {
    let left = deadline.left();
    if left.is_zero() {
        Err(ClientError::Timeout)
    } else {
        Ok(left)
    }
}

/// Connects without blocking: a Unix socket whose queue is full would else block without limit.
fn try_connect(path: &Path) -> io::Result<UnixStream> {
    let fd: OwnedFd = socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(fd);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Whether an agent that (re)starts, or is busy, would look like this.
fn is_absence(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(
        errno,
        Some(
            Errno::ENOENT | Errno::ECONNREFUSED | Errno::EAGAIN | Errno::ECONNRESET | Errno::EINTR
        )
    )
}
