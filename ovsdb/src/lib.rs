//! OVSDB (RFC 7047 and Open vSwitch's extensions), the client side.
//!
//! A [`Client`] is a cheap handle to one connection that is made again whenever it is lost. Through
//! it go transactions, built by [`Transaction`], and replicas: parts of a database held here and
//! kept up to date ([`Client::replica`]). Tables are declared once, as Rust types, by [`table!`];
//! those of the `Open_vSwitch` database are in [`vswitch`].
//!
//! # Use
//!
//! ```no_run
//! use std::time::Duration;
//! use ovsdb::vswitch::{self, Bridge, Interface, OpenVSwitch, Port};
//! use ovsdb::{Client, Error, Insert, Mutate, Options, Remote, Transaction, Until, Update, Wait};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let timeout = Duration::from_secs(10);
//! let client = Client::connect(Remote::parse_list("unix:/run/openvswitch/db.sock")?, Options::default());
//!
//! // A replica of some tables, in sync once open. The columns are those declared, and checked:
//! // a switch too old gives an error that names table and column.
//! let replica = client
//!     .replica(vswitch::DATABASE)
//!     .table::<OpenVSwitch>()
//!     .table::<Bridge>()
//!     .table::<Port>()
//!     .table::<Interface>()
//!     .open(timeout)
//!     .await?;
//! let now = replica.read();
//! let root = now.table::<OpenVSwitch>()?.iter().next().ok_or("no root row")?;
//! println!("Open vSwitch {:?} can make {:?}", root.ovs_version, root.iface_types);
//!
//! // One transaction: a port on a bridge, if there is none of that name.
//! let mut txn = Transaction::new();
//! txn.wait(Wait::<Port>::until(Port::name.eq("pod1"), Until::Equal)); // precondition: no such row
//! let interface = txn.insert(
//!     Insert::<Interface>::new()
//!         .set(Interface::name, "pod1")
//!         .set(Interface::r#type, "internal")
//!         .set(Interface::ofport_request, 1024)
//!         .set(Interface::external_ids, [("owner", "me")]),
//! );
//! let port = txn.insert(Insert::<Port>::new().set(Port::name, "pod1").set(Port::interfaces, &interface));
//! let linked = txn.mutate(Mutate::<Bridge>::rows(Bridge::name.eq("br0")).insert(Bridge::ports, &port));
//! txn.mutate(Mutate::<OpenVSwitch>::rows(root.uuid).add(OpenVSwitch::next_cfg, 1));
//! let reply = match client.transact(vswitch::DATABASE, txn).await {
//!     Ok(reply) => reply,
//!     Err(error) if error.is_unknown() => return Err("cut off: read back before trying again".into()),
//!     Err(Error::Transaction(error)) => return Err(format!("refused: {error}").into()),
//!     Err(error) => return Err(error.into()), // it did not happen
//! };
//! assert_eq!(reply.count(linked), 1, "there is no bridge br0");
//! let uuid = reply.uuid(&interface).ok_or("no uuid")?;
//!
//! // Wait until the switch has made the device: by the row, for the name may come again.
//! let ofport = replica
//!     .wait(timeout, |now| now.table::<Interface>().ok()?.get(uuid)?.ofport)
//!     .await?;
//! println!("port {ofport}"); // -1: it could not, see the column `error`
//!
//! // Updates and mutations, by uuid or by condition.
//! let mut txn = Transaction::new();
//! txn.update(Update::<Interface>::rows(uuid).set(Interface::mtu_request, 1400));
//! txn.mutate(Mutate::<Interface>::rows(uuid).put(Interface::external_ids, [("owner", "you")]));
//! txn.delete::<Port>(Port::name.eq("old").and(Port::tag.ne(7)));
//! client.transact(vswitch::DATABASE, txn).await?;
//!
//! // Changes, one transaction after the other; a slow reader gets several joined, never less.
//! let mut changes = replica.changes();
//! while let Some(change) = changes.next().await {
//!     for row in change.table::<Interface>() {
//!         println!("{:?} -> {:?}", row.before.map(|i| i.name), row.after.map(|i| i.ofport));
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Outcomes
//!
//! An error says whether the transaction may have happened: only [`Error::Unknown`] (the connection
//! was cut, or the time ran out, after it was sent) and an answer that cannot be read
//! ([`Error::Decode`]) leave it open ([`Error::is_unknown`]). Nothing is ever sent twice by the client.
//!
//! # States
//!
//! A replica only shows states that the server held: an update is applied as a whole or not at all,
//! and while the connection is down the last state stays. [`Snapshot::generation`] says on which
//! connection a state arrived, [`Client::state`] which one there is now, [`Replica::status`] whether
//! the replica is in sync on it. After [`Client::transact`] returns, a replica of the same client
//! shows what the transaction did: the server sends the update before the answer.
//!
//! # Features
//!
//! `tls`: `ssl:` remotes, by rustls.

mod client;
pub mod diff;
mod error;
pub mod framing;
#[doc(hidden)]
pub mod fuzzing;
pub mod op;
mod remote;
mod replica;
pub mod rpc;
pub mod schema;
#[cfg(feature = "tls")]
mod tls;
mod transport;
mod txn;
pub mod typed;
mod uuid;
mod value;
pub mod vswitch;

pub use client::{
    Client, Columns, Lock, LockState, Monitor, MonitorRequest, Options, PendingTransaction,
    RowUpdate, Select, State, TableUpdates,
};
pub use error::{Error, RpcError, SchemaError};
pub use op::{Clause, Function, Mutator, Operation, Until};
pub use remote::{DEFAULT_PORT, ParseRemoteError, Remote};
pub use replica::snapshot::{Change, ChangeSet, RawRow, RawTable, RowChange, Rows, Snapshot};
pub use replica::{Changes, MonitorMethod, Replica, ReplicaBuilder, Status};
#[cfg(feature = "tls")]
pub use tls::TlsConfig;
pub use txn::{
    Collection, ErrorKind, Insert, Mutate, Numeric, OpIndex, OpResult, Reply, SelectedRow,
    Transaction, TransactionError, Update, Wait,
};
pub use typed::{Column, Reference, Table, Untyped, Where};
pub use uuid::{ParseUuidError, Uuid};
pub use value::{Atom, AtomType, Map, Real, Set, Value};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
