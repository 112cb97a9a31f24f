//! Requests as lines over a unix socket: who may connect, how many, and how much.
//!
//! Requests of one connection are answered in order; a caller that hangs up while one is under
//! way cancels it.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jsonrpsee::RpcModule;
use jsonrpsee::types::{ErrorCode, ErrorObjectOwned, Id, Response, ResponsePayload};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What one caller, and all together, may ask of the agent.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// Longest request, bytes.
    pub request: usize,
    /// How long a caller may take to read an answer.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            request: 4 << 20,
            write: Duration::from_secs(10),
        }
    }
}

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Binds `path` with mode 0600, replacing a socket that nobody serves any more.
    ///
    /// # Errors
    /// If another process listens there, or the socket cannot be made.
    pub async fn bind(path: &Path) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        if UnixStream::connect(path).await.is_ok() {
            anyhow::bail!("another agent listens on {}", path.display());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot replace {}", path.display()));
            }
            _ => {}
        }
        // Made under another name, so that the socket never exists with a wider mode.
        let draft = path.with_extension(format!("{}.new", std::process::id()));
        let _left_over = std::fs::remove_file(&draft);
        let socket = UnixListener::bind(&draft)
            .with_context(|| format!("cannot listen on {}", draft.display()))?;
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&draft, path))
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        Ok(Self {
            socket,
            path: path.to_owned(),
        })
    }

    /// Serves until `stop`, then takes no more requests and returns once those under way are
    /// answered. Removes the socket first of all, so that callers wait for the next agent.
    pub async fn serve(self, module: RpcModule<()>, limits: Limits, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(limits.connections));
        let connections = TaskTracker::new();
        loop {
            let accepted = async {
                let permit = Arc::clone(&permits).acquire_owned().await;
                (permit, self.socket.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accepted => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: wait for connections to end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if let Err(error) = admit(&stream) {
                tracing::warn!(%error, "connection refused");
                continue;
            }
            let (module, stop) = (module.clone(), stop.clone());
            connections.spawn(async move {
                let _permit = permit;
                if let Err(error) = Connection::new(stream, limits).run(&module, &stop).await {
                    tracing::debug!(%error, "connection ended");
                }
            });
        }
        let _gone = std::fs::remove_file(&self.path);
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }
}

/// Root and our own user may ask; the file's mode says the same, this check does not depend on it.
fn admit(stream: &UnixStream) -> io::Result<()> {
    let caller = stream.peer_cred()?.uid();
    if caller == 0 || caller == nix::unistd::geteuid().as_raw() {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("user {caller} may not ask"),
        ))
    }
}

struct Connection {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    buffer: Vec<u8>,
    /// Bytes of `buffer` known to hold no end of line.
    scanned: usize,
    limits: Limits,
}

impl Connection {
    fn new(stream: UnixStream, limits: Limits) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader,
            writer,
            buffer: Vec::new(),
            scanned: 0,
            limits,
        }
    }

    async fn run(mut self, module: &RpcModule<()>, stop: &CancellationToken) -> io::Result<()> {
        loop {
            let line = tokio::select! {
                biased;
                line = self.line() => line?,
                () = stop.cancelled() => return Ok(()),
            };
            let Some(line) = line else { return Ok(()) };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let answer = tokio::select! {
                answer = call(module, &line) => answer,
                error = self.hung_up() => return Err(error),
            };
            tokio::time::timeout(self.limits.write, async {
                self.writer.write_all(answer.as_bytes()).await?;
                self.writer.write_all(b"\n").await
            })
            .await??;
        }
    }

    /// The next line; `None` at the end of the stream. May be dropped and called again.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|&byte| byte == b'\n') {
                let rest = self.buffer.split_off(self.scanned + at + 1);
                self.scanned = 0;
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            self.scanned = self.buffer.len();
            if self.scanned > self.limits.request {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "request too long",
                ));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Completes when the caller can no longer read an answer. One that only ended its own side
    /// still can.
    async fn hung_up(&mut self) -> io::Error {
        while self.buffer.len() <= self.limits.request {
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) => match self.writer.ready(Interest::WRITABLE).await {
                    Ok(ready) if !ready.is_write_closed() => break,
                    _ => return io::ErrorKind::BrokenPipe.into(),
                },
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        std::future::pending().await
    }
}

async fn call(module: &RpcModule<()>, line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match module.raw_json_request(&text, 1).await {
        Ok((answer, _)) => answer.get().to_owned(),
        Err(error) => {
            let code = match error.classify() {
                serde_json::error::Category::Data => ErrorCode::InvalidRequest,
                _ => ErrorCode::ParseError,
            };
            let payload = ResponsePayload::<()>::error(ErrorObjectOwned::owned(
                code.code(),
                format!("{}: {error}", code.message()),
                None::<()>,
            ));
            serde_json::to_string(&Response::new(payload, Id::Null)).unwrap_or_default()
        }
    }
}
