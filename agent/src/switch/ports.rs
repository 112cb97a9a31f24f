//! Ports of pods come and go in transactions of many: those that queue up while one transaction is
//! under way share the next.

use std::collections::{BTreeMap, HashSet};

use ovsdb::{Insert, Mutate, Reference, Transaction, Uuid};
use tokio::sync::{mpsc, oneshot};

use super::schema::{Bridge, Interface, Port};
use super::{Database, SwitchError};

/// Requests that share a transaction.
const BATCH: usize = 128;
const QUEUE: usize = 1024;

/// What carries a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortKind {
    /// A device that the switch makes.
    Internal,
    /// A device of the system, by the port's name.
    System,
}

/// A port to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPort {
    /// Name of port, interface and device.
    pub name: String,
    /// What carries it.
    pub kind: PortKind,
    /// The OpenFlow number to ask for.
    pub ofport_request: u32,
    /// What it is for.
    pub external_ids: BTreeMap<String, String>,
}

pub(super) enum Request {
    Insert {
        port: NewPort,
        done: oneshot::Sender<Result<Uuid, SwitchError>>,
    },
    /// Answers whether the port was there.
    Remove {
        name: String,
        done: oneshot::Sender<Result<bool, SwitchError>>,
    },
}

/// The queue's end for those who ask.
pub(super) type Queue = mpsc::Sender<Request>;

/// Starts the task that writes ports of `bridge`.
pub(super) fn start(database: Database, bridge: String) -> Queue {
    let (queue, mut requests) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let mut batch = Vec::new();
        while requests.recv_many(&mut batch, BATCH).await > 0 {
            for run in runs(std::mem::take(&mut batch)) {
                write(&database, &bridge, run).await;
            }
        }
    });
    queue
}

impl Request {
    fn name(&self) -> &str {
        match self {
            Request::Insert { port, .. } => &port.name,
            Request::Remove { name, .. } => name,
        }
    }
}

/// Cuts a batch so that no run speaks of one port twice: a transaction cannot remove what it makes
/// itself, and the order of the two must hold.
fn runs(batch: Vec<Request>) -> Vec<Vec<Request>> {
    let mut runs: Vec<Vec<Request>> = Vec::new();
    let mut names: HashSet<String> = HashSet::new();
    for request in batch {
        let fresh = names.insert(request.name().to_owned());
        match runs.last_mut() {
            Some(run) if fresh => run.push(request),
            _ => {
                names = HashSet::from([request.name().to_owned()]);
                runs.push(vec![request]);
            }
        }
    }
    runs
}

/// Writes a batch; if the database refuses it, each request on its own, so that one does not spoil
/// the others.
async fn write(database: &Database, bridge: &str, batch: Vec<Request>) {
    let several = batch.len() > 1;
    match transact(database, bridge, &batch).await {
        Ok(outcomes) => answer(batch, outcomes.into_iter().map(Ok).collect()),
        Err(SwitchError::Refused(_)) if several => {
            for request in batch {
                let outcome = transact(database, bridge, std::slice::from_ref(&request)).await;
                let outcome = outcome.and_then(|mut one| one.pop().ok_or(SwitchError::Stopped));
                answer(vec![request], vec![outcome]);
            }
        }
        Err(error) => {
            let outcomes = batch.iter().map(|_| Err(error.clone())).collect();
            answer(batch, outcomes);
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy)]
enum Done {
    Inserted(Uuid),
    Removed(bool),
}

fn answer(batch: Vec<Request>, outcomes: Vec<Result<Done, SwitchError>>) {
    for (request, outcome) in batch.into_iter().zip(outcomes) {
        // Whoever asked may have given up.
        match request {
            Request::Insert { done, .. } => {
                let _gone = done.send(outcome.and_then(|outcome| match outcome {
                    Done::Inserted(uuid) => Ok(uuid),
                    Done::Removed(_) => Err(SwitchError::Stopped),
                }));
            }
            Request::Remove { done, .. } => {
                let _gone =
                    done.send(outcome.map(|outcome| matches!(outcome, Done::Removed(true))));
            }
        }
    }
}

/// One transaction for the whole batch.
async fn transact(
    database: &Database,
    bridge: &str,
    batch: &[Request],
) -> Result<Vec<Done>, SwitchError> {
    let snapshot = database.snapshot()?;
    let ports = snapshot.table::<Port>()?;
    let row = snapshot
        .table::<Bridge>()?
        .find(Bridge::name, bridge)
        .ok_or_else(|| SwitchError::NoBridge(bridge.to_owned()))?;
    let mut txn = Transaction::new();
    let mut outcomes = Vec::with_capacity(batch.len());
    let (mut come, mut go): (Vec<Reference>, Vec<Uuid>) = (Vec::new(), Vec::new());
    let mut inserted: Vec<Option<Reference>> = Vec::with_capacity(batch.len());
    for request in batch {
        match request {
            Request::Insert { port, .. } => {
                let kind = match port.kind {
                    PortKind::Internal => "internal",
                    PortKind::System => "",
                };
                let interface = txn.insert(
                    Insert::<Interface>::new()
                        .set(Interface::name, port.name.as_str())
                        .set(Interface::kind, kind)
                        .set(Interface::ofport_request, i64::from(port.ofport_request))
                        .set(Interface::external_ids, port.external_ids.clone()),
                );
                let reference = txn.insert(
                    Insert::<Port>::new()
                        .set(Port::name, port.name.as_str())
                        .set(Port::interfaces, [&interface]),
                );
                come.push(reference);
                inserted.push(Some(interface));
                outcomes.push(Done::Removed(false));
            }
            Request::Remove { name, .. } => {
                let port = ports.find(Port::name, name.as_str());
                let found = port.filter(|port| row.ports.contains(&port.uuid));
                outcomes.push(Done::Removed(found.is_some()));
                go.extend(found.map(|port| port.uuid));
                inserted.push(None);
            }
        }
    }
    if txn.is_empty() && go.is_empty() {
        return Ok(outcomes);
    }
    let mut mutate = Mutate::<Bridge>::rows(row.uuid);
    if !go.is_empty() {
        mutate = mutate.delete(Bridge::ports, go);
    }
    if !come.is_empty() {
        mutate = mutate.insert(Bridge::ports, come);
    }
    let linked = txn.mutate(mutate);
    let reply = database.transact(txn).await?;
    if reply.count(linked) == 0 {
        // What was inserted hangs on nothing, and is gone already.
        return Err(SwitchError::NoBridge(bridge.to_owned()));
    }
    for (outcome, reference) in outcomes.iter_mut().zip(inserted) {
        if let Some(reference) = reference {
            let uuid = reply.uuid(&reference).ok_or(SwitchError::Stopped)?;
            *outcome = Done::Inserted(uuid);
        }
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_is_spoken_of_once_in_a_run() {
        let remove = |name: &str| Request::Remove {
            name: name.to_owned(),
            done: oneshot::channel().0,
        };
        let batch = ["a", "b", "a", "c", "c", "b"].map(remove).into();
        let runs: Vec<Vec<String>> = runs(batch)
            .iter()
            .map(|run| {
                run.iter()
                    .map(|request| request.name().to_owned())
                    .collect()
            })
            .collect();
        assert_eq!(runs, [vec!["a", "b"], vec!["a", "c"], vec!["c", "b"]]);
    }
}
