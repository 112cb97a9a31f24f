//! A fragment: the flows that one object asks for, and the few words its tables write them with.
//!
//! Which match means "IPv4" and how a drop is spelled is said here once. What to match and where to go is the
//! business of [`crate::tables`].

use ipnet::IpNet;
use std::net::IpAddr;

use openflow::action::ct::Zone;
use openflow::action::{
    Ct, HashFields, Learn, Multipath, MultipathAlgorithm, Nat, NatFlags, canonical,
};
use openflow::{Action, Field, Instruction, Match, PortNo, Subfield, Value};

use crate::cookie::Cookie;
use crate::flow::{Flow, FlowKey};
use crate::model::Protocol;
use crate::pipeline::{
    CT_BLOCKED, ENDPOINT_PORTS, LABELS, MARKS, Mark, OUT_PORT, REASON, Source, Table, ZONE_SERVICE,
    ZONE_TRACK, ZONE_WIRE,
};
use crate::reason::DropReason;

const ETH_IPV4: u16 = 0x0800;
const ETH_ARP: u16 = 0x0806;
const ETH_IPV6: u16 = 0x86dd;
const IPPROTO_ICMP: u8 = 1;
const IPPROTO_UDP: u8 = 17;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_ICMPV6: u8 = 58;

/// Flows being collected, all with one cookie unless said otherwise.
#[derive(Debug)]
pub(crate) struct Fragment {
    cookie: Cookie,
    pub(crate) flows: Vec<Flow>,
}

impl Fragment {
    pub(crate) fn new(cookie: Cookie) -> Self {
        Self {
            cookie,
            flows: Vec::new(),
        }
    }

    /// Adds a flow.
    pub(crate) fn flow(&mut self, table: Table, priority: u16, match_: Match, steps: Steps) {
        self.flow_of(self.cookie, table, priority, match_, steps);
    }

    /// Adds a flow with a cookie of its own.
    pub(crate) fn flow_of(
        &mut self,
        cookie: Cookie,
        table: Table,
        priority: u16,
        match_: Match,
        steps: Steps,
    ) {
        self.flows.push(Flow {
            key: FlowKey {
                table: table.id(),
                priority,
                match_,
            },
            cookie,
            instructions: steps.finish(),
        });
    }
}

/// What a flow does, step by step.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    actions: Vec<Action>,
    goto: Option<Table>,
}

/// Goes on in a table.
pub(crate) fn goto(table: Table) -> Steps {
    Steps {
        actions: Vec::new(),
        goto: Some(table),
    }
}

/// Drops the packet and counts the reason.
pub(crate) fn drop_for(reason: DropReason) -> Steps {
    Steps::new()
        .set(REASON, u32::from(reason.code()))
        .goto(Table::Drop)
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }

    /// Adds actions.
    pub(crate) fn actions(mut self, actions: impl IntoIterator<Item = Action>) -> Self {
        self.actions.extend(actions);
        self
    }

    /// Sets a whole field.
    pub(crate) fn set(self, field: Field, value: impl Into<Value>) -> Self {
        self.action(Action::set(field, value))
    }

    /// Copies a whole field over another one.
    pub(crate) fn copy(self, from: Field, to: Field) -> Self {
        self.action(Action::copy(from, to))
    }

    /// Takes one hop off.
    pub(crate) fn dec_ttl(self) -> Self {
        self.action(Action::DecTtl)
    }

    /// Sends the packet back out of the port it came from.
    pub(crate) fn output_in_port(self) -> Self {
        self.action(Action::output(PortNo::IN_PORT))
    }

    /// Sends the packet out of the port that the register names.
    pub(crate) fn output_chosen(self) -> Self {
        self.action(Action::OutputReg {
            src: Subfield::all(OUT_PORT),
            max_len: u16::MAX,
        })
    }

    /// Sets marks.
    pub(crate) fn mark(self, marks: &[Mark]) -> Self {
        let bits = marks.iter().fold(0, |bits, mark| bits | mark.bit());
        self.action(Action::SetField {
            field: MARKS,
            value: Value::from(bits),
            mask: Some(Value::from(bits)),
        })
    }

    /// Looks the connection up, translates as it says, and goes on in a table: a recirculation.
    pub(crate) fn track(self, zone: u16, table: Table) -> Self {
        self.ct(Ct {
            zone: Zone::Imm(zone),
            table: Some(table.id()),
            actions: [Action::Nat(Nat::established())].into(),
            ..Ct::default()
        })
    }

    /// Looks the connection up and translates as it says, in passing.
    pub(crate) fn translate(self, zone: u16) -> Self {
        self.ct(Ct {
            zone: Zone::Imm(zone),
            actions: [Action::Nat(Nat::established())].into(),
            ..Ct::default()
        })
    }

    /// Looks the connection of an ICMP error up, translates it as the connection says, and goes on in a table: a
    /// recirculation. An error is of a connection that there is or of none, so that nothing comes of `commit`; without
    /// it Linux translates none in the direction in which its connection was made.
    pub(crate) fn track_error(self, zone: u16, table: Table) -> Self {
        self.error(zone, Some(table))
    }

    /// The same in passing.
    pub(crate) fn translate_error(self, zone: u16) -> Self {
        self.error(zone, None)
    }

    fn error(self, zone: u16, table: Option<Table>) -> Self {
        self.ct(Ct {
            commit: true,
            zone: Zone::Imm(zone),
            table: table.map(Table::id),
            actions: [Action::Nat(Nat::established())].into(),
            ..Ct::default()
        })
    }

    /// Does these steps afterwards.
    pub(crate) fn then(mut self, mut steps: Steps) -> Self {
        self.actions.append(&mut steps.actions);
        self.goto = steps.goto;
        self
    }

    /// Unsets marks.
    pub(crate) fn unmark(self, marks: &[Mark]) -> Self {
        let bits = marks.iter().fold(0, |bits, mark| bits | mark.bit());
        self.action(Action::SetField {
            field: MARKS,
            value: Value::from(0u32),
            mask: Some(Value::from(bits)),
        })
    }

    /// Copies bits of one field over as many bits of another one.
    pub(crate) fn copy_bits(self, from: Subfield, to: Subfield) -> Self {
        self.action(Action::Move { src: from, dst: to })
    }

    /// Sets bits of a field.
    pub(crate) fn set_bits(self, field: Subfield, value: u64) -> Self {
        self.action(Action::Load { dst: field, value })
    }

    /// Puts a field aside.
    pub(crate) fn push(self, field: Field) -> Self {
        self.action(Action::Push(Subfield::all(field)))
    }

    /// Takes back what was put aside last.
    pub(crate) fn pop(self, field: Field) -> Self {
        self.action(Action::Pop(Subfield::all(field)))
    }

    /// Chooses one of `n` by a hash.
    pub(crate) fn choose(
        self,
        fields: HashFields,
        algorithm: MultipathAlgorithm,
        n: u32,
        dst: Subfield,
    ) -> Self {
        self.action(Action::Multipath(Box::new(Multipath {
            fields,
            basis: 0,
            algorithm,
            n_links: n,
            arg: 0,
            dst,
        })))
    }

    /// Does what the matching flow of a table says, and then goes on here.
    pub(crate) fn consult(self, table: Table) -> Self {
        self.action(Action::Resubmit {
            port: PortNo::IN_PORT,
            table: Some(table.id()),
            ct: false,
        })
    }

    /// Learns a flow.
    pub(crate) fn learn(self, learn: Learn) -> Self {
        self.action(Action::Learn(Box::new(learn)))
    }

    /// Remembers a connection to a Service, translates it to the endpoint it has, or else to this one, and goes on in
    /// a table: a recirculation.
    pub(crate) fn translate_to(self, ip: IpAddr, port: u16, table: Table) -> Self {
        self.ct(Ct {
            commit: true,
            zone: Zone::Imm(ZONE_SERVICE),
            table: Some(table.id()),
            actions: [Action::Nat(Nat::destination(ip, Some(port)))].into(),
            ..Ct::default()
        })
    }

    /// Looks the connection up among those to Services as they are on the wire, and goes on in a table: a
    /// recirculation. Nothing is translated.
    pub(crate) fn look_up_wire(self, table: Table) -> Self {
        self.ct(Ct {
            zone: Zone::Imm(ZONE_WIRE),
            table: Some(table.id()),
            ..Ct::default()
        })
    }

    /// Looks the connection up among those that policy knows, and goes on in a table: a recirculation.
    pub(crate) fn look_up(self, table: Table) -> Self {
        self.ct(Ct {
            zone: Zone::Imm(ZONE_TRACK),
            table: Some(table.id()),
            ..Ct::default()
        })
    }

    /// Remembers a connection as it is on the wire and as allowed, and by which rules, in passing.
    pub(crate) fn remember(self) -> Self {
        let [by_egress, by_ingress] = deciding_rules();
        self.ct(Ct {
            commit: true,
            zone: Zone::Imm(ZONE_TRACK),
            actions: [allowed(), by_egress, by_ingress].into(),
            ..Ct::default()
        })
    }

    /// Remembers a connection to a Service as allowed, and by which rules, and has it come from this address and one
    /// of [`ENDPOINT_PORTS`] on the wire, in passing.
    pub(crate) fn remember_as(self, ip: IpAddr) -> Self {
        let [by_egress, by_ingress] = deciding_rules();
        let (low, mask) = ENDPOINT_PORTS;
        let source = Nat {
            // Not the client's own port, where that is one of them.
            flags: NatFlags::SRC | NatFlags::RANDOM,
            addrs: Some((ip, None)),
            ports: Some((low, Some(low | !mask))),
        };
        self.ct(Ct {
            commit: true,
            zone: Zone::Imm(ZONE_WIRE),
            actions: [Action::Nat(source), allowed(), by_egress, by_ingress].into(),
            ..Ct::default()
        })
    }

    /// Remembers a connection to a Service as allowed, and by which rules, and leaves it the source that it has on the
    /// wire: another one if it has been given one, else its own. In passing.
    ///
    /// That takes a `nat` which says `src` and no more. With one that says nothing the userspace datapath makes a new
    /// connection one from port 0, and the kernel's translates none that exists before there was a reply.
    pub(crate) fn remember_as_it_is(self) -> Self {
        let [by_egress, by_ingress] = deciding_rules();
        let own = Nat {
            flags: NatFlags::SRC,
            addrs: None,
            ports: None,
        };
        self.ct(Ct {
            commit: true,
            zone: Zone::Imm(ZONE_WIRE),
            actions: [Action::Nat(own), allowed(), by_egress, by_ingress].into(),
            ..Ct::default()
        })
    }

    /// Remembers a connection to a Service that exists as allowed, and by which rules, and translates as it says, in
    /// passing.
    pub(crate) fn remember_again(self) -> Self {
        let [by_egress, by_ingress] = deciding_rules();
        self.known_on_wire([allowed(), by_egress, by_ingress])
    }

    /// The same without a word of rules.
    pub(crate) fn allow_again(self) -> Self {
        self.known_on_wire([allowed()])
    }

    fn known_on_wire<const N: usize>(self, says: [Action; N]) -> Self {
        let translated = Action::Nat(Nat::established());
        self.ct(Ct {
            commit: true,
            zone: Zone::Imm(ZONE_WIRE),
            actions: [translated].into_iter().chain(says).collect(),
            ..Ct::default()
        })
    }

    /// Any action on connections.
    pub(crate) fn ct(self, ct: Ct) -> Self {
        self.action(Action::Ct(Box::new(ct)))
    }

    /// Goes on in a table afterwards.
    pub(crate) fn goto(self, table: Table) -> Self {
        Self {
            goto: Some(table),
            ..self
        }
    }

    pub(crate) fn finish(self) -> Vec<Instruction> {
        let apply =
            (!self.actions.is_empty()).then(|| Instruction::ApplyActions(canonical(&self.actions)));
        let goto = self.goto.map(|table| Instruction::GotoTable(table.id()));
        apply.into_iter().chain(goto).collect()
    }
}

/// Says in the connection's label which rules let it be, where they were asked.
fn deciding_rules() -> [Action; 2] {
    LABELS.map(|(rule, label)| Action::Move {
        src: Subfield::all(rule),
        dst: label,
    })
}

/// Takes back that policy revoked the connection.
fn allowed() -> Action {
    Action::SetField {
        field: Field::CT_MARK,
        value: Value::from(0u32),
        mask: Some(Value::from(CT_BLOCKED)),
    }
}

/// Any packet.
pub(crate) fn any() -> Match {
    Match::new()
}

/// Packets that came in by this port.
pub(crate) fn in_port(ofport: u32) -> Match {
    Match::new().eq(Field::IN_PORT, ofport)
}

/// Packets that Classify marked so.
pub(crate) fn from(source: Source) -> Match {
    Match::new().masked(MARKS, source.mark(), Source::MASK)
}

/// What conntrack says of a packet: bits of `ct_state`.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub(crate) enum CtState {
    New = 0x01,
    Established = 0x02,
    Related = 0x04,
    Reply = 0x08,
    Invalid = 0x10,
    Tracked = 0x20,
}

/// Packets with these marks, and without those.
pub(crate) fn marked(with: &[Mark], without: &[Mark]) -> Match {
    Match::new().marks(with, without)
}

/// Packets from there with these marks, and without those.
pub(crate) fn marked_from(source: Source, with: &[Mark], without: &[Mark]) -> Match {
    Match::new().marks_from(source, with, without)
}

/// More conditions on a match, named after what they mean.
pub(crate) trait MatchExt: Sized {
    fn ipv4(self) -> Self;
    fn ipv6(self) -> Self;
    fn arp(self) -> Self;
    fn arp_request(self) -> Self;
    fn icmpv6(self, type_: u8) -> Self;
    fn neighbour_solicitation(self) -> Self;
    fn neighbour_advertisement(self) -> Self;
    fn udp(self, from: u16, to: u16) -> Self;
    fn source(self, net: IpNet) -> Self;
    fn destination(self, net: IpNet) -> Self;
    fn marks(self, with: &[Mark], without: &[Mark]) -> Self;
    fn marks_from(self, source: Source, with: &[Mark], without: &[Mark]) -> Self;
    fn protocol(self, protocol: Protocol) -> Self;
    fn to_port(self, protocol: Protocol, port: u16) -> Self;
    fn to_ports(self, protocol: Protocol, value: u16, mask: u16) -> Self;
    fn family(self, v6: bool) -> Self;
    fn ct_state(self, with: &[CtState], without: &[CtState]) -> Self;
    fn blocked(self) -> Self;
    fn whole(self) -> Self;
    fn fragment(self) -> Self;
    fn later_fragment(self) -> Self;
    fn later_fragment_of(self, v6: bool, protocol: Protocol) -> Self;
    fn tcp_flags(self, with: u16, without: u16) -> Self;
    fn icmp(self, v6: bool) -> Self;
    fn icmp_type(self, v6: bool, type_: u8) -> Self;
}

/// Flags of TCP.
pub(crate) const SYN: u16 = 0x02;
pub(crate) const RST: u16 = 0x04;

impl MatchExt for Match {
    fn ipv4(self) -> Self {
        self.eq(Field::ETH_TYPE, ETH_IPV4)
    }

    fn ipv6(self) -> Self {
        self.eq(Field::ETH_TYPE, ETH_IPV6)
    }

    fn arp(self) -> Self {
        self.eq(Field::ETH_TYPE, ETH_ARP)
    }

    fn arp_request(self) -> Self {
        self.arp().eq(Field::ARP_OP, 1u16)
    }

    fn icmpv6(self, type_: u8) -> Self {
        self.ipv6()
            .eq(Field::IP_PROTO, IPPROTO_ICMPV6)
            .eq(Field::ICMPV6_TYPE, type_)
    }

    /// One that Open vSwitch parses: its code is zero.
    fn neighbour_solicitation(self) -> Self {
        self.icmpv6(135).eq(Field::ICMPV6_CODE, 0u8)
    }

    fn neighbour_advertisement(self) -> Self {
        self.icmpv6(136).eq(Field::ICMPV6_CODE, 0u8)
    }

    fn udp(self, from: u16, to: u16) -> Self {
        self.eq(Field::IP_PROTO, IPPROTO_UDP)
            .eq(Field::UDP_SRC, from)
            .eq(Field::UDP_DST, to)
    }

    fn source(self, net: IpNet) -> Self {
        match net {
            IpNet::V4(net) => self
                .ipv4()
                .masked(Field::IPV4_SRC, net.network(), net.netmask()),
            IpNet::V6(net) => self
                .ipv6()
                .masked(Field::IPV6_SRC, net.network(), net.netmask()),
        }
    }

    fn destination(self, net: IpNet) -> Self {
        match net {
            IpNet::V4(net) => self
                .ipv4()
                .masked(Field::IPV4_DST, net.network(), net.netmask()),
            IpNet::V6(net) => self
                .ipv6()
                .masked(Field::IPV6_DST, net.network(), net.netmask()),
        }
    }

    fn marks(self, with: &[Mark], without: &[Mark]) -> Self {
        let (value, mask) = mark_bits(with, without);
        self.masked(MARKS, value, mask)
    }

    fn marks_from(self, source: Source, with: &[Mark], without: &[Mark]) -> Self {
        let (value, mask) = mark_bits(with, without);
        self.masked(MARKS, value | source.mark(), mask | Source::MASK)
    }

    fn protocol(self, protocol: Protocol) -> Self {
        self.eq(Field::IP_PROTO, protocol.number())
    }

    fn to_port(self, protocol: Protocol, port: u16) -> Self {
        self.to_ports(protocol, port, !0)
    }

    fn to_ports(self, protocol: Protocol, value: u16, mask: u16) -> Self {
        let field = match protocol {
            Protocol::Tcp => Field::TCP_DST,
            Protocol::Udp => Field::UDP_DST,
            Protocol::Sctp => Field::SCTP_DST,
        };
        self.protocol(protocol).masked(field, value, mask)
    }

    fn family(self, v6: bool) -> Self {
        if v6 { self.ipv6() } else { self.ipv4() }
    }

    fn ct_state(self, with: &[CtState], without: &[CtState]) -> Self {
        let bits = |states: &[CtState]| states.iter().fold(0u32, |bits, s| bits | *s as u32);
        let value = bits(with);
        self.masked(Field::CT_STATE, value, value | bits(without))
    }

    /// Of a connection that policy no longer allows.
    fn blocked(self) -> Self {
        self.masked(Field::CT_MARK, CT_BLOCKED, CT_BLOCKED)
    }

    fn whole(self) -> Self {
        self.masked(Field::NW_FRAG, 0u8, 3u8)
    }

    fn fragment(self) -> Self {
        self.masked(Field::NW_FRAG, 1u8, 1u8)
    }

    fn later_fragment(self) -> Self {
        self.masked(Field::NW_FRAG, 3u8, 3u8)
    }

    /// In IPv6 only the first fragment says which protocol it is of.
    fn later_fragment_of(self, v6: bool, protocol: Protocol) -> Self {
        let number = if v6 {
            IPPROTO_FRAGMENT
        } else {
            protocol.number()
        };
        self.family(v6).later_fragment().eq(Field::IP_PROTO, number)
    }

    fn tcp_flags(self, with: u16, without: u16) -> Self {
        self.protocol(Protocol::Tcp)
            .masked(Field::TCP_FLAGS, with, with | without)
    }

    fn icmp(self, v6: bool) -> Self {
        let protocol = if v6 { IPPROTO_ICMPV6 } else { IPPROTO_ICMP };
        self.family(v6).eq(Field::IP_PROTO, protocol)
    }

    fn icmp_type(self, v6: bool, type_: u8) -> Self {
        let field = if v6 {
            Field::ICMPV6_TYPE
        } else {
            Field::ICMPV4_TYPE
        };
        self.icmp(v6).eq(field, type_)
    }
}

/// Whether an address is IPv6, as an index of pairs and for matches.
pub(crate) const FAMILIES: [bool; 2] = [false, true];

/// Value and mask of the marks that shall be there, and of those that shall not.
pub(crate) fn mark_bits(with: &[Mark], without: &[Mark]) -> (u32, u32) {
    let bits = |marks: &[Mark]| marks.iter().fold(0, |bits, mark| bits | mark.bit());
    (bits(with), bits(with) | bits(without))
}

/// A prefix written out: `net!(v4 224, 0, 0, 0 / 4)`, `net!(v6 0xff00 :: / 8)`.
macro_rules! net {
    (v4 $a:literal, $b:literal, $c:literal, $d:literal / $n:literal) => {
        ipnet::IpNet::V4(ipnet::Ipv4Net::new_assert(
            std::net::Ipv4Addr::new($a, $b, $c, $d),
            $n,
        ))
    };
    (v6 $first:literal :: / $n:literal) => {
        ipnet::IpNet::V6(ipnet::Ipv6Net::new_assert(
            std::net::Ipv6Addr::new($first, 0, 0, 0, 0, 0, 0, 0),
            $n,
        ))
    };
}
pub(crate) use net;
