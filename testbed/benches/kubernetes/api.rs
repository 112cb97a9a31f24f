//! The API server, asked without a process for every question: HTTP to a `kubectl proxy`, over connections that stay.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use sluice_testbed::cluster::Cluster;
use sluice_testbed::{kubernetes, netns};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A proxy to the API server, which ends with it.
pub(crate) struct Api {
    proxy: Child,
    netns: String,
    port: u16,
}

impl Api {
    pub(crate) fn new(cluster: &Cluster) -> Result<Api> {
        let kubectl = kubernetes::control_plane(cluster)?.kubectl();
        let mut proxy = kubectl
            .command(&["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let out = proxy.stdout.as_mut().context("no output")?;
        // "Starting to serve on 127.0.0.1:PORT"
        BufReader::new(out).read_line(&mut line)?;
        let port = line
            .trim()
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok());
        let port = port.with_context(|| format!("kubectl proxy said {line:?}"))?;
        Ok(Api {
            proxy,
            netns: cluster.name.control(),
            port,
        })
    }

    /// A connection. Its socket lives in the control plane's namespace, whoever uses it.
    pub(crate) fn connect(&self) -> Result<Connection> {
        let port = self.port;
        let stream = netns::join(netns::within(&self.netns, move || {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(LIMIT))?;
            Ok(stream)
        })?)?;
        Ok(Connection {
            stream: BufReader::new(stream),
        })
    }

    /// Makes many requests over some connections at once; all must succeed.
    pub(crate) fn many(&self, requests: &[Request]) -> Result<()> {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| -> Result<()> {
                        let mut connection = self.connect()?;
                        while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed))
                        {
                            connection.send(request)?;
                        }
                        Ok(())
                    })
                })
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(result) => result?,
                    Err(_) => bail!("a thread panicked"),
                }
            }
            Ok(())
        })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

/// What is asked: method, path, body.
pub(crate) struct Request {
    method: &'static str,
    path: String,
    body: String,
}

impl Request {
    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Request {
        Request {
            method: "POST",
            path: path.into(),
            body: body.to_string(),
        }
    }

    /// A merge patch.
    pub(crate) fn patch(path: impl Into<String>, body: &Value) -> Request {
        Request {
            method: "PATCH",
            path: path.into(),
            body: body.to_string(),
        }
    }

    pub(crate) fn delete(path: impl Into<String>) -> Request {
        Request {
            method: "DELETE",
            path: path.into(),
            body: String::new(),
        }
    }
}

pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Asks, and reads the answer to its end.
    pub(crate) fn send(&mut self, request: &Request) -> Result<()> {
        let Request { method, path, body } = request;
        let kind = match *method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(head.as_bytes())?;
        let mut status = String::new();
        self.stream.read_line(&mut status)?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            chunked |= line == "transfer-encoding: chunked";
        }
        let mut answer = Vec::new();
        if chunked {
            loop {
                let mut line = String::new();
                self.stream.read_line(&mut line)?;
                let size = usize::from_str_radix(line.trim(), 16)?;
                let mut chunk = vec![0; size + 2];
                self.stream.read_exact(&mut chunk)?;
                if size == 0 {
                    break;
                }
                answer.extend_from_slice(chunk.get(..size).unwrap_or_default());
            }
        } else {
            answer.resize(length, 0);
            self.stream.read_exact(&mut answer)?;
        }
        ensure!(
            status.contains(" 20"),
            "{method} {path}: {}: {}",
            status.trim(),
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    }
}
