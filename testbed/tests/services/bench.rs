//! What the scenarios share: who is who, servers on every place, addresses of Services, and the objects of a plain one.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{self, Dial, Failure, Protocol, Tally};
use sluice_testbed::node::Node;
use sluice_testbed::objects::{self, Endpoint, Folder, Object};
use sluice_testbed::options::Datapath;
use sluice_testbed::serve::{Listen, Server};
use sluice_testbed::{layout, netns, run};

/// Where every server listens under its own name, TCP and UDP.
pub(crate) const PORT: u16 = 8080;
/// Where it listens as `NAME:8081`.
pub(crate) const OTHER_PORT: u16 = 8081;
/// How long the way to another node may take to be known.
const WARM: Duration = Duration::from_secs(20);
/// How long after a switch has taken a change in its datapath may go by what it has cached of before.
pub(crate) const SETTLED: Duration = Duration::from_secs(2);
/// Both families.
pub(crate) const FAMILIES: [bool; 2] = [false, true];
/// The ports of a plain Service: 80/TCP and 53/UDP, both to [`PORT`].
pub(crate) const PORTS: [(&str, Protocol, u16); 2] =
    [("http", Protocol::Tcp, PORT), ("dns", Protocol::Udp, PORT)];

/// The clusterIPs with this number.
pub(crate) fn vips(number: u16) -> [IpAddr; 2] {
    let [high, low] = number.to_be_bytes();
    [
        IpAddr::from([10, 96, high, low]),
        IpAddr::from([0xfd00, 0x10, 0x96, 0, 0, 0, 0, number]),
    ]
}

/// The clusterIP with this number, of one family.
pub(crate) fn vip(number: u16, ipv6: bool) -> IpAddr {
    vips(number)[usize::from(ipv6)]
}

/// The port of a plain Service.
pub(crate) fn port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Tcp => 80,
        Protocol::Udp => 53,
    }
}

/// One question to a plain Service.
pub(crate) fn ask(protocol: Protocol, number: u16, ipv6: bool) -> Dial {
    Dial::new(protocol, vip(number, ipv6), port(protocol))
}

/// A testbed, with what one scenario adds to it; all of that goes when it is dropped.
///
/// A place is a pod by name, a node (`n1`), or `outside`.
pub(crate) struct Bench<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) folder: Folder,
    servers: Vec<Server>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(cluster: &'a mut Cluster) -> Result<Self> {
        let mut folder = Folder::new(&cluster.name, cluster.nodes()?);
        folder.put(&objects::namespace(objects::NAMESPACE))?;
        let bench = Self {
            cluster,
            folder,
            servers: Vec::new(),
        };
        bench.warm()?;
        Ok(bench)
    }

    /// The first packet to another node is lost while the userspace datapath, or the host, asks for its neighbour:
    /// waits until every way between nodes is known.
    fn warm(&self) -> Result<()> {
        for (from, to) in [
            ("c1", "c2"),
            ("c2", "c1"),
            ("c1", "n2"),
            ("c2", "n1"),
            ("n1", "c2"),
            ("n2", "c1"),
            ("n1", "n2"),
            ("outside", "n1"),
            ("outside", "n2"),
        ] {
            for ipv6 in FAMILIES {
                let to = self.address(to, ipv6)?.to_string();
                let netns = format!("--net=/run/netns/{}", self.netns(from)?);
                run::wait_for(&format!("{to} to answer {from}"), WARM, || {
                    let ping = ["ping", "-q", "-c", "1", "-W", "1", &to];
                    let mut command = std::process::Command::new("nsenter");
                    let answered = command.arg(&netns).args(ping).output()?.status.success();
                    Ok(answered.then_some(()))
                })?;
            }
        }
        Ok(())
    }

    /// The same with servers on these places.
    pub(crate) fn serving(cluster: &'a mut Cluster, places: &[&str]) -> Result<Self> {
        let mut bench = Self::new(cluster)?;
        for place in places {
            bench.serve(place)?;
        }
        Ok(bench)
    }

    /// Starts servers on a place.
    pub(crate) fn serve(&mut self, place: &str) -> Result<()> {
        for (port, name) in [
            (PORT, place.to_owned()),
            (OTHER_PORT, format!("{place}:{OTHER_PORT}")),
        ] {
            let mut listen = Vec::new();
            for ipv6 in FAMILIES {
                let address = (self.address(place, ipv6)?, port).into();
                listen.extend([Listen::Tcp(address), Listen::Udp(address)]);
            }
            let server = Server::start(&self.netns(place)?, &name, &listen)?;
            self.servers.push(server);
        }
        Ok(())
    }

    /// The namespace of a place.
    pub(crate) fn netns(&self, place: &str) -> Result<String> {
        if place == "outside" {
            return Ok(self.cluster.name.underlay());
        }
        match number(place) {
            Some(node) => Ok(self.cluster.name.host(node)),
            None => Ok(self.cluster.name.pod(self.cluster.pod(place)?.node, place)),
        }
    }

    /// The address of a place.
    pub(crate) fn address(&self, place: &str, ipv6: bool) -> Result<IpAddr> {
        if place == "outside" {
            return Ok(layout::outside()[usize::from(ipv6)]);
        }
        match number(place) {
            Some(node) if ipv6 => Ok(layout::underlay_v6(node).into()),
            Some(node) => Ok(layout::underlay_v4(node).into()),
            None => self.cluster.pod(place)?.address(ipv6),
        }
    }

    /// A place as an endpoint.
    pub(crate) fn endpoint(&self, place: &str, ipv6: bool) -> Result<Endpoint> {
        let node = match (place, number(place)) {
            ("outside", _) => None,
            (_, Some(node)) => Some(node),
            _ => Some(self.cluster.pod(place)?.node),
        };
        Ok(Endpoint::new(self.address(place, ipv6)?, node))
    }

    /// Puts the slices of a plain Service: these places, in both families.
    pub(crate) fn endpoints(&mut self, service: &str, places: &[&str]) -> Result<()> {
        self.endpoints_as(service, places, |_, endpoint| endpoint)
    }

    /// The same, with each endpoint changed.
    pub(crate) fn endpoints_as(
        &mut self,
        service: &str,
        places: &[&str],
        change: impl Fn(&str, Endpoint) -> Endpoint,
    ) -> Result<()> {
        // Both families in one file, so that an agent sees one change.
        let mut slices = Vec::new();
        for ipv6 in FAMILIES {
            let endpoints = places
                .iter()
                .map(|place| Ok(change(place, self.endpoint(place, ipv6)?)))
                .collect::<Result<Vec<_>>>()?;
            let suffix = if ipv6 { "v6" } else { "v4" };
            slices.push(objects::slice(service, suffix, ipv6, &PORTS, &endpoints));
        }
        self.folder
            .put_together(&format!("slices-{service}.yaml"), &slices)
    }

    /// Puts a plain Service with endpoints at these places, and does not wait.
    pub(crate) fn publish(&mut self, name: &str, number: u16, places: &[&str]) -> Result<()> {
        self.folder.put(&plain(name, number))?;
        self.endpoints(name, places)
    }

    /// Asks from a place.
    pub(crate) fn many(&self, place: &str, dial: &Dial, count: usize) -> Result<Tally> {
        dial::many(&self.netns(place)?, dial, count).with_context(|| text(place, dial))
    }

    /// Asks from a place; all must be answered, by each of these servers and nobody else. For [`SETTLED`] others may answer
    /// or refuse, as before a change; none may be lost.
    pub(crate) fn expect(
        &self,
        place: &str,
        dial: &Dial,
        count: usize,
        by: &[&str],
    ) -> Result<Tally> {
        let began = Instant::now();
        loop {
            let tally = self.many(place, dial, count)?;
            match tally.answered_by(by) {
                Ok(_) => return Ok(tally),
                Err(_) if began.elapsed() < SETTLED && !tally.lost() => {}
                Err(error) => return Err(error).with_context(|| text(place, dial)),
            }
        }
    }

    /// Asks once from a place; it must fail.
    pub(crate) fn fails(&self, place: &str, dial: &Dial) -> Result<Failure> {
        let mut tally = self.many(place, dial, 1)?;
        match tally.outcomes.remove(0) {
            Ok(answer) => anyhow::bail!("{}: {} answered", text(place, dial), answer.by),
            Err(failure) => Ok(failure),
        }
    }

    /// A node.
    pub(crate) fn node(&self, number: u8) -> Result<Node> {
        self.cluster.node(number)
    }

    /// Which datapath forwards.
    pub(crate) fn datapath(&self) -> Datapath {
        self.cluster.options().datapath()
    }

    /// `full` on the userspace datapath; less in the guest, whose processor is emulated.
    pub(crate) fn count(&self, full: usize) -> usize {
        match self.datapath() {
            Datapath::Netdev => full,
            Datapath::System => full.div_ceil(8).max(full.min(10)),
        }
    }
}

/// A plain Service without endpoints.
pub(crate) fn plain(name: &str, number: u16) -> Object {
    objects::service(name, &vips(number))
        .port("http", Protocol::Tcp, port(Protocol::Tcp), PORT)
        .port("dns", Protocol::Udp, port(Protocol::Udp), PORT)
}

/// That an address is among those expected.
pub(crate) fn ensure_seen(tally: &Tally, wanted: &[IpAddr]) -> Result<()> {
    let mut wanted = wanted.to_vec();
    wanted.sort_unstable();
    let seen = tally.seen();
    ensure!(seen == wanted, "servers saw {seen:?}, not {wanted:?}");
    Ok(())
}

/// Status and body of an HTTP answer, asked for from a namespace.
pub(crate) fn http(netns: &str, server: SocketAddr, path: &str) -> Result<(u16, String)> {
    const LIMIT: Duration = Duration::from_secs(5);
    let ask = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
    let text = netns::join(netns::within(netns, move || {
        let mut stream = TcpStream::connect_timeout(&server, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(ask.as_bytes())?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })?)?;
    let status = text
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok())
        .with_context(|| format!("no HTTP: {text}"))?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
    Ok((status, body.unwrap_or_default().to_owned()))
}

fn text(place: &str, dial: &Dial) -> String {
    format!("{place} → {} {}", dial.protocol.name(), dial.target)
}

/// The number of a node from its name.
fn number(place: &str) -> Option<u8> {
    place.strip_prefix('n')?.parse().ok()
}
