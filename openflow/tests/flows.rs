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
        duration: std::time::Duration::ZERO,
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
