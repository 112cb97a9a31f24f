//! The CNI plugin of Sluice (CNI specification 0.3.1 to 1.1.0).
//!
//! One invocation is one short-lived process that validates what the runtime gave it
//! ([`environment`], [`config`]), asks the agent over its Unix socket ([`agent`], [`command`]) and
//! prints a result of the asked version ([`result`]) or an error object, both on stdout, which
//! sees nothing else. It keeps no state: whatever an attachment needs is in the agent's hands
//! under the container's id, so the process may be killed at any point.
//!
//! It must not know OVSDB, OpenFlow or Kubernetes; of pods it passes on three names.

pub mod agent;
pub mod command;
pub mod compare;
pub mod config;
pub mod environment;
pub mod log;
pub mod result;
pub mod version;

use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;
use std::time::Instant;

use sluice_rpc::{CniCode, CniError};

use crate::command::Outcome;
use crate::environment::{Command, Environment};
use crate::version::{CniVersion, VersionField};

/// Longest network configuration accepted, bytes. GC's has one entry per attachment of the node.
const MAX_STDIN: u64 = 16 << 20;

/// The whole process: environment and stdin in, stdout and an exit status out.
pub fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_none()
        && let Some(status) = by_hand()
    {
        return status;
    }
    let started = Instant::now();
    let mut run = Run::default();
    let outcome = run.execute();
    let printed = match &outcome {
        Ok(Outcome::Silent) => Ok(()),
        Ok(Outcome::Print(json)) => print(json),
        Err(error) => print(&result::error_json(error, run.version)),
    };
    let outcome = match (outcome, printed) {
        (Ok(Outcome::Print(_)), Err(error)) => {
            if let Some(undo) = run.undo.take() {
                undo.run();
            }
            Err(CniError::new(
                CniCode::IO,
                format!("cannot write the result to stdout: {error}"),
            ))
        }
        (outcome, _) => outcome,
    };
    run.log
        .record(run.environment.as_ref(), started, outcome.as_ref().err());
    match outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What is known so far, for the error object, the log, and undoing an ADD nobody heard of.
#[derive(Default)]
struct Run {
    version: CniVersion,
    environment: Option<Environment>,
    log: log::Log,
    undo: Option<command::Undo>,
}

impl Run {
    fn execute(&mut self) -> Result<Outcome, CniError> {
        let command = Command::from_env()?;
        if command == Command::Version {
            return command::version(&read_stdin_of_version()?);
        }
        let keys = config::decode(&read_stdin()?)?;
        let field = VersionField::of(&keys)?;
        self.version = field.supported()?;
        field.allows(command, self.version)?;
        let environment = Environment::read(command)?;
        let environment = self.environment.insert(environment);
        let config = config::Config::new(keys, command)?;
        self.log = log::Log::new(config.log_file.clone());
        let (outcome, undo) = command::run(environment, &config, self.version)?;
        self.undo = undo;
        Ok(outcome)
    }
}

/// Run by a person rather than by a runtime: says what this is, on stderr (the version, when
/// asked for, on stdout). `None` if it looks like a runtime after all.
fn by_hand() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--version" | "-V") => {
            let _ = writeln!(io::stdout(), "sluice-cni {}", env!("CARGO_PKG_VERSION"));
            Some(ExitCode::SUCCESS)
        }
        None if !io::stdin().is_terminal() => None,
        argument => {
            let _ = writeln!(
                io::stderr(),
                "sluice-cni {}, the CNI plugin of Sluice (CNI {}).\n\
                 A container runtime runs it with CNI_COMMAND in its environment and a network \
                 configuration on stdin; see docs/cni.md.",
                env!("CARGO_PKG_VERSION"),
                CniVersion::NAMES.join(", "),
            );
            match argument {
                None | Some("--help" | "-h") => Some(ExitCode::SUCCESS),
                Some(_) => Some(ExitCode::FAILURE),
            }
        }
    }
}

/// VERSION is also asked by people and scripts, who give no stdin.
fn read_stdin_of_version() -> Result<Vec<u8>, CniError> {
    if io::stdin().is_terminal() {
        Ok(Vec::new())
    } else {
        read_stdin()
    }
}

fn read_stdin() -> Result<Vec<u8>, CniError> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_STDIN + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            CniError::new(
                CniCode::IO,
                format!("cannot read the network configuration: {error}"),
            )
        })?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_STDIN) {
        Ok(bytes)
    } else {
        Err(CniError::new(
            CniCode::IO,
            format!("the network configuration is longer than {MAX_STDIN} bytes"),
        ))
    }
}

/// One write, so that a reader never sees half a document from a process that goes on.
fn print(json: &serde_json::Value) -> io::Result<()> {
    let mut text = json.to_string();
    text.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
