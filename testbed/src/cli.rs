//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

use crate::cluster::{self, Cluster, Depth};
use crate::layout::Name;
use crate::options::{self, Options};
use crate::run::step;
use crate::{demo, guest, kubernetes};

/// Several Sluice nodes on one machine.
#[derive(Debug, Parser)]
#[command(name = "sluice-testbed", version)]
struct Cli {
    /// Name of the testbed, for more than one at a time.
    #[arg(long, global = true, default_value = "demo")]
    name: String,
    /// Folder with sluice-agent, sluicectl and sluice-cni; without it the one this program lies in.
    #[arg(long, global = true, env = "SLUICE_BIN_DIR")]
    bin: Option<PathBuf>,
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Put up nodes, each with its own Open vSwitch and agent.
    Up {
        #[command(flatten)]
        options: Options,
        /// Stop after Open vSwitch: no agents.
        #[arg(long)]
        bare: bool,
    },
    /// Put up nodes if there are none, attach pods, show who reaches whom and the flows that do it.
    Demo {
        #[command(flatten)]
        options: Options,
        /// Pods on each node.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=20))]
        pods: u8,
        /// Take everything down at the end.
        #[arg(long)]
        down: bool,
    },
    /// Attach a pod to a node.
    Attach {
        /// The node, such as n1.
        node: String,
        /// The pod's name.
        pod: String,
    },
    /// Detach a pod.
    Detach {
        /// The pod's name.
        pod: String,
    },
    /// Nodes, pods and the health of their daemons.
    Status,
    /// Build the programs of Kubernetes, unless they are there, and print their folder.
    BuildKubernetes,
    /// Run kubectl on a testbed that was put up with --kubernetes.
    Kubectl {
        /// What kubectl is given.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run a command on a node (n1) or in a pod (web or n1/web).
    Exec {
        /// Node or pod.
        place: String,
        /// The command; a shell if there is none.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Remove a testbed, whatever is left of it.
    Down {
        /// Every testbed on this machine.
        #[arg(long)]
        all: bool,
    },
    /// Boot a virtual machine whose kernel has the Open vSwitch datapath, and run a command in it.
    Guest(guest::Options),
}

/// Runs `sluice-testbed`; 0 is success, 1 failure, and `exec` and `guest` pass on their command's status.
pub fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sluice-testbed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    fn run(self) -> Result<ExitCode> {
        let name = Name::new(&self.name)?;
        match self.command {
            Verb::Up { options, bare } => {
                let bin = bin_dir(self.bin, !bare)?;
                up(
                    name,
                    &options,
                    &bin,
                    if bare { Depth::Switches } else { Depth::Agents },
                )?;
            }
            Verb::Demo {
                options,
                pods,
                down,
            } => {
                if options.kubernetes {
                    bail!(
                        "the demo attaches its pods itself: with Kubernetes it is `up --kubernetes`, \
                         and then `kubectl`"
                    );
                }
                let cluster = match Cluster::open(name.clone()) {
                    Ok(cluster) => cluster,
                    Err(_) => up(
                        name.clone(),
                        &options,
                        &bin_dir(self.bin, true)?,
                        Depth::Agents,
                    )?,
                };
                demo::run(cluster, pods)?;
                if down {
                    step("taking everything down");
                    cluster::down(&name)?;
                } else {
                    demo::hints(&name);
                }
            }
            Verb::Attach { node, pod } => {
                let mut cluster = Cluster::open(name)?;
                let number = node_number(&cluster, &node)?;
                let pod = cluster.attach(number, &pod)?;
                println!("{}", demo::addresses(&pod));
            }
            Verb::Detach { pod } => {
                let mut cluster = Cluster::open(name)?;
                let node = cluster.pod(&pod)?.node;
                cluster.detach(node, &pod)?;
            }
            Verb::Status => print!("{}", demo::status(&Cluster::open(name)?)?),
            Verb::BuildKubernetes => {
                println!("{}", kubernetes::binaries::ensure()?.display());
            }
            Verb::Kubectl { args } => {
                let control = kubernetes::control_plane(&Cluster::open(name)?)?;
                let status = control.kubectl().interactive(&args).status()?;
                return Ok(exit_code(status));
            }
            Verb::Exec { place, command } => return exec(&Cluster::open(name)?, &place, &command),
            Verb::Down { all } => {
                let names = if all { cluster::all() } else { vec![name] };
                for name in names {
                    step(format!("removing testbed {}", name.as_str()));
                    cluster::down(&name)?;
                }
            }
            Verb::Guest(options) => {
                let bin = bin_dir(self.bin, true)?;
                return guest::run(&options, &bin);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Puts a testbed up, and removes what was made of it when that fails.
fn up(name: Name, options: &Options, bin: &std::path::Path, depth: Depth) -> Result<Cluster> {
    step(format!(
        "testbed {}: {} nodes as {}, {} datapath, {} tunnels",
        name.as_str(),
        options.nodes,
        if options.kubernetes {
            "namespaces with kubelets".to_owned()
        } else {
            options::name(options.hosts)
        },
        options::name(options.datapath()),
        options::name(options.tunnel),
    ));
    let exists = name.dir().exists();
    let result = Cluster::up(name.clone(), options, bin, None, depth);
    if result.is_err() && !exists {
        step("that failed; removing what was made");
        cluster::down(&name).context("and cleaning up failed too")?;
    }
    result
}

/// The folder with our binaries.
fn bin_dir(given: Option<PathBuf>, needed: bool) -> Result<PathBuf> {
    let dir = match given {
        Some(dir) => dir,
        None => std::env::current_exe()?
            .parent()
            .context("this program lies nowhere")?
            .to_owned(),
    };
    let dir = dir
        .canonicalize()
        .with_context(|| format!("no folder {}", dir.display()))?;
    for program in ["sluice-agent", "sluicectl", "sluice-cni"] {
        if needed && !dir.join(program).exists() {
            bail!(
                "no {program} in {}: `cargo build --release --bins` makes it, and the script \
                 testbed/sluice-testbed does so by itself",
                dir.display()
            );
        }
    }
    Ok(dir)
}

fn node_number(cluster: &Cluster, name: &str) -> Result<u8> {
    cluster
        .nodes()?
        .iter()
        .find(|node| node.name() == name)
        .map(|node| node.number)
        .with_context(|| format!("no node `{name}`"))
}

fn exec(cluster: &Cluster, place: &str, command: &[String]) -> Result<ExitCode> {
    let (number, pod) = match place.split_once('/') {
        Some((node, pod)) => (node_number(cluster, node)?, Some(pod)),
        None => match node_number(cluster, place) {
            Ok(number) => (number, None),
            Err(_) => (cluster.pod(place)?.node, Some(place)),
        },
    };
    let shell = ["bash".to_owned()];
    let command = if command.is_empty() { &shell } else { command };
    let (program, args) = command.split_first().context("no command")?;
    let status = cluster
        .node(number)?
        .interactive(pod, program, args)
        .status()?;
    Ok(exit_code(status))
}

/// Ours, given that of a command we ran.
fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}
