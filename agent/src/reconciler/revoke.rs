//! Connections of UDP that policy allows no more although nobody says anything that could be judged: a client that is
//! silent while its server goes on.
//!
//! What conntrack has of the addresses in question is compared with what policy says now, and what is denied is
//! forgotten. Must not know how policy judges.

use std::net::IpAddr;

use openflow::message::{CtFlush, CtTuple};
use sluice_flows::model::Protocol;
use sluice_flows::pipeline::{ZONE_TRACK, ZONE_WIRE};
use sluice_flows::{Compiler, Revoked, Verdict};

/// The zones that policy knows connections in.
pub(super) const ZONES: [u16; 2] = [ZONE_TRACK, ZONE_WIRE];

/// A connection of UDP as it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Connection {
    zone: u16,
    from: (IpAddr, u16),
    to: (IpAddr, u16),
}

/// What is to be forgotten of these connections, in the words of `dpctl/dump-conntrack`.
pub(super) fn denied(compiler: &Compiler, revoked: &[Revoked], dump: &str) -> Vec<CtFlush> {
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
    denied.map(flush).collect()
}

/// Everything of these addresses in one zone, where it cannot be known what there is.
pub(super) fn all(revoked: &[Revoked]) -> Vec<CtFlush> {
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
    pods.flatten().flat_map(of).collect()
}

fn flush(connection: Connection) -> CtFlush {
    CtFlush {
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
    }
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
        assert_eq!(parse(&line.replace("20928", "7")), None, "not ours");
        assert_eq!(parse(&line.replace("udp", "tcp")), None);
        assert_eq!(parse(""), None);
    }
}
