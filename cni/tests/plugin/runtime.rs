//! A container runtime, as far as a plugin sees one.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

/// One invocation, prepared.
#[derive(Clone)]
pub(crate) struct Invocation {
    environment: BTreeMap<String, String>,
    pub(crate) config: Value,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Invocation {
    /// `command` for container `c1`, interface `eth0`, in a namespace that exists, with a version
    /// 1.1.0 configuration for `socket`.
    pub(crate) fn new(command: &str, socket: &Path) -> Self {
        let mut config = json!({
            "cniVersion": "1.1.0",
            "name": "pods",
            "type": "sluice-cni",
            "socket": socket,
            "timeout": 15,
        });
        if command == "CHECK" {
            config["prevResult"] = prev_result("1.1.0");
        }
        Invocation {
            environment: [
                ("CNI_COMMAND", command),
                ("CNI_CONTAINERID", "c1"),
                ("CNI_IFNAME", "eth0"),
                ("CNI_NETNS", netns()),
                ("CNI_PATH", "/opt/cni/bin"),
                ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=3f1b"),
            ]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
            config,
        }
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Sets a key of the configuration; null takes it out.
    pub(crate) fn key(mut self, key: &str, value: Value) -> Self {
        let keys = self.config.as_object_mut().expect("an object");
        match value {
            Value::Null => keys.remove(key),
            value => keys.insert(key.to_owned(), value),
        };
        self
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice-cni"));
        command
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn spawn(&self) -> Child {
        let mut child = self.command().spawn().expect("the plugin starts");
        feed(&mut child, self.config.to_string().as_bytes());
        child
    }

    pub(crate) fn run(&self) -> Ran {
        Ran::of(self.spawn())
    }

    /// With any bytes for a configuration.
    pub(crate) fn run_on(&self, stdin: &[u8]) -> Ran {
        let mut child = self.command().spawn().expect("the plugin starts");
        feed(&mut child, stdin);
        Ran::of(child)
    }
}

/// A plugin that fails early does not read all of it.
fn feed(child: &mut Child, stdin: &[u8]) {
    let _ = child.stdin.take().expect("a pipe").write_all(stdin);
}

impl Ran {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("the plugin ends");
        Ran {
            status: output.status,
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Success with exactly one JSON document on stdout.
    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        assert!(self.status.success(), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Success with nothing on stdout.
    #[track_caller]
    pub(crate) fn silent_success(&self) {
        assert!(self.status.success() && self.stdout.is_empty(), "{self:?}");
    }

    /// Exit status 1 and an error object of the specification on stdout: `code`, `msg` with
    /// every one of `words`, nothing on stderr.
    #[track_caller]
    pub(crate) fn error(&self, code: u64, words: &[&str]) -> Value {
        assert_eq!(self.status.code(), Some(1), "{self:?}");
        let error: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout must be an error object: {error}: {self:?}"));
        assert_eq!(error["code"], code, "{self:?}");
        assert!(error["cniVersion"].is_string(), "{self:?}");
        let text = format!(
            "{} {}",
            error["msg"].as_str().expect("msg"),
            error["details"].as_str().unwrap_or("")
        );
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
        assert_eq!(self.stderr, "", "{self:?}");
        error
    }
}

/// A file that stands for a network namespace; the plugin looks whether it is there and not its
/// own, no more.
pub(crate) fn netns() -> &'static str {
    static FILE: OnceLock<String> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("netns-of-c1");
        std::fs::write(&path, "").expect("a file for the namespace");
        path.to_str().expect("UTF-8").to_owned()
    })
}

/// What ADD printed for [`attachment`](crate::scripted_agent::attachment) in `version`.
pub(crate) fn prev_result(version: &str) -> Value {
    let mut interfaces = json!([
        {"name": "sl0123456789ab"},
        {"name": "eth0", "mac": "0a:58:0a:f4:01:05", "sandbox": netns()},
    ]);
    let mut ips = json!([
        {"address": "10.244.1.5/32", "gateway": "169.254.1.1", "interface": 1},
        {"address": "fd00:10:244:1::5/128", "gateway": "fe80::1", "interface": 1},
    ]);
    if version == "1.1.0" {
        for interface in interfaces.as_array_mut().expect("a list") {
            interface["mtu"] = 1450.into();
        }
    }
    if version.starts_with("0.") {
        ips[0]["version"] = "4".into();
        ips[1]["version"] = "6".into();
    }
    json!({
        "cniVersion": version,
        "interfaces": interfaces,
        "ips": ips,
        "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0", "gw": "fe80::1"}],
        "dns": {},
    })
}
