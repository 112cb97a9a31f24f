//! What each file of the folder says, and what follows from all of them together.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs, io,
    path::Path,
    sync::Arc,
};

use super::{DirectoryStatus, Fault, Pending};
use crate::source::{
    Event, Kind, Object, ObjectRef,
    manifest::{self, Found},
};

/// A file larger than this is refused: it is no manifest.
const LARGEST: u64 = 64 << 20;

/// The last good state of every file, and which of them defines what.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: BTreeMap<Arc<OsStr>, File>,
    /// Where each object is defined: file, position among the file's objects. The first place counts.
    claims: BTreeMap<ObjectRef, BTreeSet<Place>>,
    /// What is defined more than once.
    contested: BTreeSet<ObjectRef>,
}

type Place = (Arc<OsStr>, usize);

#[derive(Debug, Default)]
struct File {
    /// What the file said when it could last be understood.
    found: Vec<Found>,
    /// Why it cannot be understood now.
    fault: Option<Fault>,
}

/// Whether a file of this name is a manifest.
pub(super) fn counts(name: &OsStr) -> bool {
    let hidden = name.as_encoded_bytes().starts_with(b".");
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

impl Files {
    /// Reads what is pending again, and says how the objects in force changed.
    pub(super) fn read(
        &mut self,
        folder: &Path,
        pending: &Pending,
    ) -> (Vec<Event>, DirectoryStatus) {
        let mut names = pending.names.clone();
        let mut folder_fault = None;
        if pending.all {
            match list(folder) {
                Ok(found) => {
                    names.extend(self.files.keys().map(OsString::from));
                    names.extend(found);
                }
                Err(error) => {
                    folder_fault = Some(fault(OsStr::new(""), format!("cannot be listed: {error}")))
                }
            }
        }
        // Only what a file read now defines, or defined before, can have changed; here as it was before.
        let mut touched = BTreeMap::new();
        for name in names {
            self.read_file(folder, &name, &mut touched);
        }
        let mut events = Vec::new();
        for (reference, before) in touched {
            match (self.winner(&reference), before) {
                (now, before) if now == before.as_ref() => {}
                (Some(now), _) => events.push(Event::Set(now.clone())),
                (None, _) => events.push(Event::Gone(reference)),
            }
        }
        let mut faults: Vec<Fault> = self
            .files
            .values()
            .filter_map(|file| file.fault.clone())
            .collect();
        faults.extend(
            self.contested
                .iter()
                .flat_map(|reference| self.losers(reference)),
        );
        faults.extend(folder_fault);
        faults.sort();
        (
            events,
            DirectoryStatus {
                files: self.files.len(),
                objects: self.claims.len(),
                faults,
            },
        )
    }

    /// Everything in force, kind by kind.
    pub(super) fn listing(&self) -> Vec<Event> {
        let of_kind = |kind| {
            let objects = self
                .claims
                .keys()
                .filter(|reference| reference.kind == kind);
            Event::Listed(
                kind,
                objects
                    .filter_map(|reference| self.winner(reference))
                    .cloned()
                    .collect(),
            )
        };
        Kind::ALL.into_iter().map(of_kind).collect()
    }

    fn at(&self, (name, position): &Place) -> Option<&Found> {
        self.files.get(name)?.found.get(*position)
    }

    /// The definition of an object that counts.
    fn winner(&self, reference: &ObjectRef) -> Option<&Object> {
        self.at(self.claims.get(reference)?.first()?)
            .map(|found| &found.object)
    }

    /// A report for every definition of an object that does not count.
    fn losers(&self, reference: &ObjectRef) -> Vec<Fault> {
        let mut places = self.claims.get(reference).into_iter().flatten();
        let Some((winner, found)) = places
            .next()
            .and_then(|place| Some((&place.0, self.at(place)?)))
        else {
            return Vec::new();
        };
        let winner = format!("{}, document {}", winner.to_string_lossy(), found.document);
        let lost = |place: &Place| {
            let message = format!("{reference} is already defined by {winner}, which counts");
            Some(Fault {
                document: Some(self.at(place)?.document),
                ..fault(&place.0, message)
            })
        };
        places.filter_map(lost).collect()
    }

    fn read_file(
        &mut self,
        folder: &Path,
        name: &OsStr,
        touched: &mut BTreeMap<ObjectRef, Option<Object>>,
    ) {
        let text = match load(&folder.join(name)) {
            Ok(Some(text)) => text,
            Ok(None) => {
                self.replace(name, None, touched);
                self.files.remove(name);
                return;
            }
            Err(error) => {
                return self.reject(name, fault(name, format!("cannot be read: {error}")));
            }
        };
        let had = self
            .files
            .get(name)
            .is_some_and(|file| !file.found.is_empty());
        if had && text.trim().is_empty() {
            // Somebody is about to write it anew, or else has lost what it said.
            return self.reject(
                name,
                fault(name, "empty; remove it to remove its objects".to_owned()),
            );
        }
        match manifest::parse(&text) {
            Ok(found) => self.replace(name, Some(found), touched),
            Err(misfit) => {
                let place = Fault {
                    document: Some(misfit.document),
                    line: misfit.line,
                    ..fault(name, misfit.message)
                };
                self.reject(
                    name,
                    Fault {
                        field: misfit.field,
                        ..place
                    },
                );
            }
        }
    }

    /// Reports a file, whose last good state stays.
    fn reject(&mut self, name: &OsStr, fault: Fault) {
        let file = self.files.entry(name.into()).or_default();
        let kept = file.found.len();
        let message = format!(
            "{}; {kept} objects of its last good state stay in force",
            fault.message
        );
        file.fault = Some(Fault { message, ..fault });
    }

    /// Puts `found` in the place of what the file said before; remembers how the objects concerned were.
    fn replace(
        &mut self,
        name: &OsStr,
        found: Option<Vec<Found>>,
        touched: &mut BTreeMap<ObjectRef, Option<Object>>,
    ) {
        let old = self
            .files
            .get(name)
            .map(|file| file.found.as_slice())
            .unwrap_or_default();
        let references = |found: &[Found]| {
            found
                .iter()
                .map(|f| f.object.reference())
                .collect::<Vec<_>>()
        };
        let (old, new) = (
            references(old),
            references(found.as_deref().unwrap_or_default()),
        );
        for reference in old.iter().chain(&new) {
            if !touched.contains_key(reference) {
                touched.insert(reference.clone(), self.winner(reference).cloned());
            }
        }
        let name: Arc<OsStr> = name.into();
        for (position, reference) in old.into_iter().enumerate() {
            if let Some(places) = self.claims.get_mut(&reference) {
                places.remove(&(name.clone(), position));
                if places.len() < 2 {
                    self.contested.remove(&reference);
                }
                if places.is_empty() {
                    self.claims.remove(&reference);
                }
            }
        }
        for (position, reference) in new.into_iter().enumerate() {
            let places = self.claims.entry(reference.clone()).or_default();
            places.insert((name.clone(), position));
            if places.len() > 1 {
                self.contested.insert(reference);
            }
        }
        self.files.insert(
            name,
            File {
                found: found.unwrap_or_default(),
                fault: None,
            },
        );
    }
}

fn fault(name: &OsStr, message: String) -> Fault {
    Fault {
        file: name.to_string_lossy().into_owned(),
        document: None,
        line: None,
        field: String::new(),
        message,
    }
}

fn list(folder: &Path) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if counts(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// The text of a file; `None` when there is no such file.
fn load(path: &Path) -> io::Result<Option<String>> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_dir() {
        return Ok(None);
    }
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if metadata.len() > LARGEST {
        return Err(io::Error::other(format!("larger than {LARGEST} bytes")));
    }
    match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| io::Error::other("not UTF-8")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
