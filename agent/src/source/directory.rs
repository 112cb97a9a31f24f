//! A watched folder of Kubernetes manifests as a source.
//!
//! Files named `*.yaml`, `*.yml` and `*.json` directly in the folder count; names that begin with a dot do not. A
//! file that cannot be understood is reported, and what it said before stays in force until it can be. An object
//! that several files define is taken from the one whose name sorts first, and the others are reported.
//!
//! A file is read again when it was closed after writing, or when it came or went under its name: an editor's
//! half-written file is not looked at. A swap of `..data`, which is how a mounted ConfigMap changes, reads
//! everything again.
//!
//! Must not know what the objects mean (`manifest` does), nor who listens.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::sync::watch;

use super::{Event, Source};

mod files;
mod watcher;

use files::Files;
use watcher::Watcher;

/// Changes are collected until nothing has happened, and nothing was written to, for this long …
const QUIET: Duration = Duration::from_millis(40);
/// … but no longer than this after the first.
const AT_MOST: Duration = Duration::from_millis(500);
/// How often a folder that went away is looked for.
const RETRY: Duration = Duration::from_secs(1);

/// Something in the folder that is not in force as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file's name within the folder; empty for the folder itself.
    pub file: String,
    /// The document within the file, counted from 1.
    pub document: Option<usize>,
    /// The line within the file, counted from 1, where it is known.
    pub line: Option<usize>,
    /// The path of the field; empty for a document as a whole.
    pub field: String,
    /// What is wrong, and what is in force instead.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}",
            if self.file.is_empty() {
                "the manifest folder"
            } else {
                &self.file
            }
        )?;
        if let Some(document) = self.document {
            write!(f, ", document {document}")?;
        }
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ", field {}", self.field)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// How the folder fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryStatus {
    /// Files in force.
    pub files: usize,
    /// Objects in force.
    pub objects: usize,
    /// What is not in force, ordered by file and document.
    pub faults: Vec<Fault>,
}

/// A watched folder of manifests. Holds the objects of every file in memory.
#[derive(Debug)]
pub struct DirectorySource {
    path: PathBuf,
    /// Absent while the folder is.
    watcher: Option<Watcher>,
    files: Files,
    listed: bool,
    /// What is to be read again. Kept here so that a cancelled wait loses nothing.
    pending: Pending,
    status: watch::Sender<DirectoryStatus>,
}

/// Names of files to be read again.
#[derive(Debug, Default)]
struct Pending {
    /// Everything, because names are not known.
    all: bool,
    /// These.
    names: BTreeSet<OsString>,
}

impl Pending {
    fn is_empty(&self) -> bool {
        !self.all && self.names.is_empty()
    }
}

impl DirectorySource {
    /// Watches the folder `path`. Nothing is read before the first [`next`](Source::next).
    ///
    /// # Errors
    /// When the folder cannot be watched: most often because it does not exist or is no folder.
    pub fn open(path: impl AsRef<Path>) -> io::Result<DirectorySource> {
        let path = path.as_ref().to_path_buf();
        Ok(DirectorySource {
            watcher: Some(Watcher::open(&path)?),
            path,
            files: Files::default(),
            listed: false,
            pending: Pending {
                all: true,
                ..Pending::default()
            },
            status: watch::Sender::default(),
        })
    }

    /// How the folder fares; changes after every reading.
    pub fn status(&self) -> watch::Receiver<DirectoryStatus> {
        self.status.subscribe()
    }

    /// Waits until something is to be read, and then for the end of the burst.
    async fn settle(&mut self) {
        while self.pending.is_empty() {
            match &mut self.watcher {
                Some(watcher) => {
                    if watcher.wait(&mut self.pending).await.is_err() {
                        self.lose();
                    }
                }
                None => self.find_again().await,
            }
        }
        if !self.listed {
            return;
        }
        let deadline = tokio::time::Instant::now() + AT_MOST;
        while let Some(watcher) = &mut self.watcher {
            let until = (tokio::time::Instant::now() + QUIET).min(deadline);
            match tokio::time::timeout_at(until, watcher.wait(&mut self.pending)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => self.lose(),
                Err(_) => return,
            }
        }
    }

    fn lose(&mut self) {
        tracing::warn!(path = %self.path.display(), "the manifest folder is gone; its last state stays in force");
        self.watcher = None;
        self.status.send_modify(|status| {
            let fault = Fault {
                file: String::new(),
                document: None,
                line: None,
                field: String::new(),
                message: "gone; its last state stays in force".to_owned(),
            };
            if !status.faults.contains(&fault) {
                status.faults.insert(0, fault);
            }
        });
    }

    async fn find_again(&mut self) {
        tokio::time::sleep(RETRY).await;
        if let Ok(watcher) = Watcher::open(&self.path) {
            tracing::info!(path = %self.path.display(), "the manifest folder is back");
            self.watcher = Some(watcher);
            self.pending.all = true;
        }
    }

    /// Reads what is pending and says what changed by it.
    fn read(&mut self) -> Vec<Event> {
        let pending = std::mem::take(&mut self.pending);
        let before =
            std::mem::take(&mut self.status.send_replace(DirectoryStatus::default()).faults);
        let (events, status) = self.files.read(&self.path, &pending);
        for fault in status.faults.iter().filter(|fault| !before.contains(fault)) {
            tracing::warn!(
                path = %self.path.display(), file = fault.file, document = fault.document, field = fault.field,
                error = fault.message, "manifest not in force",
            );
        }
        self.status.send_replace(status);
        if self.listed {
            return events;
        }
        self.listed = true;
        self.files.listing()
    }
}

impl Source for DirectorySource {
    async fn next(&mut self) -> Vec<Event> {
        loop {
            self.settle().await;
            let events = self.read();
            if !events.is_empty() {
                return events;
            }
        }
    }
}

#[cfg(test)]
mod tests;
