//! The netlink side of nf_tables: reading what is in our table, and changing it in one transaction.
//!
//! Must not know what the rules are for.

use std::{collections::BTreeSet, io};

use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterProtoFamily,
    nftables::{
        NfTablesMessage, RuleAttribute, RuleMessage, SetElementList, SetElementMessage,
        TableAttribute, TableMessage,
    },
    none::ControlMessage,
};
use nix::libc;
use rtnetlink::{
    packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST},
    sys::protocols::NETLINK_NETFILTER,
};

use super::{
    TABLE, comment,
    table::{Change, Found},
};
use crate::host::netlink::{
    attribute::{each, nested, value},
    socket::{Refused, Socket, append, malformed},
};

/// `NFNL_SUBSYS_NFTABLES`, which a batch names in the `res_id` of its first and last message.
const SUBSYSTEM: u16 = 10;
/// `struct nfgenmsg` comes before the attributes.
const GENERIC_HEADER: usize = 4;
/// How often a list is asked for that somebody else changes meanwhile.
const ATTEMPTS: usize = 10;

/// `NFTA_TABLE_FLAGS`.
const TABLE_FLAGS: u16 = 2;
/// `NFTA_RULE_TABLE`, `NFTA_RULE_CHAIN` and `NFTA_RULE_USERDATA`.
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_USERDATA: u16 = 7;
/// `NFTA_SET_ELEM_LIST_ELEMENTS`, `NFTA_SET_ELEM_KEY`, `NFTA_SET_ELEM_DATA` and `NFTA_DATA_VALUE`.
const LIST_ELEMENTS: u16 = 3;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;

/// What is in our table, as far as it concerns `sets`; `None` without the table.
pub(super) fn found(sets: &[&'static str]) -> io::Result<Option<Found>> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match read(sets) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted && attempts < ATTEMPTS => {}
            other => return other,
        }
    }
}

/// Whether there is a table of our name.
pub(super) fn exists() -> io::Result<bool> {
    Ok(table_flags(&Socket::open(NETLINK_NETFILTER)?)?.is_some())
}

fn read(sets: &[&'static str]) -> io::Result<Option<Found>> {
    let socket = Socket::open(NETLINK_NETFILTER)?;
    let Some(flags) = table_flags(&socket)? else {
        return Ok(None);
    };
    let mut found = Found {
        active: flags == 0,
        ..Found::default()
    };
    let rules = NfTablesMessage::GetRule(RuleMessage {
        attributes: vec![RuleAttribute::Table(TABLE.into())],
    });
    ask(&socket, rules, NLM_F_DUMP, |attributes| {
        // A kernel that does not filter dumps sends everybody's rules.
        if text(attributes, RULE_TABLE).as_deref() == Some(TABLE)
            && let Some(chain) = text(attributes, RULE_CHAIN)
        {
            let data = value(attributes, RULE_USERDATA)?.unwrap_or_default();
            let rules = found.chains.entry(chain).or_default();
            rules.push(comment::of(&data));
        }
        Ok(())
    })?;
    for name in sets {
        let list = NfTablesMessage::GetSetElement(SetElementMessage {
            attributes: vec![
                SetElementList::Table(TABLE.into()),
                SetElementList::Set((*name).into()),
            ],
        });
        let mut elements = BTreeSet::new();
        match ask(&socket, list, NLM_F_DUMP, |attributes| {
            elements_of(attributes, &mut elements)
        }) {
            Ok(()) => {
                found.sets.insert(name, elements);
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(found))
}

/// The flags of our table; `None` without it.
fn table_flags(socket: &Socket) -> io::Result<Option<u32>> {
    let table = NfTablesMessage::GetTable(TableMessage {
        attributes: vec![TableAttribute::Name(TABLE.into())],
    });
    let mut flags = 0;
    let asked = ask(socket, table, NLM_F_ACK, |attributes| {
        if let Some(bytes) = value(attributes, TABLE_FLAGS)? {
            flags = bytes.first_chunk().copied().map_or(0, u32::from_be_bytes);
        }
        Ok(())
    });
    match asked {
        Ok(()) => Ok(Some(flags)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks for something and hands on the attributes of each answer.
fn ask(
    socket: &Socket,
    question: NfTablesMessage,
    flags: u16,
    mut answer: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    const ONLY: u32 = 1;
    let mut bytes = Vec::new();
    append(&mut bytes, ours(question), NLM_F_REQUEST | flags, ONLY)?;
    socket.send(&bytes)?;
    let refused = socket.answers(ONLY, |payload| {
        let attributes = payload.get(GENERIC_HEADER..);
        answer(attributes.ok_or_else(|| malformed("netfilter message without a header"))?)
    })?;
    match refused.into_iter().next() {
        None => Ok(()),
        Some(refused) => Err(refused.error),
    }
}

/// Sends the changes as one transaction: all of them take effect, or none. An error names the change that the
/// kernel refused.
pub(super) fn commit(changes: Vec<Change>) -> Result<(), (String, io::Error)> {
    let whole = |error| ("send a transaction".to_owned(), error);
    let socket = Socket::open(NETLINK_NETFILTER).map_err(whole)?;
    let frame = |control| {
        let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM);
        NetfilterMessage::new(header, control)
    };
    let mut bytes = Vec::new();
    let begin = frame(ControlMessage::BatchBegin);
    append(&mut bytes, begin, NLM_F_REQUEST, 0).map_err(whole)?;
    let mut names = Vec::new();
    let count = changes.len();
    let mut last = 0;
    for (change, sequence) in changes.into_iter().zip(1..) {
        names.push(change.what);
        // Once the whole was committed, the last of it is acknowledged; what is refused is said in any case.
        let ack = if names.len() == count { NLM_F_ACK } else { 0 };
        let flags = NLM_F_REQUEST | change.flags | ack;
        append(&mut bytes, ours(change.message), flags, sequence).map_err(whole)?;
        last = sequence;
    }
    let end = frame(ControlMessage::BatchEnd);
    append(&mut bytes, end, NLM_F_REQUEST, last + 1).map_err(whole)?;
    socket.send(&bytes).map_err(whole)?;
    let refused = socket.answers(last, |_| Ok(())).map_err(whole)?;
    match refused.into_iter().next() {
        None => Ok(()),
        Some(Refused { sequence, error }) => {
            let index = usize::try_from(sequence).unwrap_or(0).checked_sub(1);
            let name = index.and_then(|index| names.get(index)).cloned();
            Err((name.unwrap_or_else(|| "commit".into()), error))
        }
    }
}

fn ours(inner: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(
        NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0),
        inner,
    )
}

/// Collects the elements of a set or a map: keys, each followed by what it leads to.
fn elements_of(attributes: &[u8], elements: &mut BTreeSet<Vec<u8>>) -> io::Result<()> {
    let Some(list) = value(attributes, LIST_ELEMENTS)? else {
        return Ok(());
    };
    each(&list, |element| {
        let part = |kind| nested(element.value(), &[kind, DATA_VALUE]);
        let mut bytes = part(ELEMENT_KEY)?.unwrap_or_default();
        bytes.extend(part(ELEMENT_DATA)?.unwrap_or_default());
        elements.insert(bytes);
        Ok(())
    })
}

/// A name, which ends with a zero byte.
fn text(attributes: &[u8], kind: u16) -> Option<String> {
    let bytes = value(attributes, kind).ok()??;
    Some(
        String::from_utf8_lossy(&bytes)
            .trim_end_matches('\0')
            .to_owned(),
    )
}
