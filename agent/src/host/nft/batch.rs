//! The netlink side of nf_tables: reading our table, and replacing or deleting it in one transaction.

use std::io;

use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nftables::{
        ChainAttribute, ChainMessage, Hook, InetHookNumber, NfTablesMessage, RuleAttribute,
        RuleMessage, TableAttribute, TableMessage,
    },
    none::ControlMessage,
};
use nix::libc;
use rtnetlink::{
    packet_core::{
        NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer,
        NetlinkMessage, NetlinkPayload, Parseable,
    },
    sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER},
};

use super::{CHAIN, Masquerade, TABLE, malformed, rule};

/// `NFNL_SUBSYS_NFTABLES`, which a batch names in the `res_id` of its first and last message.
const SUBSYSTEM: u16 = 10;
/// `NF_IP_PRI_NAT_SRC`.
const PRIORITY_SRCNAT: u32 = 100;
/// `NF_ACCEPT`.
const POLICY_ACCEPT: u32 = 1;
/// How long the kernel may take to answer before the request counts as lost.
const ANSWER_WITHIN_MS: u16 = 5_000;

/// The comments of the rules in our chain, in order; `None` without the table. A chain whose rules were meddled
/// with answers with something no one wants.
pub(super) fn comments() -> io::Result<Option<Vec<String>>> {
    let mut socket = open()?;
    let table = message(
        NetfilterProtoFamily::Inet,
        NfTablesMessage::GetTable(TableMessage {
            attributes: vec![TableAttribute::Name(TABLE.into())],
        }),
        NLM_F_ACK,
        1,
    );
    send(&socket, &[table])?;
    match answers(&mut socket, 1) {
        Ok(_) => {}
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(None),
        Err(error) => return Err(error),
    }
    let dump = NfTablesMessage::GetRule(RuleMessage {
        attributes: vec![
            RuleAttribute::Table(TABLE.into()),
            RuleAttribute::Chain(CHAIN.into()),
        ],
    });
    send(
        &socket,
        &[message(NetfilterProtoFamily::Inet, dump, NLM_F_DUMP, 2)],
    )?;
    let mut found = Vec::new();
    for answer in answers(&mut socket, 2)? {
        if let NetfilterMessageInner::NfTables(NfTablesMessage::NewRule(rule)) = answer.inner
            && is_ours(&rule.attributes)
        {
            found.push(rule::comment_of(&rule.attributes));
        }
    }
    Ok(Some(found))
}

/// A kernel that does not filter dumps sends everybody's rules.
fn is_ours(attributes: &[RuleAttribute]) -> bool {
    attributes
        .iter()
        .any(|a| matches!(a, RuleAttribute::Table(name) if name == TABLE))
        && attributes
            .iter()
            .any(|a| matches!(a, RuleAttribute::Chain(name) if name == CHAIN))
}

/// Replaces the whole table. Creating it first makes deleting it succeed in either case.
pub(super) fn replace(wanted: &Masquerade) -> io::Result<()> {
    let mut changes = vec![
        (NfTablesMessage::NewTable(named_table()), NLM_F_CREATE),
        (NfTablesMessage::DeleteTable(named_table()), 0),
        (NfTablesMessage::NewTable(named_table()), NLM_F_CREATE),
        (NfTablesMessage::NewChain(chain()), NLM_F_CREATE),
    ];
    changes.extend(wanted.pod_cidrs.iter().map(|cidr| {
        let attributes = rule::attributes(&wanted.gateway, cidr.trunc());
        (
            NfTablesMessage::NewRule(RuleMessage { attributes }),
            NLM_F_CREATE | NLM_F_APPEND,
        )
    }));
    commit(changes)
}

/// Deletes the table with everything in it.
pub(super) fn delete() -> io::Result<()> {
    commit(vec![(NfTablesMessage::DeleteTable(named_table()), 0)])
}

fn named_table() -> TableMessage {
    TableMessage {
        attributes: vec![TableAttribute::Name(TABLE.into())],
    }
}

fn chain() -> ChainMessage {
    ChainMessage {
        attributes: vec![
            ChainAttribute::Table(TABLE.into()),
            ChainAttribute::Name(CHAIN.into()),
            ChainAttribute::Hook(vec![
                Hook::Number(InetHookNumber::PostRouting.into()),
                Hook::Priority(PRIORITY_SRCNAT),
            ]),
            ChainAttribute::Policy(POLICY_ACCEPT),
            ChainAttribute::Type("nat".into()),
        ],
    }
}

/// Sends the changes as one transaction: all of them take effect, or none.
fn commit(changes: Vec<(NfTablesMessage, u16)>) -> io::Result<()> {
    let mut socket = open()?;
    let frame = |control, sequence| {
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
        finish(
            NetfilterMessage::new(header, control),
            NLM_F_REQUEST,
            sequence,
        )
    };
    let mut sequence = 0;
    let mut batch = vec![frame(ControlMessage::BatchBegin, sequence)];
    for (change, flags) in changes {
        sequence += 1;
        batch.push(message(
            NetfilterProtoFamily::Inet,
            change,
            flags | NLM_F_ACK,
            sequence,
        ));
    }
    batch.push(frame(ControlMessage::BatchEnd, sequence + 1));
    send(&socket, &batch)?;
    // Every change is acknowledged on its own once the whole was committed; the first refusal is the reason.
    for expected in 1..=sequence {
        answers(&mut socket, expected)?;
    }
    Ok(())
}

fn message(
    family: NetfilterProtoFamily,
    inner: NfTablesMessage,
    flags: u16,
    sequence: u32,
) -> Message {
    finish(
        NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), inner),
        NLM_F_REQUEST | flags,
        sequence,
    )
}

type Message = NetlinkMessage<NetfilterMessage>;

fn finish(inner: NetfilterMessage, flags: u16, sequence: u32) -> Message {
    let mut message = NetlinkMessage::from(inner);
    message.header.flags = flags;
    message.header.sequence_number = sequence;
    message.finalize();
    message
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

fn send(socket: &Socket, messages: &[Message]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for message in messages {
        let start = bytes.len();
        // Netlink messages begin at multiples of four; every nf_tables message is one long.
        bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
        let room = bytes
            .get_mut(start..)
            .ok_or_else(|| malformed("netlink message of no length"))?;
        message.serialize(room);
    }
    socket.send(&bytes, 0).map(drop)
}

/// What answers the request `sequence`, up to its acknowledgement or the end of its dump.
fn answers(socket: &mut Socket, sequence: u32) -> io::Result<Vec<NetfilterMessage>> {
    let mut found = Vec::new();
    loop {
        await_readable(socket)?;
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        let mut done = false;
        while !rest.is_empty() {
            let buffer =
                NetlinkBuffer::new_checked(&rest).map_err(|error| malformed(&error.to_string()))?;
            let len = usize::try_from(buffer.length())
                .unwrap_or(usize::MAX)
                .next_multiple_of(4)
                .min(rest.len());
            let answer = Message::parse(&buffer).map_err(|error| malformed(&error.to_string()))?;
            rest = rest.get(len..).unwrap_or_default();
            match answer.payload {
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                _ if answer.header.sequence_number != sequence => {}
                NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => done = true,
                NetlinkPayload::InnerMessage(message) => found.push(message),
                _ => {}
            }
        }
        if done {
            return Ok(found);
        }
    }
}

fn await_readable(socket: &Socket) -> io::Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let mut wait = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    match poll(&mut wait, PollTimeout::from(ANSWER_WITHIN_MS))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
