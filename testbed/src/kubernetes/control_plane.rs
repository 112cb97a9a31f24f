//! The control plane: etcd, API server, controller manager and scheduler, in a namespace of their own on
//! the nodes' network.
//!
//! Must not know what nodes are made of.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use crate::kubernetes::binaries;
use crate::kubernetes::certs::{self, Authority};
use crate::kubernetes::cgroup;
use crate::kubernetes::kubectl::Kubectl;
use crate::layout::{self, Name};
use crate::netns;
use crate::options::Options;
use crate::process::Process;
use crate::run;
use crate::underlay;

/// How long the API server gets from start to ready.
const READY: Duration = Duration::from_secs(120);
/// Whom the agent is to the API server: the account that the manifests in `deploy/` give it.
const AGENT: &str = "system:serviceaccount:kube-system:sluice-agent";

/// What people install.
pub const MANIFEST: &str = include_str!("../../../deploy/sluice.yaml");

/// A program of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// The database.
    Etcd,
    /// Whom all others talk to.
    ApiServer,
    /// Makes pods of deployments, slices of Services, and podCIDRs.
    ControllerManager,
    /// Gives each pod a node.
    Scheduler,
}

impl Component {
    /// In the order of their start.
    pub const ALL: [Self; 4] = [
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
    ];

    /// Name of its program, pidfile and log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }
}

/// A handle on the control plane; it owns nothing.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    name: Name,
    options: Options,
    /// Folder with the programs of Kubernetes.
    bin: PathBuf,
}

impl ControlPlane {
    /// A handle on the control plane of a testbed.
    pub fn new(name: &Name, options: &Options, bin: &Path) -> Self {
        Self {
            name: name.clone(),
            options: options.clone(),
            bin: bin.to_owned(),
        }
    }

    /// Where its files lie, keys and kubeconfig files included.
    pub fn dir(&self) -> PathBuf {
        self.name.control_dir()
    }

    /// `kubectl` as the cluster's administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.name, &self.bin)
    }

    /// Makes the namespace, the keys, and starts everything; returns when the API server is ready.
    ///
    /// # Errors
    /// When a program is missing or does not start.
    pub fn start(&self) -> Result<()> {
        let netns = self.name.control();
        netns::add(&netns)?;
        underlay::connect_control(&self.name, &self.options)?;
        std::fs::create_dir_all(self.dir())?;
        self.write_keys()?;
        for component in Component::ALL {
            self.start_component(component)?;
            if component == Component::ApiServer {
                self.wait_ready()?;
                self.allow_agent()?;
            }
        }
        Ok(())
    }

    /// Gives the agent what the manifest that people install gives it, and nothing more.
    fn allow_agent(&self) -> Result<()> {
        let documents = MANIFEST.split("\n---\n").filter(|document| {
            ["ServiceAccount", "ClusterRole", "ClusterRoleBinding"]
                .iter()
                .any(|kind| document.lines().any(|line| line == format!("kind: {kind}")))
        });
        let documents: Vec<&str> = documents.collect();
        let kubectl = self.kubectl();
        // The namespace is made by the API server itself, some moments after it is ready.
        run::wait_for("namespace kube-system", READY, || {
            let namespace = kubectl.get(&["namespace", "kube-system"]);
            Ok(namespace.is_ok().then_some(()))
        })?;
        kubectl.apply(&documents.join("\n---\n")).map(drop)
    }

    fn server(&self) -> String {
        let address = if self.options.underlay_ipv6 {
            format!("[{}]", layout::control_v6())
        } else {
            layout::control_v4().to_string()
        };
        format!("https://{address}:6443")
    }

    fn write_keys(&self) -> Result<()> {
        let authority = Authority::new(&self.dir())?;
        let server = self.server();
        authority.server(
            "kube-apiserver",
            &[
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
                "localhost",
            ],
            &[
                layout::control_v4().into(),
                layout::control_v6().into(),
                [127, 0, 0, 1].into(),
                layout::FIRST_SERVICE.0.into(),
                layout::FIRST_SERVICE.1.into(),
            ],
        )?;
        // With this one the API server talks to kubelets: exec, logs, port-forward.
        authority.client("kubelet-client", "kube-apiserver", Some("system:masters"))?;
        for (name, user, group) in [
            ("admin", "admin", Some("system:masters")),
            (
                "kube-controller-manager",
                "system:kube-controller-manager",
                None,
            ),
            ("kube-scheduler", "system:kube-scheduler", None),
            ("sluice-agent", AGENT, None),
        ] {
            authority.user(name, user, group, &server)?;
        }
        Ok(())
    }

    /// A certificate and a kubeconfig file for the kubelet of a node.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write_node_keys(&self, node: u8) -> Result<()> {
        let authority = Authority::open(&self.dir())?;
        let name = layout::node_name(node);
        let user = format!("system:node:{name}");
        authority.user(&name, &user, Some("system:nodes"), &self.server())?;
        authority.server(
            &format!("kubelet-{name}"),
            &[&name],
            &[
                layout::underlay_v4(node).into(),
                layout::underlay_v6(node).into(),
            ],
        )
    }

    /// Starts one program, which must not run already.
    ///
    /// # Errors
    /// When it cannot be started at all.
    pub fn start_component(&self, component: Component) -> Result<()> {
        let group = cgroup::create(&self.name.control())?;
        let pidfile = self.pidfile(component);
        let _ = std::fs::remove_file(&pidfile);
        let script = format!(
            "echo 0 >{group}; echo $$ >{pidfile}.new; mv {pidfile}.new {pidfile}; exec \"$@\" >>{log} 2>&1 </dev/null",
            group = group.display(),
            pidfile = pidfile.display(),
            log = self.log(component).display(),
        );
        let mut command = self.command("setsid", &["--fork", "sh", "-c", &script, "sh"]);
        match component {
            Component::Etcd => command.arg(binaries::etcd(&self.bin)),
            other => command.arg(self.bin.join(other.name())),
        };
        command.args(self.arguments(component));
        run::stdout(&mut command)?;
        run::wait_for(component.name(), READY, || {
            Ok(pidfile.exists().then_some(()))
        })
    }

    /// Ends one program by a signal and waits until it has gone.
    ///
    /// # Errors
    /// When it does not run or does not end.
    pub fn end_component(&self, component: Component, signal: Signal) -> Result<()> {
        let process = self.process(component)?;
        process.signal(signal);
        process.wait_gone(Duration::from_secs(60))
    }

    /// One program's process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process(&self, component: Component) -> Result<Process> {
        Process::of_pidfile(&self.pidfile(component))
            .ok()
            .filter(|process| process.alive())
            .with_context(|| format!("{} does not run", component.name()))
    }

    /// Waits until the API server says that it is ready.
    ///
    /// # Errors
    /// When it ends or takes too long; the end of its log is quoted.
    pub fn wait_ready(&self) -> Result<()> {
        let kubectl = self.kubectl();
        run::wait_for("the API server to be ready", READY, || {
            if self.process(Component::ApiServer).is_err() {
                return Ok(Some(false));
            }
            let ready = run::output(&mut kubectl.command(&["get", "--raw", "/readyz"]))?;
            Ok(ready.status.success().then_some(true))
        })
        .and_then(|ready| if ready { Ok(()) } else { bail!("it ended") })
        .with_context(|| {
            format!(
                "kube-apiserver, last lines of its log:\n{}",
                crate::node::tail(&self.log(Component::ApiServer), 15)
            )
        })
    }

    /// A command in the control plane's namespace.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let enter = format!("--net={}", netns::path(&self.name.control()).display());
        let mut command = run::command("nsenter", [enter.as_str(), "--", program]);
        command.args(args);
        command
    }

    /// A program's log.
    pub fn log(&self, component: Component) -> PathBuf {
        self.dir().join(format!("{}.log", component.name()))
    }

    fn pidfile(&self, component: Component) -> PathBuf {
        self.dir().join(format!("{}.pid", component.name()))
    }

    fn arguments(&self, component: Component) -> Vec<String> {
        let dir = self.dir();
        let file = |name: &str| dir.join(name).display().to_string();
        let config = |name: &str| certs::kubeconfig(&dir, name).display().to_string();
        let dual = |(v4, v6): (&str, &str)| match (self.options.ipv6, self.options.underlay_ipv6) {
            (false, _) => v4.to_owned(),
            (true, false) => format!("{v4},{v6}"),
            (true, true) => format!("{v6},{v4}"),
        };
        let own = component.name();
        match component {
            Component::Etcd => vec![
                format!("--data-dir={}", file("etcd")),
                "--listen-client-urls=http://127.0.0.1:2379".into(),
                "--advertise-client-urls=http://127.0.0.1:2379".into(),
                "--listen-peer-urls=http://127.0.0.1:2380".into(),
                // What a testbed holds need not outlive the machine.
                "--unsafe-no-fsync".into(),
                "--quota-backend-bytes=4294967296".into(),
            ],
            Component::ApiServer => {
                let address = if self.options.underlay_ipv6 {
                    layout::control_v6().to_string()
                } else {
                    layout::control_v4().to_string()
                };
                vec![
                    "--etcd-servers=http://127.0.0.1:2379".into(),
                    "--bind-address=::".into(),
                    format!("--advertise-address={address}"),
                    "--secure-port=6443".into(),
                    format!("--tls-cert-file={}", file("kube-apiserver.crt")),
                    format!("--tls-private-key-file={}", file("kube-apiserver.key")),
                    format!("--client-ca-file={}", file(certs::CA)),
                    format!("--kubelet-certificate-authority={}", file(certs::CA)),
                    format!(
                        "--kubelet-client-certificate={}",
                        file("kubelet-client.crt")
                    ),
                    format!("--kubelet-client-key={}", file("kubelet-client.key")),
                    "--kubelet-preferred-address-types=InternalIP".into(),
                    "--authorization-mode=Node,RBAC".into(),
                    "--enable-admission-plugins=NodeRestriction".into(),
                    format!("--service-cluster-ip-range={}", dual(layout::SERVICES)),
                    format!("--service-account-key-file={}", file(certs::ACCOUNTS[1])),
                    format!(
                        "--service-account-signing-key-file={}",
                        file(certs::ACCOUNTS[0])
                    ),
                    "--service-account-issuer=https://kubernetes.default.svc".into(),
                    "--allow-privileged=true".into(),
                ]
            }
            Component::ControllerManager => vec![
                format!("--kubeconfig={}", config(own)),
                format!("--authentication-kubeconfig={}", config(own)),
                format!("--authorization-kubeconfig={}", config(own)),
                format!("--cert-dir={}", file("controller-manager")),
                format!("--root-ca-file={}", file(certs::CA)),
                format!(
                    "--service-account-private-key-file={}",
                    file(certs::ACCOUNTS[0])
                ),
                "--use-service-account-credentials=true".into(),
                "--allocate-node-cidrs=true".into(),
                format!("--cluster-cidr={}", dual(layout::PODS)),
                format!("--service-cluster-ip-range={}", dual(layout::SERVICES)),
                "--leader-elect=false".into(),
            ],
            Component::Scheduler => vec![
                format!("--kubeconfig={}", config(own)),
                format!("--authentication-kubeconfig={}", config(own)),
                format!("--authorization-kubeconfig={}", config(own)),
                format!("--cert-dir={}", file("scheduler")),
                "--leader-elect=false".into(),
            ],
        }
    }
}
