//! The asking side.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::Transport;

/// Asks all targets side by side and prints `TARGET ANSWER` or `TARGET - WHY NOT`.
pub(super) fn all(
    transport: Transport,
    targets: &[SocketAddr],
    timeout: Duration,
    count: u32,
) -> Result<()> {
    let threads: Vec<_> = targets
        .iter()
        .map(|&target| {
            thread::spawn(move || {
                (0..count)
                    .map(|_| one(transport, target, timeout))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut silent = 0;
    for (target, thread) in targets.iter().zip(threads) {
        for answer in thread.join().unwrap_or_default() {
            match answer {
                Ok(answer) => println!("{target} {answer}"),
                Err(error) => {
                    silent += 1;
                    println!("{target} - {error:#}");
                }
            }
        }
    }
    ensure!(silent == 0, "{silent} answers are missing");
    Ok(())
}

/// Asks one target at a steady pace; the last line is `sent N lost M silence MS`.
pub(super) fn probe(
    transport: Transport,
    target: SocketAddr,
    length: Duration,
    interval: Duration,
) -> Result<()> {
    let end = Instant::now() + length;
    let (mut sent, mut lost) = (0_u64, 0_u64);
    let (mut last, mut silence) = (Instant::now(), Duration::ZERO);
    let mut next = Instant::now();
    while Instant::now() < end {
        sent += 1;
        match one(transport, target, Duration::from_secs(1)) {
            Ok(_) => {
                silence = silence.max(last.elapsed());
                last = Instant::now();
            }
            Err(error) => {
                lost += 1;
                println!("question {sent}: {error:#}");
            }
        }
        next += interval;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    println!("sent {sent} lost {lost} silence {}", silence.as_millis());
    Ok(())
}

fn one(transport: Transport, target: SocketAddr, timeout: Duration) -> Result<String> {
    match transport {
        Transport::Http => {
            let question = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
            let mut stream = connect(target, timeout)?;
            stream.write_all(question.as_bytes())?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
            let status = head.lines().next().unwrap_or_default();
            if !status.contains(" 200 ") {
                bail!("{status}: {}", body.trim());
            }
            Ok(body.trim().to_owned())
        }
        Transport::Tcp => line(connect(target, timeout)?),
        Transport::Sctp => {
            let socket = super::sctp(target)?;
            socket.connect_timeout(&target.into(), timeout)?;
            socket.set_read_timeout(Some(timeout))?;
            line(socket)
        }
        Transport::Udp => {
            let any: IpAddr = match target {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0))?;
            socket.set_read_timeout(Some(timeout))?;
            socket.connect(target)?;
            socket.send(b"?")?;
            let mut buffer = [0; 2048];
            let length = socket.recv(&mut buffer)?;
            let answer = buffer.get(..length).unwrap_or_default();
            Ok(String::from_utf8_lossy(answer).trim().to_owned())
        }
    }
}

fn connect(target: SocketAddr, timeout: Duration) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    Ok(stream)
}

fn line(mut stream: impl Read + Write) -> Result<String> {
    stream.write_all(b"?\n")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    ensure!(!answer.is_empty(), "the connection was closed");
    Ok(answer.trim().to_owned())
}
