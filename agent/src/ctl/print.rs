//! Reports as text for people.

use std::fmt::Write as _;

use sluice_rpc::report::{DropSample, RefusedReport};
use sluice_rpc::{
    DropsReport, FlowsReport, PodsReport, PoliciesReport, ServicesReport, StatusReport,
    VerifyReport, WhyReport,
};

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
    for watch in &report.watches {
        let state = if watch.live { "" } else { ", not live" };
        line(
            "watch",
            format!(
                "{}: {} objects, {} bytes, {} changes, listed {}{state}",
                watch.what,
                watch.objects,
                watch.bytes,
                watch.changes,
                times(watch.lists)
            ),
        );
    }
    text
}

fn times(n: u64) -> String {
    match n {
        1 => "once".to_owned(),
        n => format!("{n} times"),
    }
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

/// `services`.
pub(super) fn services(report: &ServicesReport) -> String {
    let mut text = String::new();
    for service in &report.services {
        let addresses: Vec<_> = service
            .cluster_ips
            .iter()
            .chain(&service.external_ips)
            .map(ToString::to_string)
            .collect();
        let _infallible = write!(
            text,
            "{}/{}  {}  {}  internal {}, external {}",
            service.namespace,
            service.name,
            service.type_,
            addresses.join(" "),
            service.internal_policy,
            service.external_policy,
        );
        if let Some(seconds) = service.affinity_seconds {
            let _infallible = write!(text, ", clients kept for {seconds} s");
        }
        text.push('\n');
        for port in &service.ports {
            let local = port
                .local_id
                .map(|id| format!(" local {id:#x}"))
                .unwrap_or_default();
            let name = if port.name.is_empty() {
                ""
            } else {
                &format!("{} ", port.name)
            };
            let _infallible = writeln!(
                text,
                "  {name}{} {}  {}  id {:#x}{local}  {} packets",
                port.protocol,
                port.family,
                port.frontends.join(" "),
                port.id,
                port.packets
            );
            let mut rows = Vec::new();
            for endpoint in &port.endpoints {
                let state = match (endpoint.ready, endpoint.serving, endpoint.terminating) {
                    (true, _, _) => "ready",
                    (false, true, true) => "terminating, serving",
                    (false, false, true) => "terminating",
                    (false, _, false) => "not ready",
                };
                rows.push(vec![
                    format!("    {}", endpoint.address),
                    if endpoint.local {
                        "here".to_owned()
                    } else {
                        or_dash(&endpoint.node)
                    },
                    or_dash(&endpoint.zone),
                    state.to_owned(),
                    match endpoint.index {
                        Some(index) => format!("index {index}"),
                        None if endpoint.used => "used".to_owned(),
                        None => "not used".to_owned(),
                    },
                    format!("{} packets", endpoint.packets),
                ]);
            }
            if rows.is_empty() {
                text.push_str("    no endpoints: connections are refused\n");
            }
            text.push_str(&table(&rows));
        }
    }
    refused(&report.refused, &mut text);
    or_none(text, "Services")
}

fn refused(refused: &[RefusedReport], text: &mut String) {
    for RefusedReport {
        object,
        field,
        message,
    } in refused
    {
        let colon = if field.is_empty() { "" } else { ": " };
        let _infallible = writeln!(text, "! not in force: {object}{colon}{field}: {message}");
    }
}

/// `policies`.
pub(super) fn policies(report: &PoliciesReport) -> String {
    let mut text = String::new();
    for policy in &report.policies {
        let _infallible = writeln!(
            text,
            "{}/{}  {} packets allowed, {} denied by isolation",
            policy.namespace, policy.name, policy.packets_allowed, policy.packets_denied
        );
        let pods = if policy.pods.is_empty() {
            "none".to_owned()
        } else {
            policy.pods.join(" ")
        };
        let _infallible = writeln!(text, "  pods here: {pods}");
        for rule in &policy.rules {
            let _infallible = writeln!(
                text,
                "  {} {}: {}  ({} packets, {} bytes)",
                rule.direction, rule.index, rule.text, rule.packets, rule.bytes
            );
        }
    }
    for pod in &report.isolated {
        let side = |name: &str, dropped: Option<u64>| {
            dropped.map(|packets| format!("{name} ({packets} packets dropped)"))
        };
        let sides: Vec<_> = [side("ingress", pod.ingress), side("egress", pod.egress)]
            .into_iter()
            .flatten()
            .collect();
        let _infallible = writeln!(text, "isolated {}: {}", pod.pod, sides.join(", "));
    }
    refused(&report.refused, &mut text);
    or_none(text, "NetworkPolicies that matter to pods of this node")
}

/// An empty answer is said, too.
fn or_none(text: String, what: &str) -> String {
    if text.is_empty() {
        return format!("no {what}\n");
    }
    text
}

/// `drops`: the reasons that dropped anything.
pub(super) fn drops(report: &DropsReport) -> String {
    let mut rows = vec![
        ["REASON", "PACKETS", "BYTES", "MEANS"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for reason in report.reasons.iter().filter(|reason| reason.packets > 0) {
        rows.push(vec![
            reason.reason.clone(),
            reason.packets.to_string(),
            reason.bytes.to_string(),
            reason.explanation.clone(),
        ]);
    }
    if rows.len() == 1 {
        return "nothing was dropped\n".to_owned();
    }
    table(&rows)
}

/// One line of `drops --follow`.
pub(super) fn drop_sample(sample: &DropSample) -> String {
    let port = sample
        .port
        .map(|port| format!("/{port}"))
        .unwrap_or_default();
    let (seconds, millis) = (sample.time_ms / 1000 % 86_400, sample.time_ms % 1000);
    format!(
        "{:02}:{:02}:{:02}.{millis:03}  {} -> {}  {}{port}  {}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        sample.from,
        sample.to,
        sample.protocol,
        sample.reason
    )
}

/// `why`.
pub(super) fn why(report: &WhyReport) -> String {
    let mut text = format!("{}\n", report.packet);
    for step in &report.steps {
        if step.recirculated {
            text.push_str("    -- through conntrack --\n");
        }
        let _infallible = writeln!(
            text,
            "{:>2} {}: {}  # {}",
            step.table, step.table_name, step.flow, step.object
        );
        if !step.changed.is_empty() {
            let _infallible = writeln!(text, "      {}", step.changed.join(" "));
        }
    }
    if let Some(endpoint) = &report.endpoint {
        let _infallible = writeln!(text, "endpoint {endpoint}");
    }
    let _infallible = writeln!(text, "{}: {}", report.verdict, report.explanation);
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
        "{}: {} flows wanted, {} found; {} groups wanted, {} found; {} differences; besides, {} flows that go by \
         themselves and {} of others",
        if report.in_sync {
            "in sync"
        } else {
            "not in sync"
        },
        report.desired_flows,
        report.installed_flows,
        report.desired_groups,
        report.installed_groups,
        report.differences.len(),
        report.temporary_flows,
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

    #[test]
    fn flows_that_go_by_themselves_are_no_part_of_the_sum() {
        let report = VerifyReport {
            in_sync: true,
            desired_flows: 276,
            installed_flows: 276,
            temporary_flows: 2,
            foreign_flows: 1,
            ..VerifyReport::default()
        };
        assert_eq!(
            verify(&report),
            "in sync: 276 flows wanted, 276 found; 0 groups wanted, 0 found; 0 differences; besides, 2 flows that go \
             by themselves and 1 of others\n"
        );
    }
}
