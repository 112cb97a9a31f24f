//! A steady stream of small packets between two pods, to see whether any is lost while something happens.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use crate::netns;
use crate::run;

/// How long an answer may take before the question counts as lost.
const LATE: Duration = Duration::from_secs(2);
/// How often a waiting socket looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(50);

/// Questions from one pod, answered by another, under way.
#[derive(Debug)]
pub struct Probe {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    asker: JoinHandle<Result<Report>>,
    answerer: JoinHandle<Result<()>>,
}

/// What a [`Probe`] saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Questions sent.
    pub sent: u64,
    /// Numbers of the questions never answered, and when they were asked.
    pub lost: BTreeMap<u64, SystemTime>,
    /// Longest time without an answer.
    pub silence: Duration,
}

impl Report {
    /// The questions never answered, each with its time as logs have it.
    #[must_use]
    pub fn losses(&self) -> String {
        let lost = self.lost.iter();
        let lost = lost.map(|(number, at)| format!("{number} at {}", clock(*at)));
        lost.collect::<Vec<_>>().join(", ")
    }
}

/// The time of the day, UTC, to the millisecond.
fn clock(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{millis:03}", seconds % 60)
}

impl Probe {
    /// Asks from namespace `from`, once each `interval`, the `address` in namespace `to`. Returns once the
    /// first answer has come, so that the switch's caches are warm.
    ///
    /// # Errors
    /// When no answer comes at all.
    pub fn start(from: &str, to: &str, address: IpAddr, interval: Duration) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let (tell, listening) = mpsc::channel();
        let done = Arc::new(AtomicBool::new(false));
        let ending = Arc::clone(&done);
        let answerer = netns::within(to, move || {
            let socket = UdpSocket::bind((address, 0))?;
            tell.send(socket.local_addr()?)
                .context("nobody waits for the address")?;
            answer(&socket, &ending)
        })?;
        let target = listening
            .recv_timeout(LATE)
            .context("the answering pod does not listen")?;
        let asked = Arc::new(AtomicU64::new(0));
        let (stopping, count) = (Arc::clone(&stop), Arc::clone(&answered));
        let asking = Arc::clone(&asked);
        let asker = netns::within(from, move || {
            ask(target, interval, &stopping, &asking, &count)
        })?;
        let probe = Self {
            stop,
            done,
            answered,
            asked,
            asker,
            answerer,
        };
        match probe.wait_answers(1) {
            Ok(()) => Ok(probe),
            Err(error) => {
                let report = probe.finish()?;
                Err(error.context(format!("{} questions sent to {address}", report.sent)))
            }
        }
    }

    /// Answers so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Questions so far; the next one has this number.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Waits until `more` answers have come from now on.
    ///
    /// # Errors
    /// When they do not.
    pub fn wait_answers(&self, more: u64) -> Result<()> {
        let goal = self.answered() + more;
        run::wait_for("answers", Duration::from_secs(60), || {
            Ok((self.answered() >= goal).then_some(()))
        })
    }

    /// Stops asking, waits for late answers, and says what was seen.
    ///
    /// # Errors
    /// When a socket failed.
    pub fn finish(self) -> Result<Report> {
        self.stop.store(true, Ordering::Relaxed);
        let report = netns::join(self.asker);
        self.done.store(true, Ordering::Relaxed);
        netns::join(self.answerer)?;
        report
    }
}

fn answer(socket: &UdpSocket, done: &AtomicBool) -> Result<()> {
    socket.set_read_timeout(Some(TICK))?;
    let mut buffer = [0; 8];
    while !done.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((_, from)) => {
                // A node whose switch is restarting may refuse for a moment; the asker counts.
                let _ = socket.send_to(&buffer, from);
            }
            Err(error) if idle(&error) => {}
            Err(error) => return Err(error).context("the answering pod cannot receive"),
        }
    }
    Ok(())
}

fn ask(
    target: SocketAddr,
    interval: Duration,
    stop: &AtomicBool,
    asked: &AtomicU64,
    count: &AtomicU64,
) -> Result<Report> {
    let bind: SocketAddr = if target.is_ipv6() {
        ([0; 16], 0).into()
    } else {
        ([0; 4], 0).into()
    };
    let socket = UdpSocket::bind(bind)?;
    let mut report = Report {
        sent: 0,
        lost: BTreeMap::new(),
        silence: Duration::ZERO,
    };
    let mut last = Instant::now();
    let mut next = Instant::now();
    let mut buffer = [0; 8];
    while !stop.load(Ordering::Relaxed) {
        // A question that cannot be sent is a question lost.
        let _ = socket.send_to(&report.sent.to_be_bytes(), target);
        report.lost.insert(report.sent, SystemTime::now());
        report.sent += 1;
        asked.store(report.sent, Ordering::Relaxed);
        next += interval;
        if count.load(Ordering::Relaxed) == 0 {
            // Still looking for the way there: neighbours, caches. What is asked now does not count.
            hear_warm(&socket, interval, &mut report, count)?;
            last = Instant::now();
            next = last;
            continue;
        }
        loop {
            let left = next.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            hear(&socket, &mut buffer, &mut report, &mut last, count);
        }
    }
    let deadline = Instant::now() + LATE;
    socket.set_read_timeout(Some(TICK))?;
    while !report.lost.is_empty() && Instant::now() < deadline {
        hear(&socket, &mut buffer, &mut report, &mut last, count);
    }
    Ok(report)
}

/// Waits for the first answer; with it the count begins anew.
fn hear_warm(
    socket: &UdpSocket,
    interval: Duration,
    report: &mut Report,
    count: &AtomicU64,
) -> Result<()> {
    socket.set_read_timeout(Some(interval.max(TICK)))?;
    if socket.recv_from(&mut [0; 8]).is_ok() {
        report.lost.clear();
        count.store(1, Ordering::Relaxed);
    }
    Ok(())
}

fn hear(
    socket: &UdpSocket,
    buffer: &mut [u8; 8],
    report: &mut Report,
    last: &mut Instant,
    count: &AtomicU64,
) {
    if let Ok((8, _)) = socket.recv_from(buffer)
        && report.lost.remove(&u64::from_be_bytes(*buffer)).is_some()
    {
        report.silence = report.silence.max(last.elapsed());
        *last = Instant::now();
        count.fetch_add(1, Ordering::Relaxed);
    }
}

fn idle(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_with_the_time_of_the_day() {
        let day = Duration::from_secs(86_400) * 3;
        let at = UNIX_EPOCH + day + Duration::from_millis(3_723_004);
        let report = Report {
            sent: 9,
            lost: BTreeMap::from([(7, at)]),
            silence: Duration::ZERO,
        };
        assert_eq!(report.losses(), "7 at 01:02:03.004");
    }
}
