//! From objects as the Kubernetes API has them to ours.
//!
//! What has the wrong type is a `Misfit`: there is no object. What has the right type and breaks a rule is left
//! out of the object, and noted as a `Refusal` in it. Fields that nobody uses are passed
//! over, whatever they hold, but for those of a NetworkPolicy that comes from a file.
//!
//! Each function takes any deserialiser (a `serde_json::Value` is one). They must not know where it came from.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::Value;
use sluice_flows::model::{Labels, Protocol};

use super::{
    intern,
    object::{Kind, Object, Refusal},
};

mod address;
mod network_policy;
mod node;
mod pod;
mod service;
mod slice;

pub use network_policy::network_policy;
pub use node::{namespace, node};
pub use pod::pod;
pub use service::service;
pub use slice::endpoint_slice;

/// Why something is no object of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("field {field:?}: {message}")]
pub struct Misfit {
    /// The path of the field (`spec.podCIDRs[0]`); empty for the object as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Misfit {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Misfit {
        Misfit {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// An object of a kind that is known.
///
/// # Errors
/// When it has no name, or a field is of the wrong type.
pub fn object<'de, D>(kind: Kind, from: D) -> Result<Object, Misfit>
where
    D: Deserializer<'de, Error: fmt::Display>,
{
    Ok(match kind {
        Kind::Node => node(from)?.into(),
        Kind::Namespace => namespace(from)?.into(),
        Kind::Pod => pod(from)?.into(),
        Kind::Service => service(from)?.into(),
        Kind::EndpointSlice => endpoint_slice(from)?.into(),
        Kind::NetworkPolicy => network_policy(from)?.into(),
    })
}

/// As [`object`], for what no API server has looked at: a field of a NetworkPolicy's spec that there is not is an
/// error, since a rule without its `from`, because that is misspelt, would allow everyone.
///
/// # Errors
/// As [`object`]'s.
pub fn strict_object(kind: Kind, from: Value) -> Result<Object, Misfit> {
    if kind != Kind::NetworkPolicy {
        return object(kind, from);
    }
    let mut unknown = None;
    let mut note = |path: serde_ignored::Path<'_>| {
        let path = field_path(&path);
        if path.starts_with("spec.") {
            unknown.get_or_insert(path);
        }
    };
    let found = network_policy(serde_ignored::Deserializer::new(from, &mut note))?;
    match unknown {
        Some(field) => Err(Misfit::new(field, "there is no such field")),
        None => Ok(found.into()),
    }
}

/// A path as errors have it: `spec.ingress[0].form`.
fn field_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_path(parent)),
        Path::Map { parent, key } => match field_path(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => field_path(parent),
    }
}

/// Reads an object, and says which field is to blame if that fails.
fn read<'de, D, T>(from: D) -> Result<T, Misfit>
where
    D: Deserializer<'de, Error: fmt::Display>,
    T: DeserializeOwned + Named,
{
    let object: T = serde_path_to_error::deserialize(from).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        Misfit::new(field, error.inner().to_string())
    })?;
    if object.metadata().name.is_empty() {
        return Err(Misfit::new("metadata.name", "missing"));
    }
    Ok(object)
}

/// Something with a name.
trait Named {
    fn metadata(&self) -> &Metadata;
}

/// What every object has.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    namespace: Text,
    #[serde(deserialize_with = "or_default")]
    uid: String,
    #[serde(deserialize_with = "or_default")]
    labels: LabelMap,
    #[serde(deserialize_with = "or_default")]
    annotations: Annotations,
    #[serde(deserialize_with = "or_default")]
    creation_timestamp: Option<String>,
    #[serde(deserialize_with = "or_default")]
    deletion_timestamp: Option<String>,
}

impl Metadata {
    /// The namespace of an object that must have one.
    fn namespace(&self) -> Arc<str> {
        match &*self.namespace {
            "" => intern::text("default"),
            _ => self.namespace.0.clone(),
        }
    }

    fn label(&self, key: &str) -> Option<&Arc<str>> {
        self.labels.0.get(key)
    }
}

/// The annotations that are used.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(
        rename = "endpoints.kubernetes.io/last-change-trigger-time",
        deserialize_with = "or_default"
    )]
    last_change_trigger_time: Option<String>,
    /// The UID by which a kubelet knows the static pod that this object is the mirror of.
    #[serde(
        rename = "kubernetes.io/config.mirror",
        deserialize_with = "or_default"
    )]
    mirrored: Option<String>,
}

/// A time as the API writes it.
fn time(text: &str) -> Option<SystemTime> {
    let time: k8s_openapi::jiff::Timestamp = text.parse().ok()?;
    let since_epoch = u64::try_from(time.as_nanosecond()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(since_epoch))
}

/// Kubernetes writes `null` where it means "not given".
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// A text that many objects have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Text(Arc<str>);

impl Default for Text {
    fn default() -> Text {
        Text(intern::text(""))
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(intern::text(text)))
            }
        }
        from.deserialize_str(TextVisitor)
    }
}

/// Labels.
#[derive(Clone, Debug, Default)]
struct LabelMap(Labels);

impl<'de> Deserialize<'de> for LabelMap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<LabelMap, D::Error> {
        struct LabelVisitor;
        impl<'de> Visitor<'de> for LabelVisitor {
            type Value = LabelMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LabelMap, A::Error> {
                let mut labels = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text, Text>()? {
                    labels.push((key.0, value.0));
                }
                Ok(LabelMap(labels.into_iter().collect()))
            }
        }
        from.deserialize_map(LabelVisitor)
    }
}

/// A number or a name, as ports are given.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NumberOrName {
    Number(i64),
    Name(Text),
}

impl<'de> Deserialize<'de> for NumberOrName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<NumberOrName, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = NumberOrName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port number or name")
            }

            fn visit_i64<E>(self, number: i64) -> Result<NumberOrName, E> {
                Ok(NumberOrName::Number(number))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<NumberOrName, E> {
                let number =
                    i64::try_from(number).map_err(|_| E::custom("a number out of all bounds"))?;
                Ok(NumberOrName::Number(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<NumberOrName, E> {
                Ok(NumberOrName::Name(Text(intern::text(text))))
            }
        }
        from.deserialize_any(Either)
    }
}

/// What is left out of an object, noted as it is found.
#[derive(Default)]
struct Refusals(Vec<Refusal>);

impl Refusals {
    fn note(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Refusal::new(field, message));
    }

    /// The value, unless there is something wrong with it, which is noted.
    fn keep<T>(
        &mut self,
        field: impl FnOnce() -> String,
        value: Result<T, impl fmt::Display>,
    ) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(field(), error.to_string());
                None
            }
        }
    }
}

/// A port that is one.
fn port_number(number: i64) -> Result<u16, String> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{number} is no port: 1 to 65535 are")),
    }
}

/// A protocol by its name; TCP where none is given.
fn protocol(name: &str) -> Result<Protocol, String> {
    match name {
        "" | "TCP" => Ok(Protocol::Tcp),
        "UDP" => Ok(Protocol::Udp),
        "SCTP" => Ok(Protocol::Sctp),
        _ => Err(format!("{name:?} is no protocol: TCP, UDP and SCTP are")),
    }
}

#[cfg(test)]
mod tests;
