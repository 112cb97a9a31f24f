//! What runs in the pods of a Kubernetes testbed: one small program that serves HTTP, TCP, UDP and SCTP,
//! asks others of its kind, and holds a pod's namespaces.
//!
//! It needs nothing but its own image. Every answer is one line: who answered, and whom it saw asking.
//! Must not know the testbed.

mod ask;
mod serve;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, Socket, Type};

/// A server for tests in pods.
#[derive(Debug, Parser)]
#[command(name = "sluice-testserver", version)]
struct Cli {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve until SIGTERM.
    Serve(serve::Options),
    /// Do nothing but reap and wait for SIGTERM: what a pod's namespaces are held by.
    Pause,
    /// Ask servers, all at once, and print each answer; fails unless all answer.
    Ask {
        /// By what.
        #[arg(value_enum)]
        transport: Transport,
        /// Whom.
        #[arg(required = true)]
        targets: Vec<SocketAddr>,
        /// How long one may take, in milliseconds.
        #[arg(long, default_value_t = 3000)]
        timeout_ms: u64,
        /// How often each is asked, each time by a connection of its own.
        #[arg(long, default_value_t = 1)]
        count: u32,
    },
    /// Ask one server again and again and print at the end how many answers were missing.
    Probe {
        /// By what.
        #[arg(value_enum)]
        transport: Transport,
        /// Whom.
        target: SocketAddr,
        /// For how long, in seconds.
        #[arg(long)]
        seconds: u64,
        /// Milliseconds from one question to the next.
        #[arg(long, default_value_t = 20)]
        interval_ms: u64,
    },
}

/// What carries question and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// `GET /` over HTTP.
    Http,
    /// A line over TCP.
    Tcp,
    /// A datagram.
    Udp,
    /// A line over SCTP.
    Sctp,
}

/// Runs `sluice-testserver`; 0 is success, 1 failure.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice-testserver: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Verb) -> Result<()> {
    match command {
        Verb::Serve(options) => {
            // Before any thread starts, so that none of them is woken instead of us.
            let signals = block()?;
            serve::start(&options)?;
            wait(&signals)
        }
        Verb::Pause => wait(&block()?),
        Verb::Ask {
            transport,
            targets,
            timeout_ms,
            count,
        } => ask::all(
            transport,
            &targets,
            Duration::from_millis(timeout_ms),
            count,
        ),
        Verb::Probe {
            transport,
            target,
            seconds,
            interval_ms,
        } => ask::probe(
            transport,
            target,
            Duration::from_secs(seconds),
            Duration::from_millis(interval_ms),
        ),
    }
}

fn block() -> Result<SigSet> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        signals.add(signal);
    }
    signals.thread_block()?;
    Ok(signals)
}

/// Until told to end; as process 1 of a container there may be orphans to reap meanwhile.
fn wait(signals: &SigSet) -> Result<()> {
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                while let Ok(status) = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                    if status.pid().is_none() {
                        break;
                    }
                }
            }
            _ => return Ok(()),
        }
    }
}

/// A socket for SCTP, one association a socket.
fn sctp(address: SocketAddr) -> Result<Socket> {
    match Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::from(132)),
    ) {
        Ok(socket) => Ok(socket),
        Err(error) => bail!("no SCTP in this kernel: {error}"),
    }
}
