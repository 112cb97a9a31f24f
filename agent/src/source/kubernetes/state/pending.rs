//! What is to be written and is not yet: the last word on each object, however many there were, in the order of the
//! last words.
//!
//! So it never holds more than there are objects in the cluster and in the file, however long the disk refuses.

use std::collections::{BTreeSet, HashMap};
use std::mem;

use super::Entry;
use crate::source::PodScope;
use crate::source::object::{Kind, ObjectRef};

/// The last word on an object: its text, or that it went.
pub(super) type Word = Option<Box<str>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pending {
    words: HashMap<ObjectRef, (u64, Word)>,
    /// How many words there have been.
    said: u64,
    /// The kinds of which nothing that is in the file counts any more.
    replaced: BTreeSet<Kind>,
    /// Which pods there are, if that changed.
    covered: Option<PodScope>,
    /// Whether so much is new that a new file is better.
    much: bool,
}

impl Pending {
    /// Takes an entry in; `filed` says whether the file has, or may soon have, a line for an object.
    pub(super) fn take(&mut self, entry: Entry, filed: impl Fn(&ObjectRef) -> bool) {
        match entry {
            Entry::Listed(kind, objects) => {
                self.words.retain(|reference, _| reference.kind != kind);
                self.replaced.insert(kind);
                self.several(objects);
            }
            Entry::Several(objects) => self.several(objects),
            Entry::Covered(scope) => self.covered = Some(scope),
            Entry::Set(reference, text) => self.put(reference, Some(text)),
            // Of what was never written nothing need be said.
            Entry::Gone(reference) => match filed(&reference) {
                true => self.put(reference, None),
                false => drop(self.words.remove(&reference)),
            },
        }
    }

    /// Takes back what could not be written: what has been said since counts more.
    pub(super) fn take_back(&mut self, older: Pending) {
        let newer = mem::replace(self, older);
        self.words
            .retain(|reference, _| !newer.replaced.contains(&reference.kind));
        self.words.extend(newer.words);
        self.said = self.said.max(newer.said);
        self.replaced.extend(newer.replaced);
        self.covered = newer.covered.or(self.covered.take());
        self.much |= newer.much;
    }

    /// All that is to be written, to try it; what comes later counts more.
    pub(super) fn split_off(&mut self) -> Pending {
        let said = self.said;
        let all = mem::take(self);
        self.said = said;
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && self.replaced.is_empty() && self.covered.is_none()
    }

    /// Whether a new file is better than more lines.
    pub(super) fn is_much(&self) -> bool {
        self.much || !self.replaced.is_empty()
    }

    /// Whether nothing that the file says of an object counts any more.
    pub(super) fn overrides(&self, reference: &ObjectRef) -> bool {
        self.replaced.contains(&reference.kind) || self.words.contains_key(reference)
    }

    /// The objects that will have a line.
    pub(super) fn set(&self) -> impl Iterator<Item = &ObjectRef> {
        let set = self.words.iter().filter(|(_, (_, word))| word.is_some());
        set.map(|(reference, _)| reference)
    }

    /// The words, in order.
    pub(super) fn words(&self) -> Vec<(&ObjectRef, &Word)> {
        let mut words: Vec<_> = self.words.iter().collect();
        words.sort_unstable_by_key(|(_, (at, _))| *at);
        let words = words.into_iter();
        words.map(|(name, (_, word))| (name, word)).collect()
    }

    /// Which pods there are, if that is news.
    pub(super) fn covered(&self) -> Option<&PodScope> {
        self.covered.as_ref()
    }

    /// Objects that it has a word on.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    fn several(&mut self, objects: Vec<(ObjectRef, Box<str>)>) {
        self.much = true;
        for (reference, text) in objects {
            self.put(reference, Some(text));
        }
    }

    fn put(&mut self, reference: ObjectRef, word: Word) {
        self.said += 1;
        self.words.insert(reference, (self.said, word));
    }
}
