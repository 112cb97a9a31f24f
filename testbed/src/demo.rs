//! What a person gets to see: the nodes drawn, who reaches whom and how fast, an application with a Service and a
//! policy, and the flows that do it.

mod application;

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubernetes::{self, control_plane::Component};
use crate::layout::{self, BRIDGE, Name};
use crate::node::{Daemon, Node};
use crate::options;
use crate::ping::Report;
use crate::pod::Pod;
use crate::run::step;

/// How many flows are shown.
const FLOWS: usize = 10;
/// How many of one table, as long as other tables have some.
const PER_TABLE: usize = 2;
/// Probes for each pair; the first pays for the switch's slow path and is not counted.
const PROBES: u32 = 4;

/// Attaches pods where there are none yet and shows all there is to see.
///
/// # Errors
/// When a pod cannot be attached, or a pair of pods cannot talk.
pub fn run(mut cluster: Cluster, pods: u8) -> Result<()> {
    application::remove(&cluster)?;
    for node in cluster.nodes()? {
        for index in 1..=pods {
            let name = format!(
                "{}-{}",
                ["web", "api", "db", "job"][usize::from(index - 1) % 4],
                node.number
            );
            let name = if index > 4 {
                format!("{name}-{}", (index - 1) / 4)
            } else {
                name
            };
            if cluster.pod(&name).is_err() {
                step(format!(
                    "attaching pod {name} to {} by sluice-cni ADD",
                    node.name()
                ));
                cluster.attach(node.number, &name)?;
            }
        }
    }
    println!("\n{}", drawing(&cluster));
    let mut lost = false;
    for ipv6 in [false, true] {
        if ipv6 && !cluster.options().ipv6 {
            continue;
        }
        step(format!(
            "measuring every pair over IPv{}",
            if ipv6 { 6 } else { 4 }
        ));
        let matrix = matrix(&cluster, ipv6)?;
        lost |= matrix.iter().flatten().any(Option::is_none);
        println!("\n{}", table(&cluster, &matrix, ipv6));
    }
    ensure!(!lost, "some pods do not reach each other");
    step("putting an application into the folder of manifests");
    match application::show(&cluster)? {
        Some(text) => println!("\n{text}"),
        None => println!(
            "\nThere are no two kinds of pods here for a Service and a policy: --pods 2 makes them.\n"
        ),
    }
    let first = cluster
        .nodes()?
        .into_iter()
        .next()
        .context("a testbed without nodes")?;
    println!(
        "Ten of the flows on {}, with what each is for (sluice-testbed exec {} sluicectl flows):\n",
        first.name(),
        first.name()
    );
    println!("{}", flows(&first)?);
    Ok(())
}

/// What to type next.
pub fn hints(name: &Name) {
    let flag = if name.as_str() == "demo" {
        String::new()
    } else {
        format!("--name {} ", name.as_str())
    };
    println!("The testbed stays up. Try:");
    for (command, what) in [
        (
            format!("exec n1 ovs-ofctl --names dump-flows {BRIDGE}"),
            "the flows as Open vSwitch prints them",
        ),
        ("exec n1 sluicectl verify".into(), "wanted against actual"),
        (
            "exec n1 sluicectl services".into(),
            "Services and their endpoints",
        ),
        (
            "exec n1 sluicectl policies".into(),
            "policies: whom they select, what they let pass",
        ),
        (
            "exec n1 sluicectl drops".into(),
            "what was dropped, and why",
        ),
        ("exec web-1 ping 10.244.2.2".into(), "a command in a pod"),
        ("status".into(), "nodes, pods, daemons"),
        ("down".into(), "remove everything"),
    ] {
        println!("  testbed/sluice-testbed {flag}{command:<52} # {what}");
    }
}

/// A pod's addresses as text.
pub fn addresses(pod: &Pod) -> String {
    pod.addresses
        .iter()
        .map(IpAddr::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The nodes, their pods, and what joins them.
pub fn drawing(cluster: &Cluster) -> String {
    let options = cluster.options();
    let mut columns: Vec<Vec<String>> = Vec::new();
    let numbers: Vec<u8> = cluster
        .nodes()
        .unwrap_or_default()
        .iter()
        .map(|node| node.number)
        .collect();
    for &number in &numbers {
        let mut lines = vec![format!("node {}", layout::node_name(number))];
        for pod in cluster.pods().iter().filter(|pod| pod.node == number) {
            lines.push(format!("  {} ", pod.name));
            lines.extend(pod.addresses.iter().map(|address| format!("    {address}")));
        }
        lines.push(format!(
            "  [{BRIDGE}: {}]",
            options::name(options.datapath())
        ));
        let underlay: IpAddr = if options.underlay_ipv6 {
            layout::underlay_v6(number).into()
        } else {
            layout::underlay_v4(number).into()
        };
        lines.push(format!("  {underlay}"));
        columns.push(lines);
    }
    let mut out = String::new();
    for row in columns.chunks(4) {
        let width = row
            .iter()
            .flatten()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
            + 2;
        let height = row.iter().map(Vec::len).max().unwrap_or(0);
        let rule = format!("+{}+", "-".repeat(width));
        let edge = vec![rule.as_str(); row.len()].join("  ");
        let _ = writeln!(out, "{edge}");
        for index in 0..height {
            let cells: Vec<String> = row
                .iter()
                .map(|lines| format!("|{:<width$}|", lines.get(index).map_or("", String::as_str)))
                .collect();
            let _ = writeln!(out, "{}", cells.join("  "));
        }
        let _ = writeln!(out, "{edge}");
        let stems: Vec<String> = row
            .iter()
            .map(|_| format!("{:^w$}", "|", w = width + 2))
            .collect();
        let _ = writeln!(out, "{}", stems.join("  "));
        let _ = writeln!(out, "{}", "=".repeat((width + 4) * row.len() - 2));
    }
    let _ = writeln!(
        out,
        "  tunnel: {} over IPv{}, underlay MTU {}; pods attached by {} ports",
        options::name(options.tunnel),
        if options.underlay_ipv6 { 6 } else { 4 },
        options.mtu,
        options::name(options.attach),
    );
    out
}

/// Mean round trip in milliseconds from each pod (row) to each pod (column); `None` where an answer is missing.
///
/// # Errors
/// When `ping` cannot be run.
pub fn matrix(cluster: &Cluster, ipv6: bool) -> Result<Vec<Vec<Option<f64>>>> {
    let targets: Vec<IpAddr> = cluster
        .pods()
        .iter()
        .map(|pod| pod.address(ipv6))
        .collect::<Result<_>>()?;
    std::thread::scope(|scope| {
        let rows: Vec<_> = cluster
            .pods()
            .iter()
            .map(|pod| scope.spawn(|| row(cluster, pod, &targets)))
            .collect();
        rows.into_iter()
            .map(|row| row.join().unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    })
}

/// One row of the matrix, by one shell in the pod.
fn row(cluster: &Cluster, pod: &Pod, targets: &[IpAddr]) -> Result<Vec<Option<f64>>> {
    let mut script = String::new();
    for target in targets {
        // The first probe warms the caches. With `-w`, ping goes on until so many are answered or the time is up: on
        // a machine that is busy elsewhere, a late answer is not a lost one.
        let _ = writeln!(
            script,
            "ping -n -q -c 1 -W 2 {target} >/dev/null 2>&1 || true; echo @; \
             ping -n -q -i 0.01 -c {PROBES} -w 5 {target} || true"
        );
    }
    let node = cluster.node(pod.node)?;
    let text = node.pod_sh(&pod.name, "sh", &["-c", &script])?;
    text.split('@')
        .skip(1)
        .map(|part| {
            let report = Report::parse(part)?;
            Ok(report.mean_ms.filter(|_| report.received >= PROBES.into()))
        })
        .collect::<Result<Vec<_>>>()
        .with_context(|| format!("from {}", pod.name))
}

fn table(cluster: &Cluster, matrix: &[Vec<Option<f64>>], ipv6: bool) -> String {
    let names: Vec<&str> = cluster.pods().iter().map(|pod| pod.name.as_str()).collect();
    let width = names
        .iter()
        .map(|name| name.len())
        .max()
        .unwrap_or(4)
        .max(6)
        + 2;
    let mut out = format!(
        "Reachability over IPv{}, mean round trip in ms (* through the {} tunnel):\n\n{:width$}",
        if ipv6 { 6 } else { 4 },
        options::name(cluster.options().tunnel),
        ""
    );
    for name in &names {
        let _ = write!(out, "{name:>width$}");
    }
    out.push('\n');
    for (from, row) in cluster.pods().iter().zip(matrix) {
        let _ = write!(out, "{:width$}", from.name);
        for (to, cell) in cluster.pods().iter().zip(row) {
            let mark = if from.node == to.node { " " } else { "*" };
            let text = cell.map_or_else(|| "lost ".to_owned(), |ms| format!("{ms:.3}{mark}"));
            let _ = write!(out, "{text:>width$}");
        }
        out.push('\n');
    }
    out
}

/// Some of a node's flows with the object behind each: the busiest of each table that are some object's, in the
/// packets' order.
fn flows(node: &Node) -> Result<String> {
    let report: Value = serde_json::from_str(&node.sh("sluicectl", &["flows", "-o", "json"])?)?;
    let all = report["flows"]
        .as_array()
        .context("sluicectl names no flows")?;
    let mut chosen: Vec<&Value> = Vec::new();
    let mut busiest: Vec<&Value> = all.iter().collect();
    // What each node has alike is told last.
    let alike = |flow: &Value| {
        let object = flow["object"].as_str().unwrap_or_default();
        ["base ", "drop ", "node "]
            .iter()
            .any(|kind| object.starts_with(kind))
    };
    busiest.sort_by_key(|flow| (alike(flow), std::cmp::Reverse(flow["packets"].as_u64())));
    // Two of each table first, whatever the next ones have counted.
    for limit in [PER_TABLE, usize::MAX] {
        for flow in &busiest {
            let same = chosen
                .iter()
                .filter(|other| other["table"] == flow["table"])
                .count();
            if chosen.len() < FLOWS && same < limit && !chosen.contains(flow) {
                chosen.push(flow);
            }
        }
    }
    chosen.sort_by_key(|flow| {
        (
            flow["table"].as_u64(),
            std::cmp::Reverse(flow["priority"].as_u64()),
        )
    });
    let mut out = String::new();
    for flow in chosen {
        let text = flow["text"].as_str().unwrap_or_default();
        // The cookie and the counters in front are told in words.
        let rule = text
            .find("priority=")
            .and_then(|at| text.get(at..))
            .unwrap_or(text);
        let _ = writeln!(
            out,
            "  {:<9} {:>6} packets   for {}\n      {rule}",
            flow["table_name"].as_str().unwrap_or("?"),
            flow["packets"].as_u64().unwrap_or(0),
            flow["object"].as_str().unwrap_or("somebody else"),
        );
    }
    Ok(out)
}

fn up_or_down(name: &str, runs: bool) -> String {
    format!("{name} {}", if runs { "up" } else { "DOWN" })
}

/// Nodes, pods and daemons as text.
///
/// # Errors
/// When Docker does not answer.
pub fn status(cluster: &Cluster) -> Result<String> {
    let mut out = drawing(cluster);
    if let Ok(control) = kubernetes::control_plane(cluster) {
        let parts = Component::ALL
            .map(|component| up_or_down(component.name(), control.process(component).is_ok()));
        let _ = writeln!(out, "control plane: {}", parts.join(", "));
    }
    for node in cluster.nodes()? {
        let mut daemons = vec![Daemon::Ovsdb, Daemon::Vswitchd, Daemon::Agent];
        if cluster.options().kubernetes {
            daemons.extend([Daemon::Containerd, Daemon::Kubelet]);
        }
        let daemons: Vec<String> = daemons
            .into_iter()
            .map(|daemon| up_or_down(daemon.file(), node.runs(daemon)))
            .collect();
        let _ = writeln!(out, "{}: {}", node.name(), daemons.join(", "));
        if let Ok(text) = node.sh("sluicectl", &["status"]) {
            for line in text.lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    Ok(out)
}
