//! What is not judged by itself, since it speaks of a connection: the ICMP errors of a client. They pass with their
//! connection, end with it, and change nothing of what is known of it.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, ensure};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket,
};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::datapath;
use sluice_testbed::dial::{Dial, Protocol};
use sluice_testbed::netns;
use sluice_testbed::objects::Object;
use sluice_testbed::run;
use sluice_testbed::suite::Scenario;

use crate::bench::{Bench, FAMILIES, PORT, ask};
use crate::common::{LIMIT, app, egress, ingress, labelled};
use crate::report::{ZONE_SERVICE, ZONE_TRACK, ZONE_WIRE};
use crate::revoke::Revoked;

pub(crate) const SCENARIOS: &[Scenario] = &[("clients_errors_end_with_their_connection", clients)];

/// A connection by UDP, and who is told of it.
struct Case {
    dial: Dial,
    place: &'static str,
    conn: Revoked,
}

fn clients(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    bench.publish("near", 1, &["a1"])?;
    bench.publish("far", 2, &["a2"])?;
    let all = json!([app("a1"), app("a2"), app("b1")]);
    let into = |name: &str, clients| ingress(name, name, json!([{"from": clients}]));
    let out = |servers| egress("out", "c1", json!([{"to": servers}]));
    type Deny<'d> = (&'static str, Vec<Object>, Vec<Object>);
    let deny: [Deny<'_>; 2] = [
        (
            "ingress",
            ["a1", "a2"]
                .map(|place| into(place, json!([app("c1"), app("c2")])))
                .to_vec(),
            ["a1", "a2"]
                .map(|place| into(place, json!([app("c2")])))
                .to_vec(),
        ),
        ("egress", vec![out(all)], vec![out(json!([app("b1")]))]),
    ];
    // Ports that the kernel gives out to nobody.
    let mut port = 61_500;
    for (what, allowed, denied) in deny {
        put(&mut bench, &allowed)?;
        let mut cases = Vec::new();
        for ipv6 in FAMILIES {
            for (place, service) in [("a1", None), ("a1", Some(1)), ("a2", None), ("a2", Some(2))] {
                port += 1;
                let dial = match service {
                    Some(number) => ask(Protocol::Udp, number, ipv6),
                    None => Dial::udp(bench.address(place, ipv6)?, PORT),
                };
                let dial = dial.from_port(port);
                let mut conn = Revoked::open(&bench, "c1", &dial)?;
                conn.resumes("more")?;
                cases.push(Case { dial, place, conn });
            }
        }
        // Of this port nobody has heard.
        let nothing = u16::MAX;
        let before = known(&bench, &cases, nothing)?;
        for case in &cases {
            let so_far = told(&bench, case)?;
            send(&bench, "c1", &case.dial.clone().from_port(nothing))?;
            send(&bench, "c1", &case.dial)?;
            let now = run::wait_for("the server to be told", LIMIT, || {
                let now = told(&bench, case)?;
                Ok((now.heard > so_far.heard).then_some(now))
            })
            .with_context(|| format!("{what}, c1 → {}", case.dial.target))?;
            ensure!(
                now.heard == so_far.heard + 1,
                "{what}, c1 → {}: what is of no connection got through",
                case.dial.target
            );
            ensure!(
                now.not_understood == so_far.not_understood,
                "{what}, c1 → {}: the server never sent what it is told about",
                case.dial.target
            );
        }
        let after = known(&bench, &cases, nothing)?;
        ensure!(after == before, "{what}: {before:#?} became {after:#?}");

        put(&mut bench, &denied)?;
        for case in &mut cases {
            case.conn.silent("denied")?;
        }
        let witness = Dial::udp(bench.address("a1", false)?, PORT).from_port(port + 100);
        let _other = Revoked::open(&bench, "c2", &witness)?;
        for case in &cases {
            let before = told(&bench, case)?;
            for _ in 0..5 {
                send(&bench, "c1", &case.dial)?;
            }
            // What is sent after them arrives.
            let a1 = told_at(&bench, "a1", false)?;
            send(&bench, "c2", &witness)?;
            run::wait_for("the other client's error", LIMIT, || {
                Ok((told_at(&bench, "a1", false)?.heard > a1.heard).then_some(()))
            })?;
            let of_witness = u64::from(case.place == "a1" && case.dial.target.is_ipv4());
            let got = told(&bench, case)?.heard - before.heard - of_witness;
            ensure!(
                got == 0,
                "{what}, c1 → {}: {got} of 5 errors got through",
                case.dial.target
            );
        }
        for case in &mut cases {
            case.conn.silent("still denied")?;
        }
        put(&mut bench, &allowed)?;
        for case in &mut cases {
            case.conn.resumes("allowed")?;
        }
        for policy in &allowed {
            bench.folder.take(policy)?;
        }
        port += 200;
    }
    Ok(())
}

fn put(bench: &mut Bench<'_>, policies: &[Object]) -> Result<()> {
    for policy in policies {
        bench.folder.put(policy)?;
    }
    bench.folder.settle()
}

/// What conntrack says of the connections, on either node: their translation, and the rules that let them be. And of
/// any that there may be from one more port.
fn known(bench: &Bench<'_>, cases: &[Case], more: u16) -> Result<Vec<String>> {
    let ports = cases.iter().filter_map(|case| case.dial.port).chain([more]);
    let ports: Vec<_> = ports.map(|port| format!(",sport={port},")).collect();
    let mut known = Vec::new();
    for node in [1, 2] {
        for zone in [ZONE_TRACK, ZONE_SERVICE, ZONE_WIRE] {
            let mut found = datapath::connections(&bench.node(node)?, zone)?;
            found.retain(|line| ports.iter().any(|port| line.contains(port)));
            found.sort_unstable();
            known.extend(found);
        }
    }
    ensure!(known.len() >= cases.len(), "too few: {known:#?}");
    Ok(known)
}

/// What the kernel of a server has got of errors, by its own counters.
#[derive(Clone, Copy)]
struct Told {
    /// How many say "unreachable".
    heard: u64,
    /// How many are about what no socket there can have sent, or damaged.
    not_understood: u64,
}

fn told(bench: &Bench<'_>, case: &Case) -> Result<Told> {
    told_at(bench, case.place, case.dial.target.is_ipv6())
}

fn told_at(bench: &Bench<'_>, place: &str, ipv6: bool) -> Result<Told> {
    let thread = netns::within(&bench.netns(place)?, move || {
        let file = if ipv6 { "snmp6" } else { "snmp" };
        Ok(std::fs::read_to_string(format!(
            "/proc/thread-self/net/{file}"
        ))?)
    })?;
    let text = netns::join(thread)?;
    let count = |name: &str| -> Result<u64> {
        let found = if ipv6 {
            let name = format!("Icmp6{name}");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.map(str::trim)
        } else {
            let mut lines = text.lines().filter(|line| line.starts_with("Icmp:"));
            let (names, values) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
            let at = names.split(' ').position(|one| one == name);
            at.and_then(|at| values.split(' ').nth(at))
        };
        let found = found.with_context(|| format!("no such counter in\n{text}"))?;
        found.parse().with_context(|| format!("no number: {found}"))
    };
    Ok(Told {
        heard: count("InDestUnreachs")?,
        not_understood: count("InErrors")?,
    })
}

/// Says for a client that what the other end sends reaches nobody here.
fn send(bench: &Bench<'_>, client: &str, dial: &Dial) -> Result<()> {
    let target = dial.target;
    let own = SocketAddr::new(
        bench.address(client, target.is_ipv6())?,
        dial.port.unwrap_or(0),
    );
    let message = unreachable(target, own);
    netns::join(netns::within(&bench.netns(client)?, move || {
        let (family, protocol) = match target {
            SocketAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
            SocketAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
        };
        let raw = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        let to = SockaddrStorage::from(SocketAddr::new(target.ip(), 0));
        sendto(raw.as_raw_fd(), &message, &to, MsgFlags::empty())?;
        Ok(())
    })?)
}

/// "Port unreachable", about a datagram.
fn unreachable(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    const UDP: u8 = 17;
    let mut about = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 63, UDP, 0, 0];
            header.extend([from.octets(), to.octets()].concat());
            let sum = checksum(&header);
            header.splice(10..12, sum.to_be_bytes());
            header
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            let mut header = vec![0x60, 0, 0, 0, 0, 8, UDP, 63];
            header.extend([octets(from), octets(to)].concat());
            header
        }
    };
    about.extend([from.port().to_be_bytes(), to.port().to_be_bytes()].concat());
    about.extend([0, 8, 0, 0]);
    let (kind, code) = if from.is_ipv6() { (1, 4) } else { (3, 3) };
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(about);
    if from.is_ipv4() {
        // That of IPv6 the kernel computes.
        let sum = checksum(&message);
        message.splice(2..4, sum.to_be_bytes());
    }
    message
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
