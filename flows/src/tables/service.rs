//! Table Service: which Service a packet is for, and how its endpoint is chosen.
//!
//! One flow per address and port, by which the Service's endpoints are known and the way to choose one; up to three
//! where outside, the node and pods are treated differently, and as many for each range of sources that may use it.
//! One flow per address for what has no port to go by: fragments, ICMP, and connections to a port that the Service
//! has no more.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use openflow::action::{HashFields, MultipathAlgorithm};
use openflow::{Action, Field, FlowMod, FlowStats, Instruction, Match, Subfield};

use crate::cookie::Cookie;
use crate::fragment::{Fragment, MatchExt, Steps, any, drop_for, from, goto};
use crate::handover::{NODE_PORT, handovers};
use crate::model::{Frontend, LocalNode, Protocol, ServicePort, State, TrafficPolicy};
use crate::pipeline::{
    FROM_PEER, INDEX, MARKS, Mark, NO_SERVICE, PICK, SCRATCH, SERVICE_ID, Source, Table,
    ZONE_SERVICE, pick,
};
use crate::reason::DropReason;
use crate::service::{Choice, HASHED_BITS, Look, Scope, service_number};

const OF_PEER: u16 = 10_000;
/// Plus what makes an allowed source win.
const FROM_HOST: u16 = 310;
const FROM_ANYONE: u16 = 300;
const ALLOWED: u16 = 100;
const VACATED: u16 = 200;
const ADDRESS: u16 = 100;
const ELSE: u16 = 0;

/// Where the client's port is, and where its address.
const SOURCE_PORTS: [Field; 3] = [Field::TCP_SRC, Field::UDP_SRC, Field::SCTP_SRC];
const CLIENTS: [Field; 2] = [Field::IPV4_SRC, Field::IPV6_SRC];

/// How long an established connection of a Service that is gone may be silent, in seconds: longer than the two hours
/// after which Linux, where it keeps connections alive, asks for a sign of life.
const SILENCE: u16 = 3 * 3600;

pub(crate) fn base(f: &mut Fragment) {
    f.flow(
        Table::Service,
        OF_PEER,
        from(Source::Tunnel),
        goto(FROM_PEER),
    );
    f.flow(Table::Service, ELSE, any(), goto(NO_SERVICE));
}

/// An address whose packets are for Services. `shared` is whether it is someone else's too.
pub(crate) fn address(ip: IpAddr, shared: bool, f: &mut Fragment) {
    let to = any().destination(IpNet::from(ip));
    let to = if shared { to.fragment() } else { to };
    let steps = Steps::new().track(ZONE_SERVICE, Table::ServiceState);
    f.flow(Table::Service, ADDRESS, to, steps);
}

/// Where a Service listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listener<'a> {
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) frontend: &'a Frontend,
}

/// Every address and port at which a Service listens, each once.
pub(crate) fn listeners<'a>(port: &'a ServicePort, node: &LocalNode) -> Vec<Listener<'a>> {
    let mut seen = BTreeSet::new();
    let mut listeners = Vec::new();
    for frontend in &port.frontends {
        let (ips, number): (Vec<IpAddr>, u16) = match frontend {
            Frontend::Cluster { ip, port, .. } => (vec![*ip], *port),
            // What the host gets for an address of its own, it hands over under another.
            Frontend::External { ip, port, .. } if node.addresses.contains(ip) => {
                let handed_over = handovers(&node.addresses).get(ip).copied();
                (handed_over.into_iter().chain([*ip]).collect(), *port)
            }
            Frontend::External { ip, port, .. } => (vec![*ip], *port),
            Frontend::NodePort { port, .. } => {
                let all = NODE_PORT.iter().chain(&node.node_port_addresses);
                (all.copied().collect(), *port)
            }
        };
        for ip in ips {
            if ip.is_ipv6() == port.v6 && seen.insert((ip, number)) {
                listeners.push(Listener {
                    ip,
                    port: number,
                    frontend,
                });
            }
        }
    }
    listeners
}

/// What a packet's endpoint is chosen by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// The address and the port of the client.
    Port,
    /// Its address alone, of what conntrack has been asked about: not every fragment has ports, but all must choose
    /// the same.
    Address,
}

/// What to match besides the address and the port, and what then: a row of a listener.
pub(crate) struct Row {
    pub(crate) priority: u16,
    pub(crate) from: Match,
    pub(crate) steps: Steps,
}

/// The rows of a listener, most particular first.
pub(crate) fn rows(
    listener: &Listener<'_>,
    port: &ServicePort,
    state: &State,
    known: Known,
) -> Vec<Row> {
    let lead = |scope, marks: &[Mark]| lead(port, scope, state, marks, known);
    let (policy, own, sources) = match listener.frontend {
        Frontend::Cluster { policy, .. } => {
            return vec![Row {
                priority: FROM_ANYONE,
                from: any(),
                steps: lead(*policy, &[]),
            }];
        }
        Frontend::External {
            policy,
            ip,
            sources,
            ..
        } => (*policy, *ip, sources.as_deref()),
        Frontend::NodePort { policy, .. } => (*policy, listener.ip, None),
    };
    // Connections that kept their sources go on doing so.
    let masquerade: &[Mark] = if state.memory.kept_sources(&port.id) {
        &[Mark::Masq, Mark::Keep]
    } else {
        &[Mark::Masq]
    };
    let by_origin = || match policy {
        TrafficPolicy::Cluster => vec![Row {
            priority: FROM_ANYONE,
            from: any(),
            steps: lead(Scope::Cluster, masquerade),
        }],
        TrafficPolicy::Local => vec![
            Row {
                priority: FROM_HOST,
                from: any().marks_from(Source::Gateway, &[], &[Mark::Own]),
                steps: lead(Scope::Local, &[Mark::Keep]),
            },
            Row {
                priority: FROM_HOST,
                from: any().marks_from(Source::Gateway, &[Mark::Own], &[]),
                steps: lead(Scope::Cluster, &[Mark::Masq]),
            },
            Row {
                priority: FROM_ANYONE,
                from: any(),
                steps: lead(Scope::Cluster, &[]),
            },
        ],
    };
    let Some(sources) = sources else {
        return by_origin();
    };
    let mut rows = Vec::new();
    let mut sources: BTreeSet<IpNet> = sources.iter().map(IpNet::trunc).collect();
    // Where a load balancer's address is the node's own as well, that is what the node itself comes from.
    let is_allowed = |own: &IpAddr| sources.iter().any(|net| net.contains(own));
    if state.local.addresses.iter().any(is_allowed) {
        sources.insert(IpNet::from(own));
    }
    for net in sources {
        if net.addr().is_ipv6() != port.v6 {
            continue;
        }
        for row in by_origin() {
            // Of two ranges that contain each other either will do, but only one is asked.
            let priority = row.priority + ALLOWED + 20 * u16::from(net.prefix_len());
            let (field, mask) = match net {
                IpNet::V4(_) => (Field::IPV4_SRC, net.netmask()),
                IpNet::V6(_) => (Field::IPV6_SRC, net.netmask()),
            };
            rows.push(Row {
                priority,
                from: with_address(row.from, field, net.network(), mask),
                steps: row.steps,
            });
        }
    }
    rows.push(Row {
        priority: FROM_ANYONE,
        from: any(),
        steps: drop_for(DropReason::SourceNotAllowed),
    });
    rows
}

fn with_address(match_: Match, field: Field, ip: IpAddr, mask: IpAddr) -> Match {
    match (ip, mask) {
        (IpAddr::V4(ip), IpAddr::V4(mask)) => match_.masked(field, ip, mask),
        (IpAddr::V6(ip), IpAddr::V6(mask)) => match_.masked(field, ip, mask),
        _ => match_,
    }
}

/// The flows of a listener.
pub(crate) fn listen(listener: &Listener<'_>, port: &ServicePort, state: &State, f: &mut Fragment) {
    for row in rows(listener, port, state, Known::Port) {
        // Fragments have no ports that could be trusted to be there.
        let to = row
            .from
            .destination(IpNet::from(listener.ip))
            .whole()
            .to_port(port.protocol, listener.port);
        f.flow(Table::Service, row.priority, to, row.steps);
    }
}

/// Where a Service listened and does no more: connections that exist go on, until all have been silent for long. Not a
/// part of the program. `look` is what it looked at of its clients.
pub(crate) fn vacated(ip: IpAddr, number: u16, port: &ServicePort, look: Look) -> FlowMod {
    let f = Fragment::new(Cookie::passing(port.id.as_str()));
    let to = any()
        .destination(IpNet::from(ip))
        .whole()
        .to_port(port.protocol, number);
    let steps = glance(Steps::new(), port, look, Look::default());
    in_silence(to, steps, f)
}

/// The same for what a client says by ICMP about such a connection: it is translated as the connection is.
pub(crate) fn vacated_address(ip: IpAddr, port: &ServicePort) -> FlowMod {
    let f = Fragment::new(Cookie::passing(port.id.as_str()));
    let to = any().destination(IpNet::from(ip)).icmp(ip.is_ipv6());
    in_silence(to, Steps::new(), f)
}

/// Looked up until nothing has come for long.
fn in_silence(to: Match, steps: Steps, mut f: Fragment) -> FlowMod {
    let steps = steps.track(ZONE_SERVICE, Table::ServiceState);
    f.flow(Table::Service, VACATED, to, steps);
    let flow = f.flows.pop().map(|flow| flow.to_add());
    FlowMod {
        idle_timeout: SILENCE,
        ..flow.unwrap_or_default()
    }
}

/// To an endpoint of this scope, whichever it will be.
fn lead(port: &ServicePort, scope: Scope, state: &State, marks: &[Mark], known: Known) -> Steps {
    let choice = choice(port, scope, state);
    let steps = Steps::new().set(SERVICE_ID, service_number(&port.id, scope));
    let steps = match marks {
        [] => steps,
        marks => steps.mark(marks),
    };
    let steps = match known {
        Known::Port => {
            let look = state.memory.look(&port.id);
            glance(steps, port, look, choice.looks_at())
        }
        Known::Address => steps,
    };
    match (choice, known) {
        (Choice::Nothing | Choice::Client { .. }, Known::Port) => {
            steps.track(ZONE_SERVICE, Table::ServiceState)
        }
        (Choice::Nothing | Choice::Client { .. }, Known::Address) => {
            steps.then(new_connection(port, scope, state))
        }
        (Choice::Bits { bits, shape }, known) => {
            let steps = steps.set(PICK, pick(shape, 0));
            let n = u16::from(bits);
            let picked = Subfield::new(PICK, 0, n);
            let steps = match known {
                _ if n == 0 => steps,
                Known::Port => {
                    steps.copy_bits(Subfield::new(source_port(port.protocol), 1, n), picked)
                }
                Known::Address => by_address(steps, 1 << n, picked),
            };
            steps.consult(Table::Spread).goto(Table::Dnat)
        }
        (Choice::Hash { shape }, Known::Port) => {
            let (bits, hashed) = (u16::from(HASHED_BITS), Field::ETH_SRC);
            steps
                .push(hashed)
                .copy_bits(client(port), Subfield::new(hashed, 16, 32))
                .set_bits(Subfield::new(hashed, 0, 16), 0)
                .copy_bits(
                    Subfield::new(source_port(port.protocol), 1, bits),
                    Subfield::new(hashed, 0, bits),
                )
                .choose(
                    HashFields::EthSrc,
                    MultipathAlgorithm::ModuloN,
                    shape,
                    CHOSEN,
                )
                .pop(hashed)
                .goto(Table::Dnat)
        }
        (Choice::Hash { shape }, Known::Address) => {
            by_address(steps, shape, CHOSEN).goto(Table::Dnat)
        }
    }
}

/// Looks also at what `now` does not, and makes nothing of it.
fn glance(steps: Steps, port: &ServicePort, look: Look, now: Look) -> Steps {
    let more = u16::from(look.bits.saturating_sub(now.bits));
    let address = look.address && !now.address;
    if more == 0 && !address {
        return steps;
    }
    let mut steps = steps;
    if more > 0 {
        let bits = Subfield::new(source_port(port.protocol), 1 + u16::from(now.bits), more);
        steps = steps.copy_bits(bits, Subfield::new(SCRATCH, 0, more));
    }
    if address {
        steps = steps.copy_bits(client(port), Subfield::all(SCRATCH));
    }
    steps.set(SCRATCH, 0u32)
}

/// What flows of a Service in a switch look at of its clients.
pub(crate) fn read_look(flow: &FlowStats) -> Look {
    let mut look = Look::default();
    let actions = flow.instructions.iter().flat_map(|it| match it {
        Instruction::ApplyActions(actions) => actions.as_slice(),
        _ => &[],
    });
    for action in actions {
        match action {
            Action::Move { src, .. } if SOURCE_PORTS.contains(&src.field) => {
                let end = (src.start_bit + src.n_bits).saturating_sub(1);
                look.bits = look.bits.max(u8::try_from(end).unwrap_or_default());
            }
            Action::Move { src, .. } if CLIENTS.contains(&src.field) => look.address = true,
            _ => {}
        }
    }
    look
}

/// Whether flows of Services in a switch let clients outside keep their sources.
pub(crate) fn read_keeps(flow: &FlowStats) -> bool {
    let mut actions = flow.instructions.iter().flat_map(|it| match it {
        Instruction::ApplyActions(actions) => actions.as_slice(),
        _ => &[],
    });
    actions.any(|action| match action {
        Action::Load { dst, value } if dst.field == MARKS => {
            value << dst.start_bit & u64::from(Mark::Keep.bit()) != 0
        }
        _ => false,
    })
}

/// To an endpoint of this scope, chosen by the client's address.
pub(crate) fn by_address_alone(port: &ServicePort, scope: Scope, state: &State) -> Steps {
    lead(port, scope, state, &[], Known::Address)
}

/// Where a hash leaves the index of an endpoint.
const CHOSEN: Subfield = Subfield::new(INDEX, 0, 16);

fn by_address(steps: Steps, n: u32, to: Subfield) -> Steps {
    steps.choose(HashFields::NwSrc, MultipathAlgorithm::Hrw, n, to)
}

fn source_port(protocol: Protocol) -> Field {
    let [tcp, udp, sctp] = SOURCE_PORTS;
    match protocol {
        Protocol::Tcp => tcp,
        Protocol::Udp => udp,
        Protocol::Sctp => sctp,
    }
}

/// The client's address, or the last 32 bits of it.
fn client(port: &ServicePort) -> Subfield {
    let [v4, v6] = CLIENTS;
    Subfield::new(if port.v6 { v6 } else { v4 }, 0, 32)
}

/// How an endpoint of this scope is chosen.
pub(crate) fn choice(port: &ServicePort, scope: Scope, state: &State) -> Choice {
    let shape = state.memory.slots(&port.id, scope).shape();
    Choice::of(shape, port.affinity.is_some())
}

/// What becomes of a new connection where conntrack had to be asked whether it is one.
pub(crate) fn new_connection(port: &ServicePort, scope: Scope, state: &State) -> Steps {
    match choice(port, scope, state) {
        Choice::Client { shape } => by_address(Steps::new(), shape, CHOSEN)
            .consult(Table::Affinity)
            .goto(Table::Dnat),
        _ if scope == Scope::Local && !port.cluster.is_empty() => {
            with_address_seen(port, state, drop_for(DropReason::NoLocalEndpoint))
        }
        _ => with_address_seen(port, state, goto(Table::Reject)),
    }
}

/// The same, but that the client's address has been looked at where it once was: of one link there is only one to
/// choose.
fn with_address_seen(port: &ServicePort, state: &State, steps: Steps) -> Steps {
    if state.memory.look(&port.id).address_of_new {
        by_address(Steps::new(), 1, Subfield::new(SCRATCH, 0, 16)).then(steps)
    } else {
        steps
    }
}
