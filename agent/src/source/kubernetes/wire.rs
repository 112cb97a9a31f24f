//! What comes over a watch or in a list, from bytes to what a task finds in them.
//!
//! An object is decoded straight from the text into the little that is kept of it: nothing else is ever stored.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::state;
use crate::source::decode;
use crate::source::object::{Kind, Object, ObjectRef};

/// An object, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// The object, and its text as it is kept on disk, where it is.
    Object(Object, Option<Box<str>>),
    /// It cannot be understood.
    Misfit(ObjectRef, String),
}

/// What a task hands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    /// The task.
    pub from: u64,
    /// What it found.
    pub found: Found,
}

/// What a task finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All there is.
    Listed(Vec<Item>),
    /// One came or changed.
    Changed(Item),
    /// One went.
    Gone(ObjectRef),
}

/// One line of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// An object came or changed, or was there at the start.
    Set { item: Item, version: String },
    /// An object went.
    Gone {
        reference: ObjectRef,
        version: String,
    },
    /// Nothing changed up to here; `initial` marks the end of what was there at the start.
    Bookmark { version: String, initial: bool },
    /// The server ends the watch.
    Error { code: u16, message: String },
    /// A kind of line that is not known.
    Unknown(String),
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Of any object, what names it and its place in history.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Stub {
    metadata: StubMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StubMetadata {
    name: String,
    namespace: String,
    resource_version: String,
    annotations: StubAnnotations,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StubAnnotations {
    #[serde(rename = "k8s.io/initial-events-end")]
    initial_events_end: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusObject {
    code: u16,
    message: String,
}

/// Reads a line of a watch on `kind`; `keep` for the text that is kept on disk.
///
/// # Errors
/// When it is not what an API server sends; an *object* that cannot be understood is no error but an [`Item::Misfit`].
pub(super) fn line(kind: Kind, text: &[u8], keep: bool) -> Result<Line, serde_json::Error> {
    let envelope: Envelope<'_> = serde_json::from_slice(text)?;
    let raw = envelope.object.get();
    if envelope.kind == "ERROR" {
        let status: StatusObject = serde_json::from_str(raw)?;
        return Ok(Line::Error {
            code: status.code,
            message: status.message,
        });
    }
    let stub: Stub = serde_json::from_str(raw)?;
    let version = stub.metadata.resource_version.clone();
    Ok(match &*envelope.kind {
        "ADDED" | "MODIFIED" => Line::Set {
            item: item(kind, raw, stub.metadata, keep),
            version,
        },
        "DELETED" => Line::Gone {
            reference: reference(kind, stub.metadata),
            version,
        },
        "BOOKMARK" => Line::Bookmark {
            version,
            initial: stub.metadata.annotations.initial_events_end.as_deref() == Some("true"),
        },
        other => Line::Unknown(other.to_owned()),
    })
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page {
    /// The objects on it.
    pub items: Vec<Item>,
    /// Where the list stands in history.
    pub version: String,
    /// How to ask for the next page; empty after the last.
    pub next: String,
}

#[derive(Deserialize)]
struct PageText<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PageMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

/// Reads a page of a list of `kind`.
///
/// # Errors
/// When it is not what an API server sends.
pub(super) fn page(kind: Kind, text: &str, keep: bool) -> Result<Page, serde_json::Error> {
    let page: PageText<'_> = serde_json::from_str(text)?;
    let items = page.items.unwrap_or_default().into_iter().map(|raw| {
        let stub: Stub = serde_json::from_str(raw.get())?;
        Ok(item(kind, raw.get(), stub.metadata, keep))
    });
    Ok(Page {
        items: items.collect::<Result<_, serde_json::Error>>()?,
        version: page.metadata.resource_version,
        next: page.metadata.next,
    })
}

fn reference(kind: Kind, metadata: StubMetadata) -> ObjectRef {
    ObjectRef::new(kind, metadata.namespace, metadata.name)
}

fn item(kind: Kind, raw: &str, metadata: StubMetadata, keep: bool) -> Item {
    match decode::object(kind, &mut serde_json::Deserializer::from_str(raw)) {
        Ok(object) => Item::Object(object, keep.then(|| state::text(raw)).flatten()),
        Err(misfit) => Item::Misfit(reference(kind, metadata), misfit.to_string()),
    }
}
