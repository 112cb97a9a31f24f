//! The last known state of the cluster on disk, for a start while the API server does not answer.
//!
//! A text file: a line that names the format, then a line for each object, its checksum first, as the API has the
//! object but for what nobody uses; and lines that say what is whole: which kinds, and the pods of which namespaces. A
//! change is appended; a list, and a file that has grown to twice what it need be, mean a new file beside it that takes
//! its place by rename. So a crash at any point leaves a file that can be read: what follows the first line that is cut
//! off or damaged is not believed.
//!
//! A thread of its own writes (`writer`), so that no disk holds up the network. Must not know where the objects come from.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::watch as channel;

use super::KubernetesStatus;
use crate::source::object::{Kind, Object, ObjectRef};
use crate::source::{PodScope, decode};

mod pending;
mod writer;

pub(super) use writer::Keeper;

/// The first line of a file of this form.
const HEADER: &str = "sluice-state 2\n";
/// And of the form before, which always has all pods and does not say so.
const ALL_PODS: &str = "sluice-state 1\n";

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is of another version, or no such file at all.
    #[error("not a state file of this version (it begins with {0:?}); it will be written anew")]
    Version(String),
    /// Some kind was never listed when it was written.
    #[error("incomplete: {0} was not listed when it was written")]
    Incomplete(Kind),
    /// It does not say which pods it has.
    #[error("incomplete: it does not say which pods it has")]
    NoScope,
}

/// Where the state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFile {
    path: PathBuf,
}

/// What was kept.
#[derive(Debug)]
pub struct Saved {
    /// The objects, those of one kind together.
    pub objects: BTreeMap<Kind, Vec<Object>>,
    /// Of which namespaces all pods are among them, beside those of the own node.
    pub covered: PodScope,
    /// How long ago it was written.
    pub age: Duration,
    /// Lines at the end that were damaged.
    pub damaged: bool,
}

/// What happened to the state of the cluster, to be kept.
#[derive(Debug)]
pub(super) enum Entry {
    /// These are all objects of one kind, as [`text`] has them.
    Listed(Kind, Vec<(ObjectRef, Box<str>)>),
    /// These are now this.
    Several(Vec<(ObjectRef, Box<str>)>),
    /// All pods of the own node and of these namespaces have been told.
    Covered(PodScope),
    /// One is now this.
    Set(ObjectRef, Box<str>),
    /// One went.
    Gone(ObjectRef),
}

impl StateFile {
    /// The file at `path`, which need not exist; its folder must.
    pub fn new(path: impl Into<PathBuf>) -> StateFile {
        StateFile { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was kept; `None` if there is no file.
    ///
    /// # Errors
    /// When it is not readable, of another version, or was never complete.
    pub fn read(&self) -> Result<Option<Saved>, StateError> {
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let age = SystemTime::now()
            .duration_since(file.metadata()?.modified()?)
            .unwrap_or_default();
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut covered = match &*line {
            HEADER => None,
            ALL_PODS => Some(PodScope::All),
            other => {
                let start = other.trim_end().chars().take(40).collect();
                return Err(StateError::Version(start));
            }
        };
        let (mut known, mut listed, mut damaged) = (HashMap::new(), BTreeSet::new(), false);
        loop {
            let mut line = Vec::new();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            match Record::parse(&line) {
                Some(Record::Listed(kind)) => {
                    listed.insert(kind);
                }
                Some(Record::Set(kind, text)) => {
                    // What an older agent could read and this one cannot is not there for it.
                    if let Ok(object) =
                        decode::object(kind, &mut serde_json::Deserializer::from_str(text))
                    {
                        known.insert(object.reference(), object);
                    }
                }
                Some(Record::Gone(reference)) => {
                    known.remove(&reference);
                }
                Some(Record::Covered(scope)) => covered = Some(scope),
                None => {
                    damaged = true;
                    break;
                }
            }
        }
        let mut objects: BTreeMap<Kind, Vec<Object>> =
            Kind::ALL.map(|kind| (kind, Vec::new())).into();
        for object in known.into_values() {
            objects.entry(object.kind()).or_default().push(object);
        }
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| !listed.contains(kind)) {
            return Err(StateError::Incomplete(kind));
        }
        Ok(Some(Saved {
            objects,
            covered: covered.ok_or(StateError::NoScope)?,
            age,
            damaged,
        }))
    }

    /// Keeps there what it is told, until that is dropped; what goes wrong is said in the status.
    pub(super) fn keeper(&self, status: channel::Sender<KubernetesStatus>) -> Keeper {
        Keeper::start(&self.path, status)
    }
}

/// One line.
enum Record<'a> {
    /// The kind is whole from here on.
    Listed(Kind),
    Set(Kind, &'a str),
    Gone(ObjectRef),
    Covered(PodScope),
}

impl<'a> Record<'a> {
    fn parse(line: &'a [u8]) -> Option<Record<'a>> {
        let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let (sum, rest) = line.split_once(' ')?;
        if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(rest.as_bytes()) {
            return None;
        }
        let (verb, rest) = rest.split_once(' ')?;
        if verb == "covered" {
            return Some(Record::Covered(match rest {
                EVERY => PodScope::All,
                names => {
                    PodScope::Namespaces(names.split_terminator(' ').map(Into::into).collect())
                }
            }));
        }
        let (kind, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let kind = Kind::ALL.into_iter().find(|it| it.as_str() == kind)?;
        Some(match verb {
            "listed" => Record::Listed(kind),
            "set" => Record::Set(kind, rest),
            "gone" => {
                let (namespace, name) = rest.split_once('/')?;
                Record::Gone(ObjectRef::new(kind, namespace, name))
            }
            _ => return None,
        })
    }
}

/// Stands for every namespace; no namespace is called so.
const EVERY: &str = "*";

fn covered(scope: &PodScope) -> String {
    let names = match scope {
        PodScope::All => EVERY.to_owned(),
        PodScope::Namespaces(names) => names.iter().map(|name| format!("{name} ")).collect(),
    };
    record(&format!("covered {names}"))
}

fn record(text: &str) -> String {
    format!("{:08x} {text}\n", crc32fast::hash(text.as_bytes()))
}

/// An object's text as it is kept: without what is large and used by nobody here.
pub(super) fn text(raw: &str) -> Option<Box<str>> {
    let mut value: Value = serde_json::from_str(raw).ok()?;
    let drop = |value: &mut Value, path: &str, names: &[&str]| {
        if let Some(Value::Object(fields)) = value.pointer_mut(path) {
            fields.retain(|name, _| !names.contains(&name.as_str()));
        }
    };
    drop(
        &mut value,
        "/metadata",
        &["managedFields", "ownerReferences", "finalizers"],
    );
    drop(
        &mut value,
        "/metadata/annotations",
        &["kubectl.kubernetes.io/last-applied-configuration"],
    );
    drop(
        &mut value,
        "/spec",
        &[
            "volumes",
            "tolerations",
            "affinity",
            "topologySpreadConstraints",
            "template",
        ],
    );
    drop(
        &mut value,
        "/status",
        &[
            "containerStatuses",
            "initContainerStatuses",
            "ephemeralContainerStatuses",
            "images",
            "capacity",
            "allocatable",
            "nodeInfo",
            "volumesInUse",
            "volumesAttached",
        ],
    );
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        let list = value.pointer_mut(&format!("/spec/{containers}"));
        for container in list.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(fields) = container.as_object_mut() {
                // Environments and commands may hold secrets, too.
                fields
                    .retain(|name, _| matches!(name.as_str(), "name" | "ports" | "restartPolicy"));
            }
        }
    }
    Some(value.to_string().into())
}
