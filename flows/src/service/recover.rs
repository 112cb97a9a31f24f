//! Finds out from a switch what the agent that programmed it had in mind: an agent that starts anew must not move
//! endpoints from index to index, nor treat the clients of connections that live in another way.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use openflow::FlowStats;

use crate::cookie::{Cookie, Kind};
use crate::model::{Backend, State};
use crate::pipeline::Table;
use crate::service::choice::Look;
use crate::service::memory::{Scope, service_number};
use crate::service::slots::Slots;
use crate::tables::{dnat, origin, service, service_state};

/// What was found of one set of endpoints.
#[derive(Debug, Default)]
struct Found {
    shape: usize,
    at: Vec<(u16, Backend)>,
}

/// Makes the state's memory what the switch's flows say, as far as the Services still agree.
pub(crate) fn recover(state: &mut State, flows: &[FlowStats]) {
    let mut sets: HashMap<u64, Found> = HashMap::new();
    let mut endpoints: Vec<IpAddr> = Vec::new();
    let mut looks: HashMap<u64, Look> = HashMap::new();
    let mut kept: HashSet<u64> = HashSet::new();
    for flow in flows {
        let kind = Cookie::from_u64(flow.cookie).and_then(Cookie::kind);
        match (kind, Table::from_id(flow.table)) {
            (Some(Kind::Service), Some(Table::Dnat)) => {
                let Some(read) = dnat::read(flow) else {
                    continue;
                };
                let found = sets.entry(read.number).or_default();
                found.shape = found.shape.max(usize::from(read.index) + 1);
                if !read.hole {
                    found.at.push((read.index, read.backend));
                }
            }
            (Some(Kind::Service), Some(Table::Service)) => {
                let look = looks.entry(flow.cookie).or_default();
                *look = look.with(service::read_look(flow));
                if service::read_keeps(flow) {
                    kept.insert(flow.cookie);
                }
            }
            (Some(Kind::Service), Some(Table::ServiceState)) => {
                let look = looks.entry(flow.cookie).or_default();
                *look = look.with(service_state::read_look(flow));
            }
            (Some(Kind::Endpoint), Some(Table::Origin)) => {
                endpoints.extend(origin::read_endpoint(&flow.match_));
            }
            _ => {}
        }
    }
    let State {
        services, memory, ..
    } = state;
    for port in services.values() {
        for scope in [Scope::Cluster, Scope::Local] {
            let found = sets.remove(&service_number(&port.id, scope));
            if let Some(found) = found.filter(|_| port.uses(scope)) {
                memory.reassign(port, scope, Slots::found(found.shape, found.at));
            }
        }
        let cookie = Cookie::service(&port.id).to_u64();
        let look = looks.get(&cookie).copied().unwrap_or_default();
        memory.has_treated(port, look, kept.contains(&cookie));
    }
    endpoints.sort_unstable();
    for ip in endpoints {
        memory.linger(ip);
    }
}
