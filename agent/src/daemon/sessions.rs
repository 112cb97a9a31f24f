//! What has to follow when a session with the switch begins or ends: release and arm it, put
//! devices back, build the bridge again if somebody touched it.

use std::time::Duration;

use ovsdb::Status;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::attach::Service;
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use crate::reconciler;
use crate::switch::{Armed, Switch};

/// How long the switch may take to read its configuration.
const READ: Duration = Duration::from_secs(10);

/// How long one attempt to build the bridge may take.
const BUILD: Duration = Duration::from_secs(20);

/// Pause before arming is tried again.
const AGAIN: Duration = Duration::from_secs(2);

pub(super) struct Sessions {
    pub(super) switch: Switch,
    pub(super) service: Service,
    pub(super) reconciler: reconciler::Handle,
    pub(super) readiness: Readiness,
    pub(super) metrics: Metrics,
    /// Told whenever the gateway's device may have been made anew.
    pub(super) device_changes: watch::Sender<u64>,
    pub(super) rebuild_interval: Duration,
}

impl Sessions {
    /// Follows the reconciler's sessions until `stop`.
    pub(super) async fn follow(self, stop: CancellationToken) {
        let mut status = self.reconciler.status();
        let mut database = self.switch.database().status();
        let mut served = None;
        let mut rebuild = tokio::time::interval(self.rebuild_interval);
        rebuild.reset();
        loop {
            let (synced, generation, error) = {
                let now = status.borrow_and_update();
                let synced = if now.in_sync() { now.synced } else { None };
                (synced, now.generation, now.last_error.clone())
            };
            match synced {
                Some(_) => {
                    self.readiness.holds(Condition::Flows);
                    if synced != served && self.begin().await {
                        served = synced;
                    }
                }
                None => {
                    let error = error.map(|error| error.to_string());
                    let why = error.unwrap_or_else(|| match generation {
                        Some(_) => "not compared with the switch yet".to_owned(),
                        None => "no OpenFlow session".to_owned(),
                    });
                    self.readiness.fails(Condition::Flows, why);
                }
            }
            let unserved = synced.is_some() && synced != served;
            tokio::select! {
                () = stop.cancelled() => return,
                changed = status.changed() => if changed.is_err() { return },
                changed = database.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let synced = matches!(&*database.borrow_and_update(), Status::Synced { .. });
                    if synced {
                        self.rebuild().await;
                    }
                }
                _ = rebuild.tick() => self.rebuild().await,
                () = tokio::time::sleep(AGAIN), if unserved => {}
            }
        }
    }

    /// The flows are in: release the switch if it waits for them, arm it for its next start, and
    /// put devices back that a restart of the switch left dead. True if all went well.
    async fn begin(&self) -> bool {
        let armed = match self.switch.arm(READ).await {
            Ok(Armed::Yes) => {
                self.metrics.restore_waiting.set(0);
                tracing::debug!("flow-restore-wait is armed");
                true
            }
            Ok(Armed::Waiting) => {
                self.metrics.restore_waiting.set(1);
                tracing::error!(
                    "the switch has not confirmed flow-restore-wait=false: it may forward nothing new"
                );
                false
            }
            Err(error) => {
                tracing::warn!(%error, "flow-restore-wait could not be written");
                false
            }
        };
        self.device_changes.send_modify(|count| *count += 1);
        self.service.replumb().await;
        armed
    }

    /// Somebody may have touched the bridge.
    async fn rebuild(&self) {
        match self.switch.build(BUILD).await {
            Ok(built) => {
                if built.changed {
                    tracing::warn!("the bridge was not as it should be; built again");
                }
                self.readiness.holds(Condition::Switch);
            }
            Err(error) => self.readiness.fails(Condition::Switch, error.to_string()),
        }
    }
}

/// Shows whether the database is in reach.
pub(super) async fn watch_database(
    switch: Switch,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
) {
    let mut status = switch.database().status();
    loop {
        let problem = match &*status.borrow_and_update() {
            Status::Synced { .. } => None,
            Status::Pending => Some("not connected".to_owned()),
            Status::Refused(error) => Some(error.to_string()),
            Status::Incompatible(error) => Some(error.to_string()),
        };
        metrics.ovsdb_connected.set(i64::from(problem.is_none()));
        match problem {
            None => readiness.holds(Condition::Ovsdb),
            Some(why) => readiness.fails(Condition::Ovsdb, why),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
    }
}
