//! A whole testbed: put up, changed, found again, and taken down.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::docker::{self, Docker};
use crate::kubernetes::{self, binaries, cgroup, images, machine, runtime};
use crate::layout::{self, Name};
use crate::node::{Daemon, Host, Node};
use crate::objects::NAMESPACE;
use crate::options::{Hosts, Options};
use crate::pod::{self, Pod};
use crate::process::Process;
use crate::run::step;
use crate::state::State;
use crate::{agent, manifest, netns, ovs, underlay};

/// A testbed that is up.
#[derive(Debug)]
pub struct Cluster {
    /// Its name.
    pub name: Name,
    state: State,
}

/// How far [`Cluster::up`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Nodes with Open vSwitch, but no agent.
    Switches,
    /// Agents too, ready for pods.
    Agents,
}

impl Cluster {
    /// Puts a testbed up. `owner` is the process with which it ends, if it is not to stay.
    ///
    /// # Errors
    /// When there is one of this name, when a program is missing, when a daemon does not start. What
    /// was made until then stays for a look at it; [`down`] removes it.
    pub fn up(
        name: Name,
        options: &Options,
        bin: &Path,
        owner: Option<Process>,
        depth: Depth,
    ) -> Result<Self> {
        ensure!(
            !name.dir().exists(),
            "there is a testbed `{}` already: `sluice-testbed down --name {}` removes it",
            name.as_str(),
            name.as_str()
        );
        let mut options = options.clone();
        if options.kubernetes {
            options.hosts = Hosts::Netns;
        }
        check_machine(&options)?;
        let kubernetes_bin = options.kubernetes.then(binaries::ensure).transpose()?;
        std::fs::create_dir_all(name.manifests()).with_context(|| {
            format!("cannot make {} (is this root?)", name.manifests().display())
        })?;
        let mut cluster = Self {
            state: State {
                options,
                owner,
                bin: bin.to_owned(),
                kubernetes_bin,
                nodes: Vec::new(),
                pods: Vec::new(),
                processes: Vec::new(),
            },
            name,
        };
        cluster.state.save(&cluster.name)?;
        underlay::create(&cluster.name, cluster.options())?;
        if cluster.options().kubernetes {
            step("starting the control plane");
            kubernetes::control_plane(&cluster)?.start()?;
            images::write(bin, &kubernetes::archive(&cluster.name))?;
        }
        let numbers: Vec<u8> = (1..=cluster.options().nodes).collect();
        cluster.add_nodes(&numbers, depth)?;
        Ok(cluster)
    }

    /// Finds a testbed by name.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(name: Name) -> Result<Self> {
        let state = State::load(&name)?;
        Ok(Self { name, state })
    }

    /// The shape it was put up in.
    pub fn options(&self) -> &Options {
        &self.state.options
    }

    /// The folder with the programs of Kubernetes, if it was put up with them.
    pub fn kubernetes_bin(&self) -> Option<&Path> {
        self.state.kubernetes_bin.as_deref()
    }

    /// Its nodes, by number.
    ///
    /// # Errors
    /// When they are containers and Docker does not answer.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        self.state
            .nodes
            .iter()
            .map(|&number| self.node(number))
            .collect()
    }

    /// One node.
    ///
    /// # Errors
    /// When they are containers and Docker does not answer.
    pub fn node(&self, number: u8) -> Result<Node> {
        let host = self.name.host(number);
        let (host, bin) = match self.options().hosts {
            Hosts::Netns => (Host::Netns(host), self.state.bin.clone()),
            Hosts::Docker => (
                Host::Container(Docker::find()?, host),
                PathBuf::from(docker::BIN),
            ),
        };
        Ok(Node {
            testbed: self.name.clone(),
            number,
            host,
            bin,
        })
    }

    /// Its pods.
    pub fn pods(&self) -> &[Pod] {
        &self.state.pods
    }

    /// A pod by name.
    ///
    /// # Errors
    /// When there is none.
    pub fn pod(&self, name: &str) -> Result<&Pod> {
        self.pods()
            .iter()
            .find(|pod| pod.name == name)
            .with_context(|| format!("no pod `{name}`"))
    }

    /// Adds nodes: hosts, switches, agents, and the manifests by which the other agents learn of them.
    ///
    /// # Errors
    /// As [`Self::up`].
    pub fn add_nodes(&mut self, numbers: &[u8], depth: Depth) -> Result<()> {
        for number in numbers {
            ensure!(
                !self.state.nodes.contains(number),
                "there is a node {number} already"
            );
            self.state.nodes.push(*number);
        }
        self.state.nodes.sort_unstable();
        self.state.save(&self.name)?;
        if self.options().hosts == Hosts::Docker {
            Docker::ensure()?.ensure_image()?;
        }
        let nodes: Vec<Node> = numbers
            .iter()
            .map(|&number| self.node(number))
            .collect::<Result<_>>()?;
        for node in &nodes {
            std::fs::create_dir_all(node.dir())?;
            if !self.options().kubernetes {
                manifest::write_node(&self.name, node.number, self.options())?;
            }
        }
        self.each("starting hosts and switches", &nodes, |node| {
            let netns = self.start_host(node)?;
            underlay::connect(&self.name, self.options(), node.number, &netns)?;
            ovs::start(node)?;
            ovs::underlay(node, self.options())
        })?;
        self.record(&nodes, &[Daemon::Ovsdb, Daemon::Vswitchd])?;
        if self.options().kubernetes {
            self.start_kubelets(&nodes)?;
        }
        if depth == Depth::Agents {
            self.each("starting agents", &nodes, |node| {
                agent::configure(node, self.options())?;
                agent::start(node)
            })?;
            self.record(&nodes, &[Daemon::Agent])?;
            self.each("waiting for agents to be ready", &nodes, agent::wait_ready)?;
            if self.options().kubernetes {
                let control = kubernetes::control_plane(self)?;
                self.each("waiting for nodes to be Ready", &nodes, |node| {
                    kubernetes::wait_node_ready(&control, node)
                })?;
            }
        }
        Ok(())
    }

    fn start_kubelets(&mut self, nodes: &[Node]) -> Result<()> {
        let control = kubernetes::control_plane(self)?;
        let bin = self.state.kubernetes_bin.clone().unwrap_or_default();
        let archive = kubernetes::archive(&self.name);
        self.each("starting container runtimes and kubelets", nodes, |node| {
            control.write_node_keys(node.number)?;
            runtime::configure(node, self.options())?;
            runtime::start_containerd(node)?;
            runtime::import(node, &archive)?;
            runtime::start_kubelet(node, &bin)
        })?;
        self.record(nodes, &[Daemon::Containerd, Daemon::Kubelet])
    }

    /// Takes a node away, as if it had died: no daemon is asked to tidy up.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub fn remove_node(&mut self, number: u8) -> Result<()> {
        let node = self.node(number)?;
        manifest::remove_node(&self.name, number)?;
        match &node.host {
            Host::Container(docker, name) => docker.remove(std::slice::from_ref(name))?,
            Host::Netns(name) => {
                cgroup::remove(&[name])?;
                cgroup::remove(&runtime::container_groups(&node.dir()))?;
                for daemon in [Daemon::Agent, Daemon::Vswitchd, Daemon::Ovsdb] {
                    if let Some(process) = node.process(daemon) {
                        process.stop()?;
                    }
                }
                for pod in netns::list(&format!("{name}-")) {
                    netns::delete(&pod)?;
                }
                netns::delete(name)?;
            }
        }
        std::fs::remove_dir_all(node.dir())?;
        self.state.nodes.retain(|&other| other != number);
        self.state.pods.retain(|pod| pod.node != number);
        self.state.save(&self.name)
    }

    /// Attaches a pod.
    ///
    /// # Errors
    /// What the plugin reports.
    pub fn attach(&mut self, node: u8, name: &str) -> Result<Pod> {
        self.attach_in(node, NAMESPACE, name)
    }

    /// Attaches a pod of a Kubernetes namespace.
    ///
    /// # Errors
    /// What the plugin reports.
    pub fn attach_in(&mut self, node: u8, namespace: &str, name: &str) -> Result<Pod> {
        pod::make(&self.node(node)?, name)?;
        self.plug(node, namespace, name)
    }

    /// Attaches a pod whose network namespace has been made.
    ///
    /// # Errors
    /// What the plugin reports.
    pub fn plug(&mut self, node: u8, namespace: &str, name: &str) -> Result<Pod> {
        let pod = pod::plug(&self.node(node)?, namespace, name)?;
        self.state.pods.push(pod.clone());
        self.state.save(&self.name)?;
        Ok(pod)
    }

    /// Detaches a pod.
    ///
    /// # Errors
    /// What the plugin reports.
    pub fn detach(&mut self, node: u8, name: &str) -> Result<()> {
        pod::detach(&self.node(node)?, name)?;
        self.state
            .pods
            .retain(|pod| !(pod.node == node && pod.name == name));
        self.state.save(&self.name)
    }

    fn start_host(&self, node: &Node) -> Result<String> {
        match &node.host {
            Host::Netns(name) => {
                netns::add(name)?;
                if self.options().kubernetes {
                    machine::start(node)?;
                }
                Ok(name.clone())
            }
            Host::Container(docker, _) => Ok(docker
                .start_container(&self.name, node.number, &self.state.bin)?
                .to_string()),
        }
    }

    /// Does the same on every node at once.
    fn each(
        &self,
        what: &str,
        nodes: &[Node],
        work: impl Fn(&Node) -> Result<()> + Sync,
    ) -> Result<()> {
        let names: Vec<String> = nodes.iter().map(Node::name).collect();
        step(format!("{what}: {}", names.join(" ")));
        std::thread::scope(|scope| {
            let threads: Vec<_> = nodes
                .iter()
                .map(|node| {
                    scope.spawn(|| work(node).with_context(|| format!("node {}", node.name())))
                })
                .collect();
            for thread in threads {
                match thread.join() {
                    Ok(result) => result?,
                    Err(_) => bail!("{what}: a thread panicked"),
                }
            }
            Ok(())
        })
    }

    /// Notes the processes of daemons that were just started.
    ///
    /// # Errors
    /// When the state file cannot be written.
    pub fn record(&mut self, nodes: &[Node], daemons: &[Daemon]) -> Result<()> {
        for node in nodes {
            let started = daemons.iter().filter_map(|&daemon| node.process(daemon));
            self.state.processes.extend(started);
        }
        self.state.processes.retain(|process| process.alive());
        self.state.save(&self.name)
    }
}

/// Says what this machine lacks for such a testbed.
fn check_machine(options: &Options) -> Result<()> {
    let mut programs = vec!["ip", "nsenter", "ethtool", "setsid"];
    match options.hosts {
        Hosts::Netns => programs.extend([
            "ovsdb-server",
            "ovs-vswitchd",
            "ovs-vsctl",
            "ovsdb-tool",
            "ping",
        ]),
        Hosts::Docker => programs.extend(["docker", "tar"]),
    }
    if options.kubernetes {
        programs.extend(["containerd", "ctr", "runc", "unshare", "tar", "ldd"]);
    }
    let missing: Vec<&str> = programs
        .into_iter()
        .filter(|program| !installed(program))
        .collect();
    let loopback = Path::new(runtime::PLUGINS).join("loopback");
    ensure!(
        !options.kubernetes || loopback.exists(),
        "there is no {}: Debian has it in containernetworking-plugins",
        loopback.display()
    );
    ensure!(
        missing.is_empty(),
        "these programs are not installed: {}",
        missing.join(" ")
    );
    ensure!(nix::unistd::geteuid().is_root(), "a testbed needs root");
    Ok(())
}

/// Whether a program is on the search path.
pub fn installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}

/// Removes a testbed, whatever is left of it.
///
/// Works from names and from recorded processes, so it does not matter how far `up` got, or whether
/// a daemon has died since. Nothing else is touched.
///
/// # Errors
/// When something of it resists.
pub fn down(name: &Name) -> Result<()> {
    let state = State::load(name).ok();
    cgroup::remove_prefix(&name.prefix())?;
    // Nobody is left who would start another.
    cgroup::remove(&container_groups(name))?;
    for process in state.iter().flat_map(|state| &state.processes) {
        process.stop()?;
    }
    if state
        .as_ref()
        .is_none_or(|state| state.options.hosts == Hosts::Docker)
        && let Ok(docker) = Docker::find()
    {
        docker.remove(&docker.containers(name)?)?;
    }
    for netns in netns::list(&name.prefix()).iter().rev() {
        netns::delete(netns)?;
    }
    if name.dir().exists() {
        std::fs::remove_dir_all(name.dir())
            .with_context(|| format!("cannot remove {}", name.dir().display()))?;
    }
    docker::stop_daemon()
}

/// The control groups of a testbed's containers.
pub fn container_groups(name: &Name) -> Vec<String> {
    let nodes = name.dir().read_dir().into_iter().flatten().flatten();
    nodes
        .flat_map(|node| runtime::container_groups(&node.path()))
        .collect()
}

/// The testbeds on this machine.
pub fn all() -> Vec<Name> {
    std::fs::read_dir(layout::ROOT)
        .into_iter()
        .flatten()
        .filter_map(|entry| Name::new(entry.ok()?.file_name().to_str()?).ok())
        .collect()
}

/// Removes the testbeds whose owner has ended without removing them.
///
/// # Errors
/// As [`down`].
pub fn sweep() -> Result<()> {
    for name in all() {
        let Ok(state) = State::load(&name) else {
            continue;
        };
        if state.owner.is_some_and(|owner| !owner.alive()) {
            step(format!(
                "removing testbed {}, left behind by a process that has ended",
                name.as_str()
            ));
            down(&name)?;
        }
    }
    Ok(())
}
