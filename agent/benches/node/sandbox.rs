//! A network and mount namespace of the benchmark's own, with a `/run` of its own: daemons started
//! in it use their default paths and devices without meeting the machine's.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Moves this process into new namespaces. Must come before any thread is started.
///
/// # Errors
/// When not root.
pub(crate) fn enter() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("this needs root")?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), none)?;
    for folder in ["/run/netns", "/run/openvswitch", "/run/bench"] {
        std::fs::create_dir_all(folder)?;
    }
    run("ip", &["link", "set", "lo", "up"])?;
    Ok(())
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// With its stderr when it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
