//! An index of selectors by what they ask for, so that an object touches only those that may select it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Labels, Requirement, Selector};

/// Things by their selector.
#[derive(Debug, Clone)]
pub(super) struct SelectorIndex<T> {
    keys: HashMap<Arc<str>, Key<T>>,
    /// Those that ask for no label to be there.
    always: Vec<T>,
}

#[derive(Debug, Clone)]
struct Key<T> {
    values: HashMap<Arc<str>, Vec<T>>,
    any: Vec<T>,
}

impl<T> Default for SelectorIndex<T> {
    fn default() -> Self {
        Self {
            keys: HashMap::new(),
            always: Vec::new(),
        }
    }
}

/// Where a selector is found.
enum Anchor<'a> {
    Values(&'a Arc<str>, &'a [Arc<str>]),
    Key(&'a Arc<str>),
    Always,
}

/// The condition that fewest objects meet, as far as one can tell.
fn anchor(selector: &Selector) -> Anchor<'_> {
    let values = selector.requirements.iter().filter_map(|r| match r {
        Requirement::In(key, values) => Some((key, values)),
        _ => None,
    });
    if let Some((key, values)) = values.min_by_key(|(_, values)| values.len()) {
        return Anchor::Values(key, values);
    }
    let key = selector.requirements.iter().find_map(|r| match r {
        Requirement::Exists(key) => Some(key),
        _ => None,
    });
    key.map_or(Anchor::Always, Anchor::Key)
}

impl<T: Copy + PartialEq> SelectorIndex<T> {
    pub(super) fn insert(&mut self, selector: &Selector, item: T) {
        self.lists(selector, |list| list.push(item));
    }

    pub(super) fn remove(&mut self, selector: &Selector, item: T) {
        self.lists(selector, |list| {
            if let Some(at) = list.iter().position(|other| *other == item) {
                list.swap_remove(at);
            }
        });
        if let Anchor::Values(key, _) | Anchor::Key(key) = anchor(selector) {
            let Some(entry) = self.keys.get_mut(key) else {
                return;
            };
            if let Anchor::Values(_, values) = anchor(selector) {
                for value in values {
                    if entry.values.get(value).is_some_and(Vec::is_empty) {
                        entry.values.remove(value);
                    }
                }
            }
            if entry.values.is_empty() && entry.any.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    fn lists(&mut self, selector: &Selector, mut change: impl FnMut(&mut Vec<T>)) {
        let new = || Key {
            values: HashMap::new(),
            any: Vec::new(),
        };
        match anchor(selector) {
            Anchor::Values(key, values) => {
                let entry = self.keys.entry(key.clone()).or_insert_with(new);
                for (i, value) in values.iter().enumerate() {
                    if !values[..i].contains(value) {
                        change(entry.values.entry(value.clone()).or_default());
                    }
                }
            }
            Anchor::Key(key) => change(&mut self.keys.entry(key.clone()).or_insert_with(new).any),
            Anchor::Always => change(&mut self.always),
        }
    }

    /// All whose selector may select these labels, each once, and every one that does.
    pub(super) fn candidates(&self, labels: &Labels, mut found: impl FnMut(T)) {
        self.always.iter().for_each(|item| found(*item));
        if self.keys.is_empty() {
            return;
        }
        for (key, value) in labels.iter() {
            if let Some(entry) = self.keys.get(key) {
                entry.any.iter().for_each(|item| found(*item));
                for item in entry.values.get(value).into_iter().flatten() {
                    found(*item);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.always.is_empty()
    }
}
