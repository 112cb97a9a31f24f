//! A real ovsdb-server of a test's own, in a directory of its own, ended with the test.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ovsdb::{Client, Options, Remote};
use serde_json::Value as Json;
use tempfile::TempDir;

/// As long as anything in these tests may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Two tables whose rows a transaction changes together, with columns of every kind.
pub const SCHEMA: &str = r#"{
    "name": "Test", "version": "1.0.0",
    "tables": {
        "A": {"isRoot": true, "columns": {
            "name": {"type": "string"},
            "n": {"type": "integer"},
            "tags": {"type": {"key": "integer", "min": 0, "max": "unlimited"}},
            "ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
            "maybe": {"type": {"key": "string", "min": 0, "max": 1}},
            "load": {"type": {"key": "real", "min": 0, "max": "unlimited"}},
            "flag": {"type": "boolean"},
            "b": {"type": {"key": {"type": "uuid", "refTable": "B"}, "min": 0, "max": "unlimited"}}},
            "indexes": [["name"]]},
        "Ballast": {"isRoot": true, "columns": {
            "weight": {"type": {"key": "integer", "min": 0, "max": "unlimited"}}}},
        "B": {"columns": {
            "n": {"type": "integer"},
            "weak": {"type": {"key": {"type": "uuid", "refTable": "A", "refType": "weak"}, "min": 0, "max": 1}}}}}}"#;

pub struct Server {
    dir: TempDir,
    child: Option<Child>,
    extra: Vec<String>,
}

/// Runs a program of Open vSwitch. That it is missing is a failure, not a reason to skip.
pub fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|error| {
            panic!("cannot run {program}: {error}; these tests need Open vSwitch installed")
        })
}

fn run_ok(program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

impl Server {
    /// A standalone database of this schema, served on a unix socket.
    pub fn start(schema: &str) -> Self {
        Self::start_with(schema, false, &[])
    }

    /// A cluster of one, which keeps a history of transactions.
    pub fn start_cluster(schema: &str) -> Self {
        Self::start_with(schema, true, &[])
    }

    pub fn start_with(schema: &str, cluster: bool, extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("schema"), schema).unwrap();
        if cluster {
            let address = format!("unix:{}", path("raft"));
            run_ok(
                "ovsdb-tool",
                &["create-cluster", &path("db"), &path("schema"), &address],
            );
        } else {
            run_ok("ovsdb-tool", &["create", &path("db"), &path("schema")]);
        }
        let extra = extra.iter().map(|arg| (*arg).to_owned()).collect();
        let mut server = Self {
            dir,
            child: None,
            extra,
        };
        server.launch();
        server
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn socket(&self) -> PathBuf {
        self.path("sock")
    }

    pub fn remote(&self) -> Remote {
        Remote::Unix(self.socket())
    }

    pub fn client(&self) -> Client {
        Client::connect([self.remote()], quick())
    }

    pub fn launch(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = Command::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", self.text("sock")))
            .arg(format!("--unixctl={}", self.text("ctl")))
            .args(&self.extra)
            .arg(self.path("db"))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("cannot run ovsdb-server: {error}; these tests need Open vSwitch installed")
            });
        self.child = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            let exited = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(
                exited.is_none() && Instant::now() < deadline,
                "ovsdb-server: {}",
                self.log()
            );
            std::thread::yield_now();
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        self.appctl(&["exit"]);
        self.child.take().unwrap().wait().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn appctl(&self, args: &[&str]) -> String {
        let ctl = self.text("ctl");
        run_ok("ovs-appctl", &[&["-t", &ctl], args].concat())
    }

    pub fn ovsdb_client(&self, args: &[&str]) -> String {
        run_ok("ovsdb-client", args)
    }

    /// The whole database as `ovsdb-client dump` sees it: `{table: {uuid: {column: value}}}`.
    pub fn dump(&self, database: &str) -> Json {
        let remote = format!("unix:{}", self.text("sock"));
        let text = self.ovsdb_client(&["--format=json", "dump", &remote, database]);
        parse_dump(&text)
    }
}

pub fn parse_dump(text: &str) -> Json {
    let mut tables = serde_json::Map::new();
    for table in serde_json::Deserializer::from_str(text).into_iter::<Json>() {
        let table = table.unwrap();
        let name = table["caption"]
            .as_str()
            .unwrap()
            .trim_end_matches(" table")
            .to_owned();
        let headings: Vec<&str> = table["headings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|h| h.as_str().unwrap())
            .collect();
        let mut rows = serde_json::Map::new();
        for row in table["data"].as_array().unwrap() {
            let mut cells: BTreeMap<&str, &Json> = headings
                .iter()
                .copied()
                .zip(row.as_array().unwrap())
                .collect();
            let uuid = cells.remove("_uuid").unwrap()[1]
                .as_str()
                .unwrap()
                .to_owned();
            let cells = cells
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.clone()))
                .collect();
            rows.insert(uuid, Json::Object(cells));
        }
        tables.insert(name, Json::Object(rows));
    }
    Json::Object(tables)
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("log of ovsdb-server:\n{}", self.log());
        }
    }
}

/// Reconnects without the long pauses of the defaults.
pub fn quick() -> Options {
    Options {
        backoff_min: Duration::from_millis(2),
        backoff_max: Duration::from_millis(50),
        request_timeout: PATIENCE,
        ..Options::default()
    }
}

/// Numbers from a seed: splitmix64.
pub struct Random(u64);

impl Random {
    /// From `OVSDB_SEED`, or from the clock; printed, so that a failure can be had again.
    pub fn seeded(what: &str) -> Self {
        let seed = match std::env::var("OVSDB_SEED") {
            Ok(seed) => seed.parse().expect("OVSDB_SEED is a number"),
            Err(_) => {
                let now = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap();
                u64::try_from(now.as_nanos() % u128::from(u64::MAX)).unwrap()
            }
        };
        println!("{what}: OVSDB_SEED={seed}");
        Self(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `n`.
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.bits() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    pub fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

pub fn exists(path: &Path) -> bool {
    path.exists()
}
