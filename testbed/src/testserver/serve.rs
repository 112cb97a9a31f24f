//! The serving side.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;

/// How long a client may be silent in the middle of a question.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ports.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// HTTP; 0 for none.
    #[arg(long, default_value_t = 8080)]
    http: u16,
    /// TCP, a line for a line; 0 for none.
    #[arg(long, default_value_t = 8081)]
    tcp: u16,
    /// UDP, a datagram for a datagram; 0 for none.
    #[arg(long, default_value_t = 8082)]
    udp: u16,
    /// SCTP, a line for a line; 0 for none.
    #[arg(long, default_value_t = 8083)]
    sctp: u16,
    /// Begin as not ready: /ready answers 503 until somebody asks for /ready/on.
    #[arg(long)]
    not_ready: bool,
}

/// Binds every port and serves them on threads of their own.
pub(super) fn start(options: &Options) -> Result<()> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: Arc<str> = name.trim().into();
    let ready = Arc::new(AtomicBool::new(!options.not_ready));
    println!("sluice-testserver on {name}");
    if options.http != 0 {
        let listener = listen(options.http)?;
        let (name, ready) = (Arc::clone(&name), Arc::clone(&ready));
        accept(listener, move |stream, peer| {
            http(stream, &name, &ready, peer)
        });
    }
    if options.tcp != 0 {
        let listener = listen(options.tcp)?;
        let name = Arc::clone(&name);
        accept(listener, move |stream, peer| lines(stream, &name, peer));
    }
    if options.udp != 0 {
        let socket = UdpSocket::bind(any(options.udp))
            .with_context(|| format!("cannot bind UDP port {}", options.udp))?;
        let name = Arc::clone(&name);
        thread::spawn(move || datagrams(&socket, &name));
    }
    if options.sctp != 0 {
        // Most kernels have it as a module that nobody loads for a pod; the rest is served all the same.
        match associations(options.sctp, &name) {
            Ok(()) => {}
            Err(error) => println!("no SCTP: {error:#}"),
        }
    }
    Ok(())
}

/// Both families by one socket.
fn any(port: u16) -> SocketAddr {
    (Ipv6Addr::UNSPECIFIED, port).into()
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind(any(port)).with_context(|| format!("cannot bind TCP port {port}"))
}

fn accept(
    listener: TcpListener,
    serve: impl Fn(TcpStream, SocketAddr) -> Result<()> + Clone + Send + 'static,
) {
    thread::spawn(move || {
        while let Ok((stream, peer)) = listener.accept() {
            let serve = serve.clone();
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(PATIENCE));
                let _ = serve(stream, peer);
            });
        }
    });
}

/// An address as people write it: an IPv4 client of an IPv6 socket is an IPv4 client.
fn plain(peer: SocketAddr) -> SocketAddr {
    let ip = match peer.ip() {
        IpAddr::V6(ip) => ip.to_canonical(),
        ip => ip,
    };
    SocketAddr::new(ip, peer.port())
}

fn lines(stream: impl Read + Write, name: &str, peer: SocketAddr) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 {
        let answer = format!("{name} {}\n", plain(peer));
        stream.get_mut().write_all(answer.as_bytes())?;
        line.clear();
    }
    Ok(())
}

fn datagrams(socket: &UdpSocket, name: &str) {
    let mut buffer = [0; 2048];
    loop {
        // An error is an answer that nobody took; the next client is another.
        if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(format!("{name} {}\n", plain(peer)).as_bytes(), peer);
        }
    }
}

fn associations(port: u16, name: &Arc<str>) -> Result<()> {
    let socket = super::sctp(any(port))?;
    socket.bind(&any(port).into())?;
    socket.listen(128)?;
    let name = Arc::clone(name);
    thread::spawn(move || {
        while let Ok((stream, peer)) = socket.accept() {
            let name = Arc::clone(&name);
            let Some(peer) = peer.as_socket() else {
                continue;
            };
            thread::spawn(move || {
                let _ = lines(stream, &name, peer);
            });
        }
    });
    Ok(())
}

/// One request a connection.
fn http(stream: TcpStream, name: &str, ready: &AtomicBool, peer: SocketAddr) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    stream.read_line(&mut request)?;
    let mut header = String::new();
    while stream.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, body) = match path {
        "/ready" if !ready.load(Ordering::Relaxed) => {
            ("503 Service Unavailable", "not ready".into())
        }
        "/ready/on" | "/ready/off" => {
            ready.store(path == "/ready/on", Ordering::Relaxed);
            ("200 OK", path.into())
        }
        _ => ("200 OK", format!("{name} {}", plain(peer))),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}\n",
        body.len() + 1
    );
    stream.get_mut().write_all(answer.as_bytes())?;
    Ok(())
}
