//! A virtual machine whose kernel has the Open vSwitch datapath, for machines whose own has not.
//!
//! QEMU emulates it in software, so it works where there is no hardware virtualisation, about ten
//! times slower than the machine itself. It boots Debian's cloud kernel into a root that is all in
//! memory; nothing of a run remains. It has no network.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::run::{self, step};
use crate::{cache, cluster, rootfs};

/// Where the guest has the programs.
const BIN: &str = "/opt/sluice/bin";
/// Where the guest has the test executables.
const TESTS: &str = "/opt/sluice/tests";

/// What to run in the guest, and within which bounds.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Memory in MiB.
    #[arg(long, default_value_t = 3072)]
    memory: u32,
    /// Seconds after which the guest is stopped.
    #[arg(long, default_value_t = 600)]
    limit: u64,
    /// Processors.
    #[arg(long, default_value_t = 2)]
    cpus: u8,
    /// A test executable to have at hand by its name under /opt/sluice/tests, which is on the PATH; may be repeated.
    #[arg(long, value_name = "FILE")]
    test: Vec<PathBuf>,
    /// The command; without one, `sluice-testbed demo --hosts netns --datapath system`.
    #[arg(last = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Boots, runs, streams what the command prints, and passes on its exit status.
///
/// # Errors
/// When a program or the root is missing, when the guest does not come up, or when the time is over.
pub fn run(options: &Options, bin: &Path) -> Result<ExitCode> {
    for program in ["qemu-system-x86_64", "cpio", "setpriv", "debootstrap"] {
        ensure!(
            cluster::installed(program),
            "{program} is not installed, and the guest needs it"
        );
    }
    let root = rootfs::ensure()?;
    let kernel = kernel(&root)?;
    let base = base(&root)?;
    let work = tempfile::tempdir_in(cache::dir()?)?;
    let initrd = work.path().join("initrd");
    overlay(options, bin, work.path())?;
    concatenate(&[&base, &work.path().join("overlay.cpio")], &initrd)?;
    boot(options, &kernel, &initrd, work.path())
}

fn kernel(root: &Path) -> Result<PathBuf> {
    fs::read_dir(root.join("boot"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
        })
        .with_context(|| format!("no kernel in {}", root.display()))
}

/// The root as an archive; uncompressed, since unpacking is what an emulated processor is slow at.
fn base(root: &Path) -> Result<PathBuf> {
    let archive = root.with_extension("cpio");
    if !archive.exists() {
        step("packing the guest's root (once)");
        let half = archive.with_extension(format!("cpio.{}", std::process::id()));
        pack(
            root,
            &half,
            "find . -path ./boot -prune -o -path './usr/lib/modules/*/kernel/fs' -prune -o -print0",
        )?;
        fs::rename(&half, &archive)?;
    }
    Ok(archive)
}

fn pack(dir: &Path, archive: &Path, find: &str) -> Result<()> {
    let script = format!("{find} | cpio --quiet -0 -o -H newc");
    let mut command = run::command("bash", ["-o", "pipefail", "-ec", script.as_str()]);
    command
        .current_dir(dir)
        .stdout(File::create(archive)?)
        .stderr(Stdio::piped());
    let output = command.spawn()?.wait_with_output()?;
    run::check(&command, &output)
}

/// What differs from run to run: the first process, the programs, the command.
fn overlay(options: &Options, bin: &Path, work: &Path) -> Result<()> {
    let tree = work.join("tree");
    let (bin_in, tests_in) = (inside(&tree, BIN), inside(&tree, TESTS));
    fs::create_dir_all(&bin_in)?;
    fs::create_dir_all(&tests_in)?;
    for program in ["sluice-agent", "sluicectl", "sluice-cni", "sluice-testbed"] {
        install(&bin.join(program), &bin_in.join(program))?;
    }
    for test in &options.test {
        let name = test
            .file_name()
            .context("a test executable has a file name")?
            .to_string_lossy();
        // Cargo appends a hash to the name that it was given in the manifest.
        let plain = match name.rsplit_once('-') {
            Some((plain, hash))
                if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                plain
            }
            _ => &name,
        };
        install(test, &tests_in.join(plain))?;
    }
    let default = [
        "sluice-testbed",
        "demo",
        "--hosts",
        "netns",
        "--datapath",
        "system",
    ]
    .map(str::to_owned);
    let command = if options.command.is_empty() {
        &default[..]
    } else {
        &options.command
    };
    executable(&tree.join("init"), &init(command))?;
    pack(&tree, &work.join("overlay.cpio"), "find . -print0")
}

fn inside(tree: &Path, path: &str) -> PathBuf {
    tree.join(path.trim_start_matches('/'))
}

/// Copies a program without its debug information, which the guest would hold in memory.
fn install(from: &Path, to: &Path) -> Result<()> {
    ensure!(from.exists(), "no {}", from.display());
    let stripped = run::command("strip", ["-o"]).arg(to).arg(from).status();
    if !stripped.is_ok_and(|status| status.success()) {
        fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

fn executable(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The guest's first process: the second serial line carries the command's output, the third its status.
fn init(command: &[String]) -> String {
    let mut words = String::new();
    for word in command {
        let _ = write!(words, " '{}'", word.replace('\'', r"'\''"));
    }
    format!(
        r#"#!/bin/bash
export PATH={BIN}:{TESTS}:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root SLUICE_BIN_DIR={BIN} SLUICE_TESTBED_DATAPATH=system
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /run; mount -t tmpfs tmpfs /tmp
mkdir -p /run/openvswitch /run/netns /dev/net /dev/pts; mount -t devpts devpts /dev/pts
for module in openvswitch vport-vxlan vport-geneve vport-gre tun veth macvlan bridge nf_tables nft_masq; do modprobe $module; done
ip link set lo up
# Open vSwitch 3.1 counts no cores, and so has no thread for packets, until its clock has passed ten seconds since the boot.
until read -r up _ </proc/uptime; [ "${{up%.*}}" -ge 11 ]; do sleep 0.2; done
stty -F /dev/ttyS1 raw -echo; stty -F /dev/ttyS2 raw -echo
cd /root
{words} </dev/null >/dev/ttyS1 2>&1 &
wait $!
echo "$?" >/dev/ttyS2
sync
echo o >/proc/sysrq-trigger
sleep 60
"#
    )
}

/// The kernel unpacks archives one after the other, later files replacing earlier ones.
fn concatenate(parts: &[&Path], to: &Path) -> Result<()> {
    let mut out = File::create(to)?;
    for part in parts {
        std::io::copy(&mut File::open(part)?, &mut out)?;
    }
    Ok(())
}

fn boot(options: &Options, kernel: &Path, initrd: &Path, work: &Path) -> Result<ExitCode> {
    step("booting the guest (about 15 s)");
    let console = work.join("console");
    let status = work.join("status");
    // Should this process be killed, the guest goes with it.
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "qemu-system-x86_64",
            "-accel",
            "tcg,thread=multi",
            "-cpu",
            "max",
        ])
        .args([
            "-smp",
            &options.cpus.to_string(),
            "-m",
            &options.memory.to_string(),
        ])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
        .args([
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
            "-nic",
            "none",
        ])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .args([
            "-chardev",
            "stdio,id=output,signal=off",
            "-serial",
            "chardev:output",
        ])
        .arg("-serial")
        .arg(format!("file:{}", status.display()))
        .stdin(Stdio::null());
    let mut guest = command.spawn().context("cannot run qemu-system-x86_64")?;
    let deadline = Instant::now() + Duration::from_secs(options.limit);
    let ended = loop {
        if let Some(ended) = guest.try_wait()? {
            break ended;
        }
        if Instant::now() >= deadline {
            guest.kill()?;
            guest.wait()?;
            bail!(
                "the guest was stopped after {} s; its console:\n{}",
                options.limit,
                crate::node::tail(&console, 20)
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let code = fs::read_to_string(&status).unwrap_or_default();
    match code.trim().parse::<u8>() {
        Ok(code) => {
            step(format!("the guest's command ended with status {code}"));
            Ok(ExitCode::from(code))
        }
        Err(_) => bail!(
            "the guest ended ({ended}) without a status; its console:\n{}",
            crate::node::tail(&console, 20)
        ),
    }
}
