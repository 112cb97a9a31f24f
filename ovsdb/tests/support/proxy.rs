//! A proxy between client and server that cuts connections when told to.
#![allow(dead_code, clippy::unwrap_used, unreachable_pub)]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ovsdb::Remote;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Allow,
    Refuse,
    /// Ends each connection after so many more bytes from the server.
    FromServer(usize),
    /// Ends each connection after so many more bytes from the client.
    FromClient(usize),
}

pub struct Proxy {
    dir: TempDir,
    rule: watch::Sender<Rule>,
    heard: Arc<Mutex<Vec<u8>>>,
    ended: watch::Receiver<usize>,
}

impl Proxy {
    pub async fn start(server: PathBuf) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("sock")).unwrap();
        let (rule, rules) = watch::channel(Rule::Allow);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let record = heard.clone();
        let (count, ended) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    return;
                };
                let now = *rules.borrow();
                if now != Rule::Refuse
                    && let Ok(server) = UnixStream::connect(&server).await
                {
                    let relay = relay(client, server, rules.clone(), record.clone());
                    let count = count.clone();
                    tokio::spawn(async move {
                        relay.await;
                        count.send_modify(|n| *n += 1);
                    });
                }
            }
        });
        Self {
            dir,
            rule,
            heard,
            ended,
        }
    }

    pub fn remote(&self) -> Remote {
        Remote::Unix(self.dir.path().join("sock"))
    }

    /// Lets connections live.
    pub fn allow(&self) {
        self.rule.send_replace(Rule::Allow);
    }

    /// Ends all connections and takes no more.
    pub fn refuse(&self) {
        self.rule.send_replace(Rule::Refuse);
    }

    /// Ends each connection, this and the next ones, after so many (more) bytes from the server.
    pub fn cut_after(&self, bytes: usize) {
        self.rule.send_replace(Rule::FromServer(bytes));
    }

    /// Ends each connection, this and the next ones, after so many (more) bytes from the client.
    pub fn cut_there_after(&self, bytes: usize) {
        self.rule.send_replace(Rule::FromClient(bytes));
    }

    /// How many connections have ended.
    pub fn ended(&self) -> usize {
        *self.ended.borrow()
    }

    /// Waits until a connection ends, from now on.
    pub async fn one_ends(&mut self) {
        self.ended.borrow_and_update();
        self.ended.changed().await.unwrap();
    }

    /// How many bytes the server has sent.
    pub fn received(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// What it sent after the first `from` bytes.
    pub fn text_since(&self, from: usize) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()[from..]).into_owned()
    }
}

async fn relay(
    client: UnixStream,
    server: UnixStream,
    rules: watch::Receiver<Rule>,
    heard: Arc<Mutex<Vec<u8>>>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let down = |rule| match rule {
        Rule::FromServer(n) => n,
        _ => usize::MAX,
    };
    let up = |rule| match rule {
        Rule::FromClient(n) => n,
        _ => usize::MAX,
    };
    let mut refused = rules.clone();
    // Whichever direction ends first ends both: the halves are dropped.
    tokio::select! {
        () = copy(&mut from_server, &mut to_client, rules.clone(), down, Some(&heard)) => {}
        () = copy(&mut from_client, &mut to_server, rules, up, None) => {}
        _ = refused.wait_for(|rule| *rule == Rule::Refuse) => {}
    }
}

async fn copy<R: AsyncReadExt + Unpin, W: AsyncWriteExt + Unpin>(
    from: &mut R,
    to: &mut W,
    mut rules: watch::Receiver<Rule>,
    limit: impl Fn(Rule) -> usize,
    heard: Option<&Mutex<Vec<u8>>>,
) {
    let mut buffer = [0; 4096];
    let mut left = limit(*rules.borrow_and_update());
    while left > 0 {
        let room = left.min(buffer.len());
        let n = tokio::select! {
            read = from.read(&mut buffer[..room]) => match read {
                Ok(n @ 1..) => n,
                _ => return,
            },
            changed = rules.changed() => {
                if changed.is_err() {
                    return;
                }
                left = limit(*rules.borrow_and_update());
                continue;
            }
        };
        if let Some(heard) = heard {
            heard.lock().unwrap().extend_from_slice(&buffer[..n]);
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
        left -= n;
    }
}
