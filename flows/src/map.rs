//! The map of the pipeline for people, `docs/pipeline.md`, made from the code so that it cannot drift.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use openflow::MacAddr;

use crate::compiler::compile_all;
use crate::cookie::{Cookie, Kind};
use crate::handover::NODE_PORT;
use crate::model::{
    Backend, Capabilities, Change, Frontend, Gateway, LocalNode, LocalPod, Peer, Protocol,
    ServiceId, ServicePort, State, TrafficPolicy, Tunnel, TunnelKind, Uid,
};
use crate::pipeline::{
    CLASS_DST, CLASS_SRC, CT_BLOCKED, ENDPOINT_PORTS, HAIRPIN, INDEX, MARKS, Mark, OUT_PORT, PICK,
    REASON, ROUTER_MAC, RULE_DST, RULE_SRC, SCRATCH, SERVICE_ID, SUBJECT_DST, SUBJECT_SRC, Source,
    Table, ZONE_SERVICE, ZONE_TRACK, ZONE_WIRE, ZONES,
};
use crate::reason::DropReason;

/// The whole page.
pub fn pipeline_map() -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page);
    page
}

fn write_page(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "# The pipeline\n\n\
         Made from the code of `flows/`; a test compares (`UPDATE_GOLDEN=1 cargo test -p sluice-flows` rewrites it).\n\
         The numbers are part of the flows in running switches: they are never reused for something else.\n\n\
         The router that pods and hosts have as their gateway has the MAC address `{ROUTER_MAC}` on every node.\n"
    )?;
    tables(out)?;
    registers(out)?;
    cookies(out)?;
    reasons(out)?;
    example(out)
}

fn tables(out: &mut String) -> std::fmt::Result {
    writeln!(out, "## Tables\n\n| id | name | does |\n|---|---|---|")?;
    for table in Table::ALL {
        writeln!(out, "| {} | {table} | {} |", table.id().0, table.purpose())?;
    }
    Ok(())
}

fn registers(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Registers\n\n| register | bits | holds |\n|---|---|---|"
    )?;
    let sources: Vec<_> = Source::ALL
        .iter()
        .map(|s| format!("{} {}", s.mark(), s.name()))
        .collect();
    let top = 31 - Source::MASK.leading_zeros();
    writeln!(
        out,
        "| {} | 0..{top} | where the packet came from: {} |",
        MARKS.name(),
        sources.join(", ")
    )?;
    for mark in Mark::ALL {
        let bit = mark.bit().trailing_zeros();
        writeln!(out, "| {} | {bit} | {} |", MARKS.name(), mark.meaning())?;
    }
    for (register, bits, holds) in [
        (
            PICK,
            "0..7",
            "bits of the source port, while an endpoint is chosen",
        ),
        (PICK, "16..31", "how many indices the Service has"),
        (OUT_PORT, "all", "the OpenFlow port that Route chose"),
        (REASON, "all", "in table Drop, the code of the reason"),
        (SCRATCH, "all", "scratch, within one flow"),
        (INDEX, "all", "the index of the endpoint that was chosen"),
        (
            SERVICE_ID,
            "all",
            "the number of the Service's set of endpoints",
        ),
        (SUBJECT_SRC, "all", "which policies apply to the sender"),
        (SUBJECT_DST, "all", "which policies apply to the receiver"),
        (CLASS_DST, "all", "the class of the destination address"),
        (CLASS_SRC, "all", "the class of the source address"),
        (
            RULE_SRC,
            "all",
            "the rule by which the sending pod may send it",
        ),
        (
            RULE_DST,
            "all",
            "the rule by which the receiving pod may get it",
        ),
    ] {
        writeln!(out, "| {} | {bits} | {holds} |", register.name())?;
    }
    writeln!(
        out,
        "\n## Conntrack\n\n\
         Zones {:#x} to {:#x} are ours. `{ZONE_SERVICE:#x}` has connections to Services as their clients make them, and how \
         their\ndestination is translated; `{ZONE_WIRE:#x}` has the same connections as they are on the wire, from a \
         port of {} to {}, unless their\nclient's address and port are kept; `{ZONE_TRACK:#x}` has these as well, and other connections, as far as policy \
         must\nknow them. Bit {CT_BLOCKED:#x} of `ct_mark` in the last two says that policy\nno longer allows it; their `ct_label` has the \
         numbers of the rules that let it be, the sender's\nin bits 0 to 31 and the receiver's in bits 32 to 63.\n\
         {} and {} stand for the host where its packets go back to it,\n{} and {} for its addresses in node ports; those \
         that follow, up to 254, each for one of its\naddresses where that is also a load balancer's or an externalIP.",
        ZONES.start(),
        ZONES.end(),
        ENDPOINT_PORTS.0,
        ENDPOINT_PORTS.0 | !ENDPOINT_PORTS.1,
        HAIRPIN[0],
        HAIRPIN[1],
        NODE_PORT[0],
        NODE_PORT[1]
    )?;
    writeln!(
        out,
        "\n`pkt_mark` is nobody's: on old releases with the userspace datapath, where packets have none, flows of the kind \
         `{}` ask for bits of it\n([policy.md](policy.md#old-releases-of-open-vswitch)).",
        Kind::Epoch.name()
    )
}

fn cookies(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Cookies\n\n\
         `{:#x}/{:#x}` are ours: the magic in bits 48..63, a kind in bits 40..47, an id below.\n\
         Flows with other cookies are left alone.\n\n\
         | kind | stands for | id |\n|---|---|---|",
        Cookie::OWNER,
        Cookie::OWNER_MASK
    )?;
    for kind in Kind::ALL {
        writeln!(
            out,
            "| {} | {} | {} |",
            kind as u8,
            kind.name(),
            kind.id_source()
        )?;
    }
    Ok(())
}

fn reasons(out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "\n## Drop reasons\n\n| code | reason | means |\n|---|---|---|"
    )?;
    for reason in DropReason::ALL {
        writeln!(
            out,
            "| {} | {reason} | {} |",
            reason.code(),
            reason.explanation()
        )?;
    }
    Ok(())
}

fn example(out: &mut String) -> std::fmt::Result {
    let program = compile_all(&example_state());
    writeln!(
        out,
        "\n## The flows of a small node\n\n\
         node-a, 10.0.1.0/24 and fd00:1::/64, gateway on port 2, a VXLAN tunnel on port 1, one pod on port 1024\n\
         (10.0.1.7, fd00:1::7), one peer (192.0.2.2: 10.0.2.0/24 and fd00:2::/64), one Service (10.96.0.10, TCP port 80, \
         and node\nport 30080) with the endpoints 10.0.1.7:8080 and 10.0.2.9:8080: {} flows.\n\n\
         ```text\n{program}```",
        program.len()
    )
}

/// The node of the example.
fn example_state() -> State {
    let v4 =
        |node, host, len| IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(10, 0, node, host), len));
    let v6 = |node, host, len| {
        IpNet::V6(Ipv6Net::new_assert(
            Ipv6Addr::new(0xfd00, node, 0, 0, 0, 0, 0, host),
            len,
        ))
    };
    let addresses = |node: u8, host: u8| -> Vec<IpAddr> {
        vec![
            v4(node, host, 32).addr(),
            v6(node.into(), host.into(), 128).addr(),
        ]
    };
    let prefixes = |node: u8| vec![v4(node, 0, 24), v6(node.into(), 0, 64)];

    let mut state = State::new(LocalNode {
        name: "node-a".into(),
        pod_cidrs: prefixes(1),
        gateway: Gateway {
            ofport: 2,
            mac: MacAddr([0x0a, 0, 0, 0, 0, 2]),
            ips: addresses(1, 1),
        },
        tunnel: Some(Tunnel {
            ofport: 1,
            kind: TunnelKind::Vxlan,
        }),
        addresses: Vec::new(),
        node_port_addresses: Vec::new(),
        caps: Capabilities { nd_reply: true },
    });
    let pod = LocalPod {
        id: "sandbox-7".into(),
        namespace: "default".to_owned(),
        name: "web-0".to_owned(),
        uid: Uid::default(),
        ofport: 1024,
        mac: MacAddr([0x0a, 0, 0, 0, 0, 7]),
        ips: addresses(1, 7),
    };
    let peer = Peer {
        name: "node-b".into(),
        pod_cidrs: prefixes(2),
        underlay: Ipv4Addr::new(192, 0, 2, 2).into(),
    };
    state.pods.insert(pod.id.clone(), pod);
    state.peers.insert(peer.name.clone(), peer);
    state.apply(Change::ServiceSet(Arc::new(example_service())));
    state
}

fn example_service() -> ServicePort {
    let backend = |node, host| Backend {
        ip: Ipv4Addr::new(10, 0, node, host).into(),
        port: 8080,
    };
    let policy = TrafficPolicy::Cluster;
    let cluster_ip = Frontend::Cluster {
        ip: Ipv4Addr::new(10, 96, 0, 10).into(),
        port: 80,
        policy,
    };
    let node_port = Frontend::NodePort {
        port: 30_080,
        policy,
    };
    ServicePort {
        id: ServiceId::new("default", "web", "http", Protocol::Tcp, false),
        namespace: "default".to_owned(),
        name: "web".to_owned(),
        port_name: "http".to_owned(),
        v6: false,
        protocol: Protocol::Tcp,
        frontends: vec![cluster_ip, node_port],
        cluster: vec![backend(1, 7), backend(2, 9)],
        local: vec![backend(1, 7)],
        affinity: None,
    }
}
