//! Which endpoints a Service port uses on this node, decided as kube-proxy decides.
//!
//! Ready endpoints are used; where there are none, those that still serve while they terminate. That is decided for
//! the whole cluster and for this node apart. Hints narrow the choice for the cluster, if every ready endpoint has
//! them and one is meant for us: hints for nodes first, then hints for zones.

use std::net::IpAddr;

use sluice_flows::model::{Backend, Protocol};

use crate::source::{
    EndpointSlice,
    object::{Endpoint, State},
};

/// An endpoint of a Service port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) backend: Backend,
    pub(super) endpoint: &'a Endpoint,
    /// Whether it is on this node.
    pub(super) local: bool,
}

impl Candidate<'_> {
    fn state(&self) -> State {
        self.endpoint.state
    }

    fn is_last_resort(&self) -> bool {
        self.state().serving && self.state().terminating
    }
}

/// All endpoints of a port in one family, ordered. Where several slices name one, the best that is said of it
/// counts.
pub(super) fn gather<'a>(
    slices: impl Iterator<Item = &'a EndpointSlice>,
    port_name: &str,
    protocol: Protocol,
    v6: bool,
    own: &str,
) -> Vec<Candidate<'a>> {
    let mut all = Vec::new();
    for slice in slices {
        let answers = slice
            .ports
            .iter()
            .filter(|port| *port.name == *port_name && port.protocol == protocol);
        for port in answers {
            let fitting = slice.endpoints.iter().filter(|it| it.ip.is_ipv6() == v6);
            all.extend(fitting.map(|endpoint| Candidate {
                backend: Backend {
                    ip: endpoint.ip,
                    port: port.port,
                },
                endpoint,
                local: endpoint.node.as_deref() == Some(own),
            }));
        }
    }
    all.sort_by_key(|it| {
        let state = it.state();
        (it.backend, !state.ready, !state.serving, state.terminating)
    });
    all.dedup_by(|later, kept| {
        let same = later.backend == kept.backend;
        kept.local |= same && later.local;
        same
    });
    all
}

/// The endpoints that are used.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Chosen {
    /// By traffic that may go anywhere.
    pub(super) cluster: Vec<Backend>,
    /// By traffic that must stay on this node.
    pub(super) local: Vec<Backend>,
}

/// Chooses among `all` for a node called `own` in `zone`.
pub(super) fn choose(all: &[Candidate<'_>], own: &str, zone: Option<&str>) -> Chosen {
    let meant = Meant::of(all, own, zone);
    let pick = |wanted: &dyn Fn(&Candidate<'_>) -> bool| -> Vec<Backend> {
        let picked = all.iter().filter(|it| wanted(it));
        picked.map(|it| it.backend).collect()
    };
    let mut chosen = Chosen {
        cluster: pick(&|it| it.state().ready && meant.includes(it.endpoint)),
        local: pick(&|it| it.local && it.state().ready),
    };
    if chosen.cluster.is_empty() {
        chosen.cluster = pick(&|it| it.is_last_resort());
    }
    if chosen.local.is_empty() {
        chosen.local = pick(&|it| it.local && it.is_last_resort());
    }
    chosen
}

/// The addresses of the ready endpoints on this node.
pub(super) fn local_ready(all: &[Candidate<'_>]) -> impl Iterator<Item = IpAddr> {
    all.iter()
        .filter(|it| it.local && it.state().ready)
        .map(|it| it.backend.ip)
}

/// Which ready endpoints are meant for us.
enum Meant<'a> {
    /// All.
    All,
    /// Those that are hinted for this node.
    Node(&'a str),
    /// Those that are hinted for this zone.
    Zone(&'a str),
}

impl<'a> Meant<'a> {
    fn of(all: &[Candidate<'_>], own: &'a str, zone: Option<&'a str>) -> Meant<'a> {
        let ready = || all.iter().filter(|it| it.state().ready);
        let holds = |meant: &Meant<'_>, has_hints: fn(&Endpoint) -> bool| {
            ready().all(|it| has_hints(it.endpoint))
                && ready().any(|it| meant.includes(it.endpoint))
        };
        let node = Meant::Node(own);
        if holds(&node, |it| {
            it.hints
                .as_ref()
                .is_some_and(|hints| !hints.nodes.is_empty())
        }) {
            return node;
        }
        let zone = zone.map(Meant::Zone).filter(|zone| {
            holds(zone, |it| {
                it.hints
                    .as_ref()
                    .is_some_and(|hints| !hints.zones.is_empty())
            })
        });
        zone.unwrap_or(Meant::All)
    }

    fn includes(&self, endpoint: &Endpoint) -> bool {
        let hints = endpoint.hints.as_ref();
        match self {
            Meant::All => true,
            Meant::Node(own) => hints.is_some_and(|it| it.nodes.iter().any(|name| **name == **own)),
            Meant::Zone(own) => hints.is_some_and(|it| it.zones.iter().any(|name| **name == **own)),
        }
    }
}
