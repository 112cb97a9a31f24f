//! One target, listed and watched for ever.
//!
//! Where the server can, the list comes over the watch itself (`sendInitialEvents`), so that neither end holds it
//! twice; elsewhere it comes in pages. A watch that ends goes on where it was; a place in history that the server has
//! forgotten (410) means a new list. Attempts that fail are repeated with growing pauses, each of random length, so
//! that a server that comes back is not met by all nodes at once.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use axum::http::Request;
use futures::io::{AsyncBufRead, AsyncBufReadExt as _};
use kube::Client;
use tokio::sync::{mpsc, watch as channel};

use super::access::{Access, chain};
use super::wire::{self, Found, Item, Line, News};
use super::{KubernetesStatus, Target, Watching};

/// The first and the longest pause between attempts; the real one is half to all of it.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(20));
/// A watch that has lasted so long was a good one.
const STABLE: Duration = Duration::from_secs(10);
/// The server is asked to end a watch after this many seconds, plus a random part of as many again.
const LENGTH: u64 = 300;
/// How long the initial events of a streamed list may pause before the list is asked for in pages.
const INITIAL: Duration = Duration::from_secs(20);
/// Objects on a page of a list.
const PAGE: usize = 500;
/// No line of a watch is longer: etcd takes no object of half this size.
const LONGEST: usize = 8 << 20;

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// The server ended the watch in good order.
    Closed,
    /// The place in history is forgotten.
    Expired,
    /// The server cannot stream lists.
    NoStreams,
    /// Anything else.
    Failed(String),
}

impl From<kube::Error> for End {
    fn from(error: kube::Error) -> End {
        match &error {
            kube::Error::Api(status) if status.code == 410 => End::Expired,
            kube::Error::Api(status) => {
                End::Failed(format!("{} ({})", status.message, status.code))
            }
            other => End::Failed(chain(other)),
        }
    }
}

/// The task of one target.
#[derive(Debug)]
pub(super) struct Watcher {
    /// Which of all tasks there have been: what it finds is told apart from what an earlier one found.
    id: u64,
    target: Target,
    access: Access,
    news: mpsc::Sender<News>,
    status: channel::Sender<KubernetesStatus>,
    /// Whether texts are kept on disk.
    keep: bool,
    /// Whether the server is thought to stream lists.
    streams: bool,
    /// The place in history from which a watch can go on.
    version: Option<String>,
}

impl Watcher {
    pub(super) fn new(
        id: u64,
        target: Target,
        access: Access,
        news: mpsc::Sender<News>,
        status: channel::Sender<KubernetesStatus>,
        keep: bool,
    ) -> Watcher {
        Watcher {
            id,
            target,
            access,
            news,
            status,
            keep,
            streams: true,
            version: None,
        }
    }

    /// Lists and watches until nobody listens any more.
    pub(super) async fn run(mut self) {
        let mut pause = PAUSE.0;
        let mut client = None;
        while !self.news.is_closed() {
            let began = Instant::now();
            let end = self.session(&mut client).await;
            match end {
                End::Closed => {}
                End::Expired => {
                    tracing::info!(watch = %self.target, "listing again: the server has forgotten where the watch was");
                    self.version = None;
                }
                End::NoStreams => {
                    tracing::info!(watch = %self.target, "the server does not stream lists; asking in pages");
                    self.streams = false;
                    continue;
                }
                End::Failed(why) => {
                    tracing::warn!(watch = %self.target, error = why, "not watching; trying again");
                    self.update(|watching| match &mut watching.trouble {
                        Some((last, _)) => *last = why,
                        None => watching.trouble = Some((why, Instant::now())),
                    });
                    // Files may have changed since it was made, and the server may be another.
                    client = None;
                    self.streams = true;
                }
            }
            if began.elapsed() >= STABLE {
                pause = PAUSE.0;
            }
            tokio::time::sleep(jitter(pause)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    async fn session(&mut self, client: &mut Option<Client>) -> End {
        let client = match client {
            Some(client) => &*client,
            None => match self.access.client().await {
                Ok(new) => &*client.insert(new),
                Err(error) => return End::Failed(error.to_string()),
            },
        };
        let result = match (&self.version, self.streams) {
            (None, true) => self.streamed(client).await,
            (None, false) => match self.listed(client).await {
                Ok(()) => self.watched(client).await,
                Err(end) => Err(end),
            },
            (Some(_), _) => self.watched(client).await,
        };
        match result {
            Ok(()) => End::Closed,
            Err(end) => end,
        }
    }

    /// Lists over a watch and goes on watching.
    async fn streamed(&mut self, client: &Client) -> Result<(), End> {
        let query = format!(
            "{}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            self.watch_query()
        );
        let reader = match self.open(client, &query).await {
            Err(kube::Error::Api(status)) if cannot_stream(status.code) => {
                return Err(End::NoStreams);
            }
            other => other?,
        };
        let mut lines = Lines::new(reader);
        let mut items = Vec::new();
        let version = loop {
            let line = match tokio::time::timeout(INITIAL, self.line(&mut lines)).await {
                Ok(line) => line?,
                // Such a server waits for its database to confirm what it cannot.
                Err(_) => return Err(End::NoStreams),
            };
            match line {
                None => return Err(End::Failed("the list ended in the middle".to_owned())),
                Some(Line::Set { item, .. }) => items.push(item),
                Some(Line::Bookmark {
                    version,
                    initial: true,
                }) => break version,
                Some(Line::Gone { reference, .. }) => {
                    items.retain(
                        |item| !matches!(item, Item::Object(o, _) if o.reference() == reference),
                    );
                }
                Some(Line::Bookmark { .. } | Line::Unknown(_)) => {}
                Some(Line::Error { code, .. }) if cannot_stream(code) => {
                    return Err(End::NoStreams);
                }
                Some(Line::Error { code, message }) => return Err(ended(code, message)),
            }
        };
        self.hand_list(items, version).await?;
        self.follow(&mut lines).await
    }

    /// Lists in pages.
    async fn listed(&mut self, client: &Client) -> Result<(), End> {
        let mut items = Vec::new();
        let mut next = String::new();
        loop {
            let mut query = self.query(&format!("limit={PAGE}"));
            if !next.is_empty() {
                query.push_str(&format!("&continue={}", escape(&next)));
            }
            let text = client.request_text(self.request(&query)?).await?;
            self.count(text.len());
            let page = wire::page(self.target.kind(), &text, self.keep)
                .map_err(|error| End::Failed(format!("not a list: {error}")))?;
            items.extend(page.items);
            next = page.next;
            if next.is_empty() {
                return self.hand_list(items, page.version).await;
            }
        }
    }

    /// Watches from the place in history where the last watch or list ended.
    async fn watched(&mut self, client: &Client) -> Result<(), End> {
        let version = self.version.clone().unwrap_or_default();
        let query = format!(
            "{}&resourceVersion={}",
            self.watch_query(),
            escape(&version)
        );
        let reader = self.open(client, &query).await?;
        self.well();
        self.follow(&mut Lines::new(reader)).await
    }

    async fn follow(&mut self, lines: &mut Lines<impl AsyncBufRead + Unpin>) -> Result<(), End> {
        while let Some(line) = self.line(lines).await? {
            let (found, version) = match line {
                Line::Set { item, version } => (Found::Changed(item), version),
                Line::Gone { reference, version } => (Found::Gone(reference), version),
                Line::Bookmark { version, .. } => {
                    self.version = Some(version);
                    continue;
                }
                Line::Error { code, message } => return Err(ended(code, message)),
                Line::Unknown(kind) => {
                    tracing::warn!(watch = %self.target, line = kind, "unknown kind of line passed over");
                    continue;
                }
            };
            self.update(|watching| watching.changes += 1);
            self.hand_on(found).await?;
            self.version = Some(version);
        }
        Ok(())
    }

    async fn line(
        &self,
        lines: &mut Lines<impl AsyncBufRead + Unpin>,
    ) -> Result<Option<Line>, End> {
        let Some(text) = lines.next().await? else {
            return Ok(None);
        };
        self.count(text.len());
        wire::line(self.target.kind(), text, self.keep)
            .map(Some)
            .map_err(|error| End::Failed(format!("not a line of a watch: {error}")))
    }

    async fn open(
        &self,
        client: &Client,
        query: &str,
    ) -> Result<impl AsyncBufRead + Unpin + use<>, kube::Error> {
        let request = Request::get(format!("{}?{query}", self.target.path()))
            .body(Vec::new())
            .map_err(kube::Error::HttpError)?;
        Ok(Box::pin(client.request_stream(request).await?))
    }

    fn request(&self, query: &str) -> Result<Request<Vec<u8>>, End> {
        Request::get(format!("{}?{query}", self.target.path()))
            .body(Vec::new())
            .map_err(|error| End::Failed(error.to_string()))
    }

    async fn hand_list(&mut self, items: Vec<Item>, version: String) -> Result<(), End> {
        tracing::debug!(watch = %self.target, objects = items.len(), version, "listed");
        self.update(|watching| watching.lists += 1);
        self.hand_on(Found::Listed(items)).await?;
        self.version = Some(version);
        self.well();
        Ok(())
    }

    async fn hand_on(&self, found: Found) -> Result<(), End> {
        let from = self.id;
        let sent = self.news.send(News { from, found }).await;
        sent.map_err(|_| End::Failed("nobody listens".to_owned()))
    }

    fn well(&self) {
        self.status.send_if_modified(|status| {
            let trouble = status.watches.get_mut(&self.target).and_then(|watching| watching.trouble.take());
            if let Some((_, since)) = &trouble {
                tracing::info!(watch = %self.target, seconds = since.elapsed().as_secs(), "watching again");
            }
            trouble.is_some()
        });
    }

    fn count(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        // Whoever waits for a change of the status need not know of every byte.
        self.status.send_if_modified(|status| {
            if let Some(watching) = status.watches.get_mut(&self.target) {
                watching.bytes = watching.bytes.saturating_add(bytes);
            }
            false
        });
    }

    fn update(&self, change: impl FnOnce(&mut Watching)) {
        self.status.send_if_modified(|status| {
            let watching = status.watches.get_mut(&self.target);
            watching.map(change).is_some()
        });
    }

    /// A query, with what narrows the target down.
    fn query(&self, query: &str) -> String {
        match self.target.filter() {
            filter if filter.is_empty() => query.to_owned(),
            filter => format!("{filter}&{query}"),
        }
    }

    fn watch_query(&self) -> String {
        let seconds = LENGTH + random() % LENGTH;
        self.query(&format!(
            "watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}"
        ))
    }
}

/// Whether a server says by this that it cannot stream lists: it is too old, or its database is.
fn cannot_stream(code: u16) -> bool {
    matches!(code, 400 | 422 | 500)
}

fn ended(code: u16, message: String) -> End {
    match code {
        410 => End::Expired,
        code => End::Failed(format!("{message} ({code})")),
    }
}

/// What stands in a query for a value of the server's own.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Half to all of a pause.
fn jitter(pause: Duration) -> Duration {
    let half = pause / 2;
    half + Duration::from_nanos(
        random() % u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).max(1),
    )
}

/// A number that differs from node to node and from time to time.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// Lines of bounded length.
struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    /// Whether the line has been handed out.
    done: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    fn new(reader: R) -> Lines<R> {
        Lines {
            reader,
            line: Vec::new(),
            done: false,
        }
    }

    /// The next line; `None` at the end. A last line without its end is no line.
    async fn next(&mut self) -> Result<Option<&[u8]>, End> {
        if self.done {
            self.line.clear();
            self.done = false;
        }
        loop {
            let failed = |error: std::io::Error| End::Failed(chain(&error));
            let chunk = self.reader.fill_buf().await.map_err(failed)?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let length = end.map_or(chunk.len(), |end| end + 1);
            self.line
                .extend_from_slice(chunk.get(..length).unwrap_or(chunk));
            self.reader.consume_unpin(length);
            if end.is_some() {
                self.done = true;
                return Ok(Some(&self.line));
            }
            if self.line.len() > LONGEST {
                return Err(End::Failed("a line longer than any object".to_owned()));
            }
        }
    }
}
