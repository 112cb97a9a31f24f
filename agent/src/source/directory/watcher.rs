//! inotify on one folder: which names are to be read again.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use futures::StreamExt;
use inotify::{Event, EventMask, EventStream, Inotify, WatchMask};

use super::Pending;

/// Room for a good many events in one read.
const BUFFER: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Watcher {
    folder: PathBuf,
    events: EventStream<Vec<u8>>,
}

impl Watcher {
    /// Everything that happens from now on will be seen; what is there already must be read after this.
    pub(super) fn open(path: &Path) -> io::Result<Watcher> {
        let inotify = Inotify::init()?;
        // A file being written to is of no interest before it is closed; that it is being written to prolongs the
        // wait for the end of a burst (an editor that renames the old file away writes the new one under its name).
        let mask = WatchMask::CLOSE_WRITE
            | WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF
            | WatchMask::ONLYDIR;
        inotify.watches().add(path, mask)?;
        Ok(Watcher {
            folder: path.to_path_buf(),
            events: inotify.into_event_stream(vec![0; BUFFER])?,
        })
    }

    /// Waits for one event and notes what is to be read again. Cancelling it loses nothing.
    ///
    /// # Errors
    /// When the folder is no longer there under its name.
    pub(super) async fn wait(&mut self, pending: &mut Pending) -> io::Result<()> {
        match self.events.next().await {
            Some(Ok(event)) => note(&self.folder, &event, pending),
            Some(Err(error)) => Err(error),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn note<S: AsRef<OsStr>>(folder: &Path, event: &Event<S>, pending: &mut Pending) -> io::Result<()> {
    if event.mask.intersects(
        EventMask::DELETE_SELF | EventMask::MOVE_SELF | EventMask::IGNORED | EventMask::UNMOUNT,
    ) {
        return Err(io::ErrorKind::NotFound.into());
    }
    if event.mask.contains(EventMask::Q_OVERFLOW) {
        pending.all = true;
        return Ok(());
    }
    if event.mask.contains(EventMask::MODIFY) {
        return Ok(());
    }
    let Some(name) = event.name.as_ref().map(AsRef::as_ref) else {
        return Ok(());
    };
    if name == OsStr::new("..data") {
        // The files are links through `..data`, and none of them is named when it is swapped.
        pending.all = true;
    } else if super::files::counts(name)
        && !(event.mask.contains(EventMask::CREATE) && is_unwritten(&folder.join(name)))
    {
        pending.names.insert(name.to_owned());
    }
    Ok(())
}

/// Whether something just created is a regular file that somebody is about to write to; its closing will be an
/// event of its own. A symbolic or hard link is complete when it appears.
fn is_unwritten(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1)
}
