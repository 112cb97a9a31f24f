//! Processes that outlive the program that started them, known by process id and start time.
//!
//! A process id alone may belong to somebody else by the time it is used; with the start time it cannot.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::run;

/// How long a process gets to end by itself after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// One process on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`.
    pub started: u64,
}

impl Process {
    /// The process that has this id now.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_pid(pid: i32) -> Result<Self> {
        let (_, started) = stat(pid).with_context(|| format!("no process {pid}"))?;
        Ok(Self { pid, started })
    }

    /// The process named by a pidfile.
    ///
    /// # Errors
    /// When the file or the process is missing.
    pub fn of_pidfile(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("no pidfile {}", path.display()))?;
        let pid = text
            .trim()
            .parse()
            .with_context(|| format!("no process id in {}", path.display()))?;
        Self::of_pid(pid)
    }

    /// This very process.
    ///
    /// # Errors
    /// When `/proc` is not readable.
    pub fn current() -> Result<Self> {
        Self::of_pid(i32::try_from(std::process::id())?)
    }

    /// Whether it still runs, any thread of it. One that has ended but whose parent has not asked yet
    /// does not: it holds no file any more.
    pub fn alive(self) -> bool {
        match stat(self.pid) {
            Some((state, started)) if started == self.started => {
                !matches!(state, 'Z' | 'X') || threads(self.pid) > 1
            }
            _ => false,
        }
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(self, signal: Signal) {
        if self.alive() {
            // It may end between the look and the signal; then there is nothing left to do.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it has not after `limit`.
    pub fn wait_gone(self, limit: Duration) -> Result<()> {
        run::wait_for(&format!("process {} to end", self.pid), limit, || {
            Ok((!self.alive()).then_some(()))
        })
    }

    /// SIGTERM, and SIGKILL for one that does not heed it.
    ///
    /// # Errors
    /// When even that does not end it.
    pub fn stop(self) -> Result<()> {
        self.signal(Signal::SIGTERM);
        if self.wait_gone(GRACE).is_err() {
            self.signal(Signal::SIGKILL);
            self.wait_gone(GRACE)?;
        }
        Ok(())
    }
}

/// Starts a daemon in a process group of its own, output appended to `log`.
///
/// # Errors
/// When it cannot be started.
pub fn spawn(command: &mut Command, log: &Path) -> Result<Process> {
    let out = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run `{}`", run::describe(command)))?;
    Process::of_pid(i32::try_from(child.id())?)
}

/// Threads there are, the first included even when it has ended before the others.
fn threads(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// State letter and start time.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold blanks and brackets; what follows the last one is regular.
    let rest = text.get(text.rfind(')')? + 1..)?;
    let mut words = rest.split_whitespace();
    let state = words.next()?.chars().next()?;
    let started = words.nth(18)?.parse().ok()?;
    Some((state, started))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_id_and_start_time() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep runs");
        let process = Process::of_pid(i32::try_from(child.id()).expect("fits")).expect("it runs");
        assert!(process.alive());
        let other = Process {
            started: process.started + 1,
            ..process
        };
        assert!(!other.alive());
        other.signal(Signal::SIGKILL);
        assert!(
            process.alive(),
            "a signal for another process went to this one"
        );
        process.stop().expect("it ends");
        assert!(!process.alive());
        child.wait().expect("it can be waited for");
    }
}
