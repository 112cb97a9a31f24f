//! Reports as text for people.

use std::fmt::Write as _;

use sluice_rpc::{FlowsReport, PodsReport, StatusReport, VerifyReport};

/// `status`.
pub(super) fn status(report: &StatusReport) -> String {
    let StatusReport {
        version,
        node,
        uptime_seconds,
        ready,
        problems,
        switch,
        ..
    } = report;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _infallible = writeln!(text, "{name:<12}{value}");
    };
    line("node", node.clone());
    line(
        "agent",
        format!("{version}, up {}", duration(*uptime_seconds)),
    );
    line(
        "ready",
        if *ready {
            "yes".to_owned()
        } else {
            "no".to_owned()
        },
    );
    for problem in problems {
        line("", format!("! {problem}"));
    }
    line(
        "switch",
        format!(
            "{} on Open vSwitch {} ({}), OVSDB {}, OpenFlow {}",
            switch.bridge,
            switch.ovs_version,
            switch.datapath_type,
            up(switch.ovsdb_connected),
            up(switch.openflow_connected),
        ),
    );
    if let Some(tunnel) = &report.tunnel {
        line(
            "tunnel",
            format!(
                "{} by port {} ({}), pod MTU {}",
                tunnel.kind, tunnel.ifname, tunnel.ofport, tunnel.pod_mtu
            ),
        );
    }
    for range in &report.ranges {
        line(
            "range",
            format!("{}, {} used, {} free", range.cidr, range.used, range.free),
        );
    }
    let reconciler = &report.reconciler;
    line(
        "flows",
        format!(
            "{}, {} bundles, {} refused, {} repaired",
            if reconciler.in_sync {
                "in sync"
            } else {
                "not in sync"
            },
            reconciler.bundles,
            reconciler.failures,
            reconciler.repaired,
        ),
    );
    if let Some(seconds) = reconciler.last_audit_seconds {
        line("", format!("last compared {seconds:.1} s ago"));
    }
    if let Some(error) = &reconciler.last_error {
        line("", format!("! {error}"));
    }
    let counts: Vec<_> = report
        .counts
        .iter()
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    line("counts", counts.join(", "));
    text
}

/// `pods`.
pub(super) fn pods(report: &PodsReport) -> String {
    let mut rows = vec![
        [
            "NAMESPACE",
            "NAME",
            "IPS",
            "MAC",
            "PORT",
            "OFPORT",
            "ATTACH",
            "STATE",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let mut problems = Vec::new();
    for pod in &report.pods {
        let ips: Vec<_> = pod.ips.iter().map(ToString::to_string).collect();
        rows.push(vec![
            or_dash(&pod.namespace),
            if pod.name.is_empty() {
                pod.container_id.clone()
            } else {
                pod.name.clone()
            },
            ips.join(","),
            pod.mac.clone(),
            pod.host_ifname.clone(),
            pod.ofport
                .map_or_else(|| "-".to_owned(), |port| port.to_string()),
            pod.attach.clone(),
            format!("{:?}", pod.state).to_lowercase(),
        ]);
        if let Some(problem) = &pod.problem {
            problems.push(format!("! {}/{}: {problem}", pod.namespace, pod.name));
        }
    }
    let mut text = table(&rows);
    for problem in problems {
        text.push_str(&problem);
        text.push('\n');
    }
    text
}

/// `flows`: the words of `ovs-ofctl dump-flows`, and behind each flow its object.
pub(super) fn flows(report: &FlowsReport) -> String {
    let mut text = String::new();
    let mut current = None;
    for flow in &report.flows {
        if current != Some(flow.table) {
            current = Some(flow.table);
            let _infallible = writeln!(text, "# table {} {}", flow.table, flow.table_name);
        }
        let object = flow.object.as_deref().unwrap_or("not ours");
        let _infallible = writeln!(text, "{}  # {object}", flow.text.trim());
    }
    text
}

/// `verify`.
pub(super) fn verify(report: &VerifyReport) -> String {
    let mut text = String::new();
    for difference in &report.differences {
        let object = difference.object.as_deref().unwrap_or("unknown object");
        let _infallible = writeln!(text, "{} {} ({object})", difference.kind, difference.what);
        for (name, side) in [
            ("wanted", &difference.desired),
            ("found", &difference.installed),
        ] {
            if let Some(side) = side {
                let _infallible = writeln!(text, "  {name:<7}{}", side.trim());
            }
        }
    }
    let _infallible = writeln!(
        text,
        "{}: {} of {} flows, {} of {} groups, {} differences, {} flows of others",
        if report.in_sync {
            "in sync"
        } else {
            "not in sync"
        },
        report.installed_flows,
        report.desired_flows,
        report.installed_groups,
        report.desired_groups,
        report.differences.len(),
        report.foreign_flows,
    );
    text
}

fn up(connected: bool) -> &'static str {
    if connected {
        "connected"
    } else {
        "not connected"
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        text.to_owned()
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// Columns as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<_> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|c| c.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _infallible = write!(line, "{cell:<width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_rpc::{FlowReport, PodReport, VerifyDifference};

    #[test]
    fn pods_line_up() {
        let pod = PodReport {
            namespace: "default".to_owned(),
            name: "web-0".to_owned(),
            ips: vec!["10.0.0.2".parse().expect("an address")],
            ..PodReport::default()
        };
        let text = pods(&PodsReport { pods: vec![pod] });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0].find("NAME "), lines[1].find("web-0"), "{text}");
    }

    #[test]
    fn flows_carry_their_object() {
        let flow = FlowReport {
            table: 4,
            table_name: "Guard".to_owned(),
            text: " table=4, priority=1 actions=drop".to_owned(),
            object: Some("pod default/web-0".to_owned()),
            ..FlowReport::default()
        };
        let text = flows(&FlowsReport { flows: vec![flow] });
        assert_eq!(
            text,
            "# table 4 Guard\ntable=4, priority=1 actions=drop  # pod default/web-0\n"
        );
    }

    #[test]
    fn a_difference_shows_both_sides() {
        let report = VerifyReport {
            differences: vec![VerifyDifference {
                kind: "changed".to_owned(),
                what: "flow".to_owned(),
                object: None,
                desired: Some("a".to_owned()),
                installed: Some("b".to_owned()),
            }],
            ..VerifyReport::default()
        };
        let text = verify(&report);
        assert!(
            text.contains("changed flow (unknown object)\n  wanted a\n  found  b\n"),
            "{text}"
        );
    }
}
