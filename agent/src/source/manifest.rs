//! From the text of a manifest file to objects, or to the place where it cannot be understood.
//!
//! Documents are separated by lines that begin with `---`, as `kubectl` separates them. A document is an object or
//! a list of objects; kinds that nobody here uses are passed over. The whole file counts or none of it.
//!
//! Must not know files or folders, nor what an object is made of (`decode` does).

use serde_json::Value;

use super::{
    decode,
    object::{Kind, Object},
};

/// Why a manifest is not understood, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The document, counted from 1.
    pub document: usize,
    /// The line in the file, counted from 1, where it is known (of syntax errors).
    pub line: Option<usize>,
    /// The path of the field (`spec.podCIDRs[0]`); empty for the document as a whole.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// An object and the document that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub document: usize,
    pub object: Object,
}

/// Reads every object of a kind we use.
pub(super) fn parse(text: &str) -> Result<Vec<Found>, Misfit> {
    let mut found = Vec::new();
    for (number, (first_line, document)) in documents(text).into_iter().enumerate() {
        let place = Place {
            document: number + 1,
            prefix: String::new(),
        };
        if document.lines().all(is_empty) {
            continue;
        }
        let value: Value =
            serde_saphyr::from_str_with_options(&document, options()).map_err(|error| {
                let error = error.without_snippet();
                let line = error
                    .location()
                    .and_then(|at| usize::try_from(at.line()).ok());
                Misfit {
                    document: place.document,
                    line: line.map(|line| first_line + line - 1),
                    field: String::new(),
                    message: error.to_string(),
                }
            })?;
        if !value.is_null() {
            objects(value, None, &place, &mut found)?;
        }
    }
    Ok(found)
}

/// A node called `y` is not called `true`, as YAML 1.1 would have it; and a list of all objects of a large cluster is
/// large. (What aliases may expand to stays limited.)
fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! { max_nodes: 10_000_000, max_events: 30_000_000 },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000 },
    }
}

/// The documents of a file with the line each begins at. The marker may carry content of its own (`--- {…}`).
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut all = vec![(1, String::new())];
    let mut in_directives = true;
    for (index, line) in text.lines().enumerate() {
        let marker = line
            .strip_prefix("---")
            .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r']));
        match marker {
            // What stands before the first marker is a document of its own only if there is anything.
            Some(rest) if in_directives => restart(&mut all, index, rest),
            Some(rest) => all.push((index + 1, format!("{rest}\n"))),
            None => {
                if let Some((_, document)) = all.last_mut() {
                    document.push_str(line);
                    document.push('\n');
                }
            }
        }
        in_directives &= marker.is_none() && (is_empty(line) || line.starts_with('%'));
    }
    all
}

fn restart(all: &mut Vec<(usize, String)>, index: usize, rest: &str) {
    all.clear();
    all.push((index + 1, format!("{rest}\n")));
}

fn is_empty(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// Where in a file a value stands.
struct Place {
    document: usize,
    prefix: String,
}

impl Place {
    fn misfit(&self, field: &str, message: impl Into<String>) -> Misfit {
        let dot = if self.prefix.is_empty() || field.is_empty() {
            ""
        } else {
            "."
        };
        Misfit {
            document: self.document,
            line: None,
            field: format!("{}{dot}{field}", self.prefix),
            message: message.into(),
        }
    }
}

/// What the items of a typed list need not say, since the list does.
#[derive(Clone, Copy)]
struct Implied<'a> {
    kind: &'a str,
    version: &'a str,
}

/// Adds the object that `value` is, or those that it lists.
fn objects(
    value: Value,
    implied: Option<Implied<'_>>,
    place: &Place,
    found: &mut Vec<Found>,
) -> Result<(), Misfit> {
    let Value::Object(mut fields) = value else {
        return Err(place.misfit("", "not an object"));
    };
    let text = |name: &str, implied: Option<&str>| match (fields.get(name), implied) {
        (Some(Value::String(text)), _) => Ok(text.clone()),
        (Some(_), _) => Err(place.misfit(name, "not a string")),
        (None, Some(implied)) => Ok(implied.to_owned()),
        (None, None) => Err(place.misfit(name, "missing")),
    };
    let kind = text("kind", implied.map(|implied| implied.kind))?;
    let version = text("apiVersion", implied.map(|implied| implied.version))?;
    let item_kind = kind
        .strip_suffix("List")
        .filter(|item| (item.is_empty() && version == "v1") || known(item).is_some());
    if let Some(item_kind) = item_kind {
        let items = match fields.remove("items") {
            Some(Value::Array(items)) => items,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err(place.misfit("items", "not a list")),
        };
        let implied = (!item_kind.is_empty()).then_some(Implied {
            kind: item_kind,
            version: &version,
        });
        for (index, item) in items.into_iter().enumerate() {
            let prefix = place.misfit(&format!("items[{index}]"), "").field;
            let place = Place {
                document: place.document,
                prefix,
            };
            objects(item, implied, &place, found)?;
        }
        return Ok(());
    }
    let Some(known) = known(&kind).filter(|known| known.api_version() == version) else {
        if let Some(now) = successor(&kind, &version) {
            let message = format!("{kind} of {version} is not understood, that of {now} is");
            return Err(place.misfit("apiVersion", message));
        }
        tracing::debug!(document = place.document, %kind, %version, "passed over: not a kind in use");
        return Ok(());
    };
    let object = decode::strict_object(known, Value::Object(fields))
        .map_err(|misfit| place.misfit(&misfit.field, misfit.message))?;
    found.push(Found {
        document: place.document,
        object,
    });
    Ok(())
}

fn known(kind: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|known| known.as_str() == kind)
}

/// The version to write instead of one that Kubernetes no longer has. To pass over a NetworkPolicy of old would be
/// to leave its pods open.
fn successor(kind: &str, version: &str) -> Option<&'static str> {
    let known = known(kind)?;
    let (group, _) = known.api_version().split_once('/')?;
    let (of_group, _) = version.split_once('/')?;
    (of_group == group || of_group == "extensions").then_some(known.api_version())
}

#[cfg(test)]
mod tests;
