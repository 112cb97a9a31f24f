//! What a user of a connection may choose. Must not know how any of it is done.

use std::time::Duration;

use super::backoff::BackoffOptions;

/// Choices for a [`Connection`](super::Connection); [`Default`] suits a switch on the same machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// An attempt to connect, the HELLO exchange included, may take this long.
    pub connect_timeout: Duration,
    /// A request, from its hand-over to its last reply, may take this long; then it ends with
    /// [`Error::Timeout`](super::Error::Timeout).
    pub request_timeout: Duration,
    /// After this long without a byte from the switch an ECHO_REQUEST is sent; after as long again the session
    /// is given up.
    pub probe_interval: Duration,
    /// Waiting between attempts to connect.
    pub backoff: BackoffOptions,
    /// Bytes that the parts of one multipart reply may have together.
    pub multipart_limit: usize,
    /// Packet-ins that wait for their consumer; further ones are dropped and counted.
    pub packet_in_queue: usize,
    /// Other asynchronous messages that wait for a consumer; a consumer that lags further loses the oldest and
    /// is told how many.
    pub event_queue: usize,
    /// Requests that may wait for a reply; further ones wait in their caller.
    pub max_in_flight: usize,
    /// Bytes to be written above which no further request is accepted.
    pub max_queued_bytes: usize,
    /// Ask for `NXT_PACKET_IN2`, which carries the pipeline's metadata and a resumable continuation.
    pub packet_in2: bool,
    /// Sent as `miss_send_len` with SET_CONFIG after each connect, if given. A connection to a bridge's
    /// management socket gets no packet-ins until it is set.
    pub miss_send_len: Option<u16>,
    /// Sent as NXT_SET_CONTROLLER_ID after each connect, if given.
    pub controller_id: Option<u16>,
    /// TLS configuration for `ssl:` targets.
    #[cfg(feature = "tls")]
    pub tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            probe_interval: Duration::from_secs(5),
            backoff: BackoffOptions::default(),
            multipart_limit: 512 * 1024 * 1024,
            packet_in_queue: 256,
            event_queue: 1024,
            max_in_flight: 1024,
            max_queued_bytes: 4 * 1024 * 1024,
            packet_in2: true,
            miss_send_len: None,
            controller_id: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}
