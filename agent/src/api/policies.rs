//! `policies`: what policies say of the pods of this node, and what the switch counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sluice_flows::{Cookie, Direction, SubjectReport};
use sluice_rpc::report::{IsolatedPodReport, PolicyReport, RefusedReport, RuleReport};
use sluice_rpc::{PoliciesReport, PoliciesRequest};

use super::services::refusal;
use crate::index::Index;
use crate::reconciler::PolicyFlows;
use crate::source::Kind;

pub(super) fn report(
    index: &Index,
    flows: &PolicyFlows,
    request: &PoliciesRequest,
) -> PoliciesReport {
    let asked_for = |name: &str| request.name.as_ref().is_none_or(|part| name.contains(part));
    let count = |cookies: &[Cookie]| {
        let counted = cookies
            .iter()
            .filter_map(|cookie| flows.counted.get(&cookie.to_u64()));
        counted.fold((0, 0), |(packets, bytes), (p, b)| (packets + p, bytes + b))
    };
    let policies = flows
        .policies
        .iter()
        .filter(|policy| asked_for(policy.id.as_str()))
        .map(|policy| {
            let rules: Vec<_> = policy
                .rules
                .iter()
                .map(|rule| {
                    let (packets, bytes) = count(&rule.cookies);
                    RuleReport {
                        direction: rule.direction.to_string(),
                        index: u32::try_from(rule.index).unwrap_or(u32::MAX),
                        text: rule.text.clone(),
                        packets,
                        bytes,
                    }
                })
                .collect();
            let isolating = |subject: &&SubjectReport| subject.policies.contains(&policy.id);
            let denied = flows.subjects.iter().filter(isolating);
            let denied = denied.map(|subject| count(&[subject.cookie]).0).sum();
            let (namespace, name) = policy.id.as_str().split_once('/').unwrap_or_default();
            PolicyReport {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                pods: policy.pods.iter().map(|pod| flows.name(pod)).collect(),
                packets_allowed: rules.iter().map(|rule| rule.packets).sum(),
                packets_denied: denied,
                rules,
            }
        });
    let policies: Vec<_> = policies.collect();
    let named: BTreeSet<&str> = policies
        .iter()
        .flat_map(|policy| &policy.pods)
        .map(String::as_str)
        .collect();
    let mut isolated = isolated(flows, count);
    isolated.retain(|pod| request.name.is_none() || named.contains(pod.pod.as_str()));
    let refused = index.refusals().filter(|(object, _)| {
        let name = format!("{}/{}", object.namespace, object.name);
        object.kind == Kind::NetworkPolicy && asked_for(&name)
    });
    let faults = flows.faults.iter().filter(|fault| asked_for(fault));
    let faults = faults.map(|fault| RefusedReport {
        object: "NetworkPolicy".to_owned(),
        field: String::new(),
        message: fault.clone(),
    });
    PoliciesReport {
        isolated,
        refused: refused
            .map(|(object, why)| refusal(&object, why))
            .chain(faults)
            .collect(),
        policies,
    }
}

/// The isolated pods. Pods to which the same policies apply are counted together.
fn isolated(
    flows: &PolicyFlows,
    count: impl Fn(&[Cookie]) -> (u64, u64),
) -> Vec<IsolatedPodReport> {
    let mut pods: BTreeMap<String, HashMap<Direction, u64>> = BTreeMap::new();
    for subject in &flows.subjects {
        let (packets, _) = count(&[subject.cookie]);
        for pod in &subject.pods {
            let sides = pods.entry(flows.name(pod)).or_default();
            sides.insert(subject.direction, packets);
        }
    }
    let report = |(pod, sides): (String, HashMap<Direction, u64>)| IsolatedPodReport {
        pod,
        ingress: sides.get(&Direction::Ingress).copied(),
        egress: sides.get(&Direction::Egress).copied(),
    };
    pods.into_iter().map(report).collect()
}
