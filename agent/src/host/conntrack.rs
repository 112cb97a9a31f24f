//! Forgetting UDP connections that contradict what is served at the node's own addresses.
//!
//! Whether an address is translated is decided with the first packet of a connection, and UDP knows no end: a client
//! that keeps sending to such a port would go on with what was decided before the port came, or before it went.
//! Such entries of the host's connection table are deleted; the next packet begins anew. (TCP begins anew by itself.)
//! Entries of other zones are not looked at: they belong to the switch, or to others.
//!
//! Must not know where these ports come from, nor the rules that translate them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
};

use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterProtoFamily,
    conntrack::{ConntrackAttribute, ConntrackMessage},
};
use nix::libc;
use rtnetlink::{
    packet_core::{DefaultNla, NLA_F_NESTED, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST},
    sys::protocols::NETLINK_NETFILTER,
};

use super::{
    BETWEEN, Family, HostError,
    netlink::{
        attribute::{nested, value},
        socket::{Socket, append, malformed},
    },
    netns::on_own_thread,
    services::OwnPort,
};

/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// How many deletions go into one system call.
const AT_ONCE: usize = 128;
/// `struct nfgenmsg` comes before the attributes.
const GENERIC_HEADER: usize = 4;

/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY` and `CTA_ZONE`.
const ORIGINAL: u16 = 1;
const REPLY: u16 = 2;
const ZONE: u16 = 18;
/// `CTA_TUPLE_IP` and `CTA_TUPLE_PROTO`.
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
/// `CTA_PROTO_NUM`, `CTA_PROTO_SRC_PORT` and `CTA_PROTO_DST_PORT`.
const PROTO_NUMBER: u16 = 1;
const PROTO_SOURCE: u16 = 2;
const PROTO_DESTINATION: u16 = 3;

/// Deletes the host's entries of UDP connections that are translated although the port is not served, or not
/// translated although it is. Says how many there were.
///
/// # Errors
/// [`HostError::Kernel`], where the kernel cannot list connections (`nf_conntrack_netlink`) among others.
pub async fn forget_contradicting(ports: &BTreeSet<OwnPort>) -> Result<usize, HostError> {
    let udp = ports.iter().filter(|port| port.protocol == UDP);
    // From where it is answered: in the switch the port stays.
    let served = udp.map(|port| {
        let switch = SocketAddr::new(port.switch, port.port);
        let to = SocketAddr::new(port.address, port.port);
        (to, (port.process.unwrap_or(switch), switch))
    });
    let served: BTreeMap<SocketAddr, (SocketAddr, SocketAddr)> = served.collect();
    on_own_thread(move || {
        let mut count = 0;
        for family in Family::BOTH {
            let contradicts = |entry: &Entry| {
                let by = entry.answered_by;
                let by_switch = BETWEEN.iter().any(|between| between.contains(&by.ip()));
                // A process of the node answers from an address of it, as whoever is not translated does.
                let ours = by_switch || by.ip() == entry.to.ip();
                ours && match served.get(&entry.to) {
                    // What the node itself sends goes through the switch in any case.
                    Some((wanted, switch)) => by != *wanted && by != *switch,
                    None => by != entry.to,
                }
            };
            count += forget(family, contradicts)
                .map_err(|error| HostError::kernel("forget UDP connections", error))?;
        }
        Ok(count)
    })
    .await
}

/// What matters of a UDP connection.
struct Entry {
    /// The original direction, as the kernel put it.
    original: Vec<u8>,
    /// Where it was sent to,
    to: SocketAddr,
    /// and from where it is answered, which is somewhere else if the address was translated.
    answered_by: SocketAddr,
}

fn forget(family: Family, contradicts: impl Fn(&Entry) -> bool) -> io::Result<usize> {
    const LIST: u32 = 1;
    let socket = Socket::open(NETLINK_NETFILTER)?;
    let mut bytes = Vec::new();
    let list = message(family, ConntrackMessage::Get(Vec::new()));
    append(&mut bytes, list, NLM_F_REQUEST | NLM_F_DUMP, LIST)?;
    socket.send(&bytes)?;
    let mut stale = Vec::new();
    let refused = socket.answers(LIST, |payload| {
        if let Some(entry) = entry(family, payload)?
            && contradicts(&entry)
        {
            stale.push(entry.original);
        }
        Ok(())
    })?;
    if let Some(refused) = refused.into_iter().next() {
        return Err(refused.error);
    }
    for batch in stale.chunks(AT_ONCE) {
        let mut bytes = Vec::new();
        let mut last = 0;
        for (original, sequence) in batch.iter().zip(1..) {
            let tuple = DefaultNla::new(ORIGINAL | NLA_F_NESTED, original.clone());
            let delete = ConntrackMessage::Delete(vec![ConntrackAttribute::Other(tuple)]);
            let flags = NLM_F_REQUEST | NLM_F_ACK;
            append(&mut bytes, message(family, delete), flags, sequence)?;
            last = sequence;
        }
        socket.send(&bytes)?;
        for refused in socket.answers(last, |_| Ok(()))? {
            // It ended by itself.
            if refused.error.raw_os_error() != Some(libc::ENOENT) {
                return Err(refused.error);
            }
        }
    }
    Ok(stale.len())
}

fn message(family: Family, inner: ConntrackMessage) -> NetfilterMessage {
    let family = match family {
        Family::V4 => NetfilterProtoFamily::IPv4,
        Family::V6 => NetfilterProtoFamily::IPv6,
    };
    NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), inner)
}

/// The entry, if it is of UDP and in the host's own zone.
fn entry(family: Family, payload: &[u8]) -> io::Result<Option<Entry>> {
    let attributes = payload
        .get(GENERIC_HEADER..)
        .ok_or_else(|| malformed("conntrack message without a header"))?;
    let Some(original) = value(attributes, ORIGINAL)? else {
        return Ok(None);
    };
    if nested(&original, &[TUPLE_PROTO, PROTO_NUMBER])?.as_deref() != Some(&[UDP])
        || value(attributes, ZONE)?.is_some()
    {
        return Ok(None);
    }
    // `CTA_IP_V4_SRC`, `CTA_IP_V4_DST`, and the same of IPv6.
    let (source, destination) = match family {
        Family::V4 => (1, 2),
        Family::V6 => (3, 4),
    };
    let to = nested(&original, &[TUPLE_IP, destination])?;
    let to_port = nested(&original, &[TUPLE_PROTO, PROTO_DESTINATION])?;
    let by = nested(attributes, &[REPLY, TUPLE_IP, source])?;
    let by_port = nested(attributes, &[REPLY, TUPLE_PROTO, PROTO_SOURCE])?;
    Ok(match (to, to_port, by, by_port) {
        (Some(to), Some(to_port), Some(by), Some(by_port)) => Some(Entry {
            original,
            to: SocketAddr::new(address(&to)?, port(&to_port)?),
            answered_by: SocketAddr::new(address(&by)?, port(&by_port)?),
        }),
        _ => None,
    })
}

fn port(bytes: &[u8]) -> io::Result<u16> {
    let bytes = <[u8; 2]>::try_from(bytes).map_err(|_| malformed("port"))?;
    Ok(u16::from_be_bytes(bytes))
}

fn address(bytes: &[u8]) -> io::Result<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| v6()).map_err(|_| malformed("address"))
}
