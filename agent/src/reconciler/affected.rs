//! Which pods of this node go without something that was asked for: a flow that the switch refuses, a policy that cannot
//! be compiled.
//!
//! Must not know who tells them.

use std::collections::BTreeSet;

use sluice_flows::cookie::Kind;
use sluice_flows::model::PodId;
use sluice_flows::{Compiler, Cookie, PolicyReport, SubjectReport};

/// What a pod goes without.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lack {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// What of it is not in force.
    pub what: Lacking,
    /// Why, in words.
    pub why: String,
}

/// What of a pod is not in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lacking {
    /// A part of its attachment.
    Attachment,
    /// A policy for it: what that allows may be denied.
    Policy,
}

/// What pods lack, given the flows that the switch refuses with what to say of each. Costs as much as there are
/// policies, unless nothing is wrong.
pub(super) fn lacks<'a>(
    compiler: &Compiler,
    refused: impl Iterator<Item = (Cookie, &'a str)>,
) -> BTreeSet<Lack> {
    let refused: Vec<_> = refused.collect();
    let faults = compiler.policy_faults();
    if refused.is_empty() && faults.is_empty() {
        return BTreeSet::new();
    }
    let (policies, subjects) = (compiler.policies(), compiler.subjects());
    let mut lacks = BTreeSet::new();
    for (cookie, why) in refused {
        match cookie.kind() {
            Some(Kind::Pod) => {
                let ids = compiler.state().pods.keys();
                let ids = ids.filter(|id| Cookie::pod(id) == cookie);
                note(&mut lacks, compiler, ids, Lacking::Attachment, why);
            }
            Some(Kind::Policy) => {
                let allows = |policy: &&PolicyReport| {
                    let mut cookies = policy.rules.iter().flat_map(|rule| &rule.cookies);
                    cookies.any(|it| *it == cookie)
                };
                let ids = policies.iter().filter(allows).flat_map(|it| &it.pods);
                note(&mut lacks, compiler, ids, Lacking::Policy, why);
            }
            Some(Kind::PolicyClass) => {
                // Of a group of pods, or else of addresses or ports, which any of them may need.
                let own = |subject: &&SubjectReport| subject.cookie == cookie;
                let any = !subjects.iter().any(|it| it.cookie == cookie);
                let ids = subjects.iter().filter(|it| any || own(it));
                let ids = ids.flat_map(|it| &it.pods);
                note(&mut lacks, compiler, ids, Lacking::Policy, why);
            }
            _ => {}
        }
    }
    for fault in faults {
        let ids: Vec<&PodId> = match &fault {
            sluice_flows::PolicyFault::Policy { id, .. } => {
                let those = policies.iter().filter(|it| it.id == *id);
                those.flat_map(|it| &it.pods).collect()
            }
            sluice_flows::PolicyFault::Numbers { direction, .. } => {
                let those = subjects.iter().filter(|it| it.direction == *direction);
                those.flat_map(|it| &it.pods).collect()
            }
        };
        let ids = ids.into_iter();
        note(
            &mut lacks,
            compiler,
            ids,
            Lacking::Policy,
            &fault.to_string(),
        );
    }
    lacks
}

fn note<'a>(
    lacks: &mut BTreeSet<Lack>,
    compiler: &Compiler,
    pods: impl Iterator<Item = &'a PodId>,
    what: Lacking,
    why: &str,
) {
    let pods = pods.filter_map(|id| compiler.state().pods.get(id));
    lacks.extend(pods.map(|pod| Lack {
        namespace: pod.namespace.to_string(),
        name: pod.name.to_string(),
        what,
        why: why.to_owned(),
    }));
}

#[cfg(test)]
mod tests;
