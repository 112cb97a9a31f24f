//! `kubectl` on a testbed's cluster, for people and for tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::kubernetes::certs;
use crate::layout::Name;
use crate::netns;
use crate::run;

/// How to call it.
#[derive(Clone, Debug)]
pub struct Kubectl {
    netns: PathBuf,
    program: PathBuf,
    dir: PathBuf,
}

impl Kubectl {
    /// As the administrator of a testbed's cluster; `bin` has the program.
    pub fn new(name: &Name, bin: &Path) -> Self {
        Self {
            netns: netns::path(&name.control()),
            program: bin.join("kubectl"),
            dir: name.control_dir(),
        }
    }

    /// The command, not yet started.
    pub fn command<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = run::command("nsenter", [format!("--net={}", self.netns.display())]);
        command.arg("--").arg(&self.program);
        command.env("KUBECONFIG", certs::kubeconfig(&self.dir, "admin"));
        // Otherwise it writes to the home folder.
        command.env("KUBECACHEDIR", self.dir.join("kubectl-cache"));
        command.args(args.iter().map(AsRef::as_ref));
        command
    }

    /// The command for a person, at the terminal there is.
    pub fn interactive<S: AsRef<str>>(&self, args: &[S]) -> Command {
        let mut command = self.command(args);
        command.stdin(Stdio::inherit());
        command
    }

    /// Runs it; it must succeed.
    ///
    /// # Errors
    /// As [`run::stdout`].
    pub fn run<S: AsRef<str>>(&self, args: &[S]) -> Result<String> {
        run::stdout(&mut self.command(args))
    }

    /// Applies a manifest, which may be several documents or JSON.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        let mut command = self.command(&["apply", "-f", "-"]);
        let output = run::with_input(&mut command, manifest.as_bytes())?;
        run::check(&command, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Objects as JSON: `kubectl get ARGS -o json`.
    ///
    /// # Errors
    /// When the API server refuses.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        let mut words = vec!["get"];
        words.extend(args);
        words.extend(["-o", "json"]);
        serde_json::from_str(&self.run(&words)?).context("kubectl's answer is not JSON")
    }
}
