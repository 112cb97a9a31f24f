//! Whether there is a session, as everyone may watch it.

use std::sync::Arc;

use crate::message::FeaturesReply;

/// The state of a [`Connection`](super::Connection).
#[derive(Clone, Debug)]
pub enum State {
    /// No session.
    Disconnected {
        /// What ended the last session or attempt; `None` before the first attempt has ended.
        error: Option<Arc<str>>,
    },
    /// A session is up.
    Connected {
        /// Counts sessions from 1; every answer carries the number of its session.
        generation: u64,
        /// What the switch said about itself.
        features: Arc<FeaturesReply>,
    },
}

impl State {
    /// The number of the session that is up.
    pub fn generation(&self) -> Option<u64> {
        match self {
            State::Disconnected { .. } => None,
            State::Connected { generation, .. } => Some(*generation),
        }
    }

    /// Whether a session is up.
    pub fn is_connected(&self) -> bool {
        self.generation().is_some()
    }

    pub(crate) fn same(&self, other: &State) -> bool {
        match (self, other) {
            (State::Disconnected { error: a }, State::Disconnected { error: b }) => a == b,
            _ => self.generation().is_some() && self.generation() == other.generation(),
        }
    }
}

/// A value and the session in which the switch gave it.
///
/// Dereferences to the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<T> {
    /// The session's number, as in [`State::Connected`].
    pub generation: u64,
    /// What the switch answered.
    pub value: T,
}

impl<T> Reply<T> {
    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> std::ops::Deref for Reply<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: IntoIterator> IntoIterator for Reply<T> {
    type Item = T::Item;
    type IntoIter = T::IntoIter;

    fn into_iter(self) -> T::IntoIter {
        self.value.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Reply<T>
where
    &'a T: IntoIterator,
{
    type Item = <&'a T as IntoIterator>::Item;
    type IntoIter = <&'a T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&self.value).into_iter()
    }
}
