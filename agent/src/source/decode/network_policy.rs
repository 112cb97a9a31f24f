//! NetworkPolicies.
//!
//! Whatever is wrong with one fails closed: a peer that is not understood is nobody, a port that is not understood
//! is no port, an unknown direction is both, and a policy whose own selector is not understood isolates every pod
//! of its namespace and allows nothing.

use std::{fmt, sync::Arc};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use sluice_flows::model::{
    Policy, PolicyId, PolicyPeer, PolicyPort, Ports, Requirement, Rule, Selector,
};

use super::{
    LabelMap, Metadata, Misfit, Named, NumberOrName, Refusals, Text, address, or_default,
    port_number, protocol, read,
};
use crate::source::object::NetworkPolicy;

/// A `networking.k8s.io/v1` NetworkPolicy.
///
/// # Errors
/// When a field is of the wrong type.
pub fn network_policy<'de, D>(from: D) -> Result<NetworkPolicy, Misfit>
where
    D: Deserializer<'de, Error: fmt::Display>,
{
    let PolicyManifest { metadata, spec } = read(from)?;
    let mut refusals = Refusals::default();
    let namespace = metadata.namespace();
    let (into, out_of) = directions(&spec, &mut refusals);
    let pods = selector("spec.podSelector", &spec.pod_selector, &mut refusals);
    if pods.is_none() {
        refusals.note(
            "spec",
            "refused: every pod of the namespace is isolated, and nothing is allowed",
        );
    }
    let mut rules = |manifests: &[RuleManifest], fields: Fields| match pods {
        Some(_) => rules(manifests, fields, &mut refusals),
        None => Vec::new(),
    };
    let policy = Policy {
        id: PolicyId::new(&namespace, &metadata.name),
        namespace,
        ingress: into.then(|| rules(&spec.ingress, INGRESS)),
        egress: out_of.then(|| rules(&spec.egress, EGRESS)),
        pods: pods.unwrap_or_default(),
    };
    Ok(NetworkPolicy {
        name: metadata.name.into(),
        policy: Arc::new(policy),
        refusals: refusals.0,
    })
}

/// Whether the policy is about what comes in, and about what goes out.
fn directions(spec: &PolicySpec, refusals: &mut Refusals) -> (bool, bool) {
    if spec.policy_types.is_empty() {
        return (true, !spec.egress.is_empty());
    }
    let mut directions = (false, false);
    for (index, name) in spec.policy_types.iter().enumerate() {
        match name.as_str() {
            "Ingress" => directions.0 = true,
            "Egress" => directions.1 = true,
            other => {
                let message = format!("{other:?} is none, taken for both: Ingress and Egress are");
                refusals.note(format!("spec.policyTypes[{index}]"), message);
                directions = (true, true);
            }
        }
    }
    directions
}

/// How the fields of rules of one direction are called.
#[derive(Clone, Copy)]
struct Fields {
    rules: &'static str,
    peers: &'static str,
    of: fn(&RuleManifest) -> &[PeerManifest],
    /// The other direction's peers.
    strange: &'static str,
    strangers: fn(&RuleManifest) -> &[PeerManifest],
}

const INGRESS: Fields = Fields {
    rules: "spec.ingress",
    peers: "from",
    of: |rule| &rule.from,
    strange: "to",
    strangers: |rule| &rule.to,
};
const EGRESS: Fields = Fields {
    rules: "spec.egress",
    peers: "to",
    of: |rule| &rule.to,
    strange: "from",
    strangers: |rule| &rule.from,
};

fn rules(manifests: &[RuleManifest], fields: Fields, refusals: &mut Refusals) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(manifests.len());
    for (index, manifest) in manifests.iter().enumerate() {
        let place = format!("{}[{index}]", fields.rules);
        if !(fields.strangers)(manifest).is_empty() {
            let message = format!(
                "this direction has {:?}: the rule allows nobody",
                fields.peers
            );
            refusals.note(format!("{place}.{}", fields.strange), message);
            continue;
        }
        let peers = all((fields.of)(manifest), |index, it| {
            peer(&format!("{place}.{}[{index}]", fields.peers), it, refusals)
        });
        let ports = all(&manifest.ports, |index, it| {
            port(&format!("{place}.ports[{index}]"), it, refusals)
        });
        // To the compiler an empty list is everyone, or everything; here all that it named was refused.
        let allows = |left: Option<usize>| left.is_none_or(|left| left > 0);
        if allows(peers.as_ref().map(Vec::len)) && allows(ports.as_ref().map(Vec::len)) {
            rules.push(Rule { peers, ports });
        }
    }
    rules
}

/// No list, or an empty one, stands for everything; a list of which nothing is understood stands for nothing.
fn all<M, T>(manifests: &[M], mut read: impl FnMut(usize, &M) -> Option<T>) -> Option<Vec<T>> {
    (!manifests.is_empty()).then(|| {
        let read = |(index, manifest)| read(index, manifest);
        manifests.iter().enumerate().filter_map(read).collect()
    })
}

fn peer(place: &str, from: &PeerManifest, refusals: &mut Refusals) -> Option<PolicyPeer> {
    match (&from.ip_block, &from.namespace_selector, &from.pod_selector) {
        (Some(block), None, None) => ip_block(&format!("{place}.ipBlock"), block, refusals),
        (None, None, None) => {
            refusals.note(place, "names nobody: it allows nobody");
            None
        }
        (None, namespaces, pods) => {
            // Both are read, so that what is wrong with either is noted.
            let namespaces = namespaces
                .as_ref()
                .map(|it| selector(&format!("{place}.namespaceSelector"), it, refusals));
            let pods = match pods {
                Some(it) => selector(&format!("{place}.podSelector"), it, refusals),
                None => Some(Selector::default()),
            };
            Some(PolicyPeer::Pods {
                namespaces: match namespaces {
                    Some(namespaces) => Some(namespaces?),
                    None => None,
                },
                pods: pods?,
            })
        }
        (Some(_), ..) => {
            refusals.note(place, "ipBlock beside selectors: it allows nobody");
            None
        }
    }
}

/// A block with an exception that is not understood allows nobody, since it would allow the excepted otherwise.
fn ip_block(place: &str, from: &BlockManifest, refusals: &mut Refusals) -> Option<PolicyPeer> {
    let cidr = refusals.keep(|| format!("{place}.cidr"), address::block(&from.cidr));
    let mut except = Some(Vec::with_capacity(from.except.len()));
    for (index, text) in from.except.iter().enumerate() {
        let field = || format!("{place}.except[{index}]");
        let prefix = refusals.keep(field, address::prefix(text));
        let outside = |prefix: &IpNet| match cidr {
            Some(cidr) => !cidr.contains(prefix) || cidr == *prefix,
            None => false,
        };
        if let Some(prefix) = prefix.filter(outside) {
            let message = format!(
                "{prefix} is no part of {}: the block allows nobody",
                from.cidr
            );
            refusals.note(field(), message);
            except = None;
        }
        match (prefix, &mut except) {
            (Some(prefix), Some(except)) => except.push(prefix),
            _ => except = None,
        }
    }
    Some(PolicyPeer::IpBlock {
        cidr: cidr?,
        except: except?,
    })
}

fn port(place: &str, from: &PortManifest, refusals: &mut Refusals) -> Option<PolicyPort> {
    let field = |field: &str| format!("{place}.{field}");
    let protocol = refusals.keep(|| field("protocol"), protocol(&from.protocol));
    let ports = match (&from.port, from.end_port) {
        (None, None) => Some(Ports::All),
        (None, Some(_)) => {
            refusals.note(field("endPort"), "without port");
            None
        }
        (Some(NumberOrName::Name(_)), Some(_)) => {
            refusals.note(field("endPort"), "beside a port's name");
            None
        }
        (Some(NumberOrName::Name(name)), None) => {
            let named = refusals.keep(|| field("port"), port_name(name));
            named.map(|()| Ports::Named(name.0.clone()))
        }
        (Some(NumberOrName::Number(first)), last) => {
            let first = refusals.keep(|| field("port"), port_number(*first));
            let last = match last {
                Some(last) => refusals.keep(|| field("endPort"), port_number(last)),
                None => first,
            };
            range(first, last).or_else(|| {
                if let Some((first, last)) = first.zip(last) {
                    refusals.note(field("endPort"), format!("{last} is below port {first}"));
                }
                None
            })
        }
    };
    Some(PolicyPort {
        protocol: protocol?,
        ports: ports?,
    })
}

fn range(first: Option<u16>, last: Option<u16>) -> Option<Ports> {
    let (first, last) = first.zip(last)?;
    (first <= last).then_some(Ports::Range(first, last))
}

/// What the API takes for a port's name (RFC 6335): `http`, but not `80`, which is a number in quotes.
fn port_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = (1..=15).contains(&name.len())
        && name.chars().all(fits)
        && name.contains(|c: char| c.is_ascii_lowercase())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    match good {
        true => Ok(()),
        false => Err(format!("{name:?} is no port's name")),
    }
}

/// The selector, or nothing if any of it is not understood: half of one would select more than the whole.
fn selector(place: &str, from: &SelectorManifest, refusals: &mut Refusals) -> Option<Selector> {
    let labels = from.match_labels.0.iter();
    let mut requirements: Vec<Requirement> = labels
        .map(|(key, value)| Requirement::In(key.clone(), vec![value.clone()]))
        .collect();
    let mut understood = true;
    for (index, it) in from.match_expressions.iter().enumerate() {
        let field = |field: &str| format!("{place}.matchExpressions[{index}].{field}");
        let key = it.key.0.clone();
        let values = || it.values.iter().map(|value| value.0.clone()).collect();
        if key.is_empty() {
            refusals.note(field("key"), "missing");
            understood = false;
            continue;
        }
        let requirement = match (&*it.operator, it.values.is_empty()) {
            ("In", false) => Some(Requirement::In(key, values())),
            ("NotIn", false) => Some(Requirement::NotIn(key, values())),
            ("Exists", true) => Some(Requirement::Exists(key)),
            ("DoesNotExist", true) => Some(Requirement::DoesNotExist(key)),
            ("In" | "NotIn", true) => {
                let message = format!("missing, although the operator is {}", &*it.operator);
                refusals.note(field("values"), message);
                None
            }
            ("Exists" | "DoesNotExist", false) => {
                let message = format!("given, although the operator is {}", &*it.operator);
                refusals.note(field("values"), message);
                None
            }
            (other, _) => {
                let message = format!("{other:?} is none: In, NotIn, Exists and DoesNotExist are");
                refusals.note(field("operator"), message);
                None
            }
        };
        understood &= requirement.is_some();
        requirements.extend(requirement);
    }
    understood.then_some(Selector { requirements })
}

#[derive(Deserialize)]
struct PolicyManifest {
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: PolicySpec,
}

impl Named for PolicyManifest {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PolicySpec {
    #[serde(deserialize_with = "or_default")]
    pod_selector: SelectorManifest,
    #[serde(deserialize_with = "or_default")]
    policy_types: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    ingress: Vec<RuleManifest>,
    #[serde(deserialize_with = "or_default")]
    egress: Vec<RuleManifest>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SelectorManifest {
    #[serde(deserialize_with = "or_default")]
    match_labels: LabelMap,
    #[serde(deserialize_with = "or_default")]
    match_expressions: Vec<ExpressionManifest>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ExpressionManifest {
    #[serde(deserialize_with = "or_default")]
    key: Text,
    #[serde(deserialize_with = "or_default")]
    operator: Text,
    #[serde(deserialize_with = "or_default")]
    values: Vec<Text>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RuleManifest {
    #[serde(deserialize_with = "or_default")]
    from: Vec<PeerManifest>,
    #[serde(deserialize_with = "or_default")]
    to: Vec<PeerManifest>,
    #[serde(deserialize_with = "or_default")]
    ports: Vec<PortManifest>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PeerManifest {
    ip_block: Option<BlockManifest>,
    namespace_selector: Option<SelectorManifest>,
    pod_selector: Option<SelectorManifest>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BlockManifest {
    #[serde(deserialize_with = "or_default")]
    cidr: String,
    #[serde(deserialize_with = "or_default")]
    except: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortManifest {
    #[serde(deserialize_with = "or_default")]
    protocol: Text,
    port: Option<NumberOrName>,
    end_port: Option<i64>,
}
