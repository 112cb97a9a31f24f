//! The network configuration on stdin: every key is known, or refused by name.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use sluice_rpc::{Attachment, CniCode, CniError, DEFAULT_SOCKET, Dns};

use crate::environment::{Command, is_identifier};

/// How long ADD, DEL, CHECK and GC may take unless `timeout` says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// Longest path of a Unix socket (`sun_path` less its NUL).
const MAX_SOCKET_PATH: usize = 107;

/// Keys that belong to the runtime or to the whole list; not ours, never refused.
const PROTOCOL_KEYS: [&str; 13] = [
    "cniVersion",
    "cniVersions",
    "name",
    "type",
    "args",
    "capabilities",
    "prevResult",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "plugins",
    "dns",
    "runtimeConfig",
];

/// Keys of our own.
const OWN_KEYS: [&str; 4] = ["socket", "timeout", "mtu", "logFile"];

/// What one invocation needs of its configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `name`: the network.
    pub network: String,
    /// `socket`: where the agent listens.
    pub socket: PathBuf,
    /// `timeout`: how long the whole invocation may take.
    pub timeout: Duration,
    /// `mtu`: ask the agent for less than it would give.
    pub mtu: Option<u16>,
    /// `logFile`: one line per invocation goes there.
    pub log_file: Option<PathBuf>,
    /// `dns`: goes into the result as it is.
    pub dns: Option<Dns>,
    /// `prevResult`, undecoded.
    pub prev_result: Option<Value>,
    /// GC's list of what stays.
    pub valid_attachments: Vec<Attachment>,
}

/// The JSON object on stdin.
///
/// # Errors
/// [`CniCode::DECODE`].
pub fn decode(stdin: &[u8]) -> Result<Map<String, Value>, CniError> {
    serde_json::from_slice(stdin).map_err(|error| {
        CniError::new(CniCode::DECODE, "cannot decode the network configuration")
            .with_details(error.to_string())
    })
}

impl Config {
    /// Validates. DEL and GC take their defaults for keys of ours that are wrong or
    /// unknown: a mistake in a configuration must not keep a pod from going.
    ///
    /// # Errors
    /// [`CniCode::INVALID_CONFIG`], [`CniCode::UNSUPPORTED_FIELD`].
    pub fn new(mut keys: Map<String, Value>, command: Command) -> Result<Self, CniError> {
        let network = network_name(&keys)?;
        let lenient = matches!(command, Command::Del | Command::Gc);
        if !lenient {
            refuse_unsupported(&keys)?;
        }
        let valid_attachments = match command {
            Command::Gc => valid_attachments(&keys)?,
            _ => Vec::new(),
        };
        let socket = relax(socket(&keys), lenient)?;
        let log_file = relax(absolute_path(&keys, "logFile"), lenient)?;
        let timeout = relax(timeout(&keys), lenient)?;
        let mtu = relax(mtu(&keys), lenient)?;
        let dns = relax(dns(&keys), lenient)?;
        Ok(Config {
            network,
            socket: socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)),
            timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
            mtu,
            log_file,
            dns,
            prev_result: keys.remove("prevResult").filter(|value| !value.is_null()),
            valid_attachments,
        })
    }
}

/// `outcome`, or nothing in place of an error.
fn relax<T>(outcome: Result<Option<T>, CniError>, lenient: bool) -> Result<Option<T>, CniError> {
    match outcome {
        Err(_) if lenient => Ok(None),
        outcome => outcome,
    }
}

fn invalid(message: impl Into<String>) -> CniError {
    CniError::new(CniCode::INVALID_CONFIG, message)
}

/// The message must have key and value (specification 1.1.0, section 5 "Error").
fn unsupported(key: &str, value: &Value, why: &str) -> CniError {
    CniError::new(
        CniCode::UNSUPPORTED_FIELD,
        format!("unsupported field {key}: {value}"),
    )
    .with_details(why)
}

fn network_name(keys: &Map<String, Value>) -> Result<String, CniError> {
    match keys.get("name") {
        Some(Value::String(name)) if is_identifier(name) => Ok(name.clone()),
        None | Some(Value::Null) => Err(invalid("the network configuration has no name")),
        Some(name) => Err(invalid(format!(
            "name is {name}; it must be letters, digits, '_', '.', '-', and begin with a letter or digit"
        ))),
    }
}

/// A misspelt key would else be a setting that silently does not hold. Keys with a dot or slash
/// (`cni.dev/…`, vendors' own) and such as begin with `_` (comments) pass.
fn refuse_unsupported(keys: &Map<String, Value>) -> Result<(), CniError> {
    for (key, value) in keys {
        match key.as_str() {
            "ipam" if is_nothing(value) => {}
            "ipam" => {
                return Err(unsupported(
                    key,
                    value,
                    "addresses come from the agent, out of the node's own ranges",
                ));
            }
            "ipMasq" => {
                return Err(unsupported(
                    key,
                    value,
                    "masquerading is set in the agent's configuration",
                ));
            }
            key if PROTOCOL_KEYS.contains(&key) || OWN_KEYS.contains(&key) => {}
            key if key.starts_with('_') || key.contains(['.', '/']) => {}
            _ => {
                return Err(unsupported(
                    key,
                    value,
                    &format!("keys of this plugin are {}, dns", OWN_KEYS.join(", ")),
                ));
            }
        }
    }
    let capabilities = keys.get("runtimeConfig").and_then(Value::as_object);
    match capabilities
        .into_iter()
        .flatten()
        .find(|(_, value)| !is_nothing(value))
    {
        Some((capability, value)) => Err(unsupported(
            &format!("runtimeConfig.{capability}"),
            value,
            "this plugin has no capabilities; give them to the plugin behind it that has",
        )),
        None => Ok(()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(keys) => keys.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

fn absolute_path(keys: &Map<String, Value>, key: &str) -> Result<Option<PathBuf>, CniError> {
    match keys.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(path)) if path.starts_with('/') && !path.contains('\0') => {
            Ok(Some(PathBuf::from(path)))
        }
        Some(value) => Err(invalid(format!(
            "{key} is {value}; it must be an absolute path"
        ))),
    }
}

fn socket(keys: &Map<String, Value>) -> Result<Option<PathBuf>, CniError> {
    let path = absolute_path(keys, "socket")?;
    match path {
        Some(path) if path.as_os_str().len() > MAX_SOCKET_PATH => Err(invalid(format!(
            "socket is longer than {MAX_SOCKET_PATH} bytes"
        ))),
        path => Ok(path),
    }
}

fn integer(
    keys: &Map<String, Value>,
    key: &str,
    from: u64,
    to: u64,
) -> Result<Option<u64>, CniError> {
    match keys.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().filter(|number| (from..=to).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(invalid(format!(
                "{key} is {value}; it must be a whole number from {from} to {to}"
            ))),
        },
    }
}

fn timeout(keys: &Map<String, Value>) -> Result<Option<Duration>, CniError> {
    Ok(integer(keys, "timeout", 1, 600)?.map(Duration::from_secs))
}

/// 576 is the least every IPv4 host must take; the agent refuses less than 1280 where there is
/// IPv6.
fn mtu(keys: &Map<String, Value>) -> Result<Option<u16>, CniError> {
    Ok(integer(keys, "mtu", 576, 65_535)?.and_then(|mtu| u16::try_from(mtu).ok()))
}

fn dns(keys: &Map<String, Value>) -> Result<Option<Dns>, CniError> {
    match keys.get("dns") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|error| invalid(format!("dns is {value}: {error}"))),
    }
}

/// The list under its right name and under the misspelt one that libcni also sends, together: an
/// attachment that either holds valid stays. No list is an empty list: that is what libcni sends
/// when a runtime has no attachments.
fn valid_attachments(keys: &Map<String, Value>) -> Result<Vec<Attachment>, CniError> {
    let mut valid = Vec::new();
    for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
        let list = match keys.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Array(list)) => list,
            Some(_) => return Err(invalid(format!("{key} is not a list"))),
        };
        for entry in list {
            match (entry.get("containerID"), entry.get("ifname")) {
                (Some(Value::String(id)), Some(Value::String(ifname))) => {
                    valid.push(Attachment {
                        container_id: id.clone(),
                        ifname: ifname.clone(),
                    });
                }
                _ => {
                    return Err(invalid(format!(
                        "{key} has {entry}, which lacks containerID or ifname"
                    )));
                }
            }
        }
    }
    valid.sort();
    valid.dedup();
    Ok(valid)
}
