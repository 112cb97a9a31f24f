//! One replica from the actor's side: schema, monitor, updates, and what is published of them.
//!
//! Owns: the state machine of a replica, and the rule that only states the server held are shown:
//! an update is applied whole to a copy, and what does not fit throws the monitor away. Must not
//! know: sockets. It gives out requests and takes in answers.
//!
//! ```text
//! start -> get_schema -> plan -> monitor_cond_since -> synced <-> update3, monitor_cond_change
//!   ^---------- lost connection, monitor_canceled, an update that does not fit ------'
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::oneshot;

use crate::error::{Error, RpcError};
use crate::op::Clause;
use crate::replica::snapshot::Snapshot;
use crate::replica::update::{self, Format, Plan, TableUpdate, Tables};
use crate::replica::{MonitorMethod, Publisher, Spec, Status};
use crate::rpc::to_json;
use crate::schema::DatabaseSchema;
use crate::uuid::Uuid;

/// A request that a replica needs sent.
pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) params: Vec<u8>,
    pub(super) step: Step,
}

/// Which answer a replica waits for. Answers to an earlier `serial` are stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Schema {
        replica: u64,
        serial: u64,
    },
    Monitor {
        replica: u64,
        serial: u64,
    },
    Condition {
        replica: u64,
        serial: u64,
    },
    /// Nobody does.
    Ignore,
}

type Done = oneshot::Sender<Result<(), Error>>;

pub(super) struct ReplicaCore {
    id: u64,
    spec: Spec,
    publisher: Publisher,
    serial: u64,
    generation: u64,
    method: MonitorMethod,
    plan: Option<Arc<Plan>>,
    /// The id under which the server knows the monitor, once it was asked for.
    monitor: Option<String>,
    synced: bool,
    /// Asked again at the next opportunity.
    pub(super) refused: bool,
    tables: Tables,
    txn: Uuid,
    version: u64,
    /// Conditions that the server has not confirmed: those who wait for it, in order.
    conditions: Vec<Done>,
    unconfirmed: u32,
}

impl ReplicaCore {
    pub(super) fn new(id: u64, spec: Spec, publisher: Publisher) -> Self {
        let method = spec.method;
        Self {
            id,
            spec,
            publisher,
            serial: 0,
            generation: 0,
            method,
            plan: None,
            monitor: None,
            synced: false,
            refused: false,
            tables: Tables::new(),
            txn: Uuid::NIL,
            version: 0,
            conditions: Vec::new(),
            unconfirmed: 0,
        }
    }

    /// The plan of this monitor, if it is ours and its first state is here.
    pub(super) fn plan_of(&self, monitor: &str) -> Option<&Plan> {
        self.monitor
            .as_deref()
            .filter(|own| *own == monitor && self.synced)?;
        self.plan.as_deref()
    }

    /// A new connection: begins with the schema, which may be another than before.
    pub(super) fn start(&mut self, generation: u64) -> Request {
        self.generation = generation;
        self.method = self.spec.method;
        self.restart()
    }

    fn restart(&mut self) -> Request {
        self.serial += 1;
        self.synced = false;
        self.refused = false;
        self.monitor = None;
        if !matches!(*self.publisher.status.borrow(), Status::Pending) {
            self.publisher.status.send_replace(Status::Pending);
        }
        let step = Step::Schema {
            replica: self.id,
            serial: self.serial,
        };
        Request {
            method: "get_schema",
            params: to_json(&(&*self.spec.database,)),
            step,
        }
    }

    /// The connection is gone. What was shown stays.
    pub(super) fn lost(&mut self) {
        self.synced = false;
        self.monitor = None;
        self.serial += 1;
        if self.unconfirmed > 0 {
            // Whether the rows we hold follow the old condition or the new one nobody knows.
            self.txn = Uuid::NIL;
            self.unconfirmed = 0;
        }
        self.publisher.status.send_replace(Status::Pending);
    }

    /// Throws the monitor away and begins anew, from nothing.
    pub(super) fn resync(&mut self) -> Vec<Request> {
        let mut requests = Vec::new();
        if let Some(monitor) = self.monitor.take() {
            requests.push(Request {
                method: "monitor_cancel",
                params: to_json(&(monitor,)),
                step: Step::Ignore,
            });
        }
        self.txn = Uuid::NIL;
        self.unconfirmed = 0;
        requests.push(self.restart());
        requests
    }

    fn refuse(&mut self, error: Error) {
        tracing::warn!(database = %self.spec.database, %error, "replica refused");
        self.refused = true;
        for done in self.conditions.drain(..) {
            let _ = done.send(Err(error.clone()));
        }
        self.publisher.status.send_replace(Status::Refused(error));
    }

    pub(super) fn schema_arrived(
        &mut self,
        serial: u64,
        answer: Result<&[u8], RpcError>,
    ) -> Option<Request> {
        if serial != self.serial {
            return None;
        }
        let schema: DatabaseSchema = match answer.map(serde_json::from_slice) {
            Ok(Ok(schema)) => schema,
            Ok(Err(error)) => {
                self.refuse(Error::decode("the schema", error));
                return None;
            }
            Err(error) => {
                self.refuse(error.into());
                return None;
            }
        };
        match self.spec.plan(&schema) {
            Ok(plan) => {
                if self.plan.as_deref() != Some(&plan) {
                    // Another schema: what we hold is no base for differences.
                    self.txn = Uuid::NIL;
                    self.plan = Some(Arc::new(plan));
                }
                self.monitor_request()
            }
            Err(error) => {
                tracing::error!(%error, "the server's schema does not fit");
                self.refused = true;
                self.publisher
                    .status
                    .send_replace(Status::Incompatible(error));
                None
            }
        }
    }

    fn monitor_request(&mut self) -> Option<Request> {
        #[derive(Serialize)]
        struct Monitored<'a> {
            columns: Vec<&'a str>,
            #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
            condition: Option<&'a [Clause]>,
        }
        let plan = self.plan.clone()?;
        let conditional = self
            .spec
            .tables
            .values()
            .any(|table| !table.condition.is_empty());
        if self.method == MonitorMethod::Monitor && conditional {
            self.refuse(Error::Invalid(
                "the server cannot monitor under a condition".into(),
            ));
            return None;
        }
        let monitor = format!("{}.{}.{}", self.generation, self.id, self.serial);
        let mut requests = BTreeMap::new();
        for (name, layout) in plan.iter() {
            let columns = layout.columns.iter().map(|column| &*column.name).collect();
            let condition = self
                .spec
                .tables
                .get(name)
                .map(|t| &*t.condition)
                .filter(|c| !c.is_empty());
            requests.insert(&**name, [Monitored { columns, condition }]);
        }
        let database = &*self.spec.database;
        let (method, params) = match self.method {
            MonitorMethod::Monitor => ("monitor", to_json(&(database, &monitor, &requests))),
            MonitorMethod::MonitorCond => {
                ("monitor_cond", to_json(&(database, &monitor, &requests)))
            }
            MonitorMethod::MonitorCondSince => (
                "monitor_cond_since",
                to_json(&(database, &monitor, &requests, self.txn)),
            ),
        };
        self.monitor = Some(monitor);
        Some(Request {
            method,
            params,
            step: Step::Monitor {
                replica: self.id,
                serial: self.serial,
            },
        })
    }

    pub(super) fn monitor_arrived(
        &mut self,
        serial: u64,
        answer: Result<&[u8], RpcError>,
    ) -> Option<Request> {
        if serial != self.serial {
            return None;
        }
        let json = match answer {
            Ok(json) => json,
            Err(error)
                if &*error.error == "unknown method" && self.method > MonitorMethod::Monitor =>
            {
                self.method = match self.method {
                    MonitorMethod::MonitorCondSince => MonitorMethod::MonitorCond,
                    _ => MonitorMethod::Monitor,
                };
                return self.monitor_request();
            }
            Err(error) => {
                self.refuse(error.into());
                return None;
            }
        };
        let plan = self.plan.clone()?;
        let parsed = match self.method {
            MonitorMethod::Monitor => update::parse_result(json, &plan, Format::V1)
                .map(|update| (false, Uuid::NIL, update)),
            MonitorMethod::MonitorCond => update::parse_result(json, &plan, Format::V2)
                .map(|update| (false, Uuid::NIL, update)),
            MonitorMethod::MonitorCondSince => update::parse_since(json, &plan),
        };
        let (found, txn, update) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                self.txn = Uuid::NIL;
                self.refuse(Error::decode("the monitor's first state", error));
                return None;
            }
        };
        let applied = if found {
            update::apply(&self.tables, update, &Tables::new())
        } else {
            update::apply(&update::empty(&plan), update, &self.tables)
        };
        match applied {
            Ok(tables) => {
                self.tables = tables;
                self.txn = txn;
                self.synced = true;
                self.publish();
                self.publisher.status.send_replace(Status::Synced {
                    generation: self.generation,
                });
                tracing::debug!(database = %self.spec.database, generation = self.generation, found, "replica in sync");
                for done in self.conditions.drain(..) {
                    let _ = done.send(Ok(()));
                }
                None
            }
            Err(error) => {
                self.txn = Uuid::NIL;
                self.refuse(Error::decode("the monitor's first state", error));
                None
            }
        }
    }

    /// An update for this monitor. What it gives is to be sent: the way back from one that does not fit.
    pub(super) fn updated(&mut self, txn: Option<Uuid>, update: Vec<TableUpdate>) -> Vec<Request> {
        match update::apply(&self.tables, update, &self.tables) {
            Ok(tables) => {
                self.tables = tables;
                if let Some(txn) = txn {
                    self.txn = txn;
                }
                self.publish();
                Vec::new()
            }
            Err(error) => {
                tracing::warn!(database = %self.spec.database, %error, "update does not fit, beginning anew");
                self.resync()
            }
        }
    }

    fn publish(&mut self) {
        self.version += 1;
        let snapshot = Snapshot::new(self.tables.clone(), self.generation, self.version, self.txn);
        self.publisher.snapshot.send_replace(Some(snapshot.clone()));
        // Without a reader there is nobody to tell.
        let _ = self.publisher.events.send(snapshot);
    }

    /// Changes the condition of a table.
    pub(super) fn set_condition(
        &mut self,
        table: Arc<str>,
        any: Vec<Clause>,
        done: Done,
    ) -> Vec<Request> {
        let Some(spec) = self.spec.tables.get_mut(&table) else {
            let _ = done.send(Err(Error::Invalid(
                format!("the replica does not name table {table}").into(),
            )));
            return Vec::new();
        };
        spec.condition = any;
        let Some(monitor) = self.monitor.as_deref() else {
            // The next monitor request carries it.
            self.txn = Uuid::NIL;
            self.conditions.push(done);
            return Vec::new();
        };
        if !self.synced {
            // The monitor request on its way does not carry it.
            self.conditions.push(done);
            return self.resync();
        }
        if self.method == MonitorMethod::Monitor {
            let _ = done.send(Err(Error::Invalid(
                "the server cannot monitor under a condition".into(),
            )));
            return Vec::new();
        }
        let all = [Clause::Constant(true)];
        let clauses = if spec.condition.is_empty() {
            &all
        } else {
            &*spec.condition
        };
        let requests = BTreeMap::from([(&*table, [BTreeMap::from([("where", clauses)])])]);
        let params = to_json(&(monitor, monitor, &requests));
        self.conditions.push(done);
        self.unconfirmed += 1;
        let step = Step::Condition {
            replica: self.id,
            serial: self.serial,
        };
        vec![Request {
            method: "monitor_cond_change",
            params,
            step,
        }]
    }

    pub(super) fn condition_arrived(&mut self, serial: u64, answer: Result<&[u8], RpcError>) {
        if serial != self.serial {
            return; // answered by the sync that took its place
        }
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
        if self.conditions.is_empty() {
            return;
        }
        let _ = self
            .conditions
            .remove(0)
            .send(answer.map(drop).map_err(Error::from));
    }
}
