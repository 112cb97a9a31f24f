//! Clients of [`crate::serve`]: one connection or thousands, and what became of each.
//!
//! A socket stays in the namespace it was made in, whoever uses it: connections are opened by a thread inside and
//! used from anywhere. Nothing here waits longer than the [`Dial`] says.
//!
//! Must not know Services, nodes or Open vSwitch.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};

use crate::netns;

/// How long an answer may take, unless a [`Dial`] says otherwise.
const LIMIT: Duration = Duration::from_secs(5);

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    /// Its name as Kubernetes spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// What to ask, and whom.
#[derive(Clone, Debug)]
pub struct Dial {
    /// How.
    pub protocol: Protocol,
    /// Whom.
    pub target: SocketAddr,
    /// The client's own address, if not the one that its routes suggest.
    pub address: Option<IpAddr>,
    /// The client's own port, if not any; it may have been used a moment ago.
    pub port: Option<u16>,
    /// How long an answer may take.
    pub limit: Duration,
    /// Bytes of a datagram; more than the MTU makes fragments, both ways.
    pub size: usize,
    /// Whether a TCP connection ends by RST, so that its port is free at once, and not by FIN.
    pub abort: bool,
}

impl Dial {
    /// By TCP.
    pub fn tcp(address: IpAddr, port: u16) -> Self {
        Self::new(Protocol::Tcp, address, port)
    }

    /// By UDP.
    pub fn udp(address: IpAddr, port: u16) -> Self {
        Self::new(Protocol::Udp, address, port)
    }

    /// By either.
    pub fn new(protocol: Protocol, address: IpAddr, port: u16) -> Self {
        Self {
            protocol,
            target: SocketAddr::new(address, port),
            address: None,
            port: None,
            limit: LIMIT,
            size: 0,
            abort: false,
        }
    }

    /// The same from a port.
    #[must_use]
    pub fn from_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The same from an address.
    #[must_use]
    pub fn from_address(mut self, address: IpAddr) -> Self {
        self.address = Some(address);
        self
    }

    /// The same with less or more patience.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The same with datagrams of so many bytes.
    #[must_use]
    pub fn of_size(mut self, bytes: usize) -> Self {
        self.size = bytes;
        self
    }

    /// The same, ended by RST.
    #[must_use]
    pub fn aborting(mut self) -> Self {
        self.abort = true;
        self
    }
}

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The server's name.
    pub by: String,
    /// The peer that it saw.
    pub seen: SocketAddr,
    /// The first word of the question, or what it pushed.
    pub tag: String,
    /// How long it took from before the connection to the answer.
    pub took: Duration,
}

/// How it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// RST, or ICMP port unreachable.
    Refused,
    /// Another ICMP error, or no route.
    Unreachable,
    /// A connection that was up broke.
    Reset,
    /// Silence.
    Timeout,
    /// The answer makes no sense.
    Garbled,
    /// The socket could not be made or bound.
    Local,
}

/// A question without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// How it failed.
    pub why: Why,
    /// How long that took.
    pub took: Duration,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} after {:?}", self.why, self.took)
    }
}

impl std::error::Error for Failure {}

/// What became of one question.
pub type Outcome = std::result::Result<Answer, Failure>;

/// An open connection, or a UDP socket that has one peer.
#[derive(Debug)]
pub struct Conn {
    line: Line,
    size: usize,
    limit: Duration,
    abort: bool,
}

#[derive(Debug)]
enum Line {
    Tcp(BufReader<TcpStream>),
    Udp(UdpSocket),
}

impl Conn {
    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// The failure; the connection may still be used after a timeout.
    pub fn ask(&mut self, tag: &str) -> Outcome {
        let began = Instant::now();
        self.send(tag).map_err(|error| failure(&error, began))?;
        self.hear(began, Some(tag))
    }

    /// Sends a question and does not wait.
    ///
    /// # Errors
    /// When the socket refuses.
    pub fn send(&mut self, tag: &str) -> io::Result<()> {
        match &mut self.line {
            Line::Tcp(stream) => stream.get_mut().write_all(format!("{tag}\n").as_bytes()),
            Line::Udp(socket) => {
                let mut text = tag.as_bytes().to_vec();
                text.resize(text.len().max(self.size), b' ');
                socket.send(&text).map(drop)
            }
        }
    }

    /// Waits for the next answer, or for what a server pushes.
    ///
    /// # Errors
    /// The failure.
    pub fn heard(&mut self) -> Outcome {
        self.hear(Instant::now(), None)
    }

    /// How long [`Self::ask`] and [`Self::heard`] wait.
    pub fn patience(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// The client's end.
    ///
    /// # Errors
    /// When the socket does not know.
    pub fn local(&self) -> io::Result<SocketAddr> {
        match &self.line {
            Line::Tcp(stream) => stream.get_ref().local_addr(),
            Line::Udp(socket) => socket.local_addr(),
        }
    }

    /// Reads until the answer to `tag` comes: late answers to earlier questions are passed over.
    fn hear(&mut self, began: Instant, tag: Option<&str>) -> Outcome {
        let deadline = Instant::now() + self.limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(failure(&ErrorKindTimeout.into(), began));
            }
            let text = self.read(left).map_err(|error| failure(&error, began))?;
            let answer = parse(&text, began.elapsed()).ok_or(Failure {
                why: Why::Garbled,
                took: began.elapsed(),
            })?;
            if tag.is_none_or(|tag| tag == answer.tag) {
                return Ok(answer);
            }
        }
    }

    fn read(&mut self, limit: Duration) -> io::Result<String> {
        match &mut self.line {
            Line::Tcp(stream) => {
                stream.get_ref().set_read_timeout(Some(limit))?;
                let mut text = String::new();
                match stream.read_line(&mut text)? {
                    0 => Err(io::ErrorKind::ConnectionReset.into()),
                    _ => Ok(text),
                }
            }
            Line::Udp(socket) => {
                socket.set_read_timeout(Some(limit))?;
                let mut buffer = vec![0; 65_536];
                let count = socket.recv(&mut buffer)?;
                buffer.truncate(count);
                Ok(String::from_utf8_lossy(&buffer).into_owned())
            }
        }
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let (Line::Tcp(stream), true) = (&self.line, self.abort) {
            let linger = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            let _ = setsockopt(stream.get_ref(), sockopt::Linger, &linger);
        }
    }
}

/// What a socket says when nothing came in time.
struct ErrorKindTimeout;

impl From<ErrorKindTimeout> for io::Error {
    fn from(_: ErrorKindTimeout) -> Self {
        io::ErrorKind::TimedOut.into()
    }
}

/// Opens a connection from a namespace; over UDP, only the socket.
///
/// # Errors
/// The failure.
pub fn open(netns: &str, dial: &Dial) -> std::result::Result<Conn, Failure> {
    let began = Instant::now();
    let dial = dial.clone();
    let local = Failure {
        why: Why::Local,
        took: Duration::ZERO,
    };
    netns::within(netns, move || Ok(connected(&dial, began)))
        .and_then(netns::join)
        .unwrap_or(Err(local))
}

/// Asks once from a namespace, on a connection of its own.
///
/// # Errors
/// When the namespace cannot be entered; failing to get an answer is an [`Outcome`].
pub fn once(netns: &str, dial: &Dial) -> Result<Outcome> {
    Ok(many(netns, dial, 1)?.outcomes.remove(0))
}

/// Asks `count` times from a namespace, each time on a connection of its own.
///
/// # Errors
/// When the namespace cannot be entered; failing to get an answer is an [`Outcome`].
pub fn many(netns: &str, dial: &Dial, count: usize) -> Result<Tally> {
    let dial = dial.clone();
    netns::join(netns::within(netns, move || {
        Ok(Tally {
            outcomes: (0..count).map(|number| single(&dial, number)).collect(),
        })
    })?)
}

/// One connection, one question. To be called inside the client's namespace.
pub fn single(dial: &Dial, number: usize) -> Outcome {
    let began = Instant::now();
    let mut conn = connected(dial, began)?;
    let mut outcome = conn.ask(&number.to_string());
    match &mut outcome {
        Ok(answer) => answer.took = began.elapsed(),
        Err(failure) => failure.took = began.elapsed(),
    }
    outcome
}

/// What became of many questions.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// One for each, in order.
    pub outcomes: Vec<Outcome>,
}

impl Tally {
    /// How many each server answered.
    pub fn by(&self) -> BTreeMap<&str, usize> {
        let mut by = BTreeMap::new();
        for answer in self.outcomes.iter().flatten() {
            *by.entry(answer.by.as_str()).or_default() += 1;
        }
        by
    }

    /// The names of those that answered.
    pub fn servers(&self) -> Vec<&str> {
        self.by().into_keys().collect()
    }

    /// The failures, each with its number.
    pub fn failures(&self) -> Vec<(usize, Failure)> {
        let failed = self.outcomes.iter().enumerate();
        failed
            .filter_map(|(number, outcome)| Some((number, *outcome.as_ref().err()?)))
            .collect()
    }

    /// Whether a question got neither an answer nor a refusal.
    pub fn lost(&self) -> bool {
        let mut failures = self.outcomes.iter().filter_map(|it| it.as_ref().err());
        failures.any(|failure| failure.why == Why::Timeout)
    }

    /// That every question was answered.
    ///
    /// # Errors
    /// The failures.
    pub fn all_answered(&self) -> Result<&Self> {
        let failures = self.failures();
        let texts: Vec<String> = failures
            .iter()
            .take(8)
            .map(|(number, failure)| format!("#{number} {failure}"))
            .collect();
        ensure!(
            failures.is_empty(),
            "{} of {} failed: {}; answers by {:?}",
            failures.len(),
            self.outcomes.len(),
            texts.join(", "),
            self.by()
        );
        Ok(self)
    }

    /// That every question was answered, by these and no others, each of them.
    ///
    /// # Errors
    /// What was different.
    pub fn answered_by(&self, servers: &[&str]) -> Result<&Self> {
        self.all_answered()?;
        let mut wanted = servers.to_vec();
        wanted.sort_unstable();
        ensure!(
            self.servers() == wanted,
            "{:?} answered, not {wanted:?}",
            self.by()
        );
        Ok(self)
    }

    /// The addresses that servers saw the client under.
    pub fn seen(&self) -> Vec<IpAddr> {
        let answers = self.outcomes.iter().flatten();
        let mut seen: Vec<IpAddr> = answers.map(|answer| answer.seen.ip()).collect();
        seen.sort_unstable();
        seen.dedup();
        seen
    }
}

/// Makes a socket in the calling thread's namespace and connects it.
fn connected(dial: &Dial, began: Instant) -> std::result::Result<Conn, Failure> {
    let fd = prepared(dial).map_err(|_| Failure {
        why: Why::Local,
        took: began.elapsed(),
    })?;
    let target = SockaddrStorage::from(dial.target);
    let line = match dial.protocol {
        Protocol::Udp => {
            connect(fd.as_raw_fd(), &target).map_err(|errno| failure(&errno.into(), began))?;
            Line::Udp(UdpSocket::from(fd))
        }
        Protocol::Tcp => {
            let stream = TcpStream::from(fd);
            handshake(&stream, &target, dial.limit).map_err(|error| failure(&error, began))?;
            Line::Tcp(BufReader::new(stream))
        }
    };
    Ok(Conn {
        line,
        size: dial.size,
        limit: dial.limit,
        abort: dial.abort,
    })
}

/// A socket bound as the dial says.
fn prepared(dial: &Dial) -> Result<OwnedFd> {
    let family = if dial.target.is_ipv6() {
        AddressFamily::Inet6
    } else {
        AddressFamily::Inet
    };
    let kind = match dial.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if dial.address.is_some() || dial.port.is_some() {
        // Two sockets of UDP that both say so may be given one port, and then one of them gets the other's answers.
        if dial.port.is_some() || dial.protocol == Protocol::Tcp {
            setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        }
        if dial.port.is_none() {
            // The port is chosen as for a client that binds nothing: when it connects.
            setsockopt(&fd, sockopt::IpBindAddressNoPort, &true)?;
        }
        let address = dial.address.unwrap_or(if dial.target.is_ipv6() {
            IpAddr::from([0; 16])
        } else {
            IpAddr::from([0; 4])
        });
        let source = SocketAddr::new(address, dial.port.unwrap_or(0));
        bind(fd.as_raw_fd(), &SockaddrStorage::from(source))
            .with_context(|| format!("cannot use {source}"))?;
    }
    Ok(fd)
}

fn handshake(stream: &TcpStream, target: &SockaddrStorage, limit: Duration) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    match connect(stream.as_raw_fd(), target) {
        Ok(()) => {}
        Err(Errno::EINPROGRESS) => {
            let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
            let wait = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
            if poll(&mut fds, wait)? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if let Some(error) = stream.take_error()? {
                return Err(error);
            }
        }
        Err(errno) => return Err(errno.into()),
    }
    stream.set_nonblocking(false)
}

fn failure(error: &io::Error, began: Instant) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::ConnectionRefused => Why::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Why::Unreachable,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Why::Timeout,
        _ => Why::Reset,
    };
    Failure {
        why,
        took: began.elapsed(),
    }
}

fn parse(text: &str, took: Duration) -> Option<Answer> {
    let mut words = text.split_whitespace();
    Some(Answer {
        by: words.next()?.to_owned(),
        seen: words.next()?.parse().ok()?,
        tag: words.next().unwrap_or_default().to_owned(),
        took,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{Listen, Server};

    /// In the namespace of the test itself, by way of a named one that does not exist, nothing can be asked.
    #[test]
    fn a_namespace_that_is_not_there_is_an_error() {
        assert!(many("slt-none-such", &Dial::tcp([127, 0, 0, 1].into(), 9), 1).is_err());
        assert!(
            Server::start(
                "slt-none-such",
                "x",
                &[Listen::Tcp(([127, 0, 0, 1], 0).into())]
            )
            .is_err()
        );
    }

    #[test]
    fn answers_are_read() {
        let answer = parse("web-1 [fd00::1]:80 7   ", Duration::ZERO).expect("it parses");
        assert_eq!(answer.by, "web-1");
        assert_eq!(answer.seen.port(), 80);
        assert_eq!(answer.tag, "7");
        assert!(parse("web-1 nonsense", Duration::ZERO).is_none());
    }

    #[test]
    fn a_refusal_is_told_from_silence() {
        let refused = single(&Dial::tcp([127, 0, 0, 1].into(), 9), 0).expect_err("nobody listens");
        assert_eq!(refused.why, Why::Refused);
        let silent = UdpSocket::bind("127.0.0.1:0").expect("it binds");
        let port = silent.local_addr().expect("it is bound").port();
        let dial = Dial::udp([127, 0, 0, 1].into(), port).within(Duration::from_millis(30));
        let outcome = single(&dial, 0).expect_err("nobody answers");
        assert_eq!(outcome.why, Why::Timeout);
    }

    /// Nobody gets the answers of another one.
    #[test]
    fn each_socket_has_a_port_of_its_own() {
        let own = [127, 0, 0, 1].into();
        let dial = Dial::udp(own, 9).from_address(own);
        let open = || connected(&dial, Instant::now()).expect("it opens");
        let all: Vec<Conn> = std::iter::repeat_with(open).take(600).collect();
        let port = |conn: &Conn| conn.local().expect("it is bound").port();
        let ports: std::collections::BTreeSet<u16> = all.iter().map(port).collect();
        assert_eq!(ports.len(), all.len());
    }
}
