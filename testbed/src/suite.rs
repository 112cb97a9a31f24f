//! Runs scenarios on real nodes: a test file names groups, each a shape of testbed that is put up
//! once for all scenarios of the group, and taken down when they are done.
//!
//! Test executables of this kind have no other harness. They take what cargo's own take (filters,
//! `--exact`, `--skip`, `--list`) and run one scenario at a time, since each moves real packets
//! against the clock. They also run by themselves, on another machine: `SLUICE_BIN_DIR` says where
//! the programs are, `SLUICE_TESTBED_DATAPATH` which datapath to use.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::ValueEnum as _;

use crate::cluster::{self, Cluster, Depth};
use crate::kubernetes::cgroup;
use crate::layout::{BRIDGE, Name};
use crate::losses;
use crate::node::Daemon;
use crate::options::{Datapath, Hosts, Options};
use crate::process::Process;
use crate::run;
use crate::state::State;

/// One thing that must be true of a testbed, and how to see it.
pub type Scenario = (&'static str, fn(&mut Cluster) -> Result<()>);

/// One thing that puts up whatever testbed it needs.
pub type BareScenario = (&'static str, fn() -> Result<()>);

/// Scenarios that share a testbed.
#[derive(Debug)]
pub struct Group {
    /// What the group is called; scenarios are named `group::scenario`.
    pub name: String,
    /// The testbed's shape. Hosts are namespaces whatever it says.
    pub options: Options,
    /// Pods attached before the first scenario: (node, name).
    pub pods: Vec<(u8, &'static str)>,
    /// The scenarios, in order.
    pub scenarios: Vec<Scenario>,
}

/// What the command line asks for.
#[derive(Debug, Default)]
struct Selection {
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
}

impl Selection {
    fn parse(args: impl Iterator<Item = String>) -> Result<Self> {
        let mut selection = Self::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--exact" => selection.exact = true,
                "--list" => selection.list = true,
                "--skip" => selection.skip.extend(args.next()),
                "--nocapture" | "--show-output" | "--quiet" | "-q" | "--include-ignored" => {}
                "--test-threads" | "--format" | "--color" => drop(args.next()),
                "--ignored" => bail!("no scenario is ever ignored"),
                other if other.starts_with("--") && other.contains('=') => {}
                other if other.starts_with('-') => bail!("unknown option {other}"),
                _ => selection.filters.push(arg),
            }
        }
        Ok(selection)
    }

    fn takes(&self, name: &str) -> bool {
        let hit = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter)
            }
        };
        (self.filters.is_empty() || self.filters.iter().any(hit)) && !self.skip.iter().any(hit)
    }
}

/// Runs the groups as the command line asks; the exit status says whether all went well.
pub fn main(groups: Vec<Group>) -> ExitCode {
    exit(
        Selection::parse(std::env::args().skip(1))
            .and_then(|selection| run_all(groups, &selection, |_, _| false)),
    )
}

/// The same, but groups of one shape share a testbed, if they follow each other.
pub fn main_sharing(groups: Vec<Group>) -> ExitCode {
    let alike = |one: &Group, next: &Group| one.options == next.options && one.pods == next.pods;
    exit(
        Selection::parse(std::env::args().skip(1))
            .and_then(|selection| run_all(groups, &selection, alike)),
    )
}

/// Runs scenarios that each put up what they need; the exit status says whether all went well.
pub fn bare_main(scenarios: &[BareScenario]) -> ExitCode {
    exit(
        Selection::parse(std::env::args().skip(1)).and_then(|selection| {
            let mut chosen: Vec<_> = scenarios.to_vec();
            chosen.retain(|(name, _)| selection.takes(name));
            if selection.list {
                chosen.iter().for_each(|(name, _)| println!("{name}: test"));
                return Ok(true);
            }
            println!("\nrunning {} scenarios", chosen.len());
            cluster::sweep()?;
            let mut failed = Vec::new();
            for (name, scenario) in &chosen {
                if !verdict(name, scenario) {
                    failed.push((*name).to_owned());
                }
                remove_ours();
            }
            Ok(summary(chosen.len(), &failed))
        }),
    )
}

/// Removes whatever testbeds of this process a failed scenario has left.
fn remove_ours() {
    for name in cluster::all() {
        let owner = State::load(&name).ok().and_then(|state| state.owner);
        if owner.is_some() && owner == Process::current().ok() {
            report_logs(&name);
            if let Err(error) = cluster::down(&name) {
                println!("cannot remove testbed {}: {error:#}", name.as_str());
            }
        }
    }
}

/// Runs one scenario, says how it went, and returns whether it went well.
fn verdict(name: &str, scenario: impl FnOnce() -> Result<()>) -> bool {
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(scenario))
        .unwrap_or_else(|panic| Err(anyhow!("it panicked: {}", panic_text(&*panic))));
    let seconds = started.elapsed().as_secs_f64();
    match &result {
        Ok(()) => println!("scenario {name} ... ok ({seconds:.1} s)"),
        Err(error) => println!("scenario {name} ... FAILED ({seconds:.1} s)\n    {error:#}"),
    }
    result.is_ok()
}

fn summary(total: usize, failed: &[String]) -> bool {
    println!(
        "\nresult: {}. {} passed; {} failed\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        total - failed.len(),
        failed.len()
    );
    for name in failed {
        println!("    {name}");
    }
    failed.is_empty()
}

fn exit(result: Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(
    groups: Vec<Group>,
    selection: &Selection,
    share: impl Fn(&Group, &Group) -> bool,
) -> Result<bool> {
    let mut chosen = Vec::new();
    for mut group in groups {
        let prefix = group.name.clone();
        group
            .scenarios
            .retain(|(name, _)| selection.takes(&format!("{prefix}::{name}")));
        if !group.scenarios.is_empty() {
            chosen.push(group);
        }
    }
    if selection.list {
        for group in &chosen {
            for (name, _) in &group.scenarios {
                println!("{}::{name}: test", group.name);
            }
        }
        return Ok(true);
    }
    let total: usize = chosen.iter().map(|group| group.scenarios.len()).sum();
    println!("\nrunning {total} scenarios");
    if total == 0 {
        return Ok(true);
    }
    cluster::sweep()?;
    let bin = binaries()?;
    let mut failed = Vec::new();
    for (index, groups) in chosen.chunk_by(share).enumerate() {
        failed.extend(run_groups(groups, index, &bin));
    }
    Ok(summary(total, &failed))
}

/// Runs groups on one testbed, and returns the names of what failed.
fn run_groups(groups: &[Group], index: usize, bin: &Path) -> Vec<String> {
    let Some(first) = groups.first() else {
        return Vec::new();
    };
    let scenarios = |group: &Group| {
        let named = |(name, run): &Scenario| (format!("{}::{name}", group.name), *run);
        group.scenarios.iter().map(named).collect::<Vec<_>>()
    };
    let called: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
    let called = called.join(", ");
    let started = Instant::now();
    let name = format!("t{}x{index}", std::process::id());
    let result = Name::new(&name).and_then(|name| {
        let cluster = put_up(&name, first, bin);
        if cluster.is_err() {
            report_logs(&name);
            cluster::down(&name).context("cleaning up")?;
        }
        cluster
    });
    let mut cluster = match result {
        Ok(cluster) => cluster,
        Err(error) => {
            println!("group {called} ... FAILED to come up\n    {error:#}");
            return groups
                .iter()
                .flat_map(scenarios)
                .map(|(name, _)| name)
                .collect();
        }
    };
    println!(
        "group {called} is up ({:.1} s)",
        started.elapsed().as_secs_f64()
    );
    let mut failed = Vec::new();
    for group in groups {
        if let Err(error) = forget_connections(&cluster) {
            println!(
                "the connections of before {} are still known: {error:#}",
                group.name
            );
        }
        for (name, scenario) in scenarios(group) {
            if !verdict(&name, || scenario(&mut cluster)) {
                report(&cluster);
                failed.push(name);
            }
        }
    }
    if let Err(error) = take_down(&cluster) {
        println!("group {called} ... FAILED to go down\n    {error:#}");
        failed.push(format!("{}::down", first.name));
    }
    failed
}

fn put_up(name: &Name, group: &Group, bin: &Path) -> Result<Cluster> {
    let mut options = group.options.clone();
    options.hosts = Hosts::Netns;
    options.datapath = Some(datapath()?);
    let owner = Process::current()?;
    let mut cluster = Cluster::up(name.clone(), &options, bin, Some(owner), Depth::Agents)?;
    for (node, pod) in &group.pods {
        cluster.attach(*node, pod)?;
    }
    Ok(cluster)
}

/// A group finds conntrack as a testbed of its own would have it.
fn forget_connections(cluster: &Cluster) -> Result<()> {
    for node in cluster.nodes()? {
        node.sh("ovs-appctl", &["dpctl/flush-conntrack"])?;
    }
    Ok(())
}

/// Takes a testbed down and looks whether anything is left.
fn take_down(cluster: &Cluster) -> Result<()> {
    let name = &cluster.name;
    let containers = cluster::container_groups(name);
    cluster::down(name)?;
    let left = cgroup::processes(&containers);
    ensure!(
        left.is_empty(),
        "{} processes of containers are left: {left:?}",
        left.len()
    );
    let left = crate::netns::list(&name.prefix());
    ensure!(left.is_empty(), "namespaces are left: {}", left.join(" "));
    ensure!(!name.dir().exists(), "{} is left", name.dir().display());
    Ok(())
}

/// The datapath to test: `SLUICE_TESTBED_DATAPATH`, or the userspace one, which works everywhere.
///
/// # Errors
/// When the variable says something else.
pub fn datapath() -> Result<Datapath> {
    match std::env::var("SLUICE_TESTBED_DATAPATH") {
        Ok(text) => Datapath::from_str(&text, false)
            .map_err(|_| anyhow!("SLUICE_TESTBED_DATAPATH is `{text}`, not netdev or system")),
        Err(_) => Ok(Datapath::Netdev),
    }
}

/// How often a [`crate::probe::Probe`] asks: each millisecond, or less in the guest, whose processor is
/// emulated and would lose packets by itself.
pub fn interval(options: &Options) -> Duration {
    match options.datapath() {
        Datapath::Netdev => Duration::from_millis(1),
        Datapath::System => Duration::from_millis(10),
    }
}

/// The folder with the programs under test, built now if they are not given.
///
/// # Errors
/// When they do not build.
pub fn binaries() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("SLUICE_BIN_DIR") {
        return Ok(PathBuf::from(dir));
    }
    let exe = std::env::current_exe()?;
    // target/PROFILE/deps/NAME-HASH
    let dir = exe.ancestors().nth(2).context("this test lies nowhere")?;
    let profile = match dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let mut build = run::command("cargo", ["build", "--quiet", "--profile", profile]);
    build.args([
        "-p",
        "sluice-agent",
        "-p",
        "sluice-cni",
        "-p",
        "sluice-testbed",
        "--bins",
    ]);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    run::stdout(&mut build).context("the programs under test do not build")?;
    Ok(dir.to_owned())
}

/// What a person needs to see why a scenario failed.
fn report(cluster: &Cluster) {
    for node in cluster.nodes().unwrap_or_default() {
        let flows = node.sh(
            "ovs-ofctl",
            &["-O", "OpenFlow13", "--names", "dump-flows", BRIDGE],
        );
        println!(
            "--- flows of {}\n{}",
            node.name(),
            flows.unwrap_or_else(|error| format!("{error:#}"))
        );
        for (what, command) in [
            ("cached flows", ["dpctl/dump-flows", "-m"].as_slice()),
            ("connections", &["dpctl/dump-conntrack"]),
            ("tunnel ports", &["tnl/ports/show", "-v"]),
            ("tunnel neighbours", &["tnl/neigh/show"]),
        ] {
            println!(
                "--- {what} of {}\n{}",
                node.name(),
                node.sh("ovs-appctl", command)
                    .unwrap_or_else(|error| format!("{error:#}"))
            );
        }
        println!(
            "--- devices of {}\n{}",
            node.name(),
            node.script("ip -br link; ip neigh").unwrap_or_default()
        );
        println!(
            "--- ports of {}\n{}",
            node.name(),
            node.sh("ovs-vsctl", &["show"]).unwrap_or_default()
        );
        let pods = cluster.pods().iter().filter(|pod| pod.node == node.number);
        let pods: Vec<_> = pods.map(|pod| pod.name.as_str()).collect();
        println!(
            "--- losses of {}\n{}",
            node.name(),
            losses::report(&node, &pods)
        );
    }
    report_logs(&cluster.name);
}

fn report_logs(name: &Name) {
    let Ok(cluster) = Cluster::open(name.clone()) else {
        return;
    };
    for node in cluster.nodes().unwrap_or_default() {
        let mut daemons = vec![Daemon::Agent, Daemon::Vswitchd];
        if cluster.options().kubernetes {
            daemons.extend([Daemon::Kubelet, Daemon::Containerd]);
        }
        for daemon in daemons {
            println!(
                "--- log of {} on {}\n{}",
                daemon.file(),
                node.name(),
                node.log_tail(daemon, 25)
            );
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Selection {
        Selection::parse(args.iter().map(|arg| (*arg).to_owned())).expect("it parses")
    }

    #[test]
    fn selects_as_cargo_does() {
        assert!(parse(&[]).takes("vxlan::pairs"));
        assert!(parse(&["pairs", "--nocapture"]).takes("vxlan::pairs"));
        assert!(!parse(&["pairs", "--exact"]).takes("vxlan::pairs"));
        assert!(!parse(&["--skip", "pairs", "--test-threads", "1"]).takes("vxlan::pairs"));
        assert!(Selection::parse(["--wrong".to_owned()].into_iter()).is_err());
    }
}
