//! Calling the agent: waiting for one that restarts, trying again after a lost connection, and
//! saying in CNI's terms what went wrong.

use std::io;
use std::path::Path;
use std::time::Duration;

use sluice_rpc::{Client, ClientError, CniCode, CniError, Deadline, ErrorObject, Method, code};

/// Wait before the next attempt after an agent that asked for patience or hung up.
const PAUSE: Duration = Duration::from_millis(100);

/// Largest answer of any method the plugin calls, bytes: GC's, with one line per attachment.
const MAX_ANSWER: usize = 16 << 20;

/// What to do while the agent is away or asks to be tried later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Try until the deadline.
    UntilDeadline,
    /// Wait for an agent that is away; take its word once it speaks.
    ForConnection,
}

/// Calls `M` until it is answered or `deadline` passes. `request` is given the number of attempts
/// whose outcome is unknown (see `attempt` of [`sluice_rpc::AddRequest`]).
///
/// # Errors
/// [`CniCode::TRY_AGAIN`] when the deadline passed, the agent's own error, or why the two do not
/// fit together.
pub fn call<M: Method>(
    socket: &Path,
    deadline: Deadline,
    patience: Patience,
    mut request: impl FnMut(u32) -> M::Request,
) -> Result<M::Response, CniError> {
    let mut unknown = 0;
    loop {
        let outcome = Client::connect_waiting(socket, deadline).and_then(|mut client| {
            client.set_max_answer(MAX_ANSWER);
            client.call::<M>(&request(unknown), deadline)
        });
        let error = match outcome {
            Ok(response) => return Ok(response),
            Err(ClientError::Lost(error)) => {
                unknown += 1;
                translate::<M>(ClientError::Lost(error))
            }
            Err(error @ ClientError::Agent(_)) => {
                let error = translate::<M>(error);
                if error.code != CniCode::TRY_AGAIN || patience == Patience::ForConnection {
                    return Err(error);
                }
                error
            }
            Err(error) => return Err(translate::<M>(error)),
        };
        if deadline.left() <= PAUSE {
            return Err(error);
        }
        std::thread::sleep(PAUSE);
    }
}

fn translate<M: Method>(error: ClientError) -> CniError {
    match error {
        ClientError::Absent { .. } => CniError::new(CniCode::TRY_AGAIN, "the agent is not running")
            .with_details(error.to_string()),
        ClientError::Unusable { ref source, .. }
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            CniError::new(CniCode::PERMISSION, "may not use the agent's socket")
                .with_details(error.to_string())
        }
        ClientError::Unusable { .. } => CniError::new(CniCode::IO, "cannot use the agent's socket")
            .with_details(error.to_string()),
        ClientError::Lost(_) => {
            CniError::new(CniCode::TRY_AGAIN, "the agent hung up").with_details(error.to_string())
        }
        ClientError::Timeout => {
            CniError::new(CniCode::TRY_AGAIN, "the agent did not answer in time").with_details(
                format!(
                    "{} was sent; the agent undoes what it does too late",
                    M::NAME
                ),
            )
        }
        ClientError::TooLong { .. } | ClientError::Malformed(_) => {
            CniError::new(CniCode::DECODE, "cannot understand the agent")
                .with_details(error.to_string())
        }
        ClientError::Agent(object) => of_agent::<M>(&object),
    }
}

fn of_agent<M: Method>(object: &ErrorObject) -> CniError {
    if let Some(error) = object.cni() {
        return error;
    }
    let mismatch = |older: &str| {
        CniError::new(
            CniCode::PROTOCOL_MISMATCH,
            format!("the {older} is too old for the other side; upgrade the {older}"),
        )
        .with_details(format!(
            "sluice-cni {} : {object}",
            env!("CARGO_PKG_VERSION")
        ))
    };
    match (object.protocol_range(), object.code) {
        (Some(range), _) if sluice_rpc::PROTOCOL > range.max => mismatch("agent"),
        (Some(_), _) => mismatch("plugin"),
        (None, code::METHOD_NOT_FOUND) => mismatch("agent"),
        (None, _) => CniError::new(CniCode::AGENT, format!("the agent failed at {}", M::NAME))
            .with_details(object.to_string()),
    }
}
