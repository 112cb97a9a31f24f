//! Reading and writing `net.*` sysctls of the calling thread's namespace.
//!
//! `/proc/sys/net` shows the namespace of the thread that *opens* a file below it, so these functions are called
//! on the thread that has entered the namespace. In a container `/proc/sys` is usually mounted read-only; a
//! thread of its own may then remount it writable in a mount namespace of its own, which nobody else sees.

use std::{fs, io, path::PathBuf};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::HostError;

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(key)
}

/// The value of `key` (a path below `/proc/sys/net`), trimmed; `None` when this kernel has no such key.
pub(super) fn read(key: &str) -> Result<Option<String>, HostError> {
    match fs::read_to_string(path(key)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(HostError::kernel(format!("read sysctl net/{key}"), error)),
    }
}

/// Makes `key` read `value` and says whether it had to be written. A key this kernel does not have is left out:
/// the feature it governs is then absent too.
///
/// May move the calling thread into a mount namespace of its own: call it only on a thread that ends with its job.
pub(super) fn set(key: &str, value: &str) -> Result<bool, HostError> {
    match read(key)? {
        None => return Ok(false),
        Some(current) if current == value => return Ok(false),
        Some(_) => {}
    }
    let written = match fs::write(path(key), value) {
        Err(error) if error.raw_os_error() == Some(Errno::EROFS as i32) => {
            remount_writable()
                .map_err(|source| HostError::kernel("remount /proc/sys writable", source))?;
            fs::write(path(key), value)
        }
        other => other,
    };
    written
        .map_err(|source| HostError::kernel(format!("set sysctl net/{key} to {value}"), source))?;
    Ok(true)
}

fn remount_writable() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    // Nothing that happens from here on may reach the mount namespace we came from.
    mount::<str, str, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None)?;
    mount::<str, str, str, str>(
        None,
        "/proc/sys",
        None,
        MsFlags::MS_REMOUNT | MsFlags::MS_BIND,
        None,
    )?;
    Ok(())
}
