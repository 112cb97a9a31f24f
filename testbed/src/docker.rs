//! Nodes as Docker containers: a daemon to run them, an image to run, and the containers.
//!
//! A Docker daemon that already runs is used and left alone. Where none runs, one is started with
//! folders, socket and pidfile of its own, and told to touch neither the machine's network nor its
//! packet filter; it is ended with the last testbed that uses it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cache;
use crate::layout::{Name, ROOT};
use crate::process::{self, Process};
use crate::rootfs;
use crate::run::{self, step};

/// The label on our containers; its value is the testbed's name.
const LABEL: &str = "sluice-testbed";
/// The image; the tag changes with what is in it.
const IMAGE: &str = "sluice-testbed:2";
/// Where a container finds the binaries.
pub const BIN: &str = "/opt/sluice/bin";
/// How the image is built where a registry answers.
const DOCKERFILE: &str = include_str!("../image/Dockerfile");
/// What the container itself runs: it waits, and reaps whatever daemons leave behind.
const INIT: &str = "trap 'exit 0' TERM; sleep infinity & while :; do wait; done";

/// A reachable Docker daemon.
#[derive(Clone, Debug)]
pub struct Docker {
    /// Its socket; without one, wherever `docker` looks by itself.
    socket: Option<PathBuf>,
}

impl Docker {
    /// The daemon that runs, ours or the machine's own.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self> {
        let ours = Self {
            socket: Some(dir().join("docker.sock")),
        };
        let machine = Self { socket: None };
        for docker in [ours, machine] {
            if docker.answers() {
                return Ok(docker);
            }
        }
        bail!("no Docker daemon answers")
    }

    /// The daemon that runs, or a new one.
    ///
    /// # Errors
    /// When none runs and none can be started.
    pub fn ensure() -> Result<Self> {
        if let Ok(docker) = Self::find() {
            return Ok(docker);
        }
        step("starting a Docker daemon (no bridge, no packet filter rules, folders of its own)");
        let dir = dir();
        std::fs::create_dir_all(&dir)?;
        let data = cache::dir()?.join("docker");
        let socket = dir.join("docker.sock");
        let mut command = Command::new("dockerd");
        command
            .arg("--data-root")
            .arg(data)
            .arg("--exec-root")
            .arg(dir.join("exec"))
            .arg("--pidfile")
            .arg(dir.join("docker.pid"))
            .arg("--host")
            .arg(format!("unix://{}", socket.display()))
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args([
                "--ip-forward=false",
                "--ip-masq=false",
                "--storage-driver=overlay2",
            ]);
        let log = dir.join("dockerd.log");
        let daemon = process::spawn(&mut command, &log)?;
        std::fs::write(dir.join("process.json"), serde_json::to_string(&daemon)?)?;
        let docker = Self {
            socket: Some(socket),
        };
        run::wait_for("the Docker daemon", Duration::from_secs(60), || {
            if !daemon.alive() {
                return Ok(Some(false));
            }
            Ok(docker.answers().then_some(true))
        })
        .and_then(|up| if up { Ok(docker) } else { bail!("it ended") })
        .with_context(|| format!("dockerd did not start:\n{}", crate::node::tail(&log, 8)))
    }

    fn answers(&self) -> bool {
        if self.socket.as_ref().is_some_and(|socket| !socket.exists()) {
            return false;
        }
        let mut command = self.command(&["version", "--format", "{{.Server.Version}}"]);
        run::output(&mut command).is_ok_and(|output| output.status.success())
    }

    /// `docker` and how to reach the daemon, for the front of a command line.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec!["docker".to_owned()];
        if let Some(socket) = &self.socket {
            words.extend(["--host".into(), format!("unix://{}", socket.display())]);
        }
        words
    }

    fn command(&self, args: &[&str]) -> Command {
        let words = self.words();
        let mut command = run::command("env", &words);
        command.args(args);
        command
    }

    fn sh(&self, args: &[&str]) -> Result<String> {
        run::stdout(&mut self.command(args))
    }

    /// Makes the image unless it is there.
    ///
    /// # Errors
    /// When neither a registry nor a Debian mirror answers.
    pub fn ensure_image(&self) -> Result<()> {
        if self.sh(&["image", "inspect", IMAGE]).is_ok() {
            return Ok(());
        }
        step("looking for a registry to build the node image from");
        let mut words = vec!["15".to_owned()];
        words.extend(self.words());
        words.extend(["pull", "--quiet", "debian:bookworm-slim"].map(str::to_owned));
        let pulled = run::output(&mut run::command("timeout", &words))?;
        if pulled.status.success() {
            step("building the node image from testbed/image/Dockerfile");
            let mut build = self.command(&["build", "--network", "host", "-t", IMAGE, "-"]);
            let output = run::with_input(&mut build, DOCKERFILE.as_bytes())?;
            if output.status.success() {
                return Ok(());
            }
            step("the build failed; making the image on the spot");
        } else {
            step("no registry answers; making the image on the spot");
        }
        self.import(&rootfs::ensure()?)
    }

    /// Makes the image from a root directory, without the kernel in it.
    fn import(&self, root: &Path) -> Result<()> {
        step("importing the node image");
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(root)
            .args([
                "--exclude=./boot",
                "--exclude=./usr/lib/modules",
                "--exclude=./var/cache/apt",
            ])
            .args(["-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run tar")?;
        let pipe = tar.stdout.take().context("tar has no output")?;
        let mut import = self.command(&["import", "-", IMAGE]);
        import.stdin(pipe);
        run::stdout(&mut import)?;
        let status = tar.wait()?;
        if !status.success() {
            bail!("tar of {} failed ({status})", root.display());
        }
        Ok(())
    }

    /// Starts a node's container, which has no network yet, and returns its first process.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn start_container(&self, name: &Name, node: u8, bin: &Path) -> Result<i32> {
        let host = name.host(node);
        let dir = name.node_dir(node).display().to_string();
        let manifests = name.manifests().display().to_string();
        self.sh(&[
            "run",
            "--detach",
            "--name",
            &host,
            "--hostname",
            &crate::layout::node_name(node),
            "--label",
            &format!("{LABEL}={}", name.as_str()),
            "--network",
            "none",
            "--cgroupns",
            "host",
            "--cap-add",
            "NET_ADMIN",
            "--cap-add",
            "SYS_ADMIN",
            "--cap-add",
            "SYS_NICE",
            "--cap-add",
            "IPC_LOCK",
            "--cap-add",
            "SYS_PTRACE",
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "apparmor=unconfined",
            // The agent turns forwarding on, and /proc/sys is read-only otherwise.
            "--security-opt",
            "systempaths=unconfined",
            // Docker turns IPv6 off where it gives no address.
            "--sysctl",
            "net.ipv6.conf.all.disable_ipv6=0",
            "--sysctl",
            "net.ipv6.conf.default.disable_ipv6=0",
            "--device",
            "/dev/net/tun",
            "--volume",
            &format!("{dir}:{dir}"),
            "--volume",
            &format!("{manifests}:{manifests}:ro"),
            "--volume",
            &format!("{}:{BIN}:ro", bin.display()),
            IMAGE,
            "bash",
            "-c",
            INIT,
        ])?;
        self.pid(&host)
    }

    /// The first process of a container, as this machine counts them.
    ///
    /// # Errors
    /// When there is no such container, or it does not run.
    pub fn pid(&self, container: &str) -> Result<i32> {
        let pid = self.sh(&["inspect", "--format", "{{.State.Pid}}", container])?;
        let pid = pid.trim().parse().ok().filter(|pid| *pid != 0);
        pid.with_context(|| format!("no process id for container {container}"))
    }

    /// Removes a container and all that runs in it.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn remove(&self, containers: &[String]) -> Result<()> {
        if containers.is_empty() {
            return Ok(());
        }
        let mut args = vec!["rm", "--force", "--volumes"];
        args.extend(containers.iter().map(String::as_str));
        self.sh(&args)?;
        Ok(())
    }

    /// The containers of a testbed.
    ///
    /// # Errors
    /// When Docker refuses.
    pub fn containers(&self, name: &Name) -> Result<Vec<String>> {
        let filter = format!("label={LABEL}={}", name.as_str());
        let names = self.sh(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"])?;
        Ok(names.lines().map(str::to_owned).collect())
    }
}

/// Folder of the daemon we start.
fn dir() -> PathBuf {
    Path::new(ROOT).join(".docker")
}

/// Ends the daemon we started, if nothing uses it any more.
///
/// # Errors
/// When it does not end.
pub fn stop_daemon() -> Result<()> {
    let file = dir().join("process.json");
    let Ok(text) = std::fs::read_to_string(&file) else {
        return Ok(());
    };
    if let Ok(docker) = Docker::find()
        && !docker.sh(&["ps", "--all", "--quiet"])?.trim().is_empty()
    {
        return Ok(());
    }
    let daemon: Process =
        serde_json::from_str(&text).context("cannot read which dockerd is ours")?;
    step("ending the Docker daemon that was started for testbeds");
    daemon.stop()?;
    // Docker makes these whatever it is told; another's have something in them and stay.
    for folder in [
        "/run/docker/plugins",
        "/run/docker",
        "/run/containerd/s",
        "/run/containerd",
    ] {
        let _ = std::fs::remove_dir(folder);
    }
    std::fs::remove_dir_all(dir()).context("cannot remove the Docker daemon's folder")
}
