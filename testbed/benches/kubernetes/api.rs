//! The API server, asked without a process for every question: HTTP to a `kubectl proxy`, over connections that stay.

use std::io::{self, BufRead, BufReader, Lines, Read, Write as _};
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
    fn get(path: String) -> Request {
        Request {
            method: "GET",
            path,
            body: String::new(),
        }
    }

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
    /// Asks, and waits for the answer.
    pub(crate) fn send(&mut self, request: &Request) -> Result<()> {
        self.ask(request).map(drop)
    }

    /// Asks, and says what was answered.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Vec<u8>> {
        let head = self.head(request)?;
        let mut answer = Vec::new();
        match head.length {
            Some(length) => {
                answer.resize(length, 0);
                self.stream.read_exact(&mut answer)?;
            }
            None => drop(Chunks::new(&mut self.stream).read_to_end(&mut answer)?),
        }
        let Request { method, path, .. } = request;
        ensure!(
            head.status.contains(" 20"),
            "{method} {path}: {}: {}",
            head.status,
            String::from_utf8_lossy(&answer)
        );
        Ok(answer)
    }

    /// Asks, and reads the answer as far as its content.
    fn head(&mut self, request: &Request) -> Result<Head> {
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
        let mut length = None;
        loop {
            let mut line = String::new();
            ensure!(
                self.stream.read_line(&mut line)? > 0,
                "{method} {path}: the answer has no end"
            );
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
        Ok(Head {
            status: status.trim().to_owned(),
            length,
        })
    }

    /// What changes from now on of the list at `path`, whose query is `selector`. Nothing is missed once this has
    /// returned.
    pub(crate) fn watch(mut self, path: &str, selector: &str) -> Result<Changes> {
        let list = self.ask(&Request::get(format!("{path}?{selector}&limit=1")))?;
        let list: Value = serde_json::from_slice(&list)?;
        let version = list["metadata"]["resourceVersion"].as_str();
        let version = version.context("a list without a version")?;
        let watch = format!("{path}?{selector}&watch=1&resourceVersion={version}");
        let head = self.head(&Request::get(watch))?;
        ensure!(
            head.status.contains(" 200"),
            "watch {path}: {}",
            head.status
        );
        Ok(Changes(BufReader::new(Chunks::new(self.stream)).lines()))
    }
}

/// The beginning of an answer.
struct Head {
    status: String,
    /// How long the content is, unless it comes in chunks.
    length: Option<usize>,
}

/// Objects as they change. Ends with an error when none does for [`LIMIT`].
pub(crate) struct Changes(Lines<BufReader<Chunks<BufReader<TcpStream>>>>);

impl Changes {
    /// The object that changes next.
    pub(crate) fn next(&mut self) -> Result<Value> {
        let line = self.0.next().context("the watch has ended")??;
        let mut event: Value = serde_json::from_str(&line)?;
        ensure!(event["type"] != "ERROR", "the watch failed: {line}");
        Ok(event["object"].take())
    }
}

/// Content that comes in chunks (RFC 9112, 7.1).
struct Chunks<R> {
    stream: R,
    /// What is left of this chunk.
    left: usize,
    ended: bool,
}

impl<R: BufRead> Chunks<R> {
    fn new(stream: R) -> Chunks<R> {
        Chunks {
            stream,
            left: 0,
            ended: false,
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}

impl<R: BufRead> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !self.ended {
            self.left = usize::from_str_radix(self.line()?.trim(), 16).map_err(io::Error::other)?;
            if self.left == 0 {
                self.ended = true;
                self.line()?;
            }
        }
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let length = buffer.len().min(self.left);
        let read = self
            .stream
            .read(buffer.get_mut(..length).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 {
            self.line()?;
        }
        Ok(read)
    }
}
