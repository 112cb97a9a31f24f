//! What load balancers ask a node about a Service (`healthCheckNodePort`): has it endpoints here?
//!
//! Every port asked for has a listener on all of the node's addresses, which answers any request as kube-proxy does:
//! 200 if the node has endpoints of the Service, 503 if not, the number in a header and in the body. Who asks cannot
//! take more than a few connections and a few seconds of each, one request to a connection.
//!
//! Must not know how endpoints are counted.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nix::sys::socket::{setsockopt, sockopt};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 64;

/// What load balancers read the number of endpoints from.
const WEIGHT: HeaderName = HeaderName::from_static("x-load-balancing-endpoint-weight");

/// What one port answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// How many endpoints of it are on this node.
    pub local_endpoints: usize,
}

/// By port.
pub type HealthChecks = BTreeMap<u16, HealthCheck>;

/// How much the listeners take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections of one port at a time; further ones wait.
    pub connections: usize,
    /// How long a connection may last.
    pub request: Duration,
    /// Pause before a port that could not be bound is tried again.
    pub retry: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 32,
            request: Duration::from_secs(5),
            retry: Duration::from_secs(5),
        }
    }
}

/// Has a listener for every port of `checks`, the latest, until `stop`. A port that cannot be bound is logged with
/// its Service and tried again.
pub async fn serve(
    mut checks: watch::Receiver<HealthChecks>,
    limits: Limits,
    stop: CancellationToken,
) {
    let mut listening: BTreeMap<u16, Listening> = BTreeMap::new();
    let mut failing: BTreeMap<u16, String> = BTreeMap::new();
    loop {
        let wanted = checks.borrow_and_update().clone();
        failing.retain(|port, _| wanted.contains_key(port));
        let gone = listening.extract_if(.., |port, _| !wanted.contains_key(port));
        for (port, listener) in gone.collect::<Vec<_>>() {
            listener.close().await;
            tracing::info!(port, "health checks end");
        }
        for (&port, check) in &wanted {
            if listening.contains_key(&port) {
                continue;
            }
            let service = format!("{}/{}", check.namespace, check.name);
            match bind(port) {
                Ok(listener) => {
                    tracing::info!(port, service, "health checks are answered");
                    let answers = Listening::start(port, listener, checks.clone(), limits);
                    listening.insert(port, answers);
                    failing.remove(&port);
                }
                Err(error) => {
                    let why = error.to_string();
                    if failing.get(&port) != Some(&why) {
                        tracing::warn!(
                            port,
                            service,
                            error = why,
                            "no health checks, will try again: the port cannot be bound"
                        );
                        failing.insert(port, why);
                    }
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = checks.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(limits.retry), if !failing.is_empty() => {}
        }
    }
    for listener in listening.into_values() {
        listener.close().await;
    }
}

/// A port that is listened on.
struct Listening(JoinHandle<()>);

impl Listening {
    fn start(
        port: u16,
        listener: TcpListener,
        checks: watch::Receiver<HealthChecks>,
        limits: Limits,
    ) -> Self {
        let listener = Limited {
            listener,
            free: Arc::new(Semaphore::new(limits.connections)),
            request: limits.request,
        };
        let app = Router::new().fallback(async move || answer(port, &checks));
        Self(tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(port, %error, "the listener of health checks failed");
            }
        }))
    }

    /// Returns once the port is free.
    async fn close(self) {
        self.0.abort();
        // It was cancelled: that is no news.
        let _cancelled = self.0.await;
    }
}

/// All of the node's addresses, of both families where it has both.
fn bind(port: u16) -> io::Result<TcpListener> {
    match dual(port) {
        Ok(listener) => Ok(listener),
        Err(error) if no_ipv6(&error) => {
            let socket = TcpSocket::new_v4()?;
            listen(socket, (Ipv4Addr::UNSPECIFIED, port).into())
        }
        Err(error) => Err(error),
    }
}

fn dual(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    // Whatever `net.ipv6.bindv6only` says.
    setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    listen(socket, (Ipv6Addr::UNSPECIFIED, port).into())
}

fn listen(socket: TcpSocket, address: SocketAddr) -> io::Result<TcpListener> {
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn no_ipv6(error: &io::Error) -> bool {
    use nix::libc::{EADDRNOTAVAIL, EAFNOSUPPORT};
    matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EADDRNOTAVAIL))
}

/// The body, as kube-proxy's.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    service: Name<'a>,
    local_endpoints: usize,
    service_proxy_healthy: bool,
}

#[derive(Serialize)]
struct Name<'a> {
    namespace: &'a str,
    name: &'a str,
}

fn answer(port: u16, checks: &watch::Receiver<HealthChecks>) -> Response {
    let Some(check) = checks.borrow().get(&port).cloned() else {
        // Its listener is about to be closed.
        return StatusCode::NOT_FOUND.into_response();
    };
    let status = match check.local_endpoints {
        0 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (WEIGHT, HeaderValue::from(check.local_endpoints)),
        (header::CONNECTION, HeaderValue::from_static("close")),
    ];
    let body = Body {
        service: Name {
            namespace: &check.namespace,
            name: &check.name,
        },
        local_endpoints: check.local_endpoints,
        // The switch serves whether or not the agent is well; and an agent that answers is.
        service_proxy_healthy: true,
    };
    match serde_json::to_vec(&body) {
        Ok(json) => (status, headers, json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// A listener of a bounded number of connections, each of bounded length.
struct Limited {
    listener: TcpListener,
    free: Arc<Semaphore>,
    request: Duration,
}

impl axum::serve::Listener for Limited {
    type Io = Bounded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Bounded, SocketAddr) {
        loop {
            let Ok(place) = Arc::clone(&self.free).acquire_owned().await else {
                // Nobody closes it.
                return std::future::pending().await;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let bounded = Bounded {
                        stream,
                        end: Box::pin(tokio::time::sleep(self.request)),
                        _place: place,
                    };
                    return (bounded, peer);
                }
                Err(error) => {
                    // A connection that went away while it waited, or no file descriptors: go on, not too fast.
                    tracing::debug!(%error, "accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails once its time is over.
struct Bounded {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Bounded {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_end(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
