//! Running work inside another network namespace.
//!
//! A namespace belongs to a *thread*. A job therefore gets an OS thread of its own with a current-thread runtime
//! of its own, enters the namespace there, and lets both die with the job: a runtime's worker thread that once
//! strayed into a pod would serve everybody else from in there.
//!
//! Must not know what the jobs do.

use std::{
    fs::File,
    future::Future,
    path::{Path, PathBuf},
};

use nix::sched::{CloneFlags, setns};
use tokio::sync::oneshot;

use super::HostError;

/// An open network namespace. It stays alive as long as this value does, whatever happens to its name.
#[derive(Debug)]
pub struct Netns {
    path: PathBuf,
    file: File,
}

impl Netns {
    /// Opens the namespace that `path` names (`/run/netns/…`, `/proc/PID/ns/net`).
    ///
    /// # Errors
    /// [`HostError::Netns`] when the file cannot be opened; whether it is a namespace at all shows when it is entered.
    pub fn open(path: &Path) -> Result<Netns, HostError> {
        match File::open(path) {
            Ok(file) => Ok(Netns {
                path: path.to_path_buf(),
                file,
            }),
            Err(source) => Err(HostError::Netns {
                path: path.to_path_buf(),
                source,
            }),
        }
    }

    /// The file descriptor, for requests that move a device by it.
    pub(crate) fn raw_fd(&self) -> i32 {
        std::os::fd::AsRawFd::as_raw_fd(&self.file)
    }

    /// Runs `job` on a thread inside this namespace. A job once begun runs to its end, even if the caller stops
    /// waiting for it.
    ///
    /// # Errors
    /// What the job answers, [`HostError::Netns`] when the namespace cannot be entered, [`HostError::ThreadLost`]
    /// when the job panicked.
    pub async fn run<T, F, Fut>(&self, job: F) -> Result<T, HostError>
    where
        T: Send + 'static,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, HostError>>,
    {
        let path = self.path.clone();
        let file = self.file.try_clone().map_err(|source| HostError::Netns {
            path: path.clone(),
            source,
        })?;
        on_own_thread(move || {
            setns(&file, CloneFlags::CLONE_NEWNET).map_err(|errno| HostError::Netns {
                path,
                source: errno.into(),
            })?;
            block_on(job())
        })
        .await
    }
}

/// Runs `job` on a thread of its own in the caller's namespace: for work that changes the thread it runs on.
pub(crate) async fn on_own_thread<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    let (answer, answered) = oneshot::channel();
    std::thread::Builder::new()
        .name("sluice-netns".into())
        .spawn(move || {
            // The caller may have gone away; then nobody wants the answer.
            let _ = answer.send(job());
        })
        .map_err(|source| HostError::kernel("start a thread", source))?;
    answered.await.unwrap_or(Err(HostError::ThreadLost))
}

/// As [`on_own_thread`], for work that waits: it gets a runtime of its own.
pub(crate) async fn on_own_thread_async<T, F, Fut>(job: F) -> Result<T, HostError>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, HostError>>,
{
    on_own_thread(move || block_on(job())).await
}

fn block_on<T>(job: impl Future<Output = Result<T, HostError>>) -> Result<T, HostError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| HostError::kernel("start a runtime", source))?
        .block_on(job)
}
