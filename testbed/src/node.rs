//! One node: where its programs run, and how they are reached from here.
//!
//! A node has a network namespace of its own. What would keep two Open vSwitch on one machine from
//! living side by side (run, database and log folders, sockets) lies in the node's folder, and every
//! command run on a node finds it through the environment.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::docker::Docker;
use crate::kubernetes::machine;
use crate::layout::{self, Name};
use crate::netns;
use crate::process::Process;
use crate::run;

/// How long a daemon gets to end once it was told to.
const END: Duration = Duration::from_secs(10);

/// What the node is made of.
#[derive(Clone, Debug)]
pub enum Host {
    /// A namespace, by name.
    Netns(String),
    /// A container, by name.
    Container(Docker, String),
}

/// A handle on a node; it owns nothing.
#[derive(Clone, Debug)]
pub struct Node {
    /// The testbed's name.
    pub testbed: Name,
    /// Number, from 1.
    pub number: u8,
    /// Where it lives.
    pub host: Host,
    /// Folder of the binaries as the node sees it.
    pub bin: PathBuf,
}

/// The daemons of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// The switch's database.
    Ovsdb,
    /// The switch.
    Vswitchd,
    /// Ours.
    Agent,
    /// The container runtime, in a Kubernetes testbed.
    Containerd,
    /// The kubelet, in a Kubernetes testbed.
    Kubelet,
}

impl Daemon {
    /// Name of its pidfile and log, without the ending.
    pub fn file(self) -> &'static str {
        match self {
            Self::Ovsdb => "ovsdb-server",
            Self::Vswitchd => "ovs-vswitchd",
            Self::Agent => "sluice-agent",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
        }
    }
}

impl Node {
    /// Name of the node, as the cluster knows it.
    pub fn name(&self) -> String {
        layout::node_name(self.number)
    }

    /// The node's folder; it has the same path inside the node.
    pub fn dir(&self) -> PathBuf {
        self.testbed.node_dir(self.number)
    }

    /// The agent's socket.
    pub fn agent_socket(&self) -> PathBuf {
        self.dir().join("agent.sock")
    }

    /// The network configuration list that the agent writes.
    pub fn conflist(&self) -> PathBuf {
        self.dir().join("net.d/10-sluice.conflist")
    }

    /// The database's socket as `ovs-vsctl --db` takes it.
    pub fn ovsdb(&self) -> String {
        format!("unix:{}", self.dir().join("db.sock").display())
    }

    /// A daemon's log.
    pub fn log(&self, daemon: Daemon) -> PathBuf {
        self.dir().join(format!("{}.log", daemon.file()))
    }

    fn pidfile(&self, daemon: Daemon) -> PathBuf {
        self.dir().join(format!("{}.pid", daemon.file()))
    }

    fn environment(&self) -> Vec<String> {
        let dir = self.dir();
        let dir = dir.display();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        vec![
            format!("PATH={}:{path}", self.bin.display()),
            format!("OVS_RUNDIR={dir}"),
            format!("OVS_DBDIR={dir}"),
            format!("OVS_LOGDIR={dir}"),
            format!("SLUICE_SOCKET={}", self.agent_socket().display()),
            // A backtrace costs a daemon time that a measurement would see.
            "RUST_BACKTRACE=0".to_owned(),
        ]
    }

    fn enter(&self, tty: bool) -> Vec<String> {
        let mut words: Vec<String> = match &self.host {
            Host::Netns(name) => {
                let mut words = vec![
                    "nsenter".into(),
                    format!("--net={}", netns::path(name).display()),
                ];
                words.extend(machine::mounts(self).map(|path| format!("--mount={path}")));
                words.push("--".into());
                words
            }
            Host::Container(docker, name) => {
                let mut words = docker.words();
                words.extend([
                    "exec".into(),
                    if tty { "-it" } else { "-i" }.into(),
                    name.clone(),
                ]);
                words
            }
        };
        words.push("env".into());
        words.extend(self.environment());
        words
    }

    fn build<S: AsRef<str>>(
        &self,
        tty: bool,
        inside: &[String],
        program: &str,
        args: &[S],
    ) -> Command {
        let words = self.enter(tty);
        // `env` runs what follows it, so that one constructor serves both kinds of host.
        let mut command = run::command("env", words);
        command.args(inside).arg(program);
        command.args(args.iter().map(AsRef::as_ref));
        command
    }

    /// A command that runs on the node.
    pub fn command<S: AsRef<str>>(&self, program: &str, args: &[S]) -> Command {
        self.build(false, &[], program, args)
    }

    /// A command that runs in a pod of the node.
    pub fn pod_command<S: AsRef<str>>(&self, pod: &str, program: &str, args: &[S]) -> Command {
        self.build(false, &self.enter_pod(pod), program, args)
    }

    /// A command for a person: with a terminal if there is one, on the node or in a pod of it.
    pub fn interactive<S: AsRef<str>>(
        &self,
        pod: Option<&str>,
        program: &str,
        args: &[S],
    ) -> Command {
        let tty = std::io::IsTerminal::is_terminal(&std::io::stdin());
        let inside = pod.map(|pod| self.enter_pod(pod)).unwrap_or_default();
        let mut command = self.build(tty, &inside, program, args);
        command.stdin(std::process::Stdio::inherit());
        command
    }

    /// A pod's network namespace as [`netns::within`] takes it, whatever the node is made of.
    ///
    /// # Errors
    /// When the node is a container that does not run.
    pub fn pod_netns(&self, pod: &str) -> Result<String> {
        let name = self.testbed.pod(self.number, pod);
        Ok(match &self.host {
            Host::Netns(_) => name,
            Host::Container(docker, container) => {
                let inside = netns::path(&name);
                format!("/proc/{}/root{}", docker.pid(container)?, inside.display())
            }
        })
    }

    fn enter_pod(&self, pod: &str) -> Vec<String> {
        let path = netns::path(&self.testbed.pod(self.number, pod));
        vec![
            "nsenter".into(),
            format!("--net={}", path.display()),
            "--".into(),
        ]
    }

    /// Runs a command on the node; it must succeed.
    ///
    /// # Errors
    /// As [`run::stdout`].
    pub fn sh<S: AsRef<str>>(&self, program: &str, args: &[S]) -> Result<String> {
        run::stdout(&mut self.command(program, args))
            .with_context(|| format!("on node {}", self.name()))
    }

    /// Runs a command in a pod; it must succeed.
    ///
    /// # Errors
    /// As [`run::stdout`].
    pub fn pod_sh<S: AsRef<str>>(&self, pod: &str, program: &str, args: &[S]) -> Result<String> {
        run::stdout(&mut self.pod_command(pod, program, args))
            .with_context(|| format!("in pod {pod} of node {}", self.name()))
    }

    /// Runs a shell script on the node; one process here for many there.
    ///
    /// # Errors
    /// As [`run::stdout`].
    pub fn script(&self, text: &str) -> Result<String> {
        self.sh("sh", &["-euc", text])
    }

    /// Starts a daemon that does not put itself in the background, and notes its process id.
    ///
    /// # Errors
    /// When it cannot be started at all.
    pub fn spawn(&self, daemon: Daemon, program: &str, args: &[String]) -> Result<()> {
        let group = machine::group(self).map(|file| format!("echo 0 >{}; ", file.display()));
        let script = format!(
            "{group}echo $$ >{pidfile}.new; mv {pidfile}.new {pidfile}; exec \"$@\" >>{log} 2>&1 </dev/null",
            group = group.unwrap_or_default(),
            pidfile = self.pidfile(daemon).display(),
            log = self.log(daemon).display(),
        );
        let _ = std::fs::remove_file(self.pidfile(daemon));
        let mut words = vec!["--fork", "sh", "-c", &script, "sh", program];
        words.extend(args.iter().map(String::as_str));
        self.sh("setsid", &words)?;
        run::wait_for(daemon.file(), END, || {
            Ok(self.pidfile(daemon).exists().then_some(()))
        })
    }

    /// A daemon's process id, as the node numbers processes.
    ///
    /// # Errors
    /// When it has never been started.
    pub fn pid(&self, daemon: Daemon) -> Result<i32> {
        let path = self.pidfile(daemon);
        std::fs::read_to_string(&path)
            .with_context(|| format!("{} does not run on {}", daemon.file(), self.name()))?
            .trim()
            .parse()
            .with_context(|| format!("no process id in {}", path.display()))
    }

    /// A daemon as a process of this machine; only for nodes that are namespaces.
    pub fn process(&self, daemon: Daemon) -> Option<Process> {
        match self.host {
            Host::Netns(_) => Process::of_pid(self.pid(daemon).ok()?).ok(),
            Host::Container(..) => None,
        }
    }

    /// Whether a daemon runs.
    pub fn runs(&self, daemon: Daemon) -> bool {
        let Ok(pid) = self.pid(daemon) else {
            return false;
        };
        match self.host {
            Host::Netns(_) => Process::of_pid(pid).is_ok_and(Process::alive),
            Host::Container(..) => self.sh("kill", &["-0", &pid.to_string()]).is_ok(),
        }
    }

    /// Ends a daemon by a signal (`TERM`, `KILL`) and waits until it has gone.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn end(&self, daemon: Daemon, signal: &str) -> Result<()> {
        let pid = self.pid(daemon)?;
        self.sh("kill", &[&format!("-{signal}"), &pid.to_string()])?;
        run::wait_for(
            &format!("{} of {} to end", daemon.file(), self.name()),
            END,
            || Ok((!self.runs(daemon)).then_some(())),
        )?;
        let _ = std::fs::remove_file(self.pidfile(daemon));
        Ok(())
    }

    /// The last lines of a daemon's log.
    pub fn log_tail(&self, daemon: Daemon, lines: usize) -> String {
        tail(&self.log(daemon), lines)
    }
}

/// The last lines of a file; empty when there is none.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n")
}
