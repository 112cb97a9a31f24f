//! A table as a value: what it should hold, what it was found to hold, and the changes that lead from one to the other.
//!
//! Must not know what the rules are for, nor how changes reach the kernel.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, DataAttribute, Hook as HookAttribute, InetHookNumber,
    ListAttribute, NfTablesMessage, RuleAttribute, RuleMessage, SetAttribute, SetElementAttribute,
    SetElementList, SetElementMessage, SetFlags, SetMessage, TableAttribute, TableMessage,
};
use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE};

use super::{TABLE, comment, expression::Expression};

/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;
/// How many set elements go into one message: an attribute holds less than 64 KiB.
const ELEMENTS_AT_ONCE: usize = 1_000;

/// Everything that the table should hold.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) sets: Vec<Set>,
    /// A chain comes after those it goes to.
    pub(super) chains: Vec<Chain>,
}

/// A map, and what is in it.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) key: Key,
    /// What its elements lead to.
    pub(super) data: Key,
    /// Keys, each followed by what it leads to.
    pub(super) elements: BTreeSet<Vec<u8>>,
}

/// What the elements of a set are: for `nft` a type, for the kernel a length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// Data types as `nft` numbers them, six bits each, the last one lowest.
    kind: u32,
    len: u32,
}

impl Key {
    /// `ipv4_addr . inet_proto . inet_service`, each of them padded to four bytes.
    pub(super) const IPV4_PROTOCOL_AND_PORT: Key = Key {
        kind: 7 << 12 | 12 << 6 | 13,
        len: 12,
    };
    /// `ipv6_addr . inet_proto . inet_service`, likewise.
    pub(super) const IPV6_PROTOCOL_AND_PORT: Key = Key {
        kind: 8 << 12 | 12 << 6 | 13,
        len: 24,
    };
    /// `ipv4_addr . inet_service`, likewise.
    pub(super) const IPV4_AND_PORT: Key = Key {
        kind: 7 << 6 | 13,
        len: 8,
    };
    /// `ipv6_addr . inet_service`, likewise.
    pub(super) const IPV6_AND_PORT: Key = Key {
        kind: 8 << 6 | 13,
        len: 20,
    };

    fn bytes(self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX)
    }
}

/// A chain and its rules. It has at least one: a chain is known by its rules.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) name: &'static str,
    /// Where packets come from; none if other chains send them.
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Rule>,
}

/// What a chain hangs on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hook {
    /// `nat` or `filter`.
    pub(super) kind: &'static str,
    pub(super) number: InetHookNumber,
    pub(super) priority: i32,
}

/// A rule; two with the same comment are the same.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) comment: String,
    pub(super) expressions: Vec<Expression>,
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether packets pass the table at all (nobody made it dormant).
    pub(super) active: bool,
    /// The comments of each chain's rules, in order.
    pub(super) chains: BTreeMap<String, Vec<String>>,
    /// The elements of each set asked for that exists.
    pub(super) sets: BTreeMap<&'static str, BTreeSet<Vec<u8>>>,
}

/// One message of a transaction.
#[derive(Debug)]
pub(super) struct Change {
    /// What it does, for the error that it may meet.
    pub(super) what: String,
    pub(super) message: NfTablesMessage,
    pub(super) flags: u16,
}

impl Table {
    /// The names of the sets.
    pub(super) fn set_names(&self) -> Vec<&'static str> {
        self.sets.iter().map(|set| set.name).collect()
    }

    /// Whether there is what there should be, whatever is in the sets.
    pub(super) fn has_shape(&self, found: &Found) -> bool {
        found.active
            && self.sets.len() == found.sets.len()
            && self.chains.len() == found.chains.len()
            && self.chains.iter().all(|chain| {
                found.chains.get(chain.name).is_some_and(|comments| {
                    comments
                        .iter()
                        .eq(chain.rules.iter().map(|rule| &rule.comment))
                })
            })
    }

    /// The changes that make the table anew. Creating it first makes deleting it succeed in either case.
    pub(super) fn replace(&self) -> Vec<Change> {
        let mut changes = vec![create_table(), delete_table(), create_table()];
        for (set, id) in self.sets.iter().zip(1..) {
            changes.push(set.create(id));
            changes.extend(set.add(&set.elements));
        }
        changes.extend(self.chains.iter().map(Chain::create));
        let rules = self
            .chains
            .iter()
            .flat_map(|chain| chain.rules.iter().map(|rule| rule.create(chain.name)));
        changes.extend(rules);
        changes
    }
}

impl Set {
    /// The elements to add and those to remove.
    pub(super) fn difference(&self, found: &Found) -> (BTreeSet<Vec<u8>>, BTreeSet<Vec<u8>>) {
        let nothing = BTreeSet::new();
        let found = found.sets.get(self.name).unwrap_or(&nothing);
        (
            self.elements.difference(found).cloned().collect(),
            found.difference(&self.elements).cloned().collect(),
        )
    }

    fn create(&self, id: u32) -> Change {
        let attributes = vec![
            SetAttribute::Table(TABLE.into()),
            SetAttribute::Name(self.name.into()),
            SetAttribute::KeyType(self.key.kind),
            SetAttribute::KeyLen(self.key.len),
            SetAttribute::Id(id),
            SetAttribute::Flags(SetFlags::Map),
            SetAttribute::DataType(self.data.kind),
            SetAttribute::DataLen(self.data.len),
        ];
        Change {
            what: format!("create map {}", self.name),
            message: NfTablesMessage::NewSet(SetMessage { attributes }),
            flags: NLM_F_CREATE,
        }
    }

    pub(super) fn add(&self, elements: &BTreeSet<Vec<u8>>) -> Vec<Change> {
        self.in_parts(elements, |message, count| Change {
            what: format!("add {count} elements to map {}", self.name),
            message: NfTablesMessage::NewSetElement(message),
            flags: NLM_F_CREATE,
        })
    }

    pub(super) fn remove(&self, elements: &BTreeSet<Vec<u8>>) -> Vec<Change> {
        self.in_parts(elements, |message, count| Change {
            what: format!("remove {count} elements from map {}", self.name),
            message: NfTablesMessage::DeleteSetElement(message),
            flags: 0,
        })
    }

    fn in_parts(
        &self,
        elements: &BTreeSet<Vec<u8>>,
        change: impl Fn(SetElementMessage, usize) -> Change,
    ) -> Vec<Change> {
        let elements: Vec<&Vec<u8>> = elements.iter().collect();
        elements
            .chunks(ELEMENTS_AT_ONCE)
            .map(|part| {
                let list = part.iter().map(|&element| {
                    let (key, data) = element.split_at(self.key.bytes().min(element.len()));
                    let value = |bytes: &[u8]| DataAttribute::Value(bytes.to_vec());
                    ListAttribute::Element(vec![
                        SetElementAttribute::Key(value(key)),
                        SetElementAttribute::Data(value(data)),
                    ])
                });
                let attributes = vec![
                    SetElementList::Table(TABLE.into()),
                    SetElementList::Set(self.name.into()),
                    SetElementList::Elements(list.collect()),
                ];
                change(SetElementMessage { attributes }, part.len())
            })
            .collect()
    }
}

impl Chain {
    fn create(&self) -> Change {
        let mut attributes = vec![
            ChainAttribute::Table(TABLE.into()),
            ChainAttribute::Name(self.name.into()),
        ];
        if let Some(hook) = &self.hook {
            attributes.extend([
                ChainAttribute::Hook(vec![
                    HookAttribute::Number(hook.number.into()),
                    HookAttribute::Priority(hook.priority.cast_unsigned()),
                ]),
                ChainAttribute::Policy(ACCEPT),
                ChainAttribute::Type(hook.kind.into()),
            ]);
        }
        Change {
            what: format!("create chain {}", self.name),
            message: NfTablesMessage::NewChain(ChainMessage { attributes }),
            flags: NLM_F_CREATE,
        }
    }
}

impl Rule {
    fn create(&self, chain: &str) -> Change {
        let attributes = vec![
            RuleAttribute::Table(TABLE.into()),
            RuleAttribute::Chain(chain.into()),
            RuleAttribute::Expressions(self.expressions.clone()),
            RuleAttribute::UserData(comment::user_data(&self.comment)),
        ];
        Change {
            what: format!("add rule {:?} to chain {chain}", self.comment),
            message: NfTablesMessage::NewRule(RuleMessage { attributes }),
            flags: NLM_F_CREATE | NLM_F_APPEND,
        }
    }
}

/// Deletes the table with everything in it.
pub(super) fn delete_table() -> Change {
    Change {
        what: "delete the table".into(),
        message: NfTablesMessage::DeleteTable(named()),
        flags: 0,
    }
}

fn create_table() -> Change {
    Change {
        what: "create the table".into(),
        message: NfTablesMessage::NewTable(named()),
        flags: NLM_F_CREATE,
    }
}

fn named() -> TableMessage {
    TableMessage {
        attributes: vec![TableAttribute::Name(TABLE.into())],
    }
}
