//! What becomes of connections that are allowed no more, and of those that a pod had before it was isolated.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{self, Conn, Dial, Protocol, Why};
use sluice_testbed::netns;
use sluice_testbed::serve::{Listen, Server};
use sluice_testbed::steady::{Held, Pulse};
use sluice_testbed::suite::{self, Scenario};

use crate::bench::{Bench, FAMILIES, PORT, ask};
use crate::common::{LIMIT, SILENCE, app, egress, ingress, labelled};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("what_is_allowed_no_more_stops_and_resumes", revocation),
    ("servers_that_go_on_talking_are_stopped", talkers),
    ("a_pod_is_isolated_with_live_connections", isolated_live),
];

/// Where servers only talk.
const PUSHES: u16 = 9100;

/// A connection whose client is revoked, and what it was like before.
pub(crate) struct Revoked {
    what: String,
    conn: Conn,
    by: String,
    seen: SocketAddr,
    /// Since when it asks and is not answered.
    silent_since: Option<Instant>,
}

impl Revoked {
    pub(crate) fn open(bench: &Bench<'_>, client: &str, dial: &Dial) -> Result<Self> {
        let what = format!("{client} → {} {}", dial.protocol.name(), dial.target);
        let mut conn = dial::open(&bench.netns(client)?, dial).context(what.clone())?;
        let answer = conn.ask("first").context(what.clone())?;
        Ok(Self {
            what,
            conn,
            by: answer.by,
            seen: answer.seen,
            silent_since: None,
        })
    }

    pub(crate) fn silent(&mut self, tag: &str) -> Result<()> {
        self.silent_since.get_or_insert_with(Instant::now);
        self.conn.patience(SILENCE);
        match self.conn.ask(tag) {
            Err(failure) if failure.why == Why::Timeout => Ok(()),
            Err(failure) => anyhow::bail!("{}: {failure}, not silence", self.what),
            Ok(answer) => anyhow::bail!("{}: {} answers", self.what, answer.by),
        }
    }

    /// Of TCP it is the next repetition that is answered. Each comes after twice the time of the one before, so that
    /// it may take as long again as it was denied.
    pub(crate) fn resumes(&mut self, tag: &str) -> Result<()> {
        let denied = self.silent_since.take().map(|since| since.elapsed());
        self.conn.patience(LIMIT + denied.unwrap_or_default());
        let answer = self.conn.ask(tag).context(self.what.clone())?;
        ensure!(
            answer.by == self.by && answer.seen == self.seen,
            "{}: was {} who saw {}, is {} who sees {}",
            self.what,
            self.by,
            self.seen,
            answer.by,
            answer.seen
        );
        Ok(())
    }
}

fn revocation(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    bench.publish("web", 1, &["a1", "a2"])?;
    let both = json!([{"from": [app("c1"), app("c2")]}]);
    let one = json!([{"from": [app("c2")]}]);
    for place in ["a1", "a2"] {
        bench.folder.put(&ingress(place, place, both.clone()))?;
    }
    bench.folder.settle()?;
    let interval = suite::interval(bench.cluster.options()) * 2;
    let (mut revoked, mut held, mut pulses) = (Vec::new(), Vec::new(), Vec::new());
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            for place in ["a1", "a2"] {
                let dial = Dial::new(protocol, bench.address(place, ipv6)?, PORT);
                revoked.push(Revoked::open(&bench, "c1", &dial)?);
            }
            for _ in 0..6 {
                revoked.push(Revoked::open(&bench, "c1", &ask(protocol, 1, ipv6))?);
            }
            if protocol == Protocol::Udp {
                // In fragments.
                let large = ask(protocol, 1, ipv6).of_size(4000);
                revoked.push(Revoked::open(&bench, "c1", &large)?);
            }
        }
        let c2 = bench.netns("c2")?;
        held.push(Held::open(&c2, &ask(Protocol::Tcp, 1, ipv6), 4)?);
        held.push(Held::open(
            &c2,
            &Dial::tcp(bench.address("a1", ipv6)?, PORT),
            1,
        )?);
        pulses.push(Pulse::start(&c2, &ask(Protocol::Udp, 1, ipv6), interval)?);
    }
    // The kernel forgets UDP after half a minute, unless more was said after two seconds. The guest takes longer.
    revoked
        .iter_mut()
        .try_for_each(|revoked| revoked.resumes("more"))?;
    for round in 0..2 {
        for place in ["a1", "a2"] {
            bench.folder.put(&ingress(place, place, one.clone()))?;
        }
        bench.folder.settle()?;
        all_silent(&mut revoked, &format!("denied-{round}"))?;
        held.iter().try_for_each(|held| held.wait(3))?;
        for place in ["a1", "a2"] {
            bench.folder.put(&ingress(place, place, both.clone()))?;
        }
        bench.folder.settle()?;
        revoked
            .iter_mut()
            .try_for_each(|revoked| revoked.resumes(&format!("allowed-{round}")))?;
    }
    for held in held {
        held.finish_whole()?;
    }
    for pulse in pulses {
        let report = pulse.finish()?;
        println!(
            "    allowed: {} datagrams, {} lost",
            report.sent,
            report.lost.len()
        );
        report.lost_at_most(0)?;
        ensure!(report.turns.len() == 1, "answered by {:?}", report.turns);
    }
    Ok(())
}

/// A TCP connection of which both ends are here.
fn stream(client: &str, server: &str, address: SocketAddr) -> Result<(TcpStream, TcpStream)> {
    let listener = netns::join(netns::within(server, move || {
        Ok(TcpListener::bind(address)?)
    })?)?;
    let near = netns::join(netns::within(client, move || {
        Ok(TcpStream::connect_timeout(&address, LIMIT)?)
    })?)?;
    let (far, _) = listener.accept()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;
    far.set_nodelay(true)?;
    Ok((near, far))
}

/// That none of these is answered any more. All at once: each listens to silence for a while.
pub(crate) fn all_silent<'a>(
    revoked: impl IntoIterator<Item = &'a mut Revoked>,
    tag: &str,
) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = revoked
            .into_iter()
            .map(|revoked| scope.spawn(|| revoked.silent(tag)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))?
        })
    })
}

/// Servers that talk while their clients are silent are stopped within a second.
fn talkers(cluster: &mut Cluster) -> Result<()> {
    const SECOND: Duration = Duration::from_secs(1);
    const EVERY: Duration = Duration::from_millis(5);
    let mut bench = labelled(cluster)?;
    let mut push = Vec::new();
    for ipv6 in FAMILIES {
        push.push(Listen::Push(
            (bench.address("a1", ipv6)?, PUSHES).into(),
            EVERY,
        ));
    }
    let _pusher = Server::start(&bench.netns("a1")?, "pusher", &push)?;
    bench.folder.put(
        &sluice_testbed::objects::service("push", &crate::bench::vips(5)).port(
            "dns",
            Protocol::Udp,
            crate::bench::port(Protocol::Udp),
            PUSHES,
        ),
    )?;
    let mut slices = Vec::new();
    for ipv6 in FAMILIES {
        slices.push(sluice_testbed::objects::slice(
            "push",
            if ipv6 { "v6" } else { "v4" },
            ipv6,
            &[("dns", Protocol::Udp, PUSHES)],
            &[bench.endpoint("a1", ipv6)?],
        ));
    }
    bench.folder.put_together("slices-push.yaml", &slices)?;
    let allow = ingress("talk", "a1", json!([{"from": [app("c1"), app("c2")]}]));
    bench.folder.put(&allow)?;
    bench.folder.settle()?;
    let hears = |conn: &mut Conn| -> Result<()> {
        conn.patience(LIMIT);
        conn.heard().map(drop).context("nothing is pushed")
    };
    let (mut silent, mut goes_on) = (Vec::new(), Vec::new());
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for ipv6 in FAMILIES {
        for (client, conns) in [("c1", &mut silent), ("c2", &mut goes_on)] {
            for dial in [
                Dial::udp(bench.address("a1", ipv6)?, PUSHES),
                ask(Protocol::Udp, 5, ipv6),
            ] {
                let mut conn = dial::open(&bench.netns(client)?, &dial)?;
                conn.send("begin")?;
                hears(&mut conn).with_context(|| format!("{client}, {}", dial.target))?;
                conns.push((format!("{client} ← {}", dial.target), conn));
            }
        }
        let address = SocketAddr::new(bench.address("a1", ipv6)?, PUSHES);
        let (client, server) = stream(&bench.netns("c1")?, &bench.netns("a1")?, address)?;
        near.push(client);
        far.push(server);
    }
    bench
        .folder
        .put(&ingress("talk", "a1", json!([{"from": [app("c2")]}])))?;
    bench.folder.settle()?;
    let settled = Instant::now();
    let mut last = vec![Duration::ZERO; silent.len() + near.len()];
    while settled.elapsed() < SECOND * 2 {
        let mut times = last.iter_mut();
        for ((_, conn), last) in silent.iter_mut().zip(&mut times) {
            conn.patience(Duration::from_millis(1));
            while conn.heard().is_ok() {
                *last = settled.elapsed();
            }
        }
        for ((near, far), last) in near.iter_mut().zip(&mut far).zip(times) {
            // A full buffer is what is expected in the end.
            let _ = far.write(b"server");
            loop {
                match near.read(&mut [0; 4096]) {
                    Ok(0) => anyhow::bail!("a connection was closed"),
                    Ok(_) => *last = settled.elapsed(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).context("a connection broke"),
                }
            }
        }
    }
    println!("    last heard after {last:?}");
    let names = silent.iter().map(|(what, _)| what.as_str());
    for (what, last) in names.chain(["TCP", "TCP by IPv6"]).zip(&last) {
        ensure!(*last < SECOND, "{what}: still heard after {last:?}");
    }
    for (what, conn) in &mut goes_on {
        // What was pushed until now is read first; what counts is that it is not over.
        for _ in 0..50 {
            hears(conn).context(what.clone())?;
        }
    }
    bench.folder.put(&allow)?;
    bench.folder.settle()?;
    for (what, conn) in &mut silent {
        conn.send("again")?;
        hears(conn).with_context(|| format!("{what}, allowed again"))?;
    }
    for near in &mut near {
        near.set_nonblocking(false)?;
        // What the server repeats is dropped until the client has said something, which shows that it may.
        near.write_all(b"client")?;
        near.set_read_timeout(Some(LIMIT))?;
        ensure!(near.read(&mut [0; 64])? > 0, "a connection was closed");
    }
    Ok(())
}

/// Connections that were made while nobody was isolated, and what isolation makes of each.
fn isolated_live(cluster: &mut Cluster) -> Result<()> {
    let mut bench = labelled(cluster)?;
    bench.publish("web", 1, &["a1"])?;
    bench.folder.settle()?;
    let interval = suite::interval(bench.cluster.options()) * 4;
    let (mut allowed, mut denied, mut pulses, mut stopped) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ipv6 in FAMILIES {
        // Without a place it is the Service.
        for (client, place, allows) in [
            ("c1", Some("a1"), true),
            ("c2", Some("a1"), true),
            ("c1", None, true),
            ("a1", Some("b1"), true),
            ("b1", Some("a1"), false),
            ("b1", None, false),
            ("a2", Some("a1"), false),
            ("a1", Some("a2"), false),
        ] {
            let dial = |protocol| -> Result<Dial> {
                Ok(match place {
                    Some(place) => Dial::new(protocol, bench.address(place, ipv6)?, PORT),
                    None => ask(protocol, 1, ipv6),
                })
            };
            let (tcp, udp) = (dial(Protocol::Tcp)?, dial(Protocol::Udp)?);
            let netns = bench.netns(client)?;
            let what = format!("{client} → {}", tcp.target);
            if allows {
                allowed.push((what.clone(), Held::open(&netns, &tcp, 1)?));
                pulses.push((what, Pulse::start(&netns, &udp, interval)?));
            } else {
                denied.push(Revoked::open(&bench, client, &tcp)?);
                stopped.push(Revoked::open(&bench, client, &udp)?);
            }
        }
    }
    bench.folder.put(&ingress(
        "in",
        "a1",
        json!([{"from": [app("c1"), app("c2")]}]),
    ))?;
    bench
        .folder
        .put(&egress("out", "a1", json!([{"to": [app("b1")]}])))?;
    bench.folder.settle()?;
    // What lets the connections pass that there were is no difference, and no part of what is wanted.
    let verify = sluice_testbed::objects::report(&bench.node(1)?, &["verify"])?;
    ensure!(
        verify["in_sync"] == true
            && verify["installed_flows"] == verify["desired_flows"]
            && verify["temporary_flows"].as_u64() > Some(0),
        "{verify}"
    );
    all_silent(denied.iter_mut().chain(&mut stopped), "isolated")?;
    for (what, held) in &allowed {
        held.wait(3).context(what.clone())?;
    }
    pulses.iter().try_for_each(|(_, pulse)| pulse.wait(50))?;
    for (what, held) in allowed {
        held.finish_whole().context(what)?;
    }
    let mut most = 0;
    for (what, pulse) in pulses {
        let report = pulse.finish()?;
        most = most.max(report.lost.len());
        // Without a handshake it takes the client's next datagram to tell who is the client.
        report.lost_at_most(2).context(what)?;
    }
    println!("    no stream lost more than {most}");
    Ok(())
}
