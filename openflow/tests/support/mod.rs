//! Runs a private Open vSwitch with a dummy datapath: real ovsdb-server, real ovs-vswitchd, no devices, no root
//! needed for the datapath, everything in a temporary directory.
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Switch {
    dir: TempDir,
    ovsdb: Child,
    vswitchd: Child,
}

fn tool(name: &str) -> PathBuf {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed: these tests need Open vSwitch"))
}

impl Switch {
    /// Starts both daemons and makes a bridge `br0` that speaks OpenFlow 1.3 (and what else `protocols` says).
    pub fn start() -> Switch {
        Self::with_protocols("OpenFlow13,OpenFlow15")
    }

    pub fn with_protocols(protocols: &str) -> Switch {
        let dir = tempfile::Builder::new()
            .prefix("ofsw")
            .tempdir()
            .expect("a temporary directory");
        let schema = [
            "/usr/share/openvswitch/vswitch.ovsschema",
            "/usr/local/share/openvswitch/vswitch.ovsschema",
        ]
        .into_iter()
        .find(|p| Path::new(p).exists())
        .expect("vswitch.ovsschema is not installed: these tests need Open vSwitch");
        let db = dir.path().join("conf.db");
        let made = Command::new(tool("ovsdb-tool"))
            .arg("create")
            .arg(&db)
            .arg(schema)
            .status()
            .expect("ovsdb-tool runs");
        assert!(made.success(), "ovsdb-tool create failed");
        let ovsdb = Self::daemon(dir.path(), "ovsdb-server")
            .arg(&db)
            .arg(format!("--remote=punix:{}/db.sock", dir.path().display()))
            .spawn()
            .expect("ovsdb-server starts");
        let vswitchd = Self::spawn_vswitchd(dir.path());
        let switch = Switch {
            dir,
            ovsdb,
            vswitchd,
        };
        wait_for("db.sock", || switch.path("db.sock").exists());
        switch.vsctl(&["--no-wait", "init"]);
        switch.vsctl(&[
            "add-br",
            "br0",
            "--",
            "set",
            "bridge",
            "br0",
            "datapath_type=dummy",
            "fail-mode=secure",
            &format!("protocols={protocols}"),
            "other-config:datapath-id=00000000000000a1",
            "other-config:hwaddr=aa:55:aa:55:00:00",
        ]);
        wait_for("br0.mgmt", || switch.path("br0.mgmt").exists());
        switch
    }

    fn daemon(dir: &Path, name: &str) -> Command {
        let mut command = Command::new(tool(name));
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, dir);
        }
        command
            .arg("--no-chdir")
            .arg(format!("--pidfile={}/{name}.pid", dir.display()))
            .arg(format!("--log-file={}/{name}.log", dir.display()))
            .arg("-vconsole:off")
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn spawn_vswitchd(dir: &Path) -> Child {
        Self::daemon(dir, "ovs-vswitchd")
            .args(["--enable-dummy=override", "--disable-system"])
            .arg(format!("unix:{}/db.sock", dir.display()))
            .spawn()
            .expect("ovs-vswitchd starts")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn target(&self) -> String {
        format!("unix:{}", self.path("br0.mgmt").display())
    }

    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(tool(name));
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"] {
            command.env(variable, self.dir.path());
        }
        command.current_dir(self.dir.path());
        command
    }

    pub fn vsctl(&self, args: &[&str]) -> String {
        let db = format!("--db=unix:{}", self.path("db.sock").display());
        output(self.command("ovs-vsctl").arg(db).args(args))
    }

    pub fn ofctl(&self, args: &[&str]) -> String {
        output(
            self.command("ovs-ofctl")
                .args(["-O", "OpenFlow13"])
                .args(args),
        )
    }

    pub fn appctl(&self, args: &[&str]) -> String {
        let socket = self.path(&format!("ovs-vswitchd.{}.ctl", self.vswitchd.id()));
        output(self.command("ovs-appctl").arg("-t").arg(socket).args(args))
    }

    /// Ends ovs-vswitchd with SIGKILL, without starting another.
    pub fn kill(&mut self) {
        self.vswitchd.kill().expect("ovs-vswitchd can be killed");
        self.vswitchd.wait().expect("ovs-vswitchd ends");
        let _ = std::fs::remove_file(self.path("br0.mgmt"));
    }

    pub fn revive(&mut self) {
        self.vswitchd = Self::spawn_vswitchd(self.dir.path());
        wait_for("br0.mgmt", || self.path("br0.mgmt").exists());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("ovs-vswitchd.log")).unwrap_or_default()
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for child in [&mut self.vswitchd, &mut self.ovsdb] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn output(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Polls `condition` until it holds; panics with `what` when patience ends.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As [`wait_for`], without blocking the runtime.
pub async fn wait_for_async(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
