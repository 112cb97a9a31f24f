//! Connections of UDP that policy allows no more although nobody says anything that could be judged: a client that is
//! silent while its server goes on.
//!
//! What conntrack has of the addresses in question is compared with what policy says now, and what is denied is
//! forgotten. Of a connection to a Service that would be its translation as well, and, allowed again, it would come from
//! another port: it is marked instead, as the client's next packet would mark it, by a packet that goes nowhere. Must not
//! know how policy judges.

use std::net::IpAddr;

use etherparse::PacketBuilder;
use openflow::action::canonical;
use openflow::message::{CtFlush, CtTuple, Message, PacketOut};
use sluice_flows::model::Protocol;
use sluice_flows::pipeline::{CT_BLOCKED, ROUTER_MAC, ZONE_TRACK, ZONE_WIRE, block};
use sluice_flows::{Compiler, Revoked, Verdict};

/// The zones that policy knows connections in.
pub(super) const ZONES: [u16; 2] = [ZONE_TRACK, ZONE_WIRE];

/// A connection of UDP as it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Connection {
    zone: u16,
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    /// Its replies are stopped already.
    blocked: bool,
}

/// What the switch is to be told of these connections, in the words of `dpctl/dump-conntrack`.
pub(super) fn denied(compiler: &Compiler, revoked: &[Revoked], dump: &str) -> Vec<Message> {
    let concerns = |ip: IpAddr| {
        revoked.iter().any(|revoked| match revoked {
            Revoked::Pod { ips, .. } => ips.contains(&ip),
            Revoked::Peer { addresses, .. } => addresses.contains(&ip),
        })
    };
    let connections = dump.lines().filter_map(parse);
    let denied = connections.filter(|connection| {
        let (from, to) = (connection.from.0, connection.to.0);
        (concerns(from) || concerns(to)) && {
            let port = Some((Protocol::Udp, connection.to.1));
            compiler.judge(from, to, port) != Verdict::Allowed
        }
    });
    denied
        .filter_map(|connection| match connection.zone {
            ZONE_WIRE if connection.blocked => None,
            ZONE_WIRE => mark(connection),
            _ => Some(flush(connection)),
        })
        .collect()
}

/// Everything of these addresses in one zone, where it cannot be known what there is.
pub(super) fn all(revoked: &[Revoked]) -> Vec<Message> {
    let of = |ip: &IpAddr| {
        let one = CtTuple {
            src: Some(*ip),
            ..CtTuple::default()
        };
        let flush = CtFlush {
            ip_proto: Protocol::Udp.number(),
            zone: Some(ZONE_TRACK),
            ..CtFlush::default()
        };
        [
            CtFlush {
                orig: Some(one),
                ..flush
            },
            CtFlush {
                reply: Some(one),
                ..flush
            },
        ]
    };
    let pods = revoked.iter().filter_map(|revoked| match revoked {
        Revoked::Pod { ips, .. } => Some(ips),
        Revoked::Peer { .. } => None,
    });
    pods.flatten().flat_map(of).map(Message::CtFlush).collect()
}

fn flush(connection: Connection) -> Message {
    Message::CtFlush(CtFlush {
        ip_proto: Protocol::Udp.number(),
        orig: Some(CtTuple {
            src: Some(connection.from.0),
            src_port: Some(connection.from.1),
            dst: Some(connection.to.0),
            dst_port: Some(connection.to.1),
            ..CtTuple::default()
        }),
        zone: Some(connection.zone),
        ..CtFlush::default()
    })
}

/// A packet of the client's, as it is on the wire before its port is translated, for the sake of its connection only.
fn mark(connection: Connection) -> Option<Message> {
    let frame = PacketBuilder::ethernet2(ROUTER_MAC.0, ROUTER_MAC.0);
    let packet = match (connection.from.0, connection.to.0) {
        (IpAddr::V4(from), IpAddr::V4(to)) => frame.ipv4(from.octets(), to.octets(), 1),
        (IpAddr::V6(from), IpAddr::V6(to)) => frame.ipv6(from.octets(), to.octets(), 1),
        _ => return None,
    };
    let packet = packet.udp(connection.from.1, connection.to.1);
    let mut bytes = Vec::with_capacity(packet.size(0));
    packet.write(&mut bytes, &[]).ok()?;
    let actions = canonical(&[block(connection.zone)]).into_iter().collect();
    Some(Message::PacketOut(PacketOut::new(bytes, actions)))
}

/// `udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2),reply=(…),zone=20928,…`
fn parse(line: &str) -> Option<Connection> {
    let rest = line.strip_prefix("udp,orig=(")?;
    let (orig, rest) = rest.split_once(')')?;
    let field = |name: &str| orig.split(',').find_map(|part| part.strip_prefix(name));
    let zone = rest
        .split(',')
        .find_map(|part| part.strip_prefix("zone="))?;
    Some(Connection {
        zone: zone.parse().ok().filter(|zone| ZONES.contains(zone))?,
        from: (field("src=")?.parse().ok()?, field("sport=")?.parse().ok()?),
        to: (field("dst=")?.parse().ok()?, field("dport=")?.parse().ok()?),
        blocked: rest
            .split(',')
            .find_map(|part| part.strip_prefix("mark="))
            .and_then(|mark| mark.parse::<u32>().ok())
            .is_some_and(|mark| mark & CT_BLOCKED != 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_dump() {
        let line = "udp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=40000,dport=53),\
                    reply=(src=10.0.0.2,dst=10.0.0.1,sport=53,dport=40000),zone=20928,mark=0";
        let found = parse(line).expect("a connection");
        assert_eq!(found.from, (IpAddr::from([10, 0, 0, 1]), 40000));
        assert_eq!((found.to.1, found.zone), (53, ZONE_TRACK));
        assert!(!found.blocked);
        let marked = line.replace("mark=0", "mark=1,labels=0x2");
        assert!(parse(&marked).expect("a connection").blocked);
        assert_eq!(parse(&line.replace("20928", "7")), None, "not ours");
        assert_eq!(parse(&line.replace("udp", "tcp")), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn what_marks_a_connection_is_a_whole_packet_of_it_and_goes_nowhere() {
        for (from, to) in [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")] {
            let connection = Connection {
                zone: ZONE_WIRE,
                from: (from.parse().expect("an address"), 40_000),
                to: (to.parse().expect("an address"), 53),
                blocked: false,
            };
            let Some(Message::PacketOut(packet)) = mark(connection) else {
                panic!("no packet");
            };
            let [openflow::Action::Ct(ct)] = &*packet.actions else {
                panic!("{:?}", packet.actions);
            };
            assert!(ct.commit && ct.table.is_none());
            let sliced = etherparse::SlicedPacket::from_ethernet(&packet.data).expect("a packet");
            let Some(etherparse::TransportSlice::Udp(udp)) = sliced.transport else {
                panic!("no UDP in {:?}", packet.data);
            };
            assert_eq!((udp.source_port(), udp.destination_port()), (40_000, 53));
            assert_ne!(udp.checksum(), 0, "conntrack looks");
        }
    }
}
