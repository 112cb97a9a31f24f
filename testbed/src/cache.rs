//! The folder for what is expensive to make and the same every time: a Debian root, a guest's
//! kernel, Docker's images. It lies outside the source tree and outlives testbeds.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// `$XDG_CACHE_HOME/sluice-testbed`, or `/var/cache/sluice-testbed`; made if it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn dir() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| Path::new("/var/cache").to_owned());
    let dir = base.join("sluice-testbed");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}
