//! What the counters of a switch's flows say of Services.
//!
//! Every packet to a Service passes one flow of its frontend and one of its endpoint. Where conntrack is asked first
//! (clients that keep their endpoint, fragments) the endpoint's flow sees the first packet of a connection only.

use std::collections::{BTreeMap, HashMap};

use openflow::FlowStats;

use crate::cookie::Cookie;
use crate::model::{Backend, ServiceId, State};
use crate::pipeline::Table;
use crate::service::memory::{Scope, service_number};
use crate::tables::dnat;

/// Packets of one port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that arrived at a frontend.
    pub packets: u64,
    /// Packets that were sent on to an endpoint of a scope.
    pub endpoints: BTreeMap<(Scope, Backend), u64>,
}

/// The tables whose flows [`counters`] looks at.
pub const COUNTED: [Table; 2] = [Table::Service, Table::Dnat];

/// Adds up what the flows of these tables counted, by port of a Service.
pub fn counters(state: &State, flows: &[FlowStats]) -> BTreeMap<ServiceId, Counters> {
    let scopes = [Scope::Cluster, Scope::Local];
    let by_cookie: HashMap<u64, &ServiceId> = state
        .services
        .keys()
        .map(|id| (Cookie::service(id).to_u64(), id))
        .collect();
    let by_number: HashMap<u64, (&ServiceId, Scope)> = state
        .services
        .keys()
        .flat_map(|id| scopes.map(|scope| (service_number(id, scope), (id, scope))))
        .collect();
    let mut all: BTreeMap<ServiceId, Counters> = BTreeMap::new();
    for flow in flows {
        if flow.table == Table::Service.id() {
            if let Some(id) = by_cookie.get(&flow.cookie) {
                all.entry((*id).clone()).or_default().packets += flow.packet_count;
            }
        } else if let Some(read) = dnat::read(flow)
            && let Some((id, scope)) = by_number.get(&read.number)
        {
            let counters = all.entry((*id).clone()).or_default();
            *counters
                .endpoints
                .entry((*scope, read.backend))
                .or_default() += flow.packet_count;
        }
    }
    all
}
