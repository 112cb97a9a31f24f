//! Texts, sets of labels and the like that many objects have in common, kept once.
//!
//! Values are looked up by content and shared; those that nobody holds any more are forgotten in passing, when the
//! pool would otherwise grow. One pool for the process, so that objects of every source share.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use sluice_flows::model::{Labels, NamedPort};

use super::object::PodState;

static TEXTS: LazyLock<Mutex<Pool<str>>> = LazyLock::new(Mutex::default);
static LABELS: LazyLock<Mutex<Pool<Labels>>> = LazyLock::new(Mutex::default);
static STATES: LazyLock<Mutex<Pool<PodState>>> = LazyLock::new(Mutex::default);
static PORTS: LazyLock<Mutex<Pool<Vec<NamedPort>>>> = LazyLock::new(Mutex::default);

/// The one copy of a text.
pub(crate) fn text(text: &str) -> Arc<str> {
    with(&TEXTS, |pool| pool.share(text))
}

/// The one copy of a set of labels.
pub(crate) fn labels(labels: Labels) -> Arc<Labels> {
    with(&LABELS, |pool| pool.keep(labels))
}

/// The one copy of a list of ports.
pub(crate) fn ports(ports: Vec<NamedPort>) -> Arc<Vec<NamedPort>> {
    with(&PORTS, |pool| pool.keep(ports))
}

/// The one copy of how pods run.
pub(crate) fn state(state: PodState) -> Arc<PodState> {
    with(&STATES, |pool| pool.keep(state))
}

fn with<T: ?Sized, R>(pool: &Mutex<Pool<T>>, work: impl FnOnce(&mut Pool<T>) -> R) -> R {
    // What a panic could leave behind is a value too few, which is as good as forgotten.
    work(&mut pool.lock().unwrap_or_else(PoisonError::into_inner))
}

#[derive(Debug)]
struct Pool<T: ?Sized> {
    values: HashSet<Arc<T>>,
    /// When this many are kept, those that nobody holds are looked for.
    sweep_at: usize,
}

/// No pool is swept below this size.
const SMALL: usize = 1024;

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Pool {
            values: HashSet::new(),
            sweep_at: SMALL,
        }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    fn find(&self, value: &T) -> Option<Arc<T>> {
        self.values.get(value).cloned()
    }

    fn share(&mut self, value: &T) -> Arc<T>
    where
        Arc<T>: for<'a> From<&'a T>,
    {
        match self.find(value) {
            Some(shared) => shared,
            None => self.add(Arc::from(value)),
        }
    }

    fn keep(&mut self, value: T) -> Arc<T>
    where
        T: Sized,
    {
        match self.find(&value) {
            Some(shared) => shared,
            None => self.add(Arc::new(value)),
        }
    }

    fn add(&mut self, value: Arc<T>) -> Arc<T> {
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.values.shrink_to(SMALL);
            self.sweep_at = (2 * self.values.len()).max(SMALL);
        }
        self.values.insert(value.clone());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one() {
        let (a, b) = (
            text("some text of this test"),
            text("some text of this test"),
        );
        assert!(Arc::ptr_eq(&a, &b));
        let set = || labels([(text("a"), text("b"))].into());
        assert!(Arc::ptr_eq(&set(), &set()) && set().iter().len() == 1);
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let mut pool: Pool<str> = Pool::default();
        let kept: Vec<Arc<str>> = (0..100).map(|n| pool.share(&format!("kept {n}"))).collect();
        for n in 0..100_000 {
            pool.share(&format!("passing {n}"));
        }
        assert!(pool.values.len() <= SMALL, "{}", pool.values.len());
        assert!(kept.iter().all(|text| pool.find(text).is_some()));
    }
}
