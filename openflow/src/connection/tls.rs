//! TLS for `ssl:` targets.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::target::{Stream, tcp};

pub(super) async fn connect(host: &str, port: u16, config: Option<Arc<ClientConfig>>) -> io::Result<Box<dyn Stream>> {
    let config = config
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an ssl target needs a TLS configuration"))?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let stream = TlsConnector::from(config).connect(name, tcp(host, port).await?).await?;
    Ok(Box::new(stream))
}
