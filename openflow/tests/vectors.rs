//! Messages captured from Open vSwitch's own programs, with their origin: each is printed as `ovs-ofctl` printed it,
//! and comes out of decode and encode as the bytes that went in.
//!
//! `UPDATE_GOLDEN=1 cargo test -p openflow --test vectors` captures them anew from the Open vSwitch that is installed:
//! `captured/script.rs` says what is run, `captured/record.rs` listens.

mod support {
    pub mod generate;
}
#[path = "captured/file.rs"]
mod file;
#[path = "captured/record.rs"]
mod record;
#[path = "captured/script.rs"]
mod script;
#[path = "support/mod.rs"]
mod switch;

use std::collections::BTreeSet;

use openflow::message::text::{DEFAULT_VERBOSITY, print};
use openflow::text::Numbers;
use openflow::{Action, Instruction, Message};
use support::generate::{ARMS, KINDS, Rng, every_action, message};

/// What none of the programs sends on OpenFlow 1.3.
const NEVER_SEEN: [(&str, &str); 4] = [
    (
        "NXT_FLOW_MOD",
        "sent on OpenFlow 1.0 alone, though read on any",
    ),
    ("NXT_FLOW_REMOVED", "of OpenFlow 1.0 alone"),
    (
        "experimenter message",
        "vendors that Open vSwitch does not know",
    ),
    ("experimenter multipart reply", "likewise"),
];

#[test]
fn captured_messages_are_printed_and_encoded_as_open_vswitch_does() {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        file::write(&script::capture());
    }
    let vectors = file::read();
    assert!(vectors.len() > 200, "only {} vectors", vectors.len());
    for vector in &vectors {
        let at = format!("line {}: {}", vector.line, vector.origin);
        assert_eq!(
            print(&vector.bytes, &Numbers, DEFAULT_VERBOSITY),
            vector.print,
            "{at}"
        );
        match Message::decode(&vector.bytes) {
            Ok((xid, message)) => {
                let again = message.to_bytes(xid).expect("encodes");
                assert_eq!(file::hex(&again), file::hex(&vector.bytes), "{at}");
            }
            // `ovs-ofctl` sends what the switch refuses, and refuses it too when it reads it.
            Err(error) => assert!(vector.print.contains("***decode error"), "{at}: {error}"),
        }
    }
}

/// What kinds of message there are is known from the generator, which has them all.
#[test]
fn there_is_a_vector_of_every_kind_of_message() {
    let mut r = Rng::from_env();
    let mut wanted: BTreeSet<_> = (0..KINDS)
        .map(|kind| message(&mut r, kind).name())
        .collect();
    for (name, _) in NEVER_SEEN {
        wanted.remove(name);
    }
    let found: BTreeSet<_> = messages().iter().map(Message::name).collect();
    let missing: Vec<_> = wanted.difference(&found).collect();
    assert!(missing.is_empty(), "no vector of {missing:?}");
}

/// Actions that none of the programs sends on OpenFlow 1.3; switches take them, and `tests/differential.rs` tries them.
const NEVER_SENT: [(&str, &str); 8] = [
    ("CopyField", "reg_move is sent in its place"),
    ("DebugRecirc", "for tests of Open vSwitch"),
    ("DebugSlow", "for tests of Open vSwitch"),
    ("Legacy", "set_field is sent in its place"),
    ("Load2", "sent back alone, where it was received"),
    (
        "OutputReg2",
        "sent where the shorter form does not do, which is OutputReg here",
    ),
    ("SetTunnel", "set_field is sent in its place"),
    ("SetTunnel64", "set_field is sent in its place"),
];

#[test]
fn there_is_a_vector_of_every_action() {
    let mut r = Rng::from_env();
    let every = (0..50 * ARMS).map(|kind| every_action(&mut r, kind, 2));
    let mut wanted: BTreeSet<_> = every.map(|a| variant(&a)).collect();
    for (name, _) in NEVER_SENT {
        assert!(wanted.remove(name), "no such action: {name}");
    }
    // An instruction here, and an action on OpenFlow 1.0 alone.
    wanted.remove("WriteMetadata");
    let mut found = BTreeSet::new();
    for message in messages() {
        let Message::FlowMod(flow) = message else {
            continue;
        };
        for instruction in &flow.instructions {
            if let Instruction::ApplyActions(actions) | Instruction::WriteActions(actions) =
                instruction
            {
                for action in actions {
                    found.insert(variant(action));
                    if let Action::Ct(ct) = action {
                        found.extend(ct.actions.iter().map(variant));
                    }
                }
            }
        }
    }
    let missing: Vec<_> = wanted.difference(&found).collect();
    assert!(missing.is_empty(), "no vector of {missing:?}");
    println!("{} kinds of action", found.len());
}

fn messages() -> Vec<Message> {
    let decoded = file::read().into_iter().map(|v| Message::decode(&v.bytes));
    decoded.filter_map(|m| Some(m.ok()?.1)).collect()
}

fn variant(action: &Action) -> String {
    let text = format!("{action:?}");
    let end = text.find(|c: char| !c.is_alphanumeric());
    text[..end.unwrap_or(text.len())].to_owned()
}
