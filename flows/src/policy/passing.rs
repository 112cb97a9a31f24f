//! Flows for the moment in which a pod becomes isolated, or less is allowed to it. They go by themselves.
//!
//! Nobody has looked at the connections of a pod that was not isolated. When it is, conntrack meets them in the
//! middle, and may meet the server first: it would be taken for the client, and the client's packets for replies
//! that nobody judges; or, the other way round, the server's packets would be judged as if it had begun. So for a
//! second what comes, by its ports, from a server passes unseen: the client of a living connection says something
//! meanwhile, is judged, and conntrack knows who is who. For TCP, where a packet in the middle of a connection tells
//! itself from the first one, this lasts longer where that direction is not isolated: what passes answers something
//! allowed.
//!
//! A server that goes on without a word from its client (UDP) is not known, or no longer once the agent has had
//! conntrack forget what is denied now. What it sends is stopped as long as it comes, for some minutes: it is not
//! to be taken for something that the server begins.

use ipnet::IpNet;
use openflow::{Field, FlowMod, Match};

use super::engine::Engine;
use super::{Direction, Revoked};
use crate::cookie::Cookie;
use crate::fragment::CtState::{New, Tracked};
use crate::fragment::{Fragment, MatchExt, SYN, Steps, any, drop_for, goto, in_port};
use crate::model::{PodId, Protocol, State};
use crate::pipeline::{AFTER_COMMIT, Mark, OUT_PORT, Source, Table, ZONE_SERVICE};
use crate::tables::commit::{CLIENTS, SERVERS};
use crate::tables::policy::names;

const UNSEEN_OF_SERVICE: u16 = 4300;
const UNSEEN: u16 = 4200;
const STOPPED: u16 = 4100;

const A_MOMENT: u16 = 1;
const AN_HOUR: u16 = 3600;
const IDLE: u16 = 30;
const MINUTES: u16 = 300;
/// Peers are named one by one up to here.
const MAX_PEERS: usize = 16;

/// What a server sends that conntrack has not seen, by its ports.
fn from_server(match_: &Match, protocol: Protocol) -> impl Iterator<Item = Match> {
    let (from, to) = match protocol {
        Protocol::Tcp => (Field::TCP_SRC, Field::TCP_DST),
        Protocol::Udp => (Field::UDP_SRC, Field::UDP_DST),
        Protocol::Sctp => (Field::SCTP_SRC, Field::SCTP_DST),
    };
    let match_ = match_
        .clone()
        .protocol(protocol)
        .ct_state(&[Tracked, New], &[])
        .masked(from, SERVERS.0, SERVERS.1);
    let match_ = match protocol {
        Protocol::Tcp => match_.tcp_flags(0, SYN),
        _ => match_,
    };
    CLIENTS
        .into_iter()
        .map(move |(port, mask)| match_.clone().masked(to, port, mask))
}

/// Writes flows that go by themselves.
struct Writer {
    cookie: Cookie,
    flows: Vec<FlowMod>,
}

impl Writer {
    fn flow(&mut self, priority: u16, match_: Match, steps: Steps, idle: u16, hard: u16) {
        let mut f = Fragment::new(self.cookie);
        f.flow(Table::EgressSubject, priority, match_, steps);
        self.flows.extend(f.flows.iter().map(|flow| FlowMod {
            idle_timeout: idle,
            hard_timeout: hard,
            ..flow.to_add()
        }));
    }

    fn unseen(&mut self, match_: &Match, protocol: Protocol, host: Option<u32>, seconds: u16) {
        for server in from_server(&match_.clone().marks(&[Mark::Tracked], &[]), protocol) {
            self.flow(UNSEEN, server, goto(AFTER_COMMIT), 0, seconds);
        }
        // Who is outside may be a client of a Service under its own address.
        let Some(host) = host else {
            return;
        };
        let of_service = match_
            .clone()
            .marks_from(Source::Pod, &[Mark::Tracked, Mark::EpSrc], &[Mark::SnatDst])
            .eq(OUT_PORT, host);
        for server in from_server(&of_service, protocol) {
            let steps = Steps::new().translate(ZONE_SERVICE).goto(AFTER_COMMIT);
            self.flow(UNSEEN_OF_SERVICE, server, steps, 0, seconds);
        }
    }

    fn stopped(&mut self, match_: &Match, direction: Direction) {
        let match_ = match_.clone().marks(&[Mark::Tracked], &[]);
        for server in from_server(&match_, Protocol::Udp) {
            let drop = drop_for(names(direction).reason);
            self.flow(STOPPED, server, drop, IDLE, MINUTES);
        }
    }
}

/// Packets that a pod sends, or gets, in the families it has.
fn ends(match_: &Match, ips: &[std::net::IpAddr]) -> Vec<Match> {
    let mut all = Vec::new();
    for (there, family) in [
        (ips.iter().any(|ip| ip.is_ipv4()), any().ipv4()),
        (ips.iter().any(|ip| ip.is_ipv6()), any().ipv6()),
    ] {
        if there {
            let mut all_of = family;
            for (field, value, mask) in match_.iter() {
                all_of.set(field, value.clone(), mask.clone());
            }
            all.push(all_of);
        }
    }
    all
}

impl Engine {
    /// The flows for these revocations. Pods that are `fresh` had no policy before, so nothing of theirs is known.
    pub(super) fn passing(&self, revoked: &[(Revoked, bool)], state: &State) -> Vec<FlowMod> {
        let mut flows = Vec::new();
        let peers = revoked
            .iter()
            .filter(|(r, _)| matches!(r, Revoked::Peer { .. }));
        let few_peers = peers.count() <= MAX_PEERS;
        let mut last: Option<&PodId> = None;
        for (revoked, fresh) in revoked {
            match revoked {
                Revoked::Pod { pod, direction, .. } => {
                    let first = last.replace(pod) != Some(pod);
                    flows.extend(self.passing_of_pod(pod, *direction, *fresh && first, state));
                }
                Revoked::Peer {
                    addresses,
                    direction,
                } if few_peers => flows.extend(passing_of_peer(*addresses, *direction)),
                Revoked::Peer { .. } => {}
            }
        }
        flows
    }

    fn passing_of_pod(
        &self,
        id: &PodId,
        direction: Direction,
        fresh: bool,
        state: &State,
    ) -> Vec<FlowMod> {
        let (Some(pod), Some(local)) = (state.pods.get(id), self.locals.get(id)) else {
            return Vec::new();
        };
        let mut writer = Writer {
            cookie: Cookie::passing(id.as_str()),
            flows: Vec::new(),
        };
        let end = |direction| match direction {
            Direction::Ingress => in_port(pod.ofport),
            Direction::Egress => any().eq(OUT_PORT, pod.ofport),
        };
        if fresh {
            for direction in Direction::ALL {
                let isolated = local.subjects[direction.index()].is_some();
                let seconds = if isolated { A_MOMENT } else { AN_HOUR };
                let sends = direction == Direction::Ingress;
                let host = sends.then_some(state.local.gateway.ofport);
                for match_ in ends(&end(direction), &pod.ips) {
                    writer.unseen(&match_, Protocol::Tcp, host, seconds);
                    writer.unseen(&match_, Protocol::Udp, host, A_MOMENT);
                }
            }
        }
        for match_ in ends(&end(direction), &pod.ips) {
            writer.stopped(&match_, direction);
        }
        writer.flows
    }
}

fn passing_of_peer(addresses: IpNet, direction: Direction) -> Vec<FlowMod> {
    let mut writer = Writer {
        cookie: Cookie::passing(&addresses.to_string()),
        flows: Vec::new(),
    };
    let match_ = match direction {
        Direction::Ingress => any().destination(addresses),
        Direction::Egress => any().source(addresses),
    };
    writer.stopped(&match_, direction);
    writer.flows
}
