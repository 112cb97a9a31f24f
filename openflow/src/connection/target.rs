//! Where the switch listens, in Open vSwitch's notation, and how a byte stream to it is opened.
//!
//! Must not know OpenFlow: a [`Connector`] yields bytes.

use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// The port IANA assigned to OpenFlow; used when a target names none.
pub const DEFAULT_PORT: u16 = 6653;

/// A byte stream the connection can run over.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The future a [`Connector`] returns.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Opens a stream to the switch; called again for every reconnect.
///
/// [`Target`] is the usual one. Tests hand in one end of [`tokio::io::duplex`].
pub trait Connector: Send + 'static {
    /// Opens one stream.
    fn connect(&mut self) -> Connecting;
    /// For logs and error texts.
    fn name(&self) -> String;
}

/// An active OpenFlow target: `unix:PATH`, `tcp:HOST[:PORT]` or `ssl:HOST[:PORT]` (feature `tls`).
///
/// An IPv6 address stands in brackets: `tcp:[::1]:6653`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A unix stream socket, usually `RUNDIR/BRIDGE.mgmt`.
    Unix(PathBuf),
    /// Plain TCP.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// TLS over TCP.
    Ssl {
        /// Name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// A target that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad target {0:?}: expected unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT]")]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let bad = || TargetError(text.to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(bad)?;
        if rest.is_empty() {
            return Err(bad());
        }
        match kind {
            "unix" => Ok(Target::Unix(PathBuf::from(rest))),
            "tcp" | "ssl" => {
                let (host, port) = host_port(rest).ok_or_else(bad)?;
                Ok(if kind == "tcp" {
                    Target::Tcp { host, port }
                } else {
                    Target::Ssl { host, port }
                })
            }
            _ => Err(bad()),
        }
    }
}

fn host_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        match tail.strip_prefix(':') {
            Some(port) => (host, port.parse().ok()?),
            None if tail.is_empty() => (host, DEFAULT_PORT),
            None => return None,
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (text, DEFAULT_PORT),
        }
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, host, port) = match self {
            Target::Unix(path) => return write!(f, "unix:{}", path.display()),
            Target::Tcp { host, port } => ("tcp", host, port),
            Target::Ssl { host, port } => ("ssl", host, port),
        };
        if host.contains(':') {
            write!(f, "{kind}:[{host}]:{port}")
        } else {
            write!(f, "{kind}:{host}:{port}")
        }
    }
}

/// The connector for a [`Target`].
pub(crate) struct TargetConnector {
    pub(crate) target: Target,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Connector for TargetConnector {
    fn connect(&mut self) -> Connecting {
        let target = self.target.clone();
        #[cfg(feature = "tls")]
        let tls = self.tls.clone();
        Box::pin(async move {
            match target {
                Target::Unix(path) => {
                    Ok(Box::new(UnixStream::connect(path).await?) as Box<dyn Stream>)
                }
                Target::Tcp { host, port } => {
                    Ok(Box::new(tcp(&host, port).await?) as Box<dyn Stream>)
                }
                #[cfg(feature = "tls")]
                Target::Ssl { host, port } => super::tls::connect(&host, port, tls).await,
                #[cfg(not(feature = "tls"))]
                Target::Ssl { .. } => Err(io::Error::new(
                    io::ErrorKind::Unsupported,
                    "ssl needs the crate's feature `tls`",
                )),
            }
        })
    }

    fn name(&self) -> String {
        self.target.to_string()
    }
}

pub(super) async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_parse_and_print() {
        for (text, printed) in [
            (
                "unix:/run/openvswitch/br0.mgmt",
                "unix:/run/openvswitch/br0.mgmt",
            ),
            ("tcp:127.0.0.1:6653", "tcp:127.0.0.1:6653"),
            ("tcp:switch", "tcp:switch:6653"),
            ("ssl:[fe80::1]:1", "ssl:[fe80::1]:1"),
            ("tcp:[::1]", "tcp:[::1]:6653"),
        ] {
            assert_eq!(
                text.parse::<Target>().map(|t| t.to_string()).as_deref(),
                Ok(printed)
            );
        }
        for text in [
            "",
            "unix:",
            "tcp:",
            "tcp::1",
            "udp:a:1",
            "tcp:a:b",
            "tcp:a:65536",
            "tcp:[::1",
            "tcp:[::1]x",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text} should not parse");
        }
    }
}
