//! Network namespaces of pods.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// A pod's network namespace, removed when dropped.
#[derive(Debug)]
pub(crate) struct PodNetns {
    path: PathBuf,
}

impl PodNetns {
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = Path::new("/run/netns").join(name);
        File::create(&path)?;
        let target = path.clone();
        // A namespace belongs to a thread; this one ends with its task.
        let made = std::thread::spawn(move || -> Result<()> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let none: Option<&str> = None;
            mount(
                Some("/proc/thread-self/ns/net"),
                &target,
                none,
                MsFlags::MS_BIND,
                none,
            )?;
            Ok(())
        });
        made.join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        Ok(PodNetns { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PodNetns {
    fn drop(&mut self) {
        // What stays behind ends with the mount namespace.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
        let _ = std::fs::remove_file(&self.path);
    }
}
