//! Every kind of message, generated from a seed, against the `ovs-ofctl` that is installed.

mod support {
    pub mod generate;
}

use std::fmt::Write as _;
use std::process::Command;

use openflow::header::{Header, MsgType, VERSION};
use openflow::message::text::{DEFAULT_VERBOSITY, print};
use openflow::text::Numbers;
use openflow::wire::Writer;
use openflow::{FlowMod, Message};
use support::generate::{KINDS, Rng, message};

const ROUNDS: u64 = 60;

/// Has one `ovs-ofctl ofp-parse` print all `messages`, with barriers in between to tell them apart.
fn ovs_prints(messages: &[Vec<u8>]) -> Vec<String> {
    const FENCE: u32 = 0xdead_beef;
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    let fence = Header {
        version: VERSION,
        type_: MsgType::BARRIER_REQUEST,
        length: 8,
        xid: FENCE,
    };
    for message in messages {
        std::io::Write::write_all(&mut file, &[message, &fence.to_bytes()[..]].concat())
            .expect("writes");
    }
    let output = Command::new("ovs-ofctl")
        .arg("ofp-parse")
        .arg(file.path())
        .output()
        .expect("ovs-ofctl is not installed: these tests need Open vSwitch");
    assert!(
        output.status.success(),
        "ovs-ofctl: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text: String = output.stdout.iter().map(|b| char::from(*b)).collect();
    let mut parts: Vec<_> = text
        .split(&format!("OFPT_BARRIER_REQUEST (OF1.3) (xid={FENCE:#x}):\n"))
        .map(str::to_owned)
        .collect();
    parts.pop();
    assert_eq!(parts.len(), messages.len());
    parts
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

#[test]
fn every_message_prints_as_ovs_ofctl_prints_it_and_survives_a_round_trip() {
    let mut r = Rng::from_env();
    let (mut messages, mut inputs) = (Vec::new(), Vec::new());
    for i in 0..ROUNDS * KINDS {
        let generated = message(&mut r, i);
        let xid = r.n32();
        let bytes = generated.to_bytes(xid).expect("encodes");
        let decoded = Message::decode(&bytes)
            .unwrap_or_else(|e| panic!("{e}: {} {generated:?}", hex(&bytes)));
        assert_eq!(
            decoded.1.to_bytes(decoded.0).expect("encodes"),
            bytes,
            "{generated:?}"
        );
        messages.push(generated);
        inputs.push(bytes);
    }
    let theirs = ovs_prints(&inputs);
    let (mut differences, mut kinds) = (0, std::collections::BTreeMap::new());
    for ((bytes, theirs), generated) in inputs.iter().zip(&theirs).zip(&messages) {
        let ours = print(bytes, &Numbers, DEFAULT_VERBOSITY);
        if ours != *theirs {
            differences += 1;
            let shown = kinds.entry(generated.name()).or_insert(0_u32);
            *shown += 1;
            if *shown <= 2 {
                println!(
                    "{}\n{}\nours:   {ours}\ntheirs: {theirs}",
                    generated.name(),
                    hex(bytes)
                );
            }
        }
    }
    assert_eq!(differences, 0, "of {} messages: {kinds:?}", inputs.len());
}

#[test]
fn decode_of_encode_is_identity() {
    let mut r = Rng::from_env();
    for i in 0..20 * KINDS {
        let generated = message(&mut r, i);
        let bytes = generated.to_bytes(7).expect("encodes");
        assert_eq!(
            Message::decode(&bytes),
            Ok((7, generated)),
            "{}",
            hex(&bytes)
        );
    }
}

/// Messages with a few bytes changed: whether `ovs-ofctl` can still read them or not, the same is printed.
#[test]
fn damaged_messages_are_read_as_ovs_ofctl_reads_them() {
    let mut r = Rng::from_env();
    let (mut names, mut inputs) = (Vec::new(), Vec::new());
    for i in 0..ROUNDS * KINDS {
        let generated = message(&mut r, i);
        let mut bytes = generated.to_bytes(r.n32()).expect("encodes");
        if bytes.len() <= 8 {
            continue;
        }
        for _ in 0..=r.below(2) {
            let at = 8 + r.below((bytes.len() - 8).min(120) as u64) as usize;
            bytes[at] = r.pick(&[
                0,
                1,
                0xff,
                bytes[at] ^ 1,
                bytes[at] ^ 0x10,
                bytes[at].wrapping_add(1),
            ]);
        }
        names.push(generated.name());
        inputs.push(bytes);
    }
    let theirs = ovs_prints(&inputs);
    let (mut read, mut kinds) = (0, std::collections::BTreeMap::new());
    for ((bytes, theirs), name) in inputs.iter().zip(&theirs).zip(&names) {
        // Of other versions we do not claim to know.
        let foreign = ["(OF1.1)", "(OF1.2)", "(OF1.4)", "(OF1.5)", "(OF 0x"]
            .iter()
            .any(|t| theirs.contains(t))
            || theirs
                .match_indices(" (xid=")
                .any(|(at, _)| !theirs[..at].ends_with(')'));
        let hash = unknown_hash(bytes);
        let ours = print(bytes, &Numbers, DEFAULT_VERBOSITY);
        let quoted = *name == "OFPT_ERROR" && ours.contains("error: OFPBRC_BAD_VERSION");
        if foreign || quoted || hash {
            continue;
        }
        read += 1;
        // Of a field to be set that it does not know, Open vSwitch says one or the other: it looks at all that happen
        // to share a place in its table.
        let same = |text: &str| text.replace("OFPBAC_BAD_SET_LEN", "OFPBAC_BAD_SET_TYPE");
        if same(&ours) != same(theirs) {
            let shown = kinds.entry(*name).or_insert(0_u32);
            *shown += 1;
            if *shown <= 3 {
                println!("{name}\n{}\nours:   {ours}\ntheirs: {theirs}", hex(bytes));
            }
        }
    }
    let differences: u32 = kinds.values().sum();
    println!("{differences} differences of {read}: {kinds:?}");
    assert_eq!(differences, 0, "of {read}: {kinds:?}");
}

/// Whether there is a `bundle_load` whose algorithm or fields do not exist: Open vSwitch takes those; here they are refused.
fn unknown_hash(bytes: &[u8]) -> bool {
    bytes.windows(14).any(|w| {
        let [0xff, 0xff, _, _, 0, 0, 0x23, 0x20, 0, 13, rest @ ..] = w else {
            return false;
        };
        !matches!(rest, [0, 0..=1, 0, 0..=6])
    })
}

/// Damaged messages that were once read otherwise than `ovs-ofctl` reads them.
const FOUND: [&str; 9] = [
    // check_pkt_larger, longer than it need be
    "040d00a600000000ffffffff0000f1a9005800000000000000000010000039fb0000000000000000ffff00300000232000310001dd200000 \
         00000000000058017100804301b200000000000000005a3571128447b5b3000000150008000085ef001900108000060601c368ab2b2f0000 \
         00000000000026244d12cbdf88a871f888a844f288a891d9803500010800060400018967cf30389331f158d9ca6fcf31a27e91572501",
    // delete_field of 255 bytes
    "04040068ffffffff000023200000000d000152f07c38cf1e9e001f3fcf0d0000ffffffffffff0009001000000000000000000406a8e62e8b \
         14690000060288470004002800000000ffff0018000023200032000152ff000000000000000000000015000800000001",
    // flags of a dumped flow, before its conjunction
    "04130190701ca670000100010000000000800600790fa5fc16a65700800000000001010500000000ffffffffffffffff0000000091307de6 \
         00000000000000000001000a80000a02884801000000000000040040000000000015000876807b71ffff0010000023200022333c8451b562 \
         000000100000b5330000000000000000ffff001000002320000efff89f0000000070ff00da32da40046b5f7b0001ffff0000001b00000000 \
         000000000000e030000000000000b45f00000000000000060001001e80000a0208008000170890000000f0000000000100041378a4fa0000 \
         000600080000027100040018000000000000001000009cdb0000000000000000009000000d2f5cb1000000000001947e2c4f000c00000000 \
         00000000000000030000000000000000ffffffffffffffff0001002980000a0286dd8000361005d3b28429f1bf3cf5e8a1094bedf55f8000 \
         14011180001e022887000000000000000004002800000000ffff001000002320000efff8e200000000110008810000000015000800000003 \
         00010008d3000000",
    // instructions of a length that is no multiple of eight
    "04130148f80a41cc000100010000000000ff3a005e074ba821ea404080008e2c8610001d0000000000000000000000a70000000000008f4e \
         00000000000097bf00010026800000040000c4fb80000a02080080001708dc62c980ffffff8000010c04807b8835000000060008000000cf \
         01040018000000000019001080000606bcf1a9763fb0000000c0bf00e3bd014c1923aff4ffff00039b0900020000000000000000690de992 \
         00000000000098c0ffffffffffffffff000100318000000400001c0880000a0286dd8000361008ce0be25ba33f691a2168e497bceb428000 \
         14011180001e02ad6f000000000000000004003800000000ffff0018000023200007001f0001140400000000a6417ba0000600089b09dbbc \
         0019001080000606f5c9aec48f9d00000002001800000000fbddc58afba73c8a3bc8c982056a6c7e00010008fc000000",
    // a HELLO of version 0, quoted twice
    "04010028ffffffffffff000c0000232004010018a389f082ffff0001000000000000232000000004",
    // a property of no length within encap
    "040d006000000000fffffffffffffffd004800000000000000000010000089080000000000000000ffff002000002320002e00000001894f \
         010402003beacd0527c987be3a00000000110008810000000019001080000606e8ec118faf2a0000",
    // a specification within learn that is cut short
    "040d00be00000230ffffffffffffffff0058000000000000ffff003000002320001076da625e73351bef80a51aa7b91e0001c600ffffd166 \
         101e0001420400000001e010000a000000190010800006065cc49104e47b0000ffff0018000023200007001f00010c0400000000052ff052 \
         6d0e626d08980af367d44ad386dd60ff20f500183af276df7e5a6eb93cf6550119e4ad00cdb81b0aecf11d306462f7c7c38fc52485868801 \
         d0c813c3770baea0ad8c7297a896f1f0edf7547ecef7",
    // a command for groups of OpenFlow 1.5
    "040f00200000000000030100000000050010000500000003ffffffff00000000",
    // a bundle with NORMAL among its members
    "04130068000000000007000000000000005802000000af5700500000ffffffffffffffff00000000ffff003000002320000c000100012987 \
         000000020005000000000000000000004fc91966fffa74b8b6c7000000000000001800080000000000150008ffffffff",
];

#[test]
fn what_was_found_is_read_as_ovs_ofctl_reads_it() {
    let inputs: Vec<Vec<u8>> = FOUND.iter().map(|h| bytes(h)).collect();
    for (bytes, theirs) in inputs.iter().zip(ovs_prints(&inputs)) {
        let ours = print(bytes, &Numbers, DEFAULT_VERBOSITY);
        assert_eq!(ours, theirs, "{}", hex(bytes));
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| c.is_ascii_hexdigit()).collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16);
    digits.chunks(2).map(|p| byte(p).expect("hex")).collect()
}

/// Flows with the match of OpenFlow 1.1.
#[test]
fn standard_matches_are_read_as_ovs_ofctl_reads_them() {
    let mut r = Rng::from_env();
    let inputs: Vec<Vec<u8>> = (0..3000)
        .map(|_| flow_with_standard_match(&mut r))
        .collect();
    let mut read = 0;
    for (bytes, theirs) in inputs.iter().zip(ovs_prints(&inputs)) {
        assert_eq!(
            print(bytes, &Numbers, DEFAULT_VERBOSITY),
            theirs,
            "{}",
            hex(bytes)
        );
        read += usize::from(!theirs.contains("decode error"));
    }
    assert!(read > 500, "only {read} could be read");
}

fn flow_with_standard_match(r: &mut Rng) -> Vec<u8> {
    let number = |r: &mut Rng, values: &[u64], bytes: usize| {
        let any = r.u64();
        let value = if r.chance(6) { any } else { r.pick(values) };
        value.to_be_bytes()[8 - bytes..].to_vec()
    };
    let mut out = Vec::new();
    let flow = FlowMod::default();
    flow.encode(&mut Writer::new(&mut out)).expect("encodes");
    out.truncate(40);
    out.extend([0, 0, 0, if r.chance(50) { 80 } else { 88 }]);
    out.extend(number(r, &[1, 0xffff_fffe, 0xff_ffff], 4));
    out.extend(number(
        r,
        &[0, 0x3ff, 0x3f7, 0x3d7, 0x317, 0x217, 0x3f1, 0x1f7],
        4,
    ));
    for _ in 0..4 {
        out.extend(number(r, &[0, u64::MAX, 0x0a58_0af4_0109], 6));
    }
    out.extend(number(r, &[0, 7, 0xfff, 0xfffe, 0xffff], 2));
    out.extend(number(r, &[0, 3, 7], 1));
    out.push(0);
    out.extend(number(
        r,
        &[0x0800, 0x0800, 0x0806, 0x8847, 0x86dd, 0x05ff],
        2,
    ));
    out.extend(number(r, &[0, 4, 0xfc], 1));
    out.extend(number(r, &[0, 1, 6, 17, 132], 1));
    for _ in 0..4 {
        out.extend(number(r, &[0, u64::MAX, 0x0a00_0001, 0xff], 4));
    }
    for _ in 0..2 {
        out.extend(number(r, &[0, 8, 80], 2));
    }
    out.extend(number(r, &[0, 16, 0xf_ffff], 4));
    out.extend(number(r, &[0, 3, 7], 1));
    out.extend([0; 3]);
    for _ in 0..2 {
        out.extend(number(r, &[0, u64::MAX, 0xff00], 8));
    }
    let length = u16::try_from(out.len() + 8).expect("short").to_be_bytes();
    let header = [4, 14, length[0], length[1], 0, 0, 0, 7];
    header.into_iter().chain(out).collect()
}

/// Whatever can be decoded, damaged or not, is encoded to what decodes to the same.
#[test]
fn what_is_decoded_survives_a_round_trip() {
    let mut r = Rng::from_env();
    let mut decoded = 0;
    for i in 0..200 * KINDS {
        let mut bytes = message(&mut r, i).to_bytes(7).expect("encodes");
        for _ in 0..r.below(4) {
            let at = r.below(bytes.len() as u64) as usize;
            bytes[at] = r.n8();
        }
        let _ = print(&bytes, &Numbers, 3);
        let Ok((xid, message)) = Message::decode(&bytes) else {
            continue;
        };
        decoded += 1;
        let Ok(again) = message.to_bytes(xid) else {
            continue;
        };
        assert_eq!(
            Message::decode(&again),
            Ok((xid, message)),
            "{}",
            hex(&bytes)
        );
    }
    println!("{decoded} decoded");
}
