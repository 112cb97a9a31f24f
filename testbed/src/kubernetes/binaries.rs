//! The programs of Kubernetes: from a folder that somebody names, or built once from Go modules.
//!
//! Kubernetes is served as modules like any other: `k8s.io/kubernetes` and, for what its own `go.mod`
//! takes from `./staging`, modules of the same release. One `go.mod` for all programs, so that they share
//! what they compile. What is built lies outside the tree and outlives testbeds.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cluster::installed;
use crate::run::{self, step};

/// The release in use.
pub const VERSION: &str = "v1.36.2";
/// The version of its parts that are modules of their own.
const STAGING: &str = "v0.36.2";
/// What the module's content must hash to, as `go.sum` writes it.
const SUM: &str = "h1:qsCug7E1dMVO+rNuCENKG64Z7SVS/fTqDHGI1/NCmTg=";
/// The commit of the release, which the programs print as their own.
const COMMIT: &str = "24e2b02af5543d7910c2bb074c7264df5a8f0467";
/// The only Go that builds it right: with 1.27 the API's own description comes out malformed.
const GO: &str = "go1.26";
/// Names the folder with the programs.
pub const VARIABLE: &str = "SLUICE_KUBERNETES_BIN";

/// The release of etcd, which is that of the client in Kubernetes. Debian's is too old for streamed lists.
const ETCD_VERSION: &str = "v3.6.8";
/// The database.
const ETCD: &str = "etcd";

/// Each program, its package, and the minutes it takes from nothing on two cores.
const PROGRAMS: [(&str, &str, u8); 6] = [
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", 5),
    ("kubelet", "k8s.io/kubernetes/cmd/kubelet", 2),
    (
        "kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        1,
    ),
    ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler", 1),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl", 1),
    (ETCD, "go.etcd.io/etcd/server/v3", 1),
];

/// What no testbed runs: a benchmark compares with it.
const KUBE_PROXY: (&str, &str, u8) = ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy", 1);

/// kube-proxy of the same release: the one in the given folder, or else built now if it has not been.
///
/// # Errors
/// When there is no Go to build it with, or it fails.
pub fn kube_proxy() -> Result<PathBuf> {
    let given = std::env::var_os(VARIABLE).map(|dir| PathBuf::from(dir).join(KUBE_PROXY.0));
    if let Some(program) = given.filter(|program| program.exists()) {
        return Ok(program);
    }
    let dir = cache()?;
    build(&dir, &[KUBE_PROXY])?;
    Ok(dir.join(KUBE_PROXY.0))
}

/// The folder with the programs: the one that [`VARIABLE`] names, or the cache, filled now if it is not full.
///
/// # Errors
/// When a given folder lacks one, or when there is no Go to build them with, or it fails.
pub fn ensure() -> Result<PathBuf> {
    let given = std::env::var_os(VARIABLE).map(PathBuf::from);
    find(given.as_deref())
}

fn find(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(dir) = given {
        let mut missing = missing(dir);
        // One that is installed will do.
        missing.retain(|&name| name != ETCD || !installed(ETCD));
        ensure!(
            missing.is_empty(),
            "{} lacks {}: take it out of {VARIABLE} to have them built",
            dir.display(),
            missing.join(", ")
        );
        return Ok(dir.to_owned());
    }
    let dir = cache()?;
    if !missing(&dir).is_empty() {
        build(&dir, &PROGRAMS)?;
    }
    Ok(dir)
}

/// The database's program: the one in the folder, or the one that is installed.
pub fn etcd(dir: &Path) -> PathBuf {
    let own = dir.join(ETCD);
    if own.exists() {
        own
    } else {
        PathBuf::from(ETCD)
    }
}

/// Whether `ensure` would answer at once.
pub fn present() -> bool {
    let dir = std::env::var_os(VARIABLE).map(PathBuf::from);
    dir.or_else(|| cache().ok())
        .is_some_and(|dir| missing(&dir).is_empty())
}

fn missing(dir: &Path) -> Vec<&'static str> {
    let names = PROGRAMS.iter().map(|(name, ..)| *name);
    names.filter(|name| !dir.join(name).exists()).collect()
}

fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME says where built programs are kept")?;
    let dir = base.join(format!("sluice/kubernetes-{VERSION}"));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

fn build(dir: &Path, programs: &[(&str, &str, u8)]) -> Result<()> {
    // Two testbeds that come up at once build it once.
    let lock = File::create(dir.join(".lock"))?;
    lock.lock()?;
    let todo: Vec<_> = programs
        .iter()
        .filter(|(name, ..)| !dir.join(name).exists())
        .collect();
    if todo.is_empty() {
        return Ok(());
    }
    check_go()?;
    let minutes: u8 = todo.iter().map(|(.., minutes)| minutes).sum();
    step(format!(
        "building Kubernetes {VERSION} from its Go modules into {} (once; up to {minutes} minutes)",
        dir.display()
    ));
    let module = dir.join("module");
    write_module(&module)?;
    for (index, (name, package, _)) in todo.iter().enumerate() {
        let which = format!("{} of {}", index + 1, todo.len());
        compile(dir, &module, name, package, &which)?;
    }
    Ok(())
}

fn check_go() -> Result<()> {
    let instead = format!(
        "put one on the PATH, or name a folder that has {} in {VARIABLE}",
        PROGRAMS.map(|(name, ..)| name).join(", ")
    );
    ensure!(
        installed("go"),
        "building Kubernetes takes Go 1.26, and there is no `go` here: {instead}"
    );
    let version = run::sh("go", ["env", "GOVERSION"])?;
    let version = version.trim();
    ensure!(
        version == GO || version.starts_with(&format!("{GO}.")),
        "building Kubernetes takes Go 1.26, and `go` here is {version}: {instead}"
    );
    Ok(())
}

fn go(module: &Path, args: &[&str]) -> Command {
    let mut command = run::command("nice", ["go"]);
    command
        .args(args)
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-buildvcs=false")
        .env("GOTOOLCHAIN", "local");
    command
}

/// Writes the `go.mod` that makes Kubernetes a dependency of nothing but itself.
fn write_module(module: &Path) -> Result<()> {
    std::fs::create_dir_all(module)?;
    let start = "module sluice.invalid/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n";
    std::fs::write(module.join("go.mod"), start)?;
    let wanted = format!("k8s.io/kubernetes@{VERSION}");
    let text = run::stdout(&mut go(module, &["mod", "download", "-json", &wanted]))
        .context("cannot fetch the Go module of Kubernetes")?;
    let answer: Value = serde_json::from_str(&text)?;
    ensure!(
        answer["Sum"] == SUM,
        "{wanted} is not what it was: {} instead of {SUM}",
        answer["Sum"]
    );
    let theirs = answer["GoMod"].as_str().context("no go.mod was fetched")?;
    let theirs = std::fs::read_to_string(theirs)?;
    std::fs::write(
        module.join("go.mod"),
        format!("{start}{}", requires(&theirs)),
    )?;
    Ok(())
}

/// What is required, given Kubernetes' own `go.mod`.
fn requires(theirs: &str) -> String {
    let mut text = format!(
        "\nrequire (\n\tk8s.io/kubernetes {VERSION}\n\tgo.etcd.io/etcd/server/v3 {ETCD_VERSION}\n)\n\nreplace (\n"
    );
    for line in theirs.lines() {
        if let Some((part, _)) = line.trim().split_once(" => ./staging/") {
            text.push_str(&format!("\t{part} => {part} {STAGING}\n"));
        }
    }
    text.push_str(")\n");
    text
}

fn compile(dir: &Path, module: &Path, name: &str, target: &str, which: &str) -> Result<()> {
    let version = "k8s.io/component-base/version";
    let stamps = [
        ("gitVersion", VERSION),
        ("gitMajor", "1"),
        ("gitMinor", "36"),
        ("gitTreeState", "clean"),
        ("gitCommit", COMMIT),
    ];
    let mut flags = "-s -w".to_owned();
    for (key, value) in stamps {
        flags.push_str(&format!(" -X {version}.{key}={value}"));
    }
    // Beside and renamed: nobody starts half a program.
    let beside = dir.join(format!(".{name}.new"));
    let out = beside.display().to_string();
    let mut command = go(
        module,
        &[
            "build",
            "-mod=mod",
            "-trimpath",
            "-ldflags",
            &flags,
            "-o",
            &out,
            target,
        ],
    );
    let log = dir.join(format!("{name}.log"));
    let output = File::create(&log)?;
    let began = Instant::now();
    step(format!("{name} ({which})"));
    let mut child = command
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("cannot run go")?;
    let mut told = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if told.elapsed() >= Duration::from_secs(30) {
            told = Instant::now();
            step(format!("{name}: {} s so far", began.elapsed().as_secs()));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        bail!(
            "cannot build {name}; the end of {}:\n{}",
            log.display(),
            crate::node::tail(&log, 15)
        );
    }
    std::fs::rename(&beside, dir.join(name))?;
    let _ = std::fs::remove_file(log);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_staging_module_becomes_one_of_the_release() {
        let theirs = "require (\n\tk8s.io/api v0.0.0\n)\nreplace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\
                      \tk8s.io/client-go => ./staging/src/k8s.io/client-go\n\tother => example.org/other v1.0.0\n)\n";
        let text = requires(theirs);
        assert!(
            text.contains("\tk8s.io/api => k8s.io/api v0.36.2\n"),
            "{text}"
        );
        assert!(
            text.contains("\tk8s.io/client-go => k8s.io/client-go v0.36.2\n"),
            "{text}"
        );
        assert!(!text.contains("other"), "{text}");
    }

    #[test]
    fn a_given_folder_that_lacks_a_program_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("kubelet"), "").expect("written");
        let error = find(Some(dir.path())).expect_err("refused").to_string();
        assert!(
            error.contains("kube-apiserver") && !error.contains("kubelet"),
            "{error}"
        );
    }
}
