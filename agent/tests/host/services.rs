//! The host's part of Services, with real packets: a node, a host outside, and, in the place of the switch behind the
//! gateway device, a namespace that serves node ports, has a pod, and sends back whatever else it gets.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use sluice_agent::host::{
    Family, HAIRPIN_V4, HAIRPIN_V6, HostError, conntrack,
    gateway::{self, GatewayNic, configure},
    nft::{self, Ruleset},
    pod::Datapath,
    services::OwnPort,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream, UdpSocket},
    sync::oneshot,
    time::timeout,
};

use crate::harness::{ROUTER_MAC, SOON, Space, v4, v6};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const PORT: u16 = 30080;
pub(crate) const NODE: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const POD: [&str; 2] = ["10.1.0.2", "fd00:1::2"];
const SWITCH: [&str; 2] = ["169.254.83.2", "fd53:4c55:4943::2"];
const SERVICE: [&str; 2] = ["10.96.0.10", "fd00:96::10"];

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn nic() -> GatewayNic {
    GatewayNic {
        ifname: "slgw".into(),
        mac: [0x0a, 0x58, 10, 1, 0, 1],
        mtu: 1400,
        addrs: vec![v4(1), v6(1)],
        router_mac: ROUTER_MAC,
        cidrs: ["10.1.0.0/24", "fd00:1::/64"]
            .map(|text| text.parse().expect("a CIDR"))
            .to_vec(),
        datapath: Datapath::Kernel,
    }
}

/// A port of the node.
pub(crate) fn port(family: Family, protocol: u8, port: u16) -> OwnPort {
    OwnPort {
        address: ip(NODE[usize::from(family == Family::V6)]),
        protocol,
        port,
        switch: ip(SWITCH[usize::from(family == Family::V6)]),
        process: None,
    }
}

pub(crate) fn ruleset() -> Ruleset {
    Ruleset {
        gateway: "slgw".into(),
        masquerade: nic().cidrs,
        own_ports: Family::BOTH
            .into_iter()
            .flat_map(|family| [port(family, TCP, PORT), port(family, UDP, PORT)])
            .collect(),
    }
}

pub(crate) async fn routed(node: &Space, addresses: &BTreeSet<IpAddr>) -> gateway::Changes {
    let addresses = addresses.clone();
    node.run(move || async move { configure(&nic(), &addresses, SOON).await })
        .await
        .expect("routes")
}

pub(crate) async fn ensured(node: &Space, wanted: &Ruleset) -> nft::Changes {
    let wanted = wanted.clone();
    node.run(move || async move { nft::ensure(&wanted).await })
        .await
        .expect("a table")
}

struct Network {
    node: Space,
    switch: Space,
    outside: Space,
}

/// All of it in place.
async fn network() -> Network {
    let network = Network {
        node: Space::new("node"),
        switch: Space::new("switch"),
        outside: Space::new("out"),
    };
    let Network {
        node,
        switch,
        outside,
    } = &network;
    node.ip(&format!(
        "link add slgw type veth peer name eth0 address aa:aa:aa:00:00:01 netns {}",
        switch.name
    ));
    node.ip(&format!(
        "link add uplink type veth peer name eth0 netns {}",
        outside.name
    ));
    // A strict default, as some distributions have it; and nobody may lose what conntrack calls invalid.
    node.sh("echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter");
    for chain in ["prerouting", "forward", "output"] {
        node.sh(&format!(
            "nft add table inet other; nft add chain inet other {chain} \
             \"{{ type filter hook {chain} priority 0; }}\"; \
             nft add rule inet other {chain} ct state invalid drop"
        ));
    }
    for setting in [
        "ipv4/ip_forward",
        "ipv6/conf/all/forwarding",
        "ipv4/conf/all/accept_local",
    ] {
        switch.sh(&format!("echo 1 >/proc/sys/net/{setting}"));
    }
    // Link-local addresses, which neighbours are asked from, are there at once.
    for space in [node, switch, outside] {
        space.sh("for f in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >$f; done");
    }
    switch.sh("for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 >$f; done");
    for (space, device, addresses) in [
        (switch, "eth0", POD),
        (switch, "lo", SWITCH),
        (node, "uplink", NODE),
        (outside, "eth0", ["192.0.2.2", "2001:db8::2"]),
    ] {
        let lens = if device == "uplink" || space.name == outside.name {
            ["24", "64"]
        } else {
            ["32", "128"]
        };
        space.ip(&format!("link set {device} up"));
        space.ip(&format!(
            "address add {}/{} dev {device}",
            addresses[0], lens[0]
        ));
        space.ip(&format!(
            "address add {}/{} dev {device} nodad",
            addresses[1], lens[1]
        ));
    }
    // Another address, which nothing takes as its own source.
    node.ip("address add 192.0.2.9/32 dev uplink");
    node.ip("address add 2001:db8::9/128 dev uplink nodad preferred_lft 0");
    routed(node, &SERVICE.map(ip).into()).await;
    ensured(node, &ruleset()).await;
    switch.ip(&format!(
        "route add default via 10.1.0.1 dev eth0 onlink src {}",
        POD[0]
    ));
    switch.ip(&format!(
        "-6 route add default via fd00:1::1 dev eth0 onlink src {}",
        POD[1]
    ));
    outside.ip("route add default via 192.0.2.1");
    outside.ip("-6 route add default via 2001:db8::1");
    network
}

fn failed(error: io::Error) -> HostError {
    HostError::Kernel {
        action: "talk".into(),
        source: error,
    }
}

/// What one side of a conversation saw.
type Seen = (SocketAddr, SocketAddr);

/// As [`conversation_from`], from any port.
async fn conversation(
    protocol: u8,
    (from, source): (&Space, Option<IpAddr>),
    to: SocketAddr,
    server: (&Space, SocketAddr),
) -> Seen {
    let source = source.map(|source| SocketAddr::new(source, 0));
    conversation_from(protocol, (from, source), to, server).await
}

/// Connects from `from`, under `source` if given, to `to`, while somebody listens at `at` in `listener`. Answers what
/// the listener saw as its own address and its peer's; the answer has come back to the client by then.
async fn conversation_from(
    protocol: u8,
    (from, source): (&Space, Option<SocketAddr>),
    to: SocketAddr,
    (listener, at): (&Space, SocketAddr),
) -> Seen {
    let (bound, listening) = oneshot::channel();
    let serve = listener.run(move || async move {
        if protocol == TCP {
            let listener = TcpListener::bind(at).await.map_err(failed)?;
            let _ = bound.send(());
            let (mut stream, peer) = listener.accept().await.map_err(failed)?;
            let local = stream.local_addr().map_err(failed)?;
            stream.write_all(b"answer").await.map_err(failed)?;
            Ok((local, peer))
        } else {
            let socket = UdpSocket::bind(at).await.map_err(failed)?;
            let _ = bound.send(());
            let (_, peer) = socket.recv_from(&mut [0; 16]).await.map_err(failed)?;
            socket.send_to(b"answer", peer).await.map_err(failed)?;
            Ok((socket.local_addr().map_err(failed)?, peer))
        }
    });
    let ask = async {
        listening.await.expect("a listener");
        from.run(move || async move { ask(protocol, source, to).await.map_err(failed) })
            .await
    };
    let both = async { tokio::join!(serve, ask) };
    let (seen, answer) = tokio::time::timeout(SOON, both)
        .await
        .unwrap_or_else(|_| panic!("{to} ({protocol}) does not answer {}", from.name));
    assert_eq!(answer.expect("an answer"), b"answer");
    seen.expect("a client")
}

/// One question, and its answer, which can only come from where the question went.
async fn ask(protocol: u8, source: Option<SocketAddr>, to: SocketAddr) -> io::Result<Vec<u8>> {
    let any = match to {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let source = source.unwrap_or(SocketAddr::new(any, 0));
    let mut answer = Vec::new();
    if protocol == TCP {
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind(source)?;
        let mut stream = socket.connect(to).await?;
        stream.read_to_end(&mut answer).await?;
    } else {
        let socket = UdpSocket::bind(source).await?;
        socket.connect(to).await?;
        socket.send(b"question").await?;
        answer.resize(16, 0);
        let len = socket.recv(&mut answer).await?;
        answer.truncate(len);
    }
    Ok(answer)
}

/// As [`refused_from`], from any port.
async fn refused(protocol: u8, from: &Space, source: Option<IpAddr>, to: SocketAddr) -> Duration {
    let source = source.map(|source| SocketAddr::new(source, 0));
    refused_from(protocol, from, source, to).await
}

/// Asserts that a connection is refused, and says how long that took.
async fn refused_from(
    protocol: u8,
    from: &Space,
    source: Option<SocketAddr>,
    to: SocketAddr,
) -> Duration {
    let answer = from.run(move || async move {
        let begin = Instant::now();
        let answer = tokio::time::timeout(SOON, ask(protocol, source, to)).await;
        Ok((answer, begin.elapsed()))
    });
    let (answer, took) = answer.await.expect("a client");
    let error = answer
        .unwrap_or_else(|_| panic!("{to} ({protocol}) does not answer"))
        .expect_err("a refusal");
    assert_eq!(
        error.kind(),
        io::ErrorKind::ConnectionRefused,
        "{to}: {error}"
    );
    took
}

#[tokio::test]
async fn node_ports_are_served_behind_the_gateway() {
    let Network {
        node,
        switch,
        outside,
    } = &network().await;
    for protocol in [TCP, UDP] {
        for (address, served_at, client) in [
            (NODE[0], ip(SWITCH[0]), "192.0.2.2"),
            (NODE[1], ip(SWITCH[1]), "2001:db8::2"),
        ] {
            let to = SocketAddr::new(ip(address), PORT);
            let at = SocketAddr::new(served_at, PORT);
            for (from, source) in [(outside, client), (node, address)] {
                let (local, peer) = conversation(protocol, (from, None), to, (switch, at)).await;
                assert_eq!((local, peer.ip()), (at, ip(source)), "from {}", from.name);
            }
            // Another address of the node, another port, another protocol's port: the node's own business.
            let other = if to.is_ipv4() {
                "192.0.2.9"
            } else {
                "2001:db8::9"
            };
            let elsewhere = SocketAddr::new(ip(other), PORT);
            refused(protocol, outside, None, elsewhere).await;
            refused(
                protocol,
                outside,
                None,
                SocketAddr::new(ip(address), PORT + 1),
            )
            .await;
            // What comes out of the switch was the switch's to serve.
            let pod = ip(if to.is_ipv4() { POD[0] } else { POD[1] });
            let (local, peer) = conversation(protocol, (switch, Some(pod)), to, (node, to)).await;
            assert_eq!((local, peer.ip()), (to, pod));
        }
    }
}

/// Two addresses of the node may have different Services at one port.
#[tokio::test]
async fn each_address_is_served_under_the_one_that_stands_for_it() {
    const OTHER: [&str; 2] = ["192.0.2.9", "2001:db8::9"];
    const SERVED: [&str; 2] = ["169.254.83.77", "fd53:4c55:4943::77"];
    let Network {
        node,
        switch,
        outside,
    } = &network().await;
    let mut wanted = ruleset();
    for (number, family) in Family::BOTH.into_iter().enumerate() {
        switch.ip(&format!("address add {} dev lo nodad", SERVED[number]));
        wanted.own_ports.extend([TCP, UDP].map(|protocol| OwnPort {
            address: ip(OTHER[number]),
            switch: ip(SERVED[number]),
            ..port(family, protocol, PORT)
        }));
    }
    assert_eq!(ensured(node, &wanted).await.added, 4);
    for number in [0, 1] {
        for protocol in [TCP, UDP] {
            for (own, served) in [(NODE, SWITCH), (OTHER, SERVED)] {
                let to = SocketAddr::new(ip(own[number]), PORT);
                let at = SocketAddr::new(ip(served[number]), PORT);
                for from in [outside, node] {
                    let (local, _) = conversation(protocol, (from, None), to, (switch, at)).await;
                    assert_eq!(local, at, "from {} to {to}", from.name);
                }
            }
        }
    }
    assert_eq!(forgotten_by(node, &wanted).await, 0);
}

/// What comes from outside for a process of the node goes there directly; what the node itself sends does not.
#[tokio::test]
async fn a_process_of_the_node_sees_its_clients_addresses() {
    let Network {
        node,
        switch,
        outside,
    } = &network().await;
    let process = |address: &str| SocketAddr::new(ip(address), 8080);
    let direct = |family, protocol| OwnPort {
        process: Some(process(NODE[usize::from(family == Family::V6)])),
        ..port(family, protocol, PORT)
    };
    let wanted = Ruleset {
        own_ports: Family::BOTH
            .into_iter()
            .flat_map(|family| [direct(family, TCP), direct(family, UDP)])
            .collect(),
        ..ruleset()
    };
    let ports = wanted.own_ports.len();
    let added = ensured(node, &wanted).await.added;
    assert_eq!(added, ports, "in the map; the set has them already");
    assert!(ensured(node, &wanted).await.is_empty());
    let listed = node.sh("nft list table inet sluice");
    for part in [
        "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
        "192.0.2.1 . tcp . 30080 : 192.0.2.1 . 8080",
        "dnat ip to ip daddr . meta l4proto . th dport map @own_processes_v4",
        "dnat ip6 to ip6 daddr . meta l4proto . th dport map @own_processes_v6",
    ] {
        assert!(listed.contains(part), "{part} is missing in {listed}");
    }
    for protocol in [TCP, UDP] {
        for (address, served_at, client) in [
            (NODE[0], ip(SWITCH[0]), "192.0.2.2"),
            (NODE[1], ip(SWITCH[1]), "2001:db8::2"),
        ] {
            let (to, at) = (SocketAddr::new(ip(address), PORT), process(address));
            let client = SocketAddr::new(ip(client), 4000);
            let from = (outside, Some(client));
            let seen = conversation_from(protocol, from, to, (node, at)).await;
            assert_eq!(seen, (at, client));
            if protocol == UDP {
                assert_eq!(forgotten_by(node, &wanted).await, 0);
            }
            let served = SocketAddr::new(served_at, PORT);
            conversation(protocol, (node, None), to, (switch, served)).await;
        }
    }
    // The process goes, and a pod comes: the switch has it again, clients that never stop sending included.
    assert_eq!(ensured(node, &ruleset()).await.removed, ports);
    assert_eq!(forgotten_by(node, &ruleset()).await, 2);
    let served = SocketAddr::new(ip(SWITCH[0]), PORT);
    let from = (outside, Some(SocketAddr::new(ip("192.0.2.2"), 4000)));
    let to = SocketAddr::new(ip(NODE[0]), PORT);
    conversation_from(UDP, from, to, (switch, served)).await;
}

/// A client that never stops sending from one port, before and after.
#[tokio::test]
async fn udp_that_began_before_its_node_port_reaches_it_and_leaves_with_it() {
    let Network {
        node,
        switch,
        outside,
    } = &network().await;
    let without = Ruleset {
        own_ports: BTreeSet::new(),
        ..ruleset()
    };
    for (client, address, served_at) in [
        ("192.0.2.2", NODE[0], ip(SWITCH[0])),
        ("2001:db8::2", NODE[1], ip(SWITCH[1])),
    ] {
        let client = SocketAddr::new(ip(client), 4000);
        let to = SocketAddr::new(ip(address), PORT);
        // In turn: nobody serves it, the switch does, nobody, the node itself, the switch.
        for (ruleset, server, forgotten) in [
            (&without, None, 0),
            (
                &ruleset(),
                Some((switch, SocketAddr::new(served_at, PORT))),
                1,
            ),
            (&without, None, 1),
            (&without, Some((node, to)), 0),
            (
                &ruleset(),
                Some((switch, SocketAddr::new(served_at, PORT))),
                1,
            ),
        ] {
            ensured(node, ruleset).await;
            assert_eq!(forgotten_by(node, ruleset).await, forgotten);
            match server {
                Some(server) => {
                    conversation_from(UDP, (outside, Some(client)), to, server).await;
                }
                None => {
                    refused_from(UDP, outside, Some(client), to).await;
                }
            }
        }
        ensured(node, &without).await;
        assert_eq!(forgotten_by(node, &without).await, 1);
        assert_eq!(forgotten_by(node, &without).await, 0);
    }
}

async fn forgotten_by(node: &Space, ruleset: &Ruleset) -> usize {
    let ports = ruleset.own_ports.clone();
    node.run(move || async move { conntrack::forget_contradicting(&ports).await })
        .await
        .expect("a look at the table")
}

#[tokio::test]
async fn a_service_without_endpoints_is_refused_to_everybody() {
    let Network {
        node,
        switch,
        outside,
    } = &network().await;
    for protocol in [TCP, UDP] {
        for (service, pod) in SERVICE.into_iter().zip(POD) {
            let to = SocketAddr::new(ip(service), 80);
            let by_node = refused(protocol, node, None, to).await;
            let by_pod = refused(protocol, switch, Some(ip(pod)), to).await;
            let by_other = refused(protocol, outside, None, to).await;
            println!(
                "{to} ({protocol}) refused to the node in {by_node:?}, a pod in {by_pod:?}, another host in {by_other:?}"
            );
        }
    }
}

/// A thousand at once, and then as many a second: whoever asks more often is not answered, and the node has other things to do.
#[tokio::test]
async fn refusals_are_limited() {
    const ASKED: usize = 3_000;
    const AT_A_TIME: usize = 500;
    const AT_ONCE: usize = 1_000;
    const A_SECOND: f64 = 1_000.0;
    let Network { outside, .. } = &network().await;
    let to = SocketAddr::new(ip(SERVICE[0]), 80);
    let job = move || async move {
        let began = Instant::now();
        let ask = |_| async move {
            let answer = timeout(Duration::from_millis(300), TcpStream::connect(to)).await;
            match answer {
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => 1,
                Ok(other) => panic!("{to}: {other:?}"),
                Err(_elapsed) => 0,
            }
        };
        let all = stream::iter(0..ASKED).map(ask).buffer_unordered(AT_A_TIME);
        let refused: usize = all.collect::<Vec<_>>().await.into_iter().sum();
        Ok((refused, began.elapsed()))
    };
    let (refused, took) = outside.run(job).await.expect("a client");
    println!("{refused} of {ASKED} refused in {took:?}");
    #[expect(clippy::cast_precision_loss)]
    let more = refused.saturating_sub(AT_ONCE) as f64;
    assert!(
        refused >= AT_ONCE && more <= A_SECOND * (took.as_secs_f64() + 0.1),
        "{refused} in {took:?}"
    );
}

#[tokio::test]
async fn refusals_come_from_the_service_and_leave_by_the_gateway() {
    let Network { node, switch, .. } = &network().await;
    for hook in ["prerouting", "output", "postrouting"] {
        node.sh(&format!(
            "nft add table inet look; nft add chain inet look {hook} \"{{ type filter hook {hook} priority 10; }}\""
        ));
    }
    node.sh("nft add rule inet look postrouting oifname slgw ip saddr 10.96.0.10 tcp flags \\& rst == rst counter comment tcp-refused");
    node.sh("nft add rule inet look postrouting oifname slgw icmp type destination-unreachable icmp code port-unreachable counter comment udp-refused");
    let to = SocketAddr::new(ip(SERVICE[0]), 80);
    refused(TCP, switch, Some(ip(POD[0])), to).await;
    refused(UDP, switch, Some(ip(POD[0])), to).await;
    let counters = node.sh("nft list table inet look");
    for kind in ["tcp-refused", "udp-refused"] {
        let line = counters
            .lines()
            .find(|line| line.contains(kind) && line.contains("comment"));
        let line = line.unwrap_or_else(|| panic!("no {kind} in {counters}"));
        assert!(line.contains("packets 1 "), "{line}");
    }
    refused(
        TCP,
        switch,
        Some(ip(POD[1])),
        SocketAddr::new(ip(SERVICE[1]), 80),
    )
    .await;
    // Nobody is told of a better way.
    let counters = node.sh("nstat -az Icmp\\*OutRedirects");
    let redirects = counters
        .lines()
        .filter(|line| line.contains("OutRedirects"));
    for line in redirects {
        assert_eq!(line.split_whitespace().nth(1), Some("0"), "{line}");
    }
}

#[tokio::test]
async fn what_is_routed_elsewhere_passes() {
    let Network {
        node,
        switch,
        outside,
    } = &network().await;
    for protocol in [TCP, UDP] {
        for (pod, far, node_address) in [
            (POD[0], "192.0.2.2", NODE[0]),
            (POD[1], "2001:db8::2", NODE[1]),
        ] {
            // From a pod to the outside, as this node; and to a listener on the node.
            let to = SocketAddr::new(ip(far), 8080);
            let (_, peer) =
                conversation(protocol, (switch, Some(ip(pod))), to, (outside, to)).await;
            assert_eq!(peer.ip(), ip(node_address));
            let to = SocketAddr::new(ip(node_address), 8080);
            let (_, peer) = conversation(protocol, (switch, Some(ip(pod))), to, (node, to)).await;
            assert_eq!(peer.ip(), ip(pod));
        }
        // From the host to a pod, under the gateway's address; and to a Service that the switch serves itself.
        for (pod, own) in POD.into_iter().zip([v4(1), v6(1)]) {
            let to = SocketAddr::new(ip(pod), 8080);
            let (_, peer) = conversation(protocol, (node, None), to, (switch, to)).await;
            assert_eq!(peer.ip(), own);
        }
    }
    switch.ip("address add 10.96.0.10/32 dev lo");
    switch.ip("address add fd00:96::10/128 dev lo nodad");
    for (service, own) in SERVICE.into_iter().zip([v4(1), v6(1)]) {
        let to = SocketAddr::new(ip(service), 8080);
        let (_, peer) = conversation(TCP, (node, None), to, (switch, to)).await;
        assert_eq!(peer.ip(), own);
        let (_, peer) = conversation(TCP, (outside, None), to, (switch, to)).await;
        assert!(ip("192.0.2.2") == peer.ip() || ip("2001:db8::2") == peer.ip());
    }
}

/// Endpoints that are hosts: the switch sends to them as HAIRPIN, and the answer finds its way.
#[tokio::test]
async fn what_goes_back_to_hosts_does_so_as_this_node_and_returns() {
    let Network {
        node,
        switch,
        outside,
    } = &network().await;
    switch.ip("address add 169.254.83.1/32 dev lo");
    switch.ip("address add fd53:4c55:4943::1/128 dev lo nodad");
    for protocol in [TCP, UDP] {
        for (hairpin, far, here) in [
            (IpAddr::V4(HAIRPIN_V4), "192.0.2.2", NODE[0]),
            (IpAddr::V6(HAIRPIN_V6), "2001:db8::2", NODE[1]),
        ] {
            let to = SocketAddr::new(ip(far), 8080);
            let (_, peer) =
                conversation(protocol, (switch, Some(hairpin)), to, (outside, to)).await;
            assert_eq!(peer.ip(), ip(here));
            let to = SocketAddr::new(ip(here), 8080);
            let (_, peer) = conversation(protocol, (switch, Some(hairpin)), to, (node, to)).await;
            assert_eq!(peer.ip(), hairpin);
        }
    }
}

#[tokio::test]
async fn others_do_not_reach_the_addresses_between_host_and_switch() {
    let Network { node, outside, .. } = &network().await;
    for (address, own) in [("169.254.83.2", ""), ("fd53:4c55:4943::2", "-6")] {
        let via = if own.is_empty() { NODE[0] } else { NODE[1] };
        outside.ip(&format!("{own} route add {address} via {via}"));
        let lost = outside.sh(&format!("ping -c 1 -W 1 {address} || true"));
        assert!(lost.contains(" 0 received"), "{lost}");
        // It is there, though.
        let found = node.sh(&format!("ping -c 1 -W 5 {address}"));
        assert!(found.contains(" 1 received"), "{found}");
    }
}
