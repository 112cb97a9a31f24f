//! The connection to the database: a replica to read, transactions to write.

use std::time::Duration;

use ovsdb::{Client, Options, Replica, Reply, Snapshot, Status, Transaction};

use super::SwitchError;
use super::schema::{
    Bridge, CtTimeoutPolicy, CtZone, Datapath, FlowTable, Interface, OpenVSwitch, Port,
};
use crate::metrics::{Metrics, Outcome};

const NAME: &str = "Open_vSwitch";

/// A handle; clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    replica: Replica,
    metrics: Metrics,
}

impl Database {
    pub(super) async fn connect(
        remote: &str,
        limit: Duration,
        metrics: Metrics,
    ) -> Result<Self, SwitchError> {
        let remote = remote
            .parse()
            .map_err(|error| SwitchError::Unreachable(format!("{remote:?}: {error}")))?;
        // The server is on the same machine: a failed attempt costs nothing.
        let options = Options {
            backoff_max: Duration::from_millis(500),
            ..Options::default()
        };
        let client = Client::connect([remote], options);
        let replica = client
            .replica(NAME)
            .table::<OpenVSwitch>()
            .table::<Bridge>()
            .table::<Port>()
            .table::<Interface>()
            .table::<FlowTable>()
            .table::<Datapath>()
            .table::<CtZone>()
            .table::<CtTimeoutPolicy>()
            .open(limit)
            .await?;
        Ok(Self { replica, metrics })
    }

    /// The state of the database, if it is the present one.
    pub(super) fn snapshot(&self) -> Result<Snapshot, SwitchError> {
        match &*self.replica.status().borrow() {
            Status::Synced { .. } => Ok(self.replica.read()),
            Status::Pending => Err(SwitchError::Unreachable("not connected".to_owned())),
            Status::Refused(error) => Err(error.clone().into()),
            Status::Incompatible(error) => Err(SwitchError::Schema(error.to_string())),
        }
    }

    /// The last state that was held, old as it may be.
    pub(super) fn last(&self) -> Snapshot {
        self.replica.read()
    }

    /// Carries out a transaction.
    pub(super) async fn transact(&self, transaction: Transaction) -> Result<Reply, SwitchError> {
        let result = self.replica.client().transact(NAME, transaction).await;
        let result = result.map_err(SwitchError::from);
        self.metrics.transaction(match &result {
            Ok(_) => Outcome::ok,
            Err(SwitchError::Unknown(_)) => Outcome::unknown,
            Err(_) => Outcome::refused,
        });
        result
    }

    /// Waits for a state in which `condition` finds something.
    pub(super) async fn wait<R>(
        &self,
        limit: Duration,
        what: &str,
        condition: impl FnMut(&Snapshot) -> Option<R>,
    ) -> Result<R, SwitchError> {
        self.replica
            .wait(limit, condition)
            .await
            .map_err(|error| match error {
                ovsdb::Error::Timeout(_) => SwitchError::Late(what.to_owned()),
                other => other.into(),
            })
    }

    /// Whether the replica is up to date, to watch.
    pub(crate) fn status(&self) -> tokio::sync::watch::Receiver<Status> {
        self.replica.status()
    }
}

impl From<ovsdb::Error> for SwitchError {
    fn from(error: ovsdb::Error) -> Self {
        let text = error.to_string();
        match error {
            ovsdb::Error::Unknown { .. } => SwitchError::Unknown(text),
            ovsdb::Error::Transaction(_) => SwitchError::Refused(text),
            ovsdb::Error::Disconnected(_) | ovsdb::Error::Timeout(_) => {
                SwitchError::Unreachable(text)
            }
            _ => SwitchError::Schema(text),
        }
    }
}
