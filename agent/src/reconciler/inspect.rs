//! Answers about the switch: what it holds, and where that differs from what it shall hold.

use std::collections::{BTreeMap, HashMap};

use super::{PolicyFlows, ServiceFlows};
use openflow::connection::FlowStatsRequest;
use openflow::{FlowStats, GroupDesc, TableId};
use sluice_flows::model::{ServiceId, State};
use sluice_flows::pipeline::Table;
use sluice_flows::service::{Scope, counters, service_number};
use sluice_flows::{Compiler, Cookie, Flow, FlowKey, Program, cookie::Registry, diff};
use sluice_rpc::{FlowReport, FlowsRequest, VerifyDifference, VerifyReport};

/// The tables that policies count in.
pub(super) const POLICY: [Table; 2] = [Table::EgressPolicy, Table::IngressPolicy];

/// Compares everything.
pub(super) fn verify(
    compiler: &Compiler,
    flows: &[FlowStats],
    groups: &[GroupDesc],
) -> VerifyReport {
    let program = compiler.desired();
    let patch = diff(&program, flows, groups);
    let registry = compiler.registry();
    let found: HashMap<FlowKey, &FlowStats> = flows.iter().map(|flow| (key(flow), flow)).collect();
    let mut differences = Vec::new();
    for flow in &patch.flows_set {
        let installed = found.get(&flow.key);
        differences.push(VerifyDifference {
            kind: if installed.is_some() {
                "changed"
            } else {
                "missing"
            }
            .to_owned(),
            what: "flow".to_owned(),
            object: Some(flow.cookie.describe(&registry)),
            desired: Some(flow.to_string()),
            installed: installed.map(|flow| flow.to_string()),
        });
    }
    for key in &patch.flows_gone {
        let installed = found.get(key);
        differences.push(VerifyDifference {
            kind: "extra".to_owned(),
            what: "flow".to_owned(),
            object: installed.map(|flow| registry.describe(flow.cookie)),
            desired: None,
            installed: installed.map(|flow| flow.to_string()),
        });
    }
    let group = |kind: &str, id| VerifyDifference {
        kind: kind.to_owned(),
        what: "group".to_owned(),
        object: None,
        desired: program.group(id).map(|group| format!("{group:?}")),
        installed: groups
            .iter()
            .find(|group| group.id == id)
            .map(|group| format!("{group:?}")),
    };
    for set in &patch.groups_set {
        let present = groups.iter().any(|group| group.id == set.id);
        differences.push(group(if present { "changed" } else { "missing" }, set.id));
    }
    differences.extend(patch.groups_gone.iter().map(|&id| group("extra", id)));
    let (mut ours, mut temporary) = (0, 0);
    for cookie in flows
        .iter()
        .filter_map(|flow| Cookie::from_u64(flow.cookie))
    {
        match cookie.kind() {
            Some(kind) if !kind.is_compiled() => temporary += 1,
            _ => ours += 1,
        }
    }
    VerifyReport {
        in_sync: differences.is_empty(),
        desired_flows: count(program.len()),
        installed_flows: count(ours),
        temporary_flows: count(temporary),
        desired_groups: count(program.groups().count()),
        installed_groups: count(groups.len()),
        foreign_flows: count(flows.len() - ours - temporary),
        differences,
    }
}

/// The flows that a filter leaves, as far as the switch can filter.
pub(super) fn request(filter: &FlowsRequest) -> FlowStatsRequest {
    match filter.table {
        Some(table) => FlowStatsRequest {
            table: TableId(table),
            ..FlowStatsRequest::default()
        },
        None => FlowStatsRequest::default(),
    }
}

/// The flows of one table.
pub(super) fn request_table(table: Table) -> FlowStatsRequest {
    FlowStatsRequest {
        table: table.id(),
        ..FlowStatsRequest::default()
    }
}

/// The flows of one object.
pub(super) fn request_object(cookie: Cookie) -> FlowStatsRequest {
    FlowStatsRequest {
        cookie: cookie.to_u64(),
        cookie_mask: u64::MAX,
        ..FlowStatsRequest::default()
    }
}

/// Flows with the objects behind them, in order of table, then falling priority.
pub(super) fn annotate(
    registry: &Registry,
    filter: &FlowsRequest,
    mut flows: Vec<FlowStats>,
) -> Vec<FlowReport> {
    flows.sort_by(|a, b| (a.table, b.priority, &a.match_).cmp(&(b.table, a.priority, &b.match_)));
    flows
        .into_iter()
        .filter_map(|flow| {
            let object = Cookie::from_u64(flow.cookie).map(|cookie| cookie.describe(registry));
            if let Some(wanted) = &filter.object
                && !object
                    .as_ref()
                    .is_some_and(|object| object.contains(wanted))
            {
                return None;
            }
            Some(FlowReport {
                table: flow.table.0,
                table_name: table_name(flow.table),
                priority: flow.priority,
                cookie: flow.cookie,
                object,
                packets: flow.packet_count,
                bytes: flow.byte_count,
                text: flow.to_string(),
            })
        })
        .collect()
}

/// What is known of policies, with what these flows of their tables counted.
pub(super) fn policies(compiler: &Compiler, flows: &[FlowStats]) -> PolicyFlows {
    let mut counted: HashMap<u64, (u64, u64)> = HashMap::new();
    for flow in flows {
        let (packets, bytes) = counted.entry(flow.cookie).or_default();
        *packets += flow.packet_count;
        *bytes += flow.byte_count;
    }
    let pods = compiler.state().pods.values();
    let named = pods.map(|pod| (pod.id.clone(), format!("{}/{}", pod.namespace, pod.name)));
    PolicyFlows {
        policies: compiler.policies(),
        subjects: compiler.subjects(),
        faults: compiler
            .policy_faults()
            .iter()
            .map(ToString::to_string)
            .collect(),
        names: named.collect(),
        counted,
    }
}

/// What is known of Services, with what these flows counted.
pub(super) fn services(state: &State, flows: &[FlowStats]) -> BTreeMap<ServiceId, ServiceFlows> {
    let mut counted = counters(state, flows);
    let known = state.services.keys().map(|id| {
        let counters = counted.remove(id).unwrap_or_default();
        let mut endpoints = BTreeMap::new();
        for scope in [Scope::Cluster, Scope::Local] {
            for (index, backend) in state.memory.slots(id, scope).iter() {
                let packets = counters.endpoints.get(&(scope, backend)).copied();
                endpoints.insert((scope, backend), (index, packets.unwrap_or_default()));
            }
        }
        let flows = ServiceFlows {
            id: service_number(id, Scope::Cluster),
            local_id: service_number(id, Scope::Local),
            packets: counters.packets,
            endpoints,
        };
        (id.clone(), flows)
    });
    known.collect()
}

/// What of one object's flows is missing or different.
pub(super) fn check_object(
    compiler: &Compiler,
    cookie: Cookie,
    installed: &[FlowStats],
) -> Vec<String> {
    let mut wanted = Program::default();
    for (key, of, instructions) in compiler.desired().flows() {
        if of == cookie {
            let instructions = instructions.to_vec();
            wanted.insert(Flow {
                key: key.clone(),
                cookie,
                instructions,
            });
        }
    }
    if wanted.is_empty() {
        return vec!["no flows are wanted for it".to_owned()];
    }
    let patch = diff(&wanted, installed, &[]);
    let missing = patch
        .flows_set
        .iter()
        .map(|flow| format!("flow missing or changed: {flow}"));
    let extra = patch
        .flows_gone
        .iter()
        .map(|key| format!("flow not wanted: {key}"));
    missing.chain(extra).collect()
}

fn key(flow: &FlowStats) -> FlowKey {
    FlowKey {
        table: flow.table,
        priority: flow.priority,
        match_: flow.match_.clone(),
    }
}

fn table_name(id: TableId) -> String {
    Table::ALL
        .iter()
        .find(|table| table.id() == id)
        .map(|table| table.name().to_owned())
        .unwrap_or_default()
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
