//! How much of Open vSwitch 3.1 there is: every message, action and field that it has on OpenFlow 1.3, by the numbers in its
//! own sources, is made, comes back as the bytes it was, and is printed.
//!
//! `cargo test -p openflow --test counts -- --nocapture` prints the counts.

mod support {
    pub mod generate;
}

use std::collections::{BTreeMap, BTreeSet};

use openflow::action::{self, Kind};
use openflow::field::{OxmHeader, Prerequisite};
use openflow::message::ErrorCode;
use openflow::message::text::{DEFAULT_VERBOSITY, print};
use openflow::text::Numbers;
use openflow::wire::{Reader, Writer};
use openflow::{Action, ErrorKind, Field, Match, Message, Value};
use support::generate::{ARMS, KINDS, Rng, every_action, message};

const NICIRA: u32 = 0x2320;
const ONF: u32 = 0x4f4e_4600;

/// What a message begins with: its type, that of a multipart, experimenter and its type.
type Code = (u8, u16, u32, u32);

/// The messages in `ofp-msgs.h` of which OpenFlow 1.3 is among the versions.
fn messages() -> BTreeSet<Code> {
    let mut all = BTreeSet::new();
    all.extend(
        (0..30)
            .filter(|t| ![4, 18, 19].contains(t))
            .map(|t| (t, 0, 0, 0)),
    );
    for type_ in [18, 19] {
        all.extend((0..14).map(|m| (type_, m, 0, 0)));
        all.extend([(NICIRA, 3), (NICIRA, 4), (ONF, 1870)].map(|(e, t)| (type_, 0xffff, e, t)));
    }
    let nicira = (10..=32).filter(|t| ![12, 21, 22, 23, 31].contains(t));
    all.extend(nicira.map(|t| (4, 0, NICIRA, t)));
    all.extend([1870, 1871, 1872, 1911, 2300, 2301, 2350].map(|t| (4, 0, ONF, t)));
    all
}

/// The actions in `ofp-actions.c` of which OpenFlow 1.3 is among the versions.
fn actions() -> BTreeSet<(u32, u16)> {
    let mut all = BTreeSet::new();
    all.extend((0..=25).filter(|t| ![11, 12].contains(t)).map(|t| (0, t)));
    let nicira = (1..=50).filter(|t| ![3, 4, 11, 18, 23, 24, 25, 26, 30, 31, 40].contains(t));
    all.extend(nicira.chain([254, 255]).map(|t| (NICIRA, t)));
    all.insert((ONF, 3200));
    all
}

/// The headers in `meta-flow.h`: class, experimenter, and the numbers of fields. Registers, tunnel metadata and contexts are
/// a line each there.
fn headers() -> BTreeSet<(u16, u32, u8)> {
    let mut all = BTreeSet::new();
    let mut add = |class, experimenter, numbers: &mut dyn Iterator<Item = u8>| {
        all.extend(numbers.map(|n| (class, experimenter, n)));
    };
    // NXM_OF_…, NXM_NX_…, OXM_OF_…, OXM_OF_PKT_REG…
    add(0, 0, &mut (0..=17));
    add(1, 0, &mut (0..=114));
    add(1, 0, &mut (119..=125));
    add(
        0x8000,
        0,
        &mut (0..=44).filter(|n| ![1, 37, 39, 40, 41].contains(n)),
    );
    add(0x8001, 0, &mut (0..=7));
    // ERICOXM_OF_…
    add(0x1000, 0, &mut (1..=2));
    // NXOXM_ET_…, NXOXM_NSH_…, ONFOXM_ET_…
    add(0xffff, NICIRA, &mut [0, 11, 12, 13, 14, 15, 16].into_iter());
    add(0xffff, 0x005a_d650, &mut (1..=10));
    add(0xffff, ONF, &mut [42, 43].into_iter());
    all
}

fn code(bytes: &[u8]) -> Code {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    match bytes[1] {
        4 => (4, 0, word(8), word(12)),
        type_ @ (18 | 19) => match u16::from_be_bytes([bytes[8], bytes[9]]) {
            0xffff => (type_, 0xffff, word(16), word(20)),
            part => (type_, part, 0, 0),
        },
        type_ => (type_, 0, 0, 0),
    }
}

#[test]
fn every_message_of_open_vswitch_comes_back_and_is_printed() {
    let mut r = Rng::from_env();
    let mut seen = BTreeMap::new();
    for i in 0..30 * KINDS {
        let made = message(&mut r, i);
        let bytes = made.to_bytes(7).expect("encodes");
        let (xid, decoded) = Message::decode(&bytes).expect("decodes");
        assert_eq!((xid, &decoded), (7, &made));
        assert_eq!(decoded.to_bytes(7).as_deref(), Ok(bytes.as_slice()));
        let text = print(&bytes, &Numbers, DEFAULT_VERBOSITY);
        if !text.contains("***decode error") {
            seen.insert(code(&bytes), made.name());
        }
    }
    let wanted = messages();
    let missing: Vec<_> = wanted.iter().filter(|c| !seen.contains_key(c)).collect();
    println!(
        "messages: {} of {}",
        wanted.len() - missing.len(),
        wanted.len()
    );
    assert!(missing.is_empty(), "missing: {missing:?}");
}

fn decode(bytes: &[u8]) -> Vec<Action> {
    let r = Reader::new(bytes, ErrorKind::BacBadLen, "test");
    action::decode_list(r).expect("decodes")
}

#[test]
fn every_action_of_open_vswitch_comes_back_and_is_printed() {
    let mut r = Rng::from_env();
    let mut seen = BTreeSet::new();
    for i in 0..200 * ARMS {
        let made = [every_action(&mut r, i, 0)];
        let mut bytes = vec![];
        action::encode_list(&made, &mut Writer::new(&mut bytes)).expect("encodes");
        assert_eq!(decode(&bytes), made);
        assert!(!made[0].to_string().is_empty(), "{made:?}");
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let kind = Kind::of(rest).expect("is known");
            seen.insert((kind.experimenter, kind.number));
            rest = &rest[usize::from(u16::from_be_bytes([rest[2], rest[3]]))..];
        }
    }
    let wanted = actions();
    let declared: BTreeSet<_> = Kind::all().map(|k| (k.experimenter, k.number)).collect();
    assert_eq!(declared, wanted);
    let missing: Vec<_> = wanted.difference(&seen).collect();
    println!(
        "actions: {} of {}",
        wanted.len() - missing.len(),
        wanted.len()
    );
    assert!(missing.is_empty(), "missing: {missing:?}");
}

#[test]
fn every_header_of_a_field_of_open_vswitch_is_known() {
    let wanted = headers();
    let unknown = |&&(class, experimenter, number): &&(u16, u32, u8)| {
        let header = |len: u32| OxmHeader {
            word: u32::from(class) << 16 | u32::from(number) << 9 | len,
            experimenter,
        };
        let four = if class == 0xffff { 4 } else { 0 };
        let lengths = [1, 2, 3, 4, 6, 8, 16];
        lengths
            .iter()
            .all(|len| header(len + four).field().is_none())
    };
    let missing: Vec<_> = wanted.iter().filter(unknown).collect();
    println!(
        "headers of fields: {} of {}",
        wanted.len() - missing.len(),
        wanted.len()
    );
    assert!(missing.is_empty(), "missing: {missing:?}");
}

/// A match that `field` may be in.
fn around(field: Field) -> Match {
    let text = match field.prerequisite() {
        Prerequisite::Vlan => "vlan_tci=0x1000/0x1000",
        Prerequisite::Arp => "arp",
        Prerequisite::Ipv4 | Prerequisite::Ip => "ip",
        Prerequisite::Ipv6 => "ipv6",
        Prerequisite::Nsh if field == Field::NSH_MDTYPE => "dl_type=0x894f",
        Prerequisite::Nsh => "dl_type=0x894f,nsh_mdtype=1",
        Prerequisite::CtValid if field.name().starts_with("ct_ipv6") => "ipv6,ct_state=+trk+est",
        Prerequisite::CtValid if field == Field::CT_NW_PROTO => "ip,ct_state=+trk+est",
        Prerequisite::CtValid => "ip,ct_state=+trk+est,ct_nw_proto=6",
        Prerequisite::Mpls => "mpls",
        Prerequisite::Tcp => "tcp",
        Prerequisite::Udp => "udp",
        Prerequisite::Sctp => "sctp",
        Prerequisite::Icmp4 => "icmp",
        Prerequisite::Icmp6 => "icmp6",
        Prerequisite::Nd | Prerequisite::NdSolicit => "icmp6,icmp_type=135,icmp_code=0",
        Prerequisite::NdAdvert => "icmp6,icmp_type=136,icmp_code=0",
        // Printed with the version that has it.
        _ if field == Field::TUN_ERSPAN_IDX => "tun_erspan_ver=1",
        _ if [Field::TUN_ERSPAN_DIR, Field::TUN_ERSPAN_HWID].contains(&field) => "tun_erspan_ver=2",
        _ => "",
    };
    text.parse().expect("a match")
}

#[test]
fn every_field_comes_back_and_is_printed() {
    let (mut on_the_wire, mut in_text) = (0, 0);
    for field in Field::all() {
        let base = around(field);
        let mut m = base.clone();
        // What only text has, and what is not sent, become other fields or nothing.
        let value = match field {
            Field::VLAN_TCI => Value::from(0x1001_u16),
            _ => Value::from(1_u8).resized(field.bytes()),
        };
        m.set(field, value, Value::ones(field.bytes()));
        in_text += 1;
        if !field.has_header() {
            continue;
        }
        on_the_wire += 1;
        let text = m.to_string();
        assert_ne!(text, base.to_string(), "{field}");
        let mut bytes = vec![];
        m.encode_fields(&mut Writer::new(&mut bytes))
            .expect("encodes");
        assert_eq!(
            Match::decode_fields(&bytes, true).as_ref(),
            Ok(&m),
            "{field}: {text}"
        );
        // What ovs-ofctl prints of these it cannot read itself.
        let unread = ["tun_gtpu_flags", "tun_gtpu_msgtype"];
        if !unread.contains(&field.name()) {
            assert_eq!(text.parse::<Match>().as_ref(), Ok(&m), "{field}: {text}");
        }
    }
    println!("fields: {in_text} in text, of which {on_the_wire} have a header");
}

#[test]
fn errors_are_counted() {
    println!("errors: {}", ErrorCode::all().count());
}
