//! An agent that answers by a script and remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest wait for anything in these tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) protocol: u64,
    pub(crate) body: Value,
}

/// What to do with it.
pub(crate) enum Reply {
    /// A JSON-RPC result.
    Result(Value),
    /// A JSON-RPC error object.
    Error(Value),
    /// These bytes, then hang up.
    Raw(Vec<u8>),
    /// Hang up without an answer.
    HangUp,
    /// Say nothing and wait for the caller to hang up.
    Silence,
}

impl Reply {
    /// A CNI error, as the agent wraps it.
    pub(crate) fn cni_error(code: u32, msg: &str, details: &str) -> Reply {
        Reply::Error(json!({
            "code": -32000,
            "message": msg,
            "data": {"code": code, "msg": msg, "details": details},
        }))
    }
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

#[derive(Default)]
struct Seen {
    calls: Vec<Call>,
    /// Connections the caller closed while the agent owed it an answer.
    abandoned: usize,
}

struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
    script: Box<Script>,
}

/// Listens until dropped.
pub(crate) struct ScriptedAgent {
    shared: Arc<Shared>,
    socket: PathBuf,
    _dir: Option<tempfile::TempDir>,
}

impl ScriptedAgent {
    /// On a socket of its own.
    pub(crate) fn start(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let socket = dir.path().join("agent.sock");
        let mut agent = ScriptedAgent::start_at(&socket, script);
        agent._dir = Some(dir);
        agent
    }

    /// On `socket`.
    pub(crate) fn start_at(
        socket: &Path,
        script: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(socket).expect("the agent's socket");
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            changed: Condvar::new(),
            script: Box::new(script),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        ScriptedAgent {
            shared,
            socket: socket.to_owned(),
            _dir: None,
        }
    }

    /// One that never complains: ADD attaches, DEL and GC remove, CHECK and STATUS are content.
    pub(crate) fn content() -> Self {
        ScriptedAgent::start(content)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Everything it was asked so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.seen.lock().expect("no panic").calls.clone()
    }

    /// Waits until there were `count` calls.
    pub(crate) fn wait_for_calls(&self, count: usize) -> Vec<Call> {
        self.wait("calls", |seen| seen.calls.len() >= count);
        self.calls()
    }

    /// Waits until `count` callers hung up on it while waiting for an answer.
    pub(crate) fn wait_for_abandoned(&self, count: usize) {
        self.wait("hang-ups", |seen| seen.abandoned >= count);
    }

    fn wait(&self, what: &str, done: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.shared.seen.lock().expect("no panic");
        while !done(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "no {what} in {PATIENCE:?}; calls so far: {:?}",
                seen.calls
            );
            seen = self
                .shared
                .changed
                .wait_timeout(seen, left)
                .expect("no panic")
                .0;
        }
    }
}

fn serve(mut stream: UnixStream, shared: &Shared) {
    let Ok(reader) = stream.try_clone() else {
        return;
    };
    for line in BufReader::new(reader).lines() {
        let Ok(line) = line else { return };
        let request: Value = serde_json::from_str(&line).expect("the plugin sends JSON");
        assert_eq!(request["jsonrpc"], "2.0");
        let call = Call {
            method: request["method"].as_str().expect("a method").to_owned(),
            protocol: request["params"]["protocol"].as_u64().expect("a protocol"),
            body: request["params"]["body"].clone(),
        };
        {
            shared
                .seen
                .lock()
                .expect("no panic")
                .calls
                .push(call.clone());
            shared.changed.notify_all();
        }
        let id = &request["id"];
        let answer = match (shared.script)(&call) {
            Reply::Result(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
            Reply::Error(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Reply::HangUp => return,
            Reply::Silence => {
                let _ = std::io::copy(&mut stream, &mut std::io::sink());
                shared.seen.lock().expect("no panic").abandoned += 1;
                shared.changed.notify_all();
                return;
            }
        };
        if writeln!(stream, "{answer}").is_err() {
            return;
        }
    }
}

/// The script of [`ScriptedAgent::content`].
pub(crate) fn content(call: &Call) -> Reply {
    Reply::Result(match call.method.as_str() {
        "cni_add" => attachment(),
        "cni_del" => json!({"removed": true}),
        "cni_check" => json!({"attachment": attachment(), "problems": []}),
        "cni_gc" => json!({"removed": [], "failed": []}),
        "cni_status" => json!({}),
        other => panic!("unknown method {other}"),
    })
}

/// What [`content`] attaches.
pub(crate) fn attachment() -> Value {
    json!({
        "host_ifname": "sl0123456789ab",
        "mac": "0a:58:0a:f4:01:05",
        "mtu": 1450,
        "ips": [
            {"address": "10.244.1.5/32", "gateway": "169.254.1.1"},
            {"address": "fd00:10:244:1::5/128", "gateway": "fe80::1"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "169.254.1.1"},
            {"dst": "::/0", "gw": "fe80::1"},
        ],
    })
}
