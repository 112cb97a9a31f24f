//! The plain monitor of RFC 7047 (section 4.1.5), whose events are chosen, from the caller's side.
//!
//! Owns: [`Monitor`] and what it gives. Must not know replicas, which need every event and are the better choice for
//! whoever wants to know what is there. A monitor lives on one connection and ends with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::client::{Client, Command};
use crate::error::Error;
use crate::uuid::Uuid;
use crate::value::Value;

/// How many updates wait for a reader; a monitor whose reader is slower ends.
const QUEUE: usize = 1024;

/// Which events of a table are told (RFC 7047 section 4.1.5, `<monitor-select>`); all by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Select {
    /// The rows that are there at the beginning.
    pub initial: bool,
    /// Rows that come.
    pub insert: bool,
    /// Rows that go.
    pub delete: bool,
    /// Rows that change.
    pub modify: bool,
}

impl Default for Select {
    fn default() -> Self {
        Select {
            initial: true,
            insert: true,
            delete: true,
            modify: true,
        }
    }
}

/// What is told of a table (RFC 7047 section 4.1.5, `<monitor-request>`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MonitorRequest {
    /// The columns; all of them if `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// The events.
    pub select: Select,
}

/// The columns of a row that were asked for, by name.
pub type Columns = BTreeMap<String, Value>;

/// What became of a row (RFC 7047 section 4.1.6, `<row-update>`).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RowUpdate {
    /// What it was: all columns of a row that went, those that changed of one that changed.
    pub old: Option<Columns>,
    /// What it is, unless it went.
    pub new: Option<Columns>,
}

/// What became of the rows of each table (`<table-updates>`).
pub type TableUpdates = BTreeMap<String, BTreeMap<Uuid, RowUpdate>>;

/// As it is in JSON, where the name of a row is a string and not an atom.
pub(crate) type Received = BTreeMap<String, BTreeMap<String, RowUpdate>>;

pub(crate) fn updates(received: Received) -> TableUpdates {
    let rows = |rows: BTreeMap<String, RowUpdate>| {
        let rows = rows.into_iter();
        rows.filter_map(|(uuid, row)| Some((uuid.parse().ok()?, row)))
            .collect()
    };
    let tables = received.into_iter();
    tables.map(|(table, of)| (table, rows(of))).collect()
}

/// A monitor that runs. The server is told to end it when this is dropped.
///
/// ```no_run
/// # async fn example(client: ovsdb::Client) -> Result<(), ovsdb::Error> {
/// use ovsdb::{MonitorRequest, Select};
/// // Only ports that go, and nothing about those that are there.
/// let select = Select { delete: true, initial: false, insert: false, modify: false };
/// let request = MonitorRequest { columns: Some(vec!["name".into()]), select };
/// let (_, mut gone) = client.monitor("Open_vSwitch", [("Port", request)]).await?;
/// while let Some(updates) = gone.next().await {
///     println!("{updates:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Monitor {
    client: Client,
    id: Arc<str>,
    updates: mpsc::Receiver<TableUpdates>,
}

impl Monitor {
    pub(crate) async fn request<'a>(
        client: &Client,
        database: &str,
        tables: impl IntoIterator<Item = (&'a str, MonitorRequest)>,
    ) -> Result<(TableUpdates, Self), Error> {
        let deadline = Instant::now() + client.options().request_timeout;
        let (sender, updates_of) = mpsc::channel(QUEUE);
        let id: Arc<str> = format!("monitor.{}", client.next_id()).into();
        let command = Command::Watch {
            id: id.clone(),
            sender,
        };
        client.send(command, deadline).await?;
        let monitor = Self {
            client: client.clone(),
            id,
            updates: updates_of,
        };
        let tables: BTreeMap<&str, MonitorRequest> = tables.into_iter().collect();
        let params = (database, &*monitor.id, tables);
        let initial: Received = client.request("monitor", &params).await?;
        Ok((updates(initial), monitor))
    }

    /// What the next transaction did; `None` when the connection was lost or the reader is too slow: then ask anew.
    pub async fn next(&mut self) -> Option<TableUpdates> {
        self.updates.recv().await
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.client.send_late(Command::Unwatch {
            id: self.id.clone(),
        });
    }
}
