//! What people and the agent ask of policy: who is selected, what is allowed, what is counted where.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::Direction;
use super::content::{RuleContent, ingress_rule};
use super::engine::{Engine, numbers, rules_of};
use crate::cookie::{Cookie, PolicyPart};
use crate::model::{
    PodId, Policy, PolicyId, PolicyPeer, PolicyPort, Ports, Protocol, Requirement, Rule, Selector,
    State,
};

/// A policy as this node has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyReport {
    /// Which.
    pub id: PolicyId,
    /// The pods of this node that it selects.
    pub pods: Vec<PodId>,
    /// The directions in which it isolates them.
    pub isolates: Vec<Direction>,
    /// Its rules, in order, egress first.
    pub rules: Vec<RuleReport>,
    /// Why it is not compiled, if it is not: then it isolates, and allows nothing.
    pub fault: Option<String>,
}

/// A rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    /// Its direction.
    pub direction: Direction,
    /// Its place among the policy's rules of that direction.
    pub index: usize,
    /// What it says, in words.
    pub text: String,
    /// The cookies of the flows that count what it allows. Several if ports have names; none if it allows nothing.
    pub cookies: Vec<Cookie>,
}

/// Pods to which the same policies apply in a direction: what is counted as denied to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectReport {
    /// The direction.
    pub direction: Direction,
    /// The number that stands for them in flows.
    pub number: u32,
    /// The cookie of the flows that count what isolation denies them.
    pub cookie: Cookie,
    /// The pods.
    pub pods: Vec<PodId>,
    /// The policies.
    pub policies: Vec<PolicyId>,
}

/// Something that could not be compiled. It allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// A policy is too large.
    #[error("policy {id} isolates its pods and allows nothing: {reason}")]
    Policy {
        /// Which.
        id: PolicyId,
        /// What is too large.
        reason: String,
    },
    /// Too many contents share a hash.
    #[error(
        "{count} rules, classes or subjects for {direction} have no number left and allow nothing"
    )]
    Numbers {
        /// How many.
        count: usize,
        /// In which direction.
        direction: Direction,
    },
}

/// What policy says of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may be.
    Allowed,
    /// Isolation in this direction denies it.
    Denied(Direction),
}

impl Engine {
    /// Whether what policies say of a local pod is known.
    pub(crate) fn is_known(&self, pod: &PodId) -> bool {
        self.locals
            .get(pod)
            .is_some_and(|local| local.joined.is_some())
    }

    /// What policies of this node say of a connection. A protocol and port of `None` is ICMP and the like.
    pub(crate) fn judge(
        &self,
        source: IpAddr,
        destination: IpAddr,
        port: Option<(Protocol, u16)>,
        state: &State,
    ) -> Verdict {
        let find = |ip: IpAddr| self.locals.values().find(|local| local.ips.contains(&ip));
        let (from, to) = (find(source), find(destination));
        let itself = from.is_some_and(|from| to.is_some_and(|to| std::ptr::eq(from, to)));
        if itself {
            return Verdict::Allowed;
        }
        let node = &state.local;
        let of_node = node.gateway.ips.contains(&source) || node.addresses.contains(&source);
        for (direction, local, peer) in [
            (Direction::Egress, from, destination),
            (Direction::Ingress, to.filter(|_| !of_node), source),
        ] {
            let index = direction.index();
            let Some(subject) = local.and_then(|local| local.subjects[index]) else {
                continue;
            };
            let side = &self.sides[index];
            let allows = |id: &u32| {
                let ports = side.rules[*id].content.ports.as_ref();
                let on_port = match (ports, port) {
                    (None, _) => true,
                    (Some(ports), Some((protocol, port))) => ports.contains(protocol, port),
                    (Some(_), None) => false,
                };
                on_port && side.rule_number(*id).is_some() && side.is_peer(*id, peer)
            };
            if !side.subjects[subject].rules.iter().any(allows) {
                return Verdict::Denied(direction);
            }
        }
        Verdict::Allowed
    }

    /// What could not be compiled.
    pub(crate) fn faults(&self) -> Vec<PolicyFault> {
        let mut faults: Vec<(PolicyId, String)> = self
            .policies
            .iter()
            .filter_map(|(_, entry)| Some((entry.policy.id.clone(), entry.fault.clone()?)))
            .collect();
        faults.sort_unstable();
        let policies = faults.into_iter();
        let policies = policies.map(|(id, reason)| PolicyFault::Policy { id, reason });
        let numbers = self.sides.iter().filter(|side| side.excess() > 0);
        let numbers = numbers.map(|side| PolicyFault::Numbers {
            count: side.excess(),
            direction: side.direction,
        });
        policies.chain(numbers).collect()
    }

    /// Every policy that selects a pod of this node.
    pub(crate) fn policy_reports(&self) -> Vec<PolicyReport> {
        let selecting = self.policies.iter().filter(|(_, entry)| entry.users > 0);
        let mut reports: Vec<PolicyReport> = selecting.map(|(id, _)| self.report(id)).collect();
        reports.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        reports
    }

    fn report(&self, id: u32) -> PolicyReport {
        let entry = &self.policies[id];
        let policy = &entry.policy;
        let applies = |direction: Direction| {
            let index = direction.index();
            let locals = self.locals.iter();
            locals.filter(move |(_, local)| local.applies[index].binary_search(&id).is_ok())
        };
        let both = Direction::ALL.into_iter().flat_map(applies);
        let mut pods: Vec<PodId> = both.map(|(id, _)| id.clone()).collect();
        pods.sort_unstable();
        pods.dedup();
        let mut rules = Vec::new();
        for direction in Direction::ALL {
            for (index, rule) in rules_of(policy, direction)
                .into_iter()
                .flatten()
                .enumerate()
            {
                let mut contents: Vec<RuleContent> = match direction {
                    Direction::Egress => self.egress_rule(policy, index),
                    Direction::Ingress => applies(direction)
                        .filter_map(|(_, local)| {
                            let ports = local.joined.as_ref().map_or(&[][..], |pod| &pod.ports);
                            ingress_rule(policy, rule, |name, p| numbers(ports, name, p))
                        })
                        .collect(),
                };
                contents.sort_unstable();
                contents.dedup();
                let side = &self.sides[direction.index()];
                let numbers = contents.iter().filter_map(|content| {
                    let rule = side.find_rule(content)?;
                    side.rule_number(rule)
                });
                rules.push(RuleReport {
                    direction,
                    index,
                    text: in_words(policy, rule, direction),
                    cookies: numbers.map(|n| Cookie::policy_rule(direction, n)).collect(),
                });
            }
        }
        let isolates = Direction::ALL.into_iter();
        PolicyReport {
            id: policy.id.clone(),
            pods,
            isolates: isolates
                .filter(|d| rules_of(policy, *d).is_some())
                .collect(),
            rules,
            fault: entry.fault.clone(),
        }
    }

    /// Every group of pods that is isolated.
    pub(crate) fn subject_reports(&self) -> Vec<SubjectReport> {
        let mut reports = Vec::new();
        for side in &self.sides {
            let direction = side.direction;
            for (id, subject) in side.subjects.iter() {
                let Some(number) = side.subject_number(id) else {
                    continue;
                };
                let part = match direction {
                    Direction::Egress => PolicyPart::EgressSubject,
                    Direction::Ingress => PolicyPart::IngressSubject,
                };
                let pods = self.locals.iter();
                let pods = pods.filter(|(_, l)| l.subjects[direction.index()] == Some(id));
                reports.push(SubjectReport {
                    direction,
                    number,
                    cookie: Cookie::policy_part(part, number),
                    pods: pods.map(|(id, _)| id.clone()).collect(),
                    policies: subject.content.policies.clone(),
                });
            }
        }
        reports.sort_unstable_by_key(|report| (report.direction, report.number));
        reports
    }

    /// Names of the cookies of policy flows.
    pub(crate) fn cookie_names(&self, mut name: impl FnMut(Cookie, String)) {
        for report in self.policy_reports() {
            for rule in report.rules {
                for cookie in rule.cookies {
                    let index = rule.index;
                    name(
                        cookie,
                        format!("{} {} rule {index}", report.id, rule.direction),
                    );
                }
            }
        }
        for report in self.subject_reports() {
            let policies: Vec<&str> = report
                .policies
                .iter()
                .take(3)
                .map(PolicyId::as_str)
                .collect();
            let more = report.policies.len() - policies.len();
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let text = match policies.is_empty() {
                true => format!("{} isolation until the pod is known", report.direction),
                false => format!(
                    "{} isolation by {}{more}",
                    report.direction,
                    policies.join(", ")
                ),
            };
            name(report.cookie, text);
        }
        for side in &self.sides {
            let part = match side.direction {
                Direction::Egress => PolicyPart::EgressClass,
                Direction::Ingress => PolicyPart::IngressClass,
            };
            let numbers = side
                .classes
                .iter()
                .filter_map(|(id, _)| side.class_number(id));
            for number in numbers.chain([0]) {
                let text = format!("{} class {number:#x}", side.direction);
                name(Cookie::policy_part(part, number), text);
            }
        }
        name(
            Cookie::policy_part(PolicyPart::Ports, 0),
            "ports of rules".to_owned(),
        );
    }
}

/// A rule in words: `from pods app=web of namespace shop, or 10.0.0.0/8 except 10.1.0.0/16, on tcp 80-90`.
fn in_words(policy: &Policy, rule: &Rule, direction: Direction) -> String {
    let mut text = match direction {
        Direction::Egress => "to ".to_owned(),
        Direction::Ingress => "from ".to_owned(),
    };
    match rule.peers.as_deref().filter(|peers| !peers.is_empty()) {
        None => text.push_str("anywhere"),
        Some(peers) => {
            let peers: Vec<String> = peers
                .iter()
                .map(|peer| peer_in_words(policy, peer))
                .collect();
            text.push_str(&peers.join(", or "));
        }
    }
    if let Some(ports) = rule.ports.as_deref().filter(|ports| !ports.is_empty()) {
        let ports: Vec<String> = ports.iter().map(port_in_words).collect();
        let _ = write!(text, ", on {}", ports.join(", "));
    }
    text
}

fn peer_in_words(policy: &Policy, peer: &PolicyPeer) -> String {
    match peer {
        PolicyPeer::IpBlock { cidr, except } if except.is_empty() => cidr.to_string(),
        PolicyPeer::IpBlock { cidr, except } => {
            let except: Vec<String> = except.iter().map(ToString::to_string).collect();
            format!("{cidr} except {}", except.join(" and "))
        }
        PolicyPeer::Pods { namespaces, pods } => {
            let pods = match selector_in_words(pods) {
                None => "all pods".to_owned(),
                Some(selector) => format!("pods {selector}"),
            };
            match namespaces.as_ref().map(selector_in_words) {
                None => format!("{pods} of namespace {}", policy.namespace),
                Some(None) => format!("{pods} of all namespaces"),
                Some(Some(selector)) => format!("{pods} of namespaces {selector}"),
            }
        }
    }
}

/// As `kubectl get -l` takes it.
fn selector_in_words(selector: &Selector) -> Option<String> {
    let words: Vec<String> = selector
        .requirements
        .iter()
        .map(|requirement| match requirement {
            Requirement::In(key, values) if values.len() == 1 => format!("{key}={}", values[0]),
            Requirement::In(key, values) => format!("{key} in ({})", values.join(",")),
            Requirement::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
            Requirement::Exists(key) => key.to_string(),
            Requirement::DoesNotExist(key) => format!("!{key}"),
        })
        .collect();
    (!words.is_empty()).then(|| words.join(","))
}

fn port_in_words(port: &PolicyPort) -> String {
    let protocol = port.protocol;
    match &port.ports {
        Ports::All => protocol.to_string(),
        Ports::Range(from, to) if from == to => format!("{protocol} {from}"),
        Ports::Range(from, to) => format!("{protocol} {from}-{to}"),
        Ports::Named(name) => format!("{protocol} {name}"),
    }
}
