//! Random flows, compared with the installed `ovs-ofctl`: what it sends for a text, and what it
//! prints for the bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

#[path = "flows/generate.rs"]
mod generate;
#[path = "flows/oracle.rs"]
mod oracle;
#[path = "flows/random.rs"]
mod random;

use std::path::Path;

use generate::Generator;
use openflow::wire::{Reader, Writer};
use openflow::{ErrorKind, FlowMod, FlowStats};
use random::Random;

/// How many flows are tried; OPENFLOW_FLOWS for another number.
fn how_many(default: usize) -> usize {
    std::env::var("OPENFLOW_FLOWS")
        .map_or(default, |n| n.parse().expect("OPENFLOW_FLOWS is a number"))
}

fn encode(fm: &FlowMod) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    fm.encode(&mut Writer::new(&mut out))
        .map_err(|e| e.to_string())?;
    Ok(out)
}

fn decode(body: &[u8]) -> Result<FlowMod, String> {
    FlowMod::decode(Reader::new(body, ErrorKind::BrcBadLen, "flow mod")).map_err(|e| e.to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The text that `add-flow` reads back.
fn flow_text(fm: &FlowMod) -> String {
    let flow = FlowStats {
        table: fm.table,
        duration_sec: 0,
        duration_nsec: 0,
        priority: fm.priority,
        idle_timeout: fm.idle_timeout,
        hard_timeout: fm.hard_timeout,
        flags: fm.flags,
        cookie: fm.cookie,
        packet_count: 0,
        byte_count: 0,
        match_: fm.match_.clone(),
        instructions: fm.instructions.clone(),
    };
    flow.without_stats(&openflow::text::Numbers).to_string()
}

/// Sends `flows`, which we took for valid; those that `ovs-ofctl` refuses are told apart by halves.
fn send_all(
    dir: &Path,
    flows: &[String],
    refused: &mut Vec<(String, String)>,
) -> Vec<(String, Vec<u8>)> {
    if flows.is_empty() {
        return vec![];
    }
    match oracle::send(dir, flows) {
        Ok(messages) => {
            assert_eq!(messages.len(), flows.len());
            flows.iter().cloned().zip(messages).collect()
        }
        Err(e) if flows.len() == 1 => {
            refused.push((flows[0].clone(), e));
            vec![]
        }
        Err(_) => {
            let (a, b) = flows.split_at(flows.len() / 2);
            let mut out = send_all(dir, a, refused);
            out.extend(send_all(dir, b, refused));
            out
        }
    }
}

#[test]
fn flows_are_sent_and_printed_as_ovs_ofctl_does() {
    let mut random = Random::from_env();
    let mut generator = Generator { r: &mut random };
    let dir = tempfile::tempdir().unwrap();
    let mut differences = vec![];
    let (mut accepted, mut rejected) = (vec![], vec![]);
    for _ in 0..how_many(4000) {
        let text = generator.flow();
        match text
            .parse::<FlowMod>()
            .map_err(|e| e.to_string())
            .and_then(|fm| encode(&fm))
        {
            Ok(_) => accepted.push(text),
            Err(e) => rejected.push((text, e)),
        }
    }
    let mut refused = vec![];
    let mut sent = vec![];
    for chunk in accepted.chunks(250) {
        sent.extend(send_all(dir.path(), chunk, &mut refused));
    }
    for (text, e) in &refused {
        differences.push(format!(
            "refused by ovs-ofctl alone\n  {text}\n  {}",
            e.trim()
        ));
    }
    // What we refuse, one process each, so only some of it.
    for (text, e) in rejected.iter().take(150) {
        if oracle::send(dir.path(), std::slice::from_ref(text)).is_ok() {
            differences.push(format!("refused by us alone\n  {text}\n  {e}"));
        }
    }
    let messages: Vec<Vec<u8>> = sent.iter().map(|(_, m)| m.clone()).collect();
    let printed = oracle::print(dir.path(), &messages);
    assert_eq!(printed.len(), messages.len());
    for ((text, message), line) in sent.iter().zip(&printed) {
        let theirs = &message[8..];
        let fm: FlowMod = text.parse().unwrap();
        let ours = encode(&fm).unwrap();
        if ours != theirs {
            differences.push(format!(
                "sent\n  {text}\n  ours   {}\n  theirs {}\n  {line}",
                hex(&ours),
                hex(theirs)
            ));
            continue;
        }
        let line = line.lines().next().unwrap_or_default();
        let decode_error = line.contains("***decode error");
        match decode(theirs).and_then(|fm| fm.check().map(|()| fm).map_err(|e| e.to_string())) {
            Err(e) if !decode_error => {
                differences.push(format!("decode\n  {text}\n  {e}\n  {line}"))
            }
            Err(_) => {}
            Ok(_) if decode_error => {
                differences.push(format!("decoded by us alone\n  {text}\n  {line}"));
            }
            Ok(fm) => {
                let expected = line.split_once("): ").map_or("", |(_, t)| t);
                if fm.to_string() != expected {
                    differences.push(format!(
                        "print\n  {text}\n  ours   {fm}\n  theirs {expected}"
                    ));
                }
                if encode(&fm).as_deref() != Ok(theirs) {
                    let again = encode(&fm).map(|b| hex(&b));
                    differences.push(format!(
                        "reencode\n  {text}\n  ours   {again:?}\n  theirs {}",
                        hex(theirs)
                    ));
                }
                // Open vSwitch prints neither the length of an output nor that a flow is of Ethernet
                // packets alone, so what is read back is compared as text.
                let again = flow_text(&fm);
                match again.parse::<FlowMod>() {
                    Ok(parsed) if flow_text(&parsed) == again => {}
                    Ok(parsed) => differences.push(format!("reparse\n  {again}\n  {parsed}")),
                    // Some of what is printed cannot be read, by ovs-ofctl neither.
                    Err(e) => {
                        if oracle::send(dir.path(), std::slice::from_ref(&again)).is_ok() {
                            differences.push(format!("reparse\n  {again}\n  {e}"));
                        }
                    }
                }
            }
        }
    }
    println!(
        "{} flows sent and printed, {} refused by both (of {} we refuse), {} differences",
        sent.len(),
        rejected.len().min(150),
        rejected.len(),
        differences.len()
    );
    let shown: Vec<_> = differences.iter().take(25).cloned().collect();
    assert!(
        differences.is_empty(),
        "{} differences, the first:\n{}",
        differences.len(),
        shown.join("\n")
    );
}

/// A flow for `modify` or `delete`, strict or not, as a line of a file for `add-flows`.
fn change(generator: &mut Generator<'_>) -> String {
    let flow = generator.flow();
    let (fields, actions) = flow.split_once(" actions=").unwrap();
    let r = &mut *generator.r;
    let command = *r.pick(&["modify", "modify_strict", "delete", "delete_strict", "add"]);
    let deletes = command.starts_with("delete");
    let mut fields: Vec<String> = fields.split(',').map(str::to_owned).collect();
    // What a deletion has no use for is refused; left in now and then, for the refusal.
    let useless = |f: &str| {
        ["idle_timeout=", "hard_timeout=", "cookie="]
            .iter()
            .any(|k| f.starts_with(k))
            || ["send_flow_rem", "check_overlap", "reset_counts"].contains(&f)
            || ["no_packet_counts", "no_byte_counts"].contains(&f)
            || (command == "delete" && f.starts_with("priority="))
    };
    if !r.one_in(10) {
        fields.retain(|f| !(f.is_empty() || deletes && useless(f)));
    }
    if command != "add" && r.one_in(2) {
        let (cookie, mask) = (r.bits(64), r.bits(64));
        fields.push(match r.below(3) {
            0 => format!("cookie={cookie:#x}/-1"),
            1 => format!("cookie={cookie}/{mask:#x}"),
            _ => format!("cookie={cookie:#x}/{mask}"),
        });
    }
    if deletes || r.one_in(20) {
        match r.below(6) {
            0 => fields.push(format!("out_port={}", r.below(0xff00))),
            1 => fields.push(format!(
                "out_port={}",
                r.pick(&["LOCAL", "any", "CONTROLLER", "in_port"])
            )),
            2 => fields.push(format!(
                "out_group={}",
                r.pick(&["any", "all", "7", "4294967040", "4294967295"])
            )),
            3 => fields.push(format!("out_group={},out_port=3", r.below(1 << 32))),
            _ => {}
        }
    }
    let fields = fields.join(",");
    if deletes && !r.one_in(20) {
        format!("{command} {fields}")
    } else {
        format!("{command} {fields} actions={actions}")
    }
}

#[test]
fn changes_and_deletions_are_sent_as_ovs_ofctl_does() {
    let mut random = Random::from_env();
    let mut generator = Generator { r: &mut random };
    let dir = tempfile::tempdir().unwrap();
    let (mut accepted, mut rejected) = (vec![], vec![]);
    for _ in 0..how_many(2000) {
        let line = change(&mut generator);
        match FlowMod::parse_line(&line)
            .map_err(|e| e.to_string())
            .and_then(|fm| encode(&fm))
        {
            Ok(_) => accepted.push(line),
            Err(e) => rejected.push((line, e)),
        }
    }
    let (mut refused, mut sent) = (vec![], vec![]);
    for chunk in accepted.chunks(250) {
        sent.extend(send_all(dir.path(), chunk, &mut refused));
    }
    let mut differences = vec![];
    for (line, e) in &refused {
        differences.push(format!(
            "refused by ovs-ofctl alone\n  {line}\n  {}",
            e.trim()
        ));
    }
    for (line, e) in rejected.iter().take(100) {
        if oracle::send(dir.path(), std::slice::from_ref(line)).is_ok() {
            differences.push(format!("refused by us alone\n  {line}\n  {e}"));
        }
    }
    for (line, message) in &sent {
        let ours = encode(&FlowMod::parse_line(line).unwrap()).unwrap();
        if ours != message[8..] {
            let theirs = hex(&message[8..]);
            differences.push(format!(
                "sent\n  {line}\n  ours   {}\n  theirs {theirs}",
                hex(&ours)
            ));
        }
    }
    println!("{} sent, {} refused", sent.len(), rejected.len());
    assert!(sent.len() > how_many(2000) / 2, "only {} sent", sent.len());
    let shown: Vec<_> = differences.iter().take(12).cloned().collect();
    assert!(
        differences.is_empty(),
        "{} differences:\n{}",
        differences.len(),
        shown.join("\n")
    );
}

/// A command is a word of files alone.
#[test]
fn add_flow_takes_no_command() {
    for command in ["add", "modify", "delete_strict"] {
        let refused = format!("{command} in_port=1 actions=drop").parse::<FlowMod>();
        let error = refused.unwrap_err().to_string();
        assert_eq!(error, format!("field {command} missing value"));
    }
}

/// What `ovs-ofctl` sends for one flow beside what we would; or that one of both refuses it alone.
fn differs(dir: &Path, text: &str) -> Option<String> {
    let theirs = oracle::send_one(dir, "add-flow", text);
    let ours = text.parse::<FlowMod>().map_err(|e| e.to_string());
    let ours = ours.and_then(|fm| encode(&fm));
    match (&theirs, &ours) {
        (Err(_), Err(_)) => None,
        (Ok(theirs), Ok(ours)) if theirs[8..] == *ours => None,
        _ => {
            let theirs = theirs.map(|message| hex(&message[8..]));
            let ours = ours.map(|body| hex(&body));
            Some(format!("{text}\n  ours   {ours:?}\n  theirs {theirs:?}"))
        }
    }
}

/// Numbers at the edges of widths, and spelt as few people do.
const NUMBERS: [&str; 24] = [
    "0",
    "00",
    "010",
    "+5",
    "-1",
    "0x",
    "1e3",
    " 7",
    "63",
    "64",
    "128",
    "255",
    "256",
    "0xfff",
    "4096",
    "8191",
    "65535",
    "65536",
    "0xfffff",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "0xffffffffffffffffff",
];

/// A text with a character, a number or a word changed.
fn damaged(r: &mut Random, text: &str, other: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = r.below(chars.len() as u64 + 1) as usize;
    let (before, after) = (&chars[..at], &chars[at..]);
    let join = |middle: &str, skipped: usize| {
        let after = after.get(skipped..).unwrap_or_default();
        before.iter().collect::<String>() + middle + &after.iter().collect::<String>()
    };
    let spelt = [
        "(", ")", "[", "]", ",", "=", ":", "/", "-", ".", "\"", "\t", "+", " ", "0", "x", "F",
    ];
    let mut words: Vec<&str> = text.split(',').collect();
    let others: Vec<&str> = other.split(',').collect();
    let word = r.below(words.len() as u64) as usize;
    match r.below(7) {
        0 => join(r.pick::<&str>(&spelt), 0),
        1 => join("", 1),
        2 => join(r.pick::<&str>(&spelt), 1),
        3 => {
            words[word] = *r.pick::<&str>(&others);
            words.join(",")
        }
        4 => {
            words.insert(word, *r.pick::<&str>(&others));
            words.join(",")
        }
        5 => {
            words.remove(word);
            words.join(",")
        }
        _ => {
            let digits = |c: char| c.is_ascii_digit();
            let starts: Vec<usize> = text.match_indices(digits).map(|(i, _)| i).collect();
            let Some(start) = starts.get(r.below(starts.len().max(1) as u64) as usize) else {
                return text.to_owned();
            };
            let (before, after) = text.split_at(*start);
            before.to_owned() + r.pick::<&str>(&NUMBERS) + after.trim_start_matches(digits)
        }
    }
}

#[test]
fn damaged_texts_are_read_as_ovs_ofctl_reads_them() {
    let mut random = Random::from_env();
    let dir = tempfile::tempdir().unwrap();
    let (mut tried, mut differences) = (0, vec![]);
    while tried < how_many(500) {
        let mut generator = Generator { r: &mut random };
        let (mut text, other) = (generator.flow(), generator.flow());
        for _ in 0..=random.below(2) {
            text = damaged(&mut random, &text, &other);
        }
        // Not text to `ovs-ofctl`, but an option.
        if !text.starts_with('-') {
            tried += 1;
            differences.extend(differs(dir.path(), &text));
        }
    }
    println!("{tried} tried");
    let shown: Vec<_> = differences.iter().take(20).cloned().collect();
    let n = differences.len();
    assert!(
        differences.is_empty(),
        "{n} differences:\n{}",
        shown.join("\n")
    );
}

/// Texts that were once read otherwise than `ovs-ofctl` reads them.
#[test]
fn what_was_found_is_read_as_ovs_ofctl_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let found = [
        // The packet type says the Ethernet type, whatever else does.
        "packet_type=(1,0x894f),icmp6,actions=drop",
        "arp,packet_type=(1,0x800),nw_dst=10.0.0.1,actions=drop",
        "packet_type=(1,0x800),actions=drop",
        "packet_type=(0,0),tcp,actions=drop",
        // As many bits as the field has.
        "dl_type=0x894f,nsh_spi=0xffffffff,actions=drop",
        "mpls,mpls_label=4294967295,mpls_tc=63,mpls_bos=2,actions=drop",
        "ip,ip_dscp=255,nw_ecn=7,actions=drop",
        "ct_state=4294967296,actions=drop",
        // Asked for nothing, also of a field that cannot be asked for.
        "tun_tos=,skb_priority,actions=drop",
        // Read-only, which a switch says.
        "ip,actions=load:3->nw_proto[]",
        "actions=load:1->dp_hash[0]",
        "ip,actions=set_field:3->nw_proto",
        // A quoted name that does not end.
        "table=\",actions=drop",
        "table=\"a\",actions=drop",
        "table=\"\\q\",actions=drop",
        "actions=resubmit(,\"49),goto_table:\"1",
        // Bits in numbers of any length, modulo 2⁶⁴ and then 2³².
        "actions=load:1->reg0[0..4294967296]",
        "actions=load:1->reg0[18446744073709551616..15]",
        "actions=load:1->reg0[+1.. 2]",
        "actions=load:1->reg0[1 ..2]",
        "actions=load:1->reg0[-1..2]",
        "actions=load:1->reg0[ 3]",
        "actions=load:1->reg0[3 ]",
    ];
    let differences: Vec<_> = found
        .iter()
        .filter_map(|text| differs(dir.path(), text))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
