//! What can go wrong on the Linux side, in words that name the device, the namespace and the kernel's answer.

use std::{io, path::PathBuf, time::Duration};

/// An operation on the node's or a pod's network that failed.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The kernel refused a request; the source carries its errno.
    #[error("{action}: {source}")]
    Kernel {
        /// What was being done, with the names of the objects it was done to.
        action: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The namespace file cannot be opened or entered.
    #[error("network namespace {path}: {source}")]
    Netns {
        /// The file that names the namespace.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A device that somebody else creates did not come in time.
    #[error("device {name} did not appear within {waited:?}")]
    NoDevice {
        /// The device's name.
        name: String,
        /// How long was waited.
        waited: Duration,
    },
    /// The dedicated thread of a namespace ended without an answer (it panicked, or could not be started).
    #[error("the thread of a network namespace ended without an answer")]
    ThreadLost,
}

impl HostError {
    pub(crate) fn kernel(action: impl Into<String>, source: io::Error) -> HostError {
        HostError::Kernel {
            action: action.into(),
            source,
        }
    }

    /// The errno behind the error, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            HostError::Kernel { source, .. } | HostError::Netns { source, .. } => {
                source.raw_os_error()
            }
            HostError::NoDevice { .. } | HostError::ThreadLost => None,
        }
    }

    /// Whether the namespace itself does not exist (any more), as opposed to something inside it.
    pub fn namespace_is_gone(&self) -> bool {
        use nix::libc::{EINVAL, ENOENT};
        // A stale bind mount target is a plain file, which setns answers with EINVAL.
        matches!(self, HostError::Netns { source, .. }
            if matches!(source.raw_os_error(), Some(ENOENT | EINVAL)))
    }
}
