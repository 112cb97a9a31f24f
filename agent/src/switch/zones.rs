//! How long the conntrack zones of Services remember connections that are over.
//!
//! On the wire such a connection has one of 16,384 source ports for each client and endpoint, and keeps it until
//! conntrack forgets it. That takes minutes by default: a client that opens some hundred connections a second runs out
//! of them, and each new one then waits for a search that finds nothing.
//!
//! Pure: it adds to transactions. Zones that somebody else has configured are left as they are. A datapath without
//! timeouts by zone (the kernel's without `nfnetlink_cttimeout`) keeps to its own; the switch logs that.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::{Insert, Mutate, Snapshot, Transaction, Update, Where};
use sluice_flows::pipeline::{ZONE_SERVICE, ZONE_WIRE};

use super::build::ROLE;
use super::schema::{CtTimeoutPolicy, CtZone, Datapath, OpenVSwitch};
use super::{SwitchError, root};

/// Seconds, by state of `CT_Timeout_Policy`: long enough for the last packets to be sent again several times. Half-open
/// and half-closed connections, which may still have something to say, are as the datapath has them.
const TIMEOUTS: [(&str, i64); 2] = [("tcp_close", 5), ("tcp_time_wait", 5)];

const CONFIGURED: [u16; 2] = [ZONE_SERVICE, ZONE_WIRE];

fn timeouts() -> BTreeMap<String, i64> {
    TIMEOUTS.map(|(state, s)| (state.to_owned(), s)).into()
}

/// Configures the zones of a datapath, which gets a row if it has none.
pub(super) fn build(
    txn: &mut Transaction,
    snapshot: &Snapshot,
    datapath_type: &str,
) -> Result<(), SwitchError> {
    let uuid = root(snapshot).and_then(|root| root.datapaths.get(datapath_type).copied());
    let row = match uuid {
        Some(uuid) => snapshot.table::<Datapath>()?.get(uuid),
        None => None,
    };
    let (zones, policies) = (
        snapshot.table::<CtZone>()?,
        snapshot.table::<CtTimeoutPolicy>()?,
    );
    let mut missing = Vec::new();
    for zone in CONFIGURED.map(i64::from) {
        let configured = row.as_ref().and_then(|row| row.ct_zones.get(&zone));
        let Some(configured) = configured.and_then(|uuid| zones.get(*uuid)) else {
            missing.push(zone);
            continue;
        };
        let policy = configured
            .timeout_policy
            .and_then(|uuid| policies.get(uuid));
        let ours = configured.external_ids.contains_key(ROLE);
        if let Some(policy) = policy.filter(|policy| ours && policy.timeouts != timeouts()) {
            let row = Update::<CtTimeoutPolicy>::rows(policy.uuid);
            txn.update(row.set(CtTimeoutPolicy::timeouts, timeouts()));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let policy =
        txn.insert(Insert::<CtTimeoutPolicy>::new().set(CtTimeoutPolicy::timeouts, timeouts()));
    let mut make = |zone| {
        let row = Insert::<CtZone>::new()
            .set(CtZone::timeout_policy, &policy)
            .set(CtZone::external_ids, [(ROLE, "zone")]);
        (zone, txn.insert(row))
    };
    let made: Vec<_> = missing.into_iter().map(&mut make).collect();
    match row {
        Some(row) => {
            txn.mutate(Mutate::<Datapath>::rows(row.uuid).insert(Datapath::ct_zones, made));
        }
        None => {
            let row = Insert::<Datapath>::new()
                .set(Datapath::ct_zones, made)
                .set(Datapath::external_ids, [(ROLE, "datapath")]);
            let row = txn.insert(row);
            let root = Mutate::<OpenVSwitch>::rows(Where::all());
            txn.mutate(root.insert(OpenVSwitch::datapaths, [(datapath_type, &row)]));
        }
    }
    Ok(())
}

/// Takes away what [`build`] added; true if there was anything.
pub(super) fn tear_down(txn: &mut Transaction, snapshot: &Snapshot) -> Result<bool, SwitchError> {
    let Some(root) = root(snapshot) else {
        return Ok(false);
    };
    let (datapaths, zones) = (snapshot.table::<Datapath>()?, snapshot.table::<CtZone>()?);
    let mut any = false;
    for (datapath_type, uuid) in &root.datapaths {
        let Some(row) = datapaths.get(*uuid) else {
            continue;
        };
        let ours = |uuid| {
            zones
                .get(uuid)
                .is_some_and(|zone| zone.external_ids.contains_key(ROLE))
        };
        let (ours, others): (Vec<_>, Vec<_>) =
            row.ct_zones.into_iter().partition(|(_, uuid)| ours(*uuid));
        if ours.is_empty() && !row.external_ids.contains_key(ROLE) {
            continue;
        }
        any = true;
        if row.external_ids.contains_key(ROLE) && others.is_empty() {
            let root = Mutate::<OpenVSwitch>::rows(Where::all());
            txn.mutate(root.delete_keys(OpenVSwitch::datapaths, [datapath_type.as_str()]));
        } else {
            let zones: BTreeSet<i64> = ours.into_iter().map(|(zone, _)| zone).collect();
            txn.mutate(Mutate::<Datapath>::rows(row.uuid).delete_keys(Datapath::ct_zones, zones));
        }
    }
    Ok(any)
}
