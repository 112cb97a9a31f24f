//! Replicas: a part of a database, held here and kept up to date by a monitor (RFC 7047 section 4.1.5; ovsdb-server(7)
//! sections 4.1.12 to 4.1.16).
//!
//! Owns: what a user asks for and gets to hold. Must not know: how it is kept (the client's actor
//! does that).
//!
//! A replica is one monitor over all its tables, so a transaction that touches several of them
//! arrives, and is shown, as one. Each state it shows is one that the server held.

pub(crate) mod snapshot;
pub(crate) mod table;
pub(crate) mod update;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, oneshot, watch};
use tokio::time::Instant;

use crate::client::{Client, Command};
use crate::error::{Error, SchemaError};
use crate::op::Clause;
use crate::replica::snapshot::{ChangeSet, Snapshot};
use crate::schema::DatabaseSchema;
use crate::typed::{ColumnSpec, Table, Where, check_columns, column_names, no_column};
use table::{Layout, LayoutColumn};
use update::Plan;

/// How many states wait for a slow reader of [`Changes`] before they are joined.
pub(crate) const EVENTS: usize = 64;

/// Which of the server's monitors to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MonitorMethod {
    /// `monitor` (RFC 7047 section 4.1.5), with `update`. No conditions.
    Monitor,
    /// `monitor_cond` (ovsdb-server(7) section 4.1.12), with `update2`: Open vSwitch 2.6.
    MonitorCond,
    /// `monitor_cond_since` (ovsdb-server(7) section 4.1.15), with `update3`: Open vSwitch 2.12. Falls back where the server lacks it.
    #[default]
    MonitorCondSince,
}

/// How far a replica is.
#[derive(Clone, Debug)]
pub enum Status {
    /// Not in sync on this connection yet; what it shows, if anything, is an older state.
    Pending,
    /// Up to date, by this connection.
    Synced {
        /// The connection.
        generation: u64,
    },
    /// The server refused; it is asked again from time to time.
    Refused(Error),
    /// The server's schema lacks what was asked for; looked at again when it changes.
    Incompatible(SchemaError),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct TableSpec {
    /// `None`: all.
    columns: Option<Vec<Arc<str>>>,
    declared: Vec<(&'static str, &'static [ColumnSpec])>,
    pub(crate) condition: Vec<Clause>,
}

#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) database: Arc<str>,
    pub(crate) tables: BTreeMap<Arc<str>, TableSpec>,
    pub(crate) everything: bool,
    pub(crate) method: MonitorMethod,
}

impl Spec {
    /// Looks every table and column up in the schema.
    pub(crate) fn plan(&self, schema: &DatabaseSchema) -> Result<Plan, SchemaError> {
        let mut plan = Plan::new();
        for (name, spec) in &self.tables {
            for (table, columns) in &spec.declared {
                check_columns(schema, table, columns)?;
            }
            let Some(table) = schema.tables.get(&**name) else {
                check_columns(schema, name, &[])?;
                continue;
            };
            let column = |name: &Arc<str>, ty: &crate::schema::ColumnType| LayoutColumn {
                name: name.clone(),
                ty: ty.clone(),
            };
            let columns = match &spec.columns {
                None => table
                    .columns
                    .iter()
                    .map(|(c, schema)| column(&c.as_str().into(), &schema.ty))
                    .collect(),
                Some(names) => names
                    .iter()
                    .map(|c| match table.columns.get(&**c) {
                        Some(schema) => Ok(column(c, &schema.ty)),
                        None => Err(no_column(schema, name, c)),
                    })
                    .collect::<Result<_, _>>()?,
            };
            plan.insert(name.clone(), Arc::new(Layout::new(name.clone(), columns)));
        }
        if self.everything {
            for (name, table) in &schema.tables {
                let name: Arc<str> = name.as_str().into();
                let columns = table.columns.iter();
                let columns = columns.map(|(c, s)| LayoutColumn {
                    name: c.as_str().into(),
                    ty: s.ty.clone(),
                });
                plan.insert(name.clone(), Arc::new(Layout::new(name, columns.collect())));
            }
        }
        Ok(plan)
    }
}

/// What the actor publishes through.
pub(crate) struct Publisher {
    pub(crate) snapshot: watch::Sender<Option<Snapshot>>,
    pub(crate) events: broadcast::Sender<Snapshot>,
    pub(crate) status: watch::Sender<Status>,
}

/// Says which part of a database a replica holds. Made by [`Client::replica`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ReplicaBuilder {
    client: Client,
    spec: Spec,
}

impl ReplicaBuilder {
    pub(crate) fn new(client: Client, database: &str) -> Self {
        let spec = Spec {
            database: database.into(),
            tables: BTreeMap::new(),
            everything: false,
            method: MonitorMethod::default(),
        };
        Self { client, spec }
    }

    fn add(&mut self, table: &str, columns: Option<Vec<Arc<str>>>) -> &mut TableSpec {
        let spec = self
            .spec
            .tables
            .entry(table.into())
            .or_insert_with(|| TableSpec {
                columns: Some(Vec::new()),
                ..TableSpec::default()
            });
        match (&mut spec.columns, columns) {
            (Some(known), Some(more)) => {
                for column in more {
                    if !known.contains(&column) {
                        known.push(column);
                    }
                }
            }
            (known, _) => *known = None,
        }
        spec
    }

    /// The declared columns of a declared table, which are checked against the server's schema.
    pub fn table<T: Table>(mut self) -> Self {
        self.add(T::NAME, Some(column_names::<T>()))
            .declared
            .push((T::NAME, T::COLUMNS));
        self
    }

    /// As [`ReplicaBuilder::table`], but only rows for which *any* of the conditions holds; with none, no rows.
    ///
    /// A server can take any of several clauses, not all of several: of a condition that joins some by
    /// [`Where::and`] only the first clause is asked for, so that the replica may hold more rows than wanted, and never fewer.
    pub fn table_where<T: Table>(mut self, any: impl IntoIterator<Item = Where<T>>) -> Self {
        self = self.table::<T>();
        self.condition(T::NAME, any_of(any))
    }

    /// Named columns of a table named at run time.
    pub fn columns<'a>(mut self, table: &str, columns: impl IntoIterator<Item = &'a str>) -> Self {
        self.add(table, Some(columns.into_iter().map(Arc::from).collect()));
        self
    }

    /// All columns of a table named at run time.
    pub fn all_columns(mut self, table: &str) -> Self {
        self.add(table, None);
        self
    }

    /// All columns of all tables.
    pub fn everything(mut self) -> Self {
        self.spec.everything = true;
        self
    }

    /// Only rows of this table for which any of the clauses holds; with none, all rows.
    pub fn condition(mut self, table: &str, any: Vec<Clause>) -> Self {
        self.add(table, Some(Vec::new())).condition = any;
        self
    }

    /// Uses an older monitor than the best there is.
    pub fn method(mut self, method: MonitorMethod) -> Self {
        self.spec.method = method;
        self
    }

    /// Starts the replica and waits until it is in sync for the first time.
    ///
    /// # Errors
    /// [`Error::Schema`] at once where the server lacks a table or column; [`Error::Disconnected`]
    /// or [`Error::Timeout`] when the time is up. The replica ends with the error.
    pub async fn open(self, timeout: Duration) -> Result<Replica, Error> {
        let deadline = Instant::now() + timeout;
        let (snapshot_tx, snapshot) = watch::channel(None);
        let (events, _) = broadcast::channel(EVENTS);
        let (status_tx, mut status) = watch::channel(Status::Pending);
        let id = self.client.next_id();
        let publisher = Publisher {
            snapshot: snapshot_tx,
            events: events.clone(),
            status: status_tx,
        };
        let command = Command::Replica {
            id,
            spec: self.spec,
            publisher,
        };
        let client = self.client;
        client.send(command, deadline).await?;
        let inner = Arc::new(Inner {
            id,
            client,
            snapshot,
            events,
            status: status.clone(),
        });
        let replica = Replica(inner);
        let synced = status.wait_for(|status| match status {
            Status::Synced { .. } | Status::Incompatible(_) => true,
            // A server that is reached and says no will hardly say yes in a moment.
            Status::Refused(_) => true,
            Status::Pending => false,
        });
        match tokio::time::timeout_at(deadline, synced).await {
            Ok(Ok(status)) => match &*status {
                Status::Incompatible(error) => return Err(error.clone().into()),
                Status::Refused(error) => return Err(error.clone()),
                _ => {}
            },
            Ok(Err(_)) => return Err(Error::Disconnected("the client has ended".into())),
            Err(_) => return Err(replica.0.client.timed_out(timeout)),
        }
        Ok(replica)
    }
}

fn any_of<T>(any: impl IntoIterator<Item = Where<T>>) -> Vec<Clause> {
    let mut clauses = Vec::new();
    for each in any {
        // The server knows no "and" between the clauses of a monitor; one that joins several is
        // widened to its first, so the replica may hold more rows than asked for, never fewer.
        clauses.extend(
            each.clauses
                .into_iter()
                .next()
                .or(Some(Clause::Constant(true))),
        );
    }
    if clauses.is_empty() {
        clauses.push(Clause::Constant(false));
    }
    clauses
}

struct Inner {
    id: u64,
    client: Client,
    snapshot: watch::Receiver<Option<Snapshot>>,
    events: broadcast::Sender<Snapshot>,
    status: watch::Receiver<Status>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.client.send_late(Command::DropReplica { id: self.id });
    }
}

/// A part of a database, kept up to date. A handle: clones share the replica; it ends with the last.
#[derive(Clone)]
pub struct Replica(Arc<Inner>);

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica")
            .field("status", &*self.0.status.borrow())
            .finish_non_exhaustive()
    }
}

impl Replica {
    /// The newest state that arrived. While the connection is down it is the last one held.
    ///
    /// A transaction of this client shows here as soon as its answer has: the server sends the
    /// update first.
    #[must_use]
    pub fn read(&self) -> Snapshot {
        // `open` gives a replica out only once there is a state.
        let snapshot = self.0.snapshot.borrow().clone();
        snapshot.unwrap_or_else(|| Snapshot::new(update::Tables::new(), 0, 0, crate::Uuid::NIL))
    }

    /// How far it is: changes are seen through the receiver.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.0.status.clone()
    }

    /// The client it works through.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Waits until `condition` gives something for the newest state, and returns that. The present
    /// state is looked at first. States that come and go quickly may be skipped.
    ///
    /// # Errors
    /// [`Error::Timeout`]: it did not within this time. [`Error::Disconnected`]: the client ended.
    pub async fn wait<R>(
        &self,
        timeout: Duration,
        mut condition: impl FnMut(&Snapshot) -> Option<R>,
    ) -> Result<R, Error> {
        let mut snapshot = self.0.snapshot.clone();
        let mut result = None;
        let waited = snapshot.wait_for(|snapshot| {
            result = snapshot.as_ref().and_then(&mut condition);
            result.is_some()
        });
        match tokio::time::timeout(timeout, waited).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(Error::Disconnected("the client has ended".into())),
            Err(_) => return Err(Error::Timeout(timeout)),
        }
        result.ok_or(Error::Timeout(timeout))
    }

    /// The changes from the present state on.
    #[must_use]
    pub fn changes(&self) -> Changes {
        // Subscribe first: a state published in between is then a change that turns out empty.
        let events = self.0.events.subscribe();
        Changes {
            last: self.read(),
            events,
            _replica: self.clone(),
        }
    }

    /// Replaces the condition on a table's rows (ovsdb-server(7) section 4.1.13, `monitor_cond_change`): those for which any
    /// of the conditions holds, read as [`ReplicaBuilder::table_where`] reads them. Returns once rows outside it are gone from the replica and rows inside it are there.
    ///
    /// # Errors
    /// The server refused, or did not answer in time.
    pub async fn set_condition<T: Table>(
        &self,
        any: impl IntoIterator<Item = Where<T>>,
    ) -> Result<(), Error> {
        self.set_raw_condition(T::NAME, any_of(any)).await
    }

    /// As [`Replica::set_condition`], on a table named at run time; no clauses is all rows.
    ///
    /// # Errors
    /// The server refused, or did not answer in time.
    pub async fn set_raw_condition(&self, table: &str, any: Vec<Clause>) -> Result<(), Error> {
        let client = &self.0.client;
        let timeout = client.options().request_timeout;
        let deadline = Instant::now() + timeout;
        let (done, answer) = oneshot::channel();
        client
            .send(
                Command::Condition {
                    id: self.0.id,
                    table: table.into(),
                    any,
                    done,
                },
                deadline,
            )
            .await?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Error::Disconnected("the client has ended".into())),
            Err(_) => Err(client.timed_out(timeout)),
        }
    }
}

/// The changes of a replica, one after the other. What a slow reader has not taken in time is joined
/// into one change; nothing is lost.
#[derive(Debug)]
pub struct Changes {
    last: Snapshot,
    events: broadcast::Receiver<Snapshot>,
    _replica: Replica,
}

impl Changes {
    /// The state after the last change returned (at first, the state when this was made).
    #[must_use]
    pub fn current(&self) -> &Snapshot {
        &self.last
    }

    /// The next change; `None` once the client has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<ChangeSet> {
        loop {
            let snapshot = match self.events.recv().await {
                Ok(snapshot) => snapshot,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            if snapshot.version() <= self.last.version() {
                continue;
            }
            let changes = snapshot.changes_since(&self.last);
            self.last = snapshot;
            if !changes.rows.is_empty() {
                return Some(changes);
            }
        }
    }
}
