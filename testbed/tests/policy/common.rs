//! What the scenarios share: pods with labels, policies in a line, many verdicts at once, and a client that never
//! gives up.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sluice_testbed::cluster::Cluster;
use sluice_testbed::dial::{self, Dial, Outcome, Protocol, Why};
use sluice_testbed::netns;
use sluice_testbed::objects::{self, Object};

use crate::bench::{Bench, FAMILIES, OTHER_PORT, PORT};

/// The pods of the group.
pub(crate) const PODS: [&str; 5] = ["c1", "a1", "b1", "a2", "c2"];
/// How long silence is listened to.
pub(crate) const SILENCE: Duration = Duration::from_millis(400);
/// How long anything may take that is only waited for.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// The names that pods of these tests give their ports; `c2` has them the other way round.
const NAMED: [(&str, Protocol, u16); 2] = [
    ("main", Protocol::Tcp, PORT),
    ("spare", Protocol::Tcp, OTHER_PORT),
];
const TURNED: [(&str, Protocol, u16); 2] = [
    ("main", Protocol::Tcp, OTHER_PORT),
    ("spare", Protocol::Tcp, PORT),
];

/// A testbed with servers on all pods, and Pod objects whose label `app` is the name.
pub(crate) fn labelled(cluster: &mut Cluster) -> Result<Bench<'_>> {
    let mut bench = Bench::serving(cluster, &PODS)?;
    for name in PODS {
        relabel(&mut bench, name, &[])?;
    }
    bench.folder.settle()?;
    Ok(bench)
}

/// The Pod object of a place with more labels than `app`.
pub(crate) fn relabel(bench: &mut Bench<'_>, name: &str, more: &[(&str, &str)]) -> Result<()> {
    let pod = bench.cluster.pod(name)?.clone();
    let mut labels = vec![("app", name)];
    labels.extend(more);
    let named = if name == "c2" { &TURNED } else { &NAMED };
    bench.folder.put(&objects::pod(&pod, &labels, named))
}

/// A policy that isolates pods with this `app` for what comes in.
pub(crate) fn ingress(name: &str, app: &str, rules: Value) -> Object {
    objects::ingress_policy(name, &[("app", app)], rules)
}

/// A policy that isolates pods with this `app` for what goes out.
pub(crate) fn egress(name: &str, app: &str, rules: Value) -> Object {
    Object::new("networking.k8s.io/v1", "NetworkPolicy", name)
        .with("/spec/podSelector/matchLabels/app", app)
        .with("/spec/policyTypes", json!(["Egress"]))
        .with("/spec/egress", rules)
}

/// A peer: pods with this `app`.
pub(crate) fn app(name: &str) -> Value {
    json!({"podSelector": {"matchLabels": {"app": name}}})
}

/// What is asked, and who is to answer, if anyone.
pub(crate) struct Check {
    pub(crate) client: &'static str,
    pub(crate) dial: Dial,
    pub(crate) by: Option<String>,
}

/// A pod asked at one of its servers' ports.
pub(crate) fn check(
    bench: &Bench<'_>,
    (client, server): (&'static str, &str),
    (protocol, port): (Protocol, u16),
    ipv6: bool,
    allowed: bool,
) -> Result<Check> {
    let name = if port == PORT {
        server.to_owned()
    } else {
        format!("{server}:{port}")
    };
    Ok(Check {
        client,
        dial: Dial::new(protocol, bench.address(server, ipv6)?, port),
        by: allowed.then_some(name),
    })
}

/// The same by both protocols to the main port, in both families: these clients reach the server, those do not.
pub(crate) fn everywhere(
    bench: &Bench<'_>,
    server: &str,
    allowed: &[&'static str],
    denied: &[&'static str],
) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for ipv6 in FAMILIES {
        for protocol in Protocol::ALL {
            for (clients, allows) in [(allowed, true), (denied, false)] {
                for client in clients {
                    let pair = (*client, server);
                    checks.push(check(bench, pair, (protocol, PORT), ipv6, allows)?);
                }
            }
        }
    }
    Ok(checks)
}

/// Asks all at once; says what went otherwise than it was to go. What is denied is silence, nothing else.
pub(crate) fn judge(bench: &Bench<'_>, checks: Vec<Check>) -> Result<()> {
    let mut threads = Vec::new();
    for Check { client, dial, by } in checks {
        let dial = if by.is_none() {
            dial.within(SILENCE)
        } else {
            dial
        };
        let what = format!("{client} → {} {}", dial.protocol.name(), dial.target);
        let thread = netns::within(&bench.netns(client)?, move || Ok(dial::single(&dial, 1)))?;
        threads.push((what, by, thread));
    }
    let count = threads.len();
    let mut wrong = Vec::new();
    for (what, by, thread) in threads {
        let outcome = netns::join(thread)?;
        if !as_wanted(&outcome, by.as_deref()) {
            let wanted = by.map_or("denied".to_owned(), |by| format!("answered by {by}"));
            let found = match outcome {
                Ok(answer) => format!("{} answers", answer.by),
                Err(failure) => failure.to_string(),
            };
            wrong.push(format!("{what}: {found}, should be {wanted}"));
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {count} verdicts are wrong:\n      {}",
        wrong.len(),
        wrong.join("\n      ")
    );
    Ok(())
}

fn as_wanted(outcome: &Outcome, by: Option<&str>) -> bool {
    match (outcome, by) {
        (Ok(answer), Some(by)) => answer.by == by,
        (Err(failure), None) => failure.why == Why::Timeout,
        _ => false,
    }
}

/// Datagrams to some addresses, each of them once an interval, whether heard or not.
pub(crate) struct Hammer {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    heard: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Hammer {
    pub(crate) fn start(netns: &str, targets: Vec<SocketAddr>, interval: Duration) -> Result<Self> {
        let (stop, rounds, heard) = (
            Arc::<AtomicBool>::default(),
            Arc::<AtomicU64>::default(),
            Arc::<AtomicU64>::default(),
        );
        let (ending, count, answers) = (stop.clone(), rounds.clone(), heard.clone());
        let thread = netns::within(netns, move || {
            let unbound: SocketAddr = ([0; 16], 0).into();
            // Takes IPv4 as well, mapped.
            let socket = UdpSocket::bind(unbound)?;
            socket.set_read_timeout(Some(interval))?;
            while !ending.load(Ordering::Relaxed) {
                for target in &targets {
                    let mapped = match target {
                        SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
                        SocketAddr::V6(_) => *target,
                    };
                    // One that the socket refuses is one that does not arrive.
                    let _ = socket.send_to(b"hammer", mapped);
                }
                // Waits for the interval if nothing comes.
                while socket.recv_from(&mut [0; 256]).is_ok() {
                    answers.fetch_add(1, Ordering::Relaxed);
                    if ending.load(Ordering::Relaxed) {
                        break;
                    }
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        })?;
        Ok(Self {
            stop,
            rounds,
            heard,
            thread: Some(thread),
        })
    }

    /// Datagrams sent so far to each address.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Answers so far.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Ends it; says how often it asked, and how many answers it got.
    pub(crate) fn finish(mut self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            netns::join(thread)?;
        }
        Ok((self.rounds(), self.heard()))
    }
}

impl Drop for Hammer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it has given up on the result.
            let _ = thread.join();
        }
    }
}
