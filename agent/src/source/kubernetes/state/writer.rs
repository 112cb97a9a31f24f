//! The thread that writes the file, and the way to tell it something, which never waits for the disk.
//!
//! A disk that refuses is tried again with growing pauses, and what is to be written meanwhile is the last word on each
//! object (`pending`). It is said in the log and in the status until it is over.

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch as channel;

mod lines;

use self::lines::{Lines, Place};
use super::pending::Pending;
use super::{Entry, HEADER, Record, covered, record};
use crate::source::PodScope;
use crate::source::kubernetes::KubernetesStatus;
use crate::source::object::{Kind, ObjectRef};

/// A file below this size is not tidied up.
const SMALL: u64 = 1 << 20;
/// So many words at once are written as a new file, since they may be of days.
const MANY: usize = 1024;
/// The first and the longest pause before a disk that refuses is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The way to the thread that writes; when it is dropped, that ends with what it was told.
#[derive(Debug)]
pub(in crate::source::kubernetes) struct Keeper {
    shared: Arc<Shared>,
}

impl Keeper {
    /// Starts the thread for the file at `path`.
    pub(super) fn start(path: &Path, status: channel::Sender<KubernetesStatus>) -> Keeper {
        let shared = Arc::<Shared>::default();
        let writer = Writer::new(path, Arc::clone(&shared));
        thread::spawn(move || writer.run(&status));
        Keeper { shared }
    }

    /// Tells it what happened.
    pub(in crate::source::kubernetes) fn tell(&self, entry: Entry) {
        self.shared.tell(entry);
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.news.notify_one();
    }
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    news: Condvar,
}

/// What the thread and those who tell it something both know.
#[derive(Debug, Default)]
struct Desk {
    pending: Pending,
    /// Where each object's line is in the file.
    lines: Lines,
    /// Objects of which a line is being written.
    flying: HashSet<ObjectRef>,
    listed: BTreeSet<Kind>,
    /// Whether it was said which pods there are.
    covered: bool,
    closed: bool,
}

impl Desk {
    /// Whether there is something to be written, and all is known that makes a file whole: until then that of an
    /// earlier time stays. Pods are not listed as a whole: what of them is there is said by what is covered.
    fn is_due(&self) -> bool {
        let mut others = Kind::ALL.iter().filter(|kind| **kind != Kind::Pod);
        !self.pending.is_empty() && self.covered && others.all(|kind| self.listed.contains(kind))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, entry: Entry) {
        let mut desk = self.lock();
        let Desk {
            pending,
            lines,
            flying,
            listed,
            covered,
            ..
        } = &mut *desk;
        match &entry {
            Entry::Listed(kind, _) => drop(listed.insert(*kind)),
            Entry::Covered(_) => *covered = true,
            _ => {}
        }
        pending.take(entry, |it| lines.contains(it) || flying.contains(it));
        drop(desk);
        self.news.notify_one();
    }

    /// Waits for something to be written, at `not_before` at the earliest; whether it is the last time.
    fn wait(&self, not_before: Option<Instant>) -> bool {
        let mut desk = self.lock();
        loop {
            let left = not_before.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.filter(|left| !left.is_zero());
            match left {
                _ if desk.closed => return true,
                None if desk.is_due() => return false,
                None => desk = self.news.wait(desk).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.news.wait_timeout(desk, left);
                    desk = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }
}

/// The file as it is written.
#[derive(Debug)]
struct Writer {
    path: PathBuf,
    shared: Arc<Shared>,
    /// The file that we have written, once there is one.
    file: Option<File>,
    size: u64,
    /// Bytes of lines that are in force.
    live: u64,
    /// Of which pods it says that it has them.
    scope: Option<PodScope>,
    /// Whether what follows `size` in the file is to be thrown away.
    torn: bool,
}

impl Writer {
    fn new(path: &Path, shared: Arc<Shared>) -> Writer {
        Writer {
            path: path.to_owned(),
            shared,
            file: None,
            size: 0,
            live: 0,
            scope: None,
            torn: false,
        }
    }

    /// Writes until nobody has anything to say any more.
    fn run(mut self, status: &channel::Sender<KubernetesStatus>) {
        let (mut pause, mut not_before) = (PAUSE.0, None);
        loop {
            let last = self.shared.wait(not_before);
            match self.write_pending() {
                Ok(()) => {
                    (pause, not_before) = (PAUSE.0, None);
                    self.well(status);
                }
                Err(error) => {
                    not_before = Some(Instant::now() + pause);
                    pause = (pause * 2).min(PAUSE.1);
                    self.trouble(status, &error);
                }
            }
            if last {
                return;
            }
        }
    }

    fn well(&self, status: &channel::Sender<KubernetesStatus>) {
        status.send_if_modified(|status| {
            let trouble = status.unkept.take();
            if let Some((_, since)) = &trouble {
                let seconds = since.elapsed().as_secs();
                tracing::info!(path = %self.path.display(), seconds, "last known state is kept on disk again");
            }
            trouble.is_some()
        });
    }

    fn trouble(&self, status: &channel::Sender<KubernetesStatus>, error: &io::Error) {
        let why = format!("{}: {error}", self.path.display());
        status.send_if_modified(|status| {
            let before = status.unkept.as_ref();
            if before.is_some_and(|(before, _)| *before == why) {
                return false;
            }
            let since = before.map_or_else(Instant::now, |(_, since)| *since);
            tracing::warn!(path = %self.path.display(), %error, "last known state not kept on disk; trying again");
            status.unkept = Some((why, since));
            true
        });
    }

    /// Writes what is to be written, if all is known that makes a file whole. What the disk refuses stays to be written.
    fn write_pending(&mut self) -> io::Result<()> {
        let mut desk = self.shared.lock();
        if !desk.is_due() {
            return Ok(());
        }
        let news = desk.pending.split_off();
        desk.flying = news.set().cloned().collect();
        drop(desk);
        let written = self.write(&news);
        let mut desk = self.shared.lock();
        desk.flying = HashSet::new();
        if written.is_err() {
            desk.pending.take_back(news);
        }
        written
    }

    fn write(&mut self, news: &Pending) -> io::Result<()> {
        let words = news.words();
        if news.is_much() || words.len() > MANY || !self.is_in_place() {
            return self.rewrite(news);
        }
        let Some(file) = &self.file else {
            return Ok(());
        };
        if self.torn {
            file.set_len(self.size)?;
            self.torn = false;
        }
        let mut text = String::new();
        let mut places = Vec::with_capacity(words.len());
        for (reference, word) in words {
            let line = line(reference, word.as_deref());
            let place = (self.size + text.len() as u64, line.len() as u64);
            places.push((reference.clone(), word.is_some().then_some(place)));
            text += &line;
        }
        // What says which pods there are comes after them.
        text.extend(news.covered().map(covered));
        self.torn = true;
        file.write_all_at(text.as_bytes(), self.size)?;
        self.torn = false;
        self.size += text.len() as u64;
        self.scope = news.covered().or(self.scope.as_ref()).cloned();
        let mut desk = self.shared.lock();
        for (reference, place) in places {
            let old = match place {
                Some(place) => desk.lines.insert(reference, place),
                None => desk.lines.remove(&reference),
            };
            self.live += place.map_or(0, |(_, length)| length);
            self.live = self
                .live
                .saturating_sub(old.map_or(0, |(_, length)| length));
        }
        drop(desk);
        if self.size > SMALL && self.size > 2 * self.live {
            self.rewrite(&Pending::default())?;
        }
        Ok(())
    }

    /// Whether the file that we have written is where it was put.
    fn is_in_place(&self) -> bool {
        let ours = self.file.as_ref().and_then(|file| file.metadata().ok());
        let there = fs::metadata(&self.path).ok();
        let which = |it: fs::Metadata| (it.dev(), it.ino());
        ours.is_some() && ours.map(which) == there.map(which)
    }

    /// Writes a new file, of what is in force in the old one and of what is new, and puts it in the old one's place.
    fn rewrite(&mut self, news: &Pending) -> io::Result<()> {
        let beside = self.path.with_extension("new");
        let written = self.write_beside(&beside, news);
        if written.is_err() {
            // It may be what fills the disk.
            let _ = fs::remove_file(&beside);
        }
        written
    }

    fn write_beside(&mut self, beside: &Path, news: &Pending) -> io::Result<()> {
        let new = File::options()
            .create(true)
            .read(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(beside)?;
        let mut out = Output {
            to: BufWriter::new(new),
            size: 0,
        };
        out.write(HEADER.as_bytes())?;
        let mut lines = Lines::default();
        if let Some(old) = &self.file {
            let mut text = Vec::new();
            for (reference, (at, length)) in self.kept(news) {
                text.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
                old.read_exact_at(&mut text, at)?;
                if Record::parse(&text).is_none() {
                    return Err(io::Error::other(
                        "somebody else has changed the file; it is written anew when the agent starts again",
                    ));
                }
                lines.insert(reference, out.write(&text)?);
            }
        }
        for (reference, word) in news.words() {
            if word.is_some() {
                let place = out.write(line(reference, word.as_deref()).as_bytes())?;
                lines.insert(reference.clone(), place);
            }
        }
        for kind in Kind::ALL {
            out.write(record(&format!("listed {kind}")).as_bytes())?;
        }
        let scope = news.covered().or(self.scope.as_ref()).cloned();
        if let Some(scope) = &scope {
            out.write(covered(scope).as_bytes())?;
        }
        let size = out.size;
        let new = out
            .to
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        new.sync_data()?;
        fs::rename(beside, &self.path)?;
        self.live = size;
        self.size = size;
        self.file = Some(new);
        self.scope = scope;
        self.torn = false;
        self.shared.lock().lines = lines;
        Ok(())
    }

    /// The lines of the file that stay in force, in their order.
    fn kept(&self, news: &Pending) -> Vec<(ObjectRef, Place)> {
        let desk = self.shared.lock();
        let kept = desk.lines.iter().filter(|(it, _)| !news.overrides(it));
        let mut kept: Vec<_> = kept.collect();
        kept.sort_unstable_by_key(|(_, place)| *place);
        kept
    }
}

fn line(reference: &ObjectRef, word: Option<&str>) -> String {
    let ObjectRef {
        kind,
        namespace,
        name,
    } = reference;
    record(&match word {
        Some(text) => format!("set {kind} {text}"),
        None => format!("gone {kind} {namespace}/{name}"),
    })
}

/// A file that is being written, and how much of it there is.
struct Output {
    to: BufWriter<File>,
    size: u64,
}

impl Output {
    /// Adds a line; where it begins, and its length.
    fn write(&mut self, line: &[u8]) -> io::Result<Place> {
        self.to.write_all(line)?;
        let place = (self.size, line.len() as u64);
        self.size += place.1;
        Ok(place)
    }
}

#[cfg(test)]
mod tests;
