//! Commands to the running ovs-vswitchd, as `ovs-appctl` gives them: JSON-RPC 1.0 on the daemon's control socket.
//!
//! For what neither of the two protocols can ask: which connections conntrack has. Must not know what the answers
//! mean.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ovsdb::framing::Scanner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// The longest answer that is read.
const LIMIT: usize = 256 << 20;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a command in the ovs-vswitchd whose control socket is in this folder.
///
/// # Errors
/// When there is no socket, no answer in time, or the daemon refuses the command.
pub async fn command(folder: &Path, method: &str, arguments: &[&str]) -> io::Result<String> {
    let mut last = io::Error::new(
        io::ErrorKind::NotFound,
        format!("no control socket of ovs-vswitchd in {}", folder.display()),
    );
    for socket in sockets(folder)? {
        // A daemon that was killed leaves its socket behind.
        let Ok(stream) = UnixStream::connect(&socket).await else {
            continue;
        };
        match tokio::time::timeout(PATIENCE, ask(stream, method, arguments)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn sockets(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy());
        if name.is_some_and(|name| name.starts_with("ovs-vswitchd.") && name.ends_with(".ctl")) {
            found.push(path);
        }
    }
    Ok(found)
}

async fn ask(mut stream: UnixStream, method: &str, arguments: &[&str]) -> io::Result<String> {
    let request = serde_json::json!({"id": 0, "method": method, "params": arguments});
    stream.write_all(request.to_string().as_bytes()).await?;
    let mut scanner = Scanner::new(LIMIT);
    let mut buffer = Vec::new();
    let end = loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let scanned = scanner.scan(&buffer);
        let scanned = scanned.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if let Some(envelope) = scanned {
            break envelope.end;
        }
    };
    let answer: serde_json::Value = serde_json::from_slice(buffer.get(..end).unwrap_or_default())?;
    if let Some(error) = answer.get("error").and_then(serde_json::Value::as_str) {
        return Err(io::Error::other(format!("{method}: {}", error.trim())));
    }
    let result = answer.get("result").and_then(serde_json::Value::as_str);
    Ok(result.unwrap_or_default().to_owned())
}
