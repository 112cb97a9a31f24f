//! Namespaces and switches that a test makes for itself and that go with it, also when it fails.

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use sluice_agent::host::{
    HostError, Mac,
    netns::Netns,
    pod::{Attachment, Datapath, PodNic, Problem, Remnant, check, plumb},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) const ROUTER_MAC: Mac = [0xaa, 0xaa, 0xaa, 0, 0, 1];
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Runs a command to its end; panics with its output if it fails.
pub(crate) fn sh(line: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", line])
        .output()
        .expect("a shell");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{line}: {}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// A network namespace of a unique name, deleted with this value.
pub(crate) struct Space {
    pub(crate) name: String,
}

impl Space {
    pub(crate) fn new(role: &str) -> Space {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let space = Space {
            name: format!("slh-{}-{count}-{role}", std::process::id()),
        };
        sh(&format!(
            "ip netns add {0} && ip -n {0} link set lo up",
            space.name
        ));
        space
    }

    pub(crate) fn path(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// `ip …` inside.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        sh(&format!("ip -n {} {arguments}", self.name))
    }

    /// A shell command inside.
    pub(crate) fn sh(&self, line: &str) -> String {
        sh(&format!(
            "nsenter --net={} sh -ec '{line}'",
            self.path().display()
        ))
    }

    pub(crate) async fn run<T, F, Fut>(&self, job: F) -> Result<T, HostError>
    where
        T: Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, HostError>>,
    {
        Netns::open(&self.path())
            .expect("an open namespace")
            .run(job)
            .await
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .stderr(Stdio::null())
            .status();
    }
}

/// A pod that the test wants.
pub(crate) fn nic(
    space: &Space,
    host_ifname: &str,
    number: u8,
    attachment: Attachment,
    datapath: Datapath,
) -> PodNic {
    PodNic {
        host_ifname: host_ifname.to_owned(),
        netns: space.path(),
        ifname: "eth0".to_owned(),
        mac: [0x0a, 0x58, 10, 1, 0, number],
        addrs: vec![v4(number), v6(number)],
        mtu: 1400,
        attachment,
        datapath,
        router_mac: ROUTER_MAC,
    }
}

pub(crate) async fn plumbed(node: &Space, pod: &PodNic) {
    let wanted = pod.clone();
    node.run(move || async move { plumb(&wanted, SOON).await })
        .await
        .expect("a plumbed pod");
    assert_eq!(problems(node, pod).await, []);
}

pub(crate) async fn problems(node: &Space, pod: &PodNic) -> Vec<Problem> {
    let wanted = pod.clone();
    node.run(move || async move { check(&wanted).await })
        .await
        .expect("an answer")
}

pub(crate) fn remnant(pod: &PodNic) -> Remnant {
    Remnant {
        host_ifname: pod.host_ifname.clone(),
        netns: Some(pod.netns.clone()),
        ifname: pod.ifname.clone(),
        mac: Some(pod.mac),
        attachment: pod.attachment,
    }
}

pub(crate) fn add_port(switch: &Switch, pod: &PodNic) {
    switch.vsctl(&format!(
        "add-port {0} {1} -- set interface {1} type=internal",
        Switch::BRIDGE,
        pod.host_ifname
    ));
}

pub(crate) fn v4(number: u8) -> IpAddr {
    format!("10.1.0.{number}").parse().expect("an address")
}

pub(crate) fn v6(number: u8) -> IpAddr {
    format!("fd00:1::{number:x}").parse().expect("an address")
}

/// Sends a megabyte from one namespace to an address in another, over TCP, and checks every byte of it: with a
/// wrong checksum or MTU nothing arrives.
pub(crate) async fn transfer(from: &Space, to: &Space, address: IpAddr) {
    const LEN: usize = 1 << 20;
    let pattern = || {
        (0..LEN)
            .map(|index| u8::try_from(index % 251).unwrap_or_default())
            .collect::<Vec<u8>>()
    };
    let io = |error| HostError::Kernel {
        action: "transfer".into(),
        source: error,
    };
    let (bound, port) = tokio::sync::oneshot::channel();
    let receive = to.run(move || async move {
        let listener = TcpListener::bind((address, 0)).await.map_err(io)?;
        let _ = bound.send(listener.local_addr().map_err(io)?.port());
        let (mut stream, peer) = listener.accept().await.map_err(io)?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.map_err(io)?;
        stream.write_all(b"done").await.map_err(io)?;
        Ok((received, peer))
    });
    let send = async {
        let port = port.await.expect("a listening receiver");
        let send = from.run(move || async move {
            let mut stream = TcpStream::connect(SocketAddr::new(address, port))
                .await
                .map_err(io)?;
            stream.write_all(&pattern()).await.map_err(io)?;
            stream.shutdown().await.map_err(io)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.map_err(io)?;
            Ok(answer)
        });
        send.await
    };
    let both = async { tokio::join!(receive, send) };
    let (received, answer) = tokio::time::timeout(SOON, both)
        .await
        .expect("a transfer within ten seconds");
    assert_eq!(answer.expect("a sender"), b"done");
    assert!(
        received.expect("a receiver").0 == pattern(),
        "what arrived is not what was sent"
    );
}

/// Open vSwitch in a namespace of its own, with one bridge.
pub(crate) struct Switch {
    folder: tempfile::TempDir,
    node: String,
    database: Child,
    switch: Option<Child>,
}

impl Switch {
    pub(crate) const BRIDGE: &'static str = "br-test";

    pub(crate) fn start(node: &Space, datapath: Datapath) -> Switch {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        sh(&format!(
            "ovsdb-tool create {} /usr/share/openvswitch/vswitch.ovsschema",
            at("conf.db")
        ));
        let database = spawn(
            &node.path(),
            folder.path(),
            &[
                "ovsdb-server",
                &at("conf.db"),
                &format!("--remote=punix:{}", at("db.sock")),
                "-vconsole:off",
            ],
        );
        let mut switch = Switch {
            folder,
            node: node.name.clone(),
            database,
            switch: None,
        };
        switch.await_file("db.sock");
        switch.vsctl("--no-wait init");
        switch.start_vswitchd();
        let kind = match datapath {
            Datapath::Userspace => "netdev",
            Datapath::Kernel => "system",
        };
        switch.vsctl(&format!(
            "add-br {0} -- set bridge {0} datapath_type={kind} fail_mode=secure",
            Self::BRIDGE
        ));
        switch
    }

    fn start_vswitchd(&mut self) {
        let remote = format!("unix:{}", self.folder.path().join("db.sock").display());
        let netns = Path::new("/run/netns").join(&self.node);
        self.switch = Some(spawn(
            &netns,
            self.folder.path(),
            &["ovs-vswitchd", &remote, "-vconsole:off"],
        ));
    }

    /// `kill -9` of ovs-vswitchd, and a new one in its place.
    pub(crate) fn restart_vswitchd(&mut self) {
        if let Some(mut old) = self.switch.take() {
            old.kill().expect("killed");
            old.wait().expect("ended");
        }
        self.start_vswitchd();
    }

    fn await_file(&self, name: &str) {
        let deadline = Instant::now() + SOON;
        while !self.folder.path().join(name).exists() {
            assert!(
                Instant::now() < deadline,
                "{name} did not appear; is Open vSwitch installed?"
            );
            std::thread::yield_now();
        }
    }

    pub(crate) fn vsctl(&self, arguments: &str) -> String {
        sh(&format!(
            "ovs-vsctl --timeout=10 --db=unix:{}/db.sock {arguments}",
            self.folder.path().display()
        ))
    }

    /// Flows that take packets between the pods as the agent's would: by address, with the pod's own MAC.
    pub(crate) fn connect(&self, pods: &[&PodNic]) {
        for pod in pods {
            let [a, b, c, d, e, f] = pod.mac;
            let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            for address in &pod.addrs {
                let field = if address.is_ipv4() {
                    "ip,nw_dst"
                } else {
                    "ipv6,ipv6_dst"
                };
                let flow = format!(
                    "{field}={address},actions=mod_dl_dst:{mac},output:{}",
                    self.ofport(&pod.host_ifname)
                );
                sh(&format!(
                    "ovs-ofctl add-flow unix:{}/{}.mgmt {flow}",
                    self.folder.path().display(),
                    Self::BRIDGE
                ));
            }
        }
    }

    fn ofport(&self, port: &str) -> String {
        self.vsctl(&format!("get interface {port} ofport"))
            .trim()
            .to_owned()
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for child in self.switch.iter_mut().chain([&mut self.database]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn spawn(netns: &Path, folder: &Path, command: &[&str]) -> Child {
    let mut all = Command::new("nsenter");
    all.arg(format!("--net={}", netns.display())).args(command);
    for (variable, value) in [
        ("OVS_RUNDIR", folder),
        ("OVS_LOGDIR", folder),
        ("OVS_DBDIR", folder),
    ] {
        all.env(variable, value);
    }
    all.stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nsenter and Open vSwitch are installed")
}
