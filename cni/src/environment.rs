//! The `CNI_*` variables: read and validated before anything else happens.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;

use sluice_rpc::{Attachment, CniCode, CniError, PodRef};

use crate::version::CniVersion;

/// `CNI_COMMAND`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Attach.
    Add,
    /// Detach.
    Del,
    /// Compare.
    Check,
    /// Remove what is not valid.
    Gc,
    /// Could ADD be served?
    Status,
    /// Which versions are served?
    Version,
}

impl Command {
    const ALL: [Command; 6] = [
        Command::Add,
        Command::Del,
        Command::Check,
        Command::Gc,
        Command::Status,
        Command::Version,
    ];

    /// As in `CNI_COMMAND`.
    pub fn name(self) -> &'static str {
        match self {
            Command::Add => "ADD",
            Command::Del => "DEL",
            Command::Check => "CHECK",
            Command::Gc => "GC",
            Command::Status => "STATUS",
            Command::Version => "VERSION",
        }
    }

    /// The served version that has it first.
    pub fn since(self) -> CniVersion {
        match self {
            Command::Add | Command::Del | Command::Version => CniVersion::V0_3_1,
            Command::Check => CniVersion::V0_4_0,
            Command::Gc | Command::Status => CniVersion::V1_1_0,
        }
    }

    /// Out of the process's environment.
    ///
    /// # Errors
    /// [`CniCode::INVALID_ENVIRONMENT`].
    pub fn from_env() -> Result<Self, CniError> {
        let name = variable("CNI_COMMAND")?.ok_or_else(|| missing(&["CNI_COMMAND"]))?;
        Command::ALL
            .into_iter()
            .find(|command| command.name() == name)
            .ok_or_else(|| {
                CniError::new(
                    CniCode::INVALID_ENVIRONMENT,
                    format!("CNI_COMMAND is {name:?}, which is no command of CNI"),
                )
            })
    }
}

/// The other variables, as far as the command has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The command.
    pub command: Command,
    /// `CNI_CONTAINERID`; empty for GC and STATUS.
    pub container_id: String,
    /// `CNI_IFNAME`; empty for GC and STATUS.
    pub ifname: String,
    /// `CNI_NETNS`; always there for ADD and CHECK.
    pub netns: Option<String>,
    /// From `CNI_ARGS`; only for ADD.
    pub pod: Option<PodRef>,
}

impl Environment {
    /// Reads and validates what `command` needs, and nothing else: DEL must not fail over a
    /// variable it can do without.
    ///
    /// # Errors
    /// [`CniCode::INVALID_ENVIRONMENT`], naming every variable that is missing, or the first
    /// that is wrong.
    pub fn read(command: Command) -> Result<Self, CniError> {
        let mut environment = Environment {
            command,
            container_id: String::new(),
            ifname: String::new(),
            netns: None,
            pod: None,
        };
        if matches!(command, Command::Gc | Command::Status | Command::Version) {
            return Ok(environment);
        }
        let container_id = variable("CNI_CONTAINERID")?;
        let ifname = variable("CNI_IFNAME")?;
        environment.netns = match variable("CNI_NETNS") {
            Err(_) if command == Command::Del => None,
            netns => netns?,
        };
        let needs_netns = command != Command::Del;
        let absent: Vec<&str> = [
            ("CNI_CONTAINERID", container_id.is_none()),
            ("CNI_IFNAME", ifname.is_none()),
            ("CNI_NETNS", needs_netns && environment.netns.is_none()),
        ]
        .into_iter()
        .filter_map(|(name, absent)| absent.then_some(name))
        .collect();
        let (Some(container_id), Some(ifname), []) = (container_id, ifname, absent.as_slice())
        else {
            return Err(missing(&absent));
        };
        check_container_id(&container_id)?;
        check_ifname(&ifname)?;
        if let (true, Some(netns)) = (needs_netns, &environment.netns) {
            check_netns(netns)?;
        }
        if command == Command::Add {
            environment.pod = parse_args(&variable("CNI_ARGS")?.unwrap_or_default())?;
        }
        environment.container_id = container_id;
        environment.ifname = ifname;
        Ok(environment)
    }

    /// The attachment it names.
    pub fn attachment(&self) -> Attachment {
        Attachment {
            container_id: self.container_id.clone(),
            ifname: self.ifname.clone(),
        }
    }
}

/// An empty variable is as good as none: runtimes set all of them for every command.
fn variable(name: &str) -> Result<Option<String>, CniError> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(invalid(name, "is not UTF-8")),
    }
}

fn missing(names: &[&str]) -> CniError {
    CniError::new(
        CniCode::INVALID_ENVIRONMENT,
        format!(
            "required environment variables missing: {}",
            names.join(", ")
        ),
    )
}

fn invalid(name: &str, why: &str) -> CniError {
    CniError::new(CniCode::INVALID_ENVIRONMENT, format!("{name} {why}"))
}

/// Whether `text` is an identifier of CNI's: a letter or digit, then those, `_`, `.` or `-`.
/// Container ids and network names are (specification 1.1.0, sections 1 and 2).
pub(crate) fn is_identifier(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn check_container_id(id: &str) -> Result<(), CniError> {
    if is_identifier(id) {
        return Ok(());
    }
    Err(invalid(
        "CNI_CONTAINERID",
        &format!(
            "is {id:?}; it must be letters, digits, '_', '.', '-', and begin with a letter or digit"
        ),
    ))
}

/// What Linux takes for an interface name (`dev_valid_name` in net/core/dev.c).
fn check_ifname(name: &str) -> Result<(), CniError> {
    let why = if name.len() > 15 {
        "is longer than 15 bytes"
    } else if name == "." || name == ".." {
        "is a directory's name"
    } else if name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control()) {
        "has a slash, colon, space or control character"
    } else if name == "lo" {
        "is the loopback interface's name"
    } else {
        return Ok(());
    };
    Err(invalid("CNI_IFNAME", &format!("({name:?}) {why}")))
}

/// The path must be there and must not be the namespace this process is in, which is the host's:
/// attaching that would take the host's own interfaces for the pod's.
fn check_netns(path: &str) -> Result<(), CniError> {
    if !path.starts_with('/') {
        return Err(invalid(
            "CNI_NETNS",
            &format!("({path:?}) is not an absolute path"),
        ));
    }
    let netns = fs::metadata(path)
        .map_err(|error| invalid("CNI_NETNS", &format!("({path:?}) cannot be used: {error}")))?;
    let own = fs::metadata("/proc/self/ns/net");
    if own.is_ok_and(|own| own.dev() == netns.dev() && own.ino() == netns.ino()) {
        return Err(invalid(
            "CNI_NETNS",
            &format!("({path:?}) is this plugin's own network namespace"),
        ));
    }
    Ok(())
}

/// `CNI_ARGS`: `KEY=VALUE` separated by semicolons. An unknown key is refused unless
/// `IgnoreUnknown` is set, which every Kubernetes runtime does.
fn parse_args(text: &str) -> Result<Option<PodRef>, CniError> {
    let (mut namespace, mut name, mut uid) = (None, None, None);
    let mut ignore_unknown = false;
    let mut unknown = None;
    for pair in text.split(';').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(invalid(
                "CNI_ARGS",
                &format!("has {pair:?}, which is not KEY=VALUE"),
            ));
        };
        let slot = match key {
            "IgnoreUnknown" => {
                ignore_unknown = parse_bool(value).ok_or_else(|| {
                    invalid(
                        "CNI_ARGS",
                        &format!("has IgnoreUnknown={value:?}, which is not a boolean"),
                    )
                })?;
                continue;
            }
            "K8S_POD_NAMESPACE" => &mut namespace,
            "K8S_POD_NAME" => &mut name,
            "K8S_POD_UID" => &mut uid,
            "K8S_POD_INFRA_CONTAINER_ID" => continue,
            _ => {
                unknown.get_or_insert(key);
                continue;
            }
        };
        *slot = Some(value).filter(|value| !value.is_empty());
    }
    if let (false, Some(key)) = (ignore_unknown, unknown) {
        return Err(invalid(
            "CNI_ARGS",
            &format!("has the unknown key {key:?} and no IgnoreUnknown=1"),
        ));
    }
    let pod = match (namespace, name) {
        (Some(namespace), Some(name)) => PodRef {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: uid.map(str::to_owned),
        },
        (None, None) => return Ok(None),
        _ => {
            return Err(invalid(
                "CNI_ARGS",
                "has only one of K8S_POD_NAMESPACE and K8S_POD_NAME",
            ));
        }
    };
    for (key, value, longest) in [
        ("K8S_POD_NAMESPACE", Some(&pod.namespace), 63),
        ("K8S_POD_NAME", Some(&pod.name), 253),
        ("K8S_POD_UID", pod.uid.as_ref(), 128),
    ] {
        if let Some(value) = value.filter(|value| value.len() > longest || !is_identifier(value)) {
            return Err(invalid(
                "CNI_ARGS",
                &format!("has {key}={value:?}, which Kubernetes does not allow"),
            ));
        }
    }
    Ok(Some(pod))
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}
