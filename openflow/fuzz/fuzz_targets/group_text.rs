//! The text of groups and meters: what parses must print, and encode or say why not.

#![no_main]

mod check;

use libfuzzer_sys::fuzz_target;
use openflow::message::MeterMod;
use openflow::{GroupCommand, GroupMod, Message};

fuzz_target!(|text: &str| {
    let groups = [
        text.parse::<GroupMod>(),
        GroupMod::parse(GroupCommand::Add, text),
        GroupMod::parse(GroupCommand::Delete, text),
    ];
    let groups = groups.into_iter().flatten().map(Message::GroupMod);
    let meter = text.parse::<MeterMod>().map(Message::MeterMod);
    for message in groups.chain(meter) {
        if let Ok(bytes) = message.to_bytes(7) {
            check::check(&bytes);
        }
    }
});
