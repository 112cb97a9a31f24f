//! Health checks of Services, over sockets of a namespace of their own, where every port is free.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use sluice_agent::{
    health::{HealthCheck, HealthChecks, Limits, serve},
    host::HostError,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{SOON, Space};

const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

fn check(name: &str, local_endpoints: usize) -> HealthCheck {
    HealthCheck {
        namespace: "shop".into(),
        name: name.into(),
        local_endpoints,
    }
}

/// A server in the background.
struct Server {
    checks: watch::Sender<HealthChecks>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    fn start(checks: impl Into<HealthChecks>, limits: Limits) -> Server {
        let (checks, receiver) = watch::channel(checks.into());
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(receiver, limits, stop.clone()));
        Server { checks, stop, task }
    }
}

/// Runs `job` in a namespace of its own, for a bounded time.
async fn alone<Fut: Future<Output = io::Result<()>>>(job: impl FnOnce() -> Fut + Send + 'static) {
    let space = Space::new("health");
    let ran = space.run(|| async {
        let result = tokio::time::timeout(SOON, job()).await;
        result
            .expect("in time")
            .map_err(|source| HostError::Kernel {
                action: "ask".into(),
                source,
            })
    });
    ran.await.expect("a conversation");
}

/// A connection, as soon as somebody listens.
async fn connected(to: (IpAddr, u16)) -> io::Result<TcpStream> {
    loop {
        match TcpStream::connect(SocketAddr::from(to)).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tokio::task::yield_now().await;
            }
            other => return other,
        }
    }
}

/// Returns once nobody listens any more.
async fn closed(to: (IpAddr, u16)) {
    while TcpStream::connect(SocketAddr::from(to)).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

async fn asked(to: (IpAddr, u16), request: &str) -> io::Result<String> {
    let mut stream = connected(to).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n";

#[tokio::test]
async fn a_load_balancer_learns_how_many_endpoints_are_here() {
    alone(|| async {
        let server = Server::start([(30_001, check("web", 2)), (30_002, check("db", 0))], Limits::default());
        for address in LOOPBACK {
            let answer = asked((address, 30_001), GET).await?;
            let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
            assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
            for header in [
                "content-type: application/json",
                "x-content-type-options: nosniff",
                "x-load-balancing-endpoint-weight: 2",
            ] {
                assert!(head.lines().any(|line| line == header), "{header} is missing in {head}");
            }
            assert_eq!(
                body,
                r#"{"service":{"namespace":"shop","name":"web"},"localEndpoints":2,"serviceProxyHealthy":true}"#
            );
            let answer = asked((address, 30_002), "HEAD / HTTP/1.1\r\nHost: node\r\n\r\n").await?;
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        }
        // A change of the number needs no other listener.
        server.checks.send_modify(|checks| {
            checks.insert(30_002, check("db", 1));
        });
        let answer = asked((LOOPBACK[0], 30_002), GET).await?;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn ports_come_and_go_and_nothing_is_left_in_the_end() {
    alone(|| async {
        let server = Server::start([(30_001, check("web", 1))], Limits::default());
        asked((LOOPBACK[0], 30_001), GET).await?;
        server
            .checks
            .send_replace([(30_002, check("web", 1))].into());
        asked((LOOPBACK[1], 30_002), GET).await?;
        closed((LOOPBACK[0], 30_001)).await;
        server
            .checks
            .send_replace([(30_001, check("web", 1))].into());
        asked((LOOPBACK[0], 30_001), GET).await?;
        server.stop.cancel();
        server.task.await.map_err(io::Error::other)?;
        for port in [30_001, 30_002] {
            let refused = TcpStream::connect((LOOPBACK[0], port))
                .await
                .expect_err("nobody");
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_tried_again_and_hinders_no_other() {
    alone(|| async {
        let taken = TcpListener::bind((LOOPBACK[0], 30_001)).await?;
        let limits = Limits {
            retry: Duration::from_millis(10),
            ..Limits::default()
        };
        let _server = Server::start(
            [(30_001, check("web", 1)), (30_002, check("db", 1))],
            limits,
        );
        asked((LOOPBACK[0], 30_002), GET).await?;
        drop(taken);
        let answer = asked((LOOPBACK[0], 30_001), GET).await?;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_says_nothing_is_cut_off_and_makes_room() {
    alone(|| async {
        let limits = Limits {
            connections: 2,
            request: Duration::from_millis(100),
            ..Limits::default()
        };
        let _server = Server::start([(30_001, check("web", 1))], limits);
        let to = (LOOPBACK[0], 30_001);
        let mut silent = [connected(to).await?, connected(to).await?];
        silent[1].write_all(b"GET / HT").await?;
        // No place for a third until the first is cut off; it waits.
        let answer = asked(to, GET).await?;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        for stream in &mut silent {
            let mut nothing = Vec::new();
            // Closed, in whichever way.
            let _end = stream.read_to_end(&mut nothing).await;
            assert!(
                !nothing.starts_with(b"HTTP/1.1 200"),
                "an answer to no question"
            );
        }
        Ok(())
    })
    .await;
}
