//! What a testbed has made, on disk before it is made, so that `down` works after a crash at any point.
//!
//! Namespaces and containers are found by name; the file holds what names alone do not tell.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::layout::Name;
use crate::options::Options;
use crate::pod::Pod;
use crate::process::Process;

/// The state file's content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The shape asked for.
    pub options: Options,
    /// Set for testbeds that end with the process that made them; when it is gone anybody may remove them.
    pub owner: Option<Process>,
    /// Folder with the binaries in use.
    pub bin: PathBuf,
    /// Folder with the programs of Kubernetes, in a testbed that has it.
    #[serde(default)]
    pub kubernetes_bin: Option<PathBuf>,
    /// The nodes there are, by number.
    pub nodes: Vec<u8>,
    /// The pods there are.
    pub pods: Vec<Pod>,
    /// Processes started directly on this machine.
    pub processes: Vec<Process>,
}

impl State {
    fn path(name: &Name) -> PathBuf {
        name.dir().join("state.json")
    }

    /// Reads it back.
    ///
    /// # Errors
    /// When there is none or it cannot be understood.
    pub fn load(name: &Name) -> Result<Self> {
        let path = Self::path(name);
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "no testbed `{}` here: `sluice-testbed up` makes one",
                name.as_str()
            )
        })?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a testbed's state", path.display()))
    }

    /// Writes it, at once.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, name: &Name) -> Result<()> {
        crate::manifest::write(
            &name.dir(),
            "state.json",
            &serde_json::to_string_pretty(self)?,
        )
    }
}
