//! Byte streams to a server.
//!
//! Owns: making one for a [`Remote`]. Must not know: what flows through it.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::remote::Remote;
#[cfg(feature = "tls")]
use crate::tls::TlsConfig;

/// Any byte stream that the client can speak over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What connecting needs besides the remote.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connector {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<TlsConfig>,
}

impl Connector {
    pub(crate) async fn connect(&self, remote: &Remote) -> io::Result<Box<dyn Stream>> {
        match remote {
            Remote::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
            Remote::Tcp { host, port } => Ok(Box::new(tcp(host, *port).await?)),
            Remote::Ssl { host, port } => self.tls(host, *port).await,
        }
    }

    #[cfg(feature = "tls")]
    async fn tls(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let Some(config) = &self.tls else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "ssl: needs a key, a certificate and a ca",
            ));
        };
        config.handshake(host, tcp(host, port).await?).await
    }

    #[cfg(not(feature = "tls"))]
    async fn tls(&self, _host: &str, _port: u16) -> io::Result<Box<dyn Stream>> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "ssl: was left out of this build (feature tls)",
        ))
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
