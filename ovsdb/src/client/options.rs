//! How a client behaves.

use std::time::Duration;

#[cfg(feature = "tls")]
use crate::tls::TlsConfig;

/// How a client behaves. Made with `..Options::default()`.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a request may take, the wait for a connection included. A transaction with `wait`
    /// operations may need more.
    pub request_timeout: Duration,
    /// How long an attempt to connect may take.
    pub connect_timeout: Duration,
    /// After so long without a word the server is asked for a sign of life, and given up after as
    /// long again. Zero turns it off.
    pub probe_interval: Duration,
    /// The shortest pause before connecting again.
    pub backoff_min: Duration,
    /// The longest.
    pub backoff_max: Duration,
    /// The longest document accepted, in bytes.
    pub max_document: usize,
    /// How many requests may wait to be sent.
    pub queue: usize,
    /// Keys and certificates for `ssl:` remotes.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            probe_interval: Duration::from_secs(5),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(4),
            max_document: 1 << 30,
            queue: 256,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}
