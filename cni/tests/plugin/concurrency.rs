//! Many at once, and killed at any point.

use std::os::unix::process::ExitStatusExt;
use std::sync::{Arc, Barrier};

use serde_json::json;

use crate::runtime::{Invocation, Ran};
use crate::scripted_agent::{Reply, ScriptedAgent, content};

/// A node boot.
const MANY: usize = 110;

#[test]
fn a_hundred_and_ten_adds_at_once() {
    // No answer before every request is there: one plugin that waited for another would hang.
    let all_there = Arc::new(Barrier::new(MANY));
    let agent = ScriptedAgent::start(move |call| {
        all_there.wait();
        content(call)
    });
    let children: Vec<_> = (0..MANY)
        .map(|i| {
            Invocation::new("ADD", agent.socket())
                .env("CNI_CONTAINERID", &format!("c{i}"))
                .spawn()
        })
        .collect();
    for child in children {
        Ran::of(child).result();
    }
    let mut ids: Vec<String> = agent
        .calls()
        .iter()
        .map(|call| call.body["container_id"].to_string())
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), MANY);
}

#[test]
fn killed_before_the_agent_is_there_it_asked_for_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("agent.sock");
    let mut child = Invocation::new("ADD", &socket).spawn();
    child.kill().expect("kill");
    assert_eq!(Ran::of(child).status.signal(), Some(9));
    let agent = ScriptedAgent::start_at(&socket, content);
    Invocation::new("DEL", &socket).run().silent_success();
    let methods: Vec<String> = agent.calls().into_iter().map(|call| call.method).collect();
    assert_eq!(methods, ["cni_del"]);
}

#[test]
fn killed_while_waiting_for_stdin_it_asked_for_nothing() {
    let agent = ScriptedAgent::content();
    let mut child = Invocation::new("ADD", agent.socket())
        .command()
        .spawn()
        .expect("starts");
    child.kill().expect("kill");
    assert_eq!(Ran::of(child).status.signal(), Some(9));
    assert!(agent.calls().is_empty());
}

#[test]
fn killed_while_the_agent_works_the_agent_sees_it_hang_up() {
    let agent = ScriptedAgent::start(|call| match call.method.as_str() {
        "cni_add" => Reply::Silence,
        _ => content(call),
    });
    let mut child = Invocation::new("ADD", agent.socket()).spawn();
    agent.wait_for_calls(1);
    child.kill().expect("kill");
    assert_eq!(Ran::of(child).status.signal(), Some(9));
    agent.wait_for_abandoned(1);
    Invocation::new("DEL", agent.socket())
        .run()
        .silent_success();
    let gc = Invocation::new("GC", agent.socket()).key("cni.dev/valid-attachments", json!([]));
    gc.run().silent_success();
}

#[test]
fn killed_anywhere_it_leaves_no_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let agent = ScriptedAgent::start(|_| Reply::Silence);
    let mut child = Invocation::new("ADD", agent.socket())
        .command()
        .current_dir(dir.path())
        .env("TMPDIR", dir.path())
        .spawn()
        .expect("starts");
    let config = Invocation::new("ADD", agent.socket()).config.to_string();
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), config.as_bytes())
        .expect("stdin");
    agent.wait_for_calls(1);
    child.kill().expect("kill");
    child.wait().expect("wait");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
}
