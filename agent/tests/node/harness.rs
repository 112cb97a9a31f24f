//! A node for one test: a network namespace with its own database server, switch and agent, and
//! namespaces of pods. Everything is ended and removed when the values are dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sluice_rpc::method::{
    CniAdd, CniCheck, CniDel, CniGc, CniStatus, Method, Pods, Status, Verify,
};
use sluice_rpc::report::Empty;
use sluice_rpc::{
    AddRequest, AddResult, Attachment, CheckRequest, CheckResult, Client, ClientError, CniError,
    Deadline, DelRequest, DelResult, GcRequest, GcResult, PodRef, PodsReport, StatusReport,
    StatusRequest, VerifyReport,
};

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
const PATIENCE: Duration = Duration::from_secs(60);
static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) const BRIDGE: &str = "br-sluice";
pub(crate) const NETWORK: &str = "sluice";

/// Runs a command to its end; panics with what it said if it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = output(program, arguments);
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn output(program: &str, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}, which this test needs: {error}"))
}

/// Looks again and again until `look` finds something.
pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that ends with the test.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("a running process");
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> std::process::ExitStatus {
        self.0.wait().expect("waited")
    }

    pub(crate) fn kill(self) {
        self.signal(Signal::SIGKILL);
        self.ended();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// A network namespace with a name.
pub(crate) struct Netns {
    pub(crate) name: String,
}

impl Netns {
    pub(crate) fn new() -> Self {
        let name = format!(
            "slt{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        run("ip", &["netns", "add", &name]);
        run("ip", &["-n", &name, "link", "set", "lo", "up"]);
        Self { name }
    }

    pub(crate) fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    pub(crate) fn exec(&self, arguments: &[&str]) -> Output {
        let mut all = vec!["netns", "exec", &self.name];
        all.extend(arguments);
        output("ip", &all)
    }

    /// Whether `address` answers a ping from inside, soon.
    pub(crate) fn reaches(&self, address: &str) {
        wait(&format!("{address} to answer {}", self.name), || {
            self.exec(&["ping", "-c", "1", "-W", "1", address])
                .status
                .success()
                .then_some(())
        });
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _gone = output("ip", &["netns", "del", &self.name]);
    }
}

/// A node. Fields are dropped in order: first the processes, then the namespace, then the folder.
pub(crate) struct Node {
    pub(crate) agent: Option<Daemon>,
    pub(crate) vswitchd: Option<Daemon>,
    pub(crate) ovsdb: Option<Daemon>,
    pub(crate) netns: Netns,
    pub(crate) folder: tempfile::TempDir,
    /// Further arguments of the agent.
    pub(crate) arguments: Vec<String>,
}

impl Node {
    /// A node with a running database server and switch, and no agent yet.
    pub(crate) fn new() -> Self {
        let mut node = Self::bare();
        node.start_vswitchd();
        node
    }

    /// A node with a running database server only.
    pub(crate) fn bare() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = Self {
            agent: None,
            vswitchd: None,
            ovsdb: None,
            netns: Netns::new(),
            folder,
            arguments: Vec::new(),
        };
        run("ovsdb-tool", &["create", &node.file("conf.db"), SCHEMA]);
        node.start_ovsdb();
        node.vsctl(&["--no-wait", "init"]);
        node
    }

    /// A node with everything running, and ready.
    pub(crate) fn ready(arguments: &[&str]) -> Self {
        let mut node = Self::new();
        node.arguments = arguments
            .iter()
            .map(|&argument| argument.to_owned())
            .collect();
        node.start_agent();
        node.wait_ready();
        node
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn database(&self) -> String {
        format!("unix:{}", self.file("db.sock"))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    fn spawn(&self, name: &str, program: &str, arguments: &[String]) -> Daemon {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.file(&format!("{name}.log")))
            .expect("a log");
        let child = Command::new("ip")
            .args(["netns", "exec", &self.netns.name, program])
            .args(arguments)
            .env("OVS_RUNDIR", self.folder.path())
            .env("OVS_LOGDIR", self.folder.path())
            .env("OVS_DBDIR", self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {program}, which this test needs: {error}"));
        Daemon(child)
    }

    pub(crate) fn start_ovsdb(&mut self) {
        let arguments = [
            self.file("conf.db"),
            format!("--remote=p{}", self.database()),
            format!("--unixctl={}", self.file("ovsdb.ctl")),
            "-vconsole:warn".to_owned(),
        ];
        let _old = std::fs::remove_file(self.file("db.sock"));
        self.ovsdb = Some(self.spawn("ovsdb", "ovsdb-server", &arguments));
        let socket = self.file("db.sock");
        wait("ovsdb-server", || {
            std::os::unix::net::UnixStream::connect(&socket)
                .ok()
                .map(drop)
        });
    }

    pub(crate) fn start_vswitchd(&mut self) {
        let arguments = [
            self.database(),
            format!("--unixctl={}", self.file("vswitchd.ctl")),
            "-vconsole:warn".to_owned(),
        ];
        self.vswitchd = Some(self.spawn("vswitchd", "ovs-vswitchd", &arguments));
    }

    /// The agent's arguments.
    pub(crate) fn agent_arguments(&self) -> Vec<String> {
        let mut all: Vec<String> = [
            ("--ovsdb", self.database()),
            ("--datapath-type", "netdev".to_owned()),
            ("--node-name", "n1".to_owned()),
            ("--pod-cidrs", "10.7.0.0/24,fd07::/64".to_owned()),
            ("--socket", self.socket().to_string_lossy().into_owned()),
            ("--conflist", self.file("net.d/10-sluice.conflist")),
            ("--http", "127.0.0.1:9810".to_owned()),
            ("--log", "debug".to_owned()),
        ]
        .into_iter()
        .filter(|(flag, _)| !self.arguments.iter().any(|given| given == flag))
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect();
        all.extend(self.arguments.iter().cloned());
        all
    }

    pub(crate) fn start_agent(&mut self) {
        let arguments = self.agent_arguments();
        self.agent = Some(self.spawn("agent", env!("CARGO_BIN_EXE_sluice-agent"), &arguments));
    }

    /// Ends the agent as an operator does.
    pub(crate) fn stop_agent(&mut self) {
        let agent = self.agent.take().expect("a running agent");
        agent.signal(Signal::SIGTERM);
        let status = agent.ended();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Runs the agent's binary to its end in the node, with the node's arguments.
    pub(crate) fn run_agent(&self, subcommand: &[&str]) -> Output {
        Command::new("ip")
            .args([
                "netns",
                "exec",
                &self.netns.name,
                env!("CARGO_BIN_EXE_sluice-agent"),
            ])
            .args(subcommand)
            .args(self.agent_arguments())
            .output()
            .expect("the agent's binary runs")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.file("agent.log")).unwrap_or_default()
    }

    pub(crate) fn vsctl(&self, arguments: &[&str]) -> String {
        let database = format!("--db={}", self.database());
        let mut all = vec![database.as_str(), "--timeout=30"];
        all.extend(arguments);
        run("ovs-vsctl", &all)
    }

    /// `ovs-ofctl` on the bridge: `command bridge …arguments`.
    pub(crate) fn ofctl(&self, command: &str, arguments: &[&str]) -> String {
        let target = format!("unix:{}", self.file(&format!("{BRIDGE}.mgmt")));
        let mut all = vec!["-O", "OpenFlow13", command, &target];
        all.extend(arguments);
        run("ovs-ofctl", &all)
    }

    /// The flows without counters, sorted.
    pub(crate) fn flows(&self) -> Vec<String> {
        let text = self.ofctl("dump-flows", &["--no-stats"]);
        let mut flows: Vec<_> = text.lines().map(|line| line.trim().to_owned()).collect();
        flows.sort();
        flows
    }

    /// Those that follow from what the agent knows; epochs (kind 12) go on from what was before.
    pub(crate) fn compiled_flows(&self) -> Vec<String> {
        let epoch = |flow: &String| flow.contains("cookie=0x51ce0c");
        self.flows().into_iter().filter(|it| !epoch(it)).collect()
    }

    pub(crate) fn call<M: Method>(&self, request: &M::Request) -> Result<M::Response, ClientError> {
        call::<M>(&self.socket(), request)
    }

    pub(crate) fn wait_ready(&self) {
        wait(
            &format!("the agent to be ready; its log: {}", self.file("agent.log")),
            || {
                let status = self.call::<Status>(&Empty {}).ok()?;
                status.ready.then_some(())
            },
        );
    }

    pub(crate) fn status(&self) -> StatusReport {
        self.call::<Status>(&Empty {}).expect("a status")
    }

    pub(crate) fn pods(&self) -> PodsReport {
        self.call::<Pods>(&Empty {}).expect("pods")
    }

    pub(crate) fn verify(&self) -> VerifyReport {
        self.call::<Verify>(&Empty {}).expect("a comparison")
    }

    pub(crate) fn add(&self, pod: &Pod) -> Result<AddResult, CniError> {
        cni(self.call::<CniAdd>(&pod.add_request()))
    }

    pub(crate) fn del(&self, pod: &Pod) -> Result<DelResult, CniError> {
        cni(self.call::<CniDel>(&pod.del_request()))
    }

    pub(crate) fn check(&self, pod: &Pod) -> Result<CheckResult, CniError> {
        cni(self.call::<CniCheck>(&CheckRequest {
            container_id: pod.id.clone(),
            ifname: "eth0".to_owned(),
            netns: pod.netns.path(),
            network: NETWORK.to_owned(),
        }))
    }

    pub(crate) fn gc(&self, valid: &[&Pod]) -> GcResult {
        let valid = valid.iter().map(|pod| pod.attachment()).collect();
        cni(self.call::<CniGc>(&GcRequest {
            network: NETWORK.to_owned(),
            valid,
        }))
        .expect("collected")
    }

    pub(crate) fn cni_status(&self) -> Result<(), CniError> {
        cni(self.call::<CniStatus>(&StatusRequest {
            network: NETWORK.to_owned(),
        }))
        .map(drop)
    }

    /// One metric, by its whole name with labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let output = self.netns.exec(&[
            "curl",
            "-sS",
            "--max-time",
            "5",
            "http://127.0.0.1:9810/metrics",
        ]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name} in {text}"))
            .trim()
            .parse()
            .expect("a number")
    }

    pub(crate) fn flow_mods(&self) -> u64 {
        self.metric("sluice_openflow_messages_sent_total{kind=\"flow_mod\"}")
    }

    /// Ports of pods in the database.
    pub(crate) fn pod_ports(&self) -> usize {
        let text = self.vsctl(&[
            "--columns=external_ids",
            "--format=csv",
            "list",
            "Interface",
        ]);
        text.lines()
            .filter(|line| line.contains("sluice-sandbox"))
            .count()
    }
}

pub(crate) fn call<M: Method>(
    socket: &Path,
    request: &M::Request,
) -> Result<M::Response, ClientError> {
    let mut client = Client::connect(socket)?;
    client.call::<M>(request, Deadline::after(PATIENCE))
}

/// The CNI error inside, if the agent answered with one; panics for any other failure.
pub(crate) fn cni<T>(result: Result<T, ClientError>) -> Result<T, CniError> {
    match result {
        Ok(answer) => Ok(answer),
        Err(ClientError::Agent(error)) => Err(error.cni().unwrap_or_else(|| panic!("{error}"))),
        Err(error) => panic!("no answer: {error}"),
    }
}

/// A pod to be: a container id and a namespace.
pub(crate) struct Pod {
    pub(crate) id: String,
    pub(crate) netns: Netns,
}

impl Pod {
    pub(crate) fn new() -> Self {
        let netns = Netns::new();
        Self {
            id: format!("c-{}", netns.name),
            netns,
        }
    }

    pub(crate) fn attachment(&self) -> Attachment {
        Attachment {
            container_id: self.id.clone(),
            ifname: "eth0".to_owned(),
        }
    }

    pub(crate) fn add_request(&self) -> AddRequest {
        AddRequest {
            container_id: self.id.clone(),
            ifname: "eth0".to_owned(),
            netns: self.netns.path(),
            network: NETWORK.to_owned(),
            pod: Some(PodRef {
                namespace: "default".to_owned(),
                name: self.id.clone(),
                uid: Some(format!("uid-{}", self.id)),
            }),
            mtu: None,
            deadline_ms: 50_000,
            attempt: 0,
        }
    }

    pub(crate) fn del_request(&self) -> DelRequest {
        DelRequest {
            container_id: self.id.clone(),
            ifname: "eth0".to_owned(),
            network: NETWORK.to_owned(),
            netns: Some(self.netns.path()),
        }
    }

    /// The names of the devices inside.
    pub(crate) fn devices(&self) -> Vec<String> {
        let text = run("ip", &["-n", &self.netns.name, "-br", "link"]);
        let names = text
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        names
            .filter(|&name| name != "lo")
            .map(str::to_owned)
            .collect()
    }
}

/// An attached pod's address of one family.
pub(crate) fn address(result: &AddResult, v4: bool) -> String {
    let mut ips = result.ips.iter().map(|ip| ip.address.addr());
    ips.find(|ip| ip.is_ipv4() == v4)
        .expect("an address")
        .to_string()
}
