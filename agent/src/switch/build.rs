//! The difference between the bridge as it is and as it should be, as one transaction.
//!
//! Pure: a snapshot of the database in, a transaction out. What is not marked as ours is never
//! written; that it is in the way is an error.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::{Insert, Mutate, Reference, Snapshot, Transaction, Update};
use sluice_flows::pipeline::Table;

use super::schema::{Bridge, FlowTable, Interface, OpenVSwitch, Port};
use super::{SwitchError, Wanted, zones};

/// Key that marks rows as ours; its value says what the row is for.
pub(super) const ROLE: &str = "sluice-role";

/// OpenFlow number of the tunnel port.
pub const TUNNEL_OFPORT: u32 = 1;
/// OpenFlow number of the gateway port.
pub const GATEWAY_OFPORT: u32 = 2;

const PROTOCOLS: [&str; 2] = ["OpenFlow13", "OpenFlow15"];
const FAIL_MODE: &str = "secure";

/// One of the bridge's own ports, as it should be.
struct OwnPort {
    role: &'static str,
    name: String,
    kind: String,
    options: BTreeMap<String, String>,
    ofport: Option<u32>,
}

fn own_ports(wanted: &Wanted) -> Vec<OwnPort> {
    let internal = |role, name: &String, ofport| OwnPort {
        role,
        name: name.clone(),
        kind: "internal".to_owned(),
        options: BTreeMap::new(),
        ofport,
    };
    let mut ports = vec![
        internal("local", &wanted.bridge, None),
        internal("gateway", &wanted.gateway, Some(GATEWAY_OFPORT)),
    ];
    if let Some(tunnel) = &wanted.tunnel {
        let mut options = BTreeMap::from(
            [("remote_ip", "flow"), ("key", "flow")].map(|(k, v)| (k.to_owned(), v.to_owned())),
        );
        options.extend(
            tunnel
                .dst_port
                .map(|port| ("dst_port".to_owned(), port.to_string())),
        );
        ports.push(OwnPort {
            role: "tunnel",
            name: tunnel.name.clone(),
            kind: tunnel.kind.to_string(),
            options,
            ofport: Some(TUNNEL_OFPORT),
        });
    }
    ports
}

/// What has to be written; `None` if the bridge is as it should be.
///
/// # Errors
/// If a name is taken by something that is not ours.
pub(super) fn build(
    snapshot: &Snapshot,
    wanted: &Wanted,
) -> Result<Option<Transaction>, SwitchError> {
    let mut txn = Transaction::new();
    let bridge = snapshot
        .table::<Bridge>()?
        .find(Bridge::name, wanted.bridge.as_str());
    let reference = match &bridge {
        Some(bridge) => {
            update_bridge(&mut txn, bridge, wanted)?;
            Reference::Row(bridge.uuid)
        }
        None => insert_bridge(&mut txn, wanted),
    };
    build_ports(&mut txn, snapshot, bridge.as_ref(), &reference, wanted)?;
    build_tables(&mut txn, snapshot, bridge.as_ref(), &reference)?;
    zones::build(&mut txn, snapshot, wanted.datapath_type.as_str())?;
    if txn.is_empty() {
        return Ok(None);
    }
    txn.comment(format!("sluice-agent: build bridge {}", wanted.bridge));
    Ok(Some(txn))
}

fn insert_bridge(txn: &mut Transaction, wanted: &Wanted) -> Reference {
    let reference = txn.insert(
        Insert::<Bridge>::new()
            .set(Bridge::name, wanted.bridge.as_str())
            .set(Bridge::datapath_type, wanted.datapath_type.as_str())
            .set(Bridge::fail_mode, FAIL_MODE)
            .set(Bridge::protocols, PROTOCOLS)
            .set(Bridge::external_ids, [(ROLE, "bridge")]),
    );
    txn.mutate(
        Mutate::<OpenVSwitch>::rows(ovsdb::Where::all()).insert(OpenVSwitch::bridges, [&reference]),
    );
    reference
}

fn update_bridge(
    txn: &mut Transaction,
    bridge: &Bridge,
    wanted: &Wanted,
) -> Result<(), SwitchError> {
    if !bridge.external_ids.contains_key(ROLE) {
        return Err(SwitchError::Foreign {
            what: "bridge",
            name: bridge.name.clone(),
        });
    }
    let protocols: BTreeSet<String> = PROTOCOLS.map(str::to_owned).into();
    let datapath_type = match bridge.datapath_type.as_str() {
        "" => "system",
        other => other,
    };
    let same = datapath_type == wanted.datapath_type.as_str()
        && bridge.fail_mode.as_deref() == Some(FAIL_MODE)
        && bridge.protocols.is_superset(&protocols);
    if !same {
        let protocols: BTreeSet<String> = bridge.protocols.union(&protocols).cloned().collect();
        txn.update(
            Update::<Bridge>::rows(bridge.uuid)
                .set(Bridge::datapath_type, wanted.datapath_type.as_str())
                .set(Bridge::fail_mode, FAIL_MODE)
                .set(Bridge::protocols, protocols),
        );
    }
    Ok(())
}

fn build_ports(
    txn: &mut Transaction,
    snapshot: &Snapshot,
    bridge: Option<&Bridge>,
    reference: &Reference,
    wanted: &Wanted,
) -> Result<(), SwitchError> {
    let (ports, interfaces) = (snapshot.table::<Port>()?, snapshot.table::<Interface>()?);
    let wanted = own_ports(wanted);
    let mine = |port: &Port| bridge.is_some_and(|bridge| bridge.ports.contains(&port.uuid));
    for own in &wanted {
        let Some(port) = ports.find(Port::name, own.name.as_str()) else {
            if interfaces
                .find(Interface::name, own.name.as_str())
                .is_some()
            {
                return Err(SwitchError::Foreign {
                    what: "interface",
                    name: own.name.clone(),
                });
            }
            insert_port(txn, reference, own);
            continue;
        };
        if !mine(&port) || !port.external_ids.contains_key(ROLE) {
            return Err(SwitchError::Foreign {
                what: "port",
                name: own.name.clone(),
            });
        }
        for interface in port
            .interfaces
            .iter()
            .filter_map(|&uuid| interfaces.get(uuid))
        {
            let ofport_request = own.ofport.map(i64::from);
            let same = interface.kind == own.kind
                && interface.options == own.options
                && (ofport_request.is_none() || interface.ofport_request == ofport_request);
            if !same {
                txn.update(
                    Update::<Interface>::rows(interface.uuid)
                        .set(Interface::kind, own.kind.as_str())
                        .set(Interface::options, own.options.clone())
                        .set(Interface::ofport_request, ofport_request),
                );
            }
        }
    }
    // Ports of ours from an earlier configuration: another name, or no tunnel any more.
    for port in ports.iter().filter(|port| mine(port)) {
        let stale =
            port.external_ids.contains_key(ROLE) && !wanted.iter().any(|own| own.name == port.name);
        if stale {
            txn.mutate(Mutate::<Bridge>::rows(reference).delete(Bridge::ports, [port.uuid]));
        }
    }
    Ok(())
}

fn insert_port(txn: &mut Transaction, bridge: &Reference, own: &OwnPort) {
    let mut interface = Insert::<Interface>::new()
        .set(Interface::name, own.name.as_str())
        .set(Interface::kind, own.kind.as_str())
        .set(Interface::options, own.options.clone())
        .set(Interface::external_ids, [(ROLE, own.role)]);
    if let Some(ofport) = own.ofport {
        interface = interface.set(Interface::ofport_request, i64::from(ofport));
    }
    let interface = txn.insert(interface);
    let port = txn.insert(
        Insert::<Port>::new()
            .set(Port::name, own.name.as_str())
            .set(Port::interfaces, [&interface])
            .set(Port::external_ids, [(ROLE, own.role)]),
    );
    txn.mutate(Mutate::<Bridge>::rows(bridge).insert(Bridge::ports, [&port]));
}

/// Gives every table of the pipeline its name and its tries.
fn build_tables(
    txn: &mut Transaction,
    snapshot: &Snapshot,
    bridge: Option<&Bridge>,
    reference: &Reference,
) -> Result<(), SwitchError> {
    let rows = snapshot.table::<FlowTable>()?;
    for table in Table::ALL {
        let id = i64::from(table.id().0);
        let prefixes: BTreeSet<String> = table.prefixes().iter().map(|&p| p.to_owned()).collect();
        let row = bridge
            .and_then(|bridge| bridge.flow_tables.get(&id))
            .and_then(|&uuid| rows.get(uuid));
        match row {
            Some(row) if row.name.as_deref() == Some(table.name()) && row.prefixes == prefixes => {}
            Some(row) => {
                txn.update(
                    Update::<FlowTable>::rows(row.uuid)
                        .set(FlowTable::name, table.name())
                        .set(FlowTable::prefixes, prefixes),
                );
            }
            None => {
                let row = txn.insert(
                    Insert::<FlowTable>::new()
                        .set(FlowTable::name, table.name())
                        .set(FlowTable::prefixes, prefixes),
                );
                txn.mutate(
                    Mutate::<Bridge>::rows(reference).insert(Bridge::flow_tables, [(id, &row)]),
                );
            }
        }
    }
    Ok(())
}
