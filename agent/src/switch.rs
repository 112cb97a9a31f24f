//! The OVSDB side of the switch: what it can do, the bridge and its own ports, the ports of pods.
//!
//! The database is the only memory of the agent; a replica of the few columns that matter is kept
//! here. What is not marked as ours is read at most, and never written.
//!
//! It must not know flows, nor what a pod is beyond the `external_ids` of its port.

mod build;
mod capabilities;
mod database;
mod ports;
mod restore;
pub mod schema;
mod teardown;
pub mod unixctl;
mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ovsdb::{Snapshot, Uuid};
use sluice_flows::model::{Capabilities, TunnelKind};
use tokio::sync::oneshot;

use crate::attach::record::SANDBOX;
use crate::config::DatapathType;
use crate::metrics::Metrics;
pub use build::{GATEWAY_OFPORT, TUNNEL_OFPORT};
pub(crate) use database::Database;
pub use ports::{NewPort, PortKind};
pub use restore::Armed;
use schema::{Bridge, Datapath, Interface, OpenVSwitch, Port};
pub use teardown::TornDown;

/// The bridge as the configuration asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub bridge: String,
    /// Which datapath carries it.
    pub datapath_type: DatapathType,
    /// Name of the gateway port.
    pub gateway: String,
    /// The tunnel port, if any.
    pub tunnel: Option<Tunnel>,
}

/// The tunnel port as the configuration asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// Its encapsulation.
    pub kind: TunnelKind,
    /// Its destination port, if not that of the encapsulation.
    pub dst_port: Option<u16>,
}

/// The bridge as it came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// OpenFlow number of the gateway port.
    pub gateway_ofport: u32,
    /// OpenFlow number of the tunnel port.
    pub tunnel_ofport: Option<u32>,
    /// What flows may ask of the datapath.
    pub capabilities: Capabilities,
    /// Whether anything had to be written.
    pub changed: bool,
    /// What an operator should know of this release of the switch.
    pub hazard: Option<String>,
}

/// A port of the bridge, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortState {
    /// Name of port and device.
    pub name: String,
    /// OpenFlow number, once the switch has given one.
    pub ofport: Option<u32>,
    /// The number that was asked for.
    pub ofport_request: Option<u32>,
    /// Why the switch could not make it.
    pub error: Option<String>,
    /// What it is for.
    pub external_ids: BTreeMap<String, String>,
}

/// Versions, for reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Of the running switch.
    pub ovs: String,
    /// Of the database's schema.
    pub database: String,
}

/// Why something is not as asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SwitchError {
    /// The database cannot be reached; nothing happened.
    #[error("the switch's database cannot be reached: {0}")]
    Unreachable(String),
    /// The connection broke: it may have happened.
    #[error("whether the switch's database took it is not known: {0}")]
    Unknown(String),
    /// The database refused a transaction.
    #[error("the switch's database refused: {0}")]
    Refused(String),
    /// The database is not what the agent can work with.
    #[error("the switch's database does not fit: {0}")]
    Schema(String),
    /// The switch cannot do what the configuration asks for; each is named.
    #[error("this switch lacks what is asked for: {}", .0.join("; "))]
    Missing(Vec<String>),
    /// A name is taken by something that is not ours.
    #[error("{what} {name} exists and was not made by sluice; it is left alone")]
    Foreign {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The bridge is not there.
    #[error("there is no bridge {0}")]
    NoBridge(String),
    /// The switch could not make a port.
    #[error("port {name}: {error}")]
    Port {
        /// Its name.
        name: String,
        /// What the switch says.
        error: String,
    },
    /// Something did not happen in time.
    #[error("{0} did not happen in time; is ovs-vswitchd running?")]
    Late(String),
    /// The agent is ending.
    #[error("the agent is stopping")]
    Stopped,
}

/// A handle to the switch; clones share it.
#[derive(Debug, Clone)]
pub struct Switch {
    database: Database,
    ports: ports::Queue,
    wanted: Wanted,
}

impl Switch {
    /// Connects to the database and waits, up to `limit`, until the replica is in sync.
    ///
    /// # Errors
    /// If it cannot be reached in time, or lacks a table or column.
    pub async fn connect(
        remote: &str,
        wanted: Wanted,
        limit: Duration,
        metrics: Metrics,
    ) -> Result<Self, SwitchError> {
        let database = Database::connect(remote, limit, metrics).await?;
        let ports = ports::start(database.clone(), wanted.bridge.clone());
        Ok(Self {
            database,
            ports,
            wanted,
        })
    }

    /// The database, for those who watch the connection.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Checks what the switch can do, makes the bridge what it should be, and waits, up to `limit`,
    /// for the numbers of its ports. Writes nothing if everything is there.
    ///
    /// # Errors
    /// If the switch lacks something (all of it is named), a name is taken by something that is
    /// not ours, or the switch does not make the ports in time.
    pub async fn build(&self, limit: Duration) -> Result<Built, SwitchError> {
        let deadline = tokio::time::Instant::now() + limit;
        let left = || deadline.saturating_duration_since(tokio::time::Instant::now());
        let known = |root: &OpenVSwitch| capabilities::known(root).then(|| root.clone());
        let root = self
            .wait(left(), "the switch saying what it can do", |snapshot| {
                known(&root(snapshot)?)
            })
            .await?;
        let missing = capabilities::missing(&root, &self.wanted);
        if !missing.is_empty() {
            return Err(SwitchError::Missing(missing));
        }
        let changed = match build::build(&self.database.snapshot()?, &self.wanted)? {
            Some(transaction) => {
                self.database.transact(transaction).await?;
                tracing::info!(bridge = self.wanted.bridge, "bridge built");
                true
            }
            None => false,
        };
        let gateway_ofport = self.wait_ofport(&self.wanted.gateway, left()).await?;
        let tunnel_ofport = match &self.wanted.tunnel {
            Some(tunnel) => Some(self.wait_ofport(&tunnel.name, left()).await?),
            None => None,
        };
        // Said together with the numbers of the ports.
        let said = self.datapath_capabilities();
        let missing = capabilities::missing_in_datapath(&said);
        if !missing.is_empty() {
            return Err(SwitchError::Missing(missing));
        }
        let capabilities = self.capabilities(&said);
        Ok(Built {
            gateway_ofport,
            tunnel_ofport,
            capabilities,
            changed,
            hazard: capabilities::hazard(&root, &self.wanted),
        })
    }

    /// What the datapath can do, as its row says; empty where there is none, or the switch has not said yet.
    fn datapath_capabilities(&self) -> BTreeMap<String, String> {
        let snapshot = self.database.last();
        let said = root(&snapshot).and_then(|root| {
            let uuid = *root.datapaths.get(self.wanted.datapath_type.as_str())?;
            Some(snapshot.table::<Datapath>().ok()?.get(uuid)?.capabilities)
        });
        said.unwrap_or_default()
    }

    /// What flows may ask of a datapath that says so much; else its type tells.
    fn capabilities(&self, said: &BTreeMap<String, String>) -> Capabilities {
        Capabilities {
            nd_reply: match said.get("nd_ext") {
                Some(value) => value == "true",
                None => self.wanted.datapath_type == DatapathType::Netdev,
            },
        }
    }

    /// Makes a port; answers once the database has it, with its interface's row.
    ///
    /// # Errors
    /// If the database does not take it; after [`SwitchError::Unknown`] it may be there.
    pub async fn insert_port(&self, port: NewPort) -> Result<Uuid, SwitchError> {
        let (done, answer) = oneshot::channel();
        self.send(ports::Request::Insert { port, done }).await?;
        answer.await.map_err(|_| SwitchError::Stopped)?
    }

    /// Removes a port of the bridge; answers whether it was there.
    ///
    /// # Errors
    /// If the database does not take it; after [`SwitchError::Unknown`] it may be gone.
    pub async fn remove_port(&self, name: &str) -> Result<bool, SwitchError> {
        let (done, answer) = oneshot::channel();
        self.send(ports::Request::Remove {
            name: name.to_owned(),
            done,
        })
        .await?;
        answer.await.map_err(|_| SwitchError::Stopped)?
    }

    async fn send(&self, request: ports::Request) -> Result<(), SwitchError> {
        self.ports
            .send(request)
            .await
            .map_err(|_| SwitchError::Stopped)
    }

    /// Waits until the switch has given an interface its OpenFlow number.
    ///
    /// # Errors
    /// If it cannot make the port, or does not in time.
    pub async fn wait_number(
        &self,
        interface: Uuid,
        name: &str,
        limit: Duration,
    ) -> Result<u32, SwitchError> {
        let outcome = self
            .wait(
                limit,
                &format!("port {name} getting its number"),
                |snapshot| {
                    let Some(row) = snapshot.table::<Interface>().ok()?.get(interface) else {
                        return Some(Err("was removed".to_owned()));
                    };
                    match (number(row.ofport), row.error) {
                        (Some(number), _) => Some(Ok(number)),
                        (None, Some(error)) => Some(Err(error)),
                        (None, None) => None,
                    }
                },
            )
            .await?;
        outcome.map_err(|error| SwitchError::Port {
            name: name.to_owned(),
            error,
        })
    }

    /// Waits until the named port has its number.
    ///
    /// # Errors
    /// If there is no such port, the switch cannot make it, or does not in time.
    pub async fn wait_ofport(&self, name: &str, limit: Duration) -> Result<u32, SwitchError> {
        let row = self.interface(name)?.ok_or_else(|| SwitchError::Port {
            name: name.to_owned(),
            error: "is gone".to_owned(),
        })?;
        self.wait_number(row.uuid, name, limit).await
    }

    /// The port of this name, on whatever bridge.
    pub fn port(&self, name: &str) -> Option<PortState> {
        self.interface(name).ok().flatten().map(port_state)
    }

    fn interface(&self, name: &str) -> Result<Option<Interface>, SwitchError> {
        Ok(self
            .database
            .last()
            .table::<Interface>()?
            .find(Interface::name, name))
    }

    /// The ports of pods on the bridge.
    pub fn pod_ports(&self) -> Vec<PortState> {
        let snapshot = self.database.last();
        pod_ports(&snapshot, &self.wanted.bridge).unwrap_or_default()
    }

    /// Versions of switch and schema.
    pub fn versions(&self) -> Versions {
        let root = root(&self.database.last());
        root.map(|root| Versions {
            ovs: root.ovs_version.unwrap_or_default(),
            database: root.db_version.unwrap_or_default(),
        })
        .unwrap_or_default()
    }

    /// Whether the database can be read and written now.
    pub fn in_sync(&self) -> bool {
        self.database.snapshot().is_ok()
    }

    /// What the bridge should be.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    async fn wait<R>(
        &self,
        limit: Duration,
        what: &str,
        condition: impl FnMut(&Snapshot) -> Option<R>,
    ) -> Result<R, SwitchError> {
        self.database.wait(limit, what, condition).await
    }
}

/// The one row of the root table.
fn root(snapshot: &Snapshot) -> Option<OpenVSwitch> {
    snapshot.table::<OpenVSwitch>().ok()?.iter().next()
}

fn pod_ports(snapshot: &Snapshot, bridge: &str) -> Option<Vec<PortState>> {
    let bridge = snapshot
        .table::<Bridge>()
        .ok()?
        .find(Bridge::name, bridge)?;
    let (ports, interfaces) = (
        snapshot.table::<Port>().ok()?,
        snapshot.table::<Interface>().ok()?,
    );
    let ours: BTreeSet<Uuid> = bridge
        .ports
        .iter()
        .filter_map(|&uuid| ports.get(uuid))
        .flat_map(|port| port.interfaces)
        .collect();
    let rows = ours.into_iter().filter_map(|uuid| interfaces.get(uuid));
    let pods = rows.filter(|row| row.external_ids.contains_key(SANDBOX));
    Some(pods.map(port_state).collect())
}

fn port_state(row: Interface) -> PortState {
    PortState {
        name: row.name,
        ofport: number(row.ofport),
        ofport_request: number(row.ofport_request),
        error: row.error,
        external_ids: row.external_ids,
    }
}

/// An OpenFlow number; -1 means none.
fn number(ofport: Option<i64>) -> Option<u32> {
    u32::try_from(ofport?).ok().filter(|&number| number > 0)
}
