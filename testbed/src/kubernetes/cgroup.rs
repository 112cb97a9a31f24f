//! Control groups: every process of a Kubernetes node and of the control plane is in one named after
//! its place, so that all of them are found again, whoever started them and whatever they started.
//!
//! Works on both generations of control groups. Must not know what the processes are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use crate::process::Process;
use crate::run;

const ROOT: &str = "/sys/fs/cgroup";
/// The hierarchy of the first generation whose only task is to say who belongs where.
const MEMBERS: &str = "pids";
/// How long killed processes get to be gone.
const END: Duration = Duration::from_secs(20);

/// Whether this machine has control groups of the second generation only.
fn unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The hierarchies there are, each a folder.
fn hierarchies() -> Vec<PathBuf> {
    if unified() {
        return vec![PathBuf::from(ROOT)];
    }
    folders(Path::new(ROOT))
}

fn folders(path: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            // Hierarchies that share a mount have links as second names.
            entry.file_type().ok()?.is_dir().then(|| entry.path())
        })
        .collect()
}

/// Makes the group of a place and returns the file by which a process joins it: `echo 0 >FILE`.
///
/// # Errors
/// When control groups cannot be written, as in a container without rights to them.
pub fn create(place: &str) -> Result<PathBuf> {
    let base = if unified() {
        PathBuf::from(ROOT)
    } else {
        Path::new(ROOT).join(MEMBERS)
    };
    // Daemons have a leaf of their own beside the pods': the second generation wants processes in leaves only.
    let dir = base.join(place).join("daemons");
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("cannot make the control group {}", dir.display()))?;
    Ok(dir.join("cgroup.procs"))
}

/// The group below which the pods of a place belong, as the kubelet names it.
pub fn pods(place: &str) -> String {
    format!("/{place}/pods")
}

/// Processes in the groups of some places and below.
pub fn processes<S: AsRef<str>>(places: &[S]) -> Vec<Process> {
    members(&trees_of(places))
}

/// Kills whatever is in the groups of some places, and removes them.
///
/// # Errors
/// When a process does not end.
pub fn remove<S: AsRef<str>>(places: &[S]) -> Result<()> {
    remove_all(&trees_of(places))
}

/// Kills whatever is in the groups whose name begins with `prefix`, and removes them.
///
/// # Errors
/// When a process does not end.
pub fn remove_prefix(prefix: &str) -> Result<()> {
    let named = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(prefix))
    };
    let all = hierarchies()
        .into_iter()
        .flat_map(|hierarchy| folders(&hierarchy));
    remove_all(&all.filter(named).collect::<Vec<_>>())
}

fn remove_all(trees: &[PathBuf]) -> Result<()> {
    if trees.is_empty() {
        return Ok(());
    }
    run::wait_for("killed processes to end", END, || {
        let left = members(trees);
        for process in &left {
            process.signal(Signal::SIGKILL);
        }
        Ok(left.is_empty().then_some(()))
    })?;
    // A group that held a process stays busy for a moment after the process has gone.
    run::wait_for("control groups to be removed", END, || {
        for tree in trees {
            prune(tree);
        }
        Ok(trees.iter().all(|tree| !tree.exists()).then_some(()))
    })
}

/// The folders of some places, in every hierarchy that has them.
fn trees_of<S: AsRef<str>>(places: &[S]) -> Vec<PathBuf> {
    hierarchies()
        .iter()
        .flat_map(|hierarchy| places.iter().map(|place| hierarchy.join(place.as_ref())))
        .filter(|path| path.exists())
        .collect()
}

/// Every living process below some folders, once.
fn members(trees: &[PathBuf]) -> Vec<Process> {
    let mut pids = BTreeSet::new();
    let mut todo = trees.to_vec();
    while let Some(path) = todo.pop() {
        let text = std::fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
        pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
        todo.extend(folders(&path));
    }
    pids.into_iter()
        .filter_map(|pid| Process::of_pid(pid).ok())
        .filter(|process| process.alive())
        .collect()
}

/// Removes a folder and those in it, innermost first, as far as nobody is in them.
fn prune(path: &Path) {
    for inner in folders(path) {
        prune(&inner);
    }
    let _ = std::fs::remove_dir(path);
}
