//! The node's processes: database server, switch, agent. Children of this one, and killed by the
//! kernel should this one die.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::fmt;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sluice_rpc::method::CniStatus;
use sluice_rpc::{Client, DEFAULT_SOCKET, Deadline, StatusRequest};

use crate::sandbox::run;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
pub(crate) const OVSDB: &str = "/run/openvswitch/db.sock";
const PATIENCE: Duration = Duration::from_secs(60);

/// An amount of memory, printed in MB (10^6 bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kilobytes = u32::try_from(self.0 / 1_000).map_or(f64::INFINITY, f64::from);
        fmt::Display::fmt(&(kilobytes / 1e3), f)
    }
}

/// A running process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: &'static str,
    child: Child,
}

impl Daemon {
    /// Starts a program, whose output goes to a log of this name.
    ///
    /// # Errors
    /// When it cannot be started at all.
    pub(crate) fn start(name: &'static str, program: &str, arguments: &[&str]) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_path(name))?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {program}"))?;
        Ok(Daemon { name, child })
    }

    /// Resident memory.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn rss(&self) -> Result<Bytes> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(Bytes(kib << 10))
    }

    /// Processor time used, in user space and in the kernel.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("no stat")?;
        let ticks: u64 = fields
            .split(' ')
            .skip(11)
            .take(2)
            .map(|field| field.parse().unwrap_or(0u64))
            .sum();
        // A tick is a hundredth of a second to user space, on every machine.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Sends `signal` and waits for the end.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) fn end(mut self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?;
        wait_until(&format!("{} to end", self.name), || {
            Ok(self.child.try_wait()?.is_some())
        })
    }

    /// # Errors
    /// When it has ended, with the end of its log.
    pub(crate) fn running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let log = std::fs::read_to_string(log_path(self.name)).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(15).collect();
                bail!(
                    "{} ended with {status}; its last lines, newest first:\n{}",
                    self.name,
                    last.join("\n")
                )
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log_path(name: &str) -> String {
    format!("/run/bench/{name}.log")
}

/// Polls until `done`.
///
/// # Errors
/// After [`PATIENCE`], or what `done` says.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !done()? {
        if Instant::now() > deadline {
            bail!("waited {PATIENCE:?} for {what}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Database server and switch.
#[derive(Debug)]
pub(crate) struct Switch {
    vswitchd: Daemon,
    _ovsdb: Daemon,
}

impl Switch {
    /// # Errors
    /// When Open vSwitch is not installed or does not start.
    pub(crate) fn start() -> Result<Self> {
        let database = "/run/bench/conf.db";
        run("ovsdb-tool", &["create", database, SCHEMA])
            .context("Open vSwitch must be installed (package openvswitch-switch)")?;
        let remote = format!("--remote=punix:{OVSDB}");
        let ovsdb = Daemon::start(
            "ovsdb-server",
            "ovsdb-server",
            &[database, &remote, "-vconsole:warn"],
        )?;
        wait_until("ovsdb-server", || Ok(Path::new(OVSDB).exists()))?;
        run("ovs-vsctl", &["--no-wait", "init"])?;
        let vswitchd = Daemon::start(
            "ovs-vswitchd",
            "ovs-vswitchd",
            &["--pidfile", "-vconsole:warn"],
        )?;
        run(
            "ovs-vsctl",
            &[
                "--timeout=30",
                "set",
                "Open_vSwitch",
                ".",
                "external_ids:system-id=bench",
            ],
        )?;
        Ok(Switch {
            vswitchd,
            _ovsdb: ovsdb,
        })
    }

    /// Processor time that ovs-vswitchd used.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.vswitchd.cpu()
    }

    /// How often something happened in the switch since it started.
    ///
    /// # Errors
    /// When the switch does not answer.
    pub(crate) fn coverage(&self, counter: &str) -> Result<u64> {
        Ok(run("ovs-appctl", &["coverage/read-counter", counter])?
            .trim()
            .parse()?)
    }
}

/// The agent, release build, on the userspace datapath, its pods in 10.244.0.0/20.
#[derive(Debug)]
pub(crate) struct Agent {
    daemon: Daemon,
    /// From its start until it could serve an ADD.
    pub(crate) ready_after: Duration,
}

impl Agent {
    /// Starts it and waits until it says it can serve.
    ///
    /// # Errors
    /// When it ends or does not become ready.
    pub(crate) fn start(manifests: Option<&Path>) -> Result<Self> {
        let manifests = manifests.map(|folder| format!("--manifests={}", folder.display()));
        Self::start_with(manifests.as_deref())
    }

    /// Likewise, with its source of cluster state as an argument.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) fn start_with(source: Option<&str>) -> Result<Self> {
        let mut arguments = vec![
            "--node-name=bench",
            "--pod-cidrs=10.244.0.0/20,fd00:244::/112",
            "--datapath-type=netdev",
            "--conflist=/run/bench/sluice.conflist",
            "--log=warn",
        ];
        arguments.extend(source);
        let started = Instant::now();
        let mut daemon = Daemon::start(
            "sluice-agent",
            env!("CARGO_BIN_EXE_sluice-agent"),
            &arguments,
        )?;
        let mut said = String::new();
        wait_until("the agent to be ready", || {
            daemon.running()?;
            let status = Client::connect(Path::new(DEFAULT_SOCKET)).and_then(|mut client| {
                let request = StatusRequest {
                    network: "sluice".into(),
                };
                client.call::<CniStatus>(&request, Deadline::after(PATIENCE))
            });
            said = status
                .as_ref()
                .err()
                .map(ToString::to_string)
                .unwrap_or_default();
            Ok(status.is_ok())
        })
        .with_context(|| format!("the agent last said: {said}"))?;
        Ok(Agent {
            daemon,
            ready_after: started.elapsed(),
        })
    }

    /// See [`Daemon::rss`].
    pub(crate) fn rss(&self) -> Result<Bytes> {
        self.daemon.rss()
    }

    /// See [`Daemon::cpu`].
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.daemon.cpu()
    }

    /// See [`Daemon::end`].
    pub(crate) fn end(self, signal: Signal) -> Result<()> {
        self.daemon.end(signal)
    }

    /// The sum of a metric's samples that have `labels` in their text.
    ///
    /// # Errors
    /// When the agent does not answer, or has no such metric.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let mut stream = TcpStream::connect("127.0.0.1:9810")?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: bench\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let mut samples = text
            .lines()
            .filter(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with(['{', ' ']))
                    && line.contains(labels)
            })
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .peekable();
        samples
            .peek()
            .with_context(|| format!("no metric {name} with {labels:?} in:\n{text}"))?;
        Ok(samples.sum())
    }
}
