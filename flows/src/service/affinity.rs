//! Session affinity beyond the longest timeout that a flow can have.
//!
//! A learned flow goes after at most 65,535 s without a new connection; Kubernetes allows 86,400. Where more is asked
//! for, the switch tells when a learned flow goes, and a flow that remembers the same for the rest of the time takes
//! its place, at a lower priority: the next connection teaches the switch anew, for the whole time.

use openflow::message::{FlowRemoved, FlowRemovedReason};
use openflow::{FlowMod, Instruction};

use crate::cookie::{Cookie, Kind};
use crate::fragment::Steps;
use crate::model::State;
use crate::pipeline::{INDEX, SERVICE_ID_HALVES, Table};
use crate::service::memory::{Scope, service_number};

/// The priority of flows that the switch learned.
pub(crate) const LEARNED: u16 = 200;
/// The priority of those that remember for the rest of a long time.
pub(crate) const REMAINDER: u16 = 100;
/// The longest timeout that a flow can have, in seconds.
pub(crate) const SHORT: u16 = u16::MAX;

/// What keeps a client at its endpoint after the flow that the switch had learned for it has gone: a flow to add, if
/// the Service wants its clients kept for longer than a flow can wait, and still has the endpoint.
pub fn affinity_remainder(removed: &FlowRemoved, state: &State) -> Option<FlowMod> {
    let FlowRemoved {
        cookie,
        priority: LEARNED,
        reason: FlowRemovedReason::IDLE_TIMEOUT,
        match_,
        ..
    } = removed
    else {
        return None;
    };
    let cookie = Cookie::from_u64(*cookie).filter(|c| c.kind() == Some(Kind::Affinity))?;
    if removed.table != Table::Affinity.id() {
        return None;
    }
    let [high, low] = SERVICE_ID_HALVES;
    let half = |field| Some(match_.get(field)?.0.to_u64());
    let number = half(high)? << 32 | half(low)?;
    let (port, scope) = state.services.values().find_map(|port| {
        let scopes = [Scope::Cluster, Scope::Local].into_iter();
        let scope = scopes
            .into_iter()
            .find(|s| service_number(&port.id, *s) == number)?;
        Some((port, scope))
    })?;
    let rest = port.affinity?.checked_sub(u32::from(SHORT))?;
    let rest = u16::try_from(rest).unwrap_or(SHORT);
    let mut slots = state.memory.slots(&port.id, scope).iter();
    let (index, _) = slots.find(|(_, b)| Cookie::affinity(&port.id, b) == cookie)?;
    (rest > 0).then(|| FlowMod {
        cookie: cookie.to_u64(),
        table: Table::Affinity.id(),
        priority: REMAINDER,
        idle_timeout: rest,
        match_: match_.clone(),
        instructions: remember(index).into(),
        ..FlowMod::default()
    })
}

fn remember(index: u16) -> Vec<Instruction> {
    Steps::new().set(INDEX, u32::from(index)).finish()
}
