//! The reference implementation as judge: `cnitool` drives the plugin through libcni.
//!
//! It is built by `go install` once and kept under `target/`. Where there is no Go, or it cannot
//! fetch the module, the test says so aloud and passes, unless `SLUICE_REQUIRE_GO` is set, as it
//! is in CI.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::runtime::{netns, prev_result};
use crate::scripted_agent::{ScriptedAgent, content};

const CNITOOL: &str = "github.com/containernetworking/cni/cnitool@v1.3.0";

#[test]
fn libcni_takes_results_of_every_version() {
    let Some(bench) = Bench::set_up() else { return };
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let agent = ScriptedAgent::start(content);
        bench.write_conflist(version, agent.socket());
        let added = bench.cnitool("add");
        assert!(added.status.success(), "{version}: {added:?}");
        let result: Value =
            serde_json::from_slice(&added.stdout).expect("libcni prints the result");
        let expected = prev_result(version);
        for key in ["cniVersion", "ips", "routes", "interfaces"] {
            assert_eq!(result[key], expected[key], "{version}: {key}");
        }
        if version != "0.3.1" {
            bench.succeeds("check");
        }
        bench.succeeds("del");
        bench.succeeds("del");
        bench.succeeds("status");
        bench.succeeds("add");
        bench.succeeds("gc");
        let methods: Vec<String> = agent.calls().into_iter().map(|call| call.method).collect();
        let expected: &[&str] = match version {
            "0.3.1" => &["cni_add", "cni_del", "cni_del", "cni_add", "cni_del"],
            "1.1.0" => &[
                "cni_add",
                "cni_check",
                "cni_del",
                "cni_del",
                "cni_status",
                "cni_add",
                "cni_del",
                "cni_gc",
            ],
            _ => &[
                "cni_add",
                "cni_check",
                "cni_del",
                "cni_del",
                "cni_add",
                "cni_del",
            ],
        };
        assert_eq!(methods, expected, "{version}");
    }
}

#[test]
fn libcni_reads_our_errors() {
    let Some(bench) = Bench::set_up() else { return };
    bench.write_conflist("1.1.0", Path::new("relative"));
    let failed = bench.cnitool("add");
    assert!(!failed.status.success());
    let stderr = String::from_utf8_lossy(&failed.stderr);
    assert!(
        stderr.contains("socket is \"relative\"; it must be an absolute path"),
        "{stderr}"
    );
}

struct Bench {
    cnitool: PathBuf,
    dir: tempfile::TempDir,
}

impl Bench {
    fn set_up() -> Option<Self> {
        let cnitool = cnitool()?;
        let dir = tempfile::tempdir().expect("a temporary directory");
        for sub in ["net.d", "bin", "lib"] {
            std::fs::create_dir(dir.path().join(sub)).expect("a directory");
        }
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_sluice-cni"),
            dir.path().join("bin/sluice-cni"),
        )
        .expect("a link to the plugin");
        Some(Bench { cnitool, dir })
    }

    fn write_conflist(&self, version: &str, socket: &Path) {
        let conflist = json!({
            "cniVersion": version,
            "name": "pods",
            "plugins": [{"type": "sluice-cni", "socket": socket, "timeout": 15}],
        });
        let path = self.dir.path().join("net.d/10-sluice.conflist");
        std::fs::write(path, conflist.to_string()).expect("the conflist");
    }

    /// libcni keeps results in /var/lib/cni and nowhere else, so it gets a /var/lib of its own.
    fn cnitool(&self, command: &str) -> Output {
        Command::new("unshare")
            .args([
                "--mount",
                "sh",
                "-c",
                r#"mount --bind "$1" /var/lib && shift && exec "$@""#,
                "sh",
            ])
            .arg(self.dir.path().join("lib"))
            .arg(&self.cnitool)
            .args([command, "pods", netns()])
            .env("NETCONFPATH", self.dir.path().join("net.d"))
            .env("CNI_PATH", self.dir.path().join("bin"))
            .env(
                "CNI_ARGS",
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0",
            )
            .process_group(0)
            .output()
            .expect("unshare runs")
    }

    #[track_caller]
    fn succeeds(&self, command: &str) {
        let output = self.cnitool(command);
        assert!(output.status.success(), "{command}: {output:?}");
    }
}

/// Builds cnitool once; both tests wait for the one that does.
fn cnitool() -> Option<PathBuf> {
    use std::sync::OnceLock;
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build_cnitool).clone()
}

fn build_cnitool() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cnitool-1.3.0");
    let binary = root.join("bin/cnitool");
    if binary.exists() {
        return Some(binary);
    }
    let built = Command::new("go")
        .args(["install", "-modcacherw", CNITOOL])
        .env("GOPATH", &root)
        .env_remove("GOBIN")
        .env("GOFLAGS", "")
        .stdin(Stdio::null())
        .output();
    let why = match built {
        Ok(output) if output.status.success() => return Some(binary),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => format!("cannot run go: {error}"),
    };
    assert!(
        std::env::var_os("SLUICE_REQUIRE_GO").is_none(),
        "no {CNITOOL}: {why}"
    );
    // Not eprintln!, which the test harness would keep to itself.
    let _ = writeln!(
        std::io::stderr(),
        "\n*** NOT TESTED against libcni: no {CNITOOL} ({})\n*** set SLUICE_REQUIRE_GO=1 to make this a failure",
        why.trim()
    );
    None
}
