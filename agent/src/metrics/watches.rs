//! The metrics of the watches at an API server, and of what is kept of them, read when somebody asks: watches come and go.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::source::{SourceStatus, Watching};

/// Label `watch`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabel {
    /// What is watched, as `sluicectl status` calls it.
    watch: String,
}

/// Reads the watches of a source, once there is one.
#[derive(Debug)]
pub struct Watches {
    source: Arc<OnceLock<SourceStatus>>,
}

impl Watches {
    /// Of the source that will be here.
    pub fn new(source: Arc<OnceLock<SourceStatus>>) -> Watches {
        Watches { source }
    }
}

/// How a number is got from a watch.
type Read = fn(&Watching) -> u64;

impl Collector for Watches {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let watches = self
            .source
            .get()
            .map(SourceStatus::watches)
            .unwrap_or_default();
        if watches.is_empty() {
            return Ok(());
        }
        let help = "1 while the last known state cannot be kept on disk";
        let unkept = self.source.get().is_some_and(SourceStatus::is_unkept);
        encoder
            .encode_descriptor("state_not_kept", help, None, MetricType::Gauge)?
            .encode_gauge(&u64::from(unkept))?;
        let gauges: [(&str, &str, Read); 2] = [
            (
                "watch_objects",
                "Objects known by a watch at the API server",
                |watching| u64::try_from(watching.objects).unwrap_or(u64::MAX),
            ),
            (
                "watch_live",
                "1 while a watch stands whose objects have been listed",
                |watching| u64::from(watching.listed && watching.trouble.is_none()),
            ),
        ];
        for (name, help, read) in gauges {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (target, watching) in &watches {
                let label = WatchLabel {
                    watch: target.to_string(),
                };
                family
                    .encode_family(&label)?
                    .encode_gauge(&read(watching))?;
            }
        }
        let counters: [(&str, &str, Option<&Unit>, Read); 3] = [
            (
                "watch_received",
                "Received by a watch at the API server",
                Some(&Unit::Bytes),
                |watching| watching.bytes,
            ),
            (
                "watch_changes",
                "Changes received by a watch at the API server",
                None,
                |watching| watching.changes,
            ),
            (
                "watch_lists",
                "Times that a watch at the API server was listed",
                None,
                |watching| watching.lists,
            ),
        ];
        for (name, help, unit, read) in counters {
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
            for (target, watching) in &watches {
                let label = WatchLabel {
                    watch: target.to_string(),
                };
                family
                    .encode_family(&label)?
                    .encode_counter::<[(&str, &str); 0], _, u64>(&read(watching), None)?;
            }
        }
        Ok(())
    }
}
