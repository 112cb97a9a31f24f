//! How a client behaves.

use std::time::Duration;

#[cfg(feature = "tls")]
use crate::tls::TlsConfig;

/// How a client behaves. Made with `..Options::default()`.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a request may take, the wait for a connection included. A transaction with `wait`
    /// operations may need more. 30 s by default.
    pub request_timeout: Duration,
    /// How long an attempt to connect may take, to each remote in turn. 5 s by default.
    pub connect_timeout: Duration,
    /// After so long without a word the server is asked for a sign of life, and given up after as
    /// long again. Zero turns it off. 5 s by default.
    pub probe_interval: Duration,
    /// The shortest pause before connecting again, of which the half is random. 50 ms by default.
    pub backoff_min: Duration,
    /// The longest: each pause is twice the last, until a connection has stayed up. 4 s by default.
    pub backoff_max: Duration,
    /// The longest document accepted, in bytes; a longer one ends the connection. 1 GiB by default: the first state of a
    /// replica is one document.
    pub max_document: usize,
    /// How many requests may wait to be sent; further ones wait for room. 256 by default.
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
