//! The flows of Services, put together: what one asks for, and what belongs to none of them alone.
//!
//! A Service compiles in two parts. Its *front* is a handful of flows, compiled anew at any change. Its *entries* may
//! be thousands, one for each endpoint: they are compared before they are made into flows.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::claims::{Claim, Claims, Owner};
use crate::cookie::Cookie;
use crate::flow::Flow;
use crate::fragment::Fragment;
use crate::model::{Backend, LocalNode, Protocol, ServicePort, State};
use crate::patch::{Patch, Released};
use crate::pipeline::Table;
use crate::service::{Choice, Look, Scope, Slot, Slots, changes, service_number};
use crate::tables::{dnat, origin, service, service_state, spread};

const SCOPES: [Scope; 2] = [Scope::Cluster, Scope::Local];

/// What a Service asks for, its endpoints apart.
pub(crate) fn front(
    port: &ServicePort,
    state: &State,
    owner: &Owner,
    claims: &Claims,
) -> Vec<Flow> {
    let mut f = Fragment::new(Cookie::service(&port.id));
    let own = origin::own(&state.local);
    let (mut addresses, mut whole) = (BTreeSet::new(), BTreeSet::new());
    let listeners = service::listeners(port, &state.local);
    for listener in &listeners {
        let frontend = Claim::Frontend(listener.ip, port.protocol, listener.port);
        if claims.owns(owner, &frontend) {
            service::listen(listener, port, state, &mut f);
            if port.protocol == Protocol::Udp {
                let datagrams = Claim::Datagrams(listener.ip);
                // One Service may listen at several ports of an address: the first will do.
                let only = claims.alone(owner, &datagrams) && whole.insert(listener.ip);
                service_state::listen(listener, port, only, state, &mut f);
            }
        }
        if claims.owns(owner, &Claim::ServiceAddress(listener.ip)) && addresses.insert(listener.ip)
        {
            let others = claims.winner(&Claim::Address(listener.ip)).is_some();
            let shared = others || own.binary_search(&listener.ip).is_ok();
            service::address(listener.ip, shared, &mut f);
            if !shared {
                service_state::address(listener.ip, &mut f);
            }
        }
    }
    service_state::service(port, state, &mut f);
    f.flows
}

/// The endpoints of a Service.
pub(crate) fn endpoints_of(port: &ServicePort, state: &State) -> Vec<Flow> {
    let entries = Entries::of(port, state);
    let mut f = Fragment::new(Cookie::service(&port.id));
    for set in &entries.sets {
        for (slot, backend) in &set.entries {
            set.flow(port, *slot, backend, &mut f);
        }
    }
    f.flows
}

/// What table Dnat says of a Service, not yet as flows.
pub(crate) struct Entries {
    /// Only what the flows are made from besides: small, and seldom different.
    port: ServicePort,
    sets: Vec<Set>,
}

struct Set {
    scope: Scope,
    number: u64,
    /// Only where clients are kept at an index.
    slots: Option<Slots>,
    entries: Vec<(Slot, Backend)>,
}

impl Entries {
    pub(crate) fn of(port: &ServicePort, state: &State) -> Self {
        let sets = SCOPES.into_iter().filter(|scope| port.uses(*scope));
        let sets = sets.map(|scope| {
            let slots = state.memory.slots(&port.id, scope);
            let choice = Choice::of(slots.shape(), port.affinity.is_some());
            Set {
                scope,
                number: service_number(&port.id, scope),
                slots: port.affinity.is_some().then(|| slots.clone()),
                entries: slots.entries(choice),
            }
        });
        Self {
            port: without_endpoints(port),
            sets: sets.collect(),
        }
    }

    fn set(&self, scope: Scope) -> Option<&Set> {
        self.sets.iter().find(|set| set.scope == scope)
    }
}

/// The part of a Service that the flows of its endpoints depend on.
fn without_endpoints(port: &ServicePort) -> ServicePort {
    ServicePort {
        id: port.id.clone(),
        namespace: String::new(),
        name: String::new(),
        port_name: String::new(),
        v6: port.v6,
        protocol: port.protocol,
        frontends: Vec::new(),
        cluster: Vec::new(),
        local: Vec::new(),
        affinity: port.affinity,
    }
}

impl Set {
    fn flow(&self, port: &ServicePort, slot: Slot, backend: &Backend, f: &mut Fragment) {
        // Clients are kept at an endpoint by its own index, whichever index led to it.
        let index = match &self.slots {
            Some(slots) if slot.hole => slots
                .iter()
                .find(|(_, b)| b == backend)
                .map_or(slot.index, |(index, _)| index),
            _ => slot.index,
        };
        dnat::endpoint(port, self.number, slot, backend, index, f);
    }
}

/// What has to change in table Dnat.
pub(crate) fn between(before: Option<&Entries>, after: Option<&Entries>) -> Patch {
    let mut patch = Patch::default();
    let port = |entries: Option<&Entries>| entries.map(|e| e.port.clone());
    let same = port(before) == port(after);
    for scope in SCOPES {
        fn set(entries: Option<&Entries>, scope: Scope) -> &[(Slot, Backend)] {
            let set = entries.and_then(|e| e.set(scope));
            set.map_or(&[], |set| &set.entries)
        }
        let (was, is) = (set(before, scope), set(after, scope));
        let mut was = was.iter().peekable();
        let mut is = is.iter().peekable();
        let mut f = after.map(|e| Fragment::new(Cookie::service(&e.port.id)));
        let mut gone = before.map(|e| Fragment::new(Cookie::service(&e.port.id)));
        loop {
            let (old, new) = match (was.peek(), is.peek()) {
                (Some(a), Some(b)) if a.0 == b.0 => (was.next(), is.next()),
                (Some(a), Some(b)) if a.0 < b.0 => (was.next(), None),
                (Some(_), None) => (was.next(), None),
                (_, Some(_)) => (None, is.next()),
                (None, None) => break,
            };
            if same && old == new {
                continue;
            }
            if let (Some((slot, backend)), Some(e), Some(f)) = (new, after, &mut f)
                && let Some(set) = e.set(scope)
            {
                set.flow(&e.port, *slot, backend, f);
            } else if let (Some((slot, backend)), Some(e), Some(f)) = (old, before, &mut gone)
                && let Some(set) = e.set(scope)
            {
                set.flow(&e.port, *slot, backend, f);
            }
        }
        patch.flows_set.extend(f.into_iter().flat_map(|f| f.flows));
        let gone = gone.into_iter().flat_map(|f| f.flows);
        patch.flows_gone.extend(gone.map(|flow| flow.key));
    }
    patch
}

/// What a Service leaves behind for the connections that it has: they go on, also where it does not listen any more.
/// (What has no end of its own is forgotten instead: see [`let_go`].) And for those being made while the switch takes
/// the change in. `look` is what it looked at of its clients before.
pub(crate) fn leave_behind(
    before: Option<&ServicePort>,
    after: Option<&ServicePort>,
    look: Look,
    state: &State,
    patch: &mut Patch,
) {
    let node = &state.local;
    if let (Some(before), Some(after)) = (before, after) {
        let belated = |scope| service_state::belated(before, after, scope, state);
        patch.passing.extend(SCOPES.into_iter().filter_map(belated));
    }
    let Some(before) = before.filter(|port| port.protocol == Protocol::Tcp) else {
        return;
    };
    let kept: BTreeSet<_> = after
        .iter()
        .flat_map(|port| service::listeners(port, node))
        .map(|it| (it.ip, it.port))
        .collect();
    let left = service::listeners(before, node).into_iter();
    let left: Vec<_> = left
        .filter(|it| !kept.contains(&(it.ip, it.port)))
        .collect();
    let ports = left
        .iter()
        .map(|it| service::vacated(it.ip, it.port, before, look));
    let ips: BTreeSet<_> = left.iter().map(|it| it.ip).collect();
    let errors = ips
        .into_iter()
        .map(|ip| service::vacated_address(ip, before));
    patch.passing.extend(ports.chain(errors));
}

/// What the switch need not remember any more.
pub(crate) fn let_go(
    before: Option<&ServicePort>,
    after: Option<&ServicePort>,
    node: &LocalNode,
    patch: &mut Patch,
) {
    let Some(before) = before else {
        return;
    };
    let has = |backend: &Backend| {
        let lists = after
            .iter()
            .flat_map(|port| SCOPES.map(|s| port.backends(s)));
        lists
            .into_iter()
            .any(|list| list.binary_search(backend).is_ok())
    };
    let mut gone = BTreeSet::new();
    for scope in SCOPES {
        let left = after.map_or(&[][..], |port| port.backends(scope));
        let (went, _) = changes(before.backends(scope), left);
        gone.extend(went.into_iter().filter(|backend| !has(backend)));
    }
    if before.protocol != Protocol::Tcp {
        let listeners = service::listeners(before, node);
        let listeners: Vec<_> = listeners.iter().map(|it| (it.ip, it.port)).collect();
        let released = ended(before, after).into_iter();
        patch.released.extend(released.map(|backend| Released {
            protocol: before.protocol,
            listeners: listeners.clone(),
            backend,
        }));
    }
    if before.affinity.is_some() {
        if after.is_none_or(|port| port.affinity.is_none()) {
            gone.extend(SCOPES.iter().flat_map(|s| before.backends(*s)).copied());
        }
        let cookies = gone.iter().map(|b| Cookie::affinity(&before.id, b));
        patch.forgotten.extend(cookies);
    }
}

/// The endpoints that a Service has no more, not even where its policies lead no new connection: one that is alive keeps
/// the connections that it has.
fn ended(before: &ServicePort, after: Option<&ServicePort>) -> BTreeSet<Backend> {
    fn lists(port: &ServicePort) -> [&[Backend]; 2] {
        [&port.cluster, &port.local]
    }
    let left = after.map_or([&[][..]; 2], lists);
    let has = |backend: &Backend| left.iter().any(|list| list.binary_search(backend).is_ok());
    let mut ended = BTreeSet::new();
    for (was, is) in lists(before).into_iter().zip(left) {
        let (went, _) = changes(was, is);
        ended.extend(went.into_iter().filter(|backend| !has(backend)));
    }
    ended
}

/// Source-port bits of Services with so many indices.
pub(crate) fn shape(shape: u16) -> Vec<Flow> {
    let mut f = Fragment::new(Cookie::base(Table::Spread));
    spread::shape(shape, &mut f);
    f.flows
}

/// An address that is, or was lately, an endpoint. `own` are the node's own addresses, sorted.
pub(crate) fn endpoint(ip: IpAddr, own: &[IpAddr]) -> Vec<Flow> {
    let mut f = Fragment::new(Cookie::endpoint(ip));
    origin::endpoint(ip, own.binary_search(&ip).is_ok(), &mut f);
    f.flows
}
