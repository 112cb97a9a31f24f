//! What each command does, given a valid environment and configuration.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_rpc::method::{CniAdd, CniCheck, CniDel, CniGc, CniStatus};
use sluice_rpc::{
    AddRequest, CheckRequest, CniCode, CniError, Deadline, DelRequest, GcRequest, StatusRequest,
};

use crate::agent::{self, Patience};
use crate::compare;
use crate::config::{self, Config};
use crate::environment::{Command, Environment};
use crate::result::CniResult;
use crate::version::{CniVersion, VersionField};

/// How long STATUS waits for an agent that is away: long enough for an upgrade's restart, short
/// enough for a runtime that asks every five seconds.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// How long undoing an ADD may take whose result could not be printed.
const UNDO_TIMEOUT: Duration = Duration::from_secs(5);

/// What goes to stdout on success.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Nothing.
    Silent,
    /// This, on one line.
    Print(Value),
}

/// How to undo an ADD.
#[derive(Debug)]
pub struct Undo {
    socket: PathBuf,
    request: DelRequest,
}

impl Undo {
    /// Best effort; the runtime is told that ADD failed either way, and sends DEL.
    pub fn run(&self) {
        let deadline = Deadline::after(UNDO_TIMEOUT);
        let _ = agent::call::<CniDel>(&self.socket, deadline, Patience::UntilDeadline, |_| {
            self.request.clone()
        });
    }
}

/// VERSION: the answer to `stdin`, which may be empty. Echoes the version asked with, served or
/// not.
///
/// # Errors
/// [`CniCode::DECODE`].
pub fn version(stdin: &[u8]) -> Result<Outcome, CniError> {
    let field = match stdin.iter().all(u8::is_ascii_whitespace) {
        true => None,
        false => Some(VersionField::of(&config::decode(stdin)?)?),
    };
    let asked = field.as_ref().and_then(VersionField::given);
    Ok(Outcome::Print(json!({
        "cniVersion": asked.unwrap_or(CniVersion::default().name()),
        "supportedVersions": CniVersion::NAMES,
    })))
}

/// Any command but VERSION; with ADD's result comes how to undo it.
///
/// # Errors
/// As the specification names them for the command.
pub fn run(
    environment: &Environment,
    config: &Config,
    version: CniVersion,
) -> Result<(Outcome, Option<Undo>), CniError> {
    let deadline = Deadline::after(config.timeout);
    let outcome = match environment.command {
        Command::Add => {
            let printed = add(environment, config, version, deadline)?;
            let undo = Undo {
                socket: config.socket.clone(),
                request: del_request(environment, config),
            };
            return Ok((Outcome::Print(printed), Some(undo)));
        }
        Command::Del => del(environment, config, deadline)?,
        Command::Check => check(environment, config, deadline)?,
        Command::Gc => gc(config, deadline)?,
        Command::Status => status(config)?,
        // Answered before environment and configuration are read.
        Command::Version => self::version(&[])?,
    };
    Ok((outcome, None))
}

fn add(
    environment: &Environment,
    config: &Config,
    version: CniVersion,
    deadline: Deadline,
) -> Result<Value, CniError> {
    if config.prev_result.is_some() {
        return Err(CniError::new(
            CniCode::INVALID_CONFIG,
            "sluice-cni must be the first plugin of its list",
        )
        .with_details(
            "the configuration has a prevResult: another plugin ran before this one, which makes \
             the pod's interface itself",
        ));
    }
    let netns = required_netns(environment);
    let attachment = agent::call::<CniAdd>(
        &config.socket,
        deadline,
        Patience::UntilDeadline,
        |attempt| AddRequest {
            container_id: environment.container_id.clone(),
            ifname: environment.ifname.clone(),
            netns: netns.clone(),
            network: config.network.clone(),
            pod: environment.pod.clone(),
            mtu: config.mtu,
            deadline_ms: u64::try_from(deadline.left().as_millis()).unwrap_or(u64::MAX),
            attempt,
        },
    )?;
    CniResult::of(
        &attachment,
        &environment.ifname,
        &netns,
        config.dns.as_ref(),
        version,
    )
    .to_json()
}

fn del_request(environment: &Environment, config: &Config) -> DelRequest {
    DelRequest {
        container_id: environment.container_id.clone(),
        ifname: environment.ifname.clone(),
        network: config.network.clone(),
        netns: environment.netns.clone(),
    }
}

/// While the agent is away nothing is known of the attachment, so DEL waits, then asks to be
/// tried again: success would leave a port and an address behind that nobody asks for any more.
fn del(
    environment: &Environment,
    config: &Config,
    deadline: Deadline,
) -> Result<Outcome, CniError> {
    let request = del_request(environment, config);
    agent::call::<CniDel>(&config.socket, deadline, Patience::UntilDeadline, |_| {
        request.clone()
    })?;
    Ok(Outcome::Silent)
}

fn check(
    environment: &Environment,
    config: &Config,
    deadline: Deadline,
) -> Result<Outcome, CniError> {
    let prev_result = config.prev_result.as_ref().ok_or_else(|| {
        CniError::new(
            CniCode::INVALID_CONFIG,
            "CHECK needs a prevResult and the configuration has none",
        )
    })?;
    let expected = CniResult::from_prev_result(prev_result)?;
    let netns = required_netns(environment);
    let request = CheckRequest {
        container_id: environment.container_id.clone(),
        ifname: environment.ifname.clone(),
        netns: netns.clone(),
        network: config.network.clone(),
    };
    let actual =
        agent::call::<CniCheck>(&config.socket, deadline, Patience::UntilDeadline, |_| {
            request.clone()
        })?;
    let mut found =
        compare::differences(&expected, &actual.attachment, &environment.ifname, &netns);
    found.extend(actual.problems);
    if found.is_empty() {
        return Ok(Outcome::Silent);
    }
    let count = found.len();
    Err(CniError::new(
        CniCode::CHECK_FAILED,
        format!(
            "{count} difference{} found",
            if count == 1 { "" } else { "s" }
        ),
    )
    .with_details(found.join("\n")))
}

fn gc(config: &Config, deadline: Deadline) -> Result<Outcome, CniError> {
    let request = GcRequest {
        network: config.network.clone(),
        valid: config.valid_attachments.clone(),
    };
    let done = agent::call::<CniGc>(&config.socket, deadline, Patience::UntilDeadline, |_| {
        request.clone()
    })?;
    if done.failed.is_empty() {
        return Ok(Outcome::Silent);
    }
    let lines: Vec<String> = done
        .failed
        .iter()
        .map(|failure| {
            let attachment = &failure.attachment;
            format!(
                "{} {}: {}",
                attachment.container_id, attachment.ifname, failure.error
            )
        })
        .collect();
    Err(CniError::new(
        CniCode::GC_INCOMPLETE,
        format!(
            "{} attachments removed, {} not",
            done.removed.len(),
            lines.len()
        ),
    )
    .with_details(lines.join("\n")))
}

/// An agent that is away cannot serve ADD, while what it attached goes on: code 50. Only the
/// agent can know that the switch is away too, and says 51.
fn status(config: &Config) -> Result<Outcome, CniError> {
    let deadline = Deadline::after(config.timeout.min(STATUS_TIMEOUT));
    agent::call::<CniStatus>(&config.socket, deadline, Patience::ForConnection, |_| {
        StatusRequest {
            network: config.network.clone(),
        }
    })
    .map_err(|error| match error.code {
        CniCode::NOT_AVAILABLE | CniCode::LIMITED_CONNECTIVITY => error,
        _ => CniError {
            code: CniCode::NOT_AVAILABLE,
            ..error
        },
    })?;
    Ok(Outcome::Silent)
}

/// [`Environment::read`] has seen to it that ADD and CHECK have one.
fn required_netns(environment: &Environment) -> String {
    environment.netns.clone().unwrap_or_default()
}
