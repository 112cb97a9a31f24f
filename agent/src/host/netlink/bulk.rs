//! Many routes at once, by few system calls and with a bounded number outstanding.
//!
//! A route that the kernel refuses does not stop the others.

use std::io;

use nix::libc;
use rtnetlink::{
    packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_REQUEST},
    sys::protocols::NETLINK_ROUTE,
};

use super::{
    HostError, RouteNetlinkMessage,
    route::{Route, message},
    socket::{Socket, append},
};

/// How many routes go into one system call; were all of them refused, the answers would fit a receive buffer.
const AT_ONCE: usize = 128;

/// A change of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteChange {
    /// Put the route there, in place of any other for the same destination and metric.
    Set(Route),
    /// Take it away; no error if it is gone already.
    Delete(Route),
}

impl RouteChange {
    fn describe(&self) -> String {
        match self {
            RouteChange::Set(route) => format!("set route to {} via {}", route.to, route.via),
            RouteChange::Delete(route) => format!("remove route to {} via {}", route.to, route.via),
        }
    }

    fn append(&self, bytes: &mut Vec<u8>, flags: u16, sequence: u32) -> io::Result<()> {
        let (message, more) = match self {
            RouteChange::Set(route) => (
                RouteNetlinkMessage::NewRoute(message(route)),
                NLM_F_CREATE | NLM_F_REPLACE,
            ),
            RouteChange::Delete(route) => (RouteNetlinkMessage::DelRoute(message(route)), 0),
        };
        append(bytes, message, NLM_F_REQUEST | flags | more, sequence)
    }

    /// Whether the refusal means that there was nothing to do.
    fn excuses(&self, error: &io::Error) -> bool {
        matches!(self, RouteChange::Delete(_)) && error.raw_os_error() == Some(libc::ESRCH)
    }
}

/// Makes every change, in order. Blocks: call it on a thread of its own.
///
/// # Errors
/// [`HostError::Kernel`], which names the first route that was refused and counts the others; they do not stop
/// the rest. When the socket itself fails, how many changes took effect is not known.
pub fn change_routes(changes: &[RouteChange]) -> Result<(), HostError> {
    let failed = |error| HostError::kernel("send routes to the kernel", error);
    let socket = Socket::open(NETLINK_ROUTE).map_err(failed)?;
    let mut first: Option<(String, io::Error)> = None;
    let mut others = 0_usize;
    for batch in changes.chunks(AT_ONCE) {
        let mut bytes = Vec::new();
        let mut last = 0;
        for (change, sequence) in batch.iter().zip(1..) {
            let ack = usize::try_from(sequence).is_ok_and(|sent| sent == batch.len());
            let flags = if ack { NLM_F_ACK } else { 0 };
            change.append(&mut bytes, flags, sequence).map_err(failed)?;
            last = sequence;
        }
        socket.send(&bytes).map_err(failed)?;
        for refused in socket.answers(last, |_| Ok(())).map_err(failed)? {
            let index = usize::try_from(refused.sequence).unwrap_or(usize::MAX);
            match batch.get(index.wrapping_sub(1)) {
                Some(change) if change.excuses(&refused.error) => {}
                Some(change) if first.is_none() => {
                    first = Some((change.describe(), refused.error));
                }
                _ => others += 1,
            }
        }
    }
    match first {
        None => Ok(()),
        Some((action, error)) if others == 0 => Err(HostError::kernel(action, error)),
        Some((action, error)) => Err(HostError::kernel(
            format!("{action} (and {others} more)"),
            error,
        )),
    }
}
