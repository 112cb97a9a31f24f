//! The metrics of the agent, in one place so that names and labels stay stable.
//!
//! Cheap to clone; every part counts through its own clone. Names follow Prometheus; all begin
//! with `sluice_`, but for those that kube-proxy has: they have its names.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

mod watches;

pub use watches::Watches;

/// The kind of an OpenFlow message that the reconciler sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label's values")]
pub enum MessageKind {
    /// Adds, changes or removes one flow.
    flow_mod,
    /// Adds, changes or removes one group.
    group_mod,
    /// Asks for all flows or groups.
    dump,
}

/// Label `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Which.
    pub kind: MessageKind,
}

/// A part of what has to be done until the switch holds all that it shall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label's values")]
pub enum Phase {
    /// Until the source had listed every kind, and all was joined.
    list,
    /// Reading the switch back.
    read,
    /// Compiling everything, and comparing.
    compile,
    /// Sending what differs, until the switch confirmed it.
    send,
}

/// Label `phase`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PhaseLabel {
    /// Which.
    pub phase: Phase,
}

/// How a bundle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "the names are the label's values")]
pub enum Outcome {
    /// As asked.
    ok,
    /// The switch, or the agent, said no.
    refused,
    /// The connection broke first.
    unknown,
}

/// Label `outcome`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// Which.
    pub outcome: Outcome,
}

/// Labels of a CNI request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabel {
    /// `add`, `del`, `check`, `gc` or `status`.
    pub command: &'static str,
    /// How it ended.
    pub outcome: Outcome,
}

/// Label `command`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CommandLabel {
    /// `add`, `del`, `check`, `gc` or `status`.
    pub command: &'static str,
}

/// Label `family`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FamilyLabel {
    /// `ipv4` or `ipv6`.
    pub family: &'static str,
}

/// All metrics.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// OpenFlow messages sent to the bridge, by kind.
    pub openflow_messages: Family<KindLabel, Counter>,
    /// Bundles sent to the bridge, by outcome.
    pub bundles: Family<OutcomeLabel, Counter>,
    /// Time from the first queued change of a bundle to its barrier.
    pub bundle_seconds: Histogram,
    /// What the last synchronisation with the switch took, by phase.
    pub synchronisation_seconds: Family<PhaseLabel, Gauge<f64, AtomicU64>>,
    /// Flows that the cluster state asks for.
    pub flows: Gauge,
    /// Groups that the cluster state asks for.
    pub groups: Gauge,
    /// Flows that the switch refuses, left out until it takes them.
    pub flows_refused: Gauge,
    /// Flows and groups found different by the audit, and repaired.
    pub drift: Counter,
    /// Times that the switch was read back and compared.
    pub readbacks: Counter,
    /// 1 while the OpenFlow connection stands.
    pub openflow_connected: Gauge,
    /// 1 while the OVSDB replica is in sync.
    pub ovsdb_connected: Gauge,
    /// OVSDB transactions sent, by outcome.
    pub transactions: Family<OutcomeLabel, Counter>,
    /// 1 while the switch waits for flows to be restored and forwards nothing new.
    pub restore_waiting: Gauge,
    /// CNI requests, by command and outcome.
    pub cni_requests: Family<RequestLabel, Counter>,
    /// Time that a CNI request took in the agent.
    pub cni_seconds: Family<CommandLabel, Histogram>,
    /// Pods attached.
    pub pods: Gauge,
    /// Other nodes known.
    pub peers: Gauge,
    /// Pod addresses left, by family.
    pub addresses_free: Family<FamilyLabel, Gauge>,
    /// Services known.
    pub services: Gauge,
    /// Endpoints of Services known.
    pub endpoints: Gauge,
    /// Time from learning of changed Services until the switch had them.
    pub sync_seconds: Histogram,
    /// Time from what triggered a change of endpoints until the switch had it.
    pub network_programming_seconds: Histogram,
}

impl Metrics {
    /// New metrics, all zero, and the registry that prints them.
    pub fn new() -> (Self, Registry) {
        let metrics = Self {
            openflow_messages: Family::default(),
            bundles: Family::default(),
            bundle_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 14)),
            synchronisation_seconds: Family::default(),
            flows: Gauge::default(),
            groups: Gauge::default(),
            flows_refused: Gauge::default(),
            drift: Counter::default(),
            readbacks: Counter::default(),
            openflow_connected: Gauge::default(),
            ovsdb_connected: Gauge::default(),
            transactions: Family::default(),
            restore_waiting: Gauge::default(),
            cni_requests: Family::default(),
            cni_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 15))
            }),
            pods: Gauge::default(),
            peers: Gauge::default(),
            addresses_free: Family::default(),
            services: Gauge::default(),
            endpoints: Gauge::default(),
            sync_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            network_programming_seconds: Histogram::new(programming_buckets()),
        };
        for kind in [
            MessageKind::flow_mod,
            MessageKind::group_mod,
            MessageKind::dump,
        ] {
            // Printed as 0 from the start: "none sent" is a statement, too.
            drop(metrics.openflow_messages.get_or_create(&KindLabel { kind }));
        }
        let registry = metrics.registry();
        (metrics, registry)
    }

    /// Counts OpenFlow messages.
    pub fn sent(&self, kind: MessageKind, count: usize) {
        self.openflow_messages
            .get_or_create(&KindLabel { kind })
            .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// Counts a bundle.
    pub fn bundle(&self, outcome: Outcome) {
        self.bundles.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// Notes what a phase of the last synchronisation took.
    pub fn took(&self, phase: Phase, time: Duration) {
        self.synchronisation_seconds
            .get_or_create(&PhaseLabel { phase })
            .set(time.as_secs_f64());
    }

    /// Counts an OVSDB transaction.
    pub fn transaction(&self, outcome: Outcome) {
        self.transactions
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }

    /// Counts a CNI request that took `seconds`.
    pub fn cni(&self, command: &'static str, outcome: Outcome, seconds: f64) {
        self.cni_requests
            .get_or_create(&RequestLabel { command, outcome })
            .inc();
        self.cni_seconds
            .get_or_create(&CommandLabel { command })
            .observe(seconds);
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        // What kube-proxy measures has kube-proxy's names.
        let r = registry.sub_registry_with_prefix("kubeproxy");
        r.register_with_unit(
            "network_programming_duration",
            "Time from what triggered a change of endpoints until the switch had it",
            Unit::Seconds,
            self.network_programming_seconds.clone(),
        );
        r.register_with_unit(
            "sync_proxy_rules_duration",
            "Time from learning of changed Services until the switch had them",
            Unit::Seconds,
            self.sync_seconds.clone(),
        );
        let r = registry.sub_registry_with_prefix("sluice");
        r.register(
            "build",
            "The running agent",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        r.register(
            "openflow_messages_sent",
            "OpenFlow messages sent to the bridge",
            self.openflow_messages.clone(),
        );
        r.register(
            "openflow_bundles",
            "OpenFlow bundles sent to the bridge",
            self.bundles.clone(),
        );
        r.register_with_unit(
            "openflow_bundle",
            "Time from the first queued change of a bundle to its barrier",
            Unit::Seconds,
            self.bundle_seconds.clone(),
        );
        r.register_with_unit(
            "synchronisation",
            "What the last synchronisation with the switch took, by phase",
            Unit::Seconds,
            self.synchronisation_seconds.clone(),
        );
        r.register(
            "flows",
            "Flows that the cluster state asks for",
            self.flows.clone(),
        );
        r.register(
            "groups",
            "Groups that the cluster state asks for",
            self.groups.clone(),
        );
        r.register(
            "flows_refused",
            "Flows that the switch refuses",
            self.flows_refused.clone(),
        );
        r.register(
            "drift_repaired",
            "Flows and groups found different and repaired",
            self.drift.clone(),
        );
        r.register(
            "readbacks",
            "Times the switch was read back and compared",
            self.readbacks.clone(),
        );
        r.register(
            "openflow_connected",
            "1 while OpenFlow is connected",
            self.openflow_connected.clone(),
        );
        r.register(
            "ovsdb_connected",
            "1 while OVSDB is in sync",
            self.ovsdb_connected.clone(),
        );
        r.register(
            "ovsdb_transactions",
            "OVSDB transactions sent",
            self.transactions.clone(),
        );
        r.register(
            "switch_restore_waiting",
            "1 while the switch waits for its flows and forwards nothing new",
            self.restore_waiting.clone(),
        );
        r.register("cni_requests", "CNI requests", self.cni_requests.clone());
        r.register_with_unit(
            "cni",
            "Time of a CNI request",
            Unit::Seconds,
            self.cni_seconds.clone(),
        );
        r.register("pods", "Pods attached", self.pods.clone());
        r.register("peers", "Other nodes known", self.peers.clone());
        r.register(
            "addresses_free",
            "Pod addresses left",
            self.addresses_free.clone(),
        );
        r.register("services", "Services known", self.services.clone());
        r.register(
            "endpoints",
            "Endpoints of Services known",
            self.endpoints.clone(),
        );
        registry
    }
}

/// kube-proxy's: a quarter and a half second, then seconds to a minute, then ever coarser to five minutes.
fn programming_buckets() -> impl Iterator<Item = f64> {
    let linear =
        |start: u32, step: u32, count: u32| (0..count).map(move |i| f64::from(start + i * step));
    [0.25, 0.5]
        .into_iter()
        .chain(linear(1, 1, 59))
        .chain(linear(60, 5, 12))
        .chain(linear(120, 30, 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_zero_flow_mods_before_any_was_sent() {
        let (metrics, registry) = Metrics::new();
        metrics.sent(MessageKind::dump, 2);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encoded");
        assert!(
            text.contains("sluice_openflow_messages_sent_total{kind=\"flow_mod\"} 0"),
            "{text}"
        );
        assert!(
            text.contains("sluice_openflow_messages_sent_total{kind=\"dump\"} 2"),
            "{text}"
        );
    }

    #[test]
    fn the_page_has_every_metric() {
        let (_, registry) = Metrics::new();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encoded");
        let page = include_str!("../../docs/agent.md");
        let names = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        for name in names {
            assert!(page.contains(name), "docs/agent.md lacks {name}");
        }
    }
}
