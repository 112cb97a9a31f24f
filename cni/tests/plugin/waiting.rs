//! An agent that is away, restarts, hangs, or is of another age.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::runtime::{Invocation, Ran};
use crate::scripted_agent::{PATIENCE, Reply, ScriptedAgent, content};

/// Waits until the plugin sleeps in its waiting loop at least once: it has opened no socket that
/// stays, so its threads' state is all there is to see.
fn wait_until_asleep(pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    let path = format!("/proc/{pid}/syscall");
    loop {
        // clock_nanosleep, by which std sleeps.
        let asleep = std::fs::read_to_string(&path).is_ok_and(|line| line.starts_with("230 "));
        if asleep {
            return;
        }
        assert!(Instant::now() < deadline, "the plugin does not wait");
        std::thread::yield_now();
    }
}

#[test]
fn an_agent_that_comes_late_is_waited_for() {
    for command in ["ADD", "DEL", "CHECK", "GC", "STATUS"] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let socket = dir.path().join("agent.sock");
        let child = Invocation::new(command, &socket).spawn();
        wait_until_asleep(child.id());
        let agent = ScriptedAgent::start_at(&socket, content);
        let ran = Ran::of(child);
        assert!(ran.status.success(), "{command}: {ran:?}");
        assert_eq!(agent.calls().len(), 1);
    }
}

#[test]
fn a_socket_nobody_listens_on_is_waited_for_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("agent.sock");
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    let child = Invocation::new("ADD", &socket).spawn();
    wait_until_asleep(child.id());
    std::fs::remove_file(&socket).expect("the stale socket");
    let _agent = ScriptedAgent::start_at(&socket, content);
    Ran::of(child).result();
}

#[test]
fn the_wait_ends_at_the_timeout() {
    let nowhere = std::path::Path::new("/nonexistent/agent.sock");
    for command in ["ADD", "DEL", "CHECK", "GC"] {
        let started = Instant::now();
        let ran = Invocation::new(command, nowhere)
            .key("timeout", 1.into())
            .run();
        ran.error(11, &["the agent is not running", "/nonexistent/agent.sock"]);
        let elapsed = started.elapsed();
        assert!(
            (900..3_000).contains(&elapsed.as_millis()),
            "{command}: {elapsed:?}"
        );
    }
    Invocation::new("STATUS", nowhere)
        .key("timeout", 1.into())
        .run()
        .error(50, &["the agent is not running"]);
}

#[test]
fn an_agent_that_never_answers_is_left_at_the_timeout() {
    let agent = ScriptedAgent::start(|_| Reply::Silence);
    Invocation::new("ADD", agent.socket())
        .key("timeout", 1.into())
        .run()
        .error(11, &["did not answer in time"]);
    agent.wait_for_abandoned(1);
    Invocation::new("STATUS", agent.socket())
        .key("timeout", 1.into())
        .run()
        .error(50, &["in time"]);
}

#[test]
fn a_lost_connection_is_tried_again_and_said_so() {
    let calls = AtomicUsize::new(0);
    let agent = ScriptedAgent::start(move |call| match calls.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::HangUp,
        1 => Reply::Raw(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"resu".to_vec()),
        _ => content(call),
    });
    Invocation::new("ADD", agent.socket()).run().result();
    let attempts: Vec<_> = agent
        .calls()
        .iter()
        .map(|call| call.body["attempt"].clone())
        .collect();
    assert_eq!(attempts, [json!(0), json!(1), json!(2)]);
}

#[test]
fn try_again_later_is_obeyed_within_the_timeout() {
    let calls = AtomicUsize::new(0);
    let agent = ScriptedAgent::start(move |call| match calls.fetch_add(1, Ordering::SeqCst) {
        0..=2 => Reply::cni_error(11, "the switch is not there yet", ""),
        _ => content(call),
    });
    Invocation::new("ADD", agent.socket()).run().result();
    let attempts: Vec<_> = agent
        .calls()
        .iter()
        .map(|call| call.body["attempt"].clone())
        .collect();
    assert_eq!(
        attempts,
        vec![json!(0); 4],
        "nothing of these attempts is left"
    );

    let agent = ScriptedAgent::start(|_| Reply::cni_error(11, "the switch is not there yet", ""));
    Invocation::new("DEL", agent.socket())
        .key("timeout", 1.into())
        .run()
        .error(11, &["the switch is not there yet"]);
}

#[test]
fn a_full_queue_does_not_hold_the_plugin_past_its_timeout() {
    // A listener that accepts nobody: its queue fills, and a blocking connect would never return.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("agent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let started = Instant::now();
    let children: Vec<_> = (0..140)
        .map(|_| {
            Invocation::new("ADD", &socket)
                .key("timeout", 2.into())
                .spawn()
        })
        .collect();
    for child in children {
        Ran::of(child).error(11, &[]);
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn an_agent_of_another_age_is_named_as_such() {
    let range = |min: u32, max: u32| {
        Reply::Error(
            json!({"code": -32001, "message": "protocol 1 is not served", "data": {"min": min, "max": max}}),
        )
    };
    let older = ScriptedAgent::start(move |_| range(0, 0));
    Invocation::new("ADD", older.socket())
        .run()
        .error(104, &["upgrade the agent"]);
    let newer = ScriptedAgent::start(move |_| range(2, 3));
    Invocation::new("ADD", newer.socket())
        .run()
        .error(104, &["upgrade the plugin"]);
    let ignorant = ScriptedAgent::start(|_| {
        Reply::Error(json!({"code": -32601, "message": "method not found"}))
    });
    Invocation::new("ADD", ignorant.socket())
        .run()
        .error(104, &["upgrade the agent"]);
}

#[test]
fn an_answer_that_makes_no_sense_is_a_decode_failure() {
    for raw in [
        "nonsense\n",
        "{}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n",
        "{\"jsonrpc\":\"2.0\",\"id\":77,\"result\":{}}\n",
    ] {
        let agent = ScriptedAgent::start(move |_| Reply::Raw(raw.as_bytes().to_vec()));
        Invocation::new("ADD", agent.socket())
            .run()
            .error(6, &["the agent"]);
    }
    let endless = ScriptedAgent::start(|_| Reply::Raw(vec![b'x'; (16 << 20) + 65_536]));
    Invocation::new("ADD", endless.socket())
        .run()
        .error(6, &["longer than"]);
}

#[test]
fn an_error_the_agent_did_not_foresee_is_code_106() {
    let agent = ScriptedAgent::start(|_| {
        Reply::Error(json!({"code": -32603, "message": "internal error"}))
    });
    Invocation::new("ADD", agent.socket())
        .run()
        .error(106, &["cni_add", "internal error"]);
}
