//! Clients that go on while something happens: connections held open, connections made one after another, and a
//! stream of datagrams a millisecond apart.
//!
//! Each runs on a thread in its namespace until it is told to finish, and then says what it saw.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::dial::{self, Answer, Conn, Dial, Outcome, Protocol, Tally};
use crate::netns;
use crate::run;

/// How long a wait for progress may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How long an answer may take before the question counts as lost, once no more are asked.
const LATE: Duration = Duration::from_secs(1);

/// A thread that counts its rounds.
#[derive(Debug)]
struct Running<T> {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<T>>>,
}

impl<T: Send + 'static> Running<T> {
    fn start(
        netns: &str,
        work: impl FnOnce(&AtomicBool, &AtomicU64) -> T + Send + 'static,
    ) -> Result<Self> {
        let (stop, rounds) = (Arc::default(), Arc::default());
        let (ending, count) = (Arc::clone(&stop), Arc::clone(&rounds));
        let thread = netns::within(netns, move || Ok(work(&ending, &count)))?;
        Ok(Self {
            stop,
            rounds,
            thread: Some(thread),
        })
    }

    fn wait(&self, more: u64) -> Result<()> {
        let goal = self.rounds.load(Ordering::Relaxed) + more;
        run::wait_for("a client's next rounds", LIMIT, || {
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            Ok((ended || self.rounds.load(Ordering::Relaxed) >= goal).then_some(()))
        })
    }

    fn finish(&mut self) -> Result<T> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) => netns::join(thread),
            None => anyhow::bail!("finished already"),
        }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Whoever drops it has given up on the result.
            let _ = thread.join();
        }
    }
}

/// Connections held open, each asked over and over who answers, and whom that one sees.
#[derive(Debug)]
pub struct Held {
    running: Running<HeldReport>,
    servers: Vec<String>,
    broken: Arc<Mutex<Vec<(usize, String)>>>,
}

/// What [`Held`] saw.
#[derive(Clone, Debug, Default)]
pub struct HeldReport {
    /// Questions answered by the server that the connection began with, which saw the same peer.
    pub answered: u64,
    /// What else there was: number of the connection, and what happened.
    pub broken: Vec<(usize, String)>,
    /// Longest time that an answer took.
    pub slowest: Duration,
}

impl Held {
    /// Opens `count` connections, asks each once, and goes on asking each in turn.
    ///
    /// # Errors
    /// When one of them does not come to be.
    pub fn open(netns: &str, dial: &Dial, count: usize) -> Result<Self> {
        let mut conns = Vec::new();
        for number in 0..count {
            let mut conn = dial::open(netns, dial)
                .map_err(|failure| anyhow::anyhow!("connection {number}: {failure}"))?;
            let answer = conn
                .ask("first")
                .map_err(|failure| anyhow::anyhow!("connection {number}: {failure}"))?;
            conns.push((conn, answer));
        }
        let servers = conns.iter().map(|(_, first)| first.by.clone()).collect();
        let broken = Arc::default();
        let told = Arc::clone(&broken);
        let running = Running::start(netns, move |stop, rounds| hold(conns, stop, rounds, &told))?;
        Ok(Self {
            running,
            servers,
            broken,
        })
    }

    /// The server of each connection.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// Waits until each connection has been asked `more` times from now on.
    ///
    /// # Errors
    /// When that takes too long, or one is broken.
    pub fn wait(&self, more: u64) -> Result<()> {
        // The round under way began earlier.
        self.running.wait(more + 1)?;
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(
            broken.is_empty(),
            "of {} connections: {broken:?}",
            self.servers.len()
        );
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// When its thread failed.
    pub fn finish(mut self) -> Result<HeldReport> {
        self.running.finish()
    }

    /// Ends it; nothing may have broken.
    ///
    /// # Errors
    /// What broke.
    pub fn finish_whole(self) -> Result<HeldReport> {
        let count = self.servers.len();
        let report = self.finish()?;
        ensure!(
            report.broken.is_empty(),
            "of {count} connections: {:?}",
            report.broken
        );
        Ok(report)
    }
}

fn hold(
    conns: Vec<(Conn, Answer)>,
    stop: &AtomicBool,
    rounds: &AtomicU64,
    broken: &Mutex<Vec<(usize, String)>>,
) -> HeldReport {
    let mut report = HeldReport::default();
    let mut conns: Vec<_> = conns.into_iter().enumerate().collect();
    let mut round = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        round += 1;
        conns.retain_mut(
            |(number, (conn, first))| match conn.ask(&round.to_string()) {
                Ok(answer) if (&answer.by, answer.seen) == (&first.by, first.seen) => {
                    report.answered += 1;
                    report.slowest = report.slowest.max(answer.took);
                    true
                }
                Ok(answer) => {
                    let what = format!(
                        "{} answers {}, not {} {}",
                        answer.by, answer.seen, first.by, first.seen
                    );
                    report.broken.push((*number, what));
                    false
                }
                Err(failure) => {
                    let what = format!("{}, round {round}: {failure}", first.by);
                    report.broken.push((*number, what));
                    false
                }
            },
        );
        broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&report.broken);
        rounds.store(round, Ordering::Relaxed);
        if conns.is_empty() {
            break;
        }
    }
    report
}

/// Connections made one after another, each asked once.
#[derive(Debug)]
pub struct Load {
    running: Running<Tally>,
}

impl Load {
    /// Begins.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn start(netns: &str, dial: &Dial) -> Result<Self> {
        let dial = dial.clone();
        let running = Running::start(netns, move |stop, rounds| {
            let mut tally = Tally::default();
            while !stop.load(Ordering::Relaxed) {
                let number = tally.outcomes.len();
                tally.outcomes.push(dial::single(&dial, number));
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            tally
        })?;
        Ok(Self { running })
    }

    /// Connections made so far.
    pub fn made(&self) -> u64 {
        self.running.rounds.load(Ordering::Relaxed)
    }

    /// Waits for so many more connections.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait(&self, more: u64) -> Result<()> {
        self.running.wait(more)
    }

    /// Ends it.
    ///
    /// # Errors
    /// When its thread failed.
    pub fn finish(mut self) -> Result<Tally> {
        self.running.finish()
    }
}

/// Datagrams on one socket, one each interval, whether answered or not.
#[derive(Debug)]
pub struct Pulse {
    running: Running<PulseReport>,
}

/// What [`Pulse`] saw.
#[derive(Clone, Debug, Default)]
pub struct PulseReport {
    /// Datagrams sent.
    pub sent: u64,
    /// Those never answered, by number, with the time from the beginning at which each was sent.
    pub lost: BTreeMap<u64, Duration>,
    /// Who answered: the number of the first datagram that each answered, in order.
    pub turns: Vec<(u64, String)>,
    /// Longest time without an answer.
    pub silence: Duration,
}

impl PulseReport {
    /// That no more than so many were lost.
    ///
    /// # Errors
    /// When more were; some of them are named.
    pub fn lost_at_most(&self, count: usize) -> Result<&Self> {
        let some: Vec<String> = self
            .lost
            .iter()
            .take(8)
            .map(|(number, at)| format!("#{number} at {at:.1?}"))
            .collect();
        ensure!(
            self.lost.len() <= count,
            "{} of {} datagrams were lost: {} …; answers by {:?}",
            self.lost.len(),
            self.sent,
            some.join(", "),
            self.turns
        );
        Ok(self)
    }
}

impl Pulse {
    /// Begins, once the first datagram has been answered.
    ///
    /// # Errors
    /// When none is.
    pub fn start(netns: &str, dial: &Dial, interval: Duration) -> Result<Self> {
        ensure!(dial.protocol == Protocol::Udp, "datagrams need UDP");
        let mut conn = dial::open(netns, dial)?;
        conn.ask("first")?;
        let running = Running::start(netns, move |stop, rounds| {
            pulse(&mut conn, interval, stop, rounds)
        })?;
        Ok(Self { running })
    }

    /// Datagrams sent so far.
    pub fn sent(&self) -> u64 {
        self.running.rounds.load(Ordering::Relaxed)
    }

    /// Waits until so many more have been sent.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait(&self, more: u64) -> Result<()> {
        self.running.wait(more)
    }

    /// Ends it, after a wait for late answers.
    ///
    /// # Errors
    /// When its thread failed.
    pub fn finish(mut self) -> Result<PulseReport> {
        self.running.finish()
    }
}

fn pulse(conn: &mut Conn, interval: Duration, stop: &AtomicBool, sent: &AtomicU64) -> PulseReport {
    let mut report = PulseReport::default();
    let began = Instant::now();
    let (mut last, mut next) = (began, began);
    while !stop.load(Ordering::Relaxed) {
        // One that cannot be sent, or is refused, is lost.
        let _ = conn.send(&report.sent.to_string());
        report.lost.insert(report.sent, began.elapsed());
        report.sent += 1;
        sent.store(report.sent, Ordering::Relaxed);
        // One that is late is not made up for: a burst would be lost by itself.
        next = (next + interval).max(Instant::now());
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            conn.patience(left);
            hear(conn.heard(), &mut report, &mut last);
        }
    }
    let deadline = Instant::now() + LATE;
    while !report.lost.is_empty() && Instant::now() < deadline {
        conn.patience(deadline.saturating_duration_since(Instant::now()));
        hear(conn.heard(), &mut report, &mut last);
    }
    report
}

fn hear(outcome: Outcome, report: &mut PulseReport, last: &mut Instant) {
    let Ok(answer) = outcome else {
        return;
    };
    let Ok(number) = answer.tag.parse() else {
        return;
    };
    if report.lost.remove(&number).is_some() {
        report.silence = report.silence.max(last.elapsed());
        *last = Instant::now();
        if report.turns.last().is_none_or(|(_, by)| *by != answer.by) {
            report.turns.push((number, answer.by));
        }
    }
}
