//! Named network namespaces, as `ip netns` keeps them.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::process::Process;
use crate::run;

/// Where `ip netns` keeps its names.
pub const DIR: &str = "/run/netns";

/// The file that stands for a namespace; what is a path already stays that.
pub fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// Makes a namespace with its loopback up.
///
/// # Errors
/// When it exists already or cannot be made.
pub fn add(name: &str) -> Result<()> {
    run::sh("ip", ["netns", "add", name])?;
    run::sh("ip", ["-n", name, "link", "set", "lo", "up"])?;
    Ok(())
}

/// Ends whatever runs in a namespace and deletes it. One that is gone is no error.
///
/// # Errors
/// When a process does not end or the name cannot be removed.
pub fn delete(name: &str) -> Result<()> {
    if !path(name).exists() {
        return Ok(());
    }
    for process in processes(name) {
        process.stop()?;
    }
    run::sh("ip", ["netns", "del", name])?;
    Ok(())
}

/// The namespaces whose name begins with `prefix`.
pub fn list(prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(DIR)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

/// The processes in a namespace.
pub fn processes(name: &str) -> Vec<Process> {
    let pids = run::sh("ip", ["netns", "pids", name]).unwrap_or_default();
    pids.lines()
        .filter_map(|line| Process::of_pid(line.trim().parse().ok()?).ok())
        .collect()
}

/// Runs `work` on a thread of its own inside a namespace, which is given by name or by path.
///
/// A thread keeps the namespace it has entered, so none that serves anything else may enter one.
///
/// # Errors
/// When the namespace cannot be entered, and what `work` itself reports.
pub fn within<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<std::thread::JoinHandle<Result<T>>> {
    let file = File::open(path(name)).with_context(|| format!("no namespace {name}"))?;
    let name = name.to_owned();
    Ok(std::thread::spawn(move || {
        setns(&file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter {name}"))?;
        work()
    }))
}

/// Joins a thread of [`within`].
///
/// # Errors
/// What the thread reports, or that it panicked.
pub fn join<T>(thread: std::thread::JoinHandle<Result<T>>) -> Result<T> {
    thread.join().map_err(|_| anyhow!("a thread panicked"))?
}
