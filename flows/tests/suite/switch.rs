//! A real Open vSwitch for one test: ovsdb-server and ovs-vswitchd on the dummy datapath, in a directory of their
//! own, killed when dropped. It has no devices, needs no privileges and touches nothing of the machine.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_flows::pipeline::Table;

const DEADLINE: Duration = Duration::from_secs(30);
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

pub(crate) struct Switch {
    dir: tempfile::TempDir,
    vswitchd: Child,
    ovsdb: Child,
    appctl: BufReader<UnixStream>,
}

impl Drop for Switch {
    fn drop(&mut self) {
        for daemon in [&mut self.vswitchd, &mut self.ovsdb] {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

impl Switch {
    /// Starts one with bridge `br0`, its tables as the pipeline has them, and these ports; the one that `tunnel` names is a flow-based VXLAN port.
    pub(crate) fn start(ports: &[u32], tunnel: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        run(
            dir.path(),
            "ovsdb-tool",
            &["create", text(&at("conf.db")), SCHEMA],
        );
        let ovsdb = daemon(
            dir.path(),
            "ovsdb-server",
            &[
                text(&at("conf.db")),
                &format!("--remote=punix:{}", text(&at("db.sock"))),
                &format!("--unixctl={}", text(&at("db.ctl"))),
                "--verbose=off",
            ],
        );
        wait_for(&at("db.sock"));
        let vswitchd = daemon(
            dir.path(),
            "ovs-vswitchd",
            &[
                &format!("unix:{}", text(&at("db.sock"))),
                &format!("--unixctl={}", text(&at("vs.ctl"))),
                "--enable-dummy=override",
                "--disable-system",
                "--verbose=off",
            ],
        );
        wait_for(&at("vs.ctl"));

        let mut args = vec![
            format!("--db=unix:{}", text(&at("db.sock"))),
            format!("--timeout={}", DEADLINE.as_secs()),
        ];
        let mut say = |words: &str| args.extend(words.split_whitespace().map(str::to_owned));
        say(
            "add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure protocols=OpenFlow13",
        );
        for port in ports {
            let kind = if *port == tunnel {
                "vxlan options:remote_ip=flow options:key=flow"
            } else {
                "dummy"
            };
            say(&format!(
                "-- add-port br0 p{port} -- set interface p{port} ofport_request={port} type={kind}"
            ));
        }
        for table in Table::ALL {
            let (id, prefixes) = (table.id(), table.prefixes().join(","));
            let prefixes = if prefixes.is_empty() { "[]" } else { &prefixes };
            say(&format!(
                "-- --id=@t{id} create Flow_Table name={table} prefixes={prefixes}"
            ));
            say(&format!("-- set bridge br0 flow_tables:{id}=@t{id}"));
        }
        // Returns when ovs-vswitchd has done it.
        run(
            dir.path(),
            "ovs-vsctl",
            &args.iter().map(String::as_str).collect::<Vec<_>>(),
        );

        let appctl = BufReader::new(UnixStream::connect(at("vs.ctl")).unwrap());
        Self {
            dir,
            vswitchd,
            ovsdb,
            appctl,
        }
    }

    /// Where the bridge listens for OpenFlow.
    pub(crate) fn target(&self) -> String {
        format!("unix:{}", text(&self.dir.path().join("br0.mgmt")))
    }

    /// `ovs-ofctl COMMAND br0 ARGS`.
    pub(crate) fn ofctl(&self, options: &[&str], command: &str, args: &[&str]) -> String {
        let target = self.target();
        let all: Vec<&str> = ["-O", "OpenFlow13"]
            .iter()
            .chain(options)
            .chain(&[command, &target])
            .chain(args)
            .copied()
            .collect();
        run(self.dir.path(), "ovs-ofctl", &all)
    }

    /// Adds flows in the syntax of `ovs-ofctl`, all or none.
    pub(crate) fn add_flows(&self, flows: &str) {
        let file = self.dir.path().join("flows.txt");
        std::fs::write(&file, flows).unwrap();
        self.ofctl(&["--bundle"], "add-flows", &[text(&file)]);
    }

    /// Keeps what leaves by these ports, for [`Switch::left_by`].
    pub(crate) fn capture(&self, ports: &[u32]) {
        let database = format!("--db=unix:{}", text(&self.dir.path().join("db.sock")));
        for port in ports {
            let file = self.capture_file(*port);
            let option = format!("options:tx_pcap={}", text(&file));
            let name = format!("p{port}");
            run(
                self.dir.path(),
                "ovs-vsctl",
                &[&database, "set", "interface", &name, &option],
            );
        }
    }

    /// What has left by a port, as a file of libpcap.
    pub(crate) fn left_by(&self, port: u32) -> Vec<u8> {
        std::fs::read(self.capture_file(port)).unwrap()
    }

    fn capture_file(&self, port: u32) -> PathBuf {
        self.dir.path().join(format!("p{port}.pcap"))
    }

    /// `ovs-appctl METHOD PARAMS`, without starting a process.
    pub(crate) fn appctl(&mut self, method: &str, params: &[&str]) -> String {
        let request = json!({"id": 0, "method": method, "params": params});
        self.appctl
            .get_mut()
            .write_all(request.to_string().as_bytes())
            .unwrap();
        // A reply is one JSON document with no delimiter after it.
        let mut bytes = Vec::new();
        loop {
            let chunk = self.appctl.fill_buf().unwrap();
            assert!(!chunk.is_empty(), "ovs-vswitchd hung up");
            let n = chunk.len();
            bytes.extend_from_slice(chunk);
            self.appctl.consume(n);
            if let Ok(reply) = serde_json::from_slice::<Value>(&bytes) {
                assert!(
                    reply["error"].is_null(),
                    "{method} {params:?}: {}",
                    reply["error"]
                );
                return reply["result"].as_str().unwrap().to_owned();
            }
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn command(dir: &Path, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(dir).stdin(Stdio::null());
    command
        .env("OVS_RUNDIR", dir)
        .env("OVS_LOGDIR", dir)
        .env("OVS_DBDIR", dir);
    command
}

fn run(dir: &Path, program: &str, args: &[&str]) -> String {
    let output: Output = command(dir, program, args)
        .output()
        .unwrap_or_else(|e| panic!("{program} of Open vSwitch is needed for this test: {e}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn daemon(dir: &Path, program: &str, args: &[&str]) -> Child {
    command(dir, program, args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} of Open vSwitch is needed for this test: {e}"))
}

/// Waits until someone listens there.
fn wait_for(socket: &PathBuf) {
    let end = Instant::now() + DEADLINE;
    while UnixStream::connect(socket).is_err() {
        assert!(
            Instant::now() < end,
            "nobody listens on {}",
            socket.display()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
