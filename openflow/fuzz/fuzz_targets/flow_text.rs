//! The text of flows: what parses must print, and encode or say why not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use openflow::wire::{Reader, Writer};
use openflow::{ErrorKind, FlowMod, Match};

fuzz_target!(|text: &str| {
    let _ = text.parse::<Match>();
    let _ = openflow::action::parse_actions(text);
    let Ok(flow) = text.parse::<FlowMod>() else {
        return;
    };
    let _ = flow.to_string();
    let mut bytes = Vec::new();
    if flow.encode(&mut Writer::new(&mut bytes)).is_ok() {
        let _ = FlowMod::decode(Reader::new(&bytes, ErrorKind::BrcBadLen, "fuzz"));
    }
});
