//! What must never happen whatever the input: a panic, or a value that does not come back as it was.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "flows/generate.rs"]
mod generate;
#[path = "flows/random.rs"]
mod random;

use generate::Generator;
use openflow::wire::{Reader, Writer};
use openflow::{Action, ErrorKind, FlowMod, Instruction, Match, Message};
use random::Random;

fn encode(fm: &FlowMod) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    fm.encode(&mut Writer::new(&mut out)).ok()?;
    Some(out)
}

fn reader(bytes: &[u8]) -> Reader<'_> {
    Reader::new(bytes, ErrorKind::BrcBadLen, "test")
}

/// Flows that parse, with their bytes.
fn flows(r: &mut Random, n: usize) -> Vec<(FlowMod, Vec<u8>)> {
    let mut g = Generator { r };
    let texts: Vec<String> = (0..n).map(|_| g.flow()).collect();
    let parsed = texts.iter().filter_map(|t| t.parse::<FlowMod>().ok());
    parsed
        .filter_map(|fm| encode(&fm).map(|b| (fm, b)))
        .collect()
}

/// All actions of a flow, those within `clone` too.
fn actions(fm: &FlowMod) -> impl Iterator<Item = &Action> {
    fn nested<'a>(list: &'a [Action], out: &mut Vec<&'a Action>) {
        for a in list {
            out.push(a);
            if let Action::Clone(list) = a {
                nested(list, out);
            }
        }
    }
    let mut out = vec![];
    for i in &fm.instructions {
        if let Instruction::ApplyActions(list) | Instruction::WriteActions(list) = i {
            nested(list, &mut out);
        }
    }
    out.into_iter()
}

#[test]
fn decoding_what_was_encoded_gives_it_back() {
    let mut r = Random::from_env();
    let mut same = 0;
    for (fm, bytes) in flows(&mut r, 5000) {
        // Some matches that ovs-ofctl sends are refused by any switch, itself included.
        let Ok(back) = FlowMod::decode(reader(&bytes)) else {
            continue;
        };
        // An output to more than 64 bits of a field does not fit its 6 bits; ovs-ofctl sends it.
        let wide = |a: &Action| matches!(a, Action::OutputReg { src, .. } if src.n_bits > 64);
        if !actions(&fm).any(wide) {
            assert_eq!(back, fm, "{fm}");
        }
        assert_eq!(encode(&back).as_deref(), Some(bytes.as_slice()), "{fm}");
        same += 1;
    }
    assert!(same > 3000, "only {same} flows were compared");
}

#[test]
fn what_a_switch_would_echo_is_its_own_canonical_form() {
    let mut r = Random::from_env();
    for (fm, _) in flows(&mut r, 3000) {
        assert_eq!(
            openflow::instruction::canonical(&fm.instructions),
            fm.instructions,
            "{fm}"
        );
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let mut r = Random::from_env();
    for (_, mut bytes) in flows(&mut r, 3000) {
        for _ in 0..8 {
            if bytes.is_empty() {
                break;
            }
            let at = r.below(bytes.len() as u64) as usize;
            match r.below(4) {
                0 => bytes[at] = r.next() as u8,
                1 => bytes[at] ^= 1 << r.below(8),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, *r.pick(&[0, 1, 8, 0x80, 0xff])),
            }
            if let Ok(fm) = FlowMod::decode(reader(&bytes)) {
                let _ = fm.check();
                let _ = fm.to_string();
                // What was accepted can be sent again and means the same.
                if let Some(again) = encode(&fm) {
                    let back = FlowMod::decode(reader(&again));
                    assert_eq!(back.as_ref(), Ok(&fm), "{fm}");
                }
            }
            let _ = Match::decode(&mut reader(&bytes));
            let _ = Action::decode(&mut reader(&bytes));
            let _ = Instruction::decode(&mut reader(&bytes));
        }
    }
}

#[test]
fn damaged_text_never_panics() {
    let mut r = Random::from_env();
    for _ in 0..4000 {
        let mut text = Generator { r: &mut r }.flow().into_bytes();
        for _ in 0..6 {
            let at = r.below(text.len().max(1) as u64) as usize;
            match r.below(4) {
                0 if at < text.len() => text[at] = *r.pick(b"()[],=:/-+ 0x9a.>"),
                1 if at < text.len() => drop(text.remove(at)),
                2 => text.truncate(at),
                _ => text.insert(at.min(text.len()), *r.pick(b"()[],=:/-+ \xc3f0x9")),
            }
            let text = String::from_utf8_lossy(&text);
            if let Ok(fm) = text.parse::<FlowMod>() {
                let _ = fm.to_string();
                let _ = encode(&fm);
            }
            let _ = text.parse::<Match>();
            let _ = openflow::action::parse_actions(&text);
        }
    }
}

#[test]
fn deep_nesting_is_refused_not_followed() {
    let text = format!("actions={}", "clone(".repeat(20_000));
    assert!(text.parse::<FlowMod>().is_err());
    let mut bytes = vec![];
    for depth in (1..4000u16).rev() {
        let _ = depth;
        let mut outer = vec![0xff, 0xff, 0, 0, 0, 0, 0x23, 0x20, 0, 42, 0, 0, 0, 0, 0, 0];
        if bytes.len() > 60_000 {
            break;
        }
        let len = (outer.len() + bytes.len()) as u16;
        outer[2..4].copy_from_slice(&len.to_be_bytes());
        outer.extend_from_slice(&bytes);
        bytes = outer;
    }
    assert!(Action::decode(&mut reader(&bytes)).is_err());
}

/// Found by fuzzing: a mask and its value need not be equally long.
#[test]
fn a_masked_field_of_odd_length_is_read_as_open_vswitch_does() {
    let bytes = [0, 1, 1, 9, 0, 0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff];
    let m = Match::decode_fields(&bytes, true).unwrap();
    assert_eq!(m.to_string(), "reg0=0xffff/0xffffff");
}

/// Found by fuzzing: what is learned is not held against the width of its field until it is checked.
#[test]
fn bits_beyond_a_field_are_printed_before_they_are_refused() {
    let mut spec = vec![0xff, 0xff, 0, 48, 0, 0, 0x23, 0x20, 0, 16];
    spec.extend([0; 22]);
    spec.extend([0x00, 0xff, 0, 1, 0, 4, 0xff, 0xff, 0, 1, 0, 4, 0xff, 0xff]);
    spec.extend([0; 2]);
    let learn = Action::decode(&mut reader(&spec)).unwrap();
    assert_eq!(
        learn.to_string(),
        "learn(table=0,priority=0,NXM_NX_REG0[65535..65789])"
    );
    let mut fm: FlowMod = "actions=drop".parse().unwrap();
    fm.instructions = vec![Instruction::ApplyActions([learn].into_iter().collect())].into();
    assert!(fm.check().is_err());
}

/// The priority of a tag that is not there can be said in NXM alone; OpenFlow 1.3 takes it for a tag.
#[test]
fn a_priority_without_a_tag_is_kept_in_nxm_and_left_out_in_oxm() {
    // NXM_OF_VLAN_TCI 0x0202, all of it.
    let tci = [0, 0, 8, 2, 2, 2];
    for (head, tail) in [
        // OFPT_PACKET_IN, with an OXM match of ten bytes.
        (
            "040a002a00000007 ffffffff 0000 00 00 0000000000000000 0001 000a",
            "000000000000 0000",
        ),
        // NXT_PACKET_IN.
        (
            "0404003200000007 00002320 00000011 ffffffff 0000 00 00 0000000000000000 0006 000000000000",
            "0000 0000",
        ),
        // NXT_FLOW_REMOVED.
        (
            "0404004000000007 00002320 0000000e 0000000000000000 8000 00 01 00000000 00000000 0000 0006 0000000000000000 0000000000000000",
            "0000",
        ),
        // OFPT_FLOW_MOD, which a switch takes.
        (
            "040e004000000007 0000000000000000 0000000000000000 0000 0000 0000 8000 ffffffff ffffffff ffffffff 0000 0000 0001 000a",
            "000000000000",
        ),
    ] {
        let bytes = [&hex(head), &tci[..], &hex(tail)].concat();
        let (xid, message) = Message::decode(&bytes).unwrap();
        let text = message.to_text(xid);
        assert!(text.contains("vlan_tci=0x0202"), "{text}");
        let again = message.to_bytes(xid).unwrap();
        assert_eq!(Message::decode(&again), Ok((xid, message)), "{text}");
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    let pairs = digits.chunks(2);
    pairs.map(|d| (d[0] << 4 | d[1]) as u8).collect()
}
