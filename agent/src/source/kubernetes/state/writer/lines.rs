//! Where in the file the line of each object is. There are as many as objects: what those of a namespace have in common
//! is kept once.

use std::collections::HashMap;
use std::sync::Arc;

use crate::source::object::{Kind, ObjectRef};

/// Where a line begins, and its length.
pub(super) type Place = (u64, u64);

/// The lines of objects, by kind and namespace, and by name.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<(Kind, Arc<str>), HashMap<Arc<str>, Place>>);

impl Lines {
    /// Whether an object has one.
    pub(super) fn contains(&self, object: &ObjectRef) -> bool {
        let names = self.0.get(&group(object));
        names.is_some_and(|names| names.contains_key(&object.name))
    }

    /// Notes where the line of an object is; where it was is returned.
    pub(super) fn insert(&mut self, object: ObjectRef, place: Place) -> Option<Place> {
        let names = self.0.entry(group(&object)).or_default();
        names.insert(object.name, place)
    }

    /// Forgets the line of an object; where it was is returned.
    pub(super) fn remove(&mut self, object: &ObjectRef) -> Option<Place> {
        let group = group(object);
        let names = self.0.get_mut(&group)?;
        let place = names.remove(&object.name);
        if names.is_empty() {
            self.0.remove(&group);
        }
        place
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ObjectRef, Place)> {
        self.0.iter().flat_map(|((kind, namespace), names)| {
            let object = |name: &Arc<str>| ObjectRef::new(*kind, namespace.clone(), name.clone());
            names
                .iter()
                .map(move |(name, place)| (object(name), *place))
        })
    }
}

fn group(object: &ObjectRef) -> (Kind, Arc<str>) {
    (object.kind, object.namespace.clone())
}
