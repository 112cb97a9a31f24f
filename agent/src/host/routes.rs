//! The routes through the gateway device: to podCIDRs, to addresses of Services, to the addresses that serve them.
//!
//! They carry [`ROUTE_PROTOCOL`], so that what is there can be compared with what should be, and only what differs
//! is sent: a restart of the agent changes nothing, and routes of others are never touched.
//!
//! Must not know the device beyond its index, and what is behind an address.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;

use super::{
    BETWEEN, Family, HostError, ROUTE_PROTOCOL,
    netlink::{Netlink, Route, RouteChange, change_routes},
    netns::on_own_thread_async,
    router_for,
    services::routable,
    sockets,
};

/// What had to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Routes added or replaced.
    pub(super) set: usize,
    /// Routes removed.
    pub(super) removed: usize,
}

/// The ways out of one device.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    /// The device, by index.
    pub(super) device: u32,
    /// The device's addresses; the first of a family is what the host's own packets get as their source. A family
    /// without any gets no routes.
    pub(super) sources: Vec<IpAddr>,
    /// Prefixes to reach.
    pub(super) cidrs: Vec<IpNet>,
    /// Addresses to reach, of Services.
    pub(super) addresses: BTreeSet<IpAddr>,
}

impl Ways {
    /// The route to one prefix; `None` in a family without a source.
    pub(super) fn route(&self, to: IpNet) -> Option<Route> {
        let source = self
            .sources
            .iter()
            .copied()
            .find(|source| Family::of(*source) == Family::of(to.addr()))?;
        Some(Route {
            to: to.trunc(),
            via: router_for(source),
            device: self.device,
            source: Some(source),
            protocol: ROUTE_PROTOCOL,
        })
    }

    fn routes(&self) -> BTreeSet<Route> {
        let addresses = self.addresses.iter().copied().filter(|a| routable(*a));
        let hosts = addresses.map(IpNet::from);
        let prefixes = self.cidrs.iter().copied().chain(BETWEEN);
        prefixes
            .chain(hosts)
            .filter_map(|to| self.route(to))
            .collect()
    }
}

/// Makes the routes of ours those of `ways`, and no others. A route to an address that is none of them any more stays
/// while a process of the node is connected to it: in the switch, the connection goes on.
///
/// # Errors
/// [`HostError`]; a route that the kernel refuses is named, and does not stop the others.
pub(super) async fn ensure(ways: Ways) -> Result<Changes, HostError> {
    // Tens of thousands are read and compared: not on the thread that answers everybody else.
    on_own_thread_async(move || async move {
        let wanted = ways.routes();
        let found: BTreeSet<Route> = Netlink::open()?
            .routes(Some(ROUTE_PROTOCOL))
            .await?
            .into_iter()
            .collect();
        let kept: BTreeSet<IpNet> = wanted.iter().map(|route| route.to).collect();
        // A route that differs in source or device only is replaced below, without a gap.
        let stale: Vec<Route> = found
            .difference(&wanted)
            .filter(|route| !kept.contains(&route.to))
            .copied()
            .collect();
        let in_use = match stale[..] {
            [] => BTreeSet::new(),
            _ => sockets::connected_to()?,
        };
        let stale = stale.into_iter().filter(|route| {
            let one = route.to.prefix_len() == route.to.max_prefix_len();
            !(one && in_use.contains(&route.to.addr()))
        });
        let missing = wanted
            .difference(&found)
            .map(|route| RouteChange::Set(*route));
        // What goes may be a part of what comes: that is there first.
        let mut changes: Vec<RouteChange> = missing.collect();
        let set = changes.len();
        changes.extend(stale.map(RouteChange::Delete));
        change_routes(&changes)?;
        Ok(Changes {
            set,
            removed: changes.len() - set,
        })
    })
    .await
}

/// Removes every route of ours; says how many there were.
///
/// # Errors
/// [`HostError`]; what was removed before stays removed.
pub(super) async fn remove() -> Result<usize, HostError> {
    on_own_thread_async(|| async {
        let found = Netlink::open()?.routes(Some(ROUTE_PROTOCOL)).await?;
        let changes: Vec<RouteChange> = found.into_iter().map(RouteChange::Delete).collect();
        change_routes(&changes)?;
        Ok(changes.len())
    })
    .await
}
