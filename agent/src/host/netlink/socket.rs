//! A blocking netlink socket for requests that go by the thousand: many messages to a system call, one answer to wait for.
//!
//! The kernel reports every message that it refuses, asked or not; an acknowledgement is asked for of the last one
//! only. So what is outstanding is bounded by what was sent in one call, and the answers fit the receive buffer.
//!
//! Must not know what the messages mean.

use std::io;

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{setsockopt, sockopt},
};
use rtnetlink::{
    packet_core::{
        NLM_F_DUMP_INTR, NetlinkBuffer, NetlinkDeserializable, NetlinkMessage, NetlinkSerializable,
    },
    sys::{self, SocketAddr},
};
use std::os::fd::AsFd;

/// How long the kernel may take to answer before the request counts as lost.
const ANSWER_WITHIN_MS: u16 = 5_000;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// A netlink socket in the namespace of the thread that opened it. It blocks: use it on a thread of its own.
pub(crate) struct Socket(sys::Socket);

/// A message that the kernel refused.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Which, by its sequence number.
    pub(crate) sequence: u32,
    /// Why.
    pub(crate) error: io::Error,
}

impl Socket {
    /// Opens a socket of a netlink protocol (`NETLINK_ROUTE`, …).
    pub(crate) fn open(protocol: isize) -> io::Result<Socket> {
        let mut socket = sys::Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // A refusal then does not carry the refused message back.
        socket.set_cap_ack(true)?;
        Ok(Socket(socket))
    }

    /// Sends messages in one system call: netfilter takes a transaction only whole.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // The kernel takes no more than the send buffer holds, of which it keeps a little for itself.
        const SPARE: usize = 4_096;
        let need = bytes.len() + SPARE;
        if need > sockopt_value(&self.0)? {
            // The first ignores the system's limit, and is for the privileged of the first user namespace only.
            setsockopt(&self.0, sockopt::SndBufForce, &need)
                .or_else(|_| setsockopt(&self.0, sockopt::SndBuf, &need))?;
        }
        self.0.send(bytes, 0).map(drop)
    }

    /// Hands on what comes back, without its header, until the request `last` is answered: by its acknowledgement, its refusal or the
    /// end of its dump. Answers what was refused, in the order of sending. A refusal of message 0, which begins a
    /// transaction, is that of the whole, and nothing need follow.
    pub(crate) fn answers(
        &self,
        last: u32,
        mut each: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<Vec<Refused>> {
        let mut refused = Vec::new();
        loop {
            self.await_readable()?;
            let (bytes, _) = self.0.recv_from_full()?;
            let mut rest = bytes.as_slice();
            let mut done = false;
            while !rest.is_empty() {
                let buffer = NetlinkBuffer::new_checked(&rest)
                    .map_err(|error| malformed(&error.to_string()))?;
                let len = usize::try_from(buffer.length())
                    .unwrap_or(usize::MAX)
                    .next_multiple_of(4)
                    .min(rest.len());
                let (sequence, kind) = (buffer.sequence_number(), buffer.message_type());
                if buffer.flags() & NLM_F_DUMP_INTR != 0 {
                    // Somebody changed what is being listed: the list may lack or repeat something.
                    return Err(io::ErrorKind::Interrupted.into());
                }
                match kind {
                    ERROR => {
                        if let Some(error) = errno(buffer.payload()) {
                            done |= sequence == 0;
                            refused.push(Refused { sequence, error });
                        }
                        done |= sequence == last;
                    }
                    DONE => done |= sequence == last,
                    _ => each(buffer.payload())?,
                }
                rest = rest.get(len..).unwrap_or_default();
            }
            if done {
                return Ok(refused);
            }
        }
    }

    fn await_readable(&self) -> io::Result<()> {
        let mut wait = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wait, PollTimeout::from(ANSWER_WITHIN_MS))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

/// The send buffer's size.
fn sockopt_value(socket: &sys::Socket) -> io::Result<usize> {
    Ok(nix::sys::socket::getsockopt(socket, sockopt::SndBuf)?)
}

/// The error of a `struct nlmsgerr`, which is zero for an acknowledgement.
fn errno(payload: &[u8]) -> Option<io::Error> {
    let code = payload.first_chunk().copied().map(i32::from_ne_bytes)?;
    (code != 0).then(|| io::Error::from_raw_os_error(code.wrapping_abs()))
}

/// Appends a message, headed and padded.
pub(crate) fn append<I>(bytes: &mut Vec<u8>, inner: I, flags: u16, sequence: u32) -> io::Result<()>
where
    I: NetlinkSerializable + NetlinkDeserializable,
    NetlinkMessage<I>: From<I>,
{
    let mut message = NetlinkMessage::from(inner);
    message.header.flags = flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = bytes.len();
    // Netlink messages begin at multiples of four.
    bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
    let room = bytes
        .get_mut(start..)
        .ok_or_else(|| malformed("netlink message of no length"))?;
    message.serialize(room);
    Ok(())
}

pub(crate) fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
