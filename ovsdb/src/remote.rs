//! Where a server is: `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT` (ovsdb(7), "Active connection methods").
//!
//! Owns: the text form. Must not know: how to connect.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of OVSDB where none is given (RFC 7047, "IANA Considerations").
pub const DEFAULT_PORT: u16 = 6640;

/// A server to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Remote {
    /// A unix domain socket.
    Unix(PathBuf),
    /// Plain TCP.
    Tcp {
        /// A name or an address.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// TLS over TCP; needs the feature `tls`.
    Ssl {
        /// A name or an address.
        host: String,
        /// The TCP port.
        port: u16,
    },
}

/// The text is no remote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a remote: {reason}")]
pub struct ParseRemoteError {
    text: String,
    reason: &'static str,
}

impl Remote {
    /// Parses a list separated by commas, as `ovs-vsctl --db` takes it.
    ///
    /// # Errors
    /// One of them is not a remote, or there are none.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ParseRemoteError> {
        text.split(',').map(|item| item.trim().parse()).collect()
    }
}

impl FromStr for Remote {
    type Err = ParseRemoteError;

    fn from_str(text: &str) -> Result<Self, ParseRemoteError> {
        let error = |reason| ParseRemoteError {
            text: text.to_owned(),
            reason,
        };
        let (kind, rest) = text
            .split_once(':')
            .ok_or_else(|| error("it has no unix:, tcp: or ssl: before it"))?;
        if rest.is_empty() {
            return Err(error("nothing stands after the colon"));
        }
        if kind == "unix" {
            return Ok(Self::Unix(rest.into()));
        }
        let (host, port) = if let Some(rest) = rest.strip_prefix('[') {
            let (host, rest) = rest
                .split_once(']')
                .ok_or_else(|| error("the bracket is not closed"))?;
            (host, rest.strip_prefix(':'))
        } else {
            rest.split_once(':')
                .map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        let port = port.map_or(Ok(DEFAULT_PORT), |p| {
            p.parse().map_err(|_| error("the port is not a number"))
        })?;
        let host = host.to_owned();
        match kind {
            "tcp" => Ok(Self::Tcp { host, port }),
            "ssl" => Ok(Self::Ssl { host, port }),
            _ => Err(error("only unix, tcp and ssl are known")),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, host, port) = match self {
            Self::Unix(path) => return write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } => ("tcp", host, port),
            Self::Ssl { host, port } => ("ssl", host, port),
        };
        if host.contains(':') {
            write!(f, "{kind}:[{host}]:{port}")
        } else {
            write!(f, "{kind}:{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_form() {
        for text in [
            "unix:/run/openvswitch/db.sock",
            "tcp:127.0.0.1:6640",
            "ssl:[::1]:6641",
            "tcp:host:1",
        ] {
            assert_eq!(text.parse::<Remote>().unwrap().to_string(), text);
        }
        assert_eq!(
            "tcp:h".parse::<Remote>().unwrap(),
            Remote::Tcp {
                host: "h".into(),
                port: 6640
            }
        );
        for bad in ["", "unix:", "db.sock", "tcp:h:x", "tcp:[::1", "ptcp:1"] {
            assert!(bad.parse::<Remote>().is_err(), "{bad}");
        }
        assert_eq!(Remote::parse_list("unix:a, tcp:b:1").unwrap().len(), 2);
    }
}
