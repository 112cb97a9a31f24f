//! TCP between pods of namespace-hosted nodes, checked byte for byte.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::netns;
use crate::node::Node;

/// How long a peer may be silent before a transfer counts as stuck.
const SILENCE: Duration = Duration::from_secs(20);
const CHUNK: usize = 32 * 1024;

/// The stream repeats after so many bytes: a prime, so that no buffer's size hides a lost, doubled or
/// reordered piece.
const PERIOD: usize = 65_521;

/// What the stream repeats, twice over, so that a chunk from anywhere in it lies in one piece.
fn pattern() -> Vec<u8> {
    (0..PERIOD as u64 * 2)
        .map(|position| {
            (position % PERIOD as u64)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .to_be_bytes()[0]
        })
        .collect()
}

/// The stream's bytes from `position` on, a chunk or what is left of it.
fn piece(pattern: &[u8], position: u64, length: usize) -> &[u8] {
    let start = usize::try_from(position % PERIOD as u64).unwrap_or(0);
    pattern.get(start..start + length).unwrap_or_default()
}

/// Sends `bytes` by TCP from one namespace to an address in another, checks each byte at the
/// receiver, and returns the time from connect to the receiver's confirmation.
///
/// # Errors
/// When it cannot connect, when it stalls, when a byte is wrong.
pub fn transfer(from: &str, to: &str, address: IpAddr, bytes: u64) -> Result<Duration> {
    let (tell, listening) = mpsc::channel();
    let receiver = netns::within(to, move || {
        let listener = TcpListener::bind((address, 0))
            .with_context(|| format!("cannot listen on {address}"))?;
        tell.send(listener.local_addr()?)
            .context("nobody waits for the address")?;
        let (stream, _) = listener.accept()?;
        receive(stream, bytes)
    })?;
    // Without an address the receiver has failed, and says why when it is joined.
    let Ok(address) = listening.recv_timeout(SILENCE) else {
        netns::join(receiver)?;
        anyhow::bail!("the receiver does not listen");
    };
    let sender = netns::within(from, move || send(address, bytes))?;
    let sent =
        netns::join(sender).with_context(|| format!("sending {bytes} bytes to {address}"))?;
    netns::join(receiver).context("receiving")?;
    Ok(sent)
}

fn send(address: SocketAddr, bytes: u64) -> Result<Duration> {
    let started = Instant::now();
    let mut stream = TcpStream::connect_timeout(&address, SILENCE)?;
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_read_timeout(Some(SILENCE))?;
    let pattern = pattern();
    let mut position = 0;
    while position < bytes {
        let length = usize::try_from(bytes - position)
            .unwrap_or(CHUNK)
            .min(CHUNK);
        stream.write_all(piece(&pattern, position, length))?;
        position += length as u64;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut confirmation = [0; 8];
    stream
        .read_exact(&mut confirmation)
        .context("no confirmation")?;
    ensure!(
        u64::from_be_bytes(confirmation) == bytes,
        "the receiver counted differently"
    );
    Ok(started.elapsed())
}

fn receive(mut stream: TcpStream, bytes: u64) -> Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    let mut buffer = vec![0; CHUNK];
    let pattern = pattern();
    let mut position: u64 = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let got = buffer.get(..count).unwrap_or_default();
        ensure!(
            got == piece(&pattern, position, count),
            "a byte is wrong among the {count} from {position} on"
        );
        position += count as u64;
    }
    ensure!(position == bytes, "{position} bytes arrived of {bytes}");
    stream.write_all(&position.to_be_bytes())?;
    Ok(())
}

/// TCP segments that a pod received with a wrong checksum since it began.
///
/// # Errors
/// When the pod's counters cannot be read.
pub fn bad_checksums(node: &Node, pod: &str) -> Result<u64> {
    let text = node.pod_sh(pod, "cat", &["/proc/net/snmp"])?;
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let names = lines.next().context("no TCP counters")?;
    let values = lines.next().context("no TCP counters")?;
    names
        .split_whitespace()
        .zip(values.split_whitespace())
        .find(|(name, _)| *name == "InCsumErrors")
        .and_then(|(_, value)| value.parse().ok())
        .context("no counter of wrong checksums")
}
